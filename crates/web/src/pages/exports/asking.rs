//! Asking for an export from a tool: what would leave, to whom, under which agreement, and why.

use exchange::{Item, NewExport};
use jiff::Timestamp;
use maud::html;
use tools::Tool;
use tools::definition::Action;
use tools::form::Submission;

use super::{go, partner_name};
use crate::app::{Answer, Shared};
use crate::pages::parts::sharing;
use crate::problem::Problem;
use crate::session::Posted;
use crate::sharing::{Piece, Recipe};

/// The page that asks what to send, to whom and why. From a tool's export action.
///
/// # Errors
/// A [`Problem`] when the person may not see what would leave.
pub async fn ask(
    agency: &Shared,
    posted: &Posted,
    tool: &Tool,
    action: &Action,
    form: &Submission,
    errors: &[tools::input::FieldError],
) -> Answer {
    let signed_in = &posted.signed_in;
    let sharing = sharing(agency)?;
    let fresh = signed_in.session.is_stepped_up(agency.now());
    let content = html! {
        @if !fresh {
            div class="usa-alert usa-alert--warning" {
                div class="usa-alert__body" {
                    h2 class="usa-alert__heading" { "First confirm that it is you" }
                    p class="usa-alert__text" {
                        "An export needs a sign-in of the last five minutes. Nothing is sent by confirming: \
                         you come back to the tool and ask again."
                    }
                    p { a class="usa-button" href={ "/step-up?next=/tools/" (tool.id) } { "Confirm my identity" } }
                }
            }
        }
        @if !errors.is_empty() {
            section class="errors" aria-labelledby="errors-title" {
                h2 id="errors-title" data-focus { "The request needs attention" }
                ul { @for error in errors { li { (error.message) } } }
            }
        }
        form class="card" id="export" method="post"
            action={ "/tools/" (tool.id) "/actions/" (action.id) } data-once {
            input type="hidden" name="csrf" value=(signed_in.csrf);
            input type="hidden" name="step" value="do";
            @for (name, value) in form.typed.iter().filter(|(name, _)| !action.inputs.contains(*name)) {
                input type="hidden" name=(name) value=(value);
            }
            div class="fields" {
                div class="field field--wide" {
                    label class="usa-label" for="agreement" { "Partner and agreement " span class="must" { "*" } }
                    select class="usa-select" id="agreement" name="agreement" required {
                        @for agreement in sharing.exchange.book().agreements() {
                            option value=(agreement.facts.id) {
                                (partner_name(agency, agreement.facts.partner.as_str())) ": " (agreement.title)
                            }
                        }
                    }
                }
                @for input in action.inputs.iter().filter_map(|id| tool.input(id)) {
                    div class="field field--wide" {
                        label class="usa-label" for=(input.id) { (input.label) " " span class="must" { "*" } }
                        textarea class="usa-textarea" id=(input.id) name=(input.id) required
                            autocomplete="off" spellcheck="false" {
                            (form.typed.get(&input.id).map_or("", String::as_str))
                        }
                    }
                }
                div class="field__actions field--wide" {
                    button class="usa-button" type="submit" { (action.confirm.button) }
                }
            }
        }
    };
    Ok(agency.page(signed_in, &action.label, &format!("/tools/{}", tool.id), &content))
}

/// Asks for the export, on record. The documents are listed through the gate, in the name of the
/// person who asks.
///
/// # Errors
/// A [`Problem`] with an entry number when policy or agreement are against it.
pub async fn request(
    agency: &Shared,
    posted: &Posted,
    tool: &Tool,
    action: &Action,
    form: Submission,
) -> Answer {
    let sharing = sharing(agency)?;
    let caller = posted.signed_in.caller();
    let context = agency.context(&posted.signed_in.actor);
    let planned = match tool.plan_export(&action.id, &form, None, &context) {
        Ok(planned) => planned,
        Err(tools::plan::PlanError::Input(errors)) => {
            return ask(agency, posted, tool, action, &form, &errors).await;
        }
        Err(error) => return Err(Problem::internal(&error)),
    };
    let recipe = |what: Piece| -> Result<serde_json::Value, Problem> {
        let (tool, action) = (tool.id.clone(), action.id.clone());
        let recipe = Recipe { tool, action, typed: form.typed.clone(), what };
        serde_json::to_value(recipe).map_err(|error| Problem::internal(&error))
    };
    let mut items = Vec::new();
    for (query, read) in &planned.reads {
        let forms = [
            (Piece::Csv(query.clone()), "csv", "text/csv"),
            (Piece::Json(query.clone()), "json", "application/json"),
            (Piece::Pdf(query.clone()), "pdf", "application/pdf"),
        ];
        for (what, ending, media_type) in forms {
            items.push(Item {
                path: format!("records/{query}.{ending}"),
                label: format!("{query} of {}, as {}", tool.title, ending.to_uppercase()),
                media_type: media_type.to_owned(),
                record_class: read.resource.record_class.clone(),
                caveats: read.resource.caveats.clone(),
                fetch: recipe(what)?,
            });
        }
    }
    for part in &planned.evidence {
        let read =
            tool.plan(part, &form, None, &context).map_err(|error| Problem::internal(&error))?;
        let released = agency.run_read(&caller, read).await?;
        let (rows, _) = released.open();
        items.extend(documents(tool, part, rows, &planned.why, &context, &recipe)?);
    }
    let case = planned.why.case_number.as_ref().map_or(String::new(), |case| format!(" {case}"));
    let new = NewExport {
        title: format!("{}{case}", tool.title),
        agreement: posted.text("agreement").to_owned(),
        items,
        why: planned.why,
    };
    let export = sharing.exchange.request(&caller, new).await?;
    Ok(go(posted, &format!("/exports/{}", export.id)))
}

/// The documents of an evidence part as items, each by its own row.
fn documents(
    tool: &Tool,
    part: &str,
    rows: &gate::Rows,
    why: &policy::Why,
    context: &tools::plan::Context<'_>,
    recipe: &dyn Fn(Piece) -> Result<serde_json::Value, Problem>,
) -> Result<Vec<Item>, Problem> {
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
        let text = |column: &str| {
            let found = rows.position(column).and_then(|at| row.get(at));
            found.map(ToString::to_string).unwrap_or_default()
        };
        let name = file_name(&text("file_name"), &text("store_key"));
        items.push(Item {
            path: format!("evidence/{:03}-{name}", at + 1),
            label: text("title"),
            media_type: text("media_type"),
            record_class: planned.resource.record_class,
            caveats: planned.resource.caveats,
            fetch: recipe(Piece::Document { part: part.to_owned(), values })?,
        });
    }
    Ok(items)
}

/// A name that every system can keep: letters, digits, dot, dash, underscore.
fn file_name(given: &str, otherwise: &str) -> String {
    let name = if given.is_empty() { otherwise } else { given };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    name.chars().map(|letter| if plain(letter) { letter } else { '_' }).take(100).collect()
}
