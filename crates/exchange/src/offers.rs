//! Taking a partner's offer: checked, recorded, admitted, given its place.
//!
//! Invariant: nothing of an offer stays in the store unless its signature is the partner's, it is
//! addressed to us, it is recorded, and the state has it.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use ledger::Event;
use parcel::{Refused, STAMP_FILE, TAG_FILES, Trust};
use state::parcels::Offered;
use uuid::Uuid;
use wire::IngressBody;

use crate::afterwards::Afterwards;
use crate::delivery::short;
use crate::model::{IncomingDetails, IncomingRow, IncomingStatus};
use crate::protocol::{Fault, OFFER_BYTES_MAX, Offer, PROFILE};
use crate::receive::{Guest, Told, fault, told};
use crate::{Exchange, ExchangeError};

impl Exchange {
    pub(crate) async fn take_offer(&self, guest: Guest<'_>, body: IngressBody) -> Told {
        let bytes = match whole(body, OFFER_BYTES_MAX).await {
            Ok(bytes) => bytes,
            Err(told) => return told,
        };
        let offer: Offer = match serde_json::from_slice(&bytes) {
            Ok(offer) => offer,
            Err(error) => {
                let detail = format!("not an offer: {error}");
                return self.bad_offer(&guest, &detail).await;
            }
        };
        if let Some(detail) = self.misfit(&guest, &offer) {
            return self.bad_offer(&guest, detail).await;
        }
        self.hear(guest.partner, Some(&offer.ledger.checkpoint)).await;
        match self.incoming_row(offer.exchange).await {
            Ok(row) => return self.offer_again(&guest, row, &offer).await,
            Err(ExchangeError::NoSuch { .. }) => {}
            Err(error) => return self.trouble(&error),
        }
        if let Some(ends) = offer.expires.filter(|ends| *ends <= self.now()) {
            let detail = format!("the offer ended at {ends}, and here it is {}", self.now());
            return self.refuse(guest.peer, StatusCode::CONFLICT, "expired", &detail).await;
        }
        let checked = match self.check_offer(&guest, &offer).await {
            Ok(checked) => checked,
            Err(told) => return told,
        };
        let told = self.admit(&guest, &offer, &checked).await;
        self.0.store.discard(&checked.draft);
        told
    }

    /// What in an offer can't be, before its files are looked at.
    fn misfit(&self, guest: &Guest<'_>, offer: &Offer) -> Option<&'static str> {
        // A time stamp may lie beside the seven.
        let named = offer.files.keys().map(String::as_str).filter(|path| *path != STAMP_FILE);
        let named: Vec<&str> = named.collect();
        let mut wanted = TAG_FILES.to_vec();
        wanted.sort_unstable();
        let checks = [
            (offer.profile == PROFILE, "the profile is another"),
            (offer.sender == guest.partner.ori.as_str(), "the sender is not who calls"),
            (offer.recipient == self.0.setup.agency.ori, "the recipient is somebody else"),
            (offer.number >= 1, "numbers begin at 1"),
            (offer.tells_soundly(), "it tells of too many other numbers, or of none that can be"),
            (offer.ledger.checkpoint.len() <= 4096, "the checkpoint is longer than 4096 bytes"),
            (offer.ledger.leaf.len() == 64, "the leaf is not 32 bytes in hex"),
            (
                guest.partner.signed(offer.ledger.entry, &offer.ledger.checkpoint),
                "the checkpoint is not of the sender's ledger, or does not cover the entry",
            ),
            (offer.agreement.len() <= 64, "the agreement's id is longer than 64 bytes"),
            (named == wanted, "the files are not the seven of a parcel's outside"),
        ];
        checks.iter().find(|(holds, _)| !holds).map(|(_, detail)| *detail)
    }

    /// Lays the files of an offer into a draft and checks the sender's signature over them.
    async fn check_offer(&self, guest: &Guest<'_>, offer: &Offer) -> Result<Checked, Told> {
        let mut files = Vec::with_capacity(TAG_FILES.len());
        for (path, text) in &offer.files {
            match BASE64.decode(text) {
                Ok(bytes) => files.push((path.clone(), bytes)),
                Err(_) => return Err(self.bad_offer(guest, "a file that is not Base64").await),
            }
        }
        let trust = guest.partner.trust(self.now());
        let setup = &self.0.setup;
        let ours = std::iter::once(&setup.recipient).chain(&setup.recipient_kem);
        let ours: Vec<_> = ours.map(|one| one.certificate.fingerprint_text()).collect();
        let (this, parcel, digest) = (self.clone(), offer.parcel, offer.digest.clone());
        let work = move || {
            let files: Vec<(&str, &[u8])> =
                files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
            let draft = this.0.store.announce(&files).map_err(Unfit::Disk)?;
            let outcome = announced(&draft, &trust, parcel, &digest, &ours);
            if outcome.is_err() {
                this.0.store.discard(&draft);
            }
            let tags = files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
            outcome.map(|(verified, digest)| Checked { draft, verified, digest, tags })
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(checked)) => Ok(checked),
            Ok(Err(Unfit::Disk(error))) => {
                tracing::warn!(%error, "an offer could not be written");
                Err(told(StatusCode::INSUFFICIENT_STORAGE, &fault("disk", "no room", None)))
            }
            Ok(Err(Unfit::Clock(detail))) => {
                let status = StatusCode::CONFLICT;
                Err(self.refuse(guest.peer, status, "clock", &detail).await)
            }
            Ok(Err(Unfit::Parcel(place, reason))) => {
                let event = Event::ParcelRefused {
                    exchange: Some(offer.exchange.to_string()),
                    parcel: offer.parcel.to_string(),
                    partner: guest.partner.ori.to_string(),
                    where_: place.clone(),
                    reason: reason.clone(),
                };
                let entry = self.record_peer(guest.peer, event).await;
                let entry = entry.map_err(|error| self.trouble(&error))?.entry.0;
                let body = Fault { code: place, detail: reason, entry: Some(entry) };
                Err(told(StatusCode::UNPROCESSABLE_ENTITY, &body))
            }
            Err(_) => Err(self.trouble(&ExchangeError::Stopped)),
        }
    }

