//! Every system call of the ledger killed at, or refused, in turn.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ledger::Settings;

use crate::trace::{CALLS, Fault, run};
use crate::{Said, check, copy, numbered, open, small};

/// Set to anything, each occurrence is tried; otherwise so many of each, evenly spread.
pub(crate) const ALL: &str = "LEDGER_FAULTS_ALL";
const SAMPLES: usize = 2;
const RECORDS: u64 = 45;

/// The task of a run.
fn batches(folder: &Path) -> (&'static str, &Path, &'static str) {
    ("batches", folder, "45")
}

/// Errors that each call is refused with.
pub(crate) fn errors(call: &str) -> &'static [&'static str] {
    match call {
        "openat" | "mkdir" | "mkdirat" | "pwrite64" | "rename" | "renameat" | "renameat2" => {
            &["EIO", "ENOSPC", "EDQUOT"]
        }
        "fdatasync" | "fsync" => &["EIO", "ENOSPC"],
        _ => &["EIO"],
    }
}

/// A folder as the process finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// None: the ledger is made.
    Nothing,
    /// A ledger without an entry, so that there is little to do before the first is written.
    Empty,
    /// A ledger that was not closed: its journal is to be redone.
    Crashed,
}

/// A new folder for a run, below `base`.
fn folder(base: &Path, start: Start, number: usize) -> PathBuf {
    let folder = base.join(format!("{start:?}-{number}"));
    match start {
        Start::Nothing => {}
        Start::Empty => copy(&base.join("empty"), &folder),
        Start::Crashed => copy(&base.join("crashed"), &folder),
    }
    folder
}

/// In memory, where there is such a folder: what a sync does is made up here, and some hundred lives
/// of true ones take half a minute. All occurrences are tried on the disk itself.
pub(crate) fn base() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() && std::env::var_os(ALL).is_none() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// Makes the folders that runs start with.
fn make_starts(base: &Path) {
    // The one checkpoint is out before the second record is taken; nothing moves during a copy.
    let checkpoint_wait = Duration::from_secs(3600);
    let ledger = open(Settings { checkpoint_wait, ..small(&base.join("open")) }).unwrap();
    copy(&base.join("open"), &base.join("empty"));
    for number in 0..9 {
        ledger.enqueue(numbered(number)).unwrap().wait().unwrap();
    }
    copy(&base.join("open"), &base.join("crashed"));
}

/// A fault, and what it meets.
struct Case {
    start: Start,
    what: String,
    inside: Arc<BTreeSet<String>>,
}

/// Faults at the calls that touch the folder, for each start.
fn cases(strace: &Path, base: &Path) -> Vec<Case> {
    let all = std::env::var_os(ALL).is_some();
    let mut cases = Vec::new();
    for start in [Start::Nothing, Start::Empty, Start::Crashed] {
        let folder = folder(base, start, 0);
        let sound = run(strace, None, batches(&folder));
        assert!(sound.status.success() && sound.said.ended, "without a fault: {:?}", sound.said);
        assert_eq!(sound.said.confirmed.len() as u64, RECORDS);
        check(&folder, &sound.said, "without a fault");
        let inside = Arc::new(sound.paths(&folder));
        for call in CALLS {
            let nths = sound.calls.iter().filter(|it| it.name == call).map(|it| it.nth);
            let nths: BTreeSet<usize> = nths.collect();
            let step = if all { 1 } else { nths.len().div_ceil(SAMPLES).max(1) };
            let killed = format!("{call}:signal=KILL");
            let failed = errors(call).iter().map(|error| format!("{call}:error={error}"));
            for what in failed.chain([killed]) {
                // Each fault begins elsewhere, so that together they come about.
                for nth in nths.iter().skip(cases.len() % step).step_by(step) {
                    let (what, inside) = (format!("{what}:when={nth}"), Arc::clone(&inside));
                    cases.push(Case { start, what, inside });
                }
            }
        }
    }
    cases
}

