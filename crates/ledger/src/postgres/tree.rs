//! Hashes of the tree: from its edge in memory, from the table of full tiles, else from the frames.
//!
//! Tiles are derived: one that is missing is made again. A wrong hash in one makes a root that is
//! not the signed one, and then all that went into it is made again.

use super::Postgres;
use super::damaged;
use super::read::column;
use super::reader::Ask;
use super::schema::number;
use crate::error::ReadError;
use crate::local::{TILE_HEIGHT, TILE_WIDTH, fold};
use crate::merkle::Hash;
use crate::store::Derived;

impl Postgres {
    /// The hash of a perfect subtree.
    pub(super) fn find_node(
        &self,
        level: u32,
        index: u64,
        derived: Derived,
    ) -> Result<Hash, ReadError> {
        let (tiles, above) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let size = ReadError::NoSize { size: u64::MAX, have: index };
        let count = 1_u64 << above;
        let Some(from) = index.checked_mul(count) else { return Err(size) };
        let hashes = self.find_hashes(tiles, from, count, derived)?;
        fold(hashes).ok_or(size)
    }

    /// The hashes `from..from + count` of a tile level; they are all in one tile.
    pub(super) fn find_hashes(
        &self,
        level: u32,
        from: u64,
        count: u64,
        derived: Derived,
    ) -> Result<Vec<Hash>, ReadError> {
        let edges = self.edges();
        if let Some(hashes) = edges.get(level, from, count) {
            return Ok(hashes.to_vec());
        }
        drop(edges);
        let (tile, within) = (from / TILE_WIDTH, from % TILE_WIDTH);
        if derived == Derived::Use
            && let Some(hashes) = self.read_tile(level, tile)?
        {
            let wanted = hashes.into_iter().skip(usize::try_from(within).unwrap_or(usize::MAX));
            return Ok(wanted.take(usize::try_from(count).unwrap_or(usize::MAX)).collect());
        }
        let hashes = match level.checked_sub(1) {
            None => self.leaves(from, count)?,
            Some(below) => {
                let make = |at: u64| {
                    let tile = self.find_hashes(below, at * TILE_WIDTH, TILE_WIDTH, derived)?;
                    fold(tile).ok_or(ReadError::NoSize { size: at, have: 0 })
                };
                (from..from + count).map(make).collect::<Result<_, _>>()?
            }
        };
        if count == TILE_WIDTH {
            self.write_tile(level, tile, &hashes);
        }
        Ok(hashes)
    }

    fn leaves(&self, from: u64, count: u64) -> Result<Vec<Hash>, ReadError> {
        let mut leaves = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let (mut next, end) = (from, from + count);
        while next < end {
            let before = next;
            for frame in self.frames(next)? {
                for envelope in frame.envelopes {
                    if envelope.entry == next && next < end {
                        leaves.push(envelope.leaf());
                        next += 1;
                    }
                }
            }
            if next == before {
                return Err(damaged("frames", next, Some(next), "the entry is in no frame"));
            }
        }
        Ok(leaves)
    }

    fn read_tile(&self, level: u32, tile: u64) -> Result<Option<Vec<Hash>>, ReadError> {
        let (level, tile) = (i32::try_from(level).unwrap_or(i32::MAX), number(tile));
        let values = || vec![Box::new(level) as _, Box::new(tile) as _];
        let rows = self.ask(Ask::Tile, "read a tile of the tree", values)?;
        let Some(row) = rows.first() else { return Ok(None) };
        let bytes: &[u8] = column(row, 0)?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        let whole = hashes.len() as u64 == TILE_WIDTH && rest.is_empty();
        Ok(whole.then(|| hashes.to_vec()))
    }

    /// Keeps a full tile. Failing to costs time later.
    pub(super) fn write_tile(&self, level: u32, tile: u64, hashes: &[Hash]) {
        let (level, tile) = (i32::try_from(level).unwrap_or(i32::MAX), number(tile));
        let values =
            || vec![Box::new(level) as _, Box::new(tile) as _, Box::new(hashes.concat()) as _];
        if let Err(error) = self.ask(Ask::PutTile, "keep a tile of the tree", values) {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, level, tile, "a tile of the ledger could not be kept");
        }
    }
}
