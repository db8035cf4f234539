//! Small ledgers as folders, and changes to them that both verifiers refuse.
//!
//! Salts and nonces are random, so the folders were made once and are kept; all else is made from them.

use std::path::Path;
use std::sync::Arc;

use keys::SystemRandom;
use ledger::format::{Bucket, Disposed};
use ledger::note::VerifierKey;
use ledger::retention::{Disposal, HoldScope};
use ledger::testing::{keys, settings};
use ledger::{Event, Ledger, Record};
use serde_json::{Value, json};

use crate::common::{append, clock, numbered, record, released, time};
use crate::disposed::order;

const HOME: &str = "standard-2029-11";
const LOG: &str = "log/00000000.seg";

/// A ledger of eleven entries.
fn small(path: &Path) {
    let random = Arc::new(SystemRandom);
    let ledger = Ledger::open_or_create(settings(path), keys(), clock(), random).unwrap();
    for number in 0..11 {
        let issued =
            Event::ReceiptIssued { exchange: format!("x{number}"), digest: "d".to_owned() };
        let record = match number % 3 {
            0 => Record::platform(issued),
            1 => record(released(number)),
            _ => numbered(number),
        };
        append(&ledger, record).unwrap();
    }
    ledger.close().unwrap();
}

/// Four entries, a hold on the third, and the disposal of the others.
fn disposed(path: &Path) {
    let (clock, random) = (clock(), Arc::new(SystemRandom));
    let ledger =
        Ledger::open_or_create(settings(path), keys(), Arc::clone(&clock) as _, random).unwrap();
    for number in 0..4 {
        append(&ledger, numbered(number)).unwrap();
    }
    let what = HoldScope::Entries { first: 2, last: 2 };
    ledger.place_hold("lit-2026-4", what, None, order("General Counsel")).unwrap();
    clock.set(time("2029-12-01T00:00:00Z"));
    let done = ledger.dispose(Bucket::parse(HOME).unwrap(), order("schedule 1")).unwrap();
    assert!(matches!(done, Disposal::Done { .. }), "{done:?}");
    ledger.close().unwrap();
}

/// Makes the folders. What the journal still covers heals, so only one of them has a journal.
pub(crate) fn write(to: &Path) {
    let temporary = tempfile::tempdir().unwrap();
    for name in ["small", "disposed"] {
        let path = temporary.path().join(name);
        if name == "small" {
            small(&path)
        } else {
            disposed(&path)
        }
        copy_short(&path, &to.join(name));
        std::fs::write(to.join(name).join("journal"), []).unwrap();
    }
    // As a power cut leaves it: what was confirmed is in the journal and nowhere else.
    let path = temporary.path().join("journal");
    let random = Arc::new(SystemRandom);
    let ledger = Ledger::open_or_create(settings(&path), keys(), clock(), random).unwrap();
    for number in 0..3 {
        append(&ledger, numbered(number)).unwrap();
    }
    let to = to.join("journal");
    copy_short(&path, &to);
    ledger.close().unwrap();
    for segment in [LOG, "body/standard-2029-11/00000000.seg"] {
        std::fs::write(to.join(segment), [0; 4096]).unwrap();
    }
}

/// Copies a folder with the folders in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, to).unwrap();
        }
    }
}

/// Copies a ledger's files without the zeros at their end, and without what is derived, which is of no
/// meaning to a verifier.
fn copy_short(from: &Path, to: &Path) {
    copy(from, to);
    for derived in ["index", "tile", "positions"] {
        std::fs::remove_dir_all(to.join(derived)).ok();
    }
    std::fs::remove_file(to.join("lock")).unwrap();
    shorten(to);
}

fn shorten(folder: &Path) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            shorten(&path);
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        // A frame is read with its padding.
        bytes.truncate(used.next_multiple_of(4096).min(bytes.len()));
        std::fs::write(path, bytes).unwrap();
    }
}

/// One change: what to do with which file, and the file that a verifier names then (null: it holds).
fn change(what: &str, file: &str, with: &Value, names: Option<&str>, why: &str) -> Value {
    let mut change = json!({ "do": what, "file": file, "names": names, "why": why });
    change.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    change
}

