//! A received file goes on to a third agency, under the terms under which it came, or not at all.

use super::*;

const OLD: &str = "evidence/statement.pdf";
const HILL: (&str, &str) = STRANGER;

/// Lakeside's agreement with a third agency.
fn hill() -> Agreement {
    let mut hill = agreement(HILL.0);
    hill.facts.id = "hill-2026".to_owned();
    hill.facts.purposes.insert("J".parse().unwrap());
    hill.terms.parties[0].ori = HILL.0.parse().unwrap();
    hill
}

/// Riverton's parcel lies at Lakeside, accepted; Lakeside shares with Hill too.
async fn world_of_three(change: impl FnOnce(&mut Stage)) -> (World, Uuid) {
    let world = world_with(|_, lakeside| {
        lakeside.partners.push(partner(HILL, 1));
        lakeside.agreements.push(hill());
        change(lakeside);
    })
    .await;
    let export = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(export.id).await.unwrap();
    let exchange = export.exchange.unwrap();
    world.lakeside.accepted(exchange).await;
    (world, exchange)
}

fn ames() -> Caller {
    caller("det.ames", "detective", LAKESIDE)
}

fn holt() -> Caller {
    caller("sgt.holt", "supervisor", LAKESIDE)
}

impl Agency {
    async fn item_of(&self, exchange: Uuid) -> Item {
        self.exchange.passing(&ames(), exchange, OLD, &why()).await.unwrap().item
    }

    async fn to_hill(&self, item: Item, consent: Option<&str>) -> Result<Export, ExchangeError> {
        let new = NewExport {
            agreement: "hill-2026".to_owned(),
            items: vec![item],
            requestor: Some("Det. R. Moss, Hill".to_owned()),
            consent: consent.map(str::to_owned),
            ..new_export()
        };
        self.exchange.request(&ames(), new).await
    }
}

#[tokio::test]
async fn with_its_senders_consent_a_file_goes_on_and_what_binds_it_goes_along() {
    let (world, exchange) =
        world_of_three(|lakeside| lakeside.agreements[0].terms.retention_days = Some(90)).await;
    let lakeside = &world.lakeside;
    let passing = lakeside.exchange.passing(&ames(), exchange, OLD, &why()).await.unwrap();
    assert_eq!(passing.terms.len(), 1);
    let item = passing.item;
    assert_eq!(
        item.classes().map(|one| one.as_str()).collect::<Vec<_>>(),
        ["EVIDENCE", "INCIDENT"]
    );

    let refused = lakeside.to_hill(item.clone(), None).await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "origin.consent");
    assert!(refused.to_string().contains("agreement `lakeside-2026`"), "{refused}");
    let silent =
        NewExport { agreement: "hill-2026".to_owned(), items: vec![item.clone()], ..new_export() };
    let silent = lakeside.exchange.request(&ames(), silent).await;
    assert!(matches!(silent, Err(ExchangeError::Input { field: "requestor", .. })), "{silent:?}");

    let consent = "letter of Chief Marsh, 20 November 2026";
    let export = lakeside.to_hill(item, Some(consent)).await.unwrap();
    lakeside.exchange.approve(&holt(), export.id).await.unwrap();
    let items = lakeside.fetch(&holt(), &export.details.items).await.unwrap();
    let export = lakeside.exchange.seal(&holt(), export.id, items).await.unwrap();

    let logged = lakeside.events().into_iter().find_map(|event| match event {
        Event::SecondaryDissemination { records, partner, requestor, method, .. } => {
            Some((records, partner, requestor, method))
        }
        _ => None,
    });
    let (records, partner, requestor, method) = logged.unwrap();
    assert!(records.starts_with("evidence/statement.pdf, received from Riverton"), "{records}");
    assert_eq!((partner.as_str(), requestor.as_str()), (HILL.0, "Det. R. Moss, Hill"));
    assert!(method.contains(consent), "{method}");

    let senders = vec![identity(LAKESIDE).signing.certificate.clone()];
    let trust = parcel::Trust { senders, now: now() };
    let parcel = parcel::Parcel::enter(&lakeside.sent(export.parcel.unwrap()), &trust).unwrap();
    let recipient = identity(HILL).recipient();
    let unlocked = parcel.unlock(&recipient).unwrap();
    let transfer = &unlocked.record().transfer;
    assert_eq!(transfer.record_classes, ["EVIDENCE", "INCIDENT"]);
    let retention = transfer.retention.as_ref().unwrap();
    assert!(
        retention.contains("what came from NB0010100 is destroyed by 2027-02-20"),
        "{retention}"
    );
    let path = format!("received/{}/{OLD}", RIVERTON.0);
    assert_eq!(unlocked.read(&path, 0, content(OLD).len() as u64).unwrap(), content(OLD));
    let events = unlocked.custody_events().unwrap().unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "sealed").count(), 2, "{kinds:?}");
}

