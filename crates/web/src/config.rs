//! `bailiwick.toml`: everything an agency sets, in one struct.
//!
//! Unknown keys are refused with the nearest known one, secrets are given by path and never by
//! value, and relative paths are relative to the file. This is the only place in the product that
//! reads configuration; the environment is not consulted.

mod certificates;
mod devices;
mod directory;
mod emergency;
mod exchange;
mod guests;
mod identity;
mod ldap;
mod ledger;
mod oidc;
mod qualifications;
mod shared_ledger;
mod signals;
mod storage;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use policy::Ori;
use serde::Deserialize;

pub(crate) use self::certificates::CLIENT_CERT;
pub use self::certificates::{CertificateProviderConfig, ProxyConfig, SecondFactorConfig};
pub use self::devices::DeviceClassConfig;
pub(crate) use self::devices::classes;
pub use self::directory::DirectoryConfig;
pub use self::emergency::EmergencyConfig;
pub(crate) use self::emergency::host_of;
pub use self::exchange::{ExchangeConfig, MediumConfig, ScannerConfig};
pub use self::exchange::{TimeStampAuthorityConfig, TimeStampsConfig};
pub use self::guests::GuestsConfig;
pub use self::identity::{
    FunctionsFrom, IdentityProviderConfig, MfaAttribute, SamlConfig, hash_of,
};
pub use self::ldap::LdapConfig;
pub use self::ledger::LedgerConfig;
pub use self::oidc::{AssertionAudience, OidcProviderConfig};
pub use self::qualifications::{QualificationsConfig, RequiredConfig};
pub use self::signals::EventStreamConfig;
pub use shared_ledger::SharedLedgerConfig;
pub use storage::{LockMode, StorageConfig};
use words::{line_of, with_nearest};

use crate::witnesses::{self, WitnessConfig, WitnessingConfig};

/// The largest configuration file that is read, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 256 * 1024;

/// The whole configuration of one agency's Bailiwick.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose installation this is.
    pub agency: AgencyConfig,
    /// Where it listens.
    pub listen: Listen,
    /// Where it keeps its own state.
    pub data: Data,
    /// How its ledger is named and laid out.
    pub ledger: LedgerConfig,
    /// Policies other than the built-in ones.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// Tool files.
    #[serde(default)]
    pub tools: ToolsConfig,
    /// Session limits, which can only be made shorter.
    #[serde(default)]
    pub session: SessionConfig,
    /// The agency's own systems.
    #[serde(default, rename = "source")]
    pub sources: Vec<SourceConfig>,
    /// Who proves identities.
    #[serde(default, rename = "identity_provider")]
    pub identity_providers: Vec<IdentityProviderConfig>,
    /// Those of them that speak OpenID Connect.
    #[serde(default, rename = "oidc_provider")]
    pub oidc_providers: Vec<OidcProviderConfig>,
    /// Whose client certificates count.
    #[serde(default, rename = "certificate_provider")]
    pub certificate_providers: Vec<CertificateProviderConfig>,
    /// The reverse proxy in front, if it may say what clients showed.
    pub proxy: Option<ProxyConfig>,
    /// Who tells us of revoked sessions and changed authenticators.
    #[serde(default, rename = "event_stream")]
    pub event_streams: Vec<EventStreamConfig>,
    /// Who keeps their people and groups current.
    #[serde(default, rename = "directory")]
    pub directories: Vec<DirectoryConfig>,
    /// Who is asked which groups their people are in.
    #[serde(default)]
    pub ldap: Vec<LdapConfig>,
    /// The way in for when nobody proves identities; absent: there is none.
    pub emergency: Option<EmergencyConfig>,
    /// Our keys towards them.
    #[serde(default)]
    pub saml: SamlConfig,
    /// What people need before they get CJI.
    #[serde(default)]
    pub qualifications: QualificationsConfig,
    /// Sharing with partners; absent means that no parcel leaves or comes in.
    pub exchange: Option<ExchangeConfig>,
    /// Who confirms the ledger from outside.
    #[serde(default, rename = "witness")]
    pub witnesses: Vec<WitnessConfig>,
    /// What their silence means.
    #[serde(default)]
    pub witnessing: WitnessingConfig,
}

