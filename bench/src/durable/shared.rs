//! The ledger as processes share it: in PostgreSQL, with its production settings, on the same disk. Beside it, plain
//! COPY into the same server in batches of the same size.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use keys::{SystemClock, SystemRandom};
use ledger::{Database, Dial, Dialling, Ledger, Login, Settings};
use testkit::Postgres;
use tokio::net::UnixStream;
use tokio_postgres::Client;

use super::ours::write;
use super::peers::{PASSWORD, Peer, connect};
use super::{Run, Side, number};
use crate::cpu;

/// The ledger in a database, and what it is held against.
pub(crate) struct Shared {
    ledger: Ledger,
    acknowledged: Arc<AtomicU64>,
    /// Looks at the tables.
    client: Client,
    server: Rc<Postgres>,
    pub(crate) copy: Peer,
}

/// By its socket: TLS would cost both sides the same, and is not what is measured.
struct Socket(PathBuf);

impl Dial for Socket {
    fn dial(&self) -> Dialling<'_> {
        Box::pin(async move {
            let stream: Box<dyn ledger::Stream> = Box::new(UnixStream::connect(&self.0).await?);
            let (user, password) = ("postgres".to_owned(), PASSWORD.to_owned());
            Ok((stream, Login { user, password, database: "postgres".to_owned() }))
        })
    }
}

impl Shared {
    /// With a server of its own; `None` where there is no PostgreSQL.
    pub(crate) async fn open(folder: &Path, record: &str) -> anyhow::Result<Option<Self>> {
        let Some(server) = Postgres::start_durable(folder, PASSWORD).await? else {
            return Ok(None);
        };
        let server = Rc::new(server);
        let (client, copy) = (connect(&server).await?, Peer::copy(&server, record).await?);
        let own = folder.join("shared");
        std::fs::create_dir_all(&own)?;
        let settings = Settings::new(&own, "bench.example/shared", "NB0010100");
        let dial = Arc::new(Socket(server.socket()));
        let keys = ledger::testing::keys();
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let open = move || Ledger::open_shared(Database::new(dial), settings, keys, clock, random);
        let ledger = tokio::task::spawn_blocking(open).await?;
        let ledger = ledger.context("opening the ledger in PostgreSQL")?;
        Ok(Some(Self { ledger, acknowledged: Arc::default(), client, server, copy }))
    }

    async fn frames(&self) -> anyhow::Result<u64> {
        let sql = "select count(*) from bailiwick_ledger.frames";
        let count: i64 = self.client.query_one(sql, &[]).await?.try_get(0)?;
        Ok(u64::try_from(count)?)
    }

    /// So many writers, each with one append under way, for so long.
    pub(crate) async fn run(&self, writers: usize, length: Duration) -> anyhow::Result<Run> {
        let before = self.frames().await?;
        let cpu = cpu::Before::now(self.server.id())?;
        let begun = Instant::now();
        let writer = |nth: usize| {
            let (ledger, acknowledged) = (self.ledger.clone(), Arc::clone(&self.acknowledged));
            tokio::spawn(write(ledger, acknowledged, nth as u64, begun + length))
        };
        let tasks: Vec<_> = (0..writers).map(writer).collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.context("a writer's task")??);
        }
        let (length, used) = (begun.elapsed(), cpu.used()?);
        let (entries, commits) = (times.len() as u64, self.frames().await? - before);
        anyhow::ensure!(entries > 0, "no append came back in {length:?}");
        Ok(Run {
            side: Side::Shared,
            times,
            entries,
            length,
            syncs: None,
            bytes: None,
            cpu: used.own + used.server.unwrap_or_default(),
            foreign: used.foreign,
            batch: (number(entries) / number(commits.max(1))).max(1.0),
        })
    }

    /// Everything that was acknowledged is there, and all of it verifies.
    pub(crate) async fn check(&mut self) -> anyhow::Result<()> {
        self.copy.check().await?;
        let ledger = self.ledger.clone();
        let verified = tokio::task::spawn_blocking(move || ledger.verify()).await?;
        let verified = verified.context("the ledger was closed")?;
        verified.result.context("the ledger in PostgreSQL")?;
        let (size, expected) = (self.ledger.size(), self.acknowledged.load(Ordering::Relaxed));
        anyhow::ensure!(size == expected, "{size} entries, yet {expected} were acknowledged");
        Ok(())
    }

    /// Closes it, away from the threads of the runtime.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        let Self { ledger, .. } = self;
        tokio::task::spawn_blocking(move || ledger.close()).await??;
        Ok(())
    }
}