/// What a stage is set otherwise by.
type Change = Box<dyn FnOnce(&mut Stage)>;

#[tokio::test]
async fn terms_that_are_against_it_are_named_and_it_stays_here() {
    let none = |lakeside: &mut Stage| {
        lakeside.agreements[0].terms.redistribution = Redistribution::None;
    };
    let rule = |lakeside: &mut Stage| {
        lakeside.agreements[0].terms.redistribution = Redistribution::UnderTheseTerms;
        lakeside.partners[0].jurisdiction = Some("RIVER".to_owned());
        let text = "[[rule]]\nid = \"stays\"\njurisdiction = \"RIVER\"\ncitation = \"RS 7\"\n\
                    record_class = \"INCIDENT\"\nredistribution = \"none\"\n";
        let file = Path::new("jurisdictions.toml");
        lakeside.rules = crate::book::jurisdictions(file, text).unwrap();
    };
    let unknown = |lakeside: &mut Stage| drop(lakeside.agreements.remove(0));
    let classes = |lakeside: &mut Stage| {
        lakeside.agreements[1].facts.record_classes = BTreeSet::from(["EVIDENCE".parse().unwrap()]);
    };
    let all: [(&str, &str, Change); 4] = [
        ("origin.redistribution", "agreement `lakeside-2026`", Box::new(none)),
        ("origin.redistribution", "rule stays of RIVER (RS 7)", Box::new(rule)),
        ("origin.agreement", "NB0010100", Box::new(unknown)),
        ("agreement.record-class", "`hill-2026` does not have INCIDENT", Box::new(classes)),
    ];
    for (code, named, change) in all {
        let (world, exchange) = world_of_three(change).await;
        let lakeside = &world.lakeside;
        let item = lakeside.item_of(exchange).await;
        let refused = lakeside.to_hill(item, Some("a letter")).await.unwrap_err();
        let clause = refused.clause().unwrap();
        assert_eq!(clause.code(), code);
        assert!(clause.to_string().contains(named), "{clause}");
        assert!(lakeside.exchange.exports(&[], None).await.unwrap().is_empty());
    }
}

