//! Verifying all of a log that a database has, while processes append to it.
//!
//! Invariants: nothing that is derived is believed. It reads on a connection of its own, and of all
//! processes one at a time. What the database does not give is no damage: it is asked for again,
//! until it answers or the ledger closes.

use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use super::link::Hands;
use super::read::column;
use super::reader::{Ask, Bound};
use super::schema::number;
use super::{DatabaseError, Postgres, damaged};
use crate::envelope::Bucket;
use crate::error::{Damage, ReadError};
use crate::merkle::Hash;
use crate::note::Checkpoint;
use crate::source::Pace;
use crate::store::Head;

/// Any number that others do not lock by: "BWVERIFY".
const VERIFYING: i64 = 0x4257_5645_5249_4659;
/// Between two looks whether it is this process's turn, or the database answers again.
const LOOK_WAIT: Duration = Duration::from_secs(1);

const VERIFYING_WORDS: &str = "let the log be verified";

impl Postgres {
    /// Verifies the first `size` entries: frames, signatures, bodies, published checkpoints and
    /// buckets' keys. `Ok` too where the pace says that it is to end.
    pub(super) fn verify_all(&self, size: u64, pace: &Pace<'_>) -> Result<(), Damage> {
        let mut head = Head::default();
        loop {
            let verified = self
                .apart()
                .map_err(ReadError::from)
                .and_then(|it| it.go_on(&mut head, size, pace));
            let error = match verified {
                Ok(()) => return Ok(()),
                Err(ReadError::Damaged(damage)) => return Err(damage),
                Err(ReadError::Database(error)) => error,
                Err(other) => {
                    let entry = Some(head.size());
                    return Err(Damage::new("frames", 0, entry, &other.to_string()));
                }
            };
            let (error, entries) = (&error as &dyn std::error::Error, head.size());
            tracing::warn!(error, entries, "verifying goes on when the database answers again");
            if !self.rest(pace) {
                return Ok(());
            }
        }
    }

    /// The same database on a connection and a thread of its own, so that verifying delays nobody
    /// who reads.
    fn apart(&self) -> Result<Self, DatabaseError> {
        Ok(Self {
            address: self.address.clone(),
            hands: Hands::new()?,
            place: self.place.clone(),
            identity: self.identity.clone(),
            master: self.master.clone(),
            random: Arc::clone(&self.random),
            reader: Mutex::default(),
            buckets: RwLock::default(),
            edges: RwLock::default(),
        })
    }

    /// Waits a little; `false` when it is to end.
    fn rest(&self, pace: &Pace<'_>) -> bool {
        let work = async {
            tokio::time::sleep(LOOK_WAIT).await;
            Ok(())
        };
        self.hands.run("wait", LOOK_WAIT * 2, work).is_ok() && pace().is_ok()
    }

    /// Waits until no other process verifies. The lock ends with the connection.
    fn take_turn(&self, pace: &Pace<'_>) -> Result<bool, ReadError> {
        loop {
            let key = || -> Vec<Bound> { vec![Box::new(VERIFYING)] };
            let rows = self.ask(Ask::Turn, VERIFYING_WORDS, key)?;
            if rows.first().map(|row| column(row, 0)).transpose()? == Some(true) {
                return Ok(true);
            }
            if !self.rest(pace) {
                return Ok(false);
            }
        }
    }

    /// Goes on from a head up to which all holds.
    fn go_on(&self, head: &mut Head, size: u64, pace: &Pace<'_>) -> Result<(), ReadError> {
        if !self.take_turn(pace)? {
            return Ok(());
        }
        while head.size() < size {
            if pace().is_err() {
                return Ok(());
            }
            let (before, mut ends) = (head.size(), Vec::new());
            for frame in self.frames(before)?.into_iter().filter(|it| it.head.first >= before) {
                if head.size() >= size {
                    break;
                }
                let next = self.batch(head, frame)?.head;
                self.check_signed(&next)?;
                ends.push((next.size(), next.root));
                *head = next;
            }
            if head.size() == before {
                return Err(damaged("frames", before, Some(before), "the entry is in no frame"));
            }
            self.check_published_among(before, &ends)?;
        }
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
