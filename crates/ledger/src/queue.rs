//! The records that wait for the writer, bounded, in order.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keys::Clock;
use tokio::sync::oneshot;

use crate::error::AppendError;
use crate::record::{Receipt, StoredRecord};

/// Most bytes of records that may wait.
const QUEUE_BYTES_MAX: usize = 32 << 20;

pub(crate) type Answer = Result<Receipt, AppendError>;

/// A record, written out and waiting.
pub(crate) struct Job {
    pub(crate) record: Arc<StoredRecord>,
    pub(crate) private: Vec<u8>,
    pub(crate) shared: Vec<u8>,
    /// When it was queued: in order with its place in the queue.
    pub(crate) at: Timestamp,
    /// Nobody waits for what the ledger records about itself.
    pub(crate) answer: Option<oneshot::Sender<Answer>>,
}

impl Job {
    pub(crate) fn bytes(&self) -> usize {
        self.private.len() + self.shared.len()
    }

    /// Answers whoever waits. One who went away has no use for the answer.
    pub(crate) fn answer(self, answer: Answer) {
        if let Some(sender) = self.answer
            && sender.send(answer).is_err()
        {
            tracing::debug!("nobody waits for the answer to an append any more");
        }
    }
}

/// A record on its way to disk. Dropping this does not take the record back.
#[must_use = "the record is durable only once this says so"]
pub struct Pending {
    answer: oneshot::Receiver<Answer>,
    wait_max: Duration,
}

impl Pending {
    /// Waits until the record is durable, or refused. After the longest wait that is set it is
    /// refused with [`AppendError::NoAnswer`], and may be found in the ledger later all the same.
    pub async fn durable(self) -> Result<Receipt, AppendError> {
        match tokio::time::timeout(self.wait_max, self.answer).await {
            Ok(answer) => answer.unwrap_or(Err(AppendError::Closed)),
            Err(_) => Err(AppendError::no_answer(self.wait_max)),
        }
    }

    /// As [`Self::durable`], for callers outside of an async runtime; but it waits without a limit.
    pub fn wait(self) -> Result<Receipt, AppendError> {
        self.answer.blocking_recv().unwrap_or(Err(AppendError::Closed))
    }

    /// The answer, if it is there; it is given once.
    pub(crate) fn poll(&mut self) -> Option<Answer> {
        match self.answer.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(AppendError::Closed)),
        }
    }
}

/// Something else that the writer is to do, between two batches.
pub(crate) type Task = Box<dyn FnOnce(&mut crate::writer::Writer) + Send>;

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    tasks: VecDeque<Task>,
    /// Whether it is the tasks' turn: records do not keep them out for ever.
    tasks_next: bool,
    bytes: usize,
    closed: bool,
}

/// How much the writer takes at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portion {
    pub(crate) entries_max: usize,
    pub(crate) bytes_max: usize,
    /// Bytes that each record costs beside its own.
    pub(crate) extra: usize,
}

/// What the writer got.
pub(crate) enum Taken {
    Jobs(Vec<Job>),
    Task(Task),
    Idle,
    Closed,
}

pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    max: usize,
    wait_max: Duration,
}

impl Queue {
    /// Of at most `max` records, for whose answers callers wait for `wait_max` at most.
    pub(crate) fn new(max: usize, wait_max: Duration) -> Self {
        Self { waiting: Mutex::default(), changed: Condvar::new(), max, wait_max }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Queues a record. Its time is taken here, under the lock, so that times follow the order.
    pub(crate) fn put(
        &self,
        record: StoredRecord,
        halves: (Vec<u8>, Vec<u8>),
        clock: &dyn Clock,
    ) -> Result<Pending, AppendError> {
        let (private, shared) = halves;
        let bytes = private.len() + shared.len();
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(AppendError::Closed);
        }
        if waiting.jobs.len() >= self.max || waiting.bytes + bytes > QUEUE_BYTES_MAX {
            return Err(AppendError::Busy { waiting: waiting.jobs.len() });
        }
        let at = crate::writer::whole_milliseconds(clock.now());
        waiting.bytes += bytes;
        let record = Arc::new(record);
        waiting.jobs.push_back(Job { record, private, shared, at, answer: Some(sender) });
        drop(waiting);
        self.changed.notify_one();
        Ok(Pending { answer: receiver, wait_max: self.wait_max })
    }

    /// Has the writer do this after what it does now. Dropped undone if the writer goes away.
    pub(crate) fn put_task(&self, task: Task) -> Result<(), AppendError> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(AppendError::Closed);
        }
        waiting.tasks.push_back(task);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes what waits, up to a portion. With nothing there it waits, at most for `idle`.
    pub(crate) fn take(&self, portion: Portion, idle: Option<Duration>) -> Taken {
        let mut waiting = self.lock();
        while waiting.jobs.is_empty() && waiting.tasks.is_empty() {
            if waiting.closed {
                return Taken::Closed;
            }
            match idle {
                None => {
                    waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
                Some(idle) => {
                    let waited = self.changed.wait_timeout(waiting, idle);
                    let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    waiting = guard;
                    let empty = waiting.jobs.is_empty() && waiting.tasks.is_empty();
                    if timeout.timed_out() && empty && !waiting.closed {
                        return Taken::Idle;
                    }
                }
            }
        }
        let is_turn = waiting.jobs.is_empty() || waiting.tasks_next;
        waiting.tasks_next = !is_turn;
        if is_turn && let Some(task) = waiting.tasks.pop_front() {
            return Taken::Task(task);
        }
        let (mut jobs, mut bytes) = (Vec::new(), 0);
        while let Some(job) = waiting.jobs.front() {
            bytes += job.bytes() + portion.extra;
            if !jobs.is_empty() && (jobs.len() >= portion.entries_max || bytes > portion.bytes_max)
            {
                break;
            }
            let Some(job) = waiting.jobs.pop_front() else { break };
            waiting.bytes -= job.bytes();
            jobs.push(job);
        }
        Taken::Jobs(jobs)
    }

    /// Lets nothing more in. What waits is still written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Lets nothing more in and refuses what waits: the writer is gone.
    pub(crate) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.tasks.clear();
        for job in waiting.jobs.drain(..) {
            job.answer(Err(AppendError::Closed));
        }
    }
}
