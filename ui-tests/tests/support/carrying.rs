//! An export that somebody carries: chosen on the form, seen by whoever approves it, laid down, and its label sheet.

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
        .then(answer => answer.ok && answer.headers.get('content-type') === 'application/pdf')";
    assert!(okafor.ask::<bool>(sheet).await.unwrap());
}
