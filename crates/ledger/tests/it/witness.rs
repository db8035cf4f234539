//! A witness's stories: what it cosigns, what it refuses, and what a crash leaves of that.

use std::path::Path;
use std::sync::Arc;

use keys::sign::Ed25519Key;
use ledger::merkle::{CompactRange, Hash, consistency_proof, leaf_hash};
use ledger::note::{Checkpoint, VerifierKey};
use ledger::testing::{Disk, Fault, SimDisk};
use ledger::witness::{
    AddCheckpoint, Answer, Cosignature, CosignatureError, EVIDENCE_MAX, Noted, Witness, WitnessKey,
    Wrong, cosigned,
};
use proptest::prelude::*;

use crate::common::{clock, time};

pub(crate) const ORIGIN: &str = "riverton.example/ledger";
pub(crate) const NAME: &str = "lakeside.example/witness";

pub(crate) fn seed(byte: u8) -> Ed25519Key {
    Ed25519Key::from_seed([byte; 32]).unwrap()
}

pub(crate) fn log_key() -> VerifierKey {
    VerifierKey { name: ORIGIN.to_owned(), public: seed(1).public() }
}

pub(crate) fn witness_key() -> WitnessKey {
    WitnessKey { name: NAME.to_owned(), public: seed(9).public() }
}

/// A log of made-up leaves; `fork` gives each its own history from there on.
fn leaf(number: u64, fork: Option<u64>) -> Hash {
    let other = fork.is_some_and(|from| number >= from);
    leaf_hash(format!("{number} {other}").as_bytes())
}

fn root(size: u64, fork: Option<u64>) -> Hash {
    let mut tree = CompactRange::new();
    (0..size).for_each(|number| tree.push(leaf(number, fork), &mut |_, _, _| {}));
    tree.root()
}

fn note_of(size: u64, fork: Option<u64>) -> String {
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: root(size, fork) };
    checkpoint.note(&log_key(), &seed(1).sign(checkpoint.text().as_bytes()))
}

fn proof(old: u64, new: u64, fork: Option<u64>) -> Vec<Hash> {
    let mut read = |level: u32, index: u64| -> Result<Hash, ()> {
        let (start, count) = (index << level, 1_u64 << level);
        let mut tree = CompactRange::new();
        (start..start + count).for_each(|at| tree.push(leaf(at, fork), &mut |_, _, _| {}));
        Ok(tree.root())
    };
    consistency_proof(old, new, &mut read).unwrap().unwrap_or_default()
}

pub(crate) fn request(old: u64, new: u64, fork: Option<u64>) -> AddCheckpoint {
    AddCheckpoint { old, proof: proof(old, new, fork), note: note_of(new, fork) }
}

fn open(disk: &Arc<SimDisk>) -> Witness {
    let disk: Arc<dyn Disk> = Arc::clone(disk) as _;
    let logs = vec![log_key()];
    Witness::open(&disk, Path::new("/witness"), NAME, seed(9), logs, clock()).unwrap()
}

pub(crate) fn new() -> (Arc<SimDisk>, Witness) {
    let disk = Arc::new(SimDisk::new());
    let witness = open(&disk);
    (disk, witness)
}

/// The disk after a power cut that keeps some of what was not synced, chosen by `seed`.
pub(crate) fn cut(disk: &SimDisk, seed: u64) -> Arc<SimDisk> {
    let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Arc::new(disk.after_power_cut(&mut || {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        bits & 1 == 1
    }))
}

pub(crate) fn add(witness: &Witness, request: &AddCheckpoint) -> Answer {
    witness.add(request.encode().as_bytes()).answer
}

#[track_caller]
fn is_cosigned(answer: &Answer, note: &str) {
    let Answer::Cosigned(lines) = answer else { panic!("{answer:?}") };
    let (text, _) = note.split_once("\n\n").unwrap();
    let found = Cosignature::find(&format!("{text}\n"), lines, &witness_key()).unwrap();
    assert_eq!(found.at, time("2026-11-22T14:03:21Z"));
}

