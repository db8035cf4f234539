//! Laying parcels down on a partner's SFTP server, by the system's own OpenSSH client.
//!
//! Invariants: only the declared server, known by its key in the declared file, is spoken to, with the declared
//! key and no other way of signing in; a file gets its name only when all of it is there; one that was cut off
//! goes on where it ended. The program reads no configuration of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Depot, DepotError, Laying, Left, Load, LoadFile, Way};
use crate::program::{self, Pipes, Waiter};

/// Debian's, and that of other systems.
const PROGRAM: &str = "/usr/bin/sftp";
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
        let started = program::start(self.command(way, folder));
        let (program, waiter, pipes) = started.map_err(DepotError::failed("start sftp"))?;
        let (send, mut lines) = mpsc::channel::<String>(64);
        let done = tokio::task::spawn_blocking(move || listen(waiter, pipes, batch, &send));
        while let Ok(line) = tokio::time::timeout(IDLE_MAX, lines.recv()).await {
            let Some(line) = line else { return done.await.map_err(|_| DepotError::Stopped)? };
            heard(&line);
        }
        // Dropped, it is ended.
        drop(program);
        Err(DepotError::Sftp { said: "it said nothing for half an hour".to_owned() })
    }

    /// The sizes of what is there, by path below the parcel's folder. Makes the folders that are missing.
    async fn look(&self, load: &Load, way: &Way) -> Result<BTreeMap<String, u64>, DepotError> {
        let root = self.root(&load.top());
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

    fn root(&self, top: &str) -> String {
        format!("{}/{top}", self.target.folder.trim_end_matches('/'))
    }

    /// Removes every file that a parcel may have there, and its folders; then looks whether anything is left.
    async fn remove(&self, left: &Left) -> Result<(), DepotError> {
        let root = self.root(&left.top());
        let (mut batch, mut folders) = (String::new(), BTreeSet::from([String::new()]));
        for path in left.paths() {
            // What is not there is no failure: the dash says so.
            batch.push_str(&format!("-rm \"{root}/{path}\"\n-rm \"{root}/{path}{UNFINISHED}\"\n"));
            folders.extend(above(&path));
        }
        for folder in folders.iter().rev() {
            batch.push_str(&format!("-rmdir \"{root}{folder}\"\n"));
        }
        for folder in &folders {
            batch.push_str(&format!("-ls -lan \"{root}{folder}\"\n"));
        }
        // Without the dash: what can't be listed says nothing of what is there.
        batch.push_str(&format!("ls -lan \"{}\"\n", self.target.folder));
        let (top, mut found, mut above_it) = (left.top(), None, false);
        let heard = |line: &str| {
            above_it |= line.starts_with("sftp> ls ");
            let name = line.split_ascii_whitespace().last().unwrap_or_default();
            let name = name.rsplit('/').next().unwrap_or(name);
            let left_over = match above_it {
                false => listed(line).is_some(),
                true => line.starts_with('d') && name == top,
            };
            if left_over && found.is_none() {
                found = Some(name.to_owned());
            }
        };
        self.session(&Way::unwatched(), Path::new("/"), batch, heard).await?;
        match found {
            None => Ok(()),
            Some(file) => Err(DepotError::StillThere { file }),
        }
    }

    async fn send(&self, load: &Load, way: &Way) -> Result<(), DepotError> {
        let there = self.look(load, way).await?;
        let root = self.root(&load.top());
        let (mut batch, mut sent) = (String::new(), Vec::new());
        for file in &load.files {
            let LoadFile { path, bytes, .. } = file;
            match there.get(path) {
                Some(size) if size == bytes => {
                    way.there(*bytes);
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
        let (mut sizes, mut named) = (sent.into_iter().map(|file| file.bytes), None);
        // A command is printed before it is carried out: a file has its name when the next one is, or at the end.
        let heard = |line: &str| {
            if line.starts_with("sftp> ") {
                named.take().into_iter().for_each(|bytes| way.moved(bytes));
            }
            if line.starts_with("sftp> rename ") {
                named = sizes.next();
            }
        };
        self.session(way, &load.folder, batch, heard).await?;
        named.into_iter().for_each(|bytes| way.moved(bytes));
        let there = self.look(load, way).await?;
        match load.files.iter().find(|file| there.get(&file.path) != Some(&file.bytes)) {
            None => Ok(()),
            Some(file) => Err(DepotError::Differs { file: file.path.clone() }),
        }
    }
}

impl Depot for Sftp {
    fn words(&self) -> String {
        let SftpTarget { host, port, user, folder, .. } = &self.target;
        format!("SFTP server {host}, port {port}, as {user}, folder {folder}")
    }

    fn lay<'a>(&'a self, load: &'a Load, way: &'a Way) -> Laying<'a> {
        Box::pin(self.send(load, way))
    }

    fn clear<'a>(&'a self, left: &'a Left) -> Laying<'a> {
        Box::pin(self.remove(left))
    }
}

/// The parcel's folder, as nothing, and those in it, each after the one that it is in.
fn folders(load: &Load) -> Vec<String> {
    let mut all = BTreeSet::from([String::new()]);
    all.extend(load.files.iter().flat_map(|file| above(&file.path)));
    all.into_iter().collect()
}

/// The folders that a file is in, each below the parcel's.
fn above(path: &str) -> impl Iterator<Item = String> {
    let places = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
    places.map(|folder| format!("/{folder}"))
}

/// Name and size of a file in a listing's line: `-rw-------  ? 1000 1000 52 Nov 30 16:00 dir/name`.
pub(crate) fn listed(line: &str) -> Option<(&str, u64)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let kind = words.first().filter(|mode| mode.starts_with('-') && mode.len() >= 10);
    let size = kind.and_then(|_| words.get(4))?.parse().ok()?;
    let path = words.last().filter(|_| words.len() >= 9)?;
    Some((path.rsplit('/').next().unwrap_or(path), size))
}

