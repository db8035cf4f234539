//! Signing in, and stepping up, with a client certificate.
//!
//! Order that must hold: as for every sign-in, the ledger has it before the browser gets its token. What proves the
//! person is the connection; the form only says that they want it, and comes from a page of ours.

use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use identity::certificates::sign_in::{PAGE, UnderWay};
use identity::{IdentityError, cookie};
use keys::cert::Certificate;
use maud::{Markup, html};
use serde::Deserialize;

use crate::app::{Answer, Shared};
use crate::door::Door;
use crate::front::{self, Caller};
use crate::headers;
use crate::pages::parts::moment;
use crate::pages::sign_in::{check_answer, identity_problem, refused, welcome};
use crate::problem::Problem;
use crate::session;

/// What the way to the page says.
#[derive(Deserialize)]
pub struct Asked {
    /// What ties the form to the sign-in.
    #[serde(default)]
    relay: String,
}

/// `GET /certificate`: what the browser showed, and whether to sign in with it.
///
/// # Errors
/// A [`Problem`] when no sign-in is under way, or the state can't be read.
pub async fn ask(
    State(agency): State<Shared>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let prelogin = session::cookie(&parts.headers, cookie::PRELOGIN);
    let under_way = agency.identity.certificate_under_way(prelogin, agency.now()).await;
    let under_way = under_way.map_err(|error| identity_problem(&error))?;
    let Some(under_way) = under_way else {
        let problem = Problem::new(
            StatusCode::BAD_REQUEST,
            "No sign-in is under way",
            "A sign-in with a card takes ten minutes at most, and one form of it counts once. Begin again.",
        );
        return Err(problem.with_next("/sign-in", "Sign in"));
    };
    let caller = front::caller_of(&parts);
    let title = if under_way.step_up_since.is_some() {
        "Use your card again"
    } else {
        "Sign in with your card"
    };
    let mut response = agency.public_page(title, &form(&under_way, &caller, &asked.relay));
    if under_way.step_up_since.is_some() || caller.shown.is_none() {
        // What comes next is to come with a handshake of its own.
        front::close_after(&mut response);
    }
    Ok(response)
}

fn form(under_way: &UnderWay, caller: &Caller, relay: &str) -> Markup {
    let shown = caller.shown.as_ref().and_then(|shown| shown.certificates.first());
    let shown = shown.and_then(|own| Certificate::from_der(own).ok());
    html! {
        @if let Some(own) = &shown {
            div class="card" {
                h2 { (under_way.label) }
                dl {
                    dt { "Certificate of" } dd class="mono" { (own.subject()) }
                    dt { "Issued by" } dd class="mono" { (own.issuer()) }
                    dt { "Valid until" } dd { (moment(own.not_after())) }
                }
                form method="post" action=(PAGE) {
                    input type="hidden" name="relay" value=(relay);
                    button class="usa-button usa-button--big" type="submit" {
                        @if under_way.step_up_since.is_some() { "Go on with this card" } @else { "Sign in with this card" }
                    }
                }
            }
            p class="usa-hint" { "Not yours? Close the browser, insert your own card, and begin again." }
        } @else {
            div class="card" {
                h2 { "No card was shown" }
                ol {
                    li { "Insert your card." }
                    li { "Close every window of this browser: it asks for a card once and remembers the answer." }
                    li { "Open this system again and choose your certificate when the browser asks." }
                }
                p { a class="usa-button" href={ "/sign-in/" (under_way.provider) } { "Try again" } }
            }
        }
    }
}

/// `POST /certificate`: the person wants to sign in with what the browser showed.
///
/// # Errors
/// A [`Problem`] with an entry number for everything that is not good enough.
pub async fn consume(State(agency): State<Shared>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let origin = session::origin_of(&parts);
    let prelogin = session::cookie(&parts.headers, cookie::PRELOGIN);
    let door = Door::of(&parts.extensions);
    check_answer(&agency, &origin, (prelogin, door)).await?;
    let public_url = door.url(&agency.config);
    let Ok(bytes) = axum::body::to_bytes(body, session::FORM_BYTES_MAX).await else {
        return Err(refused(&agency, origin, None, "cert.request.unknown").await);
    };
    if headers::from_another_site(&parts.method, &parts.headers, public_url) {
        return Err(refused(&agency, origin, None, "cert.request.foreign").await);
    }
    let under_way = agency.identity.certificate_under_way(prelogin, agency.now()).await;
    let under_way = under_way.map_err(|error| identity_problem(&error))?;
    let caller = front::caller_of(&parts);
    if let Some(flaw) = caller.flaw {
        let provider = under_way.map(|one| one.provider);
        return Err(refused(&agency, origin, provider, flaw).await);
    }
    let since = under_way.and_then(|one| one.step_up_since);
    let proved_at = caller.shown.as_ref().and_then(|shown| shown.proved_at);
    if let (Some(since), Some(proved_at)) = (since, proved_at)
        && proved_at < since
    {
        return Ok(again());
    }
    let fields = session::form_fields(&bytes);
    let relay = super::oidc::once(&fields, "relay").unwrap_or_default();
    let browser = front::browser_of(&parts, &origin);
    match agency.identity.finish_certificate(prelogin, &relay, &browser, agency.now()).await {
        Ok(signed_in) => welcome(&agency, origin, signed_in).await,
        Err(IdentityError::Refused { idp, refusal }) => {
            tracing::info!(code = refusal.code, detail = %refusal.detail, "a sign-in was refused");
            Err(refused(&agency, origin, idp, refusal.code).await)
        }
        Err(other) => Err(identity_problem(&other)),
    }
}

/// The same form once more, over another connection: this one's handshake is older than the question. A browser has a
/// handful of connections, and after as many answers each of them is new.
fn again() -> Response {
    let mut response = (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, PAGE)]).into_response();
    front::close_after(&mut response);
    response
}
