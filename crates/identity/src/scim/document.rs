//! A person or a group as a directory describes it: the attributes of our schema, and nothing else.
//!
//! What must stay true: every value is of its attribute's kind and within its limit; a text has no control
//! characters; an absent `active` is never more than what was said before it ([`Document::may_sign_in`]).

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::schema::{Attribute, ENTERPRISE, Kind, Mutability, find};
use super::training::TRAININGS_MAX;
use super::{
    MEMBERS_MAX, ResourceType, ScimError, TEXT_BYTES_MAX, VALUES_MAX, member, read_object,
};

/// The attributes of one resource, by the schema's names. Serialised as it is kept.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub(super) kind: ResourceType,
    pub(super) body: Map<String, Value>,
}

impl std::fmt::Debug for Document {
    /// Persons are not printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What the server knows of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    pub id: String,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
    /// Counts the changes, from 1.
    pub version: u64,
    /// Its full address.
    pub location: String,
}

impl Meta {
    /// The entity tag of this version (RFC 9110 §8.8.3).
    #[must_use]
    pub fn etag(&self) -> String {
        format!("W/\"{}\"", self.version)
    }
}

impl Document {
    /// Reads the body of a POST or PUT.
    ///
    /// # Errors
    /// [`ScimError`] says what is wrong; nothing is taken then.
    pub fn read(kind: ResourceType, body: &[u8]) -> Result<Self, ScimError> {
        let object = read_object(body)?;
        let named = member(&object, "schemas").and_then(Value::as_array);
        let named = named.ok_or(ScimError::Syntax("`schemas` is missing"))?;
        let ours = |value: &Value| {
            value.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(kind.schema().urn))
        };
        if !named.iter().any(ours) {
            return Err(ScimError::Syntax("`schemas` does not name this kind of resource"));
        }
        let mut body = attributes(kind.schema().attributes, &object)?;
        if let Some(external) = member(&object, "externalId") {
            let attribute = kind.attribute("externalId");
            let value = attribute.map(|attribute| value_of(attribute, external)).transpose()?;
            body.extend(value.flatten().map(|value| ("externalId".to_owned(), value)));
        }
        for extension in kind.extensions() {
            let Some(given) = member(&object, extension.urn) else { continue };
            let given = given.as_object().ok_or(ScimError::Syntax("an extension is an object"))?;
            let given = attributes(extension.attributes, given)?;
            if !given.is_empty() {
                body.insert(extension.urn.to_owned(), given.into());
            }
        }
        Self { kind, body }.sound()
    }

    /// Holds it to what no single attribute shows.
    pub(super) fn sound(self) -> Result<Self, ScimError> {
        for attribute in self.kind.schema().attributes {
            if attribute.required && !self.body.contains_key(attribute.name) {
                let what = "it is required";
                return Err(ScimError::Value { attribute: attribute.name, what });
            }
        }
        let emails = self.body.get("emails").and_then(Value::as_array);
        let primary = |value: &&Value| value.get("primary").and_then(Value::as_bool) == Some(true);
        if emails.is_some_and(|emails| emails.iter().filter(primary).count() > 1) {
            let what = "only one can be the primary one";
            return Err(ScimError::Value { attribute: "emails", what });
        }
        Ok(self)
    }

    #[must_use]
    pub fn kind(&self) -> ResourceType {
        self.kind
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    fn enterprise(&self, name: &str) -> Option<&Value> {
        self.body.get(ENTERPRISE).and_then(|extension| extension.get(name))
    }

    /// The person's name in the directory. It is required of a person.
    #[must_use]
    pub fn user_name(&self) -> &str {
        self.text("userName").unwrap_or_default()
    }

    #[must_use]
    pub fn external_id(&self) -> Option<&str> {
        self.text("externalId")
    }

    /// The name to show: `displayName`, `name.formatted`, given and family name, or `userName`.
    #[must_use]
    pub fn display_name(&self) -> String {
        let name = |part| self.body.get("name").and_then(|name| name.get(part)?.as_str());
        let parts: Vec<&str> =
            [name("givenName"), name("familyName")].into_iter().flatten().collect();
        let whole = self.text("displayName").or_else(|| name("formatted"));
        match (whole, parts.is_empty()) {
            (Some(whole), _) => whole.to_owned(),
            (None, false) => parts.join(" "),
            (None, true) => self.user_name().to_owned(),
        }
    }

    /// What the directory says of `active`; nothing if it was never said, or was removed.
    #[must_use]
    pub fn active(&self) -> Option<bool> {
        self.body.get("active").and_then(Value::as_bool)
    }

    /// Whether the directory says that the person may sign in. In doubt, not.
    #[must_use]
    pub fn may_sign_in(&self) -> bool {
        self.active() == Some(true)
    }

    /// Sets `active` where the client did not: a person who is made is active, one who is replaced stays
    /// what they were.
    #[must_use]
    pub fn or_active(mut self, active: Option<bool>) -> Self {
        if let (ResourceType::User, None, Some(active)) = (self.kind, self.active(), active) {
            self.body.insert("active".into(), active.into());
        }
        self
    }

    /// The primary address, the one for work, or the first.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        let emails = self.body.get("emails").and_then(Value::as_array)?;
        let primary = |email: &&Value| email.get("primary").and_then(Value::as_bool) == Some(true);
        let work = |email: &&Value| email.get("type").and_then(Value::as_str) == Some("work");
        let chosen = emails.iter().find(primary).or_else(|| emails.iter().find(work));
        chosen.or_else(|| emails.first())?.get("value")?.as_str()
    }

    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.text("title")
    }

    #[must_use]
    pub fn department(&self) -> Option<&str> {
        self.enterprise("department").and_then(Value::as_str)
    }

    #[must_use]
    pub fn manager(&self) -> Option<&str> {
        self.enterprise("manager")?.get("value")?.as_str()
    }

    /// The group's name.
    #[must_use]
    pub fn group_name(&self) -> &str {
        self.text("displayName").unwrap_or_default()
    }

    /// The ids of the group's members, each once.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        let members = self.body.get("members").and_then(Value::as_array);
        let members = members.map(Vec::as_slice).unwrap_or_default().iter();
        members.filter_map(|member| member.get("value")?.as_str())
    }

    /// The group with exactly these members.
    #[must_use]
    pub fn with_members(mut self, members: &[String]) -> Self {
        self.body.remove("members");
        if !members.is_empty() {
            let members = members.iter().map(|id| json!({ "value": id }));
            self.body.insert("members".into(), members.collect::<Vec<_>>().into());
        }
        self
    }

    /// The person as they are shown: active only where the account is.
    #[must_use]
    pub fn shown_active(mut self, account: bool) -> Self {
        if self.active() == Some(true) && !account {
            self.body.insert("active".into(), false.into());
        }
        self
    }

    /// The whole resource: what filters ask of, and what projections cut from. `groups` are the ids and
    /// names of the groups that a person is in.
    #[must_use]
    pub fn resource(&self, meta: &Meta, groups: &[(String, String)]) -> Map<String, Value> {
        let mut urns = vec![self.kind.schema().urn];
        let extensions = self.kind.extensions().iter().map(|extension| extension.urn);
        urns.extend(extensions.filter(|urn| self.body.contains_key(*urn)));
        let mut whole = Map::new();
        whole.insert("schemas".into(), json!(urns));
        whole.insert("id".into(), meta.id.as_str().into());
        whole.extend(self.body.clone());
        if !groups.is_empty() {
            let groups = groups.iter().map(|(id, name)| json!({ "value": id, "display": name }));
            whole.insert("groups".into(), groups.collect::<Vec<_>>().into());
        }
        whole.insert(
            "meta".into(),
            json!({
                "resourceType": self.kind.name(),
                "created": meta.created_at.to_string(),
                "lastModified": meta.modified_at.to_string(),
                "location": meta.location,
                "version": meta.etag(),
            }),
        );
        whole
    }
}

