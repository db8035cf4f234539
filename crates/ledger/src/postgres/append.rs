//! Appending: one transaction a batch, under the lock of the head's row.
//!
//! Order: the head is locked and read. Where it moved, the frames of others are followed and the
//! lock is kept, so that the batch that is drafted anew is the next one. Where it is what the batch
//! was drafted on, the frame, the bodies and the new head are written and committed. An error on
//! the way, or no answer to the commit, ends the connection: the server rolls back what it had not
//! committed by then, and whoever opens next waits for the lock and sees what is so. From when the
//! commit is sent on, whatever goes wrong leaves it unknown whether the batch is in the log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keys::seal::SealingKey;
use tokio_postgres::Statement;

use super::fault::DatabaseError;
use super::link::{Address, Link};
use super::reader::Ask;
use super::schema::{HEAD, HeadRow, head_of, number};
use super::{Postgres, broken};
use crate::body;
use crate::draft::{Batch, keys_failed};
use crate::envelope::Bucket;
use crate::error::{AppendError, OpenError, ReadError};
use crate::merkle::Hash;
use crate::retention::Disposed;
use crate::store::{Appender, Failure, Head, Reserve};
use crate::tiling::Tiled;

/// Entries of others that are followed while the head stays locked; beyond, it is let go first.
const FOLLOWED_LOCKED_MAX: u64 = 16_384;

/// Everything in one statement, sent whole. No COPY: the server waits for its rows without end, with
/// the lock held, where no time-out of its own reaches it.
const APPEND: &str = "with \
     frame as (insert into bailiwick_ledger.frames (first, count, bytes) values ($1, $2, $3)), \
     bodies as (insert into bailiwick_ledger.bodies (entry, bucket, record) \
     select * from unnest($4::bigint[], $5::text[], $6::bytea[])) \
     update bailiwick_ledger.head set size = $7, peaks = $8, root = $9, digest = $10, \
     signature = $11, latest_ms = $12 where size = $1 and digest = $13 \
     and not exists (select from bailiwick_ledger.disposed where bucket = any ($5::text[]))";
/// One message, of which nothing is done after what fails. A time-out that ends the wait for a
/// synchronous standby would pass for a success.
const COMMIT: &str = "set local statement_timeout = 0; commit";
const STRAYS: &str = "select exists (select from bailiwick_ledger.frames where first >= $1) \
     or exists (select from bailiwick_ledger.bodies where entry >= $1) \
     or exists (select from bailiwick_ledger.objects where ends > $1)";

/// The connection that writes.
pub(super) struct Pen {
    link: Link,
    lock: Statement,
    /// Bounds each statement under the lock.
    hold: String,
    append: Statement,
    strays: Statement,
}

/// What goes to the database of one batch.
struct Rows {
    first: i64,
    count: i32,
    frame: Vec<u8>,
    entries: Vec<i64>,
    buckets: Vec<String>,
    bodies: Vec<Vec<u8>>,
    head: Head,
    digest_before: Hash,
}

impl Rows {
    fn of(before: &Head, batch: &Batch) -> Option<Self> {
        let each = &batch.envelopes;
        // An import has none in the place of what was disposed of.
        let there = || each.iter().zip(&batch.bodies).filter(|(_, body)| !body.is_empty());
        Some(Self {
            first: number(before.size()),
            count: i32::try_from(each.len()).ok()?,
            frame: batch.frame.clone(),
            entries: there().map(|(it, _)| number(it.entry)).collect(),
            buckets: there().map(|(it, _)| it.bucket.name()).collect(),
            bodies: there().map(|(_, body)| body.clone()).collect(),
            head: batch.head.clone(),
            digest_before: before.digest,
        })
    }
}

impl Pen {
    pub(super) async fn connect(address: &Address) -> Result<Self, DatabaseError> {
        let link = address.connect().await?;
        let of = |error| DatabaseError::of("prepare to write the ledger", error);
        let client = &link.client;
        let lock = client.prepare(&format!("{HEAD} for update")).await.map_err(of)?;
        let append = client.prepare(APPEND).await.map_err(of)?;
        let strays = client.prepare(STRAYS).await.map_err(of)?;
        let hold = format!("set local statement_timeout = {}", address.idle_ms());
        Ok(Self { link, lock, hold, append, strays })
    }

