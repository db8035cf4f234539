//! What a decision costs with few and with many policies, through the slices made at load and without them.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::Context;
use policy::{Action, Policy, Question};
use serde::Serialize;

use crate::report::Spread;

const SOURCES: usize = 17;
const ACTIONS: [&str; 4] = ["run-query", "write-record", "read-evidence", "request-export"];
const ROUNDS: usize = 9;
const DECISIONS: u32 = 200;

/// Microseconds a decision.
#[derive(Debug, Serialize)]
pub(crate) struct Decisions {
    pub(crate) policies: usize,
    pub(crate) sliced_us: Spread,
    pub(crate) unsliced_us: Spread,
}

pub(crate) fn measure() -> anyhow::Result<Vec<Decisions>> {
    [0, 200, 2000].into_iter().map(with).collect()
}

/// The built-in policies and so many of an agency's own, spread over sources and actions.
fn with(own: usize) -> anyhow::Result<Decisions> {
    let (schema, mut files) = policy::defaults();
    let text: String = (0..own).map(rule).collect();
    files.push(("own.cedar".to_owned(), text));
    let policy = Policy::from_text(&schema, &files, keys::digest::sha256)?;
    let questions = (0..SOURCES).map(question).collect::<Result<Vec<_>, _>>()?;
    let time = |decide: &dyn Fn(&Question)| {
        let begun = Instant::now();
        for question in questions.iter().cycle().take(DECISIONS as usize) {
            decide(question);
        }
        begun.elapsed().as_secs_f64() * 1e6 / f64::from(DECISIONS)
    };
    let (mut sliced, mut unsliced) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sliced.push(time(&|question| drop(std::hint::black_box(policy.decide(question)))));
        unsliced.push(time(&|question| drop(std::hint::black_box(policy.decide_whole(question)))));
    }
    let builtin = files.iter().map(|(_, text)| text.matches("@id(").count()).sum();
    let spread = |values: Vec<f64>| Spread::of(values.into_iter()).context("no rounds");
    Ok(Decisions { policies: builtin, sliced_us: spread(sliced)?, unsliced_us: spread(unsliced)? })
}

fn rule(number: usize) -> String {
    let action = ACTIONS.get(number % ACTIONS.len()).copied().unwrap_or_default();
    let (source, mark) = (number % SOURCES, number % 7);
    let effect = if number.is_multiple_of(5) { "forbid" } else { "permit" };
    format!(
        "@id(\"own-{number}\") @why(\"rule {number}\")\n\
         {effect} (principal, action == Bailiwick::Action::\"{action}\", \
         resource in Bailiwick::Source::\"s{source}\")\n\
         when {{ resource.caveats.contains(\"MARK{mark}\") && principal.mfa }};\n"
    )
}

fn question(source: usize) -> anyhow::Result<Question> {
    let mut question = policy::sample(Action::RunQuery)?;
    question.resource.source = Some(format!("s{source}"));
    question.resource.caveats.clear();
    Ok(question)
}

impl Decisions {
    pub(crate) fn write(all: &[Self], out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n## One decision, policies sliced by action and source\n")?;
        writeln!(out, "| policies | sliced µs | unsliced µs | ratio |\n|---|---|---|---|")?;
        for Self { policies, sliced_us, unsliced_us } in all {
            let (sliced, unsliced) = (sliced_us.median, unsliced_us.median);
            let ratio = unsliced / sliced;
            writeln!(out, "| {policies} | {sliced:.1} | {unsliced:.1} | {ratio:.1} |")?;
        }
        Ok(())
    }
}
