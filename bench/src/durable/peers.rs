//! What else could keep the same records durably on the same disk: the disk itself, SQLite and PostgreSQL.
//!
//! Each keeps the record's bytes in batches of the size that the ledger just had, from one writer, durably
//! before the next; none of them seals, hashes or signs anything.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use futures::SinkExt as _;
use rusqlite::Connection;
use testkit::Postgres;
use tokio_postgres::{Client, NoTls};

use super::{Run, Side, number};
use crate::cpu;

/// More connections than this make PostgreSQL slower on few cores.
pub(crate) const INSERTERS_MAX: usize = 32;
const DISK_FILE_BYTES: u64 = 32 << 20;
pub(crate) const PASSWORD: &str = "open-sesame";
const COPY: &str = "copy entries (body) from stdin";

/// One side that is not the ledger.
pub(crate) struct Peer {
    kind: Kind,
    record: String,
    /// Acknowledged so far.
    entries: u64,
}

enum Kind {
    Disk { file: File, at: u64 },
    Sqlite(Connection),
    Copy { client: Client, server: std::rc::Rc<Postgres>, side: Side },
    Insert { clients: Vec<Client>, server: std::rc::Rc<Postgres> },
}

impl Peer {
    /// All that can run here, with their files in the folder.
    pub(crate) async fn all(folder: &Path, record: &str) -> anyhow::Result<Vec<Self>> {
        let mut kinds = vec![disk(&folder.join("disk"))?, sqlite(&folder.join("peer.db"))?];
        if let Some(server) = Postgres::start_durable(folder, PASSWORD).await? {
            let server = std::rc::Rc::new(server);
            let client = connect(&server).await?;
            // A table for each: an index costs the same for both.
            let table = "(number bigserial primary key, body text not null)";
            let tables = format!("create table entries {table}; create table singles {table}");
            client.batch_execute(&tables).await?;
            let mut clients = Vec::new();
            for _ in 0..INSERTERS_MAX {
                clients.push(connect(&server).await?);
            }
            let copying = std::rc::Rc::clone(&server);
            kinds.push(Kind::Copy { client, server: copying, side: Side::PostgresCopy });
            kinds.push(Kind::Insert { clients, server });
        }
        let peer = |kind| Self { kind, record: record.to_owned(), entries: 0 };
        Ok(kinds.into_iter().map(peer).collect())
    }

    /// COPY into a server that has the ledger too.
    pub(crate) async fn copy(server: &std::rc::Rc<Postgres>, record: &str) -> anyhow::Result<Self> {
        let client = connect(server).await?;
        let table = "create table entries (number bigserial primary key, body text not null)";
        client.batch_execute(table).await?;
        let (server, side) = (std::rc::Rc::clone(server), Side::CopyBesideShared);
        let kind = Kind::Copy { client, server, side };
        Ok(Self { kind, record: record.to_owned(), entries: 0 })
    }

    fn side(&self) -> Side {
        match &self.kind {
            Kind::Disk { .. } => Side::Disk,
            Kind::Sqlite(_) => Side::Sqlite,
            Kind::Copy { side, .. } => *side,
            Kind::Insert { .. } => Side::PostgresInsert,
        }
    }

    fn pid(&self) -> Option<u32> {
        match &self.kind {
            Kind::Disk { .. } | Kind::Sqlite(_) => None,
            Kind::Copy { server, .. } | Kind::Insert { server, .. } => server.id(),
        }
    }

    /// Batches of this size, or with INSERT as many connections as there were writers, for so long.
    pub(crate) async fn run(
        &mut self,
        batch: f64,
        writers: usize,
        length: Duration,
    ) -> anyhow::Result<Run> {
        let cpu = cpu::Before::now(self.pid())?;
        let begun = Instant::now();
        let (times, batch) = if let Kind::Insert { clients, .. } = &self.kind {
            (insert(clients, writers, &self.record, begun + length).await?, 1)
        } else {
            // Whole entries; the ledger's own mean lies between this and one less.
            let batch = (1..).find(|count| number(*count) >= batch).unwrap_or(1);
            let mut times = Vec::new();
            while begun.elapsed() < length {
                let before = Instant::now();
                self.commit(batch).await?;
                times.push(before.elapsed());
            }
            (times, batch)
        };
        let (length, used) = (begun.elapsed(), cpu.used()?);
        let commits = times.len() as u64;
        let entries = commits * batch;
        anyhow::ensure!(entries > 0, "{:?} kept nothing in {length:?}", self.side());
        self.entries += entries;
        let bytes = batch * self.record.len() as u64 * commits;
        let is_disk = self.side() == Side::Disk;
        Ok(Run {
            side: self.side(),
            times,
            entries,
            length,
            syncs: is_disk.then_some(commits),
            bytes: is_disk.then_some(bytes),
            cpu: used.own + used.server.unwrap_or_default(),
            foreign: used.foreign,
            batch: number(batch),
        })
    }

