//! Stories of sign-ins and sessions in the database, and of every write that fails on the way.
#![expect(clippy::unwrap_used, reason = "a test that can't set its stage stops")]

use jiff::{Timestamp, ToSpan};
use state::accounts::{self, AccountId, AccountKind, NewAccount, Of, Profile};
use state::sessions::{self, Details, NewSession, StoredSession};
use state::sign_ins::{self, Admission, Asked, Finished, Message, NewSignIn, Taken};
use state::{State, StateError, Trouble, testing};

fn at(minute: i64) -> Timestamp {
    "2026-11-22T08:00:00Z".parse::<Timestamp>().unwrap() + minute.minutes()
}

fn details(actor: &str) -> Details {
    Details {
        actor: actor.into(),
        name: "Ruiz, Ana".into(),
        agency: "NB0010100".into(),
        functions: vec!["detective".into()],
        mfa: true,
        context: "https://refeds.org/profile/mfa".into(),
        authenticated_at: at(0),
        idp: "riverton".into(),
        name_id: "det.ruiz".into(),
        name_id_format: None,
        session_index: Some("_s1".into()),
        csrf: [9; 32],
        address: Some("127.0.0.1".into()),
        agent: None,
        device_class: None,
        certificate: None,
    }
}

fn session(id: u8, actor: &str) -> NewSession {
    NewSession {
        id: [id; 32],
        created_at: at(1),
        absolute_deadline: at(721),
        stepped_up_at: None,
        notice: None,
        details: details(actor),
    }
}

fn message(id: &str) -> Message {
    Message { idp: "riverton".into(), id: id.into(), remember_until: at(6) }
}

fn sign_in(id: u8) -> NewSignIn {
    NewSignIn {
        id: [id; 32],
        issued_at: at(0),
        expires_at: at(10),
        asked: Asked {
            idp: "riverton".into(),
            request: "_q7f3e91".into(),
            relay: "r".into(),
            return_to: "/tools".into(),
            step_up_of: None,
            verifier: None,
            trial: None,
            mark: 0,
        },
    }
}

fn begun() -> Finished {
    Finished::Begun { ended: vec![] }
}

async fn find(state: &State, id: &[u8; 32]) -> Result<Option<StoredSession>, StateError> {
    sessions::find(state, id, at(1)).await
}

/// Finishes a sign-in of somebody who has an account by then.
async fn finish(
    state: &State,
    messages: &[Message],
    session: &NewSession,
    replaces: Option<&[u8; 32]>,
) -> Result<Finished, StateError> {
    let actor = &session.details.actor;
    let admission = match accounts::find(state, AccountId::of(actor)).await? {
        Some(account) => Admission::Known(Box::new(account)),
        None => Admission::Make(Box::new(new_account(actor))),
    };
    sign_ins::finish(state, messages, session, replaces, (&admission, i64::MAX)).await
}

fn new_account(actor: &str) -> NewAccount {
    let (idp, name_id) = actor.split_once('|').unwrap();
    let (idp, name_id, name) = (idp.into(), name_id.into(), "Ruiz, Ana".into());
    NewAccount {
        kind: AccountKind::Person,
        active: true,
        ends_at: None,
        profile: Profile { idp, name_id, name, ..Profile::default() },
    }
}

async fn memory() -> State {
    State::open("sqlite::memory:", testing::key()).await.unwrap()
}

#[tokio::test]
async fn a_session_is_found_as_it_was_stored_and_not_under_another_id() {
    let state = memory().await;
    let new = session(1, "riverton|det.ruiz");
    let messages = [message("_r"), message("_a")];
    assert_eq!(finish(&state, &messages, &new, None).await.unwrap(), begun());
    let found = find(&state, &[1; 32]).await.unwrap().unwrap();
    assert_eq!(found.details, new.details);
    assert_eq!((found.created_at, found.last_seen_at), (at(1), at(1)));
    assert_eq!((found.absolute_deadline, found.stepped_up_at), (at(721), None));
    assert_eq!(found.notice, None);
    assert_eq!(find(&state, &[2; 32]).await.unwrap(), None);
}

