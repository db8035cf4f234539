//! Sessions: a token in, an actor out.
//!
//! Invariant: the age of a session is compared on every look-up, so a session that is too old is never
//! given, even if nobody wrote down that it ended.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use keys::digest::sha256;
use policy::{Actor, ActorId, Assurance};
use state::accounts::{self, AccountId, Of};
use state::sessions::{self, StoredSession};

use crate::qualified::{Judged, lacking};
use crate::{Identity, IdentityError, SessionLimits};

/// Activity is written down at most this often.
const TOUCH_SECONDS: i64 = 60;

/// Sessions of one person that a list shows at most.
const SESSIONS_OF_PERSON_MAX: u64 = 100;

/// What a browser shows to be let in: 32 random bytes, base64url. Printed as nothing.
#[derive(Clone)]
pub struct SessionToken(String);

impl SessionToken {
    pub(crate) fn new(bytes: &[u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The text for the cookie.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken")
    }
}

/// The stored name of a token, or nothing if the text can't be a token of ours.
pub(crate) fn token_hash(token: &str) -> Option<[u8; 32]> {
    if token.len() != 43 {
        return None;
    }
    let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    Some(sha256(&bytes))
}

/// Whether the person did something, or a page of theirs asked by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// A person's act: it keeps the session from being idle.
    Person,
    /// Polling, a live view, an asset. The server decides which routes these are, never the client.
    Background,
}

/// A person with a live session.
#[derive(Debug, Clone)]
pub struct Signed {
    pub actor: Actor,
    pub session: Session,
    /// How the person stands towards what is demanded before CJI; looked up with each request.
    pub qualified: Vec<Judged>,
}

/// A live session, without its token.
#[derive(Clone)]
pub struct Session {
    pub(crate) id: [u8; 32],
    pub idp: String,
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub idle_deadline: Timestamp,
    pub absolute_deadline: Timestamp,
    /// Until when the last step-up counts, if there was one.
    pub step_up_until: Option<Timestamp>,
    /// The system-use notice that was accepted in this session, and when (AC-8).
    pub notice: Option<(String, Timestamp)>,
    pub address: Option<String>,
    pub agent: Option<String>,
    /// The class of the device that it began on, if the device is of one.
    pub device_class: Option<String>,
    /// The certificate without which the session does not live: who vouches for it, and its SHA-256.
    pub certificate: Option<(String, [u8; 32])>,
    csrf: [u8; 32],
    pub(crate) named: Named,
}

/// How the provider knows the person and the session.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) name_id: String,
    pub(crate) format: Option<String>,
    pub(crate) session_index: Option<String>,
}

impl Session {
    /// The hash of its token, by which it is stored. It lets nobody in.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        self.id
    }

    /// Whether it is one of these, by the hashes of their tokens.
    #[must_use]
    pub fn is_among(&self, ids: &[[u8; 32]]) -> bool {
        ids.contains(&self.id)
    }

    /// A name for the session that can be shown and recorded: the beginning of its token's hash.
    #[must_use]
    pub fn prefix(&self) -> String {
        hex::encode(self.id.get(..8).unwrap_or_default())
    }

    /// The synchroniser token for this session's forms.
    #[must_use]
    pub fn csrf_token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.csrf)
    }

    /// Whether a form carries this session's token. Takes the same time for every wrong one.
    #[must_use]
    pub fn csrf_matches(&self, token: &str) -> bool {
        keys::mac::equal(self.csrf_token().as_bytes(), token.as_bytes())
    }

    /// Whether a step-up counts at `now`.
    #[must_use]
    pub fn is_stepped_up(&self, now: Timestamp) -> bool {
        self.step_up_until.is_some_and(|until| now <= until)
    }

    /// Whether this very notice was accepted in this session.
    #[must_use]
    pub fn accepted(&self, notice: &str) -> bool {
        self.notice.as_ref().is_some_and(|(accepted, _)| accepted == notice)
    }

    /// When the session ends if the person does nothing more.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.idle_deadline.min(self.absolute_deadline)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("prefix", &self.prefix()).finish_non_exhaustive()
    }
}

