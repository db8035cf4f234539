//! Accounts: who may sign in at all, as what, and until when.
//!
//! Invariants: an account's key is the provider and the name that it gives, never an e-mail address; a key
//! that was removed is given to nobody for [`REUSE_DAYS_MIN`] days; every change makes a new version and is
//! made only upon the version that the caller saw; whatever takes something from a person ends their
//! sessions in the same transaction. The caller records a change before it makes it.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue, DatabaseTransaction, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::{State, StateError, millis, qualifications, reading, reviews, time, writing};

mod change;
mod end;
mod row;
mod upkeep;

pub(crate) use change::update_in;
pub use change::{Change, Updated, changes, forget_new, remove, update};
pub use end::{Ended, Of, end_sessions, ended_among};
pub(crate) use end::{mark, put_out_since};
pub(crate) use row::{Column, Entity, Model, marks, tables};
pub use upkeep::{over, unused_since};

pub(crate) const TABLE: &str = "accounts";

/// For so long a removed account's key belongs to nobody else (IA-4).
pub const REUSE_DAYS_MIN: i64 = 366;

/// Accounts that a list holds; more is an error.
pub const ACCOUNTS_MAX: u64 = 100_000;

/// Longest text in a profile, in bytes.
pub const FIELD_BYTES_MAX: usize = 512;

/// Functions of one account.
pub const FUNCTIONS_MAX: usize = 32;

/// Names an account everywhere outside this room: a hash of its key, which names nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 32]);

impl AccountId {
    /// The account of an actor, `<provider>|<name>`.
    #[must_use]
    pub fn of(actor: &str) -> Self {
        Self(keys::digest::sha256_parts(&[b"person|", actor.as_bytes()]))
    }

    /// Reads what [`fmt::Display`] wrote: 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({self})")
    }
}

/// What kind of account it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountKind {
    /// One of the agency's people.
    Person,
    /// A partner's.
    Guest,
    /// Somebody's for a time: it has an end (AC-2(2)).
    Temporary,
    /// A program's; a person answers for it.
    Service,
    /// Local, for when no provider answers; sealed, and outside every directory.
    Emergency,
}

impl AccountKind {
    pub const ALL: [Self; 5] =
        [Self::Person, Self::Guest, Self::Temporary, Self::Service, Self::Emergency];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Guest => "guest",
            Self::Temporary => "temporary",
            Self::Service => "service",
            Self::Emergency => "emergency",
        }
    }

    /// The kind that [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What is sealed: whose account it is. Empty texts are absent texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The provider, and the name that it gives the person: the key, which never changes.
    pub idp: String,
    pub name_id: String,
    /// What the directory calls the person, compared without case; and its own identifier.
    pub user_name: Option<String>,
    pub external_id: Option<String>,
    /// The name to show.
    pub name: String,
    pub email: Option<String>,
    pub department: Option<String>,
    pub manager: Option<String>,
    /// Job functions, sorted, each once.
    pub functions: Vec<String>,
    /// For a service: the key of the person who answers for it.
    pub owner: Option<String>,
    /// Why it is disabled.
    pub disabled_because: Option<String>,
}

/// An account as it is to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    pub kind: AccountKind,
    pub active: bool,
    pub ends_at: Option<Timestamp>,
    pub profile: Profile,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    /// One more with each change.
    pub version: i64,
    /// One more whenever all sessions so far are to be void.
    pub epoch: i64,
    pub kind: AccountKind,
    pub active: bool,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
    /// Since when it has been active, if it is.
    pub enabled_at: Timestamp,
    pub last_sign_in_at: Option<Timestamp>,
    /// A temporary account is over from this moment.
    pub ends_at: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    pub removed_at: Option<Timestamp>,
    pub profile: Profile,
}

/// Whether an account lets its person in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Good,
    Disabled,
    /// Its time is over.
    Over,
    Removed,
}

impl Account {
    /// The key, as actors have it: `<provider>|<name>`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}|{}", self.profile.idp, self.profile.name_id)
    }

    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.removed_at.is_some() {
            Standing::Removed
        } else if !self.active {
            Standing::Disabled
        } else if self.ends_at.is_some_and(|ends| ends <= now) {
            Standing::Over
        } else {
            Standing::Good
        }
    }

    /// When the person was last seen, or could have begun to be.
    #[must_use]
    pub fn last_used_at(&self) -> Timestamp {
        self.last_sign_in_at.map_or(self.enabled_at, |at| at.max(self.enabled_at))
    }
}

/// What became of [`create`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    Made(Account),
    /// The key is somebody's already.
    Exists(Account),
    /// The key was somebody's, and is nobody's until then.
    Reserved {
        until: Timestamp,
    },
}

