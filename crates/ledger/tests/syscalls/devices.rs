//! A file system of its own on a block device of its own: stopped as by a power cut, made read-only under what is
//! open, and its files made immutable.
//!
//! The device is a file behind a loop device, the file system ext4. It is shut down as file systems' own tests do
//! it (`EXT4_IOC_SHUTDOWN`): what was not synced is lost, whatever the kernel had in memory, and the file system's
//! journal is replayed at the next mount. All of it happens in a mount namespace of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::check;
use crate::processes::Running;

/// Shuts the file system of `$1` down, with its journal flushed first (1) or not (2).
const SHUT_DOWN: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', int(sys.argv[2])))";

/// The appender on a device of its own.
struct OnDevice {
    running: Running,
    image: PathBuf,
    mount: PathBuf,
    base: TempDir,
}

/// `unshare` with a mount namespace, for root; `None` where somebody else runs this, or has no loop devices.
fn unshare(image: &Path, mount: &Path) -> Option<Command> {
    let program = testkit::need("a block device of its own", &["unshare"]).unwrap()?;
    let command = || {
        let mut command = Command::new(&program);
        command.args(["--mount", "sh", "-euc"]);
        command.args(["mount -o loop \"$1\" \"$2\"; shift 2; exec \"$@\"", "sh"]);
        command.arg(image).arg(mount);
        command
    };
    // A kernel that forbids it says so here, and nothing about the ledger.
    let allowed = command().arg("true").status().unwrap().success();
    wait_until_detached(image);
    allowed.then(command)
}

/// A file system goes a moment after the last process that saw it. Mounted a second time before, it would be
/// written to from both sides.
fn wait_until_detached(image: &Path) {
    let attached = || Command::new("losetup").arg("-j").arg(image).output().unwrap();
    while !attached().stdout.is_empty() {
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}

impl OnDevice {
    fn start(task: &str) -> Option<Self> {
        let mkfs = ["mkfs.ext4", "/sbin/mkfs.ext4", "/usr/sbin/mkfs.ext4"];
        let mkfs = testkit::need("a file system of its own", &mkfs).unwrap()?;
        let base = tempfile::tempdir().unwrap();
        let (image, mount) = (base.path().join("image"), base.path().join("volume"));
        std::fs::create_dir(&mount).unwrap();
        std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let made = Command::new(mkfs).args(["-q", "-F"]).arg(&image).status().unwrap();
        assert!(made.success());
        let wrapper = unshare(&image, &mount)?;
        let task = task.replace("FOLDER", &mount.join("ledger").display().to_string());
        let running = Running::start_by(Some(wrapper), &task);
        Some(Self { running, image, mount, base })
    }

    /// Runs a program where the device is mounted.
    #[track_caller]
    fn run(&self, program: &[&str]) {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.running.id().to_string()]).args(program);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn path(&self, name: &str) -> String {
        self.mount.join(name).display().to_string()
    }

    /// Ends the process and with it the mount, mounts the device anew, and holds what is there against what
    /// was confirmed.
    #[track_caller]
    fn check(self, story: &str) {
        let Self { running, image, mount, base } = self;
        let said = running.kill();
        wait_until_detached(&image);
        let kept = base.path().join("kept");
        let mut copy = unshare(&image, &mount).unwrap();
        let copied = copy.args(["cp", "-a"]).arg(mount.join("ledger")).arg(&kept).status();
        assert!(copied.unwrap().success(), "{story}");
        check(&kept, &said, story);
    }
}

#[test]
fn a_file_system_that_is_cut_off_loses_nothing_that_was_confirmed() {
    for (nth, confirmed) in [1, 2, 3, 6, 11, 23, 60, 140, 300].into_iter().enumerate() {
        let Some(mut device) = OnDevice::start("batches FOLDER 1000000") else { return };
        device.running.wait_for(confirmed);
        let flags = if nth % 3 == 1 { "1" } else { "2" };
        let volume = device.path("");
        device.run(&["python3", "-c", SHUT_DOWN, &volume, flags]);
        // From here on nothing is confirmed; what comes before the first refusal was on its way.
        while !device.running.line().starts_with("refused ") {}
        device.check(&format!("cut off after {confirmed}, flags {flags}"));
    }
}

#[test]
fn a_volume_that_turns_read_only_under_what_is_open_is_refused_with_the_reason() {
    let Some(mut device) = OnDevice::start("steps FOLDER") else { return };
    assert_eq!(device.running.line(), "ready");
    for number in 0..5 {
        assert_eq!(device.running.step(), format!("confirmed {number} {number}"));
    }
    // As the file system does by itself when it finds that it can't be trusted.
    let volume = device.path("");
    device.run(&["mount", "-o", "remount,abort", &volume]);
    for _ in 0..4 {
        let refused = device.running.step();
        let why = ["Read-only file system", "Input/output error"];
        assert!(refused.starts_with("refused "), "{refused}");
        assert!(why.iter().any(|why| refused.contains(why)), "{refused}");
    }
    device.check("turned read-only");
}

#[test]
fn a_file_that_is_made_immutable_under_what_is_open_is_named_and_used_again_afterwards() {
    let Some(mut device) = OnDevice::start("steps FOLDER") else { return };
    assert_eq!(device.running.line(), "ready");
    assert_eq!(device.running.step(), "confirmed 0 0");
    for name in ["journal", "log/00000000.seg", "body/standard-2029-11/00000000.seg"] {
        let path = device.path(&format!("ledger/{name}"));
        device.run(&["chattr", "+i", &path]);
        let refused = device.running.step();
        assert!(refused.starts_with("refused "), "{name}: {refused}");
        assert!(refused.contains(&path) && refused.contains("not permitted"), "{name}: {refused}");
        assert!(device.running.step().starts_with("refused "), "{name}: until it is as it was");
        device.run(&["chattr", "-i", &path]);
        let again = device.running.step();
        assert!(again.starts_with("confirmed "), "{name}: {again}");
    }
    device.check("immutable, and not any more");
}
