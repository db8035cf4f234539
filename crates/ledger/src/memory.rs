//! What an open ledger keeps in memory: where frames and bodies lie, and the upper levels of the
//! tree. All of it is rebuilt from disk when the ledger is opened.

use keys::seal::SealingKey;

use crate::envelope::Bucket;
use crate::merkle::{CompactRange, Hash};

/// Tree levels below this one are read from the log when a proof needs them.
pub(crate) const TILE_LEVEL: u32 = 8;

/// Where a frame lies and with which entry it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameAt {
    pub(crate) first: u64,
    pub(crate) segment: u32,
    pub(crate) offset: u64,
}

/// Where a body lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyAt {
    pub(crate) bucket: u16,
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) frames: Vec<FrameAt>,
    pub(crate) tree: CompactRange,
    /// Hashes of perfect subtrees, from [`TILE_LEVEL`] upwards.
    tiles: Vec<Vec<Hash>>,
    /// Where each entry's body lies.
    pub(crate) bodies: Vec<Option<BodyAt>>,
    pub(crate) buckets: Vec<(Bucket, SealingKey)>,
    pub(crate) signature: Option<[u8; 64]>,
}

impl Memory {
    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Keeps the hash of a perfect subtree, if it is one of those that are kept. They come in
    /// the order in which [`CompactRange::push`] completes them.
    pub(crate) fn keep(&mut self, level: u32, hash: &Hash) {
        let Some(level) = level.checked_sub(TILE_LEVEL) else { return };
        let Ok(level) = usize::try_from(level) else { return };
        if self.tiles.len() <= level {
            self.tiles.resize_with(level + 1, Vec::new);
        }
        if let Some(hashes) = self.tiles.get_mut(level) {
            hashes.push(*hash);
        }
    }

    /// The hash of a perfect subtree at or above [`TILE_LEVEL`].
    pub(crate) fn tile(&self, level: u32, index: u64) -> Option<Hash> {
        let level = usize::try_from(level.checked_sub(TILE_LEVEL)?).ok()?;
        self.tiles.get(level)?.get(usize::try_from(index).ok()?).copied()
    }

    /// The frame that holds an entry.
    pub(crate) fn frame_of(&self, entry: u64) -> Option<FrameAt> {
        let after = self.frames.partition_point(|frame| frame.first <= entry);
        self.frames.get(after.checked_sub(1)?).copied()
    }

    pub(crate) fn body(&self, entry: u64) -> Option<BodyAt> {
        self.bodies.get(usize::try_from(entry).ok()?).copied().flatten()
    }

    /// Says where an entry's body lies.
    pub(crate) fn place(&mut self, entry: u64, body: BodyAt) {
        let place = usize::try_from(entry).ok().and_then(|at| self.bodies.get_mut(at));
        if let Some(place) = place {
            *place = Some(body);
        }
    }

    pub(crate) fn bucket(&self, bucket: Bucket) -> Option<(u16, &SealingKey)> {
        let at = self.buckets.iter().position(|(known, _)| *known == bucket)?;
        Some((u16::try_from(at).ok()?, &self.buckets.get(at)?.1))
    }
}
