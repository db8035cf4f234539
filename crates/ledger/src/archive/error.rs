//! Why an archive was not made or does not hold.

use crate::error::Damage;
use crate::shelf::ShelfError;

/// Why an archive was not made or does not hold. Names objects, never what is in them.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The ledger's own folder does not hold; nothing more is archived from it.
    #[error("the ledger does not hold")]
    Folder(#[from] Damage),
    #[error("could not {doing} `{object}`")]
    Store {
        doing: &'static str,
        object: String,
        #[source]
        source: object_store::Error,
    },
    /// Another thing lies where this was to go. It is not written over.
    #[error("`{object}` is in the archive already, and is not what was to be put there")]
    Differs { object: String },
    #[error("`{object}` was put and reads back otherwise")]
    ReadBack { object: String },
    /// An object of the archive does not hold.
    #[error("`{object}` {what}")]
    Broken { object: String, what: String },
    #[error("the archive has {size} entries; {expected} are expected")]
    Short { size: u64, expected: u64 },
    #[error("the checkpoint of {size} entries is not of the archived log")]
    Checkpoint { size: u64 },
    #[error("`{object}` could not be written as Parquet")]
    Parquet {
        object: String,
        #[source]
        source: ::parquet::errors::ParquetError,
    },
    /// Content was asked for, and the master key does not open it.
    #[error("the content of entry {entry} does not open under this master key")]
    Content { entry: u64 },
    #[error("`{object}` has more than {max} bytes")]
    TooLarge { object: String, max: u64 },
}

impl ArchiveError {
    pub(crate) fn broken(object: &str, what: impl Into<String>) -> Self {
        Self::Broken { object: object.to_owned(), what: what.into() }
    }

    pub(crate) fn store(
        doing: &'static str,
        object: &str,
    ) -> impl FnOnce(object_store::Error) -> Self {
        let object = object.to_owned();
        move |source| Self::Store { doing, object, source }
    }
}

impl From<ShelfError> for ArchiveError {
    fn from(error: ShelfError) -> Self {
        match error {
            ShelfError::Store { doing, object, source } => Self::Store { doing, object, source },
            ShelfError::Differs { object } => Self::Differs { object },
            ShelfError::ReadBack { object } => Self::ReadBack { object },
            ShelfError::TooLarge { object, max } => Self::TooLarge { object, max },
        }
    }
}
