//! A real PostgreSQL over verified TLS, in one story because it takes a second to start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{Harness, page, read, shown, text, write};
use gate::{Direction, Filter, Limits, Total, Value, View};
use keys::Clock as _;
use keys::cert::{Certificate, Usage};
use keys::sign::P384Key;
use sources::{Fault, SourceKind, SourceSpec, Sources};
use testkit::Postgres;
use wire::tls::{ClientTls, Trust, client_config_without_alpn};
use wire::{Addresses, Egress, Target};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn believe(path: &Path) -> Result<ClientTls, Failure> {
    let authority = Certificate::from_pem(&std::fs::read_to_string(path)?)?;
    let trust = Trust::authority(authority);
    Ok(client_config_without_alpn(&trust, None, Arc::new(keys::SystemClock))?)
}

fn open(host: &str, port: u16, user: &str, password: &Path, ca: &Path) -> Harness {
    let spec = |id: &str, writes| SourceSpec {
        id: id.to_owned(),
        writes,
        kind: SourceKind::Postgres {
            host: host.to_owned(),
            port,
            database: "records".to_owned(),
            user: user.to_owned(),
            password_file: password.to_owned(),
            ca_file: ca.to_owned(),
        },
    };
    let target = Target { host: host.to_owned(), port, addresses: Addresses::Private };
    let egress = Egress::new(vec![target]);
    let specs = vec![spec("rms", false), spec("rms-write", true)];
    Harness::new(Sources::open(specs, &egress, &believe).unwrap())
}

/// The server, and the files that an agency would have beside its declaration.
struct Peer {
    postgres: Postgres,
    folder: tempfile::TempDir,
}

const PASSWORD: &str = "correct horse battery staple";

impl Peer {
    /// None where PostgreSQL is not installed and that is no failure.
    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (authority, key) = certify("Test Authority", Usage::Ca, None);
        let (server, server_key) = certify("localhost", Usage::TlsServer, Some((&authority, &key)));
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let (other, _) = certify("Another Authority", Usage::Ca, None);
        std::fs::write(folder.path().join("other-ca.pem"), other.pem()).unwrap();
        std::fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        let server_key = keys::cert::private_key_pem(&server_key.to_pkcs8());
        let started = Postgres::start(&server.pem(), &server_key, PASSWORD).await.unwrap();
        let peer = Self { postgres: started?, folder };
        peer.sql("postgres", "create role bailiwick login password 'correct horse battery staple'")
            .await;
        peer.sql("postgres", "create database records").await;
        peer.sql("records", SEED).await;
        Some(peer)
    }

    /// Runs SQL as the superuser.
    async fn sql(&self, database: &str, sql: &str) {
        let file = self.folder.path().join("script.sql");
        std::fs::write(&file, sql).unwrap();
        self.postgres.run(database, PASSWORD, &file).await.unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn connect(&self) -> Harness {
        let (password, ca) = (self.file("password"), self.file("ca.pem"));
        open("localhost", self.postgres.port, "bailiwick", &password, &ca)
    }
}

const SEED: &str = "
    create type colour as enum ('red', 'blue');
    create table vehicles (id text primary key, plate text, state text, year integer,
      status text not null default 'clear', seen timestamptz, bought date, price numeric(10,2),
      paint colour, tag uuid, armed boolean);
    insert into vehicles values
      ('V-000001', '7KDR419', 'NB', 2015, 'clear', '2026-11-22T10:00:00+02', '2015-03-01', 12.50,
        'red', '11111111-2222-3333-4444-555555555555', true),
      ('V-000002', '1ABC234', null, 2009, 'clear', null, null, null, null, null, null),
      ('V-000003', '7KDR420', 'NB', null, 'clear', null, '1999-12-31', -3, 'blue', null, false);
    create table sealed (id text, agency text);
    insert into sealed values ('S-1', 'NB0010100'), ('S-2', 'NB0020000');
    alter table sealed enable row level security;
    create policy own on sealed using (agency = current_setting('bailiwick.agency')
      and current_setting('bailiwick.actor') = 'riverton|det.ruiz'
      and current_setting('bailiwick.purpose') = 'C');
    grant select, insert, update, delete on vehicles, sealed to bailiwick;";

