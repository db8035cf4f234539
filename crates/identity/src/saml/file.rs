//! Looks at an answer offline, for `bailiwick saml verify`: the same verifier, no state.

use jiff::Timestamp;
use keys::transport::TransportKey;
use policy::Ori;
use serde::Serialize;

use super::{Expectation, verify_response, verify_xml};
use crate::{IdpSettings, Refusal};

/// What to hold an answer against, as the command line gives it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The answer: XML, or base64 as it was posted.
    pub response: &'a [u8],
    /// The provider's metadata.
    pub idp_metadata: &'a [u8],
    pub entity_id: &'a str,
    pub acs_url: &'a str,
    pub at: Timestamp,
    /// The ID of the request. Without it the answer's InResponseTo is not compared.
    pub request_id: Option<&'a str>,
    /// Our keys for encrypted assertions. Both hashes of OAEP are taken: which ones a server takes from
    /// this provider is its own setting.
    pub decryption: &'a [TransportKey],
}

/// What would have been accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accepted {
    pub issuer: String,
    pub response_id: String,
    pub assertion_id: String,
    pub name_id: String,
    pub name_id_format: Option<String>,
    pub session_index: Option<String>,
    pub authenticated_at: Timestamp,
    pub session_not_on_or_after: Option<Timestamp>,
    pub context: String,
    pub mfa: bool,
    pub attributes: std::collections::BTreeMap<String, Vec<String>>,
    pub notes: Vec<&'static str>,
}

/// Verifies an answer. Whether it is a replay, only a server with its state can say.
///
/// # Errors
/// The [`Refusal`] that a server would have recorded, or that of the metadata.
pub fn verify_file(question: &Question<'_>) -> Result<Accepted, Refusal> {
    // The agency matters to sessions only; any will do here.
    let agency: Ori = "XX0000000"
        .parse()
        .map_err(|_| Refusal::new("idp.metadata.agency", "the placeholder agency is not an ORI"))?;
    let mut idp = IdpSettings::from_metadata("idp", agency, question.idp_metadata, question.at)?;
    idp.oaep_sha1 = true;
    let expectation = Expectation {
        idp: &idp,
        entity_id: question.entity_id,
        acs_url: question.acs_url,
        request_id: question.request_id,
        decryption: question.decryption,
        reauthenticated_since: None,
        now: question.at,
    };
    let start = question.response.trim_ascii();
    let assertion = if start.first() == Some(&b'<') {
        verify_xml(start, &expectation)?
    } else {
        verify_response(start, &expectation)?
    };
    Ok(Accepted {
        issuer: idp.entity_id,
        response_id: assertion.response_id,
        assertion_id: assertion.assertion_id,
        name_id: assertion.name_id,
        name_id_format: assertion.name_id_format,
        session_index: assertion.session_index,
        authenticated_at: assertion.authenticated_at,
        session_not_on_or_after: assertion.session_not_on_or_after,
        context: assertion.context,
        mfa: assertion.mfa,
        attributes: assertion.attributes,
        notes: assertion.notes,
    })
}
