//! An export that came to a stand: why, and the button that tries it again, or asks for what it would be now.

use axum::extract::{Path, State};
use exchange::{ChangedFacts, Export, ExportStatus};
use maud::{Markup, html};

use super::{go, templates};
use crate::app::{Answer, Shared};
use crate::pages::parts::{id, moment, sharing};
use crate::session::{Posted, SignedIn};

/// What stood in the way and where it would go now. Nothing, where it has not failed.
pub(super) fn form(agency: &Shared, signed_in: &SignedIn, export: &Export) -> Markup {
    let delivery = &export.details.delivery;
    let words = agency
        .exchange
        .as_ref()
        .map(|sharing| sharing.exchange.route_words(&export.partner, delivery.route.as_deref()));
    html! {
        @if let (ExportStatus::Failed, Some(changed)) = (export.status, &export.details.changed) {
            (anew(agency, signed_in, export, changed))
        } @else if export.status == ExportStatus::Failed {
            form class="card card--warn" id="again" method="post" action={ "/exports/" (export.id) "/again" } data-once {
                h2 { "It came to a stand" }
                @if let Some(problem) = &delivery.last_problem { p { (problem) "." } }
                p {
                    "Nothing of it is tried by itself any more. Mend what stood in the way, then try again: it goes on from
                     what is there, if your function and the agreement let it."
                }
                @if let Some(words) = words { p { "It goes now: " strong { (words) } "." } }
                @if signed_in.session.is_stepped_up(agency.now()) {
                    input type="hidden" name="csrf" value=(signed_in.csrf);
                    button class="usa-button" type="submit" { "Try again" }
                } @else {
                    p { a class="usa-button" href={ "/step-up?next=/exports/" (export.id) } { "Confirm my identity to try again" } }
                }
            }
        }
    }
}

/// What is other than it was asked for, and the form that shows it as it is now.
fn anew(agency: &Shared, signed_in: &SignedIn, export: &Export, changed: &ChangedFacts) -> Markup {
    html! {
        div class="card card--warn" id="changed" {
            h2 { "Nothing was sealed: it is not what was asked for" }
            p { "When it was to be sealed, on " (moment(changed.at)) ", its records were others than those that were shown and approved
                 (entry " (changed.entry) "):" }
            ul { @for change in &changed.changes { li { (change) } } }
            @match templates::anew(agency, signed_in, export) {
                Some(form) => {
                    p { "Look at it as it is now, and ask for that; it is approved anew." }
                    (form)
                }
                None => { p { "The tool that it came from is no longer there." } }
            }
        }
    }
}

/// `POST /exports/{export}/again`.
///
/// # Errors
/// A [`crate::problem::Problem`] when the policy or the agreement refuses, or it has not failed.
pub async fn again(
    State(agency): State<Shared>,
    Path(export): Path<String>,
    posted: Posted,
) -> Answer {
    let caller = posted.signed_in.caller();
    let export = sharing(&agency)?.exchange.again(&caller, id(&export)?).await?;
    Ok(go(&posted, &format!("/exports/{}", export.id)))
}
