//! Draws a tool's parts from what the gate releases.

use std::collections::BTreeMap;

use gate::{Released, Rows, Value};
use maud::{Markup, html};
use policy::Why;
use tools::Tool;
use tools::definition::{Action, Part, PartKind};
use tools::expression::Scene;
use tools::form::Submission;
use tools::handle::Handle;
use tools::input::{FieldError, Values};
use tools::plan::Row;

use super::Undrawn;
use crate::app::Shared;
use crate::problem::Problem;
use crate::session::SignedIn;
use crate::tool_pages::build::{Stage, text};
use crate::tool_pages::view::{Message, Mood, ToolView};
use crate::tool_pages::{closed_drawer, confirm, drawer, evidence, record, split, table, tool};

/// A row that was opened by its handle.
pub(crate) struct OpenRow {
    /// The drawer that shows it.
    pub(crate) drawer: String,
    sealed: String,
    key: BTreeMap<String, Value>,
    row: Row,
}

impl OpenRow {
    pub(crate) fn new(drawer: String, sealed: String, handle: &Handle) -> Self {
        Self { drawer, sealed, key: handle.values.clone(), row: Row::of_handle(handle) }
    }
}

/// One request's view of a tool.
#[derive(Clone, Copy)]
pub(crate) struct Drawing<'a> {
    pub(crate) agency: &'a Shared,
    pub(crate) who: &'a SignedIn,
    pub(crate) tool: &'a Tool,
    pub(crate) asked: &'a Submission,
    pub(crate) row: Option<&'a OpenRow>,
}

