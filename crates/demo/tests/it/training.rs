//! No records without training, screening and agreements: what is written down counts at once, on record.

use demo::seed::story::{CASE, PLATE};
use demo::story::Seat;
use demo::story::client::Page;
use ledger::Event;

use crate::stage::Stage;

/// Behind what the demo demands of security officers, with its three days of grace.
const DEMANDED: &str = r#"
[[qualifications.required]]
id = "awareness"
kind = "training"
title = "Security awareness"
functions = ["detective", "patrol-officer"]
valid_days = 365
advice = "Take the course and send its certificate to training@riverton.example."

[[qualifications.required]]
id = "acceptable-use"
kind = "agreement"
title = "Acceptable use"
functions = ["detective"]
version = "2026"
"#;

async fn look_up(seat: &mut Seat) -> Page {
    let page = seat.open("/tools/vehicle-lookup").await.unwrap();
    let form = page.form("/tools/vehicle-lookup/runs").unwrap();
    let form = form.set("plate", PLATE).unwrap().set("purpose", "C").unwrap();
    let form = form.set("case_number", CASE).unwrap();
    seat.browser.submit(&page, &form).await.unwrap()
}

async fn write_down(seat: &mut Seat, path: &str, fields: &[(&str, &str)]) -> Page {
    let page = seat.open(path).await.unwrap();
    let mut form = page.pressed("Write it down").unwrap();
    for (name, value) in fields {
        form = form.set(name, value).unwrap();
    }
    seat.browser.submit(&page, &form).await.unwrap()
}

