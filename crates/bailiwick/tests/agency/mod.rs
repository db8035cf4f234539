//! An agency's machine for tests of commands that work on its ledger.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use keys::keyring::{Keyring, create_master};
use keys::mac::MacKey;
use keys::seal::SealingKey;
use keys::{Clock, FixedClock, SystemRandom};
use ledger::{Event, IndexKeys, Ledger, LedgerKeys, Record, Settings, Who};
use serde_json::Value;
use tempfile::TempDir;

const CONFIG: &str = r#"
[agency]
name = "Riverton Police Department"
ori = "NB0010100"

[listen]
pages = "127.0.0.1:0"
public_url = "http://127.0.0.1:8080"

[data]
folder = "data"
master_key = "master.key"

[ledger]
origin = "riverton.example/ledger"
segment_bytes = 1048576
capacity_warn_percent = 100

[[identity_provider]]
id = "riverton-idp"
label = "Riverton"
metadata = "idp.xml"
mfa_contexts = ["https://refeds.org/profile/mfa"]
create_accounts = true
"#;

/// An agency's machine, whose server is stopped; its ledger has 9 entries.
pub(crate) struct Agency(pub(crate) TempDir);

impl Agency {
    pub(crate) fn new(now: &str) -> Self {
        let agency = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(agency.path("data")).unwrap();
        std::fs::write(agency.path("bailiwick.toml"), CONFIG).unwrap();
        create_master(&agency.path("master.key"), &SystemRandom).unwrap();
        let ledger = agency.open(now);
        for number in 0..9 {
            ledger.enqueue(record(number)).unwrap().wait().unwrap();
        }
        std::fs::write(agency.path("vkey"), ledger.verifier_key()).unwrap();
        ledger.close().unwrap();
        agency
    }

    /// Opens the ledger, as the server does.
    pub(crate) fn open(&self, now: &str) -> Ledger {
        let index = self.ring().secret("ledger-index", &SystemRandom).unwrap();
        let clock = FixedClock::new(now.parse().unwrap());
        self.open_with(Arc::new(clock), IndexKeys::one(MacKey::from_bytes(index)))
    }

    /// As `open`, with these index keys.
    pub(crate) fn open_with(&self, clock: Arc<dyn Clock>, index: IndexKeys) -> Ledger {
        let ring = self.ring();
        let keys = LedgerKeys {
            signer: ring.ed25519("ledger-signer", &SystemRandom).unwrap(),
            body: SealingKey::from_bytes(ring.secret("ledger-body", &SystemRandom).unwrap()),
            index,
        };
        let folder = self.path("data/ledger");
        let settings = Settings {
            segment_bytes: 1 << 20,
            capacity_warn_percent: 100,
            journal_bytes: 256 << 10,
            ..Settings::new(&folder, "riverton.example/ledger", "NB0010100")
        };
        Ledger::open_or_create(settings, keys, clock, Arc::new(SystemRandom)).unwrap()
    }

    /// The agency's keys.
    pub(crate) fn ring(&self) -> Keyring {
        let master = keys::keyring::read_master(&self.path("master.key")).unwrap();
        Keyring::open(&self.path("data/keys"), &master).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        let output = command.arg("ledger").args(arguments).current_dir(self.0.path());
        let output = output.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// How many entries the ledger has, by its own verification.
    pub(crate) fn size(&self) -> u64 {
        let (code, said, error) = self.run(&["verify", "data/ledger", "--json"]);
        assert_eq!(code, 0, "{said}{error}");
        let said: Value = serde_json::from_str(&said).unwrap();
        said.get("size").and_then(Value::as_u64).unwrap()
    }
}

/// What its entries say, but for their count.
pub(crate) fn record(number: u64) -> Record {
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
