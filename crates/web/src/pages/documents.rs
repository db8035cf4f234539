//! Documents and recordings: bytes of the evidence store, or of a received parcel, for the browser
//! to show.
//!
//! Each request, and each range of a video, is a question to the gate of its own. The answer is
//! shown by the browser as what it is and nothing else: never sniffed, never run.

use std::io::{self, Read as _};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use gate::{Document, Stream, Value};
use maud::html;
use tokio::sync::mpsc;
use tools::Tool;
use tools::definition::{EvidencePart, PartKind};
use tools::handle::Handle;
use tools::plan::PlanError;

use crate::app::{Answer, Shared};
use crate::problem::Problem;
use crate::session::SignedIn;
use crate::tool_pages::viewer;

/// Bytes that one answer carries; a player asks for the next piece by itself.
pub const PIECE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes that a whole document is given by, and how many of these wait to be taken.
const STREAM_PIECE_BYTES: usize = 256 * 1024;
const PIECES_AHEAD: usize = 4;

/// Media types that a browser may show in place; all others are handed over as files.
const SHOWN: [&str; 7] = [
    "application/pdf",
    "image/png",
    "image/jpeg",
    "video/mp4",
    "audio/mpeg",
    "text/plain",
    "text/csv",
];

/// Opens a document's handle, or records that it is not this person's.
pub(super) async fn opened<'a>(
    agency: &'a Shared,
    signed_in: &SignedIn,
    (tool, part, sealed): (&str, &str, &str),
) -> Result<(&'a Tool, &'a EvidencePart, Handle), Problem> {
    let Some(tool) = agency.tools.get(tool) else { return Err(Problem::not_found()) };
    let Some(part) = tool.part(part) else { return Err(Problem::not_found()) };
    let (PartKind::Evidence(evidence), Some(query)) = (&part.kind, part.query.as_deref()) else {
        return Err(Problem::not_found());
    };
    match agency.open_handle(signed_in, tool, query, sealed) {
        Ok(handle) => Ok((tool, evidence, handle)),
        Err(_) => Err(agency.foreign_handle(signed_in, &format!("/tools/{}", tool.id)).await),
    }
}

/// `GET /tools/{tool}/evidence/{part}/{handle}`: the page around a document. Its bytes are asked
/// for by the browser, and that is what the gate records.
///
/// # Errors
/// A [`Problem`] for a handle that was not given to this person in this session.
pub async fn viewer_page(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path((tool, part, sealed)): Path<(String, String, String)>,
) -> Answer {
    let (tool, evidence, handle) = opened(&agency, &signed_in, (&tool, &part, &sealed)).await?;
    let text = |column: &str| match handle.values.get(column) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let content = format!("/tools/{}/documents/{part}/{sealed}", tool.id);
    let (name, media_type) = (text(&evidence.name), text(&evidence.media_type));
    let view = html! {
        (viewer(&name, &media_type, &content))
        @if agency.exchange.is_some() {
            p { a href={ "/tools/" (tool.id) "/redact/" (part) "/" (sealed) } { "Redacted copies of it" } }
        }
    };
    Ok(agency.page(&signed_in, &name, &format!("/tools/{}", tool.id), &view))
}

