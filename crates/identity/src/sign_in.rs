//! Sign-in and step-up: our request goes out, the provider's answer comes back, a session begins.
//!
//! Invariants: an answer counts only in the browser that began the sign-in, once, within ten minutes,
//! whatever becomes of it; its messages are used up in the transaction that begins the session; a step-up
//! is the same person proving it again after our request, and gives a new token.

use jiff::{SignedDuration, Timestamp};
use state::sessions;
use state::sign_ins::{self, Asked, NewSignIn, Taken, Trial};

use crate::certificates::Shown;
use crate::establish::Proof;
use crate::saml::{self, Expectation, request::AuthnRequest};
use crate::session::{SessionToken, Signed, later, token_hash};
use crate::{Identity, IdentityError, IdpSettings, Refusal, SIGN_IN_MINUTES_MAX};

/// Longest address of our own to return to.
const RETURN_TO_BYTES_MAX: usize = 1024;

/// The codes for sign-ins that are not under way.
const REQUESTS: [&str; 3] =
    ["saml.request.unknown", "saml.request.expired", "saml.request.replayed"];

/// A sign-in that has begun.
#[derive(Debug, Clone)]
pub struct Started {
    /// The pre-login token, for the cookie [`crate::cookie::PRELOGIN`].
    pub prelogin: String,
    /// Where to send the browser: the provider, with our request in the query.
    pub redirect: String,
    /// The ID of our request, for the log.
    pub request: String,
}

/// The two fields that a provider has the browser post to us.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// `SAMLResponse`, in base64.
    pub saml_response: &'a str,
    /// `RelayState`.
    pub relay_state: &'a str,
}

/// Where a request came from, as far as we know.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    pub address: Option<String>,
    pub agent: Option<String>,
    /// What it showed of itself in the handshake.
    pub shown: Option<Shown>,
}

/// A session that has begun. The caller records it, and only then hands out the token.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub token: SessionToken,
    pub signed: Signed,
    /// The path that the person wanted in the first place.
    pub return_to: String,
    /// The prefix of the session that was stepped up and is now dead, if this was a step-up.
    pub stepped_up_from: Option<String>,
    /// What was odd about the answer without being wrong, for the log.
    pub notes: Vec<&'static str>,
}

/// What a request to a provider is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'a> {
    SignIn,
    /// The session that is to be stepped up.
    StepUp([u8; 32]),
    Trial(&'a Trial),
}

impl Purpose<'_> {
    /// The session that is stepped up, and the trial that is made.
    pub(crate) fn parts(&self) -> (Option<[u8; 32]>, Option<Box<Trial>>) {
        match self {
            Self::SignIn => (None, None),
            Self::StepUp(session) => (Some(*session), None),
            Self::Trial(trial) => (None, Some(Box::new((*trial).clone()))),
        }
    }
}

impl Identity {
    /// Begins a sign-in at a provider. `return_to` is a path of our own; anything else becomes `/`.
    ///
    /// # Errors
    /// [`IdentityError::UnknownProvider`]; [`IdentityError::Refused`] when the provider's metadata has run out;
    /// [`IdentityError::Random`], [`IdentityError::Sign`] or [`IdentityError::State`] when it
    /// could not be remembered, and then the browser must not be sent anywhere.
    pub async fn start_sign_in(
        &self,
        idp: &str,
        return_to: &str,
        now: Timestamp,
    ) -> Result<Started, IdentityError> {
        self.refuse_held(idp).await?;
        if let Some(provider) = self.oidc_provider(idp) {
            if provider.settings().trial {
                return Err(IdentityError::UnknownProvider);
            }
            return self.start_oidc(&provider, return_to, Purpose::SignIn, now).await;
        }
        if let Some(provider) = self.certificate_provider(idp) {
            return self.start_certificate(provider, return_to, None, now).await;
        }
        let idp = self.usable(idp, now)?;
        self.start(&idp, return_to, Purpose::SignIn, now).await
    }

