//! Migrations: each is applied once, in order, whole or not at all, and is never changed afterwards.
//!
//! To change the shape of the state, add a line at the end of [`MIGRATIONS`] and a function in the module
//! whose tables it makes. Tables are described with sea-query, so that PostgreSQL gets its own types.

use sea_orm::sea_query::{
    Alias, ColumnDef, Expr, IndexCreateStatement, IntoIden, Order, Query, Table,
    TableAlterStatement, TableCreateStatement,
};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, SqliteTransactionMode};
use sea_orm::{TransactionOptions, TransactionTrait};

use crate::{StateError, Trouble};

/// One change of shape.
pub(crate) enum Step {
    Table(Box<TableCreateStatement>),
    Index(Box<IndexCreateStatement>),
    Alter(Box<TableAlterStatement>),
}

impl Step {
    pub(crate) fn table(table: TableCreateStatement) -> Self {
        Self::Table(Box::new(table))
    }

    pub(crate) fn index(index: IndexCreateStatement) -> Self {
        Self::Index(Box::new(index))
    }

    /// SQLite takes one change of a table at a time.
    pub(crate) fn alter(table: TableAlterStatement) -> Self {
        Self::Alter(Box::new(table))
    }
}

/// A named list of steps. The name is stored, and must be the same for ever.
pub(crate) struct Migration {
    pub(crate) name: &'static str,
    pub(crate) steps: fn() -> Vec<Step>,
}

/// In the order of application; the version of the first is 1.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { name: "sessions", steps: crate::sessions::tables },
    Migration { name: "sign-ins", steps: crate::sign_ins::tables },
    Migration { name: "exports", steps: crate::exports::tables },
    Migration { name: "parcels", steps: crate::parcels::tables },
    Migration { name: "accounts", steps: crate::accounts::tables },
    Migration { name: "directories", steps: crate::directory::tables },
    Migration { name: "qualifications", steps: crate::qualifications::tables },
    Migration { name: "access-reviews", steps: crate::reviews::tables },
    Migration { name: "provider-drafts", steps: crate::drafts::tables },
    Migration { name: "emergency-accounts", steps: crate::emergency::tables },
    Migration { name: "provider-holds", steps: crate::holds::tables },
    Migration { name: "exchange-notices", steps: crate::notices::tables },
    Migration { name: "agreement-versions", steps: crate::agreements::tables },
    Migration { name: "export-templates", steps: crate::templates::tables },
    Migration { name: "put-out", steps: crate::accounts::marks },
    Migration { name: "redacted-copies", steps: crate::copies::tables },
    Migration { name: "number-gaps", steps: crate::gaps::tables },
];

/// Applies what is missing. All of it is one transaction.
pub(crate) async fn apply(database: &DatabaseConnection) -> Result<(), StateError> {
    apply_all(database, MIGRATIONS).await
}

async fn apply_all(
    database: &DatabaseConnection,
    migrations: &'static [Migration],
) -> Result<(), StateError> {
    // A database that has everything is not written to, so that a read-only one opens.
    let applied = applied(database).await.unwrap_or_default();
    if check(&applied, migrations)? == migrations.len() {
        return Ok(());
    }
    let failed = |name| move |source: DbErr| wrong(name, source);
    let options = TransactionOptions {
        isolation_level: None,
        access_mode: None,
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
    };
    let transaction = database.begin_with_options(options).await.map_err(failed("begin"))?;
    transaction.execute(&migrations_table()).await.map_err(failed("migrations"))?;
    // Read again under the write lock: another process may have been first.
    let done = self::applied(&transaction).await.map_err(failed("migrations"))?;
    let done = check(&done, migrations)?;
    for (version, migration) in (1_i64..).zip(migrations).skip(done) {
        for step in (migration.steps)() {
            let outcome = match step {
                Step::Table(table) => transaction.execute(&*table).await,
                Step::Index(index) => transaction.execute(&*index).await,
                Step::Alter(table) => transaction.execute(&*table).await,
            };
            outcome.map_err(failed(migration.name))?;
        }
        let mut note = Query::insert();
        note.into_table(name("migrations")).columns([name("version"), name("name")]);
        note.values_panic([Expr::val(version), Expr::val(migration.name)]);
        transaction.execute(&note).await.map_err(failed(migration.name))?;
    }
    transaction.commit().await.map_err(failed("commit"))
}

