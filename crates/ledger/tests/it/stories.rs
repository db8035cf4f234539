//! The ledger from outside: what is recorded is found again, and stays.

use std::path::Path;
use std::sync::Arc;

use crate::common::{
    FOLDER, append, clock, decided, in_folder, number_in, numbered, open, open_with, record,
    released, ruiz, subject, time, verify,
};
use keys::SystemRandom;
use ledger::testing::{SimDisk, keys, settings};
use ledger::{
    AppendError, EntryNumber, Event, Ledger, OpenError, Outcome, Record, Search, Settings, Verdict,
    VerifyOptions,
};

#[test]
fn what_is_recorded_is_read_back_after_the_ledger_is_opened_again() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    let mut first = record(decided(Verdict::Permit, "vehicle-lookup"));
    first.subjects = vec![subject("vehicle", "V-000001"), subject("person", "P-000113")];
    let receipt = append(&ledger, first).unwrap();
    assert_eq!((receipt.entry, receipt.at), (EntryNumber(0), time("2026-11-22T14:03:21.417Z")));
    let before = ledger.read(receipt.entry).unwrap();
    let checkpoint = ledger.checkpoint().unwrap();
    ledger.close().unwrap();

    let ledger = open(&disk, &clock).unwrap();
    let entry = ledger.read(EntryNumber(0)).unwrap();
    assert_eq!(entry, before);
    assert_eq!(entry.leaf, receipt.leaf);
    assert_eq!(entry.record.who, Some(ruiz()));
    assert_eq!(entry.record.event, decided(Verdict::Permit, "vehicle-lookup"));
    assert_eq!(entry.record.subjects.len(), 2);
    assert_eq!((entry.position.file.as_str(), entry.position.offset), ("log/00000000.seg", 418));
    assert_eq!(ledger.checkpoint().unwrap(), checkpoint);
    assert_eq!(verify(&disk, Some(1)).unwrap().checkpoint, Some(checkpoint));
}

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
fn entries_are_found_by_everything_that_can_be_asked_for() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    let mut seen = record(decided(Verdict::Permit, "vehicle-lookup"));
    seen.subjects = vec![subject("vehicle", "V-000001")];
    append(&ledger, seen).unwrap();
    clock.advance(jiff::SignedDuration::from_secs(60));
    append(&ledger, record(released(0))).unwrap();
    let mut denied = record(decided(Verdict::Deny, "person-search"));
    denied.subjects = vec![subject("person", "P-000114")];
    denied.why.purpose = Some("J".to_owned());
    denied.who.as_mut().unwrap().actor = "riverton-idp|ofc.hale".to_owned();
    denied.why.case_number = None;
    append(&ledger, denied).unwrap();
    let sent = Event::ParcelSent {
        exchange: "x-1".to_owned(),
        number: 1,
        parcel: "p-1".to_owned(),
        partner: "NB0020000".to_owned(),
        digest: "33".repeat(32),
    };
    append(&ledger, Record::platform(sent)).unwrap();

    let check = |change: &dyn Fn(&mut Search), expected: &[u64]| {
        for ledger in [&ledger, &open(&Arc::new(disk.copy()), &clock).unwrap()] {
            let mut search = Search::newest(10);
            change(&mut search);
            let page = ledger.search(&search).unwrap();
            let found: Vec<u64> = page.entries.iter().map(|entry| entry.number.0).collect();
            assert_eq!((found.as_slice(), page.more), (expected, false), "{search:?}");
            assert_eq!(page.incomplete, [], "{search:?}");
        }
    };
    check(&|_| {}, &[3, 2, 1, 0]);
    check(&|it| it.actor = Some("riverton-idp|det.ruiz".to_owned()), &[1, 0]);
    check(&|it| it.actor = Some("nobody".to_owned()), &[]);
    check(&|it| it.kinds = vec!["decided".to_owned()], &[2, 0]);
    check(&|it| it.kinds = vec!["no-such-kind".to_owned()], &[]);
    check(&|it| it.kinds = vec!["released".to_owned(), "parcel-sent".to_owned()], &[3, 1]);
    check(&|it| it.tool = Some("vehicle-lookup".to_owned()), &[1, 0]);
    check(&|it| it.outcome = Some(Outcome::Deny), &[2]);
    check(&|it| it.purpose = Some("J".to_owned()), &[2]);
    check(&|it| it.case_number = Some("24-000113".to_owned()), &[1, 0]);
    check(&|it| it.partner = Some("NB0020000".to_owned()), &[3]);
    check(&|it| it.from = Some(time("2026-11-22T14:04:21.417Z")), &[3, 2, 1]);
    check(&|it| it.to = Some(time("2026-11-22T14:04:21.417Z")), &[0]);
    check(&|it| it.subject = Some(subject("vehicle", "V-000001")), &[0]);
    check(&|it| it.subject = Some(subject("person", "V-000001")), &[]);
    check(&|it| it.before = Some(EntryNumber(2)), &[1, 0]);

    let mut search = Search::newest(3);
    let page = ledger.search(&search).unwrap();
    assert_eq!((page.entries.len(), page.more), (3, true));
    search.before = Some(page.entries[2].number);
    assert_eq!(ledger.search(&search).unwrap().entries.len(), 1);
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
fn an_append_whose_caller_went_away_is_recorded_all_the_same() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    drop(ledger.enqueue(numbered(7)).unwrap());
    drop(ledger.append(numbered(8)));
    append(&ledger, numbered(9)).unwrap();
    assert_eq!(number_in(&ledger.read(EntryNumber(0)).unwrap().record.event), Some(7));
    assert_eq!(number_in(&ledger.read(EntryNumber(1)).unwrap().record.event), Some(9));
}