async fn count(harness: &Harness, condition: &str) -> String {
    let sql = format!("select count(*) as n from vehicles where {condition}");
    shown(&harness.fetch(read("rms", &sql, &[])).await.unwrap())
}

#[tokio::test]
async fn the_query_part_of_the_story_on_postgresql() {
    let Some(peer) = Peer::start().await else { return };
    let harness = peer.connect();
    harness.sources.check("rms").await.unwrap();
    values_of_every_kind(&harness).await;
    sql_in_a_value_stays_a_value(&harness).await;
    pages(&harness).await;
    writes_in_reads_are_refused(&harness).await;
    limits(&harness).await;
    writes(&harness).await;
    commits_without_an_answer(&harness, &peer).await;
    row_level_security_knows_who_asks(&harness).await;
    who_is_not_believed(&peer).await;
    reads_that_nobody_waits_for_stop_at_the_server(&harness, &peer).await;
    lost_connections(&harness, &peer).await;
}

async fn values_of_every_kind(harness: &Harness) {
    let sql = "select id, year, seen, bought, price, paint, tag, armed, now() - now() is null as no
        from vehicles where plate like :plate escape '\\' and (:state is null or state = :state)
          and (:since is null or bought >= :since) order by id";
    let plan = |state: Value, since: Value| {
        read("rms", sql, &[("plate", text("%")), ("state", state), ("since", since)])
    };
    let rows = harness.fetch(plan(text("NB"), Value::Null)).await.unwrap();
    assert_eq!(
        shown(&rows),
        "V-000001|2015|2026-11-22T08:00:00Z|2015-03-01|12.50|red|\
         11111111-2222-3333-4444-555555555555|true|false;\
         V-000003|-|-|1999-12-31|-3.00|blue|-|false|false"
    );
    // A text takes the type of the column that it is compared with.
    let rows = harness.fetch(plan(Value::Null, text("2000-01-01"))).await.unwrap();
    assert_eq!(rows.rows.len(), 1);
    let typed = "select :i + 1 as i, :r * 2 as r, not :b as b, :t as t";
    let binds = [
        ("i", Value::Int(41)),
        ("r", Value::Real(1.5)),
        ("b", Value::Bool(true)),
        ("t", text("é")),
    ];
    let rows = harness.fetch(read("rms", typed, &binds)).await.unwrap();
    assert_eq!(shown(&rows), "42|3|false|é");
    let fault = harness.fetch(read("rms", "select array[1] as list", &[])).await.unwrap_err();
    assert!(fault.to_string().contains("column `list` is of type `_int4`"), "{fault}");
}

async fn sql_in_a_value_stays_a_value(harness: &Harness) {
    let attacks = [
        "' or '1'='1",
        "'; drop table vehicles; --",
        "$$; drop table vehicles; $$",
        "\\'; select pg_sleep(10); --",
        "x' union select rolpassword from pg_authid --",
        "$1",
        "{{plate}}",
    ];
    for attack in attacks {
        let plate = [("p", text(attack))];
        let sql = "select id from vehicles where plate = :p";
        assert_eq!(shown(&harness.fetch(read("rms", sql, &plate)).await.unwrap()), "");
        let echoed = harness.fetch(read("rms", "select :p as p", &plate)).await.unwrap();
        assert_eq!(shown(&echoed), attack);
        let mut filtered = read("rms", "select id, plate from vehicles", &[]);
        filtered.view = Some(View {
            filters: vec![Filter { column: "plate".to_owned(), value: text(attack) }],
            ..page(1, 10)
        });
        assert_eq!(shown(&harness.fetch(filtered).await.unwrap()), "");
    }
    assert_eq!(count(harness, "true").await, "3");
    // The database's message about a bad value repeats the value; ours does not.
    let sql = "select id from vehicles where year = :y";
    let fault = harness.fetch(read("rms", sql, &[("y", text("Marlow"))])).await.unwrap_err();
    assert_eq!(fault.to_string(), "the database refused: 22P02");
}

