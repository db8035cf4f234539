//! Damage on disk is found, named with its place, and refused; a shortened ledger too.

use std::path::Path;
use std::sync::Arc;

use ledger::testing::{SimDisk, settings};
use ledger::{EntryNumber, Event, ReadError, Record};

use crate::common::{
    FOLDER, append, clock, damage, in_folder, numbered, open, open_with, record, released, verify,
};

const ENTRIES: u64 = 100;

/// A closed ledger of 100 entries in two buckets and several segments.
fn closed() -> SimDisk {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let mut settings = settings(Path::new(FOLDER));
    (settings.segment_bytes, settings.reserve_bytes) = (16 << 10, 2 << 10);
    settings.checkpoint_wait = std::time::Duration::ZERO;
    let ledger = open_with(&disk, &clock, settings).unwrap();
    for number in 0..ENTRIES / 2 {
        append(&ledger, record(released(number))).unwrap();
        let issued = Event::ReceiptIssued { exchange: "x".to_owned(), digest: "d".to_owned() };
        append(&ledger, Record::platform(issued)).unwrap();
    }
    ledger.close().unwrap();
    disk.copy()
}

/// The files of which a ledger is made; others are derived from them.
fn told(disk: &SimDisk) -> Vec<(String, std::path::PathBuf)> {
    let name = |path: &Path| path.strip_prefix(FOLDER).unwrap().display().to_string();
    let files = disk.files().into_iter().map(|path| (name(&path), path));
    files.filter(|(name, _)| !name.starts_with("positions/")).collect()
}

/// Whether no later segment lies beside it.
fn is_last_segment(disk: &SimDisk, path: &Path) -> bool {
    let segment = path.extension().is_some_and(|end| end == "seg");
    let later = |other: &std::path::PathBuf| other.parent() == path.parent() && **other > *path;
    !segment || !disk.files().iter().any(later)
}

/// Where the last frame of a log segment begins.
fn last_frame(segment: &[u8]) -> usize {
    let starts = |at: &usize| segment.get(*at..).is_some_and(|it| it.starts_with(b"BWLOGFR1"));
    (0..segment.len()).step_by(16).rev().find(starts).unwrap()
}

