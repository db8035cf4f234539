//! Questions to the policies that come with the program, and what is expected of the answers.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use policy::{
    Action, Actor, AgreementFacts, Assurance, Policy, Question, Resource, ResourceKind, Why,
};

/// A stand-in for SHA-256, which this room does not have: a fold that sees every byte.
fn fold(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0_u8; 32];
    for (position, byte) in bytes.iter().enumerate() {
        let slot = &mut out[position % 32];
        *slot = slot.rotate_left(3).wrapping_mul(31) ^ byte;
    }
    out
}

pub(crate) fn policy() -> Policy {
    let (schema, files) = policy::defaults();
    Policy::from_text(&schema, &files, fold).unwrap()
}

pub(crate) fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// Someone of Riverton with these functions, signed in with MFA and stepped up a minute ago.
pub(crate) fn asks(functions: &[&str], action: Action) -> Question {
    let ago = |seconds| now() - SignedDuration::from_secs(seconds);
    Question {
        actor: Actor {
            id: "riverton|det.ruiz".parse().unwrap(),
            name: "A. Ruiz".to_owned(),
            agency: "NB0010100".parse().unwrap(),
            functions: functions.iter().map(|name| name.parse().unwrap()).collect(),
            assurance: Assurance {
                mfa: true,
                context: "https://refeds.org/profile/mfa".to_owned(),
                authenticated_at: ago(3600),
                stepped_up_at: Some(ago(60)),
            },
            lacking: Vec::new(),
        },
        action,
        resource: Resource {
            kind: ResourceKind::Tool,
            id: "person-search".to_owned(),
            tool: Some("person-search".to_owned()),
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
        now: now(),
    }
}

pub(crate) fn exports(functions: &[&str], action: Action) -> Question {
    let mut question = asks(functions, action);
    question.resource.kind = ResourceKind::Export;
    question.resource.requested_by = Some("riverton|det.moss".parse().unwrap());
    question.resource.agreement = Some(AgreementFacts {
        id: "riverton-lakeside".to_owned(),
        partner: "NB0020000".parse().unwrap(),
        record_classes: ["CJI", "INCIDENT"].iter().map(|name| name.parse().unwrap()).collect(),
        caveats_barred: BTreeSet::from(["SEALED".parse().unwrap(), "JUVENILE".parse().unwrap()]),
        caveats_allowed: None,
        purposes: BTreeSet::from(["C".parse().unwrap()]),
        starts: "2026-01-01T00:00:00Z".parse().unwrap(),
        review: "2026-12-15T00:00:00Z".parse().unwrap(),
        ends: "2027-01-01T00:00:00Z".parse().unwrap(),
        approvals: 1,
    });
    question
}

#[track_caller]
pub(crate) fn check(question: &Question, expected: &str) {
    let policy = policy();
    let decision = policy.decide(question);
    let text = format!("{}: {}", decision.verdict.as_str(), decision.reason);
    assert_eq!(text, expected, "policies: {:?}", decision.policies);
    assert_eq!(decision.policy_set, policy.version());
}

pub(crate) fn with(mut question: Question, change: impl FnOnce(&mut Question)) -> Question {
    change(&mut question);
    question
}

pub(crate) fn marked(functions: &[&str], caveat: &str) -> Question {
    with(asks(functions, Action::RunQuery), |q| {
        q.resource.caveats = BTreeSet::from([caveat.parse().unwrap()]);
    })
}
