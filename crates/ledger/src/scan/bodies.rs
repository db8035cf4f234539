//! Reading the bodies of a bucket, strictly: in the order of their entries, each whole, then zeros.

use super::{Fault, Source};
use crate::Damage;
use crate::body::{self, BodyHead, BodyRecord};
use crate::bytes::{OTHER_FORMAT, is_other_format, is_zero};
use crate::envelope::Bucket;
use crate::journal::Segment;

/// A body as found in its segment.
pub(crate) struct Found<'a> {
    pub(crate) bucket: Bucket,
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) record: BodyRecord<'a>,
}

impl Found<'_> {
    pub(crate) fn damage(&self, what: &str) -> Fault {
        let file = Segment::Body(self.bucket, self.segment).path();
        Damage::new(&file, self.offset, Some(self.record.entry), what).into()
    }
}

/// The end of a bucket's bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyEnd {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    /// The entry of the last body that was read.
    pub(crate) last: Option<u64>,
}

/// Told each body; may object.
pub(crate) type BodyVisit<'a> = dyn FnMut(&Found<'_>) -> Result<(), Fault> + 'a;

/// Reads all bodies of a bucket, in order.
pub(crate) fn scan_bodies(
    source: &Source<'_>,
    bucket: Bucket,
    visit: &mut BodyVisit<'_>,
) -> Result<BodyEnd, Fault> {
    let mut end = BodyEnd { segment: 0, offset: 0, last: None };
    for segment in 0..source.body_segments(bucket)? {
        scan_body_segment(source, bucket, segment, &mut end, visit)?;
    }
    Ok(end)
}

/// As [`scan_bodies`], of the last segment that has any.
pub(crate) fn resume_bodies(
    source: &Source<'_>,
    bucket: Bucket,
    visit: &mut BodyVisit<'_>,
) -> Result<BodyEnd, Fault> {
    let count = source.body_segments(bucket)?;
    let mut end = BodyEnd { segment: 0, offset: 0, last: None };
    for segment in count.saturating_sub(2)..count {
        let is_last = segment + 1 == count;
        if is_last || source.window(Segment::Body(bucket, segment + 1))?.zeros_from(0)? {
            scan_body_segment(source, bucket, segment, &mut end, visit)?;
        }
    }
    Ok(end)
}

/// Reads the bodies of one segment, which follow those before the end so far.
pub(crate) fn scan_body_segment(
    source: &Source<'_>,
    bucket: Bucket,
    segment: u32,
    end: &mut BodyEnd,
    visit: &mut BodyVisit<'_>,
) -> Result<(), Fault> {
    let mut window = source.window(Segment::Body(bucket, segment))?;
    (end.segment, end.offset) = (segment, 0);
    let path = Segment::Body(bucket, segment).path();
    loop {
        let broken = |entry, what| Damage::new(&path, end.offset, entry, what);
        let head = window.at(end.offset, body::HEADER_BYTES)?;
        if is_zero(head) {
            if window.zeros_from(end.offset)? {
                return Ok(());
            }
            return Err(broken(None, "there is a gap before more data").into());
        }
        if is_other_format(head, body::MAGIC) {
            return Err(broken(None, OTHER_FORMAT).into());
        }
        let Some(head) = BodyHead::parse(head) else {
            return Err(broken(None, "this is no body").into());
        };
        let Some((record, taken)) = BodyRecord::parse(window.at(end.offset, head.taken())?) else {
            return Err(broken(Some(head.entry), "the body's digest is wrong").into());
        };
        if end.last.is_some_and(|before| before >= record.entry) {
            return Err(broken(Some(record.entry), "the body is out of order").into());
        }
        end.last = Some(record.entry);
        visit(&Found { bucket, segment, offset: end.offset, record })?;
        end.offset += taken as u64;
    }
}
