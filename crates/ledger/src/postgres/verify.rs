//! Verifying all of a log that a database has, while processes append to it.
//!
//! Invariants: nothing that is derived is believed. It reads on a connection of its own, and of all
//! processes one at a time. What database or object store do not give is no damage: it is asked for again,
//! until it answers or the ledger closes.

use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use super::link::Hands;
use super::read::column;
use super::reader::{Ask, Bound};
use super::schema::number;
use super::{DatabaseError, Postgres, damaged};
use crate::envelope::{Bucket, Envelope};
use crate::error::{Damage, ReadError};
use crate::merkle::Hash;
use crate::note::Checkpoint;
use crate::retention::Disposals;
use crate::source::Pace;
use crate::store::Head;

/// Any number that others do not lock by: "BWVERIFY".
const VERIFYING: i64 = 0x4257_5645_5249_4659;
/// Between two looks whether it is this process's turn, or the database answers again.
const LOOK_WAIT: Duration = Duration::from_secs(1);

const VERIFYING_WORDS: &str = "let the log be verified";

/// How far a log was verified, and what had been disposed of when that began.
struct SoFar {
    head: Head,
    documents: Vec<(String, String)>,
    disposals: Disposals,
}

impl SoFar {
    fn begin(documents: Vec<(String, String)>) -> Result<Self, ReadError> {
        let disposals = Postgres::disposals(&documents)?;
        Ok(Self { head: Head::default(), documents, disposals })
    }
}

