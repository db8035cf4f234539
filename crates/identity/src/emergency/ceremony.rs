//! The security key of an emergency sign-in: what is asked of the browser, and what is made of the answer.
//!
//! Invariant: a challenge is taken once, in the browser that began, within five minutes, whatever comes of it; and
//! taking it counts as a try.

use jiff::Timestamp;
use state::emergency::{self as store, Kept, SecurityKey, Waiting};

use super::security_key::{Asked, KnownKey, assert, register};
use super::{Emergency, Failed, Key, Opened, Proved, WAIT_MAX, count, key_of, locks};
use super::{later, token_hash};
use crate::{IdentityError, Refusal, SessionToken};

/// What the browser is to ask of a security key.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// For the browser's cookie.
    pub token: SessionToken,
    pub challenge: [u8; 32],
    /// Whether a new key is to be registered; otherwise one of `keys` is to be shown.
    pub registers: bool,
    pub keys: Vec<Vec<u8>>,
    /// What the account is called to the key: bytes that name nobody, and a name to show.
    pub user: [u8; 32],
    pub name: String,
}

/// What the browser says that the key answered.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    pub credential: Vec<u8>,
    pub client_data: Vec<u8>,
    pub authenticator_data: Vec<u8>,
    pub signature: Vec<u8>,
}

impl Emergency {
    /// Asks for a security key: one that is registered, or a new one where there is none. The caller has recorded
    /// that both halves were right.
    ///
    /// # Errors
    /// [`IdentityError::State`], [`IdentityError::Random`].
    pub async fn ask_key(
        &self,
        opened: &Opened,
        reason: &str,
        now: Timestamp,
    ) -> Result<Prompt, IdentityError> {
        let random = || keys::random_bytes::<32>(&*self.random).map_err(IdentityError::Random);
        let (token, challenge) = (random()?, random()?);
        let waiting = Waiting {
            browser: keys::digest::sha256(&token),
            challenge,
            until: later(now, WAIT_MAX),
            registers: !opened.has_key(),
            reason: reason.to_owned(),
            again: opened.again,
        };
        store::change(&self.state, opened.id, now, |kept| {
            // The try that was counted did not fail; the key's answer is the next.
            kept.tries.pop();
            kept.waiting = Some(waiting);
        })
        .await?;
        Ok(Prompt {
            token: SessionToken::new(&token),
            challenge,
            registers: !opened.has_key(),
            keys: opened.keys.clone(),
            user: keys::digest::sha256(opened.account().as_bytes()),
            name: opened.name.clone(),
        })
    }

    /// Takes the key's answer. `browser` is the cookie's token.
    ///
    /// # Errors
    /// [`IdentityError::State`]: nobody was let in.
    pub async fn take_key(
        &self,
        name: &str,
        browser: Option<&str>,
        shown: &Shown,
        now: Timestamp,
    ) -> Result<Result<Proved, Failed>, IdentityError> {
        let id = super::id_of(name);
        let browser = browser.and_then(token_hash);
        let taken = store::change(&self.state, id, now, |kept| {
            // Whoever is not the browser that began takes nothing from it.
            let own = kept.waiting.as_ref().is_some_and(|one| Some(one.browser) == browser);
            let waiting = if own { kept.waiting.take() } else { None };
            waiting.map(|waiting| (waiting, count(kept, now)))
        });
        let Some((waiting, (kept, one_too_many))) = taken.await?.flatten() else {
            let detail = "no sign-in of this browser waits for a security key";
            let refusal = Refusal::new("emergency.key.unasked", detail);
            return Ok(Err(Failed { account: None, refusal, locks: false }));
        };
        let locked = kept.locked_at.is_some() || one_too_many;
        let judged = match locked {
            true => Err(Refusal::new("emergency.locked", "the account is locked")),
            false => self.judge(&waiting, &kept, shown, now),
        };
        let proved = judged.map(|key| Proved {
            id,
            name: name.to_owned(),
            reason: waiting.reason.clone(),
            again: waiting.again,
            key,
        });
        Ok(proved.map_err(|refusal| Failed {
            account: Some(key_of(name)),
            refusal,
            locks: locks(id, &kept),
        }))
    }

    fn judge(
        &self,
        waiting: &Waiting,
        kept: &Kept,
        shown: &Shown,
        now: Timestamp,
    ) -> Result<Key, Refusal> {
        if now > waiting.until {
            return Err(Refusal::new("emergency.key.late", "the security key came too late"));
        }
        let settings = self.settings();
        let asked = Asked {
            rp_id: &settings.rp_id,
            origin: &settings.origin,
            challenge: &waiting.challenge,
        };
        if waiting.registers {
            if !kept.keys.is_empty() {
                let detail = "the account was given a key in the meantime";
                return Err(Refusal::new("emergency.key.unasked", detail));
            }
            let new = register(&asked, &shown.client_data, &shown.authenticator_data)?;
            return Ok(Key::New(SecurityKey {
                id: new.id,
                spki: new.spki,
                count: new.count,
                added_at: now,
            }));
        }
        let known = kept.keys.iter().find(|key| key.id == shown.credential);
        let known = known.ok_or_else(|| {
            Refusal::new("emergency.key.unknown", "the key is none of the account's")
        })?;
        let count = assert(
            &asked,
            &KnownKey { spki: &known.spki, count: known.count },
            &shown.client_data,
            &shown.authenticator_data,
            &shown.signature,
        )?;
        Ok(Key::Known { id: known.id.clone(), count })
    }
}
