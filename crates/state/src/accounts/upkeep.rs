//! Which accounts are to be disabled without anybody's doing: their time is over, or nobody uses them.

use jiff::Timestamp;
use sea_orm::QueryOrder;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Condition;

use super::{Account, AccountKind, Column, Entity, account};
use crate::{State, StateError, millis, reading};

/// Active accounts whose time is over (AC-2(2)), oldest first.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when a row was tampered with.
pub async fn over(state: &State, now: Timestamp) -> Result<Vec<Account>, StateError> {
    active(state, Condition::all().add(Column::EndsAt.lte(millis(now)))).await
}

/// Active accounts that nobody has signed in to, and nobody has enabled, since then (AC-2(3)), oldest first.
/// Those for emergencies are not meant to be used.
///
/// # Errors
/// As [`over`].
pub async fn unused_since(state: &State, since: Timestamp) -> Result<Vec<Account>, StateError> {
    let never = Condition::any()
        .add(Column::LastSignInAt.is_null())
        .add(Column::LastSignInAt.lte(millis(since)));
    let unused = Condition::all()
        .add(Column::Kind.ne(AccountKind::Emergency.as_str()))
        .add(Column::EnabledAt.lte(millis(since)))
        .add(never);
    active(state, unused).await
}

async fn active(state: &State, which: Condition) -> Result<Vec<Account>, StateError> {
    let found = Entity::find()
        .filter(Column::Active.eq(true))
        .filter(Column::RemovedAt.is_null())
        .filter(which)
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .all(state.database())
        .await
        .map_err(reading("find accounts that are to be disabled"))?;
    found.into_iter().map(|model| account(state, &model)).collect()
}
