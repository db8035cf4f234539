//! Delivering what was sealed: when, how often, and what becomes of it.
//!
//! Invariants: the sending is recorded before the first byte leaves, and only under an agreement in
//! force; a receipt counts only when the partner's signature, the parcel, the exchange and the digest are
//! the right ones, and it is in our ledger before the export is called acknowledged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use ledger::{EntryNumber, Event, Sent};
use parcel::receipt::{Outcome, Receipt, SignedReceipt};
use policy::Why;
use uuid::Uuid;

use crate::book::Clause;
use crate::depots::DepotError;
use crate::error::ExchangeError;
use crate::exports::needs;
use crate::model::{Export, ExportRow, ExportStatus, ReceiptFacts, RefusalFacts, SealedFacts};
use crate::passing::PassOn;
use crate::progress::Phase;
use crate::protocol::{Answer, AnswerState, Refusal, SignedText};
use crate::push::Pushed;
use crate::recall::Stop;
use crate::{Caller, Exchange, Partner};

impl Exchange {
    /// One attempt to deliver an export, from wherever the last one ended.
    ///
    /// # Errors
    /// What stood in the way. The export stays as it was, or is refused or failed where another attempt
    /// would not help.
    pub async fn deliver(&self, export: Uuid) -> Result<Export, ExchangeError> {
        let _claim = self.claim(export).ok_or(ExchangeError::Changed { what: "export" })?;
        let mut row = self.export_row(export).await?;
        let (exchange, parcel, number, sealed) =
            match (row.exchange, row.parcel, row.number, row.details.sealed.clone()) {
                (Some(exchange), Some(parcel), Some(number), Some(sealed))
                    if [ExportStatus::Sealed.as_str(), ExportStatus::Sending.as_str()]
                        .contains(&row.status.as_str()) =>
                {
                    (exchange, parcel, number, sealed)
                }
                _ => {
                    let (is, needs) = (row.status, "sealed or sending");
                    return Err(ExchangeError::WrongState { what: "export", is, needs });
                }
            };
        let partner = self.partner(&row.partner)?.clone();
        if self.is_over(row.details.sealed.as_ref()) {
            self.expire(&mut row).await?;
            return Export::of(row);
        }
        self.0.setup.ledger.releasable()?;
        if let Some(clause) = self.unread(&row.partner).await? {
            return Err(ExchangeError::Unread(clause));
        }
        // Before the state is looked at again: whoever takes it back from now on is heard.
        let stop = self.stop_of(export);
        self.refuse_ended(&mut row).await?;
        self.refuse_elsewhere(&mut row).await?;
        self.stamp_unless_recalled(&mut row, &stop).await?;
        // An authority may take its time: what was so before it was asked need not be so now.
        let row_now = self.export_row(export).await?;
        if row_now.status != row.status {
            return Err(ExchangeError::Changed { what: "export" });
        }
        let mut row = row_now;
        self.refuse_ended(&mut row).await?;
        self.refuse_elsewhere(&mut row).await?;
        if row.details.delivery.sent_entry.is_none() {
            self.record_sending(&mut row, exchange, parcel, &sealed).await?;
            needs(&row, ExportStatus::Sending, "sending")?;
        }
        if let Some(route) = &row.details.delivery.route {
            let to = (&partner, route.as_str());
            return self.lay_down(export, to, (parcel, exchange), &sealed, &stop).await;
        }
        let offer = self.offer(&row, exchange, parcel, number, &sealed).await?;
        let answer = tokio::select! {
            biased;
            () = stop.rung() => return Err(recalled()),
            answer = self.push(export, &partner, &offer) => answer?,
        };
        // What moved was noted meanwhile; the claim keeps everybody else away.
        let mut row = self.export_row(export).await?;
        match answer {
            Pushed::Answered(answer) => self.settle(row, &partner, &sealed, &answer).await,
            Pushed::Refused(refusal) => {
                self.settle_refusal(
                    None,
                    &mut row,
                    &refusal.place,
                    &refusal.reason,
                    Some(refusal.entry),
                )
                .await?;
                Export::of(row)
            }
        }
    }