/// It came under an agreement whose file was taken away since, and there is another one with its sender that allows more.
#[tokio::test]
async fn an_agreement_that_is_gone_is_not_replaced_by_a_looser_one() {
    let (world, exchange) = world_of_three(|lakeside| {
        lakeside.agreements[0].terms.retention_days = Some(90);
        let mut loose = agreement(LAKESIDE.0);
        loose.facts.id = "anything-goes".to_owned();
        loose.terms.redistribution = Redistribution::UnderTheseTerms;
        lakeside.agreements.push(loose);
    })
    .await;
    let lakeside = &world.lakeside;
    let before = lakeside.exchange.incoming(exchange).await.unwrap();
    let later = reviewed::restarted_as(lakeside, LAKESIDE, |setup| {
        let all = setup.book.agreements().filter(|one| one.facts.id != "lakeside-2026");
        let all = all.cloned().collect();
        setup.book = Book::new(setup.book.partners().cloned().collect(), all);
    });
    let passing = later.passing(&ames(), exchange, OLD, &why()).await.unwrap();
    assert_eq!(passing.terms.len(), 1);
    assert_eq!(passing.terms[0].agreement.facts.id, "lakeside-2026");
    let new = NewExport {
        agreement: "hill-2026".to_owned(),
        items: vec![passing.item],
        requestor: Some("Det. R. Moss, Hill".to_owned()),
        consent: Some("a letter".to_owned()),
        ..new_export()
    };
    let refused = later.request(&ames(), new).await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "origin.agreement");
    assert!(refused.to_string().contains("`lakeside-2026`, under which it came"), "{refused}");
    // How long it may be kept is as it was.
    let after = later.incoming(exchange).await.unwrap().afterwards;
    assert_eq!(after.destroy_by, before.afterwards.destroy_by);
    // One that we never had is the sender's own name for one of ours.
    let mut row = later.incoming_row(exchange).await.unwrap();
    row.details.agreement = "riverton-2025-7".to_owned();
    let inside = row.details.inside.clone().unwrap();
    let all = later.origins(&row, &inside, None).await.unwrap();
    assert_eq!(all.len(), 1, "all that there are with its sender");
    assert_eq!(all[0].agreement.facts.id, "anything-goes");
}

#[tokio::test]
async fn its_senders_purposes_bind_and_an_item_is_what_the_store_says() {
    let (world, exchange) = world_of_three(|_| ()).await;
    let lakeside = &world.lakeside;
    let item = lakeside.item_of(exchange).await;
    let other = NewExport {
        agreement: "hill-2026".to_owned(),
        items: vec![item.clone()],
        requestor: Some("Det. R. Moss, Hill".to_owned()),
        consent: Some("a letter".to_owned()),
        why: Why { purpose: Some("J".parse().unwrap()), ..why() },
        ..new_export()
    };
    let refused = lakeside.exchange.request(&ames(), other).await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "agreement.purpose");
    assert!(refused.to_string().contains("`lakeside-2026`"), "{refused}");

    let mut forged = [item.clone(), item.clone(), item.clone(), item.clone()];
    forged[0].received.as_mut().unwrap().from = None;
    forged[1].received.as_mut().unwrap().from = Some(HILL.0.to_owned());
    forged[2].received.as_mut().unwrap().record_classes = BTreeSet::new();
    forged[3].received.as_mut().unwrap().destroy_by = Some(now());
    for forged in forged {
        let refused = lakeside.to_hill(forged, Some("a letter")).await;
        assert!(matches!(refused, Err(ExchangeError::Items { .. })), "{refused:?}");
    }
    let officer = caller("ofc.new", "patrol-officer", LAKESIDE);
    let denied = lakeside.exchange.passing(&officer, exchange, OLD, &why()).await;
    assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "{denied:?}");
    let absent = lakeside.exchange.passing(&ames(), exchange, "evidence/none.pdf", &why()).await;
    assert!(matches!(absent, Err(ExchangeError::NoSuch { .. })), "{absent:?}");
    // Destroyed between the asking and the yes.
    let export = lakeside.to_hill(item, Some("a letter")).await.unwrap();
    lakeside.exchange.destroy_parcel(&pell(), exchange, "asked back").await.unwrap();
    let gone = lakeside.exchange.approve(&holt(), export.id).await;
    assert!(matches!(gone, Err(ExchangeError::WrongState { .. })), "{gone:?}");
    lakeside.exchange.reject(&holt(), export.id, "it is no longer here").await.unwrap();
}

