//! Emergency accounts: local administrators for when no identity provider answers (AC-2, IA-5).
//!
//! Invariants: a try is counted, durably, before the secret is looked at; a name that there is not costs the same
//! work as a wrong secret, on a row of its own that no secret fits; five tries in fifteen minutes lock the account
//! until somebody releases it (AC-7); a secret opens one session, of one hour at most, as an administrator and
//! nothing else. This room has no ledger: the caller records each step before it asks for the next.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keys::Random;
use keys::stretch::{ITERATIONS, Stretched};
use policy::Ori;
use state::State;
use state::accounts::{self, AccountId, Standing};
use state::emergency::{self as store, Kept, Secret, SecurityKey, Spent, Use};
use state::sessions::{Details, NewSession, StoredSession};

use crate::session::{SessionToken, Signed, later, signed, token_hash};
use crate::sign_in::{Browser, SignedIn};
use crate::{IdentityError, Refusal, SessionLimits};

mod ceremony;
mod half;
mod keep;
pub mod security_key;
#[cfg(test)]
mod tests;

pub use ceremony::{Prompt, Shown};
pub use half::{Half, Halves};
use keep::fresh;
pub use keep::{Overview, forget, overview, release, renew, review};

/// What stands in place of a provider's id. No identity provider may have it.
pub const PROVIDER: &str = "local";
/// What whoever comes in this way is, and nothing else.
pub const FUNCTION: &str = "administrator";
/// Tries within [`TRIES_WITHIN`] that lock an account (AC-7).
pub const TRIES_MAX: usize = 5;
const TRIES_WITHIN: SignedDuration = SignedDuration::from_mins(15);
/// How long a security key is waited for.
const WAIT_MAX: SignedDuration = SignedDuration::from_mins(5);
/// Longest session.
pub const SESSION_MAX: SignedDuration = SignedDuration::from_hours(1);
/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 40;
/// Longest user agent that is kept; a longer one is not kept at all.
const AGENT_BYTES_MAX: usize = 512;

/// What the agency decided.
#[derive(Debug, Clone)]
pub struct Settings {
    pub agency: Ori,
    /// Our name to security keys, the host of the pages, and the origin of the pages.
    pub rp_id: String,
    pub origin: String,
    pub session_max: SignedDuration,
    /// Whether two sealed halves count as more than one factor where no security key is registered.
    pub without_key: bool,
}

/// The emergency accounts of one agency. Clones share everything.
#[derive(Clone)]
pub struct Emergency {
    state: State,
    settings: Arc<Settings>,
    limits: SessionLimits,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for Emergency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emergency").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A try that was not good enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The account's key, if there is such an account.
    pub account: Option<String>,
    pub refusal: Refusal,
    /// It was one too many: the caller records it and calls [`Emergency::lock`].
    pub locks: bool,
}

/// Both halves were right.
#[derive(Debug, Clone)]
pub struct Opened {
    id: AccountId,
    name: String,
    /// The security keys that may be shown, by their names for themselves.
    keys: Vec<Vec<u8>>,
    /// The session that proves again who it is.
    again: Option<[u8; 32]>,
}

impl Opened {
    /// The account's key.
    #[must_use]
    pub fn account(&self) -> String {
        key_of(&self.name)
    }

    /// Whether the account has a security key.
    #[must_use]
    pub fn has_key(&self) -> bool {
        !self.keys.is_empty()
    }

    #[must_use]
    pub fn is_again(&self) -> bool {
        self.again.is_some()
    }
}

/// All that is asked was shown: [`Emergency::admit`] begins the session.
#[derive(Debug, Clone)]
pub struct Proved {
    id: AccountId,
    name: String,
    reason: String,
    again: Option<[u8; 32]>,
    key: Key,
}

#[derive(Debug, Clone)]
enum Key {
    None,
    New(SecurityKey),
    Known { id: Vec<u8>, count: u32 },
}

impl Proved {
    /// The account's key.
    #[must_use]
    pub fn account(&self) -> String {
        key_of(&self.name)
    }

    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What was shown, in words.
    #[must_use]
    pub fn context(&self) -> &'static str {
        match self.key {
            Key::None => "two sealed halves",
            Key::New(_) => "two sealed halves and a new security key",
            Key::Known { .. } => "two sealed halves and a security key",
        }
    }

    #[must_use]
    pub fn is_again(&self) -> bool {
        self.again.is_some()
    }
}

/// An emergency account's key, as actors have it.
#[must_use]
pub fn key_of(name: &str) -> String {
    format!("{PROVIDER}|{name}")
}

/// The id of an emergency account.
#[must_use]
pub fn id_of(name: &str) -> AccountId {
    AccountId::of(&key_of(name))
}

/// The row of names that there are not. No account has an empty name.
fn nobody() -> AccountId {
    id_of("")
}

/// Whether an emergency account may be called so.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(letters)
}

