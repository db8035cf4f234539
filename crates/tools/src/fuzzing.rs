//! Targets for a fuzzer, and for the property tests that run them on every build. Each takes any
//! bytes and must return; what they give is of no use to anything else.

use policy::Actor;

use crate::definition::Tool;
use crate::expression::{Expression, Scene, Scope};
use crate::input::Values;

/// Any bytes as a tool file. A problem's line must be in the file.
///
/// # Panics
/// If a problem points outside the file, which is a bug here.
pub fn tool_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines = text.split('\n').count() + 1;
    if let Err(problems) = Tool::parse("fuzz.toml", &text, |_| [0; 32]) {
        assert!(!problems.is_empty(), "a refusal without a problem");
        for problem in problems {
            let line = usize::try_from(problem.line).unwrap_or(usize::MAX);
            assert!((1..=lines).contains(&line), "{problem} of {lines} lines");
        }
    }
}

/// Any bytes as an expression; what parses is evaluated.
pub fn expression(data: &[u8], actor: &Actor) {
    let text = String::from_utf8_lossy(data);
    let names = ["plate", "purpose", "until"].map(str::to_owned);
    let scope = Scope {
        inputs: names.into_iter().collect(),
        row: Some(["id".to_owned()].into()),
        ..Scope::default()
    };
    if let Ok(expression) = Expression::parse(&text, &scope) {
        let values = Values::default();
        let today = jiff::civil::Date::constant(2026, 1, 2);
        let scene = Scene { inputs: &values, row: None, actor, today };
        // Both must return; an error is as good an answer as a value.
        drop((expression.value(&scene), expression.holds(&scene)));
    }
}
