//! A ledger that was wound back or has two histories: named by its witness, and stopped.

use std::path::Path;
use std::sync::Arc;

use ledger::note::Checkpoint;
use ledger::testing::settings;
use ledger::watched::{Asked, StopKind, Witnessing, lift_stop, stop_of};
use ledger::witness::{Answer, origin_id};
use ledger::{AppendError, Event, Health, Ledger, OpenError, Settings};

use crate::common::{FOLDER, append, numbered};
use crate::watched::{World, grow, lakeside, last_event};
use crate::witness::{ORIGIN, log_key, witness_key};

#[test]
fn a_restored_backup_is_named_and_no_record_is_taken_until_that_is_cleared_up() {
    let mut world = World::new();
    let ledger = world.open();
    grow(&ledger, 8);
    world.ask(&ledger);
    let yesterday = world.disk.copy();
    grow(&ledger, 4);
    world.ask(&ledger);
    drop(ledger);
    let newest = world.disk.copy();
    world.restore(yesterday);
    let ledger = world.open();
    grow(&ledger, 1);
    let Asked::Stopped(stop) = world.ask(&ledger) else { panic!() };
    assert_eq!((stop.kind, stop.seen, stop.witness.as_str()), (StopKind::Rollback, 12, "lakeside"));
    let shown = stop.theirs.clone().unwrap();
    assert_eq!(Checkpoint::open(&shown, &log_key()).unwrap().size, 12);
    let Event::RollbackDetected { size: 9, seen: 12, .. } = last_event(&ledger) else { panic!() };
    let words = "the witness lakeside has seen 12 entries, this ledger has 9: a restored backup? It shows \
                 a checkpoint that this ledger signed. No record is taken until this is cleared up: see \
                 docs/witness.md";
    drop(ledger);
    for _ in 0..2 {
        let ledger = world.open();
        let Err(AppendError::Stopped { why }) = append(&ledger, numbered(1)) else { panic!() };
        assert_eq!(why, words);
        assert!(matches!(ledger.health(), Health::Stalled { why, .. } if why == words));
        assert!(ledger.releasable().is_err());
        assert_eq!(ledger.submission("lakeside", None).unwrap(), None);
        // What is there can still be read.
        ledger.read(ledger::EntryNumber(3)).unwrap();
    }
    // The newer copy is put back: the stop went with the old one.
    world.restore(newest);
    let ledger = world.open();
    grow(&ledger, 1);
    assert!(matches!(world.ask(&ledger), Asked::Confirmed(_)));
}

#[test]
fn a_restored_backup_that_went_on_further_is_a_fork() {
    let mut world = World::new();
    let ledger = world.open();
    grow(&ledger, 8);
    world.ask(&ledger);
    let yesterday = world.disk.copy();
    grow(&ledger, 4);
    world.ask(&ledger);
    drop(ledger);
    for more in [4, 9] {
        world.restore(yesterday.copy());
        let ledger = world.open();
        world.pass(1);
        grow(&ledger, more);
        let Asked::Stopped(stop) = world.ask(&ledger) else { panic!() };
        assert_eq!((stop.kind, stop.seen), (StopKind::Fork, 12));
        let theirs = Checkpoint::open(&stop.theirs.unwrap(), &log_key()).unwrap();
        assert_eq!(theirs.size, 12);
        assert!(matches!(last_event(&ledger), Event::EquivocationDetected { size: 12, .. }));
    }
    assert!(!world.witness.evidence().unwrap().is_empty());
}

#[test]
fn a_log_older_than_what_its_own_folder_says_was_cosigned_is_not_opened() {
    let mut world = World::new();
    let ledger = world.open();
    grow(&ledger, 8);
    let early = world.disk.copy();
    grow(&ledger, 4);
    world.ask(&ledger);
    drop(ledger);
    // The log is wound back, the published checkpoints with it; what the witness said is left.
    let name = format!("witness/w-{}", hex::encode(witness_key().id()));
    let path = Path::new(FOLDER).join(name);
    let kept = world.disk.read(&path).unwrap();
    early.edit(&path, |bytes| *bytes = kept);
    world.restore(early);
    let OpenError::Damaged(damage) = world.try_open().unwrap_err() else { panic!() };
    assert_eq!(damage.what, "lakeside cosigned 12 entries, yet the log has only 8");
}

