//! OpenID Connect: where a provider sends the browser back to, our public keys, and the back channel.
//!
//! Order that must hold: a sign-in is in the ledger before the browser gets its token; a logout that a provider
//! tells us of is in the ledger before its sessions end, and is answered only when they are over.

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use identity::oidc::Callback;
use identity::oidc::logout::Logout;
use identity::{IdentityError, cookie};
use ledger::{Event, Origin, Record};
use serde_json::json;
use state::accounts::{AccountId, Of};
use state::sign_ins::{self, Message};

use super::sign_in::{check_answer, identity_problem, refused, welcome};
use crate::app::{Answer, Shared};
use crate::door::Door;
use crate::front;
use crate::pages::providers;
use crate::problem::Problem;
use crate::session;

/// The largest form with a signed message that is read, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 128 * 1024;

/// `GET /oidc/callback`: a provider's answer, in the address.
///
/// # Errors
/// A [`Problem`] with an entry number for every answer that is not good enough.
pub async fn callback(State(agency): State<Shared>, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let origin = session::origin_of(&parts);
    let prelogin = session::cookie(&parts.headers, cookie::PRELOGIN);
    check_answer(&agency, &origin, (prelogin, Door::of(&parts.extensions))).await?;
    let fields = session::form_fields(parts.uri.query().unwrap_or_default().as_bytes());
    let answer = Callback {
        code: once(&fields, "code"),
        state: once(&fields, "state"),
        iss: once(&fields, "iss"),
        error: once(&fields, "error"),
    };
    let trial = agency.identity.trial_under_way(prelogin, agency.now()).await;
    let trial = trial.map_err(|error| identity_problem(&error))?;
    if let Some(trial) = trial.filter(|trial| providers::tried(trial).is_some()) {
        return providers::arrive_oidc(&agency, origin, &trial, prelogin, &answer).await;
    }
    let browser = front::browser_of(&parts, &origin);
    match agency.identity.finish_oidc(prelogin, &answer, &browser, agency.now()).await {
        Ok(signed_in) => welcome(&agency, origin, signed_in).await,
        Err(IdentityError::Refused { idp, refusal }) => {
            tracing::info!(code = refusal.code, detail = %refusal.detail, "a sign-in was refused");
            Err(refused(&agency, origin, idp, refusal.code).await)
        }
        Err(other) => Err(identity_problem(&other)),
    }
}

/// A parameter that is there once; twice, it is not there: two readers might take different ones.
pub(crate) fn once(fields: &[(String, String)], name: &str) -> Option<String> {
    let mut values = fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
    let first = values.next()?;
    values.next().is_none().then(|| first.clone())
}

/// `GET /oidc/jwks`: the public half of our key towards providers (RFC 7517).
pub async fn jwks(State(agency): State<Shared>) -> Response {
    let key = agency.identity.oidc_providers().first().map(|provider| provider.jwk().clone());
    let set = json!({"keys": key.into_iter().collect::<Vec<_>>()}).to_string();
    ([(header::CONTENT_TYPE, "application/jwk-set+json")], set).into_response()
}

/// `POST /oidc/logout/{provider}`: the provider's server says that a session of its own is over.
pub async fn back_channel(
    State(agency): State<Shared>,
    Path(provider): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let origin = session::origin_of(&parts);
    // What a stranger calls a provider is no name for the ledger, nor for the counters of those that there are.
    if !agency.config.oidc_providers.iter().any(|one| one.id == provider) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let door = Door::of(&parts.extensions);
    if !door.is_for(&agency.config, agency.config.agency_of(&provider)) {
        return not_taken(&agency, origin, OTHER_DOOR.to_owned(), "door.other").await;
    }
    let token = match axum::body::to_bytes(body, MESSAGE_BYTES_MAX).await {
        Ok(bytes) => once(&session::form_fields(&bytes), "logout_token").unwrap_or_default(),
        Err(_) => String::new(),
    };
    let logout = match agency.identity.read_logout(&provider, &token, agency.now()).await {
        Ok(logout) => logout,
        Err(IdentityError::Refused { refusal, .. }) => {
            tracing::info!(code = refusal.code, detail = %refusal.detail, "a logout was refused");
            return not_taken(&agency, origin, provider, refusal.code).await;
        }
        Err(error) => return identity_problem(&error).status.into_response(),
    };
    let message = Message {
        idp: provider.clone(),
        id: format!("logout|{}", logout.jti),
        remember_until: logout.remember_until,
    };
    match sign_ins::was_used(&agency.state, &message).await {
        Ok(false) => {}
        Ok(true) => return not_taken(&agency, origin, provider, "bcl.replay").await,
        Err(error) => return failed(&Problem::internal(&error)),
    }
    if let Err(problem) = end(&agency, &origin, &provider, &logout).await {
        return failed(&problem);
    }
    // Only now, so that a provider that heard nothing of us can say it again.
    match sign_ins::note_used(&agency.state, &message, agency.now()).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => failed(&Problem::internal(&error)),
    }
}

async fn end(
    agency: &Shared,
    origin: &Origin,
    provider: &str,
    logout: &Logout,
) -> Result<(), Problem> {
    let key = logout.sub.as_ref().map(|sub| format!("{provider}|{sub}"));
    let account = key.as_deref().map(AccountId::of);
    let of = match (&logout.sid, account) {
        (Some(sid), account) => Of::Provider { idp: provider, session: sid, account },
        (None, Some(account)) => Of::Account(account),
        // A token that names neither was refused.
        (None, None) => return Ok(()),
    };
    let named = key.unwrap_or_else(|| format!("a session at {provider}"));
    let record = |event| Record { origin: origin.clone(), ..Record::platform(event) };
    agency.end_sessions(&record, of, &named, "back-channel-logout").await?;
    Ok(())
}

/// A message that is not good enough: on record, and 400 (Back-Channel Logout, 2.8).
async fn not_taken(agency: &Shared, origin: Origin, idp: String, code: &str) -> Response {
    agency.watch_signatures(&idp, code).await;
    if let Err(problem) = agency.check_place(&idp, code) {
        return problem.status.into_response();
    }
    let event = Event::SignInRefused { idp, reason: code.to_owned() };
    match agency.ledger.append(Record { origin, ..Record::platform(event) }).await {
        Ok(_) => {
            let body = json!({"error": "invalid_request"}).to_string();
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (StatusCode::BAD_REQUEST, kind, body).into_response()
        }
        Err(error) => failed(&error.into()),
    }
}

/// What stands for a provider that is none of this door's: its own places for refusals stay its own.
const OTHER_DOOR: &str = "(of the other door)";

/// Not done; the provider may say it again.
pub(super) fn failed(problem: &Problem) -> Response {
    tracing::error!(title = problem.title, "a provider's message could not be acted upon");
    problem.status.into_response()
}
