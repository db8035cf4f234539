//! Names as the index knows them: the first eight bytes of an HMAC.

use std::collections::HashMap;

use keys::mac::MacKey;

use crate::event::Outcome;
use crate::record::StoredRecord;

/// Terms that are remembered, so that a name that comes often is blinded once.
const KNOWN_MAX: usize = 8192;

/// What a name is the name of. The codes are in the index, which is built anew when they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    Actor = 1,
    Session = 2,
    CaseNumber = 3,
    Partner = 4,
    Function = 5,
    Action = 6,
    Tool = 7,
    Source = 8,
    Purpose = 9,
}

impl Field {
    pub(super) fn code(self) -> u8 {
        self as u8
    }
}

pub(super) fn outcome_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Permit => 1,
        Outcome::Deny => 2,
        Outcome::Fail => 3,
    }
}

/// The first eight bytes of a mark or tag.
pub(super) fn short(tag: &[u8; 32]) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *tag;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// A name's term. The leading byte keeps it apart from a subject's mark, whose kind is text.
pub(super) fn blind(key: &MacKey, field: Field, name: &str) -> i64 {
    short(&key.tag(&[&[1, field.code()], name.as_bytes()]))
}

/// Blinds names, and remembers the last few thousand.
pub(super) struct Blinder {
    key: MacKey,
    known: HashMap<(Field, Box<str>), i64>,
}

impl Blinder {
    pub(super) fn new(key: MacKey) -> Self {
        Self { key, known: HashMap::new() }
    }

    pub(super) fn term(&mut self, field: Field, name: &str) -> i64 {
        let name: (Field, Box<str>) = (field, name.into());
        if let Some(term) = self.known.get(&name) {
            return *term;
        }
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        let term = blind(&self.key, field, &name.1);
        self.known.insert(name, term);
        term
    }
}

/// What the index keeps of a decision for the entries that follow it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Inherited {
    pub(super) action: Option<i64>,
    pub(super) tool: Option<i64>,
    pub(super) source: Option<i64>,
}

/// A record in terms.
pub(super) struct Described {
    /// Terms that have postings: subjects, actor, session, case number, partner.
    pub(super) posts: Vec<i64>,
    pub(super) outcome: u8,
    pub(super) own: Inherited,
    pub(super) decided: Option<u64>,
    pub(super) purpose: Option<i64>,
    /// Sorted.
    pub(super) functions: Vec<i64>,
}

pub(super) fn describe(record: &StoredRecord, blinder: &mut Blinder) -> Described {
    let facts = record.event.facts();
    let mut posts: Vec<i64> = record.subjects.iter().map(|it| short(&it.mark)).collect();
    let who = record.who.as_ref();
    let names = [
        (Field::Actor, who.map(|who| who.actor.as_str())),
        (Field::Session, who.and_then(|who| who.session.as_deref())),
        (Field::CaseNumber, record.why.case_number.as_deref()),
        (Field::Partner, facts.partner),
    ];
    for (field, name) in names {
        posts.extend(name.map(|name| blinder.term(field, name)));
    }
    let functions = who.map(|who| who.functions.as_slice()).unwrap_or_default();
    let mut functions: Vec<i64> =
        functions.iter().map(|name| blinder.term(Field::Function, name)).collect();
    functions.sort_unstable();
    functions.dedup();
    let mut term = |field, name: Option<&str>| name.map(|name| blinder.term(field, name));
    let own = Inherited {
        action: term(Field::Action, facts.action),
        tool: term(Field::Tool, facts.tool),
        source: term(Field::Source, facts.source),
    };
    let purpose = term(Field::Purpose, record.why.purpose.as_deref());
    let (outcome, decided) = (outcome_code(record.event.outcome()), facts.decided);
    Described { posts, outcome, own, decided, purpose, functions }
}
