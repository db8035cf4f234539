//! Connectors to the agency's own systems; each spends a [`gate::Permit`].
//!
//! Invariants:
//! - nothing that was fetched leaves this room but as [`gate::Held`]: [`Sources::fetch`],
//!   [`Sources::execute`] and [`Sources::document`] are the only ways to data, and each takes a
//!   permit and does what its plan says, on the source that its plan names;
//! - the statement is the definition's; names of columns are the definition's, quoted; values are
//!   bound. The one text that a value can choose is `null` in place of a bind;
//! - reads run where a write is refused by the database itself, writes in a transaction that rolls
//!   back unless the expected number of rows changed;
//! - over a limit is an error, never a cut;
//! - an error carries no value of a row or a bind, and the ticket by which the gate can record that
//!   nothing came of the permit.
//!
//! Absent on purpose: caches, temporary files, and any text of SQL that a caller could pass beside
//! a plan.

mod error;
mod evidence;
mod postgres;
mod registry;
mod scan;
mod spec;
mod sqlite;
mod wrap;

pub use error::{Fault, SourceError};
pub use registry::Sources;
pub use spec::{Believe, SourceKind, SourceSpec};
pub use wrap::escape_like;
