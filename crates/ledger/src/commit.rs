//! One batch, from records to durable entries.
//!
//! Order: room is made sure of; the batch is sealed and framed; one write and one `fdatasync` in
//! the journal make it durable; the files are checked to be still the ones that the folder
//! names; the bytes go to their places, to be synced when the journal comes round; memory learns
//! of the entries. Only then is anybody answered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keys::random_bytes;
use keys::seal::SealingKey;

use crate::body::{self, Body, BodyRecord, body_aad};
use crate::disk::{DiskFile, DiskLock, replace};
use crate::envelope::{Bucket, Envelope, LedgerId};
use crate::error::AppendError;
use crate::event::Retention;
use crate::frame::{NewFrame, frame_taken};
use crate::identity::{BODY, JOURNAL, KEYS, LOCK};
use crate::journal::{JournalFrame, Segment, Write, body_folder};
use crate::load::{Loaded, key_name};
use crate::memory::{BodyAt, FrameAt};
use crate::merkle::{CompactRange, Hash};
use crate::note::Checkpoint;
use crate::place::{Extent, Failure, broken, failed};
use crate::published::Published;
use crate::queue::Job;
use crate::record::{EntryNumber, Receipt};
use crate::scan::{BodyEnd, LogEnd};
use crate::writer::Fixed;

/// Whether a batch may use the room that is kept for recording that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserve {
    Keep,
    Use,
}

struct Journal {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    bytes: u64,
    end: u64,
    generation: u64,
    ordinal: u32,
}

/// The files of a ledger that is open for writing.
pub(crate) struct Open {
    end: LogEnd,
    log: Extent,
    bodies: BTreeMap<Bucket, Extent>,
    body_ends: BTreeMap<Bucket, BodyEnd>,
    journal: Journal,
    lock: Arc<dyn DiskLock>,
    lock_path: PathBuf,
    /// Written to since the journal began at 0, and not synced since.
    dirty: BTreeMap<Segment, (PathBuf, Arc<dyn DiskFile>)>,
    pub(crate) published: Published,
}

/// A batch that is ready to be written.
struct Draft {
    envelopes: Vec<Envelope>,
    leaves: Vec<Hash>,
    bodies: Vec<BodyAt>,
    tree: CompactRange,
    /// Perfect subtrees that the batch completes.
    nodes: Vec<(u32, Hash)>,
    root: Hash,
    signature: [u8; 64],
    digest: Hash,
    writes: Vec<Write>,
}

impl Open {
    pub(crate) fn new(
        fixed: &Fixed,
        loaded: &Loaded,
        lock: &Arc<dyn DiskLock>,
    ) -> Result<Self, Failure> {
        let (end, limit) = (loaded.end.clone(), fixed.settings.segment_bytes);
        let log = Extent::open(&fixed.place, Segment::Log(end.segment), end.offset, limit)?;
        let journal = Journal {
            file: Arc::clone(&loaded.journal),
            path: fixed.place.path(JOURNAL),
            bytes: loaded.journal_bytes,
            end: 0,
            generation: loaded.generation,
            ordinal: 0,
        };
        let (bodies, dirty) = (BTreeMap::new(), BTreeMap::new());
        let (body_ends, published) = (loaded.bodies.clone(), loaded.published);
        let (lock, lock_path) = (Arc::clone(lock), fixed.place.path(LOCK));
        Ok(Self { end, log, bodies, body_ends, journal, lock, lock_path, dirty, published })
    }

    pub(crate) fn size(&self) -> u64 {
        self.end.tree.size()
    }

    pub(crate) fn latest_ms(&self) -> Option<i64> {
        self.end.latest_ms
    }

