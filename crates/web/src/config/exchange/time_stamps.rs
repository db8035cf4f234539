//! `[exchange.time_stamps]`: the time-stamp authority that is asked when a parcel is sealed.
//! `[exchange.time_stamp_authority]`: we as one.

use std::path::{Path, PathBuf};

use exchange::AuthorityPlace;
use parcel::timestamp::PolicyId;
use serde::Deserialize;

/// The longest that an authority may be waited for, in seconds.
const WAIT_SECONDS_MAX: u64 = 120;

/// A time-stamp authority (RFC 3161).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeStampsConfig {
    /// Where it answers: `https://tsa.example/tsr`.
    pub url: String,
    /// The certificate that its server shows, or that of the authority that issued it (PEM). Under `https` it is needed.
    pub tls_certificate: Option<PathBuf>,
    /// Whether our own certificate is shown to it: a partner's Bailiwick asks for that.
    #[serde(default)]
    pub show_our_certificate: bool,
    /// Whether it may be asked by plain HTTP, at a loopback or private address.
    #[serde(default)]
    pub plain_http: bool,
    /// Whether its name may lead to private addresses.
    #[serde(default)]
    pub private_addresses: bool,
    /// The certificates (PEM) that it signs time stamps with, or those of CAs that issue them.
    pub authorities: Vec<PathBuf>,
    /// The policy that time stamps are to be under, an object identifier. Absent: any.
    pub policy: Option<String>,
    /// How long its answer is waited for.
    #[serde(default = "wait_default")]
    pub wait_seconds: u64,
    /// Whether nothing leaves without a time stamp. If not, going without is recorded with its reason.
    #[serde(default = "required_default")]
    pub required: bool,
}

/// The agency as a time-stamp authority for its partners.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeStampAuthorityConfig {
    /// The certificate chain (PEM) that time stamps are signed with: for time stamps alone.
    pub certificate: PathBuf,
    /// Its key (PKCS#8 PEM).
    pub key: PathBuf,
    /// The policy that time stamps are given under: an object identifier of the agency's.
    pub policy: String,
}

impl TimeStampAuthorityConfig {
    /// The key that is wrong, and how.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        match self.policy.parse::<PolicyId>() {
            Ok(_) => Ok(()),
            Err(_) => Err((
                "exchange.time_stamp_authority.policy",
                "is no object identifier such as `1.3.6.1.4.1.99999.1`",
            )),
        }
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        let files = [&mut self.certificate, &mut self.key];
        files.into_iter().for_each(|path| *path = base.join(&*path));
    }
}

const fn wait_default() -> u64 {
    10
}

const fn required_default() -> bool {
    true
}

impl TimeStampsConfig {
    /// The key that is wrong, and how.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let Ok(place) = self.url.parse::<AuthorityPlace>() else {
            return Err((
                "exchange.time_stamps.url",
                "is no address such as `https://tsa.example/tsr`",
            ));
        };
        if self.policy.as_ref().is_some_and(|policy| policy.parse::<PolicyId>().is_err()) {
            return Err((
                "exchange.time_stamps.policy",
                "is no object identifier such as `1.3.6.1.4.1.99999.1`",
            ));
        }
        let checks = [
            (
                place.tls == self.tls_certificate.is_some(),
                "exchange.time_stamps.tls_certificate",
                "is needed under `https`, and has no meaning under `http`",
            ),
            (
                place.tls != self.plain_http,
                "exchange.time_stamps.plain_http",
                "has to be true for an address under `http`, and only there",
            ),
            (
                !self.authorities.is_empty(),
                "exchange.time_stamps.authorities",
                "is empty; whose time stamps are believed has to be said",
            ),
            (
                (1..=WAIT_SECONDS_MAX).contains(&self.wait_seconds),
                "exchange.time_stamps.wait_seconds",
                "is from 1 to 120",
            ),
        ];
        let wrong = checks.iter().find(|(holds, _, _)| !holds);
        wrong.map_or(Ok(()), |(_, key, words)| Err((*key, *words)))
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        let files = self.tls_certificate.iter_mut().chain(&mut self.authorities);
        files.for_each(|path| *path = base.join(&*path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn an_authority_that_can_not_be_is_refused_with_the_key_named() {
        let small = include_str!("../../../../../bailiwick.example.toml");
        let keys = ["tls_certificate", "tls_key", "signing_certificate", "signing_key"];
        let files = keys.into_iter().chain(["recipient_certificate", "recipient_key", "folder"]);
        let files: String = files.map(|key| format!("{key} = \"x\"\n")).collect();
        let with = |block: &str| {
            let text = format!(
                "{small}\n[exchange]\nlisten = \"[::1]:8444\"\n{files}[exchange.time_stamps]\n{block}"
            );
            Config::parse(&text, Path::new("b.toml"))
        };
        let good = "url = \"https://tsa.example/tsr\"\ntls_certificate = \"t.pem\"\nauthorities = [\"a.pem\"]\n";
        let read = with(good).unwrap().exchange.unwrap().time_stamps.unwrap();
        assert!((read.required, read.wait_seconds) == (true, 10));
        let plain = "url = \"http://10.0.0.9:318/\"\nauthorities = [\"a.pem\"]\n";
        assert!(with(&format!("{plain}plain_http = true\n")).is_ok());
        for (block, key) in [
            (plain.to_owned(), "plain_http"),
            (good.replace("https://tsa.example/tsr", "tsa"), "url"),
            (good.replace("tls_certificate = \"t.pem\"\n", ""), "tls_certificate"),
            (good.replace("[\"a.pem\"]", "[]"), "authorities"),
            (format!("{good}policy = \"1\"\n"), "policy"),
            (format!("{good}wait_seconds = 0\n"), "wait_seconds"),
            (format!("{good}plain_http = true\n"), "plain_http"),
        ] {
            let error = with(&block).unwrap_err().to_string();
            assert!(error.contains(&format!("`exchange.time_stamps.{key}`")), "{error}");
        }
    }
}
