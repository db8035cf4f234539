//! A tool as its file declares it, checked: what the renderer and the planner read.
//!
//! Invariant: a [`Tool`] exists only if every name in it leads somewhere, every statement binds
//! exactly its declared values, and every expression reads only what is known where it stands.
//! Nothing in here comes from a browser, and nothing in here changes while a tool is in use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gate::Mode;
use policy::{Caveat, Function, RecordClass};

use crate::expression::Expression;
use crate::label::Label;

/// One internal tool: one file, one digest, one approval.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Stable name, as in addresses: `vehicle-lookup`.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// The unit that answers for it.
    pub owner: String,
    /// One sentence for the list of tools; may be empty.
    pub summary: String,
    /// The file it came from, as given to the parser.
    pub file: String,
    /// SHA-256 of the file's bytes. Row handles and records carry it.
    pub version: [u8; 32],
    /// What kind of information the tool shows.
    pub handling: Handling,
    /// Which functions may do what.
    pub access: Access,
    /// Typed inputs, shared by forms, queries and actions.
    pub inputs: Vec<Input>,
    /// Statements with bound values.
    pub queries: Vec<Query>,
    /// What a person can do with a row, or with the whole.
    pub actions: Vec<Action>,
    /// The page, from top to bottom.
    pub parts: Vec<Part>,
    /// Checks that the file brings along.
    pub tests: Vec<Test>,
}

/// What kind of information a tool shows, and what must accompany a request for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handling {
    /// The record class that policy and agreements speak of.
    pub record_class: RecordClass,
    /// Caveats that every answer of this tool carries.
    pub caveats: BTreeSet<Caveat>,
    /// True if each run must say its purpose code.
    pub purpose_required: bool,
}

/// Which functions may run, write and export. An empty set lets no one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// May open the tool and run its reads.
    pub run: BTreeSet<Function>,
    /// May do its writes.
    pub write: BTreeSet<Function>,
    /// May ask for its exports.
    pub export: BTreeSet<Function>,
}

/// Which list of [`Access`] an action asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// `needs = "run"`
    Run,
    /// `needs = "write"`
    Write,
    /// `needs = "export"`
    Export,
}

impl Access {
    /// The functions in one of the lists.
    #[must_use]
    pub fn of(&self, need: Need) -> &BTreeSet<Function> {
        match need {
            Need::Run => &self.run,
            Need::Write => &self.write,
            Need::Export => &self.export,
        }
    }
}

/// One typed input.
#[derive(Debug, Clone)]
pub struct Input {
    /// The name in forms, binds and expressions.
    pub id: String,
    /// What the person reads beside it.
    pub label: String,
    /// A line of help under the label; may be empty.
    pub hint: String,
    /// The type, with what only that type has.
    pub kind: InputKind,
    /// True if it must always be filled in.
    pub required: bool,
    /// It must be filled in when this holds.
    pub required_when: Option<Expression>,
    /// A whole value must match this (anchored at both ends).
    pub pattern: Option<Pattern>,
    /// Applied to what was typed, in order, before anything else looks at it.
    pub clean: Vec<Clean>,
    /// Must hold for the value.
    pub check: Option<Expression>,
    /// Said when `pattern` or `check` does not hold; may be empty.
    pub message: String,
    /// Never logged, no autofill, no spell check, no translation.
    pub sensitive: bool,
    /// Its value goes into the ledger with the reason for access.
    pub audit: bool,
    /// When the value is given (a box ticked), the question carries this caveat.
    pub adds_caveat: Option<Caveat>,
}

/// The types of inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// One line of at most `chars_max` characters.
    Text {
        /// The longest value, in characters.
        chars_max: usize,
    },
    /// Several lines of at most `chars_max` characters.
    LongText {
        /// The longest value, in characters.
        chars_max: usize,
    },
    /// One of a list, as (value, label).
    Choice {
        /// What can be chosen.
        options: Vec<(String, String)>,
        /// The words for "none of them", where the input may be left empty.
        empty: String,
    },
    /// A day, `yyyy-mm-dd`.
    Date,
    /// A whole number within `least..=most`.
    Number {
        /// The smallest value.
        least: i64,
        /// The largest value.
        most: i64,
    },
    /// A box to tick: true or false, never empty.
    Checkbox,
}

