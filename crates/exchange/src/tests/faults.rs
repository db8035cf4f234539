//! Each ledger write failing in turn, a full disk, and offers that are repeated or bent.

use http::{Method, Request, StatusCode};
use jiff::ToSpan;

use super::*;
use crate::protocol::{Answer, AnswerState, Fault, Offer, ROOT};

/// Riverton's whole story, from the request on or from wherever it stands.
async fn go_on(world: &World) -> Result<Export, ExchangeError> {
    let riverton = &world.riverton;
    let mut exports = riverton.exchange.exports(&[], None).await?;
    let export = match exports.pop() {
        Some(export) => export,
        None => riverton.exchange.request(&ruiz(), new_export()).await?,
    };
    if export.status == ExportStatus::Requested {
        riverton.exchange.approve(&okafor(), export.id).await?;
    }
    let now = riverton.exchange.export(export.id).await?.status;
    if [ExportStatus::Approved, ExportStatus::Sealing].contains(&now) {
        let items = riverton.fetch(&ruiz(), &export.details.items).await?;
        riverton.exchange.seal(&ruiz(), export.id, items).await?;
    }
    riverton.exchange.deliver(export.id).await
}

/// The platform's own records are not part of the count.
fn first_record(agency: &Agency) -> usize {
    usize::try_from(agency.ledger.size()).unwrap()
}

#[tokio::test]
async fn each_write_of_the_senders_ledger_failing_in_turn_lets_nothing_leave_unrecorded() {
    let mut failed = 0;
    for appends in 0.. {
        let world = world_with(|riverton, _| {
            riverton.appends_max = Some(appends);
            riverton.settings.part_bytes = 1 << 20;
        })
        .await;
        let outcome = go_on(&world).await;
        let (sent, anchored) =
            (world.riverton.count("parcel-sent"), world.riverton.count("receipt-anchored"));
        let offered = world.lakeside.story().len();
        assert!(offered == 0 || sent == 1, "after {appends} appends: bytes left unrecorded");
        let Err(error) = outcome else {
            assert_eq!(anchored, 1);
            break;
        };
        failed += 1;
        let known = world.riverton.exchange.exports(&[], None).await.unwrap();
        let is = known.first().map(|export| export.status);
        assert_ne!(is, Some(ExportStatus::Acknowledged), "after {appends} appends: {error:?}");
        assert!(known.is_empty() || world.riverton.count("export-requested") == 1);
        if is == Some(ExportStatus::Sealed) {
            assert_eq!(world.riverton.count("parcel-sealed"), 1);
        }
        if world.riverton.count("parcel-sealed") == 0 {
            let sent = world.riverton.folder.path().join("parcels/sent");
            assert_eq!(
                std::fs::read_dir(sent).unwrap().count(),
                0,
                "a parcel lies there unrecorded"
            );
        }
        // With the disk mended the same story comes to its end.
        world.riverton.ledger_disk.mend();
        let export = go_on(&world).await.unwrap_or_else(|error| panic!("{appends}: {error:?}"));
        assert_eq!(export.status, ExportStatus::Acknowledged);
        assert_eq!(export.number, Some(1));
    }
    assert!(failed > 15, "only {failed} writes failed");
}

