//! Stories of accounts in the database: who may come in, what a change ends, and every write that fails.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't set its stage stops")]

use jiff::{Timestamp, ToSpan};
use state::accounts::{
    self, Account, AccountId, AccountKind, Created, NewAccount, Of, Profile, Standing, Updated,
};
use state::sessions::{self, Details, NewSession};
use state::sign_ins::{self, Admission, Asked, Finished, Message, NewSignIn, Taken};
use state::{State, StateError, testing};

fn at(minute: i64) -> Timestamp {
    "2026-11-22T08:00:00Z".parse::<Timestamp>().unwrap() + minute.minutes()
}

fn days(days: i64) -> Timestamp {
    at(0) + (24 * days).hours()
}

fn person(name_id: &str) -> NewAccount {
    NewAccount {
        kind: AccountKind::Person,
        active: true,
        ends_at: None,
        profile: Profile {
            idp: "riverton".into(),
            name_id: name_id.into(),
            user_name: Some(name_id.to_uppercase()),
            external_id: Some(format!("x-{name_id}")),
            name: "Ruiz, Ana".into(),
            functions: vec!["supervisor".into(), "detective".into(), "detective".into()],
            email: Some(String::new()),
            ..Profile::default()
        },
    }
}

async fn memory() -> State {
    State::open("sqlite::memory:", testing::key()).await.unwrap()
}

async fn made(state: &State, new: &NewAccount) -> Account {
    match accounts::create(state, new, at(0)).await.unwrap() {
        Created::Made(account) => account,
        other => panic!("{other:?}"),
    }
}

/// Signs somebody in; gives whether a session began.
async fn sign_in(state: &State, id: u8, account: &Account, now: Timestamp) -> Finished {
    finish(state, id, account, now, i64::MAX).await
}

/// Begins a sign-in; gives its mark.
async fn begin(state: &State, id: u8) -> i64 {
    let asked = Asked {
        idp: "riverton".into(),
        request: "_q".into(),
        relay: "r".into(),
        return_to: "/".into(),
        step_up_of: None,
        verifier: None,
        trial: None,
        mark: 0,
    };
    let new = NewSignIn { id: [id; 32], issued_at: at(0), expires_at: at(10), asked };
    sign_ins::begin(state, &new).await.unwrap();
    match sign_ins::take(state, &[id; 32], at(1)).await.unwrap() {
        Taken::Once { asked, .. } => asked.mark,
        other => panic!("{other:?}"),
    }
}

/// Finishes a sign-in that began at a mark.
async fn finish(state: &State, id: u8, account: &Account, now: Timestamp, mark: i64) -> Finished {
    let profile = &account.profile;
    let session = NewSession {
        id: [id; 32],
        created_at: now,
        absolute_deadline: now + 12.hours(),
        stepped_up_at: None,
        notice: None,
        details: Details {
            actor: account.key(),
            name: profile.name.clone(),
            agency: "NB0010100".into(),
            functions: profile.functions.clone(),
            mfa: true,
            context: "mfa".into(),
            authenticated_at: now,
            idp: profile.idp.clone(),
            name_id: profile.name_id.clone(),
            name_id_format: None,
            session_index: Some(format!("_s{id}")),
            csrf: [9; 32],
            address: None,
            agent: None,
            device_class: None,
            certificate: None,
        },
    };
    let used = Message { idp: "riverton".into(), id: format!("_{id}"), remember_until: now };
    let admission = Admission::Known(Box::new(account.clone()));
    sign_ins::finish(state, &[used], &session, None, (&admission, mark)).await.unwrap()
}

async fn is_live(state: &State, id: u8) -> bool {
    sessions::find(state, &[id; 32], at(2)).await.unwrap().is_some()
}

fn begun() -> Finished {
    Finished::Begun { ended: vec![] }
}

