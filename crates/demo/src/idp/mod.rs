//! A small SAML identity provider for the demo, and for nothing else.
//!
//! Its people are made up, anybody who can reach its page may be any of them, and its second factor is a
//! button. So it is built only with a [`DemoOnly`], which the demo's runner alone can make, and only for
//! an address on this machine. What it signs is real: the service provider verifies it like any other.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use identity::saml::metadata::MFA_CONTEXTS;
use identity::saml::ns;
use identity::saml::request::escape;
use jiff::{SignedDuration, Timestamp};
use keys::cert::{CertSpec, Certificate, Usage, issue_rsa};
use keys::sign::{RsaBits, RsaKey};
use keys::{Clock, KeysError, Random};
use policy::{Function, Ori};

mod pages;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub use pages::router;

/// Sign-ins that may be under way at one time; the oldest gives way to a new one.
const PENDING_MAX: usize = 1000;

/// How long a person may take over the two pages.
const PENDING_MINUTES_MAX: i64 = 10;

/// Leave to build a provider that lets anybody in. Only this crate makes it, in its runner.
#[derive(Debug)]
pub struct DemoOnly(());

impl DemoOnly {
    /// For the runner of the demo, and for tests.
    pub(crate) fn by_the_runner() -> Self {
        Self(())
    }
}

/// A made-up person.
#[derive(Debug, Clone)]
pub struct Persona {
    /// The account's name, such as `det.ruiz`. It becomes the NameID.
    pub id: String,
    /// The name to show.
    pub name: String,
    pub agency: Ori,
    pub functions: Vec<Function>,
}

/// A Bailiwick that this provider signs people in to.
#[derive(Debug, Clone)]
pub struct Service {
    pub entity_id: String,
    pub acs_url: String,
    /// Only people of this agency are offered.
    pub agency: Ori,
    /// What the pages call it.
    pub label: String,
}

/// The provider's signing key and its certificate.
pub struct IdpKeys {
    key: RsaKey,
    certificate: Certificate,
}

impl std::fmt::Debug for IdpKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdpKeys")
    }
}

impl IdpKeys {
    /// A new RSA key of 2048 bits, with a certificate for a year.
    ///
    /// # Errors
    /// When the cryptographic module fails.
    pub fn generate(now: Timestamp, random: &dyn Random) -> Result<Self, KeysError> {
        let key = RsaKey::generate(RsaBits::Rsa2048)?;
        let day = SignedDuration::from_hours(24);
        let spec = CertSpec {
            subject_cn: "Demo identity provider".to_owned(),
            organisation: "Bailiwick demo".to_owned(),
            not_before: now.checked_sub(day).unwrap_or(now),
            not_after: now.checked_add(day * 365).unwrap_or(Timestamp::MAX),
            usage: Usage::SamlSigning,
            dns: Vec::new(),
            ips: Vec::new(),
            uris: Vec::new(),
        };
        let certificate = issue_rsa(&spec, &key, random)?;
        Ok(Self { key, certificate })
    }

    /// A key and certificate that were made before.
    ///
    /// # Errors
    /// When the key is not RSA in PKCS #8, or the certificate is not of this key.
    pub fn from_parts(pkcs8: &[u8], certificate: Certificate) -> Result<Self, KeysError> {
        let key = RsaKey::from_pkcs8(pkcs8)?;
        if key.public_spki()? != certificate.spki_der()? {
            return Err(KeysError::PublicKey { expected: "the certificate's own key" });
        }
        Ok(Self { key, certificate })
    }
}

