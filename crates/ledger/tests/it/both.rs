//! What holds wherever a ledger is kept: told of a folder here, and of PostgreSQL in `shared`.

use std::path::Path;
use std::sync::Arc;

use crate::both_disposal::{
    a_hold_keeps_what_it_covers_until_it_is_released,
    at_the_end_of_its_schedule_a_bucket_goes_and_the_log_stays_whole,
    holds_are_as_the_log_tells_of_them, nothing_is_disposed_of_too_early_twice_or_without_a_reason,
};
use crate::common::{
    FOLDER, append, clock, decided, number_in, numbered, record, released, ruiz, subject, time,
    verify,
};
use keys::{FixedClock, SystemRandom};
use ledger::testing::{SimDisk, keys, settings};
use ledger::{
    AppendError, EntryNumber, Event, Ledger, LedgerKeys, OpenError, Outcome, Record, Search,
    Settings, Verdict, Verified,
};

/// Something that is held and let go.
pub(crate) trait Held {}

impl<T> Held for T {}

/// Where one ledger is kept.
pub(crate) trait Home {
    fn open_with(
        &self,
        clock: &Arc<FixedClock>,
        change: &dyn Fn(&mut Settings),
        keys: LedgerKeys,
    ) -> Result<Ledger, OpenError>;

    fn open(&self, clock: &Arc<FixedClock>) -> Result<Ledger, OpenError> {
        self.open_with(clock, &|_| {}, keys())
    }

    /// Keeps every batch waiting until it is dropped.
    fn block(&self) -> Box<dyn Held + '_>;

    /// File and offset of the first entry.
    fn first_place(&self) -> (&'static str, u64);

    /// Verifies all of it from outside.
    fn verify(&self, ledger: Ledger, size: u64) -> Verified;
}

struct Folder(Arc<SimDisk>);

impl Home for Folder {
    fn open_with(
        &self,
        clock: &Arc<FixedClock>,
        change: &dyn Fn(&mut Settings),
        keys: LedgerKeys,
    ) -> Result<Ledger, OpenError> {
        let mut settings = settings(Path::new(FOLDER));
        change(&mut settings);
        let (disk, clock) = (Arc::clone(&self.0), Arc::clone(clock));
        Ledger::open_on(disk, settings, keys, clock, Arc::new(SystemRandom))
    }

    fn block(&self) -> Box<dyn Held + '_> {
        Box::new(self.0.block())
    }

    fn first_place(&self) -> (&'static str, u64) {
        ("log/00000000.seg", 418)
    }

    fn verify(&self, _: Ledger, size: u64) -> Verified {
        verify(&self.0, Some(size)).unwrap()
    }
}

/// A story of any ledger.
pub(crate) type Story = fn(&dyn Home);

macro_rules! stories {
    ($($name:ident),* $(,)?) => {
        pub(crate) const STORIES: &[Story] = &[$($name),*];

        mod in_a_folder {
            $(
                #[test]
                fn $name() {
                    super::$name(&super::Folder(std::sync::Arc::default()));
                }
            )*
        }
    };
}

stories!(
    what_is_recorded_is_read_back_after_the_ledger_is_opened_again,
    entries_are_found_by_everything_that_can_be_asked_for,
    an_append_whose_caller_went_away_is_recorded_all_the_same,
    a_full_queue_refuses_and_loses_nothing_that_it_took,
    a_record_over_the_limit_is_refused_and_one_at_the_limit_is_taken,
    a_clock_that_goes_back_is_flagged_and_then_refused,
    every_proof_of_a_ledger_verifies,
    another_agencys_keys_do_not_open_the_ledger,
    at_the_end_of_its_schedule_a_bucket_goes_and_the_log_stays_whole,
    nothing_is_disposed_of_too_early_twice_or_without_a_reason,
    a_hold_keeps_what_it_covers_until_it_is_released,
    holds_are_as_the_log_tells_of_them,
);

fn what_is_recorded_is_read_back_after_the_ledger_is_opened_again(home: &dyn Home) {
    let clock = clock();
    let ledger = home.open(&clock).unwrap();
    let mut first = record(decided(Verdict::Permit, "vehicle-lookup"));
    first.subjects = vec![subject("vehicle", "V-000001"), subject("person", "P-000113")];
    let receipt = append(&ledger, first).unwrap();
    assert_eq!((receipt.entry, receipt.at), (EntryNumber(0), time("2026-11-22T14:03:21.417Z")));
    let before = ledger.read(receipt.entry).unwrap();
    let checkpoint = ledger.checkpoint().unwrap();
    ledger.close().unwrap();

    let ledger = home.open(&clock).unwrap();
    let entry = ledger.read(EntryNumber(0)).unwrap();
    assert_eq!(entry, before);
    assert_eq!(entry.leaf, receipt.leaf);
    assert_eq!(entry.record.who, Some(ruiz()));
    assert_eq!(entry.record.event, decided(Verdict::Permit, "vehicle-lookup"));
    assert_eq!(entry.record.subjects.len(), 2);
    assert_eq!((entry.position.file.as_str(), entry.position.offset), home.first_place());
    assert_eq!(ledger.checkpoint().unwrap(), checkpoint);
    assert_eq!(home.verify(ledger, 1).checkpoint, Some(checkpoint));
}