#[tokio::test]
async fn an_account_is_found_by_its_key_its_sign_in_name_and_the_directorys_identifier() {
    let state = memory().await;
    let account = made(&state, &person("det.ruiz")).await;
    assert_eq!(account.key(), "riverton|det.ruiz");
    assert_eq!(account.profile.functions, ["detective", "supervisor"], "sorted, each once");
    assert_eq!(account.profile.email, None, "an empty text is none");
    let id = AccountId::of("riverton|det.ruiz");
    assert_eq!(accounts::find(&state, id).await.unwrap(), Some(account.clone()));
    assert_eq!(AccountId::parse(&id.to_string()), Some(id));
    let by_name = accounts::by_user_name(&state, "riverton", "det.ruiz").await.unwrap();
    assert_eq!(by_name, std::slice::from_ref(&account), "without regard to case");
    assert!(accounts::by_user_name(&state, "lakeside", "det.ruiz").await.unwrap().is_empty());
    let by_id = accounts::by_external_id(&state, "riverton", "x-det.ruiz").await.unwrap();
    assert_eq!(by_id, std::slice::from_ref(&account));
    let again = accounts::create(&state, &person("det.ruiz"), at(1)).await.unwrap();
    assert_eq!(again, Created::Exists(account));
}

#[tokio::test]
async fn an_account_that_is_not_whole_is_refused() {
    let state = memory().await;
    let refused = async |change: fn(&mut NewAccount)| {
        let mut new = person("x");
        change(&mut new);
        accounts::create(&state, &new, at(0)).await.unwrap_err().to_string()
    };
    let words = refused(|new| new.kind = AccountKind::Temporary).await;
    assert_eq!(words, "a temporary account needs an end");
    let words = refused(|new| new.kind = AccountKind::Service).await;
    assert_eq!(words, "a service account needs a person who answers for it");
    let words = refused(|new| new.profile.name_id.clear()).await;
    assert_eq!(words, "an account needs a provider and a name");
    let words = refused(|new| new.profile.name = "x".repeat(513)).await;
    assert_eq!(words, "a text of an account is longer than 512 bytes");
    let words = refused(|new| new.profile.department = Some("a\nb".into())).await;
    assert_eq!(words, "a text of an account holds a control character");
    let words = refused(|new| new.profile.functions = (0..33).map(|n| n.to_string()).collect());
    assert_eq!(words.await, "an account has more than 32 functions");
    assert_eq!(testing::count(&state, "accounts").await.unwrap(), 0);
}

#[tokio::test]
async fn a_change_counts_only_upon_the_version_that_was_seen() {
    let state = memory().await;
    let seen = made(&state, &person("det.ruiz")).await;
    let mut mine = seen.clone();
    mine.profile.department = Some("Burglary".into());
    let Updated::Done { before, after, ended } =
        accounts::update(&state, &mine, "moved", at(1)).await.unwrap()
    else {
        panic!("the version is the one that was seen")
    };
    assert_eq!((before.version, after.version, ended.len()), (1, 2, 0));
    assert_eq!(after.epoch, before.epoch, "a department is nobody's session");
    let fields: Vec<&str> =
        accounts::changes(&before, &after).iter().map(|one| one.field).collect();
    assert_eq!(fields, ["department"]);
    let mut theirs = seen;
    theirs.active = false;
    let stale = accounts::update(&state, &theirs, "left", at(2)).await.unwrap();
    assert_eq!(stale, Updated::Stale(after));
    theirs.profile.name_id = "another".into();
    theirs.version = 2;
    let error = accounts::update(&state, &theirs, "left", at(2)).await.unwrap_err();
    assert!(matches!(error, StateError::Unfit { .. }), "{error}");
}

#[tokio::test]
async fn whatever_takes_something_from_a_person_ends_their_sessions_with_it() {
    let state = memory().await;
    let changes: [fn(&mut Account); 4] = [
        |account| account.active = false,
        |account| account.profile.functions = vec!["detective".into()],
        |account| account.kind = AccountKind::Guest,
        |account| account.ends_at = Some(at(1)),
    ];
    for (n, change) in (1..).zip(changes) {
        let account = made(&state, &person(&format!("p{n}"))).await;
        assert_eq!(sign_in(&state, n, &account, at(0)).await, begun());
        let mut edited = account.clone();
        change(&mut edited);
        let updated = accounts::update(&state, &edited, "changed", at(1)).await.unwrap();
        let Updated::Done { after, ended, .. } = updated else { panic!("{updated:?}") };
        assert_eq!((ended.as_slice(), after.epoch), (&[[n; 32]][..], 2));
        assert!(!is_live(&state, n).await);
    }
}

