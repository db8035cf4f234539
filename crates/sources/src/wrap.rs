//! A plan's statement with numbered values in it, wrapped for one page and for the count.
//!
//! Invariant: the text is made of the definition's own text, of quoted names and of numbers that
//! this module writes. A value of a plan contributes a number, or the word `null`.

use std::collections::BTreeSet;

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

    /// Binds one more value and writes its number, with a type where the database can't tell.
    fn bind(&mut self, value: &Value, place: Place) {
        let kind = match (self.dialect, value, place) {
            // A null has no type, and as a literal it needs none.
            (Dialect::Postgres, Value::Null, _) => {
                self.text("null");
                return;
            }
            (Dialect::Sqlite, _, _) => "",
            (Dialect::Postgres, Value::Bool(_), _) => "::boolean",
            (Dialect::Postgres, Value::Int(_), _) => "::bigint",
            (Dialect::Postgres, Value::Real(_), _) => "::double precision",
            (Dialect::Postgres, Value::Text(_), Place::NullTest) => "::text",
            // Takes the type of what it is compared with: text, a date, a uuid.
            (Dialect::Postgres, Value::Text(_), Place::Other) => "",
        };
        self.values.push(value.clone());
        let sign = match self.dialect {
            Dialect::Sqlite => '?',
            Dialect::Postgres => '$',
        };
        self.sql.push(sign);
        self.text(&self.values.len().to_string());
        self.text(kind);
    }

    fn column(&mut self, column: &str) {
        let quoted = format!("t.\"{}\"", column.replace('"', "\"\""));
        self.text(&quoted);
    }

    fn statement(self) -> Statement {
        Statement { sql: self.sql, values: self.values }
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before `is null` or `is not null`, where nothing tells its type.
    NullTest,
    /// Anywhere else.
    Other,
}

impl Place {
    fn before(text: &str) -> Self {
        let mut words = text.split_whitespace().map(str::to_ascii_lowercase);
        let is = words.next().is_some_and(|word| word == "is");
        let mut next = words.next().unwrap_or_default();
        if next == "not" {
            next = words.next().unwrap_or_default();
        }
        if is && next.starts_with("null") { Self::NullTest } else { Self::Other }
    }
}

/// The plan's own statement with its names numbered. Each use of a name has a number of its own, so
/// that the database may find another type for each.
fn numbered(plan: &QueryPlan, dialect: Dialect) -> Result<Statement, Fault> {
    let mut out = Numbering { dialect, sql: String::with_capacity(plan.sql.len()), values: vec![] };
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let pieces = pieces(&plan.sql, dialect)?;
    let mut rest = pieces.iter().copied().peekable();
    while let Some(piece) = rest.next() {
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
        used.insert(name);
        let place = match rest.peek() {
            Some(Piece::Text(text)) => Place::before(text),
            Some(Piece::Name(_)) | None => Place::Other,
        };
        out.bind(value, place);
    }
    if let Some(name) = plan.binds.keys().find(|name| !used.contains(name.as_str())) {
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
                out.bind(value, Place::Other);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use gate::{Filter, Limits, Mode};

    use super::*;

    fn plan(view: Option<View>) -> QueryPlan {
        let text = |text: &str| Value::Text(text.to_owned());
        QueryPlan {
            source: "rms".to_owned(),
            mode: Mode::Read,
            sql: "select id from v where (:s is NOT\n null or s = :s) and y > :y and n = :n; -- x"
                .to_owned(),
            binds: BTreeMap::from([
                ("s".to_owned(), text("NB")),
                ("y".to_owned(), Value::Int(2000)),
                ("n".to_owned(), Value::Null),
            ]),
            expect_rows: None,
            view,
            subjects: Vec::new(),
            caveat_column: None,
            limits: Limits { rows_max: 100, bytes_max: 1, wait_max: Duration::ZERO },
        }
    }

    #[test]
    fn the_statements_are_the_definitions_text_with_numbers_in_it() {
        let view = View {
            sort: vec![("a\"b".to_owned(), Direction::Descending)],
            filters: vec![
                Filter { column: "make".to_owned(), value: Value::Text("' or 1=1".to_owned()) },
                Filter { column: "gone".to_owned(), value: Value::Null },
            ],
            page: 3,
            page_size: 25,
            count_max: 10_000,
        };
        let wrapped = wrap(&plan(Some(view)), Dialect::Postgres).unwrap();
        let inner = "select id from v where ($1::text is NOT\n null or s = $2) and y > $3::bigint \
                     and n = null -- x";
        let from = format!("from ({inner}\n) t where t.\"make\" = $4 and t.\"gone\" is null");
        assert_eq!(
            wrapped.rows.sql,
            format!("select * {from} order by t.\"a\"\"b\" desc nulls last limit 25 offset 50")
        );
        assert_eq!(
            wrapped.count.unwrap().sql,
            format!("select count(*) from (select 1 {from} limit 10001) c")
        );
        let values: Vec<String> = wrapped.rows.values.iter().map(ToString::to_string).collect();
        assert_eq!(values, ["NB", "NB", "2000", "' or 1=1"]);
        let plain = wrap(&plan(None), Dialect::Sqlite).unwrap().rows;
        assert_eq!(
            plain.sql,
            "select id from v where (?1 is NOT\n null or s = ?2) and y > ?3 and n = ?4 -- x"
        );
        assert_eq!(plain.values.len(), 4);
    }
}
