//! Delivery without the partner's server: a parcel is laid down where the partner fetches it (object storage,
//! SFTP, the portal for guests) or carries it from (a medium).
//!
//! Invariants: what is laid down is ciphertext and its signed manifests; the sending is recorded before the first
//! byte leaves, each attempt that fails and the end are recorded too; and a parcel counts as laid down only after
//! its depot looked at what is really there. The signature is laid down last: where it is, the rest is.

mod clearing;
mod medium;
mod portal;
mod sftp;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use keys::digest::Sha256;
use ledger::{Event, Laid, Unlaid};
use parcel::{part_path, tag_files};
use policy::{Ori, Why};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use clearing::{Clearing, Left};
pub use medium::{Form as MediumForm, Medium};
pub use portal::Portal;
pub(crate) use sftp::listed;
pub use sftp::{Sftp, SftpTarget};

use crate::delivery::short;
use crate::error::{ExchangeError, store};
use crate::model::{Export, ExportRow, ExportStatus, SealedFacts};
use crate::progress::Phase;
use crate::recall::Stop;
use crate::{Agreement, Caller, Exchange, Partner};

/// The file that is laid down last.
const LAST: &str = "seal/tagmanifest-sha256.txt.p7s";

/// Why a parcel is not laid down.
#[derive(Debug, thiserror::Error)]
pub enum DepotError {
    #[error("{place} is not there")]
    NotThere { place: String },
    #[error("could not {doing}")]
    Failed {
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was read back is not what was sent.
    #[error("`{file}` is not there as it was sent")]
    Differs { file: String },
    /// What was to be removed is there all the same.
    #[error("`{file}` of it is still there")]
    StillThere { file: String },
    /// What the partner's server, or the program that speaks to it, said.
    #[error("sftp: {said}")]
    Sftp { said: String },
    /// The way's name leads elsewhere than it did when it was asked for and approved.
    #[error("`{name}` leads to {is} now; it was approved when it led to {was}")]
    Elsewhere { name: String, was: String, is: String },
    #[error("it was stopped before its end")]
    Stopped,
}

impl DepotError {
    /// For an error of whatever lies below.
    pub fn failed<E>(doing: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Failed { doing, source: source.into() }
    }
}

/// One file of a parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadFile {
    /// Below the parcel's folder, with `/`.
    pub path: String,
    pub bytes: u64,
    pub sha256: [u8; 32],
}

/// A parcel to be laid down.
#[derive(Debug, Clone)]
pub struct Load {
    pub parcel: Uuid,
    /// Where it lies here.
    pub folder: PathBuf,
    /// The parts, then the tag files, the signature last.
    pub files: Vec<LoadFile>,
    /// As many of them are parts.
    pub parts: u64,
}

impl Load {
    /// The folder that it lies in over there.
    pub fn top(&self) -> String {
        format!("parcel-{}", self.parcel)
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl LoadFile {
    /// Whether the file in our own store is still the one that was sealed, where nobody looks at what arrived.
    fn check(&self, folder: &Path) -> Result<(), DepotError> {
        let failed = || DepotError::failed::<std::io::Error>("read a parcel");
        let mut file = File::open(folder.join(&self.path)).map_err(failed())?;
        let (mut hash, mut piece) = (Sha256::new(), vec![0; 256 * 1024]);
        loop {
            match file.read(&mut piece).map_err(failed())? {
                0 => break,
                count => hash.update(piece.get(..count).unwrap_or_default()),
            }
        }
        match hash.finish() == self.sha256 {
            true => Ok(()),
            false => Err(DepotError::Differs { file: self.path.clone() }),
        }
    }
}

/// What a depot is to mind on the way: how fast, whether still, and to tell how far it is.
#[derive(Clone)]
pub struct Way {
    of: Option<(Exchange, Uuid)>,
    headway: Arc<AtomicBool>,
}

impl Way {
    fn of(exchange: &Exchange, export: Uuid) -> Self {
        Self { of: Some((exchange.clone(), export)), headway: Arc::default() }
    }

    /// Of nobody's export: without limit, and nobody is told.
    pub fn unwatched() -> Self {
        Self { of: None, headway: Arc::default() }
    }

    /// So many bytes more are there now, and stay for the next attempt to go on from.
    pub fn moved(&self, bytes: u64) {
        self.headway.store(true, Ordering::Relaxed);
        self.there(bytes);
    }

    /// So many bytes need not move: they were there, or the next attempt begins anew with them.
    pub fn there(&self, bytes: u64) {
        if let Some((exchange, export)) = &self.of {
            exchange.advance(*export, bytes);
        }
    }

    /// Whether anything moved that the next attempt goes on from.
    pub fn made_headway(&self) -> bool {
        self.headway.load(Ordering::Relaxed)
    }

    /// Waits until so many bytes may leave.
    pub async fn pace(&self, bytes: u64) {
        if let Some((exchange, _)) = &self.of {
            exchange.pace(bytes).await;
        }
    }

    /// The limit, for programs that keep it themselves.
    pub fn bytes_per_second_max(&self) -> Option<u64> {
        self.of.as_ref().and_then(|(exchange, _)| exchange.0.setup.settings.bytes_per_second_max)
    }
}

/// When a parcel was laid down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaidFacts {
    pub at: Timestamp,
    /// The ledger entry that says so.
    pub entry: u64,
    pub bytes: u64,
}

/// What [`Depot::lay`] gives.
pub type Laying<'a> = Pin<Box<dyn Future<Output = Result<(), DepotError>> + Send + 'a>>;

/// A place to lay parcels down.
pub trait Depot: Send + Sync {
    /// What it is, in words for people: `the bucket evidence-drop`.
    fn words(&self) -> String;

