//! Disposal in PostgreSQL, where several processes share what is disposed of.

use std::sync::Arc;
use std::time::Duration;

use ledger::retention::{DisposeError, HoldScope};
use ledger::{
    AppendError, DatabaseError, Dial, Dialling, EntryNumber, Event, Ledger, Login, OpenError,
    Search, TAIL_ENTRIES_MAX,
};

use crate::both_disposal::{DUE, done, fill, home_bucket, is_gone};
use crate::common::{append, clock, damage, find, numbered, record, released, subject, time};
use crate::database::{Base, Disturbed, Server, open_at};
use crate::disposed::order;

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("{what}");
}

fn about(ledger: &Ledger) -> Vec<u64> {
    find(ledger, &Search { subject: Some(subject("person", "P-1")), ..Search::newest(9) })
}

fn count(base: &Base<'_>, what: &str) -> String {
    base.sql(&[&format!("select count(*) from bailiwick_ledger.{what}")]).remove(0)
}

#[test]
fn what_one_process_disposes_of_the_others_neither_read_nor_find() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("others"), clock());
    let [one, two] = ["one", "two"].map(|it| base.open_as(it, base.dial(), &clock).unwrap());
    fill(&one);
    let many = i64::try_from(TAIL_ENTRIES_MAX).unwrap() + 10;
    let mut waiting: Vec<_> = (0..many)
        .map(|_| one.enqueue(ledger::Record::platform(Event::SignedOut)).unwrap())
        .collect();
    waiting.pop().unwrap().wait().unwrap();
    let covers = |it: &Ledger| it.index_state().covers == one.size();
    wait_until("both have an index of it", || covers(&one) && covers(&two));
    assert_eq!((about(&one), about(&two)), (vec![10], vec![10]));

    clock.set(time(DUE));
    let size = one.size();
    assert_eq!(done(&one.dispose(home_bucket(), order("schedule 1")).unwrap()), (size, 0));
    assert!(is_gone(&two, 3), "the body is gone, whether it has heard of it or not");
    wait_until("the other has seen it", || covers(&two) && two.size() == one.size());
    assert_eq!((about(&one), about(&two)), (vec![], vec![]));
    let retained = two.retention().unwrap();
    assert!(retained.buckets.iter().all(|it| it.bucket != home_bucket()));
    assert!(retained.told.dispositions[0].finished.is_some());
    assert_eq!(two.verify().map(|it| it.result), Some(Ok(())));
    let twice = two.dispose(home_bucket(), order("schedule 1")).unwrap_err();
    assert!(matches!(twice, DisposeError::Already { .. }), "{twice}");
    assert_eq!(count(&base, "bodies where bucket = 'standard-2029-11'"), "0");
    assert_eq!(count(&base, "bucket_keys where bucket = 'standard-2029-11'"), "0");

    // Nor are there rows of it in the other's index, on a disk of its own.
    let index = base.folder("two").join("index/index.db");
    let index = rusqlite::Connection::open(index).unwrap();
    let rows = |table: &str| {
        let text = format!("select count(*) from {table}");
        index.query_row(&text, [], |row| row.get::<_, u64>(0)).unwrap_or(u64::MAX)
    };
    wait_until("it forgets", || rows("row_0") < 10 && rows("post_0") < 10);
    let size = two.size();
    drop((index, two));
    drop(one);
    let verified = base.exported("exported", size);
    assert_eq!((verified.disposed, verified.leftover), (1, Vec::new()));
}

#[test]
fn a_hold_that_another_process_placed_wins() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("holds"), clock());
    // One that looks for nothing by itself.
    let one = base.open_quiet(base.dial(), &clock);
    let two = base.open_as("two", base.dial(), &clock).unwrap();
    fill(&one);
    let what = HoldScope::Entries { first: 3, last: 4 };
    let placed = two.place_hold("lit-1", what, None, order("court")).unwrap();
    assert_eq!((placed.entry, one.size()), (EntryNumber(11), 11), "it has not seen it yet");
    clock.set(time(DUE));
    assert_eq!(done(&one.dispose(home_bucket(), order("schedule 1")).unwrap()), (9, 2));
    for ledger in [&one, &two] {
        assert!((0..11).all(|entry| is_gone(ledger, entry) != [3, 4].contains(&entry)));
    }
    let reuse = HoldScope::Entries { first: 0, last: 0 };
    let again = one.place_hold("lit-1", reuse, None, order("court")).unwrap_err();
    assert!(matches!(again, DisposeError::HoldExists { .. }), "{again}");
}

