//! The one thread that writes, and what it does when it can't.
//!
//! No timer: while one batch is on its way to disk the next one gathers. After a failed write or
//! sync nothing that is open is trusted: it is dropped, and the ledger is opened and read again
//! before another record is taken.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::body::{HEADER_BYTES, SEALED_EXTRA};
use crate::disk::DiskLock;
use crate::draft::{bucket_of, draft};
use crate::envelope::Bucket;
use crate::error::{AppendError, Damage, OpenError};
use crate::event::Event;
use crate::index::Index;
use crate::queue::{Job, Portion, Queue, Taken};
use crate::record::{Receipt, Record, StoredRecord};
use crate::shared::{Fixed, Health};
use crate::store::{Failure, Head, Opened, Reserve, root_is};

/// How often a batch is drafted before it is refused because others always came first.
const DRAFTS_MAX: u32 = 1000;

/// The writer's own state.
pub(crate) struct Writer {
    pub(crate) fixed: Arc<Fixed>,
    queue: Arc<Queue>,
    pub(crate) open: Option<Opened>,
    /// When the ledger was last found not to open.
    tried: Option<Instant>,
    last_error: Option<AppendError>,
    /// Records refused since the ledger stalled.
    refused: u64,
    published_at: Option<Instant>,
    /// Another process may have the folder only when the last write is done: the lock goes last.
    _lock: Arc<dyn DiskLock>,
    /// Rung after each batch, and told what to forget.
    pub(crate) index: Arc<Index>,
    /// Buckets of which something came back, which is on record, and is not destroyed again yet.
    pub(crate) returned: BTreeSet<Bucket>,
}

impl Writer {
    pub(crate) fn new(
        fixed: Arc<Fixed>,
        queue: Arc<Queue>,
        open: Opened,
        lock: Arc<dyn DiskLock>,
        index: Arc<Index>,
    ) -> Self {
        Self {
            fixed,
            queue,
            open: Some(open),
            tried: None,
            last_error: None,
            refused: 0,
            published_at: None,
            _lock: lock,
            index,
            returned: BTreeSet::new(),
        }
    }

    /// Writes until the queue is closed and empty; then settles.
    pub(crate) fn run(mut self, entries_max: usize) -> Result<(), AppendError> {
        let settings = &self.fixed.settings;
        let portion = Portion {
            entries_max,
            bytes_max: settings.batch_bytes_max(),
            extra: SEALED_EXTRA + HEADER_BYTES + 16,
        };
        let checkpoint_wait = settings.checkpoint_wait;
        self.at_work(Self::resume_disposals);
        let look_wait = self.fixed.store.look_wait();
        loop {
            let ahead = self.is_ahead().then_some(checkpoint_wait);
            let idle = look_wait.map_or(ahead, |wait| Some(ahead.map_or(wait, |it| it.min(wait))));
            match self.queue.take(portion, idle) {
                Taken::Jobs(jobs) => self.at_work(|writer| writer.handle(jobs)),
                Taken::Task(task) => self.at_work(task),
                Taken::Idle if look_wait.is_some() => self.at_work(|writer| {
                    if let Err(error) = writer.look() {
                        let error = &error as &dyn std::error::Error;
                        tracing::debug!(error, "it could not be looked at the log");
                    }
                }),
                Taken::Idle => {}
                Taken::Closed => break,
            }
            if self.published_at.is_none_or(|at| at.elapsed() >= checkpoint_wait) {
                self.at_work(Self::publish);
            }
        }
        self.at_work(Self::publish);
        match self.open.as_mut().map(|open| open.appender.close()) {
            None => Err(self.last_error.take().unwrap_or(AppendError::Closed)),
            Some(closed) => closed.map_err(Failure::into_error),
        }
    }

    /// Does what may wait for the disk, so that others see since when it does.
    fn at_work(&mut self, act: impl FnOnce(&mut Self)) {
        self.fixed.shared.set_writing(Some(self.fixed.clock.now()));
        act(self);
        self.fixed.shared.set_writing(None);
    }

