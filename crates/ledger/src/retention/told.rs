//! What the log itself tells of holds and dispositions: read from the entries that are kept for
//! ever, each time it is asked for.
//!
//! Invariant: nothing beside the log counts here. Whoever deletes a document or a list lifts no
//! hold and undoes no disposal by it.

use jiff::Timestamp;

use super::{Hold, Statement};
use crate::body::{Body, body_aad};
use crate::envelope::{Bucket, Envelope};
use crate::error::{Damage, ReadError};
use crate::event::Event;
use crate::record::{EntryNumber, Position, StoredRecord};
use crate::shared::Fixed;

/// A disposal as the log tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    /// The entry that announced it, and when.
    pub started: EntryNumber,
    pub at: Timestamp,
    /// Who ordered it, by name; `None` is the platform itself.
    pub by: Option<String>,
    pub authority: String,
    pub statement: Statement,
    /// The entry that says that it is done.
    pub finished: Option<EntryNumber>,
    /// The entries that say that something of it was there again.
    pub returned: Vec<EntryNumber>,
}

/// Holds and dispositions, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    pub holds: Vec<Hold>,
    pub dispositions: Vec<Disposition>,
}

impl Told {
    /// The disposition of a bucket.
    pub fn disposition(&self, bucket: Bucket) -> Option<&Disposition> {
        self.dispositions.iter().find(|it| it.statement.bucket == bucket)
    }

    fn add(&mut self, entry: EntryNumber, at: Timestamp, record: StoredRecord) {
        let by = record.who.map(|who| who.name);
        match record.event {
            Event::HoldPlaced { hold, what, authority, until } => self.holds.push(Hold {
                name: hold,
                what,
                authority,
                until,
                placed: entry,
                placed_at: at,
                by,
                released: None,
            }),
            Event::HoldReleased { hold, .. } => {
                let held = self.holds.iter_mut().filter(|it| it.name == hold);
                held.filter(|it| it.released.is_none()).for_each(|it| it.released = Some(entry));
            }
            Event::DispositionStarted { statement, authority } => {
                let (started, finished, returned) = (entry, None, Vec::new());
                let one = Disposition { started, at, by, authority, statement, finished, returned };
                self.dispositions.push(one);
            }
            Event::Disposed { started, .. } => {
                let of = self.dispositions.iter_mut().find(|it| it.started.0 == started);
                of.into_iter().for_each(|it| it.finished = Some(entry));
            }
            Event::DisposedReturned { started, .. } => {
                let of = self.dispositions.iter_mut().find(|it| it.started.0 == started);
                of.into_iter().for_each(|it| it.returned.push(entry));
            }
            _other => {}
        }
    }
}

/// Whether [`Told`] is made of entries of this kind.
fn is_told(kind: u8) -> bool {
    use crate::kinds::{
        DISPOSED, DISPOSED_RETURNED, DISPOSITION_STARTED, HOLD_PLACED, HOLD_RELEASED,
    };
    let kinds = [HOLD_PLACED, HOLD_RELEASED, DISPOSITION_STARTED, DISPOSED, DISPOSED_RETURNED];
    kinds.iter().any(|it| it.code == kind)
}

/// Reads the entries that are kept for ever.
pub(crate) fn told(fixed: &Fixed) -> Result<Told, ReadError> {
    let (mut told, store) = (Told::default(), fixed.store.as_ref());
    if !store.buckets().contains(&Bucket::PERMANENT) {
        return Ok(told);
    }
    let size = fixed.shared.read().size();
    store.bodies(Bucket::PERMANENT, &mut |entry, sealed, place| {
        // What is on its way into the log is not in it yet.
        if entry >= size {
            return Ok(());
        }
        let (envelope, _) = store.envelope(entry)?;
        if is_told(envelope.kind) {
            let body = open(fixed, &envelope, Bucket::PERMANENT, sealed, &place)?;
            let record = record_in(&envelope, &body, &place)?;
            let at = envelope.at().ok_or_else(|| wrong(&place, entry, "it has no time"))?;
            told.add(EntryNumber(entry), at, record);
        }
        Ok(())
    })?;
    Ok(told)
}

fn wrong(place: &Position, entry: u64, what: &str) -> ReadError {
    ReadError::Damaged(Damage::new(&place.file, place.offset, Some(entry), what))
}

/// Opens a body that lies in `bucket`, and holds it against its envelope.
pub(crate) fn open(
    fixed: &Fixed,
    envelope: &Envelope,
    bucket: Bucket,
    sealed: &[u8],
    place: &Position,
) -> Result<Body, ReadError> {
    let wrong = |what| wrong(place, envelope.entry, what);
    let key = fixed.store.key(bucket)?;
    let key = key.ok_or_else(|| wrong("the key of the body's bucket is missing"))?;
    let plain = key.open(&body_aad(&envelope.ledger, envelope.entry, bucket), sealed);
    let plain = plain.map_err(|_| wrong("the body does not open with its bucket's key"))?;
    let body = Body::parse(&plain).ok_or_else(|| wrong("the opened body is malformed"))?;
    if !body.matches(envelope) {
        return Err(wrong("the body is not what the entry commits to"));
    }
    Ok(body)
}

/// The record in an opened body.
pub(crate) fn record_in(
    envelope: &Envelope,
    body: &Body,
    place: &Position,
) -> Result<StoredRecord, ReadError> {
    let what = "this version can't read the record in the body";
    serde_json::from_slice(&body.private).map_err(|_| wrong(place, envelope.entry, what))
}

/// Why an entry that is in the log has no body to be read.
pub(crate) fn disposed_of(fixed: &Fixed, envelope: &Envelope) -> ReadError {
    let (entry, size) = (EntryNumber(envelope.entry), fixed.shared.read().size());
    let Err(disposed) = fixed.store.moved().locate(envelope) else {
        return ReadError::NoEntry { entry, size };
    };
    let started = EntryNumber(disposed.entry);
    let at = match fixed.store.envelope(disposed.entry) {
        Ok((envelope, _)) => envelope.at(),
        Err(error) => return error,
    };
    let on = at.map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).date());
    let bucket = disposed.statement.bucket.name();
    let none = ReadError::NoEntry { entry, size };
    on.map_or(none, |on| ReadError::Disposed { entry, bucket, on, started })
}
