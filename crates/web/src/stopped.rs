//! The ledger of a configuration whose server is stopped, for commands, and the words of whoever gives one.
//!
//! Invariant: nothing is made that was not there: neither a ledger, nor a key of it. Nobody is signed in at the
//! command line: the name that is given goes on record as such.

use std::path::PathBuf;

use keys::KeysError;
use keys::keyring::{Keyring, read_master};
use keys::seal::SealingKey;
use ledger::{AppendError, Event, Ledger, Record};
use state::{State, StateError};

use crate::agency::{Outside, StartError, open_ledger, open_state};
use crate::config::{Config, ConfigError};

/// Longest name or reason of whoever orders something at the command line, in bytes.
pub(crate) const ORDER_BYTES_MAX: usize = 500;

/// The name or the reason of whoever orders something, if it can go on record: without blanks around it.
pub(crate) fn ordered(text: &str) -> Option<&str> {
    let text = text.trim();
    let sound = (1..=ORDER_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    sound.then_some(text)
}

/// Why it can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoppedError {
    #[error("there is no ledger in `{folder}`: start the server once")]
    NoLedger { folder: PathBuf },
    /// They are not there, or not under this master key.
    #[error("the agency's keys cannot be had")]
    Keys(#[from] KeysError),
    #[error("`{name}` is not among the agency's keys")]
    NoKey { name: &'static str },
    #[error("the ledger or the state can't be opened. Stop the server first")]
    Open(#[source] Box<StartError>),
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
    /// Records that something of the state is about to be shown at the command line, where nobody is signed in.
    pub(crate) async fn record_list(
        ledger: &Ledger,
        what: &str,
        lines: &[String],
    ) -> Result<(), AppendError> {
        let event = Event::Listed {
            by: "somebody at the command line".to_owned(),
            what: what.to_owned(),
            count: u64::try_from(lines.len()).unwrap_or(u64::MAX),
            digest: hex::encode(ledger::digest(lines.join("\n").as_bytes())),
        };
        ledger.append(Record::platform(event)).await.map(|_| ())
    }

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
