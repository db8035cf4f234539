//! Accounts in the hands of an administrator: what is changed takes effect at once, and is on record.

use std::time::Instant;

use demo::story::client::Page;
use demo::story::{Seat, StoryError};

use crate::download::{Download, UnderWay, cookie_of};
use crate::film::BYTES as FILM_BYTES;
use crate::stage::{Stage, step_up};

/// Fills the account's form and sends it.
async fn change(
    seat: &mut Seat,
    path: &str,
    act: &str,
    functions: &[&str],
) -> Result<Page, StoryError> {
    let page = seat.open(path).await.unwrap();
    let mut form = page.pressed("Change it")?.set("act", act)?.set("reason", "left the agency")?;
    form = form.clear("functions")?;
    for function in functions {
        form = form.set("functions", function)?;
    }
    seat.browser.submit(&page, &form).await
}

/// The address of the film of the story's case.
async fn film(seat: &mut Seat) -> String {
    let page = seat.open("/tools/case-file").await.unwrap();
    let form = page.form("/tools/case-file/runs").unwrap();
    let form = form.set("case_number", "24-000113").unwrap().set("purpose", "C").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    let (_, viewer) = page.links().find(|(text, _)| text.contains("Door camera")).unwrap();
    let viewer = seat.browser.go(&page, &viewer).await.unwrap();
    let (_, film) = viewer.links().find(|(_, href)| href.contains("/documents/")).unwrap();
    film
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_click_stops_the_bytes_of_whoever_it_disables_and_of_nobody_else() {
    let stage = Stage::start("").await;
    let store = stage.world.homes[0].folder.join("sources/evidence");
    std::fs::write(store.join("24-000113-door-camera.mp4"), vec![7; FILM_BYTES]).unwrap();
    let mut ruiz = stage.seat("det.ruiz").await;
    let mut okafor = stage.seat("sgt.okafor").await;
    let mut voss = stage.administrator().await;
    let path = stage.account(&mut voss, "Elena Ruiz").await;
    let page = voss.open(&path).await.unwrap();
    let form = page.pressed("Change it").unwrap();
    let form = form.set("act", "disable").unwrap().set("reason", "left the agency").unwrap();
    let (streamed, other) = (film(&mut ruiz).await, film(&mut okafor).await);

    let cookie = |seat: &Seat| cookie_of(&seat.browser, &seat.base);
    let under_way = UnderWay::begin(&stage.base, &cookie(&ruiz), &streamed).await;
    let others = Download::begin(&stage.base, &cookie(&okafor), &other).await;
    let clicked = Instant::now();
    let page = voss.browser.submit(&page, &form).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.says("disabled"), "{}", page.text());
    under_way.stopped(clicked, "an administrator's click").await;
    let whole = FILM_BYTES as u64;
    assert!(others.rest().await.bytes > whole, "another person's download is whole, with its head");

    let refused = ruiz.browser.open(&format!("{}/me", stage.base)).await.unwrap();
    assert_eq!(refused.status, 401, "{}", refused.text());
    let again = Seat::new("det.ruiz", &stage.base).sign_in().await.unwrap_err();
    assert!(format!("{again:?}").contains("could not be signed in"), "{again:?}");
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_changed_after_a_step_up_by_another_and_never_into_conflicting_duties() {
    let stage = Stage::start("").await;
    let mut hale = stage.seat("ofc.hale").await;
    let mut voss = stage.seat("adm.voss").await;
    let path = stage.account(&mut voss, "Sam Hale").await;
    let page = change(&mut voss, &path, "disable", &[]).await.unwrap();
    assert_eq!(page.status, 403, "without a step-up: {}", page.text());
    step_up(&mut voss, "/people").await;
    let page = change(&mut voss, &path, "functions", &["auditor", "detective"]).await.unwrap();
    assert_eq!(page.status, 400, "{}", page.text());
    assert!(page.says("one person may not be all of"), "{}", page.text());
    hale.open("/me").await.unwrap();
    let page = change(&mut voss, &path, "functions", &["detective"]).await.unwrap();
    assert!(page.says("functions: patrol-officer → detective"), "{}", page.text());
    let ended = hale.browser.open(&format!("{}/me", stage.base)).await.unwrap();
    assert_eq!(ended.status, 401, "other functions, another session (IA-11)");

    let own = stage.account(&mut voss, "Petra Voss").await;
    let page = voss.open(&own).await.unwrap();
    assert!(page.pressed("Change it").is_err(), "nobody changes their own account");
    let page = voss.open("/people").await.unwrap();
    let bulk = page.pressed("Do it").unwrap().set("act", "disable").unwrap();
    let bulk = bulk.set("reason", "audit").unwrap();
    let id = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let bulk = bulk.set("row", &id(&own)).unwrap().set("row", &id(&path)).unwrap();
    let page = voss.browser.submit(&page, &bulk).await.unwrap();
    assert!(page.says("1 account was disabled"), "{}", page.text());
    assert!(page.says("one's own account is changed by another"), "{}", page.text());

    let mut ruiz = stage.seat("det.ruiz").await;
    let refused = ruiz.browser.open(&format!("{}/people", stage.base)).await.unwrap();
    assert_eq!(refused.status, 403, "a detective sees no accounts");
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_and_ends_their_own_sessions_and_reads_what_they_did() {
    let stage = Stage::start("").await;
    let mut desk = stage.seat("det.ruiz").await;
    let mut car = stage.seat("det.ruiz").await;
    let page = desk.open("/me/sessions").await.unwrap();
    assert!(page.says("2 live sessions"), "{}", page.text());
    let page_of_car = car.open("/me/sessions").await.unwrap();
    let mut rows = page_of_car.document.elements("tr");
    let this = rows.find(|row| row.text().contains("this one")).unwrap();
    let prefix = this.attribute("data-session").unwrap().to_owned();
    let form = page.pressed(&format!("End session {prefix}")).unwrap();
    let page = desk.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("1 live session"), "{}", page.text());
    let over = car.browser.open(&format!("{}/me", stage.base)).await.unwrap();
    assert_eq!(over.status, 401);
    let page = desk.open("/me/accesses").await.unwrap();
    assert!(page.says(&format!("You ended the sessions of {prefix}")), "{}", page.text());
    assert!(page.says("You signed in through demo"), "{}", page.text());
    let mut hale = stage.seat("ofc.hale").await;
    let page = hale.open("/me/accesses").await.unwrap();
    assert!(!page.says("ended the sessions"), "another's entries are not one's own");
    // The last one, which is the one that asks: its answer arrives all the same.
    let page = desk.open("/me/sessions").await.unwrap();
    let mut rows = page.document.elements("tr");
    let this = rows.find(|row| row.text().contains("this one")).unwrap();
    let own = this.attribute("data-session").unwrap();
    let form = page.pressed(&format!("End session {own}")).unwrap();
    let page = desk.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("Sign in"), "{}", page.text());
    stage.world.stop().await;
}
