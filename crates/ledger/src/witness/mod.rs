//! Witnesses: whoever cosigns a log's checkpoints, so that the log can be neither wound back nor shown
//! to one in one form and to another in a second.
//!
//! Two sides. A [`Witness`] keeps of each log that it knows the newest checkpoint that it cosigned, and
//! cosigns no checkpoint that does not continue it. A log's own side is [`crate::watched`]: who has cosigned what,
//! how long ago, and whether anything may still be released.
//!
//! The protocol is C2SP tlog-witness, the signatures are Ed25519 cosignatures (tlog-cosignature), the
//! quorum is a tlog-policy. To the byte in `docs/formats/witness.md`. Nothing here opens a connection.

mod answer;
mod cosignature;
pub(crate) mod documents;
mod evidence;
mod keeper;
mod policy;
mod request;

pub use answer::{Answer, SIZE_TYPE, answer_bytes_max};
pub(crate) use cosignature::text_of;
pub use cosignature::{Cosignature, CosignatureError, WitnessKey, cosigned};
pub use evidence::{EVIDENCE_MAX, Evidence, Wrong};
pub use keeper::{Judged, LOGS_MAX, Noted, Witness, WitnessError, origin_id};
pub use policy::{POLICY_BYTES_MAX, POLICY_NAMES_MAX, Policy, PolicyError, Quorum};
pub use request::{AddCheckpoint, PROOF_LINES_MAX, REQUEST_BYTES_MAX, RequestError};

/// Reads what lies in a witness's folder, for fuzzing.
#[doc(hidden)]
pub fn fuzz_document(bytes: &[u8]) {
    std::hint::black_box(documents::unwrap(bytes).is_some());
    if let Ok(text) = std::str::from_utf8(bytes) {
        std::hint::black_box(evidence::Evidence::parse(text).is_some());
        crate::watched::fuzz_document(text);
    }
}
