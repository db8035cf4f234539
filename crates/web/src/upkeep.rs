//! Upkeep of the ledger's search index at the command line, while its server is stopped: building it, and
//! rotating the key that blinds whom and what entries are about.
//!
//! Invariants: a rotation is durably in the ledger before its key is made, so the ledger may say more than
//! happened, never less. An epoch's number is never given twice, not even after its key was destroyed: marks
//! of two keys under one number would be missed silently. Nothing is made where there is no ledger.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keys::keyring::Keyring;
use keys::{KeysError, Random};
use ledger::{AppendError, Event, INDEX_EPOCHS_MAX, IndexDoing, Ledger, ReadError, Record, Search};

use crate::agency::{Outside, StartError, index_keys, index_secret};
use crate::config::{Config, ConfigError};
use crate::stopped::{self, StoppedError};

/// How often the index is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why upkeep was not done.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// The configuration.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// The configured folder holds no ledger.
    #[error("there is no ledger in `{folder}`")]
    NoLedger {
        /// The folder.
        folder: PathBuf,
    },
    /// The ledger's keys are not there, or not under this master key.
    #[error("the ledger's keys cannot be had")]
    Keys(#[from] KeysError),
    /// A key of the ledger is not in the agency's keys.
    #[error("`{name}` is not among the agency's keys")]
    NoKey {
        /// The key's name.
        name: &'static str,
    },
    /// The ledger could not be opened, most often because its server runs.
    #[error("the ledger cannot be opened. Stop its server first")]
    Open(#[source] Box<StartError>),
    /// The search index could not be built.
    #[error("the search index could not be built: {why}")]
    Index {
        /// What it says.
        why: String,
    },
    /// The ledger could not be searched for earlier rotations.
    #[error("earlier rotations could not be looked up, so nothing was rotated")]
    Read(#[from] ReadError),
    /// As many epochs as there can be.
    #[error(
        "the index key was rotated {INDEX_EPOCHS_MAX} times, which is all that there is room for"
    )]
    Epochs,
    /// The rotation did not become durable.
    #[error("the ledger did not record the rotation, so nothing was rotated")]
    Append(#[from] AppendError),
    /// The rotation is on record, and its key could not be made.
    #[error(
        "the rotation is on record as entry {entry}, but its key could not be made. The key before it stays in \
         use; run this again"
    )]
    Key {
        /// The entry.
        entry: u64,
        /// Why not.
        #[source]
        source: KeysError,
    },
}

impl From<StoppedError> for UpkeepError {
    fn from(error: StoppedError) -> Self {
        match error {
            StoppedError::NoLedger { folder } => Self::NoLedger { folder },
            StoppedError::Keys(error) => Self::Keys(error),
            StoppedError::NoKey { name } => Self::NoKey { name },
            StoppedError::Open(error) => Self::Open(error),
        }
    }
}

/// A rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// The epoch that begins with the next start.
    pub epoch: u32,
    /// The entry that says so.
    pub entry: u64,
}

/// Makes a new index key, under which whatever is recorded after the next start is blinded. Earlier keys
/// stay, and find what they blinded. `tick` is told how many entries of how many the search index covers,
/// while it has to catch up first.
///
/// # Errors
/// [`UpkeepError`]: no key was made.
pub fn rotate_index_key(
    config: &Path,
    outside: &Outside,
    tick: &mut dyn FnMut(u64, u64),
) -> Result<Rotated, UpkeepError> {
    let (ledger, ring) = open(config, outside)?;
    let rotated = rotate(&ledger, &ring, &*outside.random, tick)?;
    ledger.close()?;
    Ok(rotated)
}

/// Waits until the search index covers the whole ledger, built anew if that is asked for, and gives the
/// number of its entries. `tick` is told how many of how many it covers.
///
/// # Errors
/// [`UpkeepError`]: searches read what they can without it, and say what they may lack.
pub fn build_index(
    config: &Path,
    rebuild: bool,
    outside: &Outside,
    tick: &mut dyn FnMut(u64, u64),
) -> Result<u64, UpkeepError> {
    let (ledger, _) = open(config, outside)?;
    if rebuild {
        ledger.rebuild_index();
    }
    until_covered(&ledger, tick)?;
    let entries = ledger.size();
    ledger.close()?;
    Ok(entries)
}

