//! A real SQLite file: what reads, what is refused, and by whom.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::common::{Harness, page, read, shown, text, write};
use gate::{Direction, Filter, Limits, Plan, Total, Value, View};
use proptest::prelude::*;
use sources::{Fault, SourceKind, SourceSpec, Sources};

struct World {
    harness: Harness,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch(
            "pragma journal_mode = wal;
             create table vehicles (id text primary key, plate text, state text, year integer,
               status text not null default 'clear', weight real);
             insert into vehicles (id, plate, state, year, weight) values
               ('V-000001', '7KDR419', 'NB', 2015, 1.5), ('V-000002', '1ABC234', null, 2009, 2.0),
               ('V-000003', '7KDR420', 'NB', null, null), ('V-000004', 'X%_\\Y', 'KS', 2020, 1.0);",
        )
        .unwrap();
    let spec = |id: &str, writes| SourceSpec {
        id: id.to_owned(),
        writes,
        kind: SourceKind::Sqlite { path: path.clone() },
    };
    let specs = vec![spec("rms", false), spec("rms-write", true)];
    let sources = open(specs).unwrap();
    World { harness: Harness::new(sources), path, _folder: folder }
}

fn open(specs: Vec<SourceSpec>) -> Result<Sources, (String, Fault)> {
    Sources::open(specs, &wire::Egress::default(), &|_| Err("no TLS in this test".into()))
}

impl World {
    async fn ids(&self, sql: &str, binds: &[(&str, Value)]) -> String {
        shown(&self.harness.fetch(read("rms", sql, binds)).await.unwrap())
    }

    async fn refusal(&self, sql: &str, binds: &[(&str, Value)]) -> String {
        self.harness.fetch(read("rms", sql, binds)).await.unwrap_err().to_string()
    }

    fn count(&self, condition: &str) -> i64 {
        let database = rusqlite::Connection::open(&self.path).unwrap();
        let sql = format!("select count(*) from vehicles where {condition}");
        database.query_row(&sql, [], |row| row.get(0)).unwrap()
    }
}

const SEARCH: &str = "select id from vehicles
    where plate like :plate escape '\\' and (:state is null or state = :state) order by id";

#[tokio::test]
async fn values_are_bound_by_name_and_null_is_a_value() {
    let world = world();
    let found = world.ids(SEARCH, &[("plate", text("7KDR%")), ("state", Value::Null)]).await;
    assert_eq!(found, "V-000001;V-000003");
    let found = world.ids(SEARCH, &[("plate", text("%")), ("state", text("KS"))]).await;
    assert_eq!(found, "V-000004");
    let types = "select year, weight, state, :yes as yes from vehicles where id = 'V-000002'";
    assert_eq!(world.ids(types, &[("yes", Value::Bool(true))]).await, "2009|2|-|1");
}

#[tokio::test]
async fn what_a_person_types_for_like_is_taken_as_it_is() {
    let world = world();
    for (typed, found) in
        [("X%_\\*", "V-000004"), ("7KDR*", "V-000001;V-000003"), ("%", ""), ("_KDR419", "")]
    {
        let binds = [("plate", text(&sources::escape_like(typed))), ("state", Value::Null)];
        assert_eq!(world.ids(SEARCH, &binds).await, found, "{typed}");
    }
}

#[tokio::test]
async fn sql_in_a_value_stays_a_value() {
    let world = world();
    let attacks = [
        "' or '1'='1",
        "'; drop table vehicles; --",
        "\") or 1=1 --",
        "x' union select sql from sqlite_schema --",
        "{{plate}}",
        ":state",
        "?1",
        "\0",
    ];
    for attack in attacks {
        let found =
            world.ids("select id from vehicles where plate = :p", &[("p", text(attack))]).await;
        assert_eq!(found, "", "{attack}");
        let echoed =
            world.harness.fetch(read("rms", "select :p as p", &[("p", text(attack))])).await;
        assert_eq!(shown(&echoed.unwrap()), attack);
        let mut filtered = read("rms", "select id, plate from vehicles", &[]);
        filtered.view = Some(View {
            filters: vec![Filter { column: "plate".to_owned(), value: text(attack) }],
            ..page(1, 10)
        });
        assert_eq!(shown(&world.harness.fetch(filtered).await.unwrap()), "");
    }
    assert_eq!(world.count("true"), 4);
}

