//! Removing a parcel where it was laid down, once it was taken back or its offer ended.
//!
//! Invariants: only the files of that parcel are removed, and only where its way led when it was sent; it counts as gone
//! after its depot found nothing of it, and that is recorded before it is said. What can't be removed is told of.

use std::collections::HashSet;
use std::sync::PoisonError;

use jiff::Timestamp;
use ledger::{Cleared, Event};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::DepotError;
use crate::delivery::short;
use crate::error::FirstError;
use crate::model::{Export, ExportRow, ExportStatus};
use crate::{Exchange, ExchangeError};

/// Attempts after which a person is told to remove it.
const ATTEMPTS_MAX: u32 = 40;

/// What claims the clearing for one round at a time.
const CLAIM: Uuid = Uuid::from_u128(0x636c_6561_7269_6e67);

/// How far it is with removing it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clearing {
    /// When it was seen to be gone, and the ledger entry that says so.
    pub done: Option<(Timestamp, u64)>,
    pub failures: u32,
    pub problem: Option<String>,
    /// None where nothing more is tried: it has to be removed by hand.
    pub next_attempt_at: Option<Timestamp>,
}

/// A parcel that may still lie somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub parcel: Uuid,
    pub parts: u64,
}

impl Left {
    /// The folder that it lies in over there.
    pub fn top(&self) -> String {
        format!("parcel-{}", self.parcel)
    }

    /// Every file of it that may be there.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        parcel::every_path(self.parts)
    }
}

impl Exchange {
    /// Does so in a task of its own, where none does: a place that does not answer keeps nothing else waiting.
    pub(crate) fn clear_depots_soon(&self) {
        let Some(claim) = self.claim(CLAIM) else { return };
        let this = self.clone();
        tokio::spawn(async move {
            if let Err(error) = this.clear_depots().await {
                tracing::warn!(error = error.chain(), "what was laid down is not all removed");
            }
            drop(claim);
        });
    }

    /// Removes what still lies where it was laid down of exports that are over.
    pub(crate) async fn clear_depots(&self) -> Result<(), ExchangeError> {
        let now = self.now();
        let due = |export: &Export| is_due(export, now);
        let over = [ExportStatus::Recalled, ExportStatus::Expired];
        let mut first = FirstError::default();
        for export in self.every_export(&over, None, due).await? {
            // Whoever still lays it down comes to an end first.
            let Some(_claim) = self.claim(export.id) else { continue };
            first.note("what was laid down is not removed", self.clear_depot(export.id).await);
        }
        first.end()
    }

    async fn clear_depot(&self, export: Uuid) -> Result<(), ExchangeError> {
        let row = self.export_row(export).await?;
        let delivery = &row.details.delivery;
        let (Some(parcel), Some(sealed), Some(route)) =
            (row.parcel, &row.details.sealed, delivery.route.clone())
        else {
            return Ok(());
        };
        let left = Left { parcel, parts: sealed.parts };
        let before = delivery.clearing.clone().unwrap_or_default();
        // It may be gone since a round whose record failed; a medium does not say so twice.
        let is_gone = self.known_cleared(|gone| gone.contains(&export));
        let cleared = if is_gone { Ok(()) } else { self.clear_at(&row, &route, &left).await };
        match cleared {
            Ok(()) => {
                self.known_cleared(|gone| gone.insert(export));
                let event = Event::ParcelCleared(Cleared {
                    exchange: row.exchange.map(|it| it.to_string()).unwrap_or_default(),
                    parcel: parcel.to_string(),
                    partner: row.partner.clone(),
                    route,
                    place: delivery.place.clone(),
                });
                let receipt = self.record(None, &row.details.why, event).await?;
                let done = Some((receipt.at, receipt.entry.0));
                self.note_clearing(export, Clearing { done, ..Clearing::default() }).await?;
                self.known_cleared(|gone| gone.remove(&export));
                Ok(())
            }
            Err(error) => self.put_off_clearing(&row, before, &error).await,
        }
    }

    fn known_cleared<T>(&self, look: impl FnOnce(&mut HashSet<Uuid>) -> T) -> T {
        look(&mut self.0.cleared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where its way led when it was sent, and nowhere else.
    async fn clear_at(
        &self,
        row: &ExportRow,
        name: &str,
        left: &Left,
    ) -> Result<(), ExchangeError> {
        let route = self.route(&row.partner, name)?;
        let is = route.depot.words();
        if let Some(was) = row.details.delivery.place.clone().filter(|was| *was != is) {
            return Err(DepotError::Elsewhere { name: name.to_owned(), was, is }.into());
        }
        Ok(route.depot.clear(left).await?)
    }

    /// Later each time; in the end, or where no other attempt would help, a person is told, on record.
    async fn put_off_clearing(
        &self,
        row: &ExportRow,
        before: Clearing,
        error: &ExchangeError,
    ) -> Result<(), ExchangeError> {
        let failures = before.failures.saturating_add(1);
        let problem = short(&error.chain());
        let helpless = matches!(
            error,
            ExchangeError::NoSuch { .. } | ExchangeError::Depot(DepotError::Elsewhere { .. })
        );
        let over = helpless || failures >= ATTEMPTS_MAX;
        // A medium that was never in has nothing of it.
        let never = row.details.delivery.laid.is_none()
            && matches!(error, ExchangeError::Depot(DepotError::NotThere { .. }));
        if over && !never {
            let what = format!(
                "what was laid down of export {} has to be removed by hand: {problem}",
                row.id
            );
            self.alert(&row.partner, row.exchange, what).await?;
        }
        let wait = self.0.setup.settings.retry_wait(failures);
        let next_attempt_at = self.now().saturating_add(wait).ok().filter(|_| !over);
        let clearing = Clearing { done: None, failures, problem: Some(problem), next_attempt_at };
        self.note_clearing(row.id, clearing).await
    }

    async fn note_clearing(&self, export: Uuid, clearing: Clearing) -> Result<(), ExchangeError> {
        let noted = |row: &mut ExportRow| row.details.delivery.clearing = Some(clearing.clone());
        self.change_export(export, self.now(), noted).await.map(drop)
    }
}

/// Whether something of it may lie where it was laid down, and it is time to look.
fn is_due(export: &Export, now: Timestamp) -> bool {
    let delivery = &export.details.delivery;
    let began = delivery.route.is_some() && delivery.sent_entry.is_some();
    let waits = match &delivery.clearing {
        None => true,
        Some(clearing) => {
            clearing.done.is_none() && clearing.next_attempt_at.is_some_and(|at| at <= now)
        }
    };
    began && waits
}