#[test]
fn while_one_process_disposes_another_waits_for_its_turn_and_not_for_ever() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("turns"), clock());
    let ledger = base.open_quiet(base.dial(), &clock);
    fill(&ledger);
    clock.set(time(DUE));
    // "BWRETAIN", as a number.
    let held = base.hold("select pg_advisory_lock(4780379987196856654)");
    // The one that has the turn is at work on it: an opening leaves that to it.
    let second = base.open_as("second", base.dial(), &clock).unwrap();
    std::thread::scope(|scope| {
        let disposal = scope.spawn(|| ledger.dispose(home_bucket(), order("schedule 1")));
        let asks = "select count(*)::text from pg_stat_activity where datname = 'turns' \
                    and query like 'select pg_try_advisory_lock%'";
        wait_until("it asks for its turn", || base.sql(&[asks]) != ["0"]);
        append(&second, numbered(1)).unwrap();
        assert!(!is_gone(&second, 0), "nothing goes before its turn");
        drop(held);
        assert_eq!(done(&disposal.join().unwrap().unwrap()), (11, 0));
    });
    drop(second);
}

#[test]
fn a_disposal_that_is_cut_at_any_point_is_whole_or_not_at_all() {
    let Some(server) = Server::start() else { return };
    let (template, clock) = (server.base("template"), clock());
    let ledger = template.open_quiet(template.dial(), &clock);
    fill(&ledger);
    let what = HoldScope::Entries { first: 3, last: 4 };
    ledger.place_hold("lit", what, None, order("court")).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    let due = crate::common::clock();
    due.set(time(DUE));
    let (mut cut, mut undone) = (0, 0);
    // At every ninth message to the server: one by one they take minutes.
    for step in (0..).step_by(9) {
        let base = server.copy("template", &format!("cut{step}"));
        let dial = base.dial();
        let disturbed = Arc::clone(&dial.what);
        let ledger = base.open_quiet(dial, &due);
        disturbed.cut_once_after_writes(step);
        let disposed = ledger.dispose(home_bucket(), order("schedule 1"));
        let cuts = disturbed.calm();
        // Whatever happened, what is held is there, and nothing is called damaged.
        assert!(!is_gone(&ledger, 3) && !is_gone(&ledger, 4), "{step}");
        assert_eq!(ledger.verify().map(|it| it.result), Some(Ok(())), "{step}");
        // Closing says so where the last batch is not known to be in the log.
        assert!(ledger.close().is_ok() || cuts > 0, "{step}");
        drop(ledger);
        cut += i64::from(cuts > 0);
        undone += i64::from(disposed.is_err());
        let ledger = base.open_as("later", base.dial(), &due).unwrap();
        ledger.finish_disposals().unwrap();
        let announced = ledger.holds_and_dispositions().unwrap().dispositions;
        match announced.as_slice() {
            [] => assert!((0..11).all(|entry| !is_gone(&ledger, entry)), "{step}"),
            [one] => {
                assert!(one.finished.is_some(), "{step}");
                let kept = [3, 4];
                assert!((0..11).all(|it| is_gone(&ledger, it) != kept.contains(&it)), "{step}");
            }
            more => panic!("{step}: announced {} times", more.len()),
        }
        let size = ledger.size();
        drop(ledger);
        if step % 4 == 0 || cuts == 0 {
            let verified = base.exported("exported", size);
            assert_eq!(verified.leftover, Vec::<String>::new(), "{step}");
        }
        if cuts == 0 {
            assert!(disposed.is_ok());
            break;
        }
    }
    assert!(cut > 8 && undone > 0, "{cut} cut, {undone} undone");
}

