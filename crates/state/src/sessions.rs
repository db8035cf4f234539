//! Sessions as they are stored: found by the hash of their token, never by the token.
//!
//! Invariant: an ended session keeps no sealed details and never becomes live again. When a session is
//! too old is decided by `identity`, which gives the times; this module holds what it is told.

use jiff::Timestamp;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Index, Query, Table};
use sea_orm::{
    ActiveValue, Condition, DatabaseTransaction, DbBackend, ExprTrait, QueryOrder, QuerySelect,
    QueryTrait,
};
use serde::{Deserialize, Serialize};

use crate::migrate::Step;
use crate::sign_ins::{Message, use_up};
use crate::{State, StateError, accounts, millis, reading, time, writing};

mod many;

pub(crate) use many::{end_many, live_through};

const TABLE: &str = "sessions";

#[expect(unreachable_pub, reason = "SeaORM derives a public Entity; the module is private")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sessions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub person: String,
        pub created_at: i64,
        pub last_seen_at: i64,
        pub absolute_deadline: i64,
        pub stepped_up_at: Option<i64>,
        pub notice: Option<String>,
        pub notice_at: Option<i64>,
        pub ended_at: Option<i64>,
        pub end_reason: Option<String>,
        pub sealed: Option<Vec<u8>>,
        pub epoch: i64,
        pub provider_session: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) fn tables() -> Vec<Step> {
    let mut table = Table::create();
    table.table(row::Entity);
    table.col(ColumnDef::new(row::Column::Id).text().not_null().primary_key());
    table.col(ColumnDef::new(row::Column::Person).text().not_null());
    table.col(ColumnDef::new(row::Column::CreatedAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::LastSeenAt).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::AbsoluteDeadline).big_integer().not_null());
    table.col(ColumnDef::new(row::Column::SteppedUpAt).big_integer());
    table.col(ColumnDef::new(row::Column::Notice).text());
    table.col(ColumnDef::new(row::Column::NoticeAt).big_integer());
    table.col(ColumnDef::new(row::Column::EndedAt).big_integer());
    table.col(ColumnDef::new(row::Column::EndReason).text());
    table.col(ColumnDef::new(row::Column::Sealed).binary());
    let index =
        Index::create().name("sessions_person").table(row::Entity).col(row::Column::Person).take();
    vec![Step::table(table), Step::index(index)]
}

/// What a session knows of the account behind it, and of the provider's own session.
pub(crate) fn tied_to_accounts() -> Vec<Step> {
    let add = |column: &mut ColumnDef| {
        Step::alter(Table::alter().table(row::Entity).add_column(column.take()).take())
    };
    let mut epoch = ColumnDef::new(row::Column::Epoch);
    let mut provider = ColumnDef::new(row::Column::ProviderSession);
    let index = Index::create()
        .name("sessions_provider_session")
        .table(row::Entity)
        .col(row::Column::ProviderSession)
        .take();
    vec![
        // No account's epoch is 0: sessions from before there were accounts are over.
        add(epoch.big_integer().not_null().default(0)),
        add(provider.text()),
        Step::index(index),
    ]
}

/// What is sealed: who the session is for, and its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// The account key: `<idp>|<NameID>`.
    pub actor: String,
    pub name: String,
    /// The agency's ORI.
    pub agency: String,
    pub functions: Vec<String>,
    pub mfa: bool,
    /// The authentication context that the provider stated.
    pub context: String,
    pub authenticated_at: Timestamp,
    pub idp: String,
    pub name_id: String,
    pub name_id_format: Option<String>,
    /// The provider's own handle of its session, for single log-out.
    pub session_index: Option<String>,
    /// The synchroniser-token secret of this session (IA-5 o(1)m).
    pub csrf: [u8; 32],
    pub address: Option<String>,
    pub agent: Option<String>,
    /// The class of the device, and for how many seconds a session in it might be idle when it began.
    #[serde(default)]
    pub device_class: Option<(String, i64)>,
    /// The client certificate without which the session does not live.
    #[serde(default)]
    pub certificate: Option<Bound>,
}

impl Details {
    /// Whether a provider vouched for the person, or for the certificate that the session is bound to.
    pub(crate) fn came_through(&self, idp: &str) -> bool {
        self.idp == idp || self.certificate.as_ref().is_some_and(|bound| bound.provider == idp)
    }
}

