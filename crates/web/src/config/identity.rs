//! `[[identity_provider]]` and `[saml]`: who proves identities, and with which keys we speak to them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use policy::{Function, Ori};
use serde::Deserialize;

use super::SecondFactorConfig;

/// The highest number of a service key.
const KEY_MAX: u32 = 9999;

/// One SAML 2.0 identity provider: the agency's own, or a partner's for guests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityProviderConfig {
    /// A short name, part of every account key from this provider; never change it.
    pub id: String,
    /// What people see on the sign-in page.
    pub label: String,
    /// Its SAML metadata (XML): a file, which is read again when it changes.
    pub metadata: Option<PathBuf>,
    /// Where its metadata is fetched instead, daily. It must be signed by `metadata_signer` or have
    /// `metadata_sha256`. Over `https`, or `http` on this machine.
    pub metadata_url: Option<String>,
    /// The authority (PEM) that the server at `metadata_url` must have its certificate from.
    pub metadata_ca: Option<PathBuf>,
    /// Certificates (PEM), one of which must have signed the metadata.
    pub metadata_signer: Option<PathBuf>,
    /// The SHA-256 (hex) that the metadata must have.
    pub metadata_sha256: Option<String>,
    /// The agency whose people it signs in; this agency unless given. Another one's people are guests.
    pub agency: Option<Ori>,
    /// AuthnContext classes that count as multi-factor; all others are refused (IA-2(1)).
    pub mfa_contexts: Vec<String>,
    /// An attribute and the value of it that states more than one factor, for providers that do not state
    /// it in the context.
    pub mfa_attribute: Option<MfaAttribute>,
    /// The client certificate that makes its single factor two, for a provider that states no more.
    pub second_factor: Option<SecondFactorConfig>,
    /// The attribute that carries job functions.
    #[serde(default = "functions_attribute_default")]
    pub functions_attribute: String,
    /// The provider's own names for functions, such as directory groups.
    #[serde(default)]
    pub functions_map: BTreeMap<String, Function>,
    /// The functions that this provider may give, whatever it says; must be given for guests. Absent: all.
    pub functions: Option<Vec<Function>>,
    /// Whose word counts for functions: the provider's (`provider`), or what a directory or an administrator
    /// wrote into the account (`account`).
    #[serde(default)]
    pub functions_from: FunctionsFrom,
    /// Whether a person without an account gets one by signing in. Otherwise accounts are made beforehand.
    #[serde(default)]
    pub create_accounts: bool,
    /// The attribute that carries the person's ORI; when given, it must be the provider's agency.
    pub agency_attribute: Option<String>,
    /// The attribute that carries the person's name.
    #[serde(default = "name_attribute_default")]
    pub name_attribute: String,
    /// The NameID format that is demanded, if one is.
    pub name_id_format: Option<String>,
    /// Whether keys of encrypted assertions may be wrapped by OAEP with SHA-1, for a provider that knows no
    /// other.
    #[serde(default)]
    pub oaep_sha1: bool,
}

/// Where a person's functions come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FunctionsFrom {
    /// From each sign-in. A provider that says nothing of functions leaves those of the account.
    #[default]
    Provider,
    /// From the account.
    Account,
}

/// How a provider states more than one factor by an attribute.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MfaAttribute {
    /// The attribute's Name.
    pub name: String,
    /// The value that it must have among its values.
    pub value: String,
}

/// Our keys towards SAML providers, by number: a key is made when its number first appears here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamlConfig {
    /// Signs our requests, and is shown in our metadata.
    #[serde(default = "key_default")]
    pub key: u32,
    /// Will follow. It is shown too, and assertions that are encrypted to it are opened.
    pub next_key: Option<u32>,
    /// Has been followed. It is no longer shown; what is encrypted to it is still opened.
    pub previous_key: Option<u32>,
}

impl Default for SamlConfig {
    fn default() -> Self {
        Self { key: key_default(), next_key: None, previous_key: None }
    }
}

const fn key_default() -> u32 {
    1
}

fn functions_attribute_default() -> String {
    "functions".to_owned()
}

fn name_attribute_default() -> String {
    "displayName".to_owned()
}

impl SamlConfig {
    /// The numbers of all keys that open, newest first.
    pub fn opening(&self) -> impl Iterator<Item = u32> {
        self.next_key.into_iter().chain([self.key]).chain(self.previous_key)
    }

    /// What is wrong with it, with the key that it is in.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let numbers: Vec<u32> = self.opening().collect();
        if numbers.iter().any(|number| !(1..=KEY_MAX).contains(number)) {
            return Err(("saml.key", "and the others are 1 to 9999"));
        }
        let distinct: std::collections::BTreeSet<&u32> = numbers.iter().collect();
        if distinct.len() < numbers.len() {
            return Err(("saml.key", "`next_key` and `previous_key` are three different numbers"));
        }
        Ok(())
    }
}

impl IdentityProviderConfig {
    pub(crate) fn check(&self, ours: &Ori) -> Result<(), (&'static str, &'static str)> {
        let guests = self.agency.as_ref().is_some_and(|agency| agency != ours);
        if guests && self.functions.is_none() {
            let what = "must be given where `agency` is another one: it says what guests may be";
            return Err(("identity_provider.functions", what));
        }
        if self.metadata.is_some() == self.metadata_url.is_some() {
            return Err(("identity_provider.metadata", "or `metadata_url` is given, and not both"));
        }
        if self.metadata_signer.is_some() && self.metadata_sha256.is_some() {
            return Err((
                "identity_provider.metadata_signer",
                "and `metadata_sha256` exclude each other",
            ));
        }
        let unproven = self.metadata_signer.is_none() && self.metadata_sha256.is_none();
        if self.metadata_url.is_some() && unproven {
            let what = "needs `metadata_signer` or `metadata_sha256`: what comes over the network must prove itself";
            return Err(("identity_provider.metadata_url", what));
        }
        if self.metadata_sha256.as_ref().is_some_and(|hash| hash_of(hash).is_none()) {
            return Err(("identity_provider.metadata_sha256", "is 64 hexadecimal digits"));
        }
        let secure = self.metadata_url.as_ref().is_some_and(|url| url.starts_with("https://"));
        if secure && self.metadata_ca.is_none() {
            return Err((
                "identity_provider.metadata_ca",
                "must be given where `metadata_url` is https",
            ));
        }
        Ok(())
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        [&mut self.metadata, &mut self.metadata_ca, &mut self.metadata_signer]
            .into_iter()
            .flatten()
            .for_each(|path| *path = base.join(&*path));
    }
}

/// A SHA-256 in hexadecimal.
pub fn hash_of(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
}
