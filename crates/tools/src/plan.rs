//! A filled form becomes a Question and a Plan, without asking anybody and without I/O.
//!
//! Invariant: the SQL of a plan is the file's own text, byte for byte. What people type reaches it
//! only through `binds`; what they choose of a table's view only through columns that the file
//! declares. Errors name the input, never its value.

use std::collections::{BTreeMap, BTreeSet};

use gate::{Filter, Limits, Plan, QueryPlan, SubjectColumn, Value, View};
use jiff::Timestamp;
use jiff::civil::Date;
use policy::{Actor, Caveat, Function, Ori, Question, Resource, ResourceKind, Why};

use crate::definition::{
    Action, ActionKind, Filterable, Input, InputKind, Part, PartKind, Query, TablePart, Tool,
};
use crate::expression::{ExpressionError, Scene};
use crate::form::Submission;
use crate::handle::Handle;
use crate::input::{FieldError, Typed, Values};

/// Rows are counted up to here; beyond, a page says "more than 10,000".
pub const COUNT_MAX: u32 = 10_000;
/// The longest filter value, in characters.
const FILTER_CHARS_MAX: usize = 200;

/// What a plan is made for. Time comes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The signed-in person.
    pub actor: &'a Actor,
    /// The agency whose records these are.
    pub agency: &'a Ori,
    /// Now.
    pub now: Timestamp,
    /// Today where the agency is.
    pub today: Date,
}

/// A question's facts and the plan that it is about.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What would be done.
    pub action: policy::Action,
    /// To what.
    pub resource: Resource,
    /// Why.
    pub why: Why,
    /// The functions that the tool's file lets do it; never empty.
    pub allowed_functions: BTreeSet<Function>,
    /// How it would be done.
    pub plan: Plan,
}

/// The largest document that goes into a parcel: 1 TiB.
pub const WHOLE_BYTES_MAX: u64 = 1 << 40;

impl Planned {
    /// The whole document, however large, piece by piece: for a parcel. Other plans stay as they are.
    #[must_use]
    pub fn whole(mut self) -> Self {
        if let Plan::Evidence(mut plan) = self.plan {
            plan.range = None;
            plan.limits.bytes_max = WHOLE_BYTES_MAX;
            self.plan = Plan::Stream(plan);
        }
        self
    }

    /// The question for the gate, with the plan beside it.
    #[must_use]
    pub fn ask(self, context: &Context<'_>) -> (Question, Plan) {
        let Self { action, resource, why, allowed_functions, plan } = self;
        let (actor, now) = (context.actor.clone(), context.now);
        (Question { actor, action, resource, why, allowed_functions, now }, plan)
    }
}

/// The open row: what its handle says, and its columns once they were fetched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// Values by column.
    pub values: BTreeMap<String, Value>,
}

impl Row {
    /// The row of an opened handle: its key, its caveat.
    #[must_use]
    pub fn of_handle(handle: &Handle) -> Self {
        Self { values: handle.values.clone() }
    }

