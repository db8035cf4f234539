//! Sharing with partners: agreements, exports, deliveries, receipts, and opening what arrived.
//!
//! An export lives through request → approval by others → sealing → delivery → receipt; a partner's
//! parcel through offer → parts → verification → receipt → opening. Each step is recorded in the
//! ledger before it takes effect:
//! * no byte is offered before the parcel's sealing and its sending are recorded;
//! * nothing that arrived can be opened before its arrival is recorded;
//! * a record that fails stops the step, and the step is done again later.
//!
//! The exchange's id is the same in both ledgers, and its number in the sender's sequence for that
//! partner has no gaps, so that neither side can leave one out unseen.
//!
//! What is absent: this room fetches nothing. What is to be sealed comes in already released. The HTTP
//! protocol between two agencies is in `docs/formats/delivery.md`.

mod afterwards;
mod again;
mod agreements;
mod aloud;
mod arrivals;
mod bandwidth;
mod book;
mod bringing;
mod carried;
mod copies;
mod custody;
mod custody_record;
mod delivery;
mod depots;
mod destruction;
mod download;
mod error;
mod expiry;
mod exports;
mod films;
#[doc(hidden)]
pub mod fuzzing;
mod gaps;
mod guests;
mod handing;
pub mod joint;
mod keeping;
mod leave;
mod listed;
mod model;
mod nearest;
mod notices;
mod notified;
mod offers;
mod opening;
mod passing;
mod program;
mod progress;
mod proofs;
mod protocol;
mod push;
mod recall;
mod receive;
mod record;
mod redacted;
mod resuming;
mod returned;
mod reviewing;
mod scanner;
mod scanning;
mod sealed_custody;
mod sealing;
mod seen;
mod settling;
mod stamping;
mod store;
mod templates;
#[doc(hidden)]
pub mod testing;
mod verifying;
mod waiting;
mod whole;
pub mod witnessing;
mod working;
mod written;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gate::Gate;
use jiff::{SignedDuration, Timestamp};
use keys::{Clock, Random};
use ledger::Ledger;
use parcel::{Party, Recipient, Signer};
use policy::Actor;
use state::State;
use tokio::sync::{Notify, Semaphore, watch};
use uuid::Uuid;

pub use afterwards::{ActFacts, Afterwards, RecallFacts, RecalledFacts, Told, ToldFacts};
pub use agreements::{AgreementVersion, Held, Text};
pub use aloud::aloud;
pub use arrivals::{Arrived, answer_for, arrivals};
pub use book::{
    Agreement, Asked, Book, Clause, Conflict, Delivery, Judged, Jurisdictions, NEAR_DAYS, Partner,
    Problem, Redistribution, Revoked, Rule, Server, Signatory, SignedDocument, Sort, Stricter,
    Terms, check_agreement, is_delivery_name,
};
pub use bringing::Brought;
pub use carried::{Carried, CarriedFacts};
pub use copies::CopyGone;
pub use custody::ReceivedFrom;
pub use custody_record::RecordForm;
pub use depots::{
    Clearing, Depot, DepotError, LaidFacts, Laying, Left, Load, LoadFile, Medium, MediumForm, PUSH,
    Portal, Route, Sftp, SftpTarget, Way,
};
pub use download::{Download, Form};
pub use error::ExchangeError;
pub use exports::NewExport;
pub use films::Films;
pub use gaps::MissingNumber;
pub use guests::{GuestFacts, Manifest, NewGuest};
pub use listed::{Change, ChangedFacts, Listed, RowsChanged};
pub use model::{
    DeliveryFacts, Export, ExportDetails, ExportStatus, Incoming, IncomingStatus, Inside, Item,
    ReceiptFacts, ReceivedFile, RefusalFacts, SealedFacts, Voice,
};
pub use opening::Contents;
pub use parcel::notice::Matter;
pub use passing::{Origin, Passing};
pub use progress::{Phase, Progress};
pub use proofs::Proved;
pub use recall::recallable;
pub use redacted::{Copied, DerivedFrom, Original, Place, RedactedCopy, Redaction};
pub use returned::{Answered, AnsweredBy, AnsweredFacts, RecallAnswer, Returned};
pub use scanner::Scanner;
pub use scanning::{Finding, ScanFacts, ScanSummary, ScanTrouble};
pub use sealing::{Content, Derived, Fetched, SealItem, Unfetched};
pub use seen::Seen;
pub use settling::{Settled, asked};
pub use stamping::{
    AuthorityLine, AuthorityPlace, CameStamp, NotAnAuthority, StampError, StampFacts,
    TimeStampAuthority, TimeStamps, UnstampedFacts,
};
pub use store::{Disk, DiskFile, SystemDisk};
pub use templates::{Filled, Template};
pub use written::{HeldText, Written, WrittenText, WrittenVersion};

