//! `bailiwick ledger archive`, as an operator runs it from a timer and an auditor verifies it without the ledger.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of a test fails as the test does"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use keys::keyring::{Keyring, create_master, read_master};
use keys::mac::MacKey;
use keys::seal::SealingKey;
use keys::{SystemClock, SystemRandom};
use ledger::{EntryNumber, Event, IndexKeys, Ledger, LedgerKeys, Record, Settings, StoredRecord};
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
segment_bytes = 262144
capacity_warn_percent = 100

[ledger.archive]
kind = "folder"
folder = "archive"

[[identity_provider]]
id = "riverton-idp"
label = "Riverton"
metadata = "idp.xml"
mfa_contexts = ["https://refeds.org/profile/mfa"]
create_accounts = true
"#;

/// An agency's machine with a ledger, one segment of whose log is closed.
struct Agency(TempDir);

impl Agency {
    fn new() -> Self {
        let agency = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(agency.path("data")).unwrap();
        std::fs::write(agency.path("bailiwick.toml"), CONFIG).unwrap();
        create_master(&agency.path("master.key"), &SystemRandom).unwrap();
        let ledger = agency.open();
        std::fs::write(agency.path("vkey"), ledger.verifier_key()).unwrap();
        let record =
            |count| Record::platform(Event::AuditRead { what: "timeline".to_owned(), count });
        while !agency.path("data/ledger/log/00000001.seg").exists() {
            let waiting: Vec<_> =
                (0..500).map(|count| ledger.enqueue(record(count)).unwrap()).collect();
            waiting.into_iter().for_each(|it| assert!(it.wait().is_ok()));
        }
        ledger.close().unwrap();
        agency
    }

    /// Opens the ledger, as the server does.
    fn open(&self) -> Ledger {
        let master = read_master(&self.path("master.key")).unwrap();
        let ring = Keyring::open(&self.path("data/keys"), &master).unwrap();
        let secret = |name| ring.secret(name, &SystemRandom).unwrap();
        let keys = LedgerKeys {
            signer: ring.ed25519("ledger-signer", &SystemRandom).unwrap(),
            body: SealingKey::from_bytes(secret("ledger-body")),
            index: IndexKeys::one(MacKey::from_bytes(secret("ledger-index"))),
        };
        let folder = self.path("data/ledger");
        let settings = Settings {
            segment_bytes: 256 << 10,
            capacity_warn_percent: 100,
            ..Settings::new(&folder, "riverton.example/ledger", "NB0010100")
        };
        Ledger::open_or_create(settings, keys, Arc::new(SystemClock), Arc::new(SystemRandom))
            .unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The exit code and what was printed.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        let output = command.arg("ledger").args(arguments).current_dir(self.0.path());
        let output = output.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    fn archive(&self, more: &[&str]) -> (i32, String) {
        self.run(&[&["archive", "--config", "bailiwick.toml"], more].concat())
    }

    fn archived(&self, more: &[&str]) -> Value {
        let (code, said) = self.archive(&[more, &["--json"]].concat());
        assert_eq!(code, 0, "{said}");
        serde_json::from_str(&said).unwrap()
    }

    fn size(&self) -> u64 {
        let (code, said) = self.run(&["verify", "data/ledger", "--json"]);
        assert_eq!(code, 0, "{said}");
        let said: Value = serde_json::from_str(&said).unwrap();
        said["size"].as_u64().unwrap()
    }

    fn change(&self, name: &str) {
        let mut bytes = std::fs::read(self.path(name)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(self.path(name), bytes).unwrap();
    }
}

#[test]
fn an_archive_is_made_once_beside_the_running_server_and_verified_without_the_ledger() {
    let agency = Agency::new();
    // The server runs: it holds the ledger open.
    let ledger = agency.open();
    let done = agency.archived(&[]);
    assert!(done["segments"].as_u64().unwrap() >= 2, "{done}");
    let size = done["size"].as_u64().unwrap().to_string();
    assert_eq!(agency.archived(&[])["segments"], 0);
    ledger.close().unwrap();
    let mode = std::fs::metadata(agency.path("archive")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);

    // The auditor has the archive, and from elsewhere the key and a size.
    std::fs::remove_dir_all(agency.path("data")).unwrap();
    let verify = ["archive", "--folder", "archive", "--verify", "--key", "vkey"];
    let with = |more: &[&str]| agency.run(&[&verify, more].concat());
    let (code, said) = with(&["--expect-size", &size]);
    assert_eq!(code, 0, "{said}");
    let expected = format!("holds: riverton.example/ledger has {size} entries");
    assert!(said.starts_with(&expected), "{said}");
    let (code, said) = with(&["--expect-size", "1000000", "--json"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("\"verified\":false") && said.contains("1000000"), "{said}");

    agency.change("archive/parquet/00000000.parquet");
    let (code, said) = with(&[]);
    let expected = "does not hold: `parquet/00000000.parquet` is not what was archived\n";
    assert_eq!((code, said.as_str()), (1, expected));
}

#[test]
fn content_goes_into_the_archive_after_that_is_on_record_or_not_at_all() {
    let agency = Agency::new();
    let taken = ["--with-content", "--by", "R. Stone", "--reason", "yearly report"];
    let size = agency.size();
    let (code, said) = agency.archive(&["--with-content"]);
    assert_eq!(code, 2, "without a name and a reason: {said}");

    // While the server runs nobody else can record; so nothing is written.
    let ledger = agency.open();
    let (code, said) = agency.archive(&taken);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the ledger cannot record this"), "{said}");
    assert!(!agency.path("archive/content").exists() && !agency.path("archive/log").exists());
    ledger.close().unwrap();

    agency.archived(&taken);
    assert!(agency.path("archive/content").exists());
    let ledger = agency.open();
    let records = (size..ledger.size()).map(|number| ledger.read(EntryNumber(number)).unwrap());
    let says = |record: &StoredRecord| match &record.event {
        Event::AuditRead { what, .. } => what.contains("into the archive in the clear"),
        _ => false,
    };
    let said: Vec<_> = records.map(|entry| entry.record).filter(says).collect();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].why.reason.as_deref(), Some("yearly report"));
    ledger.close().unwrap();
}

#[test]
fn what_cannot_be_archived_is_said_and_nothing_is_made() {
    let agency = Agency::new();
    let config = CONFIG.replace("[ledger.archive]\nkind = \"folder\"\nfolder = \"archive\"\n", "");
    std::fs::write(agency.path("none.toml"), config).unwrap();
    let (code, said) = agency.run(&["archive", "--config", "none.toml"]);
    assert_eq!(code, 1);
    assert!(said.contains("the configuration has no `[ledger.archive]`"), "{said}");

    let config = CONFIG.replace("folder = \"data\"", "folder = \"elsewhere\"");
    std::fs::write(agency.path("elsewhere.toml"), config).unwrap();
    let (code, said) = agency.run(&["archive", "--config", "elsewhere.toml"]);
    assert_eq!(code, 1);
    assert!(said.contains("there is no ledger in"), "{said}");
    assert!(!agency.path("elsewhere").exists() && !agency.path("archive").exists());

    agency.change("data/ledger/log/00000000.seg");
    let (code, said) = agency.archive(&[]);
    assert_eq!(code, 1);
    assert!(said.contains("log/00000000.seg"), "{said}");
    assert!(!agency.path("archive/ledger").exists(), "nothing of a ledger that does not hold");
}
