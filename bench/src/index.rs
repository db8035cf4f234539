//! The ledger's search index: how fast it is built, how large it gets, and how long it takes to find
//! "everything about this person, vehicle or case", the page of entries read and confirmed.
//!
//! The log of the large index is made up while it is read, for its bodies alone would take 10 GB. Where
//! a search reads an entry of it, an entry of a smaller real ledger is read, opened and verified as well,
//! so that the page costs what it costs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use keys::mac::MacKey;
use keys::seal::SealingKey;
use keys::sign::Ed25519Key;
use keys::{SystemClock, SystemRandom};
use ledger::testing::Measured;
use ledger::{
    EntryNumber, Event, IndexDoing, IndexKeys, Ledger, LedgerKeys, Origin, Reason, Record, Search,
    Settings, Subject, Verdict, Who,
};
use serde::Serialize;

use crate::gateway::resident_mib;
use crate::limits::percentile;

/// Subjects that are searched for.
const SEARCHES: u64 = 200;
/// Entries of the audit page.
const PAGE_ENTRIES: u32 = 50;
/// Records that wait for the disk at a time.
const WAITING: u64 = 8_192;
const LOOK_EVERY: Duration = Duration::from_millis(2);

#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    entries: u64,
    build_seconds: f64,
    /// Of the building: making the records up and blinding their subjects.
    made_up_seconds: f64,
    file_bytes: u64,
    warm: Searches,
    cold: Searches,
    resident_before_mib: f64,
    resident_after_mib: f64,
    peak_mib: f64,
    ledger: RealLedger,
}

#[derive(Debug, Serialize)]
struct Searches {
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// Of the mean search: reading the page's entries from the real ledger.
    mean_reading_ms: f64,
    mean_ms: f64,
    mean_entries: f64,
}

/// A real ledger, appended to and then indexed from its files.
#[derive(Debug, Serialize)]
struct RealLedger {
    entries: u64,
    rebuild_seconds: f64,
    warm: Searches,
}

#[derive(Default)]
struct Spent {
    making_ns: AtomicU64,
    reading_ns: AtomicU64,
}

pub(crate) fn measure(folder: &Path, entries: u64, real: u64) -> anyhow::Result<Figures> {
    let folder = folder.join("index");
    // What an earlier run left when it was ended.
    remove(&folder)?;
    std::fs::create_dir_all(&folder)?;
    let figures = measure_in(&folder, entries, real);
    remove(&folder)?;
    figures
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

fn measure_in(folder: &Path, entries: u64, real: u64) -> anyhow::Result<Figures> {
    anyhow::ensure!(entries > 0 && real > 0, "an index needs entries");
    let keys = IndexKeys::one(MacKey::from_bytes([7; 32]));
    let (ledger, real_figures) = real_ledger(&folder.join("ledger"), real, &keys)?;
    let spent = Arc::new(Spent::default());
    let path = folder.join("index.db");
    let index = index(&path, entries, real, &keys, &ledger, &spent)?;
    let resident_before_mib = resident_mib(std::process::id())?;
    let started = Instant::now();
    index.build().map_err(anyhow::Error::from_boxed)?;
    let build_seconds = started.elapsed().as_secs_f64();
    let made_up_seconds = seconds(&spent.making_ns);
    let file_bytes = size_of(folder)? - size_of(&folder.join("ledger"))?;
    let mut find = |search: &Search| {
        Ok(index.search(search).map_err(anyhow::Error::from_boxed)?.entries.len())
    };
    let warm = searches(entries, &spent, &mut find, &mut || Ok(()))?;
    flush(folder)?;
    let cold = searches(entries, &spent, &mut find, &mut || {
        index.forget_pages().map_err(anyhow::Error::from_boxed)?;
        drop_pages(folder)
    })?;
    Ok(Figures {
        entries,
        build_seconds,
        made_up_seconds,
        file_bytes,
        warm,
        cold,
        resident_before_mib,
        resident_after_mib: resident_mib(std::process::id())?,
        peak_mib: peak_mib()?,
        ledger: real_figures,
    })
}

/// The index on the made-up log.
fn index(
    path: &Path,
    entries: u64,
    real: u64,
    keys: &IndexKeys,
    ledger: &Ledger,
    spent: &Arc<Spent>,
) -> anyhow::Result<Measured> {
    let (making, reading, ledger) = (Arc::clone(spent), Arc::clone(spent), ledger.clone());
    let make = move |number| timed(&making.making_ns, || record(number, entries));
    let read = move |number| {
        timed(&reading.reading_ns, || ledger.read(EntryNumber(number % real)).map(drop))
    };
    Measured::new(path, entries, keys.clone(), Box::new(make), Box::new(read))
        .map_err(anyhow::Error::from_boxed)
}

fn timed<T>(spent: &AtomicU64, deed: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = deed();
    spent.fetch_add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(0), Ordering::Relaxed);
    done
}

