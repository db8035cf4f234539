//! Writing to the folder: one batch at a time.
//!
//! Order: room is made sure of; one write and one `fdatasync` in the journal make the batch
//! durable; the files are checked to be still the ones that the folder names; the bytes go to
//! their places, to be synced when the journal comes round. Only then is anybody answered.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use keys::seal::SealingKey;

use super::Local;
use super::load::{Loaded, key_name, load};
use super::place::{Extent, broken, failed, write_zeros};
use super::positions::{At, Of};
use super::published::Published;
use crate::body;
use crate::disk::{DiskFile, DiskLock, replace};
use crate::draft::{Batch, keys_failed};
use crate::envelope::Bucket;
use crate::error::{AppendError, OpenError};
use crate::frame::{envelope_offset, frame_taken};
use crate::identity::{BODY, JOURNAL, KEYS};
use crate::journal::{NewJournalFrame, Segment, Write, body_folder};
use crate::merkle::Hash;
use crate::retention::Disposed;
use crate::scan::BodyEnd;
use crate::segment::SegmentHead;
use crate::source::Ends;
use crate::store::{Appender, Failure, Head, Opened, Reserve};
use crate::tiling::Tiled;

struct Journal {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    bytes: u64,
    end: u64,
    generation: u64,
    ordinal: u32,
}

/// The files of a ledger that is open for writing.
struct Writing {
    local: Arc<Local>,
    /// Another process may have the folder only when the last write is done.
    _lock: Arc<dyn DiskLock>,
    size: u64,
    log: Extent,
    bodies: BTreeMap<Bucket, Extent>,
    body_ends: BTreeMap<Bucket, BodyEnd>,
    journal: Journal,
    /// Written to since the journal began at 0, and not synced since.
    dirty: BTreeMap<Segment, (PathBuf, Arc<dyn DiskFile>)>,
    published: Published,
    /// Leaves that are in the log and not in the tiles yet.
    leaves: Vec<Hash>,
}

/// Where the parts of a batch go.
struct Places {
    writes: Vec<Write>,
    envelopes: Vec<At>,
    bodies: Vec<At>,
}

/// Mends and reads the folder, and opens it for writing.
pub(super) fn open(local: Arc<Local>) -> Result<Opened, OpenError> {
    let refused = |source| OpenError::Write { source };
    let lock = local.check_lock().map_err(refused)?;
    let loaded = load(&local)?;
    let head = loaded.end.head.clone();
    local.check_documents(head.size())?;
    local.read_edge(&head)?;
    let published = super::published::check(&local, head.size())?;
    let size = published.size;
    let appender = Writing::new(local, lock, loaded, published);
    let appender = appender.map_err(|failure| refused(failure.into_error()))?;
    Ok(Opened { head, published: size, appender: Box::new(appender) })
}

impl Writing {
    fn new(
        local: Arc<Local>,
        lock: Arc<dyn DiskLock>,
        loaded: Loaded,
        published: Published,
    ) -> Result<Self, Failure> {
        let (end, limit) = (&loaded.end, local.segment_bytes);
        let bodies = loaded.bodies.iter();
        let bodies = bodies.map(|(bucket, end)| (*bucket, (end.segment, end.offset))).collect();
        *local.ends() = Ends { log: (end.segment, end.offset), bodies };
        let log = Extent::open(&local.place, Segment::Log(end.segment), end.offset, limit)?;
        let journal = Journal {
            file: loaded.journal,
            path: local.place.path(JOURNAL),
            bytes: loaded.journal_bytes,
            end: 0,
            generation: loaded.generation,
            ordinal: 0,
        };
        Ok(Self {
            size: end.head.size(),
            local,
            _lock: lock,
            log,
            bodies: BTreeMap::new(),
            body_ends: loaded.bodies,
            journal,
            dirty: BTreeMap::new(),
            published,
            leaves: Vec::new(),
        })
    }

    /// Makes room for a batch, and says where in it each part goes.
    fn place(&mut self, before: &Head, batch: &Batch, reserve: Reserve) -> Result<Places, Failure> {
        let mut bytes: BTreeMap<Bucket, Vec<u8>> = BTreeMap::new();
        let mut within = Vec::with_capacity(batch.bodies.len());
        for (envelope, record) in batch.envelopes.iter().zip(&batch.bodies) {
            // Nothing was given of a body that was disposed of before the log came here.
            if record.is_empty() {
                within.push(0);
                continue;
            }
            let bytes = bytes.entry(envelope.bucket).or_default();
            within.push(bytes.len() as u64);
            bytes.extend_from_slice(record);
        }
        let (log, offset, head) =
            self.log_room(before, frame_taken(batch.bodies.len()), reserve)?;
        let frame = offset + head.len() as u64;
        let mut writes =
            vec![Write { segment: log, offset, bytes: [&head, batch.frame.as_slice()].concat() }];
        let mut begins = BTreeMap::new();
        for (bucket, bytes) in bytes {
            let (segment, offset) = self.body_room(bucket, bytes.len(), reserve)?;
            begins.insert(bucket, (segment.number(), offset));
            writes.push(Write { segment, offset, bytes });
        }
        let at =
            |segment, offset| At { segment, offset: u32::try_from(offset).unwrap_or(u32::MAX) };
        let nth = |nth: u64| at(log.number(), frame + envelope_offset(nth));
        let envelopes = (0..batch.envelopes.len() as u64).map(nth).collect();
        let body = |(envelope, within): (&crate::envelope::Envelope, u64)| {
            let (segment, begin) = begins.get(&envelope.bucket).copied().unwrap_or_default();
            at(segment, begin + within)
        };
        let bodies = batch.envelopes.iter().zip(within).map(body).collect();
        Ok(Places { writes, envelopes, bodies })
    }

