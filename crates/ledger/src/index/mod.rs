//! The search index: derived from the log, in SQLite, rebuilt whenever it is in doubt.
//!
//! Invariants: it follows the log by a cursor and is never on the path of an append. It holds no
//! identifier: names and subjects are truncated HMACs under the index keys; only kinds, outcomes,
//! times and buckets are plain. What it does not cover is told, never left out silently. A hit is
//! only a candidate: the body decides. Nothing an entry stays in memory.
//!
//! `docs/decisions/0006-the-search-index-in-sqlite.md` says why it is built as it is.

mod check;
mod feed;
mod file;
mod fill;
mod find;
mod follow;
mod forget;
mod measured;
mod terms;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use crate::envelope::LedgerId;
use crate::error::ReadError;
use crate::settings::IndexKeys;

pub(crate) use feed::{Fed, Feed};
pub(crate) use file::IndexPlace;
pub(crate) use fill::Step;
pub(crate) use find::{Look, Wanted};
pub(crate) use follow::{Bell, Follower};
pub use measured::Measured;

/// Why the index could not be read or written. Appends never see one of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error("could not {doing} the search index")]
    Sql {
        doing: &'static str,
        #[source]
        source: rusqlite::Error,
    },
    #[error("could not {doing} `{path}`")]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the search index is not as it was written: {0}")]
    Damaged(&'static str),
    #[error("the search index is to be built anew: {0}")]
    Doubted(&'static str),
    #[error("could not read the log for the search index")]
    Feed(#[source] ReadError),
}

impl IndexError {
    /// Whether only building it anew helps, and not waiting.
    pub(crate) fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        match self {
            Self::Damaged(_) | Self::Doubted(_) => true,
            Self::File { .. } | Self::Feed(_) => false,
            Self::Sql { source: rusqlite::Error::SqliteFailure(error, _), .. } => !matches!(
                error.code,
                Code::CannotOpen
                    | Code::SystemIoFailure
                    | Code::DiskFull
                    | Code::DatabaseBusy
                    | Code::DatabaseLocked
                    | Code::PermissionDenied
                    | Code::ReadOnly
                    | Code::OutOfMemory
                    | Code::FileLockingProtocolFailed
                    | Code::OperationInterrupted
            ),
            Self::Sql { .. } => true,
        }
    }
}

pub(super) fn sql(doing: &'static str) -> impl Fn(rusqlite::Error) -> IndexError {
    move |source| IndexError::Sql { doing, source }
}

/// How entries are spread over tables and transactions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// A shard, with tables of its own, holds 2^`shard_bits` entries: few enough that a shard
    /// that is being filled stays in the cache.
    pub(crate) shard_bits: u32,
    /// Most entries in one transaction.
    pub(crate) batch_entries_max: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self { shard_bits: 18, batch_entries_max: 16_384 }
    }
}

/// What the index is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexDoing {
    /// It follows the log.
    Following,
    /// It is held against the digests of its last closing.
    Checking,
    /// It is being built anew.
    Rebuilding { why: String },
    /// It could not go on, and will try again.
    Stopped { why: String },
}

/// How far the index covers the log, and what it is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexState {
    /// Entries below this number are in it.
    pub covers: u64,
    pub doing: IndexDoing,
}

/// The index. Readers and the follower share it.
pub(crate) struct Index {
    ledger: LedgerId,
    keys: IndexKeys,
    place: IndexPlace,
    shape: Shape,
    /// Used by the follower, and by [`Index::forget`].
    writer: Mutex<Option<fill::Writer>>,
    /// The readers' connection: another one where the index is a file, so that a search does not
    /// wait for a batch.
    reader: Mutex<Option<Arc<Mutex<Connection>>>>,
    state: Mutex<IndexState>,
    /// Why the follower is to build it anew.
    doubted: Mutex<Option<&'static str>>,
    bell: Arc<Bell>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Index {
    /// An index that is not open yet: the follower opens it.
    pub(crate) fn new(ledger: LedgerId, keys: IndexKeys, place: IndexPlace, shape: Shape) -> Self {
        let state = IndexState { covers: 0, doing: IndexDoing::Checking };
        let (writer, reader) = (Mutex::default(), Mutex::default());
        let (doubted, bell) = (Mutex::default(), Arc::default());
        Self { ledger, keys, place, shape, writer, reader, state: Mutex::new(state), doubted, bell }
    }

    pub(crate) fn state(&self) -> IndexState {
        let mut state = held(&self.state).clone();
        let stopped = matches!(state.doing, IndexDoing::Stopped { .. });
        if let Some(why) = self.doubted().filter(|_| !stopped) {
            state.doing = IndexDoing::Rebuilding { why: why.to_owned() };
        }
        state
    }

    fn set_doing(&self, doing: IndexDoing) {
        held(&self.state).doing = doing;
    }

    fn set_covers(&self, covers: u64) {
        held(&self.state).covers = covers;
    }

    /// What tells the follower that there is something to do.
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Has it built anew by the follower. It says so at once, and until that is done.
    pub(crate) fn doubt(&self, why: &'static str) {
        *held(&self.doubted) = Some(why);
        self.bell.ring();
    }

    fn doubted(&self) -> Option<&'static str> {
        *held(&self.doubted)
    }

    /// Drops the connections. The next step opens them again.
    pub(crate) fn let_go(&self) {
        *held(&self.reader) = None;
        *held(&self.writer) = None;
        self.set_covers(0);
    }

    /// Throws the index away, so that the next step begins it anew.
    pub(crate) fn discard(&self, why: &str) -> Result<(), IndexError> {
        self.let_go();
        self.set_doing(IndexDoing::Rebuilding { why: why.to_owned() });
        self.place.remove()?;
        *held(&self.doubted) = None;
        Ok(())
    }
}
