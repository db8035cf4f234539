//! `[exchange.guests]`: the name under which guests come to the partner listener.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use policy::Ori;
use serde::Deserialize;

use super::{Config, host_of};

/// A name of the partner listener that is the guests' alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestsConfig {
    /// The origin that guests' browsers see, such as `https://guests.riverton.example`. Its host is what the listener
    /// knows them by.
    pub public_url: String,
    /// The certificate chain (PEM) of that name, from an authority that guests' browsers trust.
    pub certificate: PathBuf,
    /// Its key (PKCS#8 PEM).
    pub key: PathBuf,
}

impl GuestsConfig {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        host_of(&self.public_url)
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        [&mut self.certificate, &mut self.key]
            .into_iter()
            .for_each(|path| *path = base.join(&*path));
    }
}

impl Config {
    /// The guests' own name, if there is one. Otherwise they come to the pages.
    #[must_use]
    pub fn guests(&self) -> Option<&GuestsConfig> {
        self.exchange.as_ref().and_then(|exchange| exchange.guests.as_ref())
    }

    /// Where people of an agency come in; ours, unless it is another's.
    #[must_use]
    pub fn url_for(&self, agency: Option<&Ori>) -> &str {
        let another = agency.is_some_and(|agency| *agency != self.agency.ori);
        let guests = self.guests().filter(|_| another);
        guests.map_or(&self.listen.public_url, |guests| &guests.public_url)
    }

    /// The agency whose people a provider vouches for.
    #[must_use]
    pub fn agency_of(&self, provider: &str) -> &Ori {
        let saml = self.identity_providers.iter().map(|one| (&one.id, &one.agency));
        let oidc = self.oidc_providers.iter().map(|one| (&one.id, &one.agency));
        let cards = self.certificate_providers.iter().map(|one| (&one.id, &one.agency));
        let mut all = saml.chain(oidc).chain(cards);
        let found = all.find(|(id, _)| *id == provider).and_then(|(_, agency)| agency.as_ref());
        found.unwrap_or(&self.agency.ori)
    }
}

/// What can't be as it stands.
pub(super) fn check(config: &Config) -> Result<(), (&'static str, &'static str)> {
    const KEY: &str = "exchange.guests.public_url";
    let Some(guests) = config.guests() else { return Ok(()) };
    let rest = guests.public_url.strip_prefix("https://").unwrap_or_default();
    if rest.is_empty() || rest.contains(['/', '?', '#', '@']) || guests.public_url.len() > 300 {
        return Err((
            KEY,
            "is an origin such as `https://guests.riverton.example`, no slash after",
        ));
    }
    let name = guests.name();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    if name.is_empty() || name.parse::<IpAddr>().is_ok() || !name.chars().all(fits) {
        return Err((KEY, "has a host name: by an address nobody says for whom they come"));
    }
    if name.eq_ignore_ascii_case(host_of(&config.listen.public_url)) {
        let what = "has another host than `listen.public_url`: browsers keep cookies by host, whatever the port";
        return Err((KEY, what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Config, String> {
        let small = include_str!("../../../../bailiwick.example.toml");
        let keys = [
            "tls_certificate",
            "tls_key",
            "signing_certificate",
            "signing_key",
            "recipient_certificate",
            "recipient_key",
            "folder",
        ];
        let files: String = keys.into_iter().map(|key| format!("{key} = \"x\"\n")).collect();
        let guests = format!(
            "[exchange.guests]\npublic_url = \"{url}\"\ncertificate = \"g.pem\"\nkey = \"g.key\"\n"
        );
        let text = format!("{small}\n[exchange]\nlisten = \"[::1]:8444\"\n{files}{guests}");
        Config::parse(&text, Path::new("etc/b.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_of_their_own_is_taken_and_what_would_mix_them_with_others_is_not() {
        let config = read("https://Guests.riverton.example:8444").unwrap();
        let guests = config.guests().unwrap();
        assert_eq!(guests.name(), "Guests.riverton.example");
        assert_eq!(guests.certificate, Path::new("etc/g.pem"));
        let theirs: Ori = "NB0030000".parse().unwrap();
        assert_eq!(config.url_for(Some(&theirs)), "https://Guests.riverton.example:8444");
        assert_eq!(config.url_for(Some(&config.agency.ori)), config.listen.public_url);
        assert_eq!(config.url_for(None), config.listen.public_url);
        let ours = host_of(&config.listen.public_url);
        for wrong in [
            "http://guests.riverton.example",
            "https://",
            "https://guests.riverton.example/",
            "https://a@guests.riverton.example",
            "https://192.0.2.7",
            "https://[2001:db8::1]:8444",
            &format!("https://{}:9999", ours.to_uppercase()),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("`exchange.guests.public_url`"), "{wrong}: {error}");
        }
    }
}
