//! Opening with a key: the sender's inner signature first, then files, or pieces of files.
//!
//! Invariant: an [`Unlocked`] exists only when the inner bag's metadata was checked in full:
//! signature, addressee, index against manifest. Bytes of evidence come out only when the part
//! had the hash that the outside signs and its content the hash that the inside signs. (GCM
//! alone doesn't bind a message to one key, so the second check is not optional.)

mod files;
mod looking;
mod reader;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use keys::cert::Certificate;
use keys::digest::sha256;
use zeroize::Zeroizing;

pub use self::files::{Opened, Opening, open, open_with, verify_inside};
pub use self::reader::SealedFile;
use crate::bag::{self, part_path};
use crate::cms::{envelope::Envelope, signature};
use crate::error::At;
use crate::meta::{self, Index, IndexedFile, TransferRecord};
use crate::seal::inner_manifest;
use crate::{
    ENTRIES_MAX, Fault, Parcel, Piece, RANGE_BYTES_MAX, Recipient, Refused, SEAL_PROFILE, Trust,
    name, pax,
};

/// Decrypted parts kept in memory, so that reading on doesn't decrypt again.
const PARTS_KEPT: usize = 2;

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

/// A parcel whose inside is the sender's, ready to be read.
pub struct Unlocked<'a> {
    parcel: &'a Parcel,
    recipient: &'a Recipient,
    tags: Vec<(&'static str, Vec<u8>)>,
    index: Index,
    record: TransferRecord,
    sender: Certificate,
    kept: Mutex<VecDeque<KeptPart>>,
}

/// A part's content in memory.
struct KeptPart {
    number: u64,
    plain: Zeroizing<Vec<u8>>,
    /// Whether it has the hash that the inside signs. It is looked at once, for memory does not change.
    holds: bool,
}

/// Reads `range` (from, up to; all if `None`) of one file, and decrypts only the parts that carry
/// it (and the metadata). At most [`RANGE_BYTES_MAX`] bytes. To read more than once, hold on to a
/// [`Parcel`] and its [`Parcel::unlock`], which remembers the last parts.
pub fn open_file(
    parcel: &Path,
    recipient: &Recipient,
    trust: &Trust,
    path: &str,
    range: Option<(u64, u64)>,
) -> Result<Vec<u8>, Refused> {
    let parcel = Parcel::enter(parcel, trust)?;
    let unlocked = parcel.unlock(recipient)?;
    let length = unlocked.file(path)?.length;
    let (from, to) = range.unwrap_or((0, length));
    unlocked.read(path, from, to)
}

impl Parcel {
    /// Decrypts the metadata and checks the sender's inner signature.
    pub fn unlock<'a>(&'a self, recipient: &'a Recipient) -> Result<Unlocked<'a>, Refused> {
        let first = self.info.metadata_offset / self.info.part_size;
        let mut section = Zeroizing::new(Vec::new());
        let mut kept = VecDeque::new();
        for number in first..self.info.parts {
            let plain = self.decrypt(number, recipient)?;
            let (from, _) = self.info.range(number);
            let skip = self.info.metadata_offset.saturating_sub(from);
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            section.extend_from_slice(plain.get(skip..).unwrap_or_default());
            if kept.len() < PARTS_KEPT {
                kept.push_back(KeptPart { number, plain, holds: false });
            }
        }
        let tags = self.read_tags(&section)?;
        let (index, record, sender) = self.check_inside(&tags, recipient)?;
        let kept = Mutex::new(kept);
        Ok(Unlocked { parcel: self, recipient, tags, index, record, sender, kept })
    }

