//! Files of others are taken in on a page: a bag in a ZIP file, and what is refused by name.

use demo::story::Seat;
use demo::story::client::{Page, Raw};
use http::Method;
use ledger::Event;
use testkit::zip_of;

use crate::stage::Stage;

const BOUNDARY: &str = "----brought";

/// The form with this file, as a browser sends it.
async fn send(seat: &mut Seat, base: &str, fields: &[(&str, &str)], file: &[u8]) -> Page {
    let page = seat.open("/take-in").await.unwrap();
    let csrf = page.form("/sign-out").unwrap().value("csrf").unwrap();
    let mut body = Vec::new();
    for (name, value) in [("csrf", csrf.as_str())].iter().chain(fields) {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        body.extend(format!("--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n").bytes());
    }
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"brought.zip\"";
    body.extend(format!("--{BOUNDARY}\r\n{head}\r\nContent-Type: application/zip\r\n\r\n").bytes());
    body.extend(file);
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
    let answer = seat.browser.raw(Raw {
        method: Method::POST,
        address: format!("{base}/take-in"),
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

const SHOP: &[(&str, &str)] = &[
    ("from", "the corner shop"),
    ("authority", "consent of its owner"),
    ("case_number", "24-000113"),
    ("record_class", "EVIDENCE"),
];

/// A bag in a folder, as a person packs it; its manifest says this of its one file.
fn bag(says: &[u8]) -> Vec<u8> {
    let digest = hex::encode(ledger::digest(says));
    let manifest = format!("{digest}  data/camera/door.txt\n");
    zip_of(&[
        ("shop/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"),
        ("shop/data/camera/door.txt", b"seen at the door\n"),
        ("shop/manifest-sha256.txt", manifest.as_bytes()),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bag_that_somebody_brought_waits_for_a_person_and_is_opened_then() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    let answer = send(&mut ruiz, &stage.base, SHOP, &bag(b"seen at the door\n")).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let path = answer.header("location").unwrap().to_owned();
    let page = ruiz.open(&path).await.unwrap();
    assert!(page.says("outside, taken in by Elena Ruiz"), "{}", page.text());
    assert!(page.form("open").is_err(), "it can't be opened before it was accepted");
    let form = page.form(&format!("{path}/accept")).unwrap();
    let page = ruiz.browser.submit(&page, &form).await.unwrap();
    let form = page.form("open").unwrap();
    let page = ruiz.browser.submit(&page, &form).await.unwrap();
    for shown in ["It is a BagIt bag (1.0)", "consent of its owner", "24-000113"] {
        assert!(page.says(shown), "{shown}: {}", page.text());
    }
    let link = page.links().find(|(text, _)| text.contains("door.txt")).unwrap().1;
    let file = ruiz.browser.go(&page, &link).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&file.body), "seen at the door\n");

    let events = stage.events(&["files-taken-in"]);
    let [Event::FilesTakenIn(taken)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((taken.from.as_str(), taken.files), ("the corner shop", 3));
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_hurt_is_refused_by_its_name_and_nothing_is_kept() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    let (note, base): (&[u8], _) = (b"a note\n", stage.base.clone());
    let hostile = [
        (zip_of(&[("../../etc/cron.d/job", note)]), "`../../etc/cron.d/job`"),
        (zip_of(&[("/etc/passwd", note)]), "`/etc/passwd`"),
        (zip_of(&[("a.txt", note), ("A.TXT", note)]), "some systems"),
        (zip_of(&[("<script>alert(1)</script>/..", note)]), "`<script>alert(1)</script>/..`"),
        (zip_of(&[]), "at least one file"),
        (b"PK\x03\x04 and then nothing".to_vec(), "can't be taken in"),
        (bag(b"something else\n"), "door.txt"),
    ];
    let count = hostile.len();
    for (file, named) in hostile {
        let answer = send(&mut ruiz, &base, SHOP, &file).await;
        assert_eq!(answer.status, 400, "{named}");
        assert!(answer.says(named), "{named}: {}", answer.text());
        assert!(!String::from_utf8_lossy(&answer.body).contains("<script>alert"));
    }
    let good = zip_of(&[("note.txt", note)]);
    for (field, value) in
        [("from", ""), ("authority", "a\tb"), ("case_number", "113"), ("record_class", "no class")]
    {
        let fields = SHOP.iter().map(|(name, usual)| match *name == field {
            true => (*name, value),
            false => (*name, *usual),
        });
        let fields: Vec<_> = fields.collect();
        let answer = send(&mut ruiz, &base, &fields, &good).await;
        assert_eq!(answer.status, 400, "{field}: {}", answer.text());
    }
    let mut hale = stage.seat("ofc.hale").await;
    let denied = send(&mut hale, &base, SHOP, &good).await;
    assert_eq!(denied.status, 403, "{}", denied.text());

    assert!(ruiz.open("/incoming").await.unwrap().says("Nothing has arrived yet."));
    assert!(stage.events(&["files-taken-in"]).is_empty());
    assert_eq!(stage.events(&["withheld"]).len(), count);
    stage.disk.fail_writes_after("journal", 0);
    let answer = send(&mut ruiz, &base, SHOP, &good).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    stage.disk.mend();
    stage.world.stop().await;
}