/// A client certificate that a session is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// The id of whoever vouches for it.
    pub provider: String,
    /// SHA-256 of it.
    pub thumbprint: [u8; 32],
}

/// A session as it begins.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// SHA-256 of the token.
    pub id: [u8; 32],
    pub created_at: Timestamp,
    pub absolute_deadline: Timestamp,
    pub stepped_up_at: Option<Timestamp>,
    /// The notice that was accepted in the session that this one replaces.
    pub notice: Option<(String, Timestamp)>,
    pub details: Details,
}

/// A session that has not been ended. It may be too old; the caller compares the times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    pub id: [u8; 32],
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub absolute_deadline: Timestamp,
    pub stepped_up_at: Option<Timestamp>,
    pub notice: Option<(String, Timestamp)>,
    pub details: Details,
}

/// Finds a live session by the hash of its token. One whose account is gone, disabled, over or has moved on to
/// another epoch is none.
///
/// # Errors
/// [`StateError::Read`], or [`StateError::Unseal`] when the row was tampered with.
pub async fn find(
    state: &State,
    id: &[u8; 32],
    now: Timestamp,
) -> Result<Option<StoredSession>, StateError> {
    let query = row::Entity::find_by_id(hex(id)).filter(upheld(now));
    let at_once = state.readers().first(&query.build(DbBackend::Sqlite), model_of);
    let found = match at_once {
        Some(found) => found,
        None => query.one(state.database()).await.map_err(reading("read a session"))?,
    };
    found.map(|model| stored(state, model)).transpose()
}

/// Not ended, and of an account that upholds it.
fn upheld(now: Timestamp) -> Condition {
    let same = |account: accounts::Column, session: row::Column| {
        Expr::col((accounts::Entity, account)).equals((row::Entity, session))
    };
    let good = Query::select()
        .expr(Expr::val(1))
        .from(accounts::Entity)
        .and_where(same(accounts::Column::Id, row::Column::Person))
        .and_where(same(accounts::Column::Epoch, row::Column::Epoch))
        .and_where(accounts::Column::Active.eq(true))
        .and_where(accounts::Column::RemovedAt.is_null())
        .cond_where(
            Condition::any()
                .add(accounts::Column::EndsAt.is_null())
                .add(accounts::Column::EndsAt.gt(millis(now))),
        )
        .take();
    Condition::all().add(row::Column::EndedAt.is_null()).add(Expr::exists(good))
}

/// Those of these sessions that are live.
pub(crate) async fn live_among(
    state: &State,
    ids: &[[u8; 32]],
    now: Timestamp,
) -> Result<Vec<[u8; 32]>, StateError> {
    let names: Vec<String> = ids.iter().map(hex).collect();
    let found: Vec<String> = row::Entity::find()
        .select_only()
        .column(row::Column::Id)
        .filter(row::Column::Id.is_in(names))
        .filter(upheld(now))
        .into_tuple()
        .all(state.database())
        .await
        .map_err(reading("read sessions"))?;
    found.iter().map(|id| unhex(id)).collect()
}

/// The ids of sessions that have not ended, of a person, of a provider's session, or of both.
pub(crate) async fn live_of(
    transaction: &DatabaseTransaction,
    person: Option<String>,
    provider: Option<String>,
) -> Result<Vec<([u8; 32], String)>, StateError> {
    let mut query =
        row::Entity::find().select_only().columns([row::Column::Id, row::Column::Person]);
    query = query.filter(row::Column::EndedAt.is_null());
    if let Some(person) = person {
        query = query.filter(row::Column::Person.eq(person));
    }
    if let Some(provider) = provider {
        query = query.filter(row::Column::ProviderSession.eq(provider));
    }
    let found: Vec<(String, String)> =
        query.into_tuple().all(transaction).await.map_err(reading("read sessions"))?;
    found.into_iter().map(|(id, person)| Ok((unhex(&id)?, person))).collect()
}

/// How a provider's own session is stored.
pub(crate) fn provider_session(idp: &str, session: &str) -> String {
    let parts = [&b"provider-session|"[..], idp.as_bytes(), b"|", session.as_bytes()];
    hex(&keys::digest::sha256_parts(&parts))
}

