//! Conditions and computed values: `input.purpose == 'C'`, `like(input.plate)`.
//!
//! Invariant: what is not on the list below is refused when the file is loaded. Our own reader
//! goes over the text first and lets through literals, known names, the operators
//! `== != < <= > >= and or not in + - ~ if else`, lists and ten functions. minijinja then
//! compiles what is left. There are no loops, filters, attributes, indices, products or user
//! functions, so the cost of an evaluation is bounded by the length of its text; fuel is a belt
//! to these braces.
//!
//! In an expression a date is the number of its day (so `today() + days(90)` is a date), and what
//! was left empty is `none`. A value taken by its name alone keeps its own type.

use std::collections::{BTreeMap, BTreeSet};

use gate::Value;
use jiff::civil::Date;
use minijinja::{Environment, UndefinedBehavior};

use crate::input::{Typed, Values};
use crate::problem::nearest;

/// The longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 512;
/// How deep parentheses and lists may nest.
pub const EXPRESSION_DEPTH_MAX: usize = 16;
/// How many words and signs an expression may have.
pub const EXPRESSION_TOKENS_MAX: usize = 128;
/// minijinja's instructions for one evaluation; 128 tokens need about as many.
const FUEL_MAX: u64 = 10_000;
/// The largest compiled pattern in `matches`, in bytes.
pub(crate) const PATTERN_BYTES_MAX: usize = 1 << 18;

const FUNCTIONS: [&str; 10] =
    ["today", "days", "date", "iso", "like", "lower", "upper", "trim", "len", "matches"];
const WORDS: [&str; 8] = ["and", "or", "not", "in", "if", "else", "true", "false"];
const USER: [&str; 4] = ["id", "name", "agency", "functions"];

/// A checked expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    source: String,
    shape: Shape,
    names: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Input(String),
    Row(String),
    Code,
}

/// The names that may stand in an expression, at its place in the file.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Names after `input.`
    pub inputs: BTreeSet<String>,
    /// Names after `row.`; `None` where there is no row.
    pub row: Option<BTreeSet<String>>,
    /// True where the row's query has problems of its own: any name may be meant by then.
    pub row_unread: bool,
}

/// What an evaluation sees.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// What was typed, parsed.
    pub inputs: &'a Values,
    /// The row, by column. A handle alone gives only the key columns.
    pub row: Option<&'a BTreeMap<String, Value>>,
    /// The signed-in person.
    pub actor: &'a policy::Actor,
    /// Today where the agency is.
    pub today: Date,
}

/// An expression could not be evaluated. Conditions count as not holding, then.
#[derive(Debug, thiserror::Error)]
pub enum ExpressionError {
    /// Wrong types, a column that is not there, or out of fuel.
    #[error("could not evaluate `{expression}`")]
    Evaluate {
        /// The text from the file.
        expression: String,
        /// minijinja's words.
        #[source]
        source: minijinja::Error,
    },
    /// A name that has no value here.
    #[error("`{expression}` has no value here")]
    Missing {
        /// The text from the file.
        expression: String,
    },
    /// The result is a list or another thing that can't be bound or shown.
    #[error("`{expression}` gives neither text, number, true, false nor none")]
    Shape {
        /// The text from the file.
        expression: String,
    },
}

impl Expression {
    /// Checks an expression against what may stand at its place.
    ///
    /// # Errors
    /// What was expected instead, for a [`crate::Problem`].
    pub fn parse(text: &str, scope: &Scope) -> Result<Self, String> {
        let source = text.trim().to_owned();
        let names = guard(&source, scope)?;
        environment(Date::constant(2000, 1, 1))
            .compile_expression(&source)
            .map_err(|_| "an expression; this one does not parse".to_owned())?;
        let shape = match source.split_once('.') {
            Some(("input", name)) if names.contains(&source) => Shape::Input(name.to_owned()),
            Some(("row", name)) if names.contains(&source) => Shape::Row(name.to_owned()),
            Some(_) | None => Shape::Code,
        };
        Ok(Self { source, shape, names })
    }

