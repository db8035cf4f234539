//! Templates: an export that is asked for again and again, with its form filled in but for what names the case.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, State};
use exchange::{Export, Item, Template};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use tools::Tool;
use tools::definition::{Action, ActionKind, InputKind};
use tools::form::Submission;

use crate::app::{Answer, Shared};
use crate::pages::looking;
use crate::pages::parts::{go, id, moment, pair, sharing};
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};
use crate::sharing::{Piece, Recipe};
use crate::tool_pages::build::Stage;

/// How a tool's export form is filled in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    tool: String,
    action: String,
    typed: BTreeMap<String, String>,
    /// Columns that stay here, as `query.column`.
    without: BTreeSet<String>,
    /// Queries that stay here whole, as the paths of their items begin.
    skip: BTreeSet<String>,
}

impl Form {
    /// The form of which an export came.
    fn of(agency: &Shared, export: &Export) -> Option<Self> {
        let recipes = export.details.items.iter();
        let recipes: Vec<Recipe> =
            recipes.filter_map(|item| serde_json::from_value(item.fetch.clone()).ok()).collect();
        let first = recipes.first()?;
        let tool = agency.tools.get(&first.tool)?;
        let ActionKind::Export { queries, .. } = &tool.action(&first.action)?.kind else {
            return None;
        };
        let (mut without, mut sent) = (BTreeSet::new(), BTreeSet::new());
        for recipe in &recipes {
            if let Piece::Csv(query) = &recipe.what {
                without.extend(recipe.without.iter().map(|column| format!("{query}.{column}")));
                sent.insert(query.clone());
            }
        }
        let skipped = queries.iter().filter(|query| !sent.contains(*query));
        Some(Self {
            tool: first.tool.clone(),
            action: first.action.clone(),
            typed: first.typed.clone(),
            without,
            skip: skipped.map(|query| format!("records/{query}")).collect(),
        })
    }
}

/// The card by which an export's form is kept.
pub(super) fn keep_card(agency: &Shared, signed_in: &SignedIn, export: &Export) -> Markup {
    let fresh = signed_in.session.is_stepped_up(agency.now());
    html! {
        @if export.details.requester.id == signed_in.actor.id && export.details.items.iter().all(|item| item.received.is_none()) {
            form class="card" method="post" action={ "/exports/" (export.id) "/template" } data-once {
                h2 { "Ask for the like again" }
                p { "A template keeps the tool, the agreement, the reason and what stays here. The case is filled in each time." }
                @if fresh {
                    input type="hidden" name="csrf" value=(signed_in.csrf);
                    label class="usa-label" for="template-title" { "Name of the template" }
                    input class="usa-input" id="template-title" name="title" required maxlength="200" autocomplete="off";
                    button class="usa-button usa-button--outline" type="submit" { "Keep as a template" }
                } @else {
                    p { a href={ "/step-up?next=/exports/" (export.id) } { "Confirm my identity to keep one" } }
                }
            }
        }
    }
}

/// Whether an item is a film that was made of a document.
pub(super) fn is_film(item: &Item) -> bool {
    let recipe = serde_json::from_value::<Recipe>(item.fetch.clone());
    recipe.is_ok_and(|recipe| matches!(recipe.what, Piece::Document { mp4: true, .. }))
}

/// The form that shows what an export would be now, filled in as it was asked for. None where its tool is gone.
pub(super) fn anew(agency: &Shared, signed_in: &SignedIn, export: &Export) -> Option<Markup> {
    let form = Form::of(agency, export)?;
    let (route, requestor) = (&export.details.delivery.route, &export.details.requestor);
    let fields = [("agreement", Some(&export.agreement)), ("route", route.as_ref())];
    let fields = fields.into_iter().chain([("requestor", requestor.as_ref())]);
    let fields = fields.filter_map(|(name, value)| Some((name, value?)));
    let without = form.without.iter().map(|name| ("without", name));
    let skip = form.skip.iter().map(|name| ("skip", name));
    // Documents that stayed here stay here, and films that were made are made again.
    let left_out = export.details.left_out.iter().filter(|name| name.starts_with("evidence/"));
    let left_out = left_out.map(|name| ("skip", name));
    let films = export.details.items.iter().filter(|item| is_film(item));
    let films = films.map(|item| ("also", &item.path));
    let typed = form.typed.iter().map(|(name, value)| (name.as_str(), value));
    let fields = fields.chain(without).chain(skip).chain(left_out).chain(films).chain(typed);
    Some(html! {
        form id="anew" method="post" action={ "/tools/" (form.tool) "/actions/" (form.action) } data-once {
            input type="hidden" name="csrf" value=(signed_in.csrf);
            input type="hidden" name="step" value="preview";
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button class="usa-button" type="submit" { "Show what would leave now" }
        }
    })
}

/// The templates that there are.
pub(super) fn list_card(all: &[Template]) -> Markup {
    html! {
        @if !all.is_empty() {
            section class="card" aria-labelledby="templates" {
                h2 id="templates" { "Templates" }
                ul class="rows" { @for one in all {
                    li data-template=(one.id) {
                        a href={ "/exports/templates/" (one.id) } { (one.details.title) }
                        " " span class="muted" { "under " (one.details.agreement) ", kept by " (one.details.keeper) }
                    }
                } }
            }
        }
    }
}

