//! One of the two agencies, as a process of its own that can be killed: an exchange with its ledger, gate, state and
//! store in a folder. It goes on from there when it is started again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use exchange::{
    Agreement, Book, Caller, Exchange, Export, ExportStatus, Item, NewExport, Partner,
    Redistribution, SealItem, Settings, Setup, Signatory, Sort, SystemDisk, Terms,
};
use gate::{Fingerprint, Gate, Plan, Print};
use jiff::{SignedDuration, Timestamp};
use keys::cert::{Certificate, private_key_from_pem};
use keys::sign::P384Key;
use keys::{Clock as _, SystemClock, SystemRandom};
use ledger::{EntryNumber, Ledger};
use parcel::{Party, Recipient, Signer};
use policy::{
    Action, Actor, AgreementFacts, Assurance, Policy, Question, Resource, ResourceKind, Why,
};
use state::State;

use super::made::{Load, Made};
use super::{LAKESIDE, RIVERTON, certificate_file, key_file};
use crate::say;

/// Small files that one record of a release is about.
const RELEASED_AT_ONCE: usize = 1_000;
const AGREEMENT: &str = "lakeside-2026";
const RETRY_WAIT: Duration = Duration::from_millis(300);

/// What a process is told of its place.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    /// Where both agencies have their folders and keys.
    pub(crate) folder: PathBuf,
    pub(crate) part_mib: u64,
    /// Where the partner is reached; the receiver needs none.
    pub(crate) partner_port: u16,
}

/// Sends the load to Lakeside, from wherever an earlier process of the same folder left it. Says when it was sealed.
pub(crate) async fn send(seat: &Seat, load: Load) -> anyhow::Result<()> {
    let exchange = open(seat, RIVERTON, LAKESIDE).await?;
    let files = load.files();
    let mut said = false;
    loop {
        let export = match exchange.0.exports(&[], None).await?.pop() {
            Some(export) => export,
            None => {
                exchange
                    .0
                    .request(&person(RIVERTON.0, "det.ruiz", "detective"), new_export(&files))
                    .await?
            }
        };
        if let (Some(sealed), false) = (&export.details.sealed, said) {
            said = true;
            say(&format!("sealed {}\n", sealed.bytes))?;
        }
        match export.status {
            ExportStatus::Requested => {
                exchange
                    .0
                    .approve(&person(RIVERTON.0, "sgt.okafor", "supervisor"), export.id)
                    .await?;
            }
            ExportStatus::Approved | ExportStatus::Sealing => {
                let items = fetch(&exchange, &export, &files).await?;
                exchange
                    .0
                    .seal(&person(RIVERTON.0, "det.ruiz", "detective"), export.id, items)
                    .await?;
            }
            ExportStatus::Sealed | ExportStatus::Sending => {
                // A line that was cut is no end: the next attempt goes on.
                if exchange.0.deliver(export.id).await.is_err() {
                    tokio::time::sleep(RETRY_WAIT).await;
                }
            }
            ExportStatus::Acknowledged => return say("acknowledged\n"),
            other => anyhow::bail!("the export ended as {}", other.as_str()),
        }
    }
}

/// Takes in what comes, until it is killed. Says where it listens.
pub(crate) async fn receive(seat: &Seat) -> anyhow::Result<()> {
    let (exchange, _) = open(seat, LAKESIDE, RIVERTON).await?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = wire::serve::TlsListener::bind(address, &exchange.listener_tls()?).await?;
    let port = listener.address().context("the listener's address")?.port();
    say(&format!("listening {port}\n"))?;
    let service = tower::service_fn(move |request| {
        let exchange = exchange.clone();
        async move { Ok::<_, std::convert::Infallible>(exchange.answer(request).await) }
    });
    let limits = wire::serve::Limits::partners();
    wire::serve::serve_tls(listener, limits, service, std::future::pending()).await;
    Ok(())
}

