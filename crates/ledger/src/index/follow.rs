//! The thread that keeps the index up with the log.
//!
//! The writer rings a bell after each batch and goes on: it never waits for the index, and never
//! hears of its errors.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Feed, Index, IndexDoing, IndexError, Step, held};
use crate::envelope::Bucket;

/// New entries are gathered for so long, so that a trickle does not make a transaction each.
/// Searches read what is not in the index yet from the log.
const GATHER: Duration = Duration::from_millis(500);
/// How long the index rests after something failed; it grows.
const REST: Duration = Duration::from_millis(250);
const REST_MAX: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Rung {
    rung: bool,
    closing: bool,
}

/// Tells the follower that there is something new, or that it is to end.
#[derive(Default)]
pub(crate) struct Bell {
    state: Mutex<Rung>,
    changed: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        held(&self.state).rung = true;
        self.changed.notify_all();
    }

    fn close(&self) {
        held(&self.state).closing = true;
        self.changed.notify_all();
    }

    /// Waits for something new; `false` when it is to end.
    fn wait(&self) -> bool {
        let mut state = held(&self.state);
        while !state.rung && !state.closing {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.rung = false;
        !state.closing
    }

    /// Rests, whatever is new; `false` when it is to end.
    fn rest(&self, time: Duration) -> bool {
        let state = held(&self.state);
        let rested = self.changed.wait_timeout_while(state, time, |state| !state.closing);
        !rested.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    fn is_closing(&self) -> bool {
        held(&self.state).closing
    }
}

/// The running thread. It ends when it is closed or dropped.
pub(crate) struct Follower {
    bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Follower {
    pub(crate) fn start(index: Arc<Index>, feed: Arc<dyn Feed>) -> std::io::Result<Self> {
        let bell = Arc::clone(index.bell());
        let heard = Arc::clone(&bell);
        let thread = std::thread::Builder::new().name("ledger-index".to_owned());
        let thread = thread.spawn(move || {
            follow(&index, feed.as_ref(), &heard);
            if let Err(error) = index.close() {
                tell(&error, "the search index did not close cleanly");
            }
        })?;
        Ok(Self { bell, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread and waits for it.
    pub(crate) fn close(&self) {
        self.bell.close();
        let thread = held(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the search index's thread panicked");
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.close();
    }
}

fn follow(index: &Index, feed: &dyn Feed, bell: &Bell) {
    let (mut rest, mut forgotten) = (REST, BTreeSet::new());
    while !bell.is_closing() {
        match advance(index, feed) {
            Ok(true) => rest = REST,
            Ok(false) => {
                forget_others(index, feed, &mut forgotten);
                // A doubt is not gathered: what it says is wrong until it is built anew.
                if !bell.wait() || !(index.doubted().is_some() || bell.rest(GATHER)) {
                    return;
                }
            }
            Err(error) => {
                recover(index, &error);
                if !bell.rest(rest) {
                    return;
                }
                rest = (rest * 2).min(REST_MAX);
            }
        }
    }
}

/// Forgets what other processes disposed of. What this one disposes of is forgotten as it happens.
fn forget_others(index: &Index, feed: &dyn Feed, forgotten: &mut BTreeSet<Bucket>) {
    let moved = feed.disposed();
    let new: Vec<_> = moved.all().filter(|it| !forgotten.contains(&it.statement.bucket)).collect();
    if new.is_empty() {
        return;
    }
    let rows: Vec<_> = new.iter().map(|it| (it.statement.bucket.home(), &it.kept)).collect();
    match index.forget_all(&rows) {
        Ok(_) => forgotten.extend(new.iter().map(|it| it.statement.bucket)),
        Err(error) => tell(&error, "the search index could not forget"),
    }
}

/// One step; `false` when there is nothing to do.
pub(super) fn advance(index: &Index, feed: &dyn Feed) -> Result<bool, IndexError> {
    match index.step(feed)? {
        Step::Filled => Ok(true),
        Step::CaughtUp => index.check_next(),
    }
}

/// After an error: a damaged index is thrown away, any other is opened again later.
pub(super) fn recover(index: &Index, error: &IndexError) {
    if error.is_damage() {
        tell(error, "the search index is built anew");
        let why = match error {
            IndexError::Doubted(why) => why,
            _ => "it was damaged",
        };
        match index.discard(why) {
            Ok(()) => return,
            Err(error) => tell(&error, "the search index could not be removed"),
        }
    } else {
        tell(error, "the search index could not go on");
    }
    index.let_go();
    index.set_doing(IndexDoing::Stopped { why: error.to_string() });
}

fn tell(error: &IndexError, what: &'static str) {
    tracing::warn!(error = error as &dyn std::error::Error, what, "search index");
}
