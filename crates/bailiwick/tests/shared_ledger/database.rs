//! A PostgreSQL server that speaks TLS, with a role and a database for a ledger.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use keys::cert::{CertSpec, Certificate, Usage, issue};
use keys::sign::P384Key;
use keys::{Clock as _, SystemClock, SystemRandom};
use testkit::Postgres;

const PASSWORD: &str = "correct horse battery staple";
const SETUP: &str = "create role bailiwick_ledger login password 'correct horse battery staple'; \
                     create database bailiwick_ledger owner bailiwick_ledger;";

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

/// The server, and a folder with what is needed to reach it.
pub(crate) struct Database {
    postgres: Postgres,
    folder: tempfile::TempDir,
}

impl Database {
    /// `None` where there is no PostgreSQL. It may forget what it confirmed until it is told not to.
    pub(crate) async fn start() -> Option<Self> {
        let (authority, key) = certify("Test Authority", Usage::Ca, None);
        let (server, server_key) = certify("localhost", Usage::TlsServer, Some((&authority, &key)));
        let server_key = keys::cert::private_key_pem(&server_key.to_pkcs8());
        let started = Postgres::start(&server.pem(), &server_key, PASSWORD).await.unwrap();
        let database = Self { postgres: started?, folder: tempfile::tempdir().unwrap() };
        let other = certify("Another Authority", Usage::Ca, None).0.pem();
        let password = format!("{PASSWORD}\n");
        for (name, text) in
            [("ca.pem", &authority.pem()), ("other-ca.pem", &other), ("password", &password)]
        {
            std::fs::write(database.path(name), text).unwrap();
        }
        let secret = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(database.path("password"), secret).unwrap();
        database.sql(SETUP).await;
        Some(database)
    }

    /// A file in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What an agency's configuration says of it.
    pub(crate) fn settings(&self) -> String {
        let (port, path) = (self.postgres.port, |name| self.path(name).display().to_string());
        format!(
            "\n[ledger.postgres]\nhost = \"localhost\"\nport = {port}\n\
             database = \"bailiwick_ledger\"\nuser = \"bailiwick_ledger\"\n\
             password_file = \"{}\"\nca_file = \"{}\"\n",
            path("password"),
            path("ca.pem"),
        )
    }

    pub(crate) async fn keep_what_is_confirmed(&self) {
        self.sql("alter system set fsync = on; select pg_reload_conf();").await;
    }

    /// Runs SQL as the server's owner, a statement at a time.
    async fn sql(&self, sql: &str) {
        let file = self.path("script.sql");
        std::fs::write(&file, sql.replace("; ", ";\n")).unwrap();
        self.postgres.run("postgres", PASSWORD, &file).await.unwrap();
    }
}
