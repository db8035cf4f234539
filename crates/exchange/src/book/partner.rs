//! Another agency as it is written down: `partners/*.toml`.

use std::path::{Path, PathBuf};

use keys::cert::Certificate;
use ledger::note::{Checkpoint, VerifierKey};
use policy::Ori;
use serde::Deserialize;

use super::files::{Problem, problem, read};

/// What one partner's parcels may take in the store unless its file says otherwise: 64 GiB.
const QUOTA_BYTES_DEFAULT: u64 = 64 << 30;
/// Time-stamp authorities of one partner.
const STAMPERS_MAX: usize = 16;
/// Ways to one partner.
const DELIVERIES_MAX: usize = 20;

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
    /// Time-stamp authorities whose word counts for its parcels: their certificates, or those of CAs that issue them.
    pub time_stamps: Vec<Certificate>,
    /// What its parcels may take in our store, in bytes.
    pub quota_bytes: u64,
    /// The key that signs its ledger's checkpoints. With it, checkpoints that come with deliveries and
    /// receipts must be signed by it, and we cosign for its ledger.
    pub ledger_key: Option<VerifierKey>,
    /// Whose rules it is under.
    pub jurisdiction: Option<String>,
    /// Ways to it beside the push to its server, as they are written down.
    pub deliveries: Vec<Delivery>,
}

/// A way to a partner, as its file declares it. What `settings` say is read where the way is opened.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub name: String,
    /// All other keys.
    pub settings: toml::Table,
    /// The folder that paths start from.
    pub base: PathBuf,
}

/// Whether a way of delivery may be called that.
pub fn is_delivery_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name != crate::depots::PUSH
}

impl Partner {
    /// Whether parcels go to it by RSA-OAEP, for its sealing certificate is RSA.
    pub fn by_rsa(&self) -> bool {
        self.sealing.public_key_algorithm() == keys::cert::PublicKeyAlgorithm::Rsa
    }

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
    #[serde(default)]
    time_stamp_certificates: Vec<PathBuf>,
    #[serde(default = "quota_default")]
    quota_bytes: u64,
    ledger_key: Option<String>,
    jurisdiction: Option<String>,
    #[serde(default)]
    delivery: Vec<toml::Table>,
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
    "time_stamp_certificates",
    "quota_bytes",
    "ledger_key",
    "jurisdiction",
    "delivery",
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
    let stampers = read.time_stamp_certificates.iter().take(STAMPERS_MAX);
    let stampers = stampers.map(|path| certificate("time_stamp_certificates", path));
    let time_stamps: Option<Vec<Certificate>> = stampers.collect();
    if read.time_stamp_certificates.len() > STAMPERS_MAX {
        problems.push(problem(file, text, "time_stamp_certificates", "up to 16 certificates"));
    }
    let ledger_key = read.ledger_key.as_deref().map(VerifierKey::parse);
    if matches!(ledger_key, Some(Err(_))) {
        let expected = "a ledger's verifier key: name, plus, hash, plus, key";
        problems.push(problem(file, text, "ledger_key", expected));
    }
    let deliveries = deliveries(file, read.delivery.clone());
    if deliveries.is_none() {
        let expected = "up to 20 blocks, each with a `name` of its own: lower-case letters, digits, dashes, not `push`";
        problems.push(problem(file, text, "delivery", expected));
    }
    let (Some(tls), Some(signing), Some(sealing), Some(time_stamps)) =
        (tls, signing, sealing, time_stamps)
    else {
        return Err(problems);
    };
    let (Ok(ledger_key), Some(deliveries)) = (ledger_key.transpose(), deliveries) else {
        return Err(problems);
    };
    if !problems.is_empty() {
        return Err(problems);
    }
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
        time_stamps,
        quota_bytes,
        ledger_key,
        jurisdiction,
        deliveries,
    })
}

/// None where a name is missing, taken or not one.
fn deliveries(file: &Path, tables: Vec<toml::Table>) -> Option<Vec<Delivery>> {
    let mut all: Vec<Delivery> = Vec::new();
    for mut settings in tables {
        let name = settings.remove("name")?.as_str().map(ToOwned::to_owned)?;
        if !is_delivery_name(&name) || all.iter().any(|one| one.name == name) {
            return None;
        }
        let base = file.parent().unwrap_or(Path::new(".")).to_owned();
        all.push(Delivery { name, settings, base });
    }
    (all.len() <= DELIVERIES_MAX).then_some(all)
}
