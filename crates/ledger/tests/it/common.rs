//! What the stories share: a clock, records, and short ways to say things.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use keys::{FixedClock, SystemRandom};
use ledger::testing::{SimDisk, keys, settings, verify_on};
use ledger::{
    Damage, Event, Ledger, OpenError, Origin, Reason, Record, Settings, Subject, Verdict, Verified,
    VerifyOptions, Who,
};

pub(crate) const FOLDER: &str = "/ledger";

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::new(time("2026-11-22T14:03:21.417Z")))
}

pub(crate) fn in_folder(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

pub(crate) fn open(disk: &Arc<SimDisk>, clock: &Arc<FixedClock>) -> Result<Ledger, OpenError> {
    open_with(disk, clock, settings(Path::new(FOLDER)))
}

pub(crate) fn open_with(
    disk: &Arc<SimDisk>,
    clock: &Arc<FixedClock>,
    settings: Settings,
) -> Result<Ledger, OpenError> {
    let disk = Arc::clone(disk);
    Ledger::open_on(disk, settings, keys(), Arc::clone(clock) as _, Arc::new(SystemRandom))
}

/// The damage that an opening is refused for.
pub(crate) fn damage(opened: Result<Ledger, OpenError>) -> Damage {
    match opened.unwrap_err() {
        OpenError::Damaged(damage) => damage,
        other => panic!("refused, but not for damage: {other}"),
    }
}

pub(crate) fn verify(disk: &SimDisk, expect_size: Option<u64>) -> Result<Verified, Damage> {
    let options = VerifyOptions { expect_size, ..VerifyOptions::default() };
    verify_on(disk, Path::new(FOLDER), options)
}

pub(crate) fn ruiz() -> Who {
    Who {
        actor: "riverton-idp|det.ruiz".to_owned(),
        name: "Elena Ruiz".to_owned(),
        agency: "NB0010100".to_owned(),
        functions: vec!["detective".to_owned()],
        session: Some("5f2b91c0".to_owned()),
    }
}

pub(crate) fn subject(kind: &str, id: &str) -> Subject {
    Subject { kind: kind.to_owned(), id: id.to_owned() }
}

pub(crate) fn decided(verdict: Verdict, tool: &str) -> Event {
    Event::Decided {
        action: "run-query".to_owned(),
        resource: "vehicle 7KDR419".to_owned(),
        record_class: "VEHICLE".to_owned(),
        caveats: Vec::new(),
        verdict,
        reason: "a detective may look up vehicles".to_owned(),
        policies: vec!["vehicle-lookup".to_owned()],
        policy_set: "00".repeat(32),
        plan: "11".repeat(32),
        tool: Some(tool.to_owned()),
        source: Some("rms".to_owned()),
    }
}

pub(crate) fn released(decided: u64) -> Event {
    Event::Released {
        decided,
        what: "rows".to_owned(),
        count: 1,
        bytes: 214,
        digest: "22".repeat(32),
    }
}

/// A record of Detective Ruiz's about the burglary.
pub(crate) fn record(event: Event) -> Record {
    Record {
        who: Some(ruiz()),
        origin: Origin { address: Some("10.4.1.20".to_owned()), agent: None, request: None },
        why: Reason {
            purpose: Some("C".to_owned()),
            case_number: Some("24-000113".to_owned()),
            reason: None,
        },
        subjects: Vec::new(),
        event,
    }
}

/// A small record that can be told from others.
pub(crate) fn numbered(number: u64) -> Record {
    Record::platform(Event::AuditRead { what: "test".to_owned(), count: number })
}

/// The number that [`numbered`] put into an entry.
pub(crate) fn number_in(event: &Event) -> Option<u64> {
    match event {
        Event::AuditRead { count, .. } => Some(*count),
        _other => None,
    }
}

/// Appends and waits.
pub(crate) fn append(
    ledger: &Ledger,
    record: Record,
) -> Result<ledger::Receipt, ledger::AppendError> {
    ledger.enqueue(record)?.wait()
}

/// The numbers of the entries that a search finds, newest first.
pub(crate) fn find(ledger: &Ledger, search: &ledger::Search) -> Vec<u64> {
    ledger.search(search).unwrap().entries.iter().map(|entry| entry.number.0).collect()
}
