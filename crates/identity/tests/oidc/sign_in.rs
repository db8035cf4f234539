//! Stories of sign-ins: what is sent, what is accepted, and each reason for which an answer is refused.

use identity::oidc::Callback;
use identity::{Activity, Lookup};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::cases::{ID_TOKENS, without};
use crate::provider::{
    CLIENT, ISSUER, KEY, OTHER, Stage, browser, callback, claims, code_of, header, jwk, jws, now,
    parameter, settings,
};

#[tokio::test]
async fn a_person_signs_in_and_only_what_the_settings_name_is_kept() {
    let stage = Stage::new().await;
    let started = stage.start(now()).await;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("scope", "openid%20profile"),
        ("code_challenge_method", "S256"),
        ("max_age", "43200"),
        ("acr_values", "https%3A%2F%2Frefeds.org%2Fprofile%2Fmfa"),
        ("redirect_uri", "https%3A%2F%2Fbailiwick.riverton.example%2Foidc%2Fcallback"),
    ] {
        assert_eq!(parameter(&started, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(parameter(&started, "prompt"), None);
    stage.answer(&jws(&header(), &claims(&started, now()), &KEY));
    let signed_in = stage.finish(&started, now()).await.unwrap();
    assert_eq!(signed_in.return_to, "/tools");
    let actor = &signed_in.signed.actor;
    assert_eq!((actor.id.as_str(), actor.name.as_str()), ("riverton|ruiz", "D. Ruiz"));
    assert!(actor.assurance.mfa);
    let token = signed_in.token.expose();
    let found = stage.identity.lookup(token, Activity::Person, now()).await.unwrap();
    assert!(matches!(found, Lookup::Live(_)), "{found:?}");

    let exchange = stage.server.asked("/token").remove(0).form.unwrap();
    let field = |name: &str| exchange.iter().find(|(key, _)| key == name).unwrap().1.clone();
    let challenge = keys::digest::sha256(field("code_verifier").as_bytes());
    let challenge =
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, challenge);
    assert_eq!(parameter(&started, "code_challenge"), Some(challenge));
    assert_eq!(field("grant_type"), "authorization_code");
    assert!(field("client_assertion").split('.').count() == 3);
    assert!(!exchange.iter().any(|(name, _)| name == "client_secret"));
}

/// What becomes of an answer whose header and claims were changed so.
async fn outcome(change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let stage = Stage::new().await;
    let started = stage.start(now()).await;
    let (mut header, mut claims) = (header(), claims(&started, now()));
    change(&mut header, &mut claims);
    stage.answer(&jws(&header, &claims, &KEY));
    code_of(stage.finish(&started, now()).await)
}

#[tokio::test]
async fn each_statement_of_a_token_is_checked_and_refused_for_its_own_reason() {
    for (name, expected, change) in ID_TOKENS {
        assert_eq!(outcome(change).await, *expected, "{name}");
    }
}

#[tokio::test]
async fn a_signature_by_another_key_or_of_other_words_is_refused() {
    let stage = Stage::new().await;
    let started = stage.start(now()).await;
    let claims = claims(&started, now());
    stage.answer(&jws(&header(), &claims, &OTHER));
    assert_eq!(code_of(stage.finish(&started, now()).await), "oidc.signature");

    let (stage, started) = again().await;
    let mut other = crate::provider::claims(&started, now());
    let good = jws(&header(), &other, &KEY);
    other["sub"] = json!("chief");
    let forged = jws(&header(), &other, &KEY);
    let (head, _) = forged.rsplit_once('.').unwrap();
    let (_, signature) = good.rsplit_once('.').unwrap();
    stage.answer(&format!("{head}.{signature}"));
    assert_eq!(code_of(stage.finish(&started, now()).await), "oidc.signature");

    // A key that came with the message is not looked at.
    let (stage, started) = again().await;
    let claims = crate::provider::claims(&started, now());
    let brought = json!({"alg": "RS256", "kid": "one", "jwk": jwk(&OTHER, "one")});
    stage.answer(&jws(&brought, &claims, &OTHER));
    assert_eq!(code_of(stage.finish(&started, now()).await), "oidc.signature");

    for text in ["", "a.b", "a.b.c.d", "....", "e30.e30.e30=", "e30.W10.", &"a".repeat(70_000)] {
        let (stage, started) = again().await;
        stage.answer(text);
        let code = code_of(stage.finish(&started, now()).await);
        assert!(matches!(&*code, "oidc.token.malformed" | "oidc.alg"), "{text:.20}: {code}");
    }
}

async fn again() -> (Stage, identity::Started) {
    let stage = Stage::new().await;
    let started = stage.start(now()).await;
    (stage, started)
}

#[tokio::test]
async fn an_answer_counts_in_one_browser_once_in_time_and_from_the_issuer_that_was_asked() {
    type Mutate = fn(&mut Callback);
    let cases: &[(&str, &str, Mutate)] = &[
        ("nothing", "accepted", |_| {}),
        ("no state", "oidc.state", |c| c.state = None),
        ("other state", "oidc.state", |c| c.state = Some("x".into())),
        ("no iss", "oidc.iss", |c| c.iss = None),
        ("other iss", "oidc.iss", |c| c.iss = Some("https://evil.example".into())),
        ("no code", "oidc.code", |c| c.code = None),
        ("empty code", "oidc.code", |c| c.code = Some(String::new())),
        ("long code", "oidc.code", |c| c.code = Some("x".repeat(4097))),
        ("denied", "oidc.status.denied", |c| c.error = Some("access_denied".into())),
        ("login", "oidc.status.interaction", |c| c.error = Some("login_required".into())),
        ("weak", "oidc.status.mfa", |c| {
            c.error = Some("unmet_authentication_requirements".into());
        }),
        ("down", "oidc.status.unavailable", |c| c.error = Some("server_error".into())),
        ("odd", "oidc.status.error", |c| c.error = Some("<script>".into())),
        // Another issuer's error is no error of ours.
        ("mixed up", "oidc.iss", |c| {
            c.error = Some("access_denied".into());
            c.iss = Some("https://evil.example".into());
        }),
    ];
    for (name, expected, mutate) in cases {
        let (stage, started) = again().await;
        stage.answer(&jws(&header(), &claims(&started, now()), &KEY));
        let mut answer = callback(&started);
        mutate(&mut answer);
        let cookie = Some(started.prelogin.as_str());
        let outcome = stage.identity.finish_oidc(cookie, &answer, &browser(), now()).await;
        assert_eq!(code_of(outcome), *expected, "{name}");
        // Whatever became of it, it is used up, and the code was not exchanged for a wrong answer.
        assert_eq!(code_of(stage.finish(&started, now()).await), "oidc.request.replayed", "{name}");
        assert_eq!(stage.server.asked("/token").len(), usize::from(*expected == "accepted"));
    }
    let (stage, started) = again().await;
    for cookie in [None, Some("x"), Some(&*"A".repeat(43))] {
        let answer = callback(&started);
        let outcome = stage.identity.finish_oidc(cookie, &answer, &browser(), now()).await;
        assert_eq!(code_of(outcome), "oidc.request.unknown");
    }
    let late = now() + SignedDuration::from_secs(601);
    assert_eq!(code_of(stage.finish(&started, late).await), "oidc.request.expired");
}

#[tokio::test]
async fn a_token_is_good_for_one_session() {
    let (stage, started) = again().await;
    let mut claims = claims(&started, now());
    let token = jws(&header(), &claims, &KEY);
    stage.answer(&token);
    stage.finish(&started, now()).await.unwrap();
    // Another request never has the same nonce; what is asked here is the last line of defence.
    claims["nonce"] = json!("other");
    let second = stage.start(now()).await;
    stage.answer(&token);
    assert_eq!(code_of(stage.finish(&second, now()).await), "oidc.nonce");
}

#[tokio::test]
async fn a_step_up_is_the_same_person_anew_after_our_request() {
    let stage = Stage::new().await;
    let signed_in = stage.sign_in("ruiz", now()).await;
    let later = now() + SignedDuration::from_mins(5);
    let check = async |sub: &str, authenticated: i64, expected: &str| {
        let started = stage.identity.start_step_up(&signed_in.signed, "/exports", later).await;
        let started = started.unwrap();
        assert_eq!(parameter(&started, "max_age").as_deref(), Some("0"));
        assert_eq!(parameter(&started, "prompt").as_deref(), Some("login"));
        let mut claims = claims(&started, later);
        claims["sub"] = json!(sub);
        claims["auth_time"] = json!(later.as_second() + authenticated);
        stage.answer(&jws(&header(), &claims, &KEY));
        let outcome = stage.finish(&started, later + SignedDuration::from_secs(30)).await;
        assert_eq!(code_of(outcome), expected, "{sub} {authenticated}");
    };
    check("ruiz", -1, "oidc.auth_time.old").await;
    check("ruiz", 0, "accepted").await;
    // The first session was replaced, so nothing is left to be stepped up.
    check("ruiz", 10, "oidc.stepup.session").await;
}

#[tokio::test]
async fn a_step_up_by_another_person_ends_the_session() {
    let stage = Stage::new().await;
    let signed_in = stage.sign_in("ruiz", now()).await;
    let started = stage.identity.start_step_up(&signed_in.signed, "/", now()).await.unwrap();
    let mut claims = claims(&started, now());
    claims["sub"] = json!("chief");
    claims["auth_time"] = json!(now().as_second());
    stage.answer(&jws(&header(), &claims, &KEY));
    assert_eq!(code_of(stage.finish(&started, now()).await), "oidc.stepup.person");
    let token = signed_in.token.expose();
    let found = stage.identity.lookup(token, Activity::Person, now()).await.unwrap();
    assert!(matches!(found, Lookup::Ended { .. }), "{found:?}");
}

#[tokio::test]
async fn where_requests_can_be_pushed_the_browser_carries_only_their_name() {
    let stage = Stage::new().await;
    let mut document = crate::provider::document();
    document["pushed_authorization_request_endpoint"] = json!(format!("{ISSUER}/par"));
    stage.server.put("/.well-known/openid-configuration", 200, document);
    stage.server.put("/par", 201, json!({"request_uri": "urn:x:1", "expires_in": 60}));
    let started = stage.start(now()).await;
    assert_eq!(
        started.redirect,
        format!("{ISSUER}/auth?client_id={CLIENT}&request_uri=urn%3Ax%3A1")
    );
    let form = stage.server.asked("/par").remove(0).form.unwrap();
    for name in ["state", "nonce", "code_challenge", "client_assertion", "redirect_uri"] {
        assert_eq!(form.iter().filter(|(key, _)| key == name).count(), 1, "{name}");
    }
    assert_eq!(form.iter().filter(|(key, _)| key == "client_id").count(), 1);
    for (status, body) in [
        (400, json!({"error": "invalid_request"})),
        (201, json!({})),
        (201, json!({"request_uri": ""})),
    ] {
        stage.server.put("/par", status, body);
        let refused = stage.identity.start_sign_in("riverton", "/", now()).await;
        assert_eq!(code_of(refused), "oidc.par");
    }
}

#[tokio::test]
async fn claims_of_the_userinfo_count_if_they_are_of_the_same_person() {
    let check = async |status, body: Value, expected: &str| {
        let stage =
            Stage::with(identity::oidc::OidcSettings { userinfo: true, ..settings() }).await;
        stage.server.put("/me", status, body);
        let started = stage.start(now()).await;
        let mut claims = claims(&started, now());
        without(&mut claims, "functions");
        stage.answer(&jws(&header(), &claims, &KEY));
        assert_eq!(code_of(stage.finish(&started, now()).await), expected);
        let asked = stage.server.asked("/me");
        assert_eq!(asked[0].bearer.as_deref(), Some("at"));
    };
    check(200, json!({"sub": "ruiz", "functions": ["detective"]}), "accepted").await;
    check(200, json!({"sub": "chief", "functions": ["detective"]}), "oidc.userinfo").await;
    check(200, json!({"functions": ["detective"]}), "oidc.userinfo").await;
    check(200, json!("ruiz"), "oidc.userinfo").await;
    check(401, json!({}), "oidc.userinfo").await;
    check(200, json!({"sub": "ruiz"}), "authz.not_provisioned").await;
}

#[tokio::test]
async fn a_provider_that_fails_at_the_exchange_signs_nobody_in() {
    for (status, body, expected) in [
        (400, json!({"error": "invalid_grant"}).to_string(), "oidc.code"),
        (302, String::new(), "oidc.code"),
        (200, "<html>".to_owned(), "oidc.tokens"),
        (200, json!({"token_type": "Bearer", "access_token": "at"}).to_string(), "oidc.tokens"),
        (200, "x".repeat(300_000), "oidc.provider.unreachable"),
    ] {
        let (stage, started) = again().await;
        stage.server.put("/token", status, body);
        assert_eq!(code_of(stage.finish(&started, now()).await), expected, "{status}");
    }
    let (stage, started) = again().await;
    assert_eq!(code_of(stage.finish(&started, now()).await), "oidc.provider.unreachable");
}

#[tokio::test]
async fn a_session_that_can_not_be_written_is_no_session() {
    let (stage, started) = again().await;
    stage.answer(&jws(&header(), &claims(&started, now()), &KEY));
    state::testing::break_writes(&stage.state, "sessions", "INSERT").await.unwrap();
    let outcome = stage.finish(&started, now()).await;
    assert!(matches!(outcome, Err(identity::IdentityError::State(_))), "{outcome:?}");
}