#[tokio::test]
async fn whoever_is_disabled_while_signing_in_does_not_get_in() {
    let state = memory().await;
    let seen = made(&state, &person("det.ruiz")).await;
    let mut edited = seen.clone();
    edited.active = false;
    accounts::update(&state, &edited, "left", at(0)).await.unwrap();
    // The sign-in had read the account before.
    assert_eq!(sign_in(&state, 1, &seen, at(1)).await, Finished::AccountChanged);
    let present = accounts::find(&state, seen.id).await.unwrap().unwrap();
    assert_eq!(present.standing(at(1)), Standing::Disabled);
    assert_eq!(sign_in(&state, 1, &present, at(1)).await, Finished::AccountChanged);
    assert!(!is_live(&state, 1).await);
    assert_eq!(testing::count(&state, "used_messages").await.unwrap(), 0, "nothing was changed");
}

#[tokio::test]
async fn a_temporary_account_ends_by_itself() {
    let state = memory().await;
    let new = NewAccount { kind: AccountKind::Temporary, ends_at: Some(at(2)), ..person("temp") };
    let account = made(&state, &new).await;
    assert_eq!(sign_in(&state, 1, &account, at(1)).await, begun());
    let live = async |now| sessions::find(&state, &[1; 32], now).await.unwrap().is_some();
    assert!(live(at(1)).await);
    assert!(!live(at(2)).await, "its sessions are over with it, though nobody ended them");
    assert_eq!(account.standing(at(2)), Standing::Over);
}

#[tokio::test]
async fn a_removed_accounts_key_is_nobodys_for_a_year() {
    let state = memory().await;
    let account = made(&state, &person("det.ruiz")).await;
    assert_eq!(sign_in(&state, 1, &account, at(0)).await, begun());
    let removed = accounts::remove(&state, &account, "left", at(1)).await.unwrap();
    assert!(matches!(removed, Updated::Done { .. }));
    assert!(!is_live(&state, 1).await);
    assert!(accounts::list(&state).await.unwrap().is_empty());
    let again = async |now| accounts::create(&state, &person("det.ruiz"), now).await.unwrap();
    assert!(matches!(again(days(365)).await, Created::Reserved { .. }));
    assert!(matches!(again(days(367)).await, Created::Made(_)));
    let gone = accounts::update(&state, &account, "x", days(368)).await.unwrap();
    assert!(matches!(gone, Updated::Done { .. } | Updated::Stale(_)));
}

#[tokio::test]
async fn a_providers_session_ends_what_it_stands_behind_and_no_more() {
    let state = memory().await;
    let (ruiz, hale) =
        (made(&state, &person("det.ruiz")).await, made(&state, &person("ofc.hale")).await);
    assert_eq!(sign_in(&state, 1, &ruiz, at(0)).await, begun());
    assert_eq!(sign_in(&state, 2, &ruiz, at(0)).await, begun());
    assert_eq!(sign_in(&state, 3, &hale, at(0)).await, begun());
    let of = |session, account| Of::Provider { idp: "riverton", session, account };
    let end = async |of| accounts::end_sessions(&state, of, "slo", at(1)).await.unwrap();
    assert!(end(of("_s1", Some(hale.id))).await.sessions.is_empty(), "of another person");
    assert_eq!(end(of("_s1", Some(ruiz.id))).await.sessions, [[1; 32]]);
    assert_eq!(end(of("_s3", None)).await.sessions, [[3; 32]]);
    assert!(is_live(&state, 2).await);
    let ids = [[1; 32], [2; 32], [3; 32]];
    let ended = accounts::ended_among(&state, &ids, at(1)).await.unwrap();
    assert_eq!(ended, [[1; 32], [3; 32]]);
    assert_eq!(end(Of::Session([2; 32])).await.sessions, [[2; 32]]);
    assert_eq!(sign_in(&state, 4, &ruiz, at(1)).await, begun());
    assert_eq!(end(Of::Account(ruiz.id)).await.sessions, [[4; 32]]);
}

