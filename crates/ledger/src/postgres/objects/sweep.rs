//! Deleting from the object store what was disposed of.
//!
//! Invariant: the bucket's key goes first, and with it what its bodies say, wherever a copy is. What a lock
//! or a failing store keeps from being deleted is looked for again at the next start and once a day.

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
    /// After a bucket's key and rows are gone: lets go of its objects. That they could not be deleted now is
    /// no failure of the disposal.
    pub(in super::super) fn destroy_objects(&self, bucket: Bucket) -> Result<(), DatabaseError> {
        if bucket.held > 0 {
            return Ok(());
        }
        let values = || -> Vec<Bound> { vec![Box::new(bucket.name())] };
        self.ask(Ask::ForgetObjects, "let go of a bucket's objects", values)?;
        let Some(objects) = &self.objects else { return Ok(()) };
        objects.forget(bucket);
        if let Err(error) = objects.clear(&bucket.name()) {
            let error = &error as &dyn std::error::Error;
            let bucket = bucket.name();
            tracing::warn!(
                error,
                bucket,
                "the objects of a bucket are still in the store; its key is gone"
            );
            objects.sweep_soon();
        }
        Ok(())
    }

    /// At the start and once a day: deletes what lies in the store of buckets that were disposed of.
    pub(super) fn sweep_daily(&self, objects: &Objects, now: Timestamp) -> Result<u64, ReadError> {
        if !objects.sweep_is_due(now) {
            return Ok(0);
        }
        let swept = self.sweep(objects);
        if swept.is_err() {
            objects.sweep_soon();
        }
        swept
    }

    fn sweep(&self, objects: &Objects) -> Result<u64, ReadError> {
        self.read_documents()?;
        let (moved, mut deleted) = (self.moved_now(), 0);
        for name in objects.buckets()? {
            if Bucket::parse(&name).is_some_and(|bucket| moved.get(bucket).is_some()) {
                deleted += objects.clear(&name)?;
            }
        }
        Ok(deleted)
    }
}
