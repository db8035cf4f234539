//! Bad actions, parts and tests, with everything that is said about them.

use crate::bad_files::check;

const ACTIONS: &[(&str, &str, &str, &[&str])] = &[
    (
        "vehicle-lookup",
        "kind    = \"write\"\nquery   = \"flag\"",
        "kind    = \"write\"\nquery   = \"search\"",
        &[
            "-16 `query.flag.id`: expected a query that a part or action uses; `flag` is not",
            "-12 `query.flag.bind.id`: expected an expression without `row.id`: no row is open here",
            "-12 `query.flag.bind.reason`: expected known names; `input.reason` is none of them",
            "-12 `query.flag.bind.until`: expected known names; `input.until` is none of them",
            "+1 `action.do_flag.query`: expected a query with `mode = \"write\"`; `search` reads",
        ],
    ),
    (
        "vehicle-lookup",
        "inputs  = [\"reason\", \"until\"]",
        "inputs  = [\"reason\", \"until\", \"plate\"]",
        &[
            "+0 `action.do_flag.inputs`: expected inputs that do not find the row; `search` binds `plate`",
        ],
    ),
    (
        "vehicle-lookup",
        "inputs  = [\"reason\", \"until\"]",
        "inputs  = [\"reason\"]",
        &[
            "-58 `input.until.id`: expected an input that a form or action asks for; `until` is not",
            "-14 `query.flag.bind.until`: expected known names; `input.until` is none of them",
            "+4 `action.do_flag.then`: expected known names; `input.until` is none of them",
        ],
    ),
    (
        "vehicle-lookup",
        "needs   = \"write\"",
        "needs   = \"export\"",
        &[
            "+0 `action.do_flag.needs`: expected a list of [access] with functions; `export` has none",
        ],
    ),
    (
        "vehicle-lookup",
        "when    = \"row.status != 'flagged'\"",
        "when    = \"row.stat != 'flagged'\"",
        &["+0 `action.do_flag.when`: expected known names; `row.stat` may mean `row.state`"],
    ),
    (
        "vehicle-lookup",
        "title = \"Flag {row.plate}?\"",
        "title = \"Flag {row.plate?\"",
        &["+0 `action.do_flag.confirm.title`: expected a `{` and a `}` around each expression"],
    ),
    (
        "vehicle-lookup",
        "tone = \"danger\" }",
        "tone = \"red\" }",
        &["+0 `action.do_flag.confirm.tone`: expected one of `plain` and `danger`"],
    ),
    (
        "vehicle-lookup",
        "\"refresh:detail\"",
        "\"reload:detail\"",
        &["+0 `action.do_flag.then`: expected steps `refresh:part` and at most one `say:text`"],
    ),
    (
        "vehicle-lookup",
        "\"refresh:detail\"",
        "\"refresh:details\"",
        &["+0 `action.do_flag.then`: expected the id of a part; `details` is none"],
    ),
    (
        "vehicle-lookup",
        "confirm = {",
        "confirmation = {",
        &[
            "-8 `action.do_flag.confirm`: expected a question with `title` and `button`: nothing is done unasked",
            "+0 `action.do_flag.confirmation`: expected one of the keys `id`, `label`, `kind`, `query`, `queries`, `evidence`, `inputs`, `needs`, `when`, `confirm` and `then`",
        ],
    ),
    (
        "vehicle-lookup",
        "actions = [\"do_flag\"]",
        "actions = []",
        &[
            "-53 `query.flag.bind.id`: expected an expression without `row.id`: no row is open here",
            "-43 `action.do_flag.id`: expected an action that a part offers; `do_flag` is not",
            "-37 `action.do_flag.when`: expected an expression without `row.status`: no row is open here",
            "-36 `action.do_flag.confirm.title`: expected an expression without `row.plate`: no row is open here",
            "-35 `action.do_flag.then`: expected an expression without `row.plate`: no row is open here",
        ],
    ),
    (
        "case-file",
        "queries  = [\"incident\", ",
        "queries  = [\"incidents\", ",
        &[
            "+0 `action.export.queries`: expected the id of a query; `incidents` is none; the nearest is `incident`",
        ],
    ),
    (
        "case-file",
        "evidence = [\"evidence\"]",
        "evidence = [\"persons\"]",
        &["+0 `action.export.evidence`: expected the id of an evidence part; `persons` is none"],
    ),
    (
        "case-file",
        "kind     = \"export\"",
        "kind     = \"mail\"",
        &["+0 `action.export.kind`: expected one of `write` and `export`"],
    ),
];

