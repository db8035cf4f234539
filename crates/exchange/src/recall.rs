//! Taking an export back: before the partner has it, while it is being fetched, and after.
//!
//! Invariants: the recall is recorded before anything of it takes effect; from then on no further part
//! leaves, whatever process sends; whoever was ever told of the exchange's number is told of the recall,
//! and one who has the parcel is asked again until there is an answer.

use std::sync::{Arc, PoisonError};

use gate::Plan;
use jiff::{SignedDuration, Timestamp};
use ledger::Event;
use parcel::notice::Matter;
use policy::{Action, ResourceKind};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::afterwards::{NoticeRow, RecallFacts};
use crate::delivery::short;
use crate::error::FirstError;
use crate::model::{Export, ExportRow, ExportStatus};
use crate::notices::Draft;
use crate::protocol::NoticeAnswer;
use crate::record::About;
use crate::{Caller, Exchange, ExchangeError, Partner};

const REASON_CHARS_MAX: usize = 1_000;

impl Exchange {
    /// Takes an export back. What is under way stops; a partner who has it already is asked to destroy it.
    ///
    /// # Errors
    /// [`ExchangeError::Input`] for the reason; [`ExchangeError::WrongState`] where there is nothing to take
    /// back; [`ExchangeError::Denied`], [`ExchangeError::Unrecorded`], and then it goes on as before.
    pub async fn recall(
        &self,
        caller: &Caller,
        export: Uuid,
        reason: &str,
    ) -> Result<Export, ExchangeError> {
        let reason = reason_of(reason)?;
        let mut row = self.export_row(export).await?;
        let details = &row.details;
        let about = About {
            kind: ResourceKind::Export,
            id: export.to_string(),
            record_class: details
                .items
                .first()
                .map(|item| item.record_class.clone())
                .ok_or(ExchangeError::NoSuch { what: "item" })?,
            caveats: details.items.iter().flat_map(|item| item.caveats.clone()).collect(),
            requested_by: Some(details.requester.id.clone()),
            agreement: None,
        };
        let why = details.why.clone();
        let plan = Plan::Export(format!("recall export {export}"));
        let permit = self.ask(caller, Action::RecallExport, about, &why, plan).await?;
        let status = ExportStatus::parse(&row.status)?;
        if !recallable(status) {
            let reason = format!("the export is {status}");
            self.0.setup.gate.withhold(permit.ticket(), &reason).await?;
            let needs = "approved, sealed, sending, delivered, acknowledged or failed";
            return Err(ExchangeError::WrongState { what: "export", is: row.status, needs });
        }
        let event = Event::ExportRecalled {
            export: export.to_string(),
            exchange: row.exchange.map(|exchange| exchange.to_string()),
            partner: row.partner.clone(),
            reason: reason.clone(),
        };
        let receipt = self.record(Some(caller), &why, event).await?;
        row.details.recall = Some(RecallFacts {
            by: Some(caller.actor.clone()),
            at: receipt.at,
            entry: receipt.entry.0,
            reason: reason.clone(),
            stood: None,
            partner_entry: None,
            reminders: 0,
            remind_at: row.number.and_then(|_| self.remind_after(receipt.at)),
            answered: None,
        });
        row.status = ExportStatus::Recalled.as_str().to_owned();
        row.details.delivery.next_attempt_at = None;
        if row.number.is_some() {
            let matter = Matter::Recalled { reason, reminder: 0 };
            let draft = Draft::of(&receipt, matter, Some(caller));
            self.store_export_and_tell(&mut row, draft).await?;
        } else {
            self.store_export(&mut row, receipt.at).await?;
        }
        self.stop_work(export);
        self.close(vec![permit]).await?;
        self.drop_sealed(row.parcel).await;
        Export::of(row)
    }

    /// When a partner who does not answer is reminded next.
    pub(crate) fn remind_after(&self, at: Timestamp) -> Option<Timestamp> {
        let every = SignedDuration::try_from(self.0.setup.settings.remind_every).ok()?;
        at.checked_add(every).ok()
    }

