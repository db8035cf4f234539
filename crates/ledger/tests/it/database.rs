//! A PostgreSQL server for the stories, and ways to disturb what goes to it.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use keys::{FixedClock, SystemRandom};
use ledger::testing::settings;
use ledger::{
    Database, Dial, Dialling, Ledger, LedgerKeys, Login, ObjectStorage, OpenError, Settings,
    Verified, VerifyOptions, Waits,
};
use tempfile::TempDir;
use testkit::Postgres;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::both::{Held, Home};

pub(crate) const PASSWORD: &str = "open-sesame";

/// A server with as many databases as are asked for. It ends with the test.
pub(crate) struct Server {
    // The server is dropped within its runtime, and so before it.
    postgres: Mutex<Postgres>,
    runtime: Runtime,
    folder: TempDir,
}

impl Server {
    /// `None` where there is no PostgreSQL.
    pub(crate) fn start() -> Option<Self> {
        // On a thread of its own the server's output is always read.
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let (folder, temporary) = (tempfile::tempdir().unwrap(), std::env::temp_dir());
        let started = Postgres::start_durable(&temporary, PASSWORD);
        let postgres = Mutex::new(runtime.block_on(started).unwrap()?);
        Some(Self { postgres, runtime, folder })
    }

    pub(crate) fn crash_and_start(&self) {
        let mut postgres = self.postgres.lock().unwrap();
        self.runtime.block_on(postgres.crash_and_start()).unwrap();
    }

    fn socket(&self) -> PathBuf {
        self.postgres.lock().unwrap().socket()
    }

    fn client(&self, database: &str) -> Client {
        client_at(&self.runtime, &self.socket(), database)
    }

    /// Runs SQL, a statement at a time, and gives the first column of the last answer.
    pub(crate) fn sql(&self, database: &str, statements: &[&str]) -> Vec<String> {
        sql_at(&self.runtime, &self.socket(), database, statements)
    }

    /// A fresh database.
    pub(crate) fn base(&self, name: &str) -> Base<'_> {
        self.sql("postgres", &[&format!("create database {name}")]);
        Base { server: self, name: name.to_owned(), objects: None }
    }

    /// A copy of a database to which nobody needs to be connected.
    pub(crate) fn copy(&self, of: &str, name: &str) -> Base<'_> {
        let end = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = ";
        let make = format!("create database {name} template {of}");
        self.sql("postgres", &[&format!("{end} '{of}'"), &make]);
        Base { server: self, name: name.to_owned(), objects: None }
    }
}

fn client_at(runtime: &Runtime, socket: &Path, database: &str) -> Client {
    runtime.block_on(async {
        let stream = UnixStream::connect(socket).await.unwrap();
        let mut config = Config::new();
        config.user("postgres").password(PASSWORD).dbname(database);
        let (client, connection) = config.connect_raw(stream, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    })
}

/// As [`Server::sql`], of the server at a socket.
pub(crate) fn sql_at(
    runtime: &Runtime,
    socket: &Path,
    database: &str,
    statements: &[&str],
) -> Vec<String> {
    let client = client_at(runtime, socket, database);
    let mut last = Vec::new();
    for sql in statements {
        let answer = runtime.block_on(client.simple_query(sql)).unwrap();
        let rows = answer.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        last = rows.collect();
    }
    last
}

/// Exports the ledger that is reached so to a folder.
pub(crate) fn export(dial: Arc<dyn Dial>, to: &Path) -> Result<u64, OpenError> {
    export_of(database(dial), to)
}

fn export_of(database: Database, to: &Path) -> Result<u64, OpenError> {
    let (settings, keys) = (settings(to), ledger::testing::keys());
    let (clock, random) = (crate::common::clock(), Arc::new(SystemRandom) as Arc<dyn keys::Random>);
    let with = (clock.as_ref() as &dyn keys::Clock, &random);
    ledger::export_folder(database, &settings, &keys, with, &mut |_, _| {})
}

/// One database, and the folders of the processes that have a ledger in it.
pub(crate) struct Base<'a> {
    server: &'a Server,
    pub(crate) name: String,
    /// The object store that belongs to it.
    pub(crate) objects: Option<ObjectStorage>,
}

/// Short, but longer than anything here should take.
pub(crate) fn waits() -> Waits {
    Waits {
        statement: Duration::from_secs(20),
        idle: Duration::from_secs(1),
        look: Duration::from_millis(20),
    }
}

/// Everything of a ledger's database but an object store.
fn database(dial: Arc<dyn Dial>) -> Database {
    Database { waits: waits(), ..Database::new(dial) }
}

