//! The closed list: every event has its own name and code, and refusals weigh more than what was permitted.

use std::collections::BTreeSet;

use ledger::{Event, KINDS, Severity, Verdict};

use crate::common::{decided, released};
use crate::events::all;

#[test]
fn the_list_is_whole_and_its_codes_are_never_moved() {
    let names: Vec<&str> = all().iter().map(Event::kind).collect();
    let listed: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(names, listed);
    let codes: BTreeSet<u8> = KINDS.iter().map(|kind| kind.code).collect();
    assert_eq!(
        codes,
        (1..=39)
            .chain(50..=64)
            .chain(70..=77)
            .chain([80, 81, 82, 90, 91, 100, 101, 102])
            .chain(110..=119)
            .chain(120..=123)
            .chain([125])
            .chain(130..=134)
            .chain(140..=142)
            .collect()
    );
    for event in all() {
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["type"], event.kind());
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
    }
}

#[test]
fn refusals_weigh_more_than_what_was_permitted() {
    assert_eq!(decided(Verdict::Permit, "t").severity(), Severity::Info);
    assert_eq!(decided(Verdict::Deny, "t").severity(), Severity::Warning);
    assert_eq!(released(1).severity(), Severity::Notice);
    assert_eq!(Event::LedgerStalled { reason: String::new() }.severity(), Severity::Alert);
}
