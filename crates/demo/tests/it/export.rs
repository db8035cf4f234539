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
pub(crate) async fn ask(seat: &mut Seat) -> String {
    ask_also(seat, None).await
}

/// The same, with the film whose path ends so.
async fn ask_also(seat: &mut Seat, also: Option<&str>) -> String {
    step_up(seat, "/tools/case-file").await;
    let page = open_case(seat).await;
    let form = page.form("/tools/case-file/actions/export").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    let form = page.form("export").unwrap();
    let agreement = form.offered("agreement").into_iter().next().unwrap();
    let form = form.set("agreement", &agreement).unwrap();
    let form = form.set("reason", "Two open cases with the same method of entry").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    let mut form = page.pressed("Ask for approval").unwrap();
    if let Some(ending) = also {
        let films = form.offered("also");
        let film = films.iter().find(|path| path.ends_with(ending)).unwrap();
        form = form.set("also", film).unwrap();
    }
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

/// A file of this name in a folder, or below it.
pub(crate) fn file_below(folder: &Path, name: &str) -> Option<PathBuf> {
    let found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = found.collect();
    found.sort();
    found.into_iter().find_map(|path| match path.is_dir() {
        true => file_below(&path, name),
        false => path.to_string_lossy().ends_with(name).then_some(path),
    })
}

/// Lakeside accepts the parcel and opens its files; gives what the link says.
pub(crate) async fn opened_there(stage: &Stage, link: &str) -> Page {
    let mut pell = stage.at_lakeside("inv.pell").await;
    let page = pell.open("/incoming").await.unwrap();
    let page = pell.browser.follow(&page, "No. 1 from NB0010100").await.unwrap();
    let form = page.pressed("Accept it").unwrap();
    let page = pell.browser.submit(&page, &form).await.unwrap();
    let form = page.pressed("Open the parcel").unwrap();
    let page = pell.browser.submit(&page, &form).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.text());
    let named = page.links().find(|(text, _)| text.ends_with(link));
    let (text, _) = named.unwrap_or_else(|| panic!("no {link}: {}", page.text()));
    pell.browser.follow(&page, &text).await.unwrap()
}

/// Larger than what a page gives in one piece, and than what a tool may give.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_no_page_could_give_at_once_is_sealed_arrives_and_is_opened() {
    let stage = Stage::start("").await;
    let evidence = root(&stage.folder).join("riverton/sources/evidence");
    let large = file_below(&evidence, "statement.pdf").unwrap();
    let bytes: Vec<u8> = (0..66_u32 << 20).map(|n| (n % 251) as u8).collect();
    std::fs::write(&large, &bytes).unwrap();
    let mut ruiz = stage.seat("det.ruiz").await;
    let export = ask(&mut ruiz).await;
    approved(&stage, &export).await;
    let digest = hex::encode(ledger::digest(&bytes));
    let recorded = stage.events(&["released"]).into_iter().any(|event| {
        matches!(event, ledger::Event::Released { bytes: length, digest: known, .. }
            if length == bytes.len() as u64 && known == digest)
    });
    assert!(recorded, "the release of the document, with its digest");
    let there = opened_there(&stage, "statement.pdf").await;
    assert!(there.body == bytes, "{} bytes at Lakeside", there.body.len());
    stage.world.stop().await;
}

/// Okafor approves it, and it crosses.
pub(crate) async fn approved(stage: &Stage, export: &str) {
    let mut okafor = stage.seat("sgt.okafor").await;
    let page = step_up(&mut okafor, export).await;
    let form = page.form(&format!("{export}/approve")).unwrap();
    assert_eq!(okafor.browser.submit(&page, &form).await.unwrap().status, 200);
    wait_for(&mut okafor, export, |page| status(page) == "acknowledged").await;
}

/// A recording that no browser plays goes along as it is, and with it the MP4 that is made of it here.
#[tokio::test(flavor = "multi_thread")]
async fn a_film_that_no_desk_plays_takes_an_mp4_along_that_names_its_original() {
    let Some(ffmpeg) = testkit::need("a test of films", &["ffmpeg"]).unwrap() else { return };
    let settings = format!("[exchange.films]\nffmpeg = \"{}\"\n", ffmpeg.display());
    let stage = Stage::start(&settings).await;
    let evidence = root(&stage.folder).join("riverton/sources/evidence");
    let film = file_below(&evidence, "door-camera.mp4").unwrap();
    let mut make = std::process::Command::new(&ffmpeg);
    make.args([
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=320x240:rate=10:duration=2",
    ]);
    make.args(["-c:v", "mpeg4", "-f", "avi", "-y"]).arg(&film);
    assert!(make.status().unwrap().success());
    let original = std::fs::read(&film).unwrap();
    let mut ruiz = stage.seat("det.ruiz").await;
    let export = ask_also(&mut ruiz, Some(".mp4.mp4")).await;
    approved(&stage, &export).await;
    let there = opened_there(&stage, ".mp4.mp4").await;
    assert_eq!(there.header("content-type"), Some("video/mp4"));
    let made = parcel::media::examine(&mut std::io::Cursor::new(&there.body), "film.mp4").unwrap();
    assert_eq!(made.standing, parcel::media::Standing::Sound, "{:?}", made.words);
    // Both are on record, each with its own digest.
    let digests: Vec<String> = stage
        .events(&["released"])
        .into_iter()
        .filter_map(|event| match event {
            ledger::Event::Released { digest, .. } => Some(digest),
            _ => None,
        })
        .collect();
    for bytes in [original.as_slice(), &there.body] {
        assert!(digests.contains(&hex::encode(ledger::digest(bytes))));
    }
    stage.world.stop().await;
}
