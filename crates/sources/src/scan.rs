//! Reads a statement of a definition just far enough to find where its values go.
//!
//! Invariant: `:name` is found only where the database would see it too, outside of quotes and
//! comments; there is one statement; and no placeholder is left that nobody fills.

use crate::error::Fault;

/// Whose quotes and placeholders to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite 3.
    Sqlite,
    /// PostgreSQL 12 and later, with standard conforming strings.
    Postgres,
}

/// A piece of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text to be passed on as it is.
    Text(&'a str),
    /// The name of a value, without its colon.
    Name(&'a str),
}

/// Splits a statement into text and names. A `;` at its end is left out.
pub(crate) fn pieces(sql: &str, dialect: Dialect) -> Result<Vec<Piece<'_>>, Fault> {
    let mut scan = Scan { sql, bytes: sql.as_bytes(), at: 0, text_from: 0, pieces: Vec::new() };
    let mut ended = false;
    while let Some(byte) = scan.byte(0) {
        if ended && !byte.is_ascii_whitespace() && !scan.begins_comment() {
            return Err(problem("it holds more than one statement"));
        }
        match byte {
            b'-' if scan.byte(1) == Some(b'-') => scan.skip_line(),
            b'/' if scan.byte(1) == Some(b'*') => scan.skip_comment(dialect)?,
            b'\'' => scan.skip_string(dialect)?,
            b'"' => scan.skip_quoted(b'"')?,
            b'`' if dialect == Dialect::Sqlite => scan.skip_quoted(b'`')?,
            b'[' if dialect == Dialect::Sqlite => scan.skip_quoted(b']')?,
            b'$' => scan.dollar(dialect)?,
            b'?' | b'@' | b'#' if dialect == Dialect::Sqlite => {
                return Err(problem("values are named `:name`, not `?`, `@` or `#`"));
            }
            b':' => scan.colon(),
            b';' => {
                ended = true;
                scan.flush();
                scan.at += 1;
                scan.text_from = scan.at;
            }
            0 => return Err(problem("it holds a NUL byte")),
            _ if is_word(byte) => scan.skip_word(),
            _ => scan.at += 1,
        }
    }
    scan.flush();
    Ok(scan.pieces)
}

struct Scan<'a> {
    sql: &'a str,
    bytes: &'a [u8],
    at: usize,
    text_from: usize,
    pieces: Vec<Piece<'a>>,
}

