//! Exchange: a film and a tree of small files go from Riverton to Lakeside, two processes, over a line that is cut five
//! times, while each process is killed once. What arrives is held against what was made; what was sent twice is counted.
//!
//! Beside it, the same bytes by OpenSSH's `sftp`, whole and without a cut, and copied on the disk.

mod agency;
mod line;
mod made;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use keys::cert::{self, CertSpec, Usage};
use keys::sign::P384Key;
use keys::{Clock as _, SystemClock, SystemRandom};
use serde::Serialize;
use testkit::{Process, Sshd};
use tokio::process::Command;

pub(crate) use self::agency::{Seat, receive, send};
use self::line::Line;
pub(crate) use self::made::Load;

const RIVERTON: (&str, &str) = ("NB0010100", "Riverton Police Department");
const LAKESIDE: (&str, &str) = ("NB0020000", "Lakeside County Sheriff");
/// Longest wait for a step: 20 GB take their time.
const WAIT_MAX: Duration = Duration::from_secs(3_600);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Parts that are under way at once, and may be lost by a cut.
const UNDER_WAY: u64 = 2;

/// What happens on the way, in hundredths of the parcel.
const EVENTS: [(u64, Happens); 7] = [
    (10, Happens::Cut),
    (25, Happens::Cut),
    (40, Happens::KillSender),
    (50, Happens::Cut),
    (65, Happens::KillReceiver),
    (75, Happens::Cut),
    (90, Happens::Cut),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happens {
    Cut,
    KillSender,
    KillReceiver,
}

/// How a transfer went.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    files: usize,
    film_mib: u64,
    part_mib: u64,
    cuts: usize,
    kills: usize,
    /// Bytes of the sealed parts.
    parcel_bytes: u64,
    /// Bytes that the line carried to the receiver, TLS and all.
    carried_bytes: u64,
    seal_seconds: f64,
    /// From the first byte to the receipt, with everything that happened on the way.
    transfer_seconds: f64,
    sender_peak_mib: f64,
    receiver_peak_mib: f64,
    sftp_seconds: Option<f64>,
    copy_seconds: f64,
}

fn certificate_file(folder: &Path, of: &str, usage: &str) -> PathBuf {
    folder.join(format!("{of}-{usage}.pem"))
}

fn key_file(folder: &Path, of: &str, usage: &str) -> PathBuf {
    folder.join(format!("{of}-{usage}.key"))
}

fn make_keys(folder: &Path) -> anyhow::Result<()> {
    let usages =
        [("tls", Usage::TlsPeer), ("signing", Usage::Signing), ("sealing", Usage::KeyAgreement)];
    for (ori, name) in [RIVERTON, LAKESIDE] {
        for (file, usage) in usages {
            let key = P384Key::generate()?;
            let now = SystemClock.now();
            let spec = CertSpec {
                subject_cn: name.to_owned(),
                organisation: name.to_owned(),
                not_before: now - jiff::SignedDuration::from_hours(24),
                not_after: now + jiff::SignedDuration::from_hours(24 * 30),
                usage,
                dns: Vec::new(),
                ips: vec![std::net::IpAddr::from([127, 0, 0, 1])],
                uris: Vec::new(),
            };
            let issued = cert::issue(&spec, &key, None, &SystemRandom)?;
            std::fs::write(certificate_file(folder, ori, file), issued.pem())?;
            let pem = cert::private_key_pem(&key.to_pkcs8());
            std::fs::write(key_file(folder, ori, file), pem.as_bytes())?;
        }
    }
    Ok(())
}

/// The two processes and the line between them.
struct World {
    folder: PathBuf,
    load: Load,
    part_mib: u64,
    line: Line,
    sender: Process,
    receiver: Process,
    /// The most memory that each has had, in MiB, in any of its lives.
    peaks: [f64; 2],
}

impl World {
    async fn begin(folder: &Path, load: Load, part_mib: u64) -> anyhow::Result<Self> {
        let line = Line::new().await?;
        let (receiver, port) = start_receiver(folder, part_mib).await?;
        line.aim(port);
        let sender = start_sender(folder, load, part_mib, line.port)?;
        let peaks = [0.0; 2];
        Ok(Self { folder: folder.to_owned(), load, part_mib, line, sender, receiver, peaks })
    }

    fn look(&mut self) {
        for (process, peak) in [&self.sender, &self.receiver].into_iter().zip(&mut self.peaks) {
            *peak = peak.max(process.id().and_then(peak_mib).unwrap_or(0.0));
        }
    }

    async fn happen(&mut self, what: Happens) -> anyhow::Result<()> {
        match what {
            Happens::Cut => self.line.cut(),
            Happens::KillSender => {
                kill(&mut self.sender).await?;
                self.sender = start_sender(&self.folder, self.load, self.part_mib, self.line.port)?;
            }
            Happens::KillReceiver => {
                kill(&mut self.receiver).await?;
                let (receiver, port) = start_receiver(&self.folder, self.part_mib).await?;
                self.receiver = receiver;
                self.line.aim(port);
            }
        }
        Ok(())
    }
}

