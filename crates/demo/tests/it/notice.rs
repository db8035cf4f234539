//! The system-use notice (AC-8): every session accepts it, on record, before anything else is open.

use std::sync::Arc;

use demo::runner::{Places, Staging, World};
use demo::story::Seat;
use demo::story::client::Raw;
use ledger::testing::SimDisk;
use ledger::{Event, Search};
use web::agency::Outside;

/// Everything that a person may open, but for the notice and signing out.
const PAGES: [&str; 14] = [
    "/",
    "/me",
    "/me/sessions",
    "/me/accesses",
    "/people",
    "/people/new",
    "/people/training",
    "/refusals",
    "/step-up?next=/people",
    "/tools/vehicle-lookup",
    "/exports",
    "/incoming",
    "/audit",
    "/audit/ledger",
];

fn accepted(world: &World) -> usize {
    let kinds = vec!["notice-accepted".to_owned()];
    let search = Search { kinds, ..Search::newest(50) };
    let page = world.riverton.agency.ledger.search(&search).unwrap();
    let entries = page.entries.iter();
    entries.filter(|entry| matches!(entry.record.event, Event::NoticeAccepted { .. })).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_open_before_the_notice_is_accepted_on_record_in_each_session() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(SimDisk::new());
    let outside = Outside { ledger_disk: disk.clone(), ..Outside::system() };
    let staging = Staging { outside, ..Staging::default() };
    let places = Places::free().await.unwrap();
    let world = World::start_staged(folder.path(), places, staging).await.unwrap();
    let base = format!("http://{}", world.riverton.pages);

    let mut seat = Seat::new("adm.voss", &base);
    let page = seat.open("/sign-in/demo").await.unwrap();
    let notice = seat.prove(&page).await.unwrap();
    assert!(notice.says("Using this system indicates consent"), "{}", notice.text());
    for path in PAGES {
        let page = seat.open(path).await.unwrap();
        assert_eq!(page.address.path(), "/notice", "{path}");
    }
    let form = notice.form("/notice").unwrap();
    for path in ["/people/bulk", "/people/new", "/tools/vehicle-lookup/runs", "/me/sessions"] {
        let raw = Raw::post(&format!("{base}{path}"), &form.fields()).unwrap();
        let page = seat.browser.raw(raw).await.unwrap();
        assert_eq!(page.status, 303, "{path}: {}", page.text());
        assert_eq!(page.header("location"), Some("/notice"), "{path}");
    }
    assert_eq!(accepted(&world), 0);

    disk.fail_writes_after("journal", 0);
    let unrecorded = seat.browser.submit(&notice, &form).await.unwrap();
    assert_eq!(unrecorded.status, 503, "{}", unrecorded.text());
    disk.mend();
    let page = seat.open("/me").await.unwrap();
    assert_eq!(page.address.path(), "/notice", "what is not on record was not accepted");
    let mut home = seat.browser.submit(&notice, &form).await.unwrap();
    while home.status == 503 {
        home = seat.browser.submit(&notice, &form).await.unwrap();
    }
    assert_eq!(home.address.path(), "/", "{}", home.text());
    assert_eq!(accepted(&world), 1);

    // A step-up goes on in the same session; another session asks again.
    let page = seat.open("/step-up?next=/people").await.unwrap();
    let page = seat.prove(&page).await.unwrap();
    assert_eq!(page.address.path(), "/people", "{}", page.text());
    let mut other = Seat::new("adm.voss", &base);
    let page = other.open("/sign-in/demo").await.unwrap();
    assert_eq!(other.prove(&page).await.unwrap().address.path(), "/notice");
    world.stop().await;
}
