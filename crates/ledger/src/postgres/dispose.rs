//! Disposal in a database: the documents, the copies for holds, and the destruction of keys and bodies.
//!
//! Invariants: of all processes one at a time holds, releases or disposes. A document is in its table before
//! the first byte goes, and is put there under the lock of the log's head, so that no batch comes between; the
//! key goes before the bodies. A document counts only where the log commits to it. What another process
//! disposed of is seen when a body is missing, or when the log says so.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use keys::seal::SealingKey;

use super::read::column;
use super::reader::{Ask, Bound};
use super::schema::number;
use super::{DatabaseError, Postgres, broken};
use crate::body::{self, BodyRecord};
use crate::draft::keys_failed;
use crate::envelope::Bucket;
use crate::error::{AppendError, Damage, ReadError};
use crate::retention::{Disposals, Disposed, Moved, NO_STATEMENT};
use crate::store::{Failure, Holding, Turn};

/// Any number that others do not lock by: "BWRETAIN".
const RETAINING: i64 = 0x4257_5245_5441_494E;
/// Between two looks whether it is this process's turn.
const LOOK_WAIT: Duration = Duration::from_millis(50);
/// Bodies of a copy that are written at once.
const COPIED_AT_ONCE: usize = 256;

const DISPOSING: &str = "dispose of a bucket";

fn damaged(bucket: &str, what: &str) -> ReadError {
    ReadError::Damaged(Damage::new(&format!("disposed/{bucket}"), 0, None, what))
}

/// What could not be destroyed: nothing that is written to, and so nothing to doubt.
fn undone(error: DatabaseError) -> Failure {
    Failure::Refused(AppendError::Database(Arc::new(error)))
}

impl Postgres {
    pub(super) fn moved_now(&self) -> Arc<Moved> {
        Arc::clone(&self.moved.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The documents as they lie in their table, by the names of their buckets.
    pub(super) fn documents(&self) -> Result<Vec<(String, String)>, ReadError> {
        let rows = self.ask(Ask::Documents, "tell what was disposed of", Vec::new)?;
        rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect()
    }

    /// Takes in the documents, each held against the log.
    pub(super) fn read_documents(&self) -> Result<(), ReadError> {
        let mut moved = Moved::default();
        for (name, text) in &self.documents()? {
            let disposed = Bucket::parse(name).and_then(|bucket| Disposed::parse_of(bucket, text));
            let disposed = disposed.ok_or_else(|| damaged(name, NO_STATEMENT))?;
            let what = "the log does not commit to the statement";
            let envelope = self.find_envelope(disposed.entry);
            let (envelope, _) = envelope.map_err(|error| match error {
                ReadError::Damaged(_) => damaged(name, what),
                error => error,
            })?;
            if !disposed.is_committed_by(&envelope) {
                return Err(damaged(name, what));
            }
            moved.insert(Arc::new(disposed));
        }
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.retain(|bucket, _| !moved.is_leftover(*bucket));
        drop(buckets);
        *self.moved.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(moved);
        Ok(())
    }

    /// The documents for whoever reads the log from its beginning.
    pub(super) fn disposals(documents: &[(String, String)]) -> Result<Disposals, ReadError> {
        let mut disposals = Disposals::default();
        for (name, text) in documents {
            let what = "not the name of a bucket";
            let bucket = Bucket::parse(name).ok_or_else(|| damaged(name, what))?;
            disposals.add(bucket, text.as_bytes()).map_err(ReadError::Damaged)?;
        }
        Ok(disposals)
    }

    /// Waits until no other process holds, releases or disposes; not for ever. The turn ends with the
    /// connection that has it.
    pub(super) fn take_turn_to_retain(&self) -> Result<Turn, DatabaseError> {
        let (apart, begun) = (self.apart()?, Instant::now());
        while !apart.try_lock(RETAINING)? {
            let after = self.address.waits.statement;
            if begun.elapsed() >= after {
                return Err(DatabaseError::TimedOut { doing: "let this process dispose", after });
            }
            apart.pause(LOOK_WAIT)?;
        }
        Ok(Turn::of(apart))
    }

    /// The turn, unless another has it.
    pub(super) fn try_turn_to_retain(&self) -> Result<Option<Turn>, DatabaseError> {
        let apart = self.apart()?;
        Ok(apart.try_lock(RETAINING)?.then(|| Turn::of(apart)))
    }

    pub(super) fn try_lock(&self, key: i64) -> Result<bool, DatabaseError> {
        let values = || -> Vec<Bound> { vec![Box::new(key)] };
        let rows = self.ask(Ask::Turn, "let one process at a time", values)?;
        Ok(rows.first().map(|row| column(row, 0)).transpose()? == Some(true))
    }

    pub(super) fn put_document(&self, disposed: &Disposed) -> Result<(), Failure> {
        let text = disposed
            .encode()
            .map_err(|source| Failure::Refused(AppendError::Encode(Arc::new(source))))?;
        let name = disposed.statement.bucket.name();
        let values = || -> Vec<Bound> { vec![Box::new(name.clone()), Box::new(text.clone())] };
        self.ask(Ask::PutDocument, DISPOSING, values).map_err(broken)?;
        self.read_documents().map_err(super::append::unreadable)
    }

    /// Destroys a bucket's key, and then its bodies, some thousands at a time.
    pub(super) fn destroy_bucket(&self, bucket: Bucket) -> Result<(), Failure> {
        self.buckets.write().unwrap_or_else(PoisonError::into_inner).remove(&bucket);
        loop {
            let values = || -> Vec<Bound> { vec![Box::new(bucket.name())] };
            let rows = self.ask(Ask::Destroy, DISPOSING, values).map_err(undone)?;
            let left =
                rows.first().map(|row| column::<bool>(row, 0)).transpose().map_err(undone)?;
            if left != Some(true) {
                return self.destroy_objects(bucket).map_err(undone);
            }
        }
    }

    /// The buckets in which nothing may lie, and yet something does.
    pub(super) fn find_leftovers(&self) -> Result<Vec<Bucket>, Failure> {
        let moved = self.moved_now();
        let rows = self.ask(Ask::Lying, "tell its buckets", Vec::new).map_err(undone)?;
        let mut found = BTreeSet::new();
        for row in &rows {
            let bucket = Bucket::parse(column(row, 0).map_err(undone)?);
            found.extend(bucket.filter(|bucket| moved.is_leftover(*bucket)));
        }
        Ok(found.into_iter().collect())
    }

    pub(super) fn begin_copy(&self, held: Bucket) -> Result<Box<dyn Holding + '_>, Failure> {
        self.destroy_bucket(held)?;
        let key = SealingKey::generate(self.random.as_ref());
        let key = key.map_err(|source| keys_failed("make a bucket's key", source))?;
        Ok(Box::new(self.begin_copy_under(held, key)))
    }
}

impl Postgres {
    /// A copy whose key is known. Of a try that was cut short it keeps what is there.
    pub(super) fn begin_copy_under(&self, held: Bucket, key: SealingKey) -> Copy<'_> {
        Copy { store: self, held, key, entries: Vec::new(), records: Vec::new() }
    }
}

