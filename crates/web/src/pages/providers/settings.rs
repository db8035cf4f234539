//! What the agency decides about a provider that is being set up, from a form to the block of `bailiwick.toml`.
//!
//! Invariant: a draft is tried with what its block says, read by the same code that reads the configuration. So what
//! was tried is what is pasted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use identity::IdpSettings;
use identity::saml::trust::Trust;
use jiff::Timestamp;
use serde::Deserialize;

use crate::config::{Config, IdentityProviderConfig};
use crate::problem::Problem;
use crate::providers::known;
use crate::session::field;

/// Longest value of a field, in bytes; a list of groups may be long.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// Lines of one field.
const LINES_MAX: usize = 200;

/// Where the server will have the metadata from.
pub(super) const SOURCES: [(&str, &str); 3] = [
    ("file", "a file beside the configuration, held to this SHA-256"),
    ("address", "an address, held to this SHA-256"),
    ("signed", "an address, held to the signer that is shown below"),
];

/// NameID formats that can be demanded.
pub(super) const FORMATS: [(&str, &str); 4] = [
    ("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent", "persistent (recommended)"),
    ("urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified", "unspecified"),
    ("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress", "e-mail address"),
    ("", "whatever comes"),
];

/// The names of the form's fields, which are those of the settings.
pub(super) const FIELDS: [&str; 17] = [
    "id",
    "label",
    "source",
    "metadata_url",
    "agency",
    "mfa_contexts",
    "mfa_attribute_name",
    "mfa_attribute_value",
    "functions_attribute",
    "functions_map",
    "functions",
    "functions_from",
    "name_attribute",
    "name_id_format",
    "agency_attribute",
    "oaep_sha1",
    "create_accounts",
];

/// The fields of the form, typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Typed(Vec<(String, String)>);

impl Typed {
    /// Takes what the form knows. A box that is ticked twice or more makes lines.
    ///
    /// # Errors
    /// Names the field that is too long.
    pub(super) fn read(fields: &[(String, String)]) -> Result<Self, Problem> {
        let mut typed = Vec::new();
        for name in FIELDS {
            let values =
                fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value.trim());
            let value = values.collect::<Vec<_>>().join("\n").replace("\r\n", "\n");
            if value.len() > VALUE_BYTES_MAX || value.lines().count() > LINES_MAX {
                return Err(Problem::bad_input(format!("The field `{name}` is too long.")));
            }
            typed.push((name.to_owned(), value));
        }
        Ok(Self(typed))
    }

    pub(super) fn from_draft(kept: &[(String, String)]) -> Self {
        Self(kept.to_vec())
    }

    /// As the draft keeps them.
    pub(super) fn kept(&self) -> Vec<(String, String)> {
        self.0.clone()
    }

    pub(super) fn text(&self, name: &str) -> &str {
        field(&self.0, name)
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        self.text(name) == "yes"
    }

    pub(super) fn lines(&self, name: &str) -> Vec<&str> {
        self.text(name).lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }
}

/// A draft's block, and the provider as it describes it.
pub(super) struct Described {
    pub(super) block: String,
    pub(super) declared: IdentityProviderConfig,
    pub(super) settings: IdpSettings,
}

/// The provider that the fields and the metadata describe.
///
/// # Errors
/// Words for the person: what is wrong in which field, or with the metadata.
pub(super) fn described(
    config: &Config,
    typed: &Typed,
    metadata: &[u8],
    now: Timestamp,
) -> Result<Described, String> {
    let block = block(typed, metadata)?;
    let declared = declared(config, &block)?;
    let settings = known(config, &declared, &Trust::Placed, metadata, now).map_err(|refusal| {
        format!("The metadata is refused: {} ({}).", refusal.detail, refusal.code)
    })?;
    settings.check().map_err(|what| format!("The settings are not complete: {what}."))?;
    Ok(Described { block, declared, settings })
}