    /// The same row with the columns that a source gave.
    #[must_use]
    pub fn with(mut self, columns: &[String], values: &[Value]) -> Self {
        self.values.extend(columns.iter().cloned().zip(values.iter().cloned()));
        self
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// What was typed can't be taken.
    #[error("{} of the form's inputs can't be taken", .0.len())]
    Input(Vec<FieldError>),
    /// The tool has no such part, action, or row to it.
    #[error("the tool has no {what} of that name")]
    Unknown {
        /// "part", "action" or "row".
        what: &'static str,
    },
    /// The action's condition does not hold for the row.
    #[error("the action is not offered for this row")]
    NotOffered,
    /// The caveat column of the open row holds what is no caveat.
    #[error("the row carries a caveat that is malformed")]
    Caveat,
    /// A bind or a condition of the file failed.
    #[error("an expression of the tool failed")]
    Expression(#[from] ExpressionError),
}

impl Tool {
    /// Opening the tool: its form, no record.
    #[must_use]
    pub fn plan_open(&self, context: &Context<'_>) -> Planned {
        Planned {
            action: policy::Action::UseTool,
            resource: self.resource(context, ResourceKind::Tool, &self.id, None),
            why: Why::default(),
            allowed_functions: self.access.run.clone(),
            plan: Plan::None,
        }
    }

    /// The read that fills a part. `row` is the open one, for a part inside a drawer.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan(
        &self,
        part: &str,
        form: &Submission,
        row: Option<&Row>,
        context: &Context<'_>,
    ) -> Result<Planned, PlanError> {
        let part = self.part(part).ok_or(PlanError::Unknown { what: "part" })?;
        let query = part.query.as_deref().and_then(|id| self.query(id));
        let query = query.ok_or(PlanError::Unknown { what: "part" })?;
        if self.row_query_of(part).is_some() && row.is_none() {
            return Err(PlanError::Unknown { what: "row" });
        }
        let inputs = self.inputs_of(part);
        let values = self.values(&inputs, form, context)?;
        let view = match &part.kind {
            PartKind::Table(table) => Some(view(&part.id, table, query, form)?),
            PartKind::Form(_)
            | PartKind::Drawer(_)
            | PartKind::Record(_)
            | PartKind::Evidence(_) => None,
        };
        let mut planned = self.read(query, &inputs, &values, row, context)?;
        if let Plan::Query(plan) = &mut planned.plan {
            plan.view = view;
        }
        Ok(planned)
    }

    /// The read of one row anew, by the key in its handle, for a drawer and for an action's
    /// question. It is the table's own query, so the row must still be among what was searched.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan_row(
        &self,
        drawer: &str,
        form: &Submission,
        row: &Row,
        context: &Context<'_>,
    ) -> Result<Planned, PlanError> {
        let part = self.part(drawer).ok_or(PlanError::Unknown { what: "part" })?;
        let query = self.row_query_of(part).ok_or(PlanError::Unknown { what: "part" })?;
        let inputs = self.inputs_of(part);
        let values = self.values(&inputs, form, context)?;
        let mut filters = Vec::new();
        for column in &query.key {
            let value = row.values.get(column).ok_or(PlanError::Unknown { what: "row" })?;
            filters.push(Filter { column: column.clone(), value: value.clone() });
        }
        // A key that names no row, or two, is a fault of the file; two would show.
        let view = View { sort: Vec::new(), filters, page: 1, page_size: 2, count_max: 2 };
        let mut planned = self.read(query, &inputs, &values, Some(row), context)?;
        if let Plan::Query(plan) = &mut planned.plan {
            plan.view = Some(view);
        }
        Ok(planned)
    }

