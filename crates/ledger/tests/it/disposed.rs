//! A folder from which a bucket was disposed of: both verifiers believe exactly what the log
//! itself announced, and what comes back does not stay.

use std::path::PathBuf;
use std::sync::Arc;

use keys::{FixedClock, SystemRandom};
use ledger::format::{Bucket, Disposed};
use ledger::retention::{Disposal, HoldScope, Order};
use ledger::testing::{keys, settings};
use ledger::{Damage, EntryNumber, Ledger, ReadError, Verified, VerifyOptions};

use crate::common::{append, clock, number_in, numbered, time};
use crate::python::python;

const HOME: &str = "standard-2029-11";
const HELD: &str = "held-0001-standard-2029-11";

pub(crate) fn order(authority: &str) -> Order {
    Order { authority: authority.to_owned(), ..Order::default() }
}

struct Folder {
    _kept: tempfile::TempDir,
    path: PathBuf,
    clock: Arc<FixedClock>,
    /// As the disposal found them.
    key: Vec<u8>,
    bodies: Vec<u8>,
}

/// A ledger of four entries, a hold on the third, and the disposal of the others.
fn folder() -> Folder {
    let kept = tempfile::tempdir().unwrap();
    let (path, clock) = (kept.path().join("ledger"), clock());
    let mut folder = Folder { _kept: kept, path, clock, key: Vec::new(), bodies: Vec::new() };
    let ledger = folder.open();
    for number in 0..4 {
        append(&ledger, numbered(number)).unwrap();
    }
    let what = HoldScope::Entries { first: 2, last: 2 };
    ledger.place_hold("lit-2026-4", what, None, order("General Counsel")).unwrap();
    folder.clock.set(time("2029-12-01T00:00:00Z"));
    folder.key = folder.read(&format!("keys/{HOME}.key"));
    folder.bodies = folder.read(&format!("body/{HOME}/00000000.seg"));
    let done = ledger.dispose(Bucket::parse(HOME).unwrap(), order("schedule 1")).unwrap();
    let Disposal::Done { started, finished, statement } = done else { panic!("something goes") };
    assert_eq!((started.0, finished.0, statement.count, statement.kept), (5, 6, 3, 1));
    ledger.close().unwrap();
    folder
}

