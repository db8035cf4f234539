//! Disposal in a folder: the documents, the copies for holds, and the destruction of keys and
//! bodies.
//!
//! Invariants: a document is durable before the first byte goes; the key goes before the bodies;
//! what is destroyed is overwritten where that is worth anything (the key: three times, MP-6), and
//! its name is durably gone before anybody says that it is. What is read of a ledger in use ends
//! where its last whole write does.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use keys::random_bytes;
use keys::seal::SealingKey;

use super::Local;
use super::load::{failed as open_failed, key_buckets, key_name, read_key};
use super::place::{broken, failed};
use crate::body::{self, BodyRecord};
use crate::disk::{DiskFile, Mode, read_whole, replace};
use crate::draft::keys_failed;
use crate::envelope::{Bucket, Envelope};
use crate::error::{AppendError, Damage, OpenError, ReadError};
use crate::identity::{BODY, KEYS};
use crate::journal::{Segment, body_folder};
use crate::record::Position;
use crate::retention::{
    DISPOSED, DISPOSED_BYTES_MAX, Disposed, Moved, NO_STATEMENT, document_name,
};
use crate::scan::{scan_bodies, scan_log};
use crate::store::{EachBody, Failure, Holding};

/// How often a key is overwritten before its file is removed (MP-6 asks for three times).
const OVERWRITES: usize = 3;

fn damaged(bucket: Bucket, what: &str) -> OpenError {
    OpenError::Damaged(Damage::new(&document_name(bucket), 0, None, what))
}

/// What could not be destroyed: nothing that is written to, and so nothing to doubt.
fn undone(doing: &'static str, path: &Path, source: io::Error) -> Failure {
    let path = path.to_owned();
    Failure::Refused(AppendError::Disk { doing, path, source: Arc::new(source) })
}

impl Local {
    /// Takes in the documents as they lie there; [`Self::check_documents`] must follow.
    pub(super) fn read_documents(&self) -> Result<(), OpenError> {
        let place = &self.place;
        let names = match place.disk.list(&place.path(DISPOSED)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(open_failed(place, "list", DISPOSED))?,
        };
        let mut moved = Moved::default();
        for bucket in names.iter().filter_map(|name| Bucket::parse(name)) {
            let name = document_name(bucket);
            let text = read_whole(place.disk.as_ref(), &place.path(&name), DISPOSED_BYTES_MAX);
            let text = String::from_utf8(text.map_err(open_failed(place, "read", &name))?).ok();
            let disposed = text.as_deref().and_then(|text| Disposed::parse_of(bucket, text));
            moved.insert(Arc::new(disposed.ok_or_else(|| damaged(bucket, NO_STATEMENT))?));
        }
        *self.moved.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(moved);
        Ok(())
    }

    /// Refuses a document that the log does not commit to.
    pub(super) fn check_documents(&self, size: u64) -> Result<(), OpenError> {
        for disposed in self.moved.read().unwrap_or_else(PoisonError::into_inner).all() {
            let committed = disposed.entry < size && {
                let (envelope, _, _) = self.find_envelope(disposed.entry)?;
                disposed.is_committed_by(&envelope)
            };
            if !committed {
                let what = "the log does not commit to the statement";
                return Err(damaged(disposed.statement.bucket, what));
            }
        }
        Ok(())
    }

