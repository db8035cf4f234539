//! An ID token (OpenID Connect Core, 3.1.3.7): from its text to what it proves of a person.
//!
//! Invariant: nothing is read from a token whose signature was not verified with the provider's published keys;
//! a token of another kind, signed by the same provider, is none (RFC 8725, 3.11).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use keys::digest::sha256;
use serde_json::{Map, Value};

use super::claims::{ClaimCodes, check_parties, check_times, skew, time};
use super::jose::Jws;
use super::jwks::Jwks;
use super::{CODES, OidcSettings, SUB_BYTES_MAX, json, refuse};
use crate::establish::Proof;
use crate::session::later;
use crate::{Refusal, SIGN_IN_MINUTES_MAX};

const CLAIMS: ClaimCodes = ClaimCodes {
    malformed: "oidc.token.malformed",
    algorithm: "oidc.alg",
    key: "oidc.key",
    signature: "oidc.signature",
    typ: "oidc.typ",
    issuer: "oidc.iss",
    audience: "oidc.aud",
    expired: "oidc.exp",
    issued: "oidc.iat",
};

/// Most values of a claim that are looked at, and the longest of them; beyond is an error.
const VALUES_MAX: usize = 1024;
const VALUE_BYTES_MAX: usize = 2048;

/// Longest `acr`, and `amr` as a whole, that is kept.
const CONTEXT_BYTES_MAX: usize = 256;

/// What a token is held against. All of it is ours.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    pub settings: &'a OidcSettings,
    /// The nonce of our request.
    pub nonce: &'a str,
    /// The access token that came with it, to which `at_hash` binds.
    pub access_token: Option<&'a str>,
    /// The oldest authentication that counts.
    pub age_max: SignedDuration,
    /// When we asked for a new authentication, if we did: the person must have been authenticated since.
    pub reauthenticated_since: Option<Timestamp>,
    pub now: Timestamp,
}

/// Verifies a token and what it says.
///
/// # Errors
/// A [`Refusal`] with the reason code of the first check that fails.
pub(crate) fn verify(
    token: &Jws,
    text: &str,
    keys: &Jwks,
    expectation: &Expectation<'_>,
) -> Result<Proof, Refusal> {
    let Expectation { settings, now, .. } = *expectation;
    let claims = token.verify(keys).map_err(|flaw| CLAIMS.of(flaw))?;
    if token.typ().is_some_and(|typ| typ != "jwt") || claims.contains_key("events") {
        return refuse(CLAIMS.typ, "the message is not an ID token");
    }
    check_parties(claims, &settings.issuer, &settings.client_id, &CLAIMS)?;
    let age_max = SignedDuration::from_mins(SIGN_IN_MINUTES_MAX);
    check_times(claims, age_max, now, &CLAIMS)?;
    let Ok(Some(expires)) = time(claims, "exp") else {
        return refuse(CLAIMS.expired, "the token has no end");
    };
    let nonce = json::text(claims, "nonce").unwrap_or_default();
    if !keys::mac::equal(nonce.as_bytes(), expectation.nonce.as_bytes()) {
        return refuse("oidc.nonce", "the token does not answer the request of this sign-in");
    }
    check_access_token(claims, expectation.access_token)?;
    let sub = sub(claims)?.to_owned();
    let authenticated_at = authenticated_at(claims, expectation)?;
    let (context, mfa) = context(claims, settings)?;
    let session_index = sid(claims).map_err(|detail| Refusal::new("oidc.sid", detail))?;
    Ok(Proof {
        codes: CODES,
        messages: vec![hex::encode(sha256(text.as_bytes()))],
        remember_until: later(expires, skew() + skew()),
        name_id: sub,
        name_id_format: None,
        session_index,
        session_not_on_or_after: None,
        authenticated_at,
        context,
        mfa,
        attributes: attributes(claims, settings)?,
        notes: Vec::new(),
    })
}

/// Reads a token without believing it: its algorithm and the name of its key.
///
/// # Errors
/// A [`Refusal`] of its form or algorithm.
pub(crate) fn read(text: &str) -> Result<Jws, Refusal> {
    Jws::parse(text).map_err(|flaw| CLAIMS.of(flaw))
}

/// Takes claims of the userinfo, which must be of the same person. What the token says stays.
///
/// # Errors
/// `oidc.userinfo` when it is of another person, or its values are not as they must be.
pub(crate) fn add_userinfo(
    proof: &mut Proof,
    body: &[u8],
    settings: &OidcSettings,
) -> Result<(), Refusal> {
    let Some(claims) = json::object(body, super::jose::JWS_BYTES_MAX) else {
        return refuse("oidc.userinfo", "the userinfo is not a JSON object with distinct names");
    };
    if json::text(&claims, "sub") != Some(&proof.name_id) {
        return refuse("oidc.userinfo", "the userinfo is of another person");
    }
    for (name, values) in attributes(&claims, settings)? {
        proof.attributes.entry(name).or_insert(values);
    }
    Ok(())
}

