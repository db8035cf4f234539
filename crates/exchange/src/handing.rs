//! A receipt for a parcel that did not come by the push, handed to its sender's server where that answers.
//!
//! Invariants: the sender believes it as it believes one that a push brought back, and no further; it is recorded there
//! before the export is acknowledged. One that is handed twice is anchored once.

use http::{Request, StatusCode, header};
use parcel::receipt::{Outcome, Receipt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wire::{IngressBody, Outgoing};

use crate::again::REVIEW_WAIT;
use crate::carried::CarriedFacts;
use crate::error::FirstError;
use crate::model::{ExportRow, ExportStatus, Incoming, IncomingRow};
use crate::offers::whole;
use crate::protocol::{JSON, NOTICE_BODY_BYTES_MAX, RECEIPTS, SignedText};
use crate::push::{Line, said};
use crate::receive::{Guest, Told, told};
use crate::{Exchange, ExchangeError};

/// Attempts after which the receipt is left to be carried back.
const ATTEMPTS_MAX: u32 = 12;

/// What the sender says: its ledger entry of the anchoring.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Anchored {
    entry: u64,
}

impl Exchange {
    /// Hands over the receipts that are due. One that does not arrive stops no other.
    pub(crate) async fn hand_receipts(&self) -> Result<(), ExchangeError> {
        let now = self.now();
        let mut first = FirstError::default();
        let due = |parcel: &Incoming| {
            let open = |carried: &&CarriedFacts| !carried.told && carried.attempts < ATTEMPTS_MAX;
            let carried = parcel.afterwards.carried.as_ref().filter(open);
            let has_server =
                self.book().partner(&parcel.partner).is_some_and(|it| it.server.is_some());
            has_server
                && parcel.receipt.is_some()
                && carried.is_some_and(|carried| carried.next_at.is_none_or(|at| at <= now))
        };
        for parcel in self.every_incoming(&[], due).await? {
            first.note("a receipt was not handed over", self.hand_receipt(parcel.exchange).await);
        }
        first.end()
    }

