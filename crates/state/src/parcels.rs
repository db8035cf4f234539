//! Parcels that partners offer: which, from whom, with which number, and how far they have come.
//!
//! Invariants: an exchange is there once, whoever offers it how often; a partner's parcels together stay
//! within its quota, looked at in the transaction that admits the next one; a row changes only from the
//! version that its writer has read. What is in a parcel is not here: it stays sealed in the store.

use jiff::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, ExprTrait, Index, Table};
use sea_orm::{Condition, QueryOrder, QuerySelect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::migrate::Step;
use crate::sessions::hex;
use crate::{State, StateError, millis, reading, time, writing};

const TABLE: &str = "parcels";

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "parcels")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub exchange: String,
        pub parcel: String,
        pub partner: String,
        pub number: i64,
        pub digest: String,
        pub bytes: i64,
        /// Whether the parcel takes room in the store.
        pub holds_room: bool,
        pub status: String,
        pub offered_at: i64,
        pub updated_at: i64,
        pub version: i64,
        pub sealed: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) fn tables() -> Vec<Step> {
    let mut table = Table::create();
    table.table(row::Entity);
    table.col(ColumnDef::new(row::Column::Exchange).text().not_null().primary_key());
    table.col(ColumnDef::new(row::Column::Parcel).text().not_null());
    table.col(ColumnDef::new(row::Column::Partner).text().not_null());
    table.col(ColumnDef::new(row::Column::Number).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Digest).text().not_null());
    table.col(ColumnDef::new(row::Column::Bytes).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::HoldsRoom).boolean().not_null());
    table.col(ColumnDef::new(row::Column::Status).text().not_null());
    table.col(ColumnDef::new(row::Column::OfferedAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::UpdatedAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Version).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Sealed).binary().not_null());
    let numbered = Index::create()
        .name("parcels_partner_number")
        .table(row::Entity)
        .col(row::Column::Partner)
        .col(row::Column::Number)
        .unique()
        .take();
    let named = Index::create()
        .name("parcels_partner_parcel")
        .table(row::Entity)
        .col(row::Column::Partner)
        .col(row::Column::Parcel)
        .unique()
        .take();
    vec![Step::table(table), Step::index(numbered), Step::index(named)]
}

/// A partner's parcel as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel<T> {
    /// The exchange's name on both sides.
    pub exchange: Uuid,
    pub parcel: Uuid,
    /// The sender's ORI.
    pub partner: String,
    /// Its number in the sender's sequence, from 1; 0 where its sender gave it none. Such a one has a negative number in the
    /// table, which nobody sees.
    pub number: u64,
    /// SHA-256 of the outer tag manifest.
    pub digest: [u8; 32],
    /// What it takes in the store, all files together.
    pub bytes: u64,
    /// Whether it takes that room (also while it is still to come).
    pub holds_room: bool,
    /// A word of the caller's own list of states.
    pub status: String,
    pub offered_at: Timestamp,
    pub updated_at: Timestamp,
    /// Counts the changes; set by [`offer`] and [`replace`].
    pub version: i64,
    pub details: T,
}

/// What became of an offer.
#[derive(Debug)]
pub enum Offered<T> {
    /// It was stored.
    New,
    /// The exchange was there already, as it is given here.
    Known(Box<Parcel<T>>),
    /// Another exchange of this partner has the parcel or the number.
    Taken(Box<Parcel<T>>),
    /// With it the partner's parcels would take more than its quota; they take this much.
    NoRoom { taken: u64 },
}

/// Admits a parcel, if its exchange is new and its partner's parcels stay within `quota` bytes.
///
/// # Errors
/// [`StateError::Write`]; then nothing was stored.
pub async fn offer<T: Serialize + DeserializeOwned>(
    state: &State,
    parcel: &mut Parcel<T>,
    quota: u64,
) -> Result<Offered<T>, StateError> {
    let transaction = state.write("take an offer").await?;
    let exchange = parcel.exchange.to_string();
    let known = row::Entity::find_by_id(exchange.clone()).one(&transaction).await;
    if let Some(model) = known.map_err(reading("look for an exchange"))? {
        return Ok(Offered::Known(Box::new(stored(state, model)?)));
    }
    let number = signed(parcel.number, "number")?;
    // 0 is nobody's.
    let same = Condition::any()
        .add(row::Column::Number.eq(number))
        .add(row::Column::Parcel.eq(parcel.parcel.to_string()));
    let taken = row::Entity::find()
        .filter(row::Column::Partner.eq(parcel.partner.clone()))
        .filter(same)
        .one(&transaction)
        .await
        .map_err(reading("look for an exchange"))?;
    if let Some(model) = taken {
        return Ok(Offered::Taken(Box::new(stored(state, model)?)));
    }
    let taken = room_taken(&transaction, &parcel.partner).await?;
    if taken.saturating_add(parcel.bytes) > quota {
        return Ok(Offered::NoRoom { taken });
    }
    insert_in(state, &transaction, parcel).await?;
    transaction.commit().await.map_err(writing("take an offer"))?;
    parcel.version = 1;
    Ok(Offered::New)
}

