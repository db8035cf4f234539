//! Sharing, wired: the exchange with this agency's keys, and how an approved export's items are
//! fetched again through the gate when their time has come.
//!
//! Invariants: what is sealed was read in the name of the last person who approved it, and that
//! reading is on record like any other; it is not read or sealed once whoever asked for it or approved it may
//! no longer sign in or has lost a function that they did it with, and breaks off when they are put out in the
//! middle of it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};

use exchange::witnessing::Cosigner;
use exchange::{Book, Caller, Content, Exchange, Export, Fetched, Item, SealItem, Setup};
use gate::{Gate, Rows, Value};
use jiff::Timestamp;
use keys::cert::Certificate;
use keys::keyring::Keyring;
use keys::sign::P384Key;
use keys::{Clock, Random};
use ledger::{Ledger, Origin};
use parcel::{Party, Recipient, RecipientKey, Signer};
use policy::{Actor, Function};
use serde::{Deserialize, Serialize};
use state::State;
use state::accounts::{self, Account, AccountId, Standing};
use tools::form::Submission;
use tools::handle::Handle;
use tools::plan::Planned;

use crate::agency::{Agency, StartError};
use crate::config::{Config, ExchangeConfig, ScannerConfig};
use crate::live::Leash;
use crate::problem::chain;
use crate::serve::read_own;
use crate::session::SignedIn;
use crate::{depots, papers, tabular, witnesses};

/// The exchange of one agency, and where partners call.
pub struct Sharing {
    /// Agreements, exports, deliveries, receipts.
    pub exchange: Exchange,
    /// The partner listener's address.
    pub listen: SocketAddr,
    /// Its TLS configuration: only partners' certificates are let in.
    pub tls: wire::tls::ServerTls,
    /// What cosigns partners' ledgers; none where we have the key of none.
    pub cosigner: Option<Arc<Cosigner>>,
    content: Arc<Refetch>,
}

/// What the platform needs to fetch one item of an export again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The tool.
    pub tool: String,
    /// Its export action.
    pub action: String,
    /// What was typed, by input.
    pub typed: BTreeMap<String, String>,
    /// What of it.
    pub what: Piece,
    /// Columns that stay here.
    #[serde(default)]
    pub without: Vec<String>,
}

/// One item of an export.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Piece {
    /// A query's rows as CSV.
    Csv(String),
    /// A query's rows as JSON.
    Json(String),
    /// A query's rows as a document for people, PDF/A-3b.
    Pdf(String),
    /// A document of an evidence part, by its row.
    Document {
        /// The part.
        part: String,
        /// The row's columns.
        values: BTreeMap<String, Value>,
    },
}

impl Sharing {
    /// Opens the exchange with the agency's certificates and its partners.
    ///
    /// # Errors
    /// [`StartError`] names the file.
    pub async fn open(
        config: &Config,
        settings: &ExchangeConfig,
        rooms: (&Gate, &Ledger, &State, &Keyring),
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
    ) -> Result<Self, StartError> {
        let failed = |error: exchange::ExchangeError| StartError::Sharing(Box::new(error));
        let (book, problems) = Book::load(&settings.folder);
        if let Some(problem) = problems.first() {
            return Err(StartError::Sharing(problem.to_string().into()));
        }
        let (gate, ledger, state, ring) = rooms;
        let logs = book.partners().filter_map(|partner| partner.ledger_key.clone()).collect();
        let routes = depots::open(settings, &book, clock)?;
        let cosigner = witnesses::cosigner(config, logs, ledger, ring, (clock, &**random))?;
        let exchange = Exchange::open(Setup {
            agency: Party { ori: config.agency.ori.to_string(), name: config.agency.name.clone() },
            gate: gate.clone(),
            ledger: ledger.clone(),
            ledger_origin: config.ledger.origin.clone(),
            state: state.clone(),
            clock: clock.clone(),
            random: random.clone(),
            store: config.data.folder.join("parcels"),
            disk: Arc::new(exchange::SystemDisk),
            signer: signer(settings)?,
            recipient: recipient(settings)?,
            tls: read_own(&settings.tls_certificate, &settings.tls_key)?,
            book,
            routes,
            cosigner: cosigner.clone(),
            settings: exchange::Settings {
                bytes_per_second_max: settings.bytes_per_second_max,
                scanner: settings.scanner.as_ref().map(ScannerConfig::scanner),
                destroy_when_due: settings.destroy_when_due,
                ..exchange::Settings::usual()
            },
        })
        .map_err(failed)?;
        exchange.record_book().await.map_err(failed)?;
        exchange.take_in_agreements().await.map_err(failed)?;
        let tls = exchange.listener_tls().map_err(failed)?;
        let content = Arc::new(Refetch(OnceLock::new()));
        Ok(Self { exchange, listen: settings.listen, tls, cosigner, content })
    }

