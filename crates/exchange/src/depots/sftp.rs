//! Laying parcels down on a partner's SFTP server, by the system's own OpenSSH client.
//!
//! Invariants: only the declared server, known by its key in the declared file, is spoken to, with the declared
//! key and no other way of signing in; a file gets its name only when all of it is there; one that was cut off
//! goes on where it ended. The program reads no configuration of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Depot, DepotError, Laying, Load, LoadFile, Way};

/// Debian's, and that of other systems.
const PROGRAM: &str = "/usr/bin/sftp";
/// What is kept of what the program says on its error stream.
const SAID_BYTES_MAX: u64 = 8 * 1024;
/// The longest line, and the most of all lines, of a listing. A folder of a parcel has 1000 parts.
const HEARD_BYTES_MAX: u64 = 64 << 20;
/// The longest silence: a line comes for each file, and a part of 64 MiB takes so long at 37 kB/s.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// What a file is called until all of it is there.
const UNFINISHED: &str = ".uploading";

/// A partner's SFTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SftpTarget {
    pub host: String,
    pub port: u16,
    pub user: String,
    /// The folder that parcels are laid into. It is there already.
    pub folder: String,
    /// Our private key, in a form that OpenSSH reads.
    pub key_file: PathBuf,
    /// The server's key, as `known_hosts` writes it.
    pub known_hosts_file: PathBuf,
}

/// [`SftpTarget`], whose words were looked at.
#[derive(Debug, Clone)]
pub struct Sftp {
    target: SftpTarget,
    program: PathBuf,
}