    pub(super) fn all_envelopes(&self, each: &mut dyn FnMut(&Envelope)) -> Result<(), ReadError> {
        let (ledger, key) = (&self.identity.id, &self.identity.key);
        let (ends, at_once) = (self.ends().clone(), || Ok(()));
        scan_log(&self.source().upto(&ends, &at_once), ledger, key, &mut |frame, _, _, tree| {
            for envelope in &frame.envelopes {
                each(envelope);
                tree.push(envelope.leaf(), &mut |_, _, _| {});
            }
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn all_bodies(
        &self,
        bucket: Bucket,
        each: &mut EachBody<'_>,
    ) -> Result<(), ReadError> {
        let mut objection = None;
        let (ends, at_once) = (self.ends().clone(), || Ok(()));
        let scanned = scan_bodies(&self.source().upto(&ends, &at_once), bucket, &mut |found| {
            let file = Segment::Body(found.bucket, found.segment).path();
            let place = Position { file, offset: found.offset };
            each(found.record.entry, found.record.sealed, place).map_err(|error| {
                objection = Some(error);
                found.damage("it was not read further")
            })
        });
        match objection {
            Some(error) => Err(error),
            None => scanned.map(|_| ()).map_err(ReadError::from),
        }
    }

    pub(super) fn begin_copy(&self, held: Bucket) -> Result<Box<dyn Holding + '_>, Failure> {
        let key = SealingKey::generate(self.random.as_ref());
        self.begin_copy_under(held, key.map_err(|it| keys_failed("make a bucket's key", it))?)
    }

    /// As [`Self::begin_copy`], of what is sealed under this key already.
    pub(crate) fn begin_copy_under(
        &self,
        held: Bucket,
        key: SealingKey,
    ) -> Result<Box<dyn Holding + '_>, Failure> {
        self.destroy_bucket(held)?;
        let folder = self.place.path(&body_folder(held));
        let made = self.place.disk.create_folder(&folder);
        made.map_err(|source| failed("create", &folder, source))?;
        Ok(Box::new(Copy { local: self, held, key, number: 0, offset: 0, file: None }))
    }

    pub(super) fn put_document(&self, disposed: Arc<Disposed>) -> Result<(), Failure> {
        let bucket = disposed.statement.bucket;
        let held = bucket.next_held().filter(|_| !disposed.kept.is_empty());
        let key = held.map(|held| read_key(self, held).map(|key| (held, key))).transpose();
        let key = key.map_err(|error| Failure::Broken(AppendError::Reopen(Arc::new(error))))?;
        self.write_document(&disposed)?;
        self.buckets_mut().extend(key);
        let mut moved = self.moved.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut moved).insert(disposed);
        Ok(())
    }

    /// Writes a document to the disk, and to nothing else.
    pub(crate) fn write_document(&self, disposed: &Disposed) -> Result<(), Failure> {
        let (disk, name) = (self.place.disk.as_ref(), disposed.statement.bucket.name());
        let text = disposed.encode();
        let text =
            text.map_err(|source| Failure::Refused(AppendError::Encode(Arc::new(source))))?;
        let folder = self.place.path(DISPOSED);
        let made = disk.create_folder(&folder);
        let made = made.and_then(|()| disk.sync_folder(&self.place.folder));
        made.map_err(|source| failed("create", &folder, source))?;
        let written = replace(disk, &folder, &name, text.as_bytes());
        written.map_err(|source| broken("write", &folder.join(name), source))
    }

