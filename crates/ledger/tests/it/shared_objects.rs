//! Closed ranges of a ledger in PostgreSQL, in an object store: nothing is refused for its sake, nothing
//! leaves the tables before it is there, and what is changed or missing there is named.

mod broken;
mod waiting;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keys::FixedClock;
use ledger::retention::HoldScope;
use ledger::{
    EntryNumber, Ledger, ObjectError, ObjectStorage, OpenError, ReadError, Search, Shelf, Shelved,
    Unlocked,
};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::both::STORIES;
use crate::both_disposal::{DUE, done, held_bucket, home_bucket, is_gone};
use crate::common::{append, clock, find, numbered, record, released, subject, time};
use crate::database::{Base, Server};
use crate::disposed::order;
use broken::{Breaks, Broken};

const HOUR: Duration = Duration::from_secs(3600);

/// Moves everything at once, when it is told to.
fn storage(shelf: impl Shelf + 'static) -> ObjectStorage {
    let (after, wait) = (Duration::ZERO, HOUR);
    ObjectStorage {
        after,
        keep_entries: 1,
        range_bytes: 1,
        wait,
        ..ObjectStorage::new(Arc::new(shelf))
    }
}

fn folder_store(folder: &Path) -> Arc<dyn ObjectStore> {
    std::fs::create_dir_all(folder).unwrap();
    Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap().with_fsync(true))
}

/// A ledger whose ranges go to a folder.
struct Case<'a> {
    base: Base<'a>,
    folder: PathBuf,
    clock: Arc<FixedClock>,
}

impl<'a> Case<'a> {
    fn new(server: &'a Server, name: &str) -> Self {
        let mut base = server.base(name);
        let folder = base.folder("objects");
        base.objects = Some(storage(Unlocked(folder_store(&folder))));
        Self { base, folder, clock: clock() }
    }

    fn open(&self) -> Ledger {
        self.base.open_quiet(self.base.dial(), &self.clock)
    }

    fn count(&self, what: &str) -> u64 {
        let sql = format!("select count(*) from bailiwick_ledger.{what}");
        self.base.sql(&[&sql]).remove(0).parse().unwrap()
    }

    /// The paths of the objects, as the table has them.
    fn objects(&self, part: &str) -> Vec<String> {
        let sql = format!(
            "select path from bailiwick_ledger.objects where part {part} order by part, first"
        );
        self.base.sql(&[&sql])
    }

    /// Files under the store's folder.
    fn files(&self, below: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found.retain(|it| it.to_str().unwrap().contains(below));
        found.sort();
        found
    }
}

fn fill(ledger: &Ledger, entries: u64) {
    for number in 0..entries {
        let mut one = record(released(number));
        if number == 3 {
            one.subjects = vec![subject("person", "P-1")];
        }
        append(ledger, one).unwrap();
    }
}

/// Everything that was recorded is there, in its place.
fn all_is_there(ledger: &Ledger, entries: u64) {
    for entry in 0..entries {
        let read = ledger.read(EntryNumber(entry)).unwrap();
        assert_eq!(read.record.event, released(entry));
    }
    let size = ledger.size();
    for entry in [0, entries / 2, size - 1] {
        ledger.prove(EntryNumber(entry), size).unwrap();
    }
    assert_eq!(ledger.verify().unwrap().result, Ok(()));
}

#[test]
fn the_stories_of_a_folder_hold_while_every_range_moves_at_once() {
    let Some(server) = Server::start() else { return };
    for (nth, story) in STORIES.iter().enumerate() {
        let mut case = Case::new(&server, &format!("moving{nth}"));
        if let Some(objects) = &mut case.base.objects {
            objects.wait = Duration::from_millis(20);
        }
        story(&case.base);
    }
}

