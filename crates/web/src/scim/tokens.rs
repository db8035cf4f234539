//! The tokens by which directories are let in: made and revoked on record, shown once, kept as hashes.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use keys::Random;
use keys::digest::sha256;
use ledger::{AppendError, Event, Ledger, Record};
use state::State;
use state::directory::tokens;

use crate::accounts::Recorded;
use crate::config::{Config, ConfigError};
use crate::stopped::{ORDER_BYTES_MAX, Rooms, StoppedError, ordered};

pub use state::directory::tokens::Token;

/// The longest that a token may count.
pub const DAYS_MAX: u16 = 365;
/// What every token begins with, so that a leaked one is known for what it is.
const PREFIX: &str = "bailiwick_scim_";

/// Why no token was made, listed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    #[error("no `[[directory]]` of the configuration has this id")]
    NoDirectory,
    #[error("a token counts for 1 to {DAYS_MAX} days")]
    Days,
    #[error("give the name of who orders it, in 1 to {ORDER_BYTES_MAX} bytes")]
    Name,
    #[error("no token that counts has this name; `bailiwick scim token list` shows them")]
    NoToken,
    #[error("more than one token's name begins so")]
    Ambiguous,
    #[error(transparent)]
    Stopped(#[from] StoppedError),
    #[error("no token can be made")]
    Keys(#[from] keys::KeysError),
    #[error("the ledger did not record this, so nothing was done")]
    Append(#[from] AppendError),
    #[error("the state database failed")]
    State(#[from] state::StateError),
}

/// The secret of an `Authorization: Bearer …` header, if it can be a token of ours.
pub(super) fn bearer(header: &str) -> Option<[u8; 32]> {
    let (scheme, token) = header.split_once(' ')?;
    let secret = token.trim().strip_prefix(PREFIX)?;
    let ours = scheme.eq_ignore_ascii_case("bearer") && secret.len() == 43;
    if !ours {
        return None;
    }
    URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()
}

/// The name of a token, to people: the beginning of its hash.
#[must_use]
pub fn name(token: &Token) -> &str {
    token.id.get(..12).unwrap_or_default()
}

/// Makes a token for a directory. It is given once, and can't be read again. `record` says who makes it, and `by`
/// names them.
///
/// # Errors
/// [`TokenError`]; then none counts.
pub async fn make(
    (ledger, state): (&Ledger, &State),
    directory: &str,
    (now, days): (Timestamp, u16),
    (record, by): (Recorded<'_>, &str),
    random: &dyn Random,
) -> Result<String, TokenError> {
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(TokenError::Days);
    }
    let mut secret = [0; 32];
    random.fill(&mut secret)?;
    let id = sha256(&secret);
    let until = now.checked_add(SignedDuration::from_hours(24 * i64::from(days)));
    let until = until.map_err(|_| TokenError::Days)?;
    let event = Event::DirectoryToken {
        directory: directory.to_owned(),
        token: hex::encode(id).chars().take(12).collect(),
        what: "made".to_owned(),
        by: by.to_owned(),
        until: Some(until),
    };
    ledger.append(record(event)).await?;
    tokens::keep(state, &id, directory, now, until).await?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret)))
}

/// Revokes a token by its name, or any longer beginning of its hash.
///
/// # Errors
/// [`TokenError`]; then it still counts.
pub async fn revoke(
    (ledger, state): (&Ledger, &State),
    named: &str,
    now: Timestamp,
    (record, by): (Recorded<'_>, &str),
) -> Result<(), TokenError> {
    let all = tokens::list(state).await?;
    let mut found = all.iter().filter(|token| {
        named.len() >= 8 && token.id.starts_with(named) && token.revoked_at.is_none()
    });
    let token = found.next().ok_or(TokenError::NoToken)?;
    if found.next().is_some() {
        return Err(TokenError::Ambiguous);
    }
    let event = Event::DirectoryToken {
        directory: token.client.clone(),
        token: name(token).to_owned(),
        what: "revoked".to_owned(),
        by: by.to_owned(),
        until: None,
    };
    ledger.append(record(event)).await?;
    match tokens::revoke(state, &token.id, now).await? {
        true => Ok(()),
        false => Err(TokenError::NoToken),
    }
}

/// `bailiwick scim token make`.
///
/// # Errors
/// As [`make`].
pub async fn make_stopped(
    config: &Path,
    directory: &str,
    days: u16,
    by: &str,
) -> Result<String, TokenError> {
    let by = ordered(by).ok_or(TokenError::Name)?;
    let config = Config::read(config)?;
    if !config.directories.iter().any(|known| known.id == directory) {
        return Err(TokenError::NoDirectory);
    }
    let open = Rooms::open(&config).await?;
    let (now, random) = (open.outside.clock.now(), open.outside.random.clone());
    let rooms = (&open.ledger, &open.state);
    let made = make(rooms, directory, (now, days), (&Record::platform, by), &*random).await;
    open.close::<TokenError>().await?;
    made
}

/// `bailiwick scim token revoke`.
///
/// # Errors
/// As [`revoke`].
pub async fn revoke_stopped(config: &Path, named: &str, by: &str) -> Result<(), TokenError> {
    let by = ordered(by).ok_or(TokenError::Name)?;
    let open = Rooms::open(&Config::read(config)?).await?;
    let now = open.outside.clock.now();
    let by: (Recorded<'_>, &str) = (&Record::platform, by);
    let revoked = revoke((&open.ledger, &open.state), named, now, by).await;
    open.close::<TokenError>().await?;
    revoked
}

/// `bailiwick scim token list`.
///
/// # Errors
/// [`TokenError`].
pub async fn list_stopped(config: &Path) -> Result<Vec<Token>, TokenError> {
    let open = Rooms::open(&Config::read(config)?).await?;
    let listed = async {
        let found = tokens::list(&open.state).await?;
        let names: Vec<String> = found.iter().map(|one| name(one).to_owned()).collect();
        Rooms::record_list(&open.ledger, "directory tokens", &names).await?;
        Ok::<_, TokenError>(found)
    };
    let listed = listed.await;
    open.close::<TokenError>().await?;
    listed
}
