//! A provider is tried: what it answers is verified and shown, and nobody is let in.

use demo::story::client::{Browser, Page};
use ledger::Event;

use crate::stage::{MFA, Stage, get};

/// Another provider, at which nobody answers.
const COUNTY: &str = r#"
[[oidc_provider]]
id = "county"
label = "County sign-in"
issuer = "http://127.0.0.1:1"
client_id = "bailiwick"
trial = true
"#;

fn outcomes(stage: &Stage) -> Vec<String> {
    let tried = stage.newest(200).into_iter().filter_map(|event| match event {
        Event::ProviderTried { idp, by, outcome, .. } => Some(format!("{idp} {by} {outcome}")),
        _ => None,
    });
    tried.collect()
}

fn says(page: &Page, all: &[&str]) {
    for one in all {
        assert!(page.says(one), "{one}: {}", page.text());
    }
}

/// From now on whoever signs in at the provider is this person, whom it does not know yet.
fn somebody_else(stage: &Stage, browser: &mut Browser, sub: &str, acr: &str) {
    for name in ["_session", "_session.sig", "_session.legacy", "_session.legacy.sig"] {
        browser.jar.replace("127.0.0.1", name, None);
    }
    stage.person(sub, acr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_tried_and_what_came_is_told_and_nobody_is_let_in() {
    let Some(stage) =
        Stage::with(&COUNTY.replace("client_id", "acr_values = [\"mfa\"]\nclient_id")).await
    else {
        return;
    };
    stage.person_as("voss", MFA, "administrator");
    let mut voss = Browser::new("voss");
    stage.enter(&mut voss).await;
    let page = stage.open(&mut voss, "/identity/oidc/riverton").await;
    says(&page, &["not tried", "people sign in through it"]);
    let page = stage.open(&mut voss, "/identity/oidc/riverton/try").await;
    assert_eq!(page.status, 403, "without a step-up: {}", page.text());
    let page = stage.open(&mut voss, "/step-up?next=/identity/oidc/riverton").await;
    assert_eq!(page.address.path(), "/identity/oidc/riverton", "{}", page.text());

    somebody_else(&stage, &mut voss, "ruiz", MFA);
    let page = stage.open(&mut voss, "/identity/oidc/riverton/try").await;
    assert_eq!(page.address.path(), "/identity/oidc/riverton", "{}", page.text());
    says(&page, &["tried, accepted", "ruiz", "D. Ruiz", "detective", MFA]);
    assert_eq!(outcomes(&stage), ["riverton riverton|voss accepted"]);
    somebody_else(&stage, &mut voss, "ruiz", "urn:one-factor");
    let page = stage.open(&mut voss, "/identity/oidc/riverton/try").await;
    says(&page, &["tried, refused", "oidc.mfa.missing"]);
    assert_eq!(outcomes(&stage)[0], "riverton riverton|voss oidc.mfa.missing");
    let made = stage.newest(200).into_iter().any(
        |event| matches!(event, Event::AccountCreated { account, .. } if account.contains("ruiz")),
    );
    assert!(!made, "nobody was let in");
    let me = stage.open(&mut voss, "/me").await;
    assert!(me.status == 200 && me.says("administrator"), "{}", me.text());

    // One that is only tried lets nobody in, and is not offered.
    let list = stage.open(&mut voss, "/identity/providers").await;
    says(&list, &["County sign-in", "on trial"]);
    assert!(!get(&format!("{}/sign-in", stage.base)).await.says("County"));
    assert_eq!(get(&format!("{}/sign-in/county", stage.base)).await.status, 404);
    let page = stage.open(&mut voss, "/identity/oidc/county/try").await;
    assert_eq!(page.status, 400, "{}", page.text());
    says(&page, &["The trial could not begin"]);
    assert_eq!(stage.open(&mut voss, "/identity/oidc/nobody").await.status, 404);
    stage.server.stop().await;
}
