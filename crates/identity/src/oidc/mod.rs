//! OpenID Connect sign-in, as a relying party: the code flow with PKCE, and nothing beside it.
//!
//! The order of work: the provider describes itself at an address of its pinned issuer; our request goes to it
//! by a pushed request where it takes such, else in the browser's address; the code that comes back is
//! exchanged over TLS with a key of ours, never a secret; the ID token's signature is verified with the
//! provider's published keys, and then every statement of it. Time, randomness and the network come in as
//! arguments ([`Fetch`]). Logout tokens of the back channel go through the same checks of form.
//!
//! Absent on purpose: the implicit and hybrid flows, client secrets, encrypted tokens, dynamic registration,
//! and tokens in the browser: the access token is used once, for the userinfo, and forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;

use policy::{Function, Ori};

use crate::Refusal;
use crate::admission::AccountRules;
use crate::certificates::SecondFactor;
use crate::establish::{Codes, Rules};
use crate::saml::metadata::MFA_CONTEXTS;

pub(crate) mod claims;
pub mod discovery;
mod flow;
pub mod id_token;
pub mod jose;
pub(crate) mod json;
pub mod jwks;
pub(crate) mod keys;
pub mod logout;
pub mod provider;
pub mod request;
pub mod trial;

pub use flow::{Callback, SignOutAt};
pub use provider::Provider;
pub use request::ClientKey;

/// Longest name that a provider may give a person (OpenID Connect Core, 2).
pub(crate) const SUB_BYTES_MAX: usize = 255;

pub(crate) const CODES: Codes = Codes {
    name: "oidc.sub",
    replay: "oidc.replay",
    step_up_person: "oidc.stepup.person",
    step_up_session: "oidc.stepup.session",
};

/// What an agency decided about a provider.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// Our short name for it, the first half of every account key: `[a-z0-9-]`, 1 to 40.
    pub id: String,
    /// What the sign-in page calls it.
    pub label: String,
    /// The agency whose people it signs in.
    pub agency: Ori,
    /// Its issuer identifier, exactly as it writes it: an `https` URL, or `http` on loopback.
    pub issuer: String,
    /// The name that it gave us.
    pub client_id: String,
    /// Our callback: `<public URL>/oidc/callback`.
    pub redirect_url: String,
    /// Hosts (`host` or `host:port`) beside the issuer's own at which its endpoints may be.
    pub hosts: Vec<String>,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// `acr` values that stand for more than one factor, and are asked for.
    pub acr_values: Vec<String>,
    /// Methods any of which, in `amr`, stands for more than one factor.
    pub amr_values: Vec<String>,
    /// The certificate by which a single factor becomes two, for providers that state no more.
    pub second_factor: Option<SecondFactor>,
    /// Whether our signed assertions name the token endpoint as audience, and not the issuer.
    pub audience_is_endpoint: bool,
    /// Whether claims are also asked for at the userinfo endpoint.
    pub userinfo: bool,
    /// The claim whose values are job functions.
    pub function_claim: String,
    /// The agency's own names for functions.
    pub function_map: BTreeMap<String, Function>,
    /// The only functions that this provider may give, if they are limited.
    pub functions_allowed: Option<BTreeSet<Function>>,
    /// The claim that holds the person's name to show.
    pub name_claim: String,
    /// The claim that holds the person's ORI, which must then be `agency`.
    pub agency_claim: Option<String>,
    /// What becomes of people without an account, and whose word counts for functions.
    pub accounts: AccountRules,
    /// It is only tried: nobody signs in through it.
    pub trial: bool,
}

impl OidcSettings {
    /// A provider with defaults for what the agency decides.
    #[must_use]
    pub fn new(id: &str, agency: Ori, issuer: &str, client_id: &str) -> Self {
        Self {
            id: id.to_owned(),
            label: id.to_owned(),
            agency,
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            redirect_url: String::new(),
            hosts: Vec::new(),
            scopes: Vec::new(),
            acr_values: MFA_CONTEXTS.iter().map(|context| (*context).to_owned()).collect(),
            amr_values: Vec::new(),
            second_factor: None,
            audience_is_endpoint: false,
            userinfo: false,
            function_claim: "functions".to_owned(),
            function_map: BTreeMap::new(),
            functions_allowed: None,
            name_claim: "name".to_owned(),
            agency_claim: None,
            accounts: AccountRules::default(),
            trial: false,
        }
    }

    /// Whether the settings are complete.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn check(&self) -> Result<(), &'static str> {
        let id = self.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !id || self.id.is_empty() || self.id.len() > 40 {
            Err("its id is not 1 to 40 of a-z, 0-9 and -")
        } else if discovery::Place::of(&self.issuer).is_none() {
            Err("its issuer is not an https URL, nor an http one on loopback")
        } else if self.client_id.is_empty() || self.client_id.len() > 255 {
            Err("its client id does not have 1 to 255 bytes")
        } else if self.acr_values.is_empty()
            && self.amr_values.is_empty()
            && self.second_factor.is_none()
        {
            Err("it has no way to state more than one factor")
        } else if self.acr_values.iter().chain(&self.scopes).any(|one| one.contains(' ')) {
            Err("one of its values holds a space, which separates values")
        } else {
            Ok(())
        }
    }

    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules {
            id: &self.id,
            agency: &self.agency,
            function_attribute: &self.function_claim,
            function_map: &self.function_map,
            functions_allowed: self.functions_allowed.as_ref(),
            name_attribute: &self.name_claim,
            agency_attribute: self.agency_claim.as_deref(),
            accounts: self.accounts,
            second_factor: self.second_factor.as_ref(),
        }
    }

    /// Whether the settings name this claim. Others are not kept.
    pub(crate) fn names(&self, claim: &str) -> bool {
        claim == self.function_claim
            || claim == self.name_claim
            || self.agency_claim.as_deref() == Some(claim)
            || self.second_factor.as_ref().and_then(|by| by.attribute.as_deref()) == Some(claim)
    }
}

/// A request to the provider's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// An address that was held against the issuer and the declared hosts.
    pub url: String,
    /// The fields of a form to post; neither these nor `json`: a GET.
    pub form: Option<Vec<(String, String)>>,
    /// JSON to post.
    pub json: Option<String>,
    /// The access token to show.
    pub bearer: Option<String>,
    /// The most that the answer's body may have; more is an error.
    pub bytes_max: usize,
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("the provider's server could not be asked")]
pub struct Unreachable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The future of a [`Fetch`].
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Reply, Unreachable>> + Send + 'a>>;

/// The network, as an argument.
pub trait Fetch: Send + Sync {
    /// Makes one call. Redirects are not followed.
    fn fetch(&self, call: Call) -> Fetching<'_>;
}

pub(crate) fn refuse<T>(code: &'static str, detail: &str) -> Result<T, Refusal> {
    Err(Refusal::new(code, detail))
}
