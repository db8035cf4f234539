//! Who leads to whom: the ids of a file and the row that is open at each place.
//!
//! Read before everything else, without problems of its own but for names that lead nowhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::{Input, Query};
use crate::expression::Scope;
use crate::problem::nearest;
use crate::read::Fields;

/// A part, as far as its place goes.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) kind: String,
    pub(super) query: Option<String>,
    inside: Option<String>,
    of: Option<String>,
    actions: Vec<String>,
    inputs: Vec<String>,
    run: Vec<String>,
    into: Vec<String>,
}

/// The ids of a file, and what leads where.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) inputs: Vec<String>,
    pub(super) queries: Vec<String>,
    pub(super) actions: Vec<String>,
    /// Inputs and queries of each action.
    action_inputs: BTreeMap<String, Vec<String>>,
    action_queries: BTreeMap<String, Vec<String>>,
    action_writes: BTreeSet<String>,
    pub(super) parts: BTreeMap<String, Place>,
}

impl Layout {
    pub(super) fn read(top: &Fields<'_, '_>) -> Self {
        let mut layout = Self::default();
        let ids = |name: &str| -> Vec<String> {
            top.quiet_blocks(name).iter().filter_map(|block| block.peek("id")).collect()
        };
        layout.inputs = ids("input");
        layout.queries = ids("query");
        for block in top.quiet_blocks("action") {
            let Some(id) = block.peek("id") else { continue };
            layout.action_inputs.insert(id.clone(), block.peek_list("inputs"));
            let mut queries = block.peek_list("queries");
            if let Some(query) = block.peek("query") {
                queries.push(query);
                layout.action_writes.insert(id.clone());
            }
            layout.action_queries.insert(id.clone(), queries);
            layout.actions.push(id);
        }
        for block in top.quiet_blocks("part") {
            let Some(id) = block.peek("id") else { continue };
            let place = Place {
                kind: block.peek("kind").unwrap_or_default(),
                query: block.peek("query"),
                inside: block.peek("in"),
                of: block.peek("of"),
                actions: block.peek_list("actions"),
                inputs: block.peek_list("inputs"),
                run: block.peek_list("run"),
                into: block.peek_list("into"),
            };
            layout.parts.insert(id, place);
        }
        layout
    }

    /// The query whose row is open in a part: in a drawer and in what stands inside one.
    pub(super) fn row_query_of_part(&self, id: &str) -> Option<&str> {
        let place = self.parts.get(id)?;
        let drawer = match (&place.of, &place.inside) {
            (Some(_), _) => place,
            (None, Some(drawer)) => self.parts.get(drawer)?,
            (None, None) => return None,
        };
        self.parts.get(drawer.of.as_ref()?)?.query.as_deref()
    }

    /// The parts that offer an action.
    pub(super) fn parts_with_action(&self, action: &str) -> Vec<&str> {
        let offers = |place: &Place| place.actions.iter().any(|offered| offered == action);
        self.parts.iter().filter(|(_, place)| offers(place)).map(|(id, _)| id.as_str()).collect()
    }

    pub(super) fn row_query_of_action(&self, action: &str) -> Option<&str> {
        self.parts_with_action(action).into_iter().find_map(|part| self.row_query_of_part(part))
    }

    /// The form that leads to a part.
    pub(super) fn form_of_part(&self, part: &str) -> Option<&Place> {
        let mut at = part;
        for _ in 0..4 {
            let here = self.parts.get(at)?;
            if here.kind == "form" {
                return Some(here);
            }
            let leads = |place: &&Place| place.into.iter().any(|into| into == at);
            if let Some(form) = self.parts.values().find(leads) {
                return Some(form);
            }
            at = here.of.as_ref().or(here.inside.as_ref())?;
        }
        None
    }

    /// What an expression at a part may read; with every column of the open row.
    pub(super) fn part_scope(&self, part: &str, queries: &[Query]) -> Scope {
        let inputs = self.form_of_part(part).map(|form| form.inputs.clone()).unwrap_or_default();
        let row = self.row_query_of_part(part);
        let row_unread = row.is_some_and(|row| queries.iter().all(|query| query.id != row));
        let row = row.map(|query| columns(queries, query));
        Scope { inputs: inputs.into_iter().collect(), row, row_unread }
    }