/// Ends a process in the middle of whatever it does. Something that has ended already stands in its place.
async fn kill(process: &mut Process) -> anyhow::Result<()> {
    let nothing = Process::start(Command::new("true"))?;
    std::mem::replace(process, nothing).kill().await
}

fn side(folder: &Path, name: &str, part_mib: u64) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command.args(["--transfer-side", name, "--transfer-part-mib", &part_mib.to_string(), "--out"]);
    command.arg(folder);
    Ok(command)
}

fn start_sender(folder: &Path, load: Load, part_mib: u64, port: u16) -> anyhow::Result<Process> {
    let mut command = side(folder, "riverton", part_mib)?;
    command.args(["--transfer-port", &port.to_string(), "--transfer-mib", &load.mib.to_string()]);
    command.args(["--transfer-files", &load.files.to_string()]);
    Process::start(command)
}

async fn start_receiver(folder: &Path, part_mib: u64) -> anyhow::Result<(Process, u16)> {
    let process = Process::start(side(folder, "lakeside", part_mib)?)?;
    let line = process.line("listening ", WAIT_MAX).await?;
    let port = line.rsplit(' ').next().unwrap_or_default().parse()?;
    Ok((process, port))
}

fn peak_mib(pid: u32) -> Option<f64> {
    crate::cpu::size_mib(&pid.to_string(), "VmHWM")
}

/// Sends the load and holds what arrived against it.
///
/// # Errors
/// When something did not arrive, arrived otherwise, or was sent twice beyond what the cuts explain.
pub(crate) async fn measure(out: &Path, load: Load, part_mib: u64) -> anyhow::Result<Figures> {
    let folder = out.join("transfer");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("clearing the last run")?;
    }
    std::fs::create_dir_all(&folder)?;
    make_keys(&folder)?;
    let started = Instant::now();
    let mut world = World::begin(&folder, load, part_mib).await?;
    let sealed = loop {
        world.look();
        match world.sender.line("sealed ", Duration::from_millis(50)).await {
            Ok(line) => break line,
            Err(error) if started.elapsed() > WAIT_MAX || world.ended() => return Err(error),
            Err(_) => {}
        }
    };
    let seal_seconds = started.elapsed().as_secs_f64();
    let parcel_bytes: u64 = sealed.rsplit(' ').next().unwrap_or_default().parse()?;
    let started = Instant::now();
    let mut events = EVENTS.into_iter().peekable();
    loop {
        world.look();
        let done = world.line.carried() * 100 / parcel_bytes.max(1);
        while let Some((_, what)) = events.next_if(|(at, _)| *at <= done) {
            world.happen(what).await?;
        }
        match world.sender.line("acknowledged", LOOK_EVERY).await {
            Ok(_) => break,
            Err(error) if started.elapsed() > WAIT_MAX || world.ended() => return Err(error),
            Err(_) => {}
        }
    }
    let transfer_seconds = started.elapsed().as_secs_f64();
    let left = events.count();
    anyhow::ensure!(left == 0, "{left} things that should have happened on the way did not");
    let figures = Figures {
        files: load.files + 1,
        film_mib: load.mib,
        part_mib,
        cuts: EVENTS.iter().filter(|(_, what)| *what == Happens::Cut).count(),
        kills: EVENTS.iter().filter(|(_, what)| *what != Happens::Cut).count(),
        parcel_bytes,
        carried_bytes: world.line.carried(),
        seal_seconds,
        transfer_seconds,
        sender_peak_mib: world.peaks[0],
        receiver_peak_mib: world.peaks[1],
        sftp_seconds: None,
        copy_seconds: 0.0,
    };
    drop(world);
    check(&folder, load, &figures)?;
    beside(&folder, figures).await
}

impl World {
    /// Whether the sender has come to an end.
    fn ended(&self) -> bool {
        self.sender.id().and_then(peak_mib).is_none()
    }
}

/// Whether all arrived as it was made, and little was sent twice.
fn check(folder: &Path, load: Load, figures: &Figures) -> anyhow::Result<()> {
    let arrived = only_folder(&folder.join(LAKESIDE.0).join("parcels/incoming"))?;
    let (us, trust) = (agency::recipient(folder, LAKESIDE.0)?, agency::trust(folder, RIVERTON.0)?);
    let opened = parcel::verify_inside(&arrived, &us, &trust, parcel::Watch::none())?;
    let mut wanted = load.files();
    wanted.sort_by(|a, b| a.path.cmp(&b.path));
    anyhow::ensure!(opened.files.len() == wanted.len(), "{} files arrived", opened.files.len());
    for (file, wanted) in opened.files.iter().zip(&wanted) {
        let same = file.path == wanted.path && file.sha256 == hex::encode(wanted.sha256()?);
        anyhow::ensure!(same, "`{}` is not what was sent as `{}`", file.path, wanted.path);
    }
    let lost = (figures.cuts + figures.kills) as u64 * UNDER_WAY * (figures.part_mib << 20);
    // TLS, offers with the parcel's outside, and questions.
    let around = figures.parcel_bytes / 50 + (8 << 20);
    let most = figures.parcel_bytes + lost + around;
    let carried = figures.carried_bytes;
    anyhow::ensure!(carried <= most, "{carried} bytes were carried, and {most} explain themselves");
    Ok(())
}

