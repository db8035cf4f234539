//! Object storage as an agency declares it: a folder, or a bucket of an S3-compatible store.
//!
//! What must stay true: the store's client has no connection, no TLS and no cryptography of its own.
//! Requests go through `wire` to the one declared endpoint, digests and signatures through `keys`.

mod crypto;
mod http;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, Uri};
use jiff::Timestamp;
use keys::Clock;
use ledger::archive::{Shelf, Unlocked};
use object_store::ClientOptions;
use object_store::ObjectStore;
use object_store::RetryConfig;
use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use wire::tls::{Trust, client_config};
use wire::{Addresses, Client, ClientLimits, Egress, Target};

use crate::config::{LockMode, StorageConfig};

/// The longest file of an access key, in bytes.
const ACCESS_KEY_BYTES_MAX: usize = 4096;
const LIMITS: ClientLimits = ClientLimits {
    connect_wait_max: std::time::Duration::from_secs(10),
    idle_wait_max: std::time::Duration::from_secs(60),
    head_bytes_max: 32 << 10,
    headers_max: 64,
};
/// For how long and how often a request that failed on its way is tried again.
const RETRIES_MAX: usize = 4;
const RETRY_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// Why object storage could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A file that the configuration names.
    #[error("could not read `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file of the access key.
    #[error("could not read the access key")]
    Key(#[source] keys::KeysError),
    /// The file of the access key is not two lines: the key's id, and the secret.
    #[error("`{path}` does not hold two lines, the access key's id and its secret")]
    KeyShape {
        /// Which.
        path: PathBuf,
    },
    /// The authorities that the endpoint's certificate must come from.
    #[error("could not take the certificates of `{path}`")]
    Authority {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: keys::KeysError,
    },
    /// TLS.
    #[error("could not set up TLS")]
    Tls(#[source] wire::WireError),
    /// The endpoint is not `https://host[:port]`, or `http://` with a loopback address.
    #[error("`{endpoint}` is no endpoint: `https://host` or `https://host:port`")]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
    /// The store itself.
    #[error("could not set up object storage")]
    Store(#[source] object_store::Error),
}

/// Opens what is declared. Nothing is connected to yet.
///
/// # Errors
/// [`StorageError`].
pub fn open(config: &StorageConfig, clock: Arc<dyn Clock>) -> Result<Box<dyn Shelf>, StorageError> {
    match config {
        StorageConfig::Folder { folder } => {
            let failed = |source| StorageError::File { path: folder.clone(), source };
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(failed)?;
            let store = LocalFileSystem::new_with_prefix(folder).map_err(StorageError::Store)?;
            Ok(Box::new(Unlocked(Arc::new(store.with_fsync(true)))))
        }
        StorageConfig::S3 { lock, .. } => {
            let bucket = Bucket::new(config, clock)?;
            let plain = bucket.store(None).map_err(StorageError::Store)?;
            Ok(Box::new(S3 { bucket, plain, lock: *lock }))
        }
    }
}

/// A bucket of an S3-compatible store.
struct S3 {
    bucket: Bucket,
    plain: Arc<dyn ObjectStore>,
    lock: LockMode,
}

impl Shelf for S3 {
    fn open(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.plain)
    }

    fn locked(
        &self,
        until: Timestamp,
    ) -> Result<Option<Arc<dyn ObjectStore>>, object_store::Error> {
        let mode = match self.lock {
            LockMode::None => return Ok(None),
            LockMode::Compliance => "COMPLIANCE",
            LockMode::Governance => "GOVERNANCE",
        };
        self.bucket.store(Some((mode, until))).map(Some)
    }
}

/// What all stores of one bucket are made of.
struct Bucket {
    builder: AmazonS3Builder,
    options: ClientOptions,
    prefix: String,
}

impl Bucket {
    fn new(config: &StorageConfig, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        let StorageConfig::S3 {
            endpoint,
            region,
            bucket,
            prefix,
            access_key_file,
            ca_file,
            private_addresses,
            lock: _,
        } = config
        else {
            let endpoint = String::new();
            return Err(StorageError::Endpoint { endpoint });
        };
        let wrong = || StorageError::Endpoint { endpoint: endpoint.clone() };
        let uri: Uri = endpoint.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
        let tls = match uri.scheme_str() {
            Some("https") => true,
            // `wire` refuses it beyond loopback.
            Some("http") => false,
            _ => return Err(wrong()),
        };
        // A name or a password in it would be shown to people as the place, and recorded.
        let named = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if named || !matches!(uri.path(), "" | "/") {
            return Err(wrong());
        }
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let addresses = if *private_addresses { Addresses::Private } else { Addresses::Public };
        let egress = Egress::new(vec![Target { host: host.clone(), port, addresses }]);
        let client = match (tls, ca_file) {
            (false, _) => Client::plain(egress, LIMITS),
            (true, None) => {
                return Err(StorageError::Tls(wire::WireError::NoTrust { of: "object storage" }));
            }
            (true, Some(path)) => {
                let failed = |source| StorageError::File { path: path.clone(), source };
                let text = std::fs::read_to_string(path).map_err(failed)?;
                let authorities = keys::cert::Certificate::chain_from_pem(&text)
                    .map_err(|source| StorageError::Authority { path: path.clone(), source })?;
                let trust = Trust { authorities, leaves: Vec::new() };
                let tls = client_config(&trust, None, clock).map_err(StorageError::Tls)?;
                Client::new(egress, tls, LIMITS)
            }
        };
        let secret = keys::file::read_secret(access_key_file, ACCESS_KEY_BYTES_MAX);
        let secret = secret.map_err(StorageError::Key)?;
        let shape = || StorageError::KeyShape { path: access_key_file.clone() };
        let text = String::from_utf8(secret).map_err(|_| shape())?;
        let lines: Vec<&str> = text.lines().collect();
        let [id, secret] = *lines.as_slice() else { return Err(shape()) };
        let retry = RetryConfig {
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_WAIT_MAX,
            ..RetryConfig::default()
        };
        let builder = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_region(region)
            .with_bucket_name(bucket)
            .with_access_key_id(id)
            .with_secret_access_key(secret)
            .with_allow_http(!tls)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(retry)
            .with_crypto_provider(Arc::new(crypto::Keys))
            .with_http_connector(http::Wire::new(client, host, port));
        let options = ClientOptions::new().with_allow_http(!tls);
        Ok(Self { builder, options, prefix: prefix.clone() })
    }

    /// A store whose puts carry a lock. It is for puts alone: what else it sends would carry it too.
    fn store(
        &self,
        lock: Option<(&'static str, Timestamp)>,
    ) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let mut options = self.options.clone();
        if let Some((mode, until)) = lock {
            let until = HeaderValue::from_str(&until.to_string());
            let until = until.map_err(|source| object_store::Error::Generic {
                store: "S3",
                source: Box::new(source),
            })?;
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-object-lock-mode", HeaderValue::from_static(mode));
            headers.insert("x-amz-object-lock-retain-until-date", until);
            // A lock is only taken with a digest; this says which of the headers has it.
            headers.insert("x-amz-sdk-checksum-algorithm", HeaderValue::from_static("SHA256"));
            options = options.with_default_headers(headers);
        }
        let store = self.builder.clone().with_client_options(options).build()?;
        if self.prefix.is_empty() {
            return Ok(Arc::new(store));
        }
        Ok(Arc::new(PrefixStore::new(store, self.prefix.as_str())))
    }
}
