//! `bailiwick ledger prove`, `export` and `check`, as an auditor at one machine and a court at another use
//! them.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use keys::{FixedClock, SystemRandom};
use ledger::testing::{keys, settings};
use ledger::{Event, Ledger, Record, Who};
use serde_json::Value;
use tempfile::TempDir;

/// An agency's machine, with a ledger of 12 entries; and a court's, with nothing but the key.
struct Machines {
    here: TempDir,
    there: TempDir,
}

fn record(number: u64) -> Record {
    let who = Who {
        actor: "riverton-idp|det.ruiz".to_owned(),
        name: "Elena Ruiz".to_owned(),
        agency: "NB0010100".to_owned(),
        functions: vec!["detective".to_owned()],
        session: None,
    };
    let event = Event::AuditRead { what: "timeline".to_owned(), count: number };
    Record { who: Some(who), ..Record::platform(event) }
}

impl Machines {
    fn new() -> Self {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let clock = FixedClock::new("2026-11-22T14:03:21.417Z".parse().unwrap());
        let settings = settings(&here.path().join("ledger"));
        let ledger =
            Ledger::open_or_create(settings, keys(), Arc::new(clock), Arc::new(SystemRandom));
        let ledger = ledger.unwrap();
        for number in 0..12 {
            ledger.enqueue(record(number)).unwrap().wait().unwrap();
        }
        std::fs::write(there.path().join("riverton.vkey"), ledger.verifier_key() + "\n").unwrap();
        ledger.close().unwrap();
        Self { here, there }
    }

    fn ledger(&self) -> PathBuf {
        self.here.path().join("ledger")
    }

    fn out(&self, name: &str) -> PathBuf {
        self.there.path().join(name)
    }

    /// Checks evidence at the court's machine.
    fn check(&self, name: &str, more: &[&str]) -> (i32, String) {
        let mut arguments = vec!["check", name, "--key", "riverton.vkey"];
        arguments.extend(more);
        run(self.there.path(), &arguments)
    }
}

fn bailiwick(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.arg("ledger").args(arguments).current_dir(folder).output().unwrap()
}

