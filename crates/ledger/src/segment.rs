//! The header of a log segment: what the log was before it.
//!
//! Invariant: with it a segment stands alone. It can be gone on from, verified and kept elsewhere
//! without the segments before it: the tree so far is in the header, and signed.

use keys::digest::sha256;

use crate::bytes::{Reader, is_zero, padded};
use crate::envelope::LedgerId;
use crate::frame::UNIT;
use crate::merkle::{CompactRange, Hash};
use crate::store::Head;

pub(crate) const MAGIC: &[u8; 8] = b"BWLOGSG1";
pub(crate) const FIXED_BYTES: usize = 176;
/// A tree of 64-bit size has no more perfect subtrees than this.
const PEAKS_MAX: usize = 64;
/// The longest header, padding included.
pub(crate) const SEGMENT_HEAD_BYTES_MAX: usize = FIXED_BYTES + 32 * PEAKS_MAX + 32;

/// What the log was when a segment was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHead {
    pub ledger: LedgerId,
    pub number: u32,
    /// The latest time of any entry before, milliseconds since 1970; `None` without entries.
    pub latest_ms: Option<i64>,
    /// The tree of all entries before.
    pub tree: CompactRange,
    /// Digest of the frame before; zeros without one.
    pub previous: Hash,
    /// Signature of the checkpoint of the tree; `None` without entries.
    pub signature: Option<[u8; 64]>,
}

impl SegmentHead {
    pub(crate) fn new(ledger: LedgerId, number: u32, head: &Head) -> Self {
        Self {
            ledger,
            number,
            latest_ms: head.latest_ms,
            tree: head.tree.clone(),
            previous: head.digest,
            signature: head.signature,
        }
    }

    /// The log's head before the segment.
    pub(crate) fn head(&self) -> Head {
        Head {
            tree: self.tree.clone(),
            root: self.tree.root(),
            digest: self.previous,
            signature: self.signature,
            latest_ms: self.latest_ms,
        }
    }

    /// The bytes, padding included.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let peaks = self.tree.peaks();
        let mut out = Vec::with_capacity(self.taken());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.ledger);
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&u32::try_from(peaks.len()).ok()?.to_be_bytes());
        out.extend_from_slice(&self.tree.size().to_be_bytes());
        out.extend_from_slice(&self.latest_ms.unwrap_or(i64::MIN).to_be_bytes());
        out.extend_from_slice(&self.tree.root());
        out.extend_from_slice(&self.previous);
        out.extend_from_slice(&self.signature.unwrap_or([0; 64]));
        for peak in peaks {
            out.extend_from_slice(peak);
        }
        let digest = sha256(&out);
        out.extend_from_slice(&digest);
        out.resize(self.taken(), 0);
        Some(out)
    }

    /// Bytes that the header takes up in its segment.
    pub(crate) fn taken(&self) -> usize {
        padded(FIXED_BYTES + 32 * self.tree.peaks().len() + 32, UNIT)
    }

    /// The header at the beginning of `bytes`. Checks its digest, and that its root is that of
    /// its subtrees; whether it is signed, and fits the log before, is the caller's.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if &reader.array::<8>()? != MAGIC {
            return None;
        }
        let (ledger, number) = (reader.array()?, reader.u32()?);
        let (peaks, size, latest) = (reader.length()?, reader.u64()?, reader.i64()?);
        let (root, previous): (Hash, Hash) = (reader.array()?, reader.array()?);
        let signature: [u8; 64] = reader.array()?;
        if peaks > PEAKS_MAX {
            return None;
        }
        let peaks: Option<Vec<Hash>> = (0..peaks).map(|_| reader.array()).collect();
        let tree = CompactRange::of(size, &peaks?)?;
        let head = Self {
            ledger,
            number,
            latest_ms: (latest != i64::MIN).then_some(latest),
            tree,
            previous,
            signature: (size > 0).then_some(signature),
        };
        let length = FIXED_BYTES + 32 * head.tree.peaks().len();
        let digest: Hash = reader.array()?;
        let pad = bytes.get(length + 32..head.taken())?;
        let sound = head.tree.root() == root
            && (size > 0 || is_zero(&signature))
            && head.latest_ms.is_some() == (size > 0)
            && sha256(bytes.get(..length)?) == digest
            && is_zero(pad);
        sound.then_some(head)
    }
}
