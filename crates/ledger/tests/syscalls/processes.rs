//! Processes that are paused, killed, flooded, or whose files go away while they run.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command};
use std::time::Duration;

use ledger::OpenError;

use crate::{Said, appender, check, copy, open, small};

/// The appender while it runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Said,
}

impl Running {
    pub(crate) fn start(task: &str) -> Self {
        Self::start_by(None, task)
    }

    /// Started by `wrapper`, which must become the appender in the end.
    pub(crate) fn start_by(wrapper: Option<Command>, task: &str) -> Self {
        let mut child = appender::command(wrapper, task).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, said: Said::default() }
    }

    /// The next line that is about the ledger.
    pub(crate) fn line(&mut self) -> String {
        let about = ["ready", "confirmed", "refused", "unopened"];
        loop {
            let line = self.lines.next().unwrap().unwrap();
            self.said.hear(&line);
            if about.iter().any(|word| line.starts_with(word)) {
                return line;
            }
        }
    }

    /// Has one more record appended, and gives the answer.
    pub(crate) fn step(&mut self) -> String {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.line()
    }

    pub(crate) fn wait_for(&mut self, confirmed: usize) {
        while self.said.confirmed.len() < confirmed {
            self.line();
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Pauses it; returns when it stands still.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
        let stat = format!("/proc/{}/stat", self.child.id());
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills it, and gives all that it said before.
    pub(crate) fn kill(mut self) -> Said {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        for line in self.lines.by_ref() {
            self.said.hear(&line.unwrap());
        }
        std::mem::take(&mut self.said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

fn is_in_use(folder: &Path) -> bool {
    matches!(open(small(folder)), Err(OpenError::InUse { .. }))
}

#[test]
fn a_paused_process_keeps_the_folder_until_it_is_dead() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("ledger");
    let mut running = Running::start(&format!("batches {} 1000000", folder.display()));
    running.wait_for(5);
    assert!(is_in_use(&folder));
    running.pause();
    assert!(is_in_use(&folder), "while it is paused");
    running.signal("-CONT");
    let more = running.said.confirmed.len() + 200;
    running.wait_for(more);
    running.pause();
    assert!(is_in_use(&folder), "while it is paused again");
    let said = running.kill();
    assert!(said.refused.is_empty() && !said.ended, "{:?}", said.refused);
    check(&folder, &said, "killed while paused");
}

/// The files of a ledger whose loss must be noticed.
fn precious(folder: &Path) -> [PathBuf; 4] {
    let bucket = std::fs::read_dir(folder.join("body")).unwrap().next().unwrap().unwrap();
    let segment = "00000000.seg";
    [
        folder.join("lock"),
        folder.join("journal"),
        folder.join("log").join(segment),
        bucket.path().join(segment),
    ]
}

#[track_caller]
fn is_refused(line: &str, path: &Path) {
    let expected = format!("refused `{}` was removed, renamed or replaced", path.display());
    assert!(line.starts_with(&expected), "{line}, not {expected}");
}

#[test]
fn a_file_that_goes_away_under_a_running_process_stops_it_at_once_and_until_it_is_back() {
    for which in 0..4 {
        for replaced in [false, true] {
            let base = tempfile::tempdir().unwrap();
            let (folder, aside) = (base.path().join("ledger"), base.path().join("aside"));
            let mut running = Running::start(&format!("steps {}", folder.display()));
            assert_eq!(running.line(), "ready");
            assert_eq!(running.step(), "confirmed 0 0");
            let path = &precious(&folder)[which];
            let story = format!("{} replaced: {replaced}", path.display());
            std::fs::rename(path, &aside).unwrap();
            if replaced {
                std::fs::copy(&aside, path).unwrap();
            }
            is_refused(&running.step(), path);
            if !replaced {
                let refused = running.step();
                assert!(refused.starts_with("refused "), "{story}: {refused}");
            }
            std::fs::rename(&aside, path).unwrap();
            let again = running.step();
            assert!(again.starts_with("confirmed "), "{story}: {again}");
            check(&folder, &running.kill(), &story);
        }
    }
}

#[test]
fn a_removed_segment_is_not_made_up_for() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("ledger");
    let mut running = Running::start(&format!("steps {}", folder.display()));
    assert_eq!(running.line(), "ready");
    assert_eq!(running.step(), "confirmed 0 0");
    let [_, _, log, _] = precious(&folder);
    std::fs::remove_file(&log).unwrap();
    is_refused(&running.step(), &log);
    for _ in 0..3 {
        let refused = running.step();
        assert!(refused.ends_with("the file is missing"), "{refused}");
    }
    let said = running.kill();
    assert_eq!(said.confirmed, [(0, 0)]);
    assert!(matches!(open(small(&folder)), Err(OpenError::Damaged(_))));
}

#[test]
fn a_process_whose_folder_was_renamed_writes_to_neither_it_nor_a_copy_in_its_place() {
    let base = tempfile::tempdir().unwrap();
    let (folder, aside) = (base.path().join("ledger"), base.path().join("aside"));
    let mut running = Running::start(&format!("steps {}", folder.display()));
    assert_eq!(running.line(), "ready");
    assert_eq!(running.step(), "confirmed 0 0");
    std::fs::rename(&folder, &aside).unwrap();
    for _ in 0..3 {
        let refused = running.step();
        assert!(refused.starts_with("refused "), "{refused}");
    }
    // Another process may have the copy, for its lock is another file; so this one may not.
    copy(&aside, &folder);
    is_refused(&running.step(), &folder.join("lock"));
    let other = open(small(&folder)).unwrap();
    is_refused(&running.step(), &folder.join("lock"));
    drop(other);
    std::fs::rename(&folder, base.path().join("copy")).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    let again = running.step();
    assert!(again.starts_with("confirmed "), "{again}");
    check(&folder, &running.kill(), "put back");
}

#[test]
fn a_process_whose_lock_was_removed_leaves_the_folder_to_the_next_even_when_it_ends() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("ledger");
    let mut first = Running::start(&format!("steps {}", folder.display()));
    assert_eq!(first.line(), "ready");
    assert_eq!(first.step(), "confirmed 0 0");
    // The last that it does for this record.
    while !folder.join("checkpoint").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::remove_file(folder.join("lock")).unwrap();
    let mut second = Running::start(&format!("steps {}", folder.display()));
    assert_eq!(second.line(), "ready");
    assert_eq!(second.step(), "confirmed 1 0");
    let files = || ["journal", "checkpoint", "checkpoints"].map(|it| folder.join(it));
    second.pause();
    let before = files().map(|file| std::fs::read(file).unwrap());
    // It has not noticed yet, and would put its last frame at the journal's start.
    drop(first.child.stdin.take());
    assert!(first.child.wait().unwrap().success());
    let after = files().map(|file| std::fs::read(file).unwrap());
    assert!(before == after, "the first process wrote into the second one's folder");
    second.signal("-CONT");
    assert_eq!(second.step(), "confirmed 2 1");
    let mut said = second.kill();
    said.confirmed.push((0, 0));
    check(&folder, &said, "after both");
}

#[test]
fn of_ten_thousand_appends_at_once_each_is_recorded_or_refused_in_bounded_memory() {
    const COUNT: usize = 10_000;
    const MEMORY_KIB_MAX: u64 = 256 << 10;
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("ledger");
    let task = format!("flood {} {COUNT}", folder.display());
    let output = appender::command(None, &task).output().unwrap();
    let said = Said::from(&output.stdout);
    assert!(output.status.success() && said.ended);
    assert_eq!(said.confirmed.len() + said.refused.len(), COUNT);
    assert!(said.confirmed.len() >= appender::FLOOD_QUEUE_MAX, "{}", said.confirmed.len());
    let busy = |why: &String| why.ends_with("records are waiting already");
    assert!(!said.refused.is_empty() && said.refused.iter().all(busy), "{:?}", said.refused);
    let text = String::from_utf8(output.stdout).unwrap();
    let most = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let most: u64 = most.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(most <= MEMORY_KIB_MAX, "{most} KiB were in use");
    check(&folder, &said, "after the flood");
}
