//! What an approved export's items hold, fetched once more through the gate when their time has come.
//!
//! Invariants: what is sealed was read in the name of the last person who approved it, and that reading is on record
//! like any other; it is not read or sealed once whoever asked for it or approved it may no longer sign in or has lost
//! a function that they did it with, and breaks off when they are put out in the middle of it. Each query is read
//! once for all its files, and none is made of rows that are not those that were asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::{Arc, OnceLock, Weak};

use exchange::{
    Caller, Change, Content, Derived, Export, Fetched, Item, Listed, RowsChanged, SealItem,
    Unfetched,
};
use gate::{Rows, Stream};
use jiff::Timestamp;
use ledger::{EntryNumber, Origin};
use policy::{Actor, Function};
use state::accounts::{self, Account, AccountId, Standing};
use tools::Tool;
use tools::form::Submission;
use tools::handle::Handle;

use crate::agency::Agency;
use crate::live::Leash;
use crate::problem::{Problem, chain};
use crate::reading::Film;
use crate::row_of::rows_of;
use crate::sharing::{Piece, Recipe};
use crate::{papers, tabular};

/// Fetches approved items in the name of the last approver.
#[derive(Default)]
pub(crate) struct Refetch(OnceLock<Weak<Agency>>);

impl Refetch {
    /// From here on there is something to fetch from.
    pub(crate) fn stands(&self, agency: &Arc<Agency>) {
        self.0.get_or_init(|| Arc::downgrade(agency));
    }
}

impl Content for Refetch {
    fn items<'a>(&'a self, export: &'a Export) -> Fetched<'a> {
        Box::pin(async move {
            let agency = self.0.get().and_then(Weak::upgrade);
            let agency = agency.ok_or("the agency is being stopped")?;
            let voice = export.details.approvals.last().ok_or("nobody has approved it")?;
            let origin =
                Origin { request: Some(format!("export {}", export.id)), ..Origin::default() };
            let mut caller = Caller { actor: voice.actor.clone(), origin, session: None };
            // It may be long since the approval: what counts is how the person stands now.
            let standing = agency.identity.qualified(&caller.actor, agency.now()).await;
            let standing = standing.map_err(|error| chain(&error))?;
            caller.actor.lacking = identity::qualified::lacking(&standing);
            let leash = agency.in_the_name_of(export).await?;
            let fetching = agency.fetch_items(&caller, export, &leash);
            let items = leash.unless_cut(fetching).await.ok_or(BROKEN_OFF)??;
            Ok((caller, items))
        })
    }
}

/// Why an export was not sealed.
const BROKEN_OFF: &str =
    "whoever asked for it or approved it was put out while it was being prepared";

/// The item, whose bytes can no longer be read once the leash is cut.
fn leashed(item: SealItem, leash: &Leash) -> SealItem {
    let (open, leash) = (item.open, leash.clone());
    let open: parcel::Source =
        Box::new(move || Ok(Box::new(OnLeash { bytes: open()?, leash }) as Box<dyn Read + Send>));
    SealItem { open, ..item }
}

struct OnLeash {
    bytes: Box<dyn Read + Send>,
    leash: Leash,
}

impl Read for OnLeash {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.leash.is_cut() {
            return Err(io::Error::other(BROKEN_OFF));
        }
        self.bytes.read(into)
    }
}

/// What an export's items are made of, read once more.
#[derive(Default)]
struct Reading {
    /// The rows of its queries as they leave, by the part that they are, with the entry of their release.
    queries: BTreeMap<String, (Rows, EntryNumber, Listed)>,
    /// The digest of the row of each document, by its path.
    rows: BTreeMap<String, String>,
}

