//! The ledger against the disk that it lies on, and against what else keeps records durably on that disk.
//!
//! Rounds of all sides in turn, with a probe of the raw disk between any two: each sample lies between two
//! probes. Afterwards nothing counts unless every acknowledged entry is there and the ledger verifies.

mod counted;
pub(crate) mod memory;
mod ours;
mod peers;
mod shared;
mod table;
mod verified;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use crate::Arguments;
use crate::limits::{Sync, syncs};
use crate::report::Spread;
use memory::AtSize;
use ours::Ours;
use peers::Peer;
use shared::Shared;
use verified::Verifying;

/// How a side is called in the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    Ledger,
    /// The bytes of the same batches into a file of zeros, and nothing else: the disk's own limit.
    Disk,
    Sqlite,
    PostgresCopy,
    /// One transaction a row, over [`peers::INSERTERS_MAX`] connections at most.
    PostgresInsert,
    /// The ledger in PostgreSQL.
    Shared,
    /// COPY in batches of the size that the ledger in PostgreSQL just had.
    CopyBesideShared,
}

/// One side for one length of time.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) side: Side,
    pub(crate) entries: u64,
    pub(crate) per_second: f64,
    /// Of an append with the ledger and of an INSERT, of a whole batch with the others.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Entries in a commit.
    pub(crate) batch: f64,
    /// `fdatasync` and `fsync` calls and bytes written for each entry; known of the ledger and the disk alone.
    pub(crate) syncs: Option<f64>,
    pub(crate) bytes: Option<f64>,
    /// User and system time for each entry, of this process (load generator included) and the server's.
    pub(crate) cpu_us: f64,
    pub(crate) foreign_cores: f64,
    pub(crate) probe_before: Sync,
    pub(crate) probe_after: Sync,
}

/// Rounds with so many writers.
#[derive(Debug, Serialize)]
pub(crate) struct Writers {
    pub(crate) writers: usize,
    pub(crate) rounds: Vec<Vec<Sample>>,
}

/// What the ledger does on this disk.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// Length of a record as JSON: what every side keeps.
    pub(crate) record_bytes: usize,
    pub(crate) writers: Vec<Writers>,
    pub(crate) verifying: Verifying,
    pub(crate) memory: Vec<AtSize>,
}

/// A sample between probes that differ by more than this says nothing.
const PROBES_RATIO_MAX: f64 = 2.0;
const WARM_UP: Duration = Duration::from_millis(200);

pub(crate) async fn measure(arguments: &Arguments) -> anyhow::Result<Figures> {
    let folder = arguments.out.join("ledger");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("removing what an earlier run left")?;
    }
    std::fs::create_dir_all(&folder)?;
    let ours = Ours::open(&folder.join("log"))?;
    let record = ours.record_text().await?;
    let mut peers = Peer::all(&folder, &record).await?;
    let mut shared = Shared::open(&folder, &record).await?;
    let mut writers = Vec::new();
    for &count in &arguments.writers {
        writers.push(rounds(arguments, &folder, &ours, (&mut peers, &mut shared), count).await?);
    }
    for peer in &mut peers {
        peer.check().await?;
    }
    drop(peers);
    if let Some(mut shared) = shared {
        shared.check().await?;
        shared.close().await?;
    }
    let appended = ours.close()?;
    let log = folder.join("log");
    let verifying = verified::measure(&log, appended, record.len(), arguments.rounds)?;
    std::fs::remove_dir_all(&log)?;
    let memory = memory::measure(&folder.join("memory"), &arguments.entries)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(Figures { record_bytes: record.len(), writers, verifying, memory })
}

async fn rounds(
    arguments: &Arguments,
    folder: &Path,
    ours: &Ours,
    (peers, shared): (&mut [Peer], &mut Option<Shared>),
    writers: usize,
) -> anyhow::Result<Writers> {
    let length = Duration::from_secs_f64(arguments.ledger_seconds);
    let probe = || syncs(&folder.join("probe"), true, arguments.probe_syncs);
    ours.run(writers, WARM_UP).await?;
    if let Some(shared) = shared {
        shared.run(writers, WARM_UP).await?;
    }
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds {
        let mut before = probe()?;
        let mut sample = ours.run(writers, length).await?;
        let mut after = probe()?;
        let batch = sample.batch;
        let mut round = vec![sample.between(&before, &after)];
        for peer in &mut *peers {
            before = after;
            sample = peer.run(batch, writers, length).await?;
            after = probe()?;
            round.push(sample.between(&before, &after));
        }
        if let Some(shared) = shared {
            before = after;
            sample = shared.run(writers, length).await?;
            after = probe()?;
            let batch = sample.batch;
            round.push(sample.between(&before, &after));
            before = after;
            sample = shared.copy.run(batch, writers, length).await?;
            after = probe()?;
            round.push(sample.between(&before, &after));
        }
        rounds.push(round);
    }
    Ok(Writers { writers, rounds })
}

/// A sample that does not know yet between which probes it lies.
struct Run {
    side: Side,
    times: Vec<Duration>,
    entries: u64,
    length: Duration,
    syncs: Option<u64>,
    bytes: Option<u64>,
    cpu: Duration,
    foreign: Duration,
    batch: f64,
}

