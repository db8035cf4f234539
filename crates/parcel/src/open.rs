//! Opening with a key: the sender's inner signature first, then files, or pieces of files.
//!
//! Invariant: an [`Unlocked`] exists only when the inner bag's metadata was checked in full:
//! signature, addressee, index against manifest. Bytes of evidence come out only when the part
//! had the hash that the outside signs and its content the hash that the inside signs. (GCM
//! alone doesn't bind a message to one key, so the second check is not optional.)

mod files;
mod inside;
mod looking;
mod parts;
mod reader;

use std::io::{BufReader, Read};
use std::path::Path;

use keys::cert::Certificate;
use keys::digest::sha256;

pub use self::files::{Opened, Opening, open, open_with, verify_inside};
use self::inside::{Inside, Tag};
use self::parts::{Parts, Section};
pub use self::reader::SealedFile;
use crate::bag::part_path;
use crate::error::At;
#[cfg(test)]
use crate::meta::Index;
use crate::meta::{self, IndexedFile, TransferRecord};
use crate::{
    CustodyEvent, Fault, Parcel, Piece, RANGE_BYTES_MAX, Recipient, Refused, Trust, custody,
};

/// Bytes of the custody record that are read at a time.
const PIECE_BYTES: usize = 64 << 10;

/// A parcel whose inside is the sender's, ready to be read.
pub struct Unlocked<'a> {
    parts: Parts<'a>,
    inside: Inside,
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
        let parts = Parts::new(self, recipient);
        let inside = Inside::read(&parts, recipient)?;
        Ok(Unlocked { parts, inside })
    }
}

impl Unlocked<'_> {
    /// Every sealed file, in path order.
    pub fn files(&self) -> &[IndexedFile] {
        &self.inside.index.files
    }

    pub(crate) fn into_files(self) -> Vec<IndexedFile> {
        self.inside.index.files
    }

    /// Why and for whom it was sealed.
    pub fn record(&self) -> &TransferRecord {
        &self.inside.record
    }

    /// `custody.jsonld`, as a stream: of many files it is long.
    pub fn custody(&self) -> impl Read {
        self.tag(meta::CUSTODY_FILE)
    }

    /// What `custody.jsonld` tells; `None` if it is in another form than ours. An event that names no file is about
    /// every file of this parcel.
    pub fn custody_events(&self) -> Result<Option<Vec<CustodyEvent>>, Refused> {
        let record = BufReader::with_capacity(PIECE_BYTES, self.tag(meta::CUSTODY_FILE));
        match custody::events_of(record, Some(self.files())) {
            Ok(events) => Ok(Some(events)),
            Err(Fault::Read(error)) => Err(parts::refused(error, "inner/metadata/custody.jsonld")),
            Err(_) => Ok(None),
        }
    }

    /// SHA-256 of `custody.jsonld`.
    pub fn custody_sha256(&self) -> [u8; 32] {
        self.find(meta::CUSTODY_FILE).map(|tag| tag.sha256).unwrap_or_default()
    }

    /// `custody.pdf`, if the sender put it in.
    pub fn custody_document(&self) -> Option<impl Read> {
        self.find(meta::CUSTODY_DOCUMENT).map(|tag| self.parts.metadata(tag.from, tag.to))
    }

    fn find(&self, path: &str) -> Option<&Tag> {
        self.inside.tags.iter().find(|tag| tag.path == path)
    }

    /// Every file of the metadata section: where it lies below the opened folder, and its bytes.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (String, impl Read)> {
        let tags = self.inside.tags.iter();
        tags.map(|tag| (format!("inner/{}", tag.path), self.parts.metadata(tag.from, tag.to)))
    }

    /// The bytes of a file of the metadata section; none if it isn't there.
    fn tag(&self, path: &str) -> Section<'_> {
        let (from, to) = self.find(path).map(|tag| (tag.from, tag.to)).unwrap_or_default();
        self.parts.metadata(from, to)
    }

    /// The certificate that signed the inside.
    pub fn sender(&self) -> &Certificate {
        &self.inside.sender
    }

    #[cfg(test)]
    pub(crate) fn index(&self) -> &Index {
        &self.inside.index
    }

    /// The file with this path.
    pub fn file(&self, path: &str) -> Result<&IndexedFile, Refused> {
        let files = self.files();
        let at = files.binary_search_by(|file| file.path.as_str().cmp(path));
        let found = at.ok().and_then(|at| files.get(at));
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
        let check = |number, plain: &[u8]| self.check_leaf(number, plain);
        let copied = self.parts.copy((from, to), Some(&check), sink);
        copied.map_err(|refused| self.blame(refused))
    }

    /// The content's hash must be the one that the inner signature covers.
    fn check_leaf(&self, number: u64, plain: &[u8]) -> Result<(), Refused> {
        let (from, to) = self.parts.parcel.info.range(number);
        let index = &self.inside.index;
        let covered = to.min(index.metadata_offset).saturating_sub(from);
        let covered = usize::try_from(covered).ok().and_then(|length| plain.get(..length));
        let leaf = usize::try_from(number).ok().and_then(|at| index.leaves.get(at));
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
    fn blame(&self, mut refused: Refused) -> Refused {
        let Some((from, to)) = refused.range else { return refused };
        let hit = |file: &&IndexedFile| file.offset < to && file.offset + file.length > from;
        let piece = |file: &IndexedFile| Piece {
            path: file.path.clone(),
            from: from.saturating_sub(file.offset),
            to: (to - file.offset).min(file.length),
        };
        let pieces = self.files().iter().filter(hit).map(piece);
        refused.inside = pieces.take(Refused::OTHERS_MAX).collect();
        refused
    }
}

impl std::fmt::Debug for Unlocked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unlocked({})", self.parts.parcel.id())
    }
}
