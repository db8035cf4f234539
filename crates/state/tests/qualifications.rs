//! Stories of qualifications in the database: what is written down stays, and every write that fails.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't set its stage stops")]

use jiff::{Timestamp, ToSpan};
use state::accounts::{
    self, Account, AccountId, AccountKind, Created, NewAccount, Profile, Updated,
};
use state::qualifications::{self, Finding, Kind, OF_ACCOUNT_MAX, Qualification, Withdrawn};
use state::reviews::{self, Review};
use state::{State, StateError, testing};

fn at(days: i64) -> Timestamp {
    "2026-11-22T08:00:00Z".parse::<Timestamp>().unwrap() + (24 * days).hours()
}

fn training(course: &str) -> Qualification {
    Qualification {
        kind: Kind::Training,
        course: course.to_owned(),
        on: "2026-11-01".parse().unwrap(),
        until: Some("2027-10-31".parse().unwrap()),
        finding: None,
        version: None,
        evidence: "certificate 7".to_owned(),
        written_at: at(0),
        written_by: "riverton|adm.voss".to_owned(),
        withdrawn: None,
    }
}

fn withdrawn() -> Withdrawn {
    let (by, reason) = ("riverton|adm.voss".to_owned(), "of somebody else".to_owned());
    Withdrawn { at: at(1), by, reason }
}

async fn memory() -> State {
    State::open("sqlite::memory:", testing::key()).await.unwrap()
}

