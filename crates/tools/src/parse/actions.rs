//! `[[action]]` blocks.

use std::collections::BTreeSet;

use gate::Mode;

use crate::definition::{Action, ActionKind, Confirm, Need, Query, Tone};
use crate::expression::{Expression, Scope};
use crate::label::Label;
use crate::read::Fields;

use super::layout::Layout;

const KEYS: [&str; 11] = [
    "id", "label", "kind", "query", "queries", "evidence", "inputs", "needs", "when", "confirm",
    "then",
];
const LABEL_CHARS_MAX: usize = 60;

#[derive(Clone, Copy)]
enum Kind {
    Write,
    Export,
}

pub(super) fn read(top: &Fields<'_, '_>, layout: &Layout, queries: &[Query]) -> Vec<Action> {
    let mut seen = BTreeSet::new();
    let blocks = top.blocks("action", &KEYS);
    blocks.iter().filter_map(|block| one(block, &mut seen, layout, queries)).collect()
}

fn one(
    block: &Fields<'_, '_>,
    seen: &mut BTreeSet<String>,
    layout: &Layout,
    queries: &[Query],
) -> Option<Action> {
    let id = super::block_id(block, seen)?;
    let label = block.required_text("label", LABEL_CHARS_MAX);
    if !block.has("kind") {
        block.wrong("kind", "`kind = \"write\"` or `kind = \"export\"`");
    }
    let kind = super::one_of(block, "kind", &[("write", Kind::Write), ("export", Kind::Export)]);
    let kind = kind.and_then(|kind| match kind {
        Kind::Write => write(block, layout, queries),
        Kind::Export => export(block, layout, queries),
    });
    let inputs = block.texts("inputs");
    Layout::refuse_unknown(block, "inputs", &inputs, &layout.inputs, "an input");
    refuse_bound_by_row(block, &id, &inputs, layout, queries);
    if !block.has("needs") {
        block.wrong("needs", "the list of [access] that it asks for: `needs = \"write\"`");
    }
    let needs = [("run", Need::Run), ("write", Need::Write), ("export", Need::Export)];
    let needs = super::one_of(block, "needs", &needs);
    let scope = layout.action_scope(&id, queries);
    let when = block.text("when").and_then(|text| {
        Expression::parse(&text.value, &scope).map_err(|said| block.wrong("when", said)).ok()
    });
    let confirm = confirm(block, &scope);
    let (say, refresh) = then(block, layout, &scope);
    Some(Action {
        id,
        label: label?,
        kind: kind?,
        inputs,
        needs: needs?,
        when,
        confirm: confirm?,
        say,
        refresh,
    })
}

fn write(block: &Fields<'_, '_>, layout: &Layout, queries: &[Query]) -> Option<ActionKind> {
    for key in ["queries", "evidence"] {
        if block.has(key) {
            block.wrong(key, format!("no `{key}` with `kind = \"write\"`"));
        }
    }
    let query = block.required_text("query", 40)?;
    Layout::refuse_unknown(
        block,
        "query",
        std::slice::from_ref(&query),
        &layout.queries,
        "a query",
    );
    if queries.iter().any(|known| known.id == query && known.mode == Mode::Read) {
        block.wrong("query", format!("a query with `mode = \"write\"`; `{query}` reads"));
    }
    Some(ActionKind::Write { query })
}

fn export(block: &Fields<'_, '_>, layout: &Layout, queries: &[Query]) -> Option<ActionKind> {
    if block.has("query") {
        block.wrong("query", "`queries` with `kind = \"export\"`");
    }
    let named = block.texts("queries");
    if named.is_empty() {
        block.wrong("queries", "the queries whose rows go into the parcel");
        return None;
    }
    Layout::refuse_unknown(block, "queries", &named, &layout.queries, "a query");
    for query in queries.iter().filter(|query| query.mode == Mode::Write) {
        if named.contains(&query.id) {
            block.wrong("queries", format!("queries that read; `{}` writes", query.id));
        }
    }
    let evidence = block.texts("evidence");
    let parts = layout.parts.iter().filter(|(_, place)| place.kind == "evidence");
    let parts: Vec<String> = parts.map(|(id, _)| id.clone()).collect();
    Layout::refuse_unknown(block, "evidence", &evidence, &parts, "an evidence part");
    Some(ActionKind::Export { queries: named, evidence })
}

/// The form of an action must not change what the open row was found by.
fn refuse_bound_by_row(
    block: &Fields<'_, '_>,
    id: &str,
    inputs: &[String],
    layout: &Layout,
    queries: &[Query],
) {
    let Some(row) = layout.row_query_of_action(id) else { return };
    let names = queries.iter().filter(|query| query.id == row);
    let names: BTreeSet<&str> = names
        .flat_map(|query| query.bind.values())
        .flat_map(|expression| expression.names().iter())
        .filter_map(|name| name.strip_prefix("input."))
        .collect();
    for input in inputs.iter().filter(|input| names.contains(input.as_str())) {
        block.wrong("inputs", format!("inputs that do not find the row; `{row}` binds `{input}`"));
    }
}

fn confirm(block: &Fields<'_, '_>, scope: &Scope) -> Option<Confirm> {
    if !block.has("confirm") {
        block.wrong("confirm", "a question with `title` and `button`: nothing is done unasked");
        return None;
    }
    let fields = block.table("confirm", &["title", "text", "button", "tone"])?;
    let button = fields.required_text("button", LABEL_CHARS_MAX);
    if !fields.has("title") {
        fields.wrong("title", "the question, such as \"Flag {row.plate}?\"");
    }
    let label = |name| {
        let text = fields.text(name)?;
        Label::parse(&text.value, scope).map_err(|expected| fields.wrong(name, expected)).ok()
    };
    let tones = [("plain", Tone::Plain), ("danger", Tone::Danger)];
    Some(Confirm {
        title: label("title")?,
        text: label("text").unwrap_or_default(),
        button: button?,
        tone: super::one_of(&fields, "tone", &tones).unwrap_or(Tone::Plain),
    })
}

fn then(block: &Fields<'_, '_>, layout: &Layout, scope: &Scope) -> (Option<Label>, Vec<String>) {
    let (mut say, mut refresh) = (None, Vec::new());
    for step in block.texts("then") {
        match step.split_once(':') {
            Some(("refresh", part)) if layout.parts.contains_key(part) => {
                refresh.push(part.to_owned());
            }
            Some(("refresh", part)) => {
                block.wrong("then", format!("the id of a part; `{part}` is none"));
            }
            Some(("say", text)) if say.is_none() => {
                say = Label::parse(text, scope).map_err(|said| block.wrong("then", said)).ok();
            }
            Some(_) | None => {
                block.wrong("then", "steps `refresh:part` and at most one `say:text`");
            }
        }
    }
    (say, refresh)
}
