//! Opening a folder: creating it, or redoing the journal's writes and reading where it ends.
//!
//! Invariants: damage where the ledger goes on refuses the opening and is named; nothing is
//! shortened silently. Of the log the last segment is read, of each bucket the last segment of
//! bodies: what is before is held by the signed header, and read whole by whoever verifies.
//! Redone writes are made again even where the bytes look right, because after a failed sync the
//! page cache may show bytes that the disk does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use keys::seal::SealingKey;
use keys::{Clock, Random, random_bytes};

use super::Local;
use super::place::{Place, STEP_BYTES, write_zeros};
use crate::body::{unwrap_key, wrapped_key};
use crate::disk::{DiskFile, Mode, read_whole, replace};
use crate::envelope::Bucket;
use crate::error::{Damage, OpenError, ReadError};
use crate::identity::{self, BODY, IDENTITY, Identity, JOURNAL, KEYS, LOG};
use crate::journal::{JournalFrame, JournalScan, Segment};
use crate::note::VerifierKey;
use crate::retention::{DISPOSED, Moved};
use crate::scan::{BodyEnd, Fault, LogEnd, Source, resume_bodies, resume_log};
use crate::settings::{LedgerKeys, Settings};
use crate::store::{Head, Store as _};

const JOURNAL_BYTES_MAX: u64 = 64 << 20;

/// A folder as it was found.
pub(super) struct Loaded {
    pub(super) end: LogEnd,
    pub(super) bodies: BTreeMap<Bucket, BodyEnd>,
    pub(super) journal: Arc<dyn DiskFile>,
    pub(super) journal_bytes: u64,
    /// The generation that the journal goes on with, at offset 0.
    pub(super) generation: u64,
}

pub(super) fn failed(
    place: &Place,
    doing: &'static str,
    name: &str,
) -> impl Fn(io::Error) -> OpenError {
    let path = place.path(name);
    move |source| OpenError::Disk { doing, path: path.clone(), source }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Disk { path, source } => Self::Disk { doing: "read", path, source },
            Fault::Damaged(damage) => Self::Damaged(damage),
        }
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => Self::Damaged(damage),
            ReadError::Disk { path, source } => Self::Disk { doing: "read", path, source },
            ReadError::Database(source) => Self::Database { source: Arc::new(source) },
            ReadError::Object(source) => Self::Object { source: Arc::new(source) },
            ReadError::NoEntry { .. } | ReadError::NoSize { .. } | ReadError::Disposed { .. } => {
                damaged(LOG, "the log does not have all of its tree")
            }
        }
    }
}

fn damaged(file: &str, what: &str) -> OpenError {
    OpenError::Damaged(Damage::new(file, 0, None, what))
}

/// The identity of the ledger in the folder; creates the ledger if there is none.
pub(crate) fn identity(
    place: &Place,
    settings: &Settings,
    keys: &LedgerKeys,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Identity, OpenError> {
    let key = VerifierKey { name: settings.origin.clone(), public: keys.signer.public() };
    let max = identity::SMALL_FILE_BYTES_MAX;
    match read_whole(place.disk.as_ref(), &place.path(IDENTITY), max) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).ok();
            let found = text.as_deref().and_then(Identity::parse);
            let wrong = || damaged(IDENTITY, Identity::complaint(text.as_deref()));
            let found = found.ok_or_else(wrong)?;
            if found.key != key {
                let (found, expected) = (found.key.to_string(), key.to_string());
                return Err(OpenError::Foreign { folder: place.folder.clone(), found, expected });
            }
            Ok(found)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = random_bytes(random);
            let id = id.map_err(|source| OpenError::Keys { doing: "draw an identity", source })?;
            let (origin, ori) = (settings.origin.clone(), settings.ori.clone());
            let identity = Identity { origin, ori, id, key, created: clock.now() };
            create(place, settings, &identity)?;
            Ok(identity)
        }
        Err(error) => Err(failed(place, "read", IDENTITY)(error)),
    }
}

