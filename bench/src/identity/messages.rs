//! The messages that all sides verify: made at the time of the run, for pysaml2 compares times as we do.

use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity::saml::encryption::encrypt;
use identity::saml::ns;
use identity::saml::request::instant;
use identity::saml::signing::{Form, RSA_SHA256, sign};
use identity::{IdpSettings, Refusal};
use jiff::{SignedDuration, Timestamp};
use keys::cert::{CertSpec, Certificate, Usage, issue_rsa};
use keys::sign::{RsaBits, RsaKey};
use keys::transport::{Oaep, TransportKey};
use keys::{Clock, SystemClock, SystemRandom};

pub(crate) const IDP: &str = "https://idp.riverton.example/metadata";
pub(crate) const SP: &str = "https://bailiwick.riverton.example/saml/metadata";
pub(crate) const ACS: &str = "https://bailiwick.riverton.example/saml/acs";
pub(crate) const REQUEST: &str = "_request";
const MFA: &str = "https://refeds.org/profile/mfa";

/// Different messages of each kind.
pub(crate) const STOCK: usize = 64;

/// Two hours: longer than a run, shorter than anybody's patience.
const HOLDS: SignedDuration = SignedDuration::from_hours(2);

/// Answers in base64, as a browser posts them, and what they are held against.
pub(crate) struct Messages {
    pub(crate) response: Vec<String>,
    pub(crate) both: Vec<String>,
    pub(crate) encrypted: Vec<String>,
    pub(crate) idp: IdpSettings,
    pub(crate) opening: TransportKey,
    pub(crate) made_at: Timestamp,
}

/// Fails as the bench does.
struct Failed(String);

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.to_string())
    }
}

struct Signer {
    key: RsaKey,
    certificate: Certificate,
}

impl Signer {
    fn new(now: Timestamp) -> anyhow::Result<Self> {
        let key = RsaKey::generate(RsaBits::Rsa2048)?;
        let day = SignedDuration::from_hours(24);
        let spec = CertSpec {
            subject_cn: "idp".into(),
            organisation: "Riverton".into(),
            not_before: now.checked_sub(day)?,
            not_after: now.checked_add(day)?,
            usage: Usage::SamlSigning,
            dns: Vec::new(),
            ips: Vec::new(),
            uris: Vec::new(),
        };
        let certificate = issue_rsa(&spec, &key, &SystemRandom)?;
        Ok(Self { key, certificate })
    }

    fn sign(&self, xml: &str, id: &str) -> anyhow::Result<String> {
        let form = Form { method: RSA_SHA256, certificate: Some(self.certificate.der()) };
        let signed = sign(xml, id, form, |bytes| {
            self.key.sign_sha256(bytes).map_err(|error| Failed(error.to_string()))
        });
        signed.map_err(|Failed(why)| anyhow::anyhow!("signing: {why}"))
    }

    fn metadata(&self) -> String {
        let der = STANDARD.encode(self.certificate.der());
        format!(
            "<md:EntityDescriptor xmlns:md=\"{}\" entityID=\"{IDP}\"><md:IDPSSODescriptor \
             protocolSupportEnumeration=\"{}\"><md:KeyDescriptor use=\"signing\"><ds:KeyInfo \
             xmlns:ds=\"{}\"><ds:X509Data><ds:X509Certificate>{der}</ds:X509Certificate></ds:X509Data>\
             </ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService \
             Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" \
             Location=\"https://idp.riverton.example/sso\"/></md:IDPSSODescriptor></md:EntityDescriptor>",
            ns::METADATA,
            ns::PROTOCOL,
            ns::SIGNATURE,
        )
    }
}

