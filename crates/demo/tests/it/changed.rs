//! Records change between an export's preview, its approval and its sealing: what leaves is what was shown, or nothing.

use rusqlite::Connection;

use crate::sending::{CASE, USUAL, approve, press, preview, wait_for};
use crate::stage::{Stage, root, step_up};

/// Riverton's records, as whoever keeps them changes them.
fn records(stage: &Stage) -> Connection {
    let home = &stage.world.homes[0].folder;
    assert!(home.starts_with(root(&stage.folder)));
    Connection::open(home.join("sources/records.db")).unwrap()
}

const ONE: &str = "select person_id from incident_persons ip join incidents i on i.id = ip.incident_id \
                   where i.case_number = '24-000113' order by person_id limit 1";

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_since_it_was_shown_is_shown_again_and_is_not_sealed_once_it_was_asked_for() {
    let stage = Stage::start("").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    let page = preview(&mut ruiz, "case-file", CASE, &[("agreement", USUAL)]).await;

    // Between the preview and the request.
    let records = records(&stage);
    let change = format!("update persons set city = 'Elsewhere' where id = ({ONE})");
    assert_eq!(records.execute(&change, []).unwrap(), 1);
    let form = page.pressed("Ask for approval").unwrap();
    let page = press(&mut ruiz, &page, form).await;
    assert!(page.says("Nothing was asked for") && page.says("persons"), "{}", page.text());
    assert!(page.says("Elsewhere"), "as it is now: {}", page.text());
    assert!(stage.events(&["export-requested"]).is_empty());
    let form = page.pressed("Ask for approval").unwrap();
    let page = press(&mut ruiz, &page, form).await;
    let export = page.address.path().to_owned();
    assert!(export.starts_with("/exports/"), "{export}: {}", page.text());

    // Between the request and the approval: one person altered, one document's title.
    let change = format!("update persons set city = 'Nowhere' where id = ({ONE})");
    assert_eq!(records.execute(&change, []).unwrap(), 1);
    let change = "update evidence set title = 'Another' where id = \
                  (select min(id) from evidence where case_number = '24-000113' and caveat is null)";
    assert_eq!(records.execute(change, []).unwrap(), 1);
    let mut okafor = stage.seat("sgt.okafor").await;
    approve(&mut okafor, &export).await;
    let page = wait_for(&mut okafor, &export, "failed").await;
    for said in [
        "it is not what was asked for",
        "persons: 1 row altered",
        "documents of evidence: 1 row altered",
    ] {
        assert!(page.says(said), "{said}: {}", page.text());
    }
    assert!(stage.events(&["parcel-sealed"]).is_empty());
    let refused = format!("{:?}", stage.events(&["request-refused"]));
    assert!(refused.contains("persons: 1 row altered"), "{refused}");

    // Asked for anew, as it is now, it goes.
    let page = ruiz.open(&export).await.unwrap();
    let form = page.pressed("Show what would leave now").unwrap();
    let page = press(&mut ruiz, &page, form).await;
    assert!(page.says("Nowhere"), "{}", page.text());
    let form = page.pressed("Ask for approval").unwrap();
    let page = press(&mut ruiz, &page, form).await;
    let anew = page.address.path().to_owned();
    assert_ne!(anew, export);
    approve(&mut okafor, &anew).await;
    wait_for(&mut okafor, &anew, "acknowledged").await;
    stage.world.stop().await;
}
