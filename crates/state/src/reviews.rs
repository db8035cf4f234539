//! The last review of each account: whether its functions are still needed (AC-2 j, AC-6(7)).
//!
//! Invariant: a review is of one account, never of the next one with its key. What was reviewed before the
//! last time is in the ledger, where the caller records first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, OnConflict, Table};
use sea_orm::{ActiveValue, DatabaseTransaction, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::accounts::{ACCOUNTS_MAX, AccountId};
use crate::migrate::Step;
use crate::{State, StateError, millis, reading, time, writing};

const TABLE: &str = "access_reviews";

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "access_reviews")]
    pub struct Model {
        /// The same value as the `id` column of accounts.
        #[sea_orm(primary_key, auto_increment = false)]
        pub account: String,
        pub reviewed_at: i64,
        pub sealed: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) fn tables() -> Vec<Step> {
    let mut table = Table::create();
    table.table(row::Entity);
    table.col(ColumnDef::new(row::Column::Account).text().not_null().primary_key());
    table.col(ColumnDef::new(row::Column::ReviewedAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Sealed).binary().not_null());
    vec![Step::table(table)]
}

/// Who reviewed an account, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    pub at: Timestamp,
    /// The reviewer's account.
    pub by: String,
    /// Whether the functions were left to it.
    pub kept: bool,
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    by: String,
    kept: bool,
    reason: String,
}

/// Notes a review, which takes the place of the one before.
///
/// # Errors
/// [`StateError::Write`]; then the one before is still the last.
pub async fn note(state: &State, account: AccountId, review: &Review) -> Result<(), StateError> {
    let id = account.to_string();
    let Review { at, by, kept, reason } = review;
    let sealed = Sealed { by: by.clone(), kept: *kept, reason: reason.clone() };
    let model = row::ActiveModel {
        reviewed_at: ActiveValue::Set(millis(*at)),
        sealed: ActiveValue::Set(state.seal(TABLE, &id, &sealed)?),
        account: ActiveValue::Set(id),
    };
    let replaces = OnConflict::column(row::Column::Account)
        .update_columns([row::Column::ReviewedAt, row::Column::Sealed])
        .to_owned();
    row::Entity::insert(model)
        .on_conflict(replaces)
        .exec_without_returning(state.database())
        .await
        .map_err(writing("note a review"))?;
    Ok(())
}

/// The last review of every account that had one.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when a row was tampered with.
pub async fn list(state: &State) -> Result<BTreeMap<AccountId, Review>, StateError> {
    // There is at most one row for each account.
    let found = row::Entity::find().limit(ACCOUNTS_MAX + 1).all(state.database()).await;
    let found = found.map_err(reading("list reviews"))?;
    if u64::try_from(found.len()).unwrap_or(u64::MAX) > ACCOUNTS_MAX {
        return Err(StateError::Unfit { problem: "there are more than 100,000 accounts" });
    }
    let damaged = || StateError::Damaged { table: TABLE, column: "account" };
    let read = |model: row::Model| {
        let account = AccountId::parse(&model.account).ok_or_else(damaged)?;
        let Sealed { by, kept, reason } = state.unseal(TABLE, &model.account, &model.sealed)?;
        Ok((account, Review { at: time(TABLE, model.reviewed_at)?, by, kept, reason }))
    };
    found.into_iter().map(read).collect()
}

/// Nothing of a former account is the next one's.
pub(crate) async fn forget_in(
    transaction: &DatabaseTransaction,
    account: AccountId,
) -> Result<(), StateError> {
    let done = row::Entity::delete_by_id(account.to_string()).exec(transaction).await;
    done.map_err(writing("forget the review of a former account"))?;
    Ok(())
}
