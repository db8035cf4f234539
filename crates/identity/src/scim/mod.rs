//! SCIM 2.0 messages (RFC 7643, RFC 7644): what a directory says of people and groups, in; typed, bounded
//! documents, out.
//!
//! Invariants: nothing here does I/O or knows a clock; a [`Document`] holds only attributes of our
//! schema, under the schema's own names, each within its limit; whatever a client sends is either taken
//! whole or refused whole. Attributes that our schema does not have are ignored, in bodies and in
//! PATCH alike: a directory that sends one of them beside `active: false` is still obeyed.
//!
//! The schema is small on purpose ([`schema`]): what is advertised must be kept, shown and patchable.

use serde_json::Value;

mod document;
pub mod filter;
mod list;
mod patch;
mod path;
pub mod schema;
mod training;

pub use document::{Document, Meta};
pub use filter::Filter;
pub use list::{ListQuery, Projection, list_response};
pub use patch::Patch;
pub use schema::ResourceType;
pub use training::Training;

/// The largest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The longest text of one attribute, in bytes.
pub const TEXT_BYTES_MAX: usize = 512;
/// The most e-mail addresses of a person.
pub const VALUES_MAX: usize = 16;
/// The most members of a group.
pub const MEMBERS_MAX: usize = 5_000;
/// The most operations of one PATCH.
pub const OPERATIONS_MAX: usize = 1_000;
/// The most resources that one answer lists; a client that wants more asks for the next page.
pub const PAGE_MAX: usize = 200;
/// The most attributes that `attributes` or `excludedAttributes` may name.
pub const PROJECTION_MAX: usize = 64;

/// Why a message was not taken. The words are ours and repeat nothing that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScimError {
    #[error("the body is not the JSON that was expected: {0}")]
    Syntax(&'static str),
    #[error("`{attribute}` has a value that it can't have: {what}")]
    Value { attribute: &'static str, what: &'static str },
    #[error("the filter can't be used: {0}")]
    Filter(&'static str),
    #[error("the path of an operation can't be used: {0}")]
    Path(&'static str),
    #[error("the path of an operation leads to nothing")]
    NoTarget,
    #[error("`{attribute}` can't be changed so: {what}")]
    Mutability { attribute: &'static str, what: &'static str },
    #[error("there are more than {max} {what}")]
    TooMany { what: &'static str, max: usize },
}

impl ScimError {
    /// The `scimType` of RFC 7644 §3.12.
    #[must_use]
    pub fn scim_type(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "invalidSyntax",
            Self::Value { .. } => "invalidValue",
            Self::Filter(_) => "invalidFilter",
            Self::Path(_) => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::Mutability { .. } => "mutability",
            Self::TooMany { .. } => "tooMany",
        }
    }
}

/// Reads a body as a JSON object.
///
/// # Errors
/// [`ScimError::TooMany`] over [`BODY_BYTES_MAX`]; [`ScimError::Syntax`].
pub fn read_object(body: &[u8]) -> Result<serde_json::Map<String, Value>, ScimError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(ScimError::TooMany { what: "bytes", max: BODY_BYTES_MAX });
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(ScimError::Syntax("an object was expected")),
        Err(_) => Err(ScimError::Syntax("it can't be parsed")),
    }
}

/// A member of an object by its name, whatever the case of its letters.
pub(crate) fn member<'a>(
    object: &'a serde_json::Map<String, Value>,
    name: &str,
) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    })
}
