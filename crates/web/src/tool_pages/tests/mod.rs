//! Pages in full, for small cases.

mod drawers;
mod tables;

use std::collections::BTreeMap;

use gate::{Rows, Total, Value};
use tools::Tool;
use tools::form::Submission;
use tools::input::FieldError;

use super::build::Stage;
use super::view::{Message, Mood};
use super::{drawer, evidence, form, message, record, table, viewer};

const SMALL: &str = r#"
format = 1
id     = "small"
title  = "Small"
owner  = "Unit"
[handling]
record_class = "VEHICLE"
purpose      = "optional"
[access]
run   = ["detective"]
write = ["detective"]
[[input]]
id        = "plate"
label     = "Plate"
hint      = "Letters & digits"
type      = "text"
max       = 8
required  = true
sensitive = true
[[input]]
id      = "state"
label   = "State"
type    = "choice"
options = { values = ["NE", "CA"] }
empty   = "Any"
[[input]]
id          = "young"
label       = "Young too"
type        = "checkbox"
adds_caveat = "JUVENILE"
[[input]]
id       = "until"
label    = "Until"
type     = "date"
required = true
[[query]]
id         = "search"
connection = "rms"
mode       = "read"
max_rows   = 10
key        = ["id"]
bind       = { plate = "input.plate" }
sql        = "select id, plate, year from vehicles where plate = :plate"
[[query]]
id          = "flag"
connection  = "rms"
mode        = "write"
expect_rows = 1
bind        = { id = "row.id", until = "input.until" }
sql         = "update vehicles set until = :until where id = :id"
[[query]]
id         = "files"
connection = "rms"
mode       = "read"
max_rows   = 10
key        = ["id"]
bind       = { plate = "input.plate" }
sql        = "select id, name, media_type, size, store_key from files where plate = :plate"
[[action]]
id      = "flag"
label   = "Flag"
kind    = "write"
query   = "flag"
inputs  = ["until"]
needs   = "write"
confirm = { title = "Flag {row.plate}?", text = "One record changes.", button = "Yes", tone = "danger" }
[[part]]
id     = "form"
kind   = "form"
title  = "Find"
inputs = ["plate", "state", "young"]
run    = ["search", "files"]
into   = ["results", "facts", "papers"]
[[part]]
id      = "results"
kind    = "table"
title   = "Vehicles"
query   = "search"
columns = ["plate", "year:number"]
sort    = ["plate", "year"]
filter  = ["year"]
order   = "plate"
page    = 2
opens   = "detail"
empty   = "No vehicle."
[[part]]
id      = "detail"
kind    = "drawer"
title   = "Plate {row.plate}"
of      = "results"
fields  = ["plate", "year:number"]
actions = ["flag"]
[[part]]
id     = "facts"
kind   = "record"
title  = "Facts"
query  = "search"
fields = ["plate"]
[[part]]
id       = "papers"
kind     = "evidence"
title    = "Papers"
query    = "files"
store    = "evidence"
document = { id = "id", key = "store_key", name = "name", media_type = "media_type" }
fields   = ["size:bytes"]
empty    = "No papers."
"#;

fn small() -> Tool {
    Tool::parse("small.toml", SMALL, keys::digest::sha256).unwrap()
}

fn asked(tool: &Tool, sent: &[(&str, &str)]) -> Submission {
    let sent: Vec<_> = sent.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Submission::read(tool, &sent).unwrap()
}

fn rows(columns: &[&str], rows: Vec<Vec<Value>>, total: u64) -> Rows {
    Rows {
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        rows,
        total: Total::Exact(total),
        subjects: Vec::new(),
        caveat_column: None,
    }
}

