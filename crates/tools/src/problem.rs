//! What is wrong with a tool file: where it is, and what was expected there.
//!
//! A file is read to its end, so that one look gives every problem in it. A problem quotes the key
//! and the position, never a value from a database and never what a person typed into a form.

use std::fmt;

/// One problem in one tool file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file's name as it was given to the parser.
    pub file: String,
    /// The line in the file, from 1.
    pub line: u32,
    /// The key, with the block it stands in: `query.search.max_rows`.
    pub key: String,
    /// What the file should have said, in plain words.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, key, expected } = self;
        write!(f, "{file}:{line}: `{key}`: expected {expected}")
    }
}

/// The known word nearest to a mistyped one, if any is near enough to be meant by it.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let room = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(far, _)| *far <= room)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap neighbours) that turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or_default();
    let mut above_last: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    let mut last = None;
    for (down, left) in from.chars().enumerate() {
        let mut row = vec![down + 1];
        let mut before = None;
        for (across, top) in to.iter().copied().enumerate() {
            let replaced = at(&above, across) + usize::from(left != top);
            let mut edits = replaced.min(at(&row, across) + 1).min(at(&above, across + 1) + 1);
            if across > 0 && last == Some(top) && before == Some(left) {
                edits = edits.min(at(&above_last, across - 1) + 1);
            }
            row.push(edits);
            before = Some(top);
        }
        last = Some(left);
        above_last = std::mem::replace(&mut above, row);
    }
    at(&above, to.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (from, to, edits) in
            [("", "", 0), ("", "ab", 2), ("plate", "plate", 0), ("pattrn", "pattern", 1)]
        {
            assert_eq!((distance(from, to), distance(to, from)), (edits, edits), "{from} {to}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("from", "form"), 1);
    }

    #[test]
    fn only_a_near_word_is_offered() {
        assert_eq!(nearest("requird", ["required", "required_when"]), Some("required"));
        assert_eq!(nearest("zzz", ["required", "pattern"]), None);
    }
}
