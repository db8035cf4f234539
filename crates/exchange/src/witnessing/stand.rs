//! A witness that is nothing else: a small settings file, a folder, a listener over TLS.
//!
//! Its keys are made at the first start. It knows no partner: who has a log's key may ask, for what it signs
//! is only what the log has signed before.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keys::cert::{CertSpec, Certificate, Usage, issue};
use keys::keyring::Keyring;
use keys::sign::P384Key;
use keys::{Clock, KeysError, Random};
use ledger::note::VerifierKey;
use ledger::witness::{Witness, WitnessError};
use serde::Deserialize;
use wire::serve::{Limits, TlsListener, serve_tls};
use wire::tls::{Own, server_config};

use crate::witnessing::Cosigner;

/// The longest settings file.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// How long a certificate that is made here is good for.
const CERTIFICATE_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 2);
/// Most names of the listener.
const HOSTS_MAX: usize = 16;

/// Why a witness can't be run.
#[derive(Debug, thiserror::Error)]
pub enum StandError {
    #[error("could not read the witness's settings or keys")]
    Keys(#[from] KeysError),
    #[error("`{path}`: {what}")]
    Settings { path: PathBuf, what: String },
    #[error("could not make the folder `{path}`")]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the witness could not be opened")]
    Witness(#[from] WitnessError),
    #[error("the witness could not be served")]
    Wire(#[from] wire::WireError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    name: String,
    listen: SocketAddr,
    hosts: Vec<String>,
    folder: PathBuf,
    master_key: PathBuf,
    tls_certificate: PathBuf,
    tls_key: PathBuf,
    #[serde(default, rename = "log")]
    logs: Vec<LogEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogEntry {
    key: String,
}

/// A witness that is open and listens.
pub struct StandAlone {
    cosigner: Arc<Cosigner>,
    listener: TlsListener,
    certificate: PathBuf,
}

impl StandAlone {
    /// Reads a settings file, makes what keys are missing, opens the witness and its listener. Paths are
    /// relative to the file.
    ///
    /// # Errors
    /// [`StandError`].
    pub async fn open(
        file: &Path,
        clock: Arc<dyn Clock>,
        random: &dyn Random,
    ) -> Result<Self, StandError> {
        let (settings, logs) = read(file)?;
        let base = file.parent().unwrap_or(Path::new("."));
        let folder = base.join(&settings.folder);
        make_folder(&folder)?;
        let master = base.join(&settings.master_key);
        let master = match master.exists() {
            true => keys::keyring::read_master(&master)?,
            false => keys::keyring::create_master(&master, random)?,
        };
        let signer = Keyring::open(&folder.join("keys"), &master)?.ed25519("witness", random)?;
        let certificate = base.join(&settings.tls_certificate);
        let own = own(&settings, &certificate, &base.join(&settings.tls_key), clock.now(), random)?;
        let disk: Arc<dyn ledger::Disk> = Arc::new(ledger::SystemDisk);
        let known = folder.join("known");
        let witness = Witness::open(&disk, &known, &settings.name, signer, logs, clock.clone())?;
        let tls = server_config(&own, None, clock.clone())?;
        let listener = TlsListener::bind(settings.listen, &tls).await?;
        let cosigner = Arc::new(Cosigner::new(witness, None, clock));
        Ok(Self { cosigner, listener, certificate })
    }

    /// The key under which it cosigns, as logs are to be given it.
    pub fn key(&self) -> String {
        self.cosigner.witness().key().to_string()
    }

    /// The certificate that logs are to trust.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The logs that it knows, and how large they were last.
    pub fn sizes(&self) -> Vec<(String, Option<u64>)> {
        self.cosigner.witness().sizes()
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.address()
    }

    /// Answers until `stop` completes.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let cosigner = self.cosigner;
        let service = tower::service_fn(move |request| {
            let cosigner = Arc::clone(&cosigner);
            async move { Ok::<_, std::convert::Infallible>(cosigner.answer(request, None).await) }
        });
        serve_tls(self.listener, Limits::pages(), service, stop).await;
    }
}

fn read(file: &Path) -> Result<(SettingsFile, Vec<VerifierKey>), StandError> {
    let bytes = keys::file::read(file, FILE_BYTES_MAX)?;
    parse(&String::from_utf8_lossy(&bytes))
        .map_err(|what| StandError::Settings { path: file.to_owned(), what })
}

/// A settings file and the keys of its logs, or what is wrong with it.
fn parse(text: &str) -> Result<(SettingsFile, Vec<VerifierKey>), String> {
    let settings: SettingsFile = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
        format!("line {line}: {}", error.message())
    })?;
    if settings.hosts.is_empty() || settings.hosts.len() > HOSTS_MAX {
        return Err(format!("`hosts` needs 1 to {HOSTS_MAX} names or addresses of this machine"));
    }
    let mut logs = Vec::with_capacity(settings.logs.len());
    for log in &settings.logs {
        let key = VerifierKey::parse(&log.key);
        logs.push(key.map_err(|_| format!("`{}` is not a log's verifier key", log.key))?);
    }
    Ok((settings, logs))
}

/// Reads any bytes as a settings file, for fuzzing.
pub(crate) fn fuzz(data: &[u8]) {
    std::hint::black_box(parse(&String::from_utf8_lossy(data)).is_ok());
}

fn make_folder(path: &Path) -> Result<(), StandError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StandError::Folder { path: path.to_owned(), source })
}

/// The listener's certificate and key: those that are there, or new ones where neither is.
fn own(
    settings: &SettingsFile,
    certificate: &Path,
    key: &Path,
    now: Timestamp,
    random: &dyn Random,
) -> Result<Own, StandError> {
    if !certificate.exists() && !key.exists() {
        make_certificate(settings, certificate, key, now, random)?;
    }
    let text = |path: &Path| {
        let bytes = keys::file::read(path, FILE_BYTES_MAX)?;
        Ok::<_, StandError>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let chain = Certificate::chain_from_pem(&text(certificate)?)?;
    let pkcs8 = keys::cert::private_key_from_pem(&text(key)?)?;
    Ok(Own { chain, pkcs8 })
}

fn make_certificate(
    settings: &SettingsFile,
    certificate: &Path,
    key: &Path,
    now: Timestamp,
    random: &dyn Random,
) -> Result<(), StandError> {
    let made = P384Key::generate()?;
    let ips = settings.hosts.iter().filter_map(|host| host.parse().ok());
    let names = settings.hosts.iter().filter(|host| host.parse::<std::net::IpAddr>().is_err());
    let spec = CertSpec {
        subject_cn: settings.name.clone(),
        organisation: "Witness of transparency logs".to_owned(),
        not_before: now - SignedDuration::from_hours(1),
        not_after: now + CERTIFICATE_LIFE,
        usage: Usage::TlsPeer,
        dns: names.cloned().collect(),
        ips: ips.collect(),
        uris: Vec::new(),
    };
    let issued = issue(&spec, &made, None, random)?;
    let (disk, pem) = (keys::file::SystemDisk, keys::cert::private_key_pem(&made.to_pkcs8()));
    // The certificate last: where it is, its key is too.
    keys::file::replace(&disk, key, pem.as_bytes(), keys::file::MODE_SECRET)?;
    let public = keys::file::MODE_PUBLIC;
    Ok(keys::file::replace(&disk, certificate, issued.pem().as_bytes(), public)?)
}
