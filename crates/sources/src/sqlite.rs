//! SQLite files.
//!
//! Invariant: a read runs on a connection that can't write, three times over: the file is opened
//! read-only, `query_only` is on, and an authorizer refuses every act but reading. A write runs on
//! the one connection that may change rows, and nothing else: no tables, no pragmas, no attaching.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gate::{Limits, Outcome, QueryPlan, Rows, Total, Value};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Fault;
use crate::scan::Dialect;
use crate::wrap::{Statement, wrap};

/// Reads that may run at once. Each holds a connection and a thread of the blocking pool.
const READERS_MAX: usize = 4;
/// Virtual machine steps between two looks at the clock.
const STEPS: std::ffi::c_int = 2_000;
/// The longest statement, in bytes.
const SQL_BYTES_MAX: i32 = 256 * 1024;

/// A database file with its connections.
pub(crate) struct Sqlite {
    shared: Arc<Shared>,
    readers: Arc<Semaphore>,
    writer: Arc<Semaphore>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// Opened at the first write: many sources are never written to.
    writer: Mutex<Option<Connection>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    Read,
    Write,
}

impl Sqlite {
    /// Opens the file once, so that a wrong path is known at the start.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let first = connect(path, Rights::Read)?;
        first
            .query_row("select count(*) from sqlite_schema", [], |_| Ok(()))
            .map_err(|error| fault(&error))?;
        let shared = Shared {
            path: path.to_owned(),
            idle: Mutex::new(vec![first]),
            writer: Mutex::new(None),
        };
        Ok(Self {
            shared: Arc::new(shared),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            writer: Arc::new(Semaphore::new(1)),
        })
    }

    /// Whether the file can still be read.
    pub(crate) async fn check(&self) -> Result<(), Fault> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let connection = shared.take()?;
            let answer = connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()));
            shared.give(connection);
            answer.map_err(|error| fault(&error))
        })
        .await
    }

    /// Runs a read within its limits.
    pub(crate) async fn read(&self, plan: &QueryPlan) -> Result<Rows, Fault> {
        let deadline = Deadline::new(&plan.limits);
        let seat = deadline.seat(&self.readers).await?;
        let (shared, plan) = (Arc::clone(&self.shared), plan.clone());
        let waited_for = WaitedFor::default();
        let gone = waited_for.gone();
        blocking(move || {
            let connection = shared.take()?;
            let rows = read(&connection, &plan, deadline, gone);
            shared.give(connection);
            drop(seat);
            rows
        })
        .await
    }

    /// Runs a write in a transaction. It is carried through even if the caller goes away.
    pub(crate) async fn write(&self, plan: &QueryPlan) -> Result<Outcome, Fault> {
        let deadline = Deadline::new(&plan.limits);
        let seat = deadline.seat(&self.writer).await?;
        let (shared, plan) = (Arc::clone(&self.shared), plan.clone());
        let writing = blocking(move || {
            let mut writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
            if writer.is_none() {
                *writer = Some(connect(&shared.path, Rights::Write)?);
            }
            let Some(connection) = writer.as_mut() else { return Err(Fault::Stopped) };
            let outcome = write(connection, &plan, deadline);
            drop(seat);
            outcome
        });
        // A thread that did not come to its end may have got as far as the commit.
        writing.await.map_err(|fault| match fault {
            Fault::Stopped => Fault::Uncertain { source: Some(Box::new(fault)) },
            other => other,
        })
    }
}

impl Shared {
    fn take(&self) -> Result<Connection, Fault> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| connect(&self.path, Rights::Read), Ok)
    }

    fn give(&self, connection: Connection) {
        // The next user sets a deadline of its own; the old one must not interrupt it.
        connection.progress_handler(0, None::<fn() -> bool>);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Fault::Stopped))
}

/// A read that somebody waits for. A thread goes on when nobody does, so it is told when this is dropped:
/// the person's session ended, for one.
#[derive(Default)]
struct WaitedFor(Arc<AtomicBool>);

