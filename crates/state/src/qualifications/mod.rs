//! What people have done and signed before they may see records: trainings, screenings, agreements.
//!
//! Invariants: nothing that was written down is changed or taken away, it is at most withdrawn, with who,
//! when and why (AT-4 keeps training records for three years); of many that are added at once all are, or none;
//! what belongs to an account never becomes that of the next one with its key. The caller records first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue, DatabaseTransaction, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::accounts::{self, ACCOUNTS_MAX, AccountId, FIELD_BYTES_MAX};
use crate::{State, StateError, reading, writing};

mod row;

pub(crate) use row::tables;

const TABLE: &str = "qualifications";

/// Qualifications of one account, withdrawn ones among them.
pub const OF_ACCOUNT_MAX: usize = 500;

/// Qualifications that are added at once.
pub const ADDED_MAX: usize = 5_000;

/// What was done or signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A course that was taken (AT-2, AT-3).
    Training,
    /// A check of the person, such as one by fingerprints (PS-3).
    Screening,
    /// Rules that were read and accepted (PS-6).
    Agreement,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Training, Self::Screening, Self::Agreement];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Screening => "screening",
            Self::Agreement => "agreement",
        }
    }

    /// The kind that [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How a screening came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    Cleared,
    /// Sent off, and not answered yet.
    Pending,
    NotCleared,
}

impl Finding {
    pub const ALL: [Self; 3] = [Self::Cleared, Self::Pending, Self::NotCleared];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cleared => "cleared",
            Self::Pending => "pending",
            Self::NotCleared => "not-cleared",
        }
    }

    /// The finding that [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|finding| finding.as_str() == text)
    }
}

/// One training, screening or agreement of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qualification {
    pub kind: Kind,
    /// Which course, check or agreement: the id of the agency's rule about it, as a rule.
    pub course: String,
    /// The day on which it was done.
    pub on: Date,
    /// The last day on which it counts, if the certificate names one.
    pub until: Option<Date>,
    /// How a screening came out.
    pub finding: Option<Finding>,
    /// Which version of an agreement was accepted.
    pub version: Option<String>,
    /// Where the proof is: a certificate's number, a file.
    pub evidence: String,
    /// When, and by whose account, it was written down.
    pub written_at: Timestamp,
    pub written_by: String,
    pub withdrawn: Option<Withdrawn>,
}

/// That a qualification counts no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawn {
    pub at: Timestamp,
    pub by: String,
    pub reason: String,
}

/// Adds qualifications to accounts: all, or none.
///
/// # Errors
/// [`StateError::Unfit`] when one is not whole, is of no account, or there would be too many;
/// [`StateError::Write`]. In each case nothing was added.
pub async fn add(state: &State, new: &[(AccountId, Qualification)]) -> Result<(), StateError> {
    let doing = "write down qualifications";
    if new.len() > ADDED_MAX {
        return Err(StateError::Unfit { problem: "more than 5,000 qualifications at once" });
    }
    let transaction = state.write(doing).await?;
    let mut by_account: BTreeMap<AccountId, Vec<&Qualification>> = BTreeMap::new();
    for (account, one) in new {
        check(one)?;
        by_account.entry(*account).or_default().push(one);
    }
    for (account, added) in by_account {
        let present = accounts::find_in(state, &transaction, account).await?;
        if present.is_none_or(|account| account.removed_at.is_some()) {
            return Err(StateError::Unfit { problem: "there is no such account" });
        }
        let mut all = of_in(state, &transaction, account).await?;
        all.extend(added.into_iter().cloned());
        keep(state, &transaction, account, &all).await?;
    }
    transaction.commit().await.map_err(writing(doing))
}

