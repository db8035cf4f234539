//! The tree in the database: full tiles in a table, leaves from the frames.

use std::sync::RwLock;

use super::Postgres;
use super::damaged;
use super::read::column;
use super::reader::Ask;
use super::schema::number;
use crate::error::ReadError;
use crate::merkle::Hash;
use crate::tiling::{Edges, Tiled, whole_tile};

impl Tiled for Postgres {
    fn edges(&self) -> &RwLock<Edges> {
        &self.edges
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
        let (level_of, number_of) = (level, tile);
        let (level, tile) = (i32::try_from(level).unwrap_or(i32::MAX), number(tile));
        let values = || vec![Box::new(level) as _, Box::new(tile) as _];
        let rows = self.ask(Ask::Tile, "read a tile of the tree", values)?;
        let Some(row) = rows.first() else { return self.shelved_tile(level_of, number_of) };
        let bytes: &[u8] = column(row, 0)?;
        Ok(whole_tile(bytes))
    }

    fn write_tile(&self, level: u32, tile: u64, hashes: &[Hash]) {
        let (level, tile) = (i32::try_from(level).unwrap_or(i32::MAX), number(tile));
        let values =
            || vec![Box::new(level) as _, Box::new(tile) as _, Box::new(hashes.concat()) as _];
        if let Err(error) = self.ask(Ask::PutTile, "keep a tile of the tree", values) {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, level, tile, "a tile of the ledger could not be kept");
        }
    }

    fn is_other_log(&self) -> ReadError {
        let what = "the log's entries are not those of its signed root; export and verify it";
        damaged("frames", 0, None, what)
    }
}