/// Reads an object's attributes. What is not ours, or not the client's to set, is ignored.
pub(super) fn attributes(
    known: &'static [Attribute],
    object: &Map<String, Value>,
) -> Result<Map<String, Value>, ScimError> {
    let mut read = Map::new();
    for (name, value) in object {
        let Some(attribute) = find(known, name) else { continue };
        if attribute.mutability == Mutability::ReadOnly {
            continue;
        }
        if let Some(value) = value_of(attribute, value)?
            && read.insert(attribute.name.to_owned(), value).is_some()
        {
            return Err(ScimError::Syntax("an attribute is given twice"));
        }
    }
    Ok(read)
}

/// Reads the value of an attribute; nothing if it is unassigned (RFC 7643 §2.5).
pub(super) fn value_of(
    attribute: &'static Attribute,
    value: &Value,
) -> Result<Option<Value>, ScimError> {
    if !attribute.multi {
        return one_of(attribute, value);
    }
    let values = match value {
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut read = Vec::new();
    for value in values {
        read.extend(one_of(attribute, value)?);
    }
    distinct(&mut read);
    within(attribute, &read)?;
    Ok((!read.is_empty()).then(|| read.into()))
}

/// Holds the number of values to its limit.
pub(super) fn within(attribute: &'static Attribute, values: &[Value]) -> Result<(), ScimError> {
    let (what, max) = match attribute.name {
        "members" => ("members of a group", MEMBERS_MAX),
        "trainings" => ("trainings of a person", TRAININGS_MAX),
        _ => ("values of an attribute", VALUES_MAX),
    };
    if values.len() > max { Err(ScimError::TooMany { what, max }) } else { Ok(()) }
}

/// Keeps the first of values that are the same.
pub(super) fn distinct(values: &mut Vec<Value>) {
    let mut seen = HashSet::new();
    values.retain(|value| seen.insert(value.to_string()));
}

/// One value of an attribute.
pub(super) fn one_of(
    attribute: &'static Attribute,
    value: &Value,
) -> Result<Option<Value>, ScimError> {
    let wrong = |what| Err(ScimError::Value { attribute: attribute.name, what });
    match (attribute.kind, value) {
        (_, Value::Null) => Ok(None),
        (Kind::Text | Kind::Time, Value::String(text)) => {
            if text.len() > TEXT_BYTES_MAX {
                return wrong("it is longer than 512 bytes");
            }
            if text.chars().any(char::is_control) {
                return wrong("it has a control character");
            }
            Ok((!text.trim().is_empty()).then(|| text.as_str().into()))
        }
        (Kind::Text | Kind::Time, _) => wrong("a text was expected"),
        (Kind::Boolean, Value::Bool(truth)) => Ok(Some((*truth).into())),
        // Entra ID's older dialect sends "True" and "False".
        (Kind::Boolean, Value::String(text)) => match truth(text) {
            Some(truth) => Ok(Some(truth.into())),
            None => wrong("true or false was expected"),
        },
        (Kind::Boolean, _) => wrong("true or false was expected"),
        (Kind::Complex, Value::Object(parts)) => {
            let parts = attributes(attribute.parts, parts)?;
            Ok((!parts.is_empty()).then(|| parts.into()))
        }
        // A manager or a member by its id alone, as some directories send it.
        (Kind::Complex, Value::String(_)) => match find(attribute.parts, "value") {
            Some(part) => Ok(one_of(part, value)?.map(|value| json!({ "value": value }))),
            None => wrong("an object was expected"),
        },
        (Kind::Complex, _) => wrong("an object was expected"),
    }
}

/// A truth in letters, in any case.
pub(super) fn truth(text: &str) -> Option<bool> {
    match () {
        () if text.eq_ignore_ascii_case("true") => Some(true),
        () if text.eq_ignore_ascii_case("false") => Some(false),
        () => None,
    }
}

#[cfg(test)]
#[path = "tests/document.rs"]
mod tests;
