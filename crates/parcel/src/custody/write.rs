//! Writing `custody.jsonld`, node by node: nothing is held for a file but the 16 bytes that its node is named by.
//!
//! Invariant: the same record gives the same bytes; and as many bytes whatever the files' hashes are, so that its length
//! is known before anything is sealed; fewer only where a file has the hash of an original.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use jiff::Timestamp;
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CustodyEvent, Person, derivation, premis};
use crate::meta::{self, IndexedFile, Transfer, TransferRecord};

/// Files up to which the record is indented.
const FILES_INDENTED_MAX: usize = 1_000;

/// What a record is made of.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) of: &'a TransferRecord,
    /// In the archive's order.
    pub(crate) files: &'a [IndexedFile],
    pub(crate) events: &'a [CustodyEvent],
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// The record.
    Whole,
    /// As many bytes, made with less work: names of nodes are zeros.
    Length,
}

impl Record<'_> {
    /// Writes the graph.
    pub(crate) fn write(&self, words: Words, out: &mut dyn Write) -> Result<(), serde_json::Error> {
        let names = Names::new(self, words);
        let whole = Whole { context: context(), graph: Graph { record: self, names: &names } };
        // Of many files nobody reads it line by line, and its indentation alone would be tens of megabytes.
        if self.files.len() <= FILES_INDENTED_MAX {
            serde_json::to_writer_pretty(&mut *out, &whole)?;
        } else {
            serde_json::to_writer(&mut *out, &whole)?;
        }
        out.write_all(b"\n").map_err(serde_json::Error::io)
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(rename = "@context")]
    context: Value,
    #[serde(rename = "@graph")]
    graph: Graph<'a>,
}

struct Graph<'a> {
    record: &'a Record<'a>,
    names: &'a Names,
}

impl Serialize for Graph<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (names, Record { of, files, events }) = (self.names, *self.record);
        let transfer = &of.transfer;
        let all = Objects { names, some: None };
        let mut graph = to.serialize_seq(None)?;
        graph
            .serialize_element(&Listing { node: investigation(names, transfer), objects: &all })?;
        graph.serialize_element(&authorization(names, transfer))?;
        for party in [&transfer.sender, &transfer.recipient] {
            graph.serialize_element(&json!({
                "@id": names.of("organization", &party.ori),
                "@type": "uco-identity:Organization",
                "uco-core:name": party.name,
                "bailiwick:ori": party.ori,
            }))?;
        }
        let people = People::of(events);
        let mut seen = BTreeSet::new();
        for event in events {
            let key = people.key(&event.person);
            if !seen.contains(&("person", key.clone())) {
                graph.serialize_element(&person(names, &key, &event.person))?;
                seen.insert(("person", key));
            }
            if seen.insert(("tool", event.tool.clone())) {
                graph.serialize_element(&json!({
                    "@id": names.of("tool", &event.tool),
                    "@type": "uco-tool:Tool",
                    "uco-core:name": event.tool,
                }))?;
            }
        }
        for (number, file) in files.iter().enumerate() {
            graph.serialize_element(&observable(names, number, file))?;
        }
        let node = provenance(names, of, events);
        graph.serialize_element(&Listing { node, objects: &all })?;
        for (number, event) in events.iter().enumerate() {
            let objects = Objects { names, some: about(event, files) };
            let node = action(names, &people, (number, event));
            graph.serialize_element(&Listing { node, objects: &objects })?;
        }
        derivation::each(names, files, events, |node| graph.serialize_element(node))?;
        graph.end()
    }
}

/// Which files an event is about, by their numbers; `None` for all.
pub(super) fn about(event: &CustodyEvent, files: &[IndexedFile]) -> Option<Vec<usize>> {
    if event.files.is_empty() {
        return None;
    }
    let number = |path: &String| files.binary_search_by(|file| file.path.cmp(path)).ok();
    let mut some: Vec<usize> = event.files.iter().filter_map(number).collect();
    some.sort_unstable();
    some.dedup();
    Some(some)
}

/// A node with a list of files, which stands where the node's fields say [`LISTED`].
struct Listing<'a> {
    node: Vec<(&'static str, Value)>,
    objects: &'a Objects<'a>,
}

/// The value of a field that is the list of files.
const LISTED: Value = Value::Null;

impl Serialize for Listing<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut node = to.serialize_map(Some(self.node.len()))?;
        for (key, value) in &self.node {
            if *value == LISTED {
                node.serialize_entry(key, self.objects)?;
            } else {
                node.serialize_entry(key, value)?;
            }
        }
        node.end()
    }
}

