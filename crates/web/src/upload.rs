//! A form with a file, posted by a signed-in person from one of our pages.
//!
//! Invariant: as of [`crate::session::Posted`]: a live session that has accepted the notice, a page of this origin,
//! the session's own token; and what is refused is in the ledger before it is answered.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::Shared;
use crate::multipart;
use crate::problem::Problem;
use crate::session::{NotSignedIn, SignedIn, foreign_page};
use crate::{headers, session};

/// The largest form with a file that is read, in bytes: the largest metadata, and fields beside it.
pub const UPLOAD_BYTES_MAX: usize = crate::providers::metadata::METADATA_BYTES_MAX + 64 * 1024;

/// The largest form with a file of evidence that is read, in bytes.
pub const LARGE_BYTES_MAX: usize = 128 << 20;

/// Sealed parcels that are taken in at once.
const PARCELS_MAX: usize = 2;

/// How many large files an agency takes in at once.
pub struct Places {
    /// Files of evidence: one at a time, they are in memory.
    evidence: Arc<Semaphore>,
    /// Sealed parcels of any size, which take room on the disk before anything of them is known.
    parcels: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { evidence: places(1), parcels: places(PARCELS_MAX) }
    }
}

impl Places {
    /// The place of one more sealed parcel. None: as many as there may be are being taken in.
    pub fn parcel(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.parcels).try_acquire_owned().ok()
    }
}

/// What was posted.
pub struct Uploaded {
    /// Who.
    pub signed_in: SignedIn,
    /// The typed fields, as they came.
    pub fields: Vec<(String, String)>,
    /// The file; nothing if none was chosen.
    pub file: Vec<u8>,
    /// What the file is called where it came from.
    pub file_name: String,
    /// Further files, where the form has places for more.
    pub others: Vec<Vec<u8>>,
}

impl FromRequest<Shared> for Uploaded {
    type Rejection = NotSignedIn;

    async fn from_request(request: Request, agency: &Shared) -> Result<Self, NotSignedIn> {
        Arrived::from(request, agency).await?.read(agency, UPLOAD_BYTES_MAX).await
    }
}

/// As [`Uploaded`], with a file that may be [`LARGE_BYTES_MAX`] long, and the leave to be the only one.
pub struct LargeUpload(pub Uploaded, pub OwnedSemaphorePermit);

impl FromRequest<Shared> for LargeUpload {
    type Rejection = NotSignedIn;

    async fn from_request(request: Request, agency: &Shared) -> Result<Self, NotSignedIn> {
        // Who it is comes first: nobody who may not post it keeps others from doing so.
        let arrived = Arrived::from(request, agency).await?;
        let Ok(alone) = Arc::clone(&agency.large.evidence).try_acquire_owned() else {
            return Err(NotSignedIn::Refused(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Another large file is being taken in",
                "They are taken in one after the other. Nothing was done; send it again in a moment.",
            )));
        };
        Ok(Self(arrived.read(agency, LARGE_BYTES_MAX).await?, alone))
    }
}

/// A form of which only the head was read: a person posted it, from a page of ours.
struct Arrived {
    signed_in: SignedIn,
    parts: Parts,
    body: Body,
}

impl Arrived {
    async fn from(request: Request, agency: &Shared) -> Result<Self, NotSignedIn> {
        let (mut parts, body) = request.into_parts();
        let signed_in = SignedIn::from_request_parts(&mut parts, agency).await?;
        let public_url = &agency.config.listen.public_url;
        if headers::from_another_site(&parts.method, &parts.headers, public_url) {
            let who = (&signed_in, parts.uri.path());
            return Err(refuse(agency, who, "csrf", foreign_page()).await);
        }
        Ok(Self { signed_in, parts, body })
    }

    async fn read(self, agency: &Shared, bytes_max: usize) -> Result<Uploaded, NotSignedIn> {
        let Self { signed_in, parts, body } = self;
        let refuse = async |reason: &str, problem: Problem| {
            refuse(agency, (&signed_in, parts.uri.path()), reason, problem).await
        };
        let Ok(bytes) = axum::body::to_bytes(body, bytes_max).await else {
            return Err(refuse("too-large", too_large(bytes_max)).await);
        };
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let boundary = kind.and_then(multipart::boundary);
        let read = boundary.and_then(|boundary| multipart::parts(&bytes, boundary).ok());
        let Some(read) = read else {
            let problem = Problem::bad_input("The form did not arrive as a browser sends it.");
            return Err(refuse("malformed-form", problem).await);
        };
        let (mut fields, mut files) = (Vec::new(), Vec::new());
        for part in read {
            match part.file_name {
                Some(name) => files.push((part.content.to_vec(), name)),
                None => {
                    let text = String::from_utf8_lossy(part.content).into_owned();
                    fields.push((part.name, text));
                }
            }
        }
        if !signed_in.session.csrf_matches(session::field(&fields, "csrf")) {
            return Err(refuse("csrf", foreign_page()).await);
        }
        let mut files = files.into_iter();
        let (file, file_name) = files.next().unwrap_or_default();
        let others = files.map(|(content, _)| content).collect();
        Ok(Uploaded { signed_in, fields, file, file_name, others })
    }
}

/// On record.
async fn refuse(
    agency: &Shared,
    (who, path): (&SignedIn, &str),
    reason: &str,
    problem: Problem,
) -> NotSignedIn {
    match agency.refuse(Some(who), who.origin.clone(), path, reason).await {
        Ok(entry) => NotSignedIn::Refused(problem.with_entry(entry)),
        Err(unrecorded) => NotSignedIn::Refused(unrecorded),
    }
}

fn too_large(bytes_max: usize) -> Problem {
    if bytes_max == LARGE_BYTES_MAX {
        return Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "The file is too large",
            "The file has more than 128 MiB, so nothing was done. Larger ones are taken in by `bailiwick parcel take`.",
        );
    }
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "The file is too large",
        "The file has more than 1 MiB, so nothing was done. The metadata of one provider is much smaller: export \
         that alone, not a federation's. A larger extract of a joint audit is taken by `bailiwick audit reconcile`.",
    )
}
