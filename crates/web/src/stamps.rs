//! The time-stamp authority that the agency asks, and the one that it is, as its configuration has them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use exchange::{AuthorityLine, AuthorityPlace, TimeStampAuthority, TimeStamps};
use keys::Clock;
use keys::cert::Certificate;
use parcel::Signer;
use wire::Addresses;
use wire::tls::{Own, Trust, client_config};

use crate::agency::StartError;
use crate::config::{TimeStampAuthorityConfig, TimeStampsConfig};
use crate::serve::read_own;
use crate::sharing::p384;

/// Opens the way to the authority; nothing is asked yet.
///
/// # Errors
/// [`StartError`] names the file or the key.
pub(crate) fn open(
    settings: &TimeStampsConfig,
    own: &Own,
    clock: &Arc<dyn Clock>,
) -> Result<TimeStamps, StartError> {
    let wrong = |error: Box<dyn std::error::Error + Send + Sync>| StartError::Sharing(error);
    let place: AuthorityPlace = settings.url.parse().map_err(|error| wrong(Box::new(error)))?;
    let tls = match &settings.tls_certificate {
        None => None,
        Some(path) => {
            let all = certificates(path)?;
            let (authorities, leaves) = all.into_iter().partition(Certificate::is_ca);
            let own = settings.show_our_certificate.then_some(own);
            let made = client_config(&Trust { authorities, leaves }, own, clock.clone());
            Some(made.map_err(|error| wrong(Box::new(error)))?)
        }
    };
    let addresses = match settings.private_addresses || settings.plain_http {
        true => Addresses::Private,
        false => Addresses::Public,
    };
    let mut authorities = Vec::new();
    for path in &settings.authorities {
        authorities.extend(certificates(path)?);
    }
    let policy = settings.policy.as_ref().map(|policy| policy.parse()).transpose();
    Ok(TimeStamps {
        line: AuthorityLine::new(place, addresses, tls, Duration::from_secs(settings.wait_seconds)),
        authorities,
        policy: policy.map_err(|error: parcel::timestamp::NotAPolicy| wrong(Box::new(error)))?,
        required: settings.required,
    })
}

/// Reads the key of our own authority.
///
/// # Errors
/// [`StartError`] names the file or the key; [`StartError::Sharing`] where the certificate may not stamp.
pub(crate) fn authority(
    settings: &TimeStampAuthorityConfig,
    clock: &Arc<dyn Clock>,
) -> Result<TimeStampAuthority, StartError> {
    let own = read_own(&settings.certificate, &settings.key)?;
    let signer = Signer { chain: own.chain, key: p384(&own.pkcs8)? };
    let wrong = |error: parcel::timestamp::NotAPolicy| StartError::Sharing(Box::new(error));
    let policy = settings.policy.parse().map_err(wrong)?;
    TimeStampAuthority::new(signer, policy, clock.now())
        .map_err(|error| StartError::Sharing(Box::new(error)))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, StartError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| StartError::File { path: path.to_owned(), source })?;
    let wrong =
        |source| StartError::Keys { doing: "read a time-stamp authority's certificate", source };
    match Certificate::chain_from_pem(&text) {
        Ok(all) if all.is_empty() => Err(wrong(keys::KeysError::Pem { expected: "a certificate" })),
        read => read.map_err(wrong),
    }
}
