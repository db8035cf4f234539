//! Exports: what one person asked to send to a partner, and how far it has come.
//!
//! Invariants: a row changes only from the version that its writer has read, so that two writers can't
//! both win; a number of a partner's sequence is given to one export, in the transaction that notes it
//! there, so that the sequence has no gap and no double. Who asked, what for and what is in it lies in
//! the sealed column. Its shape `T` belongs to the caller.

use jiff::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Index, OnConflict, Table};
use sea_orm::{DatabaseTransaction, ExprTrait as _, QueryOrder, QuerySelect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::migrate::Step;
use crate::{State, StateError, millis, reading, time, writing};

const TABLE: &str = "exports";

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "exports")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub status: String,
        pub partner: String,
        pub agreement: String,
        pub requested_at: i64,
        pub updated_at: i64,
        pub version: i64,
        pub exchange: Option<String>,
        pub parcel: Option<String>,
        pub number: Option<i64>,
        pub sealed: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod sequence {
    use sea_orm::entity::prelude::*;

    /// The last number that was given for a partner.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "export_sequences")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub partner: String,
        pub last: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) fn tables() -> Vec<Step> {
    let mut table = Table::create();
    table.table(row::Entity);
    table.col(ColumnDef::new(row::Column::Id).text().not_null().primary_key());
    table.col(ColumnDef::new(row::Column::Status).text().not_null());
    table.col(ColumnDef::new(row::Column::Partner).text().not_null());
    table.col(ColumnDef::new(row::Column::Agreement).text().not_null());
    table.col(ColumnDef::new(row::Column::RequestedAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::UpdatedAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Version).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Exchange).text().unique_key());
    table.col(ColumnDef::new(row::Column::Parcel).text().unique_key());
    table.col(ColumnDef::new(row::Column::Number).big_integer());
    table.col(ColumnDef::new(row::Column::Sealed).binary().not_null());
    let numbered = Index::create()
        .name("exports_partner_number")
        .table(row::Entity)
        .col(row::Column::Partner)
        .col(row::Column::Number)
        .unique()
        .take();
    let mut sequences = Table::create();
    sequences.table(sequence::Entity);
    sequences.col(ColumnDef::new(sequence::Column::Partner).text().not_null().primary_key());
    sequences.col(ColumnDef::new(sequence::Column::Last).big_integer().not_null());
    vec![Step::table(table), Step::index(numbered), Step::table(sequences)]
}

/// An export as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export<T> {
    pub id: Uuid,
    /// A word of the caller's own list of states.
    pub status: String,
    /// The partner's ORI.
    pub partner: String,
    /// The agreement's id.
    pub agreement: String,
    pub requested_at: Timestamp,
    pub updated_at: Timestamp,
    /// Counts the changes; set by [`insert`] and [`replace`].
    pub version: i64,
    /// The exchange's name on both sides, its parcel, and its number in the partner's sequence: none
    /// before [`begin_exchange`].
    pub exchange: Option<Uuid>,
    pub parcel: Option<Uuid>,
    pub number: Option<u64>,
    pub details: T,
}

/// Stores a new export. Its version becomes 1; it has no exchange yet.
///
/// # Errors
/// [`StateError::Write`], also where the id is taken.
pub async fn insert<T: Serialize>(state: &State, export: &mut Export<T>) -> Result<(), StateError> {
    let id = export.id.to_string();
    let sealed = state.seal(TABLE, &id, &export.details)?;
    let model = row::ActiveModel {
        id: Set(id),
        status: Set(export.status.clone()),
        partner: Set(export.partner.clone()),
        agreement: Set(export.agreement.clone()),
        requested_at: Set(millis(export.requested_at)),
        updated_at: Set(millis(export.updated_at)),
        version: Set(1),
        exchange: Set(None),
        parcel: Set(None),
        number: Set(None),
        sealed: Set(sealed),
    };
    row::Entity::insert(model)
        .exec_without_returning(state.database())
        .await
        .map_err(writing("store an export"))?;
    export.version = 1;
    Ok(())
}