    /// Writes a batch and gives a receipt for each of its records.
    pub(crate) fn commit(
        &mut self,
        fixed: &Fixed,
        jobs: &[Job],
        reserve: Reserve,
    ) -> Result<Vec<Receipt>, Failure> {
        // Before, so as not to write over another process's records; and again after the sync.
        self.check_lock().map_err(Failure::Broken)?;
        let draft = self.draft(fixed, jobs, reserve)?;
        self.write(&draft)?;
        Ok(self.adopt(fixed, jobs, &draft))
    }

    fn draft(&mut self, fixed: &Fixed, jobs: &[Job], reserve: Reserve) -> Result<Draft, Failure> {
        let first = self.size();
        let mut latest = self.end.latest_ms;
        let mut envelopes = Vec::with_capacity(jobs.len());
        let mut records: BTreeMap<Bucket, Vec<(usize, Vec<u8>)>> = BTreeMap::new();
        for (nth, (entry, job)) in (first..).zip(jobs).enumerate() {
            let bucket = bucket_of(fixed, job)?;
            let key = self.bucket_key(fixed, bucket)?;
            let (mut envelope, record) = seal(fixed, entry, job, bucket, &key)?;
            envelope.stepped_back = latest.is_some_and(|latest| envelope.at_ms < latest);
            latest = latest.max(Some(envelope.at_ms));
            envelopes.push(envelope);
            records.entry(bucket).or_default().push((nth, record));
        }
        let mut writes = Vec::new();
        let mut bodies = vec![BodyAt { bucket: 0, segment: 0, offset: 0 }; jobs.len()];
        for (bucket, records) in records {
            let number = fixed.shared.read().bucket(bucket).map_or(0, |(number, _)| number);
            let total: usize = records.iter().map(|(_, record)| record.len()).sum();
            let (segment, offset) = self.body_room(fixed, bucket, total, reserve)?;
            let mut bytes = Vec::with_capacity(total);
            for (nth, record) in records {
                let at = u32::try_from(offset + bytes.len() as u64).unwrap_or(u32::MAX);
                if let (Some(body), Segment::Body(_, segment)) = (bodies.get_mut(nth), segment) {
                    *body = BodyAt { bucket: number, segment, offset: at };
                }
                bytes.extend_from_slice(&record);
            }
            writes.push(Write { segment, offset, bytes });
        }
        self.frame(fixed, envelopes, bodies, writes, reserve)
    }

    /// Frames the envelopes and puts the frame before the bodies' writes.
    fn frame(
        &mut self,
        fixed: &Fixed,
        envelopes: Vec<Envelope>,
        bodies: Vec<BodyAt>,
        mut writes: Vec<Write>,
        reserve: Reserve,
    ) -> Result<Draft, Failure> {
        let mut tree = self.end.tree.clone();
        let mut nodes = Vec::new();
        let leaves: Vec<Hash> = envelopes.iter().map(Envelope::leaf).collect();
        for leaf in &leaves {
            tree.push(*leaf, &mut |level, _, hash| nodes.push((level, *hash)));
        }
        let origin = fixed.settings.origin.clone();
        let checkpoint = Checkpoint { origin, size: tree.size(), root: tree.root() };
        let (root, signature) = (checkpoint.root, checkpoint.sign(&fixed.keys.signer));
        let frame = NewFrame {
            ledger: fixed.identity.id,
            first: self.size(),
            at_ms: fixed.clock.now().as_millisecond(),
            previous: self.end.digest,
            root_before: self.end.root,
            root,
            signature,
            envelopes: &envelopes,
        };
        let (bytes, digest) = frame.encode().ok_or_else(|| too_large(fixed, envelopes.len()))?;
        let offset = self.log_room(fixed, frame_taken(envelopes.len()) as u64, reserve)?;
        writes.insert(0, Write { segment: self.log.segment, offset, bytes });
        Ok(Draft { envelopes, leaves, bodies, tree, nodes, root, signature, digest, writes })
    }

