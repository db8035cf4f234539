//! `[[input]]` blocks.

use std::collections::BTreeSet;

use crate::definition::{Clean, Input, InputKind, Pattern};
use crate::expression::{Expression, Scope, anchored};
use crate::form::{EXPORT_FIELDS, RESERVED};
use crate::lists;
use crate::read::{Fields, listed};

use super::layout::Layout;

const KEYS: [&str; 17] = [
    "id",
    "label",
    "hint",
    "type",
    "required",
    "required_when",
    "pattern",
    "clean",
    "check",
    "message",
    "sensitive",
    "audit",
    "adds_caveat",
    "max",
    "min",
    "options",
    "empty",
];

/// Types, and the keys that only they take.
const TYPES: [(&str, &[&str]); 6] = [
    ("text", &["pattern", "clean", "max"]),
    ("longtext", &["clean", "max"]),
    ("choice", &["options", "empty"]),
    ("date", &[]),
    ("number", &["min", "max"]),
    ("checkbox", &["adds_caveat"]),
];
const ONLY_SOME: [&str; 7] = ["pattern", "clean", "max", "min", "options", "empty", "adds_caveat"];

const TEXT_CHARS: i64 = 200;
const LONG_TEXT_CHARS: i64 = 4000;
const NUMBER_MAX: i64 = 1_000_000_000_000;
const LABEL_CHARS_MAX: usize = 80;
const HINT_CHARS_MAX: usize = 200;

pub(super) fn read(top: &Fields<'_, '_>, layout: &Layout) -> Vec<Input> {
    let mut seen = BTreeSet::new();
    // An input is also read in forms where another one is absent; it then counts as empty.
    let scope = Scope { inputs: layout.inputs.iter().cloned().collect(), ..Scope::default() };
    let blocks = top.blocks("input", &KEYS);
    blocks.iter().filter_map(|block| one(block, &mut seen, &scope)).collect()
}

fn one(block: &Fields<'_, '_>, seen: &mut BTreeSet<String>, scope: &Scope) -> Option<Input> {
    let id = super::block_id(block, seen);
    if let Some(id) = id.as_deref().filter(|id| RESERVED.contains(id)) {
        block.wrong("id", format!("another name; `{id}` is a field of every form"));
    }
    if let Some(id) = id.as_deref().filter(|id| EXPORT_FIELDS.contains(id)) {
        block.wrong("id", format!("another name; `{id}` is a field of every export"));
    }
    let label = block.required_text("label", LABEL_CHARS_MAX);
    let kind = kind(block);
    let expression = |name| {
        let text = block.text(name)?;
        Expression::parse(&text.value, scope).map_err(|expected| block.wrong(name, expected)).ok()
    };
    let (required_when, check) = (expression("required_when"), expression("check"));
    let pattern = block.text("pattern").and_then(|text| {
        let regex =
            anchored(&text.value).map_err(|expected| block.wrong("pattern", expected)).ok()?;
        Some(Pattern { source: text.value, regex })
    });
    let adds_caveat = if block.has("adds_caveat") {
        super::word(block, "adds_caveat", "a caveat, such as \"JUVENILE\"")
    } else {
        None
    };
    Some(Input {
        id: id?,
        label: label?,
        hint: block.short_text("hint", HINT_CHARS_MAX).unwrap_or_default(),
        kind: kind?,
        required: block.flag("required"),
        required_when,
        pattern,
        clean: clean(block),
        check,
        message: block.short_text("message", HINT_CHARS_MAX).unwrap_or_default(),
        sensitive: block.flag("sensitive"),
        audit: block.flag("audit"),
        adds_caveat,
    })
}

fn clean(block: &Fields<'_, '_>) -> Vec<Clean> {
    let known = [("trim", Clean::Trim), ("upper", Clean::Upper), ("lower", Clean::Lower)];
    let mut cleans = Vec::new();
    for word in block.texts("clean") {
        match known.iter().find(|(name, _)| *name == word) {
            Some((_, clean)) => cleans.push(*clean),
            None => {
                let words: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                block.wrong("clean", format!("one of {}; `{word}` is none", listed(&words)));
            }
        }
    }
    cleans
}

fn kind(block: &Fields<'_, '_>) -> Option<InputKind> {
    let words: Vec<(&str, &str)> = TYPES.iter().map(|(name, _)| (*name, *name)).collect();
    if !block.has("type") {
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        block.wrong("type", format!("one of {}", listed(&names)));
    }
    let name = super::one_of(block, "type", &words)?;
    let takes = TYPES.iter().find(|(known, _)| *known == name).map_or(&[] as &[&str], |(_, k)| k);
    for key in ONLY_SOME {
        if block.has(key) && !takes.contains(&key) {
            block.wrong(key, format!("no `{key}` with `type = \"{name}\"`"));
        }
    }
    let chars_max = |default, most| {
        let max = if block.has("max") { block.whole("max", 1..most + 1)? } else { default };
        usize::try_from(max).ok()
    };
    Some(match name {
        "text" => InputKind::Text { chars_max: chars_max(TEXT_CHARS, TEXT_CHARS)? },
        "longtext" => {
            InputKind::LongText { chars_max: chars_max(LONG_TEXT_CHARS, LONG_TEXT_CHARS)? }
        }
        "choice" => choice(block)?,
        "date" => InputKind::Date,
        "number" => number(block)?,
        _ => InputKind::Checkbox,
    })
}

fn number(block: &Fields<'_, '_>) -> Option<InputKind> {
    let range = -NUMBER_MAX..NUMBER_MAX + 1;
    let bound = |name: &str, default| {
        if block.has(name) { block.whole(name, range.clone()) } else { Some(default) }
    };
    let (least, most) = (bound("min", 0)?, bound("max", NUMBER_MAX)?);
    if least > most {
        block.wrong("max", format!("a number that is not below `min`, {least}"));
        return None;
    }
    Some(InputKind::Number { least, most })
}

fn choice(block: &Fields<'_, '_>) -> Option<InputKind> {
    if !block.has("options") {
        block.wrong("options", "`{ list = \"us-states\" }` or `{ values = [\"one\", \"two\"] }`");
        return None;
    }
    let options = options(&block.table("options", &["list", "values"])?)?;
    let empty = block.short_text("empty", LABEL_CHARS_MAX).unwrap_or_default();
    Some(InputKind::Choice { options, empty })
}

/// `{ list = "us-states" }` or `{ values = ["clear", "stolen"] }`, as (value, label).
pub(super) fn options(fields: &Fields<'_, '_>) -> Option<Vec<(String, String)>> {
    let own = |(value, label): &(&str, &str)| ((*value).to_owned(), (*label).to_owned());
    match (fields.has("list"), fields.has("values")) {
        (true, false) => {
            let name = fields.text("list")?.value;
            let found = lists::list(&name).map(|list| list.iter().map(own).collect());
            if found.is_none() {
                let names: Vec<&str> = lists::names().collect();
                fields.wrong("list", format!("one of the lists {}", listed(&names)));
            }
            found
        }
        (false, true) => {
            let values = fields.texts("values");
            if values.is_empty() || values.iter().any(|value| value.trim().is_empty()) {
                fields.wrong("values", "values that are not empty");
                return None;
            }
            Some(values.into_iter().map(|value| (value.clone(), value)).collect())
        }
        (true, true) | (false, false) => {
            fields.wrong("list", "either `list` or `values`");
            None
        }
    }
}