async fn made(state: &State, name_id: &str, now: Timestamp) -> Account {
    let profile = Profile {
        idp: "riverton".into(),
        name_id: name_id.into(),
        name: name_id.into(),
        ..Profile::default()
    };
    let new = NewAccount { kind: AccountKind::Person, active: true, ends_at: None, profile };
    match accounts::create(state, &new, now).await.unwrap() {
        Created::Made(account) => account,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_written_down_stays_in_order_and_is_at_most_withdrawn_once() {
    let state = memory().await;
    let ruiz = made(&state, "det.ruiz", at(0)).await;
    let hale = made(&state, "ofc.hale", at(0)).await;
    let new = [(ruiz.id, training("a")), (hale.id, training("b")), (ruiz.id, training("c"))];
    qualifications::add(&state, &new).await.unwrap();
    qualifications::add(&state, &[(ruiz.id, training("d"))]).await.unwrap();
    let courses =
        |all: &[Qualification]| -> String { all.iter().map(|one| one.course.as_str()).collect() };
    let held = qualifications::of(&state, ruiz.id).await.unwrap();
    assert_eq!(courses(&held), "acd");
    assert_eq!(held[0], training("a"));
    assert!(qualifications::withdraw(&state, ruiz.id, 1, withdrawn()).await.unwrap());
    assert!(!qualifications::withdraw(&state, ruiz.id, 1, withdrawn()).await.unwrap());
    assert!(!qualifications::withdraw(&state, ruiz.id, 9, withdrawn()).await.unwrap());
    let held = qualifications::of(&state, ruiz.id).await.unwrap();
    assert_eq!((courses(&held), &held[1].withdrawn), ("acd".into(), &Some(withdrawn())));
    let all = qualifications::list(&state).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(courses(&all[&hale.id]), "b");
    assert_eq!(qualifications::of(&state, AccountId::of("nobody|x")).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_not_whole_or_of_no_account_or_too_much_is_refused_and_nothing_is_added() {
    let state = memory().await;
    let ruiz = made(&state, "det.ruiz", at(0)).await;
    let mut cases: Vec<(Qualification, &str)> = Vec::new();
    cases.push((training(""), "a qualification names its course"));
    let long = "a text of a qualification is longer than 512 bytes or holds a control character";
    cases.push((training(&"x".repeat(513)), long));
    cases.push((training("a\nb"), long));
    let mut ends = training("a");
    ends.until = Some("2026-10-31".parse().unwrap());
    cases.push((ends, "a qualification ends before it begins"));
    let finding = "a screening has a finding, and nothing else has";
    let mut found = training("a");
    found.finding = Some(Finding::Cleared);
    cases.push((found, finding));
    let mut screening = training("a");
    screening.kind = Kind::Screening;
    cases.push((screening, finding));
    for (wrong, expected) in cases {
        let new = [(ruiz.id, training("a")), (ruiz.id, wrong)];
        let error = qualifications::add(&state, &new).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let nobody = AccountId::of("riverton|nobody");
    let new = [(ruiz.id, training("a")), (nobody, training("a"))];
    let error = qualifications::add(&state, &new).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no such account");
    let many = vec![(ruiz.id, training("a")); OF_ACCOUNT_MAX + 1];
    let error = qualifications::add(&state, &many).await.unwrap_err();
    assert_eq!(error.to_string(), "an account has more than 500 qualifications");
    assert_eq!(testing::count(&state, "qualifications").await.unwrap(), 0);
}

#[tokio::test]
async fn each_write_failing_in_turn_adds_and_withdraws_nothing() {
    let state = memory().await;
    let ruiz = made(&state, "det.ruiz", at(0)).await;
    let hale = made(&state, "ofc.hale", at(0)).await;
    qualifications::add(&state, &[(hale.id, training("a"))]).await.unwrap();
    // One account has no row yet and the other has: an insert and an update.
    let both = [(ruiz.id, training("b")), (hale.id, training("b"))];
    for verb in ["INSERT", "UPDATE"] {
        testing::break_writes(&state, "qualifications", verb).await.unwrap();
        let error = qualifications::add(&state, &both).await.unwrap_err();
        assert!(matches!(error, StateError::Write { .. }), "{verb}: {error}");
        let error = qualifications::withdraw(&state, hale.id, 0, withdrawn()).await.unwrap_err();
        assert!(matches!(error, StateError::Write { .. }), "{verb}: {error}");
        assert_eq!(qualifications::of(&state, ruiz.id).await.unwrap(), [], "{verb}");
        assert_eq!(qualifications::of(&state, hale.id).await.unwrap(), [training("a")], "{verb}");
        testing::mend_writes(&state, "qualifications", verb).await.unwrap();
    }
}

#[tokio::test]
async fn the_last_review_stands_until_another_is_written_and_is_nobody_elses() {
    let state = memory().await;
    let ruiz = made(&state, "det.ruiz", at(0)).await;
    let review = |day: i64, kept| Review {
        at: at(day),
        by: "riverton|adm.voss".to_owned(),
        kept,
        reason: "asked".to_owned(),
    };
    reviews::note(&state, ruiz.id, &review(1, true)).await.unwrap();
    for verb in ["INSERT", "UPDATE"] {
        testing::break_writes(&state, "access_reviews", verb).await.unwrap();
        let error = reviews::note(&state, ruiz.id, &review(2, false)).await.unwrap_err();
        assert!(matches!(error, StateError::Write { .. }), "{verb}: {error}");
        assert_eq!(reviews::list(&state).await.unwrap()[&ruiz.id], review(1, true), "{verb}");
        testing::mend_writes(&state, "access_reviews", verb).await.unwrap();
    }
    reviews::note(&state, ruiz.id, &review(2, false)).await.unwrap();
    assert_eq!(reviews::list(&state).await.unwrap()[&ruiz.id], review(2, false));
    accounts::remove(&state, &ruiz, "left", at(3)).await.unwrap();
    made(&state, "det.ruiz", at(400)).await;
    assert!(reviews::list(&state).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_next_person_of_a_name_has_nothing_of_the_last_one() {
    let state = memory().await;
    let ruiz = made(&state, "det.ruiz", at(0)).await;
    qualifications::add(&state, &[(ruiz.id, training("a"))]).await.unwrap();
    let removed = accounts::remove(&state, &ruiz, "left", at(1)).await.unwrap();
    assert!(matches!(removed, Updated::Done { .. }), "{removed:?}");
    let error = qualifications::add(&state, &[(ruiz.id, training("b"))]).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no such account");
    assert_eq!(qualifications::of(&state, ruiz.id).await.unwrap().len(), 1, "it is kept meanwhile");
    let next = made(&state, "det.ruiz", at(400)).await;
    assert_eq!(next.id, ruiz.id);
    assert_eq!(qualifications::of(&state, next.id).await.unwrap(), []);
}
