//! How far a long piece of work is. Lives in memory: after a restart the state of the export tells
//! where it stands.

use std::sync::PoisonError;

use tokio::sync::watch;
use uuid::Uuid;

use crate::Exchange;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Waiting,
    Sealing,
    Sending,
    Receiving,
    Verifying,
    Done,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sealing => "sealing",
            Self::Sending => "sending",
            Self::Receiving => "receiving",
            Self::Verifying => "verifying",
            Self::Done => "done",
        }
    }
}

/// So many bytes of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub phase: Phase,
    pub done: u64,
    pub total: u64,
}

impl Progress {
    const NONE: Self = Self { phase: Phase::Waiting, done: 0, total: 0 };

    /// Hundredths that are done, rounded down.
    pub fn percent(&self) -> u64 {
        match self.total {
            0 => 0,
            total => self.done.min(total).saturating_mul(100) / total,
        }
    }
}

impl Exchange {
    /// How far the work on an export (by its id) or an incoming parcel (by its exchange) is.
    pub fn progress(&self, id: Uuid) -> Progress {
        let all = self.0.progress.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&id).map_or(Progress::NONE, |sender| *sender.borrow())
    }

    /// The same, as it changes.
    pub fn subscribe(&self, id: Uuid) -> watch::Receiver<Progress> {
        self.progress_sender(id).subscribe()
    }

    pub(crate) fn report(&self, id: Uuid, phase: Phase, done: u64, total: u64) {
        self.progress_sender(id).send_replace(Progress { phase, done, total });
    }

    pub(crate) fn progress_sender(&self, id: Uuid) -> watch::Sender<Progress> {
        let mut all = self.0.progress.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(id).or_insert_with(|| watch::channel(Progress::NONE).0).clone()
    }

    /// Adds to what is done, as the parts of a parcel move side by side.
    pub(crate) fn advance(&self, id: Uuid, more: u64) {
        self.progress_sender(id).send_modify(|progress| {
            progress.done = progress.done.saturating_add(more).min(progress.total);
        });
    }
}
