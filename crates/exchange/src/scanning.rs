//! Quarantine: what arrived waits for the malware scanner, and then for a person.
//!
//! Invariants: where a scanner is configured, a parcel is neither accepted nor opened before it said something of
//! every file, and what it said is in the ledger before it is shown or stored; an infected file stays closed
//! until a person with that function decides otherwise, on record and with a reason. A scanner that is away
//! leaves the parcel in quarantine, and is asked again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use gate::Permit;
use jiff::Timestamp;
use ledger::{Event, FileReleased, FileScanned, ParcelScanned};
use parcel::IndexedFile;
use parcel::scan::Outcome;
use policy::{Action, Why};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::afterwards::ActFacts;
use crate::delivery::short;
use crate::error::ExchangeError;
use crate::model::{Incoming, IncomingRow, IncomingStatus};
use crate::recall::reason_of;
use crate::scanner::{Asking, Halt, Said};
use crate::{Caller, Exchange};

/// Files that get an entry of their own in the ledger, infected ones first; the digest of the list in
/// `parcel-scanned` covers all.
const NAMED_MAX: usize = 1_000;
/// Attempts to store what came of a scan, while others change the parcel too.
const STORE_TRIES: usize = 5;
/// Parcels that are scanned at once: each is decrypted, and takes a connection of the scanner.
pub(crate) const SCANS_MAX: usize = 4;
/// What claims the round through what waits.
const ROUND: Uuid = Uuid::from_u128(0x7363_616e_206f_6e21);
/// Parcels in which a scan makes sense.
const HERE: [IncomingStatus; 2] = [IncomingStatus::Received, IncomingStatus::Accepted];
/// Parcels whose files can be decided about.
const OPEN: [IncomingStatus; 1] = [IncomingStatus::Accepted];

/// What the scanner said of a parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanFacts {
    /// Engine and signatures.
    pub engine: String,
    pub at: Timestamp,
    /// The ledger entry, and its leaf (hex).
    pub entry: u64,
    pub leaf: String,
    pub files: u64,
    /// The files that it did not call clean, by path. All others it did.
    pub findings: BTreeMap<String, Finding>,
}

/// What the scanner said of a file that it did not call clean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Otherwise it was not fully scanned.
    pub infected: bool,
    /// In words.
    pub what: String,
    /// Whether the file stays closed until somebody releases it.
    pub held: bool,
    /// Who let it be opened all the same.
    pub released: Option<ActFacts>,
}

impl ScanFacts {
    /// Why this file stays closed, if it does.
    pub fn holds(&self, path: &str) -> Option<&str> {
        let finding = self.findings.get(path)?;
        (finding.held && finding.released.is_none()).then_some(finding.what.as_str())
    }

    /// What the scanner said of this file, in words.
    pub fn said_of(&self, path: &str) -> &str {
        self.findings.get(path).map_or("clean", |finding| finding.what.as_str())
    }
}

/// A scan that did not come to its end, and is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanTrouble {
    pub since: Timestamp,
    /// The last attempt.
    pub at: Timestamp,
    /// In words for people.
    pub problem: String,
}

/// What a scan came to, in numbers: names of files are content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanSummary {
    pub engine: String,
    pub at: Timestamp,
    pub entry: u64,
    pub files: u64,
    pub infected: usize,
    pub not_fully: usize,
    /// Files that stay closed.
    pub held: usize,
}

impl ScanSummary {
    pub(crate) fn of(facts: &ScanFacts) -> Self {
        let count = |which: fn(&Finding) -> bool| {
            facts.findings.values().filter(|finding| which(finding)).count()
        };
        Self {
            engine: facts.engine.clone(),
            at: facts.at,
            entry: facts.entry,
            files: facts.files,
            infected: count(|finding| finding.infected),
            not_fully: count(|finding| !finding.infected),
            held: count(|finding| finding.held && finding.released.is_none()),
        }
    }
}

impl Exchange {
    /// Whether the agency has a malware scanner.
    pub fn has_scanner(&self) -> bool {
        self.0.setup.settings.scanner.is_some()
    }

    /// Whether a parcel still waits for the scanner.
    pub(crate) fn in_quarantine(&self, row: &IncomingRow) -> bool {
        self.has_scanner() && row.details.scan.is_none()
    }

    /// Refuses what is to be done with a parcel that is closed: it waits for the scanner, or its time is over.
    pub(crate) fn not_closed(&self, row: &IncomingRow) -> Result<(), ExchangeError> {
        let (is, needs) = if row.details.afterwards.destroy_by.is_some_and(|by| by <= self.now()) {
            ("past the time for which it may be kept", "within it")
        } else if self.in_quarantine(row) {
            ("in quarantine, not scanned yet", "scanned")
        } else {
            return Ok(());
        };
        Err(ExchangeError::WrongState { what: "parcel", is: is.to_owned(), needs })
    }

