//! What a ledger's threads share: the head, its health, and what does not change while it is open.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use keys::{Clock, Random};

use crate::error::AppendError;
use crate::identity::Identity;
use crate::local::Place;
use crate::note::Checkpoint;
use crate::recent::Recent;
use crate::settings::{LedgerKeys, Settings};
use crate::store::{Head, Store};
use crate::watched::Watched;

/// What readers and the writer share.
pub(crate) struct Shared {
    pub(crate) head: RwLock<Head>,
    pub(crate) health: Mutex<Health>,
    /// Since when the writer waits for the disk.
    pub(crate) writing: Mutex<Option<(Instant, Timestamp)>>,
    /// Why nothing is taken any more until the ledger is opened anew.
    pub(crate) stopped: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Head> {
        self.head.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Head> {
        self.head.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the disk has not answered, if that is longer ago than `wait`.
    pub(crate) fn hangs_since(&self, wait: Duration) -> Option<Timestamp> {
        let writing = *self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        writing.filter(|(begun, _)| begun.elapsed() >= wait).map(|(_, since)| since)
    }

    pub(crate) fn set_writing(&self, since: Option<Timestamp>) {
        let writing = since.map(|since| (Instant::now(), since));
        *self.writing.lock().unwrap_or_else(PoisonError::into_inner) = writing;
    }

    /// Takes nothing any more.
    pub(crate) fn stop(&self, since: Timestamp, why: &str) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
        self.set_health(Health::Stalled { since, why: why.to_owned() });
    }

    pub(crate) fn stopped(&self) -> Option<String> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_health(&self, health: Health) {
        // One who stopped it does so for good.
        if self.stopped().is_some() && health == Health::Recording {
            return;
        }
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

/// Whether records are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Recording,
    /// Since when they are refused, and why, in plain words.
    Stalled {
        since: Timestamp,
        why: String,
    },
}

/// What does not change while a ledger is open.
pub(crate) struct Fixed {
    /// The folder of what is this machine's own, wherever the log is kept.
    pub(crate) place: Place,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) settings: Settings,
    pub(crate) keys: LedgerKeys,
    pub(crate) identity: Identity,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) shared: Shared,
    pub(crate) watched: Watched,
    /// The newest entries, for the search index.
    pub(crate) recent: Recent,
    /// Somebody is at work on a copy for a hold, which is therefore no leftover.
    pub(crate) copying: AtomicBool,
    /// Rises before and after each destruction of a bucket: odd while one goes on.
    pub(crate) destroying: AtomicU64,
}

impl Fixed {
    pub(crate) fn health(&self) -> Health {
        let wait = self.settings.append_wait_max;
        match self.shared.hangs_since(wait) {
            Some(since) => Health::Stalled { since, why: AppendError::no_answer(wait).to_string() },
            None => self.shared.health.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Refuses where nothing is taken any more, and therefore nothing destroyed either.
    pub(crate) fn check_stopped(&self) -> Result<(), AppendError> {
        let witnessed = || self.watched.stopped().map(|stop| stop.words());
        match self.shared.stopped().or_else(witnessed) {
            Some(why) => Err(AppendError::Stopped { why }),
            None => Ok(()),
        }
    }

    /// The signed note for the ledger as it stands.
    pub(crate) fn checkpoint(&self) -> String {
        self.note(&self.shared.read())
    }

    /// The signed note for a head.
    pub(crate) fn note(&self, head: &Head) -> String {
        let origin = self.identity.origin.clone();
        let checkpoint = Checkpoint { origin, size: head.size(), root: head.root };
        let signature = head.signature.unwrap_or_else(|| checkpoint.sign(&self.keys.signer));
        checkpoint.note(&self.identity.key, &signature)
    }
}
