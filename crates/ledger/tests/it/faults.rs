//! Each write failing in turn, power cuts, full disks, files that go away: nothing that was
//! confirmed is lost, and what was refused may be found again but changes nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keys::FixedClock;
use ledger::format::{Identity, JournalFrame};
use ledger::testing::{Fault, SimDisk, settings};
use ledger::{AppendError, EntryNumber, Event, Health, Ledger, Record, Search, Settings};
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use crate::common::{FOLDER, append, clock, in_folder, numbered, open, open_with, verify};

/// Checkpoints at once, and a journal that comes round after a few large records.
fn busy() -> Settings {
    let (journal_bytes, segment_bytes) = (64 << 10, 256 << 10);
    let checkpoint_wait = Duration::ZERO;
    Settings { journal_bytes, segment_bytes, checkpoint_wait, ..settings(Path::new(FOLDER)) }
}

/// A record that takes up much room.
fn large(number: u64) -> Record {
    Record::platform(Event::SessionEnded { reason: format!("{number} {}", "x".repeat(14_000)) })
}

fn record(number: u64) -> Record {
    if number % 2 == 1 { large(number) } else { numbered(number) }
}

/// What was confirmed: the entry of each record's number.
type Confirmed = Vec<(EntryNumber, Record)>;

fn append_all(ledger: &Ledger, numbers: std::ops::Range<u64>, confirmed: &mut Confirmed) -> u64 {
    let mut refused = 0;
    for number in numbers {
        match append(ledger, record(number)) {
            Ok(receipt) => confirmed.push((receipt.entry, record(number))),
            Err(_) => refused += 1,
        }
    }
    refused
}

#[track_caller]
fn check_confirmed(ledger: &Ledger, confirmed: &Confirmed, story: &str) {
    for (entry, record) in confirmed {
        match ledger.read(*entry) {
            Ok(found) => assert_eq!(found.record.event, record.event, "{story}, entry {entry}"),
            Err(error) => panic!("{story}: entry {entry} of {}: {error}", ledger.size()),
        }
    }
}

/// Opens, appends, closes, opens and appends again; whatever fails, goes on.
fn live(disk: &Arc<SimDisk>, clock: &Arc<FixedClock>) -> (Confirmed, u64) {
    let (mut confirmed, mut refused) = (Vec::new(), 0);
    for round in 0..2 {
        if let Ok(ledger) = open_with(disk, clock, busy()) {
            refused += append_all(&ledger, round * 100..round * 100 + 7, &mut confirmed);
            drop(ledger);
        }
    }
    (confirmed, refused)
}

#[test]
fn each_write_failing_in_turn_loses_nothing_that_was_confirmed() {
    let clock = clock();
    let counted = Arc::new(SimDisk::new());
    let (confirmed, refused) = live(&counted, &clock);
    assert_eq!((confirmed.len(), refused), (14, 0));
    let operations = counted.operations();
    assert!(operations > 100, "the scenario writes too little: {operations}");
    let mut refusals = 0;
    for operation in 0..operations {
        for fault in [Fault::Lost, Fault::Kept, Fault::Torn] {
            let story = format!("operation {operation} {fault:?}");
            let disk = Arc::new(SimDisk::new());
            disk.fail_at(operation, fault);
            let (confirmed, refused) = live(&disk, &clock);
            refusals += refused;
            assert!(confirmed.len() >= 6, "{story}: only {} were confirmed", confirmed.len());
            for cut in [false, true] {
                let disk = Arc::new(disk.after_power_cut(&mut || !cut));
                let ledger = open(&disk, &clock).unwrap_or_else(|it| panic!("{story}: {it:?}"));
                check_confirmed(&ledger, &confirmed, &story);
                drop(ledger);
                verify(&disk, Some(confirmed.len() as u64))
                    .unwrap_or_else(|it| panic!("{story}: {it}"));
            }
        }
    }
    // Of the three faults of an operation at least one is felt, save where it only noted a place.
    assert!(refusals * 2 > operations, "faults were not felt: {refusals} of {operations}");
}

#[test]
fn a_failed_sync_is_never_taken_for_done_by_asking_again() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    append(&ledger, numbered(0)).unwrap();
    disk.fail_next_sync("journal");
    let refused = append(&ledger, numbered(1)).unwrap_err();
    assert!(matches!(refused, AppendError::Disk { doing: "sync", .. }), "{refused}");
    let receipt = append(&ledger, numbered(2)).unwrap();
    // Only what was synced for certain is left.
    let disk = Arc::new(disk.after_power_cut(&mut || false));
    let ledger = open(&disk, &clock).unwrap();
    check_confirmed(&ledger, &vec![(receipt.entry, numbered(2))], "after the power cut");
}