#[test]
fn a_witness_that_is_only_confused_stops_nothing() {
    let world = World::new();
    let ledger = world.open();
    grow(&ledger, 5);
    world.ask(&ledger);
    let submission = ledger.submission("lakeside", None).unwrap().unwrap();
    let ours = world.witness.newest(&origin_id(ORIGIN));
    for answer in [Answer::BadProof, Answer::Conflict(90)] {
        let asked = ledger.take_answer(&submission, &answer, ours.as_deref());
        assert!(matches!(asked, Asked::Failed(_)), "{asked:?}");
    }
    for answer in
        [Answer::Malformed, Answer::BadSignature, Answer::UnknownOrigin, Answer::Trouble(500)]
    {
        let asked = ledger.take_answer(&submission, &answer, None);
        let error = ledger.witnessed().witnesses[0].last_error.clone();
        assert_eq!(asked, Asked::Failed(error.unwrap()));
    }
    grow(&ledger, 1);
}

#[test]
fn a_stop_that_cannot_be_written_down_holds_and_is_said_again_after_a_restart() {
    let mut world = World::new();
    let ledger = world.open();
    grow(&ledger, 8);
    let yesterday = world.disk.copy();
    grow(&ledger, 4);
    world.ask(&ledger);
    drop(ledger);
    world.restore(yesterday);
    let ledger = world.open();
    world.disk.fail_writes_after("stop.new", 0);
    assert!(matches!(world.ask(&ledger), Asked::Stopped(_)));
    assert!(append(&ledger, numbered(1)).is_err());
    drop(ledger);
    world.disk.mend();
    let ledger = world.open();
    grow(&ledger, 1);
    assert!(matches!(world.ask(&ledger), Asked::Stopped(_)));
}

#[test]
fn a_stop_is_lifted_by_a_person_with_a_reason_that_goes_on_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let world = World::new();
    let rules = Witnessing::any_of(vec![lakeside()]);
    let settings = Settings { witnessing: rules, ..settings(&path) };
    let open = || {
        let (clock, random) = (Arc::clone(&world.clock) as _, Arc::new(keys::SystemRandom));
        Ledger::open_or_create(settings.clone(), ledger::testing::keys(), clock, random).unwrap()
    };
    let ledger = open();
    grow(&ledger, 3);
    let submission = ledger.submission("lakeside", None).unwrap().unwrap();
    assert_eq!(stop_of(&path).unwrap(), None);
    assert!(matches!(
        ledger.take_answer(&submission, &Answer::Conflict(90), None),
        Asked::Stopped(_)
    ));
    assert!(lift_stop(&path, "why not").unwrap_err().to_string().contains("open in a process"));
    drop(ledger);
    let stop = stop_of(&path).unwrap().unwrap();
    assert!(stop.words().contains("It shows no checkpoint that this ledger signed."));
    assert!(append(&open(), numbered(1)).is_err());
    assert!(lift_stop(&path, " ").is_err());
    assert_eq!(lift_stop(&path, "the witness was broken").unwrap(), stop);
    assert!(lift_stop(&path, "again").unwrap_err().to_string().contains("is not stopped"));
    let ledger = open();
    ledger.record_lifted_stop().unwrap();
    let Event::StopLifted { reason } = last_event(&ledger) else { panic!() };
    assert!(
        reason.starts_with("the witness was broken (the witness lakeside has seen 90"),
        "{reason}"
    );
    let size = ledger.size();
    drop(ledger);
    let ledger = open();
    ledger.record_lifted_stop().unwrap();
    assert_eq!(ledger.size(), size, "once");
    assert!(matches!(world.ask(&ledger), Asked::Confirmed(_)));
}
