//! Asking a witness, and what its answers mean for this ledger.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use jiff::Timestamp;

use crate::error::ReadError;
use crate::event::Event;
use crate::ledger::Ledger;
use crate::note::Checkpoint;
use crate::record::Record;
use crate::watched::{
    COSIGNED, COSIGNED_MAX, KnownWitness, Last, NotReleasable, Stop, StopKind, Watched, Witnessed,
    encode_one, limit, stop,
};
use crate::witness::{AddCheckpoint, Answer, Cosignature, cosigned, text_of};

/// How far a witness's clock may be from ours, in seconds: a cosignature is not a word about now
/// otherwise.
const CLOCK_APART_SECONDS_MAX: i64 = 300;

/// What is sent to a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    pub witness: String,
    pub request: AddCheckpoint,
    /// Size of the request's checkpoint.
    pub size: u64,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It cosigned; these are to be put on record.
    Confirmed(Vec<Event>),
    /// It stands at this size: ask again from there.
    Again(u64),
    /// Nothing came of it, for this reason; ask again later.
    Failed(String),
    /// It has shown that this ledger was wound back or has two histories. No record is taken any more.
    Stopped(Stop),
}

impl Ledger {
    /// The request for a witness, for the ledger as it stands; from `old` where that is given, else from
    /// what the witness cosigned last. `None`: no such witness, or the ledger is stopped.
    ///
    /// # Errors
    /// [`ReadError`] where the proof can't be read.
    pub fn submission(
        &self,
        witness: &str,
        old: Option<u64>,
    ) -> Result<Option<Submission>, ReadError> {
        let watched = self.watched();
        let Some(last) = watched.last_size(witness).filter(|_| watched.stopped().is_none()) else {
            return Ok(None);
        };
        let note = self.checkpoint()?;
        let size = Checkpoint::parse(&note).map(|it| it.size).unwrap_or_default();
        let old = old.unwrap_or(last).min(size);
        let proof = match old {
            0 => Vec::new(),
            old => self.prove_consistency(old, size)?,
        };
        let request = AddCheckpoint { old, proof, note };
        Ok(Some(Submission { witness: witness.to_owned(), request, size }))
    }

    /// Takes a witness's answer; `theirs` is the newest note that it shows of this log, asked for where the
    /// answer is a conflict or a proof that did not hold. Waits for the disk.
    pub fn take_answer(
        &self,
        submission: &Submission,
        answer: &Answer,
        theirs: Option<&str>,
    ) -> Asked {
        let watched = self.watched();
        let asked = match answer {
            Answer::Cosigned(lines) => watched.confirm(submission, lines, self.now()),
            Answer::Conflict(seen) if *seen > self.size() => match self.follow_now() {
                // Another process, which shares this log, was there before.
                Ok(()) if *seen <= self.size() => Asked::Again(*seen),
                Ok(()) => self.stop(submission, StopKind::Rollback, *seen, theirs),
                Err(error) => Asked::Failed(format!(
                    "it has seen {seen} entries, and whether we have them could not be seen: {error}"
                )),
            },
            Answer::Conflict(seen) if *seen == submission.request.old => {
                self.stop(submission, StopKind::Fork, *seen, theirs)
            }
            Answer::Conflict(seen) => Asked::Again(*seen),
            Answer::BadProof if submission.request.old > 0 => {
                self.stop(submission, StopKind::Fork, submission.request.old, theirs)
            }
            Answer::BadProof
            | Answer::Malformed
            | Answer::BadSignature
            | Answer::UnknownOrigin
            | Answer::Trouble(_) => Asked::Failed(answer.words()),
        };
        if let Asked::Failed(why) = &asked {
            watched.note_error(&submission.witness, why);
        }
        asked
    }

    /// What kept a witness from being asked at all.
    pub fn note_unasked(&self, witness: &str, why: &str) {
        self.watched().note_error(witness, why);
    }

