//! aics-witness, a witness of transparency logs (C2SP tlog-witness) that others wrote, in Python.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Process, free_port, need, target};

const READY_WAIT_MAX: Duration = Duration::from_secs(60);

/// Ends when dropped.
pub struct TlogWitness {
    pub port: u16,
    /// Its verifier key, as C2SP signed-note has it.
    pub key: String,
    folder: TempDir,
    server: Process,
}

impl TlogWitness {
    /// Starts one with a new key and this name, which knows one log by its origin and verifier key. It
    /// speaks HTTP on loopback: TLS is for a proxy before it.
    ///
    /// # Errors
    /// As [`need`] when it is absent; otherwise when it does not come up.
    pub async fn start(name: &str, origin: &str, log_key: &str) -> anyhow::Result<Option<Self>> {
        let program = target()?.join("peers/witness/bin/aics-witness");
        let path = program.to_str().context("a path in UTF-8")?;
        let Some(program) = need("a witness that others wrote", &[path])? else { return Ok(None) };
        let folder = tempfile::tempdir().context("making a folder for a witness")?;
        let run = |arguments: &[&str]| command(&program, folder.path(), arguments);
        let made = run(&["init", "--name", name]).output().await.context("making its key")?;
        anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let key = String::from_utf8(made.stdout)?;
        let key = key.lines().find(|line| line.starts_with(name)).context("it tells its key")?;
        let add = ["add-log", "--origin", origin, "--vkey", log_key];
        let added = run(&add).output().await.context("telling it a log")?;
        anyhow::ensure!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let port = free_port()?;
        let listen = format!("127.0.0.1:{port}");
        let server = Process::start(run(&["serve", "--listen", &listen]))?;
        server.line("listening on", READY_WAIT_MAX).await?;
        Ok(Some(Self { port, key: key.trim().to_owned(), folder, server }))
    }

    /// What it keeps of requests that did not hold, as JSON.
    ///
    /// # Errors
    /// When it can't be asked.
    pub async fn evidence(&self) -> anyhow::Result<String> {
        let program = target()?.join("peers/witness/bin/aics-witness");
        let asked = command(&program, self.folder.path(), &["evidence"]).output().await?;
        anyhow::ensure!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8(asked.stdout).context("it printed no text")
    }

    /// All that it printed.
    pub fn output(&self) -> String {
        self.server.output().to_string()
    }
}

fn command(program: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env("AICS_WITNESS_CONFIG", folder.join("witness.json")).args(arguments);
    command
}
