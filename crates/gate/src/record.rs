//! A question and its answer in the ledger's terms.

use ledger::{Event, Origin, Reason, Record, Subject, Who};
use policy::{Decision, Question, Verdict};

use crate::plan::Plan;

/// What every record of one permit has in common.
#[derive(Clone)]
pub(crate) struct Header {
    who: Who,
    origin: Origin,
    why: Reason,
    /// The case that it is for, so that a search by case finds it.
    case: Option<Subject>,
}

impl Header {
    pub(crate) fn new(question: &Question, origin: Origin, session: Option<String>) -> Self {
        let actor = &question.actor;
        let who = Who {
            actor: actor.id.to_string(),
            name: actor.name.clone(),
            agency: actor.agency.to_string(),
            functions: actor.functions.iter().map(ToString::to_string).collect(),
            session,
        };
        let why = Reason {
            purpose: question.why.purpose.as_ref().map(ToString::to_string),
            case_number: question.why.case_number.as_ref().map(ToString::to_string),
            reason: question.why.reason.clone(),
        };
        let case = why.case_number.clone().map(|id| Subject { kind: "case".to_owned(), id });
        Self { who, origin, why, case }
    }

    pub(crate) fn record(&self, event: Event, subjects: Vec<Subject>) -> Record {
        let mut subjects = subjects;
        if let Some(case) = self.case.as_ref().filter(|case| !subjects.contains(case)) {
            subjects.push(case.clone());
        }
        Record {
            who: Some(self.who.clone()),
            origin: self.origin.clone(),
            why: self.why.clone(),
            subjects,
            event,
        }
    }
}

pub(crate) fn decided(question: &Question, plan: &Plan, decision: &Decision) -> Event {
    let resource = &question.resource;
    Event::Decided {
        action: question.action.as_str().to_owned(),
        resource: format!("{}/{}", resource.kind, resource.id),
        record_class: resource.record_class.to_string(),
        caveats: resource.caveats.iter().map(ToString::to_string).collect(),
        verdict: match decision.verdict {
            Verdict::Permit => ledger::Verdict::Permit,
            Verdict::Deny => ledger::Verdict::Deny,
        },
        reason: decision.reason.clone(),
        policies: decision.policies.clone(),
        policy_set: hex::encode(decision.policy_set),
        plan: hex::encode(ledger::digest(&plan.digestible())),
        tool: resource.tool.clone(),
        source: resource.source.clone(),
    }
}
