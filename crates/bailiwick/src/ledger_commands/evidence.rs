//! `ledger prove`, `export` and `check`: evidence on its way out of the house, and at its destination.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use keys::seal::SealingKey;
use ledger::evidence::{Disclose, EVIDENCE_BYTES_MAX, Evidence, EvidenceError, LogCopy};
use serde_json::json;
use web::disclosure::Disclosing;

use super::disclose::DiscloseArguments;
use super::words;
use crate::progress;

/// Where the evidence goes.
#[derive(Args)]
pub(crate) struct Out {
    /// The file to write, where nothing may be yet; without it, the evidence is printed.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    disclose: DiscloseArguments,
}

/// What is to be proved.
pub(crate) enum Asked {
    /// One entry.
    Entry(u64),
    /// A range.
    Range(Range<u64>),
}

impl Asked {
    fn entries(&self) -> Range<u64> {
        match self {
            Self::Entry(entry) => *entry..entry.saturating_add(1),
            Self::Range(range) => range.clone(),
        }
    }
}

/// Takes evidence from a folder, which is only read, unless what entries say is to be disclosed.
pub(super) fn take(folder: &Path, asked: &Asked, out: &Out) -> anyhow::Result<ExitCode> {
    let bar = progress::bar("entries");
    let tick = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let taken = read_and_disclose(folder, asked, out, &tick);
    bar.finish_and_clear();
    match taken? {
        Ok(taken) => {
            give(&taken, out)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            progress::say(&words::not_taken(&error, out.json));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Evidence as it was taken, with what there is to say about it.
struct Taken {
    evidence: Evidence,
    key: String,
    /// The entry that records the disclosure.
    disclosed_in: Option<u64>,
}

/// Nothing is recorded that can't be proved, and nothing is disclosed that is not recorded.
fn read_and_disclose(
    folder: &Path,
    asked: &Asked,
    out: &Out,
    tick: &dyn Fn(u64, u64),
) -> anyhow::Result<Result<Taken, EvidenceError>> {
    let sealed = read(folder, asked, None, tick);
    let (Ok(_), Some(halves)) = (&sealed, out.disclose.halves()) else { return Ok(sealed) };
    if let Some(path) = &out.out {
        anyhow::ensure!(!path.exists(), "`{}` is there already", path.display());
    }
    let Disclosing { receipt, key } = out.disclose.record(folder, asked.entries(), halves)?;
    let taken = read(folder, asked, Some((halves, &key)), tick);
    Ok(taken.map(|taken| Taken { disclosed_in: Some(receipt.entry.0), ..taken }))
}

fn read(
    folder: &Path,
    asked: &Asked,
    disclose: Option<(Disclose, &SealingKey)>,
    tick: &dyn Fn(u64, u64),
) -> Result<Taken, EvidenceError> {
    let copy = LogCopy::read(folder, tick)?;
    let evidence = match asked {
        Asked::Entry(entry) => copy.prove(*entry, disclose)?.into(),
        Asked::Range(range) => copy.range(range.clone(), disclose)?.into(),
    };
    Ok(Taken { evidence, key: copy.verifier_key(), disclosed_in: None })
}

fn give(taken: &Taken, out: &Out) -> anyhow::Result<()> {
    let text = taken.evidence.text();
    if let Some(path) = &out.out {
        progress::write_new(path, text.as_bytes())?;
    }
    let entries = taken.evidence.entries();
    let first = entries.first().map_or(0, |entry| entry.envelope.entry);
    let path = out.out.as_ref().map(|path| path.display().to_string());
    if out.json {
        let value = json!({
            "from": first,
            "to": first + entries.len() as u64,
            "key": taken.key,
            "disclosed_in": taken.disclosed_in,
            "out": path,
            "evidence": path.is_none().then_some(text),
        });
        progress::say(&value.to_string());
        return Ok(());
    }
    if let Some(entry) = taken.disclosed_in {
        progress::note(&format!("entry {entry} of the ledger records this disclosure"));
    }
    match path {
        None => progress::say(text.trim_end_matches('\n')),
        Some(path) => {
            progress::say(&format!("wrote {path}"));
            progress::say(&format!("The key that it verifies under, by the folder: {}", taken.key));
        }
    }
    Ok(())
}

/// Checks evidence offline.
pub(super) fn check(path: &Path, key: String, show: bool, json: bool) -> anyhow::Result<ExitCode> {
    let key = words::key(key)?;
    let text = progress::text_up_to(path, EVIDENCE_BYTES_MAX)?;
    let checked = Evidence::parse(&text)
        .and_then(|evidence| evidence.check(&key).map(|checkpoint| (evidence, checkpoint)));
    Ok(match checked {
        Ok((evidence, checkpoint)) => {
            progress::say(&words::proved(evidence.entries(), &checkpoint, show, json));
            ExitCode::SUCCESS
        }
        Err(error) => {
            progress::say(&words::refused(&error, json));
            ExitCode::FAILURE
        }
    })
}
