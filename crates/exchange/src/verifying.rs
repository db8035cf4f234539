//! Verifying what arrived, and drawing the conclusion: recorded, then acknowledged or refused.
//!
//! Invariants: a parcel is called received only after `ParcelReceived` is in the ledger; a receipt is
//! given out only after `ReceiptIssued` is; a refusal frees the room only after it is recorded.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ledger::Event;
use ledger::note::VerifierKey;
use parcel::receipt::{Check, Outcome, RECEIPT_PROFILE, Receipt};
use parcel::{Parcel, Refused, Verified, Watch, part_path};
use uuid::Uuid;
use wire::PeerAddress;

use crate::bringing::kept;
use crate::delivery::short;
use crate::error::ExchangeError;
use crate::model::{IncomingRow, IncomingStatus, Inside, ReceiptFacts, RefusalFacts};
use crate::progress::Phase;
use crate::redacted::tie;
use crate::seen::files_of;
use crate::{Exchange, Progress, proofs, stamping};

/// How long a partner is kept waiting for a verification before it is asked to come again.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What verification came to.
pub(crate) enum Verdict {
    Holds(Box<(Verified, Inside)>),
    Damaged { place: String, reason: String },
}

impl Exchange {
    /// Verifies an exchange, in a task that goes on when the caller goes away. `None`: it takes longer
    /// than the partner is kept waiting; it asks again.
    pub(crate) async fn verify_soon(
        &self,
        exchange: Uuid,
        peer: Option<PeerAddress>,
    ) -> Result<Option<IncomingRow>, ExchangeError> {
        let Some(claim) = self.claim(exchange) else { return Ok(None) };
        let this = self.clone();
        let task = tokio::spawn(async move {
            let outcome = async {
                let row = this.incoming_row(exchange).await?;
                if row.status != IncomingStatus::Receiving.as_str() {
                    return Ok(row);
                }
                let verdict = this.verify(&row).await?;
                this.conclude(exchange, peer, verdict).await
            };
            let outcome = outcome.await;
            drop(claim);
            outcome
        });
        match tokio::time::timeout(ANSWER_WITHIN, task).await {
            Ok(done) => done.map_err(|_| ExchangeError::Stopped)?.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// All of it: signature, completeness, every part, the inner signature, and that it is what was
    /// offered.
    async fn verify(&self, row: &IncomingRow) -> Result<Verdict, ExchangeError> {
        let partner = self.partner(&row.partner)?;
        let now = self.now();
        let trust = partner.trust(now);
        let ledger_keys = self.ledger_keys();
        let authorities = self.stamp_authorities(partner);
        let folder = self.0.store.incoming(row.exchange);
        let (this, row) = (self.clone(), row.clone());
        let work = move || {
            let progress = this.progress_sender(row.exchange);
            let never = AtomicBool::new(false);
            let watch = Watch {
                progress: &|done, total| {
                    progress.send_replace(Progress { phase: Phase::Verifying, done, total });
                },
                cancel: &never,
            };
            let inside = || {
                let parcel = Parcel::enter(&folder, &trust)?;
                parcel.check_parts(parcel::WORKERS_DEFAULT, watch)?;
                let unlocked = parcel.unlock(this.opener(&parcel))?;
                // Another program's record may be in another form: then nothing is proved by it.
                let said = (unlocked.record().transfer.clone(), unlocked.custody_events()?);
                let partner = this.book().partner(&row.partner);
                let stamp = stamping::came(&parcel, &authorities, (partner, now));
                Ok(((parcel.verified(), stamp), said, files_of(&unlocked)))
            };
            type Inner = (parcel::Transfer, Option<Vec<parcel::CustodyEvent>>);
            let ((verified, stamp), (transfer, events), mut files): (_, Inner, Vec<_>) =
                match inside() {
                    Ok(inside) => inside,
                    Err(refused) => return damaged(&refused),
                };
            if let Some(reason) = this.unlike_offer(&row, &verified, &transfer) {
                let place = "inner/metadata/transfer.json".to_owned();
                return Verdict::Damaged { place, reason: reason.to_owned() };
            }
            tie(&mut files, events.as_deref().unwrap_or_default());
            let proved = match events.map(|events| proofs::check(&events, &ledger_keys)) {
                None => None,
                Some(Ok(proved)) => Some(proved),
                Some(Err(reason)) => {
                    let place = "inner/metadata/custody.jsonld".to_owned();
                    return Verdict::Damaged { place, reason };
                }
            };
            let inside = Inside {
                purpose: transfer.purpose,
                authority: transfer.authority,
                case_number: transfer.case_number,
                handling: transfer.handling,
                record_classes: transfer.record_classes,
                retention: transfer.retention,
                files,
                proved,
                key_transport: verified.rsa_oaep.then(|| parcel::RSA_OAEP_WORDS.to_owned()),
                stamp,
                remarks: Vec::new(),
            };
            Verdict::Holds(Box::new((verified, inside)))
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)
    }

    /// Why a parcel that holds is not the one that was offered, if it is not.
    fn unlike_offer(
        &self,
        row: &IncomingRow,
        verified: &Verified,
        transfer: &parcel::Transfer,
    ) -> Option<&'static str> {
        let fits = [
            (verified.digest == row.digest, "is not the parcel that was offered"),
            (transfer.exchange_id == row.exchange.to_string(), "names another exchange"),
            (transfer.sender.ori == row.partner, "names another sender"),
            (transfer.recipient.ori == self.0.setup.agency.ori, "names another recipient"),
        ];
        fits.iter().find(|(fits, _)| !fits).map(|(_, reason)| *reason)
    }

    /// The keys of the ledgers that we can judge: our own and the partners'.
    fn ledger_keys(&self) -> Vec<VerifierKey> {
        let ours = VerifierKey::parse(&self.0.setup.ledger.verifier_key()).ok();
        let partners = self.book().partners().filter_map(|partner| partner.ledger_key.clone());
        partners.chain(ours).collect()
    }

    /// Records the verdict, signs a receipt for it, and only then changes the state.
    pub(crate) async fn conclude(
        &self,
        exchange: Uuid,
        peer: Option<PeerAddress>,
        verdict: Verdict,
    ) -> Result<IncomingRow, ExchangeError> {
        let mut row = self.incoming_row(exchange).await?;
        if row.status != IncomingStatus::Receiving.as_str() {
            return Ok(row);
        }
        match verdict {
            Verdict::Holds(holds) => {
                let (verified, inside) = *holds;
                self.accept(&mut row, peer, &verified, inside).await?;
                self.scan_soon(exchange);
            }
            Verdict::Damaged { place, reason } => {
                self.turn_down(&mut row, peer, place, reason).await?;
            }
        }
        Ok(row)
    }

    async fn accept(
        &self,
        row: &mut IncomingRow,
        peer: Option<PeerAddress>,
        verified: &Verified,
        mut inside: Inside,
    ) -> Result<(), ExchangeError> {
        let event = Event::ParcelReceived {
            exchange: row.exchange.to_string(),
            number: row.number,
            parcel: row.parcel.to_string(),
            partner: row.partner.clone(),
            digest: hex::encode(row.digest),
            checkpoint: row.details.sender_checkpoint.clone(),
        };
        let recorded = self.record_peer(peer, event).await?;
        let of = (row.exchange, row.parcel, row.partner.as_str());
        self.record_came(of, inside.stamp.as_mut()).await?;
        let agency = self.0.setup.agency.clone();
        let exchange = row.exchange.to_string();
        let mut receipt = Receipt::accepted(verified, &exchange, agency, recorded.at);
        self.fill_in(&mut receipt, &recorded)?;
        let facts = self.issue(row, peer, &receipt).await?;
        self.set_end(row, &inside, recorded.at).await?;
        row.details.received_at = Some(recorded.at);
        row.details.received_entry = Some(recorded.entry.0);
        row.details.inside = Some(inside);
        row.details.receipt = Some(facts);
        row.details.signer = Some(kept(&verified.sender));
        row.status = IncomingStatus::Received.as_str().to_owned();
        self.store_incoming(row).await
    }

    async fn turn_down(
        &self,
        row: &mut IncomingRow,
        peer: Option<PeerAddress>,
        place: String,
        reason: String,
    ) -> Result<(), ExchangeError> {
        let (place, reason) = (short(&place), short(&reason));
        let event = Event::ParcelRefused {
            exchange: Some(row.exchange.to_string()),
            parcel: row.parcel.to_string(),
            partner: row.partner.clone(),
            where_: place.clone(),
            reason: reason.clone(),
        };
        let recorded = self.record_peer(peer, event).await?;
        let mut receipt = Receipt {
            profile: RECEIPT_PROFILE.to_owned(),
            parcel: row.parcel,
            digest: hex::encode(row.digest),
            exchange_id: row.exchange.to_string(),
            outcome: Outcome::Refused,
            checks: vec![Check {
                name: "parts".to_owned(),
                passed: false,
                detail: format!("{place}: {reason}"),
            }],
            at: recorded.at,
            receiver: self.0.setup.agency.clone(),
            person: None,
            ledger_entry: None,
            ledger_checkpoint: None,
        };
        self.fill_in(&mut receipt, &recorded)?;
        let facts = self.issue(row, peer, &receipt).await?;
        row.details.refusal = Some(RefusalFacts {
            at: recorded.at,
            place,
            reason,
            entry: recorded.entry.0,
            partner_entry: None,
        });
        row.details.receipt = Some(facts);
        row.status = IncomingStatus::Refused.as_str().to_owned();
        row.holds_room = false;
        self.store_incoming(row).await?;
        let (this, exchange) = (self.clone(), row.exchange);
        let removed = tokio::task::spawn_blocking(move || this.0.store.remove_incoming(exchange));
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(%error, "a refused parcel could not be removed");
        }
        Ok(())
    }

