//! Appends events durably to a Merkle log; proves, searches and verifies them.
//!
//! Invariants: an append that returned is on disk, and stays findable after any crash. Damage is
//! refused and named with its file, offset and entry; nothing is shortened silently. Leaves carry
//! neither CJI nor persons. A clock, randomness and the disk come in as arguments.
//!
//! What is absent: deciding what may be done (`gate`), forwarding to a SIEM (`watch`).
//! `docs/formats/ledger.md` describes every byte on disk.

mod agreed;
pub mod archive;
mod background;
mod body;
mod bytes;
mod capacity;
mod chain;
mod classes;
mod disk;
mod draft;
mod envelope;
mod error;
mod event;
pub mod evidence;
mod facts;
mod frame;
mod identity;
mod index;
mod journal;
mod kinds;
mod ledger;
mod local;
pub mod merkle;
pub mod note;
mod notices;
mod opening;
mod outcomes;
mod postgres;
mod proofs;
mod quarantine;
mod queue;
mod reading;
mod recent;
mod record;
pub mod retention;
mod scan;
mod search;
mod segment;
mod settings;
mod shared;
mod shelf;
mod shelving;
#[doc(hidden)]
mod sim;
mod source;
mod stamps;
mod store;
#[doc(hidden)]
pub mod testing;
mod tiling;
mod verify;
pub mod watched;
pub mod witness;
mod words;
mod writer;

pub use agreed::{
    AgreementDue, AgreementProposed, AgreementReviewed, JurisdictionSettled, TextProposed,
    TextReviewed,
};
pub use background::LastVerification;
pub use capacity::{Capacity, Room, Space};
#[doc(hidden)]
pub use disk::{Disk, SystemDisk};
pub use error::{AppendError, Damage, DatabaseError, OpenError, ReadError};
pub use event::{
    Cleared, Event, FieldChange, GuestTerms, KINDS, Kind, Laid, Outcome, Retention, Sent, Severity,
    Unlaid, Verdict,
};
pub use facts::Facts;
pub use index::{IndexDoing, IndexState};
pub use ledger::Ledger;
pub use notices::{NoticeAnchored, NoticeIssued, RecallAnswered};
pub use postgres::{
    Database, Dial, Dialling, Login, ObjectError, ObjectStorage, Shelved, Stream, Waits,
    export_folder, import_folder,
};
pub use quarantine::{FileRedacted, FileReleased, FileScanned, FilesTakenIn, ParcelScanned};
pub use queue::Pending;
pub use record::{
    Blind, Entry, EntryNumber, Origin, Position, Reason, Receipt, Record, StoredRecord, Subject,
    Who,
};
pub use search::{Incomplete, PAGE_ENTRIES_MAX, Page, Search, TAIL_ENTRIES_MAX};
pub use settings::{INDEX_EPOCHS_MAX, IndexKeys, LedgerKeys, Settings};
pub use shared::Health;
pub use shelf::{Shelf, ShelfError, Unlocked};
pub use stamps::{ParcelStamped, ParcelUnstamped, StampIssued};
pub use verify::{Verified, VerifyOptions, verify};

/// The parsers of what is on disk, for fuzzing and for tools that read it. None panics, whatever
/// it is given.
pub mod format {
    pub use crate::body::{BODY_BYTES_MAX, Body, BodyRecord, wrapped_key};
    pub use crate::envelope::{Bucket, ENVELOPE_BYTES, Envelope, Half, LedgerId, commit};
    pub use crate::frame::{FRAME_ENTRIES_MAX, Frame, FrameHead};
    pub use crate::identity::Identity;
    pub use crate::journal::{JournalFrame, JournalScan, Segment, Write};
    pub use crate::retention::{DISPOSED_BYTES_MAX, Disposed, Ranges, Statement};
    pub use crate::segment::SegmentHead;
}

/// SHA-256 of what comes in pieces, for the same rooms.
pub use keys::digest::Sha256 as Hasher;

/// SHA-256, for rooms that record digests and have no other use for cryptography.
pub fn digest(data: &[u8]) -> [u8; 32] {
    keys::digest::sha256(data)
}
