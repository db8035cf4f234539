//! A provider that can't be trusted any more: everybody's sessions through it end together, and nobody begins
//! one.
#![expect(clippy::unwrap_used, reason = "a test that can't set its stage stops")]

use jiff::{Timestamp, ToSpan};
use state::accounts::{self, AccountKind, Created, Ended, NewAccount, Of, Profile};
use state::holds;
use state::sessions::{self, Details, NewSession};
use state::sign_ins::{self, Admission, Finished};
use state::{State, testing};

/// People of one provider, each with this many sessions.
const PEOPLE: u32 = 1_100;
const SESSIONS_EACH: u32 = 2;

fn now() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

async fn memory() -> State {
    State::open("sqlite::memory:", testing::key()).await.unwrap()
}

fn id(n: u32) -> [u8; 32] {
    let mut id = [7; 32];
    id[..4].copy_from_slice(&n.to_be_bytes());
    id
}

async fn person(state: &State, idp: &str, n: u32) -> accounts::Account {
    let new = NewAccount {
        kind: AccountKind::Person,
        active: true,
        ends_at: None,
        profile: Profile { idp: idp.into(), name_id: n.to_string(), ..Profile::default() },
    };
    let Created::Made(account) = accounts::create(state, &new, now()).await.unwrap() else {
        unreachable!("nobody has it")
    };
    account
}

async fn sign_in(state: &State, account: &accounts::Account, session: [u8; 32]) -> Finished {
    let profile = &account.profile;
    let session = NewSession {
        id: session,
        created_at: now(),
        absolute_deadline: now() + 12.hours(),
        stepped_up_at: None,
        notice: None,
        details: Details {
            actor: account.key(),
            name: String::new(),
            agency: "NB0010100".into(),
            functions: Vec::new(),
            mfa: true,
            context: "mfa".into(),
            authenticated_at: now(),
            idp: profile.idp.clone(),
            name_id: profile.name_id.clone(),
            name_id_format: None,
            session_index: None,
            csrf: [9; 32],
            address: None,
            agent: None,
            device_class: None,
            certificate: None,
        },
    };
    let admission = Admission::Known(Box::new(account.clone()));
    sign_ins::finish(state, &[], &session, None, (&admission, i64::MAX)).await.unwrap()
}

async fn is_live(state: &State, session: &[u8; 32]) -> bool {
    sessions::find(state, session, now()).await.unwrap().is_some()
}

fn everybody(idp: &str) -> Of<'_> {
    Of::Everybody { idp }
}

#[tokio::test]
async fn thousands_of_sessions_of_a_provider_end_together_and_no_other() {
    let state = memory().await;
    for n in 0..PEOPLE {
        let account = person(&state, "riverton", n).await;
        for session in 0..SESSIONS_EACH {
            let begun = sign_in(&state, &account, id(n * SESSIONS_EACH + session)).await;
            assert!(matches!(begun, Finished::Begun { .. }));
        }
    }
    // Another provider's people, one of whom has the same name there.
    let others = [person(&state, "lakeside", 1).await, person(&state, "lakeside", 5_000).await];
    for (n, other) in (1_000_000..).zip(&others) {
        sign_in(&state, other, id(n)).await;
    }
    let before = accounts::find(&state, others[0].id).await.unwrap().unwrap();

    for (table, verb) in [("accounts", "UPDATE"), ("sessions", "UPDATE")] {
        testing::break_writes(&state, table, verb).await.unwrap();
        assert!(accounts::end_sessions(&state, everybody("riverton"), "x", now()).await.is_err());
        testing::mend_writes(&state, table, verb).await.unwrap();
        assert!(is_live(&state, &id(0)).await, "all of it or nothing: {table}");
    }
    let ended = accounts::end_sessions(&state, everybody("riverton"), "x", now()).await.unwrap();
    assert_eq!(ended.accounts.len(), PEOPLE as usize);
    assert_eq!(ended.sessions.len(), (PEOPLE * SESSIONS_EACH) as usize);
    for n in 0..PEOPLE * SESSIONS_EACH {
        assert!(!is_live(&state, &id(n)).await, "{n}");
    }
    assert_eq!(sessions::end_reason(&state, &id(3)).await.unwrap().as_deref(), Some("x"));
    assert!(is_live(&state, &id(1_000_000)).await && is_live(&state, &id(1_000_001)).await);
    assert_eq!(accounts::find(&state, others[0].id).await.unwrap().unwrap(), before);
    let again = accounts::end_sessions(&state, everybody("riverton"), "x", now()).await.unwrap();
    assert_eq!(again, Ended::default());
}

#[tokio::test]
async fn nobody_begins_a_session_through_a_provider_that_is_held() {
    let state = memory().await;
    let (ours, theirs) = (person(&state, "riverton", 1).await, person(&state, "lakeside", 1).await);
    assert!(matches!(sign_in(&state, &ours, id(1)).await, Finished::Begun { .. }));
    testing::break_writes(&state, "provider_holds", "INSERT").await.unwrap();
    assert!(holds::hold(&state, "riverton", now()).await.is_err());
    testing::mend_writes(&state, "provider_holds", "INSERT").await.unwrap();
    assert!(!holds::held(&state, "riverton").await.unwrap());

    assert!(holds::hold(&state, "riverton", now()).await.unwrap());
    assert!(!holds::hold(&state, "riverton", now()).await.unwrap(), "it is held already");
    assert_eq!(holds::list(&state).await.unwrap().len(), 1);
    assert!(holds::held(&state, "riverton").await.unwrap());
    assert_eq!(sign_in(&state, &ours, id(2)).await, Finished::Held);
    assert!(is_live(&state, &id(1)).await, "a hold alone ends nothing");
    assert!(matches!(sign_in(&state, &theirs, id(3)).await, Finished::Begun { .. }));

    testing::break_writes(&state, "provider_holds", "DELETE").await.unwrap();
    assert!(holds::release(&state, "riverton").await.is_err());
    testing::mend_writes(&state, "provider_holds", "DELETE").await.unwrap();
    assert_eq!(sign_in(&state, &ours, id(2)).await, Finished::Held);
    assert!(holds::release(&state, "riverton").await.unwrap());
    assert!(!holds::release(&state, "riverton").await.unwrap());
    assert!(matches!(sign_in(&state, &ours, id(2)).await, Finished::Begun { .. }));
}
