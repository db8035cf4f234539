//! How a time-stamp authority is reached: an address, whom to believe there, and one question at a time (RFC 3161, 3.4).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::{Request, StatusCode, header};
use parcel::timestamp::STAMP_BYTES_MAX;
use wire::tls::ClientTls;
use wire::{Addresses, Client, ClientLimits, Egress, Outgoing, Target};

use super::StampError;

/// The longest address.
const URL_BYTES_MAX: usize = 500;
pub(crate) const QUERY: &str = "application/timestamp-query";
pub(crate) const REPLY: &str = "application/timestamp-reply";

/// Where an authority answers: `https://host[:port]/path`, or `http://` inside the agency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityPlace {
    /// Whether by TLS.
    pub tls: bool,
    /// A name in lower case, or an address without brackets.
    pub host: String,
    pub port: u16,
    /// Begins with a slash.
    pub path: String,
}

/// Why a text is not the address of an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an address such as `https://tsa.example/tsr`")]
pub struct NotAnAuthority;

impl FromStr for AuthorityPlace {
    type Err = NotAnAuthority;

    fn from_str(text: &str) -> Result<Self, NotAnAuthority> {
        if text.len() > URL_BYTES_MAX {
            return Err(NotAnAuthority);
        }
        let uri: http::Uri = text.parse().map_err(|_| NotAnAuthority)?;
        let authority = uri.authority().ok_or(NotAnAuthority)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(NotAnAuthority),
        };
        if authority.as_str().contains('@') || text.contains('#') || uri.query().is_some() {
            return Err(NotAnAuthority);
        }
        let named = authority.host();
        let port = match authority.as_str().strip_prefix(named) {
            Some("") if tls => 443,
            Some("") => 80,
            Some(after) => {
                let digits = after.strip_prefix(':').ok_or(NotAnAuthority)?;
                digits.parse().map_err(|_| NotAnAuthority)?
            }
            None => return Err(NotAnAuthority),
        };
        let host = named.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(NotAnAuthority);
        }
        let path = uri.path().to_owned();
        Ok(Self { tls, host: host.to_ascii_lowercase(), port, path })
    }
}

impl fmt::Display for AuthorityPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tls, host, port, path } = self;
        let scheme = if *tls { "https" } else { "http" };
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}{path}"),
            false => write!(f, "{scheme}://{host}:{port}{path}"),
        }
    }
}

/// A way to one authority.
#[derive(Clone)]
pub struct AuthorityLine {
    place: AuthorityPlace,
    client: Client,
    wait_max: Duration,
}

impl AuthorityLine {
    /// A way to `place`; `tls` is how it is believed under `https`. Without, plain HTTP goes to private addresses only:
    /// a request is a hash, and the answer is signed. An answer is waited for `wait_max`.
    pub fn new(
        place: AuthorityPlace,
        addresses: Addresses,
        tls: Option<ClientTls>,
        wait_max: Duration,
    ) -> Self {
        let target = Target { host: place.host.clone(), port: place.port, addresses };
        let egress = Egress::new(vec![target]);
        let limits = ClientLimits {
            connect_wait_max: wait_max,
            idle_wait_max: wait_max,
            head_bytes_max: 8 * 1024,
            headers_max: 32,
        };
        let client = match tls {
            Some(tls) => Client::new(egress, tls, limits),
            None => Client::plain_inside(egress, limits),
        };
        Self { place, client, wait_max }
    }

    pub fn place(&self) -> &AuthorityPlace {
        &self.place
    }

    /// Sends a request and gives the answer as it came.
    pub(crate) async fn ask(&self, request: &[u8]) -> Result<Vec<u8>, StampError> {
        let place = || self.place.to_string();
        match tokio::time::timeout(self.wait_max, self.put(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(StampError::Silent { place: place(), seconds: self.wait_max.as_secs() }),
        }
    }

    async fn put(&self, request: &[u8]) -> Result<Vec<u8>, StampError> {
        let place = || self.place.to_string();
        let wire = |source| StampError::Wire { place: place(), source };
        let asked = Request::post(&self.place.path)
            .header(header::CONTENT_TYPE, QUERY)
            .header(header::CONTENT_LENGTH, request.len())
            .body(Outgoing::bytes(request.to_vec().into()))
            .map_err(|error| wire(error.into()))?;
        let reply = self.client.request(&self.place.host, self.place.port, asked).await;
        let reply = reply.map_err(wire)?;
        if reply.status != StatusCode::OK {
            return Err(StampError::Status { place: place(), status: reply.status.as_u16() });
        }
        let kind = reply.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(REPLY) {
            return Err(StampError::Kind { place: place() });
        }
        let bytes_max = usize::try_from(STAMP_BYTES_MAX).unwrap_or(usize::MAX);
        reply.bytes(bytes_max).await.map_err(wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn place(text: &str, tls: bool, host: &str, port: u16, path: &str) {
        let (host, path) = (host.to_owned(), path.to_owned());
        let expected = AuthorityPlace { tls, host, port, path };
        assert_eq!(text.parse(), Ok(expected.clone()));
        assert_eq!(expected.to_string().parse(), Ok(expected));
    }

    #[test]
    fn an_address_is_taken_apart() {
        place("https://TSA.example", true, "tsa.example", 443, "/");
        place("http://10.1.2.3:318/tsr", false, "10.1.2.3", 318, "/tsr");
        place("https://[::1]:8445/a/b", true, "::1", 8445, "/a/b");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "tsa.example",
            "ftp://tsa.example/",
            "https://me@tsa.example/",
            "https:///x",
            "https://tsa.example/?a=b",
            "https://tsa.example/#a",
            "https://tsa.example:70000/",
        ] {
            assert_eq!(text.parse::<AuthorityPlace>(), Err(NotAnAuthority), "{text}");
        }
    }
}
