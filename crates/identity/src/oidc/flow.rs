//! A sign-in at an OpenID Connect provider, from our request to the session; and its end from the back channel.
//!
//! Invariants: an answer counts only in the browser that began the sign-in, once, within ten minutes, whatever
//! becomes of it; the code is exchanged only for an answer with our state, from the issuer that we had asked.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use state::sign_ins::{self, Asked, NewSignIn};

use super::logout::{self, Logout};
use super::request::{self, AUTHENTICATION_SECONDS_MAX, Secrets};
use super::{CODES, OidcSettings, Provider, id_token};
use crate::establish::Proof;
use crate::session::{SessionToken, later};
use crate::sign_in::{Browser, Purpose, SignedIn, Started, local_path};
use crate::{Identity, IdentityError, Refusal, SIGN_IN_MINUTES_MAX};

/// Longest code that is exchanged.
const CODE_BYTES_MAX: usize = 4096;

/// The codes for sign-ins that are not under way.
pub(super) const REQUESTS: [&str; 3] =
    ["oidc.request.unknown", "oidc.request.expired", "oidc.request.replayed"];

/// What the browser brings back, each parameter as it stands there once.
#[derive(Debug, Clone, Default)]
pub struct Callback {
    pub code: Option<String>,
    pub state: Option<String>,
    pub iss: Option<String>,
    pub error: Option<String>,
}

/// Where a person may end the provider's own session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOutAt {
    /// What the sign-in page calls the provider.
    pub label: String,
    pub url: String,
}

impl Identity {
    /// Adds OpenID Connect providers.
    ///
    /// # Errors
    /// [`IdentityError::Provider`] when two providers share an id or an issuer.
    pub fn with_oidc(mut self, providers: Vec<Provider>) -> Result<Self, IdentityError> {
        let taken = |id: &str| self.provider(id).is_some();
        for (at, one) in providers.iter().enumerate() {
            let settings = one.settings();
            let mut before = providers.iter().take(at).map(Provider::settings);
            let twice =
                before.any(|other| other.id == settings.id || other.issuer == settings.issuer);
            if twice || taken(&settings.id) {
                let problem = "two identity providers have this id or issuer";
                return Err(IdentityError::Provider { idp: settings.id.clone(), problem });
            }
        }
        self.oidc = providers.into_iter().map(Arc::new).collect();
        Ok(self)
    }

    /// The OpenID Connect providers, for the sign-in page.
    #[must_use]
    pub fn oidc_providers(&self) -> &[Arc<Provider>] {
        &self.oidc
    }

    pub(crate) fn oidc_provider(&self, id: &str) -> Option<Arc<Provider>> {
        self.oidc.iter().find(|one| one.settings().id == id).map(Arc::clone)
    }

    /// Begins a sign-in, the step-up of a session, or a trial.
    pub(crate) async fn start_oidc(
        &self,
        provider: &Provider,
        return_to: &str,
        purpose: Purpose<'_>,
        now: Timestamp,
    ) -> Result<Started, IdentityError> {
        let (step_up_of, trial) = purpose.parts();
        let settings = provider.settings();
        let refused = |refusal| IdentityError::Refused { idp: Some(settings.id.clone()), refusal };
        let discovery = provider.discovery(now).await.map_err(refused)?;
        let random = || {
            let bytes = keys::random_bytes::<32>(&*self.random).map_err(IdentityError::Random)?;
            Ok::<_, IdentityError>((bytes, SessionToken::new(&bytes).expose().to_owned()))
        };
        let (prelogin, cookie) = random()?;
        let secrets = Secrets { state: random()?.1, nonce: random()?.1, verifier: random()?.1 };
        let mut parameters = request::parameters(settings, &secrets, step_up_of.is_some());
        if let Some(endpoint) = &discovery.pushed {
            let jti = random()?.1;
            let assertion = provider.key.assertion(settings, &discovery, &jti, now);
            let proof = request::proof(settings, assertion.map_err(IdentityError::Sign)?);
            let mut form = parameters;
            form.retain(|(name, _)| name != "client_id");
            form.extend(proof);
            let uri = provider.push(endpoint.clone(), form).await.map_err(refused)?;
            let client = ("client_id".to_owned(), settings.client_id.clone());
            parameters = vec![client, ("request_uri".to_owned(), uri)];
        }
        let new = NewSignIn {
            id: keys::digest::sha256(&prelogin),
            issued_at: now,
            expires_at: later(now, SignedDuration::from_mins(SIGN_IN_MINUTES_MAX)),
            asked: Asked {
                idp: settings.id.clone(),
                request: secrets.nonce.clone(),
                relay: secrets.state,
                return_to: local_path(return_to),
                step_up_of,
                verifier: Some(secrets.verifier),
                trial,
                mark: 0,
            },
        };
        sign_ins::begin(&self.state, &new).await?;
        let redirect = request::with_parameters(&discovery.authorization, &parameters);
        Ok(Started { prelogin: cookie, redirect, request: secrets.nonce })
    }

