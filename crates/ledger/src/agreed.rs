//! What is recorded of agreements, and of the rules of jurisdictions that stand beside them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A text of an agreement that is new here waits for its review. `digest` is of what it says (hex SHA-256).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreementProposed {
    pub agreement: String,
    pub version: u64,
    pub digest: String,
}

/// Somebody accepted a version of an agreement, which counts from here on, or refused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreementReviewed {
    pub agreement: String,
    pub version: u64,
    pub digest: String,
    pub accepted: bool,
    pub reason: String,
}

/// What is written down of a partner, or of the rules of jurisdictions, is new here and waits for its review. `subject` says
/// of whom; `digest` is of what it says (hex SHA-256).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextProposed {
    pub subject: String,
    pub version: u64,
    pub digest: String,
}

/// Somebody accepted it, and it counts from here on, or refused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextReviewed {
    pub subject: String,
    pub version: u64,
    pub digest: String,
    pub accepted: bool,
    pub reason: String,
}

/// An agreement is near its review or its end; nothing crosses under it from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreementDue {
    pub agreement: String,
    pub what: String,
    pub at: Timestamp,
    pub days_left: u64,
}

/// The rules of two jurisdictions can't both be kept for an export; a person said which is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JurisdictionSettled {
    pub export: String,
    pub conflict: String,
    pub decision: String,
}
