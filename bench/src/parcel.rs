//! Parcels: sealing, verifying and opening one large file and a tree of small ones, beside what else people would use.
//!
//! Every side is a program of its own, started by a shell, on the same files; the sides run in turn, so that a busy machine slows all. Not
//! the same is done by all: `tar`+`sha256sum` and BagIt encrypt nothing, age and 7z sign nothing and list no digests.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use keys::cert::{self, CertSpec, Usage};
use keys::sign::P384Key;
use keys::{Random, SystemRandom};
use serde::Serialize;

use crate::limits::Limits;

/// Bytes of a small file.
const SMALL_BYTES: usize = 4 << 10;
const PIECE_BYTES: usize = 1 << 20;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One side on one workload: seconds of the median round, and its most memory in MiB.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    workload: &'static str,
    name: &'static str,
    step: &'static str,
    seconds: f64,
    peak_mib: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    rows: Vec<Row>,
    large_bytes: u64,
    small_files: usize,
    rounds: usize,
    /// Seconds that two hashes and one encryption of the large file take on all cores of this machine.
    limit_seconds: f64,
}

/// What a side does, by step; each is a line for `sh`, run in the folder of the workload.
struct Side {
    name: &'static str,
    needs: &'static str,
    steps: Vec<(&'static str, String)>,
    /// Removed before each round.
    leaves: &'static str,
}

pub(crate) fn measure(
    out: &Path,
    program: &Path,
    (mib, files, rounds): (u64, usize, usize),
    limits: &Limits,
) -> anyhow::Result<Figures> {
    let folder = out.join("parcel");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("clearing the last run")?;
    }
    let mut rows = Vec::new();
    for (workload, make) in [("one large file", true), ("a tree of small files", false)] {
        let place = folder.join(if make { "large" } else { "small" });
        fs::create_dir_all(place.join("in")).context("making a workload")?;
        if make {
            large(&place.join("in/video.mp4"), mib)?
        } else {
            small(&place.join("in"), files)?
        }
        people(&place)?;
        let sides: Vec<Side> =
            sides(program).into_iter().filter(|side| is_there(side.needs)).collect();
        for side in &sides {
            rows.extend(run_side(&place, workload, side, rounds)?);
        }
        fs::remove_dir_all(&place).context("clearing a workload")?;
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let large_bytes = mib << 20;
    // Exact up to 2^53.
    let gigabytes = f64::from(u32::try_from(mib).context("size")?) * 1.048_576e6 / 1e9;
    let each = 2.0 / limits.sha_256_1_mib + 1.0 / limits.aes_256_gcm_1_mib;
    let limit_seconds = gigabytes * each / f64::from(u32::try_from(cores)?);
    Ok(Figures { rows, large_bytes, small_files: files, rounds, limit_seconds })
}

fn is_there(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|found| found.status.success())
}

fn sides(program: &Path) -> Vec<Side> {
    let own = program.display();
    // This program is target/<profile>/bench.
    let target =
        std::env::current_exe().ok().and_then(|own| own.ancestors().nth(2).map(Path::to_owned));
    let python =
        target.map(|target| target.join("python/bin/python")).filter(|path| path.is_file());
    let python = python.unwrap_or_else(|| PathBuf::from("python3"));
    let bagit = format!("{} -m bagit", python.display());
    let mut sides = vec![Side {
        name: "bailiwick parcel",
        needs: "sh",
        steps: vec![
            step(
                "seal",
                format!(
                    "{own} parcel seal in --recipient us.pem --signer signer.pem --key signer.key --out p"
                ),
            ),
            step("verify", format!("{own} parcel verify p --sender signer.pem")),
            step(
                "open",
                format!(
                    "{own} parcel open p --recipient us.pem --key us.key --sender signer.pem --out o"
                ),
            ),
        ],
        leaves: "p o",
    }];
    sides.extend(encrypting());
    sides.extend(hashing(&bagit));
    sides
}

fn step(name: &'static str, line: impl Into<String>) -> (&'static str, String) {
    (name, line.into())
}

