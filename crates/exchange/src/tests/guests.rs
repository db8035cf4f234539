//! Guests: invited, let in for what names them and nothing else, ended by a person and by their day.

use jiff::ToSpan;

use super::*;

fn lindqvist() -> Caller {
    caller("so.lindqvist", "security-officer", RIVERTON)
}

/// Somebody of Lakeside who came through its own provider.
fn guest(name: &str) -> Caller {
    caller(name, "partner-guest", LAKESIDE)
}

pub(super) fn invitation(name: &str, hours: i64) -> NewGuest {
    NewGuest {
        account: format!("idp|{name}"),
        name: name.to_owned(),
        agency: LAKESIDE.0.parse().unwrap(),
        until: now() + SignedDuration::from_hours(hours),
    }
}

/// The bytes of a download, to its end.
async fn bytes_of(mut download: Download) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = download.pieces.recv().await {
        all.extend_from_slice(&piece.unwrap());
    }
    all
}

#[tokio::test]
async fn a_guest_sees_and_fetches_what_names_them_until_their_day_and_all_of_it_is_on_record() {
    let world = world().await;
    let riverton = &world.riverton;
    let export = riverton.sealed().await.unwrap();
    let other = riverton.sealed().await.unwrap();
    let invited = riverton.exchange.invite(&lindqvist(), export.id, invitation("j.pell", 48)).await;
    assert_eq!(invited.unwrap().details.guests.len(), 1);
    let pell = guest("j.pell");
    let seen = riverton.exchange.invitations(&pell).await.unwrap();
    assert_eq!(seen.iter().map(|one| one.id).collect::<Vec<_>>(), [export.id]);
    let (_, manifest) = riverton.exchange.guest_manifest(&pell, export.id).await.unwrap();
    assert_eq!(manifest.digest, export.details.sealed.clone().unwrap().digest);
    assert!(manifest.files.iter().any(|(path, _)| path == "HOW-TO-OPEN.txt"));
    let fetched = riverton.exchange.guest_fetch(&pell, export.id, Form::Zip).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("parcel.zip");
    std::fs::write(&place, bytes_of(fetched).await).unwrap();
    let senders = vec![identity(RIVERTON).signing.certificate.clone()];
    let trust = parcel::Trust { senders, now: now() };
    parcel::verify(&place, &trust, parcel::Watch::none()).unwrap();
    let told = riverton.story().join(" ");
    assert!(told.contains("decided guest-invited written"), "{told}");
    assert!(
        told.ends_with("decided released decided released decided parcel-downloaded released"),
        "{told}"
    );

    // Not another parcel, not another person, not a person of ours, not after their day.
    let refused = riverton.exchange.guest_manifest(&pell, other.id).await;
    assert!(matches!(refused, Err(ExchangeError::NoSuch { .. })), "{refused:?}");
    let grant = guest("r.grant");
    assert!(riverton.exchange.invitations(&grant).await.unwrap().is_empty());
    let refused = riverton.exchange.guest_fetch(&grant, export.id, Form::Zip).await;
    assert!(matches!(refused, Err(ExchangeError::NoSuch { .. })), "{refused:?}");
    let ours = caller("j.pell", "partner-guest", RIVERTON);
    let refused = riverton.exchange.guest_fetch(&ours, export.id, Form::Zip).await;
    assert!(matches!(refused, Err(ExchangeError::NoSuch { .. })), "{refused:?}");
    world.clock.set(now() + 49.hours());
    let refused = riverton.exchange.guest_fetch(&pell, export.id, Form::Zip).await;
    assert!(matches!(refused, Err(ExchangeError::NoSuch { .. })), "{refused:?}");
    assert_eq!(riverton.count("parcel-downloaded"), 1);
    assert_eq!(riverton.count("withheld"), 4);
}

