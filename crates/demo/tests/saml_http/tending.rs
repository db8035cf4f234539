//! Accounts that end by themselves: when their time is over, and when nobody uses them.

use jiff::{SignedDuration, Timestamp};
use ledger::{Event, Record};
use state::accounts::{
    self, Account, AccountId, AccountKind, Created, NewAccount, Profile, Standing,
};

use crate::stage::{Agency, Home};

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

async fn make(
    agency: &Agency,
    name_id: &str,
    kind: AccountKind,
    ends_at: Option<Timestamp>,
) -> AccountId {
    let profile = Profile {
        idp: "riverton".into(),
        name_id: name_id.into(),
        name: name_id.into(),
        functions: vec!["detective".into()],
        owner: (kind == AccountKind::Service).then(|| "riverton|det.ruiz".into()),
        ..Profile::default()
    };
    let new = NewAccount { kind, active: true, ends_at, profile };
    let served = &agency.server.agency;
    match accounts::create(&served.state, &new, served.now()).await.unwrap() {
        Created::Made(account) => account.id,
        other => unreachable!("{other:?}"),
    }
}

async fn account(agency: &Agency, id: AccountId) -> Account {
    accounts::find(&agency.server.agency.state, id).await.unwrap().unwrap()
}

/// Something is recorded, as on any day.
async fn a_day_at_work(agency: &Agency) {
    let record = Record::platform(Event::LedgerChecked);
    agency.server.agency.ledger.append(record).await.unwrap();
}

fn disabled(agency: &Agency) -> Vec<(String, String)> {
    let events = agency.events().into_iter();
    let disabled = events.filter_map(|event| match event {
        Event::AccountChanged { account, what, reason, .. } if what == "disabled" => {
            Some((account, reason))
        }
        _ => None,
    });
    let mut disabled: Vec<_> = disabled.collect();
    disabled.sort();
    disabled
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_account_is_over_at_its_end_and_its_session_with_it() {
    let home = Home::new();
    let agency = home.start("").await;
    let ends = home.now() + SignedDuration::from_mins(20);
    let id = make(&agency, "temp.one", AccountKind::Temporary, Some(ends)).await;
    let cookie = agency.sign_in_as("temp.one", "detective", 1).await;
    agency.server.agency.tend_accounts().await;
    assert_eq!(agency.get("/me", &cookie).await.status, 200);
    home.clock.set(ends);
    // The session is over in that moment, and the account a minute later at most.
    assert_eq!(agency.get("/me", &cookie).await.status, 401);
    assert_eq!(account(&agency, id).await.standing(ends), Standing::Over);
    agency.server.agency.tend_accounts().await;
    let over = account(&agency, id).await;
    assert_eq!(over.standing(ends), Standing::Disabled);
    assert_eq!(over.profile.disabled_because.as_deref(), Some("its time is over"));
    let recorded = [("riverton|temp.one".to_owned(), "its time is over".to_owned())];
    assert_eq!(disabled(&agency), recorded);
    agency.server.agency.tend_accounts().await;
    assert_eq!(disabled(&agency).len(), 1, "once");

    // A session that ended is only a row: it goes after a day.
    let state = &agency.server.agency.state;
    assert_eq!(state::testing::count(state, "sessions").await.unwrap(), 1);
    home.clock.set(ends + days(2));
    agency.server.agency.tend_accounts().await;
    assert_eq!(state::testing::count(state, "sessions").await.unwrap(), 0);
    agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_nobody_uses_for_90_days_is_disabled_unless_the_clock_may_be_wrong() {
    let home = Home::new();
    let agency = home.start("").await;
    let served = &agency.server.agency;
    let begun = home.now();
    let unused = make(&agency, "never.came", AccountKind::Person, None).await;
    let service = make(&agency, "printer", AccountKind::Service, None).await;
    let sealed = make(&agency, "glass", AccountKind::Emergency, None).await;
    agency.sign_in_as("det.ruiz", "detective", 1).await;
    let ruiz = AccountId::of("riverton|det.ruiz");
    // As long as the provider's metadata is valid.
    home.clock.set(begun + days(30));
    a_day_at_work(&agency).await;
    agency.sign_in_as("det.ruiz", "detective", 2).await;
    let last_moment = begun + days(90) - SignedDuration::from_secs(1);
    home.clock.set(last_moment);
    served.tend_accounts().await;
    assert_eq!(disabled(&agency), [], "the last day is still a day");

    // A clock that jumps finds no entry in the weeks before, and takes nobody's account.
    home.clock.set(begun + days(200));
    served.tend_accounts().await;
    assert_eq!(disabled(&agency), []);

    home.clock.set(begun + days(200));
    a_day_at_work(&agency).await;
    home.clock.set(begun + days(215));
    served.tend_accounts().await;
    let why = "nobody used it for 90 days".to_owned();
    let expected = ["riverton|det.ruiz", "riverton|never.came", "riverton|printer"];
    assert_eq!(disabled(&agency), expected.map(|key| (key.to_owned(), why.clone())));
    for id in [unused, service, ruiz] {
        assert_eq!(account(&agency, id).await.standing(served.now()), Standing::Disabled);
    }
    assert_eq!(account(&agency, sealed).await.standing(served.now()), Standing::Good);
    agency.stop().await;
}
