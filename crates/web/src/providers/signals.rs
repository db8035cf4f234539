//! Streams of security events as they are set up.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use identity::oidc::discovery::Place;
use identity::ssf::Stream;
use keys::Clock;
use wire::ClientLimits;

use super::oidc::{LIMITS, Network};
use crate::agency::StartError;
use crate::config::{Config, EventStreamConfig};

/// The largest file with a bearer token, in bytes.
const TOKEN_BYTES_MAX: usize = 4096;

/// A transmitter may hold a request while it has no event; how long is waited is the asker's to say
/// ([`crate::signals`]), and it is less than this.
const POLL_LIMITS: ClientLimits =
    ClientLimits { idle_wait_max: std::time::Duration::from_secs(60), ..LIMITS };

/// The streams of the configuration. Nobody is asked yet.
pub(super) fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<Stream>, StartError> {
    let mut ids = BTreeSet::new();
    let mut streams = Vec::new();
    for declared in &config.event_streams {
        let wrong =
            |what| StartError::Identity(format!("event stream `{}`: {what}", declared.id).into());
        if !ids.insert(&declared.id) {
            return Err(wrong("two streams have this id"));
        }
        let saml = config.identity_providers.iter().map(|one| &one.id);
        if !saml
            .chain(config.oidc_providers.iter().map(|one| &one.id))
            .any(|id| *id == declared.provider)
        {
            return Err(wrong("its `provider` is none of the identity providers"));
        }
        let places = Place::of(&declared.jwks_url).into_iter().collect();
        let network = Network::to(places, declared.ca.as_deref(), clock, LIMITS)?;
        let mut stream = Stream::new(declared.settings(), Arc::new(network)).map_err(wrong)?;
        if let Some(file) = &declared.authorization_file {
            let token = token_in(file)?;
            let token = token.ok_or_else(|| wrong("its `authorization_file` is empty"))?;
            stream = stream.with_authorization(&token);
        }
        if let Some(url) = &declared.poll_url {
            let bearer = match &declared.poll_authorization_file {
                Some(file) => {
                    let empty = || wrong("its `poll_authorization_file` is empty");
                    Some(token_in(file)?.ok_or_else(empty)?)
                }
                None => None,
            };
            let places = Place::of(url).into_iter().collect();
            let network = Network::to(places, declared.ca.as_deref(), clock, POLL_LIMITS)?;
            stream = stream.with_polling(url, bearer, Arc::new(network)).map_err(wrong)?;
        }
        streams.push(verified(stream, declared, clock)?);
    }
    Ok(streams)
}

/// The stream, with its transmitter asked to prove that it works, if the settings say where.
fn verified(
    stream: Stream,
    declared: &EventStreamConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Stream, StartError> {
    let wrong =
        |what| StartError::Identity(format!("event stream `{}`: {what}", declared.id).into());
    let (Some(url), Some(id)) = (&declared.verification_url, &declared.stream_id) else {
        return Ok(stream);
    };
    let bearer = match &declared.verification_authorization_file {
        Some(file) => {
            let empty = || wrong("its `verification_authorization_file` is empty");
            Some(token_in(file)?.ok_or_else(empty)?)
        }
        None => None,
    };
    let places = Place::of(url).into_iter().collect();
    let network = Network::to(places, declared.ca.as_deref(), clock, LIMITS)?;
    stream.with_verification((url, id), bearer, Arc::new(network)).map_err(wrong)
}

/// The token in a file; `None`: there is nothing in it.
fn token_in(file: &Path) -> Result<Option<String>, StartError> {
    let failed = |source| StartError::Keys { doing: "read the token of an event stream", source };
    let bytes = keys::file::read(file, TOKEN_BYTES_MAX).map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    Ok(Some(text).filter(|text| !text.is_empty()))
}