/// What others encrypt with.
fn encrypting() -> [Side; 5] {
    [
        Side {
            name: "tar | age",
            needs: "age",
            steps: vec![
                step("seal", "tar -cf - in | age -R age.pub -o a"),
                step("open", "mkdir o && age -d -i age.key a | tar -xf - -C o"),
            ],
            leaves: "a o",
        },
        Side {
            name: "sha256sum, then tar | age",
            needs: "age",
            steps: vec![step(
                "seal",
                "find in -type f -exec sha256sum {} + >sums && tar -cf - in | age -R age.pub -o a",
            )],
            leaves: "a sums",
        },
        Side {
            name: "tar | openssl cms",
            needs: "openssl",
            steps: vec![step(
                "seal",
                "tar -cf - in | openssl cms -encrypt -stream -binary -aes-256-gcm -outform DER -out c us.pem",
            )],
            leaves: "c",
        },
        Side {
            name: "tar | gpg -c",
            needs: "gpg",
            steps: vec![
                step("seal", format!("tar -cf - in | {GPG} -c --cipher-algo AES256 -o g")),
                step("open", format!("mkdir o && {GPG} -d g | tar -xf - -C o")),
            ],
            leaves: "g o",
        },
        Side {
            name: "7z -mx0 -p",
            needs: "7z",
            steps: vec![
                step("seal", "7z a -bd -bso0 -mx0 -mhe=on -pbench z.7z in"),
                step("open", "7z x -bd -bso0 -pbench -oo z.7z"),
            ],
            leaves: "z.7z o",
        },
    ]
}

/// What others only hash with.
fn hashing(bagit: &str) -> [Side; 2] {
    [
        Side {
            name: "tar + sha256sum",
            needs: "sha256sum",
            steps: vec![
                step("seal", "find in -type f -exec sha256sum {} + >sums && tar -cf t in"),
                step("verify", "sha256sum --check --quiet sums"),
                step("open", "mkdir o && tar -xf t -C o"),
            ],
            leaves: "t o sums",
        },
        Side {
            name: "bagit.py",
            needs: "python3",
            steps: vec![
                step("seal", format!("cp -r in b && {bagit} --quiet --sha256 --processes 2 b")),
                step("verify", format!("{bagit} --quiet --validate --processes 2 b")),
            ],
            leaves: "b",
        },
    ]
}

const GPG: &str = "gpg --homedir gpg --batch --quiet --pinentry-mode loopback --passphrase bench --compress-algo none";

fn run_side(
    place: &Path,
    workload: &'static str,
    side: &Side,
    rounds: usize,
) -> anyhow::Result<Vec<Row>> {
    let mut times: Vec<(Vec<Duration>, f64)> =
        side.steps.iter().map(|_| (Vec::new(), 0.0)).collect();
    for _ in 0..rounds {
        shell(place, &format!("rm -rf {}", side.leaves))?;
        for ((_, line), (taken, peak)) in side.steps.iter().zip(&mut times) {
            let (time, memory) = shell(place, line)?;
            taken.push(time);
            *peak = peak.max(memory);
        }
    }
    shell(place, &format!("rm -rf {}", side.leaves))?;
    let rows = side.steps.iter().zip(times).map(|((step, _), (mut taken, peak_mib))| {
        taken.sort();
        let seconds = taken.get(taken.len() / 2).map_or(0.0, Duration::as_secs_f64);
        Row { workload, name: side.name, step, seconds, peak_mib }
    });
    Ok(rows.collect())
}

/// Runs a line, writes back what it wrote, and gives its time and the most memory of one of its processes.
#[expect(
    clippy::disallowed_methods,
    reason = "other programs are looked at while they run, in real time"
)]
fn shell(place: &Path, line: &str) -> anyhow::Result<(Duration, f64)> {
    let started = Instant::now();
    let mut child = Command::new("sh")
        .args(["-ec", &format!("{line}; sync -f .")])
        .current_dir(place)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting a shell")?;
    let mut peak: f64 = 0.0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak = peak.max(memory(&child));
        std::thread::sleep(LOOK_EVERY);
    };
    let time = started.elapsed();
    let mut said = String::new();
    if let Some(mut errors) = child.stderr.take() {
        errors.read_to_string(&mut said).unwrap_or_default();
    }
    anyhow::ensure!(status.success(), "`{line}` failed: {said}");
    Ok((time, peak))
}