    /// What seals approved exports, once the agency stands.
    pub fn content(&self, agency: &Arc<Agency>) -> Arc<dyn Content> {
        self.content.0.get_or_init(|| Arc::downgrade(agency));
        self.content.clone()
    }
}

fn signer(settings: &ExchangeConfig) -> Result<Signer, StartError> {
    let own = read_own(&settings.signing_certificate, &settings.signing_key)?;
    Ok(Signer { chain: own.chain, key: p384(&own.pkcs8)? })
}

fn recipient(settings: &ExchangeConfig) -> Result<Recipient, StartError> {
    let own = read_own(&settings.recipient_certificate, &settings.recipient_key)?;
    let missing = || StartError::Sharing("the recipient certificate file is empty".into());
    let certificate: Certificate = own.chain.into_iter().next().ok_or_else(missing)?;
    let key = RecipientKey::from_pkcs8(&own.pkcs8)
        .map_err(|error| StartError::Sharing(Box::new(error)))?;
    Ok(Recipient { certificate, key })
}

fn p384(pkcs8: &[u8]) -> Result<P384Key, StartError> {
    P384Key::from_pkcs8(pkcs8)
        .map_err(|source| StartError::Keys { doing: "read an exchange key", source })
}

/// Fetches approved items in the name of the last approver.
struct Refetch(OnceLock<Weak<Agency>>);

impl Content for Refetch {
    fn items<'a>(&'a self, export: &'a Export) -> Fetched<'a> {
        Box::pin(async move {
            let stopped = || "the agency is being stopped".to_owned();
            let agency = self.0.get().and_then(Weak::upgrade).ok_or_else(stopped)?;
            let voice = export.details.approvals.last().ok_or("nobody has approved it")?;
            let origin =
                Origin { request: Some(format!("export {}", export.id)), ..Origin::default() };
            let mut caller = Caller { actor: voice.actor.clone(), origin, session: None };
            // It may be long since the approval: what counts is how the person stands now.
            let standing = agency.identity.qualified(&caller.actor, agency.now()).await;
            let standing = standing.map_err(|error| chain(&error))?;
            caller.actor.lacking = identity::qualified::lacking(&standing);
            let leash = agency.in_the_name_of(export).await?;
            let fetching = async {
                let mut items = Vec::with_capacity(export.details.items.len());
                for item in &export.details.items {
                    let item = agency.fetch_item(&caller, export, item).await?;
                    items.push(leashed(item, &leash));
                }
                Ok::<_, String>(items)
            };
            let broken_off = || BROKEN_OFF.to_owned();
            let items = leash.unless_cut(fetching).await.ok_or_else(broken_off)??;
            Ok((caller, items))
        })
    }
}

/// Why an export was not sealed.
const BROKEN_OFF: &str =
    "whoever asked for it or approved it was put out while it was being prepared";

