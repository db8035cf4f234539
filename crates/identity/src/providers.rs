//! The identity providers that are known at this moment: replaced one by one when their metadata changes.
//!
//! Invariants: two providers never share an id or an entity ID, so that an account key and an issuer each mean
//! one of them; metadata that has run out signs nobody in, and neither does a provider that is held.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;

use crate::{Identity, IdentityError, IdpSettings, Refusal};

/// The code for sign-ins through a provider that is held, and what it means.
pub(crate) const HELD: &str = "idp.held";
pub(crate) const HELD_DETAIL: &str = "nobody is let in through the provider until it is released";

/// Shared by all clones of an [`Identity`].
#[derive(Debug, Default)]
pub(crate) struct Providers(RwLock<Vec<Arc<IdpSettings>>>);

impl Providers {
    pub(crate) fn new(idps: Vec<IdpSettings>) -> Result<Self, IdentityError> {
        let providers = Self::default();
        for idp in idps {
            if providers.all().iter().any(|known| known.id == idp.id) {
                let problem = "two identity providers have this id";
                return Err(IdentityError::Provider { idp: idp.id, problem });
            }
            providers.put(idp)?;
        }
        Ok(providers)
    }

    fn all(&self) -> Vec<Arc<IdpSettings>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, idp: IdpSettings) -> Result<(), IdentityError> {
        let wrong = |problem| IdentityError::Provider { idp: idp.id.clone(), problem };
        idp.check().map_err(wrong)?;
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let other = |known: &&Arc<IdpSettings>| known.id != idp.id;
        if all.iter().filter(other).any(|known| known.entity_id == idp.entity_id) {
            return Err(wrong("another identity provider has this entityID"));
        }
        match all.iter_mut().find(|known| known.id == idp.id) {
            Some(known) if known.entity_id != idp.entity_id => {
                return Err(wrong("its metadata now names another entityID"));
            }
            Some(known) => *known = Arc::new(idp),
            None => all.push(Arc::new(idp)),
        }
        Ok(())
    }
}

impl Identity {
    /// The identity providers that are known now.
    #[must_use]
    pub fn providers(&self) -> Vec<Arc<IdpSettings>> {
        self.idps.all()
    }

    /// Takes what a provider's new metadata says in place of the old, or a provider that was not known. What
    /// is under way goes on with the new keys.
    ///
    /// # Errors
    /// [`IdentityError::Provider`] when the settings are incomplete, or the provider is suddenly another one.
    pub fn replace_provider(&self, idp: IdpSettings) -> Result<(), IdentityError> {
        self.idps.put(idp)
    }

    pub(crate) fn provider(&self, id: &str) -> Option<Arc<IdpSettings>> {
        self.idps.all().into_iter().find(|idp| idp.id == id)
    }

    /// The provider of this id, if its metadata still holds.
    pub(crate) fn usable(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Arc<IdpSettings>, IdentityError> {
        let idp = self.provider(id).ok_or(IdentityError::UnknownProvider)?;
        if idp.valid_until.is_some_and(|until| until <= now) {
            let detail = "the provider's metadata is no longer valid";
            let refusal = Refusal::new("idp.metadata.expired", detail);
            return Err(IdentityError::Refused { idp: Some(idp.id.clone()), refusal });
        }
        Ok(idp)
    }

    /// Refuses whoever comes through a provider that is held. What such a provider says of log-outs still counts.
    pub(crate) async fn refuse_held(&self, id: &str) -> Result<(), IdentityError> {
        if !state::holds::held(&self.state, id).await? {
            return Ok(());
        }
        let refusal = Refusal::new(HELD, HELD_DETAIL);
        Err(IdentityError::Refused { idp: Some(id.to_owned()), refusal })
    }

    /// The provider with this entity ID, if its metadata still holds: for messages that come unasked.
    pub(crate) fn issuing(&self, entity_id: &str, now: Timestamp) -> Option<Arc<IdpSettings>> {
        let found = self.idps.all().into_iter().find(|idp| idp.entity_id == entity_id)?;
        self.usable(&found.id, now).ok()
    }
}
