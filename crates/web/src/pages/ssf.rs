//! Security events that are pushed to us (RFC 8935).
//!
//! Order that must hold: an event is in the ledger before it is acted upon, and acknowledged only when what it
//! asks for is done. Whatever is not known is acknowledged and recorded, so that a stream never stands still.

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use identity::ssf::{Signal, Stream, What, push_error};
use ledger::{Event, Origin, Record};
use serde_json::json;
use state::accounts::{AccountId, Of};
use state::sign_ins::{self, Message};

use super::oidc::{MESSAGE_BYTES_MAX, failed};
use crate::app::Shared;
use crate::problem::Problem;
use crate::session;

/// The media type of a security event token (RFC 8417, 2.3).
const MEDIA_TYPE: &str = "application/secevent+jwt";

/// `POST /ssf/events/{stream}`: a security event token.
pub async fn push(
    State(agency): State<Shared>,
    Path(stream): Path<String>,
    request: Request,
) -> Response {
    let Some(stream) = agency.identity.stream(&stream) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (parts, body) = request.into_parts();
    let origin = session::origin_of(&parts);
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if !stream.admits(text(header::AUTHORIZATION)) {
        return refused(&agency, origin, &stream, "ssf.authentication").await;
    }
    let body = axum::body::to_bytes(body, MESSAGE_BYTES_MAX).await.unwrap_or_default();
    let (Some(MEDIA_TYPE), Ok(message)) = (text(header::CONTENT_TYPE), std::str::from_utf8(&body))
    else {
        return refused(&agency, origin, &stream, "ssf.malformed").await;
    };
    let token = match stream.read(message, agency.now()).await {
        Ok(token) => token,
        Err(refusal) => {
            tracing::info!(code = refusal.code, detail = %refusal.detail, "an event was refused");
            return refused(&agency, origin, &stream, refusal.code).await;
        }
    };
    let used = Message {
        idp: stream.settings().id.clone(),
        id: format!("event|{}", token.jti),
        remember_until: token.remember_until,
    };
    // A transmitter that did not get our answer sends it again: that is answered as before.
    match sign_ins::was_used(&agency.state, &used).await {
        Ok(false) => {}
        Ok(true) => return StatusCode::ACCEPTED.into_response(),
        Err(error) => return failed(&Problem::internal(&error)),
    }
    for signal in &token.signals {
        if let Err(problem) = act(&agency, &origin, &stream, signal).await {
            return failed(&problem);
        }
    }
    match sign_ins::note_used(&agency.state, &used, agency.now()).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(error) => failed(&Problem::internal(&error)),
    }
}

/// Records an event and does what it asks for.
async fn act(
    agency: &Shared,
    origin: &Origin,
    stream: &Stream,
    signal: &Signal,
) -> Result<(), Problem> {
    let idp = stream.settings().idp.as_str();
    let key = signal.subject.sub.as_ref().map(|sub| format!("{idp}|{sub}"));
    let account = key.as_deref().map(AccountId::of);
    let of = match (signal.what, &signal.subject.session, account) {
        (What::SessionRevoked, Some(session), account) => {
            Some(Of::Provider { idp, session, account })
        }
        (
            What::SessionRevoked | What::CredentialChanged | What::AccountDisabled,
            _,
            Some(account),
        ) => Some(Of::Account(account)),
        (What::CredentialChanged | What::AccountDisabled, Some(session), None) => {
            Some(Of::Provider { idp, session, account: None })
        }
        (What::SessionRevoked | What::CredentialChanged | What::AccountDisabled, None, None)
        | (What::Verification | What::StreamUpdated | What::Other, _, _) => None,
    };
    let outcome = match (signal.what, &of) {
        (What::Other, _) => "not known here",
        (What::Verification | What::StreamUpdated, _) => "acknowledged",
        (_, Some(_)) => "sessions end",
        (_, None) => "about nobody who is known here",
    };
    let record = |event| Record { origin: origin.clone(), ..Record::platform(event) };
    let received = Event::SignalReceived {
        stream: stream.settings().id.clone(),
        signal: signal.name.clone(),
        outcome: outcome.to_owned(),
    };
    agency.ledger.append(record(received)).await?;
    if let Some(of) = of {
        let named = key.unwrap_or_else(|| format!("a session at {idp}"));
        agency.end_sessions(&record, of, &named, "security-event").await?;
    }
    Ok(())
}

/// A message that is not good enough: on record, and 400 with the code of RFC 8935.
async fn refused(agency: &Shared, origin: Origin, stream: &Stream, code: &str) -> Response {
    let idp = stream.settings().id.clone();
    let event = Event::SignInRefused { idp, reason: code.to_owned() };
    match agency.ledger.append(Record { origin, ..Record::platform(event) }).await {
        Ok(_) => {
            let body = json!({"err": push_error(code), "description": code}).to_string();
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (StatusCode::BAD_REQUEST, kind, body).into_response()
        }
        Err(error) => failed(&error.into()),
    }
}
