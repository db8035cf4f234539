//! Reading a custody record of ours: its events, with who did them, to which files, and what each says of a
//! ledger.
//!
//! A record that came in a parcel is covered by the sender's signature. What is read here is what the sender says; whether a ledger says
//! the same is for whoever has that ledger's key.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;

use jiff::Timestamp;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use super::{Circumstances, CustodyEvent, LedgerReference, Person, derivation};
use crate::{CUSTODY_EVENTS_MAX, Fault};

/// The key of a list of links that is left out: what the whole is about is said for each event.
const SKIPPED: &str = "uco-core:object";
/// The key of the list of files that an event is about.
const OBJECTS: &str = "uco-action:object";
/// Links to files in all events: as many as have room in the longest record of ours, whose links take 60 bytes and more.
const LINKS_MAX: usize = 4_500_000;
/// A number for each name of a node: four bytes for each link, of which there may be millions.
type Number = u32;

/// The events of a `custody.jsonld`, oldest first: each but the first was informed by the one before. One that is
/// about all of the record's files names none of them, as when it was written.
///
/// # Errors
/// [`Fault::Malformed`] where it is not one unbroken chain of such events.
pub fn events(record: &[u8]) -> Result<Vec<CustodyEvent>, Fault> {
    events_of(record)
}

/// As [`events`], read as a stream: node by node. Held are the paths of files and the names of their nodes, for an event
/// names a file by its node.
///
/// # Errors
/// [`Fault::Read`] too, where reading fails.
pub(crate) fn events_of(record: impl Read) -> Result<Vec<CustodyEvent>, Fault> {
    let bad = || Fault::Malformed("a custody record whose events are one chain");
    let mut seen = Seen::default();
    let mut from = serde_json::Deserializer::from_reader(record);
    let read = Whole(&mut seen).deserialize(&mut from).and_then(|()| from.end());
    read.map_err(|error| if error.is_io() { Fault::Read(error.into()) } else { bad() })?;
    let mut before: Option<String> = None;
    let actions = std::mem::take(&mut seen.actions);
    let mut out = Vec::with_capacity(actions.len());
    for action in actions {
        let fields = &action.fields;
        let informed = fields.get("case-investigation:wasInformedBy");
        if informed.and_then(|node| text(node.as_object()?, "@id")) != before.as_deref() {
            return Err(bad());
        }
        before = Some(text(fields, "@id").ok_or_else(bad)?.to_owned());
        out.push(seen.event(&action).ok_or_else(bad)?);
    }
    Ok(out)
}

/// What was read of a record so far.
#[derive(Default)]
struct Seen {
    numbers: HashMap<Box<str>, Number>,
    nodes: HashMap<Number, Node>,
    /// How many of the nodes are files.
    files: usize,
    /// Links to files in all events.
    links: usize,
    actions: Vec<Action>,
}

/// What a link may lead to.
enum Node {
    File(Box<str>),
    /// Somebody, a program, or what else has no path.
    Other(Map<String, Value>),
}

/// An event's node, and the nodes that it is about.
struct Action {
    fields: Map<String, Value>,
    objects: Option<Vec<Number>>,
}

