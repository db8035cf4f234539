//! Rules of jurisdictions as an agency writes them down: `jurisdictions.toml`.
//!
//! Invariants: the rules of both sides count, each for what it names, and the stricter of two wins. Where no way keeps
//! both, that is a conflict, which a person settles; nothing is sealed before. A rule only ever narrows what an
//! agreement allows.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use policy::{Caveat, PurposeCode, RecordClass};
use serde::Deserialize;

use super::files::{Problem, problem, read};
use super::{Agreement, Clause, Redistribution};

const RULES_MAX: usize = 2_000;
const WORD_CHARS_MAX: usize = 500;

/// One rule of one jurisdiction.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub id: String,
    pub jurisdiction: String,
    /// The statute or order.
    pub citation: String,
    /// What it is about; all records where it names no class, all marks where it names none.
    pub record_class: Option<RecordClass>,
    pub caveat: Option<Caveat>,
    /// Whether such records never cross.
    #[serde(default)]
    pub bars: bool,
    /// The only purposes for which they cross.
    pub purposes: Option<BTreeSet<PurposeCode>>,
    /// At least so many approvals.
    pub approvals: Option<u8>,
    /// The receiver keeps them at least, and at most, so many days.
    pub keep_days_min: Option<u32>,
    pub keep_days_max: Option<u32>,
    pub redistribution: Option<Redistribution>,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// All rules, and which jurisdiction is ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jurisdictions {
    pub ours: Option<String>,
    pub rules: Vec<Rule>,
}

/// What the rules of both sides come to, for one export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stricter {
    /// The rules that count here.
    pub applied: Vec<Rule>,
    /// The first that stands against it.
    pub against: Option<Clause>,
    pub approvals: u8,
    pub keep_days_min: Option<u32>,
    pub keep_days_max: Option<u32>,
    pub redistribution: Redistribution,
    /// What can't all be kept: a person says which is.
    pub conflicts: Vec<Conflict>,
}

/// Two rules, or a rule and the agreement, that can't both be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub first: String,
    pub second: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; {}", self.first, self.second)
    }
}

/// What leaves, as rules ask about it: a class with all its marks.
pub type Asked = (RecordClass, BTreeSet<Caveat>);

impl Jurisdictions {
    /// What the file says, for a reviewer.
    pub fn lines(&self) -> Vec<(String, String)> {
        let ours = self.ours.iter().map(|ours| ("Ours".to_owned(), ours.clone()));
        let rules = self
            .rules
            .iter()
            .map(|rule| (format!("Rule {} of {:?}", rule.id, rule.jurisdiction), rule.in_full()));
        ours.chain(rules).collect()
    }
}

impl Rule {
    /// All of it, no two rules in the same words, for what people write is in quotes: whose it is, what it is about, since and until when, and what it demands.
    fn in_full(&self) -> String {
        let about = [
            Some(format!("{:?}", self.jurisdiction)),
            Some(format!("{:?}", self.citation)),
            self.record_class.as_ref().map(|class| format!("about {class}")),
            self.caveat.as_ref().map(|mark| format!("marked {mark}")),
            self.from.map(|from| format!("from {from}")),
            self.until.map(|until| format!("until {until}")),
            Some(self.says()),
        ];
        about.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    fn is_about(&self, asked: &[Asked], now: Timestamp) -> bool {
        let timely =
            self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until);
        let fits = |(class, marks): &Asked| {
            self.record_class.as_ref().is_none_or(|own| own == class)
                && self.caveat.as_ref().is_none_or(|own| marks.contains(own))
        };
        timely && asked.iter().any(fits)
    }

    /// What it demands, in words.
    pub fn says(&self) -> String {
        let mut says = Vec::new();
        if self.bars {
            says.push("does not cross".to_owned());
        }
        if let Some(purposes) = &self.purposes {
            let all: Vec<&str> = purposes.iter().map(PurposeCode::as_str).collect();
            says.push(format!("only for purposes {}", all.join(", ")));
        }
        if let Some(approvals) = self.approvals {
            says.push(format!("at least {approvals} approvals"));
        }
        if let Some(days) = self.keep_days_min {
            says.push(format!("kept at least {days} days"));
        }
        if let Some(days) = self.keep_days_max {
            says.push(format!("kept at most {days} days"));
        }
        if let Some(redistribution) = self.redistribution {
            says.push(format!("redistribution: {}", redistribution.as_str()));
        }
        says.join(", ")
    }

    /// What it is about, in words.
    pub fn about(&self) -> String {
        let class = self.record_class.as_ref().map_or("all", |class| class.as_str());
        match &self.caveat {
            Some(caveat) => format!("{class} records marked {caveat}"),
            None => format!("{class} records"),
        }
    }

    fn named(&self, demand: &str) -> String {
        format!("{} of {} ({}): {demand}", self.id, self.jurisdiction, self.citation)
    }
}

