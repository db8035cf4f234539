//! Quarantine in a real browser, with a real ClamAV: what waits for it, what it found, what is past its time, and
//! files that a person brought.
#![expect(clippy::unwrap_used, reason = "a test's helper fails as the test does")]

#[expect(dead_code, reason = "the whole story uses the rest")]
#[path = "support/demo.rs"]
mod stage;

use std::path::PathBuf;

use stage::{Demo, demo_in, picture, prove, sign_in};
use testkit::{Clamd, zip_of};
use ui_tests::{Browser, Page};

const STREAM_BYTES_MAX: u64 = 1 << 20;

/// Lakeside's law: nobody keeps evidence of others, so that it is past its time when it comes.
const RULES: &str = r#"
ours = "Lakeside County"

[[rule]]
id = "no-evidence-of-others"
jurisdiction = "Lakeside County"
citation = "County Code 8.9 (made up)"
record_class = "INCIDENT"
keep_days_max = 0
"#;

/// A page's whole length, for people to look at.
async fn look(page: &Page, name: &str) {
    picture(page, name).await;
    page.audit().await.unwrap();
}

async fn take_in(page: &Page, demo: &Demo, name: &str, files: &[(&str, &[u8])]) {
    let path: PathBuf = demo.file(name);
    std::fs::write(&path, zip_of(files)).unwrap();
    page.goto(&format!("{}/take-in", demo.lakeside)).await.unwrap();
    page.fill("Who brought it", "The corner shop, 12 Mill Road").await.unwrap();
    page.fill("By what right it is taken in", "Consent of its owner").await.unwrap();
    page.fill("Class of records", "EVIDENCE").await.unwrap();
    page.fill("Case number", "24-000113").await.unwrap();
    page.choose("The ZIP file", &[path]).await.unwrap();
    look(page, "take-in").await;
    page.follow("Take it in").await.unwrap();
    page.wait_for("How it was taken in").await.unwrap();
}

/// Loads a page until it says so.
async fn reload_until(page: &Page, url: &str, text: &str) {
    let says = format!("document.body.innerText.includes({text:?})");
    for _ in 0..200 {
        page.goto(url).await.unwrap();
        if page.ask::<bool>(&says).await.unwrap() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let there = page.text().await.unwrap();
    assert!(there.contains(text), "{url} does not say {text}: {there}");
}

/// The findings of a mixed bag, and what of it can be opened.
async fn look_at_what_was_found(pell: &Page, demo: &Demo) {
    let large = vec![7; 2 << 20];
    let files: [(&str, &[u8]); 3] = [
        ("camera/large.bin", &large),
        ("mail/invoice.txt", &Clamd::eicar()),
        ("note.txt", b"Seen at the door\n"),
    ];
    take_in(pell, demo, "mixed.zip", &files).await;
    let mixed = pell.url().await.unwrap();
    reload_until(pell, &mixed, "1 file is infected").await;
    pell.wait_for("1 file was not fully scanned").await.unwrap();
    look(pell, "quarantine-found").await;
    pell.click("Accept it").await.unwrap();
    pell.wait_for("What was decided here").await.unwrap();
    pell.follow("Open the parcel").await.unwrap();
    pell.wait_for("What it is for").await.unwrap();
    look(pell, "quarantine-files").await;
    pell.follow("Pass on note.txt").await.unwrap();
    pell.wait_for("the terms under which it came").await.unwrap();
    look(pell, "pass-on").await;
    pell.fill("Why it is passed on", "The same shop was robbed before").await.unwrap();
    pell.fill("Who there asked for it", "Det. E. Ruiz").await.unwrap();
    pell.follow("Show what would leave").await.unwrap();
    pell.wait_for("The agreement, clause by clause").await.unwrap();
    look(pell, "pass-on-preview").await;
}

/// Riverton sends a case; Lakeside's law lets nobody keep it.
async fn send_a_case(ruiz: &Page, okafor: &Page, base: &str) {
    ruiz.goto(&format!("{base}/step-up?next=/tools/case-file")).await.unwrap();
    prove(ruiz, "Elena Ruiz", "Riverton").await;
    ruiz.goto(&format!("{base}/tools/case-file")).await.unwrap();
    ruiz.fill("Case number", "24-000113").await.unwrap();
    ruiz.fill("Purpose code", "C").await.unwrap();
    ruiz.click("Open the case").await.unwrap();
    ruiz.wait_for("SHA-256").await.unwrap();
    ruiz.click("Export to a partner").await.unwrap();
    ruiz.wait_for("Why the partner needs it").await.unwrap();
    ruiz.fill("Why the partner needs it", "Joint burglary investigation").await.unwrap();
    ruiz.follow("Show what would leave").await.unwrap();
    ruiz.wait_for("Ask for it").await.unwrap();
    ruiz.click("Ask for approval").await.unwrap();
    ruiz.wait_for("Somebody else has to approve it").await.unwrap();
    let export = ruiz.url().await.unwrap();
    okafor.goto(&export).await.unwrap();
    okafor.follow("Confirm my identity first").await.unwrap();
    prove(okafor, "Ngozi Okafor", "Riverton").await;
    okafor.goto(&export).await.unwrap();
    okafor.click("Approve").await.unwrap();
    okafor.wait_js("document.querySelector('[data-status=acknowledged]') !== null").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_waits_for_the_scanner_and_its_page_says_how_it_stands() {
    let Some(browser) = Browser::launch().await.unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let sharing = folder.path().join("lakeside/sharing");
    std::fs::create_dir_all(&sharing).unwrap();
    std::fs::write(sharing.join("jurisdictions.toml"), RULES).unwrap();
    let port = testkit::free_port().unwrap();
    let demo = demo_in(folder, &["--scanner", &format!("127.0.0.1:{port}")]).await;
    let incoming = format!("{}/incoming", demo.lakeside);

    // The scanner is away.
    let pell = sign_in(&browser, &demo.lakeside, "Jonah Pell", "Lakeside").await;
    take_in(&pell, &demo, "note.zip", &[("note.txt", b"Seen at the door\n")]).await;
    let waits = pell.url().await.unwrap();
    reload_until(&pell, &waits, "it could not be scanned").await;
    pell.wait_for("It can't be accepted before it was scanned.").await.unwrap();
    look(&pell, "quarantine-waits").await;
    pell.goto(&incoming).await.unwrap();
    look(&pell, "quarantine-list").await;

    let Some(_clamd) = Clamd::start_at(port, STREAM_BYTES_MAX).await.unwrap() else { return };
    look_at_what_was_found(&pell, &demo).await;

    let ruiz = sign_in(&browser, &demo.riverton, "Elena Ruiz", "Riverton").await;
    let okafor = sign_in(&browser, &demo.riverton, "Ngozi Okafor", "Riverton").await;
    send_a_case(&ruiz, &okafor, &demo.riverton).await;
    pell.goto(&incoming).await.unwrap();
    pell.follow("from NB0010100").await.unwrap();
    pell.wait_for("The parcel is past its time").await.unwrap();
    look(&pell, "quarantine-past-its-time").await;
    let past = pell.url().await.unwrap();
    reload_until(&pell, &past, "Malware scan").await;

    take_in(&pell, &demo, "clean.zip", &[("note.txt", b"Seen at the door\n")]).await;
    let clean = pell.url().await.unwrap();
    reload_until(&pell, &clean, "Called clean").await;
    look(&pell, "quarantine-clean").await;
    browser.close().await.unwrap();
}
