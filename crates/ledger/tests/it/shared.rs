//! One log in PostgreSQL, appended to by several processes at once: nothing that was confirmed is
//! lost, nothing is there twice, and whoever is cut off, stopped or wound back is told so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::both::STORIES;
use crate::common::{append, clock, damage, number_in, numbered};
use crate::database::{Base, Disturbance, Server};
use ledger::{AppendError, DatabaseError, EntryNumber, Health, Ledger, OpenError};

#[test]
fn the_stories_of_a_folder_hold_in_postgresql() {
    let Some(server) = Server::start() else { return };
    for (nth, story) in STORIES.iter().enumerate() {
        story(&server.base(&format!("story{nth}")));
    }
}

/// Waits until a process has seen so many entries.
fn wait_for(ledger: &Ledger, size: u64) {
    while ledger.size() < size {
        std::thread::yield_now();
    }
}

/// The entries of each number in the log.
fn numbers(ledger: &Ledger) -> BTreeMap<u64, Vec<u64>> {
    let mut all: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for entry in 0..ledger.size() {
        let read = ledger.read(EntryNumber(entry)).unwrap();
        if let Some(number) = number_in(&read.record.event) {
            all.entry(number).or_default().push(entry);
        }
    }
    all
}

/// Each confirmed number is where it was said to be, and no number is there twice.
fn hold(ledger: &Ledger, confirmed: &BTreeMap<u64, u64>) -> BTreeMap<u64, Vec<u64>> {
    let numbers = numbers(ledger);
    for (number, entries) in &numbers {
        assert_eq!(entries.len(), 1, "{number} is at {entries:?}");
    }
    for (number, entry) in confirmed {
        assert_eq!(numbers.get(number), Some(&vec![*entry]), "{number}");
    }
    numbers
}

#[test]
fn three_processes_append_at_once_to_one_chain_and_see_each_others_entries() {
    const EACH: u64 = 200;
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("three"), clock());
    let ledgers = ["one", "two", "three"].map(|it| base.open_as(it, base.dial(), &clock).unwrap());
    let append_all = |ledger: &Ledger, from: u64| {
        let (mut confirmed, mut waiting) = (Vec::new(), Vec::new());
        for number in from..from + EACH {
            waiting.push((number, ledger.enqueue(numbered(number)).unwrap()));
            // Batches of different lengths.
            if number % 7 == 0 || number + 1 == from + EACH {
                let done = waiting.drain(..).map(|(it, wait)| (it, wait.wait().unwrap().entry.0));
                confirmed.extend(done);
            }
        }
        confirmed
    };
    let confirmed: BTreeMap<u64, u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0_u64..)
            .step_by(1000)
            .zip(&ledgers)
            .map(|(from, ledger)| scope.spawn(move || append_all(ledger, from)))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(confirmed.len() as u64, 3 * EACH);
    for ledger in &ledgers {
        wait_for(ledger, 3 * EACH);
        assert_eq!(ledger.checkpoint().unwrap(), ledgers[0].checkpoint().unwrap());
        assert_eq!(hold(ledger, &confirmed).len(), confirmed.len());
        assert!(ledger.prove(EntryNumber(3), 3 * EACH).is_ok());
    }
    // They did take turns.
    let turns = confirmed.values().zip(confirmed.values().skip(1)).filter(|(a, b)| *a + 1 != **b);
    assert!(turns.count() > 2);
    base.exported("exported", 3 * EACH);
}

/// Appends with the connection cut after so many writes or reads, then without; until nothing was
/// left to cut. Gives what became of those that were refused: there or not; only such as were said to
/// be unknown may be there.
fn cut_everywhere(base: &Base<'_>, cut: &dyn Fn(&Disturbance, i64)) -> Vec<bool> {
    let (dial, clock) = (base.dial(), clock());
    let what = Arc::clone(&dial.what);
    let ledger = base.open_quiet(dial, &clock);
    append(&ledger, numbered(5000)).unwrap();
    let (mut confirmed, mut refused) = (BTreeMap::new(), Vec::new());
    for step in 0_u64.. {
        cut(&what, i64::try_from(step).unwrap());
        let appended = append(&ledger, numbered(step));
        let cuts = what.calm();
        match appended {
            Ok(receipt) => drop(confirmed.insert(step, receipt.entry.0)),
            Err(error) => {
                let unknown = matches!(error, AppendError::Unknown(_));
                let refusal = matches!(error, AppendError::Database(_));
                assert!((unknown || refusal) && cuts > 0, "{error}");
                let Health::Stalled { why, .. } = ledger.health() else { panic!("it records") };
                assert_eq!(
                    why, "the ledger's database failed",
                    "of this record, not of the ledger"
                );
                refused.push((step, unknown));
            }
        }
        // After the first of these the ledger records that it recovered; the second comes later.
        for number in [1000 + step, 2000 + step] {
            confirmed.insert(number, append(&ledger, numbered(number)).unwrap().entry.0);
        }
        if cuts == 0 {
            break;
        }
    }
    let numbers = hold(&ledger, &confirmed);
    let became = refused.iter().map(|(step, unknown)| {
        let there = numbers.contains_key(step);
        assert!(!there || *unknown, "{step} was refused plainly, and is there");
        there
    });
    became.collect()
}

