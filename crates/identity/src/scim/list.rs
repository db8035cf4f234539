//! What a client asks to see: filter, page, and which attributes (RFC 7644 §3.4.2 and §3.9), from a query
//! or from the body of `/.search`.

use serde_json::{Map, Value, json};

use super::path::{Found, Target, resolve};
use super::schema;
use super::{Filter, PAGE_MAX, PROJECTION_MAX, ResourceType, ScimError, member, read_object};

/// Which attributes are shown.
#[derive(Debug, Clone, Default)]
pub struct Projection {
    only: Option<Vec<Shown>>,
    without: Vec<Shown>,
}

#[derive(Debug, Clone, Copy)]
enum Shown {
    Target(Target),
    Extension(&'static str),
}

/// A list, as it is asked for.
#[derive(Debug, Clone)]
pub struct ListQuery {
    pub filter: Option<Filter>,
    /// From 1.
    pub start_index: usize,
    /// At most [`PAGE_MAX`].
    pub count: usize,
    pub projection: Projection,
}

/// The words of a query before they are read against a schema.
#[derive(Debug, Default)]
struct Words {
    filter: Option<String>,
    start_index: Option<i64>,
    count: Option<i64>,
    attributes: Option<String>,
    excluded: Option<String>,
}

impl ListQuery {
    /// Reads the pairs of a query.
    ///
    /// # Errors
    /// [`ScimError`] says what is wrong.
    pub fn from_pairs(kind: ResourceType, pairs: &[(String, String)]) -> Result<Self, ScimError> {
        Words::of_pairs(pairs)?.read(kind)
    }

    /// Reads the body of a search by POST.
    ///
    /// # Errors
    /// As [`ListQuery::from_pairs`].
    pub fn from_search(kind: ResourceType, body: &[u8]) -> Result<Self, ScimError> {
        Words::of_search(&read_object(body)?)?.read(kind)
    }

    /// The page of what was found, and how much was found in all.
    #[must_use]
    pub fn page(&self, found: Vec<Map<String, Value>>) -> (Vec<Value>, usize) {
        let total = found.len();
        let page = found.into_iter().skip(self.start_index.saturating_sub(1)).take(self.count);
        (page.map(Value::Object).collect(), total)
    }
}

impl Words {
    fn of_pairs(pairs: &[(String, String)]) -> Result<Self, ScimError> {
        let mut words = Self::default();
        for (name, value) in pairs {
            let number = || value.trim().parse().map_err(|_| number_expected());
            match name.to_ascii_lowercase().as_str() {
                "filter" => words.filter = Some(value.clone()),
                "startindex" => words.start_index = Some(number()?),
                "count" => words.count = Some(number()?),
                "attributes" => words.attributes = Some(value.clone()),
                "excludedattributes" => words.excluded = Some(value.clone()),
                // `sortBy` is ignored where sorting is not supported (RFC 7644 §3.4.2.3).
                _ => {}
            }
        }
        Ok(words)
    }

    fn of_search(body: &Map<String, Value>) -> Result<Self, ScimError> {
        let text = |name| match member(body, name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Array(several)) => {
                let several: Option<Vec<&str>> = several.iter().map(Value::as_str).collect();
                let several = several.ok_or(ScimError::Syntax("texts were expected"))?;
                Ok(Some(several.join(",")))
            }
            Some(_) => Err(ScimError::Syntax("a text was expected")),
        };
        let number = |name| match member(body, name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(number_expected),
        };
        Ok(Self {
            filter: text("filter")?,
            start_index: number("startIndex")?,
            count: number("count")?,
            attributes: text("attributes")?,
            excluded: text("excludedAttributes")?,
        })
    }

    fn read(self, kind: ResourceType) -> Result<ListQuery, ScimError> {
        let filter = self.filter.as_deref().filter(|filter| !filter.trim().is_empty());
        // Less than one means one, less than nothing means nothing (RFC 7644 §3.4.2.4).
        let start_index = usize::try_from(self.start_index.unwrap_or(1).max(1));
        let count = self.count.map(|count| usize::try_from(count.max(0)).unwrap_or(PAGE_MAX));
        Ok(ListQuery {
            filter: filter.map(|filter| Filter::parse(kind, filter)).transpose()?,
            start_index: start_index.unwrap_or(usize::MAX),
            count: count.unwrap_or(PAGE_MAX).min(PAGE_MAX),
            projection: Projection::read(
                kind,
                self.attributes.as_deref(),
                self.excluded.as_deref(),
            )?,
        })
    }
}

fn number_expected() -> ScimError {
    ScimError::Syntax("`startIndex` and `count` are numbers")
}

impl Projection {
    /// Reads the pairs of a query.
    ///
    /// # Errors
    /// [`ScimError`] when a name is none, when there are too many, or when both lists are given.
    pub fn from_pairs(kind: ResourceType, pairs: &[(String, String)]) -> Result<Self, ScimError> {
        let words = Words::of_pairs(pairs)?;
        Self::read(kind, words.attributes.as_deref(), words.excluded.as_deref())
    }

