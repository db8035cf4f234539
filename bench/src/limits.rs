//! What this machine can do at best, measured in the same run as everything it is held against.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use keys::SystemRandom;
use keys::seal::SealingKey;
use serde::Serialize;

/// Rates in GB/s (10⁹ bytes) of one core; times in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Limits {
    pub(crate) aes_256_gcm_4_kib: f64,
    pub(crate) aes_256_gcm_1_mib: f64,
    pub(crate) sha_256_300_bytes: f64,
    pub(crate) sha_256_1_mib: f64,
    pub(crate) fdatasync_growing: Sync,
    pub(crate) fdatasync_zero_filled: Sync,
}

/// 512-byte writes, each made durable alone.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sync {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

const MICRO_WAIT: Duration = Duration::from_millis(400);
const SYNCS: u64 = 1000;
const RECORD: [u8; 512] = [0x5a; 512];

pub(crate) fn measure(folder: &Path) -> anyhow::Result<Limits> {
    let key = SealingKey::generate(&SystemRandom).context("making a key")?;
    let seal = |size: usize| {
        let plain = vec![0x17_u8; size];
        rate(size, || key.seal(b"bench", &plain).map(|sealed| sealed.len()).map_err(Into::into))
    };
    let digest = |size: usize| {
        let data = vec![0x17_u8; size];
        rate(size, || Ok(usize::from(keys::digest::sha256(&data)[0])))
    };
    Ok(Limits {
        aes_256_gcm_4_kib: seal(4 << 10)?,
        aes_256_gcm_1_mib: seal(1 << 20)?,
        sha_256_300_bytes: digest(300)?,
        sha_256_1_mib: digest(1 << 20)?,
        fdatasync_growing: syncs(&folder.join("growing.probe"), false, SYNCS)?,
        fdatasync_zero_filled: syncs(&folder.join("filled.probe"), true, SYNCS)?,
    })
}

/// The best of three turns: noise only ever makes a turn slower.
fn rate(size: usize, mut deed: impl FnMut() -> anyhow::Result<usize>) -> anyhow::Result<f64> {
    let mut best = 0.0_f64;
    for _ in 0..3 {
        let started = Instant::now();
        let mut count = 0_u32;
        while started.elapsed() < MICRO_WAIT {
            std::hint::black_box(deed()?);
            count += 1;
        }
        let bytes = f64::from(count) * u32::try_from(size).map(f64::from).context("size")?;
        best = best.max(bytes / started.elapsed().as_secs_f64() / 1e9);
    }
    Ok(best)
}

/// SHA-256 of so many bytes, so many times a second, on one core.
pub(crate) fn digests_per_second(size: usize) -> anyhow::Result<f64> {
    let data = vec![0x17_u8; size];
    let rate = rate(size, || Ok(usize::from(keys::digest::sha256(&data)[0])))?;
    Ok(rate * 1e9 / u32::try_from(size).map(f64::from)?)
}

/// The raw cost of a durable write, by which every durable figure has to be read.
pub(crate) fn syncs(path: &Path, filled: bool, count: u64) -> anyhow::Result<Sync> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    if filled {
        fill(&mut file, count)?;
    }
    let mut times = Vec::new();
    let started = Instant::now();
    for place in 0..count {
        let before = Instant::now();
        file.write_all_at(&RECORD, place * 512)?;
        file.sync_data()?;
        times.push(before.elapsed());
    }
    let per_second = f64::from(u32::try_from(count)?) / started.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    times.sort();
    Ok(Sync { per_second, p50_ms: percentile(&times, 50), p99_ms: percentile(&times, 99) })
}

fn fill(file: &mut File, count: u64) -> anyhow::Result<()> {
    for _ in 0..count {
        file.write_all(&[0; 512])?;
    }
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(())
}

/// Milliseconds at a percentile of sorted times; 0 when there are none.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}
