//! The work that goes on by itself: sealing what is approved, delivering what is sealed, telling partners.
//!
//! Invariants: no partner waits for another. Deliveries run beside each other and beside all else, one at a time to
//! each partner, so that it gets its numbers in their order where it can be. Nobody waits for a sealing, either, and
//! nobody for the time-stamp authority of another's parcel: it is asked before a delivery begins, in tasks of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use uuid::Uuid;

use crate::error::FirstError;
use crate::model::{Export, ExportStatus};
use crate::sealing::Content;
use crate::waiting::Sealings;
use crate::{Exchange, ExchangeError};

/// How often the work is looked through when nobody rings.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Deliveries under way at once.
const DELIVERIES_MAX: usize = 8;
/// Parcels for which the time-stamp authority is asked at once, each of another partner.
const STAMPINGS_MAX: usize = 32;

/// Tasks under way, each with what it is about. Dropped, they end.
pub(crate) struct Tasks<N> {
    tasks: JoinSet<()>,
    names: BTreeMap<Id, N>,
}

impl<N> Default for Tasks<N> {
    fn default() -> Self {
        Self { tasks: JoinSet::new(), names: BTreeMap::new() }
    }
}

impl<N: PartialEq> Tasks<N> {
    /// Lets go of those that came to their end.
    pub(crate) fn clear(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            let id = match ended {
                Ok((id, ())) => id,
                Err(error) => {
                    tracing::error!(%error, "a delivery or a sealing did not come to its end");
                    error.id()
                }
            };
            self.names.remove(&id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn has(&self, name: &N) -> bool {
        self.names.values().any(|one| one == name)
    }

    pub(crate) fn begin(&mut self, name: N, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(task);
        self.names.insert(task.id(), name);
    }

    /// Ends all of them, and gives what they were about.
    pub(crate) async fn end(mut self) -> Vec<N> {
        self.tasks.shutdown().await;
        self.names.into_values().collect()
    }
}

/// What is on its way to partners, by partner: parcels that wait for their time stamp, and deliveries.
#[derive(Default)]
struct Outgoing {
    stampings: Tasks<String>,
    deliveries: Tasks<String>,
}

impl Outgoing {
    fn clear(&mut self) {
        self.stampings.clear();
        self.deliveries.clear();
    }

    /// Takes an export a step on, where nothing else of its partner's is under way and there is a place.
    fn take_on(&mut self, exchange: &Exchange, export: &Export) {
        let partner = &export.partner;
        if self.stampings.has(partner) || self.deliveries.has(partner) {
            return;
        }
        let stamps = exchange.waits_for_stamp(export);
        let (tasks, at_once) = match stamps {
            true => (&mut self.stampings, STAMPINGS_MAX),
            false => (&mut self.deliveries, DELIVERIES_MAX),
        };
        if tasks.len() >= at_once {
            return;
        }
        let (exchange, id) = (exchange.clone(), export.id);
        let task = async move {
            let done = match stamps {
                true => exchange.stamp_due(id).await,
                false => exchange.deliver(id).await.map(drop),
            };
            // Nothing is next where nothing was tried.
            let tried = !matches!(done, Err(ExchangeError::NotReleasable(_)));
            if let Err(error) = exchange.done_or_put_off(id, done).await {
                tracing::warn!(error = error.chain(), "a delivery was not put off");
            }
            // What is next for this partner need not wait for the clock.
            if tried {
                exchange.0.bell.notify_one();
            }
        };
        tasks.begin(partner.clone(), task);
    }
}

impl Exchange {
    /// Works until `stop` completes: seals what is approved (where `content` is given) and delivers what
    /// is sealed. What an earlier run left is taken up.
    pub async fn run(&self, content: Option<Arc<dyn Content>>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut outgoing = Outgoing::default();
        let mut sealings = Sealings::default();
        loop {
            let work = async {
                let mut first = FirstError::default();
                if let Some(content) = &content {
                    let begun = sealings.begin_due(self, content).await;
                    first.note("it is not known what is to be sealed", begun);
                }
                first.note("not all was tended", self.tend_all().await);
                outgoing.clear();
                match self.due().await {
                    Ok(due) => due.iter().for_each(|export| outgoing.take_on(self, export)),
                    Err(error) => first.note("it is not known what is due", Err(error)),
                }
                first.end()
            };
            tokio::select! {
                () = &mut stop => break,
                outcome = work => {
                    if let Err(error) = outcome {
                        tracing::warn!(error = error.chain(), "exports could not be worked on");
                    }
                }
            }
            tokio::select! {
                () = &mut stop => break,
                () = self.0.bell.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        drop(outgoing);
        sealings.end(self).await;
    }

    /// Seals and delivers what is due, once, one after the other.
    ///
    /// # Errors
    /// The first thing that went wrong beside what befalls a single export, which is noted with it. Nothing of
    /// it keeps the rest from being done.
    pub async fn work_once(&self, content: Option<&Arc<dyn Content>>) -> Result<(), ExchangeError> {
        let mut first = FirstError::default();
        if let Some(content) = content {
            first.note("what is approved is not sealed", self.seal_waiting(content).await);
        }
        first.note("not all was tended", self.tend_all().await);
        for export in self.due().await? {
            let done = self.deliver(export.id).await.map(drop);
            first.note("a delivery was not put off", self.done_or_put_off(export.id, done).await);
        }
        first.end()
    }

    /// All but the sealings and the deliveries.
    async fn tend_all(&self) -> Result<(), ExchangeError> {
        let mut first = FirstError::default();
        self.look_at_arrivals();
        first.note("what is due was not all tended", self.tend_when_due().await);
        first.note("partners were not all told", self.work_on_notices().await);
        first.end()
    }

    /// What is sealed and due, the oldest first.
    async fn due(&self) -> Result<Vec<Export>, ExchangeError> {
        let now = self.now();
        let due =
            |export: &Export| export.details.delivery.next_attempt_at.is_none_or(|at| at <= now);
        let statuses = [ExportStatus::Sealed, ExportStatus::Sending];
        let mut waiting = self.every_export(&statuses, None, due).await?;
        waiting.reverse();
        Ok(waiting)
    }

    /// After one attempt: what failed is put off.
    async fn done_or_put_off(
        &self,
        export: Uuid,
        done: Result<(), ExchangeError>,
    ) -> Result<(), ExchangeError> {
        match done {
            // It was taken back meanwhile, or its time is over: that is all.
            Err(ExchangeError::WrongState { .. }) => Ok(()),
            // It waits for a witness, not for the partner: no attempt was made that could fail.
            Ok(_) | Err(ExchangeError::Changed { .. } | ExchangeError::NotReleasable(_)) => Ok(()),
            Err(error) => {
                tracing::warn!(%export, error = error.chain(), "not delivered yet");
                self.put_off(export, &error).await
            }
        }
    }
}
