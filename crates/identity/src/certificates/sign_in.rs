//! Signing in, or stepping up, with a certificate: our own page asks, the connection has proved.
//!
//! Invariants: as with any provider, an answer counts only in the browser that began the sign-in, once and within ten
//! minutes; a step-up is a handshake that was made after it was asked for, which a proxy can't show.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use state::sign_ins::{self, Asked, NewSignIn};

use super::judge::{MISSING, is_old};
use super::{Held, Provider, Shown};
use crate::establish::{Codes, Proof, Rules};
use crate::session::{Session, SessionToken, later, token_hash};
use crate::sign_in::{Browser, SignedIn, Started, local_path};
use crate::{Identity, IdentityError, Refusal, SIGN_IN_MINUTES_MAX};

/// Where a sign-in with a certificate goes on: a page of ours.
pub const PAGE: &str = "/certificate";

/// What a session that was begun with a card says of how (SAML 2.0 Authentication Context, 3.4).
const CARD: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI";

const REQUESTS: [&str; 3] =
    ["cert.request.unknown", "cert.request.expired", "cert.request.replayed"];

const CODES: Codes = Codes {
    name: "cert.name",
    replay: "cert.request.replayed",
    step_up_person: "cert.stepup.person",
    step_up_session: "cert.stepup.session",
};

/// A sign-in that this browser has under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// The provider's id.
    pub provider: String,
    pub label: String,
    /// Since when, if a session is to be stepped up: the handshake must be newer.
    pub step_up_since: Option<Timestamp>,
}

