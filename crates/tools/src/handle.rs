//! Row handles: what a page carries instead of a row's key.
//!
//! Invariant: a handle opens only for the tool, the version of its file, the query, the person
//! and the session that it was made for, and only until it expires. These are bound as associated
//! data, so a handle from elsewhere and one that was altered are the same thing: refused.
//! A handle says which row, never that its bearer may read it; the gate is asked each time.

use std::collections::BTreeMap;

use gate::Value;
use jiff::Timestamp;
use policy::Why;
use serde::{Deserialize, Serialize};

/// The longest handle that is looked at, in bytes of text.
pub const HANDLE_BYTES_MAX: usize = 8 * 1024;

/// Authenticated encryption under a key of the platform, with text for its sealed form. The text
/// may stand in an address: letters, digits, `-` and `_`.
pub trait Sealer {
    /// Seals `plain`, bound to `bound`. `None` if the module refused.
    fn seal(&self, bound: &[u8], plain: &[u8]) -> Option<String>;
    /// Opens what [`Sealer::seal`] made with the same `bound`. `None` for anything else.
    fn open(&self, bound: &[u8], sealed: &str) -> Option<Vec<u8>>;
}

/// What a handle is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The tool's id.
    pub tool: &'a str,
    /// The digest of the tool's file.
    pub version: &'a [u8; 32],
    /// The query that gave the row.
    pub query: &'a str,
    /// The person's account.
    pub user: &'a str,
    /// The session. A handle does not outlive it.
    pub session: &'a str,
}

/// One row, as far as a handle knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handle {
    /// The columns that name the row, its caveat, and what a document needs to be fetched.
    pub values: BTreeMap<String, Value>,
    /// Why the row was asked for; a link to a document has no form to say so again.
    pub why: Why,
    /// The handle is good before this moment.
    pub expires: Timestamp,
}

/// A handle was not made, or is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// Altered, made for another person, session, tool, version or query, or not a handle.
    #[error("the row handle is not one that was given to this person in this session")]
    Foreign,
    /// Its time is over.
    #[error("the row handle has expired")]
    Expired,
    /// The module refused to seal it, or it would be too long.
    #[error("the row handle could not be sealed")]
    Unsealed,
}

/// Seals a row for a page.
///
/// # Errors
/// [`HandleError::Unsealed`].
pub fn seal(
    sealer: &dyn Sealer,
    binding: &Binding<'_>,
    handle: &Handle,
) -> Result<String, HandleError> {
    let plain = serde_json::to_vec(handle).map_err(|_| HandleError::Unsealed)?;
    let sealed = sealer.seal(&bound(binding), &plain).ok_or(HandleError::Unsealed)?;
    if sealed.len() > HANDLE_BYTES_MAX { Err(HandleError::Unsealed) } else { Ok(sealed) }
}

/// Opens a handle that came back.
///
/// # Errors
/// [`HandleError::Foreign`] or [`HandleError::Expired`].
pub fn open(
    sealer: &dyn Sealer,
    binding: &Binding<'_>,
    sealed: &str,
    now: Timestamp,
) -> Result<Handle, HandleError> {
    if sealed.len() > HANDLE_BYTES_MAX {
        return Err(HandleError::Foreign);
    }
    let plain = sealer.open(&bound(binding), sealed).ok_or(HandleError::Foreign)?;
    let handle: Handle = serde_json::from_slice(&plain).map_err(|_| HandleError::Foreign)?;
    if now < handle.expires { Ok(handle) } else { Err(HandleError::Expired) }
}

/// Every piece with its length in front, so that no two bindings share their bytes.
fn bound(binding: &Binding<'_>) -> Vec<u8> {
    let Binding { tool, version, query, user, session } = binding;
    let pieces: [&[u8]; 6] = [
        b"bailiwick row handle 1",
        tool.as_bytes(),
        version.as_slice(),
        query.as_bytes(),
        user.as_bytes(),
        session.as_bytes(),
    ];
    let mut bytes = Vec::new();
    for piece in pieces {
        bytes.extend_from_slice(&u64::try_from(piece.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(piece);
    }
    bytes
}
