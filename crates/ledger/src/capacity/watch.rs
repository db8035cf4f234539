//! Looks at the volume and at the ledger every minute, and raises the alarm.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::room::Filling;
use super::{Capacity, Room};
use crate::error::AppendError;
use crate::event::Event;
use crate::ledger::enqueue;
use crate::queue::{Pending, Queue};
use crate::record::Record;
use crate::shared::{Fixed, Health};

/// AU-5: within an hour of a failure somebody knows, and is told again.
const ALARM_WAIT: SignedDuration = SignedDuration::from_hours(1);
/// While records are refused the ledger is tried so often: nobody else may come by to find that
/// it works again.
const TRY_WAIT: Duration = Duration::from_secs(10);

/// What one look after another needs to remember.
pub(crate) struct Looks {
    fixed: Arc<Fixed>,
    queue: Arc<Queue>,
    volume: Filling,
    database: Filling,
    refusing: Alarm,
    /// Entries at the last look that found a new one, and when that was.
    size: (u64, Timestamp),
    /// Records of ours that are on their way, one of a sort.
    sent: Vec<(Pending, Sent)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Low(Room),
    Check,
}

/// Raised at once, and again each hour while it lasts.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Timestamp>);

impl Alarm {
    fn is_due(&self, now: Timestamp) -> bool {
        // A clock that went back must not silence it.
        self.0.is_none_or(|last| now < last || now.duration_since(last) >= ALARM_WAIT)
    }

    /// Whether it is to be raised now, while `lasts`; it counts as raised then.
    pub(super) fn rings(&mut self, lasts: bool, now: Timestamp) -> bool {
        if !lasts {
            self.0 = None;
            return false;
        }
        let due = self.is_due(now);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

impl Looks {
    pub(crate) fn new(fixed: Arc<Fixed>, queue: Arc<Queue>) -> Self {
        let size = (fixed.shared.read().size(), fixed.clock.now());
        let (volume, database) = (Filling::new(Room::Volume), Filling::new(Room::Database));
        let (refusing, sent) = (Alarm::default(), Vec::new());
        Self { fixed, queue, volume, database, refusing, size, sent }
    }

    /// One look; gives what it saw of the volume, and of the database.
    pub(crate) fn look(&mut self) -> [Option<Capacity>; 2] {
        let now = self.fixed.clock.now();
        self.settle();
        // Before the volume is asked: where the disk hangs, that never answers.
        let health = self.fixed.health();
        let refusing = matches!(health, Health::Stalled { .. });
        if self.refusing.rings(refusing, now)
            && let Health::Stalled { since, why } = &health
        {
            tracing::error!(%since, why, "the ledger refuses records, so nothing is released");
        }
        self.check(refusing, now);
        let seen = self.measure(now);
        for capacity in seen.iter().flatten() {
            self.warn(capacity, now);
        }
        seen
    }

    fn filling(&mut self, of: Room) -> &mut Filling {
        match of {
            Room::Volume => &mut self.volume,
            Room::Database => &mut self.database,
        }
    }

    /// What became of the records that were sent.
    fn settle(&mut self) {
        for (mut pending, what) in std::mem::take(&mut self.sent) {
            match pending.poll() {
                None => self.sent.push((pending, what)),
                Some(Ok(_)) => {}
                Some(Err(error)) => self.note_refusal(&error, what),
            }
        }
    }

    fn note_refusal(&mut self, error: &AppendError, what: Sent) {
        let error = error as &dyn std::error::Error;
        tracing::error!(error, ?what, "the ledger did not take a record of its own");
        if let Sent::Low(of) = what {
            // Not on record: the next look raises it anew.
            self.filling(of).low = Alarm::default();
        }
    }

    fn is_under_way(&self, what: Sent) -> bool {
        self.sent.iter().any(|(_, sent)| *sent == what)
    }

    fn measure(&mut self, now: Timestamp) -> [Option<Capacity>; 2] {
        let with = (now, self.fixed.settings.capacity_warn_percent);
        let place = &self.fixed.place;
        let volume = match place.disk.space(&place.folder) {
            Ok(space) => Ok(Some(space)),
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        };
        let volume =
            volume.as_ref().copied().map_err(|it| it as &(dyn std::error::Error + 'static));
        let volume = self.volume.note(volume, with);
        let database = self.fixed.store.room();
        let database = database.as_ref().copied();
        let database = database.map_err(|it| it as &(dyn std::error::Error + 'static));
        [volume, self.database.note(database, with)]
    }

    fn warn(&mut self, capacity: &Capacity, now: Timestamp) {
        let of = capacity.of;
        if self.is_under_way(Sent::Low(of)) || !self.filling(of).low.rings(capacity.is_low(), now) {
            return;
        }
        let (used, free) = (capacity.used_percent, capacity.free_bytes);
        tracing::error!(used, free, "{}: make room", capacity.words());
        self.send(
            Event::LedgerNearlyFull {
                percent: used,
                free_bytes: free,
                full_in_days: capacity.full_in_days,
                database: of == Room::Database,
            },
            Sent::Low(of),
        );
    }

    /// Tries whether records are taken, when they are not or when nobody else has for an hour.
    fn check(&mut self, refusing: bool, now: Timestamp) {
        let size = self.fixed.shared.read().size();
        let idle = now.duration_since(self.size.1) >= ALARM_WAIT;
        if size != self.size.0 || now < self.size.1 {
            self.size = (size, now);
        } else if (refusing || idle) && !self.is_under_way(Sent::Check) {
            self.size.1 = now;
            self.send(Event::LedgerChecked, Sent::Check);
        }
    }

    fn send(&mut self, event: Event, what: Sent) {
        match enqueue(&self.fixed, &self.queue, Record::platform(event)) {
            Ok(pending) => self.sent.push((pending, what)),
            Err(error) => self.note_refusal(&error, what),
        }
    }
}

#[derive(Default)]
struct Seen {
    capacity: Mutex<[Option<Capacity>; 2]>,
    closing: Mutex<bool>,
    changed: Condvar,
}

/// The thread that looks. It ends when it is closed.
pub(crate) struct Watch {
    seen: Arc<Seen>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Watch {
    pub(crate) fn start(fixed: &Arc<Fixed>, queue: &Arc<Queue>) -> std::io::Result<Self> {
        let seen = Arc::new(Seen::default());
        let (looks, shown) = (Looks::new(Arc::clone(fixed), Arc::clone(queue)), Arc::clone(&seen));
        let thread = std::thread::Builder::new().name("ledger-watch".to_owned());
        let thread = thread.spawn(move || run(looks, &shown))?;
        Ok(Self { seen, thread: Mutex::new(Some(thread)) })
    }

    /// What was seen last of the volume and of the database; `None` before the first look, and where it
    /// does not tell.
    pub(crate) fn capacity(&self) -> [Option<Capacity>; 2] {
        *self.seen.capacity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the thread. It is not waited for where it hangs in a look at a disk that hangs.
    pub(crate) fn close(&self) {
        *self.seen.closing.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.seen.changed.notify_all();
        drop(self.thread.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn run(mut looks: Looks, seen: &Seen) {
    loop {
        let capacity = looks.look();
        *seen.capacity.lock().unwrap_or_else(PoisonError::into_inner) = capacity;
        let refusing = matches!(looks.fixed.health(), Health::Stalled { .. });
        let wait = looks.fixed.settings.capacity_wait;
        let wait = if refusing { wait.min(TRY_WAIT) } else { wait };
        let closing = seen.closing.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = seen.changed.wait_timeout_while(closing, wait, |closing| !*closing);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
    }
}