/// Why a session ended, for the page that the person sees. `None`: unknown, or not ended.
///
/// # Errors
/// [`StateError::Read`].
pub async fn end_reason(state: &State, id: &[u8; 32]) -> Result<Option<String>, StateError> {
    let found = row::Entity::find_by_id(hex(id)).one(state.database()).await;
    Ok(found.map_err(reading("read a session"))?.and_then(|model| model.end_reason))
}

/// Live sessions of a person, newest first. At most `max`.
///
/// # Errors
/// As [`find`].
pub async fn of_person(
    state: &State,
    actor: &str,
    max: u64,
    now: Timestamp,
) -> Result<Vec<StoredSession>, StateError> {
    let found = row::Entity::find()
        .filter(row::Column::Person.eq(person(actor)))
        .filter(upheld(now))
        .order_by_desc(row::Column::CreatedAt)
        .limit(max)
        .all(state.database())
        .await
        .map_err(reading("list a person's sessions"))?;
    found.into_iter().map(|model| stored(state, model)).collect()
}

/// Notes that the person was active.
///
/// # Errors
/// [`StateError::Write`].
pub async fn touch(state: &State, id: &[u8; 32], now: Timestamp) -> Result<(), StateError> {
    row::Entity::update_many()
        .col_expr(row::Column::LastSeenAt, Expr::value(millis(now)))
        .filter(row::Column::Id.eq(hex(id)))
        .filter(row::Column::EndedAt.is_null())
        // Two requests may finish in either order; activity never goes back.
        .filter(row::Column::LastSeenAt.lt(millis(now)))
        .exec(state.database())
        .await
        .map_err(writing("note a session's activity"))?;
    Ok(())
}

/// Notes which system-use notice was accepted (AC-8). `false`: no such live session.
///
/// # Errors
/// [`StateError::Write`].
pub async fn accept_notice(
    state: &State,
    id: &[u8; 32],
    notice: &str,
    now: Timestamp,
) -> Result<bool, StateError> {
    let done = row::Entity::update_many()
        .col_expr(row::Column::Notice, Expr::value(notice))
        .col_expr(row::Column::NoticeAt, Expr::value(millis(now)))
        .filter(row::Column::Id.eq(hex(id)))
        .filter(row::Column::EndedAt.is_null())
        .exec(state.database())
        .await
        .map_err(writing("record that the notice was accepted"))?;
    Ok(done.rows_affected == 1)
}

/// Ends a session and erases its details. `false`: it was not live.
///
/// # Errors
/// [`StateError::Write`].
pub async fn end(
    state: &State,
    id: &[u8; 32],
    reason: &str,
    now: Timestamp,
) -> Result<bool, StateError> {
    end_in(state.database(), id, reason, now).await
}

/// Ends the live sessions of a person that the identity provider knows by one of these handles, or all of them
/// where it names none; its message is used up in the same step. Gives them as they were; `None`: the message
/// had been used before, and nothing was changed.
///
/// # Errors
/// [`StateError::Write`], or [`StateError::Unseal`] when a row was tampered with; then none was ended.
pub async fn end_by_provider(
    state: &State,
    message: &Message,
    actor: &str,
    indexes: &[String],
    reason: &str,
    now: Timestamp,
) -> Result<Option<Vec<StoredSession>>, StateError> {
    let doing = "end the sessions that a provider names";
    let transaction = state.write(doing).await?;
    if !use_up(&transaction, message, now, doing).await? {
        return Ok(None);
    }
    let live = row::Entity::find()
        .filter(row::Column::Person.eq(person(actor)))
        .filter(row::Column::EndedAt.is_null())
        .all(&transaction)
        .await
        .map_err(writing(doing))?;
    let mut ended = Vec::new();
    for model in live {
        let session = stored(state, model)?;
        let index = session.details.session_index.as_ref();
        // A session for which the provider gave no handle is meant by whatever it names.
        if indexes.is_empty() || index.is_none_or(|index| indexes.contains(index)) {
            end_in(&transaction, &session.id, reason, now).await?;
            ended.push(session);
        }
    }
    transaction.commit().await.map_err(writing(doing))?;
    Ok(Some(ended))
}

