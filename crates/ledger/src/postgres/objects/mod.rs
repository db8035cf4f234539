//! Closed ranges of a log in PostgreSQL, in an object store instead of tables.
//!
//! Invariants: what left the tables lies in the store, was read back from there, and is named with its
//! digest in the table `objects`; in one transaction the row comes and the others go, and only while the
//! database itself finds that digest over them. An object is never written over. What is read is held
//! against its digest first. Appending needs no store. `docs/formats/ledger-postgres.md` has the layout.

mod error;
mod part;
mod read;
mod shelve;
mod sweep;
mod tables;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::ObjectStore;

pub use error::ObjectError;
pub(crate) use part::places_of;
pub use shelve::Shelved;
pub(super) use tables::{ASKS, TABLES_OF_3};

use super::link::Hands;
use crate::envelope::LedgerId;
use crate::shelf::{self, Kept, Shelf, ShelfError};
use crate::shelving::Calls;
use part::{Part, Whole};

/// The longest wait for one object on its way to the store, or from there.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Bytes of objects that are kept in memory, and at least two objects.
const CACHE_BYTES: usize = 16 << 20;

/// The object store of a ledger in PostgreSQL: where closed ranges go, and when.
#[derive(Clone)]
pub struct ObjectStorage {
    pub shelf: Arc<dyn Shelf>,
    /// How long what was recorded stays in the database at least.
    pub after: Duration,
    /// How many of the newest entries stay there however old they are; at least one.
    pub keep_entries: u64,
    /// Bytes from which on a range is full; one frame or body may go beyond.
    pub range_bytes: usize,
    /// Between two looks whether there is something to move.
    pub wait: Duration,
}

impl ObjectStorage {
    /// The defaults: ranges of 1 MiB, a week after they were recorded. What the tree's right edge is made
    /// of stays at hand, so that opening needs no store.
    pub fn new(shelf: Arc<dyn Shelf>) -> Self {
        let (after, wait) = (Duration::from_secs(7 * 24 * 3600), Duration::from_secs(300));
        Self { shelf, after, keep_entries: 1 << 16, range_bytes: 1 << 20, wait }
    }
}

impl std::fmt::Debug for ObjectStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectStorage").field("after", &self.after).finish_non_exhaustive()
    }
}

/// The store while a ledger is open.
pub(super) struct Objects {
    storage: ObjectStorage,
    /// Under which everything of this ledger lies.
    folder: String,
    /// Connections to the store live here, apart from those to the database.
    hands: Hands,
    cache: Mutex<VecDeque<Arc<Whole>>>,
    /// When what was disposed of was last looked for.
    swept: Mutex<Option<Timestamp>>,
    /// Calls the thread that moves.
    calls: Arc<Calls>,
}

impl Objects {
    pub(super) fn new(
        storage: ObjectStorage,
        ledger: &LedgerId,
    ) -> Result<Self, super::DatabaseError> {
        let (hands, folder) = (Hands::new()?, hex::encode(ledger));
        let (cache, swept, calls) = (Mutex::default(), Mutex::default(), Arc::default());
        Ok(Self { storage, folder, hands, cache, swept, calls })
    }

    /// The same store with connections of its own and nothing read yet, for one who believes nothing.
    pub(super) fn apart(&self) -> Result<Self, super::DatabaseError> {
        Ok(Self {
            storage: self.storage.clone(),
            folder: self.folder.clone(),
            hands: Hands::new()?,
            cache: Mutex::default(),
            swept: Mutex::default(),
            calls: Arc::clone(&self.calls),
        })
    }

    /// How often something is to be moved, and what calls before that.
    pub(super) fn calls(&self) -> (Duration, Arc<Calls>) {
        (self.storage.wait, Arc::clone(&self.calls))
    }

    /// Does some work with the store, and waits for it.
    fn run<T: Send + 'static>(
        &self,
        object: &str,
        work: impl Future<Output = Result<T, ShelfError>> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let done = self.hands.run("answer", WAIT_MAX, async move { Ok(work.await) });
        let done =
            done.map_err(|source| ObjectError::NoAnswer { object: object.to_owned(), source })?;
        Ok(done?)
    }

    /// Puts an object, locked until then, and reads it back.
    fn put(
        &self,
        path: &str,
        bytes: Vec<u8>,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Kept, ObjectError> {
        let (shelf, object) = (Arc::clone(&self.storage.shelf), path.to_owned());
        let work =
            async move { shelf::put(&*shelf, &object, Bytes::from(bytes), until, now).await };
        self.run(path, work)
    }

    /// An object of at most so many bytes; `None` if there is none.
    fn get(
        &self,
        path: &str,
        version: Option<&str>,
        max: u64,
    ) -> Result<Option<Vec<u8>>, ObjectError> {
        let (store, object) = (self.store(), path.to_owned());
        let version = version.map(str::to_owned);
        let work = async move { shelf::whole(&*store, &object, version.as_deref(), max).await };
        self.run(path, work)
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        self.storage.shelf.open()
    }

    fn cached(&self) -> MutexGuard<'_, VecDeque<Arc<Whole>>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read lately and has this entry.
    fn find_cached(&self, part: Part, entry: u64) -> Option<Arc<Whole>> {
        let cached = self.cached();
        let found = cached.iter().find(|it| it.range.part == part && it.range.has(entry));
        found.cloned()
    }

    fn keep(&self, whole: &Arc<Whole>) {
        let mut cached = self.cached();
        cached.push_front(Arc::clone(whole));
        let bytes = |all: &VecDeque<Arc<Whole>>| all.iter().map(|it| it.bytes.len()).sum::<usize>();
        while cached.len() > 2 && bytes(&cached) > CACHE_BYTES {
            cached.pop_back();
        }
    }

    /// Lets go of what was read of a bucket's bodies.
    pub(super) fn forget(&self, bucket: crate::envelope::Bucket) {
        self.cached().retain(|it| it.range.part != Part::Bodies(bucket));
    }
}
