//! Numbers that never came: told once and across restarts; those that go another way are told of by the sender and waited for.

use jiff::ToSpan;

use super::returned::Nowhere;
use super::reviewed::restarted_as;
use super::*;

const BAG: &str = "bag";

/// Riverton's first export goes by hand, its second over the line.
async fn one_by_hand_one_over_the_line() -> (World, Export) {
    let world = world_with(|riverton, _| {
        let partner = Some(LAKESIDE.0.parse().unwrap());
        let depot = Arc::new(Nowhere);
        riverton.routes = vec![Route { partner, name: BAG.to_owned(), depot }];
    })
    .await;
    let riverton = &world.riverton;
    let new = NewExport { route: Some(BAG.to_owned()), ..new_export() };
    let export = riverton.exchange.request(&ruiz(), new).await.unwrap();
    riverton.exchange.approve(&okafor(), export.id).await.unwrap();
    let items = riverton.fetch(&ruiz(), &export.details.items).await.unwrap();
    riverton.exchange.seal(&ruiz(), export.id, items).await.unwrap();
    let by_hand = riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!((by_hand.status, by_hand.number), (ExportStatus::Delivered, Some(1)));
    (world, by_hand)
}

impl World {
    /// One more over the line.
    async fn pushed(&self) -> Export {
        let export = self.riverton.sealed().await.unwrap();
        self.riverton.exchange.deliver(export.id).await.unwrap()
    }
}

#[tokio::test]
async fn a_number_that_goes_by_hand_is_told_by_its_sender_and_is_no_gap_before_it_is_late() {
    let (world, _) = one_by_hand_one_over_the_line().await;
    assert_eq!(world.pushed().await.status, ExportStatus::Acknowledged);
    let lakeside = &world.lakeside;
    let told = MissingNumber { number: 1, way: Some(BAG.to_owned()) };
    assert_eq!(lakeside.exchange.missing_numbers(RIVERTON.0).await.unwrap(), [told]);
    for days in [0, 1, 29, 31, 40] {
        world.clock.set(now() + (24 * days).hours());
        lakeside.exchange.tend().await.unwrap();
        let alerts = lakeside.count("exchange-alert");
        assert_eq!(alerts, usize::from(days > 30), "after {days} days");
    }
    let events = lakeside.events();
    let alert = events.iter().find_map(|event| match event {
        Event::ExchangeAlert { what, .. } => Some(what.clone()),
        _ => None,
    });
    assert!(alert.unwrap().contains("sends by bag"));
}

#[tokio::test]
async fn one_that_was_taken_in_is_no_gap_at_all() {
    let (world, by_hand) = one_by_hand_one_over_the_line().await;
    world.pushed().await;
    let lakeside = &world.lakeside.exchange;
    let carried = Carried::Place(world.riverton.sent(by_hand.parcel.unwrap()));
    let parcel = lakeside.take_in_parcel(Some(&pell()), carried).await.unwrap();
    assert_eq!(parcel.number, 1);
    world.clock.set(now() + (24 * 60).hours());
    lakeside.tend().await.unwrap();
    assert!(lakeside.missing_numbers(RIVERTON.0).await.unwrap().is_empty());
    assert_eq!(world.lakeside.count("exchange-alert"), 0);
}

#[tokio::test]
async fn each_number_is_told_until_an_offer_after_it_was_acknowledged() {
    let (world, by_hand) = one_by_hand_one_over_the_line().await;
    let carried = async |export: &Export| {
        let row = world.riverton.exchange.export_row(export.id).await.unwrap();
        let told = world.riverton.exchange.carried_numbers(&row).await.unwrap();
        told.into_iter().map(|one| one.number).collect::<Vec<_>>()
    };
    let second = world.riverton.sealed().await.unwrap();
    assert_eq!(carried(&by_hand).await, [] as [u64; 0], "none is before the first");
    assert_eq!(carried(&second).await, [1]);
    world.riverton.exchange.deliver(second.id).await.unwrap();
    let third = world.riverton.sealed().await.unwrap();
    assert_eq!(carried(&third).await, [1], "it is still on its way");
    world.riverton.exchange.recall(&ruiz(), by_hand.id, "the wrong case").await.unwrap();
    assert_eq!(carried(&third).await, [] as [u64; 0], "a notice tells of it");
}

#[tokio::test]
async fn what_was_told_is_known_after_a_restart_and_what_could_not_be_is_told_then() {
    let world = world().await;
    world.riverton.sealed().await.unwrap();
    world.pushed().await;
    let lakeside = &world.lakeside;
    lakeside.exchange.tend().await.unwrap();
    world.clock.set(now() + 2.hours());
    // Neither the record nor the note of it fails without another attempt.
    lakeside.ledger_disk.fail_writes_after("journal", 0);
    assert!(lakeside.exchange.tend().await.is_err());
    lakeside.ledger_disk.mend();
    assert_eq!(lakeside.count("exchange-alert"), 0);
    let again = restarted_as(lakeside, LAKESIDE, |_| {});
    again.tend().await.unwrap();
    assert_eq!(lakeside.count("exchange-alert"), 1, "the hour counts from before the restart");
    for hours in [3, 30] {
        world.clock.set(now() + hours.hours());
        restarted_as(lakeside, LAKESIDE, |_| {}).tend().await.unwrap();
    }
    assert_eq!(lakeside.count("exchange-alert"), 1);
}

#[tokio::test]
async fn a_way_that_can_t_be_noted_is_told_again_by_the_next_attempt() {
    let (world, _) = one_by_hand_one_over_the_line().await;
    let state = &world.lakeside.exchange.0.setup.state;
    state::testing::break_writes(state, "number_gaps", "INSERT").await.unwrap();
    let second = world.riverton.sealed().await.unwrap();
    assert!(world.riverton.exchange.deliver(second.id).await.is_err());
    state::testing::mend_writes(state, "number_gaps", "INSERT").await.unwrap();
    world.riverton.exchange.deliver(second.id).await.unwrap();
    let missing = world.lakeside.exchange.missing_numbers(RIVERTON.0).await.unwrap();
    assert_eq!(missing[0].way.as_deref(), Some(BAG));
}

#[tokio::test]
async fn an_offer_that_tells_nonsense_of_other_numbers_is_refused() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    let offer = super::faults::offer_of(&world, &export).await;
    let told = |number, way: &str| crate::gaps::CarriedNumber { number, way: way.to_owned() };
    for carried in [
        vec![told(0, BAG)],
        vec![told(1, "By Hand!")],
        vec![told(1, "push")],
        vec![told(1, BAG); crate::gaps::CARRIED_MAX + 1],
    ] {
        let bad = crate::protocol::Offer { carried, ..offer.clone() };
        assert!(!bad.tells_soundly());
    }
    assert!(offer.tells_soundly());
}
