//! Verifying a ledger of many segments: on all cores, against what is known outside, and in several sittings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::testing::{Disk as _, Mode, SimDisk, settings, verify_on};
use ledger::{Damage, Event, Record, Settings, Verified, VerifyOptions};

use crate::common::{FOLDER, append, clock, in_folder, numbered, open_with, record, released};

const RESUME: &str = "/resume";

fn small() -> Settings {
    let settings = settings(Path::new(FOLDER));
    Settings { segment_bytes: 64 << 10, journal_bytes: 64 << 10, ..settings }
}

/// A ledger of so many entries in two buckets, and its checkpoint of 100.
fn disk_with(entries: u64) -> (Arc<SimDisk>, String) {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open_with(&disk, &clock, small()).unwrap();
    let mut checkpoint = String::new();
    for number in 0..entries {
        let issued = Event::ReceiptIssued { exchange: "x".to_owned(), digest: "d".to_owned() };
        let record = match number % 3 {
            0 => Record::platform(issued),
            1 => record(released(number)),
            _ => numbered(number),
        };
        append(&ledger, record).unwrap();
        if number == 99 {
            checkpoint = ledger.checkpoint().unwrap();
        }
    }
    ledger.close().unwrap();
    (disk, checkpoint)
}

fn verify(disk: &SimDisk, options: VerifyOptions<'_>) -> Result<Verified, Damage> {
    verify_on(disk, Path::new(FOLDER), options)
}

fn segments(disk: &SimDisk, folder: &str) -> Vec<PathBuf> {
    let files = disk.files().into_iter();
    files.filter(|path| path.starts_with(in_folder(folder))).collect()
}

fn put(disk: &SimDisk, text: &[u8]) {
    drop(disk.open(Path::new(RESUME), Mode::Create).unwrap());
    disk.edit(Path::new(RESUME), |bytes| *bytes = text.to_vec());
}

fn spoil(disk: &SimDisk, file: &Path, at: usize) {
    disk.edit(file, |bytes| bytes[at] ^= 1);
}

#[test]
fn of_several_damaged_places_the_first_is_named() {
    let (disk, _) = disk_with(1200);
    let (log, bodies) = (segments(&disk, "log"), segments(&disk, "body/standard-2029-11"));
    assert!(log.len() > 4 && bodies.len() > 4, "{} and {}", log.len(), bodies.len());
    let whole = verify(&disk, VerifyOptions::default()).unwrap();
    assert_eq!(whole.size, 1200);
    let place = |disk: &SimDisk| verify(disk, VerifyOptions::default()).unwrap_err();
    // The last first, so that each answer has to change.
    for (at, file) in bodies.iter().enumerate().rev() {
        spoil(&disk, file, 60);
        let damage = place(&disk);
        assert_eq!(in_folder(&damage.file), *file, "{at}: {damage}");
        assert_eq!(damage.offset, 0, "{damage}");
    }
    for file in log.iter().rev() {
        spoil(&disk, file, 600);
        let damage = place(&disk);
        assert_eq!(in_folder(&damage.file), *file, "{damage}");
    }
    // A header that is sound in itself, and of another place.
    let third = disk.read(&log[3]).unwrap();
    disk.edit(&log[2], |bytes| *bytes = third);
    spoil(&disk, &log[0], 600);
    spoil(&disk, &log[1], 600);
    let damage = place(&disk);
    assert_eq!(
        (damage.file.as_str(), damage.what.as_str()),
        ("log/00000002.seg", "this is segment 3, not 2")
    );
}

#[test]
fn bodies_that_are_missing_repeated_or_swapped_are_told_from_whole_ones() {
    let (disk, _) = disk_with(600);
    let bodies = segments(&disk, "body/standard-2029-11");
    let [first, second] = [disk.read(&bodies[0]).unwrap(), disk.read(&bodies[1]).unwrap()];
    for (a, b) in [(&first, &first), (&second, &second), (&second, &first)] {
        disk.edit(&bodies[0], |bytes| bytes.clone_from(a));
        disk.edit(&bodies[1], |bytes| bytes.clone_from(b));
        let damage = verify(&disk, VerifyOptions::default()).unwrap_err();
        assert!(damage.file.starts_with("body/standard-2029-11/"), "{damage}");
    }
    disk.edit(&bodies[0], |bytes| bytes.clone_from(&first));
    disk.edit(&bodies[1], |bytes| bytes.fill(0));
    let damage = verify(&disk, VerifyOptions::default()).unwrap_err();
    assert!(damage.to_string().contains("is missing"), "{damage}");
    disk.edit(&bodies[1], |bytes| bytes.clone_from(&second));
    verify(&disk, VerifyOptions::default()).unwrap();
}

