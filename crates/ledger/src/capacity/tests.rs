//! On a disk in memory, looked at when the test says so.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use keys::{FixedClock, SystemRandom};

use super::*;
use crate::testing::{SimDisk, keys, settings};
use crate::{AppendError, Event, Health, Ledger, Record, Search, Settings};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

struct World {
    disk: Arc<SimDisk>,
    clock: Arc<FixedClock>,
    ledger: Ledger,
}

fn world(change: impl FnOnce(&mut Settings)) -> World {
    let (disk, clock) = (Arc::new(SimDisk::new()), Arc::new(FixedClock::new(begin())));
    let mut settings = settings(Path::new("/ledger"));
    settings.capacity_warn_percent = 90;
    change(&mut settings);
    let (on, at) = (Arc::clone(&disk), Arc::clone(&clock));
    // The ledger's own first look must not fall into the story: it is over when it has seen an end.
    disk.leave_room(1 << 40);
    let ledger = Ledger::open_on(on, settings, keys(), at, Arc::new(SystemRandom)).unwrap();
    let begun = Instant::now();
    while ledger.capacity().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the ledger does not look");
        std::thread::yield_now();
    }
    disk.mend();
    World { disk, clock, ledger }
}

fn begin() -> Timestamp {
    "2026-11-25T14:00:00Z".parse().unwrap()
}

fn record() -> Record {
    Record::platform(Event::ServiceStopped)
}

impl World {
    /// Everything on record of these kinds, the oldest first.
    fn events(&self, kinds: &[&str]) -> Vec<Event> {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let page = self.ledger.search(&Search { kinds, ..Search::newest(500) }).unwrap();
        page.entries.into_iter().rev().map(|entry| entry.record.event).collect()
    }

    /// Makes sure that there is a segment with room for another record.
    fn begin_segments(&self) {
        self.ledger.enqueue(record()).unwrap().wait().unwrap();
    }

    /// Waits until the ledger has so many entries.
    fn wait_for(&self, size: u64) {
        let begun = Instant::now();
        while self.ledger.size() < size {
            assert!(begun.elapsed() < Duration::from_secs(20), "{} entries", self.ledger.size());
            std::thread::yield_now();
        }
    }
}

#[test]
fn the_forecast_goes_by_the_last_week_and_waits_for_an_hour() {
    let mut growth = Growth::default();
    growth.note(begin(), 1000);
    growth.note(begin() + HOUR / 2, 2000);
    assert_eq!(growth.bytes_per_day(), None, "half an hour is too short");
    growth.note(begin() + HOUR, 3000);
    assert_eq!(growth.bytes_per_day(), Some(48_000));
    for hour in 2..1000 {
        growth.note(begin() + HOUR * hour, 3000 + 10 * hour.unsigned_abs() as u64);
    }
    assert_eq!(growth.bytes_per_day(), Some(240), "the first hours are forgotten");
    growth.note(begin() + HOUR * 1000, 0);
    assert_eq!(growth.bytes_per_day(), None, "it was emptied");
    growth.note(begin(), 5000);
    assert_eq!(growth.bytes_per_day(), None, "the clock went back");

    let space = Space { bytes: 10_000, free_bytes: 700, files: None };
    let mut growth = Growth::default();
    growth.note(begin(), 9200);
    growth.note(begin() + HOUR * 24, 9300);
    let capacity = Capacity::new(Room::Volume, begin(), &space, 90, &growth);
    assert_eq!((capacity.bytes_per_day, capacity.full_in_days), (Some(100), Some(7)));
    assert_eq!(capacity.words(), "the ledger's volume is 93 % full and has room for 7 days");
    assert!(capacity.is_low() && !Capacity { warn_percent: 94, ..capacity }.is_low());
}

#[test]
fn inodes_count_like_bytes() {
    let space = Space { bytes: 1000, free_bytes: 900, files: Some((100, 4)) };
    assert_eq!(space.used_percent(), 96);
    assert_eq!(Space { files: Some((100, 99)), ..space }.used_percent(), 10);
    assert_eq!(Space { bytes: 0, free_bytes: 0, files: None }.used_percent(), 0);
    let whole = Space { bytes: u64::MAX, free_bytes: 0, files: Some((u64::MAX, 0)) };
    assert_eq!(whole.used_percent(), 100);
}

#[test]
fn a_volume_that_fills_raises_an_alarm_at_once_and_every_hour_until_there_is_room() {
    let world = world(|_| {});
    world.begin_segments();
    let mut looks = world.ledger.looks();
    assert_eq!(looks.look(), [None, None], "this disk has no end");
    world.disk.leave_room(40_000);
    let size = world.ledger.size();
    let capacity = looks.look()[0].unwrap();
    assert!(capacity.is_low(), "{capacity:?}");
    world.wait_for(size + 1);
    let alarm = Event::LedgerNearlyFull {
        percent: capacity.used_percent,
        free_bytes: capacity.free_bytes,
        full_in_days: None,
        database: false,
    };
    assert_eq!(world.events(&["ledger-nearly-full"]), [alarm]);

    world.clock.advance(HOUR / 2);
    looks.look();
    assert_eq!(world.ledger.size(), size + 1, "not twice an hour");
    world.clock.advance(HOUR / 2);
    looks.look();
    world.wait_for(size + 2);
    assert_eq!(world.events(&["ledger-nearly-full"]).len(), 2);

    world.disk.leave_room(100 << 20);
    world.clock.advance(HOUR * 2);
    assert!(!looks.look()[0].unwrap().is_low());
    world.disk.leave_room(40_000);
    looks.look();
    let begun = Instant::now();
    while world.events(&["ledger-nearly-full"]).len() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(20), "raised anew, at once");
    }
}

