//! Reading a run of entries in order: their positions at once, log and bodies through buffers. Each file is
//! asked once for a run whether its path still leads to it, and not before every read.
//!
//! Invariant: what is read here is held against everything that [`Local::find_envelope`] and
//! [`Local::find_body`] hold it against. Where it is not what it should be, they are asked, and they say why.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Local;
use super::positions::{At, Of};
use crate::body::{self, BodyHead, BodyRecord};
use crate::disk::DiskFile;
use crate::envelope::{Bucket, ENVELOPE_BYTES, Envelope};
use crate::error::ReadError;
use crate::journal::Segment;
use crate::record::Position;
use crate::store::{EachEntry, Sealed, Store as _};

/// Positions that are read at once.
const PORTION: u64 = 4096;
/// A buffer is as long as this, or as short as what is left of a run.
const AHEAD_BYTES: usize = 256 << 10;
/// What an entry is taken to need of it.
const ENTRY_BYTES: usize = 2 << 10;
/// Most buckets whose bodies are read through a buffer at one time.
const BUCKETS_MAX: usize = 8;

/// A segment seen through a buffer.
struct Ahead {
    segment: Segment,
    file: Arc<dyn DiskFile>,
    start: u64,
    buffer: Vec<u8>,
}

impl Ahead {
    /// `length` bytes from `offset` on; `None` where there are not so many. `ahead` is read if any is.
    fn at(&mut self, offset: u64, length: usize, ahead: usize) -> Option<&[u8]> {
        let end = offset.checked_add(length as u64)?;
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            self.buffer.resize(length.max(ahead), 0);
            let read = self.file.read_at(&mut self.buffer, offset).ok();
            self.buffer.truncate(read.unwrap_or(0));
            self.start = offset;
        }
        let from = usize::try_from(offset - self.start).ok()?;
        self.buffer.get(from..from.checked_add(length)?)
    }
}

/// What is open during a run.
struct Run<'a> {
    local: &'a Local,
    log: Option<Ahead>,
    bodies: BTreeMap<Bucket, Ahead>,
    /// Entries that are left of it.
    left: u64,
}

impl Run<'_> {
    fn ahead(&self) -> usize {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        left.saturating_mul(ENTRY_BYTES).min(AHEAD_BYTES)
    }

    fn open(&self, segment: Segment) -> Option<Ahead> {
        let file = self.local.handles.open(segment).ok()?;
        Some(Ahead { segment, file, start: 0, buffer: Vec::new() })
    }

    fn envelope(&mut self, entry: u64, at: At) -> Option<Envelope> {
        let (segment, ahead) = (Segment::Log(at.segment), self.ahead());
        if self.log.as_ref().is_none_or(|log| log.segment != segment) {
            self.log = Some(self.open(segment)?);
        }
        let bytes = self.log.as_mut()?.at(u64::from(at.offset), ENVELOPE_BYTES, ahead)?;
        let envelope = Envelope::parse(bytes);
        envelope.filter(|it| it.entry == entry && it.ledger == self.local.identity.id)
    }

    fn body(&mut self, entry: u64, bucket: Bucket, at: At) -> Option<Sealed> {
        let (segment, ahead) = (Segment::Body(bucket, at.segment), self.ahead());
        if self.bodies.get(&bucket).is_none_or(|it| it.segment != segment) {
            let opened = self.open(segment)?;
            if self.bodies.len() >= BUCKETS_MAX {
                self.bodies.clear();
            }
            self.bodies.insert(bucket, opened);
        }
        let bodies = self.bodies.get_mut(&bucket)?;
        let offset = u64::from(at.offset);
        let head = BodyHead::parse(bodies.at(offset, body::HEADER_BYTES, ahead)?)?;
        let (record, _) = BodyRecord::parse(bodies.at(offset, head.taken(), ahead)?)?;
        let place = Position { file: segment.path(), offset };
        let bytes = record.sealed.to_vec();
        (record.entry == entry).then_some(Sealed { bytes, bucket, place })
    }
}

impl Local {
    /// Gives the entries `from..end` in order, each with its sealed body.
    pub(super) fn read_run(
        &self,
        from: u64,
        end: u64,
        each: &mut EachEntry<'_>,
    ) -> Result<(), ReadError> {
        let mut run = Run { local: self, log: None, bodies: BTreeMap::new(), left: 0 };
        let mut next = from;
        while next < end {
            let count = (end - next).min(PORTION);
            let envelopes = self.positions.get_many(Of::Envelopes, next, count);
            let bodies = self.positions.get_many(Of::Bodies, next, count);
            let places = envelopes.into_iter().zip(bodies);
            for (entry, (envelope_at, body_at)) in (next..).zip(places) {
                run.left = end - entry;
                let found = envelope_at.and_then(|at| run.envelope(entry, at));
                let envelope = match found {
                    Some(envelope) => envelope,
                    None => self.find_envelope(entry)?.0,
                };
                let sealed = match self.moved().locate(&envelope) {
                    Err(_disposed) => Ok(None),
                    Ok(bucket) => match body_at.and_then(|at| run.body(entry, bucket, at)) {
                        Some(sealed) => Ok(Some(sealed)),
                        None => self.find_body(&envelope, bucket).map(Some),
                    },
                };
                each(envelope, sealed)?;
            }
            next += count;
        }
        Ok(())
    }
}