#[test]
fn rows_of_a_backup_that_bring_disposed_bodies_back_are_told_recorded_and_destroyed() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("back"), clock());
    let ledger = base.open_quiet(base.dial(), &clock);
    fill(&ledger);
    base.sql(&[
        "create table bodies_before as table bailiwick_ledger.bodies",
        "create table keys_before as table bailiwick_ledger.bucket_keys",
    ]);
    clock.set(time(DUE));
    ledger.dispose(home_bucket(), order("schedule 1")).unwrap();
    drop(ledger);
    let back = |table: &str, from: &str| {
        format!(
            "insert into bailiwick_ledger.{table} select * from {from} where bucket = 'standard-2029-11'"
        )
    };
    base.sql(&[&back("bodies", "bodies_before"), &back("bucket_keys", "keys_before")]);
    let ledger = base.open_quiet(base.dial(), &clock);
    assert!((0..11).all(|entry| is_gone(&ledger, entry)), "nobody reads what came back");
    ledger.finish_disposals().unwrap();
    assert_eq!(count(&base, "bodies where bucket = 'standard-2029-11'"), "0");
    assert_eq!(count(&base, "bucket_keys where bucket = 'standard-2029-11'"), "0");
    let told = ledger.holds_and_dispositions().unwrap();
    let [returned] = told.dispositions[0].returned[..] else { panic!("it is on record once") };
    let alert = ledger.read(returned).unwrap().record.event;
    assert_eq!(alert.severity(), ledger::Severity::Alert);
}

#[test]
fn a_document_that_the_log_does_not_commit_to_is_damage_and_one_that_is_gone_is_made_again() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("documents"), clock());
    let ledger = base.open_quiet(base.dial(), &clock);
    fill(&ledger);
    clock.set(time(DUE));
    ledger.dispose(home_bucket(), order("schedule 1")).unwrap();
    drop(ledger);
    let change = "update bailiwick_ledger.disposed set document = ";
    base.sql(&["create table kept as table bailiwick_ledger.disposed"]);
    base.sql(&[&format!("{change} replace(document, 'entry 11', 'entry 10')")]);
    let found = damage(base.open_as("one", base.dial(), &clock));
    assert_eq!(found.file, "disposed/standard-2029-11");
    base.sql(&["delete from bailiwick_ledger.disposed"]);
    let ledger = base.open_as("one", base.dial(), &clock).unwrap();
    ledger.finish_disposals().unwrap();
    assert!(is_gone(&ledger, 0));
    let same =
        "select (select document from kept) = (select document from bailiwick_ledger.disposed)";
    assert_eq!(base.sql(&[same]), ["t"]);
    let size = ledger.size();
    drop(ledger);
    assert_eq!(base.exported("exported", size).disposed, 1);
}

/// Signs in as somebody else.
struct As(Arc<Disturbed>, &'static str);

impl Dial for As {
    fn dial(&self) -> Dialling<'_> {
        Box::pin(async move {
            let (stream, login) = self.0.dial().await?;
            Ok((stream, Login { user: self.1.to_owned(), ..login }))
        })
    }
}

/// The grants of `docs/ledger-postgres.md`.
fn grants() -> String {
    let page = include_str!("../../../../docs/ledger-postgres.md");
    let at = page.find("grant usage on schema").unwrap();
    page[at..].split("```").next().unwrap().to_owned()
}

#[test]
fn who_may_append_destroys_nothing_but_what_was_disposed_of() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("rights"), clock());
    let ledger = base.open_quiet(base.dial(), &clock);
    fill(&ledger);
    drop(ledger);
    base.sql(&["create role bailiwick_ledger login password 'open-sesame'"]);
    for grant in grants().split(';').filter(|it| !it.trim().is_empty()) {
        base.sql(&[grant]);
    }
    let dial: Arc<dyn Dial> = Arc::new(As(base.dial(), "bailiwick_ledger"));
    let ledger = open_at(Arc::clone(&dial), &base.folder("one"), &clock).unwrap();
    append(&ledger, record(released(11))).unwrap();
    let refused = |sql: &str| {
        let check = format!(
            "do $$ begin set local role bailiwick_ledger; execute $x${sql}$x$; \
             raise exception 'done'; exception when insufficient_privilege then null; end $$"
        );
        base.sql(&[&check]);
    };
    for sql in [
        "delete from bailiwick_ledger.bodies",
        "delete from bailiwick_ledger.bucket_keys",
        "delete from bailiwick_ledger.disposed",
        "update bailiwick_ledger.frames set count = 1",
        "select bailiwick_ledger.destroy('standard-2029-11')",
        "select bailiwick_ledger.destroy('permanent-9999-12')",
    ] {
        refused(sql);
    }
    let what = HoldScope::Entries { first: 3, last: 4 };
    ledger.place_hold("lit", what, None, order("court")).unwrap();
    clock.set(time(DUE));
    assert_eq!(done(&ledger.dispose(home_bucket(), order("schedule 1")).unwrap()), (10, 2));
    assert!(is_gone(&ledger, 0) && !is_gone(&ledger, 3));
    refused("select bailiwick_ledger.destroy('held-0001-standard-2029-11')");
    assert_eq!(count(&base, "held_bodies"), "2");
}