/// The block of the configuration, in the order in which people think of it.
fn block(typed: &Typed, metadata: &[u8]) -> Result<String, String> {
    let mut out = String::from("[[identity_provider]]\n");
    let mut line = |key: &str, value: toml::Value| {
        // Writing to a String can't fail.
        writeln!(out, "{key} = {value}").unwrap_or_default();
    };
    let text = |name: &str| toml::Value::from(typed.text(name));
    let given = |name: &str| !typed.text(name).is_empty();
    let all = |name: &str| {
        let lines = typed.lines(name).into_iter().map(toml::Value::from);
        toml::Value::Array(lines.collect())
    };
    line("id", text("id"));
    line("label", text("label"));
    let hash = toml::Value::from(hex::encode(keys::digest::sha256(metadata)));
    if typed.text("source") == "file" || !given("source") {
        line("metadata", toml::Value::from(file_name(typed)));
        line("metadata_sha256", hash);
    } else {
        line("metadata_url", text("metadata_url"));
        if typed.text("metadata_url").starts_with("https://") {
            line("metadata_ca", toml::Value::from("metadata-authority.pem"));
        }
        match typed.text("source") {
            "signed" => line("metadata_signer", toml::Value::from(signer_name(typed))),
            _ => line("metadata_sha256", hash),
        }
    }
    if given("agency") {
        line("agency", text("agency"));
    }
    line("mfa_contexts", all("mfa_contexts"));
    if given("mfa_attribute_name") {
        let pair = [("name", "mfa_attribute_name"), ("value", "mfa_attribute_value")];
        let table = pair.into_iter().map(|(key, name)| (key.to_owned(), text(name)));
        line("mfa_attribute", toml::Value::Table(table.collect()));
    }
    for name in ["functions_attribute", "name_attribute", "name_id_format", "agency_attribute"] {
        if given(name) {
            line(name, text(name));
        }
    }
    let map = functions_map(typed)?;
    if !map.is_empty() {
        let table = map.into_iter().map(|(group, function)| (group, toml::Value::from(function)));
        line("functions_map", toml::Value::Table(table.collect()));
    }
    if given("functions") {
        line("functions", all("functions"));
    }
    if typed.text("functions_from") == "account" {
        line("functions_from", text("functions_from"));
    }
    for name in ["oaep_sha1", "create_accounts"] {
        if typed.is_on(name) {
            line(name, toml::Value::from(true));
        }
    }
    Ok(out)
}

/// `group = function` lines. A group's name may hold `=`, a function's can't.
fn functions_map(typed: &Typed) -> Result<BTreeMap<String, String>, String> {
    let mut map = BTreeMap::new();
    for line in typed.lines("functions_map") {
        let pair = line.rsplit_once('=').map(|(group, function)| (group.trim(), function.trim()));
        let Some((group, function)) = pair.filter(|(group, _)| !group.is_empty()) else {
            return Err(format!(
                "The line `{line}` of the groups is not of the form `group = function`."
            ));
        };
        if !identity::functions::known().any(|known| known == function) {
            return Err(format!("The groups name a job function that is not known: `{function}`."));
        }
        if map.insert(group.to_owned(), function.to_owned()).is_some() {
            return Err(format!("The group `{group}` is there twice."));
        }
    }
    Ok(map)
}

/// Reads a block as the server's start will.
fn declared(config: &Config, block: &str) -> Result<IdentityProviderConfig, String> {
    #[derive(Deserialize)]
    struct Block {
        identity_provider: Vec<IdentityProviderConfig>,
    }
    // The parser's own words quote what was typed, in a place of the block.
    let read: Block = toml::from_str(block)
        .map_err(|error| format!("The settings can't be used: {}.", error.message()))?;
    let mut all = read.identity_provider.into_iter();
    let declared = all.next().ok_or("The settings can't be used.")?;
    declared
        .check(&config.agency.ori)
        .map_err(|(key, what)| format!("The setting `{key}` {what}."))?;
    let address = declared.metadata_url.as_deref().map(str::parse::<http::Uri>);
    let found = |uri: &http::Uri| {
        uri.host().is_some() && matches!(uri.scheme_str(), Some("https" | "http"))
    };
    if address.is_some_and(|address| !address.is_ok_and(|uri| found(&uri))) {
        return Err("The metadata's address is not an https address.".to_owned());
    }
    if declared.label.is_empty() || declared.label.chars().count() > 100 {
        return Err("Give a name for the sign-in page, of at most 100 characters.".to_owned());
    }
    Ok(declared)
}