#[test]
fn a_connection_that_is_cut_at_any_point_loses_nothing_and_doubles_nothing() {
    let Some(server) = Server::start() else { return };
    let there = cut_everywhere(&server.base("writes"), &|what, at| what.cut_after_writes(at));
    assert!(there.len() > 1 && there.contains(&false), "cut before the commit: {there:?}");
    let there = cut_everywhere(&server.base("reads"), &|what, at| what.cut_after_reads(at));
    assert!(there.len() > 1 && there.contains(&false), "cut before the commit: {there:?}");
    let there = cut_everywhere(&server.base("answer"), &|what, step| {
        if step < 4 {
            what.deaf_after(b"commit\0");
        }
    });
    assert_eq!(there, [true; 4], "they were committed, and only the answer was lost");
}

#[test]
fn a_process_that_stands_still_in_a_batch_delays_others_and_can_t_commit_afterwards() {
    let Some(server) = Server::start() else { return };
    let places = [("writing", b"BWLOGFR1".as_slice(), false), ("committing", b"commit\0", true)];
    for (name, place, unknown) in places {
        let (base, clock) = (server.base(name), clock());
        let dial = base.dial();
        let what = Arc::clone(&dial.what);
        let paused = base.open_as("paused", dial, &clock).unwrap();
        let other = base.open_as("other", base.dial(), &clock).unwrap();
        append(&paused, numbered(0)).unwrap();
        what.stall_at(place);
        let late = paused.enqueue(numbered(1)).unwrap();
        while !what.stalled.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let receipt = append(&other, numbered(2)).unwrap();
        assert_eq!(receipt.entry, EntryNumber(1));
        what.calm();
        let refused = late.wait().unwrap_err();
        assert_eq!(refused.is_unknown(), unknown, "{refused}");
        assert!(unknown || matches!(refused, AppendError::Database(_)), "{refused}");
        assert_eq!(append(&paused, numbered(3)).unwrap().entry, EntryNumber(2));
        let numbers = numbers(&paused);
        assert_eq!(numbers.keys().copied().collect::<Vec<_>>(), [0, 2, 3], "{name}");
        paused.close().unwrap();
        base.exported("exported", paused.size());
    }
}

#[test]
fn a_server_that_crashes_while_batches_are_written_keeps_all_that_was_confirmed() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("crash"), clock());
    let ledger = base.open_as("one", base.dial(), &clock).unwrap();
    let mut confirmed = BTreeMap::new();
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| {
            for number in 0..200 {
                if let Ok(receipt) = append(&ledger, numbered(number)) {
                    confirmed.insert(number, receipt.entry.0);
                }
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
        for round in 1..=3 {
            while done.load(Ordering::SeqCst) < round * 30 {
                std::thread::yield_now();
            }
            server.crash_and_start();
        }
        appending.join().unwrap();
    });
    append(&ledger, numbered(1000)).unwrap();
    assert!((30..200).contains(&confirmed.len()), "{} were confirmed", confirmed.len());
    hold(&ledger, &confirmed);
    ledger.close().unwrap();
    base.exported("exported", ledger.size());
}

#[test]
fn a_database_restored_from_an_older_backup_is_refused_and_named() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("live"), clock());
    let all = |ledger: &Ledger, numbers: std::ops::Range<u64>| {
        numbers.for_each(|number| assert!(append(ledger, numbered(number)).is_ok()));
    };
    let ledger = base.open_as("one", base.dial(), &clock).unwrap();
    all(&ledger, 0..10);
    ledger.close().unwrap();
    server.copy("live", "backup");
    let ledger = base.open_as("one", base.dial(), &clock).unwrap();
    all(&ledger, 10..20);
    // What it has seen is written down when a checkpoint is published, at the latest now.
    ledger.close().unwrap();
    let ledger = base.open_as("one", base.dial(), &clock).unwrap();
    // A process that is open when it happens, and one that is opened afterwards.
    let out = "alter database live allow_connections false";
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'live'";
    let names = ["alter database live rename to lost", "alter database backup rename to live"];
    server.sql("postgres", &[out, end, names[0], names[1]]);
    let why = loop {
        match append(&ledger, numbered(20)).unwrap_err() {
            // The connection ended, and the database did not have its name yet.
            AppendError::Database(_) => {}
            AppendError::Reopen(why) => break why,
            other => panic!("{other}"),
        }
    };
    assert!(matches!(*why, OpenError::WoundBack { have: 10, seen: 20 }), "{why:?}");
    drop(ledger);
    let opened = base.open_as("one", base.dial(), &clock);
    let told = opened.unwrap_err().to_string();
    assert!(told.contains("restored from an older backup"), "{told}");

    // A process that never saw the ten that are lost goes on; then there are two histories.
    let other = base.open_as("other", base.dial(), &clock).unwrap();
    all(&other, 100..120);
    other.close().unwrap();
    let found = damage(base.open_as("one", base.dial(), &clock));
    assert_eq!((found.file.as_str(), found.entry), ("seen", None), "{found}");
}

