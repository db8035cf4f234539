//! Revocation asked of `openssl ocsp`, and answers that are not what was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use identity::certificates::{Answering, Provider, Responder, ResponderSettings};
use jiff::Timestamp;
use keys::Clock;
use keys::ocsp::NameHash;
use testkit::{AUTHORITY, Wanted};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stage::{CARD, Stage};

/// openssl answers with the machine's time.
fn now() -> Timestamp {
    keys::SystemClock.now()
}

/// Asks over a plain socket, and may answer with something else.
struct Post {
    url: String,
    kept: Mutex<Vec<Vec<u8>>>,
    instead: Mutex<Option<Vec<u8>>>,
}

impl Post {
    fn to(url: &str) -> Arc<Self> {
        Arc::new(Self { url: url.to_owned(), kept: Mutex::default(), instead: Mutex::default() })
    }

    async fn post(&self, question: &[u8]) -> std::io::Result<Vec<u8>> {
        let host = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = tokio::net::TcpStream::connect(host).await?;
        let head = format!(
            "POST / HTTP/1.0\r\nContent-Type: application/ocsp-request\r\nContent-Length: {}\r\n\r\n",
            question.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(question).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let at = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_default();
        Ok(answer.split_off(at + 4))
    }
}

impl Responder for Post {
    fn ask(&self, question: Vec<u8>) -> Answering<'_> {
        Box::pin(async move {
            let instead = self.instead.lock().unwrap().clone();
            let answer = match instead {
                Some(answer) => answer,
                None => {
                    tokio::time::timeout(Duration::from_secs(10), self.post(&question)).await??
                }
            };
            self.kept.lock().unwrap().push(answer.clone());
            Ok(answer)
        })
    }
}

const SIGNER: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
                      extendedKeyUsage=OCSPSigning\nnoCheck=ignored\n";

fn set() -> Option<Stage> {
    let stage = Stage::set(now())?;
    stage.pki.issue("ca", "responder", &Wanted::new("/O=Riverton/CN=Responder", SIGNER)).unwrap();
    stage.card("lost", CARD);
    stage.pki.revoke("ca", "lost").unwrap();
    Some(stage)
}

fn provider(stage: &Stage, post: &Arc<Post>, rules: ResponderSettings) -> Provider {
    let mut settings = stage.settings();
    settings.lists = false;
    settings.responder = Some(rules);
    stage.provider_with(settings, &[], Some(post.clone()))
}

const RULES: ResponderSettings = ResponderSettings { names: NameHash::Sha256, nonce_needed: true };

async fn code(stage: &Stage, provider: &Provider, name: &str) -> &'static str {
    // The responder's clock goes on, and so does ours.
    let shown = stage.shown(&[name, "ca"]);
    let judged = provider.judge(&shown, &keys::SystemRandom, now()).await;
    judged.map_or_else(|refusal| refusal.code, |_| "accepted")
}

#[tokio::test]
async fn a_responder_says_which_cards_are_good() {
    let Some(stage) = set() else { return };
    for signer in ["responder", "ca"] {
        let (_process, url) = stage.pki.responder("ca", signer, &["-nmin", "5"]).await.unwrap();
        for names in [NameHash::Sha256, NameHash::Sha1] {
            let provider = provider(&stage, &Post::to(&url), ResponderSettings { names, ..RULES });
            assert_eq!(code(&stage, &provider, "ruiz").await, "accepted", "{signer} {names:?}");
            assert_eq!(code(&stage, &provider, "lost").await, "cert.revoked", "{signer} {names:?}");
        }
    }
}

#[tokio::test]
async fn a_card_that_the_responder_does_not_know_and_one_that_is_away_let_nobody_in() {
    let Some(stage) = set() else { return };
    let (process, url) = stage.pki.responder("ca", "responder", &[]).await.unwrap();
    let post = Post::to(&url);
    let provider = provider(&stage, &post, RULES);
    assert_eq!(
        code(&stage, &provider, "ruiz").await,
        "accepted",
        "an answer without an end, but new"
    );
    // The responder reads its index at its start: it has not heard of this one.
    stage.card("new", CARD);
    assert_eq!(code(&stage, &provider, "new").await, "cert.ocsp.unknown");
    process.stop(Duration::from_secs(10)).await.unwrap();
    assert_eq!(code(&stage, &provider, "ruiz").await, "cert.ocsp.unreachable");
}

