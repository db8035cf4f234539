//! A directory tells of trainings: they open records as those do that were written down by hand.

use http::Method;
use ledger::Event;
use serde_json::json;
use state::accounts::AccountId;
use state::qualifications::{self, Kind, Qualification};
use state::testing::{break_writes, mend_writes};

use crate::scim::{Stage, stage_with};
use crate::stage::Home;

const TRAINING: &str = "urn:ietf:params:scim:schemas:extension:bailiwick:2.0:User";

const DEMANDED: &str = r#"
[qualifications]

[[qualifications.required]]
id = "awareness"
kind = "training"
title = "Security awareness"
functions = ["detective"]
valid_days = 365
advice = "Take the course."
"#;

async fn held(stage: &Stage) -> Vec<Qualification> {
    let state = &stage.agency.server.agency.state;
    qualifications::of(state, AccountId::of("riverton|det.ruiz")).await.unwrap()
}

/// Whether the start page says that records are closed.
async fn is_closed(stage: &Stage, cookie: &str) -> bool {
    let home = stage.agency.get("/", cookie).await;
    assert_eq!(home.status, 200, "{}", home.text());
    home.says("Records are closed to you")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_that_a_directory_tells_of_counts_until_it_no_longer_does() {
    let home = Home::new();
    let stage = stage_with(&home, DEMANDED).await;
    let id = stage.person("det.ruiz").await;
    stage.group("detective", &[&id]).await;
    let cookie = stage.agency.sign_in_as("det.ruiz", "detective", 1).await;
    assert!(is_closed(&stage, &cookie).await);

    let today = identity::qualified::today(home.now());
    let path = format!("/Users/{id}");
    let told = json!([{
        "op": "add", "path": format!("{TRAINING}:trainings"),
        "value": [{ "course": "awareness", "date": today.to_string(), "evidence": "C-1" }],
    }]);
    let state = &stage.agency.server.agency.state;
    break_writes(state, "qualifications", "INSERT").await.unwrap();
    assert_eq!(stage.patch(&path, told.clone()).await.0, 500);
    assert!(is_closed(&stage, &cookie).await, "what was not kept does not count");
    mend_writes(state, "qualifications", "INSERT").await.unwrap();
    // The directory sends it again: the person is as it says already, and the training is made good.
    let (status, person) = stage.patch(&path, told).await;
    assert_eq!(status, 200, "{person}");
    assert_eq!(person[TRAINING]["trainings"][0]["evidence"], json!("C-1"));
    assert!(!is_closed(&stage, &cookie).await);
    let recorded = stage.agency.events().into_iter().find_map(|event| match event {
        Event::QualificationRecorded { account, what, course, evidence, .. } => {
            Some([account, what, course, evidence].join(" "))
        }
        _ => None,
    });
    assert_eq!(recorded.unwrap(), "riverton|det.ruiz training awareness C-1");
    assert_eq!(held(&stage).await.len(), 1, "once");

    // What others wrote down is not the directory's to withdraw.
    let by_hand = Qualification {
        kind: Kind::Training,
        course: "first-aid".into(),
        on: today,
        until: None,
        finding: None,
        version: None,
        evidence: String::new(),
        written_at: home.now(),
        written_by: "riverton|adm.voss".into(),
        withdrawn: None,
    };
    let account = AccountId::of("riverton|det.ruiz");
    qualifications::add(state, &[(account, by_hand)]).await.unwrap();
    let (status, _) = stage.patch(&path, json!([{ "op": "remove", "path": TRAINING }])).await;
    assert_eq!(status, 200);
    let withdrawn: Vec<bool> =
        held(&stage).await.iter().map(|one| one.withdrawn.is_some()).collect();
    assert_eq!(withdrawn, [true, false]);
    assert!(is_closed(&stage, &cookie).await);

    assert_eq!(stage.ask(Method::GET, &path, None).await.1.get(TRAINING), None);
    let bad = json!([{
        "op": "add", "path": format!("{TRAINING}:trainings"),
        "value": [{ "course": "awareness", "date": "yesterday" }],
    }]);
    assert_eq!(stage.patch(&path, bad).await.0, 200);
    assert!(is_closed(&stage, &cookie).await, "what can't be read counts for nothing");
    stage.agency.stop().await;
}
