//! Damage on disk is found, named with its place, and refused; a shortened ledger too.

use std::path::Path;
use std::sync::Arc;

use ledger::testing::{SimDisk, settings};
use ledger::{Event, Record};

use crate::common::{
    FOLDER, append, clock, damage, in_folder, numbered, open, open_with, record, released, verify,
};

/// A closed ledger of 40 entries in two buckets and several segments.
fn closed() -> SimDisk {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let mut settings = settings(Path::new(FOLDER));
    (settings.segment_bytes, settings.checkpoint_wait) = (64 << 10, std::time::Duration::ZERO);
    let ledger = open_with(&disk, &clock, settings).unwrap();
    for number in 0..20 {
        append(&ledger, record(released(number))).unwrap();
        let issued = Event::ReceiptIssued { exchange: "x".to_owned(), digest: "d".to_owned() };
        append(&ledger, Record::platform(issued)).unwrap();
    }
    ledger.close().unwrap();
    disk.copy()
}

#[test]
fn a_flipped_bit_is_found_in_every_file_and_named() {
    let whole = closed();
    let sound = verify(&whole, Some(40)).unwrap();
    let (mut flips, mut harmless) = (0, 0);
    for path in whole.files() {
        let name = path.strip_prefix(FOLDER).unwrap().display().to_string();
        let length = whole.read(&path).unwrap().len();
        let dense = length.min(3000);
        let places = (0..dense).step_by(11).chain((dense..length).step_by(1511));
        for at in places.chain(length.checked_sub(1)) {
            let disk = whole.copy();
            disk.edit(&path, |bytes| bytes[at] ^= 1 << (at % 8));
            flips += 1;
            match verify(&disk, Some(40)) {
                Err(damage) => {
                    assert_eq!(damage.file, name, "byte {at} of {name}: {damage}");
                    assert!(damage.offset <= at as u64, "byte {at} of {name}: {damage}");
                }
                // What a journal holds after a clean end, and a last note that looks torn.
                Ok(verified) if name == "journal" || name == "checkpoints" => {
                    harmless += 1;
                    assert_eq!((verified.size, verified.root), (sound.size, sound.root));
                }
                Ok(_) => panic!("byte {at} of {name} was not found"),
            }
        }
    }
    assert!(flips > 1500 && harmless * 3 < flips, "{harmless} of {flips} were harmless");
}

#[test]
fn opening_refuses_what_verifying_refuses() {
    let whole = closed();
    for path in whole.files() {
        let name = path.strip_prefix(FOLDER).unwrap().display().to_string();
        for at in [0, 24, 61, 100, 300] {
            let disk = whole.copy();
            disk.edit(&path, |bytes| {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 4;
                }
            });
            let Err(found) = verify(&disk, None) else { continue };
            // Of all published checkpoints an opening holds the newest against the log.
            if name == "checkpoints" {
                continue;
            }
            assert_eq!(damage(open(&Arc::new(disk), &clock())).file, found.file, "{name}");
        }
    }
}

#[test]
fn a_log_that_lost_its_end_is_refused_by_what_was_published_or_expected() {
    let whole = closed();
    let last = in_folder("log/00000003.seg");
    let frame = whole.read(&last).unwrap();
    let end = (0..frame.len()).step_by(4096).take_while(|at| frame[*at] != 0).last().unwrap();

    let disk = whole.copy();
    disk.edit(&last, |bytes| bytes[end..].fill(0));
    assert_eq!(
        verify(&disk, None).unwrap_err().to_string(),
        format!(
            "`log/00000003.seg` at byte {end}, entry 39: the log ends here with 39 entries; \
             a checkpoint of 40 was published"
        )
    );
    let refused = damage(open(&Arc::new(disk.copy()), &clock()));
    assert_eq!(refused.what, "40 entries were published, yet the log has only 39");

    // Whoever removes checkpoints, journal and body as well is found out by the expected size.
    disk.remove(&in_folder("checkpoint"));
    disk.remove(&in_folder("checkpoints"));
    let found = verify(&disk, None).unwrap_err();
    assert_eq!(found.what, "a later batch reaches 40 entries, yet the log has only 39");
    disk.edit(&in_folder("journal"), |bytes| bytes.fill(0));
    let found = verify(&disk, None).unwrap_err();
    assert_eq!(
        (found.what.as_str(), found.entry),
        ("the log does not have the body's entry", Some(39))
    );
    let bodies = in_folder("body/dissemination-2036-11/00000000.seg");
    let content = disk.read(&bodies).unwrap();
    let starts = |at: &usize| content[*at..].starts_with(b"BWB1");
    let start = (0..content.len() - 4).step_by(16).rev().find(starts).unwrap();
    disk.edit(&bodies, |bytes| bytes[start..].fill(0));
    assert_eq!(verify(&disk, None).unwrap().size, 39);
    let found = verify(&disk, Some(40)).unwrap_err();
    assert_eq!(found.what, "the log ends here with 39 entries; 40 are expected");
}