/// Stores a new row, whose version becomes 1.
pub(crate) async fn insert_in<T: Serialize>(
    state: &State,
    database: &impl ConnectionTrait,
    parcel: &Parcel<T>,
) -> Result<(), StateError> {
    let exchange = parcel.exchange.to_string();
    let number = match parcel.number {
        0 => Ord::min(lowest(database, &parcel.partner).await?, 0).saturating_sub(1),
        given => signed(given, "number")?,
    };
    let model = row::ActiveModel {
        sealed: Set(state.seal(TABLE, &exchange, &parcel.details)?),
        exchange: Set(exchange),
        parcel: Set(parcel.parcel.to_string()),
        partner: Set(parcel.partner.clone()),
        number: Set(number),
        digest: Set(hex(&parcel.digest)),
        bytes: Set(signed(parcel.bytes, "bytes")?),
        holds_room: Set(parcel.holds_room),
        status: Set(parcel.status.clone()),
        offered_at: Set(millis(parcel.offered_at)),
        updated_at: Set(millis(parcel.updated_at)),
        version: Set(1),
    };
    row::Entity::insert(model)
        .exec_without_returning(database)
        .await
        .map_err(writing("store a parcel"))
        .map(|_| ())
}

/// The lowest number of a sender's parcels; 0 where there is none.
async fn lowest(database: &impl ConnectionTrait, partner: &str) -> Result<i64, StateError> {
    let lowest: Option<i64> = row::Entity::find()
        .select_only()
        .column(row::Column::Number)
        .filter(row::Column::Partner.eq(partner))
        .order_by_asc(row::Column::Number)
        .into_tuple()
        .one(database)
        .await
        .map_err(reading("look for a sender's lowest number"))?;
    Ok(lowest.unwrap_or(0))
}

/// Bytes that a sender's parcels take in the store now; [`offer`] looks again.
///
/// # Errors
/// [`StateError::Read`].
pub async fn room_of(state: &State, partner: &str) -> Result<u64, StateError> {
    room_taken(state.database(), partner).await
}

/// Bytes that a partner's parcels take in the store.
async fn room_taken(transaction: &impl ConnectionTrait, partner: &str) -> Result<u64, StateError> {
    let held: Vec<i64> = row::Entity::find()
        .select_only()
        .column(row::Column::Bytes)
        .filter(row::Column::Partner.eq(partner))
        .filter(row::Column::HoldsRoom.eq(true))
        .into_tuple()
        .all(transaction)
        .await
        .map_err(reading("add up a partner's parcels"))?;
    Ok(held.into_iter().filter_map(|bytes| u64::try_from(bytes).ok()).fold(0, u64::saturating_add))
}

/// Finds a parcel by its exchange.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when the row was tampered with.
pub async fn find<T: DeserializeOwned>(
    state: &State,
    exchange: Uuid,
) -> Result<Option<Parcel<T>>, StateError> {
    let found = row::Entity::find_by_id(exchange.to_string()).one(state.database()).await;
    found.map_err(reading("read a parcel"))?.map(|model| stored(state, model)).transpose()
}

/// Finds a partner's parcel by the parcel's own id.
///
/// # Errors
/// As [`find`].
pub async fn find_parcel<T: DeserializeOwned>(
    state: &State,
    partner: &str,
    parcel: Uuid,
) -> Result<Option<Parcel<T>>, StateError> {
    let found = row::Entity::find()
        .filter(row::Column::Partner.eq(partner))
        .filter(row::Column::Parcel.eq(parcel.to_string()))
        .one(state.database())
        .await;
    found.map_err(reading("read a parcel"))?.map(|model| stored(state, model)).transpose()
}

/// Which parcels a list holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which<'a> {
    /// In any of these states; all of them where none is given.
    pub statuses: &'a [&'a str],
    /// From before then.
    pub before: Option<Timestamp>,
    /// Behind this one in the list, by its time and exchange.
    pub behind: Option<(Timestamp, Uuid)>,
}

/// These parcels, newest first. At most `max`.
///
/// # Errors
/// As [`find`].
pub async fn list<T: DeserializeOwned>(
    state: &State,
    which: Which<'_>,
    max: u64,
) -> Result<Vec<Parcel<T>>, StateError> {
    let Which { statuses, before, behind } = which;
    let mut query = row::Entity::find();
    if !statuses.is_empty() {
        query = query.filter(row::Column::Status.is_in(statuses.iter().copied()));
    }
    if let Some((at, exchange)) = behind {
        let at = millis(at);
        let same = row::Column::OfferedAt.eq(at);
        let same = same.and(row::Column::Exchange.lt(exchange.to_string()));
        query = query.filter(row::Column::OfferedAt.lt(at).or(same));
    }
    if let Some(before) = before {
        query = query.filter(row::Column::OfferedAt.lt(millis(before)));
    }
    let found = query
        .order_by_desc(row::Column::OfferedAt)
        .order_by_desc(row::Column::Exchange)
        .limit(max)
        .all(state.database())
        .await
        .map_err(reading("list parcels"))?;
    found.into_iter().map(|model| stored(state, model)).collect()
}

