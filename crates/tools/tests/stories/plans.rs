//! Stories of forms that become plans, and of forms that do not.

use crate::common::{NOW, demo_tool, fields, person, submission};
use gate::{Direction, Plan, QueryPlan, Value};
use tools::Tool;
use tools::form::Submission;
use tools::plan::{PlanError, Planned, Row};

const SEARCH: [(&str, &str); 4] =
    [("plate", "7kdr*"), ("state", ""), ("purpose", "C"), ("case_number", "24-000113")];

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[expect(clippy::panic, reason = "a test")]
fn query(planned: &Planned) -> &QueryPlan {
    let Plan::Query(query) = &planned.plan else { panic!("a query") };
    query
}

fn plan(tool: &Tool, sent: &[(&str, &str)]) -> Result<Planned, PlanError> {
    let form = Submission::read(tool, &fields(sent)).map_err(PlanError::Input)?;
    tool.plan("results", &form, None, &person("detective").context())
}

#[track_caller]
fn refused(outcome: Result<Planned, PlanError>) -> Vec<String> {
    match outcome {
        Err(PlanError::Input(errors)) => {
            errors.iter().map(|error| format!("{}: {}", error.input, error.message)).collect()
        }
        Err(error) => vec![error.to_string()],
        Ok(_) => vec!["planned".to_owned()],
    }
}

fn row() -> Row {
    let values = [("id", "V-000113"), ("plate", "7KDR419"), ("status", "clear")];
    Row { values: values.map(|(column, value)| (column.to_owned(), text(value))).into() }
}

#[test]
fn a_search_becomes_a_question_and_a_plan() {
    let tool = demo_tool("vehicle-lookup");
    let detective = person("detective");
    let planned = plan(&tool, &SEARCH).unwrap();
    let query = query(&planned);
    assert_eq!(query.sql, tool.query("search").unwrap().sql);
    assert_eq!(
        query.binds,
        [("plate".to_owned(), text("7KDR%")), ("state".to_owned(), Value::Null)].into()
    );
    assert_eq!((query.source.as_str(), query.mode), ("rms", gate::Mode::Read));
    let view = query.view.clone().unwrap();
    assert_eq!(
        view.sort,
        [("plate".to_owned(), Direction::Ascending), ("id".to_owned(), Direction::Ascending)]
    );
    assert_eq!((view.page, view.page_size, view.count_max), (1, 25, 10_000));
    assert_eq!(query.subjects.len(), 1);

    let (question, _) = planned.ask(&detective.context());
    assert_eq!(question.action, policy::Action::RunQuery);
    assert_eq!(question.resource.id, "vehicle-lookup");
    assert_eq!(question.resource.source.as_deref(), Some("rms"));
    assert_eq!(question.resource.record_class.as_str(), "VEHICLE");
    assert!(question.resource.caveats.is_empty());
    assert_eq!(question.why.purpose.map(|code| code.to_string()).as_deref(), Some("C"));
    assert_eq!(question.why.case_number.map(|n| n.to_string()).as_deref(), Some("24-000113"));
    assert_eq!(question.allowed_functions.len(), 4);
    assert_eq!(question.now, NOW);
}

#[test]
fn errors_name_the_input_and_not_what_was_typed() {
    let tool = demo_tool("vehicle-lookup");
    let outcome =
        plan(&tool, &[("plate", "x"), ("state", "ZZ"), ("purpose", "C"), ("case_number", "113")]);
    assert_eq!(
        refused(outcome),
        [
            "plate: Licence plate is not in the expected form. 2 to 8 letters or digits. End with * to \
             match any ending.",
            "state: Choose State from the list.",
            "case_number: Case number is not in the expected form. Two digits, a dash and six digits, \
             such as 24-000113. Needed with purpose C.",
        ]
    );
    assert_eq!(
        refused(plan(&tool, &[("purpose", "C")])),
        ["plate: Fill in: Licence plate.", "case_number: Fill in: Case number."]
    );
    assert_eq!(
        refused(plan(&tool, &[("plate", "7KDR419"), ("purpose", "")])),
        ["purpose: Choose: Purpose code."]
    );
    assert_eq!(
        refused(plan(&tool, &[("plate", "7KDR419\0"), ("purpose", "A")])),
        ["plate: Licence plate holds a character that can't be typed here."]
    );
}

#[test]
fn sql_typed_into_a_field_is_refused_or_bound_and_changes_no_statement() {
    let tool = demo_tool("person-search");
    let sql = tool.query("search").unwrap().sql.clone();
    for attempt in [
        "' or '1'='1",
        "'; drop table persons; --",
        "Marlow' union select * from persons --",
        "\\' or 1=1 #",
        ":juvenile",
        "$1",
        "{{input.last_name}}",
        "{% for x in range(9) %}",
        "%",
        "__",
        "COPY persons TO PROGRAM 'id'",
    ] {
        let form = [("last_name", attempt), ("first_name", attempt), ("purpose", "A")];
        match plan(&tool, &form) {
            Ok(planned) => {
                let query = query(&planned);
                assert_eq!(query.sql, sql, "{attempt}");
                let bound = tools::expression::like(&attempt.to_lowercase());
                assert_eq!(query.binds.get("last_name"), Some(&text(&bound)), "{attempt}");
                assert!(!bound.starts_with('%') && !bound.starts_with('_'), "{attempt}: {bound}");
            }
            Err(error) => {
                // One character is too short a name; it is refused, not run.
                assert_eq!(attempt, "%", "{error}");
            }
        }
    }
}

