//! Nobody waits for the store who writes, and what goes wrong in one place of it keeps nothing else back.

use std::sync::Arc;

use ledger::retention::HoldScope;
use ledger::{EntryNumber, Event, ObjectError, ReadError, ShelfError, Shelved, Unlocked};

use super::broken::{Breaks, Broken};
use super::{Case, all_is_there, fill, folder_store, storage};
use crate::both_disposal::{DUE, done, home_bucket, is_gone};
use crate::common::{append, clock, numbered, record, released, time};
use crate::database::Server;
use crate::disposed::order;

fn breaking<'a>(server: &'a Server, name: &str) -> (Case<'a>, Arc<Breaks>) {
    let (mut case, breaks) = (Case::new(server, name), Arc::new(Breaks::default()));
    let store = Broken::over(folder_store(&case.folder), &breaks);
    case.base.objects = Some(storage(Unlocked(store)));
    (case, breaks)
}

#[test]
fn a_store_that_does_not_answer_is_not_waited_for_by_whoever_writes() {
    let Some(server) = Server::start() else { return };
    let (mut case, breaks) = breaking(&server, "unanswered");
    // So few stay that the hold is in the store, and so many that opening needs nothing from there.
    case.base.objects.as_mut().unwrap().keep_entries = 64;
    let ledger = case.open();
    let what = HoldScope::Entries { first: 2, last: 3 };
    ledger.place_hold("lit-1", what, None, order("court")).unwrap();
    for number in 0..270 {
        append(&ledger, numbered(number)).unwrap();
    }
    assert!(ledger.shelve().unwrap().logs > 100);
    assert_eq!(case.count("envelopes"), 1, "what tells of the hold is at hand");
    assert_eq!(case.count("bodies where bucket like 'permanent%'"), 1);
    while ledger.index_state().covers < ledger.size() {
        std::thread::yield_now();
    }
    ledger.close().unwrap();

    breaks.hang(true);
    let before = breaks.asked();
    let dial = case.base.dial();
    let ledger = case.base.open_quiet(dial.clone(), &case.clock);
    append(&ledger, numbered(270)).unwrap();
    // The line is cut, and the ledger opened again.
    loop {
        dial.what.cut_once_after_writes(0);
        if append(&ledger, numbered(271)).is_err() {
            break;
        }
    }
    append(&ledger, numbered(272)).unwrap();
    assert_eq!(ledger.holds_and_dispositions().unwrap().holds.len(), 1);
    assert_eq!(breaks.asked(), before, "the store was asked for nothing");
    breaks.hang(false);
}

