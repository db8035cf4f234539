//! The declared sources, and the three ways to data.

use std::collections::{BTreeMap, BTreeSet};

use gate::{
    Document, EvidencePlan, Held, Mode, Outcome, Permit, Plan, QueryPlan, Rows, Stream, Total,
    Value,
};
use wire::Egress;

use crate::error::{Fault, SourceError};
use crate::evidence::Evidence;
use crate::postgres::{Postgres, Session};
use crate::spec::{Believe, SourceKind, SourceSpec};
use crate::sqlite::Sqlite;

/// Every source that the agency has declared.
pub struct Sources {
    sources: BTreeMap<String, Source>,
}

struct Source {
    writes: bool,
    connector: Connector,
}

enum Connector {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
    Evidence(Evidence),
}

impl Sources {
    /// Takes the declarations. Files are looked at now; a database on the network when it is first
    /// asked. `egress` must allow each PostgreSQL host; `believe` makes trust of its `ca_file`.
    ///
    /// # Errors
    /// The id of the source, and what is wrong with its declaration.
    pub fn open(
        specs: Vec<SourceSpec>,
        egress: &Egress,
        believe: Believe<'_>,
    ) -> Result<Self, (String, Fault)> {
        let mut sources = BTreeMap::new();
        for SourceSpec { id, writes, kind } in specs {
            let connector = match connector(&kind, egress, believe) {
                Ok(connector) => connector,
                Err(fault) => return Err((id, fault)),
            };
            if sources.contains_key(&id) {
                return Err((id.clone(), Fault::Twice { source_id: id }));
            }
            sources.insert(id, Source { writes, connector });
        }
        Ok(Self { sources })
    }

    /// The ids, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    /// Whether a source is there and answers. Reads no record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn check(&self, id: &str) -> Result<(), Fault> {
        match &self.source(id)?.connector {
            Connector::Sqlite(sqlite) => sqlite.check().await,
            Connector::Postgres(postgres) => postgres.check().await,
            Connector::Evidence(evidence) => evidence.check().await,
        }
    }

    /// Runs a permitted read.
    ///
    /// # Errors
    /// [`SourceError`] with the ticket for [`gate::Gate::withhold`].
    pub async fn fetch(&self, permit: Permit) -> Result<Held<Rows>, SourceError> {
        match self.rows(&permit).await {
            Ok(rows) => Ok(permit.hold(rows)),
            Err(fault) => Err(failed(&permit, fault)),
        }
    }

    /// Runs a permitted write, in a transaction that rolls back unless the expected number of rows
    /// changed.
    ///
    /// It goes on if this is dropped, and its outcome is then recorded as unknown: have it run where nobody's
    /// going away drops it.
    ///
    /// # Errors
    /// As [`Self::fetch`]; nothing was changed then, but for [`Fault::Uncertain`], whose ticket is for
    /// [`gate::Gate::unknown`].
    pub async fn execute(&self, permit: Permit) -> Result<Held<Outcome>, SourceError> {
        match self.outcome(&permit).await {
            Ok(outcome) => Ok(permit.hold(outcome)),
            Err(fault) => Err(failed(&permit, fault)),
        }
    }

    /// Reads a permitted document, or the permitted part of it.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub async fn document(&self, permit: Permit) -> Result<Held<Document>, SourceError> {
        match self.bytes(&permit).await {
            Ok(document) => Ok(permit.hold(document)),
            Err(fault) => Err(failed(&permit, fault)),
        }
    }

    /// Reads all of a permitted document for its record. What is held gives its bytes once more when it was released.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub async fn stream(&self, permit: Permit) -> Result<Held<Stream>, SourceError> {
        match self.whole(&permit).await {
            Ok(stream) => Ok(permit.hold(stream)),
            Err(fault) => Err(failed(&permit, fault)),
        }
    }

    fn source(&self, id: &str) -> Result<&Source, Fault> {
        self.sources.get(id).ok_or_else(|| Fault::Unknown { source_id: id.to_owned() })
    }

    async fn rows(&self, permit: &Permit) -> Result<Rows, Fault> {
        let plan = query(permit, Mode::Read)?;
        match &self.source(&plan.source)?.connector {
            Connector::Sqlite(sqlite) => sqlite.read(plan).await,
            Connector::Postgres(postgres) => postgres.read(plan, &session(permit)).await,
            Connector::Evidence(_) => Err(Fault::Misdirected { expected: "for this store" }),
        }
    }

    async fn outcome(&self, permit: &Permit) -> Result<Outcome, Fault> {
        let plan = query(permit, Mode::Write)?;
        let source = self.source(&plan.source)?;
        if !source.writes {
            return Err(Fault::ReadOnly);
        }
        match &source.connector {
            Connector::Sqlite(sqlite) => sqlite.write(plan).await,
            Connector::Postgres(postgres) => postgres.write(plan, &session(permit)).await,
            Connector::Evidence(_) => Err(Fault::Misdirected { expected: "for this store" }),
        }
    }

    async fn bytes(&self, permit: &Permit) -> Result<Document, Fault> {
        if permit.is_expired() {
            return Err(Fault::Expired);
        }
        let Plan::Evidence(plan) = permit.plan() else {
            return Err(Fault::Misdirected { expected: "a document" });
        };
        self.evidence(plan)?.document(plan).await
    }

    async fn whole(&self, permit: &Permit) -> Result<Stream, Fault> {
        if permit.is_expired() {
            return Err(Fault::Expired);
        }
        let Plan::Stream(plan) = permit.plan() else {
            return Err(Fault::Misdirected { expected: "a whole document" });
        };
        self.evidence(plan)?.stream(plan).await
    }

    fn evidence(&self, plan: &EvidencePlan) -> Result<&Evidence, Fault> {
        match &self.source(&plan.store)?.connector {
            Connector::Evidence(evidence) => Ok(evidence),
            Connector::Sqlite(_) | Connector::Postgres(_) => {
                Err(Fault::Misdirected { expected: "for this database" })
            }
        }
    }
}