    /// Records what a witness has shown, then takes no more records. A witness that shows a checkpoint of
    /// this very log is confused, and stops nothing.
    fn stop(
        &self,
        submission: &Submission,
        kind: StopKind,
        seen: u64,
        theirs: Option<&str>,
    ) -> Asked {
        let key = &self.watched().key;
        let signed = theirs.and_then(|note| Some((note, Checkpoint::open(note, key).ok()?)));
        if let Some((_, shown)) = &signed
            && self.root_of(shown.size).is_some_and(|root| root == shown.root)
        {
            let size = shown.size;
            return Asked::Failed(format!(
                "it shows our checkpoint of {size} entries and refuses it"
            ));
        }
        let stop = Stop {
            kind,
            at: self.now(),
            witness: submission.witness.clone(),
            seen,
            size: self.size(),
            ours: submission.request.note.clone(),
            theirs: signed.map(|(note, _)| note.to_owned()),
        };
        let (origin, reported_by) = (self.origin().to_owned(), stop.witness.clone());
        let event = match kind {
            StopKind::Rollback => {
                Event::RollbackDetected { origin, reported_by, size: stop.size, seen }
            }
            StopKind::Fork => Event::EquivocationDetected { origin, reported_by, size: seen },
        };
        let recorded = self.enqueue(Record::platform(event)).and_then(crate::Pending::wait);
        if let Err(error) = recorded {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "what a witness has shown could not be recorded");
        }
        self.watched().set_stop(&stop);
        Asked::Stopped(stop)
    }

    /// Which witnesses have fallen silent since this was asked last: to be put on record, once each.
    pub fn newly_stale(&self) -> Vec<Event> {
        self.watched().newly_stale(self.now())
    }

    /// Whether anything may be released: not when a witness has stopped the ledger, and not when too long
    /// ago was the last cosignature.
    ///
    /// # Errors
    /// [`NotReleasable`], in words for a person.
    pub fn releasable(&self) -> Result<(), NotReleasable> {
        self.watched().releasable(self.now())
    }

    /// How the witnesses stand.
    pub fn witnessed(&self) -> Witnessed {
        self.watched().witnessed(self.now())
    }

    /// The newest cosigned checkpoints, the newest last; at most [`COSIGNED_MAX`].
    pub fn cosigned(&self) -> Vec<String> {
        self.watched().cosigned()
    }

    /// Puts on record that a person lifted a stop, if one did.
    ///
    /// # Errors
    /// [`crate::AppendError`].
    pub fn record_lifted_stop(&self) -> Result<(), crate::AppendError> {
        let Some(reason) = self.watched().lifted() else { return Ok(()) };
        self.enqueue(Record::platform(Event::StopLifted { reason }))?.wait()?;
        if let Err(error) = self.watched().settle_lifted() {
            // It is on record; at worst it will be so twice.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a lifted stop could not be cleared away");
        }
        Ok(())
    }
}

impl Watched {
    fn place_of(&self, witness: &str) -> Option<(usize, &KnownWitness)> {
        self.rules.witnesses.iter().enumerate().find(|(_, one)| one.name == witness)
    }

    fn last_size(&self, witness: &str) -> Option<u64> {
        let (at, _) = self.place_of(witness)?;
        let state = self.state();
        state.ones.get(at).map(|one| one.last.as_ref().map_or(0, |last| last.size))
    }

    fn note_error(&self, witness: &str, why: &str) {
        let Some((at, _)) = self.place_of(witness) else { return };
        if let Some(one) = self.state().ones.get_mut(at) {
            one.error = Some(why.to_owned());
        }
    }

