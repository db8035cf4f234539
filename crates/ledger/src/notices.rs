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
