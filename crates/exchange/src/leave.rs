//! Leave to open something of a received parcel: the policy's, and that of the terms under which it came.
//!
//! Invariants: the policy is asked once for each class of records that the parcel may hold, each with all its marks;
//! what it came under lets it be opened for its purposes alone, and a redacted copy for those of its original; whatever
//! is refused is on record.

use gate::{Fingerprint, Permit, Plan, Released};
use ledger::Event;
use policy::{Action, PurposeCode, ResourceKind, Why};

use crate::book::Clause;
use crate::model::{IncomingRow, Inside};
use crate::passing::{Origin, classes};
use crate::record::About;
use crate::{Caller, Exchange, ExchangeError};

/// What was permitted together; it is carried out as one, or none of it is.
pub(crate) struct Leave(Vec<Permit>);

impl Exchange {
    /// Leave to open a parcel's list, or the file at `path`, for a reason. `plan` says what is to be done.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`]; [`ExchangeError::Clause`] for a purpose that its terms do not have;
    /// [`ExchangeError::WrongState`] for what is closed or held; [`ExchangeError::Revoked`] where whoever signed it did not
    /// count when it came; [`ExchangeError::Unrecorded`].
    pub(crate) async fn leave_to_open(
        &self,
        caller: &Caller,
        (row, inside): (&IncomingRow, &Inside),
        path: Option<&str>,
        why: &Why,
        plan: &str,
    ) -> Result<Leave, ExchangeError> {
        let (origin, bound) = self.bound_or_refused(caller, (row, inside), why, plan).await?;
        let purpose = why.purpose.as_ref();
        let terms = self.origins(&origin, &bound, purpose).await?;
        let mut leave = Leave(Vec::new());
        for (record_class, caveats) in classes(inside, terms.iter().map(|one| &one.agreement))? {
            let about = About {
                kind: ResourceKind::Parcel,
                id: row.exchange.to_string(),
                record_class,
                caveats,
                requested_by: None,
                agreement: None,
            };
            let plan = Plan::Parcel(plan.to_owned());
            match self.ask(caller, Action::OpenParcel, about, why, plan).await {
                Ok(permit) => leave.0.push(permit),
                Err(error) => {
                    self.keep_closed(leave, "another class of records in it was refused").await?;
                    return Err(error);
                }
            }
        }
        if let Some(clause) = self.against_purpose(&origin, &bound, &terms, purpose) {
            let entry = self.withhold_each(leave.0, &clause.recorded()).await?;
            return Err(ExchangeError::Clause { entry, clause });
        }
        let held = path.map_or(Ok(()), |path| not_held(row, path));
        match self.not_closed(row).and(held).and(self.trust_in(row).map(drop)) {
            Ok(()) => Ok(leave),
            Err(error) => {
                self.keep_closed(leave, &error.chain()).await?;
                Err(error)
            }
        }
    }

    /// Gives what was opened, once that is on record.
    pub(crate) async fn give<T: Fingerprint>(
        &self,
        leave: Leave,
        opened: T,
    ) -> Result<Released<T>, ExchangeError> {
        let mut permits = leave.0;
        let last = permits.pop().ok_or(ExchangeError::NoSuch { what: "class of records" })?;
        self.close(permits).await?;
        Ok(self.0.setup.gate.release(last.hold(opened)).await?)
    }

    /// Records that nothing is opened after all.
    pub(crate) async fn keep_closed(
        &self,
        leave: Leave,
        reason: &str,
    ) -> Result<(), ExchangeError> {
        for permit in leave.0 {
            self.0.setup.gate.withhold(permit.ticket(), reason).await?;
        }
        Ok(())
    }

    /// What stands against opening it for this purpose: the purposes of its agreement, and of the rules of both sides; of
    /// several that it may have come under one that has the purpose is enough. Where there is none any more, it is the
    /// purpose that it was sent for. What was brought came for none.
    fn against_purpose(
        &self,
        row: &IncomingRow,
        inside: &Inside,
        terms: &[Origin],
        purpose: Option<&PurposeCode>,
    ) -> Option<Clause> {
        if self.is_brought(row) {
            return None;
        }
        let of_rules = |origin: &Origin| {
            let stricter = origin.stricter.against.clone();
            stricter.filter(|clause| matches!(clause, Clause::RulePurpose { .. }))
        };
        let mut against = terms
            .iter()
            .map(|origin| origin.agreement.is_for(purpose).err().or_else(|| of_rules(origin)));
        match against.next() {
            Some(first) => first.filter(|_| against.all(|clause| clause.is_some())),
            None => match sent_for(inside) {
                Some(sent) => (purpose != Some(&sent)).then_some(Clause::SentFor { purpose: sent }),
                None => Some(Clause::NoPurpose { partner: row.partner.clone() }),
            },
        }
    }

    /// The parcel whose terms count for this one. That there is none to be had is on record.
    async fn bound_or_refused(
        &self,
        caller: &Caller,
        (row, inside): (&IncomingRow, &Inside),
        why: &Why,
        plan: &str,
    ) -> Result<(IncomingRow, Inside), ExchangeError> {
        match self.bound_by(row, inside).await {
            Err(error @ (ExchangeError::WrongState { .. } | ExchangeError::NoSuch { .. })) => {
                let (route, reason) = (plan.to_owned(), format!("of its original: {error}"));
                let event = Event::RequestRefused { route, reason };
                self.record(Some(caller), why, event).await?;
                Err(error)
            }
            bound => bound,
        }
    }
}

/// Refuses a file that is held.
fn not_held(row: &IncomingRow, path: &str) -> Result<(), ExchangeError> {
    let held = row.details.scan.as_ref().and_then(|scan| scan.holds(path));
    let Some(why) = held else { return Ok(()) };
    let is = format!("held ({why})");
    Err(ExchangeError::WrongState { what: "file", is, needs: "released by a supervisor" })
}

/// The purpose code that a parcel says it was sent for: what stands before its reason.
fn sent_for(inside: &Inside) -> Option<PurposeCode> {
    inside.purpose.split(':').next()?.trim().parse().ok()
}