#[tokio::test]
async fn each_write_that_fails_leaves_the_account_and_its_sessions_as_they_were() {
    let state = memory().await;
    testing::break_writes(&state, "accounts", "INSERT").await.unwrap();
    assert!(accounts::create(&state, &person("det.ruiz"), at(0)).await.is_err());
    testing::mend_writes(&state, "accounts", "INSERT").await.unwrap();
    let account = made(&state, &person("det.ruiz")).await;
    assert_eq!(sign_in(&state, 1, &account, at(0)).await, begun());
    let mut edited = account.clone();
    edited.active = false;
    for table in ["accounts", "sessions"] {
        testing::break_writes(&state, table, "UPDATE").await.unwrap();
        assert!(accounts::update(&state, &edited, "left", at(1)).await.is_err(), "{table}");
        let of = Of::Account(account.id);
        assert!(accounts::end_sessions(&state, of, "left", at(1)).await.is_err(), "{table}");
        testing::mend_writes(&state, table, "UPDATE").await.unwrap();
        assert!(is_live(&state, 1).await, "{table}");
        let present = accounts::find(&state, account.id).await.unwrap().unwrap();
        assert_eq!((present.version, present.epoch, present.active), (1, 1, true), "{table}");
    }
    testing::break_writes(&state, "accounts", "DELETE").await.unwrap();
    let fresh = made(&state, &person("new")).await;
    assert!(accounts::forget_new(&state, fresh.id).await.is_err());
    testing::mend_writes(&state, "accounts", "DELETE").await.unwrap();
    accounts::forget_new(&state, fresh.id).await.unwrap();
    assert!(accounts::find(&state, fresh.id).await.unwrap().is_none());
    accounts::forget_new(&state, account.id).await.unwrap();
    assert!(accounts::find(&state, account.id).await.unwrap().is_some(), "it has been used");
}

#[tokio::test]
async fn a_sign_in_that_began_before_its_person_was_put_out_begins_no_session() {
    let state = memory().await;
    let (ruiz, hale) =
        (made(&state, &person("det.ruiz")).await, made(&state, &person("ofc.hale")).await);
    let provider =
        |session: &'static str, account| Of::Provider { idp: "riverton", session, account };
    for (n, (of, puts_out, others_too)) in (1..).step_by(5).zip([
        (Of::Account(ruiz.id), true, false),
        // A log-out may come before the answer that it is about.
        (provider("_unseen", Some(ruiz.id)), true, false),
        (provider("_s16", None), true, false),
        (Of::Session([21; 32]), false, false),
        (Of::Everybody { idp: "riverton" }, true, true),
    ]) {
        sign_in(&state, n + 5, &ruiz, at(1)).await;
        let (hers, his) = (begin(&state, n).await, begin(&state, n + 1).await);
        accounts::end_sessions(&state, of, "x", at(1)).await.unwrap();
        let became = finish(&state, n + 2, &ruiz, at(1), hers).await;
        assert_eq!(became == Finished::PutOut, puts_out, "{of:?}: {became:?}");
        assert_eq!(is_live(&state, n + 2).await, !puts_out, "{of:?}");
        let became = finish(&state, n + 3, &hale, at(1), his).await;
        assert_eq!(became == Finished::PutOut, others_too, "{of:?}: {became:?}");
        let later = begin(&state, n + 4).await;
        let became = finish(&state, n + 4, &ruiz, at(1), later).await;
        assert!(matches!(became, Finished::Begun { .. }), "who begins anew comes in: {became:?}");
    }
}
