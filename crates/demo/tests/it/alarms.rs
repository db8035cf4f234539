//! Who is told that the audit ledger needs somebody: a volume that fills up, and records refused.

use std::sync::Arc;

use demo::runner::{Places, Staging, World};
use demo::story::Seat;
use ledger::testing::SimDisk;
use web::agency::Outside;

fn outside(disk: &Arc<SimDisk>) -> Outside {
    Outside { ledger_disk: disk.clone(), ..Outside::system() }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_see_to_the_ledger_are_told_on_every_page_and_ready_says_no() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(SimDisk::new());
    let staging = Staging { outside: outside(&disk), ..Staging::default() };
    let places = Places::free().await.unwrap();
    let world = World::start_staged(folder.path(), places, staging).await.unwrap();
    disk.leave_room(200_000);
    // The first look at the volume comes with the start.
    let world = world.restart_riverton(outside(&disk)).await.unwrap();
    let base = format!("http://{}", world.riverton.pages);
    let (mut ruiz, mut lindqvist) =
        (Seat::new("det.ruiz", &base), Seat::new("so.lindqvist", &base));
    ruiz.sign_in().await.unwrap();
    lindqvist.sign_in().await.unwrap();
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

    disk.fail_writes_after("journal", 0);
    assert_eq!(lindqvist.browser.open(&format!("{base}/audit")).await.unwrap().status, 503);
    let ready = lindqvist.browser.open(&format!("{base}/ready")).await.unwrap();
    assert_eq!((ready.status, &*ready.body), (503, &b"the ledger refuses records\n"[..]));
    let page = lindqvist.browser.open(&format!("{base}/me")).await.unwrap();
    assert!(page.says("The audit ledger has refused records since"), "{}", page.text());

    disk.mend();
    // The ledger is opened again at most four times a second.
    let mut status = 503;
    while status == 503 {
        status = lindqvist.browser.open(&format!("{base}/audit")).await.unwrap().status;
    }
    assert_eq!(status, 200);
    let ready = lindqvist.browser.open(&format!("{base}/ready")).await.unwrap();
    assert_eq!(ready.status, 200);
    world.stop().await;
}
