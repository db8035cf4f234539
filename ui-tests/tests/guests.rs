//! A guest's story in a real browser: sealed for an agency without Bailiwick, invited, fetched, opened with that
//! agency's own key, and closed to them again.
#![expect(clippy::unwrap_used, reason = "a test's helper fails as the test does")]

#[path = "support/demo.rs"]
mod stage;

use std::path::Path;

use stage::{Demo, audit_refusal, demo, picture, prove, sign_in};
use ui_tests::{Browser, Page};

const GUEST: &str = "Linh Tran";
const AGREEMENT: &str = "riverton-millbrook-2026";

async fn open_case(page: &Page, base: &str) {
    page.goto(&format!("{base}/tools/case-file")).await.unwrap();
    page.fill("Case number", "24-000113").await.unwrap();
    page.fill("Purpose code", "C").await.unwrap();
    page.click("Open the case").await.unwrap();
    page.wait_for("SHA-256").await.unwrap();
    page.click("Export to a partner").await.unwrap();
}

/// Ruiz asks and Okafor approves; it waits in the portal then.
async fn seal_for_a_guest(browser: &Browser, base: &str) {
    let ruiz = sign_in(browser, base, "Elena Ruiz", "Riverton").await;
    open_case(&ruiz, base).await;
    ruiz.wait_for("First confirm that it is you").await.unwrap();
    ruiz.follow("Confirm my identity").await.unwrap();
    prove(&ruiz, "Elena Ruiz", "Riverton").await;
    open_case(&ruiz, base).await;
    ruiz.wait_for("Why the partner needs it").await.unwrap();
    ruiz.fill("Partner and agreement", AGREEMENT).await.unwrap();
    ruiz.fill("Why the partner needs it", "Same method of entry in their town").await.unwrap();
    ruiz.follow("Show what would leave").await.unwrap();
    ruiz.wait_for("kept here, for guests").await.unwrap();
    ruiz.audit().await.unwrap();
    ruiz.click("Ask for approval").await.unwrap();
    ruiz.wait_for("Somebody else has to approve it").await.unwrap();
    let export = ruiz.url().await.unwrap();

    let okafor = sign_in(browser, base, "Ngozi Okafor", "Riverton").await;
    okafor.goto(&export).await.unwrap();
    okafor.follow("Confirm my identity first").await.unwrap();
    prove(&okafor, "Ngozi Okafor", "Riverton").await;
    okafor.goto(&export).await.unwrap();
    okafor.click("Approve").await.unwrap();
    let done = "document.querySelector('[data-status=delivered]') !== null";
    okafor.wait_js(done).await.unwrap();
}

/// The guest, through their own agency's provider; nothing is there for them yet.
async fn come_as_a_guest(browser: &Browser, base: &str, guests: &str) -> Page {
    let page = browser.person().await.unwrap();
    page.goto(&format!("{base}/sign-in/millbrook")).await.unwrap();
    audit_refusal(&page, "403").await;
    picture(&page, "guest-elsewhere").await;
    page.follow("To the guests").await.unwrap();
    page.wait_for("For guests of Riverton").await.unwrap();
    assert!(page.url().await.unwrap().starts_with(guests));
    page.audit().await.unwrap();
    picture(&page, "guest-sign-in").await;
    page.follow("Millbrook Police Department").await.unwrap();
    prove(&page, GUEST, "Riverton").await;
    page.wait_for("System-use notice").await.unwrap();
    page.follow("I understand and accept").await.unwrap();
    page.wait_for("Nothing is here for you now").await.unwrap();
    page.audit().await.unwrap();
    picture(&page, "guest-nothing").await;
    page
}

/// The last day that the form takes is 90 days on.
async fn invite(page: &Page, base: &str) {
    page.goto(&format!("{base}/guests")).await.unwrap();
    page.wait_for("Nobody was invited yet").await.unwrap();
    page.audit().await.unwrap();
    page.follow("Confirm my identity first").await.unwrap();
    prove(page, "Maja Lindqvist", "Riverton").await;
    page.wait_for("Invite a guest").await.unwrap();
    page.audit().await.unwrap();
    let day =
        |days: u32| format!("new Date(Date.now() + {days} * 86400000).toISOString().slice(0, 10)");
    let far = page.ask::<String>(&day(200)).await.unwrap();
    page.fill("Last day", &far).await.unwrap();
    page.click("Invite").await.unwrap();
    page.wait_for("within 90 days").await.unwrap();
    picture(page, "guests-refused-day").await;
    audit_refusal(page, "400").await;
    page.goto(&format!("{base}/guests")).await.unwrap();
    let soon = page.ask::<String>(&day(14)).await.unwrap();
    page.fill("Last day", &soon).await.unwrap();
    picture(page, "guests-invite").await;
    page.follow("Invite").await.unwrap();
    page.wait_for("1 invitation").await.unwrap();
    picture(page, "guests").await;
    page.audit().await.unwrap();
}

