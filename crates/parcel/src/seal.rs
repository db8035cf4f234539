//! Sealing: entries become an archive, the archive is cut into parts, each part is encrypted and
//! written while the next is being filled.
//!
//! Invariants: one pass over the entries, in path order; memory is (workers + 1) parts, plus the list of files
//! (path, place and hash of each); plaintext is only ever in memory; the signature is written after all that it covers.

mod ahead;
mod archive;
mod journal;
mod metadata;
mod workers;

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use keys::cert::Certificate;
use keys::digest::sha256;
use uuid::Uuid;

use self::archive::Archive;
use self::journal::Journal;
use self::metadata::Metadata;
use self::workers::{Parts, Pool};
use crate::bag::{self, OuterInfo};
use crate::cms::{recipient::Address, signature};
use crate::error::limit;
use crate::meta::{self, IndexedFile, Transfer, TransferRecord};
use crate::name::{self, Conflict};
use crate::{
    CUSTODY_EVENTS_MAX, CustodyEvent, ENTRIES_MAX, Entry, Folder, METADATA_BYTES_MAX,
    PART_BYTES_MAX, PART_BYTES_MIN, PARTS_MAX, RECIPIENTS_MAX, SEAL_PROFILE, Seal, SealError,
    Sealed, Signer, Source, Target, WORKERS_MAX, ZipFile, pax,
};

/// Seals into a new folder `out`. On failure there is no `out`.
pub fn seal(seal: Seal<'_>, out: &Path) -> Result<Sealed, SealError> {
    let failed = |source| SealError::Write { path: out.display().to_string(), source };
    let folder = Folder::new(out, &seal.id.to_string()).map_err(failed)?;
    seal_into(seal, &folder)
}

/// As [`seal`], but what was sealed when it fails, or is killed, stays beside `out`; the next call with the same id,
/// recipients and part size goes on with it ([`crate::unfinished`] finds the id). The sources are read again from their
/// beginning; parts whose content is the same are not sealed or written again.
pub fn seal_resumable(seal: Seal<'_>, out: &Path) -> Result<Sealed, SealError> {
    let failed = |source| SealError::Write { path: out.display().to_string(), source };
    let folder = Folder::resumable(out, &seal.id.to_string()).map_err(failed)?;
    go_on(seal, &folder, failed)
}

/// Seals into a new ZIP file `out`: the same parcel, and one file. On failure there is no `out`.
pub fn seal_file(seal: Seal<'_>, out: &Path) -> Result<Sealed, SealError> {
    let failed = |source| SealError::Write { path: out.display().to_string(), source };
    let file = ZipFile::new(out, seal.id).map_err(failed)?;
    seal_into(seal, &file)
}

/// As [`seal_file`], and goes on after an interruption as [`seal_resumable`] does.
pub fn seal_file_resumable(seal: Seal<'_>, out: &Path) -> Result<Sealed, SealError> {
    let failed = |source| SealError::Write { path: out.display().to_string(), source };
    let file = ZipFile::resumable(out, seal.id).map_err(failed)?;
    go_on(seal, &file, failed)
}

/// Seals into a target that keeps what is whole when the seal fails.
fn go_on(
    seal: Seal<'_>,
    target: &dyn Target,
    failed: impl Fn(std::io::Error) -> SealError,
) -> Result<Sealed, SealError> {
    let outcome = write(seal, target);
    if outcome.is_err() && target.notes().is_ok_and(|notes| notes.is_empty()) {
        // There is nothing to go on with.
        target.discard();
    }
    let sealed = outcome?;
    target.publish().map_err(failed)?;
    Ok(sealed)
}

/// Seals into a [`Target`], which is published at the end, or discarded.
pub fn seal_into(seal: Seal<'_>, target: &dyn Target) -> Result<Sealed, SealError> {
    let published = |sealed| {
        let failed = |source| SealError::Write { path: "the parcel's folder".to_owned(), source };
        target.publish().map_err(failed).map(|()| sealed)
    };
    let outcome = write(seal, target).and_then(published);
    if outcome.is_err() {
        target.discard();
    }
    outcome
}