impl WaitedFor {
    /// Becomes true when nobody waits any more.
    fn gone(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for WaitedFor {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The moment at which a plan's time is up.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    after: Duration,
}

impl Deadline {
    fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self { at: now.checked_add(limits.wait_max).unwrap_or(now), after: limits.wait_max }
    }

    /// A seat at a limited table, if one is free in time.
    async fn seat(self, table: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Fault> {
        let seat = Arc::clone(table).acquire_owned();
        match tokio::time::timeout_at(self.at.into(), seat).await {
            Ok(seat) => seat.map_err(|_| Fault::Stopped),
            Err(_) => Err(Fault::TimedOut { after: self.after }),
        }
    }

    /// Interrupts what the connection does when the time is up, or nobody waits for it.
    fn watch(self, connection: &Connection, gone: Arc<AtomicBool>) {
        let over = move || gone.load(Ordering::Relaxed) || Instant::now() >= self.at;
        connection.progress_handler(STEPS, Some(over));
        // Waiting for another writer counts too.
        let left = self.at.saturating_duration_since(Instant::now());
        if connection.busy_timeout(left).is_err() {
            tracing::debug!("the busy time-out could not be set; the deadline still holds");
        }
    }

    fn fault(self, error: &rusqlite::Error) -> Fault {
        self.late(error).unwrap_or_else(|| fault(error))
    }

    fn unprepared(self, error: &rusqlite::Error) -> Fault {
        self.late(error).unwrap_or_else(|| unprepared(error))
    }

    fn late(self, error: &rusqlite::Error) -> Option<Fault> {
        let code = error.sqlite_error_code()?;
        let late = matches!(code, ErrorCode::OperationInterrupted | ErrorCode::DatabaseBusy);
        late.then_some(Fault::TimedOut { after: self.after })
    }
}

fn connect(path: &Path, rights: Rights) -> Result<Connection, Fault> {
    let access = match rights {
        Rights::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Rights::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let prepared = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        // "name" is always a name: a misspelt column must not turn into a text.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        connection.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        connection.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES_MAX)?;
        // Sorting must not spill records to a temporary file in the clear.
        connection.pragma_update(None, "temp_store", "memory")?;
        match rights {
            Rights::Read => connection.pragma_update(None, "query_only", true)?,
            Rights::Write => connection.pragma_update(None, "foreign_keys", true)?,
        }
        connection.authorizer(Some(move |act: AuthContext<'_>| authorise(&act, rights)));
        Ok(connection)
    });
    prepared.map_err(|error| fault(&error))
}

/// What a statement may do. A closed list: what is not on it is refused.
fn authorise(act: &AuthContext<'_>, rights: Rights) -> Authorization {
    let allowed = match act.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Recursive
        | AuthAction::Transaction { .. } => true,
        AuthAction::Function { function_name } => {
            !function_name.eq_ignore_ascii_case("load_extension")
                && !function_name.eq_ignore_ascii_case("fts3_tokenizer")
        }
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name } => {
            rights == Rights::Write && !table_name.starts_with("sqlite_")
        }
        _ => false,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}

fn read(
    connection: &Connection,
    plan: &QueryPlan,
    deadline: Deadline,
    gone: Arc<AtomicBool>,
) -> Result<Rows, Fault> {
    let wrapped = wrap(plan, Dialect::Sqlite)?;
    deadline.watch(connection, gone);
    // One transaction, so that the page and the count are of the same moment.
    let transaction = connection.unchecked_transaction().map_err(|error| deadline.fault(&error))?;
    let mut rows = collect(&transaction, &wrapped.rows, plan, deadline)?;
    if let (Some(count), Some(view)) = (&wrapped.count, &plan.view) {
        let found: i64 = transaction
            .query_row(&count.sql, params_from_iter(count.values.iter().map(Bound)), |row| {
                row.get(0)
            })
            .map_err(|error| deadline.fault(&error))?;
        rows.total = total(found, view.count_max);
    }
    Ok(rows)
}

/// A count that stopped one beyond its limit only says "more than".
pub(crate) fn total(found: i64, count_max: u32) -> Total {
    let found = u64::try_from(found).unwrap_or(0);
    if found > u64::from(count_max) {
        Total::MoreThan(count_max.into())
    } else {
        Total::Exact(found)
    }
}

fn collect(
    connection: &Connection,
    statement: &Statement,
    plan: &QueryPlan,
    deadline: Deadline,
) -> Result<Rows, Fault> {
    let failed = |error: rusqlite::Error| deadline.fault(&error);
    // A tool asks the same statements all day; its values are cleared when it goes back.
    let mut prepared =
        connection.prepare_cached(&statement.sql).map_err(|error| deadline.unprepared(&error))?;
    if !prepared.readonly() || prepared.column_count() == 0 {
        return Err(Fault::Statement { problem: "it does not read rows".to_owned() });
    }
    let columns: Vec<String> = prepared.column_names().into_iter().map(str::to_owned).collect();
    let mut answer = crate::registry::Answer::new(columns, plan)?;
    let values = params_from_iter(statement.values.iter().map(Bound));
    let mut rows = prepared.query(values).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let mut record = Vec::with_capacity(answer.width());
        for position in 0..answer.width() {
            record.push(value(row.get_ref(position).map_err(failed)?)?);
        }
        answer.push(record)?;
    }
    Ok(answer.finish())
}

fn write(
    connection: &mut Connection,
    plan: &QueryPlan,
    deadline: Deadline,
) -> Result<Outcome, Fault> {
    let failed = |error: rusqlite::Error| deadline.fault(&error);
    if plan.view.is_some() {
        return Err(Fault::Statement { problem: "a write has no pages".to_owned() });
    }
    let statement = wrap(plan, Dialect::Sqlite)?.rows;
    // A write is carried through.
    deadline.watch(connection, Arc::default());
    // A transaction that is dropped before its commit rolls back.
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(failed)?;
    let changed = {
        let prepared = transaction.prepare(&statement.sql);
        let mut prepared = prepared.map_err(|error| deadline.unprepared(&error))?;
        if prepared.readonly() || prepared.column_count() > 0 {
            let problem = "it does not change rows, or gives rows back".to_owned();
            return Err(Fault::Statement { problem });
        }
        prepared.execute(params_from_iter(statement.values.iter().map(Bound))).map_err(failed)?
    };
    let changed = u64::try_from(changed).unwrap_or(u64::MAX);
    if let Some(expected) = plan.expect_rows.filter(|expected| *expected != changed) {
        transaction.rollback().map_err(failed)?;
        return Err(Fault::UnexpectedRows { expected, changed });
    }
    commit(transaction, deadline)?;
    Ok(Outcome { rows_changed: changed })
}

/// A commit that failed in the transaction left everything as it was. If the transaction is over all the same,
/// the disk failed on the way, and what is in the file shows at the next opening.
fn commit(transaction: rusqlite::Transaction<'_>, deadline: Deadline) -> Result<(), Fault> {
    let Err(error) = transaction.execute_batch("commit") else { return Ok(()) };
    let fault = deadline.fault(&error);
    if transaction.is_autocommit() {
        return Err(Fault::Uncertain { source: Some(Box::new(fault)) });
    }
    transaction.rollback().map_err(|error| deadline.fault(&error))?;
    Err(fault)
}

struct Bound<'a>(&'a Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        let value = match self.0 {
            Value::Null => ValueRef::Null,
            Value::Bool(truth) => ValueRef::Integer(i64::from(*truth)),
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        };
        Ok(rusqlite::types::ToSqlOutput::Borrowed(value))
    }
}