#[test]
fn tables_of_the_version_before_are_brought_up_and_by_their_owner_alone() {
    let Some(server) = Server::start() else { return };
    const OF_3: &[&str] = &[
        "drop function bailiwick_ledger.shelve(text, bigint, bigint, text, bigint, bytea, text)",
        "drop function bailiwick_ledger.forget_objects(text)",
        "drop function bailiwick_ledger.drop_tile(integer, bigint)",
        "drop table bailiwick_ledger.objects",
        "drop table bailiwick_ledger.envelopes",
    ];
    const OF_2: &[&str] = &[
        "drop function bailiwick_ledger.destroy(text)",
        "drop table bailiwick_ledger.disposed",
        "drop table bailiwick_ledger.held_bodies",
    ];
    server.base("roles").sql(&["create role older login password 'open-sesame'"]);
    for version in [1, 2] {
        let (base, clock) = (server.base(&format!("older{version}")), clock());
        let ledger = base.open_quiet(base.dial(), &clock);
        fill(&ledger);
        let before = ledger.checkpoint().unwrap();
        drop(ledger);
        base.sql(&["grant usage on schema bailiwick_ledger to older"]);
        base.sql(&["grant select on all tables in schema bailiwick_ledger to older"]);
        base.sql(OF_3);
        if version == 1 {
            base.sql(OF_2);
        }
        base.sql(&[&format!("update bailiwick_ledger.ledger set version = {version}")]);
        let dial = Arc::new(As(base.dial(), "older"));
        let refused = open_at(dial, &base.folder("two"), &clock).unwrap_err();
        let OpenError::Database { source } = refused else { panic!("{refused}") };
        let is_it = |it: &DatabaseError| matches!(it, DatabaseError::Old { found, known: 3, .. } if *found == version);
        assert!(is_it(&source), "{source}");
        let now = base.sql(&["select version from bailiwick_ledger.ledger"]);
        assert_eq!(now, [version.to_string()]);

        let ledger = base.open_quiet(base.dial(), &clock);
        assert_eq!(ledger.checkpoint().unwrap(), before);
        clock.set(time(DUE));
        assert_eq!(done(&ledger.dispose(home_bucket(), order("schedule 1")).unwrap()), (11, 0));
        let size = ledger.size();
        drop(ledger);
        assert_eq!(base.exported("exported", size).disposed, 1);
        base.sql(&["update bailiwick_ledger.ledger set version = 4"]);
        let newer = base.open_as("one", base.dial(), &clock).unwrap_err();
        let OpenError::Database { source } = newer else { panic!("{newer}") };
        assert!(matches!(*source, DatabaseError::Version { found: 4, known: 3 }), "{source}");
    }
}

/// A clock that is wrong can't lead a record to where it would be destroyed unseen.
#[test]
fn nothing_is_appended_to_a_bucket_that_another_process_disposed_of() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("gone"), clock());
    let wrong = crate::common::clock();
    let one = base.open_quiet(base.dial(), &clock);
    fill(&one);
    // It has not heard of the disposal, and its clock stands where the bucket was not due.
    let two = base.open_quiet_as("two", base.dial(), &wrong, &|settings| {
        settings.clock_back_max = Duration::from_secs(10 * 365 * 24 * 3600);
    });
    clock.set(time(DUE));
    one.dispose(home_bucket(), order("schedule 1")).unwrap();
    let refused = append(&two, record(released(11))).unwrap_err();
    let expected = matches!(refused, AppendError::BucketGone { .. } | AppendError::Database(_));
    assert!(expected, "{refused}");
    let again = append(&two, record(released(12))).unwrap_err();
    assert!(matches!(again, AppendError::BucketGone { .. }), "{again}");
    assert_eq!(count(&base, "bodies where bucket = 'standard-2029-11'"), "0");
}