    /// Room in the log for a frame; a new segment if this one is full.
    fn log_room(&mut self, fixed: &Fixed, taken: u64, reserve: Reserve) -> Result<u64, Failure> {
        let (spare, limit) = (spare(fixed, reserve), fixed.settings.segment_bytes);
        if self.log.end + taken + spare > limit {
            let Segment::Log(number) = self.log.segment else { return Ok(self.log.end) };
            let next = Segment::Log(number + 1);
            self.log = Extent::create(&fixed.place, next, taken + spare, limit)?;
            self.end.segment = number + 1;
        }
        self.log.ensure(taken + spare)?;
        Ok(self.log.end)
    }

    fn body_room(
        &mut self,
        fixed: &Fixed,
        bucket: Bucket,
        total: usize,
        reserve: Reserve,
    ) -> Result<(Segment, u64), Failure> {
        let need = total as u64 + spare(fixed, reserve);
        let limit = fixed.settings.segment_bytes;
        let mut extent = match (self.bodies.remove(&bucket), self.body_ends.get(&bucket)) {
            (Some(extent), _) => extent,
            (None, Some(end)) if end.offset > 0 => {
                Extent::open(&fixed.place, Segment::Body(bucket, end.segment), end.offset, limit)?
            }
            (None, end) => {
                let number = end.map_or(0, |end| end.segment);
                Extent::create(&fixed.place, Segment::Body(bucket, number), need, limit)?
            }
        };
        if extent.end + need > limit
            && let Segment::Body(_, number) = extent.segment
        {
            let next = Segment::Body(bucket, number + 1);
            let made = Extent::create(&fixed.place, next, need, limit);
            if made.is_err() {
                self.bodies.insert(bucket, extent);
            }
            extent = made?;
        }
        let ensured = extent.ensure(need);
        let place = (extent.segment, extent.end);
        self.bodies.insert(bucket, extent);
        ensured.map(|()| place)
    }

    /// The bucket's key; makes and keeps it, with the bucket's folder, when it is new.
    fn bucket_key(&self, fixed: &Fixed, bucket: Bucket) -> Result<SealingKey, Failure> {
        if let Some((_, key)) = fixed.shared.read().bucket(bucket) {
            return Ok(key.clone());
        }
        // The key before the folder: bodies without a key would be damage.
        let place = &fixed.place;
        let key = SealingKey::generate(fixed.random.as_ref());
        let key = key.map_err(|source| keys_failed("make a bucket's key", source))?;
        let file = body::key_file(&fixed.keys.body, &fixed.identity.id, bucket, &key);
        let file = file.map_err(|source| keys_failed("wrap a bucket's key", source))?;
        let name = key_name(bucket);
        let (_, short) = name.split_once('/').unwrap_or_default();
        let written = replace(place.disk.as_ref(), &place.path(KEYS), short, &file);
        written.map_err(|source| failed("write", &place.path(&name), source))?;
        let folder = place.path(&body_folder(bucket));
        let made = place.disk.create_folder(&folder);
        let made = made.and_then(|()| place.disk.sync_folder(&place.path(BODY)));
        made.map_err(|source| failed("create", &folder, source))?;
        fixed.shared.write().buckets.push((bucket, key.clone()));
        Ok(key)
    }

