//! The second reader of cosigned checkpoints, and the seeds of the fuzz targets.

use std::path::Path;

use ledger::witness::{Policy, WitnessKey};

use crate::common::time;
use crate::witness::{NAME, ORIGIN, add, log_key, new, request, seed, witness_key};

fn python(note: &str, log: &str, witness: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("note");
    std::fs::write(&file, note).unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats");
    let output = std::process::Command::new("python3")
        .arg("-B")
        .arg(scripts.join("verify_cosigned.py"))
        .arg(&file)
        .args(["--log", log, "--witness", witness])
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// The second verifier, written from the page about the format alone, agrees.
#[test]
fn the_python_verifier_holds_our_cosignatures_and_refuses_changed_ones() {
    let (_, witness) = new();
    add(&witness, &request(0, 8, None));
    let note = witness.newest(&ledger::witness::origin_id(ORIGIN)).unwrap();
    let (log, key) = (log_key().to_string(), witness_key().to_string());
    let said = format!("size 8\n{NAME} at 1795356201\n");
    assert_eq!(time("2026-11-22T14:03:21Z").as_second(), 1_795_356_201);
    assert_eq!(python(&note, &log, &key), (true, said));
    let (holds, said) = python(&note.replace("\n8\n", "\n9\n"), &log, &key);
    assert!(!holds && said.contains("does not hold"), "{said}");
    let other = WitnessKey { public: seed(8).public(), ..witness_key() }.to_string();
    let (holds, said) = python(&note, &log, &other);
    assert!(!holds && said.contains("no signature"), "{said}");
    // Changed in the cosignature's time alone: the log's own signature still holds.
    let line = note.lines().last().unwrap().to_owned();
    let (head, blob) = line.rsplit_once(' ').unwrap();
    let engine = base64::engine::general_purpose::STANDARD;
    let mut bytes = base64::Engine::decode(&engine, blob).unwrap();
    bytes[11] ^= 1;
    let changed = format!("{head} {}", base64::Engine::encode(&engine, &bytes));
    let (holds, said) = python(&note.replace(&line, &changed), &log, &key);
    assert!(!holds && said.contains("the cosignature does not hold"), "{said}");
}

#[test]
#[ignore = "writes the seeds of the fuzz targets"]
fn seeds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let messages = folder.join("witness-message");
    let (_, witness) = new();
    std::fs::write(messages.join("request.txt"), request(3, 8, None).encode()).unwrap();
    add(&witness, &request(0, 8, None));
    let note = witness.newest(&ledger::witness::origin_id(ORIGIN)).unwrap();
    let with_key = format!("{}\n{note}", witness_key());
    std::fs::write(messages.join("cosigned.txt"), with_key).unwrap();
    std::fs::write(messages.join("size.txt"), "41\n").unwrap();
    let key =
        |byte: u8| WitnessKey { name: format!("w{byte}"), public: seed(byte).public() }.to_string();
    let policy = format!(
        "# ours\nlog {}\nwitness A {}\nwitness B {} https://b.example/w\ngroup G any A B\nquorum G\n",
        log_key(),
        key(31),
        key(32)
    );
    Policy::parse(policy.as_bytes()).unwrap();
    std::fs::write(folder.join("witness-policy/policy.txt"), policy).unwrap();
}
