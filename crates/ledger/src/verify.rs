//! Verifying a folder from outside: no secrets, no writing, no running ledger.
//!
//! What holds afterwards: every envelope is in the tree that the ledger's key signed; every body
//! is the one that was written (its digest; what it says stays sealed); every checkpoint that was
//! published is of this tree; the log is not shorter than the caller expects. What can't be seen
//! from a folder alone: that it is an older copy of itself. For that the caller brings a size or
//! a checkpoint from elsewhere.
//!
//! Log and bodies are read on all cores; memory is a bit for each entry.

mod bodies;
mod log;
mod numbers;
mod resume;

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use crate::body::wrapped_key;
use crate::disk::{Disk, SystemDisk, read_whole};
use crate::envelope::Bucket;
use crate::error::Damage;
use crate::identity::{
    BODY, CHECKPOINT, CHECKPOINTS, IDENTITY, Identity, JOURNAL, KEYS, SMALL_FILE_BYTES_MAX,
};
use crate::journal::{JournalScan, body_folder};
use crate::local::{check_stray, key_name, parse_all};
use crate::merkle::Hash;
use crate::note::{Checkpoint, VerifierKey};
use crate::retention::{DISPOSED, DISPOSED_BYTES_MAX, Disposals, document_name};
use crate::scan::{Fault, LogEnd, Source, scan_bodies};
use crate::source::{Ends, Pace};
use bodies::{Bodies, read_bodies};
use log::{LogRead, LogReading, read_log};
pub(crate) use numbers::Numbers;
use resume::Resume;

pub(crate) const JOURNAL_BYTES_MAX: u64 = 64 << 20;
const CHECKPOINTS_BYTES_MAX: u64 = 1 << 30;
/// What a checkpoint from outside is called where it does not hold.
const EXPECTED: &str = "the expected checkpoint";
const THREADS_MAX: usize = 16;
/// A ledger that is being written to may be caught in the middle of a write.
const TRIES_MAX: u32 = 3;

/// What to hold a folder against. By default, only against itself.
#[derive(Default)]
pub struct VerifyOptions<'a> {
    /// The least number of entries: a ledger that lost its end is refused.
    pub expect_size: Option<u64>,
    /// The verifier key (C2SP) that must have signed. Without it the folder's own is taken, which
    /// shows that the folder agrees with itself.
    pub key: Option<String>,
    /// A checkpoint of this log (C2SP note) that somebody outside has kept: the log must go on from it.
    pub expect_checkpoint: Option<String>,
    /// A file outside the folder that says how far an interrupted verification came; made if it isn't there.
    pub resume: Option<PathBuf>,
    /// Told how many entries and bodies were checked, and of about how many where that is known (else 0).
    pub progress: Option<&'a mut dyn FnMut(u64, u64)>,
}

/// A ledger that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
    /// The signed note for this size; `None` while the ledger is empty.
    pub checkpoint: Option<String>,
    /// Checkpoints that were published, all of this tree.
    pub published: u64,
    /// Buckets whose disposal the log announces, and whose bodies it may lack.
    pub disposed: u64,
    /// Keys and bodies that a disposal should have destroyed and that are there still, or again (as
    /// from a restored backup); and copies for a hold that were not finished. No damage to the
    /// log: the next start removes them.
    pub leftover: Vec<String>,
}

/// Verifies the ledger in a folder.
pub fn verify(folder: &Path, options: VerifyOptions<'_>) -> Result<Verified, Damage> {
    verify_on(&SystemDisk, folder, options)
}

/// As [`verify`], on a disk that a test owns.
#[doc(hidden)]
pub fn verify_on(
    disk: &dyn Disk,
    folder: &Path,
    mut options: VerifyOptions<'_>,
) -> Result<Verified, Damage> {
    patiently(disk, folder, || Folder { disk, folder }.verify(&mut options, None))
}

/// Verifies what a running ledger had at the moment of `ends`, with one thread and at a pace.
pub(crate) fn verify_running(
    disk: &dyn Disk,
    folder: &Path,
    size: u64,
    ends: &Ends,
    pace: &Pace<'_>,
) -> Result<Verified, Damage> {
    let mut options = VerifyOptions { expect_size: Some(size), ..VerifyOptions::default() };
    Folder { disk, folder }.verify(&mut options, Some((ends, pace)))
}

/// Reads a folder, again if it does not hold while somebody writes to it.
pub(crate) fn patiently<T>(
    disk: &dyn Disk,
    folder: &Path,
    mut read: impl FnMut() -> Result<T, Damage>,
) -> Result<T, Damage> {
    let mut tries = 1;
    loop {
        match read() {
            Err(_) if tries < TRIES_MAX && is_live(disk, folder) => tries += 1,
            other => return other,
        }
    }
}

fn is_live(disk: &dyn Disk, folder: &Path) -> bool {
    let there = disk.open(&folder.join(crate::identity::LOCK), crate::disk::Mode::Read).is_ok();
    there && disk.lock(&folder.join(crate::identity::LOCK)).is_ok_and(|lock| lock.is_none())
}

/// A folder that is only read.
pub(crate) struct Folder<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) folder: &'a Path,
}

