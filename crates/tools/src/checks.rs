//! Runs the `[[test]]` blocks of a tool file: no database, no gate, only forms and plans.

use gate::Plan;

use crate::definition::{Expect, PartKind, Test, Tool};
use crate::form::Submission;
use crate::plan::{Context, PlanError, Planned, Row};

/// What became of one `[[test]]` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The block's name.
    pub name: String,
    /// Its line in the file.
    pub line: u32,
    /// `None` if it held; else what was expected and what came instead.
    pub failure: Option<String>,
}

/// Runs every `[[test]]` block of a tool, in the order of the file.
#[must_use]
pub fn check_tests(tool: &Tool, context: &Context<'_>) -> Vec<Checked> {
    let check = |test: &Test| Checked {
        name: test.name.clone(),
        line: test.line,
        failure: run(tool, test, context).err(),
    };
    tool.tests.iter().map(check).collect()
}

fn run(tool: &Tool, test: &Test, context: &Context<'_>) -> Result<(), String> {
    let form = Submission { typed: test.input.clone(), ..Submission::default() };
    match (&test.expect, plan(tool, test, &form, context)) {
        (Expect::Error { input }, Err(PlanError::Input(errors))) => {
            let refused: Vec<&str> = errors.iter().map(|error| error.input.as_str()).collect();
            if refused == [input.as_str()] {
                return Ok(());
            }
            Err(format!("expected `{input}` alone to be refused; refused: {}", refused.join(", ")))
        }
        (Expect::Error { input }, Ok(_)) => {
            Err(format!("expected `{input}` to be refused; everything was taken"))
        }
        (Expect::Plan { bind, caveats }, Ok(planned)) => {
            let Plan::Query(query) = &planned.plan else {
                return Err("expected a query; the plan is another".to_owned());
            };
            for (name, expected) in bind {
                match query.binds.get(name) {
                    Some(value) if value == expected => {}
                    Some(value) => {
                        return Err(format!(
                            "expected `:{name}` to be `{expected}`; it is `{value}`"
                        ));
                    }
                    None => return Err(format!("expected `:{name}`; the query does not bind it")),
                }
            }
            match caveats {
                Some(expected) if *expected != planned.resource.caveats => Err(format!(
                    "expected the caveats [{}]; the question carries [{}]",
                    joined(expected),
                    joined(&planned.resource.caveats)
                )),
                Some(_) | None => Ok(()),
            }
        }
        (Expect::Plan { .. }, Err(PlanError::Input(errors))) => {
            let refused: Vec<String> =
                errors.iter().map(|error| format!("{}: {}", error.input, error.message)).collect();
            Err(format!("expected a plan; refused: {}", refused.join(" ")))
        }
        (_, Err(error)) => Err(format!("expected another outcome; {error}")),
    }
}

fn joined(caveats: &std::collections::BTreeSet<policy::Caveat>) -> String {
    caveats.iter().map(policy::Caveat::as_str).collect::<Vec<_>>().join(", ")
}

/// Plans the block's query, by default the first that a form runs.
fn plan(
    tool: &Tool,
    test: &Test,
    form: &Submission,
    context: &Context<'_>,
) -> Result<Planned, PlanError> {
    let first = tool.parts.iter().find_map(|part| match &part.kind {
        PartKind::Form(form) => form.run.first(),
        PartKind::Table(_) | PartKind::Drawer(_) | PartKind::Record(_) | PartKind::Evidence(_) => {
            None
        }
    });
    let query = test.query.as_ref().or(first).ok_or(PlanError::Unknown { what: "query" })?;
    let write = tool.actions.iter().find(|action| match &action.kind {
        crate::definition::ActionKind::Write { query: own } => own == query,
        crate::definition::ActionKind::Export { .. } => false,
    });
    let row = key_row(tool);
    if let Some(action) = write {
        return tool.plan_write(&action.id, form, Some(&row), context);
    }
    let part = tool.parts.iter().find(|part| part.query.as_ref() == Some(query));
    let part = part.ok_or(PlanError::Unknown { what: "query" })?;
    tool.plan(&part.id, form, Some(&row), context)
}

/// A row for blocks whose query belongs to an open one: every column says its own name.
fn key_row(tool: &Tool) -> Row {
    let columns = tool.queries.iter().flat_map(|query| query.columns.iter());
    let caveats: Vec<&String> =
        tool.queries.iter().filter_map(|query| query.caveat_column.as_ref()).collect();
    let values = columns
        .filter(|column| !caveats.contains(column))
        .map(|column| (column.clone(), gate::Value::Text(format!("row.{column}"))));
    Row { values: values.collect() }
}
