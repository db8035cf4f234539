//! Taking in what others brought: a ZIP file or a BagIt bag in one, sealed to ourselves, into quarantine like a
//! partner's parcel.
//!
//! Invariants: what was brought is read in memory and lies in the store sealed only; it can be seen by nobody before
//! the taking in is in the ledger, and opened by nobody before a person accepted it. Nobody vouches for it: there is
//! no sender's signature, and the parcel is numbered under our own ORI.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gate::{Permit, Plan};
use jiff::Timestamp;
use keys::cert::Certificate;
use ledger::{Event, FilesTakenIn};
use parcel::intake::{Found, Taken};
use parcel::{CustodyEvent, Entry, Seal, Sealed, Transfer, Trust, Watch};
use policy::{Action, CaseNumber, RecordClass, ResourceKind, Why};
use state::parcels::Offered;
use uuid::Uuid;

use crate::afterwards::Afterwards;
use crate::delivery::short;
use crate::error::store;
use crate::model::{Incoming, IncomingDetails, IncomingRow, IncomingStatus, Inside, ReceivedFile};
use crate::record::About;
use crate::redacted::Redaction;
use crate::sealed_custody::person;
use crate::sealing::TOOL;
use crate::seen::Seen;
use crate::{Caller, CertificateUse, Exchange, ExchangeError};

/// What one ZIP file may hold, unpacked: 4 GiB.
const UNPACKED_BYTES_MAX: u64 = 4 << 30;
/// Letters of what a person writes about it.
const WORDS_MAX: usize = 500;
/// Remarks that are kept.
const REMARKS_MAX: usize = 200;
/// Attempts to get a number, while others take theirs.
const NUMBER_TRIES: usize = 5;

/// What somebody brought, and what the person who takes it in says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// A ZIP file, or a bag in one.
    pub zip: Vec<u8>,
    /// Who brought it, in words.
    pub from: String,
    /// By what right it is taken in: a request, a warrant, a consent.
    pub authority: String,
    pub case_number: Option<CaseNumber>,
    /// What sort of records it is, as far as is known.
    pub record_class: RecordClass,
}

impl Exchange {
    /// Takes in files of others. They wait in quarantine, and then for a person.
    ///
    /// # Errors
    /// [`ExchangeError::Refused`] names the file that can't be taken in, and nothing is kept;
    /// [`ExchangeError::Input`] names a field, or says that there is no room; [`ExchangeError::Denied`],
    /// [`ExchangeError::Unrecorded`].
    pub async fn take_in(
        &self,
        caller: &Caller,
        brought: Brought,
    ) -> Result<Incoming, ExchangeError> {
        let from = words("from", &brought.from)?;
        let authority = words("authority", &brought.authority)?;
        let Brought { zip, case_number, record_class, .. } = brought;
        let why = Why { case_number, reason: Some(authority.clone()), ..Why::default() };
        let exchange = self.new_id()?;
        let about = About {
            kind: ResourceKind::Parcel,
            id: exchange.to_string(),
            record_class: record_class.clone(),
            caveats: BTreeSet::new(),
            requested_by: None,
            agreement: None,
        };
        let plan = Plan::Parcel(format!("take in files of others as exchange {exchange}"));
        let permit = self.ask(caller, Action::ReceiveParcel, about, &why, plan).await?;
        let taken = self.take_in_permitted(caller, exchange, (zip, from, record_class), &why).await;
        self.end_taking_in(permit, taken).await
    }

    /// Closes the permit under which something was taken in and has it scanned, or says on record why it was not.
    pub(crate) async fn end_taking_in(
        &self,
        permit: Permit,
        taken: Result<IncomingRow, ExchangeError>,
    ) -> Result<Incoming, ExchangeError> {
        match taken {
            Ok(row) => {
                self.close(vec![permit]).await?;
                self.scan_soon(row.exchange);
                Incoming::of(row)
            }
            Err(error) => {
                self.0.setup.gate.withhold(permit.ticket(), &short(&error.chain())).await?;
                Err(error)
            }
        }
    }

