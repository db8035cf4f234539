//! Makes enveloped signatures of the kind that [`super::verify_response`] accepts.
//!
//! Bailiwick signs its own messages beside themselves ([`super::redirect`]); the demo's identity provider and
//! the tests sign with this.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keys::digest::sha256;

use super::{ns, scan};
use crate::{Refusal, c14n};

/// Where the signature goes: directly behind the element's own Issuer, as the schema wants it; where nothing
/// has an Issuer, as in metadata, it comes first.
const BEHIND: &str = "</saml:Issuer>";

/// What goes into a signature beside the digest.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// The URI of the algorithm that `sign` implements (RFC 9231).
    pub method: &'a str,
    /// The certificate that KeyInfo shows, DER.
    pub certificate: Option<&'a [u8]>,
}

/// RSA with PKCS #1 v1.5 padding and SHA-256.
pub const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";

/// Signs the element with this ID in `xml`. If there are Issuers (`saml:Issuer`), its own follows its start tag.
///
/// # Errors
/// [`Refusal`] when the text is not XML or has no such element; the error of `sign`.
pub fn sign<E: From<Refusal>>(
    xml: &str,
    id: &str,
    form: Form<'_>,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let missing = || Refusal::new("saml.shape.id", "there is no such element");
    let document = scan::parse(xml)?;
    let element =
        document.descendants().find(|node| node.attribute("ID") == Some(id)).ok_or_else(missing)?;
    let digest = STANDARD.encode(sha256(&c14n::exclusive(element, None, &[])));
    let info = format!(
        "<ds:SignedInfo xmlns:ds=\"{}\">\
         <ds:CanonicalizationMethod Algorithm=\"{exclusive}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{}\"></ds:SignatureMethod><ds:Reference URI=\"#{id}\">\
         <ds:Transforms>\
         <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\">\
         </ds:Transform><ds:Transform Algorithm=\"{exclusive}\"></ds:Transform></ds:Transforms>\
         <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod>\
         <ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>",
        ns::SIGNATURE,
        form.method,
        exclusive = ns::EXCLUSIVE,
    );
    // Written in canonical form already, so that these bytes are what a verifier hashes.
    let value = STANDARD.encode(sign(info.as_bytes())?);
    let key_info = form.certificate.map_or_else(String::new, |der| {
        let der = STANDARD.encode(der);
        format!(
            "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{der}</ds:X509Certificate>\
             </ds:X509Data></ds:KeyInfo>"
        )
    });
    let signature = format!(
        "<ds:Signature xmlns:ds=\"{}\">{info}<ds:SignatureValue>{value}</ds:SignatureValue>\
         {key_info}</ds:Signature>",
        ns::SIGNATURE,
    );
    let (before, from) = xml.split_at_checked(element.range().start).ok_or_else(missing)?;
    let behind = if from.contains(BEHIND) { BEHIND } else { ">" };
    let (head, tail) = from.split_once(behind).ok_or_else(missing)?;
    Ok([before, head, behind, &signature, tail].concat())
}
