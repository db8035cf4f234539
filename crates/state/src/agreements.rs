//! Versions of agreements, and of what is written down of partners and rules: each text that was ever put before a
//! reviewer, and what became of it.
//!
//! Invariants: versions of an agreement are numbered from 1 without gaps and are never changed but by their one
//! review; a version is reviewed while it waits and while no newer one is there. Its shape `T` belongs to the caller.

use jiff::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::QueryOrder;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::migrate::Step;
use crate::{State, StateError, millis, reading, time, writing};

const TABLE: &str = "agreement_versions";

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "agreement_versions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub agreement: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub version: i64,
        pub status: String,
        pub digest: String,
        pub seen_at: i64,
        pub sealed: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) fn tables() -> Vec<Step> {
    let mut table = Table::create();
    table.table(row::Entity);
    table.col(ColumnDef::new(row::Column::Agreement).text().not_null());
    table.col(ColumnDef::new(row::Column::Version).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Status).text().not_null());
    table.col(ColumnDef::new(row::Column::Digest).text().not_null());
    table.col(ColumnDef::new(row::Column::SeenAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Sealed).binary().not_null());
    let mut key = Index::create();
    table.primary_key(key.col(row::Column::Agreement).col(row::Column::Version));
    vec![Step::table(table)]
}

/// How far a version has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has reviewed it.
    Waiting,
    Accepted,
    Refused,
}

impl Standing {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }

    fn parse(text: &str) -> Result<Self, StateError> {
        let all = [Self::Waiting, Self::Accepted, Self::Refused];
        let found = all.into_iter().find(|one| one.as_str() == text);
        found.ok_or(StateError::Damaged { table: TABLE, column: "status" })
    }
}

/// One version of one agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version<T> {
    /// The agreement's id; of other texts what they are about, with a space in it, which no id of an agreement has.
    pub agreement: String,
    /// From 1, without gaps.
    pub version: u64,
    pub standing: Standing,
    /// SHA-256 of what it says, hex.
    pub digest: String,
    pub seen_at: Timestamp,
    pub details: T,
}

/// Stores the next version. `false`: somebody else stored it meanwhile.
///
/// # Errors
/// [`StateError::Write`].
pub async fn add<T: Serialize>(state: &State, new: &Version<T>) -> Result<bool, StateError> {
    let doing = "store a version of an agreement";
    let version = number(new.version)?;
    let sealed = state.seal(TABLE, &name(&new.agreement, new.version), &new.details)?;
    let transaction = state.write(doing).await?;
    if newest(&transaction, &new.agreement).await? + 1 != version {
        return Ok(false);
    }
    let model = row::ActiveModel {
        agreement: Set(new.agreement.clone()),
        version: Set(version),
        status: Set(new.standing.as_str().to_owned()),
        digest: Set(new.digest.clone()),
        seen_at: Set(millis(new.seen_at)),
        sealed: Set(sealed),
    };
    let done = row::Entity::insert(model).exec_without_returning(&transaction).await;
    done.map_err(writing(doing))?;
    transaction.commit().await.map_err(writing(doing))?;
    Ok(true)
}

/// Stores the review of a version. `false`: it does not wait, or there is a newer one.
///
/// # Errors
/// [`StateError::Write`]; then it waits as before.
pub async fn settle<T: Serialize>(state: &State, done: &Version<T>) -> Result<bool, StateError> {
    let doing = "store the review of an agreement";
    let version = number(done.version)?;
    let sealed = state.seal(TABLE, &name(&done.agreement, done.version), &done.details)?;
    let transaction = state.write(doing).await?;
    if newest(&transaction, &done.agreement).await? != version {
        return Ok(false);
    }
    let changed = row::Entity::update_many()
        .col_expr(row::Column::Status, Expr::value(done.standing.as_str()))
        .col_expr(row::Column::Sealed, Expr::value(sealed))
        .filter(row::Column::Agreement.eq(done.agreement.clone()))
        .filter(row::Column::Version.eq(version))
        .filter(row::Column::Status.eq(Standing::Waiting.as_str()))
        .exec(&transaction)
        .await
        .map_err(writing(doing))?;
    transaction.commit().await.map_err(writing(doing))?;
    Ok(changed.rows_affected == 1)
}

/// All versions of an agreement, the newest first.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when a row was tampered with.
pub async fn versions<T: DeserializeOwned>(
    state: &State,
    agreement: &str,
) -> Result<Vec<Version<T>>, StateError> {
    let found = row::Entity::find()
        .filter(row::Column::Agreement.eq(agreement))
        .order_by_desc(row::Column::Version)
        .all(state.database())
        .await
        .map_err(reading("read the versions of an agreement"))?;
    found.into_iter().map(|model| stored(state, model)).collect()
}

/// The newest version of an agreement that was accepted: the one that counts.
///
/// # Errors
/// As [`versions`].
pub async fn accepted<T: DeserializeOwned>(
    state: &State,
    agreement: &str,
) -> Result<Option<Version<T>>, StateError> {
    let found = row::Entity::find()
        .filter(row::Column::Agreement.eq(agreement))
        .filter(row::Column::Status.eq(Standing::Accepted.as_str()))
        .order_by_desc(row::Column::Version)
        .one(state.database())
        .await
        .map_err(reading("read the version of an agreement"))?;
    found.map(|model| stored(state, model)).transpose()
}

async fn newest(database: &impl ConnectionTrait, agreement: &str) -> Result<i64, StateError> {
    let found = row::Entity::find()
        .filter(row::Column::Agreement.eq(agreement))
        .order_by_desc(row::Column::Version)
        .one(database)
        .await
        .map_err(reading("number a version of an agreement"))?;
    Ok(found.map_or(0, |model| model.version))
}

fn number(version: u64) -> Result<i64, StateError> {
    i64::try_from(version).map_err(|_| StateError::Damaged { table: TABLE, column: "version" })
}

/// What a sealed column is bound to.
fn name(agreement: &str, version: u64) -> String {
    format!("{agreement}/{version}")
}

fn stored<T: DeserializeOwned>(state: &State, model: row::Model) -> Result<Version<T>, StateError> {
    let damaged = |_| StateError::Damaged { table: TABLE, column: "version" };
    let version = u64::try_from(model.version).map_err(damaged)?;
    Ok(Version {
        details: state.unseal(TABLE, &name(&model.agreement, version), &model.sealed)?,
        standing: Standing::parse(&model.status)?,
        seen_at: time(TABLE, model.seen_at)?,
        digest: model.digest,
        agreement: model.agreement,
        version,
    })
}