impl Sftp {
    /// # Errors
    /// Which key does not hold, and what was expected.
    pub fn new(target: SftpTarget) -> Result<Self, (&'static str, &'static str)> {
        let plain = |text: &str, more: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
            (1..=255).contains(&text.len()) && !text.starts_with('-') && text.chars().all(fits)
        };
        if !plain(&target.host, ".-:") {
            return Err(("host", "a name or an address"));
        }
        if !plain(&target.user, "._-") {
            return Err(("user", "letters, digits, dots, dashes and underscores"));
        }
        if !plain(&target.folder, "/._-") || target.folder.split('/').any(|part| part == "..") {
            return Err(("folder", "letters, digits, `/`, dots, dashes and underscores, no `..`"));
        }
        let shown = |path: &Path| path.to_str().is_some_and(|text| !text.contains(['"', '%', '$']));
        if !shown(&target.key_file) || !shown(&target.known_hosts_file) {
            return Err(("key_file", "paths without quotes, `%` and `$`"));
        }
        Ok(Self { target, program: PROGRAM.into() })
    }

    fn command(&self, way: &Way, folder: &Path) -> Command {
        let target = &self.target;
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir(folder);
        command.args(["-q", "-b", "-", "-F", "none"]).arg("-i").arg(&target.key_file);
        let known = format!("UserKnownHostsFile=\"{}\"", target.known_hosts_file.display());
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=none",
            "UpdateHostKeys=no",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "PreferredAuthentications=publickey",
            "ClearAllForwardings=yes",
            "ConnectTimeout=10",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            &known,
        ] {
            command.args(["-o", option]);
        }
        if let Some(rate) = way.bytes_per_second_max() {
            // Kibibits a second, for each connection; there is one.
            command.arg("-l").arg((rate / 128).max(1).to_string());
        }
        let host = match target.host.contains(':') {
            true => format!("[{}]", target.host),
            false => target.host.clone(),
        };
        command.arg("-P").arg(target.port.to_string()).arg(format!("{}@{host}", target.user));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// One session. Each line that the program prints goes to `heard`.
    async fn session(
        &self,
        way: &Way,
        folder: &Path,
        batch: String,
        mut heard: impl FnMut(&str) + Send,
    ) -> Result<(), DepotError> {
        let mut child =
            self.command(way, folder).spawn().map_err(DepotError::failed("start sftp"))?;
        let (send, mut lines) = mpsc::channel::<String>(64);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let running = Running(Arc::new(Mutex::new(child)));
        let work = running.clone();
        let done = tokio::task::spawn_blocking(move || {
            let (Some(mut input), Some(output), Some(errors)) = pipes else {
                return Err(DepotError::Stopped);
            };
            // A program that ended does not read; what it said tells why.
            let writer = std::thread::spawn(move || input.write_all(batch.as_bytes()).is_ok());
            let said = std::thread::spawn(move || {
                let (mut text, mut errors) = (Vec::new(), errors);
                let kept = errors.by_ref().take(SAID_BYTES_MAX).read_to_end(&mut text);
                let rest = std::io::copy(&mut errors, &mut std::io::sink());
                kept.and(rest).map(|_| String::from_utf8_lossy(&text).into_owned())
            });
            for line in BufReader::new(output.take(HEARD_BYTES_MAX)).lines() {
                let line = line.map_err(DepotError::failed("read what sftp says"))?;
                if send.blocking_send(line).is_err() {
                    return Err(DepotError::Stopped);
                }
            }
            let status = work.wait().map_err(DepotError::failed("wait for sftp"))?;
            let wrote = writer.join().unwrap_or(false);
            let said = said.join().ok().and_then(Result::ok).unwrap_or_default();
            match status.success() && wrote {
                true => Ok(()),
                false => Err(DepotError::Sftp { said: last_words(&said) }),
            }
        });
        while let Ok(line) = tokio::time::timeout(IDLE_MAX, lines.recv()).await {
            let Some(line) = line else { return done.await.map_err(|_| DepotError::Stopped)? };
            heard(&line);
        }
        // Dropped, it is ended.
        drop(running);
        Err(DepotError::Sftp { said: "it said nothing for half an hour".to_owned() })
    }

    /// The sizes of what is there, by path below the parcel's folder. Makes the folders that are missing.
    async fn look(&self, load: &Load, way: &Way) -> Result<BTreeMap<String, u64>, DepotError> {
        let root = self.root(load);
        let mut batch = String::new();
        for folder in folders(load) {
            batch.push_str(&format!("-mkdir \"{root}{folder}\"\n"));
        }
        for folder in folders(load) {
            batch.push_str(&format!("ls -lan \"{root}{folder}\"\n"));
        }
        let (mut found, mut at) = (BTreeMap::new(), None);
        let heard = |line: &str| {
            if let Some(command) = line.strip_prefix("sftp> ") {
                let listed = command.strip_prefix("ls -lan ").map(|path| path.trim_matches('"'));
                at = listed.and_then(|path| path.strip_prefix(&root)).map(ToOwned::to_owned);
            } else if let (Some(folder), Some((name, size))) = (&at, listed(line)) {
                let path = format!("{folder}/{name}");
                found.insert(path.trim_start_matches('/').to_owned(), size);
            }
        };
        self.session(way, &load.folder, batch, heard).await?;
        Ok(found)
    }

    fn root(&self, load: &Load) -> String {
        format!("{}/{}", self.target.folder.trim_end_matches('/'), load.top())
    }

    async fn send(&self, load: &Load, way: &Way) -> Result<(), DepotError> {
        let there = self.look(load, way).await?;
        let root = self.root(load);
        let (mut batch, mut sent) = (String::new(), Vec::new());
        for file in &load.files {
            let LoadFile { path, bytes, .. } = file;
            match there.get(path) {
                Some(size) if size == bytes => {
                    way.moved(*bytes);
                    continue;
                }
                Some(_) => batch.push_str(&format!("rm \"{root}/{path}\"\n")),
                None => {}
            }
            let unfinished = format!("{root}/{path}{UNFINISHED}");
            let put = |verb: &str| format!("{verb} \"{path}\" \"{unfinished}\"\n");
            match there.get(&format!("{path}{UNFINISHED}")) {
                // All of it had come, and the line broke before it got its name. The program refuses to go on with that.
                Some(size) if size == bytes => {}
                Some(size) if size < bytes => batch.push_str(&put("reput")),
                Some(_) => {
                    batch.push_str(&format!("rm \"{unfinished}\"\n"));
                    batch.push_str(&put("put"));
                }
                None => batch.push_str(&put("put")),
            }
            batch.push_str(&format!("rename \"{unfinished}\" \"{root}/{path}\"\n"));
            sent.push(file.clone());
        }
        if sent.is_empty() {
            return Ok(());
        }
        // Over there sizes are compared, no more; so what goes out has to be what was sealed.
        let (folder, files) = (load.folder.clone(), sent.clone());
        let check = move || files.iter().try_for_each(|file| file.check(&folder));
        tokio::task::spawn_blocking(check).await.map_err(|_| DepotError::Stopped)??;
        let mut sizes = sent.into_iter().map(|file| file.bytes);
        // A file is there when its name is given to it.
        let heard = |line: &str| {
            if line.starts_with("sftp> rename ") {
                way.moved(sizes.next().unwrap_or_default());
            }
        };
        self.session(way, &load.folder, batch, heard).await?;
        let there = self.look(load, way).await?;
        match load.files.iter().find(|file| there.get(&file.path) != Some(&file.bytes)) {
            None => Ok(()),
            Some(file) => Err(DepotError::Differs { file: file.path.clone() }),
        }
    }
}

