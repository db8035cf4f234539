//! The vectors of `docs/formats/vectors/ledger`: evidence, cosigned checkpoints and small ledgers that
//! hold, and many that do not, each with its reason. The scripts of `docs/formats` judge all of them too.
//!
//! `cargo test -p ledger --test it write_the_vectors -- --ignored` writes them anew.

mod accidents;
mod cosigned;
mod evidence;
mod folders;

use std::path::{Path, PathBuf};
use std::process::Command;

use keys::seal::SealingKey;
use ledger::evidence::{Evidence, EvidenceError, LogCopy};
use ledger::note::{Checkpoint, VerifierKey};
use ledger::witness::{Cosignature, WitnessKey};
use ledger::{Damage, VerifyOptions};
use serde_json::{Value, json};

use crate::witness::seed;
use evidence::{Writer, entry_vectors, note_vectors, range_vectors};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/vectors/ledger")
}

/// Makes all files from the ledgers that are there.
fn make(to: &Path) {
    let (small, quiet) = (folder().join("small"), |_: u64, _: u64| {});
    let copy = LogCopy::read(&small, &quiet).unwrap();
    let key = VerifierKey::parse(&copy.verifier_key()).unwrap();
    let mut out = Writer { to: to.to_owned(), index: Vec::new(), key: key.clone() };
    let body = SealingKey::from_bytes([2; 32]);
    entry_vectors(&mut out, &copy, &body);
    note_vectors(&mut out, &copy);
    range_vectors(&mut out, &copy, &body);
    let cosigned = cosigned::vectors(&mut out);
    let other = VerifierKey { public: seed(8).public(), ..key.clone() };
    let index = json!({
        "key": key.to_string(),
        "evidence": out.index,
        "cosigned": cosigned,
        "folders": folders::index(&folder(), &other),
    });
    let text = serde_json::to_string_pretty(&index).unwrap();
    std::fs::write(to.join("index.json"), text + "\n").unwrap();
}

#[test]
#[ignore = "writes the vectors, and the ledgers that they are made from where they are missing"]
fn write_the_vectors() {
    if !folder().join("small").exists() {
        folders::write(&folder());
    }
    for name in files(&folder()) {
        std::fs::remove_file(folder().join(name)).unwrap();
    }
    make(&folder());
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files = entries.filter(|it| it.file_type().unwrap().is_file());
    let mut names: Vec<String> = files.map(|it| it.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_vectors_are_what_this_ledger_makes_of_the_folders_beside_them() {
    let made = tempfile::tempdir().unwrap();
    make(made.path());
    let names = files(&folder());
    assert_eq!(names, files(made.path()));
    for name in names {
        let read = |from: &Path| std::fs::read_to_string(from.join(&name)).unwrap();
        assert_eq!(read(&folder()), read(made.path()), "{name}");
    }
}

fn index() -> Value {
    serde_json::from_slice(&std::fs::read(folder().join("index.json")).unwrap()).unwrap()
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().unwrap()
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap()
}

/// What the second verifiers say of the vectors, or of others; all must be judged as their index says.
fn python(others: Option<&Path>) -> String {
    let script = folder().join("../../check_vectors.py");
    let mut command = Command::new("python3");
    let output = command.arg("-B").arg(script).args(others).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    said
}

#[test]
fn the_verifiers_in_python_judge_all_as_the_index_says() {
    let (index, said) = (index(), python(None));
    let folders = list(&index, "folders").iter().map(|it| 1 + list(it, "changes").len());
    let all = list(&index, "evidence").len()
        + list(&index["cosigned"], "notes").len()
        + folders.sum::<usize>();
    assert_eq!(said, format!("{all} of {all} judged as the index says\n"));
}

fn evidence_holds(content: &str, key: &VerifierKey) -> Result<(), EvidenceError> {
    Evidence::parse(content)?.check(key).map(drop)
}

/// When the witness cosigned, of a note that the log has signed.
fn cosigned_at(note: &str, log: &VerifierKey, witness: &WitnessKey) -> Option<i64> {
    Checkpoint::open(note, log).ok()?;
    Some(Cosignature::on(note, witness).ok()?.at.as_second())
}

#[test]
fn every_piece_of_evidence_is_judged_as_the_index_says() {
    let index = index();
    let key = VerifierKey::parse(text(&index, "key")).unwrap();
    let all = list(&index, "evidence");
    let bad = all.iter().filter(|one| one["holds"] == false).count();
    assert!(all.len() > 75 && bad > 65, "{bad} of {}", all.len());
    for one in all {
        let path = folder().join(text(one, "file"));
        let content = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
        let judged = evidence_holds(&content, &key);
        assert_eq!(judged.is_ok(), one["holds"] == true, "{one}: {judged:?}");
    }
}

#[test]
fn every_cosigned_checkpoint_is_judged_as_the_index_says() {
    let index = index();
    let (log, witness) = (text(&index, "key"), text(&index["cosigned"], "witness"));
    let key = VerifierKey::parse(log).unwrap();
    let by = WitnessKey::parse(witness).unwrap();
    for one in list(&index["cosigned"], "notes") {
        let path = folder().join(text(one, "file"));
        let note = std::fs::read_to_string(&path).unwrap();
        assert_eq!(cosigned_at(&note, &key, &by), one["at"].as_i64(), "{one}");
    }
}

/// Makes one change in a copy of a folder; what both are to be given with it.
fn change(change: &Value, here: &Path, given: &mut (String, u64)) {
    let file = here.join(text(change, "file"));
    let number = |name: &str| usize::try_from(change[name].as_u64().unwrap()).unwrap();
    match text(change, "do") {
        "flip" => {
            let mut bytes = std::fs::read(&file).unwrap();
            bytes[number("offset")] ^= u8::try_from(number("xor")).unwrap();
            std::fs::write(&file, bytes).unwrap();
        }
        "cut" => {
            let bytes = std::fs::read(&file).unwrap();
            std::fs::write(&file, &bytes[..number("length")]).unwrap();
        }
        "put" => std::fs::write(&file, text(change, "text")).unwrap(),
        "remove" => std::fs::remove_file(&file).unwrap(),
        "copy" => drop(std::fs::copy(here.join(text(change, "from")), &file).unwrap()),
        "expect" => given.1 = change["size"].as_u64().unwrap(),
        "key" => text(change, "key").clone_into(&mut given.0),
        other => panic!("{other}"),
    }
}

fn ours(here: &Path, (key, size): &(String, u64)) -> Result<u64, Damage> {
    let (key, expect_size) = (Some(key.clone()), Some(*size));
    let options = VerifyOptions { key, expect_size, ..VerifyOptions::default() };
    Ok(ledger::verify(here, options)?.size)
}

#[test]
fn the_small_ledgers_hold_and_what_is_changed_in_them_is_named() {
    let index = index();
    for ledger in list(&index, "folders") {
        let (from, size) = (folder().join(text(ledger, "path")), ledger["size"].as_u64().unwrap());
        let given = (text(&index, "key").to_owned(), size);
        assert_eq!(ours(&from, &given).unwrap(), size, "{}", ledger["path"]);
        for one in list(ledger, "changes") {
            let (temporary, mut given) = (tempfile::tempdir().unwrap(), given.clone());
            let here = temporary.path().join("ledger");
            folders::copy(&from, &here);
            change(one, &here, &mut given);
            let judged = ours(&here, &given);
            if let Some(name) = one["names"].as_str() {
                let damage = judged.unwrap_err();
                assert!(damage.file.contains(name), "{one}: {damage}");
            } else {
                assert_eq!(judged.unwrap(), size, "{one}");
            }
        }
    }
}
