//! The custody record after the sealing: what either side can tell of a parcel at any time, and to whom.

use std::process::Command;

use parcel::CustodyEvent;

use super::*;
use crate::proofs;

const PATH: &str = "evidence/statement.pdf";

async fn bytes_of(mut download: Download) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = download.pieces.recv().await {
        all.extend_from_slice(&piece.unwrap());
    }
    all
}

fn events(record: &[u8]) -> Vec<CustodyEvent> {
    parcel::custody_events(record).unwrap()
}

fn kinds(events: &[CustodyEvent]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

impl Agency {
    async fn told_of_export(&self, export: Uuid) -> Vec<u8> {
        let told = self.exchange.custody_of_export(&ruiz(), export, RecordForm::JsonLd).await;
        bytes_of(told.unwrap()).await
    }

    async fn told_of_incoming(&self, exchange: Uuid, why: Option<&Why>) -> Vec<u8> {
        let form = RecordForm::JsonLd;
        let told = self.exchange.custody_of_incoming(&pell(), exchange, why, form).await;
        bytes_of(told.unwrap()).await
    }
}

/// `case_validate` finds it to conform, where it is installed.
fn conforms(record: &[u8]) {
    let program = testkit::target().unwrap().join("python/bin/case_validate");
    let program = [program.to_str().unwrap()];
    let Some(validate) = testkit::need("the check of a custody record", &program).unwrap() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("custody.jsonld");
    std::fs::write(&file, record).unwrap();
    let said = Command::new(validate).args(["-f", "human"]).arg(&file).output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && text.contains("Conforms: True"), "{text}");
}

/// qpdf finds no fault in it, where that is installed.
fn is_sound_pdf(pdf: &[u8]) {
    let Some(qpdf) = testkit::need("the check of a PDF", &["qpdf"]).unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("custody.pdf");
    std::fs::write(&file, pdf).unwrap();
    let said = Command::new(qpdf).arg("--check").arg(&file).output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.status.success() && text.contains("No syntax or stream encoding errors"),
        "{text}"
    );
}

#[tokio::test]
async fn both_sides_tell_what_became_of_a_parcel_each_by_its_own_ledger() {
    let world = world().await;
    let (riverton, lakeside) = (&world.riverton, &world.lakeside);
    let export = riverton.sealed().await.unwrap();
    let sealed = events(&riverton.told_of_export(export.id).await);
    assert_eq!(
        kinds(&sealed[sealed.len() - 4..]),
        ["packaged", "sealed", "signed", "seal-recorded"]
    );

    riverton.exchange.deliver(export.id).await.unwrap();
    let exchange = export.exchange.unwrap();
    lakeside.accepted(exchange).await;
    for _ in 0..3 {
        drop(lakeside.exchange.document(&pell(), exchange, PATH, None, &why()).await.unwrap());
    }
    for agency in [riverton, lakeside, riverton] {
        agency.exchange.work_on_notices().await.unwrap();
    }
    let record = riverton.told_of_export(export.id).await;
    let sent = events(&record);
    let kept = sealed.len() - 1;
    assert!(sent[..kept] == sealed[..kept], "what was sealed stays as it was, proofs and all");
    assert_eq!(kinds(&sent[sealed.len()..]), ["offered", "verified", "accepted", "opened"]);
    let [.., offered, verified, accepted, opened] = sent.as_slice() else { panic!() };
    let over = offered.around.hand_over.as_ref().unwrap();
    assert_eq!(over.channel.as_deref(), Some("push"));
    assert_eq!(over.to.as_deref(), Some("Lakeside County Sheriff (NB0020000)"));
    assert_eq!(verified.person.agency, "NB0020000");
    assert_eq!(
        (accepted.person.name.as_str(), opened.person.name.as_str()),
        ("inv.pell", "inv.pell")
    );
    let proved = proofs::check(&sent, &[key_of(&riverton.ledger)]).unwrap();
    assert_eq!((proved.events, proved.proved), (sent.len() as u64, sent.len() as u64));
    conforms(&record);

    let record = lakeside.told_of_incoming(exchange, Some(&why())).await;
    let received = events(&record);
    let before = kinds(&sealed[..sealed.len() - 1]);
    let mut expected = before.clone();
    expected.extend(["offered", "received", "receipt-issued", "accepted", "opened"]);
    assert_eq!(kinds(&received)[..expected.len()], expected);
    let openings: Vec<_> = received.iter().filter(|event| event.kind == "opened").collect();
    assert_eq!(openings.len(), 1, "three openings of one file by one person are one event");
    assert!(openings[0].description.contains("3 times in all"), "{}", openings[0].description);
    assert!(openings[0].description.contains(PATH));
    assert_eq!(received[0].files, sealed[0].files, "the files are named as they were sealed");
    conforms(&record);
    for agency in [riverton, lakeside] {
        let last = agency.events().into_iter().rev().find(
            |event| matches!(event, Event::Released { what, .. } if what == "custody record"),
        );
        assert!(last.is_some(), "what left is on record");
    }
}

