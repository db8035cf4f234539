use proptest::prelude::*;
use serde_json::json;

use super::*;

fn person() -> Map<String, Value> {
    let person = json!({
        "schemas": [schema::USER, schema::ENTERPRISE],
        "id": "3f1c",
        "externalId": "Ext-7",
        "userName": "BJensen",
        "name": { "familyName": "Jensen", "givenName": "Barbara" },
        "active": true,
        "emails": [
            { "value": "bj@riverton.example", "type": "work", "primary": true },
            { "value": "babs@home.example", "type": "home" },
        ],
        schema::ENTERPRISE: { "department": "Records", "manager": { "value": "77aa" } },
        "meta": { "lastModified": "2026-11-25T10:00:00Z", "resourceType": "User" },
    });
    person.as_object().unwrap().clone()
}

#[track_caller]
fn check(filter: &str, expected: bool) {
    let filter = Filter::parse(ResourceType::User, filter).unwrap();
    assert_eq!(filter.matches(&person()), expected);
}

#[track_caller]
fn refused(filter: &str) -> ScimError {
    Filter::parse(ResourceType::User, filter).unwrap_err()
}

#[test]
fn a_filter_holds_as_the_standard_says() {
    check(r#"userName eq "bjensen""#, true);
    check(r#"USERNAME Eq "BJENSEN""#, true);
    check(r#"userName eq "jensen""#, false);
    check(r#"externalId eq "Ext-7""#, true);
    check(r#"externalId eq "ext-7""#, false);
    check(r#"name.familyName co "ENS""#, true);
    check(r#"userName sw "bj""#, true);
    check(r#"userName ew "bj""#, false);
    check("title pr", false);
    check("name pr and not (title pr)", true);
    check("active eq true", true);
    check(r#"active eq "False""#, false);
    check(r#"meta.lastModified gt "2026-11-25T09:59:59.5Z""#, true);
    check(r#"meta.lastModified ge "2026-11-25T11:00:00+01:00""#, true);
    check(r#"meta.lastModified lt "2026-11-25T10:00:00Z""#, false);
    check(r#"emails co "home.example""#, true);
    check(r#"emails.type eq "home" and emails.value sw "bj""#, true);
    check(r#"emails[type eq "home" and value sw "bj"]"#, false);
    check(r#"emails[type eq "work" and primary eq true]"#, true);
    check(r#"emails[not (type eq "work") and value pr]"#, true);
    check(r#"title eq null and userName ne null"#, true);
    check(r#"title ne "Chief""#, true);
    check(r#"userName ne "bjensen""#, false);
    let urn = schema::ENTERPRISE;
    check(&format!(r#"{urn}:department eq "records""#), true);
    check(&format!(r#"{}:manager.value eq "77aa""#, urn.to_uppercase()), true);
    check(&format!(r#"{urn}:manager eq "77AA""#), false);
    check(&format!(r#"{}:userName sw "b""#, schema::USER), true);
}

#[test]
fn and_binds_more_tightly_than_or() {
    check(r#"active eq true or title pr and userName eq "x""#, true);
    check(r#"(active eq true or title pr) and userName eq "x""#, false);
    check(r#"title pr and title pr or active eq true"#, true);
}

#[test]
fn what_is_no_filter_is_refused_and_never_matches_everything() {
    for wrong in [
        "",
        "userName",
        "userName eq",
        "userName eq bjensen",
        r#"userName eq "bjensen"#,
        r#"userName is "x""#,
        r#"userName eq "x" userName eq "y""#,
        r#"(userName eq "x""#,
        r#"userName eq "x")"#,
        r#"not userName eq "x""#,
        r#"emails[type eq "work""#,
        r#"emails[emails[type eq "work"]]"#,
        r#"userName[value eq "x"]"#,
        r#"userName eq ["x"]"#,
        r#"userName eq {"a":1}"#,
        "userName eq 7",
        "userName eq true",
        "userName gt null",
        r#"active gt true"#,
        r#"active eq "maybe""#,
        r#"meta.created gt "yesterday""#,
        r#"shoeSize eq "44""#,
        r#"emails[shoe eq "44"]"#,
        r#"name.shoe eq "44""#,
        r#"a.b.c eq "44""#,
        "and and and",
        "\u{feff}userName pr",
    ] {
        assert!(matches!(refused(wrong), ScimError::Filter(_)), "{wrong}");
    }
}

#[test]
fn depth_length_and_number_are_bounded() {
    let deep = |n: usize| format!("{}title pr{}", "(".repeat(n), ")".repeat(n));
    assert!(Filter::parse(ResourceType::User, &deep(FILTER_DEPTH_MAX - 1)).is_ok());
    let levels = "levels in a filter";
    let max = FILTER_DEPTH_MAX;
    assert_eq!(refused(&deep(max)), ScimError::TooMany { what: levels, max });
    assert_eq!(refused(&"(".repeat(4_000)), ScimError::TooMany { what: levels, max });
    let long = |n: usize| vec!["title pr"; n].join(" or ");
    assert!(Filter::parse(ResourceType::User, &long(FILTER_TERMS_MAX)).is_ok());
    assert!(matches!(refused(&long(FILTER_TERMS_MAX + 1)), ScimError::TooMany { .. }));
    let wide = format!(r#"userName eq "{}""#, "x".repeat(FILTER_BYTES_MAX));
    assert!(matches!(refused(&wide), ScimError::TooMany { .. }));
}

#[test]
fn an_index_can_answer_what_a_filter_demands() {
    let parse = |text| Filter::parse(ResourceType::User, text).unwrap();
    assert_eq!(parse(r#"userName eq "a""#).demands("userName"), Some("a"));
    assert_eq!(parse(r#"active eq true and userName eq "a""#).demands("userName"), Some("a"));
    assert_eq!(parse(r#"active eq true or userName eq "a""#).demands("userName"), None);
    assert_eq!(parse(r#"not (userName eq "a")"#).demands("userName"), None);
    assert_eq!(parse(r#"userName co "a""#).demands("userName"), None);
    assert_eq!(parse(r#"emails[value eq "a"]"#).demands("value"), None);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in r#"[a-zA-Z ()\[\]".:0-9]{0,80}"#) {
        drop(Filter::parse(ResourceType::User, &text));
    }

    #[test]
    fn a_value_is_found_whatever_it_holds(name in "\\PC{1,40}") {
        let mut person = person();
        person.insert("userName".into(), name.clone().into());
        let filter = format!("userName eq {}", serde_json::to_string(&name).unwrap());
        prop_assert!(Filter::parse(ResourceType::User, &filter).unwrap().matches(&person));
    }
}
