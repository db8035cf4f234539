//! Stories of sign-ins, step-ups and sessions, with the provider's real signatures and a real database;
//! and what happens when a write fails on the way.

use std::sync::Arc;

use base64::Engine;
use identity::{
    Activity, Answer, Browser, Identity, IdentityError, Lookup, SessionLimits, Settings, Signed,
    SignedIn, Started,
};
use jiff::{SignedDuration, Timestamp};
use keys::{KeysError, Random, SystemRandom};
use state::{State, testing};

use crate::common::{Layout, now, response_for, signed};

struct Stage {
    state: State,
    identity: Identity,
}

pub(crate) fn settings() -> Settings {
    Settings {
        entity_id: crate::common::SP.into(),
        acs_url: crate::common::ACS.into(),
        slo_url: crate::common::SLO.into(),
        limits: SessionLimits::CJIS,
    }
}

async fn stage() -> Stage {
    let state = State::open("sqlite::memory:", testing::key()).await.unwrap();
    let idps = vec![crate::common::idp()];
    let identity = Identity::new(state.clone(), settings(), idps, Arc::new(SystemRandom)).unwrap();
    let identity = identity.with_recorder(Arc::new(crate::common::Notes::default()));
    Stage { state, identity }
}

fn minutes(n: i64) -> Timestamp {
    now() + SignedDuration::from_mins(n)
}

fn browser() -> Browser {
    Browser { address: Some("127.0.0.1".into()), agent: Some("test".into()), shown: None }
}

/// The RelayState that the provider was given.
fn relay(started: &Started) -> String {
    started.redirect.rsplit_once("RelayState=").unwrap().1.to_owned()
}

/// What the provider answers.
fn answered(started: &Started, at: Timestamp, person: &str, n: u32) -> String {
    let xml = response_for(&started.request, at, person, &format!("_r{n}"), &format!("_a{n}"));
    base64::engine::general_purpose::STANDARD.encode(signed(&xml, Layout::Both))
}

impl Stage {
    async fn finish(
        &self,
        started: &Started,
        answer: &str,
        at: Timestamp,
    ) -> Result<SignedIn, IdentityError> {
        let relay_state = relay(started);
        let answer = Answer { saml_response: answer, relay_state: &relay_state };
        self.identity.finish_sign_in(Some(&started.prelogin), answer, &browser(), at).await
    }

    async fn sign_in(&self, person: &str, n: u32, at: Timestamp) -> SignedIn {
        let started = self.identity.start_sign_in("riverton", "/tools", at).await.unwrap();
        let answer = answered(&started, at, person, n);
        self.finish(&started, &answer, at).await.unwrap()
    }

    async fn step_up(
        &self,
        signed: &Signed,
        person: &str,
        n: u32,
        at: Timestamp,
    ) -> Result<SignedIn, IdentityError> {
        let started = self.identity.start_step_up(signed, "/exports/1", at).await.unwrap();
        let answer = answered(&started, at, person, n);
        self.finish(&started, &answer, at).await
    }

    async fn live(&self, token: &str, at: Timestamp) -> bool {
        self.identity.session(token, Activity::Background, at).await.unwrap().is_some()
    }
}

#[track_caller]
fn code(outcome: Result<SignedIn, IdentityError>) -> &'static str {
    match outcome {
        Ok(_) => "accepted",
        Err(IdentityError::Refused { refusal, .. }) => refusal.code,
        Err(IdentityError::State(_)) => "state",
        Err(IdentityError::Random(_)) => "random",
        Err(_) => "other",
    }
}

