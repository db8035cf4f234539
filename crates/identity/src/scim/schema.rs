//! The schema that we advertise (RFC 7643 §7): one table, from which reading, filters, PATCH, projections
//! and the answers of `/Schemas` and `/ResourceTypes` are derived.
//!
//! What must stay true: an attribute that stands here as mutable can be added, replaced and removed by
//! PATCH, is kept, and is shown again.

use serde_json::{Value, json};

/// Core user.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// Enterprise user.
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// Trainings, an extension of our own. Entra ID wants the names of extensions in this form.
pub const TRAINING: &str = "urn:ietf:params:scim:schemas:extension:bailiwick:2.0:User";
/// Core group.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// An error (RFC 7644 §3.12).
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
/// A list of resources.
pub const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// A PATCH.
pub const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// A search by POST.
pub const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
const SERVICE: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
const TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Boolean,
    Time,
    Complex,
}

/// Who may set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutability {
    ReadOnly,
    ReadWrite,
    /// Set once, when the value is made.
    Immutable,
}

/// One attribute of a resource, or one part of a complex attribute.
#[derive(Debug)]
pub struct Attribute {
    pub name: &'static str,
    pub kind: Kind,
    pub multi: bool,
    pub required: bool,
    pub case_exact: bool,
    pub mutability: Mutability,
    /// Whether it is shown whatever a client asks for.
    pub always: bool,
    /// Whether no two resources of a client may share a value.
    pub unique: bool,
    pub words: &'static str,
    pub canonical: &'static [&'static str],
    pub parts: &'static [Self],
}

const fn attribute(name: &'static str, kind: Kind, words: &'static str) -> Attribute {
    Attribute {
        name,
        kind,
        multi: false,
        required: false,
        case_exact: false,
        mutability: Mutability::ReadWrite,
        always: false,
        unique: false,
        words,
        canonical: &[],
        parts: &[],
    }
}

const fn text(name: &'static str, words: &'static str) -> Attribute {
    attribute(name, Kind::Text, words)
}

const fn fixed(name: &'static str, kind: Kind, words: &'static str) -> Attribute {
    Attribute { mutability: Mutability::ReadOnly, case_exact: true, ..attribute(name, kind, words) }
}

const fn complex(
    name: &'static str,
    words: &'static str,
    parts: &'static [Attribute],
) -> Attribute {
    Attribute { parts, ..attribute(name, Kind::Complex, words) }
}

/// A set of attributes under one name.
#[derive(Debug)]
pub struct Schema {
    pub urn: &'static str,
    pub name: &'static str,
    pub words: &'static str,
    pub attributes: &'static [Attribute],
}

/// What every resource has (RFC 7643 §3.1). It stands in no schema.
pub static COMMON: [Attribute; 4] = [
    Attribute { always: true, ..fixed("schemas", Kind::Text, "") },
    Attribute { always: true, unique: true, ..fixed("id", Kind::Text, "") },
    Attribute { case_exact: true, ..text("externalId", "") },
    Attribute {
        mutability: Mutability::ReadOnly,
        parts: &META,
        ..attribute("meta", Kind::Complex, "")
    },
];

static META: [Attribute; 5] = [
    fixed("resourceType", Kind::Text, ""),
    fixed("created", Kind::Time, ""),
    fixed("lastModified", Kind::Time, ""),
    fixed("location", Kind::Text, ""),
    fixed("version", Kind::Text, ""),
];

static USER_SCHEMA: Schema = Schema {
    urn: USER,
    name: "User",
    words: "A person of the agency",
    attributes: &[
        Attribute {
            required: true,
            unique: true,
            ..text("userName", "The name that the directory knows the person by")
        },
        complex("name", "The person's name", &NAME),
        text("displayName", "The name as colleagues see it"),
        text("title", "The person's title"),
        attribute(
            "active",
            Kind::Boolean,
            "Whether the person may sign in; false ends everything at once",
        ),
        Attribute { multi: true, ..complex("emails", "The person's addresses", &EMAIL) },
        Attribute {
            multi: true,
            mutability: Mutability::ReadOnly,
            ..complex("groups", "The groups that the person is in", &GROUPS)
        },
    ],
};

static NAME: [Attribute; 3] = [
    text("formatted", "The whole name"),
    text("familyName", "The family name"),
    text("givenName", "The given name"),
];

static EMAIL: [Attribute; 3] = [
    text("value", "The address"),
    Attribute { canonical: &["work", "home", "other"], ..text("type", "What the address is for") },
    attribute("primary", Kind::Boolean, "Whether it is the preferred one"),
];

static GROUPS: [Attribute; 2] = [
    fixed("value", Kind::Text, "The group's id"),
    fixed("display", Kind::Text, "The group's name"),
];

static ENTERPRISE_SCHEMA: Schema = Schema {
    urn: ENTERPRISE,
    name: "EnterpriseUser",
    words: "Where in the agency a person works",
    attributes: &[
        text("department", "The department"),
        complex("manager", "The person's superior", &MANAGER),
    ],
};

static MANAGER: [Attribute; 2] = [
    Attribute { case_exact: true, ..text("value", "The id of the superior's resource") },
    fixed("displayName", Kind::Text, "The superior's name"),
];

static TRAINING_SCHEMA: Schema = Schema {
    urn: TRAINING,
    name: "TrainedUser",
    words: "What a person has learnt before they see records",
    // A person without trainings does not have the extension at all: it is the extension that goes.
    attributes: &[Attribute {
        multi: true,
        required: true,
        ..complex("trainings", "The courses that the person took", &TRAININGS)
    }],
};