#[tokio::test]
async fn a_write_in_a_read_is_refused_by_the_database_itself() {
    let world = world();
    let writes = [
        "delete from vehicles",
        "delete from vehicles returning id",
        "update vehicles set status = 'x' returning id",
        "insert into vehicles (id) values ('x') returning id",
        "with x as (select 1) insert into vehicles (id) select 'y' returning id",
        "create table x (y)",
        "create temp table x (y)",
        "drop table vehicles",
        "pragma query_only = 0",
        "pragma table_info(vehicles)",
        "attach database ':memory:' as other",
        "reindex",
        "analyze",
        "select load_extension('x')",
    ];
    for sql in writes {
        let refusal = world.refusal(sql, &[]).await;
        assert!(refusal.starts_with("the database refused"), "{sql}: {refusal}");
    }
    assert_eq!(world.count("status = 'clear'"), 4);
    // What opens no door but reads nothing either.
    for sql in [
        "vacuum into '/tmp/bailiwick-copy.db'",
        "begin",
        "commit",
        "select 1; delete from vehicles",
        "",
    ] {
        let refusal = world.refusal(sql, &[]).await;
        assert!(refusal.contains("refused") || refusal.contains("not usable"), "{sql}: {refusal}");
    }
    assert!(!std::path::Path::new("/tmp/bailiwick-copy.db").exists());
    assert_eq!(world.ids("select count(*) from vehicles", &[]).await, "4");
}

#[tokio::test]
async fn binds_and_names_must_match() {
    let world = world();
    let unusable = |text: &str| format!("the statement is not usable: {text}");
    assert_eq!(world.refusal("select :a", &[]).await, unusable("nothing is bound to `:a`"));
    assert_eq!(
        world.refusal("select 1", &[("a", Value::Null)]).await,
        unusable("`:a` is bound but not used")
    );
    assert_eq!(
        world.refusal("select ?1", &[]).await,
        unusable("values are named `:name`, not `?`, `@` or `#`")
    );
}

#[tokio::test]
async fn a_page_is_sorted_filtered_and_counted() {
    let world = world();
    let mut plan = read("rms", "select id, year, state from vehicles -- all of them", &[]);
    let sort = |column: &str, direction| vec![(column.to_owned(), direction)];
    plan.view = Some(View { sort: sort("year", Direction::Ascending), ..page(1, 2) });
    let rows = world.harness.fetch(plan.clone()).await.unwrap();
    assert_eq!(shown(&rows), "V-000003|-|NB;V-000002|2009|-");
    assert_eq!(rows.total, Total::Exact(4));
    plan.view = Some(View { sort: sort("year", Direction::Descending), ..page(2, 3) });
    assert_eq!(shown(&world.harness.fetch(plan.clone()).await.unwrap()), "V-000003|-|NB");
    let filter = |value| vec![Filter { column: "state".to_owned(), value }];
    plan.view = Some(View { filters: filter(text("NB")), ..page(1, 10) });
    let rows = world.harness.fetch(plan.clone()).await.unwrap();
    assert_eq!((rows.rows.len(), rows.total), (2, Total::Exact(2)));
    plan.view = Some(View { filters: filter(Value::Null), ..page(1, 10) });
    assert_eq!(shown(&world.harness.fetch(plan.clone()).await.unwrap()), "V-000002|2009|-");
    plan.view = Some(View { count_max: 3, ..page(1, 2) });
    assert_eq!(world.harness.fetch(plan.clone()).await.unwrap().total, Total::MoreThan(3));
    plan.view = Some(View { count_max: 4, ..page(9, 2) });
    let rows = world.harness.fetch(plan.clone()).await.unwrap();
    assert_eq!((rows.rows.len(), rows.total), (0, Total::Exact(4)));
    for view in [page(0, 2), page(1, 0), page(1, 101)] {
        plan.view = Some(view);
        let fault = world.harness.fetch(plan.clone()).await.unwrap_err();
        assert!(matches!(fault, Fault::Statement { .. }), "{fault}");
    }
}

