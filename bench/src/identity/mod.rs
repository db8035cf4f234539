//! Sign-in: how many SAML answers the verifier takes a second, beside xmlsec1 and pysaml2 on the same messages;
//! and what it costs to find out who a cookie belongs to.
//!
//! The sides run in turn, A, B, C …, so that a busy machine slows all of them. Each has two threads, or two
//! processes, as the machine has cores. What starting a process costs is a side of its own, so that it can be told
//! apart from the verifying.

mod messages;
mod peers;
mod sessions;
mod verifier;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use crate::cpu;
use crate::report::Spread;

use messages::Messages;
pub(crate) use sessions::Sessions;

/// Threads, or processes, of each side.
const AT_ONCE: usize = 2;

/// Verifications a second of one side.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: &'static str,
    per_second: Spread,
    /// How many times as many we do of the same kind of message in the same round; absent for our own rows.
    ours_over_it: Option<Spread>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    rows: Vec<Row>,
    sessions: Sessions,
    rounds: usize,
    seconds: f64,
    /// Cores that others used meanwhile.
    foreign_cores: f64,
    /// The load averages of the machine, before and after.
    load: [String; 2],
}

/// A side: its name, and how many it does in this time.
type Side<'a> = (&'static str, Box<dyn Fn(Duration) -> anyhow::Result<f64> + 'a>);

pub(crate) fn measure(out: &Path, rounds: usize, seconds: f64) -> anyhow::Result<Figures> {
    let folder = out.join("identity");
    std::fs::create_dir_all(&folder).context("making the folder for messages")?;
    let before = load();
    let cpu = cpu::Before::now(None)?;
    let started = std::time::Instant::now();
    let messages = Messages::make(&folder)?;
    let ours: [(&'static str, &[String]); 3] = [
        ("Bailiwick, whole check: response signed", &messages.response),
        ("Bailiwick, whole check: response and assertion signed", &messages.both),
        ("Bailiwick, whole check: assertion encrypted, response signed", &messages.encrypted),
    ];
    let mut sides: Vec<Side<'_>> = Vec::new();
    for (name, stock) in ours {
        let idp = &messages;
        sides.push((name, Box::new(move |length| verifier::rate(idp, stock, AT_ONCE, length))));
    }
    // Encrypted ones are xmlsec1's in another way: the comparison is of what all three are asked.
    sides.extend(peers::sides(&folder, &messages, AT_ONCE)?);
    let length = Duration::from_secs_f64(seconds);
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); sides.len()];
    for round in 0..=rounds {
        for ((_, run), rates) in sides.iter().zip(&mut rates) {
            let rate = run(length)?;
            // The first round warms up.
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    let rows = rows(&sides, &rates)?;
    drop(sides);
    let sessions = sessions::measure(&folder)?;
    let used = cpu.used()?;
    let foreign_cores = used.foreign.as_secs_f64() / started.elapsed().as_secs_f64();
    Ok(Figures { rows, sessions, rounds, seconds, foreign_cores, load: [before, load()] })
}

fn rows(sides: &[Side<'_>], rates: &[Vec<f64>]) -> anyhow::Result<Vec<Row>> {
    // Peers are given the first kind of message.
    let first = rates.first().context("no sides")?;
    let row = |((name, _), rates): (&Side<'_>, &Vec<f64>)| {
        let per_second = Spread::of(rates.iter().copied()).context("no rounds")?;
        let ratio = Spread::of(first.iter().zip(rates).map(|(ours, its)| ours / its));
        let ours_over_it = ratio.filter(|_| !name.starts_with("Bailiwick"));
        Ok(Row { name, per_second, ours_over_it })
    };
    sides.iter().zip(rates).map(row).collect()
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

impl Figures {
    pub(crate) fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { rounds, seconds, foreign_cores, load: [before, after], .. } = self;
        writeln!(out, "\n## SAML answers, {AT_ONCE} threads or processes a side\n")?;
        writeln!(
            out,
            "{rounds} rounds of {seconds} s a side in turn; load average {before} before, {after} after; \
             others used {foreign_cores:.2} cores; processes that a side starts count as others.\n"
        )?;
        writeln!(out, "| side | a second (rounds) | ours / it (rounds) |\n|---|---|---|")?;
        for Row { name, per_second, ours_over_it } in &self.rows {
            let Spread { median, min, max } = per_second;
            write!(out, "| {name} | **{median:.0}** ({min:.0} to {max:.0}) | ")?;
            match ours_over_it {
                Some(Spread { median, min, max }) => {
                    writeln!(out, "{median:.1} ({min:.1} to {max:.1}) |")?;
                }
                None => writeln!(out, "|")?,
            }
        }
        self.sessions.write(out)
    }
}
