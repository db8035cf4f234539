//! The yearly review of accounts: what is due, who keeps what they have, and who does not.

use jiff::SignedDuration;
use state::accounts::{self, AccountKind, Created, NewAccount, Profile};

use crate::stage::{Stage, step_up};

fn person(name_id: &str, function: &str) -> NewAccount {
    let profile = Profile {
        idp: "demo".into(),
        name_id: name_id.into(),
        name: format!("Old {name_id}"),
        functions: vec![function.into()],
        ..Profile::default()
    };
    NewAccount { kind: AccountKind::Person, active: true, ends_at: None, profile }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_kept_or_taken_with_a_reason_on_record_and_nobody_reviews_themselves() {
    let stage = Stage::start("").await;
    let agency = stage.world.riverton.agency.clone();
    let year_ago = agency.now() - SignedDuration::from_hours(24 * 366);
    for (name_id, function) in
        [("det.ruiz", "detective"), ("ofc.hale", "patrol-officer"), ("adm.voss", "administrator")]
    {
        let made = accounts::create(&agency.state, &person(name_id, function), year_ago).await;
        assert!(matches!(made, Ok(Created::Made(_))));
    }
    let mut hale = stage.seat("ofc.hale").await;
    let mut voss = stage.seat("adm.voss").await;
    let page = voss.open("/people/review").await.unwrap();
    assert!(page.says("3 accounts due for review"), "{}", page.text());
    let mut form = page.pressed("They keep what they have").unwrap();
    for row in form.offered("row") {
        form = form.set("row", &row).unwrap();
    }
    let keeps = form.set("reason", "asked their sergeants").unwrap();
    let refused = voss.browser.submit(&page, &keeps).await.unwrap();
    assert_eq!(refused.status, 403, "without a step-up: {}", refused.text());
    let page = step_up(&mut voss, "/people/review").await;
    let id = |name: &str| {
        let link = page.link(name).unwrap().to_string();
        link.rsplit('/').next().unwrap().to_owned()
    };
    let form = |button: &str, names: &[&str]| {
        let mut form = page.pressed(button).unwrap();
        for name in names {
            form = form.set("row", &id(name)).unwrap();
        }
        form.set("reason", "asked their sergeants").unwrap()
    };

    let keep = form("They keep what they have", &["Petra Voss", "Old det.ruiz"]);
    stage.disk.fail_writes_after("journal", 0);
    assert_eq!(voss.browser.submit(&page, &keep).await.unwrap().status, 503);
    stage.disk.mend();
    let mut kept = voss.browser.submit(&page, &keep).await.unwrap();
    while kept.status == 503 {
        kept = voss.browser.submit(&page, &keep).await.unwrap();
    }
    assert!(kept.says("1 account was reviewed"), "{}", kept.text());
    assert!(kept.says("one's own account is reviewed by another"), "{}", kept.text());
    assert!(kept.says("2 accounts due for review"), "{}", kept.text());

    let take = form("Take their functions away", &["Sam Hale"]);
    let taken = voss.browser.submit(&page, &take).await.unwrap();
    assert!(taken.says("1 account due for review"), "one's own: {}", taken.text());
    let over = hale.browser.open(&format!("{}/me", stage.base)).await.unwrap();
    assert_eq!(over.status, 401, "without functions no session");
    let show = taken.pressed("Show every active account, due or not").unwrap();
    let all = voss.browser.submit(&taken, &show).await.unwrap();
    assert!(all.says("by demo|adm.voss: asked their sergeants"), "{}", all.text());
    assert!(!all.says("Sam Hale"), "{}", all.text());
    let account = voss.open(&format!("/people/{}", id("Old det.ruiz"))).await.unwrap();
    let history = "reviewed and kept account demo|det.ruiz, version 1: asked their sergeants";
    assert!(account.says(history), "{}", account.text());
    drop(agency);
    stage.world.stop().await;
}
