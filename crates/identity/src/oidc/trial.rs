//! A sign-in at an OpenID Connect provider that is only tried: everything is verified and told, and nobody is let in.
//!
//! Invariants: those of [`crate::trial`]. What is called is at the addresses that the configuration declares, as for a
//! sign-in.

use std::collections::BTreeSet;

use jiff::Timestamp;
use policy::Function;
use state::sign_ins::Trial;

use super::OidcSettings;
use super::flow::{Callback, REQUESTS};
use crate::establish::Proof;
use crate::saml::statement::Statement;
use crate::sign_in::{Purpose, Started};
use crate::trial::Tried;
use crate::{Identity, IdentityError, Refusal, functions};

/// Claims that are told at most, and values of one.
const CLAIMS_MAX: usize = 60;
const VALUES_MAX: usize = 40;

impl Identity {
    /// Begins a trial of a configured provider.
    ///
    /// # Errors
    /// As [`Identity::start_sign_in`].
    pub async fn start_oidc_trial(
        &self,
        idp: &str,
        trial: &Trial,
        now: Timestamp,
    ) -> Result<Started, IdentityError> {
        self.refuse_held(idp).await?;
        let provider = self.oidc_provider(idp).ok_or(IdentityError::UnknownProvider)?;
        self.start_oidc(&provider, "/", Purpose::Trial(trial), now).await
    }

    /// Takes a provider's answer to a trial.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] when this browser has no such trial under way; [`IdentityError::State`]. What is
    /// wrong with the answer itself is the outcome, and no error.
    pub async fn finish_oidc_trial(
        &self,
        prelogin: Option<&str>,
        callback: &Callback,
        trial: &Trial,
        now: Timestamp,
    ) -> Result<Tried, IdentityError> {
        let (asked, _) = self.take_any(prelogin, REQUESTS, now).await?;
        let state = callback.state.as_deref().unwrap_or_default();
        if asked.trial.as_deref() != Some(trial)
            || !keys::mac::equal(asked.relay.as_bytes(), state.as_bytes())
        {
            let detail = "this browser has no such trial under way";
            let refusal = Refusal::new("oidc.request.unknown", detail);
            return Err(IdentityError::Refused { idp: Some(asked.idp), refusal });
        }
        match self.prove(&asked, callback, None, now).await {
            Ok((_, proof)) => {
                Ok(Tried { refusal: None, notes: proof.notes.clone(), said: Some(said(proof)) })
            }
            Err(IdentityError::Refused { refusal, .. }) => {
                Ok(Tried { refusal: Some(refusal), said: None, notes: Vec::new() })
            }
            Err(other) => Err(other),
        }
    }
}

/// What was proved, for showing.
fn said(proof: Proof) -> Statement {
    let claims = proof.attributes.into_iter().take(CLAIMS_MAX);
    Statement {
        name_id: Some(proof.name_id),
        name_id_format: None,
        context: Some(proof.context),
        authenticated_at: Some(proof.authenticated_at.to_string()),
        attributes: claims
            .map(|(name, values)| (name, values.into_iter().take(VALUES_MAX).collect()))
            .collect(),
    }
}

/// The functions that a provider's settings would give a person whose functions claim has these values.
///
/// # Errors
/// As [`functions::granted`].
pub fn functions_of(
    settings: &OidcSettings,
    values: &[String],
) -> Result<BTreeSet<Function>, Refusal> {
    functions::granted(values, &settings.function_map, settings.functions_allowed.as_ref())
}