    /// Removes a sealed parcel that nobody may have any more. What can't be removed is ciphertext for a
    /// partner, and is told in the log.
    pub(crate) async fn drop_sealed(&self, parcel: Option<Uuid>) {
        let Some(parcel) = parcel else { return };
        let this = self.clone();
        let removed = tokio::task::spawn_blocking(move || this.0.store.clear_sent(parcel));
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(%error, "a parcel that was taken back could not be removed");
        }
    }

    /// Ends the sealing or the delivery that this process may have under way.
    fn stop_work(&self, export: Uuid) {
        let stops = self.0.stops.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, bell) in stops.iter().filter(|(about, _)| *about == export) {
            bell.notify_one();
        }
    }

    /// What [`Exchange::stop_work`] rings while `export` is being sealed or sent.
    pub(crate) fn stop_of(&self, export: Uuid) -> Stop {
        let bell = Arc::new(Notify::new());
        let mut stops = self.0.stops.lock().unwrap_or_else(PoisonError::into_inner);
        stops.push((export, Arc::clone(&bell)));
        Stop { exchange: self.clone(), bell }
    }

    /// Whether an export may still be sent: another process may have taken it back.
    pub(crate) async fn still_sending(&self, export: Uuid) -> Result<(), ExchangeError> {
        let found = state::exports::status(&self.0.setup.state, export).await?;
        let is = found.ok_or(ExchangeError::NoSuch { what: "export" })?;
        if is == ExportStatus::Sending.as_str() {
            return Ok(());
        }
        Err(ExchangeError::WrongState { what: "export", is, needs: "sending" })
    }

    /// The partner has our recall, or the end of our offer: how far the parcel had come there.
    pub(crate) async fn heard_of_recall(
        &self,
        notice: &NoticeRow,
        partner: &Partner,
        answer: &NoticeAnswer,
    ) -> Result<(), ExchangeError> {
        let found = state::exports::find_by_exchange(&self.0.setup.state, notice.exchange).await?;
        let mut row: ExportRow = found.ok_or(ExchangeError::NoSuch { what: "export" })?;
        let stood = short(answer.stood.as_deref().unwrap_or("unknown"));
        if let (Some(text), None) = (&answer.receipt, &row.details.receipt) {
            // It had arrived, and the line broke before we heard of it.
            let sealed = row.details.sealed.clone();
            let sealed = sealed.ok_or(ExchangeError::NoSuch { what: "sealed parcel" })?;
            let receipt = self.read_receipt(&row, partner, &sealed, text)?;
            self.take_receipt(None, &mut row, &receipt, text, None).await?;
            if row.status == ExportStatus::Expired.as_str() && stood != "refused" {
                row.status = ExportStatus::Acknowledged.as_str().to_owned();
            }
        }
        let arrived = ["received", "accepted", "destroying"].contains(&stood.as_str());
        // What went by hand may lie on a desk there, whatever the server knows of it.
        let carried = row.details.delivery.laid.is_some()
            && ["unknown", "recalled"].contains(&stood.as_str());
        if let Some(recall) = &mut row.details.recall {
            recall.partner_entry = Some(answer.ledger.entry);
            recall.stood = Some(stood);
            if !arrived && !carried {
                recall.remind_at = None;
            }
        }
        let now = self.now();
        self.store_export(&mut row, now).await
    }

    /// Asks again where a recall has had no answer for long.
    pub(crate) async fn remind(&self) -> Result<(), ExchangeError> {
        let now = self.now();
        let mut first = FirstError::default();
        for export in self.every_export(&[ExportStatus::Recalled], None, |_| true).await? {
            first.note("a reminder was not written", self.remind_of(&export, now).await);
        }
        first.end()
    }

    async fn remind_of(&self, export: &Export, now: Timestamp) -> Result<(), ExchangeError> {
        // Who has not even heard of it yet is told by the notice itself.
        let heard = export.details.recall.as_ref().filter(|recall| recall.stood.is_some());
        let due = heard.and_then(|recall| recall.remind_at);
        if due.is_none_or(|due| due > now) || export.recall_answer().is_some() {
            return Ok(());
        }
        let mut row = self.export_row(export.id).await?;
        let Some(recall) = &mut row.details.recall else { return Ok(()) };
        recall.reminders = recall.reminders.saturating_add(1);
        recall.remind_at = self.remind_after(now);
        let (reason, reminder) = (recall.reason.clone(), recall.reminders);
        let what = format!("no answer to a recall; reminder {reminder}");
        let receipt = self.alert(&row.partner, row.exchange, what).await?;
        let draft = Draft::of(&receipt, Matter::Recalled { reason, reminder }, None);
        match self.store_export_and_tell(&mut row, draft).await {
            Ok(()) | Err(ExchangeError::Changed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A sealing or a delivery under way, as whoever takes it back sees it. Ends when it is dropped.
pub(crate) struct Stop {
    exchange: Exchange,
    bell: Arc<Notify>,
}

impl Stop {
    /// Completes when the export is taken back.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        let mut stops = self.exchange.0.stops.lock().unwrap_or_else(PoisonError::into_inner);
        stops.retain(|(_, bell)| !Arc::ptr_eq(bell, &self.bell));
    }
}

impl Export {
    /// How the partner answered a recall: the notice with which it destroyed or kept the parcel.
    pub fn recall_answer(&self) -> Option<&crate::ToldFacts> {
        let is_answer = |matter: &Matter| match matter {
            Matter::Destroyed { .. } | Matter::Kept { .. } | Matter::Rejected { .. } => true,
            Matter::Recalled { .. }
            | Matter::Expired {}
            | Matter::Accepted {}
            | Matter::Opened {} => false,
        };
        self.details.told.iter().rev().find(|told| is_answer(&told.matter))
    }

    /// Whether the partner has it, was asked for it back, and has not answered.
    pub fn awaits_answer(&self) -> bool {
        let recall = self.details.recall.as_ref();
        recall.is_some_and(|recall| recall.remind_at.is_some()) && self.recall_answer().is_none()
    }
}

/// Whether there is something to take back.
pub fn recallable(status: ExportStatus) -> bool {
    match status {
        ExportStatus::Approved
        | ExportStatus::Sealing
        | ExportStatus::Sealed
        | ExportStatus::Sending
        | ExportStatus::Delivered
        | ExportStatus::Acknowledged
        | ExportStatus::Failed => true,
        ExportStatus::Requested
        | ExportStatus::Recalled
        | ExportStatus::Expired
        | ExportStatus::Rejected
        | ExportStatus::Refused => false,
    }
}

/// A reason that a person gave.
pub(crate) fn reason_of(text: &str) -> Result<String, ExchangeError> {
    let text = text.trim();
    if text.is_empty()
        || text.chars().count() > REASON_CHARS_MAX
        || text.chars().any(char::is_control)
    {
        let expected = "1 to 1000 characters on one line";
        return Err(ExchangeError::Input { field: "reason", expected });
    }
    Ok(text.to_owned())
}
