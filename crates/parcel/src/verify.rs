//! Verifying without a key: signature, tag files, manifest, completeness, then every part.
//!
//! Invariant: a [`Parcel`] exists only when all but the parts' own bytes was checked against the
//! sender's signature; and a part's bytes come out of it only when their hash was.

use std::io::Read;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use jiff::Timestamp;
use keys::cert::Certificate;
use keys::digest::{Sha256, sha256};
use uuid::Uuid;

use crate::bag::{self, OuterInfo};
use crate::cms::{envelope, signature};
use crate::error::At;
use crate::store::{self, Store};
use crate::{Fault, PARTS_MAX, Refused, Trust, WORKERS_DEFAULT, Watch, asn1};

/// The longest outer manifest: 90 bytes a part.
const MANIFEST_BYTES_MAX: u64 = PARTS_MAX * 92;
/// The longest of the other tag files.
const TAG_BYTES_MAX: u64 = 64 << 10;
/// Bytes of a part hashed at a time.
const PIECE_BYTES: usize = 256 << 10;
/// Bytes of a part in which its recipients stand.
const HEAD_BYTES: usize = 64 << 10;

/// A parcel whose outside is the signed one.
#[derive(Debug)]
pub struct Parcel {
    store: Store,
    pub(crate) trust: Trust,
    pub(crate) info: OuterInfo,
    pub(crate) digest: [u8; 32],
    signer: Certificate,
    signed_at: Timestamp,
    parts: Vec<[u8; 32]>,
}

/// What verification found.
#[derive(Debug, Clone)]
pub struct Verified {
    pub id: Uuid,
    /// SHA-256 of the outer `tagmanifest-sha256.txt`.
    pub digest: [u8; 32],
    /// The certificate that signed.
    pub sender: Certificate,
    /// When the sender says that it signed.
    pub signed_at: Timestamp,
    pub parts: u64,
    /// Bytes of all parts.
    pub bytes: u64,
    /// Whether a recipient's key goes by RSA-OAEP, which is no approved service of the module.
    pub rsa_oaep: bool,
    /// SHA-256 of the recipients' certificates, hex.
    pub recipients: Vec<String>,
}

/// Checks all that can be checked without a key. Every part is read once, by a few threads.
pub fn verify(parcel: &Path, trust: &Trust, watch: Watch<'_>) -> Result<Verified, Refused> {
    let parcel = Parcel::enter(parcel, trust)?;
    parcel.check_parts(WORKERS_DEFAULT, watch)?;
    Ok(parcel.verified())
}

impl Parcel {
    /// Checks signature, tag files, manifest and completeness; reads no part.
    pub fn enter(parcel: &Path, trust: &Trust) -> Result<Self, Refused> {
        let parcel = Self::announced(parcel, trust)?;
        parcel.store.check_complete(parcel.info.parts)?;
        Ok(parcel)
    }

    /// As [`Parcel::enter`], for a parcel whose parts are still to come.
    pub fn announced(parcel: &Path, trust: &Trust) -> Result<Self, Refused> {
        let store = Store::enter(parcel)?;
        let read = |file, limit| store.read(file, limit);
        let tag_manifest = read(bag::TAG_MANIFEST_FILE, TAG_BYTES_MAX)?;
        let seal = read(bag::SIGNATURE_FILE, signature::SIGNATURE_BYTES_MAX)?;
        let content = (bag::TAG_MANIFEST_FILE, tag_manifest.as_slice());
        let signed = signature::verify(content, (bag::SIGNATURE_FILE, &seal), trust)?;
        let rows = bag::read_manifest(&tag_manifest).at(bag::TAG_MANIFEST_FILE)?;
        if !rows.iter().map(|(path, _)| path.as_str()).eq(bag::OUTER_TAGS) {
            let fault = Fault::Malformed("a tag manifest of this profile's four files");
            return Err(Refused::new(bag::TAG_MANIFEST_FILE, fault));
        }
        let mut tags = Vec::new();
        for (path, expected) in &rows {
            let manifest = path == bag::MANIFEST_FILE;
            let limit = if manifest { MANIFEST_BYTES_MAX } else { TAG_BYTES_MAX };
            let content = read(path, limit)?;
            if sha256(&content) != *expected {
                return Err(Refused::new(path, Fault::Altered));
            }
            tags.push(content);
        }
        let [_, info, bagit, manifest] = tags.as_slice() else {
            return Err(Refused::new(bag::TAG_MANIFEST_FILE, Fault::Malformed("four files")));
        };
        if bagit != bag::BAGIT.as_bytes() {
            return Err(Refused::new(bag::BAGIT_FILE, Fault::Malformed("BagIt 1.0, UTF-8")));
        }
        let info = OuterInfo::read(info).at(bag::INFO_FILE)?;
        let parts = read_parts(manifest, &info).at(bag::MANIFEST_FILE)?;
        let digest = sha256(&tag_manifest);
        let template = read(bag::TEMPLATE_FILE, TAG_BYTES_MAX)?;
        if template != bag::receipt_template(info.id, &digest).as_bytes() {
            return Err(Refused::new(bag::TEMPLATE_FILE, Fault::Altered));
        }
        let (signer, signed_at) = (signed.certificate, signed.at);
        let trust = trust.clone();
        Ok(Self { store, trust, info, digest, signer, signed_at, parts })
    }

