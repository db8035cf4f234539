//! Attempts that fail, what a person may do once they have failed for good, and ways whose names lead elsewhere later.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use jiff::ToSpan;

use super::*;
use crate::book::Clause;

/// A place that refuses until it is told otherwise.
struct Stubborn {
    words: Mutex<String>,
    refuses: AtomicBool,
    /// Whether something stays there of an attempt that comes to nothing.
    keeps: AtomicBool,
    attempts: AtomicU32,
}

impl Stubborn {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            words: Mutex::new("the shelf by the door".to_owned()),
            refuses: AtomicBool::new(true),
            keeps: AtomicBool::new(false),
            attempts: AtomicU32::new(0),
        })
    }

    fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }
}

impl Depot for Stubborn {
    fn words(&self) -> String {
        self.words.lock().unwrap().clone()
    }

    fn lay<'a>(&'a self, _: &'a Load, way: &'a Way) -> Laying<'a> {
        Box::pin(async move {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            way.there(1);
            if self.keeps.load(Ordering::Relaxed) {
                way.moved(1);
            }
            match self.refuses.load(Ordering::Relaxed) {
                true => Err(DepotError::Sftp { said: "permission denied".to_owned() }),
                false => Ok(()),
            }
        })
    }

    fn clear<'a>(&'a self, _: &'a Left) -> Laying<'a> {
        Box::pin(async { Ok(()) })
    }
}

const SHELF: &str = "shelf";

/// An export to be laid on the shelf, of which two attempts are the most.
async fn sealed(shelf: &Arc<Stubborn>, change: impl FnOnce(&mut Stage)) -> (World, Uuid) {
    let route = |name: &str| Route {
        partner: Some(LAKESIDE.0.parse().unwrap()),
        name: name.to_owned(),
        depot: Arc::clone(shelf) as Arc<dyn Depot>,
    };
    let world = world_with(|riverton, _| {
        riverton.routes = vec![route(SHELF), route("closed")];
        riverton.settings.failures_max = 2;
        change(riverton);
    })
    .await;
    let new = NewExport { route: Some(SHELF.to_owned()), ..new_export() };
    let export = world.riverton.exchange.request(&ruiz(), new).await.unwrap();
    world.riverton.exchange.approve(&okafor(), export.id).await.unwrap();
    let items = world.riverton.fetch(&ruiz(), &export.details.items).await.unwrap();
    world.riverton.exchange.seal(&ruiz(), export.id, items).await.unwrap();
    (world, export.id)
}

impl World {
    async fn status(&self, export: Uuid) -> ExportStatus {
        self.riverton.exchange.export(export).await.unwrap().status
    }

    /// One attempt, when its time has come.
    async fn attempt(&self, export: Uuid) -> ExportStatus {
        let next = self.riverton.exchange.export(export).await.unwrap();
        if let Some(at) = next.details.delivery.next_attempt_at {
            self.clock.set(at);
        }
        self.riverton.exchange.work_once(None).await.unwrap();
        self.status(export).await
    }

    async fn failed(&self, export: Uuid) {
        assert_eq!(self.attempt(export).await, ExportStatus::Sending);
        assert_eq!(self.attempt(export).await, ExportStatus::Failed);
    }
}

#[tokio::test]
async fn what_failed_for_good_goes_on_when_somebody_who_may_says_so() {
    let shelf = Stubborn::new();
    let (world, export) = sealed(&shelf, |_| {}).await;
    let riverton = &world.riverton;
    let early = riverton.exchange.again(&ruiz(), export).await.unwrap_err();
    assert!(matches!(early, ExchangeError::WrongState { .. }), "{early:?}");
    world.failed(export).await;
    // Nothing goes on by itself.
    world.clock.set(now() + 24.hours());
    assert_eq!(world.attempt(export).await, ExportStatus::Failed);
    assert_eq!(shelf.attempts(), 2);
    shelf.refuses.store(false, Ordering::Relaxed);

    let mut auditor = caller("aud.lund", "auditor", RIVERTON);
    auditor.actor.assurance.stepped_up_at = Some(world.clock.now());
    let denied = riverton.exchange.again(&auditor, export).await.unwrap_err();
    assert!(matches!(denied, ExchangeError::Denied { .. }), "{denied:?}");
    assert_eq!(world.status(export).await, ExportStatus::Failed);

    let mut ruiz = ruiz();
    ruiz.actor.assurance.stepped_up_at = Some(world.clock.now());
    riverton.exchange.again(&ruiz, export).await.unwrap();
    assert_eq!(world.attempt(export).await, ExportStatus::Delivered);
    let told = riverton.story().join(" ");
    assert!(told.ends_with("decided decided written written parcel-delivered"), "{told}");
    assert_eq!(riverton.count("parcel-sent"), 1);
}

