use serde_json::json;

use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn query(given: &[(&str, &str)]) -> Result<ListQuery, ScimError> {
    ListQuery::from_pairs(ResourceType::User, &pairs(given))
}

fn person() -> Map<String, Value> {
    let person = json!({
        "schemas": [schema::USER, schema::ENTERPRISE],
        "id": "1",
        "userName": "a",
        "name": { "familyName": "F", "givenName": "G" },
        "emails": [{ "value": "x", "type": "work" }, { "value": "y" }],
        schema::ENTERPRISE: { "department": "D", "manager": { "value": "m" } },
        "meta": { "version": "W/\"1\"", "resourceType": "User" },
    });
    person.as_object().unwrap().clone()
}

#[expect(clippy::needless_pass_by_value, reason = "it reads better where it is called")]
#[track_caller]
fn cut(given: &[(&str, &str)], expected: Value) {
    let projection = query(given).unwrap().projection;
    assert_eq!(Value::Object(projection.cut(ResourceType::User, person())), expected);
}

#[test]
fn attributes_choose_and_excluded_attributes_take_away() {
    let schemas = json!([schema::USER, schema::ENTERPRISE]);
    cut(&[], person().into());
    cut(
        &[("attributes", "USERNAME, name.givenName,emails.value,shoe")],
        json!({
            "schemas": schemas, "id": "1", "userName": "a", "name": { "givenName": "G" },
            "emails": [{ "value": "x" }, { "value": "y" }],
        }),
    );
    cut(
        &[("attributes", "emails.type,emails.value")],
        json!({
            "schemas": schemas, "id": "1",
            "emails": [{ "type": "work", "value": "x" }, { "value": "y" }],
        }),
    );
    let department = format!("{}:department", schema::ENTERPRISE);
    cut(
        &[("attributes", &department)],
        json!({ "schemas": schemas, "id": "1", schema::ENTERPRISE: { "department": "D" } }),
    );
    let without = format!("id,schemas,name,emails.type,meta,{}", schema::ENTERPRISE);
    cut(
        &[("excludedAttributes", &without)],
        json!({
            "schemas": schemas, "id": "1", "userName": "a",
            "emails": [{ "value": "x" }, { "value": "y" }],
        }),
    );
}

#[test]
fn pages_are_bounded_and_start_at_one() {
    let page = |given: &[(&str, &str)]| {
        let query = query(given).unwrap();
        (query.start_index, query.count)
    };
    assert_eq!(page(&[]), (1, PAGE_MAX));
    assert_eq!(page(&[("startIndex", "0"), ("count", "-3")]), (1, 0));
    assert_eq!(page(&[("STARTINDEX", "7"), ("Count", "5")]), (7, 5));
    assert_eq!(page(&[("count", "9223372036854775807")]), (1, PAGE_MAX));
    let found = (0..9).map(|n| Map::from_iter([("id".to_owned(), json!(n))])).collect();
    let (page, total) = query(&[("startIndex", "8"), ("count", "5")]).unwrap().page(found);
    assert_eq!((page, total), (vec![json!({ "id": 7 }), json!({ "id": 8 })], 9));
}

#[test]
fn what_can_t_be_a_list_is_refused() {
    for (name, value, kind) in [
        ("count", "many", "invalidSyntax"),
        ("startIndex", "1.5", "invalidSyntax"),
        ("filter", "userName", "invalidFilter"),
        ("attributes", "a b", "invalidPath"),
    ] {
        assert_eq!(query(&[(name, value)]).unwrap_err().scim_type(), kind, "{name}={value}");
    }
    let both = query(&[("attributes", "a"), ("excludedAttributes", "b")]);
    assert_eq!(both.unwrap_err().scim_type(), "invalidSyntax");
    let many = vec!["title"; PROJECTION_MAX + 1].join(",");
    assert_eq!(query(&[("attributes", &many)]).unwrap_err().scim_type(), "tooMany");
}

#[test]
fn a_search_by_post_says_the_same_as_a_query() {
    let body = json!({
        "schemas": [schema::SEARCH], "filter": "title pr", "startIndex": 3, "count": 4,
        "attributes": ["userName", "title"],
    });
    let search = ListQuery::from_search(ResourceType::User, body.to_string().as_bytes()).unwrap();
    assert_eq!((search.start_index, search.count), (3, 4));
    assert!(search.filter.is_some());
    let shown = search.projection.cut(ResourceType::User, person());
    assert_eq!(shown.keys().collect::<Vec<_>>(), ["schemas", "id", "userName"]);
    for wrong in [json!({ "count": "4" }), json!({ "filter": 1 }), json!({ "attributes": [1] })] {
        let error = ListQuery::from_search(ResourceType::User, wrong.to_string().as_bytes());
        assert_eq!(error.unwrap_err().scim_type(), "invalidSyntax", "{wrong}");
    }
}