impl Messages {
    /// Makes them; the folder then holds `idp.xml`, `idp.pem` and `response-N.xml` for the others.
    pub(crate) fn make(folder: &Path) -> anyhow::Result<Self> {
        let made_at = SystemClock.now();
        let signer = Signer::new(made_at)?;
        let metadata = signer.metadata();
        let idp =
            IdpSettings::from_metadata("idp", "NB0010100".parse()?, metadata.as_bytes(), made_at)?;
        let (opening, _) = TransportKey::generate(RsaBits::Rsa2048)?;
        std::fs::write(folder.join("idp.xml"), metadata).context("writing the metadata")?;
        std::fs::write(folder.join("idp.pem"), signer.certificate.pem()).context("writing")?;
        let (mut response, mut both, mut encrypted) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..STOCK {
            let whole = around(made_at, number, &assertion(made_at, number, ""));
            let signed = signer.sign(&whole, &format!("_r{number}"))?;
            std::fs::write(folder.join(format!("response-{number}.xml")), &signed)?;
            response.push(STANDARD.encode(signed));
            let inner = signer.sign(&whole, &format!("_a{number}"))?;
            both.push(STANDARD.encode(signer.sign(&inner, &format!("_r{number}"))?));
            let spaces = format!("xmlns:saml=\"{}\" ", ns::ASSERTION);
            let plain = assertion(made_at, number, &spaces);
            let sealed = encrypt(&plain, opening.public_spki(), Oaep::Sha256, &SystemRandom)?;
            let whole = around(made_at, number, &sealed);
            encrypted.push(STANDARD.encode(signer.sign(&whole, &format!("_r{number}"))?));
        }
        Ok(Self { response, both, encrypted, idp, opening, made_at })
    }
}

fn around(at: Timestamp, number: usize, inside: &str) -> String {
    format!(
        "<samlp:Response xmlns:samlp=\"{}\" xmlns:saml=\"{}\" ID=\"_r{number}\" Version=\"2.0\" \
         IssueInstant=\"{}\" Destination=\"{ACS}\" InResponseTo=\"{REQUEST}\"><saml:Issuer>{IDP}\
         </saml:Issuer><samlp:Status><samlp:StatusCode \
         Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></samlp:Status>{inside}</samlp:Response>",
        ns::PROTOCOL,
        ns::ASSERTION,
        instant(at),
    )
}

/// With the attributes that a directory sends of a person.
fn assertion(at: Timestamp, number: usize, spaces: &str) -> String {
    let (now, until) = (instant(at), instant(at.checked_add(HOLDS).unwrap_or(at)));
    let groups: String = (0..8)
        .map(|group| {
            format!("<saml:AttributeValue>CN=Group {group},OU=Riverton</saml:AttributeValue>")
        })
        .collect();
    format!(
        "<saml:Assertion {spaces}ID=\"_a{number}\" Version=\"2.0\" IssueInstant=\"{now}\"><saml:Issuer>{IDP}\
         </saml:Issuer><saml:Subject><saml:NameID \
         Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">person-{number}</saml:NameID>\
         <saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
         <saml:SubjectConfirmationData NotOnOrAfter=\"{until}\" Recipient=\"{ACS}\" \
         InResponseTo=\"{REQUEST}\"/></saml:SubjectConfirmation></saml:Subject><saml:Conditions \
         NotBefore=\"{now}\" NotOnOrAfter=\"{until}\"><saml:AudienceRestriction><saml:Audience>{SP}\
         </saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement \
         AuthnInstant=\"{now}\" SessionIndex=\"_s{number}\"><saml:AuthnContext>\
         <saml:AuthnContextClassRef>{MFA}</saml:AuthnContextClassRef></saml:AuthnContext>\
         </saml:AuthnStatement><saml:AttributeStatement><saml:Attribute Name=\"displayName\" \
         NameFormat=\"urn:oasis:names:tc:SAML:2.0:attrname-format:basic\"><saml:AttributeValue>Ruiz, Elena\
         </saml:AttributeValue></saml:Attribute><saml:Attribute Name=\"functions\" \
         NameFormat=\"urn:oasis:names:tc:SAML:2.0:attrname-format:basic\"><saml:AttributeValue>detective\
         </saml:AttributeValue>{groups}</saml:Attribute></saml:AttributeStatement></saml:Assertion>"
    )
}
