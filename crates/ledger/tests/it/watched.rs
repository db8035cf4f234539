//! A ledger and its witness: confirmed, silent, heard again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use keys::FixedClock;
use ledger::note::{Checkpoint, VerifierKey};
use ledger::testing::{Disk, Fault, SimDisk, settings};
use ledger::watched::{Asked, KnownWitness, NotReleasable, Submission, WitnessState, Witnessing};
use ledger::witness::{Answer, Cosignature, Witness, WitnessKey, origin_id};
use ledger::{Event, Ledger, OpenError, Search, Settings};

use crate::common::{FOLDER, append, clock, numbered, open_with, time};
use crate::witness::{NAME, cut, log_key, seed, witness_key};

pub(crate) fn lakeside() -> KnownWitness {
    KnownWitness { name: "lakeside".to_owned(), key: witness_key() }
}

pub(crate) fn with(rules: Witnessing) -> Settings {
    Settings { witnessing: rules, ..settings(Path::new(FOLDER)) }
}

/// A ledger's disk, its clock, and a witness on a disk of its own.
pub(crate) struct World {
    pub(crate) disk: Arc<SimDisk>,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) witness: Witness,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = clock();
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let (folder, logs) = (Path::new("/w"), vec![log_key()]);
        let witness = Witness::open(&disk, folder, NAME, seed(9), logs, clock.clone()).unwrap();
        Self { disk: Arc::new(SimDisk::new()), clock, witness }
    }

    pub(crate) fn try_open(&self) -> Result<Ledger, OpenError> {
        open_with(&self.disk, &self.clock, with(Witnessing::any_of(vec![lakeside()])))
    }

    pub(crate) fn open(&self) -> Ledger {
        self.try_open().unwrap()
    }

    /// As a follower asks: again where the witness says from where, and with its own note in hand.
    pub(crate) fn ask(&self, ledger: &Ledger) -> Asked {
        let mut old = None;
        for _ in 0..3 {
            let submission = ledger.submission("lakeside", old).unwrap().unwrap();
            match self.submit(ledger, &submission) {
                Asked::Again(size) => old = Some(size),
                asked => return asked,
            }
        }
        panic!("it never ends")
    }

    /// Has the witness answer, and the ledger judge the answer.
    pub(crate) fn submit(&self, ledger: &Ledger, submission: &Submission) -> Asked {
        let answer = self.witness.add(submission.request.encode().as_bytes()).answer;
        let theirs = self.witness.newest(&origin_id(ledger.origin()));
        ledger.take_answer(submission, &answer, theirs.as_deref())
    }

    pub(crate) fn pass(&self, minutes: i64) {
        self.clock.advance(SignedDuration::from_mins(minutes));
    }

    /// Leaves the ledger's folder as it was then.
    pub(crate) fn restore(&mut self, copy: SimDisk) {
        self.disk = Arc::new(copy);
    }
}

pub(crate) fn grow(ledger: &Ledger, count: u64) {
    for number in 0..count {
        append(ledger, numbered(number)).unwrap();
    }
}

pub(crate) fn last_event(ledger: &Ledger) -> Event {
    let page = ledger.search(&Search::newest(1)).unwrap();
    page.entries.into_iter().next().unwrap().record.event
}

#[test]
fn a_ledger_that_grows_is_confirmed_and_keeps_what_was_cosigned() {
    let world = World::new();
    let ledger = world.open();
    assert_eq!(ledger.witnessed().witnesses[0].state, WitnessState::Waiting);
    grow(&ledger, 3);
    let first = Event::CheckpointCosigned { witness: "lakeside".to_owned(), size: 3 };
    assert_eq!(world.ask(&ledger), Asked::Confirmed(vec![first]));
    grow(&ledger, 4);
    world.pass(1);
    assert_eq!(world.ask(&ledger), Asked::Confirmed(Vec::new()));
    // Nothing new, and confirmed again all the same: it is about the time.
    world.pass(1);
    assert_eq!(world.ask(&ledger), Asked::Confirmed(Vec::new()));
    let standing = ledger.witnessed();
    let one = &standing.witnesses[0];
    assert_eq!((one.size, one.state), (Some(7), WitnessState::Fresh));
    assert_eq!(one.at, Some(time("2026-11-22T14:05:21Z")));
    drop(ledger);
    let ledger = world.open();
    let notes = ledger.cosigned();
    assert_eq!(notes.len(), 2);
    for (note, size) in notes.iter().zip([3, 7]) {
        assert_eq!(Checkpoint::open(note, &log_key()).unwrap().size, size);
        Cosignature::on(note, &witness_key()).unwrap();
    }
    assert_eq!(ledger.witnessed().witnesses[0].size, Some(7));
}

