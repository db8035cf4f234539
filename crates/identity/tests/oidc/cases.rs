//! Cases of tokens, each with the code that it must have: for the verifier, and for the same over HTTP
//! (`crates/demo/tests/oidc_http`). Each changes the header and the claims of a good token, whose times are
//! relative to its `iat`, which is now.

use serde_json::{Value, json};

/// Our name at the provider.
const CLIENT: &str = "bailiwick";
/// What makes a logout token one.
pub(crate) const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// What the good event token says.
pub(crate) const SESSION_REVOKED: &str =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// What is changed in a header and in claims.
pub(crate) type Change = fn(&mut Value, &mut Value);

/// Takes a member away.
pub(crate) fn without(value: &mut Value, name: &str) {
    value.as_object_mut().unwrap().remove(name);
}

/// Of ID tokens (`oidc.*`).
pub(crate) const ID_TOKENS: &[(&str, &str, Change)] = &[
    ("nothing", "accepted", |_, _| {}),
    ("PS256", "accepted", |h, _| h["alg"] = json!("PS256")),
    ("typ JWT", "accepted", |h, _| h["typ"] = json!("JWT")),
    ("none", "oidc.alg", |h, _| h["alg"] = json!("none")),
    ("nOnE", "oidc.alg", |h, _| h["alg"] = json!("nOnE")),
    ("HS256", "oidc.alg", |h, _| h["alg"] = json!("HS256")),
    ("RS512", "oidc.alg", |h, _| h["alg"] = json!("RS512")),
    ("no alg", "oidc.alg", |h, _| without(h, "alg")),
    ("ES256 with an RSA key", "oidc.key", |h, _| h["alg"] = json!("ES256")),
    ("unknown kid", "oidc.key", |h, _| h["kid"] = json!("two")),
    ("kid a number", "oidc.token.malformed", |h, _| h["kid"] = json!(1)),
    ("crit", "oidc.token.malformed", |h, _| h["crit"] = json!(["exp"])),
    ("b64", "oidc.token.malformed", |h, _| h["b64"] = json!(false)),
    ("access token", "oidc.typ", |h, _| h["typ"] = json!("at+jwt")),
    ("logout token", "oidc.typ", |h, _| h["typ"] = json!("logout+jwt")),
    ("event", "oidc.typ", |_, c| c["events"] = json!({})),
    ("no iss", "oidc.iss", |_, c| without(c, "iss")),
    ("iss with slash", "oidc.iss", |_, c| {
        c["iss"] = json!(format!("{}/", c["iss"].as_str().unwrap()))
    }),
    ("no aud", "oidc.aud", |_, c| without(c, "aud")),
    ("other aud", "oidc.aud", |_, c| c["aud"] = json!("other")),
    ("aud a list", "accepted", |_, c| c["aud"] = json!([CLIENT])),
    ("two without azp", "oidc.aud", |_, c| c["aud"] = json!([CLIENT, "other"])),
    ("two, azp other", "oidc.aud", |_, c| {
        c["aud"] = json!([CLIENT, "other"]);
        c["azp"] = json!("other");
    }),
    ("two, azp ours", "accepted", |_, c| {
        c["aud"] = json!([CLIENT, "other"]);
        c["azp"] = json!(CLIENT);
    }),
    ("azp other", "oidc.aud", |_, c| c["azp"] = json!("other")),
    ("aud with a number", "oidc.aud", |_, c| c["aud"] = json!([CLIENT, 1])),
    ("no exp", "oidc.exp", |_, c| without(c, "exp")),
    ("exp a text", "oidc.exp", |_, c| c["exp"] = json!("1900000000")),
    ("expired", "oidc.exp", |_, c| c["exp"] = json!(c["iat"].as_i64().unwrap() - 60)),
    ("just not", "accepted", |_, c| c["exp"] = json!(c["iat"].as_i64().unwrap() - 59)),
    ("no iat", "oidc.iat", |_, c| without(c, "iat")),
    ("of tomorrow", "oidc.iat", |_, c| c["iat"] = json!(c["iat"].as_i64().unwrap() + 61)),
    ("a minute ahead", "accepted", |_, c| c["iat"] = json!(c["iat"].as_i64().unwrap() + 60)),
    ("old", "oidc.iat", |_, c| c["iat"] = json!(c["iat"].as_i64().unwrap() - 661)),
    ("not yet", "oidc.iat", |_, c| c["nbf"] = json!(c["iat"].as_i64().unwrap() + 61)),
    ("iat beyond time", "oidc.iat", |_, c| c["iat"] = json!(i64::MAX)),
    ("no nonce", "oidc.nonce", |_, c| without(c, "nonce")),
    ("other nonce", "oidc.nonce", |_, c| c["nonce"] = json!("x")),
    ("at_hash", "oidc.at_hash", |_, c| c["at_hash"] = json!("x")),
    ("no sub", "oidc.sub", |_, c| without(c, "sub")),
    ("empty sub", "oidc.sub", |_, c| c["sub"] = json!("")),
    ("sub with space", "oidc.sub", |_, c| c["sub"] = json!("a b")),
    ("sub with zero", "oidc.sub", |_, c| c["sub"] = json!("a\0")),
    ("long sub", "oidc.sub", |_, c| c["sub"] = json!("a".repeat(256))),
    ("sid a number", "oidc.sid", |_, c| c["sid"] = json!(1)),
    ("no auth_time", "oidc.auth_time.missing", |_, c| without(c, "auth_time")),
    ("auth_time a text", "oidc.auth_time.missing", |_, c| c["auth_time"] = json!("1")),
    ("auth ahead", "oidc.auth_time.future", |_, c| {
        c["auth_time"] = json!(c["iat"].as_i64().unwrap() + 61);
    }),
    ("auth 12 h ago", "oidc.auth_time.old", |_, c| {
        c["auth_time"] = json!(c["iat"].as_i64().unwrap() - 12 * 3600 - 61);
    }),
    ("no acr", "oidc.mfa.missing", |_, c| without(c, "acr")),
    ("other acr", "oidc.mfa.missing", |_, c| c["acr"] = json!("urn:password")),
    ("amr", "accepted", |_, c| {
        without(c, "acr");
        c["amr"] = json!(["pwd", "mfa"]);
    }),
    ("amr one factor", "oidc.mfa.missing", |_, c| {
        c["acr"] = json!("0");
        c["amr"] = json!(["pwd"]);
    }),
    ("amr a text", "oidc.mfa.missing", |_, c| {
        without(c, "acr");
        c["amr"] = json!("mfa");
    }),
    ("long amr", "oidc.amr", |_, c| {
        without(c, "acr");
        c["amr"] = json!(["mfa", "x".repeat(256)]);
    }),
    ("many functions", "oidc.claim", |_, c| c["functions"] = json!(vec!["x"; 1025])),
    ("long name", "oidc.claim", |_, c| c["name"] = json!("x".repeat(2049))),
    ("no function", "authz.not_provisioned", |_, c| without(c, "functions")),
    ("objects", "oidc.claim", |_, c| c["functions"] = json!([{"a": "detective"}])),
    ("conflict", "authz.functions.conflict", |_, c| {
        c["functions"] = json!(["detective", "auditor"]);
    }),
];

