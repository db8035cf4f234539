//! Disposal: nothing too early, nothing that is held, nothing in part, whatever happens.

use std::path::Path;
use std::sync::Arc;

use keys::FixedClock;
use keys::seal::SealingKey;
use ledger::evidence::{Content, Disclose, Evidence, LogCopy};
use ledger::note::VerifierKey;
use ledger::retention::{DisposeError, HoldScope};
use ledger::testing::{Fault, SimDisk, settings};
use ledger::{AppendError, Health, Ledger, Search, Settings};

use crate::both_disposal::{DUE, done, fill, home_bucket as home, is_gone};
use crate::common::{FOLDER, append, clock, in_folder, numbered, open, open_with, time, verify};
use crate::disposed::order;

fn aged() -> (Arc<SimDisk>, Arc<FixedClock>, Ledger) {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    fill(&ledger);
    (disk, clock, ledger)
}

#[test]
fn what_is_gone_is_in_no_file_any_more() {
    let (disk, clock, ledger) = aged();
    clock.set(time(DUE));
    let sealed = disk.read(&in_folder("body/standard-2029-11/00000000.seg")).unwrap();
    let sealed = sealed[48..96].to_vec();
    assert_eq!(done(&ledger.dispose(home(), order("schedule 1")).unwrap()), (11, 0));
    // The journal included.
    for path in disk.files() {
        let bytes = disk.read(&path).unwrap();
        assert!(!bytes.windows(sealed.len()).any(|it| it == sealed), "{}", path.display());
        assert!(!path.to_string_lossy().contains("y/standard-2029-11"), "{}", path.display());
    }
}

#[test]
fn evidence_says_what_was_disposed_of_and_proves_the_rest() {
    let (disk, clock, ledger) = aged();
    let entries = HoldScope::Entries { first: 3, last: 3 };
    ledger.place_hold("lit", entries, None, order("court")).unwrap();
    clock.set(time(DUE));
    ledger.dispose(home(), order("schedule 1")).unwrap();
    let key = VerifierKey::parse(&ledger.verifier_key()).unwrap();
    ledger.close().unwrap();
    let copy = LogCopy::read_on(disk.as_ref(), Path::new(FOLDER)).unwrap();
    let master = SealingKey::from_bytes([2; 32]);
    let range = copy.range(2..5, Some((Disclose::All, &master))).unwrap();
    let evidence = Evidence::parse(&Evidence::Range(range).text()).unwrap();
    evidence.check(&key).unwrap();
    let disclosed: Vec<bool> = evidence
        .entries()
        .iter()
        .map(|it| match it.content {
            Content::Disclosed(_) => true,
            Content::Disposed => false,
            Content::Sealed => panic!("it was asked for"),
        })
        .collect();
    assert_eq!(disclosed, [false, true, false]);
}

/// Does something to an aged ledger with a hold, with the nth operation of its disposal failing;
/// gives the disk as it is then.
fn interrupted(nth: u64, fault: Fault) -> (Arc<SimDisk>, Arc<FixedClock>, bool) {
    let (disk, clock, ledger) = aged();
    let entries = HoldScope::Entries { first: 3, last: 4 };
    ledger.place_hold("lit", entries, None, order("court")).unwrap();
    clock.set(time(DUE));
    disk.fail_at(disk.operations() + nth, fault);
    let disposed = ledger.dispose(home(), order("schedule 1"));
    let reached = disposed.is_err();
    // Whatever happened, what is held is there, and nothing is called damaged.
    assert!(!is_gone(&ledger, 3) && !is_gone(&ledger, 4), "{nth} {fault:?}");
    (disk, clock, reached)
}

