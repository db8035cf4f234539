//! The open ledger: what other rooms hold.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use keys::{Clock, Random};
use tokio::sync::oneshot;

use crate::background::{Background, LastVerification};
use crate::capacity::{Capacity, Watch};
use crate::disk::{Disk, DiskLock, SystemDisk};
use crate::error::{AppendError, Damage, OpenError, ReadError};
use crate::identity::INDEX;
use crate::index::{Follower, Index, IndexPlace, IndexState, Shape};
use crate::merkle::{CompactRange, Hash};
use crate::opening::Opening;
use crate::postgres::{Database, Shelved};
use crate::proofs;
use crate::queue::{Pending, Queue};
use crate::reading::{Whole, read};
use crate::record::{Blind, Entry, EntryNumber, Receipt, Record, Subject};
use crate::search::{Page, Search};
use crate::settings::{LedgerKeys, Settings, mark};
use crate::shared::{Fixed, Health};
use crate::shelving::Shelving;
use crate::store::{Head, Opened};
use crate::watched::Watched;
use crate::writer::{Writer, halves, stored};

/// An open ledger. Clones share it; it closes when the last of them is dropped.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    fixed: Arc<Fixed>,
    queue: Arc<Queue>,
    index: Arc<Index>,
    follower: Follower,
    watch: Watch,
    shelving: Shelving,
    /// Held while holds are changed or something is disposed of.
    retaining: Arc<Mutex<()>>,
    background: Arc<Background>,
    thread: Mutex<Option<JoinHandle<Result<(), AppendError>>>>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({}, {} entries)", self.0.fixed.identity.origin, self.size())
    }
}

