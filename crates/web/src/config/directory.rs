//! `[[directory]]`: who keeps people and groups current by SCIM.

use std::collections::BTreeMap;

use identity::directory::NameFrom;
use policy::Function;
use serde::Deserialize;

use super::{Config, hash_of};

/// The most certificates of one directory.
const PINS_MAX: usize = 4;
/// The longest id, in bytes.
const ID_BYTES_MAX: usize = 40;

/// A directory of an identity provider's people. Its tokens are made with `bailiwick scim token make`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryConfig {
    /// A short name; never change it: what the directory made is found by it.
    pub id: String,
    /// The id of the identity provider whose people it keeps. With `functions_from = "account"` there, the
    /// directory's groups give functions, by `functions_map`.
    pub identity_provider: String,
    /// Which attribute is the name that the identity provider gives a person (SAML's NameID): `userName` or
    /// `externalId`.
    #[serde(default)]
    pub name_from: NameFrom,
    /// The directory's names for functions, where it keeps the people of a `[[certificate_provider]]`, which has none.
    #[serde(default)]
    pub functions_map: BTreeMap<String, Function>,
    /// SHA-256 (hex) of the client certificates that it shows instead of a token; two while one follows another.
    #[serde(default)]
    pub certificates_sha256: Vec<String>,
}

/// What is wrong with the directories, with the key that it is in.
pub(super) fn check(config: &Config) -> Result<(), (&'static str, &'static str)> {
    let directories = &config.directories;
    let saml = config.identity_providers.iter().map(|provider| &provider.id);
    let cards = config.certificate_providers.iter().map(|provider| &provider.id);
    let providers: Vec<&String> = saml.chain(cards).collect();
    for (at, directory) in directories.iter().enumerate() {
        let id = directory.id.as_str();
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=ID_BYTES_MAX).contains(&id.len()) || !id.bytes().all(letters) {
            return Err(("directory.id", "has 1 to 40 small letters, digits and dashes"));
        }
        if directories.iter().skip(at + 1).any(|other| other.id == id) {
            return Err(("directory.id", "is there twice"));
        }
        let pins = &directory.certificates_sha256;
        if pins.len() > PINS_MAX || pins.iter().any(|pin| hash_of(pin).is_none()) {
            return Err((
                "directory.certificates_sha256",
                "has up to 4 times 64 hexadecimal digits",
            ));
        }
        let saml =
            config.identity_providers.iter().any(|one| one.id == directory.identity_provider);
        if saml && !directory.functions_map.is_empty() {
            return Err((
                "directory.functions_map",
                "is the identity provider's where it is one of SAML",
            ));
        }
        let mut others =
            directories.iter().skip(at + 1).flat_map(|other| &other.certificates_sha256);
        if others.any(|other| pins.iter().any(|pin| pin.eq_ignore_ascii_case(other))) {
            return Err(("directory.certificates_sha256", "is of one directory alone"));
        }
        let shown = config.listen.certificate.is_some() || config.proxy.is_some();
        if !pins.is_empty() && !shown {
            return Err((
                "directory.certificates_sha256",
                "needs `listen.certificate` or `[proxy]`: nobody could show one",
            ));
        }
        if !providers.contains(&&directory.identity_provider) {
            return Err(("directory.identity_provider", "is no identity provider's id"));
        }
    }
    Ok(())
}