async fn open(
    seat: &Seat,
    (us, name): (&str, &str),
    partner: (&str, &str),
) -> anyhow::Result<(Exchange, Gate)> {
    let folder = seat.folder.join(us);
    std::fs::create_dir_all(&folder)?;
    let clock: Arc<dyn keys::Clock> = Arc::new(SystemClock);
    let settings = ledger::Settings::new(&folder.join("ledger"), "bench.example/ledger", us);
    let random = Arc::new(SystemRandom);
    let keys = ledger::testing::keys();
    let ledger = Ledger::open_or_create(settings, keys, Arc::clone(&clock), random.clone());
    let ledger = ledger.context("opening a ledger")?;
    let (schema, files) = policy::defaults();
    let policy = Policy::from_text(&schema, &files, keys::digest::sha256)?;
    let gate = Gate::new(Arc::new(policy), ledger.clone(), Arc::new(|| SystemClock.now()));
    let url = format!("sqlite://{}?mode=rwc", folder.join("state.db").display());
    let tls = key(&seat.folder, us, "tls")?;
    let setup = Setup {
        agency: Party { ori: us.to_owned(), name: name.to_owned() },
        gate: gate.clone(),
        ledger,
        ledger_origin: "bench.example/ledger".to_owned(),
        state: State::open(&url, state::testing::key()).await?,
        clock,
        random,
        store: folder.join("parcels"),
        disk: Arc::new(SystemDisk),
        signer: Signer {
            chain: vec![certificate(&seat.folder, us, "signing")?],
            key: key(&seat.folder, us, "signing")?,
        },
        recipient: recipient(&seat.folder, us)?,
        recipient_kem: None,
        tls: wire::tls::Own {
            chain: vec![certificate(&seat.folder, us, "tls")?],
            pkcs8: tls.to_pkcs8(),
        },
        book: Book::new(vec![partner_of(seat, partner)?], vec![agreement()?]),
        routes: Vec::new(),
        cosigner: None,
        time_stamps: None,
        time_stamp_authority: None,
        settings: Settings {
            part_bytes: seat.part_mib << 20,
            retry_wait_first: RETRY_WAIT,
            ..Settings::usual()
        },
    };
    let exchange = Exchange::open(setup)?;
    exchange.take_in_agreements().await?;
    let reviewer = person(us, "so.lindqvist", "security-officer");
    exchange.take_in_written().await?;
    for held in exchange.held_texts().await? {
        if let Some(waiting) = held.waiting() {
            let (about, digest) = (&held.about, &waiting.digest);
            exchange.review_written(&reviewer, about, digest, true, "read aloud").await?;
        }
    }
    for held in exchange.held_agreements().await? {
        if let Some(waiting) = held.waiting() {
            let digest = waiting.digest.clone();
            exchange.review_agreement(&reviewer, &held.id, &digest, true, "as signed").await?;
        }
    }
    Ok((exchange, gate))
}

fn certificate(folder: &Path, of: &str, usage: &str) -> anyhow::Result<Certificate> {
    let pem = std::fs::read_to_string(certificate_file(folder, of, usage))?;
    Ok(Certificate::from_pem(&pem)?)
}

fn key(folder: &Path, of: &str, usage: &str) -> anyhow::Result<P384Key> {
    let pem = std::fs::read_to_string(key_file(folder, of, usage))?;
    Ok(P384Key::from_pkcs8(&private_key_from_pem(&pem)?)?)
}

/// Who opens what was sent to an agency.
pub(crate) fn recipient(folder: &Path, of: &str) -> anyhow::Result<Recipient> {
    let certificate = certificate(folder, of, "sealing")?;
    Ok(Recipient { certificate, key: key(folder, of, "sealing")?.into() })
}

/// Whom a receiver believes.
pub(crate) fn trust(folder: &Path, sender: &str) -> anyhow::Result<parcel::Trust> {
    let senders = vec![certificate(folder, sender, "signing")?];
    Ok(parcel::Trust { senders, now: SystemClock.now() })
}

fn partner_of(seat: &Seat, (ori, name): (&str, &str)) -> anyhow::Result<Partner> {
    Ok(Partner {
        ori: ori.parse()?,
        name: name.to_owned(),
        server: Some(exchange::Server {
            host: "127.0.0.1".to_owned(),
            port: seat.partner_port,
            addresses: wire::Addresses::Private,
            tls: certificate(&seat.folder, ori, "tls")?,
        }),
        signing: Some(certificate(&seat.folder, ori, "signing")?),
        sealing: certificate(&seat.folder, ori, "sealing")?,
        sealing_kem: None,
        revoked: Vec::new(),
        time_stamps: Vec::new(),
        quota_bytes: 1 << 42,
        ledger_key: None,
        jurisdiction: None,
        deliveries: Vec::new(),
    })
}

fn agreement() -> anyhow::Result<Agreement> {
    // In force on every day that this is run.
    let starts = SystemClock.now() - SignedDuration::from_hours(24);
    let starts = starts.strftime("%Y-%m-01T00:00:00Z").to_string().parse::<Timestamp>()?;
    let ends = starts + SignedDuration::from_hours(24 * 365);
    let party = |(ori, name): (&str, &str)| {
        Ok::<_, anyhow::Error>(Signatory {
            ori: ori.parse()?,
            name: name.to_owned(),
            signed_by: "Chief".to_owned(),
            signed_at: starts,
        })
    };
    Ok(Agreement {
        title: "Joint burglary task force".to_owned(),
        authority: "Interlocal agreement 2026-17".to_owned(),
        retention: None,
        terms: Terms {
            kind: Sort::InformationExchange,
            parties: vec![party(RIVERTON)?, party(LAKESIDE)?],
            redistribution: Redistribution::None,
            retention_days: None,
            audit: "each may audit the other".to_owned(),
            incidents: None,
            encryption: None,
            rsa_oaep: false,
            certificates: None,
            primary: true,
            document: None,
            deliveries: None,
        },
        facts: AgreementFacts {
            id: AGREEMENT.to_owned(),
            partner: LAKESIDE.0.parse()?,
            record_classes: BTreeSet::from(["EVIDENCE".parse()?]),
            caveats_barred: BTreeSet::new(),
            caveats_allowed: None,
            purposes: BTreeSet::from(["C".parse()?]),
            starts,
            review: ends,
            ends,
            approvals: 1,
        },
    })
}

