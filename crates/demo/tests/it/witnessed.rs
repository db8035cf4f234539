//! Two whole agencies witness each other; a restored copy of one's ledger is named by the other, and that agency
//! releases nothing more until a person has seen to it.

use std::path::Path;
use std::time::Duration;

use demo::DemoError;
use demo::runner::{Places, World};
use demo::story::client::Browser;
use ledger::Event;
use ledger::watched::{StopKind, lift_stop, stop_of};
use web::app::Shared;

/// Waits until this holds. The test's runner ends what never does.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn confirmed(agency: &Shared) -> u64 {
    agency.ledger.witnessed().witnesses[0].size.unwrap_or_default()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, there) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &there),
            false => drop(std::fs::copy(path, there).unwrap()),
        }
    }
}

fn newest(agency: &Shared, count: u64) -> Vec<Event> {
    let size = agency.ledger.size();
    let read = |number| agency.ledger.read(ledger::EntryNumber(number)).unwrap().record.event;
    (size.saturating_sub(count)..size).map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_ledger_is_named_by_the_partner_and_stops_its_agency() {
    let root = tempfile::tempdir().unwrap();
    let places = Places::free().await.unwrap();
    let (ledger, yesterday) =
        (root.path().join("riverton/data/ledger"), root.path().join("yesterday"));
    let world = World::start(root.path(), places).await.unwrap();
    until(|| confirmed(&world.riverton.agency) > 0 && confirmed(&world.lakeside.agency) > 0).await;
    world.stop().await;
    copy(&ledger, &yesterday);

    let world = World::start(root.path(), places).await.unwrap();
    let before = confirmed(&world.riverton.agency);
    until(|| confirmed(&world.riverton.agency) > before).await;
    let seen = confirmed(&world.riverton.agency);
    world.stop().await;
    std::fs::remove_dir_all(&ledger).unwrap();
    copy(&yesterday, &ledger);

    let world = World::start(root.path(), places).await.unwrap();
    let riverton = world.riverton.agency.clone();
    until(|| riverton.ledger.witnessed().stop.is_some()).await;
    let stop = riverton.ledger.witnessed().stop.unwrap();
    assert_eq!((stop.witness.as_str(), stop.seen >= seen), ("lakeside", true), "{stop:?}");
    assert!(stop.theirs.is_some(), "Lakeside shows what Riverton signed");
    let named = newest(&riverton, 3).into_iter().any(|event| match stop.kind {
        StopKind::Rollback => matches!(event, Event::RollbackDetected { .. }),
        StopKind::Fork => matches!(event, Event::EquivocationDetected { .. }),
    });
    assert!(named, "it is the last that the ledger took");
    let mut browser = Browser::new("a visitor");
    let address = format!("http://{}/sign-in/demo", world.riverton.pages);
    let page = browser.open(&address).await.unwrap();
    let told = "the witness lakeside has seen";
    assert!(page.status == 503 || !page.says(told), "{}", page.text());
    drop(riverton);
    world.stop().await;

    // It is not started again either, until a person says why it goes on.
    let error = World::start(root.path(), places).await.err().unwrap();
    let DemoError::Start(error) = error else { panic!("{error}") };
    let told = web::problem::chain(&error);
    assert!(told.contains("the witness lakeside has seen"), "{told}");
    assert_eq!(stop_of(&ledger).unwrap().map(|stop| stop.seen), Some(stop.seen));
    lift_stop(&ledger, "the newest copy is lost").unwrap();
    let world = World::start(root.path(), places).await.unwrap();
    let lifted = |event: &Event| matches!(event, Event::StopLifted { reason } if reason.starts_with("the newest copy is lost"));
    assert!(newest(&world.riverton.agency, 40).iter().any(lifted));
    // The witness still holds what is gone, and says so again.
    until(|| world.riverton.agency.ledger.witnessed().stop.is_some()).await;
    world.stop().await;
}
