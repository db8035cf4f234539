//! What is sent: a film and a tree of small files, made as they are read, so that they take no room of their own.

use std::io::{self, Read};

use keys::digest::Sha256;

const PIECE_BYTES: usize = 1 << 20;
/// Bytes of a small file.
const SMALL_BYTES: usize = 4 << 10;

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// MiB of the film.
    pub(crate) mib: u64,
    /// Small files.
    pub(crate) files: usize,
}

/// One file.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) path: String,
    pub(crate) media_type: &'static str,
    pub(crate) length: u64,
    /// Two files with the same seed are the same.
    seed: u64,
}

impl Load {
    /// All files, the film first.
    pub(crate) fn files(self) -> Vec<Made> {
        let film = Made {
            path: "film.mp4".to_owned(),
            media_type: "video/mp4",
            length: self.mib << 20,
            seed: u64::MAX,
        };
        let small = (0_u64..).take(self.files).map(|number| Made {
            path: format!("tree/{:03}/{number:06}.txt", number / 1_000),
            media_type: "text/plain",
            length: SMALL_BYTES as u64,
            seed: number,
        });
        std::iter::once(film).chain(small).collect()
    }
}

impl Made {
    pub(crate) fn open(&self) -> Bytes {
        Bytes { piece: piece(self.seed), at: 0, length: self.length }
    }

    pub(crate) fn sha256(&self) -> io::Result<[u8; 32]> {
        let (mut bytes, mut hash) = (self.open(), Sha256::new());
        let mut buffer = vec![0; PIECE_BYTES.min(usize::try_from(self.length).unwrap_or(0).max(1))];
        loop {
            let count = bytes.read(&mut buffer)?;
            if count == 0 {
                return Ok(hash.finish());
            }
            hash.update(buffer.get(..count).unwrap_or_default());
        }
    }
}

/// Bytes without a pattern, from a seed (SplitMix64).
fn piece(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    // Small files need no more than their first bytes.
    let bytes = if seed == u64::MAX { PIECE_BYTES } else { SMALL_BYTES };
    (0..bytes / 8).flat_map(|_| next().to_le_bytes()).collect()
}

/// The bytes of a file: one piece again and again, each time with its number at its head.
pub(crate) struct Bytes {
    piece: Vec<u8>,
    at: u64,
    length: u64,
}

impl Read for Bytes {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self.piece.len() as u64;
        let (number, within) = (self.at / size, self.at % size);
        if within == 0
            && let Some(head) = self.piece.get_mut(..8)
            && number > 0
        {
            head.copy_from_slice(&number.to_le_bytes());
        }
        let left = (self.length - self.at).min(size - within);
        let count = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let from = usize::try_from(within).unwrap_or(0);
        if let (Some(into), Some(bytes)) =
            (into.get_mut(..count), self.piece.get(from..from + count))
        {
            into.copy_from_slice(bytes);
        }
        self.at += count as u64;
        Ok(count)
    }
}
