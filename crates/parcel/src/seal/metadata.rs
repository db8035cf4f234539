//! The metadata section: the inner bag's tag files, the long ones written as streams.
//!
//! Invariants: a file's length is known before its first byte is written, for its header says it; all of it together is
//! known to fit before the first part is sealed.

use std::io::{self, Write};

use jiff::Timestamp;
use keys::digest::sha256;

use super::archive::Archive;
use super::{Order, manifest_lines};
use crate::cms::signature;
use crate::custody::paper::{self, Inside};
use crate::custody::{Record, Words};
use crate::meta::{self, Index, IndexedFile, TransferRecord};
use crate::{CustodyEvent, METADATA_BYTES_MAX, SEAL_PROFILE, SealError, bag};

/// What the files take at most whose length hardly depends on anything: `bag-info.txt`, `bagit.txt`, the tag manifest;
/// and all headers, and the archive's end.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// From here on it is looked at how long the document for people will be. Below, it is never so long that it matters.
const PAPER_COUNTS_FROM: u64 = METADATA_BYTES_MAX / 8;

/// All that the metadata section tells.
pub(super) struct Metadata<'a> {
    order: &'a Order<'a>,
    record: TransferRecord,
    index: Index,
    custody_bytes: u64,
}

/// The files that grow with the number of files.
#[derive(Clone, Copy)]
enum Long {
    Manifest,
    Custody(Words),
    Index,
}

impl Long {
    fn path(self) -> &'static str {
        match self {
            Self::Manifest => bag::MANIFEST_FILE,
            Self::Custody(_) => meta::CUSTODY_FILE,
            Self::Index => meta::INDEX_FILE,
        }
    }
}

impl<'a> Metadata<'a> {
    /// Of these files, whose hashes are still to come. Refused if it would be too large.
    pub(super) fn plan(
        order: &'a Order<'a>,
        files: Vec<IndexedFile>,
        metadata_offset: u64,
    ) -> Result<Self, SealError> {
        check_events(&order.custody, &files)?;
        let leaves = usize::try_from(metadata_offset.div_ceil(order.part_size));
        let leaves = vec![meta::unknown_hash(); leaves.unwrap_or(usize::MAX)];
        let index = Index {
            profile: SEAL_PROFILE.to_owned(),
            parcel: order.id,
            part_size: order.part_size,
            metadata_offset,
            files,
            leaves,
        };
        let mut plan = Self { order, record: order.record(), index, custody_bytes: 0 };
        plan.custody_bytes = plan.length(Long::Custody(Words::Length))?;
        plan.check_fits()?;
        Ok(plan)
    }

    /// Whether a reader will take so much, counted from above.
    fn check_fits(&self) -> Result<(), SealError> {
        let mut bytes = SMALL_BYTES_MAX
            + signature::SIGNATURE_BYTES_MAX
            + self.custody_bytes
            + self.length(Long::Manifest)?
            + self.length(Long::Index)?
            + self.transfer()?.len() as u64;
        let looked_at = PAPER_COUNTS_FROM..=METADATA_BYTES_MAX;
        if self.order.custody_document && looked_at.contains(&bytes) {
            // With other hashes it compresses a little better or worse.
            let paper = self.paper([0; 32], None)?.len() as u64;
            bytes += paper + paper / 4 + SMALL_BYTES_MAX + self.attached_bytes();
        }
        if bytes <= METADATA_BYTES_MAX { Ok(()) } else { Err(self.too_long(bytes)) }
    }

    fn too_long(&self, bytes: u64) -> SealError {
        let (files, events) = (self.index.files.len(), self.order.custody.len());
        SealError::Metadata { files, events, bytes, limit: METADATA_BYTES_MAX }
    }

    /// For the hashes, when they come.
    pub(super) fn files_mut(&mut self) -> &mut [IndexedFile] {
        &mut self.index.files
    }

    pub(super) fn into_parts(self) -> (Vec<IndexedFile>, TransferRecord) {
        (self.index.files, self.record)
    }

