//! Filters (RFC 7644 §3.4.2.2): `userName eq "bjensen" and active eq true`, read against our schema and
//! asked of one resource at a time.
//!
//! What must stay true: depth, number of comparisons and length are bounded before anything is built, so
//! that reading and asking take time in proportion to the text; a filter on an attribute that we
//! don't have is an error, never a filter that matches everything or nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::path::{Found, Target, resolve};
use super::schema::{self, Attribute, Kind};
use super::{ResourceType, ScimError};

/// The longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 4_096;
/// How deep brackets and `not` may be nested.
pub const FILTER_DEPTH_MAX: usize = 8;
/// The most comparisons.
pub const FILTER_TERMS_MAX: usize = 64;

/// A question about one resource, or about one value of an attribute.
#[derive(Debug, Clone)]
pub struct Filter(Term);

#[derive(Debug, Clone)]
enum Term {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Present(Target),
    Compare(Target, Operator, Literal),
    /// Some value of the attribute fulfils the inner filter.
    Values(Target, Box<Self>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Text(String),
    Boolean(bool),
    Time(Timestamp),
    Null,
}

impl Filter {
    /// Reads a filter on resources.
    ///
    /// # Errors
    /// [`ScimError::Filter`] says what is wrong; [`ScimError::TooMany`] over a limit.
    pub fn parse(kind: ResourceType, text: &str) -> Result<Self, ScimError> {
        match Parser::new(Context::Resource(kind), text)?.whole()? {
            Some(term) => Ok(Self(term)),
            None => Err(ScimError::Filter("it names an attribute that is not supported")),
        }
    }

    /// Reads a filter on the values of one attribute: what stands in brackets. `None`: it names a part
    /// that our schema does not have.
    pub(crate) fn of_values(
        attribute: &'static Attribute,
        text: &str,
    ) -> Result<Option<Self>, ScimError> {
        Ok(Parser::new(Context::Values(attribute), text)?.whole()?.map(Self))
    }

    /// Whether it holds of a resource, or of one value.
    #[must_use]
    pub fn matches(&self, object: &Map<String, Value>) -> bool {
        holds(&self.0, object)
    }

    /// The attributes that it asks of, without what they are compared with: what a record may hold of it.
    #[must_use]
    pub fn attributes(&self) -> BTreeSet<&'static str> {
        let mut names = BTreeSet::new();
        named(&self.0, &mut names);
        names
    }

    /// The text that `attribute` must equal for the filter to hold, if it demands one: what an index can
    /// look up. The filter is to be asked of what is found all the same.
    #[must_use]
    pub fn demands(&self, attribute: &str) -> Option<&str> {
        demanded(&self.0, attribute)
    }

    /// What a value must be like for the filter to hold, where it is nothing but texts and truths that
    /// parts must equal: the value to make when there is none (`emails[type eq "work"]`).
    pub(crate) fn described(&self) -> Option<Map<String, Value>> {
        let terms = match &self.0 {
            Term::All(terms) => terms.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut described = Map::new();
        for term in terms {
            let Term::Compare(target, Operator::Eq, literal) = term else { return None };
            let value = match literal {
                Literal::Text(text) => Value::from(text.clone()),
                Literal::Boolean(truth) => Value::from(*truth),
                Literal::Time(_) | Literal::Null => return None,
            };
            described.insert(target.attribute.name.to_owned(), value);
        }
        Some(described)
    }
}

fn named(term: &Term, names: &mut BTreeSet<&'static str>) {
    match term {
        Term::All(terms) | Term::Any(terms) => terms.iter().for_each(|term| named(term, names)),
        Term::Not(term) => named(term, names),
        Term::Present(target) | Term::Compare(target, ..) | Term::Values(target, _) => {
            names.insert(target.attribute.name);
        }
    }
}

fn demanded<'a>(term: &'a Term, attribute: &str) -> Option<&'a str> {
    match term {
        Term::Compare(target, Operator::Eq, Literal::Text(text))
            if target.extension.is_none()
                && target.part.is_none()
                && target.attribute.name == attribute =>
        {
            Some(text)
        }
        Term::All(terms) => terms.iter().find_map(|term| demanded(term, attribute)),
        Term::Compare(..) | Term::Any(_) | Term::Not(_) | Term::Present(_) | Term::Values(..) => {
            None
        }
    }
}