    /// The first half of an attempt, where the time-stamp authority is to be asked: it may take its time.
    ///
    /// # Errors
    /// As [`Exchange::deliver`].
    pub(crate) async fn stamp_due(&self, export: Uuid) -> Result<(), ExchangeError> {
        let _claim = self.claim(export).ok_or(ExchangeError::Changed { what: "export" })?;
        self.0.setup.ledger.releasable()?;
        // Before the state is looked at: whoever takes it back from now on is heard.
        let stop = self.stop_of(export);
        let mut row = self.export_row(export).await?;
        needs(&row, ExportStatus::Sealed, "sealed")?;
        self.refuse_ended(&mut row).await?;
        self.refuse_elsewhere(&mut row).await?;
        self.stamp_unless_recalled(&mut row, &stop).await
    }

    async fn stamp_unless_recalled(
        &self,
        row: &mut ExportRow,
        stop: &Stop,
    ) -> Result<(), ExchangeError> {
        tokio::select! {
            biased;
            () = stop.rung() => Err(recalled()),
            stamped = self.stamp_before_leaving(row) => stamped,
        }
    }

    /// The agreement once more, before every attempt: one that ended since, or closed this way, lets nothing more out.
    async fn refuse_ended(&self, row: &mut ExportRow) -> Result<(), ExchangeError> {
        let agreement = self.agreement(&row.agreement).await?;
        let goes = agreement.goes(row.details.delivery.route.as_deref()).err();
        // The terms of those from whom it came, too, as they stand by now.
        let passing = self.against_passing(&PassOn::of(&row.details, &agreement)).await?;
        let stands = self.stands_against(&agreement).await?;
        let opens = self.still_opens(row).err();
        let against = [stands, goes, passing, opens].into_iter().flatten();
        // What is over for good counts before what waits.
        let (waits, over): (Vec<_>, Vec<_>) = against.partition(Clause::waits_for_review);
        let Some(clause) = over.into_iter().next() else {
            return waits.into_iter().next().map_or(Ok(()), |it| Err(ExchangeError::Unread(it)));
        };
        let entry = self.refuse_delivery(row, clause.recorded(), clause.to_string()).await?;
        Err(ExchangeError::Clause { entry, clause })
    }

    /// Whether what was sealed may still go: no certificate that it was sealed to was revoked since.
    ///
    /// # Errors
    /// [`Clause::Revoked`].
    pub(crate) fn still_opens(&self, row: &ExportRow) -> Result<(), Clause> {
        let sealed_to = row.details.sealed.iter().flat_map(|sealed| sealed.recipients.iter());
        let sealed_to: Vec<String> = sealed_to.cloned().collect();
        let partner = self.book().partner(&row.partner);
        partner.map_or(Ok(()), |partner| partner.still_opens(&sealed_to, self.now()))
    }

    /// A way that leads elsewhere than it did when it was approved lets nothing out until somebody says so.
    async fn refuse_elsewhere(&self, row: &mut ExportRow) -> Result<(), ExchangeError> {
        let delivery = &row.details.delivery;
        let (Some(name), Some(was)) = (&delivery.route, &delivery.place) else { return Ok(()) };
        // A way that is gone is told of by the attempt itself.
        let Ok(Some(is)) = self.place(&row.partner, Some(name)) else { return Ok(()) };
        if is == *was {
            return Ok(());
        }
        let elsewhere = DepotError::Elsewhere { name: name.clone(), was: was.clone(), is };
        let words = elsewhere.to_string();
        self.refuse_delivery(row, words.clone(), words).await?;
        Err(elsewhere.into())
    }

    /// Recorded, then stored: no attempt is made any more.
    async fn refuse_delivery(
        &self,
        row: &mut ExportRow,
        reason: String,
        words: String,
    ) -> Result<EntryNumber, ExchangeError> {
        let route = format!("delivery of export {}", row.id);
        let event = Event::RequestRefused { route, reason };
        let receipt = self.record(None, &row.details.why, event).await?;
        row.status = ExportStatus::Failed.as_str().to_owned();
        row.details.delivery.last_problem = Some(short(&words));
        self.store_export(row, receipt.at).await?;
        Ok(receipt.entry)
    }