#[test]
fn sorting_filtering_and_paging_name_declared_columns_only() {
    let tool = demo_tool("vehicle-lookup");
    let with = |more: &[(&str, &str)]| plan(&tool, &[&SEARCH, more].concat());

    let sorted = with(&[("results.page", "7"), ("press", "results:sort:year:desc")]).unwrap();
    let view = query(&sorted).view.clone().unwrap();
    assert_eq!(view.page, 1, "a new order begins at the first page");
    assert_eq!(
        view.sort,
        [("year".to_owned(), Direction::Descending), ("id".to_owned(), Direction::Ascending)]
    );

    let paged = with(&[
        ("results.sort", "year:desc"),
        ("results.filter.make", "Ford"),
        ("results.filter.year", "2019"),
        ("results.filter.state", " "),
        ("press", "results:page:3"),
    ]);
    let view = query(&paged.unwrap()).view.clone().unwrap();
    assert_eq!((view.page, view.sort[0].0.as_str()), (3, "year"));
    let filters: Vec<_> = view.filters.iter().map(|f| (f.column.as_str(), &f.value)).collect();
    assert_eq!(
        filters,
        [("state_", &Value::Null); 0]
            .into_iter()
            .chain([("year", &Value::Int(2019)), ("make", &text("Ford"))])
            .collect::<Vec<_>>()
    );

    for (more, expected) in [
        (("results.sort", "vin:asc"), "results.sort: The table can't be sorted by that column."),
        (
            ("results.sort", "id;drop:asc"),
            "results.sort: The table can't be sorted by that column.",
        ),
        (("results.sort", "year:up"), "results.sort: The table can't be sorted by that column."),
        (("results.page", "0"), "results.page: Pages go from 1 to 10000."),
        (("results.page", "99999999999"), "results.page: Pages go from 1 to 10000."),
        (("results.filter.vin", "x"), "form: The form has a field that this tool does not."),
        (("results.filter.year", "x"), "results.filter.year: Year is a whole number."),
        (("results.filter.status", "gone"), "results.filter.status: Choose Status from the list."),
        (("form.sort", "year:asc"), "form: The form has a field that this tool does not."),
        (("sql", "select 1"), "form: The form has a field that this tool does not."),
        (("press", "results:drop"), "form: The form has a button that this tool does not."),
        (("plate", "7KDR419"), "form: The form has one field twice."),
    ] {
        assert_eq!(refused(with(&[more])), [expected], "{more:?}");
    }
}

#[test]
fn a_ticked_box_puts_its_caveat_to_the_policy() {
    let tool = demo_tool("person-search");
    let form = [("last_name", "Marlow"), ("purpose", "A"), ("juvenile", "yes")];
    let planned = plan(&tool, &form).unwrap();
    let caveats: Vec<String> = planned.resource.caveats.iter().map(ToString::to_string).collect();
    assert_eq!(caveats, ["JUVENILE"]);
    assert_eq!(query(&planned).caveat_column.as_deref(), Some("caveat"));
    assert_eq!(planned.why.reason.as_deref(), Some("Include juvenile records: yes"));
}

#[test]
fn the_open_row_brings_its_caveat_and_only_its_key_is_bound() {
    let tool = demo_tool("person-search");
    let form = submission(&tool, &[("last_name", "Marlow"), ("purpose", "A"), ("juvenile", "yes")]);
    let someone = person("detective");
    let values = [("id", text("P-000114")), ("caveat", text("JUVENILE"))];
    let row = Row { values: values.map(|(column, value)| (column.to_owned(), value)).into() };
    let planned = tool.plan_row("detail", &form, &row, &someone.context()).unwrap();
    let view = query(&planned).view.clone().unwrap();
    assert_eq!((view.filters.len(), view.page_size), (1, 2));
    assert_eq!(
        (view.filters[0].column.as_str(), &view.filters[0].value),
        ("id", &text("P-000114"))
    );
    assert!(planned.resource.caveats.contains(&"JUVENILE".parse().unwrap()));

    let planned = tool.plan("person_vehicles", &form, Some(&row), &someone.context()).unwrap();
    assert_eq!(query(&planned).binds, [("owner".to_owned(), text("P-000114"))].into());
    let outcome = tool.plan("person_vehicles", &form, None, &someone.context());
    assert_eq!(refused(outcome), ["the tool has no row of that name"]);
}

