//! A redacted copy is added to a document, accepted by somebody, and leaves in the original's stead.

use demo::story::Seat;
use demo::story::client::{Page, Raw};
use http::Method;
use ledger::Event;

use crate::sending::{CASE, USUAL, approve, preview, wait_for};
use crate::stage::{Stage, step_up};

const BOUNDARY: &str = "----copy";
const COPY: &[u8] = b"%PDF-1.7\nwithout the child's name\n%%EOF\n";
const SAID: [(&str, &str); 2] = [("what", "A child's name"), ("reason", "Juvenile, WIC 827")];

/// The form with this file, as a browser sends it.
async fn send(
    seat: &mut Seat,
    page: &Page,
    fields: &[(&str, &str)],
    (name, file): (&str, &[u8]),
) -> Page {
    let form = page.form("redact").unwrap();
    let csrf = form.value("csrf").unwrap();
    let mut body = Vec::new();
    for (name, value) in [("csrf", csrf.as_str())].iter().chain(fields) {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        body.extend(format!("--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n").bytes());
    }
    let head = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
    body.extend(format!("--{BOUNDARY}\r\n{head}\r\nContent-Type: text/plain\r\n\r\n").bytes());
    body.extend(file);
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
    let base = page.address.to_string();
    let base = base.split("/tools/").next().unwrap().split("/incoming/").next().unwrap().to_owned();
    let answer = seat.browser.raw(Raw {
        method: Method::POST,
        address: page.address.to_string(),
        headers: vec![
            ("content-type", format!("multipart/form-data; boundary={BOUNDARY}")),
            ("origin", base),
            ("sec-fetch-site", "same-origin".to_owned()),
        ],
        body,
        cookies: true,
    });
    answer.await.unwrap()
}

/// Opens the case, and the page of the redacted copies of its first document.
async fn copies_page(seat: &mut Seat) -> Page {
    let page = seat.open("/tools/case-file").await.unwrap();
    let form = page.form("/tools/case-file/runs").unwrap();
    let form = form.set("case_number", "24-000113").unwrap().set("purpose", "C").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    let link = page.links().find(|(_, href)| href.contains("/evidence/")).unwrap().1;
    let page = seat.browser.go(&page, &link).await.unwrap();
    seat.browser.follow(&page, "Redacted copies of it").await.unwrap()
}

/// Adds a copy; gives the path of its parcel.
async fn add(seat: &mut Seat, page: &Page) -> String {
    let answer = send(seat, page, &SAID, ("statement.pdf", COPY)).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("location").unwrap().to_owned()
}

async fn accept(seat: &mut Seat, path: &str) {
    let page = seat.open(path).await.unwrap();
    assert!(page.says("A child's name") && page.says("Juvenile, WIC 827"), "{}", page.text());
    let form = page.form(&format!("{path}/accept")).unwrap();
    assert_eq!(seat.browser.submit(&page, &form).await.unwrap().status, 200);
}

