//! What the rules of both jurisdictions come to, shown before anything is sealed, and the conflict that a person settles.

use exchange::{ExportDetails, Rule, Stricter};
use maud::{Markup, html};

use crate::pages::parts::pair;

/// The rules that count, what the stricter of each come to, and what can't all be kept.
pub(super) fn card(stricter: &Stricter) -> Markup {
    let days = |days: Option<u32>| days.map(|days| format!("{days} days"));
    html! {
        @if !stricter.applied.is_empty() {
            @if let Some(clause) = &stricter.against {
                (super::preview::refusal(&format!("This can’t leave: {clause} ({}).", clause.code())))
            }
            section class="card" aria-labelledby="rules" {
                h2 id="rules" { "Rules of both jurisdictions" }
                p { "Where two rules differ, the stricter one counts." }
                dl class="kv" {
                    (pair("Approvals", &stricter.approvals.to_string()))
                    (pair("Redistribution", stricter.redistribution.words()))
                    @if let Some(days) = days(stricter.keep_days_min) { (pair("Kept at least", &days)) }
                    @if let Some(days) = days(stricter.keep_days_max) { (pair("Kept at most", &days)) }
                }
                (table(&stricter.applied))
                @for conflict in &stricter.conflicts {
                    div class="usa-alert usa-alert--warning" data-conflict {
                        div class="usa-alert__body" {
                            h3 class="usa-alert__heading" { "These can’t both be kept" }
                            p class="usa-alert__text" { (conflict.first) ". " (conflict.second) ". Whoever approves it decides which is, and says why." }
                        }
                    }
                }
            }
        }
    }
}

fn table(rules: &[Rule]) -> Markup {
    html! {
        div class="tablebox" role="region" aria-label="Rules" tabindex="0" { table class="table" {
            caption class="usa-sr-only" { "Rules that count for this export" }
            thead { tr { th scope="col" { "Rule" } th scope="col" { "Of" } th scope="col" { "About" } th scope="col" { "Demands" } th scope="col" { "By" } } }
            tbody { @for rule in rules { tr {
                th scope="row" { (rule.id) }
                td { (rule.jurisdiction) }
                td { (rule.about()) }
                td { (rule.says()) }
                td { (rule.citation) }
            } } }
        } }
    }
}

/// What was decided.
pub(super) fn settled(details: &ExportDetails) -> Markup {
    html! {
        @for one in &details.settled {
            (pair("Where rules disagree", &format!("{}: {}, by {}, entry {}", one.conflict, one.voice.reason.as_deref().unwrap_or_default(), one.voice.actor.name, one.voice.entry)))
        }
    }
}

/// The field of the decision, in the form of the approval.
pub(super) fn field(open: &[String]) -> Markup {
    html! {
        @if !open.is_empty() {
            label class="usa-label" for="decision" { "Which of the rules is kept, and why " span class="must" { "*" } }
            input class="usa-input" id="decision" name="decision" required maxlength="1000" autocomplete="off";
        }
    }
}
