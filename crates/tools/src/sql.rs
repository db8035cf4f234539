//! Reads a tool's SQL to refuse what it should not hold. The text itself is never changed.
//!
//! Invariant: a statement that passes is one statement, does what its mode says, and has `:name`
//! binds where our reading and a database's can't differ. So dollar quotes, `E''` strings, nested
//! comments and other kinds of placeholders are refused: connectors turn `:name` into their own
//! placeholders and must find exactly the binds that were checked here.

use std::collections::BTreeSet;

use gate::Mode;
use sqlparser::ast::{Query, Select, SelectItem, SetExpr, Statement};
use sqlparser::dialect::{Dialect, GenericDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};

/// The longest statement, in bytes.
pub(crate) const SQL_BYTES_MAX: usize = 16 * 1024;
/// sqlparser's recursion. It is deep in frames, not in levels, so it gets a stack of its own.
const DEPTH_MAX: usize = 40;
/// Enough for the longest statement as one chain of operators, which is dropped recursively.
const STACK_BYTES: usize = 64 << 20;

/// What a statement was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The names after colons, in the text.
    pub(crate) binds: BTreeSet<String>,
    /// The columns that a read gives, in order.
    pub(crate) columns: Vec<String>,
}

/// Something that a statement should not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Objection {
    /// The line within the statement, from 1.
    pub(crate) line: u32,
    /// What was expected instead.
    pub(crate) expected: String,
}

impl Objection {
    fn at(line: u64, expected: impl Into<String>) -> Self {
        Self { line: u32::try_from(line.max(1)).unwrap_or(u32::MAX), expected: expected.into() }
    }
}

/// Reads a statement of a mode. Files are read at start and when they change, never on a request,
/// so a thread for each statement is no cost.
pub(crate) fn read(sql: &str, mode: Mode) -> Result<Reading, Objection> {
    let failed = || Objection::at(1, "a statement that can be read; there was no room to read it");
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let reader = thread.spawn_scoped(scope, || read_here(sql, mode));
        reader.map_err(|_| failed())?.join().map_err(|_| failed())?
    })
}

fn read_here(sql: &str, mode: Mode) -> Result<Reading, Objection> {
    if sql.trim().is_empty() || sql.len() > SQL_BYTES_MAX {
        return Err(Objection::at(1, format!("one statement of at most {SQL_BYTES_MAX} bytes")));
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql)
        .tokenize_with_location()
        .map_err(|error| Objection::at(error.location.line, "SQL whose quotes are closed"))?;
    // Before parsing: the parser recurses, and parentheses are what makes it do so.
    refuse_depth(&tokens)?;
    let binds = binds(&tokens)?;
    let statement = parse(&tokens)?;
    let columns = match (mode, &statement) {
        (Mode::Read, Statement::Query(query)) => {
            refuse_words(&tokens, &WRITES, "`mode = \"read\"` holds nothing that writes or locks")?;
            columns(query)?
        }
        (Mode::Read, _) => return Err(Objection::at(1, "a `select`, since the mode is read")),
        (Mode::Write, Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_)) => {
            // The outcome of a write is a count. Rows that it gave back would leave unrecorded.
            refuse_words(&tokens, &[Keyword::RETURNING], "a write without `returning`")?;
            Vec::new()
        }
        (Mode::Write, _) => {
            let expected = "an `insert`, `update` or `delete`, since the mode is write";
            return Err(Objection::at(1, expected));
        }
    };
    Ok(Reading { binds, columns })
}

const WRITES: [Keyword; 9] = [
    Keyword::INSERT,
    Keyword::UPDATE,
    Keyword::DELETE,
    Keyword::MERGE,
    Keyword::INTO,
    Keyword::TRUNCATE,
    Keyword::DROP,
    Keyword::ALTER,
    Keyword::LOCK,
];

fn parse(tokens: &[TokenWithSpan]) -> Result<Statement, Objection> {
    let dialects: [&dyn Dialect; 3] =
        [&PostgreSqlDialect {}, &SQLiteDialect {}, &GenericDialect {}];
    let mut first = None;
    for dialect in dialects {
        let parser = Parser::new(dialect).with_recursion_limit(DEPTH_MAX);
        let read = parser.with_tokens_with_locations(tokens.to_vec()).parse_statements();
        match read {
            Ok(mut statements) => match (statements.pop(), statements.pop()) {
                (Some(statement), None) => return Ok(statement),
                (Some(_), Some(_)) => {
                    return Err(Objection::at(1, "one statement; there are several"));
                }
                (None, _) => return Err(Objection::at(1, "one statement; there is none")),
            },
            Err(error) => {
                first.get_or_insert(error);
            }
        }
    }
    let said = first.map(|error| error.to_string()).unwrap_or_default();
    let said = said.strip_prefix("sql parser error: ").unwrap_or(&said);
    let line = said.rsplit_once("Line: ").and_then(|(_, at)| at.split(',').next()?.parse().ok());
    let said = said.split(" at Line:").next().unwrap_or_default();
    Err(Objection::at(line.unwrap_or(1), format!("SQL that parses; the parser says: {said}")))
}

