//! Accounts that an administrator makes and edits: whole, on record, and never another's name.

use demo::story::Seat;
use demo::story::client::Page;
use ledger::Event;

use crate::stage::Stage;

async fn make(seat: &mut Seat, fields: &[(&str, &str)]) -> Page {
    let page = seat.open("/people/new").await.unwrap();
    let mut form = page.pressed("Make the account").unwrap();
    for (name, value) in [("name_id", "new.one"), ("name", "New One"), ("reason", "hired")] {
        form = form.set(name, value).unwrap();
    }
    for (name, value) in fields {
        form = form.set(name, value).unwrap();
    }
    seat.browser.submit(&page, &form).await.unwrap()
}

async fn edit(seat: &mut Seat, page: &Page, fields: &[(&str, &str)]) -> Page {
    let mut form = page.pressed("Save the facts").unwrap().set("reason", "moved").unwrap();
    for (name, value) in fields {
        form = form.set(name, value).unwrap();
    }
    seat.browser.submit(page, &form).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_whole_or_not_at_all() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    let mut voss = stage.administrator().await;
    let (tomorrow, yesterday, late) = (stage.day(1), stage.day(-1), stage.day(400));
    for (fields, expected) in [
        (vec![("kind", "temporary")], "A temporary account needs a last day."),
        (vec![("kind", "temporary"), ("ends", &*yesterday)], "The last day is over."),
        (vec![("kind", "temporary"), ("ends", "soon")], "The last day is not one such as"),
        (vec![("kind", "temporary"), ("ends", &*late)], "lasts at most 366 days"),
        (vec![("kind", "service")], "A service needs a person who answers for it."),
        (vec![("kind", "service"), ("owner", "demo|nobody")], "Whoever answers for a service is"),
        (vec![("owner", "demo|det.ruiz")], "Only a service has somebody"),
        (vec![("kind", "guest")], "People of a partner's provider are guests"),
        (vec![("name_id", "")], "The name at the provider has at most"),
        (vec![("name", " ")], "Give a name."),
        (vec![("reason", "")], "Give a reason"),
        (
            vec![("functions", "auditor"), ("functions", "detective")],
            "one person may not be all of",
        ),
    ] {
        let page = make(&mut voss, &fields).await;
        assert_eq!(page.status, 400, "{expected}: {}", page.text());
        assert!(page.says(expected), "{expected}: {}", page.text());
    }
    assert!(!voss.open("/people").await.unwrap().says("New One"));

    stage.disk.fail_writes_after("journal", 0);
    assert_eq!(make(&mut voss, &[]).await.status, 503);
    stage.disk.mend();
    let mut page = voss.browser.open(&format!("{}/people", stage.base)).await.unwrap();
    while page.status == 503 {
        page = voss.browser.open(&format!("{}/people", stage.base)).await.unwrap();
    }
    assert!(!page.says("New One"), "what is not on record was not made");

    let service = [("kind", "service"), ("owner", "demo|det.ruiz"), ("functions", "records-clerk")];
    let page = make(&mut voss, &service).await;
    assert!(page.says("Answered for by"), "{}", page.text());
    let Some(Event::AccountCreated { by, functions, .. }) =
        stage.events(&["account-created"]).pop()
    else {
        unreachable!("it is on record")
    };
    assert_eq!(by, "by hand: hired; demo|det.ruiz answers for it");
    assert_eq!(functions, ["records-clerk"]);
    let page = make(&mut voss, &[]).await;
    assert!(page.says("There is such an account already"), "{}", page.text());

    let temporary = [("kind", "temporary"), ("name_id", "temp.one"), ("ends", &*tomorrow)];
    let page = make(&mut voss, &temporary).await;
    assert!(page.says("Ends"), "{}", page.text());
    let refused = ruiz.browser.open(&format!("{}/people/new", stage.base)).await.unwrap();
    assert_eq!(refused.status, 404, "a detective makes no accounts");
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_counts_upon_what_its_form_showed_and_another_kind_ends_sessions() {
    let stage = Stage::start("").await;
    let mut hale = stage.seat("ofc.hale").await;
    let mut voss = stage.administrator().await;
    let path = stage.account(&mut voss, "Sam Hale").await;
    let first = voss.open(&path).await.unwrap();
    let page = edit(&mut voss, &first, &[("department", "Patrol North")]).await;
    assert!(page.says("Patrol North"), "{}", page.text());
    let history = "changed account demo|ofc.hale, version 2 (department): moved";
    assert!(page.says(history), "{}", page.text());
    hale.open("/me").await.unwrap();
    let stale = edit(&mut voss, &first, &[("department", "Patrol South")]).await;
    assert_eq!(stale.status, 400, "{}", stale.text());
    assert!(stale.says("Somebody else changed the account"), "{}", stale.text());
    let same = edit(&mut voss, &page, &[]).await;
    assert!(same.says("Nothing is different"), "{}", same.text());

    let tomorrow = stage.day(1);
    let page = edit(&mut voss, &page, &[("kind", "temporary"), ("ends", &*tomorrow)]).await;
    assert!(page.says("Ends"), "{}", page.text());
    let over = hale.browser.open(&format!("{}/me", stage.base)).await.unwrap();
    assert_eq!(over.status, 401, "another kind, another session");
    let form = page.pressed("Save the facts").unwrap();
    assert_eq!(form.value("ends"), Some(tomorrow), "the form shows the last day");
    let own = stage.account(&mut voss, "Petra Voss").await;
    let own = voss.open(&own).await.unwrap();
    assert!(own.pressed("Save the facts").is_err(), "nobody edits their own account");
    stage.world.stop().await;
}
