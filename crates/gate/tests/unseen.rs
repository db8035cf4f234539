//! Changes whose end nobody saw: the ledger never says that nothing came of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gate::{Gate, GateError, Limits, Mode, Outcome, Permit, Plan, QueryPlan};
use jiff::Timestamp;
use keys::FixedClock;
use ledger::{EntryNumber, Event, Ledger, Origin};
use policy::{Action, Policy, ResourceKind};

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A gate on this ledger.
fn gate(ledger: &Ledger) -> Gate {
    let (schema, files) = policy::defaults();
    let policy = Arc::new(Policy::from_text(&schema, &files, ledger::digest).unwrap());
    Gate::new(policy, ledger.clone(), Arc::new(start))
}

async fn permit(gate: &Gate) -> Permit {
    let mut question = policy::sample(Action::WriteRecord).unwrap();
    question.resource.kind = ResourceKind::Tool;
    (question.resource.agreement, question.resource.requested_by) = (None, None);
    question.resource.caveats.clear();
    question.actor.lacking.clear();
    question.now = start();
    question.actor.assurance.authenticated_at = start();
    let plan = Plan::Query(QueryPlan {
        source: "sample".to_owned(),
        mode: Mode::Write,
        sql: "update t set a = 1".to_owned(),
        binds: BTreeMap::new(),
        expect_rows: None,
        view: None,
        subjects: Vec::new(),
        caveat_column: None,
        limits: Limits { rows_max: 3, bytes_max: 1000, wait_max: Duration::from_secs(1) },
    });
    gate.authorise(question, plan, Origin::default(), None).await.unwrap()
}

/// The newest event, once the ledger has so many entries.
async fn newest(ledger: &Ledger, size: u64) -> Event {
    for _ in 0..2_000 {
        if ledger.size() >= size {
            return ledger.read(EntryNumber(ledger.size() - 1)).unwrap().record.event;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the ledger has {} entries", ledger.size());
}

#[tokio::test]
async fn a_write_that_is_let_go_may_have_been_done() {
    let ledger = ledger::testing::ledger(Arc::new(FixedClock::new(start())));
    let (gate, before) = (gate(&ledger), ledger.size());
    drop(permit(&gate).await);
    let event = newest(&ledger, before + 2).await;
    let reason = "whoever asked went away before it was done".to_owned();
    assert_eq!(event, Event::OutcomeUnknown { decided: before, reason });
    drop(permit(&gate).await.hold(Outcome { rows_changed: 1 }));
    let event = newest(&ledger, before + 4).await;
    assert!(matches!(event, Event::OutcomeUnknown { .. }), "{event:?}");
}

#[tokio::test]
async fn what_the_source_does_not_know_is_recorded_once_as_such() {
    let ledger = ledger::testing::ledger(Arc::new(FixedClock::new(start())));
    let (gate, before) = (gate(&ledger), ledger.size());
    let permit = permit(&gate).await;
    gate.unknown(permit.ticket(), "the connection broke").await.unwrap();
    drop(permit);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let reason = "the connection broke".to_owned();
    let event = newest(&ledger, before + 2).await;
    assert_eq!(event, Event::OutcomeUnknown { decided: before, reason });
    assert_eq!(ledger.size(), before + 2);
}

#[tokio::test]
async fn a_write_that_was_done_is_not_said_to_be_undone_when_its_record_fails() {
    let clock = || Arc::new(FixedClock::new(start()));
    let before = usize::try_from(ledger::testing::ledger(clock()).size()).unwrap();
    let ledger = ledger::testing::fails_after(before + 1, clock());
    let gate = gate(&ledger);
    let held = permit(&gate).await.hold(Outcome { rows_changed: 1 });
    let error = gate.release(held).await.err().unwrap();
    assert!(matches!(error, GateError::Unconfirmed { .. }), "{error}");
    assert_eq!(error.entry(), Some(EntryNumber(u64::try_from(before).unwrap())));
}
