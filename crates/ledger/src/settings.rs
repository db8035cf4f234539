//! Where and how a ledger is kept, and its keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use keys::mac::MacKey;
use keys::seal::SealingKey;
use keys::sign::Ed25519Key;

use crate::OpenError;
use crate::body::{BODY_BYTES_MAX, SEALED_EXTRA};
use crate::frame::{FRAME_ENTRIES_MAX, frame_taken};
use crate::note::is_key_name;
use crate::record::Subject;
use crate::watched::Witnessing;

/// Where and how a ledger is kept. Durability is not among these: it can't be turned off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub folder: PathBuf,
    /// Name of the log to the world (C2SP origin): `riverton.example/ledger`.
    pub origin: String,
    /// The agency's ORI.
    pub ori: String,
    /// Longest log or body segment; 16 KiB to 1 GiB.
    pub segment_bytes: u64,
    /// Length of the journal, written when the ledger is created; 64 KiB to 64 MiB. A record
    /// may take up a quarter of it.
    pub journal_bytes: u64,
    /// Room kept free in each open segment for recording that there is no room; at most a
    /// quarter of a segment.
    pub reserve_bytes: u64,
    /// Most records that may wait; beyond it, appends are refused as busy.
    pub queue_max: usize,
    /// How far the clock may go back before appends are refused.
    pub clock_back_max: Duration,
    /// How often a checkpoint is published, at most.
    pub checkpoint_wait: Duration,
    /// How long a caller waits for the disk; until it answers again, appends are refused at once.
    pub append_wait_max: Duration,
    /// Entries up to this time were written while the clock was wrong: that they lie ahead of it
    /// is no reason to refuse records. Unset, a clock behind the last entry is.
    pub clock_wrong_until: Option<Timestamp>,
    /// How often the volume is looked at.
    pub capacity_wait: Duration,
    /// From this percentage of used room on there is an alarm (AU-5); 50 to 100.
    pub capacity_warn_percent: u8,
    /// Of the published checkpoints, one in this time at most is also kept in the list of all.
    pub list_wait: Duration,
    /// After a failure, the least time before the ledger is opened again.
    pub retry_wait: Duration,
    /// Who cosigns this ledger's checkpoints.
    pub witnessing: Witnessing,
    /// Months that audit records are kept; AU-11 asks for 12 at least.
    pub standard_months: u32,
    /// Months that records of dissemination are kept.
    pub dissemination_months: u32,
}

impl Settings {
    /// The defaults for a folder.
    pub fn new(folder: &Path, origin: &str, ori: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            origin: origin.to_owned(),
            ori: ori.to_owned(),
            segment_bytes: 64 << 20,
            journal_bytes: 2 << 20,
            reserve_bytes: 64 << 10,
            queue_max: 16_384,
            clock_back_max: Duration::from_secs(60),
            checkpoint_wait: Duration::from_secs(1),
            append_wait_max: Duration::from_secs(30),
            clock_wrong_until: None,
            capacity_wait: Duration::from_secs(60),
            capacity_warn_percent: 90,
            list_wait: Duration::from_secs(600),
            retry_wait: Duration::from_millis(250),
            witnessing: Witnessing::none(),
            standard_months: 36,
            dissemination_months: 120,
        }
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let wrong = |key, value: String, expected| OpenError::Setting { key, value, expected };
        if !is_key_name(&self.origin) {
            let expected = "a name without spaces and plus signs";
            return Err(wrong("origin", self.origin.clone(), expected));
        }
        if self.ori.is_empty() || !self.ori.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(wrong("ori", self.ori.clone(), "letters and digits"));
        }
        let number = |key, value: u64, least, most, expected| match (least..=most).contains(&value)
        {
            true => Ok(()),
            false => Err(wrong(key, value.to_string(), expected)),
        };
        let (segment, journal) = (self.segment_bytes, self.journal_bytes);
        number("segment_bytes", segment, 16 << 10, 1 << 30, "16 KiB to 1 GiB")?;
        number("journal_bytes", journal, 64 << 10, 64 << 20, "64 KiB to 64 MiB")?;
        let most = segment / 4;
        number("reserve_bytes", self.reserve_bytes, 0, most, "at most a quarter of a segment")?;
        number("queue_max", self.queue_max as u64, 1, 1 << 20, "1 to 1048576")?;
        let percent = u64::from(self.capacity_warn_percent);
        number("capacity_warn_percent", percent, 50, 100, "50 to 100 percent")?;
        let months = u64::from(self.standard_months);
        number("standard_months", months, 12, 1200, "12 to 1200 months (AU-11)")?;
        let months = u64::from(self.dissemination_months);
        number("dissemination_months", months, 12, 1200, "12 to 1200 months (AU-11)")
    }

    /// Most bytes of sealed bodies in one batch: they fit a segment beside its reserve, and the
    /// journal takes two such batches.
    pub(crate) fn batch_bytes_max(&self) -> usize {
        let segment = (self.segment_bytes - self.reserve_bytes) / 2;
        let most = segment.min(self.journal_bytes / 4).min(1 << 20);
        usize::try_from(most).unwrap_or(1 << 20)
    }

    /// Most entries in one batch: their frame fits a segment and the journal.
    pub(crate) fn batch_entries_max(&self) -> usize {
        let most = ((self.segment_bytes - self.reserve_bytes) / 2).min(self.journal_bytes / 4);
        let fits = |count: &usize| frame_taken(*count) as u64 <= most;
        (1..=FRAME_ENTRIES_MAX).rev().step_by(64).find(fits).unwrap_or(1)
    }

    /// Longest record, as JSON with its shared half.
    pub(crate) fn record_bytes_max(&self) -> usize {
        (self.batch_bytes_max() - SEALED_EXTRA - 64).min(BODY_BYTES_MAX)
    }
}

