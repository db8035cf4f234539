//! `[[ldap]]`: directories that are asked who is in which group, at each sign-in and every few minutes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use identity::ldap::{Filter, LdapSettings};
use serde::Deserialize;

use super::Config;

/// A directory (Active Directory, OpenLDAP), asked over LDAPS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LdapConfig {
    /// A short name, for the record.
    pub id: String,
    /// The id of the identity provider whose people it knows. Their groups give functions, by `functions_map`.
    pub identity_provider: String,
    /// Host name, as in its certificate.
    pub host: String,
    /// Port of LDAPS.
    #[serde(default = "port_default")]
    pub port: u16,
    /// The authority (PEM) that the server's certificate must come from.
    pub ca_file: PathBuf,
    /// Whom to sign in as. It needs to read people and groups, and nothing else.
    pub bind_dn: String,
    /// A file with its password, mode 0600.
    pub password_file: PathBuf,
    /// Where people are looked for.
    pub people_base: String,
    /// Finds a person by `{name}`, the name that the identity provider gives (SAML's NameID).
    pub person_filter: String,
    /// Where groups are looked for; `people_base` unless given.
    pub groups_base: Option<String>,
    /// Finds a person's groups by `{dn}` or `{name}`. The default is Active Directory's, nested groups included.
    #[serde(default = "groups_filter_default")]
    pub groups_filter: String,
    /// The attribute that names a group. Its DN is a name of it too.
    #[serde(default = "group_name_default")]
    pub group_name: String,
    /// How often those are asked about again who are signed in, in minutes; 1 to 60.
    #[serde(default = "every_default")]
    pub every_minutes: u32,
    /// How long sessions go on while it can't be asked, in minutes; 1 to 720.
    #[serde(default = "silent_default")]
    pub silent_minutes_max: u32,
    /// Whether people may sign in, with the functions that they have, while it can't be asked.
    #[serde(default)]
    pub admits_unasked: bool,
    /// How long a connection or an answer may take, in seconds; 1 to 60.
    #[serde(default = "wait_default")]
    pub wait_seconds: u32,
}

const fn port_default() -> u16 {
    636
}

fn groups_filter_default() -> String {
    "(member:1.2.840.113556.1.4.1941:={dn})".to_owned()
}

fn group_name_default() -> String {
    "cn".to_owned()
}

const fn every_default() -> u32 {
    5
}

const fn silent_default() -> u32 {
    60
}

const fn wait_default() -> u32 {
    10
}

impl LdapConfig {
    /// What the settings say; `None` for a filter that is none, which [`check`] has refused.
    pub(crate) fn settings(&self) -> Option<LdapSettings> {
        Some(LdapSettings {
            id: self.id.clone(),
            idp: self.identity_provider.clone(),
            host: self.host.clone(),
            port: self.port,
            bind_dn: self.bind_dn.clone(),
            people_base: self.people_base.clone(),
            person: Filter::read(&self.person_filter).ok()?,
            groups_base: self.groups_base.as_ref().unwrap_or(&self.people_base).clone(),
            groups: Filter::read(&self.groups_filter).ok()?,
            group_name: self.group_name.clone(),
            wait_max: Duration::from_secs(self.wait_seconds.into()),
            admits_unasked: self.admits_unasked,
        })
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        self.ca_file = base.join(&self.ca_file);
        self.password_file = base.join(&self.password_file);
    }

    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=40).contains(&self.id.len()) || !self.id.bytes().all(letters) {
            return Err(("ldap.id", "has 1 to 40 small letters, digits and dashes"));
        }
        match Filter::read(&self.person_filter) {
            Ok(filter) if filter.asks() == (true, false) => {}
            Ok(_) => return Err(("ldap.person_filter", "asks for `{name}`, and not for `{dn}`")),
            Err(error) => return Err(("ldap.person_filter", error.what)),
        }
        match Filter::read(&self.groups_filter) {
            Ok(filter) if filter.asks() != (false, false) => {}
            Ok(_) => return Err(("ldap.groups_filter", "asks for `{dn}` or `{name}`")),
            Err(error) => return Err(("ldap.groups_filter", error.what)),
        }
        if self.bind_dn.is_empty() {
            return Err(("ldap.bind_dn", "is empty: directories are not asked anonymously"));
        }
        for (key, value, most) in [
            ("ldap.every_minutes", self.every_minutes, 60),
            ("ldap.silent_minutes_max", self.silent_minutes_max, 720),
            ("ldap.wait_seconds", self.wait_seconds, 60),
        ] {
            if !(1..=most).contains(&value) {
                return Err((key, "is at least 1, and at most 60 (`silent_minutes_max`: 720)"));
            }
        }
        Ok(())
    }
}

/// What is wrong with the directories, with the key that it is in.
pub(super) fn check(config: &Config) -> Result<(), (&'static str, &'static str)> {
    for (at, ldap) in config.ldap.iter().enumerate() {
        ldap.check()?;
        let saml = config.identity_providers.iter().map(|one| &one.id);
        let mut known = saml.chain(config.oidc_providers.iter().map(|one| &one.id));
        if !known.any(|id| *id == ldap.identity_provider) {
            return Err(("ldap.identity_provider", "is no identity provider's id"));
        }
        let mut before = config.ldap.iter().take(at);
        if before.any(|other| other.identity_provider == ldap.identity_provider) {
            return Err(("ldap.identity_provider", "has two directories that are asked"));
        }
        if config.directories.iter().any(|one| one.identity_provider == ldap.identity_provider) {
            return Err((
                "ldap.identity_provider",
                "has a `[[directory]]` already, which tells by itself",
            ));
        }
    }
    Ok(())
}
