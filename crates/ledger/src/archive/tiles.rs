//! Tiles (C2SP tlog-tiles): 256 hashes of one level each, written once and for ever.

use crate::merkle::Hash;
use crate::tiling::tile_name;

/// A full tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) level: u32,
    pub(crate) index: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Tile {
    pub(crate) fn new(level: u32, index: u64, hashes: &[Hash]) -> Self {
        Self { level, index, bytes: hashes.concat() }
    }

    /// `tile/0/x001/234`, as tlog-tiles has it.
    pub(crate) fn path(&self) -> String {
        format!("tile/{}/{}", self.level, tile_name(self.index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{CompactRange, leaf_hash};
    use crate::tiling::Edges;

    #[test]
    fn a_tile_of_the_second_level_holds_the_roots_of_the_first() {
        let mut tiling = Edges::default();
        let mut tiles = Vec::new();
        for number in 0_u32..65_536 {
            tiling.push(leaf_hash(&number.to_be_bytes()), &mut |level, index, hashes| {
                tiles.push(Tile::new(level, index, hashes));
            });
        }
        assert_eq!(tiles.len(), 257);
        let root_of = |bytes: &[u8]| {
            let mut tree = CompactRange::new();
            for hash in bytes.chunks(32) {
                tree.push_subtree(0, hash.try_into().unwrap()).unwrap();
            }
            tree.root()
        };
        let upper = tiles.iter().find(|tile| tile.level == 1).unwrap();
        for lower in tiles.iter().filter(|tile| tile.level == 0) {
            let at = usize::try_from(lower.index).unwrap() * 32;
            assert_eq!(upper.bytes[at..at + 32], root_of(&lower.bytes));
        }
        assert_eq!(root_of(&upper.bytes), tiling.tree().root());
    }

    #[test]
    fn paths_are_those_of_the_standard() {
        let path = |level, index| Tile { level, index, bytes: Vec::new() }.path();
        assert_eq!(path(0, 0), "tile/0/000");
        assert_eq!(path(1, 67), "tile/1/067");
        assert_eq!(path(0, 1_234_067), "tile/0/x001/x234/067");
    }
}
