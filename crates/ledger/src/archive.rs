//! Archives: closed segments of a ledger, with what proves and describes them, in object storage.
//!
//! What must stay true: nothing is archived that does not verify; what is put is read back before it
//! is listed; a manifest is written last and signed by the ledger's key, so that a segment either has
//! all its objects or has no manifest; no object is written over. No key of a bucket is ever archived:
//! destroying the one in the ledger's folder must destroy what the bucket says everywhere. No lock
//! outlives the schedule. `docs/formats/archive.md` has the layout.

mod check;
mod columns;
mod error;
mod manifest;
mod plan;
mod put;
mod segment;
mod tiles;

pub use check::{ArchiveChecked, CheckArchive, verify_archive};
pub use error::ArchiveError;
pub use manifest::{Chain, MANIFEST_BYTES_MAX, Manifest, Object};
pub use put::{Archive, Archived, archive};

pub(crate) use plan::grows_until;

pub use crate::shelf::{Shelf, Unlocked};

/// Entries of a first log segment, and records of a body segment, that these bytes can be read as; for
/// fuzzing. What is neither gives nothing.
#[doc(hidden)]
pub fn segments_of(bytes: &[u8]) -> (usize, usize) {
    // The header names its ledger after eight bytes.
    let ledger = bytes.get(8..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    let mut tiling = crate::tiling::Edges::default();
    let before = crate::store::Head::default();
    let log = segment::read_log(bytes, (&ledger, 0), &before, &mut tiling, &mut |_| {});
    let entries = log.map_or(0, |log| log.envelopes.len());
    let (frames, bodies) = crate::postgres::places_of(bytes);
    (entries + frames, bodies + segment::read_bodies(bytes).map_or(0, |records| records.len()))
}