#[test]
fn an_alarm_that_could_not_be_recorded_is_raised_at_the_next_look() {
    let world = world(|_| {});
    world.begin_segments();
    let mut looks = world.ledger.looks();
    world.disk.leave_room(40_000);
    world.disk.fail_writes_after("journal", 0);
    let size = world.ledger.size();
    looks.look();
    while !matches!(world.ledger.health(), Health::Stalled { .. }) {
        std::thread::yield_now();
    }
    assert_eq!(world.ledger.size(), size);
    world.disk.mend();
    world.disk.leave_room(40_000);
    let begun = Instant::now();
    while world.events(&["ledger-nearly-full"]).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        looks.look();
    }
}

#[test]
fn a_ledger_that_refuses_is_tried_until_it_takes_records_with_nobody_coming_by() {
    let world = world(|_| {});
    let mut looks = world.ledger.looks();
    world.disk.fail_writes_after("journal", 0);
    world.ledger.enqueue(record()).unwrap().wait().unwrap_err();
    assert!(matches!(world.ledger.health(), Health::Stalled { .. }));
    looks.look();
    world.disk.mend();
    let begun = Instant::now();
    while matches!(world.ledger.health(), Health::Stalled { .. }) {
        assert!(begun.elapsed() < Duration::from_secs(20));
        looks.look();
    }
    let found = world.events(&["ledger-checked", "ledger-recovered"]);
    assert!(matches!(found.as_slice(), [.., Event::LedgerChecked] | [Event::LedgerChecked, ..]));
}

#[test]
fn a_ledger_that_nobody_writes_to_is_tried_every_hour() {
    let world = world(|_| {});
    let mut looks = world.ledger.looks();
    world.ledger.enqueue(record()).unwrap().wait().unwrap();
    looks.look();
    world.clock.advance(HOUR - SignedDuration::from_secs(1));
    looks.look();
    assert_eq!(world.ledger.size(), 1);
    world.clock.advance(SignedDuration::from_secs(1));
    looks.look();
    world.wait_for(2);
    assert_eq!(world.events(&["ledger-checked"]), [Event::LedgerChecked]);
    looks.look();
    assert_eq!(world.ledger.size(), 2);
}

#[tokio::test]
async fn a_caller_who_waits_for_a_disk_that_hangs_is_refused_in_time_and_the_next_at_once() {
    let wait = Duration::from_millis(40);
    let world = world(|settings| settings.append_wait_max = wait);
    let held = world.disk.block();
    let refused = world.ledger.append(record()).await.unwrap_err();
    assert!(matches!(refused, AppendError::NoAnswer { .. }), "{refused}");
    // The writer begins its own wait a little after the caller.
    while !matches!(world.ledger.health(), Health::Stalled { .. }) {
        std::thread::yield_now();
    }
    let refused = world.ledger.enqueue(record()).err().unwrap();
    assert!(matches!(refused, AppendError::NoAnswer { .. }), "not queued behind it: {refused}");
    assert_eq!((world.ledger.size(), world.ledger.waiting()), (0, 0));

    drop(held);
    world.wait_for(1);
    while world.ledger.health() != Health::Recording {
        std::thread::yield_now();
    }
    let receipt = world.ledger.append(record()).await.unwrap();
    assert_eq!(receipt.entry.0, 1, "the refused one was on its way, and is there too");
}

#[test]
fn a_clock_that_was_wrong_is_accepted_up_to_the_time_that_an_operator_names() {
    let year = HOUR * 24 * 365;
    let disk = Arc::new(SimDisk::new());
    let open = |at: Timestamp, wrong: Option<Timestamp>| {
        let settings = Settings { clock_wrong_until: wrong, ..settings(Path::new("/ledger")) };
        let (on, clock) = (Arc::clone(&disk), Arc::new(FixedClock::new(at)));
        Ledger::open_on(on, settings, keys(), clock, Arc::new(SystemRandom)).unwrap()
    };
    let ahead = open(begin() + year, None);
    ahead.enqueue(record()).unwrap().wait().unwrap();
    drop(ahead);
    let behind = open(begin(), None);
    let refused = behind.enqueue(record()).unwrap().wait().unwrap_err();
    assert!(matches!(refused, AppendError::ClockBehind { .. }), "{refused}");
    drop(behind);
    let short = open(begin(), Some(begin() + year - HOUR));
    short.enqueue(record()).unwrap().wait().unwrap_err();
    drop(short);
    let accepted = open(begin(), Some(begin() + year));
    let receipt = accepted.enqueue(record()).unwrap().wait().unwrap();
    let entry = accepted.read(receipt.entry).unwrap();
    assert!(entry.clock_stepped_back && entry.at == begin(), "it says so: {entry:?}");
}