#[tokio::test]
async fn each_write_of_the_receivers_ledger_failing_in_turn_leaves_nothing_usable() {
    let mut failed = 0;
    for appends in 0.. {
        let world = world_with(|riverton, lakeside| {
            lakeside.appends_max = Some(appends);
            riverton.settings.part_bytes = 1 << 20;
        })
        .await;
        let outcome = go_on(&world).await;
        if outcome.is_ok() {
            assert_eq!(world.lakeside.count("receipt-issued"), 1);
            break;
        }
        failed += 1;
        assert_eq!(world.riverton.count("receipt-anchored"), 0);
        let exports = world.riverton.exchange.exports(&[], None).await.unwrap();
        let exchange = exports[0].exchange.unwrap();
        let opened = world.lakeside.exchange.contents(&pell(), exchange, &why()).await;
        assert!(opened.is_err(), "after {appends} appends the parcel can be opened");
        let known = world.lakeside.exchange.all_incoming(&[], None).await.unwrap();
        assert!(known.iter().all(|one| one.status == IncomingStatus::Receiving));
        assert!(known.iter().all(|one| one.receipt.is_none()));
        assert!(known.is_empty() || world.lakeside.count("parcel-offered") == 1);
        world.lakeside.ledger_disk.mend();
        let export = go_on(&world).await.unwrap_or_else(|error| panic!("{appends}: {error:?}"));
        assert_eq!(export.status, ExportStatus::Acknowledged);
        let incoming = world.lakeside.exchange.incoming(exchange).await.unwrap();
        assert_eq!(incoming.status, IncomingStatus::Received);
    }
    assert!(failed >= 3, "only {failed} writes failed");
}

#[tokio::test]
async fn each_write_of_an_opening_failing_in_turn_shows_nothing() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(export.id).await.unwrap();
    let exchange = export.exchange.unwrap();
    world.lakeside.accepted(exchange).await;
    let path = "evidence/statement.pdf";
    let mut failed = 0;
    for appends in 0..10 {
        world.lakeside.ledger_disk.fail_writes_after("journal", appends);
        let lakeside = &world.lakeside.exchange;
        let opened = lakeside.document(&pell(), exchange, path, None, &why()).await;
        world.lakeside.ledger_disk.mend();
        match opened {
            Ok(_) => break,
            Err(error) => assert!(
                matches!(error, ExchangeError::Unrecorded(_) | ExchangeError::Gate(_)),
                "{error:?}"
            ),
        }
        failed += 1;
    }
    assert!(failed >= 3, "only {failed} writes failed");
}

#[tokio::test]
async fn a_full_disk_at_the_receiver_stops_the_delivery_and_room_lets_it_go_on() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    let bytes = export.details.sealed.as_ref().unwrap().bytes;
    world.lakeside.disk.set_room(bytes / 2);
    let error = world.riverton.exchange.deliver(export.id).await.unwrap_err();
    let ExchangeError::Partner { status: 507, reason } = &error else { panic!("{error:?}") };
    assert_eq!(reason, "disk: the part could not be written; send it again later");
    let exchange = export.exchange.unwrap();
    let row = world.lakeside.exchange.incoming_row(exchange).await.unwrap();
    let missing = world.lakeside.exchange.missing(&row).await.unwrap().len() as u64;
    assert!(missing > 0 && missing < row.details.parts);
    // The other hand's part may still be on its way out of the drafts.
    let drafts = world.lakeside.folder.path().join("parcels/drafts");
    for _ in 0..100 {
        if std::fs::read_dir(&drafts).unwrap().count() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(std::fs::read_dir(&drafts).unwrap().count(), 0);
    world.lakeside.disk.set_room(u64::MAX);
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Acknowledged);

    // No room for the announcement itself.
    world.lakeside.disk.set_room(10);
    let export = world.riverton.sealed().await.unwrap();
    let error = world.riverton.exchange.deliver(export.id).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Partner { status: 507, .. }), "{error:?}");
}

#[tokio::test]
async fn a_partner_over_its_quota_is_told_and_nothing_is_stored() {
    let world = world_with(|_, lakeside| lakeside.partners[0].quota_bytes = 100_000).await;
    let export = world.riverton.sealed().await.unwrap();
    let error = world.riverton.exchange.deliver(export.id).await.unwrap_err();
    let ExchangeError::Partner { status: 507, reason } = &error else { panic!("{error:?}") };
    assert!(reason.starts_with("quota: 0 bytes of a quota of 100000 are taken"), "{reason}");
    assert!(world.lakeside.exchange.all_incoming(&[], None).await.unwrap().is_empty());
    let incoming = world.lakeside.folder.path().join("parcels/incoming");
    assert_eq!(std::fs::read_dir(incoming).unwrap().count(), 0);
}

