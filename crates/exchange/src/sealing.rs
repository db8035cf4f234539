//! Sealing what was approved.
//!
//! Invariants: exactly the approved paths are sealed, no more and no fewer, and of the rows that were asked for; the parcel lies in the store
//! before it is recorded, and is recorded before it is stored as sealed. If the record fails the parcel
//! is thrown away and the export is as it was. What was cut off before the parcel was whole goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use keys::cert::Certificate;
use ledger::{EntryNumber, Event};
use parcel::{Entry, Sealed, Transfer};
use policy::Action;
use uuid::Uuid;

use crate::book::{Agreement, Partner};
use crate::bringing::kept;
use crate::custody::received;
use crate::custody_record::origins;
use crate::exports::{disseminated, is_secondary, needs};
use crate::listed::Change;
use crate::model::{Export, ExportDetails, ExportRow, ExportStatus, Item, SealedFacts};
use crate::passing::PassOn;
use crate::recall::Stop;
use crate::redacted::{derivatives_stay, originals_stay};
use crate::resuming::Order;
use crate::sealed_custody::{self, Sealing};
use crate::{Caller, Exchange, ExchangeError};

/// The program that custody records name.
pub(crate) const TOOL: &str = concat!("Bailiwick ", env!("CARGO_PKG_VERSION"));
/// How long the records may be that one entry of the log of dissemination names.
const LISTED_BYTES_MAX: usize = 16 << 10;

/// One approved item, fetched and released: its bytes, and the record of its release.
pub struct SealItem {
    /// The path under which it was approved.
    pub path: String,
    pub media_type: String,
    pub modified: Timestamp,
    /// Exactly as many bytes as `open` gives.
    pub length: u64,
    pub open: parcel::Source,
    /// The entry of its release.
    pub released: EntryNumber,
    /// The digest of the rows that it was made of, or of its own row.
    pub listed: Option<String>,
    /// What it was made of, where it is no original.
    pub derived: Option<Derived>,
}

/// What a file was made of that is no original. The original is as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// What was done: `converted` or `redacted`.
    pub kind: &'static str,
    /// The original's path in this parcel, if it goes along.
    pub from: Option<String>,
    /// The original's SHA-256.
    pub sha256: [u8; 32],
    /// The program, with its version.
    pub by: String,
}

/// Why an export's items can't be had.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfetched {
    /// In words. It is tried again later.
    ForNow(String),
    /// What would leave is not what was asked for and approved. No other attempt is made.
    Changed(Vec<Change>),
}

impl From<String> for Unfetched {
    fn from(words: String) -> Self {
        Self::ForNow(words)
    }
}

impl From<&str> for Unfetched {
    fn from(words: &str) -> Self {
        Self::ForNow(words.to_owned())
    }
}

/// An export's items on their way, and who seals them.
pub type Fetched<'a> =
    Pin<Box<dyn Future<Output = Result<(Caller, Vec<SealItem>), Unfetched>> + Send + 'a>>;

/// Fetches what was approved, through the gate, when its time has come. The platform gives one to
/// [`Exchange::run`], so that approved exports are sealed also after a restart.
pub trait Content: Send + Sync {
    /// The items of an export and who seals it: one whom the policy lets do both.
    fn items<'a>(&'a self, export: &'a Export) -> Fetched<'a>;
}

impl Exchange {
    /// Seals an approved export's items into a parcel in the store. Progress can be watched.
    ///
    /// # Errors
    /// [`ExchangeError::Items`] where the items are not the approved ones; [`ExchangeError::Denied`],
    /// [`ExchangeError::Clause`]; [`ExchangeError::Seal`], [`ExchangeError::Unrecorded`], and then the
    /// export is approved as before and no parcel is left.
    pub async fn seal(
        &self,
        caller: &Caller,
        export: Uuid,
        items: Vec<SealItem>,
    ) -> Result<Export, ExchangeError> {
        self.seal_until(caller, export, items, &self.stop_of(export)).await
    }