    /// Verifies a cosignature and writes it down; only then does it count.
    fn confirm(&self, submission: &Submission, lines: &str, now: Timestamp) -> Asked {
        let Some((at, witness)) = self.place_of(&submission.witness) else {
            return Asked::Failed("it is not one of ours".to_owned());
        };
        let note = &submission.request.note;
        let (Ok(text), Ok(checkpoint)) = (text_of(note), Checkpoint::open(note, &self.key)) else {
            return Asked::Failed("the checkpoint is not one of ours".to_owned());
        };
        let cosignature = match Cosignature::find(text, lines, &witness.key) {
            Ok(cosignature) => cosignature,
            Err(error) => return Asked::Failed(format!("its answer was not taken: {error}")),
        };
        let apart = now.as_second() - cosignature.at.as_second();
        if apart.abs() > CLOCK_APART_SECONDS_MAX {
            return Asked::Failed(format!("its clock is {apart} s behind ours"));
        }
        let Ok(single) = cosigned(note, &witness.key, &cosignature) else {
            return Asked::Failed("the note is full of signatures".to_owned());
        };
        // One at a time; and whoever asks whether data may be released does not wait for the disk.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, mut list) = {
            let state = self.state();
            let before =
                state.ones.get(at).map(|one| (one.since, one.last.as_ref().map(|it| it.at)));
            (before, state.cosigned.clone())
        };
        let Some((since, before)) = before else {
            return Asked::Failed("it is not one of ours".to_owned());
        };
        if before.is_some_and(|before| before > cosignature.at) {
            return Asked::Failed("its cosignature is older than its last".to_owned());
        }
        // The same checkpoint may have other witnesses' cosignatures already: they stay together.
        let same = list.back().is_some_and(|newest| text_of(newest) == Ok(text));
        let base = if same { list.pop_back().unwrap_or_default() } else { note.clone() };
        let together = cosigned(&base, &witness.key, &cosignature);
        list.push_back(together.unwrap_or_else(|_| single.clone()));
        while list.len() > COSIGNED_MAX {
            list.pop_front();
        }
        let all: String = list.iter().map(|note| format!("{note}\n")).collect();
        let written = self.documents.replace(&witness.document(), &encode_one(since, &single));
        if let Err(error) = written.and_then(|()| self.documents.replace(COSIGNED, &all)) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a cosigned checkpoint could not be written down");
            return Asked::Failed("its cosignature could not be written down here".to_owned());
        }
        let mut state = self.state();
        state.cosigned = list;
        let last = Last { size: checkpoint.size, root: checkpoint.root, at: cosignature.at };
        let Some(one) = state.ones.get_mut(at) else { return Asked::Confirmed(Vec::new()) };
        // It cosigned going on from `old`, so that is where it stood. A witness never goes back by itself.
        let old = submission.request.old;
        let forgot = one.last.as_ref().map(|last| last.size).filter(|seen| old < *seen);
        (one.last, one.error) = (Some(last), None);
        let (first, stale) = (!one.confirmed, one.told_stale);
        (one.confirmed, one.told_stale) = (true, false);
        let (witness, size) = (witness.name.clone(), checkpoint.size);
        let told = match (first, stale) {
            (_, true) => Some(Event::WitnessRecovered { witness: witness.clone(), size }),
            (true, false) => Some(Event::CheckpointCosigned { witness: witness.clone(), size }),
            (false, false) => None,
        };
        let forgot = forgot.map(|seen| Event::WitnessForgot { witness, size: old, seen });
        Asked::Confirmed(told.into_iter().chain(forgot).collect())
    }

    fn set_stop(&self, stop: &Stop) {
        let mut state = self.state();
        if state.stop.is_none() {
            let written = stop::encode(stop);
            let written = written.and_then(|text| self.documents.replace(stop::STOP, &text));
            if let Err(error) = written {
                // It holds as long as this process does, and the witness will say it again.
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the stop of the ledger could not be written down");
            }
            state.stop = Some(stop.clone());
        }
        self.stopped.store(true, Ordering::Release);
    }

    fn newly_stale(&self, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        let mut state = self.state();
        for (witness, one) in self.rules.witnesses.iter().zip(&mut state.ones) {
            let age = now.duration_since(one.at());
            if age > limit(self.rules.warn_after) && !one.told_stale {
                one.told_stale = true;
                let last = one.last.as_ref().map(|last| last.size);
                let (witness, minutes) = (witness.name.clone(), age.as_mins().unsigned_abs());
                events.push(Event::WitnessStale { witness, minutes, last });
            }
        }
        events
    }
}