#[test]
fn a_silent_witness_is_told_of_then_nothing_is_released_then_it_recovers() {
    let world = World::new();
    let ledger = world.open();
    grow(&ledger, 2);
    world.ask(&ledger);
    world.pass(14);
    assert_eq!(ledger.newly_stale(), []);
    world.pass(2);
    let stale = Event::WitnessStale { witness: "lakeside".to_owned(), minutes: 16, last: Some(2) };
    assert_eq!(ledger.newly_stale(), [stale]);
    assert_eq!(ledger.newly_stale(), [], "once");
    assert_eq!(ledger.witnessed().witnesses[0].state, WitnessState::Stale { minutes: 16 });
    ledger.releasable().unwrap();
    world.pass(223);
    ledger.releasable().unwrap();
    world.pass(2);
    let refused = ledger.releasable().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "no witness has confirmed the audit ledger for 241 minutes, so nothing is released until one has"
    );
    // Recording itself goes on.
    grow(&ledger, 1);
    drop(ledger);
    // A restart does not make it fresh.
    let ledger = world.open();
    assert!(matches!(ledger.releasable(), Err(NotReleasable::Stale { minutes: 241, .. })));
    assert_eq!(ledger.newly_stale().len(), 1);
    let recovered = Event::WitnessRecovered { witness: "lakeside".to_owned(), size: 3 };
    assert_eq!(world.ask(&ledger), Asked::Confirmed(vec![recovered]));
    ledger.releasable().unwrap();
}

#[test]
fn a_witness_that_was_never_heard_of_counts_from_when_it_was_configured() {
    let world = World::new();
    drop(world.open());
    world.pass(241);
    // Starting again does not start the wait again.
    let ledger = world.open();
    assert!(matches!(ledger.releasable(), Err(NotReleasable::Stale { minutes: 241, .. })));
}

#[test]
fn with_the_rule_for_it_a_start_waits_for_a_witness() {
    let world = World::new();
    let rules = Witnessing { confirm_at_start: true, ..Witnessing::any_of(vec![lakeside()]) };
    for _ in 0..2 {
        let ledger = open_with(&world.disk, &world.clock, with(rules.clone())).unwrap();
        assert_eq!(ledger.releasable(), Err(NotReleasable::Unconfirmed));
        grow(&ledger, 1);
        world.ask(&ledger);
        ledger.releasable().unwrap();
    }
}

#[test]
fn all_that_the_quorum_needs_must_be_fresh() {
    let world = World::new();
    let other = WitnessKey { name: "state.example/w".to_owned(), public: seed(40).public() };
    let state = KnownWitness { name: "state".to_owned(), key: other };
    let mut rules = Witnessing::any_of(vec![lakeside(), state]);
    rules.quorum = ledger::witness::Quorum::Group(
        2,
        vec![ledger::witness::Quorum::Witness(0), ledger::witness::Quorum::Witness(1)],
    );
    let ledger = open_with(&world.disk, &world.clock, with(rules.clone())).unwrap();
    grow(&ledger, 1);
    world.pass(200);
    world.ask(&ledger);
    world.pass(50);
    assert!(matches!(ledger.releasable(), Err(NotReleasable::Stale { minutes: 250, .. })));
    drop(ledger);
    rules.quorum = ledger::witness::Quorum::any(2);
    let ledger = open_with(&world.disk, &world.clock, with(rules)).unwrap();
    ledger.releasable().unwrap();
}

#[test]
fn rules_that_would_never_refuse_are_not_taken() {
    let world = World::new();
    let good = Witnessing::any_of(vec![lakeside()]);
    for (rules, key) in [
        (Witnessing { quorum: ledger::witness::Quorum::None, ..good.clone() }, "quorum"),
        (Witnessing { quorum: ledger::witness::Quorum::Witness(1), ..good.clone() }, "quorum"),
        (Witnessing { refuse_after: Duration::MAX, ..good.clone() }, "refuse_after"),
        (Witnessing { refuse_after: Duration::from_secs(1), ..good.clone() }, "refuse_after"),
        (Witnessing { witnesses: vec![lakeside(), lakeside()], ..good.clone() }, "witness"),
    ] {
        let error = open_with(&world.disk, &world.clock, with(rules)).unwrap_err();
        let OpenError::Setting { key: found, .. } = error else { panic!("{error}") };
        assert_eq!(found, key);
    }
}

