//! Another agency as it is written down: `partners/*.toml`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use keys::cert::{Certificate, PublicKeyAlgorithm};
use ledger::note::{Checkpoint, VerifierKey};
use parcel::Trust;
use policy::Ori;
use serde::Deserialize;

use super::clause::Clause;
use super::files::{Problem, problem, read};
use crate::{CertificateUse, ExchangeError};

/// What one partner's parcels may take in the store unless its file says otherwise: 64 GiB.
const QUOTA_BYTES_DEFAULT: u64 = 64 << 30;
/// Time-stamp authorities of one partner.
const CERTIFICATES_MAX: usize = 16;
/// Certificates of one partner that were revoked.
const REVOKED_MAX: usize = 100;
/// Why one was.
const REASON_BYTES_MAX: usize = 500;
/// Ways to one partner.
const DELIVERIES_MAX: usize = 20;

/// Another agency: who it is, where it listens if it does, and by which certificates it is known.
#[derive(Debug, Clone)]
pub struct Partner {
    pub ori: Ori,
    pub name: String,
    /// Its own server; none where parcels get there in another way.
    pub server: Option<Server>,
    /// Signs its parcels and receipts; none where it sends neither.
    pub signing: Option<Certificate>,
    /// Parcels are sealed to it.
    pub sealing: Certificate,
    /// And to this ML-KEM certificate beside it.
    pub sealing_kem: Option<Certificate>,
    /// Certificates of its that don't count any more.
    pub revoked: Vec<Revoked>,
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

/// Where a partner's Bailiwick listens, and how it is known.
#[derive(Debug, Clone)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub addresses: wire::Addresses,
    /// Its end of mutual TLS, in both directions. Exactly this certificate.
    pub tls: Certificate,
}

/// A certificate that does not count from a time on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// SHA-256 of the certificate, 64 hex digits.
    pub fingerprint: String,
    pub since: Timestamp,
    pub reason: String,
}

impl Revoked {
    pub(crate) fn error(&self, usage: CertificateUse) -> ExchangeError {
        let (usage, reason) = (usage.does(), self.reason.clone());
        ExchangeError::Revoked { usage, since: self.since, reason }
    }
}

/// A way to a partner, as its file declares it. What `settings` say is read where the way is opened.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub name: String,
    /// All other keys.
    pub settings: toml::Table,
    /// The folder that paths start from.
    pub base: PathBuf,
    /// SHA-256 (hex) of the files that say which server is believed, by the keys that name them.
    pub pinned: Vec<(String, String)>,
}

/// Keys of a way that name a file which says which server is believed.
const PINNED: [&str; 2] = ["ca_file", "known_hosts_file"];

/// Whether a way of delivery may be called that.
pub fn is_delivery_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name != crate::depots::PUSH
}

impl Partner {
    /// All its certificates that are in use, and what each is for.
    pub fn certificates(&self) -> Vec<(CertificateUse, &Certificate)> {
        let one = [
            (CertificateUse::Tls, self.server.as_ref().map(|server| &server.tls)),
            (CertificateUse::Signing, self.signing.as_ref()),
            (CertificateUse::Sealing, Some(&self.sealing)),
            (CertificateUse::SealingKem, self.sealing_kem.as_ref()),
        ];
        one.into_iter().filter_map(|(usage, one)| Some((usage, one?))).collect()
    }

    /// That a certificate does not count at a time, if so.
    pub fn revoked(&self, certificate: &Certificate, at: Timestamp) -> Option<&Revoked> {
        let found = certificate.fingerprint_text();
        self.revoked.iter().find(|one| one.fingerprint == found && one.since <= at)
    }

    /// Whether its certificates of these uses count at a time.
    ///
    /// # Errors
    /// [`Clause::Revoked`].
    pub fn counts(&self, uses: &[CertificateUse], at: Timestamp) -> Result<(), Clause> {
        for (usage, certificate) in self.certificates() {
            let revoked = self.revoked(certificate, at).filter(|_| uses.contains(&usage));
            if let Some(Revoked { since, reason, .. }) = revoked {
                let (usage, reason) = (usage.does(), reason.clone());
                return Err(Clause::Revoked { usage, since: *since, reason });
            }
        }
        Ok(())
    }

