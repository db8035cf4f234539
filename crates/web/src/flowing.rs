//! A form with a file of any size, posted by a signed-in person from one of our pages, and taken while it comes in.
//!
//! Invariant: as of [`crate::upload::Uploaded`]; and nothing of the file is given out before session, page and token held.

use axum::body::BodyDataStream;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use futures::StreamExt as _;

use crate::app::Shared;
use crate::problem::Problem;
use crate::session::{NotSignedIn, SignedIn, foreign_page};
use crate::streamed::{Came, Streamed};
use crate::{headers, multipart};

/// A form whose file comes in.
pub struct Flowing {
    /// Who.
    pub signed_in: SignedIn,
    body: BodyDataStream,
    form: Streamed,
    /// Pieces that came with the head.
    waiting: std::vec::IntoIter<Came>,
}

impl FromRequest<Shared> for Flowing {
    type Rejection = NotSignedIn;

    async fn from_request(request: Request, agency: &Shared) -> Result<Self, NotSignedIn> {
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
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let Some(boundary) = kind.and_then(multipart::boundary) else {
            return Err(refuse("malformed-form", malformed()).await);
        };
        let (mut form, mut body) = (Streamed::new(boundary), body.into_data_stream());
        let mut ours = false;
        // Up to the file: its form has the token before it.
        loop {
            let Some(Ok(bytes)) = body.next().await else {
                return Err(refuse("malformed-form", malformed()).await);
            };
            let Ok(came) = form.push(&bytes) else {
                return Err(refuse("malformed-form", malformed()).await);
            };
            let mut came = came.into_iter();
            while let Some(one) = came.next() {
                match one {
                    Came::Field(name, text) if name == "csrf" => {
                        let text = String::from_utf8_lossy(&text);
                        ours = signed_in.session.csrf_matches(&text);
                    }
                    Came::Field(..) | Came::Piece(_) => {}
                    Came::File if ours => {
                        return Ok(Self { signed_in, body, form, waiting: came });
                    }
                    Came::File => return Err(refuse("csrf", foreign_page()).await),
                }
            }
        }
    }
}

impl Flowing {
    /// The next piece of the file; none where all of it came.
    ///
    /// # Errors
    /// A [`Problem`] where it broke off, or is not as a browser sends it.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            for came in self.waiting.by_ref() {
                if let Came::Piece(piece) = came {
                    return Ok(Some(piece.into()));
                }
            }
            let Some(bytes) = self.body.next().await else {
                return if self.form.is_over() { Ok(None) } else { Err(broken()) };
            };
            let bytes = bytes.map_err(|_| broken())?;
            self.waiting = self.form.push(&bytes).map_err(|_| malformed())?.into_iter();
        }
    }
}

fn malformed() -> Problem {
    Problem::bad_input("The form did not arrive as a browser sends it.")
}

fn broken() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "The file broke off",
        "It did not arrive to its end, so nothing was done. Send it again.",
    )
}
