//! PostgreSQL, over TLS that `wire` opens with a verified certificate.
//!
//! Invariant: a read runs in a READ ONLY transaction, a write in one that commits only if the
//! expected number of rows changed; both with the database's own time-out, under a role that is no
//! superuser, and with `bailiwick.actor`, `bailiwick.agency` and `bailiwick.purpose` set for the
//! transaction, so that the agency's row-level security can speak of the person who asks. A server
//! that doesn't speak TLS is not spoken to.

mod bind;
mod cell;
mod connect;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use gate::{Outcome, QueryPlan, Rows};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::CancelToken;
use tokio_postgres::error::SqlState;
use wire::Egress;
use wire::tls::ClientTls;

use self::bind::Bound;
use self::cell::Cell;
use self::connect::{Address, Link};
use crate::error::Fault;
use crate::registry::Answer;
use crate::scan::Dialect;
use crate::sqlite::total;
use crate::wrap::{Statement, wrap};

/// Connections that are open at once.
const LINKS_MAX: usize = 8;
/// What a statement may take beyond its own time-out before the connection is given up.
const GRACE: Duration = Duration::from_millis(500);
/// How long the server may take to hear that a statement is of no more use.
const CANCEL_WAIT_MAX: Duration = Duration::from_secs(5);

/// A database and a few connections to it.
pub(crate) struct Postgres(Arc<Inner>);

struct Inner {
    address: Address,
    seats: Semaphore,
    idle: Mutex<Vec<Link>>,
}

/// Who asks, as the database may know it.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) actor: String,
    pub(crate) agency: String,
    pub(crate) purpose: String,
}

impl Postgres {
    /// Takes the declaration; connects when first asked.
    pub(crate) fn open(
        host: &str,
        port: u16,
        database: &str,
        user: &str,
        password_file: &Path,
        tls: ClientTls,
        egress: Egress,
    ) -> Result<Self, Fault> {
        let address = Address {
            host: host.to_owned(),
            port,
            database: database.to_owned(),
            user: user.to_owned(),
            password_file: password_file.to_owned(),
            tls,
            egress,
        };
        // Read again at each connection, so that it can be changed; looked at now, so that a wrong
        // path is known at the start.
        address.password()?;
        let (seats, idle) = (Semaphore::new(LINKS_MAX), Mutex::new(Vec::new()));
        Ok(Self(Arc::new(Inner { address, seats, idle })))
    }

    pub(crate) async fn check(&self) -> Result<(), Fault> {
        let wait_max = Duration::from_secs(5);
        let work = async {
            let link = self.0.take(wait_max).await?;
            link.client.batch_execute("select 1").await.map_err(|error| fault(&error, wait_max))?;
            self.0.give(link);
            Ok(())
        };
        within(wait_max, work).await
    }

    /// Runs a read within its limits.
    pub(crate) async fn read(&self, plan: &QueryPlan, session: &Session) -> Result<Rows, Fault> {
        let wait_max = plan.limits.wait_max;
        within(wait_max, Arc::clone(&self.0).read(plan, session)).await
    }

    /// Runs a write in a transaction. It is carried through even if the caller goes away.
    pub(crate) async fn write(
        &self,
        plan: &QueryPlan,
        session: &Session,
    ) -> Result<Outcome, Fault> {
        let (inner, plan, session) = (Arc::clone(&self.0), plan.clone(), session.clone());
        let work = async move {
            let (wait_max, started) = (plan.limits.wait_max, Instant::now());
            // Given up before the commit, the link closes and the database rolls back.
            let (link, _seat, outcome) = within(wait_max, inner.change(&plan, &session)).await?;
            let left = wait_max.saturating_sub(started.elapsed());
            let committed = within(left, async { Ok(link.client.batch_execute("commit").await) });
            match committed.await {
                Ok(Ok(())) => {
                    inner.give(link);
                    Ok(outcome)
                }
                Ok(Err(error)) if was_refused(&error) => Err(fault(&error, wait_max)),
                Ok(Err(error)) => Err(uncertain(fault(&error, wait_max))),
                Err(late) => Err(uncertain(late)),
            }
        };
        tokio::spawn(work).await.unwrap_or_else(|_| Err(uncertain(Fault::Stopped)))
    }
}