    /// Seals it where nobody looks, records it, and only then gives it its place and its row.
    async fn take_in_permitted(
        &self,
        caller: &Caller,
        exchange: Uuid,
        (zip, from, record_class): (Vec<u8>, String, RecordClass),
        why: &Why,
    ) -> Result<IncomingRow, ExchangeError> {
        let authority = why.reason.clone().unwrap_or_default();
        let sealing = Sealing {
            exchange,
            parcel: self.new_id()?,
            purpose: format!("brought by {from}"),
            authority: authority.clone(),
            case_number: why.case_number.as_ref().map(ToString::to_string),
            handling: Vec::new(),
            record_classes: vec![record_class.to_string()],
            custody: self.brought_by(caller, &from, &authority),
            room: self.room_for_brought().await?,
            draft: self.0.store.draft(),
        };
        let sender_name = format!("outside, taken in by {}", caller.actor.name);
        let kept = move |inside| Kept { from, sender_name, inside, redaction: None, end: None };
        let seal = move |of: &Self, sealing: Sealing| {
            let (taken, sealed) = sealing.zip(of, zip)?;
            let files = taken.files.iter().zip(&sealed.files);
            let seen = files.map(|(taken, file)| {
                Some(Seen::of(&taken.examined, &taken.path, &file.media_type))
            });
            let seen = seen.collect();
            Ok((sealed, seen, remarks(&taken)))
        };
        self.seal_and_keep(caller, sealing, seal, (why, kept)).await
    }

    /// Seals something for ourselves, records that it was taken in, and gives it its place. What fails leaves nothing.
    pub(crate) async fn seal_and_keep(
        &self,
        caller: &Caller,
        sealing: Sealing,
        seal: impl FnOnce(&Self, Sealing) -> Result<Looked, ExchangeError> + Send + 'static,
        (why, kept): (&Why, impl FnOnce(Inside) -> Kept),
    ) -> Result<IncomingRow, ExchangeError> {
        let (this, exchange, draft) = (self.clone(), sealing.exchange, sealing.draft.clone());
        let mut inside = sealing.inside();
        let sealed = tokio::task::spawn_blocking(move || seal(&this, sealing)).await;
        let sealed = sealed.map_err(|_| ExchangeError::Stopped)?;
        let stored = match &sealed {
            Ok((sealed, seen, remarks)) => {
                inside.files = sealed.files.iter().zip(seen).map(received).collect();
                inside.remarks.clone_from(remarks);
                self.keep_brought(caller, (exchange, sealed), kept(inside), (why, &draft)).await
            }
            Err(_) => Err(ExchangeError::Stopped),
        };
        if stored.is_err() {
            self.0.store.discard(&draft);
            self.drop_incoming(exchange).await;
        }
        sealed.and(stored)
    }

    async fn keep_brought(
        &self,
        caller: &Caller,
        (exchange, sealed): (Uuid, &Sealed),
        kept: Kept,
        (why, draft): (&Why, &Path),
    ) -> Result<IncomingRow, ExchangeError> {
        let event = Event::FilesTakenIn(FilesTakenIn {
            exchange: exchange.to_string(),
            parcel: sealed.id.to_string(),
            from: kept.from.clone(),
            files: sealed.files.len() as u64,
            digest: hex::encode(sealed.digest),
        });
        let recorded = self.record(Some(caller), why, event).await?;
        self.0.store.install(draft, exchange).map_err(store("give what was brought its place"))?;
        let original = kept.redaction.as_ref().map(|redaction| redaction.place.digest());
        if let Some(original) = original {
            state::copies::note(&self.0.setup.state, original, exchange).await?;
        }
        let numbered = self.number((exchange, sealed), &recorded, kept).await;
        if numbered.is_err()
            && original.is_some()
            && let Err(error) = state::copies::forget(&self.0.setup.state, exchange).await
        {
            tracing::warn!(%error, "the line of a copy that was not taken in stays");
        }
        numbered
    }

    /// What is left for what others brought.
    pub(crate) async fn room_for_brought(&self) -> Result<u64, ExchangeError> {
        let setup = &self.0.setup;
        let taken = state::parcels::room_of(&setup.state, &setup.agency.ori).await?;
        Ok(setup.settings.brought_bytes_max.saturating_sub(taken))
    }