#[test]
fn a_log_that_grows_is_cosigned_step_by_step() {
    let (disk, witness) = new();
    for (old, new) in [(0, 3), (3, 3), (3, 8), (8, 9)] {
        let request = request(old, new, None);
        is_cosigned(&add(&witness, &request), &request.note);
    }
    drop(witness);
    let witness = open(&cut(&disk, 1));
    assert_eq!(witness.sizes(), [(ORIGIN.to_owned(), Some(9))]);
    assert_eq!(add(&witness, &request(8, 12, None)), Answer::Conflict(9));
    let request = request(9, 12, None);
    is_cosigned(&add(&witness, &request), &request.note);
    let newest = witness.newest(&ledger::witness::origin_id(ORIGIN)).unwrap();
    assert_eq!(Checkpoint::open(&newest, &log_key()).unwrap().size, 12);
    Cosignature::on(&newest, &witness_key()).unwrap();
}

#[test]
fn the_first_checkpoint_needs_no_proof_and_may_be_empty() {
    let (_, witness) = new();
    is_cosigned(&add(&witness, &request(0, 0, None)), &note_of(0, None));
    let with_proof = AddCheckpoint { proof: vec![[7; 32]], ..request(0, 4, None) };
    assert_eq!(add(&witness, &with_proof), Answer::BadProof);
    is_cosigned(&add(&witness, &request(0, 4, None)), &note_of(4, None));
    // Size 0 with a root that is not that of nothing.
    let (_, witness) = new();
    let odd = Checkpoint { origin: ORIGIN.to_owned(), size: 0, root: [1; 32] };
    let note = odd.note(&log_key(), &seed(1).sign(odd.text().as_bytes()));
    assert_eq!(add(&witness, &AddCheckpoint { old: 0, proof: vec![], note }), Answer::BadProof);
}

#[test]
fn what_is_not_a_request_of_a_known_log_is_refused_by_its_own_status() {
    let (_, witness) = new();
    let good = request(0, 5, None);
    let bad = |body: &str| witness.add(body.as_bytes()).answer;
    let text = good.encode();
    for body in [
        "",
        "old",
        "old 0",
        "old -1\n\n",
        &text.replace("old 0", "old 00"),
        &text.replace("old 0", "old  0"),
        &text.replace("old 0\n", "old 0\nAAAA\n"),
        &text.replace("old 0\n\n", "old 0\n"),
        &text.replace("\n5\n", "\n05\n"),
        &text[..text.len() - 1],
    ] {
        assert_eq!(bad(body), Answer::Malformed, "{body:?}");
    }
    assert_eq!(bad(&"x".repeat(70_000)), Answer::Malformed);
    assert_eq!(add(&witness, &AddCheckpoint { old: 6, ..good.clone() }), Answer::Malformed);
    let other = good.note.replace("riverton", "elsewhere");
    assert_eq!(
        add(&witness, &AddCheckpoint { note: other, ..good.clone() }),
        Answer::UnknownOrigin
    );
    let forged = note_of(5, None).replace("\n5\n", "\n6\n");
    assert_eq!(
        add(&witness, &AddCheckpoint { note: forged, ..good.clone() }),
        Answer::BadSignature
    );
    is_cosigned(&add(&witness, &good), &good.note);
}

#[test]
fn a_proof_has_63_hashes_at_most_and_a_note_16_signatures() {
    let (_, witness) = new();
    let good = request(0, 5, None);
    let at_most = AddCheckpoint { proof: vec![[1; 32]; 63], ..good.clone() };
    assert_eq!(add(&witness, &at_most), Answer::BadProof);
    let over = AddCheckpoint { proof: vec![[1; 32]; 64], ..good.clone() };
    assert_eq!(add(&witness, &over), Answer::Malformed);
    let with = |count: u8| {
        let mut note = good.note.clone();
        let (text, _) = good.note.split_once("\n\n").unwrap();
        for byte in 0..count {
            let key = WitnessKey { name: format!("w{byte}"), public: seed(byte + 20).public() };
            let one = Cosignature::sign(
                &format!("{text}\n"),
                time("2026-11-22T14:00:00Z"),
                &seed(byte + 20),
            );
            note.push_str(&one.line(&key));
        }
        AddCheckpoint { note, ..good.clone() }
    };
    assert_eq!(add(&witness, &with(16)), Answer::Malformed);
    is_cosigned(&add(&witness, &with(15)), &good.note);
    // There is no room for one more, and the note is what it was.
    let full = Cosignature::sign("x", time("2026-11-22T14:00:00Z"), &seed(9));
    assert_eq!(cosigned(&with(15).note, &witness_key(), &full), Err(CosignatureError::TooMany));
}

