//! Following what other processes appended.
//!
//! Invariant: a head is built on, or shown, only after every frame between it and the last one
//! known was read, chained, and led to its root and signature.

use super::{Postgres, damaged};
use crate::error::ReadError;
use crate::frame::Frame;
use crate::kinds::DISPOSED;
use crate::note::Checkpoint;
use crate::store::Head;
use crate::tiling::Tiled;

impl Postgres {
    /// Reads the frames from the head `from` to the head `to`, and brings the tree's edge up.
    pub(super) fn follow(&self, from: &Head, to: &Head) -> Result<(), ReadError> {
        let wrong = |what: &str| damaged("head", to.size(), Some(from.size()), what);
        if to.size() < from.size() {
            let (seen, have) = (from.size(), to.size());
            return Err(wrong(&format!(
                "{seen} entries were in the log, yet it has only {have} by now"
            )));
        }
        let mut head = from.clone();
        let (mut edges, mut disposed) = (self.edge().clone(), false);
        while head.size() < to.size() {
            let frames = self.frames(head.size())?;
            let before = head.size();
            for frame in frames.into_iter().filter(|it| it.head.first >= before) {
                if head.size() >= to.size() {
                    break;
                }
                head = self.next(&head, &frame)?;
                for envelope in &frame.envelopes {
                    edges.push(envelope.leaf(), &mut |_, _, _| {});
                    disposed |= envelope.kind == DISPOSED.code;
                }
            }
            if head.size() == before {
                return Err(wrong("the head has entries that are in no frame"));
            }
        }
        if head != *to {
            return Err(wrong("the head is not that of the frames"));
        }
        self.check_signed(to)?;
        self.set_edge(edges);
        if disposed { self.read_documents() } else { Ok(()) }
    }

    /// The head after one more frame.
    pub(super) fn next(&self, before: &Head, frame: &Frame) -> Result<Head, ReadError> {
        let first = frame.head.first;
        let wrong = |what| damaged("frames", first, Some(first), what);
        let chained = first == before.size()
            && frame.head.previous == before.digest
            && frame.head.root_before == before.root;
        if !chained {
            return Err(wrong("the frame does not follow the one before"));
        }
        let mut tree = before.tree.clone();
        for envelope in &frame.envelopes {
            tree.push(envelope.leaf(), &mut |_, _, _| {});
        }
        let root = tree.root();
        if root != frame.head.root {
            return Err(wrong("the frame's root is not that of its entries"));
        }
        let latest = frame.envelopes.iter().map(|it| it.at_ms).max();
        Ok(Head {
            tree,
            root,
            digest: frame.digest,
            signature: Some(frame.head.signature),
            latest_ms: latest.max(before.latest_ms),
        })
    }

    /// Whether the ledger's key signed this head. An empty log is not signed.
    pub(super) fn check_signed(&self, head: &Head) -> Result<(), ReadError> {
        let Some(signature) = &head.signature else { return Ok(()) };
        let (key, size) = (&self.identity.key, head.size());
        let checkpoint = Checkpoint { origin: key.name.clone(), size, root: head.root };
        let what = "the head's signature is not by the ledger's key";
        let checked = checkpoint.verify(&key.public, signature);
        checked.map_err(|_| damaged("head", size, None, what))
    }
}
