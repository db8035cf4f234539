//! Identity providers that are being set up: metadata and settings that let nobody in, and what a trial of them
//! brought.
//!
//! Invariants: what a draft holds is sealed, and forgotten when its time is over; it is changed only upon the
//! version that the caller saw; there are few of them.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{ActiveValue, PaginatorTrait, QueryOrder};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::migrate::Step;
use crate::{State, StateError, millis, reading, time, writing};

const TABLE: &str = "provider_drafts";

/// Drafts at one time; another one has to wait until one is discarded or over.
pub const DRAFTS_MAX: u64 = 20;

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "provider_drafts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub version: i64,
        pub made_at: i64,
        pub expires_at: i64,
        pub sealed: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) fn tables() -> Vec<Step> {
    let mut table = Table::create();
    table.table(row::Entity);
    table.col(ColumnDef::new(row::Column::Id).text().not_null().primary_key());
    table.col(ColumnDef::new(row::Column::Version).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::MadeAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::ExpiresAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Sealed).binary().not_null());
    vec![Step::table(table)]
}

/// What is sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The account of the person who made it.
    pub by: String,
    /// The metadata, byte for byte.
    pub metadata: String,
    /// The fields of the settings form, by name, as they were typed and found good.
    pub settings: Vec<(String, String)>,
    /// What the last trial brought; none since the settings were changed.
    pub trial: Option<Trial>,
}

/// A sign-in that let nobody in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    pub at: Timestamp,
    /// The reason code of what was refused, and its words.
    pub refused: Option<(String, String)>,
    /// What the signed bytes say, if a signature held.
    pub said: Option<Said>,
    /// What was odd without being wrong.
    pub notes: Vec<String>,
}

/// What a provider said of the person who tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    pub name_id: Option<String>,
    pub name_id_format: Option<String>,
    pub context: Option<String>,
    pub authenticated_at: Option<String>,
    /// Names and values, in the order of the message; no more than could be shown.
    pub attributes: Vec<(String, Vec<String>)>,
}

/// A draft that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub id: Uuid,
    pub version: i64,
    pub made_at: Timestamp,
    pub expires_at: Timestamp,
    pub content: Content,
}

/// What became of [`keep`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Kept,
    /// There are [`DRAFTS_MAX`] already; nothing was changed.
    TooMany,
}

/// Keeps a new draft. Those whose time is over are forgotten.
///
/// # Errors
/// [`StateError::Write`]; then nothing was changed.
pub async fn keep(state: &State, draft: &Draft) -> Result<Kept, StateError> {
    let doing = "keep the draft of an identity provider";
    let id = draft.id.to_string();
    let model = row::ActiveModel {
        sealed: ActiveValue::Set(state.seal(TABLE, &id, &draft.content)?),
        id: ActiveValue::Set(id),
        version: ActiveValue::Set(draft.version),
        made_at: ActiveValue::Set(millis(draft.made_at)),
        expires_at: ActiveValue::Set(millis(draft.expires_at)),
    };
    let transaction = state.write(doing).await?;
    row::Entity::delete_many()
        .filter(row::Column::ExpiresAt.lte(millis(draft.made_at)))
        .exec(&transaction)
        .await
        .map_err(writing(doing))?;
    let count = row::Entity::find().count(&transaction).await.map_err(reading(doing))?;
    if count >= DRAFTS_MAX {
        return Ok(Kept::TooMany);
    }
    let done = row::Entity::insert(model).exec_without_returning(&transaction).await;
    done.map_err(writing(doing))?;
    transaction.commit().await.map_err(writing(doing))?;
    Ok(Kept::Kept)
}

/// Finds a draft whose time is not over.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when the row was tampered with.
pub async fn find(state: &State, id: Uuid, now: Timestamp) -> Result<Option<Draft>, StateError> {
    let found = row::Entity::find_by_id(id.to_string())
        .filter(row::Column::ExpiresAt.gt(millis(now)))
        .one(state.database())
        .await
        .map_err(reading("read the draft of an identity provider"))?;
    found.map(|model| draft(state, &model)).transpose()
}

/// Every draft whose time is not over, newest first.
///
/// # Errors
/// As [`find`].
pub async fn list(state: &State, now: Timestamp) -> Result<Vec<Draft>, StateError> {
    let found = row::Entity::find()
        .filter(row::Column::ExpiresAt.gt(millis(now)))
        .order_by_desc(row::Column::MadeAt)
        .all(state.database())
        .await
        .map_err(reading("list the drafts of identity providers"))?;
    found.iter().map(|model| draft(state, model)).collect()
}

/// Replaces what a draft holds, upon the version that was read. `false`: it was changed or discarded meanwhile.
///
/// # Errors
/// [`StateError::Write`]; then it is as it was.
pub async fn update(state: &State, draft: &Draft) -> Result<bool, StateError> {
    let id = draft.id.to_string();
    let sealed = state.seal(TABLE, &id, &draft.content)?;
    let done = row::Entity::update_many()
        .col_expr(row::Column::Sealed, Expr::value(sealed))
        .col_expr(row::Column::Version, Expr::value(draft.version.saturating_add(1)))
        .filter(row::Column::Id.eq(id))
        .filter(row::Column::Version.eq(draft.version))
        .exec(state.database())
        .await
        .map_err(writing("change the draft of an identity provider"))?;
    Ok(done.rows_affected == 1)
}

/// Forgets a draft. `false`: there was none.
///
/// # Errors
/// [`StateError::Write`]; then it is still there.
pub async fn discard(state: &State, id: Uuid) -> Result<bool, StateError> {
    let done = row::Entity::delete_by_id(id.to_string()).exec(state.database()).await;
    let done = done.map_err(writing("discard the draft of an identity provider"))?;
    Ok(done.rows_affected == 1)
}

fn draft(state: &State, model: &row::Model) -> Result<Draft, StateError> {
    let damaged = |_| StateError::Damaged { table: TABLE, column: "id" };
    Ok(Draft {
        content: state.unseal(TABLE, &model.id, &model.sealed)?,
        id: model.id.parse().map_err(damaged)?,
        version: model.version,
        made_at: time(TABLE, model.made_at)?,
        expires_at: time(TABLE, model.expires_at)?,
    })
}