/// Of logout tokens (`bcl.*`).
pub(crate) const LOGOUT_TOKENS: &[(&str, &str, Change)] = &[
    ("nothing", "accepted", |_, _| {}),
    ("long typ", "accepted", |h, _| h["typ"] = json!("application/logout+JWT")),
    ("PS256", "accepted", |h, _| h["alg"] = json!("PS256")),
    ("no exp", "accepted", |_, c| without(c, "exp")),
    ("sub alone", "accepted", |_, c| without(c, "sid")),
    ("sid alone", "accepted", |_, c| without(c, "sub")),
    ("another event beside", "accepted", |_, c| c["events"]["urn:other"] = json!({})),
    ("none", "bcl.alg", |h, _| h["alg"] = json!("none")),
    ("NONE", "bcl.alg", |h, _| h["alg"] = json!("NONE")),
    ("HS256", "bcl.alg", |h, _| h["alg"] = json!("HS256")),
    ("RS512", "bcl.alg", |h, _| h["alg"] = json!("RS512")),
    ("no alg", "bcl.alg", |h, _| without(h, "alg")),
    ("ES256 with an RSA key", "bcl.key", |h, _| h["alg"] = json!("ES256")),
    ("unknown kid", "bcl.key", |h, _| h["kid"] = json!("two")),
    ("crit", "bcl.malformed", |h, _| h["crit"] = json!(["exp"])),
    ("kid a number", "bcl.malformed", |h, _| h["kid"] = json!(1)),
    ("no typ", "bcl.typ", |h, _| without(h, "typ")),
    ("JWT", "bcl.typ", |h, _| h["typ"] = json!("JWT")),
    ("security event", "bcl.typ", |h, _| h["typ"] = json!("secevent+jwt")),
    ("access token", "bcl.typ", |h, _| h["typ"] = json!("at+jwt")),
    ("no iss", "bcl.iss", |_, c| without(c, "iss")),
    ("other iss", "bcl.iss", |_, c| c["iss"] = json!("https://evil.example")),
    ("no aud", "bcl.aud", |_, c| without(c, "aud")),
    ("other aud", "bcl.aud", |_, c| c["aud"] = json!("other")),
    ("two without azp", "bcl.aud", |_, c| c["aud"] = json!([CLIENT, "other"])),
    ("expired", "bcl.exp", |_, c| c["exp"] = json!(c["iat"].as_i64().unwrap() - 60)),
    ("exp a text", "bcl.exp", |_, c| c["exp"] = json!("1900000000")),
    ("no iat", "bcl.iat", |_, c| without(c, "iat")),
    ("ahead", "bcl.iat", |_, c| c["iat"] = json!(c["iat"].as_i64().unwrap() + 61)),
    ("three minutes old", "accepted", |_, c| c["iat"] = json!(c["iat"].as_i64().unwrap() - 180)),
    ("older", "bcl.iat", |_, c| c["iat"] = json!(c["iat"].as_i64().unwrap() - 181)),
    ("no events", "bcl.events", |_, c| without(c, "events")),
    ("other event", "bcl.events", |_, c| c["events"] = json!({"urn:other": {}})),
    ("events a list", "bcl.events", |_, c| c["events"] = json!([LOGOUT])),
    ("event a text", "bcl.events", |_, c| c["events"] = json!({LOGOUT: "now"})),
    ("nonce", "bcl.nonce", |_, c| c["nonce"] = json!("x")),
    ("nonce null", "bcl.nonce", |_, c| c["nonce"] = Value::Null),
    ("no jti", "bcl.jti", |_, c| without(c, "jti")),
    ("jti with space", "bcl.jti", |_, c| c["jti"] = json!("a b")),
    ("jti a number", "bcl.jti", |_, c| c["jti"] = json!(1)),
    ("neither sub nor sid", "bcl.subject", |_, c| {
        without(c, "sub");
        without(c, "sid");
    }),
    ("empty sub", "bcl.subject", |_, c| c["sub"] = json!("")),
    ("sub a number", "bcl.subject", |_, c| c["sub"] = json!(1)),
    ("long sub", "bcl.subject", |_, c| c["sub"] = json!("a".repeat(256))),
    ("sid a number", "bcl.subject", |_, c| c["sid"] = json!(1)),
];