#[test]
fn a_process_killed_at_or_refused_any_system_call_loses_nothing_that_it_confirmed() {
    let Some(strace) = testkit::need("failing system calls", &["strace"]).unwrap() else { return };
    let base = base();
    make_starts(base.path());
    let cases = cases(&strace, base.path());
    let next = Mutex::new((1..).zip(&cases));
    let felt = Mutex::new(Vec::new());
    let try_one = |number: usize, case: &Case| {
        let story = format!("{:?}, {}", case.start, case.what);
        let folder = folder(base.path(), case.start, number);
        let fault = Fault { what: &case.what, inside: &case.inside };
        let run = run(&strace, Some(&fault), batches(&folder));
        let killed = run.status.signal() == Some(9);
        if case.what.contains("error=") {
            assert!(run.status.success() && run.said.ended, "{story}: {:?}", run.said);
            let Said { confirmed, refused, unopened, .. } = &run.said;
            // Closing may be refused as well as each of the records.
            let answers = (confirmed.len() + refused.len()) as u64;
            assert!((RECORDS..=RECORDS + 1).contains(&answers), "{story}: {:?}", run.said);
            assert!(refused.len() <= 6, "{story}: it did not recover: {refused:?}");
            assert!(unopened.len() <= 1, "{story}: {unopened:?}");
        }
        check(&folder, &run.said, &story);
        std::fs::remove_dir_all(&folder).unwrap();
        felt.lock().unwrap().push((killed || run.was_refused_a_call(), run.said));
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().unwrap().next();
                    let Some((number, case)) = taken else { break };
                    try_one(number, case);
                }
            });
        }
    });
    let felt = felt.into_inner().unwrap();
    assert_eq!(felt.len(), cases.len());
    // How records fall into batches, and so how many calls there are, differs from run to run.
    let count = felt.iter().filter(|(felt, _)| *felt).count();
    assert!(count * 10 >= cases.len() * 9, "{count} of {} faults were felt", cases.len());
    let refused: usize = felt.iter().map(|(_, said)| said.refused.len()).sum();
    let unopened: usize = felt.iter().map(|(_, said)| said.unopened.len()).sum();
    assert!(refused > 10 && unopened > 10, "{refused} refused, {unopened} unopened");
}

#[test]
fn after_one_failed_sync_nothing_is_taken_before_the_ledger_was_opened_again() {
    let Some(strace) = testkit::need("failing a sync", &["strace"]).unwrap() else { return };
    let base = base();
    make_starts(base.path());
    let first = folder(base.path(), Start::Crashed, 0);
    let sound = run(&strace, None, batches(&first));
    let syncs = || sound.calls.iter().filter(|call| call.name == "fdatasync");
    let opening = syncs().filter(|call| call.thread == sound.opener()).count();
    let of_journal = |text: &str| text.contains("/journal>");
    let writing = syncs().filter(|call| call.thread != sound.opener() && call.nth > opening);
    let nth = writing.filter(|call| of_journal(&call.text)).map(|call| call.nth).next().unwrap();

    let what = format!("fdatasync:error=EIO:when={nth}");
    let fault = Fault { what: &what, inside: &sound.paths(&first) };
    // When checkpoints are synced between batches differs from run to run, and so what the nth is.
    let hit = (1..=20).find_map(|number| {
        let folder = folder(base.path(), Start::Crashed, number);
        let run = run(&strace, Some(&fault), batches(&folder));
        let failed = run.calls.iter().position(|call| call.text.contains("(INJECTED)"));
        let failed = failed.filter(|at| of_journal(&run.calls[*at].text))?;
        Some((folder, run, failed))
    });
    let (folder, run, failed) = hit.expect("the journal's sync to be the one that fails");
    let later = || run.calls.iter().skip(failed + 1);
    let opens = |text: &str| text.contains("/journal\"") && text.contains("O_RDWR");
    let opened = later().position(|call| call.name == "openat" && opens(&call.text)).unwrap();
    let touches = |name: &str| matches!(name, "pwrite64" | "fdatasync");
    let touched = later().position(|call| touches(&call.name) && of_journal(&call.text)).unwrap();
    assert!(opened < touched, "the journal was written to again before it was opened again");
    let said = &run.said;
    assert!((1..=5).contains(&said.refused.len()), "{said:?}");
    assert!(said.refused.iter().all(|why| why.contains("could not sync")), "{said:?}");
    assert_eq!(said.confirmed.len() + said.refused.len(), usize::try_from(RECORDS).unwrap());
    check(&folder, said, &what);
}