impl Agency {
    /// What ties an export's preparation to whoever asked for it and approved it, all of whom may still sign in
    /// and have every function that they did it with: which of them allowed it is not known, and any may have.
    async fn in_the_name_of(&self, export: &Export) -> Result<Leash, String> {
        let details = &export.details;
        let approved = details.approvals.iter().map(|voice| &voice.actor);
        let people: Vec<&Actor> = std::iter::once(&details.requester).chain(approved).collect();
        let id_of = |person: &&Actor| AccountId::of(person.id.as_str());
        let leash = Leash::new(&self.live);
        // Before they are looked at: whoever is put out from now on cuts it.
        leash.tie_in_the_name_of(people.iter().map(id_of).collect());
        for person in people {
            let account = accounts::find(&self.state, id_of(&person)).await;
            let account = account.map_err(|error| chain(&error))?;
            let good = |account: &Account| account.standing(self.now()) == Standing::Good;
            let Some(account) = account.filter(good) else {
                return Err("whoever asked for it or approved it may no longer sign in".to_owned());
            };
            let has = |function: &Function| {
                account.profile.functions.iter().any(|one| one == function.as_str())
            };
            if !person.functions.iter().all(has) {
                let words = "whoever asked for it or approved it has lost a job function since";
                return Err(words.to_owned());
            }
        }
        Ok(leash)
    }

    /// Fetches all approved items anew. The error is in words for the export's page, without CJI.
    async fn fetch_items(
        &self,
        caller: &Caller,
        export: &Export,
        leash: &Leash,
    ) -> Result<Vec<SealItem>, Unfetched> {
        let mut recipes = Vec::with_capacity(export.details.items.len());
        // What came from a partner is in the store, and has no tool.
        let ours = export.details.items.iter().filter(|item| item.received.is_none());
        for item in ours {
            let recipe: Recipe =
                serde_json::from_value(item.fetch.clone()).map_err(|error| chain(&error))?;
            recipes.push((item, recipe));
        }
        let mut read = Reading::default();
        self.read_queries(caller, &recipes, &mut read).await?;
        self.read_lists(caller, &recipes, &mut read).await?;
        let changes = changes(export, &recipes, &read);
        if !changes.is_empty() {
            return Err(Unfetched::Changed(changes));
        }
        let (mut items, mut recipes) = (Vec::new(), recipes.into_iter());
        for item in &export.details.items {
            let fetched = match (&item.received, &self.exchange) {
                (Some(_), Some(sharing)) => {
                    let why = &export.details.why;
                    let fetched = sharing.exchange.fetch_received(caller, item, why).await;
                    fetched.map_err(|error| chain(&error))?
                }
                _ => {
                    let recipe = recipes.next().ok_or("it can't be read by a tool")?;
                    self.seal_item(caller, export, recipe, &read).await?
                }
            };
            items.push(leashed(fetched, leash));
        }
        Ok(items)
    }

    /// The rows of each query that an item is made of, as they leave. All items of an export come from one form of
    /// one tool, so that a query has the same rows for all its files.
    async fn read_queries(
        &self,
        caller: &Caller,
        recipes: &[(&Item, Recipe)],
        read: &mut Reading,
    ) -> Result<(), Unfetched> {
        let context = self.context(&caller.actor);
        for (_, recipe) in recipes {
            let Some(query) = recipe.what.query() else { continue };
            let part = part_of(query);
            if read.queries.contains_key(&part) {
                continue;
            }
            let (tool, form) = self.asked_with(recipe)?;
            let plan = tool
                .plan_export(&recipe.action, &form, None, &context)
                .map_err(|error| chain(&error))?;
            let found = plan.reads.into_iter().find(|(id, _)| id == query);
            let (_, planned) =
                found.ok_or_else(|| format!("the tool no longer exports `{query}`"))?;
            let released = self.run_read(caller, planned).await.map_err(|problem| problem.words)?;
            let (rows, receipt) = released.open();
            let rows = tabular::without(rows, &recipe.without);
            let listed = Listed::of(&part, &rows, key_of(tool, query));
            read.queries.insert(part, (rows, receipt.entry, listed));
        }
        Ok(())
    }

