//! The connection of those who read, and of small writes that stand alone. Shared by all threads;
//! made anew when it has failed.

use std::sync::{Arc, PoisonError};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::Postgres;
use super::fault::DatabaseError;
use super::link::{Address, Link};
use super::objects::ASKS;
use super::schema::HEAD;

/// A value to bind, which can go to another thread.
pub(super) type Bound = Box<dyn ToSql + Sync + Send>;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Head,
    Envelope,
    /// Frames from a first entry on, a few at a time.
    Frames,
    Body,
    /// Bodies of a range.
    Bodies,
    /// Bodies of a bucket from an entry on, some at a time.
    BodiesOf,
    Key,
    Keys,
    PutKey,
    Tile,
    PutTile,
    /// The newest published checkpoint.
    Checkpoint,
    /// Checkpoints over one size and up to another.
    Checkpoints,
    PutCheckpoint,
    /// Whether this connection has a lock of the whole database now.
    Turn,
    /// A body that a hold keeps.
    Held,
    /// Bodies that a hold keeps in a bucket from an entry on, some at a time.
    HeldOf,
    PutHeld,
    /// What was disposed of.
    Documents,
    PutDocument,
    /// Destroys a key and some of a bucket's bodies; whether there may be more.
    Destroy,
    /// The buckets of which a key or, where nothing may be, a body is there.
    Lying,
    /// The range in the object store that begins last before an entry.
    Object,
    /// The first range there that ends after an entry.
    NextObject,
    AnyObject,
    /// The entry after the last one whose frame is there.
    Shelved,
    /// Lets the tables go of a range that is there; whether they did.
    Shelve,
    ForgetObjects,
    /// An envelope that stays at hand.
    KeptEnvelope,
    /// Those of a range.
    KeptEnvelopes,
    /// Tiles that are to go there, some at a time.
    FullTiles,
    DropTile,
    /// Bytes that the database takes up.
    Room,
}

/// Those about the object store are in `objects`.
const SQL: [(Ask, &str); 23] = [
    (Ask::Head, HEAD),
    (Ask::Room, "select pg_database_size(current_database())"),
    (
        Ask::Envelope,
        // A frame's header has 208 bytes, and each envelope two bytes of length before it.
        "select first, count, substring(bytes from (211 + ($1 - first) * 106)::integer for 104) \
         from bailiwick_ledger.frames where first <= $1 order by first desc limit 1",
    ),
    (
        Ask::Frames,
        "select first, bytes from bailiwick_ledger.frames \
         where first >= (select max(first) from bailiwick_ledger.frames \
         where first <= $1) order by first limit 16",
    ),
    (Ask::Body, "select bucket, record from bailiwick_ledger.bodies where entry = $1"),
    (
        Ask::Bodies,
        "select record, bucket, entry from bailiwick_ledger.bodies \
         where entry >= $1 and entry < $2 order by entry",
    ),
    (
        Ask::BodiesOf,
        "select entry, record from bailiwick_ledger.bodies \
         where bucket = $1 and entry >= $2 order by entry limit 256",
    ),
    (Ask::Key, "select file from bailiwick_ledger.bucket_keys where bucket = $1"),
    (Ask::Keys, "select bucket, file from bailiwick_ledger.bucket_keys"),
    (
        Ask::PutKey,
        "insert into bailiwick_ledger.bucket_keys (bucket, file) values ($1, $2) \
         on conflict (bucket) do nothing",
    ),
    (Ask::Tile, "select hashes from bailiwick_ledger.tiles where level = $1 and number = $2"),
    (
        Ask::PutTile,
        "insert into bailiwick_ledger.tiles (level, number, hashes) values ($1, $2, $3) \
         on conflict (level, number) do update set hashes = excluded.hashes",
    ),
    (
        Ask::Checkpoint,
        "select size, note from bailiwick_ledger.checkpoints order by size desc limit 1",
    ),
    (
        Ask::Checkpoints,
        "select size, note from bailiwick_ledger.checkpoints \
         where size > $1 and size <= $2 order by size",
    ),
    (
        Ask::PutCheckpoint,
        "insert into bailiwick_ledger.checkpoints (size, note) select $1, $2 \
         where not exists (select from bailiwick_ledger.checkpoints where size >= $1) \
         on conflict (size) do nothing",
    ),
    (Ask::Turn, "select pg_try_advisory_lock($1)"),
    (
        Ask::Held,
        "select bucket, record from bailiwick_ledger.held_bodies where bucket = $1 and entry = $2",
    ),
    (
        Ask::HeldOf,
        "select entry, record from bailiwick_ledger.held_bodies \
         where bucket = $1 and entry >= $2 order by entry limit 256",
    ),
    (
        Ask::PutHeld,
        "insert into bailiwick_ledger.held_bodies (bucket, entry, record) \
         select $1, * from unnest($2::bigint[], $3::bytea[]) on conflict (bucket, entry) do nothing",
    ),
    (Ask::Documents, "select bucket, document from bailiwick_ledger.disposed order by bucket"),
    (
        Ask::PutDocument,
        "insert into bailiwick_ledger.disposed (bucket, document) \
         select $1, $2 from (select one from bailiwick_ledger.head for update) as head \
         on conflict (bucket) do nothing",
    ),
    (Ask::Destroy, "select bailiwick_ledger.destroy($1)"),
    (
        Ask::Lying,
        "select bucket from bailiwick_ledger.bucket_keys \
         union select distinct bucket from bailiwick_ledger.held_bodies \
         union select bucket from bailiwick_ledger.disposed as gone where exists \
         (select from bailiwick_ledger.bodies where bodies.bucket = gone.bucket) \
         or exists (select from bailiwick_ledger.objects where part = gone.bucket)",
    ),
];

