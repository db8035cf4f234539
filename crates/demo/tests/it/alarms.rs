//! Who is told that the audit ledger needs somebody: a volume that fills up, and records refused.

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn those_who_see_to_the_ledger_are_told_on_every_page_and_ready_says_no() {
    let stage = Stage::start("").await;
    stage.disk.leave_room(200_000);
    // The first look at the volume comes with the start.
    let stage = stage.restarted().await;
    let base = stage.base.as_str();
    let mut ruiz = stage.seat("det.ruiz").await;
    let mut lindqvist = stage.seat("so.lindqvist").await;
    let told = "Make room for the audit ledger: the ledger's volume is 9";
    let page = lindqvist.open("/me").await.unwrap();
    assert!(page.says(told), "{}", page.text());
    assert!(
        !ruiz.open("/me").await.unwrap().says("Make room"),
        "it is not a detective's to see to"
    );
    let page = lindqvist.open("/audit/ledger").await.unwrap();
    assert!(page.says(told) && page.says("Volume used"), "{}", page.text());
    let ready = lindqvist.browser.open(&format!("{base}/ready")).await.unwrap();
    assert_eq!((ready.status, &*ready.body), (200, &b"ready\n"[..]), "full soon is not full");

    stage.disk.fail_writes_after("journal", 0);
    assert_eq!(lindqvist.browser.open(&format!("{base}/audit")).await.unwrap().status, 503);
    let ready = lindqvist.browser.open(&format!("{base}/ready")).await.unwrap();
    assert_eq!((ready.status, &*ready.body), (503, &b"the ledger refuses records\n"[..]));
    let page = lindqvist.browser.open(&format!("{base}/me")).await.unwrap();
    assert!(page.says("The audit ledger has refused records since"), "{}", page.text());

    stage.disk.mend();
    // The ledger is opened again at most four times a second.
    let mut status = 503;
    while status == 503 {
        status = lindqvist.browser.open(&format!("{base}/audit")).await.unwrap().status;
    }
    assert_eq!(status, 200);
    let ready = lindqvist.browser.open(&format!("{base}/ready")).await.unwrap();
    assert_eq!(ready.status, 200);
    stage.world.stop().await;
}