/// The agency itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgencyConfig {
    /// Its name, as people know it.
    pub name: String,
    /// Its Originating Agency Identifier: nine capital letters and digits.
    pub ori: Ori,
    /// The handling line at the top of every page.
    #[serde(default = "handling_default")]
    pub handling: String,
    /// The system-use notice (AC-8) that each session must accept. The default has the four
    /// statements that the control asks for.
    #[serde(default = "notice_default")]
    pub notice: Vec<String>,
    /// A line that says this is a demonstration with made-up people; empty outside the demo.
    #[serde(default)]
    pub demonstration: String,
}

/// Listeners. Plain HTTP is served on loopback only.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The address of the pages.
    pub pages: SocketAddr,
    /// The origin that browsers see, for example `https://bailiwick.riverton.example`.
    pub public_url: String,
    /// Certificate chain (PEM) for the pages; required unless `pages` is a loopback address.
    pub certificate: Option<PathBuf>,
    /// The private key (PKCS#8 PEM) of that certificate.
    pub key: Option<PathBuf>,
}

/// The platform's own state.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The folder of state, ledger and parcels.
    pub folder: PathBuf,
    /// A file of 32 random bytes, mode 0600, on a volume that backups of `folder` do not cover.
    pub master_key: PathBuf,
}

/// Where policies come from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// A folder with `schema.cedarschema` and `*.cedar`; absent means the built-in set.
    pub folder: Option<PathBuf>,
}

/// Where tools come from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolsConfig {
    /// A folder of `*.toml` tool files.
    pub folder: Option<PathBuf>,
}

/// Session limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    /// Minutes without activity after which a session ends; 1 to 30 (AC-11).
    #[serde(default = "idle_default")]
    pub idle_minutes: u32,
    /// Other minutes for classes of devices, by their names.
    #[serde(default)]
    pub device_class: BTreeMap<String, DeviceClassConfig>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { idle_minutes: idle_default(), device_class: BTreeMap::new() }
    }
}

/// One system of the agency.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum SourceConfig {
    /// A SQLite file.
    Sqlite {
        /// The name that tool files use.
        id: String,
        /// The database file.
        path: PathBuf,
        /// Whether tools may write through this source.
        #[serde(default)]
        write: bool,
    },
    /// A PostgreSQL server, over verified TLS.
    Postgres {
        /// The name that tool files use.
        id: String,
        /// Host name, as in its certificate.
        host: String,
        /// Port.
        #[serde(default = "postgres_port_default")]
        port: u16,
        /// Database name.
        database: String,
        /// Role to sign in with.
        user: String,
        /// A file with that role's password.
        password_file: PathBuf,
        /// The CA (PEM) that the server's certificate must come from.
        ca_file: PathBuf,
        /// Whether tools may write through this source.
        #[serde(default)]
        write: bool,
    },
    /// A folder of evidence files.
    Evidence {
        /// The name that tool files use.
        id: String,
        /// The folder.
        folder: PathBuf,
    },
}

fn handling_default() -> String {
    "Criminal Justice Information. Authorised use only.".to_owned()
}

fn notice_default() -> Vec<String> {
    [
        "You are accessing a restricted information system.",
        "Usage may be monitored, recorded, and subject to audit.",
        "Unauthorised use is prohibited and subject to criminal and civil penalties.",
        "Using this system indicates consent to monitoring and recording.",
    ]
    .map(str::to_owned)
    .to_vec()
}

const fn idle_default() -> u32 {
    30
}

