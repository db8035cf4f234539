//! `[[query]]` blocks: the statement, what is bound to it, and what one run may cost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gate::Mode;

use crate::definition::Query;
use crate::expression::Expression;
use crate::read::{At, Fields, listed};
use crate::sql;

use super::layout::Layout;

const KEYS: [&str; 12] = [
    "id",
    "connection",
    "mode",
    "timeout",
    "max_rows",
    "max_bytes",
    "key",
    "bind",
    "sql",
    "subjects",
    "caveat_column",
    "expect_rows",
];

/// A run waits so long unless the file says otherwise.
const WAIT_DEFAULT: Duration = Duration::from_secs(5);
/// The longest wait that a file may ask for.
const WAIT_SECONDS_MAX: i64 = 60;
/// The most rows that one run may give.
const ROWS_MAX: i64 = 10_000;
/// The bytes that one run may give unless the file says otherwise: 4 MiB.
const BYTES_DEFAULT: u64 = 4 << 20;
const BYTES_MAX: i64 = 64 << 20;
/// The kinds of subjects that the ledger knows.
const SUBJECTS: [&str; 4] = ["person", "vehicle", "case", "document"];

pub(super) fn read(
    top: &Fields<'_, '_>,
    layout: &Layout,
    caveat_column: Option<&str>,
) -> Vec<Query> {
    let mut seen = BTreeSet::new();
    let blocks = top.blocks("query", &KEYS);
    let keys: BTreeMap<String, Vec<String>> = blocks
        .iter()
        .filter_map(|block| Some((block.peek("id")?, block.peek_list("key"))))
        .collect();
    let one = |block| one(block, &mut seen, layout, &keys, caveat_column);
    blocks.iter().filter_map(one).collect()
}

fn one(
    block: &Fields<'_, '_>,
    seen: &mut BTreeSet<String>,
    layout: &Layout,
    keys: &BTreeMap<String, Vec<String>>,
    caveat_column: Option<&str>,
) -> Option<Query> {
    let id = super::block_id(block, seen);
    let connection = block.required_text("connection", 40);
    if !block.has("mode") {
        block.wrong("mode", "`mode = \"read\"` or `mode = \"write\"`");
    }
    let mode = super::one_of(block, "mode", &[("read", Mode::Read), ("write", Mode::Write)]);
    let (sql, reading) = statement(block, mode)?;
    let bind = bind(block, layout, keys, id.as_deref(), &reading.binds);
    let mode = mode?;
    for key in ["key", "subjects", "caveat_column", "max_rows", "max_bytes"] {
        if mode == Mode::Write && block.has(key) {
            block.wrong(key, format!("no `{key}` with `mode = \"write\"`"));
        }
    }
    let columns = reading.columns;
    let key = block.texts("key");
    refuse_absent(block, "key", &key, &columns);
    let caveat_column = caveats(block, caveat_column, &columns);
    Some(Query {
        id: id?,
        connection: connection?,
        mode,
        sql,
        bind,
        subjects: subjects(block, &columns),
        key,
        caveat_column: caveat_column.filter(|_| mode == Mode::Read),
        columns,
        expect_rows: expect_rows(block, mode),
        rows_max: rows_max(block, mode)?,
        bytes_max: bytes_max(block),
        wait_max: wait_max(block),
    })
}

fn statement(block: &Fields<'_, '_>, mode: Option<Mode>) -> Option<(String, sql::Reading)> {
    if !block.has("sql") {
        block.wrong("sql", "one SQL statement");
    }
    let At { value, line } = block.text("sql")?;
    match sql::read(&value, mode?) {
        Ok(reading) => Some((value, reading)),
        Err(objection) => {
            let line = line + objection.line - 1;
            block.source.problem(line, block.key("sql"), objection.expected);
            None
        }
    }
}

