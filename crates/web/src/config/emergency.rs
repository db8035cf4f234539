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
    // Also where there is no emergency sign-in yet, or no more: accounts stay.
    let providers = config.identity_providers.iter().map(|one| &one.id);
    let providers = providers.chain(config.oidc_providers.iter().map(|one| &one.id));
    let cards = config.certificate_providers.iter().map(|one| &one.id);
    if providers.chain(cards).any(|id| id == PROVIDER) {
        let what = "is not `local`: that is what emergency accounts have";
        return Err(("identity_provider.id", what));
    }
    let Some(emergency) = &config.emergency else { return Ok(()) };
    if !(1..=60).contains(&emergency.session_minutes) {
        return Err(("emergency.session_minutes", "must be between 1 and 60"));
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
    fn no_provider_has_the_id_of_emergency_accounts_even_where_there_are_none() {
        let text = |id: &str| {
            format!(
                "[agency]\nname = \"R\"\nori = \"NB0010100\"\n[listen]\npages = \"127.0.0.1:0\"\n\
                 public_url = \"https://r.example\"\n[data]\nfolder = \"data\"\nmaster_key = \"master.key\"\n\
                 [ledger]\norigin = \"ledger.r.example\"\n[[identity_provider]]\nid = \"{id}\"\n\
                 label = \"R\"\nmetadata = \"idp.xml\"\nmfa_contexts = [\"urn:mfa\"]\n"
            )
        };
        let parse = |id: &str| Config::parse(&text(id), std::path::Path::new("bailiwick.toml"));
        assert!(parse("riverton").is_ok());
        let refused = crate::problem::chain(&parse("local").unwrap_err());
        assert!(refused.contains("that is what emergency accounts have"), "{refused}");
    }

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
