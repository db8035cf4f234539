//! Deleting from the object store what was disposed of.
//!
//! Invariants: the bucket's key goes first, and with it what its bodies say, wherever a copy is. Whoever
//! disposes does not wait for the store. What a lock or a failing store keeps from being deleted is looked
//! for again at the next start and once a day, and keeps nothing from moving.

use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};

use super::super::reader::{Ask, Bound};
use super::super::{DatabaseError, Postgres};
use super::Objects;
use super::error::ObjectError;
use crate::envelope::Bucket;
use crate::error::ReadError;
use crate::shelf;

const DAY: SignedDuration = SignedDuration::from_hours(24);

impl Objects {
    pub(super) fn sweep_soon(&self) {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether it is time to look for what was disposed of; it counts as done then.
    fn sweep_is_due(&self, now: Timestamp) -> bool {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let due = swept.is_none_or(|last| now < last || now.duration_since(last) >= DAY);
        if due {
            *swept = Some(now);
        }
        due
    }

    /// Deletes all bodies of a bucket.
    fn clear(&self, bucket: &str) -> Result<u64, ObjectError> {
        let folder = format!("{}/body/{bucket}", self.folder);
        let (store, at) = (self.store(), folder.clone());
        self.run(&folder, async move { shelf::clear(&*store, &at).await })
    }

    /// The buckets of which bodies lie there.
    fn buckets(&self) -> Result<Vec<String>, ObjectError> {
        let folder = format!("{}/body", self.folder);
        let (store, at) = (self.store(), folder.clone());
        self.run(&folder, async move { shelf::folders(&*store, &at).await })
    }
}

impl Postgres {
    /// After a bucket's key and rows are gone: lets go of its objects, and has the thread that moves delete
    /// them. Whoever calls this writes the log, and must not wait for the store.
    pub(in super::super) fn destroy_objects(&self, bucket: Bucket) -> Result<(), DatabaseError> {
        if bucket.held > 0 {
            return Ok(());
        }
        let values = || -> Vec<Bound> { vec![Box::new(bucket.name())] };
        self.ask(Ask::ForgetObjects, "let go of a bucket's objects", values)?;
        if let Some(objects) = &self.objects {
            objects.forget(bucket);
            objects.sweep_soon();
            objects.calls.sweep();
        }
        Ok(())
    }

    /// At the start, after a disposal and once a day: deletes what lies in the store of buckets that were
    /// disposed of, and says how much that was. What could not be deleted is told, and left for tomorrow.
    pub(in super::super) fn sweep_daily(&self, now: Timestamp) -> u64 {
        let due = self.objects.as_ref().filter(|objects| objects.sweep_is_due(now));
        let Some(objects) = due else { return 0 };
        let mut deleted = 0;
        if let Err(error) = self.sweep(objects, &mut deleted) {
            if matches!(error, ReadError::Database(_)) {
                objects.sweep_soon();
            }
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "it could not be seen what is to be deleted in the store");
        }
        deleted
    }

    fn sweep(&self, objects: &Objects, deleted: &mut u64) -> Result<(), ReadError> {
        self.read_documents()?;
        let moved = self.moved_now();
        let gone =
            |name: &String| Bucket::parse(name).is_some_and(|bucket| moved.get(bucket).is_some());
        for bucket in objects.buckets()?.into_iter().filter(gone) {
            match objects.clear(&bucket) {
                Ok(count) => *deleted += count,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    let what = "the objects of a bucket are still in the store; its key is gone";
                    tracing::warn!(error, bucket, "{what}");
                }
            }
        }
        Ok(())
    }
}