#[test]
fn what_is_closed_leaves_the_tables_and_everything_reads_as_before() {
    let Some(server) = Server::start() else { return };
    let mut case = Case::new(&server, "closed");
    let ledger = case.open();
    fill(&ledger, 12);
    let before: Vec<_> = (0..12).map(|it| ledger.read(EntryNumber(it)).unwrap().record).collect();
    let moved = ledger.shelve().unwrap();
    assert_eq!((moved.logs, moved.bodies), (11, 11), "one entry stays at hand");
    assert_eq!((case.count("frames"), case.count("bodies")), (1, 1));
    assert_eq!((case.files("/log/").len(), case.files("/body/").len()), (11, 11));
    assert_eq!(ledger.shelve().unwrap(), Shelved::default(), "what was moved is not moved again");
    all_is_there(&ledger, 12);

    // One that has read nothing yet, on another machine.
    let two = case.base.open_as("two", case.base.dial(), &case.clock).unwrap();
    all_is_there(&two, 12);
    let after: Vec<_> = (0..12).map(|it| two.read(EntryNumber(it)).unwrap().record).collect();
    assert_eq!(before, after);
    let position = two.read(EntryNumber(4)).unwrap().position;
    assert!(position.file.contains("/log/0000000000000004-"), "{}", position.file);
    append(&two, record(released(12))).unwrap();
    two.rebuild_index();
    while two.index_state().covers < two.size() {
        std::thread::yield_now();
    }
    let person = Search { subject: Some(subject("person", "P-1")), ..Search::newest(9) };
    assert_eq!(find(&two, &person), [3], "an index that is built from objects finds it");
    two.close().unwrap();
    ledger.close().unwrap();
    case.base.exported("exported", 13);

    // Without a store it is not opened, and the words name what is missed.
    case.base.objects = None;
    let refused = case.base.open_as("three", case.base.dial(), &case.clock).unwrap_err();
    let OpenError::Object { source } = &refused else { panic!("{refused}") };
    assert!(source.to_string().contains("none is configured"), "{source}");
}

#[test]
fn ranges_move_when_they_are_full_and_old_enough_and_not_before() {
    let Some(server) = Server::start() else { return };
    let mut case = Case::new(&server, "fullness");
    let objects = case.base.objects.as_mut().unwrap();
    (objects.after, objects.range_bytes) = (24 * HOUR, 4000);
    let ledger = case.open();
    fill(&ledger, 40);
    assert_eq!(ledger.shelve().unwrap(), Shelved::default(), "nothing is a day old");
    case.clock.advance(jiff::SignedDuration::from_hours(24));
    let moved = ledger.shelve().unwrap();
    assert!((1..=5).contains(&moved.logs) && (1..=10).contains(&moved.bodies), "{moved:?}");
    assert!(case.count("frames") > 1 && case.count("bodies") > 1, "what is not full stays");
    all_is_there(&ledger, 40);
    // A bucket that no longer grows is moved whole.
    append(&ledger, numbered(1)).unwrap();
    case.clock.advance(jiff::SignedDuration::from_hours(24 * 40));
    append(&ledger, numbered(2)).unwrap();
    ledger.shelve().unwrap();
    assert_eq!(case.count("bodies where bucket = 'standard-2029-11'"), 0);
    all_is_there(&ledger, 40);
    ledger.close().unwrap();
    case.base.exported("exported", 42);
}

