//! The only road out of a source: ask → [`Permit`] → fetch → [`Held`] → record → [`Released`].
//!
//! Invariants:
//! - what leaves is in the ledger first; the ledger may say more than happened, never less;
//! - only [`Gate::authorise`] makes a permit, only [`Permit::hold`] makes a held value, only
//!   [`Gate::release`] makes a released one, and each is moved, never copied;
//! - a permit is for one question, one plan and [`PERMIT_SECONDS_MAX`] seconds, or
//!   [`STREAM_PERMIT_SECONDS_MAX`] where a whole document is read for its record first;
//! - every permit under which something may leave comes to an end in the ledger: released, written,
//!   withheld, or of unknown outcome, even if whoever asked went away;
//! - nothing that may have been changed is recorded as withheld: who changes something and can't say whether
//!   it was done says so.
//!
//! Absent on purpose: a second constructor, `Debug`, `Clone` or `Deref` on [`Held`], and any way to
//! switch the records off. Its one limit: a connector could fetch without spending a permit, so
//! `sources` exposes nothing that returns rows but as `Held`.

mod data;
mod error;
mod gate;
mod permit;
mod plan;
mod record;
mod stream;

pub use data::{Document, Fingerprint, Outcome, Print, Rows, Shown, Total, Value, row_digest};
pub use error::GateError;
pub use gate::{Gate, PERMIT_SECONDS_MAX, STREAM_PERMIT_SECONDS_MAX};
pub use permit::{Held, Permit, Released, Ticket};
pub use plan::{
    Direction, EvidencePlan, Filter, Limits, Mode, Plan, QueryPlan, SubjectColumn, View,
};
pub use stream::{Again, Stream, apart};
