//! Parcels: sealing, verifying and opening one large file, a tree of small ones and one small one, beside what else people would use.
//!
//! Every side is a program of its own, started by a shell, on the same files; in each round all sides run in turn, so that a busy machine
//! slows all, and a ratio is of one round. Not the same is done by all: `tar`+`sha256sum` and BagIt encrypt nothing, age, gpg, openssl and
//! 7z sign nothing and list no digests.

mod aims;
mod made;
mod shell;
mod sides;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::limits::Limits;
use aims::Aim;
use made::SMALL_BYTES;
use shell::shell;
use sides::{OURS, Side};

/// Rounds of the small file, each of which takes some milliseconds.
const NOTE_ROUNDS: usize = 20;

/// What is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Workload {
    /// One large file.
    Film,
    /// Very many small ones.
    Tree,
    /// One small one.
    Note,
}

impl Workload {
    const ALL: [Self; 3] = [Self::Film, Self::Tree, Self::Note];

    fn words(self) -> &'static str {
        match self {
            Self::Film => "film",
            Self::Tree => "tree",
            Self::Note => "note",
        }
    }
}

/// One step of one side on one workload.
#[derive(Debug, Serialize)]
struct Row {
    workload: Workload,
    name: &'static str,
    step: &'static str,
    /// Of each round.
    seconds: Vec<f64>,
    peak_mib: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    rows: Vec<Row>,
    large_bytes: u64,
    small_files: usize,
    rounds: usize,
    /// Seconds that the film takes at least on all cores of this machine: two hashes and one encryption for sealing and opening, one hash for
    /// verifying.
    limits: [(&'static str, f64); 3],
    aims: Vec<Aim>,
    /// Steps of others that failed.
    left_out: Vec<String>,
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
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Exact up to 2^53.
    let bytes = f64::from(u32::try_from(mib).context("size")?) * 1.048_576e6;
    let each = bytes / 1e9 / f64::from(u32::try_from(cores)?);
    let (hash, cipher) = (each / limits.sha_256_1_mib, each / limits.aes_256_gcm_1_mib);
    let most = 2.0 * hash + cipher;
    // Lines are run in other folders.
    let program = &fs::canonicalize(program).context("finding the program")?;
    let mut figures = Figures {
        rows: Vec::new(),
        large_bytes: mib << 20,
        small_files: files,
        rounds,
        limits: [("seal", most), ("verify", hash), ("open", most)],
        aims: Vec::new(),
        left_out: Vec::new(),
    };
    for workload in Workload::ALL {
        let place = folder.join(workload.words());
        let inside = place.join("in");
        fs::create_dir_all(&inside).context("making a workload")?;
        let mut rounds = rounds;
        match workload {
            Workload::Film => made::large(&inside.join("video.mp4"), mib)?,
            Workload::Tree => made::small(&inside, files)?,
            Workload::Note => {
                made::note(&inside)?;
                rounds = rounds.max(NOTE_ROUNDS);
            }
        }
        made::people(&place)?;
        figures.run(&place, workload, &sides::sides(program, workload), rounds)?;
        fs::remove_dir_all(&place).context("clearing a workload")?;
    }
    figures.aims = aims::of(&figures);
    Ok(figures)
}

/// The middle one of some figures.
fn median(of: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut of: Vec<f64> = of.into_iter().collect();
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied()
}

impl Figures {
    /// All sides in turn, so many times. Where a step of another's fails, that side has no more rounds.
    fn run(
        &mut self,
        place: &Path,
        workload: Workload,
        sides: &[Side],
        rounds: usize,
    ) -> anyhow::Result<()> {
        let mut out: Vec<&str> = Vec::new();
        for _ in 0..rounds {
            for side in sides {
                if out.contains(&side.name) {
                    continue;
                }
                match self.round(place, workload, side) {
                    Ok(()) => {}
                    Err(error) if side.name == OURS => return Err(error),
                    Err(error) => {
                        self.left_out.push(format!("{}, {}: {error}", side.name, workload.words()));
                        out.push(side.name);
                    }
                }
                shell(place, &format!("rm -rf {}", side.leaves))?;
            }
        }
        // Rounds that ended halfway would be held against whole ones.
        self.rows.retain(|row| row.workload != workload || !out.contains(&row.name));
        Ok(())
    }

    fn round(&mut self, place: &Path, workload: Workload, side: &Side) -> anyhow::Result<()> {
        for (step, line) in &side.steps {
            let (seconds, peak) = shell(place, line)?;
            let same =
                |row: &&mut Row| (row.workload, row.name, row.step) == (workload, side.name, *step);
            match self.rows.iter_mut().find(same) {
                Some(row) => {
                    row.seconds.push(seconds);
                    row.peak_mib = row.peak_mib.max(peak);
                }
                None => self.rows.push(Row {
                    workload,
                    name: side.name,
                    step,
                    seconds: vec![seconds],
                    peak_mib: peak,
                }),
            }
        }
        Ok(())
    }

    fn row(&self, workload: Workload, name: &str, step: &str) -> Option<&Row> {
        self.rows.iter().find(|row| (row.workload, row.name, row.step) == (workload, name, step))
    }

    /// How many times as fast as it we were, in each round.
    fn faster(&self, row: &Row) -> Vec<f64> {
        let ours = self.row(row.workload, OURS, row.step);
        let ours = ours.map(|ours| ours.seconds.as_slice()).unwrap_or_default();
        ours.iter().zip(&row.seconds).map(|(ours, it)| it / ours.max(1e-9)).collect()
    }

    /// The part of what this machine can do that our step reached with the film, of 1.
    fn reached(&self, step: &str) -> Option<f64> {
        let least = self.limits.iter().find(|(name, _)| *name == step)?.1;
        let ours = self.row(Workload::Film, OURS, step)?;
        Some(least / median(ours.seconds.iter().copied())?)
    }

    pub(crate) fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n## Parcels\n")?;
        writeln!(
            out,
            "Film: {} MiB in one file; tree: {} files of {SMALL_BYTES} bytes; note: one such file. {} rounds ({} of the note), in each of which all \
             programs run in turn, each with what it wrote brought to disk. Seconds are of the median round; the ratio is how many times as fast as \
             the other program we were in one round: the median, and the least and the most.\n",
            self.large_bytes >> 20,
            self.small_files,
            self.rounds,
            self.rounds.max(NOTE_ROUNDS)
        )?;
        writeln!(
            out,
            "| what | program | step | seconds | ours is faster by | most memory, MiB |\n|---|---|---|---|---|---|"
        )?;
        for row in &self.rows {
            let Row { workload, name, step, seconds, peak_mib } = row;
            let middle = median(seconds.iter().copied()).unwrap_or(0.0);
            let ratios = self.faster(row);
            let ratio = match median(ratios.iter().copied()).filter(|_| *name != OURS) {
                None => String::new(),
                Some(middle) => {
                    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
                    let most = ratios.iter().copied().fold(0.0, f64::max);
                    format!("{middle:.2} ({least:.2} to {most:.2})")
                }
            };
            let (what, name) = (workload.words(), name.replace('|', "\\|"));
            let digits = if *workload == Workload::Note { 3 } else { 2 };
            writeln!(
                out,
                "| {what} | {name} | {step} | {middle:.digits$} | {ratio} | {peak_mib:.0} |"
            )?;
        }
        writeln!(out)?;
        for (step, least) in self.limits {
            let reached = self.reached(step).unwrap_or(0.0);
            writeln!(
                out,
                "- {step} the film: its hashing and encrypting alone take {least:.2} s on all cores; {:.0} % of that rate was reached",
                reached * 100.0
            )?;
        }
        for left in &self.left_out {
            writeln!(out, "- left out, for it failed: {left}")?;
        }
        aims::write(&self.aims, out)
    }
}
