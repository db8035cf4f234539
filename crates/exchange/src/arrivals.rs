//! The folder for what arrives: sealed parcels that a program of the agency lays there, copied off a medium, out of an SFTP
//! folder or a bucket. Each is taken in as if somebody had brought it, and a short answer is left beside its place.
//!
//! Invariants: an entry is looked at only under its whole name, which it gets when it is complete; it goes when it is taken
//! in or refused, on record; what fails here stays and is tried again.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
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

/// How long nothing is looked at after something failed.
const PAUSE: SignedDuration = SignedDuration::from_secs(60);

/// What is known of the folder from one round to the next.
#[derive(Default)]
pub(crate) struct Rest {
    until: Option<Timestamp>,
    /// What was taken in or refused, and can't be removed.
    done: BTreeSet<PathBuf>,
}

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
        let now = self.now();
        let waits = |rest: &Rest| rest.until.is_some_and(|until| now < until);
        if waits(&self.0.arrivals.lock().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let Some(claim) = self.claim(CLAIM) else { return };
        let this = self.clone();
        tokio::spawn(async move {
            if let Err(error) = this.take_arrivals().await {
                tracing::warn!(error = error.chain(), "not all that arrived was taken in");
                // What fails is not read and copied anew each second.
                let mut rest = this.0.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
                rest.until = now.saturating_add(PAUSE).ok();
            }
            drop(claim);
        });
    }

    /// Takes in what lies in the folder. What is refused goes too; what fails here stays.
    pub(crate) async fn take_arrivals(&self) -> Result<(), ExchangeError> {
        let folder = arrivals(&self.0.setup.store);
        let mut first = FirstError::default();
        let mut entries = whole(&folder).map_err(store("look at what arrived"))?;
        {
            let mut rest = self.0.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            rest.done.retain(|path| entries.contains(path));
            entries.retain(|path| !rest.done.contains(path));
        }
        entries.truncate(ROUND_MAX);
        for entry in entries {
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
        let place = entry.to_owned();
        let end = move || {
            leave(&answer_for(&place), &arrived)?;
            if place.is_dir() { fs::remove_dir_all(&place) } else { fs::remove_file(&place) }
        };
        let ended = tokio::task::spawn_blocking(end).await.map_err(|_| ExchangeError::Stopped)?;
        if ended.is_err() {
            // It is not taken in again each round, for it can't be removed.
            let mut rest = self.0.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            rest.done.insert(entry.to_owned());
        }
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
