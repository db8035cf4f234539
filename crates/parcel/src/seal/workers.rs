//! Parts are filled by one thread and sealed by a few others.
//!
//! The channel to the workers holds nothing: a part is handed over when a worker is free, so
//! memory is one part being filled and one with each worker.

use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use keys::Random;
use keys::digest::{Sha256, sha256};

use super::journal::Journal;
use crate::cms::envelope;
use crate::cms::recipient::Address;
use crate::{PARTS_MAX, SealError, Target, bag};

/// A part that was sealed and written.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) number: u64,
    /// SHA-256 of the part as written.
    pub(super) digest: [u8; 32],
    /// SHA-256 of what it carries.
    pub(super) leaf: [u8; 32],
    pub(super) bytes: u64,
}

/// All parts, in order.
pub(super) struct Parts {
    pub(super) done: Vec<Done>,
    pub(super) archive_size: u64,
}

struct Job {
    number: u64,
    data: Vec<u8>,
}

/// A part that is done, and the memory that it was in.
struct Sealed {
    done: Done,
    room: Vec<u8>,
}

/// What workers need.
#[derive(Clone, Copy)]
pub(super) struct Pool<'a> {
    pub(super) addresses: &'a [Address],
    pub(super) random: &'a dyn Random,
    pub(super) target: &'a dyn Target,
    pub(super) workers: usize,
    pub(super) journal: &'a Journal,
}

impl Pool<'_> {
    /// Runs `fill` on this thread with workers beside it; ends when every part is written.
    pub(super) fn run<A>(
        &self,
        part_size: u64,
        fill: impl FnOnce(&mut Cutter) -> Result<A, SealError>,
    ) -> Result<(A, Parts), SealError> {
        let (jobs, inbox) = mpsc::sync_channel::<Job>(0);
        let (outbox, results) = mpsc::channel::<Result<Sealed, SealError>>();
        let inbox = Arc::new(Mutex::new(inbox));
        thread::scope(|scope| {
            for _ in 0..self.workers.max(1) {
                // The workers alone hold the receiving end: when they are gone, sending fails.
                let (inbox, outbox) = (Arc::clone(&inbox), outbox.clone());
                scope.spawn(move || self.work(&inbox, &outbox));
            }
            drop((inbox, outbox));
            let mut cutter = Cutter::new(part_size, jobs, results);
            let filled = fill(&mut cutter).and_then(|filled| {
                cutter.finish()?;
                Ok(filled)
            });
            Ok((filled?, cutter.into_parts()))
        })
    }

    fn work(&self, inbox: &Mutex<Receiver<Job>>, outbox: &Sender<Result<Sealed, SealError>>) {
        loop {
            let job = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Job { number, mut data }) = job else { return };
            let outcome = self.seal_part(number, &mut data);
            let failed = outcome.is_err();
            data.clear();
            if outbox.send(outcome.map(|done| Sealed { done, room: data })).is_err() || failed {
                return;
            }
        }
    }

    /// Seals a part in place.
    fn seal_part(&self, number: u64, data: &mut [u8]) -> Result<Done, SealError> {
        let leaf = sha256(data);
        if let Some(done) = self.journal.found(number, leaf, self.target)? {
            return Ok(done);
        }
        let failed = |source| SealError::Keys { doing: "sealing a part", source };
        let (head, mac) = envelope::seal(self.addresses, data, self.random).map_err(failed)?;
        let pieces = [head.as_slice(), data, &mac];
        let mut hash = Sha256::new();
        for piece in pieces {
            hash.update(piece);
        }
        let path = bag::part_path(number);
        let written = self.target.create(&path, &pieces);
        written.map_err(|source| SealError::Write { path, source })?;
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        let done = Done { number, digest: hash.finish(), leaf, bytes };
        self.journal.note(&done, self.target);
        Ok(done)
    }
}

/// Cuts a stream into parts and hands them to the workers.
pub(super) struct Cutter {
    buffer: Vec<u8>,
    part_size: usize,
    position: u64,
    sent: u64,
    done: Vec<Done>,
    /// Memory of parts that are done, for those to come.
    rooms: Vec<Vec<u8>>,
    /// Where the data section ended: parts handed over before, and the hash of the next one's beginning.
    mark: (u64, Option<[u8; 32]>),
    jobs: Option<SyncSender<Job>>,
    results: Receiver<Result<Sealed, SealError>>,
}

impl Cutter {
    fn new(
        part_size: u64,
        jobs: SyncSender<Job>,
        results: Receiver<Result<Sealed, SealError>>,
    ) -> Self {
        Self {
            buffer: Vec::new(),
            // At most `PART_BYTES_MAX`.
            part_size: usize::try_from(part_size).unwrap_or(usize::MAX),
            position: 0,
            sent: 0,
            done: Vec::new(),
            rooms: Vec::new(),
            mark: (0, None),
            jobs: Some(jobs),
            results,
        }
    }

    pub(super) fn part_size(&self) -> u64 {
        self.part_size as u64
    }

    /// Bytes written so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), SealError> {
        while !bytes.is_empty() {
            let room = self.part_size.saturating_sub(self.buffer.len()).min(bytes.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.buffer.extend_from_slice(now);
            self.position += now.len() as u64;
            bytes = later;
            if self.buffer.len() >= self.part_size {
                self.dispatch()?;
            }
        }
        Ok(())
    }

    fn dispatch(&mut self) -> Result<(), SealError> {
        crate::error::limit("parts", self.sent + 1, PARTS_MAX)?;
        let job = Job { number: self.sent, data: std::mem::take(&mut self.buffer) };
        self.sent += 1;
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        while let Ok(result) = self.results.try_recv() {
            self.take(result)?;
        }
        if !sent {
            // No worker takes parts any more: one of them has said why.
            return self.settle(self.sent);
        }
        self.buffer = self.rooms.pop().unwrap_or_else(|| Vec::with_capacity(self.part_size));
        Ok(())
    }

    fn take(&mut self, result: Result<Sealed, SealError>) -> Result<(), SealError> {
        let Sealed { done, room } = result?;
        self.done.push(done);
        self.rooms.push(room);
        Ok(())
    }

    /// Waits for the first so many parts.
    fn settle(&mut self, parts: u64) -> Result<(), SealError> {
        let early = |done: &&Done| done.number < parts;
        while (self.done.iter().filter(early).count() as u64) < parts {
            match self.results.recv() {
                Ok(result) => self.take(result)?,
                Err(_) => return Err(SealError::Cancelled),
            }
        }
        self.done.sort_by_key(|part| part.number);
        Ok(())
    }

    /// The data section ends here.
    pub(super) fn mark(&mut self) {
        self.mark = (self.sent, (!self.buffer.is_empty()).then(|| sha256(&self.buffer)));
    }

    /// The hash of what each part carries up to the mark.
    pub(super) fn leaves(&mut self) -> Result<Vec<[u8; 32]>, SealError> {
        let (parts, last) = self.mark;
        self.settle(parts)?;
        let early = self.done.iter().filter(|part| part.number < parts);
        Ok(early.map(|part| part.leaf).chain(last).collect())
    }

    fn finish(&mut self) -> Result<(), SealError> {
        if !self.buffer.is_empty() {
            self.dispatch()?;
        }
        self.jobs = None;
        self.settle(self.sent)
    }

    fn into_parts(self) -> Parts {
        Parts { done: self.done, archive_size: self.position }
    }
}
