//! One disposal, from the order to the last byte.
//!
//! Order: what goes and what a hold keeps is found; what is kept is copied under a key of its own;
//! the announcement is durable in the log; the document that opens it is in place; key, bodies and
//! the index's rows are destroyed; the log says that it is done. Finding, copying and the index's
//! forgetting happen beside the writer; the rest in its thread, in order with the records. A
//! ledger that is stopped destroys nothing. Wherever it is cut short it goes
//! on at the next opening: what the log announced is done.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::statement::Tally;
use super::told::{Told, disposed_of, open, record_in, told};
use super::{DISPOSED_BYTES_MAX, Disposal, DisposeError, Disposed, Hold, Order, Ranges, Statement};
use crate::body::{BODY_BYTES_MAX, Body, body_aad};
use crate::envelope::{Bucket, Envelope};
use crate::error::{AppendError, Damage, ReadError};
use crate::event::Event;
use crate::index::Index;
use crate::queue::{Job, Queue};
use crate::record::{EntryNumber, Position, Record};
use crate::retention::document_name;
use crate::shared::Fixed;
use crate::store::{Failure, Holding, Reserve, Store};
use crate::writer::{Writer, halves, stored, whole_milliseconds};

/// What is to go, and what is kept.
struct Plan {
    statement: Statement,
    kept: Ranges,
}

pub(super) fn dispose(
    (fixed, queue, index): (&Arc<Fixed>, &Queue, &Index),
    bucket: Bucket,
    order: Order,
) -> Result<Disposal, DisposeError> {
    let now = fixed.clock.now();
    check(fixed, bucket, now)?;
    let holds: Vec<Hold> = told(fixed)?.holds.into_iter().filter(|it| it.is_active(now)).collect();
    fixed.copying.store(true, Ordering::SeqCst);
    let announced = plan(fixed, bucket, &holds).and_then(|plan| match plan {
        None => Ok(None),
        Some(plan) => by_writer(queue, move |writer| writer.carry_out(plan, order)).map(Some),
    });
    fixed.copying.store(false, Ordering::SeqCst);
    let Some(disposed) = announced? else { return Ok(Disposal::Nothing) };
    forget(index, &disposed)?;
    let done = Arc::clone(&disposed);
    let concluded = by_writer(queue, move |writer| writer.conclude(&done));
    let finished = concluded.map_err(|error| match error {
        DisposeError::Append(source) => DisposeError::Unconcluded(source),
        other => other,
    })?;
    let (started, statement) = (EntryNumber(disposed.entry), disposed.statement.clone());
    Ok(Disposal::Done { started, finished, statement })
}

/// Has the writer do something between two batches, and waits for it.
fn by_writer<T: Send + 'static>(
    queue: &Queue,
    act: impl FnOnce(&mut Writer) -> Result<T, DisposeError> + Send + 'static,
) -> Result<T, DisposeError> {
    let (sender, receiver) = oneshot::channel();
    queue.put_task(Box::new(move |writer| {
        if sender.send(act(writer)).is_err() {
            tracing::debug!("nobody waits for the disposal any more");
        }
    }))?;
    receiver.blocking_recv().unwrap_or(Err(DisposeError::Append(AppendError::Closed)))
}

/// Does what is left of disposals that were cut short, now rather than at the next opening.
pub(super) fn resume(queue: &Queue, index: &Index) -> Result<(), DisposeError> {
    let mut left = by_writer(queue, |writer| {
        writer.reopen()?;
        writer.fixed.check_stopped()?;
        Ok(writer.destroy_left())
    })?;
    left.forget(index);
    by_writer(queue, move |writer| {
        writer.conclude_all(&mut left);
        left.settle()
    })
}

/// Takes what was disposed of out of the search index.
fn forget(index: &Index, disposed: &Disposed) -> Result<(), DisposeError> {
    let forgotten = index.forget(disposed.statement.bucket.home(), &disposed.kept);
    index.bell().ring();
    forgotten.map(|_| ()).map_err(|error| DisposeError::Index(Box::new(error)))
}

/// What is left to do after the destruction of what disposals that were cut short had left.
#[derive(Default)]
pub(crate) struct Left {
    /// To be forgotten, and then to be said to be done.
    finish: Vec<Arc<Disposed>>,
    /// To be forgotten once more.
    again: Vec<Arc<Disposed>>,
    /// The first that failed. It keeps nothing else from being done.
    error: Option<DisposeError>,
}

