//! How full the database is, of the size that it was given (AU-5).

use std::time::Duration;

use keys::SystemRandom;
use ledger::{Database, Event, Ledger, Room, Search};

use crate::common::clock;
use crate::database::Server;

#[test]
fn a_database_that_fills_its_size_raises_an_alarm_as_a_volume_does() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("room"), clock());
    let empty: u64 = base.sql(&["select pg_database_size('room')"]).remove(0).parse().unwrap();
    let open = |process: &str, bytes_max| {
        let database = Database { bytes_max, ..base.database(base.dial()) };
        let settings = ledger::testing::settings(&base.folder(process));
        let settings = ledger::Settings {
            capacity_warn_percent: 90,
            capacity_wait: Duration::from_millis(20),
            ..settings
        };
        let (keys, random) = (ledger::testing::keys(), std::sync::Arc::new(SystemRandom));
        Ledger::open_shared(database, settings, keys, clock.clone(), random).unwrap()
    };
    let alarms = |ledger: &Ledger| {
        let kinds = vec!["ledger-nearly-full".to_owned()];
        let page = ledger.search(&Search { kinds, ..Search::newest(9) }).unwrap();
        let events = page.entries.into_iter().map(|it| it.record.event);
        events.filter(|it| matches!(it, Event::LedgerNearlyFull { database: true, .. })).count()
    };
    let seen = |ledger: &Ledger| loop {
        match ledger.database_capacity() {
            Some(capacity) => return capacity,
            None => std::thread::yield_now(),
        }
    };
    // Without a size nothing is watched but the volume.
    let ledger = open("none", None);
    while ledger.capacity().is_none() {
        std::thread::yield_now();
    }
    assert_eq!(ledger.database_capacity(), None);
    ledger.close().unwrap();

    let ledger = open("wide", Some(empty * 100));
    let capacity = seen(&ledger);
    assert_eq!(
        (capacity.of, capacity.bytes, capacity.is_low()),
        (Room::Database, empty * 100, false)
    );
    assert_eq!(alarms(&ledger), 0);
    ledger.close().unwrap();

    let ledger = open("narrow", Some(empty));
    let capacity = seen(&ledger);
    assert_eq!((capacity.used_percent, capacity.free_bytes), (100, 0));
    assert!(capacity.words().starts_with("the ledger's database is 100 % full"));
    while alarms(&ledger) == 0 {
        std::thread::yield_now();
    }
    assert_eq!(alarms(&ledger), 1, "not twice in an hour");
    clock.advance(jiff::SignedDuration::from_hours(1));
    while alarms(&ledger) < 2 {
        std::thread::yield_now();
    }
}
