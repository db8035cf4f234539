//! Names of attributes, in filters, projections and PATCH: `userName`, `name.familyName`,
//! `urn:…:User:manager.value`, `emails[type eq "work"].value`.

use super::filter::Filter;
use super::schema::{self, Attribute, Schema};
use super::{ResourceType, ScimError};

/// The longest path, in bytes, its filter included.
pub(crate) const PATH_BYTES_MAX: usize = 4_096;

/// An attribute of our schema, or a part of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) extension: Option<&'static Schema>,
    pub(crate) attribute: &'static Attribute,
    pub(crate) part: Option<&'static Attribute>,
}

impl Target {
    /// What a value at this place must be: the part, or the attribute.
    pub(crate) fn leaf(&self) -> &'static Attribute {
        self.part.unwrap_or(self.attribute)
    }
}

/// What a name leads to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found {
    Target(Target),
    /// All of an extension.
    Extension(&'static Schema),
    /// A name that could be an attribute's, of a schema that is not ours.
    Unknown,
}

/// Finds the attribute that a name without a filter stands for.
///
/// # Errors
/// [`ScimError::Path`] when it is no name at all.
pub(crate) fn resolve(kind: ResourceType, name: &str) -> Result<Found, ScimError> {
    if name.len() > PATH_BYTES_MAX {
        return Err(ScimError::Path("it is too long"));
    }
    if !name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")) {
        return within(kind, None, name);
    }
    for extension in kind.extensions() {
        if extension.urn.eq_ignore_ascii_case(name) {
            return Ok(Found::Extension(extension));
        }
        if let Some(rest) = after(extension.urn, name) {
            return within(kind, Some(extension), rest);
        }
    }
    match after(kind.schema().urn, name) {
        Some(rest) => within(kind, None, rest),
        None => Ok(Found::Unknown),
    }
}

/// What follows a schema's name and a colon.
fn after<'a>(urn: &str, name: &'a str) -> Option<&'a str> {
    let start = name.get(..urn.len())?;
    let rest = name.get(urn.len()..)?.strip_prefix(':')?;
    start.eq_ignore_ascii_case(urn).then_some(rest)
}

fn within(
    kind: ResourceType,
    extension: Option<&'static Schema>,
    name: &str,
) -> Result<Found, ScimError> {
    let (first, second) = match name.split_once('.') {
        Some((first, second)) => (first, Some(second)),
        None => (name, None),
    };
    if !is_name(first) || second.is_some_and(|second| !is_name(second)) {
        return Err(ScimError::Path("it names no attribute"));
    }
    let attribute = match extension {
        Some(extension) => schema::find(extension.attributes, first),
        None => kind.attribute(first),
    };
    let Some(attribute) = attribute else { return Ok(Found::Unknown) };
    let part = match second {
        None => None,
        Some(second) => match schema::find(attribute.parts, second) {
            None => return Ok(Found::Unknown),
            found => found,
        },
    };
    Ok(Found::Target(Target { extension, attribute, part }))
}

/// ATTRNAME of RFC 7644 §3.4.2.2, and the `$ref` of RFC 7643.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'$')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Where an operation of a PATCH applies.
#[derive(Debug, Clone)]
pub(crate) enum Path {
    Extension(&'static Schema),
    At {
        target: Target,
        /// Which values of a multi-valued attribute.
        filter: Option<Filter>,
    },
    Unknown,
}

impl Path {
    /// # Errors
    /// [`ScimError::Path`], and [`ScimError::Filter`] for what stands in brackets.
    pub(crate) fn parse(kind: ResourceType, text: &str) -> Result<Self, ScimError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(ScimError::Path("it is too long"));
        }
        let Some((name, rest)) = text.split_once('[') else {
            return Ok(match resolve(kind, text)? {
                Found::Target(target) => Self::At { target, filter: None },
                Found::Extension(extension) => Self::Extension(extension),
                Found::Unknown => Self::Unknown,
            });
        };
        // The last bracket closes: those before it are in the filter's texts, or the filter refuses them.
        let (inner, tail) =
            rest.rsplit_once(']').ok_or(ScimError::Path("a bracket is not closed"))?;
        let part = match (tail.is_empty(), tail.strip_prefix('.')) {
            (true, _) => None,
            (false, Some(part)) if is_name(part) => Some(part),
            (false, _) => return Err(ScimError::Path("what follows the bracket is no name")),
        };
        let Found::Target(target) = resolve(kind, name)? else { return Ok(Self::Unknown) };
        if target.part.is_some() || !target.attribute.multi {
            return Err(ScimError::Path("only an attribute with several values is filtered"));
        }
        let Some(filter) = Filter::of_values(target.attribute, inner)? else {
            return Ok(Self::Unknown);
        };
        let part = match part {
            None => None,
            Some(part) => match schema::find(target.attribute.parts, part) {
                None => return Ok(Self::Unknown),
                found => found,
            },
        };
        Ok(Self::At { target: Target { part, ..target }, filter: Some(filter) })
    }
}