/// Gives the address of the parcel's page, and the ZIP file.
async fn fetch(page: &Page, base: &str) -> (String, std::path::PathBuf) {
    page.goto(&format!("{base}/guest")).await.unwrap();
    page.wait_for("1 parcel for you").await.unwrap();
    picture(page, "guest").await;
    page.audit().await.unwrap();
    let first = "document.querySelector('[data-export] a').href";
    let parcel = page.ask::<String>(first).await.unwrap();
    page.goto(&parcel).await.unwrap();
    page.wait_for("Check it and open it").await.unwrap();
    page.screenshot_whole("guest-parcel").await.unwrap();
    page.audit().await.unwrap();
    (parcel, page.download("Fetch the parcel").await.unwrap())
}

/// The origin at which guests come in.
fn guests_url(demo: &Demo) -> String {
    let text = std::fs::read_to_string(demo.file("riverton/bailiwick.toml")).unwrap();
    let (_, rest) = text.split_once("[exchange.guests]").unwrap();
    rest.split('"').nth(1).unwrap().to_owned()
}

/// The key of the guests' page, whose authority no browser knows.
fn key_of(demo: &Demo) -> String {
    use base64::Engine as _;
    let pem = std::fs::read_to_string(demo.file("riverton/keys/guests.pem")).unwrap();
    let certificate = keys::cert::Certificate::from_pem(&pem).unwrap();
    let key = keys::digest::sha256(&certificate.spki_der().unwrap());
    base64::engine::general_purpose::STANDARD.encode(key)
}

/// With the key of the guest's agency, and the certificate that the page gave.
fn open(demo: &Demo, zip: &Path, sender: &Path) {
    let out = demo.file("opened");
    let mut command = std::process::Command::new(testkit::bailiwick().unwrap());
    command.args(["parcel", "open"]).arg(zip).arg("--sender").arg(sender);
    command.arg("--recipient").arg(demo.file("millbrook/keys/recipient.pem"));
    command.arg("--key").arg(demo.file("millbrook/keys/recipient.key"));
    let opened = command.arg("--out").arg(&out).output().unwrap();
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    assert!(std::fs::read_dir(&out).unwrap().count() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_fetches_what_names_them_opens_it_with_their_agencys_key_and_sees_it_no_more_when_it_ends()
 {
    let demo = demo().await;
    let believed = [key_of(&demo)];
    let Some(browser) = Browser::launch_believing(&believed).await.unwrap() else { return };
    let (base, guests) = (demo.riverton.as_str(), guests_url(&demo));
    seal_for_a_guest(&browser, base).await;
    let tran = come_as_a_guest(&browser, base, &guests).await;
    let lindqvist = sign_in(&browser, base, "Maja Lindqvist", "Riverton").await;
    invite(&lindqvist, base).await;

    let (parcel, zip) = fetch(&tran, &guests).await;
    let sender = tran.download("sender.pem").await.unwrap();
    open(&demo, &zip, &sender);
    tran.follow("HOW-TO-OPEN.txt").await.unwrap();
    tran.wait_for("WITHOUT THE PROGRAM").await.unwrap();
    for inner in ["/people", "/audit", "/exports", "/guests"] {
        tran.goto(&format!("{guests}{inner}")).await.unwrap();
        assert_eq!(tran.status(), 404, "{inner}");
    }
    audit_refusal(&tran, "404").await;
    picture(&tran, "guest-refused").await;

    // Whose guest one is says nothing to another agency.
    tran.goto(&format!("{}/sign-in", demo.lakeside)).await.unwrap();
    assert!(!tran.text().await.unwrap().contains("Millbrook"));

    lindqvist.goto(&format!("{base}/guests")).await.unwrap();
    lindqvist.fill("Why it ends", "Fetched").await.unwrap();
    lindqvist.follow("End it").await.unwrap();
    lindqvist.wait_for("ended").await.unwrap();
    picture(&lindqvist, "guests-ended").await;
    lindqvist.audit().await.unwrap();
    tran.goto(&parcel).await.unwrap();
    assert_eq!(tran.status(), 404);
    audit_refusal(&tran, "404").await;
    tran.goto(&format!("{guests}/guest")).await.unwrap();
    tran.wait_for("Nothing is here for you now").await.unwrap();
    browser.close().await.unwrap();
}
