//! One sealed file as a stream of bytes.
//!
//! Invariant: the end is told only when the whole file had the hash that the inside signs.

use std::io::{self, Read};

use keys::digest::Sha256;
use zeroize::Zeroizing;

use super::Unlocked;
use crate::meta::IndexedFile;
use crate::{Fault, Refused};

/// Bytes that are taken out of a part at a time.
const PIECE_BYTES_MAX: u64 = 4 << 20;

/// What [`Unlocked::stream`] gives.
pub struct SealedFile<'a> {
    unlocked: &'a Unlocked<'a>,
    file: IndexedFile,
    /// Bytes of the file that were taken out.
    at: u64,
    piece: Zeroizing<Vec<u8>>,
    /// Bytes of the piece that were handed on.
    done: usize,
    hash: Option<Sha256>,
}

impl<'a> SealedFile<'a> {
    pub(super) fn new(unlocked: &'a Unlocked<'a>, file: IndexedFile) -> Self {
        let piece = Zeroizing::new(Vec::new());
        Self { unlocked, file, at: 0, piece, done: 0, hash: Some(Sha256::new()) }
    }

    /// Takes the next piece out; at the end, holds the whole against its hash.
    fn take(&mut self) -> Result<(), Refused> {
        (self.done, self.piece) = (0, Zeroizing::new(Vec::new()));
        let until = self.file.length.min(self.at.saturating_add(PIECE_BYTES_MAX));
        if until == self.at {
            let hash = self.hash.take().map(|hash| hex::encode(hash.finish()));
            return match hash {
                Some(hash) if hash != self.file.sha256 => {
                    Err(Refused::new(&self.file.path, Fault::Altered))
                }
                Some(_) | None => Ok(()),
            };
        }
        let (from, to) = (self.file.offset + self.at, self.file.offset + until);
        let piece = &mut self.piece;
        self.unlocked.copy(from, to, &mut |bytes| {
            piece.extend_from_slice(bytes);
            Ok(())
        })?;
        if let Some(hash) = &mut self.hash {
            hash.update(&self.piece);
        }
        self.at = until;
        Ok(())
    }
}

impl Read for SealedFile<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.done == self.piece.len() {
            self.take().map_err(|refused| io::Error::other(Box::new(refused)))?;
        }
        let rest = self.piece.get(self.done..).unwrap_or_default();
        let count = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.done += count;
        Ok(count)
    }
}

impl std::fmt::Debug for SealedFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedFile({}, {} of {})", self.file.path, self.at, self.file.length)
    }
}
