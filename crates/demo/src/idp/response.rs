//! Writes and signs the provider's answers: response and assertion both, with RSA and SHA-256.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity::saml::ns;
use identity::saml::request::{escape, instant};
use identity::saml::signing::{Form, RSA_SHA256, sign};
use jiff::{SignedDuration, Timestamp};

use super::{DemoIdp, IdpError, MFA, Persona, Service};

pub(crate) const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";

/// How long an answer may be on its way, and how long the provider says that its session lasts.
const ANSWER_MINUTES: i64 = 5;
const SESSION_HOURS: i64 = 12;

/// How a sign-in ended.
pub(crate) enum Outcome<'a> {
    Authenticated(&'a Persona),
    /// The second-level status code.
    Failed(&'static str),
}

impl DemoIdp {
    /// The answer to a request, in base64.
    pub(crate) fn answer(
        &self,
        service: &Service,
        request: &str,
        outcome: &Outcome<'_>,
    ) -> Result<String, IdpError> {
        let now = self.clock.now();
        let (response_id, assertion_id) = (self.fresh_id()?, self.fresh_id()?);
        let (status, assertion) = match outcome {
            Outcome::Authenticated(persona) => (
                "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/>".into(),
                self.assertion(service, request, persona, &assertion_id, now)?,
            ),
            Outcome::Failed(code) => (
                format!(
                    "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Responder\">\
                     <samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:{code}\"/>\
                     </samlp:StatusCode>"
                ),
                String::new(),
            ),
        };
        let xml = format!(
            "<samlp:Response xmlns:samlp=\"{}\" xmlns:saml=\"{}\" ID=\"{response_id}\" \
             Version=\"2.0\" IssueInstant=\"{}\" Destination=\"{}\" InResponseTo=\"{}\">\
             <saml:Issuer>{}</saml:Issuer><samlp:Status>{status}</samlp:Status>{assertion}\
             </samlp:Response>",
            ns::PROTOCOL,
            ns::ASSERTION,
            instant(now),
            escape(&service.acs_url),
            escape(request),
            escape(&self.entity_id()),
        );
        let xml = match outcome {
            Outcome::Authenticated(_) => self.sign(&xml, &assertion_id)?,
            Outcome::Failed(_) => xml,
        };
        Ok(STANDARD.encode(self.sign(&xml, &response_id)?))
    }

    fn sign(&self, xml: &str, id: &str) -> Result<String, IdpError> {
        let certificate = Some(self.keys.certificate.der());
        let form = Form { method: RSA_SHA256, certificate };
        sign(xml, id, form, |bytes| self.keys.key.sign_sha256(bytes).map_err(IdpError::Sign))
    }

    fn assertion(
        &self,
        service: &Service,
        request: &str,
        persona: &Persona,
        id: &str,
        now: Timestamp,
    ) -> Result<String, IdpError> {
        let after = |by| instant(now.checked_add(by).unwrap_or(Timestamp::MAX));
        let until = after(SignedDuration::from_mins(ANSWER_MINUTES));
        let functions: Vec<&str> = persona.functions.iter().map(policy::Function::as_str).collect();
        let attributes = [
            attribute("displayName", &[&persona.name]),
            attribute("functions", &functions),
            attribute("agency", &[persona.agency.as_str()]),
        ]
        .concat();
        Ok(format!(
            "<saml:Assertion ID=\"{id}\" Version=\"2.0\" IssueInstant=\"{instant}\">\
             <saml:Issuer>{issuer}</saml:Issuer><saml:Subject>\
             <saml:NameID Format=\"{PERSISTENT}\">{name}</saml:NameID>\
             <saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
             <saml:SubjectConfirmationData NotOnOrAfter=\"{until}\" Recipient=\"{acs}\" \
             InResponseTo=\"{request}\"/></saml:SubjectConfirmation></saml:Subject>\
             <saml:Conditions NotBefore=\"{instant}\" NotOnOrAfter=\"{until}\">\
             <saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience>\
             </saml:AudienceRestriction></saml:Conditions>\
             <saml:AuthnStatement AuthnInstant=\"{instant}\" SessionIndex=\"{session}\" \
             SessionNotOnOrAfter=\"{session_until}\"><saml:AuthnContext>\
             <saml:AuthnContextClassRef>{MFA}</saml:AuthnContextClassRef></saml:AuthnContext>\
             </saml:AuthnStatement><saml:AttributeStatement>{attributes}\
             </saml:AttributeStatement></saml:Assertion>",
            instant = instant(now),
            issuer = escape(&self.entity_id()),
            name = escape(&persona.id),
            acs = escape(&service.acs_url),
            request = escape(request),
            audience = escape(&service.entity_id),
            session = self.fresh_id()?,
            session_until = after(SignedDuration::from_hours(SESSION_HOURS)),
        ))
    }
}

fn attribute(name: &str, values: &[&str]) -> String {
    let values: String = values
        .iter()
        .map(|value| format!("<saml:AttributeValue>{}</saml:AttributeValue>", escape(value)))
        .collect();
    format!("<saml:Attribute Name=\"{name}\">{values}</saml:Attribute>")
}
