//! `ledger index` and `ledger rotate-index-key`: the search index, looked after while the server is stopped.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod agency;

use std::sync::Arc;

use agency::{Agency, record};
use keys::SystemClock;
use keys::mac::MacKey;
use ledger::{IndexDoing, IndexKeys, Ledger, Record, Search, Subject};
use serde_json::{Value, json};

const PAST: &str = "2026-01-22T14:03:21.417Z";

fn seen() -> Record {
    let subject = Subject { kind: "vehicle".to_owned(), id: "V-000113".to_owned() };
    Record { subjects: vec![subject], ..record(0) }
}

/// The ledger, opened with the index keys of these epochs.
fn open(agency: &Agency, epochs: &[u32]) -> Ledger {
    let ring = agency.ring();
    let key = |epoch: &u32| {
        let name = match epoch {
            1 => "ledger-index".to_owned(),
            later => format!("ledger-index-{later}"),
        };
        (*epoch, MacKey::from_bytes(ring.find_secret(&name).unwrap().unwrap()))
    };
    let keys = IndexKeys::new(epochs.iter().map(key)).unwrap();
    // The commands go by the machine's clock.
    agency.open_with(Arc::new(SystemClock), keys)
}

/// Entries about the vehicle, newest first, with the epochs of their marks.
fn about(ledger: &Ledger) -> Vec<(u64, u32)> {
    let search = Search { subject: seen().subjects.pop(), ..Search::newest(10) };
    let page = ledger.search(&search).unwrap();
    page.entries.iter().map(|entry| (entry.number.0, entry.record.epoch)).collect()
}

fn json_of(said: &str) -> Value {
    serde_json::from_str(said).unwrap()
}

#[test]
fn a_new_key_blinds_what_is_new_and_the_old_one_finds_what_is_old() {
    let agency = Agency::new(PAST);
    let ledger = open(&agency, &[1]);
    ledger.enqueue(seen()).unwrap().wait().unwrap();
    ledger.close().unwrap();

    let rotate = ["rotate-index-key", "--config", "bailiwick.toml", "--json"];
    let (code, said, error) = agency.run(&rotate);
    assert_eq!((code, error.as_str()), (0, ""), "{said}");
    assert_eq!(json_of(&said), json!({ "rotated": true, "epoch": 2, "entry": 10 }));

    let ledger = open(&agency, &[1, 2]);
    ledger.enqueue(seen()).unwrap().wait().unwrap();
    assert_eq!(about(&ledger), [(11, 2), (9, 1)]);
    let rotated = ledger.read(ledger::EntryNumber(10)).unwrap().record.event;
    assert_eq!(rotated, ledger::Event::IndexKeyRotated { epoch: 2 });
    ledger.close().unwrap();

    let (code, said, error) = agency.run(&["index", "--config", "bailiwick.toml"]);
    assert_eq!((code, said.trim()), (0, "the search index covers all 12 entries"), "{error}");
    // A key that was destroyed does not give its number free.
    std::fs::remove_file(agency.path("data/keys/ledger-index-2.secret")).unwrap();
    let (code, said, _) = agency.run(&rotate[..3]);
    assert_eq!(code, 0);
    assert!(said.starts_with("rotated: epoch 3 begins with the next start (ledger entry 12)"));
    let ledger = open(&agency, &[1, 3]);
    assert_eq!(about(&ledger), [(9, 1)], "what the destroyed key blinded is found no more");
    ledger.close().unwrap();
    assert_eq!(agency.size(), 13);
}

#[test]
fn an_index_is_built_anew_from_the_log_and_tells_when_it_can_t_be() {
    let agency = Agency::new(PAST);
    let index = |more: &[&str]| {
        agency.run(&[&["index", "--config", "bailiwick.toml", "--json"], more].concat())
    };
    let (file, folder) =
        (agency.path("data/ledger/index/index.db"), agency.path("data/ledger/index"));
    let (code, said, error) = index(&[]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(json_of(&said), json!({ "indexed": true, "entries": 9, "rebuilt": false }));
    std::fs::write(&file, b"in place of an index").unwrap();
    for more in [&["--rebuild"][..], &[]] {
        let (code, said, _) = index(more);
        let rebuilt = !more.is_empty();
        assert_eq!(code, 0);
        assert_eq!(json_of(&said), json!({ "indexed": true, "entries": 9, "rebuilt": rebuilt }));
        assert!(std::fs::read(&file).unwrap().starts_with(b"SQLite format 3\0"));
    }
    // A file where its folder should be.
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, b"in the way").unwrap();
    let (code, said, _) = index(&["--rebuild"]);
    assert_eq!(code, 1);
    let said = json_of(&said);
    assert_eq!(said.get("indexed"), Some(&json!(false)));
    let why = said.get("why").and_then(Value::as_str).unwrap().to_owned();
    assert!(why.starts_with("the search index could not be built"), "{why}");
    // Earlier rotations can't be looked up, so there is none.
    let (code, _, error) = agency.run(&["rotate-index-key", "--config", "bailiwick.toml"]);
    assert_eq!(code, 1);
    assert!(error.contains("the search index could not be built"), "{error}");
    assert!(!agency.path("data/keys/ledger-index-2.secret").exists());
    assert_eq!(agency.size(), 9);
}

#[test]
fn nothing_is_touched_while_the_server_runs_or_where_there_is_no_ledger() {
    let agency = Agency::new(PAST);
    let ledger = open(&agency, &[1]);
    let commands = [
        ["rotate-index-key", "--config", "bailiwick.toml", "--json"],
        ["index", "--config", "bailiwick.toml", "--rebuild"],
    ];
    for command in &commands {
        let (code, said, error) = agency.run(command);
        assert_eq!(code, 1, "{said}");
        let told = format!("{said}{error}");
        assert!(told.contains("Stop its server first"), "{told}");
        assert!(told.contains("open in another process"), "{told}");
    }
    assert!(!matches!(ledger.index_state().doing, IndexDoing::Rebuilding { .. }));
    ledger.close().unwrap();
    assert_eq!(agency.size(), 9);
    std::fs::rename(agency.path("data/ledger"), agency.path("data/elsewhere")).unwrap();
    for command in &commands {
        let (code, said, error) = agency.run(command);
        assert_eq!(code, 1, "{said}");
        assert!(format!("{said}{error}").contains("there is no ledger in"), "{said}{error}");
    }
    assert!(!agency.path("data/ledger").exists());
    assert!(!agency.path("data/keys/ledger-index-2.secret").exists());
    let (code, _, _) = agency.run(&["rotate-index-key"]);
    assert_eq!(code, 2, "usage");
}
