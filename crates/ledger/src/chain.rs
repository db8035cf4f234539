//! Log segments joined in their order, whoever read them.

use crate::Damage;
use crate::envelope::LedgerId;
use crate::journal::Segment;
use crate::note::VerifierKey;
use crate::scan::{Fault, LogEnd, SegmentEnd, wrong_head};
use crate::segment::SegmentHead;

/// Segments that were read, joined in their order.
pub(crate) struct Chain<'a> {
    ledger: &'a LedgerId,
    key: &'a VerifierKey,
    count: u32,
    end: LogEnd,
    /// The last frame.
    last: (u32, u64),
}

impl<'a> Chain<'a> {
    /// From the beginning of a log of so many segments.
    pub(crate) fn new(ledger: &'a LedgerId, key: &'a VerifierKey, count: u32) -> Self {
        Self::from(ledger, key, count, LogEnd::start())
    }

    /// From the segment in which this end is.
    pub(crate) fn from(
        ledger: &'a LedgerId,
        key: &'a VerifierKey,
        count: u32,
        end: LogEnd,
    ) -> Self {
        let last = (end.segment, 0);
        Self { ledger, key, count, end, last }
    }

    /// Whether a segment with this header is the next.
    pub(crate) fn follows(&self, segment: u32, head: &SegmentHead) -> Result<(), Fault> {
        if *head == SegmentHead::new(*self.ledger, segment, &self.end.head) {
            return Ok(());
        }
        Err(wrong_head(segment, "the segment does not follow the one before"))
    }

    /// Takes in the next segment.
    pub(crate) fn go_on(&mut self, segment: u32, found: Option<SegmentEnd>) -> Result<(), Fault> {
        match found {
            Some(SegmentEnd { end, last }) => {
                if last > 0 {
                    self.last = (segment, last);
                }
                self.end = end;
                Ok(())
            }
            // Only the last may be without anything: nothing was written to it yet.
            None if segment + 1 < self.count => {
                Err(wrong_head(segment, "the segment is empty, yet there is one after it"))
            }
            None => Ok(()),
        }
    }

    /// The end of the log, signed: the last signature covers the root, and with it every entry before.
    pub(crate) fn end(self) -> Result<LogEnd, Fault> {
        if self.end.is_signed(self.key) {
            return Ok(self.end);
        }
        let file = Segment::Log(self.last.0).path();
        let what = "the frame's signature is not by the ledger's key";
        let entry = self.end.head.tree.size().checked_sub(1);
        Err(Damage::new(&file, self.last.1, entry, what).into())
    }
}