/// A compiled pattern, and the text that the file wrote.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As written in the file.
    pub source: String,
    pub(crate) regex: regex::Regex,
}

/// A change made to what was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clean {
    /// Spaces at both ends go.
    Trim,
    /// Letters become capitals.
    Upper,
    /// Letters become small.
    Lower,
}

/// One statement. Its text is what the file says and nothing else, ever.
#[derive(Debug, Clone)]
pub struct Query {
    /// The name in parts and actions.
    pub id: String,
    /// The source that runs it.
    pub connection: String,
    /// Whether it reads or writes; the statement was checked to do just that.
    pub mode: Mode,
    /// The statement, with `:name` binds.
    pub sql: String,
    /// What is bound to each `:name`.
    pub bind: BTreeMap<String, Expression>,
    /// The columns it gives, in order; empty for a write.
    pub columns: Vec<String>,
    /// The columns that name one row; row handles carry them.
    pub key: Vec<String>,
    /// Columns that identify the person, vehicle, case or document that a row is about, as
    /// (kind, column).
    pub subjects: Vec<(String, String)>,
    /// The column that holds a row's caveat.
    pub caveat_column: Option<String>,
    /// A write that changes another number of rows is rolled back.
    pub expect_rows: Option<u64>,
    /// At most this many rows.
    pub rows_max: u32,
    /// At most this many bytes.
    pub bytes_max: u64,
    /// At most this long.
    pub wait_max: Duration,
}

/// Something a person can do.
#[derive(Debug, Clone)]
pub struct Action {
    /// The name in parts.
    pub id: String,
    /// The words on its button.
    pub label: String,
    /// What it does.
    pub kind: ActionKind,
    /// Inputs that its own form asks for.
    pub inputs: Vec<String>,
    /// Which list of [`Access`] it asks for.
    pub needs: Need,
    /// Offered only when this holds for the row.
    pub when: Option<Expression>,
    /// What is asked before it is done.
    pub confirm: Confirm,
    /// Said when it is done; parts `then` names are drawn anew.
    pub say: Option<Label>,
    /// Parts to draw anew.
    pub refresh: Vec<String>,
}

/// The kinds of actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionKind {
    /// Runs a write.
    Write {
        /// The query, of mode write.
        query: String,
    },
    /// Asks for an export to a partner under an agreement. Another person approves it.
    Export {
        /// The queries whose rows go into the parcel.
        queries: Vec<String>,
        /// The evidence parts whose documents the person chooses from.
        evidence: Vec<String>,
    },
}

/// The question put before an action is done.
#[derive(Debug, Clone)]
pub struct Confirm {
    /// The heading.
    pub title: Label,
    /// What will happen; may be empty.
    pub text: Label,
    /// The words on the button that does it.
    pub button: String,
    /// How grave the button looks.
    pub tone: Tone,
}

/// How grave a button looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As any other.
    Plain,
    /// Red.
    Danger,
}

/// One part of the page.
#[derive(Debug, Clone)]
pub struct Part {
    /// The name in other parts, and the element's id on the page.
    pub id: String,
    /// What it is.
    pub kind: PartKind,
    /// Column, row, width and height on a grid of 12 columns.
    pub at: Option<[u16; 4]>,
    /// The heading or caption; empty for one derived from the tool's title.
    pub title: Label,
    /// The query that fills it.
    pub query: Option<String>,
    /// The drawer that it stands in.
    pub inside: Option<String>,
    /// Shown only when this holds.
    pub when: Option<Expression>,
    /// Actions offered in it.
    pub actions: Vec<String>,
    /// Said when there is nothing; may be empty.
    pub empty: String,
}

