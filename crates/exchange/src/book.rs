//! Partners and agreements as an agency writes them down: `partners/*.toml`, `agreements/*.toml`.
//!
//! Invariant: what is in a [`Book`] was understood in full. A file with an unknown key, a wrong value
//! or a certificate that can't be read is a [`Problem`] and not in the book; the others are. What an
//! agreement doesn't name does not cross.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use keys::cert::Certificate;
use ledger::note::{Checkpoint, VerifierKey};
use policy::{AgreementFacts, Caveat, Ori, PurposeCode, RecordClass};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::nearest::nearest;

/// A settings file's longest length.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Files in one folder.
const FILES_MAX: usize = 1_000;
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
}

impl Partner {
    /// Whether a checkpoint is one of the partner's ledger and covers the entry; any is where we don't have
    /// the ledger's key.
    pub(crate) fn signed(&self, entry: u64, checkpoint: &str) -> bool {
        let Some(key) = &self.ledger_key else { return true };
        Checkpoint::open(checkpoint, key).is_ok_and(|checkpoint| entry < checkpoint.size)
    }
}

/// An information exchange agreement (CA-3): what may cross to one partner, for what, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    pub title: String,
    /// The statute, order or memorandum that it rests on.
    pub authority: String,
    /// How long the partner is to keep what it gets, in words.
    pub retention: Option<String>,
    pub facts: AgreementFacts,
}

/// The clause of an agreement that stands against an export. Its text names file, key and value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Clause {
    #[error("agreement `{agreement}` starts on {starts}")]
    Starts { agreement: String, starts: Timestamp },
    #[error("agreement `{agreement}` ended on {ends}")]
    Ends { agreement: String, ends: Timestamp },
    #[error("agreement `{agreement}` does not have {class} among its record_classes")]
    RecordClasses { agreement: String, class: RecordClass },
    #[error("agreement `{agreement}` has {caveat} among its caveats_barred")]
    CaveatsBarred { agreement: String, caveat: Caveat },
    #[error("agreement `{agreement}` does not have purpose {purpose} among its purposes")]
    Purposes { agreement: String, purpose: String },
}

impl Agreement {
    /// Whether the agreement is in force.
    ///
    /// # Errors
    /// The clause that says otherwise.
    pub fn in_force(&self, now: Timestamp) -> Result<(), Clause> {
        let agreement = || self.facts.id.clone();
        if now < self.facts.starts {
            return Err(Clause::Starts { agreement: agreement(), starts: self.facts.starts });
        }
        if now >= self.facts.ends {
            return Err(Clause::Ends { agreement: agreement(), ends: self.facts.ends });
        }
        Ok(())
    }

    /// Whether records of a class with these marks may cross for a purpose.
    ///
    /// # Errors
    /// The first clause that stands against it.
    pub fn covers<'a>(
        &self,
        class: &RecordClass,
        caveats: impl IntoIterator<Item = &'a Caveat>,
        purpose: Option<&PurposeCode>,
        now: Timestamp,
    ) -> Result<(), Clause> {
        self.in_force(now)?;
        let agreement = || self.facts.id.clone();
        if !self.facts.record_classes.contains(class) {
            return Err(Clause::RecordClasses { agreement: agreement(), class: class.clone() });
        }
        let barred = caveats.into_iter().find(|one| self.facts.caveats_barred.contains(*one));
        if let Some(caveat) = barred {
            return Err(Clause::CaveatsBarred { agreement: agreement(), caveat: caveat.clone() });
        }
        if !purpose.is_some_and(|purpose| self.facts.purposes.contains(purpose)) {
            let purpose = purpose.map_or_else(|| "(none)".to_owned(), ToString::to_string);
            return Err(Clause::Purposes { agreement: agreement(), purpose });
        }
        Ok(())
    }
}

/// What is wrong with a settings file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// From 1; 0 where the problem is the file as a whole.
    pub line: usize,
    /// The key that it is about; empty where it is the file as a whole.
    pub key: String,
    /// What was expected.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file.display())?;
        if self.line > 0 {
            write!(out, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(out, ": `{}`", self.key)?;
        }
        write!(out, ": {}", self.expected)
    }
}