    async fn commit(&mut self, batch: u64) -> anyhow::Result<()> {
        let record = &self.record;
        match &mut self.kind {
            Kind::Disk { file, at } => {
                let bytes = record.repeat(usize::try_from(batch)?);
                if *at + bytes.len() as u64 > DISK_FILE_BYTES {
                    *at = 0;
                }
                file.write_all_at(bytes.as_bytes(), *at)?;
                file.sync_data()?;
                *at += bytes.len() as u64;
            }
            Kind::Sqlite(connection) => {
                let transaction = connection.transaction()?;
                {
                    let sql = "insert into entries (body) values (?)";
                    let mut insert = transaction.prepare_cached(sql)?;
                    for _ in 0..batch {
                        insert.execute([record])?;
                    }
                }
                transaction.commit()?;
            }
            Kind::Copy { client, .. } => {
                let rows = format!("{record}\n").repeat(usize::try_from(batch)?);
                let sink = client.copy_in::<_, Bytes>(COPY).await?;
                let mut sink = std::pin::pin!(sink);
                sink.send(Bytes::from(rows)).await?;
                let kept = sink.finish().await?;
                anyhow::ensure!(kept == batch, "COPY kept {kept} of {batch} rows");
            }
            Kind::Insert { .. } => anyhow::bail!("inserts are single"),
        }
        Ok(())
    }

    /// Everything that was acknowledged is there.
    pub(crate) async fn check(&mut self) -> anyhow::Result<()> {
        let found: i64 = match &self.kind {
            Kind::Disk { .. } => return Ok(()),
            Kind::Sqlite(connection) => {
                connection.query_row("select count(*) from entries", [], |row| row.get(0))?
            }
            Kind::Copy { client, .. } => count(client, "entries").await?,
            Kind::Insert { clients, .. } => {
                count(clients.first().context("a connection")?, "singles").await?
            }
        };
        let (side, entries) = (self.side(), self.entries);
        anyhow::ensure!(u64::try_from(found)? == entries, "{side:?}: {found} of {entries} rows");
        Ok(())
    }
}

async fn count(client: &Client, table: &str) -> anyhow::Result<i64> {
    Ok(client.query_one(&format!("select count(*) from {table}"), &[]).await?.try_get(0)?)
}

fn disk(path: &Path) -> anyhow::Result<Kind> {
    let file = File::options().create(true).truncate(true).write(true).open(path)?;
    let zeros = [0_u8; 64 << 10];
    for at in (0..DISK_FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    Ok(Kind::Disk { file, at: 0 })
}

fn sqlite(path: &Path) -> anyhow::Result<Kind> {
    let connection = Connection::open(path)?;
    let mode: String = connection.query_row("pragma journal_mode=wal", [], |row| row.get(0))?;
    anyhow::ensure!(mode == "wal", "SQLite is in mode `{mode}`");
    connection.execute_batch(
        "pragma synchronous=full; create table entries (number integer primary key, body text)",
    )?;
    Ok(Kind::Sqlite(connection))
}

pub(crate) async fn connect(server: &Postgres) -> anyhow::Result<Client> {
    let mut config = tokio_postgres::Config::new();
    config.host_path(server.sockets()).port(server.port).user("postgres").dbname("postgres");
    config.password(PASSWORD);
    let (client, connection) = config.connect(NoTls).await.context("connecting to PostgreSQL")?;
    tokio::spawn(connection);
    let fsync = client.query_one("show fsync", &[]).await?;
    let commit = client.query_one("show synchronous_commit", &[]).await?;
    let (fsync, commit): (String, String) = (fsync.try_get(0)?, commit.try_get(0)?);
    anyhow::ensure!(fsync == "on" && commit == "on", "PostgreSQL is not durable here");
    Ok(client)
}

/// The time of each INSERT, one transaction each, over as many connections as there were writers.
async fn insert(
    clients: &[Client],
    writers: usize,
    record: &str,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let each = clients.iter().take(writers).map(|client| async move {
        let insert = client.prepare("insert into singles (body) values ($1)").await?;
        let mut times = Vec::new();
        while Instant::now() < until {
            let before = Instant::now();
            client.execute(&insert, &[&record]).await?;
            times.push(before.elapsed());
        }
        anyhow::Ok(times)
    });
    let times: Vec<Vec<Duration>> = futures::future::try_join_all(each).await?;
    Ok(times.into_iter().flatten().collect())
}
