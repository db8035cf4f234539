//! Changing an account: what it was, what it is, and what must end with it, in one transaction.

use jiff::Timestamp;
use sea_orm::DatabaseTransaction;
use sea_orm::entity::prelude::*;

use super::{Account, AccountId, Column, Entity, check, end, find_in, model};
use crate::{State, StateError, writing};

/// A fact of an account before and after a change, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub field: &'static str,
    pub before: String,
    pub after: String,
}

/// What became of [`update`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated {
    /// It is so now. `ended` are the sessions that ended with it, by the hashes of their tokens.
    Done { before: Box<Account>, after: Box<Account>, ended: Vec<[u8; 32]> },
    /// Somebody changed the account since the caller read it: this is what it is now.
    Stale(Box<Account>),
    /// There is no such account, or it was removed.
    Missing,
}

/// Makes an account what `edited` says, if it is still of `edited`'s version. Version, epoch and the times of
/// the change are set here. Sessions end, for this reason, when the person loses or changes what they are:
/// disabled, other functions, another kind, or time that is over (AC-2(13), IA-11).
///
/// # Errors
/// [`StateError::Unfit`] when the account would not be whole; [`StateError::Write`]; in both cases nothing
/// was changed.
pub async fn update(
    state: &State,
    edited: &Account,
    reason: &str,
    now: Timestamp,
) -> Result<Updated, StateError> {
    let doing = "change an account";
    let transaction = state.write(doing).await?;
    let updated = update_in(state, &transaction, edited, reason, now).await?;
    transaction.commit().await.map_err(writing(doing))?;
    Ok(updated)
}

/// Removes an account: its sessions end, and its key is nobody's for a year.
///
/// # Errors
/// As [`update`].
pub async fn remove(
    state: &State,
    seen: &Account,
    reason: &str,
    now: Timestamp,
) -> Result<Updated, StateError> {
    let mut edited = seen.clone();
    edited.active = false;
    edited.removed_at = Some(now);
    update(state, &edited, reason, now).await
}

/// Forgets an account that has just been made and could not be recorded. Only the first version goes.
///
/// # Errors
/// [`StateError::Write`]; then it is still there.
pub async fn forget_new(state: &State, id: AccountId) -> Result<(), StateError> {
    let doing = "forget an account";
    let transaction = state.write(doing).await?;
    let gone = Entity::delete_many()
        .filter(Column::Id.eq(id.to_string()))
        .filter(Column::Version.eq(1))
        .filter(Column::LastSignInAt.is_null())
        .exec(&transaction)
        .await
        .map_err(writing(doing))?;
    if gone.rows_affected > 0 {
        transaction.commit().await.map_err(writing(doing))?;
    }
    Ok(())
}

pub(crate) async fn update_in(
    state: &State,
    transaction: &DatabaseTransaction,
    edited: &Account,
    reason: &str,
    now: Timestamp,
) -> Result<Updated, StateError> {
    let Some(before) = find_in(state, transaction, edited.id).await? else {
        return Ok(Updated::Missing);
    };
    if before.removed_at.is_some() {
        return Ok(Updated::Missing);
    }
    if before.version != edited.version {
        return Ok(Updated::Stale(Box::new(before)));
    }
    let mut after = edited.clone();
    after.profile.tidy();
    if AccountId::of(&after.key()) != before.id {
        return Err(StateError::Unfit { problem: "an account keeps its provider and name" });
    }
    check(after.kind, after.ends_at, &after.profile)?;
    after.version = before.version.saturating_add(1);
    after.created_at = before.created_at;
    after.last_sign_in_at = before.last_sign_in_at;
    after.changed_at = now;
    match (before.active, after.active) {
        (false, true) => (after.enabled_at, after.disabled_at) = (now, None),
        (true, false) => (after.enabled_at, after.disabled_at) = (before.enabled_at, Some(now)),
        (true, true) | (false, false) => {
            (after.enabled_at, after.disabled_at) = (before.enabled_at, before.disabled_at);
        }
    }
    if after.active {
        after.profile.disabled_because = None;
    }
    let ends = ends_sessions(&before, &after, now);
    after.epoch = if ends { before.epoch.saturating_add(1) } else { before.epoch };
    Entity::update(model(state, &after)?)
        .exec(transaction)
        .await
        .map_err(writing("change an account"))?;
    if before.active && !after.active {
        end::put_out(transaction, Column::Id.eq(after.id.to_string())).await?;
    }
    let ended = match ends {
        true => end::all_of(transaction, after.id, reason, now).await?,
        false => Vec::new(),
    };
    Ok(Updated::Done { before: Box::new(before), after: Box::new(after), ended })
}

fn ends_sessions(before: &Account, after: &Account, now: Timestamp) -> bool {
    !after.active
        || after.kind != before.kind
        || after.profile.functions != before.profile.functions
        || after.ends_at.is_some_and(|ends| ends <= now)
}

/// What differs, for the record. A removed account differs in `removed` too.
#[must_use]
pub fn changes(before: &Account, after: &Account) -> Vec<Change> {
    let yes = |value: bool| if value { "yes" } else { "no" }.to_owned();
    let when = |at: Option<Timestamp>| at.map_or_else(String::new, |at| at.to_string());
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (was, is) = (&before.profile, &after.profile);
    let all = [
        ("kind", before.kind.as_str().to_owned(), after.kind.as_str().to_owned()),
        ("active", yes(before.active), yes(after.active)),
        ("removed", yes(before.removed_at.is_some()), yes(after.removed_at.is_some())),
        ("end", when(before.ends_at), when(after.ends_at)),
        ("user name", text(&was.user_name), text(&is.user_name)),
        ("external id", text(&was.external_id), text(&is.external_id)),
        ("name", was.name.clone(), is.name.clone()),
        ("e-mail", text(&was.email), text(&is.email)),
        ("department", text(&was.department), text(&is.department)),
        ("manager", text(&was.manager), text(&is.manager)),
        ("functions", was.functions.join(", "), is.functions.join(", ")),
        ("owner", text(&was.owner), text(&is.owner)),
    ];
    let differ = all.into_iter().filter(|(_, before, after)| before != after);
    differ.map(|(field, before, after)| Change { field, before, after }).collect()
}
