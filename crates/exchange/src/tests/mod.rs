//! Stories of two agencies in one process, over real mutual TLS on loopback.

mod afterwards;
mod again;
mod agreements;
mod apart;
mod asked;
mod authority;
mod brought;
mod carried;
mod clearing;
mod copies;
mod custody_record;
mod depots;
mod faults;
mod films;
mod gaps;
mod guests;
mod held;
mod in_turn;
mod joint;
mod jurisdictions;
mod keeping;
mod leave;
mod line;
mod listed;
mod passing;
mod proved;
mod redacted;
mod refusals;
mod returned;
mod reviewed;
mod revoking;
mod scanned;
mod sealings;
mod stamped;
mod standing;
mod story;
mod witnessed;
mod written;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gate::{Document, Gate, Plan};
use jiff::{SignedDuration, Timestamp};
use keys::cert::{CertSpec, Certificate, Usage, issue};
use keys::sign::P384Key;
use keys::{Clock, FixedClock, SystemRandom};
use ledger::testing::SimDisk;
use ledger::{EntryNumber, Event, Ledger, Origin};
use parcel::{Party, Recipient, Signer};
use policy::{
    Action, Actor, AgreementFacts, Assurance, Policy, Question, Resource, ResourceKind, Why,
};
use state::State;
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::*;
use asked::{content, new_export};
use held::{Held, identity};

const RIVERTON: (&str, &str) = ("NB0010100", "Riverton Police Department");
const LAKESIDE: (&str, &str) = ("NB0020000", "Lakeside County Sheriff");
const STRANGER: (&str, &str) = ("NB0030000", "Stranger");
const STORY_TIME: &str = "2026-11-22T12:00:00Z";

fn now() -> Timestamp {
    STORY_TIME.parse().unwrap()
}

fn partner(of: (&str, &str), port: u16) -> Partner {
    let identity = identity(of);
    Partner {
        ori: of.0.parse().unwrap(),
        name: of.1.to_owned(),
        server: Some(Server {
            host: "127.0.0.1".to_owned(),
            port,
            addresses: wire::Addresses::Private,
            tls: identity.tls.certificate.clone(),
        }),
        signing: Some(identity.signing.certificate.clone()),
        sealing: identity.sealing.certificate.clone(),
        sealing_kem: None,
        revoked: Vec::new(),
        time_stamps: Vec::new(),
        quota_bytes: 64 << 20,
        ledger_key: None,
        jurisdiction: Some("LAKE".to_owned()),
        deliveries: Vec::new(),
    }
}

fn agreement(partner: &str) -> Agreement {
    Agreement {
        title: "Joint burglary task force".to_owned(),
        authority: "Interlocal agreement 2026-17".to_owned(),
        retention: Some("until the case is closed".to_owned()),
        terms: Terms {
            kind: Sort::InformationExchange,
            parties: [(RIVERTON, "Chief A. Marsh"), (LAKESIDE, "Sheriff D. Cole")]
                .map(|((ori, name), signed_by)| Signatory {
                    ori: ori.parse().unwrap(),
                    name: name.to_owned(),
                    signed_by: signed_by.to_owned(),
                    signed_at: "2025-12-01T00:00:00Z".parse().unwrap(),
                })
                .into(),
            redistribution: Redistribution::WithConsent,
            retention_days: None,
            audit: "each may audit the other, announced 30 days before".to_owned(),
            incidents: None,
            encryption: None,
            rsa_oaep: false,
            certificates: None,
            primary: true,
            document: None,
            deliveries: None,
        },
        facts: AgreementFacts {
            id: "lakeside-2026".to_owned(),
            partner: partner.parse().unwrap(),
            record_classes: ["INCIDENT", "EVIDENCE"].map(|text| text.parse().unwrap()).into(),
            caveats_barred: BTreeSet::from(["SEALED".parse().unwrap()]),
            caveats_allowed: None,
            purposes: BTreeSet::from(["C".parse().unwrap()]),
            starts: "2026-01-01T00:00:00Z".parse().unwrap(),
            review: "2027-01-01T00:00:00Z".parse().unwrap(),
            ends: "2027-01-01T00:00:00Z".parse().unwrap(),
            approvals: 1,
        },
    }
}

/// One agency: its exchange, and what a story looks into.
struct Agency {
    exchange: Exchange,
    ledger: Ledger,
    ledger_disk: Arc<SimDisk>,
    gate: Gate,
    folder: TempDir,
    disk: testing::SmallDisk,
    /// The first entry after its agreements were reviewed.
    begins: u64,
}

