//! Which certificates of a partner count: two to seal to, those that are revoked, and none where it has no server.

use keys::kem::{Kem, KemKey};
use parcel::RecipientKey;

use super::carried::{bag_with, is_usable};
use super::depots::{Shelf, route};
use super::*;

/// A second certificate to seal to, vouched for by the agency's signing certificate, and its key.
fn kem_of(of: (&str, &str)) -> Recipient {
    let (signing, key) = (&identity(of).signing, KemKey::generate(Kem::MlKem768).unwrap());
    let spec = CertSpec {
        subject_cn: "sealed to".to_owned(),
        organisation: of.1.to_owned(),
        not_before: now() - SignedDuration::from_hours(24),
        not_after: now() + SignedDuration::from_hours(24 * 365),
        usage: Usage::KeyEncipherment,
        dns: Vec::new(),
        ips: Vec::new(),
        uris: Vec::new(),
    };
    let issuer = (&signing.certificate, &signing.key);
    let spki = key.public_spki().unwrap();
    let certificate = keys::cert::issue_for(&spec, &spki, issuer, &SystemRandom).unwrap();
    Recipient { certificate, key: RecipientKey::MlKem(key) }
}

fn again(recipient: &Recipient) -> Recipient {
    let key = RecipientKey::from_pkcs8(&recipient.key.to_pkcs8().unwrap()).unwrap();
    Recipient { certificate: recipient.certificate.clone(), key }
}

#[tokio::test]
async fn a_parcel_is_sealed_to_both_certificates_of_a_partner_and_either_key_opens_it() {
    let kem = kem_of(LAKESIDE);
    let world = world_with(|riverton, lakeside| {
        riverton.partners[0].sealing_kem = Some(kem.certificate.clone());
        lakeside.recipient_kem = Some(again(&kem));
    })
    .await;
    let export = world.riverton.sealed().await.unwrap();
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Acknowledged);
    let folder = world.lakeside.arrived(export.exchange.unwrap());
    let senders = vec![identity(RIVERTON).signing.certificate.clone()];
    let trust = parcel::Trust { senders, now: now() };
    let parcel = parcel::Parcel::enter(&folder, &trust).unwrap();
    let p384 = identity(LAKESIDE).recipient();
    let mut both = [&kem, &p384].map(|one| one.certificate.fingerprint_text());
    both.sort();
    assert_eq!(parcel.verified().recipients, both);
    for one in [&kem, &p384] {
        assert_eq!(parcel.unlock(one).unwrap().files().len(), 3);
    }
}

#[tokio::test]
async fn what_is_sealed_to_our_second_key_alone_is_taken_opened_and_scanned_with_it() {
    let kem = kem_of(LAKESIDE);
    let world = world_with(|riverton, lakeside| {
        riverton.partners[0].sealing = kem.certificate.clone();
        lakeside.recipient_kem = Some(again(&kem));
    })
    .await;
    let export = world.riverton.sealed().await.unwrap();
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Acknowledged);
    let (exchange, path) = (export.exchange.unwrap(), "evidence/statement.pdf");
    world.lakeside.accepted(exchange).await;
    let lakeside = &world.lakeside.exchange;
    let document = lakeside.document(&pell(), exchange, path, None, &why()).await.unwrap();
    assert_eq!(document.open().0.bytes, content(path));
}

fn revoked(certificate: &Certificate, after_hours: i64) -> Revoked {
    Revoked {
        fingerprint: certificate.fingerprint_text(),
        since: now() + SignedDuration::from_hours(after_hours),
        reason: "the key was copied".to_owned(),
    }
}