fn holds(term: &Term, object: &Map<String, Value>) -> bool {
    match term {
        Term::All(terms) => terms.iter().all(|term| holds(term, object)),
        Term::Any(terms) => terms.iter().any(|term| holds(term, object)),
        Term::Not(term) => !holds(term, object),
        Term::Present(target) => values(target, object).next().is_some(),
        Term::Compare(target, operator, literal) => compares(target, *operator, literal, object),
        Term::Values(target, inner) => {
            let plain = Target { part: None, ..*target };
            each(&plain, object).filter_map(Value::as_object).any(|value| holds(inner, value))
        }
    }
}

/// The values of an attribute, one by one.
fn each<'a>(target: &Target, object: &'a Map<String, Value>) -> impl Iterator<Item = &'a Value> {
    let holder = match target.extension {
        Some(extension) => object.get(extension.urn).and_then(Value::as_object),
        None => Some(object),
    };
    let found = holder.and_then(|holder| holder.get(target.attribute.name));
    let many = found.and_then(Value::as_array).map(Vec::as_slice);
    let one = if many.is_some() { None } else { found };
    many.unwrap_or_default().iter().chain(one).filter(|value| !value.is_null())
}

/// The values at a place; a complex attribute without a part stands for its `value`.
fn values<'a>(target: &Target, object: &'a Map<String, Value>) -> impl Iterator<Item = &'a Value> {
    let part = target.part.map(|part| part.name);
    each(target, object).filter_map(move |value| match (part, value.as_object()) {
        (Some(part), Some(object)) => object.get(part),
        (None, Some(object)) => object.get("value").or(Some(value)),
        (Some(_), None) => None,
        (None, None) => Some(value),
    })
}

fn compares(
    target: &Target,
    operator: Operator,
    literal: &Literal,
    object: &Map<String, Value>,
) -> bool {
    let exact = leaf(target).case_exact;
    let mut found = values(target, object).peekable();
    match (operator, literal) {
        (Operator::Eq, Literal::Null) => found.peek().is_none(),
        (Operator::Ne, Literal::Null) => found.peek().is_some(),
        (Operator::Ne, _) => !found.any(|value| is(Operator::Eq, literal, value, exact)),
        (_, _) => found.any(|value| is(operator, literal, value, exact)),
    }
}

/// What the values of a place are compared as.
fn leaf(target: &Target) -> &'static Attribute {
    let leaf = target.leaf();
    match leaf.kind {
        Kind::Complex => schema::find(leaf.parts, "value").unwrap_or(leaf),
        Kind::Text | Kind::Boolean | Kind::Time => leaf,
    }
}

fn is(operator: Operator, literal: &Literal, value: &Value, exact: bool) -> bool {
    match literal {
        Literal::Null => false,
        Literal::Boolean(truth) => value.as_bool() == Some(*truth),
        Literal::Time(at) => {
            let value = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
            value.is_some_and(|value| ordered(operator, &value, at))
        }
        Literal::Text(text) => match (value.as_str(), exact) {
            (None, _) => false,
            (Some(value), true) => textual(operator, value, text),
            (Some(value), false) => textual(operator, &value.to_lowercase(), &text.to_lowercase()),
        },
    }
}

fn textual(operator: Operator, value: &str, text: &str) -> bool {
    match operator {
        Operator::Co => value.contains(text),
        Operator::Sw => value.starts_with(text),
        Operator::Ew => value.ends_with(text),
        Operator::Eq | Operator::Ne | Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le => {
            ordered(operator, value, text)
        }
    }
}