    /// What an expression of an action may read.
    pub(super) fn action_scope(&self, action: &str, queries: &[Query]) -> Scope {
        let mut scope = Scope::default();
        for part in self.parts_with_action(action) {
            scope.inputs.extend(self.part_scope(part, queries).inputs);
        }
        scope.inputs.extend(self.action_inputs.get(action).into_iter().flatten().cloned());
        let row = self.row_query_of_action(action);
        scope.row_unread = row.is_some_and(|row| queries.iter().all(|query| query.id != row));
        scope.row = row.map(|query| columns(queries, query));
        scope
    }

    /// What a query's binds may read: inputs of the forms that lead to it, and of the row only
    /// the key, for nothing else is in a row's handle.
    pub(super) fn bind_scope(&self, query: &str, keys: &BTreeMap<String, Vec<String>>) -> Scope {
        let mut scope = Scope::default();
        let mut row_query = None;
        for (id, place) in &self.parts {
            if place.query.as_deref() == Some(query) || place.run.iter().any(|run| run == query) {
                let form = self.form_of_part(id);
                scope.inputs.extend(form.into_iter().flat_map(|form| form.inputs.clone()));
                row_query = row_query.or_else(|| self.row_query_of_part(id));
            }
        }
        for (action, queries) in &self.action_queries {
            if self.action_writes.contains(action) && queries.iter().any(|used| used == query) {
                scope.inputs.extend(self.action_inputs.get(action).into_iter().flatten().cloned());
                for part in self.parts_with_action(action) {
                    let form = self.form_of_part(part);
                    scope.inputs.extend(form.into_iter().flat_map(|form| form.inputs.clone()));
                }
                row_query = row_query.or_else(|| self.row_query_of_action(action));
            }
        }
        scope.row = row_query.map(|row| keys.get(row).into_iter().flatten().cloned().collect());
        scope
    }

    /// Ids that a list in the file names must exist.
    pub(super) fn refuse_unknown(
        fields: &Fields<'_, '_>,
        key: &str,
        named: &[String],
        known: &[String],
        what: &str,
    ) {
        for name in named {
            if !known.contains(name) {
                let near = nearest(name, known.iter().map(String::as_str));
                let near =
                    near.map_or_else(String::new, |near| format!("; the nearest is `{near}`"));
                fields.wrong(key, format!("the id of {what}; `{name}` is none{near}"));
            }
        }
    }

    /// What nothing leads to is a mistake, or SQL that a reviewer would read for nothing.
    pub(super) fn refuse_unused(&self, top: &Fields<'_, '_>, inputs: &[Input], queries: &[Query]) {
        let mut used: BTreeSet<&str> = BTreeSet::new();
        for place in self.parts.values() {
            used.extend(place.inputs.iter().map(String::as_str));
        }
        used.extend(self.action_inputs.values().flatten().map(String::as_str));
        let mut run: BTreeSet<&str> =
            self.parts.values().filter_map(|place| place.query.as_deref()).collect();
        run.extend(self.action_queries.values().flatten().map(String::as_str));
        for block in top.quiet_blocks("input") {
            let id = block.peek("id").unwrap_or_default();
            if !used.contains(id.as_str()) && inputs.iter().any(|input| input.id == id) {
                block
                    .wrong("id", format!("an input that a form or action asks for; `{id}` is not"));
            }
        }
        for block in top.quiet_blocks("query") {
            let id = block.peek("id").unwrap_or_default();
            if !run.contains(id.as_str()) && queries.iter().any(|query| query.id == id) {
                block.wrong("id", format!("a query that a part or action uses; `{id}` is not"));
            }
        }
        for block in top.quiet_blocks("action") {
            let id = block.peek("id").unwrap_or_default();
            if self.parts_with_action(&id).is_empty() {
                block.wrong("id", format!("an action that a part offers; `{id}` is not"));
            }
        }
    }
}

fn columns(queries: &[Query], id: &str) -> BTreeSet<String> {
    let query = queries.iter().find(|query| query.id == id);
    query.into_iter().flat_map(|query| query.columns.iter().cloned()).collect()
}
