//! The tiles that are not full yet, in memory: at each level fewer than 256 hashes.

use super::tiles::{TILE_HEIGHT, TILE_WIDTH, fold};
use crate::merkle::{CompactRange, Hash};

/// The right edge of a tree of some size.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edges {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

/// A tile that has just become full.
pub(crate) type Full<'a> = dyn FnMut(u32, u64, &[Hash]) + 'a;

impl Edges {
    /// The edges of a tree of `size` leaves, from what `read` gives for (tile level, first index,
    /// count).
    pub(crate) fn read<E>(
        size: u64,
        mut read: impl FnMut(u32, u64, u64) -> Result<Vec<Hash>, E>,
    ) -> Result<Self, E> {
        let (mut levels, mut level, mut width) = (Vec::new(), 0, size);
        while width > 0 {
            let count = width % TILE_WIDTH;
            levels.push(read(level, width - count, count)?);
            (level, width) = (level + 1, width >> TILE_HEIGHT);
        }
        Ok(Self { size, levels })
    }

    /// Adds a leaf; `full` is told each tile that it fills.
    pub(crate) fn push(&mut self, leaf: Hash, full: &mut Full<'_>) {
        let (mut hash, mut level) = (leaf, 0);
        self.size += 1;
        loop {
            let at = usize::try_from(level).unwrap_or(usize::MAX);
            if self.levels.len() <= at {
                self.levels.push(Vec::new());
            }
            let Some(edge) = self.levels.get_mut(at) else { return };
            edge.push(hash);
            if (edge.len() as u64) < TILE_WIDTH {
                return;
            }
            let tile = std::mem::take(edge);
            let width = self.size.checked_shr(TILE_HEIGHT * (level + 1)).unwrap_or(0);
            let number = width.saturating_sub(1);
            full(level, number, &tile);
            let Some(root) = fold(tile) else { return };
            (hash, level) = (root, level + 1);
        }
    }

    /// The hashes `from..from + count` of a tile level, if they are all on the edge.
    pub(crate) fn get(&self, level: u32, from: u64, count: u64) -> Option<&[Hash]> {
        let width = self.size.checked_shr(TILE_HEIGHT * level)?;
        let edge = self.levels.get(usize::try_from(level).ok()?)?;
        let start = width - width % TILE_WIDTH;
        let from = usize::try_from(from.checked_sub(start)?).ok()?;
        edge.get(from..from.checked_add(usize::try_from(count).ok()?)?)
    }

    /// The tree that these edges are of; `None` if they are of none.
    pub(crate) fn tree(&self) -> Option<CompactRange> {
        let mut tree = CompactRange::new();
        let levels: Vec<(u32, &Vec<Hash>)> = (0..).zip(&self.levels).collect();
        for (level, edge) in levels.into_iter().rev() {
            for hash in edge {
                tree.push_subtree(TILE_HEIGHT * level, *hash)?;
            }
        }
        Some(tree)
    }
}
