//! The pages around signing in, each held to what holds for every page, and the way in and out by keyboard alone.
#![expect(clippy::unwrap_used, reason = "a test's helper fails as the test does")]

#[path = "support/demo.rs"]
#[expect(dead_code, reason = "the story uses the rest")]
mod stage;

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use stage::{audit_refusal, demo, picture, prove, sign_in};
use testkit::Process;
use tokio::process::Command;
use ui_tests::{Browser, Page};

/// Presses Tab until what has the focus is called so.
async fn tab_to(page: &Page, name: &str) {
    let mut passed = Vec::new();
    for _ in 0..80 {
        page.press("Tab").await.unwrap();
        let focused = page.focused().await.unwrap();
        if focused.starts_with(name) {
            return;
        }
        passed.push(focused);
    }
    assert!(passed.is_empty(), "Tab does not come to `{name}`, only to {passed:?}");
}

/// Goes to what is called so and presses Enter, which leads to another page.
async fn enter(page: &Page, name: &str) {
    tab_to(page, name).await;
    page.ask::<bool>("window.before = true").await.unwrap();
    page.press("Enter").await.unwrap();
    page.wait_js("!window.before").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_signs_in_and_out() {
    let Some(browser) = Browser::launch().await.unwrap() else { return };
    let demo = demo().await;
    let base = &demo.riverton;
    for scripts in [true, false] {
        let page = browser.person().await.unwrap();
        page.scripts(scripts).await.unwrap();
        page.goto(&format!("{base}/sign-in")).await.unwrap();
        enter(&page, "Demo sign-in").await;
        page.wait_for("Who are you?").await.unwrap();
        enter(&page, "Elena Ruiz").await;
        page.wait_for("Second factor").await.unwrap();
        enter(&page, "Approve").await;
        enter(&page, "Continue to Riverton").await;
        page.wait_for("System-use notice").await.unwrap();
        enter(&page, "I understand and accept").await;
        page.wait_for("Yourself").await.unwrap();
        tab_to(&page, "Elena Ruiz").await;
        page.press("Enter").await.unwrap();
        enter(&page, "Sign out").await;
        page.wait_for("You are signed out").await.unwrap();
        if scripts {
            picture(&page, "signed-out").await;
            page.audit().await.unwrap();
        }
        page.goto(&format!("{base}/me")).await.unwrap();
        assert!(page.url().await.unwrap().ends_with("/sign-in"), "the session is over");
    }
    browser.close().await.unwrap();
}

/// Providers with names as long as agencies have them.
const NAMES: [&str; 4] = [
    "Riverton Police Department, sworn staff and records division (smart card)",
    "Lakeside County Sheriff",
    "Statewide Criminal Justice Information Services Identity Federation for Task Forces and Guests",
    "Emergency",
];

/// A page that stands for every provider, and says which was asked.
async fn landing() -> String {
    let page = |of: axum::extract::Path<String>| async move {
        Html(format!(
            "<!doctype html><html lang=en><head><meta charset=utf-8><title>Provider</title>\
             <link rel=icon href=data:,></head><body><h1>Provider {}</h1></body></html>",
            of.0
        ))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/sso/{which}", get(page));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/sso")
}

/// A server with all of them, in a folder; gives its address.
async fn several(folder: &Path) -> (Process, String) {
    let sso = landing().await;
    let template = testkit::root().join("fuzz/targets/messages/metadata.xml");
    let template = std::fs::read_to_string(template).unwrap();
    let base = format!("http://127.0.0.1:{}", testkit::free_port().unwrap());
    let mut text = format!(
        "[agency]\nname = \"Riverton Police Department\"\nori = \"NB0010100\"\n[listen]\n\
         pages = \"{}\"\npublic_url = \"{base}\"\n[data]\nfolder = \"data\"\n\
         master_key = \"master.key\"\n[ledger]\norigin = \"ledger.riverton.example\"\n",
        base.trim_start_matches("http://")
    );
    for (number, name) in NAMES.iter().enumerate() {
        let metadata = template
            .replace("https://idp.riverton.example/metadata", &format!("urn:idp:{number}"))
            .replace("https://idp.riverton.example/sso", &format!("{sso}/{number}"));
        std::fs::write(folder.join(format!("idp-{number}.xml")), metadata).unwrap();
        text.push_str(&format!(
            "[[identity_provider]]\nid = \"idp-{number}\"\nlabel = \"{name}\"\n\
             metadata = \"idp-{number}.xml\"\nmfa_contexts = [\"https://refeds.org/profile/mfa\"]\n"
        ));
    }
    std::fs::write(folder.join("bailiwick.toml"), text).unwrap();
    let mut key = Command::new(testkit::bailiwick().unwrap());
    key.args(["keys", "master", "--out"]).arg(folder.join("master.key"));
    assert!(key.status().await.unwrap().success());
    let mut serve = Command::new(testkit::bailiwick().unwrap());
    serve.args(["serve", "--config"]).arg(folder.join("bailiwick.toml"));
    let process = Process::start(serve).unwrap();
    let port = base.rsplit(':').next().unwrap().to_owned();
    process.line(&port, Duration::from_secs(60)).await.unwrap();
    (process, base)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_several_providers_chooses_by_keyboard_also_on_a_narrow_screen() {
    let Some(browser) = Browser::launch().await.unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (_server, base) = several(folder.path()).await;
    let page = browser.person().await.unwrap();
    page.goto(&format!("{base}/sign-in")).await.unwrap();
    page.audit().await.unwrap();
    picture(&page, "sign-in-several").await;
    page.resize(320, 800).await.unwrap();
    page.screenshot("sign-in-several-320").await.unwrap();
    page.resize(1366, 768).await.unwrap();
    for (number, name) in NAMES.iter().enumerate() {
        page.goto(&format!("{base}/sign-in")).await.unwrap();
        enter(&page, name).await;
        page.wait_for(&format!("Provider {number}")).await.unwrap();
    }
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_log_out_is_explained_to_an_administrator_by_its_entry() {
    let Some(browser) = Browser::launch().await.unwrap() else { return };
    let demo = demo().await;
    let base = &demo.riverton;
    let page = browser.person().await.unwrap();
    page.goto(&format!("{base}/saml/slo?SAMLRequest=x")).await.unwrap();
    page.wait_for("The log-out message was refused").await.unwrap();
    picture(&page, "log-out-refused").await;
    audit_refusal(&page, "403").await;
    let entry: String =
        page.ask("document.querySelector('[data-entry]').dataset.entry").await.unwrap();
    page.goto(&format!("{base}/sign-in/nobody")).await.unwrap();
    audit_refusal(&page, "404").await;

    let voss = sign_in(&browser, base, "Petra Voss", "Riverton").await;
    voss.goto(&format!("{base}/refusals")).await.unwrap();
    voss.audit().await.unwrap();
    tab_to(&voss, "Ledger entry").await;
    for digit in entry.chars() {
        voss.press(&digit.to_string()).await.unwrap();
    }
    enter(&voss, "Explain").await;
    voss.wait_for("What to do").await.unwrap();
    picture(&voss, "refusals").await;
    voss.audit().await.unwrap();
    voss.goto(&format!("{base}/refusals?entry=1")).await.unwrap();
    voss.wait_for("This entry is no refusal").await.unwrap();
    voss.audit().await.unwrap();
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_set_up_and_tried_by_the_wizard() {
    let Some(browser) = Browser::launch().await.unwrap() else { return };
    let demo = demo().await;
    let base = &demo.riverton;
    let voss = sign_in(&browser, base, "Petra Voss", "Riverton").await;
    voss.goto(&format!("{base}/identity/providers")).await.unwrap();
    voss.wait_for("Switched on").await.unwrap();
    picture(&voss, "providers").await;
    voss.audit().await.unwrap();
    for guide in ["entra", "okta", "adfs", "keycloak", "simplesamlphp", "oidc"] {
        voss.goto(&format!("{base}/identity/guides/{guide}")).await.unwrap();
        voss.wait_for("What it needs to know of us").await.unwrap();
        voss.audit().await.unwrap();
    }
    voss.goto(&format!("{base}/identity/guides/entra")).await.unwrap();
    voss.screenshot_whole("guide-entra").await.unwrap();
    voss.goto(&format!("{base}/identity/guides/other")).await.unwrap();
    voss.click("Copy Entity ID").await.unwrap();
    voss.wait_js("document.getElementById('live').textContent.length > 0").await.unwrap();
    voss.follow("Confirm my identity").await.unwrap();
    prove(&voss, "Petra Voss", "Riverton").await;
    voss.wait_for("Its metadata").await.unwrap();
    voss.choose("Metadata file", &[demo.file("riverton/idp-metadata.xml")]).await.unwrap();
    voss.follow("Look at it").await.unwrap();
    voss.wait_for("What its metadata says").await.unwrap();
    voss.wait_for("has the same entity ID").await.unwrap();
    voss.audit().await.unwrap();
    voss.fill("Id", "county").await.unwrap();
    voss.fill("Name on the sign-in page", "County sign-in").await.unwrap();
    voss.follow("Keep these settings").await.unwrap();
    voss.wait_for("id = \"county\"").await.unwrap();
    voss.follow("Sign in at ").await.unwrap();
    prove(&voss, "Petra Voss", "Riverton").await;
    voss.wait_for("tried, accepted").await.unwrap();
    voss.wait_for("administrator").await.unwrap();
    voss.screenshot_whole("provider-tried").await.unwrap();
    voss.audit().await.unwrap();
    voss.resize(320, 800).await.unwrap();
    voss.screenshot_whole("provider-tried-320").await.unwrap();
    voss.resize(1366, 768).await.unwrap();

    // Without script: the same, and values can be selected.
    voss.scripts(false).await.unwrap();
    voss.goto(&format!("{base}/identity/guides/okta")).await.unwrap();
    voss.choose("Metadata file", &[demo.file("riverton/idp-metadata.xml")]).await.unwrap();
    voss.follow("Look at it").await.unwrap();
    voss.wait_for("What its metadata says").await.unwrap();
    voss.follow("Discard this draft").await.unwrap();
    voss.wait_for("Switched on").await.unwrap();
    browser.close().await.unwrap();
}
