//! Reads a service's AuthnRequest as it comes by redirect.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::DeflateDecoder;
use identity::saml::{ns, scan};

use super::IdpError;

/// Largest request, inflated.
const REQUEST_BYTES_MAX: u64 = 16 * 1024;

/// What a service asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) issuer: String,
    pub(crate) acs_url: Option<String>,
    pub(crate) force_authn: bool,
    /// The contexts of which it wants one; none: it doesn't mind.
    pub(crate) contexts: Vec<String>,
}

/// Reads the value of `SAMLRequest`.
pub(crate) fn read(saml_request: &str) -> Result<Asked, IdpError> {
    let bad = |why| IdpError::Request { why };
    let deflated = STANDARD.decode(saml_request).map_err(|_| bad("it is not base64"))?;
    let mut xml = Vec::new();
    DeflateDecoder::new(&deflated[..])
        .take(REQUEST_BYTES_MAX + 1)
        .read_to_end(&mut xml)
        .map_err(|_| bad("it is not deflated"))?;
    if xml.len() as u64 > REQUEST_BYTES_MAX {
        return Err(bad("it is too large"));
    }
    let text = scan::scan(&xml, &scan::Limits::RESPONSE).map_err(|_| bad("it is not plain XML"))?;
    let document = scan::parse(text).map_err(|_| bad("it is not XML"))?;
    let root = document.root_element();
    if !root.has_tag_name((ns::PROTOCOL, "AuthnRequest")) {
        return Err(bad("it is not an AuthnRequest"));
    }
    let texts = |namespace, name| {
        let found = document.descendants().filter(move |n| n.has_tag_name((namespace, name)));
        found.filter_map(|node| node.text().map(str::to_owned)).collect::<Vec<String>>()
    };
    let id = root.attribute("ID").filter(|id| is_id(id)).ok_or_else(|| bad("it has no ID"))?;
    let issuer = texts(ns::ASSERTION, "Issuer").into_iter().next();
    Ok(Asked {
        id: id.to_owned(),
        issuer: issuer.ok_or_else(|| bad("it has no Issuer"))?,
        acs_url: root.attribute("AssertionConsumerServiceURL").map(str::to_owned),
        force_authn: matches!(root.attribute("ForceAuthn"), Some("true" | "1")),
        contexts: texts(ns::ASSERTION, "AuthnContextClassRef"),
    })
}

/// An ID that can be written back as it is.
fn is_id(id: &str) -> bool {
    (1..=256).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