    async fn hand_receipt(&self, exchange: Uuid) -> Result<(), ExchangeError> {
        let mut row = self.incoming_row(exchange).await?;
        let outcome = self.post_receipt(&row).await;
        let next = |attempts| self.now().saturating_add(self.0.setup.settings.retry_wait(attempts));
        let Some(carried) = &mut row.details.afterwards.carried else { return Ok(()) };
        match outcome {
            Ok(entry) => {
                tracing::info!(%exchange, entry, "its sender has our receipt");
                carried.told = true;
            }
            Err(ExchangeError::Unread(_)) => {
                carried.next_at = self.now().saturating_add(REVIEW_WAIT).ok();
            }
            Err(error) => {
                tracing::info!(%exchange, error = error.chain(), "its sender has not our receipt yet");
                carried.attempts = carried.attempts.saturating_add(1);
                carried.next_at = next(carried.attempts).ok();
            }
        }
        match self.store_incoming(&mut row).await {
            Ok(()) | Err(ExchangeError::Changed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn post_receipt(&self, row: &IncomingRow) -> Result<u64, ExchangeError> {
        let wrong = |what| ExchangeError::Protocol { what };
        let facts = row.details.receipt.as_ref().ok_or_else(|| wrong("a receipt that is none"))?;
        let (json, signature) = (facts.json.clone(), facts.signature.clone());
        let body = serde_json::to_vec(&SignedText { json, signature });
        let body = body.map_err(|_| wrong("a receipt that can't be written"))?;
        let request = Request::post(RECEIPTS)
            .header(header::CONTENT_TYPE, JSON)
            .body(Outgoing::bytes(body.into()))
            .map_err(wire::WireError::from)?;
        if let Some(clause) = self.unread_partner(&row.partner).await? {
            return Err(ExchangeError::Unread(clause));
        }
        let partner = self.partner(&row.partner)?.clone();
        let mut connection = Line::to(self, &partner)?.open().await?;
        let reply = connection.send(request).await?;
        let anchored: Anchored = said(reply, &[StatusCode::OK]).await?;
        Ok(anchored.entry)
    }

    /// Takes a partner's receipt for a parcel that went another way than the push.
    pub(crate) async fn take_handed(&self, guest: Guest<'_>, body: IngressBody) -> Told {
        let bytes = match whole(body, NOTICE_BODY_BYTES_MAX).await {
            Ok(bytes) => bytes,
            Err(told) => return told,
        };
        let read = serde_json::from_slice::<SignedText>(&bytes).ok();
        // Only to find the export: what it says counts once its signature held.
        let named = read.as_ref().and_then(|text| serde_json::from_str::<Receipt>(&text.json).ok());
        let exchange = named.and_then(|receipt| Uuid::parse_str(&receipt.exchange_id).ok());
        let (Some(text), Some(exchange)) = (read, exchange) else {
            return self.bad_receipt(&guest, "not a receipt of ours").await;
        };
        match self.anchor_handed(&guest, exchange, &text).await {
            Ok(entry) => told(StatusCode::OK, &Anchored { entry }),
            Err(
                error @ (ExchangeError::Protocol { .. }
                | ExchangeError::Refused(_)
                | ExchangeError::NoSuch { .. }
                | ExchangeError::WrongState { .. }),
            ) => self.bad_receipt(&guest, &error.chain()).await,
            Err(error) => self.trouble(&error),
        }
    }

    async fn anchor_handed(
        &self,
        guest: &Guest<'_>,
        exchange: Uuid,
        text: &SignedText,
    ) -> Result<u64, ExchangeError> {
        let state = &self.0.setup.state;
        let nothing = || ExchangeError::NoSuch { what: "export to you in that exchange" };
        let found: Option<ExportRow> = state::exports::find_by_exchange(state, exchange).await?;
        let found = found.filter(|row| row.partner == guest.partner.ori.as_str());
        let id = found.ok_or_else(nothing)?.id;
        let _claim = self.claim(id).ok_or(ExchangeError::Changed { what: "export" })?;
        let mut row = self.export_row(id).await?;
        let sealed = row.details.sealed.clone().ok_or_else(nothing)?;
        let receipt = self.read_receipt(&row, guest.partner, &sealed, text)?;
        if let Some(before) = &row.details.receipt {
            let same = before.json == text.json;
            let other = || ExchangeError::WrongState {
                what: "export",
                is: "acknowledged by another receipt".to_owned(),
                needs: "not acknowledged",
            };
            return same.then_some(before.entry).ok_or_else(other);
        }
        self.hear(guest.partner, receipt.ledger_checkpoint.as_deref()).await;
        self.take_receipt(None, &mut row, &receipt, text, None).await?;
        let anchored = row.details.receipt.clone();
        let entry = anchored.as_ref().map(|facts| facts.entry).ok_or_else(nothing)?;
        if receipt.outcome != Outcome::Accepted {
            return Ok(entry);
        }
        let settled = |row: &mut ExportRow| {
            row.details.receipt.clone_from(&anchored);
            row.details.delivery.last_problem = None;
            row.details.delivery.next_attempt_at = None;
            let gone = [ExportStatus::Recalled, ExportStatus::Rejected, ExportStatus::Refused];
            if gone.iter().all(|status| status.as_str() != row.status) {
                row.status = ExportStatus::Acknowledged.as_str().to_owned();
            }
        };
        self.change_export(id, self.now(), settled).await?;
        Ok(entry)
    }

    async fn bad_receipt(&self, guest: &Guest<'_>, detail: &str) -> Told {
        let detail = crate::delivery::short(detail);
        self.refuse(guest.peer, StatusCode::BAD_REQUEST, "bad-receipt", &detail).await
    }
}
