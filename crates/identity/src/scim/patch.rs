//! PATCH (RFC 7644 §3.5.2), in the dialects that directories speak: operations in any case, with and
//! without a path, names with dots as keys, a filter that describes the value to make.
//!
//! What must stay true: all operations apply, in their order, or none does; what is made is held to the
//! same limits as a body; an operation on an attribute that we don't have changes nothing and hinders
//! nothing.

use serde_json::{Map, Value};

use super::document::{attributes, distinct, one_of, value_of, within};
use super::filter::Filter;
use super::path::{Path, Target};
use super::schema::{self, Attribute, Kind, Mutability, Schema};
use super::{Document, OPERATIONS_MAX, ResourceType, ScimError, member, read_object};

/// A PATCH, read and not yet applied.
#[derive(Debug)]
pub struct Patch {
    kind: ResourceType,
    operations: Vec<Operation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

struct Operation {
    verb: Verb,
    path: Path,
    value: Value,
}

impl std::fmt::Debug for Operation {
    /// Values are not printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").field("verb", &self.verb).finish_non_exhaustive()
    }
}

impl Patch {
    /// Reads the body of a PATCH of a resource of this kind.
    ///
    /// # Errors
    /// [`ScimError`] says what is wrong.
    pub fn read(kind: ResourceType, body: &[u8]) -> Result<Self, ScimError> {
        let object = read_object(body)?;
        let named = member(&object, "schemas").and_then(Value::as_array);
        let named = named.ok_or(ScimError::Syntax("`schemas` is missing"))?;
        let ours = |value: &Value| {
            value.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(schema::PATCH))
        };
        if !named.iter().any(ours) {
            return Err(ScimError::Syntax("`schemas` does not say that it is a PATCH"));
        }
        let given = member(&object, "Operations").and_then(Value::as_array);
        let given = given.ok_or(ScimError::Syntax("`Operations` is missing"))?;
        if given.is_empty() {
            return Err(ScimError::Syntax("there is no operation"));
        }
        let mut operations = Vec::new();
        for operation in given {
            let operation =
                operation.as_object().ok_or(ScimError::Syntax("an operation is an object"))?;
            read_operation(kind, operation, &mut operations)?;
            if operations.len() > OPERATIONS_MAX {
                return Err(ScimError::TooMany { what: "operations", max: OPERATIONS_MAX });
            }
        }
        Ok(Self { kind, operations })
    }

    /// The document as the PATCH leaves it.
    ///
    /// # Errors
    /// [`ScimError`]; the document stays as it was.
    pub fn apply(&self, document: &Document) -> Result<Document, ScimError> {
        if document.kind != self.kind {
            return Err(ScimError::NoTarget);
        }
        let mut body = document.body.clone();
        for operation in &self.operations {
            apply(operation, &mut body)?;
        }
        Document { kind: self.kind, body }.sound()
    }
}

fn read_operation(
    kind: ResourceType,
    operation: &Map<String, Value>,
    read: &mut Vec<Operation>,
) -> Result<(), ScimError> {
    let verb = member(operation, "op").and_then(Value::as_str).unwrap_or_default();
    let verb = match verb.to_ascii_lowercase().as_str() {
        "add" => Verb::Add,
        "replace" => Verb::Replace,
        "remove" => Verb::Remove,
        _ => return Err(ScimError::Syntax("`op` is add, replace or remove")),
    };
    let value = member(operation, "value").cloned();
    let path = match member(operation, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(path)) => Some(path),
        Some(_) => return Err(ScimError::Path("it is not a text")),
    };
    let Some(path) = path else {
        let Some(Value::Object(values)) = value else {
            return Err(ScimError::Syntax("without a path, `value` is an object"));
        };
        if verb == Verb::Remove {
            return Err(ScimError::NoTarget);
        }
        return pathless(kind, verb, values, read);
    };
    let path = Path::parse(kind, path)?;
    let value = match (verb, value) {
        (Verb::Add | Verb::Replace, None) => return Err(ScimError::Syntax("`value` is missing")),
        (_, value) => value.unwrap_or(Value::Null),
    };
    if let Path::At { target, filter } = &path {
        let attribute = target.leaf().name;
        if fixed(target) {
            return Err(ScimError::Mutability { attribute, what: "it is not the client's to set" });
        }
        if filter.is_some() && target.leaf().mutability == Mutability::Immutable {
            return Err(ScimError::Mutability { attribute, what: "it is set once" });
        }
    }
    read.push(Operation { verb, path, value });
    Ok(())
}

