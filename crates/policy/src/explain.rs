//! Decisions in words: why the answer is what it is, policy by policy.

use std::collections::BTreeMap;

use cedar_policy::{Authorizer, PolicySet, Response};

use crate::load::Note;
use crate::question::{Decision, Question, REASON_CHARS_MAX, Verdict};
use crate::set::Policy;
use crate::translate::Unfit;

/// What a policy does when it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It allows, unless another forbids.
    Permit,
    /// It forbids, whatever others allow.
    Forbid,
}

/// What became of one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It applies to the question.
    Applies,
    /// It does not.
    DoesNotApply,
    /// It could not be evaluated, which denies the question.
    Failed,
}

/// One policy that was looked at for a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// Its id.
    pub policy: String,
    /// The file it stands in.
    pub file: String,
    /// What it does when it applies.
    pub effect: Effect,
    /// Whether it applies.
    pub finding: Finding,
    /// Its reason, filled in for the question.
    pub why: String,
}

/// A decision, and every policy that the slice for its question holds, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What [`Policy::decide`] answers.
    pub decision: Decision,
    /// The policies considered.
    pub considered: Vec<Considered>,
}

impl Policy {
    /// The decision, and what each policy that could have had a say made of the question. Slower
    /// than [`Policy::decide`]: one evaluation for each policy.
    pub fn explain(&self, question: &Question) -> Explanation {
        let decision = self.decide(question);
        let slice = self.slice(question);
        let mut considered: Vec<Considered> = slice
            .policies()
            .map(|policy| {
                let id = policy.id().to_string();
                let note = self.notes().get(&id);
                Considered {
                    file: note.map(|note| note.file.clone()).unwrap_or_default(),
                    effect: note.map_or(Effect::Forbid, |note| note.effect),
                    why: note.map(|note| filled(&note.why, question)).unwrap_or_default(),
                    finding: self.alone(question, policy),
                    policy: id,
                }
            })
            .collect();
        considered.sort_by(|a, b| a.policy.cmp(&b.policy));
        Explanation { decision, considered }
    }

    fn alone(&self, question: &Question, policy: &cedar_policy::Policy) -> Finding {
        let Ok((request, entities)) = self.translate(question) else { return Finding::Failed };
        let Ok(set) = PolicySet::from_policies([policy.clone()]) else { return Finding::Failed };
        let response = Authorizer::new().is_authorized(&request, &set, &entities);
        let diagnostics = response.diagnostics();
        match (diagnostics.errors().next(), diagnostics.reason().next()) {
            (Some(_), _) => Finding::Failed,
            (None, Some(_)) => Finding::Applies,
            (None, None) => Finding::DoesNotApply,
        }
    }
}

/// A response in our terms. A policy that failed denies, whatever the others say.
pub(crate) fn decision(
    response: &Response,
    question: &Question,
    notes: &BTreeMap<String, Note>,
    policy_set: [u8; 32],
) -> Decision {
    let diagnostics = response.diagnostics();
    let mut failed: Vec<String> =
        diagnostics.errors().map(|error| policy_of(error).to_string()).collect();
    failed.sort();
    if !failed.is_empty() {
        let reason = format!(
            "a rule could not be evaluated, so nothing is allowed until it is mended: {}",
            failed.join(", ")
        );
        return Decision { verdict: Verdict::Deny, policies: failed, reason, policy_set };
    }
    let mut policies: Vec<String> = diagnostics.reason().map(ToString::to_string).collect();
    policies.sort();
    let verdict = match response.decision() {
        cedar_policy::Decision::Allow => Verdict::Permit,
        cedar_policy::Decision::Deny => Verdict::Deny,
    };
    let whys = policies.iter().filter_map(|id| notes.get(id));
    let whys: Vec<String> = whys.map(|note| filled(&note.why, question)).collect();
    let reason = if whys.is_empty() { unruled(question) } else { whys.join("; ") };
    Decision { verdict, policies, reason, policy_set }
}

/// A question that could not even be put: denied.
pub(crate) fn unfit(unfit: &Unfit, policy_set: [u8; 32]) -> Decision {
    let reason = match unfit {
        Unfit::ReasonTooLong => format!("the reason is over {REASON_CHARS_MAX} characters"),
        Unfit::Cedar(_) => "the question could not be put to the policies".to_owned(),
    };
    Decision { verdict: Verdict::Deny, policies: Vec::new(), reason, policy_set }
}

fn policy_of(error: &cedar_policy::AuthorizationError) -> &cedar_policy::PolicyId {
    match error {
        cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
    }
}

fn unruled(question: &Question) -> String {
    format!(
        "no rule allows you to {} ({} records); your functions: {}",
        question.action.words(),
        question.resource.record_class,
        list(&question.actor.functions)
    )
}

fn filled(why: &str, question: &Question) -> String {
    if !why.contains('{') {
        return why.to_owned();
    }
    why.replace("{functions}", &list(&question.actor.functions))
        .replace("{allowed_functions}", &list(&question.allowed_functions))
        .replace("{action}", question.action.words())
        .replace("{record_class}", question.resource.record_class.as_str())
        .replace("{caveats}", &list(&question.resource.caveats))
        // Last, for its words are an agency's own and may hold braces.
        .replace("{lacking}", &lacking(question))
}

fn lacking(question: &Question) -> String {
    let lacks = question.actor.lacking.iter();
    lacks.map(|lack| lack.words.as_str()).collect::<Vec<_>>().join("; ")
}

fn list<'a, T: AsRef<str> + 'a>(texts: impl IntoIterator<Item = &'a T>) -> String {
    let texts: Vec<&str> = texts.into_iter().map(AsRef::as_ref).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
