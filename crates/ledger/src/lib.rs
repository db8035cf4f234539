//! The audit ledger.

mod error;
mod event;
pub mod merkle;
mod record;
mod search;
mod skeleton;
mod words;

pub use error::{AppendError, Damage, OpenError, ReadError};
pub use event::{Event, KINDS, Kind, Outcome, Retention, Severity, Verdict};
pub use record::{
    Blind, Entry, EntryNumber, Origin, Position, Reason, Receipt, Record, StoredRecord, Subject,
    Who,
};
pub use search::{PAGE_ENTRIES_MAX, Page, Search};
pub use skeleton::{
    Ledger, LedgerKeys, Pending, Settings, Verified, VerifyOptions, testing, verify,
};
pub use words::Facts;

/// SHA-256, for rooms that record digests and have no other use for cryptography.
pub fn digest(data: &[u8]) -> [u8; 32] {
    keys::digest::sha256(data)
}
