//! Sign-in as it is set up: the identity providers with what the agency decides about them, and our own keys.
//!
//! Invariant: a certificate of ours is made once and kept, so that what providers have pinned stays true over
//! restarts.

pub(crate) mod certificates;
pub mod holds;
pub mod metadata;
mod oidc;
mod signals;
pub mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use identity::saml::trust::{Trust, believed};
use identity::{AccountRules, Identity, IdpSettings, Refusal, ServiceKeys, SessionLimits};
use jiff::{SignedDuration, Timestamp};
use keys::cert::{CertSpec, Certificate, Usage, issue_rsa, issue_rsa_for};
use keys::keyring::Keyring;
use keys::mac::MacKey;
use keys::sign::{RsaBits, RsaKey};
use keys::transport::TransportKey;
use keys::{Clock, Random};
use state::State;

use crate::agency::{StartError, make_folder};
use crate::config::{Config, FunctionsFrom, IdentityProviderConfig, classes};
use crate::providers::certificates::RevocationLists;
pub(crate) use crate::providers::certificates::second_factor;
use crate::providers::metadata::Source;
use crate::providers::watch::{Providers, Watched};

/// How long our certificates are for. Providers compare keys, not dates; some show the date to their people.
const CERTIFICATE_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 5);

/// The largest certificate of ours that is read back, in bytes.
const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// The mode of a file that holds nothing secret.
const MODE_SHOWN: u32 = 0o644;

/// Sign-in, with every provider whose metadata is at hand; and what is known of all of them.
pub(crate) fn open_identity(
    config: &Config,
    state: State,
    ring: &Keyring,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<(Identity, Providers, RevocationLists), StartError> {
    let now = clock.now();
    let failed = |error: identity::IdentityError| StartError::Identity(Box::new(error));
    let url = &config.listen.public_url;
    let limits = SessionLimits {
        idle_max: SignedDuration::from_mins(i64::from(config.session.idle_minutes)),
        ..SessionLimits::CJIS
    };
    let settings = identity::Settings {
        entity_id: format!("{url}/saml/metadata"),
        acs_url: format!("{url}/saml/acs"),
        slo_url: format!("{url}/saml/slo"),
        limits,
    };
    let guests = config.guests().map(|guests| {
        let url = &guests.public_url;
        identity::Place {
            entity_id: format!("{url}/saml/metadata"),
            acs_url: format!("{url}/saml/acs"),
            slo_url: format!("{url}/saml/slo"),
        }
    });
    let oidc_providers = oidc::open(config, ring, clock)?;
    let (mut providers, mut watched) = (Vec::new(), Vec::new());
    for provider in &config.identity_providers {
        let source = Source::open(config, provider, clock)?;
        let at_hand = source.at_hand()?;
        if let Some(xml) = &at_hand {
            let refused = |refusal| StartError::Identity(Box::new(refusal));
            providers.push(known(config, provider, &source.trust, xml, now).map_err(refused)?);
        }
        watched.push(Watched::new(source, at_hand.as_deref(), now));
    }
    let (holders, lists) = certificates::open(config, clock)?;
    let devices = classes(&config.session.device_class);
    let devices =
        devices.map_err(|(key, what)| StartError::Identity(format!("`{key}` {what}").into()))?;
    let identity = Identity::new(state, settings, providers, random.clone())
        .and_then(|identity| identity.with_oidc(oidc_providers))
        .and_then(|identity| identity.with_certificates(holders))
        .and_then(|identity| identity.with_device_classes(devices))
        .map_err(failed)?
        .with_guests_at(guests)
        .with_streams(signals::open(config, clock)?)
        .with_requirements(config.qualifications.requirements());
    let keys = service_keys(config, ring, now, &**random)?;
    let ours = keys.signing_certificates.first().map_or(Timestamp::MAX, Certificate::not_after);
    Ok((identity.with_keys(keys), Providers::new(watched, ours), lists))
}

/// A provider as its metadata and the agency's settings together describe it.
pub(crate) fn known(
    config: &Config,
    provider: &IdentityProviderConfig,
    trust: &Trust,
    xml: &[u8],
    now: Timestamp,
) -> Result<IdpSettings, Refusal> {
    let xml = believed(xml, trust)?;
    let agency = provider.agency.as_ref().unwrap_or(&config.agency.ori).clone();
    let mut known = IdpSettings::from_metadata(&provider.id, agency, &xml, now)?;
    known.label.clone_from(&provider.label);
    known.mfa_contexts.clone_from(&provider.mfa_contexts);
    let attribute = provider.mfa_attribute.as_ref();
    known.mfa_attribute = attribute.map(|by| (by.name.clone(), by.value.clone()));
    known.second_factor = second_factor(provider.second_factor.as_ref());
    known.oaep_sha1 = provider.oaep_sha1;
    known.name_id_format.clone_from(&provider.name_id_format);
    known.function_attribute.clone_from(&provider.functions_attribute);
    known.function_map.clone_from(&provider.functions_map);
    known.functions_allowed =
        provider.functions.as_ref().map(|functions| functions.iter().cloned().collect());
    known.name_attribute.clone_from(&provider.name_attribute);
    known.agency_attribute.clone_from(&provider.agency_attribute);
    known.accounts = AccountRules {
        create: provider.create_accounts,
        guests: known.agency != config.agency.ori,
        functions_from_account: provider.functions_from == FunctionsFrom::Account,
    };
    Ok(known)
}

/// Our own keys, and the certificates that show them; made where they are missing.
fn service_keys(
    config: &Config,
    ring: &Keyring,
    now: Timestamp,
    random: &dyn Random,
) -> Result<ServiceKeys, StartError> {
    let failed = |source| StartError::Keys { doing: "open the keys for sign-in", source };
    let folder = config.data.folder.join("saml");
    make_folder(&folder)?;
    let certificates = Certificates { config, folder: &folder, now, random };
    let key = |number: u32| ring.rsa(&format!("saml-signing-{number}"), RsaBits::Rsa3072);
    let present = key(config.saml.key).map_err(failed)?;
    let shown = certificates.signing(config.saml.key, &present)?;
    let mut signing_certificates = vec![shown.clone()];
    if let Some(next) = config.saml.next_key {
        let next_key = key(next).map_err(failed)?;
        signing_certificates.push(certificates.signing(next, &next_key)?);
    }
    let mut decryption = Vec::new();
    let mut encryption = None;
    for number in config.saml.opening() {
        let name = format!("saml-encryption-{number}");
        let key = ring.transport(&name, RsaBits::Rsa3072).map_err(failed)?;
        if encryption.is_none() {
            encryption = Some(certificates.encryption(number, &key, (&shown, &present))?);
        }
        decryption.push(key);
    }
    let missing = || failed(keys::KeysError::PublicKey { expected: "a key for encryption" });
    let encryption_certificate = encryption.ok_or_else(missing)?;
    let log_out = MacKey::from_bytes(ring.secret("saml-log-out", random).map_err(failed)?);
    Ok(ServiceKeys {
        signing: present,
        signing_certificates,
        decryption,
        encryption_certificate,
        log_out,
    })
}

/// Where our certificates are kept, and what goes into a new one.
struct Certificates<'a> {
    config: &'a Config,
    folder: &'a Path,
    now: Timestamp,
    random: &'a dyn Random,
}