/// The names after colons and the keys of `bind` are the same names.
fn bind(
    block: &Fields<'_, '_>,
    layout: &Layout,
    keys: &BTreeMap<String, Vec<String>>,
    id: Option<&str>,
    names: &BTreeSet<String>,
) -> BTreeMap<String, Expression> {
    let scope = layout.bind_scope(id.unwrap_or_default(), keys);
    let mut bind = BTreeMap::new();
    let texts = block.text_map("bind");
    for (name, text) in &texts {
        let key = block.key(&format!("bind.{name}"));
        if !names.contains(name) {
            let expected = format!("a name that the SQL uses; there is no `:{name}` in it");
            block.source.problem(text.line, key, expected);
            continue;
        }
        match Expression::parse(&text.value, &scope) {
            Ok(expression) => {
                bind.insert(name.clone(), expression);
            }
            Err(expected) => block.source.problem(text.line, key, expected),
        }
    }
    for name in names.iter().filter(|name| !texts.contains_key(*name)) {
        block.wrong("bind", format!("a value for `:{name}`, which the SQL uses"));
    }
    bind
}

fn refuse_absent(block: &Fields<'_, '_>, key: &str, named: &[String], columns: &[String]) {
    for name in named.iter().filter(|name| !columns.contains(name)) {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let near = crate::problem::nearest(name, columns.iter().copied());
        let near = near.map_or_else(String::new, |near| format!("; the nearest is `{near}`"));
        block.wrong(key, format!("a column that the SQL gives; `{name}` is none{near}"));
    }
}

fn caveats(block: &Fields<'_, '_>, common: Option<&str>, columns: &[String]) -> Option<String> {
    match block.text("caveat_column") {
        Some(own) => {
            refuse_absent(block, "caveat_column", std::slice::from_ref(&own.value), columns);
            Some(own.value)
        }
        None => common.map(str::to_owned).filter(|common| columns.contains(common)),
    }
}

fn subjects(block: &Fields<'_, '_>, columns: &[String]) -> Vec<(String, String)> {
    let mut subjects = Vec::new();
    for (kind, column) in block.text_map("subjects") {
        if !SUBJECTS.contains(&kind.as_str()) {
            let expected = format!("one of {}; `{kind}` is none", listed(&SUBJECTS));
            block.source.problem(column.line, block.key("subjects"), expected);
        }
        refuse_absent(block, "subjects", std::slice::from_ref(&column.value), columns);
        subjects.push((kind, column.value));
    }
    subjects
}

fn expect_rows(block: &Fields<'_, '_>, mode: Mode) -> Option<u64> {
    match (mode, block.has("expect_rows")) {
        (Mode::Read, true) => block.wrong("expect_rows", "no `expect_rows` with `mode = \"read\"`"),
        (Mode::Write, false) => {
            block.wrong(
                "expect_rows",
                "how many rows the write changes; any other number is undone",
            );
        }
        (Mode::Read, false) | (Mode::Write, true) => {}
    }
    u64::try_from(block.whole("expect_rows", 1..1001)?).ok()
}

fn rows_max(block: &Fields<'_, '_>, mode: Mode) -> Option<u32> {
    match mode {
        Mode::Write => Some(0),
        Mode::Read if block.has("max_rows") => {
            block.whole("max_rows", 1..ROWS_MAX + 1).and_then(|rows| u32::try_from(rows).ok())
        }
        Mode::Read => {
            block.wrong("max_rows", format!("how many rows one run may give, 1 to {ROWS_MAX}"));
            None
        }
    }
}

fn bytes_max(block: &Fields<'_, '_>) -> u64 {
    let bytes = block.whole("max_bytes", 1..BYTES_MAX + 1);
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(BYTES_DEFAULT)
}

fn wait_max(block: &Fields<'_, '_>) -> Duration {
    let Some(text) = block.text("timeout") else { return WAIT_DEFAULT };
    let seconds = text.value.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok());
    let most = WAIT_SECONDS_MAX.unsigned_abs();
    match seconds.filter(|seconds| (1..=most).contains(seconds)) {
        Some(seconds) => Duration::from_secs(seconds),
        None => {
            block.wrong("timeout", format!("seconds from \"1s\" to \"{WAIT_SECONDS_MAX}s\""));
            WAIT_DEFAULT
        }
    }
}
