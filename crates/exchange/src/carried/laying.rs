//! The bytes of a carried parcel on their way into the store, and the row that it gets there.
//!
//! Invariant: a part has its name only with the hash that was signed, and the outside is the one that was checked.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ledger::evidence::EntryProof;
use parcel::{Parcel, part_path};
use tokio::sync::mpsc;

use super::{CarriedFacts, Known, Trouble, Unfit};
use crate::afterwards::Afterwards;
use crate::error::store;
use crate::model::{IncomingDetails, IncomingRow, IncomingStatus};
use crate::store::{Unkept, pieces_of};
use crate::{Caller, Exchange, ExchangeError, Partner};

/// A part is read by so many bytes.
const PIECE_BYTES: usize = 256 << 10;
/// What a parcel in one file may have beside what its sender's quota lets it have: the ZIP's own headers.
const HEADERS_BYTES_MAX: u64 = 256 << 20;

impl Exchange {
    /// Writes what comes in where nobody looks at it.
    pub(super) async fn lay_pieces(
        &self,
        pieces: mpsc::Receiver<Option<Bytes>>,
    ) -> Result<PathBuf, Trouble> {
        let quotas = self.book().partners().map(|partner| partner.quota_bytes);
        let bytes_max = quotas.max().unwrap_or(0).saturating_add(HEADERS_BYTES_MAX);
        let this = self.clone();
        let write = move || {
            let draft = this.0.store.draft();
            let mut next = pieces_of(pieces);
            match this.0.store.lay(&draft, &mut next, bytes_max) {
                Ok(()) => Ok(draft),
                Err(unkept) => {
                    this.0.store.discard(&draft);
                    Err(unkept)
                }
            }
        };
        let laid = tokio::task::spawn_blocking(write).await.map_err(|_| ExchangeError::Stopped)?;
        laid.map_err(|unkept| match unkept {
            Unkept::TooLarge => Unfit::because("it is larger than any partner’s quota"),
            Unkept::Disk(error) => store("keep a parcel that was brought")(error).into(),
            Unkept::Broken | Unkept::Gone | Unkept::Altered { .. } => {
                Unfit::because("it broke off on its way here; send it again")
            }
        })
    }

    /// Copies the files that are no parts, and looks whether they are still what was checked.
    pub(super) async fn copy_outside(&self, known: &Known, draft: &Path) -> Result<u64, Trouble> {
        let outside = known.parcel.outside().map_err(|refused| Unfit::refused(&refused))?;
        let trust = known.partner.trust(self.now());
        let (this, draft, digest) = (self.clone(), draft.to_owned(), known.parcel.digest());
        let work = move || {
            let files: Vec<(&str, &[u8])> =
                outside.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect();
            let announced = this.0.store.announce_at(&draft, &files);
            announced.map_err(store("keep a parcel that was brought"))?;
            let again = Parcel::announced(&draft, &trust);
            let again = again.map_err(|refused| Unfit::refused(&refused))?;
            if again.digest() != digest {
                return Err(Unfit::because("it changed while it was read"));
            }
            Ok(files.iter().map(|(_, bytes)| bytes.len() as u64).sum())
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)?
    }

    /// Copies the parts that are not there, each with the hash that was signed.
    pub(super) async fn copy_parts(
        &self,
        known: &Arc<Known>,
        folder: &Path,
    ) -> Result<(), Trouble> {
        let (this, known, folder) = (self.clone(), Arc::clone(known), folder.to_owned());
        let work = move || {
            for (number, expected) in (0_u64..).zip(known.parcel.part_digests()) {
                let place = folder.join(part_path(number));
                if !place.exists() {
                    this.copy_part(&known, number, expected, &place)?;
                }
            }
            Ok(())
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)?
    }

