//! The three states of data on its way out, and the trail that sees each of them to its end.
//!
//! Invariant: the constructors here are private to the crate, and only `gate.rs` calls those of
//! [`Permit`] and [`Released`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use ledger::{AppendError, EntryNumber, Event, Ledger, Receipt, Record};
use policy::{Action, Question};
use tokio::sync::watch;

use crate::gate::Clock;
use crate::plan::Plan;
use crate::record::Header;

/// The record of a decision: on its way, or what became of it.
pub(crate) type Decided = watch::Receiver<Option<Result<Receipt, AppendError>>>;

/// What is left to record about one decision. Shared by the permit, what is held under it and the
/// tickets to it; whoever closes it first has the say. If nobody does, its end is recorded when
/// the last of them is dropped.
pub(crate) struct Trail {
    pub(crate) ledger: Ledger,
    pub(crate) header: Header,
    pub(crate) decided: Decided,
    pub(crate) expires: Timestamp,
    pub(crate) clock: Clock,
    end: End,
    closed: AtomicBool,
}

/// What is recorded of a permit whose end nobody recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// A page without records: nothing leaves under its permit, so nothing is withheld.
    Nothing,
    /// It only gives data out, and what was not released was not given.
    Withheld,
    /// It changes something, which goes on without whoever asked: it may have been done.
    Unknown,
}

impl End {
    fn of(action: Action, plan: &Plan) -> Self {
        match plan {
            Plan::Query(_)
            | Plan::Evidence(_)
            | Plan::Stream(_)
            | Plan::Audit(_)
            | Plan::Export(_)
            | Plan::Parcel(_) => (),
            Plan::None => return Self::Nothing,
        }
        match action {
            Action::WriteRecord
            | Action::RequestExport
            | Action::ApproveExport
            | Action::HoldRecords
            | Action::DisposeRecords
            | Action::ManagePeople
            | Action::ManageProviders
            | Action::ManagePartners
            | Action::ReviewAgreements
            | Action::ReceiveParcel
            | Action::RecallExport
            | Action::InviteGuest
            | Action::DestroyParcel
            | Action::ReleaseHeldFile => Self::Unknown,
            Action::RunQuery
            | Action::ReadEvidence
            | Action::SealExport
            | Action::DownloadParcel
            | Action::FetchParcel
            | Action::OpenParcel
            | Action::UseTool
            | Action::ReadAudit
            | Action::ReadOwnAccesses
            | Action::ViewPosture
            | Action::ViewPeople
            | Action::ViewExports
            | Action::ViewParcels => Self::Withheld,
        }
    }
}

impl Trail {
    pub(crate) fn new(
        ledger: Ledger,
        header: Header,
        decided: Decided,
        expires: Timestamp,
        clock: Clock,
        (action, plan): (Action, &Plan),
    ) -> Self {
        let (end, closed) = (End::of(action, plan), AtomicBool::new(false));
        Self { ledger, header, decided, expires, clock, end, closed }
    }

    /// True for the first caller only.
    pub(crate) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }
}

/// Waits until the record of a decision is durable.
pub(crate) async fn durable(mut decided: Decided) -> Result<Receipt, AppendError> {
    match decided.wait_for(Option::is_some).await {
        Ok(known) => known.clone().unwrap_or(Err(AppendError::Closed)),
        Err(_) => Err(AppendError::Closed),
    }
}

pub(crate) fn withheld(header: &Header, decided: EntryNumber, reason: &str) -> Record {
    let event = Event::Withheld { decided: decided.0, reason: reason.to_owned() };
    header.record(event, Vec::new())
}

pub(crate) fn unknown(header: &Header, decided: EntryNumber, reason: &str) -> Record {
    let event = Event::OutcomeUnknown { decided: decided.0, reason: reason.to_owned() };
    header.record(event, Vec::new())
}

const ABANDONED: &str = "whoever asked went away before anything was released";
const UNSEEN: &str = "whoever asked went away before it was done";

impl Drop for Trail {
    fn drop(&mut self) {
        let (record, reason): (fn(&Header, EntryNumber, &str) -> Record, _) = match self.end {
            End::Nothing => return,
            End::Withheld => (withheld, ABANDONED),
            End::Unknown => (unknown, UNSEEN),
        };
        if !self.close() {
            return;
        }
        let (ledger, header, decided) =
            (self.ledger.clone(), self.header.clone(), self.decided.clone());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::warn!("a permit was dropped outside of the runtime; its end is not recorded");
            return;
        };
        runtime.spawn(async move {
            let Ok(decided) = durable(decided).await else { return };
            let record = record(&header, decided.entry, reason);
            if let Err(error) = ledger.append(record).await {
                tracing::warn!(%error, "the end of a permit could not be recorded");
            }
        });
    }
}

/// Leave to fetch once, and only what was asked. Only [`crate::Gate::authorise`] makes it.
#[must_use = "a permit that is dropped is recorded as withheld, or as of unknown outcome if it changes something"]
pub struct Permit {
    question: Question,
    plan: Plan,
    trail: Arc<Trail>,
}

impl Permit {
    pub(crate) fn new(question: Question, plan: Plan, trail: Arc<Trail>) -> Self {
        Self { question, plan, trail }
    }

    /// What was asked.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// What may be done, and nothing else.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The entry of the decision; none while its record is still on its way to the disk.
    pub fn entry(&self) -> Option<EntryNumber> {
        let known = self.trail.decided.borrow();
        known.as_ref().and_then(|known| known.as_ref().ok()).map(|receipt| receipt.entry)
    }

    /// Whether it is too late to use it. A source asks before it does anything.
    pub fn is_expired(&self) -> bool {
        (self.trail.clock)() > self.trail.expires
    }

    /// A handle by which the permit's end can be recorded after it was spent.
    pub fn ticket(&self) -> Ticket {
        Ticket(Arc::clone(&self.trail))
    }

    /// Spends the permit on what was fetched under it.
    pub fn hold<T>(self, data: T) -> Held<T> {
        Held { permit: self, data }
    }

    pub(crate) fn trail(&self) -> &Arc<Trail> {
        &self.trail
    }
}

/// Stands for a permit that was spent, to record that nothing came of it, or that nobody knows. Gives no data.
pub struct Ticket(Arc<Trail>);

impl Ticket {
    pub(crate) fn trail(&self) -> &Trail {
        &self.0
    }
}

/// Errors carry tickets, and errors are printed: nothing of the question shows.
impl std::fmt::Debug for Ticket {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Ticket")
    }
}

/// Fetched, not yet recorded, and therefore unreadable.
#[must_use = "what is held and dropped is recorded as withheld"]
pub struct Held<T> {
    permit: Permit,
    data: T,
}

impl<T> Held<T> {
    pub(crate) fn split(self) -> (Permit, T) {
        (self.permit, self.data)
    }
}

/// Recorded, and therefore free to be shown, sealed or sent.
pub struct Released<T> {
    data: T,
    receipt: Receipt,
}

impl<T> Released<T> {
    pub(crate) fn new(data: T, receipt: Receipt) -> Self {
        Self { data, receipt }
    }

    /// The data, and the record of its release.
    pub fn open(&self) -> (&T, Receipt) {
        (&self.data, self.receipt)
    }

    /// As [`Self::open`], for what is large and moves on.
    pub fn into_parts(self) -> (T, Receipt) {
        (self.data, self.receipt)
    }

    /// The entry of the release.
    pub fn entry(&self) -> EntryNumber {
        self.receipt.entry
    }
}