    /// Records a checked offer, takes it into the state, and gives it its place.
    async fn admit(&self, guest: &Guest<'_>, offer: &Offer, checked: &Checked) -> Told {
        let partner = guest.partner.ori.to_string();
        let event = Event::ParcelOffered {
            exchange: offer.exchange.to_string(),
            number: offer.number,
            parcel: offer.parcel.to_string(),
            partner: partner.clone(),
        };
        let receipt = match self.record_peer(guest.peer, event).await {
            Ok(receipt) => receipt,
            Err(error) => return self.trouble(&error),
        };
        let mut row = IncomingRow {
            exchange: offer.exchange,
            parcel: offer.parcel,
            partner,
            number: offer.number,
            digest: checked.digest,
            bytes: checked.verified.bytes.saturating_add(checked.tags),
            holds_room: true,
            status: IncomingStatus::Receiving.as_str().to_owned(),
            offered_at: receipt.at,
            updated_at: receipt.at,
            version: 0,
            details: IncomingDetails {
                sender_name: guest.partner.name.clone(),
                agreement: offer.agreement.clone(),
                parts: checked.verified.parts,
                offer_entry: receipt.entry.0,
                sender_entry: offer.ledger.entry,
                sender_leaf: offer.ledger.leaf.clone(),
                sender_checkpoint: offer.ledger.checkpoint.clone(),
                received_at: None,
                received_entry: None,
                inside: None,
                redaction: None,
                receipt: None,
                refusal: None,
                expires: offer.expires,
                scan: None,
                scan_trouble: None,
                signer: None,
                afterwards: Afterwards::default(),
            },
        };
        let quota = guest.partner.quota_bytes;
        match state::parcels::offer(&self.0.setup.state, &mut row, quota).await {
            Ok(Offered::New) => match self.note_carried(&row.partner, offer).await {
                Ok(()) => self.settle_in(checked, &row, StatusCode::CREATED).await,
                Err(error) => self.trouble(&error),
            },
            Ok(Offered::Known(row)) => self.offer_again(guest, *row, offer).await,
            Ok(Offered::Taken(_)) => {
                let detail = "the number or the parcel belongs to another exchange";
                self.refuse(guest.peer, StatusCode::CONFLICT, "conflict", detail).await
            }
            Ok(Offered::NoRoom { taken }) => {
                let detail = format!("{taken} bytes of a quota of {quota} are taken");
                let status = StatusCode::INSUFFICIENT_STORAGE;
                self.refuse(guest.peer, status, "quota", &detail).await
            }
            Err(error) => self.trouble(&error.into()),
        }
    }

