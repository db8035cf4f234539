//! Client certificates (PIV, CAC and others): whose they are, and whether they count.
//!
//! Invariants: that the holder has the key was proved by the handshake, ours or that of a declared proxy; whose it is
//! comes from a certificate whose path, policies, purposes and revocation were looked at first; a person is named by
//! one identifier that the agency chose, never by an e-mail address; whatever can't be found out is a refusal.

mod judge;
pub mod sign_in;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use keys::Random;
use keys::cert::Certificate;
use keys::cert::crl::Crl;
use keys::ocsp::NameHash;
use policy::{Function, Ori};
use serde::Deserialize;
use wire::chain::{Authorities, Lists};

use crate::establish::Rules;
use crate::{AccountRules, Identity, IdentityError};

pub use self::judge::Held;

/// Most certificates in what is shown: the holder's own and those above it.
pub const CHAIN_MAX: usize = wire::chain::INTERMEDIATES_MAX + 1;

/// id-kp-clientAuth.
pub const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

/// What a browser showed.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    /// The holder's own certificate first (DER).
    pub certificates: Arc<[Vec<u8>]>,
    /// When the handshake proved that the holder has the key. Nothing: a proxy says so, and does not say when.
    pub proved_at: Option<Timestamp>,
}

impl Shown {
    /// SHA-256 of the holder's own certificate.
    #[must_use]
    pub fn thumbprint(&self) -> Option<[u8; 32]> {
        self.certificates.first().map(|own| keys::digest::sha256(own))
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shown({})", self.certificates.len())
    }
}

/// Which name in the certificate tells the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedBy {
    /// The UUID in `urn:uuid:…` (PIV, PIV-I).
    Uuid,
    /// The FASC-N, in hexadecimal (PIV).
    FascN,
    /// The user principal name (Active Directory, CAC).
    Upn,
    /// The subject's whole distinguished name, for authorities that write no other.
    Subject,
}

/// What the agency decided about an authority's certificates.
#[derive(Debug, Clone)]
pub struct CertificateSettings {
    /// Part of every account key; never changes.
    pub id: String,
    pub label: String,
    /// Whose people they are of.
    pub agency: Ori,
    pub authorities: Vec<Certificate>,
    pub named_by: NamedBy,
    /// Policies any of which must hold; none: not asked for.
    pub policies: Vec<String>,
    /// Purposes all of which must be stated.
    pub purposes: Vec<String>,
    /// Whether such a certificate stands for two factors, a card that wants a PIN, so that people sign in with it
    /// alone. Others go only with something else.
    pub multi_factor: bool,
    /// Whether lists of revoked certificates are looked in.
    pub lists: bool,
    /// For how long after its end a list still counts.
    pub stale_max: SignedDuration,
    /// How a responder is asked, if one is.
    pub responder: Option<ResponderSettings>,
    pub functions_allowed: Option<BTreeSet<Function>>,
    /// Whether its people are guests.
    pub guests: bool,
}

/// How an OCSP responder is asked.
#[derive(Debug, Clone, Copy)]
pub struct ResponderSettings {
    pub names: NameHash,
    /// Whether an answer without our nonce is none.
    pub nonce_needed: bool,
}

/// What a responder answered, or why it did not.
pub type Answering<'a> = Pin<
    Box<dyn Future<Output = Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>> + Send + 'a>,
>;

/// The way to a responder, as an argument.
pub trait Responder: Send + Sync {
    /// Posts a question (`application/ocsp-request`) to the declared responder.
    fn ask(&self, question: Vec<u8>) -> Answering<'_>;
}

/// An authority's certificates, with what is known now of revoked ones.
pub struct Provider {
    pub(crate) settings: CertificateSettings,
    authorities: Authorities,
    lists: RwLock<Arc<Lists>>,
    responder: Option<Arc<dyn Responder>>,
    /// Certificates that were found good a moment ago, so that not each request follows the path.
    good: Mutex<HashMap<[u8; 32], Timestamp>>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("id", &self.settings.id).finish_non_exhaustive()
    }
}