/// Begins an account.
///
/// # Errors
/// [`StateError::Unfit`] when the account is not whole; [`StateError::Write`], and then nothing was changed.
pub async fn create(
    state: &State,
    new: &NewAccount,
    now: Timestamp,
) -> Result<Created, StateError> {
    let doing = "make an account";
    let transaction = state.write(doing).await?;
    let created = create_in(state, &transaction, new, now).await?;
    transaction.commit().await.map_err(writing(doing))?;
    Ok(created)
}

pub(crate) async fn create_in(
    state: &State,
    transaction: &DatabaseTransaction,
    new: &NewAccount,
    now: Timestamp,
) -> Result<Created, StateError> {
    let doing = "make an account";
    let mut profile = new.profile.clone();
    profile.tidy();
    check(new.kind, new.ends_at, &profile)?;
    let id = AccountId::of(&format!("{}|{}", profile.idp, profile.name_id));
    let found =
        Entity::find_by_id(id.to_string()).one(transaction).await.map_err(reading(doing))?;
    if let Some(model) = found {
        let present = account(state, &model)?;
        let Some(removed) = present.removed_at else { return Ok(Created::Exists(present)) };
        let until = free_from(removed);
        if now < until {
            return Ok(Created::Reserved { until });
        }
        Entity::delete_by_id(id.to_string()).exec(transaction).await.map_err(writing(doing))?;
        qualifications::forget_in(transaction, id).await?;
        reviews::forget_in(transaction, id).await?;
    }
    let made = Account {
        id,
        version: 1,
        epoch: 1,
        kind: new.kind,
        active: new.active,
        created_at: now,
        changed_at: now,
        enabled_at: now,
        last_sign_in_at: None,
        ends_at: new.ends_at,
        disabled_at: (!new.active).then_some(now),
        removed_at: None,
        profile,
    };
    Entity::insert(model(state, &made)?)
        .exec_without_returning(transaction)
        .await
        .map_err(writing(doing))?;
    Ok(Created::Made(made))
}

/// From when a removed account's key may be given again.
fn free_from(removed: Timestamp) -> Timestamp {
    let days = SignedDuration::from_hours(24 * REUSE_DAYS_MIN);
    removed.checked_add(days).unwrap_or(Timestamp::MAX)
}

/// Finds an account, removed or not.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when the row was tampered with.
pub async fn find(state: &State, id: AccountId) -> Result<Option<Account>, StateError> {
    find_in(state, state.database(), id).await
}

pub(crate) async fn find_in(
    state: &State,
    database: &impl ConnectionTrait,
    id: AccountId,
) -> Result<Option<Account>, StateError> {
    let found = Entity::find_by_id(id.to_string()).one(database).await;
    found.map_err(reading("read an account"))?.map(|model| account(state, &model)).transpose()
}

/// Accounts of a provider that the directory calls so, without regard to case; removed ones are not given.
///
/// # Errors
/// As [`find`].
pub async fn by_user_name(
    state: &State,
    idp: &str,
    user_name: &str,
) -> Result<Vec<Account>, StateError> {
    by(state, Column::UserName, blind("user-name", idp, &user_name.to_lowercase())).await
}

/// Accounts of a provider with this identifier of the directory; removed ones are not given.
///
/// # Errors
/// As [`find`].
pub async fn by_external_id(
    state: &State,
    idp: &str,
    external_id: &str,
) -> Result<Vec<Account>, StateError> {
    by(state, Column::ExternalId, blind("external-id", idp, external_id)).await
}

async fn by(state: &State, column: Column, value: String) -> Result<Vec<Account>, StateError> {
    let found = Entity::find()
        .filter(column.eq(value))
        .filter(Column::RemovedAt.is_null())
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .limit(ACCOUNTS_MAX)
        .all(state.database())
        .await
        .map_err(reading("find accounts"))?;
    found.into_iter().map(|model| account(state, &model)).collect()
}

/// Every account that is not removed, oldest first.
///
/// # Errors
/// As [`find`]; [`StateError::Unfit`] when there are more than [`ACCOUNTS_MAX`].
pub async fn list(state: &State) -> Result<Vec<Account>, StateError> {
    let found = Entity::find()
        .filter(Column::RemovedAt.is_null())
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .limit(ACCOUNTS_MAX + 1)
        .all(state.database())
        .await
        .map_err(reading("list accounts"))?;
    if u64::try_from(found.len()).unwrap_or(u64::MAX) > ACCOUNTS_MAX {
        return Err(StateError::Unfit { problem: "there are more than 100,000 accounts" });
    }
    found.into_iter().map(|model| account(state, &model)).collect()
}

/// Notes that the person has signed in. It makes no new version.
pub(crate) async fn signed_in(
    transaction: &DatabaseTransaction,
    id: AccountId,
    now: Timestamp,
) -> Result<(), StateError> {
    Entity::update_many()
        .col_expr(Column::LastSignInAt, Expr::value(millis(now)))
        .filter(Column::Id.eq(id.to_string()))
        .exec(transaction)
        .await
        .map_err(writing("note a sign-in"))?;
    Ok(())
}