/// All partners and agreements of an agency.
#[derive(Debug, Clone, Default)]
pub struct Book {
    partners: BTreeMap<Ori, Partner>,
    agreements: BTreeMap<String, Agreement>,
    digest: [u8; 32],
}

impl Book {
    /// A book of these. Later ones with the same ORI or id replace earlier ones.
    pub fn new(partners: Vec<Partner>, agreements: Vec<Agreement>) -> Self {
        Self {
            partners: partners.into_iter().map(|one| (one.ori.clone(), one)).collect(),
            agreements: agreements.into_iter().map(|one| (one.facts.id.clone(), one)).collect(),
            digest: [0; 32],
        }
    }

    /// Reads `partners/*.toml` and `agreements/*.toml` below `folder`, in the order of their names.
    /// A missing folder is an empty one.
    pub fn load(folder: &Path) -> (Self, Vec<Problem>) {
        let mut book = Self::default();
        let mut problems = Vec::new();
        let mut digest = keys::digest::Sha256::new();
        for (file, text) in texts(&folder.join("partners"), &mut problems) {
            digest.update(text.as_bytes());
            match partner(&file, &text) {
                Ok(partner) if book.partners.contains_key(&partner.ori) => {
                    problems.push(twice(&file, &text, "ori", partner.ori.as_str()));
                }
                Ok(partner) => {
                    book.partners.insert(partner.ori.clone(), partner);
                }
                Err(found) => problems.extend(found),
            }
        }
        for (file, text) in texts(&folder.join("agreements"), &mut problems) {
            digest.update(text.as_bytes());
            match agreement(&file, &text) {
                Ok(one) if book.agreements.contains_key(&one.facts.id) => {
                    problems.push(twice(&file, &text, "id", &one.facts.id));
                }
                Ok(one) if !book.partners.contains_key(&one.facts.partner) => {
                    let expected = "the ORI of a partner that has a file in partners/";
                    problems.push(problem(&file, &text, "partner", expected));
                }
                Ok(one) => {
                    book.agreements.insert(one.facts.id.clone(), one);
                }
                Err(found) => problems.extend(found),
            }
        }
        book.digest = digest.finish();
        (book, problems)
    }

    pub fn partner(&self, ori: &str) -> Option<&Partner> {
        self.partners.values().find(|partner| partner.ori.as_str() == ori)
    }

    /// The partner whose end of mutual TLS this certificate (DER) is.
    pub fn partner_by_certificate(&self, der: &[u8]) -> Option<&Partner> {
        self.partners.values().find(|partner| partner.tls.der() == der)
    }

    pub fn partners(&self) -> impl Iterator<Item = &Partner> {
        self.partners.values()
    }

    pub fn agreement(&self, id: &str) -> Option<&Agreement> {
        self.agreements.get(id)
    }

    pub fn agreements(&self) -> impl Iterator<Item = &Agreement> {
        self.agreements.values()
    }

    /// SHA-256 of the files that were read, for the record that they were.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
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
];

fn quota_default() -> u64 {
    QUOTA_BYTES_DEFAULT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgreementFile {
    id: String,
    title: String,
    authority: String,
    partner: Ori,
    record_classes: std::collections::BTreeSet<RecordClass>,
    caveats_barred: std::collections::BTreeSet<Caveat>,
    purposes: std::collections::BTreeSet<PurposeCode>,
    starts: Timestamp,
    ends: Timestamp,
    approvals: u8,
    retention: Option<String>,
}

const AGREEMENT_KEYS: &[&str] = &[
    "id",
    "title",
    "authority",
    "partner",
    "record_classes",
    "caveats_barred",
    "purposes",
    "starts",
    "ends",
    "approvals",
    "retention",
];

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
    let PartnerFile { ori, name, host, port, quota_bytes, .. } = read;
    Ok(Partner { ori, name, host, port, addresses, tls, signing, sealing, quota_bytes, ledger_key })
}

