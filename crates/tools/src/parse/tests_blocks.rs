//! `[[test]]` blocks: what the file says must come of what is typed.

use std::collections::{BTreeMap, BTreeSet};

use gate::Value;

use crate::definition::{Expect, Query, Test};
use crate::read::{Fields, Scalar};

use super::layout::Layout;

const NAME_CHARS_MAX: usize = 200;

pub(super) fn read(top: &Fields<'_, '_>, layout: &Layout, queries: &[Query]) -> Vec<Test> {
    let mut seen = BTreeSet::new();
    let blocks = top.blocks("test", &["name", "input", "query", "expect"]);
    blocks.iter().filter_map(|block| one(block, &mut seen, layout, queries)).collect()
}

fn one(
    block: &Fields<'_, '_>,
    seen: &mut BTreeSet<String>,
    layout: &Layout,
    queries: &[Query],
) -> Option<Test> {
    let name = block.required_text("name", NAME_CHARS_MAX)?;
    if !seen.insert(name.clone()) {
        block.wrong("name", "a sentence of its own; another test has this one");
    }
    let query = block.text("query").map(|text| text.value);
    if let Some(query) = &query {
        let named = std::slice::from_ref(query);
        Layout::refuse_unknown(block, "query", named, &layout.queries, "a query");
    }
    let mut input = BTreeMap::new();
    for (id, line, scalar) in block.free_table("input") {
        if !layout.inputs.contains(&id) {
            let key = block.key(&format!("input.{id}"));
            block.source.problem(line, key, "the id of an input");
        }
        input.insert(id, typed(scalar));
    }
    let expect = expect(block, layout, queries)?;
    Some(Test { name, line: block.line, input, query, expect })
}

/// What a browser would send for it.
fn typed(scalar: Scalar) -> String {
    match scalar {
        Scalar::Text(text) => text,
        Scalar::Bool(true) => "yes".to_owned(),
        Scalar::Bool(false) => String::new(),
        Scalar::Whole(whole) => whole.to_string(),
        Scalar::Texts(texts) => texts.join(","),
    }
}

fn expect(block: &Fields<'_, '_>, layout: &Layout, queries: &[Query]) -> Option<Expect> {
    if !block.has("expect") {
        block.wrong("expect", "{ error = \"an input\" } or { bind = { … }, caveats = [ … ] }");
        return None;
    }
    let fields = block.table("expect", &["error", "bind", "caveats"])?;
    match (fields.has("error"), fields.has("bind") || fields.has("caveats")) {
        (true, false) => {
            let input = fields.required_text("error", 40)?;
            let named = std::slice::from_ref(&input);
            Layout::refuse_unknown(&fields, "error", named, &layout.inputs, "an input");
            Some(Expect::Error { input })
        }
        (false, true) => {
            let mut bind = BTreeMap::new();
            for (name, line, scalar) in fields.free_table("bind") {
                let every_query_was_read = queries.len() == layout.queries.len();
                let binds = |query: &Query| query.bind.contains_key(&name);
                if every_query_was_read && !queries.iter().any(binds) {
                    let key = fields.key(&format!("bind.{name}"));
                    fields.source.problem(line, key, "a name that a query binds");
                }
                bind.insert(name, value(scalar));
            }
            let caveats = fields
                .has("caveats")
                .then(|| super::words(&fields, "caveats", "caveats, such as [\"JUVENILE\"]"));
            Some(Expect::Plan { bind, caveats })
        }
        (true, true) | (false, false) => {
            fields.wrong("error", "either `error`, or `bind` and `caveats`");
            None
        }
    }
}

fn value(scalar: Scalar) -> Value {
    match scalar {
        Scalar::Text(text) => Value::Text(text),
        Scalar::Bool(flag) => Value::Bool(flag),
        Scalar::Whole(whole) => Value::Int(whole),
        Scalar::Texts(texts) => Value::Text(texts.join(",")),
    }
}