/// Of security event tokens (`ssf.*`).
pub(crate) const EVENT_TOKENS: &[(&str, &str, Change)] = &[
    ("nothing", "accepted", |_, _| {}),
    ("long typ", "accepted", |h, _| h["typ"] = json!("application/secevent+JWT")),
    ("no typ", "ssf.typ", |h, _| without(h, "typ")),
    ("JWT", "ssf.typ", |h, _| h["typ"] = json!("JWT")),
    ("logout", "ssf.typ", |h, _| h["typ"] = json!("logout+jwt")),
    ("nonce", "ssf.typ", |_, c| c["nonce"] = json!("x")),
    ("none", "ssf.alg", |h, _| h["alg"] = json!("none")),
    ("HS256", "ssf.alg", |h, _| h["alg"] = json!("HS256")),
    ("crit", "ssf.malformed", |h, _| h["crit"] = json!(["exp"])),
    ("kid", "ssf.key", |h, _| h["kid"] = json!("two")),
    ("iss", "ssf.iss", |_, c| c["iss"] = json!("https://idp.riverton.example")),
    ("aud", "ssf.aud", |_, c| c["aud"] = json!("another")),
    ("exp", "ssf.exp", |_, c| c["exp"] = json!(c["iat"].as_i64().unwrap() + 300)),
    ("no iat", "ssf.iat", |_, c| without(c, "iat")),
    ("ahead", "ssf.iat", |_, c| c["iat"] = json!(c["iat"].as_i64().unwrap() + 61)),
    ("a day old", "accepted", |_, c| c["iat"] = json!(c["iat"].as_i64().unwrap() - 86_400)),
    ("older", "ssf.iat", |_, c| c["iat"] = json!(c["iat"].as_i64().unwrap() - 86_461)),
    ("no jti", "ssf.jti", |_, c| without(c, "jti")),
    ("jti", "ssf.jti", |_, c| c["jti"] = json!("a b")),
    ("no events", "ssf.events", |_, c| without(c, "events")),
    ("none", "ssf.events", |_, c| c["events"] = json!({})),
    ("a list", "ssf.events", |_, c| c["events"] = json!([SESSION_REVOKED])),
    ("a text", "ssf.events", |_, c| c["events"] = json!({SESSION_REVOKED: "now"})),
    ("long name", "ssf.events", |_, c| c["events"] = json!({"x".repeat(257): {}})),
    ("many", "ssf.events", |_, c| {
        let events = (0..9).map(|n| (n.to_string(), json!({})));
        c["events"] = Value::Object(events.collect());
    }),
];
