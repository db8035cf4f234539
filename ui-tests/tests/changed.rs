//! Records that change under an export, in a real browser: what is shown again, and what is not sealed.
#![expect(clippy::unwrap_used, reason = "a test's helper fails as the test does")]

#[path = "support/demo.rs"]
#[expect(dead_code, reason = "refusals are looked at elsewhere")]
mod stage;

use rusqlite::Connection;
use stage::{Demo, demo, picture, prove, sign_in};
use ui_tests::{Browser, Page};

/// One person of the case lives elsewhere now.
fn move_somebody(demo: &Demo, to: &str) {
    let records = Connection::open(demo.file("riverton/sources/records.db")).unwrap();
    let one = "select min(person_id) from incident_persons p join incidents i on i.id = p.incident_id \
               where i.case_number = '24-000113'";
    let change = format!("update persons set city = '{to}' where id = ({one})");
    assert_eq!(records.execute(&change, []).unwrap(), 1);
}

async fn preview(page: &Page, base: &str) {
    page.goto(&format!("{base}/step-up?next=/tools/case-file")).await.unwrap();
    prove(page, "Elena Ruiz", "Riverton").await;
    page.goto(&format!("{base}/tools/case-file")).await.unwrap();
    page.fill("Case number", "24-000113").await.unwrap();
    page.fill("Purpose code", "C").await.unwrap();
    page.click("Open the case").await.unwrap();
    page.wait_for("SHA-256").await.unwrap();
    page.click("Export to a partner").await.unwrap();
    page.wait_for("Why the partner needs it").await.unwrap();
    page.fill("Why the partner needs it", "Joint burglary investigation").await.unwrap();
    page.follow("Show what would leave").await.unwrap();
    page.wait_for("The agreement, clause by clause").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_shown_before_it_is_asked_for_and_is_not_sealed_afterwards() {
    let Some(browser) = Browser::launch().await.unwrap() else { return };
    let demo = demo().await;
    let base = &demo.riverton;
    let ruiz = sign_in(&browser, base, "Elena Ruiz", "Riverton").await;
    preview(&ruiz, base).await;
    move_somebody(&demo, "Elsewhere");
    ruiz.click("Ask for approval").await.unwrap();
    ruiz.wait_for("Nothing was asked for: look at it as it is now").await.unwrap();
    ruiz.wait_for("Elsewhere").await.unwrap();
    picture(&ruiz, "export-changed-before").await;
    ruiz.audit().await.unwrap();
    ruiz.click("Ask for approval").await.unwrap();
    ruiz.wait_for("Somebody else has to approve it").await.unwrap();
    let export = ruiz.url().await.unwrap();

    move_somebody(&demo, "Nowhere");
    let okafor = sign_in(&browser, base, "Ngozi Okafor", "Riverton").await;
    okafor.goto(&export).await.unwrap();
    okafor.follow("Confirm my identity first").await.unwrap();
    prove(&okafor, "Ngozi Okafor", "Riverton").await;
    okafor.goto(&export).await.unwrap();
    okafor.click("Approve").await.unwrap();
    okafor.wait_js("document.querySelector('[data-status=failed]') !== null").await.unwrap();
    ruiz.goto(&export).await.unwrap();
    ruiz.wait_for("persons: 1 row altered").await.unwrap();
    picture(&ruiz, "export-changed-after").await;
    ruiz.audit().await.unwrap();
    ruiz.follow("Show what would leave now").await.unwrap();
    ruiz.wait_for("Nowhere").await.unwrap();
    ruiz.click("Ask for approval").await.unwrap();
    ruiz.wait_for("Somebody else has to approve it").await.unwrap();
    browser.close().await.unwrap();
}
