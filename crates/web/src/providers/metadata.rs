//! Where an identity provider's metadata comes from: a file, or an address that `wire` may call.
//!
//! Invariant: what came over the network was signed by a pinned key or has a pinned hash, or it is nothing; and
//! the copy that is kept for the next start is held to the same again.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use identity::saml::trust::Trust;
use keys::Clock;
use keys::cert::Certificate;
use wire::tls::client_config;
use wire::{Addresses, Client, ClientLimits, Egress, Outgoing, Target};

use crate::agency::{StartError, make_folder};
use crate::config::{Config, IdentityProviderConfig, hash_of};

/// The largest metadata document that is read, in bytes.
pub const METADATA_BYTES_MAX: usize = 1 << 20;

/// The largest file of certificates that is read, in bytes.
const PEM_BYTES_MAX: usize = 256 << 10;

/// The mode of a file that holds nothing secret.
const MODE_SHOWN: u32 = 0o644;

const LIMITS: ClientLimits = ClientLimits {
    connect_wait_max: std::time::Duration::from_secs(10),
    idle_wait_max: std::time::Duration::from_secs(20),
    head_bytes_max: 32 << 10,
    headers_max: 64,
};

/// Where the metadata of one provider comes from, and why it is believed.
pub struct Source {
    pub(super) trust: Trust,
    place: Place,
}

enum Place {
    File(PathBuf),
    Remote(Box<Remote>),
}

struct Remote {
    client: Client,
    host: String,
    port: u16,
    path: String,
    /// The newest that was believed, for a start at which the address does not answer.
    copy: PathBuf,
}

/// Why metadata could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The file.
    #[error("could not read the provider's metadata")]
    File(#[source] keys::KeysError),
    /// The connection.
    #[error("could not fetch the provider's metadata")]
    Wire(#[from] wire::WireError),
    /// The server's answer.
    #[error("the metadata's server answers {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The request could not be made.
    #[error("the metadata's address is not one that can be asked")]
    Request(#[from] http::Error),
}

impl Source {
    /// Reads what is needed to judge and fetch; asks nobody.
    ///
    /// # Errors
    /// [`StartError`] names the file or the address that can't be used.
    pub(super) fn open(
        config: &Config,
        provider: &IdentityProviderConfig,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let hash = provider.metadata_sha256.as_deref().and_then(hash_of);
        let trust = match (&provider.metadata_signer, hash) {
            (Some(file), _) => Trust::Signed(certificates(file)?),
            (None, Some(hash)) => Trust::Pinned(hash),
            (None, None) => Trust::Placed,
        };
        let place = match (&provider.metadata, &provider.metadata_url) {
            (Some(file), _) => Place::File(file.clone()),
            (None, url) => {
                let url = url.as_deref().unwrap_or_default();
                Place::Remote(Box::new(Remote::open(config, provider, url, clock)?))
            }
        };
        Ok(Self { trust, place })
    }

    /// What a start can begin with: the file, which must be there; or the copy of what was fetched, if any.
    pub(super) fn at_hand(&self) -> Result<Option<Vec<u8>>, StartError> {
        let doing = "read an identity provider's metadata";
        let failed = |source| StartError::Keys { doing, source };
        match &self.place {
            Place::File(file) => {
                keys::file::read(file, METADATA_BYTES_MAX).map(Some).map_err(failed)
            }
            Place::Remote(remote) => match keys::file::read(&remote.copy, METADATA_BYTES_MAX) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(keys::KeysError::File { source, .. })
                    if source.kind() == ErrorKind::NotFound =>
                {
                    Ok(None)
                }
                Err(error) => Err(failed(error)),
            },
        }
    }

    /// Whether it is fetched from an address.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.place, Place::Remote(_))
    }

    /// The metadata as it is now.
    pub(super) async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        match &self.place {
            Place::File(file) => {
                keys::file::read(file, METADATA_BYTES_MAX).map_err(FetchError::File)
            }
            Place::Remote(remote) => remote.fetch().await,
        }
    }

    /// Keeps what was believed for the next start.
    pub(super) fn keep(&self, xml: &[u8]) -> Result<(), keys::KeysError> {
        match &self.place {
            Place::File(_) => Ok(()),
            Place::Remote(remote) => {
                keys::file::replace(&keys::file::SystemDisk, &remote.copy, xml, MODE_SHOWN)
            }
        }
    }
}

impl Remote {
    fn open(
        config: &Config,
        provider: &IdentityProviderConfig,
        url: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let wrong = || {
            let detail = format!("identity provider `{}`: `metadata_url` is no URL", provider.id);
            StartError::Identity(detail.into())
        };
        let uri: http::Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_ascii_lowercase();
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(wrong()),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let target = Target { host: host.clone(), port, addresses: Addresses::Private };
        let egress = Egress::new(vec![target]);
        let client = match &provider.metadata_ca {
            Some(file) if secure => {
                let trust =
                    wire::tls::Trust { authorities: certificates(file)?, leaves: Vec::new() };
                Client::new(egress, client_config(&trust, None, clock.clone())?, LIMITS)
            }
            Some(_) | None => Client::plain(egress, LIMITS),
        };
        let folder = config.data.folder.join("saml");
        make_folder(&folder)?;
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let copy = folder.join(format!("metadata-{}.xml", provider.id));
        Ok(Self { client, host, port, path, copy })
    }

    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        let request = http::Request::get(&self.path)
            .header(http::header::ACCEPT, "application/samlmetadata+xml, application/xml, text/xml")
            .body(Outgoing::empty())?;
        let reply = self.client.request(&self.host, self.port, request).await?;
        if reply.status != http::StatusCode::OK {
            return Err(FetchError::Status { status: reply.status.as_u16() });
        }
        Ok(reply.bytes(METADATA_BYTES_MAX).await?)
    }
}

/// The certificates in a file, one at least.
pub(crate) fn certificates(file: &std::path::Path) -> Result<Vec<Certificate>, StartError> {
    let failed = |source| StartError::Keys { doing: "read a certificate for metadata", source };
    let bytes = keys::file::read(file, PEM_BYTES_MAX).map_err(failed)?;
    let found = Certificate::chain_from_pem(&String::from_utf8_lossy(&bytes)).map_err(failed)?;
    if found.is_empty() {
        let expected = "a certificate in PEM";
        let path = file.to_owned();
        return Err(failed(keys::KeysError::Content { path, expected }));
    }
    Ok(found)
}
