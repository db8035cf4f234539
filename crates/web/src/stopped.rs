//! The ledger of a configuration whose server is stopped, for commands.
//!
//! Invariant: nothing is made that was not there: neither a ledger, nor a key of it.

use std::path::PathBuf;

use keys::KeysError;
use keys::keyring::{Keyring, read_master};
use keys::seal::SealingKey;
use ledger::{AppendError, Ledger};
use state::{State, StateError};

use crate::agency::{Outside, StartError, open_ledger, open_state};
use crate::config::{Config, ConfigError};

/// Why it can't be opened. Each command says it in its own words.
pub(crate) enum StoppedError {
    /// The configured folder holds no ledger.
    NoLedger { folder: PathBuf },
    /// The agency's keys are not there, or not under this master key.
    Keys(KeysError),
    /// A key of the ledger is not among the agency's.
    NoKey { name: &'static str },
    /// Most often because the server runs.
    Open(Box<StartError>),
}

impl From<KeysError> for StoppedError {
    fn from(error: KeysError) -> Self {
        Self::Keys(error)
    }
}

/// The configured ledger's folder, if there is a ledger in it.
pub(crate) fn ledger_folder(config: &Config) -> Result<PathBuf, StoppedError> {
    let folder = config.data.folder.join("ledger");
    if config.ledger.postgres.is_some() {
        let what = "has the ledger, and this works on one in a folder: \
                    `bailiwick ledger export-folder` makes one";
        let (path, what) = (folder, what.to_owned());
        let error = ConfigError::Value { path, key: "ledger.postgres", what };
        return Err(StoppedError::Open(Box::new(StartError::Config(error))));
    }
    match folder.join("ledger").is_file() {
        true => Ok(folder),
        false => Err(StoppedError::NoLedger { folder }),
    }
}

/// The agency's keys.
pub(crate) fn keyring(config: &Config) -> Result<Keyring, KeysError> {
    let master = read_master(&config.data.master_key)?;
    Keyring::existing(&config.data.folder.join("keys"), &master)
}

/// The ledger, and the agency's keys.
pub(crate) fn open(config: &Config, outside: &Outside) -> Result<(Ledger, Keyring), StoppedError> {
    ledger_folder(config)?;
    let ring = keyring(config)?;
    if let Some(name) = missing_key(&ring)? {
        return Err(StoppedError::NoKey { name });
    }
    let ledger = open_ledger(config, &ring, outside);
    Ok((ledger.map_err(|error| StoppedError::Open(Box::new(error)))?, ring))
}

/// A key that opening the ledger would make, for it is not there.
fn missing_key(ring: &Keyring) -> Result<Option<&'static str>, KeysError> {
    let secrets = ring.secrets()?;
    let has = |name: &str| secrets.iter().any(|secret| secret.starts_with(name));
    Ok([
        ("ledger-signer", ring.find_ed25519("ledger-signer")?.is_some()),
        ("ledger-index", has("ledger-index")),
        ("ledger-body", has("ledger-body")),
    ]
    .into_iter()
    .find_map(|(name, there)| (!there).then_some(name)))
}

/// The ledger and the state of a configuration whose server is stopped.
pub(crate) struct Rooms {
    pub(crate) ledger: Ledger,
    pub(crate) state: State,
    pub(crate) outside: Outside,
}

impl Rooms {
    pub(crate) async fn open(config: &Config) -> Result<Self, StoppedError> {
        let outside = Outside::system();
        let (ledger, ring) = open(config, &outside)?;
        let sealing = SealingKey::from_bytes(ring.secret("state", &*outside.random)?);
        let state = open_state(&config.data.folder, sealing).await;
        let state = state.map_err(|error| StoppedError::Open(Box::new(error)))?;
        Ok(Self { ledger, state, outside })
    }

    pub(crate) async fn close<E: From<StateError> + From<AppendError>>(self) -> Result<(), E> {
        self.state.close().await?;
        self.ledger.close()?;
        Ok(())
    }
}
