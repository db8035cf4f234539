//! What is approved and waits to be sealed: each is fetched and sealed in a task of its own, some at once.
//!
//! Invariants: a sealing keeps nothing else waiting, however long it takes; a recall ends it, while it is fetched too;
//! and when the platform stops, nobody writes any more once [`Sealings::end`] is over.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use ledger::Event;
use uuid::Uuid;

use crate::delivery::short;
use crate::error::FirstError;
use crate::listed::{Change, ChangedFacts};
use crate::model::{Export, ExportRow, ExportStatus};
use crate::sealing::{Content, Unfetched};
use crate::working::Tasks;
use crate::{Exchange, ExchangeError};

/// Sealings under way at once, on however many cores: each holds some parts in memory and has threads of its own.
const SEALINGS_MAX: usize = 4;
/// How long the platform waits at its stop for threads that read from a source.
const END_WAIT_MAX: Duration = Duration::from_secs(10);

/// Sealings under way, by export. Dropped, they end.
#[derive(Default)]
pub(crate) struct Sealings(Tasks<Uuid>);

impl Sealings {
    /// Begins to seal what waits, the oldest first, as long as there is room.
    pub(crate) async fn begin_due(
        &mut self,
        exchange: &Exchange,
        content: &Arc<dyn Content>,
    ) -> Result<(), ExchangeError> {
        self.0.clear();
        let most = available_parallelism().map_or(1, usize::from).clamp(2, SEALINGS_MAX);
        if self.0.len() >= most {
            return Ok(());
        }
        for export in exchange.to_be_sealed().await? {
            if self.0.len() >= most {
                break;
            }
            if self.0.has(&export.id) {
                continue;
            }
            let (this, content, id) = (exchange.clone(), Arc::clone(content), export.id);
            let task = async move {
                if let Err(error) = this.seal_or_put_off(&export, &content).await {
                    tracing::warn!(error = error.chain(), "a sealing was not put off");
                }
                // The next one need not wait for the clock.
                this.0.bell.notify_one();
            };
            self.0.begin(id, task);
        }
        Ok(())
    }

    /// Cuts all of them off, and waits until nobody writes any more. They go on after the next start.
    pub(crate) async fn end(self, exchange: &Exchange) {
        let exports = self.0.end().await;
        let ended = async {
            for export in exports {
                exchange.until_free(export).await;
            }
        };
        if tokio::time::timeout(END_WAIT_MAX, ended).await.is_err() {
            tracing::warn!("a source that is sealed does not answer; it is not waited for");
        }
    }
}

impl Exchange {
    /// What is approved and due, the oldest first, and what an earlier run was sealing.
    async fn to_be_sealed(&self) -> Result<Vec<Export>, ExchangeError> {
        let now = self.now();
        let due =
            |export: &Export| export.details.delivery.next_attempt_at.is_none_or(|at| at <= now);
        let statuses = [ExportStatus::Approved, ExportStatus::Sealing];
        let mut waiting = self.every_export(&statuses, None, due).await?;
        waiting.reverse();
        Ok(waiting)
    }

    /// Seals what is approved, with what `content` fetches, one after the other.
    pub(crate) async fn seal_waiting(
        &self,
        content: &Arc<dyn Content>,
    ) -> Result<(), ExchangeError> {
        let mut first = FirstError::default();
        for export in self.to_be_sealed().await? {
            let outcome = self.seal_or_put_off(&export, content).await;
            first.note("a sealing was not put off", outcome);
        }
        first.end()
    }

    /// One attempt; what fails is put off.
    async fn seal_or_put_off(
        &self,
        export: &Export,
        content: &Arc<dyn Content>,
    ) -> Result<(), ExchangeError> {
        let Err(error) = self.fetch_and_seal(export, content).await else { return Ok(()) };
        tracing::warn!(export = %export.id, error = error.chain(), "an export was not sealed");
        // Somebody else is at it, or has changed it: the next round looks at it anew.
        if matches!(error, ExchangeError::Changed { .. }) {
            return Ok(());
        }
        // Another attempt would seal the same.
        if matches!(error, ExchangeError::Items { .. }) {
            return self.refuse_items(export, &error).await;
        }
        self.put_off(export.id, &error).await
    }

    /// Records why what was handed in is not sealed, and lets nobody seal it until somebody says *again*.
    async fn refuse_items(
        &self,
        export: &Export,
        error: &ExchangeError,
    ) -> Result<(), ExchangeError> {
        let (route, reason) = (format!("sealing of export {}", export.id), short(&error.chain()));
        let event = Event::RequestRefused { route, reason: reason.clone() };
        let receipt = self.record(None, &export.details.why, event).await?;
        let refused = |row: &mut ExportRow| {
            if waits(row) {
                row.status = ExportStatus::Failed.as_str().to_owned();
                row.details.delivery.last_problem = Some(reason.clone());
                row.details.delivery.next_attempt_at = None;
            }
        };
        self.change_export(export.id, receipt.at, refused).await.map(|_| ())
    }

    async fn fetch_and_seal(
        &self,
        export: &Export,
        content: &Arc<dyn Content>,
    ) -> Result<(), ExchangeError> {
        // Before the state is looked at again: whoever takes it back from now on is heard.
        let stop = self.stop_of(export.id);
        let row = self.export_row(export.id).await?;
        if !waits(&row) {
            return Ok(());
        }
        // Before anything is read: it would be refused, and read anew each time.
        if let Some(clause) = self.unread(&row.partner).await? {
            return Err(ExchangeError::Unread(clause));
        }
        let fetched = tokio::select! {
            fetched = content.items(export) => fetched,
            () = stop.rung() => return Ok(()),
        };
        match fetched {
            Ok((caller, items)) => {
                self.seal_until(&caller, export.id, items, &stop).await.map(|_| ())
            }
            Err(Unfetched::ForNow(reason)) => Err(ExchangeError::Unfetched { reason }),
            Err(Unfetched::Changed(changes)) => self.refuse_changed(export, changes).await,
        }
    }

    /// Records that what would leave is not what was asked for, and lets nobody seal it.
    async fn refuse_changed(
        &self,
        export: &Export,
        changes: Vec<Change>,
    ) -> Result<(), ExchangeError> {
        let said: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let words = format!("what would leave is not what was asked for: {}", said.join("; "));
        let route = format!("sealing of export {}", export.id);
        let event = Event::RequestRefused { route, reason: short(&words) };
        let receipt = self.record(None, &export.details.why, event).await?;
        let facts = ChangedFacts { at: receipt.at, entry: receipt.entry.0, changes };
        let refused = |row: &mut ExportRow| {
            if waits(row) {
                row.status = ExportStatus::Failed.as_str().to_owned();
                row.details.changed = Some(facts.clone());
                row.details.delivery.next_attempt_at = None;
            }
        };
        self.change_export(export.id, receipt.at, refused).await.map(|_| ())
    }
}

/// Whether it is still to be sealed: it may have been taken back meanwhile.
fn waits(row: &ExportRow) -> bool {
    let waiting = [ExportStatus::Approved, ExportStatus::Sealing];
    waiting.iter().any(|status| status.as_str() == row.status)
}