use crate::store::Store;

/// What can be tuned. [`Settings::usual`] fits two agencies on a good line.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Plaintext bytes of a part.
    pub part_bytes: u64,
    /// Parts that are sent at a time, each on a connection of its own.
    pub parts_at_a_time: usize,
    /// The wait after the first failed attempt; doubled after each further one.
    pub retry_wait_first: Duration,
    pub retry_wait_max: Duration,
    /// Attempts without progress after which a person has to say "again".
    pub failures_max: u32,
    /// From sealing on; what the partner has not taken by then is dropped on both sides.
    pub offer_life: Duration,
    /// How often a partner is reminded of a recall that it has not answered.
    pub remind_every: Duration,
    /// How many bytes of parcels leave in a second, over all deliveries; as many as the line takes where it is `None`.
    pub bytes_per_second_max: Option<u64>,
    pub client: wire::ClientLimits,
    /// Looks at what arrives, where the agency has one.
    pub scanner: Option<Scanner>,
    /// Whether the platform destroys parcels whose time is over; otherwise a person does.
    pub destroy_when_due: bool,
    /// For how long our own sealed copy of a parcel is kept after it arrived.
    pub keep_sent: Duration,
    /// What all that others brought may take in the store.
    pub brought_bytes_max: u64,
}

impl Settings {
    /// The wait after so many failed attempts.
    pub(crate) fn retry_wait(&self, failures: u32) -> SignedDuration {
        let doublings = failures.saturating_sub(1).min(20);
        let wait = self.retry_wait_first.saturating_mul(1 << doublings);
        SignedDuration::try_from(wait.min(self.retry_wait_max)).unwrap_or(SignedDuration::MAX)
    }

    pub const fn usual() -> Self {
        Self {
            part_bytes: parcel::PART_BYTES_DEFAULT,
            parts_at_a_time: 2,
            retry_wait_first: Duration::from_secs(5),
            retry_wait_max: Duration::from_secs(3600),
            failures_max: 40,
            offer_life: Duration::from_secs(14 * 24 * 3600),
            remind_every: Duration::from_secs(7 * 24 * 3600),
            bytes_per_second_max: None,
            client: wire::ClientLimits {
                connect_wait_max: Duration::from_secs(10),
                idle_wait_max: Duration::from_secs(60),
                head_bytes_max: 8 * 1024,
                headers_max: 32,
            },
            scanner: None,
            destroy_when_due: false,
            keep_sent: Duration::from_secs(90 * 24 * 3600),
            brought_bytes_max: 64 << 30,
        }
    }
}

/// What an agency's exchange is made of.
pub struct Setup {
    pub agency: Party,
    pub gate: Gate,
    pub ledger: Ledger,
    /// The ledger's C2SP origin, which custody records name.
    pub ledger_origin: String,
    pub state: State,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Where sealed parcels lie, ours and partners'. Nothing in it is in the clear.
    pub store: PathBuf,
    /// [`SystemDisk`], except in tests.
    pub disk: Arc<dyn Disk>,
    /// Signs our parcels and receipts.
    pub signer: Signer,
    /// Opens what is sealed to us.
    pub recipient: Recipient,
    /// Opens what is sealed to our ML-KEM certificate alone; most is sealed to both.
    pub recipient_kem: Option<Recipient>,
    /// Our end of mutual TLS.
    pub tls: wire::tls::Own,
    pub book: Book,
    /// Ways to partners beside the push to their servers.
    pub routes: Vec<Route>,
    /// Cosigns for the ledgers of those partners whose `ledger_key` we have.
    pub cosigner: Option<Arc<witnessing::Cosigner>>,
    /// Stamps what we seal, where the agency has an authority for that.
    pub time_stamps: Option<TimeStamps>,
    /// Stamps what partners ask us to stamp, where we are an authority.
    pub time_stamp_authority: Option<TimeStampAuthority>,
    pub settings: Settings,
}

