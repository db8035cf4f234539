//! What a directory that is asked means for a sign-in.

use std::collections::BTreeSet;

use policy::Function;

use super::{LdapError, Person};
use crate::admission::{AccountRules, Said};
use crate::functions::granted;
use crate::{Identity, Refusal};

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Asked {
    /// There is no directory for this provider's people.
    Nobody,
    /// It can't be asked, and the agency lets people in with the functions that they have.
    Silent,
    /// These are the person's groups.
    Groups(Vec<String>),
}

impl Asked {
    /// What a provider says of a person, with the directory's word in place of its own.
    pub(crate) fn applied<'a>(&'a self, said: Said<'a>) -> Said<'a> {
        let from_account =
            |functions_from_account| AccountRules { functions_from_account, ..said.rules };
        match self {
            Self::Nobody => said,
            Self::Silent => Said { functions: None, rules: from_account(true), ..said },
            Self::Groups(groups) => {
                Said { functions: Some(groups.as_slice()), rules: from_account(false), ..said }
            }
        }
    }
}

impl Identity {
    /// Asks the directory of a provider's people, if there is one, about one of them.
    pub(crate) async fn ask_ldap(&self, idp: &str, name: &str) -> Result<Asked, Refusal> {
        let mut directories = self.ldap.iter();
        let Some(ldap) = directories.find(|ldap| ldap.settings().idp == idp) else {
            return Ok(Asked::Nobody);
        };
        match ldap.ask(name).await {
            Ok(Person::Here { groups }) => Ok(Asked::Groups(groups)),
            Ok(person) => Err(person.refusal().unwrap_or_else(|| unreachable(&LdapError::Unasked))),
            Err(error) => {
                let id = &ldap.settings().id;
                tracing::warn!(error = %wire::causes(&error), %id, "a directory can't be asked");
                match ldap.settings().admits_unasked {
                    true => Ok(Asked::Silent),
                    false => Err(unreachable(&error)),
                }
            }
        }
    }
}

impl Identity {
    /// The functions that a provider's people have by these groups; none where one person may not join them.
    /// `None`: the provider is not known at this moment.
    #[must_use]
    pub fn given_by_groups(&self, idp: &str, groups: &[String]) -> Option<BTreeSet<Function>> {
        let given = |map, allowed| granted(groups, map, allowed).unwrap_or_default();
        if let Some(oidc) = self.oidc_provider(idp) {
            let settings = oidc.settings();
            return Some(given(&settings.function_map, settings.functions_allowed.as_ref()));
        }
        let saml = self.provider(idp)?;
        Some(given(&saml.function_map, saml.functions_allowed.as_ref()))
    }
}

fn unreachable(error: &LdapError) -> Refusal {
    Refusal::new("ldap.unreachable", error.to_string())
}
