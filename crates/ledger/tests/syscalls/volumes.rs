//! Volumes that fill up, run out of inodes, may not be written, or are taken away under a running
//! process.
//!
//! The process has a mount namespace of its own with a small `tmpfs` in it, where the kernel lets
//! this user make one; what is done to the volume is done from inside.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::processes::Running;
use crate::{check, copy};

/// Far more records than fit on any volume here.
const STEPS_MAX: usize = 20_000;

/// The appender on a volume of its own.
struct OnVolume {
    running: Running,
    mount: PathBuf,
    base: TempDir,
}

/// `unshare` with a user and a mount namespace; `None` where it is absent or not allowed.
fn unshare() -> Option<Command> {
    let program = testkit::need("a volume of its own", &["unshare"]).unwrap()?;
    let command = || {
        let mut command = Command::new(&program);
        command.args(["--map-root-user", "--mount"]);
        command
    };
    let allowed = command().args(["mount", "-t", "tmpfs", "none", "/mnt"]).status();
    // A kernel that forbids it says so here, and nothing about the ledger.
    allowed.unwrap().success().then(command)
}

impl OnVolume {
    /// The appender has confirmed one record.
    fn start(options: &str) -> Option<Self> {
        let mut wrapper = unshare()?;
        let base = tempfile::tempdir().unwrap();
        let mount = base.path().join("volume");
        std::fs::create_dir(&mount).unwrap();
        wrapper.args(["sh", "-euc", "mount -t tmpfs -o $1 none $2; shift 2; exec \"$@\"", "sh"]);
        wrapper.arg(options).arg(&mount);
        let task = format!("steps {}", mount.join("ledger").display());
        let mut running = Running::start_by(Some(wrapper), &task);
        assert_eq!(running.line(), "ready");
        assert_eq!(running.step(), "confirmed 0 0");
        Some(Self { running, mount, base })
    }

    /// Runs a script where the volume is, with the volume as `$1`.
    fn run(&self, script: &str) {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--mount", "--preserve-credentials", "--target"]);
        command.arg(self.running.id().to_string()).args(["sh", "-euc", script, "sh"]);
        let done = command.arg(&self.mount).output().unwrap();
        assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// The first refusal. Records that still find room are confirmed before it.
    #[track_caller]
    fn refused(&mut self) -> String {
        let mut steps = (0..STEPS_MAX).map(|_| self.running.step());
        steps.find(|line| line.starts_with("refused ")).unwrap()
    }

    /// Ends the process and holds what is on the volume against what it confirmed.
    #[track_caller]
    fn check(self, story: &str) {
        self.running.pause();
        let inside = Path::new("/proc").join(self.running.id().to_string()).join("root");
        let folder = inside.join(self.mount.strip_prefix("/").unwrap()).join("ledger");
        let kept = self.base.path().join("kept");
        copy(&folder, &kept);
        check(&kept, &self.running.kill(), story);
    }
}

#[test]
fn a_real_volume_that_is_full_refuses_with_its_file_named_and_recovers_when_there_is_room() {
    let Some(mut volume) = OnVolume::start("size=4m") else { return };
    volume.run("dd if=/dev/zero of=$1/fill bs=4k 2>/dev/null || true");
    let refused = volume.refused();
    assert!(refused.contains("there is no room for `"), "{refused}");
    assert!(refused.contains("No space left on device"), "{refused}");
    assert!(volume.running.step().starts_with("refused "), "it stays refused");
    volume.run("rm $1/fill");
    let again = volume.running.step();
    assert!(again.starts_with("confirmed "), "{again}");
    volume.check("full, and room again");
}

#[test]
fn a_volume_without_inodes_refuses_when_it_needs_a_file_and_recovers_when_it_gets_one() {
    let Some(mut volume) = OnVolume::start("size=64m,nr_inodes=200") else { return };
    volume.run("seq -f \"$1/none%g\" 400 | xargs touch 2>/dev/null || true");
    let refused = volume.refused();
    assert!(refused.contains("No space left on device"), "{refused}");
    volume.run("rm $1/none*");
    let again = volume.running.step();
    assert!(again.starts_with("confirmed "), "{again}");
    volume.check("without inodes, and with some again");
}

#[test]
fn a_volume_that_is_unmounted_is_missed_at_once_and_until_it_is_back() {
    let Some(mut volume) = OnVolume::start("size=64m") else { return };
    volume.run("mkdir $1.kept; mount --bind $1 $1.kept; umount --lazy $1");
    for _ in 0..3 {
        let refused = volume.running.step();
        assert!(refused.starts_with("refused "), "into a folder that nobody sees: {refused}");
    }
    volume.run("mount --bind $1.kept $1");
    let again = volume.running.step();
    assert!(again.starts_with("confirmed "), "{again}");
    volume.check("unmounted, and mounted again");
}

#[test]
fn a_volume_that_may_only_be_read_is_refused_with_the_reason() {
    let Some(volume) = OnVolume::start("size=64m") else { return };
    // Two folders of one volume: what the running process has open can't be made read-only.
    volume.run(
        "cp -a $1/ledger $1/read; mount --bind $1/read $1/read; mount -o remount,bind,ro $1/read",
    );
    let mut wrapper = Command::new("nsenter");
    wrapper.args(["--user", "--mount", "--preserve-credentials", "--target"]);
    wrapper.arg(volume.running.id().to_string());
    let task = format!("steps {}", volume.mount.join("read").display());
    let mut second = Running::start_by(Some(wrapper), &task);
    for _ in 0..2 {
        let unopened = second.line();
        assert!(unopened.starts_with("unopened "), "{unopened}");
        assert!(unopened.contains("Read-only file system"), "{unopened}");
    }
    drop(second);
    volume.check("beside one that may only be read");
}
