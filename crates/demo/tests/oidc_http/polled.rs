//! Events that are asked for (RFC 8936), at a transmitter written from that RFC for these tests: npm and PyPI have
//! none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use ledger::{Event, Search};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::forged::{Forged, sign};

/// Longest wait for what must come.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A transmitter of RFC 8936.
#[derive(Clone, Default)]
struct Transmitter(Arc<Inside>);

#[derive(Default)]
struct Inside {
    now: Mutex<Now>,
    bell: Notify,
}

#[derive(Default)]
struct Now {
    /// Tokens that were neither acknowledged nor refused, by their names.
    waiting: BTreeMap<String, String>,
    taken: Vec<String>,
    refused: BTreeMap<String, Value>,
    /// It does not listen to acknowledgements.
    deaf: bool,
    /// What it answers in place of what it should.
    instead: Option<(StatusCode, String)>,
    requests: u32,
    authorization: Option<String>,
    /// The words that it was asked to prove its events by, and what it answers to that.
    words: Vec<String>,
    proves: Option<StatusCode>,
}

async fn answer(
    State(transmitter): State<Transmitter>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let asked: Value = serde_json::from_str(&body).unwrap();
    let hold = asked["returnImmediately"] == json!(false);
    {
        let mut now = transmitter.0.now.lock().unwrap();
        now.requests += 1;
        let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
        now.authorization = shown.map(str::to_owned);
        if let Some(instead) = &now.instead {
            return instead.clone();
        }
        for name in asked["ack"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            now.taken.push(name.to_owned());
            if !now.deaf {
                now.waiting.remove(name);
            }
        }
        for (name, error) in asked["setErrs"].as_object().into_iter().flatten() {
            now.refused.insert(name.clone(), error["err"].clone());
            now.waiting.remove(name);
        }
    }
    let rung = transmitter.0.bell.notified();
    let empty = transmitter.0.now.lock().unwrap().waiting.is_empty();
    if empty && hold {
        rung.await;
    }
    let sets = transmitter.0.now.lock().unwrap().waiting.clone();
    (StatusCode::OK, json!({"sets": sets, "moreAvailable": false}).to_string())
}

/// As SSF 1.0, 8.1.4 has it.
async fn prove(
    State(transmitter): State<Transmitter>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let asked: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(asked["stream_id"], json!("stream-1"));
    assert_eq!(headers["authorization"], "Bearer poll secret");
    let word = asked["state"].as_str().unwrap().to_owned();
    let mut now = transmitter.0.now.lock().unwrap();
    now.words.push(word);
    now.proves.unwrap_or(StatusCode::NO_CONTENT)
}