    /// The same, until it is taken back.
    pub(crate) async fn seal_until(
        &self,
        caller: &Caller,
        export: Uuid,
        items: Vec<SealItem>,
        stop: &Stop,
    ) -> Result<Export, ExchangeError> {
        let busy = ExchangeError::Changed { what: "export" };
        let claim = Arc::new(self.claim(export).ok_or(busy)?);
        let mut row = self.export_row(export).await?;
        if row.status != ExportStatus::Sealing.as_str() {
            needs(&row, ExportStatus::Approved, "approved")?;
        }
        check_items(&row.details, &items)?;
        derivatives_stay(&row.details.items, &items)?;
        let agreement = &self.agreement(&row.agreement).await?;
        let partner = self.partner(&row.partner)?;
        let details = &row.details;
        let (asked, why) = ((export, details.items.as_slice()), &details.why);
        let requester = Some(details.requester.id.clone());
        let permits =
            self.ask_each(caller, Action::SealExport, asked, agreement, requester, why).await?;
        let permits = self.refuse_unsettled(&row, agreement, permits).await?;
        let permits = self.refuse_passing(PassOn::of(&row.details, agreement), permits).await?;
        self.begin(&mut row).await?;
        let sealed_to = partner.recipients();
        let sealed_to = sealed_to.iter().map(Certificate::fingerprint_text).collect();
        let decided =
            permits.iter().filter_map(gate::Permit::entry).map(|entry| entry.0).next_back();
        let order = self.order((caller, decided), &row, (agreement, partner), items).await;
        let outcome = match order {
            Ok(order) => self.seal_into_store(order, &claim, stop).await,
            Err(error) => Err(error),
        };
        let outcome = outcome.and_then(|it| originals_stay(&row.details.items, it));
        let outcome = match outcome {
            Ok(sealed) => match self.record_secondary(caller, &row, agreement).await {
                Ok(()) => self.record_sealed(caller, &mut row, (&sealed, sealed_to)).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            self.take_back(&mut row, &error).await;
            return Err(error);
        }
        self.close(permits).await?;
        self.0.bell.notify_one();
        Export::of(row)
    }

    /// Numbers the exchange on the first attempt; later ones keep the number.
    async fn begin(&self, row: &mut ExportRow) -> Result<(), ExchangeError> {
        row.status = ExportStatus::Sealing.as_str().to_owned();
        let now = self.now();
        if row.exchange.is_some() {
            return self.store_export(row, now).await;
        }
        row.updated_at = now;
        let (exchange, parcel) = (self.new_id()?, self.new_id()?);
        let state = &self.0.setup.state;
        if state::exports::begin_exchange(state, row, exchange, parcel).await? {
            return Ok(());
        }
        Err(ExchangeError::Changed { what: "export" })
    }

    /// What goes into the parcel, and to whom.
    async fn order(
        &self,
        (caller, decided): (&Caller, Option<u64>),
        row: &ExportRow,
        (agreement, partner): (&Agreement, &Partner),
        items: Vec<SealItem>,
    ) -> Result<Order, ExchangeError> {
        let no_exchange = || ExchangeError::NoSuch { what: "exchange" };
        let (exchange, parcel) =
            (row.exchange.ok_or_else(no_exchange)?, row.parcel.ok_or_else(no_exchange)?);
        let entries = sealed_custody::entries(&row.details, decided, &items);
        let proved = self.references(entries).await?;
        let recipients = partner.recipients();
        let (mut custody, roots) = self.custody_so_far(received(&row.details.items)).await?;
        let whose = Sealing { caller, decided, parcel, recipients: &recipients, roots: &roots };
        custody.extend(self.custody(&whose, row, (agreement, &proved), &items)?);
        let entries = items.into_iter().map(|item| Entry {
            path: item.path,
            media_type: item.media_type,
            modified: item.modified,
            length: item.length,
            open: item.open,
        });
        Ok(Order {
            export: row.id,
            parcel,
            entries: entries.collect(),
            transfer: self.transfer(row, exchange, agreement, partner),
            custody,
            recipients,
            allow_rsa_oaep: agreement.terms.rsa_oaep,
            now: self.now(),
        })
    }

    /// CHRI that leaves outside the primary agreements goes to the log of secondary dissemination, before it can.
    async fn record_secondary(
        &self,
        caller: &Caller,
        row: &ExportRow,
        agreement: &Agreement,
    ) -> Result<(), ExchangeError> {
        let details = &row.details;
        if !is_secondary(agreement, &details.items) {
            return Ok(());
        }
        let labels = disseminated(agreement, &details.items);
        let consent = details.consent.as_deref();
        let consent =
            consent.map_or(String::new(), |it| format!(", with its sender's consent: {it}"));
        for records in listed(labels.map(|item| item.label.as_str())) {
            let event = Event::SecondaryDissemination {
                export: row.id.to_string(),
                records,
                partner: row.partner.clone(),
                requestor: details.requestor.clone().unwrap_or_default(),
                method: format!("sealed parcel{consent}"),
            };
            self.record(Some(caller), &details.why, event).await?;
        }
        Ok(())
    }

    async fn record_sealed(
        &self,
        caller: &Caller,
        row: &mut ExportRow,
        (sealed, sealed_to): (&Sealed, Vec<String>),
    ) -> Result<(), ExchangeError> {
        let digest = hex::encode(sealed.digest);
        let event = Event::ParcelSealed {
            export: row.id.to_string(),
            parcel: sealed.id.to_string(),
            digest: digest.clone(),
            parts: sealed.parts,
            bytes: sealed.bytes,
        };
        let (why, from) = (&row.details.why, origins(&row.details.items));
        let receipt = self.record_about(Some(caller), why, event, from).await?;
        row.details.sealed = Some(SealedFacts {
            digest,
            parts: sealed.parts,
            bytes: sealed.bytes,
            at: receipt.at,
            entry: receipt.entry.0,
            recipients: sealed_to,
            custody_signer: self.0.setup.signer.chain.first().map(kept),
            gone: None,
        });
        row.status = ExportStatus::Sealed.as_str().to_owned();
        self.store_export(row, receipt.at).await
    }

    fn transfer(
        &self,
        row: &ExportRow,
        exchange: Uuid,
        agreement: &Agreement,
        partner: &Partner,
    ) -> Transfer {
        let details = &row.details;
        let marks: BTreeSet<String> = details
            .items
            .iter()
            .flat_map(|item| item.caveats.iter().map(ToString::to_string))
            .collect();
        let classes = details.items.iter().flat_map(Item::classes);
        let classes: BTreeSet<String> = classes.map(ToString::to_string).collect();
        let purpose = details.why.purpose.as_ref().map(ToString::to_string).unwrap_or_default();
        let reason = details.why.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        Transfer {
            exchange_id: exchange.to_string(),
            exchange_number: row.number,
            purpose: format!("{purpose}{reason}"),
            authority: format!("{} ({})", agreement.facts.id, agreement.authority),
            case_number: details.why.case_number.as_ref().map(ToString::to_string),
            handling: marks.into_iter().collect(),
            record_classes: classes.into_iter().collect(),
            retention: self.retention(details, agreement),
            sender: self.0.setup.agency.clone(),
            recipient: parcel::Party { ori: partner.ori.to_string(), name: partner.name.clone() },
        }
    }

    pub(crate) fn partner(&self, ori: &str) -> Result<&Partner, ExchangeError> {
        self.book().partner(ori).ok_or(ExchangeError::NoSuch { what: "partner" })
    }
}

/// The items must be the approved ones: same paths, same media types, nothing beside them.
fn check_items(details: &ExportDetails, items: &[SealItem]) -> Result<(), ExchangeError> {
    let bad = |path: &str, what| Err(ExchangeError::Items { path: path.to_owned(), what });
    let approved_all: BTreeMap<&str, &Item> =
        details.items.iter().map(|item| (item.path.as_str(), item)).collect();
    let mut seen = BTreeSet::new();
    for item in items {
        let Some(approved) = approved_all.get(item.path.as_str()) else {
            return bad(&item.path, "not approved");
        };
        if approved.media_type != item.media_type {
            return bad(&item.path, "approved with another media type");
        }
        if approved.listed.is_some() && approved.listed != item.listed {
            return bad(&item.path, "approved with other rows");
        }
        if !seen.insert(item.path.as_str()) {
            return bad(&item.path, "handed in twice");
        }
    }
    match details.items.iter().find(|approved| !seen.contains(approved.path.as_str())) {
        Some(missing) => bad(&missing.path, "approved and not handed in"),
        None => Ok(()),
    }
}

/// Labels joined, as many as fit into one entry of the log, none of them cut: a log of dissemination names every record.
fn listed<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut batches: Vec<String> = Vec::new();
    for label in labels {
        match batches.last_mut() {
            Some(batch) if batch.len() + label.len() < LISTED_BYTES_MAX => {
                batch.push_str("; ");
                batch.push_str(label);
            }
            Some(_) | None => batches.push(label.to_owned()),
        }
    }
    batches
}
