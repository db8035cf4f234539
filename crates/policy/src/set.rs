//! The policy set as it is asked: sliced by action and source, so that a decision costs what its own
//! policies cost and not what all of them do.
//!
//! Invariant: a policy is left out of a slice only if its scope (not its conditions) can't match any
//! question of that slice. Such a policy neither permits, forbids nor fails there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cedar_policy::{
    ActionConstraint, Authorizer, Entities, EntityUid, PolicySet, Request, ResourceConstraint,
    Schema,
};

use crate::explain::{decision, unfit};
use crate::load::{Checked, Note, PolicyError, check, read_folder};
use crate::question::{Action, Decision, Question};
use crate::sample::sample;
use crate::translate::{Names, Unfit};

/// A validated policy set. Cheap to ask, from any number of threads.
#[derive(Debug)]
pub struct Policy {
    names: Names,
    actions: Entities,
    notes: BTreeMap<String, Note>,
    slices: BTreeMap<Action, Slices>,
    /// The set as it was loaded: what a slice must agree with, and the answer if there is none.
    whole: PolicySet,
    version: [u8; 32],
}

/// The policies of one action.
#[derive(Debug)]
struct Slices {
    /// Those that name no source: for questions about a source that no policy names, or about none.
    general: PolicySet,
    /// For each source that a policy names: its own and the general ones.
    by_source: BTreeMap<String, PolicySet>,
}

impl Policy {
    /// Loads `schema.cedarschema` and every `*.cedar` of a folder. `digest` (SHA-256) makes the
    /// version that each decision carries.
    pub fn load(folder: &Path, digest: fn(&[u8]) -> [u8; 32]) -> Result<Self, PolicyError> {
        let (schema, files) = read_folder(folder)?;
        Self::from_text(&schema, &files, digest)
    }

    /// Loads a schema and policy files, each as (name, text).
    pub fn from_text(
        schema: &str,
        policies: &[(String, String)],
        digest: fn(&[u8]) -> [u8; 32],
    ) -> Result<Self, PolicyError> {
        let checked = check(schema, policies)?;
        let names = Names::new()?;
        let failed = |source| PolicyError::Slice { source: Box::new(source) };
        let actions = checked.schema.action_entities().map_err(failed)?;
        fits(&names, &actions, &checked.schema)?;
        let slices = slice(&names, &actions, &checked)?;
        let version = digest(&canonical(schema, policies));
        Ok(Self { names, actions, notes: checked.notes, slices, whole: checked.policies, version })
    }

    /// Answers a question. Never fails: what cannot be answered is denied.
    pub fn decide(&self, question: &Question) -> Decision {
        self.decide_by(self.slice(question), question)
    }

    /// The digest of the schema and the policy files, in the order of their names.
    pub fn version(&self) -> [u8; 32] {
        self.version
    }

    /// The answer of the whole set: for the test that slicing changes none, and for the measurement of what
    /// slicing saves.
    #[doc(hidden)]
    pub fn decide_whole(&self, question: &Question) -> Decision {
        self.decide_by(&self.whole, question)
    }

    pub(crate) fn slice(&self, question: &Question) -> &PolicySet {
        let Some(slices) = self.slices.get(&question.action) else { return &self.whole };
        let source = question.resource.source.as_deref();
        source.and_then(|source| slices.by_source.get(source)).unwrap_or(&slices.general)
    }

    pub(crate) fn notes(&self) -> &BTreeMap<String, Note> {
        &self.notes
    }

    pub(crate) fn translate(&self, question: &Question) -> Result<(Request, Entities), Unfit> {
        self.names.translate(question, &self.actions, None)
    }

    fn decide_by(&self, policies: &PolicySet, question: &Question) -> Decision {
        match self.translate(question) {
            Ok((request, entities)) => {
                let response = Authorizer::new().is_authorized(&request, policies, &entities);
                decision(&response, question, &self.notes, self.version)
            }
            Err(why) => unfit(&why, self.version),
        }
    }
}

/// The schema of a folder must know every question that this program asks; seen now, not at night.
fn fits(names: &Names, actions: &Entities, schema: &Schema) -> Result<(), PolicyError> {
    for action in Action::ALL {
        let problem = match names.translate(&sample(*action)?, actions, Some(schema)) {
            Ok(_) => continue,
            Err(Unfit::ReasonTooLong) => "the sample's reason is too long".to_owned(),
            Err(Unfit::Cedar(source)) => source.to_string(),
        };
        return Err(PolicyError::Unfit { action: action.as_str(), problem });
    }
    Ok(())
}

fn slice(
    names: &Names,
    actions: &Entities,
    checked: &Checked,
) -> Result<BTreeMap<Action, Slices>, PolicyError> {
    let mut sources: BTreeSet<String> = BTreeSet::new();
    let scoped: Vec<(&cedar_policy::Policy, Option<String>)> =
        checked.policies.policies().map(|policy| (policy, only_source(names, policy))).collect();
    sources.extend(scoped.iter().filter_map(|(_, source)| source.clone()));
    let mut slices = BTreeMap::new();
    for action in Action::ALL {
        let action_uid = names.action(*action);
        let of_action: Vec<_> =
            scoped.iter().filter(|(policy, _)| speaks_of(policy, &action_uid, actions)).collect();
        let set = |source: Option<&str>| {
            let chosen =
                of_action.iter().filter(|(_, only)| only.is_none() || only.as_deref() == source);
            PolicySet::from_policies(chosen.map(|(policy, _)| (*policy).clone()))
                .map_err(|source| PolicyError::Slice { source: Box::new(source) })
        };
        let mut by_source = BTreeMap::new();
        for source in &sources {
            if of_action.iter().any(|(_, only)| only.as_ref() == Some(source)) {
                by_source.insert(source.clone(), set(Some(source))?);
            }
        }
        slices.insert(*action, Slices { general: set(None)?, by_source });
    }
    Ok(slices)
}

/// Whether the scope of a policy can match an action, by name or by a group that it is in.
fn speaks_of(policy: &cedar_policy::Policy, action: &EntityUid, actions: &Entities) -> bool {
    let is_within = |group: &EntityUid| {
        group == action
            || actions.ancestors(action).is_some_and(|mut ancestors| ancestors.any(|a| a == group))
    };
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(named) => named == *action,
        ActionConstraint::In(groups) => groups.iter().any(is_within),
    }
}

/// The one source that the scope of a policy is about, if it is about one.
fn only_source(names: &Names, policy: &cedar_policy::Policy) -> Option<String> {
    match policy.resource_constraint() {
        ResourceConstraint::In(named) | ResourceConstraint::IsIn(_, named)
            if *named.type_name() == names.source =>
        {
            Some(named.id().unescaped().to_owned())
        }
        ResourceConstraint::Any
        | ResourceConstraint::Is(_)
        | ResourceConstraint::Eq(_)
        | ResourceConstraint::In(_)
        | ResourceConstraint::IsIn(..) => None,
    }
}

/// Schema and files, each with its length before it, so that no two sets look alike.
fn canonical(schema: &str, files: &[(String, String)]) -> Vec<u8> {
    let mut sorted: Vec<&(String, String)> = files.iter().collect();
    sorted.sort();
    let texts = sorted.into_iter().flat_map(|(name, text)| [name.as_str(), text.as_str()]);
    let mut out = Vec::new();
    for text in std::iter::once(schema).chain(texts) {
        out.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}