    /// Takes a provider's answer. `prelogin` is the browser's cookie. On success the session is live: the
    /// caller records that and only then gives out the token; if it can't, it ends the session.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] with a reason code `oidc.*` or `authz.*`; [`IdentityError::State`]; in both
    /// cases there is no new session, and the sign-in can't be answered again.
    pub async fn finish_oidc(
        &self,
        prelogin: Option<&str>,
        callback: &Callback,
        browser: &Browser,
        now: Timestamp,
    ) -> Result<SignedIn, IdentityError> {
        let (asked, issued_at) = self.take(prelogin, REQUESTS, now).await?;
        let stepping_up = match &asked.step_up_of {
            Some(id) => Some(self.live(id, now).await?.ok_or_else(|| {
                let detail = "the session to be stepped up is over";
                let refusal = Refusal::new(CODES.step_up_session, detail);
                IdentityError::Refused { idp: Some(asked.idp.clone()), refusal }
            })?),
            None => None,
        };
        let since = stepping_up.is_some().then_some(issued_at);
        let (provider, proof) = self.prove(&asked, callback, since, now).await?;
        let (rules, begun) = (provider.settings().rules(), (stepping_up, asked.mark));
        let signed_in = self.establish(&rules, &proof, begun, browser, None, now).await?;
        Ok(SignedIn { return_to: asked.return_to, ..signed_in })
    }

