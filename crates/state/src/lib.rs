//! The platform's own state: accounts and what qualifies them, directories, providers' drafts and holds, emergency
//! accounts, sign-ins under way, sessions, exports, parcels; never an agency's records.
//!
//! Invariants: an entity is private to its module, so that nothing outside reads a row that was not
//! checked; what names a person or is a secret lies in a column sealed under the agency's key, bound to
//! its table and row; a write either happened whole or did not happen. Times are milliseconds since 1970
//! in UTC, given by the caller: this room reads no clock.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use keys::seal::SealingKey;
use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::readers::Readers;

pub mod accounts;
pub mod agreements;
pub mod copies;
pub mod directory;
pub mod drafts;
pub mod emergency;
pub mod exports;
pub mod gaps;
pub mod holds;
mod migrate;
pub mod notices;
pub mod parcels;
pub mod qualifications;
mod readers;
pub mod reviews;
pub mod sessions;
pub mod sign_ins;
pub mod templates;
#[doc(hidden)]
pub mod testing;

/// Longest wait for another writer before a write is refused as [`Trouble::Busy`].
const WRITER_WAIT_MAX: Duration = Duration::from_secs(5);

/// Connections to a database file. A memory database has one, for each connection would have its own.
const CONNECTIONS_MAX: u32 = 4;

/// The open database. Clones share the connections.
#[derive(Clone)]
pub struct State {
    database: DatabaseConnection,
    readers: Arc<Readers>,
    sealing: Arc<SealingKey>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

impl State {
    /// Opens `sqlite://path?mode=rwc` (made if missing with `mode=rwc`) or `sqlite::memory:`, and
    /// applies the migrations that it lacks. `sealing` seals what names a person or is secret.
    ///
    /// # Errors
    /// [`StateError::Open`] when the file can't be opened, [`StateError::Migrate`] when a migration fails
    /// (none is left half done), [`StateError::Newer`] and [`StateError::Foreign`] when the database was
    /// not made by this program or by an older one.
    pub async fn open(url: &str, sealing: SealingKey) -> Result<Self, StateError> {
        Self::open_limited(url, sealing, None).await
    }

    /// As [`State::open`], with SQLite's own limit on the file's pages, which stands for a full disk.
    async fn open_limited(
        url: &str,
        sealing: SealingKey,
        pages_max: Option<u32>,
    ) -> Result<Self, StateError> {
        let mut options = ConnectOptions::new(url);
        let memory = url.contains(":memory:") || url.contains("mode=memory");
        options.max_connections(if memory { 1 } else { CONNECTIONS_MAX });
        options.min_connections(1);
        // A file does not go away between two statements as a server does.
        options.test_before_acquire(false);
        if memory {
            // A memory database lives as long as its one connection.
            options.idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
        }
        // Statements carry bound values; neither logs nor spans may.
        options.sqlx_logging(false).record_stmt_in_spans(false);
        let read_only = url.contains("mode=ro");
        let file = Arc::new(OnceLock::new());
        let named = Arc::clone(&file);
        options.map_sqlx_sqlite_opts(move |mut sqlite| {
            named.get_or_init(|| sqlite.get_filename().to_path_buf());
            sqlite = sqlite.busy_timeout(WRITER_WAIT_MAX).pragma("synchronous", "FULL");
            if !read_only {
                sqlite = sqlite.pragma("journal_mode", "WAL");
            }
            sqlite = sqlite.pragma("secure_delete", "ON").pragma("foreign_keys", "ON");
            match pages_max {
                Some(pages) => sqlite.pragma("max_page_count", pages.to_string()),
                None => sqlite,
            }
        });
        let database =
            Database::connect(options).await.map_err(|source| StateError::Open { source })?;
        migrate::apply(&database).await?;
        let readers = Readers::new(file.get().cloned().filter(|_| !memory));
        Ok(Self { database, readers: Arc::new(readers), sealing: Arc::new(sealing) })
    }

    /// Lets go of the connections; a database file can then be moved.
    ///
    /// # Errors
    /// [`StateError::Close`] when the last checkpoint of the write-ahead log fails.
    pub async fn close(self) -> Result<(), StateError> {
        self.readers.close();
        self.database.close().await.map_err(|source| StateError::Close { source })
    }

    /// The database, for reads of one row set. Writes of more than one row go through [`State::write`].
    pub(crate) fn database(&self) -> &DatabaseConnection {
        &self.database
    }

    /// Readers of one row, for what stands before every request.
    pub(crate) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Begins a transaction that takes the write lock at once, so that it can't fail for a lock later.
    /// Dropping it rolls back.
    pub(crate) async fn write(
        &self,
        doing: &'static str,
    ) -> Result<DatabaseTransaction, StateError> {
        let options = TransactionOptions {
            isolation_level: None,
            access_mode: None,
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        };
        self.database.begin_with_options(options).await.map_err(writing(doing))
    }

