//! A joint audit: two agencies' signed extracts of their ledgers held against each other.
//!
//! Pure but for [`crate::Exchange::extract`]: either side, or an auditor with neither's secrets, can do it
//! alone from the two files and four public values. `docs/formats/joint-audit.md` has the files.
//!
//! Invariants: what an extract says is proved entry by entry under its ledger's key; what is not said by
//! one side is found by what the other says, and by the numbers that have no gaps.

mod extract;
mod page;
mod paper;
mod reconcile;

pub(crate) use extract::fuzz;
pub use extract::{
    EXTRACT_BYTES_MAX, EXTRACT_ENTRIES_MAX, EXTRACT_PROFILE, ExtractError, Fact, Side, read,
};
pub use page::page;
pub use paper::{json, paper};
pub use reconcile::{Counts, Finding, Head, Line, REPORT_PROFILE, Report, reconcile};

/// What came of it, in a sentence.
fn verdict(report: &Report) -> &'static str {
    match report.agrees() {
        true => "The two ledgers agree in everything that the extracts cover.",
        false => "The two ledgers do not agree in everything. What differs comes first.",
    }
}
