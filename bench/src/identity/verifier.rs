//! The verifier as sign-in runs it: from the posted base64 to what is believed, every check of the profile.

use std::time::{Duration, Instant};

use anyhow::Context;
use identity::saml::{Expectation, verify_response};

use super::messages::{ACS, Messages, REQUEST, SP};

/// Answers a second that so many threads verify. One that is refused ends the run: it would be cheaper.
pub(crate) fn rate(
    messages: &Messages,
    stock: &[String],
    threads: usize,
    length: Duration,
) -> anyhow::Result<f64> {
    let expectation = Expectation {
        idp: &messages.idp,
        entity_id: SP,
        acs_url: ACS,
        request_id: Some(REQUEST),
        decryption: std::slice::from_ref(&messages.opening),
        reauthenticated_since: None,
        // Ages are compared with this; the clock is not read for it.
        now: messages.made_at,
    };
    let started = Instant::now();
    let one_thread = || {
        let mut done = 0_u32;
        for response in stock.iter().cycle() {
            if started.elapsed() >= length {
                break;
            }
            verify_response(response.as_bytes(), &expectation)?;
            done += 1;
        }
        Ok::<u32, identity::Refusal>(done)
    };
    let done: u32 = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one_thread)).collect();
        let each = running.into_iter().map(|thread| {
            let done = thread.join().map_err(|_| anyhow::anyhow!("a thread ended"))?;
            done.context("our own verifier refuses")
        });
        each.sum::<anyhow::Result<u32>>()
    })?;
    Ok(f64::from(done) / started.elapsed().as_secs_f64())
}