fn seconds(spent: &AtomicU64) -> f64 {
    Duration::from_nanos(spent.load(Ordering::Relaxed)).as_secs_f64()
}

/// A ledger of so many entries, and how it is indexed from its files.
fn real_ledger(
    folder: &Path,
    entries: u64,
    index: &IndexKeys,
) -> anyhow::Result<(Ledger, RealLedger)> {
    let keys = LedgerKeys {
        signer: Ed25519Key::generate(&SystemRandom)?,
        body: SealingKey::generate(&SystemRandom)?,
        index: index.clone(),
    };
    let settings = Settings::new(folder, "bench.example/ledger", "NB0010100");
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let ledger = Ledger::open_or_create(settings, keys, clock, random)?;
    let mut from = 0;
    while from < entries {
        let end = entries.min(from + WAITING);
        let records = (from..end).map(|number| ledger.enqueue(record(number, entries)));
        let waiting = records.collect::<Result<Vec<_>, _>>()?;
        for pending in waiting {
            pending.wait()?;
        }
        from = end;
    }
    until_covered(&ledger);
    let started = Instant::now();
    ledger.rebuild_index();
    until_covered(&ledger);
    let rebuild_seconds = started.elapsed().as_secs_f64();
    let spent = Spent::default();
    let mut find = |search: &Search| Ok(ledger.search(search)?.entries.len());
    let warm = searches(entries, &spent, &mut find, &mut || Ok(()))?;
    Ok((ledger, RealLedger { entries, rebuild_seconds, warm }))
}

