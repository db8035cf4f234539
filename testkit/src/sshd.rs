//! OpenSSH's server as Debian has it, with SFTP and nothing else, on loopback and for the user of the tests.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Process, free_port, need};

const READY_WAIT_MAX: Duration = Duration::from_secs(60);

/// An SFTP server on loopback. Ends, and takes its folder with it, when dropped.
pub struct Sshd {
    pub port: u16,
    /// Who may sign in.
    pub user: String,
    folder: TempDir,
    /// Held: dropping it ends the program.
    server: Option<Process>,
    program: PathBuf,
}

impl Sshd {
    /// Starts a server that knows one key.
    ///
    /// # Errors
    /// As [`need`] when the server is absent; otherwise when it does not come up.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        let Some(program) = need("a test with SFTP", &["/usr/sbin/sshd"])? else { return Ok(None) };
        let folder = tempfile::tempdir().context("making a folder for sshd")?;
        let user = run(Command::new("id").arg("-un")).await?.trim().to_owned();
        for name in ["host", "client", "stranger"] {
            let mut make = Command::new("ssh-keygen");
            make.args(["-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f"]);
            run(make.arg(folder.path().join(name))).await?;
        }
        let mut sshd = Self { port: free_port()?, user, folder, server: None, program };
        fs::DirBuilder::new().mode(0o700).create(sshd.drop_folder())?;
        fs::copy(sshd.file("client.pub"), sshd.file("authorized"))?;
        fs::set_permissions(sshd.file("authorized"), fs::Permissions::from_mode(0o600))?;
        for (of, to) in [("host", "known"), ("stranger", "known-wrong")] {
            let key = fs::read_to_string(sshd.file(&format!("{of}.pub")))?;
            fs::write(sshd.file(to), format!("[127.0.0.1]:{} {key}", sshd.port))?;
        }
        let line = |key: &str, path: PathBuf| format!("{key} {}\n", path.display());
        let settings = format!(
            "ListenAddress 127.0.0.1\nPort {}\n{}{}PidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             Subsystem sftp internal-sftp\nForceCommand internal-sftp\n",
            sshd.port,
            line("HostKey", sshd.file("host")),
            line("AuthorizedKeysFile", sshd.file("authorized")),
        );
        fs::write(sshd.file("sshd_config"), settings)?;
        // Debian's server wants this folder, which its service makes elsewhere. Where it can't be made the
        // server says so.
        if !Path::new("/run/sshd").is_dir() {
            drop(fs::create_dir("/run/sshd"));
        }
        sshd.up().await?;
        Ok(Some(sshd))
    }

    /// Starts it, again where it was stopped.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn up(&mut self) -> anyhow::Result<()> {
        let mut serve = Command::new(&self.program);
        serve.args(["-D", "-e", "-f"]).arg(self.file("sshd_config"));
        let server = Process::start(serve)?;
        server.line("Server listening", READY_WAIT_MAX).await?;
        self.server = Some(server);
        Ok(())
    }

    /// Ends it. Nobody is let in until it is up again.
    pub fn down(&mut self) {
        self.server = None;
    }

    /// A file of the server's: `client` is the key that it lets in, `stranger` one that it does not, `known` has
    /// its own key and `known-wrong` another.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder to lay things into.
    pub fn drop_folder(&self) -> PathBuf {
        self.folder.path().join("drop")
    }
}

async fn run(command: &mut Command) -> anyhow::Result<String> {
    let done = command.output().await.context("running a program of OpenSSH's")?;
    anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8(done.stdout)?)
}
