//! Directories that are asked (LDAP, Active Directory), for agencies whose directory tells us nothing by itself:
//! at each sign-in, and again every few minutes.
//!
//! Invariants: a directory is asked over verified TLS alone, at the declared address alone; a person is who the
//! declared filter finds, if it finds exactly one; groups that could not be read whole count as none was read.

use std::sync::Arc;
use std::time::Duration;

use wire::tls::ClientTls;
use wire::{Egress, Secure};
use zeroize::Zeroizing;

mod at_sign_in;
mod ber;
mod filter;
mod message;
mod talk;
#[cfg(test)]
mod tests;

pub use ber::Malformed;
pub use filter::{BadFilter, Filter, Values};
pub use message::MESSAGE_BYTES_MAX;

use crate::Refusal;
use message::Entry;
use talk::Talk;

/// Groups of one person.
pub const GROUPS_MAX: usize = 5_000;
/// Longest name that is asked for, in bytes.
pub const NAME_BYTES_MAX: usize = 512;

/// The bit of `userAccountControl` that says that an account is disabled.
const ACCOUNT_DISABLED: i64 = 2;

/// What an agency decided about a directory.
#[derive(Debug, Clone)]
pub struct LdapSettings {
    pub id: String,
    /// The identity provider whose people it knows.
    pub idp: String,
    pub host: String,
    pub port: u16,
    /// Whom we sign in as, to search.
    pub bind_dn: String,
    pub people_base: String,
    /// Finds the person by `{name}`.
    pub person: Filter,
    pub groups_base: String,
    /// Finds their groups by `{dn}` or `{name}`.
    pub groups: Filter,
    /// The attribute of a group that is its name; its DN counts as a name too.
    pub group_name: String,
    /// How long name, connection, handshake and each answer may take.
    pub wait_max: Duration,
    /// Whether people may sign in with the functions that they have, while it can't be asked.
    pub admits_unasked: bool,
}

/// A directory that can be asked. Clones share everything.
#[derive(Clone)]
pub struct Ldap(Arc<Inner>);

struct Inner {
    settings: LdapSettings,
    egress: Egress,
    tls: ClientTls,
    password: Zeroizing<String>,
}

impl std::fmt::Debug for Ldap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ldap").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

/// Why a directory said nothing.
#[derive(Debug, thiserror::Error)]
pub enum LdapError {
    #[error("the directory could not be reached")]
    Wire(#[from] wire::WireError),
    #[error("the directory did not answer in time")]
    TimedOut,
    #[error("the connection to the directory broke")]
    Broken(#[source] std::io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the directory answered what was not asked")]
    Unasked,
    /// RFC 4511, appendix A: 49 is a wrong password, 32 a base that there is not, 10 a referral.
    #[error("the directory would not {doing}: result code {code}")]
    Code { doing: &'static str, code: i64 },
    #[error("the directory found more than {max} entries")]
    TooMany { max: usize },
}

/// What a directory says of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    /// Their groups, by name and by DN, sorted.
    Here {
        groups: Vec<String>,
    },
    Disabled,
    /// Nobody is found.
    Absent,
    /// More than one is found, so it is nobody.
    Ambiguous,
}

impl Person {
    /// Why they may not be let in, if they may not.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        let (code, detail) = match self {
            Self::Here { .. } => return None,
            Self::Disabled => ("ldap.disabled", "the directory says that the account is disabled"),
            Self::Absent => ("ldap.absent", "the directory does not know the person"),
            Self::Ambiguous => ("ldap.ambiguous", "the directory knows more than one such person"),
        };
        Some(Refusal::new(code, detail))
    }
}

impl Ldap {
    #[must_use]
    pub fn new(
        settings: LdapSettings,
        egress: Egress,
        tls: ClientTls,
        password: Zeroizing<String>,
    ) -> Self {
        Self(Arc::new(Inner { settings, egress, tls, password }))
    }

    #[must_use]
    pub fn settings(&self) -> &LdapSettings {
        &self.0.settings
    }

    /// Opens a conversation, in which people can be asked about one after another.
    ///
    /// # Errors
    /// [`LdapError`].
    pub async fn open(&self) -> Result<Asking, LdapError> {
        let Inner { settings, egress, tls, password } = &*self.0;
        let LdapSettings { host, port, wait_max, .. } = settings;
        let stream = egress.connect_tls(host, *port, tls, *wait_max).await?;
        let mut talk = Talk::new(stream, *wait_max);
        talk.bind(&settings.bind_dn, password).await?;
        Ok(Asking { ldap: self.clone(), talk })
    }

    /// What the directory says of one person, in a conversation of its own.
    ///
    /// # Errors
    /// [`LdapError`].
    pub async fn ask(&self, name: &str) -> Result<Person, LdapError> {
        let mut asking = self.open().await?;
        let person = asking.person(name).await?;
        asking.close().await;
        Ok(person)
    }
}

/// A conversation with a directory.
pub struct Asking {
    ldap: Ldap,
    talk: Talk<Secure<tokio::net::TcpStream>>,
}

impl Asking {
    /// What the directory says of a person.
    ///
    /// # Errors
    /// [`LdapError`]; then the conversation is over.
    pub async fn person(&mut self, name: &str) -> Result<Person, LdapError> {
        person(&mut self.talk, self.ldap.settings(), name).await
    }

    pub async fn close(self) {
        self.talk.unbind().await;
    }
}

async fn person<S>(
    talk: &mut Talk<S>,
    settings: &LdapSettings,
    name: &str,
) -> Result<Person, LdapError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Ok(Person::Absent);
    }
    let filter = settings.person.encode(&Values { name, dn: "" });
    let wanted = ["userAccountControl"];
    let found = match talk.search(&settings.people_base, &filter, &wanted, 1).await {
        Ok(found) => found,
        Err(LdapError::TooMany { .. }) => return Ok(Person::Ambiguous),
        Err(error) => return Err(error),
    };
    let Some(entry) = found.into_iter().next() else { return Ok(Person::Absent) };
    if is_disabled(&entry) {
        return Ok(Person::Disabled);
    }
    let filter = settings.groups.encode(&Values { name, dn: &entry.dn });
    let wanted = [settings.group_name.as_str()];
    let found = talk.search(&settings.groups_base, &filter, &wanted, GROUPS_MAX).await?;
    let named = |group: Entry| {
        let names = group.values(&settings.group_name).to_vec();
        names.into_iter().chain([group.dn])
    };
    let mut groups: Vec<String> = found.into_iter().flat_map(named).collect();
    groups.sort();
    groups.dedup();
    Ok(Person::Here { groups })
}

/// Active Directory's own word; a value that is no number is no good word either.
fn is_disabled(entry: &Entry) -> bool {
    let control = entry.values("userAccountControl");
    control
        .iter()
        .any(|value| value.parse::<i64>().map_or(true, |control| control & ACCOUNT_DISABLED != 0))
}

/// For a fuzzer: a message, and a filter out of bytes from outside.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    if let Ok(Some(length)) = message::whole(data) {
        std::hint::black_box(length);
    }
    std::hint::black_box(message::read(data).is_ok());
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(filter) = Filter::read(text)
    {
        std::hint::black_box(filter.encode(&Values { name: text, dn: text }));
    }
}
