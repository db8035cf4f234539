//! What happens to whole processes and connections that share a log: stopped and gone on with, killed, and cut
//! off by an administrator, in the middle of a batch.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use crate::common::{append, clock, number_in, numbered};
use crate::database::{Base, Server, dial_to, open_at};
use ledger::{EntryNumber, Ledger};

/// Most tries to catch a process with the lock in its hands.
const CATCHES_MAX: u32 = 20_000;

/// Runs in a process of its own: appends without end to the ledger that it is told of, and tells what was
/// confirmed. It ends with its standard input.
#[test]
#[ignore = "what the tests below run in a process of its own"]
fn a_process_of_its_own() {
    let mut told = String::new();
    std::io::stdin().read_line(&mut told).unwrap();
    let parts: Vec<&str> = told.split_whitespace().collect();
    let [socket, database, folder, first] = parts[..] else { return };
    let clock = clock();
    let ledger = open_at(dial_to(Path::new(socket), database), Path::new(folder), &clock).unwrap();
    std::thread::spawn(|| {
        let ended = std::io::stdin().read_line(&mut String::new());
        std::process::exit(i32::from(ended.is_err()));
    });
    let mut out = std::io::stdout();
    for number in first.parse::<u64>().unwrap().. {
        let line = match append(&ledger, numbered(number)) {
            Ok(receipt) => format!("confirmed {number} {}", receipt.entry.0),
            Err(error) => format!("refused {number} {}", error.is_unknown()),
        };
        writeln!(out, "{line}").unwrap();
        out.flush().unwrap();
    }
}

/// Such a process. Killed when dropped.
struct Other {
    child: Child,
    lines: Receiver<String>,
    /// What it confirmed: number and entry.
    confirmed: BTreeMap<u64, u64>,
    /// What it refused plainly.
    refused: Vec<u64>,
}

impl Other {
    fn start(base: &Base<'_>, first: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "shared_faults::a_process_of_its_own",
            "--ignored",
            "--nocapture",
        ]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (socket, folder) = (base.socket(), base.folder("other"));
        let (socket, folder) = (socket.display(), folder.display());
        let told = format!("{socket} {} {folder} {first}\n", base.name);
        child.stdin.as_mut().unwrap().write_all(told.as_bytes()).unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, confirmed: BTreeMap::new(), refused: Vec::new() }
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["confirmed", number, entry] = words[..] {
            self.confirmed.insert(number.parse().unwrap(), entry.parse().unwrap());
        } else if let ["refused", number, "false"] = words[..] {
            self.refused.push(number.parse().unwrap());
        }
    }

    /// Waits until it has told of so many more confirmations.
    fn wait_for(&mut self, more: usize) {
        let before = self.confirmed.len();
        while self.confirmed.len() < before + more {
            let line = self.lines.recv().unwrap();
            self.take(&line);
        }
    }

    /// Ends it, and reads all that it said.
    fn end(mut self) -> (BTreeMap<u64, u64>, Vec<u64>) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        while let Ok(line) = self.lines.recv() {
            self.take(&line);
        }
        (std::mem::take(&mut self.confirmed), std::mem::take(&mut self.refused))
    }
}

/// The entries of each number in the log.
fn numbers(ledger: &Ledger) -> BTreeMap<u64, Vec<u64>> {
    let mut all: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for entry in 0..ledger.size() {
        if let Some(number) = number_in(&ledger.read(EntryNumber(entry)).unwrap().record.event) {
            all.entry(number).or_default().push(entry);
        }
    }
    all
}

/// What was confirmed is where it was said to be, once; what was refused plainly is nowhere.
fn hold(ledger: &Ledger, confirmed: &BTreeMap<u64, u64>, refused: &[u64]) {
    let numbers = numbers(ledger);
    for (number, entry) in confirmed {
        assert_eq!(numbers.get(number), Some(&vec![*entry]), "{number}");
    }
    for (number, entries) in &numbers {
        assert_eq!(entries.len(), 1, "{number} is at {entries:?}");
    }
    for number in refused {
        assert!(!numbers.contains_key(number), "{number} was refused plainly, and is there");
    }
}