    pub(super) fn copy_part(
        &self,
        known: &Known,
        number: u64,
        expected: &[u8; 32],
        place: &Path,
    ) -> Result<(), Trouble> {
        let reader = known.parcel.part_reader(number);
        let mut reader = reader.map_err(|refused| Unfit::refused(&refused))?;
        let mut unread = None;
        let mut pieces = || {
            let mut piece = vec![0; PIECE_BYTES];
            match reader.read(&mut piece) {
                Ok(0) => None,
                Ok(count) => {
                    piece.truncate(count);
                    Some(Some(Bytes::from(piece)))
                }
                Err(error) => {
                    unread = Some(error.to_string());
                    Some(None)
                }
            }
        };
        let bytes_max = known.parcel.part_bytes_max();
        let kept = self.0.store.keep_part(place, &mut pieces, expected, bytes_max);
        let why = match kept {
            Ok(_) => return Ok(()),
            Err(Unkept::Disk(error)) => {
                return Err(store("keep a part that was brought")(error).into());
            }
            Err(Unkept::Gone) => return Err(ExchangeError::Changed { what: "parcel" }.into()),
            Err(Unkept::TooLarge) => "it is larger than a part of this parcel can be".to_owned(),
            Err(Unkept::Altered { .. }) => {
                "it was altered, or damaged on its way: its SHA-256 is not the signed one"
                    .to_owned()
            }
            Err(Unkept::Broken) => {
                let error = unread.unwrap_or_else(|| "it ends too soon".to_owned());
                format!("it can't be read: {error}")
            }
        };
        let place = part_path(number);
        Err(Trouble::Unfit(Box::new(Unfit { parcel: None, partner: None, place, why })))
    }

    pub(super) fn carried_row(
        &self,
        caller: Option<&Caller>,
        known: &Known,
        recorded: &ledger::Receipt,
        tags: u64,
    ) -> IncomingRow {
        let verified = known.parcel.verified();
        let (entry, leaf, checkpoint) = known.place.clone();
        IncomingRow {
            exchange: known.exchange,
            parcel: verified.id,
            partner: known.partner.ori.to_string(),
            number: known.transfer.exchange_number.unwrap_or_default(),
            digest: verified.digest,
            bytes: verified.bytes.saturating_add(tags),
            holds_room: true,
            status: IncomingStatus::Receiving.as_str().to_owned(),
            offered_at: recorded.at,
            updated_at: recorded.at,
            version: 0,
            details: IncomingDetails {
                sender_name: known.partner.name.clone(),
                agreement: self.agreement_of(known),
                parts: verified.parts,
                offer_entry: recorded.entry.0,
                sender_entry: entry,
                sender_leaf: leaf,
                sender_checkpoint: checkpoint,
                received_at: None,
                received_entry: None,
                inside: None,
                redaction: None,
                receipt: None,
                refusal: None,
                expires: None,
                scan: None,
                scan_trouble: None,
                signer: None,
                afterwards: Afterwards {
                    carried: Some(CarriedFacts {
                        by: caller.map(|caller| caller.actor.name.clone()),
                        at: recorded.at,
                        attempts: 0,
                        next_at: None,
                        told: false,
                    }),
                    ..Afterwards::default()
                },
            },
        }
    }

    /// The agreement that its authority begins with, where we have that one with its sender.
    pub(super) fn agreement_of(&self, known: &Known) -> String {
        let authority = known.transfer.authority.as_str();
        let id = authority.split_once(" (").map_or(authority, |(id, _)| id);
        let with = |parties: &[crate::Signatory]| {
            parties.iter().any(|party| party.ori.as_str() == known.partner.ori.as_str())
        };
        let found = self.book().agreement(id).filter(|it| with(&it.terms.parties));
        found.map_or_else(|| "not named".to_owned(), |it| it.facts.id.clone())
    }
}

/// The last entry of the sender's own ledger that its custody names: entry, leaf, and the checkpoint of its proof.
pub(super) fn place_of(
    custody: &[parcel::CustodyEvent],
    partner: &Partner,
) -> (u64, String, String) {
    let theirs = |origin: &str| partner.ledger_key.as_ref().is_none_or(|key| key.name == origin);
    let named = custody.iter().rev().filter_map(|event| event.ledger.as_ref());
    let Some(last) = named.into_iter().find(|named| theirs(&named.origin)) else {
        return Default::default();
    };
    let proof = last.proof.as_deref().and_then(|proof| EntryProof::parse(proof).ok());
    (last.entry, last.leaf.clone(), proof.map(|proof| proof.checkpoint).unwrap_or_default())
}
