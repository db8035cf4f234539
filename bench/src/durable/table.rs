//! The ledger's figures for people.

use std::fmt::{Result, Write};

use super::{Figures, Sample, Side, Verifying, Writers};
use crate::limits::Sync;
use crate::report::{FOREIGN_CORES_MAX, Spread};

/// What of a sample is held against what of the raw disk.
type Probe = (&'static str, fn(&Sample) -> f64, fn(&Sync) -> f64);

const SIDES: [(Side, &str); 5] = [
    (Side::Ledger, "ledger"),
    (Side::Disk, "disk alone"),
    (Side::Sqlite, "SQLite WAL FULL"),
    (Side::PostgresCopy, "PostgreSQL COPY"),
    (Side::PostgresInsert, "PostgreSQL INSERT"),
];

/// Held against each other, and not against the ledger on disk.
const SHARED_SIDES: [(Side, &str); 2] =
    [(Side::Shared, "ledger in PostgreSQL"), (Side::CopyBesideShared, "COPY beside it")];

impl Figures {
    pub(crate) fn write(&self, out: &mut String) -> Result {
        writeln!(
            out,
            "\n## The ledger: durable appends, records of {} bytes of JSON\n\n\
             Medians of the rounds. Batches of the other sides are as large as the ledger's of the same round.\n\n\
             | writers | side | entries/s | p50 ms | p99 ms | a batch | syncs/entry | bytes/entry | CPU µs/entry | foreign cores |\n\
             |---|---|---|---|---|---|---|---|---|---|",
            self.record_bytes
        )?;
        for writers in &self.writers {
            for (side, name) in SIDES.into_iter().chain(SHARED_SIDES) {
                writers.row(side, name, out)?;
            }
        }
        for writers in &self.writers {
            writers.ratios(out)?;
        }
        self.verifying.write(out)?;
        if !self.memory.is_empty() {
            writeln!(
                out,
                "\n| entries | MiB after appending | index behind by ms | MiB after opening | to open ms | to find 20 by subject ms |"
            )?;
            writeln!(out, "|---|---|---|---|---|---|")?;
        }
        for at in &self.memory {
            writeln!(
                out,
                "| {} | {:.1} | {:.0} | {:.1} | {:.0} | {:.2} |",
                at.entries,
                at.appended_mib,
                at.index_behind_ms,
                at.opened_mib,
                at.open_ms,
                at.search_ms
            )?;
        }
        Ok(())
    }
}

impl Writers {
    fn row(&self, side: Side, name: &str, out: &mut String) -> Result {
        let median = |pick: fn(&Sample) -> Option<f64>| {
            Spread::of(self.of(side).filter_map(pick)).map(|spread| spread.median)
        };
        let Some(rate) = median(|it| Some(it.per_second)) else { return Ok(()) };
        let shown = |value: Option<f64>, digits: usize| {
            value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
        };
        writeln!(
            out,
            "| {} | {name} | {rate:.0} | {} | {} | {} | {} | {} | {} | {} |",
            self.writers,
            shown(median(|it| Some(it.p50_ms)), 2),
            shown(median(|it| Some(it.p99_ms)), 2),
            shown(median(|it| Some(it.batch)), 1),
            shown(median(|it| it.syncs), 3),
            shown(median(|it| it.bytes), 0),
            shown(median(|it| Some(it.cpu_us)), 1),
            shown(median(|it| Some(it.foreign_cores)), 2),
        )
    }

    fn ratios(&self, out: &mut String) -> Result {
        let (rounds, steady) = self.counted();
        writeln!(out, "\nWriters: {}. The ledger held against the same round's:\n", self.writers)?;
        if !steady || rounds.len() < self.rounds.len() {
            let (used, all) = (if steady { rounds.len() } else { 0 }, self.rounds.len());
            writeln!(
                out,
                "The disk kept its speed in {used} of {all} rounds; the others count only where all do.\n"
            )?;
        }
        if self.rounds.iter().flatten().any(|it| it.foreign_cores > FOREIGN_CORES_MAX) {
            writeln!(out, "Noisy: other work ran on the machine; ratios of rates are rough.\n")?;
        }
        writeln!(out, "| | median | least | most |\n|---|---|---|---|")?;
        let probes: [Probe; 3] = [
            ("rate / raw syncs a second", |it| it.per_second, |it| it.per_second),
            ("p50 / raw p50", |it| it.p50_ms, |it| it.p50_ms),
            ("p99 / raw p99", |it| it.p99_ms, |it| it.p99_ms),
        ];
        for (name, ours, raw) in probes {
            let ratio = self.ratio(|sample, _| Some(ours(sample) / sample.raw(raw)));
            line(name, ratio.as_ref(), out)?;
        }
        for (side, name) in SIDES.into_iter().skip(1) {
            let of =
                |round: &[Sample]| round.iter().find(|it| it.side == side).map(|it| it.per_second);
            let ratio = self.ratio(|sample, round| Some(sample.per_second / of(round)?));
            line(&format!("rate / {name}"), ratio.as_ref(), out)?;
        }
        let rate = |round: &[Sample], side| {
            round.iter().find(|it| it.side == side).map(|it| it.per_second)
        };
        let ratio = self.ratio(|_, round| {
            Some(rate(round, Side::Shared)? / rate(round, Side::CopyBesideShared)?)
        });
        line("rate of ledger in PostgreSQL / COPY beside it", ratio.as_ref(), out)
    }
}

fn line(name: &str, ratio: Option<&Spread>, out: &mut String) -> Result {
    let Some(Spread { median, min, max }) = ratio else { return Ok(()) };
    writeln!(out, "| {name} | **{median:.2}** | {min:.2} | {max:.2} |")
}

impl Verifying {
    fn write(&self, out: &mut String) -> Result {
        let Self { entries, folder_bytes, per_second, per_cpu_second, sha_256_per_second, ratio } =
            self;
        writeln!(
            out,
            "\nAll {entries} acknowledged entries are there and verify; {} bytes on disk for each.\n\n\
             | | median | least | most |\n|---|---|---|---|",
            folder_bytes / (*entries).max(1)
        )?;
        for (name, spread) in [
            ("verified entries a second", per_second),
            ("verified entries a CPU second", per_cpu_second),
            ("SHA-256 of a record's bytes, a second, one core", sha_256_per_second),
        ] {
            let Spread { median, min, max } = spread;
            writeln!(out, "| {name} | {median:.0} | {min:.0} | {max:.0} |")?;
        }
        line("verified entries a CPU second / SHA-256", Some(ratio), out)
    }
}
