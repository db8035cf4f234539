//! Finding the pieces of a tool by id, and what leads where.

use crate::definition::{Action, FormPart, Input, Part, PartKind, Query, Tool};

impl Tool {
    /// The input of an id.
    #[must_use]
    pub fn input(&self, id: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.id == id)
    }

    /// The query of an id.
    #[must_use]
    pub fn query(&self, id: &str) -> Option<&Query> {
        self.queries.iter().find(|query| query.id == id)
    }

    /// The action of an id.
    #[must_use]
    pub fn action(&self, id: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.id == id)
    }

    /// The part of an id.
    #[must_use]
    pub fn part(&self, id: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.id == id)
    }

    /// The form that leads to a part: the one that runs its query, or that of its table or drawer.
    #[must_use]
    pub fn form_of<'t>(&'t self, part: &'t Part) -> Option<(&'t Part, &'t FormPart)> {
        let mut at = part;
        // A chain of parts is at most drawer inside table: a table, its drawer, a part inside it.
        for _ in 0..4 {
            if let PartKind::Form(form) = &at.kind {
                return Some((at, form));
            }
            let leads = self.parts.iter().find_map(|other| match &other.kind {
                PartKind::Form(form) if form.into.contains(&at.id) => Some((other, form)),
                PartKind::Form(_)
                | PartKind::Table(_)
                | PartKind::Drawer(_)
                | PartKind::Record(_)
                | PartKind::Evidence(_) => None,
            });
            if leads.is_some() {
                return leads;
            }
            at = match (&at.kind, &at.inside) {
                (PartKind::Drawer(drawer), _) => self.part(&drawer.of)?,
                (_, Some(drawer)) => self.part(drawer)?,
                (_, None) => return None,
            };
        }
        None
    }

    /// The query whose row a part is opened on: a drawer's table's, or that of the drawer around it.
    #[must_use]
    pub fn row_query_of(&self, part: &Part) -> Option<&Query> {
        let drawer = match (&part.kind, &part.inside) {
            (PartKind::Drawer(drawer), _) => drawer,
            (_, Some(drawer)) => match &self.part(drawer)?.kind {
                PartKind::Drawer(drawer) => drawer,
                PartKind::Form(_)
                | PartKind::Table(_)
                | PartKind::Record(_)
                | PartKind::Evidence(_) => return None,
            },
            (_, None) => return None,
        };
        self.query(self.part(&drawer.of)?.query.as_deref()?)
    }
}