    fn write(&mut self, draft: &Draft) -> Result<(), Failure> {
        let frame = JournalFrame {
            generation: self.journal.generation,
            ordinal: self.journal.ordinal,
            first: self.size(),
            count: u32::try_from(draft.envelopes.len()).unwrap_or(u32::MAX),
            writes: draft.writes.clone(),
        };
        let (id, max) = (draft.envelopes.first().map(|it| it.ledger), self.journal.bytes);
        let encoded = |frame: &JournalFrame| id.and_then(|id| frame.encode(&id));
        let too_large = |bytes| {
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            Failure::Refused(AppendError::TooLarge { bytes, max })
        };
        let mut bytes = encoded(&frame).ok_or_else(|| too_large(0))?;
        if bytes.len() as u64 > max {
            return Err(too_large(bytes.len()));
        }
        if self.journal.end + bytes.len() as u64 > max {
            self.settle()?;
            let (generation, ordinal) = (self.journal.generation, self.journal.ordinal);
            let frame = JournalFrame { generation, ordinal, ..frame };
            bytes = encoded(&frame).ok_or_else(|| too_large(0))?;
        }
        let journal = &mut self.journal;
        let written = journal.file.write_at(&bytes, journal.end);
        written.map_err(|source| broken("write", &journal.path, source))?;
        journal.file.sync().map_err(|source| broken("sync", &journal.path, source))?;
        self.check_in_place(draft)?;
        for write in &draft.writes {
            let Some(extent) = self.extent(write.segment) else { continue };
            let written = extent.file.write_at(&write.bytes, write.offset);
            written.map_err(|source| broken("write", &extent.path, source))?;
            let dirty = (extent.path.clone(), Arc::clone(&extent.file));
            self.dirty.insert(write.segment, dirty);
        }
        self.journal.end += bytes.len() as u64;
        self.journal.ordinal += 1;
        Ok(())
    }

    fn extent(&self, segment: Segment) -> Option<&Extent> {
        match segment {
            Segment::Log(_) => Some(&self.log),
            Segment::Body(bucket, _) => self.bodies.get(&bucket),
        }
    }

    pub(crate) fn check_lock(&self) -> Result<(), AppendError> {
        check_lock(self.lock.as_ref(), &self.lock_path)
    }

    /// A file that was removed or replaced would take records that nobody finds again. Without
    /// the lock another process may be writing over them.
    fn check_in_place(&self, draft: &Draft) -> Result<(), Failure> {
        self.check_lock().map_err(Failure::Broken)?;
        let journal = (&self.journal.file, &self.journal.path);
        let touched = draft.writes.iter().filter_map(|write| self.extent(write.segment));
        for (file, path) in touched.map(|it| (&it.file, &it.path)).chain([journal]) {
            match file.in_place() {
                Ok(true) => {}
                Ok(false) => {
                    return Err(Failure::Broken(AppendError::Replaced { path: path.clone() }));
                }
                Err(source) => return Err(broken("look at", path, source)),
            }
        }
        Ok(())
    }

    /// Syncs everything to its place, after which the journal begins at 0 again.
    fn settle(&mut self) -> Result<(), Failure> {
        for (path, file) in self.dirty.values() {
            file.sync().map_err(|source| broken("sync", path, source))?;
        }
        self.dirty.clear();
        self.journal.generation += 1;
        (self.journal.end, self.journal.ordinal) = (0, 0);
        Ok(())
    }

    /// Settles for good: an empty frame opens a new generation, so that from here on the log and
    /// the bodies speak for themselves.
    pub(crate) fn close(&mut self, ledger: &LedgerId) -> Result<(), Failure> {
        self.check_lock().map_err(Failure::Broken)?;
        self.settle()?;
        let (generation, ordinal, first) = (self.journal.generation, 0, self.size());
        let frame = JournalFrame { generation, ordinal, first, count: 0, writes: Vec::new() };
        let Some(bytes) = frame.encode(ledger) else { return Ok(()) };
        let journal = &mut self.journal;
        let written = journal.file.write_at(&bytes, 0).and_then(|()| journal.file.sync());
        written.map_err(|source| broken("close", &journal.path, source))
    }

