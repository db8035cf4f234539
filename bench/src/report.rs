//! The outcome as JSON for machines and Markdown for people, with what is needed to judge it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde::Serialize;

use crate::decisions::Decisions;
use crate::durable::Figures;
use crate::limits::Limits;
use crate::load::Sample;
use crate::start::Start;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) limits: Limits,
    pub(crate) decisions: Vec<Decisions>,
    pub(crate) index: Option<crate::index::Figures>,
    pub(crate) comparisons: Vec<Comparison>,
    /// Resident memory of the gateway's process (two agencies and an identity provider) after the load.
    pub(crate) loaded_mib: Option<f64>,
    pub(crate) start: Option<Start>,
    pub(crate) ledger: Option<Figures>,
    pub(crate) identity: Option<crate::identity::Figures>,
    pub(crate) parcel: Option<crate::parcel::Figures>,
    pub(crate) exchange: Option<crate::transfer::Figures>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) commit: String,
    pub(crate) rustc: String,
    pub(crate) module: String,
    pub(crate) optimised: bool,
}

/// Rounds of A and B in turn; a ratio is A's rate over B's in the same round.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) a: String,
    pub(crate) b: String,
    pub(crate) connections: usize,
    pub(crate) rounds: Vec<(Sample, Sample)>,
    pub(crate) ratio: Spread,
    pub(crate) cpu_ratio: Option<Spread>,
    /// Others used more than a fifth of a core in some round: believe the CPU ratio, not the rates.
    pub(crate) noisy: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

pub(crate) const FOREIGN_CORES_MAX: f64 = 0.2;

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let median = *values.get(values.len() / 2)?;
        Some(Self { median, min: *values.first()?, max: *values.last()? })
    }
}

impl Comparison {
    pub(crate) fn new(
        a: String,
        b: String,
        connections: usize,
        rounds: Vec<(Sample, Sample)>,
    ) -> anyhow::Result<Self> {
        let ratio = Spread::of(rounds.iter().map(|(a, b)| a.per_second / b.per_second));
        // How much of B's CPU an answer of A costs, the other way round so that more is better here too.
        let costs = rounds.iter().filter_map(|(a, b)| Some(b.server_cpu_us? / a.server_cpu_us?));
        let noisy =
            rounds.iter().any(|(a, b)| a.foreign_cores.max(b.foreign_cores) > FOREIGN_CORES_MAX);
        let cpu_ratio = Spread::of(costs);
        Ok(Self { a, b, connections, ratio: ratio.context("no rounds")?, cpu_ratio, rounds, noisy })
    }
}

fn machine() -> Machine {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let module = keys::module::describe();
    Machine {
        cpu: model.map(|(_, name)| name.to_owned()).unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        commit: said("git", &["rev-parse", "--short", "HEAD"]),
        rustc: said("rustc", &["--version"]),
        module: format!("{}, FIPS mode {}", module.name, module.fips),
        optimised: !cfg!(debug_assertions),
    }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

impl Report {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            machine: machine(),
            limits,
            decisions: Vec::new(),
            index: None,
            comparisons: Vec::new(),
            loaded_mib: None,
            start: None,
            ledger: None,
            identity: None,
            parcel: None,
            exchange: None,
        }
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        self.write(&mut text).unwrap_or_default();
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Machine { cpu, cores, commit, rustc, module, optimised } = &self.machine;
        writeln!(out, "# Bench\n\n{cpu}, {cores} cores; commit {commit}; {rustc}; {module}.")?;
        if !optimised {
            writeln!(out, "\n**Not an optimised build: these figures say nothing.**")?;
        }
        let limits = &self.limits;
        writeln!(out, "\n| limit of this machine, same run | figure |\n|---|---|")?;
        for (name, rate) in [
            ("AES-256-GCM, 4 KiB, one core", limits.aes_256_gcm_4_kib),
            ("AES-256-GCM, 1 MiB, one core", limits.aes_256_gcm_1_mib),
            ("SHA-256, 300 B, one core", limits.sha_256_300_bytes),
            ("SHA-256, 1 MiB, one core", limits.sha_256_1_mib),
        ] {
            writeln!(out, "| {name} | {rate:.2} GB/s |")?;
        }
        for (name, sync) in
            [("growing", &limits.fdatasync_growing), ("zero-filled", &limits.fdatasync_zero_filled)]
        {
            let (rate, p50, p99) = (sync.per_second, sync.p50_ms, sync.p99_ms);
            writeln!(
                out,
                "| 512 B + fdatasync, {name} file | {rate:.0}/s, p50 {p50:.2} ms, p99 {p99:.2} ms |"
            )?;
        }
        if !self.decisions.is_empty() {
            Decisions::write(&self.decisions, out)?;
        }
        if let Some(index) = &self.index {
            index.write(out)?;
        }
        for comparison in &self.comparisons {
            comparison.write(out)?;
        }
        if let Some(mib) = self.loaded_mib {
            writeln!(
                out,
                "\nThe demo's process (two agencies) after the load: {mib:.0} MiB resident."
            )?;
        }
        if let Some(start) = &self.start {
            start.write(out)?;
        }
        if let Some(ledger) = &self.ledger {
            ledger.write(out)?;
        }
        if let Some(identity) = &self.identity {
            identity.write(out)?;
        }
        if let Some(parcel) = &self.parcel {
            parcel.write(out)?;
        }
        if let Some(exchange) = &self.exchange {
            exchange.write(out)?;
        }
        Ok(())
    }
}

impl Comparison {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { a, b, connections, ratio, .. } = self;
        writeln!(out, "\n## {a} against {b}, {connections} connections\n")?;
        writeln!(
            out,
            "Rate {a} / {b}: **{:.2}** (rounds {:.2} to {:.2})",
            ratio.median, ratio.min, ratio.max
        )?;
        if let Some(cpu) = &self.cpu_ratio {
            writeln!(
                out,
                "CPU of {b} / {a}: **{:.2}** ({:.2} to {:.2})",
                cpu.median, cpu.min, cpu.max
            )?;
        }
        if self.noisy {
            writeln!(out, "Noisy: other work ran on the machine, so only the CPU ratio counts.")?;
        }
        writeln!(
            out,
            "\n| round | side | requests/s | p50 ms | p99 ms | server CPU µs | foreign cores |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|")?;
        for (number, (first, second)) in self.rounds.iter().enumerate() {
            for (name, sample) in [(a, first), (b, second)] {
                let Sample { per_second, p50_ms, p99_ms, server_cpu_us, foreign_cores, .. } =
                    sample;
                let cpu = server_cpu_us.map_or("–".to_owned(), |cpu| format!("{cpu:.0}"));
                writeln!(
                    out,
                    "| {} | {name} | {per_second:.0} | {p50_ms:.2} | {p99_ms:.2} | {cpu} | {foreign_cores:.2} |",
                    number + 1
                )?;
            }
        }
        Ok(())
    }
}

/// Writes `NAME.json` and `NAME.md` into the folder.
pub(crate) fn keep(report: &Report, folder: &Path, name: &str) -> anyhow::Result<()> {
    let json = serde_json::to_vec_pretty(report).context("writing the report")?;
    std::fs::write(folder.join(format!("{name}.json")), json)?;
    std::fs::write(folder.join(format!("{name}.md")), report.markdown())?;
    Ok(())
}
