//! Faults for tests of this room and of those above it. Not for use outside tests.

use std::path::Path;

use keys::seal::SealingKey;
use sea_orm::ConnectionTrait;

use crate::{State, StateError, reading, writing};

/// A key for tests.
#[must_use]
pub fn key() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

/// The URL of `state.db` in a folder, made if missing.
#[must_use]
pub fn url(folder: &Path) -> String {
    format!("sqlite://{}?mode=rwc", folder.join("state.db").display())
}

/// As [`url`], for a database that is there and may not be written.
#[must_use]
pub fn read_only_url(folder: &Path) -> String {
    format!("sqlite://{}?mode=ro", folder.join("state.db").display())
}

/// Opens the database with room for no page more than it has, which is how SQLite sees a full disk.
///
/// # Errors
/// As [`State::open`].
pub async fn open_full(url: &str) -> Result<State, StateError> {
    State::open_limited(url, key(), Some(1)).await
}

/// From now on every `INSERT`, `UPDATE` or `DELETE` of a row of `table` fails.
///
/// # Errors
/// When the database does not know the table.
pub async fn break_writes(state: &State, table: &str, verb: &str) -> Result<(), StateError> {
    let sql = format!(
        "CREATE TRIGGER broken_{table}_{verb} BEFORE {verb} ON {table} \
         BEGIN SELECT RAISE(ABORT, 'broken by a test'); END"
    );
    state.database().execute_unprepared(&sql).await.map_err(writing("break a table"))?;
    Ok(())
}

/// Ends what [`break_writes`] began.
///
/// # Errors
/// When it was not begun.
pub async fn mend_writes(state: &State, table: &str, verb: &str) -> Result<(), StateError> {
    let sql = format!("DROP TRIGGER broken_{table}_{verb}");
    state.database().execute_unprepared(&sql).await.map_err(writing("mend a table"))?;
    Ok(())
}

/// Runs one statement of a test.
///
/// # Errors
/// When the database refuses it.
pub async fn run(state: &State, sql: &str) -> Result<(), StateError> {
    state.database().execute_unprepared(sql).await.map_err(writing("run a test's statement"))?;
    Ok(())
}

/// The number of rows in a table.
///
/// # Errors
/// When the database does not know the table.
pub async fn count(state: &State, table: &str) -> Result<i64, StateError> {
    let backend = state.database().get_database_backend();
    let sql = format!("SELECT count(*) AS n FROM {table}");
    let statement = sea_orm::Statement::from_string(backend, sql);
    let row = state.database().query_one_raw(statement).await.map_err(reading("count"))?;
    row.map_or(Ok(0), |row| row.try_get("", "n")).map_err(reading("count"))
}
