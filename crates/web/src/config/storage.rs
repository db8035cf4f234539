//! Object storage, as `bailiwick.toml` declares it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A folder, or a bucket of an S3-compatible store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum StorageConfig {
    /// A folder, on other disks than the data folder's.
    Folder {
        /// Which; made if it is not there.
        folder: PathBuf,
    },
    /// A bucket of an S3-compatible store.
    #[serde(rename = "s3")]
    S3 {
        /// `https://host` or `https://host:port`; plain HTTP to a loopback address only.
        endpoint: String,
        /// As the store calls it.
        region: String,
        /// The bucket, which is there already; with Object Lock switched on if `lock` asks for it.
        bucket: String,
        /// Under which everything is put; empty for the bucket's root.
        #[serde(default)]
        prefix: String,
        /// A file of two lines, mode 0600: the access key's id, and its secret.
        access_key_file: PathBuf,
        /// The CA (PEM) that the endpoint's certificate must come from; required with `https`.
        ca_file: Option<PathBuf>,
        /// Whether the endpoint's name may lead to a private address.
        #[serde(default)]
        private_addresses: bool,
        /// Whether objects are locked until their schedule's date.
        lock: LockMode,
    },
}

/// S3 Object Lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockMode {
    /// Nobody can delete before the date, nor shorten it.
    Compliance,
    /// Who has the store's permission for it can.
    Governance,
    /// No lock.
    None,
}

impl StorageConfig {
    pub(crate) fn resolve(&mut self, base: &Path) {
        let fix = |path: &mut PathBuf| *path = base.join(&*path);
        match self {
            Self::Folder { folder } => fix(folder),
            Self::S3 { access_key_file, ca_file, .. } => {
                fix(access_key_file);
                ca_file.iter_mut().for_each(fix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const SMALL: &str = include_str!("../../../../bailiwick.example.toml");
    const S3: &str = "\n[ledger.archive]\nkind = \"s3\"\nendpoint = \"https://s3.example\"\n\
        region = \"r\"\nbucket = \"b\"\naccess_key_file = \"archive.key\"\nlock = \"compliance\"\n";

    #[test]
    fn an_archive_is_declared_with_paths_beside_the_file() {
        let config = Config::parse(&format!("{SMALL}{S3}"), Path::new("etc/b.toml")).unwrap();
        let Some(StorageConfig::S3 { access_key_file, lock, private_addresses, .. }) =
            config.ledger.archive
        else {
            panic!("it is S3")
        };
        assert_eq!(access_key_file, Path::new("etc/archive.key"));
        assert_eq!((lock, private_addresses), (LockMode::Compliance, false));
    }

    #[test]
    fn whether_an_archive_is_locked_must_be_said() {
        let text = format!("{SMALL}{S3}").replace("lock = \"compliance\"\n", "");
        let error = Config::parse(&text, Path::new("b.toml")).unwrap_err();
        assert!(error.to_string().contains("missing field `lock`"), "{error}");
    }
}
