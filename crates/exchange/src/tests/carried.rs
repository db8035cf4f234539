//! Parcels that come any way but the push: in one file, in a folder, over a page, out of the folder for what arrives; twice,
//! pushed before, half pushed, recalled, for somebody else, of a stranger, altered, and failing to be written.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::*;
use crate::arrivals::{Arrived, answer_for, arrivals};

/// A parcel of Riverton for Lakeside, as one file and as a folder, and its export.
pub(super) struct Bag {
    pub(super) world: World,
    export: Export,
    folder: std::path::PathBuf,
    pub(super) zip: std::path::PathBuf,
    _bag: TempDir,
}

async fn bag() -> Bag {
    bag_with(|_, _| {}).await
}

pub(super) async fn bag_with(change: impl FnOnce(&mut Stage, &mut Stage)) -> Bag {
    let world = world_with(change).await;
    let export = world.riverton.sealed().await.unwrap();
    packed(world, export)
}

fn packed(world: World, export: Export) -> Bag {
    let bag = tempfile::tempdir().unwrap();
    let parcel = export.parcel.unwrap();
    let (folder, zip) = (world.riverton.sent(parcel), bag.path().join("parcel.zip"));
    let parts = export.details.sealed.as_ref().unwrap().parts;
    let mut out = std::fs::File::create(&zip).unwrap();
    parcel::pack(&folder, parcel, parts, &mut out).unwrap();
    Bag { world, export, folder, zip, _bag: bag }
}

impl Bag {
    pub(super) async fn take(&self, place: &Path) -> Result<Incoming, ExchangeError> {
        let carried = Carried::Place(place.to_owned());
        self.world.lakeside.exchange.take_in_parcel(Some(&pell()), carried).await
    }

