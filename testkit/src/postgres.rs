//! A PostgreSQL server of the test's own: fresh cluster, free port, TLS with the test's certificate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Process, free_port, need};

/// Ends, and takes its folder with it, when dropped.
pub struct Postgres {
    pub port: u16,
    server: Process,
    cluster: Cluster,
    settings: Vec<String>,
    /// Beside the system's other temporary files: the path of a socket must be short.
    sockets: TempDir,
}

/// The one person of the cluster; loopback alone is trusted, and only over TLS.
const OWNER: &str = "postgres";
/// What a server prints when it takes connections that may write.
const READY: &str = "ready to accept connections";
const READY_WAIT_MAX: Duration = Duration::from_secs(60);

impl Postgres {
    /// Starts a server that shows `certificate` (PEM) and takes TLS connections alone, from the user
    /// `postgres` with `password`. It keeps nothing over a power cut.
    ///
    /// # Errors
    /// As [`need`] when PostgreSQL is absent; otherwise when the server does not come up.
    pub async fn start(
        certificate: &str,
        key: &str,
        password: &str,
    ) -> anyhow::Result<Option<Self>> {
        let Some(programs) = programs()? else { return Ok(None) };
        let folder = tempfile::tempdir().context("making a folder for PostgreSQL")?;
        let cluster = Cluster::make(programs, folder, password).await?;
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = cluster.data().join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            if cluster.as_root {
                let owned = Command::new("chown").arg(OWNER).arg(&path).status().await?;
                anyhow::ensure!(owned.success(), "giving `{name}` to the server");
            }
        }
        // In a file, where a test that needs `fsync` can turn it on again.
        let path = cluster.data().join("postgresql.auto.conf");
        let given = fs::read_to_string(&path).unwrap_or_default();
        fs::write(&path, given + "fsync = 'off'\n")?;
        let settings = ["listen_addresses=127.0.0.1", "ssl=on", "log_statement=none"];
        cluster.serve("hostssl all all 127.0.0.1/32 scram-sha-256\n", &settings).await.map(Some)
    }

    /// Starts a server that keeps what it acknowledged over a power cut, with its files under `folder`. It
    /// takes the user `postgres` with `password` through the socket in [`Self::sockets`] alone.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_durable(folder: &Path, password: &str) -> anyhow::Result<Option<Self>> {
        let Some(programs) = programs()? else { return Ok(None) };
        let folder = tempfile::tempdir_in(folder).context("making a folder for PostgreSQL")?;
        let cluster = Cluster::make(programs, folder, password).await?;
        // Not `fsync` nor `synchronous_commit`, which are on unless a test turns them off.
        let settings = ["listen_addresses="];
        let access = "local all all scram-sha-256\nlocal replication all scram-sha-256\n";
        cluster.serve(access, &settings).await.map(Some)
    }

    /// Makes a standby of a server that [`Self::start_durable`] started: a copy of its files, which then
    /// follows it by streaming replication under this name until it is promoted.
    ///
    /// # Errors
    /// When a program fails; tells what it printed.
    pub async fn standby(&self, folder: &Path, password: &str, name: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(folder).context("making a folder for a standby")?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
        let (programs, as_root) = (self.cluster.programs.clone(), self.cluster.as_root);
        let mut copy = run_as(&programs.join("pg_basebackup"), as_root);
        let (host, port) = (self.sockets.path().display(), self.port);
        copy.env("PGPASSWORD", password).arg("-D").arg(folder.path().join("data"));
        copy.args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-d"]);
        copy.arg(format!("host={host} port={port} user={OWNER} application_name={name}"));
        let made = copy.output().await.context("running pg_basebackup")?;
        anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let cluster = Cluster { programs, folder, as_root };
        cluster.start(&self.settings, "ready to accept read-only connections").await
    }

    /// Stops the server as a crash would, for good.
    pub async fn crash(&mut self) -> anyhow::Result<()> {
        let id = self.id().context("the server has ended before")?;
        // The children see their parent's end by themselves only after a while.
        let killed = Command::new("kill").args(["-QUIT", &id.to_string()]).status().await?;
        anyhow::ensure!(killed.success(), "stopping the server");
        self.server.end(READY_WAIT_MAX).await?;
        Ok(())
    }

    /// Starts a standby again that was stopped.
    pub async fn start_standby(&mut self) -> anyhow::Result<()> {
        let (port, ready) = (self.port, "ready to accept read-only connections");
        self.server = self.cluster.run(port, self.sockets.path(), &self.settings, ready).await?;
        Ok(())
    }

    /// The folder in which its socket lies.
    pub fn sockets(&self) -> &Path {
        self.sockets.path()
    }

    /// The socket that it takes connections on.
    pub fn socket(&self) -> PathBuf {
        self.sockets.path().join(format!(".s.PGSQL.{}", self.port))
    }

    /// Stops the server in the middle of whatever it does, as a crash would, and starts it again.
    pub async fn crash_and_start(&mut self) -> anyhow::Result<()> {
        self.crash().await?;
        let port = self.port;
        self.server = self.cluster.run(port, self.sockets.path(), &self.settings, READY).await?;
        Ok(())
    }

    /// The server's first process, of which the others are children; absent once it has ended.
    pub fn id(&self) -> Option<u32> {
        self.server.id()
    }

    /// Runs one of the server's client programs (`pg_dump`, `pg_restore` …) as its owner, over TLS.
    pub async fn client(
        &self,
        program: &str,
        password: &str,
        arguments: &[&str],
    ) -> anyhow::Result<()> {
        let mut command = Command::new(self.cluster.programs.join(program));
        command.env("PGPASSWORD", password).env("PGSSLMODE", "require");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", OWNER]);
        let done = command.args(arguments).output().await;
        let done = done.with_context(|| format!("running {program}"))?;
        anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// Runs SQL from a file with `psql`, over TLS, and stops at its first error.
    pub async fn run(&self, database: &str, password: &str, sql: &Path) -> anyhow::Result<()> {
        let sql = sql.to_str().context("a path that is no text")?;
        let quiet = ["-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", sql];
        self.client("psql", password, &quiet).await
    }
}