/// All of a [`Seal`] but its entries.
struct Order<'a> {
    id: Uuid,
    sender: &'a Signer,
    transfer: Transfer,
    custody: Vec<CustodyEvent>,
    custody_document: bool,
    recipients: Vec<String>,
    rsa_oaep: bool,
    part_size: u64,
    /// Whole seconds, as every place that holds it can.
    sealed_at: Timestamp,
}

fn write(seal: Seal<'_>, target: &dyn Target) -> Result<Sealed, SealError> {
    check_limits(&seal)?;
    seal.transfer.check()?;
    let journal = Journal::begin(&seal, target)?;
    let addresses = addresses(&seal)?;
    let entries = sorted(seal.entries)?;
    let failed = |_| SealError::Modified { path: bag::INFO_FILE.to_owned() };
    let order = Order {
        id: seal.id,
        sender: seal.sender,
        transfer: seal.transfer,
        custody: seal.custody,
        custody_document: seal.custody_document,
        recipients: meta::fingerprints(&seal.recipients),
        rsa_oaep: addresses.iter().any(Address::by_rsa),
        part_size: seal.part_size,
        sealed_at: Timestamp::from_second(seal.now.as_second()).map_err(failed)?,
    };
    // A signer that can't sign is found out before hours of sealing.
    signature::sign(b"", order.sender, order.sealed_at)?;
    let pool = Pool {
        addresses: &addresses,
        random: seal.random,
        target,
        workers: seal.workers,
        journal: &journal,
    };
    let (files, sources, offset) = planned(entries)?;
    let mut metadata = Metadata::plan(&order, files, offset)?;
    let ((), parts) = pool.run(seal.part_size, |parts| {
        let mut archive = Archive::new(parts, seal.watch);
        archive.add_files(metadata.files_mut(), sources)?;
        if archive.end_data() != offset {
            return Err(SealError::Place { path: bag::INFO_FILE.to_owned() });
        }
        metadata.write(&mut archive)?;
        archive.finish()
    })?;
    limit("bytes of metadata", parts.archive_size - offset, METADATA_BYTES_MAX)?;
    let (digest, bytes) = write_outside(&order, offset, &parts, target)?;
    let count = parts.done.len() as u64;
    let (files, record) = metadata.into_parts();
    Ok(Sealed { id: order.id, digest, parts: count, bytes, files, record })
}

/// Where in the archive each file will lie, and where their section ends. Their hashes are still to come.
fn planned(entries: Vec<Entry>) -> Result<(Vec<IndexedFile>, Vec<Source>, u64), SealError> {
    let (mut files, mut sources) = (Vec::new(), Vec::new());
    files.reserve_exact(entries.len());
    sources.reserve_exact(entries.len());
    let mut position = 0_u64;
    for Entry { path, media_type, modified, length, open } in entries {
        let modified = Timestamp::from_second(modified.as_second());
        let modified = modified.map_err(|_| SealError::Modified { path: path.clone() })?;
        let offset = position + pax::header_bytes("inner/data/".len(), &path, length);
        // `check_limits` has seen to it that this is no more than so many parts.
        position = offset + length + pax::padding(length) as u64;
        let sha256 = meta::unknown_hash();
        files.push(IndexedFile { path, media_type, offset, length, modified, sha256 });
        sources.push(open);
    }
    Ok((files, sources, position))
}

fn check_limits(seal: &Seal<'_>) -> Result<(), SealError> {
    limit("files", seal.entries.len() as u64, ENTRIES_MAX as u64)?;
    limit("recipients", seal.recipients.len() as u64, RECIPIENTS_MAX as u64)?;
    limit("custody events", seal.custody.len() as u64, CUSTODY_EVENTS_MAX as u64)?;
    limit("bytes of a part", seal.part_size, PART_BYTES_MAX)?;
    limit("workers", seal.workers as u64, WORKERS_MAX as u64)?;
    if seal.part_size < PART_BYTES_MIN {
        let what = "bytes of a part (a least size)";
        return Err(SealError::Limit { what, value: seal.part_size, limit: PART_BYTES_MIN });
    }
    if seal.entries.is_empty() {
        return Err(SealError::None { what: "file" });
    }
    if seal.recipients.is_empty() {
        return Err(SealError::None { what: "recipient" });
    }
    let total = seal.entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.length));
    limit("parts", total / seal.part_size, PARTS_MAX - 1)
}

