//! Expressions that would cost too much or do too much are clean errors, and any bytes are a file.

use proptest::prelude::*;
use tools::expression::{Expression, Scene, Scope, like};
use tools::form::Submission;
use tools::input::Values;

fn scope() -> Scope {
    let inputs = ["plate", "purpose", "until"].map(str::to_owned).into();
    Scope { inputs, row: Some(["id".to_owned()].into()), ..Scope::default() }
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let shown: String = text.chars().take(60).collect();
    let refusal = Expression::parse(text, &scope()).map(|_| ()).err();
    assert_eq!(refusal.as_deref(), Some(expected), "{shown}");
}

#[test]
fn bombs_are_refused_when_the_file_is_loaded() {
    let nested = |levels| format!("{}1{}", "(".repeat(levels), ")".repeat(levels));
    assert!(Expression::parse(&nested(16), &scope()).is_ok());
    refused(&nested(17), "at most 16 levels of parentheses");
    refused(&nested(400), "an expression of 1 to 512 bytes");
    refused(&format!("1{}", " + 1".repeat(2000)), "an expression of 1 to 512 bytes");
    refused(
        &format!("1{}", "+1".repeat(200)),
        "an expression of at most 128 words and signs; this has 401",
    );
    refused("", "an expression of 1 to 512 bytes");
    let only = "only == != < <= > >= and or not in + - ~ if else; not ";
    for (text, sign) in [
        ("'a' * 99999999", '*'),
        ("2 ** 99", '*'),
        ("input.plate | upper", '|'),
        ("{'a': 1}", '{'),
        ("{% for x in range(9) %}", '{'),
        ("input.plate / 2", '/'),
        ("input.plate; 1", ';'),
    ] {
        refused(text, &format!("{only}`{sign}`"));
    }
    refused("input.plate[0]", "an expression without indices in square brackets");
    refused("['a'][0]", "an expression without indices in square brackets");
    refused("range(99999999)", "known names; `range` is none of them");
    refused("input.plate.upper()", "known names; `input.plate.upper` is none of them");
    refused("input.plate()", CALLS);
    refused("(today)()", "parentheses after `today`");
    refused("self", "known names; `self` is none of them");
    refused("user.assurance", "known names; `user.assurance` is none of them");
    refused("row.plate == 1", "known names; `row.plate` is none of them");
    refused("matches(input.plate, input.purpose)", MATCHES);
    refused("matches(input.plate, '(')", "a regular expression that parses and is not too large");
    refused("'a\\'b'", "text without backslashes (write [.] for \\. and [0-9] for \\d)");
    refused("'open", "a closing '");
    refused("1 +", "an expression; this one does not parse");
    refused("99999999999999999999", "numbers of at most 15 digits");
    let no_row = Scope { row: None, ..scope() };
    assert_eq!(
        Expression::parse("row.id", &no_row).unwrap_err(),
        "an expression without `row.id`: no row is open here"
    );
}

const CALLS: &str = "calls only of `today`, `days`, `date`, `iso`, `like`, `lower`, `upper`, `trim`, \
                     `len` and `matches`";
const MATCHES: &str = "`matches(name, 'pattern')` with the pattern written out";

/// The deepest and longest that is let through, on a stack of 1 MiB.
#[test]
fn the_largest_expressions_evaluate_on_a_small_stack() {
    let texts = [
        format!("{}1{}", "(".repeat(16), ")".repeat(16)),
        format!("{}true", "not ".repeat(120)),
        format!("{}1", "-".repeat(120)),
        format!("1{}", "+1".repeat(63)),
        format!("1{} 2", " if true else 1".repeat(30).replace("else 1", "else")),
        format!("{}'a'{}", "[".repeat(16), "]".repeat(16)),
        format!("{}'a'{}", "upper(".repeat(16), ")".repeat(16)),
        format!("{}len('a'){}", "(not (1 == ".repeat(7), "))".repeat(7)),
    ];
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        let someone = crate::common::person("detective");
        let values = Values::default();
        let today = jiff::civil::Date::constant(2026, 11, 22);
        for text in texts {
            let scene = Scene { inputs: &values, row: None, actor: &someone.actor, today };
            if let Ok(expression) = Expression::parse(&text, &scope()) {
                drop((expression.value(&scene), expression.holds(&scene)));
            }
        }
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn like_takes_signs_as_they_are_and_a_star_at_the_end_as_any_ending() {
    for (typed, bound) in [
        ("7KDR419", "7KDR419"),
        ("7KDR*", "7KDR%"),
        ("*7*", "*7%"),
        ("100%", "100\\%"),
        ("a_b", "a\\_b"),
        ("\\*", "\\\\%"),
        ("", ""),
    ] {
        assert_eq!(like(typed), bound, "{typed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_are_a_file_or_problems(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
        tools::fuzzing::tool_file(&data);
    }

    #[test]
    fn a_good_file_with_a_piece_cut_out_is_a_file_or_problems(
        from in 0.0..1.0f64, length in 0usize..400, insert in ".{0,12}",
    ) {
        let text = crate::common::demo_text("vehicle-lookup");
        let bytes = text.as_bytes();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in the file")]
        let at = (from * bytes.len() as f64) as usize;
        let end = (at + length).min(bytes.len());
        let cut = [&bytes[..at], insert.as_bytes(), &bytes[end..]].concat();
        tools::fuzzing::tool_file(&cut);
    }

    #[test]
    fn any_text_is_an_expression_or_an_error(
        text in "([a-z]{1,6}|input\\.plate|row\\.id|today\\(\\)|[-+<>=!~(),\\['\" 0-9]|and|or|not|if|else|in){0,40}",
    ) {
        tools::fuzzing::expression(text.as_bytes(), &crate::common::person("detective").actor);
    }

    /// Whatever is typed and pressed, the statement is the file's own and the order a declared one.
    #[test]
    fn no_form_content_changes_the_sql(
        plate in ".{0,12}", plates in "[A-Z0-9]{2,8}\\*?", pick in any::<bool>(),
        state in "(|NE|CA|[a-z';-]{0,8})", sort in "(year|plate|vin|';drop){0,1}:(asc|desc|x)",
        make in ".{0,20}", page in "[0-9-]{0,6}", extra in "[a-z.]{0,12}", press in ".{0,30}",
    ) {
        let tool = crate::common::demo_tool("vehicle-lookup");
        let plate = if pick { plates } else { plate };
        let mut sent = crate::common::fields(&[
            ("plate", &plate), ("state", &state), ("purpose", "A"), ("results.sort", &sort),
            ("results.filter.make", &make), ("results.page", &page),
        ]);
        if press.len() > 20 {
            sent.push((extra, press));
        }
        let someone = crate::common::person("detective");
        if let Ok(form) = Submission::read(&tool, &sent)
            && let Ok(planned) = tool.plan("results", &form, None, &someone.context())
            && let gate::Plan::Query(query) = planned.plan
        {
            prop_assert_eq!(&query.sql, &tool.query("search").unwrap().sql);
            prop_assert_eq!(query.binds.len(), 2);
            let view = query.view.unwrap();
            let known = ["plate", "state", "year", "make", "status", "id"];
            prop_assert!(view.sort.iter().all(|(column, _)| known.contains(&column.as_str())));
            prop_assert!(view.filters.iter().all(|filter| known.contains(&filter.column.as_str())));
            prop_assert!(view.page >= 1);
        }
    }
}
