//! `[[oidc_provider]]`: OpenID Connect providers, and what the agency decides about each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use identity::AccountRules;
use identity::oidc::OidcSettings;
use policy::{Function, Ori};
use serde::Deserialize;

use super::{FunctionsFrom, SecondFactorConfig};
use crate::providers::second_factor;

/// One OpenID Connect provider: the agency's own, or a partner's for guests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcProviderConfig {
    /// A short name, part of every account key from this provider; never change it.
    pub id: String,
    /// What people see on the sign-in page.
    pub label: String,
    /// Its issuer, exactly as it writes it: `https`, or `http` on this machine.
    pub issuer: String,
    /// The authority (PEM) that its servers must have their certificates from; needed for `https`.
    pub ca: Option<PathBuf>,
    /// The name that it gave us.
    pub client_id: String,
    /// Hosts (`host` or `host:port`) beside the issuer's own at which its endpoints are.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Scopes to ask for beside `openid`.
    #[serde(default = "scopes_default")]
    pub scopes: Vec<String>,
    /// `acr` values that count as multi-factor and are asked for; all others are refused (IA-2(1)).
    #[serde(default)]
    pub acr_values: Vec<String>,
    /// Methods any of which in `amr` counts as multi-factor, such as `mfa` or `hwk`.
    #[serde(default)]
    pub amr_values: Vec<String>,
    /// The client certificate that makes its single factor two, for a provider that states no more.
    pub second_factor: Option<SecondFactorConfig>,
    /// Whom our signed assertions are for: its issuer, or its token endpoint where it demands that.
    #[serde(default)]
    pub assertion_audience: AssertionAudience,
    /// Whether claims are also asked for at its userinfo endpoint.
    #[serde(default)]
    pub userinfo: bool,
    /// The agency whose people it signs in; this agency unless given. Another one's people are guests.
    pub agency: Option<Ori>,
    /// The claim that carries job functions.
    #[serde(default = "functions_claim_default")]
    pub functions_claim: String,
    /// The provider's own names for functions, such as directory groups.
    #[serde(default)]
    pub functions_map: BTreeMap<String, Function>,
    /// The functions that this provider may give, whatever it says; must be given for guests. Absent: all.
    pub functions: Option<Vec<Function>>,
    /// Whose word counts for functions, as for SAML providers.
    #[serde(default)]
    pub functions_from: FunctionsFrom,
    /// Whether a person without an account gets one by signing in. Otherwise accounts are made beforehand.
    #[serde(default)]
    pub create_accounts: bool,
    /// The claim that carries the person's ORI; when given, it must be the provider's agency.
    pub agency_claim: Option<String>,
    /// The claim that carries the person's name.
    #[serde(default = "name_claim_default")]
    pub name_claim: String,
    /// Whether it is only tried: administrators try it on its page, and nobody signs in through it.
    #[serde(default)]
    pub trial: bool,
}

/// Whom our assertions are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssertionAudience {
    #[default]
    Issuer,
    TokenEndpoint,
}

fn scopes_default() -> Vec<String> {
    vec!["profile".to_owned()]
}

fn functions_claim_default() -> String {
    "functions".to_owned()
}

fn name_claim_default() -> String {
    "name".to_owned()
}

impl OidcProviderConfig {
    /// What the settings say, for an agency whose pages are at `public_url`.
    #[must_use]
    pub fn settings(&self, ours: &Ori, public_url: &str) -> OidcSettings {
        let agency = self.agency.as_ref().unwrap_or(ours);
        OidcSettings {
            id: self.id.clone(),
            label: self.label.clone(),
            agency: agency.clone(),
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            redirect_url: format!("{public_url}/oidc/callback"),
            hosts: self.hosts.clone(),
            scopes: self.scopes.clone(),
            acr_values: self.acr_values.clone(),
            amr_values: self.amr_values.clone(),
            second_factor: second_factor(self.second_factor.as_ref()),
            audience_is_endpoint: self.assertion_audience == AssertionAudience::TokenEndpoint,
            userinfo: self.userinfo,
            function_claim: self.functions_claim.clone(),
            function_map: self.functions_map.clone(),
            functions_allowed: self.functions.as_ref().map(|all| all.iter().cloned().collect()),
            name_claim: self.name_claim.clone(),
            agency_claim: self.agency_claim.clone(),
            accounts: AccountRules {
                create: self.create_accounts,
                guests: agency != ours,
                functions_from_account: self.functions_from == FunctionsFrom::Account,
            },
            trial: self.trial,
        }
    }

    pub(super) fn check(&self, ours: &Ori) -> Result<(), (&'static str, &'static str)> {
        if self.agency.as_ref().is_some_and(|agency| agency != ours) && self.functions.is_none() {
            let what = "must be given where `agency` is another one: it says what guests may be";
            return Err(("oidc_provider.functions", what));
        }
        if self.issuer.starts_with("https://") && self.ca.is_none() {
            return Err(("oidc_provider.ca", "must be given where `issuer` is https"));
        }
        self.settings(ours, "").check().map_err(|what| ("oidc_provider", what))
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        self.ca.iter_mut().for_each(|path| *path = base.join(&*path));
    }
}