#[tokio::test]
async fn a_detective_signs_in_works_and_signs_out() {
    let stage = stage().await;
    let signed_in = stage.sign_in("det.ruiz", 1, now()).await;
    assert_eq!(signed_in.return_to, "/tools");
    assert_eq!(signed_in.stepped_up_from, None);
    let token = signed_in.token.expose().to_owned();
    assert_eq!(token.len(), 43);
    let signed =
        stage.identity.session(&token, Activity::Person, minutes(1)).await.unwrap().unwrap();
    assert_eq!(signed.actor.id.as_str(), "riverton|det.ruiz");
    assert_eq!(signed.actor.name, "Ruiz, Ana");
    assert_eq!(signed.actor.agency.as_str(), "NB0010100");
    let functions: Vec<&str> = signed.actor.functions.iter().map(|f| f.as_str()).collect();
    assert_eq!(functions, ["detective"]);
    assert!(signed.actor.assurance.mfa);
    assert_eq!(signed.actor.assurance.context, crate::common::MFA);
    assert_eq!(signed.actor.assurance.authenticated_at, now());
    assert_eq!(signed.actor.assurance.stepped_up_at, None);
    assert_eq!(signed.session.prefix().len(), 16);
    assert!(!format!("{signed:?} {signed_in:?}").contains(&token));

    let session = &signed.session;
    assert!(!session.accepted("notice-1"));
    assert!(stage.identity.accept_notice(session, "notice-1", minutes(1)).await.unwrap());
    let signed =
        stage.identity.session(&token, Activity::Person, minutes(1)).await.unwrap().unwrap();
    assert!(signed.session.accepted("notice-1"));
    assert!(!signed.session.accepted("notice-2"), "a new notice is shown anew");

    let csrf = signed.session.csrf_token();
    assert!(signed.session.csrf_matches(&csrf));
    assert!(!signed.session.csrf_matches(""));
    assert!(!signed.session.csrf_matches(&csrf.replace(csrf.chars().next().unwrap(), "_")));

    assert!(stage.identity.sign_out(&token, minutes(2)).await.unwrap());
    assert!(!stage.identity.sign_out(&token, minutes(2)).await.unwrap());
    let lookup = stage.identity.lookup(&token, Activity::Person, minutes(3)).await.unwrap();
    assert!(matches!(lookup, Lookup::Ended { reason } if reason == "signed-out"));
}

#[tokio::test]
async fn two_sessions_share_neither_token_nor_csrf_secret() {
    let stage = stage().await;
    let (a, b) =
        (stage.sign_in("det.ruiz", 1, now()).await, stage.sign_in("det.ruiz", 2, now()).await);
    assert_ne!(a.token.expose(), b.token.expose());
    assert!(!b.signed.session.csrf_matches(&a.signed.session.csrf_token()));
    let list = stage
        .identity
        .sessions_of(&a.signed.actor.id, Some(&a.signed.session), minutes(1))
        .await
        .unwrap();
    let current: Vec<bool> = list.iter().map(|summary| summary.current).collect();
    assert_eq!(current.iter().filter(|current| **current).count(), 1);
    assert_eq!(current.len(), 2);
    let identity = &stage.identity;
    assert!(identity.sign_out(a.token.expose(), minutes(1)).await.unwrap());
    assert!(!stage.live(a.token.expose(), minutes(1)).await);
    assert!(stage.live(b.token.expose(), minutes(1)).await);
    assert_eq!(identity.end_all(&a.signed.actor.id, "revoked", minutes(1)).await.unwrap(), 1);
    assert!(!stage.live(b.token.expose(), minutes(1)).await);
}

#[tokio::test]
async fn a_replayed_answer_is_refused_whichever_way_it_comes() {
    let stage = stage().await;
    let started = stage.identity.start_sign_in("riverton", "/", now()).await.unwrap();
    let answer = answered(&started, now(), "det.ruiz", 1);
    assert_eq!(code(stage.finish(&started, &answer, now()).await), "accepted");
    // Posted again by the same browser.
    assert_eq!(code(stage.finish(&started, &answer, now()).await), "saml.request.replayed");
    // Posted into another sign-in.
    let other = stage.identity.start_sign_in("riverton", "/", now()).await.unwrap();
    assert_eq!(code(stage.finish(&other, &answer, now()).await), "saml.inresponseto");
    // A fresh answer that carries an assertion ID that was used.
    let other = stage.identity.start_sign_in("riverton", "/", now()).await.unwrap();
    let reused = answered(&other, now(), "det.ruiz", 1);
    assert_eq!(code(stage.finish(&other, &reused, now()).await), "saml.replay");
    assert_eq!(testing::count(&stage.state, "sessions").await.unwrap(), 1);
}