    /// The same, on record.
    pub(crate) async fn open_to(
        &self,
        row: &IncomingRow,
        permit: &Permit,
    ) -> Result<(), ExchangeError> {
        // Whoever signed it may have been revoked since, from a time before it came.
        let Err(closed) = self.not_closed(row).and(self.trust_in(row).map(drop)) else {
            return Ok(());
        };
        self.0.setup.gate.withhold(permit.ticket(), &closed.chain()).await?;
        Err(closed)
    }

    /// Begins to scan a parcel, unless that is being done.
    pub(crate) fn scan_soon(&self, exchange: Uuid) {
        if !self.has_scanner() {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move { this.scan_in_turn(exchange).await });
    }

    /// Scans a parcel once there is a place.
    async fn scan_in_turn(&self, exchange: Uuid) {
        // It is never closed.
        let Ok(_place) = self.0.scan_places.acquire().await else { return };
        if let Err(error) = self.scan_parcel(exchange).await {
            tracing::warn!(%exchange, error = error.chain(), "a parcel is not scanned yet");
        }
    }

    /// Takes up what waits for the scanner: what came while it was away or before there was one, and what a
    /// crash interrupted.
    pub(crate) async fn scan_on(&self) -> Result<(), ExchangeError> {
        if !self.has_scanner() {
            return Ok(());
        }
        // One round at a time, each parcel in its turn: what fails again keeps no other from its turn.
        let Some(round) = self.claim(ROUND) else { return Ok(()) };
        let waiting = self.every_incoming(&HERE, |parcel| parcel.scan.is_none()).await?;
        let this = self.clone();
        tokio::spawn(async move {
            let mut scans = JoinSet::new();
            for parcel in waiting {
                if scans.len() >= SCANS_MAX {
                    drop(scans.join_next().await);
                }
                let this = this.clone();
                scans.spawn(async move { this.scan_in_turn(parcel.exchange).await });
            }
            while scans.join_next().await.is_some() {}
            drop(round);
        });
        Ok(())
    }