/// What a token leads to.
#[derive(Debug, Clone)]
pub enum Lookup {
    Live(Box<Signed>),
    /// It has just been found too old, and was ended: the caller records that. `reason` is `idle` or
    /// `absolute`.
    Expired {
        signed: Box<Signed>,
        reason: &'static str,
    },
    /// It was ended before, for this reason.
    Ended {
        reason: String,
    },
    Unknown,
}

/// One line of "my sessions".
#[derive(Debug, Clone)]
pub struct SessionSummary {
    pub session: Session,
    /// Whether it is the session that asks.
    pub current: bool,
}

impl Identity {
    /// Looks up a cookie's token. A session that is too old is ended here, once. If even that can't be
    /// written, the session is refused all the same, with the error.
    ///
    /// # Errors
    /// [`IdentityError::State`]: the caller lets nobody in.
    pub async fn lookup(
        &self,
        token: &str,
        activity: Activity,
        now: Timestamp,
    ) -> Result<Lookup, IdentityError> {
        match token_hash(token) {
            Some(id) => self.lookup_id(&id, activity, now).await,
            None => Ok(Lookup::Unknown),
        }
    }

    /// As [`Identity::lookup`], by a session's own id: for what runs in it.
    ///
    /// # Errors
    /// As [`Identity::lookup`].
    pub async fn lookup_id(
        &self,
        id: &[u8; 32],
        activity: Activity,
        now: Timestamp,
    ) -> Result<Lookup, IdentityError> {
        let Some(stored) = sessions::find(&self.state, id, now).await? else {
            let reason = sessions::end_reason(&self.state, id).await?;
            return Ok(reason.map_or(Lookup::Unknown, |reason| Lookup::Ended { reason }));
        };
        let idle_max = self.limits_in(stored.details.device_class.as_ref()).idle_max;
        let mut signed = self.signed(stored)?;
        if let Some(reason) = expired(&signed.session, now) {
            return Ok(match sessions::end(&self.state, id, reason, now).await? {
                true => Lookup::Expired { signed: Box::new(signed), reason },
                false => Lookup::Ended { reason: reason.into() },
            });
        }
        let since = now.duration_since(signed.session.last_seen_at);
        if activity == Activity::Person && since >= SignedDuration::from_secs(TOUCH_SECONDS) {
            sessions::touch(&self.state, id, now).await?;
            signed.session.last_seen_at = now;
            signed.session.idle_deadline = later(now, idle_max);
        }
        signed.qualified = self.qualified(&signed.actor, now).await?;
        signed.actor.lacking = lacking(&signed.qualified);
        Ok(Lookup::Live(Box::new(signed)))
    }

    /// As [`Identity::lookup`], for callers to whom every other answer is "nobody".
    ///
    /// # Errors
    /// [`IdentityError::State`].
    pub async fn session(
        &self,
        token: &str,
        activity: Activity,
        now: Timestamp,
    ) -> Result<Option<Signed>, IdentityError> {
        Ok(match self.lookup(token, activity, now).await? {
            Lookup::Live(signed) => Some(*signed),
            Lookup::Expired { .. } | Lookup::Ended { .. } | Lookup::Unknown => None,
        })
    }

    /// Notes that the person accepted the system-use notice in this session (AC-8). `false`: the session
    /// ended in the meantime.
    ///
    /// # Errors
    /// [`IdentityError::State`]; then it does not count as accepted.
    pub async fn accept_notice(
        &self,
        session: &Session,
        notice: &str,
        now: Timestamp,
    ) -> Result<bool, IdentityError> {
        Ok(sessions::accept_notice(&self.state, &session.id, notice, now).await?)
    }

    /// Ends the session of a token. `false`: it was not live.
    ///
    /// # Errors
    /// [`IdentityError::State`]; then it is still live, and the caller says so.
    pub async fn sign_out(&self, token: &str, now: Timestamp) -> Result<bool, IdentityError> {
        let Some(id) = token_hash(token) else { return Ok(false) };
        Ok(sessions::end(&self.state, &id, "signed-out", now).await?)
    }

