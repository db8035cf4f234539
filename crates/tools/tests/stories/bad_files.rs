//! Every kind of bad file, with everything that is said about it.

/// A demo tool with one place changed, and all that is then wrong with it. Lines are counted from
/// the change, so that they do not move with the file.
#[track_caller]
pub(crate) fn check(cases: &[(&str, &str, &str, &[&str])]) {
    for (id, from, to, expected) in cases {
        let text = crate::common::demo_text(id);
        assert!(text.contains(from), "`{from}` is in the file");
        let text = text.replacen(from, to, 1);
        let before = text.split(to).next().unwrap_or_default();
        let at = i64::try_from(before.matches('\n').count()).unwrap_or_default() + 1;
        let at = if to.is_empty() { 1 } else { at };
        let file = format!("{id}.toml");
        let problems = crate::common::parse(&file, &text).err().unwrap_or_default();
        let said = problems.iter().map(|problem| {
            let text = problem.to_string();
            let prefix = format!("{file}:{}: ", problem.line);
            let line = i64::from(problem.line) - at;
            format!("{line:+} {}", text.strip_prefix(&prefix).unwrap_or(&text))
        });
        let said: Vec<String> = said.collect();
        assert_eq!(said, *expected, "{from} -> {to}");
    }
}

#[test]
fn the_whole_problem_reads_as_one_line() {
    let text =
        crate::common::demo_text("vehicle-lookup").replace("pattern   = '[A", "pattrn = '[A");
    let problems = crate::common::parse("vehicle-lookup.toml", &text).map(|_| ()).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "vehicle-lookup.toml:24: `input.plate.pattrn`: expected a key that exists here; the nearest \
         is `pattern`"
    );
}

const THE_TOP_OF_A_FILE: &[(&str, &str, &str, &[&str])] = &[
    ("vehicle-lookup", "format  = 1\n", "", &["+0 `format`: expected `format = 1`"]),
    ("vehicle-lookup", "format  = 1", "format = 2", &["+0 `format`: expected `format = 1`"]),
    ("vehicle-lookup", "format  = 1", "format = \"1\"", &["+0 `format`: expected `format = 1`"]),
    (
        "vehicle-lookup",
        "\"vehicle-lookup\"",
        "\"vehicles\"",
        &[
            "+0 `id`: expected the name of the file without `.toml`; this file is not `vehicles.toml`",
        ],
    ),
    (
        "vehicle-lookup",
        "\"vehicle-lookup\"",
        "\"Vehicle Lookup\"",
        &["+0 `id`: expected small letters, digits and dashes, such as \"vehicle-lookup\""],
    ),
    (
        "vehicle-lookup",
        "title   = \"Vehicle lookup\"",
        "titel   = \"Vehicle lookup\"",
        &[
            "-3 `title`: expected this key, with text in quotes",
            "+0 `titel`: expected a key that exists here; the nearest is `title`",
        ],
    ),
    (
        "vehicle-lookup",
        "title   = \"Vehicle lookup\"",
        "title = 7",
        &["+0 `title`: expected text in quotes"],
    ),
    (
        "vehicle-lookup",
        "title   = \"Vehicle lookup\"",
        "title = \" \"",
        &["+0 `title`: expected text of 1 to 80 characters"],
    ),
    (
        "vehicle-lookup",
        "[handling]\nrecord_class = \"VEHICLE\"",
        "[handling]\nrecord_class = \"vehicle\"",
        &["+1 `handling.record_class`: expected a record class, such as \"CJI\""],
    ),
    (
        "vehicle-lookup",
        "run   = [\"patrol-officer\",",
        "run   = [\"Patrol\",",
        &["+0 `access.run`: expected job functions, such as [\"detective\"]; `Patrol` is none"],
    ),
    (
        "vehicle-lookup",
        "purpose      = \"required\"",
        "purpose      = \"requird\"",
        &[
            "+0 `handling.purpose`: expected one of `required` and `optional`; the nearest is `required`",
        ],
    ),
];

#[test]
fn the_top_of_a_file() {
    check(THE_TOP_OF_A_FILE);
}

