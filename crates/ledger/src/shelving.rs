//! The thread that moves closed ranges of a shared ledger to its object store, and deletes there what was
//! disposed of, in nobody's way.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::shared::Fixed;

/// What the thread is told.
#[derive(Default)]
struct State {
    closing: bool,
    sweep: bool,
}

/// Calls the thread.
#[derive(Default)]
pub(crate) struct Calls {
    told: Mutex<State>,
    changed: Condvar,
}

/// What it was called for.
enum Call {
    Close,
    /// Something was disposed of.
    Sweep,
    /// Nobody called for a while.
    Move,
}

impl Calls {
    fn told(&self) -> MutexGuard<'_, State> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it delete what was disposed of, now.
    pub(crate) fn sweep(&self) {
        self.told().sweep = true;
        self.changed.notify_all();
    }

    fn close(&self) {
        self.told().closing = true;
        self.changed.notify_all();
    }

    fn is_closing(&self) -> bool {
        self.told().closing
    }

    fn wait(&self, at_most: Duration) -> Call {
        let idle = |told: &mut State| !told.closing && !told.sweep;
        let waited = self.changed.wait_timeout_while(self.told(), at_most, idle);
        let (mut told, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (told.closing, std::mem::take(&mut told.sweep)) {
            (true, _) => Call::Close,
            (false, true) => Call::Sweep,
            (false, false) => Call::Move,
        }
    }
}

/// The thread, where there is something to move to. It ends when it is closed.
#[derive(Default)]
pub(crate) struct Shelving(Arc<Calls>);

impl Shelving {
    pub(crate) fn start(fixed: &Arc<Fixed>) -> std::io::Result<Self> {
        let Some((wait, calls)) = fixed.store.shelve_calls() else { return Ok(Self::default()) };
        let (shelving, fixed) = (Self(Arc::clone(&calls)), Arc::clone(fixed));
        let thread = std::thread::Builder::new().name("ledger-objects".to_owned());
        thread.spawn(move || run(&fixed, wait, &calls))?;
        Ok(shelving)
    }

    /// Ends the thread. It is not waited for where a store keeps it waiting: it is cut nowhere that the
    /// next process could not go on from.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}

fn run(fixed: &Fixed, wait: Duration, calls: &Calls) {
    loop {
        let now = || fixed.clock.now();
        match calls.wait(wait) {
            Call::Close => return,
            Call::Sweep => {
                let deleted = fixed.store.sweep(now());
                tracing::debug!(deleted, "objects of what was disposed of were deleted");
            }
            Call::Move => shelve(fixed, calls),
        }
    }
}

fn shelve(fixed: &Fixed, calls: &Calls) {
    let pace = || match calls.is_closing() {
        true => Err(std::io::Error::other("the ledger is closing")),
        false => Ok(()),
    };
    match fixed.store.shelve(fixed.clock.now(), &pace) {
        Ok(moved) => tracing::debug!(?moved, "closed ranges were moved to the object store"),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "closed ranges of the ledger stay in the database for now");
        }
    }
}
