//! An export that somebody carries: chosen on the form, seen by whoever approves it, laid down, and its label sheet; and where guests
//! are invited who fetch one.

use std::path::PathBuf;

use ui_tests::Page;

use super::open_case;
use super::stage::{audit_refusal, picture};

/// Ruiz asks and Okafor approves; both have proved who they are a moment ago.
pub(crate) async fn carry_on_a_medium(ruiz: &Page, okafor: &Page, base: &str) -> (String, PathBuf) {
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
    let zip = okafor.download("Download the parcel").await.unwrap();
    (export, zip)
}

/// Presses a button with the keyboard alone.
async fn press(page: &Page, button: &str) {
    page.tab_to(button).await.unwrap();
    page.press("Enter").await.unwrap();
}

/// The whole page as a wide and as a narrow window show it.
async fn pictures(page: &Page, name: &str) {
    for width in [1280, 400] {
        page.resize(width, 800).await.unwrap();
        page.screenshot_whole(&format!("{name}-{width}")).await.unwrap();
    }
    page.resize(1366, 768).await.unwrap();
}

/// The form for the partner's receipt that came back by hand, and what is said of one that does not hold.
pub(crate) async fn bring_a_bad_receipt(ruiz: &Page, export: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (json, signature) =
        (folder.path().join("receipt.json"), folder.path().join("receipt.json.p7s"));
    std::fs::write(&json, b"{}").unwrap();
    std::fs::write(&signature, b"no signature").unwrap();
    ruiz.goto(export).await.unwrap();
    ruiz.wait_for("Add the partner’s receipt").await.unwrap();
    ruiz.choose("receipt.json.p7s", &[signature]).await.unwrap();
    ruiz.choose("receipt.json", &[json]).await.unwrap();
    pictures(ruiz, "receipt-by-hand").await;
    ruiz.audit().await.unwrap();
    press(ruiz, "Add the receipt").await;
    ruiz.wait_for("Nothing was changed").await.unwrap();
    pictures(ruiz, "receipt-refused").await;
    audit_refusal(ruiz, "400").await;
}

/// What Riverton laid down, fetched as one file and taken in at Lakeside.
pub(crate) async fn bring_it_there(zip: PathBuf, pell: &Page, lakeside: &str) {
    pell.goto(&format!("{lakeside}/take-in")).await.unwrap();
    pell.choose("The parcel’s ZIP file", &[zip]).await.unwrap();
    pictures(pell, "take-in-parcel").await;
    pell.audit().await.unwrap();
    press(pell, "Take in the parcel").await;
    pell.wait_for("brought here and taken in by Jonah Pell").await.unwrap();
    pell.wait_for("Our signed receipt").await.unwrap();
    pictures(pell, "parcel-carried").await;
    pell.audit().await.unwrap();
}

/// A recall of what went by medium, whose answer somebody writes down.
pub(crate) async fn write_an_answer_down(ruiz: &Page, export: &str) {
    ruiz.goto(export).await.unwrap();
    ruiz.fill("Why it is recalled", "Sent for the wrong case").await.unwrap();
    ruiz.click("Recall the export").await.unwrap();
    ruiz.wait_for("Write down the partner’s answer").await.unwrap();
    pictures(ruiz, "recall-answer").await;
    ruiz.audit().await.unwrap();
    ruiz.fill("What became of the parcel there", "kept").await.unwrap();
    ruiz.fill("Who at the partner said so", "Sgt. Ana Pell").await.unwrap();
    let today = ruiz.ask::<String>("new Date().toISOString().slice(0, 10)").await.unwrap();
    ruiz.fill("On which day", &today).await.unwrap();
    ruiz.fill("What was said", "It is in evidence at a trial").await.unwrap();
    press(ruiz, "Write it down").await;
    ruiz.wait_for(&format!("answered by letter on {today}, Sgt. Ana Pell")).await.unwrap();
    pictures(ruiz, "recall-answered").await;
    ruiz.audit().await.unwrap();
}

/// The page on which guests are invited, for a security officer.
pub(crate) async fn look_at_guests(page: &Page, base: &str) {
    page.goto(&format!("{base}/guests")).await.unwrap();
    page.wait_for("Invite a guest").await.unwrap();
    picture(page, "guests").await;
    page.audit().await.unwrap();
}