#[tokio::test]
async fn who_may_not_open_a_parcel_is_told_what_happened_and_no_name_also_when_it_is_gone() {
    let world = world().await;
    let (riverton, lakeside) = (&world.riverton, &world.lakeside);
    let export = riverton.sealed().await.unwrap();
    riverton.exchange.deliver(export.id).await.unwrap();
    let exchange = export.exchange.unwrap();
    // Before somebody accepted it nothing in it is told.
    let form = RecordForm::JsonLd;
    let early = lakeside.exchange.custody_of_incoming(&pell(), exchange, Some(&why()), form).await;
    assert!(matches!(early, Err(ExchangeError::WrongState { .. })));
    lakeside.accepted(exchange).await;
    drop(lakeside.exchange.document(&pell(), exchange, PATH, None, &why()).await.unwrap());
    let mut stepped_up = pell();
    stepped_up.actor.assurance.stepped_up_at = Some(now());
    lakeside.exchange.destroy_parcel(&stepped_up, exchange, "its time is over").await.unwrap();
    let record = lakeside.told_of_incoming(exchange, None).await;
    let text = String::from_utf8(record.clone()).unwrap();
    let told = |kind: &str| text.contains(&format!("\"uco-core:name\": \"{kind}\""));
    assert!(!text.contains("statement") && text.contains("a file, "), "{text}");
    assert!(told("opened") && told("destroyed") && !told("packaged"), "{text}");
    assert!(!text.contains("uco-observable:File"), "{text}");
    conforms(&record);
    let gone = lakeside.exchange.custody_of_incoming(&pell(), exchange, Some(&why()), form).await;
    assert!(matches!(gone, Err(ExchangeError::WrongState { .. })));
    // Nor for a purpose that it did not come for, nor to somebody who sees nothing of what is shared.
    let guest = caller("x.moe", "dispatcher", LAKESIDE);
    let denied = lakeside.exchange.custody_of_incoming(&guest, exchange, None, form).await;
    assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "{:?}", denied.map(drop));
    let denied = riverton.exchange.custody_of_export(&guest, export.id, form).await;
    assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "{:?}", denied.map(drop));
}

#[tokio::test]
async fn the_document_is_a_pdf_with_the_record_inside() {
    let world = world().await;
    let riverton = &world.riverton;
    for (exhibit, sound) in [(" ", false), ("a\nb", false), ("24-000113-7", true)] {
        let new = NewExport { exhibit: Some(exhibit.to_owned()), ..new_export() };
        assert_eq!(riverton.exchange.request(&ruiz(), new).await.is_ok(), sound, "{exhibit:?}");
    }
    let export =
        riverton.exchange.exports(&[ExportStatus::Requested], None).await.unwrap().remove(0);
    riverton.exchange.approve(&okafor(), export.id).await.unwrap();
    let items = riverton.fetch(&ruiz(), &export.details.items).await.unwrap();
    let export = riverton.exchange.seal(&ruiz(), export.id, items).await.unwrap();
    let record = riverton.told_of_export(export.id).await;
    let record = String::from_utf8(record).unwrap();
    assert!(record.contains("exhibitNumber\": \"24-000113-7\""), "{record}");
    let form = RecordForm::Pdf;
    let told = world.riverton.exchange.custody_of_export(&ruiz(), export.id, form).await.unwrap();
    assert!(told.name.ends_with(".pdf") && told.media_type == "application/pdf");
    let pdf = bytes_of(told).await;
    is_sound_pdf(&pdf);
    let kept = testkit::target().unwrap().join("papers");
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::write(kept.join("custody-of-export.pdf"), &pdf).unwrap();
}

#[tokio::test]
async fn nothing_is_sealed_of_which_the_record_can_not_be_kept_and_none_is_told_that_was_altered() {
    let world = world().await;
    let riverton = &world.riverton;
    let kept = riverton.folder.path().join("parcels/custody");
    std::fs::remove_dir(&kept).unwrap();
    std::fs::write(&kept, "in the way").unwrap();
    let export = riverton.exchange.request(&ruiz(), new_export()).await.unwrap();
    let export = riverton.exchange.approve(&okafor(), export.id).await.unwrap();
    let items = riverton.fetch(&ruiz(), &export.details.items).await.unwrap();
    let failed = riverton.exchange.seal(&ruiz(), export.id, items).await;
    assert!(failed.is_err());
    let export = riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Approved);
    assert_eq!(riverton.count("parcel-sealed"), 0);
    std::fs::remove_file(&kept).unwrap();
    std::fs::create_dir(&kept).unwrap();
    let items = riverton.fetch(&ruiz(), &export.details.items).await.unwrap();
    let export = riverton.exchange.seal(&ruiz(), export.id, items).await.unwrap();
    let folder = kept.join(export.parcel.unwrap().to_string());
    let part = folder.join(parcel::part_path(0));
    let bytes = std::fs::read(&part).unwrap();
    assert!(!bytes.windows(9).any(|window| window == b"statement"), "it lies sealed");
    assert!(!riverton.told_of_export(export.id).await.is_empty());
    flip(&part);
    let form = RecordForm::JsonLd;
    let bent = riverton.exchange.custody_of_export(&ruiz(), export.id, form).await;
    assert!(matches!(bent, Err(ExchangeError::Refused(_))), "{:?}", bent.map(drop));
    assert_eq!(riverton.events().last().unwrap().kind(), "withheld");
    std::fs::write(&part, bytes).unwrap();
    // What can't be recorded is not given.
    riverton.ledger_disk.fail_writes_after("journal", 1);
    let unrecorded = riverton.exchange.custody_of_export(&ruiz(), export.id, form).await;
    assert!(unrecorded.is_err(), "decided, and its release not recorded");
}
