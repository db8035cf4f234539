//! The gate itself: puts the question, records the answer, records what leaves.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use ledger::{Event, Ledger, Origin, Receipt};
use policy::{Action, Decision, Policy, Question, Verdict};
use tokio::sync::watch;

use crate::data::{Fingerprint, Print};
use crate::error::GateError;
use crate::permit::{Decided, Held, Permit, Released, Ticket, Trail, durable, unknown, withheld};
use crate::plan::{Mode, Plan};
use crate::record::{Header, decided};

/// How long a permit can be used, in seconds.
pub const PERMIT_SECONDS_MAX: i64 = 120;
/// The same for a [`Plan::Stream`]: all of a document is read before its record can be written.
pub const STREAM_PERMIT_SECONDS_MAX: i64 = 4 * 3_600;

pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Policy and ledger, joined so that neither can be had without the other. Clones share both.
#[derive(Clone)]
pub struct Gate {
    policy: Arc<Policy>,
    ledger: Ledger,
    clock: Clock,
}

impl Gate {
    /// A gate on a policy set and a ledger.
    pub fn new(policy: Arc<Policy>, ledger: Ledger, clock: Clock) -> Self {
        Self { policy, ledger, clock }
    }

    /// Puts the question to the policy and records the answer, whatever it is.
    ///
    /// Denials, writes, exports and everything else that acts are durable before this returns. For
    /// a read the record may still be on its way to the disk: it was queued before this returned,
    /// and [`Self::release`] waits for it. `session` is the first digits of the session's hash.
    ///
    /// # Errors
    /// [`GateError::Denied`] with the recorded entry; [`GateError::Unrecorded`]; [`GateError::Unwitnessed`]
    /// where the ledger's witnesses have been silent for too long.
    pub async fn authorise(
        &self,
        question: Question,
        plan: Plan,
        origin: Origin,
        session: Option<String>,
    ) -> Result<Permit, GateError> {
        let mut decision = self.decision(&question, &plan);
        let unwitnessed = match decision.verdict {
            Verdict::Permit => self.unwitnessed(question.action),
            Verdict::Deny => None,
        };
        if let Some(reason) = &unwitnessed {
            (decision.verdict, decision.reason) = (Verdict::Deny, reason.clone());
            decision.policies.clear();
        }
        let header = Header::new(&question, origin, session);
        let record = header.record(decided(&question, &plan, &decision), Vec::new());
        let pending = self.ledger.enqueue(record).map_err(GateError::Unrecorded)?;
        let (known, entry) = watch::channel(None);
        if decision.verdict == Verdict::Permit && overlaps(&question, &plan) {
            tokio::spawn(async move { known.send_replace(Some(pending.durable().await)) });
        } else {
            let receipt = pending.durable().await.map_err(GateError::Unrecorded)?;
            known.send_replace(Some(Ok(receipt)));
            match decision.verdict {
                Verdict::Permit => (),
                Verdict::Deny => {
                    let (entry, reason) = (receipt.entry, decision.reason);
                    return Err(match unwitnessed {
                        Some(_) => GateError::Unwitnessed { entry, reason },
                        None => GateError::Denied { entry, reason },
                    });
                }
            }
        }
        let trail = Arc::new(self.trail(header, entry, (question.action, &plan)));
        Ok(Permit::new(question, plan, trail))
    }