/// Why the provider would not start, or not answer.
#[derive(Debug, thiserror::Error)]
pub enum IdpError {
    #[error("the demo's identity provider serves this machine only, not `{url}`")]
    NotLoopback { url: String },
    #[error("two personas are called `{id}`")]
    TwoPersonas { id: String },
    #[error("the sign-in request is not one that this provider can read: {why}")]
    Request { why: &'static str },
    #[error("the sign-in request comes from a service that is not registered here")]
    UnknownService,
    #[error("this sign-in is over; go back to the service and begin again")]
    Over,
    #[error("there is no such person at this agency")]
    UnknownPersona,
    #[error("the answer could not be signed")]
    Sign(#[source] KeysError),
    #[error("the answer could not be written")]
    Write(#[from] identity::Refusal),
}

/// A sign-in between the provider's pages.
#[derive(Debug, Clone)]
struct Pending {
    request: String,
    service: usize,
    relay_state: String,
    /// The service wants the person to prove it again.
    again: bool,
    /// The service asked for a context that this provider can state.
    answerable: bool,
    persona: Option<usize>,
    since: Timestamp,
}

/// The provider.
pub struct DemoIdp {
    base_url: String,
    personas: Vec<Persona>,
    services: Vec<Service>,
    keys: IdpKeys,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    pending: Mutex<HashMap<String, Pending>>,
}

impl std::fmt::Debug for DemoIdp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DemoIdp").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// What the browser carries to the service.
#[derive(Debug, Clone)]
pub(crate) struct Posting {
    pub(crate) acs_url: String,
    pub(crate) label: String,
    /// Base64.
    pub(crate) response: String,
    pub(crate) relay_state: String,
}

impl DemoIdp {
    /// `base_url` is where [`router`] is served, such as `http://127.0.0.1:8082`, without a slash at
    /// its end.
    ///
    /// # Errors
    /// [`IdpError::NotLoopback`], [`IdpError::TwoPersonas`].
    pub fn new(
        _only: DemoOnly,
        base_url: &str,
        personas: Vec<Persona>,
        keys: IdpKeys,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, IdpError> {
        let host = base_url.strip_prefix("http://").and_then(|rest| rest.split([':', '/']).next());
        if !matches!(host, Some("127.0.0.1" | "localhost")) || base_url.ends_with('/') {
            return Err(IdpError::NotLoopback { url: base_url.to_owned() });
        }
        let mut seen = BTreeMap::new();
        for persona in &personas {
            if seen.insert(&persona.id, ()).is_some() {
                return Err(IdpError::TwoPersonas { id: persona.id.clone() });
            }
        }
        Ok(Self {
            base_url: base_url.to_owned(),
            personas,
            services: Vec::new(),
            keys,
            clock,
            random,
            pending: Mutex::default(),
        })
    }

    /// Registers a service. Requests of others are refused.
    #[must_use]
    pub fn with_service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// The provider's entity ID, which is also where its metadata is served.
    #[must_use]
    pub fn entity_id(&self) -> String {
        format!("{}/metadata", self.base_url)
    }

    /// The provider's metadata, for a service to pin.
    #[must_use]
    pub fn metadata(&self) -> String {
        use base64::Engine;
        let certificate = self.keys.certificate.der();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <md:EntityDescriptor xmlns:md=\"{}\" xmlns:ds=\"{}\" entityID=\"{}\">\
             <md:IDPSSODescriptor protocolSupportEnumeration=\"{}\">\
             <md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}\
             </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>\
             <md:NameIDFormat>{}</md:NameIDFormat><md:SingleSignOnService \
             Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"{}/sso\"/>\
             </md:IDPSSODescriptor></md:EntityDescriptor>\n",
            ns::METADATA,
            ns::SIGNATURE,
            escape(&self.entity_id()),
            ns::PROTOCOL,
            base64::engine::general_purpose::STANDARD.encode(certificate),
            response::PERSISTENT,
            escape(&self.base_url),
        )
    }

    /// Takes a request by redirect. Gives the handle under which the pages go on.
    fn begin(&self, saml_request: &str, relay_state: &str) -> Result<String, IdpError> {
        let asked = request::read(saml_request)?;
        let service = self.services.iter().position(|service| {
            service.entity_id == asked.issuer
                && asked.acs_url.as_ref().is_none_or(|url| *url == service.acs_url)
        });
        let now = self.clock.now();
        let pending = Pending {
            request: asked.id,
            service: service.ok_or(IdpError::UnknownService)?,
            relay_state: relay_state.to_owned(),
            again: asked.force_authn,
            answerable: asked.contexts.is_empty() || asked.contexts.iter().any(|c| c == MFA),
            persona: None,
            since: now,
        };
        let handle = self.fresh_id()?;
        let mut all = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, pending| !is_over(pending, now));
        if all.len() >= PENDING_MAX {
            let oldest = all.iter().min_by_key(|(_, pending)| pending.since);
            if let Some(oldest) = oldest.map(|(handle, _)| handle.clone()) {
                all.remove(&oldest);
            }
        }
        all.insert(handle.clone(), pending);
        Ok(handle)
    }

    fn pending(&self, handle: &str) -> Result<Pending, IdpError> {
        let now = self.clock.now();
        let all = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.get(handle).filter(|pending| !is_over(pending, now));
        found.cloned().ok_or(IdpError::Over)
    }

    /// The service that a sign-in is for.
    fn service(&self, pending: &Pending) -> Result<&Service, IdpError> {
        self.services.get(pending.service).ok_or(IdpError::UnknownService)
    }

    /// The people who may sign in to a service.
    fn people<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Persona> {
        self.personas.iter().filter(|persona| persona.agency == service.agency)
    }

    /// The first page's answer: who it is.
    fn choose(&self, handle: &str, persona: &str) -> Result<&Persona, IdpError> {
        let pending = self.pending(handle)?;
        let agency = &self.service(&pending)?.agency;
        let index = self
            .personas
            .iter()
            .position(|known| known.id == persona && known.agency == *agency)
            .ok_or(IdpError::UnknownPersona)?;
        let mut all = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(handle).ok_or(IdpError::Over)?.persona = Some(index);
        self.personas.get(index).ok_or(IdpError::UnknownPersona)
    }

    /// The second page's answer. The sign-in is over with it, whichever it was.
    fn finish(&self, handle: &str, approved: bool) -> Result<Posting, IdpError> {
        let pending = self.pending(handle)?;
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(handle);
        let service = self.service(&pending)?;
        let persona = pending.persona.and_then(|index| self.personas.get(index));
        let outcome = match persona {
            _ if !pending.answerable => response::Outcome::Failed("NoAuthnContext"),
            Some(persona) if approved => response::Outcome::Authenticated(persona),
            Some(_) | None => response::Outcome::Failed("AuthnFailed"),
        };
        let response = self.answer(service, &pending.request, &outcome)?;
        Ok(Posting {
            acs_url: service.acs_url.clone(),
            label: service.label.clone(),
            response,
            relay_state: pending.relay_state,
        })
    }

    /// An ID of 160 random bits that is also a valid XML ID.
    fn fresh_id(&self) -> Result<String, IdpError> {
        let bytes = keys::random_bytes::<20>(&*self.random).map_err(IdpError::Sign)?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("_{hex}"))
    }
}

/// The one context that this provider states: a pretended second factor, named as a real one would be.
const MFA: &str = match MFA_CONTEXTS {
    [first, ..] => first,
    [] => "",
};

fn is_over(pending: &Pending, now: Timestamp) -> bool {
    now.duration_since(pending.since) > SignedDuration::from_mins(PENDING_MINUTES_MAX)
}
