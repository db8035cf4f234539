//! Drawers and the question before a write.

use std::collections::BTreeMap;

use gate::Rows;
use tools::input::FieldError;

use super::{asked, check, person, rows, said, small, vehicles};
use crate::tool_pages::build::Stage;
use crate::tool_pages::view::ActionButton;
use crate::tool_pages::{confirm, drawer};

#[test]
fn a_drawer_carries_its_row_and_the_search_that_found_it() {
    let tool = small();
    let sent = [("plate", "1AB"), ("results.page", "2"), ("until", "2026-01-01")];
    let asked = asked(&tool, &sent);
    let stage = Stage { tool: &tool, asked: &asked, csrf: "t", row: Some("sealed-V-1") };
    let part = tool.part("detail").unwrap();
    let one = Rows { rows: vehicles().rows.into_iter().take(1).collect(), ..vehicles() };
    let into = Some("part-detail".to_owned());
    let tone = tools::definition::Tone::Danger;
    let button = ActionButton { action: "flag".to_owned(), label: "Flag".to_owned(), tone, into };
    let title = "Plate <1ABC>".to_owned();
    let view = stage.drawer_of(part, title, &one, Some(43), vec![button]).unwrap();
    check(
        &drawer(&view),
        r##"
        <section class="drawer" id="part-detail" aria-labelledby="part-detail-title" data-live="Plate &lt;1ABC&gt; is open">
        <div class="drawer__head">
        <h2 id="part-detail-title" tabindex="-1" data-focus>Plate &lt;1ABC&gt;</h2>
        <form method="post" action="/tools/small/rows" data-frag="#part-detail" autocomplete="off">
        <input type="hidden" name="csrf" value="t">
        <input type="hidden" name="plate" value="1AB">
        <input type="hidden" name="results.page" value="2">
        <input type="hidden" name="row" value="sealed-V-1">
        <button class="usa-button usa-button--unstyled" type="submit" name="step" value="close">Close<span class="usa-sr-only"> Plate &lt;1ABC&gt;</span>
        </button>
        </form>
        </div>
        <dl class="kv kv--tight">
        <div>
        <dt>Plate</dt>
        <dd>&lt;1ABC&gt;</dd>
        </div>
        <div>
        <dt>Year</dt>
        <dd>2019</dd>
        </div>
        </dl>
        <form class="drawer__foot" method="post" action="/tools/small/actions/flag" data-frag="#part-detail" autocomplete="off">
        <input type="hidden" name="csrf" value="t">
        <input type="hidden" name="plate" value="1AB">
        <input type="hidden" name="results.page" value="2">
        <input type="hidden" name="row" value="sealed-V-1">
        <button class="usa-button usa-button--danger" type="submit">Flag</button>
        </form>
        <span class="muted small">Ledger entry <span class="nowrap" data-entry="43">43</span>
        </span>
        </section>
        "##,
    );
}

#[test]
fn a_row_that_is_gone_or_doubled_shows_no_values() {
    let tool = small();
    let asked = asked(&tool, &[("plate", "1AB")]);
    let stage = Stage { tool: &tool, asked: &asked, csrf: "t", row: Some("h") };
    let part = tool.part("detail").unwrap();
    for found in [rows(&["id", "plate", "year"], vec![], 0), vehicles()] {
        let view = stage.drawer_of(part, "P".to_owned(), &found, None, vec![]).unwrap();
        let shown = drawer(&view).into_string();
        assert!(shown.contains("no longer among what you searched for") && !shown.contains("1ABD"));
    }
}

#[test]
fn the_question_before_a_write_asks_for_its_inputs_and_carries_the_rest() {
    let tool = small();
    let asked = asked(&tool, &[("plate", "1AB"), ("until", "2026-13-01")]);
    let stage = Stage { tool: &tool, asked: &asked, csrf: "t", row: Some("h") };
    let person = person();
    let row = BTreeMap::from([("plate".to_owned(), said("<1ABC>"))]);
    let values = tools::input::Values::default();
    let today = jiff::civil::Date::constant(2026, 11, 22);
    let scene =
        tools::expression::Scene { inputs: &values, row: Some(&row), actor: &person, today };
    let part = tool.part("detail").unwrap();
    assert_eq!(stage.buttons(part, &scene).len(), 1);
    let message = "Write the day as year-month-day, such as 2026-01-31.".to_owned();
    let errors = vec![FieldError { input: "until".to_owned(), message }];
    let view = stage.confirm(part, tool.action("flag").unwrap(), &scene, errors);
    check(
        &confirm(&view),
        r##"
        <section class="drawer" id="part-detail" aria-labelledby="part-detail-title" data-live="Flag &lt;1ABC&gt;?">
        <h2 id="part-detail-title" tabindex="-1">Flag &lt;1ABC&gt;?</h2>
        <p>One record changes.</p>
        <div class="errors" role="group" aria-labelledby="ask-flag-errors" tabindex="-1" data-focus data-live="One entry needs another look. Write the day as year-month-day, such as 2026-01-31.">
        <h3 id="ask-flag-errors">One entry needs another look</h3>
        <ul>
        <li>
        <a href="#ask-flag-until">Write the day as year-month-day, such as 2026-01-31.</a>
        </li>
        </ul>
        </div>
        <form class="rows" method="post" action="/tools/small/actions/flag" data-frag="#tool" data-once autocomplete="off" novalidate>
        <input type="hidden" name="csrf" value="t">
        <input type="hidden" name="plate" value="1AB">
        <input type="hidden" name="row" value="h">
        <div class="field field--bad usa-form-group usa-form-group--error">
        <label class="usa-label" for="ask-flag-until">Until <abbr class="usa-hint--required" title="required">*</abbr>
        </label>
        <div class="usa-error-message" id="ask-flag-until-error">Write the day as year-month-day, such as 2026-01-31.</div>
        <input class="usa-input usa-input--error" type="date" id="ask-flag-until" name="until" value="2026-13-01" autocomplete="off" aria-describedby="ask-flag-until-error" aria-invalid="true" aria-required="true">
        </div>
        <div class="drawer__foot">
        <button class="usa-button usa-button--danger" type="submit" name="step" value="do">Yes</button>
        <button class="usa-button usa-button--outline" type="submit" name="step" value="back" formaction="/tools/small/rows" data-frag="#part-detail">Cancel</button>
        </div>
        </form>
        </section>
        "##,
    );
}

#[test]
fn a_button_is_not_shown_to_functions_that_may_not_press_it() {
    let tool = small();
    let asked = asked(&tool, &[]);
    let stage = Stage { tool: &tool, asked: &asked, csrf: "t", row: None };
    let mut person = person();
    person.functions = ["patrol-officer".parse().unwrap()].into();
    let values = tools::input::Values::default();
    let today = jiff::civil::Date::constant(2026, 11, 22);
    let scene = tools::expression::Scene { inputs: &values, row: None, actor: &person, today };
    assert!(stage.buttons(tool.part("detail").unwrap(), &scene).is_empty());
}
