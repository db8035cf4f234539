//! `[exchange]`: sharing with partners.

mod time_stamps;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use self::time_stamps::{TimeStampAuthorityConfig, TimeStampsConfig};

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
    /// The ML-KEM certificate that partners encrypt to beside it, where the agency has one.
    pub recipient_certificate_kem: Option<PathBuf>,
    /// Its key.
    pub recipient_key_kem: Option<PathBuf>,
    /// A folder with `partners/*.toml`, `agreements/*.toml` and `jurisdictions.toml`.
    pub folder: PathBuf,
    /// How many bytes of parcels leave in a second, over all deliveries. At least 64 KiB: a partner's listener hangs up on
    /// who sends less than 16 KiB a second.
    pub bytes_per_second_max: Option<u64>,
    /// Media that somebody carries to a partner.
    #[serde(default)]
    pub medium: Vec<MediumConfig>,
    /// Whether parcels are destroyed without a person when the time is over for which their agreement lets them be
    /// kept.
    #[serde(default)]
    pub destroy_when_due: bool,
    /// Days for which our own sealed copy of a parcel is kept after it arrived (90).
    #[serde(default = "keep_sent_days_default")]
    pub keep_sent_days: u32,
    /// The name of the listener under which guests come in. Absent: they come to the pages.
    pub guests: Option<super::GuestsConfig>,
    /// What makes MP4s of films, for partners whose desks don't play the original.
    pub films: Option<FilmsConfig>,
    /// The time-stamp authority that is asked when a parcel is sealed.
    pub time_stamps: Option<TimeStampsConfig>,
    /// What makes us a time-stamp authority for partners.
    pub time_stamp_authority: Option<TimeStampAuthorityConfig>,
    /// The malware scanner that is asked about what arrives.
    pub scanner: Option<ScannerConfig>,
}

fn keep_sent_days_default() -> u32 {
    90
}

/// The system's ffmpeg.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilmsConfig {
    /// The program.
    pub ffmpeg: PathBuf,
}

/// ClamAV's daemon, asked by INSTREAM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScannerConfig {
    /// Its TCP address on this machine: what it reads is not encrypted on the way.
    pub address: SocketAddr,
    /// Bytes of one file that it takes: its `StreamMaxLength`.
    #[serde(default = "stream_bytes_default")]
    pub stream_bytes_max: u64,
    /// Whether files that it did not look at to their end stay closed, as infected ones do.
    #[serde(default)]
    pub hold_not_fully_scanned: bool,
}

const fn stream_bytes_default() -> u64 {
    parcel::scan::STREAM_BYTES_DEFAULT
}

impl ScannerConfig {
    pub(crate) fn scanner(&self) -> exchange::Scanner {
        exchange::Scanner {
            address: self.address,
            stream_bytes_max: self.stream_bytes_max,
            hold_not_fully: self.hold_not_fully_scanned,
        }
    }
}

/// What can't be as it stands.
pub(super) fn check(config: &super::Config) -> Result<(), (&'static str, &'static str)> {
    super::guests::check(config)?;
    let scanner = config.exchange.as_ref().and_then(|exchange| exchange.scanner.as_ref());
    match scanner {
        Some(scanner) if !scanner.address.ip().is_loopback() => Err((
            "exchange.scanner.address",
            "is not loopback; files go to the scanner unencrypted, so it has to run on this machine",
        )),
        Some(scanner) if scanner.stream_bytes_max == 0 => {
            Err(("exchange.scanner.stream_bytes_max", "is 0; it is the scanner's StreamMaxLength"))
        }
        Some(_) | None => Ok(()),
    }
}

/// A medium that somebody carries to a partner.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediumConfig {
    /// As forms and agreements call it.
    pub name: String,
    /// Where it is mounted.
    pub folder: PathBuf,
    /// Whether a parcel is one ZIP file there instead of a folder.
    #[serde(default)]
    pub zip: bool,
    /// Whether the folder has to be a file system of its own for anything to be written.
    #[serde(default = "yes")]
    pub mounted: bool,
}

fn yes() -> bool {
    true
}

/// The bounds of `keep_sent_days`.
const KEEP_SENT_DAYS: std::ops::RangeInclusive<u32> = 1..=3650;
/// The least `bytes_per_second_max`.
const BYTES_PER_SECOND_LEAST: u64 = 64 << 10;

impl ExchangeConfig {
    /// The key that is out of its bounds, and the bounds.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        self.time_stamps.as_ref().map_or(Ok(()), TimeStampsConfig::check)?;
        let ours = self.time_stamp_authority.as_ref();
        ours.map_or(Ok(()), TimeStampAuthorityConfig::check)?;
        if self.recipient_certificate_kem.is_some() != self.recipient_key_kem.is_some() {
            return Err((
                "exchange.recipient_certificate_kem",
                "needs `recipient_key_kem` beside it, and the other way round",
            ));
        }
        if !KEEP_SENT_DAYS.contains(&self.keep_sent_days) {
            return Err(("exchange.keep_sent_days", "must be 1 to 3650"));
        }
        match self.bytes_per_second_max {
            Some(rate) if rate < BYTES_PER_SECOND_LEAST => {
                Err(("exchange.bytes_per_second_max", "must be at least 65536"))
            }
            Some(_) | None => Ok(()),
        }
    }

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
        let kem = self.recipient_certificate_kem.iter_mut().chain(&mut self.recipient_key_kem);
        kem.for_each(|path| *path = base.join(&*path));
        self.guests.iter_mut().for_each(|guests| guests.resolve(base));
        self.time_stamp_authority.iter_mut().for_each(|ours| ours.resolve(base));
        self.time_stamps.iter_mut().for_each(|stamps| stamps.resolve(base));
        self.medium.iter_mut().for_each(|medium| medium.folder = base.join(&medium.folder));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn a_limit_under_which_partners_would_hang_up_is_refused() {
        let small = include_str!("../../../../bailiwick.example.toml");
        let with_line = |limit: &str| {
            let keys = ["tls_certificate", "tls_key", "signing_certificate", "signing_key"];
            let files =
                keys.into_iter().chain(["recipient_certificate", "recipient_key", "folder"]);
            let files: String = files.map(|key| format!("{key} = \"x\"\n")).collect();
            let text = format!("{small}\n[exchange]\nlisten = \"[::1]:8444\"\n{files}{limit}");
            Config::parse(&text, Path::new("b.toml"))
        };
        let with = |rate: u64| with_line(&format!("bytes_per_second_max = {rate}\n"));
        assert_eq!(with(65_536).unwrap().exchange.unwrap().keep_sent_days, 90);
        let error = with_line("keep_sent_days = 0\n").unwrap_err().to_string();
        assert!(error.contains("`exchange.keep_sent_days` must be 1 to 3650"), "{error}");
        assert_eq!(with(65_536).unwrap().exchange.unwrap().bytes_per_second_max, Some(65_536));
        let error = with(65_535).unwrap_err().to_string();
        assert!(
            error.contains("`exchange.bytes_per_second_max` must be at least 65536"),
            "{error}"
        );
    }
}
