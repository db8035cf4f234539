//! We as a time-stamp authority for our partners: a hash in, a token out (RFC 3161, 3.4), at the partner listener.
//!
//! Invariants: a token is recorded before it leaves, with its serial number, which is 126 random bits and so given once;
//! who asks too often waits, and makes nobody else wait.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use ledger::{Event, StampIssued};
use parcel::timestamp::authority::{Stampless, check_signer, decline, issue};
use parcel::timestamp::{Declined, PolicyId, Query, STAMP_BYTES_MAX};
use parcel::{SealError, Signer};
use wire::{IngressBody, Outgoing, PeerAddress};

use super::line::{QUERY, REPLY};
use crate::delivery::short;
use crate::receive::{Guest, Told, fault, told};
use crate::{Exchange, ExchangeError};

/// Where partners ask.
pub(crate) const TIME_STAMPS: &str = "/v1/time-stamps";
/// Tokens that one partner gets in a minute.
const PER_MINUTE_MAX: u32 = 120;

/// The agency's own authority.
pub struct TimeStampAuthority {
    signer: Signer,
    policy: PolicyId,
    /// By partner: since when its minute runs, and how often it has asked in it.
    asked: Mutex<BTreeMap<String, (Timestamp, u32)>>,
}

impl TimeStampAuthority {
    /// # Errors
    /// [`SealError::Signer`] where the certificate may not stamp.
    pub fn new(signer: Signer, policy: PolicyId, now: Timestamp) -> Result<Self, SealError> {
        check_signer(&signer, now)?;
        Ok(Self { signer, policy, asked: Mutex::default() })
    }

    /// What partners are to pin.
    pub fn certificate(&self) -> Option<&keys::cert::Certificate> {
        self.signer.chain.first()
    }

    fn allows(&self, partner: &str, now: Timestamp) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // As many as there are partners: only they come in.
        let (since, count) = asked.entry(partner.to_owned()).or_insert((now, 0));
        if now.duration_since(*since) >= SignedDuration::from_mins(1) || now < *since {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= PER_MINUTE_MAX
    }
}

/// Why a request is not so much as looked at.
enum Unread {
    Kind,
    Large,
    Broken,
}

impl Exchange {
    /// Answers a partner's request for a time stamp.
    pub(crate) async fn give_stamp(&self, guest: Guest<'_>, request: Request<IngressBody>) -> Told {
        let Some(authority) = &self.0.setup.time_stamp_authority else {
            let detail = "this agency is no time-stamp authority";
            return told(StatusCode::NOT_FOUND, &fault("unknown-path", detail, None));
        };
        let partner = guest.partner.ori.as_str();
        if !authority.allows(partner, self.now()) {
            let detail =
                format!("more than {PER_MINUTE_MAX} requests in a minute; come again later");
            return told(StatusCode::TOO_MANY_REQUESTS, &fault("too-often", &detail, None));
        }
        let query = match read(request).await {
            Ok(query) => query,
            Err(unread) => {
                let (status, detail) = match unread {
                    Unread::Kind => (
                        StatusCode::UNSUPPORTED_MEDIA_TYPE,
                        "a request is `application/timestamp-query`",
                    ),
                    Unread::Large => (StatusCode::PAYLOAD_TOO_LARGE, "longer than 64 KiB"),
                    Unread::Broken => (StatusCode::BAD_REQUEST, "it broke off"),
                };
                return self.refuse(guest.peer, status, "bad-time-stamp-query", detail).await;
            }
        };
        match self.stamp_for(authority, (partner, guest.peer), &query).await {
            Ok(answer) => reply(answer),
            Err(Ungiven::Declined(why)) => match self.record_declined(&guest, why).await {
                Ok(_) => reply(decline(why)),
                Err(error) => self.trouble(&error),
            },
            Err(Ungiven::Trouble(error)) => self.trouble(&error),
        }
    }

    /// The token, once it is recorded.
    async fn stamp_for(
        &self,
        authority: &TimeStampAuthority,
        (partner, peer): (&str, Option<PeerAddress>),
        query: &[u8],
    ) -> Result<Vec<u8>, Ungiven> {
        let query = Query::read(query).map_err(Ungiven::Declined)?;
        // Only now: a hash that comes late must not get the time at which its request began.
        let now = self.now();
        let random = self.0.setup.random.as_ref();
        let serial = keys::random_bytes::<16>(random).map_err(ExchangeError::from)?;
        let issued = issue(&query, &authority.signer, &authority.policy, serial, now);
        let issued = issued.map_err(|error| match error {
            Stampless::Declined(why) => Ungiven::Declined(why),
            Stampless::Signer(error) => {
                tracing::error!(%error, "no time stamp can be given");
                Ungiven::Declined(Declined::Failure)
            }
        })?;
        let event = Event::StampIssued(StampIssued {
            partner: partner.to_owned(),
            serial: hex::encode(issued.serial),
            at: issued.at,
            hash: hex::encode(query.hash),
            token: hex::encode(issued.digest),
        });
        self.record_peer(peer, event).await?;
        Ok(issued.answer)
    }

    async fn record_declined(
        &self,
        guest: &Guest<'_>,
        why: Declined,
    ) -> Result<ledger::Receipt, ExchangeError> {
        let reason = short(&format!("time stamp for {}: {why}", guest.partner.ori));
        let event = Event::RequestRefused { route: TIME_STAMPS.to_owned(), reason };
        self.record_peer(guest.peer, event).await
    }
}

/// Why a partner gets no token.
enum Ungiven {
    Declined(Declined),
    Trouble(ExchangeError),
}

impl From<ExchangeError> for Ungiven {
    fn from(error: ExchangeError) -> Self {
        Self::Trouble(error)
    }
}

async fn read(request: Request<IngressBody>) -> Result<Vec<u8>, Unread> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case(QUERY)) {
        return Err(Unread::Kind);
    }
    let (mut body, mut query) = (request.into_body(), Vec::new());
    while let Some(piece) = body.chunk().await {
        let piece: Bytes = piece.map_err(|_| Unread::Broken)?;
        if (query.len() + piece.len()) as u64 > STAMP_BYTES_MAX {
            return Err(Unread::Large);
        }
        query.extend_from_slice(&piece);
    }
    Ok(query)
}

fn reply(answer: Vec<u8>) -> Told {
    let mut response = Response::new(Outgoing::bytes(answer.into()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(REPLY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
