//! What is kept of emergency accounts beside the accounts themselves: the sealed secret, security keys, tries,
//! and uses that nobody has looked into yet.
//!
//! Invariants: every change is of the row as it is at that moment, in one transaction; the secret is spent in
//! the transaction that begins its session, so that neither stands without the other.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{ActiveValue, DatabaseTransaction, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::accounts::{self, AccountId, AccountKind, Standing};
use crate::migrate::Step;
use crate::sessions::{self, NewSession};
use crate::{State, StateError, millis, reading, writing};

const TABLE: &str = "emergency_accounts";

/// Emergency accounts that there can be.
pub const ACCOUNTS_MAX: usize = 32;

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "emergency_accounts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub changed_at: i64,
        pub sealed: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) fn tables() -> Vec<Step> {
    let mut table = Table::create();
    table.table(row::Entity);
    table.col(ColumnDef::new(row::Column::Id).text().not_null().primary_key());
    table.col(ColumnDef::new(row::Column::ChangedAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::Sealed).binary().not_null());
    vec![Step::table(table)]
}

/// What is kept of one account, all of it sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The name by which people sign in to it.
    pub name: String,
    /// What both halves are held against.
    pub secret: Secret,
    pub made_at: Timestamp,
    /// The two people of the halves.
    pub made_by: [String; 2],
    pub keys: Vec<SecurityKey>,
    /// Tries of the last minutes that let nobody in.
    pub tries: Vec<Timestamp>,
    pub locked_at: Option<Timestamp>,
    /// The sign-in that used the secret up.
    pub spent: Option<Spent>,
    /// A sign-in whose halves were right, and which waits for its security key.
    pub waiting: Option<Waiting>,
    /// Uses into which nobody has looked yet.
    pub uses: Vec<Use>,
}

/// A secret, stretched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    pub salt: [u8; 32],
    pub iterations: u32,
    pub hash: Vec<u8>,
}

/// A security key that was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityKey {
    /// Its name for itself.
    pub id: Vec<u8>,
    /// Its public key, a SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// How often it says that it signed.
    pub count: u32,
    pub added_at: Timestamp,
}

/// When the secret was used up, and by which session (the hash of its token).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    pub at: Timestamp,
    pub session: [u8; 32],
}

/// What a security key is asked, and of whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// SHA-256 of the browser's token.
    pub browser: [u8; 32],
    pub challenge: [u8; 32],
    pub until: Timestamp,
    /// Whether a new key is to be registered.
    pub registers: bool,
    pub reason: String,
    /// The session that proves again who it is, if one does.
    pub again: Option<[u8; 32]>,
}

/// A use into which nobody has looked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    pub at: Timestamp,
    pub reason: String,
    pub address: Option<String>,
}

/// Finds what is kept of an account.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when the row was tampered with.
pub async fn find(state: &State, id: AccountId) -> Result<Option<Kept>, StateError> {
    let found = row::Entity::find_by_id(id.to_string()).one(state.database()).await;
    let found = found.map_err(reading("read an emergency account"))?;
    found.map(|model| state.unseal(TABLE, &model.id, &model.sealed)).transpose()
}

/// All of them, in the order of their ids.
///
/// # Errors
/// As [`find`].
pub async fn list(state: &State) -> Result<Vec<(AccountId, Kept)>, StateError> {
    let found = row::Entity::find()
        .order_by_asc(row::Column::Id)
        .limit(ACCOUNTS_MAX as u64 + 1)
        .all(state.database())
        .await
        .map_err(reading("list the emergency accounts"))?;
    let read = |model: row::Model| {
        let damaged = StateError::Damaged { table: TABLE, column: "id" };
        let id = AccountId::parse(&model.id).ok_or(damaged)?;
        Ok((id, state.unseal(TABLE, &model.id, &model.sealed)?))
    };
    found.into_iter().map(read).collect()
}

/// Keeps this of an account, in place of what was kept before.
///
/// # Errors
/// [`StateError::Write`]; then nothing was changed. [`StateError::Unfit`] when there are [`ACCOUNTS_MAX`] others.
pub async fn put(
    state: &State,
    id: AccountId,
    kept: &Kept,
    now: Timestamp,
) -> Result<(), StateError> {
    let doing = "keep an emergency account";
    let transaction = state.write(doing).await?;
    let model = model(state, id, kept, now)?;
    let there = row::Entity::find_by_id(id.to_string()).one(&transaction).await;
    if there.map_err(writing(doing))?.is_some() {
        row::Entity::update(model).exec(&transaction).await.map_err(writing(doing))?;
    } else {
        let count = row::Entity::find().count(&transaction).await.map_err(writing(doing))?;
        if count >= ACCOUNTS_MAX as u64 {
            return Err(StateError::Unfit { problem: "there are 32 emergency accounts already" });
        }
        let inserted = row::Entity::insert(model).exec_without_returning(&transaction).await;
        inserted.map_err(writing(doing))?;
    }
    transaction.commit().await.map_err(writing(doing))
}

