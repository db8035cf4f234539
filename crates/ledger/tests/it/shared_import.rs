//! A ledger that goes from a folder into a database and back, as one log.

use std::path::Path;
use std::sync::Arc;

use ::keys::{Clock as _, FixedClock, SystemRandom};
use ledger::retention::HoldScope;
use ledger::testing::{keys, settings};
use ledger::{DatabaseError, EntryNumber, Ledger, OpenError, VerifyOptions};

use crate::both_disposal::{held_bucket, home_bucket, is_gone};
use crate::common::{append, clock, number_in, numbered, record, released, time};
use crate::database::{Base, Server};
use crate::disposed::order;

fn open(folder: &Path, clock: &Arc<FixedClock>) -> Ledger {
    let (clock, random) = (Arc::clone(clock) as _, Arc::new(SystemRandom));
    Ledger::open_or_create(settings(folder), keys(), clock, random).unwrap()
}

/// Appends the numbers in batches of different lengths.
fn fill(ledger: &Ledger, numbers: std::ops::Range<u64>) {
    let mut waiting = Vec::new();
    for number in numbers {
        waiting.push(ledger.enqueue(numbered(number)).unwrap());
        if number % 7 == 0 {
            waiting.drain(..).for_each(|it| assert!(it.wait().is_ok()));
        }
    }
    waiting.into_iter().for_each(|it| assert!(it.wait().is_ok()));
}

fn refused(imported: Result<u64, OpenError>) -> Arc<DatabaseError> {
    match imported.unwrap_err() {
        OpenError::Database { source } => source,
        other => panic!("{other}"),
    }
}

#[test]
fn a_ledger_goes_on_in_a_database_and_then_in_a_folder_again_as_the_same_log() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("there"), clock());
    let folder = base.folder("before");
    std::fs::create_dir_all(&folder).unwrap();
    let ledger = open(&folder, &clock);
    fill(&ledger, 0..300);
    let before = ledger.checkpoint().unwrap();
    let refusal = base.import(base.dial(), &folder).unwrap_err();
    assert!(matches!(refusal, OpenError::InUse { .. }), "{refusal}");
    ledger.close().unwrap();
    drop(ledger);
    assert_eq!(base.import(base.dial(), &folder).unwrap(), 300);

    let ledgers = ["one", "two"].map(|it| base.open_as(it, base.dial(), &clock).unwrap());
    assert_eq!(ledgers[0].checkpoint().unwrap(), before);
    fill(&ledgers[0], 300..310);
    fill(&ledgers[1], 310..320);
    assert_eq!(ledgers[1].verify().unwrap().result, Ok(()));
    ledgers.iter().for_each(|it| it.close().unwrap());
    // The database has gone on: what is in the folder is not the end of the log any more.
    let refusal = refused(base.import(base.dial(), &folder));
    assert!(matches!(*refusal, DatabaseError::OtherLedger), "{refusal}");

    let checkpoints = base.exported("back", 320).published;
    assert!(checkpoints >= 2, "{checkpoints} of them came along");
    let back = open(&base.folder("back"), &clock);
    fill(&back, 320..330);
    for number in [0, 299, 305, 315, 329] {
        let read = back.read(EntryNumber(number)).unwrap();
        assert_eq!(number_in(&read.record.event), Some(number));
    }
    back.close().unwrap();
    let options = VerifyOptions { expect_size: Some(330), ..VerifyOptions::default() };
    ledger::verify(&base.folder("back"), options).unwrap();
}

#[test]
fn an_import_that_is_cut_anywhere_goes_on_where_it_was() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("cut"), clock());
    let folder = base.folder("before");
    std::fs::create_dir_all(&folder).unwrap();
    let ledger = open(&folder, &clock);
    fill(&ledger, 0..40);
    ledger.close().unwrap();
    drop(ledger);
    let mut failed = 0;
    for writes in (1..).step_by(3) {
        let dial = base.dial();
        dial.what.cut_once_after_writes(writes);
        match base.import(dial, &folder) {
            Ok(size) => {
                assert_eq!(size, 40);
                break;
            }
            Err(_) => failed += 1,
        }
    }
    assert!(failed > 3, "only {failed} tries were cut");
    base.exported("exported", 40);
}

#[test]
fn nothing_is_imported_over_another_ledger() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("other"), clock());
    let nothing: &Base<'_> = &server.base("nothing");
    let missing = nothing.import(nothing.dial(), &base.folder("missing")).unwrap_err();
    assert!(matches!(missing, OpenError::Disk { doing: "read", .. }), "{missing}");
    assert!(!base.folder("missing").exists());

    let folder = base.folder("before");
    std::fs::create_dir_all(&folder).unwrap();
    let ledger = open(&folder, &clock);
    append(&ledger, record(released(0))).unwrap();
    drop(ledger);
    // Made anew, a ledger with the same keys and name is another one.
    drop(base.open_as("one", base.dial(), &clock).unwrap());
    let refusal = refused(base.import(base.dial(), &folder));
    assert!(matches!(*refusal, DatabaseError::OtherLedger), "{refusal}");
}

