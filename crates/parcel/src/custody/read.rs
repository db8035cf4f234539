//! Reading a custody record of ours: its events, with who did them, to which files, and what each says of a
//! ledger.
//!
//! A record that came in a parcel is covered by the sender's signature. What is read here is what the sender says; whether a ledger says
//! the same is for whoever has that ledger's key.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{CustodyEvent, LedgerReference, Person, derivation};
use crate::{CUSTODY_EVENTS_MAX, Fault};

/// The nodes of a graph by their names.
type Nodes<'a> = BTreeMap<&'a str, &'a Value>;

/// The events of a `custody.jsonld`, oldest first: each but the first was informed by the one before. Each names
/// its files, also where it is about all of them.
///
/// # Errors
/// [`Fault::Malformed`] where it is not one unbroken chain of such events.
pub fn events(record: &[u8]) -> Result<Vec<CustodyEvent>, Fault> {
    let bad = || Fault::Malformed("a custody record whose events are one chain");
    let record: Value = serde_json::from_slice(record).map_err(|_| bad())?;
    let graph = record.get("@graph").and_then(Value::as_array).ok_or_else(bad)?;
    let named = graph.iter().filter_map(|node| Some((text(node, "@id")?, node)));
    let nodes: Nodes<'_> = named.collect();
    let actions = graph
        .iter()
        .filter(|node| text(node, "@type") == Some("case-investigation:InvestigativeAction"));
    let (mut out, mut before) = (Vec::new(), None);
    for action in actions {
        let informed =
            action.get("case-investigation:wasInformedBy").and_then(|node| text(node, "@id"));
        if informed != before || out.len() >= CUSTODY_EVENTS_MAX {
            return Err(bad());
        }
        before = Some(text(action, "@id").ok_or_else(bad)?);
        out.push(event(action, &nodes).ok_or_else(bad)?);
    }
    Ok(out)
}

fn event(action: &Value, nodes: &Nodes<'_>) -> Option<CustodyEvent> {
    let ledger = match text(action, "bailiwick:ledgerOrigin") {
        None => None,
        Some(origin) => Some(LedgerReference {
            origin: origin.to_owned(),
            entry: action.get("bailiwick:ledgerEntry")?.as_u64()?,
            leaf: text(action, "bailiwick:ledgerLeaf")?.to_owned(),
            proof: text(action, "bailiwick:ledgerProof").map(str::to_owned),
        }),
    };
    let linked = |key: &str| nodes.get(text(action.get(key)?, "@id")?).copied();
    let (person, tool) = (linked("uco-action:performer")?, linked("uco-action:instrument")?);
    let owned = |node: &Value, key: &str| text(node, key).map(str::to_owned);
    let objects = action.get("uco-action:object").and_then(Value::as_array)?;
    let files: Option<Vec<String>> =
        objects.iter().map(|object| path_of(nodes.get(text(object, "@id")?)?)).collect();
    Some(CustodyEvent {
        kind: owned(action, "uco-core:name")?,
        description: owned(action, "uco-core:description")?,
        started: time(action, "uco-action:startTime")?,
        ended: Some(time(action, "uco-action:endTime")?),
        person: Person {
            name: owned(person, "uco-core:name")?,
            account: owned(person, "bailiwick:account")?,
            agency: owned(person, "bailiwick:agency")?,
            role: owned(person, "bailiwick:role")?,
        },
        tool: owned(tool, "uco-core:name")?,
        purpose: owned(action, "bailiwick:purpose"),
        authority: owned(action, "bailiwick:authority"),
        files: files?,
        originals: derivation::read(action, |id| nodes.get(id).copied())?,
        ledger,
    })
}

/// The path in the parcel of a file's node.
fn path_of(file: &Value) -> Option<String> {
    let facets = file.get("uco-core:hasFacet").and_then(Value::as_array)?;
    let path = facets.iter().find_map(|facet| text(facet, "uco-observable:filePath"))?;
    path.strip_prefix("data/").map(str::to_owned)
}

fn time(node: &Value, key: &str) -> Option<Timestamp> {
    text(node.get(key)?, "@value")?.parse().ok()
}

fn text<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    node.get(key)?.as_str()
}

/// Any bytes as a custody record.
pub(crate) fn fuzz(data: &[u8]) {
    drop(events(data));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::write;
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
        write(&of, &files, events).unwrap()
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
            files: vec!["a.txt".to_owned(), "b/c.txt".to_owned()],
            originals: Vec::new(),
            ledger: None,
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
        // An event about all files names them when it is read.
        let all = CustodyEvent { files: Vec::new(), ..event("sealed", "NB0010100") };
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
    }
}
