//! What others ask of a ledger's retention: to see it, to hold, to release, to dispose.
//!
//! Invariants: one of these at a time, so that no hold can come between a disposal's look at the
//! holds and its announcement. Each is in the log before it counts. Whether somebody may is decided
//! before, by the gate.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use jiff::{SignedDuration, Timestamp};

use super::told::told;
use super::{EpochMark, HoldName, HoldScope, Statement, Told, dispose};
use crate::envelope::Bucket;
use crate::error::{AppendError, ReadError};
use crate::event::Event;
use crate::ledger::Ledger;
use crate::record::{EntryNumber, Origin, Reason, Receipt, Record, Subject, Who};
use crate::search::Search;
use crate::store::Turn;

/// Longest text of an authority or a reason, in bytes.
pub const AUTHORITY_BYTES_MAX: usize = 2000;

/// From when to when before now, in days, an entry must have been recorded.
const LATELY_DAYS: (i64, i64) = (7, 40);

/// Who orders something, whence, why, and by what authority. Without a person it is the platform
/// itself, on its daily run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    pub who: Option<Who>,
    pub origin: Origin,
    pub why: Reason,
    pub authority: String,
}

/// What came of an order to dispose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposal {
    /// Key and bodies are gone. The entries that announced it and that say so.
    Done { started: EntryNumber, finished: EntryNumber, statement: Statement },
    /// Holds keep all of it, or it is empty.
    Nothing,
}

/// Why something was not held, released or disposed of.
#[derive(Debug, thiserror::Error)]
pub enum DisposeError {
    #[error("{} is not due before {due}", bucket.name())]
    NotDue { bucket: Bucket, due: Timestamp },
    #[error("what is kept for ever is never disposed of")]
    Permanent,
    #[error("there is no bucket {}", bucket.name())]
    NoBucket { bucket: Bucket },
    #[error("{} was disposed of, as entry {started} announced", bucket.name())]
    Already { bucket: Bucket, started: EntryNumber },
    #[error("holds have moved what is left of {} too often", bucket.name())]
    HeldTooOften { bucket: Bucket },
    #[error("holds keep too many single entries of {} to list them", bucket.name())]
    HeldTooMany { bucket: Bucket },
    #[error("a hold's name is 1 to 64 lower-case letters, digits or dashes")]
    HoldName,
    #[error("there was a hold `{name}` before: names are used once")]
    HoldExists { name: String },
    #[error("there is no hold `{name}`, or it was released")]
    NoHold { name: String },
    #[error("an authority or a reason has 1 to {AUTHORITY_BYTES_MAX} bytes")]
    Authority,
    #[error("a hold can't end before it begins")]
    Until,
    #[error("it could not be recorded")]
    Append(#[from] AppendError),
    #[error("the ledger could not be read")]
    Read(#[from] ReadError),
    /// It was announced, and is gone for every reader; but something of it is still there.
    #[error(
        "it is announced and no longer read, but not all of it could be destroyed yet: that is \
         tried again at the next disposal or start"
    )]
    Destroy(#[source] AppendError),
    /// It is destroyed, and only the entry that says so is missing.
    #[error(
        "it is destroyed, and the entry that says so could not be recorded yet: that is tried again at \
             the next disposal or start"
    )]
    Unconcluded(#[source] AppendError),
    #[error("the search index could not forget")]
    Index(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl DisposeError {
    /// Whether something may have been placed, released or destroyed all the same.
    #[must_use]
    pub fn may_have_acted(&self) -> bool {
        match self {
            // What was announced is carried out at the next start, even if it could not be read just then.
            Self::Destroy(_) | Self::Unconcluded(_) | Self::Index(_) | Self::Read(_) => true,
            Self::Append(error) => error.is_unknown() || matches!(error, AppendError::Closed),
            Self::NotDue { .. }
            | Self::Permanent
            | Self::NoBucket { .. }
            | Self::Already { .. }
            | Self::HeldTooOften { .. }
            | Self::HeldTooMany { .. }
            | Self::HoldName
            | Self::HoldExists { .. }
            | Self::NoHold { .. }
            | Self::Authority
            | Self::Until => false,
        }
    }
}

/// What lies in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketState {
    pub bucket: Bucket,
    /// Entries whose bodies lie in it.
    pub entries: u64,
    /// When it may be disposed of; `None` is never.
    pub due: Option<Timestamp>,
}

/// All of a ledger's retention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// By class and month.
    pub buckets: Vec<BucketState>,
    pub told: Told,
}

impl Overview {
    /// The buckets that may be disposed of at `now`.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &BucketState> {
        self.buckets.iter().filter(move |it| it.due.is_some_and(|due| due <= now))
    }
}

impl Ledger {
    /// Buckets, holds and dispositions. Reads the whole log to count: not for every page.
    pub fn retention(&self) -> Result<Overview, ReadError> {
        let (fixed, _, _) = self.retaining();
        let (store, moved) = (fixed.store.as_ref(), fixed.store.moved());
        let mut counts: BTreeMap<Bucket, u64> =
            store.buckets().into_iter().map(|bucket| (bucket, 0)).collect();
        store.envelopes(&mut |envelope| {
            if let Ok(bucket) = moved.locate(envelope) {
                *counts.entry(bucket).or_default() += 1;
            }
        })?;
        let state =
            |(bucket, entries): (Bucket, u64)| BucketState { bucket, entries, due: bucket.due() };
        Ok(Overview { buckets: counts.into_iter().map(state).collect(), told: told(fixed)? })
    }

