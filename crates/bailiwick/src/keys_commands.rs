//! `bailiwick keys …`: the master key file, the cryptographic module, and keys with certificates for sharing.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use jiff::SignedDuration;
use keys::cert::{CertSpec, Certificate, Usage, issue, issue_for, private_key_from_pem};
use keys::kem::{Kem, KemKey};
use keys::sign::P384Key;
use keys::{Clock as _, SystemClock, SystemRandom};

use crate::passed;
use crate::progress::{say, text_of, write_new};

/// The longest that a certificate may be given for: CJIS and partners look at it once a year or so.
const DAYS_MAX: u32 = 3_650;

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Write a new master key (32 random bytes, mode 0600). Refuses to overwrite.
    #[command(after_help = "Example:\n  bailiwick keys master --out /media/key/master.key")]
    Master {
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make a key and its certificate for sharing with partners. Refuses to overwrite.
    #[command(
        after_help = "Example:\n  bailiwick keys certificate --for time-stamps --name 'Riverton time stamps' --organisation 'Riverton Police Department' \\\n      --out tsa.pem --key-out tsa.key"
    )]
    Certificate(NewCertificate),
    /// Print which cryptographic module runs, and whether it is in FIPS mode.
    Module,
}

/// What a certificate of sharing is for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Purpose {
    /// The partner listener, and towards partners.
    Tls,
    /// Parcels and receipts.
    Signing,
    /// What partners seal to: P-384.
    Sealing,
    /// What partners seal to beside it: ML-KEM-768. Somebody has to vouch for it (--issuer), for such a key can't sign.
    SealingKem,
    /// Time stamps, and nothing else.
    TimeStamps,
}

#[derive(Args)]
pub(crate) struct NewCertificate {
    /// What it is for.
    #[arg(long = "for", value_enum)]
    purpose: Purpose,
    /// The name that people read in it.
    #[arg(long)]
    name: String,
    /// The agency.
    #[arg(long)]
    organisation: String,
    /// How long it is good for.
    #[arg(long, default_value_t = 1095, value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
    days: u32,
    /// A DNS name of the machine, for tls; may be given again.
    #[arg(long)]
    dns: Vec<String>,
    /// An address of the machine, for tls; may be given again.
    #[arg(long)]
    address: Vec<IpAddr>,
    /// Who vouches for it: a certificate (PEM) of a CA, or for sealing-kem the agency's own signing certificate. Absent: itself.
    #[arg(long, requires = "issuer_key")]
    issuer: Option<PathBuf>,
    /// The key of that certificate (PKCS#8 PEM).
    #[arg(long, requires = "issuer")]
    issuer_key: Option<PathBuf>,
    /// The certificate file to write (PEM).
    #[arg(long)]
    out: PathBuf,
    /// The key file to write (PKCS#8 PEM, mode 0600).
    #[arg(long)]
    key_out: PathBuf,
}

pub(crate) fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::Master { out } => {
            keys::keyring::create_master(&out, &SystemRandom)?;
            say(&format!("wrote {}", out.display()));
            Ok(ExitCode::SUCCESS)
        }
        KeysCommand::Certificate(new) => certificate(&new),
        KeysCommand::Module => {
            let module = keys::module::describe();
            say(&format!("{}; FIPS mode: {}", module.name, module.fips));
            Ok(passed(module.fips))
        }
    }
}

fn certificate(new: &NewCertificate) -> anyhow::Result<ExitCode> {
    if new.purpose == Purpose::Tls && new.dns.is_empty() && new.address.is_empty() {
        bail!(
            "a certificate for tls needs --dns or --address: partners hold it against the name that they call"
        );
    }
    let now = SystemClock.now();
    let spec = CertSpec {
        subject_cn: new.name.clone(),
        organisation: new.organisation.clone(),
        not_before: now,
        not_after: now.checked_add(SignedDuration::from_hours(24 * i64::from(new.days)))?,
        usage: match new.purpose {
            Purpose::Tls => Usage::TlsPeer,
            Purpose::Signing => Usage::Signing,
            Purpose::Sealing => Usage::KeyAgreement,
            Purpose::SealingKem => Usage::KeyEncipherment,
            Purpose::TimeStamps => Usage::TimeStamping,
        },
        dns: new.dns.clone(),
        ips: new.address.clone(),
        uris: Vec::new(),
    };
    let issuer = match (&new.issuer, &new.issuer_key) {
        (Some(certificate), Some(key)) => Some(issuer(certificate, key)?),
        _ => None,
    };
    let issuer = issuer.as_ref().map(|(certificate, key)| (certificate, key));
    let (made, pkcs8) = match (new.purpose, issuer) {
        (Purpose::SealingKem, None) => {
            bail!("an ML-KEM key can't sign its own certificate: give --issuer and --issuer-key")
        }
        (Purpose::SealingKem, Some(issuer)) => {
            let key = KemKey::generate(Kem::MlKem768)?;
            (issue_for(&spec, &key.public_spki()?, issuer, &SystemRandom)?, key.to_pkcs8()?)
        }
        (_, issuer) => {
            let key = P384Key::generate()?;
            (issue(&spec, &key, issuer, &SystemRandom)?, key.to_pkcs8())
        }
    };
    // The key first: a certificate whose key was lost looks like one that serves.
    write_new(&new.key_out, keys::cert::private_key_pem(&pkcs8).as_bytes())?;
    write_new(&new.out, made.pem().as_bytes())?;
    let (out, key_out) = (new.out.display(), new.key_out.display());
    say(&format!("wrote {out} and {key_out}; SHA-256 {}", made.fingerprint_text()));
    Ok(ExitCode::SUCCESS)
}

fn issuer(certificate: &Path, key: &Path) -> anyhow::Result<(Certificate, P384Key)> {
    let pkcs8 = private_key_from_pem(&text_of(key)?)?;
    let (certificate, key) =
        (Certificate::from_pem(&text_of(certificate)?)?, P384Key::from_pkcs8(&pkcs8)?);
    if certificate.spki_der()? != key.public_spki() {
        bail!("the issuer's key is not its certificate's");
    }
    Ok((certificate, key))
}
