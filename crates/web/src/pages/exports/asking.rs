//! Asking for an export from a tool: first to whom, under which agreement and why; then the request itself.

use exchange::NewExport;
use maud::{Markup, html};
use tools::Tool;
use tools::definition::Action;
use tools::form::Submission;

use super::gathered::{Ungathered, gather};
use super::wanted::Wanted;
use crate::app::{Answer, Shared};
use crate::pages::looking;
use crate::pages::partners::partner_name;
use crate::pages::parts::{go, sharing};
use crate::problem::Problem;
use crate::reading::carry_through;
use crate::session::Posted;

/// The page that asks to whom and why. From a tool's export action.
///
/// # Errors
/// A [`Problem`] when sharing is not configured, or the policy or the ledger says no.
pub async fn ask(
    agency: &Shared,
    posted: &Posted,
    tool: &Tool,
    action: &Action,
    form: &Submission,
    errors: &[tools::input::FieldError],
) -> Answer {
    let signed_in = &posted.signed_in;
    let exchange = &sharing(agency)?.exchange;
    let wanted = Wanted::read(posted)?;
    let permit = looking::at_exports(agency, signed_in, "agreements to send under").await?;
    let agreements = exchange.held_agreements().await?;
    let agreements = looking::show(agency, permit, "agreements", agreements, |held| {
        held.iter().map(|one| one.id.clone()).collect()
    })
    .await?;
    let fresh = signed_in.session.is_stepped_up(agency.now());
    let left_out = wanted
        .again()
        .into_iter()
        .filter(|(name, _)| ["without", "skip", "also", "which"].contains(name));
    let content = html! {
        @if !fresh { (confirm_first(tool)) }
        @if !errors.is_empty() {
            section class="errors" aria-labelledby="errors-title" {
                h2 id="errors-title" data-focus { "The request needs attention" }
                ul { @for error in errors { li { (error.message) } } }
            }
        }
        form class="card" id="export" method="post"
            action={ "/tools/" (tool.id) "/actions/" (action.id) } data-once {
            input type="hidden" name="csrf" value=(signed_in.csrf);
            input type="hidden" name="step" value="preview";
            @for (name, value) in form.typed.iter().filter(|(name, _)| !action.inputs.contains(*name)) {
                input type="hidden" name=(name) value=(value);
            }
            @for (name, value) in left_out { input type="hidden" name=(name) value=(value); }
            div class="fields" {
                div class="field field--wide" {
                    label class="usa-label" for="agreement" { "Partner and agreement " span class="must" { "*" } }
                    select class="usa-select" id="agreement" name="agreement" required {
                        @for held in &agreements { @if let Some(shown) = held.shown() {
                            option value=(held.id) selected[held.id == wanted.agreement] {
                                (partner_name(agency, shown.details.agreement.facts.partner.as_str())) ": " (shown.details.agreement.title)
                                @if held.in_force.is_none() { " (not reviewed)" }
                            }
                        } }
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
                (for_the_record(&wanted))
                div class="field__actions field--wide" {
                    button class="usa-button" type="submit" { "Show what would leave" }
                }
            }
        }
    };
    Ok(agency.page(signed_in, &action.label, &format!("/tools/{}", tool.id), &content))
}

/// Who asked for it, and its number in the case.
fn for_the_record(wanted: &Wanted) -> Markup {
    html! {
        div class="field field--wide" {
            label class="usa-label" for="requestor" { "Who there asked for it" }
            span class="usa-hint" id="requestor-hint" {
                "A name and an office. It has to be there for criminal history outside the primary agreements."
            }
            input class="usa-input" id="requestor" name="requestor" maxlength="200" autocomplete="off"
                aria-describedby="requestor-hint" value=(wanted.requestor.as_deref().unwrap_or_default());
        }
        div class="field" {
            label class="usa-label" for="exhibit" { "Exhibit number" }
            span class="usa-hint" id="exhibit-hint" { "For the custody record, if the case has one for it." }
            input class="usa-input" id="exhibit" name="exhibit" maxlength="100" autocomplete="off"
                aria-describedby="exhibit-hint" value=(wanted.exhibit.as_deref().unwrap_or_default());
        }
    }
}

fn confirm_first(tool: &Tool) -> Markup {
    html! {
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
}

/// Asks for the export, on record. What it holds is listed through the gate, in the name of the person who asks.
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
    let exchange = &sharing(agency)?.exchange;
    let wanted = Wanted::read(posted)?;
    let gathered = match gather(agency, posted, (tool, action), &form, &wanted).await {
        Ok(gathered) => gathered,
        Err(Ungathered::Plan(tools::plan::PlanError::Input(errors))) => {
            return ask(agency, posted, tool, action, &form, &errors).await;
        }
        Err(Ungathered::Plan(error)) => return Err(Problem::internal(&error)),
        Err(Ungathered::Problem(problem)) => return Err(problem),
    };
    let unseen = gathered.unseen(&wanted);
    if !unseen.is_empty() {
        let gathered = (&wanted, &gathered, unseen.as_slice());
        return super::preview::shown(agency, posted, (tool, action), &form, gathered).await;
    }
    if !gathered.undecided(&wanted).is_empty() {
        let gathered = (&wanted, &gathered, [].as_slice());
        return super::preview::shown(agency, posted, (tool, action), &form, gathered).await;
    }
    let items = gathered.sent(&wanted);
    if items.is_empty() {
        return Err(Problem::bad_input("Everything is left out: nothing is left to send."));
    }
    let (left_out, listed) = (gathered.left_out(&wanted), gathered.listed(&wanted));
    let case = gathered.why.case_number.as_ref().map_or(String::new(), |case| format!(" {case}"));
    let new = NewExport {
        title: format!("{}{case}", tool.title),
        agreement: wanted.agreement,
        items,
        why: gathered.why,
        requestor: wanted.requestor,
        exhibit: wanted.exhibit,
        consent: None,
        left_out,
        listed,
        route: wanted.route,
    };
    let (exchange, caller) = (exchange.clone(), posted.signed_in.caller());
    let asked = async move { Ok(exchange.request(&caller, new).await?) };
    let export = carry_through(asked).await?;
    Ok(go(posted, &format!("/exports/{}", export.id)))
}
