//! The ledger as it is read: one entry, as searches read it, and all of it in order for the search index.
//!
//! Invariant: an entry is given only after its body was held against what its leaf commits to, or as the
//! writer has just recorded it.

use std::sync::Arc;

use crate::envelope::Envelope;
use crate::error::ReadError;
use crate::index::{Fed, Feed};
use crate::merkle::Hash;
use crate::proofs;
use crate::record::{Entry, EntryNumber, Position, StoredRecord};
use crate::retention::{self, Moved};
use crate::search::Log;
use crate::shared::Fixed;
use crate::store::Sealed;

/// Reads an entry, and holds it against what its leaf commits to.
pub(crate) fn read(fixed: &Fixed, entry: EntryNumber) -> Result<Entry, ReadError> {
    let parts = read_parts(fixed, entry)?;
    match (parts.envelope.at(), parts.record) {
        (Some(at), Some(record)) => Ok(Entry {
            number: entry,
            at,
            clock_stepped_back: parts.envelope.stepped_back,
            record,
            leaf: parts.envelope.leaf(),
            position: parts.position,
        }),
        _ => Err(retention::disposed_of(fixed, &parts.envelope)),
    }
}

struct Parts {
    envelope: Envelope,
    position: Position,
    /// `None` where the body was disposed of.
    record: Option<StoredRecord>,
}

/// The record that a body holds.
fn opened(fixed: &Fixed, envelope: &Envelope, sealed: Sealed) -> Result<StoredRecord, ReadError> {
    let Sealed { bucket, place, bytes, .. } = sealed;
    let body = retention::open(fixed, envelope, bucket, &bytes, &place)?;
    retention::record_in(envelope, &body, &place)
}

fn read_parts(fixed: &Fixed, entry: EntryNumber) -> Result<Parts, ReadError> {
    // The lock is not held while the disk is read: the writer needs it for its answers.
    let size = fixed.shared.read().size();
    if entry.0 >= size {
        return Err(ReadError::NoEntry { entry, size });
    }
    let (envelope, position) = fixed.store.envelope(entry.0)?;
    let open = |sealed| opened(fixed, &envelope, sealed);
    let located = || fixed.store.moved().locate(&envelope).ok();
    loop {
        let before = located();
        let sealed = fixed.store.body(&envelope);
        match sealed.and_then(|sealed| sealed.map(open).transpose()) {
            Ok(record) => return Ok(Parts { envelope, position, record }),
            // A disposal took it away while it was being read.
            Err(_) if located() != before => {}
            Err(error) => return Err(error),
        }
    }
}

/// The whole ledger, as searches and the search index read it.
pub(crate) struct Whole<'a>(pub(crate) &'a Fixed);

impl Log for Whole<'_> {
    fn size(&self) -> u64 {
        self.0.shared.read().size()
    }

    fn entry(&self, number: u64) -> Result<Option<Entry>, ReadError> {
        match read(self.0, EntryNumber(number)) {
            Err(ReadError::NoEntry { .. } | ReadError::Disposed { .. }) => Ok(None),
            read => read.map(Some),
        }
    }
}

impl Feed for Fixed {
    fn size(&self) -> u64 {
        self.shared.read().size()
    }

    fn root(&self, size: u64) -> Result<Hash, ReadError> {
        let head = self.shared.read().clone();
        proofs::root_of(self.store.as_ref(), &head, size)
    }

    fn disposed(&self) -> Arc<Moved> {
        match self.store.look_wait() {
            Some(_) => self.store.moved(),
            None => Arc::default(),
        }
    }

    fn read(&self, from: u64, end: u64, each: &mut dyn FnMut(Fed)) -> Result<(), ReadError> {
        let mut next = from;
        while next < end {
            let moved = self.store.moved();
            for (envelope, record) in self.recent.take(next, end) {
                next = envelope.entry + 1;
                let record = moved.locate(&envelope).is_ok().then_some(record);
                each(Fed { envelope, record });
            }
            let until = self.recent.first().filter(|first| *first > next).unwrap_or(end).min(end);
            read_log(self, next, until, each)?;
            next = next.max(until);
        }
        Ok(())
    }
}

/// Gives entries as the log has them.
fn read_log(
    fixed: &Fixed,
    from: u64,
    end: u64,
    each: &mut dyn FnMut(Fed),
) -> Result<(), ReadError> {
    fixed.store.entries(from, end, &mut |envelope, sealed| {
        let open = |sealed| opened(fixed, &envelope, sealed);
        let record = match sealed.and_then(|sealed| sealed.map(open).transpose()) {
            Ok(record) => record,
            // A disposal may have taken it away meanwhile; else this says what is wrong.
            Err(_) => read_parts(fixed, EntryNumber(envelope.entry))?.record,
        };
        each(Fed { envelope, record: record.map(Arc::new) });
        Ok(())
    })
}
