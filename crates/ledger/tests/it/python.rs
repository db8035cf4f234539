//! The second verifier, written from the page about the format alone, agrees with this one.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use keys::SystemRandom;
use ledger::testing::{SimDisk, keys, settings};
use ledger::{Event, Ledger, Record, VerifyOptions};

use crate::common::{append, clock, number_in, numbered, record, released};

pub(crate) fn python(folder: &Path, more: &[&str]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/verify_ledger.py");
    let output = Command::new("python3").arg(script).arg(folder).args(more).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

#[test]
fn the_python_verifier_holds_what_holds_and_refuses_what_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let mut settings = settings(&path);
    (settings.segment_bytes, settings.journal_bytes) = (16 << 10, 64 << 10);
    settings.reserve_bytes = 2 << 10;
    let ledger =
        Ledger::open_or_create(settings.clone(), keys(), clock(), Arc::new(SystemRandom)).unwrap();
    for number in 0..40 {
        append(&ledger, record(released(number))).unwrap();
        let issued = Event::ReceiptIssued { exchange: "x".to_owned(), digest: "d".to_owned() };
        append(&ledger, Record::platform(issued)).unwrap();
    }
    let key = ledger.verifier_key();
    // Once as it is while it is open, when the journal has the newest, and once closed.
    for round in 0..2 {
        let options = VerifyOptions::default();
        let verified = ledger::verify(&path, options).unwrap();
        let note = verified.checkpoint.unwrap();
        let root = note.lines().nth(2).unwrap();
        let (holds, text) = python(&path, &["--expect-size", "80", "--key", &key]);
        assert!(holds, "round {round}: {text}");
        assert_eq!(text, format!("holds: 80 entries, root {root}\n"));
        ledger.close().unwrap();
    }
    let (holds, text) = python(&path, &["--expect-size", "81"]);
    assert!(!holds && text.contains("the log ends with 80 entries, not 81"), "{text}");
    for (name, at) in [
        ("ledger", 30),
        ("log/00000000.seg", 70),
        ("log/00000001.seg", 4000),
        ("log/00000001.seg", 160),
        ("body/standard-2029-11/00000000.seg", 100),
        ("body/dissemination-2036-11/00000000.seg", 700),
        ("keys/standard-2029-11.key", 40),
        ("checkpoint", 30),
        ("checkpoints", 30),
    ] {
        let file = path.join(name);
        let whole = std::fs::read(&file).unwrap();
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&file, damaged).unwrap();
        let (holds, text) = python(&path, &[]);
        assert!(!holds && text.contains(name), "{name} at {at}: {text}");
        std::fs::write(&file, whole).unwrap();
    }
    assert!(python(&path, &[]).0);
    let ledger = Ledger::open_or_create(settings, keys(), clock(), Arc::new(SystemRandom)).unwrap();
    let receipt = append(&ledger, numbered(9)).unwrap();
    assert_eq!(number_in(&ledger.read(receipt.entry).unwrap().record.event), Some(9));
}

#[test]
fn a_ledger_after_a_power_cut_is_read_alike() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = crate::common::open(&disk, &clock).unwrap();
    for number in 0..5 {
        append(&ledger, numbered(number)).unwrap();
    }
    let cut = disk.after_power_cut(&mut || false);
    let folder = tempfile::tempdir().unwrap();
    for path in cut.files() {
        let to = folder.path().join(path.strip_prefix(crate::common::FOLDER).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, cut.read(&path).unwrap()).unwrap();
    }
    let (holds, text) = python(folder.path(), &["--expect-size", "5"]);
    assert!(holds, "{text}");
}
