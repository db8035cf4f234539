//! Security events that a provider's transmitter sends us: CAEP and RISC over the Shared Signals Framework.
//!
//! Invariants: a security event token (RFC 8417) is from the stream's issuer, for us, signed with the
//! transmitter's published keys, and of its own kind: an ID token or a logout token is none. Events that are
//! not known are given as such, so that they are acknowledged and recorded. This module acts on nothing.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keys::digest::sha256;
use serde_json::{Map, Value};

use crate::oidc::claims::{ClaimCodes, check_parties, check_times, skew};
use crate::oidc::discovery::Place;
use crate::oidc::id_token::is_name;
use crate::oidc::jose::Jws;
use crate::oidc::jwks::Jwks;
use crate::oidc::keys::KeySource;
use crate::oidc::{Fetch, json, refuse};
use crate::session::later;
use crate::{Identity, Refusal};

pub mod poll;
mod verification;

const CLAIMS: ClaimCodes = ClaimCodes {
    malformed: "ssf.malformed",
    algorithm: "ssf.alg",
    key: "ssf.key",
    signature: "ssf.signature",
    typ: "ssf.typ",
    issuer: "ssf.iss",
    audience: "ssf.aud",
    expired: "ssf.exp",
    issued: "ssf.iat",
};

/// The oldest token that is taken: a transmitter tries again for a while.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// Most events of one token.
const EVENTS_MAX: usize = 8;

/// Longest name of an event that is kept.
const EVENT_BYTES_MAX: usize = 256;

/// A stream of events that we receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// Our short name for it.
    pub id: String,
    /// The transmitter's issuer, exactly as it writes it.
    pub issuer: String,
    /// The name that it gave us.
    pub audience: String,
    /// Where its keys are.
    pub jwks_url: String,
    /// The provider (our id) whose people its events are about.
    pub idp: String,
    /// The issuer under which subjects name that provider's people.
    pub subject_issuer: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A session was revoked (CAEP).
    SessionRevoked,
    /// An authenticator was added, changed, revoked or found compromised (CAEP, RISC): IA-11 has the person prove
    /// again who they are.
    CredentialChanged,
    /// The account was disabled or purged (RISC).
    AccountDisabled,
    /// The transmitter tests the stream.
    Verification,
    /// The stream was paused, or goes on.
    StreamUpdated,
    /// Not known here.
    Other,
}

const KNOWN: &[(&str, What)] = &[
    ("https://schemas.openid.net/secevent/caep/event-type/session-revoked", What::SessionRevoked),
    (
        "https://schemas.openid.net/secevent/caep/event-type/credential-change",
        What::CredentialChanged,
    ),
    (
        "https://schemas.openid.net/secevent/risc/event-type/credential-compromise",
        What::CredentialChanged,
    ),
    ("https://schemas.openid.net/secevent/risc/event-type/account-disabled", What::AccountDisabled),
    ("https://schemas.openid.net/secevent/risc/event-type/account-purged", What::AccountDisabled),
    ("https://schemas.openid.net/secevent/ssf/event-type/verification", What::Verification),
    ("https://schemas.openid.net/secevent/ssf/event-type/stream-updated", What::StreamUpdated),
];

/// Whom an event is about (RFC 9493), as far as we can know them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The person's name at the stream's provider.
    pub sub: Option<String>,
    /// The provider's session.
    pub session: Option<String>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    pub what: What,
    /// The event's own name, for the record.
    pub name: String,
    pub subject: Subject,
    /// Of [`What::StreamUpdated`]: whether the transmitter sends no more events for now, or for good.
    pub silenced: bool,
    /// Of [`What::Verification`]: our word, if it was we who asked for it.
    pub word: Option<String>,
}

/// A token that was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its own name, which may be used once.
    pub jti: String,
    /// Until when it must be remembered.
    pub remember_until: Timestamp,
    pub signals: Vec<Signal>,
}

/// A stream and its transmitter's keys.
pub struct Stream {
    settings: StreamSettings,
    keys: KeySource,
    /// SHA-256 of the bearer token that the transmitter shows, if it must.
    authorization: Option<[u8; 32]>,
    /// Where its events are asked for, if they are.
    polled: Option<poll::Polled>,
    /// Where it is asked to prove that its events come, if it is.
    verified: Option<verification::Verified>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("id", &self.settings.id).finish_non_exhaustive()
    }
}

impl Stream {
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: StreamSettings, fetch: Arc<dyn Fetch>) -> Result<Self, &'static str> {
        if Place::of(&settings.jwks_url).is_none() {
            return Err("its `jwks_url` is not an https URL, nor an http one on loopback");
        }
        if settings.issuer.is_empty() || settings.audience.is_empty() {
            return Err("its issuer or its audience is empty");
        }
        let keys = KeySource::new(fetch);
        Ok(Self { settings, keys, authorization: None, polled: None, verified: None })
    }

    /// Demands this bearer token of whoever sends events.
    #[must_use]
    pub fn with_authorization(mut self, token: &str) -> Self {
        self.authorization = Some(sha256(token.as_bytes()));
        self
    }

    /// Whether a request with this `Authorization` header may send events.
    #[must_use]
    pub fn admits(&self, header: Option<&str>) -> bool {
        let Some(expected) = &self.authorization else { return true };
        let token = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
        keys::mac::equal(expected, &sha256(token.as_bytes()))
    }

    #[must_use]
    pub fn settings(&self) -> &StreamSettings {
        &self.settings
    }

    /// Verifies a token that was sent to us.
    ///
    /// # Errors
    /// A [`Refusal`] with a code `ssf.*`.
    pub async fn read(&self, text: &str, now: Timestamp) -> Result<Token, Refusal> {
        let token = Jws::parse(text).map_err(|flaw| CLAIMS.of(flaw))?;
        let url = self.settings.jwks_url.clone();
        let codes = ["ssf.transmitter.unreachable", "ssf.jwks"];
        let keys = self.keys.keys(url, &token, codes, now).await?;
        verify(&token, &keys, &self.settings, now)
    }
}

