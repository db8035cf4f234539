//! The folder for what arrives: sealed parcels that a program of the agency lays there, copied off a medium, out of an SFTP
//! folder or a bucket. Each is taken in as if somebody had brought it, and a short answer is left beside its place.
//!
//! Invariants: an entry is looked at only under its whole name, which it gets when it is complete; it goes when it is taken
//! in or refused, on record; what fails here stays and is tried again.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::carried::Carried;
use crate::error::{FirstError, store};
use crate::{Exchange, ExchangeError};

/// Entries that are looked at in one round.
const ROUND_MAX: usize = 100;
/// The ending of an answer's name.
const SAID: &str = "said";
/// What claims the folder for one round at a time.
const CLAIM: Uuid = Uuid::from_u128(0x6172_7269_7661_6c73);

/// What became of what lay in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrived {
    pub taken: bool,
    /// In words.
    pub words: String,
    /// Our ledger entry, where there is one.
    pub entry: Option<u64>,
    /// The exchange, where it was taken in.
    pub exchange: Option<Uuid>,
}

/// The folder for what arrives, below the store of an exchange.
pub fn arrivals(store: &Path) -> PathBuf {
    store.join("arrivals")
}

/// Where the answer about an entry is left.
pub fn answer_for(entry: &Path) -> PathBuf {
    let mut name = entry.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(SAID);
    entry.with_file_name(name)
}

impl Exchange {
    /// Looks through the folder in a task of its own, where none does.
    pub(crate) fn look_at_arrivals(&self) {
        let Some(claim) = self.claim(CLAIM) else { return };
        let this = self.clone();
        tokio::spawn(async move {
            if let Err(error) = this.take_arrivals().await {
                tracing::warn!(error = error.chain(), "not all that arrived was taken in");
            }
            drop(claim);
        });
    }

    /// Takes in what lies in the folder. What is refused goes too; what fails here stays.
    pub(crate) async fn take_arrivals(&self) -> Result<(), ExchangeError> {
        let folder = arrivals(&self.0.setup.store);
        let mut first = FirstError::default();
        for entry in whole(&folder).map_err(store("look at what arrived"))? {
            first.note("what arrived was not taken in", self.take_arrival(&entry).await);
        }
        first.end()
    }

    async fn take_arrival(&self, entry: &Path) -> Result<(), ExchangeError> {
        let arrived = match self.take_in_parcel(None, Carried::Place(entry.to_owned())).await {
            Ok(parcel) => Arrived {
                taken: true,
                words: format!("received from {} ({})", parcel.sender_name, parcel.partner),
                entry: parcel.received_entry,
                exchange: Some(parcel.exchange),
            },
            Err(ExchangeError::NotTaken { entry, why }) => {
                Arrived { taken: false, words: why, entry: Some(entry.0), exchange: None }
            }
            Err(error) => return Err(error),
        };
        let entry = entry.to_owned();
        let end = move || {
            let gone =
                if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
            gone.and_then(|()| leave(&answer_for(&entry), &arrived))
        };
        let ended = tokio::task::spawn_blocking(end).await.map_err(|_| ExchangeError::Stopped)?;
        ended.map_err(store("clear what arrived"))
    }
}

/// What lies there under its whole name, in its order. Names that begin with a dot are still being written.
fn whole(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let said = path.extension().is_some_and(|end| end == SAID);
        if !name.starts_with('.') && !said {
            found.push(path);
        }
    }
    found.sort();
    found.truncate(ROUND_MAX);
    Ok(found)
}

fn leave(place: &Path, arrived: &Arrived) -> io::Result<()> {
    let json = serde_json::to_vec(arrived).map_err(io::Error::other)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(place.file_name().unwrap_or_default());
    let unfinished = place.with_file_name(hidden);
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(&json)?;
    file.sync_all()?;
    fs::rename(&unfinished, place)
}
