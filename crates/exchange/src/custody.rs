//! Custody that goes on at each hand-over: what the record of a received parcel says of a file, what happened to the
//! file here, and the proof of each entry in our ledger that says so.
//!
//! Invariants: the events of the parcel received come first and are not changed but for the files' new paths; an
//! event of ours names an entry of our ledger and proves it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use ledger::EntryNumber;
use ledger::evidence::Disclose;
use parcel::{CustodyEvent, LedgerReference, Parcel, Person};
use policy::RecordClass;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::{IncomingRow, Inside, Item};
use crate::sealing::{TOOL, person};
use crate::{Exchange, ExchangeError};

/// Where an item that came from somebody else lies here, and what binds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceivedFrom {
    /// The exchange in which it came.
    pub exchange: Uuid,
    /// Its path in the parcel that was received.
    pub path: String,
    /// The ORI of the partner that sent it; none where a person took it in.
    pub from: Option<String>,
    /// Whatever its parcel may hold.
    pub record_classes: BTreeSet<RecordClass>,
    /// When it is to be destroyed, by its sender's terms.
    pub destroy_by: Option<Timestamp>,
    /// SHA-256 (hex) of what it is a redacted copy of, the nearest first; none where it is as it was received.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub originals: Vec<String>,
    /// Whether the original goes along, because somebody chose both.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_original: bool,
}

/// The paths that files have in a new parcel, by those that they had in the one received.
pub(crate) type Moved = BTreeMap<String, Vec<String>>;

/// Which of these items came from partners, by exchange.
pub(crate) fn received(items: &[Item]) -> BTreeMap<Uuid, Moved> {
    let mut received: BTreeMap<Uuid, Moved> = BTreeMap::new();
    for item in items {
        if let Some(from) = &item.received {
            let moved = received.entry(from.exchange).or_default();
            moved.entry(from.path.clone()).or_default().push(item.path.clone());
        }
    }
    received
}

impl Exchange {
    /// The custody of items that came from partners, from its begin until now.
    pub(crate) async fn custody_so_far(
        &self,
        received: BTreeMap<Uuid, Moved>,
    ) -> Result<Vec<CustodyEvent>, ExchangeError> {
        let mut out = Vec::new();
        for (exchange, moved) in received {
            let (row, inside) = self.accepted(exchange).await?;
            self.not_closed(&row)?;
            let scan = row.details.scan.as_ref();
            let held = moved.keys().find_map(|path| scan.and_then(|scan| scan.holds(path)));
            if let Some(why) = held {
                let is = format!("held ({why})");
                let needs = "released by a supervisor";
                return Err(ExchangeError::WrongState { what: "file", is, needs });
            }
            let before = self.senders_custody(&row, &moved).await?;
            out.extend(before.into_iter().filter_map(|event| at_new_paths(event, &moved)));
            out.extend(self.custody_here(&row, &inside, &moved)?);
        }
        Ok(out)
    }