    /// The lists that documents stand in: what is said of a document may have changed, too.
    async fn read_lists(
        &self,
        caller: &Caller,
        recipes: &[(&Item, Recipe)],
        read: &mut Reading,
    ) -> Result<(), Unfetched> {
        let context = self.context(&caller.actor);
        let parts: BTreeSet<&String> = recipes.iter().filter_map(|(_, one)| one.part()).collect();
        for part in parts {
            let of = |recipe: &Recipe| recipe.part() == Some(part);
            let Some((_, first)) = recipes.iter().find(|(_, recipe)| of(recipe)) else { continue };
            let (tool, form) = self.asked_with(first)?;
            let declared = tool.part(part).and_then(|declared| declared.query.as_deref());
            let key = key_of(tool, declared.ok_or("the tool no longer has the documents")?);
            let planned = tool.plan(part, &form, None, &context).map_err(|error| chain(&error))?;
            let released = self.run_read(caller, planned).await.map_err(|problem| problem.words)?;
            let (rows, _) = released.open();
            let of_part: Vec<_> = recipes.iter().filter(|(_, recipe)| of(recipe)).collect();
            read.rows.extend(rows_of(&of_part, key, rows));
        }
        Ok(())
    }

    /// The tool, and the form that it was asked with.
    fn asked_with(&self, recipe: &Recipe) -> Result<(&Tool, Submission), String> {
        let tool = self.tools.get(&recipe.tool).ok_or("the tool is no longer there")?;
        Ok((tool, Submission { typed: recipe.typed.clone(), ..Submission::default() }))
    }

    async fn seal_item(
        &self,
        caller: &Caller,
        export: &Export,
        (item, recipe): (&Item, Recipe),
        read: &Reading,
    ) -> Result<SealItem, Unfetched> {
        let Some(query) = recipe.what.query() else {
            let listed = read.rows.get(&item.path).cloned();
            let fetched = self.fetch_document(caller, export, (item, recipe)).await?;
            return Ok(SealItem { listed, ..fetched });
        };
        let found = read.queries.get(&part_of(query)).ok_or("it was not read")?;
        let (rows, entry, listed) = found;
        let bytes = self.written(export, item, &recipe.what, (rows, *entry))?;
        Ok(SealItem {
            path: item.path.clone(),
            media_type: item.media_type.clone(),
            modified: export.requested_at,
            length: bytes.len() as u64,
            open: Box::new(move || Ok(Box::new(std::io::Cursor::new(bytes)))),
            released: *entry,
            listed: Some(listed.digest.clone()),
            derived: None,
        })
    }

    /// Rows, and the entry of their release, as a file.
    fn written(
        &self,
        export: &Export,
        item: &Item,
        what: &Piece,
        (rows, entry): (&Rows, EntryNumber),
    ) -> Result<Vec<u8>, String> {
        match what {
            Piece::Csv(_) => Ok(tabular::csv(rows)),
            Piece::Json(_) => Ok(tabular::json(rows)),
            Piece::Pdf(_) => papers::rows(self, export, item, rows, entry),
            Piece::Document { .. } => Err("a document is not written from rows".to_owned()),
        }
    }

    /// A document, of which nothing stays in memory: a film may be larger than that.
    async fn fetch_document(
        &self,
        caller: &Caller,
        export: &Export,
        (item, recipe): (&Item, Recipe),
    ) -> Result<SealItem, String> {
        let (tool, form) = self.asked_with(&recipe)?;
        let Piece::Document { part, values, mp4 } = recipe.what else {
            return Err("rows are not fetched as a document".to_owned());
        };
        let context = self.context(&caller.actor);
        let why = tool
            .plan_export(&recipe.action, &form, None, &context)
            .map_err(|error| chain(&error))?
            .why;
        let handle = Handle { values, why, expires: Timestamp::MAX };
        let planned =
            tool.plan_evidence(&part, &handle, None, &context).map_err(|error| chain(&error))?;
        let words = |problem: Problem| problem.words;
        let released = self.run_stream(caller, planned.clone()).await.map_err(words)?;
        let (derived, released) = match mp4 {
            false => (None, released),
            true => {
                let (original, _) = released.into_parts();
                let (derived, film) = self.film_of(export, item, original)?;
                let released = self.run_film(caller, planned, film).await.map_err(words)?;
                (Some(derived), released)
            }
        };
        let (stream, receipt) = released.into_parts();
        let (length, again) = (stream.length(), stream.read());
        Ok(SealItem {
            path: item.path.clone(),
            media_type: item.media_type.clone(),
            modified: export.requested_at,
            length,
            open: Box::new(move || again()),
            released: receipt.entry,
            listed: None,
            derived,
        })
    }

