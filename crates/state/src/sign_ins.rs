//! Sign-ins under way, and the identity provider's messages that have been used.
//!
//! Invariants: a sign-in is taken at most once, whatever comes of it; a provider's message is used at
//! most once until nobody would accept it any more; its use and the session that it earns are one
//! transaction, so that neither stands without the other; and a sign-in that began before its person was put out
//! earns none.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm::{ActiveValue, DatabaseTransaction};
use serde::{Deserialize, Serialize};

use crate::accounts::{self, Account, Created, NewAccount, Standing, Updated};
use crate::holds;
use crate::migrate::Step;
use crate::sessions::{self, NewSession, hex};
use crate::{State, StateError, millis, reading, time, writing};

const TABLE: &str = "sign_ins";

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sign_ins")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub issued_at: i64,
        pub expires_at: i64,
        pub used_at: Option<i64>,
        pub sealed: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod message {
    use sea_orm::entity::prelude::*;

    /// A message that was used. `id` is the hash of the provider's name and the message's ID.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "used_messages")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub expires_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) fn tables() -> Vec<Step> {
    let mut sign_ins = Table::create();
    sign_ins.table(row::Entity);
    sign_ins.col(ColumnDef::new(row::Column::Id).text().not_null().primary_key());
    sign_ins.col(ColumnDef::new(row::Column::IssuedAt).big_integer().not_null());
    sign_ins.col(ColumnDef::new(row::Column::ExpiresAt).big_integer().not_null());
    sign_ins.col(ColumnDef::new(row::Column::UsedAt).big_integer());
    sign_ins.col(ColumnDef::new(row::Column::Sealed).binary().not_null());
    let mut messages = Table::create();
    messages.table(message::Entity);
    messages.col(ColumnDef::new(message::Column::Id).text().not_null().primary_key());
    messages.col(ColumnDef::new(message::Column::ExpiresAt).big_integer().not_null());
    let expiry = Index::create()
        .name("used_messages_expires_at")
        .table(message::Entity)
        .col(message::Column::ExpiresAt)
        .take();
    vec![Step::table(sign_ins), Step::table(messages), Step::index(expiry)]
}

/// What was asked of the identity provider, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    pub idp: String,
    /// The ID of our AuthnRequest, or the nonce of our OpenID Connect request.
    pub request: String,
    /// The opaque RelayState, or state, that must come back.
    pub relay: String,
    /// Where to go afterwards: a path of our own.
    pub return_to: String,
    /// The session to be stepped up (the SHA-256 of its token), if this is a step-up.
    pub step_up_of: Option<[u8; 32]>,
    /// The PKCE verifier of an OpenID Connect request (RFC 7636).
    #[serde(default)]
    pub verifier: Option<String>,
    /// What is tried, if this is a trial: nobody is let in by it.
    #[serde(default)]
    pub trial: Option<Box<Trial>>,
    /// How often people had been put out; [`begin`] fills it in.
    #[serde(default)]
    pub mark: i64,
}

/// A trial of a provider that is not switched on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The draft's id.
    pub draft: String,
    /// The account of the person who began it.
    pub by: String,
}

/// A sign-in as it begins.
#[derive(Debug, Clone)]
pub struct NewSignIn {
    /// SHA-256 of the browser's pre-login token.
    pub id: [u8; 32],
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub asked: Asked,
}

/// What became of an attempt to take a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Taken now, and never again.
    Once {
        asked: Asked,
        issued_at: Timestamp,
    },
    Unknown,
    Expired,
    Already,
}

/// A message of an identity provider, and until when it must be remembered.
#[derive(Debug, Clone)]
pub struct Message {
    pub idp: String,
    pub id: String,
    pub remember_until: Timestamp,
}

/// The account that a person signs in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is there, was read, and is to be as given here from now on: the provider may have said something
    /// new of the person.
    Known(Box<Account>),
    /// There is none, and it is to be made.
    Make(Box<NewAccount>),
}

impl Message {
    /// The row's id: the provider's name and the message's ID, hashed.
    fn row(&self) -> String {
        hex(&keys::digest::sha256_parts(&[self.idp.as_bytes(), b"|", self.id.as_bytes()]))
    }
}