    /// One part's content.
    fn decrypt(&self, number: u64, recipient: &Recipient) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let path = part_path(number);
        let (from, to) = self.info.range(number);
        let mut part = Zeroizing::new(self.part(number)?);
        let refuse = |fault| {
            let mut refused = Refused::new(&path, fault);
            refused.range = Some((from, to));
            refused
        };
        let envelope = Envelope::parse(&part).map_err(refuse)?;
        if envelope.content_length() as u64 != to - from {
            return Err(refuse(Fault::Malformed("a part of the length that bag-info.txt gives")));
        }
        if envelope.by_rsa() != self.info.rsa_oaep {
            let mut refused = crate::verify::unmarked(&path);
            refused.range = Some((from, to));
            return Err(refused);
        }
        let plain = envelope.open(recipient, &mut part).map_err(refuse)?;
        let length = plain.len();
        part.copy_within(plain, 0);
        part.truncate(length);
        Ok(part)
    }

    /// Splits the metadata section; every header must be the one that this profile writes.
    fn read_tags(&self, section: &[u8]) -> Result<Vec<(&'static str, Vec<u8>)>, Refused> {
        let seconds = u64::try_from(self.info.sealed_at.as_second()).unwrap_or(0);
        let malformed = || Fault::Malformed("the metadata section of this profile");
        let mut rest = section;
        let mut tags = Vec::with_capacity(TAGS.len());
        for tag in TAGS {
            let path = format!("inner/{tag}");
            if tag == meta::CUSTODY_DOCUMENT && !pax::is_of(rest, &path) {
                continue;
            }
            let mut take = |length: u64| {
                let length = usize::try_from(length).ok()?;
                let (taken, after) = rest.split_at_checked(length)?;
                rest = after;
                Some(taken)
            };
            let block = take(pax::BLOCK).ok_or_else(malformed).at(&path)?;
            let length = pax::length_of(block).ok_or_else(malformed).at(&path)?;
            let content = take(length).ok_or_else(malformed).at(&path)?;
            let fill = take(pax::padding(length) as u64).ok_or_else(malformed).at(&path)?;
            if block != pax::header(&path, length, seconds) || fill.iter().any(|b| *b != 0) {
                return Err(Refused::new(path, malformed()));
            }
            tags.push((tag, content.to_vec()));
        }
        if rest.len() != pax::END_BYTES || rest.iter().any(|byte| *byte != 0) {
            return Err(Refused::new("inner", malformed()));
        }
        Ok(tags)
    }

    /// Checks the inner bag: signature, tag manifest, addressee, index against manifest.
    fn check_inside(
        &self,
        tags: &[(&'static str, Vec<u8>)],
        recipient: &Recipient,
    ) -> Result<(Index, TransferRecord, Certificate), Refused> {
        let of = |name: &str| {
            let found = tags.iter().find(|(path, _)| *path == name);
            found.map(|(_, content)| content.as_slice()).unwrap_or_default()
        };
        let (tag_manifest, seal) = (of(bag::TAG_MANIFEST_FILE), of(bag::SIGNATURE_FILE));
        let (index, transfer) = (of(meta::INDEX_FILE), of(meta::TRANSFER_FILE));
        let signed = signature::verify(
            ("inner/tagmanifest-sha256.txt", tag_manifest),
            ("inner/seal/tagmanifest-sha256.txt.p7s", seal),
            &self.trust,
        )?;
        let unlisted = [bag::TAG_MANIFEST_FILE, bag::SIGNATURE_FILE];
        let listed = tags.iter().filter(|(path, _)| !unlisted.contains(path));
        let listed: Vec<_> = listed.map(|(path, content)| (*path, content.as_slice())).collect();
        if bag::tag_manifest(&listed).as_bytes() != tag_manifest {
            return Err(Refused::new("inner/tagmanifest-sha256.txt", Fault::Altered));
        }
        let record = self.check_record(transfer, &signed, recipient)?;
        let read: Option<Index> = serde_json::from_slice(index).ok();
        let form = Fault::Malformed("an index of this profile that fits the archive");
        let index = read.filter(|index| self.fits(index)).ok_or(form);
        let index = index.at("inner/metadata/index.json")?;
        let files = &index.files;
        let bytes = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.length));
        let sender = &record.transfer.sender;
        let expected =
            bag::inner_info(sender, self.info.id, self.info.sealed_at, bytes, files.len());
        let derived = [
            ("inner/bag-info.txt", of(bag::INFO_FILE), expected),
            ("inner/bagit.txt", of(bag::BAGIT_FILE), bag::BAGIT.to_owned()),
            ("inner/manifest-sha256.txt", of(bag::MANIFEST_FILE), inner_manifest(files)),
        ];
        for (path, content, expected) in derived {
            if content != expected.as_bytes() {
                let fault = Fault::Malformed("what index and transfer say");
                return Err(Refused::new(path, fault));
            }
        }
        Ok((index, record, signed.certificate))
    }

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
        let record = record.filter(|r| r.profile == SEAL_PROFILE).ok_or_else(form).at(path)?;
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
        let mut position = 0_u64;
        for file in &index.files {
            let Ok(seconds) = u64::try_from(file.modified.as_second()) else { return false };
            let head = pax::header(&format!("inner/data/{}", file.path), file.length, seconds);
            let starts = position.checked_add(head.len() as u64);
            let ends = starts.and_then(|at| at.checked_add(file.length));
            let ends = ends.and_then(|at| at.checked_add(pax::padding(file.length) as u64));
            let plain = name::objection(&file.path).is_none() && file.sha256.len() == 64;
            let (Some(ends), true, true) = (ends, starts == Some(file.offset), plain) else {
                return false;
            };
            position = ends;
        }
        let ascending = index.files.is_sorted_by(|a, b| a.path < b.path);
        let leaves = index.metadata_offset.div_ceil(self.info.part_size);
        let conflict = name::conflict(index.files.iter().map(|file| file.path.as_str()));
        ascending
            && conflict.is_none()
            && index.files.len() <= ENTRIES_MAX
            && !index.files.is_empty()
            && index.profile == SEAL_PROFILE
            && index.parcel == self.info.id
            && index.part_size == self.info.part_size
            && index.metadata_offset == self.info.metadata_offset
            && position == index.metadata_offset
            && index.leaves.len() as u64 == leaves
    }
}