fn until_covered(ledger: &Ledger) {
    loop {
        let state = ledger.index_state();
        if state.covers == ledger.size() && state.doing == IndexDoing::Following {
            return;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// Searches for subjects of entries anywhere in the log.
fn searches(
    entries: u64,
    spent: &Spent,
    find: &mut dyn FnMut(&Search) -> anyhow::Result<usize>,
    before: &mut dyn FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Searches> {
    spent.reading_ns.store(0, Ordering::Relaxed);
    let (mut times, mut found) = (Vec::new(), 0);
    for number in 0..SEARCHES {
        let any = mix(number ^ 0x5eed) % entries;
        let subjects = subjects(any, entries);
        let at = usize::try_from(number % 3).unwrap_or(0);
        let subject = subjects.into_iter().nth(at).context("a record has subjects")?;
        let search = Search { subject: Some(subject), ..Search::newest(PAGE_ENTRIES) };
        before()?;
        let started = Instant::now();
        found += find(&search)?;
        times.push(started.elapsed());
    }
    anyhow::ensure!(found >= times.len(), "a subject was not found");
    let count = times.len() as f64;
    let mean_ms = times.iter().sum::<Duration>().as_secs_f64() * 1e3 / count;
    times.sort();
    Ok(Searches {
        p50_ms: percentile(&times, 50),
        p99_ms: percentile(&times, 99),
        max_ms: percentile(&times, 100),
        mean_reading_ms: seconds(&spent.reading_ns) * 1e3 / count,
        mean_ms,
        mean_entries: found as f64 / count,
    })
}

/// A number that looks like any other.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One of `most`, the first far more often than the last: few people are looked at often.
fn skewed(random: u64, most: u64) -> u64 {
    let u = u128::from(random >> 32);
    u64::try_from((u * u * u * u128::from(most)) >> 96).unwrap_or(0)
}

/// A decision and its release have the same.
fn subjects(number: u64, entries: u64) -> [Subject; 3] {
    let number = number / 2;
    let one = |kind: &str, letter, salt: u64, share: u64| Subject {
        kind: kind.to_owned(),
        id: format!("{letter}-{:07}", skewed(mix(number ^ salt), (entries / share).max(1))),
    };
    [
        one("person", 'P', 0x11 << 40, 8),
        one("vehicle", 'V', 0x22 << 40, 8),
        one("case", 'C', 0x33 << 40, 40),
    ]
}

/// A decision, then what was released under it, and so on.
fn record(number: u64, entries: u64) -> Record {
    let person = mix(number / 2) % 500;
    let digest = format!("{:064x}", mix(number));
    let [_, _, case] = subjects(number, entries);
    let event = if number.is_multiple_of(2) {
        Event::Decided {
            action: "run-query".to_owned(),
            resource: "tool vehicle-lookup".to_owned(),
            record_class: "VEHICLE".to_owned(),
            caveats: Vec::new(),
            verdict: Verdict::Permit,
            reason: "a detective may look up vehicles for criminal justice".to_owned(),
            policies: vec!["vehicle-lookup-by-function".to_owned()],
            policy_set: digest.clone(),
            plan: digest,
            tool: Some(format!("tool-{}", person % 12)),
            source: Some("records".to_owned()),
        }
    } else {
        Event::Released {
            decided: number - 1,
            what: "rows".to_owned(),
            count: 3,
            bytes: 812,
            digest,
        }
    };
    Record {
        who: Some(Who {
            actor: format!("idp|person-{person}"),
            name: format!("Person Number {person}"),
            agency: "NB0010100".to_owned(),
            functions: vec!["detective".to_owned()],
            session: Some(format!("{:016x}", mix(person ^ (number / 20_000)))),
        }),
        origin: Origin {
            address: Some("10.20.30.40".to_owned()),
            agent: Some("Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0".to_owned()),
            request: Some(format!("{:016x}", mix(number))),
        },
        why: Reason { purpose: Some("C".to_owned()), case_number: Some(case.id), reason: None },
        subjects: subjects(number, entries).to_vec(),
        event,
    }
}

/// All files under a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

fn size_of(folder: &Path) -> anyhow::Result<u64> {
    files(folder)?.iter().map(|path| Ok(std::fs::metadata(path)?.len())).sum()
}

/// Everything is on disk, so that the system can let its pages go.
fn flush(folder: &Path) -> anyhow::Result<()> {
    for path in files(folder)? {
        std::fs::File::open(path)?.sync_all()?;
    }
    Ok(())
}

/// Asks the system to let go of what it has in memory of these files (`posix_fadvise`, by dd(1)).
fn drop_pages(folder: &Path) -> anyhow::Result<()> {
    for path in files(folder)? {
        let mut dd = Command::new("dd");
        dd.arg(format!("if={}", path.display())).args(["iflag=nocache", "count=0", "status=none"]);
        let ended = dd.status().context("running dd")?;
        anyhow::ensure!(ended.success(), "dd could not drop {}", path.display());
    }
    Ok(())
}

/// The most that was resident (`VmHWM` of proc(5)).
fn peak_mib() -> anyhow::Result<f64> {
    crate::cpu::size_mib("self", "VmHWM").context("a process has a largest size")
}

impl Figures {
    pub(crate) fn write(&self, out: &mut String) -> std::fmt::Result {
        let entries = self.entries as f64;
        writeln!(
            out,
            "\n## The search index, {} entries with three subjects each\n",
            self.entries
        )?;
        writeln!(out, "| | figure |\n|---|---|")?;
        writeln!(
            out,
            "| built | {:.0} s, {:.0} entries/s; without making the entries up {:.0}/s |",
            self.build_seconds,
            entries / self.build_seconds,
            entries / (self.build_seconds - self.made_up_seconds)
        )?;
        let bytes = self.file_bytes as f64;
        writeln!(out, "| file | {:.0} MB, {:.0} B an entry |", bytes / 1e6, bytes / entries)?;
        self.warm.write(out, "by subject, warm")?;
        self.cold.write(out, "by subject, cold: nothing of the files in memory")?;
        let (before, after, peak) =
            (self.resident_before_mib, self.resident_after_mib, self.peak_mib);
        writeln!(
            out,
            "| resident | {before:.0} MiB before, {after:.0} after, {peak:.0} at most |"
        )?;
        let RealLedger { entries, rebuild_seconds, warm } = &self.ledger;
        let rate = *entries as f64 / rebuild_seconds;
        writeln!(out, "| rebuilt from a real ledger of {entries} | {rate:.0} entries/s |")?;
        warm.write(out, "the same ledger by subject, warm")
    }
}

impl Searches {
    fn write(&self, out: &mut String, what: &str) -> std::fmt::Result {
        let Self { p50_ms, p99_ms, max_ms, mean_ms, mean_reading_ms, mean_entries } = self;
        writeln!(
            out,
            "| {what} | p50 {p50_ms:.2} ms, p99 {p99_ms:.2}, max {max_ms:.2}; mean {mean_ms:.2}, of which \
             reading entries {mean_reading_ms:.2}; {mean_entries:.0} entries a page |"
        )
    }
}
