//! The archive, written front to back into parts: files first, then the metadata that tells
//! their hashes.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use jiff::Timestamp;
use keys::digest::Sha256;

use super::ahead::{self, Ahead, Batch};
use super::workers::Cutter;
use crate::meta::IndexedFile;
use crate::{SealError, Source, Watch, pax};

/// Bytes read from an entry, or written of a tag file, at a time.
const PIECE_BYTES: usize = 256 << 10;

pub(super) struct Archive<'c, 'w> {
    parts: &'c mut Cutter,
    watch: Watch<'w>,
    piece: Vec<u8>,
    total: u64,
}

impl<'c, 'w> Archive<'c, 'w> {
    pub(super) fn new(parts: &'c mut Cutter, watch: Watch<'w>) -> Self {
        Self { parts, watch, piece: Vec::new(), total: 0 }
    }

    /// Adds the files, in the order given, and notes their hashes.
    pub(super) fn add_files(
        &mut self,
        files: &mut [IndexedFile],
        sources: Vec<Source>,
    ) -> Result<(), SealError> {
        self.total = files.iter().map(|file| file.length).sum();
        let lengths = files.iter().map(|file| file.length);
        let sources: Vec<_> = lengths.zip(sources).collect();
        let (send, batches) = mpsc::sync_channel(ahead::BATCHES);
        let part_size = self.parts.part_size();
        let (watch, over) = (self.watch, AtomicBool::new(false));
        let stop = || watch.cancelled() || over.load(Ordering::Relaxed);
        thread::scope(|scope| {
            scope.spawn(move || ahead::read(sources, part_size, &send, &stop));
            // What is read ahead is given to nobody when these are dropped; without the word it would be read first.
            let added = self.add_batches(files, batches);
            over.store(added.is_err(), Ordering::Relaxed);
            added
        })
    }

    fn add_batches(
        &mut self,
        files: &mut [IndexedFile],
        batches: Receiver<Batch>,
    ) -> Result<(), SealError> {
        let mut files = files.iter_mut();
        for Batch { bytes, files: read } in batches {
            let mut rest = bytes.as_slice();
            // In this order: the shorter side is asked first, so that no file is taken and left.
            for (ahead, file) in read.into_iter().zip(files.by_ref()) {
                if self.watch.cancelled() {
                    return Err(SealError::Cancelled);
                }
                let sha256 = match ahead {
                    Ahead::Small { length, sha256 } => {
                        let (bytes, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                        rest = after;
                        self.begin_file(file)?;
                        self.parts.write(bytes)?;
                        self.tell();
                        sha256
                    }
                    Ahead::Large(source) => {
                        self.begin_file(file)?;
                        self.copy_file(file, source)?
                    }
                    Ahead::Unread(source) => {
                        return Err(SealError::Read { path: file.path.clone(), source });
                    }
                    Ahead::Other { given } => return Err(other_length(file, given)),
                };
                self.pad(file.length)?;
                file.sha256 = hex::encode(sha256);
            }
        }
        // What reads ahead may have seen first that it is to stop.
        if files.next().is_some() { Err(SealError::Cancelled) } else { Ok(()) }
    }

    fn begin_file(&mut self, file: &IndexedFile) -> Result<(), SealError> {
        // `sorted` has seen to it that this is not negative.
        let seconds = u64::try_from(file.modified.as_second()).unwrap_or(0);
        self.parts.write(&pax::header(
            &format!("inner/data/{}", file.path),
            file.length,
            seconds,
        ))?;
        if self.parts.position() != file.offset {
            return Err(SealError::Place { path: file.path.clone() });
        }
        Ok(())
    }

    fn copy_file(&mut self, file: &IndexedFile, source: Source) -> Result<[u8; 32], SealError> {
        let read = |source| SealError::Read { path: file.path.clone(), source };
        let mut reader = source().map_err(read)?;
        self.piece.resize(PIECE_BYTES, 0);
        let mut hash = Sha256::new();
        let mut given = 0_u64;
        loop {
            if self.watch.cancelled() {
                return Err(SealError::Cancelled);
            }
            let count = match reader.read(&mut self.piece) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(read(error)),
            };
            given += count as u64;
            if given > file.length || (count == 0 && given < file.length) {
                return Err(other_length(file, given));
            }
            let Some(piece) = self.piece.get(..count).filter(|piece| !piece.is_empty()) else {
                return Ok(hash.finish());
            };
            hash.update(piece);
            self.parts.write(piece)?;
            self.tell();
        }
    }

