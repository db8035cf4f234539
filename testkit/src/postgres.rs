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
    programs: PathBuf,
    _server: Process,
    _folder: TempDir,
}

/// The one person of the cluster; loopback alone is trusted, and only over TLS.
const OWNER: &str = "postgres";
const READY_WAIT_MAX: Duration = Duration::from_secs(60);

impl Postgres {
    /// Starts a server that shows `certificate` (PEM) and takes TLS connections alone, from the user
    /// `postgres` with `password`.
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
        let data = folder.path().join("data");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
        let secret = folder.path().join("password");
        fs::write(&secret, password)?;

        // The server refuses to run as root, which is who runs tests in a container.
        let as_root = Command::new("id").arg("-u").output().await?.stdout.trim_ascii() == b"0";
        let mut initdb = run_as(&programs.join("initdb"), as_root);
        initdb.arg("-D").arg(&data).args(["-U", OWNER, "--auth=scram-sha-256", "--no-sync"]);
        initdb.arg("--pwfile").arg(&secret).arg("--encoding=UTF8");
        let made = initdb.output().await.context("running initdb")?;
        anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = data.join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            if as_root {
                let owned = Command::new("chown").arg(OWNER).arg(&path).status().await?;
                anyhow::ensure!(owned.success(), "giving `{name}` to the server");
            }
        }
        fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 scram-sha-256\n")?;

        let port = free_port()?;
        let mut command = run_as(&programs.join("postgres"), as_root);
        command.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-p", &port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "ssl=on", "fsync=off", "log_statement=none"] {
            command.args(["-c", setting]);
        }
        let server = Process::start(command)?;
        server.line("ready to accept connections", READY_WAIT_MAX).await?;
        Ok(Some(Self { port, programs, _server: server, _folder: folder }))
    }

    /// Runs SQL from a file with `psql`, over TLS, and stops at its first error.
    pub async fn run(&self, database: &str, password: &str, sql: &Path) -> anyhow::Result<()> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.env("PGPASSWORD", password).env("PGSSLMODE", "require");
        psql.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", OWNER, "-d", database]);
        psql.args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-f"]).arg(sql);
        let done = psql.output().await.context("running psql")?;
        anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
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

        let mut plain = Command::new(server.programs.join("psql"));
        plain.env("PGPASSWORD", "open-sesame").env("PGSSLMODE", "disable");
        plain.args(["-h", "127.0.0.1", "-U", OWNER, "-c", "select 1", "-p"]);
        assert!(!plain.arg(server.port.to_string()).output().await.unwrap().status.success());
    }
}