/// The default policies, read once for all stories.
fn usual_policy() -> Arc<Policy> {
    static USUAL: OnceLock<Arc<Policy>> = OnceLock::new();
    let read = || {
        let (schema, policies) = policy::defaults();
        Arc::new(Policy::from_text(&schema, &policies, keys::digest::sha256).unwrap())
    };
    Arc::clone(USUAL.get_or_init(read))
}

fn key_of(ledger: &Ledger) -> ledger::note::VerifierKey {
    ledger::note::VerifierKey::parse(&ledger.verifier_key()).unwrap()
}

/// Set the stage otherwise than usual.
struct Stage {
    clock: Arc<FixedClock>,
    partners: Vec<Partner>,
    policy: Arc<Policy>,
    settings: Settings,
    appends_max: Option<usize>,
    ledger: Option<Ledger>,
    cosigner: Option<Arc<witnessing::Cosigner>>,
    agreements: Vec<Agreement>,
    /// Whether somebody has accepted the agreements.
    is_reviewed: bool,
    rules: Jurisdictions,
    routes: Vec<Route>,
    recipient_kem: Option<Recipient>,
    time_stamps: Option<TimeStamps>,
    time_stamp_authority: Option<TimeStampAuthority>,
}

impl Stage {
    fn usual(clock: &Arc<FixedClock>, partners: Vec<Partner>) -> Self {
        let policy = usual_policy();
        let settings = Settings {
            part_bytes: 16 << 10,
            retry_wait_first: Duration::from_secs(5),
            client: wire::ClientLimits {
                connect_wait_max: Duration::from_secs(5),
                idle_wait_max: Duration::from_secs(10),
                head_bytes_max: 8 << 10,
                headers_max: 32,
            },
            ..Settings::usual()
        };
        Self {
            clock: Arc::clone(clock),
            partners,
            policy,
            settings,
            appends_max: None,
            ledger: None,
            cosigner: None,
            agreements: vec![agreement(LAKESIDE.0)],
            is_reviewed: true,
            rules: Jurisdictions::default(),
            routes: Vec::new(),
            recipient_kem: None,
            time_stamps: None,
            time_stamp_authority: None,
        }
    }

    async fn agency(self, of: (&str, &str)) -> Agency {
        let folder = tempfile::tempdir().unwrap();
        let ledger_disk = Arc::new(SimDisk::new());
        let clock: Arc<dyn Clock> = self.clock.clone();
        let usual = || ledger::testing::ledger_on(&ledger_disk, Arc::clone(&clock));
        let ledger = self.ledger.unwrap_or_else(usual);
        let asked = Arc::clone(&clock);
        let gate = Gate::new(self.policy, ledger.clone(), Arc::new(move || asked.now()));
        let disk = testing::SmallDisk::new(u64::MAX);
        let identity = identity(of);
        let setup = Setup {
            agency: Party { ori: of.0.to_owned(), name: of.1.to_owned() },
            gate: gate.clone(),
            ledger: ledger.clone(),
            ledger_origin: key_of(&ledger).name,
            state: State::open("sqlite::memory:", state::testing::key()).await.unwrap(),
            clock,
            random: Arc::new(SystemRandom),
            store: folder.path().join("parcels"),
            disk: Arc::new(disk.clone()),
            signer: identity.signer(),
            recipient: identity.recipient(),
            recipient_kem: self.recipient_kem,
            tls: identity.tls(),
            book: Book::new(self.partners, self.agreements).with_rules(self.rules),
            routes: self.routes,
            cosigner: self.cosigner,
            time_stamps: self.time_stamps,
            time_stamp_authority: self.time_stamp_authority,
            settings: self.settings,
        };
        let exchange = Exchange::open(setup).unwrap();
        let mut reviewer = caller("so.lindqvist", "security-officer", of);
        reviewer.actor.assurance.stepped_up_at = Some(self.clock.now());
        if self.is_reviewed {
            accept_written(&exchange, &reviewer).await;
            exchange.take_in_agreements().await.unwrap();
            for held in exchange.held_agreements().await.unwrap() {
                let (id, digest) = (&held.id, &held.waiting().unwrap().digest);
                exchange.review_agreement(&reviewer, id, digest, true, "as signed").await.unwrap();
            }
        }
        if let Some(appends_max) = self.appends_max {
            ledger_disk.fail_writes_after("journal", appends_max);
        }
        let begins = if self.is_reviewed { ledger.size() } else { 0 };
        Agency { exchange, ledger, ledger_disk, gate, folder, disk, begins }
    }
}