/// Speaks the protocol by hand, as Riverton or as somebody else.
pub(super) struct Hand(wire::Connection);

impl Hand {
    pub(super) async fn new(world: &World) -> Self {
        let lakeside = wire::tls::Trust::leaf(identity(LAKESIDE).tls.certificate.clone());
        let setup = &world.riverton.exchange.0.setup;
        let tls = wire::tls::client_config(&lakeside, Some(&setup.tls), world.clock.clone());
        let target = wire::Target {
            host: "127.0.0.1".to_owned(),
            port: world.line.port,
            addresses: wire::Addresses::Private,
        };
        let egress = wire::Egress::new(vec![target]);
        let client = wire::Client::new(egress, tls.unwrap(), setup.settings.client);
        Self(client.open("127.0.0.1", world.line.port).await.unwrap())
    }

    pub(super) async fn say(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (StatusCode, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(wire::Outgoing::bytes(body.into())).unwrap();
        let reply = self.0.send(request).await.unwrap();
        (reply.status, reply.bytes(1 << 20).await.unwrap())
    }
}

pub(super) async fn offer_of(world: &World, export: &Export) -> Offer {
    let exchange = &world.riverton.exchange;
    let mut row = exchange.export_row(export.id).await.unwrap();
    row.details.delivery.sent_entry = Some(1);
    row.details.delivery.sent_leaf = Some("ab".repeat(32));
    let sealed = row.details.sealed.clone().unwrap();
    let (id, parcel) = (row.exchange.unwrap(), row.parcel.unwrap());
    let offered = exchange.offer(&row, id, parcel, row.number.unwrap(), &sealed).await.unwrap();
    serde_json::from_slice(&offered.json).unwrap()
}

#[tokio::test]
async fn a_replayed_offer_changes_nothing_and_a_bent_one_is_a_recorded_conflict() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    let offer = offer_of(&world, &export).await;
    let mut hand = Hand::new(&world).await;
    let post = |offer: &Offer| serde_json::to_vec(offer).unwrap();
    let (status, _) = hand.say(Method::POST, ROOT, &[], post(&offer)).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, body) = hand.say(Method::POST, ROOT, &[], post(&offer)).await;
    assert_eq!(status, StatusCode::OK);
    let answer: Answer = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer.state, AnswerState::Receiving);
    assert_eq!(answer.missing, [[0, export.details.sealed.as_ref().unwrap().parts - 1]]);
    assert_eq!(world.lakeside.story().join(" "), "parcel-offered");

    let mut other_number = offer.clone();
    other_number.number = 9;
    let mut other_exchange = offer.clone();
    other_exchange.exchange = Uuid::from_u128(99);
    for bent in [other_number, other_exchange] {
        let (status, body) = hand.say(Method::POST, ROOT, &[], post(&bent)).await;
        assert_eq!(status, StatusCode::CONFLICT);
        let fault: Fault = serde_json::from_slice(&body).unwrap();
        assert_eq!(fault.code, "conflict");
        assert!(fault.entry.is_some());
    }
    assert_eq!(world.lakeside.exchange.all_incoming(&[], None).await.unwrap().len(), 1);

    // After its end the same offer is answered with the same receipt.
    world.riverton.exchange.deliver(export.id).await.unwrap();
    let (status, body) = hand.say(Method::POST, ROOT, &[], post(&offer)).await;
    let answer: Answer = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, answer.state), (StatusCode::OK, AnswerState::Received));
    assert!(answer.receipt.is_some());
    assert_eq!(world.lakeside.count("parcel-received"), 1);
}