/// After an interruption: nothing of it in part, and it can be finished.
fn check_finished(disk: &Arc<SimDisk>, clock: &Arc<FixedClock>, what: &str) {
    verify(disk, Some(12)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let ledger = open(disk, clock).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    ledger.finish_disposals().unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let gone: Vec<bool> = [0, 2, 5, 10].into_iter().map(|entry| is_gone(&ledger, entry)).collect();
    assert!(gone.iter().all(|it| *it == gone[0]), "{what}: {gone:?}");
    let told = ledger.holds_and_dispositions().unwrap();
    assert_eq!(told.dispositions.len(), usize::from(gone[0]), "{what}");
    match ledger.dispose(home(), order("schedule 1")) {
        Ok(disposal) => {
            assert!(!gone[0], "{what}");
            assert_eq!(done(&disposal), (9, 2), "{what}");
        }
        Err(DisposeError::Already { .. }) => assert!(gone[0], "{what}"),
        Err(error) => panic!("{what}: {error:?}"),
    }
    assert!(!is_gone(&ledger, 3) && !is_gone(&ledger, 4), "{what}");
    let told = ledger.holds_and_dispositions().unwrap();
    assert!(told.dispositions.iter().all(|it| it.finished.is_some() && it.returned.is_empty()));
    append(&ledger, numbered(7)).unwrap();
    let size = ledger.size();
    ledger.close().unwrap();
    let verified = verify(disk, Some(size)).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!((verified.disposed, verified.leftover), (1, Vec::new()), "{what}");
}

#[test]
fn a_disposal_that_fails_at_any_step_is_whole_or_not_at_all() {
    for fault in [Fault::Lost, Fault::Kept, Fault::Torn] {
        let mut nth = 0;
        loop {
            let (disk, clock, reached) = interrupted(nth, fault);
            disk.mend();
            check_finished(&disk, &clock, &format!("operation {nth}, {fault:?}"));
            if !reached && nth > 30 {
                break;
            }
            nth += 1;
        }
    }
}

#[test]
fn a_power_cut_at_any_step_of_a_disposal_leaves_it_whole_or_not_at_all() {
    let mut dice = 0x9e37_79b9_u64;
    let mut roll = move || {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        dice >> 63 == 1
    };
    let mut nth = 0;
    loop {
        let (disk, clock, reached) = interrupted(nth, Fault::Lost);
        for choice in 0..4 {
            let choose: &mut dyn FnMut() -> bool = match choice {
                0 => &mut || false,
                1 => &mut || true,
                _ => &mut roll,
            };
            let cut = Arc::new(disk.after_power_cut(choose));
            check_finished(&cut, &clock, &format!("cut at operation {nth}, choice {choice}"));
        }
        if !reached && nth > 30 {
            break;
        }
        nth += 1;
    }
}

#[test]
fn a_full_disk_disposes_of_nothing_and_says_so() {
    let (disk, clock, ledger) = aged();
    ledger.place_hold("lit", HoldScope::Entries { first: 3, last: 4 }, None, order("c")).unwrap();
    clock.set(time(DUE));
    disk.leave_room(10);
    let refused = ledger.dispose(home(), order("schedule 1")).unwrap_err();
    assert!(matches!(refused, DisposeError::Append(_)), "{refused}");
    assert!((0..11).all(|entry| !is_gone(&ledger, entry)));
    disk.mend();
    assert_eq!(done(&ledger.dispose(home(), order("schedule 1")).unwrap()), (9, 2));
}

#[test]
fn a_record_in_the_queue_and_a_disposal_do_not_keep_each_other_out() {
    let (_disk, clock, ledger) = aged();
    clock.set(time(DUE));
    let appender = ledger.clone();
    let appending = std::thread::spawn(move || {
        (0..200).all(|number| append(&appender, numbered(number)).is_ok())
    });
    assert_eq!(done(&ledger.dispose(home(), order("schedule 1")).unwrap()), (11, 0));
    assert!(appending.join().unwrap());
    assert_eq!(ledger.size(), 11 + 200 + 2);
}

fn kinds(ledger: &Ledger, kind: &str) -> usize {
    let search = Search { kinds: vec![kind.to_owned()], ..Search::newest(100) };
    ledger.search(&search).unwrap().entries.len()
}

#[test]
fn what_can_t_be_destroyed_is_in_no_records_way_and_is_tried_until_it_can() {
    let (disk, clock, ledger) = aged();
    clock.set(time(DUE));
    let (name, kept) = (in_folder("keys/standard-2029-11.key"), Path::new("/kept"));
    disk.copy_file(&name, kept);
    disk.fail_writes_after("standard-2029-11.key", 0);
    let refused = ledger.dispose(home(), order("schedule 1")).unwrap_err();
    assert!(matches!(refused, DisposeError::Destroy(_)), "{refused}");
    for tried in 0..3 {
        assert!(
            (0..11).all(|entry| is_gone(&ledger, entry)),
            "announced, and so not read any more"
        );
        append(&ledger, numbered(tried)).unwrap();
        assert_eq!(ledger.health(), Health::Recording);
        let refused = ledger.finish_disposals().unwrap_err();
        assert!(matches!(refused, DisposeError::Destroy(_)), "{refused}");
        assert_eq!(kinds(&ledger, "disposed"), 0);
    }
    disk.mend();
    ledger.finish_disposals().unwrap();
    assert_eq!(kinds(&ledger, "disposed"), 1);

    // The same where it came back from a backup: tried often, and on record once.
    disk.copy_file(kept, &name);
    disk.fail_writes_after("standard-2029-11.key", 0);
    for tried in 0..3 {
        ledger.finish_disposals().unwrap_err();
        append(&ledger, numbered(tried)).unwrap();
        assert_eq!(kinds(&ledger, "disposed-returned"), 1);
    }
    disk.mend();
    ledger.finish_disposals().unwrap();
    assert_eq!((kinds(&ledger, "disposed-returned"), disk.read(&name)), (1, None));
    assert_eq!(kinds(&ledger, "disposed"), 1);
}

#[test]
fn a_ledger_that_is_stopped_destroys_nothing() {
    let (disk, clock, ledger) = aged();
    clock.set(time(DUE));
    disk.edit(&in_folder("log/00000000.seg"), |bytes| bytes[700] ^= 1);
    ledger.verify_every(std::time::Duration::from_secs(3600)).unwrap();
    while !matches!(ledger.health(), Health::Stalled { .. }) {
        std::thread::yield_now();
    }
    let before = disk.files();
    for refused in [
        ledger.dispose(home(), order("schedule 1")).map(|_| ()).unwrap_err(),
        ledger.finish_disposals().unwrap_err(),
        ledger
            .place_hold("lit", HoldScope::Bucket { bucket: home() }, None, order("c"))
            .map(|_| ())
            .unwrap_err(),
    ] {
        let DisposeError::Append(AppendError::Stopped { .. }) = refused else {
            panic!("{refused}")
        };
    }
    assert_eq!(disk.files(), before);
}

#[test]
fn nothing_is_written_into_what_was_disposed_of() {
    let (disk, clock, ledger) = aged();
    clock.set(time(DUE));
    ledger.dispose(home(), order("schedule 1")).unwrap();
    drop(ledger);
    // The clock is back in the month in which these records expired, and that is accepted.
    clock.set(time("2026-11-22T15:00:00Z"));
    let clock_wrong_until = Some(time("2029-12-02T00:00:00Z"));
    let settings = Settings { clock_wrong_until, ..settings(Path::new(FOLDER)) };
    let ledger = open_with(&disk, &clock, settings).unwrap();
    let refused = append(&ledger, numbered(1)).unwrap_err();
    let AppendError::BucketGone { bucket } = &refused else { panic!("{refused}") };
    assert_eq!(*bucket, home().name());
    // Whatever is in one batch with them is taken.
    for number in 0..20 {
        clock.set(time("2026-11-22T15:00:00Z"));
        let refused = ledger.enqueue(numbered(number)).unwrap();
        clock.set(time("2026-12-01T00:00:00Z"));
        ledger.enqueue(numbered(number)).unwrap().wait().unwrap();
        let error = refused.wait().unwrap_err();
        let gone = matches!(error, AppendError::BucketGone { .. });
        assert!(gone || matches!(error, AppendError::ClockBehind { .. }), "{error}");
    }
    assert_eq!(kinds(&ledger, "disposed-returned"), 0);
}

#[test]
fn a_clock_that_jumped_is_not_believed_about_what_is_due() {
    let (_disk, clock, ledger) = aged();
    let lately = |at: &str| ledger.has_recorded_lately(time(at)).unwrap();
    assert!(!lately("2026-11-23T00:00:00Z"), "too new to tell");
    assert!(lately("2026-12-01T00:00:00Z") && lately("2026-12-31T00:00:00Z"));
    assert!(!lately(DUE), "three years without an entry");
    clock.set(time(DUE));
    append(&ledger, numbered(1)).unwrap();
    assert!(!lately("2029-12-02T00:00:00Z"), "its own entries don't count for a week");
    assert!(lately("2029-12-09T00:00:00Z"));
}
