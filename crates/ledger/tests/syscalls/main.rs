//! A real process on a real file system: killed at a system call, refused one, paused, and robbed
//! of its files.
//!
//! The program under test is this one again (see [`appender`]). What it prints as confirmed, on a
//! pipe and so outside of the folder, is what must be found afterwards.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests, which are for failing, and which wait for other processes"
)]

mod appender;
mod devices;
mod disposals;
mod processes;
mod sweep;
mod trace;
mod volumes;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use keys::{FixedClock, SystemRandom};
use ledger::testing::{keys, settings};
use ledger::{EntryNumber, Event, Ledger, OpenError, Record, Settings, VerifyOptions};

/// The smallest files there may be, so that a short life has many of them.
fn small(folder: &Path) -> Settings {
    let (journal_bytes, segment_bytes) = (64 << 10, 64 << 10);
    let checkpoint_wait = std::time::Duration::ZERO;
    Settings { journal_bytes, segment_bytes, checkpoint_wait, ..settings(folder) }
}

fn open(settings: Settings) -> Result<Ledger, OpenError> {
    open_at("2026-11-22T14:03:21.417Z", settings)
}

fn open_at(now: &str, settings: Settings) -> Result<Ledger, OpenError> {
    let now: Timestamp = now.parse().unwrap();
    let clock = Arc::new(FixedClock::new(now));
    Ledger::open_or_create(settings, keys(), clock, Arc::new(SystemRandom))
}

fn numbered(number: u64) -> Record {
    Record::platform(Event::AuditRead { what: "test".to_owned(), count: number })
}

/// What the process said.
#[derive(Debug, Default)]
struct Said {
    /// The entry and the number of each record that was confirmed.
    confirmed: Vec<(u64, u64)>,
    /// Why records were refused, in words.
    refused: Vec<String>,
    /// Why the ledger did not open, in words.
    unopened: Vec<String>,
    /// The entries that announced a disposal which was said to be done.
    disposed: Vec<u64>,
    ended: bool,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let mut words = line.splitn(2, ' ');
        match (words.next(), words.next()) {
            (Some("confirmed"), Some(rest)) => {
                let (entry, number) = rest.split_once(' ').unwrap();
                self.confirmed.push((entry.parse().unwrap(), number.parse().unwrap()));
            }
            (Some("disposed"), Some(entry)) => self.disposed.push(entry.parse().unwrap()),
            (Some("refused"), Some(why)) => self.refused.push(why.to_owned()),
            (Some("unopened"), Some(why)) => self.unopened.push(why.to_owned()),
            (Some("end"), None) => self.ended = true,
            _ => {}
        }
    }

    fn from(output: &[u8]) -> Self {
        let mut said = Self::default();
        // The last line of a process that was killed may be cut short.
        let whole = output.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        String::from_utf8_lossy(&output[..whole]).lines().for_each(|line| said.hear(line));
        said
    }
}

/// Opens the folder, holds the ledger against what was confirmed, appends, and verifies it.
#[track_caller]
fn check(folder: &Path, said: &Said, story: &str) {
    let ledger = open(small(folder)).unwrap_or_else(|it| panic!("{story}: {it:?}"));
    for (entry, number) in &said.confirmed {
        match ledger.read(EntryNumber(*entry)) {
            Ok(found) => assert_eq!(found.record.event, numbered(*number).event, "{story}"),
            Err(it) => panic!("{story}: entry {entry} of {} is gone: {it}", ledger.size()),
        }
    }
    let entries: std::collections::BTreeSet<u64> =
        said.confirmed.iter().map(|(entry, _)| *entry).collect();
    assert_eq!(entries.len(), said.confirmed.len(), "{story}: an entry was confirmed twice");
    let before = ledger.size();
    let receipt = ledger.enqueue(numbered(0)).unwrap().wait();
    let receipt = receipt.unwrap_or_else(|it| panic!("{story}: {it:?}"));
    assert_eq!(receipt.entry.0, before, "{story}");
    ledger.close().unwrap();
    let longest = entries.last().map_or(0, |entry| entry + 1).max(before + 1);
    let options = VerifyOptions { expect_size: Some(longest), ..VerifyOptions::default() };
    let verified = ledger::verify(folder, options);
    verified.unwrap_or_else(|it| panic!("{story}: {it}"));
}

/// A copy of a folder with the folders in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to): (PathBuf, PathBuf) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}