#[test]
fn a_store_that_fails_refuses_no_record_and_the_next_try_goes_on() {
    let Some(server) = Server::start() else { return };
    let mut case = Case::new(&server, "failing");
    let breaks = Arc::new(Breaks::default());
    let store = Broken::over(folder_store(&case.folder), &breaks);
    case.base.objects = Some(storage(Unlocked(store)));
    let ledger = case.open();
    fill(&ledger, 6);
    breaks.refuse_puts(true);
    let refused = ledger.shelve().unwrap_err();
    assert!(matches!(refused, ReadError::Object(ObjectError::Shelf(_))), "{refused}");
    assert_eq!((case.count("frames"), case.count("objects")), (6, 0));
    append(&ledger, record(released(6))).unwrap();

    // It is there, but the answer was lost; and what it gives back is another thing.
    breaks.refuse_puts(false);
    breaks.lose_answers(true);
    ledger.shelve().unwrap_err();
    breaks.lose_answers(false);
    breaks.garble_reads(true);
    ledger.shelve().unwrap_err();
    assert_eq!((case.count("frames"), case.count("objects")), (7, 0));
    breaks.garble_reads(false);
    assert_eq!(ledger.shelve().unwrap().logs, 6);
    all_is_there(&ledger, 7);
    ledger.close().unwrap();

    // A store that does not answer: what is in the tables is read, and what is not says why.
    let ledger = case.open();
    breaks.refuse_reads(true);
    append(&ledger, record(released(7))).unwrap();
    assert_eq!(ledger.read(EntryNumber(7)).unwrap().record.event, released(7));
    let refused = ledger.read(EntryNumber(2)).unwrap_err();
    let ReadError::Object(error) = &refused else { panic!("{refused}") };
    assert!(error.to_string().contains("/0000000000000002-"), "it is named: {error}");
    breaks.refuse_reads(false);
    all_is_there(&ledger, 8);
    ledger.close().unwrap();
    case.base.exported("exported", 8);
}

#[test]
fn a_move_that_is_cut_at_any_point_leaves_a_range_in_one_place_or_the_other() {
    let Some(server) = Server::start() else { return };
    let case = Case::new(&server, "cut");
    let ledger = case.open();
    fill(&ledger, 4);
    ledger.close().unwrap();
    let (mut cuts, mut moved, mut entries) = (0, 0, 4);
    // Before these it signs in.
    for writes in (20..).step_by(2) {
        let dial = case.base.dial();
        let ledger = case.base.open_quiet(dial.clone(), &case.clock);
        dial.what.cut_after_writes(writes);
        let done = ledger.shelve();
        let was_cut = dial.what.calm() > 0;
        cuts += u64::from(done.is_err());
        moved += done.as_ref().map_or(0, |it| it.logs);
        for entry in (0..entries).rev().take(4) {
            assert_eq!(ledger.read(EntryNumber(entry)).unwrap().record.event, released(entry));
        }
        append(&ledger, record(released(entries))).unwrap();
        entries += 1;
        ledger.close().unwrap();
        if !was_cut {
            break;
        }
    }
    all_is_there(&case.open(), entries);
    assert!(cuts > 5, "{cuts} cuts");
    assert!(moved > 0, "the last try was not cut");
    assert_eq!((case.count("frames"), case.count("bodies")), (2, 2), "all but what came since");
    case.base.exported("exported", entries);
}

#[test]
fn an_object_that_was_changed_or_is_missing_is_damage_that_names_it() {
    let Some(server) = Server::start() else { return };
    let case = Case::new(&server, "changed");
    let ledger = case.open();
    // So many that opening does not read what is changed here.
    fill(&ledger, 258);
    ledger.shelve().unwrap();
    ledger.close().unwrap();
    for part in ["= 'log'", "<> 'log'"] {
        let object = case.objects(part).remove(2);
        let (path, aside) = (case.folder.join(&object), case.folder.join("aside"));
        let sound = std::fs::read(&path).unwrap();
        let named = |what: &str| {
            let ledger = case.open();
            let error = ledger.read(EntryNumber(2)).unwrap_err();
            let ReadError::Damaged(damage) = &error else { panic!("{error}") };
            assert_eq!((damage.file.as_str(), damage.entry), (object.as_str(), Some(2)), "{what}");
            let verified = ledger.verify().unwrap().result.unwrap_err();
            assert_eq!(verified.file, object, "{what}");
            assert!(ledger.read(EntryNumber(3)).is_ok(), "{what}");
        };
        for at in [0, sound.len() / 2, sound.len() - 1] {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            named("a flipped bit");
        }
        std::fs::write(&path, &sound[..sound.len() - 1]).unwrap();
        named("cut short");
        std::fs::write(&path, [sound.as_slice(), b"more"].concat()).unwrap();
        named("longer");
        std::fs::write(&path, b"").unwrap();
        named("emptied");
        std::fs::rename(&path, &aside).unwrap();
        named("missing");
        std::fs::rename(&aside, &path).unwrap();
        std::fs::write(&path, &sound).unwrap();
    }
    all_is_there(&case.open(), 258);
    // A row that leads elsewhere is of no use to whoever changes it.
    case.base.sql(&["update bailiwick_ledger.objects set path = (select path from \
         bailiwick_ledger.objects where part = 'log' and first = 1) where part = 'log' and first = 2"]);
    let error = case.open().read(EntryNumber(2)).unwrap_err();
    assert!(matches!(error, ReadError::Damaged(_)), "{error}");
}