pub(super) struct Reader {
    link: Link,
    statements: Vec<(Ask, Statement)>,
}

impl Reader {
    async fn connect(address: Address) -> Result<Arc<Self>, DatabaseError> {
        let link = address.connect().await?;
        let mut statements = Vec::new();
        for (ask, sql) in SQL.into_iter().chain(ASKS) {
            let prepared = link.client.prepare(sql).await;
            let of = |error| DatabaseError::of("prepare to read the ledger", error);
            statements.push((ask, prepared.map_err(of)?));
        }
        Ok(Arc::new(Self { link, statements }))
    }

    async fn ask(
        &self,
        ask: Ask,
        doing: &'static str,
        values: &[Bound],
    ) -> Result<Vec<Row>, DatabaseError> {
        let of = |error| DatabaseError::of(doing, error);
        let client: &Client = &self.link.client;
        let found = self.statements.iter().find(|(it, _)| *it == ask);
        let (_, statement) = found.ok_or(DatabaseError::NoRow { table: "statements" })?;
        let values: Vec<&(dyn ToSql + Sync)> =
            values.iter().map(|it| it.as_ref() as &(dyn ToSql + Sync)).collect();
        client.query(statement, &values).await.map_err(of)
    }
}

impl Postgres {
    /// Asks the database, on a new connection if the one before has failed. What is asked may be
    /// asked twice.
    pub(super) fn ask(
        &self,
        ask: Ask,
        doing: &'static str,
        values: impl Fn() -> Vec<Bound>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let known = self.reader.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(reader) = known {
            match self.ask_on(&reader, ask, doing, values()) {
                Err(DatabaseError::Lost { .. } | DatabaseError::TimedOut { .. }) => {}
                Err(error) if !reader.link.client.is_closed() => return Err(error),
                Err(_) => {}
                Ok(rows) => return Ok(rows),
            }
            self.forget(&reader);
        }
        let address = self.address.clone();
        let connect = Reader::connect(address);
        let reader = self.hands.run("sign in", self.address.wait_max(), connect)?;
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&reader));
        self.ask_on(&reader, ask, doing, values())
    }

    fn ask_on(
        &self,
        reader: &Arc<Reader>,
        ask: Ask,
        doing: &'static str,
        values: Vec<Bound>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let reader = Arc::clone(reader);
        let work = async move { reader.ask(ask, doing, &values).await };
        self.hands.run(doing, self.address.wait_max(), work)
    }

    /// Lets go of a connection that failed, unless another took its place.
    fn forget(&self, failed: &Arc<Reader>) {
        let mut known = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_some_and(|it| Arc::ptr_eq(it, failed)) {
            *known = None;
        }
    }
}
