//! The system-use notice (AC-8): every session accepts it, on record, before anything else is open.

use demo::story::Seat;
use demo::story::client::Raw;

use crate::stage::{Stage, step_up};

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

fn accepted(stage: &Stage) -> usize {
    stage.events(&["notice-accepted"]).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_open_before_the_notice_is_accepted_on_record_in_each_session() {
    let stage = Stage::start("").await;
    let mut seat = Seat::new("adm.voss", &stage.base);
    let page = seat.open("/sign-in/demo").await.unwrap();
    let notice = seat.prove(&page).await.unwrap();
    assert!(notice.says("Using this system indicates consent"), "{}", notice.text());
    for path in PAGES {
        let page = seat.open(path).await.unwrap();
        assert_eq!(page.address.path(), "/notice", "{path}");
    }
    let form = notice.form("/notice").unwrap();
    for path in ["/people/bulk", "/people/new", "/tools/vehicle-lookup/runs", "/me/sessions"] {
        let raw = Raw::post(&format!("{}{path}", stage.base), &form.fields()).unwrap();
        let page = seat.browser.raw(raw).await.unwrap();
        assert_eq!(page.status, 303, "{path}: {}", page.text());
        assert_eq!(page.header("location"), Some("/notice"), "{path}");
    }
    assert_eq!(accepted(&stage), 0);

    stage.disk.fail_writes_after("journal", 0);
    let unrecorded = seat.browser.submit(&notice, &form).await.unwrap();
    assert_eq!(unrecorded.status, 503, "{}", unrecorded.text());
    stage.disk.mend();
    let page = seat.open("/me").await.unwrap();
    assert_eq!(page.address.path(), "/notice", "what is not on record was not accepted");
    let mut home = seat.browser.submit(&notice, &form).await.unwrap();
    while home.status == 503 {
        home = seat.browser.submit(&notice, &form).await.unwrap();
    }
    assert_eq!(home.address.path(), "/", "{}", home.text());
    assert_eq!(accepted(&stage), 1);

    // A step-up goes on in the same session; another session asks again.
    let page = step_up(&mut seat, "/people").await;
    assert_eq!(page.address.path(), "/people", "{}", page.text());
    let mut other = Seat::new("adm.voss", &stage.base);
    let page = other.open("/sign-in/demo").await.unwrap();
    assert_eq!(other.prove(&page).await.unwrap().address.path(), "/notice");
    stage.world.stop().await;
}
