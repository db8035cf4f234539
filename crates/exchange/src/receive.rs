//! The receiver's side of the protocol: what a partner's machine may ask, and what it is told.
//!
//! Invariants: nothing is stored for a peer whose certificate is not a partner's; no part is taken for an
//! offer whose signature was not checked; what is refused for good is recorded before it is answered.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use ledger::Event;
use parcel::{Refused, TAG_FILES, Trust, part_path};
use serde::Serialize;
use state::parcels::Offered;
use tokio::sync::mpsc;
use uuid::Uuid;
use wire::{IngressBody, Outgoing, PeerAddress, PeerCertificate};

use crate::delivery::short;
use crate::model::{IncomingDetails, IncomingRow, IncomingStatus, ReceiptFacts, RefusalFacts};
use crate::progress::Phase;
use crate::protocol::{
    Answer, AnswerState, Fault, JSON, OFFER_BYTES_MAX, Offer, PROFILE, REPR_DIGEST, ROOT, Refusal,
    SignedText, ranges, read_repr_digest,
};
use crate::store::Unkept;
use crate::verifying::Verdict;
use crate::{Exchange, ExchangeError, Partner};

/// Pieces of a part that wait for the disk.
const PIECES_AHEAD: usize = 8;

/// Who calls: a partner whose certificate the listener has checked.
struct Guest<'a> {
    partner: &'a Partner,
    peer: Option<PeerAddress>,
}

/// An answer on its way out: a status and JSON.
type Told = Response<Outgoing>;

impl Exchange {
    /// Answers one request of a partner's machine. For a listener of [`wire::serve::serve_tls`] with
    /// [`Exchange::listener_tls`]; the peer's certificate is taken from the request's extensions.
    pub async fn answer(&self, request: Request<IngressBody>) -> Told {
        let peer = request.extensions().get::<PeerAddress>().copied();
        let shown = request.extensions().get::<PeerCertificate>().cloned();
        let partner = shown.and_then(|shown| self.book().partner_by_certificate(&shown.0));
        let Some(partner) = partner else {
            let detail = "this certificate is not a partner's";
            return self.refuse(peer, StatusCode::FORBIDDEN, "not-a-partner", detail).await;
        };
        let guest = Guest { partner, peer };
        let path = request.uri().path().to_owned();
        let rest = path.strip_prefix(ROOT).unwrap_or("?");
        let steps: Vec<&str> = rest.split('/').skip(1).collect();
        let id = |text: &str| Uuid::parse_str(text).ok();
        let method = request.method().clone();
        match (&method, rest, steps.as_slice()) {
            (&Method::POST, "", _) => self.take_offer(guest, request.into_body()).await,
            (&Method::GET, _, [exchange, "missing"]) => match id(exchange) {
                Some(exchange) => self.tell_missing(guest, exchange).await,
                None => unknown_path(),
            },
            (&Method::PUT, _, [exchange, "parts", part]) => match (id(exchange), part.parse()) {
                (Some(exchange), Ok(part)) => self.take_part(guest, exchange, part, request).await,
                _ => unknown_path(),
            },
            (&Method::POST, _, [exchange, "complete"]) => match id(exchange) {
                Some(exchange) => self.tell_complete(guest, exchange).await,
                None => unknown_path(),
            },
            _ => unknown_path(),
        }
    }

