//! Reading an open ledger: envelopes and bodies.
//!
//! A position leads to most of them in one step. Where it does not, the one segment that has the
//! entry is looked through, strictly, and the positions in it are noted anew.

use super::Local;
use super::positions::{At, Of};
use crate::body::{self, BodyHead, BodyRecord};
use crate::envelope::{Bucket, ENVELOPE_BYTES, Envelope};
use crate::error::{Damage, ReadError};
use crate::frame::{self, Frame, FrameHead, envelope_offset};
use crate::journal::Segment;
use crate::record::Position;
use crate::scan::{Fault, Source};
use crate::segment::{SEGMENT_HEAD_BYTES_MAX, SegmentHead};
use crate::store::Sealed;

/// Positions are noted in portions of this many entries.
const NOTED_AT_ONCE: usize = 4096;

fn damaged(segment: Segment, offset: u64, entry: u64, what: &str) -> ReadError {
    ReadError::Damaged(Damage::new(&segment.path(), offset, Some(entry), what))
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Disk { path, source } => Self::Disk { path, source },
            Fault::Damaged(damage) => Self::Damaged(damage),
        }
    }
}

impl Local {
    pub(crate) fn source(&self) -> Source<'_> {
        Source::new(self.place.disk.as_ref(), &self.place.folder, &[])
    }

    /// An entry's envelope, its segment and its offset.
    pub(super) fn find_envelope(&self, entry: u64) -> Result<(Envelope, Segment, u64), ReadError> {
        if let Some(at) = self.positions.get(Of::Envelopes, entry)
            && let Ok(envelope) = self.envelope_at(entry, at)
        {
            return Ok((envelope, Segment::Log(at.segment), u64::from(at.offset)));
        }
        let at = self.search_log(entry)?;
        let envelope = self.envelope_at(entry, at)?;
        Ok((envelope, Segment::Log(at.segment), u64::from(at.offset)))
    }

    fn envelope_at(&self, entry: u64, at: At) -> Result<Envelope, ReadError> {
        let (segment, offset) = (Segment::Log(at.segment), u64::from(at.offset));
        let bytes = self.handles.read(segment, offset, ENVELOPE_BYTES)?;
        let envelope = Envelope::parse(&bytes);
        envelope
            .filter(|it| it.entry == entry && it.ledger == self.identity.id)
            .ok_or_else(|| damaged(segment, offset, entry, "the envelope is not as it was written"))
    }

    /// Looks for an entry in the log. The segment is the last that begins with it or before it.
    fn search_log(&self, entry: u64) -> Result<At, ReadError> {
        let count = self.source().log_segments()?;
        let (mut low, mut high) = (0, count);
        while low + 1 < high {
            let middle = low.midpoint(high);
            let bytes = self.handles.read(Segment::Log(middle), 0, SEGMENT_HEAD_BYTES_MAX)?;
            // A last segment may have been made, and nothing written to it yet.
            let before = SegmentHead::parse(&bytes).map(|head| head.tree.size());
            match before {
                Some(before) if before <= entry => low = middle,
                Some(_) => high = middle,
                None if middle + 1 == count => high = middle,
                None => {
                    let what = "the segment's header is not as written";
                    return Err(damaged(Segment::Log(middle), 0, entry, what));
                }
            }
        }
        self.search_segment(low, entry)
    }

    fn search_segment(&self, number: u32, entry: u64) -> Result<At, ReadError> {
        let segment = Segment::Log(number);
        let head = self.handles.read(segment, 0, SEGMENT_HEAD_BYTES_MAX)?;
        let head = SegmentHead::parse(&head);
        let what = "the segment's header is not as written";
        let mut offset = head.ok_or_else(|| damaged(segment, 0, entry, what))?.taken() as u64;
        loop {
            let bytes = self.handles.read(segment, offset, frame::HEADER_BYTES)?;
            let head = FrameHead::parse(&bytes);
            let head = head.ok_or_else(|| damaged(segment, offset, entry, "this is no frame"))?;
            let place = |nth: u64| At {
                segment: number,
                offset: u32::try_from(offset + envelope_offset(nth)).unwrap_or(u32::MAX),
            };
            let places: Vec<At> = (0..u64::from(head.count)).map(place).collect();
            self.positions.put(Of::Envelopes, head.first, &places);
            if (head.first..head.size()).contains(&entry) {
                let whole = Frame::parse(&self.handles.read(segment, offset, head.taken())?);
                let what = "the frame's digest is wrong";
                whole.ok_or_else(|| damaged(segment, offset, entry, what))?;
                return Ok(place(entry - head.first));
            }
            offset += head.taken() as u64;
        }
    }

    /// An entry's body, as it is sealed.
    pub(super) fn find_body(
        &self,
        envelope: &Envelope,
        bucket: Bucket,
    ) -> Result<Sealed, ReadError> {
        if let Some(at) = self.positions.get(Of::Bodies, envelope.entry)
            && let Ok(sealed) = self.body_at(envelope, bucket, at)
        {
            return Ok(sealed);
        }
        let at = self.search_bodies(bucket, envelope.entry)?;
        self.body_at(envelope, bucket, at)
    }

    fn body_at(&self, envelope: &Envelope, bucket: Bucket, at: At) -> Result<Sealed, ReadError> {
        let segment = Segment::Body(bucket, at.segment);
        let offset = u64::from(at.offset);
        let wrong = |what| damaged(segment, offset, envelope.entry, what);
        let head = self.handles.read(segment, offset, body::HEADER_BYTES)?;
        let head = BodyHead::parse(&head).ok_or_else(|| wrong("this is no body"))?;
        let bytes = self.handles.read(segment, offset, head.taken())?;
        let record = BodyRecord::parse(&bytes).filter(|(it, _)| it.entry == envelope.entry);
        let (record, _) = record.ok_or_else(|| wrong("the body's digest is wrong"))?;
        let place = Position { file: segment.path(), offset };
        Ok(Sealed { bytes: record.sealed.to_vec(), bucket, place })
    }

    /// Looks for an entry's body. The segment is the last that begins with it or before it.
    fn search_bodies(&self, bucket: Bucket, entry: u64) -> Result<At, ReadError> {
        let source = self.source();
        let (mut low, mut high) = (0, source.body_segments(bucket)?);
        while low + 1 < high {
            let middle = low.midpoint(high);
            let head = self.handles.read(Segment::Body(bucket, middle), 0, body::HEADER_BYTES)?;
            // A segment without a body to begin with is the last one, or will be found to be
            // damaged by whoever reads it.
            match BodyHead::parse(&head) {
                Some(head) if head.entry <= entry => low = middle,
                _ => high = middle,
            }
        }
        self.search_body_segment(bucket, low, entry)
    }

    fn search_body_segment(
        &self,
        bucket: Bucket,
        number: u32,
        entry: u64,
    ) -> Result<At, ReadError> {
        let segment = Segment::Body(bucket, number);
        let (mut offset, mut run) = (0, Vec::new());
        loop {
            let head = self.handles.read(segment, offset, body::HEADER_BYTES)?;
            let missing = || damaged(segment, offset, entry, "the body of an entry is missing");
            let head = BodyHead::parse(&head).ok_or_else(missing)?;
            let at = At { segment: number, offset: u32::try_from(offset).unwrap_or(u32::MAX) };
            self.note(&mut run, head.entry, at);
            if head.entry >= entry {
                self.note_all(&mut run);
                return if head.entry == entry { Ok(at) } else { Err(missing()) };
            }
            offset += head.taken() as u64;
        }
    }

    /// Gathers positions of bodies while their entries follow each other.
    fn note(&self, run: &mut Vec<(u64, At)>, entry: u64, at: At) {
        let follows = run.last().is_none_or(|(last, _)| last + 1 == entry);
        if !follows || run.len() >= NOTED_AT_ONCE {
            self.note_all(run);
        }
        run.push((entry, at));
    }

    fn note_all(&self, run: &mut Vec<(u64, At)>) {
        let places: Vec<At> = run.iter().map(|(_, at)| *at).collect();
        if let Some((first, _)) = run.first() {
            self.positions.put(Of::Bodies, *first, &places);
        }
        run.clear();
    }
}
