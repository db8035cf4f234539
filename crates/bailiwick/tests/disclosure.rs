//! `--disclose`: what entries say leaves the house after the ledger has recorded that it does, or not at all.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod agency;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use agency::Agency;
use keys::SystemRandom;
use keys::keyring::create_master;
use ledger::Event;

impl Agency {
    /// `prove FOLDER 4 --disclose all …`
    fn disclose(&self, folder: &str, more: &[&str]) -> (i32, String, String) {
        let mut arguments = vec!["prove", folder, "4", "--disclose", "all"];
        arguments.extend(["--config", "bailiwick.toml", "--by", "R. Stone"]);
        arguments.extend(["--reason", "subpoena 24-7", "--case", "24-000113"]);
        arguments.extend(more);
        self.run(&arguments)
    }
}

/// Every file below a folder with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

const PAST: &str = "2026-01-22T14:03:21.417Z";

#[test]
fn what_an_entry_says_is_given_out_with_its_disclosure_on_record() {
    let agency = Agency::new(PAST);
    let (code, said, error) = agency.disclose("data/ledger", &["--out", "entry"]);
    assert_eq!(code, 0, "{said}{error}");
    assert!(error.contains("entry 9 of the ledger records this disclosure"), "{error}");
    let (code, said, _) = agency.run(&["check", "entry", "--key", "vkey", "--show"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Elena Ruiz") && said.contains("state of 10 entries"), "{said}");
    let ledger = agency.open(PAST);
    let entry = ledger.read(ledger::EntryNumber(9)).unwrap().record;
    ledger.close().unwrap();
    let Event::AuditRead { what, count: 1 } = &entry.event else { panic!("{:?}", entry.event) };
    assert!(
        what.starts_with("all of entries 4 to 4, as evidence, at the command line, by R. Stone")
    );
    assert_eq!(entry.why.reason.as_deref(), Some("subpoena 24-7"));
    assert_eq!(entry.why.case_number.as_deref(), Some("24-000113"));
    let mode =
        std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(agency.path("entry")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    // Without --out it is printed, and is on record as well.
    let (code, said, error) = agency.disclose("data/ledger", &[]);
    assert_eq!((code, agency.size()), (0, 11), "{error}");
    std::fs::write(agency.path("printed"), said).unwrap();
    assert_eq!(agency.run(&["check", "printed", "--key", "vkey"]).0, 0);
}

#[test]
fn nothing_is_disclosed_while_the_ledger_cannot_record_it() {
    let agency = Agency::new(PAST);
    let server = agency.open(PAST);
    let (code, said, error) = agency.disclose("data/ledger", &["--out", "entry"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        error.contains("nothing was disclosed") && error.contains("open in another"),
        "{error}"
    );
    assert!(!agency.path("entry").exists() && !said.contains("tlog-proof"), "{said}");
    server.close().unwrap();
    assert_eq!(agency.size(), 9);
    // The write itself fails: the last entry is of a time that has not come.
    let agency = Agency::new("2091-11-22T14:03:21.417Z");
    let (code, said, error) = agency.disclose("data/ledger", &["--out", "entry"]);
    assert_eq!(code, 1, "{said}");
    assert!(error.contains("did not record this") && error.contains("behind"), "{error}");
    assert!(!agency.path("entry").exists() && !said.contains("tlog-proof"), "{said}");
    assert_eq!(agency.size(), 9);
}

#[test]
fn a_copy_is_neither_disclosed_from_nor_written_to() {
    let agency = Agency::new(PAST);
    let mut copy = Command::new("cp");
    copy.args(["-a", "data/ledger", "copy"]).current_dir(agency.0.path());
    assert!(copy.status().unwrap().success());
    let before = files(&agency.path("copy"));
    let (code, said, error) = agency.disclose("copy", &[]);
    assert_eq!((code, said.as_str()), (1, ""));
    assert!(error.contains("is not the ledger of this configuration"), "{error}");
    assert_eq!(files(&agency.path("copy")), before);
    assert_eq!(agency.run(&["prove", "copy", "4"]).0, 0, "sealed evidence can be had");
    assert_eq!(files(&agency.path("copy")), before);
    assert_eq!(agency.size(), 9);
}

#[test]
fn keys_that_are_not_there_are_not_made() {
    let agency = Agency::new(PAST);
    std::fs::remove_file(agency.path("data/keys/ledger-body.secret")).unwrap();
    let before = files(&agency.path("data"));
    let (code, said, error) = agency.disclose("data/ledger", &[]);
    assert_eq!((code, said.as_str()), (1, ""));
    assert!(error.contains("`ledger-body` is not among the agency's keys"), "{error}");
    std::fs::remove_file(agency.path("master.key")).unwrap();
    create_master(&agency.path("master.key"), &SystemRandom).unwrap();
    let (code, _, error) = agency.disclose("data/ledger", &[]);
    assert_eq!(code, 1);
    assert!(error.contains("the ledger's keys cannot be had"), "{error}");
    assert_eq!(files(&agency.path("data")), before);
}

#[test]
fn nothing_is_recorded_that_cannot_be_given() {
    let agency = Agency::new(PAST);
    std::fs::write(agency.path("taken"), "here before").unwrap();
    assert_eq!(agency.disclose("data/ledger", &["--out", "taken"]).0, 1);
    assert_eq!(std::fs::read(agency.path("taken")).unwrap(), b"here before");
    let all = ["--disclose", "all", "--config", "bailiwick.toml", "--by", "R. Stone"];
    let beyond = [&["prove", "data/ledger", "9"], all.as_slice(), &["--reason", "x"]].concat();
    assert_eq!(agency.run(&beyond).0, 1);
    let nameless = [&["prove", "data/ledger", "4"], all.as_slice()].concat();
    assert_eq!(agency.run(&nameless).0, 2, "a reason is asked for");
    let empty = [nameless.as_slice(), &["--reason", " "]].concat();
    let (code, _, error) = agency.run(&empty);
    assert!(code == 1 && error.contains("give a reason"), "{error}");
    assert_eq!(agency.size(), 9);
}
