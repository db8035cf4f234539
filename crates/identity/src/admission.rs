//! From what a provider says of a person to the account that they sign in to.
//!
//! Invariants: nobody signs in without an account, and accounts are made here only where the agency switched
//! that on for the provider; a provider that says nothing of functions takes none away, one that says "none"
//! takes all; whatever is made or changed here was recorded before.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;
use policy::Function;
use state::accounts::{
    self, Account, AccountId, AccountKind, NewAccount, Profile, Standing, Updated,
};
use state::sign_ins::Admission;

use crate::{Identity, IdentityError, Refusal, functions};

/// What the agency decided about the accounts of a provider's people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountRules {
    /// Whether a person without an account gets one by signing in.
    pub create: bool,
    /// Whether those are guests' accounts.
    pub guests: bool,
    /// Whether functions are those of the account, whatever the provider says: a directory or an
    /// administrator keeps them.
    pub functions_from_account: bool,
}

/// What a provider says of a person.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) idp: &'a str,
    pub(crate) name_id: &'a str,
    /// The name to show, if it says one.
    pub(crate) name: Option<&'a str>,
    /// The values of the functions attribute. `None`: it is missing, which is not the same as empty.
    pub(crate) functions: Option<&'a [String]>,
    pub(crate) function_map: &'a BTreeMap<String, Function>,
    pub(crate) functions_allowed: Option<&'a BTreeSet<Function>>,
    pub(crate) rules: AccountRules,
}

/// Who may come in.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) admission: Admission,
    pub(crate) name: String,
    pub(crate) functions: BTreeSet<Function>,
}

/// What is about to be made or changed, for the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountNote {
    Made(Box<NewAccount>),
    /// Version and times of `after` are still those of `before`.
    Changed {
        before: Box<Account>,
        after: Box<Account>,
    },
}

/// The outcome of [`Recorder::record`].
pub type Recording<'a> =
    Pin<Box<dyn Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// Puts on record what this room is about to do to an account. The room above has the ledger.
pub trait Recorder: Send + Sync {
    /// Comes back when the record is durable. An error: nothing is made or changed.
    fn record(&self, note: AccountNote) -> Recording<'_>;
}

impl Identity {
    /// The account that a person may sign in to, with what the provider says of them now.
    pub(crate) async fn admit(
        &self,
        said: Said<'_>,
        now: Timestamp,
    ) -> Result<Admitted, IdentityError> {
        let refused = |refusal| IdentityError::Refused { idp: Some(said.idp.to_owned()), refusal };
        let refuse = |code, detail: &str| refused(Refusal::new(code, detail));
        let id = AccountId::of(&format!("{}|{}", said.idp, said.name_id));
        let found = accounts::find(&self.state, id).await?;
        let Some(account) = found.filter(|account| account.removed_at.is_none()) else {
            return self.make(said).await;
        };
        match account.standing(now) {
            Standing::Good => {}
            Standing::Disabled => return Err(refuse("authz.inactive", "the account is disabled")),
            Standing::Over => {
                return Err(refuse("authz.inactive", "the account's time is over"));
            }
            Standing::Removed => {
                return Err(refuse("authz.not_provisioned", "the account was removed"));
            }
        }
        let functions = match said.functions.filter(|_| !said.rules.functions_from_account) {
            Some(values) => functions::granted(values, said.function_map, said.functions_allowed),
            None => functions::held(&account.profile.functions, said.functions_allowed),
        };
        let functions = match functions {
            Ok(functions) => functions,
            Err(refusal) => {
                if said.functions.is_some() && !said.rules.functions_from_account {
                    self.take_functions(&account, now).await?;
                }
                return Err(refused(refusal));
            }
        };
        let mut edited = account.clone();
        edited.profile.functions = functions.iter().map(ToString::to_string).collect();
        if let Some(name) = said.name {
            name.clone_into(&mut edited.profile.name);
        }
        if edited != account {
            let (before, after) = (Box::new(account), Box::new(edited.clone()));
            self.record(AccountNote::Changed { before, after }).await?;
        }
        let name = edited.profile.name.clone();
        Ok(Admitted { admission: Admission::Known(Box::new(edited)), name, functions })
    }

    /// A new account, where the agency wants that.
    async fn make(&self, said: Said<'_>) -> Result<Admitted, IdentityError> {
        let refused = |refusal| IdentityError::Refused { idp: Some(said.idp.to_owned()), refusal };
        if !said.rules.create {
            let detail = "the person has no account here";
            return Err(refused(Refusal::new("authz.not_provisioned", detail)));
        }
        let values = said.functions.unwrap_or_default();
        let functions = functions::granted(values, said.function_map, said.functions_allowed)
            .map_err(refused)?;
        let name = said.name.unwrap_or(said.name_id).to_owned();
        let new = Box::new(NewAccount {
            kind: if said.rules.guests { AccountKind::Guest } else { AccountKind::Person },
            active: true,
            ends_at: None,
            profile: Profile {
                idp: said.idp.to_owned(),
                name_id: said.name_id.to_owned(),
                name: name.clone(),
                functions: functions.iter().map(ToString::to_string).collect(),
                ..Profile::default()
            },
        });
        self.record(AccountNote::Made(new.clone())).await?;
        Ok(Admitted { admission: Admission::Make(new), name, functions })
    }

    /// The provider says that the person has no function, or functions that nobody may join.
    async fn take_functions(&self, account: &Account, now: Timestamp) -> Result<(), IdentityError> {
        if account.profile.functions.is_empty() {
            return Ok(());
        }
        let mut edited = account.clone();
        edited.profile.functions.clear();
        let (before, after) = (Box::new(account.clone()), Box::new(edited.clone()));
        self.record(AccountNote::Changed { before, after }).await?;
        match accounts::update(&self.state, &edited, "functions-changed", now).await? {
            Updated::Done { .. } | Updated::Missing => Ok(()),
            // Whoever changed it in the meantime knew more recent things of the person.
            Updated::Stale(_) => Ok(()),
        }
    }

    async fn record(&self, note: AccountNote) -> Result<(), IdentityError> {
        let Some(recorder) = &self.recorder else {
            return Err(IdentityError::Unrecorded("accounts are not recorded here".into()));
        };
        recorder.record(note).await.map_err(IdentityError::Unrecorded)
    }
}