/// A folder whose ledger has disposed of a bucket but for what a hold keeps, and then of some of that.
fn disposed(base: &Base<'_>, clock: &FixedClock) -> (std::path::PathBuf, u64) {
    let folder = base.folder("before");
    std::fs::create_dir_all(&folder).unwrap();
    let clock = Arc::new(FixedClock::new(clock.now()));
    let ledger = open(&folder, &clock);
    for number in 0..9 {
        append(&ledger, record(released(number))).unwrap();
    }
    for (name, first, last) in [("lit-1", 2, 4), ("lit-2", 4, 5)] {
        let what = HoldScope::Entries { first, last };
        ledger.place_hold(name, what, None, order("court")).unwrap();
    }
    clock.set(time("2029-12-01T00:00:00Z"));
    ledger.dispose(home_bucket(), order("schedule 12-3")).unwrap();
    ledger.release_hold("lit-1", order("court")).unwrap();
    ledger.dispose(held_bucket(), order("schedule 12-3")).unwrap();
    fill(&ledger, 0..20);
    let size = ledger.size();
    ledger.close().unwrap();
    (folder, size)
}

fn is_as_it_was(ledger: &Ledger) {
    assert!((0..9).all(|entry| is_gone(ledger, entry) != [4, 5].contains(&entry)));
    assert_eq!(ledger.read(EntryNumber(4)).unwrap().record.event, released(4));
    assert_eq!(ledger.verify().unwrap().result, Ok(()));
}

#[test]
fn what_was_disposed_of_stays_gone_in_the_database_and_what_a_hold_keeps_comes_along() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("disposals"), clock());
    let (folder, size) = disposed(&base, &clock);
    assert_eq!(base.import(base.dial(), &folder).unwrap(), size);
    assert_eq!(base.import(base.dial(), &folder).unwrap(), size, "twice is once");
    clock.set(time("2029-12-02T00:00:00Z"));
    let ledger = base.open_as("one", base.dial(), &clock).unwrap();
    is_as_it_was(&ledger);
    append(&ledger, numbered(1)).unwrap();
    // The hold goes on holding there, and can be released there.
    ledger.release_hold("lit-2", order("court")).unwrap();
    ledger.dispose(held_bucket().next_held().unwrap(), order("schedule 12-3")).unwrap();
    assert!((0..9).all(|entry| is_gone(&ledger, entry)));
    let size = ledger.size();
    ledger.close().unwrap();
    let verified = base.exported("back", size);
    assert_eq!((verified.disposed, verified.leftover), (3, Vec::new()));
}

#[test]
fn an_import_with_disposals_that_is_cut_anywhere_goes_on_where_it_was() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("cutdisposals"), clock());
    let (folder, size) = disposed(&base, &clock);
    let mut failed = 0;
    for writes in (20..).step_by(4) {
        let dial = base.dial();
        dial.what.cut_once_after_writes(writes);
        match base.import(dial, &folder) {
            Ok(imported) => {
                assert_eq!(imported, size);
                break;
            }
            Err(_) => failed += 1,
        }
    }
    assert!(failed > 3, "only {failed} tries were cut");
    clock.set(time("2029-12-02T00:00:00Z"));
    is_as_it_was(&base.open_quiet(base.dial(), &clock));
}

/// Copies the files of a folder aside.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_copy_for_a_hold_comes_along_before_a_document_leads_there() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("undocumented"), clock());
    let (folder, aside) = (base.folder("before"), base.folder("aside"));
    std::fs::create_dir_all(&folder).unwrap();
    let ledger = open(&folder, &clock);
    for number in 0..9 {
        append(&ledger, record(released(number))).unwrap();
    }
    let what = HoldScope::Entries { first: 4, last: 5 };
    ledger.place_hold("lit-1", what, None, order("court")).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    let home = home_bucket().name();
    let (bodies, key) = (folder.join("body").join(&home), folder.join(format!("keys/{home}.key")));
    copy(&bodies, &aside);
    let sealed = std::fs::read(&key).unwrap();
    clock.set(time("2029-12-01T00:00:00Z"));
    let ledger = open(&folder, &clock);
    ledger.dispose(home_bucket(), order("schedule 12-3")).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    // As if it had ended after the announcement.
    std::fs::remove_file(folder.join("disposed").join(&home)).unwrap();
    copy(&aside, &bodies);
    std::fs::write(&key, sealed).unwrap();

    base.import(base.dial(), &folder).unwrap();
    let ledger = base.open_as("one", base.dial(), &clock).unwrap();
    append(&ledger, numbered(1)).unwrap();
    is_as_it_was(&ledger);
}