fn said(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn vehicles() -> Rows {
    let first = vec![said("V-1"), said("<1ABC>"), Value::Int(2019)];
    let second = vec![said("V-2"), said("1ABD"), Value::Null];
    rows(&["id", "plate", "year"], vec![first, second], 5)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of a sealing function")]
fn seal(values: BTreeMap<String, Value>) -> Option<String> {
    values.get("id").map(|id| format!("sealed-{id}"))
}

/// A detective.
fn person() -> policy::Actor {
    let assurance = policy::Assurance {
        mfa: true,
        context: "mfa".to_owned(),
        authenticated_at: jiff::Timestamp::UNIX_EPOCH,
        stepped_up_at: None,
    };
    policy::Actor {
        id: "riverton|det.ruiz".parse().unwrap(),
        name: "Ruiz".to_owned(),
        agency: "NB0010100".parse().unwrap(),
        functions: ["detective".parse().unwrap()].into(),
        assurance,
        lacking: Vec::new(),
    }
}

/// Markup with a line for each element, so that a difference can be read.
fn lines(markup: &maud::Markup) -> String {
    markup.0.replace("><", ">\n<")
}

#[track_caller]
fn check(markup: &maud::Markup, expected: &str) {
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(lines(markup), expected.join("\n"));
}

#[test]
fn a_form_ties_hints_and_errors_to_its_fields_and_keeps_sensitive_text_from_third_parties() {
    let tool = small();
    let asked = asked(&tool, &[("plate", "a\"b"), ("state", "CA"), ("young", "yes")]);
    let stage = Stage { tool: &tool, asked: &asked, csrf: "t0ken", row: None };
    let errors = vec![FieldError { input: "plate".to_owned(), message: "No <quotes>.".to_owned() }];
    let view = stage.form(&tool.parts[0], "Find".to_owned(), errors).unwrap();
    check(
        &form(&view),
        r##"
        <section class="card" id="part-form" aria-labelledby="part-form-title">
        <h2 id="part-form-title">Find</h2>
        <div class="errors" role="group" aria-labelledby="in-errors" tabindex="-1" data-focus data-live="One entry needs another look. No &lt;quotes&gt;.">
        <h3 id="in-errors">One entry needs another look</h3>
        <ul>
        <li>
        <a href="#in-plate">No &lt;quotes&gt;.</a>
        </li>
        </ul>
        </div>
        <form class="fields" method="post" action="/tools/small/runs" data-frag="#tool" autocomplete="off" novalidate>
        <input type="hidden" name="csrf" value="t0ken">
        <div class="field field--bad usa-form-group usa-form-group--error">
        <label class="usa-label" for="in-plate">Plate <abbr class="usa-hint--required" title="required">*</abbr>
        </label>
        <div class="usa-hint" id="in-plate-hint">Letters &amp; digits</div>
        <div class="usa-error-message" id="in-plate-error">No &lt;quotes&gt;.</div>
        <input class="usa-input usa-input--error" type="text" id="in-plate" name="plate" value="a&quot;b" maxlength="8" autocomplete="off" spellcheck="false" translate="no" aria-describedby="in-plate-hint in-plate-error" aria-invalid="true" aria-required="true">
        </div>
        <div class="field usa-form-group">
        <label class="usa-label" for="in-state">State</label>
        <select class="usa-select" id="in-state" name="state" autocomplete="off">
        <option value="">Any</option>
        <option value="NE">NE</option>
        <option value="CA" selected>CA</option>
        </select>
        </div>
        <div class="field field--wide usa-form-group">
        <div class="usa-checkbox">
        <input class="usa-checkbox__input" type="checkbox" id="in-young" name="young" value="yes" checked>
        <label class="usa-checkbox__label" for="in-young">Young too</label>
        </div>
        </div>
        <div class="field__actions">
        <button class="usa-button" type="submit">Search</button>
        </div>
        </form>
        </section>
        "##,
    );
}

#[test]
fn evidence_links_carry_handles_and_say_whether_it_is_viewed_or_played() {
    let tool = small();
    let asked = asked(&tool, &[]);
    let stage = Stage { tool: &tool, asked: &asked, csrf: "t", row: None };
    let part = tool.part("papers").unwrap();
    let paper = |id: &str, name: &str, media_type: &str| {
        vec![said(id), said(name), said(media_type), Value::Int(2048), said("case/1")]
    };
    let found = rows(
        &["id", "name", "media_type", "size", "store_key"],
        vec![paper("E-1", "Statement", "application/pdf"), paper("E-2", "Door", "video/mp4")],
        2,
    );
    let view = stage.evidence_of(part, "Papers".to_owned(), &found, Some(7), &mut seal).unwrap();
    check(
        &evidence(&view),
        r##"
        <section class="card card--flush" id="part-papers" aria-labelledby="part-papers-title" data-live="Papers: 2 documents">
        <div class="toolbar">
        <h2 id="part-papers-title">Papers</h2>
        </div>
        <div class="tablebox" role="region" aria-labelledby="part-papers-caption" tabindex="0">
        <table class="table">
        <caption id="part-papers-caption">Papers: 2 documents</caption>
        <thead>
        <tr>
        <th scope="col">Document</th>
        <th scope="col" class="num">Size</th>
        <th scope="col">Show</th>
        </tr>
        </thead>
        <tbody>
        <tr>
        <th scope="row">Statement</th>
        <td class="num">
        <span class="nowrap">2.0 kB</span>
        </td>
        <td class="nowrap">
        <a href="/tools/small/evidence/papers/sealed-E-1">View<span class="usa-sr-only"> Statement</span>
        </a>
        </td>
        </tr>
        <tr>
        <th scope="row">Door</th>
        <td class="num">
        <span class="nowrap">2.0 kB</span>
        </td>
        <td class="nowrap">
        <a href="/tools/small/evidence/papers/sealed-E-2">Play<span class="usa-sr-only"> Door</span>
        </a>
        </td>
        </tr>
        </tbody>
        </table>
        </div>
        <div class="toolbar no-print">
        <span class="muted small">Ledger entry <span class="nowrap" data-entry="7">7</span>
        </span>
        </div>
        </section>
        "##,
    );
    assert!(!evidence(&view).0.contains("case/1"), "the store's key stays in the handle");
}

#[test]
fn a_viewer_shows_what_is_safe_to_show_and_offers_the_rest_for_saving() {
    let shows = |media_type: &str| viewer("Door", media_type, "/x/content").into_string();
    assert!(shows("video/mp4").contains("<video controls preload=\"metadata\" src=\"/x/content\""));
    assert!(shows("image/png").contains("<img src=\"/x/content\" alt=\"Door\">"));
    let link = "<a class=\"usa-button\" href=\"/x/content\">View Door</a>";
    assert!(shows("application/pdf").contains(link));
    for unsafe_type in ["image/svg+xml", "text/html", "application/xhtml+xml", ""] {
        let shown = shows(unsafe_type);
        assert!(shown.contains("can't be shown here") && !shown.contains("<img"), "{unsafe_type}");
    }
}

#[test]
fn records_and_messages_are_text() {
    let tool = small();
    let asked = asked(&tool, &[]);
    let stage = Stage { tool: &tool, asked: &asked, csrf: "t", row: None };
    let part = tool.part("facts").unwrap();
    let one = Rows { rows: vehicles().rows.into_iter().take(1).collect(), ..vehicles() };
    let view = stage.record_of(part, "Facts".to_owned(), &one, Some(9), vec![]).unwrap();
    check(
        &record(&view),
        r##"
        <section class="card" id="part-facts" aria-labelledby="part-facts-title" data-live="Facts">
        <h2 id="part-facts-title">Facts</h2>
        <dl class="kv">
        <div>
        <dt>Plate</dt>
        <dd>&lt;1ABC&gt;</dd>
        </div>
        </dl>
        <span class="muted small">Ledger entry <span class="nowrap" data-entry="9">9</span>
        </span>
        </section>
        "##,
    );
    let text = "<b>".to_owned();
    let told = Message { mood: Mood::Done, title: "Flagged".to_owned(), text, entry: Some(44) };
    check(
        &message(&told),
        r##"
        <div class="usa-alert usa-alert--success" tabindex="-1" data-focus data-live="Flagged &lt;b&gt;">
        <div class="usa-alert__body">
        <p class="usa-alert__heading">
        <strong>Flagged</strong>
        </p>
        <p class="usa-alert__text">&lt;b&gt;</p>
        <p class="usa-alert__text">Ledger entry <strong data-entry="44">44</strong>.</p>
        </div>
        </div>
        "##,
    );
    let text = "Your function may not.".to_owned();
    let told =
        Message { mood: Mood::Refused, title: "Not permitted".to_owned(), text, entry: Some(45) };
    check(
        &super::refused("facts", "Facts", &told),
        r##"
        <section class="card card--deny" id="part-facts" aria-labelledby="part-facts-title">
        <h2 id="part-facts-title">Facts</h2>
        <div class="usa-alert usa-alert--error" tabindex="-1" data-focus data-live="Not permitted Your function may not.">
        <div class="usa-alert__body">
        <p class="usa-alert__heading">
        <strong>Not permitted</strong>
        </p>
        <p class="usa-alert__text">Your function may not.</p>
        <p class="usa-alert__text">Quote ledger entry <strong data-entry="45">45</strong> when you ask about this.</p>
        </div>
        </div>
        </section>
        "##,
    );
}

/// Whatever stands in a row, it makes no markup: not in text, not in attributes.
#[test]
fn hostile_values_stay_text_everywhere() {
    let hostile = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}javascript:";
    let tool = small();
    let asked = asked(&tool, &[("plate", hostile), ("results.filter.year", hostile)]);
    let stage = Stage { tool: &tool, asked: &asked, csrf: "t", row: Some("h") };
    let evil = rows(
        &["id", "plate", "year", "name", "media_type", "size", "store_key"],
        vec![vec![said(hostile); 7]],
        1,
    );
    let part = |id: &str| tool.part(id).unwrap();
    let title = || hostile.to_owned();
    let mut seal = |_: BTreeMap<String, Value>| Some("h".to_owned());
    let pages = [
        form(&stage.form(part("form"), title(), vec![]).unwrap()),
        table(&stage.table_of(part("results"), title(), &evil, None, None, &mut seal).unwrap()),
        drawer(&stage.drawer_of(part("detail"), title(), &evil, None, vec![]).unwrap()),
        record(&stage.record_of(part("facts"), title(), &evil, None, vec![]).unwrap()),
        evidence(&stage.evidence_of(part("papers"), title(), &evil, None, &mut seal).unwrap()),
        viewer(hostile, hostile, "/x"),
    ];
    for page in pages {
        let page = page.into_string();
        assert!(page.contains("alert(1)"), "the value is shown");
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        // Every quote inside an attribute is escaped, so none can end it.
        assert!(!page.contains("\"'>"), "{page}");
    }
}
