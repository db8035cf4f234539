//! `docs/ledger.md`: each command on the page runs, in the page's order, and prints what the page says.
#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "helpers of a test fail as the test does"
)]

mod agency;

use std::path::{Path, PathBuf};
use std::process::Command;

use agency::Agency;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A command of the page, and the lines that it says are printed.
#[derive(Debug, Default)]
struct Shown {
    command: String,
    printed: Vec<String>,
}

/// The commands after `$ ` in blocks of code, with those lines that a `\` continues.
fn shown(page: &str) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for block in page.split("```\n").skip(1).step_by(2) {
        let block = block.replace("\\\n", "");
        let mut begun = false;
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                all.push(Shown { command: command.to_owned(), printed: Vec::new() });
                begun = true;
            } else if begun {
                all.last_mut().unwrap().printed.push(line.to_owned());
            }
        }
    }
    all
}

/// What a line of the page has before the first thing that differs from ledger to ledger.
fn certain(line: &str) -> &str {
    let differs = |c: char| c.is_ascii_digit() || c == '+' || c == '\u{2026}';
    line.find(differs).map_or(line, |at| &line[..at])
}

fn sh(folder: &Path, command: &str) -> (bool, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_bailiwick")).parent().unwrap().to_owned();
    let command = format!("PATH='{}':\"$PATH\"; {command}", program.display());
    let mut sh = Command::new("sh");
    sh.args(["-c", &command]).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = sh.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn the_commands_of_the_page_about_the_ledger_do_what_it_says() {
    let agency = Agency::new("2026-01-22T14:03:21.417Z");
    std::os::unix::fs::symlink(repository().join("docs"), agency.path("docs")).unwrap();
    let config = std::fs::read_to_string(agency.path("bailiwick.toml")).unwrap();
    let archive = "\n[ledger.archive]\nkind = \"folder\"\nfolder = \"archive\"\n";
    std::fs::write(agency.path("bailiwick.toml"), config + archive).unwrap();
    std::fs::rename(agency.path("vkey"), agency.path("riverton.vkey")).unwrap();
    let folder = agency.path("");
    let newest = "bailiwick ledger checkpoint data/ledger --newest > kept.note";
    assert!(sh(&folder, newest).0);

    let page = std::fs::read_to_string(repository().join("docs/ledger.md")).unwrap();
    let all = shown(&page);
    assert!(all.len() >= 18, "{all:?}");
    for Shown { command, printed } in all {
        let (done, said) = sh(&folder, &command);
        if command.starts_with("bailiwick ledger checkpoint ") {
            // This agency has no witness, which is the exit code that the page names.
            assert!(!done && said.contains("no witness has confirmed"), "{command}: {said}");
            continue;
        }
        assert!(done, "{command}: {said}");
        for line in printed {
            assert!(said.contains(certain(&line)), "{command}: `{line}` is not in: {said}");
        }
    }
    assert!(agency.size() > 9, "what had to go on record did");
}
