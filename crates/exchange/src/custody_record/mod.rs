//! The custody record of a parcel at any time after it was sealed, for either side: what was sealed with it, and what our
//! ledger says happened since, each entry with its proof.
//!
//! Invariants: it is decided, recorded and released before its first byte; the sender's copy of the sealed record and the
//! receiver's parcel are verified when they are read. Who may see received parcels is told what happened to one, and
//! who may open it what is in it too.

mod found;
mod happened;
mod kept;

use std::collections::BTreeSet;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gate::{Fingerprint, Plan, Print, Released};
use jiff::Timestamp;
use keys::cert::Certificate;
use ledger::Subject;
use parcel::{CustodyRecord, Made, Parcel, Party, TransferRecord};
use policy::{Action, ResourceKind, Why};
use uuid::Uuid;

use self::happened::Side;
use self::kept::Told;
pub(crate) use self::kept::events as kept_events;
use crate::custody::custodian;
use crate::download::{Download, Pieces};
use crate::model::{ExportRow, IncomingRow, Item};
use crate::record::{About, cji};
use crate::{Caller, Exchange, ExchangeError};

/// Any way but the push.
const CARRIED: &str = "carried";

/// The form of a custody record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordForm {
    /// CASE/UCO JSON-LD.
    JsonLd,
    /// PDF/A-3b with the JSON-LD inside.
    Pdf,
}

/// A record that is ready to leave: its bytes, or what they are written from.
struct Ready {
    name: String,
    form: RecordForm,
    told: Told,
    made: Made,
    paper: Vec<u8>,
    bytes: u64,
    digest: [u8; 32],
    marks: BTreeSet<String>,
}

impl Fingerprint for Ready {
    fn fingerprint(&self) -> Print {
        Print {
            what: "custody record",
            count: 1,
            bytes: self.bytes,
            digest: self.digest,
            subjects: Vec::new(),
            caveats: self.marks.clone(),
        }
    }
}

