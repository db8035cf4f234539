//! Which parcels taken in here hold a redacted copy of what.
//!
//! An original is named by a digest of the place where it is, so that nothing of it stands here. A line says where to
//! look and no more: what a copy is, its own parcel's row says, and a line may outlive that.

use sea_orm::ActiveValue::Set;
use sea_orm::QueryOrder;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use uuid::Uuid;

use crate::migrate::Step;
use crate::sessions::hex;
use crate::{State, StateError, reading, writing};

const TABLE: &str = "redacted_copies";
/// Originals in one statement: databases limit what can be bound.
const ASKED_MAX: usize = 500;

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "redacted_copies")]
    pub struct Model {
        /// The exchange in which the copy was taken in.
        #[sea_orm(primary_key, auto_increment = false)]
        pub exchange: String,
        pub original: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) fn tables() -> Vec<Step> {
    let mut table = Table::create();
    table.table(row::Entity);
    table.col(ColumnDef::new(row::Column::Exchange).text().not_null().primary_key());
    table.col(ColumnDef::new(row::Column::Original).text().not_null());
    let of = Index::create()
        .name("redacted_copies_original")
        .table(row::Entity)
        .col(row::Column::Original)
        .take();
    vec![Step::table(table), Step::index(of)]
}

/// Notes that an exchange holds a copy of an original.
///
/// # Errors
/// [`StateError::Write`].
pub async fn note(state: &State, original: [u8; 32], exchange: Uuid) -> Result<(), StateError> {
    let model =
        row::ActiveModel { exchange: Set(exchange.to_string()), original: Set(hex(&original)) };
    let done = row::Entity::insert(model).exec_without_returning(state.database()).await;
    done.map(|_| ()).map_err(writing("note a redacted copy"))
}

/// Forgets an exchange's line. `false`: there was none.
///
/// # Errors
/// [`StateError::Write`].
pub async fn forget(state: &State, exchange: Uuid) -> Result<bool, StateError> {
    let done = row::Entity::delete_by_id(exchange.to_string()).exec(state.database()).await;
    Ok(done.map_err(writing("forget a redacted copy"))?.rows_affected == 1)
}

/// The exchanges that hold copies of these originals, by the original's place in the question. All of them: a copy that is
/// left out would let its original go.
///
/// # Errors
/// [`StateError::Read`].
pub async fn of(state: &State, originals: &[[u8; 32]]) -> Result<Vec<(usize, Uuid)>, StateError> {
    let names: Vec<String> = originals.iter().map(hex).collect();
    let mut out = Vec::new();
    for asked in names.chunks(ASKED_MAX) {
        let found = row::Entity::find()
            .filter(row::Column::Original.is_in(asked))
            .order_by_asc(row::Column::Exchange)
            .all(state.database())
            .await
            .map_err(reading("look for redacted copies"))?;
        for model in found {
            let damaged = |_| StateError::Damaged { table: TABLE, column: "exchange" };
            let exchange = Uuid::parse_str(&model.exchange).map_err(damaged)?;
            let places = names.iter().enumerate().filter(|(_, name)| **name == model.original);
            out.extend(places.map(|(at, _)| (at, exchange)));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn copies_are_found_by_their_originals_until_they_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&testing::url(folder.path()), testing::key()).await.unwrap();
        let [first, second, other] = [1_u128, 2, 3].map(Uuid::from_u128);
        note(&state, [1; 32], first).await.unwrap();
        note(&state, [1; 32], second).await.unwrap();
        note(&state, [2; 32], other).await.unwrap();
        assert!(note(&state, [2; 32], first).await.is_err(), "a copy has one original");
        assert_eq!(of(&state, &[[9; 32], [1; 32]]).await.unwrap(), [(1, first), (1, second)]);
        assert!(forget(&state, first).await.unwrap());
        assert!(!forget(&state, first).await.unwrap());
        assert_eq!(of(&state, &[[1; 32], [2; 32]]).await.unwrap(), [(0, second), (1, other)]);
        assert_eq!(of(&state, &[]).await.unwrap(), []);
        testing::break_writes(&state, TABLE, "INSERT").await.unwrap();
        assert!(note(&state, [1; 32], first).await.is_err());
    }
}
