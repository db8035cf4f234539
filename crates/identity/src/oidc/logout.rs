//! Logout tokens of the back channel (OpenID Connect Back-Channel Logout 1.0, 2.6).
//!
//! Invariant: a logout token is never an ID token, nor the other way round: it has its own `typ`, its event, and
//! no nonce.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::claims::{ClaimCodes, check_parties, check_times, skew};
use super::id_token::{is_name, sid};
use super::jose::Jws;
use super::jwks::Jwks;
use super::{OidcSettings, json, refuse};
use crate::Refusal;
use crate::session::later;

const CLAIMS: ClaimCodes = ClaimCodes {
    malformed: "bcl.malformed",
    algorithm: "bcl.alg",
    key: "bcl.key",
    signature: "bcl.signature",
    typ: "bcl.typ",
    issuer: "bcl.iss",
    audience: "bcl.aud",
    expired: "bcl.exp",
    issued: "bcl.iat",
};

/// The event that makes it a logout.
pub const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The oldest token that is taken.
const AGE_MAX: SignedDuration = SignedDuration::from_mins(2);

/// Whose sessions are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logout {
    /// The person. Without a session, all sessions of theirs.
    pub sub: Option<String>,
    /// The provider's session.
    pub sid: Option<String>,
    /// The token's own name, which may be used once.
    pub jti: String,
    /// Until when it must be remembered.
    pub remember_until: Timestamp,
}

/// Reads a token without believing it.
///
/// # Errors
/// A [`Refusal`] of its form or algorithm.
pub(crate) fn read(text: &str) -> Result<Jws, Refusal> {
    Jws::parse(text).map_err(|flaw| CLAIMS.of(flaw))
}

/// Verifies a token and what it says.
///
/// # Errors
/// A [`Refusal`] with a code `bcl.*`.
pub(crate) fn verify(
    token: &Jws,
    keys: &Jwks,
    settings: &OidcSettings,
    now: Timestamp,
) -> Result<Logout, Refusal> {
    let claims = token.verify(keys).map_err(|flaw| CLAIMS.of(flaw))?;
    if token.typ().as_deref() != Some("logout+jwt") {
        return refuse(CLAIMS.typ, "the message is not a logout token");
    }
    check_parties(claims, &settings.issuer, &settings.client_id, &CLAIMS)?;
    let issued = check_times(claims, AGE_MAX, now, &CLAIMS)?;
    let events = claims.get("events").and_then(Value::as_object);
    if !events.and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
        return refuse("bcl.events", "the token does not state the event of a logout");
    }
    if claims.contains_key("nonce") {
        return refuse("bcl.nonce", "a logout token must not have a nonce");
    }
    let jti = match json::text(claims, "jti") {
        Some(jti) if is_name(jti) => jti.to_owned(),
        _ => return refuse("bcl.jti", "the token has no name of its own"),
    };
    let sub = match claims.get("sub") {
        None => None,
        Some(Value::String(sub)) if is_name(sub) => Some(sub.clone()),
        Some(_) => return refuse("bcl.subject", "the person has no proper name"),
    };
    let sid = sid(claims).map_err(|detail| Refusal::new("bcl.subject", detail))?;
    if sub.is_none() && sid.is_none() {
        return refuse("bcl.subject", "the token names neither a person nor a session");
    }
    let remember_until = later(later(issued, AGE_MAX), skew() + skew());
    Ok(Logout { sub, sid, jti, remember_until })
}