#[test]
fn a_write_asks_for_its_own_functions_and_says_why() {
    let tool = demo_tool("vehicle-lookup");
    let clerk = person("records-clerk");
    let mut sent = SEARCH.to_vec();
    sent.extend([("reason", "Seen at the scene"), ("until", "2026-12-24")]);
    let form = submission(&tool, &sent);
    let planned = tool.plan_write("do_flag", &form, Some(&row()), &clerk.context()).unwrap();
    assert_eq!(planned.action, policy::Action::WriteRecord);
    let functions: Vec<String> =
        planned.allowed_functions.iter().map(ToString::to_string).collect();
    assert_eq!(functions, ["detective", "records-clerk", "supervisor"]);
    assert_eq!(planned.why.reason.as_deref(), Some("Seen at the scene"));
    let query = query(&planned);
    assert_eq!((query.expect_rows, query.mode), (Some(1), gate::Mode::Write));
    assert_eq!(
        query.binds,
        [
            ("id".to_owned(), text("V-000113")),
            ("reason".to_owned(), text("Seen at the scene")),
            ("until".to_owned(), text("2026-12-24")),
            ("who".to_owned(), text("riverton|det.ruiz")),
        ]
        .into()
    );
}

#[test]
fn a_write_is_refused_where_its_condition_or_its_inputs_do_not_hold() {
    let tool = demo_tool("vehicle-lookup");
    let clerk = person("records-clerk");
    let write = |sent: &[(&str, &str)], row: Option<&Row>| {
        let form = submission(&tool, &[&SEARCH, sent].concat());
        refused(tool.plan_write("do_flag", &form, row, &clerk.context()))
    };
    let good = [("reason", "Seen"), ("until", "2026-12-24")];
    let mut flagged = row();
    flagged.values.insert("status".to_owned(), text("flagged"));
    assert_eq!(write(&good, Some(&flagged)), ["the action is not offered for this row"]);
    // Without the fetched row the condition can't be told, and in doubt it does not hold.
    assert_eq!(write(&good, None), ["the action is not offered for this row"]);
    let far = [("reason", ""), ("until", "2027-12-24")];
    assert_eq!(
        write(&far, Some(&row())),
        ["reason: Fill in: Reason for the flag.", "until: Choose a date in the next 90 days."]
    );
    let today = [("reason", "Seen"), ("until", "2026-11-22")];
    assert_eq!(write(&today, Some(&row())), ["until: Choose a date in the next 90 days."]);
    let long = "x".repeat(401);
    assert_eq!(
        write(&[("reason", &long), ("until", "tomorrow")], Some(&row())),
        [
            "reason: Reason for the flag has 401 characters; at most 400 fit.",
            "until: Write the day as year-month-day, such as 2026-01-31.",
        ]
    );
}

#[test]
fn an_export_plans_each_of_its_reads() {
    let tool = demo_tool("case-file");
    let detective = person("detective");
    let form = submission(
        &tool,
        &[("case_number", "24-000113"), ("purpose", "C"), ("reason", "Joint inquiry")],
    );
    let planned = tool.plan_export("export", &form, None, &detective.context()).unwrap();
    let reads: Vec<&str> = planned.reads.iter().map(|(query, _)| query.as_str()).collect();
    assert_eq!(reads, ["incident", "persons", "vehicles"]);
    assert_eq!(planned.evidence, ["evidence"]);
    assert_eq!(planned.why.reason.as_deref(), Some("Joint inquiry"));
    assert!(planned.resource.caveats.is_empty());
    for (id, planned) in &planned.reads {
        assert_eq!(planned.action, policy::Action::RunQuery);
        assert_eq!(query(planned).sql, tool.query(id).unwrap().sql);
        assert!(query(planned).view.is_none());
    }
}

#[test]
fn labels_show_values_as_text_and_conditions_in_doubt_do_not_hold() {
    let tool = demo_tool("vehicle-lookup");
    let someone = person("detective");
    let action = tool.action("do_flag").unwrap();
    let form =
        submission(&tool, &[&SEARCH[..], &[("until", "2026-12-24"), ("reason", "x")]].concat());
    let inputs = tool.inputs_of_action(action);
    let values = tool.values(&inputs, &form, &someone.context()).unwrap();
    let mut open = row();
    open.values.insert("plate".to_owned(), text("<b>{{7*7}}</b>"));
    let context = someone.context();
    let scene = tools::expression::Scene {
        inputs: &values,
        row: Some(&open.values),
        actor: &someone.actor,
        today: context.today,
    };
    assert_eq!(action.confirm.title.text(&scene).unwrap(), "Flag <b>{{7*7}}</b>?");
    let said = action.say.as_ref().unwrap().text(&scene).unwrap();
    assert_eq!(said, "<b>{{7*7}}</b> is flagged until 2026-12-24.");
    assert!(tool.offers(action, &scene));
    assert!(!tool.offers(action, &tools::expression::Scene { row: None, ..scene }));
}