#[test]
fn the_tables_let_go_of_nothing_of_which_they_do_not_find_the_digest() {
    let Some(server) = Server::start() else { return };
    let case = Case::new(&server, "fence");
    let ledger = case.open();
    fill(&ledger, 4);
    let asked = |part: &str, first: u64, ends: u64, digest: &str| {
        let sql = format!(
            "select bailiwick_ledger.shelve('{part}', {first}, {ends}, 'p', 1, {digest}, null)"
        );
        case.base.sql(&[&sql]).remove(0)
    };
    let of = |from: u64, to: u64| {
        format!(
            "(select sha256(string_agg(bytes, ''::bytea order by first)) from \
             bailiwick_ledger.frames where first >= {from} and first < {to})"
        )
    };
    assert_eq!(asked("log", 0, 2, "sha256('x')"), "f", "another digest");
    assert_eq!(asked("log", 0, 2, &of(0, 3)), "f", "of another range");
    assert_eq!(asked("log", 1, 2, &of(1, 2)), "f", "not the next range");
    assert_eq!(asked("log", 0, 4, &of(0, 4)), "f", "the end of the log");
    assert_eq!(asked("standard-2029-11", 0, 2, "sha256('x')"), "f", "bodies of another digest");
    assert_eq!(asked("standard-2029-12", 0, 2, "sha256('')"), "f", "no bodies");
    assert_eq!((case.count("frames"), case.count("objects")), (4, 0));
    assert_eq!(ledger.shelve().unwrap().logs, 3);
    // Asked again, as after an answer that was lost.
    all_is_there(&ledger, 4);
}

#[test]
fn what_is_disposed_of_goes_from_the_store_too_and_holds_keep_what_they_cover() {
    let Some(server) = Server::start() else { return };
    let mut case = Case::new(&server, "disposed");
    let ledger = case.open();
    fill(&ledger, 8);
    ledger.shelve().unwrap();
    let what = HoldScope::Entries { first: 2, last: 3 };
    ledger.place_hold("lit-1", what, None, order("court")).unwrap();
    assert_eq!(case.files("/body/standard-2029-11/").len(), 7);
    case.clock.set(time(DUE));
    let disposal = ledger.dispose(home_bucket(), order("schedule 1")).unwrap();
    assert_eq!(done(&disposal), (6, 2));
    assert!((0..8).all(|entry| is_gone(&ledger, entry) != [2, 3].contains(&entry)));
    while !case.files("/body/standard-2029-11/").is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(case.count("objects where part = 'standard-2029-11'"), 0);
    assert_eq!(case.count(&format!("held_bodies where bucket = '{}'", held_bucket().name())), 2);
    // What leads to the document moves too, and it is opened all the same without the store.
    for number in 0..260 {
        append(&ledger, numbered(number)).unwrap();
    }
    ledger.close().unwrap();
    case.base.objects.as_mut().unwrap().keep_entries = 64;
    let ledger = case.open();
    ledger.shelve().unwrap();
    assert_eq!(ledger.verify().unwrap().result, Ok(()));
    let size = ledger.size();
    ledger.close().unwrap();
    let mut away =
        Case { base: server.copy("disposed", "away"), folder: case.folder.clone(), ..case };
    let breaks = Arc::new(Breaks::default());
    breaks.refuse_reads(true);
    away.base.objects = Some(storage(Unlocked(Broken::over(folder_store(&away.folder), &breaks))));
    let ledger = away.open();
    assert!(matches!(ledger.read(EntryNumber(0)), Err(ReadError::Object(_))));
    breaks.refuse_reads(false);
    ledger.close().unwrap();
    let verified = away.base.exported("exported", size);
    assert_eq!((verified.disposed, verified.leftover), (1, Vec::new()));
}

