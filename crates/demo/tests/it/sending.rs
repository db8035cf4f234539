//! The way to an export, page by page: what is shown before it is asked for, what stays here, templates, and the log
//! of secondary dissemination.

use std::time::Duration;

use demo::agreements::WAITING;
use demo::story::Seat;
use demo::story::client::{Page, Raw};

use crate::stage::{Stage, step_up};

/// Longest wait for what the agency does by itself.
const WAIT_MAX: Duration = Duration::from_secs(30);
pub(crate) const USUAL: &str = "riverton-lakeside-2026";

async fn accept(stage: &Stage, agreement: &str) {
    let mut lindqvist = stage.seat("so.lindqvist").await;
    step_up(&mut lindqvist, "/partners").await;
    let page = lindqvist.open(&format!("/agreements/{agreement}")).await.unwrap();
    let form = page.pressed("Accept this text").unwrap().set("reason", "As signed").unwrap();
    assert_eq!(lindqvist.browser.submit(&page, &form).await.unwrap().status, 200);
}

/// Runs a tool and gives the preview of its export.
pub(crate) async fn preview(
    seat: &mut Seat,
    tool: &str,
    fields: &[(&str, &str)],
    more: &[(&str, &str)],
) -> Page {
    let page = seat.open(&format!("/tools/{tool}")).await.unwrap();
    let mut form = page.form(&format!("/tools/{tool}/runs")).unwrap();
    for (name, value) in fields {
        form = form.set(name, value).unwrap();
    }
    let page = seat.browser.submit(&page, &form).await.unwrap();
    let form = page.form(&format!("/tools/{tool}/actions/export")).unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    let mut form = page.form("export").unwrap();
    form = form.set("reason", "Same method of entry").unwrap();
    for (name, value) in more {
        form = form.set(name, value).unwrap();
    }
    seat.browser.submit(&page, &form).await.unwrap()
}

pub(crate) const CASE: &[(&str, &str)] = &[("case_number", "24-000113"), ("purpose", "C")];

pub(crate) async fn press(seat: &mut Seat, page: &Page, form: demo::story::form::Form) -> Page {
    seat.browser.submit(page, &form).await.unwrap()
}