    /// The record, then the state. After this bytes may leave.
    async fn record_sending(
        &self,
        row: &mut ExportRow,
        exchange: Uuid,
        parcel: Uuid,
        sealed: &SealedFacts,
    ) -> Result<(), ExchangeError> {
        let route = row.details.delivery.route.clone();
        // What was asked for before its place was kept goes where its way leads now.
        let place = match &row.details.delivery.place {
            None => self.place(&row.partner, route.as_deref()).ok().flatten(),
            place @ Some(_) => place.clone(),
        };
        let event = Event::ParcelSent(Sent {
            exchange: exchange.to_string(),
            number: row.number.unwrap_or_default(),
            parcel: parcel.to_string(),
            partner: row.partner.clone(),
            digest: sealed.digest.clone(),
            route,
            place: place.clone(),
        });
        let receipt = self.record(None, &row.details.why, event).await?;
        let leaf = hex::encode(receipt.leaf);
        let sent = |row: &mut ExportRow| {
            // It may have been taken back meanwhile.
            if row.status == ExportStatus::Sealed.as_str() {
                row.status = ExportStatus::Sending.as_str().to_owned();
            }
            row.details.delivery.sent_entry = Some(receipt.entry.0);
            row.details.delivery.sent_leaf = Some(leaf.clone());
            row.details.delivery.place.clone_from(&place);
        };
        *row = self.change_export(row.id, receipt.at, sent).await?;
        Ok(())
    }

    /// Draws the conclusion from a final answer.
    pub(crate) async fn settle(
        &self,
        mut row: ExportRow,
        partner: &Partner,
        sealed: &SealedFacts,
        answer: &Answer,
    ) -> Result<Export, ExchangeError> {
        if matches!(answer.state, AnswerState::Recalled | AnswerState::Expired) {
            // Over there the offer is over; so it is here, if nobody has taken it back.
            if row.status == ExportStatus::Sending.as_str() {
                self.expire(&mut row).await?;
            }
            return Export::of(row);
        }
        let missing = ExchangeError::Protocol { what: "a final answer without a receipt" };
        let text = answer.receipt.as_ref().ok_or(missing)?;
        let receipt = self.read_receipt(&row, partner, sealed, text)?;
        self.hear(partner, receipt.ledger_checkpoint.as_deref()).await;
        let accepted = receipt.outcome == Outcome::Accepted;
        if accepted != (answer.state == AnswerState::Received) {
            return Err(ExchangeError::Protocol { what: "a receipt at odds with its answer" });
        }
        if !accepted {
            self.take_receipt(None, &mut row, &receipt, text, answer.refusal.as_ref()).await?;
            return Export::of(row);
        }
        self.take_receipt(None, &mut row, &receipt, text, None).await?;
        let anchored = row.details.receipt;
        let settled = |row: &mut ExportRow| {
            row.details.receipt.clone_from(&anchored);
            row.details.delivery.last_problem = None;
            row.details.delivery.next_attempt_at = None;
            // It may have been taken back while it arrived.
            if row.status == ExportStatus::Sending.as_str() {
                row.status = ExportStatus::Acknowledged.as_str().to_owned();
            }
        };
        let row = self.change_export(row.id, self.now(), settled).await?;
        self.report(row.id, Phase::Done, sealed.bytes, sealed.bytes);
        Export::of(row)
    }

    /// Records what a receipt says: that the parcel arrived, and then the caller stores the row; or that it was
    /// refused, and why. `caller` is who brought it, where the partner's server did not.
    pub(crate) async fn take_receipt(
        &self,
        caller: Option<&Caller>,
        row: &mut ExportRow,
        receipt: &Receipt,
        text: &SignedText,
        refusal: Option<&Refusal>,
    ) -> Result<(), ExchangeError> {
        if receipt.outcome != Outcome::Accepted {
            let failed = receipt.checks.iter().find(|check| !check.passed);
            let reason = failed.map_or("no check named", |check| check.detail.as_str());
            let place = refusal.map_or("the parcel", |refusal| refusal.place.as_str());
            let reason = refusal.map_or(reason, |refusal| refusal.reason.as_str());
            let entry = receipt.ledger_entry;
            let entry = self.settle_refusal(caller, row, place, reason, entry).await?;
            let now = self.now();
            row.details.receipt = Some(facts(receipt, text, entry, now));
            return self.store_export(row, now).await;
        }
        if caller.is_none() && receipt.ledger_entry.is_none() {
            return Err(ExchangeError::Protocol { what: "a receipt without the receiver's entry" });
        }
        let event = Event::ReceiptAnchored {
            exchange: receipt.exchange_id.clone(),
            parcel: receipt.parcel.to_string(),
            partner: row.partner.clone(),
            digest: hex::encode(keys::digest::sha256(text.json.as_bytes())),
            partner_entry: receipt.ledger_entry,
        };
        let anchored = self.record(caller, &row.details.why, event).await?;
        row.details.receipt = Some(facts(receipt, text, anchored.entry.0, anchored.at));
        Ok(())
    }

