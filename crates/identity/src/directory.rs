//! What a directory says, made of it: its people and groups, the accounts that they lead to, and the functions
//! that groups give.
//!
//! Invariants: nothing is changed here that was not planned first, so that the caller can record it before;
//! a plan is carried out whole or not at all, upon what it was made of; an account for emergencies or of a
//! service is no directory's; what an administrator or upkeep disabled, no directory enables again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use policy::{ActorId, Function};
use state::accounts::{self, Account, AccountId, AccountKind, NewAccount, Profile};
use state::directory::{self, Applied, By, Entry, EntryKind, Put};
use state::{State, StateError};

use crate::functions;
use crate::scim::{Document, Filter, Meta, ResourceType, ScimError};

mod plan;

pub use plan::Plan;

/// Why an account is disabled when its directory says so; only then may the directory enable it again.
const DISABLED: &str = "the directory says that the person is not active";

/// Up to so many accounts are read one by one.
const FEW: usize = 64;

/// Which of a person's attributes is the name that their identity provider gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
pub enum NameFrom {
    #[default]
    #[serde(rename = "userName")]
    UserName,
    #[serde(rename = "externalId")]
    ExternalId,
}

/// A directory, as the agency set it up.
#[derive(Debug, Clone)]
pub struct DirectorySettings {
    pub id: String,
    /// The identity provider whose people it keeps.
    pub idp: String,
    pub name_from: NameFrom,
    /// Whether its people are a partner's.
    pub guests: bool,
    /// Whether its groups give functions; otherwise it leaves functions alone.
    pub groups_give_functions: bool,
    pub function_map: BTreeMap<String, Function>,
    pub functions_allowed: Option<BTreeSet<Function>>,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error(transparent)]
    Scim(#[from] ScimError),
    #[error("the state database failed")]
    State(#[from] StateError),
    #[error("it was changed by somebody else at the same time")]
    Stale,
    #[error("another person of the directory has this name")]
    NameTaken,
    #[error("the account of this name is not the directory's to change")]
    AccountTaken,
    #[error("the name was somebody's who is gone, and is nobody's for a year")]
    Reserved,
    #[error("a stored entry of a directory can't be read")]
    Damaged,
}

/// A person or a group, with what belongs to it.
#[derive(Debug, Clone)]
pub struct Resource {
    pub entry: Entry,
    /// What the directory said, with a group's members.
    pub document: Document,
    /// The groups that a person is in, by their ids.
    groups: Vec<(String, Document)>,
    account: Option<Account>,
}

impl Resource {
    /// As it is shown: `base` is the address of `/scim/v2`.
    #[must_use]
    pub fn shown(&self, base: &str) -> serde_json::Map<String, serde_json::Value> {
        let kind = self.document.kind();
        let document = match kind {
            ResourceType::User => self.document.clone().shown_active(self.may_sign_in()),
            ResourceType::Group => self.document.clone(),
        };
        let groups = self.groups.iter();
        let groups: Vec<(String, String)> =
            groups.map(|(id, group)| (id.clone(), group.group_name().to_owned())).collect();
        document.resource(&self.meta(base), &groups)
    }

    #[must_use]
    pub fn meta(&self, base: &str) -> Meta {
        let changed = self.account.as_ref().map(|account| account.changed_at);
        let account = self.account.as_ref().map_or(0, |account| account.version);
        let endpoint = self.document.kind().endpoint();
        Meta {
            id: self.entry.id.clone(),
            created_at: self.entry.created_at,
            modified_at: changed.map_or(self.entry.changed_at, |at| at.max(self.entry.changed_at)),
            version: self.entry.version.saturating_add(account).unsigned_abs(),
            location: format!("{base}{endpoint}/{}", self.entry.id),
        }
    }

    /// A person's account.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    fn may_sign_in(&self) -> bool {
        let account = self.account.as_ref();
        account.is_some_and(|account| account.active && account.removed_at.is_none())
    }
}

/// What was done.
#[derive(Debug)]
pub struct Done {
    pub entry: Option<Entry>,
    /// Sessions that ended, by the hashes of their tokens.
    pub ended: Vec<[u8; 32]>,
}