    /// Whether what was sealed to these certificates may still go to it: whoever has the key of one that is revoked
    /// could open it, whatever the partner's file names by now.
    ///
    /// # Errors
    /// [`Clause::Revoked`].
    pub fn still_opens(&self, sealed_to: &[String], at: Timestamp) -> Result<(), Clause> {
        let is_in_it = |one: &&Revoked| sealed_to.contains(&one.fingerprint) && one.since <= at;
        match self.revoked.iter().find(is_in_it) {
            None => Ok(()),
            Some(Revoked { since, reason, .. }) => Err(Clause::Revoked {
                usage: "this parcel was sealed to (it has to be asked for anew)",
                since: *since,
                reason: reason.clone(),
            }),
        }
    }

    /// Whose signature is believed for what comes at a time. Of what has a time of its own the time is that at which it
    /// came here: a signer may write any.
    pub fn trust(&self, at: Timestamp) -> Trust {
        let counts = self.signing.iter().filter(|one| self.revoked(one, at).is_none());
        Trust { senders: counts.cloned().collect(), now: at }
    }

    /// What parcels to it are sealed to: each opens the whole parcel alone.
    pub fn recipients(&self) -> Vec<Certificate> {
        std::iter::once(&self.sealing).chain(&self.sealing_kem).cloned().collect()
    }

    /// Whether parcels go to it by RSA-OAEP, for its sealing certificate is RSA.
    pub fn by_rsa(&self) -> bool {
        self.sealing.public_key_algorithm() == PublicKeyAlgorithm::Rsa
    }

    /// What its file says, for a reviewer: all but what is revoked and the room for its parcels.
    pub fn lines(&self) -> Vec<(String, String)> {
        let one = |name: &str, said: String| (name.to_owned(), said);
        let mut lines = vec![one("ORI", self.ori.to_string()), one("Name", self.name.clone())];
        if let Some(server) = &self.server {
            let reach = match server.addresses {
                wire::Addresses::Private => " (private addresses too)",
                wire::Addresses::Public => "",
            };
            lines.push(one("Server", format!("{}:{}{reach}", server.host, server.port)));
        }
        let known =
            |of: &Certificate| format!("{}, SHA-256 {}", of.subject(), of.fingerprint_text());
        for (usage, certificate) in self.certificates() {
            lines.push(one(usage.words(), known(certificate)));
        }
        for (at, certificate) in self.time_stamps.iter().enumerate() {
            let name = format!("{}, no. {}", CertificateUse::TimeStamps.words(), at + 1);
            lines.push(one(&name, known(certificate)));
        }
        if let Some(key) = &self.ledger_key {
            lines.push(one("Its ledger's key", key.to_string()));
        }
        if let Some(jurisdiction) = &self.jurisdiction {
            lines.push(one("Jurisdiction", jurisdiction.clone()));
        }
        for way in &self.deliveries {
            let mut settings: Vec<String> =
                way.settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            let pinned = way.pinned.iter();
            settings.extend(pinned.map(|(key, digest)| format!("SHA-256 of {key}: {digest}")));
            lines.push(one(&format!("Way `{}`", way.name), settings.join(", ")));
        }
        lines
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
    host: Option<String>,
    port: Option<u16>,
    #[serde(default)]
    private_addresses: bool,
    tls_certificate: Option<PathBuf>,
    signing_certificate: Option<PathBuf>,
    sealing_certificate: PathBuf,
    sealing_certificate_kem: Option<PathBuf>,
    #[serde(default)]
    revoked: Vec<Revoked>,
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
    "sealing_certificate_kem",
    "revoked",
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
    let mut reading = Reading { file, text, problems: Vec::new() };
    let server = reading.server(&read);
    let signing = read.signing_certificate.as_deref();
    let signing = signing.and_then(|path| reading.certificate("signing_certificate", path));
    let stampers = &read.time_stamp_certificates;
    let time_stamps = reading.certificates("time_stamp_certificates", stampers);
    let sealing = reading.certificate("sealing_certificate", &read.sealing_certificate);
    let kem = read.sealing_certificate_kem.as_deref();
    let sealing_kem = kem.and_then(|path| reading.kem("sealing_certificate_kem", path));
    let revoked = reading.revoked(read.revoked);
    let ledger_key = read.ledger_key.as_deref().map(VerifierKey::parse).transpose();
    if ledger_key.is_err() {
        reading.wrong("ledger_key", "a ledger's verifier key: name, plus, hash, plus, key");
    }
    let deliveries = deliveries(file, read.delivery);
    if deliveries.is_none() {
        let expected = "up to 20 blocks, each with a `name` of its own: lower-case letters, digits, dashes, not `push`";
        reading.wrong("delivery", expected);
    }
    let (Some(sealing), Ok(ledger_key), Some(deliveries), true) =
        (sealing, ledger_key, deliveries, reading.problems.is_empty())
    else {
        return Err(reading.problems);
    };
    Ok(Partner {
        ori: read.ori,
        name: read.name,
        server,
        signing,
        sealing,
        sealing_kem,
        revoked,
        time_stamps,
        quota_bytes: read.quota_bytes,
        ledger_key,
        jurisdiction: read.jurisdiction,
        deliveries,
    })
}

/// A partner's file while it is read, and what is wrong with it so far.
struct Reading<'a> {
    file: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn wrong(&mut self, key: &str, expected: &str) {
        self.problems.push(problem(self.file, self.text, key, expected));
    }

