//! Signed notices between us and partners: what we owe them, and what they told us.
//!
//! Invariants: a notice and what it changes in an export or a parcel are one transaction; our notices to a
//! partner are numbered there from 1 without gaps, and a partner's notice is there once, whoever sends it
//! how often. What a notice says lies in the sealed column; its shape `T` belongs to the caller.

use jiff::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm::{DatabaseTransaction, QueryOrder, QuerySelect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::exports::{self, Export};
use crate::migrate::Step;
use crate::parcels::{self, Parcel};
use crate::{State, StateError, millis, reading, time, writing};

const TABLE: &str = "notices";

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "notices")]
    pub struct Model {
        /// `<way>|<partner>|<number>`.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub way: String,
        pub partner: String,
        pub number: i64,
        pub exchange: String,
        pub status: String,
        pub next_at: i64,
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
    table.col(ColumnDef::new(row::Column::Id).text().not_null().primary_key());
    table.col(ColumnDef::new(row::Column::Way).text().not_null());
    table.col(ColumnDef::new(row::Column::Partner).text().not_null());
    table.col(ColumnDef::new(row::Column::Number).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Exchange).text().not_null());
    table.col(ColumnDef::new(row::Column::Status).text().not_null());
    table.col(ColumnDef::new(row::Column::NextAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Version).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Sealed).binary().not_null());
    let index = |name: &str, columns: &[row::Column]| {
        let mut index = Index::create();
        index.name(name).table(row::Entity);
        for column in columns {
            index.col(*column);
        }
        index
    };
    let numbered = [row::Column::Way, row::Column::Partner, row::Column::Number];
    let mut numbered = index("notices_way_partner_number", &numbered);
    numbered.unique();
    let due = index("notices_status_next_at", &[row::Column::Status, row::Column::NextAt]);
    let about = index("notices_exchange", &[row::Column::Exchange]);
    vec![Step::table(table), Step::index(numbered), Step::index(due), Step::index(about)]
}

/// Who tells whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// We tell the partner.
    Out,
    /// The partner tells us.
    In,
}

impl Way {
    fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
        }
    }
}

/// A notice as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice<T> {
    pub way: Way,
    /// The partner's ORI.
    pub partner: String,
    /// Its number in the sequence of whoever signs it: for one of ours 0 before [`commit`] gives it one.
    pub number: u64,
    pub exchange: Uuid,
    /// A word of the caller's own list of states.
    pub status: String,
    /// When it is to be worked on next.
    pub next_at: Timestamp,
    /// Counts the changes; set by [`commit`] and [`replace`].
    pub version: i64,
    pub details: T,
}

impl<T> Notice<T> {
    fn id(&self) -> String {
        id_of(self.way, &self.partner, self.number)
    }
}

fn id_of(way: Way, partner: &str, number: u64) -> String {
    format!("{}|{partner}|{number}", way.as_str())
}