#[test]
fn a_checkpoint_from_outside_shows_another_history_and_a_shorter_one() {
    let (disk, checkpoint) = disk_with(130);
    let against = |disk: &SimDisk, note: &str| {
        let expect_checkpoint = Some(note.to_owned());
        verify(disk, VerifyOptions { expect_checkpoint, ..VerifyOptions::default() })
    };
    assert_eq!(
        against(&disk, &checkpoint).unwrap().published,
        verify(&disk, VerifyOptions::default()).unwrap().published
    );
    // Another history under the same key: its salts are others.
    let (other, _) = disk_with(130);
    let damage = against(&other, &checkpoint).unwrap_err();
    assert_eq!(damage.file, "the expected checkpoint");
    assert!(damage.what.contains("not that of the log's entries"), "{damage}");
    let (shorter, _) = disk_with(60);
    let damage = against(&shorter, &checkpoint).unwrap_err();
    assert!(damage.what.contains("60 entries; 100 are expected"), "{damage}");
    let damage = against(&disk, &checkpoint.replace("\n100\n", "\n101\n")).unwrap_err();
    assert!(damage.what.contains("signature"), "{damage}");
    assert_eq!(against(&disk, "nothing").unwrap_err().what, "not a signed note");
}

#[test]
fn an_interrupted_verification_goes_on_where_it_stopped() {
    let (disk, _) = disk_with(900);
    let resuming = || VerifyOptions { resume: Some(RESUME.into()), ..VerifyOptions::default() };
    let bodies = segments(&disk, "body/standard-2029-11");
    let last = bodies.last().unwrap();
    spoil(&disk, last, 60);
    verify(&disk, resuming()).unwrap_err();
    let kept = String::from_utf8(disk.read(Path::new(RESUME)).unwrap()).unwrap();
    assert!(kept.starts_with("bailiwick-ledger-resume 1 "), "{kept}");
    assert!(kept.lines().count() >= bodies.len(), "{kept}");
    assert!(!kept.contains(&format!("standard-2029-11 {} ", bodies.len() - 1)), "{kept}");
    spoil(&disk, last, 60);
    // What was read before is not read again: this is how it shows.
    spoil(&disk, &bodies[0], 60);
    assert_eq!(verify(&disk, resuming()).unwrap().size, 900);
    assert!(verify(&disk, VerifyOptions::default()).is_err());
    // A line that is not whole is nothing, and what is claimed is held against the log.
    let cut = kept.lines().find(|line| line.contains("standard-2029-11 0 ")).unwrap();
    let without: String =
        kept.lines().filter(|line| *line != cut).map(|line| format!("{line}\n")).collect();
    disk.edit(Path::new(RESUME), |bytes| *bytes = format!("{without}{cut}").into_bytes());
    assert_eq!(in_folder(&verify(&disk, resuming()).unwrap_err().file), bodies[0]);
    let words: Vec<&str> = cut.split(' ').collect();
    let fewer = format!("{} {} {} 1 {} {}", words[0], words[1], words[2], words[4], words[5]);
    disk.edit(Path::new(RESUME), |bytes| *bytes = kept.replace(cut, &fewer).into_bytes());
    assert_eq!(in_folder(&verify(&disk, resuming()).unwrap_err().file), bodies[0]);
}

#[test]
fn how_far_another_verification_came_is_refused_and_so_is_a_disk_that_keeps_nothing() {
    let (disk, _) = disk_with(300);
    let resuming = || VerifyOptions { resume: Some(RESUME.into()), ..VerifyOptions::default() };
    for (text, what) in [
        ("bailiwick-ledger-resume 1 00000000000000000000000000000000\n", "of this ledger came"),
        ("anything", "of this ledger came"),
    ] {
        put(&disk, text.as_bytes());
        let damage = verify(&disk, resuming()).unwrap_err();
        assert!(damage.what.contains(what) && damage.file == RESUME, "{damage}");
    }
    put(&disk, b"");
    verify(&disk, resuming()).unwrap();
    let mut bytes = disk.read(Path::new(RESUME)).unwrap();
    bytes.extend_from_slice(b"body standard-2029-11 x 1 2 3\n");
    put(&disk, &bytes);
    assert!(verify(&disk, resuming()).unwrap_err().what.contains("not as written"));
    put(&disk, b"");
    disk.fail_writes_after("resume", 1);
    let damage = verify(&disk, resuming()).unwrap_err();
    assert!(
        damage.to_string().contains("could not be read or written")
            || damage.to_string().contains("resume"),
        "{damage}"
    );
}