#[test]
fn objects_that_could_not_be_deleted_go_later_and_say_nothing_meanwhile() {
    let Some(server) = Server::start() else { return };
    let mut case = Case::new(&server, "later");
    let breaks = Arc::new(Breaks::default());
    let store = Broken::over(folder_store(&case.folder), &breaks);
    case.base.objects = Some(storage(Unlocked(store)));
    let ledger = case.open();
    fill(&ledger, 5);
    ledger.shelve().unwrap();
    let kept = case.files("/body/standard-2029-11/");
    case.clock.set(time(DUE));
    breaks.refuse_deletes(true);
    let disposal = ledger.dispose(home_bucket(), order("schedule 1")).unwrap();
    assert_eq!(done(&disposal), (5, 0), "the key is gone, and so are the bodies");
    assert!((0..5).all(|entry| is_gone(&ledger, entry)));
    assert_eq!(case.files("/body/standard-2029-11/"), kept);
    assert_eq!(case.count("bucket_keys where bucket = 'standard-2029-11'"), 0);
    while breaks.deletes() == 0 {
        std::thread::yield_now();
    }
    append(&ledger, numbered(1)).unwrap();
    let moved = ledger.shelve().unwrap();
    assert!(moved.logs > 0, "what can't be deleted keeps nothing from moving: {moved:?}");
    assert_eq!(ledger.verify().unwrap().result, Ok(()));
    breaks.refuse_deletes(false);
    ledger.close().unwrap();
    let ledger = case.open();
    assert_eq!(ledger.shelve().unwrap().deleted, kept.len() as u64);
    assert_eq!(case.files("/body/standard-2029-11/"), Vec::<PathBuf>::new());
    assert!((0..5).all(|entry| is_gone(&ledger, entry)));
}

#[test]
fn tiles_go_where_their_standard_has_them_and_proofs_are_made_from_them() {
    const ENTRIES: u64 = 600;
    let Some(server) = Server::start() else { return };
    let case = Case::new(&server, "tiles");
    let ledger = case.open();
    let waiting: Vec<_> = (0..ENTRIES).map(|it| ledger.enqueue(numbered(it)).unwrap()).collect();
    waiting.into_iter().for_each(|it| assert!(it.wait().is_ok()));
    append(&ledger, numbered(ENTRIES)).unwrap();
    let before = ledger.prove(EntryNumber(70), ENTRIES).unwrap();
    let moved = ledger.shelve().unwrap();
    assert_eq!((moved.tiles, case.count("tiles")), (2, 0));
    let tile = |name: &str| case.files("/tile/0/").into_iter().find(|it| it.ends_with(name));
    assert!(tile("tile/0/000").is_some() && tile("tile/0/001").is_some());
    assert_eq!(ledger.prove(EntryNumber(70), ENTRIES).unwrap(), before);
    ledger.close().unwrap();
    // A wrong one and one that is missing are made again.
    let path = tile("000").unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[70] ^= 1;
    std::fs::write(path, bytes).unwrap();
    std::fs::remove_file(tile("001").unwrap()).unwrap();
    let ledger = case.open();
    ledger.prove(EntryNumber(300), ENTRIES).unwrap();
    assert_eq!(ledger.verify().unwrap().result, Ok(()));
    ledger.close().unwrap();
    case.base.exported("exported", ENTRIES + 1);
}