impl Left {
    /// Takes it as done, or notes why it isn't.
    fn note<T>(&mut self, done: Result<T, DisposeError>) -> Option<T> {
        match done {
            Ok(done) => Some(done),
            Err(error) => {
                let told = &error as &dyn std::error::Error;
                tracing::error!(error = told, "a disposal could not be finished");
                self.error.get_or_insert(error);
                None
            }
        }
    }

    pub(crate) fn forget(&mut self, index: &Index) {
        for disposed in std::mem::take(&mut self.finish) {
            if self.note(forget(index, &disposed)).is_some() {
                self.finish.push(disposed);
            }
        }
        for disposed in std::mem::take(&mut self.again) {
            self.note(forget(index, &disposed));
        }
    }

    fn settle(self) -> Result<(), DisposeError> {
        self.error.map_or(Ok(()), Err)
    }
}

/// Whether a bucket may be disposed of at all.
fn check(fixed: &Fixed, bucket: Bucket, now: Timestamp) -> Result<(), DisposeError> {
    fixed.check_stopped()?;
    if let Some(disposed) = fixed.store.moved().get(bucket) {
        return Err(DisposeError::Already { bucket, started: EntryNumber(disposed.entry) });
    }
    let due = bucket.due().ok_or(DisposeError::Permanent)?;
    if !fixed.store.buckets().contains(&bucket) {
        return Err(DisposeError::NoBucket { bucket });
    }
    if now < due { Err(DisposeError::NotDue { bucket, due }) } else { Ok(()) }
}

/// Finds what goes and copies what is kept. `None` when nothing is to go.
fn plan(fixed: &Fixed, bucket: Bucket, holds: &[Hold]) -> Result<Option<Plan>, DisposeError> {
    let store = fixed.store.as_ref();
    let next = bucket.next_held().ok_or(DisposeError::HeldTooOften { bucket })?;
    let (mut kept, mut count) = (Ranges::default(), 0_u64);
    let mut copy: Option<Box<dyn Holding + '_>> = None;
    let mut failure = None;
    let read = store.bodies(bucket, &mut |entry, sealed, place| {
        count += 1;
        let (envelope, _) = store.envelope(entry)?;
        let body = open(fixed, &envelope, bucket, sealed, &place)?;
        let record = record_in(&envelope, &body, &place)?;
        if !holds.iter().any(|hold| hold.what.covers(entry, bucket, &record)) {
            return Ok(());
        }
        kept.push(entry);
        let put = keep(store, &mut copy, next, &envelope, &body);
        put.map_err(|error| {
            failure = Some(error);
            ReadError::NoEntry { entry: EntryNumber(entry), size: 0 }
        })
    });
    match failure {
        Some(failure) => return Err(DisposeError::Append(failure)),
        None => read?,
    }
    let Some(plan) = tally(fixed, bucket, kept, count)? else { return Ok(None) };
    if let Some(copy) = copy {
        copy.finish().map_err(Failure::into_error)?;
    }
    Ok(Some(plan))
}

/// Seals a body that is kept under the copy's key.
fn keep<'a>(
    store: &'a dyn Store,
    copy: &mut Option<Box<dyn Holding + 'a>>,
    held: Bucket,
    envelope: &Envelope,
    body: &Body,
) -> Result<(), AppendError> {
    let (bytes, max) = (body.private.len(), BODY_BYTES_MAX);
    let plain = body.encode().ok_or(AppendError::TooLarge { bytes, max })?;
    let copy = match copy {
        Some(copy) => copy,
        None => copy.insert(store.hold(held).map_err(Failure::into_error)?),
    };
    let sealed = copy.key().seal(&body_aad(&envelope.ledger, envelope.entry, held), &plain);
    let doing = "seal what a hold keeps";
    let sealed = sealed.map_err(|source| AppendError::Keys { doing, source: Arc::new(source) })?;
    copy.put(envelope.entry, &sealed).map_err(Failure::into_error)
}

/// Adds up what goes, by the log itself. It must be what the bucket has.
fn tally(
    fixed: &Fixed,
    bucket: Bucket,
    kept: Ranges,
    bodies: u64,
) -> Result<Option<Plan>, DisposeError> {
    let (moved, mut tally, mut count) = (fixed.store.moved(), Tally::default(), 0_u64);
    fixed.store.envelopes(&mut |envelope| {
        if moved.locate(envelope).is_ok_and(|it| it == bucket) {
            count += 1;
            if !kept.contains(envelope.entry) {
                tally.add(envelope.entry, envelope.leaf());
            }
        }
    })?;
    if count != bodies {
        let what =
            format!("the log has {count} entries of the bucket, yet there are {bodies} bodies");
        let folder = crate::journal::body_folder(bucket);
        return Err(ReadError::Damaged(Damage::new(&folder, 0, None, &what)).into());
    }
    let statement = tally.statement(bucket, &kept);
    let plan = statement.map(|statement| Plan { statement, kept });
    let too_long = |plan: &Plan| plan.kept.to_string().len() as u64 > DISPOSED_BYTES_MAX - 4096;
    if plan.as_ref().is_some_and(too_long) {
        return Err(DisposeError::HeldTooMany { bucket });
    }
    Ok(plan)
}

