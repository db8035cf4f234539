//! Leave to open something of a received parcel: the policy's, and that of the terms under which it came.
//!
//! Invariants: the policy is asked once for each class of records that the parcel may hold, each with all its marks;
//! what it came under lets it be opened for its purposes alone, and a redacted copy for those of its original; whatever
//! is refused is on record.

use gate::{Fingerprint, Permit, Plan, Released};
use policy::{Action, PurposeCode, ResourceKind, Why};

use crate::book::{Agreement, Clause};
use crate::model::{IncomingRow, Inside};
use crate::passing::classes;
use crate::record::About;
use crate::{Caller, Exchange, ExchangeError};

/// What was permitted together; it is carried out as one, or none of it is.
pub(crate) struct Leave(Vec<Permit>);

impl Exchange {
    /// Leave to open a parcel's list, or the file at `path`, for a reason. `plan` says what is to be done.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`]; [`ExchangeError::Clause`] for a purpose that its terms do not have;
    /// [`ExchangeError::WrongState`] for what is closed or held; [`ExchangeError::Unrecorded`].
    pub(crate) async fn leave_to_open(
        &self,
        caller: &Caller,
        (row, inside): (&IncomingRow, &Inside),
        path: Option<&str>,
        why: &Why,
        plan: &str,
    ) -> Result<Leave, ExchangeError> {
        let (origin, bound) = self.bound_by(row, inside).await?;
        let under = self.came_under(&origin).await?;
        let mut leave = Leave(Vec::new());
        for (record_class, caveats) in classes(inside, under.as_ref())? {
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
        if let Some(clause) = self.against_purpose(&origin, &bound, under.as_ref(), why) {
            let entry = self.withhold_each(leave.0, &clause.recorded()).await?;
            return Err(ExchangeError::Clause { entry, clause });
        }
        let held = path.map_or(Ok(()), |path| not_held(row, path));
        match self.not_closed(row).and(held) {
            Ok(()) => Ok(leave),
            Err(error) => {
                self.keep_closed(leave, &error.to_string()).await?;
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

    /// The agreement that a parcel's offer named, where it is one with its sender and still here.
    async fn came_under(&self, row: &IncomingRow) -> Result<Option<Agreement>, ExchangeError> {
        let named = self.book().agreement(&row.details.agreement);
        let with = named.is_some_and(|agreement| {
            agreement.terms.parties.iter().any(|party| party.ori.as_str() == row.partner)
        });
        if !with || self.is_brought(row) {
            return Ok(None);
        }
        self.agreement(&row.details.agreement).await.map(Some)
    }

    /// What stands against opening it for this purpose: the purposes of its agreement, and of the rules of both sides.
    /// Where the agreement is no longer here, it is the purpose that it was sent for. What was brought came for none.
    fn against_purpose(
        &self,
        row: &IncomingRow,
        inside: &Inside,
        under: Option<&Agreement>,
        why: &Why,
    ) -> Option<Clause> {
        let purpose = why.purpose.as_ref();
        if self.is_brought(row) {
            return None;
        }
        let Some(agreement) = under else {
            let sent = sent_for(inside)?;
            return (purpose != Some(&sent)).then_some(Clause::SentFor { purpose: sent });
        };
        let theirs = self.book().partner(&row.partner);
        let theirs = theirs.and_then(|partner| partner.jurisdiction.as_deref());
        let asked = classes(inside, [agreement]).unwrap_or_default();
        let rules = self.book().jurisdictions();
        let stricter = || rules.stricter(agreement, theirs, &asked, purpose, self.now()).against;
        let of_purpose = |clause: &Clause| matches!(clause, Clause::RulePurpose { .. });
        agreement.is_for(purpose).err().or_else(|| stricter().filter(of_purpose))
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
