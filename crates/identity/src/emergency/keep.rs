//! Emergency accounts in the hands of those who keep them: made anew, released, looked into, forgotten.
//!
//! Nothing here asks who does it: the command line and the pages do, and record it first.

use jiff::Timestamp;
use keys::Random;
use keys::stretch::Stretched;
use state::State;
use state::emergency::{self as store, Kept, Secret, SecurityKey, Use};

use super::{Halves, id_of, nobody};
use crate::IdentityError;

/// An emergency account as its keepers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    pub name: String,
    pub made_at: Timestamp,
    pub made_by: [String; 2],
    pub keys: usize,
    pub locked_at: Option<Timestamp>,
    pub spent_at: Option<Timestamp>,
    /// Uses into which nobody has looked yet.
    pub uses: Vec<Use>,
}

/// Every emergency account, by name.
///
/// # Errors
/// [`IdentityError::State`].
pub async fn overview(state: &State) -> Result<Vec<Overview>, IdentityError> {
    let all = store::list(state).await?.into_iter().filter(|(id, _)| *id != nobody());
    let mut all: Vec<Overview> = all
        .map(|(_, kept)| Overview {
            name: kept.name,
            made_at: kept.made_at,
            made_by: kept.made_by,
            keys: kept.keys.len(),
            locked_at: kept.locked_at,
            spent_at: kept.spent.map(|spent| spent.at),
            uses: kept.uses,
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Gives an account a new secret. Its keys stay, unless they are to be forgotten; so do uses that nobody has looked
/// into. It is unlocked, and whatever secret it had is void.
///
/// # Errors
/// [`IdentityError::State`]; [`IdentityError::Random`] when the module gives no secret.
pub async fn renew(
    state: &State,
    name: &str,
    made_by: [String; 2],
    forget_keys: bool,
    random: &dyn Random,
    now: Timestamp,
) -> Result<Halves, IdentityError> {
    let halves = Halves::new(random).map_err(IdentityError::Random)?;
    let stretched = Stretched::of(&halves.secret(), random).map_err(IdentityError::Random)?;
    let Stretched { salt, iterations, hash } = stretched;
    let secret = Secret { salt, iterations, hash: hash.to_vec() };
    let id = id_of(name);
    let before = store::find(state, id).await?;
    let keys = before.as_ref().map(|kept| kept.keys.clone()).unwrap_or_default();
    let keys = if forget_keys { Vec::new() } else { keys };
    let mut kept = fresh(name, secret, made_by, keys, now);
    kept.uses = before.map(|kept| kept.uses).unwrap_or_default();
    store::put(state, id, &kept, now).await?;
    Ok(halves)
}

/// Releases a locked account. `false`: there is no such account, or it is not locked.
///
/// # Errors
/// [`IdentityError::State`]; then it is still locked.
pub async fn release(state: &State, name: &str, now: Timestamp) -> Result<bool, IdentityError> {
    let changed = store::change(state, id_of(name), now, |kept| {
        let locked = kept.locked_at.take().is_some();
        kept.tries.clear();
        locked
    });
    Ok(changed.await?.unwrap_or(false))
}

/// Notes that somebody looked into the uses of an account until `until`. Gives how many those were.
///
/// # Errors
/// [`IdentityError::State`]; then none is noted.
pub async fn review(
    state: &State,
    name: &str,
    until: Timestamp,
    now: Timestamp,
) -> Result<usize, IdentityError> {
    let changed = store::change(state, id_of(name), now, |kept| {
        let before = kept.uses.len();
        kept.uses.retain(|one| one.at > until);
        before.saturating_sub(kept.uses.len())
    });
    Ok(changed.await?.unwrap_or(0))
}

/// Forgets the secret and keys of an account, which lets nobody in from then on.
///
/// # Errors
/// [`IdentityError::State`]; then nothing was changed.
pub async fn forget(state: &State, name: &str) -> Result<bool, IdentityError> {
    Ok(store::forget(state, id_of(name)).await?)
}

/// What is kept of an account whose secret has just been made.
pub(super) fn fresh(
    name: &str,
    secret: Secret,
    made_by: [String; 2],
    keys: Vec<SecurityKey>,
    now: Timestamp,
) -> Kept {
    Kept {
        name: name.to_owned(),
        secret,
        made_at: now,
        made_by,
        keys,
        tries: Vec::new(),
        locked_at: None,
        spent: None,
        waiting: None,
        uses: Vec::new(),
    }
}
