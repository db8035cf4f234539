//! The answering side: others' logs submit their checkpoints, and what is notable goes on record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use keys::Clock;
use ledger::witness::{AddCheckpoint, Answer, Judged, Noted, REQUEST_BYTES_MAX, Witness};
use ledger::{Event, Ledger, Record};
use wire::{IngressBody, Outgoing};

use crate::witnessing::ROOT;

/// One kind of thing about one log is put on record so often at most: a log that submits every minute,
/// or one that misbehaves at will, must not fill the ledger.
const TELL_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// A witness that answers over HTTP. What it notes goes into the ledger, where there is one, and else
/// into the program's log only.
pub struct Cosigner {
    witness: Witness,
    ledger: Option<Ledger>,
    clock: Arc<dyn Clock>,
    told: Mutex<BTreeMap<(String, &'static str), Timestamp>>,
}

impl Cosigner {
    pub fn new(witness: Witness, ledger: Option<Ledger>, clock: Arc<dyn Clock>) -> Self {
        Self { witness, ledger, clock, told: Mutex::default() }
    }

    /// What it knows and cosigns with.
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// Answers `POST /witness/add-checkpoint` and `GET /witness/checkpoint/ID`; anything else is not found.
    /// With `only`, checkpoints of that log alone are taken: an old checkpoint that somebody else repeats
    /// would look as if the log had gone back.
    pub async fn answer(
        self: &Arc<Self>,
        request: Request<IngressBody>,
        only: Option<&str>,
    ) -> Response<Outgoing> {
        let path = request.uri().path().to_owned();
        let step = path.strip_prefix(ROOT).unwrap_or("?").to_owned();
        match (request.method(), step.as_str()) {
            (&Method::POST, "/add-checkpoint") => {
                let Some(body) = whole(request.into_body()).await else {
                    return told(&Answer::Malformed);
                };
                told(&self.add(body, only).await)
            }
            (&Method::GET, step) => {
                let note = step.strip_prefix("/checkpoint/").and_then(|id| self.witness.newest(id));
                note.map_or_else(not_found, |note| text(StatusCode::OK, PLAIN, note))
            }
            _ => not_found(),
        }
    }

    async fn add(self: &Arc<Self>, body: Vec<u8>, only: Option<&str>) -> Answer {
        if let Some(only) = only
            && let Ok((_, checkpoint)) = AddCheckpoint::parse(&body)
            && checkpoint.origin != only
        {
            return Answer::UnknownOrigin;
        }
        let this = Arc::clone(self);
        let judged = tokio::task::spawn_blocking(move || this.witness.add(&body)).await;
        let Ok(Judged { answer, noted }) = judged else { return Answer::Trouble(503) };
        if let Some(noted) = noted {
            self.tell(noted).await;
        }
        answer
    }

    /// Holds a checkpoint that came another way against what was cosigned for its log.
    pub async fn hear(self: &Arc<Self>, note: String) {
        let this = Arc::clone(self);
        let heard = tokio::task::spawn_blocking(move || this.witness.compare(&note)).await;
        if let Ok(Some(noted)) = heard {
            self.tell(noted).await;
        }
    }

    /// Puts on record what was noted. Whether that succeeds changes no answer: the checkpoint and the
    /// evidence are in the witness's own folder already.
    async fn tell(&self, noted: Noted) {
        let reported_by = self.witness.key().name.clone();
        let event = match noted {
            Noted::Cosigned { origin, size, note, .. } => {
                Event::WitnessedCheckpoint { origin, size, checkpoint: note }
            }
            Noted::WentBack { origin, size, seen } => {
                tracing::error!(log = origin, size, seen, "a log has gone back");
                Event::RollbackDetected { origin, reported_by, size, seen }
            }
            Noted::Forked { origin, size, evidence, evidence_kept } => {
                let wrong = evidence.wrong.as_str();
                tracing::error!(
                    log = origin,
                    size,
                    wrong,
                    evidence_kept,
                    "a log has two histories"
                );
                Event::EquivocationDetected { origin, reported_by, size }
            }
        };
        let Some(ledger) = &self.ledger else { return };
        let Some((log, kind)) = about(&event).map(|(log, kind)| (log.to_owned(), kind)) else {
            return;
        };
        if !self.is_due(&log, kind) {
            return;
        }
        if let Err(error) = ledger.append(Record::platform(event)).await {
            tracing::error!(
                error = wire::causes(&error),
                "what a witness noted could not be recorded"
            );
            self.lock().remove(&(log, kind));
        }
    }

    fn is_due(&self, log: &str, kind: &'static str) -> bool {
        let now = self.clock.now();
        let mut told = self.lock();
        let last = told.get(&(log.to_owned(), kind));
        if last.is_some_and(|last| now.duration_since(*last) < TELL_EVERY) {
            return false;
        }
        told.insert((log.to_owned(), kind), now);
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, &'static str), Timestamp>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log that one of our three events is about, and the event's kind.
fn about(event: &Event) -> Option<(&str, &'static str)> {
    match event {
        Event::WitnessedCheckpoint { origin, .. }
        | Event::RollbackDetected { origin, .. }
        | Event::EquivocationDetected { origin, .. } => Some((origin, event.kind())),
        _ => None,
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn told(answer: &Answer) -> Response<Outgoing> {
    let (kind, body) = answer.content();
    let status = StatusCode::from_u16(answer.status());
    text(status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE), kind, body)
}

fn not_found() -> Response<Outgoing> {
    text(StatusCode::NOT_FOUND, PLAIN, "there is nothing here\n".to_owned())
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::bytes(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A whole body, if it came whole and is not too long for a request.
async fn whole(mut body: IngressBody) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(piece) = body.chunk().await {
        let piece = piece.ok()?;
        if all.len().saturating_add(piece.len()) > REQUEST_BYTES_MAX {
            return None;
        }
        all.extend_from_slice(&piece);
    }
    Some(all)
}