/// Forgets sessions whose end, or whose last possible moment, is before `before`. Gives how many.
///
/// # Errors
/// [`StateError::Write`].
pub async fn purge(state: &State, before: Timestamp) -> Result<u64, StateError> {
    let old = Condition::any()
        .add(row::Column::EndedAt.lt(millis(before)))
        .add(row::Column::AbsoluteDeadline.lt(millis(before)));
    let done = row::Entity::delete_many().filter(old).exec(state.database()).await;
    Ok(done.map_err(writing("forget old sessions"))?.rows_affected)
}

/// Begins a session, in the transaction that consumed what it was earned with.
pub(crate) async fn create_in(
    state: &State,
    transaction: &DatabaseTransaction,
    new: &NewSession,
    epoch: i64,
) -> Result<(), StateError> {
    let id = hex(&new.id);
    let (notice, notice_at) = match &new.notice {
        Some((notice, at)) => (Some(notice.clone()), Some(millis(*at))),
        None => (None, None),
    };
    let sealed = state.seal(TABLE, &id, &new.details)?;
    let provider = new.details.session_index.as_ref();
    let provider = provider.map(|session| provider_session(&new.details.idp, session));
    let model = row::ActiveModel {
        id: ActiveValue::Set(id),
        person: ActiveValue::Set(person(&new.details.actor)),
        created_at: ActiveValue::Set(millis(new.created_at)),
        last_seen_at: ActiveValue::Set(millis(new.created_at)),
        absolute_deadline: ActiveValue::Set(millis(new.absolute_deadline)),
        stepped_up_at: ActiveValue::Set(new.stepped_up_at.map(millis)),
        notice: ActiveValue::Set(notice),
        notice_at: ActiveValue::Set(notice_at),
        ended_at: ActiveValue::Set(None),
        end_reason: ActiveValue::Set(None),
        sealed: ActiveValue::Set(Some(sealed)),
        epoch: ActiveValue::Set(epoch),
        provider_session: ActiveValue::Set(provider),
    };
    row::Entity::insert(model)
        .exec_without_returning(transaction)
        .await
        .map_err(writing("begin a session"))?;
    Ok(())
}

pub(crate) async fn end_in(
    database: &impl ConnectionTrait,
    id: &[u8; 32],
    reason: &str,
    now: Timestamp,
) -> Result<bool, StateError> {
    Ok(end_many(database, std::slice::from_ref(id), reason, now).await? == 1)
}

/// A row as [`crate::readers::Readers`] reads it.
fn model_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<row::Model> {
    Ok(row::Model {
        id: row.get("id")?,
        person: row.get("person")?,
        created_at: row.get("created_at")?,
        last_seen_at: row.get("last_seen_at")?,
        absolute_deadline: row.get("absolute_deadline")?,
        stepped_up_at: row.get("stepped_up_at")?,
        notice: row.get("notice")?,
        notice_at: row.get("notice_at")?,
        ended_at: row.get("ended_at")?,
        end_reason: row.get("end_reason")?,
        sealed: row.get("sealed")?,
        epoch: row.get("epoch")?,
        provider_session: row.get("provider_session")?,
    })
}

fn stored(state: &State, model: row::Model) -> Result<StoredSession, StateError> {
    let damaged = |column| StateError::Damaged { table: TABLE, column };
    let sealed = model.sealed.ok_or_else(|| damaged("sealed"))?;
    let notice = match (model.notice, model.notice_at) {
        (Some(notice), Some(at)) => Some((notice, time(TABLE, at)?)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(damaged("notice")),
    };
    Ok(StoredSession {
        id: unhex(&model.id)?,
        created_at: time(TABLE, model.created_at)?,
        last_seen_at: time(TABLE, model.last_seen_at)?,
        absolute_deadline: time(TABLE, model.absolute_deadline)?,
        stepped_up_at: model.stepped_up_at.map(|at| time(TABLE, at)).transpose()?,
        notice,
        details: state.unseal(TABLE, &model.id, &sealed)?,
    })
}

/// The person's column: sessions can be found by person without naming the person.
fn person(actor: &str) -> String {
    accounts::AccountId::of(actor).to_string()
}

pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    hex::encode(bytes)
}

fn unhex(text: &str) -> Result<[u8; 32], StateError> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| StateError::Damaged { table: TABLE, column: "id" })?;
    Ok(bytes)
}