/// The item, whose bytes can no longer be read once the leash is cut.
fn leashed(item: SealItem, leash: &Leash) -> SealItem {
    let (open, leash) = (item.open, leash.clone());
    let open: parcel::Source =
        Box::new(move || Ok(Box::new(OnLeash { bytes: open()?, leash }) as Box<dyn Read + Send>));
    SealItem { open, ..item }
}

struct OnLeash {
    bytes: Box<dyn Read + Send>,
    leash: Leash,
}

impl Read for OnLeash {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.leash.is_cut() {
            return Err(io::Error::other(BROKEN_OFF));
        }
        self.bytes.read(into)
    }
}

impl Agency {
    /// What ties an export's preparation to whoever asked for it and approved it, all of whom may still sign in
    /// and have every function that they did it with: which of them allowed it is not known, and any may have.
    async fn in_the_name_of(&self, export: &Export) -> Result<Leash, String> {
        let details = &export.details;
        let approved = details.approvals.iter().map(|voice| &voice.actor);
        let people: Vec<&Actor> = std::iter::once(&details.requester).chain(approved).collect();
        let id_of = |person: &&Actor| AccountId::of(person.id.as_str());
        let leash = Leash::new(&self.live);
        // Before they are looked at: whoever is put out from now on cuts it.
        leash.tie_in_the_name_of(people.iter().map(id_of).collect());
        for person in people {
            let account = accounts::find(&self.state, id_of(&person)).await;
            let account = account.map_err(|error| chain(&error))?;
            let good = |account: &Account| account.standing(self.now()) == Standing::Good;
            let Some(account) = account.filter(good) else {
                return Err("whoever asked for it or approved it may no longer sign in".to_owned());
            };
            let has = |function: &Function| {
                account.profile.functions.iter().any(|one| one == function.as_str())
            };
            if !person.functions.iter().all(has) {
                let words = "whoever asked for it or approved it has lost a job function since";
                return Err(words.to_owned());
            }
        }
        Ok(leash)
    }

    /// Fetches one approved item anew, through the gate. The error is in words for the export's
    /// page, without CJI.
    async fn fetch_item(
        &self,
        caller: &Caller,
        export: &Export,
        item: &Item,
    ) -> Result<SealItem, String> {
        let words = |error: &(dyn std::error::Error + 'static)| chain(error);
        if let (Some(_), Some(sharing)) = (&item.received, &self.exchange) {
            let fetched = sharing.exchange.fetch_received(caller, item, &export.details.why).await;
            return fetched.map_err(|error| words(&error));
        }
        let recipe: Recipe =
            serde_json::from_value(item.fetch.clone()).map_err(|error| words(&error))?;
        let tool = self.tools.get(&recipe.tool).ok_or("the tool is no longer there")?;
        let form = Submission { typed: recipe.typed, ..Submission::default() };
        let context = self.context(&caller.actor);
        let plan = tool
            .plan_export(&recipe.action, &form, None, &context)
            .map_err(|error| words(&error))?;
        let (bytes, released) = match recipe.what {
            Piece::Csv(query) | Piece::Json(query) | Piece::Pdf(query)
                if !tool_has(&plan.reads, &query) =>
            {
                return Err(format!("the tool no longer exports `{query}`"));
            }
            Piece::Csv(query) => {
                let write: &Writer<'_> =
                    &|rows, _| Ok(tabular::csv(&tabular::without(rows, &recipe.without)));
                self.fetch_rows(caller, plan.reads, &query, write).await?
            }
            Piece::Json(query) => {
                let write: &Writer<'_> =
                    &|rows, _| Ok(tabular::json(&tabular::without(rows, &recipe.without)));
                self.fetch_rows(caller, plan.reads, &query, write).await?
            }
            Piece::Pdf(query) => {
                let write: &Writer<'_> = &|rows, entry| {
                    let rows = tabular::without(rows, &recipe.without);
                    papers::rows(self, export, item, &rows, entry)
                };
                self.fetch_rows(caller, plan.reads, &query, write).await?
            }
            Piece::Document { part, values } => {
                let handle = Handle { values, why: plan.why, expires: Timestamp::MAX };
                let planned = tool
                    .plan_evidence(&part, &handle, None, &context)
                    .map_err(|error| words(&error))?;
                return self.fetch_document(caller, planned, export, item).await;
            }
        };
        Ok(SealItem {
            path: item.path.clone(),
            media_type: item.media_type.clone(),
            modified: export.requested_at,
            length: bytes.len() as u64,
            open: Box::new(move || Ok(Box::new(std::io::Cursor::new(bytes)))),
            released,
        })
    }