#[test]
fn a_flipped_bit_is_found_in_every_file_and_named() {
    let whole = closed();
    let sound = verify(&whole, Some(ENTRIES)).unwrap();
    let (mut flips, mut harmless) = (0, 0);
    for (name, path) in told(&whole) {
        let length = whole.read(&path).unwrap().len();
        let dense = length.min(3000);
        let places = (0..dense).step_by(11).chain((dense..length).step_by(1511));
        for at in places.chain(length.checked_sub(1)) {
            let disk = whole.copy();
            disk.edit(&path, |bytes| bytes[at] ^= 1 << (at % 8));
            flips += 1;
            match verify(&disk, Some(ENTRIES)) {
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
    let (mut refused, mut earlier) = (0, 0);
    for (name, path) in told(&whole) {
        for at in [0, 24, 61, 100, 300] {
            let disk = whole.copy();
            disk.edit(&path, |bytes| {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 4;
                }
            });
            let Err(found) = verify(&disk, None) else { continue };
            // Of all published checkpoints an opening holds the newest against the log, and of
            // the log and each bucket it reads the last segment.
            if name == "checkpoints" || !is_last_segment(&whole, &path) {
                earlier += 1;
                continue;
            }
            assert_eq!(damage(open(&Arc::new(disk), &clock())).file, found.file, "{name}");
            refused += 1;
        }
    }
    assert!(refused > 15 && earlier >= 10, "{refused} refused, {earlier} before the last segment");
}

#[test]
fn damage_before_the_last_segment_is_named_by_whoever_reads_it() {
    let whole = closed();
    for name in ["log/00000000.seg", "body/standard-2029-11/00000000.seg"] {
        let disk = whole.copy();
        let first = disk.read(&in_folder(name)).unwrap();
        let magic: &[u8] = if name.starts_with("log") { b"BWLOGFR1" } else { b"BWB1" };
        let at = first.windows(magic.len()).position(|it| it == magic).unwrap() + 20;
        disk.edit(&in_folder(name), |bytes| bytes[at] ^= 1);
        // Neither where entries lie nor a hash that was kept may hide it.
        for derived in disk.files().into_iter().filter(|it| it.starts_with(in_folder("positions")))
        {
            disk.edit(&derived, Vec::clear);
        }
        let opened = open(&Arc::new(disk.copy()), &clock());
        let found = match opened {
            Ok(ledger) => match ledger.read(EntryNumber(0)) {
                Err(ReadError::Damaged(found)) => found,
                other => panic!("{name}: {other:?}"),
            },
            Err(ledger::OpenError::Damaged(found)) => found,
            Err(other) => panic!("{name}: {other:?}"),
        };
        assert_eq!(found.file, name);
    }
}

#[test]
fn a_log_that_lost_its_end_is_refused_by_what_was_published_or_expected() {
    let whole = closed();
    let last = in_folder("log/00000002.seg");
    let end = last_frame(&whole.read(&last).unwrap());

    let disk = whole.copy();
    disk.edit(&last, |bytes| bytes[end..].fill(0));
    assert_eq!(
        verify(&disk, None).unwrap_err().to_string(),
        format!(
            "`log/00000002.seg` at byte {end}, entry 99: the log ends here with 99 entries; \
             a checkpoint of 100 was published"
        )
    );
    let refused = damage(open(&Arc::new(disk.copy()), &clock()));
    assert_eq!(refused.what, "a later batch reaches 100 entries, yet the log has only 99");

    // Whoever removes checkpoints, journal and body as well is found out by the expected size.
    disk.remove(&in_folder("checkpoint"));
    disk.remove(&in_folder("checkpoints"));
    let found = verify(&disk, None).unwrap_err();
    assert_eq!(found.what, "a later batch reaches 100 entries, yet the log has only 99");
    let refused = damage(open(&Arc::new(disk.copy()), &clock()));
    assert_eq!(refused.what, found.what);
    disk.edit(&in_folder("journal"), |bytes| bytes.fill(0));
    let found = verify(&disk, None).unwrap_err();
    assert_eq!(
        (found.what.as_str(), found.entry),
        ("the log does not have the body's entry", Some(99))
    );
    let bodies = in_folder("body/dissemination-2036-11/00000001.seg");
    let content = disk.read(&bodies).unwrap();
    let starts = |at: &usize| content[*at..].starts_with(b"BWB1");
    let start = (0..content.len() - 4).step_by(16).rev().find(starts).unwrap();
    disk.edit(&bodies, |bytes| bytes[start..].fill(0));
    assert_eq!(verify(&disk, None).unwrap().size, 99);
    assert_eq!(open(&Arc::new(disk.copy()), &clock()).unwrap().size(), 99);
    let found = verify(&disk, Some(ENTRIES)).unwrap_err();
    assert_eq!(found.what, "the log ends here with 99 entries; 100 are expected");
}

#[test]
fn segments_that_are_missing_swapped_doubled_foreign_or_empty_are_named() {
    let whole = closed();
    let segment = |number: u32| in_folder(&format!("log/{number:08}.seg"));
    let foreign = closed();
    let differ = |change: &dyn Fn(&SimDisk), expected: &str, opening: &str| {
        let disk = whole.copy();
        change(&disk);
        assert_eq!(verify(&disk, None).unwrap_err().to_string(), expected);
        assert_eq!(damage(open(&Arc::new(disk), &clock())).to_string(), opening);
    };
    let check = |change: &dyn Fn(&SimDisk), expected: &str| differ(change, expected, expected);
    let put = |disk: &SimDisk, to: &Path, bytes: &[u8]| {
        disk.edit(to, |content| *content = bytes.to_vec());
    };
    check(&|disk| disk.remove(&segment(1)), "`log/00000001.seg` at byte 0: the segment is missing");
    differ(
        &|disk| {
            let (one, two) = (disk.read(&segment(1)).unwrap(), disk.read(&segment(2)).unwrap());
            put(disk, &segment(1), &two);
            put(disk, &segment(2), &one);
        },
        "`log/00000001.seg` at byte 0: this is segment 2, not 1",
        "`log/00000002.seg` at byte 0: this is segment 1, not 2",
    );
    check(
        &|disk| put(disk, &segment(2), &disk.read(&segment(0)).unwrap()),
        "`log/00000002.seg` at byte 0: this is segment 0, not 2",
    );
    check(
        &|disk| put(disk, &segment(2), &foreign.read(&segment(2)).unwrap()),
        "`log/00000002.seg` at byte 0: the segment is of another ledger",
    );
    differ(
        &|disk| disk.edit(&segment(2), |bytes| bytes.fill(0)),
        "`log/00000001.seg` at byte 14000, entry 79: the log ends here with 79 entries; \
         a checkpoint of 100 was published",
        "`journal` at byte 4096, entry 79: a later batch reaches 100 entries, yet the log has only 79",
    );
    check(
        &|disk| {
            disk.edit(&segment(2), |bytes| {
                let end = last_frame(bytes);
                bytes[end - 352..end].fill(0);
            });
        },
        "`log/00000002.seg` at byte 7056, entry 98: there is a gap before more data",
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
    let options =
        ledger::VerifyOptions { key: Some(other.to_string()), ..ledger::VerifyOptions::default() };
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

/// As a program of a later version leaves it that nobody should have gone back from.
#[test]
fn a_part_of_another_format_is_refused_at_its_place_and_nothing_is_written() {
    let (whole, clock) = (closed(), clock());
    let bodies = "body/standard-2029-11/00000000.seg";
    let at = |name: &str, nth: usize, magic: &[u8]| {
        let bytes = whole.read(&in_folder(name)).unwrap();
        let places = (0..bytes.len()).step_by(16).filter(|at| bytes[*at..].starts_with(magic));
        places.clone().nth(nth.min(places.count() - 1)).unwrap()
    };
    let segments = whole.files().iter().filter(|path| path.starts_with(in_folder("log"))).count();
    let newest = &format!("log/{:08}.seg", segments - 1);
    let (middle, end) = (at("log/00000000.seg", 3, b"BWLOGFR1"), at(newest, 1, b"BWLOGFR1"));
    assert!(segments > 1 && end > 0);
    for (name, at, magic) in [
        ("ledger", 0, "bailiwick-ledger 1"),
        ("log/00000000.seg", middle, "BWLOGFR1"),
        (newest, 0, "BWLOGSG1"),
        (newest, end, "BWLOGFR1"),
        (bodies, at(bodies, 2, b"BWB1"), "BWB1"),
        ("journal", 0, "BWJRNFR1"),
    ] {
        for digit in *b"29B" {
            let disk = whole.copy();
            disk.edit(&in_folder(name), |bytes| bytes[at + magic.len() - 1] = digit);
            let found = verify(&disk, None).unwrap_err();
            assert_eq!((found.file.as_str(), found.offset), (name, at as u64), "{found}");
            assert!(found.what.contains("a format that this version does not know"), "{found}");
            // What lies in a segment before the last was read when it was new; opening reads the end.
            let (disk, before) = (Arc::new(disk), whole.files().len());
            if name != "log/00000000.seg" && name != bodies {
                let found = damage(open(&disk, &clock));
                assert_eq!((found.file.as_str(), found.offset), (name, at as u64), "{found}");
            }
            assert_eq!(disk.files().len(), before);
        }
    }
}

/// Whoever opened one to read it would wait until somebody wrote into it.
#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for() {
    let base = tempfile::tempdir().unwrap();
    let (folder, aside) = (base.path().join("ledger"), base.path().join("aside"));
    let open = || {
        let (clock, random) = (clock(), Arc::new(keys::SystemRandom));
        ledger::Ledger::open_or_create(settings(&folder), ledger::testing::keys(), clock, random)
    };
    let ledger = open().unwrap();
    append(&ledger, record(released(0))).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    let names = [
        "ledger",
        "journal",
        "checkpoint",
        "log/00000000.seg",
        "keys/standard-2029-11.key",
        "body/standard-2029-11/00000000.seg",
    ];
    for name in names {
        let path = folder.join(name);
        std::fs::rename(&path, &aside).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let refused = open().unwrap_err();
        assert!(refused.to_string().contains(name), "{name}: {refused}");
        let verified = ledger::verify(&folder, ledger::VerifyOptions::default());
        assert!(verified.is_err(), "{name}");
        std::fs::rename(&aside, &path).unwrap();
        drop(open().unwrap());
    }
}
