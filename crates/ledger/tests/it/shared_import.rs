//! A ledger that goes from a folder into a database and back, as one log.

use std::path::Path;
use std::sync::Arc;

use keys::{FixedClock, SystemRandom};
use ledger::format::Bucket;
use ledger::testing::{keys, settings};
use ledger::{DatabaseError, EntryNumber, Ledger, OpenError, VerifyOptions};

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
fn nothing_is_imported_over_another_ledger_or_without_what_was_disposed_of() {
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

    clock.set(time("2029-12-01T00:00:00Z"));
    let ledger = open(&folder, &clock);
    let bucket = Bucket::parse("standard-2029-11").unwrap();
    ledger.dispose(bucket, order("schedule 12-3")).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    let refusal = refused(nothing.import(nothing.dial(), &folder));
    assert!(matches!(*refusal, DatabaseError::Disposed), "{refusal}");
}
