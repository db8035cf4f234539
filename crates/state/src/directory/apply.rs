//! A change that a directory made: its entry, the accounts that it concerns and their sessions, in one
//! transaction.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue, DatabaseTransaction, ExprTrait};
use serde_json::Value;

use super::row::{entry, member};
use super::{Entry, EntryKind, TABLE, external_hash, name_hash, read};
use crate::accounts::{self, Account, AccountId, Created, NewAccount, Updated};
use crate::{State, StateError, millis, reading, writing};

const DOING: &str = "apply what a directory said";

/// An entry as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Put {
    pub id: String,
    pub client: String,
    pub kind: EntryKind,
    /// The version that the caller saw; nothing for a new entry.
    pub seen: Option<i64>,
    pub name: String,
    pub external_id: Option<String>,
    pub account: Option<AccountId>,
    pub document: Value,
    /// Who is in it, for a group.
    pub members: Vec<String>,
}

/// What is to happen, all or none of it.
#[derive(Debug, Clone, Default)]
pub struct Write {
    pub put: Option<Put>,
    /// An entry to forget: its directory, its id, and the version that the caller saw. Nobody has it as a
    /// member any more.
    pub forget: Option<(String, String, i64)>,
    pub create: Vec<NewAccount>,
    /// Accounts as they are to be, of the versions that the caller saw; one with `removed_at` is removed.
    pub update: Vec<Account>,
    /// Why, for the sessions that end.
    pub reason: &'static str,
}

/// What became of it. Unless it is done, nothing was changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    Done {
        entry: Option<Box<Entry>>,
        /// Accounts that were changed.
        accounts: Vec<AccountId>,
        /// Sessions that ended, by the hashes of their tokens.
        ended: Vec<[u8; 32]>,
    },
    /// Something was changed since the caller read it.
    Stale,
    /// Another person of the directory has this name.
    NameTaken,
    /// The account is another entry's, or somebody's already.
    AccountTaken,
    /// The account's key was somebody's who is gone, and is nobody's until then.
    Reserved { until: Timestamp },
}

/// Does all of it, or nothing.
///
/// # Errors
/// [`StateError::Unfit`] when an account would not be whole, [`StateError::Write`]; then nothing was changed.
pub async fn apply(state: &State, write: &Write, now: Timestamp) -> Result<Applied, StateError> {
    let transaction = state.write(DOING).await?;
    let applied = apply_in(state, &transaction, write, now).await?;
    if matches!(applied, Applied::Done { .. }) {
        transaction.commit().await.map_err(writing(DOING))?;
    } else {
        transaction.rollback().await.map_err(writing(DOING))?;
    }
    Ok(applied)
}

async fn apply_in(
    state: &State,
    transaction: &DatabaseTransaction,
    write: &Write,
    now: Timestamp,
) -> Result<Applied, StateError> {
    let (mut changed, mut all_ended) = (Vec::new(), Vec::new());
    // Removals first: a person who gets another account lets go of the old one.
    for edited in &write.update {
        match accounts::update_in(state, transaction, edited, write.reason, now).await? {
            Updated::Done { after, ended, .. } => {
                changed.push(after.id);
                all_ended.extend(ended);
            }
            Updated::Stale(_) | Updated::Missing => return Ok(Applied::Stale),
        }
    }
    for new in &write.create {
        match accounts::create_in(state, transaction, new, now).await? {
            Created::Made(made) => changed.push(made.id),
            Created::Exists(_) => return Ok(Applied::AccountTaken),
            Created::Reserved { until } => return Ok(Applied::Reserved { until }),
        }
    }
    if let Some((client, id, seen)) = &write.forget
        && !forget(transaction, client, id, *seen, now).await?
    {
        return Ok(Applied::Stale);
    }
    let mut entry = None;
    if let Some(put) = &write.put {
        if let Some(obstacle) = obstacle(transaction, put).await? {
            return Ok(obstacle);
        }
        entry = save(state, transaction, put, now).await?;
        if entry.is_none() {
            return Ok(Applied::Stale);
        }
        if put.kind == EntryKind::Group {
            save_members(transaction, &put.id, &put.members).await?;
        }
    }
    Ok(Applied::Done { entry: entry.map(Box::new), accounts: changed, ended: all_ended })
}

/// What stands in the way of an entry: a name or an account that another one has.
async fn obstacle(
    transaction: &DatabaseTransaction,
    put: &Put,
) -> Result<Option<Applied>, StateError> {
    let others = || entry::Entity::find().filter(entry::Column::Id.ne(put.id.as_str()));
    let taken = reading(DOING);
    if put.kind == EntryKind::Person {
        let same = others()
            .filter(entry::Column::Client.eq(put.client.as_str()))
            .filter(entry::Column::Kind.eq(put.kind.as_str()))
            .filter(entry::Column::Name.eq(name_hash(&put.client, &put.name)));
        if same.one(transaction).await.map_err(taken)?.is_some() {
            return Ok(Some(Applied::NameTaken));
        }
    }
    if let Some(account) = put.account {
        let same = others().filter(entry::Column::Account.eq(account.to_string()));
        if same.one(transaction).await.map_err(reading(DOING))?.is_some() {
            return Ok(Some(Applied::AccountTaken));
        }
    }
    Ok(None)
}

