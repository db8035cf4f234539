//! Memory and opening time of ledgers of several sizes, each in a process of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use ledger::{Search, Subject};
use serde::{Deserialize, Serialize};

use super::ours;
use crate::gateway::resident_mib;

/// A ledger of so many entries in a process that does nothing else. Times in milliseconds, memory in MiB.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AtSize {
    pub(crate) entries: u64,
    /// After the entries were appended, and after opening them in a fresh process.
    pub(crate) appended_mib: f64,
    pub(crate) opened_mib: f64,
    pub(crate) open_ms: f64,
    /// From the last entry's acknowledgement until the search index has them all.
    pub(crate) index_behind_ms: f64,
    /// The newest 20 entries about one vehicle among 50,000.
    pub(crate) search_ms: f64,
}

/// Records on their way at once.
const WINDOW: u64 = 2048;
const INDEX_WAIT_MAX: Duration = Duration::from_secs(600);

/// The same ledger grows from each size to the next.
pub(crate) fn measure(folder: &Path, sizes: &[u64]) -> anyhow::Result<Vec<AtSize>> {
    let once = |entries: u64| -> anyhow::Result<AtSize> {
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.arg("--ledger-memory").arg(folder).args(["--entries", &entries.to_string()]);
        let output = command.output().context("starting a process for a ledger")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "a ledger of {entries} entries: {errors}");
        serde_json::from_slice(&output.stdout).context("reading a ledger's figures")
    };
    let at = |entries: &u64| -> anyhow::Result<AtSize> {
        let filled = once(*entries)?;
        let AtSize { appended_mib, index_behind_ms, .. } = filled;
        Ok(AtSize { appended_mib, index_behind_ms, ..once(*entries)? })
    };
    sizes.iter().map(at).collect()
}

/// In the process of its own: fills the ledger up to `entries`, and prints its figures as JSON.
pub(crate) fn fill(folder: &Path, entries: u64) -> anyhow::Result<()> {
    let begun = Instant::now();
    let ledger = ours::open(folder, &Arc::default())?;
    let open_ms = begun.elapsed().as_secs_f64() * 1e3;
    let opened_mib = resident_mib(std::process::id())?;
    let mut next = ledger.size();
    while next < entries {
        let end = entries.min(next + WINDOW);
        let window: Result<Vec<_>, _> =
            (next..end).map(|nth| ledger.enqueue(ours::record(nth))).collect();
        for pending in window? {
            pending.wait()?;
        }
        next = end;
    }
    anyhow::ensure!(ledger.size() == entries, "{} entries, not {entries}", ledger.size());
    let appended_mib = resident_mib(std::process::id())?;
    let begun = Instant::now();
    while ledger.index_state().covers < entries {
        anyhow::ensure!(begun.elapsed() < INDEX_WAIT_MAX, "the index: {:?}", ledger.index_state());
        std::thread::park_timeout(Duration::from_millis(2));
    }
    let index_behind_ms = begun.elapsed().as_secs_f64() * 1e3;
    let begun = Instant::now();
    let subject = Subject { kind: "vehicle".to_owned(), id: ours::plate(entries / 2) };
    let search = Search { subject: Some(subject), ..Search::newest(20) };
    let page = ledger.search(&search)?;
    anyhow::ensure!(!page.entries.is_empty(), "the search found nothing");
    let search_ms = begun.elapsed().as_secs_f64() * 1e3;
    ledger.close()?;
    let figures = AtSize { entries, appended_mib, opened_mib, open_ms, index_behind_ms, search_ms };
    let mut out = std::io::stdout();
    serde_json::to_writer(&mut out, &figures).context("printing")?;
    out.flush().context("printing")
}
