//! A question in Cedar's terms: one request and a handful of entities, built anew for each question.
//!
//! Invariant: nothing here decides. Whatever cannot be expressed is an error, hence a denial.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
    Schema,
};
use jiff::Timestamp;

use crate::load::PolicyError;
use crate::question::{Action, AgreementFacts, Question, REASON_CHARS_MAX};

/// The names of the schema, parsed once.
#[derive(Debug)]
pub(crate) struct Names {
    function: EntityTypeName,
    agency: EntityTypeName,
    tool: EntityTypeName,
    pub(crate) source: EntityTypeName,
    actor: EntityTypeName,
    resource: EntityTypeName,
    action: EntityTypeName,
}

/// Why a question cannot be put to the policies.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// The reason given is over [`REASON_CHARS_MAX`].
    ReasonTooLong,
    /// Cedar refused the request or an entity.
    Cedar(Box<dyn std::error::Error + Send + Sync>),
}

impl Names {
    pub(crate) fn new() -> Result<Self, PolicyError> {
        let name = |text: &str| {
            text.parse::<EntityTypeName>()
                .map_err(|source| PolicyError::Name { source: Box::new(source) })
        };
        Ok(Self {
            function: name("Bailiwick::Function")?,
            agency: name("Bailiwick::Agency")?,
            tool: name("Bailiwick::Tool")?,
            source: name("Bailiwick::Source")?,
            actor: name("Bailiwick::Actor")?,
            resource: name("Bailiwick::Resource")?,
            action: name("Bailiwick::Action")?,
        })
    }

    pub(crate) fn action(&self, action: Action) -> EntityUid {
        uid(&self.action, action.as_str())
    }

    /// The request, and `actions` with the question's own entities beside them. With a schema, both
    /// are checked against it.
    pub(crate) fn translate(
        &self,
        question: &Question,
        actions: &Entities,
        schema: Option<&Schema>,
    ) -> Result<(Request, Entities), Unfit> {
        let reason = question.why.reason.as_deref().unwrap_or_default();
        if reason.chars().count() > REASON_CHARS_MAX {
            return Err(Unfit::ReasonTooLong);
        }
        let action = self.action(question.action);
        let actor = self.actor(question)?;
        let resource = self.resource(question)?;
        let context = Context::from_pairs(asked(question)).map_err(cedar)?;
        let request =
            Request::new(actor.uid(), action, resource.uid(), context, schema).map_err(cedar)?;
        let entities = actions.clone().add_entities([actor, resource], schema).map_err(cedar)?;
        Ok((request, entities))
    }

    fn actor(&self, question: &Question) -> Result<Entity, Unfit> {
        let actor = &question.actor;
        let attributes = HashMap::from([
            ("agency".to_owned(), self.agency(actor.agency.as_str())),
            ("functions".to_owned(), strings(&actor.functions)),
            ("mfa".to_owned(), RestrictedExpression::new_bool(actor.assurance.mfa)),
            ("lacking".to_owned(), strings(actor.lacking.iter().map(|lack| &lack.id))),
        ]);
        let functions = actor.functions.iter();
        let parents = functions.map(|function| uid(&self.function, function.as_str())).collect();
        Entity::new(uid(&self.actor, actor.id.as_str()), attributes, parents).map_err(cedar)
    }

    fn resource(&self, question: &Question) -> Result<Entity, Unfit> {
        let resource = &question.resource;
        let mut attributes = HashMap::from([
            ("kind".to_owned(), string(resource.kind.as_str())),
            ("name".to_owned(), string(&resource.id)),
            ("record_class".to_owned(), string(resource.record_class.as_str())),
            ("caveats".to_owned(), strings(&resource.caveats)),
            ("agency".to_owned(), self.agency(resource.agency.as_str())),
        ]);
        if let Some(person) = &resource.requested_by {
            let person = RestrictedExpression::new_entity_uid(uid(&self.actor, person.as_str()));
            attributes.insert("requested_by".to_owned(), person);
        }
        if let Some(agreement) = &resource.agreement {
            attributes.insert("agreement".to_owned(), self.agreement(agreement)?);
        }
        let tool = resource.tool.as_deref().map(|tool| uid(&self.tool, tool));
        let source = resource.source.as_deref().map(|source| uid(&self.source, source));
        let parents: HashSet<EntityUid> = tool.into_iter().chain(source).collect();
        let id = format!("{}/{}", resource.kind, resource.id);
        Entity::new(uid(&self.resource, &id), attributes, parents).map_err(cedar)
    }

    fn agreement(&self, agreement: &AgreementFacts) -> Result<RestrictedExpression, Unfit> {
        let mut fields = vec![
            ("id".to_owned(), string(&agreement.id)),
            ("partner".to_owned(), self.agency(agreement.partner.as_str())),
            ("record_classes".to_owned(), strings(&agreement.record_classes)),
            ("caveats_barred".to_owned(), strings(&agreement.caveats_barred)),
            ("purposes".to_owned(), strings(&agreement.purposes)),
            ("starts".to_owned(), seconds(agreement.starts)),
            ("review".to_owned(), seconds(agreement.review)),
            ("ends".to_owned(), seconds(agreement.ends)),
            ("approvals".to_owned(), RestrictedExpression::new_long(agreement.approvals.into())),
        ];
        if let Some(allowed) = &agreement.caveats_allowed {
            fields.push(("caveats_allowed".to_owned(), strings(allowed)));
        }
        RestrictedExpression::new_record(fields).map_err(cedar)
    }

    fn agency(&self, ori: &str) -> RestrictedExpression {
        RestrictedExpression::new_entity_uid(uid(&self.agency, ori))
    }
}

fn asked(question: &Question) -> Vec<(String, RestrictedExpression)> {
    let why = &question.why;
    let assurance = &question.actor.assurance;
    let since = |then: Timestamp| question.now.duration_since(then).as_secs();
    let mut pairs = vec![
        ("now".to_owned(), seconds(question.now)),
        ("allowed_functions".to_owned(), strings(&question.allowed_functions)),
        (
            "seconds_since_sign_in".to_owned(),
            RestrictedExpression::new_long(since(assurance.authenticated_at)),
        ),
    ];
    // A proof from the future is no proof.
    if let Some(then) = assurance.stepped_up_at.filter(|then| *then <= question.now) {
        let age = RestrictedExpression::new_long(since(then));
        pairs.push(("seconds_since_step_up".to_owned(), age));
    }
    let texts = [
        ("purpose", why.purpose.as_ref().map(AsRef::as_ref)),
        ("case_number", why.case_number.as_ref().map(AsRef::as_ref)),
        ("reason", why.reason.as_deref()),
    ];
    let given = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), string(text?))));
    pairs.extend(given);
    pairs
}

pub(crate) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn strings<'a, T: AsRef<str> + 'a>(texts: impl IntoIterator<Item = &'a T>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.into_iter().map(|text| string(text.as_ref())))
}

fn seconds(moment: Timestamp) -> RestrictedExpression {
    RestrictedExpression::new_long(moment.as_second())
}

fn cedar(error: impl std::error::Error + Send + Sync + 'static) -> Unfit {
    Unfit::Cedar(Box::new(error))
}
