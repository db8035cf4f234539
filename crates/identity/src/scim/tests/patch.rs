use serde_json::json;

use super::super::schema::{ENTERPRISE, GROUP, PATCH, USER};
use super::*;

fn person() -> Document {
    let person = json!({
        "schemas": [USER, ENTERPRISE],
        "userName": "bjensen",
        "name": { "familyName": "Jensen", "givenName": "Barbara" },
        "active": true,
        "emails": [
            { "value": "bj@riverton.example", "type": "work", "primary": true },
            { "value": "babs@home.example", "type": "home" },
        ],
        ENTERPRISE: { "department": "Records", "manager": { "value": "77aa" } },
    });
    Document::read(ResourceType::User, person.to_string().as_bytes()).unwrap()
}

fn group(members: &[&str]) -> Document {
    let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
    let group = json!({ "schemas": [GROUP], "displayName": "Detectives", "members": members });
    Document::read(ResourceType::Group, group.to_string().as_bytes()).unwrap()
}

fn patched(document: &Document, operations: &Value) -> Result<Document, ScimError> {
    let body = json!({ "schemas": [PATCH], "Operations": operations });
    Patch::read(document.kind(), body.to_string().as_bytes())?.apply(document)
}

/// What a PATCH makes of one member of the person.
#[expect(clippy::needless_pass_by_value, reason = "it reads better where it is called")]
#[track_caller]
fn check(operations: Value, name: &str, expected: Value) {
    let after = patched(&person(), &operations).unwrap();
    assert_eq!(after.body.get(name).cloned().unwrap_or_default(), expected, "{operations}");
}

#[expect(clippy::needless_pass_by_value, reason = "it reads better where it is called")]
#[track_caller]
fn refused(operations: Value, kind: &str) {
    let error = patched(&person(), &operations).unwrap_err();
    assert_eq!(error.scim_type(), kind, "{operations}");
}

#[test]
fn every_dialect_of_deactivation_deactivates() {
    for operations in [
        json!([{ "op": "replace", "path": "active", "value": false }]),
        json!([{ "op": "Replace", "path": "active", "value": "False" }]),
        json!([{ "op": "Replace", "path": "Active", "value": "false" }]),
        json!([{ "op": "replace", "value": { "active": false } }]),
        json!([{ "OP": "Add", "VALUE": { "active": "False" } }]),
        json!([{ "op": "add", "path": "active", "value": false }]),
        json!([{ "op": "remove", "path": "active" }]),
        json!([{ "op": "replace", "path": "active", "value": null }]),
        json!([{ "op": "replace", "path": format!("{USER}:active"), "value": false }]),
        json!([
            { "op": "Replace", "path": "addresses[type eq \"work\"].country", "value": "US" },
            { "op": "Replace", "path": "urn:example:2.0:Other:badge", "value": "7" },
            { "op": "Replace", "path": "active", "value": "False" },
        ]),
    ] {
        let after = patched(&person(), &operations).unwrap();
        assert!(!after.may_sign_in(), "{operations}");
    }
    let off = patched(&person(), &json!([{ "op": "remove", "path": "active" }])).unwrap();
    let on = patched(&off, &json!([{ "op": "Add", "path": "active", "value": "True" }])).unwrap();
    assert!(on.may_sign_in());
}