const TOML_IS_VERSION_1_0: &[(&str, &str, &str, &[&str])] = &[
    (
        "vehicle-lookup",
        "title   = \"Vehicle lookup\"",
        "title   = \"Vehicle lookup",
        &["+0 `toml`: expected TOML that parses; invalid basic string, expected `\"`"],
    ),
    (
        "vehicle-lookup",
        "options = { list = \"us-states\" }",
        "options = { list = \"us-states\", }",
        &["+0 `toml`: expected no comma before `}`, as TOML 1.0 has it"],
    ),
    (
        "vehicle-lookup",
        "options = { list = \"us-states\" }",
        "options = {\n list = \"us-states\" }",
        &["+0 `toml`: expected an inline table on one line, as TOML 1.0 has it"],
    ),
    (
        "vehicle-lookup",
        "title   = \"Vehicle lookup\"",
        "title   = \"Vehicle\\x20lookup\"",
        &["+0 `toml`: expected an escape of TOML 1.0; `\\e` and `\\x` are not"],
    ),
    (
        "vehicle-lookup",
        "title   = \"Vehicle lookup\"",
        "title = \"a\"\ntitle = \"b\"",
        &["+1 `toml`: expected TOML that parses; duplicate key"],
    ),
];

#[test]
fn toml_is_version_1_0() {
    check(TOML_IS_VERSION_1_0);
}

const INPUTS: &[(&str, &str, &str, &[&str])] = &[
    (
        "vehicle-lookup",
        "type      = \"text\"",
        "type      = \"txt\"",
        &[
            "+0 `input.plate.type`: expected one of `text`, `longtext`, `choice`, `date`, `number` and `checkbox`; the nearest is `text`",
        ],
    ),
    (
        "vehicle-lookup",
        "list = \"us-states\" }\nempty",
        "list = \"states\" }\nempty",
        &[
            "+0 `input.state.options.list`: expected one of the lists `us-states` and `ncic-purpose-codes`",
        ],
    ),
    (
        "vehicle-lookup",
        "pattern   = '[A-Z0-9 ]{2,8}[*]?'",
        "pattern   = '[A-Z'",
        &[
            "+0 `input.plate.pattern`: expected a regular expression that parses and is not too large",
        ],
    ),
    (
        "vehicle-lookup",
        "pattern   = '[A-Z0-9 ]{2,8}[*]?'",
        "pattern   = '(((a{99}){99}){99}){99}'",
        &[
            "+0 `input.plate.pattern`: expected a regular expression that parses and is not too large",
        ],
    ),
    (
        "vehicle-lookup",
        "clean     = [\"trim\", \"upper\"]",
        "clean     = [\"trim\", \"uper\"]",
        &["+0 `input.plate.clean`: expected one of `trim`, `upper` and `lower`; `uper` is none"],
    ),
    (
        "vehicle-lookup",
        "empty   = \"Any state\"",
        "max = 5",
        &["+0 `input.state.max`: expected no `max` with `type = \"choice\"`"],
    ),
    (
        "vehicle-lookup",
        "id      = \"state\"",
        "id      = \"plate\"",
        &[
            "+0 `input.plate.id`: expected an id that is there once; `plate` is there already",
            "+105 `part.form.inputs`: expected the id of an input; `state` is none",
        ],
    ),
    (
        "vehicle-lookup",
        "id      = \"state\"",
        "id      = \"csrf\"",
        &[
            "+0 `input.csrf.id`: expected an input that a form or action asks for; `csrf` is not",
            "+0 `input.csrf.id`: expected another name; `csrf` is a field of every form",
            "+105 `part.form.inputs`: expected the id of an input; `state` is none",
        ],
    ),
    (
        "vehicle-lookup",
        "sensitive = true",
        "sensitive = \"yes\"",
        &["+0 `input.plate.sensitive`: expected true or false"],
    ),
    (
        "vehicle-lookup",
        "sensitive = true",
        "sensitive = true\naudit = true",
        &[
            "+1 `input.plate.audit`: expected either `audit` or `sensitive`: the ledger keeps what is audited",
        ],
    ),
    (
        "vehicle-lookup",
        "required_when = \"input.purpose == 'C'\"",
        "required_when = \"input.porpose == 'C'\"",
        &[
            "+0 `input.case_number.required_when`: expected known names; `input.porpose` may mean `input.purpose`",
        ],
    ),
];

