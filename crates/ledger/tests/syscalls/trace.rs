//! Running the appender under `strace`, and reading what it wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::{Said, appender};

/// What is traced, and made to fail. Names that a machine does not have are passed over.
pub(crate) const CALLS: [&str; 16] = [
    "openat",
    "mkdir",
    "mkdirat",
    "flock",
    "pread64",
    "pwrite64",
    "fdatasync",
    "fsync",
    "rename",
    "renameat",
    "renameat2",
    "ftruncate",
    "statx",
    "unlink",
    "unlinkat",
    "rmdir",
];

/// A system call as it was traced.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) thread: u32,
    pub(crate) name: String,
    /// Place among the thread's calls of this name that touch the folder, from 1, as `when=`
    /// counts where the paths are given.
    pub(crate) nth: usize,
    pub(crate) text: String,
}

/// What came of a run.
pub(crate) struct Run {
    pub(crate) said: Said,
    pub(crate) status: ExitStatus,
    pub(crate) calls: Vec<Call>,
}

impl Run {
    /// Whether a call was made to fail.
    pub(crate) fn was_refused_a_call(&self) -> bool {
        self.calls.iter().any(|call| call.text.contains("(INJECTED)"))
    }

    /// The thread that opens the ledger: the first to touch the folder.
    pub(crate) fn opener(&self) -> u32 {
        self.calls.first().map(|call| call.thread).unwrap()
    }

    /// All paths that the calls name, without the folder's own.
    pub(crate) fn paths(&self, folder: &Path) -> BTreeSet<String> {
        let folder = folder.display().to_string();
        let named = self.calls.iter().flat_map(|call| call.text.split(&folder).skip(1));
        named.filter_map(|rest| rest.split(['"', '>']).next()).map(str::to_owned).collect()
    }
}

/// A fault such as `fsync:error=EIO:when=3`, and the paths inside the folder that it is about.
/// What the process does before it comes to the ledger, such as loading itself, is left alone.
pub(crate) struct Fault<'a> {
    pub(crate) what: &'a str,
    pub(crate) inside: &'a BTreeSet<String>,
}

/// Runs the appender at a task in a folder; `more` is what the task is told beside the folder.
pub(crate) fn run(
    strace: &Path,
    fault: Option<&Fault<'_>>,
    (task, folder, more): (&str, &Path, &str),
) -> Run {
    let out: PathBuf = folder.with_extension("trace");
    let mut wrapper = Command::new(strace);
    wrapper.args(["-f", "-y", "-qq", "-o"]).arg(&out);
    let names: Vec<String> = CALLS.iter().map(|name| format!("?{name}")).collect();
    wrapper.args(["-e", "signal=none", "-e", &format!("trace={}", names.join(","))]);
    if let Some(fault) = fault {
        wrapper.args(["-e", &format!("inject={}", fault.what)]);
        for path in fault.inside {
            wrapper.arg("-P").arg(format!("{}{path}", folder.display()));
        }
    }
    let task = format!("{task} {} {more}", folder.display());
    let output = appender::command(Some(wrapper), task.trim_end()).output().unwrap();
    let text = std::fs::read_to_string(&out).unwrap_or_default();
    let said = Said::from(&output.stdout);
    Run { said, status: output.status, calls: calls(&text, &folder.display().to_string()) }
}

fn calls(text: &str, folder: &str) -> Vec<Call> {
    let mut counts: BTreeMap<(u32, String), usize> = BTreeMap::new();
    let mut calls: Vec<Call> = Vec::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let (Ok(thread), rest) = (thread.parse(), rest.trim_start()) else { continue };
        if let Some(rest) = rest.strip_prefix("<... ") {
            // The rest of a call that another thread's call came between.
            let begun = calls.iter_mut().rev().find(|call| call.thread == thread);
            if let Some(begun) = begun {
                begun.text.push_str(rest);
            }
            continue;
        }
        let Some((name, _)) = rest.split_once('(') else { continue };
        if !rest.contains(folder) {
            continue;
        }
        let nth = counts.entry((thread, name.to_owned())).or_default();
        *nth += 1;
        let (name, text) = (name.to_owned(), rest.to_owned());
        calls.push(Call { thread, name, nth: *nth, text });
    }
    calls
}
