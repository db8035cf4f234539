//! The statements that every signed message of a provider makes, checked in one place for all kinds of them.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::json;
use crate::session::later;
use crate::{Refusal, SKEW_SECONDS_MAX};

/// The reason codes of one kind of message.
pub(crate) struct ClaimCodes {
    pub(crate) malformed: &'static str,
    pub(crate) algorithm: &'static str,
    pub(crate) key: &'static str,
    pub(crate) signature: &'static str,
    pub(crate) typ: &'static str,
    pub(crate) issuer: &'static str,
    pub(crate) audience: &'static str,
    pub(crate) expired: &'static str,
    pub(crate) issued: &'static str,
}

impl ClaimCodes {
    pub(crate) fn of(&self, flaw: super::jose::Flaw) -> Refusal {
        use super::jose::Flaw;
        let code = match flaw {
            Flaw::Malformed(_) => self.malformed,
            Flaw::Algorithm => self.algorithm,
            Flaw::Key => self.key,
            Flaw::Signature => self.signature,
        };
        Refusal::new(code, flaw.detail())
    }
}

/// A NumericDate (RFC 7519, 2). `Err`: it is there and is none.
pub(crate) fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, ()> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    // Fractions of a second are allowed, and are of no use.
    #[expect(clippy::cast_possible_truncation, reason = "it is within the bounds of a time")]
    let seconds = value.as_i64().or_else(|| {
        value.as_f64().filter(|at| (0.0..4e9).contains(at)).map(|at| at.floor() as i64)
    });
    seconds.and_then(|at| Timestamp::from_second(at).ok()).map(Some).ok_or(())
}

pub(crate) fn skew() -> SignedDuration {
    SignedDuration::from_secs(SKEW_SECONDS_MAX)
}

/// Issuer and audience: the message is from this provider and for us alone.
pub(crate) fn check_parties(
    claims: &Map<String, Value>,
    issuer: &str,
    client_id: &str,
    codes: &ClaimCodes,
) -> Result<(), Refusal> {
    if json::text(claims, "iss") != Some(issuer) {
        return Err(Refusal::new(codes.issuer, "the message is of another issuer"));
    }
    let audience = json::texts(claims, "aud").unwrap_or_default();
    if !audience.iter().any(|one| one == client_id) {
        return Err(Refusal::new(codes.audience, "the message is not for us"));
    }
    let party = claims.get("azp");
    let ours = party.and_then(Value::as_str) == Some(client_id);
    if (audience.len() > 1 || party.is_some()) && !ours {
        return Err(Refusal::new(codes.audience, "the message is for another client too (`azp`)"));
    }
    Ok(())
}

/// Times: not expired, where it must be said or is; begun; issued, and not longer ago than `age_max`.
/// Gives when it was issued.
pub(crate) fn check_times(
    claims: &Map<String, Value>,
    age_max: SignedDuration,
    now: Timestamp,
    codes: &ClaimCodes,
) -> Result<Timestamp, Refusal> {
    let read = |name, code| time(claims, name).map_err(|()| Refusal::new(code, "a time is none"));
    let expires = read("exp", codes.expired)?;
    if expires.is_some_and(|at| later(at, skew()) <= now) {
        return Err(Refusal::new(codes.expired, "the message has expired"));
    }
    let begins = read("nbf", codes.issued)?;
    let issued = read("iat", codes.issued)?;
    let Some(issued) = issued else {
        return Err(Refusal::new(codes.issued, "the message does not say when it was issued"));
    };
    let soon = later(now, skew());
    if issued > soon || begins.is_some_and(|at| at > soon) {
        return Err(Refusal::new(codes.issued, "the message is of a time that is still to come"));
    }
    if later(later(issued, age_max), skew()) < now {
        return Err(Refusal::new(codes.issued, "the message was issued too long ago"));
    }
    Ok(issued)
}
