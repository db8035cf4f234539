//! Two agencies, their keys, and a case to send.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use jiff::Timestamp;
use keys::SystemRandom;
use keys::cert::{self, CertSpec, Certificate, Usage};
use keys::sign::P384Key;
use parcel::{
    CustodyEvent, Entry, LedgerReference, Party, Person, Recipient, Seal, Signer, Transfer, Trust,
    Watch,
};
use tempfile::TempDir;
use uuid::Uuid;

/// The moment at which everything here is sealed and read. Real tools look at the real clock, so
/// the certificates run for long on both sides of it.
pub(crate) fn now() -> Timestamp {
    "2026-11-22T21:30:05Z".parse().unwrap()
}

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) ca: Certificate,
    pub(crate) ca_key: P384Key,
    pub(crate) sender: Signer,
    pub(crate) recipient: Recipient,
    pub(crate) second: Recipient,
    pub(crate) stranger: Recipient,
}

pub(crate) fn spec(name: &str, usage: Usage) -> CertSpec {
    CertSpec {
        subject_cn: name.into(),
        organisation: "Riverton Police Department".into(),
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2049-01-01T00:00:00Z".parse().unwrap(),
        usage,
        dns: vec![],
        ips: vec![],
        uris: vec![],
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let ca_key = P384Key::generate().unwrap();
        let ca = cert::issue(&spec("Riverton CA", Usage::Ca), &ca_key, None, &SystemRandom);
        let ca = ca.unwrap();
        let issue = |name, usage| {
            let key = P384Key::generate().unwrap();
            let issued = cert::issue(&spec(name, usage), &key, Some((&ca, &ca_key)), &SystemRandom);
            (issued.unwrap(), key)
        };
        let agree = |name| {
            let (certificate, key) = issue(name, Usage::KeyAgreement);
            Recipient { certificate, key: key.into() }
        };
        let (leaf, key) = issue("Riverton parcels", Usage::Signing);
        Self {
            folder: quick_folder(),
            sender: Signer { chain: vec![leaf], key },
            recipient: agree("Lakeside"),
            second: agree("Lakeside spare"),
            stranger: agree("Elsewhere"),
            ca,
            ca_key,
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust { senders: vec![self.ca.clone()], now: now() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn order(&self, entries: Vec<Entry>, part_size: u64) -> Seal<'_> {
        let here = |path: &String| entries.iter().any(|entry| entry.path == *path);
        let mut custody = custody();
        custody.retain(|event| event.files.is_empty() || event.files.iter().any(here));
        Seal {
            id: id(),
            sender: &self.sender,
            recipients: vec![self.recipient.certificate.clone(), self.second.certificate.clone()],
            allow_rsa_oaep: false,
            part_size,
            workers: 2,
            entries,
            transfer: transfer(),
            custody,
            custody_document: false,
            now: now(),
            random: &SystemRandom,
            watch: Watch::none(),
        }
    }

    /// A sealed case: three files in parts of 4 KiB.
    pub(crate) fn sealed(&self, name: &str) -> PathBuf {
        let out = self.path(name);
        parcel::seal(self.order(case(), 4096), &out).unwrap();
        out
    }

    pub(crate) fn write_pem(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// A folder in memory where there is one: these stories sync thousands of small files.
pub(crate) fn quick_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(crate) fn id() -> Uuid {
    "0b8c6d2e-93f5-4b57-8f3a-5d1f6b1c2a77".parse().unwrap()
}

pub(crate) fn transfer() -> Transfer {
    Transfer {
        exchange_id: "EX-2026-000041".into(),
        exchange_number: None,
        purpose: "C".into(),
        authority: "MOU Riverton/Lakeside 2025-07".into(),
        case_number: Some("24-000113".into()),
        handling: vec!["JUVENILE: do not re-disclose".into()],
        record_classes: Vec::new(),
        retention: Some("return or destroy by 2027-12-31".into()),
        sender: Party { ori: "NB0010100".into(), name: "Riverton Police Department".into() },
        recipient: Party { ori: "NB0020000".into(), name: "Lakeside County Sheriff".into() },
    }
}

pub(crate) fn custody() -> Vec<CustodyEvent> {
    let event = |kind: &str, person: &str, at: &str| CustodyEvent {
        kind: kind.into(),
        description: format!("{kind} by {person}"),
        started: at.parse().unwrap(),
        ended: None,
        person: Person {
            name: person.into(),
            account: format!("riverton|{person}"),
            agency: "NB0010100".into(),
            role: "detective".into(),
        },
        tool: "Bailiwick 0.1.0".into(),
        purpose: Some("C".into()),
        authority: Some("MOU Riverton/Lakeside 2025-07".into()),
        files: vec![],
        originals: vec![],
        ledger: Some(LedgerReference {
            origin: "riverton.example/ledger".into(),
            entry: 41,
            leaf: "ab".repeat(32),
            proof: Some("c2sp.org/tlog-proof@v1\nindex 41\n\nriverton.example/ledger\n42\n".into()),
        }),
        around: parcel::Circumstances::default(),
    };
    vec![
        event("exported-from-source", "Ruiz", "2026-11-22T21:00:00Z"),
        event("approved-for-release", "Okafor", "2026-11-22T21:20:00Z"),
        CustodyEvent {
            files: vec!["statement.pdf".into()],
            ..event("scanned", "Ruiz", "2026-11-22T21:21:00Z")
        },
    ]
}

pub(crate) fn case() -> Vec<Entry> {
    vec![
        Entry::from_bytes("videos/Door camera (2).mp4", "video/mp4", now(), noise(30_000, 7)),
        Entry::from_bytes("statement.pdf", "application/pdf", now(), noise(5_000, 1)),
        Entry::from_bytes("Zeugen/Müller, Jörg.txt", "text/plain", now(), b"saw it\n".to_vec()),
    ]
}

/// Bytes without a pattern, the same every time.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// Every file below `folder`, relative, sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut out = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(here) = waiting.pop() {
        for entry in std::fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let path = path.strip_prefix(folder).unwrap();
                out.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    out.sort();
    out
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(&file);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(from.join(&file), target).unwrap();
    }
}

/// A program of those that `make setup` puts into `target/python`; `None` where it is missing, and this is not CI.
pub(crate) fn python_tool(what: &str, name: &str) -> Option<PathBuf> {
    let path = testkit::target().unwrap().join("python/bin").join(name);
    testkit::need(what, &[path.to_str().unwrap()]).unwrap()
}

pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}
