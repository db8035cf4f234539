//! One side's part: the entries about exchanges with one partner, each with its proof and with the half
//! that the partner may see, in one signed file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};
use keys::cert::Certificate;
use ledger::evidence::{Disclose, Evidence, EvidenceError};
use ledger::format::Half;
use ledger::note::VerifierKey;
use ledger::{Entry, EntryNumber, Event, Incomplete, Page, Search};
use parcel::{Party, Trust};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Report;
use crate::model::{ExportRow, IncomingRow};
use crate::protocol::SignedText;
use crate::{Exchange, ExchangeError};

/// The version of an extract's form.
pub const EXTRACT_PROFILE: &str = "bailiwick-extract/1.0";
/// The longest extract, and the most entries of one.
pub const EXTRACT_BYTES_MAX: usize = 64 << 20;
pub const EXTRACT_ENTRIES_MAX: usize = 20_000;
const FILE: &str = "extract.json";

/// What the other side has a counterpart of, or what explains that it has none.
const KINDS: [&str; 9] = [
    "parcel-sent",
    "parcel-received",
    "parcel-refused",
    "receipt-issued",
    "receipt-anchored",
    "notice-issued",
    "notice-anchored",
    "export-recalled",
    "offer-expired",
];

/// What is signed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Extract {
    profile: String,
    agency: Party,
    /// The partner's ORI.
    partner: String,
    /// Not before, and before.
    from: Timestamp,
    to: Timestamp,
    made_at: Timestamp,
    /// C2SP tlog-proofs, in the order of their entries, the shared half disclosed.
    entries: Vec<String>,
}

/// One proved entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The event's kind.
    pub kind: String,
    /// The exchange's name in both ledgers.
    pub exchange: String,
    pub parcel: Option<String>,
    /// Of the parcel, the receipt or the notice.
    pub digest: Option<String>,
    pub entry: u64,
    /// By the clock of the ledger that has it.
    pub at: Timestamp,
}

/// One side's extract, read and proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    pub agency: Party,
    pub partner: String,
    pub from: Timestamp,
    pub to: Timestamp,
    pub made_at: Timestamp,
    /// The size of the largest checkpoint in it.
    pub size: u64,
    pub signer: Certificate,
    pub facts: Vec<Fact>,
}