/// `at_hash`, where it is given, is of the access token that came with it.
fn check_access_token(claims: &Map<String, Value>, token: Option<&str>) -> Result<(), Refusal> {
    let (Some(stated), Some(token)) = (claims.get("at_hash"), token) else { return Ok(()) };
    let hash = sha256(token.as_bytes());
    let half = URL_SAFE_NO_PAD.encode(hash.get(..16).unwrap_or_default());
    if stated.as_str() != Some(&half) {
        return refuse("oidc.at_hash", "the access token is not the one of this ID token");
    }
    Ok(())
}

fn sub(claims: &Map<String, Value>) -> Result<&str, Refusal> {
    match json::text(claims, "sub") {
        Some(sub) if is_name(sub) => Ok(sub),
        _ => refuse("oidc.sub", "the token names nobody, or by what is no name"),
    }
}

/// 1 to 255 printable ASCII letters without a space.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=SUB_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The provider's handle of its session.
pub(crate) fn sid(claims: &Map<String, Value>) -> Result<Option<String>, &'static str> {
    match claims.get("sid") {
        None => Ok(None),
        Some(Value::String(sid)) if is_name(sid) => Ok(Some(sid.clone())),
        Some(_) => Err("the provider's session has no proper name"),
    }
}

fn authenticated_at(
    claims: &Map<String, Value>,
    expectation: &Expectation<'_>,
) -> Result<Timestamp, Refusal> {
    let Expectation { age_max, reauthenticated_since, now, .. } = *expectation;
    let Ok(Some(at)) = time(claims, "auth_time") else {
        let detail = "the token does not say when the person was authenticated, which was asked";
        return refuse("oidc.auth_time.missing", detail);
    };
    if at > later(now, skew()) {
        return refuse("oidc.auth_time.future", "the authentication is still to come");
    }
    if later(later(at, age_max), skew()) < now {
        return refuse("oidc.auth_time.old", "the authentication is too long ago");
    }
    // Their times are in whole seconds, so ours is looked at as one.
    let since = reauthenticated_since.map(|since| since.as_second());
    if since.is_some_and(|since| at.as_second() < since) {
        return refuse("oidc.auth_time.old", "the person was not authenticated again");
    }
    Ok(at)
}

/// How the person was authenticated, and whether that stands for more than one factor. One alone is refused unless a
/// certificate is to make two of it.
fn context(
    claims: &Map<String, Value>,
    settings: &OidcSettings,
) -> Result<(String, bool), Refusal> {
    let acr = json::text(claims, "acr").filter(|acr| acr.len() <= CONTEXT_BYTES_MAX);
    let amr = match claims.get("amr") {
        Some(Value::Array(_)) => json::texts(claims, "amr").unwrap_or_default(),
        _ => Vec::new(),
    };
    let by_acr = acr.is_some_and(|acr| settings.acr_values.iter().any(|one| one == acr));
    let by_amr = amr.iter().any(|method| settings.amr_values.contains(method));
    let mfa = by_acr || by_amr;
    if !mfa && settings.second_factor.is_none() {
        let detail =
            "neither `acr` nor `amr` states more than one factor as the agency's list has it";
        return refuse("oidc.mfa.missing", detail);
    }
    let stated = match acr {
        Some(acr) if by_acr || !mfa => acr.to_owned(),
        _ => format!("amr:{}", amr.join("+")),
    };
    if stated.len() > CONTEXT_BYTES_MAX {
        return refuse("oidc.amr", "the methods of authentication are too many");
    }
    Ok((stated, mfa))
}

/// The claims that the settings name, as texts.
fn attributes(
    claims: &Map<String, Value>,
    settings: &OidcSettings,
) -> Result<BTreeMap<String, Vec<String>>, Refusal> {
    let mut attributes = BTreeMap::new();
    for name in claims.keys().filter(|name| settings.names(name)) {
        let Some(values) = json::texts(claims, name) else {
            return refuse("oidc.claim", "a claim is neither a text nor a list of texts");
        };
        if values.len() > VALUES_MAX || values.iter().any(|value| value.len() > VALUE_BYTES_MAX) {
            return refuse("oidc.claim", "a claim has too many values, or too long ones");
        }
        attributes.insert(name.clone(), values);
    }
    Ok(attributes)
}
