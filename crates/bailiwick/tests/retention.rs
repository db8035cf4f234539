//! `bailiwick retention`: holds and disposal on a stopped server's ledger.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use keys::keyring::{Keyring, create_master, read_master};
use keys::mac::MacKey;
use keys::seal::SealingKey;
use keys::{FixedClock, SystemRandom};
use ledger::{Event, IndexKeys, Ledger, LedgerKeys, Reason, Record, Settings};
use serde_json::Value;
use tempfile::TempDir;

/// An agency's machine, whose server is stopped. Its ledger has three entries from long ago, one of
/// them about a case.
struct Agency(TempDir);

impl Agency {
    fn new() -> Self {
        let agency = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(agency.path("data")).unwrap();
        let config = include_str!("../../../bailiwick.example.toml");
        std::fs::write(agency.path("bailiwick.toml"), config).unwrap();
        create_master(&agency.path("master.key"), &SystemRandom).unwrap();
        let ledger = agency.open();
        for number in 0..3 {
            let event = Event::AuditRead { what: "timeline".to_owned(), count: number };
            let case_number = (number == 1).then(|| "24-000113".to_owned());
            let why = Reason { case_number, ..Reason::default() };
            ledger.enqueue(Record { why, ..Record::platform(event) }).unwrap().wait().unwrap();
        }
        ledger.close().unwrap();
        agency
    }

    /// Opens the ledger, as the server did long ago.
    fn open(&self) -> Ledger {
        let ring =
            Keyring::open(&self.path("data/keys"), &read_master(&self.path("master.key")).unwrap());
        let ring = ring.unwrap();
        let index = MacKey::from_bytes(ring.secret("ledger-index", &SystemRandom).unwrap());
        let keys = LedgerKeys {
            signer: ring.ed25519("ledger-signer", &SystemRandom).unwrap(),
            body: SealingKey::from_bytes(ring.secret("ledger-body", &SystemRandom).unwrap()),
            index: IndexKeys::one(index),
        };
        let folder = self.path("data/ledger");
        let settings = Settings::new(&folder, "riverton.example/ledger", "NB0010100");
        let clock = Arc::new(FixedClock::new("2020-03-01T10:00:00Z".parse().unwrap()));
        Ledger::open_or_create(settings, keys, clock, Arc::new(SystemRandom)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        let command = command.arg("retention").args(arguments).current_dir(self.0.path());
        let output = command.args(["--config", "bailiwick.toml"]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, said, error) = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(code, 0, "{said}{error}");
        serde_json::from_str(&said).unwrap()
    }
}

const STONE: [&str; 4] = ["--by", "R. Stone", "--authority", "Records schedule 12-3"];

#[test]
fn what_is_due_goes_but_for_what_a_hold_keeps() {
    let agency = Agency::new();
    let hold = [["hold", "lit-1", "--case", "24-000113"].as_slice(), &STONE].concat();
    assert!(agency.json(&hold).get("entry").is_some_and(Value::is_u64));
    let due = agency.json(&["due"]);
    let first = due.pointer("/due/0/bucket").and_then(Value::as_str);
    assert_eq!((first, due.pointer("/due/1")), (Some("standard-2023-03"), None));

    let dispose = [["dispose", "--all-due"].as_slice(), &STONE].concat();
    let done = agency.json(&dispose);
    let number = |pointer: &str| done.pointer(pointer).and_then(Value::as_u64);
    // A nearly full disk has an alarm among the entries of that month.
    assert!(matches!(
        (number("/disposed/0/count"), number("/disposed/0/kept")),
        (Some(2..), Some(1))
    ));

    let (code, said, error) = agency.run(&["list"]);
    assert_eq!(code, 0, "{error}");
    assert!(said.contains("hold lit-1 on case 24-000113: in force, entry "), "{said}");
    assert!(said.contains("entries disposed of, entry "), "{said}");
    assert!(said.contains("held-0001-standard-2023-03: 1 entries, due 2023-04-01"), "{said}");

    // Held: nothing more goes, until the hold is released.
    let held = [["dispose", "held-0001-standard-2023-03"].as_slice(), &STONE].concat();
    let (code, said, _) = agency.run(&held);
    assert_eq!(
        (code, said.as_str()),
        (0, "held-0001-standard-2023-03: holds keep all that is left\n")
    );
    let release = [["release", "lit-1"].as_slice(), &STONE].concat();
    assert_eq!(agency.run(&release).0, 0);
    let (code, said, _) = agency.run(&held);
    assert!(code == 0 && said.contains("1 entries disposed of, 0 kept"), "{said}");
}

#[test]
fn what_may_not_be_done_is_refused_with_words() {
    let agency = Agency::new();
    let refused = |arguments: &[&str], code: i32, words: &str| {
        let (found, said, error) = agency.run(arguments);
        assert!(found == code && format!("{said}{error}").contains(words), "{said}{error}");
    };
    let with = |arguments: &[&'static str]| [arguments, &STONE].concat();
    refused(&with(&["dispose", "standard-2999-01"]), 1, "there is no bucket standard-2999-01");
    refused(&with(&["dispose", "permanent-9999-12"]), 1, "never disposed of");
    refused(&with(&["dispose", "nonsense"]), 1, "no bucket's name");
    refused(&with(&["release", "lit-1"]), 1, "there is no hold `lit-1`");
    refused(&with(&["hold", "Lit", "--case", "1"]), 1, "lower-case letters");
    refused(&with(&["hold", "lit", "--subject", "ship:1"]), 1, "KIND is person");
    refused(&with(&["hold", "lit"]), 2, "required");
    refused(&with(&["dispose"]), 2, "required");
    refused(&["dispose", "--all-due", "--by", " ", "--authority", "x"], 1, "give the name");

    // A running server has the ledger to itself.
    let ledger = agency.open();
    refused(&["due"], 1, "Stop its server");
    ledger.close().unwrap();
    assert_eq!(agency.run(&["due"]).0, 0);
}