    /// What a provider's answer proves of a person, who must have been authenticated after `since`, if it is given.
    pub(super) async fn prove(
        &self,
        asked: &Asked,
        callback: &Callback,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(Arc<Provider>, Proof), IdentityError> {
        let refused = |refusal| IdentityError::Refused { idp: Some(asked.idp.clone()), refusal };
        let refuse = |code, detail: &str| refused(Refusal::new(code, detail));
        let state = callback.state.as_deref().unwrap_or_default();
        if !keys::mac::equal(asked.relay.as_bytes(), state.as_bytes()) {
            return Err(refuse("oidc.state", "the answer is not to the request of this sign-in"));
        }
        let (Some(provider), Some(verifier)) = (self.oidc_provider(&asked.idp), &asked.verifier)
        else {
            return Err(refuse("oidc.request.unknown", "the sign-in was begun elsewhere"));
        };
        let settings = provider.settings();
        let discovery = provider.discovery(now).await.map_err(refused)?;
        let code = code_of(callback, settings, discovery.names_issuer).map_err(refused)?;
        let jti = keys::random_bytes::<32>(&*self.random).map_err(IdentityError::Random)?;
        let jti = SessionToken::new(&jti);
        let assertion = provider.key.assertion(settings, &discovery, jti.expose(), now);
        let mut form = request::exchange(settings, code, verifier);
        form.extend(request::proof(settings, assertion.map_err(IdentityError::Sign)?));
        let tokens = provider.exchange(discovery.token, form).await.map_err(refused)?;
        let token = id_token::read(&tokens.id_token).map_err(refused)?;
        let keys = provider.keys(&token, now).await.map_err(refused)?;
        let expectation = id_token::Expectation {
            settings,
            nonce: &asked.request,
            access_token: tokens.access_token.as_deref(),
            age_max: SignedDuration::from_secs(AUTHENTICATION_SECONDS_MAX),
            reauthenticated_since: since,
            now,
        };
        let mut proof =
            id_token::verify(&token, &tokens.id_token, &keys, &expectation).map_err(refused)?;
        if settings.userinfo {
            let (Some(url), Some(access)) = (discovery.userinfo, tokens.access_token) else {
                return Err(refuse("oidc.userinfo", "the provider offers no userinfo"));
            };
            let claims = provider.userinfo(url, access).await.map_err(refused)?;
            id_token::add_userinfo(&mut proof, &claims, settings).map_err(refused)?;
        }
        Ok((provider, proof))
    }

    /// Where the person may end the session at their provider, after ours is ended. `None`: it has no place
    /// for that, or was not asked since the start. It is not asked now: our log-out does not wait for theirs.
    pub async fn sign_out_at(&self, idp: &str, back_to: &str) -> Option<SignOutAt> {
        let provider = self.oidc_provider(idp)?;
        let settings = provider.settings();
        let url = provider.known_discovery().await?.end_session?;
        let parameters = [
            ("client_id".to_owned(), settings.client_id.clone()),
            ("post_logout_redirect_uri".to_owned(), back_to.to_owned()),
        ];
        let url = request::with_parameters(&url, &parameters);
        Some(SignOutAt { label: settings.label.clone(), url })
    }

    /// Verifies a logout token that this provider's server posted. Ends nothing.
    ///
    /// # Errors
    /// [`IdentityError::UnknownProvider`]; [`IdentityError::Refused`] with a code `bcl.*`.
    pub async fn read_logout(
        &self,
        idp: &str,
        token: &str,
        now: Timestamp,
    ) -> Result<Logout, IdentityError> {
        let provider = self.oidc_provider(idp).ok_or(IdentityError::UnknownProvider)?;
        let refused = |refusal| IdentityError::Refused { idp: Some(idp.to_owned()), refusal };
        let read = logout::read(token).map_err(refused)?;
        let keys = provider.keys(&read, now).await.map_err(refused)?;
        logout::verify(&read, &keys, provider.settings(), now).map_err(refused)
    }
}

/// The code of an answer that comes from the issuer that was asked and tells of no error.
fn code_of<'a>(
    callback: &'a Callback,
    settings: &OidcSettings,
    names_issuer: bool,
) -> Result<&'a str, Refusal> {
    let named = callback.iss.as_deref();
    if named.is_some_and(|iss| iss != settings.issuer) || (names_issuer && named.is_none()) {
        let detail = "the answer is of another issuer than the one we asked";
        return Err(Refusal::new("oidc.iss", detail));
    }
    if let Some(error) = &callback.error {
        return Err(of_error(error));
    }
    let code = callback.code.as_deref().filter(|code| (1..=CODE_BYTES_MAX).contains(&code.len()));
    code.ok_or_else(|| Refusal::new("oidc.code", "the answer holds no code"))
}

/// What an error of the provider means to us (OpenID Connect Core, 3.1.2.6). Its text is not kept.
fn of_error(error: &str) -> Refusal {
    let (code, detail) = match error {
        "access_denied" => ("oidc.status.denied", "the provider or the person refused the sign-in"),
        "login_required"
        | "interaction_required"
        | "account_selection_required"
        | "consent_required" => {
            ("oidc.status.interaction", "the provider would have to ask the person")
        }
        "unmet_authentication_requirements" => (
            "oidc.status.mfa",
            "the provider can not authenticate the person as strongly as we ask",
        ),
        "temporarily_unavailable" | "server_error" => {
            ("oidc.status.unavailable", "the provider is not available")
        }
        _ => ("oidc.status.error", "the provider answered with an error"),
    };
    Refusal::new(code, detail)
}
