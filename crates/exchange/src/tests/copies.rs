//! Our own sealed copies: kept for a time after they arrived, and not longer.

use ledger::retention::{HoldScope, Order};

use super::*;

const DAYS: u64 = 90;

async fn arrived() -> (World, Export) {
    let world = world_with(|riverton, _| {
        riverton.settings.keep_sent = Duration::from_secs(DAYS * 24 * 3600);
    })
    .await;
    let export = world.riverton.sealed().await.unwrap();
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Acknowledged);
    (world, export)
}

impl World {
    async fn after_days(&self, days: u64) {
        let hours = i64::try_from(24 * days).unwrap();
        self.clock.set(now() + SignedDuration::from_hours(hours));
        self.riverton.exchange.tend().await.ok();
    }
}

#[tokio::test]
async fn a_copy_goes_when_its_time_is_over_and_its_record_comes_first() {
    let (world, export) = arrived().await;
    let riverton = &world.riverton;
    let copy = riverton.sent(export.parcel.unwrap());
    world.after_days(DAYS - 1).await;
    assert!(copy.exists());
    assert_eq!(riverton.count("copy-removed"), 0);

    riverton.ledger_disk.fail_writes_after("journal", 0);
    world.after_days(DAYS).await;
    assert!(copy.exists(), "what can't be recorded is not done");
    riverton.ledger_disk.mend();

    world.after_days(DAYS + 1).await;
    assert!(!copy.exists());
    assert_eq!(riverton.count("copy-removed"), 1);
    let told = riverton.exchange.export(export.id).await.unwrap();
    assert!(told.details.sealed.unwrap().gone.is_some());
    let refused = riverton.exchange.download(&ruiz(), export.id, Form::Zip).await.map(drop);
    assert!(matches!(refused, Err(ExchangeError::WrongState { what: "sealed copy", .. })));

    // A crash between the record and the removal: it goes, and is not recorded again.
    std::fs::create_dir(&copy).unwrap();
    world.after_days(DAYS + 2).await;
    assert!(!copy.exists());
    assert_eq!(riverton.count("copy-removed"), 1);
}

#[tokio::test]
async fn what_has_not_arrived_is_no_copy_and_a_hold_keeps_one() {
    let (world, export) = arrived().await;
    let riverton = &world.riverton;
    let waiting = riverton.sealed().await.unwrap();
    let what = HoldScope::Case { number: "24-000113".to_owned() };
    let order = Order { authority: "General Counsel".to_owned(), ..Order::default() };
    let ledger = riverton.ledger.clone();
    let place = move || ledger.place_hold("lit-2026-7", what, None, order).map(drop);
    tokio::task::spawn_blocking(place).await.unwrap().unwrap();
    world.after_days(DAYS + 1).await;
    assert!(riverton.sent(export.parcel.unwrap()).exists(), "a hold wins");
    assert!(riverton.sent(waiting.parcel.unwrap()).exists(), "it never arrived");
    assert_eq!(riverton.count("copy-removed"), 0);
}