impl Identity {
    pub(crate) async fn start_certificate(
        &self,
        provider: &Provider,
        return_to: &str,
        step_up_of: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Started, IdentityError> {
        let random = || keys::random_bytes::<32>(self.random()).map_err(IdentityError::Random);
        let (prelogin, relay) = (random()?, random()?);
        let relay = SessionToken::new(&relay).expose().to_owned();
        let new = NewSignIn {
            id: keys::digest::sha256(&prelogin),
            issued_at: now,
            expires_at: later(now, SignedDuration::from_mins(SIGN_IN_MINUTES_MAX)),
            asked: Asked {
                idp: provider.settings.id.clone(),
                request: relay.clone(),
                relay: relay.clone(),
                return_to: local_path(return_to),
                step_up_of,
                verifier: None,
                trial: None,
                mark: 0,
            },
        };
        sign_ins::begin(&self.state, &new).await?;
        let redirect = format!("{PAGE}?relay={relay}");
        Ok(Started {
            prelogin: SessionToken::new(&prelogin).expose().to_owned(),
            redirect,
            request: relay,
        })
    }

    /// The sign-in with a certificate that this browser has under way, if it has one.
    ///
    /// # Errors
    /// [`IdentityError::State`].
    pub async fn certificate_under_way(
        &self,
        prelogin: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<UnderWay>, IdentityError> {
        let Some(id) = prelogin.and_then(token_hash) else { return Ok(None) };
        let Some((asked, since)) = sign_ins::peek(&self.state, &id, now).await? else {
            return Ok(None);
        };
        Ok(self.certificate_provider(&asked.idp).map(|provider| UnderWay {
            provider: asked.idp,
            label: provider.settings.label.clone(),
            step_up_since: asked.step_up_of.map(|_| since),
        }))
    }

    /// Takes the person's word that they want to sign in with what the browser showed.
    ///
    /// # Errors
    /// As [`Identity::finish_sign_in`], with reason codes `cert.*`.
    pub async fn finish_certificate(
        &self,
        prelogin: Option<&str>,
        relay: &str,
        browser: &Browser,
        now: Timestamp,
    ) -> Result<SignedIn, IdentityError> {
        let (asked, issued_at) = self.take(prelogin, REQUESTS, now).await?;
        let refused = |refusal| IdentityError::Refused { idp: Some(asked.idp.clone()), refusal };
        let refuse = |code, detail: &str| refused(Refusal::new(code, detail));
        let provider = self.certificate_provider(&asked.idp);
        let same = keys::mac::equal(asked.relay.as_bytes(), relay.as_bytes());
        let Some(provider) = provider.filter(|_| same) else {
            return Err(refuse("cert.request.unknown", "the form is not of this sign-in"));
        };
        if !provider.settings.multi_factor {
            let detail = "such a certificate is one factor, and goes only with something else";
            return Err(refuse("cert.mfa", detail));
        }
        let shown = browser.shown.as_ref().ok_or_else(|| refuse("cert.missing", MISSING))?;
        let stepping_up = match &asked.step_up_of {
            None => None,
            Some(id) => {
                let detail = "the session to be stepped up is over";
                let session = self.live(id, now).await?;
                let session = session.ok_or_else(|| refuse(CODES.step_up_session, detail))?;
                fresh(shown, issued_at).map_err(refused)?;
                Some(session)
            }
        };
        let held = provider.judge(shown, self.random(), now).await.map_err(refused)?;
        let proof = proof(&held, now).map_err(refused)?;
        let none = BTreeMap::new();
        let rules = provider.rules(&none);
        let signed_in = self
            .establish(&rules, &proof, (stepping_up, asked.mark), browser, Some(held), now)
            .await?;
        Ok(SignedIn { return_to: asked.return_to, ..signed_in })
    }

    /// Whether the certificate that a session is bound to is the one that is shown now, and still good.
    ///
    /// # Errors
    /// A [`Refusal`] `cert.session.missing`, `cert.session.other`, `cert.expired` or `cert.revoked`: the session is to end.
    pub fn check_certificate(
        &self,
        session: &Session,
        shown: Option<&Shown>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some((provider, bound)) = &session.certificate else { return Ok(()) };
        let Some(shown) = shown else {
            return Err(Refusal::new(
                "cert.session.missing",
                "the session's certificate is no longer shown",
            ));
        };
        if shown.thumbprint() != Some(*bound) {
            return Err(Refusal::new(
                "cert.session.other",
                "another certificate is shown than the session's",
            ));
        }
        match self.certificate_provider(provider) {
            Some(provider) => provider.recheck(shown, now),
            None => Err(Refusal::new(
                "cert.issuer",
                "the certificate's provider is no longer configured",
            )),
        }
    }

    /// The certificate by which a provider's single factor becomes two: of the same person, by that provider's word.
    pub(crate) async fn second_factor(
        &self,
        rules: &Rules<'_>,
        proof: &Proof,
        browser: &Browser,
        now: Timestamp,
    ) -> Result<Held, Refusal> {
        let refuse = |code, detail: &str| Refusal::new(code, detail);
        let wanted = rules
            .second_factor
            .ok_or_else(|| refuse("cert.mfa", "the provider states one factor alone"))?;
        let provider = self.certificate_provider(&wanted.provider);
        let provider = provider
            .ok_or_else(|| refuse("cert.issuer", "the certificate's provider is not configured"))?;
        let shown = browser.shown.as_ref().ok_or_else(|| refuse("cert.missing", MISSING))?;
        let held = provider.judge(shown, self.random(), now).await?;
        let named = match &wanted.attribute {
            None => std::slice::from_ref(&proof.name_id),
            Some(attribute) => proof.attributes.get(attribute).map_or(&[][..], Vec::as_slice),
        };
        match named {
            [name] if *name == held.name => Ok(held),
            _ => Err(refuse(
                "cert.person",
                "the certificate is not of the person who the provider says is signing in",
            )),
        }
    }
}

/// Whether the handshake was made after the step-up was asked for.
fn fresh(shown: &Shown, since: Timestamp) -> Result<(), Refusal> {
    match shown.proved_at {
        None => Err(Refusal::new(
            "cert.stepup.proxy",
            "a proxy can't show that the card was used again",
        )),
        Some(at) if at < since => Err(Refusal::new(
            "cert.stepup.old",
            "the card was used before the step-up was asked for",
        )),
        Some(_) => Ok(()),
    }
}

fn proof(held: &Held, now: Timestamp) -> Result<Proof, Refusal> {
    let authenticated_at = held.proved_at.unwrap_or(now).min(now);
    if is_old(authenticated_at, now) {
        return Err(Refusal::new("cert.authn.old", "the card was used more than twelve hours ago"));
    }
    Ok(Proof {
        codes: CODES,
        messages: Vec::new(),
        remember_until: now,
        name_id: held.name.clone(),
        name_id_format: None,
        session_index: None,
        session_not_on_or_after: Some(held.until),
        authenticated_at,
        context: CARD.to_owned(),
        mfa: true,
        attributes: BTreeMap::new(),
        notes: Vec::new(),
    })
}
