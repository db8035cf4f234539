//! What an export would hold, listed through the gate in the name of the person who asks: rows with their columns,
//! and documents.

use std::collections::BTreeMap;

use exchange::{Caller, Item, Listed, Place};
use gate::{Rows, Value};
use jiff::Timestamp;
use tools::Tool;
use tools::definition::Action;
use tools::form::Submission;
use tools::plan::{PlanError, Planned};

use super::copies::Copies;
use super::wanted::Wanted;
use crate::app::Shared;
use crate::pages::redacting::place_of;
use crate::problem::Problem;
use crate::recognising::recognise;
use crate::refetch::{FILM_ENDING, documents_of_part, key_of, part_of};
use crate::session::Posted;
use crate::sharing::{Piece, Recipe};
use crate::tabular;

/// Documents that are looked at before anybody asks for them.
const LOOKED_MAX: usize = 200;

/// One query's rows.
pub(super) struct Table {
    pub(super) query: String,
    /// All columns, those too that are left out.
    pub(super) columns: Vec<String>,
    /// As they would leave.
    pub(super) rows: Rows,
    /// The same, by digests.
    pub(super) listed: Listed,
    pub(super) items: Vec<Item>,
}

/// Everything of one export.
pub(super) struct Gathered {
    pub(super) why: policy::Why,
    pub(super) tables: Vec<Table>,
    pub(super) documents: Vec<Item>,
    /// Films that can be made of them.
    pub(super) films: Vec<Item>,
    /// Redacted copies of them, and those that were chosen as items.
    pub(super) copies: Copies,
    /// What of each query and each list of documents was read, by digest: all of it, that too which is left out.
    pub(super) read: BTreeMap<String, String>,
}

impl Gathered {
    /// All items, those too that are left out.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.tables.iter().flat_map(|table| &table.items).chain(&self.documents)
    }

    /// What would leave.
    pub(super) fn sent(&self, wanted: &Wanted) -> Vec<Item> {
        let whole = |item: &&Item| wanted.sends(item) && !self.copies.replaces(wanted, &item.path);
        let films = self.films.iter().filter(|film| {
            let of = film.path.strip_suffix(FILM_ENDING).unwrap_or_default();
            wanted.also.contains(&film.path) && !self.copies.replaces(wanted, of)
        });
        let copies = self.copies.chosen.iter().filter(|(of, _)| !wanted.skip.contains(of));
        let copies = copies.map(|(_, item)| item);
        self.items().filter(whole).chain(films).chain(copies).cloned().collect()
    }

    /// What would not, in words.
    pub(super) fn left_out(&self, wanted: &Wanted) -> Vec<String> {
        let columns = self.tables.iter().filter(|table| wanted.sends_table(table));
        let columns = columns.flat_map(|table| {
            let without = wanted.without(&table.query).into_iter();
            without.map(|column| format!("column {column} of {}", table.query)).collect::<Vec<_>>()
        });
        let mut parts: Vec<String> = columns.collect();
        let mut skipped: Vec<String> =
            self.items().filter(|item| !wanted.sends(item)).map(super::wanted::part_of).collect();
        skipped.dedup();
        parts.extend(skipped);
        let replaced = self.items().filter(|item| wanted.sends(item));
        let replaced = replaced.filter(|item| self.copies.replaces(wanted, &item.path));
        parts.extend(replaced.map(|item| format!("the original of {}", item.path)));
        parts
    }

    /// The documents that have redacted copies and leave, of which nobody has said what leaves.
    pub(super) fn undecided(&self, wanted: &Wanted) -> Vec<&str> {
        let leaves = self.items().filter(|item| wanted.sends(item));
        let open = leaves.filter(|item| self.copies.asks(wanted, &item.path));
        open.map(|item| item.path.as_str()).collect()
    }
}

impl Gathered {
    /// The rows of each query that goes, for what is sealed to be held to.
    pub(super) fn listed(&self, wanted: &Wanted) -> Vec<Listed> {
        let sent = self.tables.iter().filter(|table| wanted.sends_table(table));
        sent.map(|table| table.listed.clone()).collect()
    }

    /// What was read and is not what the person was shown, by name.
    pub(super) fn unseen(&self, wanted: &Wanted) -> Vec<&str> {
        let unseen = self.read.iter().filter(|(name, digest)| {
            !wanted.skip.contains(*name) && wanted.shown.get(*name) != Some(*digest)
        });
        unseen.map(|(name, _)| name.strip_prefix("records/").unwrap_or(name)).collect()
    }
}

impl Wanted {
    pub(super) fn sends_table(&self, table: &Table) -> bool {
        table.items.iter().any(|item| self.sends(item))
    }
}