    /// Here the data section ends.
    pub(super) fn end_data(&mut self) -> u64 {
        self.parts.mark();
        self.parts.position()
    }

    /// The hash of what each part carries of the data section.
    pub(super) fn leaves(&mut self) -> Result<Vec<String>, SealError> {
        Ok(self.parts.leaves()?.iter().map(hex::encode).collect())
    }

    /// Adds a file of the metadata section; `path` is short and plain.
    pub(super) fn add_tag_file(
        &mut self,
        path: &str,
        content: &[u8],
        at: Timestamp,
    ) -> Result<(), SealError> {
        let length = content.len() as u64;
        self.begin_tag_file(path, length, at)?;
        self.parts.write(content)?;
        self.pad(length)
    }

    /// As [`Self::add_tag_file`] with what `put` writes, of the length given. Gives its SHA-256.
    pub(super) fn stream_tag_file(
        &mut self,
        path: &str,
        (length, at): (u64, Timestamp),
        put: &dyn Fn(&mut dyn Write) -> Result<(), SealError>,
    ) -> Result<[u8; 32], SealError> {
        self.begin_tag_file(path, length, at)?;
        let mut sink = Sink {
            parts: self.parts,
            watch: self.watch,
            piece: Vec::with_capacity(PIECE_BYTES),
            hash: Sha256::new(),
            length: 0,
            failed: None,
        };
        let put = put(&mut sink).and_then(|()| sink.spill());
        // What went wrong with a part says more than that it could not be written.
        if let Some(failed) = sink.failed {
            return Err(failed);
        }
        put?;
        let (given, hash) = (sink.length, sink.hash);
        if given != length {
            return Err(SealError::Length { path: path.to_owned(), given, expected: length });
        }
        self.pad(length)?;
        Ok(hash.finish())
    }

    fn begin_tag_file(&mut self, path: &str, length: u64, at: Timestamp) -> Result<(), SealError> {
        let seconds = u64::try_from(at.as_second()).unwrap_or(0);
        self.parts.write(&pax::header(&format!("inner/{path}"), length, seconds))
    }

    /// Ends the archive.
    pub(super) fn finish(self) -> Result<(), SealError> {
        self.parts.write(&[0; pax::END_BYTES])?;
        (self.watch.progress)(self.total, self.total);
        if self.watch.cancelled() { Err(SealError::Cancelled) } else { Ok(()) }
    }

    fn tell(&self) {
        (self.watch.progress)(self.parts.position().min(self.total), self.total);
    }

    fn pad(&mut self, length: u64) -> Result<(), SealError> {
        let zeros = [0; 512];
        self.parts.write(zeros.get(..pax::padding(length)).unwrap_or_default())
    }
}

fn other_length(file: &IndexedFile, given: u64) -> SealError {
    SealError::Length { path: file.path.clone(), given, expected: file.length }
}

/// Takes what is written into the parts, piece by piece, and hashes it.
struct Sink<'a, 'w> {
    parts: &'a mut Cutter,
    watch: Watch<'w>,
    piece: Vec<u8>,
    hash: Sha256,
    length: u64,
    /// Why a part could not be sealed: writers hand on errors of files only.
    failed: Option<SealError>,
}

impl Sink<'_, '_> {
    fn spill(&mut self) -> Result<(), SealError> {
        if self.watch.cancelled() {
            return Err(SealError::Cancelled);
        }
        self.hash.update(&self.piece);
        self.length += self.piece.len() as u64;
        self.parts.write(&self.piece)?;
        self.piece.clear();
        Ok(())
    }
}

impl Write for Sink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() + bytes.len() > PIECE_BYTES
            && let Err(error) = self.spill()
        {
            self.failed = Some(error);
            return Err(io::Error::other("a part could not be sealed"));
        }
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
