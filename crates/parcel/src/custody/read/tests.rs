//! What is read of records: our own, and what a hostile sender may sign.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::{HandOver, Record, Words};
use super::*;
use crate::meta::{IndexedFile, Party, Transfer, TransferRecord};

fn record(events: &[CustodyEvent]) -> Vec<u8> {
    record_of(&indexed(&["a.txt", "b/c.txt"]), events)
}

fn record_of(files: &[IndexedFile], events: &[CustodyEvent]) -> Vec<u8> {
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
    let record = Record { of: &of, files, events };
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

fn in_graph(record: &[u8], change: impl FnOnce(&mut Vec<Value>)) -> Vec<u8> {
    let mut record: Value = serde_json::from_slice(record).unwrap();
    change(record["@graph"].as_array_mut().unwrap());
    serde_json::to_vec(&record).unwrap()
}

fn indexed(paths: &[&str]) -> Vec<IndexedFile> {
    let file = |path: &&str| IndexedFile {
        path: (*path).to_owned(),
        media_type: "text/plain".to_owned(),
        modified: Timestamp::UNIX_EPOCH,
        length: 3,
        sha256: "ab".repeat(32),
        offset: 0,
    };
    paths.iter().map(file).collect()
}

#[test]
fn an_event_is_about_all_only_where_the_record_knows_all_files_of_the_parcel() {
    let written = record(&[event("sealed", "NB0010100")]);
    let files = |parcel: &[&str]| {
        events_of(written.as_slice(), Some(&indexed(parcel))).unwrap().remove(0).files
    };
    let known = ["a.txt", "b/c.txt"];
    assert_eq!(files(&known), [""; 0]);
    assert_eq!(files(&["a.txt", "b.txt", "b/c.txt"]), known);
    assert_eq!(files(&["a.txt"]), known);
    assert_eq!(files(&["a.txt", "b/d.txt"]), known);
}

#[test]
fn a_file_is_named_once_and_has_a_path_that_may_stand_in_a_parcel() {
    let written = record(&[event("sealed", "NB0010100")]);
    let at = |node: &Value| node.pointer("/uco-core:hasFacet/0/uco-observable:filePath").is_some();
    for path in ["data/../up", "data/b/c.txt", "data/", &format!("data/{}", "x/".repeat(600))] {
        let bad = in_graph(&written, |graph| {
            let file = graph.iter_mut().find(|node| at(node)).unwrap();
            file["uco-core:hasFacet"][0]["uco-observable:filePath"] = json!(path);
        });
        assert!(events(&bad).is_err(), "{path}");
    }
    let twice = in_graph(&written, |graph| {
        let event = graph.iter_mut().find(|node| node["uco-core:name"] == "sealed").unwrap();
        let objects = event["uco-action:object"].as_array_mut().unwrap();
        objects.push(objects[0].clone());
    });
    assert!(events(&twice).is_err());
    let again = in_graph(&written, |graph| {
        let file = graph.iter().find(|node| at(node)).unwrap().clone();
        graph.push(file);
    });
    assert!(events(&again).is_err());
}

#[test]
fn long_names_and_more_copies_than_a_record_is_long_are_another_form() {
    let mut list = vec![event("sealed", "NB0010100"); 3];
    list[0].person.name = "n".repeat(4_096);
    assert_eq!(events(&record(&list)).unwrap(), list);
    list[0].person.name.push('n');
    assert!(events(&record(&list)).is_err());
    // Each of a record's events says as much as may be linked to, and all together more than there may be.
    for (count, holds) in [(2_usize, true), (67, false)] {
        let folder = "d".repeat(250);
        let path = |n| format!("{folder}/{folder}/{folder}/{folder}/{n:04}");
        let paths: Vec<String> = (0..4_000).map(path).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let written = record_of(&indexed(&paths), &vec![event("sealed", "NB0010100"); count]);
        assert_eq!(events_of(written.as_slice(), Some(&indexed(&["a"]))).is_ok(), holds, "{count}");
        // About all that there is, they copy nothing.
        assert!(events(&written).is_ok());
    }
}

#[test]
fn fields_that_nobody_reads_are_not_held_whatever_they_are() {
    let list = [event("sealed", "NB0010100")];
    let more = in_graph(&record(&list), |graph| {
        for node in graph.iter_mut() {
            node["x:more"] = json!([[0, [1, null]], { "@id": "kb:x" }, "y".repeat(10_000)]);
        }
        graph.push(json!({ "@id": "kb:y", "bailiwick:account": [1, { "a": false }, -3, 1.5] }));
    });
    assert_eq!(events(&more).unwrap(), list);
}
