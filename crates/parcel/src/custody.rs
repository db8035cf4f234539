//! `custody.jsonld`: the chain of custody in CASE 1.5 / UCO terms (JSON-LD).
//!
//! Node names are UUIDv5 of the parcel's id, so the same parcel gives the same graph. Vocabulary
//! values are plain strings, as CASE asks since 1.4. What CASE has no term for (ledger entries)
//! stands under our own prefix.

mod derivation;
pub(crate) mod paper;
mod read;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::meta::{self, IndexedFile, Transfer, TransferRecord};

pub use self::read::events;
pub(crate) use self::read::fuzz;

/// Files up to which the record is indented.
const FILES_INDENTED_MAX: usize = 1_000;

/// What documents name as the program that made them.
const PROGRAM: &str = concat!("Bailiwick ", env!("CARGO_PKG_VERSION"));

/// Someone who handled the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub name: String,
    /// The unique account: never a shared one.
    pub account: String,
    /// ORI of the agency that the person acted for.
    pub agency: String,
    pub role: String,
}

/// Where a ledger says the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerReference {
    pub origin: String,
    pub entry: u64,
    /// The entry's leaf hash, hex.
    pub leaf: String,
    /// That the entry is in the ledger: a C2SP tlog-proof with the ledger's signed checkpoint, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// One thing that happened to the evidence, oldest first in a parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustodyEvent {
    /// `registered`, `exported-from-source`, `converted`, `redacted`, `scanned`, `packaged`,
    /// `approved-for-release`, `sealed` … (field list in `docs/formats/parcel.md`).
    pub kind: String,
    pub description: String,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    pub person: Person,
    /// Program and version that did it.
    pub tool: String,
    pub purpose: Option<String>,
    pub authority: Option<String>,
    /// Paths of the files it was about; none means all.
    pub files: Vec<String>,
    /// SHA-256 (hex) of what its files were made of, the nearest first; none where they are as they were. What has
    /// such a digest itself is an original.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub originals: Vec<String>,
    pub ledger: Option<LedgerReference>,
}

/// PREMIS 3 event type of a kind of ours, where there is one.
fn premis(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "registered" => "ingestion",
        "exported-from-source" => "exporting",
        "converted" => "normalization",
        "redacted" => "redaction",
        "scanned" => "virus check",
        "format-validated" => "validation",
        "packaged" => "packaging",
        "signed" => "digital signature generation",
        "sealed" | "encrypted" => "encryption",
        "approved-for-release" => "dissemination",
        "transferred" | "received" => "transfer",
        "verified" => "fixity check",
        "opened" => "decryption",
        "destroyed" => "deletion",
        _ => return None,
    })
}

/// Writes the graph.
pub(crate) fn write(
    record: &TransferRecord,
    files: &[IndexedFile],
    events: &[CustodyEvent],
) -> Result<Vec<u8>, serde_json::Error> {
    let (names, transfer) = (Names { id: record.parcel }, &record.transfer);
    let mut graph = vec![investigation(&names, transfer, files), authorization(&names, transfer)];
    for party in [&transfer.sender, &transfer.recipient] {
        graph.push(json!({
            "@id": names.of("organization", &party.ori),
            "@type": "uco-identity:Organization",
            "uco-core:name": party.name,
            "bailiwick:ori": party.ori,
        }));
    }
    let people = People::of(events);
    let mut seen = std::collections::BTreeSet::new();
    for event in events {
        let key = people.key(&event.person);
        if !seen.contains(&("person", key.clone())) {
            graph.push(person(&names, &key, &event.person));
            seen.insert(("person", key));
        }
        if seen.insert(("tool", event.tool.clone())) {
            graph.push(json!({
                "@id": names.of("tool", &event.tool),
                "@type": "uco-tool:Tool",
                "uco-core:name": event.tool,
            }));
        }
    }
    graph.extend(files.iter().map(|file| observable(&names, file)));
    graph.push(provenance(&names, record, files));
    let known: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for (number, event) in events.iter().enumerate() {
        graph.push(action(&names, &people, (number, event), &known));
    }
    graph.extend(derivation::nodes(&names, files, events));
    let all = json!({ "@context": context(), "@graph": graph });
    // Of many files nobody reads it line by line, and its indentation alone would be tens of megabytes.
    let mut out = match files.len() {
        0..=FILES_INDENTED_MAX => serde_json::to_vec_pretty(&all)?,
        _ => serde_json::to_vec(&all)?,
    };
    out.push(b'\n');
    Ok(out)
}

