//! What the room promises, and vectors that others made.
#![expect(clippy::unwrap_used, reason = "test helpers stop at the first surprise")]
#![expect(clippy::indexing_slicing, reason = "tests know their lengths")]
#![expect(clippy::print_stderr, reason = "a skipped check and a figure say so")]

mod certificates;
mod kem;
mod keyring;
mod primitives;
mod wycheproof;