fn value(value: ValueRef<'_>) -> Result<Value, Fault> {
    let problem = |problem: &str| Fault::Shape { problem: problem.to_owned() };
    match value {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(number) => Ok(Value::Int(number)),
        ValueRef::Real(number) => Ok(Value::Real(number)),
        ValueRef::Text(text) => std::str::from_utf8(text)
            .map(|text| Value::Text(text.to_owned()))
            .map_err(|_| problem("a text is not UTF-8")),
        ValueRef::Blob(_) => Err(problem("a column holds bytes; read documents as evidence")),
    }
}

/// Of a statement that is being prepared SQLite's message names tables, columns and the statement's own words, and
/// no value: those are bound later.
fn unprepared(error: &rusqlite::Error) -> Fault {
    match error {
        rusqlite::Error::SqliteFailure(code, Some(message)) => {
            Fault::Database { code: code.extended_code.to_string(), message: Some(message.clone()) }
        }
        other => fault(other),
    }
}

/// While it runs the message may repeat a value: a trigger's `raise`, malformed JSON, a full-text query. The code
/// alone is passed on, in SQLite's own words for it.
fn fault(error: &rusqlite::Error) -> Fault {
    match error {
        rusqlite::Error::SqliteFailure(code, _) => Fault::Database {
            code: code.extended_code.to_string(),
            message: Some(rusqlite::ffi::code_to_str(code.extended_code).to_owned()),
        },
        rusqlite::Error::SqlInputError { error, msg, .. } => {
            Fault::Database { code: error.extended_code.to_string(), message: Some(msg.clone()) }
        }
        rusqlite::Error::MultipleStatement => {
            Fault::Statement { problem: "it holds more than one statement".to_owned() }
        }
        _ => Fault::Database { code: "rusqlite".to_owned(), message: None },
    }
}
