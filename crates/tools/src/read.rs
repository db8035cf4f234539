//! TOML in, typed values out, with a line for everything that is not as it should be.
//!
//! Invariant: a getter that gives `None` for a key that must be there has recorded a problem.
//! serde stops at its first error and knows no lines of sibling keys; a builder wants them all.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Problem, nearest};

/// A tool file is at most this long; the longest by hand so far is a tenth of it.
pub(crate) const FILE_BYTES_MAX: usize = 256 * 1024;

/// Lists and maps in a tool file hold at most this many things.
pub(crate) const ITEMS_MAX: usize = 200;

/// One file being read: knows lines, collects problems.
pub(crate) struct Source<'t> {
    pub(crate) file: &'t str,
    text: &'t str,
    lines: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Source<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = breaks.map(|(at, _)| at).collect();
        Self { file, text, lines, problems: RefCell::default() }
    }

    /// The line, from 1, in which a byte stands.
    pub(crate) fn line(&self, byte: usize) -> u32 {
        let before = self.lines.partition_point(|newline| *newline < byte);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }

    /// The line in which a text's first character stands: TOML drops a newline that follows `'''`.
    fn content_line(&self, span: &Range<usize>) -> u32 {
        let raw = self.text.get(span.clone()).unwrap_or_default();
        let fenced = ["'''\n", "'''\r\n", "\"\"\"\n", "\"\"\"\r\n"];
        let below = fenced.iter().any(|fence| raw.starts_with(fence));
        self.line(span.start) + u32::from(below)
    }

    pub(crate) fn problem(&self, line: u32, key: impl Into<String>, expected: impl Into<String>) {
        let (key, expected) = (key.into(), expected.into());
        let problem = Problem { file: self.file.to_owned(), line, key, expected };
        self.problems.borrow_mut().push(problem);
    }

    /// Every problem so far, in the order of the file.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        problems
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }
}

/// A value together with the line that its content begins in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) line: u32,
}

/// One table of the file. Its keys were checked against the known ones when it was opened.
pub(crate) struct Fields<'s, 't> {
    pub(crate) source: &'s Source<'t>,
    table: &'s DeTable<'s>,
    /// The block's name, as problems quote it: `query.search`.
    pub(crate) path: String,
    /// The line that the table begins in.
    pub(crate) line: u32,
}

