//! Redacted copies in a real browser: added to a document, accepted, chosen in an export, seen by whoever gets it.
#![expect(clippy::unwrap_used, reason = "a test's helper fails as the test does")]

#[expect(dead_code, reason = "the whole story uses the rest")]
#[path = "support/demo.rs"]
mod stage;

use std::path::PathBuf;

use stage::{Demo, demo, picture, prove, sign_in};
use ui_tests::{Browser, Page};

const COPY: &[u8] = b"%PDF-1.7\nwithout the child's name\n%%EOF\n";

/// A page as it is on a desk and on a telephone.
async fn look(page: &Page, name: &str) {
    picture(page, name).await;
    page.audit().await.unwrap();
    page.resize(400, 800).await.unwrap();
    page.screenshot(&format!("{name}-400")).await.unwrap();
    page.resize(1366, 768).await.unwrap();
}

async fn open_case(page: &Page, base: &str) {
    page.goto(&format!("{base}/step-up?next=/tools/case-file")).await.unwrap();
    prove(page, "Elena Ruiz", "Riverton").await;
    page.goto(&format!("{base}/tools/case-file")).await.unwrap();
    page.fill("Case number", "24-000113").await.unwrap();
    page.fill("Purpose code", "C").await.unwrap();
    page.click("Open the case").await.unwrap();
    page.wait_for("SHA-256").await.unwrap();
}

/// A document's page, and what is known of copies of it.
async fn copies_page(page: &Page) {
    let first = "document.querySelector('a[href*=\"/evidence/\"]').href";
    let document: String = page.ask(first).await.unwrap();
    page.goto(&document).await.unwrap();
    look(page, "redact-document").await;
    page.follow("Redacted copies of it").await.unwrap();
    page.wait_for("Add a redacted copy").await.unwrap();
}

async fn add(page: &Page, demo: &Demo, (name, bytes): (&str, &[u8])) {
    let file: PathBuf = demo.file(name);
    std::fs::write(&file, bytes).unwrap();
    page.fill("What was redacted", "A child’s name and face").await.unwrap();
    page.fill("Why", "Juvenile, WIC 827").await.unwrap();
    page.choose("The redacted copy", &[file]).await.unwrap();
    look(page, "redact-form").await;
    page.follow("Add the copy").await.unwrap();
}

async fn approve(okafor: &Page, export: &str) {
    okafor.goto(export).await.unwrap();
    okafor.follow("Confirm my identity first").await.unwrap();
    prove(okafor, "Ngozi Okafor", "Riverton").await;
    okafor.goto(export).await.unwrap();
    look(okafor, "redact-approval").await;
    okafor.click("Approve").await.unwrap();
    okafor.wait_js("document.querySelector('[data-status=acknowledged]') !== null").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redacted_copy_is_added_accepted_chosen_and_seen_by_the_partner() {
    let Some(browser) = Browser::launch().await.unwrap() else { return };
    let demo = demo().await;
    let ruiz = sign_in(&browser, &demo.riverton, "Elena Ruiz", "Riverton").await;
    open_case(&ruiz, &demo.riverton).await;
    copies_page(&ruiz).await;
    add(&ruiz, &demo, ("statement.pdf", b"\x89PNG\r\n\x1a\n and no picture")).await;
    ruiz.wait_for("Nothing was taken: look at what the file is").await.unwrap();
    look(&ruiz, "redact-odd").await;
    add(&ruiz, &demo, ("statement.pdf", COPY)).await;
    ruiz.wait_for("A redacted copy").await.unwrap();
    look(&ruiz, "redact-taken").await;

    let parcel = ruiz.url().await.unwrap();
    let okafor = sign_in(&browser, &demo.riverton, "Ngozi Okafor", "Riverton").await;
    okafor.goto(&parcel).await.unwrap();
    okafor.click("Accept it").await.unwrap();
    okafor.wait_for("What was decided here").await.unwrap();
    look(&okafor, "redact-accepted").await;

    open_case(&ruiz, &demo.riverton).await;
    ruiz.click("Export to a partner").await.unwrap();
    ruiz.wait_for("Why the partner needs it").await.unwrap();
    ruiz.fill("Why the partner needs it", "Joint burglary investigation").await.unwrap();
    ruiz.follow("Show what would leave").await.unwrap();
    ruiz.wait_for("Ask for it").await.unwrap();
    ruiz.fill("What leaves of evidence/", "The redacted copy").await.unwrap();
    look(&ruiz, "redact-choice").await;
    ruiz.click("Ask for approval").await.unwrap();
    ruiz.wait_for("Somebody else has to approve it").await.unwrap();
    look(&ruiz, "redact-export").await;
    approve(&okafor, &ruiz.url().await.unwrap()).await;

    let pell = sign_in(&browser, &demo.lakeside, "Jonah Pell", "Lakeside").await;
    pell.goto(&format!("{}/incoming", demo.lakeside)).await.unwrap();
    pell.follow("from NB0010100").await.unwrap();
    pell.click("Accept it").await.unwrap();
    pell.wait_for("What was decided here").await.unwrap();
    pell.follow("Open the parcel").await.unwrap();
    pell.wait_for("Redacted copy of a file that is not in this parcel").await.unwrap();
    look(&pell, "redact-received").await;
    browser.close().await.unwrap();
}