    /// Holds and dispositions, as the log tells of them.
    pub fn holds_and_dispositions(&self) -> Result<Told, ReadError> {
        told(self.retaining().0)
    }

    /// The scope of a hold on a person, vehicle, case or document: its marks under all index keys
    /// that are there, for the identifier itself is nowhere.
    pub fn hold_on(&self, subject: &Subject) -> HoldScope {
        let marks = self.retaining().0.keys.index.marks(subject);
        let marked = |(epoch, mark)| EpochMark { epoch, mark: hex::encode::<[u8; 32]>(mark) };
        let marks = marks.into_iter().map(marked).collect();
        HoldScope::Subject { kind: subject.kind.clone(), marks }
    }

    /// Places a hold. From when this returns nothing that it covers is disposed of. Blocks.
    pub fn place_hold(
        &self,
        name: &str,
        what: HoldScope,
        until: Option<Timestamp>,
        order: Order,
    ) -> Result<Receipt, DisposeError> {
        let (fixed, queue, one) = self.retaining();
        let _one = one.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _turn = self.take_turn()?;
        // What was announced before is done before, or the hold is refused: else a hold that counts
        // would be broken by what an earlier disposal left to do.
        dispose::resume(queue, self.index())?;
        HoldName::from_str(name).map_err(|_| DisposeError::HoldName)?;
        check_authority(&order.authority)?;
        if until.is_some_and(|until| until <= fixed.clock.now()) {
            return Err(DisposeError::Until);
        }
        if told(fixed)?.holds.iter().any(|hold| hold.name == name) {
            return Err(DisposeError::HoldExists { name: name.to_owned() });
        }
        let Order { who, origin, why, authority } = order;
        let event = Event::HoldPlaced { hold: name.to_owned(), what, authority, until };
        let record = Record { who, origin, why, subjects: Vec::new(), event };
        Ok(self.enqueue_own(record)?.wait()?)
    }

    /// Releases a hold; the order's authority is the reason. Blocks.
    pub fn release_hold(&self, name: &str, order: Order) -> Result<Receipt, DisposeError> {
        let (fixed, _, one) = self.retaining();
        let _one = one.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _turn = self.take_turn()?;
        check_authority(&order.authority)?;
        let holds = told(fixed)?.holds;
        if !holds.iter().any(|hold| hold.name == name && hold.released.is_none()) {
            return Err(DisposeError::NoHold { name: name.to_owned() });
        }
        let Order { who, origin, why, authority } = order;
        let event = Event::HoldReleased { hold: name.to_owned(), reason: authority };
        let record = Record { who, origin, why, subjects: Vec::new(), event };
        Ok(self.enqueue_own(record)?.wait()?)
    }

    /// Disposes of a bucket that is due: see the module. Blocks until it is done.
    pub fn dispose(&self, bucket: Bucket, order: Order) -> Result<Disposal, DisposeError> {
        let (fixed, queue, one) = self.retaining();
        let _one = one.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        check_authority(&order.authority)?;
        let _turn = self.take_turn()?;
        dispose::resume(queue, self.index())?;
        dispose::dispose((fixed, queue, self.index()), bucket, order)
    }

    /// Whether the clock can be trusted with what is due: some entry was recorded in the weeks before
    /// the last one. A clock that jumped far ahead would make everything due at once, and its own
    /// records are of the last days only. After a longer pause a person must order disposals for a
    /// week.
    ///
    /// # Errors
    /// [`ReadError`] where the entries can't be searched.
    pub fn has_recorded_lately(&self, now: Timestamp) -> Result<bool, ReadError> {
        let before = |days: i64| now.checked_sub(SignedDuration::from_hours(days * 24)).ok();
        let (from, to) = (before(LATELY_DAYS.1), before(LATELY_DAYS.0));
        let search = Search { from, to, ..Search::newest(1) };
        Ok(!self.search(&search)?.entries.is_empty())
    }

    /// Keeps other processes that share the log from all this, and reads what they recorded.
    fn take_turn(&self) -> Result<Turn, AppendError> {
        let turn = self.retaining().0.store.turn()?;
        self.follow_now()?;
        Ok(turn)
    }

    /// Finishes disposals that were cut short, and disposes again of what came back. Blocks.
    pub fn finish_disposals(&self) -> Result<(), DisposeError> {
        let (_, queue, one) = self.retaining();
        let _one = one.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _turn = self.take_turn()?;
        dispose::resume(queue, self.index())
    }
}

fn check_authority(text: &str) -> Result<(), DisposeError> {
    let sound = !text.trim().is_empty() && text.len() <= AUTHORITY_BYTES_MAX;
    if sound { Ok(()) } else { Err(DisposeError::Authority) }
}