#[tokio::test]
async fn a_message_counts_once_and_a_replay_changes_nothing() {
    let state = memory().await;
    let messages = [message("_r"), message("_a")];
    let first = session(1, "riverton|det.ruiz");
    finish(&state, &messages, &first, None).await.unwrap();
    // The response is new, the assertion in it is not.
    let messages = [message("_r2"), message("_a")];
    let again = session(2, "riverton|det.ruiz");
    let outcome = finish(&state, &messages, &again, None).await.unwrap();
    assert_eq!(outcome, Finished::Replayed);
    assert_eq!(find(&state, &[2; 32]).await.unwrap(), None);
    assert_eq!(testing::count(&state, "used_messages").await.unwrap(), 2, "`_r2` was not kept");
    // Another provider may use the same ID.
    let other = Message { idp: "lakeside".into(), ..message("_a") };
    let outcome = finish(&state, &[other], &again, None).await.unwrap();
    assert_eq!(outcome, begun());
}

#[tokio::test]
async fn used_messages_are_forgotten_only_when_nobody_would_accept_them() {
    let state = memory().await;
    let mut first = session(1, "riverton|det.ruiz");
    finish(&state, &[message("_a")], &first, None).await.unwrap();
    first.id = [2; 32];
    first.created_at = at(6);
    let outcome = finish(&state, &[message("_a")], &first, None).await.unwrap();
    assert_eq!(outcome, Finished::Replayed, "remembered up to and at the limit");
    first.created_at = at(7);
    let outcome = finish(&state, &[message("_b")], &first, None).await.unwrap();
    assert_eq!(outcome, begun());
    assert_eq!(testing::count(&state, "used_messages").await.unwrap(), 1);
}

#[tokio::test]
async fn a_sign_in_is_taken_once() {
    let state = memory().await;
    sign_ins::begin(&state, &sign_in(1)).await.unwrap();
    let Taken::Once { asked, issued_at } = sign_ins::take(&state, &[1; 32], at(10)).await.unwrap()
    else {
        panic!("a fresh sign-in is taken")
    };
    assert_eq!((asked, issued_at), (sign_in(1).asked, at(0)));
    assert_eq!(sign_ins::take(&state, &[1; 32], at(10)).await.unwrap(), Taken::Already);
    assert_eq!(sign_ins::take(&state, &[2; 32], at(10)).await.unwrap(), Taken::Unknown);
    sign_ins::begin(&state, &sign_in(3)).await.unwrap();
    assert_eq!(sign_ins::take(&state, &[3; 32], at(11)).await.unwrap(), Taken::Expired);
    assert_eq!(sign_ins::take(&state, &[3; 32], at(5)).await.unwrap(), Taken::Already);
}

#[tokio::test]
async fn of_two_answers_at_once_only_one_takes_the_sign_in() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&testing::url(folder.path()), testing::key()).await.unwrap();
    for round in 0..20 {
        sign_ins::begin(&state, &sign_in(round)).await.unwrap();
        let id = [round; 32];
        let (a, b) =
            tokio::join!(sign_ins::take(&state, &id, at(1)), sign_ins::take(&state, &id, at(1)));
        let once = [a.unwrap(), b.unwrap()]
            .into_iter()
            .filter(|taken| matches!(taken, Taken::Once { .. }))
            .count();
        assert_eq!(once, 1);
    }
}

#[tokio::test]
async fn sign_ins_long_over_are_forgotten() {
    let state = memory().await;
    sign_ins::begin(&state, &sign_in(1)).await.unwrap();
    let mut later = sign_in(2);
    (later.issued_at, later.expires_at) = (at(21), at(31));
    sign_ins::begin(&state, &later).await.unwrap();
    assert_eq!(testing::count(&state, "sign_ins").await.unwrap(), 1);
    assert_eq!(sign_ins::take(&state, &[1; 32], at(21)).await.unwrap(), Taken::Unknown);
}