#[test]
fn segments_that_are_missing_swapped_doubled_foreign_or_empty_are_named() {
    let whole = closed();
    let segment = |number: u32| in_folder(&format!("log/{number:08}.seg"));
    let foreign = closed();
    let check = |change: &dyn Fn(&SimDisk), expected: &str| {
        let disk = whole.copy();
        change(&disk);
        assert_eq!(verify(&disk, None).unwrap_err().to_string(), expected);
        assert_eq!(damage(open(&Arc::new(disk), &clock())).to_string(), expected);
    };
    let put = |disk: &SimDisk, to: &Path, bytes: &[u8]| {
        disk.edit(to, |content| *content = bytes.to_vec());
    };
    check(&|disk| disk.remove(&segment(1)), "`log/00000001.seg` at byte 0: the segment is missing");
    check(
        &|disk| {
            let (one, two) = (disk.read(&segment(1)).unwrap(), disk.read(&segment(2)).unwrap());
            put(disk, &segment(1), &two);
            put(disk, &segment(2), &one);
        },
        "`log/00000001.seg` at byte 0, entry 12: the frame begins with entry 24, not 12",
    );
    check(
        &|disk| put(disk, &segment(1), &disk.read(&segment(0)).unwrap()),
        "`log/00000001.seg` at byte 0, entry 12: the frame begins with entry 0, not 12",
    );
    check(
        &|disk| put(disk, &segment(1), &foreign.read(&segment(1)).unwrap()),
        "`log/00000001.seg` at byte 0, entry 12: the frame is of another ledger",
    );
    check(
        &|disk| disk.edit(&segment(1), |bytes| bytes.fill(0)),
        "`log/00000002.seg` at byte 0, entry 12: the frame begins with entry 24, not 12",
    );
    check(
        &|disk| disk.edit(&segment(1), |bytes| bytes[4096..8192].fill(0)),
        "`log/00000001.seg` at byte 4096, entry 13: there is a gap before more data",
    );
    check(
        &|disk| disk.remove(&in_folder("keys/standard-2029-11.key")),
        "`keys/standard-2029-11.key` at byte 0: the file is missing",
    );
    check(&|disk| disk.remove(&in_folder("journal")), "`journal` at byte 0: the file is missing");
}

#[test]
fn a_folder_without_its_identity_is_not_overwritten() {
    let disk = closed();
    disk.remove(&in_folder("ledger"));
    let found = damage(open(&Arc::new(disk.copy()), &clock()));
    assert_eq!(
        found.to_string(),
        "`ledger` at byte 0: the identity is missing, yet there are records"
    );
}

#[test]
fn verifying_against_the_wrong_key_is_refused() {
    let disk = closed();
    let other =
        ledger::note::VerifierKey { name: "riverton.example/ledger".to_owned(), public: [7; 32] };
    let options = ledger::VerifyOptions {
        expect_size: None,
        key: Some(other.to_string()),
        progress: &mut |_, _| {},
    };
    let refused = ledger::testing::verify_on(&disk, Path::new(FOLDER), options).unwrap_err();
    assert_eq!(refused.what, "the ledger is signed by another key than the expected one");
}

#[test]
fn a_ledger_that_was_not_closed_verifies_as_it_would_be_opened() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    for number in 0..5 {
        append(&ledger, numbered(number)).unwrap();
    }
    let cut = disk.after_power_cut(&mut || false);
    assert_eq!(verify(&cut, Some(5)).unwrap().checkpoint, Some(ledger.checkpoint().unwrap()));
}