/// Forgets what is kept of an account, which lets nobody in from then on. `false`: there was nothing.
///
/// # Errors
/// [`StateError::Write`]; then nothing was changed.
pub async fn forget(state: &State, id: AccountId) -> Result<bool, StateError> {
    let done = row::Entity::delete_by_id(id.to_string()).exec(state.database()).await;
    Ok(done.map_err(writing("forget an emergency account"))?.rows_affected == 1)
}

/// Changes what is kept of an account, as it is at this moment, and gives what `edit` gives. `None`: there is
/// nothing.
///
/// # Errors
/// [`StateError::Write`]; then nothing was changed.
pub async fn change<T>(
    state: &State,
    id: AccountId,
    now: Timestamp,
    edit: impl FnOnce(&mut Kept) -> T + Send,
) -> Result<Option<T>, StateError> {
    let doing = "change an emergency account";
    let transaction = state.write(doing).await?;
    let Some(mut kept) = read_in(state, &transaction, id).await? else { return Ok(None) };
    let given = edit(&mut kept);
    write_in(state, &transaction, (id, &kept), now).await?;
    transaction.commit().await.map_err(writing(doing))?;
    Ok(Some(given))
}

/// What became of [`admit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// The session is live.
    Begun,
    /// `edit` would not have it: somebody was first. Nothing was changed.
    Changed,
    /// The account lets nobody in, or is no emergency account. Nothing was changed.
    Closed,
    /// The session to be replaced was no longer live. Nothing was changed.
    Superseded,
}

/// Begins a session of an emergency account, which replaces `replaces` if given, if `edit` takes what is kept of
/// it: all of it or nothing.
///
/// # Errors
/// [`StateError::Write`]; then nothing was changed.
pub async fn admit(
    state: &State,
    id: AccountId,
    session: &NewSession,
    replaces: Option<&[u8; 32]>,
    edit: impl FnOnce(&mut Kept) -> bool + Send,
) -> Result<Admitted, StateError> {
    let doing = "open an emergency account";
    let now = session.created_at;
    let transaction = state.write(doing).await?;
    let Some(mut kept) = read_in(state, &transaction, id).await? else {
        return Ok(Admitted::Closed);
    };
    let account = accounts::find_in(state, &transaction, id).await?;
    let open = account.filter(|account| {
        account.kind == AccountKind::Emergency
            && account.standing(now) == Standing::Good
            && account.key() == session.details.actor
    });
    let Some(account) = open else { return Ok(Admitted::Closed) };
    if !edit(&mut kept) {
        return Ok(Admitted::Changed);
    }
    if let Some(old) = replaces
        && !sessions::end_in(&transaction, old, "stepped-up", now).await?
    {
        return Ok(Admitted::Superseded);
    }
    sessions::create_in(state, &transaction, session, account.epoch).await?;
    accounts::signed_in(&transaction, id, now).await?;
    write_in(state, &transaction, (id, &kept), now).await?;
    transaction.commit().await.map_err(writing(doing))?;
    Ok(Admitted::Begun)
}

async fn read_in(
    state: &State,
    transaction: &DatabaseTransaction,
    id: AccountId,
) -> Result<Option<Kept>, StateError> {
    let found = row::Entity::find_by_id(id.to_string()).one(transaction).await;
    let found = found.map_err(reading("read an emergency account"))?;
    found.map(|model| state.unseal(TABLE, &model.id, &model.sealed)).transpose()
}

async fn write_in(
    state: &State,
    transaction: &DatabaseTransaction,
    (id, kept): (AccountId, &Kept),
    now: Timestamp,
) -> Result<(), StateError> {
    let updated = row::Entity::update(model(state, id, kept, now)?).exec(transaction).await;
    updated.map_err(writing("change an emergency account"))?;
    Ok(())
}

fn model(
    state: &State,
    id: AccountId,
    kept: &Kept,
    now: Timestamp,
) -> Result<row::ActiveModel, StateError> {
    let id = id.to_string();
    Ok(row::ActiveModel {
        sealed: ActiveValue::Set(state.seal(TABLE, &id, kept)?),
        id: ActiveValue::Set(id),
        changed_at: ActiveValue::Set(millis(now)),
    })
}