    fn read(
        kind: ResourceType,
        only: Option<&str>,
        without: Option<&str>,
    ) -> Result<Self, ScimError> {
        let only = only.filter(|names| !names.trim().is_empty());
        let without = without.filter(|names| !names.trim().is_empty());
        if only.is_some() && without.is_some() {
            let what = "`attributes` and `excludedAttributes` exclude one another";
            return Err(ScimError::Syntax(what));
        }
        Ok(Self {
            only: only.map(|names| shown(kind, names)).transpose()?,
            without: without.map(|names| shown(kind, names)).transpose()?.unwrap_or_default(),
        })
    }

    /// Cuts a resource to what is to be shown.
    #[must_use]
    pub fn cut(&self, kind: ResourceType, resource: Map<String, Value>) -> Map<String, Value> {
        if let Some(only) = &self.only {
            return chosen(kind, only, &resource);
        }
        let mut left = resource;
        for shown in &self.without {
            take_away(*shown, &mut left);
        }
        left
    }
}

fn shown(kind: ResourceType, names: &str) -> Result<Vec<Shown>, ScimError> {
    let mut shown = Vec::new();
    for (at, name) in names.split(',').map(str::trim).filter(|name| !name.is_empty()).enumerate() {
        if at >= PROJECTION_MAX {
            let what = "names of attributes";
            return Err(ScimError::TooMany { what, max: PROJECTION_MAX });
        }
        match resolve(kind, name)? {
            Found::Target(target) => shown.push(Shown::Target(target)),
            Found::Extension(extension) => shown.push(Shown::Extension(extension.urn)),
            Found::Unknown => {}
        }
    }
    Ok(shown)
}

fn always(kind: ResourceType, name: &str) -> bool {
    kind.attribute(name).is_some_and(|attribute| attribute.always)
}

fn chosen(kind: ResourceType, only: &[Shown], resource: &Map<String, Value>) -> Map<String, Value> {
    let mut cut: Map<String, Value> = resource
        .iter()
        .filter(|(name, _)| always(kind, name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for shown in only {
        match shown {
            Shown::Extension(urn) => {
                if let Some(all) = resource.get(*urn) {
                    cut.insert((*urn).to_owned(), all.clone());
                }
            }
            Shown::Target(target) => match target.extension {
                None => copy(target, resource, &mut cut),
                Some(extension) => {
                    let Some(Value::Object(from)) = resource.get(extension.urn) else { continue };
                    let to = cut.entry(extension.urn).or_insert_with(|| json!({}));
                    if let Value::Object(to) = to {
                        copy(target, from, to);
                    }
                }
            },
        }
    }
    cut
}

/// Copies an attribute, or one part of it, beside the parts that were copied before.
fn copy(target: &Target, from: &Map<String, Value>, to: &mut Map<String, Value>) {
    let name = target.attribute.name;
    let Some(value) = from.get(name) else { return };
    let Some(part) = target.part else {
        to.insert(name.to_owned(), value.clone());
        return;
    };
    let one = |value: &Value| value.get(part.name).map(|found| json!({ part.name: found }));
    let cut = match value {
        Value::Array(values) => {
            let values = values.iter().map(|value| one(value).unwrap_or_else(|| json!({})));
            Some(Value::Array(values.collect()))
        }
        one_value => one(one_value),
    };
    match (to.get_mut(name), cut) {
        (Some(old), Some(new)) => merge(old, new),
        (None, Some(new)) => {
            to.insert(name.to_owned(), new);
        }
        (_, None) => {}
    }
}

fn merge(old: &mut Value, new: Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old.extend(new),
        (Value::Array(old), Value::Array(new)) => {
            old.iter_mut().zip(new).for_each(|(old, new)| merge(old, new));
        }
        (_, _) => {}
    }
}

fn take_away(shown: Shown, resource: &mut Map<String, Value>) {
    let target = match shown {
        Shown::Extension(urn) => {
            resource.remove(urn);
            return;
        }
        Shown::Target(target) => target,
    };
    let holder = match target.extension {
        None => Some(resource),
        Some(extension) => resource.get_mut(extension.urn).and_then(Value::as_object_mut),
    };
    let Some(holder) = holder else { return };
    let name = target.attribute.name;
    match (target.part, holder.get_mut(name)) {
        (None, Some(_)) if !target.attribute.always => {
            holder.remove(name);
        }
        (Some(part), Some(Value::Object(parts))) => {
            parts.remove(part.name);
        }
        (Some(part), Some(Value::Array(values))) => {
            for parts in values.iter_mut().filter_map(Value::as_object_mut) {
                parts.remove(part.name);
            }
        }
        (_, _) => {}
    }
}

/// A list of resources, as it is answered.
#[must_use]
pub fn list_response(resources: &[Value], total: usize, start_index: usize) -> Value {
    json!({
        "schemas": [schema::LIST],
        "totalResults": total,
        "startIndex": start_index,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

#[cfg(test)]
#[path = "tests/list.rs"]
mod tests;
