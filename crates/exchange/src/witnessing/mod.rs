//! Witnesses over HTTPS: we ask ours to cosign our checkpoints, and cosign those of others.
//!
//! Invariants: no append waits for a witness; what a witness answers is judged by the ledger
//! ([`ledger::watched`]), and what others submit by [`ledger::witness::Witness`]: nothing is judged here.
//! The protocol is C2SP tlog-witness, to the byte in `docs/formats/witness.md`.

mod ask;
mod cosigner;
mod line;
mod stand;

pub use ask::{Cadence, ask, keep_witnessed};
pub use cosigner::Cosigner;
pub use line::{WitnessLine, WitnessPlace};
pub use stand::{StandAlone, StandError};

/// Below a listener's root.
pub(crate) const ROOT: &str = "/witness";

/// Any bytes as the texts that people write down about witnesses.
pub(crate) fn fuzz(data: &[u8]) {
    stand::fuzz(data);
    std::hint::black_box(String::from_utf8_lossy(data).parse::<WitnessPlace>().is_ok());
}