    /// Our entry, its leaf, and a checkpoint that covers it.
    fn fill_in(
        &self,
        receipt: &mut Receipt,
        recorded: &ledger::Receipt,
    ) -> Result<(), ExchangeError> {
        let checkpoint = self.0.setup.ledger.checkpoint().map_err(ExchangeError::LedgerRead)?;
        receipt.ledger_entry = Some(recorded.entry.0);
        receipt.ledger_checkpoint = Some(checkpoint);
        receipt.checks.push(Check {
            name: "ledger-leaf".to_owned(),
            passed: true,
            detail: hex::encode(recorded.leaf),
        });
        Ok(())
    }

    /// Signs a receipt and records that it was issued.
    async fn issue(
        &self,
        row: &IncomingRow,
        peer: Option<PeerAddress>,
        receipt: &Receipt,
    ) -> Result<ReceiptFacts, ExchangeError> {
        let signed = parcel::receipt::sign(receipt, &self.0.setup.signer);
        let signed = signed.map_err(ExchangeError::Seal)?;
        let digest = hex::encode(keys::digest::sha256(&signed.json));
        let (exchange, digest_) = (row.exchange.to_string(), digest.clone());
        let event = Event::ReceiptIssued { exchange, digest: digest_ };
        let recorded = self.record_peer(peer, event).await?;
        let json = String::from_utf8(signed.json);
        let json =
            json.map_err(|_| ExchangeError::Protocol { what: "a receipt that is no text" })?;
        Ok(ReceiptFacts {
            at: recorded.at,
            accepted: receipt.outcome == Outcome::Accepted,
            digest,
            receiver_entry: receipt.ledger_entry,
            receiver_checkpoint: receipt.ledger_checkpoint.clone(),
            entry: recorded.entry.0,
            json,
            signature: BASE64.encode(&signed.signature),
        })
    }

