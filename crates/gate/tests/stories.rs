//! What the gate does, as its ledger tells it. Entries are numbered from the first of the story.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gate::{
    Fingerprint, Gate, GateError, Held, Limits, Mode, Outcome, Permit, Plan, QueryPlan, Rows,
    SubjectColumn, Total, Value,
};
use jiff::Timestamp;
use keys::FixedClock;
use ledger::{Entry, EntryNumber, Event, Ledger, Origin, Subject};
use policy::{Action, Actor, Assurance, Policy, Question, Resource, ResourceKind, Why};

const START: i64 = 1_800_000_000;

/// A gate on a ledger in memory, and a clock that the story moves.
struct Story {
    gate: Gate,
    ledger: Ledger,
    before: u64,
    now: Arc<AtomicI64>,
}

fn ledger_clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::new(Timestamp::from_second(START).unwrap()))
}

impl Story {
    fn new() -> Self {
        Self::with_room(None)
    }

    /// With a ledger that takes so many more records, then fails.
    fn with_room(appends: Option<u64>) -> Self {
        let healthy = ledger::testing::ledger(ledger_clock());
        let before = healthy.size();
        let ledger = match appends {
            None => healthy,
            Some(appends) => {
                let appends = usize::try_from(before + appends).unwrap();
                ledger::testing::fails_after(appends, ledger_clock())
            }
        };
        let (schema, files) = policy::defaults();
        let policy = Arc::new(Policy::from_text(&schema, &files, ledger::digest).unwrap());
        let now = Arc::new(AtomicI64::new(START));
        let clock = Arc::clone(&now);
        let clock = Arc::new(move || {
            Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
        });
        Self { gate: Gate::new(policy, ledger.clone(), clock), ledger, before, now }
    }

    async fn ask(&self, question: Question, plan: Plan) -> Result<Permit, GateError> {
        self.gate.authorise(question, plan, Origin::default(), Some("5e55".to_owned())).await
    }

    async fn read(&self, question: Question, rows: Rows) -> Result<usize, GateError> {
        let permit = self.ask(question, plan(Mode::Read)).await?;
        let released = self.gate.release(permit.hold(rows)).await?;
        Ok(released.open().0.rows.len())
    }

    async fn write(&self) -> Result<u64, GateError> {
        let permit = self.ask(question(Action::WriteRecord), plan(Mode::Write)).await?;
        let released = self.gate.release(permit.hold(Outcome { rows_changed: 1 })).await?;
        Ok(released.open().0.rows_changed)
    }

    fn entries(&self) -> Vec<Entry> {
        let numbers = self.before..self.ledger.size();
        numbers.map(|number| self.ledger.read(EntryNumber(number)).unwrap()).collect()
    }

    /// The story as the ledger tells it.
    fn told(&self) -> String {
        let line = |entry: Entry| format!("{}\n", self.line(&entry.record.event));
        self.entries().into_iter().map(line).collect()
    }

    fn line(&self, event: &Event) -> String {
        let since = |decided: &u64| decided - self.before;
        match event {
            Event::Decided { action, resource, verdict, reason, .. } => {
                format!("{action} {resource}: {verdict:?}, {reason}")
            }
            Event::Released { decided, what, count, bytes, .. } => {
                format!("released {count} {what}, {bytes} bytes, under {}", since(decided))
            }
            Event::Written { decided, rows } => format!("wrote {rows} under {}", since(decided)),
            Event::Withheld { decided, reason } => {
                format!("withheld under {}: {reason}", since(decided))
            }
            other => format!("unexpected: {other:?}"),
        }
    }

