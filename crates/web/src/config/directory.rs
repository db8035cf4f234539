//! `[[directory]]`: who keeps people and groups current by SCIM.

use identity::directory::NameFrom;
use serde::Deserialize;

use super::IdentityProviderConfig;

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
}

/// What is wrong with the directories, with the key that it is in.
pub(super) fn check(
    directories: &[DirectoryConfig],
    providers: &[IdentityProviderConfig],
) -> Result<(), (&'static str, &'static str)> {
    for (at, directory) in directories.iter().enumerate() {
        let id = directory.id.as_str();
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=ID_BYTES_MAX).contains(&id.len()) || !id.bytes().all(letters) {
            return Err(("directory.id", "has 1 to 40 small letters, digits and dashes"));
        }
        if directories.iter().skip(at + 1).any(|other| other.id == id) {
            return Err(("directory.id", "is there twice"));
        }
        if !providers.iter().any(|provider| provider.id == directory.identity_provider) {
            return Err(("directory.identity_provider", "is no identity provider's id"));
        }
    }
    Ok(())
}