impl Certificates<'_> {
    fn signing(&self, number: u32, key: &RsaKey) -> Result<Certificate, StartError> {
        let spki = key.public_spki().map_err(made)?;
        self.kept(&format!("signing-{number}.pem"), &spki, || {
            issue_rsa(&self.spec(Usage::SamlSigning), key, self.random)
        })
    }

    fn encryption(
        &self,
        number: u32,
        key: &TransportKey,
        issuer: (&Certificate, &RsaKey),
    ) -> Result<Certificate, StartError> {
        self.kept(&format!("encryption-{number}.pem"), key.public_spki(), || {
            let spec = self.spec(Usage::SamlEncryption);
            issue_rsa_for(&spec, key.public_spki(), issuer, self.random)
        })
    }

    fn spec(&self, usage: Usage) -> CertSpec {
        let day = SignedDuration::from_hours(24);
        CertSpec {
            subject_cn: "Bailiwick sign-in".to_owned(),
            organisation: self.config.agency.name.clone(),
            not_before: self.now.checked_sub(day).unwrap_or(self.now),
            not_after: self.now.checked_add(CERTIFICATE_LIFE).unwrap_or(Timestamp::MAX),
            usage,
            dns: Vec::new(),
            ips: Vec::new(),
            uris: Vec::new(),
        }
    }

    /// The certificate in this file, if it is of this key; otherwise a new one, which is then kept.
    fn kept(
        &self,
        file: &str,
        spki: &[u8],
        issue: impl FnOnce() -> Result<Certificate, keys::KeysError>,
    ) -> Result<Certificate, StartError> {
        let path: PathBuf = self.folder.join(file);
        if path.exists() {
            let bytes = keys::file::read(&path, CERTIFICATE_BYTES_MAX).map_err(made)?;
            let text = String::from_utf8_lossy(&bytes);
            let certificate = Certificate::from_pem(&text).map_err(made)?;
            // A folder that was put back beside another keyring would show a key that we do not have.
            if certificate.spki_der().map_err(made)? == spki {
                return Ok(certificate);
            }
        }
        let certificate = issue().map_err(made)?;
        let pem = certificate.pem();
        keys::file::replace(&keys::file::SystemDisk, &path, pem.as_bytes(), MODE_SHOWN)
            .map_err(made)?;
        Ok(certificate)
    }
}

fn made(source: keys::KeysError) -> StartError {
    StartError::Keys { doing: "make the certificates for sign-in", source }
}
