//! Streams of security events as they are set up.

use std::collections::BTreeSet;
use std::sync::Arc;

use identity::oidc::discovery::Place;
use identity::ssf::Stream;
use keys::Clock;

use super::oidc::Network;
use crate::agency::StartError;
use crate::config::Config;

/// The largest file with a bearer token, in bytes.
const TOKEN_BYTES_MAX: usize = 4096;

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
        let network = Network::to(places, declared.ca.as_deref(), clock)?;
        let mut stream = Stream::new(declared.settings(), Arc::new(network)).map_err(wrong)?;
        if let Some(file) = &declared.authorization_file {
            let bytes = keys::file::read(file, TOKEN_BYTES_MAX).map_err(|source| {
                StartError::Keys { doing: "read the token of an event stream", source }
            })?;
            let text = String::from_utf8_lossy(&bytes);
            if text.trim().is_empty() {
                return Err(wrong("its `authorization_file` is empty"));
            }
            stream = stream.with_authorization(text.trim());
        }
        streams.push(stream);
    }
    Ok(streams)
}
