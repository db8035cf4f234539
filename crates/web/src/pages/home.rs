//! The start page, one's own session, and the small machine endpoints.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use identity::qualified::Judged;
use ledger::Health;
use maud::{Markup, html};

use crate::app::{Answer, Shared};
use crate::pages::parts::{day, moment, pair};
use crate::pages::{partners, people};
use crate::problem::{Problem, chain};
use crate::session::{NotSignedIn, SignedIn};

/// `GET /`: what this person can do here; the sign-in page for everybody else.
pub async fn home(State(agency): State<Shared>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    match SignedIn::from_request_parts(&mut parts, &agency).await {
        // A guest has one page, and no use for a list of pages.
        Ok(guest) if guest.actor.agency != agency.ori && agency.exchange.is_some() => {
            Redirect::to("/guest").into_response()
        }
        Ok(signed_in) => start_page(&agency, &signed_in).await,
        Err(NotSignedIn::Anonymous) => Redirect::to("/sign-in").into_response(),
        Err(other) => other.into_response(),
    }
}

async fn start_page(agency: &Shared, signed_in: &SignedIn) -> Response {
    let lapsing = lapsing(agency, signed_in).await;
    let agreements = agreements(agency, signed_in).await;
    let content = html! {
        (to_do(signed_in))
        @if lapsing > 0 { (lapsing_notice(lapsing)) }
        (agreements)
        // The pages of the navigation, each with its sentence: nothing that would be refused.
        @for group in agency.navigation(signed_in).iter().filter(|group| !group.title.is_empty()) {
            h2 { (group.title) }
            div class="grid" {
                @for link in &group.links {
                    (tile(&link.href, &link.text, agency.lede(&link.href)))
                }
            }
        }
        h2 { "Yourself" }
        div class="grid" {
            (tile("/me", "My session", "How you are signed in, and until when."))
            (tile("/me/accesses", "My accesses", agency.lede("/me/accesses")))
        }
    };
    agency.page(signed_in, "Start", "/", &content)
}

/// What the person has to do before records are open to them, or stay so.
fn to_do(signed_in: &SignedIn) -> Markup {
    let all = signed_in.qualified.iter().filter(|one| one.standing.needs_doing());
    let (barring, soon): (Vec<&Judged>, Vec<&Judged>) = all.partition(|one| one.standing.bars());
    html! {
        @if !barring.is_empty() {
            (alert("usa-alert usa-alert--error", "Records are closed to you until this is in order", &barring))
        }
        @if !soon.is_empty() {
            (alert("usa-alert usa-alert--warning", "Records will be closed to you if you do nothing", &soon))
        }
    }
}

/// For administrators: how many accounts are soon disabled because nobody uses them. Whose they are is
/// on the page of people, whose reading is on record.
async fn lapsing(agency: &Shared, signed_in: &SignedIn) -> usize {
    if !people::may_act(signed_in) {
        return 0;
    }
    agency.lapsing().await.unwrap_or_else(|error| {
        tracing::error!(error = %chain(&error), "unused accounts could not be looked for");
        0
    })
}

/// For those who write or review agreements: what waits, and what is near its review or its end.
async fn agreements(agency: &Shared, signed_in: &SignedIn) -> Markup {
    const TOLD: [&str; 2] = ["security-officer", "administrator"];
    let mut functions = signed_in.actor.functions.iter();
    let is_told = functions.any(|function| TOLD.contains(&function.as_str()));
    let Some(sharing) = agency.exchange.as_ref().filter(|_| is_told) else { return html! {} };
    let held = match sharing.exchange.held_agreements().await {
        Ok(held) => held,
        Err(error) => {
            tracing::error!(error = %chain(&error), "agreements could not be looked at");
            return html! {};
        }
    };
    let texts = match sharing.exchange.held_texts().await {
        Ok(texts) => texts,
        Err(error) => {
            tracing::error!(error = %chain(&error), "what is written of partners could not be looked at");
            Vec::new()
        }
    };
    let now = agency.now();
    html! {
        @for text in texts.iter().filter(|text| text.waiting().is_some()) { (partners::text_waits(text)) }
        @for one in &held {
            @if one.waiting().is_some() { (partners::waits(&one.id)) }
            @if let Some((what, at, left)) = one.due(now, partners::REMIND_DAYS) {
                section class="usa-alert usa-alert--warning" aria-label={ "Agreement " (one.id) } {
                    div class="usa-alert__body" { p class="usa-alert__text" {
                        "The " (what) " of " a href={ "/agreements/" (one.id) } { "agreement " (one.id) }
                        @if left < 0 { " was on " } @else { " is on " } (day(at)) ". "
                        @if left < 0 { "Nothing crosses under it." } @else { "From then on nothing crosses under it." }
                    } }
                }
            }
        }
    }
}

