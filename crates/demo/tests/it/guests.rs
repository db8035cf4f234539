//! Guests' pages: who may invite, and that whoever is no guest finds nothing there.

use crate::stage::{Stage, step_up};

#[tokio::test(flavor = "multi_thread")]
async fn a_security_officer_may_invite_and_whoever_is_no_guest_is_refused_on_record() {
    let stage = Stage::start("").await;
    let mut lindqvist = stage.seat("so.lindqvist").await;
    let page = lindqvist.open("/guests").await.unwrap();
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.says("Nobody was invited yet.") && page.says("Confirm my identity first"));
    step_up(&mut lindqvist, "/guests").await;
    let page = lindqvist.open("/guests").await.unwrap();
    assert!(page.says("There is no guest"), "{}", page.text());
    let mut ruiz = stage.seat("det.ruiz").await;
    for path in ["/guest", "/guests", "/guest/3c8d6f6e-7c5c-4c55-9a1f-0e4f4d2c1b0a"] {
        let page = ruiz.browser.open(&format!("{}{path}", stage.base)).await.unwrap();
        assert_eq!(page.status, 403, "{path}: {}", page.text());
    }
}
