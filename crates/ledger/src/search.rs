//! What a search asks for, and the page it gets.

use jiff::Timestamp;

use crate::event::Outcome;
use crate::record::{Entry, EntryNumber, Subject};

/// The most entries that one page holds.
pub const PAGE_ENTRIES_MAX: u32 = 500;

/// A search, newest entries first. Every condition that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The actor's account key, whole.
    pub actor: Option<String>,
    /// Names out of [`crate::KINDS`]; empty is all.
    pub kinds: Vec<String>,
    /// The tool, also of what was released or withheld under its decision.
    pub tool: Option<String>,
    pub outcome: Option<Outcome>,
    pub purpose: Option<String>,
    pub case_number: Option<String>,
    pub partner: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    pub subject: Option<Subject>,
    /// Only entries with a smaller number: the next page.
    pub before: Option<EntryNumber>,
    /// Entries on the page, at most [`PAGE_ENTRIES_MAX`].
    pub limit: u32,
}

impl Search {
    /// The newest `limit` entries.
    pub fn newest(limit: u32) -> Self {
        Self {
            actor: None,
            kinds: Vec::new(),
            tool: None,
            outcome: None,
            purpose: None,
            case_number: None,
            partner: None,
            from: None,
            to: None,
            subject: None,
            before: None,
            limit,
        }
    }
}

/// A page of entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// Whether older entries match too.
    pub more: bool,
}