#[test]
fn a_full_queue_refuses_and_loses_nothing_that_it_took() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let mut settings = settings(Path::new(FOLDER));
    settings.queue_max = 3;
    let ledger = open_with(&disk, &clock, settings).unwrap();
    let blocked = disk.block();
    let mut taken = Vec::new();
    let refused = loop {
        match ledger.enqueue(numbered(taken.len() as u64)) {
            Ok(pending) => taken.push(pending),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AppendError::Busy { waiting: 3 }), "{refused}");
    drop(blocked);
    let count = taken.len() as u64;
    for pending in taken {
        pending.wait().unwrap();
    }
    assert_eq!(ledger.size(), count);
}

#[test]
fn a_record_over_the_limit_is_refused_and_one_at_the_limit_is_taken() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    let sized = |bytes: usize| {
        let empty = Record::platform(Event::SessionEnded { reason: String::new() });
        let stored = ledger::StoredRecord {
            who: None,
            origin: empty.origin.clone(),
            why: empty.why.clone(),
            subjects: Vec::new(),
            epoch: 1,
            event: empty.event,
        };
        let rest = bytes - serde_json::to_vec(&stored).unwrap().len();
        Record::platform(Event::SessionEnded { reason: "x".repeat(rest) })
    };
    let max = ledger.record_bytes_max();
    append(&ledger, sized(max)).unwrap();
    let refused = append(&ledger, sized(max + 1)).unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { .. }), "{refused}");
    assert_eq!(ledger.size(), 1);
}

#[test]
fn a_clock_that_goes_back_is_flagged_and_then_refused() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    append(&ledger, numbered(0)).unwrap();
    clock.advance(jiff::SignedDuration::from_secs(-1));
    let receipt = append(&ledger, numbered(1)).unwrap();
    assert!(ledger.read(receipt.entry).unwrap().clock_stepped_back);
    clock.advance(jiff::SignedDuration::from_secs(-3600));
    let refused = append(&ledger, numbered(2)).unwrap_err();
    assert!(matches!(refused, AppendError::ClockBehind { milliseconds: 3_601_000 }), "{refused}");
    clock.advance(jiff::SignedDuration::from_secs(7200));
    let receipt = append(&ledger, numbered(3)).unwrap();
    assert_eq!(receipt.entry, EntryNumber(2));
    assert!(!ledger.read(receipt.entry).unwrap().clock_stepped_back);
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

#[test]
fn every_proof_of_a_ledger_verifies() {
    use ledger::merkle::{verify_consistency, verify_inclusion};
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    let (mut leaves, mut roots) = (Vec::new(), vec![ledger::merkle::empty_root()]);
    for number in 0..530 {
        leaves.push(append(&ledger, numbered(number)).unwrap().leaf);
        let note = ledger.checkpoint().unwrap();
        roots.push(ledger::note::Checkpoint::parse(&note).unwrap().root);
    }
    for size in [1_u64, 2, 3, 7, 255, 256, 257, 511, 512, 513, 530] {
        let root = roots[usize::try_from(size).unwrap()];
        for entry in [0, 1, size / 2, size - 1].into_iter().filter(|entry| *entry < size) {
            let proof = ledger.prove(EntryNumber(entry), size).unwrap();
            let leaf = leaves[usize::try_from(entry).unwrap()];
            verify_inclusion(entry, size, &leaf, &proof, &root).unwrap();
        }
        for old in [1, size / 2, size].into_iter().filter(|old| *old > 0) {
            let proof = ledger.prove_consistency(old, size).unwrap();
            let before = roots[usize::try_from(old).unwrap()];
            verify_consistency(old, size, &before, &root, &proof).unwrap();
        }
    }
    assert!(ledger.prove(EntryNumber(530), 530).is_err());
    assert!(ledger.prove(EntryNumber(0), 531).is_err());
    assert!(ledger.prove_consistency(0, 5).is_err());
}

#[test]
fn another_agencys_keys_do_not_open_the_ledger() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    append(&ledger, numbered(0)).unwrap();
    drop(ledger);
    let try_with = |keys| {
        let (disk, clock) = (Arc::new(disk.copy()), Arc::clone(&clock));
        let settings = settings(Path::new(FOLDER));
        Ledger::open_on(disk, settings, keys, clock, Arc::new(SystemRandom)).unwrap_err()
    };
    let mut wrong = keys();
    wrong.body = keys::seal::SealingKey::from_bytes([9; 32]);
    assert!(matches!(try_with(wrong), OpenError::WrongKey { .. }));
    let mut wrong = keys();
    wrong.signer = keys::sign::Ed25519Key::from_seed([9; 32]).unwrap();
    assert!(matches!(try_with(wrong), OpenError::Foreign { .. }));
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
