//! A frame of the log: one batch of envelopes, chained to the frame before and signed.
//!
//! Frames are aligned to 16 bytes and never cross a segment. `docs/formats/ledger.md` has the layout.

use keys::digest::sha256;

use crate::bytes::{Reader, is_zero, padded};
use crate::envelope::{ENVELOPE_BYTES, Envelope, LedgerId};
use crate::merkle::Hash;

pub(crate) const UNIT: usize = 16;
pub(crate) const HEADER_BYTES: usize = 208;
pub(crate) const MAGIC: &[u8; 8] = b"BWLOGFR1";
const RECORD_BYTES: usize = 2 + ENVELOPE_BYTES;

/// Most entries in one frame.
pub const FRAME_ENTRIES_MAX: usize = 4096;

/// Everything in a frame but its envelopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHead {
    pub ledger: LedgerId,
    pub first: u64,
    pub count: u32,
    records_bytes: usize,
    /// When it was written, milliseconds since 1970.
    pub at_ms: i64,
    /// SHA-256 trailer of the frame before; zeros in the first.
    pub previous: Hash,
    /// Root of the tree before this frame.
    pub root_before: Hash,
    /// Root of the tree with this frame.
    pub root: Hash,
    /// Ed25519 over the C2SP checkpoint text of the tree with this frame.
    pub signature: [u8; 64],
}

impl FrameHead {
    /// The header at the beginning of `bytes`; its digest is not checked here.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if &reader.array::<8>()? != MAGIC {
            return None;
        }
        let head = Self {
            ledger: reader.array()?,
            first: reader.u64()?,
            count: reader.u32()?,
            records_bytes: reader.length()?,
            at_ms: reader.i64()?,
            previous: reader.array()?,
            root_before: reader.array()?,
            root: reader.array()?,
            signature: reader.array()?,
        };
        let count = usize::try_from(head.count).ok()?;
        let sound = (1..=FRAME_ENTRIES_MAX).contains(&count)
            && head.records_bytes == count * RECORD_BYTES
            && head.first.checked_add(u64::from(head.count)).is_some();
        sound.then_some(head)
    }

    /// The number of entries with this frame.
    pub fn size(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// Bytes without padding.
    pub(crate) fn length(&self) -> usize {
        HEADER_BYTES + self.records_bytes + 32
    }

    /// Bytes that the frame takes up in its segment.
    pub(crate) fn taken(&self) -> usize {
        padded(self.length(), UNIT)
    }
}

/// A whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub head: FrameHead,
    pub envelopes: Vec<Envelope>,
    pub digest: Hash,
}

impl Frame {
    /// The frame at the beginning of `bytes`, which reach at least to the end of its padding.
    /// Checks the digest, the padding and that entries are in order; the chain is the caller's.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let head = FrameHead::parse(bytes)?;
        let content = bytes.get(..head.length() - 32)?;
        let digest = bytes.get(head.length() - 32..head.length())?;
        let pad = bytes.get(head.length()..head.taken())?;
        if sha256(content) != digest || !is_zero(pad) {
            return None;
        }
        let mut reader = Reader::new(content.get(HEADER_BYTES..)?);
        let mut envelopes = Vec::with_capacity(usize::try_from(head.count).ok()?);
        for entry in head.first..head.size() {
            let length = usize::from(reader.u16()?);
            let envelope = Envelope::parse(reader.slice(length)?)?;
            if envelope.entry != entry || envelope.ledger != head.ledger {
                return None;
            }
            envelopes.push(envelope);
        }
        let digest = digest.try_into().ok()?;
        reader.is_done().then_some(Self { head, envelopes, digest })
    }
}

/// What goes into a new frame.
pub(crate) struct NewFrame<'a> {
    pub(crate) ledger: LedgerId,
    pub(crate) first: u64,
    pub(crate) at_ms: i64,
    pub(crate) previous: Hash,
    pub(crate) root_before: Hash,
    pub(crate) root: Hash,
    pub(crate) signature: [u8; 64],
    pub(crate) envelopes: &'a [Envelope],
}

impl NewFrame<'_> {
    /// The bytes without padding, and their digest.
    pub(crate) fn encode(&self) -> Option<(Vec<u8>, Hash)> {
        let records = self.envelopes.len() * RECORD_BYTES;
        let mut out = Vec::with_capacity(HEADER_BYTES + records + 32);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.ledger);
        out.extend_from_slice(&self.first.to_be_bytes());
        out.extend_from_slice(&u32::try_from(self.envelopes.len()).ok()?.to_be_bytes());
        out.extend_from_slice(&u32::try_from(records).ok()?.to_be_bytes());
        out.extend_from_slice(&self.at_ms.to_be_bytes());
        out.extend_from_slice(&self.previous);
        out.extend_from_slice(&self.root_before);
        out.extend_from_slice(&self.root);
        out.extend_from_slice(&self.signature);
        for envelope in self.envelopes {
            out.extend_from_slice(&u16::try_from(ENVELOPE_BYTES).ok()?.to_be_bytes());
            out.extend_from_slice(&envelope.encode());
        }
        let digest = sha256(&out);
        out.extend_from_slice(&digest);
        Some((out, digest))
    }
}

/// Bytes that a frame of so many entries takes up.
pub(crate) fn frame_taken(count: usize) -> usize {
    padded(HEADER_BYTES + count * RECORD_BYTES + 32, UNIT)
}

/// Where the envelope of the frame's `nth` entry begins, from the frame's beginning.
pub(crate) fn envelope_offset(nth: u64) -> u64 {
    HEADER_BYTES as u64 + nth * RECORD_BYTES as u64 + 2
}
