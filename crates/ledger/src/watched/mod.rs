//! A log's own side of witnessing: who has cosigned what, how long ago, and what follows from that.
//!
//! Invariants: once a witness has shown that this log was wound back or has two histories, no record is
//! taken any more, not after a restart either, until a person lifts the stop. Where witnesses are
//! configured, nothing is released once too long ago was the last cosignature; recording goes on.
//! None of this is on the way of an append but one flag.

mod answers;
mod rules;
mod stop;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::error::{Damage, OpenError};
use crate::local::Place;
use crate::merkle::Hash;
use crate::note::{Checkpoint, VerifierKey};
use crate::witness::Cosignature;
use crate::witness::documents::Documents;

pub use answers::{Asked, Submission};
pub use rules::{
    KnownWitness, NotReleasable, WITNESSES_MAX, WitnessStanding, WitnessState, Witnessed,
    Witnessing,
};
pub use stop::{Stop, StopError, StopKind, lift_stop, stop_of};

/// The folder of documents, inside the ledger's.
pub(crate) const WITNESS: &str = "witness";
const COSIGNED: &str = "cosigned";
/// Newest cosigned checkpoints that are kept as a list.
pub const COSIGNED_MAX: usize = 64;

/// What an open ledger knows of its witnesses.
pub(crate) struct Watched {
    rules: Witnessing,
    key: VerifierKey,
    opened: Timestamp,
    documents: Documents,
    stopped: AtomicBool,
    /// Held while a cosignature is written down.
    writing: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ones: Vec<One>,
    /// Cosigned notes, the newest last.
    cosigned: VecDeque<String>,
    stop: Option<Stop>,
    lifted: Option<String>,
}

/// One witness.
struct One {
    /// From when on a first cosignature was waited for.
    since: Timestamp,
    last: Option<Last>,
    /// Whether it has cosigned since the ledger was opened.
    confirmed: bool,
    /// Whether its silence was told.
    told_stale: bool,
    error: Option<String>,
}

/// The last cosignature.
#[derive(Debug, Clone)]
struct Last {
    size: u64,
    root: Hash,
    at: Timestamp,
}

impl Watched {
    /// Reads what was known when the ledger was closed.
    pub(crate) fn open(
        place: &Place,
        rules: &Witnessing,
        key: &VerifierKey,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        rules.check()?;
        let (disk, folder) = (place.disk.clone(), place.path(WITNESS));
        let failed = |doing, path| move |source| OpenError::Disk { doing, path, source };
        let documents = match rules.witnesses.is_empty() {
            true => Documents { disk, folder },
            false => Documents::open(disk, folder.clone()).map_err(failed("create", folder))?,
        };
        let mut state = State::default();
        (state.stop, state.lifted) = match read(&documents, stop::STOP)? {
            None => (None, None),
            Some(text) => stop::parse(&text).ok_or_else(|| damage(stop::STOP, "not a stop"))?,
        };
        let list = read(&documents, COSIGNED)?.unwrap_or_default();
        state.cosigned.extend(notes(&list).into_iter().map(str::to_owned));
        for witness in &rules.witnesses {
            let name = witness.document();
            let one = match read(&documents, &name)? {
                Some(text) => parse_one(&text, witness, key)
                    .ok_or_else(|| damage(&name, "not what a witness cosigned"))?,
                None => {
                    let text = encode_one(now, "");
                    let written = documents.replace(&name, &text);
                    written.map_err(failed("write", documents.folder.join(&name)))?;
                    One::new(now, None)
                }
            };
            state.ones.push(one);
        }
        let stopped = AtomicBool::new(state.stop.is_some());
        let (rules, key, state) = (rules.clone(), key.clone(), Mutex::new(state));
        let writing = Mutex::default();
        Ok(Self { rules, key, opened: now, documents, stopped, writing, state })
    }

