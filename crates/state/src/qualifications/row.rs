//! The table of qualifications: one sealed list for each account.

use sea_orm::sea_query::{ColumnDef, Table};

use crate::migrate::Step;

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod entity {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "qualifications")]
    pub struct Model {
        /// The same value as the `id` column of accounts.
        #[sea_orm(primary_key, auto_increment = false)]
        pub account: String,
        pub sealed: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) use entity::{ActiveModel, Column, Entity, Model};

pub(crate) fn tables() -> Vec<Step> {
    let mut table = Table::create();
    table.table(Entity);
    table.col(ColumnDef::new(Column::Account).text().not_null().primary_key());
    table.col(ColumnDef::new(Column::Sealed).binary().not_null());
    vec![Step::table(table)]
}
