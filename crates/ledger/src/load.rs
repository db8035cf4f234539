//! Opening a ledger: creating it, or redoing the journal's writes and reading everything.
//!
//! Invariants: damage refuses the opening and is named; nothing is shortened silently. Redone
//! writes are made again even where the bytes look right, because after a failed sync the page
//! cache may show bytes that the disk does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use keys::seal::SealingKey;
use keys::{Clock, Random, random_bytes};

use crate::body::{unwrap_key, wrapped_key};
use crate::disk::{DiskFile, Mode, read_whole, replace};
use crate::envelope::{Bucket, LedgerId};
use crate::error::{Damage, OpenError};
use crate::identity::{self, BODY, IDENTITY, Identity, JOURNAL, KEYS, LOG};
use crate::journal::{JournalFrame, JournalScan, Segment};
use crate::memory::{BodyAt, FrameAt, Memory};
use crate::note::VerifierKey;
use crate::place::{Place, STEP_BYTES, write_zeros};
use crate::published::{self, Published};
use crate::reading::open_body;
use crate::scan::{BodyEnd, Fault, LogEnd, Source, scan_bodies, scan_log};
use crate::settings::{LedgerKeys, Settings};

const JOURNAL_BYTES_MAX: u64 = 64 << 20;

/// A ledger as it was found.
pub(crate) struct Loaded {
    pub(crate) memory: Memory,
    pub(crate) end: LogEnd,
    pub(crate) bodies: BTreeMap<Bucket, BodyEnd>,
    pub(crate) journal: Arc<dyn DiskFile>,
    pub(crate) journal_bytes: u64,
    /// The generation that the journal goes on with, at offset 0.
    pub(crate) generation: u64,
    pub(crate) published: Published,
}

fn failed(place: &Place, doing: &'static str, name: &str) -> impl Fn(io::Error) -> OpenError {
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
            let found = found.ok_or_else(|| damaged(IDENTITY, "this is no ledger's identity"))?;
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
fn create(place: &Place, settings: &Settings, identity: &Identity) -> Result<(), OpenError> {
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

/// Redoes the journal's writes, then reads the whole ledger.
pub(crate) fn load(
    place: &Place,
    identity: &Identity,
    keys: &LedgerKeys,
) -> Result<Loaded, OpenError> {
    let ledger = &identity.id;
    sync_names(place)?;
    let bytes = read_whole(place.disk.as_ref(), &place.path(JOURNAL), JOURNAL_BYTES_MAX);
    let bytes = bytes.map_err(|error| missing(place, JOURNAL, error))?;
    let scan = JournalScan::read(&bytes, ledger);
    redo(place, &scan.frames)?;

    let mut memory = Memory::default();
    let source = Source::new(place.disk.as_ref(), &place.folder, &[]);
    let end = scan_log(&source, ledger, &identity.key, &mut |frame, segment, offset, tree| {
        memory.frames.push(FrameAt { first: frame.head.first, segment, offset });
        for envelope in &frame.envelopes {
            memory.bodies.push(None);
            tree.push(envelope.leaf(), &mut |level, _, hash| memory.keep(level, hash));
        }
        Ok(())
    })?;
    memory.tree = end.tree.clone();
    memory.signature = end.signature;
    let published = published::check(place, identity, &memory)?;
    check_stray(&scan, end.tree.size())?;
    let bodies = load_bodies(place, ledger, &source, &keys.body, &mut memory)?;
    let journal = place.disk.open(&place.path(JOURNAL), Mode::Write);
    let journal = journal.map_err(failed(place, "open", JOURNAL))?;
    let (journal_bytes, generation) = (bytes.len() as u64, scan.generation + 1);
    Ok(Loaded { memory, end, bodies, journal, journal_bytes, generation, published })
}

fn missing(place: &Place, name: &str, error: io::Error) -> OpenError {
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
    Ok(())
}

fn redo(place: &Place, frames: &[JournalFrame]) -> Result<(), OpenError> {
    let mut files: BTreeMap<Segment, Arc<dyn DiskFile>> = BTreeMap::new();
    for write in frames.iter().flat_map(|frame| &frame.writes) {
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
pub(crate) fn key_buckets(place: &Place) -> io::Result<Vec<Bucket>> {
    let names = place.disk.list(&place.path(KEYS))?;
    Ok(names.iter().filter_map(|name| Bucket::parse(name.strip_suffix(".key")?)).collect())
}

fn load_bodies(
    place: &Place,
    ledger: &LedgerId,
    source: &Source<'_>,
    master: &SealingKey,
    memory: &mut Memory,
) -> Result<BTreeMap<Bucket, BodyEnd>, OpenError> {
    let buckets = key_buckets(place).map_err(failed(place, "list", KEYS))?;
    let folders = source.buckets()?;
    let buckets: BTreeSet<Bucket> = buckets.into_iter().chain(folders.clone()).collect();
    let mut ends = BTreeMap::new();
    for (number, bucket) in (0..).zip(buckets) {
        let name = key_name(bucket);
        let max = identity::SMALL_FILE_BYTES_MAX;
        let file = read_whole(place.disk.as_ref(), &place.path(&name), max);
        let file = file.map_err(|error| missing(place, &name, error))?;
        let wrapped = wrapped_key(&file, ledger);
        let wrapped = wrapped.ok_or_else(|| damaged(&name, "the key file is not as written"))?;
        let key = unwrap_key(master, ledger, bucket, wrapped);
        let key = key.ok_or_else(|| OpenError::WrongKey { path: place.path(&name) })?;
        // A crash may leave a key whose folder was not made yet.
        let folder = crate::journal::body_folder(bucket);
        if !folders.contains(&bucket) {
            let made = place.disk.create_folder(&place.path(&folder));
            let made = made.and_then(|()| place.disk.sync_folder(&place.path(BODY)));
            made.map_err(failed(place, "create", &folder))?;
        }
        let end = scan_bodies(source, bucket, &mut |found| {
            let entry = found.record.entry;
            if entry >= memory.size() {
                return Err(found.damage("the log does not have the body's entry"));
            }
            let opened = open_body(ledger, bucket, &found.record, &key);
            opened.map_err(|what| found.damage(what))?;
            let offset = u32::try_from(found.offset).unwrap_or(u32::MAX);
            let body = BodyAt { bucket: number, segment: found.segment, offset };
            memory.place(entry, body);
            Ok(())
        })?;
        memory.buckets.push((bucket, key));
        ends.insert(bucket, end);
    }
    match (0..).zip(&memory.bodies).find(|(_, body)| body.is_none()) {
        None => Ok(ends),
        Some((entry, _)) => {
            let what = "the body of an entry is missing";
            Err(Damage::new(BODY, 0, Some(entry), what).into())
        }
    }
}