fn ordered<T: PartialOrd + ?Sized>(operator: Operator, value: &T, other: &T) -> bool {
    match operator {
        Operator::Eq => value == other,
        Operator::Ne => value != other,
        Operator::Gt => value > other,
        Operator::Ge => value >= other,
        Operator::Lt => value < other,
        Operator::Le => value <= other,
        Operator::Co | Operator::Sw | Operator::Ew => false,
    }
}

/// What names in a filter belong to.
#[derive(Clone, Copy)]
enum Context {
    Resource(ResourceType),
    Values(&'static Attribute),
}

/// A descent over the text. `None` from a rule: well-formed, with a name that is not ours.
struct Parser<'a> {
    rest: &'a str,
    context: Context,
    terms: usize,
}

impl<'a> Parser<'a> {
    fn new(context: Context, text: &'a str) -> Result<Self, ScimError> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(ScimError::TooMany { what: "bytes in a filter", max: FILTER_BYTES_MAX });
        }
        Ok(Self { rest: text, context, terms: 0 })
    }

    fn whole(mut self) -> Result<Option<Term>, ScimError> {
        let term = self.any(0)?;
        self.space();
        match self.rest.is_empty() {
            true => Ok(term),
            false => Err(ScimError::Filter("something follows its end")),
        }
    }

    fn any(&mut self, depth: usize) -> Result<Option<Term>, ScimError> {
        let mut terms = vec![self.all(depth)?];
        while self.keyword("or") {
            terms.push(self.all(depth)?);
        }
        Ok(joined(terms, Term::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Option<Term>, ScimError> {
        let mut terms = vec![self.one(depth)?];
        while self.keyword("and") {
            terms.push(self.one(depth)?);
        }
        Ok(joined(terms, Term::All))
    }

    fn one(&mut self, depth: usize) -> Result<Option<Term>, ScimError> {
        if depth >= FILTER_DEPTH_MAX {
            return Err(ScimError::TooMany { what: "levels in a filter", max: FILTER_DEPTH_MAX });
        }
        self.space();
        if self.symbol('(') {
            let term = self.any(depth + 1)?;
            self.closing(')')?;
            return Ok(term);
        }
        let word = self.word();
        if word.eq_ignore_ascii_case("not") {
            self.space();
            if !self.symbol('(') {
                return Err(ScimError::Filter("`not` is followed by a bracket"));
            }
            let term = self.any(depth + 1)?;
            self.closing(')')?;
            return Ok(term.map(|term| Term::Not(Box::new(term))));
        }
        self.comparison(word, depth)
    }

    fn comparison(&mut self, name: &str, depth: usize) -> Result<Option<Term>, ScimError> {
        self.terms += 1;
        if self.terms > FILTER_TERMS_MAX {
            let what = "comparisons in a filter";
            return Err(ScimError::TooMany { what, max: FILTER_TERMS_MAX });
        }
        let target = self.target(name)?;
        if self.symbol('[') {
            return self.inner(target, depth);
        }
        self.space();
        let operator = self.word().to_ascii_lowercase();
        if operator == "pr" {
            return Ok(target.map(Term::Present));
        }
        let operator = match operator.as_str() {
            "eq" => Operator::Eq,
            "ne" => Operator::Ne,
            "co" => Operator::Co,
            "sw" => Operator::Sw,
            "ew" => Operator::Ew,
            "gt" => Operator::Gt,
            "ge" => Operator::Ge,
            "lt" => Operator::Lt,
            "le" => Operator::Le,
            _ => return Err(ScimError::Filter("an operator is missing or unknown")),
        };
        self.space();
        let value = self.value()?;
        let Some(target) = target else { return Ok(None) };
        let literal = literal(leaf(&target), operator, value)?;
        Ok(Some(Term::Compare(target, operator, literal)))
    }

    /// `emails[type eq "work"]`, after its opening bracket.
    fn inner(&mut self, target: Option<Target>, depth: usize) -> Result<Option<Term>, ScimError> {
        let Context::Resource(_) = self.context else {
            return Err(ScimError::Filter("brackets can't be nested"));
        };
        let Some(target) = target else {
            return Err(ScimError::Filter("it names an attribute that is not supported"));
        };
        if target.part.is_some() || target.attribute.kind != Kind::Complex {
            return Err(ScimError::Filter("only an attribute with parts has brackets"));
        }
        let outer = std::mem::replace(&mut self.context, Context::Values(target.attribute));
        let term = self.any(depth + 1);
        self.context = outer;
        self.closing(']')?;
        Ok(term?.map(|term| Term::Values(target, Box::new(term))))
    }

    fn target(&self, name: &str) -> Result<Option<Target>, ScimError> {
        let bad = |_| ScimError::Filter("the name of an attribute is missing");
        match self.context {
            Context::Resource(kind) => Ok(match resolve(kind, name).map_err(bad)? {
                Found::Target(target) => Some(target),
                Found::Extension(_) | Found::Unknown => None,
            }),
            Context::Values(attribute) if super::path::is_name(name) => {
                let part = schema::find(attribute.parts, name);
                Ok(part.map(|attribute| Target { extension: None, attribute, part: None }))
            }
            Context::Values(_) => Err(ScimError::Filter("the name of a part is missing")),
        }
    }

    /// A JSON text, number, truth or null.
    fn value(&mut self) -> Result<Value, ScimError> {
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
        let bad = ScimError::Filter("a value is missing or is not JSON");
        let Some(Ok(value)) = values.next() else { return Err(bad) };
        self.rest = self.rest.get(values.byte_offset()..).unwrap_or_default();
        match value {
            Value::Array(_) | Value::Object(_) => Err(bad),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(value),
        }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn symbol(&mut self, symbol: char) -> bool {
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn closing(&mut self, symbol: char) -> Result<(), ScimError> {
        self.space();
        match self.symbol(symbol) {
            true => Ok(()),
            false => Err(ScimError::Filter("a bracket is not closed")),
        }
    }

    /// Letters, digits and what names and schema names are made of; may be empty.
    fn word(&mut self) -> &'a str {
        let part = |letter: char| letter.is_ascii_alphanumeric() || "$-_.:".contains(letter);
        let end = self.rest.find(|letter| !part(letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let before = self.rest;
        self.space();
        if self.word().eq_ignore_ascii_case(keyword) {
            return true;
        }
        self.rest = before;
        false
    }
}

/// One term, or several under one head; nothing if one of them is not ours.
fn joined(terms: Vec<Option<Term>>, head: fn(Vec<Term>) -> Term) -> Option<Term> {
    let mut terms = terms.into_iter().collect::<Option<Vec<Term>>>()?;
    match terms.len() {
        1 => terms.pop(),
        _ => Some(head(terms)),
    }
}

fn literal(leaf: &Attribute, operator: Operator, value: Value) -> Result<Literal, ScimError> {
    let equality = matches!(operator, Operator::Eq | Operator::Ne);
    match (leaf.kind, value) {
        (_, Value::Null) if equality => Ok(Literal::Null),
        (Kind::Boolean, Value::Bool(truth)) if equality => Ok(Literal::Boolean(truth)),
        // As Entra ID writes them.
        (Kind::Boolean, Value::String(text)) if equality => match super::document::truth(&text) {
            Some(truth) => Ok(Literal::Boolean(truth)),
            None => Err(ScimError::Filter("true or false was expected")),
        },
        (Kind::Time, Value::String(text)) => {
            let bad = |_| ScimError::Filter("a time was expected");
            text.parse().map(Literal::Time).map_err(bad)
        }
        (Kind::Text, Value::String(text)) => Ok(Literal::Text(text)),
        (_, _) => Err(ScimError::Filter("the value or the operator does not fit the attribute")),
    }
}

#[cfg(test)]
#[path = "tests/filter.rs"]
mod tests;