async fn within<T>(
    wait_max: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(wait_max.saturating_add(GRACE), work).await {
        Ok(done) => done,
        Err(_) => Err(Fault::TimedOut { after: wait_max }),
    }
}

impl Inner {
    async fn take(&self, wait_max: Duration) -> Result<Link, Fault> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(link) if link.client.is_closed() => (),
                Some(link) => return Ok(link),
                None => return self.address.connect(wait_max).await,
            }
        }
    }

    /// Only links that are between transactions come back; others are dropped, which closes them.
    fn give(&self, link: Link) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(link);
    }

    async fn read(self: Arc<Self>, plan: &QueryPlan, session: &Session) -> Result<Rows, Fault> {
        let wrapped = wrap(plan, Dialect::Postgres)?;
        let wait_max = plan.limits.wait_max;
        let started = Instant::now();
        let _seat = self.seats.acquire().await.map_err(|_| Fault::Stopped)?;
        let mut link = self.take(wait_max).await?;
        let left = wait_max.saturating_sub(started.elapsed());
        let token = Some(link.client.cancel_token());
        let mut running = Running { inner: Arc::clone(&self), token };
        link.begin("begin isolation level repeatable read, read only", session, left).await?;
        let answer = async {
            let mut rows = collect(&mut link, &wrapped.rows, plan).await?;
            if let (Some(count), Some(view)) = (&wrapped.count, &plan.view) {
                rows.total = total(counted(&mut link, count, wait_max).await?, view.count_max);
            }
            Ok(rows)
        };
        let answer = answer.await;
        // What is left of an answer that was too long is not worth waiting for.
        if let Err(Fault::TooManyRows { .. } | Fault::TooManyBytes { .. }) = &answer {
            return answer;
        }
        running.token = None;
        if link.client.batch_execute("rollback").await.is_ok() {
            self.give(link);
        }
        answer
    }

    /// Does it all but for the commit. On a link that is dropped it is undone.
    async fn change(
        &self,
        plan: &QueryPlan,
        session: &Session,
    ) -> Result<(Link, SemaphorePermit<'_>, Outcome), Fault> {
        if plan.view.is_some() {
            return Err(Fault::Statement { problem: "a write has no pages".to_owned() });
        }
        let statement = wrap(plan, Dialect::Postgres)?.rows;
        let wait_max = plan.limits.wait_max;
        let started = Instant::now();
        let seat = self.seats.acquire().await.map_err(|_| Fault::Stopped)?;
        let mut link = self.take(wait_max).await?;
        let left = wait_max.saturating_sub(started.elapsed());
        link.begin("begin read write", session, left).await?;
        match change(&mut link, &statement, plan).await {
            Ok(outcome) => Ok((link, seat, outcome)),
            Err(problem) => {
                // A link that can't roll back is dropped, and the database rolls back for it.
                if link.client.batch_execute("rollback").await.is_ok() {
                    self.give(link);
                }
                Err(problem)
            }
        }
    }
}

/// A read under way. A server notices only at the end of a statement that nobody waits for it any more, so
/// it is told when the read is dropped: the time was up, or the person's session ended.
struct Running {
    inner: Arc<Inner>,
    token: Option<CancelToken>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(token) = self.token.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let inner = Arc::clone(&self.inner);
        runtime.spawn(async move {
            // The statement has a time-out of its own, should this fail.
            if let Err(error) = inner.address.cancel(token, CANCEL_WAIT_MAX).await {
                tracing::warn!(%error, "a statement of no more use could not be stopped");
            }
        });
    }
}

