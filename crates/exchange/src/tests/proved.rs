//! A custody record names ledger entries and proves them, and goes on where a parcel that was received is passed on.

use parcel::{CustodyEvent, Parcel, Trust};

use super::*;
use crate::proofs;

/// The custody of a parcel that one agency sealed and another can open.
fn custody(from: &Agency, to: &Agency, parcel: Uuid) -> (Vec<u8>, Vec<CustodyEvent>) {
    let setup = &from.exchange.0.setup;
    let trust = Trust { senders: setup.signer.chain.clone(), now: from.exchange.now() };
    let parcel = Parcel::enter(&from.exchange.0.store.sent(parcel), &trust).unwrap();
    let unlocked = parcel.unlock(&to.exchange.0.setup.recipient).unwrap();
    let mut record = Vec::new();
    std::io::Read::read_to_end(&mut unlocked.custody(), &mut record).unwrap();
    let events = parcel::custody_events(&record).unwrap();
    (record, events)
}

#[tokio::test]
async fn custody_proves_the_entries_that_it_names_under_the_ledgers_key_and_no_other_way() {
    let world = world().await;
    let (riverton, lakeside) = (&world.riverton, &world.lakeside);
    let export = riverton.sealed().await.unwrap();
    let (_, events) = custody(riverton, lakeside, export.parcel.unwrap());
    let key = key_of(&riverton.ledger);
    // Where each of three items came from, who approved, and that it was packed, sealed and signed by leave.
    let named = export.details.items.len() as u64 + 4;
    let whole = Proved { events: named, named, proved: named };
    let closing = events.iter().rev().take(3);
    let leave: Vec<_> = closing.map(|event| event.ledger.as_ref().unwrap().entry).collect();
    assert_eq!((leave[0], leave[1]), (leave[1], leave[2]));
    let decided = riverton.ledger.read(ledger::EntryNumber(leave[0])).unwrap();
    assert!(
        matches!(&decided.record.event, Event::Decided { action, .. } if action == "seal-export"),
        "{decided:?}"
    );
    for event in &events {
        assert!(event.around.assurance.as_ref().unwrap().contains("factor"), "{event:?}");
        assert!(event.around.host.is_some(), "{event:?}");
    }
    let packaged = events.iter().find(|event| event.kind == "packaged").unwrap();
    assert_eq!(packaged.around.exhibit, Some(export.parcel.unwrap().to_string()));
    assert_eq!(proofs::check(&events, std::slice::from_ref(&key)), Ok(whole));

    let bent = |change: &dyn Fn(&mut parcel::LedgerReference)| {
        let mut events = events.clone();
        change(events[0].ledger.as_mut().unwrap());
        proofs::check(&events, std::slice::from_ref(&key))
    };
    let other = bent(&|ledger| ledger.leaf = "00".repeat(32)).unwrap_err();
    assert!(other.starts_with("event 1 (exported-from-source) names entry"), "{other}");
    assert!(bent(&|ledger| ledger.entry += 1).is_err());
    let newer = |ledger: &mut parcel::LedgerReference| {
        ledger.proof = ledger.proof.as_ref().map(|proof| proof.replace("proof@v1", "proof@v2"));
    };
    assert!(bent(&newer).is_err());
    // Without a proof nothing is proved, and nothing is said to be.
    let none = bent(&|ledger| ledger.proof = None).unwrap();
    assert_eq!((none.named, none.proved), (named, named - 1));
    // Signed by another ledger of the same name; and one that we don't know.
    let stranger = ledger::note::VerifierKey { public: [7; 32], ..key.clone() };
    assert!(proofs::check(&events, &[stranger]).is_err());
    assert_eq!(proofs::check(&events, &[]).unwrap().proved, 0);

    riverton.exchange.deliver(export.id).await.unwrap();
    let exchange = export.exchange.unwrap();
    lakeside.accepted(exchange).await;
    let contents = lakeside.exchange.contents(&pell(), exchange, &why()).await.unwrap();
    assert_eq!(contents.open().0.inside.proved, Some(whole));
}

