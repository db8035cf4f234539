//! A process that disposes of a bucket: every system call of that killed at, or refused, in turn.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Mutex;

use ledger::format::Bucket;
use ledger::retention::{Disposal, DisposeError, HoldScope, Order};
use ledger::{EntryNumber, Ledger, OpenError, ReadError, Settings, VerifyOptions};

use crate::sweep::{ALL, base, errors};
use crate::trace::{CALLS, Fault, Run, run};
use crate::{copy, numbered, open_at, small};

const HOME: &str = "standard-2029-11";
const RECORDS: u64 = 10;
/// The one that a hold keeps.
const HELD: u64 = 4;
/// What is in the ledger before: the records, and the hold.
const SIZE: u64 = RECORDS + 1;
/// So many occurrences of each call, where not all are tried.
const SAMPLES: usize = 4;

/// Opens when the bucket is due.
pub(crate) fn open(folder: &Path) -> Result<Ledger, OpenError> {
    open_at("2029-12-01T00:00:00Z", small(folder))
}

fn order(authority: &str) -> Order {
    Order { authority: authority.to_owned(), ..Order::default() }
}

pub(crate) fn dispose(ledger: &Ledger) -> Result<Disposal, DisposeError> {
    ledger.dispose(Bucket::parse(HOME).unwrap(), order("schedule 1"))
}

/// A ledger that was not closed, with a hold on one of its records.
fn make_start(base: &Path) {
    let checkpoint_wait = std::time::Duration::from_secs(3600);
    let settings = Settings { checkpoint_wait, ..small(&base.join("open")) };
    let ledger = open_at("2026-11-22T14:03:21.417Z", settings).unwrap();
    for number in 0..RECORDS {
        ledger.enqueue(numbered(number)).unwrap().wait().unwrap();
    }
    let what = HoldScope::Entries { first: HELD, last: HELD };
    ledger.place_hold("lit", what, None, order("court")).unwrap();
    copy(&base.join("open"), &base.join("start"));
}

fn folder(base: &Path, number: usize) -> std::path::PathBuf {
    let folder = base.join(format!("run-{number}"));
    copy(&base.join("start"), &folder);
    folder
}

/// Whether an entry was disposed of; if not, it must say what it said.
#[track_caller]
fn is_gone(ledger: &Ledger, entry: u64, story: &str) -> bool {
    match ledger.read(EntryNumber(entry)) {
        Ok(found) => {
            assert_eq!(found.record.event, numbered(entry).event, "{story}");
            false
        }
        Err(ReadError::Disposed { .. }) => true,
        Err(error) => panic!("{story}: entry {entry}: {error}"),
    }
}

/// The folder holds as it was left; then all of the disposal is done, or none of it, and it is finished.
/// Whether it was left announced and not finished.
fn check(folder: &Path, run: &Run, story: &str) -> bool {
    let verify = |size| {
        let options = VerifyOptions { expect_size: Some(size), ..VerifyOptions::default() };
        ledger::verify(folder, options).unwrap_or_else(|error| panic!("{story}: {error}"))
    };
    let left = verify(run.said.disposed.iter().max().map_or(SIZE, |started| started + 2));
    let ledger = open(folder).unwrap_or_else(|error| panic!("{story}: {error:?}"));
    ledger.finish_disposals().unwrap_or_else(|error| panic!("{story}: {error:?}"));
    let gone: BTreeSet<bool> =
        (0..RECORDS).filter(|it| *it != HELD).map(|it| is_gone(&ledger, it, story)).collect();
    assert_eq!(gone.len(), 1, "{story}: some of them went");
    assert!(run.said.disposed.is_empty() || gone.contains(&true), "{story}: said, and not done");
    match dispose(&ledger) {
        Ok(Disposal::Done { statement, .. }) => {
            assert!(gone.contains(&false), "{story}");
            assert_eq!((statement.count, statement.kept), (RECORDS - 1, 1), "{story}");
        }
        Err(DisposeError::Already { .. }) => assert!(gone.contains(&true), "{story}"),
        other => panic!("{story}: {other:?}"),
    }
    assert!(!is_gone(&ledger, HELD, story), "{story}");
    let told = ledger.holds_and_dispositions().unwrap();
    let [one] = told.dispositions.as_slice() else { panic!("{story}: {:?}", told.dispositions) };
    assert!(one.finished.is_some() && one.returned.is_empty(), "{story}: {one:?}");
    let size = ledger.size();
    ledger.close().unwrap();
    let verified = verify(size);
    assert_eq!((verified.disposed, verified.leftover), (1, Vec::new()), "{story}");
    for name in [format!("keys/{HOME}.key"), format!("body/{HOME}")] {
        assert!(!folder.join(&name).exists(), "{story}: {name}");
    }
    left.size == SIZE + 1 || !left.leftover.is_empty()
}

