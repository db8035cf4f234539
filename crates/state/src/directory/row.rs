//! The tables of directories: people and groups as they were told to us, who is in which group, and the
//! tokens that directories show.

use sea_orm::sea_query::{ColumnDef, Index, Table};

use crate::migrate::Step;

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
pub(super) mod entry {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "directory_entries")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub client: String,
        pub kind: String,
        pub name: String,
        pub external_id: Option<String>,
        pub account: Option<String>,
        pub version: i64,
        pub created_at: i64,
        pub changed_at: i64,
        pub sealed: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
pub(super) mod member {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "directory_members")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub group_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub member: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
pub(super) mod token {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "directory_tokens")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub client: String,
        pub made_at: i64,
        pub expires_at: i64,
        pub revoked_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) fn tables() -> Vec<Step> {
    vec![
        Step::table(entries()),
        Step::index(
            Index::create()
                .name("directory_entries_name")
                .table(entry::Entity)
                .col(entry::Column::Client)
                .col(entry::Column::Kind)
                .col(entry::Column::Name)
                .take(),
        ),
        Step::index(
            Index::create()
                .name("directory_entries_account")
                .table(entry::Entity)
                .col(entry::Column::Account)
                .unique()
                .take(),
        ),
        Step::table(members()),
        Step::index(
            Index::create()
                .name("directory_members_member")
                .table(member::Entity)
                .col(member::Column::Member)
                .take(),
        ),
        Step::table(tokens()),
    ]
}

fn entries() -> sea_orm::sea_query::TableCreateStatement {
    use entry::Column;
    let mut table = Table::create();
    table.table(entry::Entity);
    table.col(ColumnDef::new(Column::Id).text().not_null().primary_key());
    table.col(ColumnDef::new(Column::Client).text().not_null());
    table.col(ColumnDef::new(Column::Kind).text().not_null());
    table.col(ColumnDef::new(Column::Name).text().not_null());
    table.col(ColumnDef::new(Column::ExternalId).text());
    table.col(ColumnDef::new(Column::Account).text());
    table.col(ColumnDef::new(Column::Version).big_integer().not_null());
    table.col(ColumnDef::new(Column::CreatedAt).big_integer().not_null());
    table.col(ColumnDef::new(Column::ChangedAt).big_integer().not_null());
    table.col(ColumnDef::new(Column::Sealed).binary().not_null());
    table
}

fn members() -> sea_orm::sea_query::TableCreateStatement {
    let mut table = Table::create();
    table.table(member::Entity);
    table.col(ColumnDef::new(member::Column::GroupId).text().not_null());
    table.col(ColumnDef::new(member::Column::Member).text().not_null());
    table.primary_key(Index::create().col(member::Column::GroupId).col(member::Column::Member));
    table
}

fn tokens() -> sea_orm::sea_query::TableCreateStatement {
    use token::Column;
    let mut table = Table::create();
    table.table(token::Entity);
    table.col(ColumnDef::new(Column::Id).text().not_null().primary_key());
    table.col(ColumnDef::new(Column::Client).text().not_null());
    table.col(ColumnDef::new(Column::MadeAt).big_integer().not_null());
    table.col(ColumnDef::new(Column::ExpiresAt).big_integer().not_null());
    table.col(ColumnDef::new(Column::RevokedAt).big_integer());
    table
}
