//! Forgetting as the law asks: schedules, holds, and the recorded disposal of what has expired.
//!
//! Invariants: nothing is disposed of before the end of its schedule, nor while a hold is on it;
//! the entry that says so is durable before the first byte goes; what goes is the key and the
//! bodies, never an envelope, so that every proof still holds afterwards. Whoever has the folder
//! sees without any secret that the log itself announced what is missing.
//!
//! What is absent: deciding who may do it (`policy`), and when it runs (`web`).

mod disposals;
mod dispose;
mod document;
mod holds;
mod moved;
mod orders;
mod ranges;
mod statement;
mod told;

pub(crate) use disposals::{DISPOSED, Disposals, document_name};
pub(crate) use document::NO_STATEMENT;
pub use document::{DISPOSED_BYTES_MAX, Disposed};
pub use holds::{EpochMark, Hold, HoldName, HoldScope};
pub(crate) use moved::Moved;
pub use orders::{AUTHORITY_BYTES_MAX, BucketState, Disposal, DisposeError, Order, Overview};
pub use ranges::Ranges;
pub use statement::Statement;
pub use told::{Disposition, Told};
pub(crate) use told::{disposed_of, open, record_in};
