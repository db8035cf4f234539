//! Guests' pages: who may invite, and that whoever is no guest finds nothing there.

use ledger::Event;

use crate::guest_door::Visitor;
use crate::stage::{Stage, step_up};

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_whose_account_was_made_by_hand_signs_in_and_has_one_page() {
    let stage = Stage::start("").await;
    let mut voss = stage.administrator().await;
    let page = voss.open("/people/new").await.unwrap();
    let mut form = page.pressed("Make the account").unwrap();
    for (name, value) in [
        ("idp", "millbrook"),
        ("name_id", "ofc.tran"),
        ("name", "Linh Tran"),
        ("kind", "guest"),
        ("functions", "partner-guest"),
        ("reason", "invited"),
    ] {
        form = form.set(name, value).unwrap();
    }
    let page = voss.browser.submit(&page, &form).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.text());
    let Some(tran) = Visitor::new(&stage) else { return };
    tran.sign_in();
    assert_eq!(tran.open("/").redirect, format!("{}/guest", tran.base));
    let page = tran.open("/guest").body;
    let says = page.contains("Linh Tran") && page.contains("Millbrook Police Department");
    assert!(says && page.contains("Nothing is here for you now"), "{page}");
    let made = stage.events(&["account-created"]);
    let account = |event: &Event| format!("{event:?}").contains("ofc.tran");
    assert_eq!(made.iter().filter(|event| account(event)).count(), 1, "{made:?}");
}

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