    /// Whether entries are not under a published checkpoint yet.
    fn is_ahead(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.head.size() > open.published)
    }

    fn handle(&mut self, jobs: Vec<Job>) {
        if let Err(error) = self.fixed.check_stopped().and_then(|()| self.reopen()) {
            return self.refuse(jobs, &error);
        }
        let jobs = self.refuse_behind(jobs);
        let jobs = self.refuse_without_bucket(jobs);
        if jobs.is_empty() {
            return;
        }
        match self.commit(&jobs, Reserve::Keep) {
            Ok(receipts) => {
                for (job, receipt) in jobs.into_iter().zip(receipts) {
                    job.answer(Ok(receipt));
                }
                self.index.bell().ring();
                if let Some(open) = &mut self.open {
                    open.appender.derive();
                }
                self.announce_recovery();
            }
            Err(failure) => {
                let error = self.note_failure(failure);
                self.refuse(jobs, &error);
            }
        }
    }

    /// Drafts and writes a batch; drafts it anew while others, who share the log, come first.
    pub(crate) fn commit(
        &mut self,
        jobs: &[Job],
        reserve: Reserve,
    ) -> Result<Vec<Receipt>, Failure> {
        let Some(open) = &mut self.open else { return Err(Failure::Refused(AppendError::Closed)) };
        let mut tries = 1;
        loop {
            let head = open.head.clone();
            let batch = draft(&self.fixed, &head, jobs, &mut |bucket| open.appender.key(bucket));
            let batch = match batch {
                Ok(batch) => batch,
                Err(failure) => return open.appender.release().and(Err(failure)),
            };
            match open.appender.append(&head, &batch, reserve) {
                Ok(()) => {
                    let receipts = batch.receipts(jobs);
                    self.fixed.recent.put(batch.envelopes, jobs);
                    *self.fixed.shared.write() = batch.head.clone();
                    open.head = batch.head;
                    return Ok(receipts);
                }
                Err(Failure::Conflict(now)) if tries < DRAFTS_MAX => {
                    tries += 1;
                    *self.fixed.shared.write() = Head::clone(&now);
                    open.head = *now;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Looks for what others appended to a log that is shared.
    pub(crate) fn look(&mut self) -> Result<(), AppendError> {
        self.reopen()?;
        let Some(open) = &mut self.open else { return Err(AppendError::Closed) };
        match open.appender.look() {
            Ok(None) => Ok(()),
            Ok(Some(now)) => {
                *self.fixed.shared.write() = now.clone();
                open.head = now;
                self.index.bell().ring();
                Ok(())
            }
            Err(failure) => {
                let error = self.note_failure(failure);
                let (since, why) = (self.fixed.clock.now(), error.to_string());
                tracing::warn!(why, "it could not be seen what others recorded");
                self.fixed.shared.set_health(Health::Stalled { since, why });
                Err(error)
            }
        }
    }

    /// After a failure: opens and reads everything again, though not more often than allowed.
    pub(crate) fn reopen(&mut self) -> Result<(), AppendError> {
        if self.open.is_some() {
            return Ok(());
        }
        let wait = self.fixed.settings.retry_wait;
        if self.tried.is_some_and(|tried| tried.elapsed() < wait) {
            return Err(self.last_error.clone().unwrap_or(AppendError::Closed));
        }
        match self.load_again() {
            Ok(open) => {
                *self.fixed.shared.write() = open.head.clone();
                self.open = Some(open);
                if self.refused == 0 {
                    self.fixed.shared.set_health(Health::Recording);
                }
                tracing::info!("the ledger was opened again");
                self.resume_disposals();
                self.open.as_ref().map(|_| ()).ok_or(AppendError::Closed)
            }
            Err(error) => {
                self.tried = Some(Instant::now());
                self.last_error = Some(error.clone());
                Err(error)
            }
        }
    }

    fn load_again(&self) -> Result<Opened, AppendError> {
        let opened = Arc::clone(&self.fixed.store).open();
        let opened = opened.and_then(|opened| self.check_confirmed(opened));
        opened.map_err(|error| match error {
            OpenError::Write { source } => source,
            OpenError::Database { source } => AppendError::Database(source),
            error => AppendError::Reopen(Arc::new(error)),
        })
    }

    /// What was confirmed before must still be there, as it was.
    fn check_confirmed(&self, opened: Opened) -> Result<Opened, OpenError> {
        let before = self.fixed.shared.read();
        let (size, found) = (before.size(), opened.head.size());
        let damage = |what: String| {
            let file = crate::identity::LOG;
            Err(OpenError::Damaged(Damage::new(file, 0, Some(found.min(size)), &what)))
        };
        if found < size {
            return damage(format!("{size} entries were confirmed, yet the log has only {found}"));
        }
        match root_is(self.fixed.store.as_ref(), size, &before.root) {
            Ok(true) => Ok(opened),
            _ => damage("the log is not the one that was confirmed".to_owned()),
        }
    }

    /// Refuses records while the clock stands too far behind the latest entry, also one of the
    /// same batch.
    fn refuse_behind(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let most = self.fixed.settings.clock_back_max.as_millis();
        let latest = self.open.as_ref().and_then(|open| open.head.latest_ms);
        let mut latest = latest.filter(|latest| !self.is_known_wrong(*latest));
        let mut taken = Vec::with_capacity(jobs.len());
        for job in jobs {
            let at = job.at.as_millisecond();
            let milliseconds = latest.map_or(0, |latest| latest.saturating_sub(at));
            if u128::try_from(milliseconds).is_ok_and(|behind| behind > most) {
                self.refuse(vec![job], &AppendError::ClockBehind { milliseconds });
            } else {
                latest = latest.max(Some(at));
                taken.push(job);
            }
        }
        taken
    }

    /// Refuses records that no bucket may take, lest they keep out the others of their batch.
    fn refuse_without_bucket(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let mut taken = Vec::with_capacity(jobs.len());
        for job in jobs {
            match bucket_of(&self.fixed, &job) {
                Ok(_) => taken.push(job),
                Err(failure) => {
                    let error = self.note_failure(failure);
                    self.refuse(vec![job], &error);
                }
            }
        }
        taken
    }

    /// Whether entries up to this time are known to have been written while the clock was wrong.
    fn is_known_wrong(&self, latest_ms: i64) -> bool {
        let until = self.fixed.settings.clock_wrong_until;
        until.is_some_and(|until| latest_ms <= until.as_millisecond())
    }

    /// Lets go of what can't be trusted, and records on the reserve that there is no room.
    pub(crate) fn note_failure(&mut self, failure: Failure) -> AppendError {
        match failure {
            Failure::Conflict(head) => AppendError::Conflict { size: head.size() },
            Failure::Broken(error) => {
                self.open = None;
                self.tried = Some(Instant::now());
                self.last_error = Some(error.afterwards());
                error
            }
            Failure::Refused(error) => {
                if self.refused == 0 && matches!(error, AppendError::NoRoom { .. }) {
                    self.record_own(
                        Event::LedgerStalled { reason: error.to_string() },
                        Reserve::Use,
                    );
                }
                error
            }
        }
    }

    fn refuse(&mut self, jobs: Vec<Job>, error: &AppendError) {
        if self.refused == 0 {
            tracing::error!(error = error as &dyn std::error::Error, "records are refused");
            let (since, why) = (self.fixed.clock.now(), error.afterwards().to_string());
            self.fixed.shared.set_health(Health::Stalled { since, why });
        }
        self.refused += jobs.len() as u64;
        for job in jobs {
            job.answer(Err(error.clone()));
        }
    }

    fn announce_recovery(&mut self) {
        if self.refused > 0 {
            self.fixed.shared.set_health(Health::Recording);
            let event = Event::LedgerRecovered { refused: self.refused };
            if self.record_own(event, Reserve::Keep) {
                self.refused = 0;
            }
        }
    }

    /// Records something about the ledger itself; tells whether that was possible.
    fn record_own(&mut self, event: Event, reserve: Reserve) -> bool {
        let (epoch, _) = self.fixed.keys.index.newest();
        let record = stored(Record::platform(event), Vec::new(), epoch);
        let at = whole_milliseconds(self.fixed.clock.now());
        let Ok((private, shared)) = halves(&record) else { return false };
        let job = Job { record: Arc::new(record), private, shared, at, answer: None };
        match self.commit(&[job], reserve) {
            Ok(_) => true,
            Err(Failure::Refused(_) | Failure::Conflict(_)) => false,
            Err(Failure::Broken(error)) => {
                self.open = None;
                self.tried = Some(Instant::now());
                self.last_error = Some(error.afterwards());
                false
            }
        }
    }

    /// Publishes the newest checkpoint. Failing to is told, and tried again later; it refuses no
    /// record.
    fn publish(&mut self) {
        if !self.is_ahead() {
            return;
        }
        let note = self.fixed.checkpoint();
        let Some(open) = &mut self.open else { return };
        let size = open.head.size();
        self.published_at = Some(Instant::now());
        match open.appender.publish(&note, size) {
            Ok(()) => open.published = size,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the checkpoint could not be published");
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

/// The record as it is kept.
pub(crate) fn stored(record: Record, subjects: Vec<crate::Blind>, epoch: u32) -> StoredRecord {
    let Record { who, origin, why, event, .. } = record;
    StoredRecord { who, origin, why, subjects, epoch, event }
}

/// The private and the shared half of a body. The shared half of most records is empty.
pub(crate) fn halves(record: &StoredRecord) -> Result<(Vec<u8>, Vec<u8>), serde_json::Error> {
    let private = serde_json::to_vec(record)?;
    let facts = record.event.facts();
    if let Event::DispositionStarted { statement, .. } = &record.event {
        return Ok((private, statement.encode()?));
    }
    let shared = match facts.exchange {
        None => Vec::new(),
        Some(exchange) => serde_json::to_vec(&serde_json::json!({
            "type": record.event.kind(),
            "exchange": exchange,
            "parcel": facts.parcel,
            "digest": facts.digest,
            "purpose": record.why.purpose,
        }))?,
    };
    Ok((private, shared))
}

/// Cut to the precision that is kept.
pub(crate) fn whole_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