    /// Lays a parcel down, from wherever the last attempt ended, and looks at what is there then. Stops where it
    /// is dropped.
    fn lay<'a>(&'a self, load: &'a Load, way: &'a Way) -> Laying<'a>;

    /// Removes what lies there of a parcel that was taken back, half of it too, and looks that nothing is left.
    fn clear<'a>(&'a self, left: &'a Left) -> Laying<'a>;
}

/// A way to one partner, or to all, beside the push to its server.
#[derive(Clone)]
pub struct Route {
    /// Whose; a medium is everybody's.
    pub partner: Option<Ori>,
    /// As forms and agreements call it.
    pub name: String,
    pub depot: Arc<dyn Depot>,
}

/// What agreements call the delivery to the partner's own server.
pub const PUSH: &str = "push";

impl Exchange {
    /// The ways to a partner beside the push.
    pub fn routes(&self, partner: &str) -> impl Iterator<Item = &Route> {
        let partner = partner.to_owned();
        let fits =
            move |route: &&Route| route.partner.as_ref().is_none_or(|ori| ori.as_str() == partner);
        self.0.setup.routes.iter().filter(fits)
    }

    /// One of them.
    pub(crate) fn route(&self, partner: &str, name: &str) -> Result<Route, ExchangeError> {
        let found = self.routes(partner).find(|route| route.name == name).cloned();
        found.ok_or(ExchangeError::NoSuch { what: "way of delivery" })
    }

    /// Whether a partner has a server to push to.
    pub fn takes_push(&self, partner: &str) -> bool {
        self.book().partner(partner).is_some_and(|partner| partner.server.is_some())
    }

    /// How an export goes, in words.
    pub fn route_words(&self, partner: &str, route: Option<&str>) -> String {
        match route {
            None => "To the partner’s server, over mutual TLS".to_owned(),
            Some(name) => match self.route(partner, name) {
                Ok(route) => format!("{name}: {}", route.depot.words()),
                Err(_) => format!("{name}, which the configuration has no more"),
            },
        }
    }

    /// One attempt to lay an export down. Its sending is recorded.
    pub(crate) async fn lay_down(
        &self,
        export: Uuid,
        (partner, name): (&Partner, &str),
        (parcel, exchange): (Uuid, Uuid),
        sealed: &SealedFacts,
        stop: &Stop,
    ) -> Result<Export, ExchangeError> {
        let way = Way::of(self, export);
        let attempt = async {
            // Who took it back before the bell was hung is heard here, and who does so later by the bell.
            self.still_sending(export).await?;
            let route = self.route(partner.ori.as_str(), name)?;
            let load = self.load(parcel, sealed).await?;
            self.report(export, Phase::Sending, 0, load.bytes());
            route.depot.lay(&load, &way).await?;
            Ok::<_, ExchangeError>(load.bytes())
        };
        let outcome = tokio::select! {
            biased;
            () = stop.rung() => {
                let (is, needs) = ("recalled".to_owned(), "sending");
                return Err(ExchangeError::WrongState { what: "export", is, needs });
            }
            outcome = attempt => outcome,
        };
        if let Err(error @ ExchangeError::WrongState { .. }) = outcome {
            return Err(error);
        }
        if outcome.is_err() && way.made_headway() {
            self.note_movement(export).await?;
        }
        let row = self.export_row(export).await?;
        let (exchange, parcel) = (exchange.to_string(), parcel.to_string());
        let (partner, route) = (row.partner.clone(), name.to_owned());
        match outcome {
            Err(error) => {
                let attempt = u64::from(row.details.delivery.failures).saturating_add(1);
                let reason = short(&error.chain());
                let failed = Unlaid { exchange, parcel, partner, route, attempt, reason };
                let event = Event::DeliveryFailed(failed);
                self.record(None, &row.details.why, event).await?;
                Err(error)
            }
            Ok(bytes) => {
                let (digest, place) = (sealed.digest.clone(), row.details.delivery.place.clone());
                let laid = Laid { exchange, parcel, partner, digest, route, place, bytes };
                self.settle_laid(&row, laid).await
            }
        }
    }

