//! What a browser sent, taken apart: inputs, the view of each table, the row that was chosen.
//!
//! Invariant: a field that the tool doesn't have is refused, and so is one that comes twice. A
//! table's view names only columns that its part declares for sorting and filtering.
//!
//! | field | meaning |
//! |---|---|
//! | an input's id | what was typed |
//! | `csrf` | the session's token; checked elsewhere |
//! | `row` | a sealed row handle |
//! | `PART.sort`, `PART.page`, `PART.filter.COLUMN` | the view of a table so far |
//! | `press` | the button: `PART:sort:COLUMN:asc`, `PART:page:3` or `PART:filter` |
//!
//! All of it travels in the bodies of POST requests, none of it in addresses.

use std::collections::BTreeMap;
use std::fmt;

use gate::Direction;

use crate::definition::{PartKind, TablePart, Tool};
use crate::input::FieldError;

/// Names that no input may have, for every form has them.
pub const RESERVED: [&str; 7] = ["csrf", "row", "press", "form", "part", "action", "step"];
/// Nor may it have the names by which an export is asked for. These fields are read apart from the tool's own.
pub const EXPORT_FIELDS: [&str; 9] =
    ["agreement", "requestor", "exhibit", "without", "skip", "also", "route", "shown", "which"];

/// The most fields that one request may bring.
pub const FIELDS_MAX: usize = 200;
/// The longest value of one field, in bytes.
pub const FIELD_BYTES_MAX: usize = 32 * 1024;
/// The last page that can be asked for; a search that gives more needs narrowing.
pub const PAGE_MAX: u32 = 10_000;

/// A request's fields, taken apart. `Debug` shows no value of them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Submission {
    /// What was typed, by input.
    pub typed: BTreeMap<String, String>,
    /// The view asked of each table, with the pressed button applied.
    pub tables: BTreeMap<String, TableAsked>,
    /// The sealed handle of the chosen row.
    pub row: Option<String>,
    /// The part whose button was pressed; `None` for the form's own button.
    pub pressed: Option<String>,
}

/// The view of one table as it was asked for. Columns are declared ones; values are not yet read.
/// `Debug` shows no value of them.
#[derive(Clone, PartialEq, Eq)]
pub struct TableAsked {
    /// Columns to sort by; empty for the part's own order.
    pub sort: Vec<(String, Direction)>,
    /// What was put into the filters, by column; never blank.
    pub filters: BTreeMap<String, String>,
    /// The page, from 1.
    pub page: u32,
}

impl fmt::Debug for Submission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed: Vec<&String> = self.typed.keys().collect();
        out.debug_struct("Submission").field("typed", &typed).finish_non_exhaustive()
    }
}

impl fmt::Debug for TableAsked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filters: Vec<&String> = self.filters.keys().collect();
        let Self { sort, page, .. } = self;
        let mut shown = out.debug_struct("TableAsked");
        shown.field("sort", sort).field("page", page).field("filters", &filters).finish()
    }
}

impl Default for TableAsked {
    fn default() -> Self {
        Self { sort: Vec::new(), filters: BTreeMap::new(), page: 1 }
    }
}