impl Emergency {
    /// # Errors
    /// [`IdentityError::Limit`] for a session of more than an hour.
    pub fn new(
        state: State,
        settings: Settings,
        limits: SessionLimits,
        random: Arc<dyn Random>,
    ) -> Result<Self, IdentityError> {
        if settings.session_max <= SignedDuration::ZERO || settings.session_max > SESSION_MAX {
            return Err(IdentityError::Limit { limit: "emergency" });
        }
        Ok(Self { state, settings: Arc::new(settings), limits, random })
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Counts a try, and says whether both halves are right. `again` is the session of this account that proves
    /// again who it is; only that one may use its secret once more.
    ///
    /// # Errors
    /// [`IdentityError::State`], [`IdentityError::Random`]: nobody was let in.
    pub async fn attempt(
        &self,
        name: &str,
        halves: &Halves,
        again: Option<&Signed>,
        now: Timestamp,
    ) -> Result<Result<Opened, Failed>, IdentityError> {
        let id = id_of(name);
        let known = store::find(&self.state, id).await?.filter(|_| is_name(name));
        let id = if known.is_some() { id } else { self.nobody_there(now).await? };
        let counted = store::change(&self.state, id, now, |kept| count(kept, now)).await?;
        let (kept, one_too_many) =
            counted.ok_or(IdentityError::Damaged { what: "emergency account" })?;
        let right = is_right(&kept.secret, halves).await?;
        let account = accounts::find(&self.state, id).await?;
        let standing = account.map_or(Standing::Removed, |account| account.standing(now));
        let again = again.map(|signed| signed.session.id());
        let (code, detail) = if id == nobody() {
            ("emergency.name", "there is no such emergency account")
        } else if kept.locked_at.is_some() || one_too_many {
            ("emergency.locked", "the account is locked")
        } else if !right {
            ("emergency.secret", "the halves are not those of the account")
        } else if kept.spent.as_ref().is_some_and(|spent| again != Some(spent.session)) {
            ("emergency.spent", "the secret was used before")
        } else if standing != Standing::Good {
            ("emergency.inactive", "the account is disabled or removed")
        } else {
            let keys = kept.keys.into_iter().map(|key| key.id).collect();
            return Ok(Ok(Opened { id, name: name.to_owned(), keys, again }));
        };
        Ok(Err(Failed {
            account: (id != nobody()).then(|| key_of(name)),
            refusal: Refusal::new(code, detail),
            locks: locks(id, &kept),
        }))
    }

    /// Locks an account until it is released.
    ///
    /// # Errors
    /// [`IdentityError::State`]; the tries of the last minutes still count.
    pub async fn lock(&self, account: &str, now: Timestamp) -> Result<(), IdentityError> {
        let id = AccountId::of(account);
        store::change(&self.state, id, now, |kept| {
            kept.locked_at.get_or_insert(now);
            kept.waiting = None;
        })
        .await?;
        Ok(())
    }

    /// Takes back a try that was counted and did not fail: what it was for could not be recorded.
    ///
    /// # Errors
    /// [`IdentityError::State`]; it counts as a failure.
    pub async fn take_back(&self, account: &str, now: Timestamp) -> Result<(), IdentityError> {
        let id = AccountId::of(account);
        store::change(&self.state, id, now, |kept| kept.tries.pop()).await?;
        Ok(())
    }

    /// Nothing more is asked of somebody whose halves were right. `None`: a security key is.
    #[must_use]
    pub fn without_key(&self, opened: &Opened, reason: &str) -> Option<Proved> {
        let enough = self.settings.without_key && !opened.has_key();
        enough.then(|| Proved {
            id: opened.id,
            name: opened.name.clone(),
            reason: reason.to_owned(),
            again: opened.again,
            key: Key::None,
        })
    }

    /// Spends the secret and begins the session, which replaces the one that proves again who it is. The caller
    /// has recorded it, records the sign-in, and only then hands out the token.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] when something was changed in the meantime; [`IdentityError::State`],
    /// [`IdentityError::Random`].
    pub async fn admit(
        &self,
        proved: &Proved,
        replaced: Option<&Signed>,
        browser: &Browser,
        now: Timestamp,
    ) -> Result<SignedIn, IdentityError> {
        let refused = |code, detail: &str| IdentityError::Refused {
            idp: Some(proved.account()),
            refusal: Refusal::new(code, detail),
        };
        let replaced = replaced.filter(|signed| proved.again == Some(signed.session.id()));
        if proved.is_again() && replaced.is_none() {
            return Err(refused("emergency.stepup", "the session to be stepped up is over"));
        }
        let secret = || keys::random_bytes::<32>(&*self.random).map_err(IdentityError::Random);
        let (token, csrf) = (secret()?, secret()?);
        let new = self.session(proved, replaced, (&token, csrf), browser, now);
        let old = replaced.map(|signed| signed.session.id());
        let (id, address) = (new.id, browser.address.clone());
        let admitted = store::admit(&self.state, proved.id, &new, old.as_ref(), |kept| {
            spend(kept, proved, Spent { at: now, session: id }, address)
        });
        match admitted.await? {
            store::Admitted::Begun => {}
            store::Admitted::Changed => {
                return Err(refused("emergency.spent", "the secret was used in the meantime"));
            }
            store::Admitted::Closed => {
                return Err(refused("emergency.inactive", "the account was disabled meanwhile"));
            }
            store::Admitted::Superseded => {
                return Err(refused("emergency.stepup", "the session to be stepped up is over"));
            }
        }
        let stored = StoredSession {
            id: new.id,
            created_at: now,
            last_seen_at: now,
            absolute_deadline: new.absolute_deadline,
            stepped_up_at: new.stepped_up_at,
            notice: new.notice,
            details: new.details,
        };
        Ok(SignedIn {
            token: SessionToken::new(&token),
            signed: signed(stored, &self.limits)?,
            return_to: "/".to_owned(),
            stepped_up_from: replaced.map(|signed| signed.session.prefix()),
            notes: Vec::new(),
        })
    }

    fn session(
        &self,
        proved: &Proved,
        replaced: Option<&Signed>,
        (token, csrf): (&[u8; 32], [u8; 32]),
        browser: &Browser,
        now: Timestamp,
    ) -> NewSession {
        let deadline = later(now, self.settings.session_max.min(SESSION_MAX));
        // Proving it again makes no session longer.
        let deadline = replaced.map_or(deadline, |old| deadline.min(old.session.absolute_deadline));
        NewSession {
            id: keys::digest::sha256(token),
            created_at: now,
            absolute_deadline: deadline,
            stepped_up_at: replaced.map(|_| now),
            notice: replaced.and_then(|old| old.session.notice.clone()),
            details: Details {
                actor: proved.account(),
                name: format!("Emergency account {}", proved.name),
                agency: self.settings.agency.as_str().to_owned(),
                functions: vec![FUNCTION.to_owned()],
                mfa: !matches!(proved.key, Key::None) || self.settings.without_key,
                context: proved.context().to_owned(),
                authenticated_at: now,
                idp: PROVIDER.to_owned(),
                name_id: proved.name.clone(),
                name_id_format: None,
                session_index: None,
                csrf,
                address: browser.address.clone(),
                agent: browser.agent.clone().filter(|agent| agent.len() <= AGENT_BYTES_MAX),
                device_class: None,
                certificate: None,
            },
        }
    }

    /// The row on which tries for names are counted that there are not.
    async fn nobody_there(&self, now: Timestamp) -> Result<AccountId, IdentityError> {
        let id = nobody();
        if store::find(&self.state, id).await?.is_none() {
            let salt = keys::random_bytes(&*self.random).map_err(IdentityError::Random)?;
            let hash = keys::random_bytes::<64>(&*self.random).map_err(IdentityError::Random)?;
            let secret = Secret { salt, iterations: ITERATIONS, hash: hash.to_vec() };
            let made_by = [String::new(), String::new()];
            store::put(&self.state, id, &fresh("", secret, made_by, Vec::new(), now), now).await?;
        }
        Ok(id)
    }
}

/// Counts a try. Gives what is kept, with this try in it, and whether it is one too many: the try before it should
/// have locked the account, and could not.
fn count(kept: &mut Kept, now: Timestamp) -> (Kept, bool) {
    let since = now.checked_sub(TRIES_WITHIN).unwrap_or(Timestamp::MIN);
    kept.tries.retain(|at| *at > since);
    let one_too_many = kept.tries.len() >= TRIES_MAX;
    if !one_too_many {
        kept.tries.push(now);
    }
    (kept.clone(), one_too_many)
}

/// Whether a try that failed is the one that locks the account.
fn locks(id: AccountId, kept: &Kept) -> bool {
    id != nobody() && kept.locked_at.is_none() && kept.tries.len() >= TRIES_MAX
}

async fn is_right(secret: &Secret, halves: &Halves) -> Result<bool, IdentityError> {
    let damaged = IdentityError::Damaged { what: "emergency secret" };
    let Ok(hash) = secret.hash.as_slice().try_into() else { return Err(damaged) };
    let stretched = Stretched { salt: secret.salt, iterations: secret.iterations, hash };
    let typed = halves.secret();
    // It takes a tenth of a second by design, and others are to be answered meanwhile.
    let compared = tokio::task::spawn_blocking(move || stretched.is_of(&typed)).await;
    compared.ok().and_then(Result::ok).ok_or(damaged)
}

/// Whether the secret is there to be spent; it is, then.
fn spend(kept: &mut Kept, proved: &Proved, spent: Spent, address: Option<String>) -> bool {
    let free = match &kept.spent {
        None => proved.again.is_none(),
        Some(spent) => proved.again == Some(spent.session),
    };
    if !free || kept.locked_at.is_some() {
        return false;
    }
    match &proved.key {
        Key::None => {}
        Key::New(key) => kept.keys.push(key.clone()),
        Key::Known { id, count } => {
            let Some(known) = kept.keys.iter_mut().find(|key| key.id == *id) else { return false };
            known.count = *count;
        }
    }
    if proved.again.is_none() {
        let used = Use { at: spent.at, reason: proved.reason.clone(), address };
        kept.uses.push(used);
    }
    kept.spent = Some(spent);
    kept.tries.clear();
    kept.waiting = None;
    true
}
