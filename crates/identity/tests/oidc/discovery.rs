//! What a provider says of itself, and its keys: what is taken, what is refused, and how often it is asked.

use identity::oidc::discovery::{Discovery, address};
use identity::oidc::jwks::Jwks;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::provider::{
    ISSUER, KEY, OTHER, Stage, claims, code_of, document, header, jwk, jws, now, settings,
};

fn code(change: impl FnOnce(&mut Value)) -> String {
    let mut document = document();
    change(&mut document);
    match Discovery::parse(document.to_string().as_bytes(), &settings()) {
        Ok(_) => "accepted".to_owned(),
        Err(refusal) => refusal.code.to_owned(),
    }
}

#[test]
fn a_description_is_of_the_pinned_issuer_at_its_own_host_and_fit_for_us() {
    type Change = fn(&mut Value);
    let cases: &[(&str, &str, Change)] = &[
        ("nothing", "accepted", |_| {}),
        ("less", "accepted", |d| {
            d.as_object_mut().unwrap().remove("code_challenge_methods_supported");
            d.as_object_mut().unwrap().remove("userinfo_endpoint");
        }),
        ("issuer", "oidc.discovery.issuer", |d| d["issuer"] = json!("https://evil.example")),
        ("slash", "oidc.discovery.issuer", |d| d["issuer"] = json!(format!("{ISSUER}/"))),
        ("no issuer", "oidc.discovery.issuer", |d| d["issuer"] = Value::Null),
        ("token elsewhere", "oidc.discovery.host", |d| {
            d["token_endpoint"] = json!("https://evil.example/token");
        }),
        ("another port", "oidc.discovery.host", |d| {
            d["jwks_uri"] = json!("https://idp.riverton.example:8443/jwks");
        }),
        ("a longer host", "oidc.discovery.host", |d| {
            d["jwks_uri"] = json!("https://idp.riverton.example.evil.example/jwks");
        }),
        ("user information", "oidc.discovery.endpoint", |d| {
            d["token_endpoint"] = json!("https://idp.riverton.example@evil.example/");
        }),
        ("plain", "oidc.discovery.endpoint", |d| {
            d["token_endpoint"] = json!("http://idp.riverton.example/token");
        }),
        ("a script", "oidc.discovery.endpoint", |d| {
            d["end_session_endpoint"] = json!("javascript:alert(1)");
        }),
        ("none", "oidc.discovery.incomplete", |d| {
            d.as_object_mut().unwrap().remove("token_endpoint");
        }),
        ("no PKCE", "oidc.discovery.unfit", |d| {
            d["code_challenge_methods_supported"] = json!(["plain"]);
        }),
        ("implicit", "oidc.discovery.unfit", |d| {
            d["response_types_supported"] = json!(["id_token"]);
        }),
        ("secrets", "oidc.discovery.unfit", |d| {
            d["token_endpoint_auth_methods_supported"] = json!(["client_secret_basic"]);
        }),
        ("algorithms", "oidc.discovery.unfit", |d| {
            d["token_endpoint_auth_signing_alg_values_supported"] = json!(["ES256K"]);
        }),
    ];
    for (name, expected, change) in cases {
        assert_eq!(code(change), *expected, "{name}");
    }
    for bytes in [&b"[]"[..], b"", br#"{"issuer":"a","issuer":"a"}"#, &[b' '; 200_000]] {
        let refused = Discovery::parse(bytes, &settings()).unwrap_err();
        assert_eq!(refused.code, "oidc.discovery.malformed");
    }
    assert_eq!(address("https://a/t/"), "https://a/t/.well-known/openid-configuration");
}

#[test]
fn a_declared_host_may_hold_endpoints() {
    let mut document = document();
    document["jwks_uri"] = json!("https://keys.example:8443/jwks");
    let mut settings = settings();
    settings.hosts = vec!["keys.example:8443".into()];
    Discovery::parse(document.to_string().as_bytes(), &settings).unwrap();
}