fn refuse_depth(tokens: &[TokenWithSpan]) -> Result<(), Objection> {
    let mut depth = 0_usize;
    for token in tokens {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX / 2 {
            let expected = format!("at most {} levels of parentheses", DEPTH_MAX / 2);
            return Err(Objection::at(token.span.start.line, expected));
        }
    }
    Ok(())
}

/// The names after colons. Whatever else could be a value from elsewhere is refused.
fn binds(tokens: &[TokenWithSpan]) -> Result<BTreeSet<String>, Objection> {
    let mut binds = BTreeSet::new();
    for (index, token) in tokens.iter().enumerate() {
        let line = token.span.start.line;
        let next = tokens.get(index + 1).map(|next| &next.token);
        match &token.token {
            Token::Colon => match next {
                Some(Token::Word(word)) if word.quote_style.is_none() && is_name(&word.value) => {
                    binds.insert(word.value.clone());
                }
                Some(_) | None => {
                    return Err(Objection::at(line, "a name of small letters right after `:`"));
                }
            },
            Token::Placeholder(_) | Token::AtSign | Token::Question => {
                return Err(Objection::at(line, "`:name` for each value, no other placeholder"));
            }
            Token::DollarQuotedString(_) => {
                return Err(Objection::at(line, "text in single quotes, no dollar quotes"));
            }
            Token::EscapedStringLiteral(_) | Token::UnicodeStringLiteral(_) => {
                return Err(Objection::at(line, "text in single quotes without `E` or `U&`"));
            }
            Token::Whitespace(Whitespace::MultiLineComment(comment)) if comment.contains("/*") => {
                return Err(Objection::at(line, "comments that are not nested"));
            }
            _ => {}
        }
    }
    Ok(binds)
}

fn refuse_words(
    tokens: &[TokenWithSpan],
    words: &[Keyword],
    expected: &str,
) -> Result<(), Objection> {
    for token in tokens {
        if let Token::Word(word) = &token.token
            && word.quote_style.is_none()
            && words.contains(&word.keyword)
        {
            let line = token.span.start.line;
            return Err(Objection::at(line, format!("{expected}, so no `{}`", word.value)));
        }
    }
    Ok(())
}

/// The names of what a `select` gives. A `*` would let a new column of the agency's database out.
fn columns(query: &Query) -> Result<Vec<String>, Objection> {
    let select = first_select(&query.body)
        .ok_or_else(|| Objection::at(1, "a `select` with its columns listed"))?;
    let mut columns: Vec<String> = Vec::new();
    for item in &select.projection {
        let name = match item {
            SelectItem::UnnamedExpr(sqlparser::ast::Expr::Identifier(name)) => Some(name),
            SelectItem::UnnamedExpr(sqlparser::ast::Expr::CompoundIdentifier(names)) => {
                names.last()
            }
            SelectItem::ExprWithAlias { alias, .. } => Some(alias),
            SelectItem::UnnamedExpr(_)
            | SelectItem::ExprWithAliases { .. }
            | SelectItem::QualifiedWildcard(_, _)
            | SelectItem::Wildcard(_) => None,
        };
        let Some(name) = name.map(|name| name.value.clone()).filter(|name| is_name(name)) else {
            let expected = "each column listed, with `as name` where it is computed; \
                            names are of small letters, digits and _";
            return Err(Objection::at(1, format!("{expected}; `{item}` is not")));
        };
        if columns.contains(&name) {
            return Err(Objection::at(1, format!("each column once; `{name}` is there twice")));
        }
        columns.push(name);
    }
    Ok(columns)
}

fn first_select(body: &SetExpr) -> Option<&Select> {
    let mut body = body;
    // Each round goes one level down a tree that the parser limited.
    loop {
        body = match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::Query(query) => &query.body,
            SetExpr::SetOperation { left, .. } => left,
            SetExpr::Values(_)
            | SetExpr::Insert(_)
            | SetExpr::Update(_)
            | SetExpr::Delete(_)
            | SetExpr::Merge(_)
            | SetExpr::Table(_) => return None,
        };
    }
}

