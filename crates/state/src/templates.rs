//! Templates for exports that are asked for again and again. What is in one lies in the sealed column.

use jiff::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::QueryOrder;
use sea_orm::QuerySelect;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::migrate::Step;
use crate::{State, StateError, millis, reading, time, writing};

const TABLE: &str = "export_templates";

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "export_templates")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub kept_at: i64,
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
    table.col(ColumnDef::new(row::Column::KeptAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Sealed).binary().not_null());
    vec![Step::table(table)]
}

/// A template as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template<T> {
    pub id: Uuid,
    pub kept_at: Timestamp,
    pub details: T,
}

/// Keeps a new template.
///
/// # Errors
/// [`StateError::Write`].
pub async fn keep<T: Serialize>(state: &State, new: &Template<T>) -> Result<(), StateError> {
    let id = new.id.to_string();
    let sealed = state.seal(TABLE, &id, &new.details)?;
    let model =
        row::ActiveModel { id: Set(id), kept_at: Set(millis(new.kept_at)), sealed: Set(sealed) };
    let done = row::Entity::insert(model).exec_without_returning(state.database()).await;
    done.map(|_| ()).map_err(writing("keep a template"))
}

/// Removes a template. `false`: it was not there.
///
/// # Errors
/// [`StateError::Write`].
pub async fn remove(state: &State, id: Uuid) -> Result<bool, StateError> {
    let done = row::Entity::delete_by_id(id.to_string()).exec(state.database()).await;
    Ok(done.map_err(writing("remove a template"))?.rows_affected == 1)
}

/// Templates, the newest first, at most `max`.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when a row was tampered with.
pub async fn list<T: DeserializeOwned>(
    state: &State,
    max: u64,
) -> Result<Vec<Template<T>>, StateError> {
    let query = row::Entity::find().order_by_desc(row::Column::KeptAt).limit(max);
    let found = query.all(state.database()).await.map_err(reading("list templates"))?;
    found.iter().map(|model| stored(state, model)).collect()
}

/// One template.
///
/// # Errors
/// As [`list`].
pub async fn find<T: DeserializeOwned>(
    state: &State,
    id: Uuid,
) -> Result<Option<Template<T>>, StateError> {
    let found = row::Entity::find_by_id(id.to_string()).one(state.database()).await;
    found.map_err(reading("read a template"))?.map(|model| stored(state, &model)).transpose()
}

fn stored<T: DeserializeOwned>(
    state: &State,
    model: &row::Model,
) -> Result<Template<T>, StateError> {
    Ok(Template {
        details: state.unseal(TABLE, &model.id, &model.sealed)?,
        id: Uuid::parse_str(&model.id)
            .map_err(|_| StateError::Damaged { table: TABLE, column: "id" })?,
        kept_at: time(TABLE, model.kept_at)?,
    })
}