fn wrong(name: &'static str, source: DbErr) -> StateError {
    StateError::Migrate { name, why: Trouble::of(&source), source }
}

/// How many are applied, if what is applied is a beginning of what is known.
fn check(applied: &[(i64, String)], migrations: &[Migration]) -> Result<usize, StateError> {
    for ((version, found), expected) in applied.iter().zip(1_i64..) {
        let known =
            usize::try_from(*version).ok().and_then(|at| migrations.get(at.checked_sub(1)?));
        let Some(known) = known.filter(|_| *version == expected) else {
            return Err(StateError::Newer { found: *version, known: migrations.len() });
        };
        if known.name != found {
            let (version, found) = (*version, found.clone());
            return Err(StateError::Foreign { version, found, known: known.name });
        }
    }
    Ok(applied.len())
}

async fn applied(database: &impl ConnectionTrait) -> Result<Vec<(i64, String)>, DbErr> {
    let mut query = Query::select();
    query.columns([name("version"), name("name")]).from(name("migrations"));
    query.order_by(name("version"), Order::Asc);
    let rows = database.query_all(&query).await?;
    rows.iter().map(|row| Ok((row.try_get("", "version")?, row.try_get("", "name")?))).collect()
}

fn migrations_table() -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name("migrations")).if_not_exists();
    table.col(ColumnDef::new(name("version")).big_integer().not_null().primary_key());
    table.col(ColumnDef::new(name("name")).text().not_null());
    table
}

fn name(text: &'static str) -> sea_orm::sea_query::DynIden {
    Alias::new(text).into_iden()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn extra() -> Vec<Step> {
        let mut good = Table::create();
        good.table(name("extra")).col(ColumnDef::new(name("id")).text().primary_key());
        let bad = good.clone();
        // The second makes the same table again, which fails.
        vec![Step::table(good), Step::table(bad)]
    }

    fn tables() -> Vec<Step> {
        crate::sessions::tables()
    }

    const BROKEN: &[Migration] =
        &[Migration { name: "sessions", steps: tables }, Migration { name: "extra", steps: extra }];
    const RENAMED: &[Migration] = &[Migration { name: "settings", steps: tables }];

    async fn empty() -> DatabaseConnection {
        let mut options = sea_orm::ConnectOptions::new("sqlite::memory:");
        options.max_connections(1);
        sea_orm::Database::connect(options).await.unwrap()
    }

    #[tokio::test]
    async fn migrations_are_applied_once_and_a_second_open_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let url = testing::url(folder.path());
        let state = crate::State::open(&url, testing::key()).await.unwrap();
        assert_eq!(applied(state.database()).await.unwrap().len(), MIGRATIONS.len());
        state.close().await.unwrap();
        let state = crate::State::open(&url, testing::key()).await.unwrap();
        let names: Vec<String> =
            applied(state.database()).await.unwrap().into_iter().map(|(_, name)| name).collect();
        let known: Vec<&str> = MIGRATIONS.iter().map(|migration| migration.name).collect();
        assert_eq!(names, known);
    }

    #[tokio::test]
    async fn a_migration_that_fails_leaves_nothing_of_any_of_them() {
        let database = empty().await;
        let error = apply_all(&database, BROKEN).await.unwrap_err();
        assert_eq!(error.to_string(), "could not apply migration `extra` to the state database");
        assert!(applied(&database).await.is_err(), "not even the list of migrations was made");
        apply(&database).await.unwrap();
    }

    #[tokio::test]
    async fn a_database_of_a_later_program_is_refused() {
        let database = empty().await;
        apply(&database).await.unwrap();
        let error = apply_all(&database, MIGRATIONS.get(..1).unwrap()).await.unwrap_err();
        assert!(matches!(error, StateError::Newer { found: 2, known: 1 }), "{error}");
    }

    #[tokio::test]
    async fn a_database_of_another_program_is_refused() {
        let database = empty().await;
        apply_all(&database, MIGRATIONS.get(..1).unwrap()).await.unwrap();
        let error = apply_all(&database, RENAMED).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "migration 1 of the state database is `sessions` and should be `settings`"
        );
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("state.db"), [0x5a; 8192]).unwrap();
        let error = crate::State::open(&testing::url(folder.path()), testing::key()).await;
        assert!(matches!(error, Err(StateError::Open { .. } | StateError::Migrate { .. })));
    }
}
