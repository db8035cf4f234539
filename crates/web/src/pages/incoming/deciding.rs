//! What a person decides about a received parcel: accept it or turn it away; destroy it, or keep it although
//! its sender wants it back.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use exchange::{Incoming, IncomingStatus};
use jiff::Timestamp;
use maud::{Markup, html};

use crate::app::{Answer, Shared};
use crate::pages::parts::{id, moment, pair, sharing};
use crate::session::{Posted, SignedIn};

/// What was decided so far, and a warning while the sender waits for an answer.
pub(super) fn so_far(parcel: &Incoming, now: Timestamp) -> Markup {
    let after = &parcel.afterwards;
    let acts = [
        ("Accepted by", &after.accepted),
        ("Turned away by", &after.rejected),
        ("First opened by", &after.opened),
        ("Kept by", &after.kept),
        ("Destroyed by", &after.destroyed),
    ];
    html! {
        @if let (Some(recalled), true) = (&after.recalled, after.awaits_answer()) {
            section class="usa-alert usa-alert--error" id="recalled" aria-label="The sender recalls this parcel" {
                div class="usa-alert__body" {
                    h2 class="usa-alert__heading" { "The sender recalls this parcel" }
                    p class="usa-alert__text" {
                        (parcel.sender_name) " took it back on " (moment(recalled.at)) ": " (recalled.reason) ". "
                        "Destroy it, or say why it is kept. The sender waits for the answer"
                        @if recalled.reminders > 0 { " and has reminded us " (recalled.reminders) " times" }
                        "."
                    }
                }
            }
        }
        (ending(parcel, now))
        @if acts.iter().any(|(_, act)| act.is_some()) || after.destroy_by.is_some() {
            div class="card" {
                h2 { "What was decided here" }
                dl class="kv" {
                    @for (name, act) in acts {
                        @if let Some(act) = act {
                            @let reason = act.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                            (pair(name, &format!("{}, {}, entry {}{reason}", act.by.name, moment(act.at), act.entry)))
                        }
                    }
                    @if let Some(by) = after.destroy_by { (pair("To be destroyed by", &moment(by))) }
                    @if let Some(rule) = &after.destroy_rule { (pair("That is", rule)) }
                }
            }
        }
    }
}

/// A warning where the parcel has to be destroyed soon, or now.
fn ending(parcel: &Incoming, now: Timestamp) -> Markup {
    let here = [IncomingStatus::Received, IncomingStatus::Accepted].contains(&parcel.status);
    let (Some(by), true) = (parcel.afterwards.destroy_by, here) else { return html! {} };
    html! {
        @if parcel.is_past_its_time(now) {
            section class="usa-alert usa-alert--error" id="past-its-time" aria-label="The parcel is past its time" {
                div class="usa-alert__body" {
                    h2 class="usa-alert__heading" { "The parcel is past its time" }
                    p class="usa-alert__text" {
                        "Its terms let it be kept until " (moment(by)) ". Nobody can open it any more. Destroy it: the sender gets a signed certificate. "
                        "What is under a legal hold stays until the hold is released."
                    }
                }
            }
        } @else if let Some(days) = parcel.days_left(now) {
            section class="usa-alert usa-alert--warning" id="ends-soon" aria-label="The parcel has to be destroyed soon" {
                div class="usa-alert__body" {
                    h2 class="usa-alert__heading" { "The parcel has to be destroyed soon" }
                    p class="usa-alert__text" { "Its terms let it be kept until " (moment(by)) ", " (days) (if days == 1 { " day" } else { " days" }) " from now. After that nobody can open it." }
                }
            }
        }
    }
}

/// The forms for what can be decided now.
pub(super) fn forms(
    agency: &Shared,
    signed_in: &SignedIn,
    parcel: &Incoming,
    has_scanner: bool,
) -> Markup {
    let in_quarantine = has_scanner && parcel.scan.is_none();
    let past = parcel.is_past_its_time(agency.now());
    let path = format!("/incoming/{}", parcel.exchange);
    let waits = parcel.status == IncomingStatus::Received;
    let here = waits || parcel.status == IncomingStatus::Accepted;
    html! {
        @if waits {
            div class="card card--warn" {
                h2 { "Your decision" }
                @if in_quarantine { p { strong { "It can't be accepted before it was scanned." } } }
                p { @if parcel.brought { "It is what its archive says, and nobody vouches for it. Nobody can open it before somebody accepts it." } @else { "The parcel was verified. Nobody can open it before somebody accepts it; the sender is told who did." } }
                div class="cluster" {
                    @if !in_quarantine && !past {
                        form method="post" action={ (path) "/accept" } data-once {
                            (csrf(signed_in))
                            button class="usa-button" type="submit" { "Accept it" }
                        }
                    }
                    (reason_form(signed_in, &format!("{path}/reject"), "reject", "Why it is turned away", "Turn it away"))
                }
            }
        }
        @if here {
            @if parcel.afterwards.awaits_answer() {
                div class="card" {
                    h2 { "Keep it" }
                    (reason_form(signed_in, &format!("{path}/keep"), "keep", "Why it is kept", "Keep it and tell the sender"))
                }
            }
            @if !waits || parcel.afterwards.awaits_answer() || past { div class="card" id="destroy" {
                h2 { "Destroy it" }
                p { "Its files are removed for good." @if !parcel.brought { " The sender gets a signed certificate that names you." } }
                @if signed_in.session.is_stepped_up(agency.now()) {
                    (reason_form(signed_in, &format!("{path}/destroy"), "destroy", "Why it is destroyed", "Destroy the parcel"))
                } @else {
                    p { a class="usa-button usa-button--outline" href={ "/step-up?next=" (path) } { "Confirm my identity first" } }
                }
            } }
        }
    }
}

