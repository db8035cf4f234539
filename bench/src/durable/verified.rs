//! Verifying what was appended: that it holds, and how fast beside plain SHA-256.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use ledger::VerifyOptions;
use serde::Serialize;

use super::number;
use crate::cpu;
use crate::report::Spread;

/// Rates in entries, or records, a second. Verifying takes one core.
#[derive(Debug, Serialize)]
pub(crate) struct Verifying {
    pub(crate) entries: u64,
    pub(crate) folder_bytes: u64,
    pub(crate) per_second: Spread,
    pub(crate) per_cpu_second: Spread,
    /// SHA-256 of as many bytes as a record has, on one core, in the same rounds.
    pub(crate) sha_256_per_second: Spread,
    /// Verifying by SHA-256, of the same round; by CPU time.
    pub(crate) ratio: Spread,
}

/// # Errors
/// When the ledger in the folder does not verify, or has fewer entries than were acknowledged.
pub(crate) fn measure(
    folder: &Path,
    entries: u64,
    record_bytes: usize,
    rounds: usize,
) -> anyhow::Result<Verifying> {
    let (mut rates, mut cpu_rates, mut hashes, mut ratios) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds.max(1) {
        let cpu = cpu::Before::now(None)?;
        let begun = Instant::now();
        let options = VerifyOptions { expect_size: Some(entries), ..VerifyOptions::default() };
        let verified = ledger::verify(folder, options).context("verifying what was appended")?;
        anyhow::ensure!(verified.size == entries, "{} entries, not {entries}", verified.size);
        let seconds = begun.elapsed().as_secs_f64();
        // The clock of CPU time has ticks; a run shorter than one is as long as it took.
        let busy = cpu.used()?.own.as_secs_f64().clamp(seconds / 2.0, seconds * 2.0);
        let hash = crate::limits::digests_per_second(record_bytes)?;
        rates.push(number(entries) / seconds);
        cpu_rates.push(number(entries) / busy);
        hashes.push(hash);
        ratios.push(number(entries) / busy / hash);
    }
    let spread = |values: Vec<f64>| Spread::of(values.into_iter()).context("no rounds");
    Ok(Verifying {
        entries,
        folder_bytes: folder_bytes(folder)?,
        per_second: spread(rates)?,
        per_cpu_second: spread(cpu_rates)?,
        sha_256_per_second: spread(hashes)?,
        ratio: spread(ratios)?,
    })
}

fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let (path, entry) = {
            let entry = entry?;
            (entry.path(), entry.metadata()?)
        };
        bytes += if entry.is_dir() { folder_bytes(&path)? } else { entry.len() };
    }
    Ok(bytes)
}
