//! The accounts' table. What names a person is sealed; the rest is what look-ups and upkeep go by.

use sea_orm::sea_query::{ColumnDef, Index, Table};

use crate::migrate::Step;

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod entity {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "accounts")]
    pub struct Model {
        /// The same value as the `person` column of sessions.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub version: i64,
        pub epoch: i64,
        pub kind: String,
        pub active: bool,
        pub created_at: i64,
        pub changed_at: i64,
        pub enabled_at: i64,
        pub last_sign_in_at: Option<i64>,
        pub ends_at: Option<i64>,
        pub disabled_at: Option<i64>,
        pub removed_at: Option<i64>,
        pub user_name: Option<String>,
        pub external_id: Option<String>,
        pub sealed: Vec<u8>,
        /// The newest mark at which the person was put out: sign-ins that began before it don't count.
        pub put_out: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) use entity::{ActiveModel, Column, Entity, Model};

pub(crate) fn tables() -> Vec<Step> {
    let mut table = Table::create();
    table.table(Entity);
    table.col(ColumnDef::new(Column::Id).text().not_null().primary_key());
    table.col(ColumnDef::new(Column::Version).big_integer().not_null());
    table.col(ColumnDef::new(Column::Epoch).big_integer().not_null());
    table.col(ColumnDef::new(Column::Kind).text().not_null());
    table.col(ColumnDef::new(Column::Active).boolean().not_null());
    table.col(ColumnDef::new(Column::CreatedAt).big_integer().not_null());
    table.col(ColumnDef::new(Column::ChangedAt).big_integer().not_null());
    table.col(ColumnDef::new(Column::EnabledAt).big_integer().not_null());
    table.col(ColumnDef::new(Column::LastSignInAt).big_integer());
    table.col(ColumnDef::new(Column::EndsAt).big_integer());
    table.col(ColumnDef::new(Column::DisabledAt).big_integer());
    table.col(ColumnDef::new(Column::RemovedAt).big_integer());
    table.col(ColumnDef::new(Column::UserName).text());
    table.col(ColumnDef::new(Column::ExternalId).text());
    table.col(ColumnDef::new(Column::Sealed).binary().not_null());
    let index = |name: &str, column| {
        Step::index(Index::create().name(name).table(Entity).col(column).take())
    };
    let mut steps = vec![
        Step::table(table),
        index("accounts_user_name", Column::UserName),
        index("accounts_external_id", Column::ExternalId),
    ];
    steps.extend(crate::sessions::tied_to_accounts());
    steps
}

/// What a sign-in under way is held against.
pub(crate) fn marks() -> Vec<Step> {
    let mut put_out = ColumnDef::new(Column::PutOut);
    let column = put_out.big_integer().not_null().default(0).take();
    let index = Index::create().name("accounts_put_out").table(Entity).col(Column::PutOut).take();
    vec![Step::alter(Table::alter().table(Entity).add_column(column).take()), Step::index(index)]
}