impl Seen {
    /// The number of this name; `None` where there are more names than a record can hold.
    fn number(&mut self, name: &str) -> Option<Number> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let number = Number::try_from(self.numbers.len()).ok()?;
        self.numbers.insert(name.into(), number);
        Some(number)
    }

    /// Whether these are all files, each once: they were numbered in the order of their nodes.
    fn is_all(&self, objects: &[Number]) -> bool {
        objects.len() == self.files && objects.is_sorted_by(|one, next| one < next)
    }

    /// Takes a node in. One without a name is nothing that a link leads to.
    fn take(&mut self, fields: Map<String, Value>, objects: Option<Vec<Number>>) -> bool {
        if text(&fields, "@type") == Some("case-investigation:InvestigativeAction") {
            self.actions.push(Action { fields, objects });
            return self.actions.len() <= CUSTODY_EVENTS_MAX;
        }
        // No event names a relation, and there may be one for each file.
        if text(&fields, "@type") == Some("uco-observable:ObservableRelationship") {
            return true;
        }
        if let Some(name) = text(&fields, "@id") {
            let Some(number) = self.number(name) else { return false };
            let node = match path_of(&fields) {
                Some(path) => Node::File(path.into()),
                None => Node::Other(fields),
            };
            self.files += usize::from(matches!(node, Node::File(_)));
            if let Some(Node::File(_)) = self.nodes.insert(number, node) {
                self.files -= 1;
            }
        }
        true
    }

    /// The node of this name, if it is not a file's.
    fn other(&self, name: &str) -> Option<&Map<String, Value>> {
        match self.nodes.get(self.numbers.get(name)?)? {
            Node::Other(fields) => Some(fields),
            Node::File(_) => None,
        }
    }

    fn event(&self, Action { fields, objects }: &Action) -> Option<CustodyEvent> {
        let ledger = match text(fields, "bailiwick:ledgerOrigin") {
            None => None,
            Some(origin) => Some(LedgerReference {
                origin: origin.to_owned(),
                entry: fields.get("bailiwick:ledgerEntry")?.as_u64()?,
                leaf: text(fields, "bailiwick:ledgerLeaf")?.to_owned(),
                proof: text(fields, "bailiwick:ledgerProof").map(str::to_owned),
            }),
        };
        let linked = |key: &str| self.other(text(fields.get(key)?.as_object()?, "@id")?);
        let (person, tool) = (linked("uco-action:performer")?, linked("uco-action:instrument")?);
        let owned = |node: &Map<String, Value>, key: &str| text(node, key).map(str::to_owned);
        let path = |number: &Number| match self.nodes.get(number)? {
            Node::File(path) => Some(path.to_string()),
            Node::Other(_) => None,
        };
        // None at all would be read as all; where there are none, it is.
        let sound = |objects: &&Vec<Number>| !objects.is_empty() || self.files == 0;
        let objects = objects.as_ref().filter(sound)?;
        let mut paths = objects.iter().map(path);
        // Many events about many files would else be as many copies of all paths.
        let files = match self.is_all(objects) {
            true => paths.all(|path| path.is_some()).then(Vec::new),
            false => paths.collect::<Option<Vec<String>>>(),
        };
        Some(CustodyEvent {
            kind: owned(fields, "uco-core:name")?,
            description: owned(fields, "uco-core:description")?,
            started: time(fields, "uco-action:startTime")?,
            ended: Some(time(fields, "uco-action:endTime")?),
            person: Person {
                name: owned(person, "uco-core:name")?,
                account: owned(person, "bailiwick:account")?,
                agency: owned(person, "bailiwick:agency")?,
                role: owned(person, "bailiwick:role")?,
            },
            tool: owned(tool, "uco-core:name")?,
            purpose: owned(fields, "bailiwick:purpose"),
            authority: owned(fields, "bailiwick:authority"),
            files: files?,
            originals: derivation::read(fields, |name| self.other(name))?,
            ledger,
            around: Circumstances::read(fields)?,
        })
    }
}

/// The path in the parcel of a file's node.
fn path_of(file: &Map<String, Value>) -> Option<&str> {
    let facets = file.get("uco-core:hasFacet").and_then(Value::as_array)?;
    let path = facets.iter().find_map(|facet| text(facet.as_object()?, "uco-observable:filePath"));
    path?.strip_prefix("data/")
}

fn time(node: &Map<String, Value>, key: &str) -> Option<Timestamp> {
    text(node.get(key)?.as_object()?, "@value")?.parse().ok()
}

fn text<'a>(node: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    node.get(key)?.as_str()
}

/// The record: an object with one graph.
struct Whole<'s>(&'s mut Seen);
/// The graph: a list of nodes.
struct Graph<'s>(&'s mut Seen);
/// A node: an object, whose files are numbers and not held by name.
struct OneNode<'s>(&'s mut Seen);
/// A list of links.
struct Links<'s>(&'s mut Seen);
/// A link: an object with a name.
struct Link<'s>(&'s mut Seen);

/// A seed whose visitor it is itself.
macro_rules! seed {
    ($name:ident, $how:ident, $gives:ty) => {
        impl<'de> DeserializeSeed<'de> for $name<'_> {
            type Value = $gives;

            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<$gives, D::Error> {
                from.$how(self)
            }
        }
    };
}
seed!(Whole, deserialize_map, ());
seed!(Graph, deserialize_seq, ());
seed!(OneNode, deserialize_map, ());
seed!(Links, deserialize_seq, Vec<Number>);
seed!(Link, deserialize_map, Number);

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record with one @graph")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut graphs = 0;
        while let Some(key) = map.next_key::<String>()? {
            if key == "@graph" {
                graphs += 1;
                map.next_value_seed(Graph(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if graphs == 1 { Ok(()) } else { Err(A::Error::custom("not one @graph")) }
    }
}

impl<'de> Visitor<'de> for Graph<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of nodes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(OneNode(self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de> Visitor<'de> for OneNode<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut fields, mut objects) = (Map::new(), None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                OBJECTS => objects = Some(map.next_value_seed(Links(self.0))?),
                SKIPPED => drop(map.next_value::<IgnoredAny>()?),
                _ => {
                    let value = map.next_value()?;
                    fields.insert(key, value);
                }
            }
        }
        if self.0.take(fields, objects) { Ok(()) } else { Err(A::Error::custom("too many events")) }
    }
}

