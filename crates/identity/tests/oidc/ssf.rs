//! Security event tokens: each check reached, and whom an event is about.

use identity::oidc::jose::{Flaw, Jws};
use identity::oidc::jwks::Jwks;
use identity::ssf::{StreamSettings, Subject, Token, What, push_error, verify};
use serde_json::{Value, json};

use crate::cases::EVENT_TOKENS;
use crate::provider::{ISSUER, KEY, OTHER, jwk, jws, now};

const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

fn settings() -> StreamSettings {
    StreamSettings {
        id: "signals".into(),
        issuer: "https://signals.example".into(),
        audience: "bailiwick-stream".into(),
        jwks_url: "https://signals.example/jwks".into(),
        idp: "riverton".into(),
        subject_issuer: ISSUER.into(),
    }
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "one", "typ": "secevent+jwt"})
}

fn claims() -> Value {
    json!({
        "iss": "https://signals.example",
        "aud": "bailiwick-stream",
        "jti": "event-1",
        "iat": now().as_second(),
        "sub_id": {"format": "iss_sub", "iss": ISSUER, "sub": "ruiz"},
        "events": {REVOKED: {"event_timestamp": 1, "reason_admin": {"en": "left"}}},
    })
}

fn read(header: &Value, claims: &Value, key: &keys::sign::RsaKey) -> Result<Token, &'static str> {
    let set = json!({"keys": [jwk(&KEY, "one")]}).to_string();
    let token = Jws::parse(&jws(header, claims, key)).map_err(|flaw| match flaw {
        Flaw::Algorithm => "ssf.alg",
        _ => "ssf.malformed",
    })?;
    verify(&token, &Jwks::parse(set.as_bytes()).unwrap(), &settings(), now())
        .map_err(|refusal| refusal.code)
}

#[test]
fn each_statement_of_an_event_token_is_checked() {
    for (name, expected, change) in EVENT_TOKENS {
        let (mut header, mut claims) = (header(), claims());
        change(&mut header, &mut claims);
        let found = read(&header, &claims, &KEY).map_or_else(|code| code, |_| "accepted");
        assert_eq!(found, *expected, "{name}");
    }
    assert_eq!(read(&header(), &claims(), &OTHER), Err("ssf.signature"));
}

#[test]
fn whom_an_event_is_about_is_read_in_every_form_that_names_somebody_here() {
    let who = |sub: Option<&str>, session: Option<&str>| Subject {
        sub: sub.map(str::to_owned),
        session: session.map(str::to_owned),
    };
    let user = json!({"format": "iss_sub", "iss": ISSUER, "sub": "ruiz"});
    let session = json!({"format": "opaque", "id": "s-1"});
    let cases = [
        (user.clone(), who(Some("ruiz"), None)),
        (json!({"format": "opaque", "id": "ruiz"}), who(Some("ruiz"), None)),
        (
            json!({"format": "complex", "user": user, "session": session}),
            who(Some("ruiz"), Some("s-1")),
        ),
        (json!({"user": user, "session": session}), who(Some("ruiz"), Some("s-1"))),
        (json!({"format": "complex", "session": session}), who(None, Some("s-1"))),
        (json!({"format": "complex", "device": session}), who(None, None)),
        (
            json!({"format": "iss_sub", "iss": "https://evil.example", "sub": "ruiz"}),
            who(None, None),
        ),
        (json!({"format": "iss_sub", "iss": ISSUER, "sub": "a b"}), who(None, None)),
        (json!({"format": "email", "email": "ruiz@riverton.example"}), who(None, None)),
        (json!({"iss": ISSUER, "sub": "ruiz"}), who(None, None)),
        (json!("ruiz"), who(None, None)),
        (Value::Null, who(None, None)),
    ];
    for (stated, expected) in cases {
        let mut claims = claims();
        claims["sub_id"] = stated.clone();
        let token = read(&header(), &claims, &KEY).unwrap();
        assert_eq!(token.signals[0].subject, expected, "{stated}");
        assert_eq!(token.signals[0].what, What::SessionRevoked);
    }
    // Where the token has none, the event's own counts, as older transmitters have it.
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove("sub_id");
    claims["events"] = json!({REVOKED: {"subject": user}});
    let token = read(&header(), &claims, &KEY).unwrap();
    assert_eq!(token.signals[0].subject, who(Some("ruiz"), None));
}

#[test]
fn events_that_are_not_known_are_read_all_the_same() {
    let mut claims = claims();
    claims["events"] = json!({"https://example.com/new": {}});
    let token = read(&header(), &claims, &KEY).unwrap();
    assert_eq!(token.signals[0].what, What::Other);
    assert_eq!(push_error("ssf.aud"), "invalid_audience");
}