fn connector(kind: &SourceKind, egress: &Egress, believe: Believe<'_>) -> Result<Connector, Fault> {
    match kind {
        SourceKind::Sqlite { path } => Ok(Connector::Sqlite(Sqlite::open(path)?)),
        SourceKind::Evidence { folder } => Ok(Connector::Evidence(Evidence::open(folder)?)),
        SourceKind::Postgres { host, port, database, user, password_file, ca_file } => {
            let tls = believe(ca_file)
                .map_err(|source| Fault::Trust { path: ca_file.clone(), source })?;
            let postgres =
                Postgres::open(host, *port, database, user, password_file, tls, egress.clone())?;
            Ok(Connector::Postgres(Box::new(postgres)))
        }
    }
}

fn failed(permit: &Permit, fault: Fault) -> SourceError {
    let source_id = permit.plan().source().unwrap_or_default().to_owned();
    SourceError { source_id, fault, ticket: permit.ticket() }
}

fn query(permit: &Permit, mode: Mode) -> Result<&QueryPlan, Fault> {
    if permit.is_expired() {
        return Err(Fault::Expired);
    }
    match permit.plan() {
        Plan::Query(plan) if plan.mode == mode => Ok(plan),
        Plan::Query(_)
        | Plan::Evidence(_)
        | Plan::Stream(_)
        | Plan::Audit(_)
        | Plan::Export(_)
        | Plan::Parcel(_)
        | Plan::None => Err(Fault::Misdirected {
            expected: match mode {
                Mode::Read => "a read",
                Mode::Write => "a write",
            },
        }),
    }
}

/// Who asks, for the row-level security of a database.
fn session(permit: &Permit) -> Session {
    let question = permit.question();
    Session {
        actor: question.actor.id.to_string(),
        agency: question.actor.agency.to_string(),
        purpose: question.why.purpose.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// Rows on their way in, held against the plan's limits one by one.
pub(crate) struct Answer {
    rows: Rows,
    bytes: u64,
    rows_max: u32,
    bytes_max: u64,
}

impl Answer {
    /// Refuses columns among which the plan's could not be told apart or are missing.
    pub(crate) fn new(columns: Vec<String>, plan: &QueryPlan) -> Result<Self, Fault> {
        let mut known = BTreeSet::new();
        for column in &columns {
            if !known.insert(column.as_str()) {
                let problem = format!("two columns are called `{column}`");
                return Err(Fault::Shape { problem });
            }
        }
        let needed = plan.subjects.iter().map(|subject| &subject.column);
        for column in needed.chain(&plan.caveat_column) {
            if !known.contains(column.as_str()) {
                let problem = format!("there is no column `{column}`");
                return Err(Fault::Shape { problem });
            }
        }
        let rows = Rows {
            columns,
            rows: Vec::new(),
            total: Total::Exact(0),
            subjects: plan.subjects.clone(),
            caveat_column: plan.caveat_column.clone(),
        };
        let limits = plan.limits;
        Ok(Self { rows, bytes: 0, rows_max: limits.rows_max, bytes_max: limits.bytes_max })
    }

    pub(crate) fn width(&self) -> usize {
        self.rows.columns.len()
    }

    /// Takes one more row, if there is room.
    pub(crate) fn push(&mut self, row: Vec<Value>) -> Result<(), Fault> {
        let full = u32::try_from(self.rows.rows.len()).unwrap_or(u32::MAX) >= self.rows_max;
        if full {
            return Err(Fault::TooManyRows { max: self.rows_max });
        }
        self.bytes = row.iter().fold(self.bytes, |sum, value| sum.saturating_add(value.bytes()));
        if self.bytes > self.bytes_max {
            return Err(Fault::TooManyBytes { max: self.bytes_max });
        }
        self.rows.rows.push(row);
        Ok(())
    }

    /// The rows; their total is their number until a count says otherwise.
    pub(crate) fn finish(mut self) -> Rows {
        let count = u64::try_from(self.rows.rows.len()).unwrap_or(u64::MAX);
        self.rows.total = Total::Exact(count);
        self.rows
    }
}
