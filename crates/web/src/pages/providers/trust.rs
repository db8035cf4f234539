//! When an identity provider can't be trusted any more: everybody who came through it is put out, and it is held.
//!
//! Putting everybody out may end the session of whoever asks for it: the answer still comes, and the page says
//! before how the provider is released then.

use axum::extract::State;
use axum::response::Redirect;
use jiff::Timestamp;
use maud::{Markup, html};
use state::holds::Held;

use super::{PATH, show};
use crate::app::{Answer, Shared};
use crate::pages::parts::moment;
use crate::pages::people::{Acted, permit_to_manage, reason, reason_field, step_up};
use crate::problem::Problem;
use crate::providers::holds::configured;
use crate::session::{Posted, SignedIn};

/// Where the form goes.
const ACT: &str = "/identity/trust";

/// Addresses at which the page was before, or is not read.
pub async fn moved() -> Redirect {
    Redirect::permanent(PATH)
}

/// Whether people come through a provider at present.
pub(super) fn standing(held: &[Held], id: &str) -> Markup {
    html! {
        @match held.iter().find(|one| one.idp == id) {
            Some(one) => span class="badge badge--deny" { "held since " (moment(one.since)) },
            None => span class="badge badge--permit" { "in use" },
        }
    }
}

/// What administrators do about one.
pub(super) fn form(agency: &Shared, signed_in: &SignedIn, now: Timestamp) -> Markup {
    let own = configured(&agency.config).find(|(id, _)| *id == signed_in.session.idp);
    html! {
        section class="card" aria-labelledby="trust" {
            h2 id="trust" { "When one can't be trusted any more" }
            p { "Its keys were stolen, say. Whoever came through it is out at once, and what they read or download breaks off." }
            (step_up(signed_in, now, PATH))
            form method="post" action=(ACT) class="rows" {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                div class="field" {
                    label class="usa-label" for="provider" { "Provider" }
                    select class="usa-select" id="provider" name="provider" required {
                        option value="" { "Choose one" }
                        @for (id, label) in configured(&agency.config) {
                            option value=(id) { (label) " (" (id) ")" }
                        }
                    }
                }
                fieldset class="usa-fieldset" {
                    legend class="usa-legend" { "What is to be done with it" }
                    div class="rows" {
                        @for (act, words) in [
                            ("end", "End all sessions that came through it"),
                            ("hold", "Hold it: end them, and let nobody in through it"),
                            ("release", "Release it: people sign in through it again"),
                        ] {
                            label { input type="radio" name="act" value=(act) required; " " (words) }
                        }
                    }
                }
                @if let Some((_, label)) = own {
                    p class="usa-hint" {
                        "You came through " (label) ": if you choose that, your own session ends too. While it is held, only somebody "
                        "who comes through another one can release it here; otherwise the command " code { "bailiwick provider release" }
                        " does, with the server stopped."
                    }
                }
                (reason_field())
                div class="field__actions" { button class="usa-button usa-button--secondary" type="submit" { "Do it" } }
            }
        }
    }
}

/// `POST /identity/trust`.
///
/// # Errors
/// A [`Problem`] when there is no such provider or no reason, or the policy, the state or the ledger says no.
pub async fn act(State(agency): State<Shared>, posted: Posted) -> Answer {
    let (idp, reason) = (posted.text("provider"), reason(&posted)?);
    let hold = match posted.text("act") {
        "end" => Some(false),
        "hold" => Some(true),
        "release" => None,
        _ => return Err(Problem::bad_input("Choose what is to be done.")),
    };
    let known = configured(&agency.config).find(|(id, _)| *id == idp);
    let Some((_, label)) = known else {
        return Err(Problem::bad_input("Choose one of the identity providers."));
    };
    let signed_in = &posted.signed_in;
    let permit = permit_to_manage(&agency, signed_in, "identity providers").await?;
    let record = |event| signed_in.record(event);
    // Their own session may be among those that end; the answer is theirs all the same.
    signed_in.leash.let_go();
    let (what, own) = match hold {
        Some(hold) => {
            let ended = agency.end_provider(&record, (idp, hold), &reason).await?;
            let (sessions, people) = (ended.sessions.len(), ended.accounts.len());
            let held = if hold { " Nobody signs in through it until it is released." } else { "" };
            let what = format!("{label}: {sessions} sessions of {people} people were ended.{held}");
            (what, signed_in.session.is_among(&ended.sessions))
        }
        None => match agency.release_provider(&record, idp, &reason).await? {
            true => (format!("{label}: people sign in through it again."), false),
            false => (format!("{label}: it was not held."), false),
        },
    };
    agency.gate.release(permit.hold(Acted(what.clone()))).await?;
    let said = html! {
        div class="usa-alert usa-alert--info" role="status" {
            div class="usa-alert__body" { p class="usa-alert__text" { (what) } }
        }
    };
    if own {
        let out = html! { (said) p { "Your own session was among them." } };
        return Ok(agency.public_page("Identity providers", &out));
    }
    show(&agency, signed_in, Some(&said)).await
}
