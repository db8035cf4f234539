//! The inner bag's metadata: read as a stream, checked in full, and only what is needed of it kept.
//!
//! Invariant: an [`Inside`] exists only when signature, addressee, and index against manifest hold.

use std::io::{BufReader, Read as _};

use keys::cert::Certificate;
use keys::digest::{Sha256, sha256};

use super::parts::{Parts, Section, refused};
use crate::bag;
use crate::cms::signature;
use crate::error::At;
use crate::meta::{self, Index, TransferRecord};
use crate::seal::manifest_lines;
use crate::{ENTRIES_MAX, Fault, Parcel, Recipient, Refused, SEAL_PROFILE, name, pax};

/// The metadata section's files, in its order. One of them may be missing: [`meta::CUSTODY_DOCUMENT`].
const TAGS: [&str; 9] = [
    bag::INFO_FILE,
    bag::BAGIT_FILE,
    bag::MANIFEST_FILE,
    meta::CUSTODY_FILE,
    meta::CUSTODY_DOCUMENT,
    meta::INDEX_FILE,
    meta::TRANSFER_FILE,
    bag::TAG_MANIFEST_FILE,
    bag::SIGNATURE_FILE,
];
/// Those that are kept whole, for they are read by others than a stream.
const SHORT: [&str; 3] = [meta::TRANSFER_FILE, bag::TAG_MANIFEST_FILE, bag::SIGNATURE_FILE];
/// The longest of those: a transfer with as many caveats and classes as there may be.
const SHORT_BYTES_MAX: u64 = 16 << 20;
/// Bytes hashed at a time.
const PIECE_BYTES: usize = 64 << 10;

/// A file of the metadata section.
pub(super) struct Tag {
    pub(super) path: &'static str,
    /// Where its bytes lie in the archive.
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) sha256: [u8; 32],
    /// The bytes of one that is [`SHORT`].
    short: Vec<u8>,
}

/// What the metadata says, now that it was checked.
pub(super) struct Inside {
    pub(super) tags: Vec<Tag>,
    pub(super) index: Index,
    pub(super) record: TransferRecord,
    pub(super) sender: Certificate,
}

impl Inside {
    pub(super) fn read(parts: &Parts<'_>, recipient: &Recipient) -> Result<Self, Refused> {
        let parcel = parts.parcel;
        let tags = read_tags(parts)?;
        let of = |name: &str| tags.iter().find(|tag| tag.path == name);
        let short = |name| of(name).map(|tag| tag.short.as_slice()).unwrap_or_default();
        let tag_manifest = short(bag::TAG_MANIFEST_FILE);
        let signed = signature::verify(
            ("inner/tagmanifest-sha256.txt", tag_manifest),
            ("inner/seal/tagmanifest-sha256.txt.p7s", short(bag::SIGNATURE_FILE)),
            &parcel.trust,
        )?;
        let unlisted = [bag::TAG_MANIFEST_FILE, bag::SIGNATURE_FILE];
        let listed = tags.iter().filter(|tag| !unlisted.contains(&tag.path));
        let listed: Vec<_> = listed.map(|tag| (tag.path, tag.sha256)).collect();
        if bag::digest_lines(&listed).as_bytes() != tag_manifest {
            return Err(Refused::new("inner/tagmanifest-sha256.txt", Fault::Altered));
        }
        let record = parcel.check_record(short(meta::TRANSFER_FILE), &signed, recipient)?;
        let index = read_index(parts, of(meta::INDEX_FILE))?;
        let files = &index.files;
        let bytes = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.length));
        let (sender, info) = (&record.transfer.sender, &parcel.info);
        let info = bag::inner_info(sender, info.id, info.sealed_at, bytes, files.len());
        let mut manifest = Sha256::new();
        manifest_lines(files).for_each(|line| manifest.update(line.as_bytes()));
        let derived = [
            (bag::INFO_FILE, sha256(info.as_bytes())),
            (bag::BAGIT_FILE, sha256(bag::BAGIT.as_bytes())),
            (bag::MANIFEST_FILE, manifest.finish()),
        ];
        for (path, expected) in derived {
            if of(path).map(|tag| tag.sha256) != Some(expected) {
                let fault = Fault::Malformed("what index and transfer say");
                return Err(Refused::new(format!("inner/{path}"), fault));
            }
        }
        Ok(Self { index, record, sender: signed.certificate, tags })
    }
}