async fn list(seat: &mut Seat, text: &str) -> Page {
    let page = seat.open("/people/training").await.unwrap();
    let form = page.pressed("Show what it does").unwrap().set("list", text).unwrap();
    seat.browser.submit(&page, &form).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_closed_until_everything_is_in_order_and_again_when_it_is_withdrawn() {
    let stage = Stage::start(DEMANDED).await;
    let mut ruiz = stage.seat("det.ruiz").await;
    let home = ruiz.open("/").await.unwrap();
    assert!(home.says("Records are closed to you until this is in order"), "{}", home.text());
    assert!(home.says("send its certificate to training@"), "{}", home.text());
    let refused = look_up(&mut ruiz).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let words = "the training “Security awareness” is missing. Take the course";
    assert!(refused.says(words), "{}", refused.text());
    assert!(refused.says("“Acceptable use” is missing"), "{}", refused.text());
    let denied = stage.events(&[]).into_iter().any(|event| {
        matches!(event, Event::Decided { verdict: ledger::Verdict::Deny, policies, .. }
            if policies == ["qualified-for-cji"])
    });
    assert!(denied, "the refusal is on record");

    let mut voss = stage.administrator().await;
    let path = stage.account(&mut voss, "Elena Ruiz").await;
    let (today, soon) = (stage.day(0), stage.day(10));
    let training = [("what", "training/awareness"), ("on", &*today), ("until", &*soon)];
    let page = write_down(&mut voss, &path, &training).await;
    assert!(page.says(&format!("Security awareness ends on {soon}")), "{}", page.text());
    assert!(page.says("recorded training awareness of demo|det.ruiz"), "{}", page.text());
    let old = [("what", "agreement/acceptable-use"), ("on", &*today), ("version", "2025")];
    let page = write_down(&mut voss, &path, &old).await;
    assert!(page.says("Acceptable use is not accepted in version 2026"), "{}", page.text());
    assert_eq!(look_up(&mut ruiz).await.status, 403);
    let new = [("what", "agreement/acceptable-use"), ("on", &*today), ("version", "2026")];
    write_down(&mut voss, &path, &new).await;
    let found = look_up(&mut ruiz).await;
    assert_eq!(found.status, 200, "{}", found.text());
    let home = ruiz.open("/").await.unwrap();
    assert!(home.says("will be closed to you if you do nothing"), "{}", home.text());

    let page = voss.open(&path).await.unwrap();
    let form = page.pressed("Withdraw it").unwrap().set("reason", "another person's").unwrap();
    let page = voss.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("recorded the withdrawal of training awareness"), "{}", page.text());
    assert!(page.says("by demo|adm.voss: another person's"), "{}", page.text());
    assert_eq!(look_up(&mut ruiz).await.status, 403, "in the same session");
    let refused = ruiz.browser.open(&format!("{}/people/training", stage.base)).await.unwrap();
    assert_eq!(refused.status, 403, "a detective does not see who lacks what");
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_counts_whole_after_a_preview_or_not_at_all() {
    let stage = Stage::start(DEMANDED).await;
    let mut hale = stage.seat("ofc.hale").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    assert_eq!(look_up(&mut hale).await.status, 403);
    let mut voss = stage.administrator().await;
    let (today, over) = (stage.day(0), stage.day(-2));
    let head = "account,kind,course,date,until,version,evidence\n";
    let wrong = format!(
        "{head}ofc.hale,training,awareness,{today},,,C-1\nnobody,training,awareness,{today},,,\n\
         adm.voss,training,awareness,{today},,,\n"
    );
    let page = list(&mut voss, &wrong).await;
    assert!(page.says("Line 3 names no account."), "{}", page.text());
    assert!(page.says("Line 4 is about yourself"), "{}", page.text());
    let page =
        list(&mut voss, &format!("{head}ofc.hale,training,awareness,{},,,", stage.day(1))).await;
    assert!(page.says("Line 2 `date` is in the future."), "{}", page.text());
    assert_eq!(look_up(&mut hale).await.status, 403, "nothing counts of a list with a bad line");

    let good = format!(
        "{head}ofc.hale,training,awareness,{},{over},,C-1\n\
         demo|det.ruiz,training,awareness,{today},,,C-2\n\
         det.ruiz,agreement,acceptable-use,{today},,2026,\n\
         det.ruiz,training,first-aid,{today},,,\n",
        stage.day(-100)
    );
    let preview = list(&mut voss, &good).await;
    assert!(preview.says("4 of 4 lines are new"), "{}", preview.text());
    assert!(preview.says("demanded of nobody"), "{}", preview.text());
    assert_eq!(look_up(&mut hale).await.status, 403, "a preview counts for nothing");
    let form = preview.pressed("Take in the new lines").unwrap();
    stage.disk.fail_writes_after("journal", 0);
    let unrecorded = voss.browser.submit(&preview, &form).await.unwrap();
    assert_eq!(unrecorded.status, 503, "{}", unrecorded.text());
    stage.disk.mend();
    let mut page = voss.browser.open(&format!("{}/people/training", stage.base)).await.unwrap();
    while page.status == 503 {
        page = voss.browser.open(&format!("{}/people/training", stage.base)).await.unwrap();
    }
    assert!(page.says("2 without access"), "what is not on record does not count: {}", page.text());

    let done = voss.browser.submit(&preview, &form).await.unwrap();
    assert!(done.says("4 lines were taken in"), "{}", done.text());
    assert!(done.says(&format!("ended on {over}, and counts until")), "in grace: {}", done.text());
    assert_eq!(look_up(&mut hale).await.status, 200, "in grace");
    assert_eq!(look_up(&mut ruiz).await.status, 200);
    let again = list(&mut voss, &good).await;
    assert!(again.says("0 of 4 lines are new"), "{}", again.text());
    assert!(again.pressed("Take in the new lines").is_err());
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_is_written_down_for_many_at_once_and_people_are_found_by_what_they_lack() {
    let stage = Stage::start(DEMANDED).await;
    let (mut hale, mut ruiz) = (stage.seat("ofc.hale").await, stage.seat("det.ruiz").await);
    let mut voss = stage.administrator().await;
    let page = voss.open("/people").await.unwrap();
    let form = page.form("/people").unwrap().set("qualified", "lacking").unwrap();
    let page = voss.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("2 accounts"), "{}", page.text());
    let today = stage.day(0);
    let mut form = page.pressed("Do it").unwrap().set("act", "qualify").unwrap();
    for row in form.offered("row") {
        form = form.set("row", &row).unwrap();
    }
    let form = form.set("what", "training/awareness").unwrap().set("on", &today).unwrap();
    let form = form.set("reason", "class of November").unwrap();
    let page = voss.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("2 accounts were written into the list of trainings"), "{}", page.text());
    assert_eq!(look_up(&mut hale).await.status, 200);
    let refused = look_up(&mut ruiz).await;
    assert!(!refused.says("Security awareness"), "{}", refused.text());
    assert!(refused.says("Acceptable use"), "{}", refused.text());
    let evidence = stage.events(&[]).into_iter().filter(|event| {
        matches!(event, Event::QualificationRecorded { evidence, .. } if evidence == "class of November")
    });
    assert_eq!(evidence.count(), 2);
    stage.world.stop().await;
}
