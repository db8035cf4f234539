//! What comes out of a source, and what the ledger keeps of it: a count, a size, a digest, blinded
//! subjects. Never the data.

use std::collections::BTreeSet;
use std::fmt;

use ledger::Subject;
use serde::{Deserialize, Serialize};

use crate::plan::{Bytes, SubjectColumn};

/// One value of a row or of a bind. `Debug` shows its kind and size, for values are CJI.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Real(f64),
    /// A text; dates and times too, as ISO 8601.
    Text(String),
}

impl fmt::Debug for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => out.write_str("Null"),
            Self::Bool(_) => out.write_str("Bool"),
            Self::Int(_) => out.write_str("Int"),
            Self::Real(_) => out.write_str("Real"),
            Self::Text(text) => write!(out, "Text of {} bytes", text.len()),
        }
    }
}

/// Null is empty; the rest as a person would write it.
impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Bool(truth) => truth.fmt(out),
            Self::Int(number) => number.fmt(out),
            Self::Real(number) => number.fmt(out),
            Self::Text(text) => text.fmt(out),
        }
    }
}

impl Value {
    /// Its weight against `bytes_max`: the length of a text, 8 for the others.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Text(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Real(_) => 8,
        }
    }
}

/// How many rows there are in all, of which [`Rows`] may hold one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Total {
    /// So many.
    Exact(u64),
    /// More than so many; counting stopped there.
    MoreThan(u64),
}

/// The rows of one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// The names of the columns, in order.
    pub columns: Vec<String>,
    /// The rows, each with one value for each column.
    pub rows: Vec<Vec<Value>>,
    /// How many rows there are in all.
    pub total: Total,
    /// The columns that say whom or what a row is about.
    pub subjects: Vec<SubjectColumn>,
    /// The column that carries handling marks, one or more, apart by spaces or commas.
    pub caveat_column: Option<String>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// How many rows were changed.
    pub rows_changed: u64,
}

/// A document, or a part of it. Its `Debug` shows no byte of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// A file name that is safe to offer for saving.
    pub name: String,
    /// Its media type (RFC 6838).
    pub media_type: String,
    /// The length of the whole document, in bytes.
    pub length: u64,
    /// Which bytes these are: from the first to just before the second.
    pub range: (u64, u64),
    /// The bytes.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes.
    pub digest: [u8; 32],
    /// The document's key in its store, by which the ledger can find who read it.
    pub key: String,
}

impl fmt::Debug for Document {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Document").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Document {
    /// A document, or the part of it that begins at `start`, with its digest.
    pub fn new(
        key: &str,
        name: String,
        media_type: &str,
        length: u64,
        start: u64,
        bytes: Vec<u8>,
    ) -> Self {
        let end = start.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Self {
            name,
            media_type: media_type.to_owned(),
            length,
            range: (start, end),
            digest: ledger::digest(&bytes),
            bytes,
            key: key.to_owned(),
        }
    }
}

/// What the ledger keeps of something that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Print {
    /// What it is: "rows", "document".
    pub what: &'static str,
    /// How many of them.
    pub count: u64,
    /// How large, in bytes.
    pub bytes: u64,
    /// SHA-256 of it, in a form in which two different things differ.
    pub digest: [u8; 32],
    /// Whom and what it is about.
    pub subjects: Vec<Subject>,
    /// The handling marks that it carries.
    pub caveats: BTreeSet<String>,
}

impl Print {
    /// Of what is nobody's record: how many of what, and bytes in which two different ones differ.
    pub fn of(what: &'static str, count: usize, shown: impl AsRef<[u8]>) -> Self {
        let shown = shown.as_ref();
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Self {
            what,
            count: number(count),
            bytes: number(shown.len()),
            digest: ledger::digest(shown),
            subjects: Vec::new(),
            caveats: BTreeSet::new(),
        }
    }
}

/// A list or a state that is about to be seen, and a line for each part of it in which two different ones differ.
#[derive(Debug)]
pub struct Shown<T> {
    /// What it is: "exports", "guests".
    pub what: &'static str,
    /// The lines.
    pub lines: Vec<String>,
    /// All of it.
    pub data: T,
}