impl Ledger {
    /// Opens the ledger in the folder; creates it if there is none. What a crash left half
    /// written is mended; damage is refused and named.
    pub fn open_or_create(
        settings: Settings,
        keys: LedgerKeys,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(SystemDisk), settings, keys, clock, random)
    }

    /// As [`Self::open_or_create`], on a disk that a test owns.
    #[doc(hidden)]
    pub fn open_on(
        disk: Arc<dyn Disk>,
        settings: Settings,
        keys: LedgerKeys,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, OpenError> {
        let batch = settings.batch_entries_max();
        Self::open_by(disk, settings, keys, clock, random, batch)
    }

    /// As [`Self::open_on`], with so many entries in a batch at most.
    pub(crate) fn open_by(
        disk: Arc<dyn Disk>,
        settings: Settings,
        keys: LedgerKeys,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        batch: usize,
    ) -> Result<Self, OpenError> {
        let opening = Opening::begin(disk, settings, keys, (clock, random), batch)?;
        opening.local()
    }

    /// Opens the ledger that this database has, and that any number of equal processes append to;
    /// creates it if there is none. The folder is for what is this process's own: the search
    /// index, and what it has seen of the log.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_shared(
        database: Database,
        settings: Settings,
        keys: LedgerKeys,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, OpenError> {
        let (disk, batch) = (Arc::new(SystemDisk), settings.batch_entries_max());
        let opening = Opening::begin(disk, settings, keys, (clock, random), batch)?;
        opening.shared(database)
    }

    pub(crate) fn start(
        fixed: Arc<Fixed>,
        open: Opened,
        lock: Arc<dyn DiskLock>,
        batch: usize,
    ) -> Result<Self, OpenError> {
        let queue = Arc::new(Queue::new(fixed.settings.queue_max, fixed.settings.append_wait_max));
        let index = Arc::new(index_of(&fixed));
        let follows = Arc::clone(&index);
        let writer = Writer::new(Arc::clone(&fixed), Arc::clone(&queue), open, lock, follows);
        let thread = std::thread::Builder::new().name("ledger".to_owned());
        let thread = thread.spawn(move || writer.run(batch));
        let failed = |doing| {
            let path = fixed.settings.folder.clone();
            move |source| OpenError::Disk { doing, path, source }
        };
        let thread = thread.map_err(failed("start the writer of"))?;
        let feed = Arc::clone(&fixed);
        let follower = Follower::start(Arc::clone(&index), feed);
        let follower = follower.map_err(failed("start the search index of"))?;
        let watch = Watch::start(&fixed, &queue).map_err(failed("start the watch over"))?;
        let shelving = Shelving::start(&fixed).map_err(failed("start what moves ranges of"))?;
        Ok(Self(Arc::new(Inner {
            fixed,
            queue,
            index,
            follower,
            watch,
            shelving,
            retaining: Arc::default(),
            background: Arc::default(),
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// Queues a record, which fixes its place in the order, without waiting for the disk. It goes
    /// on to be written whatever the caller does.
    pub fn enqueue(&self, record: Record) -> Result<Pending, AppendError> {
        if record.event.is_retention() {
            return Err(AppendError::Reserved { kind: record.event.kind() });
        }
        self.enqueue_own(record)
    }

    pub(crate) fn enqueue_own(&self, record: Record) -> Result<Pending, AppendError> {
        enqueue(&self.0.fixed, &self.0.queue, record)
    }

    /// Records, and is durable on return. A caller that goes away does not cancel it, nor does
    /// one who was told that the disk does not answer.
    pub async fn append(&self, record: Record) -> Result<Receipt, AppendError> {
        self.enqueue(record)?.durable().await
    }

    /// The longest record that is taken, in bytes of JSON with its subjects' marks.
    pub fn record_bytes_max(&self) -> usize {
        self.0.fixed.settings.record_bytes_max()
    }

    /// A subject's mark under the newest index key, as it is stored.
    pub fn blind(&self, subject: &Subject) -> [u8; 32] {
        mark(self.0.fixed.keys.index.newest().1, subject)
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.head().size()
    }

    /// The ledger's name to the world.
    pub fn origin(&self) -> &str {
        &self.0.fixed.identity.origin
    }

    /// The verifier key (C2SP) under which checkpoints are signed.
    pub fn verifier_key(&self) -> String {
        self.0.fixed.identity.key.to_string()
    }

    pub fn health(&self) -> Health {
        if let Some(stop) = self.0.fixed.watched.stopped() {
            return Health::Stalled { since: stop.at, why: stop.words() };
        }
        self.0.fixed.health()
    }

    /// How full the ledger's volume is, as of the last look at it; `None` before the first, and on
    /// a disk that does not tell.
    pub fn capacity(&self) -> Option<Capacity> {
        let [volume, _] = self.0.watch.capacity();
        volume
    }

    /// How full the ledger's database is, of the size that it was given; `None` where it was given none, and
    /// without a database.
    pub fn database_capacity(&self) -> Option<Capacity> {
        let [_, database] = self.0.watch.capacity();
        database
    }

    #[cfg(test)]
    pub(crate) fn looks(&self) -> crate::capacity::Looks {
        crate::capacity::Looks::new(Arc::clone(&self.0.fixed), Arc::clone(&self.0.queue))
    }

    /// The tree as it stands, and the signed checkpoint (C2SP note) of just this tree.
    pub fn signed_tree(&self) -> (CompactRange, String) {
        let head = self.head();
        (head.tree.clone(), self.0.fixed.note(&head))
    }

    /// Records that wait for the disk.
    pub fn waiting(&self) -> usize {
        self.0.queue.waiting()
    }

    /// The signed checkpoint (C2SP note) for the ledger as it stands.
    pub fn checkpoint(&self) -> Result<String, ReadError> {
        Ok(self.0.fixed.checkpoint())
    }

    pub(crate) fn retaining(&self) -> (&Arc<Fixed>, &Queue, &Mutex<()>) {
        (&self.0.fixed, &self.0.queue, &self.0.retaining)
    }

    pub(crate) fn index(&self) -> &Index {
        &self.0.index
    }

    pub(crate) fn watched(&self) -> &Watched {
        &self.0.fixed.watched
    }

    /// Reads the newest head of a log that is shared. Where it is not, this process has it already.
    /// Waits for the database.
    pub(crate) fn follow_now(&self) -> Result<(), AppendError> {
        if self.0.fixed.store.look_wait().is_none() {
            return Ok(());
        }
        let (sender, receiver) = oneshot::channel();
        self.0.queue.put_task(Box::new(move |writer| {
            if sender.send(writer.look()).is_err() {
                tracing::debug!("nobody waits for the newest head any more");
            }
        }))?;
        receiver.blocking_recv().unwrap_or(Err(AppendError::Closed))
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.0.fixed.clock.now()
    }

    /// The root of the tree of the first `size` entries, if there are so many and they can be read.
    pub(crate) fn root_of(&self, size: u64) -> Option<Hash> {
        let head = self.head().clone();
        proofs::root_of(self.0.fixed.store.as_ref(), &head, size).ok()
    }

    fn head(&self) -> std::sync::RwLockReadGuard<'_, Head> {
        self.0.fixed.shared.read()
    }

    /// The inclusion proof (RFC 9162 §2.1.3) of an entry in the tree of the first `size` entries.
    pub fn prove(&self, entry: EntryNumber, size: u64) -> Result<Vec<Hash>, ReadError> {
        let head = self.head().clone();
        proofs::prove_inclusion(self.0.fixed.store.as_ref(), &head, entry.0, size)
    }

    /// The proof (RFC 9162 §2.1.4) that the tree of `new` entries begins with that of `old`.
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ReadError> {
        let head = self.head().clone();
        proofs::prove_consistency(self.0.fixed.store.as_ref(), &head, old, new)
    }

    /// Reads an entry, and holds it against what its leaf commits to.
    pub fn read(&self, entry: EntryNumber) -> Result<Entry, ReadError> {
        read(&self.0.fixed, entry)
    }

    /// Finds entries, newest first. All that is given must hold. The page says what it may lack.
    pub fn search(&self, search: &Search) -> Result<Page, ReadError> {
        let log = Whole(&self.0.fixed);
        crate::search::find(&log, &self.0.index, &self.0.fixed.keys.index, search)
    }

    /// How far the search index covers the ledger, and what it is doing.
    pub fn index_state(&self) -> IndexState {
        self.0.index.state()
    }

    /// Throws the search index away and has it built anew, in the background.
    pub fn rebuild_index(&self) {
        self.0.index.doubt("that was asked for");
    }

    /// Verifies the whole ledger in the background, now and every so often. Damage stops it: no
    /// record is taken any more, and [`Self::health`] says why.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn verify_every(&self, every: std::time::Duration) -> std::io::Result<()> {
        let (fixed, queue) = (Arc::clone(&self.0.fixed), Arc::clone(&self.0.queue));
        let damaged = move |damage: &Damage| {
            let why = format!("the ledger is damaged: {damage}");
            tracing::error!(why, "the ledger was found to be damaged and is stopped");
            record_stall(&fixed, &queue, &why);
            fixed.shared.stop(fixed.clock.now(), &why);
        };
        let (fixed, quiet) = (Arc::clone(&self.0.fixed), Arc::clone(&self.0.retaining));
        self.0.background.start(fixed, every, quiet, damaged)
    }

    /// Moves what is closed of a shared ledger to its object store, at once; happens in the background too.
    ///
    /// # Errors
    /// [`ReadError`]; what was not moved stays in the database.
    pub fn shelve(&self) -> Result<Shelved, ReadError> {
        self.0.fixed.store.shelve(self.now(), &|| Ok(()))
    }

    /// What the last verification in the background found; `None` before the first ended.
    pub fn last_verification(&self) -> Option<LastVerification> {
        self.0.background.last()
    }

    /// Verifies the whole ledger as it stands, at once; `None` if the ledger was closed meanwhile.
    pub fn verify(&self) -> Option<LastVerification> {
        self.0.background.once(&self.0.fixed, 1)
    }

    /// Lets nothing more in, writes what waits, and gives the folder free.
    pub fn close(&self) -> Result<(), AppendError> {
        self.0.close()
    }
}

/// Records that the ledger stalls, while it still can, and waits for that.
fn record_stall(fixed: &Fixed, queue: &Queue, why: &str) {
    let record = Record::platform(crate::Event::LedgerStalled { reason: why.to_owned() });
    let written = enqueue(fixed, queue, record).and_then(Pending::wait);
    if let Err(error) = written {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "that the ledger stalls could not be recorded in it");
    }
}

/// As [`Ledger::enqueue`].
pub(crate) fn enqueue(
    fixed: &Fixed,
    queue: &Queue,
    record: Record,
) -> Result<Pending, AppendError> {
    fixed.check_stopped()?;
    if fixed.shared.hangs_since(fixed.settings.append_wait_max).is_some() {
        return Err(AppendError::no_answer(fixed.settings.append_wait_max));
    }
    let (epoch, key) = fixed.keys.index.newest();
    let blind = |it: &Subject| Blind { kind: it.kind.clone(), mark: mark(key, it) };
    let mut subjects: Vec<Blind> = record.subjects.iter().map(blind).collect();
    subjects.sort_unstable();
    subjects.dedup();
    let record = stored(record, subjects, epoch);
    let halves = halves(&record).map_err(|source| AppendError::Encode(Arc::new(source)))?;
    let (bytes, max) = (halves.0.len() + halves.1.len(), fixed.settings.record_bytes_max());
    if bytes > max {
        return Err(AppendError::TooLarge { bytes, max });
    }
    queue.put(record, halves, fixed.clock.as_ref())
}

/// The index beside the log; in memory where the log is.
fn index_of(fixed: &Fixed) -> Index {
    let real = fixed.place.disk.is_real();
    let place = if real { IndexPlace::File(fixed.place.path(INDEX)) } else { IndexPlace::Memory };
    Index::new(fixed.identity.id, fixed.keys.index.clone(), place, Shape::default())
}

impl Inner {
    fn close(&self) -> Result<(), AppendError> {
        self.queue.close();
        // The lock on the folder goes with the writer: by then nobody else may touch the index.
        self.follower.close();
        self.watch.close();
        self.shelving.close();
        self.background.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread.map_or(Ok(()), |thread| thread.join().unwrap_or(Err(AppendError::Closed)))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the ledger did not close cleanly");
        }
    }
}
