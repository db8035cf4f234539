//! The ledger from outside: what is recorded is found again, and stays.

use std::path::Path;
use std::sync::Arc;

use crate::common::{
    FOLDER, append, clock, decided, in_folder, number_in, numbered, open, open_with, record,
    subject, time, verify,
};
use keys::SystemRandom;
use ledger::testing::{SimDisk, keys, settings};
use ledger::{EntryNumber, Ledger, OpenError, Record, Settings, Verdict, VerifyOptions};

#[test]
fn a_real_folder_works_is_locked_and_can_be_verified_while_it_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    // The machine may be full to any percentage.
    let settings = Settings {
        capacity_warn_percent: 100,
        ..Settings::new(&path, "riverton.example/ledger", "NB0010100")
    };
    let create = || {
        let (clock, random) = (clock(), Arc::new(SystemRandom));
        Ledger::open_or_create(settings.clone(), keys(), clock, random)
    };
    let ledger = create().unwrap();
    for number in 0..300 {
        append(&ledger, numbered(number)).unwrap();
    }
    assert!(matches!(create(), Err(OpenError::InUse { .. })));
    let mut told = 0;
    let mut progress = |done, _| told = done;
    let options = VerifyOptions {
        expect_size: Some(300),
        key: Some(ledger.verifier_key()),
        progress: Some(&mut progress),
        ..VerifyOptions::default()
    };
    let verified = ledger::verify(&path, options).unwrap();
    assert_eq!((verified.size, told), (300, 600), "entries, and their bodies");
    drop(ledger);
    let ledger = create().unwrap();
    assert_eq!(ledger.size(), 300);
    let refused =
        ledger::verify(&path, VerifyOptions { expect_size: Some(301), ..VerifyOptions::default() });
    assert_eq!(refused.unwrap_err().what, "the log ends here with 300 entries; 301 are expected");
}

#[test]
fn neither_cji_nor_persons_nor_subjects_are_on_disk_in_the_clear() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    let mut secret = record(decided(Verdict::Permit, "vehicle-lookup"));
    secret.subjects = vec![subject("person", "P-000113")];
    append(&ledger, secret).unwrap();
    ledger.close().unwrap();
    for path in disk.files() {
        let bytes = disk.read(&path).unwrap();
        for word in ["ruiz", "Ruiz", "7KDR419", "P-000113", "24-000113", "vehicle", "10.4.1.20"] {
            let found = bytes.windows(word.len()).any(|it| it == word.as_bytes());
            assert!(!found, "`{word}` is in {}", path.display());
        }
    }
}

#[test]
fn a_thousand_at_once_share_few_syncs_and_each_has_its_own_entry() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let before = disk.all_syncs();
    let mut entries: Vec<u64> = runtime.block_on(async {
        let appends = (0..1000).map(|number| {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.append(numbered(number)).await.unwrap().entry.0 })
        });
        let mut entries = Vec::new();
        for append in appends.collect::<Vec<_>>() {
            entries.push(append.await.unwrap());
        }
        entries
    });
    entries.sort_unstable();
    assert_eq!(entries, (0..1000).collect::<Vec<u64>>());
    let batches = disk.syncs("journal") - 1;
    assert!(batches < 1000, "{batches} batches");
    // A batch costs one sync; beside those there are new room, checkpoints and full journals.
    let others = disk.all_syncs() - before - batches;
    assert!(others <= batches / 4 + 24, "{others} other syncs for {batches} batches");
}

#[test]
fn queued_records_share_one_sync() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    append(&ledger, numbered(0)).unwrap();
    let before = disk.syncs("journal");
    let blocked = disk.block();
    let all: Vec<_> = (1..102).map(|number| ledger.enqueue(numbered(number)).unwrap()).collect();
    drop(blocked);
    for pending in all {
        pending.wait().unwrap();
    }
    // The writer may have taken the first few before the rest came.
    let syncs = disk.syncs("journal") - before;
    assert!((1..=2).contains(&syncs), "{syncs} syncs");
}

#[test]
fn a_clock_that_steps_between_records_of_one_batch_is_flagged_and_refused_alike() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    append(&ledger, numbered(0)).unwrap();
    let blocked = disk.block();
    let first = ledger.enqueue(numbered(1)).unwrap();
    // The writer hangs here or in the first at the latest; what follows it is one batch.
    let mut pending = Vec::new();
    for seconds in [10, -1, -3600, 3595] {
        clock.advance(jiff::SignedDuration::from_secs(seconds));
        pending.push(ledger.enqueue(numbered(2)).unwrap());
    }
    drop(blocked);
    first.wait().unwrap();
    let answers: Vec<_> = pending.into_iter().map(ledger::Pending::wait).collect();
    let flags: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().ok().map(|it| ledger.read(it.entry).unwrap()))
        .map(|entry| entry.map(|entry| (entry.number.0, entry.clock_stepped_back)))
        .collect();
    assert_eq!(flags, [Some((2, false)), Some((3, true)), None, Some((4, true))]);
    let refused = answers[2].as_ref().unwrap_err();
    assert!(
        matches!(refused, ledger::AppendError::ClockBehind { milliseconds: 3_601_000 }),
        "{refused}"
    );
}

