//! Logout tokens: each check reached, and refused for its own reason.

use serde_json::{Value, json};

use crate::cases::{LOGOUT, LOGOUT_TOKENS};
use crate::provider::{CLIENT, ISSUER, KEY, OTHER, Stage, code_of, jws, now};

fn header() -> Value {
    json!({"alg": "RS256", "kid": "one", "typ": "logout+jwt"})
}

fn claims() -> Value {
    let at = now().as_second();
    json!({
        "iss": ISSUER, "aud": CLIENT, "iat": at, "exp": at + 120, "jti": "logout-1",
        "sub": "ruiz", "sid": "session-1", "events": {LOGOUT: {}},
    })
}

#[tokio::test]
async fn each_statement_of_a_logout_token_is_checked_and_refused_for_its_own_reason() {
    for (name, expected, change) in LOGOUT_TOKENS {
        // A stage of its own: one that asks for keys anew waits a minute for the next.
        let stage = Stage::new().await;
        let (mut header, mut claims) = (header(), claims());
        change(&mut header, &mut claims);
        let token = jws(&header, &claims, &KEY);
        let read = stage.identity.read_logout("riverton", &token, now()).await;
        assert_eq!(code_of(read), *expected, "{name}");
    }
}

#[tokio::test]
async fn a_logout_token_by_another_key_or_that_can_be_read_in_two_ways_is_refused() {
    let stage = Stage::new().await;
    let read =
        async |text: &str| code_of(stage.identity.read_logout("riverton", text, now()).await);
    let good = jws(&header(), &claims(), &KEY);
    assert_eq!(read(&good).await, "accepted");
    assert_eq!(read(&jws(&header(), &claims(), &OTHER)).await, "bcl.signature");
    let (signed, _) = good.rsplit_once('.').unwrap();
    assert_eq!(read(&format!("{signed}.")).await, "bcl.signature");
    let encode = |text: &str| {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    };
    let twice =
        format!("{}.{}.AA", encode(r#"{"alg":"RS256"}"#), encode(r#"{"sub":"a","sub":"b"}"#));
    for text in ["", "a.b", "....", &twice, &"a".repeat(70_000)] {
        assert_eq!(read(text).await, "bcl.malformed", "{text:.20}");
    }
}
