//! The newest entries as they were recorded, kept for the search index: it need not read, open and parse what
//! the writer has just sealed and written.
//!
//! Invariants: only what is durable comes in here. It is bounded, and whatever is not here is in the log, so
//! that dropping any of it costs time and nothing else.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::envelope::Envelope;
use crate::queue::Job;
use crate::record::StoredRecord;

/// Most entries that wait for the index here: as many as it takes in one transaction.
const ENTRIES_MAX: usize = 16_384;
/// Most bytes of them, as JSON.
const BYTES_MAX: usize = 8 << 20;

struct Kept {
    envelope: Envelope,
    record: Arc<StoredRecord>,
    bytes: usize,
}

#[derive(Default)]
struct Waiting {
    /// In the order of their numbers, with gaps.
    entries: VecDeque<Kept>,
    bytes: usize,
}

/// Entries between the writer, who puts them in, and the index, which takes them out.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Waiting>);

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in what a batch has just made durable. What there is no room for is left out: an index that is
    /// so far behind reads the log.
    pub(crate) fn put(&self, envelopes: Vec<Envelope>, jobs: &[Job]) {
        let mut waiting = self.lock();
        for (envelope, job) in envelopes.into_iter().zip(jobs) {
            let bytes = job.bytes();
            if waiting.entries.len() >= ENTRIES_MAX || waiting.bytes + bytes > BYTES_MAX {
                return;
            }
            waiting.bytes += bytes;
            waiting.entries.push_back(Kept { envelope, record: Arc::clone(&job.record), bytes });
        }
    }

    /// Takes the entries out that follow each other from `from` on, below `end`. Earlier ones go unread.
    pub(crate) fn take(&self, from: u64, end: u64) -> Vec<(Envelope, Arc<StoredRecord>)> {
        let (mut waiting, mut taken) = (self.lock(), Vec::new());
        let mut next = from;
        while let Some(first) = waiting.entries.front().map(|it| it.envelope.entry) {
            if first > next || first >= end {
                break;
            }
            let Some(kept) = waiting.entries.pop_front() else { break };
            waiting.bytes = waiting.bytes.saturating_sub(kept.bytes);
            if first == next {
                next += 1;
                taken.push((kept.envelope, kept.record));
            }
        }
        taken
    }

    /// The number of the first entry that is here.
    pub(crate) fn first(&self) -> Option<u64> {
        self.lock().entries.front().map(|it| it.envelope.entry)
    }

    /// Drops everything: what is disposed of must not live on in memory.
    pub(crate) fn clear(&self) {
        *self.lock() = Waiting::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Bucket;
    use crate::event::{Event, Retention};
    use crate::record::Record;

    fn envelope(entry: u64) -> Envelope {
        let bucket = Bucket { class: Retention::Standard, month: 202_911, held: 0 };
        let (ledger, shared, private) = ([7; 16], [0; 32], [1; 32]);
        Envelope { ledger, entry, at_ms: 0, stepped_back: false, kind: 1, bucket, shared, private }
    }

    fn job(bytes: usize) -> Job {
        let record = crate::writer::stored(Record::platform(Event::SignedOut), Vec::new(), 1);
        let (private, shared) = (vec![0; bytes], Vec::new());
        let at = jiff::Timestamp::UNIX_EPOCH;
        Job { record: Arc::new(record), private, shared, at, answer: None }
    }

    fn put(recent: &Recent, entries: std::ops::Range<u64>, bytes: usize) {
        let jobs: Vec<Job> = entries.clone().map(|_| job(bytes)).collect();
        recent.put(entries.map(envelope).collect(), &jobs);
    }

    fn take(recent: &Recent, from: u64, end: u64) -> Vec<u64> {
        recent.take(from, end).iter().map(|(envelope, _)| envelope.entry).collect()
    }

    #[test]
    fn what_follows_is_taken_once_and_gaps_are_left_to_the_log() {
        let recent = Recent::default();
        put(&recent, 3..6, 10);
        put(&recent, 8..10, 10);
        assert_eq!(take(&recent, 0, 20), Vec::<u64>::new(), "what comes first is not here");
        assert_eq!(recent.first(), Some(3));
        assert_eq!(take(&recent, 4, 5), [4], "3 was wanted no more");
        assert_eq!(take(&recent, 5, 20), [5]);
        assert_eq!((take(&recent, 6, 20), recent.first()), (vec![], Some(8)));
        assert_eq!(take(&recent, 8, 20), [8, 9]);
        assert_eq!(recent.first(), None);
    }

    #[test]
    fn it_is_bounded_by_entries_and_by_bytes_and_goes_on_when_it_was_emptied() {
        let recent = Recent::default();
        put(&recent, 0..ENTRIES_MAX as u64 + 5, 1);
        assert_eq!(recent.take(0, u64::MAX).len(), ENTRIES_MAX);
        put(&recent, 0..20, BYTES_MAX / 8);
        put(&recent, 20..21, 1);
        assert_eq!(take(&recent, 0, u64::MAX), [0, 1, 2, 3, 4, 5, 6, 7]);
        put(&recent, 30..31, BYTES_MAX);
        assert_eq!(take(&recent, 30, 31), [30]);
        put(&recent, 31..33, 1);
        recent.clear();
        assert_eq!((recent.first(), recent.lock().bytes), (None, 0));
    }
}