    /// The film that is made of an original, and what ties it to that.
    fn film_of(
        &self,
        export: &Export,
        item: &Item,
        original: Stream,
    ) -> Result<(Derived, Film), String> {
        let films = self.exchange.as_ref().and_then(|sharing| sharing.films.as_ref());
        let films = films.ok_or("no ffmpeg is configured here any more")?;
        let path = item.path.strip_suffix(FILM_ENDING).unwrap_or_default();
        let goes_along = export.details.items.iter().any(|other| other.path == path);
        let derived = Derived {
            kind: "converted",
            from: goes_along.then(|| path.to_owned()),
            sha256: original.digest(),
            by: films.version().to_owned(),
        };
        let (key, name) = (original.key.clone(), format!("{}{FILM_ENDING}", original.name));
        Ok((derived, Film { key, name, made: films.mp4(original.read()) }))
    }
}

/// What the path of a film that was made of a document ends with, after the document's own.
pub(crate) const FILM_ENDING: &str = ".mp4";

/// As the paths of a query's files begin.
pub(crate) fn part_of(query: &str) -> String {
    format!("records/{query}")
}

/// What the list of an evidence part's documents is called.
pub(crate) fn documents_of_part(part: &str) -> String {
    format!("documents of {part}")
}

/// The columns by which a query's rows are known.
pub(crate) fn key_of<'a>(tool: &'a Tool, query: &str) -> &'a [String] {
    tool.query(query).map_or(&[], |query| &query.key)
}

/// How what was read differs from what was asked for. What was asked for before that was kept is not held to it.
fn changes(export: &Export, recipes: &[(&Item, Recipe)], read: &Reading) -> Vec<Change> {
    let rows = export.details.listed.iter().filter_map(|was| {
        let (_, _, now) = read.queries.get(&was.part)?;
        was.change(now)
    });
    let mut documents: BTreeMap<&str, RowsChanged> = BTreeMap::new();
    for (item, recipe) in recipes {
        let Piece::Document { part, .. } = &recipe.what else { continue };
        match (&item.listed, read.rows.get(&item.path)) {
            (None, _) => {}
            (Some(was), Some(is)) if was == is => {}
            (Some(_), Some(_)) => documents.entry(part).or_default().altered += 1,
            (Some(_), None) => documents.entry(part).or_default().removed += 1,
        }
    }
    let documents = documents
        .into_iter()
        .map(|(part, rows)| Change { part: documents_of_part(part), rows: Some(rows) });
    rows.chain(documents).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;

    /// That a parcel whose source fails leaves nothing behind is the parcel room's to show.
    #[test]
    fn what_is_being_sealed_breaks_off_in_the_middle_when_somebody_behind_it_is_put_out() {
        let live = Arc::new(Live::default());
        let (asked, approved) = (AccountId::of("demo|det.ruiz"), AccountId::of("demo|sgt.okafor"));
        let item = || SealItem {
            path: "film.mp4".to_owned(),
            media_type: "video/mp4".to_owned(),
            modified: Timestamp::UNIX_EPOCH,
            length: 3,
            open: Box::new(|| Ok(Box::new(std::io::Cursor::new(vec![1, 2, 3])))),
            released: ledger::EntryNumber(1),
            listed: None,
            derived: None,
        };
        for (put_out, breaks_off) in
            [(asked, true), (approved, true), (AccountId::of("demo|ofc.hale"), false)]
        {
            let leash = Leash::new(&live);
            leash.tie_in_the_name_of(vec![asked, approved]);
            let mut bytes = (leashed(item(), &leash).open)().unwrap();
            let mut first = [0];
            bytes.read_exact(&mut first).unwrap();
            live.cut_account(put_out);
            let mut rest = Vec::new();
            let read = bytes.read_to_end(&mut rest);
            assert_eq!(
                (first, read.is_err(), rest.len()),
                ([1], breaks_off, if breaks_off { 0 } else { 2 })
            );
            // Nor is the next item begun.
            let next = (leashed(item(), &leash).open)().unwrap().read(&mut first);
            assert_eq!(next.is_err(), breaks_off);
        }
    }
}