/// Withdraws a qualification, by its place among those of the account. `false`: it is not there, or was withdrawn before.
///
/// # Errors
/// [`StateError::Write`]; then it still counts.
pub async fn withdraw(
    state: &State,
    account: AccountId,
    place: usize,
    withdrawn: Withdrawn,
) -> Result<bool, StateError> {
    let doing = "withdraw a qualification";
    if withdrawn.reason.len() > 4 * FIELD_BYTES_MAX {
        return Err(StateError::Unfit { problem: "a reason is longer than 2048 bytes" });
    }
    let transaction = state.write(doing).await?;
    let mut all = of_in(state, &transaction, account).await?;
    let Some(one) = all.get_mut(place).filter(|one| one.withdrawn.is_none()) else {
        return Ok(false);
    };
    one.withdrawn = Some(withdrawn);
    keep(state, &transaction, account, &all).await?;
    transaction.commit().await.map_err(writing(doing))?;
    Ok(true)
}

/// The qualifications of an account in the order in which they were written down, withdrawn ones among them.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when the row was tampered with.
pub async fn of(state: &State, account: AccountId) -> Result<Vec<Qualification>, StateError> {
    of_in(state, state.database(), account).await
}

/// Those of every account that has any.
///
/// # Errors
/// As [`of`].
pub async fn list(state: &State) -> Result<BTreeMap<AccountId, Vec<Qualification>>, StateError> {
    let doing = "list qualifications";
    // There is at most one row for each account.
    let found = row::Entity::find().limit(ACCOUNTS_MAX + 1).all(state.database()).await;
    let found = found.map_err(reading(doing))?;
    if u64::try_from(found.len()).unwrap_or(u64::MAX) > ACCOUNTS_MAX {
        return Err(StateError::Unfit { problem: "there are more than 100,000 accounts" });
    }
    let damaged = || StateError::Damaged { table: TABLE, column: "account" };
    let read = |model: row::Model| {
        let account = AccountId::parse(&model.account).ok_or_else(damaged)?;
        Ok((account, state.unseal(TABLE, &model.account, &model.sealed)?))
    };
    found.into_iter().map(read).collect()
}

/// Nothing of a former account is the next one's.
pub(crate) async fn forget_in(
    transaction: &DatabaseTransaction,
    account: AccountId,
) -> Result<(), StateError> {
    let doing = "forget the qualifications of a former account";
    let done = row::Entity::delete_by_id(account.to_string()).exec(transaction).await;
    done.map_err(writing(doing))?;
    Ok(())
}

async fn of_in(
    state: &State,
    database: &impl ConnectionTrait,
    account: AccountId,
) -> Result<Vec<Qualification>, StateError> {
    let id = account.to_string();
    let found = row::Entity::find_by_id(&*id).one(database).await;
    let found = found.map_err(reading("read qualifications"))?;
    found.map_or(Ok(Vec::new()), |model| state.unseal(TABLE, &id, &model.sealed))
}

async fn keep(
    state: &State,
    transaction: &DatabaseTransaction,
    account: AccountId,
    all: &[Qualification],
) -> Result<(), StateError> {
    if all.len() > OF_ACCOUNT_MAX {
        return Err(StateError::Unfit { problem: "an account has more than 500 qualifications" });
    }
    let id = account.to_string();
    let model = row::ActiveModel {
        sealed: ActiveValue::Set(state.seal(TABLE, &id, &all)?),
        account: ActiveValue::Set(id),
    };
    let replaces = sea_orm::sea_query::OnConflict::column(row::Column::Account)
        .update_column(row::Column::Sealed)
        .to_owned();
    row::Entity::insert(model)
        .on_conflict(replaces)
        .exec_without_returning(transaction)
        .await
        .map_err(writing("write down qualifications"))?;
    Ok(())
}

/// What every qualification must be.
fn check(one: &Qualification) -> Result<(), StateError> {
    let texts = [&one.course, &one.evidence, &one.written_by];
    let mut texts = texts.into_iter().chain(&one.version);
    let problem = if one.course.is_empty() {
        "a qualification names its course"
    } else if texts.any(|text| text.len() > FIELD_BYTES_MAX || text.chars().any(char::is_control)) {
        "a text of a qualification is longer than 512 bytes or holds a control character"
    } else if one.until.is_some_and(|until| until < one.on) {
        "a qualification ends before it begins"
    } else if (one.kind == Kind::Screening) != one.finding.is_some() {
        "a screening has a finding, and nothing else has"
    } else {
        return Ok(());
    };
    Err(StateError::Unfit { problem })
}