#[test]
fn a_server_that_may_forget_is_refused_in_plain_words() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("lax"), clock());
    let ledger = base.open_as("one", base.dial(), &clock).unwrap();
    append(&ledger, numbered(0)).unwrap();
    let off = ["alter system set fsync = off", "select pg_reload_conf()"];
    server.sql("postgres", &off);
    while base.sql(&["show fsync"]) != ["off"] {}
    let refused = loop {
        match append(&ledger, numbered(1)) {
            // The reload had not come to that connection yet.
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let AppendError::Database(why) = refused else { panic!("{refused}") };
    assert!(matches!(*why, DatabaseError::Setting { setting: "fsync", .. }), "{why}");
    drop(ledger);
    server.sql("postgres", &["alter system reset fsync", "select pg_reload_conf()"]);
    while base.sql(&["show fsync"]) != ["on"] {}

    server.sql("postgres", &["alter database lax set synchronous_commit = off"]);
    let refused = base.open_as("one", base.dial(), &clock).unwrap_err();
    let OpenError::Database { source } = refused else { panic!("{refused}") };
    let expected = "the database runs with `synchronous_commit = off`, which can lose what was \
                    confirmed; it must be `on`";
    assert_eq!(source.to_string(), expected);
}

#[test]
fn damage_in_a_table_is_refused_and_named_and_what_is_derived_is_made_again() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("whole"), clock());
    let ledger = base.open_as("one", base.dial(), &clock).unwrap();
    let pending: Vec<_> = (0..600).map(|it| ledger.enqueue(numbered(it)).unwrap()).collect();
    pending.into_iter().for_each(|it| assert!(it.wait().is_ok()));
    append(&ledger, numbered(600)).unwrap();
    let expected = (ledger.checkpoint().unwrap(), ledger.prove(EntryNumber(5), 601).unwrap());
    ledger.close().unwrap();

    let (frames, bodies) = ("bailiwick_ledger.frames", "bailiwick_ledger.bodies");
    let head = "bailiwick_ledger.head";
    let flip =
        |column: &str| format!("{column} = set_byte({column}, 20, get_byte({column}, 20) # 1)");
    let cases = [
        (format!("update {frames} set {} where first = 600", flip("bytes")), "frames/600"),
        (format!("delete from {frames} where first = 600"), "frames/600"),
        (format!("update {bodies} set {} where entry = 600", flip("record")), "bodies/600"),
        (format!("delete from {bodies} where entry = 600"), "bodies/600"),
        (format!("insert into {bodies} values (601, 'x', '')"), "head/601"),
        (format!("update {head} set {}", flip("root")), "head/0"),
        (format!("update {head} set {}", flip("digest")), "frames/600"),
        (format!("update {head} set {}", flip("signature")), "head/601"),
        (format!("update {head} set {}", flip("ledger")).replace("20", "2"), "head/0"),
        ("update bailiwick_ledger.ledger set identity = identity || 'x'".to_owned(), "ledger/0"),
        (format!("update bailiwick_ledger.bucket_keys set {}", flip("file")), "bucket_keys/"),
        ("update bailiwick_ledger.checkpoints set note = 'x'".to_owned(), "checkpoints/"),
    ];
    for (nth, (sql, place)) in cases.iter().enumerate() {
        let name = format!("damaged{nth}");
        let copy = server.copy("whole", &name);
        copy.sql(&[sql]);
        let found = damage(copy.open_as("one", copy.dial(), &clock));
        assert!(found.file.starts_with(place), "{sql}: {found}");
    }

    let tiles = "bailiwick_ledger.tiles";
    let before =
        base.sql(&[&format!("select md5(string_agg(hashes, '' order by number)) from {tiles}")]);
    let changes =
        [format!("update {tiles} set {}", flip("hashes")), format!("delete from {tiles}")];
    for change in &changes {
        base.sql(&[change]);
        let ledger = base.open_as("one", base.dial(), &clock).unwrap();
        let now = (ledger.checkpoint().unwrap(), ledger.prove(EntryNumber(5), 601).unwrap());
        assert!(now == expected, "{change}");
        ledger.close().unwrap();
        let sql = format!("select md5(string_agg(hashes, '' order by number)) from {tiles}");
        assert_eq!(base.sql(&[&sql]), before, "{change}");
    }
}

#[test]
fn an_export_goes_nowhere_but_into_an_empty_folder_and_out_of_a_ledger() {
    let Some(server) = Server::start() else { return };
    let (base, clock) = (server.base("nothing"), clock());
    let OpenError::Database { source } = base.export("out").unwrap_err() else { panic!() };
    assert!(matches!(*source, DatabaseError::NoLedger), "{source}");
    let ledger = base.open_as("one", base.dial(), &clock).unwrap();
    append(&ledger, numbered(0)).unwrap();
    // Beside a process that has it open.
    base.exported("beside", 1);
    assert!(matches!(base.export("beside").unwrap_err(), OpenError::NotEmpty { .. }));
}
