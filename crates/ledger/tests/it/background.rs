//! Verifying a ledger that runs, behind its back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ledger::testing::{SimDisk, keys, settings};
use ledger::{EntryNumber, Health, Ledger, Settings, VerifyOptions};

use crate::common::{FOLDER, append, clock, in_folder, numbered, open_with};

fn small(folder: &Path) -> Settings {
    let wait = Duration::ZERO;
    let (segment_bytes, reserve_bytes) = (16 << 10, 2 << 10);
    Settings { segment_bytes, reserve_bytes, checkpoint_wait: wait, ..settings(folder) }
}

#[test]
fn a_running_ledger_is_verified_while_it_is_written_to() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open_with(&disk, &clock, small(Path::new(FOLDER))).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..600 {
                append(&ledger, numbered(number)).unwrap();
            }
        });
        let mut sizes = Vec::new();
        while !writer.is_finished() {
            let found = ledger.verify().unwrap();
            assert_eq!(found.result, Ok(()), "at {} entries", found.size);
            sizes.push(found.size);
        }
        assert!(sizes.len() > 1, "verified only {} times", sizes.len());
    });
    assert_eq!(ledger.verify().unwrap().size, 600);
}

#[test]
fn damage_that_is_found_while_it_runs_stops_the_ledger_and_is_on_record() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open_with(&disk, &clock, small(Path::new(FOLDER))).unwrap();
    for number in 0..100 {
        append(&ledger, numbered(number)).unwrap();
    }
    disk.edit(&in_folder("log/00000000.seg"), |bytes| bytes[700] ^= 1);
    append(&ledger, numbered(100)).unwrap();
    ledger.verify_every(Duration::from_secs(3600)).unwrap();
    let found = loop {
        if let Some(found) = ledger.last_verification() {
            break found;
        }
        std::thread::yield_now();
    };
    assert_eq!((found.size, found.result.unwrap_err().file.as_str()), (101, "log/00000000.seg"));
    let refused = append(&ledger, numbered(101)).unwrap_err().to_string();
    assert!(refused.contains("`log/00000000.seg` at byte"), "{refused}");
    assert!(matches!(ledger.health(), Health::Stalled { why, .. } if why == refused));
    let last = ledger.read(EntryNumber(ledger.size() - 1)).unwrap();
    assert_eq!(last.record.event.kind(), "ledger-stalled");
}

#[test]
fn a_file_that_the_disk_does_not_give_is_tried_again_and_is_damage_when_it_stays_so() {
    for (reads, stops) in [(4, false), (usize::MAX, true)] {
        let (disk, clock) = (Arc::new(SimDisk::new()), clock());
        let ledger = open_with(&disk, &clock, small(Path::new(FOLDER))).unwrap();
        for number in 0..100 {
            append(&ledger, numbered(number)).unwrap();
        }
        // Each look reads it once, and once more to make sure.
        disk.fail_reads("ledger", reads);
        ledger.verify_every(Duration::from_millis(1)).unwrap();
        let found = loop {
            let stopped = ledger.health() != Health::Recording;
            match ledger.last_verification() {
                Some(found) if stopped || found.result.is_ok() => break found,
                _ => std::thread::yield_now(),
            }
        };
        assert_eq!((found.result.is_err(), ledger.health() != Health::Recording), (stops, stops));
        assert_eq!(append(&ledger, numbered(100)).is_err(), stops);
    }
}

#[test]
fn whoever_verifies_beside_a_ledger_that_is_written_to_sees_no_damage_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let random = Arc::new(keys::SystemRandom);
    let ledger = Ledger::open_or_create(small(folder.path()), keys(), clock(), random).unwrap();
    let verified = |expect_size| {
        let options = VerifyOptions { expect_size, ..VerifyOptions::default() };
        ledger::verify(folder.path(), options).unwrap_or_else(|error| panic!("{error}")).size
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..400 {
                append(&ledger, numbered(number)).unwrap();
            }
        });
        let mut times = 0;
        while !writer.is_finished() {
            verified(Some(ledger.size()));
            times += 1;
        }
        assert!(times > 1, "verified only {times} times");
    });
    assert_eq!(verified(None), 400);
}
