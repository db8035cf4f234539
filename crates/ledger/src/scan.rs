//! Reading a ledger's folder from end to end, strictly. Opening and verifying both come here.
//!
//! Invariant: nothing is skipped. What is not a sound frame or body, and not zeros to the end of
//! its segment, is damage and is named with its place.

mod bodies;

use std::io;
use std::path::PathBuf;

use crate::Damage;
use crate::bytes::{OTHER_FORMAT, is_other_format, is_zero};
use crate::chain::Chain;
use crate::envelope::LedgerId;
use crate::frame::{self, Frame, FrameHead};
use crate::journal::Segment;
use crate::merkle::CompactRange;
use crate::note::{Checkpoint, VerifierKey};
use crate::segment::{self, SEGMENT_HEAD_BYTES_MAX, SegmentHead};
pub(crate) use crate::source::Source;
use crate::source::Window;
use crate::store::Head;

pub(crate) use bodies::{BodyEnd, resume_bodies, scan_bodies, scan_body_segment};

/// Why a scan ended early.
#[derive(Debug)]
pub(crate) enum Fault {
    Disk { path: PathBuf, source: io::Error },
    Damaged(Damage),
}

impl From<Damage> for Fault {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

/// The end of the log: its head, and where the next frame goes.
#[derive(Debug, Clone)]
pub(crate) struct LogEnd {
    pub(crate) head: Head,
    pub(crate) segment: u32,
    /// 0 in a segment that has no header yet.
    pub(crate) offset: u64,
}

impl LogEnd {
    pub(crate) fn start() -> Self {
        Self { head: Head::default(), segment: 0, offset: 0 }
    }

    /// Whether the ledger's key signed this root and size. An empty log is not signed.
    pub(crate) fn is_signed(&self, key: &VerifierKey) -> bool {
        let size = self.head.size();
        let Some(signature) = &self.head.signature else { return size == 0 };
        let checkpoint = Checkpoint { origin: key.name.clone(), size, root: self.head.root };
        checkpoint.verify(&key.public, signature).is_ok()
    }
}

/// Told each sound frame, its segment and its offset; may object.
pub(crate) type FrameVisit<'a> =
    dyn FnMut(&Frame, u32, u64, &mut CompactRange) -> Result<(), Fault> + 'a;

/// Told what is found in a segment; may object.
pub(crate) trait SegmentVisit {
    /// The segment's header, which is sound but may follow another log.
    fn begin(&mut self, head: &SegmentHead) -> Result<(), Fault>;

    /// A sound frame. Adds its leaves to the tree.
    fn frame(
        &mut self,
        frame: &Frame,
        segment: u32,
        offset: u64,
        tree: &mut CompactRange,
    ) -> Result<(), Fault>;
}

/// A segment's visit that holds its header against the log before.
struct InOrder<'a, 'b> {
    chain: &'a Chain<'a>,
    segment: u32,
    visit: &'a mut FrameVisit<'b>,
}

impl SegmentVisit for InOrder<'_, '_> {
    fn begin(&mut self, head: &SegmentHead) -> Result<(), Fault> {
        self.chain.follows(self.segment, head)
    }

