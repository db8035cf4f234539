//! A gate that permits, so that stories can be about sources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gate::{
    Document, EvidencePlan, Gate, Limits, Mode, Permit, Plan, QueryPlan, Rows, Stream,
    SubjectColumn, Value, View,
};
use jiff::Timestamp;
use policy::{Action, Actor, Assurance, Policy, Question, Resource, ResourceKind, Why};
use sources::{Fault, Sources};

pub(crate) struct Harness {
    pub(crate) gate: Gate,
    ledger: ledger::Ledger,
    pub(crate) sources: Sources,
}

impl Harness {
    pub(crate) fn new(sources: Sources) -> Self {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let ledger = ledger::testing::ledger(Arc::new(keys::FixedClock::new(now)));
        let (schema, files) = policy::defaults();
        let policy = Policy::from_text(&schema, &files, ledger::digest).unwrap();
        let gate = Gate::new(Arc::new(policy), ledger.clone(), Arc::new(move || now));
        Self { gate, ledger, sources }
    }

    /// The kind of the ledger's newest entry.
    pub(crate) fn last_kind(&self) -> &'static str {
        let last = ledger::EntryNumber(self.ledger.size() - 1);
        self.ledger.read(last).unwrap().record.event.kind()
    }

    pub(crate) async fn permit(&self, plan: Plan) -> Permit {
        let action = match &plan {
            Plan::Query(query) if query.mode == Mode::Write => Action::WriteRecord,
            Plan::Evidence(_) | Plan::Stream(_) => Action::ReadEvidence,
            _ => Action::RunQuery,
        };
        let question = question(action, plan.source().unwrap_or_default());
        self.gate.authorise(question, plan, ledger::Origin::default(), None).await.unwrap()
    }

    pub(crate) async fn fetch(&self, plan: QueryPlan) -> Result<Rows, Fault> {
        let permit = self.permit(Plan::Query(plan)).await;
        let held = self.sources.fetch(permit).await.map_err(|error| error.fault)?;
        Ok(self.gate.release(held).await.unwrap().into_parts().0)
    }

    pub(crate) async fn execute(&self, plan: QueryPlan) -> Result<u64, Fault> {
        let permit = self.permit(Plan::Query(plan)).await;
        let held = self.sources.execute(permit).await.map_err(|error| error.fault)?;
        Ok(self.gate.release(held).await.unwrap().open().0.rows_changed)
    }

    pub(crate) async fn document(&self, plan: EvidencePlan) -> Result<Document, Fault> {
        let permit = self.permit(Plan::Evidence(plan)).await;
        let held = self.sources.document(permit).await.map_err(|error| error.fault)?;
        Ok(self.gate.release(held).await.unwrap().into_parts().0)
    }

    /// A whole document, as it is sealed: recorded first, then read again.
    pub(crate) async fn stream(&self, plan: EvidencePlan) -> Result<Stream, Fault> {
        let permit = self.permit(Plan::Stream(plan)).await;
        let held = self.sources.stream(permit).await.map_err(|error| error.fault)?;
        Ok(self.gate.release(held).await.unwrap().into_parts().0)
    }
}

fn question(action: Action, source: &str) -> Question {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
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
            id: "test".to_owned(),
            tool: Some("test".to_owned()),
            source: Some(source.to_owned()),
            record_class: "CJI".parse().unwrap(),
            caveats: BTreeSet::new(),
            agency: "NB0010100".parse().unwrap(),
            requested_by: None,
            agreement: None,
        },
        why: Why { purpose: Some("C".parse().unwrap()), case_number: None, reason: None },
        allowed_functions: BTreeSet::new(),
        now,
    }
}

pub(crate) fn limits() -> Limits {
    Limits { rows_max: 100, bytes_max: 100_000, wait_max: Duration::from_secs(5) }
}

pub(crate) fn read(source: &str, sql: &str, binds: &[(&str, Value)]) -> QueryPlan {
    let binds = binds.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    QueryPlan {
        source: source.to_owned(),
        mode: Mode::Read,
        sql: sql.to_owned(),
        binds: binds.collect::<BTreeMap<_, _>>(),
        expect_rows: None,
        view: None,
        subjects: Vec::new(),
        caveat_column: None,
        limits: limits(),
    }
}

pub(crate) fn write(
    source: &str,
    sql: &str,
    binds: &[(&str, Value)],
    expect_rows: Option<u64>,
) -> QueryPlan {
    QueryPlan { mode: Mode::Write, expect_rows, ..read(source, sql, binds) }
}

pub(crate) fn page(page: u32, page_size: u32) -> View {
    View { sort: Vec::new(), filters: Vec::new(), page, page_size, count_max: 10_000 }
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn subject(column: &str) -> SubjectColumn {
    SubjectColumn { column: column.to_owned(), kind: "vehicle".to_owned() }
}

/// Rows as text: values apart by bars, rows by semicolons; null as a dash.
pub(crate) fn shown(rows: &Rows) -> String {
    let value = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let row = |row: &Vec<Value>| row.iter().map(value).collect::<Vec<_>>().join("|");
    rows.rows.iter().map(row).collect::<Vec<_>>().join(";")
}
