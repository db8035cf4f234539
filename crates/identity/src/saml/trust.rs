//! Why a provider's metadata is believed: because the agency put it there, knows its hash, or knows who signs it.
//!
//! Invariant: of signed metadata, exactly the canonical bytes that the signature covers are read further.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keys::cert::Certificate;
use keys::digest::sha256;

use super::{gate, ns, scan, signature};
use crate::Refusal;

/// What makes a metadata document the provider's.
#[derive(Debug, Clone)]
pub enum Trust {
    /// An administrator put the file where it is.
    Placed,
    /// It has this SHA-256: any change is for an administrator to look at first.
    Pinned([u8; 32]),
    /// One of these keys signed it, by an enveloped signature over the whole document. So it may come from
    /// anywhere, and change.
    Signed(Vec<Certificate>),
}

/// The bytes of a metadata document that are believed.
///
/// # Errors
/// [`Refusal`] `idp.metadata.hash`, `idp.metadata.unsigned`, `saml.signature.*`, `saml.alg`, or `saml.shape.*`
/// for what is not plain XML.
pub fn believed<'a>(xml: &'a [u8], trust: &Trust) -> Result<Cow<'a, [u8]>, Refusal> {
    match trust {
        Trust::Placed => Ok(Cow::Borrowed(xml)),
        Trust::Pinned(hash) if sha256(xml) == *hash => Ok(Cow::Borrowed(xml)),
        Trust::Pinned(_) => {
            let detail = "the metadata is not the document whose SHA-256 is configured";
            Err(Refusal::new("idp.metadata.hash", detail))
        }
        Trust::Signed(signers) => signed(xml, signers).map(Cow::Owned),
    }
}

/// The certificates that a metadata document brings along and whose key signed it; none if it is not signed, or not
/// by them. Who they are is for a person to find out: anybody can sign.
#[must_use]
pub fn signers(xml: &[u8]) -> Vec<Certificate> {
    let offered = |xml: &[u8]| -> Result<Vec<Certificate>, Refusal> {
        let document = scan::parse(scan::scan(xml, &scan::Limits::METADATA)?)?;
        let found = gate::signature_of(document.root_element())?;
        let offered = found.map(|found| found.offered).unwrap_or_default();
        let der = offered.iter().filter_map(|text| STANDARD.decode(text).ok());
        Ok(der.filter_map(|der| Certificate::from_der(&der).ok()).collect())
    };
    let mut offered = offered(xml).unwrap_or_default();
    offered.retain(|certificate| signed(xml, std::slice::from_ref(certificate)).is_ok());
    offered
}

fn signed(xml: &[u8], signers: &[Certificate]) -> Result<Vec<u8>, Refusal> {
    let document = scan::parse(scan::scan(xml, &scan::Limits::METADATA)?)?;
    let root = document.root_element();
    if !root.has_tag_name((ns::METADATA, "EntityDescriptor")) {
        let detail = "the metadata must be of one entity: its root is an EntityDescriptor";
        return Err(Refusal::new("idp.metadata.root", detail));
    }
    gate::ids_are_unique(&document)?;
    let Some(found) = gate::signature_of(root)? else {
        let detail = "the metadata is not signed";
        return Err(Refusal::new("idp.metadata.unsigned", detail));
    };
    signature::element(root, &found, signers)
}
