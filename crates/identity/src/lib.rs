//! Who is asking, and how strongly they proved it: SAML, OpenID Connect, client certificates, LDAP, emergency accounts
//! and sessions, in; an `Actor`, out. SCIM documents and security events (CAEP, RISC) say whom that no longer holds for.
//!
//! Invariants: an identity is read only from bytes whose signature was verified with a key pinned in the
//! agency's metadata; a session outlives neither its sign-in nor [`SessionLimits`]; a token is stored
//! only as its hash. This room never decides what an actor may do; that is `policy`. It has no ledger:
//! the caller records a sign-in before it hands the token to the browser, and withholds it otherwise.

use std::sync::Arc;

use jiff::SignedDuration;
use keys::Random;
use keys::sign::RsaKey;
use keys::transport::TransportKey;
use state::State;

mod admission;
pub mod c14n;
pub mod certificates;
pub mod cookie;
pub mod devices;
pub mod directory;
pub mod emergency;
mod establish;
pub mod functions;
pub mod ldap;
mod log_out;
pub mod oidc;
mod providers;
pub mod qualified;
pub mod saml;
pub mod scim;
pub mod session;
mod sign_in;
pub mod ssf;
pub mod trial;

pub use crate::admission::{AccountNote, AccountRules, Recorder, Recording};
pub use crate::log_out::{EndAsked, LogOut};
pub use crate::saml::metadata::IdpSettings;
pub use crate::saml::service::ServiceKeys;
pub use crate::session::{Activity, Lookup, Session, SessionSummary, SessionToken, Signed};
pub use crate::sign_in::{Answer, Browser, SignedIn, Started};

/// How long a sign-in may take, from our request to the provider's answer.
pub const SIGN_IN_MINUTES_MAX: i64 = 10;

/// How far the provider's clock may differ from ours in the times that it sets.
pub const SKEW_SECONDS_MAX: i64 = 60;

/// Ages at which a session ends (AC-11, IA-11, IA-5 o).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Without activity of the person.
    pub idle_max: SignedDuration,
    /// Since the sign-in, whatever the person does.
    pub absolute_max: SignedDuration,
    /// For how long a step-up counts.
    pub step_up_max: SignedDuration,
}

impl SessionLimits {
    /// What CJISSECPOL allows at most: 30 minutes, 12 hours; and 5 minutes for a step-up.
    pub const CJIS: Self = Self {
        idle_max: SignedDuration::from_mins(30),
        absolute_max: SignedDuration::from_hours(12),
        step_up_max: SignedDuration::from_mins(5),
    };

    /// Limits may be stricter than CJISSECPOL, never laxer.
    ///
    /// # Errors
    /// [`IdentityError::Limit`] names the first that is zero, negative or too long.
    pub fn check(&self) -> Result<(), IdentityError> {
        let most = Self::CJIS;
        for (limit, value, most) in [
            ("idle", self.idle_max, most.idle_max),
            ("absolute", self.absolute_max, most.absolute_max),
            ("step-up", self.step_up_max, most.step_up_max),
        ] {
            if value <= SignedDuration::ZERO || value > most {
                return Err(IdentityError::Limit { limit });
            }
        }
        Ok(())
    }
}

/// Who we are to identity providers, and how long sessions live.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our SAML entity ID, a URI.
    pub entity_id: String,
    /// Where providers post their answers: the full URL of the assertion consumer service.
    pub acs_url: String,
    /// Where providers send requests and answers of single log-out.
    pub slo_url: String,
    pub limits: SessionLimits,
}

/// Another place to which people come, with what a provider has to know of it.
#[derive(Debug, Clone)]
pub struct Place {
    pub entity_id: String,
    pub acs_url: String,
    pub slo_url: String,
}

/// One of our places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) entity_id: &'a str,
    pub(crate) acs_url: &'a str,
    pub(crate) slo_url: &'a str,
}