#[test]
fn of_a_set_only_strong_keys_for_signatures_are_taken() {
    let parse = |keys: Value| Jwks::parse(json!({"keys": keys}).to_string().as_bytes());
    parse(json!([jwk(&KEY, "one")])).unwrap();
    parse(json!([jwk(&KEY, "one"), {"kty": "OKP", "crv": "Ed25519", "x": "AA"}, {}, 1])).unwrap();
    let changed = |name: &str, value: Value| {
        let mut key = jwk(&KEY, "one");
        key[name] = value;
        parse(json!([key])).map_err(|_| ()).is_ok()
    };
    assert!(changed("alg", json!("PS256")));
    assert!(changed("key_ops", json!(["verify"])));
    for (name, value) in [
        ("use", json!("enc")),
        ("alg", json!("RS512")),
        ("alg", json!("ES256")),
        ("key_ops", json!(["sign"])),
        ("n", json!("AQAB")),
        ("n", json!(1)),
        ("e", json!("")),
        ("kty", json!("oct")),
        ("kid", json!(1)),
        ("d", json!("AQAB")),
    ] {
        assert!(!changed(name, value.clone()), "{name} {value}");
    }
    assert!(parse(json!([{"kty": "oct", "k": "c2VjcmV0"}])).is_err());
    assert!(parse(json!([jwk(&KEY, "one"), jwk(&OTHER, "one")])).is_err());
    assert!(parse(json!(vec![jwk(&KEY, "one"); 65])).is_err());
    assert!(parse(json!([])).is_err());
    assert!(Jwks::parse(b"{}").is_err());
    assert!(Jwks::parse(&vec![b' '; 300_000]).is_err());
}

#[tokio::test]
async fn a_new_key_is_asked_for_at_most_once_a_minute() {
    let stage = Stage::new().await;
    stage.sign_in("ruiz", now()).await;
    let fetched = || stage.server.asked("/jwks").len();
    assert_eq!(fetched(), 1);
    stage.sign_in("ruiz", now()).await;
    assert_eq!(fetched(), 1, "keys at hand are used");

    // The provider signs with a key of another name: once a minute somebody may make us ask.
    let attempt = async |at| {
        let started = stage.start(at).await;
        let two = json!({"alg": "RS256", "kid": "two"});
        stage.answer(&jws(&two, &claims(&started, at), &OTHER));
        code_of(stage.finish(&started, at).await)
    };
    let second = |n| now() + SignedDuration::from_secs(n);
    assert_eq!(attempt(second(59)).await, "oidc.key");
    assert_eq!(fetched(), 1);
    assert_eq!(attempt(second(60)).await, "oidc.key");
    assert_eq!(attempt(second(61)).await, "oidc.key");
    assert_eq!(fetched(), 2);
    stage.server.put("/jwks", 200, json!({"keys": [jwk(&OTHER, "two")]}));
    assert_eq!(attempt(second(119)).await, "oidc.key");
    assert_eq!(attempt(second(120)).await, "accepted");
    assert_eq!(fetched(), 3);
    // The old one is gone with it.
    let started = stage.start(second(121)).await;
    stage.answer(&jws(&header(), &claims(&started, second(121)), &KEY));
    assert_eq!(code_of(stage.finish(&started, second(121)).await), "oidc.key");
}

#[tokio::test]
async fn keys_are_not_used_for_longer_than_an_hour_without_asking() {
    let stage = Stage::new().await;
    stage.sign_in("ruiz", now()).await;
    let hour = now() + SignedDuration::from_hours(1);
    stage.server.remove("/jwks");
    let attempt = async |at| {
        let started = stage.start(at).await;
        stage.answer(&jws(&header(), &claims(&started, at), &KEY));
        code_of(stage.finish(&started, at).await)
    };
    assert_eq!(attempt(hour - SignedDuration::from_secs(1)).await, "accepted");
    assert_eq!(attempt(hour).await, "oidc.provider.unreachable");
    assert_eq!(attempt(hour).await, "oidc.provider.unreachable");
    stage.server.put("/jwks", 200, "{}");
    assert_eq!(attempt(hour + SignedDuration::from_mins(1)).await, "oidc.jwks");
    stage.server.put("/jwks", 200, json!({"keys": [jwk(&KEY, "one")]}));
    assert_eq!(attempt(hour + SignedDuration::from_mins(2)).await, "accepted");
}

#[tokio::test]
async fn a_provider_that_is_down_is_asked_again_after_a_minute_and_what_it_said_stays() {
    let stage = Stage::new().await;
    let path = "/.well-known/openid-configuration";
    stage.server.remove(path);
    let start = async |at| code_of(stage.identity.start_sign_in("riverton", "/", at).await);
    let second = |n| now() + SignedDuration::from_secs(n);
    assert_eq!(start(second(0)).await, "oidc.provider.unreachable");
    stage.server.put(path, 200, document());
    assert_eq!(start(second(59)).await, "oidc.provider.unreachable");
    assert_eq!(start(second(60)).await, "accepted");
    // A day later it describes itself as another: what was believed stays.
    let mut other = document();
    other["token_endpoint"] = json!("https://evil.example/token");
    stage.server.put(path, 200, other);
    let next = second(60) + SignedDuration::from_hours(24);
    assert_eq!(start(next).await, "accepted");
    assert_eq!(stage.server.asked(path).len(), 3);
}