/// The most memory of any process that a shell has started, in MiB.
fn memory(shell: &Child) -> f64 {
    let children =
        fs::read_to_string(format!("/proc/{0}/task/{0}/children", shell.id())).unwrap_or_default();
    let of = |pid: &str| crate::cpu::size_mib(pid, "VmHWM");
    children.split_whitespace().filter_map(of).fold(0.0, f64::max)
}

/// Bytes that nothing compresses: a film.
fn large(path: &Path, mib: u64) -> anyhow::Result<()> {
    let mut file = File::create(path).context("making the large file")?;
    let mut piece = vec![0; PIECE_BYTES];
    SystemRandom.fill(&mut piece).context("random bytes")?;
    for number in 0..mib {
        // Each piece differs, so that nothing finds two alike.
        if let Some(head) = piece.get_mut(..8) {
            head.copy_from_slice(&number.to_le_bytes());
        }
        file.write_all(&piece)?;
    }
    file.sync_all().context("writing the large file")
}

fn small(folder: &Path, files: usize) -> anyhow::Result<()> {
    let mut bytes = vec![0; SMALL_BYTES];
    SystemRandom.fill(&mut bytes).context("random bytes")?;
    for number in 0..files {
        let place = folder.join(format!("{:03}", number / 1_000));
        if number % 1_000 == 0 {
            fs::create_dir_all(&place)?;
        }
        if let Some(head) = bytes.get_mut(..8) {
            head.copy_from_slice(&(number as u64).to_le_bytes());
        }
        fs::write(place.join(format!("{number:06}.txt")), &bytes)?;
    }
    Ok(())
}

/// Keys of both ends.
fn people(place: &Path) -> anyhow::Result<()> {
    for (name, usage) in [("signer", Usage::Signing), ("us", Usage::KeyAgreement)] {
        let key = P384Key::generate().context("making a key")?;
        let spec = CertSpec {
            subject_cn: name.to_owned(),
            organisation: "Bench".to_owned(),
            not_before: "2020-01-01T00:00:00Z".parse()?,
            not_after: "2049-01-01T00:00:00Z".parse()?,
            usage,
            dns: Vec::new(),
            ips: Vec::new(),
            uris: Vec::new(),
        };
        let certificate =
            cert::issue(&spec, &key, None, &SystemRandom).context("issuing a certificate")?;
        fs::write(place.join(format!("{name}.pem")), certificate.pem())?;
        fs::write(
            place.join(format!("{name}.key")),
            cert::private_key_pem(&key.to_pkcs8()).as_bytes(),
        )?;
    }
    shell(place, "mkdir -m 700 gpg")?;
    if is_there("age-keygen") {
        shell(place, "age-keygen -o age.key && age-keygen -y age.key >age.pub")?;
    }
    Ok(())
}

impl Figures {
    pub(crate) fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n## Parcels\n")?;
        writeln!(
            out,
            "{} MiB in one file; {} files of {SMALL_BYTES} bytes; median of {} rounds, each with what it wrote brought to disk. Two hashes and an \
             encryption of the large file on all cores: {:.2} s.\n",
            self.large_bytes >> 20,
            self.small_files,
            self.rounds,
            self.limit_seconds
        )?;
        writeln!(
            out,
            "| workload | program | step | seconds | ours / it | most memory, MiB |\n|---|---|---|---|---|---|"
        )?;
        for row in &self.rows {
            let ours = self.rows.iter().find(|ours| {
                ours.workload == row.workload
                    && ours.step == row.step
                    && ours.name == "bailiwick parcel"
            });
            let ratio = ours.map_or(0.0, |ours| ours.seconds / row.seconds.max(1e-9));
            let Row { workload, name, step, seconds, peak_mib } = row;
            writeln!(
                out,
                "| {workload} | {name} | {step} | {seconds:.2} | {ratio:.2} | {peak_mib:.0} |"
            )?;
        }
        Ok(())
    }
}