/// Faults at the calls from the first on that has to do with the disposal.
fn cases(sound: &Run) -> Vec<String> {
    let begun = sound.calls.iter().position(|call| call.text.contains("/held-0001-")).unwrap();
    let all = std::env::var_os(ALL).is_some();
    let mut cases = Vec::new();
    for call in CALLS {
        let later = sound.calls.iter().skip(begun).filter(|it| it.name == call);
        let nths: BTreeSet<usize> = later.map(|it| it.nth).collect();
        let step = if all { 1 } else { nths.len().div_ceil(SAMPLES).max(1) };
        let failed = errors(call).iter().map(|error| format!("{call}:error={error}"));
        for what in failed.chain([format!("{call}:signal=KILL")]) {
            let some = nths.iter().skip(cases.len() % step).step_by(step);
            cases.extend(some.map(|nth| format!("{what}:when={nth}")));
        }
    }
    cases
}

#[test]
fn a_process_killed_at_or_refused_any_system_call_of_a_disposal_does_all_of_it_or_nothing() {
    let Some(strace) = testkit::need("failing system calls", &["strace"]).unwrap() else { return };
    let base = base();
    make_start(base.path());
    let first = folder(base.path(), 0);
    let sound = run(&strace, None, ("dispose", &first, ""));
    assert!(sound.said.ended && sound.said.refused.is_empty(), "{:?}", sound.said);
    assert_eq!(sound.said.disposed, [SIZE]);
    assert!(!check(&first, &sound, "without a fault"));
    let (inside, cases) = (sound.paths(&first), cases(&sound));
    let calls: BTreeSet<&str> = cases.iter().filter_map(|it| it.split(':').next()).collect();
    for call in ["pwrite64", "fdatasync", "openat"] {
        assert!(calls.contains(call), "{calls:?}");
    }
    assert!(calls.iter().any(|it| it.starts_with("unlink")), "{calls:?}");
    let next = Mutex::new((1..).zip(&cases));
    let felt = Mutex::new((0, 0, 0));
    let try_one = |number: usize, what: &str| {
        let folder = folder(base.path(), number);
        let fault = Fault { what, inside: &inside };
        let run = run(&strace, Some(&fault), ("dispose", &folder, ""));
        let killed = run.status.signal() == Some(9);
        assert!(killed || run.said.ended, "{what}: {:?}", run.said);
        let middle = check(&folder, &run, what);
        std::fs::remove_dir_all(&folder).unwrap();
        let mut felt = felt.lock().unwrap();
        felt.0 += usize::from(killed || run.was_refused_a_call());
        felt.1 += usize::from(killed && middle);
        felt.2 += usize::from(!run.said.refused.is_empty());
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().unwrap().next();
                    let Some((number, what)) = taken else { break };
                    try_one(number, what);
                }
            });
        }
    });
    let (felt, killed, refused) = felt.into_inner().unwrap();
    assert!(felt * 10 >= cases.len() * 9, "{felt} of {} faults were felt", cases.len());
    assert!(killed > 4 && refused > 10, "{killed} killed in the middle, {refused} refused");
}