/// Has somebody accept what is written down of partners and rules.
async fn accept_written(exchange: &Exchange, reviewer: &Caller) {
    exchange.take_in_written().await.unwrap();
    for held in exchange.held_texts().await.unwrap() {
        let Some(waiting) = held.waiting() else { continue };
        let (about, digest) = (&held.about, &waiting.digest);
        exchange.review_written(reviewer, about, digest, true, "read aloud").await.unwrap();
    }
}

impl Agency {
    /// The kinds of the ledger's entries, but for those of the platform itself.
    fn story(&self) -> Vec<&'static str> {
        self.events().iter().map(Event::kind).filter(|kind| !kind.starts_with("ledger-")).collect()
    }

    fn events(&self) -> Vec<Event> {
        let entry = |n| self.ledger.read(EntryNumber(n)).unwrap().record.event;
        (self.begins..self.ledger.size()).map(entry).collect()
    }

    fn count(&self, kind: &str) -> usize {
        self.story().iter().filter(|found| **found == kind).count()
    }

    /// Listens for its partners until the story ends.
    async fn listen(&self) -> (u16, oneshot::Sender<()>) {
        let tls = self.exchange.listener_tls().unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = wire::serve::TlsListener::bind(address, &tls).await.unwrap();
        let port = listener.address().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        let exchange = self.exchange.clone();
        let service = tower::service_fn(move |request| {
            let exchange = exchange.clone();
            async move { Ok::<_, std::convert::Infallible>(exchange.answer(request).await) }
        });
        let limits = wire::serve::Limits::partners();
        tokio::spawn(wire::serve::serve_tls(listener, limits, service, async {
            stopped.await.ok();
        }));
        (port, stop)
    }

    fn sent(&self, parcel: Uuid) -> std::path::PathBuf {
        self.folder.path().join("parcels/sent").join(parcel.to_string())
    }

    fn arrived(&self, exchange: Uuid) -> std::path::PathBuf {
        self.folder.path().join("parcels/incoming").join(exchange.to_string())
    }
}

/// Riverton, Lakeside, and the lines between them, which a story can cut: by `line` Riverton calls, by `back`
/// Lakeside.
struct World {
    clock: Arc<FixedClock>,
    riverton: Agency,
    lakeside: Agency,
    line: line::Line,
    back: line::Line,
    _stop: [oneshot::Sender<()>; 2],
}

async fn world() -> World {
    world_with(|_, _| {}).await
}

async fn world_with(change: impl FnOnce(&mut Stage, &mut Stage)) -> World {
    let clock = Arc::new(FixedClock::new(now()));
    let mut riverton = Stage::usual(&clock, vec![partner(LAKESIDE, 0)]);
    let back = line::Line::to(1).await;
    let mut lakeside = Stage::usual(&clock, vec![partner(RIVERTON, back.port)]);
    change(&mut riverton, &mut lakeside);
    let lakeside = lakeside.agency(LAKESIDE).await;
    let (port, stop) = lakeside.listen().await;
    let line = line::Line::to(port).await;
    for partner in &mut riverton.partners {
        partner.server.iter_mut().for_each(|server| server.port = line.port);
    }
    let riverton = riverton.agency(RIVERTON).await;
    let (port, stop_riverton) = riverton.listen().await;
    back.aim(port);
    World { clock, riverton, lakeside, line, back, _stop: [stop, stop_riverton] }
}

fn caller(name: &str, function: &str, agency: (&str, &str)) -> Caller {
    Caller {
        actor: Actor {
            id: format!("idp|{name}").parse().unwrap(),
            name: name.to_owned(),
            agency: agency.0.parse().unwrap(),
            functions: BTreeSet::from([function.parse().unwrap()]),
            assurance: Assurance {
                mfa: true,
                context: "mfa".to_owned(),
                authenticated_at: now(),
                stepped_up_at: Some(now()),
            },
            lacking: Vec::new(),
        },
        origin: Origin { address: Some("127.0.0.1".to_owned()), agent: None, request: None },
        session: Some("5e551071".to_owned()),
    }
}

fn ruiz() -> Caller {
    caller("det.ruiz", "detective", RIVERTON)
}

fn okafor() -> Caller {
    caller("sgt.okafor", "supervisor", RIVERTON)
}

fn pell() -> Caller {
    caller("inv.pell", "investigator", LAKESIDE)
}

fn why() -> Why {
    Why {
        purpose: Some("C".parse().unwrap()),
        case_number: Some("24-000113".parse().unwrap()),
        reason: Some("joint burglary investigation".to_owned()),
    }
}

/// Changes one bit of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
