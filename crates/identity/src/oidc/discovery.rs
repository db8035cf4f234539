//! What a provider says of itself (OpenID Connect Discovery, RFC 8414), held against what the agency pinned.
//!
//! Invariants: the issuer is the pinned one, letter by letter (RFC 9207, RFC 8725); every endpoint that we use is
//! at the issuer's own host or one that the agency declared, over TLS or on loopback.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{OidcSettings, json, refuse};
use crate::Refusal;

/// Largest document that is read.
pub const DISCOVERY_BYTES_MAX: usize = 128 * 1024;

/// Longest address in it.
const URL_BYTES_MAX: usize = 1024;

/// Where the document of an issuer is.
#[must_use]
pub fn address(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// What we use of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    pub authorization: String,
    pub token: String,
    pub jwks: String,
    /// For pushed requests (RFC 9126).
    pub pushed: Option<String>,
    pub userinfo: Option<String>,
    pub end_session: Option<String>,
    /// Whether answers name the issuer (RFC 9207); then those that do not are refused.
    pub names_issuer: bool,
    /// Whether our assertions may be signed with PS256; else RS256 is used.
    pub takes_ps256: bool,
}

/// The place of a URL: what decides whether it may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub tls: bool,
    /// In lower case, an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    /// The path and the query, which begins with a slash.
    pub path: String,
}

impl Place {
    /// The place of an absolute `https` URL, or an `http` one to a loopback address, without user information
    /// and without a fragment. `None` for all others.
    #[must_use]
    pub fn of(url: &str) -> Option<Self> {
        if url.len() > URL_BYTES_MAX
            || url.bytes().any(|b| !b.is_ascii_graphic() || b == b'\\' || b == b'#')
        {
            return None;
        }
        let (tls, rest) = match url.split_once("://")? {
            ("https", rest) => (true, rest),
            ("http", rest) => (false, rest),
            _ => return None,
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let (host, port) = split_authority(authority, tls)?;
        let loopback =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        (tls || loopback).then_some(Self { tls, host, port, path })
    }

    /// Whether it is at the same server.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }
}

/// Host and port of `host`, `host:port` or `[address]:port`.
fn split_authority(authority: &str, tls: bool) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, after.strip_prefix(':').or(after.is_empty().then_some(""))?)
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'_');
    if host.is_empty() || !host.bytes().all(name) {
        return None;
    }
    let port = match port {
        "" => {
            if tls {
                443
            } else {
                80
            }
        }
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    Some((host.to_ascii_lowercase(), port))
}

/// The places at which this provider's endpoints may be: its issuer's, and those that the agency declared.
///
/// # Errors
/// Nothing but what [`OidcSettings::check`] would have found.
#[must_use]
pub fn places(settings: &OidcSettings) -> Vec<Place> {
    let declared = settings.hosts.iter().map(|host| format!("https://{host}"));
    std::iter::once(settings.issuer.clone())
        .chain(declared)
        .filter_map(|url| Place::of(&url))
        .collect()
}

impl Discovery {
    /// Reads the document.
    ///
    /// # Errors
    /// A [`Refusal`] with a code `oidc.discovery.*`.
    pub fn parse(bytes: &[u8], settings: &OidcSettings) -> Result<Self, Refusal> {
        let Some(document) = json::object(bytes, DISCOVERY_BYTES_MAX) else {
            let detail =
                "the document is not a JSON object with distinct names, or larger than 128 KiB";
            return refuse("oidc.discovery.malformed", detail);
        };
        if json::text(&document, "issuer") != Some(&settings.issuer) {
            return refuse("oidc.discovery.issuer", "the document is of another issuer");
        }
        let places = places(settings);
        let optional = |name: &'static str| endpoint(&document, name, &places);
        let needed = |name: &'static str| match optional(name)? {
            Some(url) => Ok(url),
            None => refuse("oidc.discovery.incomplete", &format!("it has no {name}")),
        };
        let lists = |name: &str, value: &str| {
            json::texts(&document, name).map(|all| all.iter().any(|one| one == value))
        };
        let lacks = |name: &str, value: &str| lists(name, value) == Some(false);
        if lacks("response_types_supported", "code")
            || lacks("code_challenge_methods_supported", "S256")
        {
            return refuse("oidc.discovery.unfit", "it has no code flow with PKCE by S256");
        }
        if lists("token_endpoint_auth_methods_supported", "private_key_jwt") != Some(true) {
            return refuse(
                "oidc.discovery.unfit",
                "it knows no clients that sign (private_key_jwt)",
            );
        }
        let signing = "token_endpoint_auth_signing_alg_values_supported";
        let takes_ps256 = lists(signing, "PS256") == Some(true);
        if !takes_ps256 && lacks(signing, "RS256") {
            return refuse("oidc.discovery.unfit", "it takes neither PS256 nor RS256 of us");
        }
        let names_issuer = "authorization_response_iss_parameter_supported";
        Ok(Self {
            authorization: needed("authorization_endpoint")?,
            token: needed("token_endpoint")?,
            jwks: needed("jwks_uri")?,
            pushed: optional("pushed_authorization_request_endpoint")?,
            userinfo: optional("userinfo_endpoint")?,
            end_session: optional("end_session_endpoint")?,
            names_issuer: document.get(names_issuer) == Some(&Value::Bool(true)),
            takes_ps256,
        })
    }
}

/// An endpoint, at a place where it may be.
fn endpoint(
    document: &Map<String, Value>,
    name: &'static str,
    places: &[Place],
) -> Result<Option<String>, Refusal> {
    let Some(value) = document.get(name) else { return Ok(None) };
    let url = value.as_str().unwrap_or_default();
    match Place::of(url) {
        Some(place) if places.iter().any(|known| known.is_beside(&place)) => {
            Ok(Some(url.to_owned()))
        }
        Some(_) => {
            let detail =
                format!("its {name} is at a host that is neither the issuer's nor declared");
            refuse("oidc.discovery.host", &detail)
        }
        None => {
            let detail = format!("its {name} is not an https URL, nor an http one on loopback");
            refuse("oidc.discovery.endpoint", &detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_https_or_loopback_and_says_one_thing() {
        let place = |url: &str| Place::of(url).map(|p| (p.tls, p.host, p.port, p.path));
        let some = |tls, host: &str, port, path: &str| Some((tls, host.into(), port, path.into()));
        assert_eq!(place("https://IdP.example/a?b"), some(true, "idp.example", 443, "/a?b"));
        assert_eq!(place("https://idp.example:8443"), some(true, "idp.example", 8443, "/"));
        assert_eq!(place("https://idp.example?x"), some(true, "idp.example", 443, "/?x"));
        assert_eq!(place("http://127.0.0.1:3000/"), some(false, "127.0.0.1", 3000, "/"));
        assert_eq!(place("http://[::1]/x"), some(false, "::1", 80, "/x"));
        for wrong in [
            "http://idp.example/",
            "http://127.0.0.1.evil.example/",
            "ftp://idp.example/",
            "https://",
            "https:///x",
            "https://user@idp.example/",
            "https://user:1@idp.example/",
            "https://idp.example:99999/",
            "https://idp.example:+1/",
            "https://idp.example/#x",
            "https://idp.example\\@evil.example/",
            "https://idp .example/",
            "https://[::1/",
            "https://[::1]x/",
            "idp.example",
            "",
        ] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