#[tokio::test]
async fn an_answer_counts_only_in_the_browser_that_asked_and_only_in_time() {
    let stage = stage().await;
    let identity = &stage.identity;
    let started = identity.start_sign_in("riverton", "/", now()).await.unwrap();
    let answer = answered(&started, now(), "det.ruiz", 1);
    let relay_state = relay(&started);
    let form = Answer { saml_response: &answer, relay_state: &relay_state };
    for prelogin in [None, Some(""), Some("x"), Some(&*"A".repeat(43))] {
        let outcome = identity.finish_sign_in(prelogin, form, &browser(), now()).await;
        assert_eq!(code(outcome), "saml.request.unknown");
    }
    // Another browser's sign-in: the relay state does not fit, and that sign-in is used up.
    let other = identity.start_sign_in("riverton", "/", now()).await.unwrap();
    let outcome = identity.finish_sign_in(Some(&other.prelogin), form, &browser(), now()).await;
    assert_eq!(code(outcome), "saml.request.unknown");
    let theirs = answered(&other, now(), "det.ruiz", 2);
    assert_eq!(code(stage.finish(&other, &theirs, now()).await), "saml.request.replayed");
    // The first is untouched, and too late after ten minutes.
    let late = minutes(10) + SignedDuration::from_secs(1);
    assert_eq!(code(stage.finish(&started, &answer, late).await), "saml.request.expired");
    assert_eq!(code(stage.finish(&started, &answer, now()).await), "saml.request.replayed");
    let unknown = identity.start_sign_in("elsewhere", "/", now()).await;
    assert!(matches!(unknown, Err(IdentityError::UnknownProvider)));
}

#[tokio::test]
async fn a_refused_answer_uses_up_the_sign_in() {
    let stage = stage().await;
    let started = stage.identity.start_sign_in("riverton", "/", now()).await.unwrap();
    let bad = answered(&started, now(), "det ruiz", 1);
    assert_eq!(code(stage.finish(&started, &bad, now()).await), "saml.nameid");
    let good = answered(&started, now(), "det.ruiz", 2);
    assert_eq!(code(stage.finish(&started, &good, now()).await), "saml.request.replayed");
}

#[tokio::test]
async fn a_session_ends_when_idle_when_old_and_when_the_provider_says_so() {
    let stage = stage().await;
    let token = stage.sign_in("det.ruiz", 1, now()).await.token;
    assert!(stage.live(token.expose(), minutes(29)).await);
    let lookup =
        stage.identity.lookup(token.expose(), Activity::Person, minutes(30)).await.unwrap();
    let Lookup::Expired { signed, reason } = lookup else { unreachable!("{lookup:?}") };
    assert_eq!((reason, signed.actor.id.as_str()), ("idle", "riverton|det.ruiz"));
    let lookup =
        stage.identity.lookup(token.expose(), Activity::Person, minutes(30)).await.unwrap();
    assert!(matches!(lookup, Lookup::Ended { reason } if reason == "idle"), "said once");

    // The provider's session lasts eight hours in these responses, which is less than twelve.
    let token = stage.sign_in("det.ruiz", 2, now()).await.token;
    for minute in (0..480).step_by(20) {
        let found = stage.identity.session(token.expose(), Activity::Person, minutes(minute)).await;
        assert!(found.unwrap().is_some(), "minute {minute}");
    }
    let lookup =
        stage.identity.lookup(token.expose(), Activity::Person, minutes(480)).await.unwrap();
    assert!(matches!(lookup, Lookup::Expired { reason: "absolute", .. }), "{lookup:?}");
}

#[tokio::test]
async fn twelve_hours_after_the_authentication_it_is_over() {
    let stage = stage().await;
    let started = stage.identity.start_sign_in("riverton", "/", now()).await.unwrap();
    // The person had been authenticated eleven hours ago; the provider sets no end.
    let xml = response_for(&started.request, now(), "det.ruiz", "_r1", "_a1")
        .replace(" SessionNotOnOrAfter=\"2026-11-22T16:00:00Z\"", "")
        .replace("AuthnInstant=\"2026-11-22T08:00:00Z\"", "AuthnInstant=\"2026-11-21T21:00:00Z\"");
    let answer = base64::engine::general_purpose::STANDARD.encode(signed(&xml, Layout::Both));
    let token = stage.finish(&started, &answer, now()).await.unwrap().token;
    for minute in [25, 50] {
        let found = stage.identity.session(token.expose(), Activity::Person, minutes(minute)).await;
        assert!(found.unwrap().is_some());
    }
    let lookup =
        stage.identity.lookup(token.expose(), Activity::Person, minutes(60)).await.unwrap();
    assert!(matches!(lookup, Lookup::Expired { reason: "absolute", .. }), "{lookup:?}");
}