    /// Seals `value` as JSON for the row `id` of `table`: it opens nowhere else.
    pub(crate) fn seal<T: Serialize>(
        &self,
        table: &'static str,
        id: &str,
        value: &T,
    ) -> Result<Vec<u8>, StateError> {
        let plain = serde_json::to_vec(value)
            .map_err(|source| StateError::Encode { table, source: Arc::new(source) })?;
        self.sealing
            .seal(&binding(table, id), &plain)
            .map_err(|source| StateError::Seal { table, source })
    }

    /// Opens what [`State::seal`] sealed for the same table and row.
    pub(crate) fn unseal<T: DeserializeOwned>(
        &self,
        table: &'static str,
        id: &str,
        sealed: &[u8],
    ) -> Result<T, StateError> {
        let plain = self
            .sealing
            .open(&binding(table, id), sealed)
            .map_err(|source| StateError::Unseal { table, source })?;
        serde_json::from_slice(&plain)
            .map_err(|source| StateError::Encode { table, source: Arc::new(source) })
    }
}

/// What ties a sealed column to its place: the same bytes in another row don't open.
fn binding(table: &str, id: &str) -> Vec<u8> {
    format!("{table}|{id}").into_bytes()
}

/// A time as it is stored.
pub(crate) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// A time as it was stored.
pub(crate) fn time(table: &'static str, millis: i64) -> Result<Timestamp, StateError> {
    Timestamp::from_millisecond(millis).map_err(|_| StateError::Damaged { table, column: "time" })
}

pub(crate) fn reading(doing: &'static str) -> impl FnOnce(DbErr) -> StateError {
    move |source| StateError::Read { doing, source }
}

pub(crate) fn writing(doing: &'static str) -> impl FnOnce(DbErr) -> StateError {
    move |source| StateError::Write { doing, why: Trouble::of(&source), source }
}

/// Why a write was refused, as far as an operator can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The disk, or the limit set for the database, is full.
    NoRoom,
    /// The file or its folder can't be written.
    ReadOnly,
    /// Another writer held the database for longer than five seconds.
    Busy,
    /// Anything else; the cause says.
    Other,
}

impl Trouble {
    /// SQLite's result codes (sqlite.org/rescode.html), of which the low byte is the kind.
    fn of(error: &DbErr) -> Self {
        const BUSY: u32 = 5;
        const LOCKED: u32 = 6;
        const READONLY: u32 = 8;
        const FULL: u32 = 13;
        const CANTOPEN: u32 = 14;
        match result_code(error).map(|code| code & 0xff) {
            Some(BUSY | LOCKED) => Self::Busy,
            Some(READONLY | CANTOPEN) => Self::ReadOnly,
            Some(FULL) => Self::NoRoom,
            Some(_) | None => Self::Other,
        }
    }
}

/// The driver's result code, if the error came from the driver.
fn result_code(error: &DbErr) -> Option<u32> {
    let (DbErr::Exec(runtime) | DbErr::Query(runtime) | DbErr::Conn(runtime)) = error else {
        return None;
    };
    let sea_orm::RuntimeErr::SqlxError(sqlx) = runtime else { return None };
    sqlx.as_database_error()?.code()?.parse().ok()
}

/// What went wrong, and during what. `doing` completes the sentence "could not …".
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("could not open the state database")]
    Open {
        #[source]
        source: DbErr,
    },
    #[error("could not close the state database")]
    Close {
        #[source]
        source: DbErr,
    },
    #[error("could not apply migration `{name}` to the state database")]
    Migrate {
        name: &'static str,
        why: Trouble,
        #[source]
        source: DbErr,
    },
    #[error("the state database is at migration {found}, and this program knows {known}")]
    Newer { found: i64, known: usize },
    #[error("migration {version} of the state database is `{found}` and should be `{known}`")]
    Foreign { version: i64, found: String, known: &'static str },
    #[error("could not {doing}")]
    Read {
        doing: &'static str,
        #[source]
        source: DbErr,
    },
    #[error("could not {doing}")]
    Write {
        doing: &'static str,
        why: Trouble,
        #[source]
        source: DbErr,
    },
    #[error("{problem}")]
    Unfit { problem: &'static str },
    #[error("a row of `{table}` holds a bad `{column}`")]
    Damaged { table: &'static str, column: &'static str },
    #[error("could not encode the sealed column of `{table}`")]
    Encode {
        table: &'static str,
        #[source]
        source: Arc<serde_json::Error>,
    },
    #[error("could not seal a row of `{table}`")]
    Seal {
        table: &'static str,
        #[source]
        source: keys::KeysError,
    },
    #[error("could not open the sealed column of a row of `{table}`")]
    Unseal {
        table: &'static str,
        #[source]
        source: keys::KeysError,
    },
}

impl StateError {
    /// Why the write failed, if it was a write.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Migrate { why, .. } | Self::Write { why, .. } => Some(*why),
            Self::Open { .. }
            | Self::Close { .. }
            | Self::Newer { .. }
            | Self::Foreign { .. }
            | Self::Read { .. }
            | Self::Unfit { .. }
            | Self::Damaged { .. }
            | Self::Encode { .. }
            | Self::Seal { .. }
            | Self::Unseal { .. } => None,
        }
    }
}