#[tokio::test]
async fn offers_that_do_not_fit_are_refused_and_recorded() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    let offer = offer_of(&world, &export).await;
    let mut hand = Hand::new(&world).await;
    let bend = |change: fn(&mut Offer)| {
        let mut bent = offer.clone();
        change(&mut bent);
        serde_json::to_vec(&bent).unwrap()
    };
    let bent = [
        (bend(|offer| offer.profile = "other/1.0".into()), 400, "the profile is another"),
        (bend(|offer| offer.sender = LAKESIDE.0.into()), 400, "the sender is not who calls"),
        (bend(|offer| offer.recipient = "NB0030000".into()), 400, "the recipient is somebody else"),
        (bend(|offer| offer.number = 0), 400, "numbers begin at 1"),
        (
            bend(|offer| drop(offer.files.insert("data/x".into(), String::new()))),
            400,
            "the files are not the seven of a parcel's outside",
        ),
        (
            bend(|offer| drop(offer.files.insert("bagit.txt".into(), "!".into()))),
            400,
            "a file that is not Base64",
        ),
        (
            bend(|offer| drop(offer.files.insert("bagit.txt".into(), "AAAA".into()))),
            422,
            "altered: its hash is not the signed one",
        ),
        (
            bend(|offer| offer.parcel = Uuid::from_u128(5)),
            422,
            "names another parcel than the offer",
        ),
        (
            bend(|offer| offer.digest = "00".repeat(32)),
            422,
            "has another digest than the offer gives",
        ),
    ];
    for (body, status, detail) in bent {
        let before = first_record(&world.lakeside);
        let (found, body) = hand.say(Method::POST, ROOT, &[], body).await;
        let fault: Fault = serde_json::from_slice(&body).unwrap();
        assert_eq!((found.as_u16(), fault.detail.as_str()), (status, detail));
        assert_eq!(fault.entry, Some(before as u64));
        assert_eq!(first_record(&world.lakeside), before + 1);
    }
    let (status, _) = hand.say(Method::POST, ROOT, &[], b"{\"profile\":1}".to_vec()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(world.lakeside.exchange.all_incoming(&[], None).await.unwrap().is_empty());
}