    /// Writes the section's files, the signature last.
    pub(super) fn write(&mut self, archive: &mut Archive<'_, '_>) -> Result<(), SealError> {
        let (order, at) = (self.order, self.order.sealed_at);
        if order.custody.iter().any(|event| !event.originals.is_empty()) {
            // Now that the hashes are known, what is an original itself is no copy of one.
            self.custody_bytes = self.length(Long::Custody(Words::Length))?;
        }
        let files = &self.index.files;
        let bytes = files.iter().map(|file| file.length).sum();
        let info = bag::inner_info(&order.transfer.sender, order.id, at, bytes, files.len());
        let mut listed = vec![
            short(archive, bag::INFO_FILE, info.as_bytes(), at)?,
            short(archive, bag::BAGIT_FILE, bag::BAGIT.as_bytes(), at)?,
            self.long(archive, Long::Manifest, self.length(Long::Manifest)?)?,
            self.long(archive, Long::Custody(Words::Whole), self.custody_bytes)?,
        ];
        if order.custody_document {
            let custody = listed.last().map(|(_, digest)| *digest).unwrap_or_default();
            let paper = self.paper(custody, self.attached()?)?;
            listed.push(short(archive, meta::CUSTODY_DOCUMENT, &paper, at)?);
        }
        self.index.leaves = archive.leaves()?;
        listed.push(self.long(archive, Long::Index, self.length(Long::Index)?)?);
        listed.push(short(archive, meta::TRANSFER_FILE, &self.transfer()?, at)?);
        let manifest = bag::digest_lines(&listed);
        let signature = signature::sign(manifest.as_bytes(), order.sender, at)?;
        short(archive, bag::TAG_MANIFEST_FILE, manifest.as_bytes(), at)?;
        short(archive, bag::SIGNATURE_FILE, &signature, at).map(|_| ())
    }

    fn put(&self, file: Long, out: &mut dyn Write) -> Result<(), SealError> {
        let put = match file {
            Long::Manifest => manifest_lines(&self.index.files)
                .try_for_each(|line| out.write_all(line.as_bytes()))
                .map_err(serde_json::Error::io),
            Long::Custody(words) => self.custody().write(words, out),
            Long::Index => meta::write_json(&self.index, out),
        };
        put.map_err(|source| SealError::Json { file: file.path(), source })
    }

    /// How many bytes a file will have. Hashes are all of one length.
    fn length(&self, file: Long) -> Result<u64, SealError> {
        let mut counted = Counted(0);
        match self.put(file, &mut counted) {
            Err(_) if counted.0 > METADATA_BYTES_MAX => Err(self.too_long(counted.0)),
            put => put.map(|()| counted.0),
        }
    }

    fn long(
        &self,
        archive: &mut Archive<'_, '_>,
        file: Long,
        length: u64,
    ) -> Result<(&'static str, [u8; 32]), SealError> {
        let at = self.order.sealed_at;
        let digest =
            archive.stream_tag_file(file.path(), (length, at), &|out| self.put(file, out))?;
        Ok((file.path(), digest))
    }

    fn custody(&self) -> Record<'_> {
        Record { of: &self.record, files: &self.index.files, events: &self.order.custody }
    }

    fn transfer(&self) -> Result<Vec<u8>, SealError> {
        let json = meta::to_json(&self.record);
        json.map_err(|source| SealError::Json { file: meta::TRANSFER_FILE, source })
    }

    /// Bytes of the record that go into the document as well.
    fn attached_bytes(&self) -> u64 {
        Some(self.custody_bytes).filter(|bytes| *bytes <= paper::RECORD_BYTES_MAX).unwrap_or(0)
    }

    fn attached(&self) -> Result<Option<Vec<u8>>, SealError> {
        if self.attached_bytes() == 0 {
            return Ok(None);
        }
        let mut out = Vec::new();
        self.put(Long::Custody(Words::Whole), &mut out)?;
        Ok(Some(out))
    }

    fn paper(&self, sha256: [u8; 32], attached: Option<Vec<u8>>) -> Result<Vec<u8>, SealError> {
        let inside = Inside { sha256, attached };
        Ok(paper::write(&self.record, &self.index.files, &self.order.custody, inside, None)?)
    }
}

/// An event that is about none of the files would be read as one about all.
fn check_events(events: &[CustodyEvent], files: &[IndexedFile]) -> Result<(), SealError> {
    let here = |path: &String| files.binary_search_by(|file| file.path.cmp(path)).is_ok();
    let lost = |event: &&CustodyEvent| !event.files.is_empty() && !event.files.iter().any(here);
    match events.iter().find(lost).and_then(|event| event.files.first()) {
        None => Ok(()),
        Some(path) => {
            let why = "an event of its custody is about this file, and the parcel hasn't it";
            Err(SealError::Path { path: path.clone(), why })
        }
    }
}

fn short(
    archive: &mut Archive<'_, '_>,
    path: &'static str,
    content: &[u8],
    at: Timestamp,
) -> Result<(&'static str, [u8; 32]), SealError> {
    archive.add_tag_file(path, content, at)?;
    Ok((path, sha256(content)))
}

/// Counts what would be written, and ends it where it is more than there may be.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        if self.0 > METADATA_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
