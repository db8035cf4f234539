//! CPU time, from `/proc`: the server's, our own, and everybody else's.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// Linux counts `/proc` times in hundredths of a second wherever Bailiwick runs.
const TICK: Duration = Duration::from_millis(10);

pub(crate) struct Before {
    pid: Option<u32>,
    server: Option<Duration>,
    own: Duration,
    all: Duration,
}

pub(crate) struct Used {
    pub(crate) own: Duration,
    pub(crate) server: Option<Duration>,
    pub(crate) foreign: Duration,
}

impl Before {
    pub(crate) fn now(pid: Option<u32>) -> anyhow::Result<Self> {
        let server = pid.map(family).transpose()?;
        Ok(Self { pid, server, own: process("self")?, all: machine()? })
    }

    pub(crate) fn used(&self) -> anyhow::Result<Used> {
        let after = Self::now(self.pid)?;
        let server =
            after.server.zip(self.server).map(|(after, before)| after.saturating_sub(before));
        let own = after.own.saturating_sub(self.own);
        let ours = own + server.unwrap_or_default();
        let foreign = after.all.saturating_sub(self.all).saturating_sub(ours);
        Ok(Used { own, server, foreign })
    }
}

fn ticks(text: &str) -> anyhow::Result<Duration> {
    let count: u32 = text.parse().with_context(|| format!("`{text}` is not a count of ticks"))?;
    Ok(TICK * count)
}

/// User and system time of a process, from fields 14 and 15 of its stat line (proc(5)).
fn process(name: &str) -> anyhow::Result<Duration> {
    let line =
        fs::read_to_string(format!("/proc/{name}/stat")).context("reading a process's time")?;
    let (_, rest) = line.rsplit_once(") ").context("a stat line has a name")?;
    let mut fields = rest.split(' ').skip(11);
    let mut next = || ticks(fields.next().context("a stat line has 15 fields")?);
    Ok(next()? + next()?)
}

/// A process and those that it started and that still run.
fn family(pid: u32) -> anyhow::Result<Duration> {
    let mut time = process(&pid.to_string())?;
    for entry in fs::read_dir("/proc").context("listing processes")? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| name.parse::<u32>().is_ok()) else { continue };
        // Others come and go; one that went away in between is not of this family.
        let status = fs::read_to_string(format!("/proc/{name}/stat")).unwrap_or_default();
        let parent =
            status.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        if parent == Some(pid) {
            time += process(name)?;
        }
    }
    Ok(time)
}

/// All the time that any core was busy: user, nice, system, irq and softirq of the first line.
fn machine() -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("reading the machine's time")?;
    let fields: Vec<&str> = text.lines().next().unwrap_or_default().split_whitespace().collect();
    [1, 2, 3, 6, 7].iter().filter_map(|place| fields.get(*place)).map(|field| ticks(field)).sum()
}

/// A size of a process, such as `VmHWM` or `VmRSS`, in MiB (proc(5)).
pub(crate) fn size_mib(pid: &str, which: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()? / 1024.0)
}