#[test]
fn actions() {
    check(ACTIONS);
}

const PARTS: &[(&str, &str, &str, &[&str])] = &[
    (
        "vehicle-lookup",
        "kind   = \"form\"",
        "kind   = \"from\"",
        &[
            "+0 `part.form.kind`: expected one of `form`, `table`, `drawer`, `record` and `evidence`; the nearest is `form`",
        ],
    ),
    (
        "vehicle-lookup",
        "title   = \"Vehicles\"",
        "title   = \"\"",
        &["+0 `part.results.title`: expected a heading; a part without one can't be found by ear"],
    ),
    (
        "vehicle-lookup",
        "title   = \"Vehicles\"",
        "title   = \"{row.plate}\"",
        &[
            "+0 `part.results.title`: expected an expression without `row.plate`: no row is open here",
        ],
    ),
    (
        "vehicle-lookup",
        "at     = [1, 1, 12, 2]",
        "at     = [2, 1, 12, 2]",
        &["+0 `part.form.at`: expected [column, row, width, height] from 1, within 12 columns"],
    ),
    (
        "vehicle-lookup",
        "run    = \"search\"",
        "run    = \"serch\"",
        &[
            "+0 `part.form.run`: expected each query that its parts show; `search` is missing",
            "+0 `part.form.run`: expected the id of a query; `serch` is none; the nearest is `search`",
            "+1 `part.form.into`: expected a part that shows each query it runs; none shows `serch`",
        ],
    ),
    (
        "vehicle-lookup",
        "into   = \"results\"",
        "into   = \"detail\"",
        &[
            "+0 `part.form.into`: expected a part that shows each query it runs; none shows `search`",
            "+3 `part.results.id`: expected a part that a form's `into` leads to; none leads to `results`",
        ],
    ),
    (
        "vehicle-lookup",
        "columns = [\"plate\", \"state\",",
        "columns = [\"plate\", \"stat\",",
        &[
            "+0 `part.results.columns`: expected columns of query `search`; `stat` is none; the nearest is `state`",
            "+1 `part.results.sort`: expected columns that the table shows; `state` is none",
            "+2 `part.results.filter`: expected columns that the table shows; `state` is none",
        ],
    ),
    (
        "vehicle-lookup",
        "\"year:number\"",
        "\"year:money\"",
        &[
            "+0 `part.results.columns`: expected a format of `text`, `longtext`, `number`, `date`, `datetime`, `badge` and `bytes`; `money` is none",
            "+1 `part.results.sort`: expected columns that the table shows; `year` is none",
            "+2 `part.results.filter`: expected columns that the table shows; `year` is none",
        ],
    ),
    (
        "vehicle-lookup",
        "sort    = [\"plate\", \"state\", \"year\", \"make\", \"status\"]",
        "sort    = [\"plate\", \"vin\"]",
        &["+0 `part.results.sort`: expected columns that the table shows; `vin` is none"],
    ),
    (
        "vehicle-lookup",
        "choices = { state =",
        "choices = { vin =",
        &[
            "+0 `part.results.choices.vin`: expected one of the keys `state`, `make`, `year` and `status`",
        ],
    ),
    (
        "vehicle-lookup",
        "order   = \"plate\"",
        "order   = \"plate down\"",
        &["+0 `part.results.order`: expected `plate asc` or `plate desc`"],
    ),
    (
        "vehicle-lookup",
        "page    = 25",
        "page    = 5000",
        &["+0 `part.results.page`: expected a whole number from 1 to 200"],
    ),
    (
        "vehicle-lookup",
        "max_rows   = 5000",
        "max_rows   = 20",
        &["+72 `part.results.page`: expected a whole number from 1 to 20"],
    ),
    (
        "vehicle-lookup",
        "opens   = \"detail\"",
        "opens   = \"events\"",
        &["+0 `part.results.opens`: expected the id of a drawer; `events` is none"],
    ),
    (
        "vehicle-lookup",
        "of      = \"results\"",
        "of      = \"form\"",
        &[
            "-62 `query.history.bind.vehicle`: expected an expression without `row.id`: no row is open here",
            "-50 `query.flag.bind.id`: expected an expression without `row.id`: no row is open here",
            "-34 `action.do_flag.when`: expected an expression without `row.status`: no row is open here",
            "-33 `action.do_flag.confirm.title`: expected an expression without `row.plate`: no row is open here",
            "-32 `action.do_flag.then`: expected an expression without `row.plate`: no row is open here",
            "+0 `part.detail.of`: expected the id of a table; `form` is none",
            "+8 `part.events.title`: expected an expression without `row.plate`: no row is open here",
        ],
    ),
    (
        "vehicle-lookup",
        "in      = \"detail\"",
        "in      = \"results\"",
        &[
            "-71 `query.history.bind.vehicle`: expected an expression without `row.id`: no row is open here",
            "-1 `part.events.title`: expected an expression without `row.plate`: no row is open here",
            "+0 `part.events.in`: expected the id of a drawer; `results` is none",
        ],
    ),
    (
        "vehicle-lookup",
        "empty   = \"No vehicle of record matches.\"",
        "store = \"x\"",
        &["+0 `part.results.store`: expected no `store` with `kind = \"table\"`"],
    ),
    (
        "vehicle-lookup",
        "labels  = { vin = \"VIN\", ",
        "labels  = { wheel = \"W\", ",
        &["+0 `part.detail.labels`: expected labels of columns that are shown; `wheel` is not"],
    ),
    (
        "vehicle-lookup",
        "inputs = [\"plate\", \"state\", \"purpose\", \"case_number\"]",
        "inputs = [\"plate\", \"state\", \"case_number\"]",
        &[
            "-98 `input.purpose.id`: expected an input that a form or action asks for; `purpose` is not",
            "+0 `part.form.inputs`: expected a required input `purpose`, since [handling] demands a purpose",
        ],
    ),
    (
        "case-file",
        "store_key\", name = \"title\"",
        "storekey\", name = \"title\"",
        &[
            "+0 `part.evidence.document.key`: expected a column of query `evidence`; `storekey` is none",
        ],
    ),
    (
        "case-file",
        "run     = [\"incident\", \"persons\",",
        "run     = [\"incident\",",
        &["+0 `part.form.run`: expected each query that its parts show; `persons` is missing"],
    ),
];