    /// Holds what was cosigned against the log: it may be older than its own witnesses' folder.
    pub(crate) fn hold(
        &self,
        size: u64,
        root_at: &mut dyn FnMut(u64) -> Result<Hash, OpenError>,
    ) -> Result<(), OpenError> {
        let state = self.state();
        for (witness, one) in self.rules.witnesses.iter().zip(&state.ones) {
            let Some(last) = &one.last else { continue };
            let name = witness.document();
            if last.size > size {
                let (name, seen) = (&witness.name, last.size);
                let what = format!("{name} cosigned {seen} entries, yet the log has only {size}");
                return Err(damage(&witness.document(), &what));
            }
            if root_at(last.size)? != last.root {
                return Err(damage(&name, "the cosigned root is not that of the log's entries"));
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why no record is taken, if so.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        if !self.stopped.load(Ordering::Acquire) {
            return None;
        }
        self.state().stop.clone()
    }

    /// Whether anything may be released now.
    pub(crate) fn releasable(&self, now: Timestamp) -> Result<(), NotReleasable> {
        if let Some(stop) = self.stopped() {
            return Err(NotReleasable::Stopped { why: stop.words() });
        }
        if self.rules.witnesses.is_empty() {
            return Ok(());
        }
        let state = self.state();
        if self.rules.confirm_at_start && !state.ones.iter().any(|one| one.confirmed) {
            return Err(NotReleasable::Unconfirmed);
        }
        let at = self.quorum_at(&state);
        let age = now.duration_since(at);
        if age > limit(self.rules.refuse_after) {
            return Err(NotReleasable::Stale { minutes: age.as_mins(), since: at });
        }
        Ok(())
    }

    /// The time up to which enough witnesses have cosigned. Where they never did: since when that
    /// is waited for.
    fn quorum_at(&self, state: &State) -> Timestamp {
        let mut times: Vec<Timestamp> = state.ones.iter().map(One::at).collect();
        times.sort_unstable();
        let enough = |at: &&Timestamp| {
            self.rules
                .quorum
                .met(&|index| state.ones.get(index).is_some_and(|one| one.at() >= **at))
        };
        times.iter().rev().find(enough).copied().unwrap_or(self.opened)
    }

    /// All of it, for a page.
    pub(crate) fn witnessed(&self, now: Timestamp) -> Witnessed {
        let releases = self.releasable(now);
        let state = self.state();
        let standing = |(witness, one): (&KnownWitness, &One)| WitnessStanding {
            name: witness.name.clone(),
            key: witness.key.to_string(),
            size: one.last.as_ref().map(|last| last.size),
            at: one.last.as_ref().map(|last| last.at),
            state: self.state_of(one, now),
            last_error: one.error.clone(),
        };
        Witnessed {
            witnesses: self.rules.witnesses.iter().zip(&state.ones).map(standing).collect(),
            releases,
            stop: state.stop.clone(),
        }
    }

    fn state_of(&self, one: &One, now: Timestamp) -> WitnessState {
        let age = now.duration_since(one.at());
        match &one.last {
            _ if age > limit(self.rules.warn_after) => {
                WitnessState::Stale { minutes: age.as_mins() }
            }
            None => WitnessState::Waiting,
            Some(_) => WitnessState::Fresh,
        }
    }

    /// The cosigned checkpoints, the newest last.
    pub(crate) fn cosigned(&self) -> Vec<String> {
        self.state().cosigned.iter().cloned().collect()
    }

    /// The reason that a person gave for lifting a stop, until it is on record.
    pub(crate) fn lifted(&self) -> Option<String> {
        self.state().lifted.clone()
    }

    /// What [`Self::lifted`] gave is on record.
    pub(crate) fn settle_lifted(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.lifted.is_some() {
            self.documents.replace(stop::STOP, stop::NONE)?;
            state.lifted = None;
        }
        Ok(())
    }
}

impl One {
    fn new(since: Timestamp, last: Option<Last>) -> Self {
        Self { since, last, confirmed: false, told_stale: false, error: None }
    }

    /// When it cosigned last, or from when on it should have.
    fn at(&self) -> Timestamp {
        self.last.as_ref().map_or(self.since, |last| last.at)
    }
}

fn limit(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn read(documents: &Documents, name: &str) -> Result<Option<String>, OpenError> {
    documents.read(name).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => damage(name, "its digest does not agree"),
        _ => OpenError::Disk { doing: "read", path: documents.folder.join(name), source },
    })
}

fn damage(name: &str, what: &str) -> OpenError {
    OpenError::Damaged(Damage::new(&format!("{WITNESS}/{name}"), 0, None, what))
}

/// A line with the time from which on a cosignature was waited for, then the cosigned note.
fn encode_one(since: Timestamp, note: &str) -> String {
    format!("since {since}\n{note}")
}

fn parse_one(text: &str, witness: &KnownWitness, key: &VerifierKey) -> Option<One> {
    let (first, note) = text.split_once('\n')?;
    let since = first.strip_prefix("since ")?.parse().ok()?;
    if note.is_empty() {
        return Some(One::new(since, None));
    }
    let Checkpoint { size, root, .. } = Checkpoint::open(note, key).ok()?;
    let at = Cosignature::on(note, &witness.key).ok()?.at;
    Some(One::new(since, Some(Last { size, root, at })))
}

/// Notes, each of which ends with an empty line.
fn notes(list: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = list;
    while let Some(at) = rest.find("\n\n") {
        let Some(end) = rest.get(at + 2..).and_then(|tail| tail.find("\n\n")) else { break };
        let Some((note, more)) = rest.split_at_checked(at + 2 + end + 1) else { break };
        found.push(note);
        rest = more.strip_prefix('\n').unwrap_or_default();
    }
    found
}

/// The newest checkpoints in a ledger's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// Signed by the ledger alone.
    pub published: String,
    /// Signed by at least one witness too; most often a little smaller.
    pub cosigned: Option<String>,
}

/// Reads the newest checkpoints in a ledger's folder, which may be in use or a copy.
///
/// # Errors
/// What the disk says; [`io::ErrorKind::InvalidData`] where the cosigned ones have rotted.
pub fn newest_checkpoints(folder: &std::path::Path) -> io::Result<Newest> {
    let disk: std::sync::Arc<dyn crate::disk::Disk> = std::sync::Arc::new(crate::disk::SystemDisk);
    let max = crate::identity::SMALL_FILE_BYTES_MAX;
    let path = folder.join(crate::identity::CHECKPOINT);
    let published = crate::disk::read_whole(disk.as_ref(), &path, max)?;
    let published = String::from_utf8_lossy(&published).into_owned();
    let documents = Documents { disk, folder: folder.join(WITNESS) };
    let list = documents.read(COSIGNED)?.unwrap_or_default();
    let cosigned = notes(&list).last().map(|note| (*note).to_owned());
    Ok(Newest { published, cosigned })
}

/// Reads what lies in the folder of a ledger's witnesses, for fuzzing.
#[doc(hidden)]
pub fn fuzz_document(text: &str) {
    std::hint::black_box(stop::parse(text).is_some());
    std::hint::black_box(notes(text).len());
    let public = [0; 32];
    let witness = crate::witness::WitnessKey { name: "w".to_owned(), public };
    let witness = KnownWitness { name: "w".to_owned(), key: witness };
    let log = VerifierKey { name: "l".to_owned(), public };
    std::hint::black_box(parse_one(text, &witness, &log).is_some());
}