    pub fn id(&self) -> Uuid {
        self.info.id
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// SHA-256 of the outer tag manifest.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The certificate that signed the outside.
    pub fn sender(&self) -> &Certificate {
        &self.signer
    }

    /// The signed SHA-256 of each part, in order; [`crate::part_path`] says where it lies.
    pub fn part_digests(&self) -> &[[u8; 32]] {
        &self.parts
    }

    /// The bytes of the archive inside that a part carries, from and up to.
    pub fn part_range(&self, number: u64) -> (u64, u64) {
        self.info.range(number)
    }

    /// The longest that one of its parts can be.
    pub fn part_bytes_max(&self) -> u64 {
        self.info.part_size + envelope::HEAD_BYTES_MAX
    }

    /// What the outside says, now that its signature was checked.
    pub fn verified(&self) -> Verified {
        Verified {
            id: self.info.id,
            digest: self.digest,
            sender: self.signer.clone(),
            signed_at: self.signed_at,
            parts: self.info.parts,
            bytes: self.info.bytes,
            rsa_oaep: self.info.rsa_oaep,
            recipients: self.info.recipients.clone(),
        }
    }

    /// Hashes every part. The first bad one, by number, is the refusal; others are named in it.
    pub fn check_parts(&self, workers: usize, watch: Watch<'_>) -> Result<(), Refused> {
        let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let bad: Mutex<Vec<(u64, Refused)>> = Mutex::default();
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= self.info.parts || watch.cancelled() {
                    return;
                }
                if let Err(refused) = self.hash_part(number, watch, &done) {
                    let mut bad = bad.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    bad.push((number, refused));
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..workers.clamp(1, crate::WORKERS_MAX) {
                scope.spawn(work);
            }
        });
        if watch.cancelled() {
            return Err(Refused::new(bag::MANIFEST_FILE, Fault::Cancelled));
        }
        let mut bad = bad.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        bad.sort_by_key(|(number, _)| *number);
        let mut bad = bad.into_iter().map(|(_, refused)| refused);
        let Some(mut first) = bad.next() else {
            // Every part is the signed one; then so is what the bag says of all of them.
            let same = done.into_inner() == self.info.bytes;
            let form = Fault::Malformed("the bytes of all parts");
            return if same { Ok(()) } else { Err(Refused::new(bag::INFO_FILE, form)) };
        };
        first.others = bad.take(Refused::OTHERS_MAX).map(|other| other.file).collect();
        Err(first)
    }