    /// What is refused, in words; it is on record, and nothing of it is here.
    pub(super) async fn refused(&self, place: &Path) -> String {
        let lakeside = &self.world.lakeside;
        match self.take(place).await {
            Err(ExchangeError::NotTaken { entry, why }) => {
                let kind = lakeside.ledger.read(entry).unwrap().record.event.kind();
                assert!(["parcel-refused", "request-refused"].contains(&kind), "{kind}");
                let drafts = lakeside.folder.path().join("parcels/drafts");
                assert_eq!(std::fs::read_dir(drafts).unwrap().count(), 0, "{why}");
                why
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(super) async fn is_usable(bag: &Bag, parcel: &Incoming) {
    let lakeside = &bag.world.lakeside;
    assert_eq!((parcel.status, parcel.number), (IncomingStatus::Received, 1));
    assert!(!parcel.brought && parcel.receipt.as_ref().unwrap().accepted);
    assert_eq!(parcel.partner, RIVERTON.0);
    lakeside.accepted(parcel.exchange).await;
    let contents = lakeside.exchange.contents(&pell(), parcel.exchange, &why()).await.unwrap();
    assert_eq!(contents.open().0.inside.files.len(), 3);
    assert!(lakeside.exchange.gaps(RIVERTON.0).await.unwrap().is_empty(), "its number is told");
}

#[tokio::test]
async fn a_parcel_in_one_file_or_in_a_folder_is_received_as_if_it_had_been_pushed() {
    for in_one in [true, false] {
        let bag = bag().await;
        let place = if in_one { bag.zip.clone() } else { bag.folder.clone() };
        let parcel = bag.take(&place).await.unwrap();
        assert_eq!(parcel.exchange, bag.export.exchange.unwrap());
        assert_eq!(parcel.afterwards.carried.as_ref().unwrap().by.as_deref(), Some("inv.pell"));
        let told = bag.world.lakeside.story().join(" ");
        assert_eq!(told, "decided parcel-offered parcel-received receipt-issued written");
        is_usable(&bag, &parcel).await;
    }
}

#[tokio::test]
async fn its_terms_count_from_when_it_came() {
    let bag = bag_with(|_, lakeside| {
        lakeside.agreements = vec![agreement(RIVERTON.0)];
        lakeside.agreements[0].terms.retention_days = Some(30);
    })
    .await;
    let parcel = bag.take(&bag.zip).await.unwrap();
    let by = parcel.afterwards.destroy_by.unwrap();
    assert_eq!(by, now() + SignedDuration::from_hours(24 * 30));
}

#[tokio::test]
async fn what_comes_in_piece_by_piece_is_received_and_what_breaks_off_leaves_nothing() {
    let bag = bag().await;
    let bytes = std::fs::read(&bag.zip).unwrap();
    let lakeside = &bag.world.lakeside;
    let send = async |count: usize, whole: bool| {
        let (send, receive) = mpsc::channel(2);
        let pieces: Vec<Bytes> =
            bytes[..count].chunks(10_000).map(Bytes::copy_from_slice).collect();
        let caller = pell();
        let taking = lakeside.exchange.take_in_parcel(Some(&caller), Carried::Pieces(receive));
        let sending = async {
            for piece in pieces {
                send.send(Some(piece)).await.ok();
            }
            if whole {
                send.send(None).await.ok();
            }
            drop(send);
        };
        tokio::join!(taking, sending).0
    };
    for (count, whole, said) in
        [(bytes.len() / 2, false, "broke off"), (bytes.len() / 2, true, ""), (0, true, "")]
    {
        let error = send(count, whole).await.unwrap_err();
        assert!(
            matches!(&error, ExchangeError::NotTaken { why, .. } if why.contains(said)),
            "{error}"
        );
        assert!(lakeside.exchange.all_incoming(&[], None).await.unwrap().is_empty());
        let drafts = lakeside.folder.path().join("parcels/drafts");
        assert_eq!(std::fs::read_dir(drafts).unwrap().count(), 0, "after {count} bytes");
    }
    is_usable(&bag, &send(bytes.len(), true).await.unwrap()).await;
}

#[tokio::test]
async fn the_same_twice_one_pushed_before_and_one_that_is_gone_are_told_in_plain_words() {
    let bag = bag().await;
    let taken = bag.take(&bag.zip).await.unwrap();
    assert!(bag.refused(&bag.folder).await.contains("it is here already"));
    // Its sender, who pushes it after all, gets the same receipt.
    let pushed = bag.world.riverton.exchange.deliver(bag.export.id).await.unwrap();
    assert_eq!(pushed.status, ExportStatus::Acknowledged);
    assert_eq!(pushed.details.receipt.unwrap().json, taken.receipt.unwrap().json);
    assert_eq!(bag.world.lakeside.count("parcel-received"), 1);

    let person = caller("inv.pell", "investigator", LAKESIDE);
    let lakeside = &bag.world.lakeside.exchange;
    lakeside.accept_parcel(&pell(), taken.exchange).await.unwrap();
    lakeside.destroy_parcel(&person, taken.exchange, "given back").await.unwrap();
    assert!(bag.refused(&bag.zip).await.contains("was destroyed on"));

    let other = self::bag().await;
    let taken = other.take(&other.zip).await.unwrap();
    other.world.lakeside.exchange.reject_parcel(&pell(), taken.exchange, "not ours").await.unwrap();
    assert!(other.refused(&other.zip).await.contains("inv.pell turned it away"));
}

#[tokio::test]
async fn what_its_sender_took_back_or_let_expire_is_not_taken_in() {
    let bag = bag().await;
    let riverton = &bag.world.riverton;
    let zip = bag.zip.clone();
    riverton.exchange.recall(&ruiz(), bag.export.id, "the wrong case").await.unwrap();
    riverton.exchange.work_on_notices().await.unwrap();
    assert!(bag.refused(&zip).await.contains("its sender took it back"));
    assert!(bag.world.lakeside.exchange.gaps(RIVERTON.0).await.unwrap().is_empty());

    let bag = self::bag().await;
    let days = SignedDuration::from_hours(24 * 15);
    bag.world.clock.set(now() + days);
    bag.world.riverton.exchange.deliver(bag.export.id).await.unwrap();
    bag.world.riverton.exchange.work_on_notices().await.unwrap();
    assert!(bag.refused(&bag.zip).await.contains("offer was over"));
}

#[tokio::test]
async fn a_push_that_was_cut_off_is_brought_to_its_end_by_hand() {
    let bag = bag().await;
    bag.world.line.cut_after(bag.export.details.sealed.as_ref().unwrap().bytes / 2);
    bag.world.riverton.exchange.deliver(bag.export.id).await.unwrap_err();
    let parcel = bag.take(&bag.zip).await.unwrap();
    assert_eq!(bag.world.lakeside.count("parcel-offered"), 1, "it was offered by the push");
    assert_eq!(parcel.status, IncomingStatus::Received);
    bag.world.line.mend();
    let done = bag.world.riverton.exchange.deliver(bag.export.id).await.unwrap();
    assert_eq!(done.status, ExportStatus::Acknowledged);
}

#[tokio::test]
async fn a_strangers_parcel_one_for_somebody_else_and_our_own_are_refused_by_name() {
    // Lakeside knows Riverton no more.
    let bag = bag_with(|_, lakeside| lakeside.partners = vec![partner(STRANGER, 1)]).await;
    let why = bag.refused(&bag.zip).await;
    assert!(why.contains("is no partner’s") && why.contains("riverton"), "{why}");
    let events = bag.world.lakeside.events();
    let refused = events.iter().find_map(|event| match event {
        Event::ParcelRefused { parcel, partner, .. } => Some((parcel.clone(), partner.clone())),
        _ => None,
    });
    assert_eq!(
        refused.unwrap(),
        (bag.export.parcel.unwrap().to_string(), "nobody known".to_owned())
    );

    // Riverton is told to seal to the stranger's certificate.
    let bag = bag_with(|riverton, _| {
        riverton.partners[0].sealing = identity(STRANGER).sealing.certificate.clone();
    })
    .await;
    assert!(bag.refused(&bag.zip).await.contains("sealed for somebody else"));

    // Sealed to Lakeside's certificate, and meant for the stranger; or signed by one and sent by another.
    let bag = bag_with(|riverton, _| {
        riverton.partners[0].ori = STRANGER.0.parse().unwrap();
        riverton.agreements = vec![agreement(STRANGER.0)];
        riverton.agreements[0].terms.parties[1].ori = STRANGER.0.parse().unwrap();
    })
    .await;
    assert!(bag.refused(&bag.zip).await.contains("it is for another agency"));
    let bag = bag_with(|_, lakeside| {
        lakeside.partners[0].ori = STRANGER.0.parse().unwrap();
    })
    .await;
    assert!(bag.refused(&bag.zip).await.contains("another sender than the one who signed it"));

    let bag = self::bag().await;
    let own = Carried::Place(bag.zip.clone());
    let own = bag.world.riverton.exchange.take_in_parcel(Some(&ruiz()), own).await.unwrap_err();
    assert!(own.to_string().contains("one of our own"), "{own}");
    let clerk = caller("ofc.new", "patrol-officer", LAKESIDE);
    let denied = Carried::Place(bag.zip.clone());
    let denied = bag.world.lakeside.exchange.take_in_parcel(Some(&clerk), denied).await;
    assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "{denied:?}");
}

#[tokio::test]
async fn a_damaged_copy_is_refused_by_its_part_and_a_good_one_is_taken_then() {
    let bag = bag().await;
    let copy = tempfile::tempdir().unwrap();
    let damaged = copy.path().join("damaged");
    let copied = std::process::Command::new("cp").arg("-r").arg(&bag.folder).arg(&damaged).status();
    assert!(copied.unwrap().success());
    let part = damaged.join("data/000/part-000003.p7m");
    flip(&part);
    let why = bag.refused(&damaged).await;
    assert!(why.contains("data/000/part-000003.p7m") && why.contains("signed one"), "{why}");
    std::fs::remove_file(&part).unwrap();
    assert!(bag.refused(&damaged).await.contains("part-000003"));
    assert!(bag.refused(&copy.path().join("nothing")).await.contains("bag-info.txt"));
    std::fs::write(copy.path().join("note.zip"), testkit::zip_of(&[("a.txt", b"a")])).unwrap();
    bag.refused(&copy.path().join("note.zip")).await;
    assert!(bag.world.lakeside.exchange.all_incoming(&[], None).await.unwrap().is_empty());
    is_usable(&bag, &bag.take(&bag.zip).await.unwrap()).await;
}

#[tokio::test]
async fn it_gets_no_more_room_than_its_senders_quota() {
    let bag = bag_with(|_, lakeside| lakeside.partners[0].quota_bytes = 100_000).await;
    assert!(bag.refused(&bag.zip).await.contains("quota of 100000 bytes"));
}

#[tokio::test]
async fn plain_files_are_told_from_a_sealed_parcel() {
    let bag = bag().await;
    let brought = Brought {
        zip: std::fs::read(&bag.zip).unwrap(),
        from: "a courier".to_owned(),
        authority: "a request".to_owned(),
        case_number: None,
        record_class: "CJI".parse().unwrap(),
    };
    let error = bag.world.lakeside.exchange.take_in(&pell(), brought).await.unwrap_err();
    assert!(error.to_string().contains("this is a sealed parcel"), "{error}");
}

#[tokio::test]
async fn each_write_failing_in_turn_leaves_nothing_unrecorded_and_it_can_be_brought_again() {
    let mut failed = 0;
    for appends in 0..10 {
        let bag = bag().await;
        let lakeside = &bag.world.lakeside;
        lakeside.ledger_disk.fail_writes_after("journal", appends);
        let outcome = bag.take(&bag.zip).await;
        lakeside.ledger_disk.mend();
        let all = lakeside.exchange.all_incoming(&[], None).await.unwrap();
        let received = all.iter().filter(|it| it.status == IncomingStatus::Received).count();
        assert!(received <= lakeside.count("parcel-received"), "after {appends} appends");
        assert!(all.len() <= lakeside.count("parcel-offered"), "after {appends} appends");
        if outcome.is_ok() {
            break;
        }
        failed += 1;
        if received == 0 {
            assert_eq!(bag.take(&bag.zip).await.unwrap().status, IncomingStatus::Received);
        }
    }
    assert!(failed >= 4, "only {failed} writes failed");
    let bag = bag().await;
    let state = &bag.world.lakeside.exchange.0.setup.state;
    for writes in ["INSERT", "UPDATE"] {
        state::testing::break_writes(state, "parcels", writes).await.unwrap();
        assert!(bag.take(&bag.zip).await.is_err(), "{writes}");
        state::testing::mend_writes(state, "parcels", writes).await.unwrap();
    }
    // What was cut off before its verification is taken up by the clock.
    bag.world.lakeside.exchange.tend().await.unwrap();
    let exchange = bag.export.exchange.unwrap();
    let parcel = bag.world.lakeside.exchange.incoming(exchange).await.unwrap();
    assert_eq!(parcel.status, IncomingStatus::Received);
}

#[tokio::test]
async fn a_disk_that_is_full_keeps_nothing_of_it() {
    let bag = bag().await;
    let lakeside = &bag.world.lakeside;
    for room in [0, 5_000, 100_000] {
        lakeside.disk.set_room(room);
        assert!(matches!(bag.take(&bag.zip).await, Err(ExchangeError::Store { .. })), "{room}");
        assert!(lakeside.exchange.all_incoming(&[], None).await.unwrap().is_empty());
    }
    lakeside.disk.set_room(u64::MAX);
    is_usable(&bag, &bag.take(&bag.zip).await.unwrap()).await;
}

#[tokio::test]
async fn the_folder_for_what_arrives_is_emptied_and_says_what_became_of_it() {
    let bag = bag().await;
    let lakeside = &bag.world.lakeside;
    let folder = arrivals(&lakeside.folder.path().join("parcels"));
    let (good, bad) = (folder.join("one.zip"), folder.join("two.zip"));
    std::fs::copy(&bag.zip, &good).unwrap();
    std::fs::write(&bad, b"no parcel").unwrap();
    std::fs::write(folder.join(".three.zip"), b"still being copied").unwrap();
    // What can't be recorded stays.
    lakeside.ledger_disk.fail_writes_after("journal", 0);
    assert!(lakeside.exchange.take_arrivals().await.is_err());
    lakeside.ledger_disk.mend();
    assert!(good.exists() && bad.exists());
    lakeside.exchange.take_arrivals().await.unwrap();
    let said = |place: &Path| -> Arrived {
        serde_json::from_slice(&std::fs::read(answer_for(place)).unwrap()).unwrap()
    };
    let (one, two) = (said(&good), said(&bad));
    assert_eq!((one.taken, one.exchange), (true, bag.export.exchange));
    assert!(one.words.contains(RIVERTON.1) && one.entry.is_some(), "{one:?}");
    assert!(!two.taken && two.entry.is_some(), "{two:?}");
    assert!(!good.exists() && !bad.exists() && folder.join(".three.zip").exists());
    let parcel = lakeside.exchange.incoming(bag.export.exchange.unwrap()).await.unwrap();
    assert_eq!(parcel.afterwards.carried.as_ref().unwrap().by, None);
    is_usable(&bag, &parcel).await;
}

#[tokio::test]
async fn the_receipt_is_handed_to_the_senders_server_once_it_answers() {
    let bag = bag().await;
    let (riverton, lakeside) = (&bag.world.riverton, &bag.world.lakeside);
    bag.take(&bag.zip).await.unwrap();
    bag.world.back.cut_after(0);
    lakeside.exchange.tend().await.unwrap();
    let exchange = bag.export.exchange.unwrap();
    let carried = lakeside.exchange.incoming(exchange).await.unwrap().afterwards.carried.unwrap();
    assert_eq!((carried.attempts, carried.told), (1, false));
    bag.world.back.mend();
    bag.world.clock.set(now() + SignedDuration::from_mins(2));
    riverton.ledger_disk.fail_writes_after("journal", 0);
    lakeside.exchange.tend().await.unwrap();
    riverton.ledger_disk.mend();
    assert_eq!(riverton.count("receipt-anchored"), 0);
    bag.world.clock.set(now() + SignedDuration::from_mins(10));
    lakeside.exchange.tend().await.unwrap();
    let export = riverton.exchange.export(bag.export.id).await.unwrap();
    assert_eq!(
        (export.status, riverton.count("receipt-anchored")),
        (ExportStatus::Acknowledged, 1)
    );
    let carried = lakeside.exchange.incoming(exchange).await.unwrap().afterwards.carried.unwrap();
    assert!(carried.told);
    bag.world.clock.set(now() + SignedDuration::from_hours(3));
    lakeside.exchange.tend().await.unwrap();
    assert_eq!(riverton.count("receipt-anchored"), 1, "it is handed over once");
}
