//! What is recorded of the signed notices that two partners send each other about their exchanges.

use serde::{Deserialize, Serialize};

/// We signed a notice about an exchange for a partner. `number` counts all notices to that partner, from 1 without gaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeIssued {
    pub exchange: String,
    pub partner: String,
    pub number: u64,
    pub what: String,
    pub digest: String,
}

/// A partner's signed notice about an exchange; `partner_entry` is the entry that it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeAnchored {
    pub exchange: String,
    pub partner: String,
    pub number: u64,
    pub what: String,
    pub digest: String,
    pub partner_entry: u64,
}

/// A partner's answer to a recall that did not come from its server. `document` is the hex SHA-256 of a paper that it came
/// with, which stays with the agency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecallAnswered {
    pub export: String,
    pub exchange: Option<String>,
    pub partner: String,
    /// What the partner did with the parcel.
    pub answer: String,
    /// By letter, by telephone …
    pub how: String,
    /// Who at the partner said so.
    pub who: String,
    /// The day on which it was said.
    pub on: String,
    pub reason: String,
    pub document: Option<String>,
}