    /// Tells memory of entries that are durable, and gives their receipts.
    fn adopt(&mut self, fixed: &Fixed, jobs: &[Job], draft: &Draft) -> Vec<Receipt> {
        let first = self.size();
        let mut memory = fixed.shared.write();
        for write in &draft.writes {
            let end = write.offset + write.bytes.len() as u64;
            match write.segment {
                Segment::Log(segment) => {
                    memory.frames.push(FrameAt { first, segment, offset: write.offset });
                    self.log.end = write.offset + frame_taken(jobs.len()) as u64;
                }
                Segment::Body(bucket, _) => {
                    if let Some(extent) = self.bodies.get_mut(&bucket) {
                        extent.end = end;
                    }
                }
            }
        }
        for (level, hash) in &draft.nodes {
            memory.keep(*level, hash);
        }
        let each = draft.envelopes.iter().zip(&draft.leaves).zip(&draft.bodies).zip(jobs);
        let mut receipts = Vec::with_capacity(jobs.len());
        for (((envelope, leaf), body), job) in each {
            memory.bodies.push(Some(*body));
            let at = envelope.at().unwrap_or(job.at);
            receipts.push(Receipt { entry: EntryNumber(envelope.entry), at, leaf: *leaf });
        }
        memory.tree = draft.tree.clone();
        memory.signature = Some(draft.signature);
        let latest = draft.envelopes.iter().map(|it| it.at_ms).max();
        self.end.latest_ms = self.end.latest_ms.max(latest);
        self.end.tree = draft.tree.clone();
        (self.end.root, self.end.digest) = (draft.root, draft.digest);
        self.end.signature = Some(draft.signature);
        receipts
    }
}

/// Whether the lock still keeps other processes out of the folder.
pub(crate) fn check_lock(lock: &dyn DiskLock, path: &Path) -> Result<(), AppendError> {
    let path = path.to_owned();
    match lock.in_place() {
        Ok(true) => Ok(()),
        Ok(false) => Err(AppendError::Replaced { path }),
        Err(source) => Err(AppendError::Disk { doing: "look at", path, source: Arc::new(source) }),
    }
}

fn spare(fixed: &Fixed, reserve: Reserve) -> u64 {
    match reserve {
        Reserve::Keep => fixed.settings.reserve_bytes,
        Reserve::Use => 0,
    }
}

fn bucket_of(fixed: &Fixed, job: &Job) -> Result<Bucket, Failure> {
    let class = job.record.event.retention();
    let months = match class {
        Retention::Standard => fixed.settings.standard_months,
        Retention::Dissemination => fixed.settings.dissemination_months,
        Retention::Permanent => 0,
    };
    let milliseconds = job.at.as_millisecond();
    Bucket::of(class, job.at, months)
        .ok_or(Failure::Refused(AppendError::ClockBehind { milliseconds }))
}

/// Seals one record: its envelope, and its body as it goes into the segment.
fn seal(
    fixed: &Fixed,
    entry: u64,
    job: &Job,
    bucket: Bucket,
    key: &SealingKey,
) -> Result<(Envelope, Vec<u8>), Failure> {
    let salt = || random_bytes(fixed.random.as_ref()).map_err(|it| keys_failed("draw a salt", it));
    let body = Body {
        shared_salt: salt()?,
        private_salt: salt()?,
        shared: job.shared.clone(),
        private: job.private.clone(),
    };
    let (ledger, kind) = (fixed.identity.id, job.record.event.code());
    let (shared, private) = body.commitments(kind);
    let plain = body.encode().ok_or_else(|| too_large(fixed, job.bytes()))?;
    let sealed = key.seal(&body_aad(&ledger, entry, bucket), &plain);
    let sealed = sealed.map_err(|source| keys_failed("seal a record", source))?;
    let record = BodyRecord { entry, sealed: &sealed }.encode();
    let record = record.ok_or_else(|| too_large(fixed, job.bytes()))?;
    let at_ms = job.at.as_millisecond();
    let stepped_back = false;
    Ok((Envelope { ledger, entry, at_ms, stepped_back, kind, bucket, shared, private }, record))
}

fn keys_failed(doing: &'static str, source: keys::KeysError) -> Failure {
    Failure::Refused(AppendError::Keys { doing, source: Arc::new(source) })
}

fn too_large(fixed: &Fixed, bytes: usize) -> Failure {
    let max = fixed.settings.record_bytes_max();
    Failure::Refused(AppendError::TooLarge { bytes, max })
}
