//! Archives an agency's ledger, and verifies what was archived: what the command line calls.
//!
//! The live ledger is only read. What records say leaves it only after that is itself on record: for
//! that the ledger is opened, which the running server does not allow.

use std::path::Path;

use keys::seal::SealingKey;
use keys::{Clock, Random};
use ledger::archive::{
    Archive, ArchiveChecked, ArchiveError, Archived, CheckArchive, archive, verify_archive,
};
use ledger::{Event, Record};

use crate::agency::{Outside, StartError, ledger_keys, open_keyring, open_ledger};
use crate::config::{Config, ConfigError};
use crate::storage::{StorageError, open};

/// Why nothing was archived, or an archive does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ArchivingError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It declares no archive.
    #[error("the configuration has no `[ledger.archive]`")]
    NoArchive,
    /// Keys, or the ledger where it must be opened.
    #[error(transparent)]
    Agency(#[from] StartError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The runtime.
    #[error("could not start the runtime")]
    Runtime(#[source] std::io::Error),
    /// That content was to be written could not be recorded, so it was not.
    #[error("could not record that content is archived, so nothing was archived")]
    Record(#[source] ledger::AppendError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// What to hold an archive against.
#[derive(Debug, Clone, Copy, Default)]
pub struct Against<'a> {
    /// The verifier key (C2SP) that must have signed.
    pub key: Option<&'a str>,
    /// The least number of entries.
    pub expect_size: Option<u64>,
    /// A checkpoint (signed note) from elsewhere.
    pub checkpoint: Option<&'a str>,
}

/// Archives the closed segments of the ledger of a configuration.
///
/// # Errors
/// [`ArchivingError`]; what was archived before stays, and the next run goes on from there.
pub fn run(
    config: &Path,
    with_content: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Archived, ArchivingError> {
    let (config, outside) = (Config::read(config)?, Outside::system());
    let declared = config.ledger.archive.as_ref().ok_or(ArchivingError::NoArchive)?;
    let ring = open_keyring(&config, &config.data.folder)?;
    let shelf = open(declared, outside.clock.clone())?;
    if with_content {
        let ledger = open_ledger(&config, &ring, &outside)?;
        let what = "archived with its content".to_owned();
        let record = Record::platform(Event::AuditRead { what, count: ledger.size() });
        let recorded = ledger.enqueue(record).and_then(ledger::Pending::wait);
        recorded.and_then(|_| ledger.close()).map_err(ArchivingError::Record)?;
    }
    let random: &dyn Random = &*outside.random;
    let keys = ledger_keys(&ring, random)?;
    let content: Option<&SealingKey> = with_content.then_some(&keys.body);
    let now = Clock::now(&*outside.clock);
    let with = Archive { signer: &keys.signer, content, now, progress };
    let folder = config.data.folder.join("ledger");
    Ok(runtime()?.block_on(archive(&folder, &*shelf, with))?)
}

/// Verifies the archive that a configuration declares. Needs the storage's access key and no other.
///
/// # Errors
/// [`ArchivingError`], which names the object that does not hold.
pub fn verify(
    config: &Path,
    against: Against<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ArchiveChecked, ArchivingError> {
    let config = Config::read(config)?;
    let declared = config.ledger.archive.as_ref().ok_or(ArchivingError::NoArchive)?;
    check(&*open(declared, Outside::system().clock)?.open(), against, progress)
}

/// Verifies an archive that lies in a folder.
///
/// # Errors
/// As [`verify`].
pub fn verify_folder(
    folder: &Path,
    against: Against<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ArchiveChecked, ArchivingError> {
    let store = object_store::local::LocalFileSystem::new_with_prefix(folder);
    check(&store.map_err(StorageError::Store)?, against, progress)
}

fn check(
    store: &dyn object_store::ObjectStore,
    against: Against<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ArchiveChecked, ArchivingError> {
    let Against { key, expect_size, checkpoint } = against;
    let with = CheckArchive { key, expect_size, checkpoint, progress };
    Ok(runtime()?.block_on(verify_archive(store, with))?)
}

fn runtime() -> Result<tokio::runtime::Runtime, ArchivingError> {
    tokio::runtime::Runtime::new().map_err(ArchivingError::Runtime)
}