    /// Begins a transaction, and reads the head under its lock.
    pub(super) async fn lock(&self) -> Result<Option<HeadRow>, DatabaseError> {
        let doing = "lock the log's head";
        let of = |error| DatabaseError::of(doing, error);
        let client = &self.link.client;
        // Sent together: without the first, the second would lock nothing and be noticed below.
        // Others are waited for longer than any of them may hold the lock.
        let (begin, hold) = (client.batch_execute("begin"), client.batch_execute(&self.hold));
        let (begun, row, bounded) = tokio::join!(begin, client.query_opt(&self.lock, &[]), hold);
        begun.map_err(of)?;
        let row = row.map_err(of)?;
        bounded.map_err(of)?;
        head_of(&row.ok_or(DatabaseError::NoRow { table: "head" })?)
    }

    /// Whether anything lies beyond a log of this size.
    pub(super) async fn strays(&self, size: u64) -> Result<bool, DatabaseError> {
        let of = |error| DatabaseError::of("look beyond the log's head", error);
        let row = self.link.client.query_one(&self.strays, &[&number(size)]).await.map_err(of)?;
        row.try_get(0).map_err(of)
    }

    pub(super) async fn release(&self) -> Result<(), DatabaseError> {
        let of = |error| DatabaseError::of("let go of the log's head", error);
        self.link.client.batch_execute("rollback").await.map_err(of)
    }

    /// Writes a batch in the transaction that has the lock, and commits it; `sent` is set before
    /// the commit is on its way.
    async fn write(&self, rows: Rows, sent: &AtomicBool) -> Result<(), DatabaseError> {
        let doing = "take a batch";
        let of = |error| DatabaseError::of(doing, error);
        let client = &self.link.client;
        let head = rows.head;
        let signature = head.signature.map(|it| it.to_vec());
        let (size, peaks) = (number(head.size()), head.tree.peaks().concat());
        let updated = client
            .execute(
                &self.append,
                &[
                    &rows.first,
                    &rows.count,
                    &rows.frame,
                    &rows.entries,
                    &rows.buckets,
                    &rows.bodies,
                    &size,
                    &peaks,
                    &&head.root[..],
                    &&head.digest[..],
                    &signature,
                    &head.latest_ms,
                    &&rows.digest_before[..],
                ],
            )
            .await
            .map_err(of)?;
        // Anything else, and this transaction does not have the lock that it should have, or another process
        // has disposed of where a body was to go.
        if updated != 1 {
            return Err(DatabaseError::NoRow { table: "head" });
        }
        sent.store(true, Ordering::SeqCst);
        client.batch_execute(COMMIT).await.map_err(of)
    }
}

/// A ledger that is open for writing.
pub(super) struct Writing {
    store: Arc<Postgres>,
    pen: Arc<Pen>,
    /// The log as far as it was followed.
    head: Head,
    /// The head is locked, and is what `head` says: others wait.
    locked: bool,
    /// Leaves that are in the log and not in the tree's edge yet.
    leaves: Vec<Hash>,
}

impl Writing {
    pub(super) fn new(store: Arc<Postgres>, pen: Arc<Pen>, head: Head) -> Self {
        Self { store, pen, head, locked: false, leaves: Vec::new() }
    }

