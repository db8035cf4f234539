//! Runs a line of shell, and looks at what it started.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Runs a line, writes back what it wrote, and gives its time and the most memory of one of its processes in MiB.
pub(super) fn shell(place: &Path, line: &str) -> anyhow::Result<(f64, f64)> {
    let started = Instant::now();
    let mut child = Command::new("sh")
        .args(["-ec", &format!("{line}; sync -f .")])
        .current_dir(place)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting a shell")?;
    let (shell, over) = (child.id(), AtomicBool::new(false));
    let mut errors = child.stderr.take();
    std::thread::scope(|scope| {
        // The time is not that of a look at it.
        let looking = scope.spawn(|| most_memory(shell, &over));
        let mut said = String::new();
        if let Some(errors) = &mut errors {
            errors.read_to_string(&mut said).unwrap_or_default();
        }
        let status = child.wait();
        let seconds = started.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        let peak = looking.join().unwrap_or_default();
        anyhow::ensure!(status?.success(), "`{line}` failed: {said}");
        Ok((seconds, peak))
    })
}

/// The most memory of any process that a shell has started, until it is over.
#[expect(
    clippy::disallowed_methods,
    reason = "other programs are looked at while they run, in real time"
)]
fn most_memory(shell: u32, over: &AtomicBool) -> f64 {
    let mut peak: f64 = 0.0;
    while !over.load(Ordering::Relaxed) {
        let children =
            fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap_or_default();
        let of = |pid: &str| crate::cpu::size_mib(pid, "VmHWM");
        peak = children.split_whitespace().filter_map(of).fold(peak, f64::max);
        std::thread::sleep(LOOK_EVERY);
    }
    peak
}