    /// A receipt that the partner signed, about this exchange, this parcel and these bytes.
    pub(crate) fn read_receipt(
        &self,
        row: &ExportRow,
        partner: &Partner,
        sealed: &SealedFacts,
        text: &SignedText,
    ) -> Result<Receipt, ExchangeError> {
        let wrong = |what| ExchangeError::Protocol { what };
        let signature =
            BASE64.decode(&text.signature).map_err(|_| wrong("a signature that is not Base64"))?;
        let signed = SignedReceipt { json: text.json.clone().into_bytes(), signature };
        let trust = partner.trust(self.now());
        let (receipt, _) =
            parcel::receipt::verify(&signed, &trust).map_err(ExchangeError::Refused)?;
        let is_ours = Some(receipt.parcel) == row.parcel
            && Some(receipt.exchange_id.as_str())
                == row.exchange.map(|exchange| exchange.to_string()).as_deref()
            && receipt.digest == sealed.digest
            && receipt.receiver.ori == row.partner;
        let place = (receipt.ledger_entry, receipt.ledger_checkpoint.as_deref());
        if !partner.signed(place.0.unwrap_or_default(), place.1.unwrap_or_default()) {
            return Err(wrong("a receipt with a checkpoint that is not of the partner's ledger"));
        }
        if is_ours { Ok(receipt) } else { Err(wrong("a receipt for something else")) }
    }

    /// The partner said no for good: recorded here too, then stored.
    async fn settle_refusal(
        &self,
        caller: Option<&Caller>,
        row: &mut ExportRow,
        place: &str,
        reason: &str,
        partner_entry: Option<u64>,
    ) -> Result<u64, ExchangeError> {
        let (place, reason) = (short(place), short(reason));
        let event = Event::ParcelRefused {
            exchange: row.exchange.map(|exchange| exchange.to_string()),
            parcel: row.parcel.map(|parcel| parcel.to_string()).unwrap_or_default(),
            partner: row.partner.clone(),
            where_: place.clone(),
            reason: reason.clone(),
        };
        let receipt = self.record(caller, &row.details.why, event).await?;
        let entry = receipt.entry.0;
        let facts = RefusalFacts { at: receipt.at, place, reason, entry, partner_entry };
        let refused = |row: &mut ExportRow| {
            row.details.refusal = Some(facts.clone());
            if row.status != ExportStatus::Recalled.as_str() {
                row.status = ExportStatus::Refused.as_str().to_owned();
            }
        };
        *row = self.change_export(row.id, receipt.at, refused).await?;
        Ok(entry)
    }

    /// Records a setting or an act of the platform itself, in this room's name.
    ///
    /// # Errors
    /// [`ExchangeError::Unrecorded`].
    pub async fn record_book(&self) -> Result<ledger::Receipt, ExchangeError> {
        let digest = hex::encode(self.book().digest());
        let what = "partners and agreements".to_owned();
        self.record(None, &Why::default(), Event::SettingsLoaded { what, digest }).await
    }
}

fn facts(receipt: &Receipt, text: &SignedText, entry: u64, at: Timestamp) -> ReceiptFacts {
    ReceiptFacts {
        at,
        accepted: receipt.outcome == Outcome::Accepted,
        digest: hex::encode(keys::digest::sha256(text.json.as_bytes())),
        receiver_entry: receipt.ledger_entry,
        receiver_checkpoint: receipt.ledger_checkpoint.clone(),
        entry,
        json: text.json.clone(),
        signature: text.signature.clone(),
    }
}

/// What a partner wrote, for our own records: at most 500 characters and none that controls.
pub(crate) fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(500).collect()
}

fn recalled() -> ExchangeError {
    let (is, needs) = ("recalled".to_owned(), "sending");
    ExchangeError::WrongState { what: "export", is, needs }
}
