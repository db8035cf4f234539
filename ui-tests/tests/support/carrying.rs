//! An export that somebody carries: chosen on the form, seen by whoever approves it, laid down, and its label sheet; and where guests
//! are invited who fetch one.

use ui_tests::Page;

use super::open_case;
use super::stage::picture;

/// Ruiz asks and Okafor approves; both have proved who they are a moment ago.
pub(crate) async fn carry_on_a_medium(ruiz: &Page, okafor: &Page, base: &str) {
    open_case(ruiz, base).await;
    ruiz.click("Export to a partner").await.unwrap();
    ruiz.wait_for("Why the partner needs it").await.unwrap();
    ruiz.fill("Why the partner needs it", "Joint burglary investigation").await.unwrap();
    ruiz.follow("Show what would leave").await.unwrap();
    ruiz.wait_for("How it goes there").await.unwrap();
    ruiz.fill("How it goes there", "usb").await.unwrap();
    picture(ruiz, "export-ways").await;
    ruiz.audit().await.unwrap();
    ruiz.click("Ask for approval").await.unwrap();
    ruiz.wait_for("Somebody else has to approve it").await.unwrap();
    let export = ruiz.url().await.unwrap();

    okafor.goto(&export).await.unwrap();
    okafor.wait_for("usb: a medium").await.unwrap();
    okafor.click("Approve").await.unwrap();
    let done = "document.querySelector('[data-status=delivered]') !== null";
    okafor.wait_js(done).await.unwrap();
    okafor.goto(&export).await.unwrap();
    okafor.wait_for("That says where it lies").await.unwrap();
    okafor.wait_for("Label sheet (PDF)").await.unwrap();
    picture(okafor, "export-delivered").await;
    okafor.audit().await.unwrap();
    let sheet = "fetch(document.querySelector('a[href$=\"/label\"]').href)\
        .then(async (answer) => answer.headers.get('content-type') === 'application/pdf'\
            ? [...new Uint8Array(await answer.arrayBuffer())] : [])";
    let sheet = okafor.ask::<Vec<u8>>(sheet).await.unwrap();
    assert!(sheet.starts_with(b"%PDF-1.7"));
    let screenshots = testkit::target().unwrap().join("screenshots");
    std::fs::write(screenshots.join("label.pdf"), sheet).unwrap();
}

/// The page on which guests are invited, for a security officer.
pub(crate) async fn look_at_guests(page: &Page, base: &str) {
    page.goto(&format!("{base}/guests")).await.unwrap();
    page.wait_for("Invite a guest").await.unwrap();
    picture(page, "guests").await;
    page.audit().await.unwrap();
}