    /// An exchange that is known: the same offer gets the same answer, another one is a conflict.
    async fn offer_again(&self, guest: &Guest<'_>, row: IncomingRow, offer: &Offer) -> Told {
        let same = row.partner == guest.partner.ori.as_str()
            && row.parcel == offer.parcel
            && row.number == offer.number
            && hex::encode(row.digest) == offer.digest;
        if !same {
            let detail = "the exchange was offered with other contents before";
            return self.refuse(guest.peer, StatusCode::CONFLICT, "conflict", detail).await;
        }
        if let Err(error) = self.note_carried(&row.partner, offer).await {
            return self.trouble(&error);
        }
        let waiting = row.status == IncomingStatus::Receiving.as_str();
        if waiting && !self.0.store.incoming(row.exchange).exists() {
            // A crash came between the state and the store: the files are laid down again.
            let checked = match self.check_offer(guest, offer).await {
                Ok(checked) => checked,
                Err(told) => return told,
            };
            return self.settle_in(&checked, &row, StatusCode::OK).await;
        }
        self.tell_state(row, StatusCode::OK).await
    }

    async fn settle_in(&self, checked: &Checked, row: &IncomingRow, status: StatusCode) -> Told {
        let (this, draft, exchange) = (self.clone(), checked.draft.clone(), row.exchange);
        let work = move || this.0.store.install(&draft, exchange);
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(())) => self.tell_state(row.clone(), status).await,
            Ok(Err(source)) => {
                self.trouble(&ExchangeError::Store { doing: "place an offer", source })
            }
            Err(_) => self.trouble(&ExchangeError::Stopped),
        }
    }

    async fn bad_offer(&self, guest: &Guest<'_>, detail: &str) -> Told {
        self.refuse(guest.peer, StatusCode::BAD_REQUEST, "bad-offer", detail).await
    }
}

/// An offer whose signature held.
struct Checked {
    draft: PathBuf,
    verified: parcel::Verified,
    digest: [u8; 32],
    tags: u64,
}

enum Unfit {
    Disk(std::io::Error),
    /// By our clock it is signed in the future: one of the two is wrong, and the parcel need not be.
    Clock(String),
    Parcel(String, String),
}

/// The announced parcel must be signed by the partner, be the one of the offer, and be for us.
fn announced(
    draft: &std::path::Path,
    trust: &Trust,
    id: Uuid,
    digest: &str,
    ours: &[String],
) -> Result<(parcel::Verified, [u8; 32]), Unfit> {
    let refused = |refused: Refused| {
        let words = short(&refused.fault.to_string());
        match *refused.fault {
            parcel::Fault::Future { .. } => Unfit::Clock(words),
            _ => Unfit::Parcel(refused.file.clone(), words),
        }
    };
    let bad = |place: &str, reason: &str| Err(Unfit::Parcel(place.to_owned(), reason.to_owned()));
    let parcel = parcel::Parcel::announced(draft, trust).map_err(refused)?;
    let verified = parcel.verified();
    if verified.id != id {
        return bad("bag-info.txt", "names another parcel than the offer");
    }
    if hex::encode(verified.digest) != digest {
        return bad("tagmanifest-sha256.txt", "has another digest than the offer gives");
    }
    if !verified.recipients.iter().any(|recipient| ours.contains(recipient)) {
        return bad("bag-info.txt", "is not addressed to our certificate");
    }
    Ok((verified, parcel.digest()))
}

/// A whole body of at most so many bytes.
pub(crate) async fn whole(mut body: IngressBody, bytes_max: usize) -> Result<Vec<u8>, Told> {
    let mut all = Vec::new();
    while let Some(piece) = body.chunk().await {
        let Ok(piece) = piece else {
            return Err(told(StatusCode::BAD_REQUEST, &fault("bad-offer", "it broke off", None)));
        };
        if all.len().saturating_add(piece.len()) > bytes_max {
            let detail = format!("an offer has at most {bytes_max} bytes");
            let body = fault("bad-offer", &detail, None);
            return Err(told(StatusCode::PAYLOAD_TOO_LARGE, &body));
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}