    /// Room in the log for a frame; a new segment if this one is full. Gives the offset, and the
    /// header that comes before the frame where it begins a segment.
    fn log_room(
        &mut self,
        before: &Head,
        taken: usize,
        reserve: Reserve,
    ) -> Result<(Segment, u64, Vec<u8>), Failure> {
        let (spare, limit) = (self.spare(reserve), self.local.segment_bytes);
        let header = |number| {
            let header = SegmentHead::new(self.local.identity.id, number, before).encode();
            let max = crate::segment::SEGMENT_HEAD_BYTES_MAX;
            header.ok_or(Failure::Refused(AppendError::TooLarge { bytes: max, max }))
        };
        let number = self.log.segment.number();
        if self.log.end > 0 && self.log.end + taken as u64 + spare > limit {
            let (next, head) = (Segment::Log(number + 1), header(number + 1)?);
            let need = (head.len() + taken) as u64 + spare;
            self.log = Extent::create(&self.local.place, next, need, limit)?;
            return Ok((next, 0, head));
        }
        let head = if self.log.end == 0 { header(number)? } else { Vec::new() };
        self.log.ensure((head.len() + taken) as u64 + spare)?;
        Ok((self.log.segment, self.log.end, head))
    }

    fn body_room(
        &mut self,
        bucket: Bucket,
        total: usize,
        reserve: Reserve,
    ) -> Result<(Segment, u64), Failure> {
        let need = total as u64 + self.spare(reserve);
        let limit = self.local.segment_bytes;
        let mut extent = match (self.bodies.remove(&bucket), self.body_ends.get(&bucket)) {
            (Some(extent), _) => extent,
            (None, Some(end)) if end.offset > 0 => Extent::open(
                &self.local.place,
                Segment::Body(bucket, end.segment),
                end.offset,
                limit,
            )?,
            (None, end) => {
                let number = end.map_or(0, |end| end.segment);
                Extent::create(&self.local.place, Segment::Body(bucket, number), need, limit)?
            }
        };
        if extent.end + need > limit
            && let Segment::Body(_, number) = extent.segment
        {
            let next = Segment::Body(bucket, number + 1);
            let made = Extent::create(&self.local.place, next, need, limit);
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

    fn make_key(&self, bucket: Bucket) -> Result<SealingKey, Failure> {
        // The key before the folder: bodies without a key would be damage.
        let local = &self.local;
        let place = &local.place;
        let key = SealingKey::generate(local.random.as_ref());
        let key = key.map_err(|source| keys_failed("make a bucket's key", source))?;
        let file = body::key_file(&local.master, &local.identity.id, bucket, &key);
        let file = file.map_err(|source| keys_failed("wrap a bucket's key", source))?;
        let name = key_name(bucket);
        let (_, short) = name.split_once('/').unwrap_or_default();
        let written = replace(place.disk.as_ref(), &place.path(KEYS), short, &file);
        written.map_err(|source| failed("write", &place.path(&name), source))?;
        let folder = place.path(&body_folder(bucket));
        let made = place.disk.create_folder(&folder);
        let made = made.and_then(|()| place.disk.sync_folder(&place.path(BODY)));
        made.map_err(|source| failed("create", &folder, source))?;
        local.buckets_mut().insert(bucket, key.clone());
        Ok(key)
    }

    fn write(&mut self, writes: &[Write], count: usize) -> Result<(), Failure> {
        let frame = NewJournalFrame {
            generation: self.journal.generation,
            ordinal: self.journal.ordinal,
            first: self.size,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            writes,
        };
        let (id, max) = (self.local.identity.id, self.journal.bytes);
        let encoded = |frame: &NewJournalFrame<'_>| frame.encode(&id);
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
            let frame = NewJournalFrame { generation, ordinal, ..frame };
            bytes = encoded(&frame).ok_or_else(|| too_large(0))?;
        }
        let journal = &mut self.journal;
        let written = journal.file.write_at(&bytes, journal.end);
        written.map_err(|source| broken("write", &journal.path, source))?;
        journal.file.sync().map_err(|source| broken("sync", &journal.path, source))?;
        self.check_in_place(writes)?;
        for write in writes {
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

    /// A file that was removed or replaced would take records that nobody finds again. Without
    /// the lock another process may be writing over them.
    fn check_in_place(&self, writes: &[Write]) -> Result<(), Failure> {
        self.local.check_lock().map_err(Failure::Broken)?;
        let journal = (&self.journal.file, &self.journal.path);
        let touched = writes.iter().filter_map(|write| self.extent(write.segment));
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

    /// Settles, and leaves nothing in the journal but the empty frame of a new generation.
    fn empty_journal(&mut self) -> Result<(), Failure> {
        self.settle()?;
        let (generation, ordinal, first) = (self.journal.generation, 0, self.size);
        let frame = NewJournalFrame { generation, ordinal, first, count: 0, writes: &[] };
        let Some(bytes) = frame.encode(&self.local.identity.id) else { return Ok(()) };
        let (journal, end) = (&mut self.journal, bytes.len() as u64);
        let written = journal.file.write_at(&bytes, 0).and_then(|()| journal.file.sync());
        let written = written
            .and_then(|()| write_zeros(journal.file.as_ref(), end, journal.bytes))
            .and_then(|()| journal.file.sync());
        written.map_err(|source| broken("empty", &journal.path, source))?;
        (journal.end, journal.ordinal) = (end, 1);
        Ok(())
    }

    fn spare(&self, reserve: Reserve) -> u64 {
        match reserve {
            Reserve::Keep => self.local.reserve_bytes,
            Reserve::Use => 0,
        }
    }

    /// Goes on behind what was written.
    fn advance(&mut self, batch: &Batch, places: &Places) {
        let mut ends = self.local.ends();
        for write in &places.writes {
            let mut end = write.offset + write.bytes.len() as u64;
            match write.segment {
                Segment::Log(_) => {
                    // A frame is written without its padding, which is zeros already.
                    end = end.next_multiple_of(crate::frame::UNIT as u64);
                    self.log.end = end;
                }
                Segment::Body(bucket, _) => {
                    if let Some(extent) = self.bodies.get_mut(&bucket) {
                        extent.end = end;
                    }
                }
            }
            ends.advance(write.segment, end);
        }
        drop(ends);
        self.local.positions.put(Of::Envelopes, self.size, &places.envelopes);
        self.local.positions.put(Of::Bodies, self.size, &places.bodies);
        self.size = batch.head.size();
        self.leaves.extend_from_slice(&batch.leaves);
    }
}

impl Appender for Writing {
    fn key(&mut self, bucket: Bucket) -> Result<SealingKey, Failure> {
        let known = self.local.buckets().get(&bucket).cloned();
        known.map_or_else(|| self.make_key(bucket), Ok)
    }

    fn append(&mut self, before: &Head, batch: &Batch, reserve: Reserve) -> Result<(), Failure> {
        // Before, so as not to write over another process's records; and again after the sync.
        self.local.check_lock().map_err(Failure::Broken)?;
        let places = self.place(before, batch, reserve)?;
        self.write(&places.writes, batch.envelopes.len())?;
        self.advance(batch, &places);
        Ok(())
    }

    fn derive(&mut self) {
        self.local.grow(self.leaves.drain(..));
    }

    fn dispose(&mut self, disposed: Arc<Disposed>) -> Result<(), Failure> {
        self.local.check_lock().map_err(Failure::Broken)?;
        self.local.put_document(disposed)
    }

    fn destroy(&mut self, bucket: Bucket) -> Result<(), Failure> {
        self.local.check_lock().map_err(Failure::Broken)?;
        self.bodies.remove(&bucket);
        self.body_ends.remove(&bucket);
        self.local.ends().bodies.remove(&bucket);
        // Else the journal would still have the bodies that went through it last.
        self.empty_journal()?;
        self.local.destroy_bucket(bucket)
    }

    fn leftovers(&self) -> Result<Vec<Bucket>, Failure> {
        self.local.leftovers()
    }

    fn publish(&mut self, note: &str, size: u64) -> io::Result<()> {
        self.local.check_lock().map_err(io::Error::other)?;
        self.published.publish(&self.local.place, note, size, self.local.list_wait)
    }

    /// An empty frame opens a new generation, so that from here on the log and the bodies speak
    /// for themselves.
    fn close(&mut self) -> Result<(), Failure> {
        self.local.check_lock().map_err(Failure::Broken)?;
        self.settle()?;
        let (generation, ordinal, first) = (self.journal.generation, 0, self.size);
        let frame = NewJournalFrame { generation, ordinal, first, count: 0, writes: &[] };
        let Some(bytes) = frame.encode(&self.local.identity.id) else { return Ok(()) };
        let journal = &mut self.journal;
        let written = journal.file.write_at(&bytes, 0).and_then(|()| journal.file.sync());
        written.map_err(|source| broken("close", &journal.path, source))
    }
}