/// Writes an entry; nothing if it is not of the version that was seen.
async fn save(
    state: &State,
    transaction: &DatabaseTransaction,
    put: &Put,
    now: Timestamp,
) -> Result<Option<Entry>, StateError> {
    let old = entry::Entity::find_by_id(put.id.as_str()).one(transaction).await;
    let old = old.map_err(reading(DOING))?;
    let seen = old.as_ref().map(|old| old.version);
    let foreign = old.as_ref().is_some_and(|old| old.client != put.client);
    if seen != put.seen || foreign {
        return Ok(None);
    }
    let created_at = old.as_ref().map_or(millis(now), |old| old.created_at);
    let external_id = put.external_id.as_ref().map(|id| external_hash(&put.client, id));
    let model = entry::Model {
        id: put.id.clone(),
        client: put.client.clone(),
        kind: put.kind.as_str().to_owned(),
        name: name_hash(&put.client, &put.name),
        external_id,
        account: put.account.map(|account| account.to_string()),
        version: seen.unwrap_or(0).saturating_add(1),
        created_at,
        changed_at: millis(now),
        sealed: state.seal(TABLE, &put.id, &put.document)?,
    };
    let active = entry::ActiveModel::from(model.clone()).reset_all();
    match seen {
        Some(_) => {
            entry::Entity::update(active).exec(transaction).await.map_err(writing(DOING))?;
        }
        None => {
            let done = entry::Entity::insert(active).exec_without_returning(transaction).await;
            done.map_err(writing(DOING))?;
        }
    }
    read(state, model).map(Some)
}

/// Rows of one statement.
const ROWS_MAX: usize = 1_000;

async fn save_members(
    transaction: &DatabaseTransaction,
    group: &str,
    members: &[String],
) -> Result<(), StateError> {
    let old = member::Entity::find()
        .filter(member::Column::GroupId.eq(group))
        .all(transaction)
        .await
        .map_err(reading(DOING))?;
    let old: BTreeSet<&str> = old.iter().map(|model| model.member.as_str()).collect();
    let new: BTreeSet<&str> = members.iter().map(String::as_str).collect();
    let gone: Vec<&str> = old.difference(&new).copied().collect();
    for some in gone.chunks(ROWS_MAX) {
        member::Entity::delete_many()
            .filter(member::Column::GroupId.eq(group))
            .filter(member::Column::Member.is_in(some.iter().copied()))
            .exec(transaction)
            .await
            .map_err(writing(DOING))?;
    }
    let come: Vec<&str> = new.difference(&old).copied().collect();
    for some in come.chunks(ROWS_MAX) {
        let rows = some.iter().map(|member| member::ActiveModel {
            group_id: ActiveValue::Set(group.to_owned()),
            member: ActiveValue::Set((*member).to_owned()),
        });
        let done = member::Entity::insert_many(rows).exec_without_returning(transaction).await;
        done.map_err(writing(DOING))?;
    }
    Ok(())
}

/// Forgets an entry. `false`: it is not of that version, or not of that directory.
async fn forget(
    transaction: &DatabaseTransaction,
    client: &str,
    id: &str,
    seen: i64,
    now: Timestamp,
) -> Result<bool, StateError> {
    let gone = entry::Entity::delete_many()
        .filter(entry::Column::Id.eq(id))
        .filter(entry::Column::Client.eq(client))
        .filter(entry::Column::Version.eq(seen))
        .exec(transaction)
        .await
        .map_err(writing(DOING))?;
    if gone.rows_affected != 1 {
        return Ok(false);
    }
    let left = member::Entity::find()
        .filter(member::Column::Member.eq(id))
        .all(transaction)
        .await
        .map_err(reading(DOING))?;
    for some in left.chunks(ROWS_MAX) {
        entry::Entity::update_many()
            .col_expr(entry::Column::Version, Expr::col(entry::Column::Version).add(1))
            .col_expr(entry::Column::ChangedAt, Expr::value(millis(now)))
            .filter(entry::Column::Id.is_in(some.iter().map(|model| model.group_id.as_str())))
            .exec(transaction)
            .await
            .map_err(writing(DOING))?;
    }
    let either = sea_orm::Condition::any()
        .add(member::Column::Member.eq(id))
        .add(member::Column::GroupId.eq(id));
    let done = member::Entity::delete_many().filter(either).exec(transaction).await;
    done.map_err(writing(DOING))?;
    Ok(true)
}
