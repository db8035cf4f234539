//! Evidence: what leaves the house is proved without it, and nothing else passes for it.

use std::path::Path;
use std::sync::Arc;

use keys::seal::SealingKey;
use ledger::evidence::{
    Content, Disclose, EntryProof, Evidence, EvidenceError, LogCopy, RangeProof,
};
use ledger::format::Half;
use ledger::note::{NoteError, VerifierKey};
use ledger::testing::SimDisk;
use ledger::{EntryNumber, Event, ReadError, Record};
use proptest::proptest;

use crate::common::{FOLDER, append, clock, in_folder, numbered, open, record, released};

/// A ledger of so many entries: every third is about an exchange and has a shared half.
fn disk_with(entries: u64) -> Arc<SimDisk> {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    for number in 0..entries.saturating_sub(1) {
        let issued =
            Event::ReceiptIssued { exchange: format!("x{number}"), digest: "d".to_owned() };
        let record = match number % 3 {
            0 => Record::platform(issued),
            1 => record(released(number)),
            _ => numbered(number),
        };
        append(&ledger, record).unwrap();
    }
    // Closing records nothing; opening does not either.
    ledger.close().unwrap();
    disk
}

fn copy(disk: &SimDisk) -> LogCopy<'_> {
    LogCopy::read_on(disk, Path::new(FOLDER)).unwrap()
}

fn key(copy: &LogCopy<'_>) -> VerifierKey {
    VerifierKey::parse(&copy.verifier_key()).unwrap()
}

fn body_key() -> SealingKey {
    SealingKey::from_bytes([2; 32])
}

#[test]
fn every_entry_is_proved_without_the_ledger() {
    let disk = disk_with(24);
    let copy = copy(&disk);
    for entry in 0..copy.size() {
        let text = copy.prove(entry, None).unwrap().text();
        let Evidence::Entry(proof) = Evidence::parse(&text).unwrap() else { panic!("{text}") };
        assert_eq!(proof.text(), text);
        assert_eq!(proof.check(&key(&copy)).unwrap().size, copy.size());
        assert_eq!((proof.entry.envelope.entry, &proof.entry.content), (entry, &Content::Sealed));
    }
    let error = copy.prove(copy.size(), None).unwrap_err();
    assert!(matches!(error, EvidenceError::NoEntry { .. }), "{error}");
}

#[test]
fn a_body_that_is_gone_is_damage_and_never_told_as_disposed_of() {
    let disk = disk_with(9);
    let body = in_folder("body/standard-2029-11/00000000.seg");
    assert!(disk.read(&body).is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0)));
    disk.edit(&body, |bytes| bytes.fill(0));
    let copy = copy(&disk);
    copy.prove(1, None).unwrap();
    match copy.prove(1, Some((Disclose::All, &body_key()))).unwrap_err() {
        EvidenceError::Damaged(damage) => {
            assert_eq!(
                damage.to_string(),
                "`body` at byte 0, entry 1: the body of an entry is missing"
            );
        }
        other => panic!("{other}"),
    }
}

#[test]
fn an_open_ledger_gives_the_same_evidence_as_its_folder() {
    let (disk, clock) = (disk_with(9), clock());
    let copy = copy(&disk);
    let ledger = open(&disk, &clock).unwrap();
    for entry in 0..copy.size() {
        for what in [None, Some(Disclose::Shared), Some(Disclose::All)] {
            let key = body_key();
            let expected = copy.prove(entry, what.map(|what| (what, &key))).unwrap();
            assert_eq!(ledger.evidence(EntryNumber(entry), what).unwrap(), expected);
        }
    }
    let none = ledger.evidence(EntryNumber(copy.size()), None);
    assert!(matches!(none, Err(ReadError::NoEntry { .. })));
}

