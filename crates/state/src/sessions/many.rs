//! Sessions by the thousand: those of a whole provider.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, QueryOrder, QuerySelect};

use super::{Details, TABLE, hex, row, unhex};
use crate::{State, StateError, millis, reading, writing};

/// Rows that are held in memory at once.
const READ_AT_ONCE_MAX: u64 = 1_000;

/// The sessions that have not ended and were begun through a provider, or with a certificate of one, each with its
/// person. One that can't be unsealed may be of any provider, and is given too.
pub(crate) async fn live_through(
    state: &State,
    transaction: &DatabaseTransaction,
    idp: &str,
) -> Result<Vec<([u8; 32], String)>, StateError> {
    let (mut live, mut last) = (Vec::new(), String::new());
    loop {
        let some = row::Entity::find()
            .filter(row::Column::EndedAt.is_null())
            .filter(row::Column::Id.gt(last.as_str()))
            .order_by_asc(row::Column::Id)
            .limit(READ_AT_ONCE_MAX)
            .all(transaction)
            .await
            .map_err(reading("read sessions"))?;
        let Some(newest) = some.last() else { return Ok(live) };
        last.clone_from(&newest.id);
        for model in some {
            let sealed = model.sealed.as_deref().unwrap_or_default();
            let details: Result<Details, _> = state.unseal(TABLE, &model.id, sealed);
            if details.is_ok_and(|details| !details.came_through(idp)) {
                continue;
            }
            live.push((unhex(&model.id)?, model.person));
        }
    }
}

/// Ends those of the sessions that have not ended. Gives how many.
pub(crate) async fn end_many(
    database: &impl ConnectionTrait,
    ids: &[[u8; 32]],
    reason: &str,
    now: Timestamp,
) -> Result<u64, StateError> {
    let done = row::Entity::update_many()
        .col_expr(row::Column::EndedAt, Expr::value(millis(now)))
        .col_expr(row::Column::EndReason, Expr::value(reason))
        .col_expr(row::Column::Sealed, Expr::value(Option::<Vec<u8>>::None))
        .filter(row::Column::Id.is_in(ids.iter().map(hex)))
        .filter(row::Column::EndedAt.is_null())
        .exec(database)
        .await
        .map_err(writing("end sessions"))?;
    Ok(done.rows_affected)
}
