//! Joint audits: the two extracts agree, and each way in which one of them could lie or lack something is
//! found.

use jiff::ToSpan;
use ledger::note::VerifierKey;
use parcel::Trust;

use super::*;
use crate::joint::{ExtractError, Finding, Report, Side, page, paper, read, reconcile};

const SKEW: SignedDuration = SignedDuration::from_secs(60);

fn trust(of: (&str, &str)) -> Trust {
    Trust { senders: vec![identity(of).signing.certificate.clone()], now: now() }
}

fn key(agency: &Agency) -> VerifierKey {
    VerifierKey::parse(&agency.ledger.verifier_key()).unwrap()
}

async fn bytes(agency: &Agency, partner: (&str, &str)) -> Vec<u8> {
    let (from, to) = (now() - 24.hours(), now() + 48.hours());
    agency.exchange.extract(partner.0, from, to).await.unwrap()
}

/// Both sides' extracts, read and proved.
async fn sides(world: &World) -> (Side, Side) {
    let (ours, theirs) =
        (bytes(&world.riverton, LAKESIDE).await, bytes(&world.lakeside, RIVERTON).await);
    (
        read(&ours, &trust(RIVERTON), &key(&world.riverton)).unwrap(),
        read(&theirs, &trust(LAKESIDE), &key(&world.lakeside)).unwrap(),
    )
}

fn findings(report: &Report) -> Vec<(&str, Finding)> {
    report.lines.iter().map(|line| (line.what.as_str(), line.finding)).collect()
}

/// A parcel that crossed, was accepted, recalled and destroyed.
async fn whole_story() -> World {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    let exchange = export.exchange.unwrap();
    world.lakeside.accepted(exchange).await;
    world.riverton.exchange.recall(&ruiz(), export.id, "the wrong case").await.unwrap();
    world.riverton.exchange.work_on_notices().await.unwrap();
    world.lakeside.exchange.destroy_parcel(&pell(), exchange, "recalled").await.unwrap();
    world.lakeside.exchange.work_on_notices().await.unwrap();
    world
}

