//! Clocks that are hours apart: which way round, what is refused, by what words, and that it goes on once they agree.

use super::*;

/// Lakeside's clock is so many hours from Riverton's.
async fn apart(hours: i64) -> (World, Arc<FixedClock>) {
    let theirs = Arc::new(FixedClock::new(now() + SignedDuration::from_hours(hours)));
    let clock = Arc::clone(&theirs);
    let world = world_with(|_, lakeside| lakeside.clock = clock).await;
    (world, theirs)
}

#[tokio::test]
async fn a_receiver_whose_clock_is_behind_says_so_and_takes_it_once_that_is_right() {
    let (world, theirs) = apart(-5).await;
    let export = world.riverton.sealed().await.unwrap();
    let error = world.riverton.exchange.deliver(export.id).await.unwrap_err();
    let said = error.chain();
    assert!(said.contains("clock: ") && said.contains("which is after our time"), "{said}");
    let row = world.riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(row.status, ExportStatus::Sending, "it is tried again: {said}");
    let lakeside = &world.lakeside;
    assert!(lakeside.exchange.all_incoming(&[], None).await.unwrap().is_empty());
    assert_eq!(lakeside.story(), ["request-refused"], "on record");
    theirs.set(now());
    let done = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(done.status, ExportStatus::Acknowledged);
}

#[tokio::test]
async fn a_receipt_of_a_clock_that_is_ahead_is_not_believed_before_its_time() {
    let (world, _) = apart(5).await;
    let riverton = &world.riverton;
    let export = riverton.sealed().await.unwrap();
    let error = riverton.exchange.deliver(export.id).await.unwrap_err();
    assert!(error.chain().contains("which is after our time"), "{}", error.chain());
    assert_eq!((riverton.count("receipt-anchored"), riverton.count("parcel-sent")), (0, 1));
    let row = riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(row.status, ExportStatus::Sending, "it is tried again");
    // The parcel is there already, once; the same receipt counts when our clock has come so far.
    world.clock.set(now() + SignedDuration::from_hours(5));
    let done = riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(done.status, ExportStatus::Acknowledged);
    assert_eq!(world.lakeside.count("parcel-received"), 1);
}

#[tokio::test]
async fn an_offer_that_is_over_by_the_receivers_clock_is_refused_with_both_times() {
    let (world, _) = apart(24 * 15).await;
    let export = world.riverton.sealed().await.unwrap();
    let error = world.riverton.exchange.deliver(export.id).await.unwrap_err();
    let said = error.chain();
    assert!(said.contains("the offer ended at") && said.contains("and here it is"), "{said}");
    assert!(world.lakeside.exchange.all_incoming(&[], None).await.unwrap().is_empty());
}
