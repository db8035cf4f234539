//! Hashes of the tree in files: full tiles in the layout of C2SP tlog-tiles.
//!
//! A tile of level `L` holds 256 hashes of perfect subtrees of 2^(8L) leaves. Derived: a tile that
//! is missing or of the wrong length is computed from the log. A wrong hash in one makes a root
//! that is not the signed one, and then all that went into it is made again.

use std::io;
use std::path::PathBuf;

use super::Place;
use crate::disk::Mode;
use crate::identity::TILES;
use crate::merkle::{Hash, node_hash};

/// Hashes in a full tile.
pub(crate) const TILE_WIDTH: u64 = 256;
/// Levels of the tree that a tile spans.
pub(crate) const TILE_HEIGHT: u32 = 8;
const TILE_BYTES: usize = 32 << TILE_HEIGHT;

pub(crate) struct Tiles {
    place: Place,
}

impl Tiles {
    pub(crate) fn new(place: Place) -> Self {
        Self { place }
    }

    /// The hashes of a full tile, if it is there in full length.
    pub(crate) fn read(&self, level: u32, number: u64) -> Option<Vec<Hash>> {
        let file = self.place.disk.open(&self.path(level, number), Mode::Read).ok()?;
        let mut bytes = vec![0; TILE_BYTES];
        let read = file.read_at(&mut bytes, 0).ok()?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        (read == TILE_BYTES && rest.is_empty()).then(|| hashes.to_vec())
    }

    /// Keeps a full tile. Failing to costs time later.
    pub(crate) fn write(&self, level: u32, number: u64, hashes: &[Hash]) {
        if let Err(error) = self.try_write(level, number, &hashes.concat()) {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, level, number, "a tile of the ledger could not be kept");
        }
    }

    fn try_write(&self, level: u32, number: u64, bytes: &[u8]) -> io::Result<()> {
        let (disk, path) = (self.place.disk.as_ref(), self.path(level, number));
        let file = match disk.open(&path, Mode::Create) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk.create_folder(path.parent().unwrap_or(&self.place.folder))?;
                disk.open(&path, Mode::Create)?
            }
            opened => opened?,
        };
        file.write_at(bytes, 0)
    }

    fn path(&self, level: u32, number: u64) -> PathBuf {
        self.place.path(&format!("{TILES}/{level}/{}", tile_name(number)))
    }
}

/// A tile's number as tlog-tiles writes it: groups of three digits, `x` before all but the last.
pub(crate) fn tile_name(number: u64) -> String {
    let (mut name, mut rest) = (format!("{:03}", number % 1000), number / 1000);
    while rest > 0 {
        name = format!("x{:03}/{name}", rest % 1000);
        rest /= 1000;
    }
    name
}

/// The root of a perfect subtree whose hashes at some level these are: a power of two of them.
pub(crate) fn fold(mut hashes: Vec<Hash>) -> Option<Hash> {
    while hashes.len() > 1 {
        let (pairs, _) = hashes.as_chunks::<2>();
        hashes = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    hashes.pop()
}
