//! The story's look-ups with the records in a real PostgreSQL, over verified TLS.

use std::path::Path;

use demo::runner::{Places, Staging, World};
use demo::seed::{Agency, Table, postgres};
use sources::SourceKind;
use testkit::Postgres;

use crate::authority;

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The demo's records as SQL for `psql`: schema, rows, indexes.
fn script() -> String {
    let mut sql = postgres::schema();
    for table in Table::ALL {
        let rows = postgres::copy_text(Agency::Riverton, table).unwrap();
        sql += &format!("{};\n{rows}\\.\n", postgres::copy_statement(table));
    }
    sql + postgres::INDEXES + "grant select, update on all tables in schema public to bailiwick;\n"
}

#[expect(clippy::print_stderr, reason = "the steps, for whoever reads a failure")]
fn tell(line: &str) {
    eprintln!("{line}");
}

pub(crate) async fn server(folder: &Path) -> Option<(Postgres, SourceKind)> {
    let issued = authority::localhost();
    let server = Postgres::start(&issued.certificate, &issued.key, PASSWORD).await.unwrap()?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let role = format!("create role bailiwick login password '{PASSWORD}'; create database rms;");
    server.run("postgres", PASSWORD, &write("role.sql", &role)).await.unwrap();
    server.run("rms", PASSWORD, &write("records.sql", &script())).await.unwrap();
    let records = SourceKind::Postgres {
        host: "localhost".to_owned(),
        port: server.port,
        database: "rms".to_owned(),
        user: "bailiwick".to_owned(),
        password_file: write("password", &format!("{PASSWORD}\n")),
        ca_file: write("ca.pem", &issued.authority),
    };
    Some((server, records))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_tools_work_on_postgresql_over_verified_tls() {
    let folder = tempfile::tempdir().unwrap();
    let Some((server, records)) = server(folder.path()).await else { return };
    let root = folder.path().join("world");
    let staging = Staging { records, ..Staging::default() };
    let world = World::start_staged(&root, Places::free().await.unwrap(), staging).await.unwrap();
    let held = demo::story::play_queries(&world, tell).await;
    world.stop().await;
    assert!(held, "a step of the story does not hold, see above");

    // The flag is in PostgreSQL, and the SQLite file that was made beside it knows of none.
    let flagged = "do $$ begin if not exists (select from vehicles where plate = '7KDR419' and \
                   status = 'flagged') then raise 'no flag'; end if; end $$;";
    let query = folder.path().join("flagged.sql");
    std::fs::write(&query, flagged).unwrap();
    server.run("rms", PASSWORD, &query).await.unwrap();
}