impl Folder {
    fn open(&self) -> Ledger {
        let (clock, random) = (Arc::clone(&self.clock) as _, Arc::new(SystemRandom));
        Ledger::open_or_create(settings(&self.path), keys(), clock, random).unwrap()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path.join(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn document(&self) -> Disposed {
        let text = self.read(&format!("disposed/{HOME}"));
        Disposed::parse(&String::from_utf8(text).unwrap()).unwrap()
    }

    fn verify(&self) -> Result<Verified, Damage> {
        let options = VerifyOptions { expect_size: Some(7), ..VerifyOptions::default() };
        ledger::verify(&self.path, options)
    }

    /// What both verifiers find wrong, and that they agree on it.
    fn damaged(&self, what: &str) {
        let damage = self.verify().unwrap_err().to_string();
        let (holds, text) = python(&self.path, &[]);
        assert!(!holds && damage.contains(what) && text.contains(what), "{damage}\n{text}");
    }
}

#[test]
fn what_was_announced_may_be_missing_and_what_is_held_may_not() {
    let folder = folder();
    let verified = folder.verify().unwrap();
    assert_eq!((verified.size, verified.disposed, verified.leftover), (7, 1, Vec::new()));
    let (holds, text) = python(&folder.path, &["--expect-size", "7"]);
    assert!(holds, "{text}");
    assert!(text.ends_with(&format!("disposed of: 3 entries of {HOME}, by entry 5\n")), "{text}");

    let held = format!("body/{HELD}/00000000.seg");
    let body = folder.read(&held);
    folder.write(&held, &vec![0; body.len()]);
    folder.damaged("the body of");
    folder.write(&held, &body);
    std::fs::remove_file(folder.path.join(format!("keys/{HELD}.key"))).unwrap();
    folder.damaged("missing");
}

#[test]
fn what_comes_back_is_told_recorded_and_disposed_of_again() {
    let folder = folder();
    let (key, body) = (format!("keys/{HOME}.key"), format!("body/{HOME}"));
    folder.write(&key, &folder.key);
    folder.write(&format!("{body}/00000000.seg"), &folder.bodies);
    assert_eq!(folder.verify().unwrap().leftover, [key.as_str(), body.as_str()]);
    let (holds, text) = python(&folder.path, &[]);
    assert!(holds && text.ends_with(&format!("left over: {key}\nleft over: {body}\n")), "{text}");

    let ledger = folder.open();
    ledger.finish_disposals().unwrap();
    assert!(!folder.path.join(&key).exists() && !folder.path.join(&body).exists());
    let told = ledger.holds_and_dispositions().unwrap();
    assert_eq!(told.dispositions[0].returned, [EntryNumber(7)]);
    let alert = ledger.read(EntryNumber(7)).unwrap().record.event;
    assert_eq!(alert.severity(), ledger::Severity::Alert);
    assert!(alert.sentence().contains("again"), "{}", alert.sentence());
    ledger.close().unwrap();
    assert_eq!(folder.verify().unwrap().leftover, Vec::<String>::new());
}

#[test]
fn a_copy_for_a_hold_that_was_not_finished_means_nothing_and_goes() {
    let folder = folder();
    let copy = "body/held-0002-standard-2029-11";
    folder.write(&format!("{copy}/00000000.seg"), b"half a body");
    assert_eq!(folder.verify().unwrap().leftover, [copy]);
    assert!(python(&folder.path, &[]).0);
    let ledger = folder.open();
    ledger.finish_disposals().unwrap();
    assert!(!folder.path.join(copy).exists());
    assert_eq!(ledger.size(), 7, "nothing was disposed of, so nothing is recorded");
}

#[test]
fn a_document_that_the_log_does_not_commit_to_is_damage_to_everybody() {
    let folder = folder();
    let (name, document) = (format!("disposed/{HOME}"), folder.document());
    let mut other = document.clone();
    other.statement.count = 2;
    let other_salt = Disposed { salt: [0; 32], ..document.clone() };
    let other_entry = Disposed { entry: 4, ..document.clone() };
    let absent = Disposed { entry: 99, ..document.clone() };
    for wrong in [other, other_salt, other_entry, absent] {
        folder.write(&name, wrong.encode().unwrap().as_bytes());
        folder.damaged("the log does not commit to the statement");
        let (clock, random) = (Arc::clone(&folder.clock) as _, Arc::new(SystemRandom));
        let opened = Ledger::open_or_create(settings(&folder.path), keys(), clock, random);
        let error = crate::common::damage(opened).to_string();
        assert!(error.contains("the log does not commit to the statement"), "{error}");
    }
    let text = document.encode().unwrap().replace("kept 2", "kept 2-3");
    folder.write(&name, text.as_bytes());
    folder.damaged(&name);
}

#[test]
fn a_document_that_is_deleted_is_damage_until_the_log_makes_it_again() {
    let folder = folder();
    let document = folder.document();
    std::fs::remove_file(folder.path.join(format!("disposed/{HOME}"))).unwrap();
    folder.damaged(HOME);
    let ledger = folder.open();
    ledger.finish_disposals().unwrap();
    assert_eq!(folder.document(), document);
    assert_eq!(number_in(&ledger.read(EntryNumber(2)).unwrap().record.event), Some(2));
    let gone = ledger.read(EntryNumber(1)).unwrap_err();
    assert!(matches!(gone, ReadError::Disposed { started: EntryNumber(5), .. }), "{gone}");
    ledger.close().unwrap();
    assert_eq!(folder.verify().unwrap().disposed, 1);
    assert!(python(&folder.path, &[]).0);
}

#[test]
fn nobody_else_records_that_something_was_disposed_of() {
    let folder = folder();
    let ledger = folder.open();
    let bucket = Bucket::parse(HELD).unwrap();
    let event = ledger::Event::Disposed { bucket, started: 5, count: 1 };
    let refused = append(&ledger, ledger::Record::platform(event)).unwrap_err();
    assert!(matches!(refused, ledger::AppendError::Reserved { kind: "disposed" }), "{refused}");
}

#[test]
fn an_archive_takes_nothing_of_what_was_disposed_of() {
    let folder = folder();
    // The log goes on, until the segment in which all this lies is closed.
    let ledger = folder.open();
    while !folder.path.join("log/00000001.seg").exists() {
        let waiting: Vec<_> = (0..500).map(|it| ledger.enqueue(numbered(it)).unwrap()).collect();
        waiting.into_iter().for_each(|it| assert!(it.wait().is_ok()));
    }
    ledger.close().unwrap();

    let store = Arc::new(object_store::memory::InMemory::new());
    let shelf = ledger::archive::Unlocked(Arc::clone(&store) as _);
    let signer = keys().signer;
    let (now, progress) = (time("2030-01-02T00:00:00Z"), &mut |_, _| {});
    let with = ledger::archive::Archive { signer: &signer, content: None, now, progress };
    let run = tokio::runtime::Runtime::new().unwrap();
    let done = run.block_on(ledger::archive::archive(&folder.path, &shelf, with)).unwrap();
    assert!(done.size > 5, "the disposed entries are in the archived log");
    let mut bodies: Vec<String> = run
        .block_on(crate::archive::paths(&*store))
        .iter()
        .filter_map(|path| {
            path.as_ref().strip_prefix("body/")?.split('/').next().map(str::to_owned)
        })
        .collect();
    bodies.dedup();
    // What is kept for ever goes on growing; its first segment is not full yet.
    assert_eq!(bodies, ["standard-2032-12"]);
}
