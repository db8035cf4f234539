//! A program that runs beside us, and all that it started.
//!
//! Invariants: it is ended whole, with every process of its group, when whoever waits for it is gone or it has come to
//! its own end; and it leaves no zombie. A group is only signalled while its first process is not yet reaped, so that
//! its number can't be somebody else's by then.

use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// What is kept of what a program says on its error stream.
const SAID_BYTES_MAX: u64 = 8 * 1024;

/// Ends the program when it is dropped.
pub(crate) struct Program(Arc<Group>);

/// Waits for the program, on a thread of its own. Dropped, it ends it too.
pub(crate) struct Waiter(Arc<Group>);

/// Its input, its output, its errors.
pub(crate) type Pipes = (ChildStdin, ChildStdout, ChildStderr);

struct Group {
    leader: Pid,
    /// None, once it is ended and about to be reaped.
    child: Mutex<Option<Child>>,
}

/// Starts a program in a group of its own.
pub(crate) fn start(mut command: Command) -> io::Result<(Program, Waiter, Pipes)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.process_group(0).spawn()?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let leader = Pid::from_child(&child);
    let group = Arc::new(Group { leader, child: Mutex::new(Some(child)) });
    // From here on it is ended on every way out.
    let (program, waiter) = (Program(Arc::clone(&group)), Waiter(group));
    let (Some(input), Some(output), Some(errors)) = pipes else {
        return Err(io::Error::other("it has no pipes"));
    };
    Ok((program, waiter, (input, output, errors)))
}

impl Group {
    /// Ends what still runs of it.
    fn kill(&self, child: Option<&Child>) {
        if child.is_some()
            && let Err(error) = rustix::process::kill_process_group(self.leader, Signal::KILL)
        {
            tracing::debug!(%error, "a program had ended");
        }
    }

    /// Ends what still runs of it, and reaps its first process.
    fn reap(&self) -> io::Result<Option<ExitStatus>> {
        let mut held = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        self.kill(held.as_ref());
        let child = held.take();
        drop(held);
        child.map(|mut child| child.wait()).transpose()
    }
}

impl Waiter {
    /// Waits until the program ends by itself, or is ended; what it started and left behind is ended then.
    pub(crate) fn wait(self) -> io::Result<ExitStatus> {
        // It is not reaped here, and nothing is locked: whoever is to end it meanwhile can.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let leader = self.0.leader;
        rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(leader), ended))?;
        self.0.reap()?.ok_or_else(|| io::Error::other("it was waited for before"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The waiter reaps it.
        let child = self.0.child.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.kill(child.as_ref());
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Err(error) = self.0.reap() {
            tracing::warn!(%error, "a program that was ended could not be waited for");
        }
    }
}

/// The beginning of the error stream. All of it is read: a program that can't write waits.
pub(crate) fn said(mut errors: impl Read) -> io::Result<String> {
    let mut text = Vec::new();
    let kept = errors.by_ref().take(SAID_BYTES_MAX).read_to_end(&mut text);
    let rest = io::copy(&mut errors, &mut io::sink());
    kept.and(rest).map(|_| String::from_utf8_lossy(&text).into_owned())
}

/// The last line that says something, for people.
pub(crate) fn last_words(said: &str) -> String {
    let line = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    line.unwrap_or("it ended without a word")
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect()
}