pub(in crate::pages) fn csrf(signed_in: &SignedIn) -> Markup {
    html! { input type="hidden" name="csrf" value=(signed_in.csrf); }
}

fn reason_form(
    signed_in: &SignedIn,
    action: &str,
    name: &str,
    label: &str,
    button: &str,
) -> Markup {
    let field = format!("{name}-reason");
    html! {
        form method="post" action=(action) data-once {
            (csrf(signed_in))
            label class="usa-label" for=(field) { (label) }
            input class="usa-input" id=(field) name="reason" required maxlength="1000" autocomplete="off";
            button class="usa-button usa-button--outline" type="submit" { (button) }
        }
    }
}

/// To the parcel's page, for `ui.js` and for all others.
pub(super) fn back(posted: &Posted, parcel: &Incoming) -> Response {
    let path = format!("/incoming/{}", parcel.exchange);
    if posted.fragment {
        return ([("x-go", path)], "").into_response();
    }
    Redirect::to(&path).into_response()
}

/// `POST /incoming/{exchange}/accept`.
///
/// # Errors
/// A [`crate::problem::Problem`] when the policy refuses, or the parcel does not wait for that.
pub async fn accept(
    State(agency): State<Shared>,
    Path(exchange): Path<String>,
    posted: Posted,
) -> Answer {
    let (caller, exchange) = (posted.signed_in.caller(), id(&exchange)?);
    let parcel = sharing(&agency)?.exchange.accept_parcel(&caller, exchange).await?;
    Ok(back(&posted, &parcel))
}

/// `POST /incoming/{exchange}/reject`.
///
/// # Errors
/// As [`accept`].
pub async fn reject(
    State(agency): State<Shared>,
    Path(exchange): Path<String>,
    posted: Posted,
) -> Answer {
    let (caller, exchange) = (posted.signed_in.caller(), id(&exchange)?);
    let reason = posted.text("reason");
    let parcel = sharing(&agency)?.exchange.reject_parcel(&caller, exchange, reason).await?;
    Ok(back(&posted, &parcel))
}

/// `POST /incoming/{exchange}/keep`.
///
/// # Errors
/// As [`accept`].
pub async fn keep(
    State(agency): State<Shared>,
    Path(exchange): Path<String>,
    posted: Posted,
) -> Answer {
    let (caller, exchange) = (posted.signed_in.caller(), id(&exchange)?);
    let reason = posted.text("reason");
    let parcel = sharing(&agency)?.exchange.keep_parcel(&caller, exchange, reason).await?;
    Ok(back(&posted, &parcel))
}

/// `POST /incoming/{exchange}/destroy`.
///
/// # Errors
/// As [`accept`].
pub async fn destroy(
    State(agency): State<Shared>,
    Path(exchange): Path<String>,
    posted: Posted,
) -> Answer {
    let (caller, exchange) = (posted.signed_in.caller(), id(&exchange)?);
    let reason = posted.text("reason");
    let parcel = sharing(&agency)?.exchange.destroy_parcel(&caller, exchange, reason).await?;
    Ok(back(&posted, &parcel))
}

/// Which of the parcels on the list want something of a person.
pub(super) fn wants(parcel: &Incoming, has_scanner: bool, now: Timestamp) -> Option<&'static str> {
    let here = [IncomingStatus::Received, IncomingStatus::Accepted].contains(&parcel.status);
    match parcel.status {
        IncomingStatus::Received if parcel.afterwards.awaits_answer() => {
            Some("recalled: answer it")
        }
        IncomingStatus::Accepted if parcel.afterwards.awaits_answer() => {
            Some("recalled: answer it")
        }
        _ if here && parcel.is_past_its_time(now) => Some("past its time: destroy it"),
        IncomingStatus::Received if has_scanner && parcel.scan.is_none() => {
            Some("in quarantine: waits for the malware scanner")
        }
        IncomingStatus::Received => Some("waits for a decision"),
        IncomingStatus::Accepted if parcel.days_left(now).is_some() => Some("to be destroyed soon"),
        IncomingStatus::Accepted
        | IncomingStatus::Receiving
        | IncomingStatus::Destroying
        | IncomingStatus::Destroyed
        | IncomingStatus::Recalled
        | IncomingStatus::Expired
        | IncomingStatus::Refused => None,
    }
}
