//! Where a ledger is kept, as the rest of this room sees it: a folder (`local`), or another place
//! that several processes share.
//!
//! Invariants: what [`Appender::append`] returned from is durable, whole and in order. A store
//! never makes up what it does not have: damage and absence are told, with a place. Nothing is
//! kept in memory for each entry.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keys::seal::SealingKey;

use crate::capacity::Space;
use crate::draft::Batch;
use crate::envelope::{Bucket, Envelope};
use crate::error::{AppendError, Damage, OpenError, ReadError};
use crate::merkle::{CompactRange, Hash, empty_root, root_at};
use crate::postgres::Shelved;
use crate::record::Position;
use crate::retention::{Disposed, Moved};
use crate::shelving::Calls;
use crate::source::Pace;

/// Everything that the next batch is built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) tree: CompactRange,
    pub(crate) root: Hash,
    /// Digest of the last frame; zeros without one.
    pub(crate) digest: Hash,
    /// Signature of the checkpoint of this tree; `None` without entries.
    pub(crate) signature: Option<[u8; 64]>,
    /// The latest time of any entry, milliseconds since 1970.
    pub(crate) latest_ms: Option<i64>,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            tree: CompactRange::new(),
            root: empty_root(),
            digest: [0; 32],
            signature: None,
            latest_ms: None,
        }
    }
}

impl Head {
    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }
}

/// Why a batch was not written, and whether what is open can still be trusted.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing of the batch reached a place that is read: the next batch may try.
    Refused(AppendError),
    /// Everything must be opened and read again before anything is written.
    Broken(AppendError),
    /// Somebody else appended first, and the log ends here now: the batch is to be drafted anew.
    Conflict(Box<Head>),
}

impl Failure {
    /// The error to answer with.
    pub(crate) fn into_error(self) -> AppendError {
        match self {
            Self::Refused(error) | Self::Broken(error) => error,
            Self::Conflict(head) => AppendError::Conflict { size: head.size() },
        }
    }
}

/// Whether a batch may use the room that is kept for recording that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserve {
    Keep,
    Use,
}

/// A store that was opened for writing.
pub(crate) struct Opened {
    pub(crate) head: Head,
    /// Size of the newest published checkpoint.
    pub(crate) published: u64,
    pub(crate) appender: Box<dyn Appender>,
}

/// A body as it is kept: sealed.
pub(crate) struct Sealed {
    pub(crate) bytes: Vec<u8>,
    /// Where it lies by now, and under whose key.
    pub(crate) bucket: Bucket,
    pub(crate) place: Position,
}

/// Whether what is derived from the log, and could be wrong, may be read in its stead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Derived {
    Use,
    Rebuild,
}

/// Reading, from any thread, also while somebody appends.
pub(crate) trait Store: Send + Sync {
    /// Opens it for writing: mends what a crash left, refuses damage where the log goes on.
    /// Also after a failure, when the appender before was dropped.
    fn open(self: Arc<Self>) -> Result<Opened, OpenError>;

    /// How often to look for what others appended; `None` where nobody else can.
    fn look_wait(&self) -> Option<Duration> {
        None
    }

    /// An entry's envelope, and where it lies. The entry must be below the head's size.
    fn envelope(&self, entry: u64) -> Result<(Envelope, Position), ReadError>;

    /// An entry's sealed body; `None` if it was disposed of.
    fn body(&self, envelope: &Envelope) -> Result<Option<Sealed>, ReadError>;