/// What the metadata's file is called beside the configuration.
pub(super) fn file_name(typed: &Typed) -> String {
    format!("metadata-{}.xml", typed.text("id"))
}

/// What the file of the metadata's signer is called beside the configuration.
pub(super) fn signer_name(typed: &Typed) -> String {
    format!("metadata-signer-{}.pem", typed.text("id"))
}

/// The form's fields as a guide would have them. Whatever it says nothing of is empty.
pub(super) fn defaults(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let all = FIELDS.iter().filter(|name| !matches!(**name, "id" | "label"));
    let value = |name: &str| match fields.iter().find(|(key, _)| *key == name) {
        Some((_, value)) => *value,
        None if name == "source" => "file",
        None if name == "functions_from" => "provider",
        None => "",
    };
    all.map(|name| ((*name).to_owned(), value(name).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pairs: &[(&str, &str)]) -> Typed {
        let fields: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Typed::read(&fields).unwrap()
    }

    const LEAST: [(&str, &str); 5] = [
        ("id", "county"),
        ("label", "County \"sign-in\""),
        ("source", "file"),
        ("functions_attribute", "groups"),
        ("mfa_contexts", "https://refeds.org/profile/mfa\r\nurn:x"),
    ];

    #[test]
    fn what_is_typed_becomes_a_block_and_nothing_typed_leaves_its_quotes() {
        let mut pairs = LEAST.to_vec();
        pairs.push(("functions_map", "CN=Detectives, OU=\"A\" = detective\nClerks=records-clerk"));
        pairs.extend([("functions", "detective"), ("functions", "records-clerk")]);
        let text = block(&typed(&pairs), b"<a/>").unwrap();
        let read: toml::Table = text.parse().unwrap();
        let one = read["identity_provider"][0].clone();
        assert_eq!(one["label"].as_str(), Some("County \"sign-in\""));
        assert_eq!(one["metadata"].as_str(), Some("metadata-county.xml"));
        assert_eq!(one["mfa_contexts"].as_array().unwrap().len(), 2);
        assert_eq!(one["functions_map"]["CN=Detectives, OU=\"A\""].as_str(), Some("detective"));
        assert_eq!(one["functions"].as_array().unwrap().len(), 2);
        assert_eq!(one.get("create_accounts"), None);
    }

    #[test]
    fn an_address_is_held_to_a_hash_or_a_signer() {
        let mut pairs = LEAST.to_vec();
        pairs[2] = ("source", "address");
        pairs.push(("metadata_url", "https://idp.example/md"));
        let text = block(&typed(&pairs), b"<a/>").unwrap();
        assert!(text.contains("metadata_sha256 = ") && text.contains("metadata_ca = "), "{text}");
        pairs[2] = ("source", "signed");
        let text = block(&typed(&pairs), b"<a/>").unwrap();
        assert!(text.contains("metadata_signer = ") && !text.contains("sha256"), "{text}");
    }

    #[test]
    fn groups_that_can_t_be_read_are_named() {
        for (lines, words) in [
            ("Detectives", "not of the form"),
            (" = detective", "not of the form"),
            ("Detectives = chief-of-everything", "not known"),
            ("A = detective\nA = supervisor", "twice"),
        ] {
            let mut pairs = LEAST.to_vec();
            pairs.push(("functions_map", lines));
            let error = block(&typed(&pairs), b"").unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        assert!(Typed::read(&[("label".to_owned(), long)]).is_err());
        assert!(Typed::read(&[("functions".to_owned(), "x\n".repeat(LINES_MAX + 1))]).is_err());
    }
}