struct Names {
    id: Uuid,
}

/// The first person of each account: a custody that goes on at another agency may have two of one name.
struct People<'a>(std::collections::BTreeMap<&'a str, &'a Person>);

impl<'a> People<'a> {
    fn of(events: &'a [CustodyEvent]) -> Self {
        let mut first = std::collections::BTreeMap::new();
        for event in events {
            first.entry(event.person.account.as_str()).or_insert(&event.person);
        }
        Self(first)
    }

    /// What a person's node is named by: the account, and all of it for another person with the same account.
    fn key(&self, person: &Person) -> String {
        let Person { name, account, agency, role } = person;
        match self.0.get(account.as_str()) {
            Some(first) if *first != person => format!("{account}|{agency}|{role}|{name}"),
            Some(_) | None => account.clone(),
        }
    }
}

impl Names {
    fn of(&self, class: &str, key: &str) -> String {
        let name = Uuid::new_v5(&self.id, format!("{class}|{key}").as_bytes());
        format!("kb:{class}-{name}")
    }

    fn link(&self, class: &str, key: &str) -> Value {
        json!({ "@id": self.of(class, key) })
    }
}

fn context() -> Value {
    json!({
        "kb": "http://example.org/kb/",
        "bailiwick": "urn:bailiwick:custody:1.0#",
        "case-investigation": "https://ontology.caseontology.org/case/investigation/",
        "uco-action": "https://ontology.unifiedcyberontology.org/uco/action/",
        "uco-core": "https://ontology.unifiedcyberontology.org/uco/core/",
        "uco-identity": "https://ontology.unifiedcyberontology.org/uco/identity/",
        "uco-observable": "https://ontology.unifiedcyberontology.org/uco/observable/",
        "uco-tool": "https://ontology.unifiedcyberontology.org/uco/tool/",
        "uco-types": "https://ontology.unifiedcyberontology.org/uco/types/",
        "xsd": "http://www.w3.org/2001/XMLSchema#",
    })
}

fn investigation(names: &Names, transfer: &Transfer, files: &[IndexedFile]) -> Value {
    let objects = files.iter().map(|file| names.link("file", &file.path));
    json!({
        "@id": names.of("investigation", "1"),
        "@type": "case-investigation:Investigation",
        "uco-core:name": transfer.case_number.as_deref().unwrap_or("no case number"),
        "uco-core:description": format!("parcel {}", names.id),
        "case-investigation:investigationForm": "case",
        "case-investigation:relevantAuthorization": names.link("authorization", "1"),
        "uco-core:object": objects.collect::<Vec<_>>(),
    })
}

fn authorization(names: &Names, transfer: &Transfer) -> Value {
    json!({
        "@id": names.of("authorization", "1"),
        "@type": "case-investigation:Authorization",
        "uco-core:name": transfer.authority,
        "uco-core:description": transfer.purpose,
        "case-investigation:authorizationIdentifier": transfer.authority,
    })
}

fn person(names: &Names, key: &str, person: &Person) -> Value {
    json!({
        "@id": names.of("person", key),
        "@type": "uco-identity:Person",
        "uco-core:name": person.name,
        "bailiwick:account": person.account,
        "bailiwick:agency": person.agency,
        "bailiwick:role": person.role,
    })
}