    /// The write of an action. The row must have been fetched if the action has a condition.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan_write(
        &self,
        action: &str,
        form: &Submission,
        row: Option<&Row>,
        context: &Context<'_>,
    ) -> Result<Planned, PlanError> {
        let action = self.action(action).ok_or(PlanError::Unknown { what: "action" })?;
        let ActionKind::Write { query } = &action.kind else {
            return Err(PlanError::Unknown { what: "action" });
        };
        let query = self.query(query).ok_or(PlanError::Unknown { what: "action" })?;
        let inputs = self.inputs_of_action(action);
        let values = self.values(&inputs, form, context)?;
        self.refuse_unoffered(action, &values, row, context)?;
        let plan = self.query_plan(query, &values, row, context)?;
        Ok(Planned {
            action: policy::Action::WriteRecord,
            resource: self.caveated(query, &inputs, &values, row, context)?,
            why: self.why(&inputs, &values)?,
            allowed_functions: self.access.of(action.needs).clone(),
            plan: Plan::Query(plan),
        })
    }

    /// Whether an action is offered for a row: its condition holds. In doubt it is not.
    #[must_use]
    pub fn offers(&self, action: &Action, scene: &Scene<'_>) -> bool {
        action.when.as_ref().is_none_or(|when| when.holds(scene).unwrap_or(false))
    }

    /// Whether a part is shown: its condition holds. In doubt it is not.
    #[must_use]
    pub fn shows(&self, part: &Part, scene: &Scene<'_>) -> bool {
        part.when.as_ref().is_none_or(|when| when.holds(scene).unwrap_or(false))
    }

    pub(crate) fn refuse_unoffered(
        &self,
        action: &Action,
        values: &Values,
        row: Option<&Row>,
        context: &Context<'_>,
    ) -> Result<(), PlanError> {
        let row = row.map(|row| &row.values);
        let scene = Scene { inputs: values, row, actor: context.actor, today: context.today };
        if self.offers(action, &scene) { Ok(()) } else { Err(PlanError::NotOffered) }
    }

    /// The inputs of the form that leads to a part.
    #[must_use]
    pub fn inputs_of<'t>(&'t self, part: &'t Part) -> Vec<&'t Input> {
        let ids = self.form_of(part).map(|(_, form)| form.inputs.as_slice()).unwrap_or_default();
        ids.iter().filter_map(|id| self.input(id)).collect()
    }

    /// The inputs that an action reads: those of the form before it, then its own.
    #[must_use]
    pub fn inputs_of_action<'t>(&'t self, action: &'t Action) -> Vec<&'t Input> {
        let offers = |part: &&Part| part.actions.contains(&action.id);
        let mut inputs: Vec<&Input> = Vec::new();
        let before = self.parts.iter().filter(offers).flat_map(|part| self.inputs_of(part));
        for input in before.chain(action.inputs.iter().filter_map(|id| self.input(id))) {
            if !inputs.iter().any(|known| known.id == input.id) {
                inputs.push(input);
            }
        }
        inputs
    }

    /// The values of inputs, read from a form.
    ///
    /// # Errors
    /// [`PlanError::Input`].
    pub fn values(
        &self,
        inputs: &[&Input],
        form: &Submission,
        context: &Context<'_>,
    ) -> Result<Values, PlanError> {
        Values::read(inputs, &self.inputs, &form.typed, context.actor, context.today)
            .map_err(PlanError::Input)
    }

    pub(crate) fn read(
        &self,
        query: &Query,
        inputs: &[&Input],
        values: &Values,
        row: Option<&Row>,
        context: &Context<'_>,
    ) -> Result<Planned, PlanError> {
        Ok(Planned {
            action: policy::Action::RunQuery,
            resource: self.caveated(query, inputs, values, row, context)?,
            why: self.why(inputs, values)?,
            allowed_functions: self.access.run.clone(),
            plan: Plan::Query(self.query_plan(query, values, row, context)?),
        })
    }

    fn query_plan(
        &self,
        query: &Query,
        values: &Values,
        row: Option<&Row>,
        context: &Context<'_>,
    ) -> Result<QueryPlan, PlanError> {
        let row = row.map(|row| &row.values);
        let scene = Scene { inputs: values, row, actor: context.actor, today: context.today };
        let mut binds = BTreeMap::new();
        for (name, expression) in &query.bind {
            binds.insert(name.clone(), expression.value(&scene)?);
        }
        let subjects = query.subjects.iter();
        Ok(QueryPlan {
            source: query.connection.clone(),
            mode: query.mode,
            sql: query.sql.clone(),
            binds,
            expect_rows: query.expect_rows,
            view: None,
            subjects: subjects
                .map(|(kind, column)| SubjectColumn { column: column.clone(), kind: kind.clone() })
                .collect(),
            caveat_column: query.caveat_column.clone(),
            limits: Limits {
                rows_max: query.rows_max,
                bytes_max: query.bytes_max,
                wait_max: query.wait_max,
            },
        })
    }

    /// The resource, with the caveats that the answer may carry: the tool's own, those that the
    /// form asks for, and that of the open row.
    fn caveated(
        &self,
        query: &Query,
        inputs: &[&Input],
        values: &Values,
        row: Option<&Row>,
        context: &Context<'_>,
    ) -> Result<Resource, PlanError> {
        let source = Some(query.connection.as_str());
        let mut resource = self.resource(context, ResourceKind::Tool, &self.id, source);
        for input in inputs {
            if let Some(caveat) = &input.adds_caveat
                && values.of(&input.id).is_given()
            {
                resource.caveats.insert(caveat.clone());
            }
        }
        if let Some(row) = row {
            for query in &self.queries {
                let column = query.caveat_column.as_ref().and_then(|name| row.values.get(name));
                resource.caveats.extend(caveats_in(column)?);
            }
        }
        Ok(resource)
    }

    pub(crate) fn resource(
        &self,
        context: &Context<'_>,
        kind: ResourceKind,
        id: &str,
        source: Option<&str>,
    ) -> Resource {
        Resource {
            kind,
            id: id.to_owned(),
            tool: Some(self.id.clone()),
            source: source.map(str::to_owned),
            record_class: self.handling.record_class.clone(),
            caveats: self.handling.caveats.clone(),
            agency: context.agency.clone(),
            requested_by: None,
            agreement: None,
        }
    }

    /// Purpose, case and reason, from the inputs of these ids, and what else the file wants
    /// recorded with them.
    pub(crate) fn why(&self, inputs: &[&Input], values: &Values) -> Result<Why, PlanError> {
        let text = |id: &str| match values.of(id) {
            Typed::Text(text) => Some(text.clone()),
            Typed::Empty | Typed::Number(_) | Typed::Bool(_) | Typed::Date(_) => None,
        };
        let refused =
            |id: &str, message: &str| PlanError::Input(vec![FieldError::new(id, message)]);
        let purpose = text("purpose").map(|text| text.parse()).transpose();
        let purpose = purpose.map_err(|_| refused("purpose", "Choose a purpose code."))?;
        if self.handling.purpose_required && purpose.is_none() {
            return Err(refused("purpose", "Choose a purpose code."));
        }
        let case_number = text("case_number").map(|text| text.parse()).transpose();
        let expected = "A case number is two digits, a dash and six digits, such as 24-000113.";
        let case_number = case_number.map_err(|_| refused("case_number", expected))?;
        let mut reason = text("reason");
        for input in inputs.iter().filter(|input| input.audit && !WHY.contains(&input.id.as_str()))
        {
            if let value @ (Value::Text(_) | Value::Int(_) | Value::Bool(true)) =
                values.of(&input.id).to_value()
            {
                let said = reason.get_or_insert_default();
                if !said.is_empty() {
                    said.push_str("; ");
                }
                said.push_str(&format!("{}: {}", input.label, choice_label(input, &value)));
            }
        }
        Ok(Why { purpose, case_number, reason })
    }
}

