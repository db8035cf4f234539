//! A ledger in PostgreSQL as an agency sets it up: over TLS, by a role of its own, and out again as a folder.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use keys::cert::{CertSpec, Certificate, Usage, issue};
use keys::keyring::{Keyring, create_master, read_master};
use keys::mac::MacKey;
use keys::seal::SealingKey;
use keys::sign::P384Key;
use keys::{Clock as _, SystemClock, SystemRandom};
use ledger::{
    DatabaseError, Event, IndexKeys, Ledger, LedgerKeys, OpenError, Record, Settings, Waits,
};
use testkit::Postgres;
use web::config::Config;

const PASSWORD: &str = "correct horse battery staple";
const SETUP: &str = "create role bailiwick_ledger login password 'correct horse battery staple'; \
                     create database bailiwick_ledger owner bailiwick_ledger;";
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

[ledger.postgres]
host = "localhost"
port = PORT
database = "bailiwick_ledger"
user = "bailiwick_ledger"
password_file = "password"
ca_file = "ca.pem"

[[identity_provider]]
id = "riverton-idp"
label = "Riverton"
metadata = "idp.xml"
mfa_contexts = ["https://refeds.org/profile/mfa"]
"#;

fn certify(
    name: &str,
    usage: Usage,
    issuer: Option<(&Certificate, &P384Key)>,
) -> (Certificate, P384Key) {
    let now = SystemClock.now();
    let dns = if usage == Usage::TlsServer { vec![name.to_owned()] } else { Vec::new() };
    let spec = CertSpec {
        subject_cn: name.to_owned(),
        organisation: "Bailiwick tests".to_owned(),
        not_before: now - jiff::SignedDuration::from_mins(5),
        not_after: now + jiff::SignedDuration::from_hours(1),
        usage,
        dns,
        ips: Vec::new(),
        uris: Vec::new(),
    };
    let key = P384Key::generate().unwrap();
    (issue(&spec, &key, issuer, &SystemRandom).unwrap(), key)
}

/// An agency's machine, and the database server.
struct Agency {
    postgres: Postgres,
    folder: tempfile::TempDir,
}

impl Agency {
    async fn new() -> Option<Self> {
        let (authority, key) = certify("Test Authority", Usage::Ca, None);
        let (server, server_key) = certify("localhost", Usage::TlsServer, Some((&authority, &key)));
        let server_key = keys::cert::private_key_pem(&server_key.to_pkcs8());
        let started = Postgres::start(&server.pem(), &server_key, PASSWORD).await.unwrap();
        let agency = Self { postgres: started?, folder: tempfile::tempdir().unwrap() };
        let port = agency.postgres.port.to_string();
        agency.write("bailiwick.toml", &CONFIG.replace("PORT", &port));
        agency.write("ca.pem", &authority.pem());
        agency.write("other-ca.pem", &certify("Another Authority", Usage::Ca, None).0.pem());
        agency.write("password", &format!("{PASSWORD}\n"));
        agency.permit("password", 0o600);
        std::fs::create_dir(agency.path("data")).unwrap();
        create_master(&agency.path("master.key"), &SystemRandom).unwrap();
        agency.sql(SETUP).await;
        Some(agency)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn permit(&self, name: &str, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.path(name), mode).unwrap();
    }

    async fn sql(&self, sql: &str) {
        let file = self.path("script.sql");
        std::fs::write(&file, sql.replace("; ", ";\n")).unwrap();
        self.postgres.run("postgres", PASSWORD, &file).await.unwrap();
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
        Ledger::open_shared(dial.unwrap(), Waits::default(), settings, keys, clock, random)
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        let output = command.arg("ledger").args(arguments).current_dir(self.folder.path());
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
        self.write("bailiwick.toml", &text.replace(from, to));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_in_postgresql_is_set_up_recorded_to_and_exported() {
    let Some(agency) = Agency::new().await else { return };
    let refused = agency.open().unwrap_err();
    let OpenError::Database { source } = refused else { panic!("{refused}") };
    assert!(matches!(*source, DatabaseError::Setting { setting: "fsync", .. }), "{source}");

    agency.sql("alter system set fsync = on; select pg_reload_conf();").await;
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

    agency.permit("password", 0o644);
    let (code, said) = agency.export("second");
    assert!(code == 1 && said.contains("password"), "{code}: {said}");
    agency.permit("password", 0o600);
    agency.change("ca.pem", "other-ca.pem");
    let (code, said) = agency.export("third");
    assert!(code == 1 && said.contains("could not reach the database"), "{code}: {said}");
    assert!(!Path::is_dir(&agency.path("third")), "nothing is left of a try that failed");
}
