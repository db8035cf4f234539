//! The database's server is lost for good, and a standby takes over: streaming replication of PostgreSQL itself,
//! synchronous and not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ledger::{Dial, Dialling, EntryNumber, Health, Ledger, OpenError, VerifyOptions};
use tempfile::TempDir;
use testkit::Postgres;
use tokio::runtime::Runtime;

use crate::common::{append, clock, number_in, numbered};
use crate::database::{PASSWORD, dial_to, open_at, sql_at};

const DATABASE: &str = "postgres";

/// A way to whichever server has the address now.
struct Address(Mutex<PathBuf>);

impl Dial for Address {
    fn dial(&self) -> Dialling<'_> {
        let dial = dial_to(&self.0.lock().unwrap(), DATABASE);
        Box::pin(async move { dial.dial().await })
    }
}

/// A server and a standby of it, that takes its address over when it is told to.
struct Pair {
    // Servers are dropped within their runtime, and so before it.
    first: Postgres,
    standby: Postgres,
    address: Arc<Address>,
    folder: TempDir,
    runtime: Runtime,
}

/// Waits for what is sure to come, and fails when it doesn't within two minutes.
fn wait_until(has_come: impl Fn() -> bool) {
    let begun = Instant::now();
    while !has_come() {
        assert!(begun.elapsed() < Duration::from_mins(2), "it never came");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

impl Pair {
    fn start() -> Option<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let temporary = std::env::temp_dir();
        let started = runtime.block_on(Postgres::start_durable(&temporary, PASSWORD));
        let first = started.unwrap()?;
        let standby = runtime.block_on(first.standby(&temporary, PASSWORD, "second")).unwrap();
        let address = Arc::new(Address(Mutex::new(first.socket())));
        let folder = tempfile::tempdir().unwrap();
        Some(Self { first, standby, address, folder, runtime })
    }

    fn sql(&self, server: &Postgres, statements: &[&str]) -> Vec<String> {
        sql_at(&self.runtime, &server.socket(), DATABASE, statements)
    }

    /// Waits until the standby follows, synchronously if it is to.
    fn wait_for(&self, state: &str) {
        let asks = "select sync_state from pg_stat_replication where state = 'streaming'";
        wait_until(|| self.sql(&self.first, &[asks]) == [state]);
    }

    fn folder(&self, process: &str) -> PathBuf {
        self.folder.path().join(process)
    }

    fn open(&self, process: &str) -> Result<Ledger, OpenError> {
        open_at(Arc::clone(&self.address) as _, &self.folder(process), &clock())
    }

    /// The first server is gone; the standby becomes one, and is found where the first was.
    fn fail_over(&mut self) {
        self.runtime.block_on(self.first.crash()).unwrap();
        assert_eq!(self.sql(&self.standby, &["select pg_promote()"]), ["t"]);
        *self.address.0.lock().unwrap() = self.standby.socket();
    }

    /// The log as it is where the address leads, verified from outside.
    fn exported(&self, to: &str, expect_size: u64) -> Result<u64, ledger::Damage> {
        let folder = self.folder(to);
        crate::database::export(Arc::clone(&self.address) as _, &folder).unwrap();
        let options = VerifyOptions { expect_size: Some(expect_size), ..VerifyOptions::default() };
        ledger::verify(Path::new(&folder), options).map(|verified| verified.size)
    }
}

#[test]
fn a_synchronous_standby_that_takes_over_has_all_that_was_confirmed() {
    let Some(mut pair) = Pair::start() else { return };
    let synchronous = "alter system set synchronous_standby_names = 'second'";
    pair.sql(&pair.first, &[synchronous, "select pg_reload_conf()"]);
    pair.wait_for("sync");
    let (one, two) = (pair.open("one").unwrap(), pair.open("two").unwrap());
    let over = AtomicBool::new(false);
    let write = |ledger: &Ledger, from: u64| {
        let (mut confirmed, mut after) = (Vec::new(), 0);
        for number in from.. {
            let was_over = over.load(Ordering::SeqCst);
            if let Ok(receipt) = append(ledger, numbered(number)) {
                confirmed.push((number, receipt.entry.0));
                after += u64::from(was_over);
            }
            if after == 20 {
                return confirmed;
            }
        }
        panic!("it has no end")
    };
    let confirmed: BTreeMap<u64, u64> = std::thread::scope(|scope| {
        let writers = [(&one, 0), (&two, 1_000_000)];
        let threads = writers.map(|(ledger, from)| scope.spawn(move || write(ledger, from)));
        wait_until(|| one.size() >= 200);
        // In the middle of whatever they do.
        pair.fail_over();
        over.store(true, Ordering::SeqCst);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(confirmed.len() > 220, "{}", confirmed.len());
    assert_eq!((one.health(), two.health()), (Health::Recording, Health::Recording));
    // The one that ended first needn't have heard of the other's last entries.
    let furthest = if two.size() > one.size() { &two } else { &one };
    let size = furthest.size();
    let mut numbers: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for entry in 0..size {
        let event = furthest.read(EntryNumber(entry)).unwrap().record.event;
        if let Some(number) = number_in(&event) {
            numbers.entry(number).or_default().push(entry);
        }
    }
    for (number, entry) in &confirmed {
        assert_eq!(numbers.get(number), Some(&vec![*entry]), "{number}");
    }
    assert!(numbers.values().all(|entries| entries.len() == 1), "nothing is there twice");
    drop((one, two));
    pair.exported("exported", size).unwrap();
}

#[test]
fn a_standby_that_lacks_what_was_confirmed_is_refused_by_whoever_knows_of_it() {
    let Some(mut pair) = Pair::start() else { return };
    pair.wait_for("async");
    let running = pair.open("running").unwrap();
    let other = pair.open("other").unwrap();
    for number in 0..20 {
        append(&running, numbered(number)).unwrap();
    }
    let reached = "select pg_current_wal_flush_lsn() <= flush_lsn from pg_stat_replication";
    wait_until(|| pair.sql(&pair.first, &[reached]) == ["t"]);
    // The standby is away while more is confirmed.
    pair.runtime.block_on(pair.standby.crash()).unwrap();
    for number in 20..25 {
        append(&running, numbered(number)).unwrap();
    }
    wait_until(|| other.size() >= 25);
    other.close().unwrap();
    drop(other);
    pair.runtime.block_on(pair.first.crash()).unwrap();
    pair.runtime.block_on(pair.standby.start_standby()).unwrap();
    assert_eq!(pair.sql(&pair.standby, &["select pg_promote()"]), ["t"]);
    *pair.address.0.lock().unwrap() = pair.standby.socket();

    // One that runs: it was told of 25.
    for _ in 0..3 {
        assert!(append(&running, numbered(25)).is_err());
    }
    let Health::Stalled { .. } = running.health() else { panic!("it goes on") };
    let error = append(&running, numbered(25)).unwrap_err();
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        words = format!("{words}: {error}");
        source = error.source();
    }
    assert!(words.contains("25 entries were confirmed, yet the log has only 20"), "{words}");
    drop(running);
    // One that starts: it has seen the checkpoint of 25.
    let refused = pair.open("other").unwrap_err();
    assert!(matches!(refused, OpenError::WoundBack { have: 20, seen: 25 }), "{refused}");
    // An auditor, who wrote the size down.
    let refused = pair.exported("exported", 25).unwrap_err();
    assert!(refused.to_string().contains("25"), "{refused}");
    assert_eq!(pair.sql(&pair.standby, &["select size from bailiwick_ledger.head"]), ["20"]);
    // A machine that has never seen the log can't know: that is what witnesses are for.
    assert_eq!(pair.open("new").unwrap().size(), 20);
}