struct Objects<'a> {
    names: &'a Names,
    some: Option<Vec<usize>>,
}

impl Serialize for Objects<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let link = |uuid: &Uuid| Link { id: Node("file", *uuid) };
        let files = &self.names.files;
        match &self.some {
            None => to.collect_seq(files.iter().map(link)),
            Some(some) => {
                to.collect_seq(some.iter().filter_map(|number| files.get(*number)).map(link))
            }
        }
    }
}

#[derive(Serialize)]
struct Link {
    #[serde(rename = "@id")]
    id: Node,
}

/// The name of a node: `kb:CLASS-UUID`.
struct Node(&'static str, Uuid);

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text())
    }
}

impl Node {
    fn text(&self) -> String {
        let mut uuid = Uuid::encode_buffer();
        let uuid: &str = self.1.hyphenated().encode_lower(&mut uuid);
        ["kb:", self.0, "-", uuid].concat()
    }
}

pub(super) struct Names {
    id: Uuid,
    words: Words,
    /// The files' nodes: every event names them again.
    files: Vec<Uuid>,
}

impl Names {
    fn new(record: &Record<'_>, words: Words) -> Self {
        let mut names = Self { id: record.of.parcel, words, files: Vec::new() };
        names.files = record.files.iter().map(|file| names.uuid("file", &file.path)).collect();
        names
    }

    fn uuid(&self, class: &str, key: &str) -> Uuid {
        match self.words {
            Words::Whole => Uuid::new_v5(&self.id, [class, "|", key].concat().as_bytes()),
            Words::Length => Uuid::nil(),
        }
    }

    fn node(&self, class: &'static str, key: &str) -> Node {
        Node(class, self.uuid(class, key))
    }

    pub(super) fn of(&self, class: &'static str, key: &str) -> String {
        self.node(class, key).text()
    }

    pub(super) fn link(&self, class: &'static str, key: &str) -> Value {
        json!({ "@id": self.of(class, key) })
    }
}

/// The first person of each account: a custody that goes on at another agency may have two of one name.
struct People<'a>(BTreeMap<&'a str, &'a Person>);

impl<'a> People<'a> {
    fn of(events: &'a [CustodyEvent]) -> Self {
        let mut first = BTreeMap::new();
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

fn investigation(names: &Names, transfer: &Transfer) -> Vec<(&'static str, Value)> {
    let case_number = transfer.case_number.as_deref().unwrap_or("no case number");
    vec![
        ("@id", names.of("investigation", "1").into()),
        ("@type", "case-investigation:Investigation".into()),
        ("uco-core:name", case_number.into()),
        ("uco-core:description", format!("parcel {}", names.id).into()),
        ("case-investigation:investigationForm", "case".into()),
        ("case-investigation:relevantAuthorization", names.link("authorization", "1")),
        ("uco-core:object", LISTED),
    ]
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

/// A file's node, written without a tree of its own: there are most of these.
#[derive(Serialize)]
struct Observable<'a> {
    #[serde(rename = "@id")]
    id: Node,
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "uco-core:hasFacet")]
    facets: (FileFacet<'a>, ContentFacet<'a>),
}

#[derive(Serialize)]
struct FileFacet<'a> {
    #[serde(rename = "@id")]
    id: Node,
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "uco-observable:fileName")]
    name: &'a str,
    #[serde(rename = "uco-observable:filePath")]
    path: String,
    #[serde(rename = "uco-observable:modifiedTime")]
    modified: Typed<String>,
    #[serde(rename = "uco-observable:sizeInBytes")]
    size: Typed<String>,
}

#[derive(Serialize)]
struct ContentFacet<'a> {
    #[serde(rename = "@id")]
    id: Node,
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "uco-observable:mimeType")]
    media_type: &'a str,
    #[serde(rename = "uco-observable:sizeInBytes")]
    size: Typed<String>,
    #[serde(rename = "uco-observable:hash")]
    hash: Hash<'a>,
}

#[derive(Serialize)]
struct Hash<'a> {
    #[serde(rename = "@id")]
    id: Node,
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "uco-types:hashMethod")]
    method: &'static str,
    #[serde(rename = "uco-types:hashValue")]
    value: Typed<&'a str>,
}

#[derive(Clone, Serialize)]
struct Typed<T> {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "@value")]
    value: T,
}

