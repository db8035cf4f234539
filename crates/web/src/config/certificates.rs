//! `[[certificate_provider]]` and `[proxy]`: whose client certificates count, and which proxy may say what was shown.

use std::path::{Path, PathBuf};

use identity::certificates::{CLIENT_AUTH, NamedBy};
use identity::devices::Network;
use policy::{Function, Ori};
use serde::Deserialize;

use super::{Config, classes, hash_of};

/// For how long after its end a list may still count, in hours.
const STALE_HOURS_MAX: u32 = 168;
/// Files and addresses of lists of one provider.
const LISTS_MAX: usize = 16;
/// RFC 9440's header, which holds a certificate in Base64 between colons.
pub(crate) const CLIENT_CERT: &str = "client-cert";

/// An authority whose certificates people or devices show: PIV and CAC cards, say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateProviderConfig {
    /// A short name, part of every account key from this provider; never change it.
    pub id: String,
    /// What people see on the sign-in page.
    pub label: String,
    /// The authorities (PEM), roots or issuing ones, that are trusted.
    pub authorities: PathBuf,
    /// Which name in the certificate tells the person: `uuid`, `fasc-n`, `upn` or `subject`.
    pub name: NamedBy,
    /// Policies (dotted numbers) any of which the certificate and those above it must be under, such as
    /// `2.16.840.1.101.3.2.1.3.13` (PIV authentication).
    #[serde(default)]
    pub policies: Vec<String>,
    /// Purposes (dotted numbers) all of which the certificate must state; client authentication unless given.
    #[serde(default = "purposes_default")]
    pub purposes: Vec<String>,
    /// Whether such a certificate is two factors, a card and its PIN, so that people sign in with it alone.
    /// `policies` must then say which.
    #[serde(default)]
    pub multi_factor: bool,
    /// Lists of revoked certificates (DER or PEM): files, read again when they change.
    #[serde(default)]
    pub crl_files: Vec<PathBuf>,
    /// The same from addresses, over `https`, or `http` on this machine; fetched hourly.
    #[serde(default)]
    pub crl_urls: Vec<String>,
    /// For how many hours after its end a list still counts; 0 to 168.
    #[serde(default)]
    pub crl_stale_hours: u32,
    /// The responder (OCSP) that is asked at each sign-in, over `https`, or `http` on this machine.
    pub ocsp_url: Option<String>,
    /// Whether its answer must hold the number that was sent with the question.
    #[serde(default = "yes")]
    pub ocsp_nonce: bool,
    /// Whether it is asked with SHA-1 names of the issuer, which some responders know alone.
    #[serde(default)]
    pub ocsp_sha1_names: bool,
    /// The authority (PEM) of the servers at `https` addresses.
    pub ca: Option<PathBuf>,
    /// Whether certificates count although nobody is asked whether they are revoked.
    #[serde(default)]
    pub without_revocation: bool,
    /// The agency whose people they are of; this agency unless given.
    pub agency: Option<Ori>,
    /// The functions that people with such certificates may have. Absent: all.
    pub functions: Option<Vec<Function>>,
}

/// The certificate that makes a provider's single factor two.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorConfig {
    /// The id of a `[[certificate_provider]]`.
    pub certificate_provider: String,
    /// The attribute, or claim, by which the identity provider says whose certificate it must be. Absent: the name that it
    /// gives the person.
    pub attribute: Option<String>,
}

/// A reverse proxy in front, which may say who called and what certificate was shown.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyConfig {
    /// Where it calls from: addresses or ranges.
    pub addresses: Vec<String>,
    /// A file with the secret (32 to 200 letters) that it sends as `X-Bailiwick-Proxy`.
    pub secret_file: Option<PathBuf>,
    /// Or the SHA-256 (hex) of the client certificate that it shows.
    pub certificate_sha256: Option<String>,
    /// The header with the person's certificate: `Client-Cert` (RFC 9440), or another one with percent-encoded PEM.
    pub certificate_header: Option<String>,
    /// The header whose last address is the caller's.
    pub address_header: Option<String>,
}

const fn yes() -> bool {
    true
}

fn purposes_default() -> Vec<String> {
    vec![CLIENT_AUTH.to_owned()]
}

type Wrong = (&'static str, &'static str);

