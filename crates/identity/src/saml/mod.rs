//! SAML 2.0 Web Browser SSO, as a service provider: one profile, checked in full, and nothing beside it.
//!
//! The order of work: the bytes are scanned before any parser sees them; the shape of the document is
//! compared with the one shape that a sign-in has; signatures are verified with keys from the metadata
//! alone, first the value, then the digest; the canonical bytes that were just hashed are parsed again, and
//! whatever is believed is read from that tree. An encrypted assertion is decrypted from those bytes, and
//! goes through the same scan and the same gate.
//!
//! Absent on purpose: the artifact and ECP profiles, answers that nobody asked for.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use keys::transport::TransportKey;

use crate::{IdpSettings, Refusal};

pub mod encryption;
pub mod file;
pub(crate) mod gate;
pub mod metadata;
pub(crate) mod profile;
pub mod redirect;
pub mod request;
pub mod scan;
pub mod service;
mod signature;
pub mod signing;
pub mod statement;
pub mod trust;

/// Namespaces of SAML 2.0 (saml-core-2.0), XML Signature and XML Encryption.
pub mod ns {
    pub const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
    pub const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
    pub const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
    pub const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";
    pub const ENCRYPTION: &str = "http://www.w3.org/2001/04/xmlenc#";
    pub const ENCRYPTION_11: &str = "http://www.w3.org/2009/xmlenc11#";
    pub const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
    pub const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
    pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
}

/// Largest answer that is looked at, decoded.
pub const RESPONSE_BYTES_MAX: usize = 256 * 1024;

/// What an answer is held against. All of it is ours; nothing comes from the message.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    /// The provider that we asked.
    pub idp: &'a IdpSettings,
    /// Our entity ID.
    pub entity_id: &'a str,
    /// The URL at which the answer arrived.
    pub acs_url: &'a str,
    /// The ID of our request. `None` leaves it uncompared, for looking at a message offline; a sign-in
    /// always has one.
    pub request_id: Option<&'a str>,
    /// Our keys for encrypted assertions, the present one and older ones. None: such are refused.
    pub decryption: &'a [TransportKey],
    /// When we asked for a new authentication, if we did: the person must have been authenticated since.
    pub reauthenticated_since: Option<Timestamp>,
    pub now: Timestamp,
}

/// What was accepted. Everything in it was covered by a signature, save the ID of the response if only
/// the assertion was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    pub response_id: String,
    pub assertion_id: String,
    /// Until when both IDs must be remembered, so that neither is used again.
    pub remember_until: Timestamp,
    pub name_id: String,
    pub name_id_format: Option<String>,
    pub session_index: Option<String>,
    pub session_not_on_or_after: Option<Timestamp>,
    pub authenticated_at: Timestamp,
    /// The authentication context class that the provider stated.
    pub context: String,
    /// Whether that context, or the configured attribute, stands for more than one factor. Without, an assertion is
    /// refused unless the provider's settings name a certificate that makes two of one.
    pub mfa: bool,
    /// Attributes by name. Values with element content are left out.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// What was odd without being wrong.
    pub notes: Vec<&'static str>,
}

impl Assertion {
    /// The values of an attribute; none if it is absent.
    #[must_use]
    pub fn values(&self, attribute: &str) -> &[String] {
        self.attributes.get(attribute).map_or(&[], Vec::as_slice)
    }
}

/// Verifies an answer as it was posted: base64, without line breaks or anything else between.
///
/// # Errors
/// A [`Refusal`] with the reason code of the first check that fails.
pub fn verify_response(
    response: &[u8],
    expectation: &Expectation<'_>,
) -> Result<Assertion, Refusal> {
    verify_xml(&decoded(response)?, expectation)
}

fn decoded(response: &[u8]) -> Result<Vec<u8>, Refusal> {
    let malformed = |detail: &str| Refusal::new("saml.malformed", detail);
    if response.len() > RESPONSE_BYTES_MAX.div_ceil(3) * 4 {
        return Err(malformed("the response is larger than 256 KiB"));
    }
    STANDARD.decode(response).map_err(|_| malformed("the response is not base64"))
}

/// Verifies an answer that has been decoded.
///
/// # Errors
/// As [`verify_response`].
pub fn verify_xml(xml: &[u8], expectation: &Expectation<'_>) -> Result<Assertion, Refusal> {
    let text = scan::scan(xml, &scan::Limits::RESPONSE)?;
    let document = scan::parse(text)?;
    let shape = gate::check(&document)?;
    let certificates = &expectation.idp.certificates;
    let mut believed = signature::verify(&shape, certificates)?;
    if shape.assertion.is_some() {
        return profile::check(&shape, &believed, None, expectation);
    }
    let plain = decrypt(&believed.text, expectation)?;
    let opened = scan::parse(scan::scan(plain.as_bytes(), &scan::Limits::RESPONSE)?)?;
    let response_id = shape.response.attribute("ID").unwrap_or_default();
    let covered = gate::check_decrypted(&opened, response_id)?;
    let signature = covered.signature.as_ref();
    signature::one(covered.node, signature, certificates, &mut believed.notes)?;
    profile::check(&shape, &believed, Some(covered.node), expectation)
}

/// Opens the encrypted assertion of a response whose signature held.
fn decrypt(signed: &str, expectation: &Expectation<'_>) -> Result<String, Refusal> {
    let document = scan::parse(signed)?;
    let encrypted = scan::elements(document.root_element())
        .find(|node| node.has_tag_name((ns::ASSERTION, "EncryptedAssertion")));
    let Some(encrypted) = encrypted else {
        let detail = "the response does not hold exactly one assertion";
        return Err(Refusal::new("saml.shape.assertion", detail));
    };
    let Expectation { idp, entity_id, decryption, .. } = expectation;
    encryption::open(encrypted, idp, entity_id, decryption)
}

/// What the signatures of an answer cover, without any check of what it says: for tests, which so tell a
/// signature that was refused from a statement that was.
///
/// # Errors
/// As [`verify_response`], up to the signatures.
#[doc(hidden)]
pub fn covered(xml: &[u8], certificates: &[keys::cert::Certificate]) -> Result<String, Refusal> {
    let document = scan::parse(scan::scan(xml, &scan::Limits::RESPONSE)?)?;
    Ok(signature::verify(&gate::check(&document)?, certificates)?.text)
}