    /// Asks the scanner about all files of a parcel, records what it said, and stores it. Where it is away, that
    /// is noted with the parcel, and told of once.
    ///
    /// # Errors
    /// [`ExchangeError::Unrecorded`], [`ExchangeError::State`]: nothing is known of the parcel then, and it is
    /// scanned again.
    pub async fn scan_parcel(&self, exchange: Uuid) -> Result<(), ExchangeError> {
        let Some(scanner) = self.0.setup.settings.scanner else { return Ok(()) };
        let Some(_claim) = self.claim_scan(exchange) else { return Ok(()) };
        let row = self.incoming_row(exchange).await?;
        if !is_here(&row) || row.details.scan.is_some() {
            return Ok(());
        }
        let trust = match self.trust_in(&row) {
            Ok(trust) => trust,
            Err(error) => return self.not_scanned(&row, &short(&error.chain())).await,
        };
        let folder = self.0.store.incoming(exchange);
        let stopped = Arc::new(AtomicBool::new(false));
        let _stop = StopOnDrop(Arc::clone(&stopped));
        let asking = Asking { scanner, runtime: tokio::runtime::Handle::current(), stopped };
        let this = self.clone();
        let work = move || asking.all(&folder, &trust, |parcel| this.opener(parcel));
        let said = tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)?;
        match said {
            Ok(said) => self.scanned(&row, said, scanner.hold_not_fully).await,
            Err(Halt::Stopped) => Err(ExchangeError::Stopped),
            Err(halt) => self.not_scanned(&row, &short(&wire::causes(&halt))).await,
        }
    }

    /// Records what the scanner said, and only then stores it.
    async fn scanned(
        &self,
        row: &IncomingRow,
        said: Said,
        hold_not_fully: bool,
    ) -> Result<(), ExchangeError> {
        let (exchange, parcel, partner) =
            (row.exchange.to_string(), row.parcel.to_string(), row.partner.clone());
        let mut odd: Vec<&(IndexedFile, Outcome)> =
            said.files.iter().filter(|(_, outcome)| *outcome != Outcome::Clean).collect();
        odd.sort_by_key(|(_, outcome)| !is_infected(outcome));
        for (file, outcome) in odd.iter().take(NAMED_MAX) {
            let event = Event::FileScanned(FileScanned {
                exchange: exchange.clone(),
                parcel: parcel.clone(),
                partner: partner.clone(),
                path: file.path.clone(),
                sha256: file.sha256.clone(),
                outcome: outcome.as_str().to_owned(),
                what: outcome.to_string(),
            });
            self.record(None, &Why::default(), event).await?;
        }
        let infected = odd.iter().filter(|(_, outcome)| is_infected(outcome)).count() as u64;
        let event = Event::ParcelScanned(ParcelScanned {
            exchange,
            parcel,
            partner,
            engine: said.engine.clone(),
            files: said.files.len() as u64,
            infected,
            not_fully: odd.len() as u64 - infected,
            digest: digest_of(&said.files),
        });
        let receipt = self.record(None, &Why::default(), event).await?;
        if infected > 0 {
            let words = format!("parcel no. {} has {infected} infected files", row.number);
            self.alert(&row.partner, Some(row.exchange), words).await?;
        }
        let finding = |outcome: &Outcome| Finding {
            infected: is_infected(outcome),
            what: outcome.to_string(),
            held: is_infected(outcome) || hold_not_fully,
            released: None,
        };
        let findings =
            odd.into_iter().map(|(file, outcome)| (file.path.clone(), finding(outcome))).collect();
        let facts = ScanFacts {
            engine: said.engine.clone(),
            at: receipt.at,
            entry: receipt.entry.0,
            leaf: hex::encode(receipt.leaf),
            files: said.files.len() as u64,
            findings,
        };
        self.change_incoming(row.exchange, |row| {
            row.details.scan = Some(facts.clone());
            row.details.scan_trouble = None;
        })
        .await
    }

    /// Notes that the scanner said nothing. The first time somebody is told.
    async fn not_scanned(&self, row: &IncomingRow, problem: &str) -> Result<(), ExchangeError> {
        let at = self.now();
        let before = row.details.scan_trouble.as_ref();
        if before.is_none() {
            let words = format!("parcel no. {} waits in quarantine: {problem}", row.number);
            self.alert(&row.partner, Some(row.exchange), words).await?;
        }
        let since = before.map_or(at, |before| before.since);
        let trouble = ScanTrouble { since, at, problem: problem.to_owned() };
        self.change_incoming(row.exchange, |row| row.details.scan_trouble = Some(trouble.clone()))
            .await
    }

    /// Lets a file be opened that is held, in a person's name.
    ///
    /// # Errors
    /// [`ExchangeError::WrongState`] unless it is held in a parcel that was accepted; [`ExchangeError::Denied`],
    /// [`ExchangeError::Unrecorded`], and then it stays closed.
    pub async fn release_file(
        &self,
        caller: &Caller,
        exchange: Uuid,
        path: &str,
        reason: &str,
    ) -> Result<Incoming, ExchangeError> {
        let reason = reason_of(reason)?;
        let verb = format!("let {path} be opened in");
        let (mut row, permit) =
            self.decide(caller, exchange, Action::ReleaseHeldFile, &verb, &OPEN).await?;
        let held = row.details.scan.as_ref().and_then(|scan| scan.holds(path)).map(str::to_owned);
        let Some(what) = held else {
            self.0.setup.gate.withhold(permit.ticket(), "the file is not held").await?;
            let is = "not held".to_owned();
            return Err(ExchangeError::WrongState { what: "file", is, needs: "held" });
        };
        let event = Event::FileReleased(FileReleased {
            exchange: row.exchange.to_string(),
            parcel: row.parcel.to_string(),
            partner: row.partner.clone(),
            path: path.to_owned(),
            what,
            reason: reason.clone(),
        });
        let act = self.act(caller, event, Some(reason)).await?;
        let finding = row.details.scan.as_mut().and_then(|scan| scan.findings.get_mut(path));
        if let Some(finding) = finding {
            finding.released = Some(act);
        }
        self.store_incoming(&mut row).await?;
        self.close(vec![permit]).await?;
        Incoming::of(row)
    }

    /// Changes a parcel that others may change at the same time. One that is gone meanwhile is left alone.
    pub(crate) async fn change_incoming(
        &self,
        exchange: Uuid,
        change: impl Fn(&mut IncomingRow),
    ) -> Result<(), ExchangeError> {
        for _ in 0..STORE_TRIES {
            let mut row = self.incoming_row(exchange).await?;
            if !is_here(&row) {
                return Ok(());
            }
            change(&mut row);
            match self.store_incoming(&mut row).await {
                Err(ExchangeError::Changed { .. }) => {}
                other => return other,
            }
        }
        Err(ExchangeError::Changed { what: "parcel" })
    }

    /// Claims the scan of a parcel for this process. `None`: it is being done. Apart from other work, which a long
    /// scan must not keep waiting.
    fn claim_scan(&self, exchange: Uuid) -> Option<ScanClaim> {
        let mut scans = self.0.scans.lock().unwrap_or_else(PoisonError::into_inner);
        scans.insert(exchange).then(|| ScanClaim { of: self.clone(), exchange })
    }
}

struct ScanClaim {
    of: Exchange,
    exchange: Uuid,
}

impl Drop for ScanClaim {
    fn drop(&mut self) {
        let scans = &self.of.0.scans;
        scans.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.exchange);
    }
}

/// Stops the thread that scans when nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn is_here(row: &IncomingRow) -> bool {
    HERE.iter().any(|status| status.as_str() == row.status)
}

fn is_infected(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Infected(_))
}

/// SHA-256 of the list of outcomes: a line for each file, `OUTCOME SHA256 PATH`, in the order of the paths.
fn digest_of(files: &[(IndexedFile, Outcome)]) -> String {
    let mut hash = keys::digest::Sha256::new();
    for (file, outcome) in files {
        hash.update(format!("{} {} {}\n", outcome.as_str(), file.sha256, file.path).as_bytes());
    }
    hex::encode(hash.finish())
}
