//! Archives an agency's ledger, and verifies what was archived: what the command line calls.
//!
//! The live ledger is only read, and nothing is made that was not there. What records say goes into the
//! archive only after that is itself on record ([`crate::disclosure`]), for which the server is stopped.

use std::path::{Path, PathBuf};

use keys::KeysError;
use ledger::Reason;
use ledger::archive::{
    Archive, ArchiveChecked, ArchiveError, Archived, CheckArchive, archive, verify_archive,
};

use crate::agency::{Outside, StartError};
use crate::config::{Config, ConfigError};
use crate::disclosure::{DisclosureError, record_archive};
use crate::stopped::{self, StoppedError};
use crate::storage::{StorageError, open};

const SIGNER: &str = "ledger-signer";

/// Why nothing was archived, or an archive does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ArchivingError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It declares no archive.
    #[error("the configuration has no `[ledger.archive]`")]
    NoArchive,
    /// The configured folder holds no ledger.
    #[error("there is no ledger in `{folder}`")]
    NoLedger {
        /// The folder.
        folder: PathBuf,
    },
    /// The ledger is not in a folder.
    #[error("nothing was archived")]
    Elsewhere(#[source] Box<StartError>),
    /// The agency's keys.
    #[error("the ledger's key cannot be had; nothing was archived")]
    Keys(#[from] KeysError),
    /// The key that signs manifests is not there.
    #[error("`{SIGNER}` is not among the agency's keys; nothing was archived")]
    NoKey,
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The runtime.
    #[error("could not start the runtime")]
    Runtime(#[source] std::io::Error),
    /// That content is archived could not be recorded.
    #[error("nothing was archived")]
    Content(#[from] DisclosureError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl From<StoppedError> for ArchivingError {
    fn from(error: StoppedError) -> Self {
        match error {
            StoppedError::NoLedger { folder } => Self::NoLedger { folder },
            StoppedError::Keys(error) => Self::Keys(error),
            StoppedError::NoKey { .. } => Self::NoKey,
            StoppedError::Open(error) => Self::Elsewhere(error),
        }
    }
}

/// Who wants what records say in the archive, and why.
#[derive(Debug, Clone)]
pub struct Content<'a> {
    /// As they say themselves.
    pub by: &'a str,
    /// Why; a reason must be in it.
    pub why: Reason,
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

/// Archives the closed segments of the ledger of a configuration; with `content`, also what records say.
///
/// # Errors
/// [`ArchivingError`]; what was archived before stays, and the next run goes on from there.
pub fn run(
    config: &Path,
    content: Option<&Content<'_>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Archived, ArchivingError> {
    keys::module::require_fips()?;
    let (config, outside) = (Config::read(config)?, Outside::system());
    let declared = config.ledger.archive.as_ref().ok_or(ArchivingError::NoArchive)?;
    let folder = stopped::ledger_folder(&config)?;
    let ring = stopped::keyring(&config)?;
    let signer = ring.find_ed25519(SIGNER)?.ok_or(ArchivingError::NoKey)?;
    let shelf = open(declared, outside.clock.clone())?;
    let disclosing = content.map(|it| record_archive(&config, it.by, &it.why, &outside));
    let disclosing = disclosing.transpose()?;
    let content = disclosing.as_ref().map(|it| &it.key);
    let with = Archive { signer: &signer, content, now: outside.clock.now(), progress };
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