impl Transmitter {
    async fn start(port: u16) -> Self {
        let transmitter = Self::default();
        let router = Router::new().route("/poll", post(answer)).route("/prove", post(prove));
        let router = router.with_state(transmitter.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        transmitter
    }

    fn change<T>(&self, change: impl FnOnce(&mut Now) -> T) -> T {
        let changed = change(&mut self.0.now.lock().unwrap());
        self.0.bell.notify_waiters();
        changed
    }

    fn send(&self, name: &str, token: String) {
        self.change(|now| now.waiting.insert(name.to_owned(), token));
    }

    /// Waits until it is so.
    async fn until(&self, what: &str, is_so: impl Fn(&Now) -> bool) {
        let looking = async {
            while !is_so(&self.0.now.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(WAIT_MAX, looking).await.is_ok(), "{what}");
    }
}

async fn stage() -> (Forged, Transmitter) {
    stage_with(|_| String::new()).await
}

/// With these settings of the stream, given the transmitter's port.
async fn stage_with(more: impl Fn(u16) -> String) -> (Forged, Transmitter) {
    let port = testkit::free_port().unwrap();
    let transmitter = Transmitter::start(port).await;
    let settings = format!(
        "poll_url = \"http://127.0.0.1:{port}/poll\"\npoll_authorization_file = \"poll.token\"\n{}",
        more(port)
    );
    (Forged::with(&settings).await, transmitter)
}

fn events(forged: &Forged) -> Vec<Event> {
    let page = forged.server.agency.ledger.search(&Search::newest(200)).unwrap();
    page.entries.into_iter().map(|entry| entry.record.event).collect()
}

fn alerts(forged: &Forged) -> Vec<String> {
    let told = |event| match event {
        Event::ProviderAlert { what, .. } => Some(what),
        _ => None,
    };
    events(forged).into_iter().filter_map(told).collect()
}

#[expect(clippy::print_stdout, reason = "the figure is to be seen")]
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_had_at_once_acted_upon_once_and_acknowledged_after_that() {
    let (forged, transmitter) = stage().await;
    let token = |jti: &str, sub: &str| {
        let (header, claims) = forged.event_token(jti, sub);
        sign(&header, &claims)
    };
    let cookie = forged.sign_in("ruiz", "s-1").await;
    transmitter.until("it is asked", |now| now.requests > 0).await;
    let told = Instant::now();
    transmitter.send("1", token("1", "ruiz"));
    transmitter.until("1 is acknowledged", |now| now.taken.contains(&"1".to_owned())).await;
    println!("a polled session-revoked: acknowledged {} ms later", told.elapsed().as_millis());
    assert!(!forged.is_live(&cookie).await, "what is acknowledged is done");
    transmitter
        .until("a token is shown", |now| now.authorization.as_deref() == Some("Bearer poll secret"))
        .await;

    // One that did not hear the acknowledgement sends it again: it has its effect once, and is acknowledged again.
    transmitter.change(|now| now.deaf = true);
    transmitter.send("2", token("2", "ruiz"));
    transmitter.until("2 is acknowledged", |now| now.taken.contains(&"2".to_owned())).await;
    let cookie = forged.sign_in("ruiz", "s-2").await;
    let times = |now: &Now| now.taken.iter().filter(|name| *name == "2").count();
    let before = times(&transmitter.0.now.lock().unwrap());
    transmitter.until("2 is acknowledged again", |now| times(now) > before + 1).await;
    assert!(forged.is_live(&cookie).await);
    transmitter.change(|now| (now.deaf, now.waiting) = (false, BTreeMap::new()));

    // Good and bad ones in one answer: each has its own fate.
    let (header, mut claims) = forged.event_token("bad", "ruiz");
    claims["aud"] = json!("another");
    let bad = sign(&header, &claims);
    transmitter.change(|now| {
        now.waiting.insert("bad".into(), bad);
        now.waiting.insert("good".into(), token("good", "chief"));
        now.waiting.insert("named".into(), token("otherwise", "ruiz"));
        now.waiting.insert("none".into(), "x".into());
    });
    transmitter.until("all are answered", |now| now.waiting.is_empty()).await;
    let (taken, refused) = transmitter.change(|now| (now.taken.clone(), now.refused.clone()));
    assert!(taken.contains(&"good".to_owned()));
    assert_eq!(refused["bad"], json!("invalid_audience"));
    assert_eq!(refused["named"], json!("invalid_request"));
    assert_eq!(refused["none"], json!("invalid_request"));
    let refusals = events(&forged).into_iter().filter_map(|event| match event {
        Event::SignInRefused { reason, .. } => Some(reason),
        _ => None,
    });
    let mut refusals: Vec<String> = refusals.collect();
    refusals.sort();
    assert_eq!(refusals, ["ssf.aud", "ssf.jti", "ssf.malformed"]);
    assert!(forged.is_live(&cookie).await);

    assert_eq!(forged.push(&token("pushed", "ruiz")).await.status, 404, "none can be pushed");
    let stopping = Instant::now();
    forged.server.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(5), "a held request keeps nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_done_is_not_acknowledged() {
    let (forged, transmitter) = stage().await;
    let cookie = forged.sign_in("ruiz", "s-1").await;
    let state = &forged.server.agency.state;
    state::testing::break_writes(state, "sessions", "UPDATE").await.unwrap();
    let (header, claims) = forged.event_token("1", "ruiz");
    transmitter.send("1", sign(&header, &claims));
    let before = transmitter.change(|now| now.requests);
    transmitter.until("it is asked again", |now| now.requests > before + 2).await;
    let (taken, refused) = transmitter.change(|now| (now.taken.len(), now.refused.len()));
    assert_eq!((taken, refused), (0, 0));
    state::testing::mend_writes(state, "sessions", "UPDATE").await.unwrap();
    transmitter.until("1 is acknowledged", |now| now.taken.contains(&"1".to_owned())).await;
    assert!(!forged.is_live(&cookie).await);

    // A key that is not published yet is waited for, and other tokens are not kept by it.
    let (mut header, claims) = forged.event_token("new-key", "ruiz");
    header["kid"] = json!("two");
    let (good_header, good) = forged.event_token("good", "chief");
    transmitter.change(|now| {
        now.waiting.insert("new-key".into(), sign(&header, &claims));
        now.waiting.insert("good".into(), sign(&good_header, &good));
    });
    transmitter.until("good is acknowledged", |now| now.taken.contains(&"good".to_owned())).await;
    assert!(transmitter.change(|now| now.refused.is_empty()));
    forged.clock.advance(jiff::SignedDuration::from_mins(5));
    transmitter.until("it is given up", |now| now.refused.contains_key("new-key")).await;
    assert_eq!(transmitter.change(|now| now.refused["new-key"].clone()), json!("invalid_key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transmitter_that_fails_is_told_of_and_asked_ever_less_often() {
    let (forged, transmitter) = stage().await;
    let many: BTreeMap<String, &str> = (0..17).map(|n| (n.to_string(), "x")).collect();
    let down = (StatusCode::SERVICE_UNAVAILABLE, String::new());
    for instead in [
        (StatusCode::OK, json!({ "sets": many }).to_string()),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, format!("{{\"sets\":{{\"a\":\"{}\"}}}}", "x".repeat(2 << 20))),
        down,
    ] {
        transmitter.change(|now| (now.instead, now.requests) = (Some(instead.clone()), 0));
        transmitter.until("it is asked again", |now| now.requests > 0).await;
    }
    let begun = Instant::now();
    let before = transmitter.change(|now| now.requests);
    transmitter.until("it is asked again", |now| now.requests > before).await;
    assert!(begun.elapsed() > Duration::from_millis(500), "{:?}", begun.elapsed());
    let alerts = alerts(&forged);
    assert_eq!(alerts, ["the events of its stream signals can't be had"], "once");
    assert!(!events(&forged).iter().any(|event| matches!(event, Event::SignInRefused { .. })));

    let cookie = forged.sign_in("ruiz", "s-1").await;
    let (header, claims) = forged.event_token("1", "ruiz");
    transmitter.change(|now| now.instead = None);
    transmitter.send("1", sign(&header, &claims));
    transmitter.until("1 is acknowledged", |now| now.taken.contains(&"1".to_owned())).await;
    assert!(!forged.is_live(&cookie).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_stopped_is_told_of_and_one_that_is_tested_is_not() {
    let (forged, transmitter) = stage().await;
    let event = |jti: &str, name: &str, event: Value| {
        let (header, mut claims) = forged.event_token(jti, "ruiz");
        let name = format!("https://schemas.openid.net/secevent/ssf/event-type/{name}");
        claims["sub_id"] = json!({"format": "opaque", "id": "stream-1"});
        claims["events"] = json!({ name: event });
        sign(&header, &claims)
    };
    let all = [
        ("1", "verification", json!({"state": "x"})),
        ("2", "stream-updated", json!({"status": "enabled"})),
        ("3", "stream-updated", json!({"status": "paused", "reason": "upkeep"})),
        ("4", "stream-updated", json!({"status": "disabled"})),
    ];
    for (jti, name, said) in all {
        transmitter.send(jti, event(jti, name, said));
        transmitter.until("it is acknowledged", |now| now.taken.contains(&jti.to_owned())).await;
    }
    let told = "its event stream signals was stopped by the transmitter";
    assert_eq!(alerts(&forged), [told, told]);
    let outcomes = events(&forged).into_iter().filter_map(|event| match event {
        Event::SignalReceived { outcome, .. } => Some(outcome),
        _ => None,
    });
    let (no_more, all_well) = ("no more events come", "acknowledged");
    assert_eq!(outcomes.collect::<Vec<_>>(), [no_more, no_more, all_well, all_well]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_proves_at_the_start_and_daily_that_it_works_or_is_told_of() {
    let (forged, transmitter) = stage_with(|port| {
        format!(
            "verification_url = \"http://127.0.0.1:{port}/prove\"\nstream_id = \"stream-1\"\n\
             verification_authorization_file = \"poll.token\""
        )
    })
    .await;
    let agency = &forged.server.agency;
    let stream = agency.identity.streams()[0].clone();
    transmitter.until("it is asked at the start", |now| now.words.len() == 1).await;

    // The word comes back.
    let proving = async {
        transmitter.until("it is asked", |now| now.words.len() == 2).await;
        let word = transmitter.change(|now| now.words[1].clone());
        let (header, mut claims) = forged.event_token("proof", "ruiz");
        claims["sub_id"] = json!({"format": "opaque", "id": "stream-1"});
        let name = "https://schemas.openid.net/secevent/ssf/event-type/verification";
        claims["events"] = json!({ name: {"state": word} });
        transmitter.send("proof", sign(&header, &claims));
    };
    let (came, ()) = tokio::join!(agency.verify_stream(&stream, WAIT_MAX), proving);
    assert!(came && alerts(&forged).is_empty(), "{:?}", alerts(&forged));

    // It does not; an older one is none; and it can't even be asked for.
    assert!(!agency.verify_stream(&stream, Duration::from_millis(10)).await);
    assert_eq!(
        alerts(&forged),
        ["its event stream signals does not bring the event that was asked for as a proof"]
    );
    transmitter.change(|now| now.proves = Some(StatusCode::NOT_FOUND));
    assert!(!agency.verify_stream(&stream, WAIT_MAX).await);
    let told = "its event stream signals can't be asked for an event as a proof";
    assert_eq!(alerts(&forged).first().map(String::as_str), Some(told));
    forged.server.stop().await;
}
