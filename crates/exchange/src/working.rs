//! The work that goes on by itself: sealing what is approved, delivering what is sealed, telling partners.
//!
//! Invariant: no partner waits for another. Deliveries run beside each other and beside all else, one at a time to
//! each partner, so that it gets its numbers in their order where it can be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use uuid::Uuid;

use crate::error::FirstError;
use crate::model::{Export, ExportStatus};
use crate::sealing::Content;
use crate::{Exchange, ExchangeError};

/// How often the work is looked through when nobody rings.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Deliveries under way at once.
const DELIVERIES_MAX: usize = 8;

/// Deliveries under way, by partner. Dropped, they end.
#[derive(Default)]
struct Deliveries {
    tasks: JoinSet<()>,
    partners: BTreeMap<Id, String>,
}

impl Deliveries {
    /// Lets go of those that came to their end.
    fn clear(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            let id = match ended {
                Ok((id, ())) => id,
                Err(error) => {
                    tracing::error!(%error, "a delivery did not come to its end");
                    error.id()
                }
            };
            self.partners.remove(&id);
        }
    }

    fn begin(&mut self, exchange: &Exchange, export: &Export) {
        let busy = self.partners.values().any(|partner| *partner == export.partner);
        if busy || self.partners.len() >= DELIVERIES_MAX {
            return;
        }
        let (exchange, id) = (exchange.clone(), export.id);
        let task = self.tasks.spawn(async move {
            if let Err(error) = exchange.deliver_or_put_off(id).await {
                tracing::warn!(error = error.chain(), "a delivery was not put off");
            }
            // The next one to this partner need not wait for the clock.
            exchange.0.bell.notify_one();
        });
        self.partners.insert(task.id(), export.partner.clone());
    }
}

impl Exchange {
    /// Works until `stop` completes: seals what is approved (where `content` is given) and delivers what
    /// is sealed. What an earlier run left is taken up.
    pub async fn run(&self, content: Option<Arc<dyn Content>>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut under_way = Deliveries::default();
        loop {
            let work = async {
                let mut first = FirstError::default();
                first.note("not all was tended", self.tend_all(content.as_ref()).await);
                under_way.clear();
                match self.due().await {
                    Ok(due) => due.iter().for_each(|export| under_way.begin(self, export)),
                    Err(error) => first.note("it is not known what is due", Err(error)),
                }
                first.end()
            };
            tokio::select! {
                () = &mut stop => return,
                outcome = work => {
                    if let Err(error) = outcome {
                        tracing::warn!(error = error.chain(), "exports could not be worked on");
                    }
                }
            }
            tokio::select! {
                () = &mut stop => return,
                () = self.0.bell.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Seals and delivers what is due, once, one after the other.
    ///
    /// # Errors
    /// The first thing that went wrong beside what befalls a single export, which is noted with it. Nothing of
    /// it keeps the rest from being done.
    pub async fn work_once(&self, content: Option<&Arc<dyn Content>>) -> Result<(), ExchangeError> {
        let mut first = FirstError::default();
        first.note("not all was tended", self.tend_all(content).await);
        for export in self.due().await? {
            first.note("a delivery was not put off", self.deliver_or_put_off(export.id).await);
        }
        first.end()
    }

    /// All but the deliveries.
    async fn tend_all(&self, content: Option<&Arc<dyn Content>>) -> Result<(), ExchangeError> {
        let mut first = FirstError::default();
        if let Some(content) = content {
            first.note("what is approved is not sealed", self.seal_waiting(content).await);
        }
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

    /// One attempt; what fails is put off.
    async fn deliver_or_put_off(&self, export: Uuid) -> Result<(), ExchangeError> {
        match self.deliver(export).await {
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
