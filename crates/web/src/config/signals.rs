//! `[[event_stream]]`: who may tell us of revoked sessions and changed authenticators.

use std::path::{Path, PathBuf};

use identity::oidc::discovery::Place;
use identity::ssf::StreamSettings;
use serde::Deserialize;

/// Longest name that a transmitter gives a stream.
const STREAM_ID_BYTES_MAX: usize = 256;

/// One stream of security events (Shared Signals Framework), pushed to `/ssf/events/<id>` or asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventStreamConfig {
    /// A short name, part of the address that events are pushed to.
    pub id: String,
    /// The transmitter's issuer, exactly as it writes it.
    pub issuer: String,
    /// The name that it gave us.
    pub audience: String,
    /// Where its keys are: `https`, or `http` on this machine.
    pub jwks_url: String,
    /// The authority (PEM) that the servers of `jwks_url` and `poll_url` must have their certificates from;
    /// needed for `https`.
    pub ca: Option<PathBuf>,
    /// The identity provider (its `id`) whose people the events are about.
    pub provider: String,
    /// The issuer under which events name those people; the transmitter's own unless given.
    pub subject_issuer: Option<String>,
    /// A file with the bearer token that the transmitter shows; absent: its signature alone proves it.
    pub authorization_file: Option<PathBuf>,
    /// Where events are asked for (RFC 8936): `https`, or `http` on this machine. None can be pushed then.
    pub poll_url: Option<String>,
    /// A file with the bearer token that is shown there.
    pub poll_authorization_file: Option<PathBuf>,
    /// Where the transmitter is asked, at the start and daily, to prove that its events come: `https`, or `http` on this
    /// machine.
    pub verification_url: Option<String>,
    /// The transmitter's own name for the stream, which it is asked under.
    pub stream_id: Option<String>,
    /// A file with the bearer token that is shown there.
    pub verification_authorization_file: Option<PathBuf>,
}

impl EventStreamConfig {
    /// What the settings say.
    #[must_use]
    pub fn settings(&self) -> StreamSettings {
        StreamSettings {
            id: self.id.clone(),
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            jwks_url: self.jwks_url.clone(),
            idp: self.provider.clone(),
            subject_issuer: self.subject_issuer.as_ref().unwrap_or(&self.issuer).clone(),
        }
    }

    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let id = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if self.id.is_empty() || self.id.len() > 40 || !self.id.bytes().all(id) {
            return Err(("event_stream.id", "is 1 to 40 of a-z, 0-9 and -"));
        }
        let Some(place) = Place::of(&self.jwks_url) else {
            return Err(("event_stream.jwks_url", "is https, or http on this machine"));
        };
        if place.tls && self.ca.is_none() {
            return Err(("event_stream.ca", "must be given where `jwks_url` is https"));
        }
        if let Some(url) = &self.poll_url {
            let Some(place) = Place::of(url) else {
                return Err(("event_stream.poll_url", "is https, or http on this machine"));
            };
            if place.tls && self.ca.is_none() {
                return Err(("event_stream.ca", "must be given where `poll_url` is https"));
            }
            if self.authorization_file.is_some() {
                let what = "is for events that are pushed; here they are asked for";
                return Err(("event_stream.authorization_file", what));
            }
        } else if self.poll_authorization_file.is_some() {
            let what = "is for events that are asked for: `poll_url` is missing";
            return Err(("event_stream.poll_authorization_file", what));
        }
        self.check_verification()
    }

    fn check_verification(&self) -> Result<(), (&'static str, &'static str)> {
        let Some(url) = &self.verification_url else {
            let alone = self.stream_id.is_some() || self.verification_authorization_file.is_some();
            let what = "is missing, and `stream_id` or a token for it is given";
            return if alone { Err(("event_stream.verification_url", what)) } else { Ok(()) };
        };
        let Some(place) = Place::of(url) else {
            return Err(("event_stream.verification_url", "is https, or http on this machine"));
        };
        if place.tls && self.ca.is_none() {
            return Err(("event_stream.ca", "must be given where `verification_url` is https"));
        }
        if !self.stream_id.as_ref().is_some_and(|id| (1..=STREAM_ID_BYTES_MAX).contains(&id.len()))
        {
            return Err(("event_stream.stream_id", "is the transmitter's name for the stream"));
        }
        Ok(())
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        let Self { ca, authorization_file, poll_authorization_file, .. } = self;
        let paths = [
            ca,
            authorization_file,
            poll_authorization_file,
            &mut self.verification_authorization_file,
        ];
        paths.into_iter().flatten().for_each(|path| *path = base.join(&*path));
    }
}
