//! An export whose way leads elsewhere than when it was asked for comes to a stand, and goes on when somebody says so.

use demo::story::client::Raw;
use ledger::{Event, Laid, Sent};

use crate::sending::{CASE, USUAL, approve, press, preview, wait_for};
use crate::stage::{Stage, step_up};

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_came_to_a_stand_says_why_and_is_tried_again_by_whom_the_policy_lets() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    std::fs::create_dir(&second).unwrap();
    let medium = format!(
        "[[exchange.medium]]\nname = \"stick\"\nfolder = \"{}\"\nmounted = false\n",
        first.display()
    );
    let stage = Stage::start(&medium).await;
    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    let form = page.pressed("Ask for approval").unwrap().set("route", "stick").unwrap();
    let page = press(&mut ruiz, &page, form).await;
    let export = page.address.path().to_owned();
    assert!(page.says("/first, as a folder"), "{}", page.text());

    // The name gets another meaning between the asking and the approval.
    let config = stage.world.homes[0].folder.join("bailiwick.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace(&*first.to_string_lossy(), &second.to_string_lossy());
    std::fs::write(&config, text).unwrap();
    let stage = stage.restarted().await;
    let mut okafor = stage.seat("sgt.okafor").await;
    let page = okafor.open(&export).await.unwrap();
    assert!(page.says("That way leads elsewhere now"), "{}", page.text());
    approve(&mut okafor, &export).await;
    let page = wait_for(&mut okafor, &export, "failed").await;
    assert!(page.says("It came to a stand"), "{}", page.text());
    assert!(page.says("it was approved when it led to a medium in"), "{}", page.text());
    assert_eq!(std::fs::read_dir(&second).unwrap().count(), 0);
    assert!(stage.events(&["parcel-sent"]).is_empty());

    let mut auditor = stage.seat("so.lindqvist").await;
    let page = step_up(&mut auditor, "/partners").await;
    let csrf = page.form("/sign-out").unwrap().value("csrf").unwrap();
    let address = format!("{}{export}/again", auditor.base);
    let asked = Raw::post(&address, &[("csrf".to_owned(), csrf)]).unwrap();
    let refused = auditor.browser.raw(asked).await.unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.says("entry"), "{}", refused.text());

    let page = okafor.open(&export).await.unwrap();
    let form = page.pressed("Try again").unwrap();
    assert_eq!(press(&mut okafor, &page, form).await.status, 200);
    let page = wait_for(&mut okafor, &export, "delivered").await;
    assert!(page.says("/second, as a folder"), "{}", page.text());
    assert!(!page.says("Try again"), "{}", page.text());
    let parcel = std::fs::read_dir(&second)
        .unwrap()
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("parcel-"));
    assert!(parcel, "it lies there");
    let events = stage.events(&["parcel-sent", "parcel-delivered"]);
    let places = events.iter().map(|event| match event {
        Event::ParcelSent(Sent { place, .. }) | Event::ParcelDelivered(Laid { place, .. }) => {
            place.clone().unwrap()
        }
        other => panic!("{other:?}"),
    });
    let places: Vec<String> = places.collect();
    assert!(
        places.len() == 2 && places.iter().all(|place| place.contains("/second")),
        "{places:?}"
    );
    stage.world.stop().await;
}
