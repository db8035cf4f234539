//! Full tiles of the tree in files, in the layout of C2SP tlog-tiles. They are derived: see
//! `tiling`.

use std::io;
use std::path::PathBuf;

use super::Place;
use crate::disk::Mode;
use crate::identity::TILES;
use crate::merkle::Hash;
use crate::tiling::{TILE_HEIGHT, tile_name, whole_tile};

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
        bytes.truncate(read);
        whole_tile(&bytes)
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
