//! What one side tells the other about a parcel after it left: `notice.json` and a detached CMS signature
//! over it. A recall, its answer, an acceptance, an opening, a certificate of destruction.
//!
//! Invariant: a notice names the ledger entry that it rests on, so that it can't say what its signer
//! didn't record before.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cms::signature;
use crate::error::At;
use crate::meta::Party;
use crate::{Fault, Refused, SealError, Signer, Trust};

/// The version of a notice's form.
pub const NOTICE_PROFILE: &str = "bailiwick-notice/1.0";
/// The names of the two files.
pub const NOTICE_FILE: &str = "notice.json";
pub const NOTICE_SIGNATURE_FILE: &str = "notice.json.p7s";
/// The longest notice, and the longest signature of one.
pub const NOTICE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a reason, a method or a name.
pub const NOTICE_TEXT_BYTES_MAX: usize = 4_096;

/// What a notice says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Matter {
    /// The sender takes it back. `reminder` counts how often it has been said before.
    Recalled { reason: String, reminder: u32 },
    /// The sender's offer is over; it will not be made again.
    Expired {},
    /// A person at the receiver accepted it.
    Accepted {},
    /// A person at the receiver turned it away. Its bytes are gone.
    Rejected { reason: String },
    /// A person at the receiver opened it for the first time.
    Opened {},
    /// The receiver destroyed it: the certificate of destruction.
    Destroyed { reason: String, method: String },
    /// The receiver was asked for it back and keeps it.
    Kept { reason: String },
}

impl Matter {
    /// The word for it in records and on pages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Recalled { .. } => "recalled",
            Self::Expired {} => "expired",
            Self::Accepted {} => "accepted",
            Self::Rejected { .. } => "rejected",
            Self::Opened {} => "opened",
            Self::Destroyed { .. } => "destroyed",
            Self::Kept { .. } => "kept",
        }
    }

    /// Whether it is the sender of the parcel who says this.
    pub fn is_senders(&self) -> bool {
        match self {
            Self::Recalled { .. } | Self::Expired {} => true,
            Self::Accepted {}
            | Self::Rejected { .. }
            | Self::Opened {}
            | Self::Destroyed { .. }
            | Self::Kept { .. } => false,
        }
    }

    fn texts(&self) -> Vec<&str> {
        match self {
            Self::Expired {} | Self::Accepted {} | Self::Opened {} => Vec::new(),
            Self::Recalled { reason, .. } | Self::Rejected { reason } | Self::Kept { reason } => {
                vec![reason]
            }
            Self::Destroyed { reason, method } => vec![reason, method],
        }
    }
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// [`NOTICE_PROFILE`].
    pub profile: String,
    /// Its number among all notices of this signer to this partner, from 1 without gaps.
    pub number: u64,
    pub from: Party,
    /// The partner's ORI.
    pub to: String,
    pub exchange: Uuid,
    /// The exchange's own number in the sequence of the parcel's sender.
    pub exchange_number: u64,
    pub parcel: Uuid,
    /// SHA-256 of the parcel's outer tag manifest, hex; empty where it was never sealed to its end.
    pub digest: String,
    pub matter: Matter,
    /// Who decided it, where a person did.
    pub person: Option<String>,
    /// When it was decided.
    pub at: Timestamp,
    /// The signer's ledger entry that records it, its leaf (hex), and a checkpoint (C2SP note) that
    /// covers it.
    pub ledger_entry: u64,
    pub ledger_leaf: String,
    pub ledger_checkpoint: String,
}

impl Notice {
    fn sound(&self) -> bool {
        let is_hash = |text: &str| {
            text.len() == 64
                && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let mut texts = self.matter.texts();
        let words = texts.iter().all(|text| !text.trim().is_empty());
        texts.extend(self.person.as_deref());
        let plain = |text: &&str| {
            text.len() <= NOTICE_TEXT_BYTES_MAX && !text.chars().any(char::is_control)
        };
        self.profile == NOTICE_PROFILE
            && self.number >= 1
            && self.exchange_number >= 1
            && (self.digest.is_empty() || is_hash(&self.digest))
            && is_hash(&self.ledger_leaf)
            && words
            && texts.iter().all(plain)
    }
}

/// A notice as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNotice {
    /// `notice.json`.
    pub json: Vec<u8>,
    /// `notice.json.p7s`, DER.
    pub signature: Vec<u8>,
}

/// Writes and signs a notice.
///
/// # Errors
/// [`SealError::Transfer`] where it does not fit the profile; otherwise as sealing.
pub fn sign(notice: &Notice, signer: &Signer, now: Timestamp) -> Result<SignedNotice, SealError> {
    if !notice.sound() {
        let field = "notice";
        return Err(SealError::Transfer { field, why: "at odds with the profile" });
    }
    let json = crate::meta::to_json(notice)
        .map_err(|source| SealError::Json { file: NOTICE_FILE, source })?;
    crate::error::limit("bytes of notice", json.len() as u64, NOTICE_BYTES_MAX as u64)?;
    let signature = signature::sign(&json, signer, now)?;
    Ok(SignedNotice { json, signature })
}

/// Checks a notice's signature and form. That it is from whom it says, to us, and about a parcel that we
/// know, the caller checks.
///
/// # Errors
/// [`Refused`] names the file and the fault.
pub fn verify(notice: &SignedNotice, trust: &Trust) -> Result<Notice, Refused> {
    let limit = NOTICE_BYTES_MAX as u64;
    for (file, bytes) in [(NOTICE_FILE, &notice.json), (NOTICE_SIGNATURE_FILE, &notice.signature)] {
        if bytes.len() > NOTICE_BYTES_MAX {
            return Err(Refused::new(file, Fault::Large { found: bytes.len() as u64, limit }));
        }
    }
    signature::verify(
        (NOTICE_FILE, &notice.json),
        (NOTICE_SIGNATURE_FILE, &notice.signature),
        trust,
    )?;
    read(&notice.json).ok_or(Fault::Malformed("a notice")).at(NOTICE_FILE)
}

fn read(json: &[u8]) -> Option<Notice> {
    serde_json::from_slice(json).ok().filter(Notice::sound)
}

/// Any bytes as what was signed.
pub(crate) fn fuzz(data: &[u8]) {
    drop(read(data));
}
