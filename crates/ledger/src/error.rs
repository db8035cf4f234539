//! What can go wrong: opening, appending, reading; and damage, which has a place.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::EntryNumber;
pub use crate::postgres::DatabaseError;
use crate::postgres::ObjectError;

/// Something on disk that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Damage {
    /// Path inside the ledger's folder.
    pub file: String,
    /// Byte offset in the file at which the damaged part begins.
    pub offset: u64,
    /// The first entry that the damage touches, where that is known.
    pub entry: Option<u64>,
    pub what: String,
    /// The disk did not give it: what is there may be sound, and another try may find it so.
    pub unread: bool,
}

impl Damage {
    pub(crate) fn new(file: &str, offset: u64, entry: Option<u64>, what: &str) -> Self {
        Self { file: file.to_owned(), offset, entry, what: what.to_owned(), unread: false }
    }

    /// Of a file that could not be read. One that is not there is gone, and no try brings it back.
    pub(crate) fn unreadable(file: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            return Self::new(file, 0, None, "the file is missing");
        }
        let what = format!("the file could not be read: {error}");
        Self { unread: true, ..Self::new(file, 0, None, &what) }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` at byte {}", self.file, self.offset)?;
        if let Some(entry) = self.entry {
            write!(f, ", entry {entry}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Why a ledger could not be opened. Nothing was changed on disk that a second try would miss.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("could not {doing} `{path}`")]
    Disk {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the ledger in `{folder}` is open in another process")]
    InUse { folder: PathBuf },
    #[error("there is something in `{folder}` already")]
    NotEmpty { folder: PathBuf },
    #[error("the ledger is damaged")]
    Damaged(#[source] Damage),
    #[error("the ledger in `{folder}` belongs to `{found}`, not to `{expected}`")]
    Foreign { folder: PathBuf, found: String, expected: String },
    #[error("key file `{path}` does not open with the ledger's master key")]
    WrongKey { path: PathBuf },
    #[error("the setting `{key}` is {value}; it must be {expected}")]
    Setting { key: &'static str, value: String, expected: &'static str },
    #[error("the ledger could not be opened for writing")]
    Write {
        #[source]
        source: AppendError,
    },
    #[error("could not {doing}")]
    Keys {
        doing: &'static str,
        #[source]
        source: keys::KeysError,
    },
    #[error("the ledger's database can't be used")]
    Database {
        #[source]
        source: Arc<DatabaseError>,
    },
    #[error("a part of the ledger that lies in its object store can't be had")]
    Object {
        #[source]
        source: Arc<ObjectError>,
    },
    /// The database was restored from an older backup, or is another one.
    #[error(
        "the database has {have} entries of the ledger, yet this machine has seen {seen} of them: \
         it was restored from an older backup, or it is another database"
    )]
    WoundBack { have: u64, seen: u64 },
}

/// Why a record was not taken. Whatever it was to allow must not happen.
///
/// A refused record may still be found in the ledger after a recovery: it was on its way to the
/// disk when something failed. The ledger may say more than happened, never less.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    #[error("{waiting} records are waiting already")]
    Busy { waiting: usize },
    #[error("a record of {bytes} bytes is over the limit of {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error("there is no room for `{path}`")]
    NoRoom {
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("could not {doing} `{path}`")]
    Disk {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("`{path}` was removed, renamed or replaced while the ledger was open")]
    Replaced { path: PathBuf },
    #[error("the clock is {milliseconds} ms behind the last entry")]
    ClockBehind { milliseconds: i64 },
    /// The record would expire with what was disposed of long ago.
    #[error(
        "a record of now would expire with {bucket}, which was disposed of already: the clock is \
         wrong, or was"
    )]
    BucketGone {
        /// The bucket's name.
        bucket: String,
    },
    #[error("the ledger's disk or database has not answered for {seconds} seconds")]
    NoAnswer { seconds: u64 },
    #[error("the ledger could not be opened again after a failure")]
    Reopen(#[source] Arc<OpenError>),
    #[error("`{kind}` is recorded by the ledger's own retention only")]
    Reserved { kind: &'static str },
    #[error("a record could not be written out")]
    Encode(#[source] Arc<serde_json::Error>),
    #[error("could not {doing}")]
    Keys {
        doing: &'static str,
        #[source]
        source: Arc<keys::KeysError>,
    },
    /// A witness has shown that this ledger was wound back or has two histories.
    #[error("{why}")]
    Stopped { why: String },
    /// Others, who share the log, came first every time.
    #[error("the log has {size} entries by now; the record was not written")]
    Conflict { size: u64 },
    #[error("the ledger's database failed")]
    Database(#[source] Arc<DatabaseError>),
    /// It was sent, and no answer came.
    #[error(
        "the record may be in the ledger all the same; look there before you repeat what it is about"
    )]
    Unknown(#[source] Arc<DatabaseError>),
    #[error("the ledger is closed")]
    Closed,
}

impl AppendError {
    /// Whether no answer came, so that the record may well be in the ledger: whoever asked looks
    /// there before it is repeated.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::NoAnswer { .. })
    }

    /// What those are told who come while the ledger is not open yet, and whoever asks how it is: their
    /// records were not sent.
    pub(crate) fn afterwards(&self) -> Self {
        match self {
            Self::Unknown(source) => Self::Database(Arc::clone(source)),
            other => other.clone(),
        }
    }

    pub(crate) fn no_answer(after: std::time::Duration) -> Self {
        Self::NoAnswer { seconds: after.as_secs() }
    }
}

/// Why an entry, a proof or a page could not be given.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("there is no entry {entry} in a ledger of {size}")]
    NoEntry { entry: EntryNumber, size: u64 },
    #[error("entry {entry} was disposed of with {bucket} on {on}, as entry {started} announced")]
    Disposed {
        entry: EntryNumber,
        /// The bucket's name.
        bucket: String,
        /// The day, in UTC.
        on: jiff::civil::Date,
        started: EntryNumber,
    },
    #[error("there is no tree of size {size}; the ledger has {have} entries")]
    NoSize { size: u64, have: u64 },
    #[error("could not read `{path}`")]
    Disk {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the ledger is damaged")]
    Damaged(#[source] Damage),
    #[error("could not read from the ledger's database")]
    Database(#[source] DatabaseError),
    /// What was asked for left the database, and its object store does not give it now.
    #[error("could not read from the ledger's object store")]
    Object(#[source] ObjectError),
}