fn person(agency: &str, name: &str, function: &str) -> Caller {
    let now = SystemClock.now();
    // Names and functions of the bench's own are in their form.
    let actor = Actor {
        id: format!("idp|{name}").parse().unwrap_or_else(|_| unreachable!("a name")),
        name: name.to_owned(),
        agency: agency.parse().unwrap_or_else(|_| unreachable!("an ORI")),
        functions: function.parse().into_iter().collect(),
        assurance: Assurance {
            mfa: true,
            context: "mfa".to_owned(),
            authenticated_at: now,
            stepped_up_at: Some(now),
        },
        lacking: Vec::new(),
    };
    let origin = ledger::Origin { address: Some("127.0.0.1".to_owned()), ..Default::default() };
    Caller { actor, origin, session: None }
}

fn why() -> Why {
    Why {
        purpose: "C".parse().ok(),
        case_number: "24-000113".parse().ok(),
        reason: Some("joint burglary investigation".to_owned()),
    }
}

fn new_export(files: &[Made]) -> NewExport {
    let item = |file: &Made| {
        Some(Item {
            path: file.path.clone(),
            label: file.path.clone(),
            media_type: file.media_type.to_owned(),
            record_class: "EVIDENCE".parse().ok()?,
            caveats: BTreeSet::new(),
            listed: None,
            fetch: serde_json::Value::Null,
            received: None,
            seen: None,
        })
    };
    NewExport {
        title: "Burglary 24-000113".to_owned(),
        agreement: AGREEMENT.to_owned(),
        items: files.iter().filter_map(item).collect(),
        why: why(),
        requestor: None,
        exhibit: None,
        consent: None,
        left_out: Vec::new(),
        route: None,
        listed: Vec::new(),
    }
}

/// Files that are released by one record: how many, how large, and the SHA-256 of their list.
struct Listed {
    count: u64,
    bytes: u64,
    digest: [u8; 32],
}

impl Fingerprint for Listed {
    fn fingerprint(&self) -> Print {
        Print {
            what: "documents",
            count: self.count,
            bytes: self.bytes,
            digest: self.digest,
            subjects: Vec::new(),
            caveats: BTreeSet::new(),
        }
    }
}

/// Has the gate release all files, so many at once, before one is read to be sealed.
async fn fetch(
    (exchange, gate): &(Exchange, Gate),
    export: &Export,
    files: &[Made],
) -> anyhow::Result<Vec<SealItem>> {
    let caller = person(RIVERTON.0, "det.ruiz", "detective");
    let modified = exchange.export(export.id).await?.requested_at;
    let mut items = Vec::with_capacity(files.len());
    for group in files.chunks(RELEASED_AT_ONCE) {
        let released = release(gate, &caller, group).await?;
        for file in group {
            let made = file.clone();
            items.push(SealItem {
                path: file.path.clone(),
                media_type: file.media_type.to_owned(),
                modified,
                length: file.length,
                open: Box::new(move || Ok(Box::new(made.open()))),
                released,
                listed: None,
                derived: None,
            });
        }
    }
    Ok(items)
}

async fn release(gate: &Gate, caller: &Caller, group: &[Made]) -> anyhow::Result<EntryNumber> {
    let question = Question {
        actor: caller.actor.clone(),
        action: Action::ReadEvidence,
        resource: Resource {
            kind: ResourceKind::Evidence,
            id: group.first().map(|file| file.path.clone()).unwrap_or_default(),
            tool: None,
            source: None,
            record_class: "EVIDENCE".parse()?,
            caveats: BTreeSet::new(),
            agency: caller.actor.agency.clone(),
            requested_by: None,
            agreement: None,
        },
        why: why(),
        allowed_functions: BTreeSet::new(),
        now: SystemClock.now(),
    };
    let plan = Plan::Export(format!("{} files of a case", group.len()));
    let permit = gate.authorise(question, plan, caller.origin.clone(), None).await?;
    let own: Vec<Made> = group.to_vec();
    let listed = tokio::task::spawn_blocking(move || {
        let mut list = String::new();
        for file in &own {
            list.push_str(&format!("{}  {}\n", hex::encode(file.sha256()?), file.path));
        }
        let bytes = own.iter().map(|file| file.length).sum();
        let digest = keys::digest::sha256(list.as_bytes());
        Ok::<_, std::io::Error>(Listed { count: own.len() as u64, bytes, digest })
    });
    let released = gate.release(permit.hold(listed.await??)).await?;
    Ok(released.entry())
}
