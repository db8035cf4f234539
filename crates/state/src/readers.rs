//! Reading one row of the database file at once, on the caller's own thread: for the look-up that stands before every
//! request. The pool answers from threads of its own, and to be woken by one costs more than the look-up.
//!
//! Invariants: nothing is written here; what is read is what was committed last, by whichever process; whatever can't
//! be read here is asked of the pool, whose answer counts.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::Value as Bound;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params_from_iter};
use sea_orm::{Statement, Value};

/// Connections that are kept open. More are opened when more threads read at once, and closed after it.
const KEPT_MAX: usize = 8;

/// Connections that read and nothing else.
#[derive(Default)]
pub(crate) struct Readers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// None: a memory database, which no other connection sees, or one that was closed.
    file: Option<PathBuf>,
    idle: Vec<Connection>,
}

impl Readers {
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self(Mutex::new(Kept { file, idle: Vec::new() }))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the file.
    pub(crate) fn close(&self) {
        *self.kept() = Kept::default();
    }

    /// The first row, as `take` reads it. None: it can't be said here, and the pool is to be asked.
    pub(crate) fn first<T>(
        &self,
        statement: &Statement,
        take: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Option<Option<T>> {
        let values = statement.values.iter().flat_map(|values| &values.0);
        let values: Vec<Bound> = values.map(bound).collect::<Option<_>>()?;
        let connection = self.connection()?;
        let found = connection
            .prepare_cached(&statement.sql)
            .and_then(|mut ready| ready.query_row(params_from_iter(values), take).optional());
        match found {
            Ok(found) => {
                self.give_back(connection);
                Some(found)
            }
            Err(error) => {
                tracing::debug!(%error, "a row could not be read at once");
                None
            }
        }
    }

    fn connection(&self) -> Option<Connection> {
        let file = {
            let mut kept = self.kept();
            if let Some(connection) = kept.idle.pop() {
                return Some(connection);
            }
            kept.file.clone()?
        };
        match open(&file) {
            Ok(connection) => Some(connection),
            Err(error) => {
                tracing::debug!(%error, "the state database could not be opened for reading alone");
                None
            }
        }
    }

    fn give_back(&self, connection: Connection) {
        let mut kept = self.kept();
        // It may have been closed meanwhile.
        if kept.file.is_some() && kept.idle.len() < KEPT_MAX {
            kept.idle.push(connection);
        }
    }
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    // Whoever would have to wait asks the pool, which does not hold a thread of the server meanwhile.
    connection.busy_timeout(std::time::Duration::ZERO)?;
    Ok(connection)
}

/// A value as SQLite takes it; none of a kind that no statement read here has.
fn bound(value: &Value) -> Option<Bound> {
    match value {
        Value::String(Some(text)) => Some(Bound::Text(text.to_string())),
        Value::BigInt(Some(number)) => Some(Bound::Integer(*number)),
        Value::Int(Some(number)) => Some(Bound::Integer(i64::from(*number))),
        Value::Bool(Some(yes)) => Some(Bound::Integer(i64::from(*yes))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::*;
    use crate::{State, testing};

    fn named(table: &str) -> Statement {
        let sql = "select name from sqlite_master where name = ?";
        Statement::from_sql_and_values(DbBackend::Sqlite, sql, [table.into()])
    }

    fn first(state: &State, statement: &Statement) -> Option<Option<String>> {
        state.readers().first(statement, |row| row.get(0))
    }

    #[tokio::test]
    async fn what_is_committed_is_read_whoever_wrote_it_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&testing::url(folder.path()), testing::key()).await.unwrap();
        assert_eq!(first(&state, &named("sessions")), Some(Some("sessions".to_owned())));
        assert_eq!(first(&state, &named("later")), Some(None));
        let other = Connection::open(folder.path().join("state.db")).unwrap();
        other.execute_batch("begin; create table later (id)").unwrap();
        assert_eq!(first(&state, &named("later")), Some(None), "not yet committed");
        other.execute_batch("commit").unwrap();
        assert_eq!(first(&state, &named("later")), Some(Some("later".to_owned())));
        let writes = "insert into later values (1) returning id";
        let writes = Statement::from_string(DbBackend::Sqlite, writes);
        assert_eq!(first(&state, &writes), None);
        let rows: i64 =
            other.query_row("select count(*) from later", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0);
    }

    #[tokio::test]
    async fn what_cant_be_read_at_once_is_asked_of_the_pool() {
        let memory = State::open("sqlite::memory:", testing::key()).await.unwrap();
        assert_eq!(first(&memory, &named("sessions")), None);
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&testing::url(folder.path()), testing::key()).await.unwrap();
        let damaged = Statement::from_string(DbBackend::Sqlite, "select name from nowhere");
        assert_eq!(first(&state, &damaged), None);
        let unknown = Statement::from_sql_and_values(DbBackend::Sqlite, "select ?", [1.5.into()]);
        assert_eq!(first(&state, &unknown), None);
        state.readers().close();
        assert_eq!(first(&state, &named("sessions")), None);
        // The pool still answers; only `State::close` ends that.
        assert!(
            crate::sessions::find(&state, &[1; 32], jiff::Timestamp::UNIX_EPOCH)
                .await
                .unwrap()
                .is_none()
        );
        let held = Readers::new(Some(folder.path().join("not-there.db")));
        assert!(held.first(&named("sessions"), |row| row.get::<_, String>(0)).is_none());
        assert!(!folder.path().join("not-there.db").exists());
    }
}
