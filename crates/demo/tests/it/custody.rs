//! The custody record of one parcel from both agencies' pages: what each says, and that it is on record.

use demo::story::Seat;
use demo::story::client::Page;
use parcel::CustodyEvent;

use crate::export::{approved, ask, opened_there};
use crate::stage::Stage;

/// The record as programs read it, by the form of this action.
async fn record(seat: &mut Seat, page: &Page, action: &str, purpose: Option<&str>) -> Page {
    let mut form = page.form(action).unwrap();
    if let Some(purpose) = purpose {
        form = form.set("purpose", purpose).unwrap();
    }
    let form = form.press("Custody record for programs (JSON-LD)").unwrap();
    seat.browser.submit(page, &form).await.unwrap()
}

fn events(given: &Page) -> Vec<CustodyEvent> {
    assert_eq!(given.status, 200, "{}", given.text());
    assert_eq!(given.header("content-type"), Some("application/ld+json"));
    let named = given.header("content-disposition").unwrap();
    assert!(named.starts_with("attachment; filename=\"custody-"), "{named}");
    parcel::custody_events(&given.body).unwrap()
}

fn names_a_file(given: &Page) -> bool {
    String::from_utf8_lossy(&given.body).contains("statement.pdf")
}

fn kinds(events: &[CustodyEvent]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn either_agency_takes_the_custody_record_away_and_it_is_on_record() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    let export = ask(&mut ruiz).await;
    let page = ruiz.open(&export).await.unwrap();
    let action = format!("{export}/custody");
    assert!(page.form(&action).is_err(), "before it was sealed there is none");
    approved(&stage, &export).await;
    drop(opened_there(&stage, "statement.pdf").await);

    let page = ruiz.open(&export).await.unwrap();
    let told = events(&record(&mut ruiz, &page, &action, None).await);
    let told = kinds(&told);
    for kind in [
        "exported-from-source",
        "approved-for-release",
        "packaged",
        "signed",
        "offered",
        "verified",
    ] {
        assert!(told.contains(&kind), "{kind}: {told:?}");
    }
    let form = page.form(&action).unwrap();
    let form = form.press("Custody record as a document (PDF)").unwrap();
    let pdf = ruiz.browser.submit(&page, &form).await.unwrap();
    assert_eq!(pdf.header("content-type"), Some("application/pdf"));
    assert!(pdf.body.starts_with(b"%PDF-"));
    let left = stage.events(&["released"]).into_iter().filter(
        |event| matches!(event, ledger::Event::Released { what, .. } if what == "custody record"),
    );
    assert_eq!(left.count(), 2);

    let mut pell = stage.at_lakeside("inv.pell").await;
    let list = pell.open("/incoming").await.unwrap();
    let page = pell.browser.follow(&list, "No. 1 from NB0010100").await.unwrap();
    let action = format!("{}/custody", page.address.path());
    let outline = record(&mut pell, &page, &action, None).await;
    assert!(!names_a_file(&outline), "no name without a purpose");
    let text = String::from_utf8_lossy(&outline.body).into_owned();
    assert!(text.contains("\"received\"") && !text.contains("\"packaged\""), "{text}");
    let whole = record(&mut pell, &page, &action, Some("C")).await;
    assert!(names_a_file(&whole));
    let whole = events(&whole);
    assert!(kinds(&whole).contains(&"packaged") && kinds(&whole).contains(&"opened"));
    // For a purpose that it did not come for it is not told.
    let other = record(&mut pell, &page, &action, Some("J")).await;
    assert_eq!(other.status, 403, "{}", other.text());
    // Neither button: nothing is asked of the policy.
    let form = page.form(&action).unwrap();
    assert_eq!(pell.browser.submit(&page, &form).await.unwrap().status, 400);
    stage.world.stop().await;
}
