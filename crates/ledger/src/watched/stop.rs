//! Why a ledger takes no more records: a witness holds what this ledger signed and does not have.
//!
//! The stop lies in the ledger's folder and outlives restarts. If the newer copy of the folder is put back,
//! the stop is gone with the old one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, SystemDisk};
use crate::identity::LOCK;
use crate::watched::WITNESS;
use crate::witness::documents::Documents;

pub(crate) const STOP: &str = "stop";
/// The document when there is no stop.
pub(crate) const NONE: &str = "\"none\"";

/// What a witness has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopKind {
    /// It has seen a larger tree than there is.
    Rollback,
    /// It has seen another tree of a size that this ledger has too.
    Fork,
}

/// A stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    pub kind: StopKind,
    pub at: Timestamp,
    pub witness: String,
    /// The size that the witness has seen.
    pub seen: u64,
    /// The size of this ledger then.
    pub size: u64,
    /// Our checkpoint then.
    pub ours: String,
    /// The witness's, signed by this ledger's key; none where the witness only named a size.
    pub theirs: Option<String>,
}

impl Stop {
    /// In plain words, with what to do.
    pub fn words(&self) -> String {
        let Self { witness, seen, size, .. } = self;
        let what = match self.kind {
            StopKind::Rollback => format!(
                "the witness {witness} has seen {seen} entries, this ledger has {size}: a restored backup?"
            ),
            StopKind::Fork => format!(
                "the witness {witness} has seen another tree of {seen} entries than this ledger's: \
                 a restored backup that went on, or two copies in use?"
            ),
        };
        let proof = match &self.theirs {
            Some(_) => "It shows a checkpoint that this ledger signed.",
            None => "It shows no checkpoint that this ledger signed.",
        };
        format!("{what} {proof} No record is taken until this is cleared up: see docs/witness.md")
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Document {
    None,
    Stopped(Stop),
    /// Lifted by a person, for a reason that is not on record yet.
    Lifted {
        reason: String,
        was: Stop,
    },
}

pub(crate) fn encode(stop: &Stop) -> io::Result<String> {
    Ok(serde_json::to_string_pretty(&Document::Stopped(stop.clone()))?)
}

/// A stop, or the reason for which one was lifted.
pub(crate) fn parse(text: &str) -> Option<(Option<Stop>, Option<String>)> {
    match serde_json::from_str(text).ok()? {
        Document::None => Some((None, None)),
        Document::Stopped(stop) => Some((Some(stop), None)),
        Document::Lifted { reason, was } => {
            Some((None, Some(format!("{reason} ({})", was.words()))))
        }
    }
}

/// Why a stop could not be read or lifted.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    #[error("the ledger in `{0}` is open in a process: stop that first")]
    InUse(std::path::PathBuf),
    #[error("the ledger in `{0}` is not stopped")]
    NotStopped(std::path::PathBuf),
    #[error("give a reason of 1 to 1000 bytes: it goes on record")]
    Reason,
    #[error("what is known of the witnesses of the ledger in `{folder}` can't be read or written")]
    Disk {
        folder: std::path::PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The stop in a ledger's folder, if there is one.
///
/// # Errors
/// [`StopError::Disk`].
pub fn stop_of(folder: &Path) -> Result<Option<Stop>, StopError> {
    let failed = |source| StopError::Disk { folder: folder.to_owned(), source };
    let documents = Documents { disk: Arc::new(SystemDisk), folder: folder.join(WITNESS) };
    let Some(text) = documents.read(STOP).map_err(failed)? else { return Ok(None) };
    let parsed = parse(&text).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
    Ok(parsed.0)
}

/// Lifts the stop in the folder of a ledger that is not open. The reason is put on record when the ledger is
/// opened next. A witness that still holds what this ledger does not have stops it again.
///
/// # Errors
/// [`StopError`].
pub fn lift_stop(folder: &Path, reason: &str) -> Result<Stop, StopError> {
    if !(1..=1000).contains(&reason.trim().len()) {
        return Err(StopError::Reason);
    }
    let failed = |source| StopError::Disk { folder: folder.to_owned(), source };
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let lock = disk.lock(&folder.join(LOCK)).map_err(failed)?;
    let _lock = lock.ok_or_else(|| StopError::InUse(folder.to_owned()))?;
    let stop = stop_of(folder)?.ok_or_else(|| StopError::NotStopped(folder.to_owned()))?;
    let documents = Documents { disk, folder: folder.join(WITNESS) };
    let kept = encode(&stop).map_err(failed)?;
    let name = format!("stop-{}", stop.at.as_second());
    documents.replace(&name, &kept).map_err(failed)?;
    let lifted = Document::Lifted { reason: reason.trim().to_owned(), was: stop.clone() };
    let text = serde_json::to_string_pretty(&lifted).map_err(|error| failed(error.into()))?;
    documents.replace(STOP, &text).map_err(failed)?;
    Ok(stop)
}