/// What a certificate of an agency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateUse {
    Tls,
    Signing,
    Sealing,
    /// ML-KEM, beside the other.
    SealingKem,
    TimeStamps,
}

impl CertificateUse {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::Tls, Self::Signing, Self::Sealing, Self::SealingKem, Self::TimeStamps];

    /// As agreements and refusals call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::Signing => "signing",
            Self::Sealing => "sealing",
            Self::SealingKem => "ML-KEM sealing",
            Self::TimeStamps => "time-stamp",
        }
    }

    /// What it does, in a sentence: "the certificate that …".
    pub(crate) fn does(self) -> &'static str {
        match self {
            Self::Tls => "its connections show (TLS)",
            Self::Signing => "signs its parcels and receipts",
            Self::Sealing => "parcels are sealed to",
            Self::SealingKem => "parcels are sealed to (ML-KEM)",
            Self::TimeStamps => "signs its time stamps",
        }
    }

    /// In words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Tls => "For the connection (TLS)",
            Self::Signing => "Signs parcels and receipts",
            Self::Sealing => "Parcels are sealed to it",
            Self::SealingKem => "Parcels are sealed to it too (ML-KEM)",
            Self::TimeStamps => "Signs time stamps",
        }
    }
}

/// Who asks, and from where.
#[derive(Debug, Clone)]
pub struct Caller {
    pub actor: Actor,
    pub origin: ledger::Origin,
    /// First digits of the session's hash.
    pub session: Option<String>,
}

/// An agency's exchange. Clones share it.
#[derive(Clone)]
pub struct Exchange(Arc<Inner>);

/// Guests that fetch at once.
const GUESTS_AT_ONCE: usize = 16;

pub(crate) struct Inner {
    pub(crate) setup: Setup,
    pub(crate) store: Store,
    /// What parcels leave through, where it is limited, and since when time is counted for it.
    bandwidth: Option<bandwidth::Bucket>,
    began: std::time::Instant,
    progress: Mutex<HashMap<Uuid, watch::Sender<Progress>>>,
    /// Exports that are being sealed or sent, and exchanges that are being verified, by this process.
    busy: Mutex<std::collections::HashSet<Uuid>>,
    /// Told whenever one of them comes to its end.
    freed: Notify,
    /// Exchanges whose folders lay in the store when it was opened, until they were looked at.
    found: Mutex<Vec<Uuid>>,
    /// Exchanges whose parcels are being scanned by this process.
    scans: Mutex<std::collections::HashSet<Uuid>>,
    /// Room for guests who fetch: each takes a thread for as long as their line is slow.
    guests: Arc<Semaphore>,
    /// What is known of the folder for what arrives.
    pub(crate) arrivals: Mutex<arrivals::Rest>,
    /// Exports whose parcels are gone where they were laid down, and not on record yet.
    pub(crate) cleared: Mutex<std::collections::HashSet<Uuid>>,
    /// Rung when there may be work.
    bell: Notify,
    /// Rung for an export that is being sealed or sent and was taken back.
    stops: Mutex<Vec<(Uuid, Arc<Notify>)>>,
    /// Places of the malware scanner.
    pub(crate) scan_places: tokio::sync::Semaphore,
    /// When the slow work was looked through last.
    tended: Mutex<Option<Timestamp>>,
}

impl Exchange {
    /// Opens the store (made if missing, mode 700) and clears away what a crash left in it.
    ///
    /// # Errors
    /// [`ExchangeError::Store`].
    pub fn open(setup: Setup) -> Result<Self, ExchangeError> {
        let store = Store::open(&setup.store, Arc::clone(&setup.disk))?;
        let found = store.all_incoming().map_err(error::store("look for parcels that came"))?;
        let bandwidth = setup.settings.bytes_per_second_max.map(bandwidth::Bucket::new);
        Ok(Self(Arc::new(Inner {
            setup,
            store,
            bandwidth,
            began: std::time::Instant::now(),
            progress: Mutex::default(),
            busy: Mutex::default(),
            freed: Notify::new(),
            found: Mutex::new(found),
            scans: Mutex::default(),
            guests: Arc::new(Semaphore::new(GUESTS_AT_ONCE)),
            arrivals: Mutex::default(),
            cleared: Mutex::default(),
            bell: Notify::new(),
            stops: Mutex::default(),
            scan_places: tokio::sync::Semaphore::new(scanning::SCANS_MAX),
            tended: Mutex::default(),
        })))
    }