    /// Stores it under the next number of ours.
    async fn number(
        &self,
        (exchange, sealed): (Uuid, &Sealed),
        recorded: &ledger::Receipt,
        kept: Kept,
    ) -> Result<IncomingRow, ExchangeError> {
        let (agency, state) = (&self.0.setup.agency, &self.0.setup.state);
        let quota = self.0.setup.settings.brought_bytes_max;
        let (destroy_by, destroy_rule) = kept.end.unzip();
        let mut row = IncomingRow {
            exchange,
            parcel: sealed.id,
            partner: agency.ori.clone(),
            number: 0,
            digest: sealed.digest,
            bytes: sealed.bytes,
            holds_room: true,
            status: IncomingStatus::Received.as_str().to_owned(),
            offered_at: recorded.at,
            updated_at: recorded.at,
            version: 0,
            details: IncomingDetails {
                sender_name: kept.sender_name,
                agreement: String::new(),
                parts: sealed.parts,
                offer_entry: recorded.entry.0,
                sender_entry: recorded.entry.0,
                sender_leaf: hex::encode(recorded.leaf),
                sender_checkpoint: String::new(),
                received_at: Some(recorded.at),
                received_entry: Some(recorded.entry.0),
                inside: Some(kept.inside),
                redaction: kept.redaction,
                receipt: None,
                refusal: None,
                expires: None,
                scan: None,
                scan_trouble: None,
                signer: self.0.setup.signer.chain.first().map(self::kept),
                afterwards: Afterwards {
                    destroy_by,
                    destroy_rule: destroy_rule.flatten(),
                    ..Afterwards::default()
                },
            },
        };
        for _ in 0..NUMBER_TRIES {
            row.number = state::parcels::next_number(state, &row.partner).await?;
            match state::parcels::offer(state, &mut row, quota).await? {
                Offered::New => return Ok(row),
                Offered::Taken(_) => {}
                Offered::Known(_) => break,
                Offered::NoRoom { .. } => return Err(no_room()),
            }
        }
        Err(ExchangeError::Changed { what: "store" })
    }

    /// The begin of its custody.
    fn brought_by(&self, caller: &Caller, from: &str, authority: &str) -> CustodyEvent {
        CustodyEvent {
            kind: "registered".to_owned(),
            description: format!("taken in from {from}, who signed nothing"),
            started: self.now(),
            ended: None,
            person: person(&caller.actor),
            tool: TOOL.to_owned(),
            purpose: None,
            authority: Some(authority.to_owned()),
            files: Vec::new(),
            originals: Vec::new(),
            ledger: None,
            around: self.around(&caller.actor),
        }
    }

    /// Whether a parcel was sealed by ourselves, of what others brought.
    pub(crate) fn is_brought(&self, row: &IncomingRow) -> bool {
        row.partner == self.0.setup.agency.ori
    }

    /// Whose signature on a parcel that lies here is believed, and when: the sender's certificate had to be the right one
    /// and valid when it came, not for ever after.
    ///
    /// # Errors
    /// [`ExchangeError::NoSuch`] where its sender is no partner any more, of a parcel whose signer was not kept.
    pub(crate) fn trust_in(&self, row: &IncomingRow) -> Result<Trust, ExchangeError> {
        let now = row.details.received_at.unwrap_or_else(|| self.now());
        if let Some(kept) = &row.details.signer {
            return Ok(Trust { senders: vec![self.kept_signer(row, kept, now)?], now });
        }
        if self.is_brought(row) {
            return Ok(Trust { now, ..self.own_trust() });
        }
        Ok(self.partner(&row.partner)?.trust(now))
    }

    /// The certificate that a parcel was verified with, unless its sender's file says that it did not count when it came.
    fn kept_signer(
        &self,
        row: &IncomingRow,
        kept: &str,
        came: Timestamp,
    ) -> Result<Certificate, ExchangeError> {
        let signer = Certificate::from_der(&BASE64.decode(kept).unwrap_or_default())?;
        let partner = self.book().partner(&row.partner);
        match partner.and_then(|partner| partner.revoked(&signer, came)) {
            Some(revoked) => Err(revoked.error(CertificateUse::Signing)),
            None => Ok(signer),
        }
    }
}

/// A signer's certificate as it is kept with what it signed.
pub(crate) fn kept(signer: &Certificate) -> String {
    BASE64.encode(signer.der())
}

/// What was sealed, what its files are by their content, and what a person should see first.
pub(crate) type Looked = (Sealed, Vec<Option<Seen>>, Vec<String>);

/// What was taken in, on its way to its row.
pub(crate) struct Kept {
    /// Who brought it.
    pub(crate) from: String,
    pub(crate) sender_name: String,
    pub(crate) inside: Inside,
    pub(crate) redaction: Option<Redaction>,
    /// When it is to be destroyed, and by which rule.
    pub(crate) end: Option<(Timestamp, Option<String>)>,
}

/// What is needed to seal it, on a thread that may wait.
pub(crate) struct Sealing {
    pub(crate) exchange: Uuid,
    pub(crate) parcel: Uuid,
    pub(crate) purpose: String,
    pub(crate) authority: String,
    pub(crate) case_number: Option<String>,
    pub(crate) handling: Vec<String>,
    pub(crate) record_classes: Vec<String>,
    pub(crate) custody: CustodyEvent,
    /// Bytes that the store still has for what others brought.
    pub(crate) room: u64,
    pub(crate) draft: PathBuf,
}

