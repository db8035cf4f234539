//! Security events, pushed by a pretended transmitter over HTTP.

use std::sync::LazyLock;

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use demo::story::client::{Browser, Page, Raw};
use http::Method;
use keys::sign::{RsaBits, RsaKey};
use ledger::Event;
use serde_json::{Value, json};

use crate::stage::Stage;

static KEY: LazyLock<RsaKey> = LazyLock::new(|| RsaKey::generate(RsaBits::Rsa2048).unwrap());

pub(crate) const REVOKED: &str =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const CHANGED: &str = "https://schemas.openid.net/secevent/caep/event-type/credential-change";
const VERIFY: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";

/// Publishes the transmitter's key.
async fn transmitter(port: u16) {
    let (n, e) = keys::numbers::rsa_numbers(&KEY.public_spki().unwrap()).unwrap();
    let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
    let set = json!({"keys": [{"kty": "RSA", "kid": "one", "n": n, "e": e}]}).to_string();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let router = Router::new().route("/jwks", get(|| async move { set }));
    tokio::spawn(async move { axum::serve(listener, router).await });
}

pub(crate) fn token(stage: &Stage, jti: &str, event: &str, subject: &Value) -> String {
    let now = stage.server.agency.now().as_second();
    let payload = json!({
        "iss": "https://signals.example", "aud": "stream-1", "jti": jti, "iat": now,
        "sub_id": subject, "events": {event: {}},
    });
    let header = json!({"alg": "PS256", "kid": "one", "typ": "secevent+jwt"});
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&payload));
    let signature = KEY.sign_pss_sha256(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(crate) async fn push(stage: &Stage, token: &str, authorization: &str, kind: &str) -> Page {
    let raw = Raw {
        method: Method::POST,
        address: format!("http://{}/ssf/events/signals", stage.server.pages),
        headers: vec![
            ("authorization", authorization.to_owned()),
            ("content-type", kind.to_owned()),
        ],
        body: token.as_bytes().to_vec(),
        cookies: false,
    };
    Browser::new("transmitter").raw(raw).await.unwrap()
}

pub(crate) const KIND: &str = "application/secevent+jwt";
pub(crate) const BEARER: &str = "Bearer stream secret";

pub(crate) async fn stage() -> Option<Stage> {
    let port = testkit::free_port().unwrap();
    transmitter(port).await;
    let more = format!(
        r#"
[[event_stream]]
id = "signals"
issuer = "https://signals.example"
audience = "stream-1"
jwks_url = "http://127.0.0.1:{port}/jwks"
provider = "riverton"
subject_issuer = "PROVIDER"
authorization_file = "stream.token"
"#
    );
    Stage::with(&more).await
}

pub(crate) fn ruiz(stage: &Stage) -> Value {
    json!({"format": "iss_sub", "iss": stage.provider.issuer, "sub": "ruiz"})
}

#[tokio::test]
async fn a_revoked_session_and_a_changed_authenticator_end_what_the_person_has_here() {
    let Some(stage) = stage().await else { return };
    for (jti, event) in [("1", REVOKED), ("2", CHANGED)] {
        let mut browser = Browser::new("ruiz");
        stage.enter(&mut browser).await;
        let sent = token(&stage, jti, event, &ruiz(&stage));
        let answer = push(&stage, &sent, BEARER, KIND).await;
        assert_eq!((answer.status, answer.body.len()), (202, 0));
        let after = stage.open(&mut browser, "/me").await;
        assert_eq!(after.status, 401, "{}", after.text());
        let newest = stage.newest(4);
        let received = |one: &Event| {
            matches!(one, Event::SignalReceived { stream, signal, outcome }
                if stream == "signals" && signal == event && outcome == "sessions end")
        };
        assert!(newest.iter().any(received), "{newest:?}");
        // The same token again is answered as before, and ends nothing more.
        stage.enter(&mut browser).await;
        assert_eq!(push(&stage, &sent, BEARER, KIND).await.status, 202);
        assert_eq!(stage.open(&mut browser, "/me").await.status, 200);
        let out = token(&stage, &format!("{jti}-end"), REVOKED, &ruiz(&stage));
        assert_eq!(push(&stage, &out, BEARER, KIND).await.status, 202);
    }
}

#[tokio::test]
async fn what_is_not_known_is_acknowledged_and_recorded_and_what_is_not_proved_is_refused() {
    let Some(stage) = stage().await else { return };
    let nobody = json!({"format": "email", "email": "x@riverton.example"});
    for (jti, event, subject, expected) in [
        ("1", VERIFY, &nobody, "acknowledged"),
        ("2", "https://example.com/new", &ruiz(&stage), "not known here"),
        ("3", REVOKED, &nobody, "about nobody who is known here"),
    ] {
        let sent = token(&stage, jti, event, subject);
        assert_eq!(push(&stage, &sent, BEARER, KIND).await.status, 202);
        let Some(Event::SignalReceived { outcome, .. }) = stage.newest(1).pop() else { panic!() };
        assert_eq!(outcome, expected);
    }
    let sent = token(&stage, "4", REVOKED, &ruiz(&stage));
    let forged = format!("{}A", &sent[..sent.len() - 1]);
    let cases = [
        (sent.as_str(), "Bearer other", KIND, "authentication_failed", "ssf.authentication"),
        (&sent, "", KIND, "authentication_failed", "ssf.authentication"),
        (&sent, BEARER, "application/json", "invalid_request", "ssf.malformed"),
        ("", BEARER, KIND, "invalid_request", "ssf.malformed"),
        (&forged[1..], BEARER, KIND, "invalid_request", "ssf.malformed"),
    ];
    for (text, authorization, kind, err, code) in cases {
        let answer = push(&stage, text, authorization, kind).await;
        assert_eq!(answer.status, 400, "{code}");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body, json!({"err": err, "description": code}));
        let Some(Event::SignInRefused { reason, .. }) = stage.newest(1).pop() else { panic!() };
        assert_eq!(reason, code);
    }
}

#[tokio::test]
async fn whoever_knows_a_streams_address_does_not_fill_the_ledger() {
    let Some(stage) = stage().await else { return };
    let size = || stage.server.agency.ledger.size();
    let before = size();
    let mut refused = 0;
    for _ in 0..520 {
        match push(&stage, "", "Bearer other", KIND).await.status {
            400 => refused += 1,
            429 => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!((refused, size() - before), (500, 500));
}