/// The document that opens the announcement in entry `started`.
fn document(
    fixed: &Fixed,
    started: u64,
    statement: Statement,
    kept: Ranges,
) -> Result<Disposed, ReadError> {
    let (envelope, _) = fixed.store.envelope(started)?;
    let sealed = fixed.store.body(&envelope)?;
    let sealed = sealed.ok_or_else(|| disposed_of(fixed, &envelope))?;
    let body = open(fixed, &envelope, sealed.bucket, &sealed.bytes, &sealed.place)?;
    let disposed = Disposed { entry: started, salt: body.shared_salt, statement, kept };
    if disposed.is_committed_by(&envelope) {
        return Ok(disposed);
    }
    let Position { file, offset } = &sealed.place;
    let what = "the entry does not announce a disposal that was due";
    Err(ReadError::Damaged(Damage::new(file, *offset, Some(started), what)))
}

impl Writer {
    /// Announces a disposal, puts its document in place and destroys what it names.
    fn carry_out(&mut self, plan: Plan, order: Order) -> Result<Arc<Disposed>, DisposeError> {
        self.reopen()?;
        // Once more: something may have come between. What is due at this time is announced with it.
        let now = self.fixed.clock.now();
        check(&self.fixed, plan.statement.bucket, now)?;
        let Plan { statement, kept } = plan;
        let Order { who, origin, why, authority } = order;
        let event = Event::DispositionStarted { statement: statement.clone(), authority };
        let record = Record { who, origin, why, subjects: Vec::new(), event };
        let started = self.announce(record, now)?;
        let disposed = Arc::new(document(&self.fixed, started.0, statement, kept)?);
        self.destroy(&disposed)?;
        Ok(disposed)
    }

    /// Records what is said about a disposal, durably.
    fn announce(&mut self, record: Record, now: Timestamp) -> Result<EntryNumber, DisposeError> {
        self.fixed.check_stopped()?;
        let (epoch, _) = self.fixed.keys.index.newest();
        let record = stored(record, Vec::new(), epoch);
        let halves = halves(&record);
        let (private, shared) = halves.map_err(|source| AppendError::Encode(Arc::new(source)))?;
        let (record, at) = (Arc::new(record), whole_milliseconds(now));
        let job = Job { record, private, shared, at, answer: None };
        match self.commit(&[job], Reserve::Keep) {
            Ok(receipts) => {
                self.index.bell().ring();
                let entry = receipts.first().map(|it| it.entry);
                entry.ok_or(DisposeError::Append(AppendError::Closed))
            }
            Err(failure) => Err(self.note_failure(failure).into()),
        }
    }

    /// Says that what was announced is done.
    fn conclude(&mut self, disposed: &Disposed) -> Result<EntryNumber, DisposeError> {
        self.reopen()?;
        let (bucket, count) = (disposed.statement.bucket, disposed.statement.count);
        let event = Event::Disposed { bucket, started: disposed.entry, count };
        self.announce(Record::platform(event), self.fixed.clock.now())
    }

    fn conclude_all(&mut self, left: &mut Left) {
        for disposed in std::mem::take(&mut left.finish) {
            let concluded = self.conclude(&disposed);
            left.note(concluded);
        }
    }

    /// Puts the document in place, if it isn't yet, and destroys what it names.
    fn destroy(&mut self, disposed: &Arc<Disposed>) -> Result<(), DisposeError> {
        let bucket = disposed.statement.bucket;
        if self.fixed.store.moved().get(bucket).is_none() {
            let Some(open) = &mut self.open else { return Err(AppendError::Closed.into()) };
            let placed = open.appender.dispose(Arc::clone(disposed));
            placed.map_err(|failure| DisposeError::Destroy(self.note_failure(failure)))?;
        }
        self.destroy_bucket(bucket)
    }

