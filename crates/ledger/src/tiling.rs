//! The tree of a log as every store keeps it: the tiles that are not full yet in memory, full
//! tiles set aside, and the rest made from the log.
//!
//! A tile (C2SP tlog-tiles) of level `L` holds 256 hashes of perfect subtrees of 2^(8L) leaves.
//! Invariant: a tile that was set aside is derived. One that is missing is made from the log. A
//! wrong hash in one makes a root that is not the signed one, and then all that went into it is
//! made again.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::error::ReadError;
use crate::merkle::{CompactRange, Hash, node_hash};
use crate::store::{Derived, Head};

/// Hashes in a full tile.
pub(crate) const TILE_WIDTH: u64 = 256;
/// Levels of the tree that a tile spans.
pub(crate) const TILE_HEIGHT: u32 = 8;

/// A tree that grows: its right edge, at each level of tiles fewer than 256 hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edges {
    tree: CompactRange,
    levels: Vec<Vec<Hash>>,
}

/// Told a tile that has just become full: its level, its number and its hashes.
pub(crate) type Full<'a> = dyn FnMut(u32, u64, &[Hash]) + 'a;

impl Edges {
    /// The edges of a tree of `size` leaves, from what `read` gives for (tile level, first index,
    /// count); `None` if that is no such tree.
    fn read<E>(
        size: u64,
        mut read: impl FnMut(u32, u64, u64) -> Result<Vec<Hash>, E>,
    ) -> Result<Option<Self>, E> {
        let (mut levels, mut level, mut width) = (Vec::new(), 0, size);
        while width > 0 {
            let count = width % TILE_WIDTH;
            levels.push(read(level, width - count, count)?);
            (level, width) = (level + 1, width >> TILE_HEIGHT);
        }
        let mut tree = CompactRange::new();
        let highest_first = (0..level).zip(&levels).collect::<Vec<_>>().into_iter().rev();
        for (level, edge) in highest_first {
            for hash in edge {
                let Some(()) = tree.push_subtree(TILE_HEIGHT * level, *hash) else {
                    return Ok(None);
                };
            }
        }
        Ok((tree.size() == size).then_some(Self { tree, levels }))
    }

    /// The tree that these edges are of.
    pub(crate) fn tree(&self) -> &CompactRange {
        &self.tree
    }

    /// Adds a leaf; `full` is told each tile that it fills.
    pub(crate) fn push(&mut self, leaf: Hash, full: &mut Full<'_>) {
        let Self { tree, levels } = self;
        tree.push(leaf, &mut |level, index, hash| {
            if !level.is_multiple_of(TILE_HEIGHT) {
                return;
            }
            let level = level / TILE_HEIGHT;
            let at = usize::try_from(level).unwrap_or(usize::MAX);
            if levels.len() <= at {
                levels.push(Vec::new());
            }
            let Some(edge) = levels.get_mut(at) else { return };
            edge.push(*hash);
            if edge.len() as u64 == TILE_WIDTH {
                full(level, index / TILE_WIDTH, edge);
                edge.clear();
            }
        });
    }

    /// The hashes `from..from + count` of a tile level, if they are all on the edge.
    fn get(&self, level: u32, from: u64, count: u64) -> Option<&[Hash]> {
        let width = self.tree.size().checked_shr(TILE_HEIGHT * level)?;
        let edge = self.levels.get(usize::try_from(level).ok()?)?;
        let start = width - width % TILE_WIDTH;
        let from = usize::try_from(from.checked_sub(start)?).ok()?;
        edge.get(from..from.checked_add(usize::try_from(count).ok()?)?)
    }
}

/// A store, as far as its tree goes: what it must give, and what it has for that.
pub(crate) trait Tiled {
    /// The right edge of the tree, as far as the tiles behind it were set aside.
    fn edges(&self) -> &RwLock<Edges>;

    /// The hashes of these leaves, from the log.
    fn leaves(&self, from: u64, count: u64) -> Result<Vec<Hash>, ReadError>;

    /// The hashes of a full tile, if it was set aside in full length.
    fn read_tile(&self, level: u32, number: u64) -> Result<Option<Vec<Hash>>, ReadError>;

    /// Sets a full tile aside. Failing to costs time later.
    fn write_tile(&self, level: u32, number: u64, hashes: &[Hash]);

    /// Says that the log's entries are not those of its signed root.
    fn is_other_log(&self) -> ReadError;

    /// The edge, to read in.
    fn edge(&self) -> RwLockReadGuard<'_, Edges> {
        self.edges().read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another edge in its place.
    fn set_edge(&self, edges: Edges) {
        *self.edges().write().unwrap_or_else(PoisonError::into_inner) = edges;
    }

    /// Reads the edge anew. What tiles say is held against the signed head.
    fn read_edge(&self, head: &Head) -> Result<(), ReadError> {
        self.set_edge(Edges::default());
        for derived in [Derived::Use, Derived::Rebuild] {
            let read = |level, from, count| self.find_hashes(level, from, count, derived);
            let edges = Edges::read(head.size(), read)?;
            if let Some(edges) = edges.filter(|edges| *edges.tree() == head.tree) {
                self.set_edge(edges);
                return Ok(());
            }
        }
        Err(self.is_other_log())
    }

    /// Brings the edge up by these leaves, and sets the tiles that they fill aside.
    fn grow(&self, leaves: impl Iterator<Item = Hash>) {
        let mut edges = self.edge().clone();
        // Readers must find a hash on the edge or in a tile, whenever they look.
        for leaf in leaves {
            edges.push(leaf, &mut |level, number, hashes| self.write_tile(level, number, hashes));
        }
        self.set_edge(edges);
    }

    /// The hash of a perfect subtree.
    fn find_node(&self, level: u32, index: u64, derived: Derived) -> Result<Hash, ReadError> {
        let (tiles, above) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let size = ReadError::NoSize { size: u64::MAX, have: index };
        let count = 1_u64 << above;
        let Some(from) = index.checked_mul(count) else { return Err(size) };
        let hashes = self.find_hashes(tiles, from, count, derived)?;
        fold(hashes).ok_or(size)
    }

    /// The hashes `from..from + count` of a tile level; they are all in one tile.
    fn find_hashes(
        &self,
        level: u32,
        from: u64,
        count: u64,
        derived: Derived,
    ) -> Result<Vec<Hash>, ReadError> {
        let edge = self.edge();
        if let Some(hashes) = edge.get(level, from, count) {
            return Ok(hashes.to_vec());
        }
        drop(edge);
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

/// The hashes in a tile's bytes, if it is whole.
pub(crate) fn whole_tile(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (hashes.len() as u64 == TILE_WIDTH && rest.is_empty()).then(|| hashes.to_vec())
}

/// The root of a perfect subtree whose hashes at some level these are: a power of two of them.
fn fold(mut hashes: Vec<Hash>) -> Option<Hash> {
    while hashes.len() > 1 {
        let (pairs, _) = hashes.as_chunks::<2>();
        hashes = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    hashes.pop()
}
