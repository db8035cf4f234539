//! Asking a transmitter for its events (RFC 8936): what is sent, and what its answer may hold.
//!
//! Invariants: a token is acknowledged only when the caller says that what it asks for is done, so that each
//! comes at least once; an answer that holds more than was asked for is refused as a whole. What a token says is
//! read by [`Stream::read`] like any other.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Stream, push_error};
use crate::Refusal;
use crate::oidc::discovery::Place;
use crate::oidc::id_token::is_name;
use crate::oidc::{Call, Fetch, json, refuse};

/// Most tokens of one answer: so many are asked for.
pub const TOKENS_MAX: usize = 16;

/// Largest answer.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// Where events are asked for, and what is shown there.
pub(super) struct Polled {
    url: String,
    bearer: Option<String>,
    fetch: Arc<dyn Fetch>,
}

/// What the next request tells the transmitter of the tokens of its last answer, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// What they ask for is done.
    pub taken: Vec<String>,
    /// They are not good enough, for this reason code; they need not be sent again.
    pub refused: Vec<(String, &'static str)>,
}

/// What a transmitter answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Tokens, each with the name under which it stands.
    pub tokens: Vec<(String, String)>,
    /// Whether it has more at this moment.
    pub more: bool,
}

impl Told {
    /// The body of a request. `at_once` asks for an answer even if there is no event.
    #[must_use]
    pub fn request(&self, at_once: bool) -> String {
        let mut errors = Map::new();
        for (name, code) in &self.refused {
            let error = json!({"err": push_error(code), "description": code});
            errors.insert(name.clone(), error);
        }
        let mut body = json!({
            "maxEvents": TOKENS_MAX,
            "returnImmediately": at_once,
            "ack": self.taken,
        });
        if let Some(body) = body.as_object_mut().filter(|_| !errors.is_empty()) {
            body.insert("setErrs".to_owned(), Value::Object(errors));
        }
        body.to_string()
    }
}

/// Reads a transmitter's answer.
///
/// # Errors
/// A [`Refusal`] with a code `ssf.poll.*`.
pub fn read(body: &[u8]) -> Result<Answer, Refusal> {
    let Some(answer) = json::object(body, ANSWER_BYTES_MAX) else {
        let detail = "the answer is not a JSON object with distinct names, or is too large";
        return refuse("ssf.poll.malformed", detail);
    };
    let sets = match answer.get("sets") {
        None => &Map::new(),
        Some(Value::Object(sets)) => sets,
        Some(_) => return refuse("ssf.poll.malformed", "the tokens are not an object"),
    };
    let more = match answer.get("moreAvailable") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(more)) => *more,
        Some(_) => return refuse("ssf.poll.malformed", "`moreAvailable` is not true or false"),
    };
    if sets.len() > TOKENS_MAX {
        return refuse("ssf.poll.limit", "the answer holds more tokens than were asked for");
    }
    let mut tokens = Vec::with_capacity(sets.len());
    for (name, token) in sets {
        let (true, Some(token)) = (is_name(name), token.as_str()) else {
            return refuse("ssf.poll.malformed", "a token is not a text under a proper name");
        };
        tokens.push((name.clone(), token.to_owned()));
    }
    Ok(Answer { tokens, more })
}

impl Stream {
    /// Has its events asked for at this address, with this bearer token.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn with_polling(
        mut self,
        url: &str,
        bearer: Option<String>,
        fetch: Arc<dyn Fetch>,
    ) -> Result<Self, &'static str> {
        if Place::of(url).is_none() {
            return Err("its `poll_url` is not an https URL, nor an http one on loopback");
        }
        self.polled = Some(Polled { url: url.to_owned(), bearer, fetch });
        Ok(self)
    }

    /// Whether its events are asked for; they can't be pushed then.
    #[must_use]
    pub fn is_polled(&self) -> bool {
        self.polled.is_some()
    }

    /// Asks for events, and tells what became of the last ones. The transmitter may hold the request for as long
    /// as it has none; the caller says how long is waited.
    ///
    /// # Errors
    /// A [`Refusal`] with a code `ssf.poll.*`; then the same is to be told again.
    pub async fn poll(&self, told: &Told, at_once: bool) -> Result<Answer, Refusal> {
        let unreachable = |detail: String| Err(Refusal::new("ssf.poll.unreachable", detail));
        let Some(Polled { url, bearer, fetch }) = &self.polled else {
            return unreachable("the stream's events are not asked for".to_owned());
        };
        let call = Call {
            url: url.clone(),
            form: None,
            json: Some(told.request(at_once)),
            bearer: bearer.clone(),
            bytes_max: ANSWER_BYTES_MAX,
        };
        match fetch.fetch(call).await {
            Ok(reply) if reply.status == 200 => read(&reply.body),
            Ok(reply) => unreachable(format!("the transmitter answers {}", reply.status)),
            Err(error) => {
                tracing::debug!(error = %wire::causes(&error), "a transmitter can't be asked");
                unreachable("the transmitter could not be asked".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_tells_what_became_of_each_token() {
        let told = Told {
            taken: vec!["a".into()],
            refused: vec![("b".into(), "ssf.aud"), ("c".into(), "ssf.typ")],
        };
        let sent: Value = serde_json::from_str(&told.request(false)).unwrap();
        let expected = json!({
            "maxEvents": 16, "returnImmediately": false, "ack": ["a"],
            "setErrs": {
                "b": {"err": "invalid_audience", "description": "ssf.aud"},
                "c": {"err": "invalid_request", "description": "ssf.typ"},
            },
        });
        assert_eq!(sent, expected);
        let none: Value = serde_json::from_str(&Told::default().request(true)).unwrap();
        assert_eq!(none, json!({"maxEvents": 16, "returnImmediately": true, "ack": []}));
    }

    #[test]
    fn an_answer_is_read_or_refused_as_a_whole() {
        let ok = read(br#"{"sets":{"a":"x.y.z"},"moreAvailable":true,"other":1}"#).unwrap();
        assert_eq!((ok.tokens, ok.more), (vec![("a".to_owned(), "x.y.z".to_owned())], true));
        assert_eq!(read(b"{}").unwrap(), Answer { tokens: Vec::new(), more: false });
        let many: Map<String, Value> = (0..17).map(|n| (n.to_string(), json!("x"))).collect();
        let many = json!({ "sets": many }).to_string();
        let large = format!("{{\"sets\":{{\"a\":\"{}\"}}}}", "x".repeat(ANSWER_BYTES_MAX));
        for (body, code) in [
            ("", "ssf.poll.malformed"),
            ("[]", "ssf.poll.malformed"),
            (r#"{"sets":[]}"#, "ssf.poll.malformed"),
            (r#"{"sets":{"a":"x","a":"y"}}"#, "ssf.poll.malformed"),
            (r#"{"sets":{"a b":"x"}}"#, "ssf.poll.malformed"),
            (r#"{"sets":{"a":1}}"#, "ssf.poll.malformed"),
            (r#"{"sets":{},"moreAvailable":"yes"}"#, "ssf.poll.malformed"),
            (&many, "ssf.poll.limit"),
            (&large, "ssf.poll.malformed"),
        ] {
            assert_eq!(read(body.as_bytes()).unwrap_err().code, code, "{body:.40}");
        }
    }
}
