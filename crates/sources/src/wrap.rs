//! A plan's statement with numbered values in it, wrapped for one page and for the count.
//!
//! Invariant: the text is made of the definition's own text, of quoted names and of numbers that
//! this module writes. A value of a plan contributes a number, or the word `null`.

use std::fmt::Write as _;

use gate::{Direction, QueryPlan, Value, View};

use crate::error::Fault;
use crate::scan::{Dialect, Piece, pieces};

/// A statement that is ready to be prepared, and its values in the order of their numbers.
#[derive(Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

/// The statements of one plan.
pub(crate) struct Wrapped {
    /// The rows, or the page of them.
    pub(crate) rows: Statement,
    /// How many there are, counted up to the view's limit and one more. Only with a view.
    pub(crate) count: Option<Statement>,
}

/// Escapes `%`, `_` and the backslash, for `like … escape '\'`, and turns a trailing `*` into `%`.
pub fn escape_like(text: &str) -> String {
    let (text, ending) = text.strip_suffix('*').map_or((text, ""), |text| (text, "%"));
    let mut out = String::with_capacity(text.len().saturating_add(4));
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push_str(ending);
    out
}

/// Numbers the values of a plan's statement and wraps it as its view asks.
pub(crate) fn wrap(plan: &QueryPlan, dialect: Dialect) -> Result<Wrapped, Fault> {
    let inner = numbered(plan, dialect)?;
    let Some(view) = &plan.view else { return Ok(Wrapped { rows: inner, count: None }) };
    check_view(view, plan)?;
    let mut filtered = Numbering { dialect, sql: String::new(), values: inner.values.clone() };
    // The line ends, for the statement may end in a comment.
    filtered.text(&format!("from ({}\n) t", inner.sql));
    filters(view, &mut filtered);
    let mut rows = filtered.clone();
    rows.sql.insert_str(0, "select * ");
    order(view, &mut rows);
    let skipped = u64::from(view.page.saturating_sub(1)).saturating_mul(view.page_size.into());
    rows.text(&format!(" limit {} offset {skipped}", view.page_size));
    let counted = u64::from(view.count_max).saturating_add(1);
    let mut count = filtered;
    count.sql = format!("select count(*) from (select 1 {} limit {counted}) c", count.sql);
    Ok(Wrapped { rows: rows.statement(), count: Some(count.statement()) })
}

fn check_view(view: &View, plan: &QueryPlan) -> Result<(), Fault> {
    let problem = |problem: &str| Err(Fault::Statement { problem: problem.to_owned() });
    if view.page == 0 || view.page_size == 0 {
        return problem("pages are counted from 1 and are not empty");
    }
    if view.page_size > plan.limits.rows_max {
        return problem("a page is larger than the plan's rows");
    }
    Ok(())
}

#[derive(Clone)]
struct Numbering {
    dialect: Dialect,
    sql: String,
    values: Vec<Value>,
}

impl Numbering {
    fn text(&mut self, text: &str) {
        self.sql.push_str(text);
    }

    /// Writes the number at which a value is bound, with its type where the database can't tell.
    fn number(&mut self, position: usize, value: &Value) {
        let written = match (self.dialect, value) {
            (Dialect::Sqlite, _) => write!(self.sql, "?{position}"),
            // A null has no type, and as a literal it needs none.
            (Dialect::Postgres, Value::Null) => write!(self.sql, "null"),
            (Dialect::Postgres, Value::Bool(_)) => write!(self.sql, "${position}::boolean"),
            (Dialect::Postgres, Value::Int(_)) => write!(self.sql, "${position}::bigint"),
            (Dialect::Postgres, Value::Real(_)) => {
                write!(self.sql, "${position}::double precision")
            }
            // Takes the type of what it is compared with: text, a date, a uuid.
            (Dialect::Postgres, Value::Text(_)) => write!(self.sql, "${position}"),
        };
        debug_assert!(written.is_ok(), "a String takes everything");
    }

    /// Binds one more value.
    fn bind(&mut self, value: &Value) {
        let is_literal = self.dialect == Dialect::Postgres && *value == Value::Null;
        if !is_literal {
            self.values.push(value.clone());
        }
        self.number(self.values.len(), value);
    }

    fn column(&mut self, column: &str) {
        let quoted = format!("t.\"{}\"", column.replace('"', "\"\""));
        self.text(&quoted);
    }

    fn statement(self) -> Statement {
        Statement { sql: self.sql, values: self.values }
    }
}

/// The plan's own statement with its names numbered; each name once, however often it is used.
fn numbered(plan: &QueryPlan, dialect: Dialect) -> Result<Statement, Fault> {
    let mut out = Numbering { dialect, sql: String::with_capacity(plan.sql.len()), values: vec![] };
    let mut known: Vec<(&str, usize)> = Vec::new();
    let mut used: Vec<&str> = Vec::new();
    for piece in pieces(&plan.sql, dialect)? {
        let name = match piece {
            Piece::Text(text) => {
                out.text(text);
                continue;
            }
            Piece::Name(name) => name,
        };
        let Some(value) = plan.binds.get(name) else {
            let problem = format!("nothing is bound to `:{name}`");
            return Err(Fault::Statement { problem });
        };
        used.push(name);
        let seen = known.iter().find(|(known, _)| *known == name).map(|(_, position)| *position);
        match seen {
            Some(position) => out.number(position, value),
            None => {
                out.bind(value);
                known.push((name, out.values.len()));
            }
        }
    }
    if let Some(name) = plan.binds.keys().find(|name| !used.contains(&name.as_str())) {
        let problem = format!("`:{name}` is bound but not used");
        return Err(Fault::Statement { problem });
    }
    out.sql.truncate(out.sql.trim_end().len());
    Ok(out.statement())
}

fn filters(view: &View, out: &mut Numbering) {
    for (position, filter) in view.filters.iter().enumerate() {
        out.text(if position == 0 { " where " } else { " and " });
        out.column(&filter.column);
        match &filter.value {
            Value::Null => out.text(" is null"),
            value @ (Value::Bool(_) | Value::Int(_) | Value::Real(_) | Value::Text(_)) => {
                out.text(" = ");
                out.bind(value);
            }
        }
    }
}

/// Nulls come first when the smallest does, on every database alike.
fn order(view: &View, out: &mut Numbering) {
    for (position, (column, direction)) in view.sort.iter().enumerate() {
        out.text(if position == 0 { " order by " } else { ", " });
        out.column(column);
        out.text(match direction {
            Direction::Ascending => " asc nulls first",
            Direction::Descending => " desc nulls last",
        });
    }
}