/// What tells it from others, for the record of what was shown.
pub(super) fn line(template: &Template) -> String {
    format!("template {} {}", template.id, template.details.title)
}

/// `POST /exports/{export}/template`: keeps one.
///
/// # Errors
/// A [`Problem`] with an entry number when this person may not ask for such an export.
pub async fn keep(
    State(agency): State<Shared>,
    Path(export): Path<String>,
    posted: Posted,
) -> Answer {
    let exchange = &sharing(&agency)?.exchange;
    let export = exchange.export(id(&export)?).await?;
    let form = Form::of(&agency, &export)
        .ok_or_else(|| Problem::bad_input("The tool that it came from is no longer there."))?;
    let form = serde_json::to_value(form).map_err(|error| Problem::internal(&error))?;
    let caller = posted.signed_in.caller();
    let kept = exchange.keep_template(&caller, export.id, posted.text("title"), form).await?;
    Ok(go(&posted, &format!("/exports/templates/{}", kept.id)))
}

/// `GET /exports/templates/{template}`: its form, to be filled in and sent on to the tool.
///
/// # Errors
/// A [`Problem`] when there is no such template, or its tool is gone; or when the policy or the ledger says no.
pub async fn one(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(template): Path<String>,
) -> Answer {
    let template = id(&template)?;
    let which = format!("template {template}");
    let permit = looking::at_exports(&agency, &signed_in, &which).await?;
    let template = sharing(&agency)?.exchange.template(template).await?;
    let lines = |template: &Template| vec![line(template)];
    let template = looking::show(&agency, permit, "export template", template, lines).await?;
    let form: Form = serde_json::from_value(template.details.form.clone())
        .map_err(|error| Problem::internal(&error))?;
    let tool = agency.tools.get(&form.tool).ok_or_else(Problem::not_found)?;
    let action = tool.action(&form.action).ok_or_else(Problem::not_found)?;
    let filled = &template.details;
    let content = html! {
        p { a href="/exports" { "All exports" } }
        (fields(&signed_in, tool, action, &form, &template))
        section class="card" aria-labelledby="about" {
            h2 id="about" { "The template" }
            dl class="kv" {
                (pair("Tool", &tool.title))
                div { dt { "Agreement" } dd { a href={ "/agreements/" (filled.agreement) } { (filled.agreement) } } }
                (pair("Kept by", &format!("{}, {}", filled.keeper, moment(template.kept_at))))
                @if !form.without.is_empty() { (pair("Columns that stay here", &listed(&form.without))) }
                @if !form.skip.is_empty() { (pair("Stays here whole", &listed(&form.skip))) }
            }
            form method="post" action={ "/exports/templates/" (template.id) } data-once {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                button class="usa-button usa-button--outline" type="submit" { "Remove the template" }
            }
        }
    };
    Ok(agency.page(&signed_in, &filled.title, "/exports", &content))
}

/// What is typed each time is empty; the rest is as it was kept.
fn fields(
    signed_in: &SignedIn,
    tool: &Tool,
    action: &Action,
    form: &Form,
    template: &Template,
) -> Markup {
    let inputs = form.typed.keys().filter(|id| !action.inputs.contains(*id));
    let inputs: Vec<_> = inputs.filter_map(|id| tool.input(id)).collect();
    let kept = |input: &&tools::definition::Input| !matches!(input.kind, InputKind::Text { .. });
    let typed = inputs.iter().copied().filter(kept);
    let typed =
        typed.filter_map(|input| Some((input.id.clone(), form.typed.get(&input.id)?.clone())));
    let asked = Submission { typed: typed.collect(), ..Submission::default() };
    let stage = Stage { tool, asked: &asked, csrf: &signed_in.csrf, row: None };
    let hidden = form.typed.iter().filter(|(id, _)| action.inputs.contains(*id));
    html! {
        form class="card" id="template" method="post" action={ "/tools/" (tool.id) "/actions/" (action.id) } data-once {
            h2 { "Fill in the case" }
            input type="hidden" name="csrf" value=(signed_in.csrf);
            input type="hidden" name="step" value="ask";
            input type="hidden" name="agreement" value=(template.details.agreement);
            @if let Some(name) = &template.details.requestor { input type="hidden" name="requestor" value=(name); }
            @for name in &form.without { input type="hidden" name="without" value=(name); }
            @for name in &form.skip { input type="hidden" name="skip" value=(name); }
            @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
            div class="fields" {
                @for input in inputs { (crate::tool_pages::plain_field("template", &stage.field(input))) }
                div class="field__actions field--wide" {
                    button class="usa-button" type="submit" { "Go on" }
                }
            }
        }
    }
}

fn listed(all: &BTreeSet<String>) -> String {
    all.iter().cloned().collect::<Vec<_>>().join(", ")
}

/// `POST /exports/templates/{template}`: removes it.
///
/// # Errors
/// A [`Problem`] when it is not there, or when the policy or the ledger says no.
pub async fn remove(
    State(agency): State<Shared>,
    Path(template): Path<String>,
    posted: Posted,
) -> Answer {
    let exchange = &sharing(&agency)?.exchange;
    exchange.remove_template(&posted.signed_in.caller(), id(&template)?).await?;
    Ok(go(&posted, "/exports"))
}