#[test]
fn inputs() {
    check(INPUTS);
}

const QUERIES: &[(&str, &str, &str, &[&str])] = &[
    (
        "vehicle-lookup",
        "mode       = \"read\"\ntimeout",
        "mode       = \"write\"\ntimeout",
        &[
            "+7 `query.search.sql`: expected an `insert`, `update` or `delete`, since the mode is write",
        ],
    ),
    (
        "vehicle-lookup",
        "timeout    = \"5s\"",
        "timeout    = \"5m\"",
        &["+0 `query.search.timeout`: expected seconds from \"1s\" to \"60s\""],
    ),
    (
        "vehicle-lookup",
        "max_rows   = 5000",
        "max_rows   = 50000",
        &["+0 `query.search.max_rows`: expected a whole number from 1 to 10000"],
    ),
    (
        "vehicle-lookup",
        "max_rows   = 5000\n",
        "",
        &["+71 `query.search.max_rows`: expected how many rows one run may give, 1 to 10000"],
    ),
    (
        "vehicle-lookup",
        "select id, plate, state, year,",
        "select *, plate, state, year,",
        &[
            "+0 `query.search.sql`: expected each column listed, with `as name` where it is computed; names are of small letters, digits and _; `*` is not",
        ],
    ),
    (
        "vehicle-lookup",
        "where  plate like :plate escape '\\'\n",
        "where  plate like :plat escape '\\'\n",
        &[
            "-4 `query.search.bind`: expected a value for `:plat`, which the SQL uses",
            "-4 `query.search.bind.plate`: expected a name that the SQL uses; there is no `:plate` in it",
            "+101 `test.a star at the end matches any ending, and other signs are ta.expect.bind.plate`: expected a name that a query binds",
        ],
    ),
    (
        "vehicle-lookup",
        "where  plate like :plate escape '\\'\n",
        "where  plate like '{{plate}}'\n",
        &[
            "-4 `query.search.bind.plate`: expected a name that the SQL uses; there is no `:plate` in it",
            "+101 `test.a star at the end matches any ending, and other signs are ta.expect.bind.plate`: expected a name that a query binds",
        ],
    ),
    (
        "vehicle-lookup",
        "where  plate like :plate escape '\\'\n",
        "where  plate like ${plate} and x = :plate\n",
        &["+0 `query.search.sql`: expected `:name` for each value, no other placeholder"],
    ),
    (
        "vehicle-lookup",
        "(:state is null or state = :state)\n",
        "(:state is null or state = :state);\ndelete from vehicles\n",
        &["-3 `query.search.sql`: expected one statement; there are several"],
    ),
    (
        "vehicle-lookup",
        "(:state is null or state = :state)\n",
        "(:state is null or state = :state\n",
        &[
            "-3 `query.search.sql`: expected SQL that parses; the parser says: Expected: ), found: EOF",
        ],
    ),
    (
        "vehicle-lookup",
        "bind       = { plate = \"like(input.plate)\",",
        "bind       = { plate = \"like(row.plate)\",",
        &[
            "+0 `query.search.bind.plate`: expected an expression without `row.plate`: no row is open here",
            "+105 `test.a star at the end matches any ending, and other signs are ta.expect.bind.plate`: expected a name that a query binds",
        ],
    ),
    (
        "vehicle-lookup",
        "bind       = { plate = \"like(input.plate)\",",
        "bind       = { plate = \"exec(input.plate)\",",
        &[
            "+0 `query.search.bind.plate`: expected known names; `exec` is none of them",
            "+105 `test.a star at the end matches any ending, and other signs are ta.expect.bind.plate`: expected a name that a query binds",
        ],
    ),
    (
        "vehicle-lookup",
        "bind       = { vehicle = \"row.id\" }",
        "bind       = { vehicle = \"row.plate\" }",
        &["+0 `query.history.bind.vehicle`: expected known names; `row.plate` is none of them"],
    ),
    (
        "vehicle-lookup",
        "bind       = { vehicle = \"row.id\" }",
        "bind       = { vehicle = \"input.reason\" }",
        &["+0 `query.history.bind.vehicle`: expected known names; `input.reason` is none of them"],
    ),
    (
        "vehicle-lookup",
        "subjects   = { vehicle = \"id\" }",
        "subjects   = { truck = \"idd\" }",
        &[
            "+0 `query.search.subjects`: expected a column that the SQL gives; `idd` is none; the nearest is `id`",
            "+0 `query.search.subjects`: expected one of `person`, `vehicle`, `case` and `document`; `truck` is none",
        ],
    ),
    (
        "vehicle-lookup",
        "key        = [\"id\"]",
        "key        = [\"ident\"]",
        &[
            "+0 `query.search.key`: expected a column that the SQL gives; `ident` is none",
            "+17 `query.history.bind.vehicle`: expected known names; `row.id` is none of them",
            "+29 `query.flag.bind.id`: expected known names; `row.id` is none of them",
        ],
    ),
    (
        "vehicle-lookup",
        "expect_rows = 1               # anything else is undone\n",
        "",
        &[
            "+101 `query.flag.expect_rows`: expected how many rows the write changes; any other number is undone",
        ],
    ),
    (
        "vehicle-lookup",
        "connection = \"rms\"",
        "conection = \"rms\"",
        &[
            "-2 `query.search.connection`: expected this key, with text in quotes",
            "+0 `query.search.conection`: expected a key that exists here; the nearest is `connection`",
        ],
    ),
    (
        "vehicle-lookup",
        "update vehicles\nset",
        "drop table vehicles; update vehicles\nset",
        &["+0 `query.flag.sql`: expected one statement; there are several"],
    ),
    (
        "vehicle-lookup",
        "where  id = :id and status <> 'flagged'",
        "where  id = :id returning vin",
        &["+0 `query.flag.sql`: expected a write without `returning`, so no `returning`"],
    ),
    (
        "vehicle-lookup",
        "id         = \"history\"",
        "id         = \"histories\"",
        &[
            "+0 `query.histories.id`: expected a query that a part or action uses; `histories` is not",
            "+6 `query.histories.bind.vehicle`: expected an expression without `row.id`: no row is open here",
            "+78 `part.events.query`: expected the id of a query; `history` is none",
        ],
    ),
];