impl Postgres {
    /// Verifies the first `size` entries: frames, signatures, bodies, published checkpoints and
    /// buckets' keys. `Ok` too where the pace says that it is to end.
    pub(super) fn verify_all(&self, size: u64, pace: &Pace<'_>) -> Result<(), Damage> {
        let mut so_far: Option<SoFar> = None;
        loop {
            let verified = self.apart_and_fresh().map_err(ReadError::from).and_then(|it| {
                let so_far = match &mut so_far {
                    Some(so_far) => so_far,
                    None => so_far.insert(SoFar::begin(it.documents()?)?),
                };
                it.go_on(so_far, size, pace)
            });
            let entries = so_far.as_ref().map_or(0, |it| it.head.size());
            let error = match verified {
                Ok(()) => return Ok(()),
                Err(ReadError::Damaged(damage)) => {
                    // Another process may have disposed of something meanwhile: that is no damage.
                    let (now, known) = (self.documents(), so_far.take());
                    let known = known.map(|it| it.documents);
                    if now.is_ok_and(|now| known.is_some_and(|known| now != known)) {
                        continue;
                    }
                    return Err(damage);
                }
                Err(error @ (ReadError::Database(_) | ReadError::Object(_))) => error,
                Err(other) => {
                    return Err(Damage::new("frames", 0, Some(entries), &other.to_string()));
                }
            };
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, entries, "verifying goes on when this can be read again");
            if !self.rest(pace) {
                return Ok(());
            }
        }
    }

    /// The same database on a connection and a thread of its own, so that verifying delays nobody
    /// who reads.
    pub(super) fn apart(&self) -> Result<Self, DatabaseError> {
        Ok(Self {
            address: self.address.clone(),
            hands: Hands::new()?,
            place: self.place.clone(),
            identity: self.identity.clone(),
            bytes_max: self.bytes_max,
            objects: self.objects.clone(),
            master: self.master.clone(),
            random: Arc::clone(&self.random),
            reader: Mutex::default(),
            buckets: RwLock::default(),
            moved: RwLock::new(self.moved_now()),
            edges: RwLock::default(),
        })
    }

    fn apart_and_fresh(&self) -> Result<Self, DatabaseError> {
        let objects = self.objects.as_ref().map(|it| it.apart().map(Arc::new)).transpose()?;
        Ok(Self { objects, ..self.apart()? })
    }

    /// Waits a little; `false` when it is to end.
    fn rest(&self, pace: &Pace<'_>) -> bool {
        self.pause(LOOK_WAIT).is_ok() && pace().is_ok()
    }

    pub(super) fn pause(&self, wait: Duration) -> Result<(), DatabaseError> {
        let work = async move {
            tokio::time::sleep(wait).await;
            Ok(())
        };
        self.hands.run("wait", wait * 2 + LOOK_WAIT, work)
    }

    /// Waits until no other process verifies. The lock ends with the connection.
    fn take_turn(&self, pace: &Pace<'_>) -> Result<bool, ReadError> {
        loop {
            if self.try_lock(VERIFYING)? {
                return Ok(true);
            }
            if !self.rest(pace) {
                return Ok(false);
            }
        }
    }

    /// Goes on from a head up to which all holds.
    fn go_on(&self, so_far: &mut SoFar, size: u64, pace: &Pace<'_>) -> Result<(), ReadError> {
        let SoFar { head, disposals, .. } = so_far;
        if !self.take_turn(pace)? {
            return Ok(());
        }
        while head.size() < size {
            if pace().is_err() {
                return Ok(());
            }
            let (before, mut ends, mut lasting) = (head.size(), Vec::new(), Vec::new());
            for frame in self.frames(before)?.into_iter().filter(|it| it.head.first >= before) {
                if head.size() >= size {
                    break;
                }
                let is_lasting = |it: &&Envelope| it.bucket == Bucket::PERMANENT;
                lasting.extend(frame.envelopes.iter().filter(is_lasting).cloned());
                let next = self.batch(head, frame, disposals)?.head;
                self.check_signed(&next)?;
                ends.push((next.size(), next.root));
                *head = next;
            }
            if head.size() == before {
                return Err(damaged("frames", before, Some(before), "the entry is in no frame"));
            }
            self.check_published_among(before, &ends)?;
            self.check_copies((before, head.size()), &lasting)?;
        }
        disposals.check().map_err(ReadError::Damaged)?;
        self.check_every_key()
    }

    /// Each checkpoint that was published over `before` is of the end of a batch, and of its root.
    fn check_published_among(&self, before: u64, ends: &[(u64, Hash)]) -> Result<(), ReadError> {
        let Some((last, _)) = ends.last() else { return Ok(()) };
        let range = || -> Vec<Bound> { vec![Box::new(number(before)), Box::new(number(*last))] };
        for row in &self.ask(Ask::Checkpoints, VERIFYING_WORDS, range)? {
            let size = u64::try_from(column::<i64>(row, 0)?).unwrap_or(0);
            let note = Checkpoint::open(column(row, 1)?, &self.identity.key);
            let fits = note.is_ok_and(|it| it.size == size && ends.contains(&(size, it.root)));
            if !fits {
                let what = "the checkpoint is not one of this log";
                return Err(damaged("checkpoints", size, Some(size), what));
            }
        }
        Ok(())
    }

    /// Each envelope that is kept at hand is one of these, which the frames have.
    fn check_copies(
        &self,
        (first, end): (u64, u64),
        lasting: &[Envelope],
    ) -> Result<(), ReadError> {
        let range = || -> Vec<Bound> { vec![Box::new(number(first)), Box::new(number(end))] };
        for row in &self.ask(Ask::KeptEnvelopes, VERIFYING_WORDS, range)? {
            let entry = u64::try_from(column::<i64>(row, 0)?).unwrap_or(0);
            let copy: &[u8] = column(row, 1)?;
            if !lasting.iter().any(|it| it.entry == entry && it.encode().as_slice() == copy) {
                let what = "the copy of an envelope is not what the log has";
                return Err(damaged("envelopes", entry, Some(entry), what));
            }
        }
        Ok(())
    }

    fn check_every_key(&self) -> Result<(), ReadError> {
        for row in &self.ask(Ask::Keys, VERIFYING_WORDS, Vec::new)? {
            let bucket = Bucket::parse(column(row, 0)?);
            let what = "not the name of a bucket";
            let bucket = bucket.ok_or_else(|| damaged("bucket_keys", 0, None, what))?;
            self.open_key(bucket, column(row, 1)?)?;
        }
        Ok(())
    }
}
