//! What holds of disposal wherever a ledger is kept; the stories of a folder alone are in `disposal`, those of
//! a database alone in `shared_disposal`.

use std::sync::Arc;

use keys::FixedClock;
use ledger::format::Bucket;
use ledger::retention::{Disposal, DisposeError, HoldScope};
use ledger::{EntryNumber, Ledger, ReadError, Search};

use crate::both::Home;
use crate::common::{append, clock, find, number_in, numbered, record, released, subject, time};
use crate::disposed::order;

pub(crate) const DUE: &str = "2029-12-01T00:00:00Z";

pub(crate) fn home_bucket() -> Bucket {
    Bucket::parse("standard-2029-11").unwrap()
}

pub(crate) fn held_bucket() -> Bucket {
    home_bucket().next_held().unwrap()
}

/// Ten entries about a case, and one about a person in another.
pub(crate) fn fill(ledger: &Ledger) {
    for number in 0..10 {
        append(ledger, record(released(number))).unwrap();
    }
    let mut about = numbered(10);
    about.subjects = vec![subject("person", "P-1")];
    append(ledger, about).unwrap();
}

fn aged(home: &dyn Home) -> (Arc<FixedClock>, Ledger) {
    let clock = clock();
    let ledger = home.open(&clock).unwrap();
    fill(&ledger);
    (clock, ledger)
}

pub(crate) fn done(disposal: &Disposal) -> (u64, u64) {
    match disposal {
        Disposal::Done { statement, .. } => (statement.count, statement.kept),
        Disposal::Nothing => panic!("something was to go"),
    }
}

pub(crate) fn is_gone(ledger: &Ledger, entry: u64) -> bool {
    match ledger.read(EntryNumber(entry)) {
        Ok(_) => false,
        Err(ReadError::Disposed { .. }) => true,
        Err(error) => panic!("entry {entry}: {error}"),
    }
}

pub(crate) fn at_the_end_of_its_schedule_a_bucket_goes_and_the_log_stays_whole(home: &dyn Home) {
    let (clock, ledger) = aged(home);
    let before = ledger.signed_tree().0;
    clock.set(time(DUE));
    let disposal = ledger.dispose(home_bucket(), order("schedule 1")).unwrap();
    assert_eq!(done(&disposal), (11, 0));
    assert!((0..11).all(|entry| is_gone(&ledger, entry)));
    let error = ledger.read(EntryNumber(3)).unwrap_err().to_string();
    let words =
        "entry 3 was disposed of with standard-2029-11 on 2029-12-01, as entry 11 announced";
    assert_eq!(error, words);

    // The log is as it was, and longer by two entries; proofs hold, also of what is gone.
    let new = ledger.size();
    assert_eq!(new, 13);
    let proof = ledger.prove_consistency(before.size(), new).unwrap();
    let (old, now) = (before.root(), ledger.signed_tree().0.root());
    ledger::merkle::verify_consistency(before.size(), new, &old, &now, &proof).unwrap();
    append(&ledger, numbered(99)).unwrap();
    ledger.close().unwrap();
    let ledger = home.open(&clock).unwrap();
    assert!(is_gone(&ledger, 0));
    assert_eq!(number_in(&ledger.read(EntryNumber(13)).unwrap().record.event), Some(99));
    assert_eq!(ledger.verify().map(|it| it.result), Some(Ok(())));
    let verified = home.verify(ledger, 14);
    assert_eq!((verified.disposed, verified.leftover), (1, Vec::new()));
}

pub(crate) fn nothing_is_disposed_of_too_early_twice_or_without_a_reason(home: &dyn Home) {
    let (clock, ledger) = aged(home);
    clock.set(time("2029-11-30T23:59:59.999Z"));
    let early = ledger.dispose(home_bucket(), order("schedule 1")).unwrap_err();
    assert!(matches!(early, DisposeError::NotDue { .. }), "{early}");
    let never = ledger.dispose(Bucket::PERMANENT, order("schedule 1")).unwrap_err();
    assert!(matches!(never, DisposeError::Permanent), "{never}");
    let none = Bucket::parse("standard-2029-10").unwrap();
    let none = ledger.dispose(none, order("schedule 1")).unwrap_err();
    assert!(matches!(none, DisposeError::NoBucket { .. }), "{none}");
    assert_eq!(ledger.size(), 11, "nothing was recorded");

    clock.set(time(DUE));
    for wrong in ["", "  ", &"x".repeat(2001)] {
        let refused = ledger.dispose(home_bucket(), order(wrong)).unwrap_err();
        assert!(matches!(refused, DisposeError::Authority), "{refused}");
    }
    let disposal = ledger.dispose(home_bucket(), order("schedule 1")).unwrap();
    assert_eq!(done(&disposal), (11, 0));
    let again = ledger.dispose(home_bucket(), order("schedule 1")).unwrap_err();
    assert!(matches!(again, DisposeError::Already { started: EntryNumber(11), .. }), "{again}");
}

