//! Verifies what an answer's signatures cover, and gives exactly the bytes that were hashed.
//!
//! Invariants: keys come from the metadata alone, and the algorithm must suit the key (so that a public
//! key never becomes an HMAC secret); the signature's value is checked before anything that it covers is
//! looked at; what is given back is canonical bytes, and the caller reads nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keys::cert::{Certificate, PublicKeyAlgorithm};
use keys::digest::{sha256, sha384};
use keys::sign::{Scheme, verify_fixed};
use roxmltree::Node;

use super::gate::{Shape, Signature};
use crate::{Refusal, c14n};

/// What signatures covered.
#[derive(Debug)]
pub(crate) struct Believed {
    /// The canonical text of the response, or of the assertion alone.
    pub(crate) text: String,
    pub(crate) covers_response: bool,
    pub(crate) notes: Vec<&'static str>,
}

/// Verifies every signature that is there; one must cover the assertion. What is encrypted is covered by
/// the response's alone, so that nothing is decrypted which nobody signed.
pub(crate) fn verify(
    shape: &Shape<'_, '_>,
    certificates: &[Certificate],
) -> Result<Believed, Refusal> {
    let mut notes = Vec::new();
    // The assertion's own signature is verified even where the response's covers it.
    let assertion = match &shape.assertion {
        Some(covered) => one(covered.node, covered.signature.as_ref(), certificates, &mut notes)?,
        None => None,
    };
    let signature = shape.response_signature.as_ref();
    let response = one(shape.response, signature, certificates, &mut notes)?;
    let covers_response = response.is_some();
    let Some(bytes) = response.or(assertion) else {
        let detail = match shape.assertion {
            Some(_) => "neither the response nor the assertion is signed",
            None => "the response around an encrypted assertion is not signed",
        };
        return Err(Refusal::new("saml.signature.missing", detail));
    };
    let text = String::from_utf8(bytes)
        .map_err(|_| Refusal::new("saml.signature.invalid", "the canonical form is not text"))?;
    Ok(Believed { text, covers_response, notes })
}

/// Verifies a signature if there is one.
pub(crate) fn one(
    node: Node<'_, '_>,
    signature: Option<&Signature<'_, '_>>,
    certificates: &[Certificate],
    notes: &mut Vec<&'static str>,
) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(signature) = signature else { return Ok(None) };
    if !is_pinned(signature, certificates) {
        notes.push("KeyInfo brings a certificate that is not in the metadata; it is ignored");
    }
    element(node, signature, certificates).map(Some)
}

/// Verifies one enveloped signature; gives the canonical bytes of the element.
pub(crate) fn element(
    node: Node<'_, '_>,
    signature: &Signature<'_, '_>,
    certificates: &[Certificate],
) -> Result<Vec<u8>, Refusal> {
    let signed_info = c14n::exclusive(signature.signed_info, None, &signature.info_prefixes);
    match judge(signature.method, certificates, &signed_info, &signature.value) {
        Judged::Good => {}
        Judged::Unsuited => {
            let detail =
                "the signature's algorithm is not allowed, or suits no key of the provider";
            return Err(Refusal::new("saml.alg", detail));
        }
        Judged::Wrong => {
            let detail = "the signature is not of a key in the provider's metadata";
            return Err(Refusal::new("saml.signature.invalid", detail));
        }
    }
    let canonical = c14n::exclusive(node, Some(signature.node), &signature.prefixes);
    let right = match signature.digest_method {
        "http://www.w3.org/2001/04/xmlenc#sha256" => sha256(&canonical)[..] == signature.digest,
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => {
            sha384(&canonical)[..] == signature.digest
        }
        _ => {
            let detail = "the digest's algorithm is not allowed";
            return Err(Refusal::new("saml.alg", detail));
        }
    };
    if !right {
        let detail = "the element is not the one that was signed";
        return Err(Refusal::new("saml.signature.digest", detail));
    }
    Ok(canonical)
}

/// What becomes of a signature's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    Good,
    /// The method is not allowed, or none of the keys is of its kind.
    Unsuited,
    Wrong,
}

/// Holds a signature over `message` against the pinned keys, each of which allows the methods of its kind.
pub(crate) fn judge(
    method: &str,
    certificates: &[Certificate],
    message: &[u8],
    value: &[u8],
) -> Judged {
    let mut judged = Judged::Unsuited;
    for certificate in certificates {
        let Some(scheme) = scheme(method, certificate.public_key_algorithm()) else { continue };
        judged = Judged::Wrong;
        let Ok(spki) = certificate.spki_der() else { continue };
        if verify_fixed(scheme, &spki, message, value).is_ok() {
            return Judged::Good;
        }
    }
    judged
}

/// The scheme that a method's URI (RFC 9231) means for a key of this kind. SHA-1 and HMAC mean none.
fn scheme(method: &str, key: PublicKeyAlgorithm) -> Option<Scheme> {
    let method = method.strip_prefix("http://www.w3.org/2001/04/xmldsig-more#")?;
    match (method, key) {
        ("rsa-sha256", PublicKeyAlgorithm::Rsa) => Some(Scheme::RsaPkcs1Sha256),
        ("rsa-sha384", PublicKeyAlgorithm::Rsa) => Some(Scheme::RsaPkcs1Sha384),
        ("rsa-sha512", PublicKeyAlgorithm::Rsa) => Some(Scheme::RsaPkcs1Sha512),
        ("ecdsa-sha256", PublicKeyAlgorithm::P256) => Some(Scheme::EcdsaP256Sha256),
        ("ecdsa-sha384", PublicKeyAlgorithm::P384) => Some(Scheme::EcdsaP384Sha384),
        (_, _) => None,
    }
}

fn is_pinned(signature: &Signature<'_, '_>, certificates: &[Certificate]) -> bool {
    let pinned: Vec<String> =
        certificates.iter().map(|certificate| STANDARD.encode(certificate.der())).collect();
    signature.offered.iter().all(|offered| pinned.contains(offered))
}
