//! A PostgreSQL server that speaks TLS, with a role and a database for a ledger.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use keys::cert::{CertSpec, Certificate, Usage, issue};
use keys::sign::P384Key;
use keys::{Clock as _, SystemClock, SystemRandom};
use testkit::Postgres;

const PASSWORD: &str = "correct horse battery staple";
/// What an operator is told to do, which is done here.
const GUIDE: &str = include_str!("../../../../docs/ledger-postgres.md");

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
        database.sql("postgres", &block("create role bailiwick_ledger_owner")).await.unwrap();
        Some(database)
    }

    /// Gives the role that runs what it needs, once the owner has made the tables.
    pub(crate) async fn grant(&self) {
        self.sql("bailiwick_ledger", &block("grant usage on schema")).await.unwrap();
    }

    /// Whether the role that runs may do this.
    pub(crate) async fn permits(&self, sql: &str) -> bool {
        let sql = format!("set role bailiwick_ledger;\nbegin;\n{sql};\nrollback;\n");
        let done = self.sql("bailiwick_ledger", &sql).await;
        let refused =
            |words: &str| words.contains("permission denied") || words.contains("must be owner");
        let error = done.err().map(|it| it.to_string());
        assert!(error.as_deref().is_none_or(refused), "{error:?}");
        error.is_none()
    }

    /// Dumps the database, and puts the dump back as another one.
    pub(crate) async fn dump_and_restore(&self, to: &str) {
        let file = self.path("ledger.dump").display().to_string();
        let run = |program, arguments: Vec<String>| async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            self.postgres.client(program, PASSWORD, &arguments).await.unwrap();
        };
        let out = format!("--file={file}");
        run("pg_dump", vec!["--format=custom".into(), out, "bailiwick_ledger".into()]).await;
        run("createdb", vec!["--owner=bailiwick_ledger_owner".into(), to.to_owned()]).await;
        run("pg_restore", vec![format!("--dbname={to}"), file]).await;
    }

    /// A file in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What an agency's configuration says of it.
    pub(crate) fn settings(&self) -> String {
        // The owner, who makes the tables.
        let (port, path) = (self.postgres.port, |name| self.path(name).display().to_string());
        format!(
            "\n[ledger.postgres]\nhost = \"localhost\"\nport = {port}\n\
             database = \"bailiwick_ledger\"\nuser = \"bailiwick_ledger_owner\"\n\
             password_file = \"{}\"\nca_file = \"{}\"\n",
            path("password"),
            path("ca.pem"),
        )
    }

    pub(crate) async fn keep_what_is_confirmed(&self) {
        let sql = "alter system set fsync = on;\nselect pg_reload_conf();";
        self.sql("postgres", sql).await.unwrap();
    }

    /// Runs SQL as the server's owner, a statement at a time.
    async fn sql(&self, database: &str, sql: &str) -> anyhow::Result<()> {
        let file = self.path("script.sql");
        std::fs::write(&file, sql).unwrap();
        self.postgres.run(database, PASSWORD, &file).await
    }
}

/// The block of SQL in the guide that begins so, with the test's password.
fn block(begins: &str) -> String {
    let mut blocks = GUIDE.split("```sql\n").filter_map(|it| it.split("```").next());
    let found = blocks.find(|it| it.starts_with(begins)).unwrap();
    found.replace("change-me", PASSWORD)
}