/// The way to a database at a socket.
pub(crate) fn dial_to(socket: &Path, database: &str) -> Arc<Disturbed> {
    let (socket, database) = (socket.to_owned(), database.to_owned());
    Arc::new(Disturbed { socket, database, what: Arc::default() })
}

/// Opens the ledger as the process that has this folder.
pub(crate) fn open_at(
    dial: Arc<dyn Dial>,
    folder: &Path,
    clock: &Arc<FixedClock>,
) -> Result<Ledger, OpenError> {
    let (keys, clock, random) =
        (ledger::testing::keys(), Arc::clone(clock), Arc::new(SystemRandom));
    Ledger::open_shared(database(dial), settings(folder), keys, clock, random)
}

impl Base<'_> {
    pub(crate) fn dial(&self) -> Arc<Disturbed> {
        dial_to(&self.server.socket(), &self.name)
    }

    /// The folder of one process.
    pub(crate) fn folder(&self, process: &str) -> PathBuf {
        self.server.folder.path().join(&self.name).join(process)
    }

    /// Opens the ledger as one of the processes that share it.
    pub(crate) fn open_as(
        &self,
        process: &str,
        dial: Arc<dyn Dial>,
        clock: &Arc<FixedClock>,
    ) -> Result<Ledger, OpenError> {
        let (settings, keys) = (settings(&self.folder(process)), ledger::testing::keys());
        let (clock, random) = (Arc::clone(clock), Arc::new(SystemRandom));
        Ledger::open_shared(self.database(dial), settings, keys, clock, random)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.server.socket()
    }

    pub(crate) fn database(&self, dial: Arc<dyn Dial>) -> Database {
        Database { objects: self.objects.clone(), ..database(dial) }
    }

    /// As [`Self::open_as`], and does nothing that it is not asked for.
    pub(crate) fn open_quiet(&self, dial: Arc<dyn Dial>, clock: &Arc<FixedClock>) -> Ledger {
        self.open_quiet_as("quiet", dial, clock, &|_| {})
    }

    /// As [`Self::open_quiet`], as one of several.
    pub(crate) fn open_quiet_as(
        &self,
        process: &str,
        dial: Arc<dyn Dial>,
        clock: &Arc<FixedClock>,
        change: &dyn Fn(&mut Settings),
    ) -> Ledger {
        let hour = Duration::from_secs(3600);
        let mut settings = Settings { checkpoint_wait: hour, ..settings(&self.folder(process)) };
        change(&mut settings);
        let (database, keys) = (self.database(dial), ledger::testing::keys());
        let database = Database { waits: Waits { look: hour, ..waits() }, ..database };
        let (clock, random) = (Arc::clone(clock), Arc::new(SystemRandom));
        Ledger::open_shared(database, settings, keys, clock, random).unwrap()
    }

    pub(crate) fn sql(&self, statements: &[&str]) -> Vec<String> {
        self.server.sql(&self.name, statements)
    }

    /// A connection in which this was run, for as long as it is kept.
    pub(crate) fn hold(&self, sql: &str) -> Client {
        let client = self.server.client(&self.name);
        self.server.runtime.block_on(client.batch_execute(sql)).unwrap();
        client
    }

    /// Exports it to a folder.
    pub(crate) fn export(&self, to: &str) -> Result<u64, OpenError> {
        export_of(self.database(self.dial()), &self.folder(to))
    }

    /// Imports a folder.
    pub(crate) fn import(&self, dial: Arc<dyn Dial>, from: &Path) -> Result<u64, OpenError> {
        let random: Arc<dyn keys::Random> = Arc::new(SystemRandom);
        let clock = crate::common::clock();
        let with = (clock.as_ref() as &dyn keys::Clock, &random);
        let (settings, keys) = (settings(from), ledger::testing::keys());
        ledger::import_folder(self.database(dial), &settings, &keys, with, &mut |_, _| {})
    }

    /// Exports it, and verifies that it has so many entries.
    pub(crate) fn exported(&self, to: &str, size: u64) -> Verified {
        assert_eq!(self.export(to).unwrap(), size);
        let options = VerifyOptions { expect_size: Some(size), ..VerifyOptions::default() };
        ledger::verify(&self.folder(to), options).unwrap()
    }
}

