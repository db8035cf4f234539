//! Stories of job functions at sign-in: a provider that says nothing of them, one that says "none", and one that
//! says others than before.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine;
use identity::{
    AccountNote, Activity, Answer, Browser, Identity, IdentityError, IdpSettings, SignedIn,
};
use jiff::{SignedDuration, Timestamp};
use keys::SystemRandom;
use state::accounts::{self, AccountId};
use state::{State, testing};

use crate::common::{Layout, Notes, idp, now, response_for, signed};
use crate::sign_in::settings;

/// The whole attribute, as the provider sends it as a rule.
const SAID: &str = "<saml:Attribute Name=\"functions\"><saml:AttributeValue>detective\
                    </saml:AttributeValue></saml:Attribute>";

struct Stage {
    state: State,
    identity: Identity,
    notes: Arc<Notes>,
}

async fn stage(idp: IdpSettings) -> Stage {
    let state = State::open("sqlite::memory:", testing::key()).await.unwrap();
    let identity = Identity::new(state.clone(), settings(), vec![idp], Arc::new(SystemRandom));
    let notes = Arc::new(Notes::default());
    let identity = identity.unwrap().with_recorder(notes.clone());
    Stage { state, identity, notes }
}

fn attribute(functions: &[&str]) -> String {
    let values = functions.iter();
    let values: String =
        values.map(|one| format!("<saml:AttributeValue>{one}</saml:AttributeValue>")).collect();
    format!("<saml:Attribute Name=\"functions\">{values}</saml:Attribute>")
}

fn minutes(n: u32) -> Timestamp {
    now() + SignedDuration::from_mins(n.into())
}

impl Stage {
    /// Signs in, `n` minutes after eight, with this instead of the attribute that names functions.
    async fn sign_in(&self, said: &str, n: u32) -> Result<SignedIn, IdentityError> {
        let at = minutes(n);
        let started = self.identity.start_sign_in("riverton", "/", at).await.unwrap();
        self.answer(started, said, n, at).await
    }

    async fn answer(
        &self,
        started: identity::Started,
        said: &str,
        n: u32,
        at: Timestamp,
    ) -> Result<SignedIn, IdentityError> {
        let (response, assertion) = (format!("_r{n}"), format!("_a{n}"));
        let xml = response_for(&started.request, at, "det.ruiz", &response, &assertion);
        assert!(xml.contains(SAID));
        let xml = signed(&xml.replace(SAID, said), Layout::Both);
        let saml_response = base64::engine::general_purpose::STANDARD.encode(xml);
        let relay_state = started.redirect.rsplit_once("RelayState=").unwrap().1;
        let answer = Answer { saml_response: &saml_response, relay_state };
        let browser = Browser { address: None, agent: None, shown: None };
        self.identity.finish_sign_in(Some(&started.prelogin), answer, &browser, at).await
    }

    async fn functions(&self) -> String {
        let id = AccountId::of("riverton|det.ruiz");
        let account = accounts::find(&self.state, id).await.unwrap();
        account.unwrap().profile.functions.join(" ")
    }

    async fn live(&self, signed_in: &SignedIn) -> bool {
        let token = signed_in.token.expose();
        self.identity.session(token, Activity::Background, minutes(9)).await.unwrap().is_some()
    }

    fn recorded(&self) -> usize {
        self.notes.taken.lock().unwrap().len()
    }
}

#[track_caller]
fn code(outcome: Result<SignedIn, IdentityError>) -> &'static str {
    match outcome {
        Ok(_) => "accepted",
        Err(IdentityError::Refused { refusal, .. }) => refusal.code,
        Err(IdentityError::Unrecorded(_)) => "unrecorded",
        Err(_) => "other",
    }
}

#[tokio::test]
async fn a_provider_that_says_nothing_of_functions_takes_none_away() {
    let stage = stage(idp()).await;
    let first = stage.sign_in(SAID, 1).await.unwrap();
    let second = stage.sign_in("", 2).await.unwrap();
    let functions: Vec<&str> =
        second.signed.actor.functions.iter().map(policy::Function::as_str).collect();
    assert_eq!(functions, ["detective"]);
    assert_eq!(stage.functions().await, "detective");
    assert!(stage.live(&first).await, "nothing has changed, so nothing ends");
    assert_eq!(stage.recorded(), 1, "the account was made, and not changed");
}

