//! Trying again: by the clock while attempts fail, by a person once they have failed for good.
//!
//! Invariants: an attempt that moved something does not count as a failure of the one after it; nothing that failed
//! for good goes on unless the policy and the agreement, as they stand then, let it, on record before it does.

use jiff::SignedDuration;
use policy::Action;
use uuid::Uuid;

use crate::delivery::short;
use crate::depots::DepotError;
use crate::error::ExchangeError;
use crate::exports::needs;
use crate::model::{Export, ExportStatus};
use crate::passing::PassOn;
use crate::{Caller, Exchange};

/// How long nothing is tried that waits for a reviewer here.
pub(crate) const REVIEW_WAIT: SignedDuration = SignedDuration::from_secs(60);

impl Exchange {
    /// Tries again what came to a stand: [`ExportStatus::Failed`] becomes sending or approved again. Where its way
    /// leads elsewhere by now, it goes there.
    ///
    /// # Errors
    /// As [`Exchange::approve`]; [`ExchangeError::Clause`] where the agreement ended or closed the way meanwhile;
    /// [`ExchangeError::NoSuch`] where the way is gone. The export then stays as it is.
    pub async fn again(&self, caller: &Caller, export: Uuid) -> Result<Export, ExchangeError> {
        let mut row = self.export_row(export).await?;
        needs(&row, ExportStatus::Failed, "failed")?;
        let agreement = &self.agreement(&row.agreement).await?;
        let details = &row.details;
        let (items, why) = ((export, details.items.as_slice()), &details.why);
        let requester = Some(details.requester.id.clone());
        let permits =
            self.ask_each(caller, Action::SealExport, items, agreement, requester, why).await?;
        let route = details.delivery.route.as_deref();
        if let Err(clause) = agreement.goes(route).and_then(|()| self.still_opens(&row)) {
            let entry = self.withhold_each(permits, &clause.recorded()).await?;
            return Err(ExchangeError::Clause { entry, clause });
        }
        let permits = self.refuse_passing(PassOn::of(details, agreement), permits).await?;
        let place = match self.place(&row.partner, route) {
            Ok(place) => place,
            Err(error) => {
                self.withhold_each(permits, &error.chain()).await?;
                return Err(error);
            }
        };
        self.close(permits).await?;
        let sealed = row.details.sealed.is_some();
        let status = if sealed { ExportStatus::Sending } else { ExportStatus::Approved };
        row.status = status.as_str().to_owned();
        row.details.changed = None;
        let delivery = &mut row.details.delivery;
        delivery.failures = 0;
        delivery.next_attempt_at = None;
        if delivery.place != place {
            if let (Some(old), Some(_)) = (&delivery.place, delivery.sent_entry) {
                let what =
                    format!("what was laid down at {old} stays there until somebody removes it");
                self.alert(&row.partner, row.exchange, what).await?;
            }
            // Nothing is on record of a sending to there.
            delivery.place = place;
            delivery.sent_entry = None;
            delivery.sent_leaf = None;
        }
        let now = self.now();
        self.store_export(&mut row, now).await?;
        self.0.bell.notify_one();
        Export::of(row)
    }

    /// Notes what stood in the way, and when to try again: later each time, and not for ever.
    pub(crate) async fn put_off(
        &self,
        export: Uuid,
        error: &ExchangeError,
    ) -> Result<(), ExchangeError> {
        let mut row = self.export_row(export).await?;
        let settled = [
            ExportStatus::Refused,
            ExportStatus::Failed,
            ExportStatus::Delivered,
            ExportStatus::Acknowledged,
            ExportStatus::Recalled,
            ExportStatus::Expired,
        ];
        if settled.iter().any(|status| status.as_str() == row.status) {
            return Ok(());
        }
        let settings = &self.0.setup.settings;
        let delivery = &mut row.details.delivery;
        delivery.last_problem = Some(short(&error.chain()));
        if matches!(error, ExchangeError::Unread(_)) {
            // No attempt was made. The reviewer is told on the first page.
            delivery.next_attempt_at = self.now().saturating_add(REVIEW_WAIT).ok();
            let now = self.now();
            return self.store_export(&mut row, now).await;
        }
        delivery.failures = delivery.failures.saturating_add(1);
        // A medium that nobody has put in yet, and a partner who says "later", are waited for as long as the offer stands.
        let waits =
            matches!(error, ExchangeError::Depot(DepotError::NotThere { .. })) || error.is_later();
        if delivery.failures >= settings.failures_max && !waits {
            row.status = ExportStatus::Failed.as_str().to_owned();
            delivery.next_attempt_at = None;
        } else {
            let wait = settings.retry_wait(delivery.failures);
            delivery.next_attempt_at = self.now().saturating_add(wait).ok();
        }
        let now = self.now();
        self.store_export(&mut row, now).await
    }

    /// An attempt moved something: the next failure waits as the first one did.
    pub(crate) async fn note_movement(&self, export: Uuid) -> Result<(), ExchangeError> {
        let mut row = self.export_row(export).await?;
        if row.details.delivery.failures == 0 {
            return Ok(());
        }
        row.details.delivery.failures = 0;
        let now = self.now();
        self.store_export(&mut row, now).await
    }
}