/// Why nothing was gathered.
pub(super) enum Ungathered {
    Plan(PlanError),
    Problem(Problem),
}

impl From<Problem> for Ungathered {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Reads what the action exports. Each reading is on record.
pub(super) async fn gather(
    agency: &Shared,
    posted: &Posted,
    (tool, action): (&Tool, &Action),
    form: &Submission,
    wanted: &Wanted,
) -> Result<Gathered, Ungathered> {
    let caller = posted.signed_in.caller();
    let context = agency.context(&posted.signed_in.actor);
    let planned = tool.plan_export(&action.id, form, None, &context).map_err(Ungathered::Plan)?;
    let recipe = |what: Piece, without: Vec<String>| -> Result<serde_json::Value, Problem> {
        let (tool, action) = (tool.id.clone(), action.id.clone());
        let recipe = Recipe { tool, action, typed: form.typed.clone(), what, without };
        serde_json::to_value(recipe).map_err(|error| Problem::internal(&error))
    };
    let (mut tables, mut read_all) = (Vec::new(), BTreeMap::new());
    for (query, read) in planned.reads {
        let (class, caveats) = (read.resource.record_class.clone(), read.resource.caveats.clone());
        let released = agency.run_read(&caller, read).await?;
        let (all, _) = released.open();
        let without = wanted.without(&query);
        let rows = left_of(&query, all, &without)?;
        let part = part_of(&query);
        let key = key_of(tool, &query);
        read_all.insert(part.clone(), Listed::of(&part, all, key).digest);
        let listed = Listed::of(&part, &rows, key);
        let mut items = Vec::new();
        for (what, ending, media_type) in [
            (Piece::Csv(query.clone()), "csv", "text/csv"),
            (Piece::Json(query.clone()), "json", "application/json"),
            (Piece::Pdf(query.clone()), "pdf", "application/pdf"),
        ] {
            items.push(Item {
                path: format!("{part}.{ending}"),
                label: label(tool, &query, ending, rows.rows.len(), &without),
                media_type: media_type.to_owned(),
                record_class: class.clone(),
                caveats: caveats.clone(),
                listed: Some(listed.digest.clone()),
                fetch: recipe(what, without.clone())?,
                received: None,
                seen: None,
            });
        }
        tables.push(Table { query, columns: all.columns.clone(), rows, listed, items });
    }
    let mut found = Documents::default();
    for part in &planned.evidence {
        let read = tool.plan(part, form, None, &context).map_err(Ungathered::Plan)?;
        let released = agency.run_read(&caller, read).await?;
        let (rows, _) = released.open();
        let name = documents_of_part(part);
        read_all.insert(name.clone(), Listed::of(&name, rows, &[]).digest);
        let recipe = |what| recipe(what, Vec::new());
        let all = documents_of(tool, part, rows, &planned.why, &context, &recipe)?;
        for (document, values, read) in all {
            let film = Piece::Document { part: part.clone(), values, mp4: true };
            found.add(agency, &caller, (document, read, recipe(film)?), wanted).await?;
        }
    }
    let Documents { documents, films, places } = found;
    let go = documents.iter().filter(|document| wanted.sends(document)).count();
    let made = films.iter().filter(|film| wanted.also.contains(&film.path)).count();
    not_too_many(go, made)?;
    let copies = Copies::find(agency, posted, (&documents, &places), wanted, &planned.why).await?;
    Ok(Gathered { why: planned.why, tables, documents, films, copies, read: read_all })
}

/// What stays of a list without some of its columns.
fn left_of(query: &str, all: &Rows, without: &[String]) -> Result<Rows, Problem> {
    if let Some(unknown) = without.iter().find(|column| all.position(column).is_none()) {
        return Err(Problem::bad_input(format!("There is no column {unknown} in {query}.")));
    }
    let rows = tabular::without(all, without);
    if rows.columns.is_empty() {
        let words = format!("Nothing of {query} is left; leave it out whole.");
        return Err(Problem::bad_input(words));
    }
    Ok(rows)
}

/// Documents, where they are, and films that can be made of them.
#[derive(Default)]
struct Documents {
    documents: Vec<Item>,
    films: Vec<Item>,
    places: Vec<Place>,
}

impl Documents {
    /// Looks at a document that goes along, and adds it under what it is by its content.
    async fn add(
        &mut self,
        agency: &Shared,
        caller: &Caller,
        (mut document, read, film): (Item, Planned, serde_json::Value),
        wanted: &Wanted,
    ) -> Result<(), Problem> {
        self.places.push(place_of(&read.plan).ok_or_else(Problem::not_found)?);
        if self.places.len() <= LOOKED_MAX && !wanted.skip.contains(&document.path) {
            let said = (document.path.as_str(), document.media_type.as_str());
            document.seen = recognise(agency, caller, read, said).await;
        }
        if let Some(seen) = &document.seen {
            document.media_type = seen.goes_by(&document.media_type);
        }
        let makes_films = agency.exchange.as_ref().is_some_and(|sharing| sharing.films.is_some());
        if makes_films && document.media_type.starts_with("video/") {
            self.films.push(film_of(&document, film));
        }
        self.documents.push(document);
        Ok(())
    }
}

/// Documents of one export: events of custody, but for those of its approvals, its queries and its sealing.
const DOCUMENTS_MAX: usize = parcel::CUSTODY_EVENTS_MAX - 100;

/// Says it before anybody is asked: sealing would fail, with the same for a reason.
fn not_too_many(documents: usize, films: usize) -> Result<(), Problem> {
    if documents.saturating_add(films.saturating_mul(2)) <= DOCUMENTS_MAX {
        return Ok(());
    }
    let words = format!(
        "There are {documents} documents, and one export carries at most {DOCUMENTS_MAX}: each has an event of its own in \
         the custody record, and a film made of one has two. Ask for fewer with the form."
    );
    Err(Problem::bad_input(words))
}

/// What a file of rows is, for the person who approves.
fn label(tool: &Tool, query: &str, ending: &str, rows: usize, without: &[String]) -> String {
    let count = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
    let (title, ending) = (&tool.title, ending.to_uppercase());
    match without.is_empty() {
        true => format!("{query} of {title}, as {ending}: {count}"),
        false => {
            format!("{query} of {title}, as {ending}: {count}, without {}", without.join(", "))
        }
    }
}

/// The columns of a document's row.
type Columns = BTreeMap<String, Value>;

/// The film that is made of a document, as an item of its own.
fn film_of(document: &Item, fetch: serde_json::Value) -> Item {
    Item {
        path: format!("{}{FILM_ENDING}", document.path),
        label: format!("{}, as MP4 made here", document.label),
        media_type: "video/mp4".to_owned(),
        fetch,
        seen: None,
        ..document.clone()
    }
}

/// The documents of an evidence part as items, each by its own row.
fn documents_of(
    tool: &Tool,
    part: &str,
    rows: &Rows,
    why: &policy::Why,
    context: &tools::plan::Context<'_>,
    recipe: &dyn Fn(Piece) -> Result<serde_json::Value, Problem>,
) -> Result<Vec<(Item, Columns, Planned)>, Problem> {
    let Some(declared) = tool.part(part) else { return Err(Problem::not_found()) };
    let mut items = Vec::new();
    for (at, row) in rows.rows.iter().enumerate() {
        let Some(values) = tool.handle_values(declared, &rows.columns, row) else { continue };
        let handle = tools::handle::Handle {
            values: values.clone(),
            why: why.clone(),
            expires: Timestamp::MAX,
        };
        let planned = tool
            .plan_evidence(part, &handle, None, context)
            .map_err(|error| Problem::internal(&error))?;
        let name = file_name(&text(rows, row, "file_name"), &text(rows, row, "store_key"));
        let what = Piece::Document { part: part.to_owned(), values: values.clone(), mp4: false };
        let item = Item {
            path: format!("evidence/{:03}-{name}", at + 1),
            label: text(rows, row, "title"),
            media_type: text(rows, row, "media_type"),
            record_class: planned.resource.record_class.clone(),
            caveats: planned.resource.caveats.clone(),
            listed: Some(hex::encode(gate::row_digest(row))),
            fetch: recipe(what)?,
            received: None,
            seen: None,
        };
        items.push((item, values, planned));
    }
    Ok(items)
}

fn text(rows: &Rows, row: &[Value], column: &str) -> String {
    let found = rows.position(column).and_then(|at| row.get(at));
    found.map(ToString::to_string).unwrap_or_default()
}

/// A name that every system can keep: letters, digits, dot, dash, underscore.
fn file_name(given: &str, otherwise: &str) -> String {
    let name = if given.is_empty() { otherwise } else { given };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    name.chars().map(|letter| if plain(letter) { letter } else { '_' }).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_documents_than_a_custody_record_has_events_are_refused_in_words() {
        not_too_many(9_900, 0).unwrap();
        not_too_many(9_000, 450).unwrap();
        not_too_many(9_000, 451).unwrap_err();
        let refused = not_too_many(9_901, 0).unwrap_err();
        assert!(refused.words.contains("There are 9901 documents"), "{}", refused.words);
    }
}
