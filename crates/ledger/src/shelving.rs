//! The thread that moves closed ranges of a shared ledger to its object store, in nobody's way.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::shared::Fixed;

#[derive(Default)]
struct Closing {
    closing: Mutex<bool>,
    changed: Condvar,
}

impl Closing {
    fn is_set(&self) -> bool {
        *self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread, where there is something to move to. It ends when it is closed.
#[derive(Default)]
pub(crate) struct Shelving(Arc<Closing>);

impl Shelving {
    pub(crate) fn start(fixed: &Arc<Fixed>) -> std::io::Result<Self> {
        let shelving = Self::default();
        let Some(wait) = fixed.store.shelve_wait() else { return Ok(shelving) };
        let (closing, fixed) = (Arc::clone(&shelving.0), Arc::clone(fixed));
        let thread = std::thread::Builder::new().name("ledger-objects".to_owned());
        thread.spawn(move || run(&fixed, wait, &closing))?;
        Ok(shelving)
    }

    /// Ends the thread. It is not waited for where a store keeps it waiting: it is cut nowhere that the
    /// next process could not go on from.
    pub(crate) fn close(&self) {
        *self.0.closing.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
    }
}

fn run(fixed: &Fixed, wait: Duration, closing: &Closing) {
    loop {
        let closed = closing.closing.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = closing.changed.wait_timeout_while(closed, wait, |closing| !*closing);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
        let pace = || match closing.is_set() {
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
}
