//! A form with a file, posted by a signed-in person from one of our pages.
//!
//! Invariant: as of [`crate::session::Posted`]: a live session that has accepted the notice, a page of this origin,
//! the session's own token; and what is refused is in the ledger before it is answered.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{StatusCode, header};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::app::Shared;
use crate::multipart;
use crate::problem::Problem;
use crate::session::{NotSignedIn, SignedIn, foreign_page};
use crate::{headers, session};

/// The largest form with a file that is read, in bytes: the largest metadata, and fields beside it.
pub const UPLOAD_BYTES_MAX: usize = crate::providers::metadata::METADATA_BYTES_MAX + 64 * 1024;

/// The largest form with a file of evidence that is read, in bytes.
pub const LARGE_BYTES_MAX: usize = 128 << 20;

/// One of the large ones at a time: they are in memory.
static LARGE: Semaphore = Semaphore::const_new(1);

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
}

impl FromRequest<Shared> for Uploaded {
    type Rejection = NotSignedIn;

    async fn from_request(request: Request, agency: &Shared) -> Result<Self, NotSignedIn> {
        Self::read(request, agency, UPLOAD_BYTES_MAX).await
    }
}

/// As [`Uploaded`], with a file that may be [`LARGE_BYTES_MAX`] long, and the leave to be the only one.
pub struct LargeUpload(pub Uploaded, pub SemaphorePermit<'static>);

impl FromRequest<Shared> for LargeUpload {
    type Rejection = NotSignedIn;

    async fn from_request(request: Request, agency: &Shared) -> Result<Self, NotSignedIn> {
        let Ok(alone) = LARGE.try_acquire() else {
            return Err(NotSignedIn::Refused(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Another large file is being taken in",
                "They are taken in one after the other. Nothing was done; send it again in a moment.",
            )));
        };
        Ok(Self(Uploaded::read(request, agency, LARGE_BYTES_MAX).await?, alone))
    }
}

impl Uploaded {
    async fn read(
        request: Request,
        agency: &Shared,
        bytes_max: usize,
    ) -> Result<Self, NotSignedIn> {
        let (mut parts, body) = request.into_parts();
        let signed_in = SignedIn::from_request_parts(&mut parts, agency).await?;
        let refuse = async |reason: &str, problem: Problem| {
            let origin = signed_in.origin.clone();
            match agency.refuse(Some(&signed_in), origin, parts.uri.path(), reason).await {
                Ok(entry) => NotSignedIn::Refused(problem.with_entry(entry)),
                Err(unrecorded) => NotSignedIn::Refused(unrecorded),
            }
        };
        let public_url = &agency.config.listen.public_url;
        if headers::from_another_site(&parts.method, &parts.headers, public_url) {
            return Err(refuse("csrf", foreign_page()).await);
        }
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
        let (mut fields, mut file, mut file_name) = (Vec::new(), Vec::new(), String::new());
        for part in read {
            match part.file_name {
                Some(name) => (file, file_name) = (part.content.to_vec(), name),
                None => {
                    let text = String::from_utf8_lossy(part.content).into_owned();
                    fields.push((part.name, text));
                }
            }
        }
        if !signed_in.session.csrf_matches(session::field(&fields, "csrf")) {
            return Err(refuse("csrf", foreign_page()).await);
        }
        Ok(Self { signed_in, fields, file, file_name })
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