#[tokio::test]
async fn two_honest_ledgers_agree_from_either_side() {
    let world = whole_story().await;
    let (ours, theirs) = sides(&world).await;
    let report = reconcile(&ours, &theirs, SKEW);
    assert!(report.agrees() && report.notes.is_empty(), "{report:?}");
    let json = || serde_json::to_vec(&report).unwrap();
    let document = paper(&report, json()).unwrap();
    assert!(document.starts_with(b"%PDF") && document == paper(&report, json()).unwrap());
    // One delivery, one receipt, and the notices: accepted, recalled, destroyed.
    assert_eq!(report.counts.matched, 5, "{:?}", findings(&report));
    let other = reconcile(&theirs, &ours, SKEW);
    assert!(other.agrees() && other.counts == report.counts);
    let html = page(&report);
    assert!(html.contains("The two ledgers agree") && html.contains("Riverton Police Department"));
    assert!(!html.contains("<script"), "it needs nothing");
    let again: Report = serde_json::from_slice(&serde_json::to_vec(&report).unwrap()).unwrap();
    assert_eq!(again, report);
    // Neither a name nor a case crosses.
    let file = String::from_utf8(bytes(&world.riverton, LAKESIDE).await).unwrap();
    for secret in ["det.ruiz", "24-000113", "the wrong case"] {
        assert!(!file.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn what_one_side_lacks_or_has_otherwise_is_named() {
    let world = whole_story().await;
    let (ours, theirs) = sides(&world).await;
    for (at, fact) in theirs.facts.iter().enumerate() {
        let mut lacking = theirs.clone();
        lacking.facts.remove(at);
        let report = reconcile(&ours, &lacking, SKEW);
        let other = reconcile(&lacking, &ours, SKEW);
        assert_eq!(report.counts.only_ours, 1, "without {}", fact.kind);
        assert_eq!(other.counts.only_theirs, 1, "without {}", fact.kind);
        assert_eq!(report.lines[0].finding, Finding::OnlyOurs, "what differs comes first");
    }
    for kind in ["parcel-received", "receipt-issued"] {
        let mut other = theirs.clone();
        let fact = other.facts.iter_mut().find(|fact| fact.kind == kind).unwrap();
        fact.digest = Some("00".repeat(32));
        let report = reconcile(&ours, &other, SKEW);
        assert_eq!((report.counts.digest_differs, report.counts.matched), (1, 4), "{kind}");
    }
    let mut early = theirs.clone();
    for fact in &mut early.facts {
        fact.at -= 10.minutes();
    }
    let report = reconcile(&ours, &early, SKEW);
    // What they did upon what we did: the parcel received, the recall heard of.
    assert_eq!(report.counts.time_skew, 2, "{:?}", findings(&report));
    let mut shorter = theirs;
    shorter.to -= 1.hours();
    shorter.partner = "NB0030000".to_owned();
    assert_eq!(reconcile(&ours, &shorter, SKEW).notes.len(), 2);
}

#[tokio::test]
async fn what_never_arrived_is_told_from_what_was_taken_back_in_time() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    world.line.cut_after(export.details.sealed.as_ref().unwrap().bytes / 2);
    world.riverton.exchange.deliver(export.id).await.unwrap_err();
    let (ours, theirs) = sides(&world).await;
    let report = reconcile(&ours, &theirs, SKEW);
    assert_eq!(findings(&report), [("delivery", Finding::OnlyOurs)]);
    assert_eq!(report.lines[0].note.as_deref(), Some("never arrived"));
    world.line.mend();
    world.riverton.exchange.recall(&ruiz(), export.id, "the wrong case").await.unwrap();
    world.riverton.exchange.work_on_notices().await.unwrap();
    let (ours, theirs) = sides(&world).await;
    let report = reconcile(&ours, &theirs, SKEW);
    assert!(report.agrees(), "{:?}", findings(&report));
}

#[tokio::test]
async fn what_is_carried_and_never_goes_to_the_partner_s_server_is_no_side_s_to_tell() {
    let stick = tempfile::tempdir().unwrap();
    let medium = Medium {
        folder: stick.path().to_owned(),
        form: MediumForm::Zip,
        mounted: false,
        product: "Bailiwick test".to_owned(),
    };
    let world = world_with(|riverton, _| {
        let (name, depot) = ("usb".to_owned(), Arc::new(medium));
        riverton.routes = vec![Route { partner: None, name, depot }];
    })
    .await;
    let exchange = &world.riverton.exchange;
    let pushed = world.riverton.sealed().await.unwrap();
    exchange.deliver(pushed.id).await.unwrap();
    let new = NewExport { route: Some("usb".to_owned()), ..new_export() };
    let carried = exchange.request(&ruiz(), new).await.unwrap();
    exchange.approve(&okafor(), carried.id).await.unwrap();
    let items = world.riverton.fetch(&ruiz(), &carried.details.items).await.unwrap();
    exchange.seal(&ruiz(), carried.id, items).await.unwrap();
    let carried = exchange.deliver(carried.id).await.unwrap();
    assert_eq!(carried.status, ExportStatus::Delivered);
    assert_eq!(world.riverton.count("parcel-sent"), 2);
    let (ours, theirs) = sides(&world).await;
    let carried = carried.exchange.unwrap().to_string();
    assert!(ours.facts.iter().all(|fact| fact.exchange != carried), "{:?}", ours.facts);
    let report = reconcile(&ours, &theirs, SKEW);
    assert!(report.agrees() && report.notes.is_empty(), "{:?}", findings(&report));
    assert_eq!(report.counts.matched, 2, "the delivery that was pushed, and its receipt");
}

#[tokio::test]
async fn a_refusal_is_the_same_in_both_ledgers() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    flip(&world.riverton.sent(export.parcel.unwrap()).join("data/000/part-000003.p7m"));
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Refused);
    let (ours, theirs) = sides(&world).await;
    let report = reconcile(&ours, &theirs, SKEW);
    assert!(report.agrees(), "{:?}", findings(&report));
    assert_eq!(report.counts.matched, 2);
}

#[tokio::test]
async fn an_extract_that_was_altered_or_is_of_somebody_else_is_refused() {
    let world = whole_story().await;
    let file = bytes(&world.lakeside, RIVERTON).await;
    let lakeside = key(&world.lakeside);
    let with = |file: &[u8]| read(file, &trust(LAKESIDE), &lakeside);
    assert!(with(&file).is_ok());
    let text = String::from_utf8(file.clone()).unwrap();
    let altered =
        text.replacen("\\\"partner\\\":\\\"NB0010100\\\"", "\\\"partner\\\":\\\"NB0010101\\\"", 1);
    assert_ne!(altered, text);
    assert!(matches!(with(altered.as_bytes()), Err(ExtractError::Signature(_))));
    let stranger = read(&file, &trust(STRANGER), &lakeside);
    assert!(matches!(stranger, Err(ExtractError::Signature(_))));
    assert!(matches!(with(b"{}"), Err(ExtractError::Form(_))));
    let long = vec![b' '; crate::joint::EXTRACT_BYTES_MAX + 1];
    assert!(matches!(with(&long), Err(ExtractError::TooLarge { .. })));
    // The page's way: the partner's file, against what we have.
    let no_key = world.riverton.exchange.reconcile(LAKESIDE.0, file, SKEW).await;
    assert!(matches!(no_key, Err(ExchangeError::Input { field: "partner", .. })));
}
