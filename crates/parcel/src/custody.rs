//! `custody.jsonld`: the chain of custody in CASE 1.5 / UCO terms (JSON-LD).
//!
//! Node names are UUIDv5 of the parcel's id, so the same parcel gives the same graph. Vocabulary
//! values are plain strings, as CASE asks since 1.4. What CASE has no term for (ledger entries)
//! stands under our own prefix.

mod around;
mod closing;
mod derivation;
mod graph;
mod later;
pub(crate) mod paper;
mod read;
mod write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::around::{Circumstances, HandOver};
pub use self::closing::Closing;
pub use self::later::{CustodyRecord, Made};
pub use self::read::events;
pub(crate) use self::read::{events_of, fuzz};
pub(crate) use self::write::{Record, Words};

/// What documents name as the program that made them.
const PROGRAM: &str = concat!("Bailiwick ", env!("CARGO_PKG_VERSION"));

/// Someone who handled the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub name: String,
    /// The unique account: never a shared one.
    pub account: String,
    /// ORI of the agency that the person acted for.
    pub agency: String,
    pub role: String,
}

/// Where a ledger says the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerReference {
    pub origin: String,
    pub entry: u64,
    /// The entry's leaf hash, hex.
    pub leaf: String,
    /// That the entry is in the ledger: a C2SP tlog-proof with the ledger's signed checkpoint, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// One thing that happened to the evidence, oldest first in a parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustodyEvent {
    /// `registered`, `exported-from-source`, `format-validated`, `converted`, `redacted`, `scanned`,
    /// `approved-for-release`, `packaged`, `sealed`, `signed` … (list in `docs/formats/parcel.md`).
    pub kind: String,
    pub description: String,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    pub person: Person,
    /// Program and version that did it.
    pub tool: String,
    pub purpose: Option<String>,
    pub authority: Option<String>,
    /// Paths of the files it was about; none means all.
    pub files: Vec<String>,
    /// SHA-256 (hex) of what its files were made of, the nearest first; none where they are as they were. What has
    /// such a digest itself is an original.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub originals: Vec<String>,
    pub ledger: Option<LedgerReference>,
    #[serde(default)]
    pub around: Circumstances,
}

/// PREMIS 3 event type of a kind of ours, where there is one.
fn premis(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "registered" => "ingestion",
        "exported-from-source" => "exporting",
        "converted" => "normalization",
        "redacted" => "redaction",
        "scanned" => "virus check",
        "format-validated" => "validation",
        "packaged" => "packaging",
        "signed" => "digital signature generation",
        "sealed" | "encrypted" => "encryption",
        "approved-for-release" => "dissemination",
        "transferred" | "received" => "transfer",
        "verified" => "fixity check",
        "opened" => "decryption",
        "destroyed" => "deletion",
        _ => return None,
    })
}