    /// Destroys what lies in a bucket. Whoever reads the folder meanwhile can tell.
    fn destroy_bucket(&mut self, bucket: Bucket) -> Result<(), DisposeError> {
        let Some(open) = &mut self.open else { return Err(AppendError::Closed.into()) };
        self.fixed.recent.clear();
        self.fixed.destroying.fetch_add(1, Ordering::SeqCst);
        let destroyed = open.appender.destroy(bucket);
        self.fixed.destroying.fetch_add(1, Ordering::SeqCst);
        destroyed.map_err(|failure| DisposeError::Destroy(self.note_failure(failure)))
    }

    /// Goes on with disposals that were cut short, and sees to what came back. Failing to stops
    /// no record: it is told, and tried again at the next opening or disposal.
    pub(crate) fn resume_disposals(&mut self) {
        if self.fixed.check_stopped().is_err() {
            return;
        }
        let _turn = match self.fixed.store.try_turn() {
            Ok(Some(turn)) => turn,
            // Another process is at work on these, or will be.
            Ok(None) => return,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "disposals that were cut short are not gone on with");
                return;
            }
        };
        let mut left = self.destroy_left();
        left.forget(&Arc::clone(&self.index));
        self.conclude_all(&mut left);
    }

    /// Destroys what is left to destroy, all of it that can be.
    fn destroy_left(&mut self) -> Left {
        let (fixed, mut left) = (Arc::clone(&self.fixed), Left::default());
        let Some(told) = left.note(told(&fixed).map_err(DisposeError::from)) else { return left };
        for one in &told.dispositions {
            let in_place = fixed.store.moved().get(one.statement.bucket).map(Arc::clone);
            // A document that is missing is made again from the log, as far as that has it.
            let done = match (one.finished, in_place) {
                (Some(_), Some(_)) => continue,
                (_, Some(disposed)) => Ok(disposed),
                (_, None) => self.found_again(one.started.0, &one.statement).map(Arc::new),
            };
            let done = done.and_then(|disposed| match one.finished {
                None => self.destroy(&disposed).map(|()| disposed),
                Some(_) => self.again(&told, &disposed).map(|()| disposed),
            });
            let Some(disposed) = left.note(done) else { continue };
            match one.finished {
                None => left.finish.push(disposed),
                Some(_) => left.again.push(disposed),
            }
        }
        self.clear_leftovers(&told, &mut left);
        left
    }

    /// The document of an announcement, when it is not in place.
    fn found_again(&self, started: u64, statement: &Statement) -> Result<Disposed, DisposeError> {
        let (store, mut kept) = (self.fixed.store.as_ref(), Ranges::default());
        if let Some(held) = statement.bucket.next_held().filter(|_| statement.kept > 0) {
            store.bodies(held, &mut |entry, _, _| {
                kept.push(entry);
                Ok(())
            })?;
        }
        if Statement::digest_of(&kept) != statement.kept_digest {
            let what = "the document is missing, and the copy for the hold is not what it was";
            let name = document_name(statement.bucket);
            return Err(ReadError::Damaged(Damage::new(&name, 0, None, what)).into());
        }
        Ok(document(&self.fixed, started, statement.clone(), kept)?)
    }

    /// Destroys what lies where nothing may lie. What had been disposed of before is recorded.
    fn clear_leftovers(&mut self, told: &Told, left: &mut Left) {
        let leftovers = match &mut self.open {
            None => Err(AppendError::Closed),
            Some(open) => open.appender.leftovers().map_err(|it| self.note_failure(it)),
        };
        let Some(leftovers) = left.note(leftovers.map_err(DisposeError::from)) else { return };
        for bucket in leftovers {
            let disposed = self.fixed.store.moved().get(bucket).map(Arc::clone);
            match disposed {
                Some(disposed) => {
                    let done = self.again(told, &disposed);
                    if left.note(done).is_some() {
                        left.again.push(disposed);
                    }
                }
                // Somebody may be at work on it right now.
                None if self.fixed.copying.load(Ordering::SeqCst) => {}
                None => {
                    let done = self.destroy_bucket(bucket);
                    left.note(done);
                }
            }
        }
    }

    /// Records that something of a bucket came back, and destroys it again. While that fails it is
    /// tried often, and on record once.
    fn again(&mut self, told: &Told, disposed: &Arc<Disposed>) -> Result<(), DisposeError> {
        let bucket = disposed.statement.bucket;
        let finished = told.disposition(bucket).is_some_and(|it| it.finished.is_some());
        if finished && !self.returned.contains(&bucket) {
            let what = "keys or bodies".to_owned();
            let event = Event::DisposedReturned { bucket, started: disposed.entry, what };
            self.announce(Record::platform(event), self.fixed.clock.now())?;
            self.returned.insert(bucket);
        }
        self.destroy(disposed)?;
        self.returned.remove(&bucket);
        Ok(())
    }
}
