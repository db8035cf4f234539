//! What the gate lets out while the ledger's witnesses are silent: nothing, and it says so on record.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gate::{
    Gate, GateError, Limits, Mode, Outcome, Permit, Plan, QueryPlan, Rows, SubjectColumn, Total,
    Value,
};
use jiff::{SignedDuration, Timestamp};
use keys::{Clock as _, FixedClock};
use ledger::testing::{cosign, lakeside, witnessed};
use ledger::watched::{Asked, Witnessing};
use ledger::{EntryNumber, Event, Ledger, Origin, Verdict};
use policy::{Action, Policy, Question, ResourceKind};

struct Story {
    gate: Gate,
    ledger: Ledger,
    clock: Arc<FixedClock>,
}

impl Story {
    fn new(rules: Witnessing) -> Self {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let clock = Arc::new(FixedClock::new(start));
        let ledger = witnessed(rules, clock.clone());
        let (schema, files) = policy::defaults();
        let policy = Arc::new(Policy::from_text(&schema, &files, ledger::digest).unwrap());
        let now = clock.clone();
        let gate = Gate::new(policy, ledger.clone(), Arc::new(move || now.now()));
        Self { gate, ledger, clock }
    }

    fn pass(&self, minutes: i64) {
        self.clock.advance(SignedDuration::from_mins(minutes));
    }

    fn cosign(&self) {
        let asked = cosign(&self.ledger, self.clock.now());
        assert!(matches!(asked, Asked::Confirmed(_)), "{asked:?}");
    }

    fn question(&self, action: Action) -> Question {
        let mut question = policy::sample(action).unwrap();
        question.resource.kind = match action {
            Action::ReadAudit => ResourceKind::Ledger,
            _other => ResourceKind::Tool,
        };
        (question.resource.agreement, question.resource.requested_by) = (None, None);
        question.resource.caveats.clear();
        question.actor.lacking.clear();
        question.now = self.clock.now();
        question.actor.assurance.authenticated_at = question.now;
        question.actor.assurance.stepped_up_at = Some(question.now);
        if action == Action::ReadAudit {
            question.actor.functions = ["auditor".parse().unwrap()].into();
            question.allowed_functions.clear();
            question.resource.record_class = "AUDIT".parse().unwrap();
        }
        question
    }

    async fn ask(&self, action: Action, mode: Mode) -> Result<Permit, GateError> {
        let plan = match action {
            Action::ReadAudit => Plan::Audit("timeline".to_owned()),
            _other => plan(mode),
        };
        let question = self.question(action);
        self.gate.authorise(question, plan, Origin::default(), None).await
    }

    fn event(&self, entry: EntryNumber) -> Event {
        self.ledger.read(entry).unwrap().record.event
    }
}

fn plan(mode: Mode) -> Plan {
    Plan::Query(QueryPlan {
        source: "sample".to_owned(),
        mode,
        sql: "select 1".to_owned(),
        binds: BTreeMap::new(),
        expect_rows: None,
        view: None,
        subjects: Vec::new(),
        caveat_column: None,
        limits: Limits { rows_max: 3, bytes_max: 1000, wait_max: Duration::from_secs(1) },
    })
}

fn rows() -> Rows {
    Rows {
        columns: vec!["id".to_owned()],
        rows: vec![vec![Value::Text("P-000113".to_owned())]],
        total: Total::Exact(1),
        subjects: vec![SubjectColumn { column: "id".to_owned(), kind: "person".to_owned() }],
        caveat_column: None,
    }
}

#[tokio::test]
async fn when_the_witnesses_are_silent_for_too_long_nothing_is_authorised_until_one_is_back() {
    let story = Story::new(Witnessing::any_of(vec![lakeside()]));
    story.cosign();
    drop(story.ask(Action::RunQuery, Mode::Read).await.unwrap());
    story.pass(241);
    let refused = story.ask(Action::RunQuery, Mode::Read).await.err().unwrap();
    let GateError::Unwitnessed { entry, reason } = refused else { panic!("{refused}") };
    assert_eq!(
        reason,
        "no witness has confirmed the audit ledger for 241 minutes, so nothing is released until one has"
    );
    let Event::Decided { verdict, reason: recorded, policies, .. } = story.event(entry) else {
        panic!()
    };
    assert_eq!((verdict, recorded, policies), (Verdict::Deny, reason, Vec::new()));
    // Whoever must find out why still can.
    drop(story.ask(Action::ReadAudit, Mode::Read).await.unwrap());
    story.cosign();
    let permit = story.ask(Action::RunQuery, Mode::Read).await.unwrap();
    story.gate.release(permit.hold(rows())).await.unwrap();
}

#[tokio::test]
async fn what_was_authorised_before_is_not_released_after() {
    // The permit must live longer than the silence: a rule of one second.
    let mut rules = Witnessing::any_of(vec![lakeside()]);
    (rules.warn_after, rules.refuse_after) = (Duration::from_secs(1), Duration::from_secs(60));
    let story = Story::new(rules);
    story.cosign();
    let permit = story.ask(Action::RunQuery, Mode::Read).await.unwrap();
    story.clock.advance(SignedDuration::from_secs(61));
    let refused = story.gate.release(permit.hold(rows())).await.err().unwrap();
    let GateError::Unwitnessed { entry, reason } = refused else { panic!("{refused}") };
    let Event::Withheld { reason: recorded, .. } = story.event(entry) else { panic!() };
    assert_eq!(recorded, reason);
}

#[tokio::test]
async fn a_write_that_was_done_is_recorded_whoever_is_silent() {
    let mut rules = Witnessing::any_of(vec![lakeside()]);
    (rules.warn_after, rules.refuse_after) = (Duration::from_secs(1), Duration::from_secs(60));
    let story = Story::new(rules);
    story.cosign();
    let permit = story.ask(Action::WriteRecord, Mode::Write).await.unwrap();
    story.clock.advance(SignedDuration::from_secs(61));
    let released = story.gate.release(permit.hold(Outcome { rows_changed: 1 })).await.unwrap();
    assert!(matches!(story.event(released.open().1.entry), Event::Written { rows: 1, .. }));
}

#[tokio::test]
async fn with_the_rule_for_it_the_first_release_waits_for_a_witness() {
    let rules = Witnessing { confirm_at_start: true, ..Witnessing::any_of(vec![lakeside()]) };
    let story = Story::new(rules);
    let refused = story.ask(Action::RunQuery, Mode::Read).await.err().unwrap();
    assert!(matches!(refused, GateError::Unwitnessed { .. }), "{refused}");
    story.cosign();
    drop(story.ask(Action::RunQuery, Mode::Read).await.unwrap());
}
