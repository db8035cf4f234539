//! Where bodies lie by now: the documents that are in place, and the way they lead.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::envelope::{Bucket, Envelope};
use crate::retention::Disposed;

/// The disposals of an open ledger. Each was seen to be committed to by the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moved(BTreeMap<Bucket, Arc<Disposed>>);

impl Moved {
    pub(crate) fn insert(&mut self, disposed: Arc<Disposed>) {
        self.0.insert(disposed.statement.bucket, disposed);
    }

    pub(crate) fn get(&self, bucket: Bucket) -> Option<&Arc<Disposed>> {
        self.0.get(&bucket)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Disposed>> {
        self.0.values()
    }

    /// The bucket that has the body of this entry, or what disposed of it.
    pub(crate) fn locate(&self, envelope: &Envelope) -> Result<Bucket, Arc<Disposed>> {
        let mut bucket = envelope.bucket;
        while let Some(disposed) = self.0.get(&bucket) {
            let next = bucket.next_held().filter(|_| disposed.kept.contains(envelope.entry));
            bucket = next.ok_or_else(|| Arc::clone(disposed))?;
        }
        Ok(bucket)
    }

    /// Whether nothing may lie in this bucket: it was disposed of, or it is a copy for a hold to
    /// which no document leads.
    pub(crate) fn is_leftover(&self, bucket: Bucket) -> bool {
        let leads = |from: u16| {
            let from = Bucket { held: from, ..bucket };
            self.0.get(&from).is_some_and(|it| !it.kept.is_empty())
        };
        self.0.contains_key(&bucket) || bucket.held.checked_sub(1).is_some_and(|from| !leads(from))
    }
}
