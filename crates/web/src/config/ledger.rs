//! `[ledger]`: how the ledger is named, laid out, kept and watched.

use serde::Deserialize;

use super::shared_ledger::SharedLedgerConfig;
use super::storage::StorageConfig;

/// The ledger.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerConfig {
    /// Its C2SP origin line, for example `riverton.example/ledger`.
    pub origin: String,
    /// Bytes of one pre-written segment.
    #[serde(default = "segment_default")]
    pub segment_bytes: u64,
    /// Months that records are kept; at least 12 (AU-11). Moves nothing that is written already.
    #[serde(default = "standard_default")]
    pub standard_months: u32,
    /// Months that records of dissemination are kept; at least 12.
    #[serde(default = "dissemination_default")]
    pub dissemination_months: u32,
    /// Whether the server disposes of what is due by itself, once a day.
    #[serde(default)]
    pub dispose_daily: bool,
    /// What goes on record as the authority for that.
    #[serde(default = "authority_default")]
    pub retention_authority: String,
    /// From this percentage of its volume on there is an alarm (AU-5); 50 to 100.
    #[serde(default = "capacity_warn_default")]
    pub capacity_warn_percent: u8,
    /// Entries up to this time (RFC 3339, in quotes) were written while the clock was wrong: that
    /// they lie ahead of it is no reason to refuse records. Remove it once that time is over.
    pub clock_wrong_until: Option<jiff::Timestamp>,
    /// The database that has it, for several processes; absent means the data folder.
    pub postgres: Option<SharedLedgerConfig>,
    /// Where `bailiwick ledger archive` puts closed segments.
    pub archive: Option<StorageConfig>,
}

const fn segment_default() -> u64 {
    64 * 1024 * 1024
}

const fn standard_default() -> u32 {
    36
}

const fn dissemination_default() -> u32 {
    120
}

fn authority_default() -> String {
    "the retention schedule in the agency's configuration".to_owned()
}

const fn capacity_warn_default() -> u8 {
    90
}
