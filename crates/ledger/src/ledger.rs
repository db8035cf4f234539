//! The open ledger: what other rooms hold.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use keys::seal::SealingKey;
use keys::{Clock, Random};

use crate::disk::{Disk, DiskLock, SystemDisk};
use crate::error::{AppendError, Damage, OpenError, ReadError};
use crate::event::KINDS;
use crate::identity::LOCK;
use crate::journal::Segment;
use crate::load::{Loaded, identity, load};
use crate::memory::{BodyAt, Memory, Row, short_mark};
use crate::merkle::{CompactRange, Hash, consistency_proof, inclusion_proof, root_at};
use crate::place::{Failure, Place};
use crate::queue::{Pending, Queue};
use crate::reading::{Hashes, envelope_at, read_body, read_envelope};
use crate::record::{Blind, Entry, EntryNumber, Position, Receipt, Record, Subject};
use crate::search::{PAGE_ENTRIES_MAX, Page, Search};
use crate::settings::{LedgerKeys, Settings};
use crate::watched::{WITNESS, Watched};
use crate::writer::{Fixed, Health, Shared, Writer, halves, stored};

/// An open ledger. Clones share it; it closes when the last of them is dropped.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    fixed: Arc<Fixed>,
    queue: Arc<Queue>,
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
        settings.check()?;
        let place = Place { disk, folder: settings.folder.clone() };
        let failed = |doing, path| move |source| OpenError::Disk { doing, path, source };
        let created = place.disk.create_folder(&place.folder);
        created.map_err(failed("create", place.folder.clone()))?;
        let lock = place.path(LOCK);
        let locked = place.disk.lock(&lock).map_err(failed("lock", lock))?;
        let in_use = || OpenError::InUse { folder: place.folder.clone() };
        let lock = locked.ok_or_else(in_use)?;

        let identity = identity(&place, &settings, &keys, clock.as_ref(), random.as_ref())?;
        let mut loaded = load(&place, &identity, &keys)?;
        let now = clock.now();
        let watched = Watched::open(&place, &settings.witnessing, &identity.key, now)?;
        watched.hold(loaded.memory.size(), &mut |size| {
            let mut hashes = Hashes::new(&place, &identity.id, &loaded.memory);
            let root = root_at(size, &mut |level, index| hashes.read(level, index));
            root.map_err(|error| match error {
                ReadError::Damaged(damage) => OpenError::Damaged(damage),
                ReadError::Disk { path, source } => OpenError::Disk { doing: "read", path, source },
                ReadError::NoEntry { .. } | ReadError::NoSize { .. } => {
                    let what = "the log does not have the cosigned tree";
                    OpenError::Damaged(Damage::new(WITNESS, 0, None, what))
                }
            })
        })?;
        let memory = std::mem::take(&mut loaded.memory).into();
        let shared = Shared { memory, health: Mutex::new(Health::Recording) };
        let fixed = Fixed { place, settings, keys, identity, clock, random, shared, watched };
        Self::start(Arc::new(fixed), &loaded, lock, batch)
    }

    fn start(
        fixed: Arc<Fixed>,
        loaded: &Loaded,
        lock: Arc<dyn DiskLock>,
        batch: usize,
    ) -> Result<Self, OpenError> {
        let queue = Arc::new(Queue::new(fixed.settings.queue_max));
        let open = crate::commit::Open::new(&fixed, loaded, &lock).map_err(|failure| {
            let (Failure::Refused(error) | Failure::Broken(error)) = failure;
            OpenError::Write { source: error }
        })?;
        let writer = Writer::new(Arc::clone(&fixed), Arc::clone(&queue), open, lock);
        let thread = std::thread::Builder::new().name("ledger".to_owned());
        let thread = thread.spawn(move || writer.run(batch));
        let folder = fixed.settings.folder.clone();
        let thread = thread.map_err(|source| OpenError::Disk {
            doing: "start the writer of",
            path: folder,
            source,
        })?;
        Ok(Self(Arc::new(Inner { fixed, queue, thread: Mutex::new(Some(thread)) })))
    }

    /// Queues a record, which fixes its place in the order, without waiting for the disk. It goes
    /// on to be written whatever the caller does.
    pub fn enqueue(&self, record: Record) -> Result<Pending, AppendError> {
        if let Some(stop) = self.0.fixed.watched.stopped() {
            return Err(AppendError::Stopped { why: stop.words() });
        }
        let blind = |it: &Subject| Blind { kind: it.kind.clone(), mark: self.blind(it) };
        let mut subjects: Vec<Blind> = record.subjects.iter().map(blind).collect();
        subjects.sort_unstable();
        subjects.dedup();
        let record = stored(record, subjects);
        let halves = halves(&record).map_err(|source| AppendError::Encode(Arc::new(source)))?;
        let (bytes, max) = (halves.0.len() + halves.1.len(), self.record_bytes_max());
        if bytes > max {
            return Err(AppendError::TooLarge { bytes, max });
        }
        self.0.queue.put(record, halves, self.0.fixed.clock.as_ref())
    }

    /// Records, and is durable on return. A caller that goes away does not cancel it.
    pub async fn append(&self, record: Record) -> Result<Receipt, AppendError> {
        self.enqueue(record)?.durable().await
    }

    /// The longest record that is taken, in bytes of JSON with its subjects' marks.
    pub fn record_bytes_max(&self) -> usize {
        self.0.fixed.settings.record_bytes_max()
    }

    /// A subject's mark, by which its entries are found.
    pub fn blind(&self, subject: &Subject) -> [u8; 32] {
        let index = &self.0.fixed.keys.index;
        index.tag(&[subject.kind.as_bytes(), &[0], subject.id.as_bytes()])
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.memory().size()
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
        self.0.fixed.shared.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tree as it stands, and the signed checkpoint (C2SP note) of just this tree.
    pub fn signed_tree(&self) -> (CompactRange, String) {
        let memory = self.memory();
        (memory.tree.clone(), self.0.fixed.note(&memory))
    }

    /// Records that wait for the disk.
    pub fn waiting(&self) -> usize {
        self.0.queue.waiting()
    }

    /// The signed checkpoint (C2SP note) for the ledger as it stands.
    pub fn checkpoint(&self) -> Result<String, ReadError> {
        Ok(self.0.fixed.checkpoint())
    }

    pub(crate) fn watched(&self) -> &Watched {
        &self.0.fixed.watched
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.0.fixed.clock.now()
    }

    /// The root of the tree of the first `size` entries, if there are so many and they can be read.
    pub(crate) fn root_of(&self, size: u64) -> Option<Hash> {
        let memory = self.memory();
        if size > memory.size() {
            return None;
        }
        let mut hashes = Hashes::new(&self.0.fixed.place, self.id(), &memory);
        root_at(size, &mut |level, at| hashes.read(level, at)).ok()
    }

    fn memory(&self) -> std::sync::RwLockReadGuard<'_, Memory> {
        self.0.fixed.shared.read()
    }

    fn id(&self) -> &crate::envelope::LedgerId {
        &self.0.fixed.identity.id
    }

    /// The inclusion proof (RFC 9162 §2.1.3) of an entry in the tree of the first `size` entries.
    pub fn prove(&self, entry: EntryNumber, size: u64) -> Result<Vec<Hash>, ReadError> {
        let memory = self.memory();
        let have = memory.size();
        if size > have {
            return Err(ReadError::NoSize { size, have });
        }
        let mut hashes = Hashes::new(&self.0.fixed.place, self.id(), &memory);
        let proof = inclusion_proof(entry.0, size, &mut |level, at| hashes.read(level, at))?;
        proof.ok_or(ReadError::NoEntry { entry, size })
    }

    /// The proof (RFC 9162 §2.1.4) that the tree of `new` entries begins with that of `old`.
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ReadError> {
        let memory = self.memory();
        let have = memory.size();
        if new > have {
            return Err(ReadError::NoSize { size: new, have });
        }
        let mut hashes = Hashes::new(&self.0.fixed.place, self.id(), &memory);
        let proof = consistency_proof(old, new, &mut |level, at| hashes.read(level, at))?;
        proof.ok_or(ReadError::NoSize { size: old, have })
    }

    /// Reads an entry, and holds it against what its leaf commits to.
    pub fn read(&self, entry: EntryNumber) -> Result<Entry, ReadError> {
        let place = &self.0.fixed.place;
        // The lock is not held while the disk is read: the writer needs it for its answers.
        let Located { segment, offset, body, key } = self.locate(entry)?;
        let envelope = read_envelope(place, self.id(), segment, offset, entry.0)?;
        let (_, record) = read_body(place, &envelope, body, &key)?;
        Ok(Entry {
            number: entry,
            at: envelope.at().ok_or(ReadError::NoEntry { entry, size: entry.0 })?,
            clock_stepped_back: envelope.stepped_back,
            record,
            leaf: envelope.leaf(),
            position: Position { file: segment.path(), offset },
        })
    }

    fn locate(&self, entry: EntryNumber) -> Result<Located, ReadError> {
        let memory = self.memory();
        let none = || ReadError::NoEntry { entry, size: memory.size() };
        let (segment, offset) = envelope_at(&memory, entry.0).ok_or_else(none)?;
        let body = memory.row(entry.0).and_then(|row| row.body).ok_or_else(none)?;
        let (_, key) = memory.buckets.get(usize::from(body.bucket)).ok_or_else(none)?;
        Ok(Located { segment, offset, body, key: key.clone() })
    }

    /// Finds entries, newest first. All that is given must hold.
    pub fn search(&self, search: &Search) -> Result<Page, ReadError> {
        let limit = usize::try_from(search.limit.min(PAGE_ENTRIES_MAX)).unwrap_or(0);
        let mark = search.subject.as_ref().map(|subject| self.blind(subject));
        let mut page = Page { entries: Vec::new(), more: false };
        let mut before = search.before.map_or(u64::MAX, |before| before.0);
        loop {
            let found = self.candidates(search, mark.as_ref(), before, limit + 1);
            let last = found.len() <= limit;
            for number in found {
                let entry = self.read(EntryNumber(number))?;
                before = number;
                // A candidate shares the first bytes of its mark; the body has the whole mark.
                let is_about = |mark| entry.record.subjects.iter().any(|it| it.mark == mark);
                if mark.is_some_and(|mark| !is_about(mark)) {
                    continue;
                }
                if page.entries.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                page.entries.push(entry);
            }
            if last {
                return Ok(page);
            }
        }
    }

    /// The numbers of up to `most` entries that fit, newest first.
    fn candidates(
        &self,
        search: &Search,
        mark: Option<&[u8; 32]>,
        before: u64,
        most: usize,
    ) -> Vec<u64> {
        let memory = self.memory();
        let Some(wanted) = Wanted::new(search, &memory) else { return Vec::new() };
        let end = before.min(memory.size());
        let fits = |entry: &u64| memory.row(*entry).is_some_and(|row| wanted.fits(row));
        match mark.map(short_mark) {
            None => (0..end).rev().filter(fits).take(most).collect(),
            Some(short) => {
                let hits = memory.marks.iter().rev().filter(|(mark, _)| *mark == short);
                let hits = hits.map(|(_, entry)| *entry).filter(|entry| *entry < end);
                let mut hits: Vec<u64> = hits.filter(fits).take(most + 1).collect();
                hits.dedup();
                hits.truncate(most);
                hits
            }
        }
    }

    /// Lets nothing more in, writes what waits, and gives the folder free.
    pub fn close(&self) -> Result<(), AppendError> {
        self.0.close()
    }
}

