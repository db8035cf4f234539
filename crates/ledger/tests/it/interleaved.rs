//! Appends, crashes, holds, disposals and checkpoints in any order: what was confirmed stays, until its
//! schedule has ended and no hold is on it; the log never changes; the folder verifies, and with a bit of it
//! flipped it is refused or is the same log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use keys::{Clock as _, FixedClock};
use ledger::retention::HoldScope;
use ledger::testing::{Fault, SimDisk, settings};
use ledger::{EntryNumber, Ledger, ReadError, Settings, Verified};
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::strategy::Just;
use proptest::test_runner::{Config, TestRunner};

use crate::common::{FOLDER, append, clock, number_in, numbered, open_with, verify};
use crate::disposed::order;

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Months(u8),
    Hold(u8),
    Release,
    Dispose,
    Reopen,
    PowerCut(u64),
    Fail(u8, Fault),
    Mend,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![Just(Fault::Lost), Just(Fault::Kept), Just(Fault::Torn)];
    let step = prop_oneof![
        4 => (1..5_u8).prop_map(Step::Append),
        4 => (1..9_u8).prop_map(Step::Months),
        2 => any::<u8>().prop_map(Step::Hold),
        1 => Just(Step::Release),
        4 => Just(Step::Dispose),
        1 => Just(Step::Reopen),
        2 => any::<u64>().prop_map(Step::PowerCut),
        2 => (any::<u8>(), fault).prop_map(|(after, fault)| Step::Fail(after % 40, fault)),
        1 => Just(Step::Mend),
    ];
    proptest::collection::vec(step, 1..40)
}

fn small() -> Settings {
    Settings { standard_months: 12, segment_bytes: 64 << 10, ..settings(Path::new(FOLDER)) }
}

/// What must be true of the ledger, whatever happens to it.
#[derive(Default)]
struct Known {
    /// By entry: the number in it, and whether it was seen to be disposed of.
    confirmed: BTreeMap<u64, (u64, bool)>,
    /// The entry that a hold in force covers, by the hold's name.
    held: BTreeMap<String, u64>,
    /// Sizes and roots that were signed.
    signed: Vec<(u64, [u8; 32])>,
    holds: u64,
    gone: u64,
}

impl Known {
    fn check(&mut self, ledger: &Ledger, clock: &FixedClock, what: &str) {
        for (entry, (number, gone)) in &mut self.confirmed {
            match ledger.read(EntryNumber(*entry)) {
                Ok(found) => {
                    assert_eq!(number_in(&found.record.event), Some(*number), "{what}");
                    assert!(!*gone, "{what}: entry {entry} is there again");
                }
                Err(ReadError::Disposed { bucket, .. }) => {
                    let bucket = ledger::format::Bucket::parse(&bucket).unwrap();
                    assert!(
                        bucket.due().is_some_and(|due| due <= clock.now()),
                        "{what}: too early"
                    );
                    assert!(self.held.values().all(|it| it != entry), "{what}: {entry} was held");
                    self.gone += u64::from(!*gone);
                    *gone = true;
                }
                Err(error) => panic!("{what}: entry {entry}: {error:?}"),
            }
        }
        let tree = ledger.signed_tree().0;
        if tree.size() > 0 {
            self.signed.push((tree.size(), tree.root()));
        }
    }

    fn hold(&mut self, ledger: &Ledger, which: u8) {
        let there: Vec<u64> =
            self.confirmed.iter().filter(|(_, (_, gone))| !gone).map(|it| *it.0).collect();
        let Some(entry) = there.get(usize::from(which) % there.len().max(1)) else { return };
        self.holds += 1;
        let name = format!("hold-{}", self.holds);
        let what = HoldScope::Entries { first: *entry, last: *entry };
        // What was announced to go before the hold goes; from here on nothing more does.
        let placed = ledger.place_hold(&name, what, None, order("court")).is_ok();
        if placed && ledger.read(EntryNumber(*entry)).is_ok() {
            self.held.insert(name, *entry);
        }
    }

    fn release(&mut self, ledger: &Ledger) {
        if let Some((name, _)) = self.held.pop_first() {
            // Refused or not: from here on it may be released.
            drop(ledger.release_hold(&name, order("settled")));
        }
    }
}

fn dispose(ledger: &Ledger, now: jiff::Timestamp) {
    let Ok(overview) = ledger.retention() else { return };
    let due: Vec<_> = overview.due(now).map(|it| it.bucket).collect();
    for bucket in due {
        drop(ledger.dispose(bucket, order("schedule 1")));
    }
}

fn power_cut(disk: &SimDisk, seed: u64) -> Arc<SimDisk> {
    let mut state = seed | 1;
    Arc::new(disk.after_power_cut(&mut || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state & 1 == 0
    }))
}