/// The parcel that Lakeside got, opened.
async fn at_lakeside(stage: &Stage) -> Page {
    let mut pell = stage.at_lakeside("inv.pell").await;
    let page = pell.open("/incoming").await.unwrap();
    let path = page.links().find(|(_, href)| href.starts_with("/incoming/")).unwrap().1;
    let page = pell.browser.go(&page, &path).await.unwrap();
    let form = page.form(&format!("{path}/accept")).unwrap();
    let page = pell.browser.submit(&page, &form).await.unwrap();
    let form = page.form("open").unwrap();
    pell.browser.submit(&page, &form).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_accepted_leaves_in_its_originals_stead() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    let page = copies_page(&mut ruiz).await;
    assert!(page.says("No redacted copies yet"), "{}", page.text());
    let path = add(&mut ruiz, &page).await;
    let [Event::FileRedacted(redacted)] = &stage.events(&["file-redacted"])[..] else { panic!() };
    let original = redacted.original.clone();
    assert_eq!(redacted.copy, hex::encode(ledger::digest(COPY)));

    // Before somebody accepted it, it can't be chosen.
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    assert!(page.says("1 redacted copy waits for somebody to accept it"), "{}", page.text());
    let mut okafor = stage.seat("sgt.okafor").await;
    accept(&mut okafor, &path).await;
    let page = copies_page(&mut ruiz).await;
    assert!(page.says("1 redacted copy") && page.says("accepted"), "{}", page.text());

    // It has to be said what leaves.
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    let form = page.pressed("Ask for approval").unwrap();
    let page = ruiz.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("Choose what leaves: the original or a redacted copy"), "{}", page.text());
    assert!(stage.events(&["export-requested"]).is_empty());
    let form = page.pressed("Ask for approval").unwrap();
    let offered = form.offered("which");
    let chosen = offered.iter().find(|value| value.starts_with("copy:")).unwrap();
    let foreign = form.clone().set("which", chosen).unwrap();
    let page = ruiz.browser.submit(&page, &foreign).await.unwrap();
    let export = page.address.path().to_owned();
    assert!(
        page.says("Redacted copy of") && page.says("the original of evidence/"),
        "{}",
        page.text()
    );
    approve(&mut okafor, &export).await;
    wait_for(&mut okafor, &export, "acknowledged").await;

    let page = at_lakeside(&stage).await;
    assert!(page.says("Redacted copy of a file that is not in this parcel"), "{}", page.text());
    assert!(
        page.says(&original) && page.says("A child's name (Juvenile, WIC 827)"),
        "{}",
        page.text()
    );
    let released = stage.events(&["released"]);
    assert!(!released.is_empty());
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_go_where_both_were_chosen_and_a_received_file_gets_copies_too() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    let page = copies_page(&mut ruiz).await;
    let path = add(&mut ruiz, &page).await;
    let mut okafor = stage.seat("sgt.okafor").await;
    accept(&mut okafor, &path).await;
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    let form = page.pressed("Ask for approval").unwrap();
    let offered = form.offered("which");
    let both = offered.iter().find(|value| value.starts_with("both:")).unwrap();
    let form = form.set("which", both).unwrap();
    let page = ruiz.browser.submit(&page, &form).await.unwrap();
    let export = page.address.path().to_owned();
    approve(&mut okafor, &export).await;
    wait_for(&mut okafor, &export, "acknowledged").await;
    let page = at_lakeside(&stage).await;
    assert!(page.says("Redacted copy of evidence/001-"), "{}", page.text());

    // What came is redacted there; the copy is bound as its original is.
    let mut pell = stage.at_lakeside("inv.pell").await;
    let list = pell.open("/incoming").await.unwrap();
    let parcel = list.links().find(|(_, href)| href.starts_with("/incoming/")).unwrap().1;
    let page = pell.browser.go(&list, &parcel).await.unwrap();
    let page = pell.browser.submit(&page, &page.form("open").unwrap()).await.unwrap();
    let link = page.links().find(|(_, href)| href.contains("/redact/")).unwrap().1;
    let page = pell.browser.go(&page, &link).await.unwrap();
    let answer = send(&mut pell, &page, &SAID, ("page.txt", b"redacted\n")).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let copy = answer.header("location").unwrap().to_owned();
    let page = pell.browser.go(&page, &link).await.unwrap();
    assert!(page.says("1 redacted copy") && page.says("waits for a decision"), "{}", page.text());
    accept(&mut pell, &copy).await;
    let page = pell.open(&copy).await.unwrap();
    let page = pell.browser.submit(&page, &page.form("open").unwrap()).await.unwrap();
    assert!(page.says("Redacted copy of a file that is not in this parcel"), "{}", page.text());
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_copy_is_refused_and_what_is_odd_is_shown_first() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    let page = copies_page(&mut ruiz).await;
    let picture = b"\x89PNG\r\n\x1a\n and no picture".as_slice();
    let odd = send(&mut ruiz, &page, &SAID, ("statement.pdf", picture)).await;
    assert_eq!(odd.status, 200);
    for said in ["Nothing was taken", "Its name says a PDF document, and it is a PNG picture."] {
        assert!(odd.says(said), "{said}: {}", odd.text());
    }
    let script = send(&mut ruiz, &page, &SAID, ("a.txt", b"#!/bin/sh\nrm -rf /\n")).await;
    assert!(script.says("It can run on a computer"), "{}", script.text());
    let none = send(&mut ruiz, &page, &SAID, ("a.txt", b"")).await;
    assert_eq!(none.status, 400, "{}", none.text());
    for (what, reason) in [("", "x"), ("x", ""), ("a\tb", "x")] {
        let fields = [("what", what), ("reason", reason)];
        let unsaid = send(&mut ruiz, &page, &fields, ("a.txt", b"text\n")).await;
        assert_eq!(unsaid.status, 400, "{}", unsaid.text());
    }
    assert!(stage.events(&["file-redacted"]).is_empty());
    let all_the_same = [SAID[0], SAID[1], ("although", "yes")];
    let taken = send(&mut ruiz, &page, &all_the_same, ("statement.pdf", picture)).await;
    assert_eq!(taken.status, 303, "{}", taken.text());

    // The original's own bytes.
    let document = page.links().find(|(text, _)| text == "The document").unwrap().1;
    let viewer = ruiz.browser.go(&page, &document).await.unwrap();
    let html = String::from_utf8_lossy(&viewer.body).into_owned();
    let at = html.find("/tools/case-file/documents/").unwrap();
    let content = html.get(at..).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let original = ruiz.browser.go(&viewer, &content).await.unwrap();
    let same = send(&mut ruiz, &page, &SAID, ("statement.pdf", &original.body)).await;
    assert_eq!(same.status, 400, "{}", same.text());
    assert!(same.says("the same bytes"), "{}", same.text());

    // Another person's handle opens nothing, and what can't be recorded is not kept.
    let mut okafor = stage.seat("sgt.okafor").await;
    let theirs = okafor.browser.open(&page.address.to_string()).await.unwrap();
    assert_eq!(theirs.status, 403);
    stage.disk.fail_writes_after("journal", 0);
    let refused = send(&mut ruiz, &page, &SAID, ("a.txt", b"text\n")).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    stage.disk.mend();
    assert_eq!(stage.events(&["file-redacted"]).len(), 1);
    stage.world.stop().await;
}