#[test]
fn a_cosignature_that_is_not_for_now_or_not_by_the_witness_does_not_count() {
    let world = World::new();
    let ledger = world.open();
    grow(&ledger, 5);
    let submission = ledger.submission("lakeside", None).unwrap().unwrap();
    let (text, _) = submission.request.note.split_once("\n\n").unwrap();
    let text = format!("{text}\n");
    let line =
        |byte: u8, at: &str| Cosignature::sign(&text, time(at), &seed(byte)).line(&witness_key());
    for (lines, expected) in [
        (line(9, "2026-11-22T13:50:00Z"), "its clock is 801 s behind ours"),
        (line(9, "2026-11-22T14:13:22Z"), "its clock is -601 s behind ours"),
        (
            line(8, "2026-11-22T14:03:21Z"),
            "its answer was not taken: the cosignature by the expected key does not verify",
        ),
        (String::new(), "its answer was not taken: no cosignature by the expected key"),
        ("nonsense\n".to_owned(), "its answer was not taken: not a list of signature lines"),
    ] {
        let asked = ledger.take_answer(&submission, &Answer::Cosigned(lines), None);
        assert_eq!(asked, Asked::Failed(expected.to_owned()));
    }
    assert_eq!(ledger.witnessed().witnesses[0].size, None);
    // Lines of others beside the right one are passed over; an older one after it does not count.
    let many = format!(
        "{}{}",
        Cosignature::sign("x", time("2026-11-22T14:03:21Z"), &seed(7))
            .line(&WitnessKey { name: "x".to_owned(), public: seed(7).public() }),
        line(9, "2026-11-22T14:03:21Z")
    );
    assert!(matches!(
        ledger.take_answer(&submission, &Answer::Cosigned(many), None),
        Asked::Confirmed(_)
    ));
    let older = Answer::Cosigned(line(9, "2026-11-22T14:03:20Z"));
    let expected = Asked::Failed("its cosignature is older than its last".to_owned());
    assert_eq!(ledger.take_answer(&submission, &older, None), expected);
}

#[test]
fn a_witness_with_a_new_key_is_a_new_witness_that_starts_from_nothing() {
    let world = World::new();
    let ledger = world.open();
    grow(&ledger, 5);
    world.ask(&ledger);
    drop(ledger);
    let key = WitnessKey { name: NAME.to_owned(), public: seed(50).public() };
    let rules = Witnessing::any_of(vec![KnownWitness { name: "lakeside".to_owned(), key }]);
    let ledger = open_with(&world.disk, &world.clock, with(rules)).unwrap();
    assert_eq!(ledger.witnessed().witnesses[0].size, None);
    // The old key's word does not count any more.
    assert!(matches!(world.ask(&ledger), Asked::Failed(_)));
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let logs = vec![log_key()];
    let clock = Arc::clone(&world.clock) as _;
    let renewed = Witness::open(&disk, Path::new("/w"), NAME, seed(50), logs, clock).unwrap();
    let submission = ledger.submission("lakeside", None).unwrap().unwrap();
    assert_eq!(submission.request.old, 0);
    let answer = renewed.add(submission.request.encode().as_bytes()).answer;
    assert!(matches!(ledger.take_answer(&submission, &answer, None), Asked::Confirmed(_)));
}

/// Whatever write fails: the cosignature does not count, the ledger goes on, and after a power cut it opens.
#[test]
fn a_cosignature_that_cannot_be_written_down_does_not_count() {
    for fault in [Fault::Lost, Fault::Kept, Fault::Torn] {
        for step in 0.. {
            let mut world = World::new();
            let ledger = world.open();
            grow(&ledger, 3);
            world.ask(&ledger);
            grow(&ledger, 2);
            // Quiet: the checkpoint's own publishing is not to meet the fault.
            ledger.close().unwrap();
            let ledger = world.open();
            let before = world.disk.operations();
            world.disk.fail_at(before + step, fault);
            world.pass(1);
            let asked = world.ask(&ledger);
            let done = world.disk.operations() - before;
            world.disk.mend();
            let failed = matches!(asked, Asked::Failed(_));
            assert!(failed || matches!(asked, Asked::Confirmed(_)), "{asked:?}");
            assert_eq!(ledger.witnessed().witnesses[0].size, Some(if failed { 3 } else { 5 }));
            drop(ledger);
            world.restore(Arc::into_inner(cut(&world.disk, step)).unwrap());
            let ledger = world.open();
            let size = ledger.witnessed().witnesses[0].size;
            assert!(size == Some(5) || (failed && size == Some(3)), "{fault:?} {step}: {size:?}");
            world.pass(1);
            assert!(matches!(world.ask(&ledger), Asked::Confirmed(_)));
            if step >= done {
                assert!(step > 6, "the faults came too late to meet a write");
                break;
            }
        }
    }
}

#[test]
fn rot_in_what_was_cosigned_is_refused_and_named() {
    let world = World::new();
    let ledger = world.open();
    grow(&ledger, 3);
    world.ask(&ledger);
    drop(ledger);
    let files: Vec<_> = world.disk.files();
    let mine = files.iter().filter(|path| path.starts_with(Path::new(FOLDER).join("witness")));
    let mut count = 0;
    for path in mine {
        let copy = Arc::new(world.disk.copy());
        copy.edit(path, |bytes| {
            let at = bytes.len() / 2;
            bytes[at] ^= 4;
        });
        let opened = open_with(&copy, &world.clock, with(Witnessing::any_of(vec![lakeside()])));
        let OpenError::Damaged(damage) = opened.unwrap_err() else { panic!() };
        assert!(path.ends_with(&damage.file), "{damage}");
        count += 1;
    }
    assert_eq!(count, 2);
}

#[test]
fn the_key_in_these_stories_is_the_ledger_s_own() {
    let ledger = World::new().open();
    assert_eq!(VerifierKey::parse(&ledger.verifier_key()), Ok(log_key()));
}
