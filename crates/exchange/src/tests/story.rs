//! The story as it should go: request, approval, sealing, delivery, receipt, opening.

use std::process::Command;

use super::*;

#[tokio::test]
async fn evidence_crosses_to_a_partner_and_both_ledgers_name_the_exchange() {
    let world = world().await;
    let (riverton, lakeside) = (&world.riverton, &world.lakeside);
    let export = riverton.sealed().await.unwrap();
    assert_eq!(export.status, ExportStatus::Sealed);
    let export = riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Acknowledged);

    let exchange = export.exchange.unwrap();
    let incoming = lakeside.exchange.incoming(exchange).await.unwrap();
    assert_eq!(incoming.status, IncomingStatus::Received);
    assert_eq!((incoming.number, export.number), (1, Some(1)));
    assert_eq!(incoming.files, Some(3));

    let why = why();
    lakeside.accepted(exchange).await;
    let contents = lakeside.exchange.contents(&pell(), exchange, &why).await.unwrap();
    let (contents, _) = contents.open();
    let paths: Vec<&str> = contents.inside.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["case/incident.csv", "evidence/door.mp4", "evidence/statement.pdf"]);
    assert_eq!(contents.inside.case_number.as_deref(), Some("24-000113"));

    let path = "evidence/statement.pdf";
    let document = lakeside.exchange.document(&pell(), exchange, path, None, &why).await.unwrap();
    let (document, _) = document.open();
    assert_eq!(document.bytes, content(path));
    assert_eq!(document.media_type, "application/pdf");
    let range = Some((100_000, 100_050));
    let path = "evidence/door.mp4";
    let piece = lakeside.exchange.document(&pell(), exchange, path, range, &why).await.unwrap();
    assert_eq!(piece.open().0.bytes, content(path)[100_000..100_050]);

    let record = "decided decided export-requested written written \
                  decided decided export-approved written written \
                  decided released decided released decided released \
                  decided decided parcel-sealed written written parcel-sent receipt-anchored";
    assert_eq!(riverton.story().join(" "), record);
    let record = "parcel-offered parcel-received receipt-issued \
                  decided parcel-accepted written decided decided parcel-opened written released \
                  decided decided parcel-opened written released \
                  decided decided parcel-opened written released";
    assert_eq!(lakeside.story().join(" "), record);
    let numbers = |agency: &Agency| -> Vec<u64> {
        let number_of = |event: &Event| match event {
            Event::ParcelSent(ledger::Sent { number, .. })
            | Event::ParcelOffered { number, .. }
            | Event::ParcelReceived { number, .. } => Some(*number),
            _ => None,
        };
        agency.events().iter().filter_map(number_of).collect()
    };
    assert_eq!((numbers(riverton), numbers(lakeside)), (vec![1], vec![1, 1]));
    let named = |agency: &Agency| -> Vec<String> {
        let exchange_of = |event: &Event| match event {
            Event::ParcelSent(ledger::Sent { exchange, .. })
            | Event::ParcelOffered { exchange, .. }
            | Event::ParcelReceived { exchange, .. }
            | Event::ReceiptIssued { exchange, .. }
            | Event::ReceiptAnchored { exchange, .. }
            | Event::ParcelAccepted { exchange, .. }
            | Event::ParcelOpened { exchange, .. } => Some(exchange.clone()),
            _ => None,
        };
        agency.events().iter().filter_map(exchange_of).collect()
    };
    assert_eq!(named(riverton), vec![exchange.to_string(); 2]);
    assert_eq!(named(lakeside), vec![exchange.to_string(); 7]);
}

#[tokio::test]
async fn the_receipt_names_the_receivers_entry_and_the_sender_anchors_that_very_receipt() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    let incoming = world.lakeside.exchange.incoming(export.exchange.unwrap()).await.unwrap();
    let (ours, theirs) = (export.details.receipt.unwrap(), incoming.receipt.unwrap());
    assert!(ours.accepted && theirs.accepted);
    assert_eq!((&ours.json, &ours.signature), (&theirs.json, &theirs.signature));
    let received = world.lakeside.ledger.read(EntryNumber(ours.receiver_entry.unwrap())).unwrap();
    assert_eq!(received.record.event.kind(), "parcel-received");
    assert!(ours.json.contains(&hex::encode(received.leaf)), "the receipt holds the entry's leaf");
    assert!(ours.receiver_checkpoint.unwrap().contains("riverton.example/ledger"));
    let anchored = world.riverton.ledger.read(EntryNumber(ours.entry)).unwrap().record.event;
    let expected = Event::ReceiptAnchored {
        exchange: export.exchange.unwrap().to_string(),
        parcel: export.parcel.unwrap().to_string(),
        partner: LAKESIDE.0.to_owned(),
        digest: hex::encode(keys::digest::sha256(ours.json.as_bytes())),
        partner_entry: ours.receiver_entry,
    };
    assert_eq!(anchored, expected);
    // The other way: the receiver's record carries the sender's checkpoint.
    let Event::ParcelReceived { checkpoint, .. } = received.record.event else { panic!() };
    assert!(checkpoint.starts_with("riverton.example/ledger\n"), "{checkpoint}");
}

