//! `[emergency]`: local administrators for when no identity provider answers. Absent: there is no such way in.

use std::net::IpAddr;

use identity::emergency::PROVIDER;
use serde::Deserialize;

use super::Config;

/// How emergency accounts are opened. They are made with `bailiwick user emergency make`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmergencyConfig {
    /// How long a session lasts at most, in minutes; 1 to 60.
    #[serde(default = "session_default")]
    pub session_minutes: u32,
    /// Whether the two sealed halves count as more than one factor where an account has no security key. Without
    /// this, a key is registered with the first use and asked for from then on.
    #[serde(default)]
    pub without_key: bool,
}

const fn session_default() -> u32 {
    60
}

/// The host of an origin, without its port.
pub(crate) fn host_of(public_url: &str) -> &str {
    let rest = public_url.split_once("://").map_or(public_url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, _)) => address,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

/// What is wrong with it, with the key that it is in.
pub(super) fn check(config: &Config) -> Result<(), (&'static str, &'static str)> {
    let Some(emergency) = &config.emergency else { return Ok(()) };
    if !(1..=60).contains(&emergency.session_minutes) {
        return Err(("emergency.session_minutes", "must be between 1 and 60"));
    }
    let saml = config.identity_providers.iter().map(|one| &one.id);
    if saml.chain(config.oidc_providers.iter().map(|one| &one.id)).any(|id| id == PROVIDER) {
        return Err((
            "identity_provider.id",
            "is not `local`: that is what emergency accounts have",
        ));
    }
    let address = host_of(&config.listen.public_url).parse::<IpAddr>().is_ok();
    if address && !emergency.without_key {
        let what = "is needed where `listen.public_url` has no host name: security keys know sites by name";
        return Err(("emergency.without_key", what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_security_keys_know_a_site_by() {
        for (url, host) in [
            ("https://bailiwick.riverton.example", "bailiwick.riverton.example"),
            ("http://localhost:8080", "localhost"),
            ("http://127.0.0.1:8080", "127.0.0.1"),
            ("http://[::1]:8080", "::1"),
            ("http://[::1]", "::1"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }
}