    /// Records what is about to leave, then lets it leave. On failure the data is dropped.
    ///
    /// # Errors
    /// [`GateError::Unrecorded`] if the ledger confirmed either record not; [`GateError::Expired`];
    /// [`GateError::Unwitnessed`] as for [`Self::authorise`];
    /// [`GateError::Withheld`] if the data is over the plan's limits or carries handling marks
    /// beyond those of the question; [`GateError::Unconfirmed`] if a write was done and its record is not
    /// confirmed.
    pub async fn release<T: Fingerprint>(&self, held: Held<T>) -> Result<Released<T>, GateError> {
        let (permit, data) = held.split();
        let trail = Arc::clone(permit.trail());
        let decided = durable(trail.decided.clone()).await.map_err(GateError::Unrecorded)?;
        let print = data.fingerprint();
        // A write is done: that it came late or large must not hide that it happened.
        if data.written().is_none() {
            if permit.is_expired() {
                let most = seconds_max(permit.plan());
                let reason = format!("the permit was older than {most} seconds");
                let receipt = self.close(&trail, decided, &reason).await?;
                return Err(GateError::Expired { entry: receipt.entry });
            }
            if let Some(reason) = self.unwitnessed(permit.question().action) {
                let receipt = self.close(&trail, decided, &reason).await?;
                return Err(GateError::Unwitnessed { entry: receipt.entry, reason });
            }
            if let Some(reason) = excess(&permit, &print) {
                let receipt = self.close(&trail, decided, &reason).await?;
                return Err(GateError::Withheld { entry: receipt.entry, reason });
            }
        }
        let event = match data.written() {
            Some(rows) => Event::Written { decided: decided.entry.0, rows },
            None => Event::Released {
                decided: decided.entry.0,
                what: print.what.to_owned(),
                count: print.count,
                bytes: print.bytes,
                digest: hex::encode(print.digest),
            },
        };
        if !trail.close() {
            let reason = "the permit was already recorded as withheld".to_owned();
            return Err(GateError::Withheld { entry: decided.entry, reason });
        }
        let record = trail.header.record(event, print.subjects);
        let written = data.written().is_some();
        match self.ledger.append(record).await {
            Ok(receipt) => Ok(Released::new(data, receipt)),
            Err(source) if written => {
                Err(GateError::Unconfirmed { decided: decided.entry, source })
            }
            Err(source) => Err(GateError::Unrecorded(source)),
        }
    }

    /// Records that nothing came of a permit, for a reason without CJI in it: the source failed,
    /// took too long, or gave too much.
    ///
    /// # Errors
    /// [`GateError::Unrecorded`]. Nothing leaves either way.
    pub async fn withhold(&self, ticket: Ticket, reason: &str) -> Result<Receipt, GateError> {
        let trail = ticket.trail();
        let decided = durable(trail.decided.clone()).await.map_err(GateError::Unrecorded)?;
        self.close(trail, decided, reason).await
    }

    /// Records that nobody knows whether what was permitted was done, for a reason without CJI in it: the
    /// source broke off while it was committing, say.
    ///
    /// # Errors
    /// [`GateError::Unrecorded`].
    pub async fn unknown(&self, ticket: Ticket, reason: &str) -> Result<Receipt, GateError> {
        let trail = ticket.trail();
        let decided = durable(trail.decided.clone()).await.map_err(GateError::Unrecorded)?;
        if !trail.close() {
            return Ok(decided);
        }
        let record = unknown(&trail.header, decided.entry, reason);
        self.ledger.append(record).await.map_err(GateError::Unrecorded)
    }

    /// Why the ledger's witnesses let nothing out, if so.
    fn unwitnessed(&self, action: Action) -> Option<String> {
        if !needs_witness(action) {
            return None;
        }
        self.ledger.releasable().err().map(|why| why.to_string())
    }

    fn trail(&self, header: Header, entry: Decided, of: (Action, &Plan)) -> Trail {
        let now = (self.clock)();
        let life = SignedDuration::from_secs(seconds_max(of.1));
        let expires = now.saturating_add(life).unwrap_or(now);
        Trail::new(self.ledger.clone(), header, entry, expires, Arc::clone(&self.clock), of)
    }

    /// The policy's answer, unless the plan is not what was asked about.
    fn decision(&self, question: &Question, plan: &Plan) -> Decision {
        let decision = self.policy.decide(question);
        let Some(reason) = misfit(question, plan) else { return decision };
        Decision {
            verdict: Verdict::Deny,
            policies: Vec::new(),
            reason: reason.to_owned(),
            policy_set: decision.policy_set,
        }
    }

    /// Records the end of a trail that is still open. Of one that is closed, the decision stands.
    async fn close(
        &self,
        trail: &Trail,
        decided: Receipt,
        reason: &str,
    ) -> Result<Receipt, GateError> {
        if !trail.close() {
            return Ok(decided);
        }
        let record = withheld(&trail.header, decided.entry, reason);
        self.ledger.append(record).await.map_err(GateError::Unrecorded)
    }
}