    /// Does some work on the connection that writes.
    fn write<T: Send + 'static, W>(
        &self,
        doing: &'static str,
        work: impl FnOnce(Arc<Pen>) -> W,
    ) -> Result<T, Failure>
    where
        W: Future<Output = Result<T, DatabaseError>> + Send + 'static,
    {
        let work = work(Arc::clone(&self.pen));
        self.store.hands.run(doing, self.store.address.wait_max(), work).map_err(broken)
    }

    fn commit(&self, rows: Rows) -> Result<(), Failure> {
        let (store, pen, sent) = (&self.store, Arc::clone(&self.pen), Arc::<AtomicBool>::default());
        let told = Arc::clone(&sent);
        let work = async move { pen.write(rows, &told).await };
        let written = store.hands.run("take a batch", store.address.wait_max(), work);
        written.map_err(|error| match sent.load(Ordering::SeqCst) {
            true => broken(DatabaseError::Unknown(Box::new(error))),
            false => broken(error),
        })
    }

    /// Goes on from what others appended.
    fn follow(&mut self, to: Head) -> Result<(), Failure> {
        self.derive();
        self.store.follow(&self.head, &to).map_err(unreadable)?;
        self.head = to;
        Ok(())
    }

    fn unlock(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.locked) {
            return Ok(());
        }
        self.write("let go of the log's head", |pen| async move { pen.release().await })
    }

    fn make_key(&self, bucket: Bucket) -> Result<SealingKey, Failure> {
        let store = &self.store;
        let key = SealingKey::generate(store.random.as_ref());
        let key = key.map_err(|source| keys_failed("make a bucket's key", source))?;
        let file = body::key_file(&store.master, &store.identity.id, bucket, &key);
        let file = file.map_err(|source| keys_failed("wrap a bucket's key", source))?;
        let values = || vec![Box::new(bucket.name()) as _, Box::new(file.clone()) as _];
        store.ask(Ask::PutKey, "keep a bucket's key", values).map_err(broken)?;
        // Another process may have come first; then its key is the bucket's.
        let missing = || broken(DatabaseError::NoRow { table: "bucket_keys" });
        store.find_key(bucket).map_err(unreadable)?.ok_or_else(missing)
    }
}

/// What could not be read, or is damaged: nothing is written on it.
pub(super) fn unreadable(error: ReadError) -> Failure {
    Failure::Broken(match error {
        ReadError::Database(error) => AppendError::Database(Arc::new(error)),
        error => AppendError::Reopen(Arc::new(OpenError::from(error))),
    })
}

impl Appender for Writing {
    fn key(&mut self, bucket: Bucket) -> Result<SealingKey, Failure> {
        let known = self.store.find_key(bucket).map_err(unreadable)?;
        known.map_or_else(|| self.make_key(bucket), Ok)
    }

    fn append(&mut self, before: &Head, batch: &Batch, _: Reserve) -> Result<(), Failure> {
        if !self.locked {
            let lock = |pen: Arc<Pen>| async move { pen.lock().await };
            let now = self.write("lock the log's head", lock)?;
            self.locked = true;
            let now = self.store.known(now).map_err(unreadable)?;
            if now != *before {
                if now.size().saturating_sub(before.size()) > FOLLOWED_LOCKED_MAX {
                    self.unlock()?;
                }
                self.follow(now.clone())?;
                return Err(Failure::Conflict(Box::new(now)));
            }
        }
        let bytes = batch.frame.len();
        let too_large = AppendError::TooLarge { bytes, max: body::BODY_BYTES_MAX };
        let Some(rows) = Rows::of(before, batch) else { return Err(Failure::Refused(too_large)) };
        self.commit(rows)?;
        self.locked = false;
        self.head = batch.head.clone();
        self.leaves.extend_from_slice(&batch.leaves);
        Ok(())
    }

    fn release(&mut self) -> Result<(), Failure> {
        self.unlock()
    }

    fn derive(&mut self) {
        if self.leaves.is_empty() {
            return;
        }
        self.store.grow(self.leaves.drain(..));
    }

    fn look(&mut self) -> Result<Option<Head>, Failure> {
        let now = self.store.head_now().map_err(unreadable)?;
        if now == self.head {
            return Ok(None);
        }
        self.follow(now.clone())?;
        Ok(Some(now))
    }

    fn dispose(&mut self, disposed: Arc<Disposed>) -> Result<(), Failure> {
        // Else what puts the document in place would wait for this very process.
        self.unlock()?;
        self.store.put_document(&disposed)
    }

    fn destroy(&mut self, bucket: Bucket) -> Result<(), Failure> {
        self.store.destroy_bucket(bucket)
    }

    fn leftovers(&self) -> Result<Vec<Bucket>, Failure> {
        self.store.find_leftovers()
    }

    fn publish(&mut self, note: &str, size: u64) -> io::Result<()> {
        let values = || vec![Box::new(number(size)) as _, Box::new(note.to_owned()) as _];
        let put = self.store.ask(Ask::PutCheckpoint, "publish a checkpoint", values);
        put.map_err(io::Error::other)?;
        self.store.see(note)
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.derive();
        self.unlock()
    }
}

impl Drop for Writing {
    /// The connection, and with it the transaction, may be held by work that is still on its way.
    fn drop(&mut self) {
        self.pen.link.end();
    }
}
