//! Our own copies of what was sent: each is removed some time after it arrived, so that the store does not grow without end.
//!
//! Invariants: the removal is on record before the copy goes; a copy is kept as long as a guest may fetch it, and as long
//! as a hold is on the export's case or partner.

use jiff::{SignedDuration, Timestamp};
use ledger::Event;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{FirstError, store};
use crate::model::{ExportDetails, ExportRow, ExportStatus};
use crate::{Exchange, ExchangeError};

/// When our sealed copy was removed, and the ledger entry that says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyGone {
    pub at: Timestamp,
    pub entry: u64,
}

/// What has arrived, as far as we can know.
const ARRIVED: [ExportStatus; 2] = [ExportStatus::Acknowledged, ExportStatus::Delivered];

impl Exchange {
    /// Removes the copies whose time is over. What lies in the store is looked through, and not all exports there ever were.
    pub(crate) async fn drop_copies(&self) -> Result<(), ExchangeError> {
        let this = self.clone();
        let found = tokio::task::spawn_blocking(move || this.0.store.sent_parcels()).await;
        let found = found.map_err(|_| ExchangeError::Stopped)?;
        let mut first = FirstError::default();
        for parcel in found.map_err(store("look through what was sent"))? {
            first.note("a sent parcel's copy is still here", self.drop_copy(parcel).await);
        }
        first.end()
    }

    async fn drop_copy(&self, parcel: Uuid) -> Result<(), ExchangeError> {
        let found = state::exports::find_by_parcel::<ExportDetails>(&self.0.setup.state, parcel);
        let Some(row) = found.await? else { return Ok(()) };
        let Some(_claim) = self.claim(row.id) else { return Ok(()) };
        let mut row = self.export_row(row.id).await?;
        let Some(sealed) = row.details.sealed.clone() else { return Ok(()) };
        // A crash came between the record and the removal.
        if sealed.gone.is_some() {
            self.drop_sealed(row.parcel).await;
            return Ok(());
        }
        if !self.is_copy_over(&row) || self.hold_on_sent(&row)?.is_some() {
            return Ok(());
        }
        let event = Event::CopyRemoved {
            exchange: row.exchange.map(|id| id.to_string()).unwrap_or_default(),
            parcel: parcel.to_string(),
            partner: row.partner.clone(),
        };
        let receipt = self.record(None, &row.details.why, event).await?;
        if let Some(sealed) = &mut row.details.sealed {
            sealed.gone = Some(CopyGone { at: receipt.at, entry: receipt.entry.0 });
        }
        self.store_export(&mut row, receipt.at).await?;
        self.drop_sealed(row.parcel).await;
        Ok(())
    }

    /// Whether it arrived long enough ago, and nobody may fetch it any more.
    fn is_copy_over(&self, row: &ExportRow) -> bool {
        let arrived = ARRIVED.iter().any(|status| status.as_str() == row.status);
        let Some(last) = last_needed(row).filter(|_| arrived) else { return false };
        let keep = SignedDuration::try_from(self.0.setup.settings.keep_sent);
        let ends = keep.ok().and_then(|keep| last.checked_add(keep).ok());
        ends.is_some_and(|ends| ends <= self.now())
    }

    fn hold_on_sent(&self, row: &ExportRow) -> Result<Option<String>, ExchangeError> {
        let case = row.details.why.case_number.as_ref().map(|case| case.as_str());
        self.hold_over(case, &row.partner, row.details.sealed.as_ref().map(|sealed| sealed.entry))
    }
}

/// When it arrived, or was laid down, or the last guest who might fetch it could no longer.
fn last_needed(row: &ExportRow) -> Option<Timestamp> {
    let details = &row.details;
    let receipt = details.receipt.as_ref().map(|receipt| receipt.at);
    let laid = details.delivery.laid.as_ref().map(|laid| laid.at);
    let guests = details.guests.iter();
    let guests = guests.map(|guest| guest.ended.as_ref().map_or(guest.until, |voice| voice.at));
    receipt.into_iter().chain(laid).chain(guests).max()
}