    async fn take_offer(&self, guest: Guest<'_>, body: IngressBody) -> Told {
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
        match self.incoming_row(offer.exchange).await {
            Ok(row) => return self.offer_again(&guest, row, &offer).await,
            Err(ExchangeError::NoSuch { .. }) => {}
            Err(error) => return self.trouble(&error),
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
        let named: Vec<&str> = offer.files.keys().map(String::as_str).collect();
        let mut wanted = TAG_FILES.to_vec();
        wanted.sort_unstable();
        let checks = [
            (offer.profile == PROFILE, "the profile is another"),
            (offer.sender == guest.partner.ori.as_str(), "the sender is not who calls"),
            (offer.recipient == self.0.setup.agency.ori, "the recipient is somebody else"),
            (offer.number >= 1, "numbers begin at 1"),
            (offer.ledger.checkpoint.len() <= 4096, "the checkpoint is longer than 4096 bytes"),
            (offer.ledger.leaf.len() == 64, "the leaf is not 32 bytes in hex"),
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
        let trust = Trust { senders: vec![guest.partner.signing.clone()], now: self.now() };
        let ours = self.0.setup.recipient.certificate.fingerprint_text();
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
            Ok(Err(Unfit::Parcel(place, reason))) => {
                let event = Event::ParcelRefused {
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
                receipt: None,
                refusal: None,
            },
        };
        let quota = guest.partner.quota_bytes;
        match state::parcels::offer(&self.0.setup.state, &mut row, quota).await {
            Ok(Offered::New) => self.settle_in(checked, &row, StatusCode::CREATED).await,
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

    async fn tell_missing(&self, guest: Guest<'_>, exchange: Uuid) -> Told {
        match self.guests_row(&guest, exchange).await {
            Ok(row) => self.tell_state(row, StatusCode::OK).await,
            Err(told) => told,
        }
    }

    /// Where an exchange stands.
    async fn tell_state(&self, row: IncomingRow, status: StatusCode) -> Told {
        let mut answer = answer_of(&row);
        if answer.state == AnswerState::Receiving {
            match self.missing(&row).await {
                Ok(missing) => answer.missing = ranges(missing),
                Err(error) => return self.trouble(&error),
            }
        }
        told(status, &answer)
    }

    async fn take_part(
        &self,
        guest: Guest<'_>,
        exchange: Uuid,
        number: u64,
        request: Request<IngressBody>,
    ) -> Told {
        let row = match self.guests_row(&guest, exchange).await {
            Ok(row) => row,
            Err(told) => return told,
        };
        if row.status != IncomingStatus::Receiving.as_str() {
            return self.tell_state(row, StatusCode::CONFLICT).await;
        }
        if number >= row.details.parts {
            let detail = format!("the parcel has parts 0 to {}", row.details.parts - 1);
            return told(StatusCode::NOT_FOUND, &fault("bad-part", &detail, None));
        }
        let announced = request.headers().get(REPR_DIGEST);
        let announced = announced.and_then(|value| read_repr_digest(value.to_str().ok()?));
        let Some(announced) = announced else {
            let detail = "a Repr-Digest header with sha-256 is needed";
            return told(StatusCode::BAD_REQUEST, &fault("bad-part", detail, None));
        };
        let place = self.0.store.incoming(exchange).join(part_path(number));
        if place.exists() {
            return no_content();
        }
        let parcel = match self.announced_parcel(&row).await {
            Ok(parcel) => parcel,
            Err(error) => return self.trouble(&error),
        };
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let expected = parcel.part_digests().get(at).copied().unwrap_or_default();
        if announced != expected {
            let detail = "the Repr-Digest is not the one that the manifest gives";
            return told(StatusCode::BAD_REQUEST, &fault("bad-part", detail, None));
        }
        let kept = self.keep(place, request.into_body(), expected, parcel.part_bytes_max()).await;
        match kept {
            Ok(count) => {
                self.advance(exchange, count);
                no_content()
            }
            Err(Unkept::Altered { found }) => {
                let (from, to) = parcel.part_range(number);
                let reason = format!(
                    "altered: its SHA-256 is {} where the signed one is {}; it carries bytes {from} \
                     to {to} of the archive",
                    hex::encode(found),
                    hex::encode(expected)
                );
                let verdict = Verdict::Damaged { place: part_path(number), reason };
                self.tell_verdict(exchange, Some(guest.peer), verdict).await
            }
            Err(Unkept::TooLarge) => {
                let detail = "larger than a part of this parcel can be";
                told(StatusCode::PAYLOAD_TOO_LARGE, &fault("bad-part", detail, None))
            }
            Err(Unkept::Disk(error)) => {
                tracing::warn!(%error, "a part could not be written");
                let detail = "the part could not be written; send it again later";
                told(StatusCode::INSUFFICIENT_STORAGE, &fault("disk", detail, None))
            }
            Err(Unkept::Broken) => {
                told(StatusCode::BAD_REQUEST, &fault("bad-part", "it broke off", None))
            }
        }
    }

    /// Writes a part while it comes in, on a thread that may wait for the disk.
    async fn keep(
        &self,
        place: PathBuf,
        mut body: IngressBody,
        expected: [u8; 32],
        bytes_max: u64,
    ) -> Result<u64, Unkept> {
        let (send, mut receive) = mpsc::channel::<Option<Bytes>>(PIECES_AHEAD);
        let this = self.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let mut whole = false;
            let mut pieces = || match receive.blocking_recv() {
                Some(Some(piece)) => Some(Some(piece)),
                Some(None) => {
                    whole = true;
                    None
                }
                // The other end went away without saying that this was all.
                None if whole => None,
                None => Some(None),
            };
            this.0.store.keep_part(&place, &mut pieces, &expected, bytes_max)
        });
        while let Some(piece) = body.chunk().await {
            let Ok(piece) = piece else {
                drop(send);
                return writing.await.unwrap_or(Err(Unkept::Broken));
            };
            if send.send(Some(piece)).await.is_err() {
                // The writer gave up and says why.
                return writing.await.unwrap_or(Err(Unkept::Broken));
            }
        }
        if send.send(None).await.is_err() {
            return writing.await.unwrap_or(Err(Unkept::Broken));
        }
        writing.await.unwrap_or(Err(Unkept::Broken))
    }

    async fn tell_complete(&self, guest: Guest<'_>, exchange: Uuid) -> Told {
        let row = match self.guests_row(&guest, exchange).await {
            Ok(row) => row,
            Err(told) => return told,
        };
        if row.status != IncomingStatus::Receiving.as_str() {
            return self.tell_settled(row).await;
        }
        match self.missing(&row).await {
            Ok(missing) if missing.is_empty() => {}
            Ok(_) => return self.tell_state(row, StatusCode::CONFLICT).await,
            Err(error) => return self.trouble(&error),
        }
        match self.verify_soon(exchange, guest.peer).await {
            Ok(Some(row)) => self.tell_settled(row).await,
            Ok(None) => {
                let mut answer = answer_of(&row);
                answer.state = AnswerState::Verifying;
                told(StatusCode::ACCEPTED, &answer)
            }
            Err(error) => self.trouble(&error),
        }
    }

    /// Carries out a refusal and tells it.
    async fn tell_verdict(
        &self,
        exchange: Uuid,
        peer: Option<Option<PeerAddress>>,
        verdict: Verdict,
    ) -> Told {
        match self.conclude(exchange, peer.flatten(), verdict).await {
            Ok(row) => self.tell_settled(row).await,
            Err(error) => self.trouble(&error),
        }
    }

    async fn tell_settled(&self, row: IncomingRow) -> Told {
        let refused = row.status == IncomingStatus::Refused.as_str();
        let status = if refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        self.report(row.exchange, Phase::Done, row.bytes, row.bytes);
        self.tell_state(row, status).await
    }

    /// The exchange, if it is this partner's own.
    async fn guests_row(&self, guest: &Guest<'_>, exchange: Uuid) -> Result<IncomingRow, Told> {
        let unknown = || {
            let detail = "no such exchange was offered by you";
            told(StatusCode::NOT_FOUND, &fault("unknown-exchange", detail, None))
        };
        match self.incoming_row(exchange).await {
            Ok(row) if row.partner == guest.partner.ori.as_str() => Ok(row),
            Ok(_) | Err(ExchangeError::NoSuch { .. }) => Err(unknown()),
            Err(error) => Err(self.trouble(&error)),
        }
    }

    async fn bad_offer(&self, guest: &Guest<'_>, detail: &str) -> Told {
        self.refuse(guest.peer, StatusCode::BAD_REQUEST, "bad-offer", detail).await
    }

    /// Records a refusal, then tells it.
    async fn refuse(
        &self,
        peer: Option<PeerAddress>,
        status: StatusCode,
        code: &str,
        detail: &str,
    ) -> Told {
        let event = Event::RequestRefused {
            route: ROOT.to_owned(),
            reason: short(&format!("{code}: {detail}")),
        };
        match self.record_peer(peer, event).await {
            Ok(receipt) => told(status, &fault(code, detail, Some(receipt.entry.0))),
            Err(error) => self.trouble(&error),
        }
    }

    /// Our own trouble: the chain into our log, and no more than a word to the partner.
    fn trouble(&self, error: &ExchangeError) -> Told {
        tracing::warn!(error = error.chain(), "a partner's request could not be served");
        let code = match error {
            ExchangeError::Unrecorded(_) => "unrecorded",
            _ => "unavailable",
        };
        let detail = "it could not be recorded or stored here; try again later";
        told(StatusCode::SERVICE_UNAVAILABLE, &fault(code, detail, None))
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
    Parcel(String, String),
}

/// The announced parcel must be signed by the partner, be the one of the offer, and be for us.
fn announced(
    draft: &std::path::Path,
    trust: &Trust,
    id: Uuid,
    digest: &str,
    ours: &str,
) -> Result<(parcel::Verified, [u8; 32]), Unfit> {
    let refused =
        |refused: Refused| Unfit::Parcel(refused.file.clone(), short(&refused.fault.to_string()));
    let bad = |place: &str, reason: &str| Err(Unfit::Parcel(place.to_owned(), reason.to_owned()));
    let parcel = parcel::Parcel::announced(draft, trust).map_err(refused)?;
    let verified = parcel.verified();
    if verified.id != id {
        return bad("bag-info.txt", "names another parcel than the offer");
    }
    if hex::encode(verified.digest) != digest {
        return bad("tagmanifest-sha256.txt", "has another digest than the offer gives");
    }
    if !verified.recipients.iter().any(|recipient| recipient == ours) {
        return bad("bag-info.txt", "is not addressed to our certificate");
    }
    Ok((verified, parcel.digest()))
}

fn answer_of(row: &IncomingRow) -> Answer {
    let details = &row.details;
    let state = match IncomingStatus::parse(&row.status) {
        Ok(IncomingStatus::Received) => AnswerState::Received,
        Ok(IncomingStatus::Refused) => AnswerState::Refused,
        Ok(IncomingStatus::Receiving) | Err(_) => AnswerState::Receiving,
    };
    let receipt = |facts: &ReceiptFacts| SignedText {
        json: facts.json.clone(),
        signature: facts.signature.clone(),
    };
    let refusal = |facts: &RefusalFacts| Refusal {
        place: facts.place.clone(),
        reason: facts.reason.clone(),
        entry: facts.entry,
    };
    Answer {
        exchange: row.exchange,
        state,
        missing: Vec::new(),
        receipt: details.receipt.as_ref().map(receipt),
        refusal: details.refusal.as_ref().map(refusal),
    }
}

fn fault(code: &str, detail: &str, entry: Option<u64>) -> Fault {
    Fault { code: code.to_owned(), detail: detail.to_owned(), entry }
}

fn unknown_path() -> Told {
    told(StatusCode::NOT_FOUND, &fault("unknown-path", "there is nothing here", None))
}

fn no_content() -> Told {
    let mut response = Response::new(Outgoing::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn told(status: StatusCode, body: &impl Serialize) -> Told {
    let (status, bytes) = match serde_json::to_vec(body) {
        Ok(bytes) => (status, bytes),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    };
    let mut response = Response::new(Outgoing::bytes(bytes.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A whole body of at most so many bytes.
async fn whole(mut body: IngressBody, bytes_max: usize) -> Result<Vec<u8>, Told> {
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