    fn frame(
        &mut self,
        frame: &Frame,
        segment: u32,
        offset: u64,
        tree: &mut CompactRange,
    ) -> Result<(), Fault> {
        (self.visit)(frame, segment, offset, tree)
    }
}

/// Reads all frames in order. `visit` adds the frame's leaves to the tree it is handed.
pub(crate) fn scan_log(
    source: &Source<'_>,
    ledger: &LedgerId,
    key: &VerifierKey,
    visit: &mut FrameVisit<'_>,
) -> Result<LogEnd, Fault> {
    let count = source.log_segments()?;
    scan_from(source, ledger, key, LogEnd::start(), count, visit)
}

/// As [`scan_log`], of the closed segments only; gives how many there are.
pub(crate) fn scan_closed_log(
    source: &Source<'_>,
    ledger: &LedgerId,
    key: &VerifierKey,
    visit: &mut FrameVisit<'_>,
) -> Result<u32, Fault> {
    let closed = source.closed(Segment::Log, source.log_segments()?)?;
    let end = scan_from(source, ledger, key, LogEnd::start(), closed, visit)?;
    match closed > 0 && (end.segment + 1, end.offset > 0) != (closed, true) {
        true => Err(wrong_head(closed - 1, "the segment is empty, yet there is one after it")),
        false => Ok(closed),
    }
}

/// As [`scan_log`], of the last segment only: what was before it is taken from its signed header.
pub(crate) fn resume_log(
    source: &Source<'_>,
    ledger: &LedgerId,
    key: &VerifierKey,
    visit: &mut FrameVisit<'_>,
) -> Result<LogEnd, Fault> {
    let count = source.log_segments()?;
    let mut last = count - 1;
    if last > 0 && source.window(Segment::Log(last))?.zeros_from(0)? {
        // Made for a frame that was not written any more.
        last -= 1;
    }
    if last == 0 {
        return scan_from(source, ledger, key, LogEnd::start(), count, visit);
    }
    let mut window = source.window(Segment::Log(last))?;
    let head = read_head(&mut window, ledger, last)?;
    let start = LogEnd { head: head.head(), segment: last, offset: 0 };
    if !start.is_signed(key) {
        return Err(wrong_head(last, "the segment's header is not signed by the ledger's key"));
    }
    scan_from(source, ledger, key, start, count, visit)
}

pub(crate) fn wrong_head(segment: u32, what: &str) -> Fault {
    Damage::new(&Segment::Log(segment).path(), 0, None, what).into()
}

fn read_head(
    window: &mut Window<'_>,
    ledger: &LedgerId,
    number: u32,
) -> Result<SegmentHead, Fault> {
    let bytes = window.at(0, SEGMENT_HEAD_BYTES_MAX)?;
    if is_other_format(bytes, segment::MAGIC) {
        return Err(wrong_head(number, OTHER_FORMAT));
    }
    let head = SegmentHead::parse(bytes);
    let head = head.ok_or_else(|| wrong_head(number, "the segment's header is not as written"))?;
    if head.ledger != *ledger {
        return Err(wrong_head(number, "the segment is of another ledger"));
    }
    if head.number != number {
        let what = format!("this is segment {}, not {number}", head.number);
        return Err(wrong_head(number, &what));
    }
    Ok(head)
}

/// Reads the segments from the end's on.
fn scan_from(
    source: &Source<'_>,
    ledger: &LedgerId,
    key: &VerifierKey,
    end: LogEnd,
    count: u32,
    visit: &mut FrameVisit<'_>,
) -> Result<LogEnd, Fault> {
    let from = end.segment;
    let mut chain = Chain::from(ledger, key, count, end);
    for segment in from..count {
        let found = {
            let mut visit = InOrder { chain: &chain, segment, visit: &mut *visit };
            read_segment(source, ledger, segment, &mut visit)?
        };
        chain.go_on(segment, found)?;
    }
    chain.end()
}

/// The end of one segment, and where its last frame begins (0 without one).
pub(crate) struct SegmentEnd {
    pub(crate) end: LogEnd,
    pub(crate) last: u64,
}

/// Reads one segment from its own header on; `None` where nothing was written to it.
pub(crate) fn read_segment(
    source: &Source<'_>,
    ledger: &LedgerId,
    segment: u32,
    visit: &mut dyn SegmentVisit,
) -> Result<Option<SegmentEnd>, Fault> {
    let mut window = source.window(Segment::Log(segment))?;
    if window.zeros_from(0)? {
        return Ok(None);
    }
    let head = read_head(&mut window, ledger, segment)?;
    visit.begin(&head)?;
    let mut end = LogEnd { head: head.head(), segment, offset: head.taken() as u64 };
    let mut last = 0;
    while let Some(frame) = next_frame(&mut window, ledger, &end)? {
        visit.frame(&frame, segment, end.offset, &mut end.head.tree)?;
        let (head, now) = (&frame.head, &mut end.head);
        if now.tree.root() != head.root || now.size() != head.size() {
            return Err(at(&end, head.first, "the frame's root is not that of its entries"));
        }
        last = end.offset;
        (now.root, now.signature, now.digest) = (head.root, Some(head.signature), frame.digest);
        now.latest_ms = frame.envelopes.iter().map(|it| it.at_ms).max().max(now.latest_ms);
        end.offset += head.taken() as u64;
    }
    Ok(Some(SegmentEnd { end, last }))
}

fn at(end: &LogEnd, entry: u64, what: &str) -> Fault {
    Damage::new(&Segment::Log(end.segment).path(), end.offset, Some(entry), what).into()
}

/// The frame at the end so far, or `None` if the rest of the segment is empty.
fn next_frame(
    window: &mut Window<'_>,
    ledger: &LedgerId,
    end: &LogEnd,
) -> Result<Option<Frame>, Fault> {
    let size = end.head.tree.size();
    let head = window.at(end.offset, frame::HEADER_BYTES)?;
    if is_zero(head) {
        return match window.zeros_from(end.offset)? {
            true => Ok(None),
            false => Err(at(end, size, "there is a gap before more data")),
        };
    }
    if is_other_format(head, frame::MAGIC) {
        return Err(at(end, size, OTHER_FORMAT));
    }
    let Some(head) = FrameHead::parse(head) else {
        return Err(at(end, size, "this is no frame"));
    };
    if head.ledger != *ledger {
        return Err(at(end, size, "the frame is of another ledger"));
    }
    if head.first != size {
        let what = format!("the frame begins with entry {}, not {size}", head.first);
        return Err(at(end, size, &what));
    }
    if head.previous != end.head.digest || head.root_before != end.head.root {
        return Err(at(end, size, "the frame does not follow the one before"));
    }
    let frame = Frame::parse(window.at(end.offset, head.taken())?);
    frame.map(Some).ok_or_else(|| at(end, size, "the frame's digest is wrong"))
}