/// What a notice changes, in the same transaction.
#[derive(Debug)]
pub enum Effect<'a, E, P> {
    Nothing,
    Export(&'a mut Export<E>),
    Parcel(&'a mut Parcel<P>),
    /// A parcel that never came, or never whole: from now on its exchange and number are known.
    NewParcel(&'a mut Parcel<P>),
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Committed<T> {
    Done,
    /// The partner's notice with that number is there already.
    Known(Box<Notice<T>>),
    /// Another writer changed the export or the parcel meanwhile; nothing was stored.
    Changed,
}

/// Stores a new notice together with what it changes. One of ours gets its number here.
///
/// # Errors
/// [`StateError::Write`]; then nothing was stored and no number was used.
pub async fn commit<T, E, P>(
    state: &State,
    notice: &mut Notice<T>,
    effect: Effect<'_, E, P>,
) -> Result<Committed<T>, StateError>
where
    T: Serialize + DeserializeOwned,
    E: Serialize,
    P: Serialize,
{
    let doing = "store a notice";
    let transaction = state.write(doing).await?;
    if notice.way == Way::Out {
        notice.number = last_sent(&transaction, &notice.partner).await?.saturating_add(1);
    }
    let id = notice.id();
    let known = row::Entity::find_by_id(id.clone()).one(&transaction).await;
    if let Some(model) = known.map_err(reading(doing))? {
        return Ok(Committed::Known(Box::new(stored(state, model)?)));
    }
    let kept = match &effect {
        Effect::Nothing => true,
        Effect::Export(export) => exports::replace_in(state, &transaction, export).await?,
        Effect::Parcel(parcel) => parcels::replace_in(state, &transaction, parcel).await?,
        Effect::NewParcel(parcel) => {
            parcels::insert_in(state, &transaction, parcel).await?;
            true
        }
    };
    if !kept {
        return Ok(Committed::Changed);
    }
    let model = row::ActiveModel {
        sealed: Set(state.seal(TABLE, &id, &notice.details)?),
        id: Set(id),
        way: Set(notice.way.as_str().to_owned()),
        partner: Set(notice.partner.clone()),
        number: Set(signed(notice.number)?),
        exchange: Set(notice.exchange.to_string()),
        status: Set(notice.status.clone()),
        next_at: Set(millis(notice.next_at)),
        version: Set(1),
    };
    let inserted = row::Entity::insert(model).exec_without_returning(&transaction).await;
    inserted.map_err(writing(doing))?;
    transaction.commit().await.map_err(writing(doing))?;
    notice.version = 1;
    match effect {
        Effect::Nothing => {}
        Effect::Export(export) => export.version += 1,
        Effect::Parcel(parcel) | Effect::NewParcel(parcel) => parcel.version += 1,
    }
    Ok(Committed::Done)
}

async fn last_sent(transaction: &DatabaseTransaction, partner: &str) -> Result<u64, StateError> {
    let newest: Option<i64> = row::Entity::find()
        .select_only()
        .column(row::Column::Number)
        .filter(row::Column::Way.eq(Way::Out.as_str()))
        .filter(row::Column::Partner.eq(partner))
        .order_by_desc(row::Column::Number)
        .limit(1)
        .into_tuple()
        .one(transaction)
        .await
        .map_err(reading("number a notice"))?;
    Ok(newest.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
}

/// Finds a notice.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when the row was tampered with.
pub async fn find<T: DeserializeOwned>(
    state: &State,
    way: Way,
    partner: &str,
    number: u64,
) -> Result<Option<Notice<T>>, StateError> {
    let id = id_of(way, partner, number);
    let found = row::Entity::find_by_id(id).one(state.database()).await;
    found.map_err(reading("read a notice"))?.map(|model| stored(state, model)).transpose()
}

/// Notices of these states that are due, the oldest first.
///
/// # Errors
/// As [`find`].
pub async fn due<T: DeserializeOwned>(
    state: &State,
    statuses: &[&str],
    now: Timestamp,
    max: u64,
) -> Result<Vec<Notice<T>>, StateError> {
    let found = row::Entity::find()
        .filter(row::Column::Status.is_in(statuses.iter().copied()))
        .filter(row::Column::NextAt.lte(millis(now)))
        .order_by_asc(row::Column::NextAt)
        .order_by_asc(row::Column::Number)
        .limit(max)
        .all(state.database())
        .await
        .map_err(reading("list notices"))?;
    found.into_iter().map(|model| stored(state, model)).collect()
}

/// All notices about an exchange, both ways, in the order of their numbers.
///
/// # Errors
/// As [`find`].
pub async fn about<T: DeserializeOwned>(
    state: &State,
    exchange: Uuid,
    max: u64,
) -> Result<Vec<Notice<T>>, StateError> {
    let found = row::Entity::find()
        .filter(row::Column::Exchange.eq(exchange.to_string()))
        .order_by_asc(row::Column::Number)
        .limit(max)
        .all(state.database())
        .await
        .map_err(reading("list notices"))?;
    found.into_iter().map(|model| stored(state, model)).collect()
}

/// Numbers that are missing from a partner's sequence, below the highest that came. At most `max`.
///
/// # Errors
/// [`StateError::Read`].
pub async fn gaps(state: &State, partner: &str, max: usize) -> Result<Vec<u64>, StateError> {
    let numbers: Vec<i64> = row::Entity::find()
        .select_only()
        .column(row::Column::Number)
        .filter(row::Column::Way.eq(Way::In.as_str()))
        .filter(row::Column::Partner.eq(partner))
        .order_by_asc(row::Column::Number)
        .into_tuple()
        .all(state.database())
        .await
        .map_err(reading("look for gaps in a partner's notices"))?;
    Ok(parcels::missing_below(numbers, max))
}

/// Stores status, time and details, if the row still has the version that `notice` has. `false`: another
/// writer was first, and nothing was changed.
///
/// # Errors
/// [`StateError::Write`].
pub async fn replace<T: Serialize>(
    state: &State,
    notice: &mut Notice<T>,
) -> Result<bool, StateError> {
    let id = notice.id();
    let sealed = state.seal(TABLE, &id, &notice.details)?;
    let done = row::Entity::update_many()
        .col_expr(row::Column::Status, Expr::value(notice.status.clone()))
        .col_expr(row::Column::NextAt, Expr::value(millis(notice.next_at)))
        .col_expr(row::Column::Version, Expr::value(notice.version + 1))
        .col_expr(row::Column::Sealed, Expr::value(sealed))
        .filter(row::Column::Id.eq(id))
        .filter(row::Column::Version.eq(notice.version))
        .exec(state.database())
        .await
        .map_err(writing("store a notice"))?;
    if done.rows_affected != 1 {
        return Ok(false);
    }
    notice.version += 1;
    Ok(true)
}

fn signed(value: u64) -> Result<i64, StateError> {
    i64::try_from(value).map_err(|_| StateError::Damaged { table: TABLE, column: "number" })
}

fn stored<T: DeserializeOwned>(state: &State, model: row::Model) -> Result<Notice<T>, StateError> {
    let damaged = |column| StateError::Damaged { table: TABLE, column };
    let way = match model.way.as_str() {
        "out" => Way::Out,
        "in" => Way::In,
        _ => return Err(damaged("way")),
    };
    Ok(Notice {
        details: state.unseal(TABLE, &model.id, &model.sealed)?,
        way,
        partner: model.partner,
        number: u64::try_from(model.number).map_err(|_| damaged("number"))?,
        exchange: Uuid::parse_str(&model.exchange).map_err(|_| damaged("exchange"))?,
        status: model.status,
        next_at: time(TABLE, model.next_at)?,
        version: model.version,
    })
}
