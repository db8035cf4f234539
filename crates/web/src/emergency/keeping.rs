//! Emergency accounts at the command line: made, listed, released, removed, by two people or by one other.
//!
//! Each step is in the ledger before it is done.

use std::path::{Path, PathBuf};

use identity::IdentityError;
use identity::emergency::{self, FUNCTION, Halves, Overview, PROVIDER, id_of, is_name, key_of};
use jiff::Timestamp;
use keys::{KeysError, Random};
use ledger::{AppendError, Event, Ledger, Record};
use state::State;
use state::accounts::{self, Account, AccountKind, Created, NewAccount, Profile, Updated};
use zeroize::Zeroizing;

use crate::accounts::{changed, created};
use crate::agency::Outside;
use crate::config::{Config, ConfigError};
use crate::stopped::{ORDER_BYTES_MAX, Rooms, StoppedError, ordered};

/// Why nothing was done to an emergency account.
#[derive(Debug, thiserror::Error)]
pub enum KeepingError {
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    #[error("the configuration has no `[emergency]`, so nobody could use the account")]
    Off,
    #[error("an emergency account is called by 1 to 40 of a-z, 0-9 and -")]
    Name,
    #[error("give two different people, each in 1 to {ORDER_BYTES_MAX} bytes")]
    People,
    #[error("give a reason, in 1 to {ORDER_BYTES_MAX} bytes")]
    Reason,
    #[error("there is no such emergency account")]
    NoAccount,
    #[error("the account is not locked")]
    NotLocked,
    #[error("an account of this name was removed; the name is free again from {until}")]
    Reserved { until: Timestamp },
    #[error("the account was changed at the same moment; try again")]
    Changed,
    #[error(transparent)]
    Stopped(#[from] StoppedError),
    #[error("the ledger did not record this, so nothing was done")]
    Append(#[from] AppendError),
    #[error("the state database failed")]
    State(#[from] state::StateError),
    #[error("the account could not be changed")]
    Identity(#[from] IdentityError),
    #[error("could not write `{path}`; make the secret again")]
    Write {
        path: PathBuf,
        #[source]
        source: KeysError,
    },
}

/// The ledger and the state in which accounts are kept, and the time.
#[derive(Clone, Copy)]
pub struct Where<'a> {
    pub ledger: &'a Ledger,
    pub state: &'a State,
    pub now: Timestamp,
}

impl Where<'_> {
    async fn record(&self, name: &str, what: &str, reason: String) -> Result<(), KeepingError> {
        let (account, what) = (key_of(name), what.to_owned());
        let event = Event::EmergencyAccess { account, what, reason };
        self.ledger.append(Record::platform(event)).await?;
        Ok(())
    }

    async fn account(&self, name: &str) -> Result<Option<Account>, KeepingError> {
        let found = accounts::find(self.state, id_of(name)).await?;
        Ok(found.filter(|account| account.removed_at.is_none()))
    }
}

/// Makes an emergency account, or gives one a new secret: two halves, which are given once.
///
/// # Errors
/// [`KeepingError`]; then whatever secret there was still counts.
pub async fn make(
    place: Where<'_>,
    name: &str,
    people: [&str; 2],
    forget_keys: bool,
    random: &dyn Random,
) -> Result<Halves, KeepingError> {
    if !is_name(name) {
        return Err(KeepingError::Name);
    }
    let [one, other] = two(people)?;
    let reason = format!("by {one} and {other}");
    if place.account(name).await?.is_none() {
        let new = NewAccount {
            kind: AccountKind::Emergency,
            active: true,
            ends_at: None,
            profile: Profile {
                idp: PROVIDER.to_owned(),
                name_id: name.to_owned(),
                name: format!("Emergency account {name}"),
                functions: vec![FUNCTION.to_owned()],
                ..Profile::default()
            },
        };
        let record = Record::platform(created(&new, "at the command line"));
        place.ledger.append(record).await?;
        if let Created::Reserved { until } = accounts::create(place.state, &new, place.now).await? {
            return Err(KeepingError::Reserved { until });
        }
    }
    let what =
        if forget_keys { "given a new secret, its keys forgotten" } else { "given a new secret" };
    place.record(name, what, reason).await?;
    let made_by = [one.to_owned(), other.to_owned()];
    Ok(emergency::renew(place.state, name, made_by, forget_keys, random, place.now).await?)
}

/// Releases a locked account (AC-7).
///
/// # Errors
/// [`KeepingError`]; then it is still locked.
pub async fn release(
    place: Where<'_>,
    name: &str,
    people: [&str; 2],
    reason: &str,
) -> Result<(), KeepingError> {
    let [one, other] = two(people)?;
    let reason = ordered(reason).ok_or(KeepingError::Reason)?;
    let all = emergency::overview(place.state).await?;
    let known = all.iter().find(|known| known.name == name).ok_or(KeepingError::NoAccount)?;
    if known.locked_at.is_none() {
        return Err(KeepingError::NotLocked);
    }
    place.record(name, "released", format!("{reason} ({one} and {other})")).await?;
    match emergency::release(place.state, name, place.now).await? {
        true => Ok(()),
        false => Err(KeepingError::NotLocked),
    }
}

/// Removes an account: its secret, its keys and its sessions are void, and its name is nobody's for a year.
///
/// # Errors
/// [`KeepingError`]; then it may still be opened.
pub async fn remove(
    place: Where<'_>,
    name: &str,
    people: [&str; 2],
    reason: &str,
) -> Result<(), KeepingError> {
    let [one, other] = two(people)?;
    let reason = ordered(reason).ok_or(KeepingError::Reason)?;
    let account = place.account(name).await?.ok_or(KeepingError::NoAccount)?;
    let reason = format!("{reason} ({one} and {other})");
    let mut edited = account.clone();
    edited.active = false;
    edited.removed_at = Some(place.now);
    place.ledger.append(Record::platform(changed(&account, &edited, &reason))).await?;
    emergency::forget(place.state, name).await?;
    match accounts::update(place.state, &edited, "removed", place.now).await? {
        Updated::Done { .. } => Ok(()),
        Updated::Stale(_) | Updated::Missing => Err(KeepingError::Changed),
    }
}

/// Two people who are not one, as far as their names say.
fn two(people: [&str; 2]) -> Result<[&str; 2], KeepingError> {
    let [one, other] = people.map(|name| ordered(name).ok_or(KeepingError::People));
    let (one, other) = (one?, other?);
    match one.to_lowercase() == other.to_lowercase() {
        true => Err(KeepingError::People),
        false => Ok([one, other]),
    }
}

/// Does something with the ledger and the state of a configuration whose server is stopped.
async fn stopped<T, F>(config: &Path, work: F) -> Result<T, KeepingError>
where
    F: AsyncFnOnce(Where<'_>, &Outside) -> Result<T, KeepingError>,
{
    let config = Config::read(config)?;
    if config.emergency.is_none() {
        return Err(KeepingError::Off);
    }
    let rooms = Rooms::open(&config).await?;
    let now = rooms.outside.clock.now();
    let place = Where { ledger: &rooms.ledger, state: &rooms.state, now };
    let done = work(place, &rooms.outside).await;
    rooms.close::<KeepingError>().await?;
    done
}

/// `bailiwick user emergency make`: the two halves, or the two files that they were written to.
///
/// # Errors
/// As [`make`]; [`KeepingError::Write`].
pub async fn make_stopped(
    config: &Path,
    name: &str,
    people: [&str; 2],
    forget_keys: bool,
) -> Result<[Zeroizing<String>; 2], KeepingError> {
    let made = stopped(config, async |place, outside| {
        make(place, name, people, forget_keys, &*outside.random).await
    });
    Ok(made.await?.texts())
}

/// Writes what one person is to seal into a file of mode 0600 that is not there yet.
///
/// # Errors
/// [`KeepingError::Write`].
pub fn write_half(path: &Path, text: &str) -> Result<(), KeepingError> {
    let written =
        keys::file::create(&keys::file::SystemDisk, path, text.as_bytes(), keys::file::MODE_SECRET);
    written.map_err(|source| KeepingError::Write { path: path.to_owned(), source })
}

/// `bailiwick user emergency list`.
///
/// # Errors
/// [`KeepingError`].
pub async fn list_stopped(config: &Path) -> Result<Vec<Overview>, KeepingError> {
    stopped(config, async |place, _| {
        let found = emergency::overview(place.state).await?;
        let names: Vec<String> = found.iter().map(|one| one.name.clone()).collect();
        Rooms::record_list(place.ledger, "emergency accounts", &names).await?;
        Ok(found)
    })
    .await
}

/// `bailiwick user emergency release`.
///
/// # Errors
/// As [`release`].
pub async fn release_stopped(
    config: &Path,
    name: &str,
    people: [&str; 2],
    reason: &str,
) -> Result<(), KeepingError> {
    stopped(config, async |place, _| release(place, name, people, reason).await).await
}

/// `bailiwick user emergency remove`.
///
/// # Errors
/// As [`remove`].
pub async fn remove_stopped(
    config: &Path,
    name: &str,
    people: [&str; 2],
    reason: &str,
) -> Result<(), KeepingError> {
    stopped(config, async |place, _| remove(place, name, people, reason).await).await
}