/// The keys of a ledger.
pub struct LedgerKeys {
    /// Signs checkpoints.
    pub signer: Ed25519Key,
    /// The master under which the retention buckets' keys are wrapped.
    pub body: SealingKey,
    /// Blind subjects, and names in the search index.
    pub index: IndexKeys,
}

/// The epochs of a ring end here; a rotation a day for over a century does not reach it.
pub const INDEX_EPOCHS_MAX: u32 = 65_536;

/// The index keys by epoch, numbered from 1. The newest blinds what is new; all that are there
/// find. A key that is missing among them was destroyed: what it blinded is found no more.
#[derive(Debug, Clone)]
pub struct IndexKeys {
    newest: (u32, MacKey),
    older: BTreeMap<u32, MacKey>,
}

impl IndexKeys {
    /// A ring of one key, of the first epoch.
    pub fn one(key: MacKey) -> Self {
        Self { newest: (1, key), older: BTreeMap::new() }
    }

    /// A ring of these keys; `None` without any, or with an epoch outside 1 to
    /// [`INDEX_EPOCHS_MAX`].
    pub fn new(keys: impl IntoIterator<Item = (u32, MacKey)>) -> Option<Self> {
        let mut older: BTreeMap<u32, MacKey> = keys.into_iter().collect();
        let sound = older.keys().all(|epoch| (1..=INDEX_EPOCHS_MAX).contains(epoch));
        let newest = older.pop_last()?;
        sound.then_some(Self { newest, older })
    }

    /// The epoch and key that blind what is new.
    pub fn newest(&self) -> (u32, &MacKey) {
        (self.newest.0, &self.newest.1)
    }

    /// All keys, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = (u32, &MacKey)> {
        let newest = std::iter::once(self.newest());
        self.older.iter().map(|(epoch, key)| (*epoch, key)).chain(newest)
    }

    /// A subject's marks, one for each epoch whose key is there.
    pub(crate) fn marks(&self, subject: &Subject) -> Vec<(u32, [u8; 32])> {
        self.all().map(|(epoch, key)| (epoch, mark(key, subject))).collect()
    }
}

impl From<MacKey> for IndexKeys {
    fn from(key: MacKey) -> Self {
        Self::one(key)
    }
}

/// A subject's mark under a key: what is stored of it.
pub(crate) fn mark(key: &MacKey, subject: &Subject) -> [u8; 32] {
    key.tag(&[subject.kind.as_bytes(), &[0], subject.id.as_bytes()])
}