#[tokio::test]
async fn an_agreement_that_ended_or_closed_the_way_meanwhile_lets_nobody_try_again() {
    let shelf = Stubborn::new();
    let ends = now() + 1.hours();
    let (world, export) = sealed(&shelf, |riverton| {
        riverton.agreements[0].facts.ends = ends;
        riverton.agreements[0].terms.deliveries = Some(BTreeSet::from([SHELF.to_owned()]));
    })
    .await;
    let exchange = &world.riverton.exchange;
    world.failed(export).await;
    shelf.refuses.store(false, Ordering::Relaxed);
    // As one that was asked for before the agreement closed its way.
    let closed = |row: &mut crate::model::ExportRow| {
        row.details.delivery.route = Some("closed".to_owned());
    };
    exchange.change_export(export, now(), closed).await.unwrap();
    let refused = exchange.again(&ruiz(), export).await.unwrap_err();
    assert!(matches!(refused.clause(), Some(Clause::Delivery { .. })), "{refused:?}");
    let open = |row: &mut crate::model::ExportRow| {
        row.details.delivery.route = Some(SHELF.to_owned());
    };
    exchange.change_export(export, now(), open).await.unwrap();

    world.clock.set(ends);
    let mut ruiz = ruiz();
    ruiz.actor.assurance.stepped_up_at = Some(ends);
    let refused = exchange.again(&ruiz, export).await.unwrap_err();
    assert!(refused.clause().is_some() && refused.entry().is_some(), "{refused:?}");
    assert_eq!(world.attempt(export).await, ExportStatus::Failed);
    assert_eq!(shelf.attempts(), 2);
    assert_eq!(world.riverton.count("written"), 6, "what was withheld was not carried out");
}

#[tokio::test]
async fn each_write_of_the_ledger_failing_in_turn_lets_nothing_go_on_again_unrecorded() {
    let shelf = Stubborn::new();
    let (world, export) = sealed(&shelf, |_| {}).await;
    let riverton = &world.riverton;
    world.failed(export).await;
    let mut failed = 0;
    for appends in 0..10 {
        riverton.ledger_disk.fail_writes_after("journal", appends);
        let outcome = riverton.exchange.again(&ruiz(), export).await;
        riverton.ledger_disk.mend();
        let goes_on = world.status(export).await == ExportStatus::Sending;
        assert_eq!(goes_on, outcome.is_ok(), "after {appends} appends");
        if goes_on {
            break;
        }
        failed += 1;
    }
    assert!(failed >= 2, "only {failed} writes failed");
}

#[tokio::test]
async fn an_attempt_that_moved_something_is_not_counted_against_the_next() {
    let shelf = Stubborn::new();
    let (world, export) = sealed(&shelf, |_| {}).await;
    shelf.keeps.store(true, Ordering::Relaxed);
    for _ in 0..5 {
        assert_eq!(world.attempt(export).await, ExportStatus::Sending);
    }
    let attempts = world.riverton.events();
    let attempts = attempts.iter().filter_map(|event| match event {
        Event::DeliveryFailed(failed) => Some(failed.attempt),
        _ => None,
    });
    assert_eq!(attempts.collect::<Vec<_>>(), [1; 5]);
    shelf.keeps.store(false, Ordering::Relaxed);
    assert_eq!(world.attempt(export).await, ExportStatus::Failed);
}

#[tokio::test]
async fn a_way_whose_name_leads_elsewhere_than_when_it_was_approved_waits_for_a_person() {
    let shelf = Stubborn::new();
    let (world, export) = sealed(&shelf, |_| {}).await;
    let riverton = &world.riverton;
    assert_eq!(world.attempt(export).await, ExportStatus::Sending);
    shelf.refuses.store(false, Ordering::Relaxed);
    *shelf.words.lock().unwrap() = "the shelf in the cellar".to_owned();
    assert_eq!(world.attempt(export).await, ExportStatus::Failed);
    assert_eq!(shelf.attempts(), 1, "nothing went there");
    let stands = riverton.exchange.export(export).await.unwrap();
    let problem = stands.details.delivery.last_problem.unwrap();
    for words in ["the shelf by the door", "the shelf in the cellar"] {
        assert!(problem.contains(words), "{problem}");
    }
    assert_eq!(riverton.count("request-refused"), 1);

    riverton.exchange.again(&ruiz(), export).await.unwrap();
    assert_eq!(world.attempt(export).await, ExportStatus::Delivered);
    let places = riverton.events();
    let places = places.iter().filter_map(|event| match event {
        Event::ParcelSent(ledger::Sent { place, .. })
        | Event::ParcelDelivered(ledger::Laid { place, .. }) => place.as_deref(),
        _ => None,
    });
    let (door, cellar) = ("the shelf by the door", "the shelf in the cellar");
    assert_eq!(places.collect::<Vec<_>>(), [door, cellar, cellar]);
    let done = riverton.exchange.export(export).await.unwrap();
    assert_eq!(done.details.delivery.place.as_deref(), Some(cellar));
}

#[tokio::test]
async fn what_is_on_record_is_stored_whoever_else_changes_the_export_meanwhile() {
    let shelf = Stubborn::new();
    let (world, export) = sealed(&shelf, |_| {}).await;
    let exchange = &world.riverton.exchange;
    let change = || async {
        let counted = |row: &mut crate::model::ExportRow| row.details.delivery.failures += 1;
        exchange.change_export(export, now(), counted).await.unwrap();
    };
    tokio::join!(change(), change(), change(), change());
    let export = exchange.export(export).await.unwrap();
    assert_eq!(export.details.delivery.failures, 4);
}

#[tokio::test]
async fn whoever_breaks_off_has_kept_the_line_from_others_for_one_step_and_no_longer() {
    let world = world_with(|riverton, _| {
        riverton.settings.bytes_per_second_max = Some(1 << 20);
    })
    .await;
    let exchange = &world.riverton.exchange;
    // A part of 64 MiB would take a minute. It is taken back as soon as it waits.
    let part = exchange.pace(64 << 20);
    tokio::select! {
        biased;
        () = part => panic!("it did not wait"),
        () = std::future::ready(()) => {}
    }
    let bucket = exchange.0.bandwidth.as_ref().unwrap();
    let wait = bucket.take(0, exchange.0.began.elapsed());
    assert!(wait <= Duration::from_millis(250), "{wait:?}");
}
