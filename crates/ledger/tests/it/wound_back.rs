//! A ledger or a witness that is an older copy of itself, and what is kept of a ledger with two histories.

use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use ledger::note::Checkpoint;
use ledger::testing::{Disk, SimDisk, verify_on};
use ledger::watched::{Asked, NotReleasable, StopKind, Witnessing};
use ledger::witness::{Answer, Witness, Wrong, origin_id};
use ledger::{Event, VerifyOptions};

use crate::common::{FOLDER, clock, open_with, verify};
use crate::watched::{World, grow, lakeside, with};
use crate::witness::{NAME, ORIGIN, add, log_key, request, seed};

/// Nothing in the folder is left of the newer entries: its own checkpoints and what witnesses said went
/// back with the log. Only what is elsewhere can tell.
#[test]
fn a_folder_wound_back_whole_is_found_by_what_was_kept_elsewhere_and_releases_nothing_meanwhile() {
    let mut world = World::new();
    let ledger = world.open();
    grow(&ledger, 8);
    world.ask(&ledger);
    let yesterday = world.disk.copy();
    grow(&ledger, 4);
    let kept = ledger.checkpoint().unwrap();
    world.ask(&ledger);
    ledger.close().unwrap();
    drop(ledger);
    world.restore(yesterday);

    // The folder agrees with itself; a size or a checkpoint that somebody wrote down does not agree with it.
    assert_eq!(verify(&world.disk, Some(8)).unwrap().size, 8);
    let damage = verify(&world.disk, Some(12)).unwrap_err();
    assert!(damage.what.contains("12"), "{damage}");
    let options = VerifyOptions { expect_checkpoint: Some(kept), ..VerifyOptions::default() };
    let damage = verify_on(world.disk.as_ref(), Path::new(FOLDER), options).unwrap_err();
    assert!(damage.to_string().contains("12"), "{damage}");

    // With the rule for it nothing leaves before a witness is reached, however long that takes.
    let rules = Witnessing { confirm_at_start: true, ..Witnessing::any_of(vec![lakeside()]) };
    let ledger = open_with(&world.disk, &world.clock, with(rules)).unwrap();
    assert_eq!(ledger.releasable(), Err(NotReleasable::Unconfirmed));
    grow(&ledger, 1);
    world.pass(300);
    assert!(ledger.releasable().is_err());
    let Asked::Stopped(stop) = world.ask(&ledger) else { panic!() };
    assert_eq!((stop.kind, stop.seen, stop.size), (StopKind::Rollback, 12, 9));
    assert!(ledger.releasable().is_err());
}

#[test]
fn a_witness_that_went_back_is_noticed_by_the_ledger_and_can_t_take_it_along() {
    let clock = clock();
    let disk = Arc::new(SimDisk::new());
    let open = |disk: &Arc<SimDisk>| {
        let disk: Arc<dyn Disk> = Arc::clone(disk) as _;
        Witness::open(&disk, Path::new("/w"), NAME, seed(9), vec![log_key()], clock.clone())
            .unwrap()
    };
    let mut world = World { disk: Arc::default(), clock: Arc::clone(&clock), witness: open(&disk) };
    let ledger = world.open();
    grow(&ledger, 8);
    world.ask(&ledger);
    let yesterday = Arc::new(disk.copy());
    grow(&ledger, 4);
    world.ask(&ledger);
    world.witness = open(&yesterday);

    // The ledger goes on from all that it has: the witness is brought up to it again, never the other way.
    world.pass(1);
    let forgot = Event::WitnessForgot { witness: "lakeside".to_owned(), size: 8, seen: 12 };
    assert_eq!(world.ask(&ledger), Asked::Confirmed(vec![forgot]));
    assert_eq!(ledger.size(), 12);
    assert_eq!(world.witness.sizes(), [(ORIGIN.to_owned(), Some(12))]);
    clock.advance(SignedDuration::from_mins(1));
    grow(&ledger, 1);
    assert_eq!(world.ask(&ledger), Asked::Confirmed(Vec::new()), "it is told once");
    assert_eq!(ledger.witnessed().witnesses[0].size, Some(13));

    // Begun anew with its old key, it stands at nothing.
    world.witness = open(&Arc::new(SimDisk::new()));
    clock.advance(SignedDuration::from_mins(1));
    let forgot = Event::WitnessForgot { witness: "lakeside".to_owned(), size: 0, seen: 13 };
    assert_eq!(world.ask(&ledger), Asked::Confirmed(vec![forgot]));
}

/// Whether the second reader finds two histories proved, and what it says.
fn python(document: &str, key: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evidence");
    std::fs::write(&file, document).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/verify_fork.py");
    let mut command = std::process::Command::new("python3");
    let output = command.arg("-B").arg(script).arg(&file).args(["--key", key]).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn what_a_witness_keeps_of_two_histories_is_proof_for_whoever_has_the_log_s_key() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(ledger::SystemDisk);
    let open = || {
        let (path, logs) = (folder.path(), vec![log_key()]);
        Witness::open(&disk, path, NAME, seed(9), logs, clock()).unwrap()
    };
    let witness = open();
    add(&witness, &request(0, 8, None));
    assert_eq!(add(&witness, &request(8, 8, Some(3))), Answer::Conflict(8));
    assert_eq!(add(&witness, &request(8, 11, Some(3))), Answer::BadProof);
    drop(witness);

    // As it was refused, and again after a restart: two notes that the log's key has signed.
    let kept = open().evidence().unwrap();
    let wrongs: Vec<Wrong> = kept.iter().map(|it| it.wrong).collect();
    assert!(wrongs.contains(&Wrong::TwoRoots) && wrongs.contains(&Wrong::Proof), "{wrongs:?}");
    for evidence in &kept {
        let known = Checkpoint::open(&evidence.known, &log_key()).unwrap();
        let at = evidence.refused.find(ORIGIN).unwrap();
        let refused = Checkpoint::open(&evidence.refused[at..], &log_key()).unwrap();
        let proved = known.size == refused.size && known.root != refused.root;
        assert_eq!(proved, evidence.wrong == Wrong::TwoRoots, "{evidence:?}");
    }
    let newest = open().newest(&origin_id(ORIGIN)).unwrap();
    assert_eq!(Checkpoint::open(&newest, &log_key()).unwrap().size, 8, "the first is what holds");

    let key = log_key().to_string();
    let files = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().path());
    let documents: Vec<String> = files
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("evidence-"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    assert_eq!(documents.len(), 2);
    for document in documents {
        let two = document.contains("kind two-roots");
        let (proved, said) = python(&document, &key);
        assert_eq!(proved, two, "{said}");
        assert!(two || said.contains("8 and 11 entries"), "{said}");
        let strange = ledger::note::VerifierKey { public: seed(2).public(), ..log_key() };
        assert!(!python(&document, &strange.to_string()).0);
        let (proved, said) = python(&document.replacen("\n8\n", "\n9\n", 1), &key);
        assert!(!proved && said.contains("digest"), "{said}");
    }
}
