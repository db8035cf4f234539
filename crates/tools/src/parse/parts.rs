//! `[[part]]` blocks: what stands on the page.

use std::collections::{BTreeMap, BTreeSet};

use gate::{Direction, Mode};

use crate::definition::{
    Column, DrawerPart, EvidencePart, Filterable, FormPart, Format, Part, PartKind, Query,
    RecordPart, TablePart,
};
use crate::expression::Expression;
use crate::label::Label;
use crate::read::{Fields, listed};

use super::layout::Layout;

const COMMON: [&str; 8] = ["id", "kind", "at", "title", "when", "actions", "empty", "in"];
/// Kinds, and the keys that only they take.
const KINDS: [(&str, &[&str]); 5] = [
    ("form", &["inputs", "run", "into", "button"]),
    (
        "table",
        &["query", "columns", "labels", "sort", "filter", "choices", "order", "page", "opens"],
    ),
    ("drawer", &["of", "fields", "labels"]),
    ("record", &["query", "fields", "labels"]),
    ("evidence", &["query", "fields", "labels", "store", "document", "max_bytes"]),
];
const TITLE_CHARS_MAX: usize = 60;
const PAGE_ROWS_DEFAULT: i64 = 25;
const PAGE_ROWS_MAX: i64 = 200;
/// One piece of a document: 8 MiB unless the file says otherwise. Longer ones come in ranges.
const PIECE_BYTES_DEFAULT: i64 = 8 << 20;
const PIECE_BYTES_MAX: i64 = 64 << 20;

pub(super) fn read(top: &Fields<'_, '_>, layout: &Layout, queries: &[Query]) -> Vec<Part> {
    let every: Vec<&str> =
        COMMON.into_iter().chain(KINDS.iter().flat_map(|(_, keys)| keys.iter().copied())).collect();
    let mut seen = BTreeSet::new();
    let blocks = top.blocks("part", &every);
    if blocks.is_empty() {
        top.wrong("part", "at least a form and a part that shows what it finds");
    }
    let reader = Reader { layout, queries };
    blocks.iter().filter_map(|block| reader.one(block, &mut seen)).collect()
}

struct Reader<'a> {
    layout: &'a Layout,
    queries: &'a [Query],
}

