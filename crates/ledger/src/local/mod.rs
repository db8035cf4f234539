//! A ledger in a folder: one process writes, any may read. `docs/formats/ledger.md` has every byte.
//!
//! Invariants: damage is refused and named; nothing is shortened silently. What is derived from
//! the log (positions, tiles) is checked by what it leads to, never believed, and made again.

mod append;
mod dispose;
mod handles;
mod load;
mod place;
mod positions;
mod published;
mod read;
mod run;
mod tiles;

use std::collections::BTreeMap;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
};

use keys::Random;
use keys::seal::SealingKey;

use crate::disk::DiskLock;
use crate::envelope::{Bucket, Envelope};
use crate::error::{AppendError, Damage, OpenError, ReadError};
use crate::identity::{Identity, LOCK, LOG};
use crate::merkle::Hash;
use crate::record::Position;
use crate::retention::Moved;
use crate::settings::{LedgerKeys, Settings};
use crate::source::{Ends, Pace};
use crate::store::{Derived, EachBody, EachEntry, Failure, Holding, Opened, Sealed, Store};
use crate::tiling::{Edges, Tiled};
use crate::verify::verify_running;

use handles::Handles;
pub(crate) use load::{check_stray, create, identity, key_name};
pub(crate) use place::Place;
use positions::Positions;
pub(crate) use published::{notes_of, parse_all};
use tiles::Tiles;

/// The folder of one ledger.
pub(crate) struct Local {
    place: Place,
    identity: Identity,
    /// The master under which buckets' keys are wrapped.
    master: SealingKey,
    segment_bytes: u64,
    reserve_bytes: u64,
    list_wait: std::time::Duration,
    random: Arc<dyn Random>,
    /// Held by the writer, beyond a failure and to its very end.
    lock: Weak<dyn DiskLock>,
    buckets: RwLock<BTreeMap<Bucket, SealingKey>>,
    moved: RwLock<Arc<Moved>>,
    edges: RwLock<Edges>,
    /// Where what is durable and in its place ends.
    ends: Mutex<Ends>,
    handles: Handles,
    positions: Positions,
    tiles: Tiles,
}

impl Local {
    pub(crate) fn new(
        place: &Place,
        settings: &Settings,
        identity: &Identity,
        keys: &LedgerKeys,
        random: Arc<dyn Random>,
        lock: &Arc<dyn DiskLock>,
    ) -> Self {
        Self {
            place: place.clone(),
            identity: identity.clone(),
            master: keys.body.clone(),
            segment_bytes: settings.segment_bytes,
            reserve_bytes: settings.reserve_bytes,
            list_wait: settings.list_wait,
            random,
            lock: Arc::downgrade(lock),
            buckets: RwLock::default(),
            moved: RwLock::default(),
            edges: RwLock::default(),
            ends: Mutex::default(),
            handles: Handles::new(place.clone()),
            positions: Positions::new(place.clone()),
            tiles: Tiles::new(place.clone()),
        }
    }

    fn buckets(&self) -> RwLockReadGuard<'_, BTreeMap<Bucket, SealingKey>> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn buckets_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<Bucket, SealingKey>> {
        self.buckets.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, if it still keeps other processes out of the folder.
    fn check_lock(&self) -> Result<Arc<dyn DiskLock>, AppendError> {
        let path = self.place.path(LOCK);
        let lock = self.lock.upgrade().ok_or(AppendError::Closed)?;
        match lock.in_place() {
            Ok(true) => Ok(lock),
            Ok(false) => Err(AppendError::Replaced { path }),
            Err(source) => {
                Err(AppendError::Disk { doing: "look at", path, source: Arc::new(source) })
            }
        }
    }
}

impl Tiled for Local {
    fn edges(&self) -> &RwLock<Edges> {
        &self.edges
    }

    fn leaves(&self, from: u64, count: u64) -> Result<Vec<Hash>, ReadError> {
        let leaf = |entry| self.find_envelope(entry).map(|(envelope, _, _)| envelope.leaf());
        (from..from + count).map(leaf).collect()
    }

    fn read_tile(&self, level: u32, number: u64) -> Result<Option<Vec<Hash>>, ReadError> {
        Ok(self.tiles.read(level, number))
    }

    fn write_tile(&self, level: u32, number: u64, hashes: &[Hash]) {
        self.tiles.write(level, number, hashes);
    }

    fn is_other_log(&self) -> ReadError {
        // The segments before the last have not been read yet, and one of them was changed.
        let what = "the log's entries are not those of its signed root; verify the ledger";
        ReadError::Damaged(Damage::new(LOG, 0, None, what))
    }
}

impl Store for Local {
    fn open(self: Arc<Self>) -> Result<Opened, OpenError> {
        // Opening writes, and so must not begin in a folder that is another process's by now.
        self.check_lock().map_err(|source| OpenError::Write { source })?;
        append::open(self)
    }

    fn envelope(&self, entry: u64) -> Result<(Envelope, Position), ReadError> {
        let (envelope, segment, offset) = self.find_envelope(entry)?;
        Ok((envelope, Position { file: segment.path(), offset }))
    }

    fn body(&self, envelope: &Envelope) -> Result<Option<Sealed>, ReadError> {
        match self.moved().locate(envelope) {
            Ok(bucket) => self.find_body(envelope, bucket).map(Some),
            Err(_disposed) => Ok(None),
        }
    }

    fn entries(&self, from: u64, end: u64, each: &mut EachEntry<'_>) -> Result<(), ReadError> {
        self.read_run(from, end, each)
    }

    fn verify(&self, size: u64, pace: &Pace<'_>) -> Option<Result<(), Damage>> {
        let ends = self.ends().clone();
        let (disk, folder) = (self.place.disk.as_ref(), &self.place.folder);
        Some(verify_running(disk, folder, size, &ends, pace).map(|_| ()))
    }

    fn key(&self, bucket: Bucket) -> Result<Option<SealingKey>, ReadError> {
        Ok(self.buckets().get(&bucket).cloned())
    }

    fn buckets(&self) -> Vec<Bucket> {
        self.buckets().keys().copied().collect()
    }

    fn moved(&self) -> Arc<Moved> {
        Arc::clone(&self.moved.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn envelopes(&self, each: &mut dyn FnMut(&Envelope)) -> Result<(), ReadError> {
        self.all_envelopes(each)
    }

    fn bodies(&self, bucket: Bucket, each: &mut EachBody<'_>) -> Result<(), ReadError> {
        self.all_bodies(bucket, each)
    }

    fn hold(&self, held: Bucket) -> Result<Box<dyn Holding + '_>, Failure> {
        self.begin_copy(held)
    }

    fn node(&self, level: u32, index: u64, derived: Derived) -> Result<Hash, ReadError> {
        self.find_node(level, index, derived)
    }
}
