//! What we are to identity providers: our keys, and the metadata that shows their public halves.
//!
//! Keys change without a day on which nothing works: the next key is shown beside the present one until every
//! provider knows it, and what was encrypted to an older one is still opened.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keys::cert::Certificate;
use keys::mac::MacKey;
use keys::sign::RsaKey;
use keys::transport::TransportKey;

use super::metadata::REDIRECT;
use super::ns;
use super::request::escape;
use crate::At;

const POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";

/// Our own keys towards identity providers.
#[derive(Debug)]
pub struct ServiceKeys {
    /// Signs our requests.
    pub signing: RsaKey,
    /// Show the public half of `signing`, and then of the key that will follow it.
    pub signing_certificates: Vec<Certificate>,
    /// Open encrypted assertions: those of the newest certificate first, then older ones.
    pub decryption: Vec<TransportKey>,
    /// Shows what assertions shall be encrypted to: the newest key, which can open from the day it is made.
    pub encryption_certificate: Certificate,
    /// Authenticates the IDs of our log-out requests, which are not kept.
    pub log_out: MacKey,
}

/// Our metadata (saml-metadata-2.0), for a provider to import.
pub(crate) fn metadata(place: At<'_>, keys: Option<&ServiceKeys>) -> String {
    let described = keys.map_or_else(String::new, |keys| {
        let signing = keys.signing_certificates.iter();
        let signing = signing.map(|certificate| descriptor("signing", certificate, ""));
        let encryption = descriptor("encryption", &keys.encryption_certificate, ENCRYPTED_BY);
        signing.chain([encryption]).collect()
    });
    // Log-out messages are signed, so there is no log-out service without a key.
    let log_out = keys.map_or_else(String::new, |_| {
        let at = escape(place.slo_url);
        format!("<md:SingleLogoutService Binding=\"{REDIRECT}\" Location=\"{at}\"/>")
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <md:EntityDescriptor xmlns:md=\"{}\" entityID=\"{}\">\
         <md:SPSSODescriptor protocolSupportEnumeration=\"{}\" AuthnRequestsSigned=\"{}\" \
         WantAssertionsSigned=\"true\">{described}{log_out}\
         <md:AssertionConsumerService Binding=\"{POST}\" Location=\"{}\" index=\"0\" \
         isDefault=\"true\"/></md:SPSSODescriptor></md:EntityDescriptor>\n",
        ns::METADATA,
        escape(place.entity_id),
        ns::PROTOCOL,
        keys.is_some(),
        escape(place.acs_url),
    )
}

/// The algorithms that [`super::encryption`] takes from every provider, best first.
const ENCRYPTED_BY: &str = "<md:EncryptionMethod \
     Algorithm=\"http://www.w3.org/2009/xmlenc11#aes256-gcm\"/><md:EncryptionMethod \
     Algorithm=\"http://www.w3.org/2009/xmlenc11#rsa-oaep\"><ds:DigestMethod \
     xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" \
     Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/></md:EncryptionMethod>";

fn descriptor(usage: &str, certificate: &Certificate, methods: &str) -> String {
    format!(
        "<md:KeyDescriptor use=\"{usage}\"><ds:KeyInfo xmlns:ds=\"{}\"><ds:X509Data>\
         <ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>{methods}\
         </md:KeyDescriptor>",
        ns::SIGNATURE,
        STANDARD.encode(certificate.der()),
    )
}