#[tokio::test]
async fn a_column_name_is_a_name_whatever_is_in_it() {
    let world = world();
    for column in ["nosuch", "year\" desc --", "1", "year\"; delete from vehicles; --", ""] {
        let mut plan = read("rms", "select id, year from vehicles", &[]);
        plan.view =
            Some(View { sort: vec![(column.to_owned(), Direction::Ascending)], ..page(1, 10) });
        let fault = world.harness.fetch(plan.clone()).await.unwrap_err();
        assert!(matches!(fault, Fault::Database { .. }), "{column}: {fault}");
        let filters = vec![Filter { column: column.to_owned(), value: text("x") }];
        plan.view = Some(View { filters, ..page(1, 10) });
        assert!(world.harness.fetch(plan).await.is_err(), "{column}");
    }
    // A misspelt name in double quotes is not quietly a text.
    let refusal = world.refusal("select \"nosuch\" from vehicles", &[]).await;
    assert!(refusal.contains("no such column"), "{refusal}");
}

const ENDLESS: &str =
    "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";

#[tokio::test]
async fn a_query_ends_at_its_deadline_and_leaves_a_usable_connection() {
    let world = world();
    let mut plan = read("rms", ENDLESS, &[]);
    plan.limits.wait_max = Duration::from_millis(100);
    let started = Instant::now();
    let fault = world.harness.fetch(plan).await.unwrap_err();
    assert!(matches!(fault, Fault::TimedOut { .. }), "{fault}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(world.ids("select count(*) from vehicles", &[]).await, "4");
    world.harness.sources.check("rms").await.unwrap();
}

#[tokio::test]
async fn more_readers_than_seats_wait_and_then_give_up() {
    let world = world();
    let plan = |wait: u64| {
        let mut plan = read("rms", ENDLESS, &[]);
        plan.limits.wait_max = Duration::from_millis(wait);
        plan
    };
    let long = || world.harness.fetch(plan(600));
    let late = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut quick = read("rms", "select 1 as one", &[]);
        quick.limits.wait_max = Duration::from_millis(100);
        world.harness.fetch(quick).await
    };
    let (a, b, c, d, late) = tokio::join!(long(), long(), long(), long(), late);
    for outcome in [a, b, c, d, late] {
        assert!(matches!(outcome, Err(Fault::TimedOut { .. })));
    }
}