#[test]
fn parts() {
    check(PARTS);
}

const TEST_BLOCKS: &[(&str, &str, &str, &[&str])] = &[
    (
        "vehicle-lookup",
        "expect = { error = \"case_number\" }",
        "expect = { error = \"case\" }",
        &[
            "+0 `test.C needs a case number.expect.error`: expected the id of an input; `case` is none",
        ],
    ),
    (
        "vehicle-lookup",
        "expect = { error = \"case_number\" }",
        "expect = { }",
        &[
            "+0 `test.C needs a case number.expect.error`: expected either `error`, or `bind` and `caveats`",
        ],
    ),
    (
        "vehicle-lookup",
        "input  = { plate = \"1ABC*\", purpose = \"C\" }",
        "input  = { plates = \"1ABC*\" }",
        &["+0 `test.C needs a case number.input.plates`: expected the id of an input"],
    ),
    (
        "vehicle-lookup",
        "query  = \"flag\"",
        "query  = \"flags\"",
        &[
            "+0 `test.a flag can't reach back.query`: expected the id of a query; `flags` is none; the nearest is `flag`",
        ],
    ),
    (
        "vehicle-lookup",
        "expect = { bind = { plate =",
        "expect = { bind = { plates =",
        &[
            "+0 `test.a star at the end matches any ending, and other signs are ta.expect.bind.plates`: expected a name that a query binds",
        ],
    ),
];

#[test]
fn test_blocks() {
    check(TEST_BLOCKS);
}
