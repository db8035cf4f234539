//! What an export's queries gave when it was asked for, by digests; and how what they give later differs, in numbers.
//!
//! Invariant: two lists have one digest exactly when they have the same columns and the same rows, in whatever order.
//! A row that has another with its key on the other side was altered; that is for people to read, and the digest
//! decides.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gate::{Rows, Value, row_digest};
use jiff::Timestamp;
use keys::digest::Sha256;
use serde::{Deserialize, Serialize};

/// Lists with more rows are compared whole, without numbers: each row costs 16 bytes in the export's row.
const ROWS_COUNTED_MAX: usize = 5_000;
/// What is kept of a row: so much of its key's digest, and of its own.
const MARK_BYTES: usize = 6;

/// Why nothing was sealed: what would leave was no more what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangedFacts {
    pub at: Timestamp,
    /// The ledger entry that says so.
    pub entry: u64,
    pub changes: Vec<Change>,
}

/// The rows of one query as somebody was shown them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// As the paths of its files begin: `records/persons`.
    pub part: String,
    /// SHA-256 of columns and rows, hex.
    pub digest: String,
    pub columns: Vec<String>,
    /// A mark for each row, Base64; none where there are too many.
    pub marks: Option<String>,
}

/// How a list differs from what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub part: String,
    /// None where it can't be said: the columns are others, or there are too many rows.
    pub rows: Option<RowsChanged>,
}

/// How many rows are new, gone, and not what they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsChanged {
    pub added: u64,
    pub removed: u64,
    pub altered: u64,
}

/// Of a row's key, and of all of it.
type Mark = ([u8; MARK_BYTES], [u8; MARK_BYTES]);

impl Listed {
    /// What these rows are. They are known by those columns of their `key` that are there, or by the first.
    pub fn of(part: &str, rows: &Rows, key: &[String]) -> Self {
        let mut at: Vec<usize> = key.iter().filter_map(|column| rows.position(column)).collect();
        if at.is_empty() {
            at.push(0);
        }
        let known = |row: &[Value]| {
            let key: Vec<Value> = at.iter().filter_map(|at| row.get(*at).cloned()).collect();
            (row_digest(&key), row_digest(row))
        };
        let mut all: Vec<_> = rows.rows.iter().map(|row| known(row)).collect();
        all.sort_unstable_by_key(|(_, whole)| *whole);
        let mut hash = Sha256::new();
        for column in &rows.columns {
            hash.update(&length(column.len()));
            hash.update(column.as_bytes());
        }
        hash.update(&length(all.len()));
        for (_, whole) in &all {
            hash.update(whole);
        }
        let marks = (all.len() <= ROWS_COUNTED_MAX).then(|| {
            let bytes = all.iter().flat_map(|(key, whole)| [short(key), short(whole)].concat());
            BASE64.encode(bytes.collect::<Vec<u8>>())
        });
        let (part, columns) = (part.to_owned(), rows.columns.clone());
        Self { part, digest: hex::encode(hash.finish()), columns, marks }
    }

    /// How the same query's rows differ now, if they do.
    pub fn change(&self, now: &Self) -> Option<Change> {
        if self.digest == now.digest {
            return None;
        }
        let rows = match (self.marks(), now.marks()) {
            (Some(before), Some(after)) if self.columns == now.columns => {
                Some(RowsChanged::between(&before, &after))
            }
            _ => None,
        };
        Some(Change { part: self.part.clone(), rows })
    }

    fn marks(&self) -> Option<Vec<Mark>> {
        let bytes = BASE64.decode(self.marks.as_ref()?).ok()?;
        let (halves, rest) = bytes.as_chunks::<MARK_BYTES>();
        let (marks, odd) = halves.as_chunks::<2>();
        let whole = rest.is_empty() && odd.is_empty();
        whole.then(|| marks.iter().map(|[key, all]| (*key, *all)).collect())
    }
}

impl RowsChanged {
    fn between(before: &[Mark], after: &[Mark]) -> Self {
        // Rows that are on both sides are no change; what is left is held against each other by key.
        let mut left: BTreeMap<Mark, i64> = BTreeMap::new();
        before.iter().for_each(|mark| *left.entry(*mark).or_default() -= 1);
        after.iter().for_each(|mark| *left.entry(*mark).or_default() += 1);
        let mut by_key: BTreeMap<[u8; MARK_BYTES], (u64, u64)> = BTreeMap::new();
        for ((key, _), count) in left {
            let (gone, new) = by_key.entry(key).or_default();
            match count < 0 {
                true => *gone += count.unsigned_abs(),
                false => *new += count.unsigned_abs(),
            }
        }
        let mut all = Self::default();
        for (gone, new) in by_key.into_values() {
            let altered = gone.min(new);
            all.altered += altered;
            all.removed += gone - altered;
            all.added += new - altered;
        }
        all
    }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.part.strip_prefix("records/").unwrap_or(&self.part);
        let Some(RowsChanged { added, removed, altered }) = self.rows else {
            return write!(out, "{name}: other columns or rows");
        };
        let counts = [(added, "added"), (removed, "removed"), (altered, "altered")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| {
            let noun = if count == 1 { "row" } else { "rows" };
            format!("{count} {noun} {word}")
        });
        write!(out, "{name}: {}", counts.collect::<Vec<_>>().join(", "))
    }
}

