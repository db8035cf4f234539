//! Why the object store of a ledger in PostgreSQL did not give or take something.

use super::super::DatabaseError;
use crate::shelf::ShelfError;

/// What the object store did not do. Names the object, never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("`{object}` is part of the ledger and lies in an object store; none is configured")]
    NotDeclared { object: String },
    #[error("the object store gave no answer about `{object}`")]
    NoAnswer {
        object: String,
        #[source]
        source: DatabaseError,
    },
    #[error(transparent)]
    Shelf(#[from] ShelfError),
}