impl<'s, 't> Fields<'s, 't> {
    /// Opens a table. Keys outside `known` are problems; the nearest known one is named.
    pub(crate) fn open(
        source: &'s Source<'t>,
        table: &'s DeTable<'s>,
        span: &Range<usize>,
        path: String,
        known: &[&str],
    ) -> Self {
        let fields = Self { source, table, path, line: source.line(span.start) };
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let expected = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("a key that exists here; the nearest is `{near}`"),
                    None => format!("one of the keys {}", listed(known)),
                };
                source.problem(source.line(key.span().start), fields.key(name), expected);
            }
        }
        fields
    }

    /// A key with its block in front.
    pub(crate) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// The line of a key, or of its table where the key is missing.
    pub(crate) fn line_of(&self, name: &str) -> u32 {
        self.table
            .get_key_value(name)
            .map_or(self.line, |(key, _)| self.source.line(key.span().start))
    }

    pub(crate) fn wrong(&self, name: &str, expected: impl Into<String>) {
        self.source.problem(self.line_of(name), self.key(name), expected);
    }

    fn value(&self, name: &str) -> Option<&'s Spanned<DeValue<'s>>> {
        self.table.get(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<At<String>> {
        let value = self.value(name)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(name, "text in quotes");
            return None;
        };
        Some(At { value: text.to_owned(), line: self.source.content_line(&value.span()) })
    }

    /// Text that must be there, is not blank, and has at most `chars_max` characters.
    pub(crate) fn required_text(&self, name: &str, chars_max: usize) -> Option<String> {
        if !self.has(name) {
            self.wrong(name, "this key, with text in quotes");
            return None;
        }
        self.short_text(name, chars_max)
    }

    pub(crate) fn short_text(&self, name: &str, chars_max: usize) -> Option<String> {
        let text = self.text(name)?.value;
        if text.trim().is_empty() || text.chars().count() > chars_max {
            self.wrong(name, format!("text of 1 to {chars_max} characters"));
            return None;
        }
        Some(text)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        let Some(value) = self.value(name) else { return false };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong(name, "true or false");
            false
        })
    }

    /// A whole number within `range`.
    pub(crate) fn whole(&self, name: &str, range: Range<i64>) -> Option<i64> {
        let value = self.value(name)?;
        let read = value.get_ref().as_integer().and_then(whole_of);
        let read = read.filter(|number| range.contains(number));
        if read.is_none() {
            let (least, most) = (range.start, range.end - 1);
            self.wrong(name, format!("a whole number from {least} to {most}"));
        }
        read
    }

    /// A list of text, or one text standing for a list of one.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let Some(value) = self.value(name) else { return Vec::new() };
        if let Some(text) = value.get_ref().as_str() {
            return vec![text.to_owned()];
        }
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(name, "a list of text, such as [\"one\", \"two\"]");
            return Vec::new();
        };
        let texts: Vec<String> =
            array.iter().filter_map(|item| item.get_ref().as_str()).map(str::to_owned).collect();
        if texts.len() != array.len() || texts.len() > ITEMS_MAX {
            self.wrong(name, format!("a list of at most {ITEMS_MAX} items, each text in quotes"));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = texts.iter().find(|text| !seen.insert(text.as_str())) {
            self.wrong(name, format!("each item once; `{twice}` is there twice"));
        }
        texts
    }

    pub(crate) fn wholes(&self, name: &str) -> Option<Vec<i64>> {
        let value = self.value(name)?;
        let numbers = value.get_ref().as_array().map(|array| {
            array.iter().map(|item| item.get_ref().as_integer().and_then(whole_of)).collect()
        });
        let numbers: Option<Vec<i64>> = numbers.flatten();
        if numbers.is_none() {
            self.wrong(name, "a list of whole numbers");
        }
        numbers
    }

    /// A table of text by name, each with its line.
    pub(crate) fn text_map(&self, name: &str) -> BTreeMap<String, At<String>> {
        let Some(value) = self.value(name) else { return BTreeMap::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(name, "a table of text, such as { plate = \"input.plate\" }");
            return BTreeMap::new();
        };
        let mut map = BTreeMap::new();
        for (key, value) in table {
            let line = self.source.line(key.span().start);
            match value.get_ref().as_str() {
                Some(text) => {
                    map.insert(key.get_ref().to_string(), At { value: text.to_owned(), line });
                }
                None => {
                    let path = self.key(&format!("{name}.{}", key.get_ref()));
                    self.source.problem(line, path, "text in quotes");
                }
            }
        }
        map
    }

    /// A table inside this one.
    pub(crate) fn table(&self, name: &str, known: &[&str]) -> Option<Self> {
        let value = self.value(name)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(name, "a table");
            return None;
        };
        let line = self.line_of(name);
        let mut inner = Self::open(self.source, table, &value.span(), self.key(name), known);
        inner.line = line;
        Some(inner)
    }

    /// A table inside this one whose keys are names that the file chose.
    pub(crate) fn free_table(&self, name: &str) -> Vec<(String, u32, Scalar)> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(name, "a table");
            return Vec::new();
        };
        let mut found = Vec::new();
        for (key, value) in table {
            let line = self.source.line(key.span().start);
            match Scalar::read(value.get_ref()) {
                Some(scalar) => found.push((key.get_ref().to_string(), line, scalar)),
                None => {
                    let path = self.key(&format!("{name}.{}", key.get_ref()));
                    self.source.problem(
                        line,
                        path,
                        "text, a number, a list of text, true or false",
                    );
                }
            }
        }
        found
    }

    /// A text without a problem where it is none; the full reading comes later and says so.
    pub(crate) fn peek(&self, name: &str) -> Option<String> {
        self.value(name)?.get_ref().as_str().map(str::to_owned)
    }

    /// As [`Self::peek`], for a whole number.
    pub(crate) fn peek_whole(&self, name: &str) -> Option<i64> {
        self.value(name)?.get_ref().as_integer().and_then(whole_of)
    }

    /// As [`Self::peek`], for a list of text or one text.
    pub(crate) fn peek_list(&self, name: &str) -> Vec<String> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let one = value.get_ref().as_str().map(str::to_owned);
        let many = value.get_ref().as_array().into_iter().flat_map(|array| array.iter());
        let many = many.filter_map(|item| item.get_ref().as_str()).map(str::to_owned);
        one.into_iter().chain(many).collect()
    }

    /// The blocks of a list, without problems; the full reading comes later.
    pub(crate) fn quiet_blocks(&self, name: &str) -> Vec<Self> {
        let Some(array) = self.value(name).and_then(|value| value.get_ref().as_array()) else {
            return Vec::new();
        };
        let tables = array.iter().take(ITEMS_MAX).enumerate();
        tables
            .filter_map(|(index, item)| {
                let table = item.get_ref().as_table()?;
                let path = block_path(name, index, table);
                let line = self.source.line(item.span().start);
                Some(Self { source: self.source, table, path, line })
            })
            .collect()
    }

    /// The blocks of a list such as `[[query]]`, each under its own id where it has one.
    pub(crate) fn blocks(&self, name: &str, known: &[&str]) -> Vec<Self> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let tables = value.get_ref().as_array();
        let Some(array) = tables else {
            self.wrong(name, format!("blocks that begin with [[{name}]]"));
            return Vec::new();
        };
        if array.len() > ITEMS_MAX {
            self.wrong(name, format!("at most {ITEMS_MAX} blocks"));
        }
        let mut blocks = Vec::new();
        for (index, item) in array.iter().enumerate().take(ITEMS_MAX) {
            let Some(table) = item.get_ref().as_table() else {
                self.wrong(name, format!("blocks that begin with [[{name}]]"));
                continue;
            };
            let path = block_path(name, index, table);
            blocks.push(Self::open(self.source, table, &item.span(), path, known));
        }
        blocks
    }
}

/// A value that a `[[test]]` block gives to an input or expects from a bind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Text(String),
    Bool(bool),
    Whole(i64),
    Texts(Vec<String>),
}

impl Scalar {
    fn read(value: &DeValue<'_>) -> Option<Self> {
        if let Some(text) = value.as_str() {
            return Some(Self::Text(text.to_owned()));
        }
        if let Some(flag) = value.as_bool() {
            return Some(Self::Bool(flag));
        }
        if let Some(whole) = value.as_integer().and_then(whole_of) {
            return Some(Self::Whole(whole));
        }
        let texts = value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
        texts.collect::<Option<Vec<_>>>().map(Self::Texts)
    }
}

fn whole_of(integer: &toml::de::DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// What problems call a block: `query.search`, or `query[2]` if it has no id.
fn block_path(name: &str, index: usize, table: &DeTable<'_>) -> String {
    let named = ["id", "name"].iter().find_map(|key| table.get(*key)?.get_ref().as_str());
    match named {
        Some(id) => format!("{name}.{}", quoted(id)),
        None => format!("{name}[{}]", index + 1),
    }
}

/// An id from the file is quoted in problems only as far as it looks like one.
fn quoted(id: &str) -> String {
    id.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// `a`, `b` and `c`.
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}
