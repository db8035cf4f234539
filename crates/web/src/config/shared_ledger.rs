//! A ledger in PostgreSQL, as `bailiwick.toml` declares it.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::storage::StorageConfig;

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
    /// The size that the database may have, in GiB: from `capacity_warn_percent` of it on there is an
    /// alarm. Without it none is raised, for the server's disk can't be seen.
    pub size_max_gib: Option<NonZeroU32>,
    /// Where closed ranges of the ledger go; without it everything stays in the database.
    pub objects: Option<StorageConfig>,
    /// Days that what was recorded stays in the database at least, where there is such a place.
    #[serde(default = "objects_after_default")]
    pub objects_after_days: u16,
}

impl SharedLedgerConfig {
    /// Makes paths relative to the configuration's folder.
    pub(super) fn resolve(&mut self, base: &Path) {
        for path in [&mut self.password_file, &mut self.ca_file] {
            *path = base.join(&*path);
        }
        if let Some(objects) = &mut self.objects {
            objects.resolve(base);
        }
    }
}

const fn objects_after_default() -> u16 {
    7
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::storage::{LockMode, StorageConfig};
    use super::*;

    const SMALL: &str = include_str!("../../../../bailiwick.example.toml");
    const SHARED: &str = "\n[ledger.postgres]\nhost = \"db.example\"\ndatabase = \"d\"\n\
        user = \"u\"\npassword_file = \"p\"\nca_file = \"ca.pem\"\n\
        [ledger.postgres.objects]\nkind = \"s3\"\nendpoint = \"https://s3.example\"\n\
        region = \"r\"\nbucket = \"b\"\naccess_key_file = \"s3.key\"\nlock = \"governance\"\n";

    #[test]
    fn an_object_store_of_a_shared_ledger_is_declared_as_an_archive_is() {
        let config = Config::parse(&format!("{SMALL}{SHARED}"), Path::new("etc/b.toml")).unwrap();
        let shared = config.ledger.postgres.unwrap();
        assert_eq!((shared.objects_after_days, shared.size_max_gib), (7, None));
        let Some(StorageConfig::S3 { access_key_file, lock, .. }) = shared.objects else {
            panic!("it is S3")
        };
        assert_eq!(access_key_file, Path::new("etc/s3.key"));
        assert_eq!(lock, LockMode::Governance);
    }

    #[test]
    fn a_database_has_a_size_or_none_and_never_no_room_at_all() {
        let with = |size: u32| {
            let shared = SHARED.replace("user =", &format!("size_max_gib = {size}\nuser ="));
            Config::parse(&format!("{SMALL}{shared}"), Path::new("etc/b.toml"))
        };
        let shared = with(200).unwrap().ledger.postgres.unwrap();
        assert_eq!(shared.size_max_gib.map(NonZeroU32::get), Some(200));
        assert!(with(0).is_err());
    }
}