async fn pages(harness: &Harness) {
    let mut plan = read("rms", "select id, year, state from vehicles -- all of them", &[]);
    let sort = |direction| vec![("year".to_owned(), direction)];
    plan.view = Some(View { sort: sort(Direction::Ascending), ..page(1, 2) });
    let rows = harness.fetch(plan.clone()).await.unwrap();
    assert_eq!(
        (shown(&rows).as_str(), rows.total),
        ("V-000003|-|NB;V-000002|2009|-", Total::Exact(3))
    );
    plan.view = Some(View { sort: sort(Direction::Descending), ..page(2, 2) });
    assert_eq!(shown(&harness.fetch(plan.clone()).await.unwrap()), "V-000003|-|NB");
    // A filter on a number comes from a form as text.
    let filters = vec![Filter { column: "year".to_owned(), value: text("2015") }];
    plan.view = Some(View { filters, count_max: 1, ..page(1, 10) });
    assert_eq!(shown(&harness.fetch(plan.clone()).await.unwrap()), "V-000001|2015|NB");
    plan.view = Some(View { count_max: 2, ..page(1, 1) });
    assert_eq!(harness.fetch(plan.clone()).await.unwrap().total, Total::MoreThan(2));
    let misspelt = vec![("year\" desc; --".to_owned(), Direction::Ascending)];
    plan.view = Some(View { sort: misspelt, ..page(1, 1) });
    let fault = harness.fetch(plan).await.unwrap_err();
    assert!(matches!(&fault, Fault::Database { code, .. } if code == "42703"), "{fault}");
}

async fn writes_in_reads_are_refused(harness: &Harness) {
    let refused = [
        ("delete from vehicles returning id", "25006"),
        ("with gone as (delete from vehicles returning id) select id from gone", "25006"),
        ("update vehicles set status = 'x' returning id", "25006"),
        ("select id from vehicles for update", "25006"),
        ("select set_config('transaction_read_only', 'off', true) as s", "25001"),
        ("select pg_read_file('/etc/passwd') as f", "42501"),
        ("select lo_import('/etc/passwd') as f", ""),
        ("select rolpassword from pg_authid", "42501"),
    ];
    for (sql, expected) in refused {
        let fault = harness.fetch(read("rms", sql, &[])).await.unwrap_err();
        let Fault::Database { code, .. } = &fault else { panic!("{sql}: {fault}") };
        assert!(expected.is_empty() || code == expected, "{sql}: {fault}");
    }
    for sql in [
        "delete from vehicles",
        "commit",
        "create table x (y int)",
        "copy vehicles to program 'id'",
        "",
    ] {
        let fault = harness.fetch(read("rms", sql, &[])).await.unwrap_err();
        assert!(
            matches!(fault, Fault::Database { .. } | Fault::Statement { .. }),
            "{sql}: {fault}"
        );
    }
    assert_eq!(count(harness, "true").await, "3");
    assert_eq!(harness.fetch(read("rms", "select 1 as one", &[])).await.unwrap().rows.len(), 1);
}

async fn limits(harness: &Harness) {
    let limited = |sql: &str, change: &dyn Fn(&mut Limits)| {
        let mut plan = read("rms", sql, &[]);
        change(&mut plan.limits);
        plan
    };
    let started = Instant::now();
    let slow = limited("select pg_sleep(30)::text as s", &|limits| {
        limits.wait_max = Duration::from_millis(200);
    });
    let fault = harness.fetch(slow).await.unwrap_err();
    assert!(matches!(fault, Fault::TimedOut { .. }), "{fault}");
    assert!(started.elapsed() < Duration::from_secs(5));
    let many = "select i from generate_series(1, 1000000) i";
    let fault = harness.fetch(limited(many, &|_| ())).await.unwrap_err();
    assert!(matches!(fault, Fault::TooManyRows { max: 100 }), "{fault}");
    let large = "select repeat('x', 1000) as x from generate_series(1, 100)";
    assert!(harness.fetch(limited(large, &|_| ())).await.is_ok());
    let fault = harness.fetch(limited(large, &|limits| limits.bytes_max = 99_999)).await;
    assert!(matches!(fault, Err(Fault::TooManyBytes { max: 99_999 })));
}

