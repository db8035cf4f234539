//! Documents behind sealed handles, and what an export takes along.

use std::collections::{BTreeMap, BTreeSet};

use gate::{EvidencePlan, Limits, Plan, Value};
use policy::{Function, RecordClass, Resource, ResourceKind, Why};

use crate::definition::{ActionKind, EvidencePart, Part, PartKind, Tool};
use crate::form::Submission;
use crate::handle::Handle;
use crate::plan::{Context, PlanError, Planned, Row, caveats_in};

/// The record class of documents, for policy and agreements.
pub const EVIDENCE_CLASS: &str = "EVIDENCE";
/// The longest wait for one piece of a document.
const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(30);

/// A request for an export, before a partner and an agreement are chosen.
#[derive(Debug, Clone)]
pub struct ExportPlanned {
    /// What the export is of: the tool. The agreement is still to be put in.
    pub resource: Resource,
    /// Why.
    pub why: Why,
    /// The functions that the tool's file lets ask; never empty.
    pub allowed_functions: BTreeSet<Function>,
    /// The reads whose rows go along, by query. Each asks the gate for itself.
    pub reads: Vec<(String, Planned)>,
    /// The evidence parts whose documents can be chosen.
    pub evidence: Vec<String>,
}

impl Tool {
    /// What a row's handle carries: its key, its caveat, and for a document what it takes to
    /// fetch it. `None` if the part's rows have no handles.
    #[must_use]
    pub fn handle_values(
        &self,
        part: &Part,
        columns: &[String],
        values: &[Value],
    ) -> Option<BTreeMap<String, Value>> {
        let query = self.query(part.query.as_deref()?)?;
        let mut wanted: BTreeSet<&str> = query.key.iter().map(String::as_str).collect();
        wanted.extend(query.caveat_column.as_deref());
        match &part.kind {
            PartKind::Evidence(evidence) => {
                let EvidencePart { id, store_key, name, media_type, .. } = evidence;
                wanted.extend([id, store_key, name, media_type].map(String::as_str));
            }
            PartKind::Table(_) if query.key.is_empty() => return None,
            PartKind::Table(_) => {}
            PartKind::Form(_) | PartKind::Drawer(_) | PartKind::Record(_) => return None,
        }
        let row = columns.iter().zip(values).filter(|(name, _)| wanted.contains(name.as_str()));
        Some(row.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// Reading a document, or the bytes from the first to just before the second of `range`. The
    /// handle was opened for this part's query and says why the case was searched.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan_evidence(
        &self,
        part: &str,
        handle: &Handle,
        range: Option<(u64, u64)>,
        context: &Context<'_>,
    ) -> Result<Planned, PlanError> {
        let part = self.part(part).ok_or(PlanError::Unknown { what: "part" })?;
        let PartKind::Evidence(evidence) = &part.kind else {
            return Err(PlanError::Unknown { what: "part" });
        };
        let text = |column: &str| match handle.values.get(column) {
            Some(Value::Text(text)) => Ok(text.clone()),
            Some(Value::Null | Value::Bool(_) | Value::Int(_) | Value::Real(_)) | None => {
                Err(PlanError::Unknown { what: "row" })
            }
        };
        let id = text(&evidence.id)?;
        let store = Some(evidence.store.as_str());
        let mut resource = self.resource(context, ResourceKind::Evidence, &id, store);
        resource.record_class = evidence_class()?;
        let query = part.query.as_deref().and_then(|id| self.query(id));
        let caveat = query.and_then(|query| query.caveat_column.as_ref());
        resource.caveats.extend(caveats_in(caveat.and_then(|column| handle.values.get(column)))?);
        Ok(Planned {
            action: policy::Action::ReadEvidence,
            resource,
            why: handle.why.clone(),
            allowed_functions: self.access.run.clone(),
            plan: Plan::Evidence(EvidencePlan {
                store: evidence.store.clone(),
                key: text(&evidence.store_key)?,
                range,
                limits: Limits { rows_max: 1, bytes_max: evidence.bytes_max, wait_max: WAIT_MAX },
            }),
        })
    }

    /// What an export action asks for.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan_export(
        &self,
        action: &str,
        form: &Submission,
        row: Option<&Row>,
        context: &Context<'_>,
    ) -> Result<ExportPlanned, PlanError> {
        let action = self.action(action).ok_or(PlanError::Unknown { what: "action" })?;
        let ActionKind::Export { queries, evidence } = &action.kind else {
            return Err(PlanError::Unknown { what: "action" });
        };
        let inputs = self.inputs_of_action(action);
        let values = self.values(&inputs, form, context)?;
        self.refuse_unoffered(action, &values, row, context)?;
        let mut resource = self.resource(context, ResourceKind::Export, &self.id, None);
        let mut reads = Vec::new();
        for id in queries {
            let query = self.query(id).ok_or(PlanError::Unknown { what: "action" })?;
            let planned = self.read(query, &inputs, &values, row, context)?;
            resource.caveats.extend(planned.resource.caveats.iter().cloned());
            reads.push((id.clone(), planned));
        }
        Ok(ExportPlanned {
            resource,
            why: self.why(&inputs, &values)?,
            allowed_functions: self.access.of(action.needs).clone(),
            reads,
            evidence: evidence.clone(),
        })
    }
}

fn evidence_class() -> Result<RecordClass, PlanError> {
    EVIDENCE_CLASS.parse().map_err(|_| PlanError::Unknown { what: "record class" })
}
