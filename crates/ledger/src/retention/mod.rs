//! Forgetting as the law asks: schedules, holds, and the recorded disposal of what has expired.
//!
//! Invariants: nothing is disposed of before the end of its schedule, nor while a hold is on it;
//! the entry that says so is durable before the first byte goes; what goes is the key and the
//! bodies, never an envelope, so that every proof still holds afterwards. Whoever has the folder
//! sees without any secret that the log itself announced what is missing.
//!
//! What is absent: deciding who may do it (`policy`), and when it runs (`web`).

mod disposals;
mod document;
mod holds;
mod ranges;
mod statement;

pub(crate) use disposals::{DISPOSED, Disposals, document_name};
pub use document::{DISPOSED_BYTES_MAX, Disposed};
pub use holds::{Hold, HoldName, HoldScope};
pub use ranges::Ranges;
pub use statement::Statement;