#[test]
fn what_an_entry_says_is_disclosed_in_halves() {
    let disk = disk_with(9);
    let copy = copy(&disk);
    let shared = copy.prove(3, Some((Disclose::Shared, &body_key()))).unwrap();
    shared.check(&key(&copy)).unwrap();
    let text = String::from_utf8(shared.entry.said(Half::Shared).unwrap().to_vec()).unwrap();
    assert!(text.contains("\"exchange\":\"x3\""), "{text}");
    assert_eq!(shared.entry.said(Half::Private), None);
    let all = copy.prove(4, Some((Disclose::All, &body_key()))).unwrap();
    let all = EntryProof::parse(&all.text()).unwrap();
    all.check(&key(&copy)).unwrap();
    let text = String::from_utf8(all.entry.said(Half::Private).unwrap().to_vec()).unwrap();
    assert!(text.contains("Elena Ruiz"), "{text}");
    let wrong = copy.prove(4, Some((Disclose::All, &SealingKey::from_bytes([9; 32]))));
    assert!(matches!(wrong, Err(EvidenceError::WrongKey { .. })));
}

#[test]
fn a_half_that_was_changed_swapped_or_taken_from_another_entry_is_named() {
    let disk = disk_with(9);
    let copy = copy(&disk);
    let disclose = Some((Disclose::All, &body_key()));
    let halves = |proof: &EntryProof| match &proof.entry.content {
        Content::Disclosed(halves) => halves.clone(),
        other => panic!("{other:?}"),
    };
    let (proof, other) = (copy.prove(4, disclose).unwrap(), copy.prove(7, disclose).unwrap());
    let mut changed = halves(&proof);
    changed[1].content[5] ^= 1;
    let mut swapped = halves(&proof);
    (swapped[0].half, swapped[1].half) = (Half::Private, Half::Shared);
    let mut salted = halves(&proof);
    salted[1].salt[0] ^= 1;
    for forged in [changed, swapped, salted, halves(&other)] {
        let mut forgery = proof.clone();
        forgery.entry.content = Content::Disclosed(forged);
        let error = forgery.check(&key(&copy)).unwrap_err();
        assert!(matches!(error, EvidenceError::Disclosure { entry: 4 }), "{error}");
    }
}

#[test]
fn a_range_is_whole_or_it_is_nothing() {
    let disk = disk_with(24);
    let copy = copy(&disk);
    let (size, key) = (copy.size(), key(&copy));
    for from in 0..size {
        for to in from + 1..=size {
            let text = copy.range(from..to, None).unwrap().text();
            let range = RangeProof::parse(&text).unwrap();
            assert_eq!(range.text(), text);
            assert_eq!((range.check(&key).unwrap().size, range.bounds()), (size, (from, to)));
        }
    }
    for wrong in [3..3, 0..size + 1, u64::MAX - 1..u64::MAX] {
        assert!(matches!(copy.range(wrong, None), Err(EvidenceError::NoEntry { .. })));
    }
    let range = copy.range(5..13, Some((Disclose::All, &body_key()))).unwrap();
    range.check(&key).unwrap();
    let refused = |change: &dyn Fn(&mut RangeProof), expected: &str| {
        let mut forged = range.clone();
        change(&mut forged);
        let read = RangeProof::parse(&forged.text());
        let error = read.and_then(|read| read.check(&key)).unwrap_err();
        let error = format!("{error:?}");
        assert!(error.contains(expected), "{error}, not {expected}");
    };
    refused(&|it| drop(it.entries.remove(3)), "Envelope { entry: 8 }");
    refused(&|it| it.entries.swap(2, 3), "Envelope { entry: 7 }");
    refused(&|it| drop(it.entries.pop()), "Length");
    refused(&|it| it.entries[3].envelope.at_ms += 1, "Root");
    refused(&|it| it.entries[3].envelope.ledger[0] ^= 1, "Envelope { entry: 8 }");
    refused(&|it| it.before[0][0] ^= 1, "Root");
    refused(&|it| it.after[0][0] ^= 1, "Root");
    refused(&|it| it.after.reverse(), "Root");
    refused(&|it| it.after.push([0; 32]), "Length");
    refused(&|it| it.after.truncate(it.after.len() - 1), "Length");
    refused(&|it| it.before.truncate(it.before.len() - 1), "Line { line: 4");
    let foreign = "lakeside.example/ledger";
    refused(
        &|it| it.checkpoint = it.checkpoint.replace("riverton.example/ledger", foreign),
        "Origin",
    );
    refused(
        &|it| it.checkpoint = it.checkpoint.replace(&format!("\n{size}\n"), "\n99\n"),
        "Signature",
    );
}