/// Whether a message was used before, for messages that begin no session.
///
/// # Errors
/// [`StateError::Read`]; then the caller does not act on the message.
pub async fn was_used(state: &State, message: &Message) -> Result<bool, StateError> {
    let found = message::Entity::find_by_id(message.row()).one(state.database()).await;
    Ok(found.map_err(reading("look for a provider's message"))?.is_some())
}

/// Notes that a message was used, once what it asked for is done. Doing that twice does no harm.
///
/// # Errors
/// [`StateError::Write`].
pub async fn note_used(state: &State, message: &Message, now: Timestamp) -> Result<(), StateError> {
    let doing = "note a provider's message";
    let transaction = state.write(doing).await?;
    use_up(&transaction, message, now, doing).await?;
    transaction.commit().await.map_err(writing(doing))
}

/// What became of [`finish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// The messages are used up and the session is live. `ended` are those of the person's other sessions
    /// that ended because their functions are others now.
    Begun { ended: Vec<[u8; 32]> },
    /// The account is not, or no longer, what it was when it was read, or does not let anybody in; nothing
    /// was changed.
    AccountChanged,
    /// One of the messages had been used before; nothing was changed.
    Replayed,
    /// The session to be replaced was no longer live; nothing was changed.
    Superseded,
    /// The provider is held; nothing was changed.
    Held,
    /// The person was put out while it was under way; nothing was changed.
    PutOut,
}

/// Remembers what was asked. Sign-ins that are over by more than their own length are forgotten.
///
/// # Errors
/// [`StateError::Write`]; then nothing was changed.
pub async fn begin(state: &State, new: &NewSignIn) -> Result<(), StateError> {
    let doing = "begin a sign-in";
    let id = hex(&new.id);
    let transaction = state.write(doing).await?;
    let mark = accounts::mark(&transaction).await?;
    let asked = Asked { mark, ..new.asked.clone() };
    let model = row::ActiveModel {
        sealed: ActiveValue::Set(state.seal(TABLE, &id, &asked)?),
        id: ActiveValue::Set(id),
        issued_at: ActiveValue::Set(millis(new.issued_at)),
        expires_at: ActiveValue::Set(millis(new.expires_at)),
        used_at: ActiveValue::Set(None),
    };
    let lifetime = millis(new.expires_at).saturating_sub(millis(new.issued_at));
    let over = millis(new.issued_at).saturating_sub(lifetime);
    row::Entity::delete_many()
        .filter(row::Column::ExpiresAt.lt(over))
        .exec(&transaction)
        .await
        .map_err(writing(doing))?;
    row::Entity::insert(model)
        .exec_without_returning(&transaction)
        .await
        .map_err(writing(doing))?;
    transaction.commit().await.map_err(writing(doing))
}

/// What a sign-in asks, and since when, if it can still be taken. Taking it is another step.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when the row was tampered with.
pub async fn peek(
    state: &State,
    id: &[u8; 32],
    now: Timestamp,
) -> Result<Option<(Asked, Timestamp)>, StateError> {
    let found = row::Entity::find_by_id(hex(id)).one(state.database()).await;
    let Some(model) = found.map_err(reading("look at a sign-in"))? else { return Ok(None) };
    if model.used_at.is_some() || millis(now) > model.expires_at {
        return Ok(None);
    }
    let asked = state.unseal(TABLE, &model.id, &model.sealed)?;
    Ok(Some((asked, time(TABLE, model.issued_at)?)))
}

/// Takes a sign-in, so that no second answer to it counts.
///
/// # Errors
/// [`StateError::Write`]; then it was not taken, and the caller refuses.
pub async fn take(state: &State, id: &[u8; 32], now: Timestamp) -> Result<Taken, StateError> {
    let doing = "take up a sign-in";
    let transaction = state.write(doing).await?;
    let found = row::Entity::find_by_id(hex(id)).one(&transaction).await;
    let Some(model) = found.map_err(reading(doing))? else { return Ok(Taken::Unknown) };
    if model.used_at.is_some() {
        return Ok(Taken::Already);
    }
    row::Entity::update_many()
        .col_expr(row::Column::UsedAt, Expr::value(millis(now)))
        .filter(row::Column::Id.eq(&model.id))
        .exec(&transaction)
        .await
        .map_err(writing(doing))?;
    transaction.commit().await.map_err(writing(doing))?;
    if millis(now) > model.expires_at {
        return Ok(Taken::Expired);
    }
    let asked = state.unseal(TABLE, &model.id, &model.sealed)?;
    Ok(Taken::Once { asked, issued_at: time(TABLE, model.issued_at)? })
}