    /// Waits until the ledger tells so many entries of the story.
    async fn until(&self, entries: u64) {
        for _ in 0..2_000 {
            if self.ledger.size() >= self.before + entries {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the ledger tells only:\n{}", self.told());
    }
}

fn question(action: Action) -> Question {
    let now = Timestamp::from_second(START).unwrap();
    Question {
        actor: Actor {
            id: "riverton|det.ruiz".parse().unwrap(),
            name: "A. Ruiz".to_owned(),
            agency: "NB0010100".parse().unwrap(),
            functions: BTreeSet::from(["detective".parse().unwrap()]),
            assurance: Assurance {
                mfa: true,
                context: "mfa".to_owned(),
                authenticated_at: now,
                stepped_up_at: None,
            },
            lacking: Vec::new(),
        },
        action,
        resource: Resource {
            kind: ResourceKind::Tool,
            id: "persons".to_owned(),
            tool: Some("persons".to_owned()),
            source: Some("rms".to_owned()),
            record_class: "CJI".parse().unwrap(),
            caveats: BTreeSet::new(),
            agency: "NB0010100".parse().unwrap(),
            requested_by: None,
            agreement: None,
        },
        why: Why {
            purpose: Some("C".parse().unwrap()),
            case_number: Some("24-000113".parse().unwrap()),
            reason: None,
        },
        allowed_functions: BTreeSet::new(),
        now,
    }
}

fn asked() -> Question {
    question(Action::RunQuery)
}

fn juvenile(mut question: Question) -> Question {
    question.resource.caveats.insert("JUVENILE".parse().unwrap());
    question
}

fn limits() -> Limits {
    Limits { rows_max: 3, bytes_max: 1000, wait_max: Duration::from_secs(1) }
}

fn plan(mode: Mode) -> Plan {
    Plan::Query(QueryPlan {
        source: "rms".to_owned(),
        mode,
        sql: "select * from persons where id = :id".to_owned(),
        binds: BTreeMap::from([("id".to_owned(), Value::Text("P-000113".to_owned()))]),
        expect_rows: None,
        view: None,
        subjects: Vec::new(),
        caveat_column: None,
        limits: limits(),
    })
}

fn rows(persons: &[(&str, Option<&str>)]) -> Rows {
    let value = |text: &str| Value::Text(text.to_owned());
    let row =
        |(id, caveat): &(&str, Option<&str>)| vec![value(id), caveat.map_or(Value::Null, value)];
    Rows {
        columns: vec!["id".to_owned(), "caveat".to_owned()],
        rows: persons.iter().map(row).collect(),
        total: Total::Exact(persons.len() as u64),
        subjects: vec![SubjectColumn { column: "id".to_owned(), kind: "person".to_owned() }],
        caveat_column: Some("caveat".to_owned()),
    }
}

fn two() -> Rows {
    rows(&[("P-000113", None), ("P-000115", None)])
}

const PERMITTED: &str = "run-query tool/persons: Permit, your job function reads records\n";

#[tokio::test]
async fn a_permitted_read_is_recorded_twice_and_released() {
    let story = Story::new();
    assert_eq!(story.read(asked(), two()).await.unwrap(), 2);
    let released = "released 2 rows, 32 bytes, under 0\n";
    assert_eq!(story.told(), format!("{PERMITTED}{released}"));
}

#[tokio::test]
async fn a_release_names_person_purpose_session_and_blinded_subjects() {
    let story = Story::new();
    story.read(asked(), two()).await.unwrap();
    for entry in story.entries() {
        let who = entry.record.who.unwrap();
        assert_eq!(who.actor, "riverton|det.ruiz");
        assert_eq!(who.functions, ["detective"]);
        assert_eq!(who.session.as_deref(), Some("5e55"));
        assert_eq!(entry.record.why.purpose.as_deref(), Some("C"));
    }
    let marks = |entry: &Entry| -> BTreeSet<[u8; 32]> {
        entry.record.subjects.iter().map(|blind| blind.mark).collect()
    };
    let blind = |kind: &str, id: &str| {
        story.ledger.blind(&Subject { kind: kind.to_owned(), id: id.to_owned() })
    };
    let entries = story.entries();
    let case = blind("case", "24-000113");
    assert_eq!(marks(&entries[0]), BTreeSet::from([case]));
    let persons = [blind("person", "P-000113"), blind("person", "P-000115"), case];
    assert_eq!(marks(&entries[1]), BTreeSet::from(persons));
}

#[tokio::test]
async fn a_denial_is_recorded_and_gives_no_permit() {
    let story = Story::new();
    let mut question = asked();
    question.actor.functions = BTreeSet::from(["auditor".parse().unwrap()]);
    let error = story.read(question, two()).await.unwrap_err();
    assert!(matches!(error, GateError::Denied { .. }), "{error}");
    assert_eq!(error.entry().unwrap().0, story.before);
    assert_eq!(
        story.told(),
        "run-query tool/persons: Deny, people who read the audit log do not work on the records \
         that it watches\n"
    );
}

#[tokio::test]
async fn a_write_is_durable_before_it_may_run_and_its_outcome_is_recorded() {
    let story = Story::new();
    let permit = story.ask(question(Action::WriteRecord), plan(Mode::Write)).await.unwrap();
    assert_eq!(permit.entry(), Some(EntryNumber(story.before)));
    story.gate.release(permit.hold(Outcome { rows_changed: 1 })).await.unwrap();
    assert_eq!(
        story.told(),
        "write-record tool/persons: Permit, your job function changes records\n\
         wrote 1 under 0\n"
    );
}

#[tokio::test]
async fn whichever_record_of_a_read_fails_nothing_is_released() {
    let expected = ["", PERMITTED];
    for (room, told) in expected.into_iter().enumerate() {
        let story = Story::with_room(Some(room as u64));
        let error = story.read(asked(), two()).await.unwrap_err();
        assert!(matches!(error, GateError::Unrecorded(_)), "{room}: {error}");
        assert_eq!(story.told(), told, "{room}");
    }
    assert!(Story::with_room(Some(2)).read(asked(), two()).await.is_ok());
}

#[tokio::test]
async fn without_a_record_a_write_gets_no_permit() {
    let story = Story::with_room(Some(0));
    let permit = story.ask(question(Action::WriteRecord), plan(Mode::Write)).await;
    assert!(matches!(permit.err(), Some(GateError::Unrecorded(_))));
    assert_eq!(story.told(), "");
    // The intent is recorded, the outcome can't be: the caller is told that it was done, unconfirmed.
    let story = Story::with_room(Some(1));
    assert!(matches!(story.write().await, Err(GateError::Unconfirmed { .. })));
}

#[tokio::test]
async fn a_denial_that_cannot_be_recorded_is_no_denial_with_an_entry() {
    let story = Story::with_room(Some(0));
    let mut question = asked();
    question.actor.assurance.mfa = false;
    let error = story.read(question, two()).await.unwrap_err();
    assert!(matches!(error, GateError::Unrecorded(_)), "{error}");
}

#[tokio::test]
async fn rows_with_marks_beyond_those_asked_for_are_withheld() {
    let marked = || rows(&[("P-000113", None), ("P-000114", Some("JUVENILE"))]);
    let story = Story::new();
    let error = story.read(asked(), marked()).await.unwrap_err();
    assert!(matches!(error, GateError::Withheld { .. }), "{error}");
    assert_eq!(
        story.told(),
        format!("{PERMITTED}withheld under 0: handling marks beyond those asked for: JUVENILE\n")
    );
    // One mark of two is not enough, and a question that names the mark is.
    let story = Story::new();
    let both = rows(&[("P-000114", Some("JUVENILE, SEALED"))]);
    assert!(story.read(juvenile(asked()), both).await.is_err());
    let story = Story::new();
    assert_eq!(story.read(juvenile(asked()), marked()).await.unwrap(), 2);
}

#[tokio::test]
async fn rows_without_their_caveat_column_are_withheld() {
    let story = Story::new();
    let mut missing = two();
    missing.columns[1] = "other".to_owned();
    assert!(matches!(story.read(asked(), missing).await, Err(GateError::Withheld { .. })));
    let story = Story::new();
    let mut short = two();
    short.rows[1].pop();
    assert!(matches!(story.read(asked(), short).await, Err(GateError::Withheld { .. })));
}

#[tokio::test]
async fn more_than_the_plan_allows_is_withheld() {
    let story = Story::new();
    let four = rows(&[("a", None), ("b", None), ("c", None), ("d", None)]);
    assert!(story.read(asked(), four).await.is_err());
    assert_eq!(story.told(), format!("{PERMITTED}withheld under 0: more than 3 rows\n"));
    let story = Story::new();
    let large = rows(&[(&"x".repeat(993), None)]);
    assert!(story.read(asked(), large).await.is_err());
    assert_eq!(story.told(), format!("{PERMITTED}withheld under 0: more than 1000 bytes\n"));
    let story = Story::new();
    assert!(story.read(asked(), rows(&[(&"x".repeat(992), None)])).await.is_ok());
}

#[tokio::test]
async fn a_permit_expires() {
    let story = Story::new();
    let permit = story.ask(asked(), plan(Mode::Read)).await.unwrap();
    story.now.store(START + gate::PERMIT_SECONDS_MAX, Ordering::SeqCst);
    assert!(!permit.is_expired());
    story.now.store(START + gate::PERMIT_SECONDS_MAX + 1, Ordering::SeqCst);
    assert!(permit.is_expired());
    let error = story.gate.release(permit.hold(two())).await.err().unwrap();
    assert!(matches!(error, GateError::Expired { .. }), "{error}");
    assert_eq!(
        story.told(),
        format!("{PERMITTED}withheld under 0: the permit was older than 120 seconds\n")
    );
}

#[tokio::test]
async fn a_write_that_was_done_is_recorded_even_if_late() {
    let story = Story::new();
    let permit = story.ask(question(Action::WriteRecord), plan(Mode::Write)).await.unwrap();
    story.now.store(START + gate::PERMIT_SECONDS_MAX + 1, Ordering::SeqCst);
    assert!(story.gate.release(permit.hold(Outcome { rows_changed: 1 })).await.is_ok());
    assert!(story.told().ends_with("wrote 1 under 0\n"));
}

#[tokio::test]
async fn a_plan_that_is_not_what_was_asked_about_is_denied() {
    let denied = |reason: &str| format!("run-query tool/persons: Deny, {reason}\n");
    let story = Story::new();
    assert!(story.ask(asked(), plan(Mode::Write)).await.is_err());
    assert_eq!(story.told(), denied("the plan does not do what the question asks"));
    let story = Story::new();
    assert!(story.ask(question(Action::WriteRecord), plan(Mode::Read)).await.is_err());
    assert!(story.told().contains("Deny"));
    let story = Story::new();
    let mut elsewhere = asked();
    elsewhere.resource.source = Some("other".to_owned());
    assert!(story.ask(elsewhere, plan(Mode::Read)).await.is_err());
    assert_eq!(story.told(), denied("the plan goes to another source than the question names"));
}

#[tokio::test]
async fn a_caller_that_goes_away_while_asking_does_not_cancel_the_record() {
    let story = Story::new();
    {
        let asking = story.ask(question(Action::WriteRecord), plan(Mode::Write));
        tokio::pin!(asking);
        // Polled once at most, then dropped.
        tokio::select! {
            biased;
            _ = &mut asking => (),
            () = std::future::ready(()) => (),
        }
    }
    story.until(1).await;
    assert!(story.told().starts_with("write-record tool/persons: Permit"));
}

#[tokio::test]
async fn a_caller_that_goes_away_with_the_data_leaves_a_record_that_nothing_left() {
    let told = format!(
        "{PERMITTED}withheld under 0: whoever asked went away before anything was released\n"
    );
    let story = Story::new();
    drop(story.ask(asked(), plan(Mode::Read)).await.unwrap());
    story.until(2).await;
    assert_eq!(story.told(), told);
    let story = Story::new();
    let held: Held<Rows> = story.ask(asked(), plan(Mode::Read)).await.unwrap().hold(two());
    drop(held);
    story.until(2).await;
    assert_eq!(story.told(), told);
}

#[tokio::test]
async fn a_page_without_records_is_recorded_once() {
    let story = Story::new();
    drop(story.ask(question(Action::UseTool), Plan::None).await.unwrap());
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(story.told(), "use-tool tool/persons: Permit, your job function reads records\n");
}

#[tokio::test]
async fn a_source_that_failed_is_recorded_once_with_its_reason() {
    let story = Story::new();
    let permit = story.ask(asked(), plan(Mode::Read)).await.unwrap();
    let ticket = permit.ticket();
    drop(permit);
    story.gate.withhold(ticket, "it took longer than 1s").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(story.told(), format!("{PERMITTED}withheld under 0: it took longer than 1s\n"));
}

#[tokio::test]
async fn what_was_recorded_as_withheld_is_not_released_afterwards() {
    let story = Story::new();
    let permit = story.ask(asked(), plan(Mode::Read)).await.unwrap();
    story.gate.withhold(permit.ticket(), "changed our mind").await.unwrap();
    let error = story.gate.release(permit.hold(two())).await.err().unwrap();
    assert!(matches!(error, GateError::Withheld { .. }), "{error}");
    assert_eq!(story.told(), format!("{PERMITTED}withheld under 0: changed our mind\n"));
}

#[tokio::test]
async fn a_released_permit_is_not_recorded_as_withheld_afterwards() {
    let story = Story::new();
    let permit = story.ask(asked(), plan(Mode::Read)).await.unwrap();
    let ticket = permit.ticket();
    story.gate.release(permit.hold(two())).await.unwrap();
    story.gate.withhold(ticket, "too late").await.unwrap();
    assert_eq!(story.told(), format!("{PERMITTED}released 2 rows, 32 bytes, under 0\n"));
}

#[test]
fn different_rows_and_plans_have_different_digests() {
    let print = |rows: &Rows| rows.fingerprint().digest;
    let ab_c = Rows { rows: vec![vec![text("ab"), text("c")]], ..two() };
    let a_bc = Rows { rows: vec![vec![text("a"), text("bc")]], ..two() };
    assert_ne!(print(&ab_c), print(&a_bc));
    let null = Rows { rows: vec![vec![text(""), Value::Null]], ..two() };
    let empty = Rows { rows: vec![vec![text(""), text("")]], ..two() };
    assert_ne!(print(&null), print(&empty));
    assert_eq!(print(&two()), print(&two()));
    let changed = |change: &dyn Fn(&mut QueryPlan)| {
        let Plan::Query(mut query) = plan(Mode::Read) else { unreachable!() };
        change(&mut query);
        Plan::Query(query).digestible()
    };
    let plans = [
        changed(&|_| ()),
        changed(&|q| q.sql.push(' ')),
        changed(&|q| q.source.push('2')),
        changed(&|q| q.mode = Mode::Write),
        changed(&|q| q.expect_rows = Some(1)),
        changed(&|q| q.limits.rows_max = 4),
        changed(&|q| q.caveat_column = Some(String::new())),
        changed(&|q| _ = q.binds.insert("id".to_owned(), Value::Null)),
        changed(&|q| _ = q.binds.insert("idx".to_owned(), Value::Null)),
    ];
    let distinct: BTreeSet<&Vec<u8>> = plans.iter().collect();
    assert_eq!(distinct.len(), plans.len());
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn nothing_that_is_printed_for_a_log_shows_a_value() {
    let printed = format!("{:?} {:?}", two(), plan(Mode::Read));
    assert!(!printed.contains("P-000113"), "{printed}");
}
