//! What must not be: the wrong people, the wrong agreement, the wrong partner, damaged bytes.

use super::depots::{Shelf, route};
use super::*;

/// A policy that lets everything pass, to show that this room has a lock of its own.
fn permissive() -> Arc<Policy> {
    let (schema, _) = policy::defaults();
    let text = "@id(\"all\")\n@why(\"everything\")\npermit (principal, action, resource);";
    let policies = [("all.cedar".to_owned(), text.to_owned())];
    Arc::new(Policy::from_text(&schema, &policies, keys::digest::sha256).unwrap())
}

async fn request_with(
    change: impl FnOnce(&World, &mut NewExport),
    policy: Option<Arc<Policy>>,
) -> (World, ExchangeError) {
    let world = world_with(|riverton, _| {
        if let Some(policy) = policy {
            riverton.policy = policy;
        }
    })
    .await;
    let mut new = new_export();
    change(&world, &mut new);
    let error = world.riverton.exchange.request(&ruiz(), new).await.unwrap_err();
    (world, error)
}

/// The policy refuses it and the clause is named; and without the policy the clause alone refuses it.
async fn check(change: fn(&World, &mut NewExport), policy_says: &str, clause: &str) {
    let (world, error) = request_with(change, None).await;
    let ExchangeError::Denied { reason, entry, .. } = &error else { panic!("{error:?}") };
    assert_eq!(reason, policy_says);
    assert_eq!(error.clause().unwrap().to_string(), clause);
    assert_eq!(world.riverton.ledger.read(*entry).unwrap().record.event.kind(), "decided");
    assert!(world.riverton.exchange.exports(&[], None).await.unwrap().is_empty());

    let (world, error) = request_with(change, Some(permissive())).await;
    let ExchangeError::Clause { entry, .. } = &error else { panic!("{error:?}") };
    assert_eq!(error.clause().unwrap().to_string(), clause);
    assert_eq!(world.riverton.ledger.read(*entry).unwrap().record.event.kind(), "withheld");
    assert_eq!(world.riverton.count("export-requested"), 0);
    assert!(world.riverton.exchange.exports(&[], None).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_expired_agreement_is_refused_with_its_clause() {
    check(
        |world, _| {
            world.clock.set("2027-01-01T00:00:00Z".parse().unwrap());
        },
        "no agreement with the partner is in force today; \
         to ask for or approve an export, prove again who you are, at most 5 minutes before",
        "agreement `lakeside-2026` ended on 2027-01-01T00:00:00Z",
    )
    .await;
}

#[tokio::test]
async fn a_class_that_the_agreement_does_not_name_is_refused_with_its_clause() {
    check(
        |_, new| new.items[0].record_class = "CHRI".parse().unwrap(),
        "the agreement with the partner does not cover CHRI records",
        "agreement `lakeside-2026` does not have CHRI among its record_classes",
    )
    .await;
}

#[tokio::test]
async fn a_barred_caveat_is_refused_with_its_clause() {
    let (world, error) = request_with(
        |_, new| {
            new.items[1].caveats.insert("SEALED".parse().unwrap());
        },
        Some(permissive()),
    )
    .await;
    let clause = "agreement `lakeside-2026` has SEALED among its caveats_barred";
    assert_eq!(error.clause().unwrap().to_string(), clause);
    assert!(world.riverton.exchange.exports(&[], None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_purpose_that_the_agreement_does_not_name_is_refused_with_its_clause() {
    check(
        |_, new| new.why.purpose = Some("E".parse().unwrap()),
        "the agreement with the partner does not cover that purpose",
        "agreement `lakeside-2026` does not have purpose E among its purposes",
    )
    .await;
}

#[tokio::test]
async fn an_unknown_agreement_and_empty_input_are_refused_before_anything_is_asked() {
    for (change, expected) in [
        (
            (|new| new.agreement = "other".into()) as fn(&mut NewExport),
            "there is no such agreement",
        ),
        (|new| new.title = " ".into(), "`title`: expected 1 to 200 characters"),
        (|new| new.items.clear(), "`items`: expected 1 to 100000 items"),
        (
            |new| new.items[0].path = new.items[1].path.clone(),
            "`items`: expected one path for each item",
        ),
    ] {
        let (world, error) = request_with(|_, new| change(new), None).await;
        assert_eq!(error.to_string(), expected);
        assert_eq!(world.riverton.count("export-requested"), 0);
    }
}

#[tokio::test]
async fn nobody_approves_their_own_export_whatever_the_policy_says() {
    for policy in [None, Some(permissive())] {
        let own_lock = policy.is_some();
        let world = world_with(|riverton, _| {
            if let Some(policy) = policy {
                riverton.policy = policy;
            }
        })
        .await;
        let sergeant = okafor();
        let export = world.riverton.exchange.request(&sergeant, new_export()).await.unwrap();
        let error = world.riverton.exchange.approve(&sergeant, export.id).await.unwrap_err();
        match (&error, own_lock) {
            (ExchangeError::SamePerson { .. }, true) => {}
            (ExchangeError::Denied { reason, .. }, false) => assert_eq!(
                reason,
                "an export is approved by somebody other than the person who asked for it"
            ),
            _ => panic!("{error:?}"),
        }
        assert!(error.entry().is_some());
        let export = world.riverton.exchange.export(export.id).await.unwrap();
        assert_eq!(export.status, ExportStatus::Requested);
        assert_eq!(world.riverton.count("export-approved"), 0);
        // Nor does rejecting one's own pass.
        assert!(world.riverton.exchange.reject(&sergeant, export.id, "mine").await.is_err());
    }
}

#[tokio::test]
async fn where_two_must_approve_one_person_counts_once() {
    let clock = Arc::new(FixedClock::new(now()));
    let mut stage = Stage::usual(&clock, vec![partner(LAKESIDE, 1)]);
    stage.agreements[0].facts.approvals = 2;
    let agency = stage.agency(RIVERTON).await;
    let export = agency.exchange.request(&ruiz(), new_export()).await.unwrap();
    let export = agency.exchange.approve(&okafor(), export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Requested);
    let again = agency.exchange.approve(&okafor(), export.id).await.unwrap_err();
    assert!(matches!(again, ExchangeError::ApprovedBefore), "{again:?}");
    let second = caller("lt.byrne", "supervisor", RIVERTON);
    let export = agency.exchange.approve(&second, export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Approved);
    assert_eq!(export.details.approvals.len(), 2);
}

#[tokio::test]
async fn a_rejected_export_is_never_sealed() {
    let world = world().await;
    let exchange = &world.riverton.exchange;
    let export = exchange.request(&ruiz(), new_export()).await.unwrap();
    let export = exchange.reject(&okafor(), export.id, "not under this agreement").await.unwrap();
    assert_eq!(export.status, ExportStatus::Rejected);
    let items = world.riverton.fetch(&ruiz(), &export.details.items).await.unwrap();
    let error = exchange.seal(&ruiz(), export.id, items).await.unwrap_err();
    assert_eq!(error.to_string(), "the export is rejected, and has to be approved for that");
    assert!(exchange.approve(&okafor(), export.id).await.is_err());
}

#[tokio::test]
async fn only_what_was_approved_is_sealed() {
    let world = world().await;
    let exchange = &world.riverton.exchange;
    let export = exchange.request(&ruiz(), new_export()).await.unwrap();
    exchange.approve(&okafor(), export.id).await.unwrap();
    let detective = ruiz();
    let fetch = || world.riverton.fetch(&detective, &export.details.items);
    let mut more = fetch().await.unwrap();
    more[0].path = "case/other.csv".to_owned();
    let mut fewer = fetch().await.unwrap();
    fewer.pop();
    let mut twice = fetch().await.unwrap();
    twice[0].path = twice[1].path.clone();
    twice[0].media_type = twice[1].media_type.clone();
    let mut other = fetch().await.unwrap();
    other[0].media_type = "application/zip".to_owned();
    for (items, expected) in [
        (more, "`case/other.csv` was not approved"),
        (fewer, "`evidence/door.mp4` was approved and not handed in"),
        (twice, "`evidence/statement.pdf` was handed in twice"),
        (other, "`case/incident.csv` was approved with another media type"),
    ] {
        let error = exchange.seal(&ruiz(), export.id, items).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(world.riverton.count("parcel-sealed"), 0);
}

#[tokio::test]
async fn a_flipped_bit_at_the_sender_is_refused_naming_the_part_and_recorded_on_both_sides() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    flip(&world.riverton.sent(export.parcel.unwrap()).join("data/000/part-000003.p7m"));
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_refused(&world, &export, "data/000/part-000003.p7m", "bytes 49152 to 65536").await;
}

#[tokio::test]
async fn a_flipped_bit_in_the_receivers_store_is_refused_naming_the_part() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    world.line.cut_after(export.details.sealed.as_ref().unwrap().bytes / 2);
    world.riverton.exchange.deliver(export.id).await.unwrap_err();
    world.line.mend();
    flip(&world.lakeside.arrived(export.exchange.unwrap()).join("data/000/part-000001.p7m"));
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_refused(&world, &export, "data/000/part-000001.p7m", "bytes 16384 to 32768").await;
}

async fn assert_refused(world: &World, export: &Export, place: &str, range: &str) {
    assert_eq!(export.status, ExportStatus::Refused);
    let incoming = world.lakeside.exchange.incoming(export.exchange.unwrap()).await.unwrap();
    assert_eq!(incoming.status, IncomingStatus::Refused);
    for refusal in [export.details.refusal.as_ref(), incoming.refusal.as_ref()] {
        let refusal = refusal.unwrap();
        assert_eq!(refusal.place, place);
        assert!(refusal.reason.contains(range), "{}", refusal.reason);
        assert!(refusal.reason.contains("altered"), "{}", refusal.reason);
    }
    for agency in [&world.riverton, &world.lakeside] {
        let refused = |event: &&Event| matches!(event, Event::ParcelRefused { where_, .. } if where_ == place);
        assert_eq!(agency.events().iter().filter(refused).count(), 1);
    }
    // The signed refusal travels back, and names the receiver's entry.
    let receipt = export.details.receipt.as_ref().unwrap();
    assert!(!receipt.accepted);
    let theirs = world.lakeside.ledger.read(EntryNumber(receipt.receiver_entry.unwrap())).unwrap();
    assert_eq!(theirs.record.event.kind(), "parcel-refused");
    // Nothing of it can be opened, and its room is free again.
    let exchange = export.exchange.unwrap();
    let opened = world.lakeside.exchange.contents(&pell(), exchange, &why()).await;
    assert!(matches!(opened, Err(ExchangeError::WrongState { .. })));
    assert!(!world.lakeside.arrived(exchange).exists());
    assert_eq!(world.lakeside.count("parcel-received"), 0);
}

#[tokio::test]
async fn a_parcel_damaged_after_its_arrival_is_not_shown_and_the_part_is_named() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(export.id).await.unwrap();
    let exchange = export.exchange.unwrap();
    world.lakeside.accepted(exchange).await;
    let store = world.lakeside.arrived(exchange);
    flip(&store.join("data/000/part-000004.p7m"));
    let open = |path, range| {
        let lakeside = world.lakeside.exchange.clone();
        async move { lakeside.document(&pell(), exchange, path, range, &why()).await }
    };
    let range = Some((64 << 10, 70 << 10));
    let error = open("evidence/door.mp4", range).await.err().unwrap();
    let ExchangeError::Refused(refused) = &error else { panic!("{error:?}") };
    assert_eq!(refused.file, "data/000/part-000004.p7m");
    assert_eq!(world.lakeside.story().last(), Some(&"withheld"));
    assert_eq!(world.lakeside.count("parcel-opened"), 0);
    // What other parts carry can still be read.
    assert!(open("evidence/door.mp4", Some((300_000, 300_010))).await.is_ok());
}

#[tokio::test]
async fn a_person_without_the_function_does_not_open_a_parcel() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(export.id).await.unwrap();
    let exchange = export.exchange.unwrap();
    world.lakeside.accepted(exchange).await;
    for who in [caller("so.grant", "security-officer", LAKESIDE), ruiz()] {
        let denied = world.lakeside.exchange.contents(&who, exchange, &why()).await;
        assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "{}", who.actor.name);
        let path = "evidence/statement.pdf";
        let denied = world.lakeside.exchange.document(&who, exchange, path, None, &why()).await;
        assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "{}", who.actor.name);
    }
    assert_eq!(world.lakeside.count("parcel-opened"), 0);
}

