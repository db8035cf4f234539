//! What a sealed file is by its content: only the parts that carry what is looked at are decrypted, in memory.

use std::io::{self, Read, Seek, SeekFrom};

use super::Unlocked;
use crate::media::{self, Examined};
use crate::{Fault, Refused};

/// Bytes that are taken out at a time, and how often of one file: a film of very many fragments is not looked through.
const PIECE_BYTES: u64 = 64 << 10;
const PIECES_MAX: usize = 1_024;

impl Unlocked<'_> {
    /// Looks through a file. Ask in path order: the parts that were decrypted last are remembered.
    pub fn examine(&self, path: &str) -> Result<Examined, Refused> {
        let length = self.file(path)?.length;
        let (piece, left) = (Vec::new(), PIECES_MAX);
        let mut file = Places { of: self, path, length, at: 0, from: 0, piece, left };
        match media::examine(&mut file, path) {
            Err(_) if file.left == 0 => {
                let head = self.read(path, 0, length.min(PIECE_BYTES))?;
                Ok(media::by_head(&head))
            }
            found => found.map_err(|error| Refused::new(path, Fault::Read(error))),
        }
    }
}

/// A sealed file that is read wherever one looks.
struct Places<'a> {
    of: &'a Unlocked<'a>,
    path: &'a str,
    length: u64,
    at: u64,
    /// The last piece, and where it begins.
    from: u64,
    piece: Vec<u8>,
    /// Pieces that may still be taken out.
    left: usize,
}

impl Read for Places<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.length {
            return Ok(0);
        }
        let held = self.at >= self.from && self.at - self.from < self.piece.len() as u64;
        if !held {
            let most = || io::Error::other("it is in too many pieces");
            self.left = self.left.checked_sub(1).ok_or_else(most)?;
            let until = self.length.min(self.at.saturating_add(PIECE_BYTES));
            self.piece = self.of.read(self.path, self.at, until).map_err(io::Error::other)?;
            self.from = self.at;
        }
        let skip = usize::try_from(self.at - self.from).unwrap_or(usize::MAX);
        let count = self.piece.get(skip..).unwrap_or_default().read(into)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

impl Seek for Places<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let outside = || io::Error::other("a place before the begin");
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).ok_or_else(outside)?,
            SeekFrom::End(by) => self.length.checked_add_signed(by).ok_or_else(outside)?,
        };
        Ok(self.at)
    }
}