fn flip(file: &str, offset: usize, xor: u8, names: Option<&str>, why: &str) -> Value {
    change("flip", file, &json!({ "offset": offset, "xor": xor }), names, why)
}

fn remove(file: &str, names: Option<&str>, why: &str) -> Value {
    change("remove", file, &json!({}), names, why)
}

fn put(file: &str, text: &str, names: Option<&str>, why: &str) -> Value {
    change("put", file, &json!({ "text": text }), names, why)
}

fn cut(file: &str, length: usize, names: Option<&str>, why: &str) -> Value {
    change("cut", file, &json!({ "length": length }), names, why)
}

fn of_small(other: &VerifierKey) -> Vec<Value> {
    let (body, sealed) = ("body/standard-2029-11/00000000.seg", "keys/standard-2029-11.key");
    let (second, frame) = ("body/dissemination-2036-11/00000000.seg", 208 + 352);
    let by = json!({ "key": other.to_string() });
    vec![
        change("expect", "", &json!({ "size": 12 }), Some(LOG), "an entry fewer than is expected"),
        change("key", "", &by, Some("ledger"), "the key that is expected is another"),
        flip("ledger", 30, 1, Some("ledger"), "the identity is another"),
        flip(LOG, 3, 1, Some(LOG), "the segment's header is none"),
        flip(LOG, 70, 1, Some(LOG), "the root in the header is another"),
        flip(LOG, 208 + 7, 3, Some(LOG), "a frame of a format that there is not"),
        flip(LOG, frame + 7, 3, Some(LOG), "a frame of such a format in the middle"),
        flip(LOG, 208 + 40, 1, Some(LOG), "a frame's digest is wrong"),
        flip(LOG, 208 + 208 + 2, 3, Some(LOG), "an envelope of a version that there is not"),
        flip(LOG, 208 + 208 + 30, 1, Some(LOG), "an envelope is another"),
        flip(LOG, frame - 1, 1, Some(LOG), "the padding behind a frame is not zeros"),
        flip(LOG, 4095, 1, Some(LOG), "there is more behind the last frame"),
        cut(LOG, frame, Some(LOG), "all entries but the first are gone: one more was published"),
        cut(LOG, frame + 100, Some(LOG), "the log ends within a frame"),
        put(LOG, "", Some(LOG), "the log is empty"),
        remove(LOG, Some(LOG), "the log's segment is missing"),
        change(
            "copy",
            "log/00000001.seg",
            &json!({ "from": LOG }),
            Some("log/00000001.seg"),
            "a segment twice",
        ),
        flip(body, 60, 1, Some(body), "a body is another"),
        flip(body, 8, 1, Some(body), "a body is of an entry that is not in this bucket"),
        cut(body, 0, Some(body), "the bodies are gone"),
        remove(body, Some("body/standard-2029-11"), "the bodies' segment is missing"),
        change(
            "copy",
            body,
            &json!({ "from": second }),
            Some(body),
            "the bodies of another bucket",
        ),
        flip(sealed, 7, 3, Some(sealed), "a key file of a format that there is not"),
        flip(sealed, 40, 1, Some(sealed), "a bucket's key is another"),
        cut(sealed, 115, Some(sealed), "a key file is cut"),
        remove(sealed, Some(sealed), "a bucket's key is missing"),
        flip("checkpoint", 30, 1, Some("checkpoint"), "the newest checkpoint is another"),
        change(
            "copy",
            "checkpoint",
            &json!({ "from": "ledger" }),
            Some("checkpoint"),
            "the newest checkpoint is none",
        ),
        flip("checkpoints", 30, 1, Some("checkpoints"), "a published checkpoint is another"),
        remove("checkpoints", None, "the list is lost, the newest is there"),
        change(
            "copy",
            "aside",
            &json!({ "from": "ledger" }),
            None,
            "a file of another name is ignored",
        ),
    ]
}

