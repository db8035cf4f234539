//! Writing a parcel into the store: on a thread of its own, until somebody cuts it off, and how it goes on then.
//!
//! Invariants: who takes an export back, and who has its claim after us, finds nobody writing; a part that was whole
//! is taken over only where it carries the very bytes that were read anew, through the gate and on record like the
//! first time (decision 20); of what nobody goes on with nothing stays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use keys::cert::Certificate;
use parcel::{CustodyEvent, Entry, Seal, SealError, Sealed, Transfer, Watch};
use uuid::Uuid;

use crate::custody_record::kept_events;
use crate::error::store;
use crate::model::{ExportDetails, ExportRow, ExportStatus};
use crate::progress::Phase;
use crate::recall::Stop;
use crate::{Claim, Exchange, ExchangeError};

/// What is sealed, and to whom: all that a thread needs that may wait.
pub(crate) struct Order {
    pub(crate) export: Uuid,
    pub(crate) parcel: Uuid,
    pub(crate) entries: Vec<Entry>,
    pub(crate) transfer: Transfer,
    pub(crate) custody: Vec<CustodyEvent>,
    pub(crate) recipients: Vec<Certificate>,
    pub(crate) allow_rsa_oaep: bool,
    pub(crate) now: Timestamp,
}

impl Order {
    /// Seals into the store, and goes on where a stop, a kill or a source that failed cut it off.
    fn seal(self, of: &Exchange, cut: &AtomicBool) -> Result<Sealed, ExchangeError> {
        let (setup, kept) = (&of.0.setup, &of.0.store);
        // Of a parcel that was whole and never recorded nothing is taken over.
        kept.clear_whole(self.parcel).map_err(store("clear an old seal"))?;
        let told = kept_events(&self.custody)?;
        let progress = of.progress_sender(self.export);
        let seal = Seal {
            id: self.parcel,
            sender: &setup.signer,
            recipients: self.recipients,
            allow_rsa_oaep: self.allow_rsa_oaep,
            part_size: setup.settings.part_bytes,
            workers: parcel::WORKERS_DEFAULT,
            entries: self.entries,
            transfer: self.transfer,
            custody: self.custody,
            custody_document: true,
            now: self.now,
            random: setup.random.as_ref(),
            watch: Watch {
                progress: &|done, total| {
                    let phase = Phase::Sealing;
                    progress.send_replace(crate::Progress { phase, done, total });
                },
                cancel: cut,
            },
        };
        let sealed = parcel::seal_resumable(seal, &kept.sent(self.parcel));
        let sealed = sealed.map_err(ExchangeError::Seal)?;
        of.keep_custody(&sealed, told, self.now)?;
        Ok(sealed)
    }
}

/// Ends the thread that seals when nobody waits for it any more.
struct CutOnDrop(Arc<AtomicBool>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Exchange {
    /// Seals on a thread that may wait, and which holds the claim: whoever has that after us finds nobody writing.
    pub(crate) async fn seal_into_store(
        &self,
        order: Order,
        claim: &Arc<Claim>,
        stop: &Stop,
    ) -> Result<Sealed, ExchangeError> {
        let cut = Arc::new(AtomicBool::new(false));
        // Dropped with this future, as at the platform's stop.
        let _cut = CutOnDrop(Arc::clone(&cut));
        let (this, held, watched) = (self.clone(), Arc::clone(claim), Arc::clone(&cut));
        let work = move || {
            let _held = held;
            order.seal(&this, &watched)
        };
        let mut sealing = tokio::task::spawn_blocking(work);
        tokio::select! {
            biased;
            () = stop.rung() => {
                cut.store(true, Ordering::Relaxed);
                // Whatever it came to: it was taken back.
                match sealing.await {
                    Ok(_) | Err(_) => {}
                }
                let (is, needs) = ("recalled".to_owned(), "sealing");
                Err(ExchangeError::WrongState { what: "export", is, needs })
            }
            sealed = &mut sealing => sealed.map_err(|_| ExchangeError::Stopped)?,
        }
    }

    /// After a failure: no parcel, and the export is approved as before. Where only a source failed, what was sealed of it
    /// stays hidden, and the next attempt goes on with it.
    pub(crate) async fn take_back(&self, row: &mut ExportRow, error: &ExchangeError) {
        let goes_on = matches!(error, ExchangeError::Seal(SealError::Read { .. }));
        if let Some(parcel) = row.parcel.filter(|_| !goes_on)
            && let Err(error) = self.0.store.clear_unrecorded(parcel)
        {
            tracing::warn!(%error, "a parcel that was not recorded could not be removed");
        }
        row.status = ExportStatus::Approved.as_str().to_owned();
        row.details.sealed = None;
        let now = self.now();
        if let Err(error) = self.store_export(row, now).await {
            // It stays `sealing`, which the next start takes up.
            tracing::warn!(error = error.chain(), "an export could not be set back");
        }
    }

    /// Removes what cut-off seals left of exports that are sealed no more.
    pub(crate) async fn sweep_drafts(&self) -> Result<(), ExchangeError> {
        let this = self.clone();
        let found = tokio::task::spawn_blocking(move || this.0.store.drafts_of_seals()).await;
        let found = found.map_err(|_| ExchangeError::Stopped)?;
        let found = found.map_err(store("look for what cut-off seals left"))?;
        if found.is_empty() {
            return Ok(());
        }
        // After the drafts were listed: whose draft is there was stored as being sealed before.
        let statuses = [ExportStatus::Approved, ExportStatus::Sealing];
        let waiting = self.every_export(&statuses, None, |_| true).await?;
        let waiting: BTreeSet<Uuid> = waiting.iter().filter_map(|export| export.parcel).collect();
        for parcel in found.difference(&waiting) {
            let row = state::exports::find_by_parcel::<ExportDetails>(&self.0.setup.state, *parcel);
            // It may have become whole meanwhile, or be about to.
            let claim = row.await?.map(|row| self.claim(row.id));
            if claim.as_ref().is_none_or(Option::is_some) {
                let cleared = self.0.store.clear_drafts(*parcel);
                cleared.map_err(store("remove what a cut-off seal left"))?;
            }
        }
        Ok(())
    }
}
