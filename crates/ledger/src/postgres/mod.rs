//! A ledger in PostgreSQL, which any number of equal processes append to.
//!
//! Invariants: there is one log, for a batch is appended under the lock of the one row that is the
//! log's head, and only if that head is what the batch was drafted on. No process leads. What
//! others appended is read and held against its signature before it is built on. A commit that
//! got no answer is answered as not known, and the head tells later; nothing is sent a second time.
//! `docs/formats/ledger-postgres.md` describes the tables, decision 10 why they are so.

mod append;
mod dispose;
mod export;
mod fault;
mod follow;
mod import;
mod link;
mod objects;
mod open;
mod read;
mod reader;
mod schema;
mod seen;
mod tree;
mod verify;
mod whole;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use keys::Random;
use keys::seal::SealingKey;

use crate::capacity::Space;
use crate::envelope::{Bucket, Envelope};
use crate::error::{AppendError, Damage, OpenError, ReadError};
use crate::identity::Identity;
use crate::local::Place;
use crate::merkle::Hash;
use crate::record::Position;
use crate::retention::Moved;
use crate::shelving::Calls;
use crate::source::Pace;
use crate::store::{Derived, EachBody, EachEntry, Failure, Holding, Opened, Sealed, Store, Turn};
use crate::tiling::{Edges, Tiled};

pub use export::export_folder;
pub use fault::DatabaseError;
pub use import::import_folder;
pub use link::{Database, Dial, Dialling, Login, Stream, Waits};
pub(crate) use objects::places_of;
pub use objects::{ObjectError, ObjectStorage, Shelved};
pub(crate) use open::Found;

use link::{Address, Hands};
use objects::Objects;
use reader::Reader;

/// The ledger in one database.
pub(crate) struct Postgres {
    address: Address,
    hands: Hands,
    /// What is this machine's own: the newest checkpoint that it has seen.
    place: Place,
    identity: Identity,
    /// The master under which buckets' keys are wrapped.
    master: SealingKey,
    random: Arc<dyn Random>,
    /// The size that the database may have.
    bytes_max: Option<u64>,
    /// Where closed ranges go.
    objects: Option<Arc<Objects>>,
    /// The connection of those who read.
    reader: Mutex<Option<Arc<Reader>>>,
    buckets: RwLock<BTreeMap<Bucket, SealingKey>>,
    /// What was disposed of, as this process knows it.
    moved: RwLock<Arc<Moved>>,
    /// The right edge of the tree as this process knows it.
    edges: RwLock<Edges>,
}

impl Postgres {
    fn known_key(&self, bucket: Bucket) -> Option<SealingKey> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner).get(&bucket).cloned()
    }

    fn keep_key(&self, bucket: Bucket, key: &SealingKey) {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.insert(bucket, key.clone());
    }
}

impl Store for Postgres {
    fn open(self: Arc<Self>) -> Result<Opened, OpenError> {
        open::open(&self)
    }

    fn look_wait(&self) -> Option<Duration> {
        Some(self.address.waits.look)
    }

    fn envelope(&self, entry: u64) -> Result<(Envelope, Position), ReadError> {
        self.find_envelope(entry)
    }

    fn body(&self, envelope: &Envelope) -> Result<Option<Sealed>, ReadError> {
        let located = || self.moved_now().locate(envelope).ok();
        let Some(before) = located() else { return Ok(None) };
        match self.find_body(envelope, before) {
            // Another process may have disposed of it.
            Err(ReadError::Damaged(damage)) => {
                self.read_documents()?;
                match located() {
                    None => Ok(None),
                    Some(bucket) if bucket != before => self.find_body(envelope, bucket).map(Some),
                    Some(_) => Err(ReadError::Damaged(damage)),
                }
            }
            found => found.map(Some),
        }
    }

    fn entries(&self, from: u64, end: u64, each: &mut EachEntry<'_>) -> Result<(), ReadError> {
        self.read_run(from, end, each)
    }

    fn verify(&self, size: u64, pace: &Pace<'_>) -> Option<Result<(), Damage>> {
        Some(self.verify_all(size, pace))
    }

    fn room(&self) -> Result<Option<Space>, ReadError> {
        let Some(bytes) = self.bytes_max else { return Ok(None) };
        let used = self.database_bytes()?;
        Ok(Some(Space { bytes, free_bytes: bytes.saturating_sub(used), files: None }))
    }

    fn shelve_calls(&self) -> Option<(Duration, Arc<Calls>)> {
        self.objects.as_ref().map(|it| it.calls())
    }

    fn sweep(&self, now: Timestamp) -> u64 {
        self.sweep_daily(now)
    }

    fn shelve(&self, now: Timestamp, pace: &Pace<'_>) -> Result<Shelved, ReadError> {
        self.shelve_all(now, pace)
    }

    fn key(&self, bucket: Bucket) -> Result<Option<SealingKey>, ReadError> {
        self.find_key(bucket)
    }

    fn buckets(&self) -> Vec<Bucket> {
        self.all_buckets().unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the database did not tell its buckets");
            let known = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
            known.keys().copied().collect()
        })
    }

    fn moved(&self) -> Arc<Moved> {
        self.moved_now()
    }

    fn envelopes(&self, each: &mut dyn FnMut(&Envelope)) -> Result<(), ReadError> {
        self.all_envelopes(each)
    }

    fn bodies(&self, bucket: Bucket, each: &mut EachBody<'_>) -> Result<(), ReadError> {
        self.all_bodies(bucket, each)
    }

    fn turn(&self) -> Result<Turn, AppendError> {
        self.take_turn_to_retain().map_err(|error| AppendError::Database(Arc::new(error)))
    }

    fn try_turn(&self) -> Result<Option<Turn>, AppendError> {
        self.try_turn_to_retain().map_err(|error| AppendError::Database(Arc::new(error)))
    }

    fn hold(&self, held: Bucket) -> Result<Box<dyn Holding + '_>, Failure> {
        self.begin_copy(held)
    }

    fn node(&self, level: u32, index: u64, derived: Derived) -> Result<Hash, ReadError> {
        self.find_node(level, index, derived)
    }
}

impl From<DatabaseError> for ReadError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

/// Everything is to be opened and read again.
fn broken(error: DatabaseError) -> Failure {
    let is_unknown = matches!(error, DatabaseError::Unknown(_));
    let error = Arc::new(error);
    Failure::Broken(match is_unknown {
        true => AppendError::Unknown(error),
        false => AppendError::Database(error),
    })
}

/// Damage in a row of a table, as it is named: `frames/4096`.
fn damaged(table: &str, row: u64, entry: Option<u64>, what: &str) -> ReadError {
    ReadError::Damaged(Damage::new(&format!("{table}/{row}"), 0, entry, what))
}