/// Hands the batch in and each line on, until the program ends.
fn listen(
    waiter: Waiter,
    (mut input, output, errors): Pipes,
    batch: String,
    heard: &mpsc::Sender<String>,
) -> Result<(), DepotError> {
    // A program that ended does not read; what it said tells why.
    let writer = std::thread::spawn(move || input.write_all(batch.as_bytes()).is_ok());
    let said = std::thread::spawn(move || program::said(errors));
    for line in BufReader::new(output.take(HEARD_BYTES_MAX)).lines() {
        let line = line.map_err(DepotError::failed("read what sftp says"))?;
        if heard.blocking_send(line).is_err() {
            return Err(DepotError::Stopped);
        }
    }
    let status = waiter.wait().map_err(DepotError::failed("wait for sftp"))?;
    let wrote = writer.join().unwrap_or(false);
    let said = said.join().ok().and_then(Result::ok).unwrap_or_default();
    match status.success() && wrote {
        true => Ok(()),
        false => Err(DepotError::Sftp { said: program::last_words(&said) }),
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

    /// The program, which says which process it is and waits for a server that says nothing for ever.
    fn watched(folder: &Path) -> PathBuf {
        let script = folder.join("sftp.sh");
        let text = "#!/bin/sh\necho $$ > pid\nexec /usr/bin/sftp -o ConnectTimeout=0 \"$@\"\n";
        std::fs::write(&script, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&script, mode).unwrap();
        script
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_program_started_ends_with_it_and_it_leaves_no_zombie() {
        if !Path::new(PROGRAM).exists() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let target = SftpTarget { host: "127.0.0.1".to_owned(), port, ..target() };
        let sftp = Sftp { target, program: watched(folder.path()) };
        let way = Way::unwatched();
        let session = sftp.session(&way, folder.path(), "ls\n".to_owned(), |_| {});
        // Its ssh has called, and waits. Then nobody waits for the program any more.
        let mut line = tokio::select! {
            line = silent.accept() => line.unwrap().0,
            ended = session => panic!("{ended:?}"),
        };
        let mut rest = Vec::new();
        let ended = tokio::io::AsyncReadExt::read_to_end(&mut line, &mut rest);
        tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap().ok();
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        let process = Path::new("/proc").join(pid.trim());
        let reaped = async {
            while process.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reaped).await.unwrap();
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