impl Run {
    fn between(mut self, before: &Sync, after: &Sync) -> Sample {
        self.times.sort();
        let each = |count: f64| count / number(self.entries);
        let seconds = self.length.as_secs_f64();
        Sample {
            side: self.side,
            entries: self.entries,
            per_second: number(self.entries) / seconds,
            p50_ms: crate::limits::percentile(&self.times, 50),
            p99_ms: crate::limits::percentile(&self.times, 99),
            batch: self.batch,
            syncs: self.syncs.map(|it| each(number(it))),
            bytes: self.bytes.map(|it| each(number(it))),
            cpu_us: each(self.cpu.as_secs_f64() * 1e6),
            foreign_cores: self.foreign.as_secs_f64() / seconds,
            probe_before: before.clone(),
            probe_after: after.clone(),
        }
    }
}

/// Exact up to 2⁵³, which no count here comes near.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2⁵³")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

impl Sample {
    /// The disk did not change its speed in the middle.
    pub(crate) fn is_steady(&self) -> bool {
        let (before, after) = (self.probe_before.p50_ms, self.probe_after.p50_ms);
        before.max(after) <= PROBES_RATIO_MAX * before.min(after)
    }

    /// The raw disk around this sample.
    fn raw(&self, pick: fn(&Sync) -> f64) -> f64 {
        f64::midpoint(pick(&self.probe_before), pick(&self.probe_after))
    }
}

impl Writers {
    /// The samples of one side, a round each.
    pub(crate) fn of(&self, side: Side) -> impl Iterator<Item = &Sample> {
        self.rounds.iter().flatten().filter(move |sample| sample.side == side)
    }

    /// Rounds in which the ledger's sample lies between like probes; all of them where none does.
    pub(crate) fn counted(&self) -> (Vec<&Vec<Sample>>, bool) {
        let steady = |round: &&Vec<Sample>| round.first().is_some_and(Sample::is_steady);
        let rounds: Vec<_> = self.rounds.iter().filter(steady).collect();
        if rounds.is_empty() { (self.rounds.iter().collect(), false) } else { (rounds, true) }
    }

    /// The ledger held against something of the same round.
    fn ratio(&self, of: impl Fn(&Sample, &[Sample]) -> Option<f64>) -> Option<Spread> {
        let (rounds, _) = self.counted();
        Spread::of(rounds.into_iter().filter_map(|round| of(round.first()?, round)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_side_keeps_what_it_acknowledged_and_the_ledger_verifies() {
        // PostgreSQL runs as another user, who may not come into the home that holds the target.
        let folder = tempfile::tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let line = "bench ledger --rounds 2 --ledger-seconds 0.1 --writers 1,64 --out";
        let line = line.split(' ').map(std::ffi::OsString::from).chain([folder.path().into()]);
        let mut arguments = Arguments::parse_from(line);
        // This program, as which processes for ledgers would be started, is a test here.
        arguments.entries.clear();
        arguments.probe_syncs = 8;
        let figures = measure(&arguments).await.unwrap();
        let [one, many] = figures.writers.as_slice() else { panic!("two numbers of writers") };
        for sample in one.rounds.iter().chain(&many.rounds).flatten() {
            assert!(sample.entries > 0 && sample.p99_ms >= sample.p50_ms, "{sample:?}");
        }
        for sample in one.of(Side::Ledger) {
            assert!(sample.syncs.unwrap() >= 1.0, "an append alone is synced alone: {sample:?}");
            let bytes = sample.bytes.unwrap();
            assert!(bytes > 2.0 * figures.record_bytes as f64, "journal and place: {sample:?}");
        }
        for sample in many.of(Side::Ledger) {
            assert!(sample.syncs.unwrap() < 0.5, "appends share a sync: {sample:?}");
        }
        assert!(one.ratio(|ours, _| Some(ours.per_second)).unwrap().min > 0.0);
        let appended: u64 =
            [one, many].iter().flat_map(|it| it.of(Side::Ledger)).map(|it| it.entries).sum();
        assert!(figures.verifying.entries >= appended, "{figures:?}");
        let mut text = String::new();
        figures.write(&mut text).unwrap();
        assert!(text.contains("| 64 | ledger |"), "{text}");
        let has_shared = many.of(Side::Shared).count() > 0;
        assert_eq!(text.contains("| 64 | ledger in PostgreSQL |"), has_shared, "{text}");
        assert_eq!(text.contains("ledger in PostgreSQL / COPY beside it"), has_shared, "{text}");
    }

    #[tokio::test]
    async fn an_entry_that_was_acknowledged_and_is_not_there_is_no_figure() {
        let folder = tempfile::tempdir().unwrap();
        let ours = Ours::open(&folder.path().join("log")).unwrap();
        ours.record_text().await.unwrap();
        let appended = ours.close().unwrap();
        let log = folder.path().join("log");
        assert!(verified::measure(&log, appended, 300, 1).is_ok());
        let error = verified::measure(&log, appended + 1, 300, 1).unwrap_err();
        assert!(format!("{error:#}").contains("2 are expected"), "{error:#}");
    }
}