fn sorted(mut entries: Vec<Entry>) -> Result<Vec<Entry>, SealError> {
    for Entry { path, modified, .. } in &entries {
        if let Some(why) = name::objection(path) {
            return Err(SealError::Path { path: path.clone(), why });
        }
        let seconds = u64::try_from(modified.as_second()).ok();
        if seconds.is_none_or(|seconds| seconds > pax::OCTAL_MAX) {
            return Err(SealError::Modified { path: path.clone() });
        }
    }
    match name::conflict(entries.iter().map(|entry| entry.path.as_str())) {
        Some(Conflict::Twice(path)) => return Err(SealError::Twice { path }),
        Some(Conflict::Folder(path)) => {
            let why = "another path has it as a folder";
            return Err(SealError::Path { path, why });
        }
        None => {}
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn addresses(seal: &Seal<'_>) -> Result<Vec<Address>, SealError> {
    let mut seen = BTreeSet::new();
    let address = |certificate: &Certificate| {
        let refuse = |why| SealError::Recipient { subject: certificate.subject(), why };
        if !seen.insert(certificate.fingerprint()) {
            return Err(refuse("it is named twice"));
        }
        if certificate.check_validity(seal.now).is_err() {
            return Err(refuse("it is not valid at the time of sealing"));
        }
        Address::of(certificate, seal.allow_rsa_oaep).map_err(refuse)
    };
    seal.recipients.iter().map(address).collect()
}

impl Order<'_> {
    fn record(&self) -> TransferRecord {
        let signer = self.sender.chain.first();
        TransferRecord {
            profile: SEAL_PROFILE.to_owned(),
            parcel: self.id,
            sealed_at: self.sealed_at,
            sender_certificate: signer.map(|c| c.fingerprint_text()).unwrap_or_default(),
            recipient_certificates: self.recipients.clone(),
            key_transport: self.rsa_oaep.then(|| meta::RSA_OAEP.to_owned()),
            transfer: self.transfer.clone(),
        }
    }
}

/// The lines of the inner bag's manifest: the files in the archive's order.
pub(crate) fn manifest_lines(files: &[IndexedFile]) -> impl Iterator<Item = String> {
    files.iter().map(|file| [&file.sha256, "  data/", &file.path, "\n"].concat())
}

/// The outer bag's tag files. Gives the parcel's digest, and the bytes of its parts.
fn write_outside(
    order: &Order<'_>,
    metadata_offset: u64,
    parts: &Parts,
    target: &dyn Target,
) -> Result<([u8; 32], u64), SealError> {
    let bytes = parts.done.iter().map(|part| part.bytes).sum();
    let info = OuterInfo {
        sender: order.transfer.sender.clone(),
        id: order.id,
        sealed_at: order.sealed_at,
        bytes,
        parts: parts.done.len() as u64,
        part_size: order.part_size,
        archive_size: parts.archive_size,
        metadata_offset,
        rsa_oaep: order.rsa_oaep,
        recipients: order.recipients.clone(),
    };
    let lines = parts.done.iter().map(|part| bag::line(&part.digest, &bag::part_path(part.number)));
    let (info, manifest) = (info.write(), lines.collect::<String>());
    let tags = [
        (bag::HOW_TO_OPEN_FILE, bag::HOW_TO_OPEN.as_bytes()),
        (bag::INFO_FILE, info.as_bytes()),
        (bag::BAGIT_FILE, bag::BAGIT.as_bytes()),
        (bag::MANIFEST_FILE, manifest.as_bytes()),
    ];
    let tag_manifest = bag::tag_manifest(&tags);
    let digest = sha256(tag_manifest.as_bytes());
    let signature = signature::sign(tag_manifest.as_bytes(), order.sender, order.sealed_at)?;
    let template = bag::receipt_template(order.id, &digest);
    let last = [
        (bag::TAG_MANIFEST_FILE, tag_manifest.as_bytes()),
        (bag::TEMPLATE_FILE, template.as_bytes()),
        (bag::SIGNATURE_FILE, signature.as_slice()),
    ];
    for (path, content) in tags.into_iter().chain(last) {
        let failed = |source| SealError::Write { path: path.to_owned(), source };
        target.create(path, &[content]).map_err(failed)?;
    }
    Ok((digest, bytes))
}
