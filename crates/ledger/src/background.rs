//! Verifying the whole ledger while it runs, again and again, without being in anybody's way.
//!
//! Opening reads only the end of a ledger. What lies before is read here: damage there stops the
//! ledger, as it would have refused to open.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::error::Damage;
use crate::writer::Fixed;

/// Of all time, a verification in the background works one part in this many.
const REST: u32 = 4;

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
        state.thread = Some(thread.spawn(move || {
            while let Some(mut last) = own.once(&fixed, REST) {
                if last.result.is_err() {
                    let _quiet = quiet.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(again) = own.once(&fixed, 1) else { return };
                    last = again;
                }
                if let Err(damage) = &last.result {
                    damaged(damage);
                }
                own.lock().last = Some(last);
                if !own.rest(every) {
                    return;
                }
            }
        })?);
        Ok(())
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