/// One directory's view of the state.
#[derive(Debug, Clone, Copy)]
pub struct Directory<'a> {
    pub state: &'a State,
    pub settings: &'a DirectorySettings,
}

fn kind_of(kind: ResourceType) -> EntryKind {
    match kind {
        ResourceType::User => EntryKind::Person,
        ResourceType::Group => EntryKind::Group,
    }
}

impl Directory<'_> {
    /// Finds a person or a group by its id here.
    ///
    /// # Errors
    /// [`DirectoryError::State`], [`DirectoryError::Damaged`].
    pub async fn find(
        &self,
        kind: ResourceType,
        id: &str,
    ) -> Result<Option<Resource>, DirectoryError> {
        let found = directory::find(self.state, &self.settings.id, kind_of(kind), id).await?;
        Ok(self.dress(found.into_iter().collect()).await?.pop())
    }

    /// People or groups, oldest first: all of them, or fewer where the filter can be looked up. The caller
    /// asks the filter of each.
    ///
    /// # Errors
    /// As [`Directory::find`].
    pub async fn list(
        &self,
        kind: ResourceType,
        filter: Option<&Filter>,
    ) -> Result<Vec<Resource>, DirectoryError> {
        let demand = |name| filter.and_then(|filter| filter.demands(name));
        let name = match kind {
            ResourceType::User => demand("userName"),
            ResourceType::Group => demand("displayName"),
        };
        if let Some(id) = demand("id") {
            return Ok(self.find(kind, id).await?.into_iter().collect());
        }
        let by = name.map(By::Name).or_else(|| demand("externalId").map(By::ExternalId));
        let found = directory::list(self.state, &self.settings.id, kind_of(kind), by).await?;
        self.dress(found).await
    }

    /// Adds to entries what belongs to them.
    async fn dress(&self, entries: Vec<Entry>) -> Result<Vec<Resource>, DirectoryError> {
        let Some(first) = entries.first() else { return Ok(Vec::new()) };
        let ids: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        if first.kind == EntryKind::Group {
            let mut members: HashMap<String, Vec<String>> = HashMap::new();
            for (group, member) in directory::members(self.state, &ids).await? {
                members.entry(group).or_default().push(member);
            }
            let dressed = entries.into_iter().map(|entry| {
                let members = members.remove(&entry.id).unwrap_or_default();
                let document = document(&entry)?.with_members(&members);
                Ok(Resource { entry, document, groups: Vec::new(), account: None })
            });
            return dressed.collect();
        }
        let mut groups = self.groups_of(&ids).await?;
        let mut found = self.accounts_of(&entries).await?;
        let dressed = entries.into_iter().map(|entry| {
            let groups = groups.remove(&entry.id).unwrap_or_default();
            let account = entry.account.and_then(|id| found.remove(&id));
            Ok(Resource { document: document(&entry)?, entry, groups, account })
        });
        dressed.collect()
    }

    /// The groups that each of these people is in.
    async fn groups_of(
        &self,
        people: &[String],
    ) -> Result<HashMap<String, Vec<(String, Document)>>, DirectoryError> {
        let pairs = directory::memberships(self.state, people).await?;
        let mut of_people: HashMap<String, Vec<(String, Document)>> = HashMap::new();
        if pairs.is_empty() {
            return Ok(of_people);
        }
        let client = &self.settings.id;
        let all = directory::list(self.state, client, EntryKind::Group, None).await?;
        let mut groups = HashMap::new();
        for entry in &all {
            groups.insert(entry.id.as_str(), document(entry)?);
        }
        for (group, person) in pairs {
            if let Some(document) = groups.get(group.as_str()) {
                of_people.entry(person).or_default().push((group, document.clone()));
            }
        }
        Ok(of_people)
    }

    async fn accounts_of(
        &self,
        entries: &[Entry],
    ) -> Result<HashMap<AccountId, Account>, DirectoryError> {
        let ids: BTreeSet<AccountId> = entries.iter().filter_map(|entry| entry.account).collect();
        let mut found = HashMap::new();
        if ids.len() > FEW {
            let all = accounts::list(self.state).await?;
            found.extend(all.into_iter().map(|account| (account.id, account)));
            return Ok(found);
        }
        for id in ids {
            if let Some(account) = accounts::find(self.state, id).await? {
                found.insert(id, account);
            }
        }
        Ok(found)
    }

    /// Plans that a person or a group is what `document` says. `id` is that of `old`, or a new one.
    ///
    /// # Errors
    /// [`DirectoryError`] when that can't be.
    pub async fn plan_put(
        &self,
        id: &str,
        old: Option<&Resource>,
        document: &Document,
        now: Timestamp,
    ) -> Result<Plan, DirectoryError> {
        let mut plan = Plan::default();
        plan.write.reason = "directory";
        let (name, account, members) = match document.kind() {
            ResourceType::User => {
                let account = self.person(old, document, now, &mut plan).await?;
                (document.user_name(), Some(account), Vec::new())
            }
            ResourceType::Group => {
                self.group(id, old, Some(document), &mut plan).await?;
                let members = document.members().map(str::to_owned).collect();
                (document.group_name(), None, members)
            }
        };
        let kept = document.clone().with_members(&[]);
        plan.write.put = Some(Put {
            id: id.to_owned(),
            client: self.settings.id.clone(),
            kind: kind_of(document.kind()),
            seen: old.map(|old| old.entry.version),
            name: name.to_owned(),
            external_id: document.external_id().map(str::to_owned),
            account,
            document: serde_json::to_value(kept).map_err(|_| DirectoryError::Damaged)?,
            members,
        });
        Ok(plan)
    }

    /// Plans that a person or a group is gone. A person's account is removed.
    ///
    /// # Errors
    /// As [`Directory::plan_put`].
    pub async fn plan_delete(
        &self,
        old: &Resource,
        now: Timestamp,
    ) -> Result<Plan, DirectoryError> {
        let mut plan = Plan::default();
        plan.write.reason = "directory";
        match old.document.kind() {
            ResourceType::User => plan.remove(old.account.as_ref(), now)?,
            ResourceType::Group => self.group(&old.entry.id, Some(old), None, &mut plan).await?,
        }
        let Entry { client, id, version, .. } = &old.entry;
        plan.write.forget = Some((client.clone(), id.clone(), *version));
        Ok(plan)
    }

    /// Does what was planned, and recorded since.
    ///
    /// # Errors
    /// [`DirectoryError`]; nothing was changed then.
    pub async fn carry_out(&self, plan: &Plan, now: Timestamp) -> Result<Done, DirectoryError> {
        match directory::apply(self.state, &plan.write, now).await? {
            Applied::Done { entry, ended, .. } => {
                Ok(Done { entry: entry.map(|entry| *entry), ended })
            }
            Applied::Stale => Err(DirectoryError::Stale),
            Applied::NameTaken => Err(DirectoryError::NameTaken),
            Applied::AccountTaken => Err(DirectoryError::AccountTaken),
            Applied::Reserved { .. } => Err(DirectoryError::Reserved),
        }
    }

    /// What a person's account is to be. Whoever gets another name loses the account of the old one: an
    /// account keeps its key.
    async fn person(
        &self,
        old: Option<&Resource>,
        document: &Document,
        now: Timestamp,
        plan: &mut Plan,
    ) -> Result<AccountId, DirectoryError> {
        let wanted = self.profile(document)?;
        let id = AccountId::of(&format!("{}|{}", wanted.idp, wanted.name_id));
        let groups = old.map_or(&[][..], |old| &old.groups);
        let functions = self.functions(groups.iter().map(|(_, group)| group));
        let present = match old.and_then(|old| old.account.as_ref()) {
            Some(account) if account.id == id => Some(account.clone()),
            other => {
                plan.remove(other, now)?;
                let found = accounts::find(self.state, id).await?;
                found.filter(|account| account.removed_at.is_none())
            }
        };
        let Some(before) = present else {
            let kind = if self.settings.guests { AccountKind::Guest } else { AccountKind::Person };
            let active = document.may_sign_in();
            let disabled_because = (!active).then(|| DISABLED.to_owned());
            let functions = functions.unwrap_or_default();
            let profile = Profile { functions, disabled_because, ..wanted };
            plan.create(NewAccount { kind, active, ends_at: None, profile });
            return Ok(id);
        };
        // Somebody removed it here: it is over, whatever the directory says.
        if before.removed_at.is_some() {
            return Ok(id);
        }
        let mut edited = before.clone();
        edited.profile = Profile {
            functions: functions.unwrap_or_else(|| before.profile.functions.clone()),
            owner: before.profile.owner.clone(),
            disabled_because: before.profile.disabled_because.clone(),
            ..wanted
        };
        match (document.may_sign_in(), before.active) {
            (false, true) => {
                edited.active = false;
                edited.profile.disabled_because = Some(DISABLED.to_owned());
            }
            (true, false) if before.profile.disabled_because.as_deref() == Some(DISABLED) => {
                edited.active = true;
                edited.profile.disabled_because = None;
            }
            (true, _) | (false, false) => {}
        }
        plan.edit(before, edited)?;
        Ok(id)
    }

    /// What the directory says of a person, as an account has it; without functions.
    fn profile(&self, document: &Document) -> Result<Profile, DirectoryError> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let (attribute, name) = match self.settings.name_from {
            NameFrom::UserName => ("userName", Some(document.user_name())),
            NameFrom::ExternalId => ("externalId", document.external_id()),
        };
        let what = "it is the name at the identity provider, and required";
        let name = name.ok_or(ScimError::Value { attribute, what })?;
        let idp = self.settings.idp.clone();
        if format!("{idp}|{name}").parse::<ActorId>().is_err() {
            let what = "it can't be a name at the identity provider";
            return Err(ScimError::Value { attribute, what }.into());
        }
        Ok(Profile {
            idp,
            name_id: name.to_owned(),
            user_name: text(Some(document.user_name())),
            external_id: text(document.external_id()),
            name: document.display_name(),
            email: text(document.email()),
            department: text(document.department()),
            manager: text(document.manager()),
            ..Profile::default()
        })
    }

    /// The functions that groups give, by their names or identifiers; nothing where groups give none. Duties
    /// that nobody may join are no duty at all.
    fn functions<'g>(&self, groups: impl Iterator<Item = &'g Document>) -> Option<Vec<String>> {
        if !self.settings.groups_give_functions {
            return None;
        }
        let named = groups.flat_map(|group| [Some(group.group_name()), group.external_id()]);
        let named: Vec<String> = named.flatten().map(str::to_owned).collect();
        let DirectorySettings { function_map, functions_allowed, .. } = self.settings;
        let given = functions::granted(&named, function_map, functions_allowed.as_ref());
        Some(
            given.map_or_else(
                |_| Vec::new(),
                |given| given.iter().map(ToString::to_string).collect(),
            ),
        )
    }

    /// What a change of a group does to its people. Without a document it is gone.
    async fn group(
        &self,
        id: &str,
        old: Option<&Resource>,
        document: Option<&Document>,
        plan: &mut Plan,
    ) -> Result<(), DirectoryError> {
        if !self.settings.groups_give_functions {
            return Ok(());
        }
        let before: BTreeSet<&str> =
            old.map(|old| old.document.members().collect()).unwrap_or_default();
        let after: BTreeSet<&str> = document.map(|new| new.members().collect()).unwrap_or_default();
        let named = |group: &Document| {
            (group.group_name().to_owned(), group.external_id().map(str::to_owned))
        };
        let renamed = old.map(|old| named(&old.document)) != document.map(named);
        let concerned: Vec<&str> = match renamed {
            true => before.union(&after).copied().collect(),
            false => before.symmetric_difference(&after).copied().collect(),
        };
        let mut entries = Vec::new();
        for person in concerned {
            let client = &self.settings.id;
            entries.extend(directory::find(self.state, client, EntryKind::Person, person).await?);
        }
        for person in self.dress(entries).await? {
            let Some(account) = person.account else { continue };
            if account.removed_at.is_some() {
                continue;
            }
            let others = person.groups.iter().filter(|(group, _)| group != id);
            let this = document.filter(|_| after.contains(person.entry.id.as_str()));
            let groups = others.map(|(_, group)| group).chain(this);
            let mut edited = account.clone();
            edited.profile.functions = self.functions(groups).unwrap_or_default();
            plan.edit(account, edited)?;
        }
        Ok(())
    }
}

fn document(entry: &Entry) -> Result<Document, DirectoryError> {
    serde_json::from_value(entry.document.clone()).map_err(|_| DirectoryError::Damaged)
}
