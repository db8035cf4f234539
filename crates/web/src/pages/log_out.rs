//! Single log-out: what an identity provider sends, and the way to its own end of a session.
//!
//! Our session ends first, whatever becomes of the rest. A provider's message is refused unless it is signed; that
//! it ends sessions is in the ledger before they end and before the message is used up, so that a provider that
//! heard nothing of us can say it again; then which they were, session by session.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use identity::{EndAsked, IdentityError, LogOut};
use ledger::{Event, Origin, Record};
use maud::{Markup, html};

use crate::app::{Answer, Shared};
use crate::door::Door;
use crate::problem::{Problem, chain};
use crate::session::{self, SignedIn};

/// `GET /saml/slo`: a provider asks for an end of sessions, or answers our request for one.
///
/// # Errors
/// A [`Problem`] with an entry number for every message that is not good enough.
pub async fn receive(State(agency): State<Shared>, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let origin = session::origin_of(&parts);
    let query = parts.uri.query().unwrap_or_default();
    agency.check_rate(origin.address.as_deref(), None)?;
    let door = Door::of(&parts.extensions);
    let elsewhere = |idp: &str| !door.is_for(&agency.config, agency.config.agency_of(idp));
    match agency.identity.read_log_out(query, agency.now()).await {
        // Signed or not, what a provider of the other door says is not taken here.
        Ok(LogOut::Asked(EndAsked { ref idp, .. }) | LogOut::Answered { ref idp, .. })
            if elsewhere(idp) =>
        {
            Err(not_taken(&agency, origin, "door.other").await)
        }
        Ok(LogOut::Asked(asked)) => end(&agency, origin, &asked).await,
        Ok(LogOut::Answered { idp, complete, message }) => {
            let answer = answered(&agency, origin, &idp, complete).await?;
            let noted = agency.identity.note_answer(&message, agency.now()).await;
            noted.map_err(|error| Problem::internal(&error))?;
            Ok(answer)
        }
        Err(error) => Err(refused(&agency, origin, error).await),
    }
}

async fn refused(agency: &Shared, origin: Origin, error: IdentityError) -> Problem {
    let IdentityError::Refused { idp, refusal } = error else { return Problem::internal(&error) };
    tracing::info!(code = refusal.code, detail = %refusal.detail, "a log-out was refused");
    if let Some(idp) = &idp {
        agency.watch_signatures(idp, refusal.code).await;
    }
    not_taken(agency, origin, refusal.code).await
}

/// A message by which nothing ends: on record.
async fn not_taken(agency: &Shared, origin: Origin, code: &str) -> Problem {
    let words = "The identity provider's message was not accepted, and no session was ended by it. \
                 Sign out here; if it stays, quote the entry to your administrator.";
    let title = "The log-out message was refused";
    match agency.refuse(None, origin, "/saml/slo", code).await {
        Ok(entry) => Problem::new(StatusCode::FORBIDDEN, title, words).with_entry(entry),
        Err(unrecorded) => unrecorded,
    }
}

/// Records that sessions end, ends them, and says which they were. If any of it fails, the provider is not told that
/// all is well.
async fn end(agency: &Shared, origin: Origin, asked: &EndAsked) -> Answer {
    let reason = format!("provider-log-out: {}", asked.idp);
    let of = if asked.actor.is_empty() { "nobody who is known here" } else { &asked.actor };
    let event = Event::SessionsEnded { of: of.to_owned(), reason: reason.clone() };
    agency.ledger.append(Record { origin: origin.clone(), ..Record::platform(event) }).await?;
    let (ended, answer) = match agency.identity.end_as_asked(asked, agency.now()).await {
        Ok(ended) => ended,
        Err(error) => return Err(refused(agency, origin, error).await),
    };
    for signed in &ended {
        agency.live.cut_session(&signed.session.id());
    }
    for signed in ended {
        let who = agency.signed_in(signed, &origin);
        let event = Event::SessionEnded { reason: reason.clone() };
        agency.ledger.append(who.record(event)).await?;
    }
    let Some(answer) = answer else {
        let content = html! { p { "The sessions at this system are over." } };
        return Ok(agency.public_page("Signed out", &content));
    };
    Ok(Redirect::to(&answer).into_response())
}

async fn answered(agency: &Shared, origin: Origin, idp: &str, complete: bool) -> Answer {
    let words = if complete { "ended at" } else { "not ended everywhere at" };
    let event = Event::SessionEnded { reason: format!("{words} provider {idp} too") };
    agency.ledger.append(Record { origin, ..Record::platform(event) }).await?;
    let content = html! {
        @if complete {
            p { "You are signed out here and at your identity provider." }
        } @else {
            p { "You are signed out here. Your identity provider says that it could not end everything: \
                 close the browser." }
        }
        p { a class="usa-button" href="/sign-in" { "Sign in again" } }
    };
    Ok(agency.public_page("Signed out", &content))
}

/// The way to the provider's own end of the session, for the page that says that ours is over.
pub fn onward(agency: &Shared, signed_in: &SignedIn) -> Markup {
    let signed = signed_in.signed();
    let url = match agency.identity.log_out_url(&signed, agency.now()) {
        Ok(url) => url,
        Err(error) => {
            tracing::error!(error = %chain(&error), "a log-out request could not be made");
            None
        }
    };
    html! {
        @if let Some(url) = url {
            p { "You may still be signed in at your identity provider: whoever uses this browser next could \
                 come back without signing in." }
            p { a class="usa-button" href=(url) { "Sign out there too" } }
        }
    }
}
