//! Signed JSON: the compact serialisation of JWS (RFC 7515), and nothing else of it (RFC 8725).
//!
//! Invariants: the algorithm is one of three that we allow, and the key decides which of them it can be; keys
//! come from the provider's own set, never from the message; a header that must be understood and is not
//! refuses the message. What is read of a message before [`Jws::verify`] is believed by nobody.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keys::sign::Scheme;
use serde_json::{Map, Value};

use super::json;
use super::jwks::{Jwks, KeyKind};

/// Largest signed message that is looked at.
pub const JWS_BYTES_MAX: usize = 64 * 1024;

/// Largest header, decoded.
const HEADER_BYTES_MAX: usize = 4 * 1024;

/// Longest key name.
pub(crate) const KID_BYTES_MAX: usize = 512;

/// The algorithms of signatures that are accepted (RFC 7518, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Ps256,
    Es256,
}

impl Algorithm {
    /// The name in a header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm of this name; `none`, those with a shared secret and all others are `None`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Rs256, Self::Ps256, Self::Es256].into_iter().find(|one| one.name() == name)
    }

    const fn scheme(self) -> Scheme {
        match self {
            Self::Rs256 => Scheme::RsaPkcs1Sha256,
            Self::Ps256 => Scheme::RsaPssSha256,
            Self::Es256 => Scheme::EcdsaP256Sha256,
        }
    }

    pub(crate) const fn kind(self) -> KeyKind {
        match self {
            Self::Rs256 | Self::Ps256 => KeyKind::Rsa,
            Self::Es256 => KeyKind::P256,
        }
    }
}

/// Why a message is not believed. Each use of messages has its own reason codes for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is not three parts of base64url, or its parts are not JSON objects.
    Malformed(&'static str),
    /// Its algorithm is not allowed.
    Algorithm,
    /// No key of the provider fits.
    Key,
    /// The signature is another one.
    Signature,
}

impl Flaw {
    /// What is wrong, in plain words.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Malformed(detail) => detail,
            Self::Algorithm => "the message is not signed with RS256, PS256 or ES256",
            Self::Key => "the provider has published no key that the message can be signed with",
            Self::Signature => "the signature does not verify",
        }
    }
}

/// A message, read and not yet believed.
#[derive(Debug, Clone)]
pub struct Jws {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    typ: Option<String>,
    payload: Map<String, Value>,
    signed: String,
    signature: Vec<u8>,
}

impl Jws {
    /// Reads a message without believing it.
    ///
    /// # Errors
    /// [`Flaw::Malformed`] or [`Flaw::Algorithm`].
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        if text.len() > JWS_BYTES_MAX {
            return Err(Flaw::Malformed("the message is larger than 64 KiB"));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Flaw::Malformed("the message does not have three parts"));
        };
        // Unpadded and canonical: stray bits at the end of a part would make it another text.
        let decode = |part: &str| {
            URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Malformed("a part is not base64url"))
        };
        let head = json::object(&decode(header)?, HEADER_BYTES_MAX)
            .ok_or(Flaw::Malformed("the header is not a JSON object with distinct names"))?;
        let body = json::object(&decode(payload)?, JWS_BYTES_MAX)
            .ok_or(Flaw::Malformed("the payload is not a JSON object with distinct names"))?;
        let signature = decode(signature)?;
        let algorithm =
            json::text(&head, "alg").and_then(Algorithm::named).ok_or(Flaw::Algorithm)?;
        // Extensions that must be understood; the payload that is not encoded (RFC 7797) is one.
        if head.contains_key("crit") || head.contains_key("b64") || head.contains_key("zip") {
            return Err(Flaw::Malformed("the header demands what is not known here"));
        }
        let optional = |name| match head.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= KID_BYTES_MAX => Ok(Some(text.clone())),
            Some(_) => Err(Flaw::Malformed("a member of the header is not a short text")),
        };
        let signed: String =
            text.rsplit_once('.').map(|(signed, _)| signed.to_owned()).unwrap_or_default();
        Ok(Self {
            algorithm,
            kid: optional("kid")?,
            typ: optional("typ")?,
            payload: body,
            signed,
            signature,
        })
    }

    /// What the message says of its own kind, in lower case, without `application/`.
    #[must_use]
    pub fn typ(&self) -> Option<String> {
        let typ = self.typ.as_ref()?.to_ascii_lowercase();
        Some(typ.strip_prefix("application/").map(str::to_owned).unwrap_or(typ))
    }

    /// What the message holds, once its signature is verified with a key of `keys`.
    ///
    /// # Errors
    /// [`Flaw::Key`] when none fits, [`Flaw::Signature`].
    pub fn verify(&self, keys: &Jwks) -> Result<&Map<String, Value>, Flaw> {
        let mut fitting = keys.fitting(self.kid.as_deref(), self.algorithm).peekable();
        if fitting.peek().is_none() {
            return Err(Flaw::Key);
        }
        let (scheme, message) = (self.algorithm.scheme(), self.signed.as_bytes());
        let mut verified = fitting
            .map(|key| keys::sign::verify_fixed(scheme, &key.spki, message, &self.signature));
        if verified.any(|outcome| outcome.is_ok()) {
            Ok(&self.payload)
        } else {
            Err(Flaw::Signature)
        }
    }
}

/// Signs `payload` as a message.
///
/// # Errors
/// As the signature, from the module.
pub(crate) fn sign(
    header: &Value,
    payload: &Value,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, keys::KeysError>,
) -> Result<String, keys::KeysError> {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes())?);
    Ok(format!("{signed}.{signature}"))
}