/// Why an extract can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    #[error("it has {found} bytes or entries, and {max} are allowed")]
    TooLarge { found: usize, max: usize },
    #[error("it is not an extract: {0}")]
    Form(&'static str),
    #[error("its signature does not hold")]
    Signature(#[source] Box<parcel::Refused>),
    #[error("its entry at place {place} does not hold")]
    Entry {
        place: usize,
        #[source]
        source: EvidenceError,
    },
}

#[derive(Deserialize)]
struct Shared {
    #[serde(rename = "type")]
    kind: String,
    exchange: String,
    parcel: Option<String>,
    digest: Option<String>,
}

/// Reads an extract and proves every entry of it: signed by whom `trust` names, in the ledger of `key`.
///
/// # Errors
/// [`ExtractError`] says what does not hold, and where.
pub fn read(file: &[u8], trust: &Trust, key: &VerifierKey) -> Result<Side, ExtractError> {
    let text = form(file)?;
    let bad = |_| ExtractError::Form("its signature is not Base64");
    let signature = BASE64.decode(&text.signature).map_err(bad)?;
    let signed = parcel::signed::verify(FILE, text.json.as_bytes(), &signature, trust);
    let (signer, _) = signed.map_err(|refused| ExtractError::Signature(Box::new(refused)))?;
    let extract = content(&text)?;
    let mut facts = Vec::with_capacity(extract.entries.len());
    let mut size = 0;
    for (place, text) in extract.entries.iter().enumerate() {
        let wrong = |source| ExtractError::Entry { place, source };
        let evidence = Evidence::parse(text).map_err(wrong)?;
        let checkpoint = evidence.check(key).map_err(wrong)?;
        size = size.max(checkpoint.size);
        let [entry] = evidence.entries() else {
            return Err(ExtractError::Form("an entry of it is several"));
        };
        let said = entry.said(Half::Shared).and_then(|said| serde_json::from_slice(said).ok());
        let said: Shared = said.ok_or(ExtractError::Form("an entry of it says nothing"))?;
        let at = Timestamp::from_millisecond(entry.envelope.at_ms).ok();
        facts.push(Fact {
            kind: said.kind,
            exchange: said.exchange,
            parcel: said.parcel,
            digest: said.digest,
            entry: entry.envelope.entry,
            at: at.ok_or(ExtractError::Form("an entry of it has no time"))?,
        });
    }
    let ascend = facts.windows(2).all(|pair| match pair {
        [first, second] => first.entry < second.entry,
        _ => true,
    });
    if !ascend {
        return Err(ExtractError::Form("its entries are not in their order"));
    }
    let Extract { agency, partner, from, to, made_at, .. } = extract;
    Ok(Side { agency, partner, from, to, made_at, size, signer, facts })
}

fn form(file: &[u8]) -> Result<SignedText, ExtractError> {
    let (found, max) = (file.len(), EXTRACT_BYTES_MAX);
    if found > max {
        return Err(ExtractError::TooLarge { found, max });
    }
    serde_json::from_slice(file).map_err(|_| ExtractError::Form("not `json` and `signature`"))
}

fn content(text: &SignedText) -> Result<Extract, ExtractError> {
    let extract: Extract = serde_json::from_str(&text.json)
        .map_err(|_| ExtractError::Form("what is signed has another form"))?;
    if extract.profile != EXTRACT_PROFILE {
        return Err(ExtractError::Form("the profile is another"));
    }
    let (found, max) = (extract.entries.len(), EXTRACT_ENTRIES_MAX);
    if found > max {
        return Err(ExtractError::TooLarge { found, max });
    }
    Ok(extract)
}

/// Any bytes as an extract.
pub(crate) fn fuzz(data: &[u8]) {
    if let Ok(text) = form(data)
        && let Ok(extract) = content(&text)
    {
        for entry in extract.entries {
            drop(Evidence::parse(&entry));
        }
    }
    drop(serde_json::from_slice::<Shared>(data));
}

impl Exchange {
    /// Our side of a joint audit with a partner, signed: what happened from `from` on and before `to`.
    ///
    /// # Errors
    /// [`ExchangeError::Input`] for more than [`EXTRACT_ENTRIES_MAX`] entries: take a shorter time;
    /// [`ExchangeError::WrongState`] while the search index is behind.
    pub async fn extract(
        &self,
        partner: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<u8>, ExchangeError> {
        let partner = self.partner(partner)?.ori.to_string();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for entry in self.entries_with(&partner, from, to).await? {
            let proof = self.proof(entry).await?;
            bytes += proof.len();
            // Twice written as a text within JSON, its line ends grow.
            if bytes > EXTRACT_BYTES_MAX / 2 {
                let expected = "a shorter time: its proofs would be longer than 32 MiB";
                return Err(ExchangeError::Input { field: "to", expected });
            }
            entries.push(proof);
        }
        let extract = Extract {
            profile: EXTRACT_PROFILE.to_owned(),
            agency: self.0.setup.agency.clone(),
            partner,
            from,
            to,
            made_at: self.now(),
            entries,
        };
        let unwritten = |_| ExchangeError::Protocol { what: "an extract that can't be written" };
        let json = serde_json::to_string(&extract).map_err(unwritten)?;
        let signature = parcel::signed::sign(json.as_bytes(), &self.0.setup.signer, self.now());
        let signature = BASE64.encode(signature.map_err(ExchangeError::Seal)?);
        serde_json::to_vec(&SignedText { json, signature }).map_err(unwritten)
    }

    /// A joint audit with a partner: our side against the extract that it made, over the time of that one.
    ///
    /// # Errors
    /// [`ExchangeError::Extract`] where the partner's does not hold; [`ExchangeError::Input`] where we do not
    /// have the key of the partner's ledger; otherwise as [`Exchange::extract`].
    pub async fn reconcile(
        &self,
        partner: &str,
        theirs: Vec<u8>,
        skew_max: SignedDuration,
    ) -> Result<Report, ExchangeError> {
        let partner = self.partner(partner)?.clone();
        let expected = "a partner whose file gives its `ledger_key`";
        let no_key = ExchangeError::Input { field: "partner", expected };
        let key = partner.ledger_key.clone().ok_or(no_key)?;
        let trust = |senders| Trust { senders, now: self.now() };
        let theirs_trust = partner.trust(self.now());
        let proved = move || read(&theirs, &theirs_trust, &key);
        let theirs =
            tokio::task::spawn_blocking(proved).await.map_err(|_| ExchangeError::Stopped)??;
        if theirs.agency.ori != partner.ori.as_str() {
            return Err(ExtractError::Form("it is of another agency").into());
        }
        let ours = self.extract(partner.ori.as_str(), theirs.from, theirs.to).await?;
        let key = VerifierKey::parse(&self.0.setup.ledger.verifier_key());
        let key = key.map_err(|_| ExchangeError::Protocol { what: "our own ledger's key" })?;
        let ours_trust = trust(self.0.setup.signer.chain.clone());
        let proved = move || read(&ours, &ours_trust, &key);
        let ours =
            tokio::task::spawn_blocking(proved).await.map_err(|_| ExchangeError::Stopped)??;
        Ok(super::reconcile(&ours, &theirs, skew_max))
    }

    /// The entries about exchanges with the partner, oldest first. Of those about others one page is held at a time.
    async fn entries_with(
        &self,
        partner: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<EntryNumber>, ExchangeError> {
        let mut search = Search {
            kinds: KINDS.map(str::to_owned).to_vec(),
            from: Some(from),
            to: Some(to),
            ..Search::newest(ledger::PAGE_ENTRIES_MAX)
        };
        let mut found = Vec::new();
        loop {
            let page = self.page(search.clone()).await?;
            for entry in &page.entries {
                if self.is_with(entry, partner).await? {
                    found.push(entry.number);
                }
            }
            if found.len() > EXTRACT_ENTRIES_MAX {
                let expected = "a shorter time: it has more than 20000 entries";
                return Err(ExchangeError::Input { field: "to", expected });
            }
            search.before = page.entries.last().map(|entry| entry.number);
            if !page.more || search.before.is_none() {
                found.reverse();
                return Ok(found);
            }
        }
    }

    /// A page of a search, if the index has all of it.
    pub(crate) async fn page(&self, search: Search) -> Result<Page, ExchangeError> {
        let ledger = self.0.setup.ledger.clone();
        let work = move || ledger.search(&search).map_err(ExchangeError::LedgerRead);
        let page =
            tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)??;
        // A destroyed index key hides nothing of what is searched for by kind and time.
        let hides = |why: &Incomplete| !matches!(why, Incomplete::EpochsDestroyed(_));
        if page.incomplete.iter().any(hides) {
            let (what, is) = ("search index", "behind".to_owned());
            return Err(ExchangeError::WrongState { what, is, needs: "complete" });
        }
        Ok(page)
    }

    /// Whether an entry is about an exchange with the partner; some name the exchange alone.
    async fn is_with(&self, entry: &Entry, partner: &str) -> Result<bool, ExchangeError> {
        // What is laid down or carried never reaches the partner's server, so no ledger there tells of it.
        if matches!(entry.record.event, Event::ParcelSent(ledger::Sent { route: Some(_), .. })) {
            return Ok(false);
        }
        let facts = entry.record.event.facts();
        let Some(exchange) = facts.exchange else { return Ok(false) };
        if let Some(named) = facts.partner {
            return Ok(named == partner);
        }
        let Ok(exchange) = Uuid::parse_str(exchange) else { return Ok(false) };
        let state = &self.0.setup.state;
        let parcel: Option<IncomingRow> = state::parcels::find(state, exchange).await?;
        if let Some(parcel) = parcel {
            return Ok(parcel.partner == partner);
        }
        let export: Option<ExportRow> = state::exports::find_by_exchange(state, exchange).await?;
        Ok(export.is_some_and(|export| export.partner == partner))
    }

    async fn proof(&self, entry: EntryNumber) -> Result<String, ExchangeError> {
        let ledger = self.0.setup.ledger.clone();
        let work = move || ledger.evidence(entry, Some(Disclose::Shared)).map(|proof| proof.text());
        let proof = tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)?;
        proof.map_err(ExchangeError::LedgerRead)
    }
}