fn entries_are_found_by_everything_that_can_be_asked_for(home: &dyn Home) {
    let clock = clock();
    let ledger = home.open(&clock).unwrap();
    let mut seen = record(decided(Verdict::Permit, "vehicle-lookup"));
    seen.subjects = vec![subject("vehicle", "V-000001")];
    append(&ledger, seen).unwrap();
    clock.advance(jiff::SignedDuration::from_secs(60));
    append(&ledger, record(released(0))).unwrap();
    let mut denied = record(decided(Verdict::Deny, "person-search"));
    denied.subjects = vec![subject("person", "P-000114")];
    denied.why.purpose = Some("J".to_owned());
    denied.who.as_mut().unwrap().actor = "riverton-idp|ofc.hale".to_owned();
    denied.why.case_number = None;
    append(&ledger, denied).unwrap();
    let sent = Event::ParcelSent(ledger::Sent {
        exchange: "x-1".to_owned(),
        number: 1,
        parcel: "p-1".to_owned(),
        partner: "NB0020000".to_owned(),
        digest: "33".repeat(32),
        route: None,
        place: None,
    });
    append(&ledger, Record::platform(sent)).unwrap();

    found_by_everything(&ledger);
    ledger.close().unwrap();
    found_by_everything(&home.open(&clock).unwrap());
}

fn found_by_everything(ledger: &Ledger) {
    let check = |change: &dyn Fn(&mut Search), expected: &[u64]| {
        let mut search = Search::newest(10);
        change(&mut search);
        let page = ledger.search(&search).unwrap();
        let found: Vec<u64> = page.entries.iter().map(|entry| entry.number.0).collect();
        assert_eq!((found.as_slice(), page.more), (expected, false), "{search:?}");
        assert_eq!(page.incomplete, [], "{search:?}");
    };
    check(&|_| {}, &[3, 2, 1, 0]);
    check(&|it| it.actor = Some("riverton-idp|det.ruiz".to_owned()), &[1, 0]);
    check(&|it| it.actor = Some("nobody".to_owned()), &[]);
    check(&|it| it.kinds = vec!["decided".to_owned()], &[2, 0]);
    check(&|it| it.kinds = vec!["no-such-kind".to_owned()], &[]);
    check(&|it| it.kinds = vec!["released".to_owned(), "parcel-sent".to_owned()], &[3, 1]);
    check(&|it| it.tool = Some("vehicle-lookup".to_owned()), &[1, 0]);
    check(&|it| it.outcome = Some(Outcome::Deny), &[2]);
    check(&|it| it.purpose = Some("J".to_owned()), &[2]);
    check(&|it| it.case_number = Some("24-000113".to_owned()), &[1, 0]);
    check(&|it| it.partner = Some("NB0020000".to_owned()), &[3]);
    check(&|it| it.from = Some(time("2026-11-22T14:04:21.417Z")), &[3, 2, 1]);
    check(&|it| it.to = Some(time("2026-11-22T14:04:21.417Z")), &[0]);
    check(&|it| it.subject = Some(subject("vehicle", "V-000001")), &[0]);
    check(&|it| it.subject = Some(subject("person", "V-000001")), &[]);
    check(&|it| it.before = Some(EntryNumber(2)), &[1, 0]);

    let mut search = Search::newest(3);
    let page = ledger.search(&search).unwrap();
    assert_eq!((page.entries.len(), page.more), (3, true));
    search.before = Some(page.entries[2].number);
    assert_eq!(ledger.search(&search).unwrap().entries.len(), 1);
}

fn an_append_whose_caller_went_away_is_recorded_all_the_same(home: &dyn Home) {
    let clock = clock();
    let ledger = home.open(&clock).unwrap();
    drop(ledger.enqueue(numbered(7)).unwrap());
    drop(ledger.append(numbered(8)));
    append(&ledger, numbered(9)).unwrap();
    assert_eq!(number_in(&ledger.read(EntryNumber(0)).unwrap().record.event), Some(7));
    assert_eq!(number_in(&ledger.read(EntryNumber(1)).unwrap().record.event), Some(9));
}

