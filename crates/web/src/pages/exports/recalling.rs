//! Taking an export back, and what became of that.

use axum::extract::{Path, State};
use exchange::{Export, ExportStatus, Matter, recallable};
use maud::{Markup, html};

use super::{go, partner_name, returned};
use crate::app::{Answer, Shared};
use crate::pages::parts::{id, moment, sharing};
use crate::session::{Posted, SignedIn};

/// How far the partner had come when it heard of the recall, in words.
fn stood(word: Option<&str>, laid: bool) -> &'static str {
    match word {
        Some("unknown" | "recalled") if laid => {
            "It was laid down for the partner to fetch or carry, and the partner’s server has not had it: what lies there has to be answered for."
        }
        None => "The partner has not heard of it yet.",
        Some("unknown") => "Nothing of it had been offered to the partner.",
        Some("receiving") => "The partner did not have all of it, and dropped what it had.",
        Some("received" | "accepted") => "The partner had it already, and has to answer.",
        Some("destroyed" | "destroying") => "The partner had destroyed it already.",
        Some("refused") => "The partner had refused it.",
        Some(_) => "The partner has nothing of it.",
    }
}

/// The recall and its answer, on top of the page; nothing where there is none.
pub(super) fn state(agency: &Shared, export: &Export) -> Markup {
    let Some(recall) = &export.details.recall else { return html! {} };
    let partner = partner_name(agency, &export.partner);
    let class = match export.awaits_answer() {
        true => "usa-alert usa-alert--warning",
        false => "usa-alert usa-alert--info",
    };
    let title = match export.status {
        ExportStatus::Recalled => "Recalled",
        _ => "The offer ended",
    };
    html! {
        section class=(class) id="recall" aria-label=(title) {
            div class="usa-alert__body" {
                h2 class="usa-alert__heading" { (title) }
                p class="usa-alert__text" {
                    @if let Some(by) = &recall.by { (by.name) " took it back on " } @else { "It ended on " }
                    (moment(recall.at)) ", entry " (recall.entry) ": " (recall.reason) ". "
                    @if export.number.is_some() { (stood(recall.stood.as_deref(), export.details.delivery.laid.is_some())) }
                    @else { "It had not left." }
                }
                (laid_down(export))
                @if let Some(answer) = export.recall_answer() {
                    p class="usa-alert__text" {
                        (partner) " answered on " (moment(answer.at)) ": "
                        @match &answer.matter {
                            Matter::Kept { reason } => { "it keeps the parcel, for " (reason) }
                            Matter::Destroyed { method, .. } => { "destroyed; " (method) }
                            _ => { "turned away" }
                        }
                        @if let Some(person) = &answer.person { " (" (person) ")" }
                        ". Anchored as entry " (answer.entry) "; the partner's entry is " (answer.partner_entry) "."
                    }
                } @else if let Some(words) = returned::answered(agency, export) {
                    (words)
                } @else if export.awaits_answer() {
                    p class="usa-alert__text" {
                        "No answer yet."
                        @if recall.reminders > 0 { " Reminded " (recall.reminders) " times." }
                    }
                }
            }
        }
    }
}

/// Whether what was laid down where the partner fetches it is removed there.
fn laid_down(export: &Export) -> Markup {
    let delivery = &export.details.delivery;
    let (Some(route), Some(_)) = (&delivery.route, delivery.sent_entry) else { return html! {} };
    let place = delivery.place.as_deref().unwrap_or(route);
    let clearing = delivery.clearing.clone().unwrap_or_default();
    html! {
        p class="usa-alert__text" data-clearing {
            @if let Some((at, entry)) = clearing.done {
                "Nothing of it is at " (place) " any more, since " (moment(at)) ", entry " (entry) "."
            } @else if let Some(problem) = &clearing.problem {
                "What was laid down at " (place) " may still be there: " (problem) ". "
                @if let Some(next) = clearing.next_attempt_at { "Removing it is tried again from " (moment(next)) " on." }
                @else { strong { "It has to be removed there by hand." } }
            } @else {
                "What was laid down at " (place) " is being removed."
            }
        }
    }
}

/// The form that takes an export back, where there is something to take.
pub(super) fn form(signed_in: &SignedIn, export: &Export) -> Markup {
    html! {
        @if recallable(export.status) {
            form class="card" method="post" action={ "/exports/" (export.id) "/recall" } data-once {
                h2 { "Recall it" }
                p { "What has not left stays here. A partner who has it is asked to destroy it, and has to answer;
                     nobody can take back what was read there." }
                input type="hidden" name="csrf" value=(signed_in.csrf);
                label class="usa-label" for="recall-reason" { "Why it is recalled; the partner reads this" }
                input class="usa-input" id="recall-reason" name="reason" required maxlength="1000" autocomplete="off";
                button class="usa-button usa-button--outline" type="submit" { "Recall the export" }
            }
        }
    }
}

/// `POST /exports/{export}/recall`.
///
/// # Errors
/// A [`crate::problem::Problem`] when the policy refuses, or there is nothing to take back.
pub async fn recall(
    State(agency): State<Shared>,
    Path(export): Path<String>,
    posted: Posted,
) -> Answer {
    let (caller, export) = (posted.signed_in.caller(), id(&export)?);
    let export = sharing(&agency)?.exchange.recall(&caller, export, posted.text("reason")).await?;
    Ok(go(&posted, &format!("/exports/{}", export.id)))
}
