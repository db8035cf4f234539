//! The room's outside, on memory alone while its inside is being built.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use keys::mac::MacKey;
use keys::seal::SealingKey;
use keys::sign::Ed25519Key;
use keys::{Clock, Random};

use crate::merkle::{CompactRange, Hash, leaf_hash};
use crate::{
    AppendError, Blind, Damage, Entry, EntryNumber, OpenError, Page, Position, ReadError, Receipt,
    Record, Search, StoredRecord, Subject,
};

/// Where and how a ledger is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    pub folder: PathBuf,
    /// C2SP origin: `riverton.example/ledger`.
    pub origin: String,
    pub ori: String,
    pub segment_bytes: u64,
    pub journal_bytes: u64,
    pub reserve_bytes: u64,
    pub queue_max: usize,
}

impl Settings {
    /// The defaults for a folder.
    pub fn new(folder: &Path, origin: &str, ori: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            origin: origin.to_owned(),
            ori: ori.to_owned(),
            segment_bytes: 64 << 20,
            journal_bytes: 4 << 20,
            reserve_bytes: 64 << 10,
            queue_max: 16_384,
        }
    }
}

/// The keys of a ledger.
pub struct LedgerKeys {
    pub signer: Ed25519Key,
    /// Master under which retention buckets' keys are wrapped.
    pub body: SealingKey,
    /// Blinds subjects.
    pub index: MacKey,
}

/// An open ledger; clones share it.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    settings: Settings,
    keys: LedgerKeys,
    clock: Arc<dyn Clock>,
    entries: Mutex<Vec<Entry>>,
    appends_max: usize,
}

/// A record on its way to disk.
pub struct Pending(Result<Receipt, AppendError>);

impl Pending {
    pub async fn durable(self) -> Result<Receipt, AppendError> {
        self.0
    }

    /// As [`Self::durable`], for callers outside of a runtime.
    pub fn wait(self) -> Result<Receipt, AppendError> {
        self.0
    }
}

impl Ledger {
    pub fn open_or_create(
        settings: Settings,
        keys: LedgerKeys,
        clock: Arc<dyn Clock>,
        _random: Arc<dyn Random>,
    ) -> Result<Self, OpenError> {
        let (entries, appends_max) = (Mutex::default(), usize::MAX);
        Ok(Self(Arc::new(Inner { settings, keys, clock, entries, appends_max })))
    }

    /// Takes the record and gives its place in the order; its durability comes with the pending.
    pub fn enqueue(&self, record: Record) -> Result<Pending, AppendError> {
        let mut entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.0.appends_max {
            let source = Arc::new(std::io::Error::other("the disk was made to fail"));
            return Ok(Pending(Err(AppendError::Disk {
                doing: "write",
                path: self.0.settings.folder.clone(),
                source,
            })));
        }
        let subjects = record.subjects.iter();
        let subjects =
            subjects.map(|it| Blind { kind: it.kind.clone(), mark: self.blind(it) }).collect();
        let number = EntryNumber(entries.len() as u64);
        let at = self.0.clock.now();
        let leaf = leaf_hash(&number.0.to_be_bytes());
        let Record { who, origin, why, event, .. } = record;
        entries.push(Entry {
            number,
            at,
            clock_stepped_back: false,
            record: StoredRecord { who, origin, why, subjects, event },
            leaf,
            position: Position { file: String::new(), offset: 0 },
        });
        Ok(Pending(Ok(Receipt { entry: number, at, leaf })))
    }

    /// Durable on return. A caller that goes away does not cancel it.
    pub async fn append(&self, record: Record) -> Result<Receipt, AppendError> {
        self.enqueue(record)?.durable().await
    }

    pub fn blind(&self, subject: &Subject) -> [u8; 32] {
        self.0.keys.index.tag(&[subject.kind.as_bytes(), &[0], subject.id.as_bytes()])
    }

    pub fn size(&self) -> u64 {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    pub fn checkpoint(&self) -> Result<String, ReadError> {
        let mut range = CompactRange::new();
        for entry in self.0.entries.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            range.push(entry.leaf, &mut |_, _, _| {});
        }
        Ok(format!("{}\n{}\n", self.0.settings.origin, range.size()))
    }

    pub fn prove(&self, entry: EntryNumber, size: u64) -> Result<Vec<Hash>, ReadError> {
        Err(ReadError::NoEntry { entry, size })
    }

    pub fn read(&self, entry: EntryNumber) -> Result<Entry, ReadError> {
        let entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let size = entries.len() as u64;
        let found = usize::try_from(entry.0).ok().and_then(|at| entries.get(at)).cloned();
        found.ok_or(ReadError::NoEntry { entry, size })
    }

    pub fn search(&self, search: &Search) -> Result<Page, ReadError> {
        let entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = entries.iter().rev().take(search.limit as usize).cloned().collect();
        Ok(Page { entries, more: false })
    }

    /// Writes out what is held back and closes. Later appends are refused.
    pub fn close(&self) -> Result<(), AppendError> {
        Ok(())
    }
}

/// What to hold a folder against.
pub struct VerifyOptions<'a> {
    pub expect_size: Option<u64>,
    /// C2SP verifier key; without it, the one in the folder.
    pub key: Option<String>,
    pub progress: &'a mut dyn FnMut(u64, u64),
}

/// A ledger that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
    /// The signed note for this size.
    pub checkpoint: String,
}

pub fn verify(_folder: &Path, _options: VerifyOptions<'_>) -> Result<Verified, Damage> {
    Err(Damage {
        file: "ledger".to_owned(),
        offset: 0,
        entry: None,
        what: "nothing is written to disk yet".to_owned(),
    })
}

#[doc(hidden)]
pub mod testing {
    //! Ledgers for the tests of other rooms.

    use super::{
        Arc, Clock, Ed25519Key, Inner, Ledger, LedgerKeys, MacKey, Mutex, Path, SealingKey,
        Settings,
    };

    /// A ledger on a disk in memory, with made-up keys.
    pub fn ledger(clock: Arc<dyn Clock>) -> Ledger {
        fails_after(usize::MAX, clock)
    }

    /// As [`ledger`], on a disk that fails after so many appends.
    #[expect(clippy::unwrap_used, reason = "for tests")]
    pub fn fails_after(appends_max: usize, clock: Arc<dyn Clock>) -> Ledger {
        let keys = LedgerKeys {
            signer: Ed25519Key::from_seed([1; 32]).unwrap(),
            body: SealingKey::from_bytes([2; 32]),
            index: MacKey::from_bytes([3; 32]),
        };
        let settings = Settings::new(Path::new("/"), "riverton.example/ledger", "NB0010100");
        Ledger(Arc::new(Inner { settings, keys, clock, entries: Mutex::default(), appends_max }))
    }
}