/// An operation without a path is one for each key, and each key is a path. Keys that are not the client's to
/// set are ignored, as in a body: Okta repeats `id`.
fn pathless(
    kind: ResourceType,
    verb: Verb,
    values: Map<String, Value>,
    read: &mut Vec<Operation>,
) -> Result<(), ScimError> {
    for (key, value) in values {
        let path = Path::parse(kind, &key)?;
        if !matches!(&path, Path::At { target, .. } if fixed(target)) {
            read.push(Operation { verb, path, value });
        }
    }
    Ok(())
}

fn fixed(target: &Target) -> bool {
    target.attribute.mutability == Mutability::ReadOnly
        || target.leaf().mutability == Mutability::ReadOnly
}

fn apply(operation: &Operation, body: &mut Map<String, Value>) -> Result<(), ScimError> {
    let Operation { verb, path, value } = operation;
    match path {
        Path::Unknown => Ok(()),
        Path::Extension(extension) => all_of(extension, *verb, value, body),
        Path::At { target, filter } => {
            let Some(extension) = target.extension else {
                return at(*verb, target, filter.as_ref(), value, body);
            };
            let mut holder = match body.remove(extension.urn) {
                Some(Value::Object(holder)) => holder,
                Some(_) | None => Map::new(),
            };
            let applied = at(*verb, target, filter.as_ref(), value, &mut holder);
            if !holder.is_empty() {
                body.insert(extension.urn.to_owned(), holder.into());
            }
            applied
        }
    }
}

/// An operation on a whole extension.
fn all_of(
    extension: &'static Schema,
    verb: Verb,
    value: &Value,
    body: &mut Map<String, Value>,
) -> Result<(), ScimError> {
    if verb == Verb::Remove {
        body.remove(extension.urn);
        return Ok(());
    }
    let given = value.as_object().ok_or(ScimError::Syntax("an extension is an object"))?;
    let mut holder = match body.remove(extension.urn) {
        Some(Value::Object(holder)) => holder,
        Some(_) | None => Map::new(),
    };
    for attribute in extension.attributes {
        if let Some(value) = member(given, attribute.name) {
            whole(verb, attribute, value, &mut holder)?;
        }
    }
    if !holder.is_empty() {
        body.insert(extension.urn.to_owned(), holder.into());
    }
    Ok(())
}

fn at(
    verb: Verb,
    target: &Target,
    filter: Option<&Filter>,
    value: &Value,
    holder: &mut Map<String, Value>,
) -> Result<(), ScimError> {
    match (target.attribute.multi, target.part) {
        (true, part) if filter.is_some() || part.is_some() => {
            some_of(verb, target, filter, value, holder)
        }
        (false, Some(part)) => {
            let mut parts = match holder.remove(target.attribute.name) {
                Some(Value::Object(parts)) => parts,
                Some(_) | None => Map::new(),
            };
            whole(verb, part, value, &mut parts)?;
            if !parts.is_empty() {
                holder.insert(target.attribute.name.to_owned(), parts.into());
            }
            Ok(())
        }
        (_, _) => whole(verb, target.attribute, value, holder),
    }
}

/// An operation on an attribute, all of it.
fn whole(
    verb: Verb,
    attribute: &'static Attribute,
    value: &Value,
    holder: &mut Map<String, Value>,
) -> Result<(), ScimError> {
    if verb == Verb::Remove && (!attribute.multi || value.is_null()) {
        if attribute.required {
            let what = "it is required";
            return Err(ScimError::Mutability { attribute: attribute.name, what });
        }
        holder.remove(attribute.name);
        return Ok(());
    }
    let given = value_of(attribute, value)?;
    let merged = match (holder.remove(attribute.name), given) {
        (Some(Value::Array(old)), given) if attribute.multi && verb != Verb::Replace => {
            several(verb, attribute, old, given)?
        }
        // RFC 7644 §3.5.2.3: parts that are not given stay.
        (Some(Value::Object(mut old)), Some(Value::Object(given))) => {
            old.extend(given);
            Some(old.into())
        }
        (_, given) if verb != Verb::Remove => given,
        (_, _) => None,
    };
    if let Some(merged) = merged {
        holder.insert(attribute.name.to_owned(), merged);
    }
    Ok(())
}