/// A copy for a hold while it is written.
pub(super) struct Copy<'a> {
    store: &'a Postgres,
    held: Bucket,
    key: SealingKey,
    entries: Vec<i64>,
    records: Vec<Vec<u8>>,
}

impl Copy<'_> {
    fn flush(&mut self) -> Result<(), Failure> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let (entries, records) =
            (std::mem::take(&mut self.entries), std::mem::take(&mut self.records));
        let name = self.held.name();
        let values = || -> Vec<Bound> {
            vec![Box::new(name.clone()), Box::new(entries.clone()), Box::new(records.clone())]
        };
        self.store.ask(Ask::PutHeld, "copy what a hold keeps", values).map_err(undone)?;
        Ok(())
    }
}

impl Holding for Copy<'_> {
    fn key(&self) -> &SealingKey {
        &self.key
    }

    fn put(&mut self, entry: u64, sealed: &[u8]) -> Result<(), Failure> {
        let (bytes, max) = (sealed.len(), body::BODY_BYTES_MAX);
        let record = BodyRecord { entry, sealed }.encode();
        let record = record.ok_or(Failure::Refused(AppendError::TooLarge { bytes, max }))?;
        self.entries.push(number(entry));
        self.records.push(record);
        if self.entries.len() < COPIED_AT_ONCE { Ok(()) } else { self.flush() }
    }

    fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        self.flush()?;
        let (store, held) = (self.store, self.held);
        let file = body::key_file(&store.master, &store.identity.id, held, &self.key);
        let file = file.map_err(|source| keys_failed("wrap a bucket's key", source))?;
        let values = || -> Vec<Bound> { vec![Box::new(held.name()), Box::new(file.clone())] };
        store.ask(Ask::PutKey, "keep a bucket's key", values).map_err(undone)?;
        Ok(())
    }
}