/// Sign-ins and sessions of one agency. Clones share everything.
#[derive(Clone)]
pub struct Identity {
    pub(crate) state: State,
    pub(crate) settings: Arc<Settings>,
    pub(crate) idps: Arc<providers::Providers>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) keys: Option<Arc<ServiceKeys>>,
    pub(crate) recorder: Option<Arc<dyn Recorder>>,
    pub(crate) oidc: Arc<[Arc<oidc::Provider>]>,
    pub(crate) streams: Arc<[Arc<ssf::Stream>]>,
    pub(crate) certificates: Arc<[Arc<certificates::Provider>]>,
    pub(crate) devices: Arc<[devices::DeviceClass]>,
    pub(crate) requirements: Arc<qualified::Requirements>,
    pub(crate) ldap: Arc<[ldap::Ldap]>,
    pub(crate) guests_at: Option<Arc<Place>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Identity {
    /// # Errors
    /// [`IdentityError::Limit`], or [`IdentityError::Provider`] when two providers share an id or an entity ID,
    /// or one has no way to prove multi-factor authentication.
    pub fn new(
        state: State,
        settings: Settings,
        idps: Vec<IdpSettings>,
        random: Arc<dyn Random>,
    ) -> Result<Self, IdentityError> {
        settings.limits.check()?;
        let idps = Arc::new(providers::Providers::new(idps)?);
        let settings = Arc::new(settings);
        let oidc = Arc::default();
        Ok(Self {
            state,
            settings,
            idps,
            random,
            keys: None,
            recorder: None,
            oidc,
            streams: Arc::default(),
            certificates: Arc::default(),
            devices: Arc::default(),
            requirements: Arc::default(),
            ldap: Arc::default(),
            guests_at: None,
        })
    }

    /// Gives the service its keys: requests are signed from now on, and encrypted assertions opened.
    #[must_use]
    pub fn with_keys(mut self, keys: ServiceKeys) -> Self {
        self.keys = Some(Arc::new(keys));
        self
    }

    /// Has guests come to a place of their own: their providers know us by it, and their answers count for it alone.
    #[must_use]
    pub fn with_guests_at(mut self, place: Option<Place>) -> Self {
        self.guests_at = place.map(Arc::new);
        self
    }

    /// Gives the room directories that are asked at each sign-in.
    #[must_use]
    pub fn with_ldap(mut self, directories: Vec<ldap::Ldap>) -> Self {
        self.ldap = directories.into();
        self
    }

    /// The directories that are asked.
    #[must_use]
    pub fn ldap(&self) -> &[ldap::Ldap] {
        &self.ldap
    }

    /// Gives the room a way to record what it does to accounts. Without one it neither makes nor changes any.
    #[must_use]
    pub fn with_recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// What an identity provider needs to know of us, as SAML metadata.
    #[must_use]
    pub fn metadata(&self) -> String {
        saml::service::metadata(self.own_place(), self.keys.as_deref())
    }

    /// The same for the providers of guests, where those come to a place of their own.
    #[must_use]
    pub fn guests_metadata(&self) -> Option<String> {
        let place = self.guests_at.as_deref()?.at();
        Some(saml::service::metadata(place, self.keys.as_deref()))
    }

    pub(crate) fn own_place(&self) -> At<'_> {
        let Settings { entity_id, acs_url, slo_url, .. } = &*self.settings;
        At { entity_id, acs_url, slo_url }
    }

    /// The place that a provider's people come to.
    pub(crate) fn place(&self, idp: &IdpSettings) -> At<'_> {
        let guests = self.guests_at.as_deref().filter(|_| idp.accounts.guests);
        guests.map_or_else(|| self.own_place(), Place::at)
    }

    /// Our certificates for signatures: the present one, and then the one that will follow.
    #[must_use]
    pub fn certificates(&self) -> &[keys::cert::Certificate] {
        self.keys.as_ref().map_or(&[], |keys| &keys.signing_certificates)
    }

    pub(crate) fn signing(&self) -> Option<&RsaKey> {
        self.keys.as_ref().map(|keys| &keys.signing)
    }

    pub(crate) fn decryption(&self) -> &[TransportKey] {
        self.keys.as_ref().map_or(&[], |keys| &keys.decryption)
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Place {
    fn at(&self) -> At<'_> {
        let Self { entity_id, acs_url, slo_url } = self;
        At { entity_id, acs_url, slo_url }
    }
}

/// A sign-in that was refused. `code` is stable and goes into the ledger; `detail` is ours, in plain
/// words, and never repeats what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    pub code: &'static str,
    pub detail: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The answer was not good enough. `idp` is the provider that we had asked, if we know it.
    #[error("sign-in refused")]
    Refused {
        idp: Option<String>,
        #[source]
        refusal: Refusal,
    },
    #[error("no identity provider has the id that was asked for")]
    UnknownProvider,
    #[error("identity provider `{idp}`: {problem}")]
    Provider { idp: String, problem: &'static str },
    #[error("device class `{class}` {problem}")]
    DeviceClass { class: String, problem: &'static str },
    #[error("the {limit} limit of sessions is not within what CJISSECPOL allows")]
    Limit { limit: &'static str },
    #[error("the cryptographic module gave no random bytes")]
    Random(#[source] keys::KeysError),
    #[error("our request could not be signed")]
    Sign(#[source] keys::KeysError),
    #[error("what was to be done to an account could not be recorded")]
    Unrecorded(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the state database failed")]
    State(#[from] state::StateError),
    #[error("a stored session holds a bad `{what}`")]
    Damaged { what: &'static str },
}