/// A bit of the folder, by numbers that any folder has one for.
type Bit = (u16, u32, u8);

/// Flips a bit of a closed ledger. It is named, or is of no matter: never is the log another or shorter.
fn rot(disk: &SimDisk, clock: &Arc<FixedClock>, (file, at, bit): Bit, whole: &Verified) -> bool {
    let files = disk.files();
    let files: Vec<_> = files.iter().filter(|it| !disk.read(it).unwrap().is_empty()).collect();
    let path = files[usize::from(file) % files.len()];
    let copy = Arc::new(disk.copy());
    copy.edit(path, |bytes| {
        let at = at as usize % bytes.len();
        bytes[at] ^= 1 << (bit % 8);
    });
    match verify(&copy, None) {
        Ok(found) => {
            assert_eq!((found.size, found.root), (whole.size, whole.root), "{path:?}");
            // What opens is no shorter either, though opening reads the end only.
            if let Ok(ledger) = open_with(&copy, clock, small()) {
                assert!(ledger.size() >= whole.size, "{path:?}");
            }
            false
        }
        Err(damage) => {
            assert!(!damage.file.is_empty());
            true
        }
    }
}

/// Plays the steps, and tells how many entries were disposed of, and whether the bit mattered.
fn play(steps: &[Step], bit: Bit) -> (u64, bool) {
    let (clock, mut disk, mut known) = (clock(), Arc::new(SimDisk::new()), Known::default());
    let mut ledger = open_with(&disk, &clock, small()).unwrap();
    let mut number = 0;
    for step in steps {
        match step {
            Step::Append(count) => {
                for _ in 0..*count {
                    if let Ok(receipt) = append(&ledger, numbered(number)) {
                        known.confirmed.insert(receipt.entry.0, (number, false));
                    }
                    number += 1;
                }
            }
            Step::Months(months) => {
                clock.advance(SignedDuration::from_hours(24 * 31 * i64::from(*months)));
            }
            Step::Hold(which) => known.hold(&ledger, *which),
            Step::Release => known.release(&ledger),
            Step::Dispose => dispose(&ledger, clock.now()),
            Step::Reopen => {
                drop(ledger);
                disk.mend();
                ledger = open_with(&disk, &clock, small()).unwrap();
            }
            Step::PowerCut(seed) => {
                let left = power_cut(&disk, *seed);
                drop(ledger);
                disk = left;
                ledger = open_with(&disk, &clock, small()).unwrap();
            }
            Step::Fail(after, fault) => disk.fail_at(disk.operations() + u64::from(*after), *fault),
            Step::Mend => disk.mend(),
        }
        known.check(&ledger, &clock, &format!("after {step:?}"));
    }
    drop(ledger);
    disk.mend();
    let ledger = open_with(&disk, &clock, small()).unwrap();
    ledger.finish_disposals().unwrap();
    known.check(&ledger, &clock, "at the end");
    let (size, root) = *known.signed.last().unwrap_or(&(0, [0; 32]));
    for (before, old) in known.signed.iter().filter(|it| it.0 < size) {
        let proof = ledger.prove_consistency(*before, size).unwrap();
        ledger::merkle::verify_consistency(*before, size, old, &root, &proof).unwrap();
    }
    ledger.close().unwrap();
    let verified = verify(&disk, Some(size)).unwrap();
    assert_eq!(verified.leftover, Vec::<String>::new());
    (known.gone, rot(&disk, &clock, bit, &verified))
}

#[test]
fn whatever_happens_what_was_confirmed_goes_only_when_its_time_has_come_and_nothing_holds_it() {
    let mut runner =
        TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let (gone, named) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let outcome = runner.run(&(steps(), any::<Bit>()), |(steps, bit)| {
        let (went, damaged) = play(&steps, bit);
        gone.set(gone.get() + went);
        named.set(named.get() + u32::from(damaged));
        Ok(())
    });
    outcome.unwrap();
    assert!(gone.get() > 0, "nothing was ever disposed of");
    assert!(named.get() > 0, "no damage was ever found");
}

#[test]
fn a_checkpoint_whose_sync_failed_leaves_no_hole_when_the_next_is_listed() {
    let (clock, disk) = (clock(), Arc::new(SimDisk::new()));
    let ledger = open_with(&disk, &clock, small()).unwrap();
    disk.fail_next_sync("checkpoints");
    append(&ledger, numbered(0)).unwrap();
    drop(ledger);
    // It is read as if it were there; the next opening lists one behind it.
    for number in 1..3 {
        let ledger = open_with(&disk, &clock, small()).unwrap();
        append(&ledger, numbered(number)).unwrap();
    }
    let left = Arc::new(disk.after_power_cut(&mut || false));
    assert_eq!(open_with(&left, &clock, small()).unwrap().size(), 3);
}
