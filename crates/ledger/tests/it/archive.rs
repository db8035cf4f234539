//! Closed segments in object storage: nothing is lost on the way, nothing is written over, and what is
//! changed there is named.

mod columns;
mod restore;
mod store;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use keys::{FixedClock, SystemRandom};
use ledger::archive::{
    Archive, ArchiveChecked, ArchiveError, Archived, CheckArchive, Shelf, Unlocked, archive,
    verify_archive,
};
use ledger::testing::{keys, settings};
use ledger::{Event, Ledger, Record, Settings};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};

use crate::common::{append, clock, numbered, record, released, time};
use store::{Broken, Locking};

/// A ledger on a real disk, small enough that some of its segments are closed.
struct Case {
    _folder: tempfile::TempDir,
    path: PathBuf,
    settings: Settings,
    clock: Arc<FixedClock>,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let mut settings = settings(&path);
        (settings.segment_bytes, settings.journal_bytes) = (64 << 10, 64 << 10);
        Self { _folder: folder, path, settings, clock: clock() }
    }

    fn open(&self) -> Ledger {
        let (clock, random) = (Arc::clone(&self.clock) as _, Arc::new(SystemRandom));
        Ledger::open_or_create(self.settings.clone(), keys(), clock, random).unwrap()
    }

    /// Pairs of entries of both schedules, until so many more segments of the log are closed.
    fn grow(&self, segments: usize) -> Ledger {
        let ledger = self.open();
        let closed = || std::fs::read_dir(self.path.join("log")).unwrap().count();
        let enough = closed() + segments;
        aside(|| {
            let mut number = 0;
            while closed() < enough {
                append(&ledger, record(released(number))).unwrap();
                let (exchange, digest) = ("x".to_owned(), "d".to_owned());
                let issued = Event::ReceiptIssued { exchange, digest };
                append(&ledger, Record::platform(issued)).unwrap();
                number += 1;
            }
        });
        ledger
    }

    /// So many entries in few batches.
    fn grow_at_once(&self, entries: u64) -> Ledger {
        let ledger = self.open();
        let waiting: Vec<_> =
            (0..entries).map(|it| ledger.enqueue(numbered(it)).unwrap()).collect();
        aside(|| waiting.into_iter().for_each(|it| assert!(it.wait().is_ok())));
        ledger
    }

    async fn archive(&self, shelf: &dyn Shelf, at: &str) -> Result<Archived, ArchiveError> {
        archive(&self.path, shelf, self.with(at)).await
    }

    fn with<'a>(&self, at: &str) -> Archive<'a> {
        let signer = Box::leak(Box::new(keys().signer));
        let progress = Box::leak(Box::new(|_: u64, _: u64| {}));
        Archive { signer, content: None, now: time(at), progress }
    }
}

/// Waits for the disk outside of the runtime.
fn aside(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap());
}

const SOON: &str = "2026-11-22T15:00:00Z";
const NEXT_MONTH: &str = "2026-12-02T00:00:00Z";

async fn check(store: &dyn ObjectStore) -> Result<ArchiveChecked, ArchiveError> {
    check_against(store, None, None, None).await
}

async fn check_against(
    store: &dyn ObjectStore,
    key: Option<&str>,
    expect_size: Option<u64>,
    checkpoint: Option<&str>,
) -> Result<ArchiveChecked, ArchiveError> {
    let with = CheckArchive { key, expect_size, checkpoint, progress: &mut |_, _| {} };
    verify_archive(store, with).await
}

/// The paths of all objects, sorted.
pub(crate) async fn paths(store: &dyn ObjectStore) -> Vec<object_store::path::Path> {
    use futures::TryStreamExt as _;
    let found = store.list(None).map_ok(|it| it.location);
    let mut paths: Vec<_> = found.try_collect().await.unwrap();
    paths.sort();
    paths
}

