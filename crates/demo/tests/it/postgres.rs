//! The story's look-ups with the records in a real PostgreSQL, over verified TLS.

use std::path::Path;

use demo::runner::{Places, Staging, World};
use demo::seed::{Agency, Table, postgres};
use keys::cert::{CertSpec, Certificate, Usage, issue};
use keys::sign::P384Key;
use keys::{Clock as _, SystemClock, SystemRandom};
use sources::SourceKind;
use testkit::Postgres;

pub(crate) const PASSWORD: &str = "correct horse battery staple";

fn certificate(
    name: &str,
    usage: Usage,
    issuer: Option<(&Certificate, &P384Key)>,
) -> (Certificate, P384Key) {
    let now = SystemClock.now();
    let spec = CertSpec {
        subject_cn: name.to_owned(),
        organisation: "Riverton (made up)".to_owned(),
        not_before: now - jiff::SignedDuration::from_hours(1),
        not_after: now + jiff::SignedDuration::from_hours(24),
        usage,
        dns: vec![name.to_owned()],
        ips: Vec::new(),
        uris: Vec::new(),
    };
    let key = P384Key::generate().unwrap();
    (issue(&spec, &key, issuer, &SystemRandom).unwrap(), key)
}

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
    let (authority, authority_key) = certificate("Test Authority", Usage::Ca, None);
    let issuer = Some((&authority, &authority_key));
    let (own, key) = certificate("localhost", Usage::TlsServer, issuer);
    let key = keys::cert::private_key_pem(&key.to_pkcs8());
    let server = Postgres::start(&own.pem(), &key, PASSWORD).await.unwrap()?;
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
        ca_file: write("ca.pem", &authority.pem()),
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
