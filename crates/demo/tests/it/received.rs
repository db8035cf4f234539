//! A sealed parcel that came on a medium is taken in on a page, and by the command line's folder, as if it had been pushed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use demo::story::Seat;
use demo::story::client::Page;

use crate::returned::{Part, by_medium, send, token};
use crate::stage::Stage;

/// The parcel in that folder as one file.
fn zipped(parcel: &Path) -> Vec<u8> {
    let name = parcel.file_name().unwrap().to_string_lossy().into_owned();
    let id = name.strip_prefix("parcel-").unwrap().parse().unwrap();
    let parts = fs::read_to_string(parcel.join("manifest-sha256.txt")).unwrap().lines().count();
    let mut out = Vec::new();
    parcel::pack(parcel, id, parts as u64, &mut out).unwrap();
    out
}

async fn take(seat: &mut Seat, base: &str, zip: &[u8]) -> Page {
    let csrf = token(seat, "/take-in").await;
    send(seat, (base, "/take-in/parcel"), &csrf, &[Part::File("parcel", zip)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_on_a_medium_is_taken_in_on_a_page_and_its_sender_gets_the_receipt() {
    let stage = Stage::start("").await;
    let (export, parcel) = by_medium(&stage).await;
    let zip = zipped(&parcel);
    let mut pell = stage.at_lakeside("inv.pell").await;
    let base = pell.base.clone();
    let page = pell.open("/take-in").await.unwrap();
    assert!(page.says("Take in a sealed parcel"), "{}", page.text());

    // Taken for plain files, it is told from them; altered, cut off, of another session, it is refused.
    let shop = [
        Part::Text("from", "a courier"),
        Part::Text("authority", "a request"),
        Part::Text("record_class", "CJI"),
        Part::Text("case_number", ""),
        Part::File("file", &zip),
    ];
    let csrf = token(&mut pell, "/take-in").await;
    let plain = send(&mut pell, (&base, "/take-in"), &csrf, &shop).await;
    assert_eq!(plain.status, 400, "{}", plain.text());
    assert!(plain.says("this is a sealed parcel"), "{}", plain.text());
    let mut altered = zip.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    for (bad, status) in
        [(altered.as_slice(), 422), (&zip[..zip.len() - 9], 422), (b"".as_slice(), 422)]
    {
        let answer = take(&mut pell, &base, bad).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.says("Nothing of it was kept"), "{}", answer.text());
    }
    let parts = [Part::File("parcel", zip.as_slice())];
    let foreign = send(&mut pell, (&base, "/take-in/parcel"), "another", &parts).await;
    assert_eq!(foreign.status, 403, "{}", foreign.text());
    let mut clerk = stage.at_lakeside("so.grant").await;
    let denied = take(&mut clerk, &base, &zip).await;
    assert_eq!(denied.status, 403, "{}", denied.text());
    assert!(pell.open("/incoming").await.unwrap().says("Nothing has arrived yet."));

    let answer = take(&mut pell, &base, &zip).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let path = answer.header("location").unwrap().to_owned();
    let page = pell.open(&path).await.unwrap();
    assert!(page.says("brought here and taken in by"), "{}", page.text());
    let form = page.form(&format!("{path}/accept")).unwrap();
    let page = pell.browser.submit(&page, &form).await.unwrap();
    let page = pell.browser.submit(&page, &page.form("open").unwrap()).await.unwrap();
    assert!(page.says("statement.pdf"), "{}", page.text());
    let twice = take(&mut pell, &base, &zip).await;
    assert_eq!(twice.status, 422, "{}", twice.text());
    assert!(twice.says("it is here already"), "{}", twice.text());

    // Both agencies have servers: the receipt goes over the line by itself.
    let mut ruiz = stage.seat("det.ruiz").await;
    let waiting = async {
        while !ruiz.open(&export).await.unwrap().says("acknowledged") {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(100), waiting).await.unwrap();
    stage.world.stop().await;
}
