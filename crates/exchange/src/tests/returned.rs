//! What comes back by hand: a receipt, a refusal, an answer to a recall; for something else, twice, and failing to be written.

use jiff::ToSpan;
use parcel::receipt::{Check, Outcome, RECEIPT_PROFILE, Receipt, SignedReceipt};

use super::*;

/// Lays everything down, nowhere.
pub(super) struct Nowhere;

impl Depot for Nowhere {
    fn words(&self) -> String {
        "a bag".to_owned()
    }

    fn lay<'a>(&'a self, _: &'a Load, _: &'a Way) -> Laying<'a> {
        Box::pin(async { Ok(()) })
    }

    fn clear<'a>(&'a self, _: &'a Left) -> Laying<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// Riverton has laid a parcel down for Lakeside, whose server never hears of it.
async fn carried_away() -> (World, Export) {
    let world = world_with(|riverton, _| {
        let partner = Some(LAKESIDE.0.parse().unwrap());
        let depot = Arc::new(Nowhere);
        riverton.routes = vec![Route { partner, name: "bag".to_owned(), depot }];
    })
    .await;
    let riverton = &world.riverton;
    let new = NewExport { route: Some("bag".to_owned()), ..new_export() };
    let export = riverton.exchange.request(&ruiz(), new).await.unwrap();
    riverton.exchange.approve(&okafor(), export.id).await.unwrap();
    let items = riverton.fetch(&ruiz(), &export.details.items).await.unwrap();
    riverton.exchange.seal(&ruiz(), export.id, items).await.unwrap();
    let export = riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Delivered);
    (world, export)
}

/// As a partner without a ledger fills it in.
fn filled(export: &Export) -> Receipt {
    Receipt {
        profile: RECEIPT_PROFILE.to_owned(),
        parcel: export.parcel.unwrap(),
        digest: export.details.sealed.as_ref().unwrap().digest.clone(),
        exchange_id: export.exchange.unwrap().to_string(),
        outcome: Outcome::Accepted,
        checks: Vec::new(),
        at: now(),
        receiver: Party { ori: LAKESIDE.0.to_owned(), name: LAKESIDE.1.to_owned() },
        person: Some("Ana Pell".to_owned()),
        ledger_entry: None,
        ledger_checkpoint: None,
    }
}

fn signed(receipt: &Receipt, by: (&str, &str)) -> Returned {
    let SignedReceipt { json, signature } =
        parcel::receipt::sign(receipt, &identity(by).signer()).unwrap();
    Returned { json, signature }
}

#[tokio::test]
async fn a_receipt_that_came_back_by_hand_is_anchored_and_acknowledges_the_export() {
    let (world, export) = carried_away().await;
    let riverton = &world.riverton;
    let returned = signed(&filled(&export), LAKESIDE);
    let done = riverton.exchange.add_receipt(&ruiz(), export.id, returned.clone()).await.unwrap();
    assert_eq!(done.status, ExportStatus::Acknowledged);
    let receipt = done.details.receipt.unwrap();
    assert_eq!((receipt.accepted, receipt.receiver_entry), (true, None));
    let entry = riverton.ledger.read(EntryNumber(receipt.entry)).unwrap();
    assert_eq!(entry.record.who.unwrap().name, "det.ruiz", "who brought it is on record");
    let Event::ReceiptAnchored { digest, partner_entry, .. } = entry.record.event else { panic!() };
    assert_eq!((digest, partner_entry), (receipt.digest, None));
    let told = riverton.story().join(" ");
    assert!(told.ends_with("parcel-delivered decided receipt-anchored written"), "{told}");
    let again = riverton.exchange.add_receipt(&ruiz(), export.id, returned).await;
    assert!(matches!(again, Err(ExchangeError::WrongState { .. })), "{again:?}");
    assert_eq!(riverton.count("receipt-anchored"), 1);
}