async fn writes(harness: &Harness) {
    let flag = "update vehicles set status = 'flagged', bought = :on where id = :id \
        and status <> 'flagged'";
    let binds = [("id", text("V-000001")), ("on", text("2026-11-22"))];
    assert_eq!(harness.execute(write("rms-write", flag, &binds, Some(1))).await.unwrap(), 1);
    let again = harness.execute(write("rms-write", flag, &binds, Some(1))).await.unwrap_err();
    assert!(matches!(again, Fault::UnexpectedRows { expected: 1, changed: 0 }), "{again}");
    let all = "update vehicles set status = 'gone'";
    let all = harness.execute(write("rms-write", all, &[], Some(1))).await.unwrap_err();
    assert!(matches!(all, Fault::UnexpectedRows { expected: 1, changed: 3 }), "{all}");
    assert_eq!(count(harness, "status = 'gone'").await, "0");
    assert_eq!(count(harness, "status = 'flagged'").await, "1");
    let refused = harness.execute(write("rms", flag, &binds, Some(1))).await;
    assert!(matches!(refused, Err(Fault::ReadOnly)));
    let reads = harness.execute(write("rms-write", "select 1 as one", &[], None)).await;
    assert!(matches!(reads, Err(Fault::Statement { .. })));
}

/// What breaks or is late while the database commits may have been done; what the database refuses was not.
async fn commits_without_an_answer(harness: &Harness, peer: &Peer) {
    let flag = "update vehicles set year = :year where id = 'V-000003'";
    let commit_with = async |what: &str| {
        let sql = format!(
            "create or replace function at_commit() returns trigger language plpgsql security definer \
             as $$ begin {what}; return null; end $$;
             drop trigger if exists at_commit on vehicles;
             create constraint trigger at_commit after update on vehicles deferrable initially deferred \
             for each row execute function at_commit();"
        );
        peer.sql("records", &sql).await;
    };
    let execute = async |year: &str, wait_max| {
        let mut plan = write("rms-write", flag, &[("year", text(year))], Some(1));
        plan.limits.wait_max = wait_max;
        harness.execute(plan).await.unwrap_err()
    };
    let wait_max = Duration::from_secs(5);
    commit_with("raise 'not like that'").await;
    let refused = execute("2001", wait_max).await;
    assert!(matches!(&refused, Fault::Database { code, .. } if code == "P0001"), "{refused}");
    commit_with("perform pg_terminate_backend(pg_backend_pid())").await;
    let broken = execute("2002", wait_max).await;
    assert!(matches!(broken, Fault::Uncertain { .. }), "{broken}");
    assert_eq!(count(harness, "year in (2001, 2002)").await, "0");
    commit_with("perform pg_sleep(3)").await;
    let late = execute("2003", Duration::from_millis(500)).await;
    assert!(matches!(late, Fault::Uncertain { .. }), "{late}");
    // The database does it all the same.
    for _ in 0..100 {
        if count(harness, "year = 2003").await == "1" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(count(harness, "year = 2003").await, "1");
    peer.sql("records", "drop trigger at_commit on vehicles").await;
}

async fn row_level_security_knows_who_asks(harness: &Harness) {
    let rows = harness.fetch(read("rms", "select id from sealed", &[])).await.unwrap();
    assert_eq!(shown(&rows), "S-1");
}

async fn who_is_not_believed(peer: &Peer) {
    let (port, role) = (peer.postgres.port, "bailiwick");
    let (password, ca) = (peer.file("password"), peer.file("ca.pem"));
    let outcome = |harness: Harness| async move {
        harness.fetch(read("rms", "select 1 as one", &[])).await.unwrap_err()
    };
    // Vouched for by another authority; by a name that is not in the certificate.
    let stranger = open("localhost", port, role, &password, &peer.file("other-ca.pem"));
    let fault = outcome(stranger).await;
    assert!(matches!(fault, Fault::Connect { .. }), "{fault}");
    let misnamed = open("127.0.0.1", port, role, &password, &ca);
    let fault = outcome(misnamed).await;
    assert!(matches!(fault, Fault::Connect { .. }), "{fault}");
    // A wrong password, in words of the server that hold no password.
    let wrong = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(wrong.path(), "swordfish\n").unwrap();
    let fault = outcome(open("localhost", port, role, wrong.path(), &ca)).await;
    assert!(matches!(&fault, Fault::Database { code, .. } if code == "28P01"), "{fault}");
    assert!(!format!("{fault:?}").contains("swordfish"));
    // A superuser could read what no policy speaks of.
    let superuser = "create role root superuser login password 'correct horse battery staple'";
    peer.sql("postgres", superuser).await;
    let fault = outcome(open("localhost", port, "root", &password, &ca)).await;
    assert!(matches!(fault, Fault::Superuser), "{fault}");
}

async fn reads_that_nobody_waits_for_stop_at_the_server(harness: &Harness, peer: &Peer) {
    let mut plan = read("rms", "select pg_sleep(30)::text as s", &[]);
    plan.limits.wait_max = Duration::from_secs(60);
    let let_go = tokio::time::timeout(Duration::from_secs(1), harness.fetch(plan)).await;
    assert!(let_go.is_err(), "nobody waits for it now");
    let dropped = Instant::now();
    let runs = "do $$ begin for i in 1..50 loop perform pg_stat_clear_snapshot(); if not exists \
        (select from pg_stat_activity where state = 'active' and usename = 'bailiwick' \
        and query like '%pg_sleep%') then \
        return; end if; perform pg_sleep(0.1); end loop; raise 'it still runs'; end $$;";
    peer.sql("postgres", runs).await;
    assert!(dropped.elapsed() < Duration::from_secs(5), "{:?}", dropped.elapsed());
    assert_eq!(count(harness, "true").await, "3");
}

async fn lost_connections(harness: &Harness, peer: &Peer) {
    let sever =
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'bailiwick'";
    peer.sql("postgres", sever).await;
    // The first request may meet a connection that was just lost; the next finds a new one.
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(harness.fetch(read("rms", "select 1 as one", &[])).await.is_ok());
    }
    assert!(answers.last().is_some_and(|answer| *answer), "{answers:?}");
}

