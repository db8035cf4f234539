//! Why a source gave nothing. The words are safe to show and to record: no value is in them.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use gate::Ticket;

/// A permit was spent and nothing came of it. Hand the ticket to [`gate::Gate::withhold`] with
/// the fault's words; a dropped ticket is recorded as well, with fewer words.
#[derive(Debug, thiserror::Error)]
#[error("source `{source_id}` gave nothing")]
pub struct SourceError {
    /// The source.
    pub source_id: String,
    /// What went wrong.
    #[source]
    pub fault: Fault,
    /// Stands for the permit that was spent.
    pub ticket: Ticket,
}

/// What went wrong at a source. Messages of a database are kept only where they cannot repeat a
/// value: about the statement's own names, the connection, or the role's rights.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No source has that id.
    #[error("there is no source `{source_id}`")]
    Unknown {
        /// The id.
        source_id: String,
    },
    /// Two sources have the same id.
    #[error("there are two sources `{source_id}`")]
    Twice {
        /// The id.
        source_id: String,
    },
    /// The plan is not of the kind that the source or the call serves.
    #[error("the plan is not {expected}")]
    Misdirected {
        /// What it should have been.
        expected: &'static str,
    },
    /// A write to a source that is declared for reading.
    #[error("the source is not declared for writes")]
    ReadOnly,
    /// The permit was too old to be used.
    #[error("the permit expired before it was used")]
    Expired,
    /// The statement of the definition is not what this room runs.
    #[error("the statement is not usable: {problem}")]
    Statement {
        /// What is wrong with it; names come from the definition.
        problem: String,
    },
    /// The database refused or failed.
    #[error("the database refused: {code}{}", message.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Database {
        /// SQLite's or PostgreSQL's own code.
        code: String,
        /// Its message, where it can't carry a value.
        message: Option<String>,
    },
    /// The answer has not the shape that the plan speaks of.
    #[error("the answer is not usable: {problem}")]
    Shape {
        /// What is wrong with it; names come from the definition.
        problem: String,
    },
    /// More rows than the plan allows.
    #[error("more than {max} rows; ask for fewer")]
    TooManyRows {
        /// The most that the plan allows.
        max: u32,
    },
    /// More bytes than the plan allows.
    #[error("more than {max} bytes; ask for less")]
    TooManyBytes {
        /// The most that the plan allows.
        max: u64,
    },
    /// It took longer than the plan allows.
    #[error("it took longer than {after:?}")]
    TimedOut {
        /// The longest that the plan allows.
        after: Duration,
    },
    /// A write changed another number of rows than the definition expects, and was rolled back.
    #[error("{changed} rows would have changed instead of {expected}, so nothing was changed")]
    UnexpectedRows {
        /// What the definition expects.
        expected: u64,
        /// What would have happened.
        changed: u64,
    },
    /// A write was committing when its answer failed to come. Only the database knows whether it was done.
    #[error("the database did not say whether the change was made")]
    Uncertain {
        /// What kept the answer away.
        #[source]
        source: Option<Box<Self>>,
    },
    /// The store has no such document.
    #[error("there is no such document")]
    NoDocument,
    /// A document's key that leads out of its store, or is none.
    #[error("the document's key is not a key of this store")]
    BadKey,
    /// The range begins at or beyond the document's end.
    #[error("the range is not within the document's {length} bytes")]
    BadRange {
        /// The document's length.
        length: u64,
    },
    /// A file that the declaration names could not be used.
    #[error("could not {doing} `{path}`")]
    File {
        /// What we were doing.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The authorities' file could not be turned into trust.
    #[error("could not trust `{path}`")]
    Trust {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection could not be opened, or was lost.
    #[error("could not connect to the database")]
    Connect {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The role could do anything, also what no policy speaks of.
    #[error("the database role is a superuser; declare one that is not")]
    Superuser,
    /// The store failed.
    #[error("could not read the document")]
    Store {
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// A worker of our own was stopped.
    #[error("the program is stopping")]
    Stopped,
}