#[tokio::test]
async fn a_receipt_for_something_else_of_somebody_else_or_bent_changes_nothing_and_is_on_record() {
    let (world, export) = carried_away().await;
    let riverton = &world.riverton;
    let good = filled(&export);
    let other = |change: fn(&mut Receipt)| {
        let mut receipt = good.clone();
        change(&mut receipt);
        signed(&receipt, LAKESIDE)
    };
    let bent = |mut returned: Returned| {
        returned.json.push(b' ');
        returned
    };
    let refused = [
        (signed(&good, STRANGER), "is not one of"),
        (signed(&good, RIVERTON), "is not one of"),
        (bent(signed(&good, LAKESIDE)), ""),
        (Returned { signature: b"none".to_vec(), ..signed(&good, LAKESIDE) }, ""),
        (Returned { json: vec![b' '; 300 << 10], ..signed(&good, LAKESIDE) }, "limit"),
        (other(|it| it.parcel = Uuid::from_u128(7)), "parcel of this export"),
        (other(|it| it.digest = "ab".repeat(32)), "digest"),
        (other(|it| it.exchange_id = "x-1".to_owned()), "exchange_id"),
        (other(|it| it.receiver.ori = STRANGER.0.to_owned()), "receiver.ori"),
    ];
    let count = refused.len();
    for (returned, said) in refused {
        let error = riverton.exchange.add_receipt(&ruiz(), export.id, returned).await.unwrap_err();
        let named = matches!(error, ExchangeError::Refused(_) | ExchangeError::Input { .. });
        assert!(named, "{said}: {error:?}");
        if let ExchangeError::Input { .. } = error {
            assert!(error.to_string().contains(said), "{said}: {error}");
        }
    }
    assert_eq!((riverton.count("withheld"), riverton.count("receipt-anchored")), (count, 0));
    let clerk = caller("ofc.new", "records-clerk-of-nothing", RIVERTON);
    let denied = riverton.exchange.add_receipt(&clerk, export.id, signed(&good, LAKESIDE)).await;
    assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "{denied:?}");
    let is = riverton.exchange.export(export.id).await.unwrap();
    assert_eq!((is.status, is.details.receipt), (ExportStatus::Delivered, None));
}

#[tokio::test]
async fn one_who_names_an_entry_of_its_ledger_is_held_to_it() {
    let (world, export) = {
        let world = world_with(|riverton, _| {
            let (ledger, _) = (
                ledger::testing::ledger_on(
                    &Arc::new(SimDisk::new()),
                    Arc::new(FixedClock::new(now())),
                ),
                (),
            );
            riverton.partners[0].ledger_key = Some(key_of(&ledger));
            let partner = Some(LAKESIDE.0.parse().unwrap());
            riverton.routes =
                vec![Route { partner, name: "bag".to_owned(), depot: Arc::new(Nowhere) }];
        })
        .await;
        let new = NewExport { route: Some("bag".to_owned()), ..new_export() };
        let riverton = &world.riverton;
        let export = riverton.exchange.request(&ruiz(), new).await.unwrap();
        riverton.exchange.approve(&okafor(), export.id).await.unwrap();
        let items = riverton.fetch(&ruiz(), &export.details.items).await.unwrap();
        riverton.exchange.seal(&ruiz(), export.id, items).await.unwrap();
        let export = riverton.exchange.deliver(export.id).await.unwrap();
        (world, export)
    };
    let named = Receipt { ledger_entry: Some(3), ..filled(&export) };
    let add = async |receipt: &Receipt| {
        world.riverton.exchange.add_receipt(&ruiz(), export.id, signed(receipt, LAKESIDE)).await
    };
    let error = add(&named).await.unwrap_err();
    assert!(error.to_string().contains("ledger_checkpoint"), "{error}");
    add(&filled(&export)).await.unwrap();
}

#[tokio::test]
async fn a_refusal_that_came_back_by_hand_is_the_partners_no() {
    let (world, export) = carried_away().await;
    let check = Check {
        name: "parts".to_owned(),
        passed: false,
        detail: "data/000/part-000002.p7m: altered".to_owned(),
    };
    let receipt = Receipt { outcome: Outcome::Refused, checks: vec![check], ..filled(&export) };
    let returned = signed(&receipt, LAKESIDE);
    let done = world.riverton.exchange.add_receipt(&ruiz(), export.id, returned).await.unwrap();
    assert_eq!(done.status, ExportStatus::Refused);
    assert!(done.details.refusal.unwrap().reason.contains("part-000002"));
    assert!(!done.details.receipt.unwrap().accepted);
    let told = world.riverton.story().join(" ");
    assert!(told.ends_with("decided parcel-refused written"), "{told}");
}