#[tokio::test]
async fn a_revoked_signer_is_refused_from_then_on_and_what_came_before_stays_readable() {
    let world = world_with(|_, lakeside| {
        let signing = &identity(RIVERTON).signing.certificate;
        lakeside.partners[0].revoked = vec![revoked(signing, 1)];
    })
    .await;
    let before = world.riverton.sealed().await.unwrap();
    let before = world.riverton.exchange.deliver(before.id).await.unwrap();
    assert_eq!(before.status, ExportStatus::Acknowledged);
    world.lakeside.accepted(before.exchange.unwrap()).await;
    let after = world.riverton.sealed().await.unwrap();
    world.clock.set(now() + SignedDuration::from_hours(2));
    let error = world.riverton.exchange.deliver(after.id).await.unwrap_err();
    let said = error.chain();
    assert!(said.contains("certificate-revoked") && said.contains("the key was copied"), "{said}");
    assert!(said.contains("signs its parcels and receipts"), "{said}");
    assert_eq!(world.lakeside.count("parcel-offered"), 1);
    let refused = world.lakeside.events().into_iter().any(|event| {
        matches!(event, Event::RequestRefused { reason, .. } if reason.contains("revoked since"))
    });
    assert!(refused, "it is on record");
    let lakeside = &world.lakeside.exchange;
    let (exchange, path) = (before.exchange.unwrap(), "evidence/statement.pdf");
    let mut late = pell();
    late.actor.assurance.authenticated_at = world.clock.now();
    let document = lakeside.document(&late, exchange, path, None, &why()).await.unwrap();
    assert_eq!(document.open().0.bytes, content(path));
    // Heard of late: what came after the key was stolen does not open any more.
    let later = reviewed::restarted_as(&world.lakeside, LAKESIDE, |setup| {
        let mut riverton = setup.book.partners().next().unwrap().clone();
        riverton.revoked = vec![revoked(&identity(RIVERTON).signing.certificate, -1)];
        setup.book = Book::new(vec![riverton], setup.book.agreements().cloned().collect());
    });
    let error = later.document(&late, exchange, path, None, &why()).await.map(drop).unwrap_err();
    assert!(error.chain().contains("revoked since"), "{error}");
}

#[tokio::test]
async fn what_is_carried_opens_with_either_key_and_a_revoked_signer_is_named() {
    let kem = kem_of(LAKESIDE);
    let bag = bag_with(|riverton, lakeside| {
        riverton.partners[0].sealing = kem.certificate.clone();
        lakeside.recipient_kem = Some(again(&kem));
    })
    .await;
    is_usable(&bag, &bag.take(&bag.zip).await.unwrap()).await;

    let bag = bag_with(|_, lakeside| {
        let signing = &identity(RIVERTON).signing.certificate;
        lakeside.partners[0].revoked = vec![revoked(signing, 1)];
    })
    .await;
    bag.world.clock.set(now() + SignedDuration::from_hours(2));
    let why = bag.refused(&bag.zip).await;
    assert!(why.contains("is revoked since") && why.contains("the key was copied"), "{why}");
    assert!(bag.world.lakeside.exchange.all_incoming(&[], None).await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_is_asked_for_sealed_or_sent_to_a_revoked_certificate() {
    let lakeside = identity(LAKESIDE);
    for certificate in [&lakeside.sealing.certificate, &lakeside.tls.certificate] {
        let world = world_with(|riverton, _| {
            riverton.partners[0].revoked = vec![revoked(certificate, 1)];
        })
        .await;
        let export = world.riverton.sealed().await.unwrap();
        world.clock.set(now() + SignedDuration::from_hours(2));
        for error in [
            world.riverton.exchange.deliver(export.id).await.unwrap_err(),
            world.riverton.exchange.request(&ruiz(), new_export()).await.unwrap_err(),
        ] {
            assert_eq!(error.clause().unwrap().code(), "partner.revoked", "{error}");
        }
        assert_eq!(world.lakeside.count("parcel-offered"), 0);
    }
}

#[tokio::test]
async fn a_partner_without_a_server_gets_parcels_by_its_other_ways_and_is_told_by_people() {
    let shelf = Arc::new(Shelf::default());
    let world = world_with(|riverton, _| {
        riverton.partners[0].server = None;
        riverton.partners[0].signing = None;
        riverton.routes = vec![route("shelf", shelf)];
    })
    .await;
    let riverton = &world.riverton;
    let error = riverton.exchange.request(&ruiz(), new_export()).await.unwrap_err();
    assert!(error.to_string().contains("`route`: expected one of the ways"), "{error}");
    let export = riverton.sealed_for("shelf").await;
    let export = riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Delivered);
    riverton.exchange.recall(&ruiz(), export.id, "the wrong case").await.unwrap();
    riverton.exchange.work_once(None).await.unwrap();
    let told = riverton.events().into_iter().any(|event| {
        matches!(event, Event::ExchangeAlert { what, .. } if what.contains("tell them by other means"))
    });
    assert!(told, "{:?}", riverton.story());
}
