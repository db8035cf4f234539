//! The receiver's side of the protocol: what a partner's machine may ask, and what it is told.
//!
//! Invariants: nothing is stored for a peer whose certificate is not a partner's; no part is taken for an
//! offer whose signature was not checked; what is refused for good is recorded before it is answered.

use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use ledger::Event;
use parcel::part_path;
use serde::Serialize;
use tokio::sync::mpsc;
use uuid::Uuid;
use wire::{IngressBody, Outgoing, PeerAddress, PeerCertificate};

use crate::delivery::short;
use crate::model::{IncomingRow, IncomingStatus, ReceiptFacts, RefusalFacts};
use crate::progress::Phase;
use crate::protocol::{
    Answer, AnswerState, Fault, JSON, NOTICES, RECEIPTS, REPR_DIGEST, ROOT, Refusal, SignedText,
    ranges, read_repr_digest,
};
use crate::stamping::TIME_STAMPS;
use crate::store::{Unkept, pieces_of};
use crate::verifying::Verdict;
use crate::{CertificateUse, Exchange, ExchangeError, Partner, witnessing};

/// Pieces of a part that wait for the disk.
const PIECES_AHEAD: usize = 8;

/// Who calls: a partner whose certificate the listener has checked.
pub(crate) struct Guest<'a> {
    pub(crate) partner: &'a Partner,
    pub(crate) peer: Option<PeerAddress>,
}

/// An answer on its way out: a status and JSON.
pub(crate) type Told = Response<Outgoing>;

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
        let shown = [CertificateUse::Tls, CertificateUse::Signing];
        if let Err(clause) = partner.counts(&shown, self.now()) {
            let detail = clause.to_string();
            return self.refuse(peer, StatusCode::FORBIDDEN, "certificate-revoked", &detail).await;
        }
        match self.unread_partner(partner.ori.as_str()).await {
            Ok(None) => {}
            Ok(Some(clause)) => {
                let detail = clause.to_string();
                return self
                    .refuse(peer, StatusCode::FORBIDDEN, "partner-unreviewed", &detail)
                    .await;
            }
            Err(error) => return self.trouble(&error),
        }
        let guest = Guest { partner, peer };
        let path = request.uri().path().to_owned();
        if path.starts_with(witnessing::ROOT)
            && let (Some(cosigner), Some(key)) = (&self.0.setup.cosigner, &partner.ledger_key)
        {
            return cosigner.answer(request, Some(&key.name)).await;
        }
        let rest = path.strip_prefix(ROOT).unwrap_or("?");
        let steps: Vec<&str> = rest.split('/').skip(1).collect();
        let id = |text: &str| Uuid::parse_str(text).ok();
        let method = request.method().clone();
        match (&method, rest, steps.as_slice()) {
            (&Method::POST, _, _) if path == NOTICES => {
                self.take_notice(guest, request.into_body()).await
            }
            (&Method::POST, _, _) if path == TIME_STAMPS => self.give_stamp(guest, request).await,
            (&Method::POST, _, _) if path == RECEIPTS => {
                self.take_handed(guest, request.into_body()).await
            }
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

    async fn tell_missing(&self, guest: Guest<'_>, exchange: Uuid) -> Told {
        match self.guests_row(&guest, exchange).await {
            Ok(row) => self.tell_state(row, StatusCode::OK).await,
            Err(told) => told,
        }
    }

    /// Where an exchange stands.
    pub(crate) async fn tell_state(&self, row: IncomingRow, status: StatusCode) -> Told {
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
            Err(Unkept::Gone) => match self.guests_row(&guest, exchange).await {
                Ok(row) => self.tell_state(row, StatusCode::CONFLICT).await,
                Err(told) => told,
            },
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
        let (send, receive) = mpsc::channel::<Option<Bytes>>(PIECES_AHEAD);
        let this = self.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let mut pieces = pieces_of(receive);
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
    pub(crate) async fn guests_row(
        &self,
        guest: &Guest<'_>,
        exchange: Uuid,
    ) -> Result<IncomingRow, Told> {
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

    /// Records a refusal, then tells it.
    pub(crate) async fn refuse(
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
    pub(crate) fn trouble(&self, error: &ExchangeError) -> Told {
        tracing::warn!(error = error.chain(), "a partner's request could not be served");
        let code = match error {
            ExchangeError::Unrecorded(_) => "unrecorded",
            _ => "unavailable",
        };
        let detail = "it could not be recorded or stored here; try again later";
        told(StatusCode::SERVICE_UNAVAILABLE, &fault(code, detail, None))
    }
}

fn answer_of(row: &IncomingRow) -> Answer {
    let details = &row.details;
    let state = match IncomingStatus::parse(&row.status) {
        Ok(
            IncomingStatus::Received
            | IncomingStatus::Accepted
            | IncomingStatus::Destroying
            | IncomingStatus::Destroyed,
        ) => AnswerState::Received,
        // A person's no is told by a notice; the receipt says what verification found.
        Ok(IncomingStatus::Refused) if details.refusal.is_none() => AnswerState::Received,
        Ok(IncomingStatus::Refused) => AnswerState::Refused,
        Ok(IncomingStatus::Recalled) => AnswerState::Recalled,
        Ok(IncomingStatus::Expired) => AnswerState::Expired,
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

pub(crate) fn fault(code: &str, detail: &str, entry: Option<u64>) -> Fault {
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

pub(crate) fn told(status: StatusCode, body: &impl Serialize) -> Told {
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