#[tokio::test]
async fn a_stepped_up_session_replaces_the_old_one_at_once() {
    let state = memory().await;
    finish(&state, &[message("_a")], &session(1, "r|x"), None).await.unwrap();
    let mut new = session(2, "r|x");
    new.stepped_up_at = Some(at(1));
    let outcome = finish(&state, &[message("_b")], &new, Some(&[1; 32])).await.unwrap();
    assert_eq!(outcome, begun());
    assert_eq!(find(&state, &[1; 32]).await.unwrap(), None);
    let reason = sessions::end_reason(&state, &[1; 32]).await.unwrap();
    assert_eq!(reason.as_deref(), Some("stepped-up"));
    assert_eq!(find(&state, &[2; 32]).await.unwrap().unwrap().stepped_up_at, Some(at(1)));
    // A session that was ended in the meantime can't be stepped up back to life.
    let outcome = finish(&state, &[message("_c")], &session(3, "r|x"), Some(&[1; 32])).await;
    assert_eq!(outcome.unwrap(), Finished::Superseded);
    assert_eq!(find(&state, &[3; 32]).await.unwrap(), None);
    assert_eq!(testing::count(&state, "used_messages").await.unwrap(), 2);
}

#[tokio::test]
async fn activity_notice_and_end_are_kept_and_an_ended_session_stays_ended() {
    let state = memory().await;
    finish(&state, &[message("_a")], &session(1, "r|x"), None).await.unwrap();
    sessions::touch(&state, &[1; 32], at(5)).await.unwrap();
    sessions::touch(&state, &[1; 32], at(4)).await.unwrap();
    assert!(sessions::accept_notice(&state, &[1; 32], "notice-1", at(2)).await.unwrap());
    let found = find(&state, &[1; 32]).await.unwrap().unwrap();
    assert_eq!(found.last_seen_at, at(5), "activity never goes back");
    assert_eq!(found.notice, Some(("notice-1".into(), at(2))));
    assert!(sessions::end(&state, &[1; 32], "signed-out", at(6)).await.unwrap());
    assert!(!sessions::end(&state, &[1; 32], "idle", at(7)).await.unwrap());
    assert!(!sessions::accept_notice(&state, &[1; 32], "notice-1", at(8)).await.unwrap());
    sessions::touch(&state, &[1; 32], at(8)).await.unwrap();
    assert_eq!(find(&state, &[1; 32]).await.unwrap(), None);
    let reason = sessions::end_reason(&state, &[1; 32]).await.unwrap();
    assert_eq!(reason.as_deref(), Some("signed-out"));
}

#[tokio::test]
async fn all_sessions_of_a_person_end_and_nobody_elses() {
    let state = memory().await;
    for (id, actor) in [(1, "r|x"), (2, "r|x"), (3, "r|y")] {
        let used = message(&format!("_a{id}"));
        finish(&state, &[used], &session(id, actor), None).await.unwrap();
    }
    assert_eq!(sessions::of_person(&state, "r|x", 10, at(1)).await.unwrap().len(), 2);
    assert_eq!(sessions::of_person(&state, "r|x", 1, at(1)).await.unwrap().len(), 1);
    let mut ended =
        accounts::end_sessions(&state, Of::Account(AccountId::of("r|x")), "revoked", at(2))
            .await
            .unwrap();
    ended.sessions.sort_unstable();
    assert_eq!(ended.sessions, [[1; 32], [2; 32]]);
    assert!(sessions::of_person(&state, "r|x", 10, at(1)).await.unwrap().is_empty());
    assert!(find(&state, &[3; 32]).await.unwrap().is_some());
    assert_eq!(sessions::purge(&state, at(3)).await.unwrap(), 2);
    assert!(find(&state, &[3; 32]).await.unwrap().is_some());
}

