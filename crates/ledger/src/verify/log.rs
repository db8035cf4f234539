//! The log, read segment by segment on all cores: each stands alone by its header, and together they hold if
//! every header is what the segment before leads to.
//!
//! Invariant: the answer, and the place that is named, are those of reading from the first byte to the last.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};

use super::{Numbers, PublishedAt, Roots};
use crate::chain::Chain;
use crate::envelope::{Bucket, Envelope, LedgerId};
use crate::frame::Frame;
use crate::merkle::CompactRange;
use crate::note::VerifierKey;
use crate::retention::Disposals;
use crate::scan::{Fault, LogEnd, SegmentEnd, SegmentVisit, Source, read_segment};
use crate::segment::SegmentHead;

/// What is read, and what it is held against.
pub(super) struct LogReading<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) ledger: &'a LedgerId,
    pub(super) key: &'a VerifierKey,
    pub(super) published: &'a [PublishedAt],
    pub(super) threads: usize,
}

/// The end of the log, and the entries whose bodies must be there.
pub(super) struct LogRead {
    pub(super) end: LogEnd,
    pub(super) in_buckets: BTreeMap<Bucket, Numbers>,
}

/// One segment as it was found.
struct One {
    head: Option<SegmentHead>,
    end: Result<Option<SegmentEnd>, Fault>,
    in_buckets: BTreeMap<Bucket, Numbers>,
    /// Envelopes that are about a disposal, or were disposed of.
    concerned: Vec<Envelope>,
}

enum Told {
    Entries(u64),
    Segment(u32, Box<One>),
}

/// Reads all segments. `progress` is told how many entries were read.
pub(super) fn read_log(
    reading: &LogReading<'_>,
    disposals: &mut Disposals,
    progress: &mut dyn FnMut(u64),
) -> Result<LogRead, Fault> {
    let count = reading.source.log_segments()?;
    let mut chain = Chain::new(reading.ledger, reading.key, count);
    let mut in_buckets = BTreeMap::new();
    Roots::of(reading.published, 0).hold(0, &crate::merkle::empty_root())?;
    let documents = disposals.clone();
    // Reading goes on up to the first segment that is broken.
    let (next, end) = (AtomicU32::new(0), AtomicU32::new(count));
    std::thread::scope(|scope| {
        let (send, receive) = channel();
        for _ in 0..reading.threads.clamp(1, usize::try_from(count).unwrap_or(1)) {
            let (send, documents, next, end) = (send.clone(), &documents, &next, &end);
            scope.spawn(move || work(reading, documents, next, end, &send));
        }
        drop(send);
        let (mut waiting, mut turn, mut done) = (BTreeMap::new(), 0, 0);
        for told in receive {
            match told {
                Told::Entries(count) => {
                    done += count;
                    progress(done);
                }
                Told::Segment(segment, one) => drop(waiting.insert(segment, one)),
            }
            while let Some(one) = waiting.remove(&turn) {
                if let Err(fault) = join(&mut chain, turn, *one, &mut in_buckets, disposals) {
                    end.store(0, Ordering::Relaxed);
                    return Err(fault);
                }
                turn += 1;
            }
        }
        Ok(())
    })?;
    Ok(LogRead { end: chain.end()?, in_buckets })
}

/// Reads one segment after another until there are no more, or nobody listens.
fn work(
    reading: &LogReading<'_>,
    documents: &Disposals,
    next: &AtomicU32,
    end: &AtomicU32,
    send: &Sender<Told>,
) {
    loop {
        let segment = next.fetch_add(1, Ordering::Relaxed);
        if segment >= end.load(Ordering::Relaxed) {
            return;
        }
        let one = read_one(reading, documents, segment, send);
        if one.end.is_err() {
            end.fetch_min(segment, Ordering::Relaxed);
        }
        if send.send(Told::Segment(segment, Box::new(one))).is_err() {
            return;
        }
    }
}

fn read_one(
    reading: &LogReading<'_>,
    documents: &Disposals,
    segment: u32,
    send: &Sender<Told>,
) -> One {
    let roots = Roots::of(reading.published, u64::MAX);
    let (in_buckets, concerned) = (BTreeMap::new(), Vec::new());
    let mut seen = Seen { reading, documents, send, roots, head: None, in_buckets, concerned };
    let end = read_segment(reading.source, reading.ledger, segment, &mut seen);
    let Seen { head, in_buckets, concerned, .. } = seen;
    One { head, end, in_buckets, concerned }
}

/// What is seen of one segment while it is read.
struct Seen<'a> {
    reading: &'a LogReading<'a>,
    documents: &'a Disposals,
    send: &'a Sender<Told>,
    roots: Roots<'a>,
    head: Option<SegmentHead>,
    in_buckets: BTreeMap<Bucket, Numbers>,
    concerned: Vec<Envelope>,
}

impl SegmentVisit for Seen<'_> {
    fn begin(&mut self, head: &SegmentHead) -> Result<(), Fault> {
        self.roots = Roots::of(self.reading.published, head.tree.size() + 1);
        self.head = Some(head.clone());
        Ok(())
    }

    fn frame(
        &mut self,
        frame: &Frame,
        _segment: u32,
        _offset: u64,
        tree: &mut CompactRange,
    ) -> Result<(), Fault> {
        for envelope in &frame.envelopes {
            tree.push(envelope.leaf(), &mut |_, _, _| {});
            if self.documents.concern(envelope) {
                self.concerned.push(envelope.clone());
            } else {
                self.in_buckets.entry(envelope.bucket).or_default().insert(envelope.entry);
            }
            self.roots.hold_if_due(tree)?;
        }
        // Nobody may listen any more, where an earlier segment was broken.
        drop(self.send.send(Told::Entries(frame.envelopes.len() as u64)));
        Ok(())
    }
}

fn join(
    chain: &mut Chain<'_>,
    segment: u32,
    one: One,
    in_buckets: &mut BTreeMap<Bucket, Numbers>,
    disposals: &mut Disposals,
) -> Result<(), Fault> {
    if let Some(head) = &one.head {
        chain.follows(segment, head)?;
    }
    chain.go_on(segment, one.end?)?;
    for (bucket, numbers) in one.in_buckets {
        in_buckets.entry(bucket).or_default().merge(numbers);
    }
    for envelope in one.concerned {
        if let Some(bucket) = disposals.place(&envelope) {
            in_buckets.entry(bucket).or_default().insert(envelope.entry);
        }
    }
    Ok(())
}
