//! An identity provider for tests: a key, its metadata, and responses that are right until a test
//! changes them.

use std::sync::OnceLock;

use identity::saml::signing::{Form, RSA_SHA256, sign};
use identity::saml::{Assertion, Expectation, verify_xml};
use identity::{AccountNote, AccountRules, IdpSettings, Recorder, Recording, Refusal};
use jiff::Timestamp;
use keys::SystemRandom;
use keys::cert::{CertSpec, Certificate, Usage, issue_rsa};
use keys::sign::{RsaBits, RsaKey};
use keys::transport::TransportKey;

pub(crate) const IDP: &str = "https://idp.riverton.example/metadata";
pub(crate) const SP: &str = "https://bailiwick.riverton.example/saml/metadata";
pub(crate) const ACS: &str = "https://bailiwick.riverton.example/saml/acs";
pub(crate) const SLO: &str = "https://bailiwick.riverton.example/saml/slo";
pub(crate) const SSO: &str = "https://idp.riverton.example/sso?tenant=1";
pub(crate) const REQUEST: &str = "_request";
pub(crate) const MFA: &str = "https://refeds.org/profile/mfa";

/// Eight in the morning, when every response of these tests was made.
pub(crate) fn now() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

pub(crate) struct Signer {
    pub(crate) key: RsaKey,
    pub(crate) certificate: Certificate,
}

fn signer(name: &str) -> Signer {
    let key = RsaKey::generate(RsaBits::Rsa2048).unwrap();
    let spec = CertSpec {
        subject_cn: name.into(),
        organisation: "Riverton".into(),
        not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2030-01-01T00:00:00Z".parse().unwrap(),
        usage: Usage::SamlSigning,
        dns: Vec::new(),
        ips: Vec::new(),
        uris: Vec::new(),
    };
    let certificate = issue_rsa(&spec, &key, &SystemRandom).unwrap();
    Signer { key, certificate }
}

/// The provider's key.
pub(crate) fn idp_signer() -> &'static Signer {
    static SIGNER: OnceLock<Signer> = OnceLock::new();
    SIGNER.get_or_init(|| signer("idp"))
}

/// A key that nobody pinned.
pub(crate) fn attacker() -> &'static Signer {
    static SIGNER: OnceLock<Signer> = OnceLock::new();
    SIGNER.get_or_init(|| signer("attacker"))
}

pub(crate) fn metadata_of(certificates: &[&Certificate]) -> String {
    use base64::Engine;
    let keys: String = certificates
        .iter()
        .map(|certificate| {
            let der = base64::engine::general_purpose::STANDARD.encode(certificate.der());
            format!(
                "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data>\n<ds:X509Certificate>\
                 {der}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
            )
        })
        .collect();
    format!(
        "<?xml version=\"1.0\"?>\n<!-- pinned --><md:EntityDescriptor \
         xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
         xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" entityID=\"{IDP}\" \
         validUntil=\"2027-01-01T00:00:00Z\"><md:IDPSSODescriptor \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">{keys}\
         <md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" \
         Location=\"{SSO}\"/></md:IDPSSODescriptor></md:EntityDescriptor>"
    )
}

pub(crate) fn idp() -> IdpSettings {
    let metadata = metadata_of(&[&idp_signer().certificate]);
    let agency = "NB0010100".parse().unwrap();
    let known = IdpSettings::from_metadata("riverton", agency, metadata.as_bytes(), now()).unwrap();
    IdpSettings { accounts: AccountRules { create: true, ..known.accounts }, ..known }
}

/// As [`idp`], for a provider that wraps keys by OAEP with SHA-1.
pub(crate) fn idp_with_sha1() -> IdpSettings {
    IdpSettings { oaep_sha1: true, ..idp() }
}

/// A right response, unsigned. Times are relative to eight o'clock.
pub(crate) fn response() -> String {
    response_for(REQUEST, now(), "det.ruiz", "_response", "_assertion")
}