#[test]
fn a_segment_that_does_not_sync_when_the_journal_comes_round_is_named_in_full() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open_with(&disk, &clock, busy()).unwrap();
    let receipt = append(&ledger, large(0)).unwrap();
    // The log comes before the bodies, whose first segment has the same name.
    disk.fail_next_sync("00000000.seg");
    let refused = (1..9).find_map(|number| append(&ledger, large(number)).err()).unwrap();
    match refused {
        AppendError::Disk { doing: "sync", path, .. } => {
            assert_eq!(path, in_folder("log/00000000.seg"));
        }
        other => panic!("refused for something else: {other}"),
    }
    append(&ledger, numbered(9)).unwrap();
    check_confirmed(&ledger, &vec![(receipt.entry, large(0))], "opened again");
}

#[test]
fn a_full_disk_refuses_says_so_in_the_ledger_and_recovers_when_there_is_room() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    append(&ledger, numbered(0)).unwrap();
    disk.leave_room(0);
    let mut confirmed = Vec::new();
    let refused = loop {
        let number = confirmed.len() as u64;
        match append(&ledger, large(number)) {
            Ok(receipt) => confirmed.push((receipt.entry, large(number))),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AppendError::NoRoom { .. }), "{refused}");
    assert!(matches!(ledger.health(), Health::Stalled { .. }));
    assert!(matches!(append(&ledger, large(99)), Err(AppendError::NoRoom { .. })));
    check_confirmed(&ledger, &confirmed, "while the disk is full");
    disk.mend();
    for number in 100..102 {
        let receipt = append(&ledger, large(number)).unwrap();
        confirmed.push((receipt.entry, large(number)));
    }
    assert_eq!(ledger.health(), Health::Recording);

    let mut search = Search::newest(10);
    search.kinds = vec!["ledger-stalled".to_owned(), "ledger-recovered".to_owned()];
    let told = ledger.search(&search).unwrap().entries;
    let told: Vec<String> = told.iter().map(|entry| entry.record.event.sentence()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "recording works again after 2 refused records");
    assert!(told[1].starts_with("recording stopped, so releases stopped: there is no room"));
    drop(ledger);
    let ledger = open(&disk, &clock).unwrap();
    check_confirmed(&ledger, &confirmed, "opened again");
    verify(&disk, Some(ledger.size())).unwrap();
}

#[test]
fn a_file_that_is_removed_or_replaced_under_the_process_stops_appends_until_it_is_back() {
    for name in ["journal", "log/00000000.seg", "body/standard-2029-11/00000000.seg"] {
        for replaced in [false, true] {
            let (disk, clock) = (Arc::new(SimDisk::new()), clock());
            let ledger = open(&disk, &clock).unwrap();
            let first = append(&ledger, numbered(0)).unwrap();
            let (path, aside) = (in_folder(name), in_folder("aside"));
            disk.move_file(&path, &aside);
            if replaced {
                disk.copy_file(&aside, &path);
            }
            let refused = append(&ledger, numbered(1)).unwrap_err();
            assert!(matches!(refused, AppendError::Replaced { .. }), "{name}: {refused}");
            if !replaced {
                let refused = append(&ledger, numbered(2)).unwrap_err();
                assert!(matches!(refused, AppendError::Reopen(_)), "{name}: {refused}");
            }
            disk.move_file(&aside, &path);
            let again = append(&ledger, numbered(3)).unwrap();
            drop(ledger);
            let ledger = open(&disk, &clock).unwrap();
            let confirmed = vec![(first.entry, numbered(0)), (again.entry, numbered(3))];
            check_confirmed(&ledger, &confirmed, name);
        }
    }
}

#[test]
fn a_tail_torn_anywhere_is_dropped_and_nothing_before_it() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    for number in 0..4 {
        append(&ledger, numbered(number)).unwrap();
    }
    append(&ledger, large(4)).unwrap();
    // Nothing but the journal was synced; the last frame begins where four small ones end.
    let cut = disk.after_power_cut(&mut || false);
    let journal = cut.read(&in_folder("journal")).unwrap();
    let identity = String::from_utf8(cut.read(&in_folder("ledger")).unwrap()).unwrap();
    let id = Identity::parse(&identity).unwrap().id;
    let start = 4 * 4096;
    let (last, taken) = JournalFrame::parse(&journal[start..], &id).unwrap();
    let end = start + taken;
    assert_eq!((last.first, last.count), (4, 1));
    assert!(taken > 14_000);
    for fill in [0x00, 0xaa] {
        for at in (start..end).step_by(512) {
            let torn = Arc::new(cut.copy());
            torn.edit(&in_folder("journal"), |bytes| bytes[at..].fill(fill));
            let changed = torn.read(&in_folder("journal")).unwrap()[..end] != journal[..end];
            let ledger = open(&torn, &clock).unwrap();
            assert_eq!(ledger.size(), if changed { 4 } else { 5 }, "torn at {at}");
            let receipt = append(&ledger, numbered(9)).unwrap();
            assert_eq!(receipt.entry.0 + 1, ledger.size());
            drop(ledger);
            verify(&torn, None).unwrap();
        }
    }
}