/// Makes an empty ledger. The identity comes last: without it, a creation is begun again.
pub(crate) fn create(
    place: &Place,
    settings: &Settings,
    identity: &Identity,
) -> Result<(), OpenError> {
    let disk = place.disk.as_ref();
    for name in [LOG, BODY, KEYS] {
        disk.create_folder(&place.path(name)).map_err(failed(place, "create", name))?;
    }
    let (first, ahead) = (Segment::Log(0).path(), settings.segment_bytes.min(STEP_BYTES));
    for (name, length) in [(JOURNAL, settings.journal_bytes), (first.as_str(), ahead)] {
        let file = disk.open(&place.path(name), Mode::Create);
        let file = file.map_err(failed(place, "create", name))?;
        let mut head = [0; 8];
        file.read_at(&mut head, 0).map_err(failed(place, "read", name))?;
        if head != [0; 8] {
            return Err(damaged(IDENTITY, "the identity is missing, yet there are records"));
        }
        let written = write_zeros(file.as_ref(), 0, length).and_then(|()| file.sync());
        written.map_err(failed(place, "write", name))?;
    }
    disk.sync_folder(&place.path(LOG)).map_err(failed(place, "sync", LOG))?;
    let text = identity.encode();
    let written = replace(disk, &place.folder, IDENTITY, text.as_bytes());
    written.map_err(failed(place, "write", IDENTITY))
}

/// Redoes the journal's writes, then reads where the log and each bucket end.
pub(super) fn load(local: &Local) -> Result<Loaded, OpenError> {
    let (place, identity) = (&local.place, &local.identity);
    let ledger = &identity.id;
    sync_names(place)?;
    let bytes = read_whole(place.disk.as_ref(), &place.path(JOURNAL), JOURNAL_BYTES_MAX);
    let bytes = bytes.map_err(|error| missing(place, JOURNAL, error))?;
    let scan = JournalScan::read(&bytes, ledger);
    scan.check_format()?;
    local.read_documents()?;
    let moved = local.moved();
    redo(place, &scan.frames, &moved)?;

    let source = Source::new(place.disk.as_ref(), &place.folder, &[]);
    let mut newest = BTreeMap::new();
    let end = resume_log(&source, ledger, &identity.key, &mut |frame, _, _, tree| {
        for envelope in &frame.envelopes {
            if let Ok(bucket) = moved.locate(envelope) {
                newest.insert(bucket, envelope.entry);
            }
            tree.push(envelope.leaf(), &mut |_, _, _| {});
        }
        Ok(())
    })?;
    check_stray(&scan, end.head.size())?;
    let bodies = load_bodies(local, &source, &end.head, &newest)?;
    let journal = place.disk.open(&place.path(JOURNAL), Mode::Write);
    let journal = journal.map_err(failed(place, "open", JOURNAL))?;
    let (journal_bytes, generation) = (bytes.len() as u64, scan.generation + 1);
    Ok(Loaded { end, bodies, journal, journal_bytes, generation })
}

pub(super) fn missing(place: &Place, name: &str, error: io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::NotFound => damaged(name, "the file is missing"),
        _ => failed(place, "read", name)(error),
    }
}

/// Whole batches that can't be reached, for one before them is damaged, were confirmed. They are
/// lost if the log does not have them.
pub(crate) fn check_stray(scan: &JournalScan, size: u64) -> Result<(), Damage> {
    let reached = scan.stray.iter().map(|(_, reaches)| *reaches).max().unwrap_or(0);
    if reached <= size {
        return Ok(());
    }
    let what = format!("a later batch reaches {reached} entries, yet the log has only {size}");
    Err(Damage::new(JOURNAL, scan.end as u64, Some(size), &what))
}

impl From<Damage> for OpenError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