impl Exchange {
    /// The custody record of an export, from its sealing on.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`], [`ExchangeError::Unrecorded`]; [`ExchangeError::WrongState`] before it was sealed, or
    /// while the search index is behind; [`ExchangeError::NoSuch`] where what was sealed was not kept.
    pub async fn custody_of_export(
        &self,
        caller: &Caller,
        export: Uuid,
        form: RecordForm,
    ) -> Result<Download, ExchangeError> {
        let row = self.export_row(export).await?;
        let (Some(parcel), Some(sealed)) = (row.parcel, row.details.sealed.clone()) else {
            let (is, needs) = (row.status, "sealed");
            return Err(ExchangeError::WrongState { what: "export", is, needs });
        };
        let about = About {
            kind: ResourceKind::Export,
            id: export.to_string(),
            record_class: cji()?,
            caveats: row.details.items.iter().flat_map(|item| item.caveats.clone()).collect(),
            requested_by: Some(row.details.requester.id.clone()),
            agreement: None,
        };
        let plan = Plan::Export(format!("give the custody record of export {export}"));
        let permit = self.ask(caller, Action::ViewExports, about, &row.details.why, plan).await?;
        let signer = sealed.custody_signer.as_deref().and_then(certificate);
        let signer = signer.ok_or(ExchangeError::NoSuch { what: "custody record of the sealing" });
        let made = match signer {
            Ok(signer) => {
                self.of_export(&row, (parcel, sealed.entry), (signer, sealed.at), form).await
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(ready) => {
                let released = self.0.setup.gate.release(permit.hold(ready)).await?;
                Ok(stream(released))
            }
            Err(error) => {
                self.withhold_each(vec![permit], &error.chain()).await?;
                Err(error)
            }
        }
    }

    async fn of_export(
        &self,
        row: &ExportRow,
        (parcel, sealed): (Uuid, u64),
        signed: (Certificate, Timestamp),
        form: RecordForm,
    ) -> Result<Ready, ExchangeError> {
        let partner = self.book().partner(&row.partner);
        let name = partner.map_or_else(|| row.partner.clone(), |partner| partner.name.clone());
        let details = &row.details;
        let side = Side {
            partner: Party { ori: row.partner.clone(), name },
            sent: true,
            names: true,
            told: details.told.clone(),
            way: if details.delivery.route.is_some() { CARRIED } else { "push" },
        };
        let mut about = vec![subject("export", row.id)];
        about.extend(row.exchange.map(|exchange| subject("exchange", exchange)));
        let entries = self.entries_about(about, entries_of_export(row)).await?;
        // What came before is in the sealed record.
        let entries = entries.into_iter().filter(|entry| entry.number.0 >= sealed).collect();
        let this = self.clone();
        let made = self.made(None);
        let work = move || {
            let mut told = this.kept_custody(parcel, signed)?;
            told.events.extend(this.happened(&side, entries)?);
            ready(told, made, form)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)?
    }

    /// The custody record of a received parcel: with a reason to open it, for who may do that, all that it holds is
    /// told; without one, what happened to it, and no file's name.
    ///
    /// # Errors
    /// As [`Exchange::custody_of_export`]; with a reason as [`Exchange::contents`] too.
    pub async fn custody_of_incoming(
        &self,
        caller: &Caller,
        exchange: Uuid,
        why: Option<&Why>,
        form: RecordForm,
    ) -> Result<Download, ExchangeError> {
        let Some(why) = why else {
            return self.outline_of_incoming(caller, exchange, form).await;
        };
        let (row, inside) = self.accepted(exchange).await?;
        let plan = format!("give the custody record of exchange {exchange}");
        let leave = self.leave_to_open(caller, (&row, &inside), None, why, &plan).await?;
        match self.of_incoming(&row, true, form).await {
            Ok(ready) => Ok(stream(self.give(leave, ready).await?)),
            Err(error) => {
                self.keep_closed(leave, &error.chain()).await?;
                Err(error)
            }
        }
    }

    async fn outline_of_incoming(
        &self,
        caller: &Caller,
        exchange: Uuid,
        form: RecordForm,
    ) -> Result<Download, ExchangeError> {
        let row = self.incoming_row(exchange).await?;
        let about = crate::opening::about(&row, row.details.inside.as_ref())?;
        let plan = Plan::Parcel(format!("tell what happened in exchange {exchange}"));
        let permit = self.ask(caller, Action::ViewParcels, about, &Why::default(), plan).await?;
        match self.of_incoming(&row, false, form).await {
            Ok(ready) => Ok(stream(self.0.setup.gate.release(permit.hold(ready)).await?)),
            Err(error) => {
                self.withhold_each(vec![permit], &error.chain()).await?;
                Err(error)
            }
        }
    }

    async fn of_incoming(
        &self,
        row: &IncomingRow,
        whole: bool,
        form: RecordForm,
    ) -> Result<Ready, ExchangeError> {
        let partner = Party { ori: row.partner.clone(), name: row.details.sender_name.clone() };
        let way = if row.details.afterwards.carried.is_some() { CARRIED } else { "push" };
        let side = Side { partner, sent: false, names: whole, told: Vec::new(), way };
        let about = vec![subject("exchange", row.exchange)];
        let entries = self.entries_about(about, entries_of_incoming(row)).await?;
        let (this, row, trust) = (self.clone(), row.clone(), self.trust_in(row));
        let made = self.made((!whole).then(|| {
            "Without the names of its files, and without what its sender says of them: this is what happened to the \
             parcel here."
                .to_owned()
        }));
        let work = move || {
            let mut told =
                if whole { this.sealed_record(&row, &trust?)? } else { this.outline(&row) };
            told.events.extend(this.happened(&side, entries)?);
            ready(told, made, form)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)?
    }

    /// What a parcel that lies here holds of itself. Waits for the disk.
    fn sealed_record(
        &self,
        row: &IncomingRow,
        trust: &parcel::Trust,
    ) -> Result<Told, ExchangeError> {
        let read = || {
            let parcel = Parcel::enter(&self.0.store.incoming(row.exchange), trust)?;
            let unlocked = parcel.unlock(self.opener(&parcel))?;
            let events = unlocked.custody_events()?;
            let (digest, files) = (unlocked.custody_sha256(), unlocked.files().to_vec());
            Ok((unlocked.record().clone(), files, events, digest))
        };
        let (record, files, events, digest) = read().map_err(ExchangeError::Refused)?;
        let events = events.unwrap_or_else(|| vec![self.in_another_form(row, digest, Vec::new())]);
        Ok(Told { record, files, events })
    }

    /// Of a parcel that may not be opened, or is here no more: its names.
    fn outline(&self, row: &IncomingRow) -> Told {
        let details = &row.details;
        let record = TransferRecord {
            profile: parcel::SEAL_PROFILE.to_owned(),
            parcel: row.parcel,
            sealed_at: row.offered_at,
            sender_certificate: String::new(),
            recipient_certificates: Vec::new(),
            key_transport: None,
            transfer: parcel::Transfer {
                exchange_id: row.exchange.to_string(),
                exchange_number: None,
                purpose: "not told here".to_owned(),
                authority: match details.agreement.as_str() {
                    "" => "not told here".to_owned(),
                    agreement => format!("agreement {agreement}, as its offer said"),
                },
                case_number: None,
                handling: Vec::new(),
                record_classes: Vec::new(),
                retention: None,
                sender: Party { ori: row.partner.clone(), name: details.sender_name.clone() },
                recipient: self.0.setup.agency.clone(),
            },
        };
        Told { record, files: Vec::new(), events: Vec::new() }
    }

    fn made(&self, left_out: Option<String>) -> Made {
        Made { at: self.now(), by: custodian(&self.0.setup.agency), left_out }
    }
}

/// Measures a record, so that what leaves is known before it does.
fn ready(told: Told, made: Made, form: RecordForm) -> Result<Ready, ExchangeError> {
    let Told { record: of, files, events } = &told;
    if events.len() > parcel::CUSTODY_EVENTS_MAX {
        let (what, is) = ("custody record", format!("of {} events", events.len()));
        return Err(ExchangeError::WrongState { what, is, needs: "of at most 10000" });
    }
    let record = CustodyRecord { of, files, events, made: &made };
    let mut paper = Vec::new();
    let (bytes, digest) = match form {
        RecordForm::JsonLd => record.measure().map_err(ExchangeError::Seal)?,
        RecordForm::Pdf => {
            paper = record.paper().map_err(ExchangeError::Seal)?;
            (paper.len() as u64, keys::digest::sha256(&paper))
        }
    };
    let end = match form {
        RecordForm::JsonLd => "jsonld",
        RecordForm::Pdf => "pdf",
    };
    let name = format!("custody-{}.{end}", of.parcel);
    let marks = of.transfer.handling.iter().cloned().collect();
    Ok(Ready { name, form, made, paper, bytes, digest, marks, told })
}

/// Writes what was released, piece by piece.
fn stream(released: Released<Ready>) -> Download {
    let (ready, _) = released.into_parts();
    let (mut out, pieces) = Pieces::new();
    let media_type = match ready.form {
        RecordForm::JsonLd => "application/ld+json",
        RecordForm::Pdf => "application/pdf",
    };
    let name = ready.name.clone();
    tokio::task::spawn_blocking(move || {
        let Ready { told: Told { record: of, files, events }, made, .. } = &ready;
        let written = match ready.form {
            RecordForm::Pdf => out.write_all(&ready.paper),
            RecordForm::JsonLd => {
                CustodyRecord { of, files, events, made }.write(&mut out).map_err(io::Error::other)
            }
        };
        out.end(written);
    });
    Download { name, media_type, pieces }
}

fn subject(kind: &str, id: Uuid) -> Subject {
    Subject { kind: kind.to_owned(), id: id.to_string() }
}

fn certificate(kept: &str) -> Option<Certificate> {
    Certificate::from_der(&BASE64.decode(kept).ok()?).ok()
}

/// The entries that an export's own facts name.
fn entries_of_export(row: &ExportRow) -> Vec<u64> {
    let (details, delivery) = (&row.details, &row.details.delivery);
    let sealed = details.sealed.as_ref();
    let one = [
        sealed.map(|it| it.entry),
        sealed.and_then(|it| it.gone.as_ref()).map(|gone| gone.entry),
        delivery.sent_entry,
        delivery.laid.as_ref().map(|it| it.entry),
        details.receipt.as_ref().map(|it| it.entry),
        details.refusal.as_ref().map(|it| it.entry),
        details.recall.as_ref().map(|it| it.entry),
    ];
    one.into_iter().flatten().chain(details.told.iter().map(|told| told.entry)).collect()
}

/// The entries that a received parcel's own facts name.
fn entries_of_incoming(row: &IncomingRow) -> Vec<u64> {
    let (details, after) = (&row.details, &row.details.afterwards);
    let acts = [&after.accepted, &after.rejected, &after.opened, &after.kept, &after.destroyed];
    let one = [
        Some(details.offer_entry),
        details.received_entry,
        details.receipt.as_ref().map(|it| it.entry),
        details.refusal.as_ref().map(|it| it.entry),
        details.scan.as_ref().map(|it| it.entry),
        after.recalled.as_ref().map(|it| it.entry),
    ];
    let acts = acts.into_iter().flatten().map(|act| act.entry);
    one.into_iter().flatten().chain(acts).collect()
}

/// The exchanges that items came from, for the record that they are passed on.
pub(crate) fn origins(items: &[Item]) -> Vec<Subject> {
    let from = items.iter().filter_map(|item| item.received.as_ref());
    let from: BTreeSet<Uuid> = from.map(|received| received.exchange).collect();
    from.into_iter().map(|exchange| subject("exchange", exchange)).collect()
}