    /// The text as the file has it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it reads: `input.plate`, `row.id`, `user.name`.
    #[must_use]
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// The value, as it is bound to a statement. A date that an input holds is bound as ISO text.
    ///
    /// # Errors
    /// [`ExpressionError`] if it has no value.
    pub fn value(&self, scene: &Scene<'_>) -> Result<Value, ExpressionError> {
        let missing = || ExpressionError::Missing { expression: self.source.clone() };
        match &self.shape {
            Shape::Input(name) => Ok(scene.inputs.of(name).to_value()),
            Shape::Row(name) => {
                scene.row.and_then(|row| row.get(name)).cloned().ok_or_else(missing)
            }
            Shape::Code => self.plain(&self.evaluate(scene)?),
        }
    }

    /// Whether a condition holds.
    ///
    /// # Errors
    /// [`ExpressionError`] if it can't be told; take that for "no".
    pub fn holds(&self, scene: &Scene<'_>) -> Result<bool, ExpressionError> {
        Ok(self.evaluate(scene)?.is_true())
    }

    fn evaluate(&self, scene: &Scene<'_>) -> Result<minijinja::Value, ExpressionError> {
        let failed = |source| ExpressionError::Evaluate { expression: self.source.clone(), source };
        let environment = environment(scene.today);
        let compiled = environment.compile_expression(&self.source).map_err(failed)?;
        compiled.eval(context(scene)).map_err(failed)
    }

    fn plain(&self, value: &minijinja::Value) -> Result<Value, ExpressionError> {
        let shape = || ExpressionError::Shape { expression: self.source.clone() };
        if value.is_none() {
            Ok(Value::Null)
        } else if let Some(text) = value.as_str() {
            Ok(Value::Text(text.to_owned()))
        } else if let Some(whole) = value.as_i64().filter(|_| value.is_integer()) {
            Ok(Value::Int(whole))
        } else if let Ok(flag) = bool::try_from(value.clone()) {
            Ok(Value::Bool(flag))
        } else {
            Err(shape())
        }
    }
}

impl Scope {
    fn knows(&self, name: &str) -> Result<(), String> {
        let unknown = || format!("known names; `{name}` is none of them");
        let (root, leaf) = name.split_once('.').ok_or_else(unknown)?;
        let known: Vec<&str> = match root {
            "input" => self.inputs.iter().map(String::as_str).collect(),
            "row" if self.row_unread => return Ok(()),
            "row" if self.row.is_none() => {
                return Err(format!("an expression without `{name}`: no row is open here"));
            }
            "row" => self.row.iter().flatten().map(String::as_str).collect(),
            "user" => USER.to_vec(),
            _ => return Err(unknown()),
        };
        if known.contains(&leaf) {
            return Ok(());
        }
        Err(match nearest(leaf, known) {
            Some(near) => format!("known names; `{name}` may mean `{root}.{near}`"),
            None => unknown(),
        })
    }
}

