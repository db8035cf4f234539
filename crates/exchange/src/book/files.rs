//! The files in which people write partners and agreements down, and what is wrong with one, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::nearest::nearest;

/// A settings file's longest length.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Files in one folder.
const FILES_MAX: usize = 1_000;

/// What is wrong with a settings file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// From 1; 0 where the problem is the file as a whole.
    pub line: usize,
    /// The key that it is about; empty where it is the file as a whole.
    pub key: String,
    /// What was expected.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file.display())?;
        if self.line > 0 {
            write!(out, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(out, ": `{}`", self.key)?;
        }
        write!(out, ": {}", self.expected)
    }
}

/// Unknown keys first, with the nearest known one; then everything else that serde finds.
pub(super) fn read<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    known: &'static [&'static str],
) -> Result<T, Vec<Problem>> {
    let table: toml::Table = toml::from_str(text).map_err(|error| vec![at(file, text, &error)])?;
    let unknown = table.keys().filter(|key| !known.contains(&key.as_str()));
    let unknown: Vec<Problem> = unknown
        .map(|key| {
            let expected = match nearest(key, known) {
                Some(near) => format!("an unknown key; did you mean `{near}`?"),
                None => format!("an unknown key; known are {}", known.join(", ")),
            };
            problem(file, text, key, &expected)
        })
        .collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    toml::from_str(text).map_err(|error| vec![at(file, text, &error)])
}

fn at(file: &Path, text: &str, error: &toml::de::Error) -> Problem {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let here = text.lines().nth(line - 1).unwrap_or_default();
    let key = here.split_once('=').map_or("", |(key, _)| key.trim());
    Problem {
        file: file.to_owned(),
        line,
        key: key.to_owned(),
        expected: error.message().to_owned(),
    }
}

pub(super) fn problem(file: &Path, text: &str, key: &str, expected: &str) -> Problem {
    let is_here = |line: &str| {
        line.split_once('=').is_some_and(|(left, _)| left.trim().trim_matches('"') == key)
    };
    let line = text.lines().position(is_here).map_or(0, |index| index + 1);
    Problem { file: file.to_owned(), line, key: key.to_owned(), expected: expected.to_owned() }
}

pub(super) fn twice(file: &Path, text: &str, key: &str, value: &str) -> Problem {
    problem(file, text, key, &format!("another file has `{value}` already"))
}

/// The TOML files of a folder, by name.
pub(super) fn texts(folder: &Path, problems: &mut Vec<Problem>) -> Vec<(PathBuf, String)> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(_) => {
            problems.push(whole(folder, "a folder that can be read"));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    if files.len() > FILES_MAX {
        problems.push(whole(folder, "at most 1000 files"));
        return Vec::new();
    }
    files.into_iter().filter_map(|file| Some((file.clone(), text_of(&file, problems)?))).collect()
}

/// One file's text; nothing where it is not there.
pub(super) fn text_of(file: &Path, problems: &mut Vec<Problem>) -> Option<String> {
    let small = match std::fs::metadata(file) {
        Ok(facts) => facts.is_file() && facts.len() <= FILE_BYTES_MAX,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(_) => false,
    };
    let text = small.then(|| std::fs::read_to_string(file).ok()).flatten();
    if text.is_none() {
        problems.push(whole(file, "UTF-8 text of at most 256 KiB"));
    }
    text
}

fn whole(file: &Path, expected: &str) -> Problem {
    let expected = expected.to_owned();
    Problem { file: file.to_owned(), line: 0, key: String::new(), expected }
}