    /// Begins a step-up: the provider is asked to authenticate the person again.
    ///
    /// # Errors
    /// As [`Identity::start_sign_in`].
    pub async fn start_step_up(
        &self,
        signed: &Signed,
        return_to: &str,
        now: Timestamp,
    ) -> Result<Started, IdentityError> {
        self.refuse_held(&signed.session.idp).await?;
        if let Some(provider) = self.oidc_provider(&signed.session.idp) {
            let again = Purpose::StepUp(signed.session.id);
            return self.start_oidc(&provider, return_to, again, now).await;
        }
        if let Some(provider) = self.certificate_provider(&signed.session.idp) {
            let again = Some(signed.session.id);
            return self.start_certificate(provider, return_to, again, now).await;
        }
        let idp = self.usable(&signed.session.idp, now)?;
        self.start(&idp, return_to, Purpose::StepUp(signed.session.id), now).await
    }

    pub(crate) async fn start(
        &self,
        idp: &IdpSettings,
        return_to: &str,
        purpose: Purpose<'_>,
        now: Timestamp,
    ) -> Result<Started, IdentityError> {
        let random = || keys::random_bytes::<32>(&*self.random).map_err(IdentityError::Random);
        let (prelogin, relay, id) = (random()?, random()?, random()?);
        // A trial is made by people of ours, where they are.
        let place = match purpose {
            Purpose::Trial(_) => self.own_place(),
            Purpose::SignIn | Purpose::StepUp(_) => self.place(idp),
        };
        let request = AuthnRequest {
            id: format!("_{}", hex::encode(id)),
            issued_at: now,
            idp,
            entity_id: place.entity_id,
            acs_url: place.acs_url,
            force_authn: matches!(purpose, Purpose::StepUp(_)),
        };
        let (step_up_of, trial) = purpose.parts();
        let relay = SessionToken::new(&relay).expose().to_owned();
        let new = NewSignIn {
            id: keys::digest::sha256(&prelogin),
            issued_at: now,
            expires_at: later(now, SignedDuration::from_mins(SIGN_IN_MINUTES_MAX)),
            asked: Asked {
                idp: idp.id.clone(),
                request: request.id.clone(),
                relay: relay.clone(),
                return_to: local_path(return_to),
                step_up_of,
                verifier: None,
                trial,
                mark: 0,
            },
        };
        let redirect = request.redirect_url(&relay, self.signing()).map_err(IdentityError::Sign)?;
        sign_ins::begin(&self.state, &new).await?;
        Ok(Started {
            prelogin: SessionToken::new(&prelogin).expose().to_owned(),
            redirect,
            request: request.id,
        })
    }

    /// Takes a provider's answer. `prelogin` is the browser's cookie. On success the session is live: the
    /// caller records that and only then gives out the token; if it can't, it ends the session.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] with a reason code; [`IdentityError::State`]; in both cases there is no
    /// new session, and the sign-in can't be answered again.
    pub async fn finish_sign_in(
        &self,
        prelogin: Option<&str>,
        answer: Answer<'_>,
        browser: &Browser,
        now: Timestamp,
    ) -> Result<SignedIn, IdentityError> {
        let (asked, issued_at) = self.take(prelogin, REQUESTS, now).await?;
        let refused = |refusal| IdentityError::Refused { idp: Some(asked.idp.clone()), refusal };
        if !keys::mac::equal(asked.relay.as_bytes(), answer.relay_state.as_bytes()) {
            let detail = "the RelayState is not the one of this sign-in";
            return Err(refused(Refusal::new("saml.request.unknown", detail)));
        }
        let idp = match self.usable(&asked.idp, now) {
            Err(IdentityError::UnknownProvider) => {
                let detail = "the identity provider is no longer configured";
                return Err(refused(Refusal::new("saml.request.unknown", detail)));
            }
            usable => usable?,
        };
        let stepping_up = match &asked.step_up_of {
            Some(id) => Some(self.live(id, now).await?.ok_or_else(|| {
                let detail = "the session to be stepped up is over";
                refused(Refusal::new("saml.stepup.session", detail))
            })?),
            None => None,
        };
        let place = self.place(&idp);
        let expectation = Expectation {
            idp: &idp,
            entity_id: place.entity_id,
            acs_url: place.acs_url,
            request_id: Some(&asked.request),
            decryption: self.decryption(),
            reauthenticated_since: stepping_up.is_some().then_some(issued_at),
            now,
        };
        let assertion = saml::verify_response(answer.saml_response.as_bytes(), &expectation)
            .map_err(refused)?;
        let proof = Proof::from(assertion);
        let signed_in = self
            .establish(&idp.rules(), &proof, (stepping_up, asked.mark), browser, None, now)
            .await?;
        Ok(SignedIn { return_to: asked.return_to, ..signed_in })
    }

