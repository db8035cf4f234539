//! oidc-provider (npm), an OpenID Connect provider that others wrote and certified.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;

use crate::{Process, need, target};

const READY_WAIT_MAX: Duration = Duration::from_secs(60);

/// The program, which stands beside its packages while it runs.
const PROGRAM: &str = include_str!("oidc_provider.mjs");

/// A provider on loopback that signs in whom a file names.
pub struct OidcProvider {
    pub issuer: String,
    person: PathBuf,
    process: Process,
}

impl OidcProvider {
    /// Starts it at this port with one client, as oidc-provider describes clients (JSON). `None`: it is not
    /// installed, which in CI is a failure.
    ///
    /// # Errors
    /// When it does not start; tells what it printed.
    pub async fn start(folder: &Path, port: u16, client: &str) -> anyhow::Result<Option<Self>> {
        let what = "a real OpenID Connect provider";
        let Some(node) = need(what, &["node", "nodejs"])? else { return Ok(None) };
        let packages = target()?.join("node");
        let installed = packages.join("node_modules/oidc-provider/package.json");
        let Some(_) = need(what, &[&installed.to_string_lossy()])? else { return Ok(None) };
        // Imports are looked for beside the program; several tests may write it at once, and write the same.
        let program = packages.join(format!("oidc_provider-{port}.mjs"));
        std::fs::write(&program, PROGRAM).context("writing the provider's program")?;
        let (client_file, person) = (folder.join("client.json"), folder.join("person.json"));
        std::fs::write(&client_file, client).context("writing the client")?;
        std::fs::write(&person, "{}").context("writing the person")?;
        let mut command = Command::new(node);
        command.arg(&program).arg(port.to_string()).arg(&client_file).arg(&person);
        let process = Process::start(command)?;
        process.line("ready ", READY_WAIT_MAX).await?;
        std::fs::remove_file(&program).context("removing the provider's program")?;
        Ok(Some(Self { issuer: format!("http://127.0.0.1:{port}"), person, process }))
    }

    /// From now on whoever signs in is this person (JSON: `sub`, `acr`, `amr`, `claims`).
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn person(&self, json: &str) -> anyhow::Result<()> {
        std::fs::write(&self.person, json).context("writing the person")
    }

    /// What it printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output().to_string()
    }
}