#[test]
fn a_log_with_two_histories_is_refused_and_both_are_kept() {
    let (disk, witness) = new();
    add(&witness, &request(0, 8, None));
    let same_size = witness.add(request(8, 8, Some(5)).encode().as_bytes());
    assert_eq!(same_size.answer, Answer::Conflict(8));
    let Some(Noted::Forked { size: 8, evidence, evidence_kept: true, .. }) = same_size.noted else {
        panic!("{same_size:?}")
    };
    assert_eq!(evidence.wrong, Wrong::TwoRoots);
    let larger = witness.add(request(8, 11, Some(5)).encode().as_bytes());
    assert_eq!(larger.answer, Answer::BadProof);
    assert!(matches!(larger.noted, Some(Noted::Forked { size: 11, evidence_kept: true, .. })));
    // The same again is the same evidence.
    witness.add(request(8, 11, Some(5)).encode().as_bytes());
    drop(witness);
    let witness = open(&disk);
    let kept = witness.evidence().unwrap();
    assert_eq!(kept.len(), 2);
    for one in &kept {
        assert_eq!(Checkpoint::open(&one.known, &log_key()).unwrap().root, root(8, None));
    }
    // The true log goes on.
    is_cosigned(&add(&witness, &request(8, 9, None)), &note_of(9, None));
}

#[test]
fn a_log_that_went_back_is_told_how_far_it_was_and_named() {
    let (_, witness) = new();
    add(&witness, &request(0, 8, None));
    let judged = witness.add(request(5, 6, None).encode().as_bytes());
    assert_eq!(judged.answer, Answer::Conflict(8));
    let back = Noted::WentBack { origin: ORIGIN.to_owned(), size: 6, seen: 8 };
    assert_eq!(judged.noted, Some(back));
}

#[test]
fn a_checkpoint_heard_elsewhere_is_held_against_the_cosigned_one() {
    let (_, witness) = new();
    add(&witness, &request(0, 8, None));
    assert_eq!(witness.compare(&note_of(8, None)), None);
    assert_eq!(witness.compare(&note_of(7, Some(2))), None);
    let forged = note_of(8, Some(2)).replace("\u{2014} riverton", "\u{2014} elsewhere");
    assert_eq!(witness.compare(&forged), None);
    assert!(matches!(witness.compare(&note_of(8, Some(2))), Some(Noted::Forked { .. })));
    assert_eq!(witness.evidence().unwrap().len(), 1);
}

#[test]
fn a_hostile_log_cannot_fill_the_disk_with_evidence() {
    let (_, witness) = new();
    add(&witness, &request(0, 40, None));
    let mut kept = 0;
    for size in 41..41 + EVIDENCE_MAX as u64 + 3 {
        let judged = witness.add(request(40, size, Some(3)).encode().as_bytes());
        let Some(Noted::Forked { evidence_kept, .. }) = judged.noted else { panic!() };
        kept += usize::from(evidence_kept);
    }
    assert_eq!(kept, EVIDENCE_MAX);
    assert_eq!(witness.evidence().unwrap().len(), EVIDENCE_MAX);
}