    /// The events that came with a parcel. Of a record in another form that it came, and no more.
    async fn senders_custody(
        &self,
        row: &IncomingRow,
        moved: &Moved,
    ) -> Result<Vec<CustodyEvent>, ExchangeError> {
        let trust = self.trust_in(row)?;
        let now = trust.now;
        let (folder, this) = (self.0.store.incoming(row.exchange), self.clone());
        let work = move || {
            let parcel = Parcel::enter(&folder, &trust)?;
            let unlocked = parcel.unlock(this.opener(&parcel))?;
            Ok((unlocked.custody_events()?, unlocked.custody_sha256()))
        };
        let record = tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)?;
        let (events, digest) = record.map_err(ExchangeError::Refused)?;
        if let Some(events) = events {
            return Ok(events);
        }
        let digest = hex::encode(digest);
        Ok(vec![CustodyEvent {
            kind: "transferred".to_owned(),
            description: format!(
                "sent with a custody record in another form, SHA-256 {digest}, which is not repeated here"
            ),
            started: now,
            ended: None,
            person: Person {
                name: row.details.sender_name.clone(),
                account: row.partner.clone(),
                agency: row.partner.clone(),
                role: "sender".to_owned(),
            },
            tool: TOOL.to_owned(),
            purpose: None,
            authority: None,
            files: moved.keys().cloned().collect(),
            originals: Vec::new(),
            ledger: None,
        }])
    }

    /// What happened to the files since they arrived here.
    fn custody_here(
        &self,
        row: &IncomingRow,
        inside: &Inside,
        moved: &Moved,
    ) -> Result<Vec<CustodyEvent>, ExchangeError> {
        let (details, after) = (&row.details, &row.details.afterwards);
        let files: Vec<String> = moved.values().flatten().cloned().collect();
        let mut out = Vec::new();
        let mut add = |kind: &str, text: String, who: Person, entry: u64, files: Vec<String>| {
            let (at, ledger) = self.reference(entry)?;
            out.push(CustodyEvent {
                kind: kind.to_owned(),
                description: text,
                started: at,
                ended: None,
                person: who,
                tool: TOOL.to_owned(),
                purpose: None,
                authority: Some(inside.authority.clone()),
                files,
                originals: Vec::new(),
                ledger: Some(ledger),
            });
            Ok::<_, ExchangeError>(())
        };
        let came = format!("parcel {} in exchange {}", row.parcel, row.exchange);
        if let Some(entry) = details.received_entry {
            let text = format!("{came}, from {}", row.partner);
            add("received", text, self.itself(), entry, files.clone())?;
        }
        if let Some(receipt) = &details.receipt {
            let text =
                format!("{came}: signatures and every hash hold; receipt {}", receipt.digest);
            add("verified", text, self.itself(), receipt.entry, files.clone())?;
        }
        if let Some(scan) = &details.scan {
            let mut text = format!("scanned by {}", scan.engine);
            for (old, new) in moved {
                text.push_str(&format!("; {}: {}", new.join(", "), scan.said_of(old)));
            }
            let text = crate::delivery::short(&text);
            add("scanned", text, self.itself(), scan.entry, files.clone())?;
        }
        let acts = [("accepted", &after.accepted), ("opened", &after.opened)];
        for (kind, act) in acts {
            if let Some(act) = act {
                add(kind, came.clone(), person(&act.by), act.entry, files.clone())?;
            }
        }
        for (old, new) in moved {
            let finding = details.scan.as_ref().and_then(|scan| scan.findings.get(old));
            if let Some(act) = finding.and_then(|finding| finding.released.as_ref()) {
                let reason = act.reason.as_deref().unwrap_or_default();
                let text = format!("let be opened although held for malware: {reason}");
                add("released", text, person(&act.by), act.entry, new.clone())?;
            }
        }
        out.sort_by_key(|event| event.started);
        Ok(out)
    }

    /// Who does what nobody does by hand.
    fn itself(&self) -> Person {
        let agency = &self.0.setup.agency;
        Person {
            name: agency.name.clone(),
            account: format!("platform|{}", agency.ori),
            agency: agency.ori.clone(),
            role: "platform".to_owned(),
        }
    }

    /// Many of them, on a thread that may wait: each proof reads the log.
    pub(crate) async fn references(
        &self,
        entries: BTreeSet<u64>,
    ) -> Result<References, ExchangeError> {
        let this = self.clone();
        let read =
            move || entries.into_iter().map(|entry| Ok((entry, this.reference(entry)?))).collect();
        tokio::task::spawn_blocking(read).await.map_err(|_| ExchangeError::Stopped)?
    }

    /// An entry of our ledger with its proof, and the half of it that a partner may see.
    pub(crate) fn reference(
        &self,
        entry: u64,
    ) -> Result<(Timestamp, LedgerReference), ExchangeError> {
        let ledger = &self.0.setup.ledger;
        let found = ledger.read(EntryNumber(entry)).map_err(ExchangeError::LedgerRead)?;
        let proof = ledger.evidence(EntryNumber(entry), Some(Disclose::Shared));
        let proof = Some(proof.map_err(ExchangeError::LedgerRead)?.text());
        let origin = self.0.setup.ledger_origin.clone();
        Ok((found.at, LedgerReference { origin, entry, leaf: hex::encode(found.leaf), proof }))
    }
}

/// Entries of our ledger, each with its time and its proof.
pub(crate) type References = BTreeMap<u64, (Timestamp, LedgerReference)>;

/// An event about files that go on, with the paths that they have now. Nothing of one about others.
fn at_new_paths(event: CustodyEvent, moved: &Moved) -> Option<CustodyEvent> {
    let named = event.files.iter().filter_map(|path| moved.get(path));
    let files: Vec<String> = match event.files.is_empty() {
        // One about all that came.
        true => moved.values().flatten().cloned().collect(),
        false => named.flatten().cloned().collect(),
    };
    (!files.is_empty()).then_some(CustodyEvent { files, ..event })
}