impl Reader<'_> {
    fn one(&self, block: &Fields<'_, '_>, seen: &mut BTreeSet<String>) -> Option<Part> {
        let id = super::block_id(block, seen)?;
        let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        if !block.has("kind") {
            block.wrong("kind", format!("one of {}", listed(&names)));
        }
        let words: Vec<(&str, &str)> = names.iter().map(|name| (*name, *name)).collect();
        let name = super::one_of(block, "kind", &words)?;
        refuse_foreign_keys(block, name);
        let query = self.query(block);
        let kind = match name {
            "form" => PartKind::Form(self.form(block)),
            "table" => PartKind::Table(self.table(block, query)?),
            "drawer" => PartKind::Drawer(self.drawer(block)?),
            "record" => PartKind::Record(RecordPart { fields: columns(block, "fields", query?) }),
            _ => PartKind::Evidence(evidence(block, query?)?),
        };
        self.refuse_unreachable(block, &id, name);
        let scope = self.layout.part_scope(&id, self.queries);
        let title = block.text("title").map_or_else(Label::default, |text| {
            Label::parse(&text.value, &scope).unwrap_or_else(|expected| {
                block.wrong("title", expected);
                Label::default()
            })
        });
        if title.is_empty() && block.peek("title").is_none_or(|text| text.is_empty()) {
            block.wrong("title", "a heading; a part without one can't be found by ear");
        }
        let when = block.text("when").and_then(|text| {
            Expression::parse(&text.value, &scope).map_err(|said| block.wrong("when", said)).ok()
        });
        let actions = block.texts("actions");
        Layout::refuse_unknown(block, "actions", &actions, &self.layout.actions, "an action");
        Some(Part {
            id,
            kind,
            at: at(block),
            title,
            query: block.peek("query"),
            inside: block.text("in").map(|text| text.value),
            when,
            actions,
            empty: block.short_text("empty", 200).unwrap_or_default(),
        })
    }

    /// The query that a part shows: it reads.
    fn query(&self, block: &Fields<'_, '_>) -> Option<&Query> {
        let id = block.text("query")?.value;
        let named = std::slice::from_ref(&id);
        Layout::refuse_unknown(block, "query", named, &self.layout.queries, "a query");
        let query = self.queries.iter().find(|query| query.id == id)?;
        if query.mode == Mode::Write {
            block.wrong("query", format!("a query that reads; `{id}` writes"));
            return None;
        }
        Some(query)
    }

    fn form(&self, block: &Fields<'_, '_>) -> FormPart {
        let list = |name: &str, what: &str| {
            let texts = block.texts(name);
            if texts.is_empty() {
                block.wrong(name, what);
            }
            texts
        };
        let inputs = list("inputs", "the inputs that it asks for");
        let run = list("run", "the query that it runs, or a list of queries");
        let into = list("into", "the part that shows what it finds, or a list of parts");
        Layout::refuse_unknown(block, "inputs", &inputs, &self.layout.inputs, "an input");
        Layout::refuse_unknown(block, "run", &run, &self.layout.queries, "a query");
        let parts: Vec<String> = self.layout.parts.keys().cloned().collect();
        Layout::refuse_unknown(block, "into", &into, &parts, "a part");
        let shown: Vec<&str> =
            into.iter().filter_map(|part| self.layout.parts.get(part)?.query.as_deref()).collect();
        for query in run.iter().filter(|query| !shown.contains(&query.as_str())) {
            block.wrong(
                "into",
                format!("a part that shows each query it runs; none shows `{query}`"),
            );
        }
        for query in shown.iter().filter(|query| !run.iter().any(|run| run == *query)) {
            block.wrong("run", format!("each query that its parts show; `{query}` is missing"));
        }
        let button = block.short_text("button", TITLE_CHARS_MAX);
        FormPart { inputs, run, into, button: button.unwrap_or_else(|| "Search".to_owned()) }
    }

    fn table(&self, block: &Fields<'_, '_>, query: Option<&Query>) -> Option<TablePart> {
        if !block.has("query") {
            block.wrong("query", "the query whose rows it shows");
        }
        let query = query?;
        let columns = columns(block, "columns", query);
        let sort = block.texts("sort");
        refuse_hidden(block, "sort", &sort, &columns);
        let opens = block.text("opens").map(|text| text.value);
        if let Some(drawer) = &opens {
            let found = self.layout.parts.get(drawer).is_some_and(|place| place.kind == "drawer");
            if !found {
                block.wrong("opens", format!("the id of a drawer; `{drawer}` is none"));
            }
            if query.key.is_empty() {
                let expected =
                    format!("a query with a `key`, by which a row opens; `{}` has none", query.id);
                block.wrong("opens", expected);
            }
        }
        // A page of more rows than the query may give would be refused when it is asked for.
        let rows_max = i64::from(query.rows_max);
        let page = if block.has("page") {
            block.whole("page", 1..PAGE_ROWS_MAX.min(rows_max) + 1)?
        } else {
            PAGE_ROWS_DEFAULT.min(rows_max)
        };
        Some(TablePart {
            filter: filters(block, &columns),
            order: order(block, &columns),
            page_rows: u32::try_from(page).ok()?,
            columns,
            sort,
            opens,
        })
    }

    fn drawer(&self, block: &Fields<'_, '_>) -> Option<DrawerPart> {
        let of = block.required_text("of", 40)?;
        let table = self.layout.parts.get(&of).filter(|place| place.kind == "table");
        let Some(table) = table else {
            block.wrong("of", format!("the id of a table; `{of}` is none"));
            return None;
        };
        let query = self.queries.iter().find(|query| Some(&query.id) == table.query.as_ref())?;
        Some(DrawerPart { of, fields: columns(block, "fields", query) })
    }

    fn refuse_unreachable(&self, block: &Fields<'_, '_>, id: &str, kind: &str) {
        if let Some(drawer) = block.text("in") {
            let found = self.layout.parts.get(&drawer.value);
            if kind == "form" || kind == "drawer" {
                block.wrong("in", format!("no `in` with `kind = \"{kind}\"`"));
            } else if found.is_none_or(|place| place.kind != "drawer") {
                block.wrong("in", format!("the id of a drawer; `{}` is none", drawer.value));
            }
        }
        if self.layout.form_of_part(id).is_none() {
            block
                .wrong("id", format!("a part that a form's `into` leads to; none leads to `{id}`"));
        }
    }
}

fn refuse_foreign_keys(block: &Fields<'_, '_>, kind: &str) {
    let own = KINDS.iter().find(|(name, _)| *name == kind).map_or(&[] as &[&str], |(_, keys)| keys);
    let every: BTreeSet<&str> = KINDS.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    for key in every.into_iter().filter(|key| block.has(key) && !own.contains(key)) {
        block.wrong(key, format!("no `{key}` with `kind = \"{kind}\"`"));
    }
}

fn at(block: &Fields<'_, '_>) -> Option<[u16; 4]> {
    let numbers = block.wholes("at")?;
    let place: Option<Vec<u16>> =
        numbers.iter().map(|n| u16::try_from(*n).ok().filter(|n| (1..=500).contains(n))).collect();
    let place: Option<[u16; 4]> = place.and_then(|place| place.try_into().ok());
    let fits = place.filter(|[column, _, width, _]| column + width <= 13);
    if fits.is_none() {
        block.wrong("at", "[column, row, width, height] from 1, within 12 columns");
    }
    fits
}

