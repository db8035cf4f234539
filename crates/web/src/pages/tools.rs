//! Tools in use: a form is filled, parts are read through the gate, rows open, actions are asked
//! and done. What is shown is made by [`crate::tool_pages`]; this module only brings it the data.

mod drawing;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use gate::Plan;
use maud::Markup;
use tools::Tool;
use tools::definition::{Action, ActionKind, Part, PartKind};
use tools::form::{EXPORT_FIELDS, Submission};
use tools::input::FieldError;
use tools::plan::PlanError;

use crate::app::{Answer, Shared};
use crate::pages::exports;
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};
use crate::tool_pages::view::{Message, Mood};
use drawing::{Drawing, OpenRow};

fn find<'a>(agency: &'a Shared, id: &str) -> Option<&'a Tool> {
    agency.tools.get(id)
}

/// There is no such tool: recorded, for somebody may be trying names.
async fn unknown(agency: &Shared, who: &SignedIn) -> Problem {
    match agency.refuse(Some(who), who.origin.clone(), "/tools", "unknown-tool").await {
        Ok(entry) => Problem::not_found().with_entry(entry),
        Err(unrecorded) => unrecorded,
    }
}

/// `GET /tools/{tool}`: its form, and no record.
///
/// # Errors
/// A [`Problem`] when there is no such tool or the policy refuses.
pub async fn open(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Answer {
    let Some(tool) = find(&agency, &id) else { return Err(unknown(&agency, &signed_in).await) };
    let planned = tool.plan_open(&agency.context(&signed_in.actor));
    let (question, _) = planned.ask(&agency.context(&signed_in.actor));
    // Nothing is fetched under it: opening a tool shows its form, which is no record.
    drop(agency.authorise(&signed_in, question, Plan::None).await?);
    let asked = Submission::default();
    let drawing = Drawing { agency: &agency, who: &signed_in, tool, asked: &asked, row: None };
    let content = drawing.form_only(Vec::new())?;
    Ok(page(&agency, &signed_in, tool, &content))
}

fn page(agency: &Shared, who: &SignedIn, tool: &Tool, content: &Markup) -> Response {
    agency.page(who, &tool.title, &format!("/tools/{}", tool.id), content)
}

/// An element for `ui.js`, or the whole page.
fn answer(agency: &Shared, posted: &Posted, tool: &Tool, content: &Markup) -> Response {
    if posted.fragment {
        content.clone().into_response()
    } else {
        page(agency, &posted.signed_in, tool, content)
    }
}

/// Takes the request's fields apart, or answers with the form and what could not be taken.
fn submission(posted: &Posted, tool: &Tool) -> Result<Submission, Vec<FieldError>> {
    let fields: Vec<(String, String)> = posted
        .fields
        .iter()
        .filter(|(name, _)| !EXPORT_FIELDS.contains(&name.as_str()))
        .cloned()
        .collect();
    Submission::read(tool, &fields)
}

/// The form again, with its errors: nothing ran, which is on record.
async fn refused_input(
    agency: &Shared,
    posted: &Posted,
    tool: &Tool,
    asked: &Submission,
    errors: Vec<FieldError>,
) -> Answer {
    let who = &posted.signed_in;
    let first = errors.first().map_or("form", |error| error.input.as_str());
    let reason = format!("bad-input:{first}");
    let route = format!("/tools/{}", tool.id);
    let entry = agency.refuse(Some(who), who.origin.clone(), &route, &reason).await?;
    let drawing = Drawing { agency, who, tool, asked, row: None };
    let message = Message {
        mood: Mood::Note,
        title: "Nothing was searched".to_owned(),
        text: "Look at the fields that are marked.".to_owned(),
        entry: Some(entry.0),
    };
    let content = drawing.form_with(Some(message), errors)?;
    let mut response = answer(agency, posted, tool, &content);
    *response.status_mut() = StatusCode::BAD_REQUEST;
    Ok(response)
}

/// `POST /tools/{tool}/runs`: the parts of the form, or one part of them anew.
///
/// # Errors
/// A [`Problem`] with an entry number for all that the gate refuses.
pub async fn run(State(agency): State<Shared>, Path(id): Path<String>, posted: Posted) -> Answer {
    let who = &posted.signed_in;
    let Some(tool) = find(&agency, &id) else { return Err(unknown(&agency, who).await) };
    let asked = match submission(&posted, tool) {
        Ok(asked) => asked,
        Err(errors) => {
            let asked = Submission::default();
            return refused_input(&agency, &posted, tool, &asked, errors).await;
        }
    };
    let row = match &asked.row {
        Some(sealed) => Some(open_row(&agency, who, tool, sealed).await?),
        None => None,
    };
    let drawing = Drawing { agency: &agency, who, tool, asked: &asked, row: row.as_ref() };
    let drawn = match posted.text("part") {
        part if posted.fragment && !part.is_empty() => drawing.one(part).await,
        _ => drawing.all(None).await,
    };
    finish(&agency, &posted, tool, &asked, drawn).await
}

/// What was drawn, the form with its errors, or a problem.
async fn finish(
    agency: &Shared,
    posted: &Posted,
    tool: &Tool,
    asked: &Submission,
    drawn: Result<Markup, Undrawn>,
) -> Answer {
    match drawn {
        Ok(content) => Ok(answer(agency, posted, tool, &content)),
        Err(Undrawn::Input(errors)) => refused_input(agency, posted, tool, asked, errors).await,
        Err(Undrawn::Problem(problem)) => Err(problem),
    }
}

/// Why a part was not drawn.
pub(crate) enum Undrawn {
    /// The form holds what can't be taken.
    Input(Vec<FieldError>),
    /// Anything else.
    Problem(Problem),
}

impl From<Problem> for Undrawn {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<PlanError> for Undrawn {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Input(errors) => Self::Input(errors),
            PlanError::Unknown { .. } => Self::Problem(Problem::not_found()),
            PlanError::NotOffered => Self::Problem(Problem::new(
                StatusCode::CONFLICT,
                "That is not offered for this record",
                "The record is not in a state in which this can be done. Nothing was changed.",
            )),
            PlanError::Caveat | PlanError::Expression(_) => {
                Self::Problem(Problem::internal(&error))
            }
        }
    }
}