/// Uses up the provider's messages, makes or changes the account as `admission` says, and begins the session,
/// which replaces `replaces` if given: all of it or nothing. `mark` is the sign-in's own.
///
/// # Errors
/// [`StateError::Write`]; [`StateError::Unfit`] for an account that is not whole; then nothing was changed.
pub async fn finish(
    state: &State,
    messages: &[Message],
    session: &NewSession,
    replaces: Option<&[u8; 32]>,
    (admission, mark): (&Admission, i64),
) -> Result<Finished, StateError> {
    let doing = "finish a sign-in";
    let now = session.created_at;
    let transaction = state.write(doing).await?;
    let certificate = session.details.certificate.as_ref().map(|bound| &bound.provider);
    for provider in std::iter::once(&session.details.idp).chain(certificate) {
        if holds::is_held(&transaction, provider).await? {
            return Ok(Finished::Held);
        }
    }
    for used in messages {
        if !use_up(&transaction, used, now, doing).await? {
            return Ok(Finished::Replayed);
        }
    }
    if let Some(old) = replaces
        && !sessions::end_in(&transaction, old, "stepped-up", now).await?
    {
        return Ok(Finished::Superseded);
    }
    let Some((account, ended)) = admit(state, &transaction, admission, now).await? else {
        return Ok(Finished::AccountChanged);
    };
    if accounts::put_out_since(&transaction, account.id, mark).await? {
        return Ok(Finished::PutOut);
    }
    if account.key() != session.details.actor {
        return Err(StateError::Unfit { problem: "the session is of another account" });
    }
    sessions::create_in(state, &transaction, session, account.epoch).await?;
    accounts::signed_in(&transaction, account.id, now).await?;
    transaction.commit().await.map_err(writing(doing))?;
    Ok(Finished::Begun { ended })
}

/// The account, if it lets its person in, and the sessions that ended because it changed.
async fn admit(
    state: &State,
    transaction: &DatabaseTransaction,
    admission: &Admission,
    now: Timestamp,
) -> Result<Option<(Account, Vec<[u8; 32]>)>, StateError> {
    let (account, ended) = match admission {
        Admission::Make(new) => match accounts::create_in(state, transaction, new, now).await? {
            Created::Made(account) => (account, Vec::new()),
            Created::Exists(_) | Created::Reserved { .. } => return Ok(None),
        },
        Admission::Known(known) => {
            let Some(present) = accounts::find_in(state, transaction, known.id).await? else {
                return Ok(None);
            };
            if present.version != known.version {
                return Ok(None);
            }
            if present.profile == known.profile {
                (present, Vec::new())
            } else {
                let reason = "functions-changed";
                match accounts::update_in(state, transaction, known, reason, now).await? {
                    Updated::Done { after, ended, .. } => (*after, ended),
                    Updated::Stale(_) | Updated::Missing => return Ok(None),
                }
            }
        }
    };
    Ok((account.standing(now) == Standing::Good).then_some((account, ended)))
}

/// Notes that a message was used, in the transaction of its effect. `false`: it had been used before.
pub(crate) async fn use_up(
    transaction: &sea_orm::DatabaseTransaction,
    used: &Message,
    now: Timestamp,
    doing: &'static str,
) -> Result<bool, StateError> {
    message::Entity::delete_many()
        .filter(message::Column::ExpiresAt.lt(millis(now)))
        .exec(transaction)
        .await
        .map_err(writing(doing))?;
    let id = used.row();
    let known = message::Entity::find_by_id(&id).one(transaction).await;
    if known.map_err(reading(doing))?.is_some() {
        return Ok(false);
    }
    let model = message::ActiveModel {
        id: ActiveValue::Set(id),
        expires_at: ActiveValue::Set(millis(used.remember_until)),
    };
    message::Entity::insert(model)
        .exec_without_returning(transaction)
        .await
        .map_err(writing(doing))?;
    Ok(true)
}