/// Goes over the text, refuses whatever is not on the list, and gives the names that it reads.
fn guard(text: &str, scope: &Scope) -> Result<BTreeSet<String>, String> {
    if text.is_empty() || text.len() > EXPRESSION_BYTES_MAX {
        return Err(format!("an expression of 1 to {EXPRESSION_BYTES_MAX} bytes"));
    }
    let tokens = tokens(text)?;
    if tokens.len() > EXPRESSION_TOKENS_MAX {
        return Err(format!(
            "an expression of at most {EXPRESSION_TOKENS_MAX} words and signs; this has {}",
            tokens.len()
        ));
    }
    let mut names = BTreeSet::new();
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| tokens.get(index));
        let after = tokens.get(index + 1);
        match token {
            Token::Open('[') if before.is_some_and(Token::ends_value) => {
                return Err("an expression without indices in square brackets".to_owned());
            }
            Token::Open('(') if before.is_some_and(Token::ends_value) => {
                return Err(format!("calls only of {}", crate::read::listed(&FUNCTIONS)));
            }
            Token::Open(_) => {
                depth += 1;
                if depth > EXPRESSION_DEPTH_MAX {
                    return Err(format!("at most {EXPRESSION_DEPTH_MAX} levels of parentheses"));
                }
            }
            Token::Close(_) => depth = depth.saturating_sub(1),
            Token::Name(name) if FUNCTIONS.contains(&name.as_str()) => {
                if !matches!(after, Some(Token::Open('('))) {
                    return Err(format!("parentheses after `{name}`"));
                }
                if name == "matches" {
                    guard_matches(tokens.get(index + 2..).unwrap_or_default())?;
                }
            }
            Token::Name(name) if WORDS.contains(&name.as_str()) || name == "none" => {}
            Token::Name(name) => {
                scope.knows(name)?;
                names.insert(name.clone());
            }
            Token::Text(_) | Token::Number | Token::Sign(_) => {}
        }
    }
    Ok(names)
}

/// `matches(name, 'pattern')`: the pattern is written in the file, never typed by anybody.
fn guard_matches(rest: &[Token]) -> Result<(), String> {
    match rest {
        [Token::Name(_), Token::Sign(","), Token::Text(pattern), Token::Close(')'), ..] => {
            anchored(pattern).map(|_| ())
        }
        _ => Err("`matches(name, 'pattern')` with the pattern written out".to_owned()),
    }
}

