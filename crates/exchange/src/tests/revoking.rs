//! Certificates that are revoked after something was done with them: what was sealed stays, what came does not open.

use super::*;

/// The agency after a restart on which its partner's file says that this certificate is revoked.
async fn revoked_at(
    agency: &Agency,
    of: (&str, &str),
    certificate: &Certificate,
    after_hours: i64,
    change: impl FnOnce(&mut Partner),
) -> Exchange {
    let later = reviewed::restarted_as(agency, of, |setup| {
        let mut partner = setup.book.partners().next().unwrap().clone();
        partner.revoked.push(Revoked {
            fingerprint: certificate.fingerprint_text(),
            since: now() + SignedDuration::from_hours(after_hours),
            reason: "the key was copied".to_owned(),
        });
        change(&mut partner);
        setup.book = Book::new(vec![partner], setup.book.agreements().cloned().collect());
    });
    accept_written(&later, &caller("so.lindqvist", "security-officer", of)).await;
    later
}

#[tokio::test]
async fn a_parcel_sealed_to_a_certificate_that_was_revoked_since_stays_though_there_is_a_new_one() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    let invited = guests::invitation("j.pell", 48);
    let officer = caller("so.lindqvist", "security-officer", RIVERTON);
    world.riverton.exchange.invite(&officer, export.id, invited).await.unwrap();
    let sealed_to = identity(LAKESIDE).sealing.certificate.clone();
    assert_eq!(export.details.sealed.clone().unwrap().recipients, [sealed_to.fingerprint_text()]);
    let later = revoked_at(&world.riverton, RIVERTON, &sealed_to, -1, |lakeside| {
        lakeside.sealing = identity(STRANGER).sealing.certificate.clone();
    })
    .await;

    let guest = caller("j.pell", "partner-guest", LAKESIDE);
    let refused = [
        later.guest_fetch(&guest, export.id, Form::Zip).await.map(drop).unwrap_err(),
        later.download(&ruiz(), export.id, Form::Tar).await.map(drop).unwrap_err(),
        later.deliver(export.id).await.map(drop).unwrap_err(),
        later.again(&ruiz(), export.id).await.map(drop).unwrap_err(),
    ];
    for error in refused {
        let clause = error.clause().unwrap();
        assert_eq!(clause.code(), "partner.revoked");
        assert!(clause.to_string().contains("asked for anew"), "{clause}");
        assert!(clause.to_string().contains("the key was copied"), "{clause}");
        let entry = world.riverton.ledger.read(error.entry().unwrap()).unwrap().record.event;
        assert!(["withheld", "request-refused"].contains(&entry.kind()), "{entry:?}");
    }
    assert_eq!(later.export(export.id).await.unwrap().status, ExportStatus::Failed);
    assert_eq!(world.lakeside.count("parcel-offered"), 0);
    assert_eq!(world.riverton.count("parcel-downloaded"), 0);
}

#[tokio::test]
async fn what_a_revoked_signer_sent_is_neither_listed_accepted_nor_passed_on_and_each_is_on_record()
{
    let world = world().await;
    let mut arrived = Vec::new();
    for _ in 0..2 {
        let export = world.riverton.sealed().await.unwrap();
        world.riverton.exchange.deliver(export.id).await.unwrap();
        arrived.push(export.exchange.unwrap());
    }
    let (lakeside, path) = (&world.lakeside, "evidence/statement.pdf");
    lakeside.accepted(arrived[0]).await;
    let signing = identity(RIVERTON).signing.certificate.clone();
    let later = revoked_at(lakeside, LAKESIDE, &signing, -1, |_| ()).await;
    let before = lakeside.count("withheld");
    for error in [
        later.contents(&pell(), arrived[0], &why()).await.map(drop).unwrap_err(),
        later.document(&pell(), arrived[0], path, None, &why()).await.map(drop).unwrap_err(),
        later.original(&pell(), arrived[0], path, &why()).await.map(drop).unwrap_err(),
        later.passing(&pell(), arrived[0], path, &why()).await.map(drop).unwrap_err(),
        later.accept_parcel(&pell(), arrived[1]).await.map(drop).unwrap_err(),
    ] {
        assert!(error.chain().contains("revoked since"), "{error}");
    }
    // Twice for each of the four that open, for there are two classes in it; once for the acceptance.
    assert_eq!(lakeside.count("withheld") - before, 9);
    assert_eq!(later.incoming(arrived[1]).await.unwrap().status, IncomingStatus::Received);
    // It can be turned away.
    later.reject_parcel(&pell(), arrived[1], "signed with a copied key").await.unwrap();
}

#[tokio::test]
async fn a_parcel_under_an_agreement_of_another_name_opens_for_the_purposes_of_those_with_its_sender()
 {
    let opens = async |lakeside: &Exchange, arrived: Uuid, purpose: &str| {
        let why = Why { purpose: Some(purpose.parse().unwrap()), ..why() };
        lakeside.contents(&pell(), arrived, &why).await.map(drop)
    };
    let world = world_with(|_, lakeside| {
        lakeside.agreements[0].facts.id = "ours-with-riverton".to_owned();
        let mut other = agreement(LAKESIDE.0);
        other.facts.id = "another".to_owned();
        other.facts.purposes = BTreeSet::from(["J".parse().unwrap()]);
        lakeside.agreements.push(other);
    })
    .await;
    let export = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(export.id).await.unwrap();
    let (lakeside, arrived) = (&world.lakeside, export.exchange.unwrap());
    lakeside.accepted(arrived).await;
    for purpose in ["C", "J"] {
        opens(&lakeside.exchange, arrived, purpose).await.unwrap();
    }
    let refused = opens(&lakeside.exchange, arrived, "F").await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "agreement.purpose", "{refused}");

    // With none left it opens for what it says that it was sent for.
    let alone = reviewed::restarted_as(lakeside, LAKESIDE, |setup| {
        setup.book = Book::new(setup.book.partners().cloned().collect(), Vec::new());
    });
    opens(&alone, arrived, "C").await.unwrap();
    let refused = opens(&alone, arrived, "J").await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "origin.purpose", "{refused}");
    // And for nothing where it says nothing.
    let mute = |row: &mut crate::model::IncomingRow| {
        row.details.inside.as_mut().unwrap().purpose = "whatever".to_owned();
    };
    alone.change_incoming(arrived, mute).await.unwrap();
    let refused = opens(&alone, arrived, "C").await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "origin.no-purpose", "{refused}");
}
