//! The search index beside a real ledger: in its folder, behind its thread.

use std::path::Path;
use std::sync::Arc;

use keys::{FixedClock, SystemRandom};
use ledger::testing::{keys, settings, verify_on};
use ledger::{
    Event, Incomplete, IndexDoing, IndexKeys, Ledger, Record, Search, Settings, SystemDisk,
    TAIL_ENTRIES_MAX, Verdict, VerifyOptions,
};

use crate::common::{append, clock, decided, record, released, subject};

fn in_folder(folder: &Path, clock: &Arc<FixedClock>, index: IndexKeys) -> Ledger {
    let settings = Settings { queue_max: 1 << 16, ..settings(folder) };
    let keys = ledger::LedgerKeys { index, ..keys() };
    let (clock, random) = (Arc::clone(clock) as _, Arc::new(SystemRandom));
    Ledger::open_on(Arc::new(SystemDisk), settings, keys, clock, random).unwrap()
}

fn key(seed: u8) -> keys::mac::MacKey {
    keys::mac::MacKey::from_bytes([seed; 32])
}

/// Waits until the index has come to rest in one way or another.
fn wait_until(ledger: &Ledger, what: &str, holds: impl Fn(&Ledger) -> bool) {
    for _ in 0..6_000 {
        if holds(ledger) {
            return;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    panic!("{what}: {:?} with {} entries", ledger.index_state(), ledger.size());
}

fn follows(ledger: &Ledger) -> bool {
    let state = ledger.index_state();
    state.covers == ledger.size() && state.doing == IndexDoing::Following
}

fn about(ledger: &Ledger, id: &str) -> (Vec<u64>, Vec<Incomplete>) {
    let mut search = Search::newest(10);
    search.subject = Some(subject("vehicle", id));
    let page = ledger.search(&search).unwrap();
    (page.entries.iter().map(|entry| entry.number.0).collect(), page.incomplete)
}

/// Appends many without waiting for each.
fn fill(ledger: &Ledger, count: u64) {
    let mut last = None;
    for _ in 0..count {
        let signed_out = Record::platform(Event::SignedOut);
        last = Some(ledger.enqueue(signed_out).unwrap());
    }
    last.unwrap().wait().unwrap();
}

fn looked_up(id: &str) -> Record {
    let mut looked = record(decided(Verdict::Permit, "vehicle-lookup"));
    looked.subjects = vec![subject("vehicle", id)];
    looked
}

#[test]
fn what_is_beyond_the_tail_is_found_by_the_index_also_after_it_was_opened_again() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let ledger = in_folder(folder.path(), &clock, key(3).into());
    append(&ledger, looked_up("7KDR419")).unwrap();
    append(&ledger, record(released(0))).unwrap();
    fill(&ledger, TAIL_ENTRIES_MAX + 10);
    wait_until(&ledger, "filled", follows);
    assert_eq!(about(&ledger, "7KDR419"), (vec![0], vec![]));
    let mut search = Search::newest(10);
    search.tool = Some("vehicle-lookup".to_owned());
    search.source = Some("rms".to_owned());
    search.action = Some("run-query".to_owned());
    search.function = Some("detective".to_owned());
    search.session = Some("5f2b91c0".to_owned());
    let page = ledger.search(&search).unwrap();
    let found: Vec<u64> = page.entries.iter().map(|entry| entry.number.0).collect();
    assert_eq!((found, page.more), (vec![1, 0], false), "a release has the tool of its decision");
    drop(ledger);
    let ledger = in_folder(folder.path(), &clock, key(3).into());
    wait_until(&ledger, "opened again", follows);
    assert_eq!(about(&ledger, "7KDR419"), (vec![0], vec![]));
    // A verifier knows nothing of the index.
    drop(ledger);
    let options = VerifyOptions::default();
    verify_on(&SystemDisk, folder.path(), options).unwrap();
}

#[test]
fn an_index_that_can_t_be_written_stops_no_append_and_comes_back_by_itself() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let blocked = folder.path().join("index");
    // A file where the index's folder should be.
    std::fs::write(&blocked, b"in the way").unwrap();
    let ledger = in_folder(folder.path(), &clock, key(3).into());
    append(&ledger, looked_up("7KDR419")).unwrap();
    wait_until(&ledger, "blocked", |it| {
        matches!(it.index_state().doing, IndexDoing::Stopped { .. })
    });
    assert_eq!(about(&ledger, "7KDR419"), (vec![0], vec![]), "few entries are read without it");
    fill(&ledger, TAIL_ENTRIES_MAX + 10);
    let (found, incomplete) = about(&ledger, "7KDR419");
    assert_eq!(found, Vec::<u64>::new());
    assert!(
        matches!(incomplete.as_slice(), [Incomplete::Behind { covers: 0, .. }]),
        "{incomplete:?}"
    );
    std::fs::remove_file(&blocked).unwrap();
    wait_until(&ledger, "free again", follows);
    assert_eq!(about(&ledger, "7KDR419"), (vec![0], vec![]));
}

