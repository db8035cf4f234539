//! Why an export, a delivery or an opening did not go on. None of these texts carries CJI.

use std::io;

use gate::GateError;
use ledger::{AppendError, EntryNumber};
use parcel::{Refused, SealError};
use state::StateError;
use wire::WireError;

use crate::book::Clause;
use crate::stamping::StampError;

/// One error for the room.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The policy said no. `clause` is the agreement's clause that stands against it, if one does.
    #[error("denied: {reason}; quote ledger entry {entry}")]
    Denied { entry: EntryNumber, reason: String, clause: Option<Clause> },
    /// The policy would have let it pass, and the agreement doesn't.
    #[error("refused: {clause}; quote ledger entry {entry}")]
    Clause {
        entry: EntryNumber,
        #[source]
        clause: Clause,
    },
    /// The policy would have let it pass, and nobody approves their own request.
    #[error(
        "an export is approved by somebody other than its requester; quote ledger entry {entry}"
    )]
    SamePerson { entry: EntryNumber },
    /// The same person approved it before.
    #[error("you have approved this export already")]
    ApprovedBefore,
    #[error("nothing was released")]
    Gate(#[source] GateError),
    /// No witness has confirmed the ledger for too long, or one has stopped it: nothing leaves.
    #[error("nothing leaves for now")]
    NotReleasable(#[from] ledger::watched::NotReleasable),
    /// The ledger did not confirm the record, so the act did not happen.
    #[error("the ledger did not confirm the record, so nothing was done")]
    Unrecorded(#[source] AppendError),
    #[error("the ledger could not be read")]
    LedgerRead(#[source] ledger::ReadError),
    #[error("the state of exports could not be read or written")]
    State(#[from] StateError),
    #[error("there is no such {what}")]
    NoSuch { what: &'static str },
    #[error("the {what} is {is}, and has to be {needs} for that")]
    WrongState { what: &'static str, is: String, needs: &'static str },
    /// Somebody else changed it meanwhile.
    #[error("the {what} was changed by somebody else meanwhile; look at it again")]
    Changed { what: &'static str },
    #[error("`{field}`: expected {expected}")]
    Input { field: &'static str, expected: &'static str },
    /// What was handed in to be sealed is not what was approved.
    #[error("`{path}` was {what}")]
    Items { path: String, what: &'static str },
    /// What was approved could not be read again.
    #[error("what was approved could not be read: {reason}")]
    Unfetched { reason: String },
    /// A parcel that somebody brought is not taken in, on record.
    #[error("the parcel is not taken in: {why}")]
    NotTaken { entry: EntryNumber, why: String },
    #[error("the parcel could not be sealed")]
    Seal(#[source] SealError),
    #[error("the parcel does not hold")]
    Refused(#[source] Refused),
    #[error("the partner could not be reached or did not answer as agreed")]
    Wire(#[from] WireError),
    /// The partner answered, and the answer was no.
    #[error("the partner answered {status}: {reason}")]
    Partner { status: u16, reason: String },
    /// The partner's answer is not one of the protocol.
    #[error("the partner's answer is not one of the protocol: {what}")]
    Protocol { what: &'static str },
    #[error("could not {doing} in the parcel store")]
    Store {
        doing: &'static str,
        #[source]
        source: io::Error,
    },
    /// It could not be laid down where the partner fetches it.
    #[error("the parcel is not laid down")]
    Depot(#[from] crate::depots::DepotError),
    /// A partner's extract for a joint audit can't be used.
    #[error("the partner's extract does not hold")]
    Extract(#[from] crate::joint::ExtractError),
    /// Something was to go to a server that the partner does not have.
    #[error("the partner has no server of its own: tell them by other means")]
    NoServer,
    /// A certificate of the partner's does not count any more, or did not when something came.
    #[error("the partner's certificate that {usage} is revoked since {since}: {reason}")]
    Revoked { usage: &'static str, since: jiff::Timestamp, reason: String },
    /// It waits for a reviewer, and goes on once they have accepted what is written down.
    #[error("{0}")]
    Unread(Clause),
    /// A parcel has no time stamp yet, and goes nowhere without.
    #[error("the parcel has no time stamp yet")]
    Stamp(#[source] Box<StampError>),
    #[error("random bytes or keys failed")]
    Keys(#[from] keys::KeysError),
    /// A task was stopped, as at shutdown.
    #[error("the work was stopped before its end")]
    Stopped,
}

impl ExchangeError {
    /// The ledger entry that a person may quote, if there is one.
    pub fn entry(&self) -> Option<EntryNumber> {
        match self {
            Self::Denied { entry, .. }
            | Self::Clause { entry, .. }
            | Self::SamePerson { entry }
            | Self::NotTaken { entry, .. } => Some(*entry),
            Self::Gate(error) => error.entry(),
            Self::ApprovedBefore
            | Self::NotReleasable(_)
            | Self::Unrecorded(_)
            | Self::LedgerRead(_)
            | Self::State(_)
            | Self::NoSuch { .. }
            | Self::WrongState { .. }
            | Self::Changed { .. }
            | Self::Input { .. }
            | Self::Items { .. }
            | Self::Unread(_)
            | Self::Unfetched { .. }
            | Self::Seal(_)
            | Self::Refused(_)
            | Self::Wire(_)
            | Self::Partner { .. }
            | Self::Protocol { .. }
            | Self::Store { .. }
            | Self::Depot(_)
            | Self::Extract(_)
            | Self::NoServer
            | Self::Revoked { .. }
            | Self::Stamp(_)
            | Self::Keys(_)
            | Self::Stopped => None,
        }
    }

    /// Whether the partner said that nothing is wrong and to come again: somebody there has to read what is written of
    /// us, or its clock is behind.
    pub(crate) fn is_later(&self) -> bool {
        let later = ["partner-unreviewed:", "clock:"];
        matches!(self, Self::Partner { reason, .. } if later.iter().any(|code| reason.starts_with(code)))
    }

    /// The clause of the agreement that stands against it, if one does.
    pub fn clause(&self) -> Option<&Clause> {
        match self {
            Self::Denied { clause, .. } => clause.as_ref(),
            Self::Clause { clause, .. } | Self::Unread(clause) => Some(clause),
            _ => None,
        }
    }

    /// The error and its causes in one line, for the log and for the export's page.
    pub(crate) fn chain(&self) -> String {
        wire::causes(self)
    }
}

impl From<StampError> for ExchangeError {
    fn from(error: StampError) -> Self {
        Self::Stamp(Box::new(error))
    }
}

impl From<GateError> for ExchangeError {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Denied { entry, reason } => Self::Denied { entry, reason, clause: None },
            GateError::Unrecorded(source) => Self::Unrecorded(source),
            GateError::Withheld { .. }
            | GateError::Unconfirmed { .. }
            | GateError::Unwitnessed { .. }
            | GateError::Expired { .. } => Self::Gate(error),
        }
    }
}

/// The first of several errors: work goes on after each, and the first is told of at the end.
#[derive(Default)]
pub(crate) struct FirstError(Option<ExchangeError>);

impl FirstError {
    /// Keeps what went wrong first; the log has all of it.
    pub(crate) fn note(&mut self, what: &'static str, outcome: Result<(), ExchangeError>) {
        if let Err(error) = outcome {
            tracing::warn!(error = error.chain(), "{what}");
            self.0.get_or_insert(error);
        }
    }

    pub(crate) fn end(self) -> Result<(), ExchangeError> {
        self.0.map_or(Ok(()), Err)
    }
}

pub(crate) fn store(doing: &'static str) -> impl FnOnce(io::Error) -> ExchangeError {
    move |source| ExchangeError::Store { doing, source }
}