    fn certificate(&mut self, key: &str, path: &Path) -> Option<Certificate> {
        let path = self.file.parent().unwrap_or(Path::new(".")).join(path);
        let found = keys::file::read(&path, 64 * 1024)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|pem| Certificate::from_pem(&pem).ok());
        if found.is_none() {
            self.wrong(key, "the path of a PEM certificate, from this file's folder");
        }
        found
    }

    fn certificates(&mut self, key: &str, paths: &[PathBuf]) -> Vec<Certificate> {
        if paths.len() > CERTIFICATES_MAX {
            self.wrong(key, "up to 16 certificates");
            return Vec::new();
        }
        paths.iter().filter_map(|path| self.certificate(key, path)).collect()
    }

    fn kem(&mut self, key: &str, path: &Path) -> Option<Certificate> {
        let found = self.certificate(key, path)?;
        let kind = found.public_key_algorithm();
        if matches!(kind, PublicKeyAlgorithm::MlKem768 | PublicKeyAlgorithm::MlKem1024) {
            return Some(found);
        }
        self.wrong(key, "an ML-KEM certificate; one of P-384 is the `sealing_certificate`");
        None
    }

    /// All of host, port and certificate, or none of them.
    fn server(&mut self, read: &PartnerFile) -> Option<Server> {
        let (host, port, path) = (&read.host, read.port, &read.tls_certificate);
        if host.is_none() && port.is_none() && path.is_none() {
            return None;
        }
        let (Some(host), Some(port), Some(path)) = (host.clone(), port, path) else {
            self.wrong("host", "`host`, `port` and `tls_certificate` together, or none of them");
            return None;
        };
        let addresses = match read.private_addresses {
            true => wire::Addresses::Private,
            false => wire::Addresses::Public,
        };
        let tls = self.certificate("tls_certificate", path)?;
        Some(Server { host, port, addresses, tls })
    }

    fn revoked(&mut self, all: Vec<Revoked>) -> Vec<Revoked> {
        let is_hash = |text: &str| {
            text.len() == 64
                && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let reads = |one: &Revoked| {
            is_hash(&one.fingerprint) && (1..=REASON_BYTES_MAX).contains(&one.reason.len())
        };
        if all.len() > REVOKED_MAX || !all.iter().all(reads) {
            self.wrong(
                "revoked",
                "up to 100 blocks of `fingerprint` (64 hex digits, lower case), `since`, `reason`",
            );
        }
        all
    }
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
        let digest = |key: &&str| {
            let path = base.join(settings.get(*key)?.as_str()?);
            let bytes = keys::file::read(&path, 1 << 20).unwrap_or_default();
            Some(((*key).to_owned(), hex::encode(keys::digest::sha256(&bytes))))
        };
        let pinned = PINNED.iter().filter_map(digest).collect();
        all.push(Delivery { name, settings, base, pinned });
    }
    (all.len() <= DELIVERIES_MAX).then_some(all)
}
