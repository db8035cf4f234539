//! Commands for people who work on Bailiwick: `cargo xtask lines` and `cargo xtask symbols PROGRAM`.
//!
//! The rules of the house are tests (`tests/house.rs`), so that they need no command to be kept.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

const USAGE: &str = "\
usage: cargo xtask lines              the longest source files
       cargo xtask symbols PROGRAM    which cryptographic libraries a program is linked with
";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let text = match words.as_slice() {
        ["lines"] => lines()?,
        ["symbols", program] => symbols(Path::new(program))?,
        _ => anyhow::bail!("{USAGE}"),
    };
    std::io::stdout().write_all(text.as_bytes()).context("printing")
}

fn lines() -> anyhow::Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the checkout")?;
    let mut folders = vec![root.to_path_buf()];
    let mut files: Vec<(usize, PathBuf)> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?
        {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push((fs::read_to_string(&path)?.lines().count(), path));
            }
        }
    }
    files.sort();
    let total: usize = files.iter().map(|(count, _)| count).sum();
    let longest = files.iter().rev().take(20).map(|(count, path)| {
        format!("{count:6} {}\n", path.strip_prefix(root).unwrap_or(path).display())
    });
    Ok(format!("{}{total:6} in {} files\n", longest.collect::<String>(), files.len()))
}

fn symbols(program: &Path) -> anyhow::Result<String> {
    let listed =
        Command::new("nm").arg("--defined-only").arg(program).output().context("running nm")?;
    let text = String::from_utf8_lossy(&listed.stdout);
    let count = |test: &dyn Fn(&str) -> bool| {
        text.lines().filter_map(|line| line.split(' ').nth(2)).filter(|name| test(name)).count()
    };
    let fips = count(&|name| name.starts_with("aws_lc_fips_"));
    let other = count(&|name| name.starts_with("aws_lc_") && !name.starts_with("aws_lc_fips_"));
    let ring = count(&|name| name.starts_with("ring_core_"));
    Ok(format!(
        "AWS-LC FIPS {fips}, AWS-LC without FIPS {other}, ring {ring}, of {} symbols\n",
        text.lines().count()
    ))
}