/// The kinds of parts.
#[derive(Debug, Clone)]
pub enum PartKind {
    /// Inputs and a button.
    Form(FormPart),
    /// Rows of a query.
    Table(TablePart),
    /// One row of a table, opened.
    Drawer(DrawerPart),
    /// The rows of a query as lists of fields, for few rows with much text.
    Record(RecordPart),
    /// Documents, recordings and pictures of a case, each behind a sealed handle.
    Evidence(EvidencePart),
}

/// `kind = "form"`
#[derive(Debug, Clone)]
pub struct FormPart {
    /// Inputs, in order.
    pub inputs: Vec<String>,
    /// Queries that it runs.
    pub run: Vec<String>,
    /// Parts that show what they gave.
    pub into: Vec<String>,
    /// The words on its button.
    pub button: String,
}

/// `kind = "table"`
#[derive(Debug, Clone)]
pub struct TablePart {
    /// What is shown, in order.
    pub columns: Vec<Column>,
    /// Columns that people may sort by.
    pub sort: Vec<String>,
    /// Columns that people may filter by.
    pub filter: Vec<Filterable>,
    /// The order that it opens in, as (column, direction).
    pub order: Vec<(String, gate::Direction)>,
    /// Rows a page.
    pub page_rows: u32,
    /// The drawer that a row opens.
    pub opens: Option<String>,
}

/// `kind = "drawer"`
#[derive(Debug, Clone)]
pub struct DrawerPart {
    /// The table whose row it opens.
    pub of: String,
    /// What is shown of the row.
    pub fields: Vec<Column>,
}

/// `kind = "record"`
#[derive(Debug, Clone)]
pub struct RecordPart {
    /// What is shown of each row.
    pub fields: Vec<Column>,
}

/// `kind = "evidence"`
#[derive(Debug, Clone)]
pub struct EvidencePart {
    /// The evidence store, a source.
    pub store: String,
    /// Shown beside the name.
    pub fields: Vec<Column>,
    /// The column with the document's id.
    pub id: String,
    /// The column with the key under which the store keeps it.
    pub store_key: String,
    /// The column with its name for people.
    pub name: String,
    /// The column with its media type, which chooses between View and Play.
    pub media_type: String,
    /// At most this many bytes in one piece of a document.
    pub bytes_max: u64,
}

/// A column or field as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The query's column.
    pub name: String,
    /// The words above it.
    pub label: String,
    /// How its values are written.
    pub format: Format,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As they are.
    Text,
    /// Paragraphs.
    LongText,
    /// A number, right-aligned. Filters on it compare numbers.
    Number,
    /// A day.
    Date,
    /// A day and a time.
    DateTime,
    /// A word in a box. Colour never speaks alone.
    Badge,
    /// A size in bytes, written in kB or MB.
    Bytes,
}

/// A column that people may filter by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filterable {
    /// The query's column.
    pub column: String,
    /// The words beside it.
    pub label: String,
    /// What it may be, as (value, label); empty if any exact value can be typed.
    pub choices: Vec<(String, String)>,
    /// True if the column holds numbers.
    pub number: bool,
}

/// One `[[test]]` block.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// A sentence.
    pub name: String,
    /// The line in the file.
    pub line: u32,
    /// What is typed, by input.
    pub input: BTreeMap<String, String>,
    /// The query to plan; by default the first that the form runs.
    pub query: Option<String>,
    /// What must come of it.
    pub expect: Expect,
}

/// What a `[[test]]` expects.
#[derive(Debug, Clone, PartialEq)]
pub enum Expect {
    /// This input, and no other, is refused.
    Error {
        /// The input's id.
        input: String,
    },
    /// The plan has these values bound and the question these caveats.
    Plan {
        /// Values by bind name; others may be there.
        bind: BTreeMap<String, gate::Value>,
        /// Exactly these caveats.
        caveats: Option<BTreeSet<Caveat>>,
    },
}