#[tokio::test]
async fn polling_keeps_no_session_alive_and_activity_is_written_once_a_minute() {
    let stage = stage().await;
    let token = stage.sign_in("det.ruiz", 1, now()).await.token;
    for minute in 1..30 {
        assert!(stage.live(token.expose(), minutes(minute)).await);
    }
    assert!(!stage.live(token.expose(), minutes(30)).await, "polled all the time");

    let token = stage.sign_in("det.ruiz", 2, now()).await.token;
    testing::break_writes(&stage.state, "sessions", "UPDATE").await.unwrap();
    let soon = now() + SignedDuration::from_secs(59);
    let found = stage.identity.session(token.expose(), Activity::Person, soon).await;
    assert!(found.unwrap().is_some(), "nothing is written within a minute");
    let failed = stage.identity.session(token.expose(), Activity::Person, minutes(1)).await;
    assert!(matches!(failed, Err(IdentityError::State(_))), "then it is");
    testing::mend_writes(&stage.state, "sessions", "UPDATE").await.unwrap();
    stage.identity.session(token.expose(), Activity::Person, minutes(29)).await.unwrap().unwrap();
    assert!(stage.live(token.expose(), minutes(58)).await);
    assert!(!stage.live(token.expose(), minutes(59)).await);
}

#[tokio::test]
async fn a_step_up_gives_a_new_token_for_five_minutes_and_kills_the_old_one() {
    let stage = stage().await;
    let first = stage.sign_in("det.ruiz", 1, now()).await;
    stage.identity.accept_notice(&first.signed.session, "notice-1", now()).await.unwrap();
    let found = stage.identity.session(first.token.expose(), Activity::Person, minutes(5)).await;
    let before = found.unwrap().unwrap();
    assert!(!before.session.is_stepped_up(minutes(5)));
    let second = stage.step_up(&before, "det.ruiz", 2, minutes(6)).await.unwrap();
    assert_eq!(second.return_to, "/exports/1");
    assert_eq!(second.stepped_up_from, Some(before.session.prefix()));
    assert_eq!(second.signed.actor.assurance.stepped_up_at, Some(minutes(6)));
    assert_eq!(second.signed.actor.assurance.authenticated_at, minutes(6));
    assert_ne!(second.token.expose(), first.token.expose());
    assert!(!second.signed.session.csrf_matches(&before.session.csrf_token()));
    let old =
        stage.identity.lookup(first.token.expose(), Activity::Person, minutes(6)).await.unwrap();
    assert!(matches!(old, Lookup::Ended { reason } if reason == "stepped-up"));
    let found = stage.identity.session(second.token.expose(), Activity::Person, minutes(11)).await;
    let session = found.unwrap().unwrap().session;
    assert!(session.accepted("notice-1"), "the notice was accepted in this sitting");
    assert!(session.is_stepped_up(minutes(11)));
    assert!(!session.is_stepped_up(minutes(11) + SignedDuration::from_secs(1)));
}

#[tokio::test]
async fn a_step_up_needs_a_new_authentication() {
    let stage = stage().await;
    let first = stage.sign_in("det.ruiz", 1, now()).await;
    let started = stage.identity.start_step_up(&first.signed, "/", minutes(3)).await.unwrap();
    assert!(started.redirect.contains("SAMLRequest="));
    // The provider answers from its own session, three minutes old.
    let xml = response_for(&started.request, minutes(3), "det.ruiz", "_r2", "_a2")
        .replace("AuthnInstant=\"2026-11-22T08:03:00Z\"", "AuthnInstant=\"2026-11-22T08:00:00Z\"");
    let answer = base64::engine::general_purpose::STANDARD.encode(signed(&xml, Layout::Both));
    assert_eq!(code(stage.finish(&started, &answer, minutes(3)).await), "saml.authn.stale");
    assert!(stage.live(first.token.expose(), minutes(3)).await, "the old session is as it was");
}