#[test]
fn a_disposal_waits_for_no_object_to_be_deleted() {
    let Some(server) = Server::start() else { return };
    let (case, breaks) = breaking(&server, "undeleted");
    let ledger = case.open();
    fill(&ledger, 5);
    ledger.shelve().unwrap();
    let kept = case.files("/body/standard-2029-11/");
    case.clock.set(time(DUE));
    breaks.hang_listing(true);
    let disposal = ledger.dispose(home_bucket(), order("schedule 1")).unwrap();
    assert_eq!(done(&disposal), (5, 0));
    append(&ledger, numbered(1)).unwrap();
    assert!((0..5).all(|entry| is_gone(&ledger, entry)));
    assert_eq!(case.files("/body/standard-2029-11/"), kept, "the store has answered nothing");
    breaks.hang_listing(false);
    while !case.files("/body/standard-2029-11/").is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn verifying_goes_on_after_a_read_that_failed_in_the_middle_of_a_batch() {
    let Some(server) = Server::start() else { return };
    let (case, breaks) = breaking(&server, "middle");
    let ledger = case.open();
    let rejected = || Event::ExportRejected {
        export: "e-1".to_owned(),
        requested_by: "Elena Ruiz".to_owned(),
        reason: "too much".to_owned(),
    };
    // While the first waits for the head's lock, what comes is one batch.
    let blocked = case.base.hold("begin; select from bailiwick_ledger.head for update");
    let first = ledger.enqueue(record(released(0))).unwrap();
    while case.base.sql(&["select count(*) from pg_locks where not granted"]) == ["0"] {
        std::thread::yield_now();
    }
    let events = [released(1), released(2), rejected(), released(4)];
    let waiting = events.map(|event| ledger.enqueue(record(event)).unwrap());
    drop(blocked);
    first.wait().unwrap();
    waiting.into_iter().for_each(|it| assert!(it.wait().is_ok()));
    assert_eq!(case.count("frames where first = 1 and count = 4"), 1, "they are one batch");
    append(&ledger, numbered(5)).unwrap();
    ledger.shelve().unwrap();
    case.clock.set(time(DUE));
    assert_eq!(done(&ledger.dispose(home_bucket(), order("schedule 1")).unwrap()).1, 0);
    breaks.fail_once("/body/dissemination-");
    assert_eq!(ledger.verify().unwrap().result, Ok(()));
    assert!(breaks.failed(), "a body was not to be had");
}

#[test]
fn what_another_process_disposed_of_meanwhile_stays_where_it_is() {
    let Some(server) = Server::start() else { return };
    let case = Case::new(&server, "meanwhile");
    let one = case.open();
    assert_eq!(one.shelve().unwrap(), Shelved::default());
    // By another clock, so that the first does not look for documents again.
    let later = clock();
    let two = case.base.open_quiet_as("two", case.base.dial(), &later, &|_| {});
    fill(&two, 4);
    // The other is between the document and the rows: they are there again.
    let aside =
        |table: &str| format!("create table {table}_aside as table bailiwick_ledger.{table}");
    case.base.sql(&[&aside("bodies"), &aside("bucket_keys")]);
    later.set(time(DUE));
    assert_eq!(done(&two.dispose(home_bucket(), order("schedule 1")).unwrap()), (4, 0));
    two.close().unwrap();
    let back = |table: &str| format!("insert into bailiwick_ledger.{table} table {table}_aside");
    case.base.sql(&[&back("bodies"), &back("bucket_keys")]);
    assert_eq!(one.shelve().unwrap().bodies, 0, "it ends");
    assert_eq!(case.count("objects where part = 'standard-2029-11'"), 0);
    assert_eq!(one.shelve().unwrap().deleted, 1, "what was put in vain goes again");
}

#[test]
fn another_object_in_the_place_keeps_back_what_follows_and_nothing_else() {
    let Some(server) = Server::start() else { return };
    let case = Case::new(&server, "inplace");
    let ledger = case.open();
    fill(&ledger, 4);
    let id = case.base.sql(&["select encode(ledger, 'hex') from bailiwick_ledger.head"]).remove(0);
    let stray = case.folder.join(format!("{id}/log/{:016}-{:016}", 1, 2));
    std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
    std::fs::write(&stray, "another").unwrap();
    let error = ledger.shelve().unwrap_err();
    let ReadError::Object(ObjectError::Shelf(ShelfError::Differs { object })) = &error else {
        panic!("{error}")
    };
    assert!(stray.ends_with(object), "{object}");
    assert_eq!((case.count("frames"), case.count("bodies")), (3, 1), "bodies have moved");
    std::fs::remove_file(&stray).unwrap();
    assert_eq!(ledger.shelve().unwrap().logs, 2);
    all_is_there(&ledger, 4);
}

#[test]
fn what_another_process_disposed_of_is_not_shown_from_memory() {
    let Some(server) = Server::start() else { return };
    let case = Case::new(&server, "memory");
    let one = case.open();
    fill(&one, 4);
    one.shelve().unwrap();
    assert_eq!(one.read(EntryNumber(1)).unwrap().record.event, released(1));
    let two = case.base.open_quiet_as("two", case.base.dial(), &case.clock, &|_| {});
    case.clock.set(time(DUE));
    two.dispose(home_bucket(), order("schedule 1")).unwrap();
    assert!((0..4).all(|entry| is_gone(&one, entry)));
}

#[test]
fn a_copy_of_an_envelope_is_made_by_the_database_and_held_against_the_log() {
    let Some(server) = Server::start() else { return };
    let case = Case::new(&server, "copies");
    let ledger = case.open();
    fill(&ledger, 3);
    let what = HoldScope::Entries { first: 1, last: 1 };
    ledger.place_hold("lit-1", what, None, order("court")).unwrap();
    append(&ledger, numbered(1)).unwrap();
    ledger.shelve().unwrap();
    assert_eq!(case.base.sql(&["select entry from bailiwick_ledger.envelopes"]), ["3"]);
    assert_eq!(ledger.verify().unwrap().result, Ok(()));
    ledger.close().unwrap();
    let forged = [
        "insert into bailiwick_ledger.envelopes select 1, envelope from bailiwick_ledger.envelopes",
        "update bailiwick_ledger.envelopes \
         set envelope = set_byte(envelope, 50, get_byte(envelope, 50) # 1)",
        "update bailiwick_ledger.envelopes set entry = 1",
    ];
    for (entry, sql) in [1, 3, 1].into_iter().zip(forged) {
        case.base.sql(&["delete from bailiwick_ledger.envelopes where entry = 1", sql]);
        let damage = case.open().verify().unwrap().result.unwrap_err();
        assert_eq!(damage.file, format!("envelopes/{entry}"));
    }
}
