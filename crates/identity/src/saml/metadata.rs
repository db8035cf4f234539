//! A provider's metadata, read and pinned. Our own is written by [`super::service`].
//!
//! Invariant: the keys that are trusted come from a document that the agency put there, and are strong.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use keys::cert::{Certificate, PublicKeyAlgorithm};
use policy::{Function, Ori};
use roxmltree::Node;

use super::scan::{self, elements, text_of, uri_of};
use super::{ns, profile};
use crate::certificates::SecondFactor;
use crate::{AccountRules, Refusal};

/// Contexts that stand for more than one factor wherever they are stated. An agency can narrow them.
pub const MFA_CONTEXTS: &[&str] = &[
    "https://refeds.org/profile/mfa",
    "urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI",
    "urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken",
    "urn:oasis:names:tc:SAML:2.0:ac:classes:MobileTwoFactorContract",
];

/// Keys of a provider that are trusted at one time: the present one, the next, and some to spare.
const CERTIFICATES_MAX: usize = 8;

pub(crate) const REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";

/// What we know of an identity provider: from its metadata, and from the agency's configuration.
#[derive(Debug, Clone)]
pub struct IdpSettings {
    /// Our short name for it, the first half of every account key: `[a-z0-9-]`, 1 to 40.
    pub id: String,
    /// What the sign-in page calls it.
    pub label: String,
    /// The agency whose people it signs in.
    pub agency: Ori,
    pub entity_id: String,
    /// Where requests go, by redirect.
    pub sso_url: String,
    /// Where messages of single log-out go, by redirect, if the provider has that; and where answers go, if
    /// elsewhere.
    pub slo_url: Option<String>,
    pub slo_answer_url: Option<String>,
    /// The pinned keys.
    pub certificates: Vec<Certificate>,
    /// Until when the metadata may be used, if it says so.
    pub valid_until: Option<Timestamp>,
    /// Contexts that count as more than one factor, and are asked for.
    pub mfa_contexts: Vec<String>,
    /// An attribute, and the value of it that states more than one factor.
    pub mfa_attribute: Option<(String, String)>,
    /// The certificate by which a single factor becomes two, for providers that state no more.
    pub second_factor: Option<SecondFactor>,
    /// Whether keys of encrypted assertions may be wrapped by OAEP with SHA-1, for providers that know no
    /// other.
    pub oaep_sha1: bool,
    /// The NameID format that is demanded, if one is.
    pub name_id_format: Option<String>,
    /// The attribute whose values are job functions.
    pub function_attribute: String,
    /// The agency's own names for functions.
    pub function_map: BTreeMap<String, Function>,
    /// The only functions that this provider may give, if they are limited: a partner's people are guests.
    pub functions_allowed: Option<BTreeSet<Function>>,
    /// The attribute that holds the person's name to show.
    pub name_attribute: String,
    /// The attribute that holds the person's ORI, which must then be `agency`.
    pub agency_attribute: Option<String>,
    /// What becomes of the accounts of its people.
    pub accounts: AccountRules,
}

impl IdpSettings {
    /// Reads a provider's metadata, with defaults for what the agency decides.
    ///
    /// # Errors
    /// A [`Refusal`] with a code `idp.metadata.*`, or `saml.shape.*` for what is not plain XML.
    pub fn from_metadata(
        id: &str,
        agency: Ori,
        xml: &[u8],
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let document = scan::parse(scan::scan(xml, &scan::Limits::METADATA)?)?;
        let entity = document.root_element();
        if !entity.has_tag_name((ns::METADATA, "EntityDescriptor")) {
            let detail = "the metadata must be of one entity: its root is an EntityDescriptor";
            return Err(bad("idp.metadata.root", detail));
        }
        let mut roles = elements(entity)
            .filter(|node| node.has_tag_name((ns::METADATA, "IDPSSODescriptor")))
            .filter(speaks_saml2);
        let (Some(role), None) = (roles.next(), roles.next()) else {
            let detail = "the metadata does not describe exactly one SAML 2.0 identity provider";
            return Err(bad("idp.metadata.role", detail));
        };
        let mut valid_until = None;
        for node in [entity, role] {
            let until = profile::time(node, "validUntil")?;
            if until.is_some_and(|until| until <= now) {
                return Err(bad("idp.metadata.expired", "the metadata is no longer valid"));
            }
            valid_until = match (valid_until, until) {
                (Some(a), Some(b)) => Some(std::cmp::min::<Timestamp>(a, b)),
                (a, b) => a.or(b),
            };
        }
        let entity_id = entity.attribute("entityID").unwrap_or_default().to_owned();
        let at = |service: &'static str, attribute: &'static str| {
            elements(role)
                .filter(|node| node.has_tag_name((ns::METADATA, service)))
                .find(|node| node.attribute("Binding") == Some(REDIRECT))
                .and_then(|node| node.attribute(attribute))
                .map(str::to_owned)
        };
        let settings = Self {
            id: id.to_owned(),
            label: display_name(role).unwrap_or_else(|| entity_id.clone()),
            agency,
            entity_id,
            sso_url: at("SingleSignOnService", "Location").unwrap_or_default(),
            slo_url: at("SingleLogoutService", "Location"),
            slo_answer_url: at("SingleLogoutService", "ResponseLocation"),
            certificates: certificates(role)?,
            valid_until,
            mfa_contexts: MFA_CONTEXTS.iter().map(|context| (*context).to_owned()).collect(),
            mfa_attribute: None,
            second_factor: None,
            oaep_sha1: false,
            name_id_format: None,
            function_attribute: "functions".to_owned(),
            function_map: BTreeMap::new(),
            functions_allowed: None,
            name_attribute: "displayName".to_owned(),
            agency_attribute: None,
            accounts: AccountRules::default(),
        };
        settings.check().map_err(|problem| bad("idp.metadata.incomplete", problem))?;
        Ok(settings)
    }