#[tokio::test]
async fn reads_that_nobody_waits_for_stop_and_give_up_their_seats() {
    let world = world();
    let long = || {
        let mut plan = read("rms", ENDLESS, &[]);
        plan.limits.wait_max = Duration::from_secs(60);
        tokio::time::timeout(Duration::from_millis(100), world.harness.fetch(plan))
    };
    let (a, b, c, d) = tokio::join!(long(), long(), long(), long());
    assert!([a, b, c, d].iter().all(Result::is_err), "all four were let go");
    let started = Instant::now();
    assert_eq!(world.ids("select count(*) from vehicles", &[]).await, "4");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn one_row_or_byte_too_many_is_an_error() {
    let world = world();
    let limited = |rows_max, bytes_max| {
        let mut plan = read("rms", "select id from vehicles", &[]);
        plan.limits = Limits { rows_max, bytes_max, ..plan.limits };
        plan
    };
    assert_eq!(world.harness.fetch(limited(4, 32)).await.unwrap().rows.len(), 4);
    let fault = world.harness.fetch(limited(3, 32)).await.unwrap_err();
    assert!(matches!(fault, Fault::TooManyRows { max: 3 }), "{fault}");
    let fault = world.harness.fetch(limited(4, 31)).await.unwrap_err();
    assert!(matches!(fault, Fault::TooManyBytes { max: 31 }), "{fault}");
}

#[tokio::test]
async fn an_answer_whose_columns_cannot_be_told_apart_is_refused() {
    let world = world();
    let refusal = world.refusal("select id, plate as id from vehicles", &[]).await;
    assert_eq!(refusal, "the answer is not usable: two columns are called `id`");
    let mut plan = read("rms", "select id from vehicles", &[]);
    plan.subjects = vec![crate::common::subject("vin")];
    let fault = world.harness.fetch(plan).await.unwrap_err();
    assert_eq!(fault.to_string(), "the answer is not usable: there is no column `vin`");
    let mut plan = read("rms", "select id from vehicles", &[]);
    plan.caveat_column = Some("caveat".to_owned());
    assert!(matches!(world.harness.fetch(plan).await, Err(Fault::Shape { .. })));
    let blob = world.refusal("select x'00' as b", &[]).await;
    assert!(blob.contains("bytes"), "{blob}");
}

const FLAG: &str = "update vehicles set status = 'flagged' where id = :id and status <> 'flagged'";

#[tokio::test]
async fn a_write_changes_what_is_expected_or_nothing() {
    let world = world();
    let id = [("id", text("V-000001"))];
    let flagged = world.harness.execute(write("rms-write", FLAG, &id, Some(1))).await;
    assert_eq!(flagged.unwrap(), 1);
    // A second time no row changes, which is not what the definition expects.
    let again = world.harness.execute(write("rms-write", FLAG, &id, Some(1))).await.unwrap_err();
    assert!(matches!(again, Fault::UnexpectedRows { expected: 1, changed: 0 }), "{again}");
    let all = "update vehicles set status = 'gone'";
    let all = world.harness.execute(write("rms-write", all, &[], Some(1))).await.unwrap_err();
    assert!(matches!(all, Fault::UnexpectedRows { expected: 1, changed: 4 }), "{all}");
    assert_eq!(world.count("status = 'gone'"), 0);
    assert_eq!(world.count("status = 'flagged'"), 1);
    // And the next read sees it.
    let seen = world.ids("select status from vehicles where id = :id", &id).await;
    assert_eq!(seen, "flagged");
}

#[tokio::test]
async fn what_sqlite_says_while_a_statement_runs_is_not_passed_on() {
    let world = world();
    // Its own words would be: bad JSON path: 'Marlow'.
    let sql = "select json_extract('{}', :path) as x";
    let plan = read("rms", sql, &[("path", text("Marlow"))]);
    let fault = world.harness.fetch(plan).await.unwrap_err();
    assert!(matches!(&fault, Fault::Database { code, .. } if code == "1"), "{fault}");
    assert!(!format!("{fault} {fault:?}").contains("Marlow"), "{fault:?}");
    let misspelt = read("rms", "select nosuch from vehicles", &[]);
    let fault = world.harness.fetch(misspelt).await.unwrap_err();
    assert!(fault.to_string().contains("no such column: nosuch"), "{fault}");
}

#[tokio::test]
async fn a_writer_may_change_rows_and_nothing_else() {
    let world = world();
    let others = [
        "drop table vehicles",
        "create table x (y)",
        "alter table vehicles add column z",
        "pragma journal_mode = delete",
        "attach database ':memory:' as other",
        "delete from sqlite_schema",
        "select id from vehicles",
        "update vehicles set status = 'x' returning id",
        "commit",
    ];
    for sql in others {
        let fault = world.harness.execute(write("rms-write", sql, &[], None)).await.unwrap_err();
        assert!(
            matches!(fault, Fault::Database { .. } | Fault::Statement { .. }),
            "{sql}: {fault}"
        );
    }
    assert_eq!(world.count("status = 'clear'"), 4);
}

#[tokio::test]
async fn a_source_that_is_declared_for_reading_takes_no_write() {
    let world = world();
    let fault =
        world.harness.execute(write("rms", FLAG, &[("id", text("V-000001"))], Some(1))).await;
    assert!(matches!(fault, Err(Fault::ReadOnly)));
    assert_eq!(world.count("status = 'flagged'"), 0);
}

#[tokio::test]
async fn a_write_is_carried_through_when_the_caller_goes_away() {
    let world = world();
    let id = [("id", text("V-000001"))];
    let permit = world.harness.permit(Plan::Query(write("rms-write", FLAG, &id, Some(1)))).await;
    {
        let writing = world.harness.sources.execute(permit);
        tokio::pin!(writing);
        tokio::select! {
            biased;
            _ = &mut writing => (),
            () = tokio::task::yield_now() => (),
        }
    }
    for _ in 0..500 {
        if world.count("status = 'flagged'") == 1 {
            // Whoever dropped it saw no end: the ledger says that, and not that nothing came of it.
            assert_eq!(world.harness.last_kind(), "outcome-unknown");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the write was lost");
}

#[tokio::test]
async fn a_permit_for_one_thing_does_no_other() {
    let world = world();
    let permit = world.harness.permit(Plan::Query(read("rms", "select 1 as one", &[]))).await;
    let error = world.harness.sources.execute(permit).await.err().unwrap();
    assert_eq!(error.fault.to_string(), "the plan is not a write");
    let permit = world.harness.permit(Plan::Query(read("nosuch", "select 1", &[]))).await;
    let error = world.harness.sources.fetch(permit).await.err().unwrap();
    assert_eq!(error.fault.to_string(), "there is no source `nosuch`");
    // The ticket in the error records that nothing came of it.
    world.harness.gate.withhold(error.ticket, "there is no such source").await.unwrap();
    let id = [("id", text("V-000001"))];
    let permit = world.harness.permit(Plan::Query(write("rms-write", FLAG, &id, None))).await;
    assert!(world.harness.sources.fetch(permit).await.is_err());
    assert_eq!(world.count("status = 'flagged'"), 0);
}

#[test]
fn a_wrong_declaration_is_known_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let spec = |path: PathBuf| SourceSpec {
        id: "rms".to_owned(),
        writes: false,
        kind: SourceKind::Sqlite { path },
    };
    let missing = folder.path().join("missing.db");
    assert!(open(vec![spec(missing.clone())]).is_err());
    assert!(!missing.exists(), "a source is never created");
    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is no database, however long it may be.").unwrap();
    assert!(open(vec![spec(text)]).is_err());
    let good = folder.path().join("good.db");
    rusqlite::Connection::open(&good).unwrap().execute_batch("create table t (x)").unwrap();
    let twice = open(vec![spec(good.clone()), spec(good)]).err().unwrap();
    assert!(matches!(twice.1, Fault::Twice { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever a person types: it comes back as it went in, it matches itself, and the filter on it
    /// finds exactly the rows that hold it.
    #[test]
    fn any_text_goes_in_and_comes_out_as_it_is(typed in "[^\u{0}]{0,40}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (echoed, found) = runtime.block_on(async {
            let world = world();
            let echo = read("rms", "select :v as v, ':v' as w", &[("v", text(&typed))]);
            let echoed = shown(&world.harness.fetch(echo).await.unwrap());
            let sql = "select 1 as one where :v like :pattern escape '\\'";
            let pattern = text(&sources::escape_like(typed.trim_end_matches('*')));
            let plain = text(typed.trim_end_matches('*'));
            let like = read("rms", sql, &[("v", plain), ("pattern", pattern)]);
            (echoed, shown(&world.harness.fetch(like).await.unwrap()))
        });
        prop_assert_eq!(echoed, format!("{typed}|:v"));
        prop_assert_eq!(found, "1");
    }
}