    /// Hashes one part in constant memory.
    fn hash_part(&self, number: u64, watch: Watch<'_>, done: &AtomicU64) -> Result<(), Refused> {
        let path = bag::part_path(number);
        let mut file = self.store.reader(&path)?;
        let mut piece = vec![0; PIECE_BYTES];
        let (mut hash, mut start) = (Sha256::new(), Vec::new());
        loop {
            let count = file.read(&mut piece).map_err(store::fault).at(&path);
            let count = count.map_err(|refused| self.located(number, refused))?;
            let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
            hash.update(read);
            let wanted = HEAD_BYTES.saturating_sub(start.len()).min(read.len());
            start.extend_from_slice(read.get(..wanted).unwrap_or_default());
            let so_far = done.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
            (watch.progress)(so_far.min(self.info.bytes), self.info.bytes);
            if watch.cancelled() {
                return Err(Refused::new(path, Fault::Cancelled));
            }
        }
        if self.parts.get(usize::try_from(number).unwrap_or(usize::MAX)) != Some(&hash.finish()) {
            return Err(self.altered(number, path));
        }
        match envelope::sent_by_rsa(&start) {
            Some(by_rsa) if by_rsa != self.info.rsa_oaep => {
                Err(self.located(number, unmarked(&path)))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A part's bytes, when their hash is the signed one.
    pub(crate) fn part(&self, number: u64) -> Result<Vec<u8>, Refused> {
        let path = bag::part_path(number);
        let limit = self.info.part_size + envelope::HEAD_BYTES_MAX;
        let bytes = self.store.read(&path, limit);
        let bytes = bytes.map_err(|refused| self.located(number, refused))?;
        let expected = self.parts.get(usize::try_from(number).unwrap_or(usize::MAX));
        if expected != Some(&sha256(&bytes)) {
            return Err(self.altered(number, path));
        }
        Ok(bytes)
    }

    /// The refusal of a part whose hash is wrong: cut short, if its own header says so.
    fn altered(&self, number: u64, path: String) -> Refused {
        let fault = announced(&self.store, &path).unwrap_or(Fault::Altered);
        self.located(number, Refused::new(path, fault))
    }

    /// A refusal of a part, with the place of what it carries.
    fn located(&self, number: u64, mut refused: Refused) -> Refused {
        refused.range = Some(self.info.range(number));
        refused
    }
}

/// A part whose keys are not those that the outside tells of.
pub(crate) fn unmarked(path: &str) -> Refused {
    Refused::new(path, Fault::Malformed("a part with such keys as bag-info.txt tells of"))
}

/// `Short` if the file ends before the message that it begins with.
fn announced(store: &Store, path: &str) -> Option<Fault> {
    let mut start = [0; 16];
    let found = store.length(path).ok()?;
    store.reader(path).ok()?.read_exact(&mut start).ok()?;
    let (tag, head, length) = asn1::announce(&start)?;
    let announced = (head as u64).checked_add(length as u64)?;
    (tag == asn1::SEQUENCE && announced > found).then_some(Fault::Short { found, announced })
}

fn read_parts(manifest: &[u8], info: &OuterInfo) -> Result<Vec<[u8; 32]>, Fault> {
    let rows = bag::read_manifest(manifest)?;
    if rows.len() as u64 != info.parts {
        return Err(Fault::Malformed("as many parts as bag-info.txt says"));
    }
    let numbered = (0..).zip(rows);
    let digest = |(number, (path, digest))| {
        if path == bag::part_path(number) {
            Ok(digest)
        } else {
            Err(Fault::Malformed("the parts in their order"))
        }
    };
    numbered.map(digest).collect()
}

/// What a parcel says of itself. Nothing of it is verified.
#[derive(Debug, Clone)]
pub struct Inspection {
    pub id: Uuid,
    pub digest: [u8; 32],
    /// `Source-Organization`.
    pub sender: String,
    pub sealed_at: Timestamp,
    pub parts: u64,
    pub bytes: u64,
    pub part_size: u64,
    /// Bytes of the archive inside.
    pub archive_size: u64,
    /// Whether a recipient's key goes by RSA-OAEP, which is no approved service of the module.
    pub rsa_oaep: bool,
    pub recipients: Vec<String>,
    /// Certificates that came with the signature, the signer's among them.
    pub certificates: Vec<Certificate>,
}

/// Reads what a parcel says of itself, and verifies nothing.
pub fn inspect(parcel: &Path) -> Result<Inspection, Refused> {
    let store = Store::enter(parcel)?;
    let info = store.read(bag::INFO_FILE, TAG_BYTES_MAX)?;
    let info = OuterInfo::read(&info).at(bag::INFO_FILE)?;
    let tag_manifest = store.read(bag::TAG_MANIFEST_FILE, TAG_BYTES_MAX)?;
    let seal = store.read(bag::SIGNATURE_FILE, signature::SIGNATURE_BYTES_MAX)?;
    Ok(Inspection {
        id: info.id,
        digest: sha256(&tag_manifest),
        sender: format!("{} ({})", info.sender.name, info.sender.ori),
        sealed_at: info.sealed_at,
        parts: info.parts,
        bytes: info.bytes,
        part_size: info.part_size,
        archive_size: info.archive_size,
        rsa_oaep: info.rsa_oaep,
        recipients: info.recipients,
        certificates: signature::certificates(&seal).at(bag::SIGNATURE_FILE)?,
    })
}
