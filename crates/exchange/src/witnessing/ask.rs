//! The asking side: every new checkpoint goes to each witness, soon, and again until it is cosigned.
//!
//! Invariant: the ledger never waits for this; it draws its own conclusions from how long ago a witness
//! has cosigned.

use std::time::Duration;

use ledger::watched::Asked;
use ledger::witness::Answer;
use ledger::{Event, Ledger, Record};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use crate::witnessing::WitnessLine;

/// How often one question may be put again from another size: a witness that is asked by nobody but us
/// needs one.
const ROUNDS_MAX: usize = 4;

/// When witnesses are asked.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    /// How often the ledger's size is looked at.
    pub look_every: Duration,
    /// The least time between two cosignatures of a ledger that grows.
    pub ask_every: Duration,
    /// The longest, of one that does not: a cosignature says that the witness is there.
    pub refresh_every: Duration,
    /// The wait after a first failure; doubled after each further one.
    pub retry_wait_first: Duration,
    pub retry_wait_max: Duration,
    /// How often witnesses that fell silent are looked for.
    pub stale_every: Duration,
}

impl Cadence {
    /// A new checkpoint is cosigned within 10 seconds; a silent witness is asked each minute.
    pub const fn usual() -> Self {
        Self {
            look_every: Duration::from_secs(1),
            ask_every: Duration::from_secs(10),
            refresh_every: Duration::from_secs(300),
            retry_wait_first: Duration::from_secs(2),
            retry_wait_max: Duration::from_secs(60),
            stale_every: Duration::from_secs(10),
        }
    }
}

/// Keeps a ledger witnessed until `stop` completes.
pub async fn keep_witnessed(
    ledger: Ledger,
    lines: Vec<WitnessLine>,
    cadence: Cadence,
    stop: impl Future<Output = ()>,
) {
    if lines.is_empty() {
        return;
    }
    let mut tasks = JoinSet::new();
    for line in lines {
        tasks.spawn(keep_asking(ledger.clone(), line, cadence));
    }
    tasks.spawn(watch_silence(ledger, cadence));
    stop.await;
    // No question is cut off in the middle of a write: those run on threads of their own, to their end.
    tasks.shutdown().await;
}

async fn keep_asking(ledger: Ledger, line: WitnessLine, cadence: Cadence) {
    let mut failures = 0_u32;
    loop {
        let before = ledger.size();
        let wait = match ask(&ledger, &line).await {
            Asked::Confirmed(events) => {
                failures = 0;
                record(&ledger, events).await;
                wait_for_growth(&ledger, before, cadence).await;
                continue;
            }
            Asked::Stopped(stop) => {
                tracing::error!(why = stop.words(), "the ledger takes no more records");
                return;
            }
            Asked::Failed(why) => {
                tracing::warn!(witness = line.name, why, "a witness did not cosign");
                let doublings = failures.min(20);
                failures = failures.saturating_add(1);
                cadence.retry_wait_first.saturating_mul(1 << doublings).min(cadence.retry_wait_max)
            }
            Asked::Again(_) => cadence.retry_wait_max,
        };
        tokio::time::sleep(wait).await;
    }
}

async fn wait_for_growth(ledger: &Ledger, before: u64, cadence: Cadence) {
    let asked = Instant::now();
    tokio::time::sleep(cadence.ask_every).await;
    while ledger.size() == before && asked.elapsed() < cadence.refresh_every {
        tokio::time::sleep(cadence.look_every).await;
    }
}

async fn watch_silence(ledger: Ledger, cadence: Cadence) {
    loop {
        record(&ledger, ledger.newly_stale()).await;
        tokio::time::sleep(cadence.stale_every).await;
    }
}

async fn record(ledger: &Ledger, events: Vec<Event>) {
    for event in events {
        if let Event::WitnessStale { witness, minutes, .. } = &event {
            tracing::error!(witness, minutes, "a witness has fallen silent");
        }
        if let Err(error) = ledger.append(Record::platform(event)).await {
            tracing::error!(
                error = wire::causes(&error),
                "how a witness stands could not be recorded"
            );
        }
    }
}

/// Asks a witness to cosign the ledger as it stands, and lets the ledger judge the answer.
pub async fn ask(ledger: &Ledger, line: &WitnessLine) -> Asked {
    let mut old = None;
    for _ in 0..ROUNDS_MAX {
        match ask_once(ledger, line, old).await {
            Asked::Again(size) => old = Some(size),
            asked => return asked,
        }
    }
    failed(ledger, line, "it names another size each time".to_owned())
}

async fn ask_once(ledger: &Ledger, line: &WitnessLine, old: Option<u64>) -> Asked {
    let (asking, name) = (ledger.clone(), line.name.clone());
    let submission = match spawn_blocking(move || asking.submission(&name, old)).await {
        Ok(Ok(Some(submission))) => submission,
        Ok(Ok(None)) => {
            let why = ledger.releasable().err().map(|why| why.to_string());
            return Asked::Failed(why.unwrap_or_else(|| "it is not one of ours".to_owned()));
        }
        Ok(Err(error)) => return failed(ledger, line, wire::causes(&error)),
        Err(_) => return Asked::Failed("the work was stopped before its end".to_owned()),
    };
    let answer = match line.submit(submission.request.encode()).await {
        Ok(answer) => answer,
        Err(error) => return failed(ledger, line, wire::causes(&error)),
    };
    let theirs = match &answer {
        Answer::Conflict(_) | Answer::BadProof => line.newest(ledger.origin()).await,
        _ => None,
    };
    let judging = ledger.clone();
    let judge = move || judging.take_answer(&submission, &answer, theirs.as_deref());
    let judged = spawn_blocking(judge).await;
    judged.unwrap_or_else(|_| Asked::Failed("the work was stopped before its end".to_owned()))
}

/// Notes why a witness could not be asked, for the page.
fn failed(ledger: &Ledger, line: &WitnessLine, why: String) -> Asked {
    ledger.note_unasked(&line.name, &why);
    Asked::Failed(why)
}