fn a_full_queue_refuses_and_loses_nothing_that_it_took(home: &dyn Home) {
    let clock = clock();
    let few = |settings: &mut Settings| settings.queue_max = 3;
    let ledger = home.open_with(&clock, &few, keys()).unwrap();
    let blocked = home.block();
    let mut taken = Vec::new();
    let refused = loop {
        match ledger.enqueue(numbered(taken.len() as u64)) {
            Ok(pending) => taken.push(pending),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AppendError::Busy { waiting: 3 }), "{refused}");
    drop(blocked);
    let count = taken.len() as u64;
    for pending in taken {
        pending.wait().unwrap();
    }
    assert_eq!(ledger.size(), count);
}

fn a_record_over_the_limit_is_refused_and_one_at_the_limit_is_taken(home: &dyn Home) {
    let clock = clock();
    let ledger = home.open(&clock).unwrap();
    let sized = |bytes: usize| {
        let empty = Record::platform(Event::SessionEnded { reason: String::new() });
        let stored = ledger::StoredRecord {
            who: None,
            origin: empty.origin.clone(),
            why: empty.why.clone(),
            subjects: Vec::new(),
            epoch: 1,
            event: empty.event,
        };
        let rest = bytes - serde_json::to_vec(&stored).unwrap().len();
        Record::platform(Event::SessionEnded { reason: "x".repeat(rest) })
    };
    let max = ledger.record_bytes_max();
    append(&ledger, sized(max)).unwrap();
    let refused = append(&ledger, sized(max + 1)).unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { .. }), "{refused}");
    assert_eq!(ledger.size(), 1);
}

fn a_clock_that_goes_back_is_flagged_and_then_refused(home: &dyn Home) {
    let clock = clock();
    let ledger = home.open(&clock).unwrap();
    append(&ledger, numbered(0)).unwrap();
    clock.advance(jiff::SignedDuration::from_secs(-1));
    let receipt = append(&ledger, numbered(1)).unwrap();
    assert!(ledger.read(receipt.entry).unwrap().clock_stepped_back);
    clock.advance(jiff::SignedDuration::from_secs(-3600));
    let refused = append(&ledger, numbered(2)).unwrap_err();
    assert!(matches!(refused, AppendError::ClockBehind { milliseconds: 3_601_000 }), "{refused}");
    assert!(matches!(ledger.health(), ledger::Health::Stalled { .. }), "and everybody can see it");
    clock.advance(jiff::SignedDuration::from_secs(7200));
    let receipt = append(&ledger, numbered(3)).unwrap();
    assert_eq!(receipt.entry, EntryNumber(2));
    assert!(!ledger.read(receipt.entry).unwrap().clock_stepped_back);
}

fn every_proof_of_a_ledger_verifies(home: &dyn Home) {
    use ledger::merkle::{verify_consistency, verify_inclusion};
    let clock = clock();
    let ledger = home.open(&clock).unwrap();
    let (mut leaves, mut roots) = (Vec::new(), vec![ledger::merkle::empty_root()]);
    for number in 0..530 {
        leaves.push(append(&ledger, numbered(number)).unwrap().leaf);
        let note = ledger.checkpoint().unwrap();
        roots.push(ledger::note::Checkpoint::parse(&note).unwrap().root);
    }
    for size in [1_u64, 2, 3, 7, 255, 256, 257, 511, 512, 513, 530] {
        let root = roots[usize::try_from(size).unwrap()];
        for entry in [0, 1, size / 2, size - 1].into_iter().filter(|entry| *entry < size) {
            let proof = ledger.prove(EntryNumber(entry), size).unwrap();
            let leaf = leaves[usize::try_from(entry).unwrap()];
            verify_inclusion(entry, size, &leaf, &proof, &root).unwrap();
        }
        for old in [1, size / 2, size].into_iter().filter(|old| *old > 0) {
            let proof = ledger.prove_consistency(old, size).unwrap();
            let before = roots[usize::try_from(old).unwrap()];
            verify_consistency(old, size, &before, &root, &proof).unwrap();
        }
    }
    assert!(ledger.prove(EntryNumber(530), 530).is_err());
    assert!(ledger.prove(EntryNumber(0), 531).is_err());
    assert!(ledger.prove_consistency(0, 5).is_err());
}

fn another_agencys_keys_do_not_open_the_ledger(home: &dyn Home) {
    let clock = clock();
    let ledger = home.open(&clock).unwrap();
    append(&ledger, numbered(0)).unwrap();
    drop(ledger);
    let try_with = |keys| home.open_with(&clock, &|_| {}, keys).unwrap_err();
    let mut wrong = keys();
    wrong.body = keys::seal::SealingKey::from_bytes([9; 32]);
    assert!(matches!(try_with(wrong), OpenError::WrongKey { .. }));
    let mut wrong = keys();
    wrong.signer = keys::sign::Ed25519Key::from_seed([9; 32]).unwrap();
    assert!(matches!(try_with(wrong), OpenError::Foreign { .. }));
}
