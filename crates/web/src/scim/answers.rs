//! What a directory is answered: resources, lists, and errors in SCIM's own form (RFC 7644 §3.12).
//!
//! What must stay true: an error's words are ours and repeat nothing that was sent.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use identity::directory::DirectoryError;
use identity::scim::{ScimError, schema};
use serde_json::{Value, json};

use crate::problem::{Problem, chain, sentence};

/// The media type of SCIM (RFC 7644 §8.1).
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/scim+json");

/// An answer with a body.
pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    let text = body.to_string();
    (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response()
}

/// Why a request was not served.
#[derive(Debug)]
pub(super) enum Refused {
    Scim(ScimError),
    Directory(DirectoryError),
    /// The ledger did not take the record.
    Unrecorded(ledger::AppendError),
    /// The person is as the directory says, but for their trainings.
    Training(Problem),
    Unauthorised,
    TooOften,
    TooLarge,
    NotFound,
    NotAllowed,
    /// The resource is of another version than `If-Match` says.
    Precondition,
}

impl From<ScimError> for Refused {
    fn from(error: ScimError) -> Self {
        Self::Scim(error)
    }
}

impl From<DirectoryError> for Refused {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Scim(error) => Self::Scim(error),
            other => Self::Directory(other),
        }
    }
}

impl From<ledger::AppendError> for Refused {
    fn from(error: ledger::AppendError) -> Self {
        Self::Unrecorded(error)
    }
}

impl Refused {
    /// The status, SCIM's own name for it if there is one, and the words.
    fn parts(&self) -> (StatusCode, Option<&'static str>, String) {
        use DirectoryError as E;
        let internal = || "Something failed here. Nothing was changed.".to_owned();
        match self {
            Self::Scim(error) => {
                (StatusCode::BAD_REQUEST, Some(error.scim_type()), sentence(error))
            }
            Self::Directory(error @ (E::NameTaken | E::AccountTaken | E::Reserved)) => {
                (StatusCode::CONFLICT, Some("uniqueness"), sentence(error))
            }
            Self::Directory(E::Stale) => (
                StatusCode::SERVICE_UNAVAILABLE,
                None,
                "Others changed the same at the same time. Nothing was changed. Try again.".into(),
            ),
            Self::Directory(E::Scim(_) | E::State(_) | E::Damaged) => {
                (StatusCode::INTERNAL_SERVER_ERROR, None, internal())
            }
            Self::Unrecorded(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                None,
                "The audit ledger could not record this, so nothing was changed. Try again.".into(),
            ),
            Self::Training(problem) => {
                let words = "The person's trainings could not be written down. Send them again.";
                (problem.status, None, words.into())
            }
            Self::Unauthorised => (
                StatusCode::UNAUTHORIZED,
                None,
                "A token that counts is needed: ask this agency's administrator.".into(),
            ),
            Self::TooOften => {
                (StatusCode::TOO_MANY_REQUESTS, None, "Too many requests. Wait a second.".into())
            }
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, None, "The body has more than 1 MiB.".into())
            }
            Self::NotFound => (StatusCode::NOT_FOUND, None, "There is no such resource.".into()),
            Self::NotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                None,
                "This address does not take this method.".into(),
            ),
            Self::Precondition => (
                StatusCode::PRECONDITION_FAILED,
                None,
                "The resource was changed since. Read it again.".into(),
            ),
        }
    }

    fn log(&self) {
        let error: &(dyn std::error::Error + 'static) = match self {
            Self::Unrecorded(error) => error,
            Self::Directory(
                error
                @ (DirectoryError::State(_) | DirectoryError::Damaged | DirectoryError::Stale),
            ) => error,
            _ => return,
        };
        tracing::error!(error = %chain(error), "a directory's request failed");
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.log();
        let (status, kind, words) = self.parts();
        let mut body = json!({
            "schemas": [schema::ERROR],
            "status": status.as_u16().to_string(),
            "detail": words,
        });
        if let (Some(kind), Some(body)) = (kind, body.as_object_mut()) {
            body.insert("scimType".into(), kind.into());
        }
        let mut response = json(status, &body);
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"scim\"");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