#[tokio::test]
async fn a_provider_that_says_nothing_gives_a_stranger_no_account() {
    let stage = stage(idp()).await;
    assert_eq!(code(stage.sign_in("", 1).await), "authz.not_provisioned");
    assert_eq!(testing::count(&stage.state, "accounts").await.unwrap(), 0);
}

#[tokio::test]
async fn empty_unknown_and_conflicting_functions_take_all_and_end_what_is_open() {
    for (said, expected) in [
        (attribute(&[]), "authz.not_provisioned"),
        (attribute(&[""]), "authz.not_provisioned"),
        (attribute(&["CN=Cooks"]), "authz.not_provisioned"),
        (attribute(&["administrator", "auditor"]), "authz.functions.conflict"),
    ] {
        let stage = stage(idp()).await;
        let open = stage.sign_in(SAID, 1).await.unwrap();
        assert_eq!(code(stage.sign_in(&said, 2).await), expected, "{said}");
        assert_eq!(stage.functions().await, "", "{said}");
        assert!(!stage.live(&open).await, "{said}: a change of functions ends the session (IA-11)");
        let taken = stage.notes.taken.lock().unwrap();
        let Some(AccountNote::Changed { before, after }) = taken.last() else {
            unreachable!("the change is on record: {taken:?}")
        };
        assert_eq!(before.profile.functions, ["detective"]);
        assert!(after.profile.functions.is_empty());
    }
}

#[tokio::test]
async fn other_functions_end_every_older_session_and_are_those_of_the_new_one() {
    let stage = stage(idp()).await;
    let first = stage.sign_in(SAID, 1).await.unwrap();
    let second = stage.sign_in(&attribute(&["detective", "supervisor"]), 2).await.unwrap();
    assert!(!stage.live(&first).await);
    assert!(stage.live(&second).await);
    assert_eq!(second.signed.actor.functions.len(), 2);
    assert_eq!(stage.functions().await, "detective supervisor");
    // A step-up that brings other functions is a new session with those, and the only one.
    let at = minutes(3);
    let started = stage.identity.start_step_up(&second.signed, "/", at).await.unwrap();
    let third = stage.answer(started, &attribute(&["records-clerk"]), 3, at).await.unwrap();
    assert!(!stage.live(&second).await);
    assert_eq!(stage.functions().await, "records-clerk");
    assert!(third.signed.actor.functions.iter().all(|one| one.as_str() == "records-clerk"));
}

#[tokio::test]
async fn what_can_t_be_recorded_changes_nothing_and_lets_nobody_in() {
    let stage = stage(idp()).await;
    let open = stage.sign_in(SAID, 1).await.unwrap();
    stage.notes.broken.store(true, Ordering::SeqCst);
    for (n, said) in [(2, attribute(&[])), (3, attribute(&["supervisor"]))] {
        assert_eq!(code(stage.sign_in(&said, n).await), "unrecorded", "{said}");
        assert_eq!(stage.functions().await, "detective", "{said}");
        assert!(stage.live(&open).await, "{said}");
    }
}

#[tokio::test]
async fn where_the_account_decides_the_providers_word_counts_for_nothing() {
    let mut idp = idp();
    idp.accounts.functions_from_account = true;
    idp.accounts.create = true;
    let stage = stage(idp).await;
    let first = stage.sign_in(SAID, 1).await.unwrap();
    for (n, said) in [(2, attribute(&[])), (3, attribute(&["administrator"])), (4, String::new())] {
        let again = stage.sign_in(&said, n).await.unwrap();
        assert!(again.signed.actor.functions.iter().all(|one| one.as_str() == "detective"));
    }
    assert!(stage.live(&first).await);
    assert_eq!(stage.functions().await, "detective");
}