static TRAININGS: [Attribute; 4] = [
    Attribute { case_exact: true, ..text("course", "The course, as the agency's rule names it") },
    text("date", "The day on which it was taken, such as 2026-11-30"),
    text("expiry", "The last day on which it counts"),
    text("evidence", "Where the proof is: a certificate's number, a file"),
];

static GROUP_SCHEMA: Schema = Schema {
    urn: GROUP,
    name: "Group",
    words: "A group of the directory, which may stand for a job function",
    attributes: &[
        Attribute { required: true, ..text("displayName", "The group's name") },
        Attribute { multi: true, ..complex("members", "Who is in it", &MEMBER) },
    ],
};

static MEMBER: [Attribute; 2] = [
    Attribute {
        case_exact: true,
        mutability: Mutability::Immutable,
        ..text("value", "The id of the person's resource")
    },
    fixed("display", Kind::Text, "The person's name"),
];

static USER_EXTENSIONS: [&Schema; 2] = [&ENTERPRISE_SCHEMA, &TRAINING_SCHEMA];

/// What can be provisioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ResourceType {
    User,
    Group,
}

impl ResourceType {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::User, Self::Group];

    #[must_use]
    pub fn name(self) -> &'static str {
        self.schema().name
    }

    /// Its place under the base address.
    #[must_use]
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::User => "/Users",
            Self::Group => "/Groups",
        }
    }

    #[must_use]
    pub fn schema(self) -> &'static Schema {
        match self {
            Self::User => &USER_SCHEMA,
            Self::Group => &GROUP_SCHEMA,
        }
    }

    #[must_use]
    pub fn extensions(self) -> &'static [&'static Schema] {
        match self {
            Self::User => &USER_EXTENSIONS,
            Self::Group => &[],
        }
    }

    /// An attribute of the resource itself, by its name in any case.
    #[must_use]
    pub fn attribute(self, name: &str) -> Option<&'static Attribute> {
        find(self.schema().attributes, name).or_else(|| find(&COMMON, name))
    }
}

/// An attribute by its name in any case (RFC 7643 §2.1).
pub(crate) fn find(attributes: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// The answer of `/ServiceProviderConfig`; `base` is the address of `/scim/v2`.
#[must_use]
pub fn service_provider_config(base: &str) -> Value {
    json!({
        "schemas": [SERVICE],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": super::PAGE_MAX },
        "changePassword": { "supported": false },
        "sort": { "supported": false },
        "etag": { "supported": true },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A token of this agency's Bailiwick, made by its administrator",
            "primary": true,
        }],
        "meta": meta("ServiceProviderConfig", base, "/ServiceProviderConfig"),
    })
}

/// The elements of `/ResourceTypes`.
#[must_use]
pub fn resource_types(base: &str) -> Vec<Value> {
    let one = |kind: ResourceType| {
        let schema = kind.schema();
        let extensions = kind.extensions().iter();
        let extensions: Vec<Value> = extensions
            .map(|extension| json!({ "schema": extension.urn, "required": false }))
            .collect();
        json!({
            "schemas": [TYPE],
            "id": schema.name,
            "name": schema.name,
            "description": schema.words,
            "endpoint": kind.endpoint(),
            "schema": schema.urn,
            "schemaExtensions": extensions,
            "meta": meta("ResourceType", base, &format!("/ResourceTypes/{}", schema.name)),
        })
    };
    ResourceType::ALL.into_iter().map(one).collect()
}

/// The elements of `/Schemas`.
#[must_use]
pub fn schemas(base: &str) -> Vec<Value> {
    let one = |schema: &Schema| {
        json!({
            "schemas": [SCHEMA],
            "id": schema.urn,
            "name": schema.name,
            "description": schema.words,
            "attributes": schema.attributes.iter().map(described).collect::<Vec<_>>(),
            "meta": meta("Schema", base, &format!("/Schemas/{}", schema.urn)),
        })
    };
    [&USER_SCHEMA, &ENTERPRISE_SCHEMA, &TRAINING_SCHEMA, &GROUP_SCHEMA]
        .into_iter()
        .map(one)
        .collect()
}

fn meta(kind: &str, base: &str, path: &str) -> Value {
    json!({ "resourceType": kind, "location": format!("{base}{path}") })
}

fn described(attribute: &Attribute) -> Value {
    let mut shown = json!({
        "name": attribute.name,
        "type": match attribute.kind {
            Kind::Text => "string",
            Kind::Boolean => "boolean",
            Kind::Time => "dateTime",
            Kind::Complex => "complex",
        },
        "multiValued": attribute.multi,
        "description": attribute.words,
        "required": attribute.required,
        "mutability": match attribute.mutability {
            Mutability::ReadOnly => "readOnly",
            Mutability::ReadWrite => "readWrite",
            Mutability::Immutable => "immutable",
        },
        "returned": if attribute.always { "always" } else { "default" },
        "uniqueness": if attribute.unique { "server" } else { "none" },
        "caseExact": attribute.case_exact,
    });
    if let Some(object) = shown.as_object_mut() {
        if !attribute.parts.is_empty() {
            let parts: Vec<Value> = attribute.parts.iter().map(described).collect();
            object.insert("subAttributes".into(), parts.into());
        }
        if !attribute.canonical.is_empty() {
            object.insert("canonicalValues".into(), json!(attribute.canonical));
        }
    }
    shown
}