/// Connections of the ledger to this database that are in the middle of a transaction.
fn in_batch(base: &Base<'_>, what: &str) -> usize {
    let sql = format!(
        "select {what} from pg_stat_activity where datname = current_database() \
         and application_name = 'bailiwick ledger' and xact_start is not null \
         and state = 'idle in transaction'"
    );
    base.sql(&[&sql]).len()
}

#[test]
fn a_process_that_is_stopped_with_the_lock_in_its_hands_and_goes_on_later_can_t_commit() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("stopped"), clock());
    let ledger = base.open_as("one", base.dial(), &clock).unwrap();
    let mut other = Other::start(&base, 1000);
    other.wait_for(3);
    let mut own = BTreeMap::new();
    for round in 0..3 {
        let mut tries = 0;
        loop {
            other.signal("-STOP");
            if in_batch(&base, "pid") > 0 {
                break;
            }
            other.signal("-CONT");
            tries += 1;
            assert!(tries < CATCHES_MAX, "it never had the lock");
        }
        // It has the lock, and keeps it for as long as the server lets it.
        let receipt = append(&ledger, numbered(round)).unwrap();
        own.insert(round, receipt.entry.0);
        assert_eq!(in_batch(&base, "pid"), 0, "the server has ended its transaction");
        other.signal("-CONT");
        other.wait_for(3);
    }
    let (mut confirmed, refused) = other.end();
    assert!(!refused.is_empty(), "the batches that it held were refused");
    confirmed.append(&mut own);
    append(&ledger, numbered(9)).unwrap();
    hold(&ledger, &confirmed, &refused);
    ledger.close().unwrap();
    base.exported("exported", ledger.size());
}

#[test]
fn a_process_that_is_killed_in_the_middle_of_a_batch_keeps_nobody_out() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("killed"), clock());
    let ledger = base.open_as("one", base.dial(), &clock).unwrap();
    let (mut confirmed, mut refused) = (BTreeMap::new(), Vec::new());
    for number in 0..3 {
        let mut other = Other::start(&base, (number + 1) * 1_000_000);
        other.wait_for(2);
        let (mut said, plainly) = other.end();
        let receipt = append(&ledger, numbered(number)).unwrap();
        confirmed.append(&mut said);
        confirmed.insert(number, receipt.entry.0);
        refused.extend(plainly);
    }
    hold(&ledger, &confirmed, &refused);
    ledger.close().unwrap();
    base.exported("exported", ledger.size());
}

#[test]
fn connections_that_an_administrator_ends_in_a_batch_lose_nothing_and_double_nothing() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("ended"), clock());
    let ledgers = ["one", "two"].map(|it| base.open_as(it, base.dial(), &clock).unwrap());
    let (confirmed, refused) = (Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    let going = Arc::new(std::sync::atomic::AtomicBool::new(true));
    std::thread::scope(|scope| {
        for (from, ledger) in (0_u64..).step_by(1_000_000).zip(&ledgers) {
            let (going, confirmed, refused) = (Arc::clone(&going), &confirmed, &refused);
            scope.spawn(move || {
                for number in from.. {
                    if !going.load(std::sync::atomic::Ordering::SeqCst) {
                        return;
                    }
                    match append(ledger, numbered(number)) {
                        Ok(receipt) => {
                            confirmed.lock().unwrap().insert(number, receipt.entry.0);
                        }
                        Err(error) if error.is_unknown() => {}
                        Err(_) => refused.lock().unwrap().push(number),
                    }
                }
            });
        }
        let (mut ended, mut tries) = (0, 0);
        while ended < 5 && tries < CATCHES_MAX {
            ended += in_batch(&base, "pg_terminate_backend(pid)");
            tries += 1;
        }
        going.store(false, std::sync::atomic::Ordering::SeqCst);
        assert!(ended >= 5, "connections were caught in a batch");
    });
    let (confirmed, refused) = (confirmed.into_inner().unwrap(), refused.into_inner().unwrap());
    assert!(!refused.is_empty() && !confirmed.is_empty());
    for (number, ledger) in (5_000_000_000..).zip(&ledgers) {
        // A connection may be down still. What is not known to be there is not sent again.
        while append(ledger, numbered(number)).is_err_and(|it| !it.is_unknown()) {}
    }
    hold(&ledgers[1], &confirmed, &refused);
    ledgers.iter().for_each(|it| it.close().unwrap());
    base.exported("exported", ledgers[1].size());
}