impl Sealing {
    /// What its list will say, but for the files.
    fn inside(&self) -> Inside {
        Inside {
            purpose: self.purpose.clone(),
            authority: self.authority.clone(),
            case_number: self.case_number.clone(),
            handling: self.handling.clone(),
            record_classes: self.record_classes.clone(),
            retention: None,
            files: Vec::new(),
            proved: None,
            key_transport: None,
            stamp: None,
            remarks: Vec::new(),
        }
    }

    fn zip(self, of: &Exchange, zip: Vec<u8>) -> Result<(Taken, Sealed), ExchangeError> {
        let found = Found::in_memory(zip).map_err(ExchangeError::Refused)?;
        if found.is_sealed_parcel() {
            let expected = "files in the clear: this is a sealed parcel, which is taken in under “Take in a sealed parcel”";
            return Err(ExchangeError::Input { field: "file", expected });
        }
        // Before a byte is unpacked: what a file says of its length is held to that while it is read.
        if found.bytes() > UNPACKED_BYTES_MAX {
            let expected =
                "at most 4 GiB, unpacked; what is larger is taken in at the command line";
            return Err(ExchangeError::Input { field: "file", expected });
        }
        if found.bytes() > self.room {
            return Err(no_room());
        }
        let taken = found.read(Watch::none()).map_err(ExchangeError::Refused)?;
        let sealed = self.seal(of, found.entries(&taken))?;
        let same = taken.files.iter().zip(&sealed.files).all(|(a, b)| a.sha256 == b.sha256);
        if same && taken.files.len() == sealed.files.len() {
            return Ok((taken, sealed));
        }
        let odd = std::io::Error::other("what was sealed is not what was read");
        Err(store("seal what was brought")(odd))
    }

    /// Seals these files to ourselves.
    pub(crate) fn seal(self, of: &Exchange, entries: Vec<Entry>) -> Result<Sealed, ExchangeError> {
        let setup = &of.0.setup;
        let never = AtomicBool::new(false);
        let us = setup.agency.clone();
        let recipients = vec![setup.recipient.certificate.clone()];
        let closing = of.closing(self.parcel, &recipients, (None, &[]), &self.custody)?;
        let custody = std::iter::once(self.custody).chain(closing).collect();
        let seal = Seal {
            id: self.parcel,
            sender: &setup.signer,
            recipients,
            part_size: setup.settings.part_bytes,
            workers: parcel::WORKERS_DEFAULT,
            entries,
            transfer: Transfer {
                exchange_id: self.exchange.to_string(),
                exchange_number: None,
                purpose: self.purpose,
                authority: self.authority,
                case_number: self.case_number,
                handling: self.handling,
                record_classes: self.record_classes,
                retention: None,
                sender: us.clone(),
                recipient: us,
            },
            custody,
            custody_document: true,
            allow_rsa_oaep: false,
            now: of.now(),
            random: setup.random.as_ref(),
            watch: Watch { progress: &|_, _| {}, cancel: &never },
        };
        parcel::seal(seal, &self.draft).map_err(ExchangeError::Seal)
    }
}

pub(crate) fn no_room() -> ExchangeError {
    let expected = "less: what others brought has no more room in the store";
    ExchangeError::Input { field: "file", expected }
}

pub(crate) fn words(field: &'static str, text: &str) -> Result<String, ExchangeError> {
    let text = text.trim();
    let sound = !text.is_empty()
        && text.chars().count() <= WORDS_MAX
        && !text.chars().any(char::is_control);
    if sound {
        return Ok(text.to_owned());
    }
    Err(ExchangeError::Input { field, expected: "1 to 500 characters on one line" })
}

fn received((file, seen): (&parcel::IndexedFile, &Option<Seen>)) -> ReceivedFile {
    ReceivedFile {
        path: file.path.clone(),
        media_type: file.media_type.clone(),
        length: file.length,
        sha256: file.sha256.clone(),
        derived: None,
        seen: seen.clone(),
    }
}

/// What a person should see before it is accepted.
fn remarks(taken: &Taken) -> Vec<String> {
    let whole = match &taken.bag {
        Some(bag) => {
            format!("It is a BagIt bag ({}), and what its manifests say holds.", bag.version)
        }
        None => "It is no bag: nothing says that it is whole.".to_owned(),
    };
    let warnings = taken.bag.iter().flat_map(|bag| bag.warnings.iter().cloned());
    let odd = taken.remarks().map(|(path, words)| format!("{path}: {words}"));
    std::iter::once(whole)
        .chain(warnings)
        .chain(odd)
        .take(REMARKS_MAX)
        .map(|one| short(&one))
        .collect()
}
