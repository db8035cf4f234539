//! Our request: an AuthnRequest by the redirect binding (saml-bindings-2.0 3.4).
//!
//! It names the contexts that count as more than one factor, so that the provider asks for them, and for
//! a step-up it forces a new authentication.

use jiff::Timestamp;
use keys::KeysError;
use keys::sign::RsaKey;

use super::{ns, redirect};
use crate::IdpSettings;

/// What we ask of a provider.
#[derive(Debug, Clone)]
pub struct AuthnRequest<'a> {
    /// `_` and at least 128 random bits in hexadecimal.
    pub id: String,
    pub issued_at: Timestamp,
    pub idp: &'a IdpSettings,
    pub entity_id: &'a str,
    pub acs_url: &'a str,
    pub force_authn: bool,
}

impl AuthnRequest<'_> {
    /// The request as XML.
    #[must_use]
    pub fn xml(&self) -> String {
        let format = self.idp.name_id_format.as_ref();
        let format = format.map_or_else(String::new, |f| format!(" Format=\"{}\"", escape(f)));
        // Where a certificate is the second factor, a provider that has one alone is to answer all the same.
        let asked = if self.idp.second_factor.is_some() { &[] } else { &self.idp.mfa_contexts[..] };
        let contexts: String = asked
            .iter()
            .map(|context| {
                let context = escape(context);
                format!("<saml:AuthnContextClassRef>{context}</saml:AuthnContextClassRef>")
            })
            .collect();
        // A provider that states its factors by an attribute decides by its own rules.
        let requested = if contexts.is_empty() {
            String::new()
        } else {
            format!(
                "<samlp:RequestedAuthnContext Comparison=\"exact\">{contexts}\
                 </samlp:RequestedAuthnContext>"
            )
        };
        let force = if self.force_authn { " ForceAuthn=\"true\"" } else { "" };
        format!(
            "<samlp:AuthnRequest xmlns:samlp=\"{}\" xmlns:saml=\"{}\" ID=\"{}\" Version=\"2.0\" \
             IssueInstant=\"{}\" Destination=\"{}\"{force} \
             AssertionConsumerServiceURL=\"{}\" \
             ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\">\
             <saml:Issuer>{}</saml:Issuer><samlp:NameIDPolicy{format} AllowCreate=\"false\"/>\
             {requested}</samlp:AuthnRequest>",
            ns::PROTOCOL,
            ns::ASSERTION,
            escape(&self.id),
            instant(self.issued_at),
            escape(&self.idp.sso_url),
            escape(self.acs_url),
            escape(self.entity_id),
        )
    }

    /// Where to send the browser: the provider's address with the request and the relay state, signed where
    /// there is a key.
    ///
    /// # Errors
    /// [`KeysError`] when the module could not sign.
    pub fn redirect_url(
        &self,
        relay_state: &str,
        key: Option<&RsaKey>,
    ) -> Result<String, KeysError> {
        let to = &self.idp.sso_url;
        redirect::url(to, redirect::Kind::Request, &self.xml(), Some(relay_state), key)
    }
}

/// A time as SAML writes it: UTC, whole seconds.
#[must_use]
pub fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Text for XML, in an element or in a double-quoted attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            other => out.push(other),
        }
    }
    out
}
