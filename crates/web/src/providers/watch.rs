//! Keeps what is known of identity providers up to date, and tells in time what runs out.
//!
//! Invariant: metadata that is not believed changes nothing: the provider stays as it was, until that runs out;
//! and a change is in the ledger before it counts.

use std::collections::BTreeMap;
use std::future::Future;

use jiff::{SignedDuration, Timestamp};
use keys::digest::sha256;
use ledger::{Event, Record};
use state::directory::tokens;
use tokio::sync::Mutex;

use super::known;
use super::metadata::Source;
use crate::agency::Agency;
use crate::app::Shared;
use crate::config::IdentityProviderConfig;
use crate::problem::chain;

/// How often files are looked at, and whether an address is due.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

/// How long after a fetch the next is due: as a rule, where the metadata soon runs out, after a failure.
const FETCH_EVERY: SignedDuration = SignedDuration::from_hours(24);
const FETCH_EVERY_ENDING: SignedDuration = SignedDuration::from_hours(1);
const FETCH_EVERY_FAILED: SignedDuration = SignedDuration::from_mins(5);

/// A failure that goes on is told of once a day.
const TELL_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// How many days before its end something is told of, once for each.
const DAYS_LEFT: [u64; 3] = [60, 30, 7];

/// What is known of where providers come from.
pub struct Providers {
    /// In the order of the configuration.
    watched: Vec<Mutex<Watched>>,
    /// The end of our own certificate.
    ours_until: Timestamp,
    ours_told: Mutex<Told>,
    /// What was told of the end of each directory's last token, by the directory's id.
    tokens_told: Mutex<BTreeMap<String, Told>>,
}

/// One provider's source and what came of it.
pub(super) struct Watched {
    source: Source,
    /// The SHA-256 of the newest document that was looked at, believed or not.
    seen: Option<[u8; 32]>,
    next_at: Timestamp,
    /// Since when it has not been told that fetching fails.
    told_failure_at: Option<Timestamp>,
    /// What was told of the end of the metadata, and of that of the certificates.
    told: [Told; 2],
}

/// The end that was told of last, and the fewest of [`DAYS_LEFT`] for it.
type Told = Option<(Timestamp, u64)>;

impl Watched {
    pub(super) fn new(source: Source, at_hand: Option<&[u8]>, now: Timestamp) -> Self {
        let seen = at_hand.map(sha256);
        Self { source, seen, next_at: now, told_failure_at: None, told: [None; 2] }
    }
}

impl Providers {
    pub(super) fn new(watched: Vec<Watched>, ours_until: Timestamp) -> Self {
        let watched = watched.into_iter().map(Mutex::new).collect();
        let (ours_told, tokens_told) = (Mutex::new(None), Mutex::default());
        Self { watched, ours_until, ours_told, tokens_told }
    }
}