#[tokio::test]
async fn a_partner_with_another_certificate_gets_nothing() {
    // The one who answers is not the pinned partner.
    let world = world_with(|riverton, _| {
        let server = riverton.partners[0].server.as_mut().unwrap();
        server.tls = identity(STRANGER).tls.certificate.clone();
    })
    .await;
    let export = world.riverton.sealed().await.unwrap();
    let error = world.riverton.exchange.deliver(export.id).await.unwrap_err();
    assert!(error.chain().contains("TLS handshake"), "{}", error.chain());
    assert!(world.lakeside.story().is_empty());

    // The one who calls is not the pinned partner.
    let world = world_with(|_, lakeside| {
        let server = lakeside.partners[0].server.as_mut().unwrap();
        server.tls = identity(STRANGER).tls.certificate.clone();
    })
    .await;
    let export = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(export.id).await.unwrap_err();
    assert!(world.lakeside.story().is_empty());
    assert!(world.lakeside.exchange.all_incoming(&[], None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_parcel_that_the_partners_key_did_not_sign_is_refused_before_any_part() {
    let world = world_with(|_, lakeside| {
        lakeside.partners[0].signing = Some(identity(STRANGER).signing.certificate.clone());
    })
    .await;
    let export = world.riverton.sealed().await.unwrap();
    let before = world.line.carried();
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Refused);
    let refusal = export.details.refusal.unwrap();
    assert_eq!(refusal.place, "seal/tagmanifest-sha256.txt.p7s");
    assert!(refusal.reason.contains("whom we were not told to trust"), "{}", refusal.reason);
    assert!(world.line.carried() - before < 64 << 10, "parts were sent");
    assert_eq!(world.lakeside.story().join(" "), "parcel-refused");
    assert_eq!(world.riverton.count("parcel-refused"), 1);
    assert!(world.lakeside.exchange.all_incoming(&[], None).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_offer_for_somebody_else_is_refused_before_any_part() {
    let world = world_with(|riverton, _| {
        riverton.partners[0].sealing = identity(STRANGER).sealing.certificate.clone();
    })
    .await;
    let export = world.riverton.sealed().await.unwrap();
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    let refusal = export.details.refusal.unwrap();
    assert_eq!(refusal.reason, "is not addressed to our certificate");
}

#[tokio::test]
async fn an_agreement_that_ends_after_sealing_stops_the_sending() {
    let world = world_with(|riverton, _| riverton.settings.offer_life = Duration::MAX).await;
    let export = world.riverton.sealed().await.unwrap();
    world.clock.set("2027-01-01T00:00:00Z".parse().unwrap());
    let error = world.riverton.exchange.deliver(export.id).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Clause { .. }), "{error:?}");
    let export = world.riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Failed);
    assert_eq!(world.riverton.count("parcel-sent"), 0);
    assert!(world.lakeside.story().is_empty());
}

#[tokio::test]
async fn an_export_is_under_one_agreement_and_sealed_to_its_partner_alone() {
    let world = world_with(|riverton, _| {
        let mut stranger = partner(STRANGER, 0);
        stranger.server = None;
        riverton.partners.push(stranger);
        let mut other = agreement(STRANGER.0);
        other.facts.id = "stranger-2026".to_owned();
        other.terms.parties[1].ori = STRANGER.0.parse().unwrap();
        riverton.agreements.push(other);
        let shelf = Arc::new(Shelf::default());
        let theirs = Some(STRANGER.0.parse().unwrap());
        riverton.routes = vec![Route { partner: theirs, ..route("theirs", shelf) }];
    })
    .await;
    let riverton = &world.riverton;
    // The way of one partner under the agreement of another.
    let new = NewExport { route: Some("theirs".to_owned()), ..new_export() };
    let error = riverton.exchange.request(&ruiz(), new).await.unwrap_err();
    assert!(error.to_string().contains("one of the ways to this partner"), "{error}");
    assert!(riverton.exchange.exports(&[], None).await.unwrap().is_empty());
    let export = riverton.sealed().await.unwrap();
    let senders = vec![identity(RIVERTON).signing.certificate.clone()];
    let trust = parcel::Trust { senders, now: now() };
    let parcel = parcel::Parcel::enter(&riverton.sent(export.parcel.unwrap()), &trust).unwrap();
    let lakeside = identity(LAKESIDE).sealing.certificate.fingerprint_text();
    assert_eq!(parcel.verified().recipients, [lakeside]);
}