    /// The provider that this browser was sent to, if its sign-in can still be answered.
    ///
    /// # Errors
    /// [`IdentityError::State`].
    pub async fn provider_under_way(
        &self,
        prelogin: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<String>, IdentityError> {
        let Some(id) = prelogin.and_then(token_hash) else { return Ok(None) };
        Ok(sign_ins::peek(&self.state, &id, now).await?.map(|(asked, _)| asked.idp))
    }

    /// Takes up the sign-in that the browser began, so that it can't be answered again. The codes are for
    /// one that is unknown, one that took too long, and one that was answered before.
    pub(crate) async fn take(
        &self,
        prelogin: Option<&str>,
        codes: [&'static str; 3],
        now: Timestamp,
    ) -> Result<(Asked, Timestamp), IdentityError> {
        let (asked, issued_at) = self.take_any(prelogin, codes, now).await?;
        if asked.trial.is_some() {
            let detail = "the sign-in is a trial, which lets nobody in";
            let (idp, [unknown, ..]) = (Some(asked.idp), codes);
            return Err(IdentityError::Refused { idp, refusal: Refusal::new(unknown, detail) });
        }
        Ok((asked, issued_at))
    }

    /// As [`Identity::take`], also of a trial, which lets nobody in.
    pub(crate) async fn take_any(
        &self,
        prelogin: Option<&str>,
        [unknown, expired, replayed]: [&'static str; 3],
        now: Timestamp,
    ) -> Result<(Asked, Timestamp), IdentityError> {
        let refused = |code, detail: &str| IdentityError::Refused {
            idp: None,
            refusal: Refusal::new(code, detail),
        };
        let unknown = || refused(unknown, "this browser has no sign-in under way");
        let id = prelogin.and_then(token_hash).ok_or_else(unknown)?;
        match sign_ins::take(&self.state, &id, now).await? {
            Taken::Once { asked, issued_at } => {
                self.refuse_held(&asked.idp).await?;
                Ok((asked, issued_at))
            }
            Taken::Unknown => Err(unknown()),
            Taken::Expired => Err(refused(expired, "the sign-in took longer than ten minutes")),
            Taken::Already => Err(refused(replayed, "the sign-in was answered before")),
        }
    }

    pub(crate) async fn live(
        &self,
        id: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Signed>, IdentityError> {
        let Some(stored) = sessions::find(&self.state, id, now).await? else { return Ok(None) };
        let signed = self.signed(stored)?;
        Ok((now < signed.session.deadline()).then_some(signed))
    }
}

/// A path of our own, or `/`: what comes after a sign-in can't lead elsewhere.
pub(crate) fn local_path(path: &str) -> String {
    let ours = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= RETURN_TO_BYTES_MAX
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if ours { path.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_our_own_is_returned_to() {
        for ours in ["/", "/tools/vehicle-lookup?page=2", "/a//b"] {
            assert_eq!(local_path(ours), ours);
        }
        let long = format!("/{}", "a".repeat(RETURN_TO_BYTES_MAX));
        for theirs in
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a b", "/\n", &long]
        {
            assert_eq!(local_path(theirs), "/", "{theirs}");
        }
    }
}