/// Finds an export by its id.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when the row was tampered with.
pub async fn find<T: DeserializeOwned>(
    state: &State,
    id: Uuid,
) -> Result<Option<Export<T>>, StateError> {
    let found = row::Entity::find_by_id(id.to_string()).one(state.database()).await;
    found.map_err(reading("read an export"))?.map(|model| stored(state, model)).transpose()
}

/// Finds an export by the exchange that it is in.
///
/// # Errors
/// As [`find`].
pub async fn find_by_exchange<T: DeserializeOwned>(
    state: &State,
    exchange: Uuid,
) -> Result<Option<Export<T>>, StateError> {
    let found = row::Entity::find()
        .filter(row::Column::Exchange.eq(exchange.to_string()))
        .one(state.database())
        .await;
    found.map_err(reading("read an export"))?.map(|model| stored(state, model)).transpose()
}

/// The state of an export, and nothing else of it: nothing is unsealed.
///
/// # Errors
/// [`StateError::Read`].
pub async fn status(state: &State, id: Uuid) -> Result<Option<String>, StateError> {
    row::Entity::find_by_id(id.to_string())
        .select_only()
        .column(row::Column::Status)
        .into_tuple()
        .one(state.database())
        .await
        .map_err(reading("read an export's state"))
}

/// Finds an export by its parcel.
///
/// # Errors
/// As [`find`].
pub async fn find_by_parcel<T: DeserializeOwned>(
    state: &State,
    parcel: Uuid,
) -> Result<Option<Export<T>>, StateError> {
    let found = row::Entity::find()
        .filter(row::Column::Parcel.eq(parcel.to_string()))
        .one(state.database())
        .await;
    found.map_err(reading("read an export"))?.map(|model| stored(state, model)).transpose()
}

/// Which exports a list holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which<'a> {
    /// In any of these states; all of them where none is given.
    pub statuses: &'a [&'a str],
    /// To this partner.
    pub partner: Option<&'a str>,
    /// From before then.
    pub before: Option<Timestamp>,
    /// Behind this one in the list, by its time and id.
    pub behind: Option<(Timestamp, Uuid)>,
}

/// These exports, newest first. At most `max`.
///
/// # Errors
/// As [`find`].
pub async fn list<T: DeserializeOwned>(
    state: &State,
    which: Which<'_>,
    max: u64,
) -> Result<Vec<Export<T>>, StateError> {
    let Which { statuses, partner, before, behind } = which;
    let mut query = row::Entity::find();
    if !statuses.is_empty() {
        query = query.filter(row::Column::Status.is_in(statuses.iter().copied()));
    }
    if let Some(partner) = partner {
        query = query.filter(row::Column::Partner.eq(partner));
    }
    if let Some((at, id)) = behind {
        let at = millis(at);
        let same = row::Column::RequestedAt.eq(at).and(row::Column::Id.lt(id.to_string()));
        query = query.filter(row::Column::RequestedAt.lt(at).or(same));
    }
    if let Some(before) = before {
        query = query.filter(row::Column::RequestedAt.lt(millis(before)));
    }
    let found = query
        .order_by_desc(row::Column::RequestedAt)
        .order_by_desc(row::Column::Id)
        .limit(max)
        .all(state.database())
        .await
        .map_err(reading("list exports"))?;
    found.into_iter().map(|model| stored(state, model)).collect()
}

/// Stores status, time and details, if the row still has the version that `export` has, and then counts
/// the version up. `false`: another writer was first, and nothing was changed.
///
/// # Errors
/// [`StateError::Write`].
pub async fn replace<T: Serialize>(
    state: &State,
    export: &mut Export<T>,
) -> Result<bool, StateError> {
    if !replace_in(state, state.database(), export).await? {
        return Ok(false);
    }
    export.version += 1;
    Ok(true)
}

