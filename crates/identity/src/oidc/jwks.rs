//! A provider's set of keys (RFC 7517), and when it may be asked for again.
//!
//! Invariants: what is trusted are RSA keys of 2048 bits or more and P-256 keys, for signatures; a shared
//! secret in a set is not a key; whatever arrives, the provider is asked at most once a minute.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::jose::{Algorithm, Jws, KID_BYTES_MAX};
use super::json;

/// Largest set that is read.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;

/// Most keys of a set.
const KEYS_MAX: usize = 64;

/// For how long a set is used without asking for it again.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// How long after the last attempt the next may be made.
const ATTEMPT_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// What kind of key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Rsa,
    P256,
}

/// One key for signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    kid: Option<String>,
    /// The one algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    kind: KeyKind,
    pub(crate) spki: Vec<u8>,
}

/// The keys of a set that signatures can be verified with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jwks(Vec<Jwk>);

impl Jwks {
    /// Reads a set. Keys of other kinds and for other uses are passed over, and so are weak ones.
    ///
    /// # Errors
    /// What is wrong with the set as a whole: its size, its shape, two keys of one name.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let set = json::object(bytes, JWKS_BYTES_MAX)
            .ok_or("it is not a JSON object with distinct names, or larger than 256 KiB")?;
        let Some(Value::Array(listed)) = set.get("keys") else {
            return Err("it has no list of keys");
        };
        if listed.len() > KEYS_MAX {
            return Err("it has more than 64 keys");
        }
        let mut keys: Vec<Jwk> = Vec::new();
        for key in listed.iter().filter_map(Value::as_object).filter_map(jwk) {
            let named = |other: &Jwk| other.kid.is_some() && other.kid == key.kid;
            if keys.iter().any(|other| named(other) && other.kind == key.kind) {
                return Err("two of its keys have one name");
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err("it has no key for signatures that is strong enough");
        }
        Ok(Self(keys))
    }

    /// Whether one of the keys can have signed the message.
    #[must_use]
    pub fn fits(&self, message: &Jws) -> bool {
        self.fitting(message.kid.as_deref(), message.algorithm).next().is_some()
    }

    /// The keys that a message with this name and algorithm may be signed with. Without a name it is the only
    /// key that fits, or none.
    pub(crate) fn fitting(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &Jwk> {
        let fits = move |key: &&Jwk| {
            key.kind == algorithm.kind() && key.algorithm.is_none_or(|only| only == algorithm)
        };
        let found: Vec<&Jwk> = match kid {
            Some(kid) => {
                self.0.iter().filter(fits).filter(|key| key.kid.as_deref() == Some(kid)).collect()
            }
            None => self.0.iter().filter(fits).collect(),
        };
        if found.len() > 1 { Vec::new() } else { found }.into_iter()
    }
}

/// A key for signatures; `None` when it is for something else, weak, or not written as it should be.
fn jwk(object: &Map<String, Value>) -> Option<Jwk> {
    if object.contains_key("d") || object.contains_key("k") {
        return None;
    }
    if object.get("use").is_some_and(|usage| usage.as_str() != Some("sig")) {
        return None;
    }
    if object.contains_key("key_ops") {
        let verifies = json::texts(object, "key_ops")?.iter().any(|one| one == "verify");
        verifies.then_some(())?;
    }
    let algorithm = match object.get("alg") {
        None => None,
        // A key for another algorithm is none for ours.
        Some(name) => Some(Algorithm::named(name.as_str()?)?),
    };
    let kid = match object.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().filter(|kid| kid.len() <= KID_BYTES_MAX)?.to_owned()),
    };
    let number = |name| json::text(object, name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let (kind, spki) = match json::text(object, "kty")? {
        "RSA" => (KeyKind::Rsa, keys::numbers::rsa_spki(&number("n")?, &number("e")?).ok()?),
        "EC" if json::text(object, "crv") == Some("P-256") => {
            (KeyKind::P256, keys::numbers::p256_spki(&number("x")?, &number("y")?).ok()?)
        }
        _ => return None,
    };
    Some(Jwk { kid, algorithm, kind, spki })
        .filter(|key| key.algorithm.is_none_or(|a| a.kind() == key.kind))
}

/// A set that was fetched, and when. Decides when it is fetched again; does not fetch.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    keys: Option<(Arc<Jwks>, Timestamp)>,
    attempted_at: Option<Timestamp>,
}

impl Kept {
    /// The keys, if they are fresh.
    #[must_use]
    pub fn fresh(&self, now: Timestamp) -> Option<Arc<Jwks>> {
        let (keys, at) = self.keys.as_ref()?;
        (now.duration_since(*at) < FRESH).then(|| Arc::clone(keys))
    }

    /// Whether the provider may be asked now: at most once a minute, whoever makes us want to.
    #[must_use]
    pub fn may_ask(&self, now: Timestamp) -> bool {
        self.attempted_at.is_none_or(|at| now.duration_since(at) >= ATTEMPT_EVERY)
    }

    /// Notes that the provider is being asked.
    pub fn asking(&mut self, now: Timestamp) {
        self.attempted_at = Some(now);
    }

    /// Takes what the provider answered, and gives it.
    pub fn answered(&mut self, keys: Jwks, now: Timestamp) -> Arc<Jwks> {
        let keys = Arc::new(keys);
        self.keys = Some((Arc::clone(&keys), now));
        keys
    }
}