impl<'a> Drawing<'a> {
    fn stage(&self) -> Stage<'a> {
        Stage {
            tool: self.tool,
            asked: self.asked,
            csrf: &self.who.csrf,
            row: self.row.map(|row| row.sealed.as_str()),
        }
    }

    fn form_part(&self) -> Result<&'a Part, Problem> {
        let form = |part: &&Part| matches!(part.kind, PartKind::Form(_));
        self.tool.parts.iter().find(form).ok_or_else(Problem::not_found)
    }

    /// The form, and nothing found.
    pub(crate) fn form_only(&self, errors: Vec<FieldError>) -> Result<Markup, Problem> {
        self.form_with(None, errors)
    }

    /// The form under a message.
    pub(crate) fn form_with(
        &self,
        message: Option<Message>,
        errors: Vec<FieldError>,
    ) -> Result<Markup, Problem> {
        self.whole(message, errors, Vec::new())
    }

    fn whole(
        &self,
        message: Option<Message>,
        errors: Vec<FieldError>,
        parts: Vec<Markup>,
    ) -> Result<Markup, Problem> {
        let part = self.form_part()?;
        let title = self.title(part, &Values::default(), None);
        let form = self.stage().form(part, title, errors).ok_or_else(Problem::not_found)?;
        Ok(tool(&ToolView { message, form, parts }))
    }

    fn title(&self, part: &Part, values: &Values, row: Option<&Row>) -> String {
        let context = self.agency.context(&self.who.actor);
        let row = row.map(|row| &row.values);
        let scene = Scene { inputs: values, row, actor: &self.who.actor, today: context.today };
        text(&part.title, &scene, &self.tool.title)
    }

    /// The values of the form, or what could not be taken.
    fn values(&self, part: &Part) -> Result<Values, Undrawn> {
        let context = self.agency.context(&self.who.actor);
        Ok(self.tool.values(&self.tool.inputs_of(part), self.asked, &context)?)
    }

    /// The form and all parts that it leads to.
    pub(crate) async fn all(&self, message: Option<Message>) -> Result<Markup, Undrawn> {
        let form = self.form_part()?;
        self.values(form)?;
        let PartKind::Form(leads) = &form.kind else { return Err(Problem::not_found().into()) };
        let mut parts = Vec::new();
        for id in &leads.into {
            let Some(part) = self.tool.part(id) else { continue };
            let drawn = self.part(part, None).await?;
            parts.push(match &part.kind {
                PartKind::Table(of) => self.beside(of.opens.as_deref(), drawn).await?,
                PartKind::Form(_)
                | PartKind::Drawer(_)
                | PartKind::Record(_)
                | PartKind::Evidence(_) => drawn,
            });
        }
        Ok(self.whole(message, Vec::new(), parts)?)
    }

    /// A table with its drawer beside it, open if a row of it is.
    async fn beside(&self, drawer: Option<&str>, table: Markup) -> Result<Markup, Undrawn> {
        let Some(drawer) = drawer else { return Ok(table) };
        let beside = match self.row {
            Some(row) if row.drawer == drawer => Box::pin(self.drawer(row, None)).await?,
            _ => closed_drawer(drawer),
        };
        Ok(split(&table, &beside))
    }

    /// One part by its id, as the page asks for it anew.
    pub(crate) async fn one(&self, id: &str) -> Result<Markup, Undrawn> {
        let part = self.tool.part(id).ok_or_else(Problem::not_found)?;
        self.part(part, self.row.map(|open| &open.row)).await
    }

    async fn part(&self, part: &Part, row: Option<&Row>) -> Result<Markup, Undrawn> {
        let context = self.agency.context(&self.who.actor);
        let values = self.values(part)?;
        let title = self.title(part, &values, row);
        let stage = self.stage();
        let planned = match self.tool.plan(&part.id, self.asked, row, &context) {
            Ok(planned) => planned,
            // A filter of this very table: the rest of the page stands.
            Err(tools::plan::PlanError::Input(errors))
                if errors.iter().all(|error| error.input.starts_with(&format!("{}.", part.id))) =>
            {
                let view = stage.unsearched(part, title, errors).ok_or_else(Problem::not_found)?;
                return Ok(table(&view));
            }
            Err(error) => return Err(error.into()),
        };
        let why = planned.why.clone();
        let released = self.agency.run_read(&self.who.caller(), planned).await?;
        let scene_row = row.map(|row| &row.values);
        let actor = &self.who.actor;
        let scene = Scene { inputs: &values, row: scene_row, actor, today: context.today };
        let mut seal = |values| self.seal(part, values, &why);
        let open = self.row.map(|open| &open.key);
        let drawn = match &part.kind {
            PartKind::Table(_) => {
                stage.table(part, title, &released, open, &mut seal).map(|view| table(&view))
            }
            PartKind::Record(_) => {
                let buttons = stage.buttons(part, &scene);
                stage.record(part, title, &released, buttons).map(|view| record(&view))
            }
            PartKind::Evidence(_) => {
                stage.evidence(part, title, &released, &mut seal).map(|view| evidence(&view))
            }
            PartKind::Form(_) | PartKind::Drawer(_) => None,
        };
        Ok(drawn.ok_or_else(Problem::not_found)?)
    }

    fn seal(&self, part: &Part, values: BTreeMap<String, Value>, why: &Why) -> Option<String> {
        let query = part.query.as_deref()?;
        self.agency.seal_handle(self.who, self.tool, query, values, why)
    }

    /// The row, read anew, with the parts inside its drawer.
    pub(crate) async fn drawer(
        &self,
        open: &OpenRow,
        message: Option<Message>,
    ) -> Result<Markup, Undrawn> {
        let part = self.tool.part(&open.drawer).ok_or_else(Problem::not_found)?;
        let (released, row) = self.read_row(open).await?;
        let values = self.values(part)?;
        let context = self.agency.context(&self.who.actor);
        let actor = &self.who.actor;
        let scene = Scene { inputs: &values, row: Some(&row.values), actor, today: context.today };
        let stage = self.stage();
        let buttons = stage.buttons(part, &scene);
        let title = self.title(part, &values, Some(&row));
        let view = stage.drawer(part, title, &released, buttons);
        let mut view = view.ok_or_else(Problem::not_found)?;
        view.message = message;
        for inner in self.tool.parts.iter().filter(|one| one.inside.as_ref() == Some(&part.id)) {
            view.parts.push(Box::pin(self.part(inner, Some(&row))).await?);
        }
        Ok(drawer(&view))
    }

    /// Reads the open row through the gate, by the key in its handle.
    async fn read_row(&self, open: &OpenRow) -> Result<(Released<Rows>, Row), Undrawn> {
        let context = self.agency.context(&self.who.actor);
        let planned = self.tool.plan_row(&open.drawer, self.asked, &open.row, &context)?;
        let released = self.agency.run_read(&self.who.caller(), planned).await?;
        let (rows, _) = released.open();
        let row = match rows.rows.as_slice() {
            [row] => open.row.clone().with(&rows.columns, row),
            _ => open.row.clone(),
        };
        Ok((released, row))
    }

    /// The question before a write.
    pub(crate) async fn question(
        &self,
        action: &Action,
        part: &Part,
        open: &OpenRow,
        errors: Vec<FieldError>,
    ) -> Result<Markup, Undrawn> {
        let (_, row) = self.read_row(open).await?;
        let values = self.values(part)?;
        let context = self.agency.context(&self.who.actor);
        let actor = &self.who.actor;
        let scene = Scene { inputs: &values, row: Some(&row.values), actor, today: context.today };
        if !self.tool.offers(action, &scene) {
            return Err(tools::plan::PlanError::NotOffered.into());
        }
        Ok(html! { (confirm(&self.stage().confirm(part, action, &scene, errors))) })
    }

    /// Does a write, and draws the tool with what became of it.
    pub(crate) async fn act(
        &self,
        action: &Action,
        _part: &Part,
        open: &OpenRow,
    ) -> Result<Markup, Undrawn> {
        let (_, row) = self.read_row(open).await?;
        let context = self.agency.context(&self.who.actor);
        let planned = self.tool.plan_write(&action.id, self.asked, Some(&row), &context)?;
        let inputs = self.tool.inputs_of_action(action);
        let values = self.tool.values(&inputs, self.asked, &context)?;
        let released = self.agency.run_write(&self.who.caller(), planned).await?;
        let actor = &self.who.actor;
        let scene = Scene { inputs: &values, row: Some(&row.values), actor, today: context.today };
        let said = action.say.as_ref().map_or(String::new(), |say| text(say, &scene, ""));
        let message = Message {
            mood: Mood::Done,
            title: "Done".to_owned(),
            text: said,
            entry: Some(released.entry().0),
        };
        self.all(Some(message)).await
    }
}
