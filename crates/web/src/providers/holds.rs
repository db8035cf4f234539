//! A provider that can't be trusted any more: everybody who came through it is put out, and nobody comes through
//! it until it is released. It may be one of certificates: whoever showed one of them came through it too.
//!
//! Order that must hold: each step is in the ledger before it is done; the provider is held before its sessions
//! end, so that none begins in between.

use std::path::Path;

use ledger::{AppendError, Event, Ledger, Record};
use state::State;
use state::accounts::{self, Ended, Of};
use state::holds::{self, Held};

use crate::accounts::Recorded;
use crate::agency::Agency;
use crate::config::{Config, ConfigError};
use crate::problem::Problem;
use crate::stopped::{ORDER_BYTES_MAX, Rooms, StoppedError, ordered};

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    #[error("no identity provider of the configuration has this id")]
    NoProvider,
    #[error("give who orders it and why, in 1 to {ORDER_BYTES_MAX} bytes each")]
    Words,
    #[error(transparent)]
    Stopped(#[from] StoppedError),
    #[error("the ledger did not record this, so it was not done")]
    Append(#[from] AppendError),
    #[error("the state database failed")]
    State(#[from] state::StateError),
}

impl From<HoldError> for Problem {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Append(error) => error.into(),
            HoldError::NoProvider | HoldError::Words => Self::bad_input(error.to_string()),
            other => Self::internal(&other),
        }
    }
}

/// The ids and labels of the configured providers, in the order of the sign-in page.
pub(crate) fn configured(config: &Config) -> impl Iterator<Item = (&str, &str)> {
    let saml = config.identity_providers.iter().map(|one| (&*one.id, &*one.label));
    let oidc = config.oidc_providers.iter().map(|one| (&*one.id, &*one.label));
    let cards = config.certificate_providers.iter().map(|one| (&*one.id, &*one.label));
    saml.chain(oidc).chain(cards)
}

fn known(config: &Config, idp: &str) -> Result<(), HoldError> {
    configured(config).any(|(id, _)| id == idp).then_some(()).ok_or(HoldError::NoProvider)
}

fn alert(idp: &str, what: &str, reason: &str) -> Event {
    Event::ProviderAlert { idp: idp.to_owned(), what: format!("{what}: {reason}"), days_left: None }
}

/// Puts out everybody who came through a provider. `hold`: and lets nobody in through it.
async fn end(
    (ledger, state): (&Ledger, &State),
    record: Recorded<'_>,
    (idp, hold): (&str, bool),
    reason: &str,
    now: jiff::Timestamp,
) -> Result<Ended, HoldError> {
    if hold {
        ledger.append(record(alert(idp, "it is held, nobody signs in through it", reason))).await?;
        holds::hold(state, idp, now).await?;
    }
    let of = format!("everybody who came through {idp}");
    let event = Event::SessionsEnded { of, reason: reason.to_owned() };
    ledger.append(record(event)).await?;
    Ok(accounts::end_sessions(state, Of::Everybody { idp }, reason, now).await?)
}

/// Lets people in through a provider again. `false`: it was not held.
async fn release(
    (ledger, state): (&Ledger, &State),
    record: Recorded<'_>,
    idp: &str,
    reason: &str,
) -> Result<bool, HoldError> {
    ledger.append(record(alert(idp, "it is released, people sign in through it", reason))).await?;
    Ok(holds::release(state, idp).await?)
}

impl Agency {
    /// Puts out everybody who came through a provider, and cuts off what runs for them. `hold`: and lets nobody in
    /// through it until it is released.
    ///
    /// # Errors
    /// [`HoldError`]; then no session was ended, though the provider may be held.
    pub async fn end_provider(
        &self,
        record: Recorded<'_>,
        (idp, hold): (&str, bool),
        reason: &str,
    ) -> Result<Ended, HoldError> {
        known(&self.config, idp)?;
        let rooms = (&self.ledger, &self.state);
        let ended = end(rooms, record, (idp, hold), reason, self.now()).await?;
        self.live.cut(&ended);
        Ok(ended)
    }

    /// Lets people in through a provider again. `false`: it was not held.
    ///
    /// # Errors
    /// [`HoldError`]; then it is still held.
    pub async fn release_provider(
        &self,
        record: Recorded<'_>,
        idp: &str,
        reason: &str,
    ) -> Result<bool, HoldError> {
        known(&self.config, idp)?;
        release((&self.ledger, &self.state), record, idp, reason).await
    }
}

/// What to do at the command line, where nobody is signed in: `by` goes on record as it is given.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    pub idp: &'a str,
    pub by: &'a str,
    pub reason: &'a str,
}

impl Order<'_> {
    fn words(&self) -> Result<String, HoldError> {
        match (ordered(self.by), ordered(self.reason)) {
            (Some(by), Some(reason)) => Ok(format!("{reason} ({by})")),
            (None, _) | (_, None) => Err(HoldError::Words),
        }
    }
}

/// `bailiwick provider end`: gives how many sessions ended.
///
/// # Errors
/// [`HoldError`].
pub async fn end_stopped(config: &Path, order: Order<'_>, hold: bool) -> Result<usize, HoldError> {
    let reason = order.words()?;
    let config = Config::read(config)?;
    known(&config, order.idp)?;
    let open = Rooms::open(&config).await?;
    let (rooms, now) = ((&open.ledger, &open.state), open.outside.clock.now());
    let ended = end(rooms, &Record::platform, (order.idp, hold), &reason, now).await;
    open.close::<HoldError>().await?;
    Ok(ended?.sessions.len())
}

/// `bailiwick provider release`. `false`: it was not held. A provider that is no longer configured can be released
/// too.
///
/// # Errors
/// [`HoldError`].
pub async fn release_stopped(config: &Path, order: Order<'_>) -> Result<bool, HoldError> {
    let reason = order.words()?;
    let open = Rooms::open(&Config::read(config)?).await?;
    let rooms = (&open.ledger, &open.state);
    let released = release(rooms, &Record::platform, order.idp, &reason).await;
    open.close::<HoldError>().await?;
    released
}

/// `bailiwick provider list`: those that are held.
///
/// # Errors
/// [`HoldError`].
pub async fn list_stopped(config: &Path) -> Result<Vec<Held>, HoldError> {
    let open = Rooms::open(&Config::read(config)?).await?;
    let listed = async {
        let found = holds::list(&open.state).await?;
        let names: Vec<String> = found.iter().map(|one| one.idp.clone()).collect();
        Rooms::record_list(&open.ledger, "providers that are held", &names).await?;
        Ok::<_, HoldError>(found)
    };
    let listed = listed.await;
    open.close::<HoldError>().await?;
    listed
}