#[tokio::test]
async fn a_step_up_by_another_person_ends_the_session() {
    let stage = stage().await;
    let first = stage.sign_in("det.ruiz", 1, now()).await;
    let outcome = stage.step_up(&first.signed, "sgt.okafor", 2, minutes(1)).await;
    assert_eq!(code(outcome), "saml.stepup.person");
    let old =
        stage.identity.lookup(first.token.expose(), Activity::Person, minutes(1)).await.unwrap();
    assert!(matches!(old, Lookup::Ended { reason } if reason == "stepped-up-as-another"));
}

#[tokio::test]
async fn a_session_that_is_over_is_not_stepped_up() {
    let stage = stage().await;
    let first = stage.sign_in("det.ruiz", 1, now()).await;
    let started = stage.identity.start_step_up(&first.signed, "/", minutes(1)).await.unwrap();
    stage.identity.sign_out(first.token.expose(), minutes(2)).await.unwrap();
    let answer = answered(&started, minutes(2), "det.ruiz", 2);
    assert_eq!(code(stage.finish(&started, &answer, minutes(2)).await), "saml.stepup.session");
    assert_eq!(testing::count(&stage.state, "sessions").await.unwrap(), 1);
}

#[tokio::test]
async fn functions_and_agency_decide_whether_there_is_an_account() {
    let state = State::open("sqlite::memory:", testing::key()).await.unwrap();
    let mut idp = crate::common::idp();
    idp.agency_attribute = Some("agency".into());
    let identity =
        Identity::new(state.clone(), settings(), vec![idp], Arc::new(SystemRandom)).unwrap();
    let identity = identity.with_recorder(Arc::new(crate::common::Notes::default()));
    let stage = Stage { state, identity };
    let agency = |ori: &str| {
        format!(
            "<saml:AttributeStatement><saml:Attribute Name=\"agency\"><saml:AttributeValue>{ori}\
             </saml:AttributeValue></saml:Attribute>"
        )
    };
    let ours = agency("NB0010100");
    let auditor = "detective</saml:AttributeValue><saml:AttributeValue>auditor";
    for (n, (agency, function, expected)) in (1..).zip([
        (ours.clone(), "detective", "accepted"),
        (agency("NB0020000"), "detective", "authz.agency"),
        ("<saml:AttributeStatement>".to_owned(), "detective", "authz.agency"),
        (ours.clone(), "janitor", "authz.not_provisioned"),
        (ours.clone(), auditor, "authz.functions.conflict"),
    ]) {
        let started = stage.identity.start_sign_in("riverton", "/", now()).await.unwrap();
        let xml =
            response_for(&started.request, now(), "det.ruiz", &format!("_r{n}"), &format!("_a{n}"))
                .replace("<saml:AttributeStatement>", &agency)
                .replace("detective", function);
        let answer = base64::engine::general_purpose::STANDARD.encode(signed(&xml, Layout::Both));
        assert_eq!(code(stage.finish(&started, &answer, now()).await), expected);
    }
}

/// Every write on the way to a session fails in turn; there is no session, and the browser gets nothing.
#[tokio::test]
async fn each_write_failing_in_turn_signs_nobody_in() {
    for (n, (table, verb)) in
        (1..).zip([("sign_ins", "UPDATE"), ("used_messages", "INSERT"), ("sessions", "INSERT")])
    {
        let stage = stage().await;
        let started = stage.identity.start_sign_in("riverton", "/", now()).await.unwrap();
        testing::break_writes(&stage.state, table, verb).await.unwrap();
        let answer = answered(&started, now(), "det.ruiz", n);
        assert_eq!(code(stage.finish(&started, &answer, now()).await), "state", "{table} {verb}");
        assert_eq!(testing::count(&stage.state, "sessions").await.unwrap(), 0);
        assert_eq!(testing::count(&stage.state, "used_messages").await.unwrap(), 0);
        testing::mend_writes(&stage.state, table, verb).await.unwrap();
        stage.sign_in("det.ruiz", 9, now()).await;
    }
    let stage = stage().await;
    testing::break_writes(&stage.state, "sign_ins", "INSERT").await.unwrap();
    let outcome = stage.identity.start_sign_in("riverton", "/", now()).await;
    assert!(matches!(outcome, Err(IdentityError::State(_))));
}

