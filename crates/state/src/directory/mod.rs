//! Directories: people and groups as a directory told of them (SCIM), beside the accounts that they lead to.
//!
//! Invariants: an entry is seen and changed only by the directory that made it; a change of an entry, of
//! the accounts that it concerns and the end of their sessions are one transaction ([`apply`]), made
//! only upon the versions that the caller saw; no two people of a directory have one name, no two
//! entries one account. What a directory says is sealed; it is found by hashes.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{QueryOrder, QuerySelect};
use serde_json::Value;

use crate::accounts::AccountId;
use crate::{State, StateError, reading, time};

mod apply;
mod row;
pub mod tokens;

pub use apply::{Applied, Put, Write, apply};
pub(crate) use row::tables;

use row::{entry, member};

const TABLE: &str = "directory_entries";

/// The most entries of one kind that a directory has.
pub const ENTRIES_MAX: u64 = 50_000;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    Person,
    Group,
}

impl EntryKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Group => "group",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Person, Self::Group].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A person or a group of a directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub id: String,
    /// The directory that it is of.
    pub client: String,
    pub kind: EntryKind,
    /// The account that a person has here.
    pub account: Option<AccountId>,
    /// Counts the changes, from 1.
    pub version: i64,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
    /// What the directory said, as the caller writes it.
    pub document: Value,
}

/// Finds an entry of a directory.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when the row was tampered with.
pub async fn find(
    state: &State,
    client: &str,
    kind: EntryKind,
    id: &str,
) -> Result<Option<Entry>, StateError> {
    let found = entry::Entity::find_by_id(id.to_owned())
        .filter(entry::Column::Client.eq(client))
        .filter(entry::Column::Kind.eq(kind.as_str()))
        .one(state.database())
        .await
        .map_err(reading("read a directory's entry"))?;
    found.map(|model| read(state, model)).transpose()
}

/// What an entry is looked up by, in the directory's own words.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// The name, without regard to case.
    Name(&'a str),
    ExternalId(&'a str),
}

/// Entries of a directory that have this name or identifier, or all of them; oldest first.
///
/// # Errors
/// As [`find`]; [`StateError::Unfit`] when there are more than [`ENTRIES_MAX`].
pub async fn list(
    state: &State,
    client: &str,
    kind: EntryKind,
    by: Option<By<'_>>,
) -> Result<Vec<Entry>, StateError> {
    let mut query = entry::Entity::find()
        .filter(entry::Column::Client.eq(client))
        .filter(entry::Column::Kind.eq(kind.as_str()));
    query = match by {
        Some(By::Name(name)) => query.filter(entry::Column::Name.eq(name_hash(client, name))),
        Some(By::ExternalId(id)) => {
            query.filter(entry::Column::ExternalId.eq(external_hash(client, id)))
        }
        None => query,
    };
    let found = query
        .order_by_asc(entry::Column::CreatedAt)
        .order_by_asc(entry::Column::Id)
        .limit(ENTRIES_MAX + 1)
        .all(state.database())
        .await
        .map_err(reading("list a directory's entries"))?;
    if u64::try_from(found.len()).unwrap_or(u64::MAX) > ENTRIES_MAX {
        return Err(StateError::Unfit { problem: "a directory has more than 50,000 entries" });
    }
    found.into_iter().map(|model| read(state, model)).collect()
}

/// Who is in which of these groups: pairs of a group and a member, by their ids.
///
/// # Errors
/// [`StateError::Read`].
pub async fn members(
    state: &State,
    groups: &[String],
) -> Result<Vec<(String, String)>, StateError> {
    pairs(state, member::Column::GroupId, groups).await
}

/// In which groups these people are: pairs of a group and a member, by their ids.
///
/// # Errors
/// [`StateError::Read`].
pub async fn memberships(
    state: &State,
    people: &[String],
) -> Result<Vec<(String, String)>, StateError> {
    pairs(state, member::Column::Member, people).await
}

/// SQLite binds at most 32,766 values.
const BOUND_MAX: usize = 10_000;

async fn pairs(
    state: &State,
    column: member::Column,
    ids: &[String],
) -> Result<Vec<(String, String)>, StateError> {
    let mut pairs = Vec::new();
    for some in ids.chunks(BOUND_MAX) {
        let found = member::Entity::find()
            .filter(column.is_in(some.iter().map(String::as_str)))
            .all(state.database())
            .await
            .map_err(reading("read who is in a group"))?;
        pairs.extend(found.into_iter().map(|model| (model.group_id, model.member)));
    }
    Ok(pairs)
}

fn read(state: &State, model: entry::Model) -> Result<Entry, StateError> {
    let damaged = |column| StateError::Damaged { table: TABLE, column };
    let account = model.account.as_deref().map(|id| AccountId::parse(id).ok_or("account"));
    Ok(Entry {
        kind: EntryKind::parse(&model.kind).ok_or_else(|| damaged("kind"))?,
        account: account.transpose().map_err(damaged)?,
        version: model.version,
        created_at: time(TABLE, model.created_at)?,
        changed_at: time(TABLE, model.changed_at)?,
        document: state.unseal(TABLE, &model.id, &model.sealed)?,
        id: model.id,
        client: model.client,
    })
}

fn name_hash(client: &str, name: &str) -> String {
    hash(&["directory-name", client, &name.to_lowercase()])
}

fn external_hash(client: &str, id: &str) -> String {
    hash(&["directory-external-id", client, id])
}

fn hash(parts: &[&str]) -> String {
    let joined = parts.join("|");
    hex::encode(keys::digest::sha256(joined.as_bytes()))
}
