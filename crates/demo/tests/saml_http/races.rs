//! A directory puts somebody out while they sign in, with a pause of the sign-in at each of its steps.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use http::Method;
use keys::{KeysError, Random, SystemRandom};
use ledger::{Event, Record};
use serde_json::json;
use state::accounts::{AccountId, Of};

use crate::common::{Layout, now, signed};
use crate::scim::{Stage, stage_by};
use crate::stage::{Home, response, set_cookie};

/// Longest pause: should nobody let it go on, the test is to end all the same.
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// Randomness that stops whoever asks for it the n-th time from now on. A sign-in asks for the session's token
/// after it has read the account, and for the token of its forms before it begins the session.
#[derive(Default)]
struct Stopping {
    /// How many more times; none when 0.
    at: AtomicUsize,
    stands: Mutex<bool>,
    changed: Condvar,
}

impl Random for Stopping {
    fn fill(&self, out: &mut [u8]) -> Result<(), KeysError> {
        // The ledger's own thread asks too, and who stops that stops everybody.
        let thread = std::thread::current();
        let of_a_request = thread.name().is_some_and(|name| name.starts_with("tokio"));
        if !of_a_request || out.len() != 32 {
            return SystemRandom.fill(out);
        }
        let less = |at: usize| at.checked_sub(1);
        let counted = self.at.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        if counted == Ok(1) {
            let mut stands = self.stands.lock().unwrap();
            *stands = true;
            self.changed.notify_all();
            drop(self.changed.wait_timeout_while(stands, PAUSE_MAX, |stands| *stands).unwrap());
        }
        SystemRandom.fill(out)
    }
}

impl Stopping {
    fn stop_at(&self, at: usize) {
        self.at.store(at, Ordering::SeqCst);
    }

    /// Waits until somebody stands.
    fn wait(&self) {
        let stands = self.stands.lock().unwrap();
        let waited = self.changed.wait_timeout_while(stands, PAUSE_MAX, |stands| !*stands);
        assert!(*waited.unwrap().0, "nobody came by");
    }

    fn go_on(&self) {
        *self.stands.lock().unwrap() = false;
        self.changed.notify_all();
    }
}

/// How somebody is put out.
#[derive(Debug, Clone, Copy)]
enum Way {
    Deactivated,
    Deleted,
    WithoutGroup,
}

/// Somebody who is in, and how they are put out of the directory.
async fn put_out(stage: &Stage, way: Way, id: &str, group: &str) {
    match way {
        Way::Deactivated => stage.set_active(id, json!(false)).await,
        Way::Deleted => {
            assert_eq!(stage.ask(Method::DELETE, &format!("/Users/{id}"), None).await.0, 204);
        }
        Way::WithoutGroup => {
            let path = format!("members[value eq \"{id}\"]");
            let operations = json!([{ "op": "remove", "path": path }]);
            assert_eq!(stage.patch(&format!("/Groups/{group}"), operations).await.0, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_is_put_out_at_any_step_of_a_sign_in_is_out() {
    for way in [Way::Deactivated, Way::WithoutGroup, Way::Deleted] {
        let home = Home::new();
        let stopping = Arc::new(Stopping::default());
        let stage = stage_by(&home, "", stopping.clone()).await;
        let id = stage.person("det.ruiz").await;
        let group = stage.group("detective", &[&id]).await;
        let back = async || match way {
            Way::Deactivated => stage.set_active(&id, json!(true)).await,
            Way::WithoutGroup => {
                let member =
                    json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]);
                assert_eq!(stage.patch(&format!("/Groups/{group}"), member).await.0, 200);
            }
            Way::Deleted => unreachable!("who is deleted stays so"),
        };
        // Who is deleted is so once: then only the step that matters most.
        let steps: &[usize] = if matches!(way, Way::Deleted) { &[1] } else { &[0, 1, 2, 3] };
        for (n, step) in (1..).zip(steps) {
            let begun = stage.agency.begin("riverton").await;
            let xml = signed(&response(&begun, n, now()), Layout::Assertion);
            let page = match step {
                // Before the provider has answered; or after the browser has its session.
                0 => {
                    put_out(&stage, way, &id, &group).await;
                    stage.agency.answer(&begun, xml.as_bytes()).await
                }
                3 => {
                    let page = stage.agency.answer(&begun, xml.as_bytes()).await;
                    put_out(&stage, way, &id, &group).await;
                    assert_eq!(page.status, 303, "{way:?}");
                    page
                }
                _ => {
                    stopping.stop_at(*step);
                    let answering = stage.agency.answer(&begun, xml.as_bytes());
                    let putting_out = async {
                        let waiting = stopping.clone();
                        tokio::task::spawn_blocking(move || waiting.wait()).await.unwrap();
                        put_out(&stage, way, &id, &group).await;
                        stopping.go_on();
                    };
                    tokio::join!(answering, putting_out).0
                }
            };
            if page.status == 303 {
                let cookie = set_cookie(&page, "__Host-sid");
                assert_eq!(stage.status(&cookie).await, 401, "{way:?} at step {step}");
            } else {
                assert_eq!(page.status, 403, "{way:?} at step {step}");
                let refusal = stage.refusal();
                assert!(refusal.starts_with("authz."), "{way:?} at step {step}: {refusal}");
            }
            if !matches!(way, Way::Deleted) {
                back().await;
            }
        }
        stage.agency.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_put_out_is_out_of_the_sign_in_that_they_had_begun_and_may_begin_another() {
    let home = Home::new();
    let agency = home.start("").await;
    let cookie = agency.sign_in_as("det.ruiz", "detective", 1).await;
    let account = AccountId::of("riverton|det.ruiz");
    let begun = agency.begin("riverton").await;
    let answer = signed(&response(&begun, 2, agency.server.agency.now()), Layout::Assertion);
    let (record, of) = (&Record::platform, Of::Account(account));
    let ended = agency.server.agency.end_sessions(record, of, "all of them", "a lost laptop").await;
    assert_eq!(ended.unwrap().sessions.len(), 1);
    assert_eq!(agency.get("/me", &cookie).await.status, 401);

    let page = agency.answer(&begun, answer.as_bytes()).await;
    assert_eq!(page.status, 403, "{}", page.text());
    let (_, refused) = agency.newest();
    let expected = Event::SignInRefused { idp: "riverton".into(), reason: "authz.put_out".into() };
    assert_eq!(refused, expected);
    agency.sign_in_as("det.ruiz", "detective", 3).await;
    agency.stop().await;
}