/// The number after the highest of a sender.
///
/// # Errors
/// [`StateError::Read`].
pub async fn next_number(state: &State, partner: &str) -> Result<u64, StateError> {
    let highest: Option<i64> = row::Entity::find()
        .select_only()
        .column(row::Column::Number)
        .filter(row::Column::Partner.eq(partner))
        .order_by_desc(row::Column::Number)
        .into_tuple()
        .one(state.database())
        .await
        .map_err(reading("look for a sender's highest number"))?;
    Ok(highest.and_then(|number| u64::try_from(number).ok()).unwrap_or(0).saturating_add(1))
}

/// Numbers that are missing from a partner's sequence, below the highest that was offered. At most `max`.
///
/// # Errors
/// [`StateError::Read`].
pub async fn gaps(state: &State, partner: &str, max: usize) -> Result<Vec<u64>, StateError> {
    let numbers: Vec<i64> = row::Entity::find()
        .select_only()
        .column(row::Column::Number)
        .filter(row::Column::Partner.eq(partner))
        .filter(row::Column::Number.gt(0))
        .order_by_asc(row::Column::Number)
        .into_tuple()
        .all(state.database())
        .await
        .map_err(reading("look for gaps in a partner's sequence"))?;
    Ok(missing_below(numbers, max))
}

/// What is missing from ascending numbers that begin at 1. At most `max`.
pub(crate) fn missing_below(numbers: Vec<i64>, max: usize) -> Vec<u64> {
    let mut missing = Vec::new();
    let mut expected = 1_u64;
    for number in numbers.into_iter().filter_map(|number| u64::try_from(number).ok()) {
        let room = max.saturating_sub(missing.len());
        missing.extend((expected..number).take(room));
        expected = number.saturating_add(1);
    }
    missing
}

/// Stores status, room, time and details, if the row still has the version that `parcel` has, and then
/// counts the version up. `false`: another writer was first, and nothing was changed.
///
/// # Errors
/// [`StateError::Write`].
pub async fn replace<T: Serialize>(
    state: &State,
    parcel: &mut Parcel<T>,
) -> Result<bool, StateError> {
    if !replace_in(state, state.database(), parcel).await? {
        return Ok(false);
    }
    parcel.version += 1;
    Ok(true)
}

pub(crate) async fn replace_in<T: Serialize>(
    state: &State,
    database: &impl ConnectionTrait,
    parcel: &Parcel<T>,
) -> Result<bool, StateError> {
    let exchange = parcel.exchange.to_string();
    let sealed = state.seal(TABLE, &exchange, &parcel.details)?;
    let done = row::Entity::update_many()
        .col_expr(row::Column::Status, Expr::value(parcel.status.clone()))
        .col_expr(row::Column::HoldsRoom, Expr::value(parcel.holds_room))
        .col_expr(row::Column::UpdatedAt, Expr::value(millis(parcel.updated_at)))
        .col_expr(row::Column::Version, Expr::value(parcel.version + 1))
        .col_expr(row::Column::Sealed, Expr::value(sealed))
        .filter(row::Column::Exchange.eq(exchange))
        .filter(row::Column::Version.eq(parcel.version))
        .exec(database)
        .await
        .map_err(writing("store a parcel"))?;
    Ok(done.rows_affected == 1)
}

fn signed(value: u64, column: &'static str) -> Result<i64, StateError> {
    i64::try_from(value).map_err(|_| StateError::Damaged { table: TABLE, column })
}

fn stored<T: DeserializeOwned>(state: &State, model: row::Model) -> Result<Parcel<T>, StateError> {
    let damaged = |column| StateError::Damaged { table: TABLE, column };
    let mut digest = [0; 32];
    hex::decode_to_slice(&model.digest, &mut digest).map_err(|_| damaged("digest"))?;
    Ok(Parcel {
        details: state.unseal(TABLE, &model.exchange, &model.sealed)?,
        exchange: Uuid::parse_str(&model.exchange).map_err(|_| damaged("exchange"))?,
        parcel: Uuid::parse_str(&model.parcel).map_err(|_| damaged("parcel"))?,
        partner: model.partner,
        number: u64::try_from(model.number).unwrap_or(0),
        digest,
        bytes: u64::try_from(model.bytes).map_err(|_| damaged("bytes"))?,
        holds_room: model.holds_room,
        status: model.status,
        offered_at: time(TABLE, model.offered_at)?,
        updated_at: time(TABLE, model.updated_at)?,
        version: model.version,
    })
}
