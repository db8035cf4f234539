//! Who a cookie belongs to: one look-up by the token, among ten thousand live sessions in the embedded database.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{Activity, Identity, Lookup, SessionLimits, Settings};
use jiff::{SignedDuration, Timestamp};
use keys::seal::SealingKey;
use keys::{Clock, SystemClock, SystemRandom};
use serde::Serialize;
use state::State;
use state::accounts::{AccountKind, NewAccount, Profile};
use state::sessions::{Details, NewSession};
use state::sign_ins::{Admission, finish};

use super::messages::{ACS, SP};
use crate::limits::percentile;

const SESSIONS: u32 = 10_000;
const LOOK_UPS: u32 = 50_000;

/// Microseconds a look-up, from the cookie's text to the actor, one after the other.
#[derive(Debug, Serialize)]
pub(crate) struct Sessions {
    sessions: u32,
    look_ups: u32,
    mean_us: f64,
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
}

pub(super) fn measure(folder: &Path) -> anyhow::Result<Sessions> {
    let home = folder.join("sessions");
    if home.exists() {
        std::fs::remove_dir_all(&home).context("making room")?;
    }
    std::fs::create_dir_all(&home).context("making a folder")?;
    // A runtime of its own: whoever measures is not inside another one.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("starting a runtime")?;
    runtime.block_on(look_up(&home))
}

async fn look_up(home: &Path) -> anyhow::Result<Sessions> {
    let url = format!("sqlite://{}?mode=rwc", home.join("state.db").display());
    let state = State::open(&url, SealingKey::generate(&SystemRandom)?).await?;
    let now = SystemClock.now();
    for number in 0..SESSIONS {
        let made = begin(&state, number, now).await;
        made.with_context(|| format!("beginning session {number}"))?;
    }
    let settings = Settings {
        entity_id: SP.to_owned(),
        acs_url: ACS.to_owned(),
        slo_url: String::new(),
        limits: SessionLimits::CJIS,
    };
    let identity = Identity::new(state, settings, Vec::new(), Arc::new(SystemRandom))?;
    let mut times = Vec::new();
    let mut number = 0_u32;
    for round in 0..LOOK_UPS + SESSIONS {
        // A step that has no divisor in common with the number of sessions: all of them, in no order.
        number = (number + 7919) % SESSIONS;
        let token = URL_SAFE_NO_PAD.encode(secret(number));
        let started = Instant::now();
        let found = identity.lookup(&token, Activity::Background, now).await?;
        let took = started.elapsed();
        anyhow::ensure!(matches!(found, Lookup::Live(_)), "a session is not found");
        // The first of each warm up.
        if round >= SESSIONS {
            times.push(took);
        }
    }
    let mean_us = times.iter().sum::<Duration>().as_secs_f64() * 1e6 / f64::from(LOOK_UPS);
    times.sort_unstable();
    let us = |percent| percentile(&times, percent) * 1e3;
    let (p50_us, p99_us, max_us) = (us(50), us(99), us(100));
    Ok(Sessions { sessions: SESSIONS, look_ups: LOOK_UPS, mean_us, p50_us, p99_us, max_us })
}

/// The token of a session before it is written as text.
fn secret(number: u32) -> [u8; 32] {
    keys::digest::sha256(&number.to_le_bytes())
}

async fn begin(state: &State, number: u32, now: Timestamp) -> anyhow::Result<()> {
    let name_id = format!("person-{number}");
    let account = NewAccount {
        kind: AccountKind::Person,
        active: true,
        ends_at: None,
        profile: Profile {
            idp: "riverton".to_owned(),
            name_id: name_id.clone(),
            name: "Ruiz, Elena".to_owned(),
            functions: vec!["detective".to_owned()],
            ..Profile::default()
        },
    };
    let session = NewSession {
        id: keys::digest::sha256(&secret(number)),
        created_at: now,
        absolute_deadline: now.checked_add(SignedDuration::from_hours(12))?,
        stepped_up_at: None,
        notice: None,
        details: Details {
            actor: format!("riverton|{name_id}"),
            name: "Ruiz, Elena".to_owned(),
            agency: "NB0010100".to_owned(),
            functions: vec!["detective".to_owned()],
            mfa: true,
            context: "https://refeds.org/profile/mfa".to_owned(),
            authenticated_at: now,
            idp: "riverton".to_owned(),
            name_id,
            name_id_format: None,
            session_index: Some(format!("_s{number}")),
            csrf: [7; 32],
            address: Some("192.0.2.17".to_owned()),
            agent: Some("Mozilla/5.0 (X11; Linux x86_64) Chrome/140".to_owned()),
            certificate: None,
            device_class: None,
        },
    };
    let admission = Admission::Make(Box::new(account));
    finish(state, &[], &session, None, (&admission, i64::MAX)).await?;
    Ok(())
}

impl Sessions {
    pub(super) fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { sessions, look_ups, mean_us, p50_us, p99_us, max_us } = self;
        writeln!(
            out,
            "\nA cookie's session among {sessions} live ones (SQLite file; {look_ups} look-ups, one after the \
             other): mean **{mean_us:.1} µs**, p50 {p50_us:.1}, p99 {p99_us:.1}, max {max_us:.0}."
        )
    }
}