impl Profile {
    /// Empty texts are absent, and functions sorted, each once.
    fn tidy(&mut self) {
        for text in [
            &mut self.user_name,
            &mut self.external_id,
            &mut self.email,
            &mut self.department,
            &mut self.manager,
            &mut self.owner,
            &mut self.disabled_because,
        ] {
            *text = text.take().filter(|text| !text.is_empty());
        }
        self.functions.sort();
        self.functions.dedup();
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let whole = [&self.idp, &self.name_id, &self.name];
        let some = [
            &self.user_name,
            &self.external_id,
            &self.email,
            &self.department,
            &self.manager,
            &self.owner,
            &self.disabled_because,
        ];
        let some = some.into_iter().filter_map(Option::as_deref);
        whole.into_iter().chain(&self.functions).map(String::as_str).chain(some)
    }
}

/// What every account must be.
fn check(
    kind: AccountKind,
    ends_at: Option<Timestamp>,
    profile: &Profile,
) -> Result<(), StateError> {
    let problem = if profile.idp.is_empty() || profile.name_id.is_empty() {
        "an account needs a provider and a name"
    } else if profile.texts().any(|text| text.len() > FIELD_BYTES_MAX) {
        "a text of an account is longer than 512 bytes"
    } else if profile.texts().any(|text| text.chars().any(char::is_control)) {
        "a text of an account holds a control character"
    } else if profile.functions.len() > FUNCTIONS_MAX {
        "an account has more than 32 functions"
    } else if kind == AccountKind::Temporary && ends_at.is_none() {
        "a temporary account needs an end"
    } else if kind == AccountKind::Service && profile.owner.is_none() {
        "a service account needs a person who answers for it"
    } else {
        return Ok(());
    };
    Err(StateError::Unfit { problem })
}

/// A column that can be looked up without saying what is in it.
fn blind(what: &str, idp: &str, text: &str) -> String {
    let parts = [what.as_bytes(), b"|", idp.as_bytes(), b"|", text.as_bytes()];
    hex::encode(keys::digest::sha256_parts(&parts))
}

fn model(state: &State, account: &Account) -> Result<row::ActiveModel, StateError> {
    let id = account.id.to_string();
    let profile = &account.profile;
    let sealed = state.seal(TABLE, &id, profile)?;
    let user_name = profile.user_name.as_ref();
    let user_name = user_name.map(|text| blind("user-name", &profile.idp, &text.to_lowercase()));
    let external_id = profile.external_id.as_ref();
    let external_id = external_id.map(|text| blind("external-id", &profile.idp, text));
    Ok(row::ActiveModel {
        id: ActiveValue::Set(id),
        version: ActiveValue::Set(account.version),
        epoch: ActiveValue::Set(account.epoch),
        kind: ActiveValue::Set(account.kind.as_str().to_owned()),
        active: ActiveValue::Set(account.active),
        created_at: ActiveValue::Set(millis(account.created_at)),
        changed_at: ActiveValue::Set(millis(account.changed_at)),
        enabled_at: ActiveValue::Set(millis(account.enabled_at)),
        last_sign_in_at: ActiveValue::Set(account.last_sign_in_at.map(millis)),
        ends_at: ActiveValue::Set(account.ends_at.map(millis)),
        disabled_at: ActiveValue::Set(account.disabled_at.map(millis)),
        removed_at: ActiveValue::Set(account.removed_at.map(millis)),
        user_name: ActiveValue::Set(user_name),
        external_id: ActiveValue::Set(external_id),
        sealed: ActiveValue::Set(sealed),
        // It moves on by itself: see `end`.
        put_out: ActiveValue::NotSet,
    })
}

fn account(state: &State, model: &Model) -> Result<Account, StateError> {
    let damaged = |column| StateError::Damaged { table: TABLE, column };
    let at = |millis: Option<i64>| millis.map(|at| time(TABLE, at)).transpose();
    Ok(Account {
        id: AccountId::parse(&model.id).ok_or_else(|| damaged("id"))?,
        version: model.version,
        epoch: model.epoch,
        kind: AccountKind::parse(&model.kind).ok_or_else(|| damaged("kind"))?,
        active: model.active,
        created_at: time(TABLE, model.created_at)?,
        changed_at: time(TABLE, model.changed_at)?,
        enabled_at: time(TABLE, model.enabled_at)?,
        last_sign_in_at: at(model.last_sign_in_at)?,
        ends_at: at(model.ends_at)?,
        disabled_at: at(model.disabled_at)?,
        removed_at: at(model.removed_at)?,
        profile: state.unseal(TABLE, &model.id, &model.sealed)?,
    })
}
