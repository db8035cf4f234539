//! A parcel goes by medium, and its receipt comes back by hand: signed with stock OpenSSL as `HOW-TO-OPEN.txt` says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use demo::story::Seat;
use demo::story::client::{Page, Raw};
use http::Method;
use ledger::Event;

use crate::sending::{CASE, USUAL, approve, press, preview, wait_for};
use crate::stage::{Stage, step_up};

const BOUNDARY: &str = "----returned";

/// One part of a form with files.
pub(crate) enum Part<'a> {
    Text(&'a str, &'a str),
    File(&'a str, &'a [u8]),
}

/// What a form of this page has to bring back.
pub(crate) async fn token(seat: &mut Seat, page: &str) -> String {
    let shown = seat.open(page).await.unwrap();
    shown.form("/sign-out").unwrap().value("csrf").unwrap()
}

/// A form with files, as a browser sends it.
pub(crate) async fn send(
    seat: &mut Seat,
    (base, to): (&str, &str),
    csrf: &str,
    parts: &[Part<'_>],
) -> Page {
    let mut body = Vec::new();
    for part in [Part::Text("csrf", csrf)].iter().chain(parts) {
        let (name, more, content) = match part {
            Part::Text(name, text) => (name, String::new(), text.as_bytes()),
            Part::File(name, bytes) => (
                name,
                format!("; filename=\"{name}\"\r\nContent-Type: application/octet-stream"),
                *bytes,
            ),
        };
        body.extend(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n"
            )
            .bytes(),
        );
        body.extend(content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    let answer = seat.browser.raw(Raw {
        method: Method::POST,
        address: format!("{base}{to}"),
        headers: vec![
            ("content-type", format!("multipart/form-data; boundary={BOUNDARY}")),
            ("origin", base.to_owned()),
            ("sec-fetch-site", "same-origin".to_owned()),
        ],
        body,
        cookies: true,
    });
    answer.await.unwrap()
}

/// Riverton's export by medium. Gives its page, and where it lies.
pub(crate) async fn by_medium(stage: &Stage) -> (String, PathBuf) {
    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    let form = page.pressed("Ask for approval").unwrap().set("route", "usb").unwrap();
    let page = press(&mut ruiz, &page, form).await;
    let export = page.address.path().to_owned();
    let mut okafor = stage.seat("sgt.okafor").await;
    approve(&mut okafor, &export).await;
    wait_for(&mut okafor, &export, "delivered").await;
    let medium = stage.world.homes[0].folder.join("medium");
    let found = fs::read_dir(medium).unwrap().flatten().map(|entry| entry.path());
    let mut found = found.filter(|path| path.is_dir() && path.extension().is_none());
    (export, found.next().unwrap())
}

/// The last line of `HOW-TO-OPEN.txt` that is a command, with these files for its words.
fn sign_as_it_says(parcel: &Path, folder: &Path, keys: &Path) {
    let how = fs::read_to_string(parcel.join("HOW-TO-OPEN.txt")).unwrap();
    let line = how.lines().rev().find(|line| line.contains("openssl cms -sign")).unwrap();
    let line = line.trim_start_matches([' ', '#']);
    let line = line.replace("SIGNING-CERT.pem", &keys.join("signing.pem").to_string_lossy());
    let line = line.replace("SIGNING-KEY.pem", &keys.join("signing.key").to_string_lossy());
    let said = Command::new("sh").args(["-c", &line]).current_dir(folder).output().unwrap();
    assert!(said.status.success(), "{line}: {}", String::from_utf8_lossy(&said.stderr));
}

/// The parcel's own template, filled in as somebody with an editor does.
fn fill_in(parcel: &Path, exchange: &str, ori: &str) -> String {
    let template = fs::read_to_string(parcel.join("seal/receipt-template.json")).unwrap();
    let filled = template
        .replace("\"exchange_id\": \"\"", &format!("\"exchange_id\": \"{exchange}\""))
        .replace("accepted or refused", "accepted")
        .replace("\"at\": \"\"", "\"at\": \"2026-11-22T12:00:00Z\"")
        .replace(
            "{ \"ori\": \"\", \"name\": \"\" }",
            &format!("{{ \"ori\": \"{ori}\", \"name\": \"Lakeside\" }}"),
        )
        .replace("\"person\": null", "\"person\": \"Ana Pell\"");
    assert_ne!(filled, template);
    filled
}

/// The export's exchange, as its page says it.
fn exchange_of(page: &Page) -> String {
    let text = page.text();
    let (_, after) = text.split_once("Exchange").unwrap();
    let words = after.split_whitespace();
    words
        .map(str::to_owned)
        .find(|word| word.len() == 36 && word.matches('-').count() == 4)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_signed_by_stock_openssl_as_the_parcel_says_acknowledges_the_export() {
    if testkit::need("a receipt by hand", &["openssl"]).unwrap().is_none() {
        return;
    }
    let stage = Stage::start("").await;
    let (export, parcel) = by_medium(&stage).await;
    let mut ruiz = stage.seat("det.ruiz").await;
    let page = ruiz.open(&export).await.unwrap();
    assert!(page.says("Add the partner’s receipt"), "{}", page.text());
    let lakeside = &stage.world.homes[1];
    let folder = tempfile::tempdir().unwrap();
    let json = fill_in(&parcel, &exchange_of(&page), lakeside.spec.ori);
    fs::write(folder.path().join("receipt.json"), &json).unwrap();
    sign_as_it_says(&parcel, folder.path(), &lakeside.folder.join("keys"));
    let signature = fs::read(folder.path().join("receipt.json.p7s")).unwrap();
    let (base, to) = (stage.base.clone(), format!("{export}/receipt"));
    let csrf = token(&mut ruiz, &export).await;

    // One byte of it altered; the signature of somebody else; only one of the two.
    let bent = json.replace("Ana Pell", "Bob Pell");
    fs::write(folder.path().join("receipt.json"), &json).unwrap();
    sign_as_it_says(&parcel, folder.path(), &stage.world.homes[0].folder.join("keys"));
    let ours = fs::read(folder.path().join("receipt.json.p7s")).unwrap();
    for (json, signature, said) in [
        (bent.as_bytes(), signature.as_slice(), "does not hold"),
        (json.as_bytes(), ours.as_slice(), "does not hold"),
        (json.as_bytes(), b"".as_slice(), "Two files are needed"),
    ] {
        let parts = [Part::File("receipt", json), Part::File("receipt-signature", signature)];
        let answer = send(&mut ruiz, (&base, &to), &csrf, &parts).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.says(said), "{said}: {}", answer.text());
    }
    assert!(stage.events(&["receipt-anchored"]).is_empty());
    let parts =
        [Part::File("receipt", json.as_bytes()), Part::File("receipt-signature", &signature)];
    stage.disk.fail_writes_after("journal", 1);
    let answer = send(&mut ruiz, (&base, &to), &csrf, &parts).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    stage.disk.mend();
    // A write that failed may have ended the ledger's writer: it goes on after the next start.
    let stage = stage.restarted().await;
    let answer = send(&mut ruiz, (&base, &to), &csrf, &parts).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let page = ruiz.open(&export).await.unwrap();
    assert!(
        page.says("acknowledged") && page.says("the partner's entry is not given"),
        "{}",
        page.text()
    );
    let events = stage.events(&["receipt-anchored"]);
    let [Event::ReceiptAnchored { partner_entry, .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(*partner_entry, None);
    let twice = send(&mut ruiz, (&base, &to), &csrf, &parts).await;
    assert_eq!(twice.status, 409, "{}", twice.text());
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_is_answered_by_a_letter_that_somebody_writes_down() {
    let stage = Stage::start("").await;
    let (export, _) = by_medium(&stage).await;
    let mut ruiz = stage.seat("det.ruiz").await;
    let page = ruiz.open(&export).await.unwrap();
    let form =
        page.form(&format!("{export}/recall")).unwrap().set("reason", "the wrong case").unwrap();
    let page = ruiz.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("Write down the partner"), "{}", page.text());
    let (base, to) = (stage.base.clone(), format!("{export}/recall-answer"));
    let csrf = token(&mut ruiz, &export).await;
    let today = keys::Clock::now(&keys::SystemClock).strftime("%Y-%m-%d").to_string();
    let good = |day| {
        [
            Part::Text("answer", "destroyed"),
            Part::Text("how", "letter"),
            Part::Text("who", "Sgt. Ana Pell"),
            Part::Text("on", day),
            Part::Text("reason", "shredded"),
            Part::File("document", b"%PDF-1.7 a letter"),
        ]
    };
    for (day, status) in [("yesterday", 400), ("2199-01-01", 400), ("2000-01-01", 400)] {
        let answer = send(&mut ruiz, (&base, &to), &csrf, &good(day)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let mut hale = stage.seat("ofc.hale").await;
    let theirs = token(&mut hale, "/").await;
    let denied = send(&mut hale, (&base, &to), &theirs, &good(&today)).await;
    assert_eq!(denied.status, 403, "{}", denied.text());
    let answer = send(&mut ruiz, (&base, &to), &csrf, &good(&today)).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let page = ruiz.open(&export).await.unwrap();
    assert!(page.says(&format!("answered by letter on {today}, Sgt. Ana Pell")), "{}", page.text());
    let digest = hex::encode(ledger::digest(b"%PDF-1.7 a letter"));
    assert!(page.says(&digest) && !page.says("Write down the partner"), "{}", page.text());
    let events = stage.events(&["recall-answered"]);
    let [Event::RecallAnswered(written)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(written.document.as_deref(), Some(digest.as_str()));
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_receipt_can_be_saved_and_carried_back() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    let page = press(&mut ruiz, &page, page.pressed("Ask for approval").unwrap()).await;
    let export = page.address.path().to_owned();
    let mut okafor = stage.seat("sgt.okafor").await;
    approve(&mut okafor, &export).await;
    wait_for(&mut okafor, &export, "acknowledged").await;
    let mut pell = stage.at_lakeside("inv.pell").await;
    let page = pell.open("/incoming").await.unwrap();
    let path = page.links().find(|(_, href)| href.starts_with("/incoming/")).unwrap().1;
    let page = pell.browser.go(&page, &path).await.unwrap();
    assert!(page.says("Our signed receipt"), "{}", page.text());
    let json = pell.browser.go(&page, &format!("{path}/receipt.json")).await.unwrap().body;
    let signature = pell.browser.go(&page, &format!("{path}/receipt.json.p7s")).await.unwrap().body;
    let pem = fs::read_to_string(stage.world.homes[1].folder.join("keys/signing.pem")).unwrap();
    let senders = keys::cert::Certificate::chain_from_pem(&pem).unwrap();
    let trust = parcel::Trust { senders, now: keys::Clock::now(&keys::SystemClock) };
    let signed =
        parcel::receipt::SignedReceipt { json: json.to_vec(), signature: signature.to_vec() };
    let (receipt, _) = parcel::receipt::verify(&signed, &trust).unwrap();
    assert_eq!(receipt.receiver.ori, stage.world.homes[1].spec.ori);
    stage.world.stop().await;
}
