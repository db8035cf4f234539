//! The archive, written front to back into parts: files first, then the metadata that tells
//! their hashes.

use std::io::Read;

use jiff::Timestamp;
use keys::digest::Sha256;

use super::workers::Cutter;
use crate::meta::IndexedFile;
use crate::{Entry, SealError, Watch, pax};

/// Bytes read from an entry at a time.
const PIECE_BYTES: usize = 256 << 10;

pub(super) struct Archive<'c, 'w> {
    parts: &'c mut Cutter,
    watch: Watch<'w>,
    piece: Vec<u8>,
    total: u64,
}

impl<'c, 'w> Archive<'c, 'w> {
    pub(super) fn new(parts: &'c mut Cutter, watch: Watch<'w>) -> Self {
        Self { parts, watch, piece: vec![0; PIECE_BYTES], total: 0 }
    }

    /// Adds the files, in the order given.
    pub(super) fn add_entries(
        &mut self,
        entries: Vec<Entry>,
    ) -> Result<Vec<IndexedFile>, SealError> {
        self.total = entries.iter().map(|entry| entry.length).sum();
        entries.into_iter().map(|entry| self.add_entry(entry)).collect()
    }

    fn add_entry(&mut self, entry: Entry) -> Result<IndexedFile, SealError> {
        let Entry { path, media_type, modified, length, open } = entry;
        // `sorted` has seen to it that this is not negative.
        let seconds = u64::try_from(modified.as_second()).unwrap_or(0);
        self.parts.write(&pax::header(&format!("inner/data/{path}"), length, seconds))?;
        let offset = self.parts.position();
        let read = |source| SealError::Read { path: path.clone(), source };
        let mut reader = open().map_err(read)?;
        let mut hash = Sha256::new();
        let mut given = 0_u64;
        loop {
            if self.watch.cancelled() {
                return Err(SealError::Cancelled);
            }
            let count = match reader.read(&mut self.piece) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(read(error)),
            };
            given += count as u64;
            if given > length || (count == 0 && given < length) {
                return Err(SealError::Length { path, given, expected: length });
            }
            let Some(piece) = self.piece.get(..count).filter(|piece| !piece.is_empty()) else {
                break;
            };
            hash.update(piece);
            self.parts.write(piece)?;
            (self.watch.progress)(self.parts.position().min(self.total), self.total);
        }
        self.pad(length)?;
        let modified = Timestamp::from_second(modified.as_second());
        let modified = modified.map_err(|_| SealError::Modified { path: path.clone() })?;
        let sha256 = hex::encode(hash.finish());
        Ok(IndexedFile { path, media_type, offset, length, modified, sha256 })
    }

    /// Where the data section ends, and the hash of what each part carries of it.
    pub(super) fn end_of_data(&mut self) -> Result<(u64, Vec<String>), SealError> {
        let leaves = self.parts.leaves()?;
        Ok((self.parts.position(), leaves.iter().map(hex::encode).collect()))
    }

    /// Adds a file of the metadata section; `path` is short and plain.
    pub(super) fn add_tag_file(
        &mut self,
        path: &str,
        content: &[u8],
        at: Timestamp,
    ) -> Result<(), SealError> {
        let seconds = u64::try_from(at.as_second()).unwrap_or(0);
        let length = content.len() as u64;
        self.parts.write(&pax::header(&format!("inner/{path}"), length, seconds))?;
        self.parts.write(content)?;
        self.pad(length)
    }

    /// Ends the archive.
    pub(super) fn finish(self) -> Result<(), SealError> {
        self.parts.write(&[0; pax::END_BYTES])?;
        (self.watch.progress)(self.total, self.total);
        if self.watch.cancelled() { Err(SealError::Cancelled) } else { Ok(()) }
    }

    fn pad(&mut self, length: u64) -> Result<(), SealError> {
        let zeros = [0; 512];
        self.parts.write(zeros.get(..pax::padding(length)).unwrap_or_default())
    }
}
