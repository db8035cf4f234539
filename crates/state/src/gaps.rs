//! Numbers of partners that are missing here: since when that is known, by which way they come if their sender said so, and
//! whether somebody was told.
//!
//! Invariant: a number is there once for each partner and kind, with the first moment at which it was missed.

use jiff::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::QueryOrder as _;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, OnConflict, Table};

use crate::migrate::Step;
use crate::{State, StateError, millis, reading, time, writing};

const TABLE: &str = "number_gaps";

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "number_gaps")]
    pub struct Model {
        /// `<kind>|<partner>|<number>`.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub kind: String,
        pub partner: String,
        pub number: i64,
        pub since: i64,
        /// Empty where its sender said nothing of it.
        pub way: String,
        pub told: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) fn tables() -> Vec<Step> {
    let mut table = Table::create();
    table.table(row::Entity);
    table.col(ColumnDef::new(row::Column::Id).text().not_null().primary_key());
    table.col(ColumnDef::new(row::Column::Kind).text().not_null());
    table.col(ColumnDef::new(row::Column::Partner).text().not_null());
    table.col(ColumnDef::new(row::Column::Number).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Since).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Way).text().not_null());
    table.col(ColumnDef::new(row::Column::Told).boolean().not_null());
    vec![Step::table(table)]
}

/// What is numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Parcel,
    Notice,
}

impl Of {
    /// As it is stored and told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parcel => "parcel",
            Self::Notice => "notice",
        }
    }
}

/// A missing number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub number: u64,
    /// When it was missed first.
    pub since: Timestamp,
    /// How it comes, in its sender's word.
    pub way: Option<String>,
    /// Whether somebody was told.
    pub told: bool,
}

fn id(of: Of, partner: &str, number: u64) -> String {
    format!("{}|{partner}|{number}", of.as_str())
}

/// Notes that a number is missing, or how it comes. What was noted before keeps its time.
///
/// # Errors
/// [`StateError::Write`].
pub async fn note(
    state: &State,
    (of, partner): (Of, &str),
    number: u64,
    since: Timestamp,
    way: Option<&str>,
) -> Result<(), StateError> {
    let signed = i64::try_from(number);
    let signed = signed.map_err(|_| StateError::Damaged { table: TABLE, column: "number" })?;
    let model = row::ActiveModel {
        id: Set(id(of, partner, number)),
        kind: Set(of.as_str().to_owned()),
        partner: Set(partner.to_owned()),
        number: Set(signed),
        since: Set(millis(since)),
        way: Set(way.unwrap_or_default().to_owned()),
        told: Set(false),
    };
    let mut known = OnConflict::column(row::Column::Id);
    match way {
        Some(_) => known.update_column(row::Column::Way),
        None => known.update_column(row::Column::Id),
    };
    let written =
        row::Entity::insert(model).on_conflict(known).exec_without_returning(state.database());
    written.await.map_err(writing("note a missing number")).map(|_| ())
}

/// The missing numbers of a partner that are known.
///
/// # Errors
/// [`StateError::Read`].
pub async fn list(state: &State, of: Of, partner: &str) -> Result<Vec<Gap>, StateError> {
    let found = row::Entity::find()
        .filter(row::Column::Kind.eq(of.as_str()))
        .filter(row::Column::Partner.eq(partner))
        .order_by_asc(row::Column::Number)
        .all(state.database())
        .await
        .map_err(reading("look for missing numbers"))?;
    let gap = |model: row::Model| {
        Ok(Gap {
            number: u64::try_from(model.number)
                .map_err(|_| StateError::Damaged { table: TABLE, column: "number" })?,
            since: time(TABLE, model.since)?,
            way: Some(model.way).filter(|way| !way.is_empty()),
            told: model.told,
        })
    };
    found.into_iter().map(gap).collect()
}

/// Notes that somebody was told.
///
/// # Errors
/// [`StateError::Write`].
pub async fn told(state: &State, of: Of, partner: &str, number: u64) -> Result<(), StateError> {
    row::Entity::update_many()
        .col_expr(row::Column::Told, Expr::value(true))
        .filter(row::Column::Id.eq(id(of, partner, number)))
        .exec(state.database())
        .await
        .map_err(writing("note that a missing number was told of"))
        .map(|_| ())
}

/// Forgets a number that came.
///
/// # Errors
/// [`StateError::Write`].
pub async fn forget(state: &State, of: Of, partner: &str, number: u64) -> Result<(), StateError> {
    row::Entity::delete_by_id(id(of, partner, number))
        .exec(state.database())
        .await
        .map_err(writing("forget a number that came"))
        .map(|_| ())
}