    /// Records that it lies there, then stores it: what somebody else changed meanwhile stays changed.
    async fn settle_laid(&self, row: &ExportRow, laid: Laid) -> Result<Export, ExchangeError> {
        let bytes = laid.bytes;
        let event = Event::ParcelDelivered(laid);
        let receipt = self.record(None, &row.details.why, event).await?;
        let facts = LaidFacts { at: receipt.at, entry: receipt.entry.0, bytes };
        let settled = |row: &mut ExportRow| {
            let delivery = &mut row.details.delivery;
            delivery.laid = Some(facts.clone());
            delivery.last_problem = None;
            delivery.next_attempt_at = None;
            // It may have been taken back while it was laid down.
            if row.status == ExportStatus::Sending.as_str() {
                row.status = ExportStatus::Delivered.as_str().to_owned();
            }
        };
        let row = self.change_export(row.id, receipt.at, settled).await?;
        self.report(row.id, Phase::Done, bytes, bytes);
        Export::of(row)
    }

    /// The sealed parcel, file by file. Only the one that was sealed.
    pub(crate) async fn load(
        &self,
        parcel: Uuid,
        sealed: &SealedFacts,
    ) -> Result<Load, ExchangeError> {
        let (folder, trust) = (self.0.store.sent(parcel), self.own_trust());
        let expected = sealed.digest.clone();
        let read = move || {
            let found = parcel::Parcel::enter(&folder, &trust).map_err(ExchangeError::Refused)?;
            if hex::encode(found.digest()) != expected {
                let what = "a parcel in the store that is another";
                return Err(ExchangeError::Protocol { what });
            }
            let mut files = Vec::new();
            for (number, digest) in (0_u64..).zip(found.part_digests()) {
                let path = part_path(number);
                let facts = std::fs::metadata(folder.join(&path));
                let bytes = facts.map_err(store("look at a part"))?.len();
                files.push(LoadFile { path, bytes, sha256: *digest });
            }
            let parts = files.len() as u64;
            let tags = tag_files(&folder).into_iter().filter(|path| *path != LAST);
            for path in tags.chain([LAST]) {
                let bytes = std::fs::read(folder.join(path)).map_err(store("read a parcel"))?;
                let (length, sha256) = (bytes.len() as u64, keys::digest::sha256(&bytes));
                files.push(LoadFile { path: path.to_owned(), bytes: length, sha256 });
            }
            Ok(Load { parcel, folder, files, parts })
        };
        tokio::task::spawn_blocking(read).await.map_err(|_| ExchangeError::Stopped)?
    }

    /// Where a way leads now, in words; nothing where it is the push, which leads to the partner's certificate.
    pub(crate) fn place(
        &self,
        partner: &str,
        route: Option<&str>,
    ) -> Result<Option<String>, ExchangeError> {
        let found = route.map(|name| self.route(partner, name)).transpose()?;
        Ok(found.map(|route| route.depot.words()))
    }

    /// Where an export will go, if it may go this way: the partner has it, and the agreement does not close it.
    pub(crate) async fn check_route(
        &self,
        agreement: &Agreement,
        route: Option<&str>,
        caller: &Caller,
        why: &Why,
    ) -> Result<Option<String>, ExchangeError> {
        let partner = agreement.facts.partner.as_str();
        let expected = "one of the ways to this partner";
        let place = self.place(partner, route);
        let place = place.map_err(|_| ExchangeError::Input { field: "route", expected })?;
        if route.is_none() && !self.takes_push(partner) {
            return Err(ExchangeError::Input { field: "route", expected });
        }
        let Err(clause) = agreement.goes(route) else { return Ok(place) };
        let event = Event::RequestRefused {
            route: format!("export to {partner}"),
            reason: clause.recorded(),
        };
        let receipt = self.record(Some(caller), why, event).await?;
        Err(ExchangeError::Clause { entry: receipt.entry, clause })
    }
}
