//! Verifying the whole ledger while it runs, again and again, without being in anybody's way.
//!
//! Opening reads only the end of a ledger. What lies before is read here: damage there stops the
//! ledger, as it would have refused to open. A file that the disk does not give is no damage yet:
//! it is tried again soon, and stops the ledger when it has not been read for some tries.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::error::Damage;
use crate::shared::Fixed;

/// Of all time, a verification in the background works one part in this many.
const REST: u32 = 4;
/// How soon it is tried again when a file could not be read, and how often before that counts as
/// damage.
const UNREAD_WAIT: Duration = Duration::from_secs(20 * 60);
const UNREAD_MAX: u32 = 3;
/// How often a verification is repeated because something was destroyed meanwhile.
const AGAIN_MAX: u32 = 3;

/// What came of verifying a ledger while it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastVerification {
    /// When it ended.
    pub at: Timestamp,
    /// Entries that were looked at.
    pub size: u64,
    /// What was found.
    pub result: Result<(), Damage>,
}

#[derive(Default)]
struct State {
    last: Option<LastVerification>,
    thread: Option<JoinHandle<()>>,
    closing: bool,
}

/// The thread that verifies, if it was started.
#[derive(Default)]
pub(crate) struct Background {
    state: Mutex<State>,
    changed: Condvar,
}

impl Background {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn last(&self) -> Option<LastVerification> {
        self.lock().last.clone()
    }

    /// Verifies now and then every so often, until it is closed. Damage is believed when a second
    /// look, during which `quiet` is held and nothing is disposed of, finds it too; `damaged` is
    /// told. A second start does nothing.
    pub(crate) fn start(
        self: &Arc<Self>,
        fixed: Arc<Fixed>,
        every: Duration,
        quiet: Arc<Mutex<()>>,
        damaged: impl Fn(&Damage) + Send + 'static,
    ) -> std::io::Result<()> {
        let mut state = self.lock();
        if state.thread.is_some() || state.closing {
            return Ok(());
        }
        let own = Arc::clone(self);
        let thread = std::thread::Builder::new().name("ledger-verify".to_owned());
        state.thread = Some(thread.spawn(move || own.run(&fixed, every, &quiet, &damaged))?);
        Ok(())
    }

    fn run(&self, fixed: &Fixed, every: Duration, quiet: &Mutex<()>, damaged: &dyn Fn(&Damage)) {
        let mut unread = 0;
        loop {
            let Some(mut last) = self.once(fixed, REST) else { return };
            if last.result.is_err() {
                let _quiet = quiet.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(again) = self.undisturbed(fixed) else { return };
                last = again;
            }
            unread = match &last.result {
                Err(damage) if damage.unread => unread + 1,
                _ => 0,
            };
            if let Err(damage) = &last.result {
                if damage.unread && unread < UNREAD_MAX {
                    tracing::error!(%damage, "a part of the ledger could not be read");
                } else {
                    damaged(damage);
                }
            }
            self.lock().last = Some(last);
            if !self.rest(if unread == 0 { every } else { every.min(UNREAD_WAIT) }) {
                return;
            }
        }
    }

    /// As [`Self::once`], at full speed, with nothing destroyed meanwhile: an opening goes on with
    /// disposals by itself.
    fn undisturbed(&self, fixed: &Fixed) -> Option<LastVerification> {
        let mut tries = 1;
        loop {
            let before = fixed.destroying.load(Ordering::SeqCst);
            let last = self.once(fixed, 1)?;
            let quiet =
                before.is_multiple_of(2) && before == fixed.destroying.load(Ordering::SeqCst);
            if quiet || last.result.is_ok() || tries == AGAIN_MAX {
                return Some(last);
            }
            tries += 1;
        }
    }

    /// Verifies once, working one part of the time in `rest`; `None` if it was stopped, or where
    /// the store can't.
    pub(crate) fn once(&self, fixed: &Fixed, rest: u32) -> Option<LastVerification> {
        let size = fixed.shared.read().size();
        let since = Mutex::new(Instant::now());
        let pace = || {
            let mut since = since.lock().unwrap_or_else(PoisonError::into_inner);
            let goes_on = self.rest(since.elapsed() * rest.saturating_sub(1));
            *since = Instant::now();
            goes_on.then_some(()).ok_or_else(|| std::io::Error::other("the ledger is closing"))
        };
        let result = fixed.store.verify(size, &pace)?;
        let closing = self.lock().closing;
        (!closing).then(|| LastVerification { at: fixed.clock.now(), size, result })
    }

    /// Rests; `false` when it is to end.
    fn rest(&self, time: Duration) -> bool {
        let state = self.lock();
        let rested = self.changed.wait_timeout_while(state, time, |state| !state.closing);
        !rested.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    /// Ends the thread and waits for it.
    pub(crate) fn close(&self) {
        let thread = {
            let mut state = self.lock();
            state.closing = true;
            state.thread.take()
        };
        self.changed.notify_all();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that verifies the ledger panicked");
        }
    }
}
