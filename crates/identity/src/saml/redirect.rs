//! The redirect binding (saml-bindings-2.0 3.4): a message deflated into a query, signed beside itself.
//!
//! Invariant: a signature is verified over the very bytes of the query that arrived, never over what they were
//! decoded to and encoded again; and a parameter that is there twice is refused, since two readers might take
//! different ones.

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use keys::KeysError;
use keys::cert::Certificate;
use keys::sign::RsaKey;

use super::signature::{Judged, judge};
use super::signing::RSA_SHA256;
use crate::Refusal;
use crate::cookie::percent;

/// Longest query that is read.
const QUERY_BYTES_MAX: usize = 32 * 1024;

/// Largest message, inflated. Those that go by redirect are small.
const MESSAGE_BYTES_MAX: u64 = 64 * 1024;

/// Which half of an exchange a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
}

impl Kind {
    const fn parameter(self) -> &'static str {
        match self {
            Self::Request => "SAMLRequest",
            Self::Response => "SAMLResponse",
        }
    }
}

/// The address that carries a message to `to`, signed with RSA and SHA-256 where there is a key.
///
/// # Errors
/// [`KeysError`] when the module could not sign.
pub fn url(
    to: &str,
    kind: Kind,
    xml: &str,
    relay_state: Option<&str>,
    key: Option<&RsaKey>,
) -> Result<String, KeysError> {
    let message = percent(&STANDARD.encode(deflate(xml.as_bytes())));
    let mut query = format!("{}={message}", kind.parameter());
    if let Some(relay_state) = relay_state {
        query += &format!("&RelayState={}", percent(relay_state));
    }
    if let Some(key) = key {
        query += &format!("&SigAlg={}", percent(RSA_SHA256));
        let signature = percent(&STANDARD.encode(key.sign_sha256(query.as_bytes())?));
        query += &format!("&Signature={signature}");
    }
    let joint = if to.contains('?') { '&' } else { '?' };
    Ok(format!("{to}{joint}{query}"))
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    // Writing to memory can't fail; if it did, the provider would refuse the message.
    encoder.write_all(plain).unwrap_or_default();
    encoder.finish().unwrap_or_default()
}

/// A message as it arrived. Nothing in it is believed before [`Received::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub kind: Kind,
    /// The message, inflated; not yet parsed.
    pub xml: Vec<u8>,
    /// Empty if there is none.
    pub relay_state: String,
    /// The bytes of the query that a signature covers, the algorithm's URI and the signature.
    signed: Option<(Vec<u8>, String, Vec<u8>)>,
}

impl Received {
    /// Takes a query apart, without the question mark. Parameters that SAML does not name are ignored:
    /// some providers add their own.
    ///
    /// # Errors
    /// [`Refusal`] `saml.redirect.malformed`.
    pub fn read(query: &str) -> Result<Self, Refusal> {
        if query.len() > QUERY_BYTES_MAX {
            return Err(malformed("the query is longer than 32 KiB"));
        }
        let once = |name: &str| {
            let mut found = query.split('&').filter_map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (key == name).then_some((pair, value))
            });
            match (found.next(), found.next()) {
                (first, None) => Ok(first),
                (_, Some(_)) => Err(malformed("a parameter is there twice")),
            }
        };
        if once("SAMLEncoding")?.is_some_and(|(_, value)| decode(value).as_deref() != Some(DEFLATE))
        {
            return Err(malformed("the message is not encoded by DEFLATE"));
        }
        let (kind, (pair, value)) = match (once("SAMLRequest")?, once("SAMLResponse")?) {
            (Some(request), None) => (Kind::Request, request),
            (None, Some(response)) => (Kind::Response, response),
            (None, None) | (Some(_), Some(_)) => {
                return Err(malformed("the query does not hold exactly one message"));
            }
        };
        let relay = once("RelayState")?;
        let relay_state = decode(relay.map_or("", |(_, value)| value));
        let relay_state = relay_state.ok_or_else(|| malformed("the RelayState is not text"))?;
        let signed = match (once("SigAlg")?, once("Signature")?) {
            (Some((algorithm, name)), Some((_, signature))) => {
                let name = decode(name).ok_or_else(|| malformed("the SigAlg is not text"))?;
                let relay = relay.map(|(pair, _)| pair);
                let parts: Vec<&str> = [pair].into_iter().chain(relay).chain([algorithm]).collect();
                Some((parts.join("&").into_bytes(), name, bytes(signature)?))
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err(malformed("a signature and its algorithm go together"));
            }
        };
        Ok(Self { kind, xml: inflate(&bytes(value)?)?, relay_state, signed })
    }

    /// Whether one of these keys signed the query.
    ///
    /// # Errors
    /// [`Refusal`] `saml.redirect.unsigned`, `saml.redirect.alg` or `saml.redirect.signature`.
    pub fn verify(&self, certificates: &[Certificate]) -> Result<(), Refusal> {
        let Some((bytes, method, signature)) = &self.signed else {
            return Err(Refusal::new("saml.redirect.unsigned", "the message is not signed"));
        };
        match judge(method, certificates, bytes, signature) {
            Judged::Good => Ok(()),
            Judged::Unsuited => {
                let detail = "the signature's algorithm is not allowed, or suits no key";
                Err(Refusal::new("saml.redirect.alg", detail))
            }
            Judged::Wrong => {
                let detail = "the signature is not of a key in the provider's metadata";
                Err(Refusal::new("saml.redirect.signature", detail))
            }
        }
    }
}

const DEFLATE: &str = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE";

fn malformed(detail: &str) -> Refusal {
    Refusal::new("saml.redirect.malformed", detail)
}

fn inflate(deflated: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut xml = Vec::new();
    DeflateDecoder::new(deflated)
        .take(MESSAGE_BYTES_MAX + 1)
        .read_to_end(&mut xml)
        .map_err(|_| malformed("the message is not deflated"))?;
    if xml.len() as u64 > MESSAGE_BYTES_MAX {
        return Err(malformed("the message is larger than 64 KiB"));
    }
    Ok(xml)
}

/// The bytes of a value in base64.
fn bytes(value: &str) -> Result<Vec<u8>, Refusal> {
    let text = decode(value).ok_or_else(|| malformed("a value is not text"))?;
    STANDARD.decode(text).map_err(|_| malformed("a value is not base64"))
}

/// Undoes percent-encoding; `None` where it is broken or gives no text.
fn decode(value: &str) -> Option<String> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
                u8::try_from(value).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}