impl<'de> Visitor<'de> for Links<'_> {
    type Value = Vec<Number>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of links")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut out = Vec::new();
        while let Some(number) = seq.next_element_seed(Link(self.0))? {
            out.push(number);
            self.0.links += 1;
            if self.0.links > LINKS_MAX {
                return Err(A::Error::custom("too many links"));
            }
        }
        Ok(out)
    }
}

impl<'de> Visitor<'de> for Link<'_> {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a link")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
        let mut number = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "@id" {
                number = self.0.number(&map.next_value::<String>()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        number.ok_or_else(|| A::Error::missing_field("@id"))
    }
}

/// Any bytes as a custody record.
pub(crate) fn fuzz(data: &[u8]) {
    drop(events(data));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{HandOver, Record, Words};
    use super::*;
    use crate::meta::{IndexedFile, Party, Transfer, TransferRecord};

    fn record(events: &[CustodyEvent]) -> Vec<u8> {
        let party = |ori: &str| Party { ori: ori.to_owned(), name: ori.to_owned() };
        let transfer = Transfer {
            exchange_id: "x-1".to_owned(),
            exchange_number: None,
            purpose: "C".to_owned(),
            authority: "a-1".to_owned(),
            case_number: None,
            handling: Vec::new(),
            record_classes: Vec::new(),
            retention: None,
            sender: party("NB0010100"),
            recipient: party("NB0020000"),
        };
        let file = |path: &str| IndexedFile {
            path: path.to_owned(),
            media_type: "text/plain".to_owned(),
            modified: Timestamp::UNIX_EPOCH,
            length: 3,
            sha256: "ab".repeat(32),
            offset: 0,
        };
        let files = [file("a.txt"), file("b/c.txt")];
        let of = TransferRecord {
            profile: crate::SEAL_PROFILE.to_owned(),
            parcel: uuid::Uuid::from_u128(7),
            sealed_at: Timestamp::UNIX_EPOCH,
            sender_certificate: String::new(),
            recipient_certificates: Vec::new(),
            key_transport: None,
            transfer,
        };
        let mut out = Vec::new();
        let record = Record { of: &of, files: &files, events };
        record.write(Words::Whole, &mut out).unwrap();
        let mut length = Vec::new();
        record.write(Words::Length, &mut length).unwrap();
        assert_eq!(out.len(), length.len(), "the length is known beforehand");
        out
    }

    fn event(kind: &str, agency: &str) -> CustodyEvent {
        CustodyEvent {
            kind: kind.to_owned(),
            description: "d".to_owned(),
            started: Timestamp::UNIX_EPOCH,
            ended: Some(Timestamp::UNIX_EPOCH),
            person: Person {
                name: "Ann".to_owned(),
                account: "idp|ann".to_owned(),
                agency: agency.to_owned(),
                role: "detective".to_owned(),
            },
            tool: "Bailiwick".to_owned(),
            purpose: Some("C".to_owned()),
            authority: None,
            files: Vec::new(),
            originals: Vec::new(),
            ledger: None,
            around: Circumstances::default(),
        }
    }

    #[test]
    fn circumstances_are_read_back_and_other_forms_of_them_refused() {
        let mut packaged = event("packaged", "NB0010100");
        packaged.around.exhibit = Some("24-7".to_owned());
        packaged.around.root_exhibits = vec!["24-3".to_owned(), "24-5".to_owned()];
        let mut failed = event("transferred", "NB0010100");
        failed.around = Circumstances {
            assurance: Some("multi-factor".to_owned()),
            host: Some("CN=riverton".to_owned()),
            hand_over: Some(HandOver {
                from: Some("Riverton (NB0010100)".to_owned()),
                to: Some("Lakeside (NB0020000)".to_owned()),
                channel: Some("push".to_owned()),
                peer: Some("192.0.2.7".to_owned()),
                bytes: Some(7),
                attempts: Some(2),
            }),
            failure: Some("the line was cut".to_owned()),
            ..Circumstances::default()
        };
        let list = [packaged, failed];
        let written = record(&list);
        assert_eq!(events(&written).unwrap(), list);
        let whole: Value = serde_json::from_slice(&written).unwrap();
        let nodes = whole["@graph"].as_array().unwrap();
        let provenance = nodes.iter().find(|node| node["uco-core:description"] == "exchange x-1");
        assert_eq!(provenance.unwrap()["case-investigation:exhibitNumber"], "24-7");
        let roots = &provenance.unwrap()["case-investigation:rootExhibitNumber"];
        assert_eq!(*roots, json!(["24-3", "24-5"]));
        let status = |name: &str| {
            let node = nodes.iter().find(|node| node["uco-core:name"] == name);
            node.unwrap()["uco-action:actionStatus"].clone()
        };
        assert_eq!((status("packaged"), status("transferred")), (json!("Success"), json!("Fail")));
        for (key, bad) in [
            ("bailiwick:failure", json!(7)),
            ("bailiwick:bytes", json!("7")),
            ("bailiwick:rootExhibits", json!("24-3")),
            ("bailiwick:rootExhibits", json!(vec!["24-3"; 101])),
        ] {
            let mut bent = whole.clone();
            let nodes = bent["@graph"].as_array_mut().unwrap();
            let last = nodes.iter_mut().find(|node| node["uco-core:name"] == "transferred");
            last.unwrap()[key] = bad;
            assert!(events(&serde_json::to_vec(&bent).unwrap()).is_err(), "{key}");
        }
    }

    #[test]
    fn what_was_written_is_read_back_also_where_two_agencies_name_an_account_alike() {
        let mut released = event("exported-from-source", "NB0010100");
        released.files = vec!["b/c.txt".to_owned()];
        released.ledger = Some(LedgerReference {
            origin: "o".to_owned(),
            entry: 3,
            leaf: "cd".repeat(32),
            proof: Some("p\n".to_owned()),
        });
        let list = [released, event("received", "NB0020000")];
        assert_eq!(events(&record(&list)).unwrap(), list);
        // An event that names all files is about all, and says so in the shorter way.
        let named = vec!["a.txt".to_owned(), "b/c.txt".to_owned()];
        let all = CustodyEvent { files: named, ..event("sealed", "NB0010100") };
        assert_eq!(events(&record(&[all])).unwrap(), [event("sealed", "NB0010100")]);
    }

    #[test]
    fn originals_are_named_by_their_digests_whether_they_go_along_or_not() {
        let mut redacted = event("redacted", "NB0010100");
        redacted.originals = vec!["cd".repeat(32), "ab".repeat(32)];
        let list = [redacted];
        let written = record(&list);
        assert_eq!(events(&written).unwrap(), list);
        // Both files have the digest `abab…`: neither is a copy of it, nor is the other of anything else.
        let mut graph: Value = serde_json::from_slice(&written).unwrap();
        let nodes = graph["@graph"].as_array_mut().unwrap();
        assert!(!nodes.iter().any(|node| node["uco-core:kindOfRelationship"] == "Redacted_From"));
        for bad in ["cd", "zz", ""] {
            let mut graph = graph.clone();
            let nodes = graph["@graph"].as_array_mut().unwrap();
            let facet = nodes.iter_mut().find_map(|node| {
                let facet = node.pointer_mut("/uco-core:hasFacet/0/uco-observable:hash")?;
                (facet["uco-types:hashValue"]["@value"] == "cd".repeat(32)).then_some(facet)
            });
            facet.unwrap()["uco-types:hashValue"]["@value"] = json!(bad.repeat(20));
            assert!(events(&serde_json::to_vec(&graph).unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn broken_chains_and_other_json_are_refused() {
        for record in ["", "{}", "[]", r#"{"@graph":3}"#] {
            assert!(events(record.as_bytes()).is_err(), "{record}");
        }
        assert_eq!(events(br#"{"@graph":[]}"#).unwrap(), []);
        let whole: Value =
            serde_json::from_slice(&record(&[event("a", "x"), event("b", "x"), event("c", "x")]))
                .unwrap();
        let changed = |change: &dyn Fn(&mut Vec<Value>)| {
            let mut graph = whole.clone();
            change(graph["@graph"].as_array_mut().unwrap());
            events(&serde_json::to_vec(&graph).unwrap())
        };
        assert_eq!(changed(&|_| {}).unwrap().len(), 3);
        let named = |node: &Value, name: &str| node["uco-core:name"] == name;
        // The first one missing, one left out in between, two beginnings, nobody who did it.
        assert!(changed(&|graph| graph.retain(|node| !named(node, "a"))).is_err());
        assert!(changed(&|graph| graph.retain(|node| !named(node, "b"))).is_err());
        assert!(
            changed(&|graph| {
                let second = graph.iter_mut().find(|node| named(node, "b")).unwrap();
                second["case-investigation:wasInformedBy"] = json!(null);
            })
            .is_err()
        );
        assert!(changed(&|graph| graph.retain(|node| !named(node, "Ann"))).is_err());
        // About none of the files, where one about all names none either; and about something that is no file.
        let about = |links: Value| {
            changed(&|graph| {
                let second = graph.iter_mut().find(|node| named(node, "b")).unwrap();
                second["uco-action:object"] = links.clone();
            })
        };
        assert!(about(json!([])).is_err());
        assert!(about(json!([{ "@id": "kb:nothing" }])).is_err());
    }
}