/// `POST /tools/{tool}/rows`: one row opened beside its table, or closed again.
///
/// # Errors
/// A [`Problem`] with an entry number for a handle that was not given to this person.
pub async fn row(State(agency): State<Shared>, Path(id): Path<String>, posted: Posted) -> Answer {
    let who = &posted.signed_in;
    let Some(tool) = find(&agency, &id) else { return Err(unknown(&agency, who).await) };
    let mut asked = match submission(&posted, tool) {
        Ok(asked) => asked,
        Err(errors) => {
            let asked = Submission::default();
            return refused_input(&agency, &posted, tool, &asked, errors).await;
        }
    };
    let Some(sealed) = asked.row.clone() else {
        return Err(Problem::bad_input("No row was chosen."));
    };
    let row = open_row(&agency, who, tool, &sealed).await?;
    let close = posted.text("step") == "close";
    if close {
        asked.row = None;
    }
    let kept = (!close).then_some(&row);
    let drawing = Drawing { agency: &agency, who, tool, asked: &asked, row: kept };
    let drawn = match (posted.fragment, close) {
        (true, true) => Ok(crate::tool_pages::closed_drawer(&row.drawer)),
        (true, false) => drawing.drawer(&row, None).await,
        (false, _) => drawing.all(None).await,
    };
    finish(&agency, &posted, tool, &asked, drawn).await
}

/// Opens a row's handle for the drawer that it belongs to.
async fn open_row(
    agency: &Shared,
    who: &SignedIn,
    tool: &Tool,
    sealed: &str,
) -> Result<OpenRow, Problem> {
    for part in &tool.parts {
        let PartKind::Drawer(_) = &part.kind else { continue };
        let Some(query) = tool.row_query_of(part) else { continue };
        if let Ok(handle) = agency.open_handle(who, tool, &query.id, sealed) {
            return Ok(OpenRow::new(part.id.clone(), sealed.to_owned(), &handle));
        }
    }
    Err(agency.foreign_handle(who, &format!("/tools/{}", tool.id)).await)
}

/// `POST /tools/{tool}/actions/{action}`: the question first, then the act.
///
/// # Errors
/// A [`Problem`] with an entry number for all that the gate refuses.
pub async fn action(
    State(agency): State<Shared>,
    Path((id, action)): Path<(String, String)>,
    posted: Posted,
) -> Answer {
    let who = &posted.signed_in;
    let Some(tool) = find(&agency, &id) else { return Err(unknown(&agency, who).await) };
    let Some(action) = tool.action(&action) else { return Err(Problem::not_found()) };
    let asked = match submission(&posted, tool) {
        Ok(asked) => asked,
        Err(errors) => {
            let asked = Submission::default();
            return refused_input(&agency, &posted, tool, &asked, errors).await;
        }
    };
    let step = posted.text("step");
    match &action.kind {
        ActionKind::Export { .. } if step == "do" => {
            exports::request(&agency, &posted, tool, action, asked).await
        }
        ActionKind::Export { .. } if step == "preview" => {
            exports::preview(&agency, &posted, tool, action, &asked).await
        }
        ActionKind::Export { .. } => {
            exports::ask(&agency, &posted, tool, action, &asked, &[]).await
        }
        ActionKind::Write { .. } => write(&agency, &posted, tool, action, asked).await,
    }
}

/// A write to the open row: asked, or done.
async fn write(
    agency: &Shared,
    posted: &Posted,
    tool: &Tool,
    action: &Action,
    asked: Submission,
) -> Answer {
    let who = &posted.signed_in;
    let Some(sealed) = &asked.row else { return Err(Problem::bad_input("No row was chosen.")) };
    let row = open_row(agency, who, tool, sealed).await?;
    let Some(part) = offering(tool, action) else { return Err(Problem::not_found()) };
    let drawing = Drawing { agency, who, tool, asked: &asked, row: Some(&row) };
    let outcome = if posted.text("step") == "do" {
        drawing.act(action, part, &row).await
    } else {
        drawing.question(action, part, &row, Vec::new()).await
    };
    let drawn = match outcome {
        // What is typed into the question is asked again in the question.
        Err(Undrawn::Input(errors)) => drawing.question(action, part, &row, errors).await,
        other => other,
    };
    finish(agency, posted, tool, &asked, drawn).await
}

fn offering<'a>(tool: &'a Tool, action: &Action) -> Option<&'a Part> {
    tool.parts.iter().find(|part| part.actions.contains(&action.id))
}
