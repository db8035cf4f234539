//! Whoever is put out is out at once, by the paths that OpenID Connect and its events have: what streams and what
//! is being downloaded stops in under a second.

use std::time::Instant;

use demo::story::client::Browser;
use ledger::{Event, Search};

use crate::download::{UnderWay, cookie_of};
use crate::film;
use crate::signals::{BEARER, KIND, REVOKED, push, ruiz, token};
use crate::stage::Stage;

/// What the person of this browser has under way.
async fn under_way(stage: &Stage, browser: &mut Browser) -> UnderWay {
    let page = stage.open(browser, film::TOOL).await;
    let form = page.form(&format!("{}/runs", film::TOOL)).unwrap().set("purpose", "C").unwrap();
    let answer = browser.submit(&page, &form).await.unwrap();
    let viewer = browser.go(&answer, &film::viewer(&answer)).await.unwrap();
    let cookie = cookie_of(browser, &stage.base);
    UnderWay::begin(&stage.base, &cookie, &film::film(&viewer)).await
}

/// When a log-out was told to us, as the ledger has it: what came before was the provider's own time.
fn told(stage: &Stage, wanted: &str) -> Instant {
    let page = stage.server.agency.ledger.search(&Search::newest(20)).unwrap();
    let is =
        |event: &Event| matches!(event, Event::SessionsEnded { reason, .. } if reason == wanted);
    let entry = page.entries.iter().find(|entry| is(&entry.record.event)).unwrap();
    let since = stage.server.agency.now().duration_since(entry.at);
    Instant::now() - since.unsigned_abs()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_providers_back_channel_stops_the_bytes() {
    let Some(stage) = Stage::new().await else { return };
    let mut browser = Browser::new("ruiz");
    stage.enter(&mut browser).await;
    let running = under_way(&stage, &mut browser).await;
    let end = format!("{}/session/end?client_id=bailiwick", stage.provider.issuer);
    let page = browser.open(&end).await.unwrap();
    let form = page.form("op.logoutForm").unwrap().forge("logout", "yes");
    browser.submit(&page, &form).await.unwrap();
    stage.wait_for("told of a logout").await;
    running.stopped(told(&stage, "back-channel-logout"), "oidc-provider's logout token").await;
    assert_eq!(stage.open(&mut browser, "/me").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_event_stops_the_bytes() {
    let Some(stage) = crate::signals::stage().await else { return };
    let mut browser = Browser::new("ruiz");
    stage.enter(&mut browser).await;
    let running = under_way(&stage, &mut browser).await;
    let sent = token(&stage, "stop", REVOKED, &ruiz(&stage));
    let told = Instant::now();
    assert_eq!(push(&stage, &sent, BEARER, KIND).await.status, 202);
    running.stopped(told, "a pushed session-revoked (CAEP)").await;
    assert_eq!(stage.open(&mut browser, "/me").await.status, 401);
}