#[tokio::test]
async fn nothing_in_the_file_names_the_person_and_a_row_moved_to_another_id_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&testing::url(folder.path()), testing::key()).await.unwrap();
    sign_ins::begin(&state, &sign_in(1)).await.unwrap();
    finish(&state, &[message("_a")], &session(1, "riverton|det.ruiz"), None).await.unwrap();
    finish(&state, &[message("_b")], &session(2, "r|y"), None).await.unwrap();
    testing::run(
        &state,
        "UPDATE sessions SET sealed = (SELECT sealed FROM sessions WHERE id LIKE '01%') \
         WHERE id LIKE '02%'",
    )
    .await
    .unwrap();
    let error = find(&state, &[2; 32]).await.unwrap_err();
    assert_eq!(error.to_string(), "could not open the sealed column of a row of `sessions`");
    state.close().await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for marker in ["Ruiz", "det.ruiz", "detective", "_q7f3e91", "/tools"] {
            let found = bytes.windows(marker.len()).any(|window| window == marker.as_bytes());
            assert!(!found, "`{marker}` is in the clear");
        }
    }
}

#[tokio::test]
async fn another_key_opens_the_database_and_none_of_its_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let url = testing::url(folder.path());
    let state = State::open(&url, testing::key()).await.unwrap();
    finish(&state, &[message("_a")], &session(1, "r|x"), None).await.unwrap();
    state.close().await.unwrap();
    let other = keys::seal::SealingKey::from_bytes([8; 32]);
    let state = State::open(&url, other).await.unwrap();
    let error = find(&state, &[1; 32]).await.unwrap_err();
    assert!(matches!(error, StateError::Unseal { table: "sessions", .. }), "{error}");
}

/// Every write of `finish`, failing in turn, leaves neither a used message nor a session nor an ended one.
#[tokio::test]
async fn each_write_of_a_sign_in_failing_in_turn_leaves_nothing_half_done() {
    for (table, verb) in
        [("used_messages", "INSERT"), ("sessions", "UPDATE"), ("sessions", "INSERT")]
    {
        let state = memory().await;
        finish(&state, &[message("_a")], &session(1, "r|x"), None).await.unwrap();
        testing::break_writes(&state, table, verb).await.unwrap();
        let new = session(2, "r|x");
        let error = finish(&state, &[message("_b")], &new, Some(&[1; 32])).await.unwrap_err();
        assert_eq!(error.trouble(), Some(Trouble::Other), "{table} {verb}: {error}");
        assert!(find(&state, &[1; 32]).await.unwrap().is_some(), "{table} {verb}");
        assert!(find(&state, &[2; 32]).await.unwrap().is_none(), "{table} {verb}");
        assert_eq!(testing::count(&state, "used_messages").await.unwrap(), 1, "{table} {verb}");
        testing::mend_writes(&state, table, verb).await.unwrap();
        let outcome = finish(&state, &[message("_b")], &new, Some(&[1; 32])).await;
        assert_eq!(outcome.unwrap(), begun(), "it works again when it can");
    }
}