/// Adds values to those that are there, or takes the named ones away (as Entra ID removes members).
fn several(
    verb: Verb,
    attribute: &'static Attribute,
    mut old: Vec<Value>,
    given: Option<Value>,
) -> Result<Option<Value>, ScimError> {
    let Some(Value::Array(given)) = given else { return Ok(Some(old.into())) };
    if verb == Verb::Remove {
        let gone: std::collections::HashSet<&str> =
            given.iter().filter_map(|value| value.get("value")?.as_str()).collect();
        let named = |value: &Value| {
            value.get("value").and_then(Value::as_str).is_some_and(|value| gone.contains(value))
        };
        old.retain(|value| !named(value));
    } else {
        if given.iter().any(is_primary) {
            old.iter_mut().for_each(demote);
        }
        old.extend(given);
        distinct(&mut old);
        within(attribute, &old)?;
    }
    Ok((!old.is_empty()).then(|| old.into()))
}

fn is_primary(value: &Value) -> bool {
    value.get("primary").and_then(Value::as_bool) == Some(true)
}

/// There is one primary value, and another one has just become it (RFC 7644 §3.5.2).
fn demote(value: &mut Value) {
    if let Some(object) = value.as_object_mut()
        && object.contains_key("primary")
    {
        object.insert("primary".into(), false.into());
    }
}

/// An operation on those values of an attribute that a filter selects, or on a part of each of them.
fn some_of(
    verb: Verb,
    target: &Target,
    filter: Option<&Filter>,
    value: &Value,
    holder: &mut Map<String, Value>,
) -> Result<(), ScimError> {
    let attribute = target.attribute;
    let mut values = match holder.remove(attribute.name) {
        Some(Value::Array(values)) => values,
        Some(_) | None => Vec::new(),
    };
    let selected = |value: &Value| {
        let object = value.as_object();
        object.is_some_and(|object| filter.is_none_or(|filter| filter.matches(object)))
    };
    let mut kept = Vec::with_capacity(values.len() + 1);
    let mut found = false;
    for old in values.drain(..) {
        if !selected(&old) {
            kept.push(old);
            continue;
        }
        found = true;
        kept.extend(changed(verb, target, old, value)?);
    }
    if !found && verb != Verb::Remove {
        // Directories fill a place that is not there yet: `emails[type eq "work"].value`.
        let made = match filter {
            Some(filter) => {
                attributes(attribute.parts, &filter.described().ok_or(ScimError::NoTarget)?)?
            }
            None => Map::new(),
        };
        kept.extend(changed(verb, target, made.into(), value)?);
    }
    distinct(&mut kept);
    within(attribute, &kept)?;
    if !kept.is_empty() {
        holder.insert(attribute.name.to_owned(), kept.into());
    }
    Ok(())
}

/// One value after the operation; nothing if it is gone.
fn changed(
    verb: Verb,
    target: &Target,
    old: Value,
    value: &Value,
) -> Result<Option<Value>, ScimError> {
    let Value::Object(mut parts) = old else { return Ok(None) };
    match (verb, target.part) {
        (Verb::Remove, None) => return Ok(None),
        (_, Some(part)) => whole(verb, part, value, &mut parts)?,
        (Verb::Add | Verb::Replace, None) => {
            if target.attribute.kind != Kind::Complex {
                return one_of(target.attribute, value);
            }
            // A filter selects whole values; what is given replaces their parts.
            match value {
                Value::Object(given) => parts.extend(attributes(target.attribute.parts, given)?),
                other => match one_of(target.attribute, other)? {
                    Some(Value::Object(given)) => parts.extend(given),
                    Some(_) | None => return Ok(None),
                },
            }
        }
    }
    Ok((!parts.is_empty()).then(|| parts.into()))
}

#[cfg(test)]
#[path = "tests/patch.rs"]
mod tests;
