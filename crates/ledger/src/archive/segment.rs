//! A whole segment in memory, read strictly: frames that chain, or bodies in order, then zeros.

use super::tiles::Tile;
use crate::body::{BodyHead, BodyRecord, HEADER_BYTES as BODY_HEADER_BYTES};
use crate::bytes::is_zero;
use crate::envelope::{Envelope, LedgerId};
use crate::frame::{Frame, FrameHead, HEADER_BYTES};
use crate::merkle::CompactRange;
use crate::segment::SegmentHead;
use crate::store::Head;
use crate::tiling::Edges;

/// What a log segment holds.
pub(super) struct LogSegment {
    pub(super) envelopes: Vec<Envelope>,
    /// The log's head with its last frame.
    pub(super) head: Head,
    /// Tiles that it completes.
    pub(super) tiles: Vec<Tile>,
}

/// Reads the log segment of a ledger and number that goes on from the log's head before, with the tiles so
/// far; says what is wrong and where. `seen` is told the tree after each entry.
pub(super) fn read_log(
    bytes: &[u8],
    (ledger, number): (&LedgerId, u32),
    before: &Head,
    tiling: &mut Edges,
    seen: &mut dyn FnMut(&CompactRange),
) -> Result<LogSegment, String> {
    let start = SegmentHead::parse(bytes).ok_or("has no sound header")?;
    if start != SegmentHead::new(*ledger, number, before) {
        return Err("has a header that does not follow the segment before".to_owned());
    }
    let (mut envelopes, mut tiles, mut now) = (Vec::new(), Vec::new(), before.clone());
    let mut offset = start.taken();
    while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        if rest.get(..HEADER_BYTES).is_none_or(is_zero) {
            if !is_zero(rest) {
                return Err(format!("has a gap before more data, at offset {offset}"));
            }
            break;
        }
        let wrong = |what: &str| Err(format!("{what}, at offset {offset}"));
        let Some(head) = FrameHead::parse(rest) else { return wrong("has what is no frame") };
        if head.ledger != *ledger || head.first != tiling.tree().size() {
            return wrong("has a frame of another ledger or place");
        }
        if head.previous != now.digest || head.root_before != now.root {
            return wrong("has a frame that does not follow the one before");
        }
        let Some(frame) = Frame::parse(rest) else {
            return wrong("has a frame with a wrong digest");
        };
        for envelope in &frame.envelopes {
            tiling.push(envelope.leaf(), &mut |level, index, hashes| {
                tiles.push(Tile::new(level, index, hashes));
            });
            seen(tiling.tree());
        }
        if tiling.tree().root() != head.root {
            return wrong("has a frame whose root is not that of its entries");
        }
        (now.root, now.digest, now.signature) = (head.root, frame.digest, Some(head.signature));
        now.latest_ms = frame.envelopes.iter().map(|it| it.at_ms).max().max(now.latest_ms);
        envelopes.extend(frame.envelopes);
        offset += head.taken();
    }
    now.tree.clone_from(tiling.tree());
    Ok(LogSegment { envelopes, head: now, tiles })
}

/// Reads a body segment: entries and their sealed parts.
pub(super) fn read_bodies(bytes: &[u8]) -> Result<Vec<BodyRecord<'_>>, String> {
    let mut records: Vec<BodyRecord<'_>> = Vec::new();
    let mut offset = 0;
    while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        if rest.get(..BODY_HEADER_BYTES).is_none_or(is_zero) {
            if !is_zero(rest) {
                return Err(format!("has a gap before more data, at offset {offset}"));
            }
            break;
        }
        if BodyHead::parse(rest).is_none() {
            return Err(format!("has what is no body, at offset {offset}"));
        }
        let Some((record, taken)) = BodyRecord::parse(rest) else {
            return Err(format!("has a body with a wrong digest, at offset {offset}"));
        };
        if records.last().is_some_and(|last| last.entry >= record.entry) {
            return Err(format!("has bodies out of order, at offset {offset}"));
        }
        records.push(record);
        offset += taken;
    }
    Ok(records)
}
