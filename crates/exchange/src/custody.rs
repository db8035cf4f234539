//! Custody that goes on at each hand-over: what the record of a received parcel says of a file, what happened to the
//! file here, and the proof of each entry in our ledger that says so.
//!
//! Invariants: the events of the parcel received come first and are not changed but for the files' new paths; an
//! event of ours names an entry of our ledger and proves it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use ledger::EntryNumber;
use ledger::evidence::Disclose;
use parcel::{Circumstances, CustodyEvent, HandOver, LedgerReference, Parcel, Party, Person};
use policy::{Actor, RecordClass};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::{IncomingRow, Inside, Item};
use crate::sealed_custody::person;
use crate::sealing::TOOL;
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

/// What the name of a file takes in a record beside its path.
const LINK_BYTES: u64 = 55;

/// Exhibits of other parcels that a record names as those that its own goes back to.
const ROOTS_MAX: usize = 100;

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
    /// The custody of items that came from partners, from its begin until now, and the exhibits that they were of.
    pub(crate) async fn custody_so_far(
        &self,
        received: BTreeMap<Uuid, Moved>,
    ) -> Result<(Vec<CustodyEvent>, Vec<String>), ExchangeError> {
        let (mut out, mut roots) = (Vec::new(), Vec::new());
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
            if !has_room(&before, &moved) {
                let path = moved.keys().next().cloned().unwrap_or_default();
                let what = "received with more events than have room in a new record for so many files at once";
                return Err(ExchangeError::Items { path, what });
            }
            roots.extend(roots_of(&before, row.parcel));
            out.extend(before.into_iter().filter_map(|event| at_new_paths(event, &moved)));
            out.extend(self.custody_here(&row, &inside, &moved)?);
        }
        roots.sort_unstable();
        roots.dedup();
        roots.truncate(ROOTS_MAX);
        Ok((out, roots))
    }

    /// The events that came with a parcel. Of a record in another form that it came, and no more.
    async fn senders_custody(
        &self,
        row: &IncomingRow,
        moved: &Moved,
    ) -> Result<Vec<CustodyEvent>, ExchangeError> {
        let trust = self.trust_in(row)?;
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
        let files = moved.keys().cloned().collect();
        Ok(vec![self.in_another_form(row, digest, files)])
    }

    /// The event in place of a record that is in another form than ours.
    pub(crate) fn in_another_form(
        &self,
        row: &IncomingRow,
        digest: [u8; 32],
        files: Vec<String>,
    ) -> CustodyEvent {
        let digest = hex::encode(digest);
        CustodyEvent {
            kind: "transferred".to_owned(),
            description: format!(
                "sent with a custody record in another form, SHA-256 {digest}, which is not repeated here"
            ),
            started: row.details.received_at.unwrap_or(row.offered_at),
            ended: None,
            person: sender(row),
            tool: TOOL.to_owned(),
            purpose: None,
            authority: None,
            files,
            originals: Vec::new(),
            ledger: None,
            around: Circumstances {
                hand_over: Some(self.hand_over_to_us(row)),
                ..Circumstances::default()
            },
        }
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
        if let Some(sent) = self.sent_to_us(row, &files) {
            out.push(sent);
        }
        let by = |actor: &Actor| (person(actor), self.around(actor));
        let itself = || (self.itself(), self.here());
        let mut add = |kind: &str, text: String, who: Who, entry: u64, files: Vec<String>| {
            let ((at, ledger), (who, around)) = (self.reference(entry)?, who);
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
                around,
            });
            Ok::<_, ExchangeError>(())
        };
        let came = format!("parcel {} in exchange {}", row.parcel, row.exchange);
        if let Some(entry) = details.received_entry {
            let text = format!("{came}, from {}", row.partner);
            let (who, mut around) = itself();
            around.hand_over = (!self.is_brought(row)).then(|| self.hand_over_to_us(row));
            add("received", text, (who, around), entry, files.clone())?;
        }
        if let Some(receipt) = &details.receipt {
            let text =
                format!("{came}: signatures and every hash hold; receipt {}", receipt.digest);
            add("verified", text, itself(), receipt.entry, files.clone())?;
        }
        if let Some(scan) = &details.scan {
            let mut text = format!("scanned by {}", scan.engine);
            for (old, new) in moved {
                text.push_str(&format!("; {}: {}", new.join(", "), scan.said_of(old)));
            }
            let text = crate::delivery::short(&text);
            add("scanned", text, itself(), scan.entry, files.clone())?;
        }
        let acts = [("accepted", &after.accepted), ("opened", &after.opened)];
        for (kind, act) in acts {
            if let Some(act) = act {
                add(kind, came.clone(), by(&act.by), act.entry, files.clone())?;
            }
        }
        for (old, new) in moved {
            let finding = details.scan.as_ref().and_then(|scan| scan.findings.get(old));
            if let Some(act) = finding.and_then(|finding| finding.released.as_ref()) {
                let reason = act.reason.as_deref().unwrap_or_default();
                let text = format!("let be opened although held for malware: {reason}");
                add("released", text, by(&act.by), act.entry, new.clone())?;
            }
        }
        out.sort_by_key(|event| event.started);
        Ok(out)
    }

    /// That its sender sent it, by the entry that its offer named. The sender's ledger proves it, not ours.
    fn sent_to_us(&self, row: &IncomingRow, files: &[String]) -> Option<CustodyEvent> {
        let details = &row.details;
        let partner = self.book().partner(&row.partner)?;
        let key = partner.ledger_key.as_ref();
        let entry = details.sender_entry;
        Some(CustodyEvent {
            kind: "transferred".to_owned(),
            description: match details.afterwards.carried {
                None => format!(
                    "sent in exchange {}: entry {entry} of its sender's ledger, as its offer said",
                    row.exchange
                ),
                Some(_) => format!(
                    "carried here in exchange {}: entry {entry} is the last of its sender's ledger that it names",
                    row.exchange
                ),
            },
            started: row.offered_at,
            ended: details.received_at,
            person: sender(row),
            tool: TOOL.to_owned(),
            purpose: None,
            authority: None,
            files: files.to_vec(),
            originals: Vec::new(),
            ledger: key.map(|key| LedgerReference {
                origin: key.name.clone(),
                entry,
                leaf: details.sender_leaf.clone(),
                proof: None,
            }),
            around: Circumstances {
                hand_over: Some(self.hand_over_to_us(row)),
                ..Circumstances::default()
            },
        })
    }

    /// From its sender to us.
    pub(crate) fn hand_over_to_us(&self, row: &IncomingRow) -> HandOver {
        let from = Party { ori: row.partner.clone(), name: row.details.sender_name.clone() };
        HandOver {
            from: Some(custodian(&from)),
            to: Some(custodian(&self.0.setup.agency)),
            channel: row.details.afterwards.carried.as_ref().map(|_| "carried".to_owned()),
            bytes: Some(row.bytes),
            ..HandOver::default()
        }
    }

    /// Who does what nobody does by hand.
    pub(crate) fn itself(&self) -> Person {
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

/// Somebody, and how they had signed in.
type Who = (Person, Circumstances);

/// An agency, as custodian of what it holds.
pub(crate) fn custodian(party: &Party) -> String {
    format!("{} ({})", party.name, party.ori)
}

fn sender(row: &IncomingRow) -> Person {
    Person {
        name: row.details.sender_name.clone(),
        account: row.partner.clone(),
        agency: row.partner.clone(),
        role: "sender".to_owned(),
    }
}

/// The exhibits that the files of a parcel were of first: those that its record names, or the parcel.
fn roots_of(events: &[CustodyEvent], parcel: Uuid) -> Vec<String> {
    let made = events.iter().rev().map(|event| &event.around).find(|it| it.exhibit.is_some());
    match made {
        Some(made) if !made.root_exhibits.is_empty() => made.root_exhibits.clone(),
        Some(made) => made.exhibit.iter().cloned().collect(),
        None => vec![parcel.to_string()],
    }
}

/// Entries of our ledger, each with its time and its proof.
pub(crate) type References = BTreeMap<u64, (Timestamp, LedgerReference)>;

/// Whether the paths that these events name anew have room in a record: each is held for each event, and all of them
/// for one about all that came.
fn has_room(events: &[CustodyEvent], moved: &Moved) -> bool {
    let bytes =
        |new: &Vec<String>| -> u64 { new.iter().map(|path| path.len() as u64 + LINK_BYTES).sum() };
    let all: u64 = moved.values().map(bytes).sum();
    let mut left = parcel::METADATA_BYTES_MAX;
    events.iter().all(|event| {
        let named = event.files.iter().filter_map(|path| moved.get(path));
        let more = if event.files.is_empty() { all } else { named.map(bytes).sum() };
        left.checked_sub(more).inspect(|less| left = *less).is_some()
    })
}

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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use parcel::{Circumstances, CustodyEvent, Person};

    use super::{Moved, at_new_paths, has_room};

    fn about(files: &[&str]) -> CustodyEvent {
        let words = || "x".to_owned();
        CustodyEvent {
            kind: "redacted".to_owned(),
            description: words(),
            started: Timestamp::UNIX_EPOCH,
            ended: None,
            person: Person { name: words(), account: words(), agency: words(), role: words() },
            tool: words(),
            purpose: None,
            authority: None,
            files: files.iter().map(|path| (*path).to_owned()).collect(),
            originals: Vec::new(),
            ledger: None,
            around: Circumstances::default(),
        }
    }

    fn moved(path: &str, new: &[&str]) -> Moved {
        Moved::from([(path.to_owned(), new.iter().map(|path| (*path).to_owned()).collect())])
    }

    #[test]
    fn an_event_goes_on_with_the_files_that_it_is_about_and_no_others() {
        let other = moved("b.txt", &["x/b.txt"]);
        assert_eq!(at_new_paths(about(&["a.txt"]), &other), None);
        let all = at_new_paths(about(&[]), &other).unwrap();
        assert_eq!(all.files, ["x/b.txt"]);
    }

    #[test]
    fn more_names_than_a_record_holds_are_refused_before_they_are_copied() {
        let path = "p".repeat(1_000);
        let many = moved("a.txt", &vec![path.as_str(); 1_000]);
        let (all, named) = (vec![about(&[]); 250], vec![about(&["a.txt"]); 250]);
        assert!(has_room(&all, &many) && has_room(&named, &many));
        let (all, named) = (vec![about(&[]); 260], vec![about(&["a.txt"]); 260]);
        assert!(!has_room(&all, &many) && !has_room(&named, &many));
        assert!(has_room(&vec![about(&["b.txt"]); 10_000], &many), "about none that goes on");
    }
}