#[tokio::test]
async fn an_answer_signed_by_somebody_else_is_none() {
    let Some(stage) = set() else { return };
    // Not made a responder; made one without the mark that it need not be asked about itself; of another authority.
    stage.pki.issue("ca", "plain", &Wanted::new("/CN=Plain", CARD)).unwrap();
    let checked = SIGNER.replace("noCheck=ignored\n", "");
    stage.pki.issue("ca", "checked", &Wanted::new("/CN=Checked", &checked)).unwrap();
    stage.pki.authority("forger", None, &Wanted::new("/O=Riverton/CN=Card CA", AUTHORITY)).unwrap();
    stage.pki.issue("forger", "forged", &Wanted::new("/O=Riverton/CN=Responder", SIGNER)).unwrap();
    for signer in ["plain", "checked", "forged", "forger"] {
        let (_process, url) = stage.pki.responder("ca", signer, &["-nmin", "5"]).await.unwrap();
        let provider = provider(&stage, &Post::to(&url), RULES);
        assert_eq!(code(&stage, &provider, "ruiz").await, "cert.ocsp.signature", "{signer}");
    }
}

#[tokio::test]
async fn an_answer_to_another_question_is_none() {
    let Some(stage) = set() else { return };
    let (_process, url) = stage.pki.responder("ca", "responder", &["-nmin", "5"]).await.unwrap();
    let post = Post::to(&url);
    let strict = provider(&stage, &post, RULES);
    let lenient = provider(&stage, &post, ResponderSettings { nonce_needed: false, ..RULES });
    assert_eq!(code(&stage, &strict, "ruiz").await, "accepted");
    let answer = post.kept.lock().unwrap().pop().unwrap();
    let instead = |answer: Vec<u8>| *post.instead.lock().unwrap() = Some(answer);

    instead(answer.clone());
    assert_eq!(code(&stage, &strict, "ruiz").await, "cert.ocsp.nonce", "played back");
    assert_eq!(
        code(&stage, &lenient, "ruiz").await,
        "cert.ocsp.nonce",
        "another nonce is never right"
    );

    let mut altered = answer.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    instead(altered);
    let found = code(&stage, &strict, "ruiz").await;
    assert!(["cert.ocsp.signature", "cert.ocsp.malformed"].contains(&found), "{found}");

    for (bytes, expected) in [
        (Vec::new(), "cert.ocsp.malformed"),
        (b"<html>".to_vec(), "cert.ocsp.malformed"),
        (answer[..answer.len() - 1].to_vec(), "cert.ocsp.malformed"),
        ([answer.clone(), vec![0]].concat(), "cert.ocsp.malformed"),
        (vec![0x30, 3, 10, 1, 3], "cert.ocsp.unanswered"),
        (vec![0x30, 3, 10, 1, 0], "cert.ocsp.malformed"),
        (vec![0; 65 * 1024], "cert.ocsp.malformed"),
    ] {
        instead(bytes);
        assert_eq!(code(&stage, &strict, "ruiz").await, expected);
    }
}

#[tokio::test]
async fn an_answer_is_good_for_its_time_only() {
    let Some(stage) = set() else { return };
    let (_process, url) = stage.pki.responder("ca", "responder", &["-nmin", "5"]).await.unwrap();
    let provider = provider(&stage, &Post::to(&url), RULES);
    let at = async |minutes| {
        let at = now() + jiff::SignedDuration::from_mins(minutes);
        let judged = provider.judge(&stage.shown(&["ruiz", "ca"]), &keys::SystemRandom, at).await;
        judged.map_or_else(|refusal| refusal.code, |_| "accepted")
    };
    assert_eq!(at(0).await, "accepted");
    assert_eq!(at(11).await, "cert.ocsp.time", "over, as our clock has it");
    assert_eq!(at(-11).await, "cert.ocsp.time", "not yet begun, as our clock has it");
}