/// Names the exchange and its parcel, and gives it the next number of its partner's sequence, together
/// with what [`replace`] stores. `false`: another writer was first, and no number was used.
///
/// # Errors
/// [`StateError::Write`]; then no number was used. [`StateError::Damaged`] where it has an exchange.
pub async fn begin_exchange<T: Serialize>(
    state: &State,
    export: &mut Export<T>,
    exchange: Uuid,
    parcel: Uuid,
) -> Result<bool, StateError> {
    if export.exchange.is_some() {
        return Err(StateError::Damaged { table: TABLE, column: "exchange" });
    }
    let transaction = state.write("begin an exchange").await?;
    let number = next_number(&transaction, &export.partner).await?;
    if !replace_in(state, &transaction, export).await? {
        return Ok(false);
    }
    row::Entity::update_many()
        .col_expr(row::Column::Exchange, Expr::value(exchange.to_string()))
        .col_expr(row::Column::Parcel, Expr::value(parcel.to_string()))
        .col_expr(row::Column::Number, Expr::value(number))
        .filter(row::Column::Id.eq(export.id.to_string()))
        .exec(&transaction)
        .await
        .map_err(writing("begin an exchange"))?;
    transaction.commit().await.map_err(writing("begin an exchange"))?;
    export.version += 1;
    export.exchange = Some(exchange);
    export.parcel = Some(parcel);
    export.number = u64::try_from(number).ok();
    Ok(true)
}

async fn next_number(transaction: &DatabaseTransaction, partner: &str) -> Result<i64, StateError> {
    let doing = "number an exchange";
    let last = sequence::Entity::find_by_id(partner.to_owned())
        .one(transaction)
        .await
        .map_err(reading(doing))?;
    let next = last.map_or(0, |model| model.last) + 1;
    let model = sequence::ActiveModel { partner: Set(partner.to_owned()), last: Set(next) };
    let again = OnConflict::column(sequence::Column::Partner)
        .update_column(sequence::Column::Last)
        .to_owned();
    sequence::Entity::insert(model)
        .on_conflict(again)
        .exec_without_returning(transaction)
        .await
        .map_err(writing(doing))?;
    Ok(next)
}

pub(crate) async fn replace_in<T: Serialize>(
    state: &State,
    database: &impl ConnectionTrait,
    export: &Export<T>,
) -> Result<bool, StateError> {
    let id = export.id.to_string();
    let sealed = state.seal(TABLE, &id, &export.details)?;
    let done = row::Entity::update_many()
        .col_expr(row::Column::Status, Expr::value(export.status.clone()))
        .col_expr(row::Column::UpdatedAt, Expr::value(millis(export.updated_at)))
        .col_expr(row::Column::Version, Expr::value(export.version + 1))
        .col_expr(row::Column::Sealed, Expr::value(sealed))
        .filter(row::Column::Id.eq(id))
        .filter(row::Column::Version.eq(export.version))
        .exec(database)
        .await
        .map_err(writing("store an export"))?;
    Ok(done.rows_affected == 1)
}

fn stored<T: DeserializeOwned>(state: &State, model: row::Model) -> Result<Export<T>, StateError> {
    let damaged = |column| move |_| StateError::Damaged { table: TABLE, column };
    let uuid = |text: Option<String>, column| {
        text.map(|text| Uuid::parse_str(&text).map_err(damaged(column))).transpose()
    };
    Ok(Export {
        details: state.unseal(TABLE, &model.id, &model.sealed)?,
        id: Uuid::parse_str(&model.id).map_err(damaged("id"))?,
        status: model.status,
        partner: model.partner,
        agreement: model.agreement,
        requested_at: time(TABLE, model.requested_at)?,
        updated_at: time(TABLE, model.updated_at)?,
        version: model.version,
        exchange: uuid(model.exchange, "exchange")?,
        parcel: uuid(model.parcel, "parcel")?,
        number: model
            .number
            .map(u64::try_from)
            .transpose()
            .map_err(|_| StateError::Damaged { table: TABLE, column: "number" })?,
    })
}
