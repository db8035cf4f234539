//! What a directory shows to be let in: tokens, stored as their hashes.
//!
//! Invariant: a token counts until it expires or is revoked, whichever is first, and never again.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue, QueryOrder};

use super::row::token::{ActiveModel, Column, Entity, Model};
use crate::sessions::hex;
use crate::{State, StateError, millis, reading, time, writing};

const TABLE: &str = "directory_tokens";

/// A token, without itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// SHA-256 of the token, hexadecimal. Its beginning names the token to people.
    pub id: String,
    /// The directory that it is for.
    pub client: String,
    pub made_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    /// Whether it counts.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// Keeps a new token by its hash.
///
/// # Errors
/// [`StateError::Write`]; then it does not count.
pub async fn keep(
    state: &State,
    id: &[u8; 32],
    client: &str,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), StateError> {
    let model = ActiveModel {
        id: ActiveValue::Set(hex(id)),
        client: ActiveValue::Set(client.to_owned()),
        made_at: ActiveValue::Set(millis(now)),
        expires_at: ActiveValue::Set(millis(expires_at)),
        revoked_at: ActiveValue::Set(None),
    };
    let done = Entity::insert(model).exec_without_returning(state.database()).await;
    done.map_err(writing("keep a directory's token"))?;
    Ok(())
}

/// Finds a token by its hash, whether or not it counts.
///
/// # Errors
/// [`StateError::Read`].
pub async fn find(state: &State, id: &[u8; 32]) -> Result<Option<Token>, StateError> {
    let found = Entity::find_by_id(hex(id)).one(state.database()).await;
    found.map_err(reading("read a directory's token"))?.map(token).transpose()
}

/// Every token that was made, newest first.
///
/// # Errors
/// [`StateError::Read`].
pub async fn list(state: &State) -> Result<Vec<Token>, StateError> {
    let found = Entity::find().order_by_desc(Column::MadeAt).all(state.database()).await;
    found.map_err(reading("list the directories' tokens"))?.into_iter().map(token).collect()
}

/// Revokes a token by its id. `false`: there is none, or it was revoked before.
///
/// # Errors
/// [`StateError::Write`]; then it still counts.
pub async fn revoke(state: &State, id: &str, now: Timestamp) -> Result<bool, StateError> {
    let done = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(millis(now)))
        .filter(Column::Id.eq(id))
        .filter(Column::RevokedAt.is_null())
        .exec(state.database())
        .await
        .map_err(writing("revoke a directory's token"))?;
    Ok(done.rows_affected == 1)
}

fn token(model: Model) -> Result<Token, StateError> {
    Ok(Token {
        id: model.id,
        client: model.client,
        made_at: time(TABLE, model.made_at)?,
        expires_at: time(TABLE, model.expires_at)?,
        revoked_at: model.revoked_at.map(|at| time(TABLE, at)).transpose()?,
    })
}
