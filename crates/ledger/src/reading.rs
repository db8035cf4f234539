//! Reading an open ledger: hashes for proofs, envelopes, bodies.

use std::collections::HashMap;

use keys::seal::SealingKey;

use crate::body::{self, Body, BodyHead, BodyRecord, body_aad};
use crate::disk::Mode;
use crate::envelope::{ENVELOPE_BYTES, Envelope, LedgerId};
use crate::error::{Damage, ReadError};
use crate::frame::envelope_offset;
use crate::journal::Segment;
use crate::memory::{BodyAt, Memory, TILE_LEVEL};
use crate::merkle::{Hash, node_hash};
use crate::place::Place;
use crate::record::{EntryNumber, StoredRecord};

/// Reads hashes for one proof; leaves come from the log, a tile at a time.
pub(crate) struct Hashes<'a> {
    place: &'a Place,
    ledger: &'a LedgerId,
    memory: &'a Memory,
    leaves: HashMap<u64, Vec<Hash>>,
}

impl<'a> Hashes<'a> {
    pub(crate) fn new(place: &'a Place, ledger: &'a LedgerId, memory: &'a Memory) -> Self {
        Self { place, ledger, memory, leaves: HashMap::new() }
    }

    /// The hash of the perfect subtree `index` of 2^`level` leaves.
    pub(crate) fn read(&mut self, level: u32, index: u64) -> Result<Hash, ReadError> {
        if let Some(hash) = self.memory.tile(level, index) {
            return Ok(hash);
        }
        let size = self.memory.size();
        let missing = ReadError::NoSize { size: (index + 1) << level.min(63), have: size };
        if level >= TILE_LEVEL {
            return Err(missing);
        }
        let tile = (index << level) >> TILE_LEVEL;
        if !self.leaves.contains_key(&tile) {
            let leaves = self.read_tile(tile)?;
            self.leaves.insert(tile, leaves);
        }
        let leaves = self.leaves.get(&tile).map(Vec::as_slice).unwrap_or_default();
        let from = usize::try_from((index << level) - (tile << TILE_LEVEL)).unwrap_or(usize::MAX);
        let leaves = leaves.get(from..from.saturating_add(1 << level)).ok_or(missing)?;
        let mut hashes = leaves.to_vec();
        while hashes.len() > 1 {
            let (pairs, _) = hashes.as_chunks::<2>();
            hashes = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        hashes.first().copied().ok_or(ReadError::NoSize { size, have: size })
    }

    fn read_tile(&self, tile: u64) -> Result<Vec<Hash>, ReadError> {
        let first = tile << TILE_LEVEL;
        let last = (first + (1 << TILE_LEVEL)).min(self.memory.size());
        let size = self.memory.size();
        let read = |entry| {
            let none = ReadError::NoEntry { entry: EntryNumber(entry), size };
            let (segment, offset) = envelope_at(self.memory, entry).ok_or(none)?;
            read_envelope(self.place, self.ledger, segment, offset, entry)
        };
        (first..last).map(|entry| read(entry).map(|envelope| envelope.leaf())).collect()
    }
}

/// Where an envelope lies: its segment and offset.
pub(crate) fn envelope_at(memory: &Memory, entry: u64) -> Option<(Segment, u64)> {
    let frame = memory.frame_of(entry).filter(|_| entry < memory.size())?;
    Some((Segment::Log(frame.segment), frame.offset + envelope_offset(entry - frame.first)))
}

pub(crate) fn read_envelope(
    place: &Place,
    ledger: &LedgerId,
    segment: Segment,
    offset: u64,
    entry: u64,
) -> Result<Envelope, ReadError> {
    let bytes = read_at(place, segment, offset, ENVELOPE_BYTES)?;
    let envelope = Envelope::parse(&bytes);
    envelope
        .filter(|it| it.entry == entry && it.ledger == *ledger)
        .ok_or_else(|| damaged(segment, offset, entry, "the envelope is not as it was written"))
}

/// Reads and opens a body, and holds it against its envelope.
pub(crate) fn read_body(
    place: &Place,
    envelope: &Envelope,
    at: BodyAt,
    key: &SealingKey,
) -> Result<(Body, StoredRecord), ReadError> {
    let segment = Segment::Body(envelope.bucket, at.segment);
    let offset = u64::from(at.offset);
    let wrong = |what| damaged(segment, offset, envelope.entry, what);
    let head = read_at(place, segment, offset, body::HEADER_BYTES)?;
    let head = BodyHead::parse(&head).ok_or_else(|| wrong("this is no body"))?;
    let bytes = read_at(place, segment, offset, head.taken())?;
    let record = BodyRecord::parse(&bytes).filter(|(it, _)| it.entry == envelope.entry);
    let (record, _) = record.ok_or_else(|| wrong("the body's digest is wrong"))?;
    let body = open_body(&envelope.ledger, envelope.bucket, &record, key);
    let (body, stored) = body.map_err(wrong)?;
    if !body.matches(envelope) {
        return Err(wrong("the body is not what the entry commits to"));
    }
    Ok((body, stored))
}

/// Opens a sealed body and reads the record in it.
pub(crate) fn open_body(
    ledger: &LedgerId,
    bucket: crate::envelope::Bucket,
    record: &BodyRecord<'_>,
    key: &SealingKey,
) -> Result<(Body, StoredRecord), &'static str> {
    let plain = key.open(&body_aad(ledger, record.entry, bucket), record.sealed);
    let plain = plain.map_err(|_| "the body does not open with its bucket's key")?;
    let body = Body::parse(&plain).ok_or("the opened body is malformed")?;
    let stored = serde_json::from_slice(&body.private);
    let stored = stored.map_err(|_| "this version can't read the record in the body")?;
    Ok((body, stored))
}

fn read_at(
    place: &Place,
    segment: Segment,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>, ReadError> {
    let path = place.path(&segment.path());
    let mut bytes = vec![0; length];
    let file = place.disk.open(&path, Mode::Read);
    let read = file.and_then(|file| file.read_at(&mut bytes, offset));
    let read = read.map_err(|source| ReadError::Disk { path, source })?;
    bytes.truncate(read);
    Ok(bytes)
}

fn damaged(segment: Segment, offset: u64, entry: u64, what: &str) -> ReadError {
    ReadError::Damaged(Damage::new(&segment.path(), offset, Some(entry), what))
}
