//! Identity providers that are held: nobody signs in through them until they are released.
//!
//! Invariant: a hold that has been committed stands before every session that is begun after it, whatever was
//! under way: [`crate::sign_ins::finish`] looks at it in its own transaction.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{ActiveValue, QueryOrder};

use crate::migrate::Step;
use crate::{State, StateError, millis, reading, time, writing};

const TABLE: &str = "provider_holds";

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "provider_holds")]
    pub struct Model {
        /// The provider's id in the configuration.
        #[sea_orm(primary_key, auto_increment = false)]
        pub idp: String,
        pub since: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) fn tables() -> Vec<Step> {
    let mut table = Table::create();
    table.table(row::Entity);
    table.col(ColumnDef::new(row::Column::Idp).text().not_null().primary_key());
    table.col(ColumnDef::new(row::Column::Since).big_integer().not_null());
    vec![Step::table(table)]
}

/// A provider that is held, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub idp: String,
    pub since: Timestamp,
}

/// Holds a provider. `false`: it was held already.
///
/// # Errors
/// [`StateError::Write`]; then people can still sign in through it.
pub async fn hold(state: &State, idp: &str, now: Timestamp) -> Result<bool, StateError> {
    let doing = "hold an identity provider";
    let transaction = state.write(doing).await?;
    if is_held(&transaction, idp).await? {
        return Ok(false);
    }
    let since = ActiveValue::Set(millis(now));
    let model = row::ActiveModel { idp: ActiveValue::Set(idp.to_owned()), since };
    let done = row::Entity::insert(model).exec_without_returning(&transaction).await;
    done.map_err(writing(doing))?;
    transaction.commit().await.map_err(writing(doing))?;
    Ok(true)
}

/// Lets people sign in through a provider again. `false`: it was not held.
///
/// # Errors
/// [`StateError::Write`]; then it is still held.
pub async fn release(state: &State, idp: &str) -> Result<bool, StateError> {
    let done = row::Entity::delete_by_id(idp.to_owned()).exec(state.database()).await;
    Ok(done.map_err(writing("release an identity provider"))?.rows_affected == 1)
}

/// The providers that are held, by their ids.
///
/// # Errors
/// [`StateError::Read`].
pub async fn list(state: &State) -> Result<Vec<Held>, StateError> {
    let found = row::Entity::find().order_by_asc(row::Column::Idp).all(state.database()).await;
    let found = found.map_err(reading("list the identity providers that are held"))?;
    let held = |model: row::Model| Ok(Held { since: time(TABLE, model.since)?, idp: model.idp });
    found.into_iter().map(held).collect()
}

/// Whether a provider is held.
///
/// # Errors
/// [`StateError::Read`]; then the caller lets nobody in through it.
pub async fn held(state: &State, idp: &str) -> Result<bool, StateError> {
    is_held(state.database(), idp).await
}

pub(crate) async fn is_held(
    database: &impl ConnectionTrait,
    idp: &str,
) -> Result<bool, StateError> {
    let found = row::Entity::find_by_id(idp.to_owned()).one(database).await;
    Ok(found.map_err(reading("look whether an identity provider is held"))?.is_some())
}