pub(crate) async fn wait_for(seat: &mut Seat, path: &str, status: &str) -> Page {
    let wanted = format!("data-status=\"{status}\"");
    let waiting = async {
        loop {
            let page = seat.open(path).await.unwrap();
            if String::from_utf8_lossy(&page.body).contains(&wanted) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, waiting).await.unwrap()
}

pub(crate) async fn approve(seat: &mut Seat, export: &str) {
    step_up(seat, export).await;
    let page = seat.open(export).await.unwrap();
    let form = page.form(&format!("{export}/approve")).unwrap();
    assert_eq!(seat.browser.submit(&page, &form).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ticked_in_the_preview_stays_here_and_the_approver_reads_so() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    for shown in ["Brandt Hardware", "Dana", "7KDR419", "statement.pdf", "record_classes"] {
        assert!(page.says(shown), "{shown}: {}", page.text());
    }
    let form = page.form("export").unwrap();
    let form = form.set("without", "persons.dob").unwrap().set("without", "persons.city").unwrap();
    let form = form.set("skip", "records/vehicles").unwrap();
    let page = press(&mut ruiz, &page, form.press("preview").unwrap()).await;
    assert!(page.says("It stays here."), "{}", page.text());
    let page = {
        let form = page.pressed("Ask for approval").unwrap();
        press(&mut ruiz, &page, form).await
    };
    let export = page.address.path().to_owned();
    for left in ["column city of persons", "column dob of persons", "records/vehicles"] {
        assert!(page.says(left), "{}", page.text());
    }
    let mut okafor = stage.seat("sgt.okafor").await;
    let page = okafor.open(&export).await.unwrap();
    assert!(page.says("without city, dob") && page.says("clause by clause"), "{}", page.text());
    assert!(!page.says("records/vehicles.csv"), "{}", page.text());
    approve(&mut okafor, &export).await;
    wait_for(&mut okafor, &export, "acknowledged").await;

    let mut pell = stage.at_lakeside("inv.pell").await;
    let page = pell.open("/incoming").await.unwrap();
    let path = page.links().find(|(_, href)| href.starts_with("/incoming/")).unwrap().1;
    let page = pell.browser.go(&page, &path).await.unwrap();
    for told in ["What it is for", USUAL, "Classes of records", "persons.csv"] {
        assert!(page.says(told), "whoever decides sees `{told}`: {}", page.text());
    }
    let form = page.form(&format!("{path}/accept")).unwrap();
    let page = pell.browser.submit(&page, &form).await.unwrap();
    assert!(!page.says("persons.csv"), "from now on it is opened: {}", page.text());
    let form = page.form("open").unwrap();
    let other = form.clone().set("purpose", "Z").unwrap();
    let refused = pell.browser.submit(&page, &other).await.unwrap();
    assert_eq!(refused.status, 403);
    assert!(refused.says("does not have purpose Z among its purposes"), "{}", refused.text());
    let page = pell.browser.submit(&page, &form).await.unwrap();
    assert!(!page.says("vehicles.csv"), "{}", page.text());
    let file = page.links().find(|(text, _)| text.contains("persons.csv")).unwrap().1;
    let file = pell.browser.go(&page, &file).await.unwrap();
    let text = String::from_utf8_lossy(&file.body).into_owned();
    assert!(text.contains("Marlow"), "{text}");
    assert!(!text.contains("dob") && !text.contains("city"), "{text}");
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_names_the_clause_and_a_request_against_it_is_refused_on_record() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", WAITING)]).await;
    for words in ["Nobody has reviewed this agreement", "agreement.record-class"] {
        assert!(page.says(words), "{}", page.text());
    }
    let asked = page.pressed("Ask for approval").unwrap();
    let refused = press(&mut ruiz, &page, asked).await;
    assert_eq!(refused.status, 403);
    assert!(refused.says("agreement.unreviewed") && refused.says("entry"), "{}", refused.text());

    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    let mut fields = page.form("export").unwrap().fields();
    fields.push(("step".to_owned(), "do".to_owned()));
    let address = format!("{}/tools/case-file/actions/export", ruiz.base);
    let with = |more: &[&str], name: &str| {
        let more = more.iter().map(|value| (name.to_owned(), (*value).to_owned()));
        let all: Vec<(String, String)> = fields.iter().cloned().chain(more).collect();
        Raw::post(&address, &all).unwrap()
    };
    let unknown = ruiz.browser.raw(with(&["persons.ssn"], "without")).await.unwrap();
    assert_eq!(unknown.status, 400);
    assert!(unknown.says("There is no column ssn in persons"), "{}", unknown.text());
    let page = ruiz.open("/exports").await.unwrap();
    assert!(page.says("Nothing was asked for yet"), "{}", page.text());
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_fills_the_form_in_is_seen_on_record_and_removed_by_whom_the_policy_lets() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;
    let form = page.form("export").unwrap().set("without", "persons.dob").unwrap();
    let page = press(&mut ruiz, &page, form.press("do").unwrap()).await;
    let form =
        page.pressed("Keep as a template").unwrap().set("title", "Burglaries, weekly").unwrap();
    let page = press(&mut ruiz, &page, form).await;
    let template = page.address.path().to_owned();
    assert!(page.says("Columns that stay here") && page.says("persons.dob"), "{}", page.text());
    let case = page.form("template").unwrap().value("case_number").unwrap_or_default();
    assert_eq!(case, "", "the case is filled in anew");

    let page = ruiz.open("/exports").await.unwrap();
    assert!(page.says("Burglaries, weekly"), "{}", page.text());
    let page = ruiz.open(&template).await.unwrap();
    let form = page.form("template").unwrap().set("case_number", "24-000113").unwrap();
    let page = press(&mut ruiz, &page, form).await;
    let form = page.form("export").unwrap();
    assert_eq!(form.value("reason").as_deref(), Some("Same method of entry"));
    let page = press(&mut ruiz, &page, form).await;
    assert!(page.says("The agreement, clause by clause"), "{}", page.text());
    let form = page.pressed("Ask for approval").unwrap();
    let page = press(&mut ruiz, &page, form).await;
    assert!(page.says("column dob of persons"), "{}", page.text());

    // Not for those who read the audit log, who can't remove it either; both are on record.
    let mut auditor = stage.seat("so.lindqvist").await;
    let seen = auditor.browser.open(&format!("{}{template}", auditor.base)).await.unwrap();
    assert_eq!(seen.status, 403);
    assert!(seen.says("entry") && !seen.says("Burglaries, weekly"), "{}", seen.text());
    let csrf = auditor.open("/").await.unwrap().form("/sign-out").unwrap().value("csrf").unwrap();
    let address = format!("{}{template}", auditor.base);
    let removing = Raw::post(&address, &[("csrf".to_owned(), csrf)]).unwrap();
    let refused = auditor.browser.raw(removing).await.unwrap();
    assert_eq!(refused.status, 403);
    assert!(refused.says("entry"), "{}", refused.text());

    let mut abara = stage.seat("clerk.abara").await;
    let page = abara.open(&template).await.unwrap();
    let form = page.pressed("Remove the template").unwrap();
    let page = press(&mut abara, &page, form).await;
    assert!(!page.says("Burglaries, weekly"), "{}", page.text());
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn criminal_history_outside_the_primary_agreements_is_in_the_log_and_its_file() {
    let stage = Stage::start("").await;
    accept(&stage, WAITING).await;
    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/criminal-history").await;
    let person = &[("person", "P-000113"), ("purpose", "C"), ("case_number", "24-000113")];
    let page = preview(&mut ruiz, "criminal-history", person, &[("agreement", WAITING)]).await;
    let form = page.pressed("Ask for approval").unwrap();
    let unnamed = press(&mut ruiz, &page, form).await;
    assert_eq!(unnamed.status, 400, "{}", unnamed.text());
    assert!(unnamed.says("secondary dissemination"), "{}", unnamed.text());
    let more = &[("agreement", WAITING), ("requestor", "Jonah Pell, investigator")];
    let page = preview(&mut ruiz, "criminal-history", person, more).await;
    let form = page.pressed("Ask for approval").unwrap();
    let page = press(&mut ruiz, &page, form).await;
    let export = page.address.path().to_owned();
    let mut okafor = stage.seat("sgt.okafor").await;
    step_up(&mut okafor, &export).await;
    let page = okafor.open(&export).await.unwrap();
    assert!(
        page.says("These can’t both be kept") && page.says("kept at least 365 days"),
        "{}",
        page.text()
    );
    let undecided = page.form(&format!("{export}/approve")).unwrap();
    let undecided = press(&mut okafor, &page, undecided).await;
    assert_eq!(undecided.status, 400, "{}", undecided.text());
    let form = page.form(&format!("{export}/approve")).unwrap();
    let form = form.set("decision", "The ordinance: 365 days, agreed with Lakeside").unwrap();
    assert_eq!(press(&mut okafor, &page, form).await.status, 200);
    let page = wait_for(&mut okafor, &export, "acknowledged").await;
    assert!(page.says("365 days, agreed with Lakeside"), "{}", page.text());

    let mut lindqvist = stage.seat("so.lindqvist").await;
    let page = lindqvist.open("/audit/dissemination").await.unwrap();
    for words in
        ["Jonah Pell, investigator", "NB0020000", "24-000113", "history of Criminal history"]
    {
        assert!(page.says(words), "{}", page.text());
    }
    let file = lindqvist.open("/audit/dissemination.csv").await.unwrap();
    let text = String::from_utf8_lossy(&file.body).into_owned();
    assert!(
        text.starts_with("date_shared,record,requesting_agency,requested_by,method,"),
        "{text}"
    );
    assert!(text.contains("NB0020000,\"Jonah Pell, investigator\",sealed parcel,"), "{text}");
    let address = format!("{}/audit/dissemination.csv", okafor.base);
    assert_eq!(okafor.browser.open(&address).await.unwrap().status, 403);
    stage.world.stop().await;
}