#[test]
fn a_journal_damaged_before_a_whole_batch_is_refused() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let ledger = open(&disk, &clock).unwrap();
    for number in 0..4 {
        append(&ledger, numbered(number)).unwrap();
    }
    let cut = Arc::new(disk.after_power_cut(&mut || false));
    cut.edit(&in_folder("journal"), |bytes| bytes[4096 + 100] ^= 1);
    let damage = crate::common::damage(open(&cut, &clock));
    assert_eq!(
        damage.to_string(),
        "`journal` at byte 4096, entry 1: a later batch reaches 4 entries, yet the log has only 1"
    );
    assert_eq!(verify(&cut, None).unwrap_err(), damage);
}

#[test]
fn a_hung_disk_fills_the_queue_and_then_refuses() {
    let (disk, clock) = (Arc::new(SimDisk::new()), clock());
    let mut settings = settings(Path::new(FOLDER));
    settings.queue_max = 8;
    let ledger = open_with(&disk, &clock, settings).unwrap();
    let blocked = disk.block();
    let tries = (0..20).map(|number| ledger.enqueue(numbered(number)));
    let refused = tries.filter(|it| matches!(it, Err(AppendError::Busy { .. }))).count();
    assert!((1..=12).contains(&refused), "{refused} were refused");
    drop(blocked);
    while append(&ledger, numbered(20)).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(ledger.size(), 21 - refused as u64);
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Reopen,
    PowerCut(u64),
    Fail(u8, Fault),
    FillUp,
    Mend,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![
        proptest::strategy::Just(Fault::Lost),
        proptest::strategy::Just(Fault::Kept),
        proptest::strategy::Just(Fault::Torn)
    ];
    let step = prop_oneof![
        5 => (1..6_u8).prop_map(Step::Append),
        1 => proptest::strategy::Just(Step::Reopen),
        2 => any::<u64>().prop_map(Step::PowerCut),
        2 => (any::<u8>(), fault).prop_map(|(after, fault)| Step::Fail(after % 24, fault)),
        1 => proptest::strategy::Just(Step::FillUp),
        1 => proptest::strategy::Just(Step::Mend),
    ];
    proptest::collection::vec(step, 1..24)
}

#[test]
fn whatever_happens_in_whatever_order_what_was_confirmed_stays() {
    let mut runner =
        TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&steps(), |steps| {
        let clock = clock();
        let mut disk = Arc::new(SimDisk::new());
        let mut ledger = Some(open_with(&disk, &clock, busy()).unwrap());
        let (mut confirmed, mut number) = (Vec::new(), 0);
        for step in &steps {
            match step {
                Step::Append(count) => {
                    let Some(ledger) = &ledger else { continue };
                    append_all(ledger, number..number + u64::from(*count), &mut confirmed);
                    number += u64::from(*count);
                }
                Step::Reopen => {
                    drop(ledger.take());
                    disk.mend();
                    ledger = Some(open_with(&disk, &clock, busy()).unwrap());
                }
                Step::PowerCut(seed) => {
                    let mut state = *seed | 1;
                    let mut choose = || {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        state & 1 == 0
                    };
                    let left = Arc::new(disk.after_power_cut(&mut choose));
                    drop(ledger.take());
                    disk = left;
                    ledger = Some(open_with(&disk, &clock, busy()).unwrap());
                }
                Step::Fail(after, fault) => {
                    disk.fail_at(disk.operations() + u64::from(*after), *fault);
                }
                Step::FillUp => disk.leave_room(0),
                Step::Mend => disk.mend(),
            }
            if let Some(ledger) = &ledger {
                check_confirmed(ledger, &confirmed, &format!("after {step:?}"));
            }
        }
        drop(ledger);
        disk.mend();
        let ledger = open(&disk, &clock).unwrap();
        check_confirmed(&ledger, &confirmed, "at the end");
        drop(ledger);
        verify(&disk, Some(confirmed.len() as u64)).unwrap();
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn every_test_that_the_table_of_faults_names_is_there() {
    let ledger = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![ledger.join("..")];
    let mut sources = String::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let table = std::fs::read_to_string(ledger.join("tests/FAULTS.md")).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(rows.len(), 24);
    for row in rows {
        for name in row.split('`').skip(1).step_by(2) {
            assert!(sources.contains(&format!("fn {name}(")), "there is no test `{name}`");
        }
    }
}