#[tokio::test]
async fn closed_segments_are_archived_once_and_hold_without_the_ledger() {
    let case = Case::new();
    let ledger = case.grow(2);
    let store = Arc::new(InMemory::new());
    let shelf = Unlocked(Arc::clone(&store) as _);
    let (key, published) = (ledger.verifier_key(), ledger.checkpoint().unwrap());

    // The live ledger is only read. What is not closed waits: the newest log segment, growing bodies.
    let first = case.archive(&shelf, SOON).await.unwrap();
    assert!(first.segments >= 2 && first.before == 0, "{first:?}");
    assert!(first.size > 0 && first.size < ledger.size(), "{first:?}");
    let checked = check_against(&*store, Some(&key), Some(first.size), Some(&published)).await;
    let checked = checked.unwrap();
    assert_eq!((checked.size, checked.objects), (first.size, first.objects));
    assert!(!checked.checkpoint_held, "it is of more entries than are archived");

    // A second run has nothing to do, and changes nothing.
    let before = paths(&*store).await;
    let again = case.archive(&shelf, SOON).await.unwrap();
    assert_eq!((again.segments, again.before, again.size), (0, first.segments, first.size));
    assert_eq!(paths(&*store).await, before);

    // What is closed later is added; a month later the bodies are closed too.
    ledger.close().unwrap();
    drop(ledger);
    let ledger = case.grow(2);
    let more = case.archive(&shelf, NEXT_MONTH).await.unwrap();
    assert!(more.segments > 0 && more.size > first.size, "{more:?}");
    let checked = check_against(&*store, Some(&key), None, Some(&published)).await.unwrap();
    assert!(checked.checkpoint_held, "the checkpoint of back then is within the archive now");
    assert_eq!(checked.bodies, ledger.size(), "every entry has its body there");

    // The archive lies as the ledger's folder does: to restore is to copy.
    for path in paths(&*store).await.iter().filter(|path| path.as_ref().ends_with(".seg")) {
        let there = store.get(path).await.unwrap().bytes().await.unwrap();
        assert_eq!(std::fs::read(case.path.join(path.as_ref())).unwrap(), there, "{path}");
    }
}

#[tokio::test]
async fn a_ledger_that_is_being_written_is_archived() {
    let case = Case::new();
    let ledger = case.grow(1);
    let store = Arc::new(InMemory::new());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        let writes = scope.spawn(|| {
            let mut number = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                ledger.enqueue(numbered(number)).unwrap().wait().unwrap();
                number += 1;
            }
            number
        });
        let runs = scope.spawn(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let shelf = Unlocked(Arc::clone(&store) as _);
            // Until the log has grown by segments that only a later run could take.
            let mut sizes: Vec<u64> = Vec::new();
            while sizes.len() < 3 {
                let size = runtime.block_on(case.archive(&shelf, SOON)).unwrap().size;
                sizes.push(size);
                sizes.dedup();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            sizes
        });
        let sizes = runs.join();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(writes.join().unwrap() > 0);
        sizes.unwrap()
    });
    assert!(done.is_sorted() && done.len() == 3, "{done:?}");
    let checked = check(&*store).await.unwrap();
    assert_eq!(Some(&checked.size), done.last());
}

#[tokio::test]
async fn tiles_are_those_of_the_tree() {
    let case = Case::new();
    let ledger = case.grow_at_once(1500);
    let store = Arc::new(InMemory::new());
    let done = case.archive(&Unlocked(Arc::clone(&store) as _), SOON).await.unwrap();
    assert!(done.size >= 512, "{done:?}");
    for index in 0..done.size / 256 {
        let path = format!("tile/0/{index:03}");
        let tile = store.get(&path.as_str().into()).await.unwrap().bytes().await.unwrap();
        assert_eq!(tile.len(), 8192);
        for nth in [0, 255] {
            let leaf = ledger.read(ledger::EntryNumber(index * 256 + nth)).unwrap().leaf;
            let at = usize::try_from(nth).unwrap() * 32;
            assert_eq!(tile[at..at + 32], leaf, "entry {nth} of tile {index}");
        }
    }
    assert_eq!(check(&*store).await.unwrap().size, done.size);
}

