//! What is recorded of a parcel in quarantine: what the malware scanner said, and what people decided.

use serde::{Deserialize, Serialize};

/// What others brought: `from` is who, in the words of whoever took it in; `digest` is the sealed parcel's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesTakenIn {
    pub exchange: String,
    pub parcel: String,
    pub from: String,
    pub files: u64,
    pub digest: String,
}

/// A redacted copy that a person made of a file and took in. `original` and `copy` are the SHA-256 of both, `of` the
/// place of the original, `what` was redacted for `reason`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRedacted {
    pub exchange: String,
    pub of: String,
    pub original: String,
    pub copy: String,
    pub what: String,
    pub reason: String,
}

/// One file that was not called clean: `outcome` is `infected` or `not-fully-scanned`, `what` says it in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileScanned {
    pub exchange: String,
    pub parcel: String,
    pub partner: String,
    pub path: String,
    pub sha256: String,
    pub outcome: String,
    pub what: String,
}

/// All files of a parcel: `digest` is the SHA-256 of the list of all outcomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelScanned {
    pub exchange: String,
    pub parcel: String,
    pub partner: String,
    pub engine: String,
    pub files: u64,
    pub infected: u64,
    pub not_fully: u64,
    pub digest: String,
}

/// A file that may be opened although it was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReleased {
    pub exchange: String,
    pub parcel: String,
    pub partner: String,
    pub path: String,
    pub what: String,
    pub reason: String,
}