#[test]
fn records_fall_into_the_bucket_of_the_month_they_expire_in() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    append(&ledger, numbered(0)).unwrap();
    clock.set(time("2026-12-31T23:59:59.999Z"));
    append(&ledger, numbered(1)).unwrap();
    clock.set(time("2027-01-01T00:00:00Z"));
    let receipt = ledger::Event::ReceiptIssued { exchange: "x".to_owned(), digest: "d".to_owned() };
    append(&ledger, Record::platform(receipt)).unwrap();
    ledger.close().unwrap();
    let keys: Vec<String> = disk.files().iter().map(|path| path.display().to_string()).collect();
    let keys: Vec<&String> = keys.iter().filter(|path| path.contains("/keys/")).collect();
    let expected = [
        "/ledger/keys/dissemination-2037-01.key",
        "/ledger/keys/standard-2029-11.key",
        "/ledger/keys/standard-2029-12.key",
    ];
    assert_eq!(keys, expected.iter().collect::<Vec<_>>());
    assert_eq!(open(&disk, &clock).unwrap().size(), 3);
}

#[test]
fn many_small_segments_read_back_like_one() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let mut settings = settings(Path::new(FOLDER));
    (settings.segment_bytes, settings.reserve_bytes) = (16 << 10, 2 << 10);
    let ledger = open_with(&disk, &clock, settings).unwrap();
    for number in 0..200 {
        append(&ledger, numbered(number)).unwrap();
    }
    let root = ledger.checkpoint().unwrap();
    let tree = ledger.prove(EntryNumber(3), 200).unwrap();
    ledger.close().unwrap();
    assert!(disk.read(&in_folder("log/00000004.seg")).is_some());
    let verified = verify(&disk, Some(200)).unwrap();
    assert_eq!(verified.checkpoint, Some(root.clone()));
    let ledger = open(&disk, &clock).unwrap();
    assert_eq!(
        (ledger.checkpoint().unwrap(), ledger.prove(EntryNumber(3), 200).unwrap()),
        (root, tree)
    );
    for number in 0..200 {
        let entry = ledger.read(EntryNumber(number)).unwrap();
        assert_eq!(number_in(&entry.record.event), Some(number));
    }
}

/// Something that happens to a file.
type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

#[test]
fn what_is_derived_is_never_believed_and_made_again() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let small = || Settings { segment_bytes: 64 << 10, ..settings(Path::new(FOLDER)) };
    let ledger = open_with(&disk, &clock, small()).unwrap();
    for number in 0..600 {
        append(&ledger, numbered(number)).unwrap();
    }
    let asked = |ledger: &ledger::Ledger| {
        let entries: Vec<_> =
            [0, 255, 256, 300, 599].map(|at| ledger.read(EntryNumber(at)).unwrap()).into();
        let paths = [(0, 600), (300, 512), (599, 600)];
        let paths: Vec<_> =
            paths.map(|(at, size)| ledger.prove(EntryNumber(at), size).unwrap()).into();
        let more: Vec<_> = [(1, 600), (256, 512), (511, 599)]
            .map(|(old, new)| ledger.prove_consistency(old, new).unwrap())
            .into();
        (entries, paths, more)
    };
    let expected = asked(&ledger);
    ledger.close().unwrap();
    let derived: Vec<_> = disk
        .files()
        .into_iter()
        .filter(|path| {
            ["positions", "tile"].iter().any(|folder| path.starts_with(in_folder(folder)))
        })
        .collect();
    assert_eq!(derived.len(), 4, "two files of positions and two full tiles: {derived:?}");

    let whole = disk.copy();
    let changes: [Change; 4] = [
        &Vec::clear,
        &|bytes| bytes.truncate(bytes.len() / 2),
        &|bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0x55),
        &|bytes| bytes.rotate_left(8),
    ];
    for change in changes {
        for path in &derived {
            let disk = Arc::new(disk.copy());
            disk.edit(path, |bytes| change(bytes));
            for _ in 0..2 {
                let ledger = open_with(&disk, &clock, small()).unwrap();
                assert!(asked(&ledger) == expected, "{}", path.display());
                append(&ledger, numbered(600)).unwrap();
                ledger.close().unwrap();
            }
            if path.starts_with(in_folder("tile")) {
                assert_eq!(disk.read(path), whole.read(path), "made again as it was");
            }
        }
    }
}

#[test]
fn a_disk_that_keeps_nothing_derived_slows_reading_and_stops_nothing() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    disk.fail_writes_after("envelopes", 0);
    for number in 0..40 {
        append(&ledger, numbered(number)).unwrap();
    }
    for number in 0..40 {
        let entry = ledger.read(EntryNumber(number)).unwrap();
        assert_eq!(number_in(&entry.record.event), Some(number));
    }
    assert_eq!(disk.read(&in_folder("positions/envelopes")), Some(Vec::new()));
}