impl Submission {
    /// Takes a request's fields apart.
    ///
    /// # Errors
    /// A [`FieldError`] for each field that does not belong here. Its `input` is `form` where the
    /// name itself is not one of ours, so that nothing sent is repeated.
    pub fn read(tool: &Tool, fields: &[(String, String)]) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut submission = Self::default();
        if fields.len() > FIELDS_MAX {
            return Err(vec![FieldError::new("form", "The form has too many fields.")]);
        }
        let mut seen = std::collections::BTreeSet::new();
        let mut press = None;
        for (name, value) in fields {
            if !seen.insert(name.as_str()) {
                errors.push(FieldError::new("form", "The form has one field twice."));
            } else if value.len() > FIELD_BYTES_MAX {
                errors.push(FieldError::new("form", "The form has a field that is too long."));
            } else if tool.input(name).is_some() {
                submission.typed.insert(name.clone(), value.clone());
            } else if name == "row" {
                submission.row = Some(value.clone());
            } else if name == "press" {
                press = Some(value);
            } else if RESERVED.contains(&name.as_str()) {
                // The pages' own fields; they are read where they are meant.
            } else if let Err(error) = submission.view_field(tool, name, value) {
                errors.push(error);
            }
        }
        // Last, for the button applies to the view as all the other fields describe it.
        if let Some(press) = press
            && let Err(error) = submission.press(tool, press)
        {
            errors.push(error);
        }
        if errors.is_empty() { Ok(submission) } else { Err(errors) }
    }

    /// The view asked of a table.
    #[must_use]
    pub fn table(&self, part: &str) -> TableAsked {
        self.tables.get(part).cloned().unwrap_or_default()
    }

    fn view_field(&mut self, tool: &Tool, name: &str, value: &str) -> Result<(), FieldError> {
        let unknown = || FieldError::new("form", "The form has a field that this tool does not.");
        let (part, field) = name.split_once('.').ok_or_else(unknown)?;
        let table = table_of(tool, part).ok_or_else(unknown)?;
        let asked = self.tables.entry(part.to_owned()).or_default();
        match field.split_once('.') {
            None if field == "sort" => {
                for text in value.split(',').filter(|text| !text.is_empty()) {
                    let sort = sorting(table, text).ok_or_else(|| no_such_sort(part))?;
                    if asked.sort.iter().any(|(column, _)| *column == sort.0) {
                        return Err(no_such_sort(part));
                    }
                    asked.sort.push(sort);
                }
            }
            None if field == "page" => asked.page = page(part, value)?,
            Some(("filter", column)) => {
                if !table.filter.iter().any(|filter| filter.column == column) {
                    return Err(unknown());
                }
                if !value.trim().is_empty() {
                    asked.filters.insert(column.to_owned(), value.trim().to_owned());
                }
            }
            None | Some(_) => return Err(unknown()),
        }
        Ok(())
    }

    fn press(&mut self, tool: &Tool, press: &str) -> Result<(), FieldError> {
        let unknown = || FieldError::new("form", "The form has a button that this tool does not.");
        let (part, what) = press.split_once(':').ok_or_else(unknown)?;
        let table = table_of(tool, part).ok_or_else(unknown)?;
        let asked = self.tables.entry(part.to_owned()).or_default();
        match what.split_once(':') {
            Some(("sort", text)) => {
                asked.sort = vec![sorting(table, text).ok_or_else(|| no_such_sort(part))?];
                asked.page = 1;
            }
            Some(("page", number)) => asked.page = page(part, number)?,
            None if what == "filter" => asked.page = 1,
            None if what == "clear" => {
                asked.filters.clear();
                asked.page = 1;
            }
            None | Some(_) => return Err(unknown()),
        }
        self.pressed = Some(part.to_owned());
        Ok(())
    }
}

fn table_of<'t>(tool: &'t Tool, part: &str) -> Option<&'t TablePart> {
    match &tool.part(part)?.kind {
        PartKind::Table(table) => Some(table),
        PartKind::Form(_) | PartKind::Drawer(_) | PartKind::Record(_) | PartKind::Evidence(_) => {
            None
        }
    }
}

fn no_such_sort(part: &str) -> FieldError {
    FieldError::new(&format!("{part}.sort"), "The table can't be sorted by that column.")
}

/// `column:asc` or `column:desc`, of a column that the part lets people sort by.
fn sorting(table: &TablePart, text: &str) -> Option<(String, Direction)> {
    let (column, direction) = text.split_once(':')?;
    let direction = match direction {
        "asc" => Direction::Ascending,
        "desc" => Direction::Descending,
        _ => return None,
    };
    table.sort.iter().find(|known| *known == column).map(|known| (known.clone(), direction))
}

fn page(part: &str, text: &str) -> Result<u32, FieldError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.filter(|page| (1..=PAGE_MAX).contains(page)).ok_or_else(|| {
        FieldError::new(&format!("{part}.page"), format!("Pages go from 1 to {PAGE_MAX}."))
    })
}