#[tokio::test]
async fn a_sign_in_that_can_not_be_marked_as_used_is_not_taken() {
    let state = memory().await;
    sign_ins::begin(&state, &sign_in(1)).await.unwrap();
    testing::break_writes(&state, "sign_ins", "UPDATE").await.unwrap();
    let error = sign_ins::take(&state, &[1; 32], at(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "could not take up a sign-in");
    testing::mend_writes(&state, "sign_ins", "UPDATE").await.unwrap();
    assert!(matches!(sign_ins::take(&state, &[1; 32], at(1)).await.unwrap(), Taken::Once { .. }));
    testing::break_writes(&state, "sign_ins", "INSERT").await.unwrap();
    let error = sign_ins::begin(&state, &sign_in(2)).await.unwrap_err();
    assert_eq!(error.to_string(), "could not begin a sign-in");
    assert_eq!(testing::count(&state, "sign_ins").await.unwrap(), 1);
}

#[tokio::test]
async fn ending_all_sessions_ends_all_or_none() {
    let state = memory().await;
    for id in [1, 2] {
        let used = message(&format!("_a{id}"));
        finish(&state, &[used], &session(id, "r|x"), None).await.unwrap();
    }
    testing::run(
        &state,
        "CREATE TRIGGER second BEFORE UPDATE ON sessions WHEN OLD.id LIKE '02%' \
         BEGIN SELECT RAISE(ABORT, 'broken by a test'); END",
    )
    .await
    .unwrap();
    assert!(
        accounts::end_sessions(&state, Of::Account(AccountId::of("r|x")), "revoked", at(2))
            .await
            .is_err()
    );
    assert_eq!(sessions::of_person(&state, "r|x", 10, at(1)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_read_only_database_answers_reads_and_says_why_it_takes_no_writes() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&testing::url(folder.path()), testing::key()).await.unwrap();
    finish(&state, &[message("_a")], &session(1, "r|x"), None).await.unwrap();
    state.close().await.unwrap();
    let url = testing::read_only_url(folder.path());
    let state = State::open(&url, testing::key()).await.unwrap();
    assert!(find(&state, &[1; 32]).await.unwrap().is_some());
    let error = sessions::end(&state, &[1; 32], "signed-out", at(2)).await.unwrap_err();
    assert_eq!(error.trouble(), Some(Trouble::ReadOnly), "{error:?}");
    let error = sign_ins::begin(&state, &sign_in(1)).await.unwrap_err();
    assert_eq!(error.trouble(), Some(Trouble::ReadOnly), "{error:?}");
    assert!(find(&state, &[1; 32]).await.unwrap().is_some());
}

#[tokio::test]
async fn a_full_disk_refuses_the_write_says_so_and_works_again_with_room() {
    let folder = tempfile::tempdir().unwrap();
    let url = testing::url(folder.path());
    State::open(&url, testing::key()).await.unwrap().close().await.unwrap();
    let state = testing::open_full(&url).await.unwrap();
    let mut kept = 0;
    let error = loop {
        let used = message(&format!("_a{kept}"));
        match finish(&state, &[used], &session(kept, "r|x"), None).await {
            Ok(outcome) => assert_eq!(outcome, begun()),
            Err(error) => break error,
        }
        kept += 1;
    };
    assert_eq!(error.trouble(), Some(Trouble::NoRoom), "{error:?}");
    assert_eq!(testing::count(&state, "sessions").await.unwrap(), i64::from(kept));
    assert_eq!(testing::count(&state, "used_messages").await.unwrap(), i64::from(kept));
    state.close().await.unwrap();
    let state = State::open(&url, testing::key()).await.unwrap();
    let used = message(&format!("_a{kept}"));
    let outcome = finish(&state, &[used], &session(kept, "r|x"), None).await.unwrap();
    assert_eq!(outcome, begun());
}

#[tokio::test]
async fn a_message_without_a_session_is_noted_once_or_not_at_all() {
    let state = memory().await;
    let used = async |id: &str| sign_ins::was_used(&state, &message(id)).await.unwrap();
    sign_ins::note_used(&state, &message("_l"), at(1)).await.unwrap();
    sign_ins::note_used(&state, &message("_l"), at(2)).await.unwrap();
    assert!(used("_l").await && !used("_m").await);
    sign_ins::note_used(&state, &message("_n"), at(7)).await.unwrap();
    assert!(!used("_l").await, "nobody would accept it any more");
    testing::break_writes(&state, "used_messages", "INSERT").await.unwrap();
    sign_ins::note_used(&state, &message("_m"), at(1)).await.unwrap_err();
    assert!(!used("_m").await);
}