impl Home for Base<'_> {
    fn open_with(
        &self,
        clock: &Arc<FixedClock>,
        change: &dyn Fn(&mut Settings),
        keys: LedgerKeys,
    ) -> Result<Ledger, OpenError> {
        let mut settings = settings(&self.folder("one"));
        change(&mut settings);
        let (clock, random) = (Arc::clone(clock), Arc::new(SystemRandom));
        Ledger::open_shared(self.database(self.dial()), settings, keys, clock, random)
    }

    fn block(&self) -> Box<dyn Held + '_> {
        Box::new(self.hold("begin; select from bailiwick_ledger.head for update"))
    }

    fn first_place(&self) -> (&'static str, u64) {
        ("frames/0", 210)
    }

    fn verify(&self, ledger: Ledger, size: u64) -> Verified {
        ledger.close().unwrap();
        self.exported(&format!("exported-{size}"), size)
    }
}

/// What happens to the bytes between a process and the database.
#[derive(Default)]
pub(crate) struct Disturbance {
    /// So many writes are let through before the connection is cut; negative: all.
    writes: Mutex<Option<i64>>,
    /// So many reads that gave something.
    reads: Mutex<Option<i64>>,
    /// A write that has this in it stands still.
    stall: Mutex<Option<&'static [u8]>>,
    /// After a write that has this in it, nothing is read any more.
    deaf: Mutex<Option<&'static [u8]>>,
    pub(crate) stalled: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
    cuts: AtomicI64,
    /// What is cut is cut once.
    once: AtomicBool,
}

impl Disturbance {
    pub(crate) fn cut_after_writes(&self, count: i64) {
        *self.writes.lock().unwrap() = Some(count);
    }

    pub(crate) fn cut_after_reads(&self, count: i64) {
        *self.reads.lock().unwrap() = Some(count);
    }

    /// As [`Self::cut_after_writes`], and then lets everything through again.
    pub(crate) fn cut_once_after_writes(&self, count: i64) {
        self.once.store(true, Ordering::SeqCst);
        self.cut_after_writes(count);
    }

    /// As [`Self::cut_after_reads`], and then lets everything through again.
    pub(crate) fn cut_once_after_reads(&self, count: i64) {
        self.once.store(true, Ordering::SeqCst);
        self.cut_after_reads(count);
    }

    pub(crate) fn stall_at(&self, what: &'static [u8]) {
        *self.stall.lock().unwrap() = Some(what);
    }

    pub(crate) fn deaf_after(&self, what: &'static [u8]) {
        *self.deaf.lock().unwrap() = Some(what);
    }

    /// Lets everything through from now on; tells how often something was cut.
    pub(crate) fn calm(&self) -> i64 {
        *self.writes.lock().unwrap() = None;
        *self.reads.lock().unwrap() = None;
        *self.stall.lock().unwrap() = None;
        *self.deaf.lock().unwrap() = None;
        self.stalled.store(false, Ordering::SeqCst);
        for waker in self.wakers.lock().unwrap().drain(..) {
            waker.wake();
        }
        self.cuts.swap(0, Ordering::SeqCst)
    }

    /// Whether one more may pass.
    fn pass(&self, left: &Mutex<Option<i64>>) -> bool {
        let mut left = left.lock().unwrap();
        let Some(count) = left.as_mut() else { return true };
        *count -= 1;
        let pass = *count >= 0;
        if !pass {
            self.cuts.fetch_add(1, Ordering::SeqCst);
        }
        if !pass && self.once.swap(false, Ordering::SeqCst) {
            *left = None;
        }
        pass
    }
}

/// Reaches the database by its socket, through a disturbance.
pub(crate) struct Disturbed {
    socket: PathBuf,
    database: String,
    pub(crate) what: Arc<Disturbance>,
}

impl Dial for Disturbed {
    fn dial(&self) -> Dialling<'_> {
        Box::pin(async move {
            let stream = UnixStream::connect(&self.socket).await?;
            let wire: Box<dyn ledger::Stream> =
                Box::new(Wire { stream, what: Arc::clone(&self.what) });
            let (user, password) = ("postgres".to_owned(), PASSWORD.to_owned());
            Ok((wire, Login { user, password, database: self.database.clone() }))
        })
    }
}

struct Wire {
    stream: UnixStream,
    what: Arc<Disturbance>,
}

fn cut<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        match read {
            Poll::Ready(Ok(())) if !self.what.pass(&self.what.reads) => cut(),
            read => read,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let has = |what: &Mutex<Option<&[u8]>>| {
            let what = *what.lock().unwrap();
            what.is_some_and(|what| bytes.windows(what.len()).any(|it| it == what))
        };
        if has(&self.what.stall) {
            self.what.stalled.store(true, Ordering::SeqCst);
            self.what.wakers.lock().unwrap().push(context.waker().clone());
            return Poll::Pending;
        }
        if !self.what.pass(&self.what.writes) {
            return cut();
        }
        if has(&self.what.deaf) {
            self.what.cut_after_reads(0);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
