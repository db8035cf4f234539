//! What the index is built from: the log, read forward.

use std::sync::Arc;

use crate::envelope::Envelope;
use crate::error::ReadError;
use crate::merkle::Hash;
use crate::record::StoredRecord;
use crate::retention::Moved;

/// One entry on its way into the index.
pub(crate) struct Fed {
    pub(crate) envelope: Envelope,
    /// `None` where the body was disposed of.
    pub(crate) record: Option<Arc<StoredRecord>>,
}

/// A log that can be followed.
pub(crate) trait Feed: Send + Sync {
    /// The number of durable entries.
    fn size(&self) -> u64;

    /// The root of the tree of the first `size` entries.
    fn root(&self, size: u64) -> Result<Hash, ReadError>;

    /// What other processes may have disposed of, who can't make this index forget.
    fn disposed(&self) -> Arc<Moved> {
        Arc::default()
    }

    /// Gives the entries from `from` up to `end`, in order.
    fn read(&self, from: u64, end: u64, each: &mut dyn FnMut(Fed)) -> Result<(), ReadError>;
}
