//! A ledger in PostgreSQL, as `bailiwick.toml` declares it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The database that has the ledger, which all processes of an agency share.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedLedgerConfig {
    /// Host name, as in its certificate.
    pub host: String,
    /// Port.
    #[serde(default = "super::postgres_port_default")]
    pub port: u16,
    /// Database name.
    pub database: String,
    /// Role to sign in with: the ledger's own.
    pub user: String,
    /// A file with that role's password on its first line, mode 0600.
    pub password_file: PathBuf,
    /// The CA (PEM) that the server's certificate must come from.
    pub ca_file: PathBuf,
}

impl SharedLedgerConfig {
    /// Makes paths relative to the configuration's folder.
    pub(super) fn resolve(&mut self, base: &Path) {
        for path in [&mut self.password_file, &mut self.ca_file] {
            *path = base.join(&*path);
        }
    }
}
