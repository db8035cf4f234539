//! What we and a partner told each other about an exchange since the parcel left, as a table.

use exchange::{Matter, Told};
use maud::{Markup, html};

use crate::pages::parts::moment;

/// The table; nothing where nothing was told.
pub(super) fn table(told: &[Told], partner: &str) -> Markup {
    html! {
        @if !told.is_empty() {
            section class="card card--flush" id="notices" aria-labelledby="notices-title" {
                div class="toolbar" { h2 id="notices-title" { "Signed notices" } }
                div class="tablebox" role="region" aria-label="Table of signed notices" tabindex="0" {
                    table class="table" {
                        caption class="usa-sr-only" { "Signed notices about this exchange, oldest first" }
                        thead { tr {
                            th scope="col" { "Notice" } th scope="col" { "From" } th scope="col" { "When" }
                            th scope="col" { "Who and why" } th scope="col" { "Ledger entries" }
                        } }
                        tbody { @for one in told { (row(one, partner)) } }
                    }
                }
            }
        }
    }
}

/// What tells one from others, for the record of what was shown.
pub(super) fn line(one: &Told) -> String {
    let from = if one.ours { "ours" } else { "theirs" };
    format!("notice {from} {} {} {}", one.number, one.matter.word(), one.entry)
}

fn row(one: &Told, partner: &str) -> Markup {
    let from = if one.ours { "this agency" } else { partner };
    html! {
        tr data-notice=(one.matter.word()) {
            th scope="row" { (words(&one.matter)) " (no. " (one.number) ")" }
            td { (from) }
            td { (moment(one.at)) }
            td {
                @if let Some(person) = &one.person { (person) }
                @if let Some(reason) = reason(&one.matter) { @if one.person.is_some() { ": " } (reason) }
            }
            td {
                "signer " (one.entry)
                @match one.anchored {
                    Some(entry) => { ", anchored " (entry) }
                    None => { ", " span class="badge badge--warn" { "not delivered yet" } }
                }
                @if let Some(problem) = &one.last_problem { p class="muted small" { "Last attempt: " (problem) } }
            }
        }
    }
}

fn words(matter: &Matter) -> &'static str {
    match matter {
        Matter::Recalled { reminder: 0, .. } => "Recall",
        Matter::Recalled { .. } => "Reminder of the recall",
        Matter::Expired {} => "End of the offer",
        Matter::Accepted {} => "Accepted",
        Matter::Rejected { .. } => "Turned away",
        Matter::Opened {} => "Opened for the first time",
        Matter::Destroyed { .. } => "Certificate of destruction",
        Matter::Kept { .. } => "Kept",
    }
}

fn reason(matter: &Matter) -> Option<String> {
    match matter {
        Matter::Recalled { reason, .. } | Matter::Rejected { reason } | Matter::Kept { reason } => {
            Some(reason.clone())
        }
        Matter::Destroyed { reason, method } => Some(format!("{reason}. How: {method}")),
        Matter::Expired {} | Matter::Accepted {} | Matter::Opened {} => None,
    }
}
