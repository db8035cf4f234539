//! How a witness is reached: an address under `https`, the certificate it shows, and ours.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::{Request, header};
use keys::Clock;
use ledger::witness::{Answer, answer_bytes_max, origin_id};
use wire::tls::{Own, Trust, client_config};
use wire::{Addresses, Client, ClientLimits, Egress, Outgoing, Target};

use crate::ExchangeError;

/// The longest address.
const URL_BYTES_MAX: usize = 500;

/// Where a witness answers: `https://host[:port][/prefix]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessPlace {
    /// A name in lower case, or an address without brackets.
    pub host: String,
    pub port: u16,
    /// Empty, or a path that begins with a slash and doesn't end with one.
    pub prefix: String,
}

/// Why a text is not the address of a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an address such as `https://lakeside.example:8444/witness`")]
pub struct NotAPlace;

impl FromStr for WitnessPlace {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        if text.len() > URL_BYTES_MAX {
            return Err(NotAPlace);
        }
        let uri: http::Uri = text.parse().map_err(|_| NotAPlace)?;
        let authority = uri.authority().ok_or(NotAPlace)?;
        let plain = uri.scheme_str() == Some("https") && uri.query().is_none();
        if !plain || authority.as_str().contains('@') || text.contains('#') {
            return Err(NotAPlace);
        }
        let named = authority.host();
        let port = match authority.as_str().strip_prefix(named) {
            Some("") => 443,
            Some(after) => {
                let digits = after.strip_prefix(':').ok_or(NotAPlace)?;
                digits.parse().map_err(|_| NotAPlace)?
            }
            None => return Err(NotAPlace),
        };
        let host = named.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(NotAPlace);
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { host: host.to_ascii_lowercase(), port, prefix })
    }
}

impl fmt::Display for WitnessPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, prefix } = self;
        match host.contains(':') {
            true => write!(f, "https://[{host}]:{port}{prefix}"),
            false => write!(f, "https://{host}:{port}{prefix}"),
        }
    }
}

/// A way to one witness.
#[derive(Clone)]
pub struct WitnessLine {
    /// What the ledger's rules call it.
    pub name: String,
    place: WitnessPlace,
    client: Client,
}

impl WitnessLine {
    /// A way to the witness `name` at `place`, whose certificate `trust` vouches for. With `own`, we show
    /// our certificate, as partners' listeners ask for.
    ///
    /// # Errors
    /// [`ExchangeError::Wire`], also where there is nothing to trust.
    pub fn new(
        name: &str,
        place: WitnessPlace,
        addresses: Addresses,
        trust: &Trust,
        own: Option<&Own>,
        limits: ClientLimits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ExchangeError> {
        let tls = client_config(trust, own, clock)?;
        let target = Target { host: place.host.clone(), port: place.port, addresses };
        let client = Client::new(Egress::new(vec![target]), tls, limits);
        Ok(Self { name: name.to_owned(), place, client })
    }

    /// Submits a request and reads the answer.
    pub(crate) async fn submit(&self, body: String) -> Result<Answer, ExchangeError> {
        let Self { place, .. } = self;
        let request = Request::post(format!("{}/add-checkpoint", place.prefix))
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .header(header::CONTENT_LENGTH, body.len())
            .body(Outgoing::bytes(body.into()))
            .map_err(wire::WireError::from)?;
        let reply = self.client.request(&place.host, place.port, request).await?;
        let status = reply.status.as_u16();
        let kind = reply.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        let body = reply.bytes(answer_bytes_max()).await?;
        Ok(Answer::read(status, &kind, &body))
    }

    /// The newest note that it cosigned for this log, where it shows one; C2SP has no such call, so that
    /// other witnesses have nothing there.
    pub(crate) async fn newest(&self, origin: &str) -> Option<String> {
        let Self { place, .. } = self;
        let request = Request::get(format!("{}/checkpoint/{}", place.prefix, origin_id(origin)))
            .body(Outgoing::empty())
            .ok()?;
        let reply = self.client.request(&place.host, place.port, request).await.ok()?;
        if reply.status != http::StatusCode::OK {
            return None;
        }
        String::from_utf8(reply.bytes(answer_bytes_max()).await.ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn place(text: &str, host: &str, port: u16, prefix: &str) {
        let expected = WitnessPlace { host: host.to_owned(), port, prefix: prefix.to_owned() };
        assert_eq!(text.parse(), Ok(expected.clone()));
        assert_eq!(expected.to_string().parse(), Ok(expected));
    }

    #[test]
    fn an_address_is_taken_apart() {
        place("https://Lakeside.example", "lakeside.example", 443, "");
        place("https://lakeside.example:8444/witness", "lakeside.example", 8444, "/witness");
        place("https://127.0.0.2:8445/a/b/", "127.0.0.2", 8445, "/a/b");
        place("https://[::1]:8445/w", "::1", 8445, "/w");
    }

    #[test]
    fn what_is_no_address_under_https_is_refused() {
        for text in [
            "",
            "lakeside.example",
            "http://lakeside.example/witness",
            "https://user@lakeside.example/witness",
            "https://lakeside.example/witness?x=1",
            "https://lakeside.example/witness#x",
            "https://lakeside.example:70000/",
            "https://lakeside.example:/witness",
            "https:///witness",
        ] {
            assert_eq!(text.parse::<WitnessPlace>(), Err(NotAPlace), "{text}");
        }
    }
}
