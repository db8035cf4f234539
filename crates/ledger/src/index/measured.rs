//! The index alone, on a log that is made up while it is read: for measuring it at sizes at which the
//! bodies would fill a disk. What is made up goes through all that a real entry goes through but its
//! storage; whoever measures brings that along (`read`).

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::follow::advance;
use super::{Fed, Feed, Index, IndexPlace, Shape, held};
use crate::envelope::{Bucket, Envelope};
use crate::error::ReadError;
use crate::event::Retention;
use crate::merkle::Hash;
use crate::record::{Blind, Entry, EntryNumber, Position, Record};
use crate::search::{Log, Page, Search, find};
use crate::settings::{IndexKeys, mark};
use crate::writer::stored;

const LEDGER: [u8; 16] = [0x4d; 16];
const FIRST_MS: i64 = 1_700_000_000_000;
/// An entry every three seconds.
const APART_MS: i64 = 3_000;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What an entry says, by its number: the same whenever it is asked.
type Make = dyn Fn(u64) -> Record + Send + Sync;
/// Reads and confirms an entry of some ledger, in place of one that was made up.
type Read = dyn Fn(u64) -> Result<(), ReadError> + Send + Sync;

/// An index in a file, and the made-up log that it follows.
pub struct Measured {
    index: Index,
    keys: IndexKeys,
    log: MadeUp,
}

struct MadeUp {
    size: u64,
    keys: IndexKeys,
    make: Box<Make>,
    read: Box<Read>,
}

impl Measured {
    /// An empty index in the file `path`, for a log of `size` entries.
    pub fn new(
        path: &Path,
        size: u64,
        keys: IndexKeys,
        make: Box<Make>,
        read: Box<Read>,
    ) -> Result<Self, Failure> {
        let place = IndexPlace::File(path.to_owned());
        place.remove()?;
        let index = Index::new(LEDGER, keys.clone(), place, Shape::default());
        Ok(Self { index, keys: keys.clone(), log: MadeUp { size, keys, make, read } })
    }

    /// Fills the index until it covers the log, as its thread would.
    pub fn build(&self) -> Result<(), Failure> {
        while advance(&self.index, &self.log)? {}
        Ok(())
    }

    /// A page of entries, each confirmed by its record.
    pub fn search(&self, search: &Search) -> Result<Page, Failure> {
        Ok(find(&self.log, &self.index, &self.keys, search)?)
    }

    /// Reads through a new connection from here on: nothing of the file is in this process's memory.
    pub fn forget_pages(&self) -> Result<(), Failure> {
        if let Some(reader) = self.index.place.open_reader()? {
            *held(&self.index.reader) = Some(Arc::new(Mutex::new(reader)));
        }
        Ok(())
    }
}

impl MadeUp {
    fn entry_at(&self, number: u64) -> Fed {
        let record = (self.make)(number);
        let (epoch, key) = self.keys.newest();
        let blind = |it: &crate::Subject| Blind { kind: it.kind.clone(), mark: mark(key, it) };
        let mut subjects: Vec<Blind> = record.subjects.iter().map(blind).collect();
        subjects.sort_unstable();
        let record = stored(record, subjects, epoch);
        let envelope = Envelope {
            ledger: LEDGER,
            entry: number,
            at_ms: FIRST_MS + i64::try_from(number).unwrap_or(0) * APART_MS,
            stepped_back: false,
            kind: record.event.code(),
            bucket: Bucket { class: Retention::Standard, month: 202_911, held: 0 },
            shared: [0; 32],
            private: [1; 32],
        };
        Fed { envelope, record: Some(Arc::new(record)) }
    }
}

impl Feed for MadeUp {
    fn size(&self) -> u64 {
        self.size
    }

    /// An index that was begun is not opened a second time here.
    fn root(&self, size: u64) -> Result<Hash, ReadError> {
        Err(ReadError::NoSize { size, have: 0 })
    }

    fn read(&self, from: u64, end: u64, each: &mut dyn FnMut(Fed)) -> Result<(), ReadError> {
        (from..end).for_each(|number| each(self.entry_at(number)));
        Ok(())
    }
}

impl Log for MadeUp {
    fn size(&self) -> u64 {
        self.size
    }

    fn entry(&self, number: u64) -> Result<Option<Entry>, ReadError> {
        (self.read)(number)?;
        let Fed { envelope, record } = self.entry_at(number);
        let (Some(at), Some(record)) = (envelope.at(), record) else { return Ok(None) };
        Ok(Some(Entry {
            number: EntryNumber(number),
            at,
            clock_stepped_back: false,
            record: Arc::unwrap_or_clone(record),
            leaf: envelope.leaf(),
            position: Position { file: String::new(), offset: 0 },
        }))
    }
}
