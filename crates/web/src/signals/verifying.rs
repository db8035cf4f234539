//! Has transmitters prove that their events reach us, at the start and daily: a word of ours must come back.
//!
//! Invariant: a stream whose word does not come back is an alert; one that works says so in the ledger by the event
//! itself. Whichever process receives the event, the state's database has it.

use std::sync::Arc;
use std::time::Duration;

use identity::ssf::Stream;
use jiff::SignedDuration;
use state::sign_ins::{self, Message};
use tokio::sync::watch;

use crate::agency::Agency;
use crate::app::Shared;
use crate::problem::chain;

/// How often a stream is tried.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long its event may take.
const WAIT_MAX: Duration = Duration::from_secs(10 * 60);

/// How often is looked whether it came.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a word is remembered that came.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// Tries a stream at once and daily until `stopped`.
pub(crate) async fn verify(
    agency: Shared,
    stream: Arc<Stream>,
    mut stopped: watch::Receiver<bool>,
) {
    let trying = async {
        loop {
            agency.verify_stream(&stream, WAIT_MAX).await;
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        biased;
        // An error means that the server is gone.
        _ = async { stopped.wait_for(|stop| *stop).await.is_ok() } => {}
        () = trying => {}
    }
}

/// A word that came back, as the state has it.
pub(super) fn came(stream: &Stream, word: &str, now: jiff::Timestamp) -> Message {
    Message {
        idp: stream.settings().id.clone(),
        id: format!("verification|{word}"),
        remember_until: now.saturating_add(REMEMBERED).unwrap_or(now),
    }
}

impl Agency {
    /// Has a transmitter prove that its events come, and tells of it if none does within `wait_max`. Gives whether
    /// one came.
    pub async fn verify_stream(&self, stream: &Stream, wait_max: Duration) -> bool {
        let word = match keys::random_bytes::<32>(&*self.random) {
            Ok(bytes) => hex::encode(bytes),
            Err(error) => {
                tracing::error!(error = %chain(&error), "there is no word to ask a transmitter for");
                return false;
            }
        };
        let asked = stream.ask_verification(&word).await;
        let came = match &asked {
            Ok(()) => {
                tokio::time::timeout(wait_max, self.until_it_came(stream, &word)).await.is_ok()
            }
            Err(refusal) => {
                tracing::warn!(stream = %stream.settings().id, %refusal, "a stream can't be tried");
                false
            }
        };
        if !came {
            let settings = stream.settings();
            let why = match asked {
                Ok(()) => "does not bring the event that was asked for as a proof",
                Err(_) => "can't be asked for an event as a proof",
            };
            let what = format!("its event stream {} {why}", settings.id);
            self.provider_alert(&settings.idp, &what, None).await;
        }
        came
    }

    async fn until_it_came(&self, stream: &Stream, word: &str) {
        loop {
            match sign_ins::was_used(&self.state, &came(stream, word, self.now())).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(error = %chain(&error), "whether an event came can't be looked up");
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
