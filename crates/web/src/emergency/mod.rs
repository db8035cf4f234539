//! Emergency accounts as this room runs them: what is set up, what is told to those who watch, who asks too often.
//!
//! Invariant: what is told is read from the state after every change, and at the start; it is told on every page of
//! administrators, security officers and auditors until one of the latter two has looked into it.

pub mod keeping;

use std::sync::{Arc, PoisonError, RwLock};

use identity::SessionLimits;
use identity::emergency::{Emergency, Overview, Settings, overview};
use jiff::SignedDuration;
use keys::Random;
use state::State;
use tokio::sync::Semaphore;

use crate::agency::{Agency, StartError};
use crate::config::{Config, host_of};
use crate::pages::parts::moment;
use crate::problem::chain;
use crate::rate::{Rate, Rates};
use crate::session::SignedIn;

/// Tries of one address.
const RATE: Rate = Rate { burst_max: 20, per_second_max: 1 };

/// Tries whose secret is looked at, or waits to be, at one time: each costs a tenth of a second of a processor.
const AT_ONCE_MAX: usize = 8;

/// Who sees what is told of emergency accounts.
const TOLD: [&str; 3] = ["security-officer", "auditor", "administrator"];

/// Emergency accounts, where they are configured.
pub struct EmergencyAccess {
    accounts: Option<Emergency>,
    rates: Rates,
    pub(crate) at_once: Semaphore,
    told: RwLock<Vec<String>>,
}

impl EmergencyAccess {
    /// As the configuration has it.
    pub(crate) async fn open(
        config: &Config,
        state: &State,
        limits: SessionLimits,
        random: &Arc<dyn Random>,
    ) -> Result<Self, StartError> {
        let failed = |error: identity::IdentityError| StartError::Identity(Box::new(error));
        let accounts = match &config.emergency {
            None => None,
            Some(declared) => {
                let settings = Settings {
                    agency: config.agency.ori.clone(),
                    rp_id: host_of(&config.listen.public_url).to_owned(),
                    origin: config.listen.public_url.clone(),
                    session_max: SignedDuration::from_mins(declared.session_minutes.into()),
                    without_key: declared.without_key,
                };
                let made = Emergency::new(state.clone(), settings, limits, random.clone());
                Some(made.map_err(failed)?)
            }
        };
        let told = overview(state).await.map_err(failed)?.iter().flat_map(words).collect();
        Ok(Self {
            accounts,
            rates: Rates::new(RATE),
            at_once: Semaphore::new(AT_ONCE_MAX),
            told: RwLock::new(told),
        })
    }

    /// The accounts, if this way in is configured.
    #[must_use]
    pub fn accounts(&self) -> Option<&Emergency> {
        self.accounts.as_ref()
    }

    /// Whether somebody at this address may try now.
    pub(crate) fn allows(&self, address: &str, now: jiff::Timestamp) -> bool {
        self.rates.allows(address, now)
    }

    fn tell(&self, told: Vec<String>) {
        *self.told.write().unwrap_or_else(PoisonError::into_inner) = told;
    }
}

/// What is to be seen to.
fn words(account: &Overview) -> Vec<String> {
    let name = &account.name;
    let used = account.uses.iter().map(|one| {
        let at = moment(one.at);
        format!("The emergency account {name} was opened at {at}, with the reason: {}.", one.reason)
    });
    let locked = account.locked_at.map(|at| {
        let at = moment(at);
        format!(
            "The emergency account {name} has been locked since {at}: somebody tried it too often."
        )
    });
    used.chain(locked).collect()
}

impl Agency {
    /// Reads anew what is to be told of emergency accounts. What can't be read leaves what was told before.
    pub async fn look_at_emergencies(&self) {
        match overview(&self.state).await {
            Ok(all) => self.emergency.tell(all.iter().flat_map(words).collect()),
            Err(error) => {
                tracing::error!(error = %chain(&error), "emergency accounts could not be looked at");
            }
        }
    }

    /// What this person is told of emergency accounts.
    pub(crate) fn emergencies(&self, signed_in: &SignedIn) -> Vec<String> {
        let mut functions = signed_in.actor.functions.iter();
        if !functions.any(|function| TOLD.contains(&function.as_str())) {
            return Vec::new();
        }
        self.emergency.told.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