#[tokio::test]
async fn custody_goes_on_when_a_received_file_is_passed_on() {
    let world = world_with(|_, lakeside| lakeside.agreements = vec![agreement(RIVERTON.0)]).await;
    let (riverton, lakeside) = (&world.riverton, &world.lakeside);
    let export = riverton.sealed().await.unwrap();
    riverton.exchange.deliver(export.id).await.unwrap();
    let (_, before) = custody(riverton, lakeside, export.parcel.unwrap());
    let exchange = export.exchange.unwrap();
    let old = "evidence/statement.pdf";
    let detective = caller("det.ames", "detective", LAKESIDE);
    let head = caller("sgt.holt", "supervisor", LAKESIDE);
    // Not before somebody accepted it.
    let early = lakeside.exchange.passing(&detective, exchange, old, &why()).await;
    assert!(matches!(early, Err(ExchangeError::WrongState { .. })), "{early:?}");
    lakeside.accepted(exchange).await;
    drop(lakeside.exchange.document(&pell(), exchange, old, None, &why()).await.unwrap());
    let passing = lakeside.exchange.passing(&detective, exchange, old, &why()).await.unwrap();
    // Back to whom it came from: that asks for nobody's consent.
    let path = "from-riverton/statement.pdf".to_owned();
    let request = NewExport { items: vec![Item { path, ..passing.item }], ..new_export() };
    let passed = lakeside.exchange.request(&detective, request).await.unwrap();
    lakeside.exchange.approve(&head, passed.id).await.unwrap();
    let items = lakeside.fetch(&detective, &passed.details.items).await.unwrap();
    let passed = lakeside.exchange.seal(&detective, passed.id, items).await.unwrap();

    let (record, events) = custody(lakeside, riverton, passed.parcel.unwrap());
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    let expected = "exported-from-source approved-for-release packaged sealed signed \
                    transferred received verified accepted opened \
                    exported-from-source approved-for-release packaged sealed signed";
    // Riverton's five of the file that goes on; nothing of its other files.
    assert_eq!(kinds, expected.split(' ').collect::<Vec<_>>());
    let about: Vec<&CustodyEvent> = before
        .iter()
        .filter(|event| event.files.is_empty() || event.files.iter().any(|path| path == old))
        .collect();
    for (event, was) in events.iter().zip(about) {
        // All that there is: the one file, under its new path.
        assert!(event.files.is_empty());
        assert_eq!((&event.person, &event.ledger), (&was.person, &was.ledger));
        assert_eq!((event.started, &event.description), (was.started, &was.description));
    }
    assert_eq!(events[8].person.name, "inv.pell");
    // From whom to whom, and back to the exhibit that it was.
    for kind in ["transferred", "received"] {
        let event = events.iter().find(|event| event.kind == kind).unwrap();
        let hand_over = event.around.hand_over.as_ref().unwrap();
        assert!(hand_over.from.as_ref().unwrap().ends_with("(NB0010100)"), "{hand_over:?}");
        assert!(hand_over.to.as_ref().unwrap().ends_with("(NB0020000)"), "{hand_over:?}");
    }
    let packaged = events.iter().rfind(|event| event.kind == "packaged").unwrap();
    assert_eq!(packaged.around.root_exhibits, [export.parcel.unwrap().to_string()]);
    assert!(String::from_utf8_lossy(&record).contains("data/from-riverton/statement.pdf"));
    // Each of Lakeside's is proved by Lakeside's ledger, each of Riverton's by Riverton's.
    let keys = [key_of(&lakeside.ledger)];
    let proved = proofs::check(&events, &keys).unwrap();
    // We do not have the key of its sender's ledger, so what was sent names no entry of it.
    assert_eq!((proved.named, proved.proved), (14, 14));
    let program = testkit::target().unwrap().join("python/bin/case_validate");
    let program = [program.to_str().unwrap()];
    let Some(validate) = testkit::need("the check of a custody record", &program).unwrap() else {
        return;
    };
    let file = lakeside.folder.path().join("custody.jsonld");
    std::fs::write(&file, record).unwrap();
    let said =
        std::process::Command::new(validate).args(["-f", "human"]).arg(&file).output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && text.contains("Conforms: True"), "{text}");
}