#[test]
fn the_first_line_that_is_wrong_is_named() {
    let disk = disk_with(12);
    let copy = copy(&disk);
    let proof = copy.prove(3, None).unwrap().text();
    let lines: Vec<&str> = proof.split('\n').collect();
    for (at, put) in [
        (1, "c2sp.org/tlog-proof@v2"),
        (2, "extra AAAA"),
        (2, "index 3"),
        (3, "index 03"),
        (3, "index -3"),
        (4, "AAAA"),
        (5, " "),
    ] {
        let mut forged = lines.clone();
        forged[at - 1] = put;
        let error = Evidence::parse(&forged.join("\n")).unwrap_err();
        let named = matches!(&error, EvidenceError::Line { line, .. } if *line == at);
        assert!(named, "line {at}, `{put}`: {error}");
    }
    let long = vec![lines[3]; 64].join("\n");
    let error = EntryProof::parse(&proof.replace(lines[3], &long)).unwrap_err();
    assert!(error.to_string().contains("63 hashes"), "{error}");
    let index = EntryProof::parse(&proof.replace("index 3", "index 4")).unwrap_err();
    assert!(matches!(index, EvidenceError::Envelope { entry: 4 }), "{index}");
}

#[test]
fn evidence_of_another_key_proves_nothing() {
    let disk = disk_with(5);
    let copy = copy(&disk);
    let other = VerifierKey { public: [1; 32], ..key(&copy) };
    let error = copy.prove(2, None).unwrap().check(&other).unwrap_err();
    assert!(matches!(error, EvidenceError::Checkpoint(NoteError::UnknownSigner)), "{error}");
}

#[test]
fn no_evidence_is_taken_from_a_damaged_or_an_empty_ledger() {
    let disk = disk_with(1);
    assert!(matches!(copy(&disk).prove(0, None), Err(EvidenceError::NoEntry { have: 0, .. })));
    assert!(matches!(copy(&disk).checkpoint(), Err(EvidenceError::NoEntry { have: 0, .. })));
    let disk = disk_with(9);
    disk.edit(&in_folder("log/00000000.seg"), |bytes| bytes[300] ^= 1);
    let error = LogCopy::read_on(disk.as_ref(), Path::new(FOLDER)).map(|_| ()).unwrap_err();
    assert!(matches!(error, EvidenceError::Damaged(_)), "{error}");
}

proptest! {
    #[test]
    fn evidence_with_any_character_changed_is_refused_or_says_the_same(at in 0_usize..2000, to in 32_u8..127) {
        let disk = disk_with(9);
        let copy = copy(&disk);
        let range = copy.range(2..5, Some((Disclose::All, &body_key()))).unwrap();
        let proof = copy.prove(4, Some((Disclose::All, &body_key()))).unwrap();
        for evidence in [Evidence::from(range), Evidence::from(proof)] {
            let mut bytes = evidence.text().into_bytes();
            let at = at % bytes.len();
            bytes[at] = to;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let read = Evidence::parse(&text);
            let Ok(read) = read.and_then(|read| read.check(&key(&copy)).map(|_| read)) else { continue };
            // Only what no key of ours signed can have been changed: nothing, in a note with one signature.
            assert_eq!(read, evidence);
        }
    }
}
