//! How events are sorted: by what was decided, how much they matter, how they ended, and how long
//! they are kept.
//!
//! Invariant: names and codes are on disk and never change.

use serde::{Deserialize, Serialize};

/// The policy's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Permit,
    Deny,
}

/// How much an event asks for attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Info,
    Notice,
    Warning,
    Alert,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Alert => "alert",
        }
    }
}

/// The outcome of an event, as AU-3 asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was permitted, or it was done.
    Permit,
    /// It was refused by a policy or a check.
    Deny,
    /// It was permitted and failed: nothing left.
    Fail,
}

impl Outcome {
    pub const ALL: [Self; 3] = [Self::Permit, Self::Deny, Self::Fail];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::Fail => "fail",
        }
    }

    /// The outcome that [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// How long a record is kept: names a schedule, not a number of years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Retention {
    /// Audit records (AU-11: a year at least).
    Standard,
    /// Who was given what (secondary dissemination): kept much longer.
    Dissemination,
    /// What must outlive all other records: holds, dispositions, the ledger's own openings.
    Permanent,
}

impl Retention {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Dissemination, Self::Permanent];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Dissemination => "dissemination",
            Self::Permanent => "permanent",
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Standard => 1,
            Self::Dissemination => 2,
            Self::Permanent => 3,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.code() == code)
    }
}

/// What one fact of a record was, and what it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    pub field: String,
    pub before: String,
    pub after: String,
}

/// A parcel that is about to leave. `route` is the way, where it is not the push to the partner's server; `place` is
/// where that way led, in words: its name may lead elsewhere another day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub exchange: String,
    #[serde(default)]
    pub number: u64,
    pub parcel: String,
    pub partner: String,
    pub digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// A parcel that was laid down where its partner fetches it; `route` is the way, `place` where that led, `digest` the
/// parcel's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Laid {
    pub exchange: String,
    pub parcel: String,
    pub partner: String,
    pub digest: String,
    pub route: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    pub bytes: u64,
}

/// A parcel that was taken back is not where it was laid down any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    pub exchange: String,
    pub parcel: String,
    pub partner: String,
    pub route: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// A parcel that could not be laid down; `attempt` counts those since something moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlaid {
    pub exchange: String,
    pub parcel: String,
    pub partner: String,
    pub route: String,
    pub attempt: u64,
    pub reason: String,
}

/// Who at a partner may fetch the parcel of an export: until when, or why no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestTerms {
    pub export: String,
    pub partner: String,
    pub account: String,
    pub name: String,
    pub until: Option<jiff::Timestamp>,
    pub reason: Option<String>,
}