/// A server that answers "no TLS" is not spoken to: no password, no query.
#[tokio::test]
async fn plain_text_is_refused() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let folder = tempfile::tempdir().unwrap();
    let (password, ca) = (folder.path().join("password"), folder.path().join("ca.pem"));
    std::fs::write(&password, "swordfish\n").unwrap();
    std::fs::write(&ca, certify("Test Authority", Usage::Ca, None).0.pem()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(b"N").await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        rest
    });
    let harness = open("localhost", port, "bailiwick", &password, &ca);
    let fault = harness.fetch(read("rms", "select 1 as one", &[])).await.unwrap_err();
    assert!(matches!(fault, Fault::Connect { .. }), "{fault}");
    assert_eq!(server.await.unwrap(), b"", "something was sent in the clear");
}

fn certify(
    name: &str,
    usage: Usage,
    issuer: Option<(&Certificate, &P384Key)>,
) -> (Certificate, P384Key) {
    let now = keys::SystemClock.now();
    let dns = if usage == Usage::TlsServer { vec![name.to_owned()] } else { Vec::new() };
    let spec = keys::cert::CertSpec {
        subject_cn: name.to_owned(),
        organisation: "Bailiwick tests".to_owned(),
        not_before: now - jiff::SignedDuration::from_mins(5),
        not_after: now + jiff::SignedDuration::from_hours(1),
        usage,
        dns,
        ips: Vec::new(),
        uris: Vec::new(),
    };
    let key = P384Key::generate().unwrap();
    (keys::cert::issue(&spec, &key, issuer, &keys::SystemRandom).unwrap(), key)
}
