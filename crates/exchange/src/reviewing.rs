//! How a text that is written down comes before a reviewer, and how it is decided on.
//!
//! Invariants: a version is in the ledger before it is stored, and its review before that takes effect; what is decided
//! on is the text that the reviewer read, by its digest.

use ledger::Event;
use policy::{Action, ResourceKind, Why};
use serde::Serialize;
use serde::de::DeserializeOwned;
use state::agreements::{self, Standing, Version};

use crate::model::Voice;
use crate::record::About;
use crate::{Caller, Exchange, ExchangeError};

const REASON_CHARS_MAX: usize = 1_000;

/// A text as its file says it now.
pub(crate) struct Coming<'a, E, D> {
    pub(crate) id: &'a str,
    /// SHA-256 of what it says, hex.
    pub(crate) digest: String,
    /// What is recorded of a version with this number and digest.
    pub(crate) event: E,
    /// What is stored, with the entry of that record.
    pub(crate) details: D,
}

/// A reviewer's decision.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// What is decided on, for errors.
    pub(crate) what: &'static str,
    pub(crate) id: &'a str,
    /// Of what the reviewer has read.
    pub(crate) digest: &'a str,
    pub(crate) accepts: bool,
    pub(crate) reason: &'a str,
}

impl Exchange {
    /// Puts a text before the reviewers, unless it is the newest that came.
    ///
    /// # Errors
    /// [`ExchangeError::Unrecorded`], [`ExchangeError::State`]; then what counted before counts.
    pub(crate) async fn take_in_text<T: Serialize + DeserializeOwned>(
        &self,
        coming: Coming<'_, impl FnOnce(u64, String) -> Event, impl FnOnce(u64) -> T>,
    ) -> Result<(), ExchangeError> {
        let known = agreements::versions::<T>(&self.0.setup.state, coming.id).await?;
        if known.first().is_some_and(|newest| newest.digest == coming.digest) {
            return Ok(());
        }
        let version = known.first().map_or(0, |newest| newest.version) + 1;
        let event = (coming.event)(version, coming.digest.clone());
        let receipt = self.record(None, &Why::default(), event).await?;
        let new = Version {
            agreement: coming.id.to_owned(),
            version,
            standing: Standing::Waiting,
            digest: coming.digest,
            seen_at: receipt.at,
            details: (coming.details)(receipt.entry.0),
        };
        // Another process of ours may have been first: then it is there.
        agreements::add(&self.0.setup.state, &new).await?;
        Ok(())
    }

    /// Accepts or refuses the version that waits. `about` is what the policy is asked about.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`]; [`ExchangeError::NoSuch`]; [`ExchangeError::Changed`] where another text waits by
    /// now; [`ExchangeError::Unrecorded`], and then it waits as before.
    pub(crate) async fn review_text<T: Clone + Serialize + DeserializeOwned>(
        &self,
        caller: &Caller,
        about: &str,
        reading: Reading<'_>,
        (event, noted): (impl FnOnce(&Version<T>, String) -> Event, impl FnOnce(&mut T, Voice)),
    ) -> Result<(), ExchangeError> {
        let reason = reading.reason.trim();
        if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
            return Err(ExchangeError::Input { field: "reason", expected: "1 to 1000 characters" });
        }
        let versions = agreements::versions::<T>(&self.0.setup.state, reading.id).await?;
        let newest = versions.first().ok_or(ExchangeError::NoSuch { what: reading.what })?;
        let about = About {
            kind: ResourceKind::Platform,
            id: about.to_owned(),
            record_class: platform()?,
            caveats: std::collections::BTreeSet::new(),
            requested_by: None,
            agreement: None,
        };
        let why = Why { reason: Some(reason.to_owned()), ..Why::default() };
        let permit =
            self.ask(caller, Action::ReviewAgreements, about, &why, gate::Plan::None).await?;
        let changed = || ExchangeError::Changed { what: reading.what };
        if newest.standing != Standing::Waiting || newest.digest != reading.digest {
            self.0.setup.gate.withhold(permit.ticket(), &changed().to_string()).await?;
            return Err(changed());
        }
        let mut done = newest.clone();
        let receipt = self.record(Some(caller), &why, event(&done, reason.to_owned())).await?;
        done.standing = if reading.accepts { Standing::Accepted } else { Standing::Refused };
        let voice = Voice {
            actor: caller.actor.clone(),
            at: receipt.at,
            entry: receipt.entry.0,
            reason: Some(reason.to_owned()),
        };
        noted(&mut done.details, voice);
        if !agreements::settle(&self.0.setup.state, &done).await? {
            return Err(changed());
        }
        self.close(vec![permit]).await
    }
}

fn platform() -> Result<policy::RecordClass, ExchangeError> {
    let class = "PLATFORM".parse();
    class.map_err(|_| ExchangeError::Input { field: "class", expected: "a record class" })
}