    /// The buckets in which nothing may lie, and yet something does.
    pub(super) fn leftovers(&self) -> Result<Vec<Bucket>, Failure> {
        let folder = |name| self.place.path(name);
        let keys = key_buckets(&self.place);
        let keys = keys.map_err(|source| failed("list", &folder(KEYS), source))?;
        let bodies = self.place.disk.list(&folder(BODY));
        let bodies = bodies.map_err(|source| failed("list", &folder(BODY), source))?;
        let bodies = bodies.iter().filter_map(|name| Bucket::parse(name));
        let moved = self.moved.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Bucket> = keys.into_iter().chain(bodies).collect();
        found.retain(|bucket| moved.is_leftover(*bucket));
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Destroys a bucket's key, then removes its bodies. What can't be destroyed is in nobody's
    /// way: records are still taken, and it is tried again.
    pub(super) fn destroy_bucket(&self, bucket: Bucket) -> Result<(), Failure> {
        self.buckets_mut().remove(&bucket);
        self.handles.forget(bucket);
        let (name, folder) = (key_name(bucket), body_folder(bucket));
        for name in [name.clone(), format!("{name}.new")] {
            self.destroy_key(&self.place.path(&name))?;
        }
        let disk = self.place.disk.as_ref();
        let path = self.place.path(KEYS);
        disk.sync_folder(&path).map_err(|source| undone("sync", &path, source))?;
        self.remove_bodies(&self.place.path(&folder))
    }

    fn destroy_key(&self, path: &Path) -> Result<(), Failure> {
        let disk = self.place.disk.as_ref();
        let file = match disk.open(path, Mode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(|source| undone("open", path, source))?,
        };
        for _ in 0..OVERWRITES {
            let noise: [u8; body::KEY_FILE_BYTES] = random_bytes(self.random.as_ref())
                .map_err(|source| keys_failed("draw what a key is overwritten with", source))?;
            let written = file.write_at(&noise, 0).and_then(|()| file.sync());
            written.map_err(|source| undone("overwrite", path, source))?;
        }
        disk.remove(path).map_err(|source| undone("remove", path, source))
    }

    fn remove_bodies(&self, folder: &Path) -> Result<(), Failure> {
        let disk = self.place.disk.as_ref();
        let body = self.place.path(BODY);
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let there = disk.list(&body).map_err(|source| undone("list", &body, source))?;
        if !name.is_some_and(|name| there.contains(&name)) {
            return Ok(());
        }
        let names = disk.list(folder).map_err(|source| undone("list", folder, source))?;
        for name in names {
            let path = folder.join(name);
            disk.remove(&path).map_err(|source| undone("remove", &path, source))?;
        }
        let removed = disk.sync_folder(folder).and_then(|()| disk.remove_folder(folder));
        let removed = removed.and_then(|()| disk.sync_folder(&body));
        removed.map_err(|source| undone("remove", folder, source))
    }
}

/// A copy for a hold while it is written.
struct Copy<'a> {
    local: &'a Local,
    held: Bucket,
    key: SealingKey,
    number: u32,
    offset: u64,
    file: Option<Arc<dyn DiskFile>>,
}

impl Copy<'_> {
    fn path(&self) -> std::path::PathBuf {
        self.local.place.path(&Segment::Body(self.held, self.number).path())
    }

    fn finish_segment(&mut self) -> Result<(), Failure> {
        let path = self.path();
        if let Some(file) = self.file.take() {
            file.sync().map_err(|source| broken("sync", &path, source))?;
            (self.number, self.offset) = (self.number + 1, 0);
        }
        Ok(())
    }
}

impl Holding for Copy<'_> {
    fn key(&self) -> &SealingKey {
        &self.key
    }

    fn put(&mut self, entry: u64, sealed: &[u8]) -> Result<(), Failure> {
        let (bytes, max) = (sealed.len(), body::BODY_BYTES_MAX);
        let record = BodyRecord { entry, sealed }.encode();
        let record = record.ok_or(Failure::Refused(AppendError::TooLarge { bytes, max }))?;
        if self.offset > 0 && self.offset + record.len() as u64 > self.local.segment_bytes {
            self.finish_segment()?;
        }
        let path = self.path();
        let file = match &self.file {
            Some(file) => file,
            None => {
                let file = self.local.place.disk.open(&path, Mode::Create);
                let file = file.map_err(|source| failed("create", &path, source))?;
                self.file.insert(file)
            }
        };
        let written = file.write_at(&record, self.offset);
        written.map_err(|source| failed("write", &path, source))?;
        self.offset += record.len() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        self.finish_segment()?;
        let local = self.local;
        let (disk, place) = (local.place.disk.as_ref(), &local.place);
        let (folder, body) = (place.path(&body_folder(self.held)), place.path(BODY));
        let synced = disk.sync_folder(&folder).and_then(|()| disk.sync_folder(&body));
        synced.map_err(|source| broken("sync", &folder, source))?;
        let file = body::key_file(&local.master, &local.identity.id, self.held, &self.key);
        let file = file.map_err(|source| keys_failed("wrap a bucket's key", source))?;
        let name = key_name(self.held);
        let (_, short) = name.split_once('/').unwrap_or_default();
        let written = replace(disk, &place.path(KEYS), short, &file);
        written.map_err(|source| failed("write", &place.path(&name), source))
    }
}
