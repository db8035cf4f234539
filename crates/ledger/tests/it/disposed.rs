//! A folder from which a bucket was disposed of: both verifiers believe exactly what the log
//! itself announced.

use std::path::PathBuf;
use std::sync::Arc;

use keys::SystemRandom;
use keys::seal::SealingKey;
use ledger::evidence::{Disclose, LogCopy};
use ledger::format::{Bucket, Disposed, Half, Ranges, Statement};
use ledger::merkle::CompactRange;
use ledger::testing::{keys, settings};
use ledger::{Damage, Event, Ledger, Record, Verified, VerifyOptions};

use crate::common::{append, clock, numbered, time};
use crate::python::python;

const HOME: &str = "standard-2029-11";

struct Folder {
    _kept: tempfile::TempDir,
    path: PathBuf,
    document: Disposed,
}

/// A ledger of four entries and the announcement that all but the third are disposed of.
fn folder() -> Folder {
    let kept = tempfile::tempdir().unwrap();
    let (path, clock) = (kept.path().join("ledger"), clock());
    let on = Arc::clone(&clock) as _;
    let random = Arc::new(SystemRandom);
    let ledger = Ledger::open_or_create(settings(&path), keys(), on, random).unwrap();
    let leaves: Vec<[u8; 32]> =
        (0..4).map(|number| append(&ledger, numbered(number)).unwrap().leaf).collect();
    let mut tree = CompactRange::new();
    for entry in [0, 1, 3] {
        tree.push(leaves[entry], &mut |_, _, _| {});
    }
    let held: Ranges = [2].into_iter().collect();
    let statement = Statement {
        bucket: Bucket::parse(HOME).unwrap(),
        first: 0,
        last: 3,
        count: 3,
        root: tree.root(),
        kept: 1,
        kept_digest: ledger::digest(held.to_string().as_bytes()),
    };
    clock.set(time("2029-12-01T00:00:00Z"));
    let event = Event::DispositionStarted {
        statement: statement.clone(),
        authority: "retention schedule 1".to_owned(),
    };
    append(&ledger, Record::platform(event)).unwrap();
    ledger.close().unwrap();
    let master = SealingKey::from_bytes([2; 32]);
    let proof = LogCopy::read(&path, &|_, _| {})
        .unwrap()
        .prove(4, Some((Disclose::Shared, &master)))
        .unwrap();
    let ledger::evidence::Content::Disclosed(halves) = &proof.entry.content else {
        panic!("disclosed")
    };
    assert_eq!(halves[0].half, Half::Shared);
    assert_eq!(halves[0].content, statement.encode().unwrap());
    let document = Disposed { entry: 4, salt: halves[0].salt, statement, kept: held };
    Folder { _kept: kept, path, document }
}

impl Folder {
    fn write_document(&self, document: &Disposed) {
        std::fs::create_dir_all(self.path.join("disposed")).unwrap();
        std::fs::write(self.path.join("disposed").join(HOME), document.encode().unwrap()).unwrap();
    }

    /// Moves the body that is kept, and destroys the rest.
    fn destroy(&self) {
        let held = format!("held-0001-{HOME}");
        let (key, body) = (self.path.join("keys"), self.path.join("body"));
        std::fs::rename(key.join(format!("{HOME}.key")), key.join(format!("{held}.key"))).unwrap();
        std::fs::rename(body.join(HOME), body.join(&held)).unwrap();
        let segment = body.join(&held).join("00000000.seg");
        let bytes = std::fs::read(&segment).unwrap();
        let kept = bytes.windows(16).position(|it| it[..4] == *b"BWB1" && it[15] == 2).unwrap();
        let after = bytes.windows(16).position(|it| it[..4] == *b"BWB1" && it[15] == 3).unwrap();
        std::fs::write(segment, &bytes[kept..after]).unwrap();
    }