/// What is decided about one thing must not be done to another.
fn misfit(question: &Question, plan: &Plan) -> Option<&'static str> {
    let writes = matches!(plan, Plan::Query(plan) if plan.mode == Mode::Write);
    if writes != (question.action == Action::WriteRecord) {
        return Some("the plan does not do what the question asks");
    }
    if plan.source().is_some() && plan.source() != question.resource.source.as_deref() {
        return Some("the plan goes to another source than the question names");
    }
    None
}

/// Whether an action waits for the ledger's witnesses. The few that don't are how people find out why
/// nothing is released.
fn needs_witness(action: Action) -> bool {
    match action {
        Action::ReadAudit
        | Action::ReadOwnAccesses
        | Action::HoldRecords
        | Action::ViewPosture
        | Action::ViewPeople
        | Action::ManagePeople
        | Action::ManageProviders
        | Action::ManagePartners
        | Action::ReviewAgreements
        | Action::InviteGuest
        // Both only take something away.
        | Action::RecallExport
        | Action::DestroyParcel => false,
        Action::RunQuery
        | Action::ReadEvidence
        | Action::WriteRecord
        | Action::RequestExport
        | Action::ApproveExport
        | Action::SealExport
        | Action::DownloadParcel
        | Action::FetchParcel
        | Action::ReceiveParcel
        | Action::OpenParcel
        | Action::ReleaseHeldFile
        | Action::DisposeRecords
        | Action::ViewExports
        | Action::ViewParcels
        | Action::UseTool => true,
    }
}

/// Reads hand out the permit while the record of it is on its way: the log is ordered, and the
/// wait at release covers both.
fn overlaps(question: &Question, plan: &Plan) -> bool {
    let reads = match question.action {
        Action::RunQuery | Action::ReadEvidence | Action::ReadAudit | Action::ReadOwnAccesses => {
            true
        }
        Action::WriteRecord
        | Action::RequestExport
        | Action::ApproveExport
        | Action::SealExport
        | Action::DownloadParcel
        | Action::FetchParcel
        | Action::ReceiveParcel
        | Action::OpenParcel
        | Action::RecallExport
        | Action::DestroyParcel
        | Action::ReleaseHeldFile
        | Action::HoldRecords
        | Action::DisposeRecords
        | Action::ViewPosture
        | Action::ViewPeople
        | Action::ManagePeople
        | Action::ManageProviders
        | Action::InviteGuest
        | Action::ManagePartners
        | Action::ReviewAgreements
        | Action::ViewExports
        | Action::ViewParcels
        | Action::UseTool => false,
    };
    let fetches = match plan {
        Plan::Query(plan) => plan.mode == Mode::Read,
        Plan::Evidence(_) | Plan::Stream(_) | Plan::Audit(_) => true,
        Plan::Export(_) | Plan::Parcel(_) | Plan::None => false,
    };
    reads && fetches
}

/// How long a permit for a plan lives.
fn seconds_max(plan: &Plan) -> i64 {
    if matches!(plan, Plan::Stream(_)) { STREAM_PERMIT_SECONDS_MAX } else { PERMIT_SECONDS_MAX }
}

/// Why a print must not leave, if so.
fn excess(permit: &Permit, print: &Print) -> Option<String> {
    if let Some(limits) = permit.plan().limits() {
        if print.count > u64::from(limits.rows_max) && print.what == "rows" {
            return Some(format!("more than {} rows", limits.rows_max));
        }
        if print.bytes > limits.bytes_max {
            return Some(format!("more than {} bytes", limits.bytes_max));
        }
    }
    let permitted = &permit.question().resource.caveats;
    let beyond = print.caveats.iter().filter(|mark| !permitted.iter().any(|p| p.as_str() == *mark));
    let beyond: Vec<&str> = beyond.map(String::as_str).collect();
    if beyond.is_empty() {
        return None;
    }
    Some(format!("handling marks beyond those asked for: {}", beyond.join(", ")))
}
