//! Security events that are pushed to us (RFC 8935).
//!
//! What is done with them, and in which order, is said in [`crate::signals`].

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use identity::ssf::{Stream, push_error};
use ledger::Origin;
use serde_json::json;

use super::oidc::{MESSAGE_BYTES_MAX, failed};
use crate::app::Shared;
use crate::session;
use crate::signals::{self, Took};

/// The media type of a security event token (RFC 8417, 2.3).
const MEDIA_TYPE: &str = "application/secevent+jwt";

/// `POST /ssf/events/{stream}`: a security event token.
pub async fn push(
    State(agency): State<Shared>,
    Path(stream): Path<String>,
    request: Request,
) -> Response {
    let stream = agency.identity.stream(&stream).filter(|stream| !stream.is_polled());
    let Some(stream) = stream else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (parts, body) = request.into_parts();
    let origin = session::origin_of(&parts);
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if let Err(problem) = agency.check_rate(origin.address.as_deref(), None) {
        return problem.status.into_response();
    }
    if !stream.admits(text(header::AUTHORIZATION)) {
        return refused(&agency, origin, &stream, "ssf.authentication").await;
    }
    let body = axum::body::to_bytes(body, MESSAGE_BYTES_MAX).await.unwrap_or_default();
    let (Some(MEDIA_TYPE), Ok(message)) = (text(header::CONTENT_TYPE), std::str::from_utf8(&body))
    else {
        return refused(&agency, origin, &stream, "ssf.malformed").await;
    };
    match signals::take(&agency, &origin, &stream, message, None).await {
        Took::Done => StatusCode::ACCEPTED.into_response(),
        Took::Refused(code) => refused(&agency, origin, &stream, code).await,
        Took::NotYet(problem) => failed(&problem),
    }
}

/// A message that is not good enough: on record, or counted where there are too many, and 400 with the code of
/// RFC 8935.
async fn refused(agency: &Shared, origin: Origin, stream: &Stream, code: &str) -> Response {
    let id = &stream.settings().id;
    agency.watch_signatures(id, code).await;
    if let Err(problem) = agency.check_place(id, code) {
        return problem.status.into_response();
    }
    match signals::record_refusal(agency, origin, stream, code).await {
        Ok(()) => {
            let body = json!({"err": push_error(code), "description": code}).to_string();
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (StatusCode::BAD_REQUEST, kind, body).into_response()
        }
        Err(problem) => failed(&problem),
    }
}
