//! What a file is by its content is said before it leaves, to whoever approves, and to whoever receives it.

use ledger::Event;

use crate::export::file_below;
use crate::sending::{CASE, USUAL, approve, preview, wait_for};
use crate::stage::{Stage, root, step_up};

const SAID: &str = "Its stated type is video/mp4, an MP4 file, and it is a PNG picture.";

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_not_what_its_row_says_leaves_under_what_it_is() {
    let stage = Stage::start("").await;
    let evidence = root(&stage.folder).join("riverton/sources/evidence");
    let film = file_below(&evidence, "door-camera.mp4").unwrap();
    std::fs::write(&film, b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR and so on").unwrap();
    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    for said in [SAID, "A PNG picture", "A PDF document"] {
        assert!(page.says(said), "{said}: {}", page.text());
    }
    // That it was read is on record, in ranges.
    let plans = stage.events(&["decided"]);
    let read = |event: &&Event| format!("{event:?}").contains("read-evidence");
    assert!(plans.iter().filter(read).count() >= 2, "{plans:?}");
    let form = page.pressed("Ask for approval").unwrap();
    let page = ruiz.browser.submit(&page, &form).await.unwrap();
    let export = page.address.path().to_owned();
    let mut okafor = stage.seat("sgt.okafor").await;
    let page = okafor.open(&export).await.unwrap();
    assert!(page.says(SAID) && page.says("made here"), "{}", page.text());
    approve(&mut okafor, &export).await;
    wait_for(&mut okafor, &export, "acknowledged").await;

    let mut pell = stage.at_lakeside("inv.pell").await;
    let page = pell.open("/incoming").await.unwrap();
    let path = page.links().find(|(_, href)| href.starts_with("/incoming/")).unwrap().1;
    let page = pell.browser.go(&page, &path).await.unwrap();
    assert!(page.says("needs a second look"), "{}", page.text());
    let form = page.form(&format!("{path}/accept")).unwrap();
    let page = pell.browser.submit(&page, &form).await.unwrap();
    let form = page.form("open").unwrap();
    let page = pell.browser.submit(&page, &form).await.unwrap();
    // It travels as what it is; its name still says otherwise.
    for said in ["A PNG picture", "Its name says an MP4 file, and it is a PNG picture."] {
        assert!(page.says(said), "{said}: {}", page.text());
    }
    assert!(!page.says(SAID), "{}", page.text());
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_cant_be_read_is_shown_as_it_is_called() {
    let stage = Stage::start("").await;
    let evidence = root(&stage.folder).join("riverton/sources/evidence");
    let film = file_below(&evidence, "door-camera.mp4").unwrap();
    std::fs::remove_file(&film).unwrap();
    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    assert!(page.says("video/mp4 (as it is called; not looked at)"), "{}", page.text());
    stage.world.stop().await;
}