async fn collect(link: &mut Link, statement: &Statement, plan: &QueryPlan) -> Result<Rows, Fault> {
    let failed = |error: tokio_postgres::Error| fault(&error, plan.limits.wait_max);
    let prepared = link.prepare(&statement.sql, plan.limits.wait_max).await?;
    if prepared.columns().is_empty() {
        return Err(Fault::Statement { problem: "it does not read rows".to_owned() });
    }
    let columns = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
    let mut answer = Answer::new(columns, plan)?;
    let rows = link.client.query_raw(&prepared, statement.values.iter().map(Bound));
    let rows = rows.await.map_err(failed)?;
    futures::pin_mut!(rows);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let mut record = Vec::with_capacity(answer.width());
        for (position, column) in prepared.columns().iter().enumerate() {
            let cell: Cell = row.try_get(position).map_err(|_| Fault::Shape {
                problem: format!(
                    "column `{}` is of type `{}`, which is not read; cast it to text",
                    column.name(),
                    column.type_().name()
                ),
            })?;
            record.push(cell.0);
        }
        answer.push(record)?;
    }
    Ok(answer.finish())
}

async fn counted(link: &mut Link, count: &Statement, wait_max: Duration) -> Result<i64, Fault> {
    let failed = |error: tokio_postgres::Error| fault(&error, wait_max);
    let prepared = link.prepare(&count.sql, wait_max).await?;
    let rows = link.client.query_raw(&prepared, count.values.iter().map(Bound));
    let rows = rows.await.map_err(failed)?;
    futures::pin_mut!(rows);
    let row = rows.try_next().await.map_err(failed)?;
    let count = row.map(|row| row.try_get::<_, i64>(0)).transpose().map_err(failed)?;
    count.ok_or_else(|| Fault::Shape { problem: "the count is missing".to_owned() })
}

async fn change(
    link: &mut Link,
    statement: &Statement,
    plan: &QueryPlan,
) -> Result<Outcome, Fault> {
    let prepared = link.prepare(&statement.sql, plan.limits.wait_max).await?;
    if !prepared.columns().is_empty() {
        let problem = "it does not change rows, or gives rows back".to_owned();
        return Err(Fault::Statement { problem });
    }
    let changed = link.client.execute_raw(&prepared, statement.values.iter().map(Bound)).await;
    let changed = changed.map_err(|error| fault(&error, plan.limits.wait_max))?;
    if let Some(expected) = plan.expect_rows.filter(|expected| *expected != changed) {
        return Err(Fault::UnexpectedRows { expected, changed });
    }
    Ok(Outcome { rows_changed: changed })
}

fn uncertain(fault: Fault) -> Fault {
    Fault::Uncertain { source: Some(Box::new(fault)) }
}

/// Whether the database said that it did not commit. Of a connection that broke (class 08), of an operator who
/// stopped it (57) and of an error of its own (58, XX, 40003) it does not know that, or says it too early.
fn was_refused(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code().map(SqlState::code) else { return false };
    code == SqlState::QUERY_CANCELED.code()
        || !(["08", "57", "58", "XX"].iter().any(|class| code.starts_with(class))
            || code == "40003")
}

/// Messages are passed on where they speak of names, rights, resources and connections; those about
/// data (classes 22 and 23) may repeat a value.
fn fault(error: &tokio_postgres::Error, wait_max: Duration) -> Fault {
    let Some(database) = error.as_db_error() else {
        // The library's own words: no server text, and no value.
        let problem = format!("the connection failed: {error}");
        return Fault::Connect { source: problem.into() };
    };
    if *database.code() == SqlState::QUERY_CANCELED {
        return Fault::TimedOut { after: wait_max };
    }
    let code = database.code().code();
    let is_safe = ["08", "0A", "25", "28", "42", "53", "57"].iter().any(|c| code.starts_with(c));
    let message = is_safe.then(|| database.message().to_owned());
    Fault::Database { code: code.to_owned(), message }
}
