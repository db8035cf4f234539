//! A sign-in at a provider that is not switched on: everything is verified and told, and nobody is let in.
//!
//! Invariants: what comes back for a trial begins no session and changes no account, for nothing here can, and
//! whatever begins sessions takes up no trial ([`Identity::take`]); what is told of the person was under a signature of the provider's.

use std::collections::BTreeSet;

use jiff::Timestamp;
use policy::Function;
use state::sign_ins::{self, Trial};

use crate::saml::statement::{Statement, statement};
use crate::saml::{self, Expectation};
use crate::session::token_hash;
use crate::sign_in::{Answer, Purpose, Started};
use crate::{Identity, IdentityError, IdpSettings, Refusal, functions};

/// The codes for trials that are not under way.
const REQUESTS: [&str; 3] =
    ["saml.request.unknown", "saml.request.expired", "saml.request.replayed"];

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Why the answer would not have been accepted, if it would not.
    pub refusal: Option<Refusal>,
    /// What the signed bytes say, if a signature held.
    pub said: Option<Statement>,
    /// What was odd without being wrong.
    pub notes: Vec<&'static str>,
}

impl Identity {
    /// Begins a trial of a provider that need not be known.
    ///
    /// # Errors
    /// As [`Identity::start_sign_in`].
    pub async fn start_trial(
        &self,
        idp: &IdpSettings,
        trial: &Trial,
        now: Timestamp,
    ) -> Result<Started, IdentityError> {
        self.start(idp, "/", Purpose::Trial(trial), now).await
    }

    /// The trial that this browser has under way, if it has one.
    ///
    /// # Errors
    /// [`IdentityError::State`].
    pub async fn trial_under_way(
        &self,
        prelogin: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Trial>, IdentityError> {
        let Some(id) = prelogin.and_then(token_hash) else { return Ok(None) };
        Ok(sign_ins::peek(&self.state, &id, now)
            .await?
            .and_then(|(asked, _)| asked.trial)
            .map(|trial| *trial))
    }

    /// Takes a provider's answer to a trial; `idp` are the settings that it is of.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] when this browser has no such trial under way; [`IdentityError::State`]. What
    /// is wrong with the answer itself is the outcome, and no error.
    pub async fn finish_trial(
        &self,
        prelogin: Option<&str>,
        answer: Answer<'_>,
        idp: &IdpSettings,
        trial: &Trial,
        now: Timestamp,
    ) -> Result<Tried, IdentityError> {
        let (asked, _) = self.take_any(prelogin, REQUESTS, now).await?;
        let refused = |detail: &str| IdentityError::Refused {
            idp: Some(idp.id.clone()),
            refusal: Refusal::new("saml.request.unknown", detail),
        };
        if asked.trial.as_deref() != Some(trial) {
            return Err(refused("this browser has no trial of this provider under way"));
        }
        if !keys::mac::equal(asked.relay.as_bytes(), answer.relay_state.as_bytes()) {
            return Err(refused("the RelayState is not the one of this trial"));
        }
        let expectation = Expectation {
            idp,
            entity_id: &self.settings.entity_id,
            acs_url: &self.settings.acs_url,
            request_id: Some(&asked.request),
            decryption: self.decryption(),
            reauthenticated_since: None,
            now,
        };
        let response = answer.saml_response.as_bytes();
        let verdict = saml::verify_response(response, &expectation);
        let said = statement(response, &expectation).ok();
        Ok(match verdict {
            Ok(accepted) => Tried { refusal: None, said, notes: accepted.notes },
            Err(refusal) => Tried { refusal: Some(refusal), said, notes: Vec::new() },
        })
    }
}

/// The functions that a provider's settings would give a person whose functions attribute has these values.
///
/// # Errors
/// As [`functions::granted`].
pub fn functions_of(idp: &IdpSettings, values: &[String]) -> Result<BTreeSet<Function>, Refusal> {
    functions::granted(values, &idp.function_map, idp.functions_allowed.as_ref())
}
