//! Ending sessions: of an account, of a provider's session, or one; all of it or nothing.
//!
//! Invariant: whoever is put out, and not merely out of one session, is put out of what was under way too: a sign-in
//! that began before begins no session. Marks, not clocks, say what was before: each ending moves on to the next.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::IntoCondition;
use sea_orm::{Condition, ConnectionTrait, DatabaseTransaction, ExprTrait, QuerySelect};

use super::{AccountId, Column, Entity};
use crate::{State, StateError, reading, sessions, writing};

/// Rows that one statement changes.
const AT_ONCE_MAX: usize = 500;

/// Whose sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of<'a> {
    /// Every session of an account. Its epoch moves on, so that none can come back.
    Account(AccountId),
    /// The sessions that a provider's own session stands behind: SAML's SessionIndex, OpenID Connect's
    /// `sid`. `account` narrows it to one person, as a SAML LogoutRequest does.
    Provider { idp: &'a str, session: &'a str, account: Option<AccountId> },
    /// One session, by the hash of its token.
    Session([u8; 32]),
    /// Every session that was begun through a provider, such as one whose keys were stolen.
    Everybody { idp: &'a str },
}

/// What ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// The accounts all of whose sessions are void now.
    pub accounts: Vec<AccountId>,
    /// The sessions that were live, by the hashes of their tokens.
    pub sessions: Vec<[u8; 32]>,
}

/// Ends sessions at once. The caller records it before, and cuts off what still runs after.
///
/// # Errors
/// [`StateError::Write`]; then none was ended.
pub async fn end_sessions(
    state: &State,
    of: Of<'_>,
    reason: &str,
    now: Timestamp,
) -> Result<Ended, StateError> {
    let doing = "end sessions";
    let transaction = state.write(doing).await?;
    let ended = match of {
        Of::Account(id) => {
            void(&transaction, Column::Id.eq(id.to_string())).await?;
            put_out(&transaction, Column::Id.eq(id.to_string())).await?;
            let sessions = all_of(&transaction, id, reason, now).await?;
            Ended { accounts: vec![id], sessions }
        }
        Of::Provider { idp, session, account } => {
            let person = account.map(|id| id.to_string());
            let provider = sessions::provider_session(idp, session);
            let live = sessions::live_of(&transaction, person.clone(), Some(provider)).await?;
            // A log-out may come before the answer to a sign-in that stands on the same session there.
            let people: Vec<String> =
                live.iter().map(|(_, person)| person.clone()).chain(person).collect();
            for some in people.chunks(AT_ONCE_MAX) {
                put_out(&transaction, Column::Id.is_in(some)).await?;
            }
            let sessions = end_all(&transaction, live, reason, now).await?;
            Ended { accounts: Vec::new(), sessions }
        }
        Of::Session(id) => {
            let was_live = sessions::end_in(&transaction, &id, reason, now).await?;
            Ended { accounts: Vec::new(), sessions: was_live.then_some(id).into_iter().collect() }
        }
        Of::Everybody { idp } => everybody(state, &transaction, idp, reason, now).await?,
    };
    transaction.commit().await.map_err(writing(doing))?;
    Ok(ended)
}

/// How often people were put out until now. A sign-in keeps it from its beginning.
pub(crate) async fn mark(database: &impl ConnectionTrait) -> Result<i64, StateError> {
    let newest = Entity::find().select_only().column_as(Column::PutOut.max(), "newest");
    let newest: Option<Option<i64>> =
        newest.into_tuple().one(database).await.map_err(reading("read who was put out"))?;
    Ok(newest.flatten().unwrap_or_default())
}

/// Whether the person of an account was put out after a mark.
pub(crate) async fn put_out_since(
    transaction: &DatabaseTransaction,
    id: AccountId,
    mark: i64,
) -> Result<bool, StateError> {
    let found = Entity::find_by_id(id.to_string()).one(transaction).await;
    let found = found.map_err(reading("read who was put out"))?;
    Ok(found.is_none_or(|model| model.put_out > mark))
}

/// Puts people out of what is under way.
pub(super) async fn put_out(
    transaction: &DatabaseTransaction,
    whom: impl IntoCondition,
) -> Result<(), StateError> {
    let next = mark(transaction).await?.saturating_add(1);
    Entity::update_many()
        .col_expr(Column::PutOut, Expr::value(next))
        .filter(whom)
        .exec(transaction)
        .await
        .map_err(writing("end sessions"))?;
    Ok(())
}

/// Moves on the epochs of accounts, so that no session of theirs counts.
async fn void(
    transaction: &DatabaseTransaction,
    whom: impl IntoCondition,
) -> Result<(), StateError> {
    Entity::update_many()
        .col_expr(Column::Epoch, Expr::col(Column::Epoch).add(1))
        .filter(whom)
        .exec(transaction)
        .await
        .map_err(writing("end sessions"))?;
    Ok(())
}

/// Those of these sessions that are no longer live, for a process that did not end them itself.
///
/// # Errors
/// [`StateError::Read`].
pub async fn ended_among(
    state: &State,
    ids: &[[u8; 32]],
    now: Timestamp,
) -> Result<Vec<[u8; 32]>, StateError> {
    let live = sessions::live_among(state, ids, now).await?;
    Ok(ids.iter().filter(|id| !live.contains(id)).copied().collect())
}

/// Ends every live session of an account. Gives which.
pub(super) async fn all_of(
    transaction: &DatabaseTransaction,
    id: AccountId,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<[u8; 32]>, StateError> {
    let live = sessions::live_of(transaction, Some(id.to_string()), None).await?;
    end_all(transaction, live, reason, now).await
}

/// Ends every session of a provider, and moves on the epochs of the accounts behind them.
async fn everybody(
    state: &State,
    transaction: &DatabaseTransaction,
    idp: &str,
    reason: &str,
    now: Timestamp,
) -> Result<Ended, StateError> {
    let live = sessions::live_through(state, transaction, idp).await?;
    let mut people: Vec<String> = live.iter().map(|(_, person)| person.clone()).collect();
    people.sort_unstable();
    people.dedup();
    for some in people.chunks(AT_ONCE_MAX) {
        void(transaction, Column::Id.is_in(some)).await?;
    }
    // Which accounts are that provider's is sealed. Whoever signs in through another begins again.
    put_out(transaction, Condition::all()).await?;
    let sessions = end_all(transaction, live, reason, now).await?;
    let accounts = people.iter().filter_map(|person| AccountId::parse(person)).collect();
    Ok(Ended { accounts, sessions })
}

/// Ends sessions that this very transaction found live. Gives which.
async fn end_all(
    transaction: &DatabaseTransaction,
    live: Vec<([u8; 32], String)>,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<[u8; 32]>, StateError> {
    let ids: Vec<[u8; 32]> = live.into_iter().map(|(id, _)| id).collect();
    for some in ids.chunks(AT_ONCE_MAX) {
        sessions::end_many(transaction, some, reason, now).await?;
    }
    Ok(ids)
}
