use serde_json::json;

use super::super::schema::{GROUP, USER};
use super::*;

fn read(value: &Value) -> Result<Document, ScimError> {
    Document::read(ResourceType::User, value.to_string().as_bytes())
}

#[test]
fn what_entra_sends_of_a_person_is_read() {
    let person = read(&json!({
        "schemas": [USER, ENTERPRISE],
        "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "userName": "Test_User_ab6490ee",
        "active": "True",
        "addresses": [{ "type": "work", "country": "US" }],
        "displayName": "lennay",
        "emails": [{ "primary": true, "type": "work", "value": "anna33@riverton.example" }],
        "meta": { "resourceType": "User" },
        "name": { "formatted": "Adrienne", "familyName": "Lind", "givenName": "Asa" },
        "preferredLanguage": null,
        "roles": [],
        ENTERPRISE: { "employeeNumber": "7", "department": "bob", "manager": "b4a1" },
    }));
    let person = person.unwrap();
    assert_eq!(person.user_name(), "Test_User_ab6490ee");
    assert_eq!(person.external_id(), Some("0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"));
    assert!(person.may_sign_in());
    assert_eq!(person.display_name(), "lennay");
    assert_eq!(person.email(), Some("anna33@riverton.example"));
    assert_eq!((person.department(), person.manager()), (Some("bob"), Some("b4a1")));
    assert!(!person.body.contains_key("addresses"));
}

#[test]
fn what_okta_sends_of_a_person_is_read() {
    let person = read(&json!({
        "schemas": [USER],
        "userName": "test.user@riverton.example",
        "name": { "givenName": "Test", "familyName": "User" },
        "emails": [{ "primary": true, "value": "test.user@riverton.example", "type": "work" }],
        "displayName": "Test User",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": true,
    }));
    let person = person.unwrap();
    assert!(!person.body.contains_key("password") && !person.body.contains_key("groups"));
    assert_eq!(person.display_name(), "Test User");
}

#[track_caller]
fn refused(value: &Value, kind: &str) {
    assert_eq!(read(value).unwrap_err().scim_type(), kind, "{value}");
}

#[test]
fn what_is_no_person_is_refused_whole() {
    refused(&json!([]), "invalidSyntax");
    refused(&json!({ "userName": "a" }), "invalidSyntax");
    refused(&json!({ "schemas": [GROUP], "userName": "a" }), "invalidSyntax");
    refused(&json!({ "schemas": [USER] }), "invalidValue");
    refused(&json!({ "schemas": [USER], "userName": " " }), "invalidValue");
    refused(&json!({ "schemas": [USER], "userName": 7 }), "invalidValue");
    refused(&json!({ "schemas": [USER], "userName": "a\u{0}" }), "invalidValue");
    refused(&json!({ "schemas": [USER], "userName": "a".repeat(513) }), "invalidValue");
    refused(&json!({ "schemas": [USER], "userName": "a", "USERNAME": "b" }), "invalidSyntax");
    refused(&json!({ "schemas": [USER], "userName": "a", "active": "yes" }), "invalidValue");
    refused(&json!({ "schemas": [USER], "userName": "a", "active": 1 }), "invalidValue");
    refused(&json!({ "schemas": [USER], "userName": "a", "name": "b" }), "invalidValue");
    let two = json!([{ "value": "a", "primary": true }, { "value": "b", "primary": true }]);
    refused(&json!({ "schemas": [USER], "userName": "a", "emails": two }), "invalidValue");
    let many: Vec<Value> = (0..=VALUES_MAX).map(|n| json!({ "value": n.to_string() })).collect();
    refused(&json!({ "schemas": [USER], "userName": "a", "emails": many }), "tooMany");
    let long = vec![b' '; super::super::BODY_BYTES_MAX + 1];
    let error = Document::read(ResourceType::User, &long).unwrap_err();
    assert_eq!(error.scim_type(), "tooMany");
}

#[test]
fn a_person_is_active_only_if_that_is_said() {
    let person = read(&json!({ "schemas": [USER], "userName": "a" })).unwrap();
    assert!(!person.may_sign_in());
    assert!(person.clone().or_active(Some(true)).may_sign_in());
    assert!(!person.or_active(None).may_sign_in());
    let person = read(&json!({ "schemas": [USER], "userName": "a", "active": false })).unwrap();
    assert!(!person.or_active(Some(true)).may_sign_in());
}

#[test]
fn members_of_a_group_are_each_named_once_and_bounded() {
    let group = |members: Value| {
        let group = json!({ "schemas": [GROUP], "displayName": "g", "members": members });
        Document::read(ResourceType::Group, group.to_string().as_bytes())
    };
    let members =
        json!([{ "value": "a", "$ref": "../Users/a" }, { "value": "a" }, { "value": "b" }]);
    let group_of_two = group(members).unwrap();
    assert_eq!(group_of_two.members().collect::<Vec<_>>(), ["a", "b"]);
    let one = group_of_two.with_members(&["c".to_owned()]);
    assert_eq!(one.members().collect::<Vec<_>>(), ["c"]);
    assert!(one.with_members(&[]).members().next().is_none());
    let many: Vec<Value> = (0..=MEMBERS_MAX).map(|n| json!({ "value": n.to_string() })).collect();
    assert_eq!(group(many.into()).unwrap_err().scim_type(), "tooMany");
}

#[test]
fn a_document_prints_no_person() {
    let person = read(&json!({ "schemas": [USER], "userName": "bjensen" })).unwrap();
    assert_eq!(format!("{person:?}"), "Document { kind: User, .. }");
}
