//! The program under test: opens a ledger, appends, and prints a line for what came of it.
//!
//! It is this test program again, told by `LEDGER_APPENDER` what to do: `batches FOLDER COUNT`,
//! `steps FOLDER`, `dispose FOLDER` or `flood FOLDER COUNT`. Nothing of it is shipped.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ledger::retention::{Disposal, DisposeError};
use ledger::{AppendError, Ledger, OpenError, Receipt};

use crate::{disposals, numbered, open, small};

const TOLD_BY: &str = "LEDGER_APPENDER";
/// Nothing here takes as long; a process that hangs ends with an exit code of its own.
const LIFE_MAX: Duration = Duration::from_secs(120);
/// Records that may wait in `flood`.
pub(crate) const FLOOD_QUEUE_MAX: usize = 64;

/// The arguments that make this program the appender.
fn arguments() -> [&'static str; 5] {
    ["--exact", "appender::appender", "--ignored", "--nocapture", "--test-threads=1"]
}

/// The appender, run by `wrapper` if there is one.
pub(crate) fn command(wrapper: Option<Command>, task: &str) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        None => Command::new(program),
        Some(mut wrapper) => {
            wrapper.arg(program);
            wrapper
        }
    };
    command.args(arguments()).env(TOLD_BY, task);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

#[test]
#[ignore = "it is the program that the other tests start"]
fn appender() {
    let task = std::env::var_os(TOLD_BY);
    let Some(task) = task.as_deref().and_then(OsStr::to_str) else { return };
    let (alive, life) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if life.recv_timeout(LIFE_MAX) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            std::process::exit(9);
        }
    });
    // The test harness has begun a line of its own.
    say("");
    let words: Vec<&str> = task.split(' ').collect();
    match words.as_slice() {
        ["batches", folder, count] => batches(Path::new(folder), count.parse().unwrap()),
        ["steps", folder] => steps(Path::new(folder)),
        ["dispose", folder] => dispose(Path::new(folder)),
        ["flood", folder, count] => flood(Path::new(folder), count.parse().unwrap()),
        other => panic!("no such task: {other:?}"),
    }
    say("end");
    drop(alive);
}

fn say(line: &str) {
    // One write a line, and past the test harness.
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |all, cause| format!("{all}: {cause}"))
}

fn tell(number: u64, answer: Result<Receipt, AppendError>) {
    match answer {
        Ok(receipt) => say(&format!("confirmed {} {number}", receipt.entry.0)),
        Err(error) => say(&format!("refused {}", chain(&error))),
    }
}

/// Opens, and once more after a failure, as whatever starts the program would.
fn open_twice(folder: &Path) -> Option<Ledger> {
    twice(|| open(small(folder)))
}

fn twice(open: impl Fn() -> Result<Ledger, OpenError>) -> Option<Ledger> {
    (0..2).find_map(|_| match open() {
        Ok(ledger) => Some(ledger),
        Err(error) => {
            say(&format!("unopened {}", chain(&error)));
            None
        }
    })
}

/// One record, then four at once, and so on.
fn batches(folder: &Path, count: u64) {
    let Some(ledger) = open_twice(folder) else { return };
    let mut number = 0;
    while number < count {
        tell(number, ledger.enqueue(numbered(number)).and_then(ledger::Pending::wait));
        number += 1;
        let several = number..(number + 4).min(count);
        number = several.end;
        let several: Vec<_> =
            several.map(|number| (number, ledger.enqueue(numbered(number)))).collect();
        for (number, pending) in several {
            tell(number, pending.and_then(ledger::Pending::wait));
        }
    }
    if let Err(error) = ledger.close() {
        say(&format!("refused {}", chain(&error)));
    }
}

/// One record for each line that is read.
fn steps(folder: &Path) {
    let Some(ledger) = open_twice(folder) else { return };
    say("ready");
    for (number, line) in (0..).zip(std::io::stdin().lines()) {
        line.unwrap();
        tell(number, ledger.enqueue(numbered(number)).and_then(ledger::Pending::wait));
    }
}

/// What a server does with what is due, and once more where it fails.
fn dispose(folder: &Path) {
    let Some(ledger) = twice(|| disposals::open(folder)) else { return };
    for _ in 0..2 {
        let done = ledger.finish_disposals().and_then(|()| disposals::dispose(&ledger));
        match done {
            Ok(Disposal::Done { started, .. }) => say(&format!("disposed {}", started.0)),
            Ok(Disposal::Nothing) | Err(DisposeError::Already { .. }) => {}
            Err(error) => say(&format!("refused {}", chain(&error))),
        }
    }
    if let Err(error) = ledger.close() {
        say(&format!("refused {}", chain(&error)));
    }
}

/// All at once, with a small queue; then the most memory that was in use.
fn flood(folder: &Path, count: u64) {
    let mut settings = small(folder);
    settings.queue_max = FLOOD_QUEUE_MAX;
    let ledger = open(settings).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let append = |number| {
            let ledger = ledger.clone();
            tokio::spawn(async move { (number, ledger.append(numbered(number)).await) })
        };
        let appends: Vec<_> = (0..count).map(append).collect();
        for append in appends {
            let (number, answer) = append.await.unwrap();
            tell(number, answer);
        }
    });
    ledger.close().unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    say(status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}
