//! Logout that the provider's server tells us of.

use demo::story::client::{Browser, Raw};
use ledger::Event;

use crate::stage::{Stage, get};

#[tokio::test]
async fn who_signs_out_at_the_provider_is_out_here_too() {
    let Some(stage) = Stage::new().await else { return };
    let mut browser = Browser::new("ruiz");
    stage.enter(&mut browser).await;
    let mut other = Browser::new("ruiz-at-home");
    stage.enter(&mut other).await;

    let end = format!("{}/session/end?client_id=bailiwick", stage.provider.issuer);
    let page = browser.open(&end).await.unwrap();
    let form = page.form("op.logoutForm").unwrap();
    let form = form.forge("logout", "yes");
    browser.submit(&page, &form).await.unwrap();
    stage.wait_for("told of a logout").await;
    let after = stage.open(&mut browser, "/me").await;
    assert_eq!(after.status, 401, "{}", after.text());
    let newest = stage.newest(5);
    let ended = |event: &Event| matches!(event, Event::SessionsEnded { reason, .. } if reason == "back-channel-logout");
    assert!(newest.iter().any(ended), "{newest:?}");
    // It was one session of the provider's; the other browser had another.
    let at_home = stage.open(&mut other, "/me").await;
    assert_eq!(at_home.status, 200, "{}", at_home.text());
}

#[tokio::test]
async fn what_is_no_logout_token_is_refused_on_record() {
    let Some(stage) = Stage::new().await else { return };
    let base = stage.server.pages;
    let post = async |provider: &str, fields: &[(String, String)]| {
        let raw = Raw::post(&format!("http://{base}/oidc/logout/{provider}"), fields).unwrap();
        Browser::new("mallory").raw(raw).await.unwrap()
    };
    let token = |text: &str| ("logout_token".to_owned(), text.to_owned());
    for fields in [vec![], vec![token("a.b.c")], vec![token("a"), token("b")]] {
        let answer = post("riverton", &fields).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let Some(Event::SignInRefused { reason, .. }) = stage.newest(1).pop() else { panic!() };
        assert_eq!(reason, "bcl.malformed");
    }
    assert_eq!(post("nobody", &[token("a.b.c")]).await.status, 404);
    assert_eq!(get(&format!("http://{base}/oidc/logout/riverton")).await.status, 405);
}