/// Splits the metadata section; every header must be the one that this profile writes.
fn read_tags(parts: &Parts<'_>) -> Result<Vec<Tag>, Refused> {
    let info = &parts.parcel.info;
    let mut walk = Walk {
        section: parts.metadata(info.metadata_offset, info.archive_size),
        seconds: u64::try_from(info.sealed_at.as_second()).unwrap_or(0),
        waiting: None,
        piece: vec![0; PIECE_BYTES],
    };
    let mut tags = Vec::with_capacity(TAGS.len());
    for path in TAGS {
        tags.extend(walk.tag(path)?);
    }
    let mut end = [0; pax::END_BYTES];
    walk.take(&mut end, "inner")?;
    if walk.section.left() != 0 || end.iter().any(|byte| *byte != 0) {
        return Err(Refused::new("inner", malformed()));
    }
    Ok(tags)
}

fn malformed() -> Fault {
    Fault::Malformed("the metadata section of this profile")
}

/// The way through the metadata section, from front to back.
struct Walk<'a> {
    section: Section<'a>,
    /// The time in all of its headers.
    seconds: u64,
    /// A header that was looked at, and is the next file's.
    waiting: Option<[u8; pax::BLOCK_BYTES]>,
    piece: Vec<u8>,
}

impl Walk<'_> {
    /// The next file; `None` if it is the one that may be missing.
    fn tag(&mut self, tag: &'static str) -> Result<Option<Tag>, Refused> {
        let path = format!("inner/{tag}");
        let mut block = [0; pax::BLOCK_BYTES];
        match self.waiting.take() {
            Some(looked_at) => block = looked_at,
            None => self.take(&mut block, &path)?,
        }
        if tag == meta::CUSTODY_DOCUMENT && !pax::is_of(&block, &path) {
            self.waiting = Some(block);
            return Ok(None);
        }
        let length = pax::length_of(&block).ok_or_else(malformed).at(&path)?;
        if block.as_slice() != pax::header(&path, length, self.seconds) {
            return Err(Refused::new(path, malformed()));
        }
        let from = self.section.position();
        let (sha256, short) = self.content(tag, &path, length)?;
        let mut fill = [0; pax::BLOCK_BYTES];
        let fill = fill.get_mut(..pax::padding(length)).unwrap_or_default();
        self.take(fill, &path)?;
        if fill.iter().any(|byte| *byte != 0) {
            return Err(Refused::new(path, malformed()));
        }
        Ok(Some(Tag { path: tag, from, to: from + length, sha256, short }))
    }

    /// Hashes a file's bytes, and keeps those of a short one.
    fn content(
        &mut self,
        tag: &str,
        path: &str,
        length: u64,
    ) -> Result<([u8; 32], Vec<u8>), Refused> {
        let keep = SHORT.contains(&tag);
        if keep && length > SHORT_BYTES_MAX {
            let fault = Fault::Large { found: length, limit: SHORT_BYTES_MAX };
            return Err(Refused::new(path, fault));
        }
        let (mut hash, mut short, mut left) = (Sha256::new(), Vec::new(), length);
        let mut room = std::mem::take(&mut self.piece);
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let piece = room.get_mut(..count).unwrap_or_default();
            self.take(piece, path)?;
            hash.update(piece);
            if keep {
                short.extend_from_slice(piece);
            }
            left -= count as u64;
        }
        self.piece = room;
        Ok((hash.finish(), short))
    }

    /// The next bytes, as many as there is room for.
    fn take(&mut self, room: &mut [u8], path: &str) -> Result<(), Refused> {
        if room.len() as u64 > self.section.left() {
            return Err(Refused::new(path, malformed()));
        }
        self.section.read_exact(room).map_err(|error| refused(error, path))
    }
}