/// The inputs that answer "why" by themselves.
const WHY: [&str; 3] = ["purpose", "case_number", "reason"];

fn choice_label(input: &Input, value: &Value) -> String {
    let text = value.to_string();
    match &input.kind {
        InputKind::Choice { options, .. } => {
            options.iter().find(|(v, _)| *v == text).map_or(text, |(_, label)| label.clone())
        }
        InputKind::Checkbox => "yes".to_owned(),
        InputKind::Text { .. }
        | InputKind::LongText { .. }
        | InputKind::Date
        | InputKind::Number { .. } => text,
    }
}

/// A row's caveats, as its column has them. One that is malformed is no reason to drop it.
pub(crate) fn caveats_in(value: Option<&Value>) -> Result<BTreeSet<Caveat>, PlanError> {
    let Some(Value::Text(text)) = value else { return Ok(BTreeSet::new()) };
    let words = text.split([' ', ',', ';']).filter(|word| !word.is_empty());
    let caveats: Result<_, _> = words.map(str::parse).collect();
    caveats.map_err(|_| PlanError::Caveat)
}

/// The view of a table as a plan has it: declared columns, typed values, a settled order.
fn view(
    part: &str,
    table: &TablePart,
    query: &Query,
    form: &Submission,
) -> Result<View, PlanError> {
    let asked = form.table(part);
    let mut sort = if asked.sort.is_empty() { table.order.clone() } else { asked.sort };
    // Pages of equal values would otherwise show a row twice or never.
    for key in &query.key {
        if !sort.iter().any(|(column, _)| column == key) {
            sort.push((key.clone(), gate::Direction::Ascending));
        }
    }
    let mut errors = Vec::new();
    let mut filters = Vec::new();
    for filter in &table.filter {
        let Some(text) = asked.filters.get(&filter.column) else { continue };
        match filter_value(filter, text) {
            Ok(value) => filters.push(Filter { column: filter.column.clone(), value }),
            Err(message) => {
                let field = format!("{part}.filter.{}", filter.column);
                errors.push(FieldError::new(&field, message));
            }
        }
    }
    if !errors.is_empty() {
        return Err(PlanError::Input(errors));
    }
    let page_size = table.page_rows;
    Ok(View { sort, filters, page: asked.page, page_size, count_max: COUNT_MAX })
}

fn filter_value(filter: &Filterable, text: &str) -> Result<Value, String> {
    let label = &filter.label;
    if !filter.choices.is_empty() && !filter.choices.iter().any(|(value, _)| value == text) {
        return Err(format!("Choose {label} from the list."));
    }
    if text.chars().count() > FILTER_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(format!("{label}: at most {FILTER_CHARS_MAX} characters on one line."));
    }
    if filter.number {
        let number = text.parse().map(Value::Int);
        return number.map_err(|_| format!("{label} is a whole number."));
    }
    Ok(Value::Text(text.to_owned()))
}
