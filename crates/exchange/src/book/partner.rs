//! Another agency as it is written down: `partners/*.toml`.

use std::path::{Path, PathBuf};

use keys::cert::Certificate;
use ledger::note::{Checkpoint, VerifierKey};
use policy::Ori;
use serde::Deserialize;

use super::files::{Problem, problem, read};

/// What one partner's parcels may take in the store unless its file says otherwise: 64 GiB.
const QUOTA_BYTES_DEFAULT: u64 = 64 << 30;

/// Another agency: who it is, where it listens, and by which certificates it is known.
#[derive(Debug, Clone)]
pub struct Partner {
    pub ori: Ori,
    pub name: String,
    pub host: String,
    pub port: u16,
    pub addresses: wire::Addresses,
    /// Its end of mutual TLS, in both directions. Exactly this certificate.
    pub tls: Certificate,
    /// Signs its parcels and receipts.
    pub signing: Certificate,
    /// Parcels are sealed to it.
    pub sealing: Certificate,
    /// What its parcels may take in our store, in bytes.
    pub quota_bytes: u64,
    /// The key that signs its ledger's checkpoints. With it, checkpoints that come with deliveries and
    /// receipts must be signed by it, and we cosign for its ledger.
    pub ledger_key: Option<VerifierKey>,
    /// Whose rules it is under.
    pub jurisdiction: Option<String>,
}

impl Partner {
    /// Whether a checkpoint is one of the partner's ledger and covers the entry; any is where we don't have
    /// the ledger's key.
    pub(crate) fn signed(&self, entry: u64, checkpoint: &str) -> bool {
        let Some(key) = &self.ledger_key else { return true };
        Checkpoint::open(checkpoint, key).is_ok_and(|checkpoint| entry < checkpoint.size)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartnerFile {
    ori: Ori,
    name: String,
    host: String,
    port: u16,
    #[serde(default)]
    private_addresses: bool,
    tls_certificate: PathBuf,
    signing_certificate: PathBuf,
    sealing_certificate: PathBuf,
    #[serde(default = "quota_default")]
    quota_bytes: u64,
    ledger_key: Option<String>,
    jurisdiction: Option<String>,
}

const PARTNER_KEYS: &[&str] = &[
    "ori",
    "name",
    "host",
    "port",
    "private_addresses",
    "tls_certificate",
    "signing_certificate",
    "sealing_certificate",
    "quota_bytes",
    "ledger_key",
    "jurisdiction",
];

fn quota_default() -> u64 {
    QUOTA_BYTES_DEFAULT
}

pub(crate) fn partner(file: &Path, text: &str) -> Result<Partner, Vec<Problem>> {
    let read: PartnerFile = read(file, text, PARTNER_KEYS)?;
    let mut problems = Vec::new();
    let mut certificate = |key: &str, path: &Path| {
        let path = file.parent().unwrap_or(Path::new(".")).join(path);
        let found = keys::file::read(&path, 64 * 1024)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|pem| Certificate::from_pem(&pem).ok());
        if found.is_none() {
            let expected = "the path of a PEM certificate, from this file's folder";
            problems.push(problem(file, text, key, expected));
        }
        found
    };
    let tls = certificate("tls_certificate", &read.tls_certificate);
    let signing = certificate("signing_certificate", &read.signing_certificate);
    let sealing = certificate("sealing_certificate", &read.sealing_certificate);
    let ledger_key = read.ledger_key.as_deref().map(VerifierKey::parse);
    if matches!(ledger_key, Some(Err(_))) {
        let expected = "a ledger's verifier key: name, plus, hash, plus, key";
        problems.push(problem(file, text, "ledger_key", expected));
    }
    let (Some(tls), Some(signing), Some(sealing)) = (tls, signing, sealing) else {
        return Err(problems);
    };
    let Ok(ledger_key) = ledger_key.transpose() else { return Err(problems) };
    let addresses = match read.private_addresses {
        true => wire::Addresses::Private,
        false => wire::Addresses::Public,
    };
    let PartnerFile { ori, name, host, port, quota_bytes, jurisdiction, .. } = read;
    Ok(Partner {
        ori,
        name,
        host,
        port,
        addresses,
        tls,
        signing,
        sealing,
        quota_bytes,
        ledger_key,
        jurisdiction,
    })
}