/// The index, if it describes this archive.
fn read_index(parts: &Parts<'_>, tag: Option<&Tag>) -> Result<Index, Refused> {
    let path = "inner/metadata/index.json";
    let form = || Fault::Malformed("an index of this profile that fits the archive");
    let tag = tag.ok_or_else(form).at(path)?;
    let bytes = BufReader::with_capacity(PIECE_BYTES, parts.metadata(tag.from, tag.to));
    // It stops where there are more files or leaves than there may be.
    let read: Result<Index, _> = serde_json::from_reader(bytes);
    let index = read.map_err(|error| match error.is_io() {
        true => refused(error.into(), path),
        false => Refused::new(path, form()),
    })?;
    if parts.parcel.fits(&index) { Ok(index) } else { Err(Refused::new(path, form())) }
}

impl Parcel {
    /// The inside must be for this parcel, by the same signer, and for us.
    fn check_record(
        &self,
        transfer: &[u8],
        signed: &signature::Signed,
        recipient: &Recipient,
    ) -> Result<TransferRecord, Refused> {
        let path = "inner/metadata/transfer.json";
        let form = || Fault::Malformed("a transfer record of this profile");
        let record: Option<TransferRecord> = serde_json::from_slice(transfer).ok();
        let sound = |r: &TransferRecord| r.profile == SEAL_PROFILE && r.transfer.check().is_ok();
        let record = record.filter(sound).ok_or_else(form).at(path)?;
        if record.parcel != self.info.id {
            let (found, expected) = (record.parcel.to_string(), self.info.id.to_string());
            return Err(Refused::new(path, Fault::OtherParcel { found, expected }));
        }
        let fingerprint = recipient.certificate.fingerprint_text();
        if !record.recipient_certificates.contains(&fingerprint) {
            return Err(Refused::new(path, Fault::Recipient { fingerprint }));
        }
        let same = record.sealed_at == self.info.sealed_at
            && signed.at == self.info.sealed_at
            && record.recipient_certificates == self.info.recipients
            && record.key_transport.as_deref() == self.info.rsa_oaep.then_some(meta::RSA_OAEP)
            && record.transfer.sender == self.info.sender
            && record.sender_certificate == signed.certificate.fingerprint_text()
            && signed.certificate == *self.sender();
        if same { Ok(record) } else { Err(Refused::new(path, form())) }
    }

    /// Whether an index describes this archive: order, names, places, and where it ends.
    pub(crate) fn fits(&self, index: &Index) -> bool {
        let leaves = index.metadata_offset.div_ceil(self.info.part_size);
        let counts = 1..=ENTRIES_MAX;
        if !counts.contains(&index.files.len()) || index.leaves.len() as u64 != leaves {
            return false;
        }
        let mut position = 0_u64;
        for file in &index.files {
            let Ok(seconds) = u64::try_from(file.modified.as_second()) else { return false };
            let head = pax::header_bytes("inner/data/".len(), &file.path, file.length);
            let starts = position.checked_add(head).filter(|_| seconds <= pax::OCTAL_MAX);
            let ends = starts.and_then(|at| at.checked_add(file.length));
            let ends = ends.and_then(|at| at.checked_add(pax::padding(file.length) as u64));
            let plain = name::objection(&file.path).is_none() && file.sha256.len() == 64;
            let (Some(ends), true, true) = (ends, starts == Some(file.offset), plain) else {
                return false;
            };
            position = ends;
        }
        let ascending = index.files.is_sorted_by(|a, b| a.path < b.path);
        let conflict = name::conflict(index.files.iter().map(|file| file.path.as_str()));
        ascending
            && conflict.is_none()
            && index.profile == SEAL_PROFILE
            && index.parcel == self.info.id
            && index.part_size == self.info.part_size
            && index.metadata_offset == self.info.metadata_offset
            && position == index.metadata_offset
    }
}