    /// The live sessions of a person, newest first; at most a hundred.
    ///
    /// # Errors
    /// [`IdentityError::State`].
    pub async fn sessions_of(
        &self,
        actor: &ActorId,
        current: Option<&Session>,
        now: Timestamp,
    ) -> Result<Vec<SessionSummary>, IdentityError> {
        let found =
            sessions::of_person(&self.state, actor.as_str(), SESSIONS_OF_PERSON_MAX, now).await?;
        let mut summaries = Vec::with_capacity(found.len());
        for stored in found {
            let session = self.signed(stored)?.session;
            if expired(&session, now).is_none() {
                let current = current.is_some_and(|current| current.id == session.id);
                summaries.push(SessionSummary { session, current });
            }
        }
        Ok(summaries)
    }

    /// Ends every session of a person at once. Gives how many were live.
    ///
    /// # Errors
    /// [`IdentityError::State`]; then none was ended.
    pub async fn end_all(
        &self,
        actor: &ActorId,
        reason: &str,
        now: Timestamp,
    ) -> Result<usize, IdentityError> {
        let of = Of::Account(AccountId::of(actor.as_str()));
        Ok(accounts::end_sessions(&self.state, of, reason, now).await?.sessions.len())
    }

    /// Forgets sessions that ended, or could no longer be live, more than a day ago.
    ///
    /// # Errors
    /// [`IdentityError::State`].
    pub async fn forget_old(&self, now: Timestamp) -> Result<u64, IdentityError> {
        let day = SignedDuration::from_hours(24);
        let before = now.checked_sub(day).unwrap_or(Timestamp::MIN);
        Ok(sessions::purge(&self.state, before).await?)
    }
}

fn expired(session: &Session, now: Timestamp) -> Option<&'static str> {
    if now >= session.absolute_deadline {
        Some("absolute")
    } else if now >= session.idle_deadline {
        Some("idle")
    } else {
        None
    }
}

/// A time after another; the end of time if there is none.
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl Identity {
    /// Reads a stored session. The strictest of the stored and the present limits counts.
    pub(crate) fn signed(&self, stored: StoredSession) -> Result<Signed, IdentityError> {
        let limits = self.limits_in(stored.details.device_class.as_ref());
        signed(stored, &limits)
    }
}

pub(crate) fn signed(
    stored: StoredSession,
    limits: &SessionLimits,
) -> Result<Signed, IdentityError> {
    let damaged = |what| move |_| IdentityError::Damaged { what };
    let details = stored.details;
    let functions = details.functions.iter().map(|text| text.parse());
    let functions: Result<BTreeSet<_>, _> = functions.collect();
    let actor = Actor {
        id: details.actor.parse().map_err(damaged("actor"))?,
        name: details.name,
        agency: details.agency.parse().map_err(damaged("agency"))?,
        functions: functions.map_err(damaged("functions"))?,
        assurance: Assurance {
            mfa: details.mfa,
            context: details.context,
            authenticated_at: details.authenticated_at,
            stepped_up_at: stored.stepped_up_at,
        },
        // Whoever hands the actor on to the gate looks it up.
        lacking: Vec::new(),
    };
    let session = Session {
        id: stored.id,
        idp: details.idp,
        created_at: stored.created_at,
        last_seen_at: stored.last_seen_at,
        idle_deadline: later(stored.last_seen_at, limits.idle_max),
        absolute_deadline: stored
            .absolute_deadline
            .min(later(stored.created_at, limits.absolute_max)),
        step_up_until: stored.stepped_up_at.map(|at| later(at, limits.step_up_max)),
        notice: stored.notice,
        address: details.address,
        agent: details.agent,
        device_class: details.device_class.map(|(name, _)| name),
        certificate: details.certificate.map(|bound| (bound.provider, bound.thumbprint)),
        csrf: details.csrf,
        named: Named {
            name_id: details.name_id,
            format: details.name_id_format,
            session_index: details.session_index,
        },
    };
    Ok(Signed { actor, session, qualified: Vec::new() })
}