fn of_disposed(folder: &Path) -> Vec<Value> {
    let name = format!("disposed/{HOME}");
    let text = std::fs::read_to_string(folder.join(&name)).unwrap();
    let document = Disposed::parse(&text).unwrap();
    let with = |why: &str, edit: &dyn Fn(&mut Disposed)| {
        let mut other = document.clone();
        edit(&mut other);
        put(&name, &other.encode().unwrap(), Some(&name), why)
    };
    let signed = |why: &str, from: &str, to: &str| {
        let at = text.rfind("sha256 ").unwrap();
        let changed = text[..at].replace(from, to);
        assert_ne!(changed, text[..at], "{why}");
        let digest = hex::encode(keys::digest::sha256(changed.as_bytes()));
        put(&name, &format!("{changed}sha256 {digest}\n"), Some(&name), why)
    };
    let held = "body/held-0001-standard-2029-11/00000000.seg";
    let published = std::fs::read_to_string(folder.join("checkpoints")).unwrap();
    let (first, _) = published.match_indices("\n\n").nth(1).unwrap();
    vec![
        flip(
            "checkpoints",
            first,
            32,
            Some("checkpoints"),
            "two published checkpoints run into one, whose first signature has a strange letter",
        ),
        with("one fewer than went", &|it| it.statement.count = 2),
        with("another root", &|it| it.statement.root = [9; 32]),
        with("another salt", &|it| it.salt = [0; 32]),
        with("another entry", &|it| it.entry = 4),
        with("an entry that there is not", &|it| it.entry = 99),
        signed("another version", "disposed 1\n", "disposed 2\n"),
        signed("more is kept than the statement says", "\nkept 2\n", "\nkept 2-3\n"),
        signed("a list of kept entries with a space", "\nkept 2\n", "\nkept 2 \n"),
        signed("more entries than there can be", "\nkept 2\n", "\nkept 0-18446744073709551614\n"),
        signed("a field of the statement twice", "\"kept\":1", "\"kept\":1,\"kept\":1"),
        signed("a line too many", "\nkept 2\n", "\nkept 2\nkept 2\n"),
        put(
            &name,
            &text.replace("kept 2", "kept 1"),
            Some(&name),
            "the last line is not its digest",
        ),
        remove(&name, Some("standard-2029-11"), "the document is gone, and the bodies with it"),
        flip(held, 60, 1, Some(held), "a body that a hold keeps is another"),
        cut(held, 0, Some(held), "a body that a hold keeps is gone"),
        remove(
            "keys/held-0001-standard-2029-11.key",
            Some("keys/held-0001-standard-2029-11.key"),
            "the key of what a hold keeps is missing",
        ),
        change(
            "copy",
            "keys/standard-2029-11.key",
            &json!({ "from": "keys/held-0001-standard-2029-11.key" }),
            None,
            "a key that came back is left over and no damage",
        ),
    ]
}

fn of_journal() -> Vec<Value> {
    vec![
        put(LOG, "", Some(LOG), "a segment that ends before the zeros behind its last frame"),
        flip("journal", 7, 3, Some("journal"), "a batch of a format that there is not"),
        flip("journal", 8192 + 7, 3, Some("journal"), "the last batch of such a format"),
        flip("journal", 100, 1, Some(LOG), "the first frame is torn; whole ones follow"),
        flip("journal", 4096 + 100, 1, Some(LOG), "one in the middle is torn; a whole one follows"),
        flip("journal", 8192 + 100, 1, Some(LOG), "the last is torn, and was published"),
        cut("journal", 8192, Some(LOG), "the last is cut off, and was published"),
        remove("journal", Some("journal"), "the journal is missing"),
    ]
}

/// The folders, and what becomes of them.
pub(crate) fn index(at: &Path, other: &VerifierKey) -> Value {
    json!([
        { "path": "small", "size": 11, "changes": of_small(other) },
        { "path": "disposed", "size": 7, "changes": of_disposed(&at.join("disposed")) },
        { "path": "journal", "size": 3, "changes": of_journal() },
    ])
}
