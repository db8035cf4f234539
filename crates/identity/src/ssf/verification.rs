//! Asking a transmitter to prove that its events reach us (Shared Signals Framework 1.0, 8.1.4): it is to send an
//! event of its own that repeats our word.
//!
//! A stream that is silent because nothing happens, and one that is silent because it is broken, look alike; this
//! tells them apart. This module waits for nothing.

use std::sync::Arc;

use serde_json::json;

use super::Stream;
use crate::Refusal;
use crate::oidc::discovery::Place;
use crate::oidc::{Call, Fetch};

/// Nothing is to be read in the answer but its status.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where it is asked for, and what is shown there.
pub(super) struct Verified {
    url: String,
    /// The transmitter's name for the stream.
    stream: String,
    bearer: Option<String>,
    fetch: Arc<dyn Fetch>,
}

impl Stream {
    /// Has the transmitter asked, at this address and under its name for the stream, for events that prove that the
    /// stream works.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn with_verification(
        mut self,
        (url, stream): (&str, &str),
        bearer: Option<String>,
        fetch: Arc<dyn Fetch>,
    ) -> Result<Self, &'static str> {
        if Place::of(url).is_none() {
            return Err("its `verification_url` is not an https URL, nor an http one on loopback");
        }
        let (url, stream) = (url.to_owned(), stream.to_owned());
        self.verified = Some(Verified { url, stream, bearer, fetch });
        Ok(self)
    }

    /// Whether the transmitter is asked to prove that its events come.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verified.is_some()
    }

    /// Asks for an event that repeats `word`.
    ///
    /// # Errors
    /// A [`Refusal`] with the code `ssf.verification`: none will come.
    pub async fn ask_verification(&self, word: &str) -> Result<(), Refusal> {
        let failed = |detail: String| Err(Refusal::new("ssf.verification", detail));
        let Some(Verified { url, stream, bearer, fetch }) = &self.verified else {
            return failed("the transmitter is not asked to prove anything".to_owned());
        };
        let call = Call {
            url: url.clone(),
            form: None,
            json: Some(json!({ "stream_id": stream, "state": word }).to_string()),
            bearer: bearer.clone(),
            bytes_max: ANSWER_BYTES_MAX,
        };
        match fetch.fetch(call).await {
            Ok(reply) if (200..300).contains(&reply.status) => Ok(()),
            Ok(reply) => failed(format!("the transmitter answers {}", reply.status)),
            Err(error) => {
                tracing::debug!(error = %wire::causes(&error), "a transmitter can't be asked");
                failed("the transmitter could not be asked".to_owned())
            }
        }
    }
}