/// `name` or `name:format`, with the words from `labels` or made of the name.
fn columns(block: &Fields<'_, '_>, key: &str, query: &Query) -> Vec<Column> {
    let labels = block.text_map("labels");
    let mut columns: Vec<Column> = Vec::new();
    let specs = block.texts(key);
    if specs.is_empty() {
        block.wrong(key, "the columns to show, such as [\"plate\", \"year:number\"]");
    }
    for spec in &specs {
        let (name, format) = spec.split_once(':').unwrap_or((spec, "text"));
        if !query.columns.iter().any(|column| column == name) {
            let near = crate::problem::nearest(name, query.columns.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; the nearest is `{near}`"));
            block.wrong(key, format!("columns of query `{}`; `{name}` is none{near}", query.id));
        }
        if columns.iter().any(|column| column.name == name) {
            block.wrong(key, format!("each column once; `{name}` is there twice"));
        }
        let label = labels.get(name).map_or_else(|| words(name), |text| text.value.clone());
        match FORMATS.iter().find(|(word, _)| *word == format) {
            Some((_, format)) => {
                columns.push(Column { name: name.to_owned(), label, format: *format });
            }
            None => {
                let words: Vec<&str> = FORMATS.iter().map(|(word, _)| *word).collect();
                block.wrong(key, format!("a format of {}; `{format}` is none", listed(&words)));
            }
        }
    }
    let shown: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    for name in labels.keys().filter(|name| !shown.contains(name)) {
        block.wrong("labels", format!("labels of columns that are shown; `{name}` is not"));
    }
    columns
}

const FORMATS: [(&str, Format); 7] = [
    ("text", Format::Text),
    ("longtext", Format::LongText),
    ("number", Format::Number),
    ("date", Format::Date),
    ("datetime", Format::DateTime),
    ("badge", Format::Badge),
    ("bytes", Format::Bytes),
];

/// `flag_reason` as people read it: "Flag reason".
fn words(name: &str) -> String {
    let text = name.replace('_', " ");
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn refuse_hidden(block: &Fields<'_, '_>, key: &str, named: &[String], columns: &[Column]) {
    for name in named.iter().filter(|name| !columns.iter().any(|column| column.name == **name)) {
        block.wrong(key, format!("columns that the table shows; `{name}` is none"));
    }
}

fn filters(block: &Fields<'_, '_>, columns: &[Column]) -> Vec<Filterable> {
    let named = block.texts("filter");
    refuse_hidden(block, "filter", &named, columns);
    let mut choices: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let names: Vec<&str> = named.iter().map(String::as_str).collect();
    if let Some(tables) = block.table("choices", &names) {
        for name in names {
            if let Some(fields) = tables.table(name, &["list", "values"]) {
                choices
                    .insert(name.to_owned(), super::inputs::options(&fields).unwrap_or_default());
            }
        }
    }
    let shown = columns.iter().filter(|column| named.contains(&column.name));
    shown
        .map(|column| Filterable {
            column: column.name.clone(),
            label: column.label.clone(),
            choices: choices.remove(&column.name).unwrap_or_default(),
            number: column.format == Format::Number,
        })
        .collect()
}

/// `order = "plate"` or `order = ["year desc", "plate"]`.
fn order(block: &Fields<'_, '_>, columns: &[Column]) -> Vec<(String, Direction)> {
    let mut order = Vec::new();
    for text in block.texts("order") {
        let (name, direction) = text.split_once(' ').unwrap_or((&text, "asc"));
        refuse_hidden(block, "order", &[name.to_owned()], columns);
        match direction {
            "asc" => order.push((name.to_owned(), Direction::Ascending)),
            "desc" => order.push((name.to_owned(), Direction::Descending)),
            _ => block.wrong("order", format!("`{name} asc` or `{name} desc`")),
        }
    }
    order
}

fn evidence(block: &Fields<'_, '_>, query: &Query) -> Option<EvidencePart> {
    let store = block.required_text("store", 40);
    if !block.has("document") {
        block.wrong("document", "{ id = …, key = …, name = …, media_type = … } with columns");
        return None;
    }
    let document = block.table("document", &["id", "key", "name", "media_type"])?;
    let column = |name: &str| {
        let text = document.required_text(name, 40)?;
        if !query.columns.contains(&text) {
            let expected = format!("a column of query `{}`; `{text}` is none", query.id);
            document.wrong(name, expected);
        }
        Some(text)
    };
    let (id, store_key, name, media_type) =
        (column("id"), column("key"), column("name"), column("media_type"));
    let bytes = if block.has("max_bytes") {
        block.whole("max_bytes", 1..PIECE_BYTES_MAX + 1)?
    } else {
        PIECE_BYTES_DEFAULT
    };
    Some(EvidencePart {
        store: store?,
        fields: columns(block, "fields", query),
        id: id?,
        store_key: store_key?,
        name: name?,
        media_type: media_type?,
        bytes_max: u64::try_from(bytes).ok()?,
    })
}