#[tokio::test]
async fn a_broken_line_loses_only_what_was_under_way() {
    let world = world().await;
    let (riverton, lakeside) = (&world.riverton, &world.lakeside);
    let export = riverton.sealed().await.unwrap();
    let sealed = export.details.sealed.clone().unwrap();
    assert!(sealed.parts > 20, "{}", sealed.parts);
    world.line.cut_after(sealed.bytes / 2);
    let broken = riverton.exchange.deliver(export.id).await.unwrap_err();
    assert!(matches!(broken, ExchangeError::Wire(_)), "{broken:?}");
    let exchange = export.exchange.unwrap();
    let arrived = lakeside.exchange.incoming(exchange).await.unwrap();
    assert_eq!(arrived.status, IncomingStatus::Receiving);
    assert!(arrived.receipt.is_none());
    let row = lakeside.exchange.incoming_row(exchange).await.unwrap();
    let missing = lakeside.exchange.missing(&row).await.unwrap().len() as u64;
    assert!(missing > 0 && missing < sealed.parts, "{missing} of {} missing", sealed.parts);

    world.line.mend();
    let before = world.line.carried();
    let export = riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Acknowledged);
    let again = world.line.carried() - before;
    assert!(again < sealed.bytes * 3 / 4, "{again} of {} bytes went again", sealed.bytes);
    // One offer, one sending, one arrival, however many attempts.
    assert_eq!(lakeside.story().join(" "), "parcel-offered parcel-received receipt-issued");
    assert_eq!(riverton.count("parcel-sent"), 1);
    assert_eq!(riverton.exchange.progress(export.id).percent(), 100);
    assert_eq!(riverton.exchange.progress(export.id).phase, Phase::Done);
}

/// Fetches as the platform does.
struct Platform(Agency);

impl Content for Platform {
    fn items<'a>(&'a self, export: &'a Export) -> Fetched<'a> {
        Box::pin(async move {
            let items = self.0.fetch(&ruiz(), &export.details.items).await;
            items.map(|items| (ruiz(), items)).map_err(|error| Unfetched::ForNow(error.to_string()))
        })
    }
}

#[tokio::test]
async fn what_a_crash_left_is_taken_up_again_without_a_person() {
    let world = world().await;
    let World { riverton, lakeside, line: _line, back: _back, _stop, clock } = world;
    let approved = riverton.exchange.request(&ruiz(), new_export()).await.unwrap();
    riverton.exchange.approve(&okafor(), approved.id).await.unwrap();
    // As a crash in the middle of sealing leaves it: numbered, `sealing`, half a parcel in the store.
    let mut row = riverton.exchange.export_row(approved.id).await.unwrap();
    row.status = ExportStatus::Sealing.as_str().to_owned();
    let (exchange, parcel) = (Uuid::from_u128(7), Uuid::from_u128(8));
    let state = &riverton.exchange.0.setup.state;
    assert!(state::exports::begin_exchange(state, &mut row, exchange, parcel).await.unwrap());
    std::fs::create_dir_all(riverton.sent(parcel).join("data")).unwrap();

    let exchange_of = riverton.exchange.clone();
    let content: Arc<dyn Content> = Arc::new(Platform(riverton));
    exchange_of.work_once(Some(&content)).await.unwrap();
    let export = exchange_of.export(approved.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Acknowledged, "{:?}", export.details.delivery);
    assert_eq!((export.exchange, export.number), (Some(exchange), Some(1)));
    let incoming = lakeside.exchange.incoming(exchange).await.unwrap();
    assert_eq!(incoming.status, IncomingStatus::Received);
    drop(clock);
}

