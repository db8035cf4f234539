//! The property on which slicing rests, on made-up policy sets; and that a failing policy denies.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::question::{Action, Question, ResourceKind, Verdict};
use crate::sample::sample;
use crate::set::Policy;

fn nothing(_: &[u8]) -> [u8; 32] {
    [0; 32]
}

fn load(text: String) -> Policy {
    let (schema, _) = crate::load::defaults();
    Policy::from_text(&schema, &[("own.cedar".to_owned(), text)], nothing).unwrap()
}

const SOURCES: [&str; 4] = ["rms", "rms-write", "evidence", "other"];

fn actions() -> impl Strategy<Value = String> {
    let one = proptest::sample::select(Action::ALL.to_vec());
    let named = |action: &Action| format!("Bailiwick::Action::\"{action}\"");
    prop_oneof![
        2 => Just("action".to_owned()),
        4 => one.clone().prop_map(move |action| format!("action == {}", named(&action))),
        2 => proptest::collection::vec(one, 1..4).prop_map(move |list| {
            let list: Vec<String> = list.iter().map(named).collect();
            format!("action in [{}]", list.join(", "))
        }),
        1 => Just("action in Bailiwick::Action::\"touch-records\"".to_owned()),
        1 => Just("action in [Bailiwick::Action::\"share-records\"]".to_owned()),
    ]
}

fn resources() -> impl Strategy<Value = String> {
    let source = proptest::sample::select(SOURCES.to_vec());
    prop_oneof![
        3 => Just("resource".to_owned()),
        1 => Just("resource is Bailiwick::Resource".to_owned()),
        4 => source.clone().prop_map(|id| format!("resource in Bailiwick::Source::\"{id}\"")),
        2 => source.prop_map(|id| {
            format!("resource is Bailiwick::Resource in Bailiwick::Source::\"{id}\"")
        }),
        1 => Just("resource in Bailiwick::Tool::\"person-search\"".to_owned()),
        1 => Just("resource == Bailiwick::Resource::\"tool/person-search\"".to_owned()),
    ]
}

/// Conditions of every outcome: they hold, they don't, and they fail (an overflow passes strict
/// validation and fails when it is evaluated).
fn conditions() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "true",
        "resource.caveats.contains(\"JUVENILE\")",
        "principal.mfa",
        "principal.lacking.isEmpty()",
        "!principal.mfa",
        "principal in Bailiwick::Function::\"detective\"",
        "context has purpose && context.purpose == \"C\"",
        "context.now + 9223372036854775807 > 0",
        "principal.mfa && context.now + 9223372036854775807 > 0",
    ])
}

fn policies() -> impl Strategy<Value = String> {
    let effect = proptest::sample::select(vec!["permit", "permit", "forbid"]);
    let one = (effect, actions(), resources(), conditions());
    proptest::collection::vec(one, 1..25).prop_map(|list| {
        let lines = list.into_iter().enumerate();
        let lines = lines.map(|(number, (effect, action, resource, condition))| {
            format!(
                "@id(\"p{number}\") @why(\"rule {number}\")\n\
                 {effect} (principal, {action}, {resource}) when {{ {condition} }};\n"
            )
        });
        lines.collect()
    })
}

prop_compose! {
    fn questions()(
        action in proptest::sample::select(Action::ALL.to_vec()),
        source in proptest::option::of(proptest::sample::select(SOURCES.to_vec())),
        tool in proptest::option::of(Just("person-search")),
        function in proptest::sample::select(vec!["detective", "patrol-officer"]),
        juvenile in any::<bool>(),
        mfa in any::<bool>(),
        purpose in any::<bool>(),
        lacking in any::<bool>(),
        now in 0_i64..4,
    ) -> Question {
        let mut question = sample(action).unwrap();
        question.resource.kind = ResourceKind::Tool;
        question.resource.id = "person-search".to_owned();
        question.resource.source = source.map(str::to_owned);
        question.resource.tool = tool.map(str::to_owned);
        question.actor.functions = BTreeSet::from([function.parse().unwrap()]);
        question.actor.assurance.mfa = mfa;
        if !lacking {
            question.actor.lacking.clear();
        }
        if !juvenile {
            question.resource.caveats.clear();
        }
        if !purpose {
            question.why.purpose = None;
        }
        // At 0 the sum above does not overflow, afterwards it does.
        question.now = jiff::Timestamp::from_second(now).unwrap();
        question
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn slicing_changes_no_decision(
        text in policies(),
        questions in proptest::collection::vec(questions(), 12),
    ) {
        let policy = load(text);
        for question in questions {
            prop_assert_eq!(policy.decide(&question), policy.decide_whole(&question));
        }
    }
}

#[test]
fn slicing_changes_no_decision_of_the_defaults() {
    let (schema, files) = crate::load::defaults();
    let policy = Policy::from_text(&schema, &files, nothing).unwrap();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let outcome = runner.run(&questions(), |question| {
        prop_assert_eq!(policy.decide(&question), policy.decide_whole(&question));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_slice_holds_less_than_the_set() {
    let policy = load(
        "@id(\"a\") @why(\"w\") permit (principal, action, resource in Bailiwick::Source::\"rms\");\n\
         @id(\"b\") @why(\"w\") permit (principal, action == Bailiwick::Action::\"read-audit\", resource);\n\
         @id(\"c\") @why(\"w\") permit (principal, action, resource);"
            .to_owned(),
    );
    let ids = |action, source: Option<&str>| {
        let mut question = sample(action).unwrap();
        question.resource.source = source.map(str::to_owned);
        let mut ids: Vec<String> =
            policy.slice(&question).policies().map(|p| p.id().to_string()).collect();
        ids.sort();
        ids.concat()
    };
    assert_eq!(ids(Action::RunQuery, Some("rms")), "ac");
    assert_eq!(ids(Action::RunQuery, Some("other")), "c");
    assert_eq!(ids(Action::RunQuery, None), "c");
    assert_eq!(ids(Action::ReadAudit, Some("rms")), "abc");
    assert_eq!(ids(Action::ReadAudit, None), "bc");
}

#[test]
fn a_forbid_that_fails_denies_what_cedar_alone_would_allow() {
    let policy = load(
        "@id(\"all\") @why(\"all may\") permit (principal, action, resource);\n\
         @id(\"broken\") @why(\"never seen\") forbid (principal, action, resource)\n\
         when { context.now + 9223372036854775807 > 0 };"
            .to_owned(),
    );
    let mut question = sample(Action::RunQuery).unwrap();
    question.now = jiff::Timestamp::from_second(1).unwrap();
    let decision = policy.decide(&question);
    assert_eq!(decision.verdict, Verdict::Deny);
    assert_eq!(decision.policies, ["broken"]);
    assert_eq!(
        decision.reason,
        "a rule could not be evaluated, so nothing is allowed until it is mended: broken"
    );
}

#[test]
fn a_permit_that_fails_denies_what_another_allows() {
    let policy = load(
        "@id(\"all\") @why(\"all may\") permit (principal, action, resource);\n\
         @id(\"broken\") @why(\"never seen\") permit (principal, action, resource)\n\
         when { context.now + 9223372036854775807 > 0 };"
            .to_owned(),
    );
    let mut question = sample(Action::RunQuery).unwrap();
    question.now = jiff::Timestamp::from_second(1).unwrap();
    assert_eq!(policy.decide(&question).verdict, Verdict::Deny);
}