/// Looks after the providers of an agency until `ended`.
pub(crate) async fn look_after(agency: Shared, ended: impl Future<Output = ()>) {
    tokio::pin!(ended);
    loop {
        agency.refresh_providers().await;
        agency.refresh_revocation_lists().await;
        agency.record_sums().await;
        tokio::select! {
            () = &mut ended => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

impl Agency {
    /// Looks at every provider's metadata, takes what changed, and tells of what runs out. What fails is on
    /// record and is tried again.
    pub async fn refresh_providers(&self) {
        let providers = self.config.identity_providers.iter().zip(&self.providers.watched);
        for (provider, watched) in providers {
            let mut watched = watched.lock().await;
            self.refresh(provider, &mut watched).await;
            self.tell_what_ends(provider, &mut watched).await;
        }
        let mut told = self.providers.ours_told.lock().await;
        let what = "our own certificate for signatures ends";
        self.tell_end("this service", what, Some(self.providers.ours_until), &mut told).await;
        self.tell_ends_of_tokens().await;
    }

    /// A directory whose last token ends can't put anybody out any more.
    async fn tell_ends_of_tokens(&self) {
        let tokens = match tokens::list(&self.state).await {
            Ok(tokens) => tokens,
            Err(error) => {
                tracing::error!(error = %chain(&error), "the directories' tokens could not be looked at");
                return;
            }
        };
        let mut told = self.providers.tokens_told.lock().await;
        for directory in &self.config.directories {
            let own = tokens.iter().filter(|token| token.client == directory.id);
            let unrevoked = own.filter(|token| token.revoked_at.is_none());
            let until = unrevoked.map(|token| token.expires_at).max();
            let what = format!("the last token of its directory {} ends", directory.id);
            let told = told.entry(directory.id.clone()).or_default();
            self.tell_end(&directory.identity_provider, &what, until, told).await;
        }
    }

    async fn refresh(&self, provider: &IdentityProviderConfig, watched: &mut Watched) {
        let now = self.now();
        if watched.source.is_remote() && now < watched.next_at {
            return;
        }
        let xml = match watched.source.fetch().await {
            Ok(xml) => xml,
            Err(error) => {
                let idp = &provider.id;
                tracing::warn!(error = %chain(&error), %idp, "an identity provider's metadata can't be had");
                watched.next_at = later(now, FETCH_EVERY_FAILED);
                let since = watched.told_failure_at;
                if since.is_none_or(|at| now.duration_since(at) >= TELL_EVERY) {
                    watched.told_failure_at = Some(now);
                    self.alert(idp, "its metadata can't be had", None).await;
                }
                return;
            }
        };
        watched.told_failure_at = None;
        watched.next_at = later(now, FETCH_EVERY);
        if watched.seen != Some(sha256(&xml)) {
            self.take(provider, watched, &xml).await;
        }
        let known = self.identity.providers().into_iter().find(|known| known.id == provider.id);
        let until = known.and_then(|known| known.valid_until);
        if until.is_some_and(|until| until <= later(now, FETCH_EVERY + FETCH_EVERY)) {
            watched.next_at = later(now, FETCH_EVERY_ENDING);
        }
    }

    /// Judges metadata that was not seen before; what is believed counts from now on.
    async fn take(&self, provider: &IdentityProviderConfig, watched: &mut Watched, xml: &[u8]) {
        let digest = sha256(xml);
        let judged = known(&self.config, provider, &watched.source.trust, xml, self.now());
        let settings = match judged {
            Ok(settings) => settings,
            Err(refusal) => {
                tracing::warn!(idp = %provider.id, %refusal, "new metadata is refused");
                if self.alert(&provider.id, refusal.code, None).await {
                    watched.seen = Some(digest);
                }
                return;
            }
        };
        let what = format!("metadata of identity provider {}", provider.id);
        let event = Event::SettingsLoaded { what, digest: hex::encode(digest) };
        if let Err(error) = self.ledger.append(Record::platform(event)).await {
            tracing::error!(error = %chain(&error), "new metadata waits until its change can be recorded");
            return;
        }
        watched.seen = Some(digest);
        if let Err(error) = self.identity.replace_provider(settings) {
            tracing::warn!(idp = %provider.id, %error, "new metadata is refused");
            self.alert(&provider.id, "its metadata names another provider", None).await;
            return;
        }
        if let Err(error) = watched.source.keep(xml) {
            tracing::error!(error = %chain(&error), "metadata could not be kept for the next start");
        }
    }

    async fn tell_what_ends(&self, provider: &IdentityProviderConfig, watched: &mut Watched) {
        let known = self.identity.providers().into_iter().find(|known| known.id == provider.id);
        let Some(known) = known else { return };
        let [metadata, certificates] = &mut watched.told;
        // What is fetched daily may be valid for days only; that it can't be fetched is told by itself.
        if !watched.source.is_remote() {
            self.tell_end(&known.id, "its metadata runs out", known.valid_until, metadata).await;
        }
        let what = "its last certificate ends";
        self.tell_end(&known.id, what, known.certificates_until(), certificates).await;
    }

    /// Tells of an end when one of [`DAYS_LEFT`] is reached that was not told of.
    async fn tell_end(&self, idp: &str, what: &str, until: Option<Timestamp>, told: &mut Told) {
        let Some(until) = until else { return };
        let hours = until.duration_since(self.now()).as_hours();
        let days = u64::try_from(hours / 24).unwrap_or(0);
        let reached = DAYS_LEFT.into_iter().filter(|limit| days <= *limit).min();
        let new = |limit: &u64| told.is_none_or(|(end, least)| end != until || *limit < least);
        let Some(reached) = reached.filter(new) else { return };
        if self.alert(idp, what, Some(days)).await {
            *told = Some((until, reached));
        }
    }

    /// Whether it could be recorded.
    async fn alert(&self, idp: &str, what: &str, days_left: Option<u64>) -> bool {
        self.provider_alert(idp, what, days_left).await
    }

    /// Tells of something that somebody must see to, on record. Whether it could be.
    pub(crate) async fn provider_alert(
        &self,
        idp: &str,
        what: &str,
        days_left: Option<u64>,
    ) -> bool {
        let (idp, what) = (idp.to_owned(), what.to_owned());
        let record = Record::platform(Event::ProviderAlert { idp, what, days_left });
        match self.ledger.append(record).await {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(error = %chain(&error), "an alert of an identity provider could not be recorded");
                false
            }
        }
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