#[test]
fn entra_changes_a_person() {
    let path = r#"emails[type eq "work"].value"#;
    let home = json!({ "value": "babs@home.example", "type": "home" });
    check(
        json!([{ "op": "Replace", "path": path, "value": "new@riverton.example" }]),
        "emails",
        json!([{ "value": "new@riverton.example", "type": "work", "primary": true }, home]),
    );
    check(
        json!([{ "op": "Add", "path": r#"emails[type eq "other"].value"#, "value": "o@x.example" }]),
        "emails",
        json!([
            { "value": "bj@riverton.example", "type": "work", "primary": true },
            home,
            { "type": "other", "value": "o@x.example" },
        ]),
    );
    check(
        json!([{ "op": "Remove", "path": r#"emails[type eq "work"]"# }]),
        "emails",
        json!([home]),
    );
    check(
        json!([{ "op": "Add", "value": { "name.givenName": "B", "displayName": "BJ" } }]),
        "name",
        json!({ "familyName": "Jensen", "givenName": "B" }),
    );
    let department = format!("{ENTERPRISE}:department");
    check(
        json!([{ "op": "Add", "path": department, "value": "Homicide" }]),
        ENTERPRISE,
        json!({ "department": "Homicide", "manager": { "value": "77aa" } }),
    );
    check(
        json!([{ "op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": "88bb" }]),
        ENTERPRISE,
        json!({ "department": "Records", "manager": { "value": "88bb" } }),
    );
    check(
        json!([{ "op": "Replace", "value": { ENTERPRISE: { "department": "IT" } } }]),
        ENTERPRISE,
        json!({ "department": "IT", "manager": { "value": "77aa" } }),
    );
    check(
        json!([
            { "op": "Remove", "path": department },
            { "op": "Remove", "path": format!("{ENTERPRISE}:manager") },
        ]),
        ENTERPRISE,
        Value::Null,
    );
    check(json!([{ "op": "Remove", "path": ENTERPRISE }]), ENTERPRISE, Value::Null);
}

#[test]
fn a_new_primary_address_replaces_the_old_one() {
    let new = json!({ "value": "n@riverton.example", "primary": true });
    check(
        json!([{ "op": "add", "path": "emails", "value": [new] }]),
        "emails",
        json!([
            { "value": "bj@riverton.example", "type": "work", "primary": false },
            { "value": "babs@home.example", "type": "home" },
            new,
        ]),
    );
    check(json!([{ "op": "replace", "path": "emails", "value": new }]), "emails", json!([new]));
    check(json!([{ "op": "replace", "path": "emails", "value": [] }]), "emails", Value::Null);
}

#[test]
fn members_come_and_go_in_every_dialect() {
    let members = |operations: Value| {
        let after = patched(&group(&["a", "b", "c"]), &operations).unwrap();
        after.members().map(str::to_owned).collect::<Vec<_>>()
    };
    let add =
        json!([{ "op": "Add", "path": "members", "value": [{ "value": "d" }, { "value": "a" }] }]);
    assert_eq!(members(add), ["a", "b", "c", "d"]);
    let entra = json!([{ "op": "Remove", "path": "members", "value": [{ "value": "b" }] }]);
    assert_eq!(members(entra), ["a", "c"]);
    let okta = json!([{ "op": "remove", "path": r#"members[value eq "c"]"# }]);
    assert_eq!(members(okta), ["a", "b"]);
    let gone = json!([{ "op": "remove", "path": r#"members[value eq "z"]"# }]);
    assert_eq!(members(gone), ["a", "b", "c"], "who is not there can be removed");
    let all = json!([{ "op": "remove", "path": "members" }]);
    assert!(members(all).is_empty());
    let whole = json!([{ "op": "replace", "path": "members", "value": [{ "value": "z" }] }]);
    assert_eq!(members(whole), ["z"]);
    let named = json!([{ "op": "replace", "value": { "id": "1", "displayName": "D" } }]);
    assert_eq!(patched(&group(&[]), &named).unwrap().group_name(), "D");
}

#[test]
fn what_is_wrong_refuses_all_of_it() {
    refused(json!([]), "invalidSyntax");
    refused(json!([{ "op": "move", "path": "title" }]), "invalidSyntax");
    refused(json!([{ "op": "add", "path": "title" }]), "invalidSyntax");
    refused(json!([{ "op": "add", "value": "x" }]), "invalidSyntax");
    refused(json!([{ "op": "remove", "value": { "title": 1 } }]), "noTarget");
    refused(json!([{ "op": "add", "path": "", "value": 1 }]), "invalidPath");
    refused(json!([{ "op": "add", "path": "a b", "value": 1 }]), "invalidPath");
    refused(json!([{ "op": "add", "path": "a.b.c", "value": 1 }]), "invalidPath");
    refused(
        json!([{ "op": "add", "path": r#"title[value eq "x"]"#, "value": "x" }]),
        "invalidPath",
    );
    refused(json!([{ "op": "add", "path": r#"emails[type eq "x""#, "value": "x" }]), "invalidPath");
    refused(json!([{ "op": "add", "path": r#"emails[type]"#, "value": "x" }]), "invalidFilter");
    let none = r#"emails[type sw "x"].value"#;
    refused(json!([{ "op": "replace", "path": none, "value": "x" }]), "noTarget");
    let long = format!(r#"emails[type eq "{}"].value"#, "x".repeat(600));
    refused(json!([{ "op": "add", "path": long, "value": "x" }]), "invalidValue");
    refused(json!([{ "op": "replace", "path": "id", "value": "x" }]), "mutability");
    refused(json!([{ "op": "replace", "path": "groups", "value": [] }]), "mutability");
    refused(json!([{ "op": "remove", "path": "userName" }]), "mutability");
    refused(json!([{ "op": "replace", "path": "userName", "value": null }]), "invalidValue");
    refused(json!([{ "op": "replace", "path": "active", "value": "perhaps" }]), "invalidValue");
    refused(
        json!([
            { "op": "replace", "path": "title", "value": "x" },
            { "op": "replace", "path": "name", "value": 7 },
        ]),
        "invalidValue",
    );
    let many = vec![json!({ "op": "remove", "path": "title" }); OPERATIONS_MAX + 1];
    refused(many.into(), "tooMany");
    let body = json!({ "Operations": [{ "op": "remove", "path": "title" }] });
    let error = Patch::read(ResourceType::User, body.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.scim_type(), "invalidSyntax");
    let member =
        json!([{ "op": "replace", "path": r#"members[value eq "a"].value"#, "value": "b" }]);
    assert_eq!(patched(&group(&["a"]), &member).unwrap_err().scim_type(), "mutability");
}

#[test]
fn a_group_does_not_grow_past_its_limit_by_patches() {
    let ids: Vec<String> = (0..super::super::MEMBERS_MAX).map(|n| n.to_string()).collect();
    let full = group(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let one_more = json!([{ "op": "add", "path": "members", "value": [{ "value": "x" }] }]);
    assert_eq!(patched(&full, &one_more).unwrap_err().scim_type(), "tooMany");
}