/// Makes the names of files durable that a failed sync of their folder may have left in doubt.
fn sync_names(place: &Place) -> Result<(), OpenError> {
    let buckets = Source::new(place.disk.as_ref(), &place.folder, &[]).buckets()?;
    let bodies = buckets.into_iter().map(crate::journal::body_folder);
    let folders = ["", LOG, KEYS, BODY].into_iter().map(str::to_owned).chain(bodies);
    for folder in folders {
        let synced = place.disk.sync_folder(&place.path(&folder));
        synced.map_err(failed(place, "sync", &folder))?;
    }
    match place.disk.sync_folder(&place.path(DISPOSED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced.map_err(failed(place, "sync", DISPOSED)),
    }
}

fn redo(place: &Place, frames: &[JournalFrame], moved: &Moved) -> Result<(), OpenError> {
    let mut files: BTreeMap<Segment, Arc<dyn DiskFile>> = BTreeMap::new();
    let is_gone = |segment| matches!(segment, Segment::Body(of, _) if moved.is_leftover(of));
    let writes = frames.iter().flat_map(|frame| &frame.writes);
    for write in writes.filter(|write| !is_gone(write.segment)) {
        let name = write.segment.path();
        let file = match files.get(&write.segment) {
            Some(file) => Arc::clone(file),
            None => {
                let file = place.disk.open(&place.path(&name), Mode::Write);
                let file = file.map_err(|error| missing(place, &name, error))?;
                files.insert(write.segment, Arc::clone(&file));
                file
            }
        };
        let written = file.write_at(&write.bytes, write.offset);
        written.map_err(failed(place, "write", &name))?;
    }
    for (segment, file) in files {
        file.sync().map_err(failed(place, "sync", &segment.path()))?;
    }
    Ok(())
}

/// The name of a bucket's key file.
pub(crate) fn key_name(bucket: Bucket) -> String {
    format!("{KEYS}/{}.key", bucket.name())
}

/// The buckets that have a key file.
pub(super) fn key_buckets(place: &Place) -> io::Result<Vec<Bucket>> {
    let names = place.disk.list(&place.path(KEYS))?;
    Ok(names.iter().filter_map(|name| Bucket::parse(name.strip_suffix(".key")?)).collect())
}

/// Opens the buckets' keys and finds where their bodies end. `newest` has the newest entry of
/// each bucket in the last segment of the log.
fn load_bodies(
    local: &Local,
    source: &Source<'_>,
    head: &Head,
    newest: &BTreeMap<Bucket, u64>,
) -> Result<BTreeMap<Bucket, BodyEnd>, OpenError> {
    let place = &local.place;
    let buckets = key_buckets(place).map_err(failed(place, "list", KEYS))?;
    let folders = source.buckets()?;
    let moved = local.moved();
    let buckets = buckets.into_iter().chain(folders.clone());
    let buckets: BTreeSet<Bucket> = buckets.filter(|it| !moved.is_leftover(*it)).collect();
    let (mut ends, mut keys) = (BTreeMap::new(), BTreeMap::new());
    for bucket in buckets {
        keys.insert(bucket, read_key(local, bucket)?);
        // A crash may leave a key whose folder was not made yet.
        let folder = crate::journal::body_folder(bucket);
        if !folders.contains(&bucket) {
            let made = place.disk.create_folder(&place.path(&folder));
            let made = made.and_then(|()| place.disk.sync_folder(&place.path(BODY)));
            made.map_err(failed(place, "create", &folder))?;
        }
        let end =
            resume_bodies(source, bucket, &mut |found| match found.record.entry < head.size() {
                true => Ok(()),
                false => Err(found.damage("the log does not have the body's entry")),
            })?;
        ends.insert(bucket, end);
    }
    // A document that is missing is made again once the ledger is open: a bucket that was due may
    // be absent, though not in part.
    let latest = head.latest_ms.unwrap_or(i64::MIN);
    let was_due = |it: &Bucket| it.due().is_some_and(|due| due.as_millisecond() <= latest);
    for (bucket, entry) in newest {
        let end = ends.get(bucket);
        if end.is_none() && was_due(bucket) {
            continue;
        }
        if end.and_then(|end| end.last) < Some(*entry) {
            let file = end.map(|end| Segment::Body(*bucket, end.segment).path());
            let (file, offset) = (file.unwrap_or(BODY.to_owned()), end.map_or(0, |end| end.offset));
            let what = "the body of an entry is missing";
            return Err(Damage::new(&file, offset, Some(*entry), what).into());
        }
    }
    *local.buckets_mut() = keys;
    Ok(ends)
}

pub(super) fn read_key(local: &Local, bucket: Bucket) -> Result<SealingKey, OpenError> {
    let (place, ledger) = (&local.place, &local.identity.id);
    let name = key_name(bucket);
    let max = identity::SMALL_FILE_BYTES_MAX;
    let file = read_whole(place.disk.as_ref(), &place.path(&name), max);
    let file = file.map_err(|error| missing(place, &name, error))?;
    let wrapped = wrapped_key(&file, ledger);
    let wrapped = wrapped.ok_or_else(|| damaged(&name, "the key file is not as written"))?;
    let key = unwrap_key(&local.master, ledger, bucket, wrapped);
    key.ok_or_else(|| OpenError::WrongKey { path: place.path(&name) })
}