#[tokio::test]
async fn the_worker_tries_again_later_and_later_and_then_arrives() {
    let world = world().await;
    let riverton = &world.riverton;
    let export = riverton.sealed().await.unwrap();
    world.line.cut_after(0);
    let mut waits = Vec::new();
    for _ in 0..4 {
        riverton.exchange.work_once(None).await.unwrap();
        let export = riverton.exchange.export(export.id).await.unwrap();
        let delivery = export.details.delivery;
        let next = delivery.next_attempt_at.unwrap();
        waits.push(next.duration_since(world.clock.now()).as_secs());
        assert!(delivery.last_problem.is_some());
        // Before its time nothing is tried.
        riverton.exchange.work_once(None).await.unwrap();
        let same = riverton.exchange.export(export.id).await.unwrap().details.delivery;
        assert_eq!(same.failures, delivery.failures);
        world.clock.set(next);
    }
    assert_eq!(waits, [5, 10, 20, 40]);
    world.line.mend();
    riverton.exchange.work_once(None).await.unwrap();
    let export = riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Acknowledged);
    assert_eq!(export.details.delivery.last_problem, None);
}

#[tokio::test]
async fn numbers_have_no_gaps_and_a_missing_one_is_seen() {
    let world = world().await;
    let mut exports = Vec::new();
    for _ in 0..3 {
        exports.push(world.riverton.sealed().await.unwrap());
    }
    let numbers: Vec<_> = exports.iter().map(|export| export.number.unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    for export in [&exports[0], &exports[2]] {
        world.riverton.exchange.deliver(export.id).await.unwrap();
    }
    assert_eq!(world.lakeside.exchange.gaps(RIVERTON.0).await.unwrap(), [2]);
    world.riverton.exchange.deliver(exports[1].id).await.unwrap();
    assert_eq!(world.lakeside.exchange.gaps(RIVERTON.0).await.unwrap(), [0_u64; 0]);
}

#[tokio::test]
async fn a_downloaded_parcel_is_the_sealed_one_as_tar_and_as_zip() {
    let world = world().await;
    let riverton = &world.riverton;
    let export = riverton.sealed().await.unwrap();
    for form in [Form::Tar, Form::Zip] {
        let mut download = riverton.exchange.download(&ruiz(), export.id, form).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(&download.name);
        let mut bytes = Vec::new();
        while let Some(piece) = download.pieces.recv().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        std::fs::write(&file, &bytes).unwrap();
        if form == Form::Zip {
            let trust = riverton.exchange.own_trust();
            let verified = parcel::verify(&file, &trust, parcel::Watch::none()).unwrap();
            let digest = hex::encode(verified.digest);
            assert_eq!(digest, export.details.sealed.as_ref().unwrap().digest, "as it is, too");
        }
        assert!(!bytes.windows(14).any(|window| window == b"PLANTED-MARKER"));
        let mut command = match form {
            Form::Tar => Command::new("tar"),
            Form::Zip => Command::new("python3"),
        };
        match form {
            Form::Tar => command.arg("-xf").arg(&file),
            Form::Zip => command.args(["-m", "zipfile", "-e"]).arg(&file).arg("."),
        };
        let done = command.current_dir(folder.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let parcel = folder.path().join(format!("parcel-{}", export.parcel.unwrap()));
        let trust = riverton.exchange.own_trust();
        let verified = parcel::verify(&parcel, &trust, parcel::Watch::none()).unwrap();
        assert_eq!(hex::encode(verified.digest), export.details.sealed.as_ref().unwrap().digest);
    }
    assert_eq!(riverton.count("parcel-downloaded"), 2);
    // Each time the policy was asked of every class in it.
    let mut asked = Vec::new();
    for entry in 0..riverton.ledger.size() {
        if let Event::Decided { action, record_class, .. } =
            riverton.ledger.read(EntryNumber(entry)).unwrap().record.event
            && action == "download-parcel"
        {
            asked.push(record_class);
        }
    }
    assert_eq!(asked, ["EVIDENCE", "INCIDENT", "EVIDENCE", "INCIDENT"]);
}

#[tokio::test]
async fn nothing_on_the_disks_of_either_side_is_in_the_clear() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(export.id).await.unwrap();
    let (exchange, path) = (export.exchange.unwrap(), "evidence/statement.pdf");
    world.lakeside.accepted(exchange).await;
    world.lakeside.exchange.document(&pell(), exchange, path, None, &why()).await.unwrap();
    let mut looked = 0;
    for agency in [&world.riverton, &world.lakeside] {
        let mut waiting = vec![agency.folder.path().to_owned()];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                    continue;
                }
                let bytes = std::fs::read(&path).unwrap();
                for marker in [&b"PLANTED-MARKER"[..], b"det.ruiz", b"24-000113"] {
                    let found = bytes.windows(marker.len()).any(|window| window == marker);
                    assert!(!found, "{} holds a marker", path.display());
                }
                looked += 1;
            }
        }
    }
    assert!(looked > 40, "{looked}");
}
