//! Opening what a partner sent: its list of files, and one file or a range of it.
//!
//! Invariant: only what a person accepted can be opened, nothing that waits for the malware scanner or is held
//! because of it, and what is opened is decided, recorded and released by the gate like anything else. Bytes are decrypted in memory and never put on a disk.

use std::collections::BTreeSet;

use gate::{Document, Fingerprint, Print, Released};
use ledger::{Event, Subject};
use parcel::notice::Matter;
use policy::{Caveat, ResourceKind, Why};
use uuid::Uuid;

use crate::afterwards::ActFacts;
use crate::destruction::draft;
use crate::error::ExchangeError;
use crate::model::{IncomingRow, IncomingStatus, Inside, ReceivedFile};
use crate::record::{About, cji};
use crate::scanning::ScanFacts;
use crate::{Caller, Exchange};

/// What is in a parcel, as its sender's inner signature covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub exchange: Uuid,
    pub inside: Inside,
    /// What the malware scanner said; none where nobody asked one.
    pub scan: Option<ScanFacts>,
}

impl Fingerprint for Contents {
    fn fingerprint(&self) -> Print {
        let lines =
            self.inside.files.iter().map(|file| format!("{}  {}\n", file.sha256, file.path));
        let text: String = lines.collect();
        let case = self.inside.case_number.iter();
        let subject = |id: &String| Subject { kind: "case".to_owned(), id: id.clone() };
        Print {
            what: "contents",
            count: self.inside.files.len() as u64,
            bytes: text.len() as u64,
            digest: ledger::digest(text.as_bytes()),
            subjects: case.map(subject).collect(),
            caveats: self.inside.handling.iter().cloned().collect(),
        }
    }
}

impl Exchange {
    /// The list of a received parcel's files.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`], [`ExchangeError::Unrecorded`]; [`ExchangeError::WrongState`] before it
    /// was accepted.
    pub async fn contents(
        &self,
        caller: &Caller,
        exchange: Uuid,
        why: &Why,
    ) -> Result<Released<Contents>, ExchangeError> {
        let (mut row, inside) = self.accepted(exchange).await?;
        let plan = format!("list the files of exchange {exchange}");
        let leave = self.leave_to_open(caller, (&row, &inside), None, why, &plan).await?;
        if row.details.afterwards.opened.is_none() {
            self.note_opening(caller, &mut row, why, ("the list of its files", 0)).await?;
        }
        self.give(leave, Contents { exchange, inside, scan: row.details.scan }).await
    }

    /// One file of a received parcel, or a range of it (from, up to): only the parts that carry it are
    /// decrypted. At most [`parcel::RANGE_BYTES_MAX`] bytes at a time.
    ///
    /// # Errors
    /// As [`Exchange::contents`]; [`ExchangeError::Refused`] names the part where the store was damaged
    /// after arrival.
    pub async fn document(
        &self,
        caller: &Caller,
        exchange: Uuid,
        path: &str,
        range: Option<(u64, u64)>,
        why: &Why,
    ) -> Result<Released<Document>, ExchangeError> {
        let (mut row, inside) = self.accepted(exchange).await?;
        let file = inside.files.iter().find(|file| file.path == path).cloned();
        let file = file.ok_or(ExchangeError::NoSuch { what: "file in the parcel" })?;
        let (from, to) = range.unwrap_or((0, file.length));
        if from > to || to > file.length || to - from > parcel::RANGE_BYTES_MAX {
            let expected = "a range within the file, of at most 64 MiB";
            return Err(ExchangeError::Input { field: "range", expected });
        }
        let plan = format!("open {path} of exchange {exchange}, bytes {from} to {to}");
        let leave = self.leave_to_open(caller, (&row, &inside), Some(path), why, &plan).await?;
        let document = match self.decrypt(&row, &file, (from, to)).await {
            Ok(document) => document,
            Err(error) => {
                self.keep_closed(leave, &error.chain()).await?;
                return Err(error);
            }
        };
        self.note_opening(caller, &mut row, why, (path, to - from)).await?;
        self.give(leave, document).await
    }

    /// Records an opening. The first one is told to the sender.
    pub(crate) async fn note_opening(
        &self,
        caller: &Caller,
        row: &mut IncomingRow,
        why: &Why,
        (path, bytes): (&str, u64),
    ) -> Result<(), ExchangeError> {
        let event = Event::ParcelOpened {
            exchange: row.exchange.to_string(),
            parcel: row.parcel.to_string(),
            path: path.to_owned(),
            bytes,
        };
        let receipt = self.record(Some(caller), why, event).await?;
        if row.details.afterwards.opened.is_some() {
            return Ok(());
        }
        let act = ActFacts {
            by: caller.actor.clone(),
            at: receipt.at,
            entry: receipt.entry.0,
            leaf: hex::encode(receipt.leaf),
            reason: None,
        };
        row.details.afterwards.opened = Some(act.clone());
        match self.store_incoming_and_tell(row, draft(&act, Matter::Opened {})).await {
            // Somebody else opened it in the same moment, and told it.
            Ok(()) | Err(ExchangeError::Changed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn decrypt(
        &self,
        row: &IncomingRow,
        file: &ReceivedFile,
        range: (u64, u64),
    ) -> Result<Document, ExchangeError> {
        let trust = self.trust_in(row)?;
        let folder = self.0.store.incoming(row.exchange);
        let (this, path) = (self.clone(), file.path.clone());
        let work = move || {
            let parcel = parcel::Parcel::enter(&folder, &trust)?;
            parcel.unlock(this.opener(&parcel))?.read(&path, range.0, range.1)
        };
        let bytes = tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)?;
        let bytes = bytes.map_err(ExchangeError::Refused)?;
        let name = file.path.rsplit('/').next().unwrap_or("document").to_owned();
        Ok(Document {
            name,
            media_type: file.media_type.clone(),
            length: file.length,
            range,
            digest: keys::digest::sha256(&bytes),
            bytes,
            key: format!("{}/{}", row.exchange, file.path),
        })
    }

    pub(crate) async fn accepted(
        &self,
        exchange: Uuid,
    ) -> Result<(IncomingRow, Inside), ExchangeError> {
        let row = self.incoming_row(exchange).await?;
        match row.details.inside.clone() {
            Some(inside) if row.status == IncomingStatus::Accepted.as_str() => Ok((row, inside)),
            Some(_) | None => {
                let (is, needs) = (row.status, "accepted");
                Err(ExchangeError::WrongState { what: "parcel", is, needs })
            }
        }
    }
}

/// The parcel as the policy sees it: ours now, with the marks that the sender holds us to.
///
/// # Errors
/// [`ExchangeError::Input`] for a mark that the policy can't read.
pub(crate) fn about(
    row: &IncomingRow,
    inside: Option<&Inside>,
) -> Result<About<'static>, ExchangeError> {
    let bad =
        |_| ExchangeError::Input { field: "handling", expected: "marks in the policy's form" };
    let marks = inside.iter().flat_map(|inside| &inside.handling);
    let caveats: Result<BTreeSet<Caveat>, _> = marks.map(|mark| mark.parse()).collect();
    Ok(About {
        kind: ResourceKind::Parcel,
        id: row.exchange.to_string(),
        record_class: cji()?,
        caveats: caveats.map_err(bad)?,
        requested_by: None,
        agreement: None,
    })
}
