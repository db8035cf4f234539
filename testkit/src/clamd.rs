//! ClamAV's daemon as Debian has it, with one signature of our own: that of the EICAR test file.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Process, free_port, need};

const READY_WAIT_MAX: Duration = Duration::from_secs(60);

/// A scanner on loopback. Ends, and takes its folder with it, when dropped.
pub struct Clamd {
    pub port: u16,
    /// Held: dropping it ends the program.
    _server: Process,
    _folder: TempDir,
}

impl Clamd {
    /// Starts a scanner that takes so many bytes of one file.
    ///
    /// # Errors
    /// As [`need`] when ClamAV is absent; otherwise when the scanner does not come up.
    pub async fn start(stream_bytes_max: u64) -> anyhow::Result<Option<Self>> {
        Self::start_at(free_port()?, stream_bytes_max).await
    }

    /// As [`Self::start`], at a port of which somebody knows already.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_at(port: u16, stream_bytes_max: u64) -> anyhow::Result<Option<Self>> {
        let Some(program) = need("a test with ClamAV", &["/usr/sbin/clamd"])? else {
            return Ok(None);
        };
        let folder = tempfile::tempdir().context("making a folder for ClamAV")?;
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("signatures"))?;
        let hex: String = Self::eicar().iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(at("signatures/test.ndb"), format!("Bailiwick.Test.EICAR:0:0:{hex}\n"))?;
        let settings = format!(
            "Foreground yes\nDatabaseDirectory {}\nTCPSocket {port}\nTCPAddr 127.0.0.1\n\
             StreamMaxLength {stream_bytes_max}\nAlertExceedsMax yes\nAlertEncrypted yes\n",
            at("signatures").display()
        );
        fs::write(at("clamd.conf"), settings)?;
        let mut serve = Command::new(program);
        serve.arg("-c").arg(at("clamd.conf"));
        let server = Process::start(serve)?;
        server.line("Self checking", READY_WAIT_MAX).await?;
        Ok(Some(Self { port, _server: server, _folder: folder }))
    }

    /// The test file that every scanner knows, put together here so that no scanner finds it in this source.
    pub fn eicar() -> Vec<u8> {
        let halves = [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"];
        halves.concat().into_bytes()
    }
}
