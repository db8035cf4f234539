//! Verifying a log in PostgreSQL while processes share it: one at a time, whatever the connection does, and damage
//! anywhere stops the one that found it.

use std::time::Duration;

use ledger::{EntryNumber, Health, Ledger};

use crate::common::{append, clock, numbered};
use crate::database::{Base, Server};

/// A ledger of so many entries, one to a batch.
fn filled(base: &Base<'_>, entries: u64) {
    let ledger = base.open_as("one", base.dial(), &clock()).unwrap();
    for number in 0..entries {
        append(&ledger, numbered(number)).unwrap();
    }
    ledger.close().unwrap();
}

#[test]
fn a_shared_log_is_verified_while_others_write() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("written"), clock());
    let [one, two] = ["one", "two"].map(|it| base.open_as(it, base.dial(), &clock).unwrap());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..300 {
                append(&one, numbered(number)).unwrap();
            }
        });
        let mut times = 0;
        while !writer.is_finished() {
            let found = two.verify().unwrap();
            assert_eq!(found.result, Ok(()), "at {} entries", found.size);
            times += 1;
        }
        assert!(times > 1, "verified only {times} times");
    });
    assert_eq!(one.verify().unwrap().size, 300);
}

#[test]
fn damage_anywhere_in_the_tables_is_found_while_it_runs_and_stops_the_ledger() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("sound"), clock());
    filled(&base, 530);
    let flip =
        |column: &str| format!("{column} = set_byte({column}, 150, get_byte({column}, 150) # 1)");
    // Each is under a full tile, where opening does not look.
    let cases = [
        (
            format!("update bailiwick_ledger.frames set {} where first = 3", flip("bytes")),
            "frames/3",
        ),
        // What does not follow is named.
        ("delete from bailiwick_ledger.frames where first = 50".to_owned(), "frames/51"),
        (
            format!("update bailiwick_ledger.bodies set {} where entry = 7", flip("record")),
            "bodies/7",
        ),
        ("delete from bailiwick_ledger.bodies where entry = 51".to_owned(), "bodies/51"),
        (
            "update bailiwick_ledger.bodies set bucket = 'permanent-0' where entry = 9".to_owned(),
            "bodies/9",
        ),
        (
            "insert into bailiwick_ledger.checkpoints select 4, note from \
             (select note from bailiwick_ledger.checkpoints limit 1) as it"
                .to_owned(),
            "checkpoints/4",
        ),
    ];
    for (nth, (sql, place)) in cases.iter().enumerate() {
        let copy = server.copy("sound", &format!("damaged{nth}"));
        copy.sql(&["delete from bailiwick_ledger.checkpoints where size = 4", sql]);
        let ledger = copy.open_as("one", copy.dial(), &clock).unwrap();
        ledger.verify_every(Duration::from_secs(3600)).unwrap();
        let found = loop {
            if let Some(found) = ledger.last_verification() {
                break found;
            }
            std::thread::yield_now();
        };
        assert_eq!(found.result.unwrap_err().file, *place, "{sql}");
        let refused = append(&ledger, numbered(530)).unwrap_err().to_string();
        assert!(refused.contains(place), "{refused}");
        assert!(matches!(ledger.health(), Health::Stalled { why, .. } if why == refused));
        let last = ledger.read(EntryNumber(ledger.size() - 1)).unwrap();
        assert_eq!(last.record.event.kind(), "ledger-stalled");
    }
}

/// Whether a process asked for its turn at last, and has not got it.
fn asks_for_its_turn(base: &Base<'_>) -> bool {
    let sql = "select pid from pg_stat_activity where datname = current_database() \
               and application_name = 'bailiwick ledger' \
               and query like '%pg_try_advisory_lock%'";
    !base.sql(&[sql]).is_empty()
}

#[test]
fn one_process_at_a_time_verifies() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("turns"), clock());
    filled(&base, 100);
    let ledger: Ledger = base.open_as("one", base.dial(), &clock).unwrap();
    // Another is at it.
    let other = base.hold("select pg_advisory_lock(x'4257564552494659'::bigint)");
    std::thread::scope(|scope| {
        let verifying = scope.spawn(|| ledger.verify().unwrap());
        while !asks_for_its_turn(&base) && !verifying.is_finished() {
            std::thread::yield_now();
        }
        assert!(!verifying.is_finished(), "it did not wait for its turn");
        drop(other);
        assert_eq!(verifying.join().unwrap().result, Ok(()));
    });
}

#[test]
fn a_connection_that_is_lost_while_verifying_is_no_damage() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("lost"), clock());
    filled(&base, 100);
    let dial = base.dial();
    let what = dial.what.clone();
    let ledger = base.open_quiet(dial, &clock);
    let mut cuts = 0;
    for reads in [0, 3, 18, 21] {
        what.cut_once_after_reads(reads);
        let found = ledger.verify().unwrap();
        assert_eq!((found.size, found.result), (100, Ok(())), "after {reads} reads");
        cuts += what.calm();
    }
    assert!(cuts >= 4, "only {cuts} connections were cut");
}
