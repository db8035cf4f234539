//! What an agency asks of its witnesses, and what it is told about them.

use std::time::Duration;

use jiff::Timestamp;

use crate::error::OpenError;
use crate::note::is_key_name;
use crate::watched::Stop;
use crate::witness::{Quorum, WitnessKey};

/// Most witnesses of a ledger: a note has 16 signatures, and one is the log's own.
pub const WITNESSES_MAX: usize = 15;
/// Longest time after which releases are refused: "never" is not offered.
const REFUSE_AFTER_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// A witness that a ledger asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownWitness {
    /// What people call it: 1 to 64 of `a-z`, `0-9` and `-`.
    pub name: String,
    pub key: WitnessKey,
}

impl KnownWitness {
    /// A witness with another key is another witness: it has a document of its own.
    pub(crate) fn document(&self) -> String {
        format!("w-{}", hex::encode(self.key.id()))
    }
}

/// Who cosigns, who of them is enough, and what their silence means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessing {
    pub witnesses: Vec<KnownWitness>,
    /// By place among `witnesses`.
    pub quorum: Quorum,
    /// A witness that was silent for so long is told of.
    pub warn_after: Duration,
    /// When enough witnesses were silent for so long, nothing is released.
    pub refuse_after: Duration,
    /// Whether nothing is released after a start until a witness has cosigned.
    pub confirm_at_start: bool,
}

impl Witnessing {
    /// No witness.
    pub fn none() -> Self {
        Self::any_of(Vec::new())
    }

    /// Any one of these, with the usual limits: told of after 15 minutes, refused after 4 hours.
    pub fn any_of(witnesses: Vec<KnownWitness>) -> Self {
        Self {
            quorum: Quorum::any(witnesses.len()),
            witnesses,
            warn_after: Duration::from_secs(15 * 60),
            refuse_after: Duration::from_secs(4 * 3600),
            confirm_at_start: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let wrong = |key, value: String, expected| Err(OpenError::Setting { key, value, expected });
        if self.witnesses.is_empty() {
            return Ok(());
        }
        if self.witnesses.len() > WITNESSES_MAX {
            return wrong("witness", self.witnesses.len().to_string(), "15 at most");
        }
        for (at, one) in self.witnesses.iter().enumerate() {
            let before = self.witnesses.iter().take(at);
            let twice = before
                .clone()
                .any(|other| other.name == one.name || other.key.public == one.key.public);
            if !is_key_name(&one.name) || twice {
                return wrong("witness", one.name.clone(), "a name and a key of its own");
            }
        }
        if self.quorum.met(&|_| false) {
            return wrong("quorum", "none".to_owned(), "at least one witness");
        }
        if !self.quorum.met(&|at| at < self.witnesses.len()) {
            let expected = "no more than all witnesses";
            return wrong("quorum", "of unknown witnesses".to_owned(), expected);
        }
        if self.refuse_after > REFUSE_AFTER_MAX || self.refuse_after < self.warn_after {
            let value = format!("{} s", self.refuse_after.as_secs());
            return wrong("refuse_after", value, "at least `warn_after`, and a week at most");
        }
        Ok(())
    }
}

/// Why nothing may be released though records are taken, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReleasable {
    #[error("{why}")]
    Stopped { why: String },
    #[error(
        "no witness has confirmed the audit ledger since this start; nothing is released until one has"
    )]
    Unconfirmed,
    #[error(
        "no witness has confirmed the audit ledger for {minutes} minutes, so nothing is released until \
         one has"
    )]
    Stale { minutes: i64, since: Timestamp },
}

/// How a witness stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WitnessState {
    /// It was never heard of, and that is not long yet.
    Waiting,
    Fresh,
    /// It has been silent for so long.
    Stale {
        minutes: i64,
    },
}

/// One witness, as a page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessStanding {
    pub name: String,
    /// Its verifier key.
    pub key: String,
    /// Size and time of what it cosigned last.
    pub size: Option<u64>,
    pub at: Option<Timestamp>,
    pub state: WitnessState,
    /// Why the last try came to nothing, in words; none once it succeeds.
    pub last_error: Option<String>,
}

/// All witnesses of a ledger, and what follows from how they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    pub witnesses: Vec<WitnessStanding>,
    /// Whether anything may be released.
    pub releases: Result<(), NotReleasable>,
    /// Why no record is taken, if a witness has shown what can't be.
    pub stop: Option<Stop>,
}
