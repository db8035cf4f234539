//! A file that was received goes on to a third agency by way of a page, with its sender's consent and not without.

use demo::runner::Staging;
use demo::story::Seat;
use demo::story::client::Page;
use jiff::SignedDuration;
use keys::cert::{CertSpec, Usage, issue};
use keys::sign::P384Key;
use keys::{Clock, SystemClock, SystemRandom};
use ledger::{Event, Search};
use tempfile::TempDir;

use crate::sending::{CASE, USUAL, approve, preview, wait_for};
use crate::stage::{Stage, root, step_up};

/// What Lakeside knows of a third agency, and their agreement.
fn hill(folder: &TempDir) {
    let sharing = root(folder).join("lakeside/sharing");
    let write = |name: &str, text: &str| {
        let path = sharing.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let usages =
        [("tls", Usage::TlsPeer), ("signing", Usage::Signing), ("recipient", Usage::KeyAgreement)];
    for (kind, usage) in usages {
        let now = SystemClock.now();
        let spec = CertSpec {
            subject_cn: "Hill".to_owned(),
            organisation: "Hill County".to_owned(),
            not_before: now - SignedDuration::from_hours(1),
            not_after: now + SignedDuration::from_hours(24 * 90),
            usage,
            dns: vec!["localhost".to_owned()],
            ips: Vec::new(),
            uris: Vec::new(),
        };
        let key = P384Key::generate().unwrap();
        let certificate = issue(&spec, &key, None, &SystemRandom).unwrap();
        write(&format!("partners/hill-{kind}.pem"), &certificate.pem());
    }
    let partner = "ori = \"NB0040000\"\nname = \"Hill County\"\nhost = \"127.0.0.1\"\nport = 9\n\
                   private_addresses = true\ntls_certificate = \"hill-tls.pem\"\n\
                   signing_certificate = \"hill-signing.pem\"\nsealing_certificate = \"hill-recipient.pem\"\n";
    write("partners/hill.toml", partner);
    let year = SystemClock.now().to_zoned(jiff::tz::TimeZone::UTC).year();
    let agreement = r#"id = "lakeside-hill"
title = "Neighbouring counties"
kind = "memorandum"
authority = "Memorandum of 1 May (made up)"
partner = "NB0040000"
record_classes = ["INCIDENT", "EVIDENCE"]
caveats_barred = ["SEALED"]
purposes = ["C"]
redistribution = "none"
approvals = 1
audit = "Each may audit the other"
starts = "YEAR-01-01T00:00:00Z"
review = "THEN-12-01T00:00:00Z"
ends = "THEN-12-31T00:00:00Z"

[[party]]
ori = "NB0020000"
name = "Lakeside County Sheriff"
signed_by = "D. Cole, Sheriff"
signed_at = "YEAR-01-01T00:00:00Z"

[[party]]
ori = "NB0040000"
name = "Hill County"
signed_by = "P. Moss, Sheriff"
signed_at = "YEAR-01-01T00:00:00Z"
"#;
    let agreement = agreement.replace("YEAR", &year.to_string());
    let agreement = agreement.replace("THEN", &(year + 2).to_string());
    write("agreements/lakeside-hill.toml", &agreement);
}

/// Riverton sends a case to Lakeside.
async fn send_a_case(stage: &Stage) {
    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    let form = page.pressed("Ask for approval").unwrap();
    let page = ruiz.browser.submit(&page, &form).await.unwrap();
    let export = page.address.path().to_owned();
    let mut okafor = stage.seat("sgt.okafor").await;
    approve(&mut okafor, &export).await;
    wait_for(&mut okafor, &export, "acknowledged").await;
}

/// Opens the parcel that arrived and presses "Pass on" at its first file.
async fn begin(pell: &mut Seat) -> Page {
    let page = pell.open("/incoming").await.unwrap();
    let path = page.links().find(|(_, href)| href.starts_with("/incoming/")).unwrap().1;
    let mut page = pell.browser.go(&page, &path).await.unwrap();
    if let Ok(form) = page.form(&format!("{path}/accept")) {
        page = pell.browser.submit(&page, &form).await.unwrap();
    }
    let form = page.form("open").unwrap();
    let page = pell.browser.submit(&page, &form).await.unwrap();
    let html = String::from_utf8_lossy(&page.body).into_owned();
    let actions = html.split("action=\"").filter_map(|rest| rest.split('"').next());
    let action = actions.into_iter().find(|action| action.contains("/pass-on/")).unwrap();
    let form = page.form(action).unwrap();
    pell.browser.submit(&page, &form).await.unwrap()
}

/// Fills the form in and gives the preview.
async fn shown(pell: &mut Seat, page: &Page, agreement: &str, consent: &str) -> Page {
    let form = page.form("pass-on").unwrap().set("agreement", agreement).unwrap();
    let form = form.set("reason", "The same method of entry").unwrap();
    let form = form.set("requestor", "Det. R. Moss").unwrap().set("consent", consent).unwrap();
    pell.browser.submit(page, &form).await.unwrap()
}

fn lakesides(stage: &Stage, kind: &str) -> Vec<Event> {
    let search = Search { kinds: vec![kind.to_owned()], ..Search::newest(50) };
    let page = stage.world.lakeside.agency.ledger.search(&search).unwrap();
    page.entries.into_iter().map(|entry| entry.record.event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_received_file_goes_on_with_its_senders_consent_and_not_without() {
    let folder = tempfile::tempdir().unwrap();
    hill(&folder);
    let stage = Stage::with(folder, Staging::default()).await;
    send_a_case(&stage).await;
    let mut pell = stage.at_lakeside("inv.pell").await;
    step_up(&mut pell, "/incoming").await;

    let asked = begin(&mut pell).await;
    assert!(asked.says("Only with its sender"), "{}", asked.text());
    let page = shown(&mut pell, &asked, "lakeside-hill", "").await;
    assert!(page.says("This can’t be passed on") && page.says("origin.consent"), "{}", page.text());
    assert!(page.pressed("Ask for approval").is_err(), "it is not offered");
    // Sent all the same.
    let form = page.form("pass-on").unwrap().forge("step", "do");
    let forced = pell.browser.submit(&page, &form).await.unwrap();
    assert_eq!(forced.status, 403, "{}", forced.text());
    assert!(forced.says("origin.consent"), "{}", forced.text());
    assert!(lakesides(&stage, "export-requested").is_empty());

    let page = shown(&mut pell, &asked, "lakeside-hill", "letter of Chief Marsh").await;
    assert!(!page.says("This can’t"), "{}", page.text());
    let form = page.pressed("Ask for approval").unwrap();
    let page = pell.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("letter of Chief Marsh") && page.says("Det. R. Moss"), "{}", page.text());
    assert_eq!(lakesides(&stage, "export-requested").len(), 1);

    // A handle that was bent.
    let mut form = asked.form("pass-on").unwrap();
    form.action.push('A');
    let bent = pell.browser.submit(&asked, &form).await.unwrap();
    assert_eq!(bent.status, 403, "{}", bent.text());
    stage.world.stop().await;
}