/// Names that mean the same with and without quotes in every database.
pub(crate) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.len() <= 40
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mode: Mode, sql: &str, expected: &str) {
        let said = match read(sql, mode) {
            Ok(reading) => format!(
                "binds {:?} columns {:?}",
                reading.binds.into_iter().collect::<Vec<_>>(),
                reading.columns
            ),
            Err(objection) => format!("line {}: {}", objection.line, objection.expected),
        };
        assert_eq!(said, expected, "{sql}");
    }

    #[test]
    fn binds_are_found_where_they_are_and_nowhere_else() {
        check(
            Mode::Read,
            "select a, b::text as b, ':no' as c -- :no\n from t /* :no */ where \":no\" = :yes \
             and c like :p escape '\\' and d = ':no' || ':''no'",
            r#"binds ["p", "yes"] columns ["a", "b", "c"]"#,
        );
        check(
            Mode::Read,
            "with x as (select 1 as a) select t.a from x t",
            "binds [] columns [\"a\"]",
        );
        check(Mode::Read, "select a from t union select b from u", "binds [] columns [\"a\"]");
        check(Mode::Write, "update t set a = :a where id = :id", r#"binds ["a", "id"] columns []"#);
    }

    #[test]
    fn more_or_other_than_one_statement_of_the_mode_is_refused() {
        for (mode, sql, expected) in [
            (Mode::Read, "", "line 1: one statement of at most 16384 bytes"),
            (Mode::Read, "-- nothing", "line 1: one statement; there is none"),
            (
                Mode::Read,
                "select a from t; drop table t",
                "line 1: one statement; there are several",
            ),
            (Mode::Read, "drop table t", "line 1: a `select`, since the mode is read"),
            (
                Mode::Read,
                "pragma writable_schema = 1",
                "line 1: a `select`, since the mode is read",
            ),
            (Mode::Read, "attach database 'x' as y", "line 1: a `select`, since the mode is read"),
            (
                Mode::Write,
                "select a from t",
                "line 1: an `insert`, `update` or `delete`, since the mode is write",
            ),
            (
                Mode::Write,
                "create table t (a text)",
                "line 1: an `insert`, `update` or `delete`, since the mode is write",
            ),
            (
                Mode::Write,
                "update t set a = 1\nreturning a",
                "line 2: a write without `returning`, so no `returning`",
            ),
            (
                Mode::Read,
                "with x as (\n delete from t returning a)\nselect a from x",
                "line 2: `mode = \"read\"` holds nothing that writes or locks, so no `delete`",
            ),
            (
                Mode::Read,
                "select a into u from t",
                "line 1: `mode = \"read\"` holds nothing that writes or locks, so no `into`",
            ),
            (
                Mode::Read,
                "select a from t for update",
                "line 1: `mode = \"read\"` holds nothing that writes or locks, so no `update`",
            ),
        ] {
            check(mode, sql, expected);
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for (sql, expected) in [
            (
                "select a from t where b = $$ :x $$",
                "line 1: text in single quotes, no dollar quotes",
            ),
            (
                "select a from t where b = $1",
                "line 1: `:name` for each value, no other placeholder",
            ),
            ("select a from t where b = ?", "line 1: `:name` for each value, no other placeholder"),
            (
                "select a from t where b = @x",
                "line 1: `:name` for each value, no other placeholder",
            ),
            (
                "select a from t\nwhere b = E'\\':x'",
                "line 2: text in single quotes without `E` or `U&`",
            ),
            ("select a from t /* /* */ :x */", "line 1: comments that are not nested"),
            ("select a from t where b = :", "line 1: a name of small letters right after `:`"),
            ("select a from t where b = :X", "line 1: a name of small letters right after `:`"),
            ("select a from t where b = 'open", "line 1: SQL whose quotes are closed"),
        ] {
            check(Mode::Read, sql, expected);
        }
    }

    #[test]
    fn columns_are_listed_so_that_no_new_one_can_leave() {
        let expected = "line 1: each column listed, with `as name` where it is computed; \
                        names are of small letters, digits and _";
        check(Mode::Read, "select * from t", &format!("{expected}; `*` is not"));
        check(Mode::Read, "select t.* from t", &format!("{expected}; `t.*` is not"));
        check(Mode::Read, "select count(*) from t", &format!("{expected}; `count(*)` is not"));
        check(
            Mode::Read,
            "select a, b as a from t",
            "line 1: each column once; `a` is there twice",
        );
    }

    #[test]
    fn nesting_is_refused_before_it_costs_a_stack() {
        let deep = format!("select a from t where {}1{}", "(".repeat(5000), ")".repeat(5000));
        check(Mode::Read, &deep, "line 1: at most 20 levels of parentheses");
        let nots = format!("select a from t where {} 1", "not ".repeat(3000));
        assert!(read(&nots, Mode::Read).is_err());
        let minuses = format!("select a from t where {}1", "- ".repeat(3000));
        assert!(read(&minuses, Mode::Read).is_err());
        let sums = format!("select a from t where 1{}", " + 1".repeat(3000));
        // A long sum is a deep tree to drop, so it must either be refused or harmless.
        assert!(read(&sums, Mode::Read).is_ok());
        let cases = format!("select a from t where {} 1", "case when ".repeat(1000));
        assert!(read(&cases, Mode::Read).is_err());
    }
}