fn only_folder(path: &Path) -> anyhow::Result<PathBuf> {
    let mut found = std::fs::read_dir(path)?;
    let first = found.next().context("nothing arrived")??.path();
    anyhow::ensure!(found.next().is_none(), "more than one parcel arrived");
    Ok(first)
}

/// The same bytes by other means.
async fn beside(folder: &Path, mut figures: Figures) -> anyhow::Result<Figures> {
    let parcel = only_folder(&folder.join(RIVERTON.0).join("parcels/sent"))?;
    std::fs::remove_dir_all(folder.join(LAKESIDE.0)).context("making room")?;
    if let Some(sshd) = Sshd::start().await? {
        let started = Instant::now();
        let mut sftp = Command::new("sftp");
        sftp.args(["-q", "-b", "-", "-P", &sshd.port.to_string(), "-i"]).arg(sshd.file("client"));
        let known = format!("UserKnownHostsFile={}", sshd.file("known").display());
        sftp.args(["-o", &known, "-o", "IdentitiesOnly=yes"]);
        sftp.arg(format!("{}@127.0.0.1", sshd.user));
        let batch = format!("put -r {} {}\n", parcel.display(), sshd.drop_folder().display());
        fed(&mut sftp, batch.as_bytes()).await?;
        synced(&sshd.drop_folder()).await?;
        figures.sftp_seconds = Some(started.elapsed().as_secs_f64());
    }
    let copy = folder.join("copy");
    let started = Instant::now();
    let done = Command::new("cp").arg("-r").args([&parcel, &copy]).status().await?;
    anyhow::ensure!(done.success(), "cp failed");
    synced(&copy).await?;
    figures.copy_seconds = started.elapsed().as_secs_f64();
    std::fs::remove_dir_all(folder).context("clearing the transfer")?;
    Ok(figures)
}

async fn fed(command: &mut Command, input: &[u8]) -> anyhow::Result<()> {
    use tokio::io::AsyncWriteExt as _;
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).await?;
    }
    let done = child.wait_with_output().await?;
    anyhow::ensure!(done.status.success(), "sftp: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

async fn synced(folder: &Path) -> anyhow::Result<()> {
    let done = Command::new("sync").arg("-f").arg(folder).status().await?;
    anyhow::ensure!(done.success(), "sync failed");
    Ok(())
}

impl Figures {
    pub(crate) fn write(&self, out: &mut String) -> std::fmt::Result {
        let twice = self.carried_bytes.saturating_sub(self.parcel_bytes);
        let mib = |bytes: u64| bytes >> 20;
        writeln!(out, "\n## Exchange\n")?;
        writeln!(
            out,
            "{} files, one of them a film of {} MiB, in parts of {} MiB; the line cut {} times and {} processes killed on the way. Whole and verified.\n",
            self.files, self.film_mib, self.part_mib, self.cuts, self.kills
        )?;
        writeln!(out, "| | |\n|---|---|")?;
        writeln!(out, "| parcel, MiB | {} |", mib(self.parcel_bytes))?;
        writeln!(
            out,
            "| carried beyond that (TLS, offers, parts that a cut had lost), MiB | {} |",
            mib(twice)
        )?;
        writeln!(out, "| released and sealed, s | {:.1} |", self.seal_seconds)?;
        writeln!(out, "| sent, verified and acknowledged, s | {:.1} |", self.transfer_seconds)?;
        writeln!(out, "| sender's most memory, MiB | {:.0} |", self.sender_peak_mib)?;
        writeln!(out, "| receiver's most memory, MiB | {:.0} |", self.receiver_peak_mib)?;
        if let Some(sftp) = self.sftp_seconds {
            let ratio = self.transfer_seconds / sftp.max(1e-9);
            writeln!(
                out,
                "| the parcel by `sftp`, uncut and unverified, s; ours / it | {sftp:.1}; {ratio:.2} |"
            )?;
        }
        let ratio = self.transfer_seconds / self.copy_seconds.max(1e-9);
        writeln!(
            out,
            "| the parcel by `cp` on the disk, s; ours / it | {:.1}; {ratio:.2} |",
            self.copy_seconds
        )
    }
}
