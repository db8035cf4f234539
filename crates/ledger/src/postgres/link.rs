//! Connections to the database, and the thread that speaks on them for callers that wait.
//!
//! Invariants: the room opens no connection; what is dialled comes from the caller. A connection
//! is used only after the database was seen to keep what it confirms. Every wait has an end, here
//! and at the server: a connection whose owner stands still loses its locks and its transaction.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

use super::fault::DatabaseError;
use super::objects::ObjectStorage;

/// A stream to the database: secured already, where it leaves the machine.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// As whom to sign in, and to which database.
#[derive(Clone)]
pub struct Login {
    pub user: String,
    pub password: String,
    pub database: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({} at {})", self.user, self.database)
    }
}

/// A stream on its way.
pub type Dialling<'a> =
    Pin<Box<dyn Future<Output = io::Result<(Box<dyn Stream>, Login)>> + Send + 'a>>;

/// Reaches the database, each time anew.
pub trait Dial: Send + Sync {
    fn dial(&self) -> Dialling<'_>;
}

/// The database that has a ledger, and what belongs to it.
#[derive(Clone)]
pub struct Database {
    pub dial: Arc<dyn Dial>,
    pub waits: Waits,
    /// The size that the database may have; `None` watches none.
    pub bytes_max: Option<u64>,
    /// Where closed ranges of the ledger go; `None` keeps everything in the database.
    pub objects: Option<ObjectStorage>,
}

impl Database {
    /// One that keeps everything itself.
    pub fn new(dial: Arc<dyn Dial>) -> Self {
        Self { dial, waits: Waits::default(), bytes_max: None, objects: None }
    }
}

/// How long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// For others' batches before one's own, and for any other statement; the least is 1 s.
    pub statement: Duration,
    /// How long a process that stands still in the middle of a batch may keep others waiting;
    /// the least is 1 s. Its batch is not recorded then, whenever it goes on.
    pub idle: Duration,
    /// How often it is looked for what other processes recorded.
    pub look: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            statement: Duration::from_secs(15),
            idle: Duration::from_secs(5),
            look: Duration::from_millis(200),
        }
    }
}

/// What the server may take beyond its own time-outs before the connection is given up.
const GRACE: Duration = Duration::from_secs(2);

/// The thread on which connections live.
pub(super) struct Hands(Option<Runtime>);

impl Hands {
    pub(super) fn new() -> Result<Self, DatabaseError> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("ledger-db").enable_all().build();
        Ok(Self(Some(runtime.map_err(DatabaseError::Thread)?)))
    }

    /// Does some work there and waits for it, at most for so long. May be called anywhere.
    pub(super) fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        wait_max: Duration,
        work: impl Future<Output = Result<T, DatabaseError>> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let stopped =
            || DatabaseError::Lost { doing, source: "the thread has ended".to_owned().into() };
        let (sender, receiver) = mpsc::sync_channel(1);
        let Some(runtime) = &self.0 else { return Err(stopped()) };
        runtime.spawn(async move {
            let done = tokio::time::timeout(wait_max, work).await;
            let late = DatabaseError::TimedOut { doing, after: wait_max };
            if sender.send(done.unwrap_or(Err(late))).is_err() {
                tracing::debug!("nobody waits for the database's answer any more");
            }
        });
        receiver.recv().unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for Hands {
    /// Without waiting: it may be dropped on a thread that must not wait.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// One connection. Dropping it ends it at once, with whatever transaction it was in.
pub(super) struct Link {
    pub(super) client: Client,
    task: AbortHandle,
}

impl Link {
    /// Ends the connection at once.
    pub(super) fn end(&self) {
        self.task.abort();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end();
    }
}

/// Everything that connections are made from.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) dial: Arc<dyn Dial>,
    pub(super) waits: Waits,
}

impl Address {
    /// The longest wait for one answer.
    pub(super) fn wait_max(&self) -> Duration {
        self.waits.statement + self.waits.idle + GRACE
    }

    /// How long anything may keep others waiting.
    pub(super) fn idle_ms(&self) -> u128 {
        ms(self.waits.idle)
    }

    /// Opens a connection, and sees whether the database keeps what it confirms.
    pub(super) async fn connect(&self) -> Result<Link, DatabaseError> {
        let (stream, login) = self.dial.dial().await.map_err(DatabaseError::Dial)?;
        let mut config = Config::new();
        let (statement, idle) = (ms(self.waits.statement + self.waits.idle), self.idle_ms());
        let options = format!(
            "-c standard_conforming_strings=on -c default_transaction_isolation=read\\ committed \
             -c default_transaction_read_only=off -c statement_timeout={statement} \
             -c lock_timeout={statement} -c idle_in_transaction_session_timeout={idle}"
        );
        config.user(&login.user).password(&login.password).dbname(&login.database);
        config.application_name("bailiwick ledger").options(&options).ssl_mode(SslMode::Disable);
        let doing = "sign in";
        let connected = config.connect_raw(stream, NoTls).await;
        let (client, connection) = connected.map_err(|it| DatabaseError::of(doing, it))?;
        let task = tokio::spawn(async move {
            if connection.await.is_err() {
                tracing::debug!("a connection to the ledger's database ended");
            }
        });
        let link = Link { client, task: task.abort_handle() };
        link.check_durable().await?;
        Ok(link)
    }
}

/// For the server, to which zero would mean for ever.
fn ms(wait: Duration) -> u128 {
    wait.as_millis().max(1000)
}

/// What must be so for a commit to mean that it is kept.
const DURABLE: &[(&str, &[&str], &str)] = &[
    ("fsync", &["on"], "on"),
    ("full_page_writes", &["on"], "on"),
    ("synchronous_commit", &["on", "remote_apply"], "on"),
];

impl Link {
    async fn check_durable(&self) -> Result<(), DatabaseError> {
        let doing = "tell its settings";
        let of = |error| DatabaseError::of(doing, error);
        // Fixed for this connection: a change at the server must not reach it half way.
        let sql = "select pg_is_in_recovery(), current_setting('fsync'), \
                   current_setting('full_page_writes'), \
                   set_config('synchronous_commit', current_setting('synchronous_commit'), false)";
        let row = self.client.query_one(sql, &[]).await.map_err(of)?;
        if row.try_get(0).map_err(of)? {
            return Err(DatabaseError::Standby);
        }
        for (at, (setting, good, needed)) in (1..).zip(DURABLE) {
            let value: String = row.try_get::<usize, String>(at).map_err(of)?;
            if !good.contains(&value.as_str()) {
                return Err(DatabaseError::Setting { setting, value, needed });
            }
        }
        Ok(())
    }
}
