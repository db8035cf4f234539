//! A ledger in PostgreSQL as an agency sets it up: over TLS, by a role of its own, and out again as a folder; and
//! two equal processes of an agency on it.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod database;
#[cfg(feature = "demo")]
mod story;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use keys::keyring::{Keyring, create_master, read_master};
use keys::mac::MacKey;
use keys::seal::SealingKey;
use keys::{SystemClock, SystemRandom};
use ledger::{DatabaseError, Event, IndexKeys, Ledger, LedgerKeys, OpenError, Record, Settings};
use web::config::Config;

use crate::database::Database;

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

[[identity_provider]]
id = "riverton-idp"
label = "Riverton"
metadata = "idp.xml"
mfa_contexts = ["https://refeds.org/profile/mfa"]
create_accounts = true
"#;

/// An agency's machine, and the database server.
struct Agency(Database);

impl Agency {
    async fn new() -> Option<Self> {
        let agency = Self(Database::start().await?);
        std::fs::write(agency.path("bailiwick.toml"), CONFIG.to_owned() + &agency.0.settings())
            .unwrap();
        std::fs::create_dir(agency.path("data")).unwrap();
        create_master(&agency.path("master.key"), &SystemRandom).unwrap();
        Some(agency)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn permit(&self, name: &str, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.path(name), mode).unwrap();
    }

    /// Opens the ledger, as the server does.
    fn open(&self) -> Result<Ledger, OpenError> {
        let config = Config::read(&self.path("bailiwick.toml")).unwrap();
        let master = read_master(&config.data.master_key).unwrap();
        let ring = Keyring::open(&config.data.folder.join("keys"), &master).unwrap();
        let secret = |name| ring.secret(name, &SystemRandom).unwrap();
        let keys = LedgerKeys {
            signer: ring.ed25519("ledger-signer", &SystemRandom).unwrap(),
            body: SealingKey::from_bytes(secret("ledger-body")),
            index: IndexKeys::one(MacKey::from_bytes(secret("ledger-index"))),
        };
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let dial = web::shared_ledger::dial(&config.ledger.postgres.unwrap(), clock.clone());
        let folder = config.data.folder.join("ledger");
        let settings = Settings {
            // No alarm on a machine that is full.
            capacity_warn_percent: 100,
            ..Settings::new(&folder, &config.ledger.origin, config.agency.ori.as_str())
        };
        Ledger::open_shared(ledger::Database::new(dial.unwrap()), settings, keys, clock, random)
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        let output = command.arg("ledger").args(arguments).current_dir(self.path(""));
        let output = output.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    fn export(&self, to: &str) -> (i32, String) {
        self.run(&["export-folder", "--config", "bailiwick.toml", to])
    }

    fn change(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("bailiwick.toml")).unwrap();
        assert!(text.contains(from));
        std::fs::write(self.path("bailiwick.toml"), text.replace(from, to)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_in_postgresql_is_set_up_recorded_to_and_exported() {
    let Some(agency) = Agency::new().await else { return };
    let refused = agency.open().unwrap_err();
    let OpenError::Database { source } = refused else { panic!("{refused}") };
    assert!(matches!(*source, DatabaseError::Setting { setting: "fsync", .. }), "{source}");

    agency.0.keep_what_is_confirmed().await;
    let ledger = loop {
        match agency.open() {
            Ok(ledger) => break ledger,
            // The server is still about to read its settings.
            Err(OpenError::Database { source }) if source.to_string().contains("fsync") => {}
            Err(other) => panic!("{other}"),
        }
    };
    for count in 0..9 {
        let event = Event::AuditRead { what: "timeline".to_owned(), count };
        ledger.append(Record::platform(event)).await.unwrap();
    }
    assert!(Path::is_dir(&agency.path("data/ledger/index")));
    // Beside the open ledger.
    let (code, said) = agency.export("exported");
    assert_eq!((code, said.trim()), (0, "9 entries were written to `exported`"));
    let key = ledger.verifier_key();
    let (code, said) = agency.run(&["verify", "exported", "--expect-size", "9", "--key", &key]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = agency.export("exported");
    assert!(code == 1 && said.contains("there is something in"), "{code}: {said}");
    ledger.close().unwrap();
    drop(ledger);

    // From here on with the role that can only add.
    agency.0.grant().await;
    agency.change("bailiwick_ledger_owner", "bailiwick_ledger");
    agency.0.dump_and_restore("restored").await;
    let ledger = agency.open().unwrap();
    let event = Event::AuditRead { what: "timeline".to_owned(), count: 9 };
    ledger.append(Record::platform(event)).await.unwrap();
    assert_eq!(ledger.verify().unwrap().result, Ok(()));
    ledger.close().unwrap();
    for table in [
        "frames",
        "bodies",
        "bucket_keys",
        "checkpoints",
        "ledger",
        "head",
        "tiles",
        "objects",
        "envelopes",
    ] {
        let table = format!("bailiwick_ledger.{table}");
        assert!(!agency.0.permits(&format!("delete from {table}")).await, "{table}");
        assert!(!agency.0.permits(&format!("truncate {table}")).await, "{table}");
        assert!(!agency.0.permits(&format!("drop table {table}")).await, "{table}");
    }
    for change in ["frames set bytes = ''", "bodies set record = ''", "bucket_keys set file = ''"] {
        assert!(!agency.0.permits(&format!("update bailiwick_ledger.{change}")).await, "{change}");
    }
    let (code, said) = agency.run(&["index", "--config", "bailiwick.toml"]);
    assert!(code == 1 && said.contains("`bailiwick ledger export-folder` makes one"), "{said}");

    // A dump that is put back is whole, and older than what this machine has seen.
    agency.change("database = \"bailiwick_ledger\"", "database = \"restored\"");
    agency.change("user = \"bailiwick_ledger\"", "user = \"postgres\"");
    let (code, said) = agency.export("from-dump");
    assert_eq!((code, said.trim()), (0, "9 entries were written to `from-dump`"));
    assert_eq!(agency.run(&["verify", "from-dump", "--expect-size", "9", "--key", &key]).0, 0);
    let refused = agency.open().unwrap_err();
    assert!(matches!(refused, OpenError::WoundBack { have: 9, seen: 10 }), "{refused}");

    agency.permit("password", 0o644);
    let (code, said) = agency.export("unsafe");
    assert!(code == 1 && said.contains("password"), "{code}: {said}");
    agency.permit("password", 0o600);
    agency.change("ca.pem", "other-ca.pem");
    let (code, said) = agency.export("third");
    assert!(code == 1 && said.contains("could not reach the database"), "{code}: {said}");
    assert!(!Path::is_dir(&agency.path("third")), "nothing is left of a try that failed");
}