impl Unlocked<'_> {
    /// Every sealed file, in path order.
    pub fn files(&self) -> &[IndexedFile] {
        &self.index.files
    }

    /// Why and for whom it was sealed.
    pub fn record(&self) -> &TransferRecord {
        &self.record
    }

    /// `custody.jsonld`.
    pub fn custody(&self) -> &[u8] {
        let found = self.tags.iter().find(|(path, _)| *path == meta::CUSTODY_FILE);
        found.map(|(_, content)| content.as_slice()).unwrap_or_default()
    }

    /// `custody.pdf`, if the sender put it in.
    pub fn custody_document(&self) -> Option<&[u8]> {
        let found = self.tags.iter().find(|(path, _)| *path == meta::CUSTODY_DOCUMENT);
        found.map(|(_, content)| content.as_slice())
    }

    /// The certificate that signed the inside.
    pub fn sender(&self) -> &Certificate {
        &self.sender
    }

    #[cfg(test)]
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn tags(&self) -> &[(&'static str, Vec<u8>)] {
        &self.tags
    }

    /// The file with this path.
    pub fn file(&self, path: &str) -> Result<&IndexedFile, Refused> {
        let at = self.index.files.binary_search_by(|file| file.path.as_str().cmp(path));
        let found = at.ok().and_then(|at| self.index.files.get(at));
        found.ok_or(Fault::NoSuchFile).at(path)
    }

    /// Bytes `from` up to `to` of a file, at most [`RANGE_BYTES_MAX`]. Read in full, its hash is
    /// checked too.
    pub fn read(&self, path: &str, from: u64, to: u64) -> Result<Vec<u8>, Refused> {
        let file = self.file(path)?;
        let length = file.length;
        if from > to || to > length {
            return Err(Refused::new(path, Fault::Range { from, to, length }));
        }
        if to - from > RANGE_BYTES_MAX {
            let (found, limit) = (to - from, RANGE_BYTES_MAX);
            return Err(Refused::new(path, Fault::Large { found, limit }));
        }
        let mut out = Vec::with_capacity(usize::try_from(to - from).unwrap_or(0));
        self.copy(file.offset + from, file.offset + to, &mut |piece| {
            out.extend_from_slice(piece);
            Ok(())
        })?;
        if (from, to) == (0, length) && hex::encode(sha256(&out)) != file.sha256 {
            return Err(Refused::new(path, Fault::Altered));
        }
        Ok(out)
    }

    /// A file's bytes from its begin to its end, decrypted in memory as they are asked for; its hash is checked
    /// at the end. For programs that want a stream, such as a malware scanner.
    pub fn stream(&self, path: &str) -> Result<SealedFile<'_>, Refused> {
        Ok(SealedFile::new(self, self.file(path)?.clone()))
    }

    /// Hands bytes `from` up to `to` of the archive's data section to `sink`, piece by piece.
    pub(crate) fn copy(
        &self,
        from: u64,
        to: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut position = from;
        while position < to {
            let number = position / self.index.part_size;
            let (start, end) = self.parcel.info.range(number);
            let until = end.min(to);
            self.with_part(number, &mut |plain| {
                let bounds = usize::try_from(position - start).ok();
                let bounds = bounds.zip(usize::try_from(until - start).ok());
                let piece = bounds.and_then(|(from, to)| plain.get(from..to));
                let short = || Fault::Malformed("a part of the right length");
                sink(piece.ok_or_else(short).at(part_path(number))?)
            })?;
            position = until;
        }
        Ok(())
    }

    /// Runs `use_it` on a part's content, which is decrypted and checked, or was before.
    fn with_part(
        &self,
        number: u64,
        use_it: &mut dyn FnMut(&[u8]) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.iter().any(|part| part.number == number) {
            let plain = self.parcel.decrypt(number, self.recipient);
            let plain = plain.map_err(|refused| self.blame(number, refused))?;
            if kept.len() >= PARTS_KEPT {
                kept.pop_front();
            }
            kept.push_back(KeptPart { number, plain, holds: false });
        }
        let part = kept.iter_mut().find(|part| part.number == number);
        let part = part.ok_or(Fault::Missing).at(part_path(number))?;
        if !part.holds {
            let holds = self.check_leaf(number, &part.plain);
            holds.map_err(|refused| self.blame(number, refused))?;
            part.holds = true;
        }
        use_it(&part.plain)
    }

    /// The content's hash must be the one that the inner signature covers.
    fn check_leaf(&self, number: u64, plain: &[u8]) -> Result<(), Refused> {
        let (from, to) = self.parcel.info.range(number);
        let covered = to.min(self.index.metadata_offset).saturating_sub(from);
        let covered = usize::try_from(covered).ok().and_then(|length| plain.get(..length));
        let leaf = usize::try_from(number).ok().and_then(|at| self.index.leaves.get(at));
        match (covered, leaf) {
            (Some(data), Some(leaf)) if hex::encode(sha256(data)) == *leaf => Ok(()),
            _ => {
                let mut refused = Refused::new(part_path(number), Fault::Altered);
                refused.range = Some((from, to));
                Err(refused)
            }
        }
    }

    /// Adds the pieces of sealed files that a bad part carries.
    fn blame(&self, number: u64, mut refused: Refused) -> Refused {
        let (from, to) = self.parcel.info.range(number);
        let hit = |file: &&IndexedFile| file.offset < to && file.offset + file.length > from;
        let piece = |file: &IndexedFile| Piece {
            path: file.path.clone(),
            from: from.saturating_sub(file.offset),
            to: (to - file.offset).min(file.length),
        };
        let pieces = self.index.files.iter().filter(hit).map(piece);
        refused.inside = pieces.take(Refused::OTHERS_MAX).collect();
        refused
    }
}

impl std::fmt::Debug for Unlocked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unlocked({})", self.parcel.id())
    }
}
