//! Asks transmitters for their events (RFC 8936), for as long as the server runs.
//!
//! Invariants: what a token asks for is done before it is acknowledged, so that each is taken at least once and,
//! by its name, has its effect once; a transmitter that fails is asked ever less often, at least once a minute,
//! and its failure is an alert; one that answers at once that it has nothing is not asked without a pause.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use identity::ssf::Stream;
use identity::ssf::poll::Told;
use jiff::{SignedDuration, Timestamp};
use ledger::Origin;
use tokio::sync::watch;

use super::{Took, record_refusal, take};
use crate::app::Shared;

/// How long a transmitter may hold a request while it has no event.
const HOLD_MAX: Duration = Duration::from_secs(30);

/// How long it may take to answer when it is asked to answer at once.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// The pause after an answer without events that came at once, and the first after a failure, which doubles.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// For so long a token is waited for whose key is not published: keys are asked for once a minute, and may be new.
const KEY_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// After so many failures in a row it is told of.
const FAILURES_TOLD: u32 = 3;

/// A failure that goes on is told of once a day.
const TELL_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// Asks for a stream's events until `stopped`.
pub(crate) async fn ask(agency: Shared, stream: Arc<Stream>, mut stopped: watch::Receiver<bool>) {
    let mut line = Line::default();
    loop {
        let turn = async {
            let pause = line.turn(&agency, &stream).await;
            tokio::time::sleep(pause).await;
        };
        tokio::select! {
            biased;
            // An error means that the server is gone.
            _ = async { stopped.wait_for(|stop| *stop).await.is_ok() } => return,
            () = turn => {}
        }
    }
}

/// What is to be told next, and how it went so far.
#[derive(Default)]
struct Line {
    told: Told,
    /// The last request was held for as long as it may be: whether anybody is there is to be known now.
    at_once: bool,
    failures: u32,
    told_failure_at: Option<Timestamp>,
    /// Tokens whose key is waited for, and since when.
    waiting: BTreeMap<String, Timestamp>,
}

impl Line {
    /// Asks once. Gives how long to wait before the next time.
    async fn turn(&mut self, agency: &Shared, stream: &Stream) -> Duration {
        let begun = Instant::now();
        let wait_max = if self.at_once { ANSWER_WAIT_MAX } else { HOLD_MAX };
        let asked = tokio::time::timeout(wait_max, stream.poll(&self.told, self.at_once)).await;
        let answer = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(refusal)) => {
                tracing::warn!(stream = %stream.settings().id, %refusal, "events could not be asked for");
                return self.failed(agency, stream).await;
            }
            Err(_) if !self.at_once => {
                self.at_once = true;
                return Duration::ZERO;
            }
            Err(_) => {
                tracing::warn!(stream = %stream.settings().id, "a transmitter does not answer");
                return self.failed(agency, stream).await;
            }
        };
        // It has heard what became of the last ones.
        (self.told, self.at_once) = (Told::default(), false);
        let nothing = answer.tokens.is_empty();
        let mut all_done = true;
        self.waiting.retain(|waiting, _| answer.tokens.iter().any(|(name, _)| name == waiting));
        for (name, token) in answer.tokens {
            all_done &= self.take(agency, stream, name, &token).await;
        }
        if !all_done {
            return self.failed(agency, stream).await;
        }
        (self.failures, self.told_failure_at) = (0, None);
        if nothing && !answer.more && begun.elapsed() < PAUSE { PAUSE } else { Duration::ZERO }
    }

    /// Takes one token, and notes what is to be told of it. `false`: it is to come again.
    async fn take(&mut self, agency: &Shared, stream: &Stream, name: String, token: &str) -> bool {
        let origin = Origin::default();
        let code = match take(agency, &origin, stream, token, Some(&name)).await {
            Took::Done => {
                self.told.taken.push(name);
                return true;
            }
            Took::NotYet(problem) => {
                tracing::error!(title = problem.title, "an event could not be acted upon");
                return false;
            }
            // The transmitter's keys can't be had now; what is signed with them may be good.
            Took::Refused("ssf.transmitter.unreachable" | "ssf.jwks") => return false,
            Took::Refused("ssf.key") if self.waits_for_key(&name, agency.now()) => return false,
            Took::Refused(code) => code,
        };
        match record_refusal(agency, origin, stream, code).await {
            Ok(()) => {
                self.told.refused.push((name, code));
                true
            }
            Err(problem) => {
                tracing::error!(title = problem.title, "a refused event could not be recorded");
                false
            }
        }
    }

    fn waits_for_key(&mut self, name: &str, now: Timestamp) -> bool {
        let since = *self.waiting.entry(name.to_owned()).or_insert(now);
        now.duration_since(since) < KEY_WAIT
    }

    /// Gives how long to wait, and tells administrators if it goes on.
    async fn failed(&mut self, agency: &Shared, stream: &Stream) -> Duration {
        let pause = PAUSE.saturating_mul(2_u32.saturating_pow(self.failures)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        let now = agency.now();
        let due = self.told_failure_at.is_none_or(|at| now.duration_since(at) >= TELL_EVERY);
        if self.failures >= FAILURES_TOLD && due {
            let settings = stream.settings();
            let what = format!("the events of its stream {} can't be had", settings.id);
            if agency.provider_alert(&settings.idp, &what, None).await {
                self.told_failure_at = Some(now);
            }
        }
        pause
    }
}