#[test]
fn a_damaged_index_is_built_anew_behind_appends_that_never_fail() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let ledger = in_folder(folder.path(), &clock, key(3).into());
    append(&ledger, looked_up("7KDR419")).unwrap();
    fill(&ledger, TAIL_ENTRIES_MAX + 10);
    wait_until(&ledger, "filled", follows);
    let index = folder.path().join("index/index.db");
    for harm in ["deleted under it", "asked for", "flipped while closed"] {
        match harm {
            "deleted under it" => std::fs::remove_file(&index).unwrap(),
            "asked for" => ledger.rebuild_index(),
            _ => {}
        }
        append(&ledger, looked_up("8ABC123")).unwrap();
        wait_until(&ledger, harm, follows);
        assert_eq!(about(&ledger, "7KDR419"), (vec![0], vec![]), "{harm}");
    }
    drop(ledger);
    let mut bytes = std::fs::read(&index).unwrap();
    (4096..bytes.len()).step_by(97).for_each(|at| bytes[at] ^= 0xff);
    std::fs::write(&index, bytes).unwrap();
    let ledger = in_folder(folder.path(), &clock, key(3).into());
    append(&ledger, looked_up("8ABC123")).unwrap();
    wait_until(&ledger, "flipped", follows);
    assert_eq!(about(&ledger, "7KDR419"), (vec![0], vec![]));
    assert_eq!(about(&ledger, "8ABC123").0.len(), 4);
}

#[test]
fn a_rotated_key_finds_old_and_new_and_a_destroyed_one_is_missed_aloud() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let ring = |seeds: &[(u32, u8)]| {
        IndexKeys::new(seeds.iter().map(|(epoch, seed)| (*epoch, key(*seed)))).unwrap()
    };
    let ledger = in_folder(folder.path(), &clock, ring(&[(1, 3)]));
    append(&ledger, looked_up("7KDR419")).unwrap();
    drop(ledger);
    let ledger = in_folder(folder.path(), &clock, ring(&[(1, 3), (2, 4)]));
    append(&ledger, looked_up("7KDR419")).unwrap();
    let entry = |number| ledger.read(ledger::EntryNumber(number)).unwrap().record;
    assert_eq!((entry(0).epoch, entry(1).epoch), (1, 2));
    assert_ne!(entry(0).subjects, entry(1).subjects, "the same plate has another mark");
    wait_until(&ledger, "rotated", follows);
    assert_eq!(about(&ledger, "7KDR419"), (vec![1, 0], vec![]));
    drop(ledger);
    let ledger = in_folder(folder.path(), &clock, ring(&[(2, 4)]));
    let lost = vec![Incomplete::EpochsDestroyed(vec![1])];
    assert_eq!(about(&ledger, "7KDR419"), (vec![1], lost.clone()), "from the log");
    wait_until(&ledger, "destroyed", follows);
    assert_eq!(about(&ledger, "7KDR419"), (vec![1], lost), "from the index");
}

#[test]
fn a_ring_has_a_key_and_counts_from_one() {
    assert!(IndexKeys::new([]).is_none());
    assert!(IndexKeys::new([(0, key(1))]).is_none());
    assert!(IndexKeys::new([(ledger::INDEX_EPOCHS_MAX + 1, key(1))]).is_none());
    let ring = IndexKeys::new([(3, key(3)), (1, key(1))]).unwrap();
    assert_eq!(ring.newest().0, 3);
    assert_eq!(ring.all().map(|(epoch, _)| epoch).collect::<Vec<_>>(), [1, 3]);
}