fn lapsing_notice(lapsing: usize) -> Markup {
    html! {
        section class="usa-alert usa-alert--warning" aria-label="Accounts that nobody uses" {
            div class="usa-alert__body" {
                p class="usa-alert__text" {
                    (lapsing) @if lapsing == 1 { " account is" } @else { " accounts are" }
                    " disabled within 14 days, for nobody uses them. "
                    a href="/people" { "People" } " finds them by their state."
                }
            }
        }
    }
}

fn alert(class: &str, title: &str, all: &[&Judged]) -> Markup {
    html! {
        section class=(class) aria-label=(title) {
            div class="usa-alert__body" {
                h2 class="usa-alert__heading" { (title) }
                ul { @for one in all { li { (one.sentence()) } } }
            }
        }
    }
}

fn tile(href: &str, title: &str, text: &str) -> Markup {
    html! { a class="tile" href=(href) { h3 { (title) } p class="small" { (text) } } }
}

/// `GET /me`: how one is signed in.
///
/// # Errors
/// None today.
pub async fn me(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let actor = &signed_in.actor;
    let content = html! {
        dl class="kv card" {
            (pair("Name", &actor.name))
            (pair("Account", actor.id.as_str()))
            (pair("Agency (ORI)", actor.agency.as_str()))
            (pair("Job functions", &list(actor.functions.iter())))
            (pair("Signed in", &moment(actor.assurance.authenticated_at)))
            (pair("Strength", if actor.assurance.mfa { "multi-factor" } else { "single factor" }))
            (pair("Confirmed again", &actor.assurance.stepped_up_at.map_or("not in this session".to_owned(), moment)))
            (pair("Address", signed_in.origin.address.as_deref().unwrap_or("unknown")))
        }
        @if !signed_in.qualified.is_empty() {
            section class="card" aria-labelledby="qualified" {
                h2 id="qualified" { "Training, screening and agreements" }
                ul class="rows" { @for one in &signed_in.qualified { li { (one.sentence()) } } }
            }
        }
        div class="cluster" {
            a class="usa-button usa-button--outline" href="/me/sessions" { "My sessions" }
            a class="usa-button usa-button--outline" href="/me/accesses" { "My accesses" }
        }
    };
    Ok(agency.page(&signed_in, "Your session", "/me", &content))
}

fn list(items: impl Iterator<Item = impl ToString>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// `POST /csp-reports`: a browser stopped something. It is logged without its details, which may
/// quote a page.
pub async fn csp_report(State(agency): State<Shared>) -> StatusCode {
    if agency.logs_report() {
        tracing::warn!("a browser reported a content-security-policy violation");
    }
    StatusCode::NO_CONTENT
}

/// `GET /health`: the process answers.
pub async fn health() -> &'static str {
    "ok\n"
}

/// `GET /ready`: the ledger takes records. It appends nothing itself. A volume that fills is told
/// to people, and does not take the server out of service before it is full.
pub async fn ready(State(agency): State<Shared>) -> Response {
    match agency.ledger.health() {
        Health::Recording => "ready\n".into_response(),
        // Why stands in the log and on the pages: whoever asks here is not known.
        Health::Stalled { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "the ledger refuses records\n").into_response()
        }
    }
}

/// Everything else.
///
/// # Errors
/// Always [`Problem::not_found`].
pub async fn not_found() -> Problem {
    Problem::not_found()
}