fn observable(names: &Names, file: &IndexedFile) -> Value {
    let short = file.path.rsplit('/').next().unwrap_or(&file.path);
    let length = json!({ "@type": "xsd:integer", "@value": file.length.to_string() });
    json!({
        "@id": names.of("file", &file.path),
        "@type": "uco-observable:File",
        "uco-core:hasFacet": [
            {
                "@id": names.of("file-facet", &file.path),
                "@type": "uco-observable:FileFacet",
                "uco-observable:fileName": short,
                "uco-observable:filePath": format!("data/{}", file.path),
                "uco-observable:modifiedTime": time(file.modified),
                "uco-observable:sizeInBytes": length,
            },
            {
                "@id": names.of("content-data-facet", &file.path),
                "@type": "uco-observable:ContentDataFacet",
                "uco-observable:mimeType": file.media_type,
                "uco-observable:sizeInBytes": length,
                "uco-observable:hash": {
                    "@id": names.of("hash", &file.path),
                    "@type": "uco-types:Hash",
                    "uco-types:hashMethod": "SHA256",
                    "uco-types:hashValue": {
                        "@type": "xsd:hexBinary",
                        "@value": file.sha256,
                    },
                },
            },
        ],
    })
}

fn provenance(names: &Names, record: &TransferRecord, files: &[IndexedFile]) -> Value {
    let objects = files.iter().map(|file| names.link("file", &file.path));
    let transfer = &record.transfer;
    let mut out = json!({
        "@id": names.of("provenance-record", "1"),
        "@type": "case-investigation:ProvenanceRecord",
        "uco-core:description": format!("exchange {}", transfer.exchange_id),
        "case-investigation:exhibitNumber": names.id.to_string(),
        "uco-core:object": objects.collect::<Vec<_>>(),
        "bailiwick:exchange": transfer.exchange_id,
        "bailiwick:handling": transfer.handling,
    });
    if let (Some(_), Some(fields)) = (&record.key_transport, out.as_object_mut()) {
        fields.insert("bailiwick:keyTransport".to_owned(), meta::RSA_OAEP_WORDS.into());
    }
    out
}

fn action(
    names: &Names,
    people: &People<'_>,
    (number, event): (usize, &CustodyEvent),
    known: &BTreeSet<&str>,
) -> Value {
    let named: BTreeSet<&str> = event.files.iter().map(String::as_str).collect();
    let about = if named.is_empty() { known } else { &named };
    let objects = about.iter().filter(|path| known.contains(*path));
    let objects = objects.map(|path| names.link("file", path));
    let mut out = json!({
        "@id": names.of("investigative-action", &number.to_string()),
        "@type": "case-investigation:InvestigativeAction",
        "uco-core:name": event.kind,
        "uco-core:description": event.description,
        "uco-action:startTime": time(event.started),
        "uco-action:endTime": time(event.ended.unwrap_or(event.started)),
        "uco-action:actionStatus": "Success",
        "uco-action:performer": names.link("person", &people.key(&event.person)),
        "uco-action:instrument": names.link("tool", &event.tool),
        "uco-action:object": objects.collect::<Vec<_>>(),
        "uco-action:result": names.link("provenance-record", "1"),
    });
    let extra = [
        ("bailiwick:premisEventType", premis(&event.kind).map(Value::from)),
        ("bailiwick:purpose", event.purpose.clone().map(Value::from)),
        ("bailiwick:authority", event.authority.clone().map(Value::from)),
        ("bailiwick:ledgerOrigin", event.ledger.as_ref().map(|l| l.origin.clone().into())),
        ("bailiwick:ledgerEntry", event.ledger.as_ref().map(|l| l.entry.into())),
        ("bailiwick:ledgerLeaf", event.ledger.as_ref().map(|l| l.leaf.clone().into())),
        (
            "bailiwick:ledgerProof",
            event.ledger.as_ref().and_then(|l| l.proof.clone()).map(Value::from),
        ),
        ("bailiwick:derivedFrom", derivation::links(names, &event.originals)),
        (
            "case-investigation:wasInformedBy",
            number.checked_sub(1).map(|n| names.link("investigative-action", &n.to_string())),
        ),
    ];
    if let Some(fields) = out.as_object_mut() {
        fields.extend(extra.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    }
    out
}

fn time(at: Timestamp) -> Value {
    json!({ "@type": "xsd:dateTime", "@value": at.to_string() })
}