impl Config {
    /// What is wrong with client certificates and what rests on them, with the key that it is in.
    pub(super) fn check_certificates(&self) -> Result<(), Wrong> {
        let ours = &self.agency.ori;
        self.certificate_providers.iter().try_for_each(|provider| provider.check(ours))?;
        self.proxy.iter().try_for_each(ProxyConfig::check)?;
        classes(&self.session.device_class)?;
        let shown = self.listen.certificate.is_some()
            || self.proxy.as_ref().is_some_and(|proxy| proxy.certificate_header.is_some());
        // Guests show theirs where they come in.
        let elsewhere = |one: &CertificateProviderConfig| {
            self.guests().is_some() && one.agency.as_ref().is_some_and(|agency| agency != ours)
        };
        if !self.certificate_providers.iter().all(elsewhere) && !shown {
            let what = "needs `listen.certificate`, or a `[proxy]` with `certificate_header`: nobody could show one";
            return Err(("certificate_provider", what));
        }
        let second = self.identity_providers.iter().filter_map(|one| one.second_factor.as_ref());
        let second =
            second.chain(self.oidc_providers.iter().filter_map(|one| one.second_factor.as_ref()));
        let second = second.map(|one| &one.certificate_provider);
        let devices = self.session.device_class.values();
        let mut named = second.chain(devices.filter_map(|one| one.certificate_provider.as_ref()));
        if named.any(|id| !self.certificate_providers.iter().any(|known| known.id == *id)) {
            return Err((
                "certificate_provider.id",
                "is not the one that another part of the configuration names",
            ));
        }
        Ok(())
    }

    /// Whether a browser is asked for a certificate in the handshake.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        let directories = self.directories.iter().any(|one| !one.certificates_sha256.is_empty());
        let proxy = self.proxy.as_ref().is_some_and(|proxy| proxy.certificate_sha256.is_some());
        !self.certificate_providers.is_empty() || directories || proxy
    }
}

impl CertificateProviderConfig {
    pub(super) fn check(&self, ours: &Ori) -> Result<(), Wrong> {
        let numbers = |all: &[String]| {
            all.len() <= 32 && all.iter().all(|one| keys::cert::is_object_identifier(one))
        };
        if !numbers(&self.policies) {
            return Err((
                "certificate_provider.policies",
                "are up to 32 dotted numbers, such as 2.16.840.1.101.3.2.1.3.13",
            ));
        }
        if !numbers(&self.purposes) {
            return Err(("certificate_provider.purposes", "are up to 32 dotted numbers"));
        }
        if self.multi_factor && self.policies.is_empty() {
            let what = "needs `policies`: without one nothing says that the keys are on cards";
            return Err(("certificate_provider.multi_factor", what));
        }
        let asked =
            !self.crl_files.is_empty() || !self.crl_urls.is_empty() || self.ocsp_url.is_some();
        if asked == self.without_revocation {
            let what = "is given, or `crl_files`, `crl_urls` or `ocsp_url`, and not both";
            return Err(("certificate_provider.without_revocation", what));
        }
        if self.crl_files.len() + self.crl_urls.len() > LISTS_MAX {
            return Err(("certificate_provider.crl_files", "and `crl_urls` are 16 at most"));
        }
        if self.crl_stale_hours > STALE_HOURS_MAX {
            return Err(("certificate_provider.crl_stale_hours", "is 0 to 168"));
        }
        let mut urls = self.crl_urls.iter().chain(&self.ocsp_url);
        if urls.clone().any(|url| identity::oidc::discovery::Place::of(url).is_none()) {
            let what = "and `ocsp_url` are https, or http on this machine: see docs/identity.md";
            return Err(("certificate_provider.crl_urls", what));
        }
        if urls.any(|url| url.starts_with("https://")) && self.ca.is_none() {
            return Err(("certificate_provider.ca", "must be given where an address is https"));
        }
        if self.agency.as_ref().is_some_and(|agency| agency != ours) && self.functions.is_none() {
            let what = "must be given where `agency` is another one: it says what guests may be";
            return Err(("certificate_provider.functions", what));
        }
        Ok(())
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        let files = self.crl_files.iter_mut().chain(&mut self.ca);
        files.chain([&mut self.authorities]).for_each(|path| *path = base.join(&*path));
    }
}

impl ProxyConfig {
    /// Where it calls from.
    pub(crate) fn networks(&self) -> Result<Vec<Network>, &'static str> {
        self.addresses.iter().map(|one| one.parse()).collect()
    }

    pub(super) fn check(&self) -> Result<(), Wrong> {
        if self.addresses.is_empty() || self.networks().is_err() {
            return Err((
                "proxy.addresses",
                "has an address, or a range such as 10.9.0.0/16, for each",
            ));
        }
        if self.secret_file.is_some() == self.certificate_sha256.is_some() {
            return Err(("proxy.secret_file", "or `certificate_sha256` is given, and not both"));
        }
        if self.certificate_sha256.as_ref().is_some_and(|hash| hash_of(hash).is_none()) {
            return Err(("proxy.certificate_sha256", "is 64 hexadecimal digits"));
        }
        let named = [&self.certificate_header, &self.address_header].into_iter().flatten();
        let name = |name: &String| http::HeaderName::from_bytes(name.as_bytes()).is_ok();
        if !named.into_iter().all(name) {
            return Err(("proxy.certificate_header", "and `address_header` are names of headers"));
        }
        Ok(())
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        self.secret_file.iter_mut().for_each(|path| *path = base.join(&*path));
    }
}