/// A pattern that must match a whole value.
pub(crate) fn anchored(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
        .size_limit(PATTERN_BYTES_MAX)
        .nest_limit(32)
        .build()
        .map_err(|_| "a regular expression that parses and is not too large".to_owned())
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Text(String),
    Number,
    Sign(&'static str),
    Open(char),
    Close(char),
}

impl Token {
    /// True if a bracket after it would be an index or a call. Before a function's own
    /// parenthesis stands its name, which is no value.
    fn ends_value(&self) -> bool {
        match self {
            Self::Name(name) => {
                !WORDS.contains(&name.as_str()) && !FUNCTIONS.contains(&name.as_str())
            }
            Self::Text(_) | Self::Number | Self::Close(_) => true,
            Self::Sign(_) | Self::Open(_) => false,
        }
    }
}

const SIGNS: [&str; 10] = ["==", "!=", "<=", ">=", "<", ">", "+", "-", "~", ","];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = if first.is_ascii_alphabetic() || first == '_' {
            let (name, after) =
                split_while(rest, |c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
            (Token::Name(name.to_owned()), after)
        } else if first.is_ascii_digit() {
            let (digits, after) = split_while(rest, |c| c.is_ascii_digit());
            if digits.len() > 15 {
                return Err("numbers of at most 15 digits".to_owned());
            }
            (Token::Number, after)
        } else if first == '\'' || first == '"' {
            text_token(rest, first)?
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(*sign)) {
            (Token::Sign(sign), rest.get(sign.len()..).unwrap_or_default())
        } else if first == '(' || first == '[' {
            (Token::Open(first), rest.get(1..).unwrap_or_default())
        } else if first == ')' || first == ']' {
            (Token::Close(first), rest.get(1..).unwrap_or_default())
        } else {
            return Err(format!("only == != < <= > >= and or not in + - ~ if else; not `{first}`"));
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

/// Text in quotes. A backslash may stand only before a character that it leaves as it is.
fn text_token(rest: &str, quote: char) -> Result<(Token, &str), String> {
    let inner = rest.get(1..).unwrap_or_default();
    let Some(end) = inner.find(quote) else {
        return Err(format!("a closing {quote}"));
    };
    let (content, after) = inner.split_at(end);
    if content.contains('\\') {
        return Err("text without backslashes (write [.] for \\. and [0-9] for \\d)".to_owned());
    }
    Ok((Token::Text(content.to_owned()), after.get(1..).unwrap_or_default()))
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

fn environment(today: Date) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_fuel(Some(FUEL_MAX));
    environment.set_recursion_limit(64);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_function("today", move || day_number(today));
    environment.add_function("days", |count: i64| count);
    environment.add_function("date", |text: Option<String>| {
        text.and_then(|text| text.parse::<Date>().ok()).map(day_number)
    });
    environment.add_function("iso", |day: Option<i64>| {
        day.and_then(|day| i32::try_from(day).ok())
            .and_then(|day| EPOCH.checked_add(jiff::Span::new().try_days(day).ok()?).ok())
            .map(|date| date.to_string())
    });
    environment.add_function("like", |text: Option<String>| text.map(|text| like(&text)));
    environment.add_function("lower", |text: Option<String>| text.map(|text| text.to_lowercase()));
    environment.add_function("upper", |text: Option<String>| text.map(|text| text.to_uppercase()));
    environment.add_function("trim", |text: Option<String>| text.map(|t| t.trim().to_owned()));
    environment
        .add_function("len", |text: Option<String>| text.map_or(0, |text| text.chars().count()));
    environment.add_function("matches", |text: Option<String>, pattern: String| {
        let Some(text) = text else { return Ok(false) };
        let bad = |what| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, what);
        anchored(&pattern).map(|regex| regex.is_match(&text)).map_err(bad)
    });
    environment
}

const EPOCH: Date = Date::constant(1970, 1, 1);

/// Days since 1970-01-01; before it, negative.
fn day_number(date: Date) -> i64 {
    date.since(EPOCH).map_or(0, |span| i64::from(span.get_days()))
}

/// A pattern for SQL's `like … escape '\'`: its own signs are taken literally, and a star at the
/// end stands for any ending.
#[must_use]
pub fn like(text: &str) -> String {
    let (stem, ending) = match text.strip_suffix('*') {
        Some(stem) => (stem, "%"),
        None => (text, ""),
    };
    let mut pattern = String::with_capacity(text.len() + 4);
    for character in stem.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push_str(ending);
    pattern
}

fn context(scene: &Scene<'_>) -> minijinja::Value {
    type Names = BTreeMap<String, minijinja::Value>;
    let inputs: Names =
        scene.inputs.iter().map(|(name, typed)| (name.to_owned(), of_typed(typed))).collect();
    let row = scene.row.into_iter().flatten();
    let row: Names = row.map(|(name, value)| (name.clone(), of_value(value))).collect();
    let actor = scene.actor;
    let functions: Vec<String> = actor.functions.iter().map(ToString::to_string).collect();
    let user = Names::from([
        ("id".to_owned(), minijinja::Value::from(actor.id.to_string())),
        ("name".to_owned(), minijinja::Value::from(actor.name.clone())),
        ("agency".to_owned(), minijinja::Value::from(actor.agency.to_string())),
        ("functions".to_owned(), minijinja::Value::from(functions)),
    ]);
    let roots = [("input", inputs), ("row", row), ("user", user)];
    let roots = roots.map(|(root, names)| (root.to_owned(), minijinja::Value::from(names)));
    minijinja::Value::from(Names::from(roots))
}

fn of_typed(typed: &Typed) -> minijinja::Value {
    match typed {
        Typed::Empty => minijinja::Value::from(()),
        Typed::Text(text) => minijinja::Value::from(text.as_str()),
        Typed::Number(number) => minijinja::Value::from(*number),
        Typed::Bool(flag) => minijinja::Value::from(*flag),
        Typed::Date(date) => minijinja::Value::from(day_number(*date)),
    }
}

fn of_value(value: &Value) -> minijinja::Value {
    match value {
        Value::Null => minijinja::Value::from(()),
        Value::Bool(flag) => minijinja::Value::from(*flag),
        Value::Int(number) => minijinja::Value::from(*number),
        Value::Real(number) => minijinja::Value::from(*number),
        Value::Text(text) => minijinja::Value::from(text.as_str()),
    }
}