    /// The partners and agreements in force.
    pub fn book(&self) -> &Book {
        &self.0.setup.book
    }

    /// Our own certificates, as partners know us, and what each is for.
    pub fn own_certificates(&self) -> Vec<(CertificateUse, &keys::cert::Certificate)> {
        let setup = &self.0.setup;
        let stamps = setup.time_stamp_authority.as_ref().and_then(TimeStampAuthority::certificate);
        let all = [
            (CertificateUse::Tls, setup.tls.chain.first()),
            (CertificateUse::Signing, setup.signer.chain.first()),
            (CertificateUse::Sealing, Some(&setup.recipient.certificate)),
            (CertificateUse::SealingKem, setup.recipient_kem.as_ref().map(|kem| &kem.certificate)),
            (CertificateUse::TimeStamps, stamps),
        ];
        all.into_iter().filter_map(|(usage, one)| Some((usage, one?))).collect()
    }

    /// The TLS configuration of the listener for partners: a client certificate of one of them is
    /// required.
    ///
    /// # Errors
    /// [`ExchangeError::Wire`], also where there is no partner.
    pub fn listener_tls(&self) -> Result<wire::tls::ServerTls, ExchangeError> {
        // One that is revoked comes in and is told so, on record, whatever it asks.
        let servers = self.book().partners().filter_map(|partner| partner.server.as_ref());
        let mut leaves: Vec<_> = servers.map(|server| server.tls.clone()).collect();
        if leaves.is_empty() && self.book().partners().next().is_some() {
            // None of them calls here. Somebody has to be let in: ourselves, who are no partner.
            leaves.extend(self.0.setup.tls.chain.first().cloned());
        }
        let trust = wire::tls::Trust { authorities: Vec::new(), leaves };
        let clock = Arc::clone(&self.0.setup.clock);
        Ok(wire::tls::server_config(&self.0.setup.tls, Some(&trust), clock)?)
    }

    /// Holds a checkpoint that came with a delivery or a receipt against what we cosigned for the partner.
    pub(crate) async fn hear(&self, partner: &Partner, checkpoint: Option<&str>) {
        let cosigner = self.0.setup.cosigner.as_ref().filter(|_| partner.ledger_key.is_some());
        if let (Some(cosigner), Some(note)) = (cosigner, checkpoint) {
            cosigner.hear(note.to_owned()).await;
        }
    }

    /// The key of ours that opens a parcel: either does, where it is sealed to both.
    pub(crate) fn opener(&self, parcel: &parcel::Parcel) -> &Recipient {
        let (setup, recipients) = (&self.0.setup, parcel.verified().recipients);
        let is_to = |one: &Recipient| recipients.contains(&one.certificate.fingerprint_text());
        let kem = setup.recipient_kem.as_ref().filter(|kem| is_to(kem));
        kem.filter(|_| !is_to(&setup.recipient)).unwrap_or(&setup.recipient)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.setup.clock.now()
    }

    /// A version 4 UUID from the given randomness.
    pub(crate) fn new_id(&self) -> Result<Uuid, ExchangeError> {
        let bytes = keys::random_bytes::<16>(self.0.setup.random.as_ref())?;
        Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// Claims a piece of work for this process. `None`: it is being done.
    pub(crate) fn claim(&self, id: Uuid) -> Option<Claim> {
        let mut busy = self.0.busy.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        busy.insert(id).then(|| Claim { exchange: self.clone(), id })
    }

    /// Completes when no work of this process is about it.
    pub(crate) async fn until_free(&self, id: Uuid) {
        loop {
            let mut freed = std::pin::pin!(self.0.freed.notified());
            freed.as_mut().enable();
            let busy = &self.0.busy;
            if !busy.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(&id) {
                return;
            }
            freed.await;
        }
    }
}

/// Work in hand. Ends when it is dropped.
pub(crate) struct Claim {
    exchange: Exchange,
    id: Uuid,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let busy = &self.exchange.0.busy;
        busy.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&self.id);
        self.exchange.0.freed.notify_waiters();
    }
}
