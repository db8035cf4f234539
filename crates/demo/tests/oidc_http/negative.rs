//! Tokens that are not good enough, over HTTP: each is refused for its own reason, on record, and ends or opens
//! nothing. The cases are the verifier's own.

use jiff::SignedDuration;
use ledger::Event;
use serde_json::{Value, json};

use crate::cases::{EVENT_TOKENS, ID_TOKENS, LOGOUT_TOKENS, without};
use crate::forged::{Forged, sign};

/// What the page says when it is said to anybody.
const NEUTRAL: &str = "The answer of the identity provider was not accepted. Nothing was opened.";

#[tokio::test(flavor = "multi_thread")]
async fn every_id_token_that_is_not_good_enough_is_refused_for_its_own_reason() {
    let forged = Forged::new().await;
    let mut wrong = Vec::new();
    for (n, (name, expected, change)) in ID_TOKENS.iter().enumerate() {
        let begun = forged.begin().await;
        // Somebody new each time: what was said of a person before stands where nothing is said.
        let (mut header, mut claims) = forged.id_token(&begun, &format!("ruiz-{n}"), "s-1");
        change(&mut header, &mut claims);
        let token = sign(&header, &claims);
        let page = forged.finish(&begun, &token).await;
        let found = match page.status {
            303 => "accepted".to_owned(),
            _ => {
                let (entry, _) = forged.newest();
                let quoted = page.says(&format!("Quote ledger entry {entry} "));
                assert!(page.status == 403 && quoted && page.says(NEUTRAL), "{}", page.text());
                assert!(page.headers.get("set-cookie").is_none(), "{name}");
                forged.refusal()
            }
        };
        assert!(!page.text().contains(&found), "{found} is for the ledger, not for the page");
        if found != *expected {
            wrong.push(format!("{name}: {found}, not {expected}"));
        }
        // Whatever became of it, the sign-in is used up.
        assert_eq!(forged.finish(&begun, &token).await.status, 403, "{name}");
        assert_eq!(forged.refusal(), "oidc.request.replayed", "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_logout_token_that_is_not_good_enough_is_refused_for_its_own_reason() {
    let forged = Forged::new().await;
    let live = forged.sign_in("ruiz", "s-1").await;
    let mut wrong = Vec::new();
    for (n, (name, expected, change)) in LOGOUT_TOKENS.iter().enumerate() {
        // What is accepted is about another person, so that whatever ends a session here is a mistake.
        let sub = if *expected == "accepted" { "chief" } else { "ruiz" };
        let sid = if *expected == "accepted" { "s-2" } else { "s-1" };
        let (mut header, mut claims) = forged.logout_token(&format!("l-{n}"), sub, sid);
        change(&mut header, &mut claims);
        let page = forged.log_out(&sign(&header, &claims)).await;
        assert_eq!(page.header("cache-control"), Some("no-store"), "{name}");
        let found = match page.status {
            200 => "accepted".to_owned(),
            _ => {
                let body: Value = serde_json::from_slice(&page.body).unwrap();
                assert_eq!((page.status, body), (400, json!({"error": "invalid_request"})));
                forged.refusal()
            }
        };
        if found != *expected {
            wrong.push(format!("{name}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(forged.is_live(&live).await, "none of them ended anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_ends_what_it_names_once_and_nothing_else() {
    let forged = Forged::new().await;
    let (desk, car) = (forged.sign_in("ruiz", "s-1").await, forged.sign_in("ruiz", "s-2").await);
    let chief = forged.sign_in("chief", "s-3").await;
    let log_out = async |jti: &str, change: &dyn Fn(&mut Value)| {
        let (header, mut claims) = forged.logout_token(jti, "ruiz", "s-1");
        change(&mut claims);
        let token = sign(&header, &claims);
        (forged.log_out(&token).await.status, token)
    };
    // A session of somebody else's: the two statements do not go together, and end neither's.
    assert_eq!(log_out("1", &|claims| claims["sid"] = json!("s-3")).await.0, 200);
    assert_eq!(log_out("2", &|claims| claims["sub"] = json!("chief")).await.0, 200);
    for cookie in [&desk, &car, &chief] {
        assert!(forged.is_live(cookie).await);
    }
    let (status, token) = log_out("3", &|_| ()).await;
    assert_eq!(status, 200);
    assert!(!forged.is_live(&desk).await && forged.is_live(&car).await);
    // The same token is not taken twice; another one about what is over already is answered as if it were not.
    assert_eq!(forged.log_out(&token).await.status, 400);
    assert_eq!(forged.refusal(), "bcl.replay");
    assert_eq!(log_out("4", &|_| ()).await.0, 200);
    // A person without a session means all of theirs.
    assert_eq!(log_out("5", &|claims| without(claims, "sid")).await.0, 200);
    assert!(!forged.is_live(&car).await && forged.is_live(&chief).await);
    assert_eq!(
        log_out("6", &|claims| {
            without(claims, "sub");
            claims["sid"] = json!("s-3");
        })
        .await
        .0,
        200
    );
    assert!(!forged.is_live(&chief).await);
    // The token is forgotten when nobody would take it any more, and not before.
    forged.clock.advance(SignedDuration::from_secs(150));
    assert_eq!(forged.log_out(&token).await.status, 400);
    assert_eq!(forged.refusal(), "bcl.replay");
    forged.clock.advance(SignedDuration::from_secs(60));
    assert_eq!(forged.log_out(&token).await.status, 400);
    assert_eq!(forged.refusal(), "bcl.exp");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_token_that_is_not_good_enough_is_refused_for_its_own_reason() {
    let forged = Forged::new().await;
    let live = forged.sign_in("ruiz", "s-1").await;
    let mut wrong = Vec::new();
    for (n, (name, expected, change)) in EVENT_TOKENS.iter().enumerate() {
        let sub = if *expected == "accepted" { "chief" } else { "ruiz" };
        let (mut header, mut claims) = forged.event_token(&format!("e-{n}"), sub);
        change(&mut header, &mut claims);
        let page = forged.push(&sign(&header, &claims)).await;
        let found = match page.status {
            202 => "accepted".to_owned(),
            _ => {
                let body: Value = serde_json::from_slice(&page.body).unwrap();
                let code = forged.refusal();
                assert_eq!((page.status, &body["description"]), (400, &json!(code)), "{name}");
                assert!(body["err"].is_string(), "{name}");
                code
            }
        };
        if found != *expected {
            wrong.push(format!("{name}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(forged.is_live(&live).await, "none of them ended anything");
    let (header, claims) = forged.event_token("last", "ruiz");
    assert_eq!(forged.push(&sign(&header, &claims)).await.status, 202);
    let newest = forged.newest().1;
    assert!(matches!(newest, Event::SessionsEnded { .. }), "{newest:?}");
    assert!(!forged.is_live(&live).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_lets_nobody_in_and_puts_nobody_out() {
    const DESCRIPTION: &str = "/.well-known/openid-configuration";
    let forged = Forged::new().await;
    let minute = SignedDuration::from_mins(1);
    forged.down(&[DESCRIPTION, "/jwks", "/token"]);
    assert_eq!(forged.get("/sign-in/riverton", "").await.status, 403);
    assert_eq!(forged.refusal(), "oidc.provider.unreachable");
    forged.down(&["/jwks"]);
    forged.clock.advance(minute);
    let begun = forged.begin().await;
    let (header, claims) = forged.id_token(&begun, "ruiz", "s-1");
    assert_eq!(forged.finish(&begun, &sign(&header, &claims)).await.status, 403);
    assert_eq!(forged.refusal(), "oidc.provider.unreachable");
    // What it would have us end can't be verified either, and is not ended by anybody's word.
    let (header, claims) = forged.logout_token("1", "ruiz", "s-1");
    assert_eq!(forged.log_out(&sign(&header, &claims)).await.status, 400);
    assert_eq!(forged.refusal(), "oidc.provider.unreachable");

    forged.down(&[]);
    forged.clock.advance(minute);
    let ruiz = forged.sign_in("ruiz", "s-1").await;
    forged.down(&[DESCRIPTION, "/jwks", "/token"]);
    forged.clock.advance(minute);
    assert!(forged.is_live(&ruiz).await, "a session here is ours");
    // What is known of the provider is known for a while; at the exchange it must be there.
    let begun = forged.begin().await;
    assert_eq!(forged.finish(&begun, "").await.status, 403);
    assert_eq!(forged.refusal(), "oidc.code");
    let (header, claims) = forged.logout_token("2", "ruiz", "s-1");
    assert_eq!(forged.log_out(&sign(&header, &claims)).await.status, 200);
    assert!(!forged.is_live(&ruiz).await);
}