const fn postgres_port_default() -> u16 {
    5432
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("could not read configuration `{path}`")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than [`CONFIG_BYTES_MAX`].
    #[error("configuration `{path}` has {bytes} bytes; {CONFIG_BYTES_MAX} are allowed")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// How many bytes it has.
        bytes: u64,
    },
    /// It is not the TOML that is expected; the text names line, key and the nearest known key.
    #[error("configuration `{path}`{place}: {what}")]
    Shape {
        /// Which file.
        path: PathBuf,
        /// `, line 7`, or nothing where the parser does not know.
        place: String,
        /// What is wrong, with the nearest known key.
        what: String,
    },
    /// A value is outside its bounds.
    #[error("configuration `{path}`: `{key}` {what}")]
    Value {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

impl Config {
    /// Reads and checks a configuration file. Paths in it come back absolute or relative to the
    /// working folder, as the file's own path is.
    ///
    /// # Errors
    /// [`ConfigError`], which names file, line and key.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let bytes = fs::metadata(path).map_err(failed)?.len();
        if bytes > CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLarge { path: path.to_owned(), bytes });
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text, path)
    }

    /// Parses the text of a configuration file that stands at `path`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| ConfigError::Shape {
            path: path.to_owned(),
            place: error.span().map_or_else(String::new, |span| line_of(text, span.start)),
            what: with_nearest(error.message()),
        })?;
        config.check(path)?;
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let value = |key, what: &str| {
            Err(ConfigError::Value { path: path.to_owned(), key, what: what.to_owned() })
        };
        if !(1..=30).contains(&self.session.idle_minutes) {
            return value("session.idle_minutes", "must be between 1 and 30 (AC-11)");
        }
        let months = [self.ledger.standard_months, self.ledger.dissemination_months];
        if !months.iter().all(|months| (12..=1200).contains(months)) {
            return value("ledger.standard_months", "and others are 12 to 1200 months (AU-11)");
        }
        let authority = self.ledger.retention_authority.len();
        if !(1..=::ledger::retention::AUTHORITY_BYTES_MAX).contains(&authority) {
            return value("ledger.retention_authority", "has 1 to 2000 bytes");
        }
        if !(50..=100).contains(&self.ledger.capacity_warn_percent) {
            return value("ledger.capacity_warn_percent", "must be between 50 and 100 (AU-5)");
        }
        if !self.listen.pages.ip().is_loopback() && self.listen.certificate.is_none() {
            return value("listen.pages", "is not loopback, so `listen.certificate` is required");
        }
        if self.listen.certificate.is_some() != self.listen.key.is_some() {
            return value("listen.certificate", "and `listen.key` go together");
        }
        if self.listen.public_url.ends_with('/') || !self.listen.public_url.starts_with("http") {
            return value(
                "listen.public_url",
                "is an origin such as `https://host`, no slash after",
            );
        }
        let cards = self.certificate_providers.iter().any(|one| one.multi_factor);
        if self.identity_providers.is_empty() && self.oidc_providers.is_empty() && !cards {
            return value("identity_provider", "is missing: nobody could sign in");
        }
        self.check_certificates().or_else(|(key, what)| value(key, what))?;
        let directories = directory::check(self);
        let ours = &self.agency.ori;
        let providers = self.identity_providers.iter().map(|provider| provider.check(ours));
        let oidc = self.oidc_providers.iter().map(|provider| provider.check(ours));
        let sharing = self.exchange.as_ref().map_or(Ok(()), ExchangeConfig::check);
        let others = [emergency::check(self), ldap::check(self), sharing, exchange::check(self)];
        let oidc = oidc.chain(self.event_streams.iter().map(EventStreamConfig::check));
        if let Some((key, what)) = providers
            .chain([self.saml.check(), self.qualifications.check(), directories])
            .chain(others)
            .chain(oidc)
            .find_map(Result::err)
        {
            return value(key, what);
        }
        if let Err((key, what)) = witnesses::rules(&self.witnesses, &self.witnessing) {
            return value(key, &what);
        }
        Ok(())
    }

    fn resolve(&mut self, base: &Path) {
        let fix = |path: &mut PathBuf| *path = base.join(&*path);
        fix(&mut self.data.folder);
        fix(&mut self.data.master_key);
        [&mut self.policy.folder, &mut self.tools.folder].into_iter().flatten().for_each(fix);
        [&mut self.listen.certificate, &mut self.listen.key].into_iter().flatten().for_each(fix);
        for source in &mut self.sources {
            match source {
                SourceConfig::Sqlite { path, .. } => fix(path),
                SourceConfig::Evidence { folder, .. } => fix(folder),
                SourceConfig::Postgres { password_file, ca_file, .. } => {
                    fix(ca_file);
                    fix(password_file);
                }
            }
        }
        self.ledger.postgres.iter_mut().for_each(|shared| shared.resolve(base));
        self.ledger.archive.iter_mut().for_each(|archive| archive.resolve(base));
        self.identity_providers.iter_mut().for_each(|provider| provider.resolve(base));
        self.oidc_providers.iter_mut().for_each(|provider| provider.resolve(base));
        self.event_streams.iter_mut().for_each(|stream| stream.resolve(base));
        self.certificate_providers.iter_mut().for_each(|provider| provider.resolve(base));
        self.proxy.iter_mut().for_each(|proxy| proxy.resolve(base));
        self.ldap.iter_mut().for_each(|ldap| ldap.resolve(base));
        for witness in &mut self.witnesses {
            [&mut witness.certificate, &mut witness.authority].into_iter().flatten().for_each(fix);
        }
        self.exchange.iter_mut().for_each(|exchange| exchange.resolve(base));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = include_str!("../../../bailiwick.example.toml");

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = Config::parse(text, Path::new("agency/bailiwick.toml")).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn the_example_configuration_is_valid() {
        let config = Config::parse(SMALL, Path::new("etc/bailiwick.toml")).unwrap();
        assert_eq!(config.data.folder, Path::new("etc/data"));
    }

    /// What is commented out is meant to be switched on by taking the `# ` away.
    #[test]
    fn every_commented_line_of_the_example_is_a_known_key() {
        let is_toml = |line: &str| {
            let key = line.split_once(" = ").map_or(line, |(key, _)| key);
            let head = key.starts_with('[') && key.ends_with(']');
            head || (key != line
                && key.chars().all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c)))
        };
        let lines = SMALL.lines().map(|line| match line.strip_prefix("# ") {
            Some(hidden) if is_toml(hidden) => hidden,
            _ => line,
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        let config: Config = toml::from_str(&text).unwrap();
        assert!(config.exchange.is_some() && config.emergency.is_some() && !config.ldap.is_empty());
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        refused(
            &SMALL.replace("public_url", "pubic_url"),
            "configuration `agency/bailiwick.toml`, line 14: unknown key `pubic_url`; did you mean `public_url`?",
        );
    }

    #[test]
    fn a_longer_idle_limit_is_refused() {
        refused(
            &format!("{SMALL}\n[session]\nidle_minutes = 31\n"),
            "configuration `agency/bailiwick.toml`: `session.idle_minutes` must be between 1 and 30 (AC-11)",
        );
    }

    #[test]
    fn the_ledgers_alarm_and_a_wrong_clock_are_set_within_bounds() {
        let with = |line: &str| SMALL.replace("[ledger]\n", &format!("[ledger]\n{line}\n"));
        refused(
            &with("capacity_warn_percent = 101"),
            "configuration `agency/bailiwick.toml`: `ledger.capacity_warn_percent` must be between 50 and 100 (AU-5)",
        );
        let text = with("clock_wrong_until = \"2027-11-25T14:00:00Z\"");
        let config = Config::parse(&text, Path::new("agency/bailiwick.toml")).unwrap();
        assert!(config.ledger.clock_wrong_until.is_some());
        assert_eq!(config.ledger.capacity_warn_percent, 90);
    }

    #[test]
    fn plain_http_beyond_loopback_is_refused() {
        refused(
            &SMALL.replace("127.0.0.1:8080", "10.0.0.5:8080"),
            "configuration `agency/bailiwick.toml`: `listen.pages` is not loopback, so `listen.certificate` is required",
        );
    }
}
