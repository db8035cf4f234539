//! What a person began is carried through, and on record as what it was, though they are put out meanwhile.

use std::time::Duration;

use demo::runner::{Places, World};
use demo::seed::story::PLATE;
use demo::story::Seat;
use demo::story::client::Raw;
use jiff::SignedDuration;
use keys::{Clock as _, SystemClock};
use ledger::{EntryNumber, Event};
use state::accounts::AccountId;

/// The events from entry `first` on.
fn events(world: &World, first: u64) -> Vec<Event> {
    let ledger = &world.riverton.agency.ledger;
    let numbers = first..ledger.size();
    numbers.map(|number| ledger.read(EntryNumber(number)).unwrap().record.event).collect()
}

/// The events from entry `first` on, once there is one of that kind.
async fn until(world: &World, first: u64, kind: &str) -> Vec<Event> {
    for _ in 0..500 {
        let events = events(world, first);
        if events.iter().any(|event| event.kind() == kind) {
            return events;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there is no {kind}: {:?}", events(world, first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_under_way_when_its_session_is_cut_is_done_and_recorded_as_done() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), Places::free().await.unwrap()).await.unwrap();
    let mut ruiz = Seat::new("det.ruiz", &format!("http://{}", world.riverton.pages));
    ruiz.sign_in().await.unwrap();
    let page = ruiz.open("/tools/vehicle-lookup").await.unwrap();
    let form = page.form("/tools/vehicle-lookup/runs").unwrap().set("plate", PLATE).unwrap();
    let form = form.set("purpose", "C").unwrap().set("case_number", "24-000113").unwrap();
    let page = ruiz.browser.submit(&page, &form).await.unwrap();
    let page = ruiz.browser.submit(&page, &page.pressed("row").unwrap()).await.unwrap();
    let flag = "/tools/vehicle-lookup/actions/do_flag";
    let page = ruiz.browser.submit(&page, &page.form(flag).unwrap()).await.unwrap();
    let form = page.form(flag).unwrap().set("reason", "seen at the bridge").unwrap();
    let until_day = SystemClock.now() + SignedDuration::from_hours(24 * 30);
    let until_day = until_day.strftime("%Y-%m-%d").to_string();
    let form = form.set("until", &until_day).unwrap().press("Yes, flag it").unwrap();
    let address = page.address.join(&form.action).unwrap().to_string();
    let request = Raw::post(&address, &form.fields()).unwrap();

    // Somebody else writes, so that this write waits.
    let records = world.homes[0].folder.join("sources/records.db");
    let other = rusqlite::Connection::open(records).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let first = world.riverton.agency.ledger.size();
    let asking = tokio::spawn({
        let browser = ruiz.browser.clone();
        async move { browser.raw(request).await }
    });
    let writes =
        |event: &Event| matches!(event, Event::Decided { action, .. } if action == "write-record");
    for _ in 0..2_000 {
        if asking.is_finished() || events(&world, first).iter().any(writes) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!asking.is_finished(), "it waits for the other writer: {:?}", events(&world, first));
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.riverton.agency.live.cut_account(AccountId::of("demo|det.ruiz"));
    assert_eq!(asking.await.unwrap().unwrap().status, 401);
    other.execute_batch("rollback").unwrap();

    let events = until(&world, first, "written").await;
    let wrong = |event: &&Event| ["withheld", "outcome-unknown"].contains(&event.kind());
    assert_eq!(events.iter().find(wrong), None);
    let flagged = "select count(*) from vehicles where plate = ?1 and status = 'flagged'";
    let flagged: u64 = other.query_row(flagged, [PLATE], |row| row.get(0)).unwrap();
    assert_eq!(flagged, 1);
    world.stop().await;
}