fn length(count: usize) -> [u8; 8] {
    (count as u64).to_be_bytes()
}

fn short(digest: &[u8; 32]) -> [u8; MARK_BYTES] {
    let [first, second, third, fourth, fifth, sixth, ..] = *digest;
    [first, second, third, fourth, fifth, sixth]
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate::Total;
    use proptest::prelude::*;

    fn rows(all: &[(&str, &str)]) -> Rows {
        let text = |text: &&str| Value::Text((*text).to_owned());
        Rows {
            columns: vec!["name".to_owned(), "town".to_owned()],
            rows: all.iter().map(|(name, town)| vec![text(name), text(town)]).collect(),
            total: Total::Exact(all.len() as u64),
            subjects: Vec::new(),
            caveat_column: None,
        }
    }

    fn said(before: &[(&str, &str)], after: &[(&str, &str)]) -> String {
        let [before, after] =
            [before, after].map(|some| Listed::of("records/persons", &rows(some), &[]));
        before.change(&after).map(|change| change.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_was_added_removed_and_altered_is_counted() {
        let shown = [("Marlow", "Riverton"), ("Vance", "Lakeside"), ("Vance", "Lakeside")];
        assert_eq!(said(&shown, &shown), "");
        let mut turned = shown;
        turned.reverse();
        assert_eq!(said(&shown, &turned), "", "the order is nothing");
        assert_eq!(said(&shown, &shown[..2]), "persons: 1 row removed", "nor are twins one");
        assert_eq!(said(&shown[..1], &shown), "persons: 2 rows added");
        let other = [("Marlow", "Lakeside"), ("Vance", "Lakeside"), ("Okoye", "Riverton")];
        assert_eq!(said(&shown, &other), "persons: 1 row added, 1 row removed, 1 row altered");
    }

    #[test]
    fn rows_are_known_by_their_key_where_it_is_not_left_out() {
        let before = rows(&[("Marlow", "P-1")]);
        let mut after = before.clone();
        after.rows[0][0] = Value::Text("Marlowe".to_owned());
        let key = ["id".to_owned(), "town".to_owned()];
        let before = Listed::of("x", &before, &key);
        let changed = before.change(&Listed::of("x", &after, &key)).unwrap();
        assert_eq!(changed.rows.unwrap(), RowsChanged { altered: 1, ..RowsChanged::default() });
    }

    #[test]
    fn other_columns_and_too_many_rows_are_told_without_numbers() {
        let before = rows(&[("Marlow", "Riverton")]);
        let mut after = before.clone();
        after.columns[1] = "city".to_owned();
        let changed = Listed::of("x", &before, &[]).change(&Listed::of("x", &after, &[])).unwrap();
        assert_eq!(changed.to_string(), "x: other columns or rows");
        let many: Vec<(&str, &str)> = vec![("Marlow", "Riverton"); ROWS_COUNTED_MAX + 1];
        let many = Listed::of("x", &rows(&many), &[]);
        assert_eq!(many.marks, None);
        assert_eq!(Listed::of("x", &before, &[]).change(&many).unwrap().rows, None);
    }

    proptest! {
        #[test]
        fn the_numbers_add_up_and_no_difference_is_missed(
            before in prop::collection::vec((0..4_u8, 0..3_u8), 0..12),
            after in prop::collection::vec((0..4_u8, 0..3_u8), 0..12),
        ) {
            let rows = |all: &[(u8, u8)]| {
                let all: Vec<(String, String)> =
                    all.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
                let all: Vec<(&str, &str)> =
                    all.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
                Listed::of("x", &rows(&all), &[])
            };
            let changed = rows(&before).change(&rows(&after));
            let (mut one, mut other) = (before.clone(), after.clone());
            one.sort_unstable();
            other.sort_unstable();
            prop_assert_eq!(changed.is_none(), one == other);
            let count = changed.and_then(|changed| changed.rows).unwrap_or_default();
            prop_assert_eq!(
                before.len() as u64 + count.added,
                after.len() as u64 + count.removed
            );
        }
    }
}
