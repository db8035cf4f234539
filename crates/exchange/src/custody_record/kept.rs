//! What we sealed into a parcel of ours, kept for ourselves: the sealed record can be opened by its receiver alone.
//!
//! Invariants: it is kept before the sealing is recorded, so that no parcel leaves of which the record can't be told; it
//! lies sealed to our own key and signed by us, like everything in the store; it stays when the parcel's copy goes.

use jiff::Timestamp;
use keys::cert::Certificate;
use parcel::{CustodyEvent, Entry, IndexedFile, Parcel, Seal, Sealed, Transfer, TransferRecord};
use parcel::{Trust, Watch};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::store;
use crate::{Exchange, ExchangeError};

const EVENTS: &str = "events.json";
const FILES: &str = "files.json";
const RECORD: &str = "record.json";
const MEDIA_TYPE: &str = "application/json";

/// All that a sealed record was made of.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) record: TransferRecord,
    pub(crate) files: Vec<IndexedFile>,
    pub(crate) events: Vec<CustodyEvent>,
}

/// The name of the parcel in which it is kept.
fn name_of(parcel: Uuid) -> Uuid {
    Uuid::new_v5(&parcel, b"custody")
}

/// The events as they are kept, before the record takes them.
pub(crate) fn events(events: &[CustodyEvent]) -> Result<Vec<u8>, ExchangeError> {
    json(&events)
}

fn json<T: Serialize>(what: &T) -> Result<Vec<u8>, ExchangeError> {
    let bad = |_| ExchangeError::Protocol { what: "a custody record that can't be written" };
    serde_json::to_vec(what).map_err(bad)
}

impl Exchange {
    /// Keeps it, in place of what an earlier attempt kept. Waits for the disk.
    pub(crate) fn keep_custody(
        &self,
        sealed: &Sealed,
        events: Vec<u8>,
        now: Timestamp,
    ) -> Result<(), ExchangeError> {
        let (setup, kept) = (&self.0.setup, &self.0.store);
        kept.clear_custody(sealed.id).map_err(store("clear an old custody record"))?;
        let entry = |path, bytes| Entry::from_bytes(path, MEDIA_TYPE, now, bytes);
        let us = &setup.agency;
        let stated = "kept for ourselves".to_owned();
        let seal = Seal {
            id: name_of(sealed.id),
            sender: &setup.signer,
            recipients: vec![setup.recipient.certificate.clone()],
            allow_rsa_oaep: false,
            part_size: setup.settings.part_bytes,
            workers: 1,
            entries: vec![
                entry(EVENTS, events),
                entry(FILES, json(&sealed.files)?),
                entry(RECORD, json(&sealed.record)?),
            ],
            transfer: Transfer {
                exchange_id: sealed.record.transfer.exchange_id.clone(),
                exchange_number: None,
                purpose: stated.clone(),
                authority: stated,
                case_number: None,
                handling: Vec::new(),
                record_classes: Vec::new(),
                retention: None,
                sender: us.clone(),
                recipient: us.clone(),
            },
            custody: Vec::new(),
            custody_document: false,
            now,
            random: setup.random.as_ref(),
            watch: Watch::none(),
        };
        parcel::seal(seal, &kept.custody(sealed.id)).map(drop).map_err(ExchangeError::Seal)
    }

    /// What was kept, believed for the certificate that signed it then. Waits for the disk.
    pub(crate) fn kept_custody(
        &self,
        parcel: Uuid,
        (signer, at): (Certificate, Timestamp),
    ) -> Result<Told, ExchangeError> {
        let folder = self.0.store.custody(parcel);
        if !folder.exists() {
            return Err(ExchangeError::NoSuch { what: "custody record of the sealing" });
        }
        let trust = Trust { senders: vec![signer], now: at };
        let read = || {
            let kept = Parcel::enter(&folder, &trust)?;
            let is_it = kept.verified().id == name_of(parcel);
            let unlocked = kept.unlock(self.opener(&kept))?;
            let whole = |path: &str| {
                let mut bytes = Vec::new();
                let length = unlocked.file(path)?.length;
                for from in (0..length).step_by(PIECE) {
                    let to = length.min(from + parcel::RANGE_BYTES_MAX);
                    bytes.extend(unlocked.read(path, from, to)?);
                }
                Ok(bytes)
            };
            Ok((is_it, whole(RECORD)?, whole(FILES)?, whole(EVENTS)?))
        };
        let (is_it, record, files, events) = read().map_err(ExchangeError::Refused)?;
        let told =
            Told { record: parsed(&record)?, files: parsed(&files)?, events: parsed(&events)? };
        if is_it && told.record.parcel == parcel { Ok(told) } else { Err(another()) }
    }
}

/// Bytes that are read at a time.
const PIECE: usize = 64 << 20;

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ExchangeError> {
    serde_json::from_slice(bytes).map_err(|_| another())
}

fn another() -> ExchangeError {
    ExchangeError::Protocol { what: "a custody record in the store that is another" }
}