impl Depot for Sftp {
    fn words(&self) -> String {
        format!("SFTP server {}, folder {}", self.target.host, self.target.folder)
    }

    fn lay<'a>(&'a self, load: &'a Load, way: &'a Way) -> Laying<'a> {
        Box::pin(self.send(load, way))
    }
}

/// The parcel's folder, as nothing, and those in it, each after the one that it is in.
fn folders(load: &Load) -> Vec<String> {
    let mut all = std::collections::BTreeSet::from([String::new()]);
    for file in &load.files {
        let places = file.path.match_indices('/').filter_map(|(at, _)| file.path.get(..at));
        all.extend(places.map(|folder| format!("/{folder}")));
    }
    all.into_iter().collect()
}

/// Name and size of a file in a listing's line: `-rw-------  ? 1000 1000 52 Nov 30 16:00 dir/name`.
pub(crate) fn listed(line: &str) -> Option<(&str, u64)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let kind = words.first().filter(|mode| mode.starts_with('-') && mode.len() >= 10);
    let size = kind.and_then(|_| words.get(4))?.parse().ok()?;
    let path = words.last().filter(|_| words.len() >= 9)?;
    Some((path.rsplit('/').next().unwrap_or(path), size))
}

/// The last line that says something, for people.
fn last_words(said: &str) -> String {
    let line = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    line.unwrap_or("it ended without a word")
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect()
}

/// The program, which ends with whoever waits for it.
#[derive(Clone)]
struct Running(Arc<Mutex<Child>>);

impl Running {
    fn wait(&self) -> std::io::Result<std::process::ExitStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The other holder is the thread that waits: once its output ended it needs no help.
        if let Ok(mut child) = self.0.try_lock()
            && let Err(error) = child.kill()
        {
            tracing::debug!(%error, "sftp had ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> SftpTarget {
        SftpTarget {
            host: "sftp.lakeside.example".to_owned(),
            port: 22,
            user: "riverton".to_owned(),
            folder: "incoming".to_owned(),
            key_file: "/etc/bailiwick/lakeside.key".into(),
            known_hosts_file: "/etc/bailiwick/lakeside.known".into(),
        }
    }

    #[test]
    fn words_that_the_program_would_take_for_more_than_words_are_refused() {
        Sftp::new(target()).unwrap();
        for (key, bad) in [
            ("host", "-oProxyCommand=sh"),
            ("host", "a b"),
            ("host", ""),
            ("user", "a@b"),
            ("user", "-l"),
            ("folder", "in\"coming"),
            ("folder", "a/../b"),
            ("folder", "a\nrm b"),
            ("folder", "-b"),
        ] {
            let mut target = target();
            match key {
                "host" => target.host = bad.to_owned(),
                "user" => target.user = bad.to_owned(),
                _ => target.folder = bad.to_owned(),
            }
            assert_eq!(Sftp::new(target).unwrap_err().0, key, "{bad:?}");
        }
        let quoted = SftpTarget { key_file: "/etc/a\"b".into(), ..target() };
        assert_eq!(Sftp::new(quoted).unwrap_err().0, "key_file");
    }

    #[test]
    fn a_listing_is_read_for_files_alone() {
        let line = "-rw-------    ? 1000     1000        67112960 Nov 30 16:00 in/p/data/000/part-000000.p7m";
        assert_eq!(listed(line), Some(("part-000000.p7m", 67_112_960)));
        for other in [
            "drwx------    ? 1000     1000            4096 Nov 30 16:00 in/p/data",
            "lrwxrwxrwx    ? 0        0                  7 Nov 30 16:00 in/p/x",
            "-rw-------    ? 1000     1000            many Nov 30 16:00 in/p/x",
            "-rw------- 52 name",
            "",
        ] {
            assert_eq!(listed(other), None, "{other:?}");
        }
    }
}