impl<'a> Scan<'a> {
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at.saturating_add(ahead)).copied()
    }

    fn begins_comment(&self) -> bool {
        matches!((self.byte(0), self.byte(1)), (Some(b'-'), Some(b'-')) | (Some(b'/'), Some(b'*')))
    }

    fn flush(&mut self) {
        // Cut at ASCII bytes only, so this is always a whole text.
        if let Some(text) = self.sql.get(self.text_from..self.at).filter(|text| !text.is_empty()) {
            self.pieces.push(Piece::Text(text));
        }
        self.text_from = self.at;
    }

    fn skip_line(&mut self) {
        while self.byte(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    /// PostgreSQL's comments nest, SQLite's do not.
    fn skip_comment(&mut self, dialect: Dialect) -> Result<(), Fault> {
        let mut depth = 0_u32;
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b'*'), Some(b'/')) => {
                    self.at += 2;
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(b'/'), Some(b'*')) if depth == 0 || dialect == Dialect::Postgres => {
                    self.at += 2;
                    depth += 1;
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(problem("a comment is not closed")),
            }
        }
    }

    /// In PostgreSQL, `E'…'` takes backslashes as escapes.
    fn skip_string(&mut self, dialect: Dialect) -> Result<(), Fault> {
        let before = self.at.checked_sub(1).and_then(|at| self.bytes.get(at));
        let two_before = self.at.checked_sub(2).and_then(|at| self.bytes.get(at));
        let escapes = dialect == Dialect::Postgres
            && matches!(before, Some(b'e' | b'E'))
            && !two_before.is_some_and(|byte| is_word(*byte));
        self.at += 1;
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b'\''), Some(b'\'')) => self.at += 2,
                (Some(b'\\'), Some(_)) if escapes => self.at += 2,
                (Some(b'\''), _) => {
                    self.at += 1;
                    return Ok(());
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(problem("a text is not closed")),
            }
        }
    }

    fn skip_quoted(&mut self, close: u8) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(here), Some(next)) if here == close && next == close && close != b']' => {
                    self.at += 2;
                }
                (Some(here), _) if here == close => {
                    self.at += 1;
                    return Ok(());
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(problem("a quoted name is not closed")),
            }
        }
    }

    /// `$1` is a placeholder that nobody fills; `$tag$…$tag$` is PostgreSQL's other string.
    fn dollar(&mut self, dialect: Dialect) -> Result<(), Fault> {
        let rest = self.bytes.get(self.at.saturating_add(1)..).unwrap_or_default();
        let tag = rest.iter().take_while(|byte| is_word(**byte)).count();
        let is_string = dialect == Dialect::Postgres
            && rest.get(tag) == Some(&b'$')
            && !rest.first().is_some_and(u8::is_ascii_digit);
        if !is_string {
            return Err(problem("values are named `:name`, not `$`"));
        }
        let opening = self.at..self.at.saturating_add(tag).saturating_add(2);
        let delimiter = self.sql.get(opening.clone()).unwrap_or_default();
        let inside = self.sql.get(opening.end..).unwrap_or_default();
        let Some(length) = inside.find(delimiter) else {
            return Err(problem("a dollar-quoted text is not closed"));
        };
        self.at = opening.end.saturating_add(length).saturating_add(delimiter.len());
        Ok(())
    }

    fn colon(&mut self) {
        let is_cast = self.byte(1) == Some(b':');
        if is_cast {
            self.at += 2;
            return;
        }
        let rest = self.bytes.get(self.at.saturating_add(1)..).unwrap_or_default();
        let is_first = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
        if !rest.first().is_some_and(is_first) {
            self.at += 1;
            return;
        }
        let length = rest.iter().take_while(|byte| is_word(**byte)).count();
        self.flush();
        let from = self.at.saturating_add(1);
        let to = from.saturating_add(length);
        if let Some(name) = self.sql.get(from..to) {
            self.pieces.push(Piece::Name(name));
        }
        self.at = to;
        self.text_from = to;
    }

    /// Words are passed over whole, so that `x$1` or `e` before a quote is read as the database does.
    fn skip_word(&mut self) {
        while self.byte(0).is_some_and(is_word) && self.byte(1).is_some_and(is_word) {
            self.at += 1;
        }
        self.at += 1;
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn problem(text: &str) -> Fault {
    Fault::Statement { problem: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dialect: Dialect, sql: &str, expected: &str) {
        let found = match pieces(sql, dialect) {
            Ok(pieces) => pieces
                .into_iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.to_owned(),
                    Piece::Name(name) => format!("<{name}>"),
                })
                .collect(),
            Err(fault) => fault.to_string(),
        };
        assert_eq!(found, expected, "{sql}");
    }

    #[test]
    fn names_are_found_where_the_database_sees_them() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            check(dialect, "select :a, x::text", "select <a>, x::text");
            check(
                dialect,
                "select ':a' || \":b\" -- :c\n/* :d */, :e",
                "select ':a' || \":b\" -- :c\n/* :d */, <e>",
            );
            check(
                dialect,
                "x like :p escape '\\' and y = :q",
                "x like <p> escape '\\' and y = <q>",
            );
            check(dialect, "'it''s :a' = :b", "'it''s :a' = <b>");
            check(dialect, "select 'é:a', :é1", "select 'é:a', :é1");
            check(dialect, "select 1; -- done\n", "select 1 -- done\n");
        }
    }

    #[test]
    fn quotes_of_one_database_only() {
        check(Dialect::Sqlite, "select [a:b], `c:d`, :e", "select [a:b], `c:d`, <e>");
        check(Dialect::Postgres, "select a[1:2], :e", "select a[1:2], <e>");
        check(Dialect::Postgres, "select E'\\':a', :b", "select E'\\':a', <b>");
        check(
            Dialect::Postgres,
            "select $$:a$$, $x$ $$ :b $x$, :c",
            "select $$:a$$, $x$ $$ :b $x$, <c>",
        );
        check(Dialect::Postgres, "/* /* */ :a */ :b", "/* /* */ :a */ <b>");
        check(Dialect::Sqlite, "/* /* */ :a", "/* /* */ <a>");
    }

    #[test]
    fn what_is_not_one_statement_with_named_values_is_refused() {
        let refusal = |text| format!("the statement is not usable: {text}");
        let many = refusal("it holds more than one statement");
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            check(dialect, "select 1; delete from t", &many);
            check(dialect, "select 1;;", &many);
            check(dialect, "select 'a", &refusal("a text is not closed"));
            check(dialect, "select \"a", &refusal("a quoted name is not closed"));
            check(dialect, "select 1 /* a", &refusal("a comment is not closed"));
            check(dialect, "select $1", &refusal("values are named `:name`, not `$`"));
            check(dialect, "select '\0' \0", &refusal("it holds a NUL byte"));
        }
        check(
            Dialect::Sqlite,
            "select ?",
            &refusal("values are named `:name`, not `?`, `@` or `#`"),
        );
        check(Dialect::Postgres, "select $a$ b", &refusal("a dollar-quoted text is not closed"));
    }
}
