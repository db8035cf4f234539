//! The ledger as an agency runs it, with its production settings, on the real disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use keys::{SystemClock, SystemRandom};
use ledger::{Event, Ledger, Origin, Reason, Record, Settings, Subject, Verdict, Who};

use super::counted::{CountedDisk, Counts};
use super::{Run, Side, number};
use crate::cpu;

pub(crate) struct Ours {
    ledger: Ledger,
    counts: Arc<Counts>,
    /// Entries that were acknowledged since it was opened, and the size before.
    acknowledged: Arc<AtomicU64>,
    size_before: u64,
}

/// A ledger in the folder, with made-up keys.
pub(crate) fn open(folder: &Path, counts: &Arc<Counts>) -> anyhow::Result<Ledger> {
    let settings = Settings::new(folder, "bench.example/ledger", "NB0010100");
    let disk = Arc::new(CountedDisk { counts: Arc::clone(counts) });
    let (keys, clock, random) =
        (ledger::testing::keys(), Arc::new(SystemClock), Arc::new(SystemRandom));
    Ledger::open_on(disk, settings, keys, clock, random).context("opening the ledger")
}

/// One of many records like those of a look-up: who asked for what, why, and about whom.
pub(crate) fn record(nth: u64) -> Record {
    let digest = "5a1c0d7e9b3f4a62".repeat(4);
    Record {
        who: Some(Who {
            actor: format!("idp.example/officer-{:03}", nth % 300),
            name: format!("Officer {:03}", nth % 300),
            agency: "NB0010100".to_owned(),
            functions: vec!["detective".to_owned()],
            session: Some("9f2c4e1ab7d0".to_owned()),
        }),
        origin: Origin { address: Some("10.20.30.40".to_owned()), ..Origin::default() },
        why: Reason {
            purpose: Some("C".to_owned()),
            case_number: Some(format!("24-{:06}", nth % 5000)),
            reason: None,
        },
        subjects: vec![Subject { kind: "vehicle".to_owned(), id: plate(nth) }],
        event: Event::Decided {
            action: "run-query".to_owned(),
            resource: "vehicle-lookup".to_owned(),
            record_class: "registration".to_owned(),
            caveats: Vec::new(),
            verdict: Verdict::Permit,
            reason: "detectives may look up vehicles for a case".to_owned(),
            policies: vec!["tools-by-function".to_owned()],
            policy_set: digest.clone(),
            plan: digest,
            tool: Some("vehicle-lookup".to_owned()),
            source: Some("records".to_owned()),
        },
    }
}

/// The plate that the entry is about; each of 50,000 comes again and again.
pub(crate) fn plate(nth: u64) -> String {
    format!("NB{:05}", nth % 50_000)
}

impl Ours {
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let counts = Arc::default();
        let ledger = open(folder, &counts)?;
        let size_before = ledger.size();
        Ok(Self { ledger, counts, acknowledged: Arc::default(), size_before })
    }

    /// Appends one record, and gives it as it is kept: the bytes that the other sides keep too.
    pub(crate) async fn record_text(&self) -> anyhow::Result<String> {
        let receipt = self.ledger.append(record(0)).await?;
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        let entry = self.ledger.read(receipt.entry)?;
        serde_json::to_string(&entry.record).context("writing a record out")
    }

    /// So many writers, each with one append under way, for so long.
    pub(crate) async fn run(&self, writers: usize, length: Duration) -> anyhow::Result<Run> {
        let (syncs, bytes) = self.counts.now();
        let cpu = cpu::Before::now(None)?;
        let begun = Instant::now();
        let writer = |nth: usize| {
            let (ledger, acknowledged) = (self.ledger.clone(), Arc::clone(&self.acknowledged));
            tokio::spawn(write(ledger, acknowledged, nth as u64, begun + length))
        };
        let tasks: Vec<_> = (0..writers).map(writer).collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.context("a writer's task")??);
        }
        let length = begun.elapsed();
        let used = cpu.used()?;
        let (syncs_after, bytes_after) = self.counts.now();
        let (entries, commits) = (times.len() as u64, syncs_after - syncs);
        anyhow::ensure!(entries > 0, "no append came back in {length:?}");
        Ok(Run {
            side: Side::Ledger,
            times,
            entries,
            length,
            syncs: Some(commits),
            bytes: Some(bytes_after - bytes),
            cpu: used.own,
            foreign: used.foreign,
            // A few syncs are not of a batch (room ahead, checkpoints); batches look smaller for them.
            batch: (number(entries) / number(commits.max(1))).max(1.0),
        })
    }

    /// Closes it, and gives how many entries there must be.
    pub(crate) fn close(self) -> anyhow::Result<u64> {
        let (size, acknowledged) = (self.ledger.size(), self.acknowledged.load(Ordering::Relaxed));
        self.ledger.close()?;
        let expected = self.size_before + acknowledged;
        anyhow::ensure!(size == expected, "{size} entries, yet {expected} were acknowledged");
        Ok(size)
    }
}

pub(super) async fn write(
    ledger: Ledger,
    acknowledged: Arc<AtomicU64>,
    writer: u64,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut nth = writer * 7919;
    while Instant::now() < until {
        let record = record(nth);
        let before = Instant::now();
        ledger.append(record).await?;
        times.push(before.elapsed());
        acknowledged.fetch_add(1, Ordering::Relaxed);
        nth += 1;
    }
    Ok(times)
}