    /// The numbers of the parts that are not in the store.
    pub(crate) async fn missing(&self, row: &IncomingRow) -> Result<Vec<u64>, ExchangeError> {
        let (folder, parts) = (self.0.store.incoming(row.exchange), row.details.parts);
        let look =
            move || (0..parts).filter(|number| !folder.join(part_path(*number)).exists()).collect();
        tokio::task::spawn_blocking(look).await.map_err(|_| ExchangeError::Stopped)
    }

    /// The parcel whose parts are still coming. Its signature was checked when it was offered, and is
    /// checked again, for the store is a disk.
    pub(crate) async fn announced_parcel(
        &self,
        row: &IncomingRow,
    ) -> Result<Parcel, ExchangeError> {
        let partner = self.partner(&row.partner)?;
        let trust = partner.trust(self.now());
        let folder = self.0.store.incoming(row.exchange);
        let work = move || Parcel::announced(&folder, &trust).map_err(ExchangeError::Refused);
        tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)?
    }

    pub(crate) async fn incoming_row(&self, exchange: Uuid) -> Result<IncomingRow, ExchangeError> {
        let found = state::parcels::find(&self.0.setup.state, exchange).await?;
        found.ok_or(ExchangeError::NoSuch { what: "exchange" })
    }

    pub(crate) async fn store_incoming(&self, row: &mut IncomingRow) -> Result<(), ExchangeError> {
        row.updated_at = self.now();
        if state::parcels::replace(&self.0.setup.state, row).await? {
            return Ok(());
        }
        Err(ExchangeError::Changed { what: "parcel" })
    }
}

fn damaged(refused: &Refused) -> Verdict {
    let mut reason = refused.fault.to_string();
    if let Some((from, to)) = refused.range {
        reason.push_str(&format!("; it carries bytes {from} to {to} of the archive"));
    }
    if !refused.others.is_empty() {
        reason.push_str(&format!("; also {}", refused.others.join(", ")));
    }
    Verdict::Damaged { place: refused.file.clone(), reason }
}