/// Where an entry lies, and the key that opens it.
struct Located {
    segment: Segment,
    offset: u64,
    body: BodyAt,
    key: SealingKey,
}

impl Inner {
    fn close(&self) -> Result<(), AppendError> {
        self.queue.close();
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

/// A search in numbers. `None` where a name is asked for that no entry has.
struct Wanted<'a> {
    search: &'a Search,
    kinds: Vec<u8>,
    actor: Option<u32>,
    tool: Option<u32>,
    purpose: Option<u32>,
    case_number: Option<u32>,
    partner: Option<u32>,
}

impl<'a> Wanted<'a> {
    fn new(search: &'a Search, memory: &Memory) -> Option<Self> {
        let find = |name: &Option<String>| match name {
            None => Some(None),
            Some(name) => memory.names.find(name).map(Some),
        };
        let wanted = |kind: &&crate::Kind| search.kinds.iter().any(|name| name == kind.name);
        let kinds: Vec<u8> = KINDS.iter().filter(wanted).map(|kind| kind.code).collect();
        if kinds.is_empty() && !search.kinds.is_empty() {
            return None;
        }
        Some(Self {
            search,
            kinds,
            actor: find(&search.actor)?,
            tool: find(&search.tool)?,
            purpose: find(&search.purpose)?,
            case_number: find(&search.case_number)?,
            partner: find(&search.partner)?,
        })
    }

    fn fits(&self, row: &Row) -> bool {
        let same = |wanted: Option<u32>, have: u32| wanted.is_none_or(|wanted| wanted == have);
        let search = self.search;
        same(self.actor, row.actor)
            && same(self.tool, row.tool)
            && same(self.purpose, row.purpose)
            && same(self.case_number, row.case_number)
            && same(self.partner, row.partner)
            && (self.kinds.is_empty() || self.kinds.contains(&row.kind))
            && search.outcome.is_none_or(|outcome| outcome == row.outcome)
            && search.from.is_none_or(|from| row.at_ms >= from.as_millisecond())
            && search.to.is_none_or(|to| row.at_ms < to.as_millisecond())
    }
}
