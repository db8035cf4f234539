//! An export that was approved is sealed only while everybody who stands behind it may still sign in, however large it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use demo::story::Seat;
use demo::story::client::Page;

use crate::stage::{Stage, root, step_up};

/// Longest wait for what the agency does by itself.
const WAIT_MAX: Duration = Duration::from_secs(30);

async fn open_case(seat: &mut Seat) -> Page {
    let page = seat.open("/tools/case-file").await.unwrap();
    let form = page.form("/tools/case-file/runs").unwrap();
    let form = form.set("case_number", "24-000113").unwrap().set("purpose", "C").unwrap();
    seat.browser.submit(&page, &form).await.unwrap()
}

/// Asks for an export; gives its path.
async fn ask(seat: &mut Seat) -> String {
    step_up(seat, "/tools/case-file").await;
    let page = open_case(seat).await;
    let form = page.form("/tools/case-file/actions/export").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    let form = page.form("export").unwrap();
    let agreement = form.offered("agreement").into_iter().next().unwrap();
    let form = form.set("agreement", &agreement).unwrap();
    let form = form.set("reason", "Two open cases with the same method of entry").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    let form = page.pressed("Ask for approval").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    page.address.path().to_owned()
}

/// Disables or enables somebody, or gives them these functions.
async fn change(seat: &mut Seat, name: &str, act: &str, functions: &[&str]) {
    let people = step_up(seat, "/people").await;
    let page = seat.browser.follow(&people, name).await.unwrap();
    let form = page.pressed("Change it").unwrap();
    let mut form = form.set("act", act).unwrap().set("reason", "left the agency").unwrap();
    if !functions.is_empty() {
        form = form.clear("functions").unwrap();
    }
    for function in functions {
        form = form.set("functions", function).unwrap();
    }
    assert_eq!(seat.browser.submit(&page, &form).await.unwrap().status, 200);
}

/// Waits until the export's page is as wanted.
async fn wait_for(seat: &mut Seat, path: &str, is_so: impl Fn(&Page) -> bool) {
    let waiting = async {
        loop {
            let page = seat.open(path).await.unwrap();
            if is_so(&page) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let waited = tokio::time::timeout(WAIT_MAX, waiting).await;
    if waited.is_err() {
        panic!("{}", seat.open(path).await.unwrap().text());
    }
}

fn status(page: &Page) -> String {
    let named = page.document.with_attribute("data-status");
    named.and_then(|element| element.attribute("data-status")).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_somebody_who_was_put_out_is_not_sealed() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    let export = ask(&mut ruiz).await;
    let mut voss = stage.seat("adm.voss").await;
    change(&mut voss, "Elena Ruiz", "disable", &[]).await;

    let mut okafor = stage.seat("sgt.okafor").await;
    let page = step_up(&mut okafor, &export).await;
    let form = page.form(&format!("{export}/approve")).unwrap();
    assert_eq!(okafor.browser.submit(&page, &form).await.unwrap().status, 200);
    wait_for(&mut okafor, &export, |page| page.says("may no longer sign in")).await;
    let page = okafor.open(&export).await.unwrap();
    assert_eq!(status(&page), "approved", "{}", page.text());

    // With another function than the one that it was asked for with.
    change(&mut voss, "Elena Ruiz", "functions", &["records-clerk"]).await;
    change(&mut voss, "Elena Ruiz", "enable", &[]).await;
    wait_for(&mut okafor, &export, |page| page.says("has lost a job function")).await;
    change(&mut voss, "Elena Ruiz", "functions", &["detective"]).await;
    wait_for(&mut okafor, &export, |page| status(page) == "acknowledged").await;
    stage.world.stop().await;
}

/// The first film in a folder, or below it.
fn film_below(folder: &Path) -> Option<PathBuf> {
    let found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = found.collect();
    found.sort();
    found.into_iter().find_map(|path| match path.is_dir() {
        true => film_below(&path),
        false => path.extension().is_some_and(|end| end == "mp4").then_some(path),
    })
}

/// Larger than what a page gives in one piece, and than what a tool may give.
#[tokio::test(flavor = "multi_thread")]
async fn a_film_that_no_page_could_give_at_once_is_sealed_and_arrives() {
    let stage = Stage::start("").await;
    let film = film_below(&root(&stage.folder).join("riverton/sources/evidence")).unwrap();
    let bytes: Vec<u8> = (0..66_u32 << 20).map(|n| (n % 251) as u8).collect();
    std::fs::write(&film, &bytes).unwrap();
    let mut ruiz = stage.seat("det.ruiz").await;
    let export = ask(&mut ruiz).await;
    let mut okafor = stage.seat("sgt.okafor").await;
    let page = step_up(&mut okafor, &export).await;
    let form = page.form(&format!("{export}/approve")).unwrap();
    assert_eq!(okafor.browser.submit(&page, &form).await.unwrap().status, 200);
    wait_for(&mut okafor, &export, |page| status(page) == "acknowledged").await;
    let digest = hex::encode(ledger::digest(&bytes));
    let recorded = stage.events(&["released"]).into_iter().any(|event| {
        matches!(event, ledger::Event::Released { bytes: length, digest: known, .. }
            if length == bytes.len() as u64 && known == digest)
    });
    assert!(recorded, "the release of the film, with its digest");
    let mut pell = stage.at_lakeside("inv.pell").await;
    let page = pell.open("/incoming").await.unwrap();
    let page = pell.browser.follow(&page, "No. 1 from NB0010100").await.unwrap();
    assert!(page.says("How it was verified"), "{}", page.text());
    stage.world.stop().await;
}