#[tokio::test]
async fn each_write_failing_in_turn_leaves_an_export_without_an_unrecorded_receipt() {
    let mut failed = 0;
    for appends in 0..10 {
        let (world, export) = carried_away().await;
        let riverton = &world.riverton;
        riverton.ledger_disk.fail_writes_after("journal", appends);
        let returned = signed(&filled(&export), LAKESIDE);
        let outcome = riverton.exchange.add_receipt(&ruiz(), export.id, returned.clone()).await;
        riverton.ledger_disk.mend();
        let is = riverton.exchange.export(export.id).await.unwrap();
        let anchored = riverton.count("receipt-anchored");
        assert!(is.details.receipt.is_none() || anchored == 1, "after {appends} appends");
        if outcome.is_ok() {
            break;
        }
        failed += 1;
        if is.details.receipt.is_none() {
            riverton.exchange.add_receipt(&ruiz(), export.id, returned).await.unwrap();
        }
    }
    assert!(failed >= 2, "only {failed} writes failed");
    let (world, export) = carried_away().await;
    let state = &world.riverton.exchange.0.setup.state;
    state::testing::break_writes(state, "exports", "UPDATE").await.unwrap();
    let returned = signed(&filled(&export), LAKESIDE);
    let add =
        async || world.riverton.exchange.add_receipt(&ruiz(), export.id, returned.clone()).await;
    assert!(add().await.is_err());
    state::testing::mend_writes(state, "exports", "UPDATE").await.unwrap();
    assert_eq!(add().await.unwrap().status, ExportStatus::Acknowledged);
}

fn answered() -> Answered {
    Answered {
        answer: RecallAnswer::Destroyed,
        how: AnsweredBy::Letter,
        who: "Sgt. Ana Pell".to_owned(),
        on: "2026-11-22".parse().unwrap(),
        reason: "shredded on the day of the recall".to_owned(),
        document: Some([7; 32]),
    }
}

#[tokio::test]
async fn an_answer_to_a_recall_that_a_person_writes_down_ends_the_reminders() {
    let (world, export) = carried_away().await;
    let riverton = &world.riverton;
    let answer = async |answered: Answered| {
        riverton.exchange.answer_recall(&ruiz(), export.id, answered).await
    };
    let early = answer(answered()).await.unwrap_err();
    assert!(matches!(early, ExchangeError::WrongState { .. }), "{early}");
    riverton.exchange.recall(&ruiz(), export.id, "the wrong case").await.unwrap();
    for (wrong, field) in [
        (Answered { who: " ".to_owned(), ..answered() }, "who"),
        (Answered { reason: "a\nb".to_owned(), ..answered() }, "reason"),
        (Answered { on: "2026-11-24".parse().unwrap(), ..answered() }, "on"),
        (Answered { on: "2026-11-20".parse().unwrap(), ..answered() }, "on"),
    ] {
        let error = answer(wrong).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Input { field: it, .. } if it == field), "{error}");
    }
    riverton.ledger_disk.fail_writes_after("journal", 1);
    assert!(answer(answered()).await.is_err());
    riverton.ledger_disk.mend();
    let waiting = riverton.exchange.export(export.id).await.unwrap();
    assert!(waiting.awaits_answer() && waiting.details.recall.unwrap().answered.is_none());
    let done = answer(answered()).await.unwrap();
    assert!(!done.awaits_answer());
    let facts = done.details.recall.unwrap().answered.unwrap();
    assert_eq!((facts.who.as_str(), facts.document.unwrap()), ("Sgt. Ana Pell", "07".repeat(32)));
    let entry = riverton.ledger.read(EntryNumber(facts.act.entry)).unwrap();
    assert_eq!(entry.record.event.kind(), "recall-answered");
    assert_eq!(entry.record.who.unwrap().name, "det.ruiz");
    // Nobody is reminded any more, however late it is.
    world.clock.set(now() + (24 * 60).hours());
    riverton.exchange.tend().await.unwrap();
    assert_eq!(riverton.count("exchange-alert"), 0);
    let twice = answer(answered()).await.unwrap_err();
    assert!(matches!(twice, ExchangeError::WrongState { .. }), "{twice}");
}