pub(crate) fn a_hold_keeps_what_it_covers_until_it_is_released(home: &dyn Home) {
    let (clock, ledger) = aged(home);
    let person = ledger.hold_on(&subject("person", "P-1"));
    ledger.place_hold("lit-1", person, None, order("court order 7")).unwrap();
    let entries = HoldScope::Entries { first: 3, last: 4 };
    ledger.place_hold("lit-2", entries, Some(time("2031-01-01T00:00:00Z")), order("FOIA")).unwrap();
    clock.set(time(DUE));
    assert_eq!(done(&ledger.dispose(home_bucket(), order("schedule 1")).unwrap()), (8, 3));
    let kept = [3, 4, 10];
    let check = |ledger: &Ledger| {
        assert!((0..11).all(|entry| is_gone(ledger, entry) != kept.contains(&entry)));
    };
    check(&ledger);
    let search = Search { subject: Some(subject("person", "P-1")), ..Search::newest(9) };
    assert_eq!(find(&ledger, &search), [10]);
    let verified = home.verify(ledger, 15);
    assert_eq!((verified.disposed, verified.leftover), (1, Vec::new()));
    let ledger = home.open(&clock).unwrap();
    check(&ledger);

    // Held still: there is nothing that could go.
    assert_eq!(ledger.dispose(held_bucket(), order("schedule 1")).unwrap(), Disposal::Nothing);
    let unknown = ledger.release_hold("lit-3", order("settled")).unwrap_err();
    assert!(matches!(unknown, DisposeError::NoHold { .. }), "{unknown}");
    ledger.release_hold("lit-1", order("settled")).unwrap();
    let twice = ledger.release_hold("lit-1", order("settled")).unwrap_err();
    assert!(matches!(twice, DisposeError::NoHold { .. }), "{twice}");
    let again =
        ledger.place_hold("lit-1", ledger.hold_on(&subject("person", "P")), None, order("x"));
    assert!(matches!(again.unwrap_err(), DisposeError::HoldExists { .. }));
    assert_eq!(done(&ledger.dispose(held_bucket(), order("schedule 1")).unwrap()), (1, 2));
    assert!(is_gone(&ledger, 10) && !is_gone(&ledger, 3));
    assert_eq!(find(&ledger, &search), Vec::<u64>::new());

    // The other hold ends with its day.
    clock.set(time("2031-01-01T00:00:00Z"));
    let last = held_bucket().next_held().unwrap();
    assert_eq!(done(&ledger.dispose(last, order("schedule 1")).unwrap()), (2, 0));
    assert!((0..11).all(|entry| is_gone(&ledger, entry)));
    assert_eq!(ledger.verify().map(|it| it.result), Some(Ok(())));
    let size = ledger.size();
    let verified = home.verify(ledger, size);
    assert_eq!((verified.disposed, verified.leftover), (3, Vec::new()));
}

pub(crate) fn holds_are_as_the_log_tells_of_them(home: &dyn Home) {
    let (clock, ledger) = aged(home);
    for wrong in ["", "Lit", "lit 1"] {
        let what = HoldScope::Actor { actor: "a".to_owned() };
        let refused = ledger.place_hold(wrong, what, None, order("x")).unwrap_err();
        assert!(matches!(refused, DisposeError::HoldName), "{wrong}: {refused}");
    }
    let case = HoldScope::Case { number: "24-000113".to_owned() };
    let past = Some(time("2026-11-22T14:03:21.417Z"));
    let refused = ledger.place_hold("lit", case.clone(), past, order("x")).unwrap_err();
    assert!(matches!(refused, DisposeError::Until), "{refused}");
    let placed = ledger.place_hold("lit", case.clone(), None, order("court")).unwrap();
    let told = ledger.holds_and_dispositions().unwrap();
    let [hold] = told.holds.as_slice() else { panic!("one hold") };
    assert_eq!((&hold.what, hold.placed, hold.released), (&case, placed.entry, None));

    // All of it is about the case: nothing may go.
    clock.set(time(DUE));
    let overview = ledger.retention().unwrap();
    let due: Vec<Bucket> = overview.due(time(DUE)).map(|it| it.bucket).collect();
    assert_eq!(due, [home_bucket()]);
    let counts: Vec<u64> = overview.buckets.iter().map(|it| it.entries).collect();
    assert_eq!(counts, [11, 1]);
    assert_eq!(done(&ledger.dispose(home_bucket(), order("schedule 1")).unwrap()), (1, 10));
    let released = ledger.release_hold("lit", order("settled")).unwrap();
    let told = ledger.holds_and_dispositions().unwrap();
    assert_eq!(told.holds[0].released, Some(released.entry));
    assert_eq!(told.dispositions.len(), 1);
    assert!(told.dispositions[0].finished.is_some());
}