    async fn fetch_rows(
        &self,
        caller: &Caller,
        reads: Vec<(String, Planned)>,
        query: &str,
        write: &Writer<'_>,
    ) -> Result<(Vec<u8>, ledger::EntryNumber), String> {
        let found = reads.into_iter().find(|(id, _)| id == query);
        let (_, planned) = found.ok_or("the query is no longer there")?;
        let released = self.run_read(caller, planned).await.map_err(|problem| problem.words)?;
        let (rows, receipt) = released.open();
        Ok((write(rows, receipt.entry)?, receipt.entry))
    }

    /// A document, of which nothing stays in memory: a film may be larger than that.
    async fn fetch_document(
        &self,
        caller: &Caller,
        planned: Planned,
        export: &Export,
        item: &Item,
    ) -> Result<SealItem, String> {
        let released = self.run_stream(caller, planned).await.map_err(|problem| problem.words)?;
        let (stream, receipt) = released.into_parts();
        Ok(SealItem {
            path: item.path.clone(),
            media_type: item.media_type.clone(),
            modified: export.requested_at,
            length: stream.length(),
            open: stream.read(),
            released: receipt.entry,
        })
    }
}

/// Rows, and the entry of their release, as a file.
type Writer<'a> = dyn Fn(&Rows, ledger::EntryNumber) -> Result<Vec<u8>, String> + Sync + 'a;

fn tool_has(reads: &[(String, Planned)], query: &str) -> bool {
    reads.iter().any(|(id, _)| id == query)
}

impl SignedIn {
    /// The person, as the exchange takes them.
    pub fn caller(&self) -> Caller {
        Caller {
            actor: self.actor.clone(),
            origin: self.origin.clone(),
            session: Some(self.session.prefix()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;

    /// That a parcel whose source fails leaves nothing behind is the parcel room's to show.
    #[test]
    fn what_is_being_sealed_breaks_off_in_the_middle_when_somebody_behind_it_is_put_out() {
        let live = Arc::new(Live::default());
        let (asked, approved) = (AccountId::of("demo|det.ruiz"), AccountId::of("demo|sgt.okafor"));
        let item = || SealItem {
            path: "film.mp4".to_owned(),
            media_type: "video/mp4".to_owned(),
            modified: Timestamp::UNIX_EPOCH,
            length: 3,
            open: Box::new(|| Ok(Box::new(std::io::Cursor::new(vec![1, 2, 3])))),
            released: ledger::EntryNumber(1),
        };
        for (put_out, breaks_off) in
            [(asked, true), (approved, true), (AccountId::of("demo|ofc.hale"), false)]
        {
            let leash = Leash::new(&live);
            leash.tie_in_the_name_of(vec![asked, approved]);
            let mut bytes = (leashed(item(), &leash).open)().unwrap();
            let mut first = [0];
            bytes.read_exact(&mut first).unwrap();
            live.cut_account(put_out);
            let mut rest = Vec::new();
            let read = bytes.read_to_end(&mut rest);
            assert_eq!(
                (first, read.is_err(), rest.len()),
                ([1], breaks_off, if breaks_off { 0 } else { 2 })
            );
            // Nor is the next item begun.
            let next = (leashed(item(), &leash).open)().unwrap().read(&mut first);
            assert_eq!(next.is_err(), breaks_off);
        }
    }
}
