//! `[exchange]`: sharing with partners.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Sharing with partners.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeConfig {
    /// The address of the partner listener (mutual TLS).
    pub listen: SocketAddr,
    /// Our TLS certificate chain on that listener and towards partners (PEM).
    pub tls_certificate: PathBuf,
    /// Its key (PKCS#8 PEM).
    pub tls_key: PathBuf,
    /// The certificate that signs our parcels and receipts.
    pub signing_certificate: PathBuf,
    /// Its key.
    pub signing_key: PathBuf,
    /// The certificate that partners encrypt to.
    pub recipient_certificate: PathBuf,
    /// Its key.
    pub recipient_key: PathBuf,
    /// A folder with `partners/*.toml`, `agreements/*.toml` and `jurisdictions.toml`.
    pub folder: PathBuf,
}

impl ExchangeConfig {
    pub(super) fn resolve(&mut self, base: &Path) {
        [
            &mut self.tls_certificate,
            &mut self.tls_key,
            &mut self.signing_certificate,
            &mut self.signing_key,
            &mut self.recipient_certificate,
            &mut self.recipient_key,
            &mut self.folder,
        ]
        .into_iter()
        .for_each(|path| *path = base.join(&*path));
    }
}
