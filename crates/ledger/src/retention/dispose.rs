//! One disposal, from the order to the last byte.
//!
//! Order: what goes and what a hold keeps is found; what is kept is copied under a key of its own;
//! the announcement is durable in the log; the document that opens it is in place; key, bodies and
//! the index's rows are destroyed; the log says that it is done. Finding and copying happen beside
//! the writer; the rest in its thread, in order with the records. Wherever it is cut short it goes
//! on at the next opening: what the log announced is done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::statement::Tally;
use super::told::{Told, disposed_of, open, record_in, told};
use super::{DISPOSED_BYTES_MAX, Disposal, DisposeError, Disposed, Hold, Order, Ranges, Statement};
use crate::body::{BODY_BYTES_MAX, Body, body_aad};
use crate::envelope::{Bucket, Envelope};
use crate::error::{AppendError, Damage, ReadError};
use crate::event::Event;
use crate::queue::{Job, Queue};
use crate::record::{EntryNumber, Position, Record};
use crate::retention::document_name;
use crate::store::{Failure, Holding, Reserve, Store};
use crate::writer::{Fixed, Writer, halves, stored, whole_milliseconds};

/// What is to go, and what is kept.
struct Plan {
    statement: Statement,
    kept: Ranges,
}

pub(super) fn dispose(
    fixed: &Arc<Fixed>,
    queue: &Queue,
    bucket: Bucket,
    order: Order,
) -> Result<Disposal, DisposeError> {
    check(fixed, bucket)?;
    let now = fixed.clock.now();
    let holds: Vec<Hold> = told(fixed)?.holds.into_iter().filter(|it| it.is_active(now)).collect();
    fixed.copying.store(true, Ordering::SeqCst);
    let done = plan(fixed, bucket, &holds).and_then(|plan| match plan {
        None => Ok(Disposal::Nothing),
        Some(plan) => by_writer(queue, move |writer| writer.dispose(plan, order)),
    });
    fixed.copying.store(false, Ordering::SeqCst);
    done
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
pub(super) fn resume(queue: &Queue) -> Result<(), DisposeError> {
    by_writer(queue, |writer| {
        writer.reopen()?;
        writer.finish_disposals()
    })
}

/// Whether a bucket may be disposed of at all.
fn check(fixed: &Fixed, bucket: Bucket) -> Result<(), DisposeError> {
    fixed.store.disposes()?;
    if let Some(disposed) = fixed.store.moved().get(bucket) {
        return Err(DisposeError::Already { bucket, started: EntryNumber(disposed.entry) });
    }
    let due = bucket.due().ok_or(DisposeError::Permanent)?;
    if !fixed.store.buckets().contains(&bucket) {
        return Err(DisposeError::NoBucket { bucket });
    }
    if fixed.clock.now() < due { Err(DisposeError::NotDue { bucket, due }) } else { Ok(()) }
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
    fn dispose(&mut self, plan: Plan, order: Order) -> Result<Disposal, DisposeError> {
        self.reopen()?;
        // Once more: something may have come between.
        check(&self.fixed, plan.statement.bucket)?;
        let Plan { statement, kept } = plan;
        let Order { who, origin, why, authority } = order;
        let event = Event::DispositionStarted { statement: statement.clone(), authority };
        let record = Record { who, origin, why, subjects: Vec::new(), event };
        let started = self.announce(record)?;
        let disposed = document(&self.fixed, started.0, statement.clone(), kept)?;
        let finished = self.finish(&Arc::new(disposed))?;
        Ok(Disposal::Done { started, finished, statement })
    }

    /// Records what is said about a disposal, durably.
    fn announce(&mut self, record: Record) -> Result<EntryNumber, DisposeError> {
        let (epoch, _) = self.fixed.keys.index.newest();
        let record = stored(record, Vec::new(), epoch);
        let halves = halves(&record);
        let (private, shared) = halves.map_err(|source| AppendError::Encode(Arc::new(source)))?;
        let at = whole_milliseconds(self.fixed.clock.now());
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

    /// Destroys what was announced, and says that it is done.
    fn finish(&mut self, disposed: &Arc<Disposed>) -> Result<EntryNumber, DisposeError> {
        let bucket = disposed.statement.bucket;
        self.destroy(disposed)?;
        let (started, count) = (disposed.entry, disposed.statement.count);
        self.announce(Record::platform(Event::Disposed { bucket, started, count }))
    }

    /// Puts the document in place, if it isn't yet, and destroys what it names.
    fn destroy(&mut self, disposed: &Arc<Disposed>) -> Result<(), DisposeError> {
        let bucket = disposed.statement.bucket;
        let Some(open) = &mut self.open else { return Err(AppendError::Closed.into()) };
        let placed = match self.fixed.store.moved().get(bucket) {
            Some(_) => Ok(()),
            None => open.appender.dispose(Arc::clone(disposed)),
        };
        let done = placed.and_then(|()| open.appender.destroy(bucket));
        done.map_err(|failure| self.note_failure(failure))?;
        self.forget(disposed)
    }

    fn forget(&self, disposed: &Disposed) -> Result<(), DisposeError> {
        let keep: BTreeSet<u64> = disposed.kept.iter().collect();
        let forgotten = self.index.forget(disposed.statement.bucket.home(), &keep);
        self.index.bell().ring();
        forgotten.map(|_| ()).map_err(|error| DisposeError::Index(Box::new(error)))
    }

    /// Goes on with disposals that were cut short, and sees to what came back. Failing to stops
    /// no record: it is told, and tried again at the next opening or disposal.
    pub(crate) fn resume_disposals(&mut self) {
        if let Err(error) = self.finish_disposals() {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "a disposal could not be finished");
        }
    }

    pub(super) fn finish_disposals(&mut self) -> Result<(), DisposeError> {
        let fixed = Arc::clone(&self.fixed);
        let told = told(&fixed)?;
        for one in told.dispositions.iter().filter(|it| it.finished.is_none()) {
            let disposed = match fixed.store.moved().get(one.statement.bucket) {
                Some(disposed) => Arc::clone(disposed),
                None => Arc::new(self.found_again(one.started.0, &one.statement)?),
            };
            self.finish(&disposed)?;
        }
        // A document that is missing is made again from the log, as far as that has it.
        for one in told.dispositions.iter().filter(|it| it.finished.is_some()) {
            if fixed.store.moved().get(one.statement.bucket).is_none() {
                let disposed = self.found_again(one.started.0, &one.statement)?;
                self.again(&told, &Arc::new(disposed))?;
            }
        }
        self.clear_leftovers(&told)
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
    fn clear_leftovers(&mut self, told: &Told) -> Result<(), DisposeError> {
        let Some(open) = &mut self.open else { return Err(AppendError::Closed.into()) };
        let leftovers = open.appender.leftovers();
        let leftovers = leftovers.map_err(|failure| self.note_failure(failure))?;
        for bucket in leftovers {
            let disposed = self.fixed.store.moved().get(bucket).map(Arc::clone);
            match disposed {
                Some(disposed) => self.again(told, &disposed)?,
                // Somebody may be at work on it right now.
                None if self.fixed.copying.load(Ordering::SeqCst) => {}
                None => {
                    let Some(open) = &mut self.open else { return Err(AppendError::Closed.into()) };
                    let destroyed = open.appender.destroy(bucket);
                    destroyed.map_err(|failure| self.note_failure(failure))?;
                }
            }
        }
        Ok(())
    }

    /// Records that something of a bucket came back, and disposes of it again.
    fn again(&mut self, told: &Told, disposed: &Arc<Disposed>) -> Result<(), DisposeError> {
        let bucket = disposed.statement.bucket;
        let finished = told.disposition(bucket).is_some_and(|it| it.finished.is_some());
        if finished {
            let what = "keys or bodies".to_owned();
            let event = Event::DisposedReturned { bucket, started: disposed.entry, what };
            self.announce(Record::platform(event))?;
        }
        self.destroy(disposed)
    }
}
