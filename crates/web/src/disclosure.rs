//! Disclosure at the command line: what entries say, for whoever holds this machine and the master key.
//!
//! Nobody is signed in here and no policy is asked: holding the master key is all the authority there is, and
//! `SECURITY.md` says so. What stays of the one law is the order: the disclosure is durably in the ledger
//! before the key that opens the records is given out. The ledger is that of a configuration, and its server
//! is stopped; a copy is never written to, for it would become a second history under the same key.

use std::ops::Range;
use std::path::{Path, PathBuf};

use keys::KeysError;
use keys::seal::SealingKey;
use ledger::evidence::Disclose;
use ledger::{AppendError, Event, Ledger, Reason, Receipt, Record};

use crate::agency::{Outside, StartError};
use crate::config::{Config, ConfigError};
use crate::stopped::{self, StoppedError};

/// Longest name and reason, in bytes.
pub const TEXT_BYTES_MAX: usize = 1000;

/// What is to be disclosed, by whom and why.
#[derive(Debug, Clone)]
pub struct Disclosure<'a> {
    /// The configuration of the ledger's agency.
    pub config: &'a Path,
    /// The ledger's folder, which must be the configured one.
    pub folder: &'a Path,
    /// The entries; all must be there.
    pub entries: Range<u64>,
    /// How much of them.
    pub halves: Disclose,
    /// Who takes it, as they say themselves.
    pub by: &'a str,
    /// Why.
    pub why: Reason,
}

/// A disclosure on record, and the key that it gives out.
pub struct Disclosing {
    /// The entry that says so.
    pub receipt: Receipt,
    /// The key that bodies are sealed under.
    pub key: SealingKey,
}

/// Why nothing is disclosed.
#[derive(Debug, thiserror::Error)]
pub enum DisclosureError {
    /// The configuration.
    #[error("the configuration cannot be used; nothing was disclosed")]
    Config(#[from] ConfigError),
    /// The folder is not the ledger itself.
    #[error(
        "`{folder}` is not the ledger of this configuration; a copy is never written to, so it discloses nothing"
    )]
    Copy {
        /// What was given.
        folder: PathBuf,
    },
    /// The configured folder holds no ledger.
    #[error("there is no ledger in `{folder}`")]
    NoLedger {
        /// The folder.
        folder: PathBuf,
    },
    /// The ledger's keys are not there, or not under this master key.
    #[error("the ledger's keys cannot be had; nothing was disclosed")]
    Keys(#[from] KeysError),
    /// A key of the ledger is not in the agency's keys.
    #[error("`{name}` is not among the agency's keys; nothing was disclosed")]
    NoKey {
        /// The key's name.
        name: &'static str,
    },
    /// A text is empty or too long.
    #[error("give {what} in 1 to {TEXT_BYTES_MAX} bytes")]
    Text {
        /// Which one.
        what: &'static str,
    },
    /// The ledger could not be opened, most often because its server runs.
    #[error(
        "the ledger cannot record this, so nothing was disclosed. Stop its server, or take the proof from its audit page"
    )]
    Open(#[source] Box<StartError>),
    /// There are no such entries.
    #[error("the ledger has {have} entries")]
    NoEntry {
        /// Entries that there are.
        have: u64,
    },
    /// The record did not become durable.
    #[error("the ledger did not record this, so nothing was disclosed")]
    Append(#[from] AppendError),
}

impl From<StoppedError> for DisclosureError {
    fn from(error: StoppedError) -> Self {
        match error {
            StoppedError::NoLedger { folder } => Self::NoLedger { folder },
            StoppedError::Keys(error) => Self::Keys(error),
            StoppedError::NoKey { name } => Self::NoKey { name },
            StoppedError::Open(error) => Self::Open(error),
        }
    }
}

/// Records a disclosure, and then gives out the key. Nothing is made that was not there, but the entry.
///
/// # Errors
/// [`DisclosureError`]: the key was not given out.
pub fn record(asked: &Disclosure<'_>, outside: &Outside) -> Result<Disclosing, DisclosureError> {
    keys::module::require_fips()?;
    check_words(asked.by, &asked.why)?;
    let config = Config::read(asked.config)?;
    let folder = stopped::ledger_folder(&config)?;
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    if real(&folder).is_none() || real(&folder) != real(asked.folder) {
        return Err(DisclosureError::Copy { folder: asked.folder.to_owned() });
    }
    let (ledger, key) = open(&config, outside)?;
    let have = ledger.size();
    if asked.entries.end > have {
        return Err(DisclosureError::NoEntry { have });
    }
    append(&ledger, words(asked), key)
}

/// As [`record`], of whatever an archive of the configured ledger may hold.
pub(crate) fn record_archive(
    config: &Config,
    by: &str,
    why: &Reason,
    outside: &Outside,
) -> Result<Disclosing, DisclosureError> {
    check_words(by, why)?;
    let (ledger, key) = open(config, outside)?;
    let what = format!(
        "all of what archived segments hold, into the archive in the clear, at the command line, by {by} (as they \
         say; nobody was signed in)"
    );
    let event = Event::AuditRead { what, count: ledger.size() };
    append(&ledger, Record { why: why.clone(), ..Record::platform(event) }, key)
}

fn check_words(by: &str, why: &Reason) -> Result<(), DisclosureError> {
    let reason = why.reason.as_deref().unwrap_or_default();
    for (what, text) in [("the name of who takes it", by), ("a reason", reason)] {
        if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX {
            return Err(DisclosureError::Text { what });
        }
    }
    Ok(())
}

/// The configured ledger, whose server is stopped, and the key of its bodies.
fn open(config: &Config, outside: &Outside) -> Result<(Ledger, SealingKey), DisclosureError> {
    let (ledger, ring) = stopped::open(config, outside)?;
    let body = ring.find_secret("ledger-body")?;
    let body = body.ok_or(DisclosureError::NoKey { name: "ledger-body" })?;
    Ok((ledger, SealingKey::from_bytes(body)))
}

fn append(ledger: &Ledger, record: Record, key: SealingKey) -> Result<Disclosing, DisclosureError> {
    let recorded = ledger.enqueue(record)?.wait();
    let receipt = recorded?;
    ledger.close()?;
    Ok(Disclosing { receipt, key })
}

fn words(asked: &Disclosure<'_>) -> Record {
    let Disclosure { entries, halves, by, why, .. } = asked;
    let halves = match halves {
        Disclose::Shared => "the shared half",
        Disclose::All => "all",
    };
    let (first, last) = (entries.start, entries.end.saturating_sub(1));
    let what = format!(
        "{halves} of entries {first} to {last}, as evidence, at the command line, by {by} (as they say; nobody \
         was signed in)"
    );
    let count = entries.end.saturating_sub(entries.start);
    Record { why: why.clone(), ..Record::platform(Event::AuditRead { what, count }) }
}