    /// Whether the settings are complete.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn check(&self) -> Result<(), &'static str> {
        let id = self.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let sound = |text: &str| !text.is_empty() && text.len() <= 1024;
        let plain = |text: &str| {
            (text.starts_with("https://") || text.starts_with("http://"))
                && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        };
        let log_out = [&self.slo_url, &self.slo_answer_url].into_iter().flatten();
        if !id || self.id.is_empty() || self.id.len() > 40 {
            Err("its id is not 1 to 40 of a-z, 0-9 and -")
        } else if !sound(&self.entity_id) {
            Err("it has no entityID")
        } else if !sound(&self.sso_url) || !plain(&self.sso_url) {
            Err("it has no address for requests by redirect, or not a plain URL")
        } else if !log_out.into_iter().all(|url| sound(url) && plain(url)) {
            Err("its address for log-out is not a plain URL")
        } else if self.certificates.is_empty() {
            Err("it has no certificate for signatures")
        } else if self.mfa_contexts.is_empty()
            && self.mfa_attribute.is_none()
            && self.second_factor.is_none()
        {
            Err("it has no way to state more than one factor")
        } else {
            Ok(())
        }
    }

    /// When the provider can sign nobody in any more unless it shows a new key: the end of its last
    /// certificate. Keys are compared and dates are not, so nothing stops then; people should know before.
    #[must_use]
    pub fn certificates_until(&self) -> Option<Timestamp> {
        self.certificates.iter().map(Certificate::not_after).max()
    }

    /// Whether the settings name this attribute. Others are not kept.
    pub(crate) fn names(&self, attribute: &str) -> bool {
        attribute == self.function_attribute
            || attribute == self.name_attribute
            || self.agency_attribute.as_deref() == Some(attribute)
            || self.mfa_attribute.as_ref().is_some_and(|(name, _)| name == attribute)
            || self.second_factor.as_ref().and_then(|by| by.attribute.as_deref()) == Some(attribute)
    }
}

fn bad(code: &'static str, detail: &str) -> Refusal {
    Refusal::new(code, detail)
}

fn speaks_saml2(role: &Node<'_, '_>) -> bool {
    let protocols = role.attribute("protocolSupportEnumeration").unwrap_or_default();
    protocols.split_ascii_whitespace().any(|protocol| protocol == ns::PROTOCOL)
}

fn display_name(role: Node<'_, '_>) -> Option<String> {
    const UI: &str = "urn:oasis:names:tc:SAML:metadata:ui";
    let name = role.descendants().find(|node| node.has_tag_name((UI, "DisplayName")))?;
    uri_of(name).filter(|name| !name.is_empty() && name.len() <= 200)
}

/// The certificates for signatures, each with a key that is strong enough.
fn certificates(role: Node<'_, '_>) -> Result<Vec<Certificate>, Refusal> {
    let mut certificates = Vec::new();
    let keys = elements(role).filter(|node| node.has_tag_name((ns::METADATA, "KeyDescriptor")));
    for key in keys.filter(|key| matches!(key.attribute("use"), Some("signing") | None)) {
        for node in
            key.descendants().filter(|node| node.has_tag_name((ns::SIGNATURE, "X509Certificate")))
        {
            let text: String = text_of(node).unwrap_or_default().split_ascii_whitespace().collect();
            let der = STANDARD.decode(text).ok();
            let certificate = der.and_then(|der| Certificate::from_der(&der).ok());
            let Some(certificate) = certificate else {
                return Err(bad("idp.metadata.key", "a certificate can't be read"));
            };
            if certificate.is_signed_with_sha1() {
                return Err(bad("idp.metadata.sha1", "a certificate is signed with SHA-1 or MD5"));
            }
            if !is_strong(&certificate) {
                let detail = "a key is neither RSA of 2048 bits or more nor P-256 nor P-384";
                return Err(bad("idp.metadata.key", detail));
            }
            certificates.push(certificate);
        }
    }
    if certificates.len() > CERTIFICATES_MAX {
        return Err(bad("idp.metadata.key", "there are too many certificates"));
    }
    Ok(certificates)
}

fn is_strong(certificate: &Certificate) -> bool {
    /// A SubjectPublicKeyInfo with a 2048-bit modulus is 292 bytes or more; of 1024 bits, about 160.
    const RSA_2048_SPKI_BYTES: usize = 292;
    match certificate.public_key_algorithm() {
        PublicKeyAlgorithm::Rsa => {
            certificate.spki_der().is_ok_and(|spki| spki.len() >= RSA_2048_SPKI_BYTES)
        }
        PublicKeyAlgorithm::P256 | PublicKeyAlgorithm::P384 => true,
        PublicKeyAlgorithm::MlKem768
        | PublicKeyAlgorithm::MlKem1024
        | PublicKeyAlgorithm::Unknown => false,
    }
}