#[tokio::test]
async fn a_run_that_is_cut_off_anywhere_is_resumed() {
    let case = Case::new();
    case.grow(2).close().unwrap();
    let whole = Arc::new(InMemory::new());
    case.archive(&Unlocked(Arc::clone(&whole) as _), NEXT_MONTH).await.unwrap();
    let all = paths(&*whole).await;

    for lost_answer in [false, true] {
        for puts in 0..all.len() {
            let store = Arc::new(InMemory::new());
            let broken = Broken::new(Arc::clone(&store) as _, puts, lost_answer);
            let cut = case.archive(&Unlocked(Arc::new(broken)), NEXT_MONTH).await;
            assert!(
                matches!(cut, Err(ArchiveError::Store { doing: "put", .. })),
                "{puts}: {cut:?}"
            );
            // Whatever is there holds: a segment without its manifest is not there yet.
            if puts > 0 {
                check(&*store).await.unwrap();
            }
            case.archive(&Unlocked(Arc::clone(&store) as _), NEXT_MONTH).await.unwrap();
            assert_eq!(paths(&*store).await, all, "after {puts} puts");
            check(&*store).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_reads_back_otherwise_is_not_listed() {
    let case = Case::new();
    case.grow(2).close().unwrap();
    let store = Arc::new(InMemory::new());
    let garbles = Broken::garbling(Arc::clone(&store) as _, "log/00000000.seg");
    let error = case.archive(&Unlocked(Arc::new(garbles)), SOON).await.unwrap_err();
    assert_eq!(error.to_string(), "`log/00000000.seg` was put and reads back otherwise");
    assert!(paths(&*store).await.iter().all(|path| !path.as_ref().ends_with(".manifest")));
    // And what is there is not written over, not even to mend it.
    let error = case.archive(&Unlocked(store), SOON).await.unwrap_err();
    let expected =
        "`log/00000000.seg` is in the archive already, and is not what was to be put there";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn whatever_is_changed_or_missing_is_named() {
    let case = Case::new();
    case.grow_at_once(900).close().unwrap();
    let store = Arc::new(InMemory::new());
    case.archive(&Unlocked(Arc::clone(&store) as _), NEXT_MONTH).await.unwrap();
    check(&*store).await.unwrap();
    let all = paths(&*store).await;
    for kind in ["ledger", ".seg", ".manifest", ".checkpoint", ".parquet", "tile/0"] {
        assert!(all.iter().any(|path| path.as_ref().contains(kind)), "{kind}: {all:?}");
    }
    for path in &all {
        let whole = store.get(path).await.unwrap().bytes().await.unwrap();
        for at in [whole.len() / 3, whole.len() - 1] {
            let mut changed = whole.to_vec();
            changed[at] ^= 4;
            store.put(path, changed.into()).await.unwrap();
            let error = check(&*store).await.unwrap_err().to_string();
            assert!(error.contains(path.as_ref()), "{path} at {at}: {error}");
        }
        store.put(path, whole.slice(..whole.len() - 1).into()).await.unwrap();
        let error = check(&*store).await.unwrap_err().to_string();
        assert!(error.contains(path.as_ref()), "{path} cut: {error}");
        store.delete(path).await.unwrap();
        // Without its manifest the last segment is simply not archived; a size from elsewhere tells.
        let missing = check_against(&*store, None, Some(u64::MAX), None).await.unwrap_err();
        let (named, missing) = (path.to_string(), missing.to_string());
        let short = missing.contains("entries are expected") || missing.contains("are expected");
        assert!(missing.contains(&named) || short && named.ends_with(".manifest"), "{missing}");
        store.put(path, whole.into()).await.unwrap();
    }
    check(&*store).await.unwrap();
}

#[tokio::test]
async fn an_archive_is_held_against_what_others_know() {
    let case = Case::new();
    let ledger = case.grow(2);
    let store = Arc::new(InMemory::new());
    let done = case.archive(&Unlocked(Arc::clone(&store) as _), SOON).await.unwrap();

    let short = check_against(&*store, None, Some(done.size + 1), None).await.unwrap_err();
    let expected = format!("the archive has {} entries; {} are expected", done.size, done.size + 1);
    assert_eq!(short.to_string(), expected);

    // Another ledger of the same key: its checkpoints are not of this archive.
    let other = Case::new();
    let other = other.grow_at_once(6);
    let note = other.checkpoint().unwrap();
    let error = check_against(&*store, None, None, Some(&note)).await.unwrap_err();
    assert_eq!(error.to_string(), "the checkpoint of 6 entries is not of the archived log");
    assert_eq!(other.verifier_key(), ledger.verifier_key(), "the key alone does not tell");

    let other_key = ledger.verifier_key().replace("riverton", "lakeside");
    let error = check_against(&*store, Some(&other_key), None, None).await.unwrap_err();
    assert!(error.to_string().contains("expected key"), "{error}");
}

#[tokio::test]
async fn a_damaged_ledger_and_a_foreign_key_archive_nothing() {
    let case = Case::new();
    case.grow(2).close().unwrap();
    let store = Arc::new(InMemory::new());
    let shelf = Unlocked(Arc::clone(&store) as _);
    let other = keys::sign::Ed25519Key::from_seed([9; 32]).unwrap();
    let with = Archive { signer: &other, ..case.with(SOON) };
    assert!(archive(&case.path, &shelf, with).await.is_err());

    let file = case.path.join("log/00000000.seg");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let error = case.archive(&shelf, SOON).await.unwrap_err();
    assert!(matches!(&error, ArchiveError::Folder(damage) if damage.file == "log/00000000.seg"));
    assert!(paths(&*store).await.is_empty());
}

#[tokio::test]
async fn a_body_that_is_missing_or_foreign_archives_nothing() {
    let case = Case::new();
    case.grow(2).close().unwrap();
    let file = |number: u32| case.path.join(format!("body/standard-2029-11/{number:08}.seg"));
    let last = (0..).take_while(|number| file(*number).exists()).last().unwrap();
    assert!(last > 0, "the bucket has more than one segment");
    let (store, kept) = (Arc::new(InMemory::new()), std::fs::read(file(last)).unwrap());
    let shelf = Unlocked(Arc::clone(&store) as _);
    let fails = async |bytes: &[u8], what: &str| {
        std::fs::write(file(last), bytes).unwrap();
        let error = case.archive(&shelf, NEXT_MONTH).await.unwrap_err();
        let ArchiveError::Folder(damage) = error else { panic!("{error}") };
        assert!(damage.what.contains(what), "{damage}");
        assert!(paths(&*store).await.is_empty());
    };
    fails(&vec![0; kept.len()], "an entry of the log has no body").await;
    let second = kept.windows(4).skip(1).position(|part| part == b"BWB1").unwrap() + 1;
    fails(&kept[second..], "this is not the next body that the log has").await;
    std::fs::write(file(last), &kept).unwrap();
    case.archive(&shelf, NEXT_MONTH).await.unwrap();
}

#[tokio::test]
async fn no_lock_outlives_the_schedule_and_no_key_is_archived() {
    let case = Case::new();
    case.grow(2).close().unwrap();
    let locking = Locking::default();
    case.archive(&locking, NEXT_MONTH).await.unwrap();
    let until = locking.until().await;
    let standard: Timestamp = time("2029-12-01T00:00:00Z");
    let dissemination: Timestamp = time("2036-12-01T00:00:00Z");
    for (path, until) in &until {
        let expected = if path.contains("standard") { standard } else { dissemination };
        assert_eq!(*until, (path != "ledger").then_some(expected), "{path}");
    }
    let store = locking.open();
    let all = paths(&*store).await;
    assert_eq!(all.len(), until.len());
    for name in ["standard-2029-11", "dissemination-2036-11"] {
        let key = std::fs::read(case.path.join(format!("keys/{name}.key"))).unwrap();
        for path in &all {
            assert!(!path.as_ref().contains("key"), "{path}");
            let bytes = store.get(path).await.unwrap().bytes().await.unwrap();
            assert!(bytes.windows(60).all(|part| part != &key[24..84]), "{path} has a key");
        }
    }
    // After the date nothing is locked any more, and nothing is asked for that a store would refuse.
    let late = Locking::default();
    case.archive(&late, "2037-01-01T00:00:00Z").await.unwrap();
    assert!(late.until().await.values().all(Option::is_none));
}

#[tokio::test]
async fn an_archive_in_a_folder_is_the_same() {
    let case = Case::new();
    case.grow(2).close().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = folder_store(folder.path());
    let done = case.archive(&Unlocked(Arc::clone(&store)), NEXT_MONTH).await.unwrap();
    let checked = check(&*store).await.unwrap();
    assert_eq!((checked.size, checked.objects), (done.size, done.objects));
    assert_eq!(case.archive(&Unlocked(store), NEXT_MONTH).await.unwrap().segments, 0);
}

fn folder_store(path: &Path) -> Arc<dyn ObjectStore> {
    Arc::new(object_store::local::LocalFileSystem::new_with_prefix(path).unwrap().with_fsync(true))
}
