//! What was aimed at for parcels, and whether this run met it.

use std::fmt::Write as _;

use serde::Serialize;

use super::sides::{AGE, BAGIT, DGST_AGE, DISK, OURS, SUMS_AGE, ZIP};
use super::{Figures, Workload, median};

/// One aim. Without the other program it was not measured.
#[derive(Debug, Serialize)]
pub(super) struct Aim {
    name: &'static str,
    what: &'static str,
    wanted: f64,
    found: Option<f64>,
    /// Whether less is better.
    at_most: bool,
}

impl Aim {
    fn is_met(&self) -> Option<bool> {
        let found = self.found?;
        Some(if self.at_most { found <= self.wanted } else { found >= self.wanted })
    }
}

pub(super) fn of(figures: &Figures) -> Vec<Aim> {
    use Workload::{Film, Note, Tree};
    let times = |workload, name: &str, step: &str| {
        median(figures.faster(figures.row(workload, name, step)?))
    };
    let least = |name, what, wanted, found| Aim { name, what, wanted, found, at_most: false };
    let most = |name, what, wanted, found| Aim { name, what, wanted, found, at_most: true };
    let ours = figures.rows.iter().filter(|row| row.name == OURS);
    let memory = ours.map(|row| row.peak_mib).reduce(f64::max);
    let small = times(Note, "age", "seal").map(|faster| 1.0 / faster);
    vec![
        least("S1", "seal the film: speed of `tar \\| age`", 0.90, times(Film, AGE, "seal")),
        least(
            "S2",
            "seal the film: speed of `openssl dgst`, then `tar \\| age`",
            1.6,
            times(Film, DGST_AGE, "seal"),
        ),
        least(
            "S2",
            "seal the film: speed of `sha256sum`, then `tar \\| age`",
            4.0,
            times(Film, SUMS_AGE, "seal"),
        ),
        least(
            "S3",
            "seal the film: part of what hashing twice and encrypting once allow",
            0.65,
            figures.reached("seal"),
        ),
        least(
            "S4",
            "seal the film: speed of copying it to the disk (`dd conv=fsync`)",
            0.80,
            times(Film, DISK, "seal"),
        ),
        least(
            "S5",
            "verify the film: part of what hashing once allows",
            0.80,
            figures.reached("verify"),
        ),
        least("S5", "verify the tree: speed of `bagit.py`", 7.0, times(Tree, BAGIT, "verify")),
        least("S6", "open the film: speed of `age -d \\| tar`", 1.2, times(Film, AGE, "open")),
        least("S7", "seal the tree: speed of `tar \\| age`", 1.2, times(Tree, AGE, "seal")),
        least("S7", "seal the tree: speed of `bagit.py`", 1.8, times(Tree, BAGIT, "seal")),
        least(
            "S7",
            "seal the tree: speed of `sha256sum`, then `tar \\| age`",
            3.5,
            times(Tree, SUMS_AGE, "seal"),
        ),
        least("S7", "seal the tree: speed of 7z, ZIP with AES", 4.0, times(Tree, ZIP, "seal")),
        most("S8", "most memory of any step, MiB", 32.0, memory),
        most("S9", "seal 4 KiB: time beside that of `age`", 1.0, small),
    ]
}

pub(super) fn write(aims: &[Aim], out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n| aim | | wanted | found | |\n|---|---|---|---|---|")?;
    for aim in aims {
        let Aim { name, what, wanted, found, at_most } = aim;
        let bound = if *at_most { "at most" } else { "at least" };
        let found = found.map_or_else(|| "not measured".to_owned(), |found| format!("{found:.2}"));
        let met = match aim.is_met() {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        writeln!(out, "| {name} | {what} | {bound} {wanted} | {found} | {met} |")?;
    }
    Ok(())
}