impl Identity {
    /// Adds streams of security events.
    #[must_use]
    pub fn with_streams(mut self, streams: Vec<Stream>) -> Self {
        self.streams = streams.into_iter().map(Arc::new).collect();
        self
    }

    #[must_use]
    pub fn streams(&self) -> &[Arc<Stream>] {
        &self.streams
    }

    /// The stream of this id.
    #[must_use]
    pub fn stream(&self, id: &str) -> Option<Arc<Stream>> {
        self.streams.iter().find(|stream| stream.settings.id == id).map(Arc::clone)
    }
}

/// Verifies a token and reads its events.
///
/// # Errors
/// A [`Refusal`] with a code `ssf.*`.
pub fn verify(
    token: &Jws,
    keys: &Jwks,
    settings: &StreamSettings,
    now: Timestamp,
) -> Result<Token, Refusal> {
    let claims = token.verify(keys).map_err(|flaw| CLAIMS.of(flaw))?;
    if token.typ().as_deref() != Some("secevent+jwt") || claims.contains_key("nonce") {
        return refuse(CLAIMS.typ, "the message is not a security event token");
    }
    events_of(claims, settings, now)
}

/// The statements of a token, as if it had been signed: for the fuzzer.
#[doc(hidden)]
pub fn fuzz_claims(bytes: &[u8], settings: &StreamSettings, now: Timestamp) {
    if let Some(claims) = json::object(bytes, crate::oidc::jose::JWS_BYTES_MAX) {
        drop(events_of(&claims, settings, now));
    }
}

fn events_of(
    claims: &Map<String, Value>,
    settings: &StreamSettings,
    now: Timestamp,
) -> Result<Token, Refusal> {
    check_parties(claims, &settings.issuer, &settings.audience, &CLAIMS)?;
    if claims.contains_key("exp") {
        return refuse(CLAIMS.expired, "a security event does not expire");
    }
    let issued = check_times(claims, AGE_MAX, now, &CLAIMS)?;
    let jti = match json::text(claims, "jti") {
        Some(jti) if is_name(jti) => jti.to_owned(),
        _ => return refuse("ssf.jti", "the token has no name of its own"),
    };
    let events = claims.get("events").and_then(Value::as_object);
    let Some(events) = events.filter(|all| (1..=EVENTS_MAX).contains(&all.len())) else {
        return refuse("ssf.events", "the token does not hold one to eight events");
    };
    let mut signals = Vec::with_capacity(events.len());
    for (name, event) in events {
        let Some(event) = event.as_object().filter(|_| name.len() <= EVENT_BYTES_MAX) else {
            return refuse("ssf.events", "an event is not an object with a short name");
        };
        let what =
            KNOWN.iter().find(|(known, _)| known == name).map_or(What::Other, |(_, what)| *what);
        let stated = claims.get("sub_id").or_else(|| event.get("subject"));
        let subject = subject(stated.and_then(Value::as_object), settings);
        // Only `enabled` says that events come (SSF 1.0, 8.1.5).
        let silenced =
            what == What::StreamUpdated && json::text(event, "status") != Some("enabled");
        let word = json::text(event, "state").filter(|word| is_name(word)).map(str::to_owned);
        let word = word.filter(|_| what == What::Verification);
        signals.push(Signal { what, name: name.clone(), subject, silenced, word });
    }
    let remember_until = later(later(issued, AGE_MAX), skew() + skew());
    Ok(Token { jti, remember_until, signals })
}

/// Whom it is about. What is named by another provider, or in another way, is nobody that we know.
fn subject(stated: Option<&Map<String, Value>>, settings: &StreamSettings) -> Subject {
    let Some(stated) = stated else { return Subject::default() };
    let parts = json::text(stated, "format") == Some("complex")
        || (!stated.contains_key("format")
            && (stated.contains_key("user") || stated.contains_key("session")));
    if !parts {
        return Subject { sub: person(stated, settings), session: None };
    }
    let part = |name| stated.get(name).and_then(Value::as_object);
    let session = part("session").and_then(|session| match json::text(session, "format") {
        Some("opaque") => json::text(session, "id").filter(|id| is_name(id)).map(str::to_owned),
        _ => None,
    });
    Subject { sub: part("user").and_then(|user| person(user, settings)), session }
}

fn person(stated: &Map<String, Value>, settings: &StreamSettings) -> Option<String> {
    let sub = match json::text(stated, "format")? {
        "iss_sub" if json::text(stated, "iss") == Some(&settings.subject_issuer) => {
            json::text(stated, "sub")?
        }
        "opaque" => json::text(stated, "id")?,
        _ => return None,
    };
    is_name(sub).then(|| sub.to_owned())
}

/// The error code of RFC 8935, 2.3, for a refusal.
#[must_use]
pub fn push_error(code: &str) -> &'static str {
    match code {
        "ssf.key" | "ssf.jwks" | "ssf.signature" | "ssf.alg" | "ssf.transmitter.unreachable" => {
            "invalid_key"
        }
        "ssf.iss" => "invalid_issuer",
        "ssf.aud" => "invalid_audience",
        "ssf.authentication" => "authentication_failed",
        _ => "invalid_request",
    }
}
