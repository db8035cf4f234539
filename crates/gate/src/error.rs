//! Why nothing was released, or why it is not certain what was done.

use ledger::{AppendError, EntryNumber};

/// Why nothing was released, or what was done and not confirmed. Each that has an entry is in the ledger under it.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The policy said no.
    #[error("denied: {reason}; quote ledger entry {entry}")]
    Denied {
        /// The entry of the denial.
        entry: EntryNumber,
        /// The policy's reason, for the person.
        reason: String,
    },
    /// The ledger did not confirm a record.
    #[error("the ledger did not confirm the record, so nothing was released")]
    Unrecorded(#[source] AppendError),
    /// A write was done, and the ledger did not confirm the record that says so. Its decision is on record.
    #[error(
        "it was done, and the ledger did not confirm the record of that; quote ledger entry {decided}"
    )]
    Unconfirmed {
        /// The entry of the decision.
        decided: EntryNumber,
        /// Why.
        #[source]
        source: AppendError,
    },
    /// It was permitted and fetched, and must not leave all the same.
    #[error("withheld: {reason}; quote ledger entry {entry}")]
    Withheld {
        /// The entry of the withholding.
        entry: EntryNumber,
        /// Why, for the person.
        reason: String,
    },
    /// No witness has confirmed the ledger for too long, or since the start: nothing leaves until one has.
    #[error("{reason}; quote ledger entry {entry}")]
    Unwitnessed {
        /// The entry of the refusal.
        entry: EntryNumber,
        /// Why, for the person.
        reason: String,
    },
    /// The permit was not used in time.
    #[error("the permit expired before the data was released; quote ledger entry {entry}")]
    Expired {
        /// The entry of the withholding.
        entry: EntryNumber,
    },
}

impl GateError {
    /// The entry that a person may quote, if one could be recorded.
    pub fn entry(&self) -> Option<EntryNumber> {
        match self {
            Self::Denied { entry, .. }
            | Self::Withheld { entry, .. }
            | Self::Unwitnessed { entry, .. }
            | Self::Expired { entry } => Some(*entry),
            Self::Unconfirmed { decided, .. } => Some(*decided),
            Self::Unrecorded(_) => None,
        }
    }
}