#[test]
fn queries() {
    check(QUERIES);
}

#[test]
fn several_problems_come_at_once_in_the_order_of_the_file() {
    let text = crate::common::demo_text("vehicle-lookup")
        .replacen("owner   =", "ownr    =", 1)
        .replacen("sensitive = true", "sensitiv = true", 1)
        .replacen("max_rows   = 5000", "max_rows   = 0", 1)
        .replacen("kind   = \"form\"", "kind   = \"formular\"", 1);
    let problems = crate::common::parse("vehicle-lookup.toml", &text).map(|_| ()).unwrap_err();
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "vehicle-lookup.toml:1: `owner`: expected this key, with text in quotes",
            "vehicle-lookup.toml:5: `ownr`: expected a key that exists here; the nearest is `owner`",
            "vehicle-lookup.toml:26: `input.plate.sensitiv`: expected a key that exists here; the \
             nearest is `sensitive`",
            "vehicle-lookup.toml:77: `query.search.max_rows`: expected a whole number from 1 to 10000",
            "vehicle-lookup.toml:131: `part.form.kind`: expected one of `form`, `table`, `drawer`, \
             `record` and `evidence`",
        ]
    );
}

#[test]
fn a_file_that_is_too_long_is_not_read() {
    let text = format!("# {}\n", "x".repeat(300 * 1024));
    let problems = crate::common::parse("long.toml", &text).map(|_| ()).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].to_string(), "long.toml:1: `file`: expected at most 262144 bytes");
}