/// The ledger of a configuration and the agency's keys, if both are there.
fn open(config: &Path, outside: &Outside) -> Result<(Ledger, Keyring), UpkeepError> {
    keys::module::require_fips()?;
    Ok(stopped::open(&Config::read(config)?, outside)?)
}

fn rotate(
    ledger: &Ledger,
    ring: &Keyring,
    random: &dyn Random,
    tick: &mut dyn FnMut(u64, u64),
) -> Result<Rotated, UpkeepError> {
    let (newest, _) = index_keys(ring, random)?.newest();
    let recorded = last_recorded(ledger, tick)?;
    let epoch = newest.max(recorded) + 1;
    if epoch > INDEX_EPOCHS_MAX {
        return Err(UpkeepError::Epochs);
    }
    let record = Record::platform(Event::IndexKeyRotated { epoch });
    let entry = ledger.enqueue(record)?.wait()?.entry.0;
    let made = ring.secret(&index_secret(epoch), random);
    made.map_err(|source| UpkeepError::Key { entry, source })?;
    Ok(Rotated { epoch, entry })
}

/// The newest epoch that the ledger says was begun; 0 where it says of none. Its key may be gone.
fn last_recorded(ledger: &Ledger, tick: &mut dyn FnMut(u64, u64)) -> Result<u32, UpkeepError> {
    until_covered(ledger, tick)?;
    let kinds = vec!["index-key-rotated".to_owned()];
    let page = ledger.search(&Search { kinds, ..Search::newest(1) })?;
    if let Some(why) = page.incomplete.first() {
        return Err(UpkeepError::Index { why: why.to_string() });
    }
    Ok(match page.entries.first().map(|entry| &entry.record.event) {
        Some(Event::IndexKeyRotated { epoch }) => *epoch,
        _ => 0,
    })
}

fn until_covered(ledger: &Ledger, tick: &mut dyn FnMut(u64, u64)) -> Result<(), UpkeepError> {
    loop {
        let (state, size) = (ledger.index_state(), ledger.size());
        tick(state.covers, size);
        match state.doing {
            IndexDoing::Following if state.covers == size => return Ok(()),
            IndexDoing::Stopped { why } => return Err(UpkeepError::Index { why }),
            IndexDoing::Following | IndexDoing::Checking | IndexDoing::Rebuilding { .. } => {
                std::thread::park_timeout(LOOK_EVERY);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keys::{FixedClock, SystemRandom};
    use ledger::testing::{SimDisk, ledger_on};

    use super::*;

    /// A generator that has broken down.
    struct NoRandom;

    impl Random for NoRandom {
        fn fill(&self, _: &mut [u8]) -> Result<(), KeysError> {
            Err(KeysError::Random)
        }
    }

    fn parts() -> (tempfile::TempDir, Keyring, Arc<SimDisk>, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let master = keys::seal::SealingKey::from_bytes([9; 32]);
        let ring = Keyring::open(&folder.path().join("keys"), &master).unwrap();
        ring.secret("ledger-index", &SystemRandom).unwrap();
        let disk = Arc::new(SimDisk::new());
        let clock = FixedClock::new("2026-11-25T12:00:00Z".parse().unwrap());
        let ledger = ledger_on(&disk, Arc::new(clock));
        (folder, ring, disk, ledger)
    }

    fn key(ring: &Keyring, epoch: u32) -> bool {
        ring.find_secret(&index_secret(epoch)).unwrap().is_some()
    }

    #[test]
    fn a_key_is_not_made_unless_its_rotation_is_on_record() {
        let (_folder, ring, disk, ledger) = parts();
        disk.fail_writes_after("journal", 0);
        let error = rotate(&ledger, &ring, &SystemRandom, &mut |_, _| {}).unwrap_err();
        assert!(matches!(error, UpkeepError::Append(_)), "{error}");
        assert!(!key(&ring, 2));
    }

    #[test]
    fn a_rotation_whose_key_could_not_be_made_is_on_record_and_its_number_is_not_given_again() {
        let (_folder, ring, _disk, ledger) = parts();
        let error = rotate(&ledger, &ring, &NoRandom, &mut |_, _| {}).unwrap_err();
        assert!(matches!(error, UpkeepError::Key { entry: 0, .. }), "{error}");
        assert!(!key(&ring, 2));
        let rotated = rotate(&ledger, &ring, &SystemRandom, &mut |_, _| {}).unwrap();
        assert_eq!(rotated, Rotated { epoch: 3, entry: 1 });
        assert!(!key(&ring, 2) && key(&ring, 3));
    }
}
