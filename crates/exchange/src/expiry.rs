//! Offers end: what was not taken in time is dropped, at the sender and at the receiver; and the slow work
//! that nobody rings for.
//!
//! Invariant: the end is recorded before anything is dropped, and the sender tells the receiver of it by a
//! notice, so that the exchange's number is accounted for.

use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
use ledger::Event;
use parcel::notice::Matter;
use policy::Why;

use crate::afterwards::RecallFacts;
use crate::error::FirstError;
use crate::model::{
    ExportRow, ExportStatus, Incoming, IncomingDetails, IncomingStatus, SealedFacts,
};
use crate::notices::Draft;
use crate::{Exchange, ExchangeError};

/// How often offers, recalls and destructions are looked through.
const TEND_EVERY: SignedDuration = SignedDuration::from_secs(60);
/// How far a partner's clock may be from ours before we drop what it is still sending.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);

impl Exchange {
    /// When the offer of a sealed parcel ends.
    pub(crate) fn offer_ends(&self, sealed: &SealedFacts) -> Option<Timestamp> {
        let life = SignedDuration::try_from(self.0.setup.settings.offer_life).ok()?;
        sealed.at.checked_add(life).ok()
    }

    /// Whether an export's offer is over.
    pub(crate) fn is_over(&self, sealed: Option<&SealedFacts>) -> bool {
        let ends = sealed.and_then(|sealed| self.offer_ends(sealed));
        ends.is_some_and(|ends| ends <= self.now())
    }

    /// Ends an offer: recorded, told, dropped.
    pub(crate) async fn expire(&self, row: &mut ExportRow) -> Result<(), ExchangeError> {
        let exchange = row.exchange.ok_or(ExchangeError::NoSuch { what: "exchange" })?;
        let parcel = row.parcel.ok_or(ExchangeError::NoSuch { what: "parcel" })?;
        let event = Event::OfferExpired {
            exchange: exchange.to_string(),
            parcel: parcel.to_string(),
            partner: row.partner.clone(),
        };
        let receipt = self.record(None, &row.details.why, event).await?;
        row.status = ExportStatus::Expired.as_str().to_owned();
        row.details.delivery.next_attempt_at = None;
        row.details.recall = Some(RecallFacts {
            by: None,
            at: receipt.at,
            entry: receipt.entry.0,
            reason: "the partner did not take it in time".to_owned(),
            stood: None,
            partner_entry: None,
            reminders: 0,
            remind_at: None,
            answered: None,
        });
        let draft = Draft::of(&receipt, Matter::Expired {}, None);
        self.store_export_and_tell(row, draft).await?;
        self.drop_sealed(Some(parcel)).await;
        Ok(())
    }

    /// Drops what partners offered and did not bring to its end in time.
    async fn drop_expired(&self) -> Result<(), ExchangeError> {
        let mut first = FirstError::default();
        for parcel in self.every_incoming(&[IncomingStatus::Receiving], |_| true).await? {
            first.note("an offer that is over is not dropped yet", self.drop_if_over(parcel).await);
        }
        first.end()
    }

    async fn drop_if_over(&self, parcel: Incoming) -> Result<(), ExchangeError> {
        let Some(_claim) = self.claim(parcel.exchange) else { return Ok(()) };
        let mut row = self.incoming_row(parcel.exchange).await?;
        let late = |ends: Timestamp| ends.saturating_add(CLOCKS_APART).ok();
        let ends = row.details.expires.and_then(late);
        if row.status != IncomingStatus::Receiving.as_str()
            || ends.is_none_or(|ends| ends > self.now())
        {
            return Ok(());
        }
        let event = Event::OfferExpired {
            exchange: row.exchange.to_string(),
            parcel: row.parcel.to_string(),
            partner: row.partner.clone(),
        };
        self.record(None, &Why::default(), event).await?;
        row.status = IncomingStatus::Expired.as_str().to_owned();
        row.holds_room = false;
        self.store_incoming(&mut row).await?;
        self.drop_incoming(row.exchange).await;
        Ok(())
    }

    /// Removes folders of parcels that nobody knows: a crash came between giving one its place and its row.
    async fn sweep_arrivals(&self) -> Result<(), ExchangeError> {
        let found = self.0.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for exchange in &found {
            let state = &self.0.setup.state;
            let known = state::parcels::find::<IncomingDetails>(state, *exchange).await?;
            if known.is_none() {
                tracing::warn!(%exchange, "a folder without a parcel is removed");
                self.drop_incoming(*exchange).await;
            }
        }
        self.0.found.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    /// The slow work, at most once a minute.
    pub(crate) async fn tend_when_due(&self) -> Result<(), ExchangeError> {
        let now = self.now();
        {
            let mut tended = self.0.tended.lock().unwrap_or_else(PoisonError::into_inner);
            let due = tended.is_none_or(|last| now.duration_since(last).abs() >= TEND_EVERY);
            if !due {
                return Ok(());
            }
            *tended = Some(now);
        }
        self.clear_depots_soon();
        self.tend().await
    }

    /// Drops offers that are over, finishes destructions, asks the malware scanner again, sees to parcels whose time is
    /// over, tells of numbers that never came, reminds of recalls, and removes what cut-off seals left and copies whose time is over.
    ///
    /// # Errors
    /// The first of what went wrong; each is done again in a minute, and none keeps the others.
    pub async fn tend(&self) -> Result<(), ExchangeError> {
        let mut first = FirstError::default();
        first.note("offers that are over are not all dropped", self.drop_expired().await);
        first.note("what was carried here is not all verified", self.verify_carried().await);
        first.note("receipts were not all handed over", self.hand_receipts().await);
        first.note("destructions are not all finished", self.destroy_on().await);
        first.note("not everything was scanned", self.scan_on().await);
        first.note("parcels whose time is over were not all seen to", self.keep_in_time().await);
        first.note("missing numbers were not all told of", self.tell_gaps().await);
        first.note("copies of what was sent are not all removed", self.drop_copies().await);
        first.note("reminders were not all written", self.remind().await);
        first.note("what cut-off seals left is still there", self.sweep_drafts().await);
        first.note("what a crash left of arrivals is still there", self.sweep_arrivals().await);
        first.end()
    }
}