impl Provider {
    /// # Errors
    /// [`IdentityError::Provider`] says what is wrong with the settings.
    pub fn new(
        settings: CertificateSettings,
        responder: Option<Arc<dyn Responder>>,
    ) -> Result<Self, IdentityError> {
        let wrong = |problem| IdentityError::Provider { idp: settings.id.clone(), problem };
        let id =
            settings.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !id || settings.id.is_empty() || settings.id.len() > 40 {
            return Err(wrong("its id is not 1 to 40 of a-z, 0-9 and -"));
        }
        if settings.responder.is_some() != responder.is_some() {
            return Err(wrong("it has a responder that can't be asked"));
        }
        if settings.multi_factor && settings.policies.is_empty() {
            return Err(wrong(
                "it stands for two factors, and no policy says that its keys are on cards",
            ));
        }
        let authorities = Authorities::new(&settings.authorities)
            .map_err(|_| wrong("its authorities are not certificates of authorities"))?;
        let (lists, good) = (RwLock::default(), Mutex::default());
        Ok(Self { settings, authorities, lists, responder, good })
    }

    #[must_use]
    pub fn settings(&self) -> &CertificateSettings {
        &self.settings
    }

    /// Takes lists of revoked certificates in place of those before. Gives when the first of them runs out.
    ///
    /// # Errors
    /// [`wire::WireError`]: one can't be used, and those before stay.
    pub fn take_lists(&self, lists: Vec<Crl>) -> Result<Option<Timestamp>, wire::WireError> {
        let lists = Lists::new(lists)?;
        let until = lists.until();
        *self.lists.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(lists);
        self.good.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(until)
    }

    fn lists(&self) -> Arc<Lists> {
        self.lists.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn rules<'a>(&'a self, map: &'a BTreeMap<String, Function>) -> Rules<'a> {
        Rules {
            id: &self.settings.id,
            agency: &self.settings.agency,
            function_attribute: "",
            function_map: map,
            functions_allowed: self.settings.functions_allowed.as_ref(),
            name_attribute: "",
            agency_attribute: None,
            // A certificate says nothing of functions: whoever made the account did.
            accounts: AccountRules {
                create: false,
                guests: self.settings.guests,
                functions_from_account: true,
            },
            second_factor: None,
        }
    }
}

/// Which certificate makes a provider's single factor two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// The [`Provider`] that must vouch for it.
    pub provider: String,
    /// The attribute by which the identity provider says whose certificate it must be. Nothing: the name that it gives
    /// the person.
    pub attribute: Option<String>,
}

impl Identity {
    /// Gives the room the authorities whose certificates count.
    ///
    /// # Errors
    /// [`IdentityError::Provider`] when an id is another provider's.
    pub fn with_certificates(mut self, providers: Vec<Provider>) -> Result<Self, IdentityError> {
        for (at, one) in providers.iter().enumerate() {
            let id = &one.settings.id;
            let twice = providers.iter().skip(at + 1).any(|other| other.settings.id == *id)
                || self.oidc_provider(id).is_some()
                || self.providers().iter().any(|known| known.id == *id);
            if twice {
                let problem = "two identity providers have this id";
                return Err(IdentityError::Provider { idp: id.clone(), problem });
            }
        }
        self.certificates = providers.into_iter().map(Arc::new).collect();
        Ok(self)
    }

    #[must_use]
    pub fn certificate_providers(&self) -> &[Arc<Provider>] {
        &self.certificates
    }

    pub(crate) fn certificate_provider(&self, id: &str) -> Option<&Arc<Provider>> {
        self.certificates.iter().find(|one| one.settings.id == id)
    }

    pub(crate) fn random(&self) -> &dyn Random {
        &*self.random
    }
}
