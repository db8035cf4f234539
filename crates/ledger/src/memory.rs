//! What an open ledger keeps in memory: where frames lie, the upper levels of the tree, and one
//! compact row an entry for searches. All of it is rebuilt from disk when the ledger is opened.

use std::collections::HashMap;

use keys::seal::SealingKey;

use crate::envelope::{Bucket, Envelope};
use crate::event::Outcome;
use crate::merkle::{CompactRange, Hash};
use crate::record::{Blind, StoredRecord};

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

/// One entry, as searches see it. Names are numbers from [`Names`]; 0 is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) at_ms: i64,
    pub(crate) kind: u8,
    pub(crate) outcome: Outcome,
    pub(crate) actor: u32,
    pub(crate) tool: u32,
    pub(crate) purpose: u32,
    pub(crate) case_number: u32,
    pub(crate) partner: u32,
    pub(crate) body: Option<BodyAt>,
}

/// Each distinct name once.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<Box<str>, u32>);

impl Names {
    fn number(&mut self, name: Option<&str>) -> u32 {
        let Some(name) = name else { return 0 };
        if let Some(number) = self.0.get(name) {
            return *number;
        }
        let number = u32::try_from(self.0.len() + 1).unwrap_or(u32::MAX);
        self.0.insert(name.into(), number);
        number
    }

    /// The number of a name, or `None` if no entry has it.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) frames: Vec<FrameAt>,
    pub(crate) tree: CompactRange,
    /// Hashes of perfect subtrees, from [`TILE_LEVEL`] upwards.
    tiles: Vec<Vec<Hash>>,
    pub(crate) rows: Vec<Row>,
    pub(crate) names: Names,
    /// First four bytes of a subject's mark and the entry, in entry order. A hit is confirmed
    /// from the body.
    pub(crate) marks: Vec<(u32, u64)>,
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

    /// Adds an entry's still empty row.
    pub(crate) fn push(&mut self, envelope: &Envelope) {
        self.rows.push(Row {
            at_ms: envelope.at_ms,
            kind: envelope.kind,
            outcome: Outcome::Permit,
            actor: 0,
            tool: 0,
            purpose: 0,
            case_number: 0,
            partner: 0,
            body: None,
        });
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

    pub(crate) fn row(&self, entry: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(entry).ok()?)
    }

    /// Fills an entry's row. Marks must be added in entry order: [`Self::order`] sees to it.
    pub(crate) fn describe(&mut self, entry: u64, record: &StoredRecord, body: BodyAt) {
        let facts = record.event.facts();
        let decided = facts.decided.and_then(|decided| self.row(decided)).map(|row| row.tool);
        let actor = self.names.number(record.who.as_ref().map(|who| who.actor.as_str()));
        let tool = self.names.number(facts.tool);
        let purpose = self.names.number(record.why.purpose.as_deref());
        let case_number = self.names.number(record.why.case_number.as_deref());
        let partner = self.names.number(facts.partner);
        let Some(row) = usize::try_from(entry).ok().and_then(|at| self.rows.get_mut(at)) else {
            return;
        };
        row.outcome = record.event.outcome();
        (row.actor, row.tool, row.purpose) = (actor, decided.unwrap_or(tool), purpose);
        (row.case_number, row.partner, row.body) = (case_number, partner, Some(body));
        self.mark(entry, &record.subjects);
    }

    fn mark(&mut self, entry: u64, subjects: &[Blind]) {
        self.marks.extend(subjects.iter().map(|subject| (short_mark(&subject.mark), entry)));
    }

    /// Restores the order of the marks after rows were filled bucket by bucket.
    pub(crate) fn order(&mut self) {
        self.marks.sort_unstable_by_key(|(_, entry)| *entry);
        self.marks.shrink_to_fit();
    }

    pub(crate) fn bucket(&self, bucket: Bucket) -> Option<(u16, &SealingKey)> {
        let at = self.buckets.iter().position(|(known, _)| *known == bucket)?;
        Some((u16::try_from(at).ok()?, &self.buckets.get(at)?.1))
    }
}

pub(crate) fn short_mark(mark: &[u8; 32]) -> u32 {
    let [a, b, c, d, ..] = *mark;
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_of_entries_beyond_four_billion_are_marked_like_those_before() {
        let mut memory = Memory::default();
        let subject = Blind { kind: "person".to_owned(), mark: [7; 32] };
        let entries = [u64::from(u32::MAX) + 1, 0, u64::from(u32::MAX)];
        for entry in entries {
            memory.mark(entry, std::slice::from_ref(&subject));
        }
        memory.order();
        let marked: Vec<u64> = memory.marks.iter().map(|(_, entry)| *entry).collect();
        assert_eq!(marked, [0, u64::from(u32::MAX), u64::from(u32::MAX) + 1]);
    }
}