#[tokio::test]
async fn a_session_that_can_not_be_ended_or_read_lets_nobody_in() {
    let stage = stage().await;
    let first = stage.sign_in("det.ruiz", 1, now()).await;
    testing::break_writes(&stage.state, "sessions", "UPDATE").await.unwrap();
    let token = first.token.expose();
    assert!(stage.identity.sign_out(token, minutes(1)).await.is_err());
    let expired = stage.identity.lookup(token, Activity::Person, minutes(30)).await;
    assert!(matches!(expired, Err(IdentityError::State(_))), "too old, though it can't be written");
    assert!(stage.identity.accept_notice(&first.signed.session, "n", minutes(1)).await.is_err());
    testing::mend_writes(&stage.state, "sessions", "UPDATE").await.unwrap();
    testing::run(&stage.state, "UPDATE sessions SET sealed = X'00'").await.unwrap();
    let broken = stage.identity.lookup(token, Activity::Person, minutes(1)).await;
    assert!(matches!(broken, Err(IdentityError::State(_))));
}

struct NoRandom;

impl Random for NoRandom {
    fn fill(&self, _: &mut [u8]) -> Result<(), KeysError> {
        Err(KeysError::Random)
    }
}

#[tokio::test]
async fn without_randomness_no_sign_in_begins() {
    let state = State::open("sqlite::memory:", testing::key()).await.unwrap();
    let idps = vec![crate::common::idp()];
    let identity = Identity::new(state, settings(), idps, Arc::new(NoRandom)).unwrap();
    let outcome = identity.start_sign_in("riverton", "/", now()).await;
    assert!(matches!(outcome, Err(IdentityError::Random(_))));
}

#[tokio::test]
async fn settings_laxer_than_cjis_or_incomplete_are_refused() {
    let state = State::open("sqlite::memory:", testing::key()).await.unwrap();
    let new = |limits, idps| {
        let settings = Settings { limits, ..settings() };
        Identity::new(state.clone(), settings, idps, Arc::new(SystemRandom))
            .map(|_| "fine".to_owned())
            .unwrap_or_else(|error| error.to_string())
    };
    let cjis = SessionLimits::CJIS;
    let idle = SessionLimits { idle_max: SignedDuration::from_mins(31), ..cjis };
    let text = "the idle limit of sessions is not within what CJISSECPOL allows";
    assert_eq!(new(idle, vec![]), text);
    let strict = SessionLimits { idle_max: SignedDuration::from_mins(10), ..cjis };
    assert_eq!(new(strict, vec![crate::common::idp()]), "fine");
    let zero = SessionLimits { step_up_max: SignedDuration::ZERO, ..cjis };
    assert_eq!(
        new(zero, vec![]),
        "the step-up limit of sessions is not within what CJISSECPOL allows"
    );
    let twice = vec![crate::common::idp(), crate::common::idp()];
    let text = "identity provider `riverton`: two identity providers have this id";
    assert_eq!(new(cjis, twice), text);
    let mut weak = crate::common::idp();
    weak.mfa_contexts.clear();
    let text = "identity provider `riverton`: it has no way to state more than one factor";
    assert_eq!(new(cjis, vec![weak]), text);
}

#[tokio::test]
async fn old_sessions_are_forgotten_and_live_ones_are_not() {
    let stage = stage().await;
    let first = stage.sign_in("det.ruiz", 1, now()).await;
    stage.identity.sign_out(first.token.expose(), now()).await.unwrap();
    let tomorrow = now() + SignedDuration::from_hours(25);
    stage.sign_in("det.ruiz", 2, tomorrow).await;
    assert_eq!(stage.identity.forget_old(tomorrow).await.unwrap(), 1);
    assert_eq!(testing::count(&stage.state, "sessions").await.unwrap(), 1);
}
