//! `ledger index` and `ledger rotate-index-key`: the search index of a ledger whose server is stopped.

use std::path::Path;
use std::process::ExitCode;

use indicatif::ProgressBar;
use serde_json::{Value, json};
use web::agency::Outside;
use web::upkeep::{UpkeepError, build_index, rotate_index_key};

use crate::progress;

/// Builds the index up to the ledger's end.
pub(super) fn index(config: &Path, rebuild: bool, json: bool) -> anyhow::Result<ExitCode> {
    let built = with_bar(|tick| build_index(config, rebuild, &Outside::system(), tick));
    let done = built.map(|entries| {
        let line = format!("the search index covers all {entries} entries");
        (line, json!({ "indexed": true, "entries": entries, "rebuilt": rebuild }))
    });
    tell(done, "indexed", json)
}

/// Rotates the index key.
pub(super) fn rotate(config: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let rotated = with_bar(|tick| rotate_index_key(config, &Outside::system(), tick));
    let done = rotated.map(|rotated| {
        let (epoch, entry) = (rotated.epoch, rotated.entry);
        let line = format!(
            "rotated: epoch {epoch} begins with the next start (ledger entry {entry}). The search index is \
             built anew then; `bailiwick ledger index --config {}` does it now",
            config.display()
        );
        (line, json!({ "rotated": true, "epoch": epoch, "entry": entry }))
    });
    tell(done, "rotated", json)
}

/// Does what tells how many entries of how many are indexed.
fn with_bar<T>(done: impl FnOnce(&mut dyn FnMut(u64, u64)) -> T) -> T {
    let bar: ProgressBar = progress::bar("entries");
    let result = done(&mut |covers, size| {
        bar.set_length(size);
        bar.set_position(covers);
    });
    bar.finish_and_clear();
    result
}

/// A line or JSON; a failure goes to standard error, or is JSON with the reason.
fn tell(
    done: Result<(String, Value), UpkeepError>,
    what: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    match done {
        Ok((line, value)) => {
            progress::say(&if json { value.to_string() } else { line });
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if json => {
            let why = format!("{:#}", anyhow::Error::from(error));
            progress::say(&json!({ what: false, "why": why }).to_string());
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}