impl<T> Fingerprint for Shown<T> {
    fn fingerprint(&self) -> Print {
        Print::of(self.what, self.lines.len(), self.lines.join("\n"))
    }
}

/// The digest of a row, in a form in which two different rows differ.
pub fn row_digest(row: &[Value]) -> [u8; 32] {
    let mut out = Bytes(b"bailiwick row v1\0".to_vec());
    out.count(row.len());
    for value in row {
        out.value(value);
    }
    ledger::digest(&out.0)
}

/// Something of which the ledger can keep a print.
pub trait Fingerprint {
    /// Its print.
    fn fingerprint(&self) -> Print;

    /// For the outcome of a write: how many rows it changed. Nothing else leaves then.
    fn written(&self) -> Option<u64> {
        None
    }
}

/// Stands for the marks of rows whose caveat column is missing: no question permits it.
const UNMARKED: &str = "UNKNOWN";

impl Rows {
    /// The position of a column.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| known == column)
    }

    fn subjects_of_rows(&self) -> Vec<Subject> {
        let mut subjects = BTreeSet::new();
        for SubjectColumn { column, kind } in &self.subjects {
            let Some(position) = self.position(column) else { continue };
            for value in self.rows.iter().filter_map(|row| row.get(position)) {
                if *value != Value::Null {
                    subjects.insert(Subject { kind: kind.clone(), id: value.to_string() });
                }
            }
        }
        subjects.into_iter().collect()
    }

    fn caveats_of_rows(&self) -> BTreeSet<String> {
        let Some(column) = &self.caveat_column else { return BTreeSet::new() };
        let Some(position) = self.position(column) else {
            return BTreeSet::from([UNMARKED.to_owned()]);
        };
        let mut caveats = BTreeSet::new();
        for row in &self.rows {
            let Some(value) = row.get(position) else {
                caveats.insert(UNMARKED.to_owned());
                continue;
            };
            let text = value.to_string();
            let marks = text.split([' ', ',', ';']).filter(|mark| !mark.is_empty());
            caveats.extend(marks.map(str::to_owned));
        }
        caveats
    }
}

impl Fingerprint for Rows {
    fn fingerprint(&self) -> Print {
        let mut out = Bytes(b"bailiwick rows v1\0".to_vec());
        out.count(self.columns.len());
        for column in &self.columns {
            out.text(column);
        }
        match self.total {
            Total::Exact(rows) => {
                out.number(0);
                out.number(rows);
            }
            Total::MoreThan(rows) => {
                out.number(1);
                out.number(rows);
            }
        }
        out.count(self.rows.len());
        let mut bytes = 0_u64;
        for row in &self.rows {
            out.count(row.len());
            for value in row {
                bytes = bytes.saturating_add(value.bytes());
                out.value(value);
            }
        }
        Print {
            what: "rows",
            count: u64::try_from(self.rows.len()).unwrap_or(u64::MAX),
            bytes,
            digest: ledger::digest(&out.0),
            subjects: self.subjects_of_rows(),
            caveats: self.caveats_of_rows(),
        }
    }
}

impl Fingerprint for Outcome {
    fn fingerprint(&self) -> Print {
        Print {
            what: "outcome",
            count: self.rows_changed,
            bytes: 0,
            digest: ledger::digest(&self.rows_changed.to_be_bytes()),
            subjects: Vec::new(),
            caveats: BTreeSet::new(),
        }
    }

    fn written(&self) -> Option<u64> {
        Some(self.rows_changed)
    }
}

impl Fingerprint for Document {
    fn fingerprint(&self) -> Print {
        Print {
            what: "document",
            count: 1,
            bytes: u64::try_from(self.bytes.len()).unwrap_or(u64::MAX),
            // Taken anew: what is recorded is what leaves, whatever the field says.
            digest: ledger::digest(&self.bytes),
            subjects: vec![Subject { kind: "document".to_owned(), id: self.key.clone() }],
            caveats: BTreeSet::new(),
        }
    }
}