impl Jurisdictions {
    /// What our rules and the partner's come to.
    pub fn stricter(
        &self,
        agreement: &Agreement,
        partners: Option<&str>,
        asked: &[Asked],
        purpose: Option<&PurposeCode>,
        now: Timestamp,
    ) -> Stricter {
        let sides = [self.ours.as_deref(), partners];
        let counts = |rule: &&Rule| {
            sides.contains(&Some(rule.jurisdiction.as_str())) && rule.is_about(asked, now)
        };
        let applied: Vec<Rule> = self.rules.iter().filter(counts).cloned().collect();
        let against = applied.iter().find_map(|rule| rule.against(purpose));
        let least = applied.iter().filter_map(|rule| Some((rule.keep_days_min?, rule)));
        let least = least.max_by_key(|(days, _)| *days);
        let most = applied.iter().filter_map(|rule| Some((rule.keep_days_max?, rule)));
        let most = most.min_by_key(|(days, _)| *days);
        let mut conflicts = Vec::new();
        if let Some((min, rule)) = least {
            let first = rule.named(&format!("kept at least {min} days"));
            if let Some((max, other)) = most.filter(|(max, _)| *max < min) {
                let second = other.named(&format!("kept at most {max} days"));
                conflicts.push(Conflict { first: first.clone(), second });
            }
            if let Some(days) = agreement.terms.retention_days.filter(|days| *days < min) {
                let second = format!(
                    "agreement {}: destroyed or returned after {days} days",
                    agreement.facts.id
                );
                conflicts.push(Conflict { first, second });
            }
        }
        let of_rules = applied.iter().filter_map(|rule| rule.redistribution);
        let redistribution =
            of_rules.fold(agreement.terms.redistribution, Redistribution::stricter);
        let approvals = applied.iter().filter_map(|rule| rule.approvals).max().unwrap_or(0);
        Stricter {
            against,
            approvals: approvals.max(agreement.facts.approvals),
            keep_days_min: least.map(|(days, _)| days),
            keep_days_max: most
                .map(|(days, _)| days)
                .into_iter()
                .chain(agreement.terms.retention_days)
                .min(),
            redistribution,
            conflicts,
            applied,
        }
    }
}

impl Rule {
    fn against(&self, purpose: Option<&PurposeCode>) -> Option<Clause> {
        let (rule, citation) =
            (format!("{} of {}", self.id, self.jurisdiction), self.citation.clone());
        if self.bars {
            return Some(Clause::Barred { rule, citation, records: self.about() });
        }
        let allowed = self.purposes.as_ref()?;
        if purpose.is_some_and(|purpose| allowed.contains(purpose)) {
            return None;
        }
        let purpose = purpose.map_or_else(|| "(none)".to_owned(), ToString::to_string);
        Some(Clause::RulePurpose { rule, citation, purpose })
    }
}

impl Stricter {
    /// What the receiver is held to beside the agreement's own words; nothing where no rule says more.
    pub fn retention(&self) -> Option<String> {
        let said =
            self.applied.iter().filter(|rule| rule.keep_days_min.or(rule.keep_days_max).is_some());
        let said: Vec<String> = said.map(|rule| rule.named(&rule.says())).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    ours: Option<String>,
    #[serde(default)]
    rule: Vec<Rule>,
}

pub(crate) fn jurisdictions(file: &Path, text: &str) -> Result<Jurisdictions, Vec<Problem>> {
    let read: RulesFile = read(file, text, &["ours", "rule"])?;
    let is_word = |text: &str| !text.trim().is_empty() && text.chars().count() <= WORD_CHARS_MAX;
    let mut ids = BTreeSet::new();
    let whole = |rule: &Rule| {
        is_word(&rule.id)
            && is_word(&rule.jurisdiction)
            && is_word(&rule.citation)
            && !rule.says().is_empty()
    };
    let days = |rule: &Rule| {
        rule.keep_days_min.zip(rule.keep_days_max).is_none_or(|(min, max)| min <= max)
            && rule.from.zip(rule.until).is_none_or(|(from, until)| from < until)
    };
    let checks = [
        ("rule", read.rule.len() <= RULES_MAX, "at most 2000 rules"),
        ("ours", read.ours.as_deref().is_none_or(is_word), "the name of a jurisdiction"),
        (
            "id",
            read.rule.iter().all(|rule| ids.insert((&rule.jurisdiction, &rule.id))),
            "used once in a jurisdiction",
        ),
        (
            "rule",
            read.rule.iter().all(whole),
            "an id, a jurisdiction, a citation, and something that it demands",
        ),
        (
            "keep_days_min",
            read.rule.iter().all(days),
            "a range: the least before the most, `from` before `until`",
        ),
    ];
    let wrong: Vec<Problem> = checks
        .iter()
        .filter(|(_, holds, _)| !holds)
        .map(|(key, _, expected)| problem(file, text, key, expected))
        .collect();
    if wrong.is_empty() {
        Ok(Jurisdictions { ours: read.ours, rules: read.rule })
    } else {
        Err(wrong)
    }
}