pub(crate) fn agreement(file: &Path, text: &str) -> Result<Agreement, Vec<Problem>> {
    let read: AgreementFile = read(file, text, AGREEMENT_KEYS)?;
    let is_id = |id: &str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let checks = [
        ("id", is_id(&read.id), "1 to 64 lower-case letters, digits or dashes"),
        ("ends", read.starts < read.ends, "a time after `starts`"),
        ("approvals", read.approvals >= 1, "1 or more: nobody approves their own request"),
        ("record_classes", !read.record_classes.is_empty(), "at least one record class"),
        ("purposes", !read.purposes.is_empty(), "at least one purpose code"),
        ("authority", !read.authority.trim().is_empty(), "a statute, order or memorandum"),
    ];
    let wrong = checks.iter().filter(|(_, holds, _)| !holds);
    let wrong: Vec<_> =
        wrong.map(|(key, _, expected)| problem(file, text, key, expected)).collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let AgreementFile { title, authority, retention, id, partner, record_classes, .. } = read;
    let AgreementFile { caveats_barred, purposes, starts, ends, approvals, .. } = read;
    let facts = AgreementFacts {
        id,
        partner,
        record_classes,
        caveats_barred,
        purposes,
        starts,
        ends,
        approvals,
    };
    Ok(Agreement { title, authority, retention, facts })
}

/// Unknown keys first, with the nearest known one; then everything else that serde finds.
fn read<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    known: &'static [&'static str],
) -> Result<T, Vec<Problem>> {
    let table: toml::Table = toml::from_str(text).map_err(|error| vec![at(file, text, &error)])?;
    let unknown = table.keys().filter(|key| !known.contains(&key.as_str()));
    let unknown: Vec<Problem> = unknown
        .map(|key| {
            let expected = match nearest(key, known) {
                Some(near) => format!("an unknown key; did you mean `{near}`?"),
                None => format!("an unknown key; known are {}", known.join(", ")),
            };
            problem(file, text, key, &expected)
        })
        .collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    toml::from_str(text).map_err(|error| vec![at(file, text, &error)])
}

fn at(file: &Path, text: &str, error: &toml::de::Error) -> Problem {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let here = text.lines().nth(line - 1).unwrap_or_default();
    let key = here.split_once('=').map_or("", |(key, _)| key.trim());
    Problem {
        file: file.to_owned(),
        line,
        key: key.to_owned(),
        expected: error.message().to_owned(),
    }
}

fn problem(file: &Path, text: &str, key: &str, expected: &str) -> Problem {
    let is_here = |line: &str| {
        line.split_once('=').is_some_and(|(left, _)| left.trim().trim_matches('"') == key)
    };
    let line = text.lines().position(is_here).map_or(0, |index| index + 1);
    Problem { file: file.to_owned(), line, key: key.to_owned(), expected: expected.to_owned() }
}

fn twice(file: &Path, text: &str, key: &str, value: &str) -> Problem {
    problem(file, text, key, &format!("another file has `{value}` already"))
}

/// The TOML files of a folder, by name.
fn texts(folder: &Path, problems: &mut Vec<Problem>) -> Vec<(PathBuf, String)> {
    let whole = |file: &Path, expected: &str| Problem {
        file: file.to_owned(),
        line: 0,
        key: String::new(),
        expected: expected.to_owned(),
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(_) => {
            problems.push(whole(folder, "a folder that can be read"));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    if files.len() > FILES_MAX {
        problems.push(whole(folder, "at most 1000 files"));
        return Vec::new();
    }
    let mut texts = Vec::with_capacity(files.len());
    for file in files {
        let small = std::fs::metadata(&file).is_ok_and(|facts| facts.len() <= FILE_BYTES_MAX);
        match std::fs::read_to_string(&file) {
            Ok(text) if small => texts.push((file, text)),
            Ok(_) | Err(_) => problems.push(whole(&file, "UTF-8 text of at most 256 KiB")),
        }
    }
    texts
}