    fn verify(&self) -> Result<Verified, Damage> {
        let options = VerifyOptions { expect_size: Some(5), key: None, progress: &mut |_, _| {} };
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
    folder.write_document(&folder.document);
    folder.destroy();
    let verified = folder.verify().unwrap();
    assert_eq!((verified.size, verified.disposed, verified.leftover), (5, 1, Vec::new()));
    let (holds, text) = python(&folder.path, &["--expect-size", "5"]);
    assert!(holds, "{text}");
    assert!(text.ends_with(&format!("disposed of: 3 entries of {HOME}, by entry 4\n")), "{text}");

    let held = folder.path.join(format!("body/held-0001-{HOME}/00000000.seg"));
    let body = std::fs::read(&held).unwrap();
    std::fs::write(&held, vec![0; body.len()]).unwrap();
    folder.damaged("the body of");
    std::fs::write(&held, body).unwrap();
    std::fs::remove_file(folder.path.join(format!("keys/held-0001-{HOME}.key"))).unwrap();
    folder.damaged("missing");
}

#[test]
fn what_came_back_is_told_and_is_no_damage() {
    let folder = folder();
    folder.write_document(&folder.document);
    let (key, body) = (format!("keys/{HOME}.key"), format!("body/{HOME}"));
    let backup = std::fs::read(folder.path.join(&key)).unwrap();
    folder.destroy();
    std::fs::write(folder.path.join(&key), backup).unwrap();
    std::fs::create_dir(folder.path.join(&body)).unwrap();
    assert_eq!(folder.verify().unwrap().leftover, [key.as_str(), body.as_str()]);
    let (holds, text) = python(&folder.path, &[]);
    let told = format!("left over: {key}\nleft over: {body}\n");
    assert!(holds && text.ends_with(&told), "{text}");
}

#[test]
fn a_copy_for_a_hold_that_was_not_finished_means_nothing() {
    let folder = folder();
    std::fs::create_dir(folder.path.join(format!("body/held-0001-{HOME}"))).unwrap();
    let verified = folder.verify().unwrap();
    assert_eq!(verified.leftover, [format!("body/held-0001-{HOME}")]);
    assert!(python(&folder.path, &[]).0);
}

#[test]
fn bodies_that_go_missing_without_the_logs_word_are_damage() {
    let folder = folder();
    let other_salt = Disposed { salt: [0; 32], ..folder.document.clone() };
    let other_entry = Disposed { entry: 3, ..folder.document.clone() };
    for wrong in [other_salt, other_entry] {
        folder.write_document(&wrong);
        folder.damaged("the log does not commit to the statement");
    }
    let mut other = folder.document.clone();
    other.statement.count = 2;
    folder.write_document(&other);
    folder.damaged("the log does not commit to the statement");
    let document = folder.path.join("disposed").join(HOME);
    let text = folder.document.encode().unwrap().replace("kept 2", "kept 2-3");
    std::fs::write(&document, text).unwrap();
    folder.damaged(&format!("disposed/{HOME}"));

    std::fs::remove_file(document).unwrap();
    folder.destroy();
    folder.damaged(HOME);
}

#[test]
fn an_archive_takes_nothing_of_what_was_disposed_of() {
    let folder = folder();
    folder.write_document(&folder.document);
    folder.destroy();
    let store = Arc::new(object_store::memory::InMemory::new());
    let shelf = ledger::archive::Unlocked(Arc::clone(&store) as _);
    let signer = keys().signer;
    let (now, progress) = (time("2030-01-02T00:00:00Z"), &mut |_, _| {});
    let with = ledger::archive::Archive { signer: &signer, content: None, now, progress };
    let run = tokio::runtime::Runtime::new().unwrap();
    let done = run.block_on(ledger::archive::archive(&folder.path, &shelf, with)).unwrap();
    assert_eq!((done.segments, done.size), (1, 0));
    let paths = run.block_on(crate::archive::paths(&*store));
    let expected = [
        "body/permanent-9999-12/00000000.manifest",
        "body/permanent-9999-12/00000000.seg",
        "ledger",
    ];
    assert_eq!(paths.iter().map(|path| path.as_ref()).collect::<Vec<_>>(), expected);
}
