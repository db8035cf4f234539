//! Bodies, read segment by segment on all cores.
//!
//! Invariant: a bucket holds if its bodies are of its entries, each once, in order, and as many. Where one does
//! not, it is read once more from the beginning, so that the place that is named is the first.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use super::Numbers;
use super::resume::Resume;
use crate::envelope::Bucket;
use crate::error::Damage;
use crate::journal::body_folder;
use crate::scan::{BodyEnd, Fault, Source, scan_bodies, scan_body_segment};

const UNKNOWN: &str = "the log does not have the body's entry";

/// What one body segment holds, whole: how many bodies, the first and the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct BodiesSeen {
    pub(super) count: u64,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// The buckets that are read.
pub(super) struct Bodies<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) in_buckets: &'a BTreeMap<Bucket, Numbers>,
    /// Of a ledger that is written to meanwhile: the size of the log that was read. What belongs to
    /// later entries is not held against it.
    pub(super) upto: Option<u64>,
    pub(super) threads: usize,
}

/// Reads the bodies of all these buckets but what is done already. `progress` is told how many were read.
pub(super) fn read_bodies(
    bodies: &Bodies<'_>,
    done: &mut Resume,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Fault> {
    let Bodies { source, in_buckets, threads, .. } = *bodies;
    let mut seen: BTreeMap<(Bucket, u32), Option<BodiesSeen>> = BTreeMap::new();
    let (mut tasks, mut read) = (Vec::new(), 0);
    for (bucket, numbers) in in_buckets {
        let count = source.body_segments(*bucket)?;
        for segment in 0..count {
            match done.find(*bucket, segment) {
                Some(found) => {
                    read += found.count;
                    seen.insert((*bucket, segment), Some(found));
                }
                None => tasks.push((*bucket, segment, segment + 1 == count, numbers)),
            }
        }
    }
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (send, receive) = channel();
        for _ in 0..threads.clamp(1, tasks.len().max(1)) {
            let (send, next, tasks) = (send.clone(), &next, &tasks);
            scope.spawn(move || {
                while let Some((bucket, segment, newest, numbers)) =
                    tasks.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let found = read_one(bodies, *bucket, *segment, numbers);
                    let grows = *newest || found.is_none_or(|(_, whole)| !whole);
                    let found = found.map(|(found, _)| found);
                    if send.send((*bucket, *segment, grows, found)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        for (bucket, segment, grows, found) in receive {
            if let Some(found) = &found {
                read += found.count;
                progress(read);
                // The newest may still grow.
                if !grows {
                    done.keep(bucket, segment, *found)?;
                }
            }
            seen.insert((bucket, segment), found);
        }
        Ok::<(), Fault>(())
    })?;
    for (bucket, numbers) in in_buckets {
        let segments = seen.range((*bucket, 0)..=(*bucket, u32::MAX)).map(|(_, found)| *found);
        if !is_whole(segments, numbers) {
            read_in_order(bodies, *bucket, numbers)?;
        }
    }
    Ok(())
}

/// What a segment holds, and whether that is all of it; `None` if anything is wrong with it.
fn read_one(
    bodies: &Bodies<'_>,
    bucket: Bucket,
    segment: u32,
    numbers: &Numbers,
) -> Option<(BodiesSeen, bool)> {
    let mut end = BodyEnd { segment, offset: 0, last: None };
    let (mut seen, mut is_later) = (BodiesSeen::default(), false);
    let read = scan_body_segment(bodies.source, bucket, segment, &mut end, &mut |found| {
        let entry = found.record.entry;
        is_later = bodies.upto.is_some_and(|size| entry >= size);
        if !numbers.contains(entry) {
            return Err(found.damage(UNKNOWN));
        }
        if seen.count == 0 {
            seen.first = entry;
        }
        (seen.last, seen.count) = (entry, seen.count + 1);
        Ok(())
    });
    (read.is_ok() || is_later).then_some((seen, !is_later))
}

/// Whether the segments in their order have exactly these entries.
fn is_whole(segments: impl Iterator<Item = Option<BodiesSeen>>, numbers: &Numbers) -> bool {
    let (mut count, mut last) = (0, None);
    for found in segments {
        let Some(found) = found else { return false };
        if found.count == 0 {
            continue;
        }
        if last.is_some_and(|last| last >= found.first) {
            return false;
        }
        (count, last) = (count + found.count, Some(found.last));
    }
    count == numbers.len()
}

/// Reads a bucket from its beginning: each body must be that of the next entry.
fn read_in_order(bodies: &Bodies<'_>, bucket: Bucket, numbers: &Numbers) -> Result<(), Fault> {
    let mut expected = numbers.iter().peekable();
    let read = scan_bodies(bodies.source, bucket, &mut |found| match expected.next() {
        Some(entry) if entry == found.record.entry => Ok(()),
        Some(entry) => Err(found.damage(&format!("the body of entry {entry} is missing"))),
        None => Err(found.damage(UNKNOWN)),
    });
    match (read, expected.peek()) {
        // What follows is somebody's who is writing.
        (Err(_), None) if bodies.upto.is_some() => Ok(()),
        (Err(fault), _) => Err(fault),
        (Ok(_), None) => Ok(()),
        (Ok(end), Some(entry)) => {
            let file = format!("{}/{:08}.seg", body_folder(bucket), end.segment);
            let what = "the body of an entry is missing";
            Err(Damage::new(&file, end.offset, Some(*entry), what).into())
        }
    }
}
