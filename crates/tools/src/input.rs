//! What was typed becomes a value with a type, or a message that names its input.
//!
//! Invariant: after [`Values::read`] no string from a browser means anything by its shape: each
//! value has the type, length, pattern and choice that the file declares. Messages never repeat
//! what was typed.

use std::collections::BTreeMap;
use std::fmt;

use gate::Value;
use jiff::civil::Date;

use crate::definition::{Clean, Input, InputKind};
use crate::expression::Scene;

/// One input that could not be taken, in words for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The input's id, or `filter.column`, or another field of the form.
    pub input: String,
    /// What to type instead.
    pub message: String,
}

impl FieldError {
    pub(crate) fn new(input: &str, message: impl Into<String>) -> Self {
        Self { input: input.to_owned(), message: message.into() }
    }
}

/// A value with the type that its input declares. `Debug` shows only the type: values are CJI.
#[derive(Clone, PartialEq, Eq)]
pub enum Typed {
    /// Left empty.
    Empty,
    /// Text or a choice.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A box: ticked or not.
    Bool(bool),
    /// A day.
    Date(Date),
}

impl fmt::Debug for Typed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Empty => "Empty",
            Self::Text(_) => "Text",
            Self::Number(_) => "Number",
            Self::Bool(_) => "Bool",
            Self::Date(_) => "Date",
        })
    }
}

impl Typed {
    /// The value as it is bound: a day as ISO text, nothing as null.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Empty => Value::Null,
            Self::Text(text) => Value::Text(text.clone()),
            Self::Number(number) => Value::Int(*number),
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Date(date) => Value::Text(date.to_string()),
        }
    }

    /// True if something was given: text, a number, a day, a ticked box.
    #[must_use]
    pub fn is_given(&self) -> bool {
        match self {
            Self::Empty | Self::Bool(false) => false,
            Self::Text(_) | Self::Number(_) | Self::Bool(true) | Self::Date(_) => true,
        }
    }
}

/// The values of a form's inputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Values(BTreeMap<String, Typed>);

impl Values {
    /// The value of an input; empty if it is not in this form.
    #[must_use]
    pub fn of(&self, id: &str) -> &Typed {
        self.0.get(id).unwrap_or(&Typed::Empty)
    }

    /// Every value by its input's id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Typed)> {
        self.0.iter().map(|(id, typed)| (id.as_str(), typed))
    }

    /// Reads the given inputs from what was typed. Each input that can't be taken is an error.
    ///
    /// # Errors
    /// One [`FieldError`] for each such input, in the inputs' order.
    pub fn read(
        inputs: &[&Input],
        every_input: &[Input],
        typed: &BTreeMap<String, String>,
        actor: &policy::Actor,
        today: Date,
    ) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        // Inputs outside this form are there for expressions, and empty.
        let mut values: BTreeMap<String, Typed> =
            every_input.iter().map(|input| (input.id.clone(), Typed::Empty)).collect();
        for input in inputs {
            let raw = typed.get(&input.id).map_or("", String::as_str);
            match read_one(input, raw) {
                Ok(value) => {
                    values.insert(input.id.clone(), value);
                }
                Err(message) => errors.push(FieldError::new(&input.id, message)),
            }
        }
        let values = Self(values);
        let scene = Scene { inputs: &values, row: None, actor, today };
        for input in inputs {
            if errors.iter().any(|error| error.input == input.id) {
                continue;
            }
            if let Some(message) = values.objection(input, &scene) {
                errors.push(FieldError::new(&input.id, message));
            }
        }
        let place = |error: &FieldError| inputs.iter().position(|input| input.id == error.input);
        errors.sort_by_key(place);
        if errors.is_empty() { Ok(values) } else { Err(errors) }
    }

    /// What stands against an input, once every input has a type.
    fn objection(&self, input: &Input, scene: &Scene<'_>) -> Option<String> {
        let given = self.of(&input.id).is_given();
        // A condition that can't be told is taken as holding: ask rather than let through.
        let demanded = input.required
            || input.required_when.as_ref().is_some_and(|when| when.holds(scene).unwrap_or(true));
        if demanded && !given {
            return Some(match input.kind {
                InputKind::Choice { .. } => format!("Choose: {}.", input.label),
                InputKind::Checkbox => format!("Tick the box: {}.", input.label),
                InputKind::Text { .. }
                | InputKind::LongText { .. }
                | InputKind::Date
                | InputKind::Number { .. } => format!("Fill in: {}.", input.label),
            });
        }
        let fails = |check: &crate::expression::Expression| !check.holds(scene).unwrap_or(false);
        (given && input.check.as_ref().is_some_and(fails)).then(|| input.refusal())
    }
}

impl Input {
    fn refusal(&self) -> String {
        match (self.message.as_str(), self.hint.as_str()) {
            ("", "") => format!("{} is not in the expected form.", self.label),
            ("", hint) => format!("{} is not in the expected form. {hint}", self.label),
            (message, _) => message.to_owned(),
        }
    }
}

/// The words for a value that is no day.
const NOT_A_DAY: &str = "Write the day as year-month-day, such as 2026-01-31.";

fn read_one(input: &Input, raw: &str) -> Result<Typed, String> {
    let label = &input.label;
    let mut text = raw.to_owned();
    for clean in &input.clean {
        text = match clean {
            Clean::Trim => text.trim().to_owned(),
            Clean::Upper => text.to_uppercase(),
            Clean::Lower => text.to_lowercase(),
        };
    }
    let several_lines = matches!(input.kind, InputKind::LongText { .. });
    // Browsers send line ends as CR LF.
    text = if several_lines { text.replace("\r\n", "\n") } else { text };
    if text.chars().any(|c| c.is_control() && !(several_lines && (c == '\n' || c == '\t'))) {
        return Err(format!("{label} holds a character that can't be typed here."));
    }
    if text.is_empty() && input.kind != InputKind::Checkbox {
        return Ok(Typed::Empty);
    }
    match &input.kind {
        InputKind::Text { chars_max } | InputKind::LongText { chars_max } => {
            let count = text.chars().count();
            if count > *chars_max {
                return Err(format!("{label} has {count} characters; at most {chars_max} fit."));
            }
            if input.pattern.as_ref().is_some_and(|pattern| !pattern.regex.is_match(&text)) {
                return Err(input.refusal());
            }
            Ok(Typed::Text(text))
        }
        InputKind::Choice { options, .. } => {
            if options.iter().any(|(value, _)| *value == text) {
                Ok(Typed::Text(text))
            } else {
                Err(format!("Choose {label} from the list."))
            }
        }
        InputKind::Date => day(&text).map(Typed::Date).ok_or_else(|| NOT_A_DAY.to_owned()),
        InputKind::Number { least, most } => {
            let number = text.parse().ok().filter(|number| (*least..=*most).contains(number));
            let expected = || format!("{label} is a whole number from {least} to {most}.");
            number.map(Typed::Number).ok_or_else(expected)
        }
        InputKind::Checkbox => match text.as_str() {
            "" => Ok(Typed::Bool(false)),
            "yes" => Ok(Typed::Bool(true)),
            _ => Err(format!("Tick {label} or leave it.")),
        },
    }
}

/// `yyyy-mm-dd` and nothing else: jiff's own reading takes times and short forms, too.
fn day(text: &str) -> Option<Date> {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if shape { text.parse().ok() } else { None }
}