impl Folder<'_> {
    pub(crate) fn read(&self, name: &str, max: u64) -> Result<Vec<u8>, Damage> {
        read_whole(self.disk, &self.folder.join(name), max)
            .map_err(|error| Damage::unreadable(name, &error))
    }

    fn read_or_empty(&self, name: &str, max: u64) -> Result<Vec<u8>, Damage> {
        match read_whole(self.disk, &self.folder.join(name), max) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(|error| Damage::unreadable(name, &error)),
        }
    }

    fn verify(
        &self,
        options: &mut VerifyOptions<'_>,
        running: Option<(&Ends, &Pace<'_>)>,
    ) -> Result<Verified, Damage> {
        let identity = self.identity(options.key.as_deref())?;
        let mut published = self.published(&identity.key)?;
        let count = published.len() as u64;
        let mut expected = options.expect_size.unwrap_or(0);
        if let Some(note) = &options.expect_checkpoint {
            let kept = Checkpoint::open(note, &identity.key);
            let kept = kept.map_err(|it| Damage::new(EXPECTED, 0, None, &it.to_string()))?;
            expected = expected.max(kept.size);
            published.push((kept, EXPECTED, 0));
            published.sort_by_key(|(checkpoint, _, _)| checkpoint.size);
        }
        let mut resume = match &options.resume {
            Some(path) => Resume::open(self.disk, path, &identity.id)?,
            None => Resume::default(),
        };
        let journal = self.read(JOURNAL, JOURNAL_BYTES_MAX)?;
        let journal = JournalScan::read(&journal, &identity.id);
        journal.check_format()?;
        let mut source = Source::new(self.disk, self.folder, &journal.frames);
        let mut threads =
            std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
        if let Some((ends, pace)) = running {
            // All up to the ends is in its place; what was published since is of a later log.
            source = Source::new(self.disk, self.folder, &[]).upto(ends, pace);
            published.retain(|(note, _, _)| note.size <= expected);
            threads = 1;
        }

        let most = published.last().map_or(0, |it| it.0.size).max(expected);
        let mut disposals = self.disposals()?;
        let (ledger, key, published) = (&identity.id, &identity.key, &published);
        let reading = LogReading { source: &source, ledger, key, published, threads };
        let mut tell = |done: u64, total: u64| {
            if let Some(progress) = &mut options.progress {
                progress(done, total);
            }
        };
        let mut tick = |done: u64| tell(done, 2 * most.max(done));
        let read = read_log(&reading, &mut disposals, &mut tick);
        let LogRead { end, in_buckets } = read.map_err(|fault| self.damage(fault))?;
        let size = end.head.tree.size();
        // Somebody may append meanwhile: a body of a later entry ends what is read.
        let live = running.is_none() && is_live(self.disk, self.folder);
        let upto = live.then_some(size);
        self.check_size(&end, expected, published)?;
        if running.is_none() {
            check_stray(&journal, size)?;
        }
        disposals.check()?;
        let leftover =
            self.keys_and_folders(&source, &identity, (&in_buckets, upto), &disposals)?;
        let bodies: u64 = in_buckets.values().map(Numbers::len).sum();
        let mut tick = |done: u64| tell(size + done, size + bodies);
        let reading = Bodies { source: &source, in_buckets: &in_buckets, upto, threads };
        let read = read_bodies(&reading, &mut resume, &mut tick);
        read.map_err(|fault| self.damage(fault))?;

        let checkpoint = Checkpoint { origin: identity.origin.clone(), size, root: end.head.root };
        let note = end.head.signature.map(|it| checkpoint.note(&identity.key, &it));
        let (origin, root, published) = (identity.origin, end.head.root, count);
        let disposed = disposals.len();
        Ok(Verified { origin, size, root, checkpoint: note, published, disposed, leftover })
    }

    /// The statements of what was disposed of.
    pub(crate) fn disposals(&self) -> Result<Disposals, Damage> {
        let mut disposals = Disposals::default();
        let names = match self.disk.list(&self.folder.join(DISPOSED)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(|error| Damage::unreadable(DISPOSED, &error))?,
        };
        for bucket in names.iter().filter_map(|name| Bucket::parse(name)) {
            let text = self.read(&document_name(bucket), DISPOSED_BYTES_MAX)?;
            disposals.add(bucket, &text)?;
        }
        Ok(disposals)
    }

    pub(crate) fn damage(&self, fault: Fault) -> Damage {
        match fault {
            Fault::Damaged(damage) => damage,
            Fault::Disk { path, source } => {
                let name = path.strip_prefix(self.folder).unwrap_or(&path).to_string_lossy();
                Damage::unreadable(&name, &source)
            }
        }
    }

    pub(crate) fn identity(&self, key: Option<&str>) -> Result<Identity, Damage> {
        let bytes = self.read(IDENTITY, SMALL_FILE_BYTES_MAX)?;
        let text = String::from_utf8(bytes).ok();
        let identity = text.as_deref().and_then(Identity::parse);
        let damage = |what| Damage::new(IDENTITY, 0, None, what);
        let identity = identity.ok_or_else(|| damage(Identity::complaint(text.as_deref())))?;
        if let Some(key) = key {
            let key = VerifierKey::parse(key.trim());
            let key = key.map_err(|_| damage("the expected key is no verifier key"))?;
            if key != identity.key {
                return Err(damage("the ledger is signed by another key than the expected one"));
            }
        }
        Ok(identity)
    }

    /// All published checkpoints with the file and offset of each, by size.
    fn published(&self, key: &VerifierKey) -> Result<Vec<PublishedAt>, Damage> {
        let all = self.read_or_empty(CHECKPOINTS, CHECKPOINTS_BYTES_MAX)?;
        let newest = self.read_or_empty(CHECKPOINT, SMALL_FILE_BYTES_MAX)?;
        let (notes, _torn) = parse_all(&all, key)?;
        let notes = notes.into_iter().map(|(offset, note)| (note, CHECKPOINTS, offset));
        let mut published: Vec<PublishedAt> = notes.collect();
        if !newest.is_empty() {
            let note = Checkpoint::open(&String::from_utf8_lossy(&newest), key);
            let note = note.map_err(|it| Damage::new(CHECKPOINT, 0, None, &it.to_string()))?;
            published.push((note, CHECKPOINT, 0));
        }
        published.sort_by_key(|(checkpoint, _, _)| checkpoint.size);
        Ok(published)
    }

    fn check_size(
        &self,
        end: &LogEnd,
        expected: u64,
        published: &[PublishedAt],
    ) -> Result<(), Damage> {
        let size = end.head.tree.size();
        let file = crate::journal::Segment::Log(end.segment).path();
        let short = |what: &str| Err(Damage::new(&file, end.offset, Some(size), what));
        if size < expected {
            return short(&format!(
                "the log ends here with {size} entries; {expected} are expected"
            ));
        }
        match published.last() {
            Some((checkpoint, _, _)) if checkpoint.size > size => short(&format!(
                "the log ends here with {size} entries; a checkpoint of {} was published",
                checkpoint.size
            )),
            _ => Ok(()),
        }
    }

    /// Every bucket that must have them has its key, whole, and its folder; every other body is left over or
    /// damage. Gives what is left over.
    fn keys_and_folders(
        &self,
        source: &Source<'_>,
        identity: &Identity,
        (in_buckets, upto): (&BTreeMap<Bucket, Numbers>, Option<u64>),
        disposals: &Disposals,
    ) -> Result<Vec<String>, Damage> {
        let there = source.buckets().map_err(|fault| self.damage(fault))?;
        let keys = self.disk.list(&self.folder.join(KEYS)).unwrap_or_default();
        let keys = keys.iter().filter_map(|name| Bucket::parse(name.strip_suffix(".key")?));
        let is_leftover = |bucket: &Bucket| {
            !in_buckets.contains_key(bucket) && (disposals.contains(*bucket) || bucket.held > 0)
        };
        let mut leftover: Vec<String> = keys.filter(is_leftover).map(key_name).collect();
        for bucket in there.iter().filter(|bucket| !in_buckets.contains_key(*bucket)) {
            if is_leftover(bucket) {
                leftover.push(body_folder(*bucket));
                continue;
            }
            let found = scan_bodies(source, *bucket, &mut |found| match upto {
                Some(size) if found.record.entry >= size => Ok(()),
                _ => Err(found.damage("the log does not have the body's entry")),
            });
            found.map_err(|fault| self.damage(fault))?;
        }
        for (bucket, entries) in in_buckets {
            let name = key_name(*bucket);
            let file = self.read(&name, SMALL_FILE_BYTES_MAX)?;
            let whole = wrapped_key(&file, &identity.id).is_some();
            if !whole {
                return Err(Damage::new(&name, 0, None, "the key file is not as written"));
            }
            if !there.contains(bucket) {
                let what = "the bodies of a bucket are missing";
                let file = format!("{BODY}/{}", bucket.name());
                return Err(Damage::new(&file, 0, entries.iter().next(), what));
            }
        }
        Ok(leftover)
    }
}

type PublishedAt = (Checkpoint, &'static str, u64);

/// Holds published roots against the tree as it grows.
struct Roots<'a> {
    published: &'a [PublishedAt],
    next: usize,
}

impl<'a> Roots<'a> {
    /// Those of trees of at least so many entries.
    fn of(published: &'a [PublishedAt], least: u64) -> Self {
        Self { published, next: published.partition_point(|it| it.0.size < least) }
    }

    fn hold_if_due(&mut self, tree: &crate::merkle::CompactRange) -> Result<(), Damage> {
        let due = self.published.get(self.next).is_some_and(|it| it.0.size == tree.size());
        if due { self.hold(tree.size(), &tree.root()) } else { Ok(()) }
    }

    fn hold(&mut self, size: u64, root: &Hash) -> Result<(), Damage> {
        while let Some((checkpoint, file, offset)) = self.published.get(self.next) {
            if checkpoint.size != size {
                break;
            }
            if checkpoint.root != *root {
                let what = "the published root is not that of the log's entries";
                return Err(Damage::new(file, *offset, None, what));
            }
            self.next += 1;
        }
        Ok(())
    }
}