fn observable<'a>(names: &Names, number: usize, file: &'a IndexedFile) -> Observable<'a> {
    let path = file.path.as_str();
    let size = Typed { kind: "xsd:integer", value: file.length.to_string() };
    Observable {
        id: Node("file", names.files.get(number).copied().unwrap_or_default()),
        kind: "uco-observable:File",
        facets: (
            FileFacet {
                id: names.node("file-facet", path),
                kind: "uco-observable:FileFacet",
                name: path.rsplit('/').next().unwrap_or(path),
                path: ["data/", path].concat(),
                modified: Typed { kind: "xsd:dateTime", value: file.modified.to_string() },
                size: size.clone(),
            },
            ContentFacet {
                id: names.node("content-data-facet", path),
                kind: "uco-observable:ContentDataFacet",
                media_type: &file.media_type,
                size,
                hash: Hash {
                    id: names.node("hash", path),
                    kind: "uco-types:Hash",
                    method: "SHA256",
                    value: Typed { kind: "xsd:hexBinary", value: &file.sha256 },
                },
            },
        ),
    }
}

fn provenance(
    names: &Names,
    record: &TransferRecord,
    events: &[CustodyEvent],
) -> Vec<(&'static str, Value)> {
    let transfer = &record.transfer;
    // The last that made an exhibit of them: those before are what it goes back to.
    let made = events.iter().rev().map(|event| &event.around).find(|it| it.exhibit.is_some());
    let exhibit = made.and_then(|made| made.exhibit.clone());
    let roots = made.map(|made| made.root_exhibits.clone()).filter(|roots| !roots.is_empty());
    let mut out = vec![
        ("@id", names.of("provenance-record", "1").into()),
        ("@type", "case-investigation:ProvenanceRecord".into()),
        ("uco-core:description", format!("exchange {}", transfer.exchange_id).into()),
        (
            "case-investigation:exhibitNumber",
            exhibit.unwrap_or_else(|| names.id.to_string()).into(),
        ),
        ("uco-core:object", LISTED),
        ("bailiwick:exchange", transfer.exchange_id.clone().into()),
        ("bailiwick:handling", transfer.handling.clone().into()),
    ];
    if let Some(roots) = roots {
        out.push(("case-investigation:rootExhibitNumber", roots.into()));
    }
    if record.key_transport.is_some() {
        out.push(("bailiwick:keyTransport", meta::RSA_OAEP_WORDS.into()));
    }
    out
}

fn action(
    names: &Names,
    people: &People<'_>,
    (number, event): (usize, &CustodyEvent),
) -> Vec<(&'static str, Value)> {
    let ledger = event.ledger.as_ref();
    let before = number.checked_sub(1);
    let out = [
        ("@id", Some(names.of("investigative-action", &number.to_string()).into())),
        ("@type", Some("case-investigation:InvestigativeAction".into())),
        ("uco-core:name", Some(event.kind.clone().into())),
        ("uco-core:description", Some(event.description.clone().into())),
        ("uco-action:startTime", Some(time(event.started))),
        ("uco-action:endTime", Some(time(event.ended.unwrap_or(event.started)))),
        ("uco-action:actionStatus", Some(event.around.status().into())),
        ("uco-action:performer", Some(names.link("person", &people.key(&event.person)))),
        ("uco-action:instrument", Some(names.link("tool", &event.tool))),
        ("uco-action:object", Some(LISTED)),
        ("uco-action:result", Some(names.link("provenance-record", "1"))),
        ("bailiwick:premisEventType", premis(&event.kind).map(Value::from)),
        ("bailiwick:purpose", event.purpose.clone().map(Value::from)),
        ("bailiwick:authority", event.authority.clone().map(Value::from)),
        ("bailiwick:ledgerOrigin", ledger.map(|l| l.origin.clone().into())),
        ("bailiwick:ledgerEntry", ledger.map(|l| l.entry.into())),
        ("bailiwick:ledgerLeaf", ledger.map(|l| l.leaf.clone().into())),
        ("bailiwick:ledgerProof", ledger.and_then(|l| l.proof.clone()).map(Value::from)),
        ("bailiwick:derivedFrom", derivation::links(names, &event.originals)),
        (
            "case-investigation:wasInformedBy",
            before.map(|n| names.link("investigative-action", &n.to_string())),
        ),
    ];
    let all = out.into_iter().chain(event.around.fields());
    all.filter_map(|(key, value)| Some((key, value?))).collect()
}

fn time(at: Timestamp) -> Value {
    json!({ "@type": "xsd:dateTime", "@value": at.to_string() })
}