#[tokio::test]
async fn parts_are_taken_only_as_announced() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    let offer = offer_of(&world, &export).await;
    let mut hand = Hand::new(&world).await;
    hand.say(Method::POST, ROOT, &[], serde_json::to_vec(&offer).unwrap()).await;
    let folder = world.riverton.sent(export.parcel.unwrap());
    let part = std::fs::read(folder.join("data/000/part-000000.p7m")).unwrap();
    let digest = crate::protocol::repr_digest(&keys::digest::sha256(&part));
    let good = [("repr-digest", digest.as_str())];
    let at = |n: &str| format!("{ROOT}/{}/parts/{n}", offer.exchange);
    let mut put = async |path: String, headers: &[(&str, &str)], body: Vec<u8>| {
        hand.say(Method::PUT, &path, headers, body).await.0.as_u16()
    };
    assert_eq!(put(at("999"), &good, part.clone()).await, 404);
    assert_eq!(put(at("x"), &good, part.clone()).await, 404);
    assert_eq!(put(at("0"), &[], part.clone()).await, 400);
    assert_eq!(put(at("1"), &good, part.clone()).await, 400);
    let other = format!("{ROOT}/{}/parts/0", Uuid::from_u128(3));
    assert_eq!(put(other, &good, part.clone()).await, 404);
    assert_eq!(put(at("0"), &good, vec![0; 200_000]).await, 413);
    assert_eq!(put(at("0"), &good, part.clone()).await, 204);
    assert_eq!(put(at("0"), &good, part.clone()).await, 204);
    let (status, body) = {
        let path = format!("{ROOT}/{}/complete", offer.exchange);
        hand.say(Method::POST, &path, &[], Vec::new()).await
    };
    let answer: Answer = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(answer.missing, [[1, export.details.sealed.unwrap().parts - 1]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_twice_at_once_is_kept_once_and_both_are_told_the_same() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    let offer = offer_of(&world, &export).await;
    let (mut one, mut two) = (Hand::new(&world).await, Hand::new(&world).await);
    let post = || serde_json::to_vec(&offer).unwrap();
    let (first, second) = tokio::join!(
        one.say(Method::POST, ROOT, &[], post()),
        two.say(Method::POST, ROOT, &[], post())
    );
    for (status, body) in [first, second] {
        assert!([StatusCode::CREATED, StatusCode::OK].contains(&status), "{status}");
        assert_eq!(serde_json::from_slice::<Answer>(&body).unwrap().exchange, offer.exchange);
    }
    let folder = world.riverton.sent(export.parcel.unwrap());
    let arrived = world.lakeside.arrived(offer.exchange);
    for number in 0..export.details.sealed.as_ref().unwrap().parts {
        let place = parcel::part_path(number);
        let part = std::fs::read(folder.join(&place)).unwrap();
        let digest = crate::protocol::repr_digest(&keys::digest::sha256(&part));
        let headers = [("repr-digest", digest.as_str())];
        let path = format!("{ROOT}/{}/parts/{number}", offer.exchange);
        let (first, second) = tokio::join!(
            one.say(Method::PUT, &path, &headers, part.clone()),
            two.say(Method::PUT, &path, &headers, part.clone())
        );
        let no_content = StatusCode::NO_CONTENT;
        assert_eq!((first.0, second.0), (no_content, no_content), "part {number}");
        assert!(std::fs::read(arrived.join(&place)).unwrap() == part, "part {number}");
    }
    let drafts = world.lakeside.folder.path().join("parcels/drafts");
    assert_eq!(std::fs::read_dir(drafts).unwrap().count(), 0, "no copy is left beside them");
    let path = format!("{ROOT}/{}/complete", offer.exchange);
    let (first, second) = tokio::join!(
        one.say(Method::POST, &path, &[], Vec::new()),
        two.say(Method::POST, &path, &[], Vec::new())
    );
    for (status, _) in [first, second] {
        // Whoever comes while it is verified comes again.
        assert!([StatusCode::OK, StatusCode::ACCEPTED].contains(&status), "{status}");
    }
    let done = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(done.status, ExportStatus::Acknowledged);
    for once in ["parcel-received", "receipt-issued"] {
        assert_eq!(world.lakeside.count(once), 1, "{once}");
    }
}

#[tokio::test]
async fn one_thing_that_can_t_be_done_keeps_nothing_else_from_being_tended() {
    let world = world().await;
    let lakeside = &world.lakeside;
    // The first never comes, the second half, the third whole.
    world.riverton.sealed().await.unwrap();
    let half = world.riverton.sealed().await.unwrap();
    world.line.cut_after(half.details.sealed.as_ref().unwrap().bytes / 2);
    world.riverton.exchange.deliver(half.id).await.unwrap_err();
    world.line.mend();
    let whole = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(whole.id).await.unwrap();
    lakeside.exchange.tend().await.unwrap();
    world.clock.set(now() + (24 * 15).hours());
    let state = &lakeside.exchange.0.setup.state;
    state::testing::break_writes(state, "parcels", "UPDATE").await.unwrap();
    let error = lakeside.exchange.tend().await.unwrap_err();
    assert!(matches!(error, ExchangeError::State(_)), "the first error is told: {error}");
    assert_eq!(lakeside.count("exchange-alert"), 1, "and the number that never came all the same");
    state::testing::mend_writes(state, "parcels", "UPDATE").await.unwrap();
    lakeside.exchange.tend().await.unwrap();
    let incoming = lakeside.exchange.incoming(half.exchange.unwrap()).await.unwrap();
    assert_eq!(incoming.status, IncomingStatus::Expired);
    // And what can't be noted of a single delivery is told at the end.
    let state = &world.riverton.exchange.0.setup.state;
    state::testing::break_writes(state, "exports", "UPDATE").await.unwrap();
    world.riverton.exchange.work_once(None).await.unwrap_err();
    state::testing::mend_writes(state, "exports", "UPDATE").await.unwrap();
}