pub(crate) fn response_for(
    request: &str,
    at: Timestamp,
    name_id: &str,
    response_id: &str,
    assertion_id: &str,
) -> String {
    let instant = identity::saml::request::instant(at);
    let until = identity::saml::request::instant(at + jiff::SignedDuration::from_mins(5));
    let session = identity::saml::request::instant(at + jiff::SignedDuration::from_hours(8));
    format!(
        "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
         xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{response_id}\" Version=\"2.0\" \
         IssueInstant=\"{instant}\" Destination=\"{ACS}\" InResponseTo=\"{request}\">\
         <saml:Issuer>{IDP}</saml:Issuer><samlp:Status><samlp:StatusCode \
         Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></samlp:Status>\
         <saml:Assertion xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" ID=\"{assertion_id}\" \
         Version=\"2.0\" IssueInstant=\"{instant}\"><saml:Issuer>{IDP}</saml:Issuer>\
         <saml:Subject><saml:NameID \
         Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">{name_id}</saml:NameID>\
         <saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
         <saml:SubjectConfirmationData NotOnOrAfter=\"{until}\" Recipient=\"{ACS}\" \
         InResponseTo=\"{request}\"/></saml:SubjectConfirmation></saml:Subject>\
         <saml:Conditions NotBefore=\"{instant}\" NotOnOrAfter=\"{until}\">\
         <saml:AudienceRestriction><saml:Audience>{SP}</saml:Audience></saml:AudienceRestriction>\
         </saml:Conditions><saml:AuthnStatement AuthnInstant=\"{instant}\" SessionIndex=\"_s\" \
         SessionNotOnOrAfter=\"{session}\"><saml:AuthnContext><saml:AuthnContextClassRef>{MFA}\
         </saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>\
         <saml:AttributeStatement><saml:Attribute Name=\"displayName\">\
         <saml:AttributeValue xsi:type=\"xs:string\">Ruiz, Ana</saml:AttributeValue>\
         </saml:Attribute><saml:Attribute Name=\"functions\"><saml:AttributeValue>detective\
         </saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion>\
         </samlp:Response>"
    )
}

/// Which elements the provider signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Assertion,
    Response,
    Both,
}

pub(crate) const LAYOUTS: [Layout; 3] = [Layout::Assertion, Layout::Response, Layout::Both];

pub(crate) fn sign_one(xml: &str, id: &str, by: &Signer) -> String {
    let form = Form { method: RSA_SHA256, certificate: Some(by.certificate.der()) };
    sign(xml, id, form, |bytes| {
        by.key.sign_sha256(bytes).map_err(|_| Refusal { code: "test", detail: String::new() })
    })
    .unwrap()
}

/// The ID of the element whose name this is, as it stands in the text.
fn id_of(xml: &str, element: &str) -> String {
    let document = roxmltree::Document::parse(xml).unwrap();
    let node = document.descendants().find(|node| node.tag_name().name() == element).unwrap();
    node.attribute("ID").unwrap_or_default().to_owned()
}

pub(crate) fn signed_by(xml: &str, layout: Layout, by: &Signer) -> String {
    let mut xml = xml.to_owned();
    if layout != Layout::Response {
        xml = sign_one(&xml, &id_of(&xml, "Assertion"), by);
    }
    if layout != Layout::Assertion {
        xml = sign_one(&xml, &id_of(&xml, "Response"), by);
    }
    xml
}

pub(crate) fn signed(xml: &str, layout: Layout) -> String {
    signed_by(xml, layout, idp_signer())
}

pub(crate) fn expectation(idp: &IdpSettings) -> Expectation<'_> {
    Expectation {
        idp,
        entity_id: SP,
        acs_url: ACS,
        request_id: Some(REQUEST),
        decryption: std::slice::from_ref(transport_key()),
        reauthenticated_since: None,
        now: now(),
    }
}

pub(crate) fn verify(xml: &str) -> Result<Assertion, Refusal> {
    verify_xml(xml.as_bytes(), &expectation(&idp()))
}

/// The refusal's code, or `accepted`.
pub(crate) fn verdict(xml: &str) -> String {
    match verify(xml) {
        Ok(_) => "accepted".to_owned(),
        Err(refusal) => refusal.code.to_owned(),
    }
}

/// Set before its first use where a server has the other half.
pub(crate) static TRANSPORT: OnceLock<TransportKey> = OnceLock::new();

/// Our key for encrypted assertions.
pub(crate) fn transport_key() -> &'static TransportKey {
    TRANSPORT.get_or_init(|| TransportKey::generate(RsaBits::Rsa2048).unwrap().0)
}

/// Takes every record, or none.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) taken: std::sync::Mutex<Vec<AccountNote>>,
    pub(crate) broken: std::sync::atomic::AtomicBool,
}

impl Recorder for Notes {
    fn record(&self, note: AccountNote) -> Recording<'_> {
        let outcome = match self.broken.load(std::sync::atomic::Ordering::SeqCst) {
            true => Err("the ledger is full".into()),
            false => {
                self.taken.lock().unwrap().push(note);
                Ok(())
            }
        };
        Box::pin(std::future::ready(outcome))
    }
}
