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
    pub(super) fn run<A, B>(
        &self,
        part_size: u64,
        fill: impl FnOnce(&mut Cutter) -> Result<(A, B), SealError>,
    ) -> Result<(A, B, Parts), SealError> {
        let (jobs, inbox) = mpsc::sync_channel::<Job>(0);
        let (outbox, results) = mpsc::channel();
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
            let (a, b) = filled?;
            Ok((a, b, cutter.into_parts()))
        })
    }

    fn work(&self, inbox: &Mutex<Receiver<Job>>, outbox: &Sender<Result<Done, SealError>>) {
        loop {
            let job = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            let outcome = self.seal_part(job);
            let failed = outcome.is_err();
            if outbox.send(outcome).is_err() || failed {
                return;
            }
        }
    }

    fn seal_part(&self, Job { number, mut data }: Job) -> Result<Done, SealError> {
        let leaf = sha256(&data);
        if let Some(done) = self.journal.found(number, leaf, self.target)? {
            return Ok(done);
        }
        let failed = |source| SealError::Keys { doing: "sealing a part", source };
        let (head, mac) = envelope::seal(self.addresses, &mut data, self.random).map_err(failed)?;
        let pieces = [head.as_slice(), &data, &mac];
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
    jobs: Option<SyncSender<Job>>,
    results: Receiver<Result<Done, SealError>>,
}

impl Cutter {
    fn new(
        part_size: u64,
        jobs: SyncSender<Job>,
        results: Receiver<Result<Done, SealError>>,
    ) -> Self {
        // At most `PART_BYTES_MAX`.
        let part_size = usize::try_from(part_size).unwrap_or(usize::MAX);
        let (buffer, done) = (Vec::new(), Vec::new());
        Self { buffer, part_size, position: 0, sent: 0, done, jobs: Some(jobs), results }
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
        while let Ok(result) = self.results.try_recv() {
            self.done.push(result?);
        }
        let data = std::mem::replace(&mut self.buffer, Vec::with_capacity(self.part_size));
        let job = Job { number: self.sent, data };
        self.sent += 1;
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        // No worker takes parts any more: one of them has said why.
        if sent { Ok(()) } else { self.settle() }
    }

    /// Waits for all parts that were handed over.
    fn settle(&mut self) -> Result<(), SealError> {
        while (self.done.len() as u64) < self.sent {
            match self.results.recv() {
                Ok(result) => self.done.push(result?),
                Err(_) => return Err(SealError::Cancelled),
            }
        }
        self.done.sort_by_key(|part| part.number);
        Ok(())
    }

    /// The hash of what each part carries so far; the last part's is of its beginning.
    pub(super) fn leaves(&mut self) -> Result<Vec<[u8; 32]>, SealError> {
        self.settle()?;
        let mut leaves: Vec<_> = self.done.iter().map(|part| part.leaf).collect();
        if !self.buffer.is_empty() {
            leaves.push(sha256(&self.buffer));
        }
        Ok(leaves)
    }

    fn finish(&mut self) -> Result<(), SealError> {
        if !self.buffer.is_empty() {
            self.dispatch()?;
        }
        self.jobs = None;
        self.settle()
    }

    fn into_parts(self) -> Parts {
        Parts { done: self.done, archive_size: self.position }
    }
}
