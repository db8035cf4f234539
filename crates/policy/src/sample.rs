//! One made-up question for each action, with every optional fact given: what a schema must fit.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::load::PolicyError;
use crate::nouns::Malformed;
use crate::question::{
    Action, Actor, AgreementFacts, Assurance, Lack, Question, Resource, ResourceKind, Why,
};

#[doc(hidden)]
pub fn sample(action: Action) -> Result<Question, PolicyError> {
    build(action).map_err(|source| PolicyError::Name { source: Box::new(source) })
}

fn build(action: Action) -> Result<Question, Malformed> {
    let moment = Timestamp::UNIX_EPOCH;
    let actor = Actor {
        id: "sample|person".parse()?,
        name: "Sample Person".to_owned(),
        agency: "XX0000000".parse()?,
        functions: BTreeSet::from(["detective".parse()?]),
        assurance: Assurance {
            mfa: true,
            context: "sample".to_owned(),
            authenticated_at: moment,
            stepped_up_at: Some(moment),
        },
        lacking: vec![Lack { id: "training/sample".to_owned(), words: "sample".to_owned() }],
    };
    let agreement = AgreementFacts {
        id: "sample".to_owned(),
        partner: "YY0000000".parse()?,
        record_classes: BTreeSet::from(["CJI".parse()?]),
        caveats_barred: BTreeSet::from(["SEALED".parse()?]),
        caveats_allowed: Some(BTreeSet::from(["JUVENILE".parse()?])),
        purposes: BTreeSet::from(["C".parse()?]),
        starts: moment,
        review: moment,
        ends: moment,
        approvals: 1,
    };
    let resource = Resource {
        kind: ResourceKind::Export,
        id: "sample".to_owned(),
        tool: Some("sample".to_owned()),
        source: Some("sample".to_owned()),
        record_class: "CJI".parse()?,
        caveats: BTreeSet::from(["JUVENILE".parse()?]),
        agency: "XX0000000".parse()?,
        requested_by: Some("sample|other".parse()?),
        agreement: Some(agreement),
    };
    let why = Why {
        purpose: Some("C".parse()?),
        case_number: Some("24-000001".parse()?),
        reason: Some("sample".to_owned()),
    };
    let allowed_functions = BTreeSet::from(["detective".parse()?]);
    Ok(Question { actor, action, resource, why, allowed_functions, now: moment })
}