/// A cluster's files, before a server runs on them.
struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    as_root: bool,
}

impl Cluster {
    async fn make(programs: PathBuf, folder: TempDir, password: &str) -> anyhow::Result<Self> {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
        let secret = folder.path().join("password");
        fs::write(&secret, password)?;
        // The server refuses to run as root, which is who runs tests in a container.
        let as_root = Command::new("id").arg("-u").output().await?.stdout.trim_ascii() == b"0";
        let cluster = Self { programs, folder, as_root };
        let mut initdb = run_as(&cluster.programs.join("initdb"), as_root);
        initdb.arg("-D").arg(cluster.data()).args(["-U", OWNER, "--auth=scram-sha-256"]);
        initdb.arg("--no-sync").arg("--pwfile").arg(&secret).arg("--encoding=UTF8");
        let made = initdb.output().await.context("running initdb")?;
        anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Ok(cluster)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn serve(self, access: &str, settings: &[&str]) -> anyhow::Result<Postgres> {
        fs::write(self.data().join("pg_hba.conf"), access)?;
        let settings: Vec<String> = settings.iter().map(|it| (*it).to_owned()).collect();
        self.start(&settings, READY).await
    }

    async fn start(self, settings: &[String], ready: &str) -> anyhow::Result<Postgres> {
        let sockets = tempfile::tempdir().context("making a folder for a socket")?;
        fs::set_permissions(sockets.path(), fs::Permissions::from_mode(0o777))?;
        let port = free_port()?;
        let server = self.run(port, sockets.path(), settings, ready).await?;
        Ok(Postgres { port, server, cluster: self, settings: settings.to_vec(), sockets })
    }

    async fn run(
        &self,
        port: u16,
        sockets: &Path,
        settings: &[String],
        ready: &str,
    ) -> anyhow::Result<Process> {
        let mut command = run_as(&self.programs.join("postgres"), self.as_root);
        command.arg("-D").arg(self.data()).arg("-k").arg(sockets);
        command.args(["-p", &port.to_string()]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        let server = Process::start(command)?;
        server.line(ready, READY_WAIT_MAX).await?;
        Ok(server)
    }
}

fn run_as(program: &Path, as_root: bool) -> Command {
    if !as_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", OWNER, "--regid", OWNER, "--clear-groups", "--pdeathsig", "TERM"]);
    command.arg(program).current_dir("/");
    command
}

/// Where Debian keeps the newest version's programs, else wherever the `PATH` leads.
fn programs() -> anyhow::Result<Option<PathBuf>> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, folder)| folder.join("initdb").is_file())
        .collect();
    found.sort();
    if let Some((_, folder)) = found.pop() {
        return Ok(Some(folder));
    }
    let initdb = need("a test against PostgreSQL", &["initdb"])?;
    Ok(initdb.and_then(|program| program.parent().map(Path::to_path_buf)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_of_our_own_speaks_tls_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"]);
        openssl.args(["-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout"]);
        openssl.arg(at("key")).arg("-out").arg(at("certificate"));
        assert!(openssl.output().await.unwrap().status.success());
        let text = |name: &str| fs::read_to_string(at(name)).unwrap();

        let started = Postgres::start(&text("certificate"), &text("key"), "open-sesame").await;
        let Some(server) = started.unwrap() else { return };
        fs::write(
            at("good.sql"),
            "create table plates (plate text); select 1/count(*) from pg_stat_ssl where ssl;",
        )
        .unwrap();
        server.run("postgres", "open-sesame", &at("good.sql")).await.unwrap();
        fs::write(at("bad.sql"), "select 1/0;").unwrap();
        let error = server.run("postgres", "open-sesame", &at("bad.sql")).await.unwrap_err();
        assert!(error.to_string().contains("division by zero"), "{error}");
        assert!(server.run("postgres", "wrong", &at("good.sql")).await.is_err());

        let mut plain = Command::new(server.cluster.programs.join("psql"));
        plain.env("PGPASSWORD", "open-sesame").env("PGSSLMODE", "disable");
        plain.args(["-h", "127.0.0.1", "-U", OWNER, "-c", "select 1", "-p"]);
        assert!(!plain.arg(server.port.to_string()).output().await.unwrap().status.success());
    }
}