    /// Gives the entries `from..end`, which are below the head's size, in order: as [`Self::envelope`] and
    /// [`Self::body`] give them.
    fn entries(&self, from: u64, end: u64, each: &mut EachEntry<'_>) -> Result<(), ReadError>;

    /// Verifies all that is kept of the first `size` entries, which are durable, at a pace; `None`
    /// where this store can't.
    fn verify(&self, _size: u64, _pace: &Pace<'_>) -> Option<Result<(), Damage>> {
        None
    }

    /// Room where the store is told how much it may take; waits for the database.
    fn room(&self) -> Result<Option<Space>, ReadError> {
        Ok(None)
    }

    /// How often to look for closed ranges that are to move to another kind of storage, and what calls
    /// before that; `None` where there is none.
    fn shelve_calls(&self) -> Option<(Duration, Arc<Calls>)> {
        None
    }

    /// Deletes there what was disposed of, and says how much that was.
    fn sweep(&self, _now: Timestamp) -> u64 {
        0
    }

    /// Moves them, as long as the pace says.
    fn shelve(&self, _now: Timestamp, _pace: &Pace<'_>) -> Result<Shelved, ReadError> {
        Ok(Shelved::default())
    }

    /// The key of a bucket, if there is such a bucket.
    fn key(&self, bucket: Bucket) -> Result<Option<SealingKey>, ReadError>;

    /// The buckets that have bodies, or may have.
    fn buckets(&self) -> Vec<Bucket>;

    /// What was disposed of.
    fn moved(&self) -> Arc<Moved>;

    /// Reads all envelopes in order, strictly.
    fn envelopes(&self, each: &mut dyn FnMut(&Envelope)) -> Result<(), ReadError>;

    /// Reads all bodies of a bucket in order: entry, sealed bytes, place.
    fn bodies(&self, bucket: Bucket, each: &mut EachBody<'_>) -> Result<(), ReadError>;

    /// Waits until no other process that shares the log holds, releases or disposes, and keeps the others
    /// from it while the turn is kept. Where nobody else can, it is there at once.
    fn turn(&self) -> Result<Turn, AppendError> {
        Ok(Turn::default())
    }

    /// As [`Self::turn`], without waiting; `None` where another has it.
    fn try_turn(&self) -> Result<Option<Turn>, AppendError> {
        Ok(Some(Turn::default()))
    }

    /// Begins the copy of what a hold keeps of the bucket before this one. What another try left
    /// is destroyed first. Nothing reads the copy until [`Appender::dispose`] leads to it.
    fn hold(&self, held: Bucket) -> Result<Box<dyn Holding + '_>, Failure>;

    /// The hash of the perfect subtree `index` of 2^`level` leaves, all below the head's size.
    fn node(&self, level: u32, index: u64, derived: Derived) -> Result<Hash, ReadError>;
}

/// What keeps other processes from disposing meanwhile, for as long as it is kept.
#[derive(Default)]
pub(crate) struct Turn {
    _kept: Option<Box<dyn Send>>,
}

impl Turn {
    pub(crate) fn of(kept: impl Send + 'static) -> Self {
        Self { _kept: Some(Box::new(kept)) }
    }
}

/// Told an entry's envelope, and its sealed body (`None` if it was disposed of) or why it can't be read.
pub(crate) type EachEntry<'a> =
    dyn FnMut(Envelope, Result<Option<Sealed>, ReadError>) -> Result<(), ReadError> + 'a;

/// Told a body's entry, its sealed bytes, and where it lies.
pub(crate) type EachBody<'a> = dyn FnMut(u64, &[u8], Position) -> Result<(), ReadError> + 'a;

/// A copy of what a hold keeps, under a key of its own.
pub(crate) trait Holding {
    fn key(&self) -> &SealingKey;

    /// Adds a body; in the order of entries.
    fn put(&mut self, entry: u64, sealed: &[u8]) -> Result<(), Failure>;

    /// Makes key and bodies durable.
    fn finish(self: Box<Self>) -> Result<(), Failure>;
}

/// Writing, by the one writer's thread.
pub(crate) trait Appender: Send {
    /// The bucket's key; makes and keeps it, durably, when it is new.
    fn key(&mut self, bucket: Bucket) -> Result<SealingKey, Failure>;

    /// Makes a batch durable that was drafted on the head `before`.
    fn append(&mut self, before: &Head, batch: &Batch, reserve: Reserve) -> Result<(), Failure>;

    /// Brings what is derived from the log up to it, after the answers went out. Failing to costs
    /// time later and nothing else.
    fn derive(&mut self) {}

    /// Lets go of what a conflict keeps for the batch that is drafted anew, where none follows.
    fn release(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// The head, where others have appended since; `None` where nobody has.
    fn look(&mut self) -> Result<Option<Head>, Failure> {
        Ok(None)
    }

    /// Puts the document of a disposal in place, durably. From here on the bucket's bodies are not
    /// read any more, and those that were kept are read from the copy.
    fn dispose(&mut self, disposed: Arc<Disposed>) -> Result<(), Failure>;

    /// Destroys the key and the bodies of a bucket in which nothing may lie any more, durably.
    /// What is gone already is no error.
    fn destroy(&mut self, bucket: Bucket) -> Result<(), Failure>;

    /// The buckets in which nothing may lie, and yet something does.
    fn leftovers(&self) -> Result<Vec<Bucket>, Failure>;

    /// Publishes a checkpoint (C2SP note) of so many entries.
    fn publish(&mut self, note: &str, size: u64) -> io::Result<()>;

    /// Settles for good.
    fn close(&mut self) -> Result<(), Failure>;
}

/// The root of the first `size` leaves.
pub(crate) fn root(store: &dyn Store, size: u64, derived: Derived) -> Result<Hash, ReadError> {
    root_at(size, &mut |level, index| store.node(level, index, derived))
}

/// Whether the first `size` leaves have this root. Where what is derived says no, the log decides.
pub(crate) fn root_is(store: &dyn Store, size: u64, wanted: &Hash) -> Result<bool, ReadError> {
    if root(store, size, Derived::Use).is_ok_and(|root| root == *wanted) {
        return Ok(true);
    }
    Ok(root(store, size, Derived::Rebuild)? == *wanted)
}