#[test]
fn requests_at_one_time_never_wind_the_witness_back() {
    let (disk, witness) = new();
    add(&witness, &request(0, 1, None));
    let answers: Vec<(u64, Answer)> = std::thread::scope(|scope| {
        let all: Vec<_> = (2..34)
            .map(|size| {
                let witness = &witness;
                scope.spawn(move || (size, add(witness, &request(1, size, None))))
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    // All began from 1, so exactly one was first.
    let won: Vec<u64> = answers
        .iter()
        .filter(|(_, answer)| matches!(answer, Answer::Cosigned(_)))
        .map(|(size, _)| *size)
        .collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert_eq!(witness.sizes(), [(ORIGIN.to_owned(), Some(won[0]))]);
    drop(witness);
    assert_eq!(open(&disk).sizes(), [(ORIGIN.to_owned(), Some(won[0]))]);
}

/// Whatever write fails, and however: no cosignature is given for what is not on disk, and after a power
/// cut the witness stands at what it cosigned last or at what it was about to.
#[test]
fn a_witness_killed_at_each_write_never_forgets_what_it_cosigned() {
    for fault in [Fault::Lost, Fault::Kept, Fault::Torn] {
        for step in 0.. {
            let (disk, witness) = new();
            is_cosigned(&add(&witness, &request(0, 4, None)), &note_of(4, None));
            let before = disk.operations();
            disk.fail_at(before + step, fault);
            let answer = add(&witness, &request(4, 7, None));
            let done = disk.operations() - before;
            drop(witness);
            disk.mend();
            let witness = open(&cut(&disk, step));
            let size = witness.sizes()[0].1.unwrap();
            match &answer {
                Answer::Cosigned(_) => assert_eq!(size, 7, "{fault:?} {step}"),
                Answer::Trouble(503) => assert!([4, 7].contains(&size), "{fault:?} {step}: {size}"),
                other => panic!("{fault:?} {step}: {other:?}"),
            }
            // The log asks again and learns where to go on.
            match add(&witness, &request(4, 9, None)) {
                Answer::Cosigned(_) => assert_eq!(size, 4),
                Answer::Conflict(7) => {
                    is_cosigned(&add(&witness, &request(7, 9, None)), &note_of(9, None));
                }
                other => panic!("{other:?}"),
            }
            if step >= done {
                assert!(step > 3, "the faults came too late to meet a write");
                break;
            }
        }
    }
}

#[test]
fn evidence_that_cannot_be_written_changes_no_answer() {
    let (disk, witness) = new();
    add(&witness, &request(0, 8, None));
    disk.fail_at(disk.operations(), Fault::Lost);
    let judged = witness.add(request(8, 8, Some(5)).encode().as_bytes());
    assert_eq!(judged.answer, Answer::Conflict(8));
    assert!(matches!(judged.noted, Some(Noted::Forked { evidence_kept: false, .. })));
}

#[test]
fn a_witness_whose_lock_file_is_gone_cosigns_nothing() {
    let home = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(ledger::SystemDisk);
    let folder = home.path().join("witness");
    let witness = Witness::open(&disk, &folder, NAME, seed(9), vec![log_key()], clock()).unwrap();
    std::fs::remove_file(folder.join("lock")).unwrap();
    assert_eq!(add(&witness, &request(0, 8, None)), Answer::Trouble(503));
    assert_eq!(witness.sizes(), [(ORIGIN.to_owned(), None)]);
}

#[test]
fn rot_in_what_a_witness_knows_is_refused_and_named() {
    let (disk, witness) = new();
    add(&witness, &request(0, 8, None));
    drop(witness);
    let path = Path::new("/witness").join(format!("log-{}", ledger::witness::origin_id(ORIGIN)));
    disk.edit(&path, |bytes| bytes[120] ^= 1);
    let disk: Arc<dyn Disk> = disk;
    let logs = vec![log_key()];
    let opened = Witness::open(&disk, Path::new("/witness"), NAME, seed(9), logs, clock());
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("could not read") && error.contains("log-"), "{error}");
}

#[test]
fn a_new_key_of_the_log_is_taken_once_the_witness_knows_it() {
    let (disk, witness) = new();
    add(&witness, &request(0, 4, None));
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 6, root: root(6, None) };
    let new_key = VerifierKey { name: ORIGIN.to_owned(), public: seed(2).public() };
    let note = checkpoint.note(&new_key, &seed(2).sign(checkpoint.text().as_bytes()));
    let request = AddCheckpoint { old: 4, proof: proof(4, 6, None), note };
    assert_eq!(add(&witness, &request), Answer::BadSignature);
    drop(witness);
    let disk: Arc<dyn Disk> = disk;
    let logs = vec![log_key(), new_key];
    let opened = Witness::open(&disk, Path::new("/witness"), NAME, seed(9), logs, clock());
    is_cosigned(&add(&opened.unwrap(), &request), &request.note);
}

#[test]
fn a_cosignature_counts_for_its_own_key_text_and_time_only() {
    let (text, at) = (format!("{ORIGIN}\n5\nAAAA\n"), time("2026-11-22T14:03:21Z"));
    let one = Cosignature::sign(&text, at, &seed(9));
    let line = one.line(&witness_key());
    assert_eq!(Cosignature::find(&text, &line, &witness_key()), Ok(one));
    let find = |text: &str, line: &str, key: &WitnessKey| Cosignature::find(text, line, key).err();
    let changed = WitnessKey { public: seed(8).public(), ..witness_key() };
    assert_eq!(find(&text, &line, &changed), Some(CosignatureError::Absent));
    let wrong = Some(CosignatureError::Signature);
    assert_eq!(find(&text.replace('5', "6"), &line, &witness_key()), wrong);
    let later = Cosignature { at: time("2026-11-22T14:03:22Z"), ..one };
    assert_eq!(find(&text, &later.line(&witness_key()), &witness_key()), wrong);
    let many = line.repeat(17);
    assert_eq!(find(&text, &many, &witness_key()), Some(CosignatureError::TooMany));
    let malformed = Some(CosignatureError::Malformed);
    assert_eq!(find(&text, &line[..line.len() - 1], &witness_key()), malformed);
    // A log's own key (0x01) is none of a witness (0x04), though the bytes be the same.
    assert!(WitnessKey::parse(&log_key().to_string()).is_err());
    assert!(VerifierKey::parse(&witness_key().to_string()).is_err());
    assert_eq!(WitnessKey::parse(&witness_key().to_string()), Ok(witness_key()));
}

/// The example of C2SP tlog-cosignature: its key id and time, read as we read them.
#[test]
fn the_blob_of_the_format_s_own_example_has_its_time_where_we_look_for_it() {
    let blob = "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";
    let engine = base64::engine::general_purpose::STANDARD;
    let bytes = base64::Engine::decode(&engine, blob).unwrap();
    assert_eq!(bytes.len(), 76);
    let seconds = i64::from_be_bytes(bytes[4..12].try_into().unwrap());
    assert_eq!(seconds, 1_679_315_147);
}

#[test]
fn an_answer_is_read_as_it_was_given() {
    let line = Cosignature::sign("x", time("2026-11-22T14:03:21Z"), &seed(9)).line(&witness_key());
    for answer in [
        Answer::Cosigned(line),
        Answer::Conflict(41),
        Answer::Malformed,
        Answer::BadSignature,
        Answer::UnknownOrigin,
        Answer::BadProof,
        Answer::Trouble(503),
    ] {
        let (kind, body) = answer.content();
        assert_eq!(Answer::read(answer.status(), kind, body.as_bytes()), answer);
    }
    for (kind, body) in
        [("text/plain", "41\n"), ("text/x.tlog.size", "41"), ("text/x.tlog.size", "041\n")]
    {
        assert_eq!(Answer::read(409, kind, body.as_bytes()), Answer::Trouble(409));
    }
}

proptest! {
    #[test]
    fn a_request_survives_being_written(old: u64, hashes in prop::collection::vec(any::<[u8; 32]>(), 0..63)) {
        let request = AddCheckpoint { old, proof: hashes, note: note_of(3, None) };
        let (read, checkpoint) = AddCheckpoint::parse(request.encode().as_bytes()).unwrap();
        prop_assert_eq!(read, request);
        prop_assert_eq!(checkpoint.size, 3);
    }

    /// Grow, fork, go back, restart, in any order: what was cosigned is always one history.
    #[test]
    fn whatever_a_log_does_what_is_cosigned_is_one_history(
        steps in prop::collection::vec((0_u64..40, 0_u64..40, prop::option::of(0_u64..40), any::<bool>()), 1..24)
    ) {
        let (mut disk, mut witness) = new();
        let mut largest: Option<(u64, Hash)> = None;
        for (old, new, fork, restart) in steps {
            if restart {
                drop(witness);
                disk = cut(&disk, old);
                witness = open(&disk);
            }
            let new = old.max(new);
            let answer = add(&witness, &request(old, new, fork));
            if matches!(answer, Answer::Cosigned(_)) {
                let (size, before) = largest.unwrap_or((0, root(0, None)));
                prop_assert!(new >= size);
                prop_assert_eq!(root(size, fork), before);
                largest = Some((new, root(new, fork)));
            }
        }
    }
}