#[tokio::test]
async fn an_invitation_is_found_however_many_exports_came_after_it() {
    let world = world().await;
    let riverton = &world.riverton;
    let export = riverton.sealed().await.unwrap();
    riverton.exchange.invite(&lindqvist(), export.id, invitation("j.pell", 48)).await.unwrap();
    // More than two pages of others, all of one moment.
    let mut row = riverton.exchange.export_row(export.id).await.unwrap();
    row.details.guests.clear();
    row.requested_at = now() + 1.hours();
    for n in 0..1_001 {
        row.id = Uuid::from_u128(n);
        state::exports::insert(&riverton.exchange.0.setup.state, &mut row).await.unwrap();
    }
    let seen = riverton.exchange.invitations(&guest("j.pell")).await.unwrap();
    assert_eq!(seen.iter().map(|one| one.id).collect::<Vec<_>>(), [export.id]);
    let book = riverton.exchange.guest_book(&lindqvist()).await.unwrap();
    assert_eq!(book.len(), 1_002);
}

#[tokio::test]
async fn whoever_is_no_guest_or_has_one_factor_is_denied_and_only_a_security_officer_invites() {
    let world = world().await;
    let riverton = &world.riverton;
    let export = riverton.sealed().await.unwrap();
    for (name, function) in [("det.ruiz", "detective"), ("adm.voss", "administrator")] {
        let caller = caller(name, function, RIVERTON);
        let refused = riverton.exchange.invite(&caller, export.id, invitation("j.pell", 1)).await;
        assert!(matches!(refused, Err(ExchangeError::Denied { .. })), "{refused:?}");
        let refused = riverton.exchange.invitations(&caller).await;
        assert!(matches!(refused, Err(ExchangeError::Denied { .. })), "{refused:?}");
    }
    let mut tired = lindqvist();
    tired.actor.assurance.stepped_up_at = None;
    let refused = riverton.exchange.invite(&tired, export.id, invitation("j.pell", 1)).await;
    assert!(matches!(refused, Err(ExchangeError::Denied { .. })), "{refused:?}");
    riverton.exchange.invite(&lindqvist(), export.id, invitation("j.pell", 1)).await.unwrap();
    let mut weak = guest("j.pell");
    weak.actor.assurance.mfa = false;
    let refused = riverton.exchange.guest_fetch(&weak, export.id, Form::Zip).await;
    assert!(matches!(refused, Err(ExchangeError::Denied { .. })), "{refused:?}");
    // A guest gets nothing else of ours.
    let pell = guest("j.pell");
    let refused = riverton.exchange.download(&pell, export.id, Form::Zip).await;
    assert!(matches!(refused, Err(ExchangeError::Denied { .. })), "{refused:?}");
    let refused = riverton.exchange.guest_book(&pell).await;
    assert!(matches!(refused, Err(ExchangeError::Denied { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_invitation_ends_by_a_person_and_by_a_recall_and_unfit_ones_are_refused() {
    let world = world().await;
    let riverton = &world.riverton;
    let export = riverton.sealed().await.unwrap();
    let exchange = &riverton.exchange;
    for (new, wrong) in [
        (NewGuest { agency: RIVERTON.0.parse().unwrap(), ..invitation("j.pell", 1) }, "guest"),
        (invitation("j.pell", 0), "until"),
        (invitation("j.pell", 24 * 91), "until"),
    ] {
        let error = exchange.invite(&lindqvist(), export.id, new).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Input { field, .. } if field == wrong), "{error:?}");
    }
    exchange.invite(&lindqvist(), export.id, invitation("j.pell", 24)).await.unwrap();
    let twice = exchange.invite(&lindqvist(), export.id, invitation("j.pell", 24)).await;
    assert!(matches!(twice, Err(ExchangeError::Input { field: "guest", .. })), "{twice:?}");
    let pell = guest("j.pell");
    exchange.end_invitation(&lindqvist(), export.id, "idp|j.pell", "left").await.unwrap();
    assert!(exchange.invitations(&pell).await.unwrap().is_empty());
    let again = exchange.end_invitation(&lindqvist(), export.id, "idp|j.pell", "left").await;
    assert!(matches!(again, Err(ExchangeError::NoSuch { .. })), "{again:?}");
    exchange.invite(&lindqvist(), export.id, invitation("j.pell", 24)).await.unwrap();
    assert_eq!(exchange.invitations(&pell).await.unwrap().len(), 1);
    exchange.recall(&ruiz(), export.id, "the wrong case").await.unwrap();
    assert!(exchange.invitations(&pell).await.unwrap().is_empty());
    let late = exchange.invite(&lindqvist(), export.id, invitation("r.grant", 24)).await;
    assert!(matches!(late, Err(ExchangeError::WrongState { .. })), "{late:?}");
    assert_eq!((riverton.count("guest-invited"), riverton.count("guest-ended")), (2, 1));
}

#[tokio::test]
async fn each_write_of_the_ledger_failing_in_turn_lets_no_guest_in_and_nothing_out_unrecorded() {
    let mut failed = 0;
    for appends in 0..12 {
        let world = world().await;
        let riverton = &world.riverton;
        let export = riverton.sealed().await.unwrap();
        riverton.ledger_disk.fail_writes_after("journal", appends);
        let new = invitation("j.pell", 24);
        let invited = riverton.exchange.invite(&lindqvist(), export.id, new).await;
        let pell = guest("j.pell");
        let fetched = riverton.exchange.guest_fetch(&pell, export.id, Form::Zip).await;
        riverton.ledger_disk.mend();
        let export = riverton.exchange.export(export.id).await.unwrap();
        let named = !export.details.guests.is_empty();
        assert_eq!(named, riverton.count("guest-invited") == 1, "after {appends} appends");
        let out = fetched.is_ok();
        assert!(!out || riverton.count("parcel-downloaded") == 1, "after {appends} appends");
        if invited.is_ok() && out {
            break;
        }
        failed += 1;
    }
    assert!(failed >= 3, "only {failed} writes failed");
}

/// An agreement that names its ways, and no portal among them, is not got round by an invitation.
#[tokio::test]
async fn an_agreement_that_closes_the_way_of_guests_closes_it_to_those_invited_before() {
    let portal = || {
        let mut settings = toml::Table::new();
        settings.insert("kind".to_owned(), "portal".into());
        crate::Delivery {
            name: "their-portal".to_owned(),
            settings,
            base: "/".into(),
            pinned: Vec::new(),
        }
    };
    for (ways, open) in [(vec!["push"], false), (vec!["push", "their-portal"], true)] {
        let world = world_with(|riverton, _| {
            riverton.partners[0].deliveries.push(portal());
            let ways = ways.iter().map(|way| (*way).to_owned()).collect();
            riverton.agreements[0].terms.deliveries = Some(ways);
        })
        .await;
        let riverton = &world.riverton;
        let export = riverton.sealed().await.unwrap();
        let invited =
            riverton.exchange.invite(&lindqvist(), export.id, invitation("j.pell", 48)).await;
        match invited {
            Ok(_) => assert!(open),
            Err(error) => {
                assert!(!open);
                assert_eq!(error.clause().unwrap().code(), "agreement.delivery");
                assert_eq!(riverton.count("guest-invited"), 0);
            }
        }
        let fetched = riverton.exchange.guest_fetch(&guest("j.pell"), export.id, Form::Zip).await;
        assert_eq!(fetched.is_ok(), open);
    }
}

/// Sealed and never delivered: once its time is over nobody gets it, whatever their invitation says.
#[tokio::test]
async fn an_offer_that_is_over_is_over_for_guests_too() {
    let world = world().await;
    let riverton = &world.riverton;
    let export = riverton.sealed().await.unwrap();
    let delivered = riverton.sealed().await.unwrap();
    riverton.exchange.deliver(delivered.id).await.unwrap();
    for id in [export.id, delivered.id] {
        riverton.exchange.invite(&lindqvist(), id, invitation("j.pell", 24 * 60)).await.unwrap();
    }
    let pell = || {
        let mut pell = guest("j.pell");
        pell.actor.assurance.authenticated_at = riverton.exchange.now();
        pell.actor.assurance.stepped_up_at = Some(riverton.exchange.now());
        pell
    };
    assert_eq!(riverton.exchange.invitations(&pell()).await.unwrap().len(), 2);
    world.clock.set(now() + (14 * 24).hours());
    let seen = riverton.exchange.invitations(&pell()).await.unwrap();
    assert_eq!(seen.iter().map(|one| one.id).collect::<Vec<_>>(), [delivered.id]);
    for fetched in [
        riverton.exchange.guest_manifest(&pell(), export.id).await.map(drop),
        riverton.exchange.guest_fetch(&pell(), export.id, Form::Zip).await.map(drop),
    ] {
        assert!(matches!(fetched, Err(ExchangeError::NoSuch { .. })), "{fetched:?}");
    }
    riverton.exchange.guest_manifest(&pell(), delivered.id).await.unwrap();
}