/// The exit code and what was printed.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = bailiwick(folder, arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn a_court_checks_one_entry_without_the_ledger() {
    let machines = Machines::new();
    let out = machines.out("entry-7.tlog-proof");
    let (code, said) =
        run(machines.here.path(), &["prove", "ledger", "7", "--out", out.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("riverton.example/ledger+"), "{said}");
    std::fs::remove_dir_all(machines.ledger()).unwrap();
    let (code, said) = machines.check("entry-7.tlog-proof", &["--show"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.starts_with(
            "holds: entry 7 of riverton.example/ledger, in its signed state of 12 entries"
        ),
        "{said}"
    );
    assert!(said.contains("entry 7 2026-11-22T14:03:21.417Z audit-read"), "{said}");
    assert!(!said.contains("Ruiz"), "{said}");
    let (code, said) = machines.check("entry-7.tlog-proof", &["--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["verified"], &said["size"]), (0, &true.into(), &12.into()));
    assert_eq!(said["entries"][0]["kind"], "audit-read");
    assert_eq!(said["entries"][0]["content"], "not disclosed");
}

#[test]
fn a_range_is_printed_as_the_file_that_would_be_written() {
    let machines = Machines::new();
    let range = ["export", "ledger", "--from", "3", "--to", "9"];
    let printed = bailiwick(machines.here.path(), &range);
    assert!(printed.status.success());
    std::fs::write(machines.out("printed"), &printed.stdout).unwrap();
    let (code, said) = machines.check("printed", &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("holds: entries 3 to 8 of riverton.example/ledger"), "{said}");
    let out = machines.out("written");
    let written = [range.as_slice(), &["--out", out.to_str().unwrap()]].concat();
    assert_eq!(run(machines.here.path(), &written).0, 0);
    assert_eq!(std::fs::read(&out).unwrap(), printed.stdout);
    let (code, said) = run(machines.here.path(), &written);
    assert_eq!(code, 1, "what is there is never written over: {said}");
    assert_eq!(std::fs::read(&out).unwrap(), printed.stdout);
    let (_, said) = run(machines.here.path(), &[range.as_slice(), &["--json"]].concat());
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["from"], &said["to"]), (&3.into(), &9.into()));
    assert_eq!(said["evidence"].as_str().unwrap().as_bytes(), printed.stdout);
}

#[test]
fn what_was_changed_on_the_way_is_refused_with_its_place() {
    let machines = Machines::new();
    let range = ["export", "ledger", "--from", "3", "--to", "9"];
    let text = String::from_utf8(bailiwick(machines.here.path(), &range).stdout).unwrap();
    let check = |name: &str, text: &str, expected: &str| {
        std::fs::write(machines.out(name), text).unwrap();
        let (code, said) = machines.check(name, &[]);
        assert_eq!(code, 1, "{name}: {said}");
        assert!(said.starts_with("does not hold: ") && said.contains(expected), "{name}: {said}");
        let (code, said) = machines.check(name, &["--json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((code, &said["verified"]), (1, &false.into()));
        said
    };
    let lines: Vec<&str> = text.lines().collect();
    let entry = lines.iter().position(|line| line.starts_with("entry ")).unwrap();
    let mut swapped = lines.clone();
    swapped.swap(entry, entry + 1);
    let said =
        check("swapped", &(swapped.join("\n") + "\n"), "entry 3 is not the one of its place");
    assert_eq!(said["entry"], 3);
    let mut cut = lines.clone();
    cut.remove(entry + 2);
    assert_eq!(check("cut", &(cut.join("\n") + "\n"), "entry 5")["entry"], 5);
    let mut spoilt = lines.clone();
    spoilt[entry] = "entry !!!";
    let said = check("spoilt", &(spoilt.join("\n") + "\n"), &format!("line {}", entry + 1));
    assert_eq!(said["line"], entry as u64 + 1);
    let half: String = text.chars().take(text.len() / 2).collect();
    check("half", &half, "line ");
    check("signature", &text.replace("\n12\n", "\n13\n"), "the checkpoint does not hold");
    check("empty", "", "line 1");
}

#[test]
fn evidence_under_another_key_or_without_one_proves_nothing() {
    let machines = Machines::new();
    let out = machines.out("entry");
    let prove = ["prove", "ledger", "0", "--out", out.to_str().unwrap()];
    assert_eq!(run(machines.here.path(), &prove).0, 0);
    let other = keys::sign::Ed25519Key::from_seed([8; 32]).unwrap();
    let other = ledger::note::VerifierKey {
        name: "riverton.example/ledger".to_owned(),
        public: other.public(),
    };
    let (code, said) = run(machines.there.path(), &["check", "entry", "--key", &other.to_string()]);
    assert_eq!(code, 1);
    assert!(said.contains("no signature by the expected key"), "{said}");
    assert_eq!(run(machines.there.path(), &["check", "entry"]).0, 2);
    let (code, said) = run(machines.there.path(), &["check", "entry", "--key", "a+b+c"]);
    assert_eq!(code, 1);
    assert!(said.contains("not a verifier key"), "{said}");
    let (code, said) = machines.check("absent", &[]);
    assert_eq!(code, 1);
    assert!(said.contains("could not read `absent`"), "{said}");
}

#[test]
fn nothing_is_proved_from_a_damaged_ledger_or_beyond_its_end() {
    let machines = Machines::new();
    let here = machines.here.path();
    let (code, said) = run(here, &["prove", "ledger", "12"]);
    assert_eq!(code, 1);
    assert!(said.contains("the ledger has 12 entries; there is no entry 12"), "{said}");
    let (code, said) = run(here, &["export", "ledger", "--from", "4", "--to", "13"]);
    assert_eq!(code, 1);
    assert!(said.contains("the ledger has 12 entries"), "{said}");
    assert_eq!(run(here, &["export", "ledger", "--from", "4"]).0, 2);
    let log = machines.ledger().join("log/00000000.seg");
    let mut bytes = std::fs::read(&log).unwrap();
    let at = bytes.iter().position(|byte| *byte != 0).unwrap();
    bytes[at + 300] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    // The journal still has the newest batches and would mend what it covers.
    std::fs::write(machines.ledger().join("journal"), vec![0; 1 << 16]).unwrap();
    let out = machines.out("none");
    let (code, said) = run(here, &["prove", "ledger", "3", "--out", out.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(said.contains("`log/00000000.seg` at byte"), "{said}");
    assert!(!out.exists());
    let (code, said) = run(here, &["prove", "ledger", "3", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["file"]), (1, &"log/00000000.seg".into()));
}

#[test]
fn a_ledger_is_verified_against_what_an_auditor_kept() {
    let machines = Machines::new();
    let here = machines.here.path();
    let (code, said) = run(here, &["verify", "ledger", "--json"]);
    let kept: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, kept["size"].as_u64()), (0, Some(12)));
    let note = kept["checkpoint"].as_str().unwrap();
    std::fs::write(machines.here.path().join("kept.note"), note).unwrap();
    let against = ["verify", "ledger", "--expect-checkpoint", "kept.note", "--resume", "progress"];
    let (code, said) = run(here, &against);
    assert_eq!(code, 0, "{said}");
    assert!(!here.join("progress").exists(), "all of it holds: nothing to go on with");
    std::fs::write(here.join("kept.note"), note.replace("\n12\n", "\n13\n")).unwrap();
    let (code, said) = run(here, &against);
    assert_eq!(code, 1);
    assert!(said.contains("`the expected checkpoint` at byte 0: the signature"), "{said}");
}
