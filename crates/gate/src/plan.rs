//! What is to be done under a permit, in full: the gate digests it into the record, and the source
//! does exactly that.
//!
//! Invariant: two plans with the same [`Plan::digestible`] bytes are the same plan.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::data::Value;

/// What one question may cost. Every source takes one; none has a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most rows that may come back. One more is an error, never a cut.
    pub rows_max: u32,
    /// The most bytes that may come back.
    pub bytes_max: u64,
    /// The longest that the source may take.
    pub wait_max: Duration,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// One statement on a database.
    Query(QueryPlan),
    /// One document, or a part of it, of an evidence store.
    Evidence(EvidencePlan),
    /// One whole document of an evidence store, read piece by piece: once for the record, and again when it leaves.
    Stream(EvidencePlan),
    /// A reading of the ledger, in words.
    Audit(String),
    /// An export, in words that name it.
    Export(String),
    /// An act on a parcel, in words that name it.
    Parcel(String),
    /// Nothing is fetched or changed: a page without records.
    None,
}

/// Whether a statement reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It reads, on a connection that can do nothing else.
    Read,
    /// It changes rows, in a transaction of its own.
    Write,
}

/// One statement, its values, and what may be done to the rows on their way.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryPlan {
    /// The id of the source.
    pub source: String,
    /// Read or write.
    pub mode: Mode,
    /// The statement of the tool's definition, with `:name` where values go.
    pub sql: String,
    /// The value for each name. Bound, never spliced.
    pub binds: BTreeMap<String, Value>,
    /// For writes: how many rows must change. Anything else rolls back.
    pub expect_rows: Option<u64>,
    /// For reads: one page of the rows, sorted and filtered.
    pub view: Option<View>,
    /// The columns that say whom or what a row is about.
    pub subjects: Vec<SubjectColumn>,
    /// The column that carries each row's handling marks.
    pub caveat_column: Option<String>,
    /// What it may cost.
    pub limits: Limits,
}

/// One page of a table. Column names come from the tool's definition, never from a browser.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// By which columns, the first weighing most.
    pub sort: Vec<(String, Direction)>,
    /// Which rows.
    pub filters: Vec<Filter>,
    /// Which page, from 1.
    pub page: u32,
    /// How many rows a page has.
    pub page_size: u32,
    /// Rows are counted up to this; beyond it the total is "more than".
    pub count_max: u32,
}

/// The direction of a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// Rows whose column equals a value. [`Value::Null`] asks for rows without one.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The column, of the tool's definition.
    pub column: String,
    /// The value, bound.
    pub value: Value,
}

/// A column that identifies the subject of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SubjectColumn {
    /// The column.
    pub column: String,
    /// What it identifies: `person`, `vehicle`, `case`, `document`.
    pub kind: String,
}

/// One document of an evidence store, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidencePlan {
    /// The id of the source.
    pub store: String,
    /// The document's key in the store.
    pub key: String,
    /// The bytes wanted, from the first to just before the second; all of them without.
    pub range: Option<(u64, u64)>,
    /// What it may cost.
    pub limits: Limits,
}

impl Plan {
    /// The bytes whose digest stands in the record: every field with its length before it.
    pub fn digestible(&self) -> Vec<u8> {
        let mut out = Bytes(b"bailiwick plan v1\0".to_vec());
        match self {
            Self::Query(plan) => {
                out.text("query");
                plan.digest_into(&mut out);
            }
            Self::Evidence(plan) | Self::Stream(plan) => {
                let whole = matches!(self, Self::Stream(_));
                out.text(if whole { "stream" } else { "evidence" });
                out.text(&plan.store);
                out.text(&plan.key);
                match plan.range {
                    None => out.number(0),
                    Some((start, end)) => {
                        out.number(1);
                        out.number(start);
                        out.number(end);
                    }
                }
                out.limits(&plan.limits);
            }
            Self::Audit(text) => {
                out.text("audit");
                out.text(text);
            }
            Self::Export(text) => {
                out.text("export");
                out.text(text);
            }
            Self::Parcel(text) => {
                out.text("parcel");
                out.text(text);
            }
            Self::None => out.text("none"),
        }
        out.0
    }

    /// The source that it goes to, if it goes to one.
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::Query(plan) => Some(&plan.source),
            Self::Evidence(plan) | Self::Stream(plan) => Some(&plan.store),
            Self::Audit(_) | Self::Export(_) | Self::Parcel(_) | Self::None => None,
        }
    }

    /// Its limits, if it fetches something.
    pub fn limits(&self) -> Option<&Limits> {
        match self {
            Self::Query(plan) => Some(&plan.limits),
            Self::Evidence(plan) | Self::Stream(plan) => Some(&plan.limits),
            Self::Audit(_) | Self::Export(_) | Self::Parcel(_) | Self::None => None,
        }
    }
}

impl QueryPlan {
    fn digest_into(&self, out: &mut Bytes) {
        out.text(&self.source);
        out.text(match self.mode {
            Mode::Read => "read",
            Mode::Write => "write",
        });
        out.text(&self.sql);
        out.count(self.binds.len());
        for (name, value) in &self.binds {
            out.text(name);
            out.value(value);
        }
        match self.expect_rows {
            None => out.number(0),
            Some(rows) => {
                out.number(1);
                out.number(rows);
            }
        }
        match &self.view {
            None => out.number(0),
            Some(view) => {
                out.number(1);
                view.digest_into(out);
            }
        }
        out.count(self.subjects.len());
        for subject in &self.subjects {
            out.text(&subject.column);
            out.text(&subject.kind);
        }
        out.count(usize::from(self.caveat_column.is_some()));
        out.text(self.caveat_column.as_deref().unwrap_or_default());
        out.limits(&self.limits);
    }
}

impl View {
    fn digest_into(&self, out: &mut Bytes) {
        out.count(self.sort.len());
        for (column, direction) in &self.sort {
            out.text(column);
            out.text(match direction {
                Direction::Ascending => "ascending",
                Direction::Descending => "descending",
            });
        }
        out.count(self.filters.len());
        for filter in &self.filters {
            out.text(&filter.column);
            out.value(&filter.value);
        }
        out.number(self.page.into());
        out.number(self.page_size.into());
        out.number(self.count_max.into());
    }
}

/// Bytes to be digested. Every text has its length before it and every value its kind, so that no
/// two different sequences give the same bytes.
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Bytes {
    pub(crate) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.0.push(b'n'),
            Value::Bool(truth) => self.0.extend_from_slice(&[b'b', u8::from(*truth)]),
            Value::Int(number) => {
                self.0.push(b'i');
                self.0.extend_from_slice(&number.to_be_bytes());
            }
            Value::Real(number) => {
                self.0.push(b'r');
                self.0.extend_from_slice(&number.to_bits().to_be_bytes());
            }
            Value::Text(text) => {
                self.0.push(b't');
                self.text(text);
            }
        }
    }

    fn limits(&mut self, limits: &Limits) {
        self.number(limits.rows_max.into());
        self.number(limits.bytes_max);
        self.number(u64::try_from(limits.wait_max.as_millis()).unwrap_or(u64::MAX));
    }
}