/// `GET /tools/{tool}/documents/{part}/{handle}`: a document's bytes, or a range of them.
///
/// # Errors
/// A [`Problem`] for a handle that was not given to this person in this session, and for all that
/// the gate refuses.
pub async fn document(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path((tool, part, sealed)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    let (tool, _, handle) = opened(&agency, &signed_in, (&tool, &part, &sealed)).await?;
    let asked = range_of(&headers)?;
    let context = agency.context(&signed_in.actor);
    let range = asked.map(|first| (first, first.saturating_add(PIECE_BYTES_MAX)));
    let planned = tool.plan_evidence(&part, &handle, range, &context);
    let planned = planned.map_err(|error| plan_problem(&error))?;
    let released = agency.run_document(&signed_in.caller(), planned).await?;
    let (document, _) = released.into_parts();
    Ok(shown(document, asked.is_some()))
}

pub(super) fn plan_problem(error: &PlanError) -> Problem {
    match error {
        PlanError::Unknown { .. } => Problem::not_found(),
        _ => Problem::internal(error),
    }
}

/// The first byte of a `Range: bytes=N-` (RFC 9110, 14.2), if one was sent. An end is not looked
/// at: an answer may be shorter than what was asked for, and [`PIECE_BYTES_MAX`] is the limit.
///
/// # Errors
/// A [`Problem`] for a range that is not one of bytes from a first one on.
pub fn range_of(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::RANGE) else { return Ok(None) };
    let first = value.to_str().ok().and_then(|text| text.strip_prefix("bytes="));
    let first = first.and_then(|text| text.split_once('-')).map(|(first, _)| first);
    let Some(Ok(first)) = first.map(str::parse) else {
        let words = "The range of bytes that was asked for is not one that this server gives.";
        return Err(Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "No such range", words));
    };
    Ok(Some(first))
}

/// A released document as an answer.
pub fn shown(document: Document, ranged: bool) -> Response {
    let Document { name, media_type, length, range: (first, end), bytes, .. } = document;
    let mut response = named(Body::from(bytes), &name, media_type);
    let whole = first == 0 && end == length;
    if ranged || !whole {
        let last = end.saturating_sub(1);
        let range = format!("bytes {first}-{last}/{length}");
        set(&mut response, header::CONTENT_RANGE, &range);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

/// The answer to whoever wants all of what is too large for memory. Its bytes are read while they are taken.
pub fn streamed(stream: Stream) -> Response {
    let (name, media_type, length) =
        (stream.name.clone(), stream.media_type.clone(), stream.length());
    let again = stream.read();
    let (send, pieces) = mpsc::channel::<io::Result<Bytes>>(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let read = || {
            let mut bytes = again()?;
            loop {
                let mut piece = vec![0; STREAM_PIECE_BYTES];
                let count = bytes.read(&mut piece)?;
                piece.truncate(count);
                if count == 0 || send.blocking_send(Ok(piece.into())).is_err() {
                    return Ok(());
                }
            }
        };
        if let Err(error) = read() {
            tracing::error!(error = %crate::problem::chain(&error), "a file broke off");
            // The answer then ends before its length, and the browser says so.
            drop(send.blocking_send(Err(error)));
        }
    });
    let mut response = named(flowing(pieces), &name, media_type);
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    response
}

/// A body of what comes piece by piece.
pub(super) fn flowing(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Body {
    Body::from_stream(futures::stream::unfold(pieces, |mut pieces| async move {
        pieces.recv().await.map(|piece| (piece, pieces))
    }))
}

/// An answer with what browsers are told of a document.
fn named(body: Body, name: &str, media_type: String) -> Response {
    let known = SHOWN.contains(&media_type.as_str());
    let media_type = if known { media_type } else { "application/octet-stream".to_owned() };
    let disposition = if known { "inline" } else { "attachment" };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let name: String =
        name.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    let mut response = body.into_response();
    set(&mut response, header::CONTENT_TYPE, &media_type);
    set(&mut response, header::CONTENT_DISPOSITION, &format!("{disposition}; filename=\"{name}\""));
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    response
}

fn set(response: &mut Response, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn asked(range: &'static str, expected: Option<Option<u64>>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static(range));
        assert_eq!(range_of(&headers).ok(), expected, "{range}");
    }

    #[test]
    fn a_range_begins_at_a_byte_or_is_refused() {
        asked("bytes=0-", Some(Some(0)));
        asked("bytes=100-200", Some(Some(100)));
        for wrong in ["bytes=-5", "bytes=a-b", "items=0-", "bytes=0", "bytes=99999999999999999999-"]
        {
            asked(wrong, None);
        }
    }
}