#[tokio::test]
async fn what_is_not_recorded_or_was_altered_here_is_not_passed_on() {
    let (world, exchange) = world_of_three(|_| ()).await;
    let lakeside = &world.lakeside;
    let item = lakeside.item_of(exchange).await;
    for appends in 0..3 {
        lakeside.ledger_disk.fail_writes_after("journal", appends);
        assert!(lakeside.to_hill(item.clone(), Some("a letter")).await.is_err());
        lakeside.ledger_disk.mend();
        assert!(lakeside.exchange.exports(&[], None).await.unwrap().is_empty());
    }
    let export = lakeside.to_hill(item.clone(), Some("a letter")).await.unwrap();
    lakeside.exchange.approve(&holt(), export.id).await.unwrap();
    for appends in 0..3 {
        lakeside.ledger_disk.fail_writes_after("journal", appends);
        assert!(lakeside.exchange.fetch_received(&holt(), &item, &why()).await.is_err());
        lakeside.ledger_disk.mend();
    }
    let items = lakeside.fetch(&holt(), &export.details.items).await.unwrap();
    let folder = lakeside.arrived(exchange).join("data");
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap().path();
        let parts =
            if entry.is_dir() { std::fs::read_dir(&entry).unwrap().collect() } else { Vec::new() };
        parts.into_iter().for_each(|part| flip(&part.unwrap().path()));
    }
    assert!(lakeside.exchange.seal(&holt(), export.id, items).await.is_err());
    let export = lakeside.exchange.export(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Approved);
    assert!(!lakeside.sent(export.parcel.unwrap()).exists());
}

#[tokio::test]
async fn what_somebody_brought_goes_on_without_terms_and_with_its_custody() {
    let (world, _) = world_of_three(|_| ()).await;
    let lakeside = &world.lakeside;
    let brought = Brought {
        zip: testkit::zip_of(&[("door.txt", b"seen at the door\n")]),
        from: "the corner shop".to_owned(),
        authority: "consent of its owner".to_owned(),
        case_number: None,
        record_class: "EVIDENCE".parse().unwrap(),
    };
    let exchange = lakeside.exchange.take_in(&pell(), brought).await.unwrap().exchange;
    lakeside.accepted(exchange).await;
    let passing = lakeside.exchange.passing(&ames(), exchange, "door.txt", &why()).await.unwrap();
    assert!(passing.terms.is_empty());
    let silent = NewExport {
        agreement: "hill-2026".to_owned(),
        items: vec![passing.item.clone()],
        ..new_export()
    };
    let silent = lakeside.exchange.request(&ames(), silent).await;
    assert!(matches!(silent, Err(ExchangeError::Input { field: "requestor", .. })), "{silent:?}");
    let export = lakeside.to_hill(passing.item, None).await.unwrap();
    lakeside.exchange.approve(&holt(), export.id).await.unwrap();
    let items = lakeside.fetch(&holt(), &export.details.items).await.unwrap();
    lakeside.exchange.seal(&holt(), export.id, items).await.unwrap();
    assert_eq!(lakeside.count("secondary-dissemination"), 0, "nobody disseminated it before");
}

/// Sealed for Hill, and not delivered when what it came from is destroyed here.
#[tokio::test]
async fn what_waits_for_its_delivery_stays_here_once_its_origin_is_gone() {
    let (world, exchange) = world_of_three(|_| ()).await;
    let lakeside = &world.lakeside;
    let item = lakeside.item_of(exchange).await;
    let export = lakeside.to_hill(item, Some("a letter")).await.unwrap();
    lakeside.exchange.approve(&holt(), export.id).await.unwrap();
    let items = lakeside.fetch(&holt(), &export.details.items).await.unwrap();
    lakeside.exchange.seal(&holt(), export.id, items).await.unwrap();
    lakeside.exchange.destroy_parcel(&pell(), exchange, "recalled").await.unwrap();
    let refused = lakeside.exchange.deliver(export.id).await.unwrap_err();
    assert!(
        matches!(refused, ExchangeError::WrongState { what: "parcel", .. }),
        "{}",
        refused.chain()
    );
    assert_eq!(lakeside.count("parcel-sent"), 0);
}
