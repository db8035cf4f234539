//! What the command line reads and prints: files that errors name, lines, errors with their whole chain, and
//! progress bars.

use std::path::Path;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on standard output. A closed pipe is not an error of ours.
pub(crate) fn say(line: &str) {
    write_line(&mut std::io::stdout().lock(), line);
}

/// A line on standard error, beside what is printed.
pub(crate) fn note(line: &str) {
    write_line(&mut std::io::stderr().lock(), line);
}

/// An error with its causes on standard error.
pub(crate) fn say_error(error: &anyhow::Error) {
    write_line(&mut std::io::stderr().lock(), &format!("bailiwick: {error:#}"));
}

fn write_line(out: &mut dyn std::io::Write, line: &str) {
    if writeln!(out, "{line}").is_err() {
        // Nobody reads us any more, and there is nobody left to tell.
    }
}

/// A bar for `total` units of `unit`, drawn on a terminal only.
pub(crate) fn bar(unit: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let template =
        format!("{{bar:40}} {{pos}}/{{len}} {unit} {{elapsed}}, {{per_sec}}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// As [`bar`], for bytes: 3.2 GiB, 512 MiB/s.
pub(crate) fn bytes() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let template = "{bar:40} {binary_bytes}/{binary_total_bytes} {elapsed}, {binary_bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// The text of a file; the error names it.
pub(crate) fn text_of(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("could not read `{}`", path.display()))
}

/// The text of a file of at most so many bytes; the error names it.
pub(crate) fn text_up_to(path: &Path, bytes_max: usize) -> anyhow::Result<String> {
    let bytes = keys::file::read(path, bytes_max)?;
    String::from_utf8(bytes).with_context(|| format!("could not read `{}`", path.display()))
}

/// Writes a file that only its owner can read, where nothing may be yet; whole, or not at all.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    Ok(keys::file::create(&keys::file::SystemDisk, path, bytes, keys::file::MODE_SECRET)?)
}
